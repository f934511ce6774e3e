/* json_scan_test.c - the scanner against a slow reference, however it is fed. */
#include <dirent.h>
#include <stdio.h>

#include "lib/check.h"
#include "unit/wire/json_reference.h"

/* The scanner once more, as it is built where there is no SSE2. */
scan_start_fn portable_start, portable_start_lax;
scan_next_fn portable_next;
#define JSON_SCAN_SCALAR
#define json_scan_start portable_start
#define json_scan_start_lax portable_start_lax
#define json_scan_next portable_next
#include "wire/json_scan.c"
#undef json_scan_start
#undef json_scan_start_lax
#undef json_scan_next

static const struct scanner scanners[] = {
    {"built", json_scan_start, json_scan_next},
    {"portable", portable_start, portable_next},
};

static const enum json_shape shapes[] = {JSON_ARRAY, JSON_LINES, JSON_VALUE};

#define EACH(item, list) (size_t item = 0; item < sizeof(list) / sizeof *(list); item++)

static const struct cuts whole = {SIZE_MAX, 1, 0};
static const struct cuts each_byte = {0, 1, 0};

static void show(const char *what, const char *document, size_t len)
{
    fprintf(stderr, "%s: ", what);
    for (size_t i = 0; i < len && i < 400; i++)
        fprintf(stderr, document[i] >= ' ' && document[i] < 0x7f ? "%c" : "\\x%02x",
                (unsigned char)document[i]);
    fprintf(stderr, "\n");
}

/* Does every scanner, fed like that, give these events? */
static bool give(const struct events *expected, enum json_shape shape, const char *document,
                 size_t len, struct cuts cuts)
{
    static struct events found;
    bool good = true;
    for
        EACH(i, scanners)
    if (!events_collect(&found, &scanners[i], shape, document, len, cuts) ||
        !events_equal(expected, &found)) {
        good = false;
        show(scanners[i].name, document, len);
    }
    return good;
}

static bool agrees(enum json_shape shape, const char *document, size_t len, struct cuts cuts)
{
    static struct events expected;
    events_expect(&expected, shape, document, len);
    return give(&expected, shape, document, len, cuts);
}

/* What the scanner says of a literal, whole. */
static enum json_event verdict(enum json_shape shape, const char *document, size_t *offset)
{
    struct json_scan scan;
    enum json_event event;
    json_scan_start(&scan, shape);
    do
        event = json_scan_next(&scan, document, strlen(document), true);
    while (event == JSON_FIELD || event == JSON_ITEM);
    *offset = scan.offset;
    return event;
}

static bool refused_at(enum json_shape shape, const char *document, size_t where)
{
    size_t offset;
    return verdict(shape, document, &offset) == JSON_FAULT && offset == where;
}

static bool accepted(enum json_shape shape, const char *document)
{
    size_t offset;
    return verdict(shape, document, &offset) == JSON_END && offset == strlen(document);
}

static bool span_is(const char *document, struct json_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(document + span.at, text, span.len) == 0;
}

/* A corpus of documents on disk. */

typedef void corpus_fn(enum json_shape shape, const char *name, const char *document, size_t len);

static size_t read_file(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    if (!file)
        return 0;
    size_t len = fread(out, 1, size, file);
    CHECK(len < size);
    fclose(file);
    return len;
}

static void each_corpus_file(corpus_fn *visit)
{
    const char *root = getenv("TEST_DATA");
    char path[4096];
    snprintf(path, sizeof path, "%s/json", root ? root : "test/data");
    DIR *dir = opendir(path);
    CHECK(dir != NULL);
    if (!dir)
        return;
    int visited = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        static char document[64 * 1024];
        const char *name = entry->d_name;
        const char *dot = strrchr(name, '.');
        bool lines = dot && strcmp(dot, ".ndjson") == 0;
        if (!dot || (!lines && strcmp(dot, ".json") != 0))
            continue;
        snprintf(path, sizeof path, "%s/json/%s", root ? root : "test/data", name);
        size_t len = read_file(path, document, sizeof document);
        visit(lines ? JSON_LINES : JSON_VALUE, name, document, len);
        visited++;
    }
    closedir(dir);
    CHECK(visited > 300);
}

static void has_its_verdict(enum json_shape shape, const char *name, const char *document,
                            size_t len)
{
    for
        EACH(i, scanners)
        {
            static struct events events;
            CHECK(events_collect(&events, &scanners[i], shape, document, len, whole));
            bool good =
                events.at[events.count - 1].kind == (name[0] == 'y' ? JSON_END : JSON_FAULT);
            CHECK(good);
            if (!good)
                show(name, document, len);
        }
}

