/* asked.c - see asked.h. */
#include "api/asked.h"

#include <ctype.h>

#include "base/arena.h"
#include "run/filter.h"
#include "run/render.h"
#include "wire/rfc3339.h"

int asked_filter(const char *name, struct str text, struct arena *arena,
                 const struct filter **filter, struct err *err)
{
    *filter = NULL;
    if (!text.at || filter_parse(text, arena, filter, err) == 0)
        return 0;
    return strcmp(name, "filter") == 0 ? (int)err->code : err_wrap(err, "%s", name);
}

int asked_filters(struct body *body, struct run_query *query, struct err *err)
{
    static const char *const names[] = {"filter", "trace_filter", "tree_filter"};
    const struct filter **const filters[] = {&query->filter, &query->trace_filter,
                                             &query->tree_filter};
    int r = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names && !r; i++)
        r = asked_filter(names[i], body_text(body, names[i]), body->arena, filters[i], err);
    return r;
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
        body_fault(body, "cursor", "value_error",
                   "Input should be the cursor of an earlier answer");
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

int asked_runs(struct body *body, struct run_query *query, struct err *err)
{
    int64_t order = 0;
    *query = (struct run_query){.start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    asked_ids(body, "id", &query->ids, &query->id_count);
    if (query->id_count > 0) /* which says it all */
        return 0;
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
    int r = asked_filters(body, query, err);
    if (r)
        return r;
    add_search(body, "query", query);
    if (body->fault || query->project_count > 0 || query->by_trace || query->by_parent ||
        query->example_count > 0)
        return 0;
    return err_set(err, ERR_INVALID,
                   "At least one of 'session', 'id', 'parent_run', 'trace' or "
                   "'reference_example' must be specified");
}

/* What the clients' models cannot be without. */
#define ALWAYS                                                                                     \
    (SHOW(SHOW_ID) | SHOW(SHOW_NAME) | SHOW(SHOW_RUN_TYPE) | SHOW(SHOW_START_TIME) |               \
     SHOW(SHOW_STATUS) | SHOW(SHOW_SESSION_ID) | SHOW(SHOW_TRACE_ID) | SHOW(SHOW_DOTTED_ORDER) |   \
     SHOW(SHOW_APP_PATH))

/* Fields that come with others. */
static uint64_t with_others(uint64_t fields)
{
    static const struct {
        uint64_t of, come;
    } pairs[] = {
        {SHOW(SHOW_PROMPT_TOKENS) | SHOW(SHOW_TOTAL_TOKENS), SHOW(SHOW_PROMPT_TOKEN_DETAILS)},
        {SHOW(SHOW_COMPLETION_TOKENS) | SHOW(SHOW_TOTAL_TOKENS),
         SHOW(SHOW_COMPLETION_TOKEN_DETAILS)},
        {SHOW(SHOW_PROMPT_COST) | SHOW(SHOW_TOTAL_COST), SHOW(SHOW_PROMPT_COST_DETAILS)},
        {SHOW(SHOW_COMPLETION_COST) | SHOW(SHOW_TOTAL_COST), SHOW(SHOW_COMPLETION_COST_DETAILS)},
        {SHOW(SHOW_INPUTS) | SHOW(SHOW_OUTPUTS), SHOW(SHOW_S3_URLS)},
    };
    uint64_t all = fields | ALWAYS;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (fields & pairs[i].of)
            all |= pairs[i].come;
    return all;
}

uint64_t asked_select(const struct str *names, size_t count)
{
    uint64_t fields = 0;
    for (size_t k = 0; k < count; k++) {
        enum show field = show_named(names[k]);
        fields |= field < SHOWS ? SHOW(field) : 0;
    }
    return with_others(fields);
}

uint64_t asked_fields(struct body *body)
{
    size_t count;
    const struct str *names = body_texts(body, "select", &count);
    return names ? asked_select(names, count) : SHOW_ALL;
}

/* --- of a query string ------------------------------------------------------------------ */

static struct str of(const struct form *form, const char *name)
{
    return form_get(form, (struct str){name, strlen(name)});
}

static int form_truth(const struct form *form, const char *name, enum query_truth *truth,
                      struct err *err)
{
    struct str text = of(form, name);
    bool yes = str_eq(text, STR("true")) || str_eq(text, STR("1"));
    bool no = str_eq(text, STR("false")) || str_eq(text, STR("0"));
    *truth = yes ? QUERY_YES : no ? QUERY_NO : QUERY_EITHER;
    if (yes || no || text.len == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s should be true or false", name);
}

static int form_time(const struct form *form, const char *name, int64_t *us, struct err *err)
{
    struct str text = of(form, name);
    if (text.len == 0 || rfc3339_parse(text, us))
        return 0;
    return err_set(err, ERR_INVALID,
                   "%s should be a time like 2026-11-23T16:22:43Z (write `+` as %%2B)", name);
}

static void form_project(const struct form *form, struct arena *arena, struct run_query *query,
                         struct str *project)
{
    struct str session = of(form, "session");
    struct uuid *id = arena_make(arena, struct uuid, 1);
    *project = (struct str){0};
    if (session.len == 0)
        return;
    if (uuid_parse(session, id)) {
        query->projects = id;
        query->project_count = 1;
    } else {
        *project = session;
    }
}

int asked_form(const struct form *form, struct arena *arena, struct run_query *query,
               struct str *project, struct err *err)
{
    *query = (struct run_query){.start_min_us = INT64_MIN, .start_max_us = INT64_MAX};
    form_project(form, arena, query, project);
    int r = form_truth(form, "is_root", &query->root, err);
    r = r ? r : form_time(form, "start_time", &query->start_min_us, err);
    r = r ? r : form_time(form, "end_time", &query->start_max_us, err);
    if (!r && query->start_min_us > query->start_max_us)
        r = err_set(err, ERR_INVALID, "start_time should not be after end_time");
    struct str filter = of(form, "filter");
    if (filter.len == 0)
        filter.at = NULL;
    return r ? r : asked_filter("filter", filter, arena, &query->filter, err);
}
