/* upkeep.c - see upkeep.h. */
#include "upkeep/upkeep.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "index/index.h"
#include "loop/loop.h"
#include "store/store.h"
#include "upkeep/gc.h"

enum {
    LOOK_MS = 1000,         /* between two looks */
    SWEEP_MS = 3600 * 1000, /* between two looks through a bucket */
    RETRY_MS = 30000,       /* after a failure */
    /* A tenth of a core when all are busy: so that a server which always is still
     * gets its segments sealed. */
    NICENESS = 10
};

struct upkeep {
    struct upkeep_config config;
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    bool stop;      /* under the lock */
    int64_t due_us; /* the next bytes may be sealed from here on */
};

/* A segment is let rest on the thread that writes it. */
struct hop {
    struct op op;
    struct store *store;
    struct store_rest rest;
};

/* Until then, or until told to stop; false: told to stop. */
static bool sleep_until(struct upkeep *upkeep, int64_t mono_us)
{
    struct timespec until = {mono_us / 1000000, mono_us % 1000000 * 1000};
    pthread_mutex_lock(&upkeep->lock);
    while (!upkeep->stop && clock_mono_us() < mono_us)
        (void)pthread_cond_timedwait(&upkeep->stopping, &upkeep->lock, &until);
    bool stop = upkeep->stop;
    pthread_mutex_unlock(&upkeep->lock);
    return !stop;
}

static void rest_here(struct op *op)
{
    struct hop *hop = op_owner(op, struct hop, op);
    store_rest(hop->store, &hop->rest);
}

/* False: it failed, which was told. */
static bool rest_if_idle(struct upkeep *upkeep)
{
    struct store_sizes size;
    store_sizes(upkeep->config.store, &size);
    int64_t before_us = clock_mono_us() - (int64_t)upkeep->config.idle_ms * 1000;
    if (size.appended_us == 0 || size.appended_us > before_us)
        return true;
    struct hop hop = {
        .op = {.loop = upkeep->config.writer, .done = rest_here},
        .store = upkeep->config.store,
        .rest = {.op = {.loop = upkeep->loop, .done = loop_wake}, .before_us = before_us},
    };
    op_finish(&hop.op);
    int code = loop_wait(&hop.rest.op, NULL);
    if (!code || code == ERR_BUSY || code == ERR_NOT_FOUND)
        return true;
    log_event(LOG_WARN, "segment_not_finished", LOG_C("reason", hop.rest.op.err.text));
    return false;
}

/* Called by the store after each block: not faster than the rate. */
static bool pace(void *context, uint64_t bytes)
{
    struct upkeep *upkeep = context;
    int64_t now_us = clock_mono_us();
    if (upkeep->due_us < now_us)
        upkeep->due_us = now_us;
    if (upkeep->config.bytes_per_sec > 0)
        upkeep->due_us += (int64_t)(bytes * 1000000 / upkeep->config.bytes_per_sec);
    return sleep_until(upkeep, upkeep->due_us);
}

/* ERR_OK, ERR_NOT_FOUND nothing to do, or a failure, which was told. */
static enum err_code seal(struct upkeep *upkeep)
{
    struct store_sealed sealed;
    struct err err = {0};
    int64_t began_us = clock_mono_us();
    int r = store_seal(upkeep->config.store, pace, upkeep, &sealed, &err);
    if (r == ERR_NOT_FOUND || r == ERR_UNAVAILABLE)
        return (enum err_code)r;
    if (r) {
        metric_add(METRIC_SEALS_FAILED, 1);
        log_event(r == ERR_CORRUPT || r == ERR_IO ? LOG_ERROR : LOG_WARN, "seal_failed",
                  LOG_C("reason", err.text));
        return (enum err_code)r;
    }
    int64_t took_us = clock_mono_us() - began_us;
    metric_add(METRIC_SEALS, 1);
    metric_add(METRIC_SEALED_BYTES, (int64_t)sealed.raw_size);
    metric_time(METRIC_SEAL_SECONDS, (uint64_t)took_us);
    char container[17]; /* as in the name of its file */
    snprintf(container, sizeof container, "%016" PRIx64, sealed.number);
    log_event(LOG_INFO, "sealed", LOG_C("container", container),
              LOG_N("run_bytes", sealed.raw_size), LOG_N("pack_bytes", sealed.pack_size),
              LOG_N("ms", took_us / 1000));
    return ERR_OK;
}

/* Remove the segments whose packs are there.  False: later; the index is behind,
 * or it failed, which was told. */
static bool drop_left(struct upkeep *upkeep)
{
    struct store *store = upkeep->config.store;
    if (!store_left(store))
        return true;
    struct index_durable durable = {.op = {.loop = upkeep->loop, .done = loop_wake}};
    upkeep->config.index->ops->durable(upkeep->config.index, &durable);
    if (loop_wait(&durable.op, NULL)) {
        log_event(LOG_WARN, "index_not_synced", LOG_C("reason", durable.op.err.text));
        return false;
    }
    while (store_left(store) && store_left(store) <= durable.sequence) {
        struct err err = {0};
        if (store_drop_left(store, &err)) {
            log_event(LOG_WARN, "segment_not_removed", LOG_C("reason", err.text));
            return false;
        }
    }
    return store_left(store) == 0;
}

/* Each kind of work has its own pause after a failure, so that one which cannot
 * be done does not keep the others from being done. */
static void try_at(int64_t *from_us, bool done)
{
    if (!done)
        *from_us = clock_mono_us() + RETRY_MS * 1000LL;
}

static bool going(void *context)
{
    return sleep_until(context, clock_mono_us());
}

