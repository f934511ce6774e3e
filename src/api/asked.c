/* asked.c - see asked.h. */
#include "api/asked.h"

#include <ctype.h>

#include "base/arena.h"
#include "run/filter.h"

bool asked_filter(struct http_request *request, const char *name, struct str text,
                  const struct filter **filter)
{
    struct err err = {0};
    *filter = NULL;
    if (!text.at || filter_parse(text, http_arena(request), filter, &err) == 0)
        return true;
    if (strcmp(name, "filter") != 0)
        (void)err_wrap(&err, "%s", name);
    http_fail(request, 400, "%s", err.text);
    return false;
}

bool asked_filters(struct http_request *request, struct body *body, struct run_query *query)
{
    return asked_filter(request, "filter", body_text(body, "filter"), &query->filter) &&
           asked_filter(request, "trace_filter", body_text(body, "trace_filter"),
                        &query->trace_filter) &&
           asked_filter(request, "tree_filter", body_text(body, "tree_filter"),
                        &query->tree_filter);
}

void asked_ids(struct body *body, const char *name, const struct uuid **ids, size_t *count)
{
    const struct uuid *list = body_ids(body, name, count);
    if (*count > ASKED_IDS)
        body_fault(body, name, "too_long", "List should have at most 1000 items");
    *ids = list;
}

void asked_truth(struct body *body, const char *name, enum query_truth *truth)
{
    if (body_json(body, name).at)
        *truth = body_flag(body, name, false) ? QUERY_YES : QUERY_NO;
}

void asked_type(struct body *body, struct run_query *query)
{
    char lower[16];
    struct str word = body_text(body, "run_type");
    if (!word.at)
        return;
    query->type = RUN_TYPES;
    if (word.len < sizeof lower) {
        for (size_t i = 0; i < word.len; i++)
            lower[i] = (char)tolower((unsigned char)word.at[i]);
        query->type = run_type_named((struct str){lower, word.len});
    }
    query->by_type = true;
    if (query->type == RUN_TYPES)
        body_fault(body, "run_type", "enum",
                   "Input should be 'tool', 'chain', 'llm', 'retriever', 'embedding', 'prompt' or "
                   "'parser'");
}

void asked_cursor(struct body *body, struct run_query *query)
{
    struct str cursor = body_text(body, "cursor");
    query->after = cursor.len > 0;
    if (query->after && !query_cursor_parse(cursor, &query->cursor))
        body_fault(body, "cursor", "value_error", "Input should be the cursor of an earlier answer");
}

/* The search that is not part of the filter. */
static void add_search(struct body *body, const char *name, struct run_query *query)
{
    struct str text = body_text(body, name);
    if (text.len > 0)
        query->filter = filter_both(query->filter, filter_search(text, body->arena), body->arena);
}

static void ask_order(struct body *body, struct run_query *query)
{
    struct str order = body_text(body, "order");
    query->oldest_first = str_eq(order, STR("asc"));
    if (order.at && !query->oldest_first && !str_eq(order, STR("desc")))
        body_fault(body, "order", "enum", "Input should be 'asc' or 'desc'");
}

bool asked_runs(struct http_request *request, struct body *body, struct run_query *query)
{
    int64_t order = 0;
    *query = (struct run_query){.start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    asked_ids(body, "id", &query->ids, &query->id_count);
    if (query->id_count > 0) /* which says it all */
        return true;
    asked_ids(body, "session", &query->projects, &query->project_count);
    asked_ids(body, "reference_example", &query->examples, &query->example_count);
    query->by_trace = body_id(body, "trace", &query->trace);
    query->by_parent = body_id(body, "parent_run", &query->parent);
    asked_type(body, query);
    asked_truth(body, "is_root", &query->root);
    asked_truth(body, "error", &query->error);
    if (body_whole(body, "execution_order", &order) && order == 1)
        query->root = QUERY_YES;
    (void)body_time(body, "start_time", &query->start_min_us);
    (void)body_time(body, "end_time", &query->start_max_us);
    ask_order(body, query);
    if (!asked_filters(request, body, query))
        return false;
    add_search(body, "query", query);
    if (body->fault || query->project_count > 0 || query->by_trace || query->by_parent ||
        query->example_count > 0)
        return true;
    http_fail(request, 400,
              "At least one of 'session', 'id', 'parent_run', 'trace' or 'reference_example' must "
              "be specified");
    return false;
}
