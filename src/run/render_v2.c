/* render_v2.c - see render_v2.h. */
#include "run/render_v2.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "base/text.h"
#include "run/facts.h"
#include "run/render.h"
#include "run/stats.h"
#include "run/view.h"
#include "wire/json_string.h"
#include "wire/json_walk.h"
#include "wire/rfc3339.h"
#include "wire/splice.h"

#define KEY(text)                                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* Members that are those of v1, and those that need it. */
static const struct {
    struct str key;
    enum show same; /* SHOWS: it is another one */
    uint64_t needs;
} members[SELECTS] = {
    [SELECT_ID] = {KEY("id"), SHOW_ID, 0},
    [SELECT_NAME] = {KEY("name"), SHOW_NAME, 0},
    [SELECT_RUN_TYPE] = {KEY("run_type"), SHOWS, 0},
    [SELECT_STATUS] = {KEY("status"), SHOWS, 0},
    [SELECT_START_TIME] = {KEY("start_time"), SHOW_START_TIME, 0},
    [SELECT_END_TIME] = {KEY("end_time"), SHOW_END_TIME, 0},
    [SELECT_LATENCY_SECONDS] = {KEY("latency_seconds"), SHOWS, 0},
    [SELECT_FIRST_TOKEN_TIME] = {KEY("first_token_time"), SHOWS, SHOW(SHOW_FIRST_TOKEN_TIME)},
    [SELECT_ERROR] = {KEY("error"), SHOW_ERROR, 0},
    [SELECT_ERROR_PREVIEW] = {KEY("error_preview"), SHOWS, SHOW(SHOW_ERROR)},
    [SELECT_EXTRA] = {KEY("extra"), SHOW_EXTRA, 0},
    [SELECT_METADATA] = {KEY("metadata"), SHOW_METADATA, 0},
    [SELECT_EVENTS] = {KEY("events"), SHOW_EVENTS, 0},
    [SELECT_INPUTS] = {KEY("inputs"), SHOW_INPUTS, 0},
    [SELECT_INPUTS_PREVIEW] = {KEY("inputs_preview"), SHOW_INPUTS_PREVIEW, 0},
    [SELECT_OUTPUTS] = {KEY("outputs"), SHOW_OUTPUTS, 0},
    [SELECT_OUTPUTS_PREVIEW] = {KEY("outputs_preview"), SHOW_OUTPUTS_PREVIEW, 0},
    [SELECT_MANIFEST] = {KEY("manifest"), SHOW_SERIALIZED, 0},
    [SELECT_PARENT_RUN_ID] = {KEY("parent_run_id"), SHOW_PARENT_RUN_ID, 0},
    [SELECT_PARENT_RUN_IDS] = {KEY("parent_run_ids"), SHOW_PARENT_RUN_IDS, 0},
    [SELECT_PROJECT_ID] = {KEY("project_id"), SHOW_SESSION_ID, 0},
    [SELECT_TRACE_ID] = {KEY("trace_id"), SHOW_TRACE_ID, 0},
    [SELECT_THREAD_ID] = {KEY("thread_id"), SHOW_THREAD_ID, 0},
    [SELECT_DOTTED_ORDER] = {KEY("dotted_order"), SHOW_DOTTED_ORDER, 0},
    [SELECT_IS_ROOT] = {KEY("is_root"), SHOWS, 0},
    [SELECT_REFERENCE_EXAMPLE_ID] = {KEY("reference_example_id"), SHOW_REFERENCE_EXAMPLE_ID, 0},
    [SELECT_REFERENCE_DATASET_ID] = {KEY("reference_dataset_id"), SHOWS, 0},
    [SELECT_TOTAL_TOKENS] = {KEY("total_tokens"), SHOWS, SHOW(SHOW_TOTAL_TOKENS)},
    [SELECT_PROMPT_TOKENS] = {KEY("prompt_tokens"), SHOWS, SHOW(SHOW_PROMPT_TOKENS)},
    [SELECT_COMPLETION_TOKENS] = {KEY("completion_tokens"), SHOWS, SHOW(SHOW_COMPLETION_TOKENS)},
    [SELECT_TOTAL_COST] = {KEY("total_cost"), SHOWS, SHOW(SHOW_TOTAL_COST)},
    [SELECT_PROMPT_COST] = {KEY("prompt_cost"), SHOWS, SHOW(SHOW_PROMPT_COST)},
    [SELECT_COMPLETION_COST] = {KEY("completion_cost"), SHOWS, SHOW(SHOW_COMPLETION_COST)},
    [SELECT_PROMPT_TOKEN_DETAILS] = {KEY("prompt_token_details"), SHOWS,
                                     SHOW(SHOW_PROMPT_TOKEN_DETAILS)},
    [SELECT_COMPLETION_TOKEN_DETAILS] = {KEY("completion_token_details"), SHOWS,
                                         SHOW(SHOW_COMPLETION_TOKEN_DETAILS)},
    [SELECT_PROMPT_COST_DETAILS] = {KEY("prompt_cost_details"), SHOWS,
                                    SHOW(SHOW_PROMPT_COST_DETAILS)},
    [SELECT_COMPLETION_COST_DETAILS] = {KEY("completion_cost_details"), SHOWS,
                                        SHOW(SHOW_COMPLETION_COST_DETAILS)},
    [SELECT_PRICE_MODEL_ID] = {KEY("price_model_id"), SHOWS, 0},
    [SELECT_TAGS] = {KEY("tags"), SHOW_TAGS, 0},
    [SELECT_APP_PATH] = {KEY("app_path"), SHOW_APP_PATH, 0},
    [SELECT_ATTACHMENTS] = {KEY("attachments"), SHOWS, SHOW(SHOW_S3_URLS)},
    [SELECT_THREAD_EVALUATION_TIME] = {KEY("thread_evaluation_time"), SHOWS, 0},
    [SELECT_IS_IN_DATASET] = {KEY("is_in_dataset"), SHOW_IN_DATASET, 0},
    [SELECT_SHARE_URL] = {KEY("share_url"), SHOWS, SHOW(SHOW_SHARE_TOKEN)},
    [SELECT_FEEDBACK_STATS] = {KEY("feedback_stats"), SHOW_FEEDBACK_STATS, 0},
    [SELECT_LAST_QUEUED_AT] = {KEY("last_queued_at"), SHOWS, 0},
    [SELECT_LS_USER_ID] = {KEY("ls_user_id"), SHOWS, 0},
    [SELECT_LATENCY] = {KEY("latency"), SHOWS, 0},
    [SELECT_OP] = {KEY("op"), SHOWS, 0},
    [SELECT_TURN_NUMBER] = {KEY("turn_number"), SHOWS, 0},
    [SELECT_ERROR_COUNT] = {KEY("error_count"), SHOWS, 0},
};

