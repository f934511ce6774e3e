/* store_seal_test.c - while segments become packs, nobody who reads can tell. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"
#include "store/pack_file.h"
#include "store/reader.h"
#include "store/segment.h"
#include "store/store.h"

enum { MOST = 300, SMALL = 4096 };

/* A store, and everything that was put into it. */
struct desk {
    struct scratch dir;
    char segments[300], packs[300];
    struct store_log_config config;
    struct store *store;
    struct loop *loop;
    struct made_record *made[MOST];
    struct place first[MOST];
    uint64_t sequence[MOST];
    size_t count;
    uint64_t next; /* number of the next run that is made */
};

static struct store *open_store(const struct store_log_config *config)
{
    struct err err = {0};
    struct store *store = NULL;
    if (store_log_open(config, &store, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return store;
}

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static void begin(struct desk *d)
{
    *d = (struct desk){.dir = scratch_new(), .loop = hand_loop_open()};
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    snprintf(d->segments, sizeof d->segments, "%s/segments", d->dir.path);
    snprintf(d->packs, sizeof d->packs, "%s/packs", d->dir.path);
    CHECK(mkdir(d->segments, 0700) == 0 && mkdir(d->packs, 0700) == 0);
    d->config = (struct store_log_config){.dir = str_of(d->segments),
                                          .packs = str_of(d->packs),
                                          .disk = &bad_disk,
                                          .segment_size = SMALL,
                                          .read_threads = 1,
                                          .read_queue = 16};
    d->store = open_store(&d->config);
}

static void close_desk(struct desk *d)
{
    store_close(d->store);
    d->store = NULL;
}

static void reopen(struct desk *d)
{
    close_desk(d);
    d->store = open_store(&d->config);
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

static const char *file_of(const struct desk *d, uint64_t number, const char *suffix)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%016llx.%s", suffix[0] == 's' ? d->segments : d->packs,
             (unsigned long long)number, suffix);
    return path;
}

/* ---- writing ---- */

static struct made_record *make(struct desk *d, size_t runs, size_t bytes)
{
    struct make_run *specs = calloc(runs, sizeof *specs);
    char *name = malloc(bytes + 1);
    memset(name, 'x', bytes);
    name[bytes] = '\0';
    for (size_t i = 0; i < runs; i++) {
        d->next++;
        specs[i] = (struct make_run){.id = make_id(d->next),
                                     .trace = make_id(70000 + d->next % 11),
                                     .name = name,
                                     .project = d->next % 2 ? "p" : NULL,
                                     .number = d->next};
    }
    struct made_record *made = make_record(specs, runs);
    made->record.received_us = (int64_t)d->next;
    free(name);
    free(specs);
    return made;
}

struct waited {
    struct store_append append;
    struct store_rest rest;
    bool done;
};

static void appended(struct op *op)
{
    op_owner(op, struct waited, append.op)->done = true;
}

static void put(struct desk *d, size_t runs, size_t bytes)
{
    struct err err = {0};
    struct made_record *made = make(d, runs, bytes);
    struct store_record record = {.record = &made->record};
    CHECK(store_reserve(d->store, &record, 1, &err) == 0);
    struct waited w = {
        .append = {.op = {.loop = d->loop, .done = appended}, .records = &record, .count = 1}};
    store_append(d->store, &w.append);
    CHECK(hand_loop_until(d->loop, &w.done));
    CHECK(w.append.op.err.code == 0);
    CHECK(d->count == 0 || record.sequence > d->sequence[d->count - 1]);
    d->made[d->count] = made;
    d->first[d->count] = record.first;
    d->sequence[d->count++] = record.sequence;
}

static void put_many(struct desk *d, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(d, 1 + i % 3, i % 5 * 300);
}

static void rested(struct op *op)
{
    op_owner(op, struct waited, rest.op)->done = true;
}

static int rest_before(struct desk *d, int64_t before_us)
{
    struct waited w = {.rest = {.op = {.loop = d->loop, .done = rested}, .before_us = before_us}};
    store_rest(d->store, &w.rest);
    CHECK(!w.done);
    CHECK(hand_loop_until(d->loop, &w.done));
    return (int)w.rest.op.err.code;
}

static int rest(struct desk *d)
{
    return rest_before(d, INT64_MAX);
}

static int seal_next(struct desk *d)
{
    struct store_sealed sealed;
    return store_seal(d->store, NULL, NULL, &sealed, NULL);
}

static size_t seal_all(struct desk *d)
{
    size_t n = 0;
    while (seal_next(d) == 0)
        n++;
    return n;
}

static void drop_all(struct desk *d)
{
    while (store_left(d->store))
        CHECK(store_drop_left(d->store, NULL) == 0);
}

/* ---- reading ---- */

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
    CHECK(hand_loop_until(loop, &reading.done));
    *runs = reading.read.runs;
    *err = reading.read.op.err;
    return (int)err->code;
}

static bool is_run(const struct run *run, const struct record *record, uint32_t i)
{
    struct run want;
    return record_run(record, i, &want, NULL) == 0 && same_run(run, &want);
}

