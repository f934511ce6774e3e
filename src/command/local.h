/* local.h - the data directory, opened for one command; and waiting for it.
 *
 * A command has no loop that serves: it asks one thing, and turns its loop
 * until that is answered.
 *
 * Threads  the main thread, which is the loop's
 */
#pragma once

#include "app.h"
#include "base/err.h"
#include "loop/op.h"

struct config;
struct loop;
struct store;

/* ERR_NOT_FOUND, and the way out of it, when that is no directory to read from. */
int local_open(const struct config *config, enum app_use use, struct app **result, struct err *err);

/* Only its log, to read: when the index cannot be opened, or is not to be. */
int local_log(const struct config *config, struct store **result, struct err *err);

/* What runs are stored in, to read: a log needs no index for that, a bucket is
 * opened with it.  NULL in `*app`: the store is the caller's to close. */
int local_store(const struct config *config, struct app **app, struct store **store,
                struct err *err);

/* ERR_INVALID, and what to do instead, when the runs are not in DATA. */
int local_only(const struct config *config, const char *command, struct err *err);

/* To ask on; what is asked is waited for with loop_wait(). */
struct loop *local_loop(const struct app *app);
