/* postgres_stage.c - from a stage that is asked to its verdicts; see postgres_writer.h.
 *
 *   pg_write_stage()  see that the writer has a session
 *   take_in()         decode every entry
 *   pg_aside_learn()  numbers for names, partitions for days (postgres_aside.h)
 *   look_up()         what the ledger lacks, unless we made the ids
 *   looked_up()       judge batch after batch; if that lacks more, ask again
 *
 * Nothing of it is in the database yet.
 */
#include <assert.h>
#include <stdlib.h>

#include "index/postgres_part.h"
#include "index/postgres_writer.h"

enum { ROUNDS_MAX = 64 /* of questions: each finds what the one before showed to be missing */ };

static struct pg_stage *stage_of_call(struct pg_call *call)
{
    return &op_owner(call, struct pg_writer, call)->write->stage;
}

static void stage_end(struct pg_stage *s, const struct err *err)
{
    struct index_stage *asked = s->asked;
    struct pg_writer *writer = s->writer;
    if (err) {
        asked->op.err = *err;
        writer->failed = true;
    }
    pg_aside_end(writer->write->aside);
    pg_stage_clear(s);
    op_finish(&asked->op);
}

/* --- what is asked ------------------------------------------------------------------- */

static bool is_layer(const struct run *run)
{
    return run->kind != RUN_ATTACHMENT && run->kind != RUN_ENTITY;
}

static void take_entry(struct pg_write *w, const struct index_batch *batch, uint32_t i,
                       const struct run *run)
{
    struct pg_stage *s = &w->stage;
    const struct record *record = batch->record;
    struct pg_entry *entry = &s->entries[s->count];
    *entry = (struct pg_entry){
        .run = *run,
        .place = {batch->first.container, batch->first.ordinal + i},
        .sequence = batch->sequence,
        .expect = record->fresh ? record->expect : RECORD_ANY,
        .stored = !record->fresh,
        .has_facts = record->fresh && record->facts,
    };
    if (entry->has_facts)
        entry->facts = record->facts[i];
    if (is_layer(run))
        entry->name = pg_aside_name(w->aside, run, &s->unknown[s->count]);
    if (run->kind != RUN_ENTITY)
        s->parts[s->part_count++] = part_of(run->id);
    s->count++;
}

static int decode(struct pg_write *w, uint32_t batch, struct err *err)
{
    const struct index_batch *asked = &w->stage.asked->batches[batch];
    for (uint32_t i = 0; i < asked->record->count; i++) {
        struct run run;
        int r = record_run(asked->record, i, &run, err);
        if (r)
            return r;
        take_entry(w, asked, i, &run);
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void sort_parts(struct pg_stage *s)
{
    size_t kept = 0;
    qsort(s->parts, s->part_count, sizeof *s->parts, by_number);
    for (size_t i = 0; i < s->part_count; i++)
        if (i == 0 || s->parts[i] != s->parts[kept - 1])
            s->parts[kept++] = s->parts[i];
    s->part_count = kept;
}

/* Of a server that was replaced meanwhile, nothing is known. */
static int begin_session(struct pg_writer *writer, struct err *err)
{
    struct pg_write *w = writer->write;
    if (pg_writer_same_session(writer))
        return 0;
    if (pg_writer_has_staged(writer))
        return err_set(err, ERR_UNAVAILABLE,
                       "the connection was lost, and what was staged with it: roll it back first");
    pg_writer_forget(writer);
    writer->session = pg_pool_session(writer->pool);
    pg_aside_forget(w->aside);
    return 0;
}

static void look_up(struct pg_stage *s);

/* Ids that nobody can have are not asked for, as long as the server is there: where it
 * is not, that is better known before anything is stored.  If one is there all the
 * same (a rebuild found it in the store before its commit), the commit fails, as ever,
 * and the next time it is asked for. */
static void expect(struct pg_stage *s)
{
    struct pg_writer *writer = s->writer;
    bool trusted = pg_writer_same_session(writer) && !writer->doubted;
    const struct pg_entry *entry = s->entries;
    for (size_t b = 0; b < s->asked->count; b++) {
        const struct record *record = s->asked->batches[b].record;
        for (uint32_t i = 0; i < record->count; i++, entry++) {
            pg_judge_expect(&writer->ledger, entry);
            if (record->new_ids && trusted && entry->run.kind != RUN_ENTITY)
                pg_ledger_slot(&writer->ledger, entry->run.id)->known = true;
        }
    }
}

/* Names have their numbers now, and all parts are there. */
static void learned(struct pg_learn *learn)
{
    struct pg_stage *s = op_owner(learn, struct pg_stage, learn);
    if (learn->err.code) {
        struct err err = learn->err;
        stage_end(s, &err);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->unknown[i])
            s->entries[i].name = pg_aside_number(s->writer->write->aside, s->unknown[i]);
    expect(s);
    look_up(s);
}

static void take_in(struct pg_write *w)
{
    struct pg_stage *s = &w->stage;
    struct err err = {0};
    (void)begin_session(s->writer, &err); /* the code is in it */
    pg_aside_begin(w->aside);
    for (uint32_t i = 0; i < s->asked->count && !err.code; i++)
        (void)decode(w, i, &err);
    if (err.code) {
        stage_end(s, &err);
        return;
    }
    sort_parts(s);
    s->learn = (struct pg_learn){.parts = s->parts, .part_count = s->part_count, .done = learned};
    pg_aside_learn(w->aside, &s->learn);
}

static void send_nothing(struct pg_call *call, struct pg_conn *conn)
{
    (void)call;
    (void)conn;
}

static void connected(struct pg_call *call)
{
    struct pg_stage *s = stage_of_call(call);
    if (call->err.code) {
        struct err err = call->err;
        stage_end(s, &err);
        return;
    }
    take_in(s->writer->write);
}

void pg_write_stage(struct pg_write *w, struct index_stage *asked)
{
    struct pg_stage *s = &w->stage;
    size_t total = 0;
    assert(!s->asked);
    for (size_t i = 0; i < asked->count; i++)
        total += asked->batches[i].record->count;
    s->asked = asked;
    s->writer = pg_writer_of(w, asked->writer, asked->op.loop);
    s->entries = calloc(total + 1, sizeof *s->entries);
    s->unknown = calloc(total + 1, sizeof *s->unknown);
    s->parts = calloc(total + 1, sizeof *s->parts);
    if (!s->entries || !s->unknown || !s->parts)
        abort();
    if (s->writer->failed) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "what was staged has failed: roll it back first");
        stage_end(s, &err);
    } else if (pg_pool_session(s->writer->pool) > 0) {
        take_in(w);
    } else {
        pg_writer_ask(s->writer, send_nothing, NULL, connected);
    }
}

