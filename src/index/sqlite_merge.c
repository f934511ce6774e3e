/* sqlite_merge.c - see sqlite_merge.h.
 *
 * Batches are judged while they are taken in, entry by entry, since an entry may be
 * about what one before it said.  What that changes of runs is in memory
 * (sqlite_touched.h) and can be undone there.  Names of a refused batch stay, and
 * projects are cut off again.  Where more could be left, because entities change or a
 * run may move the traces of others, a savepoint guards the batch; only a batch of
 * whole runs, or of entities whose name or version may be refused, is ever undone.
 */
#include "index/sqlite_merge.h"

#include <assert.h>
#include <stdlib.h>

#include "index/fold.h"
#include "index/guess.h"
#include "index/sqlite_db.h"
#include "run/facts.h"

int merger_open(struct merger *m, struct keys_reader *reader, struct staged *staged,
                struct err *err)
{
    int r = db_prepare(reader->db, "SAVEPOINT batch", &m->guard, err);
    if (!r)
        r = db_prepare(reader->db, "RELEASE batch", &m->unguard, err);
    if (!r)
        r = db_prepare(reader->db, "ROLLBACK TO batch", &m->undo, err);
    if (!r)
        r = touched_open(&m->touched, reader, staged, err);
    if (!r)
        r = names_open(&m->names, reader, staged, err);
    if (!r)
        r = catalog_open(&m->catalog, reader->db, err);
    if (!r)
        r = guesses_open(&m->guesses, reader->db, err);
    return r;
}

void merger_close(struct merger *m)
{
    sqlite3_finalize(m->guard);
    sqlite3_finalize(m->unguard);
    sqlite3_finalize(m->undo);
    touched_close(&m->touched);
    names_close(&m->names);
    catalog_close(&m->catalog);
    guesses_close(&m->guesses);
    free(m->runs);
    free(m->queue);
    text_free(&m->facts);
    text_free(&m->fresh);
    text_free(&m->name);
}

/* --- a layer ------------------------------------------------------------------------ */

/* The run at hand: found, or all zero. */
static int get(struct merger *m, struct uuid id, size_t *touch, struct str *facts, struct err *err)
{
    int r = touched_get(&m->touched, id, touch, err);
    *facts = (struct str){0};
    if (!r && *touch)
        touched_read(&m->touched, *touch, &m->row, facts);
    else
        m->row = (struct row){.run.id = id};
    return r;
}

static void grow(struct merged *run, uint64_t sequence)
{
    run->version = sequence > run->version ? sequence : run->version + 1;
}

static int set_name(struct merger *m, const struct run *run, struct err *err)
{
    m->name.len = 0;
    m->row.name = 0;
    return fold_run_name(run, &m->name)
               ? names_number(&m->names, m->touched.view, text_str(&m->name), &m->row.name, err)
               : 0;
}

static int set_project(struct merger *m, const struct run *run, bool first, uint64_t sequence,
                       struct err *err)
{
    if (!first && (!m->row.by_default || !catalog_is_named(&m->catalog, run)))
        return 0;
    return catalog_project(&m->catalog, run, sequence, &m->row.project, &m->row.by_default, err);
}

/* The trace of a run that does not say it: its parent's, the parent, or itself. */
static int guess_trace(struct merger *m, struct err *err)
{
    struct merged *run = &m->row.run;
    if (!run->guessed)
        return 0;
    if (uuid_is_zero(run->parent)) {
        run->trace = run->id;
        return 0;
    }
    struct row parent;
    struct str facts;
    size_t touch;
    int r = touched_get(&m->touched, run->parent, &touch, err);
    run->trace = run->parent;
    if (r || !touch)
        return r;
    touched_read(&m->touched, touch, &parent, &facts);
    if (parent.run.count > 0) {
        run->trace = parent.run.trace;
        run->guessed = parent.run.guessed;
    }
    return 0;
}

