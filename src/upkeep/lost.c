/* lost.c - see lost.h. */
#include "upkeep/lost.h"

#include <inttypes.h>

#include "index/index.h"
#include "loop/loop.h"
#include "store/store.h"

enum { PAGE = 1000 };

static void arrived(struct op *op)
{
    loop_stop(op->loop);
}

/* Turn our loop until the operation is done; every one ends. */
static int wait_for(struct lost *lost, const struct op *op, struct err *err)
{
    int r = loop_run(lost->loop, err);
    if (!r && op->err.code) {
        *err = op->err;
        r = (int)op->err.code;
    }
    return r;
}

static int take_out(struct lost *lost, uint64_t container, struct err *err)
{
    struct index_lose lose = {.op = {.loop = lost->loop, .done = arrived}, .container = container};
    lost->index->ops->lose(lost->index, &lose);
    int r = wait_for(lost, &lose.op, err);
    lost->runs += r ? 0 : lose.runs;
    return r;
}

/* The rows were committed after their object was put, so who asks for the rows first
 * misses none that is just coming. */
static int sweep(struct lost *lost, bool look_only, struct err *err)
{
    uint64_t numbers[PAGE];
    bool there[PAGE];
    struct index_containers page = {.numbers = numbers, .max = PAGE};
    lost->containers = lost->gone = lost->runs = 0;
    int r;
    do {
        page.op = (struct op){.loop = lost->loop, .done = arrived};
        lost->index->ops->containers(lost->index, &page);
        r = wait_for(lost, &page.op, err);
        if (!r && page.count > 0)
            r = store_holds(lost->store, numbers, page.count, there, err);
        for (size_t i = 0; i < page.count && !r; i++) {
            lost->containers++;
            if (there[i])
                continue;
            lost->gone++;
            if (!look_only)
                r = take_out(lost, numbers[i], err);
            else if (lost->found)
                lost->found(lost->context, numbers[i]);
        }
        if (page.count > 0)
            page.after = numbers[page.count - 1];
    } while (!r && page.count > 0);
    return r;
}

int lost(struct lost *lost, struct err *err)
{
    int r = sweep(lost, true, err);
    if (r || lost->look_only || lost->gone == 0)
        return r;
    if (lost->gone > lost->containers / 4)
        return err_set(err, ERR_CONFLICT,
                       "%" PRIu64 " of %" PRIu64 " objects that rows lead to are gone, so nothing "
                       "is taken out: is this their bucket, and whole?",
                       lost->gone, lost->containers);
    return sweep(lost, false, err);
}