/* Everything the desk remembers, all at once, last first. */
static void check_reads_of(struct desk *d, struct store *store)
{
    struct err err = {0};
    size_t total = 0, n = 0;
    for (size_t b = 0; b < d->count; b++)
        total += d->made[b]->record.count;
    struct place *places = calloc(total + 1, sizeof *places);
    for (size_t b = d->count; b-- > 0;)
        for (uint32_t i = 0; i < d->made[b]->record.count; i++)
            places[n++] = (struct place){d->first[b].container, d->first[b].ordinal + i};
    struct arena *arena = arena_new(4096);
    struct run *runs = NULL;
    CHECK(read_on(store, d->loop, places, total, arena, &runs, &err) == 0);
    if (err.code)
        fprintf(stderr, "%s\n", err.text);
    n = 0;
    for (size_t b = d->count; !err.code && b-- > 0;)
        for (uint32_t i = 0; i < d->made[b]->record.count; i++)
            CHECK(is_run(&runs[n++], &d->made[b]->record, i));
    arena_free(arena);
    free(places);
}

static void check_reads(struct desk *d)
{
    check_reads_of(d, d->store);
}

/* One run, alone. */
static int read_one(struct desk *d, size_t batch, struct err *err)
{
    struct arena *arena = arena_new(256);
    struct run *run = NULL;
    int r = read_on(d->store, d->loop, &d->first[batch], 1, arena, &run, err);
    if (!r)
        CHECK(is_run(run, &d->made[batch]->record, 0));
    arena_free(arena);
    return r;
}

/* A walk must meet the remembered batches from `at` on, in order. */
struct walker {
    struct desk *desk;
    size_t at;
    size_t stop_at; /* after so many; 0: never */
    size_t seen, told, lost;
    char file[32]; /* of the last damage */
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
    for (uint32_t i = 0; i < record->count && i < want->count; i++) {
        struct run run;
        if (w->told && record_run(record, i, &run, NULL)) {
            w->lost++;
            continue;
        }
        CHECK(record_run(record, i, &run, NULL) == 0 && is_run(&run, want, i));
    }
    w->at++;
    return ++w->seen == w->stop_at ? -1 : 0;
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    (void)lost;
    struct walker *w = context;
    (void)offset;
    w->told++;
    snprintf(w->file, sizeof w->file, "%.*s", STR_FMT(file));
    CHECK(why[0] != '\0');
}

static void check_walk_of(struct desk *d, struct store *store)
{
    struct walker w = {.desk = d};
    struct err err = {0};
    CHECK(store_walk(store, 0, visit, NULL, &w, &err) == 0);
    CHECK(w.seen == d->count);
}

static void check_walk(struct desk *d)
{
    check_walk_of(d, d->store);
}

static void check_all(struct desk *d)
{
    check_reads(d);
    check_walk(d);
}

/* ---- sealing ---- */

static bool look_meanwhile(void *context, uint64_t bytes)
{
    (void)bytes;
    check_reads(context);
    return true;
}

TEST(the_same_places_are_read_before_while_and_after)
{
    struct desk d;
    struct store_sealed sealed;
    uint64_t raw = 0;
    begin(&d);
    put_many(&d, 60);
    uint64_t segments = d.first[59].container;
    CHECK(segments > 5);
    check_all(&d);
    for (uint64_t n = 1; n < segments; n++) {
        struct err err = {0};
        CHECK(store_seal(d.store, look_meanwhile, &d, &sealed, &err) == 0);
        struct stat st;
        CHECK(sealed.number == n && stat(file_of(&d, n, "pack"), &st) == 0 &&
              sealed.pack_size == (uint64_t)st.st_size);
        raw += sealed.raw_size;
        check_all(&d);
        CHECK(scratch_exists(file_of(&d, n, "seg")) && store_left(d.store) > 0);
        if (n % 2) {
            CHECK(store_drop_left(d.store, &err) == 0);
            check_all(&d);
        }
    }
    CHECK(raw > 0 && seal_next(&d) == ERR_NOT_FOUND); /* the last one is written */
    put_many(&d, 20);
    check_all(&d);
    drop_all(&d);
    CHECK(store_left(d.store) == 0);
    check_all(&d);
    for (uint64_t n = 1; n < segments; n++)
        CHECK(!scratch_exists(file_of(&d, n, "seg")) && scratch_exists(file_of(&d, n, "pack")));
    end(&d);
}

TEST(what_is_left_is_the_last_sequence_of_the_oldest)
{
    struct desk d;
    begin(&d);
    put_many(&d, 30);
    size_t n = seal_all(&d);
    CHECK(n > 2);
    for (uint64_t number = 1; number <= n; number++) {
        uint64_t last = 0;
        for (size_t b = 0; b < d.count; b++)
            if (d.first[b].container == number)
                last = d.sequence[b];
        CHECK(store_left(d.store) == last);
        CHECK(store_drop_left(d.store, NULL) == 0);
        CHECK(!scratch_exists(file_of(&d, number, "seg")));
    }
    CHECK(store_left(d.store) == 0);
    end(&d);
}