/* Keep the list of guesses as the rows are. */
static int note_guess(struct merger *m, struct uuid id, bool was, struct uuid was_trace, bool is,
                      struct uuid trace, struct err *err)
{
    if (was == is && (!was || uuid_compare(was_trace, trace) == 0))
        return 0;
    int r = was ? guesses_remove(&m->guesses, was_trace, id, err) : 0;
    return !r && is ? guesses_add(&m->guesses, trace, id, err) : r;
}

/* --- those that await a run (guess.h) -------------------------------------------------- */

static bool awaits(const struct merged *run)
{
    return run->guessed && uuid_compare(run->trace, run->id) != 0;
}

static int is_settled(struct merger *m, const struct merged *run, bool *is, struct err *err)
{
    struct row awaited;
    struct str facts;
    size_t touch;
    *is = !awaits(run);
    if (*is)
        return 0;
    int r = touched_get(&m->touched, run->trace, &touch, err);
    if (r || !touch)
        return r;
    touched_read(&m->touched, touch, &awaited, &facts);
    *is = awaited.run.count > 0 && !awaits(&awaited.run);
    return 0;
}

/* Those that await it, behind those that are in the queue; no more than `most`. */
static int add_waiters(struct merger *m, struct uuid id, size_t most, size_t *added,
                       struct err *err)
{
    struct uuid next = {0};
    bool there = true;
    int r = 0;
    for (*added = 0; *added < most; ++*added) {
        do
            r = guesses_next(&m->guesses, id, next, &next, &there, err);
        while (!r && there && uuid_compare(next, id) == 0); /* one that awaits itself */
        if (r || !there)
            return r;
        if (m->queue_count == m->queue_cap) {
            m->queue_cap = m->queue_cap ? 2 * m->queue_cap : 64;
            m->queue = realloc(m->queue, m->queue_cap * sizeof *m->queue);
            if (!m->queue)
                abort();
        }
        m->queue[m->queue_count++] = next;
    }
    return 0;
}

static int move(struct merger *m, struct uuid id, struct uuid trace, bool guessed,
                uint64_t sequence, struct err *err)
{
    size_t touch;
    struct str facts;
    int r = get(m, id, &touch, &facts, err);
    if (!r)
        r = note_guess(m, id, m->row.run.guessed, m->row.run.trace, guessed, trace, err);
    if (r)
        return r;
    m->row.run.trace = trace;
    m->row.run.guessed = guessed;
    grow(&m->row.run, sequence);
    touched_put(&m->touched, &touch, &m->row, NULL, false);
    return 0;
}

/* All that await `to`, which is settled, and all that await those, to its trace. */
static int settle(struct merger *m, const struct merged *to, uint64_t sequence, struct err *err)
{
    bool stay = to->guessed && uuid_compare(to->id, to->trace) == 0; /* they have it */
    size_t first, below;
    int r = add_waiters(m, to->id, SIZE_MAX, &first, err);
    for (size_t i = 0; !r && i < m->queue_count; i++) {
        struct uuid id = m->queue[i];
        r = add_waiters(m, id, SIZE_MAX, &below, err);
        if (!r && (below > 0 || !stay || i >= first))
            r = move(m, id, to->trace, to->guessed, sequence, err);
    }
    return r;
}

/* Those that await this run, whose trace is another one than it was. */
static int move_waiters(struct merger *m, const struct merged *run, uint64_t sequence,
                        struct err *err)
{
    if (m->guesses.count == 0)
        return 0;
    const struct merged to = *run; /* the run at hand will be another one */
    bool settled;
    size_t count;
    m->queue_count = 0;
    int r = is_settled(m, &to, &settled, err);
    if (r || settled)
        return r ? r : settle(m, &to, sequence, err);
    r = add_waiters(m, to.id, GUESS_MOVED + 1, &count, err);
    for (size_t i = 0; !r && i < count && count <= GUESS_MOVED; i++)
        r = move(m, m->queue[i], to.trace, true, sequence, err);
    return r;
}

/* --- a layer, taken in ------------------------------------------------------------------ */

static struct str facts_made(struct merger *m, const struct run *run, const struct str *made)
{
    if (made)
        return *made;
    m->fresh.len = 0;
    facts_of(run, &m->fresh);
    return text_str(&m->fresh);
}

