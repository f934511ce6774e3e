/* query.c - POST /runs/query: runs by all that can be asked of them. */
#include "api/answer.h"
#include "api/asked.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/page.h"
#include "base/text.h"
#include "run/filter.h"
#include "run/render.h"

enum { LIMIT_MAX = 100 };

static void end_page(struct text *text, const struct query_cursor *next)
{
    text_add(text, STR("],\"cursors\":{\"next\":"));
    if (next) {
        char cursor[QUERY_CURSOR_TEXT];
        query_cursor_write(next, cursor);
        text_addf(text, "\"%.*s\"", QUERY_CURSOR_TEXT, cursor);
    } else {
        text_add(text, STR("null"));
    }
    text_add(text, STR(",\"prev\":null},\"parsed_query\":null"));
}

static void end(struct text *text, const struct query_cursor *next)
{
    end_page(text, next);
    text_add_char(text, '}');
}

/* A search looks at what the index knows of a run. */
static void end_search(struct text *text, const struct query_cursor *next)
{
    end_page(text, next);
    text_add(text, STR(",\"search\":\"name, error, metadata, tags and previews\"}"));
}

#define WAIT                                                                                       \
    {                                                                                              \
        " ", 1                                                                                     \
    }

static const struct style plain = {
    .begin = {"{\"runs\":[", sizeof "{\"runs\":[" - 1},
    .wait = WAIT,
    .between = {",", 1},
    .run = render_run,
    .end = end,
};

static const struct style searching = {
    .begin = {"{\"runs\":[", sizeof "{\"runs\":[" - 1},
    .wait = WAIT,
    .between = {",", 1},
    .run = render_run,
    .end = end_search,
};

static uint64_t ask_select(struct body *body)
{
    size_t count;
    const struct str *names = body_texts(body, "select", &count);
    return names ? asked_select(names, count) : SHOW_ALL;
}

static size_t ask_limit(struct body *body)
{
    int64_t limit = LIMIT_MAX;
    if (body_whole(body, "limit", &limit) && limit < 1)
        body_fault(body, "limit", "greater_than", "Input should be greater than 0");
    return limit < LIMIT_MAX ? (size_t)limit : LIMIT_MAX;
}

/* The SDK for JavaScript does, and gives a request up after 90 s; the one for Python takes a
 * page without runs for the last (docs/decisions/0026). */
static bool follows_empty_pages(struct http_request *request)
{
    static const char sdk[] = "langsmith-js/";
    struct str agent = http_header(request, STR("user-agent"));
    return agent.len >= sizeof sdk - 1 && memcmp(agent.at, sdk, sizeof sdk - 1) == 0;
}

static void begun(struct http_request *request)
{
    http_limit_body(request, ASKED_BODY);
    page_new(request, 0);
}

/* False: the request was answered. */
static bool ask(struct http_request *request, struct page *page)
{
    struct body body;
    struct err err = {0};
    struct serve_runs *runs = page_runs(page);
    if (!body_read(request, page_question(page), &body))
        return false;
    if (asked_runs(&body, &runs->asked, &err)) {
        fail_err(request, &err);
        return false;
    }
    runs->fields = runs->shown = ask_select(&body);
    runs->most = ask_limit(&body);
    asked_cursor(&body, &runs->asked);
    if (!body_good(request, &body))
        return false;
    if (runs->asked.by_trace && !runs->asked.after) /* a whole trace, if it is a sane one */
        runs->most = RUNS_ROWS;
    runs->may_be_empty = follows_empty_pages(request);
    const struct run_query *asked = &runs->asked;
    bool searches = filter_searches(asked->filter) || filter_searches(asked->trace_filter) ||
                    filter_searches(asked->tree_filter);
    runs->style = searches ? &searching : &plain;
    return true;
}

static void body(struct http_request *request, struct str piece, bool last)
{
    struct page *page = *http_slot(request);
    if (!page_hear(page, piece)) {
        *http_slot(request) = NULL;
        page_free(page);
        http_fail(request, 429, "Too many bytes are in flight; try again in a moment");
        return;
    }
    if (!last)
        return;
    if (ask(request, page))
        page_query(page);
    else
        page_free(page);
}

const struct http_handler query_runs = {
    .begin = begun, .body = body, .drained = page_drained, .gone = page_gone};
