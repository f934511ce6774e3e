/* store_test.c - batches are durable and found again, whatever fails on the way. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_record.h"
#include "lib/scratch.h"
#include "store/reader.h"

enum { MOST = 800, SMALL = 2048 };

/* A store, and everything that was put into it. */
struct desk {
    struct scratch dir;
    struct store_log_config config;
    struct store *store;
    struct loop *loop;
    struct made_record *made[MOST]; /* that are in the log */
    struct place first[MOST];
    uint64_t sequence[MOST];
    size_t count;
    uint64_t next; /* number of the next run that is made */
};

static void open_desk(struct desk *d)
{
    struct err err = {0};
    CHECK(store_log_open(&d->config, &d->store, &err) == 0);
    if (err.code) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void begin(struct desk *d, uint64_t segment_size)
{
    *d = (struct desk){.dir = scratch_new(), .loop = hand_loop_open()};
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    d->config = (struct store_log_config){.dir = scratch_str(&d->dir),
                                          .disk = &bad_disk,
                                          .segment_size = segment_size,
                                          .read_threads = 1,
                                          .read_queue = 16};
    open_desk(d);
}

static void reopen(struct desk *d)
{
    store_close(d->store);
    d->store = NULL;
    open_desk(d);
}

static void end(struct desk *d)
{
    store_close(d->store);
    hand_loop_close(d->loop);
    for (size_t i = 0; i < d->count; i++)
        made_free(d->made[i]);
    scratch_remove(&d->dir);
    bad_disk_plan = (struct bad_disk_plan){0};
}

/* A batch of `runs` runs with about `bytes` bytes each. */
static struct made_record *make(struct desk *d, size_t runs, size_t bytes)
{
    struct make_run *specs = calloc(runs, sizeof *specs);
    char *name = malloc(bytes + 1);
    memset(name, 'x', bytes);
    name[bytes] = '\0';
    for (size_t i = 0; i < runs; i++) {
        specs[i] = (struct make_run){.name = name, .start_us = 5, .number = ++d->next};
        specs[i].id = specs[i].trace = make_id(d->next);
    }
    struct made_record *made = make_record(specs, runs);
    made->record.received_us = (int64_t)d->next;
    free(name);
    free(specs);
    return made;
}

struct waited {
    struct store_append append;
    bool done;
};

static void appended(struct op *op)
{
    op_owner(op, struct waited, append.op)->done = true;
}

static int append(struct desk *d, const struct store_record *records, size_t count, struct err *err)
{
    struct waited w = {
        .append = {.op = {.loop = d->loop, .done = appended}, .records = records, .count = count}};
    store_append(d->store, &w.append);
    CHECK(!w.done);
    CHECK(hand_loop_until(d->loop, &w.done));
    *err = w.append.op.err;
    return (int)err->code;
}

/* Reserve and append one group of which the desk remembers what succeeded. */
static int put(struct desk *d, struct made_record **made, size_t count, struct err *err)
{
    struct store_record *records = calloc(count, sizeof *records);
    for (size_t i = 0; i < count; i++)
        records[i].record = &made[i]->record;
    int r = store_reserve(d->store, records, count, err);
    if (!r)
        r = append(d, records, count, err);
    for (size_t i = 0; i < count; i++) {
        if (r) {
            made_free(made[i]);
            continue;
        }
        d->made[d->count] = made[i];
        d->first[d->count] = records[i].first;
        d->sequence[d->count++] = records[i].sequence;
    }
    free(records);
    return r;
}

static int put_one(struct desk *d, size_t runs, size_t bytes)
{
    struct err err = {0};
    struct made_record *made = make(d, runs, bytes);
    return put(d, &made, 1, &err);
}

struct reading {
    struct store_read read;
    bool done;
};

static void have_read(struct op *op)
{
    op_owner(op, struct reading, read.op)->done = true;
}

static int read_on(struct store *store, struct loop *loop, const struct place *places, size_t count,
                   struct arena *arena, struct run **runs, struct err *err)
{
    struct reading reading = {.read = {.op = {.loop = loop, .done = have_read},
                                       .places = places,
                                       .count = count,
                                       .arena = arena}};
    store_read(store, &reading.read);
    CHECK(!reading.done);
    CHECK(hand_loop_until(loop, &reading.done));
    *runs = reading.read.runs;
    *err = reading.read.op.err;
    return (int)err->code;
}

static bool same(const struct run *run, const struct record *record, uint32_t i)
{
    struct run want;
    return record_run(record, i, &want, NULL) == 0 && str_eq(run->raw, want.raw) &&
           uuid_compare(run->id, want.id) == 0 && run->present == want.present &&
           memcmp(run->spans, want.spans, 8u * (unsigned)__builtin_popcount(want.present)) == 0;
}

/* One run, alone. */
static int read_one(struct desk *d, size_t batch, uint32_t i, struct err *err)
{
    struct arena *arena = arena_new(256);
    struct place place = d->first[batch];
    place.ordinal += i;
    struct run *run = NULL;
    int r = read_on(d->store, d->loop, &place, 1, arena, &run, err);
    if (!r)
        CHECK(same(run, &d->made[batch]->record, i));
    arena_free(arena);
    return r;
}

/* Everything the desk remembers, each alone and all at once, last first. */
static void check_reads(struct desk *d)
{
    struct err err = {0};
    size_t total = 0, n = 0;
    for (size_t b = 0; b < d->count; b++)
        total += d->made[b]->record.count;
    struct place *places = calloc(total + 1, sizeof *places);
    for (size_t b = d->count; b-- > 0;)
        for (uint32_t i = 0; i < d->made[b]->record.count; i++) {
            CHECK(read_one(d, b, i, &err) == 0);
            places[n++] = (struct place){d->first[b].container, d->first[b].ordinal + i};
        }
    struct arena *arena = arena_new(4096);
    struct run *runs = NULL;
    CHECK(read_on(d->store, d->loop, places, total, arena, &runs, &err) == 0);
    n = 0;
    for (size_t b = d->count; !err.code && b-- > 0;)
        for (uint32_t i = 0; i < d->made[b]->record.count; i++)
            CHECK(same(&runs[n++], &d->made[b]->record, i));
    arena_free(arena);
    free(places);
}

/* A walk must meet the remembered batches from `at` on, in order. */
struct walker {
    struct desk *desk;
    size_t at;
    size_t stop_at; /* after so many; 0: never */
    size_t seen, told;
    char file[32]; /* of the last damage */
    uint64_t offset;
};

static int visit(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    struct walker *w = context;
    struct desk *d = w->desk;
    (void)err;
    while (w->told && w->at < d->count && d->sequence[w->at] != sequence)
        w->at++; /* what was damaged is not met */
    CHECK(w->at < d->count);
    if (w->at >= d->count)
        return -2;
    const struct record *want = &d->made[w->at]->record;
    CHECK(sequence == d->sequence[w->at]);
    CHECK(first.container == d->first[w->at].container);
    CHECK(first.ordinal == d->first[w->at].ordinal);
    CHECK(record->count == want->count && record->received_us == want->received_us);
    CHECK(str_eq(record->table, want->table) && (w->told || str_eq(record->body, want->body)));
    w->at++;
    return ++w->seen == w->stop_at ? -1 : 0;
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    CHECK(lost);
    struct walker *w = context;
    w->told++;
    w->offset = offset;
    snprintf(w->file, sizeof w->file, "%.*s", STR_FMT(file));
    CHECK(why[0] != '\0');
}

static void check_walk(struct desk *d)
{
    struct walker w = {.desk = d};
    struct err err = {0};
    CHECK(store_walk(d->store, 0, visit, NULL, &w, &err) == 0);
    CHECK(w.seen == d->count);
}

static const char *segment_name(uint64_t number)
{
    static char text[32];
    snprintf(text, sizeof text, "%016llx.seg", (unsigned long long)number);
    return text;
}

TEST(what_was_appended_is_read_by_its_places)
{
    struct desk d;
    begin(&d, 0);
    for (size_t i = 0; i < 20; i++)
        CHECK(put_one(&d, 1 + i % 4, i * 100) == 0);

    check_reads(&d);
    check_walk(&d);
    reopen(&d);
    check_reads(&d);
    check_walk(&d);
    end(&d);
}

TEST(runs_of_every_size_are_read_alone_and_together)
{
    struct desk d;
    begin(&d, 0);

    /* Fronts, spans and bodies within and beyond what is read at first. */
    CHECK(put_one(&d, 1, 30000) == 0);
    CHECK(put_one(&d, 400, 10) == 0);
    CHECK(put_one(&d, 3, 40000) == 0);
    CHECK(put_one(&d, 2, 3 << 20) == 0);
    CHECK(put_one(&d, 1, 0) == 0);
    CHECK(put_one(&d, 40, 200000) == 0);
    check_reads(&d);
    end(&d);
}

TEST(a_place_that_was_never_given_is_not_found)
{
    struct desk d;
    struct err err = {0};
    struct run *runs;
    struct arena *arena = arena_new(256);
    begin(&d, 0);
    CHECK(put_one(&d, 2, 10) == 0);
    CHECK(put_one(&d, 2, 10) == 0);

    static const struct place places[] = {{0, 0}, {1, 4}, {1, UINT32_MAX}, {2, 0}, {UINT64_MAX, 0}};
    for (size_t i = 0; i < 5; i++)
        CHECK(read_on(d.store, d.loop, &places[i], 1, arena, &runs, &err) == ERR_NOT_FOUND);
    reopen(&d);
    for (size_t i = 0; i < 5; i++)
        CHECK(read_on(d.store, d.loop, &places[i], 1, arena, &runs, &err) == ERR_NOT_FOUND);
    arena_free(arena);
    end(&d);
}

static size_t open_files(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

TEST(many_segments_are_read_with_few_open_files)
{
    struct desk d;
    begin(&d, SMALL);
    size_t before = open_files();
    for (size_t i = 0; i < 700; i++)
        CHECK(put_one(&d, 1 + i % 2, 600) == 0);

    struct store_sizes size;
    store_sizes(d.store, &size);
    CHECK(size.segments > 300);
    CHECK(size.last_sequence == d.sequence[699]);
    check_reads(&d);
    CHECK(open_files() <= before + 256 + 1); /* and the last one once more, for direct writes */
    reopen(&d);
    check_reads(&d);
    check_walk(&d);
    CHECK(open_files() <= before + 256 + 1); /* and the last one once more, for direct writes */
    struct store_sizes again;
    store_sizes(d.store, &again);
    CHECK(again.segments == size.segments && again.last_sequence == size.last_sequence);
    end(&d);
}

TEST(a_walk_begins_behind_any_sequence)
{
    struct desk d;
    struct err err = {0};
    begin(&d, SMALL);
    for (size_t i = 0; i < 40; i++)
        CHECK(put_one(&d, 1, 400) == 0);

    for (size_t i = 0; i < 40; i++) {
        struct walker w = {.desk = &d, .at = i + 1};
        CHECK(store_walk(d.store, d.sequence[i], visit, NULL, &w, &err) == 0);
        CHECK(w.seen == 39 - i);
    }
    end(&d);
}

TEST(a_walk_in_portions_meets_every_record_once)
{
    for (size_t portion = 1; portion < 6; portion++) {
        struct desk d;
        struct err err = {0};
        uint64_t after = 0;
        size_t at = 0;
        begin(&d, SMALL);
        for (size_t i = 0; i < 30; i++)
            CHECK(put_one(&d, 1, 200) == 0);

        int r = -1;
        while (r == -1) {
            struct walker w = {.desk = &d, .at = at, .stop_at = portion};
            r = store_walk(d.store, after, visit, NULL, &w, &err);
            at = w.at;
            after = at ? d.sequence[at - 1] : 0;
            if (at == 17)
                CHECK(put_one(&d, 1, 200) == 0);
        }
        CHECK(r == 0 && at == d.count);
        end(&d);
    }
}

TEST(a_refused_batch_leaves_a_hole_and_nothing_else)
{
    struct desk d;
    struct err err = {0};
    begin(&d, 0);

    struct made_record *made[3] = {make(&d, 2, 10), make(&d, 3, 10), make(&d, 1, 10)};
    struct store_record records[3] = {
        {.record = &made[0]->record}, {.record = &made[1]->record}, {.record = &made[2]->record}};
    CHECK(store_reserve(d.store, records, 3, &err) == 0);
    CHECK(records[1].first.ordinal == 2 && records[2].first.ordinal == 5);
    struct store_record accepted[2] = {records[0], records[2]};
    CHECK(append(&d, accepted, 2, &err) == 0);
    d.count = 2;
    d.made[0] = made[0];
    d.made[1] = made[2];
    for (size_t i = 0; i < 2; i++) {
        d.first[i] = accepted[i].first;
        d.sequence[i] = accepted[i].sequence;
    }
    made_free(made[1]);

    for (int round = 0; round < 2; round++) {
        check_reads(&d);
        check_walk(&d);
        struct run *runs;
        struct arena *arena = arena_new(256);
        CHECK(read_on(d.store, d.loop, &(struct place){1, 3}, 1, arena, &runs, &err) ==
              ERR_NOT_FOUND);
        arena_free(arena);
        CHECK(put_one(&d, 1, 10) == 0);
        CHECK(d.first[d.count - 1].ordinal == 6 + (uint32_t)round);
        reopen(&d);
    }
    end(&d);
}

TEST(places_are_given_again_but_sequences_never)
{
    struct desk d;
    struct err err = {0};
    begin(&d, 0);
    CHECK(put_one(&d, 1, 10) == 0);

    struct made_record *made = make(&d, 1, 10);
    struct store_record a = {.record = &made->record}, b = a;
    CHECK(store_reserve(d.store, &a, 1, &err) == 0);
    CHECK(store_reserve(d.store, &b, 1, &err) == 0);
    CHECK(a.first.container == b.first.container && a.first.ordinal == b.first.ordinal);
    CHECK(b.sequence > a.sequence && a.sequence > d.sequence[0]);
    CHECK(append(&d, &b, 1, &err) == 0);
    made_free(made);
    CHECK(put_one(&d, 1, 10) == 0);
    CHECK(d.sequence[1] > b.sequence);
    end(&d);
}

TEST(a_large_record_begins_a_segment)
{
    struct desk d;
    begin(&d, SMALL);
    CHECK(put_one(&d, 1, 10) == 0);
    CHECK(put_one(&d, 1, 3 * SMALL) == 0);
    CHECK(put_one(&d, 1, 10) == 0);

    CHECK(d.first[0].container == 1 && d.first[1].container == 2 && d.first[2].container == 3);
    check_reads(&d);
    reopen(&d);
    check_reads(&d);
    end(&d);
}

TEST(a_finished_segment_is_cut_to_its_end)
{
    struct desk d;
    size_t size;
    begin(&d, 1 << 20);
    CHECK(put_one(&d, 1, 700000) == 0);
    CHECK(put_one(&d, 1, 700000) == 0);

    free(scratch_read(scratch_at(&d.dir, segment_name(1)), &size));
    CHECK(size == SEGMENT_HEAD + store_size(&d.made[0]->record));
    free(scratch_read(scratch_at(&d.dir, segment_name(2)), &size));
    CHECK(size == 1 << 20);
    store_close(d.store);
    d.store = NULL;
    free(scratch_read(scratch_at(&d.dir, segment_name(2)), &size));
    CHECK(size == SEGMENT_HEAD + store_size(&d.made[1]->record));
    end(&d);
}

enum { GROUPS = 8 };

/* Fill, with failures; tell the pipe which groups were acknowledged, and at the
 * end whether anything failed. */
_Noreturn static void fill_in_child(struct desk *d, int answers)
{
    struct err err = {0};
    dup2(open("/dev/null", O_WRONLY), 2);
    d->loop = hand_loop_open();
    if (store_log_open(&d->config, &d->store, &err))
        _exit(3);
    for (size_t i = 0; i < GROUPS; i++) {
        struct made_record *made[2] = {make(d, 1, 300), make(d, 2, 100)};
        char answer = put(d, made, 2, &err) == 0 ? '+' : '-';
        if (write(answers, &answer, 1) != 1)
            _exit(4);
    }
    store_close(d->store);
    if (bad_disk_plan.failed && write(answers, "!", 1) != 1)
        _exit(4);
    _exit(0);
}

/* What is in the log after all, against what was answered. */
struct survivors {
    struct made_record *made[2 * GROUPS];
    char answer[2 * GROUPS]; /* '+', '-', or 0: none was given */
    size_t at;
};

static int meet(void *context, const struct record *record, struct place first, uint64_t sequence,
                struct err *err)
{
    struct survivors *s = context;
    (void)first;
    (void)sequence;
    (void)err;
    while (s->at < 2 * GROUPS && !str_eq(s->made[s->at]->record.body, record->body))
        CHECK(s->answer[s->at++] != '+');
    CHECK(s->at < 2 * GROUPS);
    if (s->at < 2 * GROUPS)
        CHECK(s->answer[s->at++] != '-');
    return 0;
}

/* The n-th call of a kind fails, once or from then on.  Whatever comes of it,
 * after a restart what was acknowledged is there and what was refused is not.
 * False when there was no n-th call. */
static bool fails_and_survives(enum bad_call call, int at, bool for_good)
{
    struct desk d = {.dir = scratch_new()};
    int ends[2];
    d.config = (struct store_log_config){
        .dir = scratch_str(&d.dir), .disk = &bad_disk, .segment_size = SMALL};
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                               .call = call,
                                               .fails_at = at,
                                               .and_then_always = for_good,
                                               .sys = call == BAD_PWRITEV ? ENOSPC : EIO};
        fill_in_child(&d, ends[1]);
    }
    close(ends[1]);
    char answers[GROUPS + 2] = {0};
    for (ssize_t n = 0, got = 1; got > 0; n += got)
        got = read(ends[0], answers + n, sizeof answers - 1 - (size_t)n);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    CHECK(code == 0 || code == 70 || code == 3);
    bool sync = call == BAD_FSYNC || call == BAD_FDATASYNC;
    CHECK(!sync || !strchr(answers, '-')); /* a failed sync is never only an error */

    struct survivors s = {.at = 0};
    for (size_t i = 0; i < GROUPS; i++)
        for (size_t k = 0; k < 2; k++) {
            s.made[2 * i + k] = make(&d, 1 + k, k ? 100 : 300);
            s.answer[2 * i + k] = answers[i];
        }
    struct err err = {0};
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    open_desk(&d);
    CHECK(store_walk(d.store, 0, meet, NULL, &s, &err) == 0);
    for (; s.at < 2 * GROUPS; s.at++)
        CHECK(s.answer[s.at] != '+');

    store_close(d.store);
    for (size_t i = 0; i < 2 * GROUPS; i++)
        made_free(s.made[i]);
    scratch_remove(&d.dir);
    return code != 0 || strchr(answers, '!');
}

