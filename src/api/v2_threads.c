/* v2_threads.c - threads in numbers, as v2 of the LangSmith API has them.
 *
 *     POST /v2/threads/query       a page of threads, the last active first
 *     POST /v2/threads/stats       all of them together
 *     GET  /v2/threads/{id}/stats  one of them
 *     GET  /v2/runs/{id}/url       where a run is shown
 */
#include <strings.h>

#include "api/ask.h"
#include "api/asked.h"
#include "api/call.h"
#include "api/handlers.h"
#include "api/v2.h"
#include "base/arena.h"
#include "run/filter.h"
#include "run/render.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

/* --- members -------------------------------------------------------------------------- */

static void add_text(struct text *text, const char *name, struct str value)
{
    text_addf(text, ",\"%s\":", name);
    if (value.at)
        json_string_write(text, value);
    else
        text_add(text, STR("null"));
}

static void add_id(struct text *text, const char *name, struct uuid id)
{
    char plain[UUID_TEXT];
    uuid_write(id, plain);
    text_addf(text, ",\"%s\":\"%.*s\"", name, UUID_TEXT, plain);
}

static void add_time(struct text *text, const char *name, bool is, int64_t us)
{
    char time[RFC3339_SIZE];
    if (is)
        text_addf(text, ",\"%s\":\"%.*s\"", name, STR_FMT(rfc3339_write(us, time)));
    else
        text_addf(text, ",\"%s\":null", name);
}

static void add_number(struct text *text, const char *name, bool is, double number)
{
    text_add_char(text, ',');
    stats_write_number(text, name, is, number);
}

static void add_percentile(struct text *text, const char *name, const struct stats_sample *sample,
                           double part)
{
    double value = 0;
    bool is = stats_percentile(sample, part, &value);
    add_number(text, name, is, value);
}

static void add_used(struct text *text, const char *name, const struct stats *stats,
                     enum facts_number number)
{
    add_number(text, name, number < FACTS_PROMPT_COST || stats->has[number], stats->sum[number]);
}

/* Members of both; a category of two is their sum. */
static void add_categories(struct text *text, const struct stats_details *a,
                           const struct stats_details *b)
{
    const struct stats_details *both[] = {a, b};
    bool any = false;
    text_add_char(text, '{');
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; both[k] && i < both[k]->count; i++) {
            double sum = both[k]->sum[i];
            bool twice = false;
            for (size_t j = 0; both[!k] && j < both[!k]->count; j++)
                if (str_eq(both[!k]->name[j], both[k]->name[i])) {
                    sum += both[!k]->sum[j];
                    twice = true;
                }
            if (twice && k == 1)
                continue;
            text_addf(text, "%s\"%.*s\":%.15g", any ? "," : "", STR_FMT(both[k]->name[i]), sum);
            any = true;
        }
    text_add_char(text, '}');
}

static void add_details(struct text *text, const char *name, const struct stats_details *details,
                        bool raw)
{
    text_addf(text, raw ? ",\"%s\":{\"raw\":" : ",\"%s\":", name);
    add_categories(text, details, NULL);
    if (raw)
        text_add_char(text, '}');
}

/* --- POST /v2/threads/query ------------------------------------------------------------- */

