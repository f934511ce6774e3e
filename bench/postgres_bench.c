/* postgres_bench.c - what a row costs in the PostgreSQL index, beside the bare insert.
 *
 *     TEST_POSTGRES=postgres://... postgres_bench [rows [group]]     200000 in groups of 1000
 *
 * Rows go in as the commit loop brings them: stage one batch, commit.  The floor is one
 * INSERT .. SELECT FROM unnest() of ready-made binary arrays into a table with what any index
 * of runs has (production_bench has the same): an id, a trace, a time, and an index on each;
 * and into the same table without any index.  The three take turns, group by group, so that
 * they share what else the machine does; rates are of the median group.  Only that is timed,
 * not the making of a group.  What the server did for it, its CPU time and the bytes of its
 * log, is hardly changed by what else the machine does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/index.h"
#include "index/postgres_part.h"
#include "index/postgres_session.h"
#include "lib/index_calls.h"
#include "lib/make_record.h"
#include "lib/postgres_bed.h"
#include "run/query.h"

enum { FINDS = 5000, PER_FIND = 100, SEARCHES = 300, WAIT_MS = 60000 };

static void or_die(int failed, const char *what)
{
    if (failed) {
        fprintf(stderr, "postgres_bench: %s\n", what);
        exit(1);
    }
}

/* --- what goes in ------------------------------------------------------------------- */

struct source {
    bool v4;
    struct make_random random;
    struct uuid_source ids;
    int64_t now_us;
    uint64_t made;
};

static struct source source_of(bool v4)
{
    return (struct source){.v4 = v4, .random = {7}, .now_us = clock_now_us()};
}

static struct made_record *next_group(struct source *s, size_t count, struct uuid *last)
{
    struct make_run *runs = calloc(count, sizeof *runs);
    char(*names)[48] = calloc(count, sizeof *names);
    or_die(!runs || !names, "no memory");
    for (size_t i = 0; i < count; i++) {
        s->now_us += 10;
        runs[i].id = s->v4 ? make_uuid(&s->random) : uuid_v7(&s->ids, s->now_us);
        runs[i].trace = make_uuid(&s->random);
        runs[i].start_us = s->now_us;
        runs[i].number = s->made++;
        snprintf(names[i], sizeof *names, "Chain number %d", (int)(make_random(&s->random) % 50));
        runs[i].name = names[i];
    }
    *last = runs[count / 2].id;
    struct made_record *made = make_record(runs, count);
    free(runs);
    free(names);
    return made;
}

/* --- what the server did ------------------------------------------------------------- */

struct work {
    double us, cpu_us, log_bytes;
};

/* CPU time of all sessions, and bytes of the log. */
#define CPU_NS                                                                                     \
    "select sum(split_part(pg_read_file('/proc/' || pid || '/schedstat'), ' ', 1)::int8)::int8"    \
    " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
#define LOG_BYTES "select (pg_current_wal_insert_lsn() - '0/0')::int8"

struct watch {
    struct pg_server *server;
    struct pg_session *session; /* a superuser's */
};

static void take_number(void *context, const struct libpq *pq, PGresult *result)
{
    if (pq->PQntuples(result) == 1)
        *(double *)context = (double)pg_long(pq, result, 0, 0);
}

static struct work look_at(const struct watch *watch)
{
    struct work now = {.us = (double)clock_mono_us()};
    struct err err = {0};
    or_die(pg_session_ask(watch->session, CPU_NS, NULL, take_number, &now.cpu_us, WAIT_MS, &err) ||
               pg_session_ask(watch->session, LOG_BYTES, NULL, take_number, &now.log_bytes, WAIT_MS,
                              &err),
           err.text);
    now.cpu_us /= 1000;
    return now;
}

/* --- the floor ---------------------------------------------------------------------- */

static void fill(struct pg_args *args, const struct record *record, struct place first)
{
    static const enum pg_type types[] = {PG_UUID, PG_UUID, PG_LONG, PG_LONG, PG_LONG,
                                         PG_LONG, PG_LONG, PG_LONG, PG_INT,  PG_INT};
    for (int column = 0; column < 10; column++) {
        pg_begin_array(args, types[column], record->count);
        for (uint32_t i = 0; i < record->count; i++) {
            struct run run;
            or_die(record_run(record, i, &run, NULL), "a record");
            if (column < 2)
                pg_put_bytes(args,
                             (struct str){(const char *)(column == 0 ? &run.id : &run.trace), 16});
            else if (types[column] == PG_INT)
                pg_put_int(args, (int32_t)(first.ordinal + i));
            else
                pg_put_long(args, column == 2   ? (uint64_t)run.start_us
                                  : column == 3 ? run.hash[0] % 50
                                                : run.hash[column & 1]);
        }
        pg_end_array(args);
    }
}

