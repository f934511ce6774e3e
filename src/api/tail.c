/* tail.c - GET /runs/tail: the runs of a query as they come, as Server-Sent Events.
 *
 *     event: run      data: the run, when it was added, and again when it changed
 *     event: dropped  data: {"runs": how many were not told or null, "reason": why}
 *     :               nothing came for a while
 *
 * An id is `<epoch>-<number>`: told up to this number (loop/news.h).  Events of a batch have
 * the one from before it, since they are not in the order of the numbers; when the batch
 * is over, an id comes by itself.
 *
 * The next batch is asked for when the client has room.  Who does not read falls behind what
 * is kept, is told so when it reads on, and is cut off when it does not (docs/design/http.md).
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/ask.h"
#include "api/asked.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "run/render.h"
#include "serve/tail.h"

enum { EPOCH = 16, MARK = EPOCH + 1 + 20 /* bytes of an id */ };

struct follower {
    struct http_request *request;
    struct serve_tail tail;
    struct style style;
    char run_begin[64 + MARK]; /* of the style */
    bool asking, gone;
};

static void told(struct op *op);

/* --- what is asked for -------------------------------------------------------------- */

/* All that the index says. */
static uint64_t without_payloads(void)
{
    const uint32_t said = 1u << RUN_NAME | 1u << RUN_ERROR_TEXT | 1u << RUN_DOTTED_ORDER |
                          1u << RUN_REFERENCE_EXAMPLE_ID;
    uint64_t fields = 0;
    for (unsigned field = 0; field < SHOWS; field++)
        if (!(render_reads(SHOW(field)) & ~said))
            fields |= SHOW(field);
    return fields;
}

/* Names with commas between them. */
static uint64_t ask_select(const struct form *form, struct arena *arena)
{
    struct str list = form_get(form, STR("select"));
    if (list.len == 0)
        return without_payloads();
    struct str *names = arena_make(arena, struct str, list.len / 2 + 1);
    size_t count = 0;
    for (const char *at = list.at, *end = list.at + list.len; at < end; at++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t len = (size_t)((comma ? comma : end) - at);
        if (len > 0)
            names[count++] = (struct str){at, len};
        at += len;
    }
    return asked_select(names, count);
}

/* False: it was answered. */
static bool ask(struct http_request *request, struct serve_tail *tail)
{
    struct form form;
    struct err err = {0};
    struct arena *arena = http_arena(request);
    if (!ask_form(request, &form))
        return false;
    if (asked_form(&form, arena, &tail->asked, &tail->project, &err)) {
        fail_err(request, &err);
        return false;
    }
    tail->fields = ask_select(&form, arena);
    return true;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* All of `text` as a number that is not too large; false: it is none. */
static bool read_number(struct str text, int base, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.at[i]);
        if (digit >= base || *number >> 58)
            return false;
        *number = *number * (uint64_t)base + (uint64_t)digit;
    }
    return text.len > 0;
}

/* One of our ids, or any other text, which is told that something was dropped. */
static void resume(struct serve_tail *tail, struct str mark)
{
    const size_t half = EPOCH / 2;
    uint64_t high, low, number;
    if (mark.len == 0)
        return;
    bool ours = mark.len > EPOCH + 1 && mark.at[EPOCH] == '-' &&
                read_number((struct str){mark.at, half}, 16, &high) &&
                read_number((struct str){mark.at + half, half}, 16, &low) &&
                read_number((struct str){mark.at + EPOCH + 1, mark.len - EPOCH - 1}, 10, &number);
    serve_tail_resume(tail, ours ? high << 32 | low : 0, ours ? number : UINT64_MAX);
}

/* --- what is written ------------------------------------------------------------------- */

static void no_end(struct text *text, const struct query_cursor *next)
{
    (void)text;
    (void)next;
}

static void add_mark(const struct follower *f, struct text *text)
{
    text_addf(text, "id: %016llx-%llu\n", (unsigned long long)news_epoch(f->tail.serve->news),
              (unsigned long long)f->tail.at);
}

