/* index_bed.h - an index of each kind, opened for a test and cleaned up after it. */
#pragma once

#include <stdint.h>

#include "index/index.h"
#include "lib/index_calls.h"
#include "lib/postgres_bed.h"

struct bed {
    struct calls calls;
    char dir[128];                /* of SQLite; else "" */
    struct postgres_bed database; /* of PostgreSQL; else its name is "" */
    uint64_t sequence;
    uint32_t ordinal;
};

void bed_memory(struct bed *bed);
void bed_sqlite(struct bed *bed);
void bed_postgres(struct bed *bed); /* if postgres_bed_possible() */
void bed_stop(struct bed *bed);
void bed_reopen(struct bed *bed); /* of the same files, or the same database */
