/* v2.h - what the calls of v2 of the LangSmith API have in common.
 *
 * Windows  where nothing names single runs, they began in the last 24 hours, unless
 *          min_start_time says otherwise; max_start_time is not included.  There is no
 *          upper bound by itself: clocks of clients may be ahead of ours
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/body.h"
#include "base/str.h"
#include "http/http.h"
#include "run/query.h"
#include "serve/style.h"
#include "wire/form.h"

enum { V2_PAGE = 100, V2_PAGE_MAX = 1000 };

/* Pages: {"items":[...],"next_cursor":...}; the same as events (text/event-stream); of
 * traces; lists that are whole: {"items":[...]}; and a run by itself. */
extern const struct style v2_page, v2_events, v2_traces, v2_trace_events, v2_list, v2_run;

/* Does the client want events? */
bool v2_wants_events(struct http_request *request);

/* http://host of the request, to begin links with; empty when it says none that is sound. */
struct str v2_origin(struct http_request *request);

/* Names that are selected, {id} when there are none; those that nobody knows are left out. */
uint64_t v2_selects(struct body *body, const char *name);
uint64_t v2_selects_of(const struct form *form);

/* page_size and cursor. */
size_t v2_page_size(struct body *body);

/* min_start_time, max_start_time; `all`: no window by itself. */
void v2_window(struct body *body, struct run_query *query, bool all);

/* ,"next_cursor":"..."} or null, behind the last item. */
void v2_end(struct text *text, const struct query_cursor *next);
