/* move.c - rundlet move: every run of one deployment into another.
 *
 * The records are walked as they lie here and committed there, layers, attachments and
 * entities included, each as a batch with the times it had; several are on their way at once.  For each:
 *
 *   visit()      decode what is sound ⇢ commit there
 *   committed()  one is in conflict: again without it.  Else ⇢ where is each now?
 *   found()      ⇢ read them
 *   compare()    with what is here
 *
 *   ended()      counted
 *
 * The first and the last run on the main thread, which may wait long for what it reads;
 * all else on the other deployment's loop, which has a thread of its own so that nothing
 * of it is late meanwhile.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "base/arena.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "index/index.h"
#include "ingest/commit.h"
#include "loop/loop.h"
#include "store/store.h"

enum {
    WAITING_BYTES = 64 << 20, /* of batches on their way at once */
    WAITING_BATCHES = 64,
    INTERRUPTED = -1 /* what the walk ends with, besides the error codes */
};

struct move {
    struct app *to;
    struct loop *here; /* the main thread's */
    struct progress progress;
    size_t waiting, waiting_bytes;
    struct err err; /* the first that failed; then the walk ends */
    uint64_t runs, moved, there, damaged, conflicts;
};

struct carried {
    struct move *move;
    struct arena *arena;
    struct record record;
    struct run *runs; /* here */
    struct uuid *ids;
    struct place *places;
    uint32_t *compared; /* whole runs, whose bytes are read there */
    uint32_t compared_count;
    size_t bytes;
    struct commit_batch batch;
    struct index_find find;
    struct store_read read;
    uint64_t moved, there;
    struct uuid *different; /* ids of those that are not the same there */
    size_t different_count;
    struct op home;
};

static void committed(struct op *op);
static void found(struct op *op);
static void compare(struct op *op);

static void ended(struct op *op)
{
    struct carried *c = op_owner(op, struct carried, home);
    struct move *move = c->move;
    for (size_t i = 0; i < c->different_count; i++) {
        char id[UUID_TEXT];
        uuid_write(c->different[i], id);
        progress_end(&move->progress);
        talk("the other deployment has run %.*s with different content", UUID_TEXT, id);
    }
    if (op->err.code && !move->err.code)
        move->err = op->err;
    move->moved += c->moved;
    move->there += c->there;
    move->conflicts += c->different_count;
    move->waiting--;
    move->waiting_bytes -= c->bytes;
    arena_free(c->arena);
    free(c->different);
    free(c);
    loop_stop(move->here); /* whoever waits looks again */
}

static void end(struct carried *c, const struct err *err)
{
    c->home = (struct op){.loop = c->move->here, .done = ended};
    if (err)
        c->home.err = *err;
    op_finish(&c->home);
}

static void differs(struct carried *c, uint32_t i)
{
    struct uuid *more = realloc(c->different, (c->different_count + 1) * sizeof *more);
    if (!more)
        abort();
    c->different = more;
    c->different[c->different_count++] = c->ids[i];
}

/* `count` runs, decoded, as what is carried; what was is let go. */
static void carry(struct carried *c, const struct run *runs, uint32_t count, int64_t received_us)
{
    struct arena *arena = arena_new(64 << 10);
    c->record = record_make(runs, count, received_us, arena);
    c->runs = arena_make(arena, struct run, count);
    c->ids = arena_make(arena, struct uuid, count);
    c->places = arena_make(arena, struct place, count);
    c->compared = arena_make(arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        (void)record_run(&c->record, i, &c->runs[i], NULL); /* it was just made */
        c->ids[i] = c->runs[i].id;
    }
    arena_free(c->arena);
    c->arena = arena;
}

static void send(struct carried *c)
{
    if (c->record.count == 0) {
        end(c, NULL);
        return;
    }
    c->batch = (struct commit_batch){
        .op = {.loop = local_loop(c->move->to), .done = committed},
        .record = &c->record,
    };
    commit_submit(c->move->to->commit, &c->batch);
}