TEST(each_file_of_the_corpus_is_accepted_or_refused_as_its_name_says)
{
    each_corpus_file(has_its_verdict);
}

static void agrees_in_every_shape(enum json_shape shape, const char *name, const char *document,
                                  size_t len)
{
    (void)shape;
    (void)name;
    for
        EACH(i, shapes)
        {
            CHECK(agrees(shapes[i], document, len, whole));
            CHECK(agrees(shapes[i], document, len, each_byte));
        }
}

TEST(the_corpus_gives_the_same_events_whole_and_byte_by_byte)
{
    each_corpus_file(agrees_in_every_shape);
}

static void agrees_cut_anywhere(enum json_shape shape, const char *name, const char *document,
                                size_t len)
{
    static struct events expected;
    events_expect(&expected, shape, document, len);
    for (size_t cut = 0; cut <= len; cut++)
        CHECK(give(&expected, shape, document, len, (struct cuts){cut, SIZE_MAX, cut}));
    (void)name;
}

TEST(the_corpus_gives_the_same_events_cut_at_every_byte)
{
    each_corpus_file(agrees_cut_anywhere);
}

static void as_an_element(enum json_shape shape, const char *name, const char *document, size_t len)
{
    static char wrapped[64 * 1024 + 16];
    if (shape != JSON_VALUE)
        return;
    memcpy(wrapped, "[{\"k\":", 6);
    memcpy(wrapped + 6, document, len);
    memcpy(wrapped + 6 + len, "},7]", 4);
    CHECK(agrees(JSON_ARRAY, wrapped, len + 10, whole));
    CHECK(agrees(JSON_ARRAY, wrapped, len + 10, each_byte));
    for (uint64_t i = 0; i < 8; i++)
        CHECK(agrees(JSON_ARRAY, wrapped, len + 10, (struct cuts){i, 0, i}));
    (void)name;
}

TEST(the_corpus_gives_the_same_events_as_the_value_of_a_field)
{
    each_corpus_file(as_an_element);
}

/* UTF-8. */

