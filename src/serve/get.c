/* get.c - see get.h.
 *
 *   serve_get()  ask the cache
 *   cached()     there, and nothing was committed since: give it.  Else find the row
 *   found()      unknown: say so.  The cache had this version of the row: confirm it, give
 *                it.  The client has this version: say so.  What the cache had is old: ask
 *                it again, for this version
 *   again()      somebody made it meanwhile: give it
 *   recall()     ask the second level of the cache for this version
 *   recalled()   there: keep it near, answer.  Else read it
 *   got()        what was said of it ⇢ remarked()
 *   answer()     splice it, keep it, share it
 *
 * Whatever is put or confirmed is so for the generation that was read at first: any
 * change that it counts had been made when the row was found.
 *
 * An answer over CACHE_VALUE_MAX is not copied together: its parts are views
 * of what was read, and its size is charged to the budget until it was sent.
 */
#include "serve/get.h"

#include <stddef.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/metric.h"
#include "serve/charge.h"
#include "serve/encode.h"
#include "serve/follow.h"

static void cached(struct op *op);
static void found(struct op *op);
static void again(struct op *op);
static void recall(struct serve_get *get);
static void recalled(struct op *op);
static void got(struct op *op);
static void remarked(struct op *op);

static struct str key_of(struct serve_get *get)
{
    char *p = get->key;
    *p++ = 'r';
    memcpy(p, get->id.byte, sizeof get->id.byte);
    p += sizeof get->id.byte;
    put_u64(p, get->fields);
    p += 8;
    *p++ = (char)get->only;
    *p++ = (char)get->coding;
    *p++ = RENDER_VERSION; /* nodes that share a cache may not be of one build */
    return (struct str){get->key, (size_t)(p - get->key)};
}

/* A tag differs whenever the bytes may: another version of the row, another
 * choice of fields, another coding, another way to render. */
static void make_etag(struct serve_get *get, uint64_t version)
{
    char of[48];
    struct str key = key_of(get);
    memcpy(of, key.at, key.len);
    put_u64(of + key.len, version);
    XXH128_hash_t h = XXH3_128bits(of, key.len + 8);
    etag_write((uint64_t[]){h.low64, h.high64}, get->etag);
}

static bool client_has_it(const struct serve_get *get)
{
    return etag_is_known(get->none_match, (struct str){get->etag, ETAG});
}

/* Every answer and every failure. */
static void end(struct serve_get *get)
{
    metric_add(get->near ? METRIC_CACHE_HITS_RUN : METRIC_CACHE_MISSES_RUN, 1);
    op_finish(&get->op);
}

void serve_get(struct serve_get *get)
{
    /* Before the generation is read, which then counts all that this is told of. */
    const struct follow *follow = get->serve->follow;
    get->followed = follow_is_fresh(follow) && !(get->strong && follow);
    get->cached = (struct cache_get){
        .op = {.loop = get->op.loop, .done = cached},
        .key = key_of(get),
        .version = CACHE_ANY,
        .generation = serve_generation(get->serve),
    };
    get->serve->cache->ops->get(get->serve->cache, &get->cached);
}

static void abandon(struct serve_get *get)
{
    if (get->cached.lead)
        get->serve->cache->ops->abandon(get->serve->cache, get->op.loop, get->cached.key,
                                        get->cached.generation);
}

/* What the cache gave is what there is. */
static void give(struct serve_get *get)
{
    get->hit = get->near = true;
    make_etag(get, get->cached.found);
    get->not_modified = client_has_it(get);
    get->whole = get->not_modified ? buf_unref(get->cached.value) : get->cached.value;
    end(get);
}

/* Has the cache given what may be answered without asking the index? */
static bool counts(const struct serve_get *get)
{
    return get->held && get->followed && get->cached.checked >= get->cached.generation;
}

static void cached(struct op *op)
{
    struct serve_get *get = op_owner(op, struct serve_get, cached.op);
    get->held = op->err.code == ERR_OK;
    if (counts(get)) {
        give(get);
        return;
    }
    get->find = (struct index_find){
        .op = {.loop = get->op.loop, .done = found},
        .ids = &get->id,
        .count = 1,
        .facts = get->fields & SHOW_OF_FACTS,
        .arena = get->arena,
    };
    get->serve->index->ops->find(get->serve->index, &get->find);
}

/* It will not be the answer. */
static void let_go(struct serve_get *get)
{
    if (get->held)
        buf_unref(get->cached.value);
    get->held = false;
}

static void fail(struct serve_get *get, const struct err *err)
{
    let_go(get);
    abandon(get);
    get->op.err = *err;
    end(get);
}

/* The name of its project is shown with a run. */
static uint64_t version_of(const struct index_row *row)
{
    return row->version > row->project_version ? row->version : row->project_version;
}

/* What the cache gave is of the row's version, so nothing has changed it. */
static void confirm(struct serve_get *get)
{
    get->serve->cache->ops->confirm(get->serve->cache, get->op.loop, get->cached.key,
                                    get->cached.found, get->cached.generation);
    metric_add(METRIC_CACHE_CONFIRMED, 1);
    give(get);
}

