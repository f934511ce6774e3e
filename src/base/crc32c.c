/* crc32c.c - see crc32c.h.
 *
 * With SSE 4.2: the crc32 instruction takes 8 bytes each cycle but needs three
 * cycles for its answer, so one stream uses a third of it.  A block is cut into
 * three lanes, each with a checksum of its own; the checksum of the whole is
 *
 *     first * x^(bits of two lanes)  xor  second * x^(bits of one lane)  xor  third
 *
 * modulo the polynomial.  A carry-less multiplication by x^(bits - 33), which is
 * a constant for each length of lane, gives a product of 64 bits that the crc32
 * instruction itself reduces (and its 32 shifts, with one of bit reversal, make
 * up the 33).  Long lanes first, then short ones, then words, then bytes.
 *
 * Elsewhere: 8 bytes at a time by 8 tables, which the compiler computes.
 *
 * Measured by bench/crc_bench.c.
 * Sources  Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32
 *          Instruction", Intel, 2011; Kounavis and Berry, "A Systematic Approach
 *          to Building High Performance Software-Based CRC Generators", 2005
 */
#include "base/crc32c.h"

#include <stdbool.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/bytes.h"

/* The checksum is linear: a table's entry is the xor of the entries of its
 * bits.  a..h are the entries of the bits 1, 2, .. 128. */
#define BITS(n, a, b, c, d, e, f, g, h)                                                            \
    (((n)&1 ? (a) : 0) ^ ((n)&2 ? (b) : 0) ^ ((n)&4 ? (c) : 0) ^ ((n)&8 ? (d) : 0) ^               \
     ((n)&16 ? (e) : 0) ^ ((n)&32 ? (f) : 0) ^ ((n)&64 ? (g) : 0) ^ ((n)&128 ? (h) : 0))
#define FOUR(n, ...)                                                                               \
    BITS(n, __VA_ARGS__), BITS((n) + 1, __VA_ARGS__), BITS((n) + 2, __VA_ARGS__),                  \
        BITS((n) + 3, __VA_ARGS__)
#define SIXTEEN(n, ...)                                                                            \
    FOUR(n, __VA_ARGS__), FOUR((n) + 4, __VA_ARGS__), FOUR((n) + 8, __VA_ARGS__),                  \
        FOUR((n) + 12, __VA_ARGS__)
#define SIXTY_FOUR(n, ...)                                                                         \
    SIXTEEN(n, __VA_ARGS__), SIXTEEN((n) + 16, __VA_ARGS__), SIXTEEN((n) + 32, __VA_ARGS__),       \
        SIXTEEN((n) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
    {                                                                                              \
        SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), SIXTY_FOUR(128, __VA_ARGS__),     \
            SIXTY_FOUR(192, __VA_ARGS__)                                                           \
    }

/* table[k][n]: byte n, followed by k bytes of zero. */
static const uint32_t table[8][256] = {
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
          0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
          0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
          0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
          0x52a0c93f),
    TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
          0x6ea2d55c),
    TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
          0x1c08b7d6),
    TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
          0xf56e0ef4),
    TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
          0x34019664),
};

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word = get_u64(p) ^ crc;
        crc = table[7][word & 255] ^ table[6][word >> 8 & 255] ^ table[5][word >> 16 & 255] ^
              table[4][word >> 24 & 255] ^ table[3][word >> 32 & 255] ^ table[2][word >> 40 & 255] ^
              table[1][word >> 48 & 255] ^ table[0][word >> 56];
    }
    for (; len > 0; p++, len--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return crc;
}

#ifdef __x86_64__
#define SSE __attribute__((target("sse4.2,pclmul")))

enum { LONG_LANE = 4096, SHORT_LANE = 256 };

static bool has_sse(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

/* `crc` times the power of x that `factor` stands for, not yet reduced. */
SSE static uint64_t shift(uint64_t crc, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128((int)factor), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* Three lanes of `lane` bytes; `by_one` and `by_two` are x^(8 * lane - 33) and
 * x^(16 * lane - 33), bits reversed. */
SSE static inline uint64_t three_lanes(uint64_t crc, const unsigned char *p, size_t lane,
                                       uint32_t by_one, uint32_t by_two)
{
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < lane - 8; i += 8) {
        crc = _mm_crc32_u64(crc, get_u64(p + i));
        second = _mm_crc32_u64(second, get_u64(p + lane + i));
        third = _mm_crc32_u64(third, get_u64(p + 2 * lane + i));
    }
    /* The last step of the third lane reduces the products on the way. */
    crc = _mm_crc32_u64(crc, get_u64(p + lane - 8));
    second = _mm_crc32_u64(second, get_u64(p + 2 * lane - 8));
    uint64_t last = get_u64(p + 3 * lane - 8);
    return _mm_crc32_u64(third, last ^ shift(crc, by_two) ^ shift(second, by_one));
}

SSE static uint32_t by_sse(uint32_t start, const unsigned char *p, size_t len)
{
    const size_t long_block = (size_t)3 * LONG_LANE, short_block = (size_t)3 * SHORT_LANE;
    uint64_t crc = start;
    for (; len >= long_block; p += long_block, len -= long_block)
        crc = three_lanes(crc, p, LONG_LANE, 0x82f89c77, 0x54a86326);
    for (; len >= short_block; p += short_block, len -= short_block)
        crc = three_lanes(crc, p, SHORT_LANE, 0xb9e02b86, 0xdd7e3b0c);
    for (; len >= 8; p += 8, len -= 8)
        crc = _mm_crc32_u64(crc, get_u64(p));
    for (; len > 0; p++, len--)
        crc = _mm_crc32_u8((uint32_t)crc, *p);
    return (uint32_t)crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t len)
{
#ifdef __x86_64__
    if (has_sse())
        return ~by_sse(~crc, bytes, len);
#endif
    return ~by_table(~crc, bytes, len);
}
