/* deletes.c - runs and traces that are there no more.
 *
 * What is deleted is hidden from the answer on, by an entity that says so: it is as durable
 * as a run, comes back with a rebuild, and hides too what comes later of the same id.  The
 * bytes stay where they are until their container goes.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/body.h"
#include "api/call.h"
#include "api/handlers.h"
#include "api/shape.h"
#include "base/arena.h"
#include "base/clock.h"

enum { DELETES_MAX = 1000 };

struct deletes {
    const struct uuid *ids, *traces; /* each once */
    size_t id_count, trace_count;
    struct run *runs; /* as they are stored */
    size_t count;
    uint64_t deleted; /* runs that were there */
    size_t next;      /* of the traces: whose runs are counted */
    struct uuid receipt;
};

static void add(struct call *call, enum entity_kind kind, struct uuid id)
{
    struct deletes *deletes = call->own;
    struct entity gone = {.kind = kind, .id = id, .made_us = clock_now_us()};
    struct text text = {0};
    text_add_char(&text, '{');
    shape_id(&text, "id", id);
    shape_time(&text, "deleted_at", gone.made_us);
    shape_id(&text, "receipt", deletes->receipt);
    text_add_char(&text, '}');
    gone.json = arena_copy(call->arena, text_str(&text));
    text_free(&text);
    deletes->runs[deletes->count++] = entity_run(&gone, (struct str){0}, NULL);
}

static void deleted(struct call *call)
{
    struct deletes *deletes = call->own;
    struct text text = {0};
    text_addf(&text, "{\"deleted\":%" PRIu64, deletes->deleted);
    shape_id(&text, "receipt", deletes->receipt);
    text_add_char(&text, '}');
    call_reply(call, 202, &text);
}

/* --- traces: how many runs each has ------------------------------------------------------------ */

static void count_next(struct call *call);

static void counted(struct call *call)
{
    struct deletes *deletes = call->own;
    /* Too many to be counted in time: some are there, and the others are not waited for. */
    bool late = call->stats.op.err.code != ERR_OK;
    deletes->deleted += late ? 1 : call->stats.stats.runs;
    deletes->next = late ? deletes->trace_count : deletes->next + 1;
    count_next(call);
}

static void count_next(struct call *call)
{
    struct deletes *deletes = call->own;
    if (deletes->next < deletes->trace_count) {
        struct serve_stats ask = {.query = {.by_trace = true,
                                            .trace = deletes->traces[deletes->next],
                                            .start_min_us = INT64_MIN,
                                            .start_max_us = INT64_MAX}};
        call_wants(call, ERR_TIMEOUT);
        call_stats(call, &ask, counted);
    } else if (deletes->deleted == 0 && deletes->id_count + deletes->trace_count == 1) {
        call_fail(call, 404, "There is nothing to delete: no such run");
    } else if (deletes->count > 0) {
        call_commit(call, deletes->runs, deletes->count, deleted);
    } else {
        deleted(call);
    }
}

/* --- runs: those that are there; the others are nobody's loss ----------------------------------- */

static void runs_found(struct call *call)
{
    struct deletes *deletes = call->own;
    for (size_t i = 0; i < call->find.count; i++) {
        if (!call->find.rows[i].found)
            continue;
        add(call, ENTITY_GONE_RUN, call->find.rows[i].id);
        deletes->deleted++;
    }
    count_next(call);
}

static void delete_them(struct call *call, const struct deletes *asked)
{
    struct deletes *deletes = arena_make(call->arena, struct deletes, 1);
    call->own = deletes;
    *deletes = *asked;
    deletes->receipt = uuid_v7(&(struct uuid_source){0}, clock_now_us());
    deletes->runs = arena_make(call->arena, struct run, asked->id_count + asked->trace_count);
    for (size_t i = 0; i < deletes->trace_count; i++)
        add(call, ENTITY_GONE_TRACE, deletes->traces[i]);
    if (deletes->id_count > 0)
        call_find(call, deletes->ids, deletes->id_count, runs_found);
    else
        count_next(call);
}

/* --- DELETE /runs/{id}, DELETE /runs?trace_id=, POST /runs/delete --------------------------------- */

static void delete_one(struct call *call)
{
    struct uuid *id = arena_make(call->arena, struct uuid, 1);
    if (call_id(call, 0, id))
        delete_them(call, &(struct deletes){.ids = id, .id_count = 1});
}

CALL(delete_run, delete_one, 0)

static void delete_trace(struct call *call)
{
    struct uuid *trace = arena_make(call->arena, struct uuid, 1);
    bool there;
    if (!call_ask_id(call, "trace_id", trace, &there))
        return;
    if (there)
        delete_them(call, &(struct deletes){.traces = trace, .trace_count = 1});
    else
        call_fail(call, 400, "Which runs? Say trace_id=ID, or DELETE /runs/ID");
}

CALL(delete_runs_of, delete_trace, 0)

static int by_id(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

static const struct uuid *distinct(struct call *call, const struct uuid *ids, size_t *count)
{
    struct uuid *list = arena_make(call->arena, struct uuid, *count + 1);
    size_t kept = 0;
    if (*count > 0)
        memcpy(list, ids, *count * sizeof *list);
    qsort(list, *count, sizeof *list, by_id);
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || uuid_compare(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    *count = kept;
    return list;
}

static void delete_several(struct call *call)
{
    struct body body;
    struct deletes asked = {0};
    if (!call_json(call, &body))
        return;
    asked.ids = body_ids(&body, "ids", &asked.id_count);
    asked.traces = body_ids(&body, "trace_ids", &asked.trace_count);
    if (!asked.ids && !asked.traces)
        body_fault(&body, "trace_ids", "missing", "Field required: trace_ids, or ids of runs");
    else if (asked.id_count + asked.trace_count > DELETES_MAX)
        body_fault(&body, "trace_ids", "too_long", "At most 1000 ids can be deleted at once");
    if (!call_good(call, &body))
        return;
    asked.ids = distinct(call, asked.ids, &asked.id_count);
    asked.traces = distinct(call, asked.traces, &asked.trace_count);
    delete_them(call, &asked);
}

CALL(delete_runs, delete_several, CALL_BODY)
