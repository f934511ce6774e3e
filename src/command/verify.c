/* verify.c - rundlet verify: every stored byte against its checksum.
 *
 * The log is opened by itself and first, so that it can be checked when the
 * index cannot be opened, and so that the index is the newer of the two.
 * Beside a server that may take a moment: the server commits to the index
 * right after it wrote the log.
 *
 * Records behind the index's mark are no damage.  Where no server is, they are
 * what a killed one left, and the next start puts them into the index.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "index/index.h"
#include "loop/loop.h"
#include "store/containers.h"
#include "store/pack_file.h"
#include "store/store.h"
#include "upkeep/lost.h"
#include "wire/json_string.h"

enum { STEP = 1000, TRIES = 10 /* to find the index up to the log */, PAUSE_MS = 200 };

struct verify {
    const struct config *config;
    struct store *store;
    struct app *app; /* for the index; NULL: it cannot be opened, and need not be */
    bool each;       /* look for each run in the index */
    bool served;     /* another process is writing */
    bool packed;     /* the record that is looked at lies in a pack */
    uint64_t mark;   /* up to here the log is in the index */
    struct out out;
    struct progress progress;
    uint64_t records, runs, layers, bytes, copies, behind, damage;
};

static void report(struct verify *verify, struct str file, const char *place, uint64_t at,
                   const struct uuid *id, const char *why)
{
    struct text text = {0};
    text_add(&text, STR("{\"damage\":"));
    json_string_write(&text, (struct str){why, strlen(why)});
    if (file.len) {
        text_add(&text, STR(",\"file\":"));
        json_string_write(&text, file);
        text_addf(&text, ",\"%s\":%" PRIu64, place, at);
    }
    if (id) {
        char hex[UUID_TEXT];
        uuid_write(*id, hex);
        text_addf(&text, ",\"run_id\":\"%.*s\"", UUID_TEXT, hex);
    }
    text_add_char(&text, '}');
    progress_end(&verify->progress);
    out_text(&verify->out, &text);
    verify->damage++;
}

static void report_run(struct verify *verify, struct place place, const struct uuid *id,
                       const char *why)
{
    char room[CONTAINER_NAME];
    report(verify, container_name(place.container, verify->packed, room), "run", place.ordinal, id,
           why);
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    (void)lost; /* damage is damage */
    report(context, file, "offset", offset, NULL, why);
}

static int find(struct verify *verify, const struct uuid *ids, size_t count, struct arena *arena,
                struct index_row **rows, struct err *err)
{
    struct index_find find = {
        .op = {.loop = local_loop(verify->app), .done = loop_wake},
        .ids = ids,
        .count = count,
        .arena = arena,
    };
    verify->app->index->ops->find(verify->app->index, &find);
    int r = loop_wait(&find.op, err);
    *rows = find.rows;
    return r;
}

static void compare(struct verify *verify, const struct uuid *id, struct place place, bool whole,
                    const struct index_row *row)
{
    const struct place at = row->found ? row->holders[0].place : (struct place){0};
    bool elsewhere = at.container != place.container || at.ordinal != place.ordinal;
    bool behind = at.container > place.container ||
                  (at.container == place.container && at.ordinal > place.ordinal);
    if (row->hidden) /* it was deleted */
        return;
    if (row->found && (!whole || row->holder_count > 1))
        return; /* others may hold what it said */
    if (!row->found && verify->app->index->shared)
        verify->behind++; /* it was put, and never acknowledged */
    else if (!row->found)
        report_run(verify, place, id, "the index does not know this run: `rundlet reindex`");
    else if (behind && !store_has_orphans(verify->store))
        report_run(verify, place, id, "the index finds this run elsewhere: `rundlet reindex`");
    else if (elsewhere)
        verify->copies++; /* it was sent before, or this try failed: that is where it is read */
}

