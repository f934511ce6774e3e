/* powercut.c - the plug is pulled: is everything there that was acknowledged?
 *
 *     powercut [states] [seed]        60 states by default
 *
 * Batches are committed as the server commits them (ingest/commit.h), and their
 * segments sealed meanwhile as the server seals them (upkeep/upkeep.h), over a
 * log and a SQLite index of which every write, sync, change of size and change
 * of a name is recorded (lib/recorder.h).  Then for cut points all over the
 * recording, most of them near a sync or a change of a name, a directory is made
 * as a power cut there may leave it, and a child process opens it, recovers and
 * looks:
 *
 *   - what is named as a pack is whole, to the last block
 *   - what was in a segment that has been removed, the index had
 *   - a batch that was acknowledged before the cut is there, byte for byte
 *   - any other batch is there whole or not at all, and no batch is there after
 *     one that is not
 *   - of a batch that was answered as a conflict nothing is there
 *   - runs that came in layers, of which there are few that change again and again, are
 *     what the layers in the log make of them in memory
 *   - the log can be walked from end to end
 *   - nothing is left of a sealing that was under way, and in the end every
 *     segment is sealed and removed
 *   - writing goes on: a retry is a duplicate, a new batch is stored, and after
 *     closing and opening again all of it is there
 *
 * One of the states is where the next recording begins, so that recovery is
 * itself recorded and cut.  In every other one the process also ends
 * between giving packs their names and syncing the directory, and starts again.
 */
#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/log.h"
#include "index/index.h"
#include "ingest/commit.h"
#include "ingest/recover.h"
#include "lib/layer_tale.h"
#include "lib/recorder.h"
#include "loop/loop.h"
#include "run/batch.h"
#include "store/pack_file.h"
#include "store/seal.h"
#include "store/segment.h"
#include "store/store.h"
#include "upkeep/upkeep.h"

enum {
    ROUNDS = 4,      /* recordings, each beginning where the one before was cut */
    SENT = 200,      /* batches in one of them */
    WINDOW = 12,     /* most batches under way at once */
    LAYERS = 35,     /* percent of them that are layers */
    CHECKPOINT = 25, /* one answer in so many is followed by a checkpoint of the WAL */
    SENT_MAX = ROUNDS * SENT + 64,
    SEGMENT = 256 << 10, /* small, so that files are changed and sealed often */
    IDLE_MS = 4,         /* nothing came for so long: the segment is sealed as it is */
    PAUSE = 30,          /* one answer in so many is followed by that much quiet */
    SEALED_MS = 60000,   /* until all is sealed at the latest */
    CHILD_SECONDS = 120,
    READ_RUNS = 512
};

/* ---- what is sent ---- */

enum hope {
    HOPE_STORED,    /* becomes INDEX_ADDED */
    HOPE_DUPLICATE, /* the same bytes as an earlier one */
    HOPE_CONFLICT,  /* an id of an earlier one with other bytes, beside a run of its own */
    HOPE_LAYERS     /* likewise added, but of runs that are in others too (lib/layer_tale.h) */
};

struct sent {
    struct batch *batch;      /* it holds the record; */
    struct made_record *made; /* of layers this does */
    const struct record *record;
    enum hope hope;
    bool there_before;           /* it survived an earlier round: it is there at every cut */
    bool never;                  /* it was lost with an earlier round, or not sent in it */
    size_t sent_at, answered_at; /* events of this round; SIZE_MAX: not yet */
    size_t lost_at;              /* from here on it is known not to be there */
    unsigned logged;             /* layers: so many times it was in the log at the last walk */
};

static struct sent sent[SENT_MAX];
static size_t sent_count;
static struct budget budget = {.limit = (size_t)1 << 32};

static void hex(struct dice *dice, char *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = "0123456789abcdef"[dice_below(dice, 16)];
}

/* A uuid as text: half of them of version 7 and growing, as clients make them. */
static void write_id(struct dice *dice, char out[UUID_TEXT + 1])
{
    static uint64_t ms = 1790000000000;
    char digits[33] = "";
    hex(dice, digits, 32);
    if (dice_below(dice, 2)) {
        ms += dice_below(dice, 3);
        snprintf(digits, 13, "%012" PRIx64, ms);
        hex(dice, digits + 12, 20);
        digits[12] = '7';
    }
    snprintf(out, UUID_TEXT + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
             digits + 16, digits + 20);
}

struct body {
    char *at;
    size_t len, cap;
};

