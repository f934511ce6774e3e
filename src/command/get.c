/* get.c - rundlet get: one run, or one of its fields. */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/uuid.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "loop/loop.h"
#include "run/render.h"
#include "serve/encode.h"
#include "serve/get.h"

/* What is asked for; false when that is nothing there is. */
static bool read_args(const struct command_args *args, struct serve_get *get)
{
    const char *id = args->words[0];
    if (!uuid_parse((struct str){id, strlen(id)}, &get->id)) {
        talk("%.60s is not the id of a run: an id is a UUID", id);
        return false;
    }
    const char *field = command_value(args, "--field=");
    const char *fields = command_value(args, "--fields=");
    get->only = SHOWS;
    get->fields = SHOW_ALL;
    if (field && fields) {
        talk("--field gives one field's bytes, --fields some fields of the run: choose one");
        return false;
    }
    if (field) {
        get->only = show_named((struct str){field, strlen(field)});
        if (get->only != SHOW_INPUTS && get->only != SHOW_OUTPUTS && get->only != SHOW_METADATA) {
            talk("--field is inputs, outputs or metadata, not %.60s; --fields selects others",
                 field);
            return false;
        }
    }
    if (!fields)
        return true;
    get->fields = SHOW(SHOW_ID);
    for (const char *at = fields;; at++) {
        size_t len = strcspn(at, ",");
        enum show show = show_named((struct str){at, len});
        if (show == SHOWS) {
            talk("a run has no field %.*s", len < 60 ? (int)len : 60, at);
            return false;
        }
        get->fields |= SHOW(show);
        at += len;
        if (*at == '\0')
            return true;
    }
}

static void print(struct out *out, struct serve_get *get)
{
    if (get->whole) {
        out_add(out, encoded_body(get->whole));
        get->whole = buf_unref(get->whole);
    } else {
        out_splice(out, &get->splice);
    }
    if (get->only == SHOWS)
        out_add(out, STR("\n"));
}

int command_get(const struct config *config, const struct command_args *args)
{
    struct serve_get get = {0};
    if (!read_args(args, &get))
        return COMMAND_USAGE;

    struct err err = {0};
    struct app *app = NULL;
    struct out out = {0};
    struct arena *arena = arena_new(4096);
    int status = COMMAND_FAILED;
    if (local_open(config, APP_READ, &app, &err)) {
        talk("%s", err.text);
        goto out;
    }
    get.op = (struct op){.loop = local_loop(app), .done = loop_wake};
    get.serve = &app->serve;
    get.coding = CODING_IDENTITY;
    get.arena = arena;
    serve_get(&get);
    int r = loop_wait(&get.op, &err);
    if (r == ERR_NOT_FOUND) {
        char where[256];
        config_show_place(config_is_url(config->objects) ? config->objects : config->data, where,
                          sizeof where);
        talk("there is no run %.60s in %.100s", args->words[0], where);
        status = COMMAND_NO;
    } else if (r) {
        talk("%s", err.text);
    } else {
        print(&out, &get);
        status = COMMAND_OK;
    }

out:
    arena_free(arena);
    app_close(app);
    return out_end(&out, status);
}
