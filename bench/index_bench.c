/* index_bench.c - what a row costs in the SQLite index, and what reading it does.
 *
 *     index_bench [rows [group [workload]]]     1000000 rows in groups of 1000
 *
 * Rows go in as the commit loop brings them: stage one batch, commit.  Only
 * that is timed, not the making of the batch.  Each workload starts with an
 * empty file; its first 100 000 rows have a line of their own, so that growth
 * shows.  The floor is the same row in the same file without any index.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "lib/index_calls.h"
#include "lib/make_layer.h"
#include "lib/make_record.h"
#include "run/filter.h"
#include "run/query.h"

enum { FIRST = 100000, FINDS = 20000, PER_FIND = 100, SEARCHES = 2000 };

enum ids { IDS_V7, IDS_V4 };
enum traces { TRACES_V4, TRACES_V7 };
enum names { NAMES_FEW, NAMES_OWN };
/* Whole runs; or a post and a patch, in one batch or in two, one group after the other. */
enum layers { LAYERS_NONE, LAYERS_TOGETHER, LAYERS_APART };

struct workload {
    const char *name;
    enum ids ids;
    enum traces traces;
    enum names names;
    enum layers layers;
};

static const struct workload workloads[] = {
    {"time-ordered ids and traces", IDS_V7, TRACES_V7, NAMES_FEW, LAYERS_NONE},
    {"server-made ids, v4 traces", IDS_V7, TRACES_V4, NAMES_FEW, LAYERS_NONE},
    {"v4 ids, v4 traces", IDS_V4, TRACES_V4, NAMES_FEW, LAYERS_NONE},
    {"server-made ids, all names differ", IDS_V7, TRACES_V4, NAMES_OWN, LAYERS_NONE},
    {"post and patch in one batch", IDS_V7, TRACES_V7, NAMES_FEW, LAYERS_TOGETHER},
    {"the same, v4 ids", IDS_V4, TRACES_V4, NAMES_FEW, LAYERS_TOGETHER},
    {"post and patch in different batches", IDS_V7, TRACES_V7, NAMES_FEW, LAYERS_APART},
    {"the same, v4 ids", IDS_V4, TRACES_V4, NAMES_FEW, LAYERS_APART},
};

static void or_die(int failed, const char *what)
{
    if (failed) {
        fprintf(stderr, "index_bench: %s\n", what);
        exit(1);
    }
}

/* --- what goes in ----------------------------------------------------------------- */

struct source {
    const struct workload *workload;
    struct make_random random;
    struct uuid_source ids, traces;
    int64_t now_us;
    uint64_t made;
};

/* Runs and their names, from malloc. */
static struct make_run *next_runs(struct source *s, size_t count, char (*names)[48])
{
    struct make_run *runs = calloc(count, sizeof *runs);
    or_die(!runs, "no memory");
    for (size_t i = 0; i < count; i++) {
        s->now_us += 10;
        runs[i].id =
            s->workload->ids == IDS_V7 ? uuid_v7(&s->ids, s->now_us) : make_uuid(&s->random);
        runs[i].trace = s->workload->traces == TRACES_V7 ? uuid_v7(&s->traces, s->now_us)
                                                         : make_uuid(&s->random);
        runs[i].start_us = s->now_us;
        runs[i].number = s->made;
        if (s->workload->names == NAMES_OWN)
            snprintf(names[i], sizeof *names, "Agent step %llu",
                     (unsigned long long)(make_random(&s->random) % 10000000000));
        else
            snprintf(names[i], sizeof *names, "Chain number %llu",
                     (unsigned long long)(make_random(&s->random) % 50));
        runs[i].name = names[i];
        s->made++;
    }
    return runs;
}

/* As the SDKs send it with each layer: mostly the same of all runs. */
static const char extra[] =
    "{\"metadata\":{\"ls_provider\":\"openai\",\"ls_model_name\":\"gpt-4o\",\"ls_model_type\":"
    "\"chat\",\"ls_temperature\":0.7,\"ls_max_tokens\":1024,\"revision_id\":\"v1.2.3-17-gabcdef\","
    "\"environment\":\"production\",\"user_id\":\"u-%llu\",\"session_id\":\"s-%llu\"},"
    "\"runtime\":{\"sdk\":\"langsmith-py\",\"sdk_version\":\"0.4.37\",\"library\":\"langsmith\","
    "\"platform\":\"Linux\",\"runtime\":\"python\",\"py_implementation\":\"CPython\","
    "\"runtime_version\":\"3.12.3\",\"langchain_version\":\"0.3.27\"}}";

