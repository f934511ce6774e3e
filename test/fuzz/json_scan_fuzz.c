/* json_scan_fuzz.c - any bytes, in every shape.
 *
 * The scanner, fed whole and in pieces, must say what the slow reference says;
 * what it says must make sense by itself; and each string in it must survive
 * being decoded and written again.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... && ./json_scan_fuzz test/fuzz/seeds/json_scan
 */
#include "base/text.h"
#include "unit/wire/json_reference.h"
#include "wire/json_string.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* What stands between quotes, decoded, written and decoded, stays what it is. */
static void check_string(const char *document, struct json_span inside)
{
    struct str raw = {document + inside.at, inside.len};
    char *plain = malloc(raw.len ? raw.len : 1);
    require(plain != NULL);
    struct str decoded = {plain, json_string_decode(raw, plain)};
    require(decoded.len <= raw.len);
    require(json_string_is(raw, decoded));

    struct text text = {0};
    json_string_write(&text, decoded);
    struct json_scan scan;
    json_scan_start(&scan, JSON_VALUE);
    require(json_scan_next(&scan, text.at, text.len, true) == JSON_ITEM);
    require(json_scan_next(&scan, text.at, text.len, true) == JSON_END);
    require(json_string_is((struct str){text.at + 1, text.len - 2}, decoded));
    text_free(&text);
    free(plain);
}

static bool first_byte_suits(unsigned char c, enum json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return c == '{';
    case JSON_LIST:
        return c == '[';
    case JSON_STRING:
        return c == '"';
    case JSON_NUMBER:
        return c == '-' || (c >= '0' && c <= '9');
    case JSON_TRUE:
        return c == 't';
    case JSON_FALSE:
        return c == 'f';
    case JSON_NULL:
        return c == 'n';
    }
    return false;
}

/* True of any events, whatever the document. */
static void check_sense(const struct events *events, const char *document, size_t len)
{
    size_t value_end = 0, item_end = 0;
    for (size_t i = 0; i < events->count; i++) {
        const struct event *e = &events->at[i];
        require(e->offset <= len);
        if (e->kind != JSON_FIELD && e->kind != JSON_ITEM)
            continue;
        require(e->value.len > 0 && e->value.at + e->value.len == e->offset);
        require(first_byte_suits((unsigned char)document[e->value.at], e->type));
        if (e->type == JSON_STRING)
            check_string(document, (struct json_span){e->value.at + 1, e->value.len - 2});
        if (e->kind == JSON_FIELD) {
            require(e->key.at > value_end && document[e->key.at - 1] == '"');
            require(document[e->key.at + e->key.len] == '"');
            require(e->key.at + e->key.len < e->value.at);
            require(e->key_escaped ==
                    (e->key.len > 0 && memchr(document + e->key.at, '\\', e->key.len) != NULL));
            check_string(document, e->key);
        } else {
            /* Its fields came since the item before. */
            require(e->value.at >= item_end);
            item_end = e->offset;
        }
        value_end = e->offset;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const enum json_shape shapes[] = {JSON_ARRAY, JSON_LINES, JSON_VALUE};
    static const struct scanner scanner = {"", json_scan_start, json_scan_next};
    static struct events expected, found;
    const char *document = (const char *)bytes;
    uint64_t seed = len;
    for (size_t i = 0; i < len; i++)
        seed = seed * 31 + bytes[i];

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct cuts cuts[] = {
            {SIZE_MAX, 1, 0}, {seed % 8, 0, seed}, {seed % (len + 1), SIZE_MAX, seed}};
        events_expect(&expected, shapes[i], document, len);
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            require(events_collect(&found, &scanner, shapes[i], document, len, cuts[c]));
            require(events_equal(&expected, &found));
        }
        check_sense(&found, document, len);
    }
    return 0;
}
