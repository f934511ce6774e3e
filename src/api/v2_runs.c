/* v2_runs.c - pages of runs, as v2 of the LangSmith API has them.
 *
 *     POST /v2/runs/query          runs by all that can be asked of them
 *     POST /v2/traces/query        tops of traces, and what all runs of a trace used
 *     GET  /v2/traces/{id}/runs    all runs of a trace
 *     GET  /v2/threads/{id}/traces the turns of a thread
 *     GET  /v2/runs/{id}           one run
 *     POST /v2/public/{token}/runs/query, GET /v2/public/{token}/run/{id}
 *                                  of the trace that is shared, for whoever has its token
 */
#include "api/ask.h"
#include "api/asked.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/page.h"
#include "api/v2.h"
#include "base/arena.h"
#include "run/filter.h"
#include "run/render_v2.h"
#include "wire/rfc3339.h"

/* --- bodies ------------------------------------------------------------------------- */

static void begun(struct http_request *request)
{
    http_limit_body(request, ASKED_BODY);
    page_new(request, 0);
}

/* What cannot be asked here.  False: answered. */
static bool is_possible(struct http_request *request, struct body *body)
{
    static const char *const names[] = {"ai_search", "min_feedback_modified_at",
                                        "max_feedback_modified_at"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (body_json(body, names[i]).at) {
            http_fail(request, 501, "%s is not supported: ask without it", names[i]);
            return false;
        }
    return true;
}

static int ask_runs(struct body *body, struct serve_runs *runs, struct err *err)
{
    struct run_query *query = &runs->asked;
    asked_ids(body, "ids", &query->ids, &query->id_count);
    asked_ids(body, "project_ids", &query->projects, &query->project_count);
    asked_ids(body, "reference_examples", &query->examples, &query->example_count);
    query->by_trace = body_id(body, "trace_id", &query->trace);
    asked_type(body, query);
    asked_truth(body, "is_root", &query->root);
    asked_truth(body, "has_error", &query->error);
    runs->by_dataset = body_id(body, "reference_dataset_id", &runs->dataset);
    v2_window(body, query, query->id_count > 0 || query->by_trace || runs->by_dataset);
    int r = asked_filters(body, query, err);
    if (r || body->fault || query->id_count > 0 || query->project_count > 0 || query->by_trace ||
        query->example_count > 0 || runs->by_dataset)
        return r;
    return err_set(err, ERR_INVALID,
                   "At least one of 'project_ids', 'reference_dataset_id', 'ids', 'trace_id' or "
                   "'reference_examples' must be specified");
}

/* Tops of traces: their filters are about themselves and about any run below them. */
static int ask_traces(struct body *body, struct serve_runs *runs, struct err *err)
{
    struct run_query *query = &runs->asked;
    asked_ids(body, "project_id", &query->projects, &query->project_count);
    asked_ids(body, "trace_ids", &query->ids, &query->id_count);
    query->root = QUERY_YES;
    v2_window(body, query, query->id_count > 0);
    body_needs(body, "project_id");
    return asked_filters(body, query, err);
}

/* False: the request was answered; so for all that look at a body. */
static bool ask(struct http_request *request, struct page *page, bool traces)
{
    struct body body;
    struct err err = {0};
    struct serve_runs *runs = page_runs(page);
    if (!body_read(request, page_question(page), &body) || !is_possible(request, &body))
        return false;
    if (traces ? ask_traces(&body, runs, &err) : ask_runs(&body, runs, &err)) {
        fail_err(request, &err);
        return false;
    }
    runs->shown = v2_selects(&body, "selects");
    runs->fields = select_needs(runs->shown);
    runs->totals = traces && runs->shown & SELECT_OF_USAGE;
    runs->most = v2_page_size(&body);
    runs->origin = v2_origin(request);
    asked_cursor(&body, &runs->asked);
    return body_good(request, &body);
}

static bool asks_runs(struct http_request *request, struct page *page)
{
    page_runs(page)->style = v2_wants_events(request) ? &v2_events : &v2_page;
    return ask(request, page, false);
}

static bool asks_traces(struct http_request *request, struct page *page)
{
    page_runs(page)->style = v2_wants_events(request) ? &v2_trace_events : &v2_traces;
    return ask(request, page, true);
}

static void hear(struct http_request *request, struct str piece, bool last,
                 bool (*asks)(struct http_request *request, struct page *page))
{
    struct page *page = *http_slot(request);
    if (!page_hear(page, piece)) {
        page_free(page);
        http_fail(request, 429, "Too many bytes are in flight; try again in a moment");
        return;
    }
    if (!last)
        return;
    if (!asks(request, page))
        page_free(page);
    else if (page_runs(page)->style->one_line)
        page_query_events(page);
    else
        page_query(page);
}

static void runs_body(struct http_request *request, struct str piece, bool last)
{
    hear(request, piece, last, asks_runs);
}

static void traces_body(struct http_request *request, struct str piece, bool last)
{
    hear(request, piece, last, asks_traces);
}

const struct http_handler v2_query_runs = {
    .begin = begun, .body = runs_body, .drained = page_drained, .gone = page_gone};
const struct http_handler v2_query_traces = {
    .begin = begun, .body = traces_body, .drained = page_drained, .gone = page_gone};

/* --- query strings --------------------------------------------------------------------- */

static bool ask_time(struct http_request *request, const struct form *form, const char *name,
                     int64_t *us)
{
    struct str text = form_get(form, (struct str){name, strlen(name)});
    if (text.len == 0 || rfc3339_parse(text, us))
        return true;
    fail_value(request, "datetime_parsing", "query", name, "Input should be an RFC 3339 time");
    return false;
}

static bool ask_window(struct http_request *request, const struct form *form,
                       struct run_query *query)
{
    query->start_min_us = INT64_MIN;
    query->start_max_us = INT64_MAX;
    return ask_time(request, form, "min_start_time", &query->start_min_us) &&
           ask_time(request, form, "max_start_time", &query->start_max_us);
}

static bool ask_project(struct http_request *request, const struct form *form,
                        struct run_query *query)
{
    struct str text = form_get(form, STR("project_id"));
    struct uuid *project = arena_make(http_arena(request), struct uuid, 1);
    if (!uuid_parse(text, project)) {
        fail_value(request, text.len ? "uuid_parsing" : "missing", "query", "project_id",
                   text.len ? "Input should be a valid UUID" : "Field required");
        return false;
    }
    query->projects = project;
    query->project_count = 1;
    return true;
}

static bool ask_filters(struct http_request *request, const struct form *form,
                        struct run_query *query)
{
    static const char *const names[] = {"filter", "trace_filter", "tree_filter"};
    const struct filter **const filters[] = {&query->filter, &query->trace_filter,
                                             &query->tree_filter};
    struct err err = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct str text = form_get(form, (struct str){names[i], strlen(names[i])});
        if (text.len == 0)
            continue;
        if (asked_filter(names[i], text, http_arena(request), filters[i], &err)) {
            fail_err(request, &err);
            return false;
        }
    }
    return true;
}

