/* runs.c - see runs.h: pages of a search, and those of a list of ids.
 *
 *   serve_search()  if so asked, what other nodes did ⇢ looked()
 *                   ask the cache ⇢ cached()  ask the index ⇢ searched()
 *   serve_batch()                             ask the index ⇢ looked_up()
 *
 * Which runs the page has, how many, and what follows it is known before the
 * first is read (runs_step.h): the rows know their sizes.
 */
#include "serve/runs.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/metric.h"
#include "base/text.h"
#include "run/render.h"
#include "serve/runs_step.h"

static const struct style native = {
    .begin = {"{\"runs\":[", sizeof "{\"runs\":[" - 1},
    .between = {",", 1},
    .run = render_run,
};

static void looked(struct op *op);
static void ask_cache(struct serve_runs *runs);
static void cached(struct op *op);
static void searched(struct op *op);
static void looked_up(struct op *op);

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
        runs_fail(runs, &op->err);
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

static void searched(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, found.op);
    if (op->err.code) {
        runs_fail(runs, &op->err);
        return;
    }
    runs->rows = runs->found.rows;
    runs->count = runs_fit(runs->rows, runs->found.count);
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
    runs_step(runs);
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
        runs_fail(runs, &op->err);
        return;
    }
    size_t found = 0;
    runs->rows = runs->find.rows;
    for (size_t i = 0; i < runs->find.count; i++)
        if (runs->rows[i].found)
            runs->rows[found++] = runs->rows[i];
    runs->count = runs_fit(runs->rows, found);

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
    runs_step(runs);
}
