/* numbered.c - see numbered.h. */
#include "store/numbered.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 16 };

int numbered_path(struct str dir, uint64_t number, const char *ending, char *path, struct err *err)
{
    int n = snprintf(path, NUMBERED_PATH, "%.*s/%016" PRIx64 "%s", STR_FMT(dir), number, ending);
    if (n < 0 || n >= NUMBERED_PATH)
        return err_set(err, ERR_INVALID, "the data directory's name is too long");
    return 0;
}

bool numbered_name(const char *name, const char *ending, uint64_t *number)
{
    if (strlen(name) != DIGITS + strlen(ending) || strcmp(name + DIGITS, ending) != 0)
        return false;
    uint64_t n = 0;
    for (int i = 0; i < DIGITS; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            n = n << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *number = n;
    return n > 0;
}