/* The page that is asked for; what else it needs is the caller's to fill. */
static struct page *page_of(struct http_request *request, const struct form *form,
                            const struct run_query *query, const struct style *style)
{
    uint64_t selects = v2_selects_of(form);
    struct page *page = page_new(request, select_needs(selects));
    struct serve_runs *runs = page_runs(page);
    runs->asked = *query;
    runs->style = style;
    runs->shown = selects;
    runs->most = style == &v2_run ? 1 : style == &v2_list ? RUNS_ROWS : V2_PAGE;
    runs->one = style == &v2_run;
    runs->all = style == &v2_list;
    runs->origin = v2_origin(request);
    return page;
}

static void trace_begun(struct http_request *request)
{
    struct form form;
    struct run_query query = {.by_trace = true, .oldest_first = true};
    if (ask_form(request, &form) && ask_id(request, &query.trace) &&
        ask_project(request, &form, &query) && ask_window(request, &form, &query) &&
        ask_filters(request, &form, &query))
        page_query(page_of(request, &form, &query, &v2_list));
}

const struct http_handler v2_trace_runs = {
    .begin = trace_begun, .drained = page_drained, .gone = page_gone};

static bool ask_page(struct http_request *request, const struct form *form, struct run_query *query,
                     size_t *most)
{
    struct str cursor = form_get(form, STR("cursor")), size = form_get(form, STR("page_size"));
    query->after = cursor.len > 0;
    *most = size.len ? 0 : V2_PAGE;
    for (size_t i = 0; i < size.len && *most <= V2_PAGE_MAX; i++)
        *most = size.at[i] >= '0' && size.at[i] <= '9' ? *most * 10 + (size_t)(size.at[i] - '0')
                                                       : V2_PAGE_MAX + 1;
    if (*most < 1 || *most > V2_PAGE_MAX)
        fail_value(request, "int_parsing", "query", "page_size",
                   "Input should be between 1 and 1000");
    else if (query->after && !query_cursor_parse(cursor, &query->cursor))
        fail_value(request, "value_error", "query", "cursor",
                   "Input should be a next_cursor of an earlier answer");
    else
        return true;
    return false;
}