enum select select_named(struct str name)
{
    for (unsigned s = 0; s < SELECTS; s++)
        if (members[s].key.len == name.len &&
            strncasecmp(members[s].key.at, name.at, name.len) == 0)
            return (enum select)s;
    return SELECTS;
}

uint64_t select_needs(uint64_t selects)
{
    uint64_t needs = 0;
    for (unsigned s = 0; s < SELECTS; s++)
        if (selects & SELECT(s))
            needs |= members[s].needs | (members[s].same < SHOWS ? SHOW(members[s].same) : 0);
    return needs;
}

/* --- values of another form than in v1 -------------------------------------------- */

static void add_upper(struct splice *splice, struct str word)
{
    char upper[32];
    assert(word.len + 2 <= sizeof upper);
    upper[0] = upper[word.len + 1] = '"';
    for (size_t i = 0; i < word.len; i++)
        upper[i + 1] = (char)(word.at[i] - ('a' - 'A'));
    splice_add(splice, (struct str){upper, word.len + 2});
}

static void add_number(struct splice *splice, bool is, double number)
{
    char text[40];
    int len = snprintf(text, sizeof text, "%.15g", number);
    splice_add(splice, is ? (struct str){text, (size_t)len} : STR("null"));
}

static void add_latency(struct splice *splice, const struct view *run)
{
    add_number(splice, run->end_us != RUN_RUNNING, (double)(run->end_us - run->start_us) / 1e6);
}

