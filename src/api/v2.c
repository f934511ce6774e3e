/* v2.c - see v2.h. */
#include "api/v2.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "run/render_v2.h"

#define DAY_US INT64_C(86400000000)

static void add_cursor(struct text *text, const struct query_cursor *next)
{
    if (!next) {
        text_add(text, STR("null"));
        return;
    }
    char cursor[QUERY_CURSOR_TEXT];
    query_cursor_write(next, cursor);
    text_addf(text, "\"%.*s\"", QUERY_CURSOR_TEXT, cursor);
}

void v2_end(struct text *text, const struct query_cursor *next)
{
    text_add(text, STR("],\"next_cursor\":"));
    add_cursor(text, next);
    text_add_char(text, '}');
}

static void end_list(struct text *text, const struct query_cursor *next)
{
    (void)next;
    text_add(text, STR("]}"));
}

static void end_events(struct text *text, const struct query_cursor *next)
{
    text_add(text, STR("event: data\ndata: [{\"op\":\"replace\",\"path\":\"/next_cursor\","
                       "\"value\":"));
    add_cursor(text, next);
    text_add(text, STR("}]\n\nevent: end\ndata: []\n\n"));
}

static void end_run(struct text *text, const struct query_cursor *next)
{
    (void)text;
    (void)next;
}

#define PIECE(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define EVENTS_BEGIN                                                                               \
    PIECE("event: data\ndata: [{\"op\":\"add\",\"path\":\"\",\"value\":{\"items\":[],"             \
          "\"next_cursor\":null}}]\n\n")
#define EVENTS_WAIT PIECE(":\n\n") /* a comment */
#define EVENT_BEGIN PIECE("event: data\ndata: [{\"op\":\"add\",\"path\":\"/items/-\",\"value\":")
#define EVENT_END PIECE("}]\n\n")

const struct style v2_page = {.begin = PIECE("{\"items\":["),
                              .wait = PIECE(" "),
                              .between = PIECE(","),
                              .run = render_v2,
                              .end = v2_end};
const struct style v2_list = {.begin = PIECE("{\"items\":["),
                              .wait = PIECE(" "),
                              .between = PIECE(","),
                              .run = render_v2,
                              .end = end_list};
const struct style v2_traces = {.begin = PIECE("{\"items\":["),
                                .wait = PIECE(" "),
                                .between = PIECE(","),
                                .run = render_trace,
                                .end = v2_end};
const struct style v2_run = {
    .begin = PIECE(""), .between = PIECE(""), .run = render_v2, .end = end_run};
const struct style v2_events = {.begin = EVENTS_BEGIN,
                                .wait = EVENTS_WAIT,
                                .run_begin = EVENT_BEGIN,
                                .run_end = EVENT_END,
                                .run = render_v2,
                                .end = end_events,
                                .one_line = true};
const struct style v2_trace_events = {.begin = EVENTS_BEGIN,
                                      .wait = EVENTS_WAIT,
                                      .run_begin = EVENT_BEGIN,
                                      .run_end = EVENT_END,
                                      .run = render_trace,
                                      .end = end_events,
                                      .one_line = true};

bool v2_wants_events(struct http_request *request)
{
    struct str accept = http_header(request, STR("accept"));
    static const char events[] = "text/event-stream";
    return accept.at && memmem(accept.at, accept.len, events, sizeof events - 1) != NULL;
}

struct str v2_origin(struct http_request *request)
{
    struct str host = http_header(request, STR("host"));
    struct str scheme = http_header(request, STR("x-forwarded-proto"));
    for (size_t i = 0; i < host.len; i++)
        if (!isalnum((unsigned char)host.at[i]) && !(host.at[i] && strchr("-.:[]_", host.at[i])))
            return (struct str){0};
    if (host.len == 0)
        return (struct str){0};
    struct text text = {0};
    text_addf(&text, "%s://%.*s", str_eq(scheme, STR("https")) ? "https" : "http", STR_FMT(host));
    struct str origin = arena_copy(http_arena(request), text_str(&text));
    text_free(&text);
    return origin;
}

static uint64_t select_of(struct str name)
{
    enum select select = select_named(name);
    return select < SELECTS ? SELECT(select) : 0;
}

uint64_t v2_selects(struct body *body, const char *name)
{
    size_t count;
    uint64_t selects = 0;
    const struct str *names = body_texts(body, name, &count);
    for (size_t i = 0; i < count; i++)
        selects |= select_of(names[i]);
    return selects ? selects : SELECT(SELECT_ID);
}

uint64_t v2_selects_of(const struct form *form)
{
    uint64_t selects = 0;
    for (size_t i = 0; i < form->count; i++) {
        struct str list = form->fields[i].value;
        if (!str_eq(form->fields[i].name, STR("selects")))
            continue;
        while (list.len) { /* also with commas between them */
            const char *comma = memchr(list.at, ',', list.len);
            size_t len = comma ? (size_t)(comma - list.at) : list.len;
            selects |= select_of((struct str){list.at, len});
            len += comma ? 1 : 0;
            list = (struct str){list.at + len, list.len - len};
        }
    }
    return selects ? selects : SELECT(SELECT_ID);
}

size_t v2_page_size(struct body *body)
{
    int64_t size = V2_PAGE;
    if (body_whole(body, "page_size", &size) && (size < 1 || size > V2_PAGE_MAX)) {
        body_fault(body, "page_size", size < 1 ? "greater_than_equal" : "less_than_equal",
                   "Input should be between 1 and 1000");
        return 1;
    }
    return (size_t)size;
}

void v2_window(struct body *body, struct run_query *query, bool all)
{
    query->start_min_us = all ? INT64_MIN : clock_now_us() - DAY_US;
    query->start_max_us = INT64_MAX;
    (void)body_time(body, "min_start_time", &query->start_min_us);
    if (body_time(body, "max_start_time", &query->start_max_us))
        query->start_max_us--;
}
