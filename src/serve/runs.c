/* runs.c - see runs.h.
 *
 *   serve_search()  if so asked, what other nodes did ⇢ looked()
 *                   ask the cache ⇢ cached()  ask the index ⇢ searched()
 *   serve_batch()                             ask the index ⇢ looked_up()
 *   serve_page()    ask the index ⇢ queried(), until there are enough
 *   step()          read the next runs ⇢ fetched()  what was said of them ⇢ remarked()
 *                   render them, answer
 *
 * Which runs the page has, how many, and what follows it is known before the
 * first is read: the rows know their sizes.
 */
#include "serve/runs.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/metric.h"
#include "base/text.h"
#include "run/render.h"
#include "serve/encode.h"
#include "wire/splice.h"

static const struct style native = {
    .begin = {"{\"runs\":[", sizeof "{\"runs\":[" - 1},
    .between = {",", 1},
    .run = render_run,
};

enum { RUN_COST = 512 /* bytes of a run's entry and spans, and of ours for it */ };

static void looked(struct op *op);
static void ask_cache(struct serve_runs *runs);
static void cached(struct op *op);
static void searched(struct op *op);
static void looked_up(struct op *op);
static void queried(struct op *op);
static void fetched(struct op *op);
static void remarked(struct op *op);

static void fail(struct serve_runs *runs, const struct err *err)
{
    runs->op.err = *err;
    op_finish(&runs->op);
}

/* The page's question and its coding; empty when the name is too long to be a key. */
static struct str key_of(struct serve_runs *runs)
{
    const struct query *q = &runs->query;
    char *p = runs->key;
    if (q->by_name && q->name.len > CACHE_KEY_MAX - 64)
        return (struct str){0};
    *p++ = 's';
    *p++ = (char)runs->coding;
    *p++ = (char)(q->by_trace | q->by_name << 1 | q->after << 2);
    put_u64(p, runs->fields);
    put_u32(p + 8, q->limit);
    p += 12;
    if (q->by_trace) {
        memcpy(p, q->trace.byte, sizeof q->trace.byte);
        p += sizeof q->trace.byte;
    }
    if (q->after) {
        put_u64(p, (uint64_t)q->cursor.start_us);
        memcpy(p + 8, q->cursor.id.byte, sizeof q->cursor.id.byte);
        p += 24;
    }
    if (q->by_name && q->name.len) {
        memcpy(p, q->name.at, q->name.len);
        p += q->name.len;
    }
    return (struct str){runs->key, (size_t)(p - runs->key)};
}

static void ask_index(struct serve_runs *runs)
{
    runs->found = (struct index_search){
        .op = {.loop = runs->op.loop, .done = searched},
        .query = &runs->query,
        .facts = runs->fields & SHOW_OF_FACTS,
        .arena = runs->arena,
    };
    runs->serve->index->ops->search(runs->serve->index, &runs->found);
}

void serve_search(struct serve_runs *runs)
{
    runs->search = true;
    runs->style = &native;
    runs->shown = runs->fields;
    if (runs->strong && runs->serve->follow) {
        runs->look = (struct follow_look){.op = {.loop = runs->op.loop, .done = looked},
                                          .follow = runs->serve->follow};
        follow_look(&runs->look);
    } else {
        ask_cache(runs);
    }
}

static void looked(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, look.op);
    if (op->err.code)
        fail(runs, &op->err);
    else
        ask_cache(runs);
}

/* Not while nobody knows what other nodes did: then the index is asked. */
static void ask_cache(struct serve_runs *runs)
{
    struct str key = key_of(runs);
    if (!key.at || !follow_is_fresh(runs->serve->follow)) {
        ask_index(runs);
        return;
    }
    uint64_t generation = serve_generation(runs->serve);
    runs->cached = (struct cache_get){
        .op = {.loop = runs->op.loop, .done = cached},
        .key = key,
        .version = generation,
        .generation = generation,
    };
    runs->serve->cache->ops->get(runs->serve->cache, &runs->cached);
}

static void cached(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, cached.op);
    runs->hit = op->err.code == ERR_OK;
    metric_add(runs->hit ? METRIC_CACHE_HITS_SEARCH : METRIC_CACHE_MISSES_SEARCH, 1);
    if (!runs->hit) {
        ask_index(runs);
        return;
    }
    runs->step = runs->cached.value;
    runs->whole = runs->last = true;
    op_finish(&runs->op);
}

