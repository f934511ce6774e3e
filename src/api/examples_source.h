/* examples_source.h - examples that say `use_source_run_io`: their inputs and outputs are
 * those of the run that `source_run_id` names, unless they say some themselves.
 *
 *   which runs? ⇢ their rows ⇢ read ⇢ the next step
 */
#pragma once

#include "api/examples_store.h"

/* The examples are call->own.  What does not fit is answered; else `next` follows, at once
 * when no example asks for it. */
void examples_source(struct call *call, struct examples *examples, call_step *next);
