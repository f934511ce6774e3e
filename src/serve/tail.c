/* tail.c - see tail.h.
 *
 *   step()     is there something?  ids that were committed here: ask_batch();
 *              others committed: ask_look(); else wait
 *   heard()    something came, or the time is over: gather for a moment, or say that
 *              nothing came
 *   looked()   which of the newest runs were not told ⇢ ask_batch()
 *   named()    which project has this name
 *   batched()  a step of the batch is there: that is the answer
 */
#include "serve/tail.h"

#include <assert.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/watch.h"
#include "serve/follow.h"
#include "serve/told.h"

static void heard(struct op *op);
static void named(struct op *op);
static void batched(struct op *op);
static void looked(struct op *op);
static void passed(void *context);
static void step(struct serve_tail *tail);

/* --- its life -------------------------------------------------------------------------- */

bool serve_tail_begin(struct serve_tail *tail)
{
    struct news *news = tail->serve->news;
    tail->ear.op = (struct op){.loop = tail->op.loop, .done = heard};
    if (!news_listen(news, &tail->ear))
        return false;
    tail->at = tail->taken = news_last(news);
    tail->said_us = clock_mono_us();
    tail->timer = timer_new(tail->op.loop, passed, tail);
    tail->asked.oldest_first = true;
    if (tail->serve->follow)
        tail->told = told_new();
    return true;
}

void serve_tail_resume(struct serve_tail *tail, uint64_t epoch, uint64_t from)
{
    bool ours = epoch == news_epoch(tail->serve->news) && from <= tail->at;
    if (ours)
        tail->at = tail->taken = from;
    if (!ours)
        tail->gap = "This server does not know where you were: it was another one, or began anew";
    else if (tail->told)
        tail->gap = "Other nodes may have stored something while you were away";
}

void serve_tail_end(struct serve_tail *tail)
{
    assert(tail->state == TAIL_IDLE);
    if (tail->going)
        serve_end(&tail->runs);
    arena_free(tail->arena);
    told_free(tail->told);
    timer_free(tail->timer);
    news_leave(tail->serve->news, &tail->ear);
}

static void finish(struct serve_tail *tail, enum tail_what what)
{
    tail->state = TAIL_IDLE;
    tail->what = what;
    tail->said_us = clock_mono_us();
    op_finish(&tail->op);
}

static void finish_lost(struct serve_tail *tail, uint64_t lost, const char *reason)
{
    tail->lost = lost;
    tail->reason = reason;
    finish(tail, TAIL_LOST);
}

static void rest(struct serve_tail *tail, enum tail_state state, uint64_t ms)
{
    tail->state = state;
    timer_start(tail->timer, ms);
}

void serve_tail_stop(struct serve_tail *tail)
{
    tail->stopping = true;
    if (tail->state == TAIL_WAITS)
        news_hush(tail->serve->news, &tail->ear);
    else if (tail->state == TAIL_RESTS)
        rest(tail, TAIL_RESTS, 0);
}

/* --- a batch ---------------------------------------------------------------------------- */

/* Nothing of it is left to be told. */
static void end_batch(struct serve_tail *tail)
{
    tail->count = 0;
    tail->tries = 0;
    tail->asked.after = false;
    tail->at = tail->taken;
}

static bool can_be_tried_again(enum err_code code)
{
    return code == ERR_BUSY || code == ERR_TIMEOUT || code == ERR_UNAVAILABLE;
}

/* What was to be read cannot be. */
static void fail_batch(struct serve_tail *tail, const struct err *err)
{
    if (tail->stopping) {
        finish(tail, TAIL_ENDS);
        return;
    }
    if (can_be_tried_again(err->code) && ++tail->tries < TAIL_TRIES) {
        rest(tail, TAIL_RESTS, TAIL_RETRY_MS);
        return;
    }
    uint64_t lost = tail->count;
    log_event(LOG_WARN, "tail_lost", LOG_N("runs", lost), LOG_C("reason", err->text));
    end_batch(tail);
    finish_lost(tail, lost, "They could not be read");
}

