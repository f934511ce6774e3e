/* export.c - rundlet export: every stored run, as it was sent.
 *
 * The log is walked, oldest first.  It may hold a run more than once: a batch
 * that was sent again with others in it is stored whole.  The index knows
 * which copy is the run, so the others are left out; a run that the index does
 * not know yet is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "index/index.h"
#include "store/store.h"
#include "wire/rfc3339.h"

enum { STEP = 1000 /* runs of a record that are looked at together */ };

struct export
{
    struct app *app;
    struct out out;
    bool by_trace, lines, times;
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
    export->lines = command_has(args, "--lines");
    export->times = command_has(args, "--times");
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

static void add(struct export *export, struct str json)
{
    if (export->lines)
        out_add_one_line(&export->out, json);
    else
        out_add(&export->out, json);
}

static void add_time(struct export *export, struct str name, int64_t us)
{
    char time[RFC3339_SIZE];
    add(export, STR("\""));
    add(export, name);
    add(export, STR("\":\""));
    add(export, rfc3339_write(us, time));
    add(export, STR("\","));
}

/* The members behind the opening brace; before them, with --times, the times
 * that were not sent. */
static void add_members(struct export *export, const struct run *run, struct str members)
{
    if (export->times && !run_field(run, RUN_START_TIME).at)
        add_time(export, run_field_name(RUN_START_TIME), run->start_us);
    if (export->times && !run_field(run, RUN_END_TIME).at)
        add_time(export, run_field_name(RUN_END_TIME), run->end_us);
    add(export, members);
}

/* The object as sent; with the id in front when none was sent, or in the place
 * of a null. */
static void print(struct export *export, const struct run *run)
{
    char text[] = "{\"id\":\"00000000-0000-0000-0000-000000000000\",";
    struct str id = run_field(run, RUN_ID), raw = run->raw;
    uuid_write(run->id, text + strlen("{\"id\":\""));
    if (!id.at) {
        add(export, (struct str){text, sizeof text - 1});
        add_members(export, run, (struct str){raw.at + 1, raw.len - 1});
    } else if (id.at[0] == '"') {
        add(export, STR("{"));
        add_members(export, run, (struct str){raw.at + 1, raw.len - 1});
    } else {
        size_t before = (size_t)(id.at - raw.at), quoted = UUID_TEXT + 2;
        add(export, STR("{"));
        add_members(export, run, (struct str){raw.at + 1, before - 1});
        add(export, (struct str){text + strlen("{\"id\":"), quoted});
        add(export, (struct str){id.at + id.len, raw.len - before - id.len});
    }
    out_add(&export->out, STR("\n"));
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    struct export *export = context;
    if (!lost)
        return; /* `rundlet verify` tells */
    talk("%.*s: damaged at %llu: %s; left out", STR_FMT(file), (unsigned long long)offset, why);
    export->damaged++;
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
            talk("%016llx.seg: run %u: %s; left out", (unsigned long long)first.container,
                 first.ordinal + i, bad.text);
            export->damaged++;
        } else if (wanted(export, &runs[n])) {
            ids[n] = runs[n].id;
            places[n++] = (struct place){first.container, first.ordinal + i};
        }
    }
    int r = 0;
    if (n > 0) {
        struct index_find find = {
            .op = {.loop = local_loop(export->app), .done = local_done},
            .ids = ids,
            .count = n,
            .arena = arena,
        };
        export->app->index->ops->find(export->app->index, &find);
        r = local_wait(&find.op, err);
        for (size_t i = 0; i < n && !r; i++) {
            const struct index_row *row = &find.rows[i];
            if (!row->found || (row->place.container == places[i].container &&
                                row->place.ordinal == places[i].ordinal))
                print(export, &runs[i]);
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
    for (uint32_t i = 0; i < record->count && !r && !export->out.sys; i += STEP) {
        uint32_t left = record->count - i;
        r = print_some(export, record, first, i, left < STEP ? left : STEP, err);
    }
    return r ? r : export->out.sys ? -1 : 0;
}

int command_export(const struct config *config, const struct command_args *args)
{
    struct export export = {0};
    if (!read_args(args, &export))
        return COMMAND_USAGE;
    struct err err = {0};
    int r = local_open(config, APP_READ, &export.app, &err);
    if (!r)
        r = store_walk(export.app->store, 0, visit, damaged, &export, &err);
    app_close(export.app);
    if (r > 0)
        talk("%s", err.text);
    return out_end(&export.out, r ? COMMAND_FAILED : export.damaged ? COMMAND_NO : COMMAND_OK);
}