/* Runs [from, from + count) of a record. */
static int check_some(struct verify *verify, const struct record *record, struct place first,
                      uint32_t from, uint32_t count, bool find_each, struct err *err)
{
    struct arena *arena = arena_new(64 << 10);
    struct uuid *ids = arena_make(arena, struct uuid, count);
    struct place *places = arena_make(arena, struct place, count);
    bool *whole = arena_make(arena, bool, count);
    struct index_row *rows = NULL;
    size_t n = 0;
    int r = 0;
    for (uint32_t i = from; i < from + count; i++) {
        struct run run;
        struct err bad = {0};
        struct place place = {first.container, first.ordinal + i};
        if (record_run(record, i, &run, &bad)) {
            /* Its id, if it can still be believed at all. */
            struct uuid id = record_id(record, i);
            report_run(verify, place, uuid_is_zero(id) ? NULL : &id, bad.text);
            continue;
        }
        verify->bytes += run.raw.len;
        *(run.kind == RUN_WHOLE ? &verify->runs : &verify->layers) += 1;
        if (run.kind > RUN_PATCH)
            continue; /* it has no row of its own */
        whole[n] = run.kind == RUN_WHOLE;
        ids[n] = run.id;
        places[n++] = place;
    }
    if (find_each && n > 0)
        r = find(verify, ids, n, arena, &rows, err);
    for (size_t i = 0; i < n && rows && !r; i++)
        compare(verify, &ids[i], places[i], whole[i], &rows[i]);
    arena_free(arena);
    return r;
}

static int visit(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    struct verify *verify = context;
    bool indexed = verify->app && sequence <= verify->mark;
    verify->packed = record->parts != NULL;
    verify->records++;
    verify->behind += indexed ? 0 : record->count;
    int r = 0;
    for (uint32_t i = 0; i < record->count && !r; i += STEP) {
        uint32_t left = record->count - i;
        r = check_some(verify, record, first, i, left < STEP ? left : STEP, verify->each && indexed,
                       err);
    }
    progress_show(&verify->progress, "%" PRIu64 " runs, %" PRIu64 " MB", verify->runs,
                  verify->bytes / 1000000);
    return r;
}

static int read_mark(struct verify *verify, struct err *err)
{
    struct index_mark mark = {.op = {.loop = local_loop(verify->app), .done = loop_wake}};
    verify->app->index->ops->mark(verify->app->index, &mark);
    int r = loop_wait(&mark.op, err);
    /* One that nodes share follows nothing. */
    verify->mark = verify->app->index->shared ? UINT64_MAX : mark.sequence;
    return r;
}

