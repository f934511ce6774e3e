/* containers.h - which containers a data directory has, by their names.
 *
 * Threads  any; beside a process that writes, too
 * Errors   ERR_NOT_FOUND no such directory, ERR_IO, ERR_BUSY no memory
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/err.h"
#include "base/str.h"

enum { CONTAINER_NAME = 24 /* most bytes of "0123456789abcdef.pack", with its NUL */ };

struct container {
    uint64_t number;
    bool segment, pack; /* there is such a file; for a while after sealing there are both */
};

struct containers {
    struct container *at; /* heap; ascending by number */
    size_t count;
};

/* Those of two directories; one without packs may lack the second. */
int containers_list(struct str segments, struct str packs, struct containers *result,
                    struct err *err);
/* Remove what a killed sealing or backup left in a directory of packs. */
int containers_clean(const struct disk *disk, struct str packs, struct err *err);
void containers_free(struct containers *containers); /* empty again */

/* The one of that number, or NULL. */
const struct container *containers_find(const struct containers *containers, uint64_t number);

/* The name of its file, in `room`. */
struct str container_name(uint64_t number, bool pack, char room[CONTAINER_NAME]);

/* What an error says behind the name of its file, for who names that already. */
const char *container_why(const char *error);
