/* sqlite_test.c - what only the SQLite index promises: its file, its threads,
 * its limits.  What every index does is in test/conform/index_conform.c.
 *
 * The indexes here get so little memory that keys go to the file after every
 * 64 rows, and are merged often.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "index/index.h"
#include "index/sqlite_wal.h"
#include "lib/check.h"
#include "lib/index_calls.h"
#include "lib/make_layer.h"
#include "lib/make_record.h"
#include "run/filter.h"
#include "run/query.h"

enum { TRACES = 50, NAMES = 70, RUNS = 20 };

/* The library is not instrumented; it shares its WAL index between threads by
 * rules of its own. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libsqlite3.so\n";
}

struct bed {
    struct calls calls;
    char dir[128];
    struct index_sqlite_config config;
    char path[160];
    uint64_t runs; /* numbered from 0: make_id(n) */
    uint64_t sequence;
    int failures; /* of the tests before */
};

static bool failed(const struct bed *bed)
{
    return test_failures != bed->failures;
}

static void in_dir(const struct bed *bed, const char *name, char out[200])
{
    snprintf(out, 200, "%s/%s", bed->dir, name);
}

static void make_dir(struct bed *bed)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(bed->dir, sizeof bed->dir, "%s/sqlite_test.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(bed->dir))
        abort();
    int len = snprintf(bed->path, sizeof bed->path, "%s/index.db", bed->dir);
    bed->config = (struct index_sqlite_config){
        .path = {bed->path, (size_t)len},
        .readers = 3,
        .queue = 100,
        .deadline_ms = 60000,
        .cache_size = 1 << 12,
    };
    bed->failures = test_failures;
}