/* The others of the batch are stored without the one that is to blame. */
static void leave_out(struct carried *c, uint32_t i)
{
    differs(c, i);
    memmove(&c->runs[i], &c->runs[i + 1], (c->record.count - i - 1) * sizeof *c->runs);
    carry(c, c->runs, c->record.count - 1, c->record.received_us);
    send(c);
}

static void committed(struct op *op)
{
    struct carried *c = op_owner(op, struct carried, batch.op);
    struct index *index = c->move->to->index;
    if (op->err.code) {
        end(c, &op->err);
        return;
    }
    if (c->batch.verdict == INDEX_CONFLICT) {
        leave_out(c, c->batch.conflict);
        return;
    }
    if (c->batch.verdict == INDEX_ADDED)
        c->moved += c->batch.added;
    c->find = (struct index_find){
        .op = {.loop = op->loop, .done = found},
        .ids = c->ids,
        .count = c->record.count,
        .arena = c->arena,
    };
    index->ops->find(index, &c->find);
}

static void found(struct op *op)
{
    struct carried *c = op_owner(op, struct carried, find.op);
    if (op->err.code) {
        end(c, &op->err);
        return;
    }
    c->compared_count = 0;
    for (uint32_t i = 0; i < c->record.count; i++) {
        const struct index_row *row = &c->find.rows[i];
        if (c->runs[i].kind > RUN_PATCH || row->hidden)
            continue;
        if (!row->found) {
            struct err err;
            err_set(&err, ERR_CORRUPT, "a run that was stored there is not found");
            end(c, &err);
            return;
        }
        if (c->runs[i].kind != RUN_WHOLE || row->holder_count > 1)
            continue; /* it was taken, and others may hold what it said */
        c->places[c->compared_count] = row->holders[0].place;
        c->compared[c->compared_count++] = i;
    }
    c->read = (struct store_read){
        .op = {.loop = op->loop, .done = compare},
        .places = c->places,
        .count = c->compared_count,
        .arena = c->arena,
    };
    if (c->compared_count > 0)
        store_read(c->move->to->store, &c->read);
    else
        op_finish(&c->read.op);
}

static void compare(struct op *op)
{
    struct carried *c = op_owner(op, struct carried, read.op);
    if (op->err.code) {
        end(c, &op->err);
        return;
    }
    uint64_t same = c->record.count - c->compared_count;
    for (uint32_t k = 0; k < c->compared_count; k++) {
        uint32_t i = c->compared[k];
        const struct run *here = &c->runs[i], *there = &c->read.runs[k];
        if (uuid_compare(here->id, there->id) == 0 && here->hash[0] == there->hash[0] &&
            here->hash[1] == there->hash[1])
            same++;
        else
            differs(c, i);
    }
    uint64_t added = c->batch.verdict == INDEX_ADDED ? c->batch.added : 0;
    c->there += same > added ? same - added : 0;
    end(c, NULL);
}

/* Until there is room for another batch, or one failed. */
static int wait_for_room(struct move *move, struct err *err)
{
    while (!move->err.code &&
           (move->waiting >= WAITING_BATCHES || move->waiting_bytes > WAITING_BYTES)) {
        int r = loop_run(move->here, err);
        if (r)
            return r;
    }
    if (move->err.code)
        *err = move->err;
    return (int)move->err.code;
}