static void show(struct text *text, const struct thread *thread)
{
    const struct stats *turns = &thread->turns, *usage = thread_usage(thread);
    text_add(text, STR("{\"thread_id\":"));
    json_string_write(text, thread->id);
    text_addf(text, ",\"count\":%llu", (unsigned long long)turns->runs);
    add_id(text, "first_trace_id", thread->first);
    add_id(text, "last_trace_id", thread->last);
    add_id(text, "trace_id", thread->last);
    add_time(text, "start_time", true, turns->last_start_us);
    add_time(text, "min_start_time", true, turns->first_start_us);
    add_time(text, "max_start_time", true, turns->last_start_us);
    add_text(text, "first_inputs", thread->first_inputs);
    add_text(text, "last_outputs", thread->last_outputs);
    add_text(text, "last_error", thread->last_error);
    add_number(text, "num_errored_turns", true, (double)turns->errors);
    add_percentile(text, "latency_p50", &turns->latency, 0.5);
    add_percentile(text, "latency_p99", &turns->latency, 0.99);
    add_used(text, "total_tokens", usage, FACTS_TOTAL_TOKENS);
    add_used(text, "total_cost", usage, FACTS_TOTAL_COST);
    text_add(text, STR(",\"total_token_details\":"));
    add_categories(text, usage->prompt_tokens, usage->completion_tokens);
    text_add(text, STR(",\"total_cost_details\":"));
    add_categories(text, usage->prompt_cost, usage->completion_cost);
    text_add_char(text, '}');
}

/* What a page of threads is asked for with. */
struct paging {
    bool after, events;
    struct query_cursor cursor;
    size_t most;
};

static bool is_after(const struct paging *paging, const struct thread *thread)
{
    if (!paging->after)
        return true;
    if (thread->turns.last_start_us != paging->cursor.start_us)
        return thread->turns.last_start_us < paging->cursor.start_us;
    return uuid_compare(thread->last, paging->cursor.id) < 0;
}

static void add_item(struct text *text, const struct style *style, const struct thread *thread,
                     bool first)
{
    if (!first)
        text_add(text, style->between);
    text_add(text, style->run_begin);
    show(text, thread);
    text_add(text, style->run_end);
}

static void listed(struct call *call)
{
    const struct paging *paging = call->own;
    const struct serve_threads *threads = &call->threads;
    const struct style *style = paging->events ? &v2_events : &v2_page;
    struct text text = {0};
    size_t i = 0, count = 0;
    while (i < threads->count && !is_after(paging, threads->threads[i]))
        i++;
    text_add(&text, style->begin);
    for (; i < threads->count && count < paging->most; i++)
        add_item(&text, style, threads->threads[i], count++ == 0);
    struct query_cursor next = {0};
    if (i < threads->count && count > 0) {
        const struct thread *last = threads->threads[i - 1];
        next = (struct query_cursor){last->turns.last_start_us, last->last};
    }
    style->end(&text, i < threads->count ? &next : NULL);
    if (!paging->events) {
        call_reply(call, 200, &text);
        return;
    }
    struct http_field type = {STR("Content-Type"), STR("text/event-stream")};
    struct str events = arena_copy(call->arena, text_str(&text));
    text_free(&text);
    call_bytes(call, 200, &type, 1, events);
}

/* project_id, window and filters.  False: answered. */
static bool ask(struct call *call, struct body *body, struct run_query *query)
{
    struct err err = {0};
    if (!call_json(call, body))
        return false;
    const char *no = body_json(body, "ai_search").at       ? "ai_search"
                     : body_json(body, "thread_filter").at ? "thread_filter"
                                                           : NULL;
    if (no) {
        call_fail(call, 501, "%s is not supported: ask without it", no);
        return false;
    }
    asked_ids(body, "project_id", &query->projects, &query->project_count);
    body_needs(body, "project_id");
    v2_window(body, query, false);
    if (asked_filters(body, query, &err)) {
        call_fail(call, 400, "%s", err.text);
        return false;
    }
    return true;
}

static void asked(struct call *call)
{
    struct body body;
    struct serve_threads threads = {0};
    struct run_query cursor = {0};
    if (!ask(call, &body, &threads.query))
        return;
    struct paging *paging = arena_make(call->arena, struct paging, 1);
    paging->most = v2_page_size(&body);
    asked_cursor(&body, &cursor);
    paging->after = cursor.after;
    paging->cursor = cursor.cursor;
    paging->events = v2_wants_events(call->request);
    call->own = paging;
    if (call_good(call, &body))
        call_threads(call, &threads, listed);
}

CALL(v2_query_threads, asked, ASKED_BODY)

/* --- stats -------------------------------------------------------------------------------- */