static void open_index(struct bed *bed)
{
    struct index *index = NULL;
    struct err err = {0};
    if (index_sqlite_open(&bed->config, &index, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    calls_open(&bed->calls, index);
}

static void close_index(struct bed *bed)
{
    calls_close(&bed->calls);
    bed->calls.index->ops->close(bed->calls.index);
}

static void start(struct bed *bed)
{
    *bed = (struct bed){0};
    make_dir(bed);
    open_index(bed);
}

static void forget_files(struct bed *bed)
{
    static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm"};
    char path[200];
    for (size_t i = 0; i < 3; i++) {
        in_dir(bed, names[i], path);
        unlink(path);
    }
    CHECK(rmdir(bed->dir) == 0);
}

static void stop(struct bed *bed)
{
    close_index(bed);
    forget_files(bed);
}

/* --- runs by number: all of a run follows from it -------------------------------- */

static struct uuid trace_of(uint64_t n)
{
    return make_id(1000000 + n % TRACES);
}

static int64_t start_of(uint64_t n)
{
    struct make_random random = {n};
    return (int64_t)(make_random(&random) % 100000);
}

static void name_of(uint64_t n, char out[32])
{
    snprintf(out, 32, "Step %llu of %llu", (unsigned long long)(n % NAMES),
             (unsigned long long)(n / 5000));
}

static struct made_record *make_runs(uint64_t first, size_t count)
{
    struct make_run *runs = calloc(count, sizeof *runs);
    char(*names)[32] = calloc(count, sizeof *names);
    if (!runs || !names)
        abort();
    for (size_t i = 0; i < count; i++) {
        uint64_t n = first + i;
        name_of(n, names[i]);
        runs[i] = (struct make_run){
            .id = make_id(n), .trace = trace_of(n), .name = names[i], .start_us = start_of(n)};
    }
    struct made_record *made = make_record(runs, count);
    free(runs);
    free(names);
    return made;
}

static int stage_runs(struct bed *bed, size_t count, struct index_batch *batch)
{
    struct made_record *made = make_runs(bed->runs, count);
    *batch = (struct index_batch){
        .record = &made->record, .first = {1, (uint32_t)bed->runs}, .sequence = ++bed->sequence};
    int r = calls_stage(&bed->calls, batch, 1);
    batch->record = NULL;
    made_free(made);
    return r;
}

static void add_runs(struct bed *bed, size_t count)
{
    struct index_batch batch;
    CHECK(stage_runs(bed, count, &batch) == 0);
    if (bed->calls.err.code)
        fprintf(stderr, "%s\n", bed->calls.err.text);
    CHECK(batch.verdict == INDEX_ADDED && batch.added == count);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
    bed->runs += count;
}

static void add_many(struct bed *bed, uint64_t runs, size_t each)
{
    while (bed->runs < runs && !failed(bed))
        add_runs(bed, each);
}

/* How many runs does the query have, on all its pages, in the right order? */
static uint64_t count_all(struct bed *bed, struct query query)
{
    uint64_t count = 0;
    for (bool more = true; more;) {
        struct arena *arena = arena_new(1 << 16);
        struct index_search found;
        if (calls_search(&bed->calls, &query, arena, &found)) {
            arena_free(arena);
            return UINT64_MAX;
        }
        for (size_t i = 0; i < found.count; i++) {
            const struct index_row *row = &found.rows[i];
            bool below = !query.after || row->start_us < query.cursor.start_us ||
                         (row->start_us == query.cursor.start_us &&
                          uuid_compare(row->id, query.cursor.id) < 0);
            CHECK(below);
            query.cursor = (struct query_cursor){row->start_us, row->id};
            query.after = true;
        }
        count += found.count;
        more = found.more;
        CHECK(!more || found.count == query.limit);
        arena_free(arena);
    }
    return count;
}

/* Is everything there, and nothing else? */
static void check_all(struct bed *bed)
{
    uint64_t wanted = 0, odd = bed->runs > 3 ? bed->runs - 3 : 0;
    for (uint64_t n = 0; n < bed->runs + 100; n += 7) {
        struct arena *arena = arena_new(1024);
        struct uuid id = make_id(n);
        struct index_row *row = NULL;
        CHECK(calls_find(&bed->calls, &id, 1, arena, &row) == 0);
        CHECK(row->found == (n < bed->runs));
        CHECK(!row->found || (row->holders[0].place.ordinal == n && row->start_us == start_of(n)));
        arena_free(arena);
        if (failed(bed))
            return;
    }
    const struct query any = {.by_name = true, .limit = 1000};
    CHECK(count_all(bed, any) == bed->runs);

    const struct query trace = {.by_trace = true, .trace = trace_of(odd), .limit = 17};
    for (uint64_t n = odd % TRACES; n < bed->runs; n += TRACES)
        wanted++;
    CHECK(count_all(bed, trace) == wanted);

    char name[32];
    name_of(odd, name);
    const struct query one = {.by_name = true, .name = {name, strlen(name)}, .limit = 10};
    wanted = 0;
    for (uint64_t n = 0; n < bed->runs; n++) {
        char other[32];
        name_of(n, other);
        wanted += strstr(other, name) != NULL;
    }
    CHECK(count_all(bed, one) == wanted);

    const struct query common = {.by_name = true, .name = STR("STEP 1"), .limit = 500};
    wanted = 0;
    for (uint64_t n = 0; n < bed->runs; n++)
        wanted += n % NAMES == 1 || n % NAMES / 10 == 1;
    CHECK(count_all(bed, common) == wanted);
    CHECK(bed->calls.index->ops->runs(bed->calls.index) == bed->runs);
}

/* One number, from a connection of our own. */
static int64_t ask(struct bed *bed, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int64_t answer = -1;
    if (sqlite3_open(bed->path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return answer;
}

/* As a program with pages of another size left it. */
static void make_of_another_schema(struct bed *bed)
{
    sqlite3 *db = NULL;
    CHECK(sqlite3_open(bed->path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db,
                       "PRAGMA journal_mode=DELETE; PRAGMA page_size=4096; VACUUM;"
                       " PRAGMA journal_mode=WAL; PRAGMA user_version = 999",
                       NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(db);
}

static off_t file_size(const struct bed *bed, const char *name)
{
    char path[200];
    struct stat st;
    in_dir(bed, name, path);
    return stat(path, &st) ? 0 : st.st_size;
}

/* --- keys on disk ------------------------------------------------------------------- */

TEST(keys_that_went_to_the_file_and_were_merged_are_found)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 20000, 20);
    check_all(&bed);
    /* They really went there, and through several levels. */
    CHECK(ask(&bed, "SELECT max(level) FROM part WHERE state = 1 AND kind = 1") >= 2);
    CHECK(ask(&bed, "SELECT sum(keys) FROM part WHERE state = 1 AND kind = 1") > 19000);
    stop(&bed);
}

TEST(merging_keeps_up_and_leaves_nothing_behind)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 10000, 30);
    /* Of each kind and level at most those being merged, and the next ones. */
    CHECK(ask(&bed, "SELECT max(n) FROM (SELECT count(*) n FROM part WHERE state = 1"
                    " GROUP BY kind, level)") <= 16);
    CHECK(ask(&bed, "SELECT count(*) FROM block WHERE block >> 24 NOT IN"
                    " (SELECT part FROM part)") == 0);
    CHECK(ask(&bed, "SELECT count(*) FROM fence WHERE part NOT IN (SELECT part FROM part)") == 0);
    CHECK(ask(&bed, "SELECT count(*) FROM part WHERE state = 2") < 64);
    CHECK(ask(&bed, "SELECT count(*) FROM block WHERE block >> 24 IN"
                    " (SELECT part FROM part WHERE state = 1)") ==
          ask(&bed, "SELECT sum(blocks) FROM part WHERE state = 1"));
    stop(&bed);
}

TEST(one_very_large_batch_is_as_good_as_many)
{
    struct bed bed;
    start(&bed);
    add_runs(&bed, 10);
    add_runs(&bed, 5000); /* keys spill before the commit */
    check_all(&bed);
    struct index_batch batch;
    CHECK(stage_runs(&bed, 3000, &batch) == 0 && batch.added == 3000);
    CHECK(calls_rollback(&bed.calls) == 0);
    check_all(&bed);
    add_many(&bed, 12000, 64);
    check_all(&bed);
    stop(&bed);
}

TEST(a_rolled_back_transaction_leaves_merges_as_they_were)
{
    struct bed bed;
    start(&bed);
    for (int i = 0; i < 60; i++) {
        struct index_batch batch;
        CHECK(stage_runs(&bed, 70, &batch) == 0);
        CHECK(calls_rollback(&bed.calls) == 0);
        add_runs(&bed, 70);
        CHECK(stage_runs(&bed, 5, &batch) == 0 && batch.verdict == INDEX_ADDED);
        CHECK(calls_rollback(&bed.calls) == 0);
    }
    check_all(&bed);
    stop(&bed);
}

/* Names of which parts are rare and parts are in all of them. */
static void add_names(struct bed *bed, uint64_t count)
{
    enum { EACH = 50 };
    for (uint64_t n = 0; n < count; n += EACH) {
        struct make_run runs[EACH];
        char names[EACH][48];
        for (uint64_t i = 0; i < EACH; i++) {
            struct make_random random = {n + i};
            snprintf(names[i], sizeof names[i], "job %06llu of the nightly batch",
                     (unsigned long long)(make_random(&random) % 1000000));
            runs[i] = (struct make_run){.id = make_id(n + i),
                                        .trace = trace_of(n + i),
                                        .name = names[i],
                                        .start_us = start_of(n + i)};
        }
        struct made_record *made = make_record(runs, EACH);
        struct index_batch batch = {
            .record = &made->record, .first = {1, (uint32_t)n}, .sequence = ++bed->sequence};
        CHECK(calls_stage(&bed->calls, &batch, 1) == 0);
        CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
        made_free(made);
    }
}

TEST(a_part_of_some_of_very_many_names_is_found)
{
    enum { COUNT = 6000 };
    static const char *const asked[] = {
        "123",  "b 12", "99 of the n", "777777",  "000",
        "1",    "job",  "77 of",       "b 00",    "y batc",
        "ob 5", "33",   "x",           "b 31415", "5 of the nightly batch"};
    struct bed bed;
    start(&bed);
    add_names(&bed, COUNT);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        uint64_t wanted = 0;
        for (uint64_t n = 0; n < COUNT; n++) {
            struct make_random random = {n};
            char name[48];
            snprintf(name, sizeof name, "job %06llu of the nightly batch",
                     (unsigned long long)(make_random(&random) % 1000000));
            wanted += strstr(name, asked[i]) != NULL;
        }
        const struct query query = {
            .by_name = true, .name = {asked[i], strlen(asked[i])}, .limit = 100};
        CHECK(count_all(&bed, query) == wanted);
    }
    stop(&bed);
}

/* --- the file ------------------------------------------------------------------------ */

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return; /* no WAL yet */
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        CHECK(write(out, buffer, (size_t)n) == n);
    close(in);
    close(out);
}