TEST(each_sequence_of_bytes_is_utf8_exactly_when_the_reference_says_so)
{
    static const unsigned char edge[] = {0x00, 0x1f, 0x20, 0x22, 0x5c, 0x7f, 0x80, 0x8f, 0x90,
                                         0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xec,
                                         0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
    char document[4] = {'"', 0, '"', 0};
    for (int a = 0; a < 256; a++) {
        document[1] = (char)a;
        CHECK(agrees(JSON_VALUE, document, 3, whole));
        for (int b = 0; b < 256; b++) {
            char two[] = {'"', (char)a, (char)b, '"'};
            CHECK(agrees(JSON_VALUE, two, sizeof two, whole));
            if (a >= 0xc0)
                for
                    EACH(c, edge)
                    {
                        char three[] = {'"', (char)a, (char)b, (char)edge[c], '"'};
                        CHECK(agrees(JSON_VALUE, three, sizeof three, whole));
                    }
        }
    }
    for (int a = 0xe0; a < 256; a++)
        for
            EACH(b, edge)
            for
                EACH(c, edge)
                for
                    EACH(d, edge)
                    {
                        char four[] = {'"',           (char)a,       (char)edge[b],
                                       (char)edge[c], (char)edge[d], '"'};
                        CHECK(agrees(JSON_VALUE, four, sizeof four,
                                     (struct cuts){(size_t)a % 6, 1, 0}));
                    }
}

TEST(every_code_point_but_the_surrogates_is_accepted)
{
    /* One string holds 4096 code points, encoded by arithmetic. */
    for (uint32_t page = 0; page < 0x110000; page += 4096) {
        static unsigned char document[4096 * 4 + 2];
        size_t len = 0;
        document[len++] = '"';
        for (uint32_t c = page; c < page + 4096; c++) {
            if (c < 0x20 || c == '"' || c == '\\' || (c >= 0xd800 && c < 0xe000))
                continue;
            size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
            static const unsigned char mark[] = {0, 0xc0, 0xe0, 0xf0};
            document[len++] = (unsigned char)(mark[more] | c >> 6 * more);
            while (more--)
                document[len++] = (unsigned char)(0x80 | (c >> 6 * more & 0x3f));
        }
        document[len++] = '"';
        for
            EACH(i, scanners)
            {
                static struct events events;
                CHECK(events_collect(&events, &scanners[i], JSON_VALUE, (const char *)document, len,
                                     (struct cuts){page % 64, 1000, 0}));
                CHECK(events.count == 2 && events.at[1].kind == JSON_END);
            }
    }
}

TEST(a_byte_that_stops_a_string_is_found_wherever_it_stands)
{
    static const char *const stops[] = {"\"", "\\n", "\\u00e9", "\x1f", "\xc3\xa9", "\xff", "\x7f"};
    for
        EACH(s, stops)
    for (size_t before = 0; before < 40; before++)
        for (size_t after = 0; after < 20; after++) {
            char document[80] = "\"";
            memset(document + 1, 'a' + (int)before % 3, before);
            size_t len = 1 + before;
            memcpy(document + len, stops[s], strlen(stops[s]));
            len += strlen(stops[s]);
            memset(document + len, 'z', after);
            len += after;
            document[len++] = '"';
            CHECK(agrees(JSON_VALUE, document, len, whole));
        }
}

/* Documents nobody wrote. */

struct draft {
    char at[4096];
    size_t len;
};

static uint64_t seed;

static size_t below(size_t n)
{
    return cuts_random(&seed) % n;
}

static void put(struct draft *draft, const char *s)
{
    size_t len = strlen(s);
    if (len < sizeof draft->at - draft->len) {
        memcpy(draft->at + draft->len, s, len);
        draft->len += len;
    }
}

static void put_white(struct draft *draft)
{
    static const char *const white[] = {" ", "\n", "\r\n", "\t", "  ", "                  "};
    if (below(6) == 0)
        put(draft, white[below(6)]);
}

static void put_string(struct draft *draft)
{
    static const char *const parts[] = {"a",
                                        "id",
                                        "inputs",
                                        "a longer stretch of plain text, over 32 bytes",
                                        "\\n",
                                        "\\\"",
                                        "\\\\",
                                        "\\u00e9",
                                        "\\ud83d\\ude00",
                                        "\\ud800",
                                        "\xc3\xa9",
                                        "\xe6\x9d\xb1",
                                        "\xf0\x9f\x98\x80",
                                        "\x7f",
                                        "{}[],:",
                                        "0123456789abcde"};
    put(draft, "\"");
    for (size_t i = below(5); i > 0; i--)
        put(draft, parts[below(sizeof parts / sizeof *parts)]);
    put(draft, "\"");
}

static void put_value(struct draft *draft, int depth)
{
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-0",
                                          "12",
                                          "-3.25",
                                          "1e2",
                                          "1E+10",
                                          "0.5e-7",
                                          "12345678901234567890",
                                          "{}",
                                          "[]"};
    size_t kind = depth > 4 ? below(2) : below(4);
    size_t count = below(5);
    put_white(draft);
    switch (kind) {
    case 0:
        put(draft, scalars[below(sizeof scalars / sizeof *scalars)]);
        break;
    case 1:
        put_string(draft);
        break;
    case 2:
        put(draft, "[");
        for (size_t i = 0; i < count; i++) {
            put(draft, i ? "," : "");
            put_value(draft, depth + 1);
        }
        put_white(draft);
        put(draft, "]");
        break;
    default:
        put(draft, "{");
        for (size_t i = 0; i < count; i++) {
            put(draft, i ? "," : "");
            put_white(draft);
            put_string(draft);
            put_white(draft);
            put(draft, ":");
            put_value(draft, depth + 1);
        }
        put_white(draft);
        put(draft, "}");
    }
    put_white(draft);
}

static void put_document(struct draft *draft, enum json_shape shape)
{
    draft->len = 0;
    if (shape == JSON_VALUE) {
        put_value(draft, 0);
        return;
    }
    size_t count = below(4);
    put(draft, shape == JSON_ARRAY ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        put(draft, i == 0 ? "" : shape == JSON_ARRAY ? "," : "\n");
        put_value(draft, 1);
    }
    put(draft, shape == JSON_ARRAY ? "]" : "");
}

static void mutate(struct draft *draft)
{
    static const char bytes[] =
        "{}[]\",:\\ \n\r\t0123456789-+.eEtrufalsn/\x01\x1f\x7f\x80\xbf\xc3\xa9"
        "\xe0\xed\xa0\xef\xbb\xf0\x9f\xf4\xff";
    for (size_t i = below(4); i > 0; i--) {
        size_t at = below(draft->len + 1);
        size_t some = below(8);
        switch (below(4)) {
        case 0: /* another byte */
            if (at < draft->len)
                draft->at[at] = bytes[below(sizeof bytes)];
            break;
        case 1: /* a byte more */
            if (draft->len < sizeof draft->at) {
                memmove(draft->at + at + 1, draft->at + at, draft->len - at);
                draft->at[at] = bytes[below(sizeof bytes)];
                draft->len++;
            }
            break;
        case 2: /* some bytes less */
            if (some > draft->len - at)
                some = draft->len - at;
            memmove(draft->at + at, draft->at + at + some, draft->len - at - some);
            draft->len -= some;
            break;
        default: /* the end is missing */
            if (below(3) == 0)
                draft->len = at;
        }
    }
}