/* ERR_OK, also when it was told to stop. */
static int try_sweep(struct upkeep *upkeep, struct err *err)
{
    struct gc sweep = {
        .store = upkeep->config.store,
        .index = upkeep->config.index,
        .loop = upkeep->loop,
        .before_us = clock_now_us() - (int64_t)upkeep->config.gc_grace_ms * 1000,
        .going = going,
        .context = upkeep,
    };
    int r = gc(&sweep, err);
    if (sweep.removed > 0)
        log_event(LOG_INFO, "gc", LOG_N("objects", sweep.objects), LOG_N("removed", sweep.removed));
    return sweep.stopped ? 0 : r;
}

/* Connections that rested for an hour may be dead, which shows when they are used: so
 * what cannot be reached is tried once more before anybody is told. */
static void sweep(struct upkeep *upkeep)
{
    struct err err = {0};
    int r = try_sweep(upkeep, &err);
    if (r == ERR_UNAVAILABLE || r == ERR_TIMEOUT) {
        if (!sleep_until(upkeep, clock_mono_us() + RETRY_MS * 1000LL))
            return;
        err = (struct err){0};
        r = try_sweep(upkeep, &err);
    }
    if (r)
        log_event(LOG_WARN, "gc_failed", LOG_C("reason", err.text));
}

/* Is anything in the bucket that was put before now? */
static int find_object(struct upkeep *upkeep, bool *found, struct err *err)
{
    enum { SOME = 16 };
    uint64_t numbers[SOME];
    struct store_listing listing = {.before_us = clock_now_us()};
    size_t count = 0;
    int r = 0;
    while (!r && count == 0 && !listing.done && going(upkeep))
        r = store_list(upkeep->config.store, &listing, numbers, SOME, &count, err);
    *found = !r && count > 0;
    return r;
}

/* A database that knows nothing of what the bucket has: nobody would find those runs,
 * and nobody would be told. */
static void look_for_rows(struct upkeep *upkeep)
{
    struct err err = {0};
    uint64_t number;
    struct index_containers ask = {
        .op = {.loop = upkeep->loop, .done = loop_wake}, .numbers = &number, .max = 1};
    bool found = false;
    upkeep->config.index->ops->containers(upkeep->config.index, &ask);
    if (loop_wait(&ask.op, NULL) || ask.count > 0 || find_object(upkeep, &found, &err))
        return; /* what cannot be reached is told of by whoever needs it */
    if (found)
        log_event(LOG_WARN, "index_lacks_the_bucket",
                  LOG_C("reason", "the bucket has runs, and the index has none of them: is it "
                                  "their database? `rundlet reindex` takes them in"));
}

static void *run_for_bucket(void *arg)
{
    struct upkeep *upkeep = arg;
    pthread_setname_np(pthread_self(), "upkeep");
    look_for_rows(upkeep);
    while (sleep_until(upkeep, clock_mono_us() + SWEEP_MS * 1000LL))
        sweep(upkeep);
    return NULL;
}

static void *run(void *arg)
{
    struct upkeep *upkeep = arg;
    pthread_setname_np(pthread_self(), "upkeep");
    /* Of this thread alone, in Linux; if it is refused we are only less polite. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
    int64_t look_us =
        1000 * (int64_t)(upkeep->config.idle_ms < LOOK_MS ? upkeep->config.idle_ms : LOOK_MS);
    int64_t rest_from_us = 0, drop_from_us = 0, seal_from_us = 0, pause_us = look_us;
    while (sleep_until(upkeep, clock_mono_us() + pause_us)) {
        int64_t now_us = clock_mono_us();
        enum err_code code = ERR_NOT_FOUND;
        if (now_us >= rest_from_us)
            try_at(&rest_from_us, rest_if_idle(upkeep));
        if (now_us >= drop_from_us)
            try_at(&drop_from_us, drop_left(upkeep));
        if (now_us >= seal_from_us)
            code = seal(upkeep);
        bool next = code == ERR_OK || code == ERR_CORRUPT || code == ERR_IO; /* perhaps there is */
        try_at(&seal_from_us, next || code == ERR_NOT_FOUND);
        pause_us = next ? 0 : look_us;
    }
    return NULL;
}

int upkeep_start(const struct upkeep_config *config, struct upkeep **result, struct err *err)
{
    struct upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep)
        abort();
    upkeep->config = *config;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&upkeep->lock, NULL);
    pthread_cond_init(&upkeep->stopping, &clock);
    pthread_condattr_destroy(&clock);
    int r = loop_open(config->loop_index, "upkeep", &upkeep->loop, err);
    if (!r)
        r = config->index->ops->attach(config->index, upkeep->loop, err);
    if (!r) {
        int sys =
            pthread_create(&upkeep->thread, NULL, config->bucket ? run_for_bucket : run, upkeep);
        if (sys)
            r = err_sys(err, sys, "start upkeep");
    }
    if (r) {
        loop_close(upkeep->loop);
        pthread_cond_destroy(&upkeep->stopping);
        pthread_mutex_destroy(&upkeep->lock);
        free(upkeep);
        return r;
    }
    *result = upkeep;
    return 0;
}

void upkeep_stop(struct upkeep *upkeep)
{
    if (!upkeep)
        return;
    pthread_mutex_lock(&upkeep->lock);
    upkeep->stop = true;
    pthread_cond_signal(&upkeep->stopping);
    pthread_mutex_unlock(&upkeep->lock);
    pthread_join(upkeep->thread, NULL);
}

void upkeep_free(struct upkeep *upkeep)
{
    if (!upkeep)
        return;
    loop_close(upkeep->loop);
    pthread_cond_destroy(&upkeep->stopping);
    pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}
