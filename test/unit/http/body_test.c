/* body_test.c - bodies are the same however they are cut. */
#include "http/body.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"
#include "lib/check.h"

static const struct body_limits roomy = {
    .wire_max = 64 << 20, .body_max = 64 << 20, .ratio_max = 200};

struct result {
    int status; /* 0: complete; -1: more was wanted */
    size_t used;
    uint64_t wire;
    struct text out;
};

/* Feed `bytes` in pieces: one of `cut` bytes, then of `step`. */
static struct result feed(const struct head *head, const struct body_limits *limits,
                          struct str bytes, size_t cut, size_t step, size_t room_size)
{
    struct result result = {.status = -1};
    struct body body;
    struct refusal why = {0};
    char *room = malloc(room_size);
    size_t end = cut < bytes.len ? cut : bytes.len;
    body_open(&body, head, limits);
    if (body.ended)
        result.status = 0;
    while (!body.ended) {
        struct str in = {bytes.at + result.used, end - result.used};
        struct str piece = STR("");
        enum body_event event = body_next(&body, &in, room, room_size, &piece, &why);
        result.used = (size_t)(in.at - bytes.at);
        if (event == BODY_FAILED) {
            result.status = why.status;
            break;
        }
        if (event == BODY_PIECE || event == BODY_LAST)
            text_add(&result.out, piece);
        if (event == BODY_LAST || event == BODY_END)
            result.status = 0;
        if (event == BODY_MORE) {
            if (end == bytes.len)
                break;
            end = bytes.len - end < step ? bytes.len : end + step;
        }
    }
    result.wire = body.wire;
    body_close(&body);
    free(room);
    return result;
}

/* The status, if all ways to cut agree on it and on what came out; else -2. */
static int status_of(const struct head *head, struct str bytes, const char *expected)
{
    struct result whole = feed(head, &roomy, bytes, bytes.len, 1, 4096);
    int status = whole.status;
    if (status == 0 && expected &&
        !str_eq(text_str(&whole.out), (struct str){expected, strlen(expected)}))
        status = -3;
    for (size_t cut = 0; cut <= bytes.len + 1; cut++) {
        struct result part = cut > bytes.len ? feed(head, &roomy, bytes, 1, 1, 1)
                                             : feed(head, &roomy, bytes, cut, bytes.len, 7);
        /* How far a decoder read before it failed is its own business. */
        bool same = part.status == whole.status;
        if (part.status <= 0)
            same &= part.used == whole.used && str_eq(text_str(&part.out), text_str(&whole.out));
        if (!same)
            status = -2;
        text_free(&part.out);
    }
    text_free(&whole.out);
    return status;
}

static int chunked(struct str bytes, const char *expected)
{
    struct head head = {.chunked = true};
    return status_of(&head, bytes, expected);
}

TEST(a_body_of_known_length_ends_there)
{
    struct head head = {.length = 5};
    CHECK(status_of(&head, STR("helloGET /"), "hello") == 0);
    CHECK(status_of(&head, STR("hell"), NULL) == -1);
    struct result r = feed(&head, &roomy, STR("helloGET /"), 100, 1, 10);
    CHECK(r.used == 5 && r.wire == 5);
    text_free(&r.out);
}

