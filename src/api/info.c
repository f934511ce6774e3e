/* info.c - what the LangSmith SDKs ask before they send: GET /info, /ok; and whose this is.
 *
 * The first decides how they send: packed, many in one request, in parts.  All that is in
 * batch_ingest_config must be there, or Python's sender ends.
 */
#include "api/handlers.h"
#include "base/version.h"
#include "run/render.h"

static void reply(struct http_request *request, struct str body)
{
    struct http_field fields[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("Cache-Control"), STR("no-store")},
    };
    struct http_piece piece = {NULL, body};
    http_reply(request, 200, fields, 2, &piece, 1);
}

static void info(struct http_request *request)
{
    reply(request,
          STR("{\"version\":\"0.18.0\",\"git_sha\":\"" RUNDLET_VERSION "\","
              "\"instance_flags\":{\"zstd_compression_enabled\":true,\"gzip_body_enabled\":true,"
              "\"ch_query_enabled\":true,\"sdb_query_enabled\":true,"
              "\"dataset_examples_multipart_enabled\":true},"
              "\"batch_ingest_config\":{\"use_multipart_endpoint\":true,\"size_limit\":100,"
              "\"size_limit_bytes\":20971520,\"scale_up_qsize_trigger\":1000,"
              "\"scale_up_nthreads_limit\":16,\"scale_down_nempty_trigger\":4}}"));
}

static void ok(struct http_request *request)
{
    reply(request, STR("{\"ok\":true}"));
}

/* There is one tenant, so one workspace of it. */
static void tenant(struct http_request *request)
{
    reply(request, STR("{\"id\":\"" RENDER_TENANT "\",\"display_name\":\"Rundlet\","
                       "\"created_at\":\"2026-01-01T00:00:00.000000Z\","
                       "\"tenant_handle\":\"rundlet\"}"));
}

static void released(struct http_request *request)
{
    http_release(request);
}

const struct http_handler get_info = {.begin = info, .gone = released};
const struct http_handler get_tenant = {.begin = tenant, .gone = released};
const struct http_handler get_ok = {.begin = ok, .gone = released};
