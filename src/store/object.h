/* object.h - whole objects by name, somewhere: a directory, S3, memory.
 *
 * The narrow contract under packs.  Objects are immutable: put once, read
 * ranges, remove.  Names are ours: 1 to 200 of [a-z0-9._/-], no empty or dot
 * segment, no leading slash.
 *
 * Adding a back end: one file that fills a `struct objects_ops`, and it must
 * pass test/conform/object_conform.c.  Back ends: object_dir.c, object_mem.c,
 * object_s3.c.
 *
 * Threads  every call on a loop that was attached; `done` comes home there
 * Errors   ERR_CONFLICT put of a name that exists, ERR_NOT_FOUND, ERR_FULL,
 *          ERR_CORRUPT shorter than asked for, ERR_BUSY, ERR_INVALID a bad name,
 *          ERR_UNAVAILABLE, ERR_TIMEOUT
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/str.h"
#include "loop/op.h"

struct arena;
struct buf;
struct disk;
struct loop;
struct objects;

struct object_put { /* create-only; whole and durable when done, or not there at all */
    struct op op;
    struct str name;
    const struct iovec *parts; /* in: borrowed until done */
    size_t part_count;
};

struct object_get {
    struct op op;
    struct str name;
    bool tail;       /* in: the last `size` bytes, or all of a smaller object */
    uint64_t offset; /* in: bytes; with `tail` out: where they begin */
    size_t size;     /* in: bytes, at least 1; with `tail` out: how many they are */
    uint64_t total;  /* out, with `tail`: bytes of the object */
    struct buf *out; /* out: exactly `size` bytes, one reference, the caller's */
};

struct object_remove {
    struct op op;
    struct str name; /* removing what is not there succeeds */
};

struct object_list {
    struct op op;
    struct str prefix, after; /* in: names that start with prefix and are greater than after */
    size_t limit;             /* in: 1..1000 */
    struct arena *arena;
    struct str *names; /* out: ascending, in `arena` */
    size_t count;      /* out: less than `limit` on the last page */
};

struct objects_ops {
    const char *name; /* "dir", "memory", "s3" */
    int (*attach)(struct objects *objects, struct loop *loop, struct err *err);
    void (*put)(struct objects *objects, struct object_put *put);
    void (*get)(struct objects *objects, struct object_get *get);
    void (*remove)(struct objects *objects, struct object_remove *remove);
    void (*list)(struct objects *objects, struct object_list *list);
    void (*close)(struct objects *objects); /* after the loops have ended */
};

/* First member of every back end's own struct. */
struct objects {
    const struct objects_ops *ops;
};

int object_dir_open(struct str root, const struct disk *disk, struct objects **result,
                    struct err *err);
int object_mem_open(struct objects **result, struct err *err);

struct object_s3_config {
    const char *bucket;
    const char *prefix;   /* in front of every name, "" or "a/b/" */
    const char *endpoint; /* "http://127.0.0.1:9000", "https://..."; NULL: AWS */
    const char *region;   /* NULL: "us-east-1" */
    bool path_style;      /* http://host/bucket/name; else http://bucket.host/name */
    const char *access_key, *secret_key, *session_token; /* NULL: none (anonymous) */
    unsigned deadline_ms; /* of one call, with all it takes of trying again */
    bool persistent;      /* try again up to the deadline: no client waits (s3_exchange.h) */
    unsigned connections; /* of each loop, at most */
    size_t queue;         /* calls waiting on a loop before ERR_BUSY */
    bool create;          /* make the bucket if there is none and we may */
};
/* Blocks until the bucket answered or the deadline passed. */
int object_s3_open(const struct object_s3_config *config, struct objects **result, struct err *err);

bool object_name_valid(struct str name);

/* For back ends: fill in a get with `tail` of an object of `total` bytes. */
void object_take_tail(struct object_get *get, uint64_t total);