/* --- what becomes of it ------------------------------------------------------------------ */

static void keep_container(struct pg_writer *writer, uint64_t container)
{
    for (size_t i = writer->container_count; i-- > 0;)
        if (writer->containers[i] == container) /* nearly always the last */
            return;
    if (writer->container_count == writer->container_cap) {
        writer->container_cap = 2 * writer->container_cap + 8;
        writer->containers =
            realloc(writer->containers, writer->container_cap * sizeof *writer->containers);
        if (!writer->containers)
            abort();
    }
    writer->containers[writer->container_count++] = container;
}

static void judge(struct pg_stage *s)
{
    struct pg_writer *writer = s->writer;
    size_t point = pg_ledger_point(&writer->ledger), first = 0;
    writer->ledger.missing = false;
    for (size_t i = 0; i < s->asked->count; i++) {
        struct index_batch *batch = &s->asked->batches[i];
        pg_judge(&writer->ledger, &s->entries[first], batch->record->count, batch);
        first += batch->record->count;
    }
    if (writer->ledger.missing) { /* nothing of it counts */
        pg_ledger_back(&writer->ledger, point);
        look_up(s);
        return;
    }
    for (size_t i = 0; i < s->asked->count; i++)
        if (s->asked->batches[i].added > 0)
            keep_container(writer, s->asked->batches[i].first.container);
    stage_end(s, NULL);
}

static void send_look_up(struct pg_call *call, struct pg_conn *conn)
{
    pg_look_up_send(&stage_of_call(call)->look_up, conn);
}

static void take_look_up(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_stage *s = stage_of_call(call);
    if (!s->corrupt.code)
        pg_look_up_take(&s->look_up, &s->writer->ledger, nth, pg_write_libpq(s->writer->write),
                        result, &s->corrupt);
}

static void looked_up(struct pg_call *call)
{
    struct pg_stage *s = stage_of_call(call);
    struct err err = call->err.code ? call->err : s->corrupt;
    if (!err.code && !pg_writer_same_session(s->writer))
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: the connection was made anew meanwhile");
    pg_look_up_end(&s->look_up, err.code == ERR_OK);
    if (err.code) {
        stage_end(s, &err);
        return;
    }
    s->writer->doubted = false;
    judge(s);
}

static void look_up(struct pg_stage *s)
{
    if (!pg_look_up_begin(&s->look_up, &s->writer->ledger)) {
        pg_look_up_end(&s->look_up, true);
        judge(s);
    } else if (s->rounds++ == ROUNDS_MAX) {
        struct err err;
        pg_look_up_end(&s->look_up, false);
        err_set(&err, ERR_BUSY, "projects of one name were deleted too often to find the next");
        stage_end(s, &err);
    } else {
        pg_writer_ask(s->writer, send_look_up, take_look_up, looked_up);
    }
}
