/* export.c - rundlet export: every stored run, as it was sent.
 *
 * The log is walked, oldest first.  It may hold a run more than once: a batch
 * that was sent again with others in it is stored whole.  The index knows
 * which copy is the run, so the others are left out; a run that the index does
 * not know yet is printed - unless nodes share it: what that does not know was
 * never acknowledged.  Without an index, as in a backup or where damage
 * forbids to make one, all copies are printed: importing them is no harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "command/as_sent.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "index/index.h"
#include "loop/loop.h"
#include "store/containers.h"
#include "store/store.h"
#include "wire/rfc3339.h"

enum { STEP = 1000 /* runs of a record that are looked at together */ };

struct export
{
    struct app *app;     /* NULL: the index cannot be opened */
    struct store *store; /* then; else the app's */
    struct as_sent to;
    bool by_trace;
    struct uuid trace;
    int64_t since_us, until_us;
    uint64_t damaged;
};

/* A time, or a day: its first moment in UTC. */
static bool read_time(const char *option, const char *text, int64_t *us)
{
    char room[40];
    size_t len = strlen(text);
    if (len == 10) {
        len = (size_t)snprintf(room, sizeof room, "%.10sT00:00:00Z", text);
        text = room;
    }
    if (rfc3339_parse((struct str){text, len}, us))
        return true;
    talk("%s %.60s is not a time like 2026-11-23 or 2026-11-23T16:22:43Z", option, text);
    return false;
}

static bool read_args(const struct command_args *args, struct export *export)
{
    const char *trace = command_value(args, "--trace=");
    const char *since = command_value(args, "--since=");
    const char *until = command_value(args, "--until=");
    export->since_us = INT64_MIN;
    export->until_us = INT64_MAX;
    export->to.lines = command_has(args, "--lines");
    export->to.times = command_has(args, "--times");
    if (trace) {
        export->by_trace = true;
        if (!uuid_parse((struct str){trace, strlen(trace)}, &export->trace)) {
            talk("--trace %.60s is not the id of a trace: an id is a UUID", trace);
            return false;
        }
    }
    return (!since || read_time("--since", since, &export->since_us)) &&
           (!until || read_time("--until", until, &export->until_us));
}

static bool wanted(const struct export *export, const struct run *run)
{
    return run->start_us >= export->since_us && run->start_us < export->until_us &&
           (!export->by_trace || uuid_compare(run->trace, export->trace) == 0);
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    struct export *export = context;
    if (!lost)
        return; /* `rundlet verify` tells */
    talk("%.*s: damaged at %llu: %s; left out", STR_FMT(file), (unsigned long long)offset, why);
    export->damaged++;
}

static void leave_out(const struct record *record, struct place first, uint32_t i, const char *why)
{
    char room[CONTAINER_NAME], text[UUID_TEXT];
    struct str file = container_name(first.container, record->parts != NULL, room);
    struct uuid id = record_id(record, i); /* if it can still be believed at all */
    bool known = !uuid_is_zero(id);
    uuid_write(id, text);
    talk("%.*s: run %u%s%.*s: %s; left out", STR_FMT(file), first.ordinal + i, known ? ", " : "",
         known ? UUID_TEXT : 0, text, why);
}

/* Runs [from, from + count) of a record. */
static int print_some(struct export *export, const struct record *record, struct place first,
                      uint32_t from, uint32_t count, struct err *err)
{
    struct arena *arena = arena_new(64 << 10);
    struct run *runs = arena_make(arena, struct run, count);
    struct uuid *ids = arena_make(arena, struct uuid, count);
    struct place *places = arena_make(arena, struct place, count);
    size_t n = 0;
    for (uint32_t i = from; i < from + count; i++) {
        struct err bad = {0};
        if (record_run(record, i, &runs[n], &bad)) {
            leave_out(record, first, i, bad.text);
            export->damaged++;
        } else if (wanted(export, &runs[n])) {
            ids[n] = runs[n].id;
            places[n++] = (struct place){first.container, first.ordinal + i};
        }
    }
    int r = 0;
    for (size_t i = 0; i < n && !export->app; i++)
        as_sent_print(&export->to, &runs[i]);
    if (n > 0 && export->app) {
        struct index_find find = {
            .op = {.loop = local_loop(export->app), .done = loop_wake},
            .ids = ids,
            .count = n,
            .arena = arena,
        };
        export->app->index->ops->find(export->app->index, &find);
        r = loop_wait(&find.op, err);
        for (size_t i = 0; i < n && !r; i++) {
            const struct index_row *row = &find.rows[i];
            bool unknown = !row->found && !export->app->index->shared; /* else it is no run */
            struct place at = row->found ? row->holders[0].place : (struct place){0};
            if (unknown || (row->found && at.container == places[i].container &&
                            at.ordinal == places[i].ordinal))
                as_sent_print(&export->to, &runs[i]);
        }
    }
    arena_free(arena);
    return r;
}

static int visit(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    struct export *export = context;
    (void)sequence;
    int r = 0;
    for (uint32_t i = 0; i < record->count && !r && !export->to.out.sys; i += STEP) {
        uint32_t left = record->count - i;
        r = print_some(export, record, first, i, left < STEP ? left : STEP, err);
    }
    return r ? r : export->to.out.sys ? -1 : 0;
}

static int open_it(struct export *export, const struct config *config, struct err *err)
{
    int r = local_open(config, APP_READ, &export->app, err);
    if (r && !config_is_url(config->objects) && local_log(config, &export->store, NULL) == 0) {
        talk("%s; without it, a run that was stored twice is printed twice", err->text);
        return 0;
    }
    if (!r)
        export->store = export->app->store;
    return r;
}

int command_export(const struct config *config, const struct command_args *args)
{
    struct export export = {0};
    if (!read_args(args, &export))
        return COMMAND_USAGE;
    struct err err = {0};
    int r = open_it(&export, config, &err);
    if (!r)
        r = store_walk(export.store, 0, visit, damaged, &export, &err);
    if (!export.app)
        store_close(export.store);
    app_close(export.app);
    if (r > 0)
        talk("%s", err.text);
    return out_end(&export.to.out, r ? COMMAND_FAILED : export.damaged ? COMMAND_NO : COMMAND_OK);
}
