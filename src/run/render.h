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
#include "run/run.h"

struct splice;

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
    SHOWS
};

#define SHOW_ALL ((UINT32_C(1) << SHOWS) - 1)

/* Part of every entity tag: whoever changes what is rendered changes it too. */
enum { RENDER_VERSION = 1 };

/* The field of that name; SHOWS for a name nobody knows. */
enum show show_named(struct str name);

/* {"id":...}: the fields whose bit is set in `fields`, in the order above. */
void render_run(struct splice *splice, const struct run *run, uint32_t fields);

/* One field's bytes, as sent, or what stands for it: SHOW_INPUTS, SHOW_OUTPUTS,
 * SHOW_METADATA. */
struct str render_field(const struct run *run, enum show field);
