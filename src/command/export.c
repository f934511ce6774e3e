/* export.c - rundlet export: every stored run, as it was sent.
 *
 * The log is walked, oldest first.  It may hold a run more than once: a batch
 * that was sent again with others in it is stored whole; and a run may have come in
 * layers.  The index knows what holds a run: it is printed where the first of its
 * holders lies, as it was sent, or put together from them.  One that the index does
 * not know yet is printed - unless nodes share it: what that does not know was
 * never acknowledged.  What was deleted is not.  Without an index, as in a backup or
 * where damage forbids to make one, all copies are printed (importing them is no harm),
 * and layers cannot be.
 */
#include <inttypes.h>
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
#include "run/render.h"
#include "serve/fetch.h"
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
    uint64_t apart;  /* layers that nothing puts together */
    uint64_t beside; /* attachments and entities, which are no runs */
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

static bool wanted(const struct export *export, int64_t start_us, struct uuid trace)
{
    return start_us >= export->since_us && start_us < export->until_us &&
           (!export->by_trace || uuid_compare(trace, export->trace) == 0);
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

/* As it lies there; nobody knows more of it. */
static void print_alone(struct export *export, const struct run *run)
{
    if (run->kind != RUN_WHOLE)
        export->apart++;
    else if (wanted(export, run->start_us, run->trace))
        as_sent_print(&export->to, run);
}

static int print_together(struct export *export, const struct index_row *row, struct err *err)
{
    struct arena *arena = arena_new(64 << 10);
    struct fetch fetch = {
        .op = {.loop = local_loop(export->app), .done = loop_wake},
        .store = export->store,
        .rows = row,
        .count = 1,
        .fields = SHOW_ALL,
        .arena = arena,
    };
    fetch_runs(&fetch);
    int r = loop_wait(&fetch.op, err);
    if (r == 0) {
        as_sent_together(&export->to, &fetch.views[0], arena);
    } else if (r == ERR_CORRUPT) { /* the walk has told of the layer */
        export->damaged++;
        r = 0;
    }
    arena_free(arena);
    return r;
}

/* Does the first of what holds the run lie here? */
static bool begins_here(const struct index_row *row, struct place here)
{
    struct place first = row->holders[0].place;
    for (unsigned i = 1; i < row->holder_count; i++) {
        struct place at = row->holders[i].place;
        if (at.container < first.container ||
            (at.container == first.container && at.ordinal < first.ordinal))
            first = at;
    }
    return first.container == here.container && first.ordinal == here.ordinal;
}

static int print_known(struct export *export, const struct index_row *row, const struct run *run,
                       struct place place, struct err *err)
{
    if (!row->found) {
        if (!row->hidden && !export->app->index->shared) /* else it is no run */
            print_alone(export, run);
        return 0;
    }
    if (!begins_here(row, place) || !wanted(export, row->start_us, row->trace))
        return 0;
    if (row->holder_count > 1 || run->kind != RUN_WHOLE)
        return print_together(export, row, err);
    as_sent_print(&export->to, run);
    return 0;
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
        } else if (runs[n].kind > RUN_PATCH) {
            export->beside++;
        } else {
            ids[n] = runs[n].id;
            places[n++] = (struct place){first.container, first.ordinal + i};
        }
    }
    int r = 0;
    for (size_t i = 0; i < n && !export->app; i++)
        print_alone(export, &runs[i]);
    if (n > 0 && export->app) {
        struct index_find find = {
            .op = {.loop = local_loop(export->app), .done = loop_wake},
            .ids = ids,
            .count = n,
            .arena = arena,
        };
        export->app->index->ops->find(export->app->index, &find);
        r = loop_wait(&find.op, err);
        for (size_t i = 0; i < n && !r; i++)
            r = print_known(export, &find.rows[i], &runs[i], places[i], err);
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
    if (export.apart > 0)
        talk("%" PRIu64 " posts and patches are left out: without the index nothing says which "
             "belong together",
             export.apart);
    if (export.beside > 0)
        talk("%" PRIu64 " attachments, projects, feedback and the like are left out, which are no "
             "runs: `rundlet backup` and `rundlet move` take them along",
             export.beside);
    return out_end(&export.to.out, r ? COMMAND_FAILED : export.damaged ? COMMAND_NO : COMMAND_OK);
}
