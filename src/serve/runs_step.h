/* runs_step.h - the steps of a page whose rows are known: for the files of serve/runs.h.
 *
 * The caller has filled `rows`, `count`, `suffix`, `style` and `shown`.
 *
 *     runs_step()  read the next runs ⇢ fetched()  what was said of them ⇢ remarked()
 *                  what their traces used ⇢ totaled()  render them, answer
 */
#pragma once

#include "serve/runs.h"

void runs_step(struct serve_runs *runs);

/* The next step of one that waits: runs_page.c goes on asking for rows. */
void runs_ask_on(struct serve_runs *runs);

/* How many of the rows make a page that is not over its size; one at least. */
size_t runs_fit(const struct index_row *rows, size_t count);

/* The journey ends here. */
void runs_fail(struct serve_runs *runs, const struct err *err);
void runs_fail_busy(struct serve_runs *runs);
