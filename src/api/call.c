/* call.c - see call.h. */
#include "api/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/ask.h"
#include "api/body.h"
#include "api/fail.h"
#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "serve/charge.h"
#include "wire/splice.h"

enum { PAGE_MAX = 1000, OFFSET_MAX = 1000000000 };

/* --- a call's life --------------------------------------------------------------- */

void call_begin(struct http_request *request, call_step *first, size_t body_max)
{
    struct form form;
    if (!ask_form(request, &form))
        return;
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    call->request = request;
    call->api = http_context(request);
    call->arena = http_arena(request);
    call->form = form;
    call->next = first;
    *http_slot(request) = call;
    if (body_max > 0)
        http_limit_body(request, body_max);
    else
        first(call);
}

static void call_free(struct call *call)
{
    budget_give(call->api->budget, call->heard.len);
    text_free(&call->heard);
    arena_free(call->step);
    free(call);
}

/* The call is at its end; what follows is said to the request alone. */
static struct http_request *leave(struct call *call)
{
    struct http_request *request = call->request;
    *http_slot(request) = NULL;
    call_free(call);
    return request;
}

/* Do what may answer the request, which then may be gone, and nobody's any more. */
static bool survives(struct call *call, bool (*check)(struct call *call, struct body *body),
                     struct body *body)
{
    struct http_request *request = call->request;
    *http_slot(request) = NULL;
    if (!check(call, body)) {
        call_free(call);
        return false;
    }
    *http_slot(request) = call;
    return true;
}

static bool read_body(struct call *call, struct body *body)
{
    return body_read(call->request, call->body, body);
}

static bool read_list(struct call *call, struct body *body)
{
    return body_read_list(call->request, call->body, body);
}

static bool is_good(struct call *call, struct body *body)
{
    return body_good(call->request, body);
}

bool call_json(struct call *call, struct body *body)
{
    return survives(call, read_body, body);
}

bool call_json_list(struct call *call, const struct json_member **items, size_t *count)
{
    struct body body;
    if (!survives(call, read_list, &body))
        return false;
    *items = body.object.members;
    *count = body.object.count;
    return true;
}

bool call_good(struct call *call, struct body *body)
{
    return survives(call, is_good, body);
}

void call_body(struct http_request *request, struct str piece, bool last)
{
    struct call *call = *http_slot(request);
    if (!budget_take(call->api->budget, piece.len)) {
        http_fail(leave(call), 429, "Too many bytes are in flight; try again in a moment");
        return;
    }
    text_add(&call->heard, piece);
    if (!last)
        return;
    call->body = text_str(&call->heard);
    call->next(call);
}

void call_gone(struct http_request *request)
{
    struct call *call = *http_slot(request);
    if (call && call->waiting) {
        call->gone = true; /* resume() will release */
        return;
    }
    if (call)
        (void)leave(call);
    http_release(request);
}

void call_wants(struct call *call, enum err_code code)
{
    call->wanted = code;
}

static void wait_for(struct call *call, call_step *next)
{
    assert(!call->waiting);
    call->waiting = true;
    call->next = next;
}

static void resume(struct call *call, const struct err *err)
{
    enum err_code wanted = call->wanted;
    call->waiting = false;
    call->wanted = ERR_OK;
    if (call->gone) {
        http_release(leave(call));
    } else if (err->code && err->code != wanted) {
        struct err why = *err;
        fail_err(leave(call), &why);
    } else {
        call->next(call);
    }
}

/* --- what a step may ask for -------------------------------------------------------- */

static struct op op_of(const struct call *call, op_done_fn *done)
{
    return (struct op){.loop = http_loop(call->request), .done = done};
}

bool call_charge(struct call *call, size_t size)
{
    struct err err;
    if (charge_answer(call->arena, call->api->serve.budget, size, &err) == 0)
        return true;
    fail_err(leave(call), &err);
    return false;
}

/* What is there already counts from now on. */
static bool charge_entities(struct call *call, const struct entity *entities, size_t count)
{
    size_t size = count * sizeof *entities;
    for (size_t i = 0; i < count; i++)
        size += entities[i].json.len;
    return call->gone || size < 64 << 10 || call_charge(call, size);
}

static void got_entities(struct op *op)
{
    struct call *call = op_owner(op, struct call, entities.op);
    if (op->err.code || charge_entities(call, call->entities.entities, call->entities.count))
        resume(call, &op->err);
}

void call_entities(struct call *call, const struct index_entities *ask, call_step *next)
{
    wait_for(call, next);
    call->entities = *ask;
    call->entities.op = op_of(call, got_entities);
    call->entities.arena = call->arena;
    struct index *index = call->api->serve.index;
    index->ops->entities(index, &call->entities);
}

void call_step_begin(struct call *call)
{
    arena_free(call->step);
    call->step = arena_new(4096);
}

