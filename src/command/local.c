/* local.c - see local.h. */
#include "command/local.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "backends.h"
#include "base/text.h"
#include "config.h"
#include "loop/loop.h"
#include "store/store.h"

int local_open(const struct config *config, enum app_use use, struct app **result, struct err *err)
{
    struct text segments = {0};
    text_addf(&segments, "%s/segments", config->data);
    text_add_char(&segments, '\0');
    bool there = access(segments.at, F_OK) == 0 || errno != ENOENT;
    text_free(&segments);
    if (use == APP_READ && !there && !config_is_url(config->objects))
        return err_set(err, ERR_NOT_FOUND,
                       "%.100s holds no runs: name the directory that does with --data",
                       config->data);
    return app_open(config, use, 1, result, err);
}

int local_log(const struct config *config, struct store **result, struct err *err)
{
    struct text segments = {0}, packs = {0};
    text_addf(&segments, "%s/segments", config->data);
    text_addf(&packs, "%s/packs", config->data);
    int r = store_log_open(
        &(struct store_log_config){
            .dir = text_str(&segments),
            .packs = text_str(&packs),
            .disk = &disk_real,
            .segment_size = config->segment_size,
            .read_only = true,
            .durable_sequence = backends_index_mark(config),
        },
        result, err);
    text_free(&segments);
    text_free(&packs);
    return r;
}

int local_store(const struct config *config, struct app **app, struct store **store,
                struct err *err)
{
    if (!config_is_url(config->objects))
        return local_log(config, store, err);
    int r = local_open(config, APP_READ, app, err);
    if (!r)
        *store = (*app)->store;
    return r;
}

int local_only(const struct config *config, const char *command, struct err *err)
{
    if (!config_is_url(config->objects))
        return 0;
    return err_set(err, ERR_INVALID,
                   "%s is for runs kept in a data directory, and objects names a bucket: see "
                   "docs/scaling.md for what to do with one",
                   command);
}

struct loop *local_loop(const struct app *app)
{
    return app->loops[0];
}