/* Posts, then patches; one of the two may be left out. */
static struct made_record *make_pairs(const struct make_run *runs, size_t count, bool posts,
                                      bool patches)
{
    struct make_layer *layers = calloc(2 * count, sizeof *layers);
    char(*extras)[900] = calloc(count, sizeof *extras);
    char(*names)[60] = calloc(count, sizeof *names);
    or_die(!layers || !extras || !names, "no memory");
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        snprintf(extras[i], sizeof *extras, extra, (unsigned long long)runs[i].number % 1000,
                 (unsigned long long)runs[i].number / 20);
        snprintf(names[i], sizeof *names, "\"%s\"", runs[i].name);
        if (posts)
            layers[made++] = (struct make_layer){
                .kind = RUN_POST,
                .id = runs[i].id,
                .trace = runs[i].trace,
                .parent = i % 4 ? runs[i - i % 4].id : (struct uuid){{0}},
                .start_us = runs[i].start_us,
                .field = {[RUN_NAME] = names[i],
                          [RUN_START_TIME] = "1",
                          [RUN_INPUTS] = "{\"question\":\"What is the answer to all of this?\"}",
                          [RUN_EXTRA] = extras[i],
                          [RUN_SESSION_NAME] = "\"bench\""}};
    }
    for (size_t i = 0; patches && i < count; i++)
        layers[made++] = (struct make_layer){
            .kind = RUN_PATCH,
            .id = runs[i].id,
            .trace = runs[i].trace,
            .parent = i % 4 ? runs[i - i % 4].id : (struct uuid){{0}},
            .end_us = runs[i].start_us + 5,
            .field = {[RUN_END_TIME] = "1",
                      [RUN_OUTPUTS] = "{\"answer\":\"It is forty-two.\",\"usage_metadata\":"
                                      "{\"input_tokens\":31,\"output_tokens\":7,"
                                      "\"total_tokens\":38}}",
                      [RUN_EXTRA] = extras[i],
                      [RUN_SESSION_NAME] = "\"bench\""}};
    struct made_record *record = make_layers(layers, made);
    free(layers);
    free(extras);
    free(names);
    return record;
}

/* What goes in next: one record, or two. */
static size_t next_batches(struct source *s, size_t count, struct uuid *last,
                           struct made_record *made[2])
{
    char(*names)[48] = calloc(count, sizeof *names);
    or_die(!names, "no memory");
    struct make_run *runs = next_runs(s, count, names);
    enum layers layers = s->workload->layers;
    *last = runs[count / 2].id;
    made[0] = layers == LAYERS_NONE ? make_record(runs, count)
                                    : make_pairs(runs, count, true, layers == LAYERS_TOGETHER);
    made[1] = layers == LAYERS_APART ? make_pairs(runs, count, false, true) : NULL;
    free(runs);
    free(names);
    return layers == LAYERS_APART ? 2 : 1;
}

/* --- times ------------------------------------------------------------------------ */

