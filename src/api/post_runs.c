/* post_runs.c - POST /runs: a batch comes in.
 *
 *   begun()      may it come, and what is it
 *   body()       fed to the batch as it arrives; a final state is answered
 *   committed()  durable and readable, or refused: answer
 *
 * A client that leaves while its batch is being committed changes nothing: the
 * commit ends, then the request is released.
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/media.h"
#include "api/tally.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/text.h"
#include "ingest/commit.h"

struct post {
    struct http_request *request;
    struct batch *batch;
    struct commit_batch commit;
    bool committing, gone;
};

static void committed(struct op *op);

static void begun(struct http_request *request)
{
    struct api *api = http_context(request);
    struct str type = http_header(request, STR("content-type"));
    bool lines =
        type.at && (media_is(type, "application/x-ndjson") ||
                    media_is(type, "application/ndjson") || media_is(type, "application/jsonl"));
    if (type.at && !lines && !media_is(type, "application/json")) {
        http_fail(request, 415,
                  "Unknown Content-Type: send -H 'Content-Type: application/json' for an array of "
                  "runs, or -H 'Content-Type: application/x-ndjson' for a run a line");
        return;
    }
    if (http_body_size(request) > api->limits.body_max) {
        http_fail(request, 413, "The body is too large: the limit is %zu bytes",
                  api->limits.body_max);
        return;
    }
    struct post *post = calloc(1, sizeof *post);
    if (!post)
        abort();
    bool plain = !http_header(request, STR("content-encoding")).at;
    post->request = request;
    post->batch = batch_new(lines, &api->limits, api->budget, api->spare, clock_now_us(),
                            plain ? (size_t)http_body_size(request) : 0);
    *http_slot(request) = post;
}

static void post_free(struct post *post)
{
    batch_free(post->batch);
    free(post);
}

static void body(struct http_request *request, struct str piece, bool last)
{
    struct post *post = *http_slot(request);
    enum batch_state state = batch_feed(post->batch, piece, last);
    if (state == BATCH_AN_OBJECT) { /* only blanks came before this piece */
        post_free(post);
        http_hand_over(request, &post_run, piece, last);
        return;
    }
    metric_add(METRIC_INGEST_BYTES, (int64_t)piece.len);
    if (state == BATCH_READING)
        return;
    if (state != BATCH_READY) {
        tally(batch_count(post->batch), 0, 0, METRIC_BATCHES_REFUSED);
        *http_slot(request) = NULL; /* once answered, the request may be gone */
        fail_batch(request, state, batch_refusal(post->batch));
        post_free(post);
        return;
    }
    struct api *api = http_context(request);
    post->committing = true;
    post->commit = (struct commit_batch){
        .op = {.loop = http_loop(request), .done = committed},
        .record = batch_record(post->batch),
    };
    commit_submit(api->commit, &post->commit);
}

static void reply_created(struct post *post)
{
    struct text text = {0};
    uint32_t runs = batch_record(post->batch)->count;
    text_room(&text, 64 + (size_t)runs * (UUID_TEXT + 3));
    text_add(&text, STR("{\"status\":\"created\",\"run_ids\":["));
    for (uint32_t i = 0; i < runs; i++) {
        char id[UUID_TEXT];
        uuid_write(batch_run_id(post->batch, i), id);
        text_add(&text, i ? STR(",\"") : STR("\""));
        text_add(&text, (struct str){id, sizeof id});
        text_add_char(&text, '"');
    }
    text_add(&text, STR("]}"));
    struct buf *buf = text_to_buf(&text);
    text_free(&text);
    struct http_field type = {STR("Content-Type"), STR("application/json")};
    struct http_piece piece = {buf, {buf->at, buf->len}};
    http_reply(post->request, 201, &type, 1, &piece, 1);
}

static void reply_conflict(struct post *post)
{
    if (post->commit.gone) {
        fail_run(post->request, "value_error", post->commit.conflict, "session_id",
                 "The project was deleted");
        return;
    }
    char id[UUID_TEXT];
    uuid_write(batch_run_id(post->batch, post->commit.conflict), id);
    struct text text = {0};
    text_addf(&text,
              "{\"detail\":\"Run %.*s already exists with different content\",\"run_id\":\"%.*s\"}",
              UUID_TEXT, id, UUID_TEXT, id);
    struct buf *buf = text_to_buf(&text);
    text_free(&text);
    struct http_field type = {STR("Content-Type"), STR("application/json")};
    struct http_piece piece = {buf, {buf->at, buf->len}};
    http_reply(post->request, 409, &type, 1, &piece, 1);
}

static void committed(struct op *op)
{
    struct post *post = op_owner(op, struct post, commit.op);
    struct http_request *request = post->request;
    bool gone = post->gone;
    size_t runs = batch_count(post->batch);
    *http_slot(request) = NULL;
    if (op->err.code) {
        tally(batch_count(post->batch), 0, 0, METRIC_BATCHES_REFUSED);
        if (op->err.code == ERR_FULL)
            metric_add(METRIC_DISK_FULL, 1);
        if (!gone)
            fail_err(request, &op->err);
    } else if (post->commit.verdict == INDEX_CONFLICT) {
        tally(batch_count(post->batch), 0, 0, METRIC_BATCHES_CONFLICT);
        if (!gone)
            reply_conflict(post);
    } else {
        size_t added = post->commit.verdict == INDEX_ADDED ? post->commit.added : 0;
        tally(runs, added, runs - added, added ? METRIC_BATCHES_STORED : METRIC_BATCHES_DUPLICATE);
        if (!gone)
            reply_created(post);
    }
    post_free(post);
    if (gone)
        http_release(request);
}

static void gone(struct http_request *request)
{
    struct post *post = *http_slot(request);
    if (post && post->committing) {
        post->gone = true;
        return;
    }
    if (post)
        post_free(post);
    http_release(request);
}

const struct http_handler post_runs = {.begin = begun, .body = body, .gone = gone};
