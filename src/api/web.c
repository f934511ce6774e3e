/* web.c - the web page: GET / for people, /ui/..., /ui/assets/{file}.
 *
 * Every address of the page is answered with the same document; what it shows is the matter of
 * the page, which asks the API for it.  Assets have the hash of their content in their names, so
 * they are kept for good; the document is asked for again each time, and mostly a 304.
 *
 * The page shows text that strangers wrote.  Should any of it ever become markup, the policy
 * sent here lets it neither run nor send anything anywhere.
 */
#include "api/assets.h"
#include "api/handlers.h"
#include "api/web_files.h"
#include "serve/etag.h"

enum { FIELDS = 8 };

#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self'; base-uri 'none'; "     \
    "form-action 'none'; frame-ancestors 'none'"

static const struct web_file *file_of(struct str name)
{
    for (size_t i = 0; i < web_file_count; i++)
        if (str_eq(web_files[i].name, name))
            return &web_files[i];
    return NULL;
}

static void reply_file(struct http_request *request, const struct web_file *file)
{
    bool packed = http_accepts(request, 1u << CODING_GZIP) == CODING_GZIP;
    struct str etag = packed ? file->gzip_etag : file->etag;
    struct http_field fields[FIELDS] = {
        {STR("ETag"), etag},
        {STR("Cache-Control"),
         file->fixed ? STR("public, max-age=31536000, immutable") : STR("no-cache")},
        {STR("Vary"), file->fixed ? STR("Accept-Encoding") : STR("Accept, Accept-Encoding")},
        {STR("Content-Type"), file->type},
        {STR("Content-Security-Policy"), STR(POLICY)},
        {STR("Referrer-Policy"), STR("no-referrer")},
        {STR("Cross-Origin-Opener-Policy"), STR("same-origin")},
        {STR("Content-Encoding"), STR("gzip")},
    };
    struct http_piece piece = {NULL, packed ? file->gzip : file->bytes};
    if (etag_is_known(http_header(request, STR("if-none-match")), etag))
        http_reply(request, 304, fields, 3, NULL, 0);
    else
        http_reply(request, 200, fields, packed ? FIELDS : FIELDS - 1, &piece, 1);
}

static void reply_no_page(struct http_request *request)
{
    struct http_field fields[] = {
        {STR("Content-Type"), STR("text/html; charset=utf-8")},
        {STR("Cache-Control"), STR("no-store")},
        {STR("Vary"), STR("Accept")},
        {STR("Content-Security-Policy"),
         STR("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")},
    };
    struct http_piece piece = {NULL, asset_no_page()};
    http_reply(request, 200, fields, sizeof fields / sizeof fields[0], &piece, 1);
}

static void page(struct http_request *request)
{
    const struct web_file *file = file_of(STR("index.html"));
    if (file)
        reply_file(request, file);
    else
        reply_no_page(request);
}

/* People get the page, programs a word. */
static void root(struct http_request *request)
{
    struct str accept = http_header(request, STR("accept"));
    if (accept.at && memmem(accept.at, accept.len, "text/html", 9)) {
        page(request);
        return;
    }
    struct http_field fields[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("Vary"), STR("Accept")},
    };
    struct http_piece piece = {NULL, STR("{\"message\":\"Rundlet\"}")};
    http_reply(request, 200, fields, 2, &piece, 1);
}

static void asset(struct http_request *request)
{
    const struct web_file *file = file_of(http_part(request, 0));
    if (file && file->fixed)
        reply_file(request, file);
    else
        http_fail(request, 404, "No such file of the page: load the page again");
}

static void released(struct http_request *request)
{
    http_release(request);
}

const struct http_handler get_root = {.begin = root, .gone = released};
const struct http_handler get_page = {.begin = page, .gone = released};
const struct http_handler get_asset = {.begin = asset, .gone = released};