/* Those with `ids`; behind the cursor, if a page of them was cut by its size or its time. */
static void ask_page(struct serve_tail *tail)
{
    struct run_query asked = tail->asked;
    asked.ids = tail->ids;
    asked.id_count = tail->count;
    tail->runs = (struct serve_runs){
        .op = {.loop = tail->op.loop, .done = batched},
        .serve = tail->serve,
        .arena = tail->arena,
        .fields = tail->fields,
        .shown = tail->fields,
        .coding = CODING_IDENTITY,
        .asked = asked,
        .most = tail->count,
        .left = &tail->stopping,
        .may_be_empty = true,
        .style = tail->style,
        .origin = tail->origin,
    };
    tail->going = true;
    serve_page(&tail->runs);
}

static void end_page(struct serve_tail *tail)
{
    const struct serve_runs *runs = &tail->runs;
    for (size_t i = 0; tail->told && i < runs->count; i++)
        told_add(tail->told, runs->rows[i].id, runs->rows[i].version);
    tail->last = !runs->more;
    if (tail->last) {
        end_batch(tail);
    } else {
        tail->asked.after = true;
        tail->asked.cursor = runs->behind;
    }
    serve_end(&tail->runs);
    tail->going = false;
}

static void batched(struct op *op)
{
    struct serve_tail *tail = op_owner(op, struct serve_tail, runs.op);
    if (op->err.code) {
        struct err err = op->err;
        serve_end(&tail->runs);
        tail->going = false;
        fail_batch(tail, &err);
        return;
    }
    tail->step = tail->runs.step;
    tail->runs.step = NULL;
    tail->last = false;
    if (tail->runs.last)
        end_page(tail);
    if (tail->step->len > 0) {
        finish(tail, TAIL_RUNS);
        return;
    }
    tail->step = buf_unref(tail->step);
    step(tail);
}

/* --- what other nodes committed ----------------------------------------------------------- */

static bool look_is_due(const struct serve_tail *tail)
{
    return tail->told && clock_mono_us() >= tail->look_us &&
           (!tail->looked || follow_commits(tail->serve->follow) != tail->commits);
}

static void ask_look(struct serve_tail *tail)
{
    int64_t since_us = clock_now_us() - TAIL_BACK_MS * INT64_C(1000);
    tail->look = (struct serve_query){
        .op = {.loop = tail->op.loop, .done = looked},
        .serve = tail->serve,
        .query = tail->asked,
        .arena = tail->arena,
        .left = &tail->stopping,
        .began_us = serve_query_began(tail->serve, TAIL_LOOK_MAX_MS),
    };
    struct run_query *query = &tail->look.query;
    query->bare = true;
    query->oldest_first = false;
    query->limit = QUERY_LIMIT_MAX;
    if (query->start_min_us < since_us)
        query->start_min_us = since_us;
    tail->looked_at = tail->fresh = 0;
    serve_query(&tail->look);
}

/* When the next one may be. */
static void end_look(struct serve_tail *tail)
{
    int64_t now_us = clock_mono_us(), pause_us = TAIL_LOOK_SHARE * (now_us - tail->began_us);
    if (pause_us < TAIL_LOOK_MS * INT64_C(1000))
        pause_us = TAIL_LOOK_MS * INT64_C(1000);
    tail->look_us = now_us + pause_us;
    step(tail);
}

/* At the first look all is old. */
static void take_rows(struct serve_tail *tail)
{
    const struct serve_query *look = &tail->look;
    for (size_t i = 0; i < look->count; i++) {
        const struct index_row *row = &look->rows[i];
        if (told_has(tail->told, row->id, row->version))
            continue;
        if (!tail->looked)
            told_add(tail->told, row->id, row->version);
        else if (tail->fresh++ < TAIL_IDS)
            tail->ids[tail->count++] = row->id;
    }
    tail->looked_at += look->count;
}

/* A step of the look: with few rows, if few of those that were looked at are asked for. */
static void looked(struct op *op)
{
    struct serve_tail *tail = op_owner(op, struct serve_tail, look.op);
    struct serve_query *look = &tail->look;
    if (!op->err.code)
        take_rows(tail);
    if (!op->err.code && !look->last && !look->late && tail->looked_at < QUERY_LIMIT_MAX) {
        look->query.limit = (uint32_t)(QUERY_LIMIT_MAX - tail->looked_at);
        serve_query(look);
        return;
    }
    if (tail->fresh == QUERY_LIMIT_MAX || look->late)
        tail->gap = "Other nodes stored more than is looked at";
    if (!op->err.code && tail->fresh <= TAIL_IDS) {
        tail->looked = true;
        tail->commits = tail->seen;
    }
    end_look(tail);
}

