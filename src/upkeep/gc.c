/* gc.c - see gc.h. */
#include "upkeep/gc.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metric.h"
#include "index/index.h"
#include "loop/loop.h"
#include "store/store.h"

enum { PAGE = 1000 };

static int remove_orphan(struct gc *gc, uint64_t number, struct err *err)
{
    struct index_condemn condemn = {.op = {.loop = gc->loop, .done = loop_wake},
                                    .container = number};
    gc->index->ops->condemn(gc->index, &condemn);
    int r = loop_wait(&condemn.op, err);
    if (r || condemn.live)
        return r;
    r = store_remove(gc->store, number, err);
    if (r)
        return r;
    char container[17];
    snprintf(container, sizeof container, "%016" PRIx64, number);
    log_event(LOG_INFO, "orphan_removed", LOG_C("container", container));
    metric_add(METRIC_ORPHANS_REMOVED, 1);
    gc->removed++;
    return 0;
}

static int stop(struct gc *gc, struct err *err)
{
    gc->stopped = true;
    return err_set(err, ERR_UNAVAILABLE, "told to stop");
}

static bool goes_on(const struct gc *gc)
{
    return !gc->going || gc->going(gc->context);
}

/* Between the look and the removing the database may have become another one. */
static int too_many(const struct gc *gc, struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "more objects have no row than a moment ago, so nothing more is removed after "
                   "%" PRIu64 ": is this still their database?",
                   gc->removed);
}

static int page(struct gc *gc, const uint64_t *numbers, size_t count, uint64_t orphans_max,
                struct err *err)
{
    bool known[PAGE];
    struct index_known ask = {
        .op = {.loop = gc->loop, .done = loop_wake},
        .containers = numbers,
        .count = count,
        .known = known,
    };
    gc->index->ops->known(gc->index, &ask);
    int r = loop_wait(&ask.op, err);
    for (size_t i = 0; i < count && !r; i++) {
        gc->objects++;
        if (known[i])
            continue;
        if (!goes_on(gc))
            return stop(gc, err);
        if (gc->orphans == orphans_max)
            return too_many(gc, err);
        gc->orphans++;
        if (!gc->look_only)
            r = remove_orphan(gc, numbers[i], err);
    }
    return r;
}

static int sweep(struct gc *gc, uint64_t orphans_max, struct err *err)
{
    uint64_t numbers[PAGE];
    struct store_listing listing = {.before_us = gc->before_us};
    int r = 0;
    gc->objects = gc->orphans = gc->removed = 0;
    while (!r && !listing.done) {
        size_t count = 0;
        if (!goes_on(gc))
            return stop(gc, err);
        r = store_list(gc->store, &listing, numbers, PAGE, &count, err);
        if (!r && count > 0)
            r = page(gc, numbers, count, orphans_max, err);
    }
    return r;
}

/* Orphans are the rare end of a commit that failed.  Where they are many, it is the
 * rows that are missing: the database is another one, empty, or behind.  So it is
 * looked through first, and then nothing is removed; nor more than was seen then. */
int gc(struct gc *gc, struct err *err)
{
    bool look_only = gc->look_only;
    gc->stopped = false;
    gc->look_only = true;
    int r = sweep(gc, UINT64_MAX, err);
    gc->look_only = look_only;
    if (r || look_only || gc->orphans == 0)
        return r;
    if (gc->orphans > gc->objects / 4)
        return err_set(err, ERR_CONFLICT,
                       "no row leads to %" PRIu64 " of %" PRIu64 " objects, so nothing is removed: "
                       "is this their database? `rundlet reindex` takes in what it lacks",
                       gc->orphans, gc->objects);
    return sweep(gc, gc->orphans, err);
}