TEST(a_segment_that_cannot_be_removed_is_left_for_later)
{
    struct desk d;
    struct err err = {0};
    begin(&d);
    put_many(&d, 10);
    CHECK(seal_all(&d) > 0);
    uint64_t left = store_left(d.store);
    bad_disk_plan =
        (struct bad_disk_plan){.no_sync = true, .call = BAD_UNLINK, .fails_at = 1, .sys = EACCES};
    CHECK(store_drop_left(d.store, &err) == ERR_IO);
    CHECK(store_left(d.store) == left && scratch_exists(file_of(&d, 1, "seg")));
    CHECK(store_drop_left(d.store, &err) == 0);
    CHECK(!scratch_exists(file_of(&d, 1, "seg")));
    check_all(&d);
    end(&d);
}

TEST(sizes_count_what_is_there)
{
    struct desk d;
    struct store_sizes live, anew;
    begin(&d);
    put_many(&d, 40);
    store_sizes(d.store, &live);
    CHECK(live.packs == 0 && live.pack_bytes == 0 && live.segments == d.first[39].container);
    CHECK(live.appended_us > 0);
    CHECK(seal_next(&d) == 0 && seal_next(&d) == 0);
    drop_all(&d);
    for (int round = 0; round < 2; round++) {
        if (round == 1) {
            CHECK(rest(&d) == 0);
            seal_all(&d);
            drop_all(&d);
        }
        store_sizes(d.store, &live);
        uint64_t pack_bytes = 0, bytes = 0;
        for (uint64_t n = 1; n <= d.first[39].container; n++) {
            struct stat st;
            if (stat(file_of(&d, n, "pack"), &st) == 0)
                pack_bytes += (uint64_t)st.st_size;
            else if (stat(file_of(&d, n, "seg"), &st) == 0 && n < d.first[39].container)
                bytes += (uint64_t)st.st_size;
        }
        CHECK(live.packs == (round ? d.first[39].container : 2));
        CHECK(live.segments + live.packs == d.first[39].container);
        CHECK(live.pack_bytes == pack_bytes && live.bytes >= bytes);
        CHECK((live.bytes == 0) == (round == 1) && (live.appended_us == 0) == (round == 1));
        CHECK(live.last_sequence == d.sequence[39]);
        reopen(&d);
        store_sizes(d.store, &anew);
        CHECK(anew.packs == live.packs && anew.segments == live.segments &&
              anew.bytes == live.bytes && anew.pack_bytes == live.pack_bytes &&
              anew.last_sequence == live.last_sequence);
    }
    end(&d);
}

/* ---- rest ---- */

TEST(a_segment_rests_only_when_nothing_came_for_a_while)
{
    struct desk d;
    begin(&d);
    CHECK(rest(&d) == ERR_NOT_FOUND); /* there is none */
    put(&d, 1, 10);
    struct store_sizes size;
    store_sizes(d.store, &size);
    CHECK(rest_before(&d, size.appended_us - 1) == ERR_BUSY);
    check_all(&d);
    CHECK(rest_before(&d, size.appended_us) == 0);
    CHECK(rest(&d) == ERR_NOT_FOUND);
    check_all(&d);
    put(&d, 1, 10);
    CHECK(d.first[1].container == d.first[0].container + 1 && d.first[1].ordinal == 0);
    check_all(&d);
    reopen(&d);
    check_all(&d);
    end(&d);
}

TEST(an_empty_segment_has_nothing_to_rest)
{
    struct desk d;
    begin(&d);
    put(&d, 1, 10);
    CHECK(rest(&d) == 0);
    bad_disk_plan = (struct bad_disk_plan){
        .no_sync = true, .call = BAD_PWRITEV, .fails_at = 2}; /* the head is the first */
    struct made_record *made = make(&d, 1, 10);
    struct store_record record = {.record = &made->record};
    CHECK(store_reserve(d.store, &record, 1, NULL) == 0);
    struct waited w = {
        .append = {.op = {.loop = d.loop, .done = appended}, .records = &record, .count = 1}};
    store_append(d.store, &w.append);
    CHECK(hand_loop_until(d.loop, &w.done));
    CHECK(w.append.op.err.code == ERR_IO);
    CHECK(rest(&d) == ERR_NOT_FOUND);
    made_free(made);
    put(&d, 1, 10);
    check_all(&d);
    end(&d);
}

TEST(a_segment_does_not_rest_while_places_in_it_are_reserved)
{
    struct desk d;
    struct err err = {0};
    begin(&d);
    put(&d, 1, 10);
    struct made_record *made = make(&d, 1, 10);
    struct store_record record = {.record = &made->record};
    CHECK(store_reserve(d.store, &record, 1, &err) == 0);
    CHECK(rest(&d) == ERR_BUSY);
    store_forget(d.store);
    CHECK(rest(&d) == 0);
    CHECK(store_reserve(d.store, &record, 1, &err) == 0);
    CHECK(record.first.container == 2);
    CHECK(rest(&d) == ERR_BUSY);
    store_forget(d.store);
    made_free(made);
    put(&d, 1, 10);
    check_all(&d);
    end(&d);
}