static void step(struct serve_runs *runs);

/* Cut the page where it would pass its size. */
static size_t page_of(const struct index_row *rows, size_t count)
{
    uint64_t size = 0;
    size_t n = 0;
    while (n < count && (n == 0 || size + rows[n].size <= RUNS_PAGE))
        size += rows[n++].size;
    return n;
}

static void searched(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, found.op);
    if (op->err.code) {
        fail(runs, &op->err);
        return;
    }
    runs->rows = runs->found.rows;
    runs->count = page_of(runs->rows, runs->found.count);
    struct text suffix = {0};
    text_addf(&suffix, "],\"count\":%zu,\"next_cursor\":", runs->count);
    if (runs->count < runs->found.count || runs->found.more) {
        char cursor[QUERY_CURSOR_TEXT];
        const struct index_row *last = &runs->rows[runs->count - 1];
        query_cursor_write(&(struct query_cursor){last->start_us, last->id}, cursor);
        text_addf(&suffix, "\"%.*s\"}", QUERY_CURSOR_TEXT, cursor);
    } else {
        text_add(&suffix, STR("null}"));
    }
    runs->suffix = arena_copy(runs->arena, text_str(&suffix));
    text_free(&suffix);
    step(runs);
}

void serve_batch(struct serve_runs *runs)
{
    runs->style = &native;
    runs->shown = runs->fields;
    runs->find = (struct index_find){
        .op = {.loop = runs->op.loop, .done = looked_up},
        .ids = runs->ids,
        .count = runs->id_count,
        .facts = runs->fields & SHOW_OF_FACTS,
        .arena = runs->arena,
    };
    runs->serve->index->ops->find(runs->serve->index, &runs->find);
}

static void add_id(struct text *text, struct uuid id)
{
    char hex[UUID_TEXT];
    uuid_write(id, hex);
    text_addf(text, "\"%.*s\"", UUID_TEXT, hex);
}

static void looked_up(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, find.op);
    if (op->err.code) {
        fail(runs, &op->err);
        return;
    }
    size_t found = 0;
    runs->rows = runs->find.rows;
    for (size_t i = 0; i < runs->find.count; i++)
        if (runs->rows[i].found)
            runs->rows[found++] = runs->rows[i];
    runs->count = page_of(runs->rows, found);

    struct text suffix = {0};
    text_addf(&suffix, "],\"count\":%zu", runs->count);
    if (runs->count < found) { /* say what is missing, so that it can be asked for */
        text_add(&suffix, STR(",\"truncated\":true,\"missing\":["));
        for (size_t i = runs->count; i < found; i++) {
            if (i > runs->count)
                text_add_char(&suffix, ',');
            add_id(&suffix, runs->rows[i].id);
        }
        text_add_char(&suffix, ']');
    }
    text_add_char(&suffix, '}');
    runs->suffix = arena_copy(runs->arena, text_str(&suffix));
    text_free(&suffix);
    step(runs);
}

/* Rows and their facts are ours until the answer was sent, and a client can ask for many. */
static bool charge_rows(struct serve_runs *runs, const struct index_row *rows, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += sizeof *rows + rows[i].facts.len + rows[i].holder_count * sizeof(struct holder);
    struct buf *charge = buf_new(0);
    if (!charge)
        return false;
    arena_keep(runs->arena, charge);
    return buf_charge(charge, runs->serve->budget, size);
}

static void add_rows(struct serve_runs *runs, const struct index_row *rows, size_t count)
{
    if (runs->count + count > runs->room) {
        size_t room = runs->count + count > 2 * runs->room ? runs->count + count : 2 * runs->room;
        struct index_row *all = arena_make(runs->arena, struct index_row, room);
        if (runs->count)
            memcpy(all, runs->rows, runs->count * sizeof *all);
        runs->rows = all;
        runs->room = room;
    }
    for (size_t i = 0; i < count; i++) {
        runs->rows[runs->count] = rows[i];
        runs->rows[runs->count++].size = fetch_size(&rows[i], runs->fields);
    }
}

static void fail_busy(struct serve_runs *runs)
{
    struct err err;
    err_set(&err, ERR_BUSY, "Too many answers are in memory; try again in a moment");
    fail(runs, &err);
}

