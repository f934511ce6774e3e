/* intern.h - texts and the numbers they have, remembered.
 *
 * Shape    a hash table that only grows; whoever owns it empties it
 * Threads  one
 * Memory   keeps copies of the texts; running out of it aborts
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct intern_entry {
    uint64_t hash, number; /* number 0: empty */
    struct str text;       /* from malloc */
};

struct intern {
    struct intern_entry *at;
    size_t count, cap, bytes;
};

uint64_t intern_get(const struct intern *intern, uint64_t hash, struct str text); /* 0: unknown */
void intern_put(struct intern *intern, uint64_t hash, struct str text, uint64_t number);
void intern_clear(struct intern *intern);