TEST(whichever_call_fails_what_was_acknowledged_is_there_after_a_restart)
{
    static const enum bad_call calls[] = {BAD_OPEN,      BAD_PREAD,    BAD_PWRITEV,
                                          BAD_FDATASYNC, BAD_FSYNC,    BAD_FTRUNCATE,
                                          BAD_FSTAT,     BAD_FSTATVFS, BAD_FALLOCATE};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int for_good = 0; for_good < 2; for_good++) {
            int at = 1;
            while (at < 50 && fails_and_survives(calls[i], at, for_good))
                at++;
            bool at_start = calls[i] == BAD_PREAD || calls[i] == BAD_FSTAT;
            CHECK(at < 50 && (at > 1 || at_start));
        }
}

TEST(a_process_that_is_killed_loses_nothing_it_acknowledged)
{
    struct desk d;
    begin(&d, 1 << 20);
    for (size_t i = 0; i < 5; i++)
        CHECK(put_one(&d, 2, 300) == 0);

    /* Its file as it is now, with space allocated ahead, is what a kill leaves. */
    size_t size;
    char *bytes = scratch_read(scratch_at(&d.dir, segment_name(1)), &size);
    CHECK(size == 1 << 20);
    store_close(d.store);
    d.store = NULL;
    scratch_write(scratch_at(&d.dir, segment_name(1)), bytes, size);
    free(bytes);
    open_desk(&d);
    check_reads(&d);
    check_walk(&d);
    CHECK(put_one(&d, 2, 300) == 0);
    reopen(&d);
    check_reads(&d);
    end(&d);
}

