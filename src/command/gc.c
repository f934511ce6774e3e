/* gc.c - rundlet gc: see upkeep/gc.h. */
#include "upkeep/gc.h"

#include <inttypes.h>

#include "backends.h"
#include "base/clock.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"

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
    int r = local_open(config, APP_READ, &app, &err);
    struct gc sweep = {
        .before_us = clock_now_us() - (int64_t)config->gc_grace_ms * 1000,
        .look_only = command_has(args, "--look"),
    };
    if (!r) {
        sweep.store = app->store;
        sweep.index = app->index;
        sweep.loop = local_loop(app);
        r = gc(&sweep, &err);
    }
    app_close(app);
    if (r) {
        talk("%s", err.text);
        return COMMAND_FAILED;
    }
    struct text text = {0};
    text_addf(&text, "{\"objects\":%" PRIu64 ",\"orphans\":%" PRIu64 ",\"removed\":%" PRIu64 "}",
              sweep.objects, sweep.orphans, sweep.removed);
    out_text(&out, &text);
    return out_end(&out, COMMAND_OK);
}