/* What a process that is killed now would leave. */
static void copy_as_killed(const struct bed *from, struct bed *to)
{
    static const char *const names[] = {"index.db", "index.db-wal"};
    char a[200], b[200];
    for (size_t i = 0; i < 2; i++) {
        in_dir(from, names[i], a);
        in_dir(to, names[i], b);
        copy_file(a, b);
    }
}

TEST(a_killed_process_leaves_every_commit_whole)
{
    struct bed bed;
    start(&bed);
    for (int i = 0; i < 4; i++) {
        add_many(&bed, bed.runs + 1700, 100);
        struct index_batch batch;
        CHECK(stage_runs(&bed, 90, &batch) == 0); /* open when it is killed */

        struct bed after = {.runs = bed.runs, .sequence = bed.sequence - 1};
        make_dir(&after);
        copy_as_killed(&bed, &after);
        open_index(&after);
        CHECK(calls_mark(&after.calls) == after.sequence);
        check_all(&after);
        add_many(&after, after.runs + 500, 50);
        check_all(&after);
        stop(&after);
        CHECK(calls_rollback(&bed.calls) == 0);
    }
    stop(&bed);
}

TEST(a_database_of_another_schema_is_emptied)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 500, 100);
    close_index(&bed);
    make_of_another_schema(&bed);
    CHECK(ask(&bed, "PRAGMA user_version") == 999 && ask(&bed, "PRAGMA page_size") != DB_PAGE);

    open_index(&bed);
    CHECK(ask(&bed, "PRAGMA page_size") == DB_PAGE);
    bed.runs = 0;
    CHECK(calls_mark(&bed.calls) == 0);
    check_all(&bed);
    add_many(&bed, 500, 100);
    check_all(&bed);
    close_index(&bed);
    open_index(&bed);
    check_all(&bed);
    stop(&bed);
}

TEST(the_database_of_another_program_is_not_touched)
{
    struct bed bed = {0};
    struct index *index = NULL;
    struct err err = {0};
    make_dir(&bed);
    CHECK(ask(&bed, "CREATE TABLE theirs(x)") == -1);
    CHECK(index_sqlite_open(&bed.config, &index, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "another program"));
    CHECK(ask(&bed, "SELECT count(*) FROM theirs") == 0);
    forget_files(&bed);
}

TEST(a_file_that_is_no_database_is_refused_with_the_remedy)
{
    struct bed bed = {0};
    struct index *index = NULL;
    struct err err = {0};
    make_dir(&bed);
    FILE *file = fopen(bed.path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("these are not pages\n", file);
    fclose(file);
    CHECK(index_sqlite_open(&bed.config, &index, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "rundlet reindex"));
    forget_files(&bed);
}

TEST(damaged_pages_are_an_error_with_the_remedy)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 3000, 100);
    close_index(&bed);
    off_t size = file_size(&bed, "index.db");
    char garbage[4096];
    memset(garbage, 0xa5, sizeof garbage);
    int fd = open(bed.path, O_WRONLY | O_CLOEXEC);
    for (off_t at = 4096; at < size; at += 4096) /* all but the first page */
        CHECK(pwrite(fd, garbage, sizeof garbage, at) == sizeof garbage);
    close(fd);

    struct index *index = NULL;
    struct err err = {0};
    CHECK(index_sqlite_open(&bed.config, &index, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "rundlet reindex"));
    forget_files(&bed);
}