TEST(a_start_syncs_what_a_killed_process_may_have_left_unsynced)
{
    struct desk d;
    begin(&d, 0);
    CHECK(bad_disk_plan.calls[BAD_FSYNC] == 1); /* the directory */
    CHECK(put_one(&d, 1, 10) == 0);

    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    reopen(&d);
    CHECK(bad_disk_plan.calls[BAD_FSYNC] == 2); /* and the last file */
    d.config.read_only = true;
    reopen(&d);
    CHECK(bad_disk_plan.calls[BAD_FSYNC] == 2);
    end(&d);
}

TEST(a_full_disk_is_said_and_forgotten_when_there_is_space_again)
{
    struct desk d;
    struct err err = {0};
    begin(&d, SMALL);
    d.config.reserve = 5000;
    reopen(&d);
    for (size_t i = 0; i < 5; i++)
        CHECK(put_one(&d, 1, 400) == 0);

    bad_disk_plan.limited = true;
    for (uint64_t available = 0; available < 5400; available += 450) {
        struct made_record *made = make(&d, 1, 400);
        bad_disk_plan.free_bytes = available;
        CHECK(put(&d, &made, 1, &err) == ERR_FULL);
        struct store_sizes size;
        store_sizes(d.store, &size);
        CHECK(size.free_bytes == (available > 5000 ? available - 5000 : 0));
        check_reads(&d);
    }
    bad_disk_plan.limited = false;
    for (size_t i = 0; i < 5; i++)
        CHECK(put_one(&d, 1, 400) == 0);
    check_reads(&d);
    reopen(&d);
    check_walk(&d);
    end(&d);
}

