/* render.h - a run as the API shows it: one representation for every reader.
 *
 * What the client sent is spliced in as it was sent; only what it did not send
 * is written by us.  The native fields come first, in the order of the native
 * API; the others follow with the names that LangSmith gives them.
 *
 * Sources  docs/openapi.json, Run
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct splice;
struct view;

enum show {
    SHOW_ID,
    SHOW_TRACE_ID,
    SHOW_NAME,
    SHOW_INPUTS,
    SHOW_OUTPUTS,
    SHOW_METADATA,
    SHOW_RUN_TYPE,
    SHOW_STATUS,
    SHOW_START_TIME,
    SHOW_END_TIME,
    SHOW_ERROR,
    SHOW_EXTRA,
    SHOW_EVENTS,
    SHOW_TAGS,
    SHOW_SERIALIZED,
    SHOW_PARENT_RUN_ID,
    SHOW_PARENT_RUN_IDS,
    SHOW_DOTTED_ORDER,
    SHOW_SESSION_NAME,
    SHOW_SESSION_ID,
    SHOW_REFERENCE_EXAMPLE_ID,
    /* Derived by us; LangSmith's names. */
    SHOW_APP_PATH,
    SHOW_PROMPT_TOKENS,
    SHOW_COMPLETION_TOKENS,
    SHOW_TOTAL_TOKENS,
    SHOW_PROMPT_TOKEN_DETAILS,
    SHOW_COMPLETION_TOKEN_DETAILS,
    SHOW_PROMPT_COST,
    SHOW_COMPLETION_COST,
    SHOW_TOTAL_COST,
    SHOW_PROMPT_COST_DETAILS,
    SHOW_COMPLETION_COST_DETAILS,
    SHOW_FIRST_TOKEN_TIME,
    SHOW_THREAD_ID,
    SHOW_INPUTS_PREVIEW,
    SHOW_OUTPUTS_PREVIEW,
    SHOW_FEEDBACK_STATS,
    SHOW_SHARE_TOKEN,
    SHOW_CHILD_RUN_IDS,
    SHOW_DIRECT_CHILD_RUN_IDS,
    SHOW_MANIFEST_ID,
    SHOW_IN_DATASET,
    SHOW_S3_URLS,
    SHOWS
};

#define SHOW(field) (UINT64_C(1) << (field))
#define SHOW_ALL (SHOW(SHOWS) - 1)

/* Which need the facts of the row, and which its entities. */
#define SHOW_OF_FACTS ((SHOW(SHOW_THREAD_ID + 3) - SHOW(SHOW_PROMPT_TOKENS)) | SHOW(SHOW_S3_URLS))
#define SHOW_OF_ENTITIES (SHOW(SHOW_FEEDBACK_STATS) | SHOW(SHOW_SHARE_TOKEN))

/* Fields of a run's layers (bit f: enum run_field f) that are needed to show these. */
uint32_t render_reads(uint64_t fields);

/* Part of every entity tag: whoever changes what is rendered changes it too. */
enum { RENDER_VERSION = 3 };

/* The tenant that paths of the web page name; there is one. */
#define RENDER_TENANT "00000000-0000-4000-8000-000000000000"

/* The field of that name; SHOWS for a name nobody knows. */
enum show show_named(struct str name);

/* {"id":...}: the fields whose bit is set in `fields`, in the order above. */
void render_run(struct splice *splice, const struct view *run, uint64_t fields);

/* One member's value. */
void render_value(struct splice *splice, const struct view *run, enum show field);

/* One field's bytes, as sent, or what stands for it: SHOW_INPUTS, SHOW_OUTPUTS,
 * SHOW_METADATA. */
struct str render_field(const struct view *run, enum show field);