/* The run at hand with a layer more. */
static int add_layer(struct merger *m, size_t touch, struct str old, const struct run *run,
                     const struct str *made, struct place place, uint64_t sequence, struct err *err)
{
    struct merged *merged = &m->row.run;
    bool first = merged->count == 0, was_guessed = merged->guessed;
    struct uuid was_trace = merged->trace;
    uint32_t taken = merge_add(merged, run, place, sequence);
    int r = taken & UINT32_C(1) << RUN_NAME || first ? set_name(m, run, err) : 0;
    if (!r)
        r = set_project(m, run, first, sequence, err);
    if (r)
        return r;
    struct str facts = facts_made(m, run, made);
    bool alone = old.len == 0 && first;
    if (!alone) {
        m->facts.len = 0;
        facts_merge(old, taken, facts, &m->facts);
        facts = text_str(&m->facts);
    }
    r = guess_trace(m, err); /* `old` is of no use after it */
    if (!r)
        r = note_guess(m, merged->id, was_guessed && !first, was_trace, merged->guessed,
                       merged->trace, err);
    if (r)
        return r;
    touched_put(&m->touched, &touch, &m->row, &facts, alone && made);
    return first || was_guessed != merged->guessed || uuid_compare(was_trace, merged->trace) != 0
               ? move_waiters(m, merged, sequence, err)
               : 0;
}

static int add_attachment(struct merger *m, size_t touch, struct str old, const struct run *run,
                          struct place place, uint64_t sequence, enum index_verdict *verdict)
{
    m->facts.len = 0;
    *verdict = INDEX_DUPLICATE;
    if (!facts_attach(old, run, place, sequence, &m->facts))
        return 0;
    *verdict = INDEX_ADDED;
    if (m->row.run.count > 0)
        grow(&m->row.run, sequence);
    const struct str facts = text_str(&m->facts);
    touched_put(&m->touched, &touch, &m->row, &facts, false);
    return 0;
}

/* --- an entry ------------------------------------------------------------------------- */

/* The run that an entity is about shows it, so it is another one now. */
static int touch_run(struct merger *m, struct uuid about, uint64_t sequence, struct err *err)
{
    size_t touch;
    struct str facts;
    if (uuid_is_zero(about))
        return 0;
    int r = get(m, about, &touch, &facts, err);
    if (r || m->row.run.count == 0)
        return r;
    grow(&m->row.run, sequence);
    touched_put(&m->touched, &touch, &m->row, NULL, false);
    return 0;
}

static int add_entity(struct merger *m, const struct run *run, uint64_t sequence, uint64_t expect,
                      enum index_verdict *verdict, struct err *err)
{
    struct uuid about[2] = {0};
    int r = catalog_put(&m->catalog, run, sequence, expect, verdict, about, err);
    if (r || *verdict != INDEX_ADDED)
        return r;
    r = touch_run(m, about[0], sequence, err);
    return r ? r : touch_run(m, about[1], sequence, err);
}

static int add_entry(struct merger *m, const struct index_batch *batch, uint32_t i,
                     enum index_verdict *verdict, struct err *err)
{
    const struct record *record = batch->record;
    const struct run *run = &m->runs[i];
    struct place place = {batch->first.container, batch->first.ordinal + i};
    const struct str *made = record->fresh && record->facts ? &record->facts[i] : NULL;
    uint64_t sequence = batch->sequence;
    size_t touch;
    struct str facts;
    if (run->kind == RUN_ENTITY)
        return add_entity(m, run, sequence, record->fresh ? record->expect : RECORD_ANY, verdict,
                          err);
    int r = get(m, run->id, &touch, &facts, err);
    if (r)
        return r;
    if (run->kind == RUN_ATTACHMENT)
        return add_attachment(m, touch, facts, run, place, sequence, verdict);
    const struct merged *there = &m->row.run;
    *verdict = INDEX_DUPLICATE;
    if (run->kind == RUN_WHOLE && there->posted) {
        if (memcmp(there->post_hash, run->hash, sizeof run->hash) != 0)
            *verdict = INDEX_CONFLICT;
        return 0;
    }
    if (run->kind != RUN_WHOLE && merge_has(there, run))
        return 0;
    *verdict = INDEX_ADDED;
    return add_layer(m, touch, facts, run, made, place, sequence, err);
}