static void ask_rows(struct serve_runs *runs)
{
    size_t left = runs->most - runs->count;
    runs->query_rows.query.limit = (uint32_t)(left < QUERY_LIMIT_MAX ? left : QUERY_LIMIT_MAX);
    serve_query(&runs->query_rows);
}

void serve_page(struct serve_runs *runs)
{
    assert(runs->most > 0 && runs->most <= RUNS_ROWS);
    runs->query_rows = (struct serve_query){
        .op = {.loop = runs->op.loop, .done = queried},
        .index = runs->serve->index,
        .query = runs->asked,
        .arena = runs->arena,
    };
    ask_rows(runs);
}

static void queried(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, query_rows.op);
    const struct serve_query *rows = &runs->query_rows;
    if (op->err.code) {
        fail(runs, &op->err);
        return;
    }
    if (!charge_rows(runs, rows->rows, rows->count)) {
        fail_busy(runs);
        return;
    }
    add_rows(runs, rows->rows, rows->count);
    if (runs->full && !rows->last && runs->count < runs->most) {
        ask_rows(runs);
        return;
    }
    struct query_cursor next = rows->query.cursor;
    bool more = !rows->last;
    size_t count = page_of(runs->rows, runs->count);
    if (count < runs->count) {
        next = (struct query_cursor){runs->rows[count - 1].start_us, runs->rows[count - 1].id};
        more = true;
    }
    runs->count = count;
    struct text suffix = {0};
    runs->style->end(&suffix, more ? &next : NULL);
    runs->suffix = arena_copy(runs->arena, text_str(&suffix));
    text_free(&suffix);
    step(runs);
}

/* How many runs the step from `next` on has, and their bytes. */
static size_t step_of(const struct serve_runs *runs, size_t next, uint64_t *size)
{
    size_t n = 0;
    *size = 0;
    while (next + n < runs->count && n < REMARKS_RUNS &&
           (n == 0 || *size + runs->rows[next + n].size <= RUNS_STEP))
        *size += runs->rows[next + n++].size;
    return n;
}

/* Runs that lie side by side are read together; each stretch of them has its cost. */
static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->container != y->container)
        return x->container < y->container ? -1 : 1;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static size_t stretches(const struct serve_runs *runs, size_t next, size_t n)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        total += runs->rows[next + i].holder_count;
    struct place *places = arena_make(runs->arena, struct place, total + 1);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < runs->rows[next + i].holder_count; k++)
            places[at++] = runs->rows[next + i].holders[k].place;
    qsort(places, total, sizeof *places, by_place);
    size_t count = total > 0;
    for (size_t i = 1; i < total; i++)
        count += places[i].container != places[i - 1].container ||
                 places[i].ordinal > places[i - 1].ordinal + 1;
    return count;
}

/* What a page may come to hold at once is taken before its first step, since in
 * the middle of an answer there is no way to say no: its largest step as read
 * and as rendered, and what waits for the client.  One that is more than
 * half of the budget gets that half, or it would never find enough free. */
static bool charge_page(struct serve_runs *runs)
{
    uint64_t total = 0, most = 0, size;
    for (size_t next = 0; next < runs->count;) {
        size_t n = step_of(runs, next, &size);
        total += size;
        size = 2 * size + n * RUN_COST + stretches(runs, next, n) * STORE_READ_COST;
        most = size > most ? size : most;
        next += n;
    }
    most += total < RUNS_AHEAD ? total : RUNS_AHEAD;
    runs->charge = buf_new(0);
    if (!runs->charge)
        return false;
    arena_keep(runs->arena, runs->charge); /* until the answer was sent */
    return buf_charge(runs->charge, runs->serve->budget,
                      most < runs->serve->budget->limit / 2 ? most
                                                            : runs->serve->budget->limit / 2);
}

static void step(struct serve_runs *runs)
{
    uint64_t size;
    if (!runs->charge && !charge_page(runs)) {
        fail_busy(runs);
        return;
    }
    size_t n = runs->step_count = step_of(runs, runs->next, &size);
    runs->step_arena = arena_new(4096);
    runs->fetch = (struct fetch){
        .op = {.loop = runs->op.loop, .done = fetched},
        .store = runs->serve->store,
        .rows = runs->rows + runs->next,
        .count = n,
        .fields = runs->fields,
        .arena = runs->step_arena,
    };
    fetch_runs(&runs->fetch);
}