/* How the runs of the next batch begin. */
static void set_style(struct follower *f)
{
    struct text text = {0};
    text_add(&text, STR("event: run\n"));
    add_mark(f, &text);
    text_add(&text, STR("data: "));
    memcpy(f->run_begin, text.at, text.len);
    f->style.run_begin = (struct str){f->run_begin, text.len};
    text_free(&text);
}

static void add_lost(const struct follower *f, struct text *text)
{
    text_add(text, STR("event: dropped\n"));
    add_mark(f, text);
    if (f->tail.lost > 0)
        text_addf(text, "data: {\"runs\":%llu,", (unsigned long long)f->tail.lost);
    else
        text_add(text, STR("data: {\"runs\":null,"));
    text_addf(text, "\"reason\":\"%s\"}\n\n", f->tail.reason);
}

/* Takes the text. */
static bool write_text(struct follower *f, struct text *text)
{
    struct buf *buf = text_to_buf(text);
    text_free(text);
    return http_write(f->request, (struct http_piece){buf, {buf->at, buf->len}});
}

/* Is there room for more? */
static bool write_told(struct follower *f)
{
    struct text text = {0};
    bool room = true;
    if (f->tail.what == TAIL_RUNS) {
        struct buf *step = f->tail.step;
        f->tail.step = NULL;
        room = http_write(f->request, (struct http_piece){step, {step->at, step->len}});
        if (!f->tail.last)
            return room;
        add_mark(f, &text);
        text_add_char(&text, '\n');
    } else if (f->tail.what == TAIL_LOST) {
        add_lost(f, &text);
    } else {
        text_add(&text, STR(":\n\n"));
    }
    return write_text(f, &text) && room;
}

/* --- a follower's life -------------------------------------------------------------------- */

static void ask_next(struct follower *f)
{
    set_style(f);
    f->asking = true;
    serve_tail_next(&f->tail);
}

/* The tail is at its end; what follows is said to the request alone. */
static struct http_request *leave(struct follower *f)
{
    struct http_request *request = f->request;
    *http_slot(request) = NULL;
    serve_tail_end(&f->tail);
    buf_unref(f->tail.step);
    free(f);
    return request;
}

static void start(struct follower *f)
{
    const struct http_field fields[] = {
        {STR("Content-Type"), STR("text/event-stream")},
        {STR("Cache-Control"), STR("no-store")},
        {STR("X-Accel-Buffering"), STR("no")}, /* or nginx keeps it to itself */
    };
    http_start(f->request, 200, fields, sizeof fields / sizeof *fields);
    if (str_eq(http_method(f->request), STR("HEAD"))) {
        http_finish(leave(f));
        return;
    }
    struct text text = {0};
    add_mark(f, &text);
    text_add_char(&text, '\n');
    (void)write_text(f, &text);
    ask_next(f);
}

static void begun(struct http_request *request)
{
    struct api *api = http_context(request);
    struct follower *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->request = request;
    f->style =
        (struct style){.run_end = STR("\n\n"), .run = render_run, .end = no_end, .one_line = true};
    f->tail = (struct serve_tail){
        .op = {.loop = http_loop(request), .done = told},
        .serve = &api->serve,
        .style = &f->style,
    };
    if (!ask(request, &f->tail)) {
        free(f);
        return;
    }
    if (!serve_tail_begin(&f->tail)) {
        free(f);
        http_fail(request, 429, "Too many clients follow runs live; try again later");
        return;
    }
    *http_slot(request) = f;
    resume(&f->tail, http_header(request, STR("last-event-id")));
    start(f);
}

static void told(struct op *op)
{
    struct follower *f = op_owner(op, struct follower, tail.op);
    f->asking = false;
    if (f->gone)
        http_release(leave(f));
    else if (f->tail.what == TAIL_ENDS)
        http_finish(leave(f));
    else if (write_told(f))
        ask_next(f);
}

static void drained(struct http_request *request)
{
    struct follower *f = *http_slot(request);
    if (f && !f->asking)
        ask_next(f);
}

static void gone(struct http_request *request)
{
    struct follower *f = *http_slot(request);
    if (f && f->asking) {
        f->gone = true; /* told() will release */
        serve_tail_stop(&f->tail);
        return;
    }
    if (f)
        (void)leave(f);
    http_release(request);
}

const struct http_handler tail_runs = {.begin = begun, .drained = drained, .gone = gone};
