/* route.c - which handler answers which path, and who may ask. */
#include "api/allow.h"
#include "api/api.h"
#include "api/handlers.h"
#include "base/log.h"
#include "base/metric.h"

static const struct http_route routes[] = {
    {"GET", "/", &get_root},
    {"GET", "/health", &get_health},
    {"GET", "/ready", &get_ready},
    {"GET", "/metrics", &get_metrics},
    {"GET", "/openapi.json", &get_openapi},
    {"GET", "/docs", &get_docs},
    {"GET", "/info", &get_info},
    {"GET", "/info/health", &get_ok},
    {"GET", "/ok", &get_ok},
    {"POST", "/runs", &post_runs},
    {"POST", "/runs/batch", &runs_batch},
    {"POST", "/runs/multipart", &post_parts},
    {"PATCH", "/runs/{}", &patch_run},
    {"POST", "/runs/query", &query_runs},
    {"GET", "/runs/search", &search},
    {"GET", "/runs/{}", &get_run},
    {"GET", "/runs/{}/inputs", &get_run},
    {"GET", "/runs/{}/outputs", &get_run},
    {"GET", "/runs/{}/metadata", &get_run},
    {"POST", "/sessions", &post_project},
    {"GET", "/sessions", &list_projects},
    {"GET", "/sessions/resolutions", &resolve_project},
    {"GET", "/sessions/{}", &get_project},
    {"PATCH", "/sessions/{}", &patch_project},
    {"DELETE", "/sessions/{}", &delete_project},
};

/* Open to everybody: what tells nothing of the runs. */
static bool is_open(struct str path)
{
    static const struct str open[] = {{"/", 1},     {"/health", 7},      {"/ready", 6},
                                      {"/docs", 5}, {"/info", 5},        {"/openapi.json", 13},
                                      {"/ok", 3},   {"/info/health", 12}};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        if (str_eq(path, open[i]))
            return true;
    return false;
}

static bool before(struct http_request *request)
{
    struct api *api = http_context(request);
    struct str method = http_method(request);
    bool reads = str_eq(method, STR("GET")) || str_eq(method, STR("HEAD"));
    if (!reads && !allow_origin(request)) {
        metric_add(METRIC_HTTP_REFUSED_HOST, 1);
        http_fail(request, 403, "A page of another site may not write here");
        return false;
    }
    if (api->key.len && !is_open(http_path(request)) && !allow_key(request, api->key)) {
        metric_add(METRIC_HTTP_REFUSED_AUTH, 1);
        http_fail(request, 401,
                  "A key is needed: send it as `x-api-key: KEY` or `Authorization: Bearer KEY`");
        return false;
    }
    if (!reads && atomic_load_explicit(&api->draining, memory_order_relaxed)) {
        metric_add(METRIC_HTTP_REFUSED_BUSY, 1);
        http_fail(request, 503, "The server is shutting down; try again in a moment");
        return false;
    }
    return true;
}

static void ended(void *context, const struct http_outcome *outcome)
{
    (void)context;
    if (outcome->status)
        metric_add(metric_of_status(outcome->status), 1);
    metric_time(METRIC_HTTP_REQUEST_SECONDS, outcome->duration_us);
    metric_add(METRIC_HTTP_RECEIVED_BYTES, (int64_t)outcome->bytes_in);
    metric_add(METRIC_HTTP_SENT_BYTES, (int64_t)outcome->bytes_out);
    if (log_enabled(LOG_DEBUG))
        log_event(LOG_DEBUG, "request", LOG_N("request_id", outcome->request_id),
                  LOG_S("method", outcome->method), LOG_S("path", outcome->path),
                  LOG_N("status", outcome->status), LOG_N("us", outcome->duration_us),
                  LOG_N("bytes_in", outcome->bytes_in), LOG_N("bytes_out", outcome->bytes_out));
}

/* SDKs put one of these in front of a path, or none. */
static const struct str prefixes[] = {{"/api/v1", 7}, {"/api", 4}, {"/v1", 3}};

void api_serve(struct http_config *config)
{
    config->routes = routes;
    config->route_count = sizeof routes / sizeof routes[0];
    config->prefixes = prefixes;
    config->prefix_count = sizeof prefixes / sizeof prefixes[0];
    config->not_found = "Not Found: of the LangSmith API there is what docs/langsmith.md lists: "
                        "runs, projects, /info";
    config->before = before;
    config->ended = ended;
}