struct bare {
    struct postgres_bed bed;
    struct pg_server *server;
    struct pg_session *session;
};

#define TABLE                                                                                      \
    "create table bare(id uuid, trace uuid, start_us bigint, name bigint, version bigint,"         \
    " container bigint, hash_low bigint, hash_high bigint, ordinal integer, size integer);"
#define INDEXES                                                                                    \
    "alter table bare add primary key (id); create index on bare (trace, start_us, id);"           \
    "create index on bare (start_us, id)"
#define INSERT                                                                                     \
    "insert into bare select * from unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[],"        \
    " $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int4[], $10::int4[])"

static void bare_open(struct bare *bare, const char *prepare)
{
    struct err err = {0};
    *bare = (struct bare){0};
    postgres_bed_new(&bare->bed);
    or_die(pg_server_open(bare->bed.url, &bare->server, &err) ||
               pg_session_open(bare->server, WAIT_MS, &bare->session, &err) ||
               pg_session_run(bare->session, prepare, WAIT_MS, &err),
           err.text);
}

static void bare_insert(struct bare *bare, const struct pg_args *args)
{
    struct err err = {0};
    or_die(pg_session_ask(bare->session, INSERT, args, NULL, NULL, WAIT_MS, &err), err.text);
}

static void bare_close(struct bare *bare)
{
    pg_session_close(bare->session);
    pg_server_close(bare->server);
    postgres_bed_drop(&bare->bed);
}

/* --- reading -------------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void time_search(struct calls *calls, const char *what, const struct query *query)
{
    double us[SEARCHES];
    size_t found = 0;
    for (int i = 0; i < SEARCHES; i++) {
        struct arena *arena = arena_new(1 << 16);
        struct index_search search;
        int64_t began_us = clock_mono_us();
        or_die(calls_search(calls, query, arena, &search), calls->err.text);
        us[i] = (double)(clock_mono_us() - began_us);
        found = search.count;
        arena_free(arena);
    }
    qsort(us, SEARCHES, sizeof *us, order);
    printf("    %-44s %4zu found %8.0f us p50 %8.0f p99\n", what, found, us[SEARCHES / 2],
           us[SEARCHES * 99 / 100]);
}

static void read_back(struct calls *calls, const struct uuid *ids, size_t count)
{
    struct make_random random = {1};
    struct index_row *row = NULL;
    for (size_t per = 1; per <= PER_FIND; per *= PER_FIND) {
        int64_t began_us = clock_mono_us();
        for (size_t i = 0; i < FINDS; i++) {
            struct arena *arena = arena_new(4096);
            struct uuid wanted[PER_FIND];
            for (size_t k = 0; k < per; k++)
                wanted[k] = ids[make_random(&random) % count];
            or_die(calls_find(calls, wanted, per, arena, &row) || !row->found, "a find");
            arena_free(arena);
        }
        double each_us = (double)(clock_mono_us() - began_us) / FINDS;
        printf("    %zu at a time: %.0f us, %.0f finds/s one after the other\n", per, each_us,
               (double)per / each_us * 1e6);
    }
    struct arena *arena = arena_new(4096);
    or_die(calls_find(calls, &ids[count / 2], 1, arena, &row), "a find");
    const struct query trace = {.by_trace = true, .trace = row->trace, .limit = 50};
    const struct query all = {.limit = 50};
    const struct query one = {.by_name = true, .name = STR("number 17"), .limit = 50};
    const struct query none = {.by_name = true, .name = STR("no such name"), .limit = 50};
    const struct query two = {.by_name = true, .name = STR("zq"), .limit = 50};
    time_search(calls, "trace", &trace);
    time_search(calls, "everything", &all);
    time_search(calls, "\"number 17\": one name", &one);
    time_search(calls, "\"no such name\"", &none);
    time_search(calls, "\"zq\": nothing, under three characters", &two);
    arena_free(arena);
}

/* --- one workload ----------------------------------------------------------------------- */

enum side { INDEX, BARE, PLAIN, SIDES };

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, order);
    return values[count / 2];
}

/* Of all groups: what the clock and the server say of a row. */
struct tally {
    double *us, *cpu_us, *log_bytes;
};

static struct tally tally_of(size_t groups)
{
    struct tally tally = {calloc(groups, sizeof(double)), calloc(groups, sizeof(double)),
                          calloc(groups, sizeof(double))};
    or_die(!tally.us || !tally.cpu_us || !tally.log_bytes, "no memory");
    return tally;
}

