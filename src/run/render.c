/* render.c - see render.h. */
#include "run/render.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "run/facts.h"
#include "run/view.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"
#include "wire/splice.h"

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct str names[SHOWS] = {
    [SHOW_ID] = NAME("id"),
    [SHOW_TRACE_ID] = NAME("trace_id"),
    [SHOW_NAME] = NAME("name"),
    [SHOW_INPUTS] = NAME("inputs"),
    [SHOW_OUTPUTS] = NAME("outputs"),
    [SHOW_METADATA] = NAME("metadata"),
    [SHOW_RUN_TYPE] = NAME("run_type"),
    [SHOW_STATUS] = NAME("status"),
    [SHOW_START_TIME] = NAME("start_time"),
    [SHOW_END_TIME] = NAME("end_time"),
    [SHOW_ERROR] = NAME("error"),
    [SHOW_EXTRA] = NAME("extra"),
    [SHOW_EVENTS] = NAME("events"),
    [SHOW_TAGS] = NAME("tags"),
    [SHOW_SERIALIZED] = NAME("serialized"),
    [SHOW_PARENT_RUN_ID] = NAME("parent_run_id"),
    [SHOW_PARENT_RUN_IDS] = NAME("parent_run_ids"),
    [SHOW_DOTTED_ORDER] = NAME("dotted_order"),
    [SHOW_SESSION_NAME] = NAME("session_name"),
    [SHOW_SESSION_ID] = NAME("session_id"),
    [SHOW_REFERENCE_EXAMPLE_ID] = NAME("reference_example_id"),
    [SHOW_APP_PATH] = NAME("app_path"),
    [SHOW_PROMPT_TOKENS] = NAME("prompt_tokens"),
    [SHOW_COMPLETION_TOKENS] = NAME("completion_tokens"),
    [SHOW_TOTAL_TOKENS] = NAME("total_tokens"),
    [SHOW_PROMPT_TOKEN_DETAILS] = NAME("prompt_token_details"),
    [SHOW_COMPLETION_TOKEN_DETAILS] = NAME("completion_token_details"),
    [SHOW_PROMPT_COST] = NAME("prompt_cost"),
    [SHOW_COMPLETION_COST] = NAME("completion_cost"),
    [SHOW_TOTAL_COST] = NAME("total_cost"),
    [SHOW_PROMPT_COST_DETAILS] = NAME("prompt_cost_details"),
    [SHOW_COMPLETION_COST_DETAILS] = NAME("completion_cost_details"),
    [SHOW_FIRST_TOKEN_TIME] = NAME("first_token_time"),
    [SHOW_THREAD_ID] = NAME("thread_id"),
    [SHOW_INPUTS_PREVIEW] = NAME("inputs_preview"),
    [SHOW_OUTPUTS_PREVIEW] = NAME("outputs_preview"),
    [SHOW_FEEDBACK_STATS] = NAME("feedback_stats"),
    [SHOW_SHARE_TOKEN] = NAME("share_token"),
    [SHOW_CHILD_RUN_IDS] = NAME("child_run_ids"),
    [SHOW_DIRECT_CHILD_RUN_IDS] = NAME("direct_child_run_ids"),
    [SHOW_MANIFEST_ID] = NAME("manifest_id"),
    [SHOW_IN_DATASET] = NAME("in_dataset"),
    [SHOW_S3_URLS] = NAME("s3_urls"),
};

enum show show_named(struct str name)
{
    for (unsigned f = 0; f < SHOWS; f++)
        if (str_eq(names[f], name))
            return (enum show)f;
    return SHOWS;
}

#define READS(field) (UINT32_C(1) << (field))

uint32_t render_reads(uint64_t fields)
{
    static const struct {
        enum show show;
        uint32_t reads;
    } needs[] = {
        {SHOW_NAME, READS(RUN_NAME)},
        {SHOW_INPUTS, READS(RUN_INPUTS)},
        {SHOW_OUTPUTS, READS(RUN_OUTPUTS)},
        {SHOW_METADATA, READS(RUN_METADATA)},
        {SHOW_ERROR, READS(RUN_ERROR_TEXT)},
        {SHOW_EXTRA, READS(RUN_EXTRA) | READS(RUN_METADATA)},
        {SHOW_EVENTS, READS(RUN_EVENTS)},
        {SHOW_TAGS, READS(RUN_TAGS)},
        {SHOW_SERIALIZED, READS(RUN_SERIALIZED)},
        {SHOW_PARENT_RUN_IDS, READS(RUN_DOTTED_ORDER)},
        {SHOW_DOTTED_ORDER, READS(RUN_DOTTED_ORDER)},
        {SHOW_REFERENCE_EXAMPLE_ID, READS(RUN_REFERENCE_EXAMPLE_ID)},
    };
    uint32_t reads = 0;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (fields & SHOW(needs[i].show))
            reads |= needs[i].reads;
    return reads;
}

