/* stats.c - POST /runs/stats: the runs of a query in numbers. */
#include "api/asked.h"
#include "api/call.h"
#include "api/handlers.h"

static void counted(struct call *call)
{
    struct text text = {0};
    text_add_char(&text, '{');
    stats_write(&call->stats.stats, &call->stats.tally, &text);
    text_add_char(&text, '}');
    call_reply(call, 200, &text);
}

static void asked(struct call *call)
{
    struct body body;
    struct err err = {0};
    struct serve_stats stats = {.feedback = true};
    if (!call_json(call, &body))
        return;
    if (body_json(&body, "group_by").at)
        body_fault(&body, "group_by", "value_error",
                   "group_by is not supported: the runs are "
                   "counted together; ask once for each group, with a filter");
    if (asked_runs(&body, &stats.query, &err))
        call_fail(call, 400, "%s", err.text);
    else if (call_good(call, &body))
        call_stats(call, &stats, counted);
}

CALL(query_stats, asked, ASKED_BODY)