static void tally_add(struct tally *tally, size_t n, struct work before, struct work after,
                      size_t rows)
{
    tally->us[n] = (after.us - before.us) / (double)rows;
    tally->cpu_us[n] = (after.cpu_us - before.cpu_us) / (double)rows;
    tally->log_bytes[n] = (after.log_bytes - before.log_bytes) / (double)rows;
}

/* Of CPU time the lowest tenth: what others push out of the processor's caches is in the rest. */
static void tally_print(const char *what, struct tally *tally, size_t groups)
{
    double us = median(tally->us, groups);
    qsort(tally->cpu_us, groups, sizeof *tally->cpu_us, order);
    printf("    %-32s %8.0f rows/s %8.2f us %8.2f us of the server %8.0f bytes of its log\n", what,
           1e6 / us, us, tally->cpu_us[groups / 10], median(tally->log_bytes, groups));
}

static void tally_free(struct tally *tally)
{
    free(tally->us);
    free(tally->cpu_us);
    free(tally->log_bytes);
}

struct bench {
    struct postgres_bed bed;
    struct index *index;
    struct calls calls;
    struct bare bare, plain;
    struct watch watch;
};

static void bench_open(struct bench *b)
{
    struct err err = {0};
    postgres_bed_new(&b->bed);
    or_die(index_postgres_open(
               &(struct index_postgres_config){
                   .url = b->bed.url,
                   .readers = 2,
                   .queue = 100,
                   .deadline_ms = WAIT_MS,
                   .commit_ms = WAIT_MS,
                   .deployment = "a bench",
                   .shared = true,
               },
               &b->index, &err),
           err.text);
    calls_open(&b->calls, b->index);
    bare_open(&b->bare, TABLE INDEXES);
    bare_open(&b->plain, TABLE);
    or_die(pg_server_open(b->bed.url, &b->watch.server, &err) ||
               pg_session_open(b->watch.server, WAIT_MS, &b->watch.session, &err),
           err.text);
}

static void bench_close(struct bench *b)
{
    pg_session_close(b->watch.session);
    pg_server_close(b->watch.server);
    bare_close(&b->bare);
    bare_close(&b->plain);
    b->index->ops->close(b->index);
    calls_close(&b->calls);
    postgres_bed_drop(&b->bed);
}

static void one_group(struct bench *b, const struct record *record, size_t n, struct tally *tallies)
{
    struct index_batch batch = {.record = record, .first = {n + 1, 0}, .sequence = n + 1};
    struct pg_args args = {0};
    fill(&args, record, batch.first);
    for (enum side side = INDEX; side < SIDES; side++) {
        struct work before = look_at(&b->watch);
        before.us = (double)clock_mono_us();
        if (side == INDEX)
            or_die(calls_stage(&b->calls, &batch, 1) || calls_commit(&b->calls, n + 1),
                   b->calls.err.text);
        else
            bare_insert(side == BARE ? &b->bare : &b->plain, &args);
        struct work after = look_at(&b->watch);
        tally_add(&tallies[side], n, before, after, record->count);
    }
    or_die(batch.added != record->count, "a group was not new");
    pg_args_free(&args);
}

static void bench(bool v4, uint64_t rows, size_t group)
{
    static const char *const names[] = {"the index", "a bare insert, three indexes",
                                        "a bare insert, none"};
    struct bench b = {0};
    struct source source = source_of(v4);
    size_t groups = (size_t)(rows / group);
    struct uuid *ids = calloc(groups, sizeof *ids);
    struct tally tallies[SIDES];
    or_die(!ids, "no memory");
    for (enum side side = INDEX; side < SIDES; side++)
        tallies[side] = tally_of(groups);
    bench_open(&b);
    for (size_t i = 0; i < groups; i++) {
        struct made_record *made = next_group(&source, group, &ids[i]);
        one_group(&b, &made->record, i, tallies);
        made_free(made);
    }
    printf("%s ids, a row:\n", v4 ? "v4" : "v7");
    for (enum side side = INDEX; side < SIDES; side++) {
        tally_print(names[side], &tallies[side], groups);
        tally_free(&tallies[side]);
    }
    postgres_bed_run(&b.bed, "analyze");
    read_back(&b.calls, ids, groups);
    bench_close(&b);
    free(ids);
}

int main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    size_t group = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
    or_die(rows == 0 || group == 0 || rows % group != 0, "rows in whole groups");
    if (!postgres_bed_possible()) {
        printf("skipped: " POSTGRES_BED_SKIP "\n");
        return 0;
    }
    printf("%llu rows in groups of %zu\n", (unsigned long long)rows, group);
    bench(false, rows, group);
    bench(true, rows, group);
    return 0;
}
