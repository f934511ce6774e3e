/* asked.h - what the body of a query asks for: the members that all queries have.
 *
 * What is wrong with a member is kept in the body (body.h).  What is wrong with a filter, or
 * with all of them together, is an error with its sentence: ERR_INVALID, which is a 400.
 *
 * Memory   the request's arena, and views of the body
 */
#pragma once

#include <stdbool.h>

#include "api/body.h"
#include "run/query.h"
#include "wire/form.h"

enum { ASKED_BODY = 1 << 20, ASKED_IDS = 1000 };

/* filter, trace_filter, tree_filter. */
int asked_filters(struct body *body, struct run_query *query, struct err *err);

/* One that is called `name`; `text` at == NULL: there is none. */
int asked_filter(const char *name, struct str text, struct arena *arena,
                 const struct filter **filter, struct err *err);

/* A list of at most ASKED_IDS ids. */
void asked_ids(struct body *body, const char *name, const struct uuid **ids, size_t *count);

void asked_truth(struct body *body, const char *name, enum query_truth *truth);
void asked_type(struct body *body, struct run_query *query); /* run_type, in any case */
void asked_cursor(struct body *body, struct run_query *query);

/* The members of POST /runs/query and of POST /runs/stats that say which runs. */
int asked_runs(struct body *body, struct run_query *query, struct err *err);

/* What to show of each run, by these names: with what clients cannot be without, and what
 * comes with others.  Names that nobody knows, of another version of the API, are left out. */
uint64_t asked_select(const struct str *names, size_t count);

/* The same by the member `select`; without it all. */
uint64_t asked_fields(struct body *body);

/* The members of a query that a query string may have: filter, is_root, start_time, end_time.
 * `session`, which is a project by its id or by its name, is in the query if it is an id; else
 * `project` is the name; at == NULL: any. */
int asked_form(const struct form *form, struct arena *arena, struct run_query *query,
               struct str *project, struct err *err);
