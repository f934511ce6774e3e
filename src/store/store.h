/* store.h - batches durable, and each run found again by its place.
 *
 * Two kinds keep one contract.  The log is a directory of one process:
 * containers in the order of their numbers, segments (store/segment.h), and
 * packs (store/pack.h), which is what segments become that are not written any
 * more.  The bucket is packs alone, one for each group, as objects
 * (store/object.h) that any number of nodes put there.  A place stays what it is.
 * One writer in a process appends; everybody reads.  The order of a commit is
 * docs/design/durability.md: reserve places, let the index stage, append what it
 * accepted, let the index commit.
 *
 * Threads  store_reserve(), store_forget() and store_append() on the one commit
 *          loop, which a log may block; store_read() from any attached loop;
 *          store_walk() blocks, on the commit loop or where there is none;
 *          store_seal() and what follows it block on one thread of its own
 * Errors   ERR_FULL the disk is full or down to the reserve (nothing was kept),
 *          ERR_IO likewise for other failed writes, ERR_CORRUPT stored bytes
 *          fail their check, ERR_BUSY too many wait, ERR_NOT_FOUND no such place,
 *          ERR_UNAVAILABLE, ERR_TIMEOUT the bucket cannot be reached; with
 *          ERR_TIMEOUT what was appended may be there, and nothing leads to it;
 *          ERR_CONFLICT (of an append) another node has the number: reserve again.  A failed sync
 *          ends the process (base/log.h, fatal): the kernel may have dropped the
 *          pages, so only a restart tells the truth
 * Sources  docs/design/segment-format.md, docs/design/durability.md,
 *          docs/design/production.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"
#include "loop/op.h"
#include "run/record.h"
#include "run/run.h"

struct arena;
struct loop;
struct objects;
struct store;

enum {
    STORE_SEGMENT_SIZE = 64 << 20, /* a segment is closed when the next group would pass this */
    STORE_GROUP_MAX =
        48 << 20, /* bytes of one group; a larger single record gets a segment of its own */
    STORE_GROUP_RECORDS = 4096,
    /* Bytes that reading a run may need besides its own.  What reading threads keep
     * to unpack with is theirs: a few megabytes each. */
    STORE_READ_COST = 16 << 10
};

struct store_log_config {
    struct str dir;          /* existing; holds <16 hex digits>.seg */
    struct str packs;        /* likewise <16 hex digits>.pack; empty: nothing is sealed */
    const struct disk *disk; /* &disk_real */
    uint64_t segment_size;   /* 0: STORE_SEGMENT_SIZE */
    uint64_t reserve;        /* bytes of the file system that appends leave free */
    unsigned read_threads;
    size_t read_queue; /* reads waiting before ERR_BUSY */
    bool read_only;    /* for the command line: nothing is repaired or created */
    /* Up to here the index has had the log, so it was durable: what is bad before
     * that is damage, also at the very end, and is not cut. */
    uint64_t durable_sequence;
};

/* Open, and repair the tail: a torn last group is cut off; damage before
 * something valid is left as it is, and is an error with the file and offset
 * in it (ERR_CORRUPT). */
int store_log_open(const struct store_log_config *config, struct store **result, struct err *err);

struct store_bucket_config {
    struct objects *objects; /* the store's from now on */
    unsigned groups;         /* that may be on their way at once */
    unsigned threads;        /* that pack and unpack */
    size_t queue;            /* reads waiting for one before ERR_BUSY */
    uint64_t shelf_size;     /* bytes of what is kept of packs to find runs in them */
    /* Sequences go on behind it: an index of this process has had the bucket up to here. */
    uint64_t last_sequence;
    unsigned loop_index; /* of a loop of its own, for calls that block; the next one too */
    struct str writer;   /* the id of the one index that follows the bucket; empty: any node's */
    bool read_only;      /* for the command line: nothing is put, and nobody's bucket claimed */
};
int store_bucket_open(const struct store_bucket_config *config, struct store **result,
                      struct err *err);
const char *store_bucket_id(struct store *store); /* random; of the deployment */

void store_close(struct store *store); /* NULL is fine; after the loops have ended */

/* Once for each loop that reads or appends, before it runs. */
int store_attach(struct store *store, struct loop *loop, struct err *err);
unsigned store_groups(const struct store *store); /* that may be reserved at once */
/* May it have records that were never committed?  A bucket may. */
bool store_has_orphans(const struct store *store);

/* One record on its way into the log. */
struct store_record {
    const struct record *record; /* in: borrowed until done */
    struct place first;          /* out of reserve: the place of its first run; the others follow */
    uint64_t sequence;           /* out of reserve: greater than any before, over all segments */
};

/* Give every record of a group its place and sequence.  A group is at most
 * STORE_GROUP_MAX bytes (store_size()) or a single record, and at most
 * STORE_GROUP_RECORDS.  Of a log a new reserve forgets the one before. */
int store_reserve(struct store *store, struct store_record *records, size_t count, struct err *err);
uint64_t store_size(const struct record *record); /* bytes it takes in the log */
void store_forget(struct store *store);           /* nothing will be appended of the last reserve */

/* Make records durable, all or none: those of the last reserve, in its order,
 * less any that were dropped. */
