/* asked.h - what the body of a query asks for: the members that all queries have.
 *
 * What is wrong with one is kept in the body, as by body.h; what is wrong with a filter
 * is answered with 400 and its sentence.
 *
 * Memory   the request's arena, and views of the body
 */
#pragma once

#include <stdbool.h>

#include "api/body.h"
#include "run/query.h"

enum { ASKED_BODY = 1 << 20, ASKED_IDS = 1000 };

/* filter, trace_filter, tree_filter.  False: answered. */
bool asked_filters(struct http_request *request, struct body *body, struct run_query *query);

/* One of them; `text` at == NULL: there is none. */
bool asked_filter(struct http_request *request, const char *name, struct str text,
                  const struct filter **filter);

/* A list of at most ASKED_IDS ids. */
void asked_ids(struct body *body, const char *name, const struct uuid **ids, size_t *count);

void asked_truth(struct body *body, const char *name, enum query_truth *truth);
void asked_type(struct body *body, struct run_query *query); /* run_type, in any case */
void asked_cursor(struct body *body, struct run_query *query);

/* The members of POST /runs/query and of POST /runs/stats that say which runs.  False:
 * answered; the others are still to be asked for, and body_good(). */
bool asked_runs(struct http_request *request, struct body *body, struct run_query *query);
