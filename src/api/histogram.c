/* histogram.c - GET /runs/histogram: when the runs of a query began, counted in buckets. */
#include "api/asked.h"
#include "api/call.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "run/filter.h"
#include "wire/rfc3339.h"

enum { BUCKETS = 60 };

/* Buckets may reach over the ends of what can be written. */
static void add_time(struct text *text, const char *name, int64_t us)
{
    static const int64_t first = INT64_C(-62135596800000000), last = INT64_C(253402300799999999);
    char time[RFC3339_SIZE];
    us = us < first ? first : us > last ? last : us;
    text_addf(text, "\"%s\":\"%.*s\",", name, STR_FMT(rfc3339_write(us, time)));
}

static void add_counts(struct text *text, const char *name, const uint64_t *counts, unsigned count)
{
    text_addf(text, "\"%s\":[", name);
    for (unsigned i = 0; i < count; i++)
        text_addf(text, "%s%llu", i > 0 ? "," : "", (unsigned long long)counts[i]);
    text_add(text, STR("],"));
}

static void counted(struct call *call)
{
    const struct histogram *h = &call->histogram.histogram;
    struct text text = {0};
    text_add_char(&text, '{');
    add_time(&text, "start_time", h->from_us);
    add_time(&text, "end_time", h->from_us + h->used * h->width_us);
    text_addf(&text, "\"bucket_us\":%lld,", (long long)h->width_us);
    add_counts(&text, "count", h->count, h->used);
    add_counts(&text, "errors", h->errors, h->used);
    text_addf(&text, "\"complete\":%s}", call->histogram.complete ? "true" : "false");
    call_reply(call, 200, &text);
}

static void ask_project(struct call *call)
{
    struct serve_histogram *ask = call->own;
    if (call->entities.count == 0) {
        call_fail(call, 404, "There is no project of this name");
        return;
    }
    ask->query.projects = &call->entities.entities[0].id;
    ask->query.project_count = 1;
    call_histogram(call, ask, counted);
}

/* A whole number, 1 and more; 0: it is none. */
static unsigned ask_buckets(struct call *call)
{
    struct str text = call_ask(call, "buckets");
    unsigned buckets = text.len ? 0 : BUCKETS;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return 0;
        buckets = buckets * 10 + (unsigned)(text.at[i] - '0');
        if (buckets > HISTOGRAM_BUCKETS)
            buckets = HISTOGRAM_BUCKETS;
    }
    return buckets;
}

static void asked(struct call *call)
{
    struct serve_histogram *ask = arena_make(call->arena, struct serve_histogram, 1);
    struct str project;
    struct err err = {0};
    call->own = ask;
    ask->buckets = ask_buckets(call);
    if (ask->buckets == 0)
        call_fail(call, 400, "buckets should be a whole number from 1 to %d", HISTOGRAM_BUCKETS);
    else if (asked_form(&call->form, call->arena, &ask->query, &project, &err))
        call_fail(call, 400, "%s", err.text);
    else if (project.at)
        call_entities(call,
                      &(struct index_entities){.kind = ENTITY_PROJECT, .name = project, .limit = 1},
                      ask_project);
    else
        call_histogram(call, ask, counted);
}

CALL(get_histogram, asked, 0)
