/* make_record.h - records of runs for tests, from the few things that matter.
 *
 *     struct make_run specs[] = {{.id = id, .trace = trace, .name = "chat"}};
 *     struct made_record *made = make_record(specs, 1);
 *     ... made->record ...
 *     made_free(made);
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "run/record.h"

struct make_run {
    struct uuid id, trace;
    const char *name;    /* what stands between the quotes of the JSON; NULL: no name */
    const char *project; /* likewise */
    int64_t start_us;
    int64_t end_us;  /* 0: as start_us */
    uint64_t number; /* part of the content: runs that differ in it have different hashes */
};

struct made_record {
    struct record record;
    char *bytes; /* holds the table and the body */
};

struct made_record *make_record(const struct make_run *runs, size_t count);
void made_free(struct made_record *made); /* NULL is fine */

/* A stream of numbers that is the same every time (splitmix64). */
struct make_random {
    uint64_t state;
};
uint64_t make_random(struct make_random *random);
struct uuid make_uuid(struct make_random *random); /* version 4 */

/* The n-th id of a fixed set: no bytes in common with its neighbours. */
struct uuid make_id(uint64_t n);