TEST(a_file_left_by_a_failed_creation_is_removed_at_the_next_start)
{
    struct desk d;
    struct err err = {0};
    begin(&d, SMALL);
    CHECK(put_one(&d, 1, 1500) == 0);

    /* Its head cannot be written, and its name cannot be removed. */
    bad_disk_plan = (struct bad_disk_plan){
        .no_sync = true, .call = BAD_PWRITEV, .fails_at = 1, .second = BAD_UNLINK};
    struct made_record *made = make(&d, 1, 1500);
    CHECK(put(&d, &made, 1, &err) == ERR_IO);
    CHECK(scratch_exists(scratch_at(&d.dir, segment_name(2))));
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    CHECK(put_one(&d, 1, 1500) == 0);
    CHECK(d.first[1].container == 3);
    reopen(&d); /* it is not the last, so it stays, and does no harm */
    check_walk(&d);
    check_reads(&d);

    scratch_write(scratch_at(&d.dir, segment_name(4)), "RUNDL", 5);
    scratch_write(scratch_at(&d.dir, segment_name(5)), "", 0);
    reopen(&d);
    CHECK(!scratch_exists(scratch_at(&d.dir, segment_name(4))));
    CHECK(!scratch_exists(scratch_at(&d.dir, segment_name(5))));
    CHECK(put_one(&d, 1, 1500) == 0);
    CHECK(d.first[2].container == 6);
    CHECK(d.sequence[2] > d.sequence[1]);
    reopen(&d);
    check_walk(&d);
    end(&d);
}

