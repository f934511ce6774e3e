/* crc_bench.c - how fast bytes are checked, hashed and copied.
 *
 *     crc_bench [seconds per line, default 0.2]
 *
 * One thread, buffers that fit a cache and one that does not.  The best of the
 * rounds is printed, in 10^9 bytes a second: others use this machine too.
 */
#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/crc32c.h"

static volatile uint64_t sink; /* keeps the work from being left out */

static void by_crc32c(char *to, const char *from, size_t size)
{
    (void)to;
    sink = crc32c(0, from, size);
}

static void by_xxh3(char *to, const char *from, size_t size)
{
    (void)to;
    sink = XXH3_64bits(from, size);
}

static void by_memcpy(char *to, const char *from, size_t size)
{
    memcpy(to, from, size);
    sink = (unsigned char)to[size / 2];
}

static double best_rate(void (*work)(char *, const char *, size_t), char *to, const char *from,
                        size_t size, double seconds)
{
    double best = 0;
    size_t times = (size_t)1 << 22; /* bytes in a round */
    times = times / size + 1;
    int64_t end_us = clock_mono_us() + (int64_t)(seconds * 1e6);
    do {
        int64_t start_us = clock_mono_us();
        for (size_t i = 0; i < times; i++)
            work(to, from, size);
        int64_t took_us = clock_mono_us() - start_us;
        double rate = (double)(times * size) / 1e3 / (double)(took_us ? took_us : 1);
        best = rate > best ? rate : best;
    } while (clock_mono_us() < end_us);
    return best;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*work)(char *, const char *, size_t);
    } works[] = {{"crc32c", by_crc32c}, {"XXH3-64", by_xxh3}, {"memcpy", by_memcpy}};
    static const size_t sizes[] = {64, 1024, 4096, 65536, 1 << 20, 64 << 20};
    enum { WORKS = sizeof works / sizeof works[0], SIZES = sizeof sizes / sizeof sizes[0] };

    double seconds = argc > 1 ? atof(argv[1]) : 0.2;
    size_t largest = sizes[SIZES - 1];
    char *from = malloc(largest), *to = malloc(largest);
    if (!from || !to)
        return 1;
    for (size_t i = 0; i < largest; i++)
        from[i] = (char)(i * 2654435761u >> 13);
    memset(to, 1, largest);

    printf("%-8s", "GB/s");
    for (size_t s = 0; s < SIZES; s++)
        printf("%9zu B", sizes[s]);
    printf("\n");
    for (size_t w = 0; w < WORKS; w++) {
        printf("%-8s", works[w].name);
        for (size_t s = 0; s < SIZES; s++)
            printf("%11.1f", best_rate(works[w].work, to, from, sizes[s], seconds));
        printf("\n");
    }
    free(from);
    free(to);
    return 0;
}