static int open_index(struct verify *verify, struct err *err)
{
    struct store_sizes size;
    store_sizes(verify->store, &size);
    for (int try = 1;; try++) {
        int r = local_open(verify->config, APP_READ, &verify->app, err);
        if (!r)
            r = read_mark(verify, err);
        if (r || !verify->served || verify->mark >= size.last_sequence || try == TRIES)
            return r;
        app_close(verify->app);
        verify->app = NULL;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
}

static void gone(void *context, uint64_t container)
{
    char room[CONTAINER_NAME];
    report(context, container_name(container, true, room), "run", 0, NULL,
           "rows lead to this object, and it is gone: its runs are lost; `rundlet gc --rows` takes "
           "out their rows");
}

static int check_objects(struct verify *verify, struct err *err)
{
    struct lost sweep = {
        .store = verify->store,
        .index = verify->app->index,
        .loop = local_loop(verify->app),
        .look_only = true,
        .found = gone,
        .context = verify,
    };
    return lost(&sweep, err);
}

/* A row that is of no run of the log.  Beside a server the index is newer than
 * the log we look at, and damaged runs still have their rows. */
static void compare_counts(struct verify *verify)
{
    uint64_t rows = verify->app->index->ops->runs(verify->app->index);
    uint64_t runs = verify->runs - verify->copies + verify->layers;
    bool newer = verify->served || verify->app->index->shared;
    if (newer || verify->damage || rows <= runs)
        return;
    struct text why = {0};
    text_addf(&why, "the index has %" PRIu64 " runs that the log has not: `rundlet reindex`",
              rows - runs);
    text_add_char(&why, '\0');
    report(verify, (struct str){0}, "", 0, NULL, why.at);
    text_free(&why);
}

/* What no walk of the records needs. */
static void check_rest(struct verify *verify, struct pack_file *file)
{
    char room[CONTAINER_NAME];
    struct err bad = {0};
    struct str name = container_name(file->number, true, room);
    uint64_t traces_at = file->pack->sections[PACK_TRACES].at;
    if (pack_file_head(file, &bad) == ERR_CORRUPT)
        damaged(verify, name, 0, bad.text, false);
    if (pack_file_load(file, PACK_TRACES, &bad) == 0 && file->pack->rebuilt[0])
        damaged(verify, name, traces_at, file->pack->rebuilt, false);
}

/* A pack that cannot be opened, or not without being made anew, was told of. */
static int check_packs(struct verify *verify, struct err *err)
{
    struct text segments = {0}, packs = {0};
    struct containers list = {0};
    text_addf(&segments, "%s/segments", verify->config->data);
    text_addf(&packs, "%s/packs", verify->config->data);
    int r = containers_list(text_str(&segments), text_str(&packs), &list, err);
    for (size_t i = 0; i < list.count && !r; i++) {
        struct pack_file file;
        if (!list.at[i].pack || pack_file_open(&disk_real, text_str(&packs), list.at[i].number,
                                               PACK_STRICT, &file, NULL))
            continue;
        check_rest(verify, &file);
        pack_file_close(&file);
    }
    containers_free(&list);
    text_free(&segments);
    text_free(&packs);
    return r;
}

static int check(struct verify *verify, struct err *err)
{
    bool bucket = config_is_url(verify->config->objects);
    int r = local_store(verify->config, &verify->app, &verify->store, err);
    if (!r && bucket)
        r = read_mark(verify, err);
    else if (!r && open_index(verify, err)) {
        if (verify->each)
            r = err_wrap(err, "with the index");
        else
            talk("the index was not looked at: %s", err->text);
        app_close(verify->app);
        verify->app = NULL;
    }
    if (!r)
        r = store_walk(verify->store, 0, visit, damaged, verify, err);
    if (!r && !bucket)
        r = check_packs(verify, err);
    if (!r && verify->app && verify->app->index->shared)
        r = check_objects(verify, err);
    if (!r && verify->app)
        compare_counts(verify);
    if (r == ERR_CORRUPT) { /* so bad that it cannot be opened */
        report(verify, (struct str){0}, "", 0, NULL, err->text);
        r = 0;
    }
    return r;
}

static void print_sums(struct verify *verify)
{
    struct text text = {0};
    text_addf(&text,
              "{\"records\":%" PRIu64 ",\"runs\":%" PRIu64 ",\"layers\":%" PRIu64
              ",\"bytes\":%" PRIu64 ",\"not_indexed\":",
              verify->records, verify->runs, verify->layers, verify->bytes);
    if (verify->app)
        text_addf(&text, "%" PRIu64, verify->behind);
    else
        text_add(&text, STR("null"));
    text_addf(&text, ",\"damaged\":%" PRIu64 "}", verify->damage);
    out_text(&verify->out, &text);
}

int command_verify(const struct config *config, const struct command_args *args)
{
    char room[256];
    struct err err = {0};
    struct verify verify = {
        .config = config,
        .each = command_has(args, "--rows"),
        .served = app_holder(config, room, sizeof room).len > 0,
    };
    progress_start(&verify.progress);
    int r = check(&verify, &err);
    progress_end(&verify.progress);
    if (r)
        talk("%s", err.text);
    else
        print_sums(&verify);
    if (!verify.app || verify.app->store != verify.store)
        store_close(verify.store);
    app_close(verify.app);
    return out_end(&verify.out, r ? COMMAND_FAILED : verify.damage ? COMMAND_NO : COMMAND_OK);
}