static void found(struct op *op)
{
    struct serve_get *get = op_owner(op, struct serve_get, find.op);
    if (op->err.code) {
        fail(get, &op->err);
        return;
    }
    const struct index_row *row = &get->find.rows[0];
    if (!row->found) {
        fail(get, &(struct err){.code = ERR_NOT_FOUND, .text = "no such run"});
        return;
    }
    uint64_t version = version_of(row);
    if (get->held && get->cached.found == version) {
        confirm(get);
        return;
    }
    bool was_old = get->held;
    let_go(get);
    make_etag(get, version);
    if (client_has_it(get)) {
        abandon(get);
        get->not_modified = true;
        end(get);
    } else if (was_old) {
        get->cached.op = (struct op){.loop = get->op.loop, .done = again};
        get->cached.version = version;
        get->serve->cache->ops->get(get->serve->cache, &get->cached);
    } else {
        recall(get);
    }
}

/* A greater version than that of the row was made of a later row, if it was made now: an
 * older entry may have one after a fail-over to a copy of the index that was behind. */
static void again(struct op *op)
{
    struct serve_get *get = op_owner(op, struct serve_get, cached.op);
    get->held = op->err.code == ERR_OK;
    if (get->held && get->cached.found == version_of(&get->find.rows[0])) {
        confirm(get);
    } else if (counts(get)) {
        give(get);
    } else {
        let_go(get);
        recall(get);
    }
}

static void recall(struct serve_get *get)
{
    get->recall = (struct cache_recall){
        .op = {.loop = get->op.loop, .done = recalled},
        .key = get->cached.key,
        .version = version_of(&get->find.rows[0]),
    };
    get->serve->cache->ops->recall(get->serve->cache, &get->recall);
}

/* Near, for whoever asks next; this ends the flight too. */
static void keep(struct serve_get *get)
{
    get->serve->cache->ops->put(get->serve->cache, get->op.loop, get->cached.key,
                                version_of(&get->find.rows[0]), get->cached.generation, get->whole,
                                get->serve->run_ttl_ms);
}

/* Is what others said of the run wanted, and may there be something? */
static bool asks_remarks(const struct serve_get *get)
{
    return get->only == SHOWS && (get->fields & SHOW_OF_ENTITIES) && !get->find.rows[0].silent;
}

static void recalled(struct op *op)
{
    struct serve_get *get = op_owner(op, struct serve_get, recall.op);
    const struct index_row *row = &get->find.rows[0];
    if (op->err.code == ERR_OK && encoded_is(get->recall.value, get->coding)) {
        get->whole = get->recall.value;
        get->hit = true;
        keep(get);
        end(get);
        return;
    }
    if (op->err.code == ERR_OK)
        buf_unref(get->recall.value);
    /* The bytes read live in the arena, and count for as long as it does. */
    size_t size = row->size + row->holder_count * (size_t)STORE_READ_COST;
    struct err err;
    if (asks_remarks(get))
        size += REMARKS_BYTES;
    if (charge_answer(get->arena, get->serve->budget, size, &err)) {
        fail(get, &err);
        return;
    }
    get->fetch = (struct fetch){
        .op = {.loop = get->op.loop, .done = got},
        .store = get->serve->store,
        .rows = row,
        .count = 1,
        .fields = get->only == SHOWS ? get->fields : SHOW(get->only),
        .links = &get->serve->links,
        .arena = get->arena,
    };
    fetch_runs(&get->fetch);
}

static void answer(struct serve_get *get);

static void got(struct op *op)
{
    struct serve_get *get = op_owner(op, struct serve_get, fetch.op);
    if (op->err.code == ERR_CORRUPT) {
        char id[UUID_TEXT];
        uuid_write(get->id, id);
        (void)err_wrap(&op->err, "run %.*s", UUID_TEXT, id);
    }
    if (op->err.code) {
        fail(get, &op->err);
        return;
    }
    if (!asks_remarks(get)) {
        answer(get);
        return;
    }
    get->remarks = (struct remarks){
        .op = {.loop = get->op.loop, .done = remarked},
        .index = get->serve->index,
        .budget = get->serve->budget,
        .ids = &get->fetch.views[0].id,
        .count = 1,
        .feedback = get->fields & SHOW(SHOW_FEEDBACK_STATS),
        .shares = get->fields & SHOW(SHOW_SHARE_TOKEN),
        .arena = get->arena,
    };
    remarks_gather(&get->remarks);
}

static void remarked(struct op *op)
{
    struct serve_get *get = op_owner(op, struct serve_get, remarks.op);
    if (op->err.code) {
        fail(get, &op->err);
        return;
    }
    remarks_show(&get->remarks, 0, &get->fetch.views[0]);
    answer(get);
}

static void answer(struct serve_get *get)
{
    const struct view *run = &get->fetch.views[0];
    get->splice = (struct splice){.arena = get->arena};
    if (get->only == SHOWS)
        render_run(&get->splice, run, get->fields);
    else
        splice_view(&get->splice, render_field(run, get->only));
    if (get->splice.size < CACHE_VALUE_MAX) {
        get->whole = encode_answer(&get->splice, get->coding);
        if (!get->whole) {
            struct err err;
            err_set(&err, ERR_BUSY, "no memory for an answer of %zu bytes", get->splice.size);
            fail(get, &err);
            return;
        }
        keep(get);
        get->serve->cache->ops->share(get->serve->cache, get->op.loop, get->cached.key,
                                      version_of(&get->find.rows[0]), get->whole,
                                      get->serve->run_ttl_ms);
    } else {
        abandon(get);
    }
    end(get);
}
