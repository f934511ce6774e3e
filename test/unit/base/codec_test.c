/* codec_test.c - what one end of the wire packs, the other end unpacks. */
#include "base/codec.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"
#include "lib/check.h"

/* printf 'hello' | gzip -n9, and | zstd, made with the command-line tools. */
static const char hello_gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07"
                                 "\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
static const char hello_zstd[] = "\x28\xb5\x2f\xfd\x04\x58\x29\x00\x00\x68\x65\x6c\x6c\x6f\xa3\x6d"
                                 "\x9f\x88";
static const char empty_zstd[] = "\x28\xb5\x2f\xfd\x24\x00\x01\x00\x00\x99\xe9\xd8\x51";
static const char skip_zstd[] = "\x5a\x2a\x4d\x18\x03\x00\x00\x00xyz";

#define BYTES(array) ((struct str){(array), sizeof(array) - 1})

/* Decode `in` in pieces of at most `piece`, into a room of `size`. */
static int decode(enum coding coding, struct str in, size_t piece, size_t size, struct text *out,
                  struct err *err)
{
    struct decoder *decoder = decoder_new(coding);
    char *room = malloc(size);
    int r = 0;
    while (!r && in.len > 0) {
        struct str part = {in.at, in.len < piece ? in.len : piece};
        size_t made = 0;
        in.at += part.len;
        in.len -= part.len;
        do {
            r = decoder_step(decoder, &part, room, size, &made, err);
            if (!r)
                text_add(out, (struct str){room, made});
        } while (!r && (made > 0 || part.len > 0));
    }
    if (!r)
        r = decoder_end(decoder, err);
    free(room);
    decoder_free(decoder);
    return r;
}

static bool decodes_to(enum coding coding, struct str in, struct str expected)
{
    bool good = true;
    for (size_t piece = 1; piece <= in.len; piece++)
        for (size_t size = 1; size <= 16; size += 5) {
            struct text out = {0};
            struct err err = {0};
            int r = decode(coding, in, piece, size, &out, &err);
            good &= r == 0 && str_eq(text_str(&out), expected);
            text_free(&out);
        }
    return good;
}

static int fails_with(enum coding coding, struct str in)
{
    int first = 0;
    for (size_t piece = 1; piece <= in.len + 1; piece++) {
        struct text out = {0};
        struct err err = {0};
        int r = decode(coding, in, piece, 4096, &out, &err);
        if (piece == 1)
            first = r;
        else if (r != first)
            first = -1; /* the cut must not matter */
        text_free(&out);
    }
    return first;
}

static struct str joined(struct text *text, struct str a, struct str b, struct str c)
{
    text->len = 0;
    text_add(text, a);
    text_add(text, b);
    text_add(text, c);
    return text_str(text);
}

TEST(known_streams_decode_however_they_are_cut)
{
    CHECK(decodes_to(CODING_GZIP, BYTES(hello_gzip), STR("hello")));
    CHECK(decodes_to(CODING_ZSTD, BYTES(hello_zstd), STR("hello")));
    CHECK(decodes_to(CODING_ZSTD, BYTES(empty_zstd), STR("")));
}

TEST(several_members_and_frames_are_one_stream)
{
    struct text t = {0};
    struct str gz = BYTES(hello_gzip);
    struct str zs = BYTES(hello_zstd);
    CHECK(decodes_to(CODING_GZIP, joined(&t, gz, gz, gz), STR("hellohellohello")));
    CHECK(decodes_to(CODING_ZSTD, joined(&t, zs, BYTES(empty_zstd), zs), STR("hellohello")));
    CHECK(decodes_to(CODING_ZSTD, joined(&t, zs, BYTES(empty_zstd), BYTES(empty_zstd)),
                     STR("hello")));
    CHECK(
        decodes_to(CODING_ZSTD, joined(&t, BYTES(skip_zstd), zs, BYTES(skip_zstd)), STR("hello")));
    text_free(&t);
}

