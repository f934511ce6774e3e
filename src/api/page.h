/* page.h - a page of runs on its way to the client, step by step (serve/runs.h).
 *
 * Threads  the request's loop
 * Memory   page_new() for a request; it frees itself when the answer ends
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "http/http.h"
#include "serve/runs.h"

struct page;

/* A page for `request`; the caller fills page_runs(), then calls page_search(),
 * page_batch() or page_query().  The handler's drained and gone are the two below. */
struct page *page_new(struct http_request *request, uint64_t fields);
struct serve_runs *page_runs(struct page *page);
/* Gather the body, counted against the budget: false when that is used up. */
bool page_hear(struct page *page, struct str piece);
struct str page_question(const struct page *page);
void page_search(struct page *page);
void page_batch(struct page *page);
void page_query(struct page *page);
void page_query_events(struct page *page); /* as text/event-stream */
void page_free(struct page *page); /* instead of asking: the request was answered otherwise */

void page_drained(struct http_request *request);
void page_gone(struct http_request *request);
