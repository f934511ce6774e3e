/* skeleton.c - GET /traces/{id}/skeleton: a trace without its payloads, as columns.
 *
 * Written a part at a time, whenever the client took the last.
 */
#include <stdlib.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/stream.h"
#include "base/arena.h"
#include "base/text.h"
#include "serve/skeleton.h"
#include "wire/form.h"

enum { PART = 256 << 10 };

struct shower {
    struct http_request *request;
    struct serve_skeleton get;
    bool gone, streaming;
    bool last; /* what is being sent is the end */
    struct text text;
    struct str part;
    struct stream stream;
};

static void answered(struct op *op);

static void begun(struct http_request *request)
{
    struct api *api = http_context(request);
    struct str text;
    struct uuid trace;
    if (!form_decode_segment(http_part(request, 0), http_arena(request), &text) ||
        !uuid_parse(text, &trace)) {
        fail_value(request, "uuid_parsing", "path", "trace_id", "Input should be a valid UUID");
        return;
    }
    struct shower *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->request = request;
    s->get = (struct serve_skeleton){
        .op = {.loop = http_loop(request), .done = answered},
        .serve = &api->serve,
        .trace = trace,
        .coding = answer_coding(request),
        .none_match = http_header(request, STR("if-none-match")),
        .arena = http_arena(request),
        .left = &s->gone,
    };
    *http_slot(request) = s;
    serve_skeleton(&s->get);
}

/* It is at its end; what follows is said to the request alone. */
static struct http_request *leave(struct shower *s)
{
    struct http_request *request = s->request;
    *http_slot(request) = NULL;
    stream_close(&s->stream);
    text_free(&s->text);
    free(s);
    return request;
}

static void send_part(struct shower *s)
{
    s->text.len = 0;
    s->last = !skeleton_write(s->get.skeleton, PART, &s->text);
    s->part = text_str(&s->text);
    stream_send(&s->stream, &s->part, 1, s->last);
}

static void sent(struct stream *stream, bool whole)
{
    struct shower *s = op_owner(stream, struct shower, stream);
    if (s->gone)
        http_release(leave(s));
    else if (!whole)
        http_cut(leave(s));
    else if (s->last)
        http_finish(leave(s));
    else
        send_part(s);
}

/* The tag outlives what the answer was made from. */
static void start(struct shower *s)
{
    struct answer_head head;
    struct str etag = arena_copy(s->get.arena, (struct str){s->get.etag, ETAG});
    answer_head(&head, false, s->get.coding, etag);
    if (s->get.not_modified) {
        struct http_field fields[] = {head.fields[1], head.fields[2], {STR("ETag"), etag}};
        http_reply(leave(s), 304, fields, 3, NULL, 0);
        return;
    }
    http_start(s->request, 200, head.fields, head.count);
    if (str_eq(http_method(s->request), STR("HEAD"))) {
        http_finish(leave(s));
        return;
    }
    stream_open(&s->stream, s->request, s->get.coding, sent);
    s->streaming = true;
    send_part(s);
}

static void answered(struct op *op)
{
    struct shower *s = op_owner(op, struct shower, get.op);
    struct err err = op->err;
    if (s->gone)
        http_release(leave(s));
    else if (err.code)
        fail_err(leave(s), &err);
    else
        start(s);
}

static void drained(struct http_request *request)
{
    struct shower *s = *http_slot(request);
    if (s && s->streaming)
        stream_drained(&s->stream);
}

static void gone(struct http_request *request)
{
    struct shower *s = *http_slot(request);
    if (s && (!s->streaming || s->stream.turning)) {
        stream_stop(&s->stream);
        s->gone = true; /* answered() or sent() will release */
        return;
    }
    if (s)
        (void)leave(s);
    http_release(request);
}

const struct http_handler get_skeleton = {.begin = begun, .drained = drained, .gone = gone};