static struct arena *step_of(const struct call *call)
{
    return call->step ? call->step : call->arena;
}

static void listed(struct op *op)
{
    resume(op_owner(op, struct call, listing.op), &op->err);
}

void call_list(struct call *call, const struct listing *ask, call_step *next)
{
    wait_for(call, next);
    call->listing = *ask;
    call->listing.op = op_of(call, listed);
    call->listing.serve = &call->api->serve;
    call->listing.left = &call->gone;
    call->listing.arena = step_of(call);
    listing_begin(&call->listing);
}

static void changed(struct op *op)
{
    resume(op_owner(op, struct call, change.op), &op->err);
}

void call_change(struct call *call, const struct change *ask, call_step *next)
{
    wait_for(call, next);
    call->change = *ask;
    call->change.op = op_of(call, changed);
    call->change.index = call->api->serve.index;
    call->change.commit = call->api->commit;
    call->change.arena = call->arena;
    change_begin(&call->change);
}

static void committed(struct op *op)
{
    resume(op_owner(op, struct call, batch.op), &op->err);
}

void call_commit(struct call *call, const struct run *runs, size_t count, call_step *next)
{
    struct record *record = arena_make(call->arena, struct record, 1);
    wait_for(call, next);
    *record = change_record(runs, (uint32_t)count, call->arena);
    call->batch = (struct commit_batch){.op = op_of(call, committed), .record = record};
    commit_submit(call->api->commit, &call->batch);
}

static void found(struct op *op)
{
    resume(op_owner(op, struct call, find.op), &op->err);
}

void call_find(struct call *call, const struct uuid *ids, size_t count, call_step *next)
{
    wait_for(call, next);
    call->find = (struct index_find){.op = op_of(call, found),
                                     .ids = ids,
                                     .count = count,
                                     .facts = count == 1,
                                     .arena = step_of(call)};
    struct index *index = call->api->serve.index;
    index->ops->find(index, &call->find);
}

static void queried(struct op *op)
{
    resume(op_owner(op, struct call, query.op), &op->err);
}

void call_query(struct call *call, const struct run_query *query, call_step *next)
{
    wait_for(call, next);
    call->query = (struct serve_query){.op = op_of(call, queried),
                                       .serve = &call->api->serve,
                                       .query = *query,
                                       .arena = call->arena,
                                       .left = &call->gone};
    serve_query(&call->query);
}

void call_query_on(struct call *call, uint32_t limit, call_step *next)
{
    wait_for(call, next);
    call->query.query.limit = limit;
    serve_query(&call->query);
}

static void counted(struct op *op)
{
    resume(op_owner(op, struct call, stats.op), &op->err);
}

void call_stats(struct call *call, const struct serve_stats *ask, call_step *next)
{
    wait_for(call, next);
    call->stats = *ask;
    call->stats.op = op_of(call, counted);
    call->stats.serve = &call->api->serve;
    call->stats.left = &call->gone;
    call->stats.arena = call->arena;
    serve_stats(&call->stats);
}

static void threaded(struct op *op)
{
    resume(op_owner(op, struct call, threads.op), &op->err);
}

void call_threads(struct call *call, const struct serve_threads *ask, call_step *next)
{
    wait_for(call, next);
    call->threads = *ask;
    call->threads.op = op_of(call, threaded);
    call->threads.serve = &call->api->serve;
    call->threads.left = &call->gone;
    call->threads.arena = call->arena;
    serve_threads(&call->threads);
}

static void dated(struct op *op)
{
    resume(op_owner(op, struct call, histogram.op), &op->err);
}

void call_histogram(struct call *call, const struct serve_histogram *ask, call_step *next)
{
    wait_for(call, next);
    call->histogram = *ask;
    call->histogram.op = op_of(call, dated);
    call->histogram.serve = &call->api->serve;
    call->histogram.left = &call->gone;
    serve_histogram(&call->histogram);
}

static void fetched(struct op *op)
{
    resume(op_owner(op, struct call, fetch.op), &op->err);
}

void call_fetch(struct call *call, const struct fetch *ask, call_step *next)
{
    size_t size = 0;
    for (size_t i = 0; i < ask->count; i++)
        size += ask->rows[i].size + ask->rows[i].holder_count * (size_t)STORE_READ_COST;
    if (!call_charge(call, size))
        return;
    wait_for(call, next);
    call->fetch = *ask;
    call->fetch.op = op_of(call, fetched);
    call->fetch.store = call->api->serve.store;
    call->fetch.links = &call->api->serve.links;
    call->fetch.arena = call->arena;
    fetch_runs(&call->fetch);
}

static void read_one(struct op *op)
{
    resume(op_owner(op, struct call, read.op), &op->err);
}

