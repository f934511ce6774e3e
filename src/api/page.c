/* page.c - see page.h.
 *
 *   page_search(), page_batch() or page_query()
 *   stepped()   the first step is all there is: answer whole.  Else start the
 *               answer, write the step (through a stream when it is encoded),
 *               and ask for the next one
 *   drained()   the client took enough: go on
 *
 * A step that fails in the middle of an answer cuts the connection, so that
 * nobody takes half a page for a whole one.
 */
#include "api/page.h"

#include <assert.h>
#include <stdlib.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/fail.h"
#include "api/stream.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"

struct page {
    struct http_request *request;
    struct serve_runs runs;
    struct stream stream; /* when the answer is encoded */
    struct str step;      /* being encoded */
    struct text question;
    bool started, encoded, asking, gone;
    bool events; /* the answer is a stream of events */
};

static void stepped(struct op *op);

struct page *page_new(struct http_request *request, uint64_t fields)
{
    struct api *api = http_context(request);
    struct page *page = calloc(1, sizeof *page);
    if (!page)
        abort();
    page->request = request;
    page->runs.op = (struct op){.loop = http_loop(request), .done = stepped};
    page->runs.serve = &api->serve;
    page->runs.arena = http_arena(request);
    page->runs.fields = fields;
    page->runs.coding = answer_coding(request);
    page->runs.left = &page->gone;
    *http_slot(request) = page;
    return page;
}

struct serve_runs *page_runs(struct page *page)
{
    return &page->runs;
}

bool page_hear(struct page *page, struct str piece)
{
    if (!budget_take(page->runs.serve->budget, piece.len))
        return false;
    text_add(&page->question, piece);
    return true;
}

struct str page_question(const struct page *page)
{
    return text_str(&page->question);
}

void page_search(struct page *page)
{
    page->asking = true;
    serve_search(&page->runs);
}

void page_batch(struct page *page)
{
    page->asking = true;
    serve_batch(&page->runs);
}

void page_query(struct page *page)
{
    page->asking = true;
    serve_page(&page->runs);
}

void page_query_events(struct page *page)
{
    page->events = true;
    page->runs.coding = CODING_IDENTITY; /* each event is to be seen when it comes */
    page_query(page);
}

void page_free(struct page *page)
{
    serve_end(&page->runs);
    stream_close(&page->stream);
    buf_unref(page->runs.step);
    budget_give(page->runs.serve->budget, page->question.len);
    text_free(&page->question);
    free(page);
}

/* The page is at its end; what follows is said to the request alone. */
static struct http_request *leave(struct page *page)
{
    struct http_request *request = page->request;
    *http_slot(request) = NULL;
    page_free(page);
    return request;
}

/* What is still on its way may use the page a last time; then it is released. */
static void leave_gone(struct page *page)
{
    http_release(leave(page));
}

static void next_step(struct page *page)
{
    page->asking = true;
    serve_more(&page->runs);
}

/* The step was encoded and written. */
static void sent(struct stream *stream, bool whole)
{
    struct page *page = op_owner(stream, struct page, stream);
    page->runs.step = buf_unref(page->runs.step);
    if (page->gone)
        leave_gone(page);
    else if (!whole)
        http_cut(leave(page));
    else if (page->runs.last)
        http_finish(leave(page));
    else
        next_step(page);
}

static void start(struct page *page)
{
    struct answer_head head;
    answer_head(&head, page->runs.hit, page->runs.coding, (struct str){0});
    if (page->events)
        head.fields[0].value = STR("text/event-stream");
    http_start(page->request, 200, head.fields, head.count);
    page->started = true;
    page->encoded = page->runs.coding != CODING_IDENTITY;
    if (page->encoded)
        stream_open(&page->stream, page->request, page->runs.coding, sent);
}

/* Send a step of several. */
static void send_step(struct page *page)
{
    struct buf *step = page->runs.step;
    if (page->encoded) {
        page->step = (struct str){step->at, step->len};
        stream_send(&page->stream, &page->step, 1, page->runs.last);
        return;
    }
    page->runs.step = NULL;
    bool room = http_write(page->request, (struct http_piece){step, {step->at, step->len}});
    if (page->runs.last)
        http_finish(leave(page));
    else if (room)
        next_step(page);
}

static void stepped(struct op *op)
{
    struct page *page = op_owner(op, struct page, runs.op);
    page->asking = false;
    if (page->gone) {
        leave_gone(page);
        return;
    }
    if (op->err.code && page->started) {
        log_event(LOG_ERROR, "answer_cut", LOG_N("request_id", http_request_id(page->request)),
                  LOG_C("reason", op->err.text));
        http_cut(leave(page));
        return;
    }
    if (op->err.code) {
        struct err err = op->err;
        fail_err(leave(page), &err);
        return;
    }
    if (page->runs.whole) {
        struct buf *step = page->runs.step;
        bool hit = page->runs.hit;
        page->runs.step = NULL;
        answer_whole(leave(page), hit, (struct str){0}, step);
        return;
    }
    if (!page->started)
        start(page);
    if (str_eq(http_method(page->request), STR("HEAD")))
        http_finish(leave(page));
    else
        send_step(page);
}

void page_drained(struct http_request *request)
{
    struct page *page = *http_slot(request);
    if (!page || !page->started || page->asking)
        return;
    if (page->encoded)
        stream_drained(&page->stream);
    else
        next_step(page);
}

void page_gone(struct http_request *request)
{
    struct page *page = *http_slot(request);
    if (page && (page->asking || page->stream.turning)) {
        stream_stop(&page->stream);
        page->gone = true; /* stepped() or sent() will release */
        return;
    }
    if (page)
        leave(page);
    http_release(request);
}