TEST(a_hundred_thousand_mutated_documents_give_the_events_of_the_reference)
{
    size_t valid = 0, refused = 0;
    seed = 2026;
    for (int i = 0; i < 100000; i++) {
        static struct draft draft;
        enum json_shape shape = shapes[below(3)];
        put_document(&draft, shape);
        mutate(&draft);

        static struct events expected;
        events_expect(&expected, shape, draft.at, draft.len);
        bool good = give(&expected, shape, draft.at, draft.len, whole) &&
                    give(&expected, shape, draft.at, draft.len, (struct cuts){below(20), 0, seed});

        CHECK(good);
        if (!good)
            return;
        *(expected.at[expected.count - 1].kind == JSON_END ? &valid : &refused) += 1;
    }
    /* Both kinds were really there. */
    CHECK(valid > 20000);
    CHECK(refused > 20000);
}

/* What the header promises, by hand. */

TEST(fields_and_items_come_in_order_with_their_spans)
{
    const char *doc = " [ {\"id\": \"x\", \"a\\nb\" :[1, {\"n\":2}]} , 17,{}]";
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_FIELD);
    CHECK(span_is(doc, scan.key, "id") && span_is(doc, scan.value, "\"x\""));
    CHECK(scan.type == JSON_STRING && !scan.key_escaped);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_FIELD);
    CHECK(span_is(doc, scan.key, "a\\nb") && span_is(doc, scan.value, "[1, {\"n\":2}]"));
    CHECK(scan.type == JSON_LIST && scan.key_escaped);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_ITEM);
    CHECK(span_is(doc, scan.value, "{\"id\": \"x\", \"a\\nb\" :[1, {\"n\":2}]}"));
    CHECK(scan.type == JSON_OBJECT);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_ITEM);
    CHECK(span_is(doc, scan.value, "17") && scan.type == JSON_NUMBER);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_ITEM);
    CHECK(span_is(doc, scan.value, "{}") && scan.type == JSON_OBJECT);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_END);
    CHECK(scan.offset == strlen(doc));
}

TEST(an_escape_in_an_inner_key_says_nothing_of_the_key_of_the_field)
{
    const char *doc = "{\"plain\":{\"in\\ner\":1}}";
    struct json_scan scan;
    json_scan_start(&scan, JSON_VALUE);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_FIELD);

    CHECK(span_is(doc, scan.key, "plain"));
    CHECK(!scan.key_escaped);
}

TEST(the_fields_of_an_item_are_known_before_it_is_complete)
{
    const char *doc = "[{\"name\":\"early\",\"inputs\":{";
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);

    CHECK(json_scan_next(&scan, doc, strlen(doc), false) == JSON_FIELD);
    CHECK(span_is(doc, scan.value, "\"early\""));
    CHECK(json_scan_next(&scan, doc, strlen(doc), false) == JSON_MORE);
    CHECK(scan.offset == strlen(doc));
}

TEST(an_event_comes_with_the_last_byte_it_needs)
{
    const char *doc = "[{\"a\":null,\"b\":\"x\"}]";
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);

    CHECK(json_scan_next(&scan, doc, 9, false) == JSON_MORE);
    CHECK(json_scan_next(&scan, doc, 10, false) == JSON_FIELD);
    CHECK(json_scan_next(&scan, doc, 18, false) == JSON_FIELD);
    CHECK(json_scan_next(&scan, doc, 18, false) == JSON_MORE);
    CHECK(json_scan_next(&scan, doc, 19, false) == JSON_ITEM);
    CHECK(json_scan_next(&scan, doc, 20, false) == JSON_MORE);
    CHECK(json_scan_next(&scan, doc, 20, true) == JSON_END);
}

TEST(a_number_ends_only_where_something_else_begins)
{
    struct json_scan scan;
    json_scan_start(&scan, JSON_VALUE);

    CHECK(json_scan_next(&scan, "12", 2, false) == JSON_MORE);
    CHECK(json_scan_next(&scan, "123", 3, false) == JSON_MORE);
    CHECK(json_scan_next(&scan, "123", 3, true) == JSON_ITEM);
    CHECK(span_is("123", scan.value, "123"));
    CHECK(json_scan_next(&scan, "123", 3, true) == JSON_END);
}