/* Of any bit: the right bytes or ERR_CORRUPT, alone and together. */
TEST(a_flipped_bit_of_a_finished_segment_never_gives_wrong_bytes)
{
    struct desk d;
    begin(&d, 4000);
    for (size_t i = 0; i < 4; i++)
        CHECK(put_one(&d, 2, 60) == 0);
    CHECK(d.first[3].container == 1);
    CHECK(put_one(&d, 1, 2 * 4000) == 0);
    store_close(d.store);
    d.store = NULL;
    char path[512];
    size_t size, runs = 0;
    snprintf(path, sizeof path, "%s", scratch_at(&d.dir, segment_name(1)));
    char *bytes = scratch_read(path, &size);
    struct place places[8];
    for (size_t b = 0; b < 4; b++)
        for (uint32_t i = 0; i < 2; i++)
            places[runs++] = (struct place){1, d.first[b].ordinal + i};
    CHECK(runs == 8);

    for (size_t bit = 0; bit < size * 8; bit += 1 + (bit % 3 == 0)) {
        struct err err = {0};
        struct arena *arena = arena_new(8192);
        struct reader *reader = reader_new(&bad_disk, scratch_str(&d.dir), (struct str){0}, false);
        size_t good = 0;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        scratch_write(path, bytes, size);
        CHECK(reader_add(reader, 1, false, NULL, NULL, 0, &err) == 0);
        for (size_t i = 0; i < runs; i++) {
            struct run run;
            int r = reader_read(reader, &places[i], 1, arena, &run, &err);
            CHECK(r == 0 || r == ERR_CORRUPT);
            if (r == 0)
                CHECK(same(&run, &d.made[i / 2]->record, (uint32_t)i % 2));
            else
                CHECK(strstr(err.text, "0000000000000001.seg"));
            good += r == 0;
        }
        struct run all[8];
        int r = reader_read(reader, places, runs, arena, all, &err);
        CHECK(good == runs ? r == 0 : r == ERR_CORRUPT);
        CHECK(bit < SEGMENT_HEAD * 8 || good + 2 >= runs); /* the others are not lost */
        reader_free(reader);
        arena_free(arena);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(bytes);
    end(&d);
}

static void flip(const struct desk *d, uint64_t segment, size_t at)
{
    size_t size;
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_at(&d->dir, segment_name(segment)));
    char *bytes = scratch_read(path, &size);
    bytes[at] ^= 4;
    scratch_write(path, bytes, size);
    free(bytes);
}