void call_read(struct call *call, const struct place *place, call_step *next)
{
    wait_for(call, next);
    call->read = (struct store_read){
        .op = op_of(call, read_one), .places = place, .count = 1, .arena = call->arena};
    store_read(call->api->serve.store, &call->read);
}

/* --- the answer ----------------------------------------------------------------------- */

void call_reply(struct call *call, int status, struct text *json)
{
    struct http_field type = {STR("Content-Type"), STR("application/json")};
    struct buf *buf = text_to_buf(json);
    text_free(json);
    struct http_piece piece = {buf, {buf->at, buf->len}};
    http_reply(leave(call), status, &type, 1, &piece, 1);
}

void call_reply_empty(struct call *call, int status)
{
    struct text text = {0};
    text_add(&text, STR("{}"));
    call_reply(call, status, &text);
}

void call_bytes(struct call *call, int status, const struct http_field *fields, size_t count,
                struct str bytes)
{
    struct http_piece piece = {NULL, bytes};
    http_reply(leave(call), status, fields, count, &piece, bytes.len > 0);
}

void call_splice(struct call *call, int status, const struct http_field *fields, size_t count,
                 const struct splice *splice)
{
    struct http_piece *pieces = arena_make(call->arena, struct http_piece, splice->count + 1);
    for (size_t i = 0; i < splice->count; i++)
        pieces[i] = (struct http_piece){NULL, splice->parts[i]};
    http_reply(leave(call), status, fields, count, pieces, splice->count);
}

void call_fail(struct call *call, int status, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    http_fail(leave(call), status, "%s", text);
}

/* --- the path and the query string -------------------------------------------------------- */

static void refuse(struct call *call, const char *type, const char *place, const char *name,
                   const char *message)
{
    fail_value(leave(call), type, place, name, message);
}

bool call_id(struct call *call, unsigned n, struct uuid *id)
{
    struct str text;
    if (form_decode_segment(http_part(call->request, n), call->arena, &text) &&
        uuid_parse(text, id))
        return true;
    refuse(call, "uuid_parsing", "path", "id", "Input should be a valid UUID");
    return false;
}

struct str call_ask(const struct call *call, const char *name)
{
    return form_get(&call->form, (struct str){name, strlen(name)});
}

bool call_asks(const struct call *call, const char *name, bool otherwise)
{
    struct str value = call_ask(call, name);
    if (!value.len)
        return otherwise;
    return str_eq(value, STR("true")) || str_eq(value, STR("True")) || str_eq(value, STR("1"));
}

bool call_ask_id(struct call *call, const char *name, struct uuid *id, bool *there)
{
    struct str value = call_ask(call, name);
    *there = value.len > 0;
    if (!*there || uuid_parse(value, id))
        return true;
    refuse(call, "uuid_parsing", "query", name, "Input should be a valid UUID");
    return false;
}

bool call_ask_ids(struct call *call, const char *name, const struct uuid **ids, size_t *count)
{
    struct str wanted = {name, strlen(name)};
    struct uuid *list = arena_make(call->arena, struct uuid, call->form.count + 1);
    *count = 0;
    for (size_t i = 0; i < call->form.count; i++) {
        const struct form_field *field = &call->form.fields[i];
        if (!str_eq(field->name, wanted) || field->value.len == 0)
            continue;
        if (!uuid_parse(field->value, &list[*count])) {
            refuse(call, "uuid_parsing", "query", name, "Input should be a valid UUID");
            return false;
        }
        ++*count;
    }
    *ids = *count ? list : NULL;
    return true;
}

bool call_ask_object(struct call *call, const char *name, struct json_object *object)
{
    struct str json = call_ask(call, name);
    struct json_scan scan;
    if (!json.len || json_object_read(json, call->arena, object, &scan) == JSON_OBJECT_READ)
        return true;
    refuse(call, "dict_type", "query", name, "Input should be a JSON object");
    return false;
}

/* A whole number that is not negative; a very large one is large enough. */
static bool number(struct str text, uint32_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(text.at[i] - '0');
        if (sum > OFFSET_MAX)
            sum = OFFSET_MAX;
    }
    *value = (uint32_t)sum;
    return text.len > 0;
}

bool call_ask_page(struct call *call, uint32_t otherwise, uint32_t *limit, uint32_t *offset)
{
    struct str asked = call_ask(call, "limit"), from = call_ask(call, "offset");
    *limit = otherwise;
    *offset = 0;
    if (asked.len && (!number(asked, limit) || *limit == 0)) {
        refuse(call, "int_parsing", "query", "limit",
               "Input should be a whole number greater than 0");
        return false;
    }
    if (from.len && !number(from, offset)) {
        refuse(call, "int_parsing", "query", "offset",
               "Input should be a whole number, 0 or greater");
        return false;
    }
    if (*limit > PAGE_MAX)
        *limit = PAGE_MAX;
    return true;
}