/* What can be selected of one thread, of all, or of both. */
enum number {
    TURNS,
    THREAD_COUNT,
    TRACE_COUNT,
    FIRST_START,
    LAST_START,
    LAST_END,
    LATENCY_P50,
    LATENCY_P99,
    FIRST_TOKEN_P50,
    FIRST_TOKEN_P99,
    ERROR_RATE,
    STREAMING_RATE,
    MEDIAN_TOKENS,
    PROMPT_TOKENS,
    COMPLETION_TOKENS,
    TOTAL_TOKENS,
    PROMPT_COST,
    COMPLETION_COST,
    TOTAL_COST,
    PROMPT_TOKEN_DETAILS,
    COMPLETION_TOKEN_DETAILS,
    PROMPT_COST_DETAILS,
    COMPLETION_COST_DETAILS,
    FEEDBACK_STATS,
    THREAD_FEEDBACK_STATS,
    NUMBERS
};

static const struct {
    const char *select, *member;
} numbers[NUMBERS] = {
    [TURNS] = {"TURNS", "turns"},
    [THREAD_COUNT] = {"THREAD_COUNT", "thread_count"},
    [TRACE_COUNT] = {"TRACE_COUNT", "trace_count"},
    [FIRST_START] = {"FIRST_START_TIME", "first_start_time"},
    [LAST_START] = {"LAST_START_TIME", "last_start_time"},
    [LAST_END] = {"LAST_END_TIME", "last_end_time"},
    [LATENCY_P50] = {"LATENCY_P50", "latency_p50_seconds"},
    [LATENCY_P99] = {"LATENCY_P99", "latency_p99_seconds"},
    [FIRST_TOKEN_P50] = {"FIRST_TOKEN_P50", "first_token_p50_seconds"},
    [FIRST_TOKEN_P99] = {"FIRST_TOKEN_P99", "first_token_p99_seconds"},
    [ERROR_RATE] = {"ERROR_RATE", "error_rate"},
    [STREAMING_RATE] = {"STREAMING_RATE", "streaming_rate"},
    [MEDIAN_TOKENS] = {"MEDIAN_TOKENS", "median_tokens"},
    [PROMPT_TOKENS] = {"PROMPT_TOKENS", "prompt_tokens"},
    [COMPLETION_TOKENS] = {"COMPLETION_TOKENS", "completion_tokens"},
    [TOTAL_TOKENS] = {"TOTAL_TOKENS", "total_tokens"},
    [PROMPT_COST] = {"PROMPT_COST", "prompt_cost"},
    [COMPLETION_COST] = {"COMPLETION_COST", "completion_cost"},
    [TOTAL_COST] = {"TOTAL_COST", "total_cost"},
    [PROMPT_TOKEN_DETAILS] = {"PROMPT_TOKEN_DETAILS", "prompt_token_details"},
    [COMPLETION_TOKEN_DETAILS] = {"COMPLETION_TOKEN_DETAILS", "completion_token_details"},
    [PROMPT_COST_DETAILS] = {"PROMPT_COST_DETAILS", "prompt_cost_details"},
    [COMPLETION_COST_DETAILS] = {"COMPLETION_COST_DETAILS", "completion_cost_details"},
    [FEEDBACK_STATS] = {"FEEDBACK_STATS", "feedback_stats"},
    [THREAD_FEEDBACK_STATS] = {"THREAD_FEEDBACK_STATS", "thread_feedback_stats"},
};

static uint32_t number_named(struct str name)
{
    for (unsigned n = 0; n < NUMBERS; n++)
        if (name.len == strlen(numbers[n].select) &&
            strncasecmp(name.at, numbers[n].select, name.len) == 0)
            return UINT32_C(1) << n;
    return 0;
}

/* What is shown of. */
struct shown {
    const struct stats *turns, *usage;
    const struct feedback_tally *feedback;
    size_t threads;
    bool raw; /* details stand in an object of their own */
};