TEST(a_damaged_block_is_an_error_and_no_answer)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 3000, 100);
    close_index(&bed);
    CHECK(ask(&bed, "UPDATE block SET keys = x'0102'") == -1);
    open_index(&bed);
    struct arena *arena = arena_new(1024);
    struct uuid id = make_id(1);
    struct index_row *row = NULL;
    struct index_search found;
    const struct query trace = {.by_trace = true, .trace = trace_of(1), .limit = 1000};
    CHECK(calls_find(&bed.calls, &id, 1, arena, &row) == ERR_CORRUPT);
    CHECK(strstr(bed.calls.err.text, "rundlet reindex"));
    CHECK(calls_search(&bed.calls, &trace, arena, &found) == ERR_CORRUPT);
    arena_free(arena);
    stop(&bed);
}

TEST(an_index_for_reading_only_reads)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 2000, 100);

    struct bed other = {.runs = bed.runs, .config = bed.config, .failures = test_failures};
    other.config.read_only = true;
    open_index(&other);
    add_many(&bed, 3000, 100); /* after it was opened: it does not see these */
    CHECK(calls_mark(&other.calls) == 20);
    check_all(&other);
    CHECK(calls_commit(&other.calls, 99) == ERR_DENIED);
    close_index(&other);

    check_all(&bed);
    stop(&bed);
}

/* --- layers ---------------------------------------------------------------------------- */

/* Stage layers as one batch, of an index that may be another one. */
static void stage_layers(struct bed *bed, struct calls *calls, const struct make_layer *layers,
                         size_t count)
{
    struct made_record *made = make_layers(layers, count);
    struct index_batch batch = {
        .record = &made->record, .first = {1, (uint32_t)bed->runs}, .sequence = bed->sequence};
    CHECK(calls_stage(calls, &batch, 1) == 0 && batch.verdict != INDEX_CONFLICT);
    made_free(made);
}

static void add_layers(struct bed *bed, const struct make_layer *layers, size_t count)
{
    bed->sequence++;
    stage_layers(bed, &bed->calls, layers, count);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
    bed->runs += count;
}

static struct make_layer post_of(uint64_t n)
{
    return (struct make_layer){.kind = RUN_POST,
                               .id = make_id(n),
                               .trace = make_id(1000),
                               .start_us = (int64_t)(10 * n),
                               .field = {[RUN_NAME] = "\"first\"", [RUN_START_TIME] = "1"}};
}

static struct make_layer patch_of(uint64_t n, enum run_field field, const char *json)
{
    struct make_layer patch = {.kind = RUN_PATCH, .id = make_id(n), .trace = make_id(1000)};
    patch.field[field] = json;
    return patch;
}

TEST(layers_of_one_commit_are_one_row)
{
    struct bed bed;
    start(&bed);
    struct make_layer layers[20];
    for (uint64_t n = 0; n < 10; n++) {
        layers[n] = post_of(n);
        layers[10 + n] = patch_of(n, RUN_NAME, "\"second\"");
    }
    /* In one batch, and in two of one commit. */
    add_layers(&bed, layers, 20);
    CHECK(ask(&bed, "SELECT count(*) FROM run") == 10);
    bed.sequence++;
    layers[0] = post_of(10);
    layers[1] = patch_of(10, RUN_NAME, "\"second\"");
    stage_layers(&bed, &bed.calls, layers, 1);
    bed.runs++;
    stage_layers(&bed, &bed.calls, layers + 1, 1);
    bed.runs++;
    CHECK(calls_commit(&bed.calls, bed.sequence) == 0);
    CHECK(ask(&bed, "SELECT count(*) FROM run") == 11);
    const struct query second = {.by_name = true, .name = STR("SECOND"), .limit = 50};
    CHECK(count_all(&bed, second) == 11);
    stop(&bed);
}

TEST(a_row_is_written_anew_only_when_its_keys_change)
{
    struct bed bed;
    start(&bed);
    const struct make_layer post = post_of(1);
    const struct make_layer same[] = {patch_of(1, RUN_OUTPUTS, "{\"a\":\"b\"}"),
                                      patch_of(1, RUN_ERROR_TEXT, "\"E\"")};
    const struct make_layer other[] = {patch_of(1, RUN_NAME, "\"second\""),
                                       patch_of(1, RUN_TAGS, "[\"t\"]"),
                                       patch_of(1, RUN_EXTRA, "{\"metadata\":{\"k\":1}}")};
    add_layers(&bed, &post, 1);
    for (int i = 0; i < 2; i++)
        add_layers(&bed, &same[i], 1);
    CHECK(ask(&bed, "SELECT count(*) FROM run") == 1);
    for (int i = 0; i < 3; i++) {
        add_layers(&bed, &other[i], 1);
        CHECK(ask(&bed, "SELECT count(*) FROM run") == 2 + i);
        CHECK(ask(&bed, "SELECT count(*) FROM run WHERE superseded = row + 1") == 1 + i);
    }
    CHECK(bed.calls.index->ops->runs(bed.calls.index) == 1);
    const struct query any = {.by_name = true, .limit = 50};
    CHECK(count_all(&bed, any) == 1);
    close_index(&bed);
    open_index(&bed);
    CHECK(bed.calls.index->ops->runs(bed.calls.index) == 1 && count_all(&bed, any) == 1);
    stop(&bed);
}

