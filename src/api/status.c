/* status.c - how the server is: /health, /ready, /metrics. */
#include <stdlib.h>

#include "api/api.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/metric.h"
#include "base/text.h"
#include "base/version.h"
#include "cache/cache.h"
#include "index/index.h"
#include "ingest/commit.h"
#include "loop/watch.h"
#include "serve/follow.h"
#include "store/store.h"

static void reply_text(struct http_request *request, int status, const char *type,
                       struct text *text)
{
    struct buf *buf = text_to_buf(text);
    text_free(text);
    struct http_field fields[] = {
        {STR("Content-Type"), {type, strlen(type)}},
        {STR("Cache-Control"), STR("no-store")},
        {STR("Retry-After"), STR("1")},
    };
    struct http_piece piece = {buf, {buf->at, buf->len}};
    http_reply(request, status, fields, status == 503 ? 3 : 2, &piece, 1);
}

/* The process answers. */
static void health(struct http_request *request)
{
    struct text text = {0};
    text_add(&text, STR("{\"status\":\"ok\",\"version\":\"" RUNDLET_VERSION "\"}"));
    reply_text(request, 200, "application/json", &text);
}

/* Can a batch be stored, and a run be found?  A look at the index, one at the
 * store, and what the writer last met. */
struct readiness {
    struct api *api;
    struct http_request *request; /* NULL: it was answered without waiting any more */
    struct arena *arena;
    struct timer *timer;
    struct index_find find;
    struct store_probe probe;
    struct uuid nobody;
    bool gone, index_looked;
};

/* Who asks is a proxy, once a second or so: to wait for the deadlines of the parts is no
 * use to it. */
enum { READY_MS = 2000 };

static void reply_not_ready(struct http_request *request, const struct text *reasons)
{
    struct text text = {0};
    text_addf(&text, "{\"detail\":\"not ready\",\"reasons\":[%.*s]}", STR_FMT(text_str(reasons)));
    reply_text(request, 503, "application/json", &text);
}

static void add_reason(struct text *reasons, const char *reason)
{
    if (reasons->len)
        text_add_char(reasons, ',');
    text_addf(reasons, "\"%s\"", reason);
}

static void probed(struct op *op);

static void waited(void *context)
{
    struct readiness *r = context;
    if (!r->request || r->gone)
        return;
    struct text reasons = {0};
    add_reason(&reasons, r->index_looked ? "the bucket did not answer within 2 s"
                                         : "the index did not answer within 2 s");
    *http_slot(r->request) = NULL;
    reply_not_ready(r->request, &reasons);
    text_free(&reasons);
    r->request = NULL;
}

static void readiness_free(struct readiness *r)
{
    timer_free(r->timer);
    arena_free(r->arena);
    free(r);
}

/* It was answered, or the client left: late answers touch nothing but this, since the
 * server may be closing. */
static void nobody_waits(struct readiness *r)
{
    struct http_request *request = r->request;
    readiness_free(r);
    if (request)
        http_release(request);
}

static void looked(struct op *op)
{
    struct readiness *r = op_owner(op, struct readiness, find.op);
    if (!r->request || r->gone) {
        nobody_waits(r);
        return;
    }
    r->index_looked = true;
    r->probe.op = (struct op){.loop = op->loop, .done = probed};
    store_probe(r->api->serve.store, &r->probe);
}

static void probed(struct op *op)
{
    struct readiness *r = op_owner(op, struct readiness, probe.op);
    if (!r->request || r->gone) {
        nobody_waits(r);
        return;
    }
    struct http_request *request = r->request;
    struct api *api = r->api;
    struct text reasons = {0}, text = {0};
    if (r->find.op.err.code)
        add_reason(&reasons, "the index cannot be read");
    else if (!follow_is_fresh(api->serve.follow))
        add_reason(&reasons, "what other nodes store is not heard of in time");
    if (op->err.code)
        add_reason(&reasons, "the bucket cannot be reached");
    switch (commit_trouble(api->commit)) {
    case ERR_OK:
        break;
    case ERR_FULL:
        add_reason(&reasons, "the disk is full: free some space; writes are refused until then");
        break;
    case ERR_UNAVAILABLE:
        add_reason(&reasons, "the last write failed: what it needs could not be reached, or the "
                             "index is behind the log and is being repaired");
        break;
    case ERR_INVALID:
    case ERR_DENIED:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_TOO_BIG:
    case ERR_BUSY:
    case ERR_TIMEOUT:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_CODES:
        add_reason(&reasons, "the last write failed: see the log");
    }
    if (commit_trouble(api->commit))
        commit_retry(api->commit); /* no write may come by itself while this says no */
    if (atomic_load(&api->draining))
        add_reason(&reasons, "the server is shutting down");
    readiness_free(r);
    *http_slot(request) = NULL;
    if (reasons.len) {
        reply_not_ready(request, &reasons);
    } else {
        text_add(&text, STR("{\"status\":\"ready\"}"));
        reply_text(request, 200, "application/json", &text);
    }
    text_free(&reasons);
}

static void ready(struct http_request *request)
{
    struct api *api = http_context(request);
    struct readiness *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->api = api;
    r->request = request;
    r->arena = arena_new(256);
    r->timer = timer_new(http_loop(request), waited, r);
    timer_start(r->timer, READY_MS);
    r->find = (struct index_find){
        .op = {.loop = http_loop(request), .done = looked},
        .ids = &r->nobody,
        .count = 1,
        .arena = r->arena,
    };
    *http_slot(request) = r;
    api->serve.index->ops->find(api->serve.index, &r->find);
}

static void ready_gone(struct http_request *request)
{
    struct readiness *r = *http_slot(request);
    if (r)
        r->gone = true; /* nobody_waits() will release */
    else
        http_release(request);
}

static void metrics(struct http_request *request)
{
    struct api *api = http_context(request);
    uint64_t entries, bytes;
    api->serve.cache->ops->sizes(api->serve.cache, &entries, &bytes);
    metric_set(METRIC_CACHE_ENTRIES, (int64_t)entries);
    metric_set(METRIC_CACHE_BYTES, (int64_t)bytes);
    metric_set(METRIC_INDEX_RUNS, (int64_t)api->serve.index->ops->runs(api->serve.index));
    metric_set(METRIC_BYTES_IN_FLIGHT,
               (int64_t)atomic_load_explicit(&api->budget->used, memory_order_relaxed));
    metric_set(METRIC_ANSWER_BYTES,
               (int64_t)atomic_load_explicit(&api->serve.budget->used, memory_order_relaxed));
    metric_set(METRIC_COMMIT_QUEUE_DEPTH, (int64_t)commit_waiting(api->commit));
    struct store_sizes size;
    store_sizes(api->serve.store, &size);
    metric_set(METRIC_SEGMENTS, (int64_t)size.segments);
    metric_set(METRIC_LOG_SIZE_BYTES, (int64_t)size.bytes);
    metric_set(METRIC_PACKS, (int64_t)size.packs);
    metric_set(METRIC_PACK_SIZE_BYTES, (int64_t)size.pack_bytes);
    struct text text = {0};
    metric_write(&text);
    reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static void released(struct http_request *request)
{
    http_release(request);
}

const struct http_handler get_health = {.begin = health, .gone = released};
const struct http_handler get_ready = {.begin = ready, .gone = ready_gone};
const struct http_handler get_metrics = {.begin = metrics, .gone = released};
