/* cache.h - finished answers, kept near.
 *
 * A hint, never a truth: a cache may forget anything at any time, and any of
 * its failures is a miss.  It does not know what is stale either; it keeps what
 * whoever asks needs to know it, in two numbers of each entry, no clock:
 *
 *   - `version`: what it was made from (of a run: the version of its row; of a page
 *     of a search: the generation).  Of two puts the greater version stays;
 *   - `checked`: the greatest generation at which it was known to be what there is:
 *     that of the put, or of a later confirm.  So at that generation it may be
 *     answered as it is, and at a later one once somebody looked (serve/get.h).
 *
 * The first to miss a key leads; others who ask meanwhile wait for its put or
 * its cache_abandon(), so a cold answer is made once (single flight).  A get
 * joins a flight only if both carry the same `generation`; else it leads alone.
 *
 * There may be a second level, further away and shared by nodes.  It is asked
 * when the row is known already, for exactly its version, so nothing it holds or
 * lost can make an answer old; what comes from there is checked.
 *
 * Threads  all calls on attached loops; a get's `done` comes home to its loop
 * Memory   values are counted buffers, shared with the readers
 * Sources  docs/design/cache.md
 *
 * Back ends: cache/local.c, cache/none.c, and cache/redis.c, which puts a second
 * level behind one of those.  All pass test/conform/cache_conform.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "loop/op.h"

struct buf;
struct cache;
struct loop;

enum { CACHE_KEY_MAX = 512, CACHE_VALUE_MAX = 1 << 20, CACHE_ANY = 0 };

/* err.code: ERR_OK a hit; ERR_NOT_FOUND a miss, and `lead` says whether the
 * caller must end the flight with cache_put() or cache_abandon(). */
struct cache_get {
    struct op op;
    struct str key;      /* in: borrowed until done */
    uint64_t version;    /* in: this one or a greater; CACHE_ANY: whichever is there */
    uint64_t generation; /* in: read before asking */
    bool lead;           /* out, on a miss */
    struct buf *value;   /* out, on a hit: one reference, the caller's */
    uint64_t found;      /* out, on a hit: the version it was made from, */
    uint64_t checked;    /* and the generation at which it was last known to be right */
};

/* From the second level.  err.code: ERR_OK, or ERR_NOT_FOUND whatever went wrong. */
struct cache_recall {
    struct op op;
    struct str key;    /* in: borrowed until done */
    uint64_t version;  /* in: this one */
    struct buf *value; /* out, on a hit: one reference, the caller's */
};

struct cache_ops {
    const char *name; /* "local", "none", "redis" */
    int (*attach)(struct cache *cache, struct loop *loop, struct err *err);
    void (*get)(struct cache *cache, struct cache_get *get);
    /* Keep a value (its reference stays the caller's) and end the flight that
     * `lead` began.  Over CACHE_VALUE_MAX it is not kept, the flight ends.  `generation`
     * was read before what the value was made from. */
    void (*put)(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                uint64_t generation, struct buf *value, uint64_t ttl_ms);
    void (*abandon)(struct cache *cache, struct loop *loop, struct str key, uint64_t generation);
    /* The entry, if it still has this version, is right at this generation too, which was
     * read before that was found out. */
    void (*confirm)(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                    uint64_t generation);
    void (*recall)(struct cache *cache, struct cache_recall *recall);
    /* Give a value to the second level, if there is one; nobody waits for it. */
    void (*share)(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                  struct buf *value, uint64_t ttl_ms);
    void (*sizes)(struct cache *cache, uint64_t *entries, uint64_t *bytes); /* any thread */
    void (*close)(struct cache *cache);
};

/* First member of every back end's own struct. */
struct cache {
    const struct cache_ops *ops;
};

int cache_local_open(size_t bytes, struct cache **result, struct err *err);
int cache_none_open(struct cache **result, struct err *err);

struct cache_redis_config {
    const char *url;     /* redis://[user:password@]host[:port][/database] */
    struct cache *near;  /* the first level, which becomes this one's */
    const char *secret;  /* of all nodes: values are only taken with a checksum made with it */
    unsigned timeout_ms; /* of a recall; what is slower is a miss */
    size_t pending_max;  /* bytes of values on their way to it, on each loop */
};
/* Opens whether it can be reached or not.  ERR_INVALID a URL it does not take. */
int cache_redis_open(const struct cache_redis_config *config, struct cache **result,
                     struct err *err);