TEST(a_segment_that_cannot_be_finished_is_written_on)
{
    struct desk d;
    begin(&d);
    put(&d, 1, 10);
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true, .call = BAD_FTRUNCATE, .fails_at = 1};
    CHECK(rest(&d) == ERR_IO);
    put(&d, 1, 10);
    CHECK(d.first[1].container == d.first[0].container);
    CHECK(seal_next(&d) == ERR_NOT_FOUND);
    CHECK(rest(&d) == 0 && seal_next(&d) == 0);
    check_all(&d);
    end(&d);
}

/* ---- walks ---- */

/* Walk in portions; something happens behind the `then`-th. */
static void walk_in_portions(struct desk *d, size_t portion, size_t then,
                             void (*happens)(struct desk *d))
{
    uint64_t after = 0;
    size_t at = 0, portions = 0;
    int r = -1;
    while (r == -1) {
        struct walker w = {.desk = d, .at = at, .stop_at = portion};
        struct err err = {0};
        r = store_walk(d->store, after, visit, NULL, &w, &err);
        at = w.at;
        after = at ? d->sequence[at - 1] : 0;
        if (++portions == then)
            happens(d);
    }
    CHECK(r == 0 && at == d->count);
}

static void nothing(struct desk *d)
{
    (void)d;
}

static void seal_one(struct desk *d)
{
    CHECK(seal_next(d) == 0);
}

static void seal_and_drop(struct desk *d)
{
    CHECK(seal_all(d) > 0);
    drop_all(d);
}

static void write_on(struct desk *d)
{
    put_many(d, 9);
}

TEST(a_walk_over_packs_and_segments_meets_every_record_once)
{
    struct desk d;
    begin(&d);
    put_many(&d, 40);
    uint64_t segments = d.first[39].container;
    CHECK(segments > 3);
    for (uint64_t n = 0; n < segments; n++) {
        if (n > 0)
            seal_one(&d);
        if (n % 2)
            drop_all(&d);
        check_walk(&d);
        for (size_t portion = 1; portion < 8; portion += 2)
            walk_in_portions(&d, portion, 0, nothing);
        for (size_t i = 0; i < d.count; i++) {
            struct walker w = {.desk = &d, .at = i + 1};
            CHECK(store_walk(d.store, d.sequence[i], visit, NULL, &w, NULL) == 0);
            CHECK(w.seen == d.count - 1 - i);
        }
    }
    end(&d);
}

TEST(a_walk_in_portions_goes_on_when_a_segment_has_become_a_pack)
{
    static void (*const happenings[])(struct desk *) = {seal_one, seal_and_drop, write_on};
    for (size_t h = 0; h < 3; h++)
        for (size_t then = 1; then < 30; then += 3) {
            struct desk d;
            begin(&d);
            put_many(&d, 30);
            if (then % 2)
                CHECK(seal_next(&d) == 0);
            walk_in_portions(&d, 1 + then % 4, then % 8, happenings[h]);
            end(&d);
        }
}

/* ---- starts ---- */

TEST(what_a_killed_sealing_left_is_removed_at_the_next_start)
{
    struct desk d;
    begin(&d);
    put_many(&d, 20);
    scratch_write(file_of(&d, 1, "tmp"), "half a pack", 11);
    scratch_write(file_of(&d, 99, "tmp"), "", 0);
    d.config.read_only = true;
    reopen(&d);
    CHECK(scratch_exists(file_of(&d, 1, "tmp"))); /* who only looks removes nothing */
    check_all(&d);
    d.config.read_only = false;
    reopen(&d);
    CHECK(!scratch_exists(file_of(&d, 1, "tmp")) && !scratch_exists(file_of(&d, 99, "tmp")));
    check_all(&d);
    end(&d);
}

TEST(a_segment_whose_pack_is_there_is_left_at_the_start)
{
    for (int read_only = 0; read_only < 2; read_only++) {
        struct desk d;
        begin(&d);
        put_many(&d, 20);
        CHECK(seal_next(&d) == 0);
        uint64_t left = store_left(d.store);
        d.config.read_only = read_only;
        reopen(&d);
        CHECK(store_left(d.store) == left);
        CHECK(scratch_exists(file_of(&d, 1, "seg")) && scratch_exists(file_of(&d, 1, "pack")));
        check_all(&d);
        if (!read_only) {
            drop_all(&d);
            CHECK(!scratch_exists(file_of(&d, 1, "seg")));
            CHECK(seal_all(&d) > 0);
            check_all(&d);
        }
        end(&d);
    }
}

static void flip(const char *at, size_t from_start, size_t from_end)
{
    char path[400];
    size_t size;
    snprintf(path, sizeof path, "%s", at);
    char *bytes = scratch_read(path, &size);
    bytes[from_end ? size - from_end : from_start] ^= 16;
    scratch_write(path, bytes, size);
    free(bytes);
}