static void body_add(struct body *body, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void body_add(struct body *body, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (body->cap - body->len < 1024) {
        body->cap = 2 * body->cap + 4096;
        body->at = realloc(body->at, body->cap);
        if (!body->at)
            abort();
    }
    int n = vsnprintf(body->at + body->len, body->cap - body->len, format, ap);
    assert(n >= 0 && (size_t)n < body->cap - body->len);
    body->len += (size_t)n;
    va_end(ap);
}

static void body_add_text(struct body *body, struct dice *dice, size_t n)
{
    if (body->cap - body->len < n) {
        body->cap = body->len + n + 4096;
        body->at = realloc(body->at, body->cap);
        if (!body->at)
            abort();
    }
    hex(dice, body->at + body->len, n);
    body->len += n;
}

static void body_add_run(struct body *body, struct dice *dice, const char *id, size_t size)
{
    char trace[UUID_TEXT + 1];
    write_id(dice, trace);
    body_add(body, "%s{\"id\":\"%s\",\"trace_id\":\"%s\",\"name\":\"name %u\",\"inputs\":{\"t\":\"",
             body->at[body->len - 1] == '[' ? "" : ",", id, trace, dice_below(dice, 50));
    body_add_text(body, dice, size);
    body_add(body, "\"}}");
}

static struct batch *batch_of(struct str json)
{
    static const struct batch_limits limits = {
        .body_max = 64 << 20, .run_max = 64 << 20, .runs_max = 10000, .name_max = 8192};
    struct batch *batch = batch_new(false, &limits, &budget, NULL, 1790000000000000, json.len);
    if (batch_feed(batch, json, true) != BATCH_READY) {
        fprintf(stderr, "the test made a body that is refused: %.*s\n", (int)json.len, json.at);
        abort();
    }
    return batch;
}

static struct sent *send_more(const struct record *record, enum hope hope)
{
    assert(sent_count < SENT_MAX);
    struct sent *s = &sent[sent_count++];
    *s = (struct sent){.record = record,
                       .hope = hope,
                       .sent_at = SIZE_MAX,
                       .answered_at = SIZE_MAX,
                       .lost_at = SIZE_MAX};
    return s;
}

static void send_layers(struct dice *dice)
{
    struct make_random random = {dice_next(dice)};
    struct made_record *made = tale_batch(sent_count, &random);
    send_more(&made->record, HOPE_LAYERS)->made = made;
}

static void run_of(const struct record *record, uint32_t i, struct run *run)
{
    struct err err = {0};
    if (record_run(record, i, run, &err)) {
        fprintf(stderr, "the test's own record: %s\n", err.text);
        abort();
    }
}

/* The next batch: of mixed sizes; now and then a retry, or a conflict. */
static void make_batch(struct dice *dice, size_t first_of_round)
{
    if (dice_below(dice, 100) < LAYERS) {
        send_layers(dice);
        return;
    }
    struct body body = {0};
    body_add(&body, "[");
    uint32_t kind = dice_below(dice, 100);
    size_t earlier =
        sent_count > first_of_round
            ? first_of_round + dice_below(dice, (uint32_t)(sent_count - first_of_round))
            : SIZE_MAX;
    bool usable = earlier != SIZE_MAX && sent[earlier].hope == HOPE_STORED;
    char id[UUID_TEXT + 1] = "";
    if (kind < 8 && usable) {
        struct run run;
        body.len = 0;
        body_add(&body, "[");
        for (uint32_t i = 0; i < sent[earlier].record->count; i++) {
            run_of(sent[earlier].record, i, &run);
            for (size_t at = 0; at < run.raw.len; at += 512)
                body_add(&body, "%s%.*s", at == 0 && i > 0 ? "," : "",
                         (int)(run.raw.len - at < 512 ? run.raw.len - at : 512), run.raw.at + at);
        }
    } else if (kind < 16 && usable) {
        struct run run;
        run_of(sent[earlier].record, 0, &run);
        char contested[UUID_TEXT + 1] = "";
        uuid_write(run.id, contested);
        write_id(dice, id);
        body_add_run(&body, dice, id, 100);
        body_add_run(&body, dice, contested, 50);
    } else {
        uint32_t runs = kind < 60   ? 1 + dice_below(dice, 3)
                        : kind < 95 ? 1 + dice_below(dice, 30)
                                    : 200 + dice_below(dice, 200);
        for (uint32_t i = 0; i < runs; i++) {
            size_t size = dice_below(dice, 40) == 0 ? dice_below(dice, 150000)
                                                    : dice_below(dice, runs > 100 ? 200 : 3000);
            write_id(dice, id);
            body_add_run(&body, dice, id, size);
        }
    }
    body_add(&body, "]");
    enum hope hope = !usable || kind >= 16 ? HOPE_STORED
                     : kind < 8            ? HOPE_DUPLICATE
                                           : HOPE_CONFLICT;
    struct batch *batch = batch_of((struct str){body.at, body.len});
    send_more(batch_record(batch), hope)->batch = batch;
    free(body.at);
}

/* ---- the engine: the only part that knows how a server is put together ---- */

struct engine {
    struct store *store;
    struct index *index;
    struct loop *loop; /* this thread's */
    struct loop *commit_loop;
    struct commit *commit;
    struct upkeep *upkeep;
    atomic_uint_fast64_t generation;
    bool started;
    char segments[PATH_MAX], packs[PATH_MAX];
};

static void come_home(struct op *op)
{
    loop_stop(op->loop);
}

/* Wait for an operation whose `done` is come_home(). */
static int wait_home(struct engine *engine, const struct op *op, struct err *err)
{
    int r = loop_run(engine->loop, err);
    if (!r && op->err.code) {
        *err = op->err;
        r = (int)err->code;
    }
    return r;
}

/* What is in the two directories. */
struct litter {
    size_t segments, packs, both, halves;
};

static struct litter litter_of(const struct engine *engine)
{
    struct litter litter = {0};
    char path[PACK_PATH];
    const struct dirent *entry;
    uint64_t number;
    DIR *dir = opendir(engine->segments);
    while (dir && (entry = readdir(dir)))
        if (segment_named(entry->d_name, &number)) {
            litter.segments++;
            snprintf(path, sizeof path, "%s/%016" PRIx64 ".pack", engine->packs, number);
            litter.both += access(path, F_OK) == 0;
        }
    if (dir)
        closedir(dir);
    dir = opendir(engine->packs);
    while (dir && (entry = readdir(dir))) {
        litter.packs += pack_named(entry->d_name, &number);
        litter.halves += seal_tmp_named(entry->d_name);
    }
    if (dir)
        closedir(dir);
    return litter;
}

/* A segment is removed only once the index would survive a power cut. */
static int check_removed(struct engine *engine, struct err *err)
{
    struct index_mark mark = {.op = {.loop = engine->loop, .done = come_home}};
    engine->index->ops->mark(engine->index, &mark);
    int r = wait_home(engine, &mark.op, err);
    const struct str packs = {engine->packs, strlen(engine->packs)};
    const struct dirent *entry;
    DIR *dir = opendir(engine->packs);
    while (!r && dir && (entry = readdir(dir))) {
        uint64_t number;
        struct pack_summary summary;
        char path[SEGMENT_PATH];
        if (!pack_named(entry->d_name, &number))
            continue;
        snprintf(path, sizeof path, "%s/%016" PRIx64 ".seg", engine->segments, number);
        if (access(path, F_OK) == 0)
            continue;
        r = pack_file_summary(&disk_real, packs, number, &summary, err);
        if (!r && summary.last_sequence > mark.sequence)
            r = err_set(err, ERR_CORRUPT,
                        "segment %016" PRIx64 " up to sequence %" PRIu64
                        " is removed, the index has %" PRIu64,
                        number, summary.last_sequence, mark.sequence);
    }
    if (dir)
        closedir(dir);
    return r;
}

static int engine_open(struct engine *engine, const char *dir, const struct disk *disk,
                       struct err *err)
{
    char database[PATH_MAX];
    *engine = (struct engine){0};
    snprintf(engine->segments, sizeof engine->segments, "%s/segments", dir);
    snprintf(engine->packs, sizeof engine->packs, "%s/packs", dir);
    snprintf(database, sizeof database, "%s/index.db", dir);
    int r = store_log_open(
        &(struct store_log_config){.dir = {engine->segments, strlen(engine->segments)},
                                   .packs = {engine->packs, strlen(engine->packs)},
                                   .disk = disk,
                                   .segment_size = SEGMENT,
                                   .read_threads = 1,
                                   .read_queue = 64},
        &engine->store, err);
    if (!r && litter_of(engine).halves > 0)
        r = err_set(err, ERR_INVALID, "half a pack is left");
    if (!r)
        r = index_sqlite_open(&(struct index_sqlite_config){.path = {database, strlen(database)},
                                                            .readers = 1,
                                                            .queue = 64,
                                                            .deadline_ms = 60000,
                                                            .cache_size = 4 << 20},
                              &engine->index, err);
    if (!r)
        r = loop_open(0, "main", &engine->loop, err);
    if (!r)
        r = engine->index->ops->attach(engine->index, engine->loop, err);
    if (!r)
        r = check_removed(engine, err);
    if (!r)
        r = loop_open(1, "commit", &engine->commit_loop, err);
    if (!r)
        r = engine->index->ops->attach(engine->index, engine->commit_loop, err);
    if (r)
        return r;
    struct recover recovery = {.op = {.loop = engine->commit_loop, .done = come_home},
                               .index = engine->index,
                               .store = engine->store};
    recover(&recovery);
    r = loop_run(engine->commit_loop, err);
    if (!r && recovery.op.err.code) {
        *err = recovery.op.err;
        r = (int)err->code;
    }
    if (r)
        return err_wrap(err, "recover");
    engine->commit = commit_new(&(struct commit_config){.index = engine->index,
                                                        .store = engine->store,
                                                        .loop = engine->commit_loop,
                                                        .queue_max = 1024,
                                                        .generation = &engine->generation});
    r = loop_start(engine->commit_loop, err);
    engine->started = !r;
    return r;
}

static void engine_close(struct engine *engine)
{
    upkeep_stop(engine->upkeep);
    upkeep_free(engine->upkeep);
    if (engine->started) {
        loop_stop(engine->commit_loop);
        loop_join(engine->commit_loop);
    }
    commit_free(engine->commit);
    if (engine->index)
        engine->index->ops->close(engine->index);
    store_close(engine->store);
    loop_close(engine->commit_loop);
    loop_close(engine->loop);
}

static int keep_up(struct engine *engine, struct err *err)
{
    return upkeep_start(&(struct upkeep_config){.store = engine->store,
                                                .index = engine->index,
                                                .writer = engine->commit_loop,
                                                .loop_index = 2,
                                                .idle_ms = IDLE_MS},
                        &engine->upkeep, err);
}

/* Nothing comes any more: wait until the last segment is a pack. */
static int wait_sealed(const struct engine *engine, struct err *err)
{
    struct litter litter = {0};
    for (int ms = 0; ms < SEALED_MS; ms += 2) {
        litter = litter_of(engine);
        if (litter.segments == 0 && litter.halves == 0)
            return 0;
        usleep(2000);
    }
    return err_set(err, ERR_BUSY, "%zu segments and %zu half packs are left", litter.segments,
                   litter.halves);
}

static int commit_one(struct engine *engine, const struct record *record,
                      enum index_verdict *verdict, struct err *err)
{
    struct commit_batch one = {.op = {.loop = engine->loop, .done = come_home}, .record = record};
    commit_submit(engine->commit, &one);
    int r = wait_home(engine, &one.op, err);
    *verdict = one.verdict;
    return r;
}

/* How many runs of the record are there?  Their bytes must be the record's;
 * with `others_too`, those of another's are passed over. */
static int count_there(struct engine *engine, const struct record *record, bool others_too,
                       uint32_t *result, struct err *err)
{
    *result = 0;
    for (uint32_t from = 0; from < record->count; from += READ_RUNS) {
        uint32_t n = record->count - from < READ_RUNS ? record->count - from : READ_RUNS;
        struct arena *arena = arena_new(4096);
        struct uuid *ids = arena_make(arena, struct uuid, n);
        struct run run;
        for (uint32_t i = 0; i < n; i++) {
            run_of(record, from + i, &run);
            ids[i] = run.id;
        }
        struct index_find find = {.op = {.loop = engine->loop, .done = come_home},
                                  .ids = ids,
                                  .count = n,
                                  .arena = arena};
        engine->index->ops->find(engine->index, &find);
        int r = wait_home(engine, &find.op, err);
        struct place *places = arena_make(arena, struct place, n);
        uint32_t *which = arena_make(arena, uint32_t, n);
        size_t found = 0;
        for (uint32_t i = 0; i < n && !r; i++)
            if (find.rows[i].found) {
                which[found] = from + i;
                places[found++] = find.rows[i].holders[0].place; /* it came whole */
            }
        struct store_read read = {.op = {.loop = engine->loop, .done = come_home},
                                  .places = places,
                                  .count = found,
                                  .arena = arena};
        if (!r && found > 0) {
            store_read(engine->store, &read);
            r = wait_home(engine, &read.op, err);
        }
        for (size_t i = 0; i < found && !r; i++) {
            run_of(record, which[i], &run);
            if (str_eq(run.raw, read.runs[i].raw))
                (*result)++;
            else if (!others_too)
                r = err_set(err, ERR_CORRUPT, "run %u came back with other bytes: %.60s", which[i],
                            read.runs[i].raw.at);
        }
        arena_free(arena);
        if (r)
            return r;
    }
    return 0;
}

/* What is in the log. */
struct log_walk {
    struct tale tale;
    size_t records;
};

/* Batches of layers are found by what they say. */
static int note_layers(const struct record *record, struct err *err)
{
    uint64_t number;
    if (!tale_number(record, &number))
        return 0;
    struct sent *s = number < sent_count ? &sent[number] : NULL;
    if (!s || s->hope != HOPE_LAYERS || record->count != s->record->count)
        return err_set(err, ERR_CORRUPT, "the log has layers that nobody sent, or not all of them");
    for (uint32_t i = 0; i < record->count; i++) {
        struct run is, was;
        run_of(record, i, &is);
        run_of(s->record, i, &was);
        if (!str_eq(is.raw, was.raw))
            return err_set(err, ERR_CORRUPT, "layer %u of batch %" PRIu64 " has other bytes", i,
                           number);
    }
    s->logged++;
    return 0;
}

static int note_record(void *context, const struct record *record, struct place first,
                       uint64_t sequence, struct err *err)
{
    struct log_walk *walk = context;
    struct run run = {.kind = RUN_WHOLE};
    int r = 0;
    for (uint32_t i = 0; i < record->count && !r; i++)
        r = record_run(record, i, &run, err);
    walk->records++;
    if (!r)
        r = note_layers(record, err);
    if (!r && run.kind != RUN_WHOLE)
        r = tale_add(&walk->tale, record, first, sequence, err);
    return r;
}

/* Go through the log, see which layers are there, and that the index says of them what
 * memory does. */
static int walk_log(struct engine *engine, size_t *records, struct err *err)
{
    struct log_walk walk = {.records = 0};
    for (size_t i = 0; i < sent_count; i++)
        sent[i].logged = 0;
    tale_begin(&walk.tale);
    int r = store_walk(engine->store, 0, note_record, NULL, &walk, err);
    if (!r)
        r = tale_compare(&walk.tale, engine->index, engine->loop, err);
    tale_end(&walk.tale);
    *records = walk.records;
    return r ? err_wrap(err, "walk the log") : 0;
}

/* How many of its runs or layers are there; of layers at the last walk. */
static int count_sent(struct engine *engine, const struct sent *s, uint32_t *there, struct err *err)
{
    if (s->hope != HOPE_LAYERS)
        return count_there(engine, s->record, s->hope == HOPE_CONFLICT, there, err);
    *there = s->logged ? s->record->count : 0;
    return 0;
}

/* ---- looking, in a child ---- */

struct findings {
    size_t acknowledged, others_whole, others_absent;
};

/* Is it news, to which nobody had to say no? */
static bool is_added(const struct sent *s)
{
    return s->hope == HOPE_STORED || s->hope == HOPE_LAYERS;
}

static bool is_acknowledged(const struct sent *s, size_t cut)
{
    return s->there_before || (!s->never && s->answered_at <= cut);
}

static int look(struct engine *engine, size_t cut, struct findings *findings, struct err *err)
{
    size_t lost = SIZE_MAX; /* the first batch that is not there */
    size_t records = 0;
    int walked = walk_log(engine, &records, err);
    if (walked)
        return walked;
    for (size_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent[i];
        if (s->hope == HOPE_DUPLICATE)
            continue; /* its runs are the earlier one's */
        uint32_t there = 0;
        int r = count_sent(engine, s, &there, err);
        if (r)
            return err_wrap(err, "batch %zu", i);
        if (s->hope == HOPE_CONFLICT) {
            if (there > 0)
                return err_set(err, ERR_CORRUPT, "batch %zu, a conflict, has %u of its runs there",
                               i, there);
            continue;
        }
        bool must = is_acknowledged(s, cut);
        bool may = must || (!s->never && s->sent_at <= cut && cut < s->lost_at);
        if (there != 0 && there != s->record->count)
            return err_set(err, ERR_CORRUPT, "batch %zu is torn: %u of %u runs", i, there,
                           s->record->count);
        if (must && there == 0)
            return err_set(err, ERR_CORRUPT, "batch %zu was acknowledged and is gone", i);
        if (!may && there > 0)
            return err_set(err, ERR_CORRUPT, "batch %zu is there and was not sent, or was lost", i);
        if (there == 0 && may && lost == SIZE_MAX)
            lost = i;
        if (there > 0 && lost != SIZE_MAX)
            return err_set(err, ERR_CORRUPT, "batch %zu is there, but the earlier %zu is not", i,
                           lost);
        if (must)
            findings->acknowledged++;
        else if (may && there > 0)
            findings->others_whole++;
        else if (may)
            findings->others_absent++;
    }
    size_t want = findings->acknowledged + findings->others_whole;
    if (records != want)
        return err_set(err, ERR_CORRUPT, "the log has %zu records, %zu batches are there", records,
                       want);
    return 0;
}

/* Writing goes on after recovery, and lasts. */
static int go_on(struct engine *engine, size_t cut, struct dice *dice, const struct record **fresh,
                 struct err *err)
{
    for (size_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent[i];
        bool must = is_acknowledged(s, cut);
        if (s->hope == HOPE_CONFLICT || dice_below(dice, 20) != 0 || (!must && s->sent_at > cut))
            continue;
        enum index_verdict verdict;
        int r = commit_one(engine, s->record, &verdict, err);
        if (r)
            return err_wrap(err, "retry batch %zu", i);
        if (s->hope == HOPE_STORED && must && verdict != INDEX_DUPLICATE)
            return err_set(err, ERR_CONFLICT, "the retry of batch %zu got verdict %d", i,
                           (int)verdict);
        if (verdict == INDEX_CONFLICT)
            return err_set(err, ERR_CONFLICT, "the retry of batch %zu is a conflict", i);
    }
    struct body body = {0};
    char id[UUID_TEXT + 1];
    body_add(&body, "[");
    for (int i = 0; i < 5; i++) {
        write_id(dice, id);
        body_add_run(&body, dice, id, 500);
    }
    body_add(&body, "]");
    *fresh = batch_record(batch_of((struct str){body.at, body.len}));
    free(body.at);
    enum index_verdict verdict;
    int r = commit_one(engine, *fresh, &verdict, err);
    if (!r && verdict != INDEX_ADDED)
        r = err_set(err, ERR_CONFLICT, "a new batch got verdict %d", (int)verdict);
    return r ? err_wrap(err, "write again") : 0;
}

static int check_pack(struct str packs, uint64_t number, struct err *err)
{
    struct pack_file file;
    int r = pack_file_open(&disk_real, packs, number, PACK_STRICT, &file, err);
    if (r)
        return r;
    r = pack_file_check(&file, NULL, NULL, err);
    pack_file_close(&file);
    return r;
}

/* As the cut left them: only what is whole and durable gets the name of a pack. */
static int check_packs(const char *dir, struct err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/packs", dir);
    DIR *packs = opendir(path);
    if (!packs)
        return err_set(err, ERR_IO, "the directory of packs is gone");
    const struct dirent *entry;
    uint64_t number;
    int r = 0;
    while (!r && (entry = readdir(packs)))
        if (pack_named(entry->d_name, &number))
            r = check_pack((struct str){path, strlen(path)}, number, err);
    closedir(packs);
    return r ? err_wrap(err, "before the start") : 0;
}

static int check_state(const char *dir, size_t cut, uint64_t seed, struct findings *findings,
                       struct err *err)
{
    struct engine engine;
    struct dice dice = {seed};
    const struct record *fresh = NULL;
    int r = check_packs(dir, err);
    if (!r)
        r = engine_open(&engine, dir, &recorder_disk, err);
    if (!r)
        r = look(&engine, cut, findings, err);
    if (!r && dice_below(&dice, 2))
        r = keep_up(&engine, err); /* else what is written again is sealed afterwards */
    if (!r)
        r = go_on(&engine, cut, &dice, &fresh, err);
    if (!r && !engine.upkeep)
        r = keep_up(&engine, err);
    if (!r)
        r = wait_sealed(&engine, err);
    if (r)
        return r; /* the process ends anyway */
    engine_close(&engine);

    r = engine_open(&engine, dir, &recorder_disk, err);
    uint32_t there = 0;
    size_t records = 0;
    if (!r)
        r = count_there(&engine, fresh, false, &there, err);
    if (!r && there != fresh->count)
        r = err_set(err, ERR_CORRUPT, "after opening again the new batch is gone");
    if (!r)
        r = walk_log(&engine, &records, err);
    for (size_t i = 0; i < sent_count && !r; i++)
        if (is_added(&sent[i]) && is_acknowledged(&sent[i], cut)) {
            r = count_sent(&engine, &sent[i], &there, err);
            if (!r && there != sent[i].record->count)
                r = err_set(err, ERR_CORRUPT, "after opening again batch %zu is gone", i);
        }
    if (!r)
        engine_close(&engine);
    return r ? err_wrap(err, "after closing") : 0;
}

/* ---- recording ---- */

struct submission {
    struct commit_batch commit;
    struct sent *sent;
    struct recording *recording;
};

struct recording {
    struct engine *engine;
    struct dice *dice;
    sqlite3 *checkpointer;
    size_t checkpoints; /* that moved something */
    struct op begin;
    size_t next, end, under_way, window;
    struct submission slot[WINDOW];
    bool failed;
};

static void answered(struct op *op);

static void submit(struct recording *recording, struct submission *slot)
{
    slot->sent = &sent[recording->next++];
    slot->sent->sent_at = recorder_now();
    slot->recording = recording;
    slot->commit = (struct commit_batch){.op = {.loop = recording->engine->loop, .done = answered},
                                         .record = slot->sent->record};
    recording->under_way++;
    commit_submit(recording->engine->commit, &slot->commit);
}

/* The index does this by itself, but only for a WAL far larger than ours. */
static void checkpoint(struct recording *recording)
{
    int log = 0, moved = 0;
    if (sqlite3_wal_checkpoint_v2(recording->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, &log,
                                  &moved) == SQLITE_OK)
        recording->checkpoints += moved > 0;
}

static void answered(struct op *op)
{
    struct submission *slot = op_owner(op, struct submission, commit.op);
    struct recording *recording = slot->recording;
    static const enum index_verdict want[] = {[HOPE_STORED] = INDEX_ADDED,
                                              [HOPE_DUPLICATE] = INDEX_DUPLICATE,
                                              [HOPE_CONFLICT] = INDEX_CONFLICT,
                                              [HOPE_LAYERS] = INDEX_ADDED};
    if (op->err.code || slot->commit.verdict != want[slot->sent->hope]) {
        fprintf(stderr, "batch %zu: wanted verdict %d, got %d: %s\n", (size_t)(slot->sent - sent),
                (int)want[slot->sent->hope], (int)slot->commit.verdict, op->err.text);
        recording->failed = true;
    }
    slot->sent->answered_at = recorder_now();
    recording->under_way--;
    if (dice_below(recording->dice, CHECKPOINT) == 0)
        checkpoint(recording);
    if (dice_below(recording->dice, PAUSE) == 0)
        usleep(3 * IDLE_MS * 1000);
    if (recording->next < recording->end && !recording->failed)
        submit(recording, slot);
    else if (recording->under_way == 0)
        loop_stop(op->loop);
}

static void begin(struct op *op)
{
    struct recording *recording = op_owner(op, struct recording, begin);
    for (size_t i = 0; i < recording->window && recording->next < recording->end; i++)
        submit(recording, &recording->slot[i]);
}

/* After recovery: what is there stays, what is not never comes. */
static int settle(struct engine *engine, struct err *err)
{
    size_t now = recorder_now(), records = 0;
    int walked = walk_log(engine, &records, err);
    if (walked)
        return walked;
    for (size_t i = 0; i < sent_count; i++) {
        struct sent *s = &sent[i];
        if (s->hope == HOPE_DUPLICATE || s->there_before || s->never)
            continue;
        uint32_t there = 0;
        int r = count_sent(engine, s, &there, err);
        if (r)
            return r;
        /* Until here it was open which of the two it is. */
        s->sent_at = 0;
        s->answered_at = there ? now : SIZE_MAX;
        s->lost_at = there ? SIZE_MAX : now;
    }
    return 0;
}

/* A segment is let rest on the thread that writes it. */
struct hop {
    struct op op;
    struct store *store;
    struct store_rest rest;
};

static void rest_here(struct op *op)
{
    struct hop *hop = op_owner(op, struct hop, op);
    store_rest(hop->store, &hop->rest);
}

/* Where the process that died in sealing had started again; SIZE_MAX: it did not. */
static size_t reborn_at;

/* Seal all there is, but as a process that dies before it has synced the
 * directory; then start again.  The packs have their names, which are only as
 * durable as the start has made them. */
static int die_in_sealing(struct engine *engine, const char *dir, struct err *err)
{
    struct hop hop = {
        .op = {.loop = engine->commit_loop, .done = rest_here},
        .store = engine->store,
        .rest = {.op = {.loop = engine->loop, .done = come_home}, .before_us = INT64_MAX}};
    op_finish(&hop.op);
    int r = wait_home(engine, &hop.rest.op, err);
    if (r)
        return r;
    struct store_sealed sealed;
    recorder_ignore_dirs(true);
    while ((r = store_seal(engine->store, NULL, NULL, &sealed, err)) == 0)
        continue;
    recorder_ignore_dirs(false);
    if (r != ERR_NOT_FOUND)
        return r;
    *err = (struct err){0};
    engine_close(engine);
    r = engine_open(engine, dir, &recorder_disk, err);
    reborn_at = recorder_now();
    return r ? r : keep_up(engine, err);
}

/* Send up to batch `end`, a window of them at once. */
static int send_all(struct recording *recording, size_t end, struct err *err)
{
    recording->end = end;
    recording->begin = (struct op){.loop = recording->engine->loop, .done = begin};
    op_finish(&recording->begin);
    int r = loop_run(recording->engine->loop, err);
    if (!r && recording->failed)
        r = err_set(err, ERR_INVALID, "a batch was not answered as it should be");
    return r;
}

static int record(const char *dir, bool die, struct dice *dice, struct err *err)
{
    struct engine engine;
    recorder_start(dir);
    int r = engine_open(&engine, dir, &recorder_disk, err);
    if (!r)
        r = settle(&engine, err);
    if (!r && !die)
        r = keep_up(&engine, err);
    reborn_at = SIZE_MAX;
    if (r)
        return r;
    struct recording recording = {.engine = &engine,
                                  .dice = dice,
                                  .next = sent_count,
                                  .window = 1 + dice_below(dice, WINDOW)};
    char database[PATH_MAX];
    snprintf(database, sizeof database, "%s/index.db", dir);
    /* Reading once makes the connection find the WAL. */
    if (sqlite3_open_v2(database, &recording.checkpointer, SQLITE_OPEN_READWRITE, NULL) ||
        sqlite3_exec(recording.checkpointer, "PRAGMA schema_version", NULL, NULL, NULL))
        return err_set(err, ERR_IO, "cannot open %s", database);
    size_t first = sent_count;
    for (int i = 0; i < SENT; i++)
        make_batch(dice, first);
    if (die) {
        r = send_all(&recording, first + SENT / 4, err);
        if (!r)
            r = die_in_sealing(&engine, dir, err);
    }
    if (!r)
        r = send_all(&recording, sent_count, err);
    if (!r && recording.checkpoints == 0)
        r = err_set(err, ERR_INVALID, "no checkpoint was recorded");
    (void)sqlite3_close(recording.checkpointer);
    if (!r && dice_below(dice, 2))
        r = wait_sealed(&engine, err);
    /* Half of the recordings end in an orderly way. */
    if (!r && dice_below(dice, 2)) {
        engine_close(&engine);
        recorder_stop();
    } else {
        recorder_stop();
        engine_close(&engine);
    }
    return r;
}

/* ---- cutting ---- */

static char home[PATH_MAX];

static void remove_all(const char *dir)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", dir);
}