static const struct facts_usage *usage_of(const struct view *run)
{
    static const struct facts_usage none;
    return run->facts ? &run->facts->usage : &none;
}

/* Of a trace, of all its runs. */
static void add_used(struct splice *splice, const struct view *run, enum facts_number number)
{
    const struct facts_usage *usage = usage_of(run);
    if (run->totals)
        add_number(splice, run->totals->has[number], run->totals->sum[number]);
    else
        add_number(splice, usage->has[number], usage->value[number]);
}

static void add_first_token(struct splice *splice, const struct view *run)
{
    bool is = run->totals ? run->totals->streamed > 0 : run->facts && run->facts->has_first_token;
    char time[RFC3339_SIZE];
    if (!is) {
        splice_add(splice, STR("null"));
        return;
    }
    splice_add(splice, STR("\""));
    splice_add(splice,
               rfc3339_write(run->totals ? run->totals->first_token_us : run->facts->first_token_us,
                             time));
    splice_add(splice, STR("\""));
}

static void add_raw(struct splice *splice, struct str details)
{
    if (!details.at) {
        splice_add(splice, STR("null"));
        return;
    }
    splice_add(splice, STR("{\"raw\":"));
    splice_view(splice, details);
    splice_add(splice, STR("}"));
}

/* The begin of a text, whole characters of it. */
static void add_preview(struct splice *splice, struct str json)
{
    if (!json.at || json.at[0] != '"') {
        splice_add(splice, STR("null"));
        return;
    }
    struct text plain = {0}, text = {0};
    size_t len =
        json_string_decode((struct str){json.at + 1, json.len - 2}, text_room(&plain, json.len));
    if (len > FACTS_PREVIEW) {
        len = FACTS_PREVIEW;
        while (len > 0 && ((unsigned char)plain.at[len] & 0xc0) == 0x80)
            len--;
    }
    json_string_write(&text, (struct str){plain.at, len});
    splice_add(splice, text_str(&text));
    text_free(&text);
    text_free(&plain);
}

/* Of `s3_urls` the names and the addresses. */
static void add_attachments(struct splice *splice, const struct view *run)
{
    static const char prefix[] = "attachment.";
    const size_t len = sizeof prefix - 1;
    struct json_walk walk = json_walk(run->s3_urls);
    struct str name, key;
    char before = '{';
    if (!run->s3_urls.at || !json_walk_object(&walk)) {
        splice_add(splice, STR("{}"));
        return;
    }
    while (json_walk_member(&walk, &name)) {
        if (!json_walk_object(&walk))
            break;
        while (json_walk_member(&walk, &key)) {
            struct str url = json_walk_value(&walk);
            if (!json_key_is(key, STR("presigned_url")) || url.len < 2 || name.len < len)
                continue;
            splice_add(splice, (struct str){&before, 1});
            before = ',';
            splice_add(splice, STR("\""));
            splice_add(splice, (struct str){name.at + len, name.len - len});
            splice_add(splice, STR("\":\""));
            splice_add(splice, run->origin);
            splice_add(splice, (struct str){url.at + 1, url.len - 1});
        }
    }
    splice_add(splice, before == '{' ? STR("{}") : STR("}"));
}

static void add_share_url(struct splice *splice, const struct view *run)
{
    char token[UUID_TEXT];
    uuid_write(run->share, token);
    splice_add(splice, STR("\""));
    splice_add(splice, run->origin);
    splice_add(splice, STR("/public/"));
    splice_add(splice, (struct str){token, sizeof token});
    splice_add(splice, STR("/r\""));
}