TEST(a_damaged_pack_beside_its_segment_is_made_again)
{
    struct desk d;
    begin(&d);
    put_many(&d, 20);
    CHECK(seal_next(&d) == 0);
    flip(file_of(&d, 1, "pack"), 0, 1);
    d.config.read_only = true;
    reopen(&d);
    CHECK(scratch_exists(file_of(&d, 1, "pack")) && store_left(d.store) == 0);
    check_all(&d);
    d.config.read_only = false;
    reopen(&d);
    CHECK(!scratch_exists(file_of(&d, 1, "pack")) && store_left(d.store) == 0);
    check_all(&d);
    CHECK(seal_next(&d) == 0 && scratch_exists(file_of(&d, 1, "pack")));
    drop_all(&d);
    check_all(&d);
    end(&d);
}

/* The newest of all is a pack: every segment was sealed. */
static void begin_packed(struct desk *d)
{
    begin(d);
    put_many(d, 20);
    CHECK(rest(d) == 0 && seal_all(d) == d->first[19].container);
    drop_all(d);
    check_all(d);
}

static uint64_t newest(const struct desk *d)
{
    return d->first[d->count - 1].container;
}

TEST(sequences_and_containers_go_on_behind_a_pack)
{
    struct desk d;
    begin_packed(&d);
    uint64_t last = newest(&d);
    for (int round = 0; round < 3; round++) {
        struct store_sizes size;
        reopen(&d);
        store_sizes(d.store, &size);
        CHECK(size.last_sequence == d.sequence[d.count - 1]);
        check_all(&d);
    }
    put(&d, 1, 10); /* its sequence is greater: put() looks */
    CHECK(newest(&d) == last + 1);
    check_all(&d);
    CHECK(rest(&d) == 0 && seal_all(&d) == 1);
    reopen(&d); /* its segment is still there */
    check_all(&d);
    put(&d, 1, 10);
    CHECK(newest(&d) == last + 2);
    reopen(&d);
    check_all(&d);
    end(&d);
}

TEST(sequences_go_on_behind_a_damaged_pack)
{
    for (int broken = 1; broken < 4; broken++) {
        struct desk d;
        begin_packed(&d);
        uint64_t last = newest(&d);
        if (broken & 1)
            flip(file_of(&d, last, "pack"), 33, 0);
        if (broken & 2)
            flip(file_of(&d, last, "pack"), 0, 33);
        reopen(&d);
        check_reads(&d);
        struct walker w = {.desk = &d};
        CHECK(store_walk(d.store, 0, visit, damaged, &w, NULL) == 0);
        CHECK(w.seen == d.count && w.lost == 0 && w.told == (broken & 2 ? 1 : 0));
        put(&d, 1, 10);
        CHECK(newest(&d) == last + 1);
        check_reads(&d);
        reopen(&d);
        check_reads(&d);
        end(&d);
    }
}

/* Found out while it is read: of so many runs no reader holds all rows. */
TEST(a_pack_whose_rows_turn_out_damaged_is_mended_on_the_way)
{
    struct desk d;
    struct err err = {0};
    struct pack_file file;
    begin(&d);
    put(&d, 5000, 1);
    put(&d, 5000, 1);
    CHECK(seal_next(&d) == 0 && d.first[1].container == 2);
    drop_all(&d);
    CHECK(pack_file_open(&disk_real, d.config.packs, 1, PACK_STRICT, &file, &err) == 0);
    CHECK(!pack_loaded(file.pack, PACK_RUNS));
    flip(file_of(&d, 1, "pack"), file.pack->sections[PACK_RUNS].at + 2 * PACK_PAGE + 50, 0);
    pack_file_close(&file);
    check_all(&d);
    end(&d);
}

/* What recovery does at each start, with the index up to the end of the log. */
TEST(a_walk_behind_the_newest_pack_does_not_mind_its_damage)
{
    struct desk d;
    struct err err = {0};
    begin_packed(&d);
    flip(file_of(&d, newest(&d), "pack"), PACK_HEAD + 20, 0);
    reopen(&d);
    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, d.sequence[19], visit, NULL, &w, &err) == 0 && w.seen == 0);
    CHECK(store_walk(d.store, 0, visit, NULL, &w, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "lost"));
    put(&d, 1, 10);
    CHECK(read_one(&d, 20, &err) == 0);
    end(&d);
}

/* As a backup may have it: the segment is of before, the pack of after. */
TEST(a_damaged_pack_does_not_give_way_to_a_segment_that_has_less)
{
    struct desk d;
    size_t size;
    char path[400];
    begin(&d);
    put_many(&d, 20);
    CHECK(rest(&d) == 0);
    CHECK(seal_all(&d) == newest(&d));
    snprintf(path, sizeof path, "%s", file_of(&d, newest(&d), "seg"));
    char *bytes = scratch_read(path, &size);
    scratch_write(path, bytes, SEGMENT_HEAD);
    free(bytes);
    flip(file_of(&d, newest(&d), "pack"), 0, 33);
    reopen(&d);
    check_all(&d);
    CHECK(scratch_exists(file_of(&d, newest(&d), "pack")));
    end(&d);
}