/* --- a batch --------------------------------------------------------------------------- */

/* How a batch can be refused, and what then may be left of it. */
struct risk {
    bool refused; /* it may be */
    bool guarded; /* memory alone cannot undo it */
};

static struct risk risk_of(const struct merger *m, const struct record *record)
{
    bool whole = false, other = false, entity = false, named = false;
    bool expects = record->fresh && record->expect != RECORD_ANY, guess = false;
    for (uint32_t i = 0; i < record->count; i++) {
        const struct run *run = &m->runs[i];
        whole = whole || run->kind == RUN_WHOLE;
        other = other || run->kind != RUN_WHOLE;
        guess = guess || uuid_is_zero(run->trace);
        if (run->kind != RUN_ENTITY)
            continue;
        entity = true;
        named = named || entity_has_unique_name((enum entity_kind)run->entity);
    }
    struct risk risk = {.refused = whole || named || (entity && expects)};
    risk.guarded = risk.refused && (other || guess || m->guesses.count > 0);
    return risk;
}

static int decode(struct merger *m, const struct record *record, struct err *err)
{
    if (record->count > m->runs_cap) {
        free(m->runs);
        m->runs = calloc(record->count, sizeof *m->runs);
        m->runs_cap = m->runs ? record->count : 0;
        if (!m->runs)
            return err_set(err, ERR_BUSY, "index: no memory for %u runs", record->count);
    }
    int r = 0;
    for (uint32_t i = 0; !r && i < record->count; i++)
        r = record_run(record, i, &m->runs[i], err);
    return r;
}

/* So that no name is made under the guard: those stay. */
static int make_names(struct merger *m, const struct record *record, struct err *err)
{
    int r = 0;
    for (uint32_t i = 0; !r && i < record->count; i++)
        if (m->runs[i].kind <= RUN_PATCH)
            r = set_name(m, &m->runs[i], err);
    return r;
}

/* Undo all of the batch. */
static int refuse(struct merger *m, const struct risk *risk, uint64_t entities, uint64_t guesses,
                  struct err *err)
{
    touched_undo(&m->touched);
    if (!risk->guarded)
        return catalog_cut(&m->catalog, entities, err);
    int r = db_run(m->undo, "undo a batch", err);
    m->catalog.count = entities;
    m->guesses.count = guesses;
    catalog_forget(&m->catalog);
    return r;
}

static int take_all(struct merger *m, struct index_batch *batch, const struct risk *risk,
                    struct err *err)
{
    uint64_t entities = m->catalog.count, guesses = m->guesses.count;
    int r = 0;
    for (uint32_t i = 0; !r && i < batch->record->count; i++) {
        enum index_verdict verdict;
        r = add_entry(m, batch, i, &verdict, err);
        if (!r && verdict == INDEX_CONFLICT) {
            batch->verdict = INDEX_CONFLICT;
            batch->added = 0;
            batch->conflict = i;
            return refuse(m, risk, entities, guesses, err);
        }
        batch->added += !r && verdict == INDEX_ADDED;
        if (!r && !risk->refused && touched_is_much(&m->touched))
            r = touched_write(&m->touched, err);
    }
    batch->verdict = batch->added ? INDEX_ADDED : INDEX_DUPLICATE;
    return r;
}

int merger_take(struct merger *m, struct index_batch *batch, struct err *err)
{
    batch->added = 0;
    int r = touched_is_much(&m->touched) ? touched_write(&m->touched, err) : 0;
    if (!r)
        r = decode(m, batch->record, err);
    if (r)
        return r;
    const struct risk risk = risk_of(m, batch->record);
    touched_begin(&m->touched);
    if (risk.guarded) {
        r = make_names(m, batch->record, err);
        if (!r)
            r = db_run(m->guard, "guard a batch", err);
    }
    if (!r)
        r = take_all(m, batch, &risk, err);
    return !r && risk.guarded ? db_run(m->unguard, "end the guard of a batch", err) : r;
}
