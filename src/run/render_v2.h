/* render_v2.h - a run as v2 of the LangSmith API shows it.
 *
 * A client selects what it wants by upper-case names; the members of the answer have the
 * same names in lower case, and what was not selected is not there.
 *
 * Sources  docs/langsmith.md
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

struct splice;
struct view;

enum select {
    SELECT_ID,
    SELECT_NAME,
    SELECT_RUN_TYPE,
    SELECT_STATUS,
    SELECT_START_TIME,
    SELECT_END_TIME,
    SELECT_LATENCY_SECONDS,
    SELECT_FIRST_TOKEN_TIME,
    SELECT_ERROR,
    SELECT_ERROR_PREVIEW,
    SELECT_EXTRA,
    SELECT_METADATA,
    SELECT_EVENTS,
    SELECT_INPUTS,
    SELECT_INPUTS_PREVIEW,
    SELECT_OUTPUTS,
    SELECT_OUTPUTS_PREVIEW,
    SELECT_MANIFEST,
    SELECT_PARENT_RUN_ID,
    SELECT_PARENT_RUN_IDS,
    SELECT_PROJECT_ID,
    SELECT_TRACE_ID,
    SELECT_THREAD_ID,
    SELECT_DOTTED_ORDER,
    SELECT_IS_ROOT,
    SELECT_REFERENCE_EXAMPLE_ID,
    SELECT_REFERENCE_DATASET_ID,
    SELECT_TOTAL_TOKENS,
    SELECT_PROMPT_TOKENS,
    SELECT_COMPLETION_TOKENS,
    SELECT_TOTAL_COST,
    SELECT_PROMPT_COST,
    SELECT_COMPLETION_COST,
    SELECT_PROMPT_TOKEN_DETAILS,
    SELECT_COMPLETION_TOKEN_DETAILS,
    SELECT_PROMPT_COST_DETAILS,
    SELECT_COMPLETION_COST_DETAILS,
    SELECT_PRICE_MODEL_ID,
    SELECT_TAGS,
    SELECT_APP_PATH,
    SELECT_ATTACHMENTS,
    SELECT_THREAD_EVALUATION_TIME,
    SELECT_IS_IN_DATASET,
    SELECT_SHARE_URL,
    SELECT_FEEDBACK_STATS,
    SELECT_LAST_QUEUED_AT,
    SELECT_LS_USER_ID,
    /* Of the traces of a thread only. */
    SELECT_LATENCY,
    SELECT_OP,
    SELECT_TURN_NUMBER,
    /* Of the tops of traces only: how many of all runs failed.  Ours. */
    SELECT_ERROR_COUNT,
    SELECTS
};

#define SELECT(name) (UINT64_C(1) << (name))

/* What is said of all the runs of a trace together, where view->totals is there, ... */
#define SELECT_OF_USAGE                                                                            \
    (SELECT(SELECT_TOTAL_TOKENS) | SELECT(SELECT_PROMPT_TOKENS) |                                  \
     SELECT(SELECT_COMPLETION_TOKENS) | SELECT(SELECT_TOTAL_COST) | SELECT(SELECT_PROMPT_COST) |   \
     SELECT(SELECT_COMPLETION_COST) | SELECT(SELECT_FIRST_TOKEN_TIME) |                            \
     SELECT(SELECT_ERROR_COUNT))
/* ... and what of that stands beside the top of it. */
#define SELECT_OF_TRACE                                                                            \
    (SELECT(SELECT_TOTAL_TOKENS) | SELECT(SELECT_TOTAL_COST) | SELECT(SELECT_FIRST_TOKEN_TIME) |   \
     SELECT(SELECT_ERROR_COUNT))

/* "START_TIME", in any case; SELECTS for a name nobody knows. */
enum select select_named(struct str name);

/* What of a run is needed to show these: bits of enum show (run/render.h). */
uint64_t select_needs(uint64_t selects);

/* {"id":...}: those selected, in the order above. */
void render_v2(struct splice *splice, const struct view *run, uint64_t selects);

/* The top of a trace, and what is said of all its runs beside it. */
void render_trace(struct splice *splice, const struct view *run, uint64_t selects);
