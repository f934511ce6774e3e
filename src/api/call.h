/* call.h - a request whose body is small, and which is answered after a few steps.
 *
 * A step asks for something and names the next step, which runs when it is there; the
 * last one replies.  What fails is answered, unless the step says that it wants to know;
 * a client that leaves is looked after here.
 *
 *     static void got(struct call *call)      { ... call_reply(call, 200, &text); }
 *     static void read_it(struct call *call)  { ... call_entities(call, &ask, got); }
 *     CALL(get_thing, read_it, 0)
 *
 * Threads  the request's loop
 * Memory   until it replies: the request's arena
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/change.h"
#include "api/listing.h"
#include "base/str.h"
#include "base/text.h"
#include "http/http.h"
#include "index/index.h"
#include "serve/fetch.h"
#include "serve/histogram.h"
#include "serve/query.h"
#include "serve/stats.h"
#include "serve/threads.h"
#include "store/store.h"
#include "wire/form.h"

struct api;
struct body;
struct call;
struct call_entity;
struct json_member;
struct json_object;
struct splice;

enum {
    CALL_BODY = 4 << 20, /* bytes of a body that says what shall be */
    CALL_IDS = 1000      /* ids that may be asked for at once */
};

typedef void call_step(struct call *call);

struct call {
    struct http_request *request;
    struct api *api;
    struct arena *arena;
    struct arena *step; /* of call_step_begin(); NULL: there was none */
    struct form form;   /* the query string */
    struct str body;    /* whole, at the first step */
    void *own;          /* the handler's, in the arena */

    /* What was asked for last, of each kind. */
    struct index_entities entities;
    struct listing listing;
    struct change change;
    struct commit_batch batch;
    struct index_find find;
    struct serve_query query;
    struct serve_stats stats;
    struct serve_threads threads;
    struct serve_histogram histogram;
    struct fetch fetch;
    struct store_read read;

    /* call.c's own. */
    struct text heard;
    struct call_entity *entity; /* call_entity.c's */
    call_step *next;
    enum err_code wanted;
    bool waiting, gone;
};

/* A handler; `max`: bytes of its body; 0: it has none. */
#define CALL(handler, first_step, max)                                                             \
    static void handler##_begun(struct http_request *request)                                      \
    {                                                                                              \
        call_begin(request, first_step, max);                                                      \
    }                                                                                              \
    const struct http_handler handler = {                                                          \
        .begin = handler##_begun, .body = (max) ? call_body : NULL, .gone = call_gone};

void call_begin(struct http_request *request, call_step *first, size_t body_max);
void call_body(struct http_request *request, struct str piece, bool last);
void call_gone(struct http_request *request);

/* The next step wants to know of this error; any other ends the call. */
void call_wants(struct call *call, enum err_code code);

/* Each takes what is given as "in" from `ask`. */
void call_entities(struct call *call, const struct index_entities *ask, call_step *next);
void call_list(struct call *call, const struct listing *ask, call_step *next);
void call_change(struct call *call, const struct change *ask, call_step *next);
/* With facts, if it is one. */
void call_find(struct call *call, const struct uuid *ids, size_t count, call_step *next);

/* What call_list() and call_find() bring from now on lives until the next step begins, or the
 * call ends: for one that looks at much and keeps little. */
void call_step_begin(struct call *call);
/* The next rows: at least one unless they are the last, or time is up. */
void call_query(struct call *call, const struct run_query *query, call_step *next);
/* Those behind them, at most `limit`, in what is left of the time. */
void call_query_on(struct call *call, uint32_t limit, call_step *next);
void call_stats(struct call *call, const struct serve_stats *ask, call_step *next);
void call_threads(struct call *call, const struct serve_threads *ask, call_step *next);
void call_histogram(struct call *call, const struct serve_histogram *ask, call_step *next);
void call_fetch(struct call *call, const struct fetch *ask, call_step *next);
void call_read(struct call *call, const struct place *place, call_step *next);
/* Entities that are what they are from now on, whatever was there; all or none.  The
 * next step finds the verdict in call->batch. */
void call_commit(struct call *call, const struct run *runs, size_t count, call_step *next);

/* Bytes that the call holds until it is answered; false: they are too many, and it was. */
bool call_charge(struct call *call, size_t size);

/* Each ends the call. */
void call_reply(struct call *call, int status, struct text *json); /* takes the text */
void call_reply_empty(struct call *call, int status);              /* {} */
void call_bytes(struct call *call, int status, const struct http_field *fields, size_t count,
                struct str bytes); /* in the arena */
void call_splice(struct call *call, int status, const struct http_field *fields, size_t count,
                 const struct splice *splice); /* likewise */
void call_fail(struct call *call, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The body as a JSON object, and whether what was asked of it was right (api/body.h);
 * false: answered. */
bool call_json(struct call *call, struct body *body);
bool call_good(struct call *call, struct body *body);
/* Likewise a body that is a list. */
bool call_json_list(struct call *call, const struct json_member **items, size_t *count);

/* The id in the n-th {} of the path; false: answered. */
bool call_id(struct call *call, unsigned n, struct uuid *id);

/* What the query string says; each answers, and returns false, when it makes no sense. */
bool call_ask_id(struct call *call, const char *name, struct uuid *id, bool *there);
bool call_ask_ids(struct call *call, const char *name, const struct uuid **ids, size_t *count);
bool call_ask_page(struct call *call, uint32_t otherwise, uint32_t *limit, uint32_t *offset);
/* A JSON object; of none, no members. */
bool call_ask_object(struct call *call, const char *name, struct json_object *object);
struct str call_ask(const struct call *call, const char *name);
bool call_asks(const struct call *call, const char *name, bool otherwise); /* true, True, 1 */