struct store_append {
    struct op op;
    const struct store_record *records;
    size_t count;
};
void store_append(struct store *store, struct store_append *append);

/* Read runs by place, verified. */
struct store_read {
    struct op op;
    const struct place *places; /* in: borrowed; any order; neighbours are read together */
    size_t count;
    struct arena *arena; /* in: keeps what the runs are views of */
    struct run *runs;    /* out: `count`, in `arena`, in the order of `places` */
};
void store_read(struct store *store, struct store_read *read);

/* Can what is stored be reached?  ERR_OK, or why not. */
struct store_probe {
    struct op op;
};
void store_probe(struct store *store, struct store_probe *probe);

/* Call `visit` for every record after `sequence` (0: all), oldest first, until
 * it returns non-zero, which is returned.  Bodies are verified by whoever
 * decodes the runs; headers and tables are verified here.  With `damaged` set,
 * a bad record is told to it and skipped, else it is ERR_CORRUPT.  `lost`: runs
 * may be missing because of it; what is damaged and costs none is told, and is
 * no error. */
typedef int store_visit_fn(void *context, const struct record *record, struct place first,
                           uint64_t sequence, struct err *err);
typedef void store_damaged_fn(void *context, struct str file, uint64_t offset, const char *why,
                              bool lost);
int store_walk(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
               store_damaged_fn *damaged, void *context, struct err *err);

/* A walk that was stopped is not gone on with: let go of what it holds. */
void store_walk_end(struct store *store);

struct store_sizes {
    uint64_t segments, bytes;
    uint64_t packs, pack_bytes;
    uint64_t free_bytes;    /* of the file system, above the reserve; a bucket has no end */
    int64_t appended_us;    /* monotonic: the last append to the segment that is written; 0: none */
    uint64_t last_sequence; /* of the newest record; 0: none */
    bool broken;            /* no more appends until the next start */
};
void store_sizes(struct store *store, struct store_sizes *result); /* any thread */

/* ---- of a log only: from segments to packs ---- */

/* Let the segment that is written be the last of its kind: the next append
 * begins another.  On the commit loop.  ERR_NOT_FOUND nothing is in it, ERR_BUSY
 * something was appended after `before_us`, or is just coming. */
struct store_rest {
    struct op op;
    int64_t before_us; /* in: monotonic */
};
void store_rest(struct store *store, struct store_rest *rest);

/* Called while a segment is sealed, with the bytes of runs done since the last
 * call; may sleep.  False: stop. */
typedef bool store_pace_fn(void *context, uint64_t bytes);

struct store_sealed {
    uint64_t number;
    uint64_t raw_size, pack_size; /* bytes of the runs, and of the pack */
};

/* Make the oldest segment that is not written any more into a pack, and read
 * that from now on.  The segment's file is left, for store_drop_left().
 * ERR_NOT_FOUND no segment is to be sealed; ERR_CORRUPT it is damaged: it stays,
 * and is passed over until the next start; ERR_IO likewise, for ten minutes;
 * ERR_UNAVAILABLE `pace` said stop; ERR_FULL, ERR_BUSY nothing is changed, try
 * later. */
int store_seal(struct store *store, store_pace_fn *pace, void *context, struct store_sealed *result,
               struct err *err);

/* The last sequence of the oldest file that is left; 0: none is.  It may be
 * dropped once the index would survive a power cut up to there. */
uint64_t store_left(struct store *store);
int store_drop_left(struct store *store, struct err *err);

/* ---- of a bucket only: what is in it ---- */

enum { STORE_NAME_MAX = 200 };

/* A way through the containers, of whoever goes it: one that was not gone to its end
 * leaves nothing behind for the next. */
struct store_listing {
    int64_t before_us;          /* in: by the clock; only what was begun before */
    bool done;                  /* out: there are no more */
    char after[STORE_NAME_MAX]; /* private: the last name that was seen */
    size_t after_len;
};

/* The next containers, at most `max`; perhaps none, and there are more all the same.
 * One call to the bucket.  Blocks, as do the others, on one thread of its own. */
int store_list(struct store *store, struct store_listing *listing, uint64_t *numbers, size_t max,
               size_t *count, struct err *err);
int store_remove(struct store *store, uint64_t number, struct err *err);
/* Which of these, ascending, are in it?  By its lists, hour by hour. */
int store_holds(struct store *store, const uint64_t *numbers, size_t count, bool *there,
                struct err *err);

/* ---- for the kinds of store ---- */

struct store_ops {
    const char *name; /* "log", "bucket" */
    int (*attach)(struct store *store, struct loop *loop, struct err *err);
    int (*reserve)(struct store *store, struct store_record *records, size_t count,
                   struct err *err);
    void (*append)(struct store *store, struct store_append *append);
    void (*forget)(struct store *store);
    void (*read)(struct store *store, struct store_read *read);
    void (*probe)(struct store *store, struct store_probe *probe);
    int (*walk)(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
                store_damaged_fn *damaged, void *context, struct err *err);
    void (*walk_end)(struct store *store);
    void (*sizes)(struct store *store, struct store_sizes *result);
    void (*close)(struct store *store);
};

/* First member of every kind's own struct. */
struct store {
    const struct store_ops *ops;
    unsigned groups;
    bool orphans;
};
