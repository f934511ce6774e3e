/* get_run.c - GET /runs/{id}, and one field's bytes behind /inputs, /outputs, /metadata.
 *
 * An answer over CACHE_VALUE_MAX goes out in parts: as they are, or through an
 * encoder, one slice after another whenever the client took the last.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/ask.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/range.h"
#include "api/stream.h"
#include "base/arena.h"
#include "base/buf.h"
#include "serve/encode.h"
#include "serve/get.h"

struct getter {
    struct http_request *request;
    struct serve_get get;
    struct str range; /* the header, or at == NULL */
    struct str if_range;
    bool gone, streaming;
    struct stream stream;
};

static void answered(struct op *op);

/* What the path behind the id names; SHOWS: the run itself. */
static enum show field_of(struct http_request *request)
{
    struct str path = http_path(request);
    const char *slash = memrchr(path.at, '/', path.len);
    enum show field = show_named((struct str){slash + 1, (size_t)(path.at + path.len - slash - 1)});
    return field == SHOW_INPUTS || field == SHOW_OUTPUTS || field == SHOW_METADATA ? field : SHOWS;
}

static void begun(struct http_request *request)
{
    struct api *api = http_context(request);
    struct form form;
    struct uuid id;
    uint64_t fields;
    bool strong;
    if (!ask_form(request, &form) || !ask_id(request, &id) ||
        !ask_fields(request, &form, &fields) || !ask_strong(request, &form, &strong))
        return;
    struct getter *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->request = request;
    enum show only = field_of(request);
    if (only != SHOWS)
        fields = 0;
    if (only != SHOWS && str_eq(http_method(request), STR("GET"))) {
        g->range = http_header(request, STR("range"));
        g->if_range = http_header(request, STR("if-range"));
    }
    g->get = (struct serve_get){
        .op = {.loop = http_loop(request), .done = answered},
        .serve = &api->serve,
        .id = id,
        .fields = fields,
        .only = only,
        .coding = g->range.at ? CODING_IDENTITY : answer_coding(request),
        .strong = strong,
        .none_match = http_header(request, STR("if-none-match")),
        .arena = http_arena(request),
    };
    *http_slot(request) = g;
    serve_get(&g->get);
}

static void getter_free(struct getter *g)
{
    stream_close(&g->stream);
    free(g);
}

static void reply_not_modified(struct getter *g, struct str etag)
{
    struct http_field fields[] = {
        {STR("ETag"), etag},
        {STR("Cache-Control"), STR("private, no-cache")},
        {STR("Vary"), STR("Accept-Encoding")},
    };
    http_reply(g->request, 304, fields, 3, NULL, 0);
}

/* Parts of `splice` as pieces; those of [from, from + size) only.  They stay
 * where they are: the request's arena outlives the answer. */
static size_t pieces_of(const struct splice *splice, size_t from, size_t size,
                        struct http_piece *pieces)
{
    size_t n = 0;
    for (size_t i = 0; i < splice->count && size > 0; i++) {
        struct str part = splice->parts[i];
        if (from >= part.len) {
            from -= part.len;
            continue;
        }
        part = (struct str){part.at + from, part.len - from};
        from = 0;
        if (part.len > size)
            part.len = size;
        size -= part.len;
        pieces[n++] = (struct http_piece){NULL, part};
    }
    return n;
}