/* --- kinds of values ---------------------------------------------------------- */

static void add_uuid(struct splice *splice, struct uuid id)
{
    char text[UUID_TEXT + 2];
    text[0] = text[UUID_TEXT + 1] = '"';
    uuid_write(id, text + 1);
    splice_add(splice, (struct str){text, sizeof text});
}

static void add_uuid_or_null(struct splice *splice, struct uuid id)
{
    if (uuid_is_zero(id))
        splice_add(splice, STR("null"));
    else
        add_uuid(splice, id);
}

static void add_word(struct splice *splice, struct str word)
{
    splice_add(splice, STR("\""));
    splice_add(splice, word);
    splice_add(splice, STR("\""));
}

static void add_text(struct splice *splice, struct str plain)
{
    if (!plain.at) {
        splice_add(splice, STR("null"));
        return;
    }
    struct text text = {0};
    json_string_write(&text, plain);
    splice_add(splice, text_str(&text));
    text_free(&text);
}

static void add_time(struct splice *splice, int64_t us)
{
    if (us == RUN_RUNNING) {
        splice_add(splice, STR("null"));
        return;
    }
    char text[RFC3339_SIZE];
    add_word(splice, rfc3339_write(us, text));
}

static void add_json(struct splice *splice, struct str json, struct str otherwise)
{
    splice_view(splice, json.at ? json : otherwise);
}

/* --- what was sent -------------------------------------------------------------- */

/* extra.metadata is the metadata: put it there when it was sent beside it. */
static void add_extra(struct splice *splice, const struct view *run)
{
    struct str extra = run->field[RUN_EXTRA], metadata = run->field[RUN_METADATA];
    bool inside =
        extra.at && metadata.at && metadata.at > extra.at && metadata.at < extra.at + extra.len;
    bool object = extra.at && extra.at[0] == '{';
    if (!metadata.at || inside) {
        add_json(splice, extra, STR("null"));
        return;
    }
    splice_add(splice, STR("{\"metadata\":"));
    splice_view(splice, metadata);
    if (object) {
        struct str rest = {extra.at + 1, extra.len - 1}; /* "...}" */
        size_t blank = strspn(rest.at, " \t\r\n");
        if (rest.at[blank] != '}')
            splice_add(splice, STR(","));
        splice_view(splice, rest);
    } else {
        splice_add(splice, STR("}"));
    }
}

/* What LangSmith derives: <start>Z<id> for the top of a trace.  Below it the
 * client's own word is needed. */
static void add_dotted_order(struct splice *splice, const struct view *run)
{
    struct str sent = run->field[RUN_DOTTED_ORDER];
    if ((sent.at && sent.at[0] == '"') || !uuid_is_zero(run->parent)) {
        add_json(splice, sent, STR("null"));
        return;
    }
    char time[RFC3339_SIZE], text[64], *p = text;
    struct str start = rfc3339_write(run->start_us, time);
    *p++ = '"';
    for (size_t i = 0; i < start.len; i++)
        if (!strchr("-:.", start.at[i]))
            *p++ = start.at[i];
    uuid_write(run->id, p);
    p += UUID_TEXT;
    *p++ = '"';
    splice_add(splice, (struct str){text, (size_t)(p - text)});
}