/* The names of runs that a reader finds, and where they start. */
static void check_seen(struct bed *bed, const char *name, int64_t start_us, uint64_t count)
{
    const struct query named = {.by_name = true, .name = {name, strlen(name)}, .limit = 7};
    const struct query trace = {.by_trace = true, .trace = make_id(1000), .limit = 7};
    struct uuid id = make_id(1);
    struct arena *arena = arena_new(1024);
    struct index_row *row = NULL;
    CHECK(count_all(bed, named) == count && count_all(bed, trace) == count);
    CHECK(calls_find(&bed->calls, &id, 1, arena, &row) == 0 && row->found);
    CHECK(row->start_us == start_us);
    arena_free(arena);
}

TEST(an_older_view_has_the_rows_that_were_replaced_since)
{
    enum { COUNT = 40 };
    struct bed bed;
    start(&bed);
    struct make_layer layers[COUNT];
    for (uint64_t n = 0; n < COUNT; n++)
        layers[n] = post_of(n);
    add_layers(&bed, layers, COUNT);

    struct bed other = {.config = bed.config, .failures = test_failures};
    other.config.read_only = true; /* its view stays that of its opening, */
    open_index(&other);
    for (uint64_t n = 0; n < COUNT; n++) { /* its transactions come later */
        layers[n] = patch_of(n, RUN_NAME, "\"second\"");
        layers[n].field[RUN_START_TIME] = "1";
        layers[n].start_us = (int64_t)n + 5000;
    }
    for (uint64_t n = 0; n < COUNT; n += 4)
        add_layers(&bed, layers + n, 4);
    check_seen(&other, "first", 10, COUNT);
    check_seen(&bed, "second", 5001, COUNT);
    close_index(&other);
    stop(&bed);
}

/* Whatever may come: runs of few ids in layers, with attributes. */
static size_t random_layers(struct make_random *random, struct make_layer *layers, size_t most)
{
    static const char *const names[] = {"\"a\"", "\"b\"", NULL};
    static const char *const tags[] = {"[\"x\"]", "[\"x\",\"y\"]", NULL, NULL};
    static const char *const extras[] = {"{\"metadata\":{\"k\":\"v\"}}",
                                         "{\"metadata\":{\"k\":\"w\",\"thread_id\":\"t\"}}", NULL,
                                         NULL};
    static const char *const projects[] = {"\"p\"", "\"q\"", NULL};
    size_t count = 1 + make_random(random) % most;
    for (size_t i = 0; i < count; i++) {
        uint64_t n = make_random(random) % 300;
        layers[i] =
            (struct make_layer){.kind = make_random(random) % 2 ? RUN_POST : RUN_PATCH,
                                .id = make_id(n),
                                .trace = n % 3 ? make_id(1000 + n % 7) : (struct uuid){{0}},
                                .parent = n % 4 ? make_id(n / 2) : (struct uuid){{0}},
                                .start_us = (int64_t)(n + make_random(random) % 2),
                                .field = {[RUN_NAME] = names[make_random(random) % 3],
                                          [RUN_TAGS] = tags[make_random(random) % 4],
                                          [RUN_EXTRA] = extras[make_random(random) % 4],
                                          [RUN_START_TIME] = make_random(random) % 3 ? NULL : "1",
                                          [RUN_SESSION_NAME] = projects[make_random(random) % 3]}};
    }
    return count;
}

static const char *const asked[] = {"has(tags, \"x\")",
                                    "and(eq(metadata_key, \"k\"), eq(metadata_value, \"w\"))",
                                    "eq(thread_id, \"t\")", "eq(name, \"a\")", "neq(name, \"a\")"};

/* All that a query finds, in one number; 0: it failed. */
static uint64_t digest(struct calls *calls, struct run_query query)
{
    uint64_t sum = 1;
    for (bool more = true; more;) {
        struct arena *arena = arena_new(1 << 14);
        struct index_query found;
        if (calls_query(calls, &query, arena, &found)) {
            fprintf(stderr, "%s\n", calls->err.text);
            arena_free(arena);
            return 0;
        }
        for (size_t i = 0; i < found.count; i++) {
            const struct index_row *row = &found.rows[i];
            sum = (sum * 31 + uuid_prefix(row->id)) * 31 + (uint64_t)row->start_us;
            sum = ((sum * 31 + row->version) * 31 + uuid_prefix(row->project)) * 31;
            sum = sum + uuid_prefix(row->trace) + row->facts.len + row->holder_count;
        }
        more = found.more;
        query.cursor = found.next;
        query.after = true;
        arena_free(arena);
    }
    return sum;
}

/* Do both find the same, whatever is asked? */
static void compare(struct calls *one, struct calls *reference)
{
    const struct uuid projects[] = {entity_project_id(STR("p"), 0), entity_project_id(STR("q"), 0)};
    struct arena *arena = arena_new(4096);
    for (size_t i = 0; i < 4 * (1 + sizeof asked / sizeof *asked); i++) {
        struct run_query query = {.start_min_us = INT64_MIN,
                                  .start_max_us = INT64_MAX,
                                  .limit = 17,
                                  .projects = projects,
                                  .project_count = i % 4 < 2 ? 0 : i % 4 - 1,
                                  .oldest_first = i % 2};
        if (i / 4 > 0) {
            struct str text = {asked[i / 4 - 1], strlen(asked[i / 4 - 1])};
            CHECK(filter_parse(text, arena, &query.filter, NULL) == 0);
        }
        uint64_t sum = digest(one, query);
        CHECK(sum != 0 && sum == digest(reference, query));
    }
    arena_free(arena);
}