TEST(a_segment_that_was_a_pack_once_is_not_written_again)
{
    struct desk d;
    begin(&d);
    put_many(&d, 20);
    CHECK(rest(&d) == 0 && seal_all(&d) == newest(&d));
    uint64_t last = newest(&d);
    flip(file_of(&d, last, "pack"), 0, 33);
    reopen(&d);
    CHECK(!scratch_exists(file_of(&d, last, "pack")));
    put(&d, 1, 10);
    CHECK(newest(&d) == last + 1 && d.sequence[20] > d.sequence[19]);
    check_all(&d);
    CHECK(seal_next(&d) == 0 && scratch_exists(file_of(&d, last, "pack")));
    check_all(&d);
    end(&d);
}

TEST(a_segment_whose_file_is_gone_does_not_keep_others_from_being_sealed)
{
    struct desk d;
    struct err err = {0};
    struct store_sealed sealed;
    begin(&d);
    put_many(&d, 20);
    CHECK(newest(&d) > 3 && unlink(file_of(&d, 1, "seg")) == 0);
    CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == ERR_CORRUPT);
    CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == 0 && sealed.number == 2);
    end(&d);
}

TEST(sequences_go_on_behind_what_the_index_had_of_a_damaged_pack)
{
    struct desk d;
    begin_packed(&d);
    flip(file_of(&d, newest(&d), "pack"), 33, 0);
    flip(file_of(&d, newest(&d), "pack"), 0, 33);
    d.config.durable_sequence = d.sequence[19] + 1000; /* of runs that are lost */
    reopen(&d);
    put(&d, 1, 10);
    CHECK(d.sequence[20] > d.config.durable_sequence);
    check_reads(&d);
    end(&d);
}

TEST(the_container_before_a_damaged_pack_is_not_blamed)
{
    struct desk d;
    begin_packed(&d);
    CHECK(newest(&d) > 2);
    flip(file_of(&d, 2, "pack"), 33, 0);
    flip(file_of(&d, 2, "pack"), 0, 33);
    reopen(&d);
    check_reads(&d);
    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, 0, visit, damaged, &w, NULL) == 0);
    CHECK(w.seen == d.count && w.lost == 0 && w.told == 1);
    CHECK(strcmp(w.file, "0000000000000002.pack") == 0);
    end(&d);
}

TEST(a_lost_end_is_noticed_over_packs_too)
{
    struct desk d;
    struct err err = {0};
    begin(&d);
    put_many(&d, 20);
    char *bytes, path[400];
    size_t size;
    CHECK(d.first[1].container == 1);
    snprintf(path, sizeof path, "%s", file_of(&d, 1, "seg"));
    bytes = scratch_read(path, &size);
    scratch_write(path, bytes, 64 + store_size(&d.made[0]->record));
    free(bytes);
    struct store_sealed sealed;
    CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "missing")); /* the next one says where it should end */
    CHECK(seal_all(&d) > 1);
    drop_all(&d);
    reopen(&d);
    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, 0, visit, NULL, &w, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000001.seg") && strstr(err.text, "missing"));
    w = (struct walker){.desk = &d};
    CHECK(store_walk(d.store, 0, visit, damaged, &w, &err) == 0);
    CHECK(w.told == 1 && strcmp(w.file, "0000000000000001.seg") == 0);
    end(&d);
}

/* ---- damage and failures ---- */

TEST(a_damaged_segment_is_passed_over_until_the_next_start)
{
    struct desk d;
    struct err err = {0};
    begin(&d);
    put_many(&d, 30);
    uint64_t segments = newest(&d);
    CHECK(segments > 3);
    flip(file_of(&d, 2, "seg"), 64 + 80 + 5, 0); /* the table of its first record */
    CHECK(seal_next(&d) == 0);
    struct store_sealed sealed;
    CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000002.seg"));
    CHECK(!scratch_exists(file_of(&d, 2, "pack")) && !scratch_exists(file_of(&d, 2, "tmp")));
    CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == 0 && sealed.number == 3);
    CHECK(seal_all(&d) == segments - 4);
    drop_all(&d);
    CHECK(scratch_exists(file_of(&d, 2, "seg")));
    for (size_t b = 0, bad = 0; b < d.count; b++) {
        int r = read_one(&d, b, &err);
        bad += d.first[b].container == 2;
        CHECK(r == (d.first[b].container == 2 && bad == 1 ? ERR_CORRUPT : 0));
    }
    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, 0, visit, damaged, &w, NULL) == 0);
    CHECK(w.told == 1 && w.seen == d.count - 1);

    flip(file_of(&d, 2, "seg"), 64 + 80 + 5, 0); /* mended by hand */
    reopen(&d);
    CHECK(seal_next(&d) == 0 && scratch_exists(file_of(&d, 2, "pack")));
    check_all(&d);
    end(&d);
}

