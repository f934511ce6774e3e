/* multipart_fuzz.c - any bytes as a Content-Type and a body.
 *
 * The first line is the Content-Type, without its line end; when it has no
 * boundary, B is taken.  The rest is the body, once with lengths required and
 * once delimited.  How it is cut must change nothing, what the header promises
 * must be kept, and a body that was read must, written anew in the plainest way,
 * be read as the same.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... && ./multipart_fuzz test/fuzz/seeds/multipart
 */
#include "unit/wire/multipart_transcript.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void add_quoted(struct text *text, struct str name)
{
    text_add_char(text, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == '"' || name.at[i] == '\\')
            text_add_char(text, '\\');
        text_add_char(text, name.at[i]);
    }
    text_add_char(text, '"');
}

/* The headers of a part; its bytes are still to be seen. */
static void add_headers(struct text *body, const struct multipart *m, struct str boundary)
{
    text_addf(body, "--%.*s\r\nContent-Disposition: form-data; name=", STR_FMT(boundary));
    add_quoted(body, m->name);
    if (m->type.at)
        text_addf(body, "\r\nContent-Type: %.*s", STR_FMT(m->type));
    if (m->encoded)
        text_add(body, STR("\r\nContent-Encoding: x"));
    if (m->has_length)
        text_addf(body, "\r\nContent-Length: %" PRIu64, m->length);
    text_add(body, STR("\r\n\r\n"));
}

/* Write the body anew. */
static void rewrite(struct text *body, struct str boundary, enum multipart_lengths lengths,
                    struct str piece)
{
    struct multipart m;
    multipart_start(&m, boundary, lengths);
    for (;;) {
        switch (multipart_next(&m, &piece, true)) {
        case MULTIPART_PART:
            require(utf8_valid(m.name));
            add_headers(body, &m, boundary);
            break;
        case MULTIPART_DATA:
            text_add(body, m.data);
            break;
        case MULTIPART_PART_END:
            text_add(body, STR("\r\n"));
            break;
        case MULTIPART_END:
            text_addf(body, "--%.*s--", STR_FMT(boundary));
            break;
        case MULTIPART_MORE:
            return;
        case MULTIPART_FAULT:
            abort();
        }
    }
}

static void check_again(const struct transcript *expected, struct str boundary,
                        enum multipart_lengths lengths, struct str body)
{
    struct text anew = {0};
    rewrite(&anew, boundary, lengths, body);
    struct transcript t = transcript_of(boundary, lengths, text_str(&anew),
                                        (struct cuts){SIZE_MAX, SIZE_MAX, 0, false});
    require(!t.broken && transcript_equal(expected, &t));
    transcript_free(&t);
    text_free(&anew);
}

static void check_body(struct str boundary, enum multipart_lengths lengths, struct str body,
                       uint64_t seed)
{
    const struct cuts cuts[] = {
        {0, 1, 0, seed & 1},
        {0, 0, seed, seed >> 1 & 1},
        {seed % (body.len + 1), SIZE_MAX, 0, seed >> 2 & 1},
    };
    struct transcript expected =
        transcript_of(boundary, lengths, body, (struct cuts){SIZE_MAX, SIZE_MAX, 0, false});
    require(!expected.broken);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct transcript t = transcript_of(boundary, lengths, body, cuts[i]);
        require(!t.broken && transcript_equal(&expected, &t));
        transcript_free(&t);
    }
    if (expected.ended)
        check_again(&expected, boundary, lengths, body);
    else
        require(expected.fault_at <= body.len);
    transcript_free(&expected);
}

static bool is_within(struct str part, struct str whole)
{
    return part.at >= whole.at && part.len <= whole.len &&
           (size_t)(part.at - whole.at) <= whole.len - part.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str input = {(const char *)bytes, len};
    const char *newline = len ? memchr(bytes, '\n', len) : NULL;
    struct str type = {input.at, newline ? (size_t)(newline - input.at) : 0};
    struct str body = newline ? (struct str){newline + 1, len - type.len - 1} : input;

    struct err err = {0};
    struct str boundary = STR("B");
    if (multipart_boundary(type, &boundary, &err) == 0)
        require(boundary.len > 0 && boundary.len <= MULTIPART_BOUNDARY_MAX &&
                is_within(boundary, type));
    else
        require(err.code == ERR_INVALID && err.text[0] != '\0' && str_eq(boundary, STR("B")));

    uint64_t seed = len;
    for (size_t i = 0; i < len; i++)
        seed = seed * 31 + bytes[i];
    if (body.len == 0)
        body = STR("");
    check_body(boundary, MULTIPART_REQUIRED, body, seed);
    check_body(boundary, MULTIPART_DELIMITED, body, seed);
    return 0;
}