TEST(a_killed_process_leaves_every_layer_of_every_commit)
{
    struct bed bed;
    struct calls memory;
    struct index *index = NULL;
    struct make_random random = {20};
    struct make_layer layers[30];
    start(&bed);
    CHECK(index_memory_open(&index, NULL) == 0);
    calls_open(&memory, index);
    for (int i = 1; i <= 200 && !failed(&bed); i++) {
        size_t count = random_layers(&random, layers, 30);
        bed.sequence++;
        stage_layers(&bed, &bed.calls, layers, count);
        stage_layers(&bed, &memory, layers, count);
        bed.runs += count;
        CHECK(calls_commit(&bed.calls, bed.sequence) == 0);
        CHECK(calls_commit(&memory, bed.sequence) == 0);
        if (i % 20)
            continue;
        count = random_layers(&random, layers, 30);
        stage_layers(&bed, &bed.calls, layers, count); /* open when it is killed */
        struct bed after = {.failures = test_failures};
        make_dir(&after);
        copy_as_killed(&bed, &after);
        open_index(&after);
        compare(&after.calls, &memory);
        stop(&after);
        CHECK(calls_rollback(&bed.calls) == 0);
        compare(&bed.calls, &memory);
    }
    /* The keys of attributes went to the file as well. */
    CHECK(ask(&bed, "SELECT count(*) FROM part WHERE state = 1 AND kind = 7") > 0);
    calls_close(&memory);
    index->ops->close(index);
    stop(&bed);
}

TEST(keys_of_a_rare_kind_are_not_made_again_from_all_rows)
{
    enum { EACH = 3000, COUNT = 141000 };
    struct bed bed = {0};
    make_dir(&bed);
    bed.config.cache_size = 1 << 24; /* so that they do not go to the file for their number */
    open_index(&bed);
    struct make_layer tagged = post_of(10000000);
    tagged.field[RUN_TAGS] = "[\"rare\"]";
    add_layers(&bed, &tagged, 1);
    while (bed.runs < COUNT && !failed(&bed))
        add_runs(&bed, EACH);
    add_runs(&bed, 1);
    CHECK(ask(&bed, "SELECT keys FROM part WHERE state = 1 AND kind = 7") == 1);
    close_index(&bed);
    open_index(&bed);
    struct arena *arena = arena_new(4096);
    const struct uuid project = entity_project_id(STR("default"), 0);
    struct run_query query = {.start_min_us = INT64_MIN,
                              .start_max_us = INT64_MAX,
                              .limit = 10,
                              .projects = &project,
                              .project_count = 1};
    struct index_query found;
    CHECK(filter_parse(STR("has(tags, \"rare\")"), arena, &query.filter, NULL) == 0);
    CHECK(calls_query(&bed.calls, &query, arena, &found) == 0 && found.count == 1);
    arena_free(arena);
    stop(&bed);
}

/* --- limits --------------------------------------------------------------------------- */

/* Add batches until the disk is full, again and again.  How often was that
 * while staging, how often while committing? */
static void fill_disk(struct bed *bed, int failures[2])
{
    struct rlimit old, low;
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    for (int i = 0; i < 15 && !failed(bed); i++) {
        off_t wal = file_size(bed, "index.db-wal"), file = file_size(bed, "index.db");
        low = old;
        low.rlim_cur = (rlim_t)((wal > file ? wal : file) + i * 3000);
        CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
        int r = 0, committing = 0;
        while (!r) {
            struct index_batch batch;
            r = stage_runs(bed, 100, &batch);
            committing = !r;
            if (!r)
                r = calls_commit(&bed->calls, bed->sequence);
            bed->runs += r ? 0 : 100;
        }
        CHECK(r == ERR_FULL);
        failures[committing]++;
        CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
        CHECK(calls_rollback(&bed->calls) == 0);
        add_runs(bed, 10);
    }
}

TEST(a_full_disk_is_an_error_and_then_all_goes_on)
{
    /* With little memory pages are written while staging, with more at the commit. */
    static const size_t cache_sizes[] = {1 << 12, 1 << 17};
    int failures[2] = {0};
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < 2; i++) {
        struct bed bed = {0};
        make_dir(&bed);
        bed.config.cache_size = cache_sizes[i];
        open_index(&bed);
        add_many(&bed, 5000, 100); /* too few for a checkpoint, and names of others come now */
        fill_disk(&bed, failures);
        check_all(&bed);
        stop(&bed);
    }
    signal(SIGXFSZ, SIG_DFL);
    CHECK(failures[0] > 0 && failures[1] > 0);
}

/* --- a disk whose syncs fail ------------------------------------------------------------ */

static sqlite3_vfs bad_vfs;
static sqlite3_io_methods bad_methods[2]; /* of the file, of its WAL */
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static int bad_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return SQLITE_IOERR_FSYNC;
}

static int bad_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    int r = real_open(vfs, name, file, flags, out);
    if (r == SQLITE_OK && flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)) {
        sqlite3_io_methods *bad = &bad_methods[(flags & SQLITE_OPEN_WAL) != 0];
        *bad = *file->pMethods;
        bad->xSync = bad_sync;
        file->pMethods = bad;
    }
    return r;
}

