/* frame_test.c - what goes into a frame comes out of it, or an error does. */
#include "base/frame.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "lib/check.h"

/* A frame of `in`, in memory of exactly its size. */
static struct str pack(struct str in, int level)
{
    struct frame_packer *packer = frame_packer_new(level);
    char *room = malloc(frame_bound(in.len));
    size_t len = frame_pack(packer, in, room);
    CHECK(len > 0 && len <= frame_bound(in.len));
    char *exact = malloc(len);
    memcpy(exact, room, len);
    free(room);
    frame_packer_free(packer);
    return (struct str){exact, len};
}

static void drop(struct str frame)
{
    free((void *)(uintptr_t)frame.at);
}

static char *numbers(size_t len)
{
    char *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * i >> 7);
    return bytes;
}

TEST(bytes_of_every_size_come_back_as_they_were)
{
    static const size_t sizes[] = {
        0, 1, 2, 3, 17, 255, 256, 1000, 65535, 131072, (1 << 17) + 1, 1 << 20, 3000000};
    struct frame_opener *opener = frame_opener_new();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = numbers(sizes[i]);
        char *room = malloc(sizes[i] + 1);
        struct str in = {bytes, sizes[i]};
        for (int level = 1; level < 8; level += 2) {
            struct str frame = pack(in, level);
            size_t size = 1;
            struct err err = {0};
            CHECK(frame_measure(frame, &size) == frame.len && size == in.len);
            CHECK(frame_open(opener, frame, room, in.len, &err) == 0);
            CHECK(memcmp(room, bytes, in.len) == 0);
            drop(frame);
        }
        free(room);
        free(bytes);
    }
    frame_opener_free(opener);
}

TEST(the_first_bytes_of_a_frame_can_be_had_without_the_rest)
{
    enum { SIZE = 700000 };
    char *bytes = numbers(SIZE);
    struct str frame = pack((struct str){bytes, SIZE}, 3);
    struct frame_opener *opener = frame_opener_new();
    for (size_t size = 0; size <= SIZE; size += size < 300 ? 1 : 69970) {
        char *room = malloc(size + 1); /* so that a byte too many is seen */
        room[size] = 'x';
        CHECK(frame_open(opener, frame, room, size, NULL) == 0);
        CHECK(memcmp(room, bytes, size) == 0 && room[size] == 'x');
        free(room);
    }
    char room[1];
    CHECK(frame_open(opener, frame, room, SIZE + 1, NULL) == ERR_CORRUPT);
    frame_opener_free(opener);
    drop(frame);
    free(bytes);
}

TEST(an_opener_is_as_good_after_an_error_or_a_part)
{
    char *bytes = numbers(5000), room[5000];
    struct str good = pack((struct str){bytes, 5000}, 3);
    struct frame_opener *opener = frame_opener_new();
    for (int i = 0; i < 20; i++) {
        CHECK(frame_open(opener, good, room, i % 2 ? 100 : 5000, NULL) == 0);
        CHECK(memcmp(room, bytes, i % 2 ? 100 : 5000) == 0);
        CHECK(frame_open(opener, (struct str){good.at, good.len - 1}, room, 5000, NULL) ==
              ERR_CORRUPT);
        CHECK(frame_open(opener, STR("no frame at all"), room, 1, NULL) == ERR_CORRUPT);
    }
    frame_opener_free(opener);
    drop(good);
    free(bytes);
}

TEST(no_flipped_bit_of_a_frame_gives_other_bytes)
{
    char *bytes = numbers(3000), room[3000];
    struct str frame = pack((struct str){bytes, 3000}, 3);
    struct frame_opener *opener = frame_opener_new();
    char *changed = malloc(frame.len);
    for (size_t bit = 0; bit < frame.len * 8; bit++) {
        struct err err = {0};
        memcpy(changed, frame.at, frame.len);
        changed[bit / 8] ^= (char)(1 << bit % 8);
        int r = frame_open(opener, (struct str){changed, frame.len}, room, 3000, &err);
        CHECK(r == (int)err.code);
        CHECK(r == ERR_CORRUPT || (r == 0 && memcmp(room, bytes, 3000) == 0));
    }
    free(changed);
    frame_opener_free(opener);
    drop(frame);
    free(bytes);
}

TEST(a_frame_cut_anywhere_is_measured_as_none)
{
    char *bytes = numbers(3000), room[3000];
    struct str frame = pack((struct str){bytes, 3000}, 3);
    struct frame_opener *opener = frame_opener_new();
    for (size_t len = 0; len < frame.len; len++) {
        char *exact = malloc(len + 1);
        size_t size = 0;
        struct err err = {0};
        memcpy(exact, frame.at, len);
        CHECK(frame_measure((struct str){exact, len}, &size) == 0);
        CHECK(frame_open(opener, (struct str){exact, len}, room, 3000, &err) == ERR_CORRUPT);
        CHECK(err.text[0] != '\0');
        free(exact);
    }
    frame_opener_free(opener);
    drop(frame);
    free(bytes);
}

TEST(a_frame_is_measured_whatever_follows_it)
{
    char *bytes = numbers(900);
    struct str frame = pack((struct str){bytes, 900}, 3);
    char *longer = malloc(frame.len + 50);
    size_t size = 0;
    memcpy(longer, frame.at, frame.len);
    for (int fill = 0; fill < 256; fill += 51) {
        memset(longer + frame.len, fill, 50);
        CHECK(frame_measure((struct str){longer, frame.len + 50}, &size) == frame.len);
        CHECK(size == 900);
    }
    struct frame_opener *opener = frame_opener_new();
    char room[900];
    CHECK(frame_open(opener, (struct str){longer, frame.len + 50}, room, 900, NULL) ==
          ERR_CORRUPT); /* it is not one frame */
    frame_opener_free(opener);
    free(longer);
    drop(frame);
    free(bytes);
}

/* By hand, RFC 8878 3.1.1: magic, a descriptor, a window, one raw block of one byte. */
TEST(a_frame_that_does_not_say_how_much_is_in_it_is_none)
{
    static const char unsaid[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0, 0x38, 9, 0, 0, 'x'};
    static const char said[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0x20, 1, 9, 0, 0, 'x'};
    size_t size = 0;
    char room[2];
    struct frame_opener *opener = frame_opener_new();
    CHECK(frame_measure((struct str){unsaid, sizeof unsaid}, &size) == 0);
    CHECK(frame_open(opener, (struct str){unsaid, sizeof unsaid}, room, 1, NULL) == ERR_CORRUPT);
    CHECK(frame_measure((struct str){said, sizeof said}, &size) == sizeof said && size == 1);
    CHECK(frame_open(opener, (struct str){said, sizeof said}, room, 1, NULL) == 0);
    CHECK(room[0] == 'x');
    frame_opener_free(opener);
}

TEST(a_frame_has_a_content_checksum)
{
    struct str frame = pack(STR("content"), 3);
    CHECK(get_u32(frame.at) == 0xFD2FB528u);
    CHECK(frame.at[4] & 4); /* RFC 8878 3.1.1.1.1.5 */
    drop(frame);
}