static void add_usage(struct text *text, enum number number, const struct shown *of)
{
    static const enum facts_number usage[] = {
        [PROMPT_TOKENS] = FACTS_PROMPT_TOKENS,     [COMPLETION_TOKENS] = FACTS_COMPLETION_TOKENS,
        [TOTAL_TOKENS] = FACTS_TOTAL_TOKENS,       [PROMPT_COST] = FACTS_PROMPT_COST,
        [COMPLETION_COST] = FACTS_COMPLETION_COST, [TOTAL_COST] = FACTS_TOTAL_COST};
    const struct stats *used = of->usage;
    const char *name = numbers[number].member;
    if (number <= TOTAL_COST)
        add_used(text, name, used, usage[number]);
    else
        add_details(text, name,
                    number == PROMPT_TOKEN_DETAILS       ? used->prompt_tokens
                    : number == COMPLETION_TOKEN_DETAILS ? used->completion_tokens
                    : number == PROMPT_COST_DETAILS      ? used->prompt_cost
                                                         : used->completion_cost,
                    of->raw);
}

static void add(struct text *text, enum number number, const struct shown *of)
{
    const struct stats *turns = of->turns;
    const char *name = numbers[number].member;
    bool any = turns->runs > 0;
    double runs = (double)turns->runs;
    switch ((unsigned)number) {
    case TURNS:
    case TRACE_COUNT:
        add_number(text, name, true, runs);
        return;
    case THREAD_COUNT:
        add_number(text, name, true, (double)of->threads);
        return;
    case FIRST_START:
        add_time(text, name, any, turns->first_start_us);
        return;
    case LAST_START:
        add_time(text, name, any, turns->last_start_us);
        return;
    case LAST_END:
        add_time(text, name, turns->last_end_us != 0, turns->last_end_us);
        return;
    case LATENCY_P50:
    case LATENCY_P99:
        add_percentile(text, name, &turns->latency, number == LATENCY_P50 ? 0.5 : 0.99);
        return;
    case FIRST_TOKEN_P50:
    case FIRST_TOKEN_P99:
        add_percentile(text, name, &turns->first_token, number == FIRST_TOKEN_P50 ? 0.5 : 0.99);
        return;
    case ERROR_RATE:
        add_number(text, name, any, (double)turns->errors / runs);
        return;
    case STREAMING_RATE:
        add_number(text, name, any, (double)turns->streamed / runs);
        return;
    case MEDIAN_TOKENS:
        add_percentile(text, name, &of->usage->tokens, 0.5);
        return;
    case FEEDBACK_STATS:
    case THREAD_FEEDBACK_STATS:
        text_addf(text, ",\"%s\":", name);
        feedback_write(of->feedback, text);
        return;
    default:
        add_usage(text, number, of);
        return;
    }
}

static void reply_stats(struct call *call, uint32_t selects, const struct shown *of)
{
    struct text text = {0};
    for (unsigned n = 0; n < NUMBERS; n++)
        if (selects & UINT32_C(1) << n)
            add(&text, (enum number)n, of);
    if (text.len == 0)
        text_add_char(&text, '{');
    text.at[0] = '{'; /* for the first comma */
    text_add_char(&text, '}');
    call_reply(call, 200, &text);
}

/* What begin_stats() was given; for when feedback was asked for first. */
struct summing {
    uint32_t selects;
    struct run_query query;
    struct str only;
};

static void summed(struct call *call)
{
    const struct serve_threads *threads = &call->threads;
    struct thread all = {.turns = threads->turns, .models = threads->models};
    struct shown of = {
        .turns = &all.turns,
        .usage = thread_usage(&all),
        .feedback = &call->stats.tally,
        .threads = threads->count,
    };
    reply_stats(call, ((const struct summing *)call->own)->selects, &of);
}