/* One field's bytes, or a range of them. */
static void reply_bytes(struct getter *g, struct str etag)
{
    struct buf *whole = g->get.whole;
    size_t size = whole ? encoded_body(whole).len : g->get.splice.size;
    size_t from = 0, len = size;
    enum range_kind kind = RANGE_NONE;
    if (g->range.at && (!g->if_range.at || str_eq(g->if_range, etag)))
        kind = range_parse(g->range, size, &from, &len);

    struct answer_head head;
    answer_head(&head, g->get.hit, whole ? encoded_coding(whole) : CODING_IDENTITY, etag);
    struct http_field fields[ANSWER_FIELDS + 2];
    memcpy(fields, head.fields, head.count * sizeof *fields);
    fields[head.count++] = (struct http_field){STR("Accept-Ranges"), STR("bytes")};
    char content_range[80];
    if (kind == RANGE_PART)
        snprintf(content_range, sizeof content_range, "bytes %zu-%zu/%zu", from, from + len - 1,
                 size);
    else
        snprintf(content_range, sizeof content_range, "bytes */%zu", size);
    if (kind != RANGE_NONE)
        fields[head.count++] =
            (struct http_field){STR("Content-Range"), {content_range, strlen(content_range)}};
    if (kind == RANGE_OUTSIDE) {
        static const char detail[] = "{\"detail\":\"The range is outside of the field\"}";
        struct http_piece piece = {NULL, {detail, sizeof detail - 1}};
        buf_unref(whole);
        fields[0] = (struct http_field){STR("Content-Type"), STR("application/json")};
        fields[1] = fields[head.count - 1];
        http_reply(g->request, 416, fields, 2, &piece, 1);
        return;
    }
    int status = kind == RANGE_PART ? 206 : 200;
    if (whole) {
        struct str body = encoded_body(whole);
        struct http_piece piece = {whole, {body.at + from, len}};
        http_reply(g->request, status, fields, head.count, &piece, 1);
    } else {
        struct http_piece *pieces =
            arena_make(g->get.arena, struct http_piece, g->get.splice.count);
        size_t n = pieces_of(&g->get.splice, from, len, pieces);
        http_reply(g->request, status, fields, head.count, pieces, n);
    }
}

/* All of it was encoded, or it cannot be. */
static void streamed(struct stream *stream, bool whole)
{
    struct getter *g = op_owner(stream, struct getter, stream);
    struct http_request *request = g->request;
    bool gone = g->gone;
    *http_slot(request) = NULL;
    getter_free(g);
    if (gone)
        http_release(request);
    else if (whole)
        http_finish(request);
    else
        http_cut(request);
}

static void start_stream(struct getter *g, struct str etag)
{
    struct answer_head head;
    answer_head(&head, g->get.hit, g->get.coding, etag);
    struct http_request *request = g->request;
    http_start(request, 200, head.fields, head.count);
    if (str_eq(http_method(request), STR("HEAD"))) {
        *http_slot(request) = NULL;
        getter_free(g);
        http_finish(request);
        return;
    }
    stream_open(&g->stream, request, g->get.coding, streamed);
    g->streaming = true;
    stream_send(&g->stream, g->get.splice.parts, g->get.splice.count, true);
}

static void drained(struct http_request *request)
{
    struct getter *g = *http_slot(request);
    if (g && g->streaming)
        stream_drained(&g->stream);
}

static void answered(struct op *op)
{
    struct getter *g = op_owner(op, struct getter, get.op);
    struct http_request *request = g->request;
    if (g->gone) {
        buf_unref(g->get.whole);
        getter_free(g);
        http_release(request);
        return;
    }
    /* The tag must outlive this struct. */
    struct str etag = {0};
    if (op->err.code == ERR_OK)
        etag = arena_copy(g->get.arena, (struct str){g->get.etag, ETAG});
    bool large = op->err.code == ERR_OK && !g->get.not_modified && !g->get.whole;
    if (large && g->get.coding != CODING_IDENTITY) {
        start_stream(g, etag);
        return;
    }
    *http_slot(request) = NULL;
    if (op->err.code == ERR_NOT_FOUND) {
        char id[UUID_TEXT];
        uuid_write(g->get.id, id);
        http_fail(request, 404, "Run with ID %.*s not found", UUID_TEXT, id);
    } else if (op->err.code) {
        fail_err(request, &op->err);
    } else if (g->get.not_modified) {
        reply_not_modified(g, etag);
    } else if (g->get.only != SHOWS) {
        reply_bytes(g, etag);
    } else if (large) {
        struct answer_head head;
        answer_head(&head, g->get.hit, CODING_IDENTITY, etag);
        struct http_piece *pieces =
            arena_make(g->get.arena, struct http_piece, g->get.splice.count);
        size_t n = pieces_of(&g->get.splice, 0, g->get.splice.size, pieces);
        http_reply(request, 200, head.fields, head.count, pieces, n);
    } else {
        answer_whole(request, g->get.hit, etag, g->get.whole);
    }
    getter_free(g);
}

static void gone(struct http_request *request)
{
    struct getter *g = *http_slot(request);
    if (g && (!g->streaming || g->stream.turning)) {
        stream_stop(&g->stream);
        g->gone = true; /* answered() or streamed() will release */
        return;
    }
    if (g)
        getter_free(g);
    http_release(request);
}

const struct http_handler get_run = {.begin = begun, .drained = drained, .gone = gone};