TEST(a_sealing_that_fails_changes_nothing_and_is_tried_again)
{
    static const struct {
        enum bad_call call;
        int sys, code;
    } cases[] = {{BAD_PWRITEV, ENOSPC, ERR_FULL}, {BAD_PWRITEV, EIO, ERR_IO},
                 {BAD_PREAD, EIO, ERR_IO},        {BAD_RENAME, EIO, ERR_IO},
                 {BAD_OPEN, EMFILE, ERR_IO},      {BAD_FSTAT, EIO, ERR_IO}};
    struct desk d;
    begin(&d);
    put_many(&d, 40);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_sealed sealed = {0};
        struct err err = {0};
        struct store_sizes before, after;
        store_sizes(d.store, &before);
        bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                               .call = cases[i].call,
                                               .fails_at = 1,
                                               .and_then_always = true,
                                               .sys = cases[i].sys};
        CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == cases[i].code);
        bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
        store_sizes(d.store, &after);
        CHECK(after.packs == before.packs && after.segments == before.segments &&
              after.bytes == before.bytes);
        check_all(&d);
        /* What the disk refused is passed over for a while, or until the next start. */
        if (cases[i].code == ERR_IO)
            reopen(&d);
        CHECK(store_seal(d.store, NULL, NULL, &sealed, &err) == 0 && sealed.number == i + 1);
        check_all(&d);
    }
    end(&d);
}

static bool refuse(void *context, uint64_t bytes)
{
    (void)context;
    (void)bytes;
    return false;
}

TEST(a_sealing_that_is_told_to_stop_changes_nothing)
{
    struct desk d;
    struct store_sealed sealed;
    begin(&d);
    put_many(&d, 10);
    CHECK(store_seal(d.store, refuse, NULL, &sealed, NULL) == ERR_UNAVAILABLE);
    CHECK(store_left(d.store) == 0 && !scratch_exists(file_of(&d, 1, "pack")));
    check_all(&d);
    CHECK(seal_next(&d) == 0);
    end(&d);
}

TEST(a_damaged_block_costs_the_runs_in_it_only)
{
    struct desk d;
    struct err err = {0};
    begin_packed(&d);
    flip(file_of(&d, 2, "pack"), PACK_HEAD + 30, 0);
    reopen(&d);
    size_t lost = 0;
    for (size_t b = 0; b < d.count; b++) {
        int r = read_one(&d, b, &err);
        CHECK(r == (d.first[b].container == 2 ? ERR_CORRUPT : 0));
        CHECK(!r || strstr(err.text, "0000000000000002.pack"));
        lost += r ? d.made[b]->record.count : 0;
    }
    struct walker w = {.desk = &d};
    CHECK(store_walk(d.store, 0, visit, NULL, &w, &err) == ERR_CORRUPT);
    w = (struct walker){.desk = &d};
    CHECK(store_walk(d.store, 0, visit, damaged, &w, &err) == 0);
    CHECK(w.seen == d.count && w.lost == lost && w.told == 1);
    end(&d);
}

/* ---- beside another process ---- */

TEST(who_looked_before_sealing_reads_everything_after_it)
{
    struct desk d;
    begin(&d);
    put_many(&d, 25);
    struct store_log_config config = d.config;
    config.read_only = true;
    struct store *warm = open_store(&config), *cold = open_store(&config);
    check_reads_of(&d, warm); /* it has files open */
    CHECK(rest(&d) == 0);
    CHECK(seal_all(&d) > 2);
    check_reads_of(&d, warm);
    check_walk_of(&d, warm);
    drop_all(&d);
    check_reads_of(&d, warm);
    check_reads_of(&d, cold);
    check_walk_of(&d, warm);
    check_walk_of(&d, cold);
    store_close(warm);
    store_close(cold);
    end(&d);
}

TEST(who_looked_before_sealing_reads_what_came_and_was_sealed_since)
{
    struct desk d;
    begin(&d);
    put_many(&d, 12);
    struct store_log_config config = d.config;
    config.read_only = true;
    struct store *other = open_store(&config);
    put_many(&d, 25);
    CHECK(rest(&d) == 0 && seal_all(&d) > 2);
    drop_all(&d);
    uint64_t seen = 0;
    for (size_t b = 0; b < d.count; b++) {
        struct arena *arena = arena_new(256);
        struct run *run = NULL;
        struct err err = {0};
        CHECK(read_on(other, d.loop, &d.first[b], 1, arena, &run, &err) == 0);
        seen += !err.code && is_run(run, &d.made[b]->record, 0);
        arena_free(arena);
    }
    CHECK(seen == d.count);
    struct arena *arena = arena_new(256);
    struct run *run = NULL;
    struct err err = {0};
    static const struct place none[] = {{1, 9999}, {2, 9999}, {99, 0}};
    for (size_t i = 0; i < 3; i++)
        CHECK(read_on(other, d.loop, &none[i], 1, arena, &run, &err) == ERR_NOT_FOUND);
    arena_free(arena);
    store_close(other);
    end(&d);
}