static void make_dir(const char *dir)
{
    if (mkdir(dir, 0700) < 0) {
        perror(dir);
        exit(2);
    }
}

static int compare_cuts(const void *a, const void *b)
{
    const size_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* A quarter anywhere, the others just before or after a sync, an answer, or the
 * change of a name. */
static void choose_cuts(struct dice *dice, size_t *cuts, size_t count, size_t events)
{
    for (size_t i = 0; i < count; i++) {
        size_t cut = dice_below(dice, (uint32_t)events + 1);
        uint32_t near = dice_below(dice, 8);
        if (near >= 6) { /* just after a pack got its name, or a segment went */
            while (cut < events && !recorder_is_gone(cut))
                cut++;
            cut += 1 + dice_below(dice, 3);
        } else if (near >= 2) {
            while (cut < events && !(near < 5 ? recorder_is_sync(cut) : recorder_is_name(cut)))
                cut++;
            cut += dice_below(dice, 3);
            cut -= cut > 0 ? dice_below(dice, 2) : 0;
        }
        if (reborn_at != SIZE_MAX && i % 4 == 0)
            cut = reborn_at + dice_below(dice, 50); /* what was left is removed here */
        cuts[i] = cut < events ? cut : events;
    }
    qsort(cuts, count, sizeof *cuts, compare_cuts);
}

static bool check_in_child(const char *dir, size_t cut, uint64_t seed, struct findings *total)
{
    int report[2];
    if (pipe(report) < 0)
        exit(2);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct findings findings = {0};
        struct err err = {0};
        alarm(CHILD_SECONDS);
        int r = check_state(dir, cut, seed, &findings, &err);
        if (r)
            printf("  %s\n", err.text);
        fflush(NULL);
        ssize_t n = write(report[1], &findings, sizeof findings);
        _exit(r || n != (ssize_t)sizeof findings);
    }
    close(report[1]);
    struct findings findings = {0};
    ssize_t n = read(report[0], &findings, sizeof findings);
    close(report[0]);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        exit(2);
    if (WIFSIGNALED(status))
        printf("  it died of signal %d\n", WTERMSIG(status));
    if (n != (ssize_t)sizeof findings || status != 0)
        return false;
    total->acknowledged += findings.acknowledged;
    total->others_whole += findings.others_whole;
    total->others_absent += findings.others_absent;
    return true;
}

