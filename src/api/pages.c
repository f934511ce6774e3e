/* pages.c - what describes the API: /openapi.json, /docs.
 *
 * The files are part of the program; see assets.h.
 */
#include "api/assets.h"
#include "api/handlers.h"

static void reply_static(struct http_request *request, struct str type, struct str body)
{
    struct http_field fields[] = {
        {STR("Content-Type"), type},
        {STR("Content-Security-Policy"),
         STR("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")},
    };
    struct http_piece piece = {NULL, body};
    http_reply(request, 200, fields, 2, &piece, 1);
}

static void openapi(struct http_request *request)
{
    reply_static(request, STR("application/json"), asset_openapi());
}

static void docs(struct http_request *request)
{
    reply_static(request, STR("text/html; charset=utf-8"), asset_docs());
}

static void released(struct http_request *request)
{
    http_release(request);
}

const struct http_handler get_openapi = {.begin = openapi, .gone = released};
const struct http_handler get_docs = {.begin = docs, .gone = released};
