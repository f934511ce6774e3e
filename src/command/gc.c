/* gc.c - rundlet gc: see upkeep/gc.h, upkeep/lost.h. */
#include "upkeep/gc.h"

#include <inttypes.h>

#include "backends.h"
#include "base/clock.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "upkeep/lost.h"

static int objects(const struct config *config, struct app *app, bool look_only, struct text *sums,
                   struct err *err)
{
    struct gc sweep = {
        .store = app->store,
        .index = app->index,
        .loop = local_loop(app),
        .before_us = clock_now_us() - (int64_t)config->gc_grace_ms * 1000,
        .look_only = look_only,
    };
    int r = gc(&sweep, err);
    text_addf(sums, "{\"objects\":%" PRIu64 ",\"orphans\":%" PRIu64 ",\"removed\":%" PRIu64 "}",
              sweep.objects, sweep.orphans, sweep.removed);
    return r;
}

static int rows(struct app *app, bool look_only, struct text *sums, struct err *err)
{
    struct lost sweep = {
        .store = app->store,
        .index = app->index,
        .loop = local_loop(app),
        .look_only = look_only,
    };
    int r = lost(&sweep, err);
    text_addf(sums, "{\"objects\":%" PRIu64 ",\"gone\":%" PRIu64 ",\"runs\":%" PRIu64 "}",
              sweep.containers, sweep.gone, sweep.runs);
    return r;
}

int command_gc(const struct config *config, const struct command_args *args)
{
    struct err err = {0};
    struct app *app = NULL;
    struct out out = {0};
    if (!backends_shared(config)) {
        talk(
            "gc is for objects=s3://... with index=postgres://...: elsewhere nothing is left over");
        return COMMAND_USAGE;
    }
    bool look_only = command_has(args, "--look");
    struct text sums = {0};
    int r = local_open(config, APP_READ, &app, &err);
    if (!r && command_has(args, "--rows"))
        r = rows(app, look_only, &sums, &err);
    else if (!r)
        r = objects(config, app, look_only, &sums, &err);
    app_close(app);
    if (r) {
        text_free(&sums);
        talk("%s", err.text);
        return COMMAND_FAILED;
    }
    out_text(&out, &sums);
    return out_end(&out, COMMAND_OK);
}