TEST(a_walk_stops_at_damage_or_tells_and_goes_on)
{
    struct desk d;
    begin(&d, SMALL);
    for (size_t i = 0; i < 12; i++)
        CHECK(put_one(&d, 1, 200) == 0);
    CHECK(d.first[2].container == 1 && d.first[3].container > 0);
    uint64_t size = store_size(&d.made[0]->record);
    flip(&d, 1, SEGMENT_HEAD + size + 20);          /* a head */
    flip(&d, 2, SEGMENT_HEAD + SEGMENT_RECORD + 5); /* a table */
    CHECK(d.first[11].container > 3);
    flip(&d, 3, 20); /* the head of a file */
    reopen(&d);

    struct err err = {0};
    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, 0, visit, NULL, &w, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000001.seg") && w.seen == 1);
    w = (struct walker){.desk = &d};
    CHECK(store_walk(d.store, 0, visit, damaged, &w, &err) == 0);
    size_t of_third = 0;
    for (size_t i = 0; i < 12; i++)
        of_third += d.first[i].container == 3;
    CHECK(w.told == 3 && w.seen == 12 - 2 - of_third);
    CHECK(strcmp(w.file, "0000000000000003.seg") == 0 && w.offset == 0);
    CHECK(read_one(&d, 0, 0, &err) == 0);
    CHECK(read_one(&d, 1, 0, &err) == ERR_CORRUPT);
    CHECK(read_one(&d, 2, 0, &err) == 0);
    CHECK(read_one(&d, 11, 0, &err) == 0);
    end(&d);
}