static void one_summed(struct call *call)
{
    static const struct thread none;
    const struct serve_threads *threads = &call->threads;
    const struct thread *thread = threads->count > 0 ? threads->threads[0] : &none;
    struct shown of = {
        .turns = &thread->turns,
        .usage = thread_usage(thread),
        .feedback = &call->stats.tally,
        .threads = threads->count,
        .raw = true,
    };
    reply_stats(call, ((const struct summing *)call->own)->selects, &of);
}

static void ask_numbers(struct call *call)
{
    const struct summing *own = call->own;
    struct serve_threads threads = {.query = own->query, .only = own->only};
    call_threads(call, &threads, own->only.at ? one_summed : summed);
}

static void begin_stats(struct call *call, const struct run_query *query, struct str only,
                        uint32_t selects)
{
    struct summing *own = arena_make(call->arena, struct summing, 1);
    *own = (struct summing){selects, *query, only};
    call->own = own;
    if (!(selects & (UINT32_C(1) << FEEDBACK_STATS | UINT32_C(1) << THREAD_FEEDBACK_STATS))) {
        ask_numbers(call);
        return;
    }
    struct serve_stats stats = {.query = *query, .feedback = true};
    stats.query.trace_filter = filter_both(query->filter, query->trace_filter, call->arena);
    stats.query.filter = filter_thread(only, call->arena);
    call_stats(call, &stats, ask_numbers);
}

static void stats_asked(struct call *call)
{
    struct body body;
    struct run_query query = {0};
    size_t count;
    uint32_t selects = 0;
    if (!ask(call, &body, &query))
        return;
    const struct str *names = body_texts(&body, "select", &count);
    for (size_t i = 0; i < count; i++)
        selects |= number_named(names[i]);
    if (call_good(call, &body))
        begin_stats(call, &query, (struct str){0}, selects);
}

CALL(v2_all_threads, stats_asked, ASKED_BODY)

static void one_asked(struct call *call)
{
    bool there = false;
    uint32_t selects = 0;
    struct err err = {0};
    struct str thread;
    struct uuid *project = arena_make(call->arena, struct uuid, 1);
    struct run_query query = {.start_min_us = INT64_MIN,
                              .start_max_us = INT64_MAX,
                              .projects = project,
                              .project_count = 1};
    for (size_t i = 0; i < call->form.count; i++)
        if (str_eq(call->form.fields[i].name, STR("selects")))
            selects |= number_named(call->form.fields[i].value);
    if (!call_ask_id(call, "session_id", project, &there))
        return;
    if (!there)
        call_fail(call, 400, "session_id is needed: the project of the thread");
    else if (!form_decode_segment(http_part(call->request, 0), call->arena, &thread))
        call_fail(call, 422, "The thread's id in the path is not properly escaped");
    else if (asked_filter("filter", call_ask(call, "filter"), call->arena, &query.filter, &err))
        call_fail(call, 400, "%s", err.text);
    else
        begin_stats(call, &query, thread, selects);
}

CALL(v2_thread_stats, one_asked, 0)

/* --- GET /v2/runs/{id}/url ------------------------------------------------------------------ */

static void found(struct call *call)
{
    const struct index_row *row = &call->find.rows[0];
    if (!row->found) {
        call_fail(call, 404, "Run not found");
        return;
    }
    char project[UUID_TEXT], id[UUID_TEXT], trace[UUID_TEXT];
    uuid_write(row->project, project);
    uuid_write(row->id, id);
    uuid_write(row->trace, trace);
    struct text text = {0};
    text_addf(&text, "{\"url\":\"%.*s/o/" RENDER_TENANT "/projects/p/%.*s/r/%.*s?trace_id=%.*s\"}",
              STR_FMT(v2_origin(call->request)), UUID_TEXT, project, UUID_TEXT, id, UUID_TEXT,
              trace);
    call_reply(call, 200, &text);
}

static void url_asked(struct call *call)
{
    struct uuid *id = arena_make(call->arena, struct uuid, 1);
    if (call_id(call, 0, id))
        call_find(call, id, 1, found);
}

CALL(v2_run_url, url_asked, 0)