struct times {
    double *us;
    size_t count, cap;
    double sum;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void times_add(struct times *times, int64_t ns)
{
    if (times->count == times->cap) {
        times->cap = times->cap ? 2 * times->cap : 1024;
        times->us = realloc(times->us, times->cap * sizeof *times->us);
        or_die(!times->us, "no memory");
    }
    times->us[times->count++] = (double)ns / 1000;
    times->sum += (double)ns / 1000;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double at(struct times *times, double part)
{
    qsort(times->us, times->count, sizeof *times->us, order);
    return times->count ? times->us[(size_t)(part * (double)(times->count - 1))] : 0;
}

static void print_groups(const char *name, uint64_t rows, struct times *times, uint64_t count)
{
    printf("%-36s %9llu %9.0f %9.2f %9.2f %9.2f\n", name, (unsigned long long)rows,
           (double)count / times->sum * 1e6, at(times, 0.5) / 1000, at(times, 0.99) / 1000,
           at(times, 1) / 1000);
    times->count = 0;
    times->sum = 0;
}

/* Of this thread: what a group costs when nobody else is in the way. */
static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* --- the floor ---------------------------------------------------------------------- */

static void floor_rows(const char *path, uint64_t rows, size_t group)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    or_die(sqlite3_open(path, &db) ||
               sqlite3_exec(db,
                            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                            "CREATE TABLE run(row INTEGER PRIMARY KEY, id BLOB, trace BLOB,"
                            " start_us INTEGER, end_us INTEGER, project INTEGER, name INTEGER,"
                            " type INTEGER, status INTEGER, container INTEGER, ordinal INTEGER,"
                            " version INTEGER, size INTEGER, hash BLOB)",
                            NULL, NULL, NULL) ||
               sqlite3_prepare_v2(db, "INSERT INTO run VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", -1,
                                  &s, NULL),
           "the floor's file");
    struct make_random random = {1};
    struct times times = {0};
    for (uint64_t row = 0; row < rows;) {
        int64_t began = now_ns();
        sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
        for (size_t i = 0; i < group && row < rows; i++, row++) {
            struct uuid id = make_uuid(&random), trace = make_uuid(&random);
            sqlite3_bind_int64(s, 1, (int64_t)row);
            sqlite3_bind_blob(s, 2, id.byte, 16, SQLITE_STATIC);
            sqlite3_bind_blob(s, 3, trace.byte, 16, SQLITE_STATIC);
            for (int c = 4; c <= 13; c++)
                sqlite3_bind_int64(s, c, c < 6 ? 1700000000000000 : (int64_t)row % 1000);
            sqlite3_bind_blob(s, 14, id.byte, 16, SQLITE_STATIC);
            sqlite3_step(s);
            sqlite3_reset(s);
        }
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        times_add(&times, now_ns() - began);
    }
    print_groups("floor: rows without any index", rows, &times, rows);
    free(times.us);
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* --- reading ------------------------------------------------------------------------ */

static void time_search(struct calls *calls, const char *what, const struct query *query, int count)
{
    struct times times = {0};
    size_t found = 0;
    for (int i = 0; i < count; i++) {
        struct arena *arena = arena_new(1 << 16);
        struct index_search search;
        int64_t began = now_ns();
        or_die(calls_search(calls, query, arena, &search), calls->err.text);
        times_add(&times, now_ns() - began);
        found = search.count;
        arena_free(arena);
    }
    printf("    %-44s %4zu found %9.1f us p50 %9.1f p99\n", what, found, at(&times, 0.5),
           at(&times, 0.99));
    free(times.us);
}

/* All pages of a query, at most `pages`. */
static size_t turn_pages(struct calls *calls, struct run_query query, size_t pages)
{
    size_t found = 0;
    bool more = true;
    for (size_t i = 0; i < pages && more; i++) {
        struct arena *arena = arena_new(1 << 16);
        struct index_query page;
        or_die(calls_query(calls, &query, arena, &page), calls->err.text);
        found += page.count;
        more = page.more;
        query.after = true;
        query.cursor = page.next;
        arena_free(arena);
    }
    return found;
}

static void time_query(struct calls *calls, const char *what, const char *filter,
                       struct run_query query, size_t pages)
{
    enum { TIMES = 100 };
    struct uuid project = entity_project_id(STR("bench"), 0);
    struct arena *arena = arena_new(4096);
    struct times times = {0};
    size_t found = 0;
    query.projects = &project;
    query.project_count = 1;
    query.start_min_us = INT64_MIN;
    query.start_max_us = INT64_MAX;
    if (filter)
        or_die(filter_parse((struct str){filter, strlen(filter)}, arena, &query.filter, NULL),
               filter);
    for (int i = 0; i < TIMES; i++) {
        int64_t began = now_ns();
        found = turn_pages(calls, query, pages);
        times_add(&times, now_ns() - began);
    }
    printf("    %-44s %4zu found %9.1f us p50 %9.1f p99\n", what, found, at(&times, 0.5),
           at(&times, 0.99));
    free(times.us);
    arena_free(arena);
}

/* A trace of very many runs. */
static struct uuid add_trace(struct calls *calls, uint64_t sequence)
{
    enum { RUNS = 10000 };
    struct make_run *runs = calloc(RUNS, sizeof *runs);
    or_die(!runs, "no memory");
    for (size_t i = 0; i < RUNS; i++)
        runs[i] = (struct make_run){.id = make_id(1000 + i),
                                    .trace = make_id(7),
                                    .name = "step",
                                    .start_us = INT64_C(1700000000000000) + (int64_t)i};
    struct made_record *made = make_pairs(runs, RUNS, true, true);
    struct index_batch batch = {.record = &made->record, .first = {2, 0}, .sequence = sequence};
    or_die(calls_stage(calls, &batch, 1) || calls_commit(calls, sequence), calls->err.text);
    made_free(made);
    free(runs);
    return make_id(7);
}

static void query_back(struct calls *calls, uint64_t sequence)
{
    const struct run_query any = {.limit = 50}, tops = {.limit = 50, .root = QUERY_YES},
                           oldest = {.limit = 50, .oldest_first = true},
                           trace = {.limit = 1000,
                                    .by_trace = true,
                                    .trace = add_trace(calls, sequence + 1)};
    time_query(calls, "newest of a project", NULL, any, 1);
    time_query(calls, "oldest of a project", NULL, oldest, 1);
    time_query(calls, "newest tops of traces of a project", NULL, tops, 1);
    time_query(calls, "metadata: one of a thousand",
               "and(eq(metadata_key, \"user_id\"), eq(metadata_value, \"u-77\"))", any, 1);
    time_query(calls, "metadata: that, and what all have",
               "and(has(metadata, '{\"environment\":\"production\"}'),"
               " has(metadata, '{\"user_id\":\"u-77\"}'))",
               any, 1);
    time_query(calls, "thread", "eq(thread_id, \"s-77\")", any, 1);
    time_query(calls, "name, with a filter: two of a hundred", "eq(name, \"Chain number 7\")", any,
               1);
    time_query(calls, "a trace of 10000 runs, all pages", NULL, trace, 20);
}

static struct query named(const char *name)
{
    return (struct query){.by_name = true, .name = {name, strlen(name)}, .limit = 50};
}

static void read_back(struct calls *calls, const struct uuid *ids, size_t count,
                      struct make_random *random)
{
    for (size_t per = 1; per <= PER_FIND; per *= PER_FIND) {
        int64_t began = now_ns();
        for (size_t i = 0; i < FINDS / per; i++) {
            struct arena *arena = arena_new(4096);
            struct uuid wanted[PER_FIND];
            struct index_row *rows;
            for (size_t k = 0; k < per; k++)
                wanted[k] = ids[make_random(random) % count];
            or_die(calls_find(calls, wanted, per, arena, &rows) || !rows[0].found, "a find");
            arena_free(arena);
        }
        printf("    %zu at a time: %.0f finds/s\n", per,
               (double)FINDS / (double)(now_ns() - began) * 1e9);
    }
    struct arena *arena = arena_new(4096);
    struct index_row *row;
    or_die(calls_find(calls, &ids[count / 2], 1, arena, &row), "a find");
    struct query trace = {.by_trace = true, .trace = row->trace, .limit = 50};
    arena_free(arena);
    time_search(calls, "trace", &trace, SEARCHES);
    struct query few = named("number 17"), all = named("n"), many = named("st"),
                 rare = named("step 77"), nothing = named("no such name"), two = named("zq"),
                 any = named("");
    time_search(calls, "\"number 17\": one name, or none", &few, SEARCHES);
    time_search(calls, "\"step 77\": many rare names, or none", &rare, SEARCHES / 10);
    time_search(calls, "\"n\": every name", &all, SEARCHES / 10);
    time_search(calls, "\"st\": every name, or none", &many, SEARCHES / 10);
    time_search(calls, "any name", &any, SEARCHES / 10);
    time_search(calls, "\"no such name\"", &nothing, SEARCHES);
    time_search(calls, "\"zq\": nothing, under three characters", &two, SEARCHES / 100);
}

/* --- one workload ------------------------------------------------------------------- */

static double file_size(const char *dir, const char *name)
{
    char path[200];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) ? 0 : (double)st.st_size / 1e6;
}

static void forget_files(const char *dir)
{
    static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm"};
    char path[200];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
}

static void bench(const struct workload *workload, const char *dir, uint64_t rows, size_t group)
{
    char path[200];
    int len = snprintf(path, sizeof path, "%s/index.db", dir);
    const struct index_sqlite_config config = {
        .path = {path, (size_t)len},
        .readers = 2,
        .queue = 100,
        .deadline_ms = 60000,
        .cache_size = 32 << 20,
    };
    struct index *index = NULL;
    struct calls calls;
    struct err err = {0};
    or_die(index_sqlite_open(&config, &index, &err), err.text);
    calls_open(&calls, index);

    struct source source = {
        .workload = workload, .random = {7}, .now_us = INT64_C(1700000000000000)};
    struct times times = {0}, busy = {0};
    size_t id_count = 0;
    struct uuid *ids = calloc((size_t)(rows / group) + 1, sizeof *ids);
    or_die(!ids, "no memory");
    uint64_t sequence = 0, since = 0;
    double cpu = 0, wal = 0;
    for (uint64_t done = 0; done < rows;) {
        struct made_record *made[2];
        size_t batches = next_batches(&source, group, &ids[id_count++], made);
        double cpu_began = cpu_seconds();
        int64_t began = now_ns(), thread_began = thread_ns();
        for (size_t i = 0; i < batches; i++) {
            struct index_batch batch = {
                .record = &made[i]->record, .first = {1, (uint32_t)done}, .sequence = ++sequence};
            or_die(calls_stage(&calls, &batch, 1) || calls_commit(&calls, sequence),
                   calls.err.text);
            or_die(batch.added != made[i]->record.count, "a batch was not new");
        }
        times_add(&times, now_ns() - began);
        times_add(&busy, thread_ns() - thread_began);
        cpu += cpu_seconds() - cpu_began;
        made_free(made[0]);
        made_free(made[1]);
        done += group;
        since += group;
        if (done == FIRST || done >= rows) {
            print_groups(workload->name, done, &times, since);
            since = 0;
        }
        double size = file_size(dir, "index.db-wal");
        wal = size > wal ? size : wal;
    }
    printf("    CPU: %.2f us a row, checkpoints included; of a group %.2f ms p50, %.2f p99, %.2f "
           "max\n",
           cpu / (double)rows * 1e6, at(&busy, 0.5) / 1000, at(&busy, 0.99) / 1000,
           at(&busy, 1) / 1000);
    printf("    %.0f MB, WAL at most %.0f MB\n", file_size(dir, "index.db"), wal);
    read_back(&calls, ids, id_count, &source.random);
    if (workload->layers != LAYERS_NONE)
        query_back(&calls, sequence);

    calls_close(&calls);
    index->ops->close(index);
    int64_t began = now_ns();
    or_die(index_sqlite_open(&config, &index, &err), err.text);
    printf("    opened again in %.1f ms\n", (double)(now_ns() - began) / 1e6);
    index->ops->close(index);
    free(times.us);
    free(busy.us);
    free(ids);
}

int main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    size_t group = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    or_die(rows < FIRST || group == 0 || group > FIRST || FIRST % group != 0 || rows % group != 0,
           "rows >= 100000 in whole groups that divide 100000");
    const char *tmp = getenv("TMPDIR");
    char dir[128], path[200];
    snprintf(dir, sizeof dir, "%s/index_bench.XXXXXX", tmp ? tmp : "/tmp");
    or_die(!mkdtemp(dir), "no directory");
    snprintf(path, sizeof path, "%s/index.db", dir);

    printf("groups of %zu; a group's stage and commit in ms\n", group);
    printf("%-36s %9s %9s %9s %9s %9s\n", "", "rows", "rows/s", "p50", "p99", "max");
    floor_rows(path, rows, group);
    forget_files(dir);
    size_t only = argc > 3 ? strtoul(argv[3], NULL, 10) : 0; /* 1, 2, ...; 0: all */
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (only != 0 && only != i + 1)
            continue;
        bench(&workloads[i], dir, rows, group);
        fflush(stdout);
        forget_files(dir);
    }
    rmdir(dir);
    return 0;
}
