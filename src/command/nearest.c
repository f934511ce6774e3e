/* nearest.c - see nearest.h. */
#include "command/nearest.h"

#include <stdint.h>
#include <string.h>

/* How many letters must be changed, put in or left out to make one the other. */
static size_t distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t row[NEAREST_MAX + 1];
    if (a_len > NEAREST_MAX || b_len > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

bool nearest_is(const char *written, const char *name, size_t *best)
{
    size_t d = distance(written, name);
    if (d > strlen(name) / 3 + 1 || d >= *best)
        return false;
    *best = d;
    return true;
}