/* --- of a project that has a name ----------------------------------------------------------- */

/* There may be none yet, and there may be another one by now. */
static void ask(struct serve_tail *tail, bool looks)
{
    tail->state = TAIL_ASKS;
    tail->looks = looks;
    arena_free(tail->arena);
    tail->arena = arena_new(4096);
    if (!tail->project.at) {
        (looks ? ask_look : ask_page)(tail);
        return;
    }
    tail->named = (struct index_entities){
        .op = {.loop = tail->op.loop, .done = named},
        .kind = ENTITY_PROJECT,
        .name = tail->project,
        .limit = 1,
        .arena = tail->arena,
    };
    tail->serve->index->ops->entities(tail->serve->index, &tail->named);
}

static void named(struct op *op)
{
    struct serve_tail *tail = op_owner(op, struct serve_tail, named.op);
    if (op->err.code && !tail->looks) {
        fail_batch(tail, &op->err);
    } else if (!op->err.code && tail->named.count > 0) {
        tail->asked.projects = &tail->named.entities[0].id;
        tail->asked.project_count = 1;
        (tail->looks ? ask_look : ask_page)(tail);
    } else if (tail->looks) {
        tail->looked = tail->looked || !op->err.code;
        end_look(tail);
    } else {
        end_batch(tail);
        step(tail);
    }
}

/* --- what there is --------------------------------------------------------------------------- */

/* Each once: a run that came in two layers is read when both are there. */
static uint64_t take(struct serve_tail *tail)
{
    uint64_t lost;
    size_t count = news_take(tail->serve->news, &tail->taken, tail->ids, TAIL_IDS, &lost);
    tail->at += lost;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < tail->count && uuid_compare(tail->ids[k], tail->ids[i]) != 0)
            k++;
        if (k == tail->count)
            tail->ids[tail->count++] = tail->ids[i];
    }
    return lost;
}

static void wait_for_news(struct serve_tail *tail)
{
    int64_t now_us = clock_mono_us(), until_us = tail->said_us + TAIL_QUIET_MS * INT64_C(1000);
    if (tail->told && until_us > now_us + TAIL_LOOK_MS * INT64_C(1000))
        until_us = now_us + TAIL_LOOK_MS * INT64_C(1000);
    rest(tail, TAIL_WAITS, until_us > now_us ? (uint64_t)(until_us - now_us) / 1000 + 1 : 0);
    news_wait(tail->serve->news, &tail->ear, tail->taken);
}

static void step(struct serve_tail *tail)
{
    uint64_t lost = 0;
    if (tail->stopping || news_closed(tail->serve->news)) {
        finish(tail, TAIL_ENDS);
        return;
    }
    if (tail->gap) {
        const char *reason = tail->gap;
        tail->gap = NULL;
        finish_lost(tail, 0, reason);
        return;
    }
    if (tail->count == 0)
        lost = take(tail);
    if (lost > 0)
        finish_lost(tail, lost, "More came than is kept for who does not read it");
    else if (tail->count > 0)
        ask(tail, false);
    else if (clock_mono_us() - tail->said_us >= TAIL_QUIET_MS * INT64_C(1000))
        finish(tail, TAIL_QUIET);
    else if (look_is_due(tail)) {
        tail->seen = follow_commits(tail->serve->follow);
        tail->began_us = clock_mono_us();
        ask(tail, true);
    } else {
        wait_for_news(tail);
    }
}

/* Something came, or it is time for something else, or for the end. */
static void heard(struct op *op)
{
    struct serve_tail *tail = op_owner(op, struct serve_tail, ear.op);
    timer_stop(tail->timer);
    if (!tail->stopping && news_last(tail->serve->news) > tail->taken)
        rest(tail, TAIL_RESTS, TAIL_GATHER_MS);
    else
        step(tail);
}

static void passed(void *context)
{
    struct serve_tail *tail = context;
    if (tail->state == TAIL_WAITS)
        news_hush(tail->serve->news, &tail->ear);
    else if (tail->state == TAIL_RESTS)
        step(tail);
}

void serve_tail_next(struct serve_tail *tail)
{
    assert(tail->state == TAIL_IDLE);
    tail->op.err = (struct err){0};
    if (!tail->going || tail->stopping) {
        step(tail);
        return;
    }
    tail->state = TAIL_ASKS;
    serve_more(&tail->runs);
}