static void thread_begun(struct http_request *request)
{
    struct form form;
    struct str thread;
    size_t most;
    struct run_query query = {
        .root = QUERY_YES, .start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    if (!ask_form(request, &form) || !ask_project(request, &form, &query) ||
        !ask_filters(request, &form, &query) || !ask_page(request, &form, &query, &most))
        return;
    if (!form_decode_segment(http_part(request, 0), http_arena(request), &thread)) {
        fail_value(request, "value_error", "path", "thread_id", "Input should be a text");
        return;
    }
    struct arena *arena = http_arena(request);
    query.filter = filter_both(query.filter, filter_thread(thread, arena), arena);
    struct page *page = page_of(request, &form, &query, &v2_page);
    struct serve_runs *runs = page_runs(page);
    runs->most = most;
    runs->shown |= SELECT(SELECT_TRACE_ID);
    runs->totals = runs->shown & SELECT_OF_USAGE;
    page_query(page);
}

const struct http_handler v2_thread_traces = {
    .begin = thread_begun, .drained = page_drained, .gone = page_gone};

/* --- one run -------------------------------------------------------------------------------- */

/* The id in the n-th {}, for as long as the request. */
static bool ask_part(struct http_request *request, unsigned n, const char *name, struct uuid *id)
{
    struct str text;
    if (form_decode_segment(http_part(request, n), http_arena(request), &text) &&
        uuid_parse(text, id))
        return true;
    fail_value(request, "uuid_parsing", "path", name, "Input should be a valid UUID");
    return false;
}

static void run_begun(struct http_request *request)
{
    struct form form;
    struct uuid *id = arena_make(http_arena(request), struct uuid, 1);
    struct run_query query = {
        .ids = id, .id_count = 1, .start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    if (ask_form(request, &form) && ask_id(request, id) &&
        (!form_get(&form, STR("project_id")).len || ask_project(request, &form, &query)))
        page_query(page_of(request, &form, &query, &v2_run));
}

const struct http_handler v2_get_run = {
    .begin = run_begun, .drained = page_drained, .gone = page_gone};

/* --- what is shared --------------------------------------------------------------------------- */

/* By which tokens else it is shared is nobody's concern. */
static void hide(struct serve_runs *runs)
{
    runs->shown &= ~SELECT(SELECT_SHARE_URL);
    runs->fields = select_needs(runs->shown);
}

static void shared_run_begun(struct http_request *request)
{
    struct form form;
    struct uuid token, *id = arena_make(http_arena(request), struct uuid, 1);
    struct run_query query = {
        .ids = id, .id_count = 1, .start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    if (!ask_form(request, &form) || !ask_part(request, 0, "share_token", &token) ||
        !ask_part(request, 1, "run_id", id))
        return;
    struct page *page = page_of(request, &form, &query, &v2_run);
    struct serve_runs *runs = page_runs(page);
    runs->by_token = true;
    runs->token = token;
    hide(runs);
    page_query(page);
}

const struct http_handler v2_shared_run = {
    .begin = shared_run_begun, .drained = page_drained, .gone = page_gone};

static bool ask_shared(struct http_request *request, struct page *page)
{
    struct body body;
    struct serve_runs *runs = page_runs(page);
    if (!ask_part(request, 0, "share_token", &runs->token) ||
        !body_read(request, page_question(page), &body))
        return false;
    runs->by_token = true;
    runs->asked = (struct run_query){
        .oldest_first = true, .start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    runs->style = &v2_list;
    runs->most = RUNS_ROWS;
    runs->all = true;
    runs->shown = v2_selects(&body, "selects");
    hide(runs);
    runs->origin = v2_origin(request);
    return body_good(request, &body);
}

static void shared_body(struct http_request *request, struct str piece, bool last)
{
    hear(request, piece, last, ask_shared);
}

const struct http_handler v2_shared_runs = {
    .begin = begun, .body = shared_body, .drained = page_drained, .gone = page_gone};