TEST(a_failed_sync_ends_the_process)
{
    struct bed bed;
    start(&bed);
    add_runs(&bed, 10);
    close_index(&bed);
    pid_t child = fork();
    if (child == 0) {
        bad_vfs = *sqlite3_vfs_find(NULL);
        bad_vfs.zName = "bad";
        real_open = bad_vfs.xOpen;
        bad_vfs.xOpen = bad_open;
        sqlite3_vfs_register(&bad_vfs, 1);
        open_index(&bed);
        add_runs(&bed, 10); /* the head of a new WAL is synced, */
        close_index(&bed);  /* and what a checkpoint moves */
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 70);
    forget_files(&bed);
}

TEST(a_read_that_takes_too_long_is_ended)
{
    struct bed bed;
    start(&bed);
    add_many(&bed, 20000, 2000);
    close_index(&bed);
    bed.config.deadline_ms = 2;
    open_index(&bed);
    struct arena *arena = arena_new(1024);
    struct index_search found;
    /* Every row of the trace is read for its name. */
    const struct query query = {
        .by_name = true, .name = STR("no such name at all"), .by_trace = true, .limit = 1000};
    struct query traces[TRACES];
    int timeouts = 0;
    for (uint64_t t = 0; t < TRACES; t++) {
        traces[t] = query;
        traces[t].trace = trace_of(t);
    }
    /* All at once, so that most wait longer than they may. */
    for (int round = 0; round < 20 && timeouts == 0; round++) {
        const struct query all = {.by_name = true, .name = STR("zq"), .limit = 1000};
        timeouts += calls_search(&bed.calls, &all, arena, &found) == ERR_TIMEOUT;
        for (int t = 0; t < TRACES; t++)
            timeouts += calls_search(&bed.calls, &traces[t], arena, &found) == ERR_TIMEOUT;
    }
    arena_free(arena);
    close_index(&bed);

    bed.config.deadline_ms = 0;
    open_index(&bed);
    arena = arena_new(1024);
    CHECK(calls_search(&bed.calls, &query, arena, &found) == ERR_TIMEOUT);
    arena_free(arena);
    close_index(&bed);

    bed.config.deadline_ms = 60000;
    open_index(&bed);
    arena = arena_new(1024);
    CHECK(calls_search(&bed.calls, &query, arena, &found) == 0 && found.count == 0);
    arena_free(arena);
    stop(&bed);
}

/* Ask until it has not waited for too long. */
static bool ask_patiently(struct bed *bed, const struct run_query *query, struct arena *arena,
                          struct index_query *found)
{
    for (int round = 0; round < 1000; round++) {
        int r = calls_query(&bed->calls, query, arena, found);
        CHECK(r == 0 || r == ERR_TIMEOUT);
        if (r == 0)
            return true;
    }
    return false;
}

TEST(a_step_ends_at_the_deadline_and_what_was_done_counts)
{
    enum { COUNT = 30000, EACH = 1000 };
    struct bed bed;
    start(&bed);
    for (uint64_t n = 0; n < COUNT; n += EACH) {
        struct make_layer *layers = calloc(EACH, sizeof *layers);
        for (uint64_t i = 0; i < EACH; i++)
            layers[i] = post_of(n + i);
        if (n + EACH == COUNT)
            layers[EACH - 1].field[RUN_TAGS] = "[\"newest\"]";
        add_layers(&bed, layers, EACH);
        free(layers);
    }
    close_index(&bed);
    bed.config.deadline_ms = 4;
    open_index(&bed);
    bed.calls.look = COUNT;
    struct arena *arena = arena_new(1 << 12);
    struct run_query query = {.start_min_us = INT64_MIN, .start_max_us = INT64_MAX, .limit = 10};
    struct index_query found;
    CHECK(filter_parse(STR("has(tags, \"newest\")"), arena, &query.filter, NULL) == 0);
    CHECK(ask_patiently(&bed, &query, arena, &found) && found.count == 1 && found.more);
    CHECK(found.next.start_us < 10 * (COUNT - 1) && found.next.start_us > 0);
    /* Behind it there is none: steps without a row, each further than the one before. */
    size_t steps = 0;
    for (query.after = true; found.more && !test_failures; steps++) {
        query.cursor = found.next;
        CHECK(ask_patiently(&bed, &query, arena, &found) && found.count == 0);
        CHECK(!found.more || found.next.start_us < query.cursor.start_us);
    }
    CHECK(steps > 1);
    arena_free(arena);
    stop(&bed);
}

TEST(a_full_queue_of_reads_refuses)
{
    struct bed bed;
    start(&bed);
    add_runs(&bed, 10);
    close_index(&bed);
    bed.config.queue = 0;
    open_index(&bed);
    struct arena *arena = arena_new(1024);
    struct uuid id = make_id(1);
    struct index_row *row = NULL;
    CHECK(calls_find(&bed.calls, &id, 1, arena, &row) == ERR_BUSY);
    arena_free(arena);
    stop(&bed);
}

TEST(the_wal_stays_bounded_under_steady_load)
{
    enum { COMMITS = 6000, PAGE = DB_PAGE + 24 };
    struct bed bed;
    off_t longest = 0;
    start(&bed);
    for (int i = 0; i < COMMITS; i++) {
        add_runs(&bed, 3);
        if (i % 100 == 0) {
            off_t size = file_size(&bed, "index.db-wal");
            longest = size > longest ? size : longest;
        }
    }
    CHECK(longest >= (off_t)WAL_BEGIN * PAGE / 2); /* there was something to do */
    CHECK(longest <= (off_t)(WAL_HELP + WAL_HELP / 8) * PAGE);
    /* What is moved comes to the other file, and long before the writer helps. */
    for (int i = 0; i < 100000 && file_size(&bed, "index.db") < 100 * PAGE; i++)
        add_runs(&bed, 1);
    CHECK(file_size(&bed, "index.db") >= 100 * PAGE);
    CHECK(file_size(&bed, "index.db-wal") < (off_t)WAL_HELP * PAGE);
    check_all(&bed);
    stop(&bed);
}

