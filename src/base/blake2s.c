/* blake2s.c - see blake2s.h. */
#include "base/blake2s.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

enum { BLOCK = 64, ROUNDS = 10 };

static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Which words of the block each round takes, in its order. */
static const uint8_t order[ROUNDS][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint32_t turn(uint32_t word, int by)
{
    return word >> by | word << (32 - by);
}

static void mix(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d, uint32_t x, uint32_t y)
{
    *a += *b + x;
    *d = turn(*d ^ *a, 16);
    *c += *d;
    *b = turn(*b ^ *c, 12);
    *a += *b + y;
    *d = turn(*d ^ *a, 8);
    *c += *d;
    *b = turn(*b ^ *c, 7);
}

/* `sum`: bytes up to the end of this block. */
static void take_block(uint32_t state[8], const unsigned char *block, uint64_t sum, int last)
{
    uint32_t m[16], v[16];
    for (int i = 0; i < 16; i++)
        m[i] = get_u32(block + 4 * i);
    memcpy(v, state, 8 * sizeof *v);
    memcpy(v + 8, start, sizeof start);
    v[12] ^= (uint32_t)sum;
    v[13] ^= (uint32_t)(sum >> 32);
    if (last)
        v[14] = ~v[14];
    for (int r = 0; r < ROUNDS; r++) {
        const uint8_t *s = order[r];
        for (int i = 0; i < 4; i++) /* columns, */
            mix(&v[i], &v[4 + i], &v[8 + i], &v[12 + i], m[s[2 * i]], m[s[2 * i + 1]]);
        for (int i = 0; i < 4; i++) /* then diagonals */
            mix(&v[i], &v[4 + (i + 1) % 4], &v[8 + (i + 2) % 4], &v[12 + (i + 3) % 4],
                m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++)
        state[i] ^= v[i] ^ v[8 + i];
}

void blake2s(struct str key, struct str message, uint8_t out[BLAKE2S])
{
    assert(key.len <= BLAKE2S);
    uint32_t state[8];
    unsigned char block[BLOCK] = {0};
    uint64_t sum = 0;
    memcpy(state, start, sizeof state);
    state[0] ^= 0x01010000U ^ (uint32_t)key.len << 8 ^ BLAKE2S;
    if (key.len > 0) {
        memcpy(block, key.at, key.len);
        sum = BLOCK;
        take_block(state, block, sum, message.len == 0);
    }
    while (message.len > BLOCK) {
        sum += BLOCK;
        take_block(state, (const unsigned char *)message.at, sum, 0);
        message = (struct str){message.at + BLOCK, message.len - BLOCK};
    }
    if (message.len > 0 || key.len == 0) {
        memset(block, 0, sizeof block);
        if (message.len > 0)
            memcpy(block, message.at, message.len);
        sum += message.len;
        take_block(state, block, sum, 1);
    }
    for (int i = 0; i < 8; i++)
        put_u32(out + 4 * i, state[i]);
}