/* Until nothing is on its way any more, also after a failure: it uses what is ours. */
static int wait_for_all(struct move *move, struct err *err)
{
    while (move->waiting > 0)
        if (loop_run(move->here, err))
            abort();
    progress_end(&move->progress);
    if (move->err.code)
        *err = move->err;
    return (int)move->err.code;
}

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* The first signal ends the walk, with its sums; the second the process. */
static void heed_signals(void)
{
    const struct sigaction action = {.sa_handler = interrupt,
                                     .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* What of the record can be read. */
static void take_sound(struct carried *c, const struct record *record)
{
    struct run *runs = malloc((record->count + 1) * sizeof *runs);
    uint32_t count = 0;
    if (!runs)
        abort();
    for (uint32_t i = 0; i < record->count; i++)
        if (record_run(record, i, &runs[count], NULL) == 0)
            count++;
    c->move->damaged += record->count - count;
    carry(c, runs, count, record->received_us);
    free(runs);
}

static int visit(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    struct move *move = context;
    (void)first;
    (void)sequence;
    if (interrupted)
        return INTERRUPTED;
    int r = wait_for_room(move, err);
    if (r)
        return r;
    struct carried *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->move = move;
    take_sound(c, record);
    c->bytes = record_weight(&c->record);
    move->waiting++;
    move->waiting_bytes += c->bytes;
    move->runs += record->count;
    progress_show(&move->progress, "%" PRIu64 " runs", move->runs);
    send(c);
    return 0;
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    struct move *move = context;
    progress_end(&move->progress);
    talk("%.*s: damaged at %" PRIu64 ": %s", STR_FMT(file), offset, why);
    move->damaged += lost;
}

/* In words, and never onto itself. */
static int name_both(const struct config *from, const struct config *to, struct err *err)
{
    char here[256], there[256];
    bool from_bucket = config_is_url(from->objects), to_bucket = config_is_url(to->objects);
    config_show_place(from_bucket ? from->objects : from->data, here, sizeof here);
    config_show_place(to_bucket ? to->objects : to->data, there, sizeof there);
    if (from_bucket == to_bucket && strcmp(here, there) == 0)
        return err_set(err, ERR_CONFLICT,
                       "both are %.80s: the settings here, also RUNDLET_... variables, say what is "
                       "copied; those in the file of --to, where",
                       here);
    talk("from %s to %s", here, there);
    return 0;
}

static int carry_all(struct move *move, struct store *from, struct err *err)
{
    struct loop *there = local_loop(move->to);
    int r = loop_open(0, "move", &move->here, err); /* nothing is attached to it */
    if (!r)
        r = loop_start(there, err);
    if (!r) {
        r = store_walk(from, 0, visit, damaged, move, err);
        int last = wait_for_all(move, err);
        r = r > 0 || !last ? r : last;
        loop_stop(there);
        loop_join(there);
    }
    loop_close(move->here);
    return r;
}

int command_move(const struct config *config, const struct command_args *args)
{
    const char *file = command_value(args, "--to=");
    struct config *to = NULL;
    struct app *here = NULL;
    struct store *from = NULL;
    struct move move = {0};
    struct out out = {0};
    struct err err = {0};
    if (!file) {
        talk("--to FILE is missing: the settings of the deployment to copy to");
        return COMMAND_USAGE;
    }
    progress_start(&move.progress);
    int r = config_load_file(file, &to, &err);
    if (!r)
        r = name_both(config, to, &err);
    if (!r)
        r = local_store(config, &here, &from, &err);
    if (!r)
        r = local_open(to, APP_WRITE, &move.to, &err);
    if (!r) {
        heed_signals();
        r = carry_all(&move, from, &err);
    }
    app_close(move.to);
    if (here)
        app_close(here);
    else
        store_close(from);
    config_free(to);
    if (r > 0) {
        talk("%s", err.text);
        return COMMAND_FAILED;
    }
    struct text text = {0};
    text_addf(&text,
              "{\"runs\":%" PRIu64 ",\"moved\":%" PRIu64 ",\"there\":%" PRIu64
              ",\"damaged\":%" PRIu64 ",\"conflicts\":%" PRIu64 "}",
              move.runs, move.moved, move.there, move.damaged, move.conflicts);
    out_text(&out, &text);
    if (r == INTERRUPTED) {
        talk("interrupted: this was moved so far; begun again, it goes on with the rest");
        return out_end(&out, COMMAND_FAILED);
    }
    return out_end(&out, move.damaged || move.conflicts ? COMMAND_NO : COMMAND_OK);
}
