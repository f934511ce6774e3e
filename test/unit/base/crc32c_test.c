/* crc32c_test.c - the values of the RFC, and every way of computing the same.
 *
 * Includes the source itself: both the instruction and the tables are tested,
 * whichever this processor would choose.
 */
#include "base/crc32c.c"

#include <stdlib.h>

#include "lib/check.h"

enum { SIZE = 3 * 4096 * 2 + 3 * 256 + 40 };

static unsigned char bytes[SIZE + 16];

static void fill(void)
{
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (unsigned char)(x >> 24);
    }
}

/* By the definition: one bit at a time. */
static uint32_t slow(uint32_t crc, const unsigned char *p, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

TEST(the_values_of_rfc_3720_come_out)
{
    unsigned char block[32];
    memset(block, 0, sizeof block);
    CHECK(crc32c(0, block, sizeof block) == 0x8a9136aa);
    memset(block, 0xff, sizeof block);
    CHECK(crc32c(0, block, sizeof block) == 0x62a8ab43);
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = (unsigned char)i;
    CHECK(crc32c(0, block, sizeof block) == 0x46dd794e);
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = (unsigned char)(31 - i);
    CHECK(crc32c(0, block, sizeof block) == 0x113fdb5c);
    CHECK(crc32c(0, "123456789", 9) == 0xe3069283);
}

TEST(nothing_changes_nothing)
{
    CHECK(crc32c(0, "", 0) == 0);
    CHECK(crc32c(0, NULL, 0) == 0);
    CHECK(crc32c(0xe3069283, "", 0) == 0xe3069283);
}

TEST(every_length_and_alignment_agrees_with_the_definition)
{
    fill();
    int wrong = 0;
    for (size_t len = 0; len <= SIZE; len = len < 1600 ? len + 1 : len + 397)
        for (size_t offset = 0; offset < 9; offset += 1 + len / 256) {
            uint32_t right = slow(0, bytes + offset, len);
            wrong += crc32c(0, bytes + offset, len) != right;
            wrong += ~by_table(~0u, bytes + offset, len) != right;
        }
    CHECK(wrong == 0);
}

TEST(a_checksum_in_two_pieces_is_that_of_the_whole)
{
    fill();
    uint32_t whole = crc32c(0, bytes, SIZE);
    int wrong = 0;
    for (size_t cut = 0; cut <= SIZE; cut += 61) {
        wrong += crc32c(crc32c(0, bytes, cut), bytes + cut, SIZE - cut) != whole;
        wrong += ~by_table(by_table(~0u, bytes, cut), bytes + cut, SIZE - cut) != whole;
    }
    CHECK(wrong == 0);
}

TEST(each_flipped_bit_shows)
{
    fill();
    uint32_t whole = crc32c(0, bytes, SIZE);
    int unseen = 0;
    for (size_t i = 0; i < SIZE; i += 37) {
        bytes[i] ^= (unsigned char)(1 << i % 8);
        unseen += crc32c(0, bytes, SIZE) == whole;
        bytes[i] ^= (unsigned char)(1 << i % 8);
    }
    CHECK(unseen == 0);
}