TEST(chunks_are_joined)
{
    CHECK(chunked(STR("0\r\n\r\n"), "") == 0);
    CHECK(chunked(STR("5\r\nhello\r\n0\r\n\r\nGET"), "hello") == 0);
    CHECK(chunked(STR("3\r\nhel\r\n02\r\nlo\r\n000\r\n\r\n"), "hello") == 0);
    CHECK(chunked(STR("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789") == 0);
    CHECK(chunked(STR("0000000000000001\r\nx\r\n0\r\n\r\n"), "x") == 0);
    CHECK(chunked(STR("1;a=b\r\nx\r\n0;last\r\n\r\n"), "x") == 0);
    CHECK(chunked(STR("1;a=\"b c\"\t\r\nx\r\n0\r\n\r\n"), "x") == 0);
    CHECK(chunked(STR("1\r\nx\r\n0\r\nDigest: abc\r\nX-Y:\r\n\r\n"), "x") == 0);
}

TEST(wrong_chunks_are_refused)
{
    static const char *const samples[] = {
        "\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\rX0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5 ;a\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "5,\r\nhello\r\n0\r\n\r\n",
        "5_0\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a\x01\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\x7f\r\nhello\r\n0\r\n\r\n",
        ";\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\nX\r\n\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\n X: 1\r\n\r\n",
        "0\r\n: 1\r\n\r\n",
        "0\r\nX: 1\n\r\n",
        "0\r\nX: 1\r\n y\r\n\r\n",
        "0\r\nX: \x02\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        int status = chunked((struct str){samples[i], strlen(samples[i])}, NULL);
        if (status != 400)
            fprintf(stderr, "%d: %s\n", status, samples[i]);
        CHECK(status == 400);
    }
    CHECK(chunked(STR("5;\0\r\nhello\r\n0\r\n\r\n"), NULL) == 400);
}

TEST(a_chunk_size_of_all_ones_is_too_large_and_does_not_overflow)
{
    CHECK(chunked(STR("ffffffffffffffff\r\nxxx"), NULL) == 413);
    CHECK(chunked(STR("1\r\nx\r\nffffffffffffffff\r\nxxx"), NULL) == 413);
    CHECK(chunked(STR("fffffffffffffffff\r\nxxx"), NULL) == 400);
}

TEST(extensions_and_trailers_are_bounded)
{
    struct head head = {.chunked = true};
    struct text t = {0};
    text_add(&t, STR("1;"));
    for (int i = 0; i < 2000; i++)
        text_add_char(&t, 'e');
    struct result r = feed(&head, &roomy, text_str(&t), t.len, 1, 10);
    CHECK(r.status == 400);
    t.len = 0;
    text_add(&t, STR("0\r\n"));
    for (int i = 0; i < 2000; i++)
        text_add(&t, STR("X-Trailer: value\r\n"));
    r = feed(&head, &roomy, text_str(&t), t.len, 1, 10);
    CHECK(r.status == 400);
    text_free(&t);
}

TEST(limits_hold_for_what_was_sent_and_for_what_it_unpacks_to)
{
    struct body_limits limits = {.wire_max = 10, .body_max = 8, .ratio_max = 200};
    struct refusal why = {0};
    struct body body;
    struct head head = {.length = 9};
    body_open(&body, &head, &limits);
    CHECK(!body_fits(&body, &why) && why.status == 413);
    CHECK(strstr(why.sentence, " 8 "));
    head.length = UINT64_MAX;
    body_open(&body, &head, &limits);
    CHECK(!body_fits(&body, &why) && why.status == 413);
    head.length = 8;
    body_open(&body, &head, &limits);
    CHECK(body_fits(&body, &why));

    struct head chunks = {.chunked = true};
    struct result r = feed(&chunks, &limits, STR("9\r\n"), 9, 1, 10);
    CHECK(r.status == 413);
    limits = (struct body_limits){.wire_max = 100, .body_max = 8, .ratio_max = 200};
    r = feed(&chunks, &limits, STR("4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n"), 99, 1, 10);
    CHECK(r.status == 0 && r.out.len == 8);
    text_free(&r.out);
    r = feed(&chunks, &limits, STR("4\r\nabcd\r\n5\r\nefghi\r\n0\r\n\r\n"), 99, 1, 10);
    CHECK(r.status == 413);
    text_free(&r.out);
}

static struct buf *packed(enum coding coding, struct str plain)
{
    struct encoder *encoder = encoder_new(coding);
    struct buf *buf = encoder_step(encoder, plain, true);
    encoder_free(encoder);
    return buf;
}

TEST(packed_bodies_are_unpacked_in_both_framings)
{
    for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
        struct buf *buf = packed(coding, STR("hello, hello, hello"));
        struct text t = {0};
        struct head known = {.coding = coding, .length = buf->len};
        text_add(&t, (struct str){buf->at, buf->len});
        text_add(&t, STR("GET"));
        CHECK(status_of(&known, text_str(&t), "hello, hello, hello") == 0);

        struct head chunks = {.coding = coding, .chunked = true};
        t.len = 0;
        text_addf(&t, "%zx\r\n", buf->len - 3);
        text_add(&t, (struct str){buf->at, buf->len - 3});
        text_add(&t, STR("\r\n3\r\n"));
        text_add(&t, (struct str){buf->at + buf->len - 3, 3});
        text_add(&t, STR("\r\n0\r\n\r\n"));
        CHECK(status_of(&chunks, text_str(&t), "hello, hello, hello") == 0);

        /* Cut short: the framing is complete, the stream is not. */
        struct head shorter = {.coding = coding, .length = buf->len - 1};
        CHECK(status_of(&shorter, (struct str){buf->at, buf->len - 1}, NULL) == 400);
        struct head empty = {.coding = coding, .chunked = true};
        CHECK(status_of(&empty, STR("0\r\n\r\n"), "") == 0);
        struct head wrong = {.coding = coding, .length = 5};
        CHECK(status_of(&wrong, STR("hello"), NULL) == 400);
        text_free(&t);
        buf_unref(buf);
    }
}

TEST(a_bomb_is_stopped_by_the_ratio_and_by_the_limit)
{
    enum { PLAIN = 72 << 20 };
    char *zeros = calloc(1, PLAIN);
    for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
        struct buf *bomb = packed(coding, (struct str){zeros, PLAIN});
        struct head head = {.coding = coding, .length = bomb->len};
        struct body_limits limits = roomy;
        limits.body_max = PLAIN;
        struct result r =
            feed(&head, &limits, (struct str){bomb->at, bomb->len}, bomb->len, 1, 4096);
        CHECK(r.status == 413);
        CHECK(r.out.len <= PLAIN / 2);
        text_free(&r.out);
        limits.ratio_max = 1000000;
        limits.body_max = 100000;
        r = feed(&head, &limits, (struct str){bomb->at, bomb->len}, bomb->len, 1, 4096);
        CHECK(r.status == 413);
        CHECK(r.out.len <= 100000);
        text_free(&r.out);
        limits.body_max = PLAIN;
        r = feed(&head, &limits, (struct str){bomb->at, bomb->len}, bomb->len, 1, 4096);
        CHECK(r.status == 0 && r.out.len == PLAIN);
        text_free(&r.out);
        buf_unref(bomb);
    }
    free(zeros);
}

TEST(a_body_nobody_wants_is_framed_but_not_unpacked)
{
    struct head head = {.coding = CODING_GZIP, .chunked = true};
    struct body body;
    struct refusal why = {0};
    struct str in = STR("5\r\nhello\r\n0\r\n\r\nGET");
    struct str piece = STR("");
    char room[8];
    body_open(&body, &head, &roomy);
    body.discard = true;
    CHECK(body_next(&body, &in, room, sizeof room, &piece, &why) == BODY_END);
    CHECK(piece.len == 0);
    CHECK(str_eq(in, STR("GET")));
    body_close(&body);
}