/* --- threads ---------------------------------------------------------------------------- */

/* A batch: RUNS runs of one trace, of one name. */
struct shared {
    struct bed *bed;
    atomic_uint_least64_t committed; /* batches */
    atomic_uint_least64_t begun;
    atomic_bool stop;
    atomic_int wrong;
    atomic_uint_least64_t looked;
};

static void batch_name(uint64_t batch, char out[32])
{
    snprintf(out, 32, "batch <%llu>", (unsigned long long)batch);
}

/* What is seen of a batch is all or nothing, and all when it was acknowledged. */
static void look(struct shared *s, struct calls *calls, struct make_random *random, int how)
{
    uint64_t committed = atomic_load(&s->committed), begun = atomic_load(&s->begun);
    /* Mostly the newest ones, where it matters. */
    uint64_t range = make_random(random) % 4 && begun > 8 ? 8 : begun;
    uint64_t batch = begun - 1 - make_random(random) % (range ? range : 1);
    struct arena *arena = arena_new(4096);
    struct index_search found = {0};
    size_t count = 0;
    int r;
    if (how == 0) {
        struct uuid ids[RUNS];
        struct index_row *rows = NULL;
        for (uint64_t i = 0; i < RUNS; i++)
            ids[i] = make_id(batch * RUNS + i);
        r = calls_find(calls, ids, RUNS, arena, &rows);
        for (size_t i = 0; !r && i < RUNS; i++)
            count += rows[i].found;
    } else {
        char name[32];
        batch_name(batch, name);
        const struct query query = {.by_trace = how == 1,
                                    .by_name = how == 2,
                                    .trace = make_id(1000000 + batch),
                                    .name = {name, strlen(name)},
                                    .limit = 100};
        r = calls_search(calls, &query, arena, &found);
        count = found.count;
    }
    bool whole = count == RUNS || (count == 0 && batch >= committed);
    if (r || !whole) {
        fprintf(stderr, "batch %llu of %llu: %zu runs, way %d, error %d\n",
                (unsigned long long)batch, (unsigned long long)committed, count, how, r);
        atomic_fetch_add(&s->wrong, 1);
    }
    atomic_fetch_add(&s->looked, 1);
    arena_free(arena);
}

/* A page of all runs ends between two batches, since each has one instant. */
static void look_at_all(struct shared *s, struct calls *calls)
{
    const struct query query = {.by_name = true, .limit = 3 * RUNS};
    struct arena *arena = arena_new(4096);
    struct index_search found;
    uint64_t committed = atomic_load(&s->committed);
    int r = calls_search(calls, &query, arena, &found);
    uint64_t newest = r || !found.count ? 0 : (uint64_t)found.rows[0].start_us;
    bool wrong = r || found.count % RUNS != 0 || (committed > 0 && newest + 1 < committed);
    for (size_t i = 0; !wrong && i < found.count; i++)
        wrong = (uint64_t)found.rows[i].start_us != newest - i / RUNS;
    if (wrong)
        atomic_fetch_add(&s->wrong, 1);
    arena_free(arena);
}

static void *read_on(void *context)
{
    struct shared *s = context;
    struct calls calls;
    struct make_random random = {(uint64_t)(uintptr_t)&calls};
    calls_open(&calls, s->bed->calls.index);
    while (!atomic_load(&s->stop)) {
        for (int how = 0; how < 3; how++)
            look(s, &calls, &random, how);
        look_at_all(s, &calls);
    }
    calls_close(&calls);
    return NULL;
}

TEST(readers_see_whole_batches_while_they_are_written)
{
    enum { BATCHES = 600, READERS = 3 };
    struct bed bed;
    start(&bed);
    struct shared s = {.bed = &bed};
    pthread_t threads[READERS];
    atomic_store(&s.begun, 1);
    for (int i = 0; i < READERS; i++)
        CHECK(pthread_create(&threads[i], NULL, read_on, &s) == 0);
    for (uint64_t b = 0; b < BATCHES && !atomic_load(&s.wrong); b++) {
        struct make_run runs[RUNS];
        char name[32];
        batch_name(b, name);
        for (uint64_t i = 0; i < RUNS; i++)
            runs[i] = (struct make_run){.id = make_id(b * RUNS + i),
                                        .trace = make_id(1000000 + b),
                                        .name = name,
                                        .start_us = (int64_t)b};
        struct made_record *made = make_record(runs, RUNS);
        struct index_batch batch = {
            .record = &made->record, .first = {1, (uint32_t)(b * RUNS)}, .sequence = b + 1};
        atomic_store(&s.begun, b + 1);
        CHECK(calls_stage(&bed.calls, &batch, 1) == 0);
        CHECK(calls_commit(&bed.calls, b + 1) == 0);
        atomic_store(&s.committed, b + 1);
        made_free(made);
    }
    while (atomic_load(&s.looked) < 100 && !atomic_load(&s.wrong))
        sched_yield();
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&s.wrong) == 0);
    stop(&bed);
}
