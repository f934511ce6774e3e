/* lost.c - see lost.h. */
#include "upkeep/lost.h"

#include <inttypes.h>

#include "index/index.h"
#include "loop/loop.h"
#include "store/store.h"

enum { PAGE = 1000 };

static int take_out(struct lost *lost, uint64_t container, struct err *err)
{
    struct index_lose lose = {.op = {.loop = lost->loop, .done = loop_wake},
                              .container = container};
    lost->index->ops->lose(lost->index, &lose);
    int r = loop_wait(&lose.op, err);
    lost->runs += r ? 0 : lose.runs;
    return r;
}

static int stop(struct lost *lost, struct err *err)
{
    lost->stopped = true;
    return err_set(err, ERR_UNAVAILABLE, "told to stop");
}

static bool goes_on(const struct lost *lost)
{
    return !lost->going || lost->going(lost->context);
}

/* As in gc.c: between the two sweeps the bucket may have become another one. */
static int too_many(const struct lost *lost, struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "more objects are gone than a moment ago, so no more rows are taken out after "
                   "%" PRIu64 ": is this still their bucket?",
                   lost->runs);
}

static int page(struct lost *lost, const uint64_t *numbers, size_t count, bool look_only,
                uint64_t gone_max, struct err *err)
{
    bool there[PAGE];
    int r = store_holds(lost->store, numbers, count, there, err);
    for (size_t i = 0; i < count && !r; i++) {
        lost->containers++;
        if (there[i])
            continue;
        if (!goes_on(lost))
            return stop(lost, err);
        if (lost->gone == gone_max)
            return too_many(lost, err);
        lost->gone++;
        if (!look_only)
            r = take_out(lost, numbers[i], err);
        else if (lost->found)
            lost->found(lost->context, numbers[i]);
    }
    return r;
}

/* The rows were committed after their object was put, so who asks for the rows first
 * misses none that is just coming. */
static int sweep(struct lost *lost, bool look_only, uint64_t gone_max, struct err *err)
{
    uint64_t numbers[PAGE];
    struct index_containers ask = {.numbers = numbers, .max = PAGE};
    lost->containers = lost->gone = lost->runs = 0;
    int r;
    do {
        if (!goes_on(lost))
            return stop(lost, err);
        ask.op = (struct op){.loop = lost->loop, .done = loop_wake};
        lost->index->ops->containers(lost->index, &ask);
        r = loop_wait(&ask.op, err);
        if (!r && ask.count > 0) {
            r = page(lost, numbers, ask.count, look_only, gone_max, err);
            ask.after = numbers[ask.count - 1];
        }
    } while (!r && ask.count > 0);
    return r;
}

int lost(struct lost *lost, struct err *err)
{
    lost->stopped = false;
    int r = sweep(lost, true, UINT64_MAX, err);
    if (r || lost->look_only || lost->gone == 0)
        return r;
    if (lost->gone > lost->containers / 4)
        return err_set(err, ERR_CONFLICT,
                       "%" PRIu64 " of %" PRIu64 " objects that rows lead to are gone, so nothing "
                       "is taken out: is this their bucket, and whole?",
                       lost->gone, lost->containers);
    return sweep(lost, false, lost->gone, err);
}