static void keep(struct serve_runs *runs)
{
    if (!runs->search || !runs->cached.key.at)
        return;
    struct cache *cache = runs->serve->cache;
    if (runs->whole)
        cache->ops->put(cache, runs->op.loop, runs->cached.key, runs->cached.version,
                        runs->cached.generation, runs->step, runs->serve->search_ttl_ms);
    else if (runs->cached.lead)
        cache->ops->abandon(cache, runs->op.loop, runs->cached.key, runs->cached.generation);
    runs->cached.lead = false;
    runs->cached.key = (struct str){0};
}

static void render_step(struct serve_runs *runs);

static void fetched(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, fetch.op);
    if (op->err.code) {
        fail(runs, &op->err);
        return;
    }
    if (!(runs->fields & SHOW_OF_ENTITIES) || runs->step_count == 0) {
        render_step(runs);
        return;
    }
    struct uuid *ids = arena_make(runs->step_arena, struct uuid, runs->step_count);
    for (size_t i = 0; i < runs->step_count; i++)
        ids[i] = runs->fetch.views[i].id;
    runs->remarks = (struct remarks){
        .op = {.loop = runs->op.loop, .done = remarked},
        .index = runs->serve->index,
        .ids = ids,
        .count = runs->step_count,
        .feedback = runs->fields & SHOW(SHOW_FEEDBACK_STATS),
        .shares = runs->fields & SHOW(SHOW_SHARE_TOKEN),
        .arena = runs->step_arena,
    };
    remarks_gather(&runs->remarks);
}

static void remarked(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, remarks.op);
    if (op->err.code) {
        fail(runs, &op->err);
        return;
    }
    for (size_t i = 0; i < runs->step_count; i++)
        remarks_show(&runs->remarks, i, &runs->fetch.views[i]);
    render_step(runs);
}

/* Every line end in valid JSON is white space between two of its words. */
static void add_one_line(struct splice *splice, const struct splice *of)
{
    for (size_t i = 0; i < of->count; i++) {
        struct str part = of->parts[i];
        if (!memchr(part.at, '\n', part.len) && !memchr(part.at, '\r', part.len)) {
            splice_view(splice, part);
            continue;
        }
        char *line = arena_alloc(splice->arena, part.len);
        memcpy(line, part.at, part.len);
        for (size_t k = 0; k < part.len; k++)
            if (line[k] == '\n' || line[k] == '\r')
                line[k] = ' ';
        splice_view(splice, (struct str){line, part.len});
    }
}

static void add_run(struct serve_runs *runs, struct splice *splice, const struct view *view)
{
    const struct style *style = runs->style;
    splice_add(splice, style->run_begin);
    if (style->one_line) {
        struct splice run = {.arena = splice->arena};
        style->run(&run, view, runs->shown);
        add_one_line(splice, &run);
    } else {
        style->run(splice, view, runs->shown);
    }
    splice_add(splice, style->run_end);
}

static void render_step(struct serve_runs *runs)
{
    bool first = runs->next == 0;
    struct splice splice = {.arena = runs->step_arena};
    if (first)
        splice_add(&splice, runs->style->begin);
    for (size_t i = 0; i < runs->step_count; i++) {
        if (runs->next + i > 0)
            splice_add(&splice, runs->style->between);
        add_run(runs, &splice, &runs->fetch.views[i]);
    }
    runs->next += runs->step_count;
    runs->last = runs->next == runs->count;
    if (runs->last)
        splice_add(&splice, runs->suffix);

    runs->whole =
        first && runs->last && splice.size < CACHE_VALUE_MAX && !runs->style->one_line;
    runs->step = runs->whole ? encode_answer(&splice, runs->coding) : splice_join(&splice);
    if (!runs->step) {
        struct err err;
        err_set(&err, ERR_BUSY, "no memory for a page of %zu bytes", splice.size);
        fail(runs, &err);
        return;
    }
    if (first)
        keep(runs);
    arena_free(runs->step_arena);
    runs->step_arena = NULL;
    op_finish(&runs->op);
}

void serve_more(struct serve_runs *runs)
{
    assert(!runs->last);
    runs->op.err = (struct err){0};
    step(runs);
}

void serve_end(struct serve_runs *runs)
{
    runs->whole = false;
    keep(runs); /* a flight that was begun and failed ends here */
    arena_free(runs->step_arena);
}
