/* app.h - the whole program, opened in order and closed in reverse.
 *
 * The only place that knows all rooms.  The same parts serve HTTP, take in
 * files and answer the command line; what differs is how they are opened.
 *
 * Threads  app_open() to app_close() on the main thread
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/budget.h"
#include "base/err.h"
#include "base/spare.h"
#include "identity.h"
#include "serve/serve.h"

struct cache;
struct commit;
struct config;
struct index;
struct loop;
struct news;
struct store;
struct upkeep;

enum app_use {
    APP_WRITE,   /* holds the lock of the data directory; repairs, recovers, may commit */
    APP_REBUILD, /* the same, with a new index of all that is sound in place of the old one */
    APP_READ     /* beside whoever writes: nothing is changed */
};

struct app {
    const struct config *config;
    enum app_use use;
    int lock_fd;
    struct budget budget;  /* of bodies coming in */
    struct spare spare;    /* likewise */
    struct budget answers; /* of answers going out: slow readers do not stop writers */
    atomic_uint_fast64_t generation;
    struct store *store;
    struct index *index;
    struct cache *cache;
    struct news *news;        /* of what is committed here */
    struct commit *commit;    /* not with APP_READ */
    struct loop *commit_loop; /* likewise; a thread of its own */
    struct upkeep *upkeep;    /* once app_keep_up() was called */
    char id[IDENTITY + 1];    /* of the data directory; empty where there is none */
    unsigned loop_max;        /* as many loops as there will be for serving */
    struct loop **loops;      /* config->loops of them for serving, one for the command line */
    unsigned loop_count;
    bool started; /* the threads run */
    struct serve serve;
    uint64_t recovered_runs; /* at the start */
    uint64_t refused_runs;   /* likewise, of a bucket: they disagree with what is there */
    uint64_t lost_runs;      /* with APP_REBUILD: damaged, and not in the index */
    bool damaged;            /* likewise: they or what said how many there are */
};

/* Put up, or take away, a mark that a data directory is not all there yet; while
 * it is up only reading is possible. */
int app_mark_partial(const char *dir, bool partial, struct err *err);

/* Open everything; unless to read, the index is brought up to the log.
 * `loop_count` loops are opened and attached; none runs yet but the commit loop. */
int app_open(const struct config *config, enum app_use use, unsigned loop_count,
             struct app **result, struct err *err);

/* Begin to seal what is not written any more; for who stays. */
int app_keep_up(struct app *app, struct err *err);

void app_close(struct app *app); /* NULL and half-open are fine; loops have been stopped */

/* A directory, and its name durable. */
int app_make_dir(const char *path, struct err *err);

/* Who holds the data directory: "pid 123, http://127.0.0.1:8000", or empty. */
struct str app_holder(const struct config *config, char *room, unsigned size);

/* Hold a directory - which is made, if need be - as app_open() does: nobody else
 * writes it.  Shared: nobody writes it; one without a lock file has no lock,
 * and `*lock` stays as it was. */
int app_lock(const char *dir, int *lock, struct err *err);
int app_lock_shared(const char *dir, int *lock, struct err *err);
void app_unlock(int lock); /* -1 is fine */

/* Write down, beside the lock, where this process serves. */
int app_announce(struct app *app, const char *url, struct err *err);
