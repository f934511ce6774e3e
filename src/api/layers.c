/* layers.c - what the LangSmith SDKs send: POST /runs/multipart, POST /runs/batch and
 * POST /runs with an object, PATCH /runs/{id}.
 *
 *   begun()      what is it
 *   body()       fed to run/gather as it arrives; a refusal is answered
 *   committed()  durable and readable: 202; or it failed
 *
 * As with a batch, a client that leaves meanwhile changes nothing.
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/ask.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/media.h"
#include "api/tally.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/metric.h"
#include "ingest/commit.h"
#include "run/gather.h"
#include "wire/multipart.h"

struct arrival {
    struct http_request *request;
    struct gather *gather;
    struct str reply;
    struct commit_batch commit;
    bool committing, gone;
};

static void begin(struct http_request *request, enum gather_kind kind, struct str boundary,
                  struct uuid id)
{
    static const struct str replies[] = {
        [GATHER_MULTIPART] = {"{}", 2},
        [GATHER_BATCH] = {"{\"message\":\"Runs batch ingested\"}", 33},
        [GATHER_POST] = {"{\"message\":\"Run created\"}", 25},
        [GATHER_PATCH] = {"{\"message\":\"Run updated\"}", 25},
    };
    struct api *api = http_context(request);
    if (http_body_size(request) > api->limits.body_max) {
        http_fail(request, 413, "The body is too large: the limit is %zu bytes",
                  api->limits.body_max);
        return;
    }
    bool plain = !http_header(request, STR("content-encoding")).at;
    const struct gather_config config = {
        .kind = kind,
        .boundary = boundary,
        .id = id,
        .limits = &api->limits,
        .budget = api->budget,
        .spare = api->spare,
        .received_us = clock_now_us(),
        .size_hint = plain ? (size_t)http_body_size(request) : 0,
    };
    struct arrival *arrival = calloc(1, sizeof *arrival);
    if (!arrival)
        abort();
    arrival->request = request;
    arrival->reply = replies[kind];
    arrival->gather = gather_new(&config);
    *http_slot(request) = arrival;
}

/* A body of JSON need not say that it is. */
static bool is_json(struct http_request *request)
{
    struct str type = http_header(request, STR("content-type"));
    if (!type.at || media_is(type, "application/json"))
        return true;
    http_fail(request, 415, "Unknown Content-Type: send -H 'Content-Type: application/json'");
    return false;
}

static void run_begun(struct http_request *request)
{
    if (is_json(request))
        begin(request, GATHER_POST, STR(""), (struct uuid){{0}});
}

static void lists_begun(struct http_request *request)
{
    if (is_json(request))
        begin(request, GATHER_BATCH, STR(""), (struct uuid){{0}});
}

static void patch_begun(struct http_request *request)
{
    struct uuid id;
    if (is_json(request) && ask_id(request, &id))
        begin(request, GATHER_PATCH, STR(""), id);
}

static void parts_begun(struct http_request *request)
{
    struct str type = http_header(request, STR("content-type")), boundary;
    struct err err = {0};
    if (!type.at || !media_is(type, "multipart/form-data"))
        http_fail(request, 415, "Unknown Content-Type: this takes multipart/form-data");
    else if (multipart_boundary(type, &boundary, &err))
        fail_layers(request, &err);
    else
        begin(request, GATHER_MULTIPART, boundary, (struct uuid){{0}});
}

static void arrival_free(struct arrival *arrival)
{
    gather_free(arrival->gather);
    free(arrival);
}

static void reply_accepted(struct http_request *request, struct str body)
{
    struct http_field type = {STR("Content-Type"), STR("application/json")};
    struct http_piece piece = {NULL, body};
    http_reply(request, 202, &type, 1, &piece, 1);
}

static void committed(struct op *op);

static void body(struct http_request *request, struct str piece, bool last)
{
    struct arrival *arrival = *http_slot(request);
    struct api *api = http_context(request);
    metric_add(METRIC_INGEST_BYTES, (int64_t)piece.len);
    enum gather_state state = gather_feed(arrival->gather, piece, last);
    if (state == GATHER_READING)
        return;
    metric_add(METRIC_VALUES_NULLED, (int64_t)gather_strange(arrival->gather));
    if (state == GATHER_READY && gather_record(arrival->gather)->count > 0) {
        arrival->committing = true;
        arrival->commit = (struct commit_batch){
            .op = {.loop = http_loop(request), .done = committed},
            .record = gather_record(arrival->gather),
        };
        commit_submit(api->commit, &arrival->commit);
        return;
    }
    *http_slot(request) = NULL; /* once answered, the request may be gone */
    if (state == GATHER_READY) {
        reply_accepted(request, arrival->reply);
    } else {
        tally(gather_count(arrival->gather), 0, 0, METRIC_BATCHES_REFUSED);
        fail_layers(request, gather_refusal(arrival->gather));
    }
    arrival_free(arrival);
}

/* Where another took the name of an entity: layers are in nobody's way. */
static void reply_conflict(struct http_request *request)
{
    http_fail(request, 409, "It is there already, with other content");
}

static void reply_gone(const struct arrival *arrival)
{
    char id[UUID_TEXT];
    uuid_write(record_id(arrival->commit.record, arrival->commit.conflict), id);
    http_fail(arrival->request, 422, "run %.*s: session_id: the project was deleted", UUID_TEXT,
              id);
}

static void committed(struct op *op)
{
    struct arrival *arrival = op_owner(op, struct arrival, commit.op);
    struct http_request *request = arrival->request;
    bool gone = arrival->gone;
    size_t seen = gather_count(arrival->gather), added = arrival->commit.added;
    *http_slot(request) = NULL;
    if (op->err.code) {
        tally(seen, 0, 0, METRIC_BATCHES_REFUSED);
        if (op->err.code == ERR_FULL)
            metric_add(METRIC_DISK_FULL, 1);
        if (!gone)
            fail_layers(request, &op->err);
    } else if (arrival->commit.verdict == INDEX_CONFLICT) {
        tally(seen, 0, 0, METRIC_BATCHES_CONFLICT);
        if (!gone && arrival->commit.gone)
            reply_gone(arrival);
        else if (!gone)
            reply_conflict(request);
    } else {
        added = arrival->commit.verdict == INDEX_ADDED ? added : 0;
        tally(seen, added, seen - added, added ? METRIC_BATCHES_STORED : METRIC_BATCHES_DUPLICATE);
        if (!gone)
            reply_accepted(request, arrival->reply);
    }
    arrival_free(arrival);
    if (gone)
        http_release(request);
}

static void gone(struct http_request *request)
{
    struct arrival *arrival = *http_slot(request);
    if (arrival && arrival->committing) {
        arrival->gone = true;
        return;
    }
    if (arrival)
        arrival_free(arrival);
    http_release(request);
}

const struct http_handler post_run = {.begin = run_begun, .body = body, .gone = gone};
const struct http_handler post_lists = {.begin = lists_begun, .body = body, .gone = gone};
const struct http_handler patch_run = {.begin = patch_begun, .body = body, .gone = gone};
const struct http_handler post_parts = {.begin = parts_begun, .body = body, .gone = gone};