TEST(nothing_at_all_is_no_document_but_it_is_zero_lines)
{
    struct json_scan scan;

    CHECK(refused_at(JSON_ARRAY, "", 0));
    CHECK(refused_at(JSON_ARRAY, " \n", 2));
    CHECK(refused_at(JSON_VALUE, "", 0));
    CHECK(refused_at(JSON_VALUE, "\t", 1));
    CHECK(accepted(JSON_LINES, ""));
    CHECK(accepted(JSON_LINES, "\n \r\n"));
    json_scan_start(&scan, JSON_LINES);
    CHECK(json_scan_next(&scan, NULL, 0, false) == JSON_MORE);
    CHECK(json_scan_next(&scan, NULL, 0, true) == JSON_END);
}

TEST(only_an_array_is_an_array)
{
    CHECK(refused_at(JSON_ARRAY, "{}", 0));
    CHECK(refused_at(JSON_ARRAY, " \"[]\"", 1));
    CHECK(refused_at(JSON_ARRAY, "1", 0));
    CHECK(refused_at(JSON_ARRAY, "[] []", 3));
    CHECK(accepted(JSON_ARRAY, "[]"));
    CHECK(accepted(JSON_ARRAY, " [[],{},null] "));
}

TEST(lines_need_a_newline_between_two_values)
{
    CHECK(refused_at(JSON_LINES, "{}{}", 2));
    CHECK(refused_at(JSON_LINES, "{} {}", 3));
    CHECK(refused_at(JSON_LINES, "{}\r{}", 3));
    CHECK(refused_at(JSON_LINES, "1 2", 2));
    CHECK(refused_at(JSON_LINES, "{}\n[1]2", 6));
    CHECK(accepted(JSON_LINES, "{}\n{}"));
    CHECK(accepted(JSON_LINES, "{}\r\n\r\n{}\r\n"));
    CHECK(accepted(JSON_LINES, "{} \t\n 1"));
}

TEST(a_byte_order_mark_is_refused_in_every_shape)
{
    for
        EACH(i, shapes)
        {
            CHECK(refused_at(shapes[i], "\xef\xbb\xbf[]", 0));
            CHECK(refused_at(shapes[i], "\xef\xbb\xbf", 0));
        }
    CHECK(refused_at(JSON_LINES, "1\n\xef\xbb\xbf", 2));
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);
    CHECK(json_scan_next(&scan, "\xef", 1, false) == JSON_FAULT);
    CHECK(strstr(scan.fault, "byte order mark") != NULL);
}

TEST(a_fault_is_the_first_byte_that_cannot_be)
{
    CHECK(refused_at(JSON_VALUE, "[1,]", 3));
    CHECK(refused_at(JSON_VALUE, "{\"a\" 1}", 5));
    CHECK(refused_at(JSON_VALUE, "[trux]", 4));
    CHECK(refused_at(JSON_VALUE, "[01]", 2));
    CHECK(refused_at(JSON_VALUE, "[1.]", 3));
    CHECK(refused_at(JSON_VALUE, "[NaN]", 1));
    CHECK(refused_at(JSON_VALUE, "\"\\ud8x0\"", 5));
    CHECK(refused_at(JSON_VALUE, "\"\xe0\x9f\xbf\"", 2));
    CHECK(refused_at(JSON_VALUE, "\"a\nb\"", 2));
    CHECK(refused_at(JSON_VALUE, "[1", 2));
    CHECK(refused_at(JSON_VALUE, "-", 1));
    CHECK(refused_at(JSON_VALUE, "1 2", 2));
}

TEST(depth_is_counted_from_the_root_in_every_shape)
{
    for
        EACH(i, shapes)
        {
            char doc[2 * JSON_DEPTH_MAX + 3] = "";
            memset(doc, '[', JSON_DEPTH_MAX);
            memset(doc + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
            CHECK(accepted(shapes[i], doc));
            memset(doc, '[', JSON_DEPTH_MAX + 1);
            memset(doc + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
            CHECK(refused_at(shapes[i], doc, JSON_DEPTH_MAX));
        }
}

TEST(events_before_a_fault_are_given_first)
{
    const char *doc = "[{\"a\":1},{\"b\":oops}]";
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);

    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_FIELD);
    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_ITEM);
    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_FAULT);
    CHECK(scan.offset == 14 && scan.fault && scan.fault[0]);
    CHECK(json_scan_next(&scan, doc, strlen(doc), true) == JSON_FAULT);
}