/* The state from which the next round starts: what was acknowledged stays. */
static void carry_over(size_t cut)
{
    for (size_t i = 0; i < sent_count; i++) {
        struct sent *s = &sent[i];
        if (s->there_before || s->never)
            continue;
        if (is_added(s) && s->answered_at <= cut)
            s->there_before = true;
        else if (s->sent_at > cut || s->lost_at <= cut)
            s->never = true;
        else
            s->answered_at = s->lost_at = SIZE_MAX; /* open: settle() will see */
    }
}

int main(int argc, char **argv)
{
    long states = argc > 1 ? strtol(argv[1], NULL, 10) : 60;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    if (states < ROUNDS) {
        fprintf(stderr, "usage: powercut [states, at least %d] [seed]\n", ROUNDS);
        return 2;
    }
    struct dice dice = {seed};
    const char *tmp = getenv("TMPDIR");
    snprintf(home, sizeof home, "%s/powercut-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(home)) {
        perror(home);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_setup(LOG_ERROR, false);
    recorder_vfs_install();
    printf("seed %" PRIu64 ", %ld states\n", seed, states);

    char from[PATH_MAX + 32];
    snprintf(from, sizeof from, "%s/0", home);
    make_dir(from);
    char within[PATH_MAX + 64];
    snprintf(within, sizeof within, "%s/segments", from);
    make_dir(within);
    snprintf(within, sizeof within, "%s/packs", from);
    make_dir(within);

    int passed = 0, failed = 0;
    size_t renamed = 0;
    struct findings total = {0};
    for (int round = 0; round < ROUNDS && failed == 0; round++) {
        struct err err = {0};
        if (record(from, round % 2 == 1, &dice, &err)) {
            printf("FAIL round %d: %s\n", round, err.text);
            failed++;
            break;
        }
        struct recorder_counts counts = recorder_counts();
        size_t events = recorder_now();
        printf("round %d: %zu writes (%zu KiB), %zu syncs, %zu sizes, %zu names, %zu of packs\n",
               round, counts.writes, counts.bytes >> 10, counts.syncs, counts.sizes, counts.names,
               counts.renames);
        renamed += counts.renames;

        size_t count = (size_t)(states / ROUNDS + (round < states % ROUNDS));
        size_t *cuts = calloc(count, sizeof *cuts);
        if (!cuts)
            return 2;
        choose_cuts(&dice, cuts, count, events);
        size_t chosen = count / 2 + dice_below(&dice, (uint32_t)(count - count / 2));
        struct replay *replay = replay_new();
        char next[PATH_MAX + 32];
        snprintf(next, sizeof next, "%s/%d", home, round + 1);
        for (size_t i = 0; i < count; i++) {
            char dir[PATH_MAX + 64];
            snprintf(dir, sizeof dir, "%s/%d-%zu", home, round, i);
            make_dir(dir);
            replay_to(replay, cuts[i]);
            uint64_t state = dice_next(&dice);
            const char *fate = replay_crash(replay, &(struct dice){state}, dir);
            bool good = check_in_child(dir, cuts[i], state, &total);
            printf("%s round %d, cut at event %zu of %zu: %s\n", good ? "ok  " : "FAIL", round,
                   cuts[i], events, fate);
            if (good) {
                passed++;
                remove_all(dir);
            } else {
                failed++;
                printf("  kept in %s: seed %" PRIu64 "\n", dir, seed);
            }
            if (i == chosen) {
                make_dir(next);
                (void)replay_crash(replay, &(struct dice){state}, next);
            }
        }
        replay_free(replay);
        carry_over(cuts[chosen]);
        free(cuts);
        remove_all(from);
        snprintf(from, sizeof from, "%s", next);
    }
    for (size_t i = 0; i < sent_count; i++) {
        batch_free(sent[i].batch);
        made_free(sent[i].made);
    }
    printf(
        "acknowledged batches read back: %zu; of those not answered %zu were whole, %zu absent\n",
        total.acknowledged, total.others_whole, total.others_absent);
    /* A run that met none of what it is about has shown nothing. */
    if (failed == 0 && states >= 40 &&
        (total.acknowledged == 0 || total.others_whole == 0 || total.others_absent == 0)) {
        printf("FAIL the cuts met no batch under way\n");
        failed++;
    }
    if (failed == 0 && renamed < ROUNDS * 8) {
        printf("FAIL only %zu segments were sealed\n", renamed);
        failed++;
    }
    if (failed == 0)
        remove_all(home);
    printf("suite: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}