TEST(who_looked_before_sealing_reads_a_pack_without_head_and_foot)
{
    struct desk d;
    begin(&d);
    put_many(&d, 25);
    struct store_log_config config = d.config;
    config.read_only = true;
    struct store *other = open_store(&config);
    CHECK(seal_next(&d) == 0);
    drop_all(&d);
    flip(file_of(&d, 1, "pack"), 33, 0);
    flip(file_of(&d, 1, "pack"), 0, 33);
    check_reads_of(&d, other);
    store_close(other);
    end(&d);
}

TEST(without_a_directory_of_packs_one_can_look)
{
    struct desk d;
    begin(&d);
    put_many(&d, 5);
    CHECK(rmdir(d.packs) == 0);
    d.config.read_only = true;
    reopen(&d);
    check_all(&d);
    close_desk(&d);
    d.config.read_only = false;
    struct err err = {0};
    CHECK(store_log_open(&d.config, &d.store, &err) == ERR_IO);
    CHECK(strstr(err.text, d.packs) && !d.store);
    end(&d);
}

/* ---- beside readers ---- */

/* Who has just found out that container 1 is a segment is overtaken: it becomes
 * a pack, and its file is gone before it was opened. */
static struct reader *overtaken;
static const char *lost_segment;

static int late_open(const char *path, int flags, mode_t mode)
{
    struct reader *reader = overtaken;
    if (reader && strstr(path, ".seg")) {
        overtaken = NULL;
        reader_seal(reader, 1);
        CHECK(unlink(lost_segment) == 0);
    }
    return disk_real.open(path, flags, mode);
}

TEST(a_segment_that_vanishes_before_it_was_opened_is_read_as_a_pack)
{
    struct desk d;
    begin(&d);
    put_many(&d, 10);
    CHECK(seal_next(&d) == 0);
    struct disk late = disk_real;
    late.open = late_open;
    lost_segment = file_of(&d, 1, "seg");
    struct reader *reader = reader_new(&late, str_of(d.segments), str_of(d.packs), false);
    CHECK(reader_add(reader, 1, false, NULL, NULL, 0, NULL) == 0);
    overtaken = reader;

    struct arena *arena = arena_new(256);
    struct run run;
    struct err err = {0};
    CHECK(reader_read(reader, d.first, 1, arena, &run, &err) == 0);
    CHECK(!overtaken && err.code == 0);
    if (!err.code)
        CHECK(is_run(&run, &d.made[0]->record, 0));
    arena_free(arena);
    reader_free(reader);
    end(&d);
}

/* Readers that ask for whatever has been acknowledged, while everything is sealed. */
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
        struct place places[6];
        size_t batch[6];
        for (size_t i = 0; i < 6; i++) {
            batch[i] = make_random(&random) % n;
            places[i] = c->desk->first[batch[i]];
        }
        struct arena *arena = arena_new(1024);
        struct run *runs;
        struct err err = {0};
        int r = read_on(c->desk->store, loop, places, 6, arena, &runs, &err);
        for (size_t i = 0; i < 6; i++)
            if (r || !is_run(&runs[i], &c->desk->made[batch[i]]->record, 0))
                atomic_fetch_add(&c->wrong, 1);
        atomic_fetch_add(&c->reads, 1);
        arena_free(arena);
    }
    hand_loop_close(loop);
    return NULL;
}

static void *seal_all_the_time(void *arg)
{
    struct contest *c = arg;
    struct store_sealed sealed;
    while (!atomic_load(&c->over)) {
        int r = store_seal(c->desk->store, NULL, NULL, &sealed, NULL);
        if (r && r != ERR_NOT_FOUND)
            atomic_fetch_add(&c->wrong, 1);
        if (store_left(c->desk->store) && store_drop_left(c->desk->store, NULL))
            atomic_fetch_add(&c->wrong, 1);
    }
    return NULL;
}

TEST(readers_beside_the_writer_and_sealing_see_what_was_acknowledged)
{
    struct desk d;
    begin(&d);
    close_desk(&d);
    d.config.read_threads = 2;
    d.config.disk = &disk_real; /* the counters of the other are of one thread */
    d.store = open_store(&d.config);
    struct contest c = {.desk = &d};
    pthread_t readers[2], sealer;
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&readers[i], NULL, read_all_the_time, &c) == 0);
    CHECK(pthread_create(&sealer, NULL, seal_all_the_time, &c) == 0);

    for (size_t i = 0; i < 120; i++) {
        put(&d, 1 + i % 3, i % 7 * 300);
        atomic_store(&c.acknowledged, d.count);
        if (i % 20 == 19)
            CHECK(rest(&d) == 0);
        if (i % 30 == 7)
            check_walk(&d);
    }
    struct store_sizes size = {0};
    do
        store_sizes(d.store, &size);
    while ((size.segments > 0 || atomic_load(&c.reads) < 50) && atomic_load(&c.wrong) == 0);
    atomic_store(&c.over, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    pthread_join(sealer, NULL);
    CHECK(atomic_load(&c.wrong) == 0 && size.packs == newest(&d));
    check_all(&d);
    reopen(&d);
    check_all(&d);
    end(&d);
}