/* The ancestors, root first: all but the last segment of the dotted order. */
static void add_parents(struct splice *splice, const struct view *run)
{
    struct str order = run->field[RUN_DOTTED_ORDER];
    bool any = false;
    splice_add(splice, STR("["));
    for (size_t at = 1; order.at && at < order.len;) {
        const char *dot = memchr(order.at + at, '.', order.len - at);
        if (!dot)
            break;
        size_t end = (size_t)(dot - order.at);
        struct uuid id;
        if (end - at < UUID_TEXT || !uuid_parse((struct str){dot - UUID_TEXT, UUID_TEXT}, &id))
            break;
        if (any)
            splice_add(splice, STR(","));
        add_uuid(splice, id);
        any = true;
        at = end + 1;
    }
    if (!any && !uuid_is_zero(run->parent))
        add_uuid(splice, run->parent);
    splice_add(splice, STR("]"));
}

struct str render_field(const struct view *run, enum show field)
{
    assert(field == SHOW_INPUTS || field == SHOW_OUTPUTS || field == SHOW_METADATA);
    struct str json = run->field[field == SHOW_INPUTS    ? RUN_INPUTS
                                 : field == SHOW_OUTPUTS ? RUN_OUTPUTS
                                                         : RUN_METADATA];
    return json.at ? json : STR("{}");
}

/* An object as it was sent; the clients expect one, so anything else goes into one. */
static void add_payload(struct splice *splice, const struct view *run, enum show field)
{
    struct str json = run->field[field == SHOW_INPUTS ? RUN_INPUTS : RUN_OUTPUTS];
    if (!json.at) {
        splice_add(splice, field == SHOW_INPUTS || run->whole ? STR("{}") : STR("null"));
    } else if (json.at[0] == '{') {
        splice_view(splice, json);
    } else {
        splice_add(splice, field == SHOW_INPUTS ? STR("{\"input\":") : STR("{\"output\":"));
        splice_view(splice, json);
        splice_add(splice, STR("}"));
    }
}

/* --- what is derived --------------------------------------------------------------- */

static void add_app_path(struct splice *splice, const struct view *run)
{
    char project[UUID_TEXT], id[UUID_TEXT], trace[UUID_TEXT], text[256];
    uuid_write(run->project, project);
    uuid_write(run->id, id);
    uuid_write(run->trace, trace);
    int len =
        snprintf(text, sizeof text, "\"/o/" RENDER_TENANT "/projects/p/%.*s/r/%.*s?trace_id=%.*s\"",
                 UUID_TEXT, project, UUID_TEXT, id, UUID_TEXT, trace);
    splice_add(splice, (struct str){text, (size_t)len});
}

static const struct facts no_facts;

static const struct facts *facts_of_view(const struct view *run)
{
    return run->facts ? run->facts : &no_facts;
}

/* Costs are texts, so that no digit of a decimal is lost. */
static void add_usage(struct splice *splice, const struct view *run, enum facts_number number)
{
    const struct facts_usage *usage = &facts_of_view(run)->usage;
    bool cost = number >= FACTS_PROMPT_COST;
    char text[40];
    if (!usage->has[number]) {
        splice_add(splice, STR("null"));
        return;
    }
    struct str digits = usage->text[number];
    if (!digits.at || !cost) {
        int len = snprintf(text, sizeof text, cost ? "%.15g" : "%.0f", usage->value[number]);
        digits = (struct str){text, (size_t)len};
    }
    if (cost)
        add_word(splice, digits);
    else
        splice_add(splice, digits);
}

