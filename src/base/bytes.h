/* bytes.h - integers as they are stored: little endian, any alignment. */
#pragma once

#include <stdint.h>
#include <string.h>

static inline void put_u32(void *at, uint32_t v)
{
    unsigned char *p = at;
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
    p[2] = (unsigned char)(v >> 16);
    p[3] = (unsigned char)(v >> 24);
}

static inline void put_u64(void *at, uint64_t v)
{
    put_u32(at, (uint32_t)v);
    put_u32((unsigned char *)at + 4, (uint32_t)(v >> 32));
}

static inline uint32_t get_u32(const void *at)
{
    const unsigned char *p = at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const void *at)
{
    return get_u32(at) | (uint64_t)get_u32((const unsigned char *)at + 4) << 32;
}