static void add_error_count(struct splice *splice, const struct view *run)
{
    char digits[24];
    if (!run->totals) {
        splice_add(splice, STR("null"));
        return;
    }
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)run->totals->errors);
    splice_add(splice, (struct str){digits, (size_t)len});
}

static void add_other(struct splice *splice, const struct view *run, enum select select)
{
    switch ((unsigned)select) {
    case SELECT_RUN_TYPE:
        add_upper(splice, run_type_name(run->type));
        return;
    case SELECT_STATUS:
        add_upper(splice, run_status_name(run->status));
        return;
    case SELECT_LATENCY_SECONDS:
    case SELECT_LATENCY:
        add_latency(splice, run);
        return;
    case SELECT_ERROR_PREVIEW:
        add_preview(splice, run->field[RUN_ERROR_TEXT]);
        return;
    case SELECT_IS_ROOT:
        splice_add(splice, uuid_is_zero(run->parent) ? STR("true") : STR("false"));
        return;
    case SELECT_FIRST_TOKEN_TIME:
        add_first_token(splice, run);
        return;
    case SELECT_TOTAL_TOKENS:
        add_used(splice, run, FACTS_TOTAL_TOKENS);
        return;
    case SELECT_PROMPT_TOKENS:
        add_used(splice, run, FACTS_PROMPT_TOKENS);
        return;
    case SELECT_COMPLETION_TOKENS:
        add_used(splice, run, FACTS_COMPLETION_TOKENS);
        return;
    case SELECT_TOTAL_COST:
        add_used(splice, run, FACTS_TOTAL_COST);
        return;
    case SELECT_PROMPT_COST:
        add_used(splice, run, FACTS_PROMPT_COST);
        return;
    case SELECT_COMPLETION_COST:
        add_used(splice, run, FACTS_COMPLETION_COST);
        return;
    case SELECT_PROMPT_TOKEN_DETAILS:
        add_raw(splice, usage_of(run)->prompt_token_details);
        return;
    case SELECT_COMPLETION_TOKEN_DETAILS:
        add_raw(splice, usage_of(run)->completion_token_details);
        return;
    case SELECT_PROMPT_COST_DETAILS:
        add_raw(splice, usage_of(run)->prompt_cost_details);
        return;
    case SELECT_COMPLETION_COST_DETAILS:
        add_raw(splice, usage_of(run)->completion_cost_details);
        return;
    case SELECT_ERROR_COUNT:
        add_error_count(splice, run);
        return;
    case SELECT_ATTACHMENTS:
        add_attachments(splice, run);
        return;
    case SELECT_SHARE_URL:
        add_share_url(splice, run);
        return;
    default: /* what nobody here keeps */
        splice_add(splice, STR("null"));
        return;
    }
}

void render_v2(struct splice *splice, const struct view *run, uint64_t selects)
{
    if (uuid_is_zero(run->share)) /* only of a run that is shared */
        selects &= ~SELECT(SELECT_SHARE_URL);
    char before = '{';
    if (!selects)
        splice_add(splice, STR("{"));
    for (unsigned s = 0; s < SELECTS; s++) {
        if (!(selects & SELECT(s)))
            continue;
        splice_add(splice, (struct str){&before, 1});
        before = ',';
        splice_add(splice, STR("\""));
        splice_add(splice, members[s].key);
        splice_add(splice, STR("\":"));
        if (members[s].same < SHOWS)
            render_value(splice, run, members[s].same);
        else
            add_other(splice, run, (enum select)s);
    }
    splice_add(splice, STR("}"));
}

void render_trace(struct splice *splice, const struct view *run, uint64_t selects)
{
    splice_add(splice, STR("{\"root_run\":"));
    render_v2(splice, run, selects & ~SELECT_OF_TRACE);
    if (selects & SELECT_OF_TRACE) {
        splice_add(splice, STR(",\"trace_aggregates\":"));
        render_v2(splice, run, selects & SELECT_OF_TRACE);
    }
    splice_add(splice, STR("}"));
}