TEST(trailing_bytes_that_are_no_frame_are_refused)
{
    struct text t = {0};
    struct str gz = BYTES(hello_gzip);
    struct str zs = BYTES(hello_zstd);
    CHECK(fails_with(CODING_GZIP, joined(&t, gz, STR("x"), STR(""))) == ERR_INVALID);
    CHECK(fails_with(CODING_GZIP, joined(&t, gz, STR("\0\0\0\0"), STR(""))) == ERR_INVALID);
    CHECK(fails_with(CODING_GZIP, joined(&t, gz, STR("\x1f"), STR(""))) == ERR_INVALID);
    CHECK(fails_with(CODING_ZSTD, joined(&t, zs, STR("x"), STR(""))) == ERR_INVALID);
    CHECK(fails_with(CODING_ZSTD, joined(&t, zs, STR("\x28\xb5"), STR(""))) == ERR_INVALID);
    CHECK(fails_with(CODING_ZSTD, joined(&t, zs, STR("\0\0\0\0\0"), STR(""))) == ERR_INVALID);
    text_free(&t);
}

TEST(a_stream_cut_anywhere_is_refused)
{
    for (size_t n = 0; n < sizeof hello_gzip - 1; n++)
        CHECK(fails_with(CODING_GZIP, (struct str){hello_gzip, n}) == ERR_INVALID);
    for (size_t n = 0; n < sizeof hello_zstd - 1; n++)
        CHECK(fails_with(CODING_ZSTD, (struct str){hello_zstd, n}) == ERR_INVALID);
}

TEST(a_flipped_bit_never_decodes_to_something_else)
{
    for (size_t i = 0; i < sizeof hello_gzip - 1; i++)
        for (int bit = 0; bit < 8; bit++) {
            char bad[sizeof hello_gzip];
            struct text out = {0};
            struct err err = {0};
            memcpy(bad, hello_gzip, sizeof bad);
            bad[i] = (char)(bad[i] ^ (1 << bit));
            /* Header bytes such as the time stamp may change without harm. */
            if (decode(CODING_GZIP, BYTES(bad), 7, 64, &out, &err) == 0)
                CHECK(str_eq(text_str(&out), STR("hello")));
            text_free(&out);
        }
    for (size_t i = 0; i < sizeof hello_zstd - 1; i++)
        for (int bit = 0; bit < 8; bit++) {
            char bad[sizeof hello_zstd];
            struct text out = {0};
            struct err err = {0};
            memcpy(bad, hello_zstd, sizeof bad);
            bad[i] = (char)(bad[i] ^ (1 << bit));
            if (decode(CODING_ZSTD, BYTES(bad), 7, 64, &out, &err) == 0 && out.len > 0)
                CHECK(str_eq(text_str(&out), STR("hello")));
            text_free(&out);
        }
}

TEST(a_zstd_window_over_the_limit_is_too_big)
{
    /* Window descriptors: exponent 17 and 18, that is 2^27 and 2^28 bytes; then one raw block
     * of one byte, the last. */
    static const char fits[] = "\x28\xb5\x2f\xfd\x00\x88\x09\x00\x00x";
    static const char over[] = "\x28\xb5\x2f\xfd\x00\x90\x09\x00\x00x";
    CHECK(decodes_to(CODING_ZSTD, BYTES(fits), STR("x")));
    CHECK(fails_with(CODING_ZSTD, BYTES(over)) == ERR_TOO_BIG);
}

TEST(formats_of_before_zstd_1_are_refused)
{
    for (char version = 0x22; version < 0x28; version++) {
        char old[] = "?\xb5\x2f\xfd\x20\x04\x00\x00\x00\x00\x00\x00";
        old[0] = version;
        CHECK(fails_with(CODING_ZSTD, BYTES(old)) == ERR_INVALID);
    }
}

/* Bytes that look like JSON and compress about as well. */
static struct str sample(struct text *text, size_t len)
{
    unsigned seed = 1;
    text->len = 0;
    text_room(text, 1);
    while (text->len < len) {
        seed = seed * 1103515245 + 12345;
        text_addf(text, "{\"id\":%u,\"name\":\"run %u\"},", seed, seed >> 20);
    }
    text->len = len;
    return text_str(text);
}

