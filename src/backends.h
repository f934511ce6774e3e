/* backends.h - store, index and cache, as the settings name them.
 *
 * Threads  the main thread, before any loop runs
 * Errors   those of the back ends; ERR_INVALID a URL that says too little or too much
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct app;
struct config;

/* What keeps everything in DATA needs the directory, its lock and its id. */
bool backends_need_data(const struct config *config);

/* One log and an index beside it, or a bucket and whoever shares it: the index may
 * be written by other nodes too. */
bool backends_shared(const struct config *config);

/* In this order. */
int backends_open_store(struct app *app, struct err *err);
int backends_open_index(struct app *app, struct err *err);
int backends_open_cache(struct app *app, struct err *err);

/* How far SQLite's index, as it is, has had the log; 0 when it cannot be read. */
uint64_t backends_index_mark(const struct config *config);