TEST(a_walk_notices_a_lost_end_of_a_finished_segment)
{
    struct desk d;
    struct err err = {0};
    size_t size;
    begin(&d, SMALL);
    for (size_t i = 0; i < 6; i++)
        CHECK(put_one(&d, 1, 200) == 0);
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_at(&d.dir, segment_name(1)));
    char *bytes = scratch_read(path, &size);
    scratch_write(path, bytes, SEGMENT_HEAD + store_size(&d.made[0]->record));
    free(bytes);
    reopen(&d);

    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, 0, visit, NULL, &w, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000001.seg") && strstr(err.text, "missing"));
    end(&d);
}

TEST(damage_before_something_valid_is_refused_at_the_start)
{
    struct desk d;
    struct err err = {0};
    struct store *store = NULL;
    size_t size, size_after;
    begin(&d, 0);
    for (size_t i = 0; i < 3; i++)
        CHECK(put_one(&d, 1, 200) == 0);
    store_close(d.store);
    d.store = NULL;
    flip(&d, 1, SEGMENT_HEAD + 300);

    char path[512];
    snprintf(path, sizeof path, "%s", scratch_at(&d.dir, segment_name(1)));
    char *before = scratch_read(path, &size);
    CHECK(store_log_open(&d.config, &store, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000001.seg: damaged at 64"));
    char *after = scratch_read(path, &size_after);
    CHECK(size == size_after && memcmp(before, after, size) == 0);
    free(before);
    free(after);
    end(&d);
}

TEST(read_only_changes_nothing_and_sees_what_is_written_meanwhile)
{
    struct desk d;
    struct err err = {0};
    begin(&d, 1 << 20);
    for (size_t i = 0; i < 3; i++)
        CHECK(put_one(&d, 1, 200) == 0);
    struct store_log_config config = d.config;
    config.read_only = true;
    struct store *other = NULL;
    CHECK(store_log_open(&config, &other, &err) == 0);

    struct walker w = {.desk = &d};
    CHECK(store_walk(other, 0, visit, NULL, &w, &err) == 0);
    CHECK(w.seen == 3);
    CHECK(put_one(&d, 1, 200) == 0);
    struct arena *arena = arena_new(256);
    struct run *runs;
    CHECK(read_on(other, d.loop, &d.first[3], 1, arena, &runs, &err) == 0);
    CHECK(same(runs, &d.made[3]->record, 0));
    CHECK(read_on(other, d.loop, &(struct place){1, 9}, 1, arena, &runs, &err) == ERR_NOT_FOUND);
    arena_free(arena);
    store_close(other);
    check_reads(&d);
    CHECK(put_one(&d, 1, 200) == 0);
    end(&d);
}

TEST(read_only_creates_nothing)
{
    struct scratch dir = scratch_new();
    struct err err = {0};
    struct store *store = NULL;
    struct store_log_config config = {
        .dir = scratch_str(&dir), .disk = &bad_disk, .read_only = true};
    scratch_write(scratch_at(&dir, segment_name(7)), "", 0);
    scratch_write(scratch_at(&dir, "other.txt"), "", 0);

    CHECK(store_log_open(&config, &store, &err) == 0);
    CHECK(store_walk(store, 0, visit, NULL, NULL, &err) == 0);
    store_close(store);
    CHECK(scratch_exists(scratch_at(&dir, segment_name(7))));
    CHECK(scratch_exists(scratch_at(&dir, "other.txt")));
    scratch_remove(&dir);
}

TEST(a_missing_directory_is_an_error_and_a_full_queue_is_busy)
{
    struct store *store = NULL;
    struct err err = {0};
    struct store_log_config config = {.dir = STR("/nonexistent/rundlet"), .disk = &disk_real};
    CHECK(store_log_open(&config, &store, &err) == ERR_IO);
    CHECK(strstr(err.text, "/nonexistent/rundlet"));

    struct desk d;
    begin(&d, 0);
    CHECK(put_one(&d, 1, 10) == 0);
    d.config.read_queue = 0;
    reopen(&d);
    struct arena *arena = arena_new(256);
    struct run *runs;
    CHECK(read_on(d.store, d.loop, d.first, 1, arena, &runs, &err) == ERR_BUSY);
    arena_free(arena);
    end(&d);
}

/* One writer, and readers that ask for whatever has been acknowledged. */
struct contest {
    struct desk *desk;
    atomic_size_t acknowledged;
    atomic_bool over;
    atomic_size_t reads, wrong;
};

static void *read_all_the_time(void *arg)
{
    struct contest *c = arg;
    struct loop *loop = hand_loop_open();
    struct make_random random = {(uint64_t)(uintptr_t)&loop};
    while (!atomic_load(&c->over)) {
        size_t n = atomic_load(&c->acknowledged);
        if (n == 0)
            continue;
        struct place places[8];
        size_t batch[8];
        for (size_t i = 0; i < 8; i++) {
            batch[i] = make_random(&random) % n;
            places[i] = c->desk->first[batch[i]];
        }
        struct arena *arena = arena_new(1024);
        struct run *runs;
        struct err err = {0};
        int r = read_on(c->desk->store, loop, places, 8, arena, &runs, &err);
        for (size_t i = 0; i < 8; i++)
            if (r || !same(&runs[i], &c->desk->made[batch[i]]->record, 0))
                atomic_fetch_add(&c->wrong, 1);
        atomic_fetch_add(&c->reads, 1);
        arena_free(arena);
    }
    hand_loop_close(loop);
    return NULL;
}

TEST(readers_beside_the_writer_see_what_was_acknowledged)
{
    struct desk d;
    begin(&d, 1 << 14);
    store_close(d.store);
    d.config.read_threads = 3;
    d.config.disk = &disk_real; /* its counters are of one thread */
    open_desk(&d);
    struct contest c = {.desk = &d};
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, read_all_the_time, &c) == 0);

    for (size_t i = 0; i < MOST; i++) {
        CHECK(put_one(&d, 1 + i % 3, i % 7 * 500) == 0);
        atomic_store(&c.acknowledged, d.count);
    }
    while (atomic_load(&c.reads) < 20 && atomic_load(&c.wrong) == 0)
        continue;
    atomic_store(&c.over, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&c.wrong) == 0);
    CHECK(atomic_load(&c.reads) >= 20);
    reopen(&d);
    check_walk(&d);
    end(&d);
}
