/* sqlite_walk.h - the rows of some ranges of keys, in the order of their start and id.
 *
 * Threads  a walk belongs to the thread of its reader
 * Errors   as sqlite_scan.h
 */
#pragma once

#include "index/sqlite_scan.h"
#include "run/query.h"

struct reader;

enum { WALK_RANGES = 64, WALK_ORDER = 8 + 16 /* bytes of start and id in a key */ };

/* Keys of a kind with this prefix; behind it stand start and id. */
struct walk_range {
    enum keys_kind kind;
    unsigned char prefix[16];
    size_t len;
};

struct walk {
    struct keys_scan scans[WALK_RANGES];
    unsigned char heads[WALK_RANGES][KEYS_WIDTH_MAX]; /* the next key of each */
    bool ended[WALK_RANGES];
    size_t lens[WALK_RANGES]; /* of the prefixes */
    size_t count;
    enum keys_way way;
    unsigned char key[KEYS_WIDTH_MAX];
};

/* Where to begin: with runs that started at `start_us`, or, with an id, behind that run. */
struct walk_from {
    int64_t start_us;
    const struct uuid *id;
};

/* At most WALK_RANGES, all different. */
int walk_start(struct walk *walk, struct reader *reader, const struct walk_range *ranges,
               size_t count, enum keys_way way, struct walk_from from, struct err *err);

/* A row, perhaps dead or hidden. */
struct walk_step {
    struct query_cursor at;
    uint64_t row;
    int sort; /* key_sort(); -1: the key does not say */
};
int walk_next(struct walk *walk, struct walk_step *step, bool *more, struct err *err);
void walk_end(struct walk *walk); /* a zeroed one is fine */
