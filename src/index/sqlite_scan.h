/* sqlite_scan.h - looking keys up, in memory and in the parts at once.
 *
 * A part is a sorted sequence of keys, cut into blocks that fill a page each;
 * `fence` knows the first key of each block.  A reader has a connection, and
 * the list of parts as of the transaction it is in.
 *
 * Threads  a reader, and a scan of it, belong to one thread at a time
 * Errors   as sqlite_db.h, and ERR_TIMEOUT when the reader's deadline passed
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "index/sqlite_db.h"
#include "index/sqlite_keys.h"

enum {
    PART_BLOCK = DB_PAGE - 48, /* most bytes of a block: its row fills a page */
    PART_SHIFT = 24            /* block number = part << PART_SHIFT | position in the part */
};

enum part_state { PART_BUILDING, PART_LIVE, PART_DEAD };

struct part {
    int64_t part; /* its number; never used again */
    enum keys_kind kind;
    int level;
    uint32_t blocks;
    uint64_t keys;
    unsigned char first[KEYS_WIDTH_MAX], last[KEYS_WIDTH_MAX];
};

/* The live parts, by kind, in each the newest first. */
struct part_list {
    struct part *at;
    size_t count, cap;
    size_t begin[KEYS_KINDS + 1]; /* kind k has [begin[k], begin[k + 1]) */
    int64_t layout;               /* of which it is; -1: not loaded */
};

struct keys_reader {
    sqlite3 *db;
    sqlite3_stmt *seek, *block, *list;
    struct part_list parts;
    int64_t deadline_us; /* monotonic; 0: none */
    unsigned calls;
};

int keys_reader_open(struct keys_reader *reader, sqlite3 *db, struct err *err);
void keys_reader_close(struct keys_reader *reader); /* before the connection; half-open is fine */

/* Within a transaction: have the list of parts as of `layout`. */
int keys_reader_load(struct keys_reader *reader, int64_t layout, struct err *err);

/* Has the deadline passed?  Called now and then by whoever works for long. */
int keys_reader_check(struct keys_reader *reader, struct err *err);

/* The greatest key below `below` that begins with `prefix`, if there is one.
 * The way for one key with a long prefix. */
int keys_find(struct keys_reader *reader, const struct keys_view *view, enum keys_kind kind,
              const struct key *below, size_t prefix, unsigned char *result, bool *found,
              struct err *err);

enum keys_way { KEYS_DOWN, KEYS_UP };

/* All keys below `from` that share its first `prefix` bytes, downwards; or above it, upwards.
 * `from` is no key that is stored. */
struct keys_source;
struct keys_scan {
    struct keys_reader *reader;
    enum keys_kind kind;
    enum keys_way way;
    size_t width, prefix;
    unsigned char from[KEYS_WIDTH_MAX];
    struct keys_source *sources;
    size_t count;
    struct keys_source *best;    /* gave the last key */
    const unsigned char *second; /* no other source has a key before this one; NULL: none */
    unsigned char second_key[KEYS_WIDTH_MAX];
    unsigned char key[KEYS_WIDTH_MAX]; /* the last one given */
    bool given;
};
int keys_scan_start(struct keys_scan *scan, struct keys_reader *reader,
                    const struct keys_view *view, enum keys_kind kind, enum keys_way way,
                    const struct key *from, size_t prefix, struct err *err);
/* *key is valid until the next call; NULL at the end. */
int keys_scan_next(struct keys_scan *scan, const unsigned char **key, struct err *err);
/* Of one downwards: go on below `below`, which is not above the last key given. */
void keys_scan_skip(struct keys_scan *scan, const struct key *below);
void keys_scan_end(struct keys_scan *scan); /* a zeroed one is fine */