void render_value(struct splice *splice, const struct view *run, enum show field)
{
    const struct facts *facts = facts_of_view(run);
    switch (field) {
    case SHOW_ID:
        add_uuid(splice, run->id);
        return;
    case SHOW_TRACE_ID:
        add_uuid(splice, run->trace);
        return;
    case SHOW_NAME:
        add_json(splice, run->field[RUN_NAME], STR("\"\""));
        return;
    case SHOW_INPUTS:
    case SHOW_OUTPUTS:
        add_payload(splice, run, field);
        return;
    case SHOW_METADATA:
        splice_view(splice, render_field(run, field));
        return;
    case SHOW_RUN_TYPE:
        add_word(splice, run_type_name(run->type));
        return;
    case SHOW_STATUS:
        add_word(splice, run_status_name(run->status));
        return;
    case SHOW_START_TIME:
        add_time(splice, run->start_us);
        return;
    case SHOW_END_TIME:
        add_time(splice, run->end_us);
        return;
    case SHOW_ERROR:
        add_json(splice, run->field[RUN_ERROR_TEXT], STR("null"));
        return;
    case SHOW_EXTRA:
        add_extra(splice, run);
        return;
    case SHOW_EVENTS:
        add_json(splice, run->field[RUN_EVENTS], STR("null"));
        return;
    case SHOW_TAGS:
        add_json(splice, run->field[RUN_TAGS], STR("null"));
        return;
    case SHOW_SERIALIZED:
        add_json(splice, run->field[RUN_SERIALIZED], STR("null"));
        return;
    case SHOW_PARENT_RUN_ID:
        add_uuid_or_null(splice, run->parent);
        return;
    case SHOW_PARENT_RUN_IDS:
        add_parents(splice, run);
        return;
    case SHOW_DOTTED_ORDER:
        add_dotted_order(splice, run);
        return;
    case SHOW_SESSION_NAME:
        if (run->project_name.at)
            add_text(splice, run->project_name);
        else
            add_json(splice, run->field[RUN_SESSION_NAME], STR("\"default\""));
        return;
    case SHOW_SESSION_ID:
        add_uuid_or_null(splice, run->project);
        return;
    case SHOW_REFERENCE_EXAMPLE_ID:
        add_json(splice, run->field[RUN_REFERENCE_EXAMPLE_ID], STR("null"));
        return;
    case SHOW_APP_PATH:
        add_app_path(splice, run);
        return;
    case SHOW_PROMPT_TOKENS:
        add_usage(splice, run, FACTS_PROMPT_TOKENS);
        return;
    case SHOW_COMPLETION_TOKENS:
        add_usage(splice, run, FACTS_COMPLETION_TOKENS);
        return;
    case SHOW_TOTAL_TOKENS:
        add_usage(splice, run, FACTS_TOTAL_TOKENS);
        return;
    case SHOW_PROMPT_TOKEN_DETAILS:
        add_json(splice, facts->usage.prompt_token_details, STR("null"));
        return;
    case SHOW_COMPLETION_TOKEN_DETAILS:
        add_json(splice, facts->usage.completion_token_details, STR("null"));
        return;
    case SHOW_PROMPT_COST:
        add_usage(splice, run, FACTS_PROMPT_COST);
        return;
    case SHOW_COMPLETION_COST:
        add_usage(splice, run, FACTS_COMPLETION_COST);
        return;
    case SHOW_TOTAL_COST:
        add_usage(splice, run, FACTS_TOTAL_COST);
        return;
    case SHOW_PROMPT_COST_DETAILS:
        add_json(splice, facts->usage.prompt_cost_details, STR("null"));
        return;
    case SHOW_COMPLETION_COST_DETAILS:
        add_json(splice, facts->usage.completion_cost_details, STR("null"));
        return;
    case SHOW_FIRST_TOKEN_TIME:
        add_time(splice, facts->has_first_token ? facts->first_token_us : RUN_RUNNING);
        return;
    case SHOW_THREAD_ID:
        add_text(splice, facts->thread);
        return;
    case SHOW_INPUTS_PREVIEW:
        add_text(splice, facts->inputs_preview);
        return;
    case SHOW_OUTPUTS_PREVIEW:
        add_text(splice, facts->outputs_preview);
        return;
    case SHOW_FEEDBACK_STATS:
        add_json(splice, run->feedback_stats, STR("null"));
        return;
    case SHOW_SHARE_TOKEN:
        add_uuid_or_null(splice, run->share);
        return;
    case SHOW_CHILD_RUN_IDS: /* deprecated by LangSmith: its clients take null */
    case SHOW_DIRECT_CHILD_RUN_IDS:
    case SHOW_MANIFEST_ID:
    case SHOW_IN_DATASET:
        splice_add(splice, STR("null"));
        return;
    case SHOW_S3_URLS:
        add_json(splice, run->s3_urls, STR("null"));
        return;
    case SHOWS:
        break;
    }
    assert(field < SHOWS);
}

void render_run(struct splice *splice, const struct view *run, uint64_t fields)
{
    char before = '{';
    for (unsigned f = 0; f < SHOWS; f++) {
        if (!(fields & SHOW(f)))
            continue;
        splice_add(splice, (struct str){&before, 1});
        before = ',';
        add_word(splice, names[f]);
        splice_add(splice, STR(":"));
        render_value(splice, run, (enum show)f);
    }
    splice_add(splice, STR("}"));
}
