/* deletes.c - runs and traces that are there no more.
 *
 * What is deleted is hidden from the answer on, by an entity that says so: it is as durable
 * as a run, comes back with a rebuild, and hides too what comes later of the same id.  The
 * bytes stay where they are until their container goes.
 */
#include "api/body.h"
#include "api/call.h"
#include "api/handlers.h"
#include "api/shape.h"
#include "base/arena.h"
#include "base/clock.h"

enum { DELETES_MAX = 1000 };

struct deletes {
    struct run *runs; /* as they are stored */
    size_t count;
    struct uuid id; /* of DELETE: the one */
    struct run_query query;
};

static struct deletes *deletes_new(struct call *call, size_t max)
{
    struct deletes *deletes = arena_make(call->arena, struct deletes, 1);
    deletes->runs = arena_make(call->arena, struct run, max + 1);
    call->own = deletes;
    return deletes;
}

static void add(struct call *call, enum entity_kind kind, struct uuid id)
{
    struct deletes *deletes = call->own;
    struct entity gone = {.kind = kind, .id = id, .made_us = clock_now_us()};
    struct text text = {0};
    text_add_char(&text, '{');
    shape_id(&text, "id", id);
    shape_time(&text, "deleted_at", gone.made_us);
    text_add_char(&text, '}');
    gone.json = arena_copy(call->arena, text_str(&text));
    text_free(&text);
    deletes->runs[deletes->count++] = entity_run(&gone, (struct str){0}, NULL);
}

static void deleted(struct call *call)
{
    call_reply_empty(call, 202);
}

static void store(struct call *call)
{
    struct deletes *deletes = call->own;
    if (deletes->count > 0)
        call_commit(call, deletes->runs, deletes->count, deleted);
    else
        deleted(call);
}

/* --- DELETE /runs/{id}, /traces/{id} -------------------------------------------------------- */

static void run_found(struct call *call)
{
    struct deletes *deletes = call->own;
    if (!call->find.rows[0].found) {
        call_fail(call, 404, "Run not found");
        return;
    }
    add(call, ENTITY_GONE_RUN, deletes->id);
    store(call);
}

static void delete_one(struct call *call)
{
    struct deletes *deletes = deletes_new(call, 1);
    if (call_id(call, 0, &deletes->id))
        call_find(call, &deletes->id, 1, run_found);
}

CALL(delete_run, delete_one, 0)

static void trace_found(struct call *call)
{
    struct deletes *deletes = call->own;
    if (call->query.count == 0) {
        call_fail(call, 404, "Trace not found");
        return;
    }
    add(call, ENTITY_GONE_TRACE, deletes->id);
    store(call);
}

static void delete_all_of(struct call *call)
{
    struct deletes *deletes = deletes_new(call, 1);
    if (!call_id(call, 0, &deletes->id))
        return;
    deletes->query = (struct run_query){.by_trace = true,
                                        .trace = deletes->id,
                                        .start_min_us = INT64_MIN,
                                        .start_max_us = INT64_MAX,
                                        .limit = 1};
    call_query(call, &deletes->query, trace_found);
}

CALL(delete_trace, delete_all_of, 0)

/* --- POST /runs/delete ---------------------------------------------------------------------- */

/* Those that are there; the others are nobody's loss. */
static void runs_found(struct call *call)
{
    for (size_t i = 0; i < call->find.count; i++)
        if (call->find.rows[i].found)
            add(call, ENTITY_GONE_RUN, call->find.rows[i].id);
    store(call);
}

static void delete_several(struct call *call)
{
    struct body body;
    size_t id_count, trace_count;
    if (!call_json(call, &body))
        return;
    const struct uuid *ids = body_ids(&body, "ids", &id_count);
    const struct uuid *traces = body_ids(&body, "trace_ids", &trace_count);
    if (!ids && !traces)
        body_fault(&body, "trace_ids", "missing", "Field required: trace_ids, or ids of runs");
    else if (id_count + trace_count > DELETES_MAX)
        body_fault(&body, "trace_ids", "too_long", "At most 1000 ids can be deleted at once");
    if (!call_good(call, &body))
        return;
    (void)deletes_new(call, id_count + trace_count);
    for (size_t i = 0; i < trace_count; i++)
        add(call, ENTITY_GONE_TRACE, traces[i]);
    if (id_count > 0)
        call_find(call, ids, id_count, runs_found);
    else
        store(call);
}

CALL(delete_runs, delete_several, CALL_BODY)
