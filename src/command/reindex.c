/* reindex.c - rundlet reindex: the index anew, from the log (app.h, APP_REBUILD). */
#include <inttypes.h>
#include <unistd.h>

#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"

/* An empty directory would be made into one. */
static int has_segments(const struct config *config, struct err *err)
{
    struct text path = {0};
    text_addf(&path, "%s/segments", config->data);
    text_add_char(&path, '\0');
    int r =
        access(path.at, F_OK) == 0
            ? 0
            : err_set(err, ERR_NOT_FOUND,
                      "%.100s has no segments to build an index from: is it the data directory?",
                      config->data);
    text_free(&path);
    return r;
}

int command_reindex(const struct config *config, const struct command_args *args)
{
    (void)args;
    struct err err = {0};
    struct app *app = NULL;
    struct progress progress;
    struct out out = {0};
    progress_start(&progress);
    int r = config_is_url(config->objects) ? 0 : has_segments(config, &err);
    char from[256];
    config_show_place(config_is_url(config->objects) ? config->objects : config->data, from,
                      sizeof from);
    progress_show(&progress, "building the index of %s", from);
    if (!r)
        r = local_open(config, APP_REBUILD, &app, &err);
    progress_end(&progress);
    if (r) {
        talk("%s", err.text);
        return COMMAND_FAILED;
    }
    struct text text = {0};
    text_addf(&text, "{\"runs\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"lost\":%" PRIu64 "}",
              app->recovered_runs, app->refused_runs, app->lost_runs);
    out_text(&out, &text);
    bool damaged = app->damaged, refused = app->refused_runs > 0;
    if (refused)
        talk("runs that were stored twice with different content are in the index once; the log "
             "above names one of each batch");
    if (damaged)
        talk("what is damaged is not in the index; `rundlet verify` names it");
    app_close(app);
    return out_end(&out, damaged || refused ? COMMAND_NO : COMMAND_OK);
}
