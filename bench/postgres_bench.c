/* postgres_bench.c - what a row costs in the PostgreSQL index, beside the bare insert.
 *
 *     TEST_POSTGRES=postgres://... postgres_bench [rows [group]]     200000 in groups of 1000
 *
 * Rows go in as the commit loop brings them: stage one batch, commit.  The floor is
 * the same rows in the same tables of another database, by nothing but one INSERT ..
 * SELECT FROM unnest() of ready-made binary arrays; and into a table without any index.
 * The three take turns, group by group, so that they share what else the machine does;
 * rates are of the median group.  Only that is timed, not the making of a group.
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

/* --- the floor ---------------------------------------------------------------------- */

static void fill(struct pg_args *args, const struct record *record, struct place first)
{
    static const enum pg_type types[] = {PG_INT,  PG_UUID, PG_UUID, PG_LONG, PG_LONG, PG_LONG,
                                         PG_LONG, PG_INT,  PG_INT,  PG_LONG, PG_LONG};
    for (int column = 0; column < 11; column++) {
        pg_begin_array(args, types[column], record->count);
        for (uint32_t i = 0; i < record->count; i++) {
            struct run run;
            or_die(record_run(record, i, &run, NULL), "a record");
            if (column == 0)
                pg_put_int(args, part_of(run.id));
            else if (column < 3)
                pg_put_bytes(args,
                             (struct str){(const char *)(column == 1 ? &run.id : &run.trace), 16});
            else if (types[column] == PG_INT)
                pg_put_int(args, (int32_t)(first.ordinal + i));
            else
                pg_put_long(args, column == 3   ? (uint64_t)run.start_us
                                  : column == 4 ? run.hash[0] % 50
                                                : run.hash[column & 1]);
        }
        pg_end_array(args);
    }
}

struct bare {
    struct postgres_bed bed;
    struct pg_server *server;
    struct pg_session *session;
    const char *sql;
};

static void bare_open(struct bare *bare, const char *sql, const char *prepare)
{
    struct err err = {0};
    *bare = (struct bare){.sql = sql};
    postgres_bed_new(&bare->bed);
    or_die(pg_server_open(bare->bed.url, &bare->server, &err) ||
               pg_session_open(bare->server, WAIT_MS, &bare->session, &err) ||
               pg_session_run(bare->session, prepare, WAIT_MS, &err),
           err.text);
}

static double bare_us(struct bare *bare, const struct record *record, struct place first)
{
    struct pg_args args = {0};
    struct err err = {0};
    fill(&args, record, first);
    int64_t began_us = clock_mono_us();
    or_die(pg_session_ask(bare->session, bare->sql, &args, NULL, NULL, WAIT_MS, &err), err.text);
    int64_t us = clock_mono_us() - began_us;
    pg_args_free(&args);
    return (double)us;
}

static void bare_close(struct bare *bare)
{
    pg_session_close(bare->session);
    pg_server_close(bare->server);
    postgres_bed_drop(&bare->bed);
}

#define COLUMNS                                                                                    \
    "(part, id, trace, start_us, name, version, container, ordinal, size, hash_low, hash_high)"
#define FROM_ARRAYS                                                                                \
    " select * from unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[],"            \
    " $6::int8[], $7::int8[], $8::int4[], $9::int4[], $10::int8[], $11::int8[])"

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

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, order);
    return values[count / 2];
}

static void bench(bool v4, uint64_t rows, size_t group)
{
    struct postgres_bed bed;
    struct index *index = NULL;
    struct calls calls;
    struct err err = {0};
    struct source source = source_of(v4);
    struct bare same, plain;
    size_t groups = (size_t)(rows / group);
    struct uuid *ids = calloc(groups, sizeof *ids);
    double *us[3];
    for (int i = 0; i < 3; i++)
        or_die(!(us[i] = calloc(groups, sizeof **us)), "no memory");
    or_die(!ids, "no memory");
    postgres_bed_new(&bed);
    or_die(index_postgres_open(
               &(struct index_postgres_config){
                   .url = bed.url,
                   .readers = 2,
                   .queue = 100,
                   .deadline_ms = WAIT_MS,
                   .commit_ms = WAIT_MS,
                   .deployment = "a bench",
                   .shared = true,
               },
               &index, &err),
           err.text);
    calls_open(&calls, index);
    bare_open(&same, "insert into rundlet_runs " COLUMNS FROM_ARRAYS,
              "select rundlet_cover(array[(now() at time zone 'UTC')::date - date '1970-01-01'])");
    bare_open(&plain, "insert into bare " COLUMNS FROM_ARRAYS,
              "create table bare (like rundlet_runs)");
    for (size_t i = 0; i < groups; i++) {
        struct made_record *made = next_group(&source, group, &ids[i]);
        struct index_batch batch = {
            .record = &made->record, .first = {i + 1, 0}, .sequence = i + 1};
        int64_t began_us = clock_mono_us();
        or_die(calls_stage(&calls, &batch, 1) || calls_commit(&calls, i + 1), calls.err.text);
        us[0][i] = (double)(clock_mono_us() - began_us);
        or_die(batch.added != group, "a group was not new");
        us[1][i] = bare_us(&same, &made->record, batch.first);
        us[2][i] = bare_us(&plain, &made->record, batch.first);
        made_free(made);
    }
    double mid[3];
    for (int i = 0; i < 3; i++)
        mid[i] = median(us[i], groups);
    printf("%s ids: %.0f rows/s, a group in %.1f ms (p99 %.1f)\n", v4 ? "v4" : "v7",
           (double)group / mid[0] * 1e6, mid[0] / 1000, us[0][groups * 99 / 100] / 1000);
    printf("    the bare insert into the same tables: %.0f rows/s, ratio %.2f\n",
           (double)group / mid[1] * 1e6, mid[1] / mid[0]);
    printf("    into a table without indexes: %.0f rows/s, ratio %.2f\n",
           (double)group / mid[2] * 1e6, mid[2] / mid[0]);
    bare_close(&same);
    bare_close(&plain);
    postgres_bed_run(&bed, "analyze");
    read_back(&calls, ids, groups);
    index->ops->close(index);
    calls_close(&calls);
    postgres_bed_drop(&bed);
    for (int i = 0; i < 3; i++)
        free(us[i]);
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
