/* route.c - which handler answers which path, and who may ask. */
#include "api/allow.h"
#include "api/api.h"
#include "api/handlers.h"
#include "base/log.h"
#include "base/metric.h"

static const struct http_route routes[] = {
    {"GET", "/", &get_root},
    {"GET", "/ui", &get_page},
    {"GET", "/ui/{}", &get_page},
    {"GET", "/ui/traces/{}", &get_page},
    {"GET", "/ui/assets/{}", &get_asset},
    {"GET", "/o/{}/projects/p/{}", &get_project_link},
    {"GET", "/o/{}/projects/p/{}/r/{}", &get_run_link},
    {"GET", "/health", &get_health},
    {"GET", "/ready", &get_ready},
    {"GET", "/metrics", &get_metrics},
    {"GET", "/openapi.json", &get_openapi},
    {"GET", "/docs", &get_docs},
    {"GET", "/info", &get_info},
    {"GET", "/info/health", &get_ok},
    {"GET", "/ok", &get_ok},
    {"GET", "/settings", &get_tenant},
    {"GET", "/workspaces/current", &get_tenant},
    {"POST", "/runs", &post_runs},
    {"POST", "/runs/batch", &runs_batch},
    {"POST", "/runs/multipart", &post_parts},
    {"PATCH", "/runs/{}", &patch_run},
    {"POST", "/runs/query", &query_runs},
    {"POST", "/runs/stats", &query_stats},
    {"GET", "/runs/search", &search},
    {"GET", "/runs/histogram", &get_histogram},
    {"GET", "/runs/tail", &tail_runs},
    {"GET", "/runs/{}", &get_run},
    {"GET", "/runs/{}/inputs", &get_run},
    {"GET", "/runs/{}/outputs", &get_run},
    {"GET", "/runs/{}/metadata", &get_run},
    {"GET", "/traces/{}/skeleton", &get_skeleton},
    {"POST", "/sessions", &post_project},
    {"GET", "/sessions", &list_projects},
    {"GET", "/sessions/resolutions", &resolve_project},
    {"GET", "/sessions/{}", &get_project},
    {"PATCH", "/sessions/{}", &patch_project},
    {"DELETE", "/sessions/{}", &delete_project},
    {"DELETE", "/runs/{}", &delete_run},
    {"DELETE", "/runs", &delete_runs_of},
    {"POST", "/datasets", &post_dataset},
    {"GET", "/datasets", &list_datasets},
    {"GET", "/datasets/{}", &get_dataset},
    {"PATCH", "/datasets/{}", &patch_dataset},
    {"DELETE", "/datasets/{}", &delete_dataset},
    {"POST", "/examples", &post_example},
    {"GET", "/examples", &list_examples},
    {"DELETE", "/examples", &delete_examples},
    {"POST", "/examples/bulk", &post_examples},
    {"PATCH", "/examples/bulk", &patch_examples},
    {"GET", "/examples/{}", &get_example},
    {"PATCH", "/examples/{}", &patch_example},
    {"DELETE", "/examples/{}", &delete_example},
    {"POST", "/platform/datasets/{}/examples", &post_example_parts},
    {"PATCH", "/platform/datasets/{}/examples", &patch_example_parts},
    {"POST", "/platform/datasets/examples/delete", &delete_examples_of},
    {"POST", "/runs/delete", &delete_runs},
    {"GET", "/public/download", &get_download},
    {"PUT", "/runs/{}/share", &put_share},
    {"GET", "/runs/{}/share", &get_share},
    {"DELETE", "/runs/{}/share", &delete_share},
    {"GET", "/public/{}/run", &get_public_run},
    {"GET", "/public/{}/run/{}", &get_public_one},
    {"GET", "/public/{}/runs", &get_public_runs},
    {"POST", "/public/{}/runs/query", &query_public},
    {"GET", "/public/{}/{}", &get_public_odd},
    {"POST", "/feedback", &post_feedback},
    {"GET", "/feedback", &list_feedback},
    {"POST", "/feedback/tokens", &post_tokens},
    {"GET", "/feedback/tokens", &list_tokens},
    {"GET", "/feedback/tokens/{}", &get_token},
    {"POST", "/feedback/tokens/{}", &use_token},
    {"GET", "/feedback/{}", &get_feedback},
    {"PATCH", "/feedback/{}", &patch_feedback},
    {"DELETE", "/feedback/{}", &delete_feedback},
    {"POST", "/v2/runs/query", &v2_query_runs},
    {"GET", "/v2/runs/{}", &v2_get_run},
    {"GET", "/v2/runs/{}/url", &v2_run_url},
    {"POST", "/v2/runs/{}/share", &v2_post_share},
    {"DELETE", "/v2/runs/{}/share", &v2_delete_share},
    {"POST", "/v2/traces/query", &v2_query_traces},
    {"GET", "/v2/traces/{}/runs", &v2_trace_runs},
    {"POST", "/v2/threads/query", &v2_query_threads},
    {"POST", "/v2/threads/stats", &v2_all_threads},
    {"GET", "/v2/threads/{}/traces", &v2_thread_traces},
    {"GET", "/v2/threads/{}/stats", &v2_thread_stats},
    {"GET", "/v2/sessions", &v2_list_projects},
    {"GET", "/v2/datasets", &v2_list_datasets},
    {"POST", "/v2/public/{}/runs/query", &v2_shared_runs},
    {"GET", "/v2/public/{}/run/{}", &v2_shared_run},
};

static bool starts(struct str path, struct str with)
{
    return path.len > with.len && memcmp(path.at, with.at, with.len) == 0;
}

/* Open to everybody: what tells nothing of the runs, or has a secret in its path. */
static bool is_open(struct str path)
{
    static const struct str open[] = {{"/", 1},     {"/health", 7},       {"/ready", 6},
                                      {"/docs", 5}, {"/info", 5},         {"/openapi.json", 13},
                                      {"/ok", 3},   {"/info/health", 12}, {"/ui", 3}};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        if (str_eq(path, open[i]))
            return true;
    return starts(path, STR("/ui/")) || starts(path, STR("/o/")) || starts(path, STR("/public/")) ||
           starts(path, STR("/v2/public/")) || starts(path, STR("/feedback/tokens/"));
}

static bool has_key(struct http_request *request, struct str key)
{
    enum allowed allowed = allow_key(request, key);
    if (allowed == ALLOW_YES)
        return true;
    metric_add(METRIC_HTTP_REFUSED_AUTH, 1);
    http_fail(request, 401, "%s",
              allowed == ALLOW_OTHER
                  ? "The key that was sent is not this server's: send the one that it was given as "
                    "--api-key or --api-key-file"
                  : "A key is needed: send it as `x-api-key: KEY` or `Authorization: Bearer KEY`");
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
    if (api->key.len && !is_open(http_path(request)) && !has_key(request, api->key))
        return false;
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

#define LANGSMITH_CALLS "runs, queries, projects, feedback, shares, datasets, v2, /info"

void api_serve(struct http_config *config)
{
    config->routes = routes;
    config->route_count = sizeof routes / sizeof routes[0];
    config->prefixes = prefixes;
    config->prefix_count = sizeof prefixes / sizeof prefixes[0];
    config->not_found = "Not Found: GET /openapi.json lists the calls that there are, those of the "
                        "LangSmith API among them: " LANGSMITH_CALLS;
    config->not_allowed = "Method Not Allowed: of this path there are the methods in Allow; GET "
                          "/openapi.json lists the calls that there are, those of the LangSmith "
                          "API among them: " LANGSMITH_CALLS;
    config->before = before;
    config->ended = ended;
}
