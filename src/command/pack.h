/* pack.h - one container of the data directory, for the words of `rundlet pack`.
 *
 * Threads  the main thread
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct command_args;

struct pack_asked {
    const struct command_args *args;
    struct str packs; /* the directory */
    uint64_t number;
    const char *name; /* of the file */
};

/* Print its runs, in the order in which they lie there; what the command ends with. */
int pack_cat(const struct pack_asked *asked);

/* Are --id and --trace what they should be?  If not, it was said. */
bool pack_cat_fits(const struct command_args *args);