static bool round_trip(enum coding coding, struct str plain, size_t piece)
{
    struct encoder *encoder = encoder_new(coding);
    struct text packed = {0};
    struct text out = {0};
    struct err err = {0};
    struct str rest = plain;
    do {
        struct str part = {rest.at, rest.len < piece ? rest.len : piece};
        rest.at += part.len;
        rest.len -= part.len;
        struct buf *buf = encoder_step(encoder, part, rest.len == 0);
        text_add(&packed, (struct str){buf->at, buf->len});
        buf_unref(buf);
    } while (rest.len > 0);
    int r = decode(coding, text_str(&packed), 1000, 64 << 10, &out, &err);
    bool same = r == 0 && str_eq(text_str(&out), plain);
    bool smaller = plain.len < 1000 || packed.len < plain.len;
    encoder_free(encoder);
    text_free(&packed);
    text_free(&out);
    return same && smaller;
}

TEST(what_is_encoded_decodes_to_itself)
{
    static const size_t sizes[] = {0, 1, 100, 5000, 300000, 3 << 20};
    struct text text = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
            struct str plain = sample(&text, sizes[i]);
            CHECK(round_trip(coding, plain, plain.len + 1));
            CHECK(round_trip(coding, plain, 10007));
        }
    text_free(&text);
}

/* Pieces that are worth looking for repetitions in, and pieces that are not, in turns. */
TEST(a_stream_of_all_sorts_decodes_to_itself)
{
    enum { PIECE = 100 << 10, PIECES = 12 };
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *bytes = malloc(PIECE * PIECES);
    struct encoder *encoder = encoder_new(CODING_GZIP);
    struct text coded = {0};
    uint32_t seed = 7;
    CHECK(bytes != NULL);
    for (size_t i = 0; i < PIECES; i++) {
        char *piece = bytes + i * PIECE;
        bool flat = i % 3 == 1;
        for (size_t k = 0; k < PIECE; k++) {
            seed = seed * 1664525 + 1013904223;
            piece[k] = flat ? letters[seed >> 26] : "the same again, "[k % 16];
        }
        struct buf *out = encoder_step(encoder, (struct str){piece, PIECE}, i == PIECES - 1);
        CHECK(out != NULL);
        CHECK(i % 3 != 0 || out->len < PIECE / 8); /* what is behind a flat one has its end */
        text_add(&coded, (struct str){out->at, out->len});
        buf_unref(out);
    }
    encoder_free(encoder);
    struct text plain = {0};
    struct err err = {0};
    CHECK(decode(CODING_GZIP, text_str(&coded), 4099, 64 << 10, &plain, &err) == 0);
    CHECK(str_eq(text_str(&plain), (struct str){bytes, PIECE * PIECES}));
    text_free(&plain);
    text_free(&coded);
    free(bytes);
}

TEST(an_encoded_answer_keeps_little_spare_room)
{
    struct text text = {0};
    struct str plain = sample(&text, 100000);
    for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
        struct encoder *encoder = encoder_new(coding);
        struct buf *buf = encoder_step(encoder, plain, true);
        CHECK(buf->cap <= buf->len + buf->len / 4 + 512);
        buf_unref(buf);
        encoder_free(encoder);
    }
    text_free(&text);
}

TEST(a_bomb_comes_out_in_pieces_of_the_rooms_size)
{
    enum { PLAIN = 32 << 20 };
    for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
        struct encoder *encoder = encoder_new(coding);
        char *zeros = calloc(1, PLAIN);
        struct buf *bomb = encoder_step(encoder, (struct str){zeros, PLAIN}, true);
        struct decoder *decoder = decoder_new(coding);
        struct str in = {bomb->at, bomb->len};
        struct err err = {0};
        size_t made = 0;
        size_t total = 0;
        do {
            char room[4096];
            CHECK(decoder_step(decoder, &in, room, sizeof room, &made, &err) == 0);
            CHECK(made <= sizeof room);
            total += made;
        } while (made > 0 || in.len > 0);
        CHECK(total == PLAIN);
        CHECK(decoder_end(decoder, &err) == 0);
        decoder_free(decoder);
        buf_unref(bomb);
        free(zeros);
        encoder_free(encoder);
    }
}
