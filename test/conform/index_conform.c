/* index_conform.c - what every index must do, done to each of them.
 *
 * memory is the reference: the last test does thousands of random things to it
 * and to the others, and compares every answer.
 */
#include "index/index.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "lib/check.h"
#include "lib/index_bed.h"
#include "lib/index_calls.h"
#include "lib/make_record.h"
#include "lib/postgres_bed.h"
#include "run/query.h"

enum { BATCH_MAX = 64 };

/* --- the back ends -------------------------------------------------------------- */

/* PostgreSQL last: it may not be there. */
static void (*const starts[])(struct bed *bed) = {bed_memory, bed_sqlite, bed_postgres};
enum { BACK_ENDS = sizeof starts / sizeof *starts, LOCAL = BACK_ENDS - 1 };

static void on(void (*start)(struct bed *bed), void (*test)(struct bed *bed))
{
    struct bed bed;
    start(&bed);
    test(&bed);
    bed_stop(&bed);
}

/* A test that is done to each of them. */
#define EACH(id)                                                                                   \
    static void id##_on(struct bed *bed);                                                          \
    TEST(id)                                                                                       \
    {                                                                                              \
        for (size_t i = 0; i < LOCAL; i++)                                                         \
            on(starts[i], id##_on);                                                                \
    }                                                                                              \
    TEST(id##_in_postgres)                                                                         \
    {                                                                                              \
        if (postgres_bed_possible())                                                               \
            on(bed_postgres, id##_on);                                                             \
        else                                                                                       \
            test_skip(POSTGRES_BED_SKIP);                                                          \
    }                                                                                              \
    static void id##_on(struct bed *bed)

/* --- what is done ----------------------------------------------------------------- */

/* Stage one batch; its places go on from the one before. */
static int stage(struct bed *bed, const struct make_run *runs, size_t count,
                 struct index_batch *batch)
{
    struct made_record *made = make_record(runs, count);
    *batch = (struct index_batch){
        .record = &made->record,
        .first = {1, bed->ordinal},
        .sequence = ++bed->sequence,
    };
    int r = calls_stage(&bed->calls, batch, 1);
    batch->record = NULL;
    bed->ordinal += (uint32_t)count;
    made_free(made);
    return r;
}

static void add(struct bed *bed, const struct make_run *runs, size_t count)
{
    struct index_batch batch;
    CHECK(stage(bed, runs, count, &batch) == 0);
    CHECK(batch.verdict == INDEX_ADDED && batch.added == count);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
}

static bool there(struct bed *bed, struct uuid id)
{
    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    CHECK(calls_find(&bed->calls, &id, 1, arena, &rows) == 0);
    bool found = rows[0].found;
    CHECK(uuid_compare(rows[0].id, id) == 0);
    arena_free(arena);
    return found;
}

static struct query by_name(const char *name)
{
    return (struct query){.by_name = true, .name = {name, strlen(name)}, .limit = 50};
}

static struct query by_trace(uint64_t trace)
{
    return (struct query){.by_trace = true, .trace = make_id(trace), .limit = 50};
}

/* Are these the runs of the page, in this order?  Ends with 0. */
static bool page_is(struct bed *bed, const struct query *query, int more, ...)
{
    struct arena *arena = arena_new(1024);
    struct index_search search;
    bool same = calls_search(&bed->calls, query, arena, &search) == 0 && search.more == (more != 0);
    size_t count = 0;
    va_list ap;
    va_start(ap, more);
    for (int n; (n = va_arg(ap, int)) != 0; count++)
        same = same && count < search.count &&
               uuid_compare(search.rows[count].id, make_id((uint64_t)n)) == 0;
    va_end(ap);
    same = same && count == search.count;
    arena_free(arena);
    return same;
}

/* Is the name, as it stands in JSON, found by what is asked? */
static bool finds(struct bed *bed, const char *name, struct str asked)
{
    struct make_random random = {bed->sequence};
    struct make_run run = {.id = make_uuid(&random), .trace = make_uuid(&random), .name = name};
    add(bed, &run, 1);
    const struct query query = {
        .by_name = true, .by_trace = true, .trace = run.trace, .name = asked, .limit = 2};
    const struct query anywhere = {.by_name = true, .name = asked, .limit = 1000};
    struct arena *arena = arena_new(1024);
    struct index_search search;
    CHECK(calls_search(&bed->calls, &query, arena, &search) == 0);
    bool found = search.count == 1 && uuid_compare(search.rows[0].id, run.id) == 0;

    bool found_anywhere = false;
    CHECK(calls_search(&bed->calls, &anywhere, arena, &search) == 0);
    for (size_t i = 0; i < search.count; i++)
        found_anywhere = found_anywhere || uuid_compare(search.rows[i].id, run.id) == 0;
    CHECK(found == found_anywhere);
    arena_free(arena);
    return found;
}
#define FINDS(bed, name, asked) finds(bed, name, STR(asked))

/* --- the tests -------------------------------------------------------------------- */

EACH(a_new_index_is_empty)
{
    struct query name = by_name(""), trace = by_trace(1);
    CHECK(calls_mark(&bed->calls) == 0);
    CHECK(bed->calls.index->ops->runs(bed->calls.index) == 0);
    CHECK(!there(bed, make_id(1)));
    CHECK(page_is(bed, &name, false, 0));
    CHECK(page_is(bed, &trace, false, 0));
}

EACH(a_row_says_what_the_record_said)
{
    struct make_run runs[] = {
        {.id = make_id(1), .trace = make_id(9), .name = "a", .start_us = 1700000000000000},
        {.id = make_id(2), .trace = make_id(9), .name = "b", .start_us = -1},
    };
    bed->ordinal = 7;
    add(bed, runs, 2);

    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    struct uuid ids[] = {make_id(2), make_id(3), make_id(1), make_id(2)};
    CHECK(calls_find(&bed->calls, ids, 4, arena, &rows) == 0);
    CHECK(rows[0].found && !rows[1].found && rows[2].found && rows[3].found);
    CHECK(uuid_compare(rows[0].id, ids[0]) == 0 && uuid_compare(rows[2].id, ids[2]) == 0);
    CHECK(uuid_compare(rows[0].trace, make_id(9)) == 0);
    CHECK(rows[0].start_us == -1 && rows[2].start_us == 1700000000000000);
    CHECK(rows[0].version == 1 && rows[2].version == 1);
    CHECK(rows[0].holders[0].place.container == 1 && rows[0].holders[0].place.ordinal == 8);
    CHECK(rows[2].holders[0].place.container == 1 && rows[2].holders[0].place.ordinal == 7);
    struct made_record *made = make_record(&runs[1], 1);
    CHECK(rows[0].size == made->record.body.len);
    made_free(made);
    arena_free(arena);
}

EACH(what_is_staged_is_seen_only_when_it_is_committed)
{
    struct make_run run = {.id = make_id(1), .trace = make_id(9), .name = "chat"};
    struct index_batch batch;
    struct query name = by_name("chat"), trace = by_trace(9);

    CHECK(stage(bed, &run, 1, &batch) == 0);
    CHECK(batch.verdict == INDEX_ADDED && batch.added == 1);
    CHECK(!there(bed, make_id(1)));
    CHECK(page_is(bed, &name, false, 0));
    CHECK(page_is(bed, &trace, false, 0));
    CHECK(calls_mark(&bed->calls) == 0);

    CHECK(calls_commit(&bed->calls, 41) == 0);
    CHECK(there(bed, make_id(1)));
    CHECK(page_is(bed, &name, false, 1, 0));
    CHECK(page_is(bed, &trace, false, 1, 0));
    CHECK(calls_mark(&bed->calls) == 41);
    CHECK(bed->calls.index->ops->runs(bed->calls.index) == 1);
}

EACH(what_is_rolled_back_never_was)
{
    struct make_run run = {.id = make_id(1), .trace = make_id(9), .name = "chat"};
    struct make_run other = {.id = make_id(1), .trace = make_id(8), .name = "embed", .number = 1};
    struct index_batch batch;
    struct query chat = by_name("chat"), embed = by_name("embed"), nine = by_trace(9);

    CHECK(stage(bed, &run, 1, &batch) == 0);
    CHECK(calls_rollback(&bed->calls) == 0);
    CHECK(calls_mark(&bed->calls) == 0);
    CHECK(!there(bed, make_id(1)));

    add(bed, &other, 1);
    CHECK(there(bed, make_id(1)));
    CHECK(page_is(bed, &chat, false, 0));
    CHECK(page_is(bed, &nine, false, 0));
    CHECK(page_is(bed, &embed, false, 1, 0));
    CHECK(bed->calls.index->ops->runs(bed->calls.index) == 1);
    CHECK(calls_rollback(&bed->calls) == 0);
    CHECK(there(bed, make_id(1)));
}

EACH(a_commit_of_nothing_moves_the_mark)
{
    CHECK(calls_commit(&bed->calls, 12) == 0);
    CHECK(calls_mark(&bed->calls) == 12);
    CHECK(calls_commit(&bed->calls, 13) == 0);
    CHECK(calls_mark(&bed->calls) == 13);
}

EACH(the_same_run_again_is_a_duplicate)
{
    struct make_run runs[] = {{.id = make_id(1), .trace = make_id(9), .name = "a"},
                              {.id = make_id(2), .trace = make_id(9), .name = "b"},
                              {.id = make_id(3), .trace = make_id(9), .name = "c"}};
    struct index_batch batch;
    add(bed, runs, 2);

    CHECK(stage(bed, runs, 2, &batch) == 0);
    CHECK(batch.verdict == INDEX_DUPLICATE && batch.added == 0);
    CHECK(stage(bed, runs, 3, &batch) == 0);
    CHECK(batch.verdict == INDEX_ADDED && batch.added == 1);
    CHECK(stage(bed, runs, 3, &batch) == 0);
    CHECK(batch.verdict == INDEX_DUPLICATE && batch.added == 0);
    CHECK(calls_commit(&bed->calls, 9) == 0);
    CHECK(bed->calls.index->ops->runs(bed->calls.index) == 3);

    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    struct uuid ids[] = {make_id(1), make_id(3)};
    CHECK(calls_find(&bed->calls, ids, 2, arena, &rows) == 0);
    CHECK(rows[0].version == 1 && rows[0].holders[0].place.ordinal == 0); /* the first one stays */
    CHECK(rows[1].version == 3 && rows[1].holders[0].place.ordinal == 6);
    arena_free(arena);
}

EACH(a_batch_may_hold_the_same_run_twice)
{
    struct make_run runs[] = {{.id = make_id(1), .trace = make_id(9), .name = "a"},
                              {.id = make_id(1), .trace = make_id(9), .name = "a"},
                              {.id = make_id(2), .trace = make_id(9), .name = "a"}};
    struct index_batch batch;
    CHECK(stage(bed, runs, 3, &batch) == 0);
    CHECK(batch.verdict == INDEX_ADDED && batch.added == 2);
    CHECK(calls_commit(&bed->calls, 1) == 0);
    CHECK(bed->calls.index->ops->runs(bed->calls.index) == 2);

    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    struct uuid ids[] = {make_id(1), make_id(2)};
    CHECK(calls_find(&bed->calls, ids, 2, arena, &rows) == 0);
    CHECK(rows[0].holders[0].place.ordinal == 0 && rows[1].holders[0].place.ordinal == 2);
    arena_free(arena);
}

EACH(other_bytes_under_a_stored_id_are_a_conflict_and_stage_nothing)
{
    struct make_run old = {.id = make_id(1), .trace = make_id(9), .name = "a"};
    struct make_run runs[] = {{.id = make_id(2), .trace = make_id(9), .name = "b"},
                              {.id = make_id(3), .trace = make_id(9), .name = "c"},
                              {.id = make_id(1), .trace = make_id(9), .name = "a", .number = 1}};
    struct index_batch batch;
    add(bed, &old, 1);

    CHECK(stage(bed, runs, 3, &batch) == 0);
    CHECK(batch.verdict == INDEX_CONFLICT && batch.added == 0 && batch.conflict == 2);
    CHECK(calls_commit(&bed->calls, 9) == 0);
    CHECK(there(bed, make_id(1)) && !there(bed, make_id(2)) && !there(bed, make_id(3)));

    /* Nothing is left behind that would be in the way of the same ids. */
    runs[0].number = 5;
    add(bed, runs, 2);
    CHECK(there(bed, make_id(2)) && there(bed, make_id(3)));
}

EACH(what_a_refused_batch_held_may_come_in_the_same_transaction)
{
    struct make_run old = {.id = make_id(1), .trace = make_id(9), .name = "a"};
    struct make_run runs[] = {{.id = make_id(2), .trace = make_id(9), .name = "b"},
                              {.id = make_id(1), .trace = make_id(9), .name = "a", .number = 1}};
    struct index_batch batch;
    struct query b = by_name("b"), c = by_name("c");
    CHECK(stage(bed, &old, 1, &batch) == 0);
    CHECK(stage(bed, runs, 2, &batch) == 0 && batch.verdict == INDEX_CONFLICT);
    runs[0].name = "c";
    CHECK(stage(bed, runs, 1, &batch) == 0 && batch.verdict == INDEX_ADDED);
    CHECK(calls_commit(&bed->calls, 9) == 0);
    CHECK(page_is(bed, &b, false, 0));
    CHECK(page_is(bed, &c, false, 2, 0));
}

EACH(ids_that_grow_with_time_are_judged_like_any_other)
{
    struct uuid_source source = {0};
    struct make_run runs[40];
    struct index_batch batch;
    for (int i = 0; i < 40; i++)
        runs[i] = (struct make_run){
            .id = uuid_v7(&source, 1700000000000000 + i), .trace = make_id(9), .name = "n"};
    add(bed, runs + 20, 20); /* the later ones first */
    add(bed, runs, 10);
    CHECK(stage(bed, runs, 10, &batch) == 0 && batch.verdict == INDEX_DUPLICATE);
    CHECK(stage(bed, runs + 30, 10, &batch) == 0 && batch.verdict == INDEX_DUPLICATE);
    CHECK(stage(bed, runs + 5, 10, &batch) == 0 && batch.added == 5);
    CHECK(stage(bed, runs + 5, 10, &batch) == 0 && batch.verdict == INDEX_DUPLICATE);
    runs[39].number = runs[12].number = 1;
    CHECK(stage(bed, runs + 39, 1, &batch) == 0 && batch.verdict == INDEX_CONFLICT);
    CHECK(stage(bed, runs + 12, 1, &batch) == 0 && batch.verdict == INDEX_CONFLICT);
    CHECK(calls_commit(&bed->calls, 9) == 0);
    CHECK(there(bed, runs[14].id) && !there(bed, runs[15].id));
}

EACH(a_conflict_within_a_batch_stages_nothing)
{
    struct make_run runs[] = {{.id = make_id(1), .trace = make_id(9), .name = "a"},
                              {.id = make_id(2), .trace = make_id(9), .name = "b"},
                              {.id = make_id(1), .trace = make_id(9), .name = "b"}};
    struct index_batch batch;
    CHECK(stage(bed, runs, 3, &batch) == 0);
    CHECK(batch.verdict == INDEX_CONFLICT && batch.conflict == 2);
    CHECK(calls_commit(&bed->calls, 1) == 0);
    CHECK(!there(bed, make_id(1)) && !there(bed, make_id(2)));
}

EACH(a_batch_sees_those_staged_before_it)
{
    struct make_run a = {.id = make_id(1), .trace = make_id(9), .name = "a"};
    struct make_run b = {.id = make_id(1), .trace = make_id(9), .name = "b"};
    struct make_run c = {.id = make_id(2), .trace = make_id(9), .name = "c"};
    struct made_record *made[] = {make_record(&a, 1), make_record(&b, 1), make_record(&a, 1),
                                  make_record(&c, 1)};
    struct index_batch batches[4];
    for (size_t i = 0; i < 4; i++)
        batches[i] = (struct index_batch){
            .record = &made[i]->record, .first = {1, (uint32_t)i}, .sequence = i + 1};

    CHECK(calls_stage(&bed->calls, batches, 4) == 0);
    CHECK(batches[0].verdict == INDEX_ADDED);
    CHECK(batches[1].verdict == INDEX_CONFLICT && batches[1].conflict == 0);
    CHECK(batches[2].verdict == INDEX_DUPLICATE);
    CHECK(batches[3].verdict == INDEX_ADDED);
    CHECK(calls_commit(&bed->calls, 4) == 0);
    CHECK(there(bed, make_id(1)) && there(bed, make_id(2)));
    for (size_t i = 0; i < 4; i++)
        made_free(made[i]);
}

EACH(a_damaged_record_is_an_error_and_commits_nothing)
{
    struct make_run runs[] = {{.id = make_id(1), .trace = make_id(9), .name = "a"},
                              {.id = make_id(2), .trace = make_id(9), .name = "b"}};
    struct made_record *made = make_record(runs, 2);
    struct index_batch batch = {.record = &made->record, .first = {1, 0}, .sequence = 1};
    made->bytes[RECORD_ENTRY + 3] ^= 1;

    CHECK(calls_stage(&bed->calls, &batch, 1) == ERR_CORRUPT);
    CHECK(calls_rollback(&bed->calls) == 0);
    CHECK(!there(bed, make_id(1)) && !there(bed, make_id(2)));
    CHECK(calls_mark(&bed->calls) == 0);
    made_free(made);
    add(bed, runs, 2);
    CHECK(there(bed, make_id(1)) && there(bed, make_id(2)));
}

EACH(pages_are_newest_first_and_ties_go_by_id)
{
    /* Among equal times the greater id comes first, as bytes. */
    struct uuid low = {{0x10, 1}}, high = {{0xf0, 1}};
    struct make_run runs[] = {
        {.id = make_id(1), .trace = make_id(9), .name = "n", .start_us = 5},
        {.id = low, .trace = make_id(9), .name = "n", .start_us = 7},
        {.id = make_id(2), .trace = make_id(9), .name = "n", .start_us = -9},
        {.id = high, .trace = make_id(9), .name = "n", .start_us = 7},
        {.id = make_id(3), .trace = make_id(9), .name = "n", .start_us = 0},
    };
    const struct query queries[] = {by_trace(9), by_name("n"), by_name("")};
    add(bed, runs, 2);
    add(bed, runs + 2, 3);

    for (size_t i = 0; i < 3; i++) {
        struct arena *arena = arena_new(1024);
        struct index_search search;
        CHECK(calls_search(&bed->calls, &queries[i], arena, &search) == 0);
        CHECK(search.count == 5 && !search.more);
        CHECK(uuid_compare(search.rows[0].id, high) == 0);
        CHECK(uuid_compare(search.rows[1].id, low) == 0);
        CHECK(uuid_compare(search.rows[2].id, make_id(1)) == 0);
        CHECK(uuid_compare(search.rows[3].id, make_id(3)) == 0);
        CHECK(uuid_compare(search.rows[4].id, make_id(2)) == 0);
        CHECK(search.rows[4].found && search.rows[4].start_us == -9);
        arena_free(arena);
    }
}

EACH(a_limit_cuts_a_page_and_says_so)
{
    struct make_run runs[5];
    for (int i = 0; i < 5; i++)
        runs[i] = (struct make_run){
            .id = make_id((uint64_t)i + 1), .trace = make_id(9), .name = "n", .start_us = i};
    add(bed, runs, 5);
    struct query trace = by_trace(9), name = by_name("n"), all = by_name("");
    trace.limit = name.limit = all.limit = 2;
    CHECK(page_is(bed, &trace, true, 5, 4, 0));
    CHECK(page_is(bed, &name, true, 5, 4, 0));
    CHECK(page_is(bed, &all, true, 5, 4, 0));
    trace.limit = name.limit = all.limit = 5;
    CHECK(page_is(bed, &trace, false, 5, 4, 3, 2, 1, 0));
    CHECK(page_is(bed, &name, false, 5, 4, 3, 2, 1, 0));
    CHECK(page_is(bed, &all, false, 5, 4, 3, 2, 1, 0));
    trace.limit = name.limit = all.limit = QUERY_LIMIT_MAX;
    CHECK(page_is(bed, &trace, false, 5, 4, 3, 2, 1, 0));
    CHECK(page_is(bed, &name, false, 5, 4, 3, 2, 1, 0));
}

EACH(a_cursor_goes_on_below_its_run_whatever_was_inserted)
{
    struct make_run runs[6];
    for (int i = 0; i < 6; i++)
        runs[i] = (struct make_run){
            .id = make_id((uint64_t)i + 1), .trace = make_id(9), .name = "n", .start_us = 10 * i};
    add(bed, runs, 6);
    struct query queries[] = {by_trace(9), by_name("n"), by_name("")};
    for (size_t i = 0; i < 3; i++) {
        queries[i].limit = 2;
        CHECK(page_is(bed, &queries[i], true, 6, 5, 0));
        queries[i].after = true;
        queries[i].cursor = (struct query_cursor){.start_us = 40, .id = make_id(5)};
        CHECK(page_is(bed, &queries[i], true, 4, 3, 0));
    }

    struct make_run more[] = {
        {.id = make_id(21), .trace = make_id(9), .name = "n", .start_us = 100},
        {.id = make_id(22), .trace = make_id(9), .name = "n", .start_us = 45},
        {.id = make_id(23), .trace = make_id(9), .name = "n", .start_us = 35},
    };
    add(bed, more, 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(page_is(bed, &queries[i], true, 23, 4, 0));
        queries[i].cursor = (struct query_cursor){.start_us = 10, .id = make_id(2)};
        CHECK(page_is(bed, &queries[i], false, 1, 0));
        queries[i].cursor = (struct query_cursor){.start_us = 0, .id = make_id(1)};
        CHECK(page_is(bed, &queries[i], false, 0));
    }
}

EACH(a_cursor_splits_runs_of_one_instant)
{
    enum { COUNT = 25 };
    struct make_run runs[COUNT];
    for (int i = 0; i < COUNT; i++)
        runs[i] = (struct make_run){
            .id = make_id((uint64_t)i + 1), .trace = make_id(9), .name = "n", .start_us = 3};
    add(bed, runs, COUNT);
    struct query queries[] = {by_trace(9), by_name("n"), by_name("")};
    for (size_t i = 0; i < 3; i++) {
        struct query *query = &queries[i];
        query->limit = 4;
        size_t seen = 0;
        struct uuid last = {{0}};
        for (bool more = true; more && seen <= COUNT; query->after = true) {
            struct arena *arena = arena_new(1024);
            struct index_search search;
            CHECK(calls_search(&bed->calls, query, arena, &search) == 0);
            for (size_t k = 0; k < search.count; k++, seen++) {
                CHECK(seen == 0 || uuid_compare(search.rows[k].id, last) < 0);
                last = search.rows[k].id;
            }
            query->cursor = (struct query_cursor){.start_us = 3, .id = last};
            more = search.more;
            arena_free(arena);
        }
        CHECK(seen == COUNT);
    }
}

EACH(a_name_is_found_by_any_part_of_it)
{
    CHECK(FINDS(bed, "ChatOpenAI", "ChatOpenAI"));
    CHECK(FINDS(bed, "ChatOpenAI", "chatopenai"));
    CHECK(FINDS(bed, "ChatOpenAI", "TOPENA"));
    CHECK(FINDS(bed, "ChatOpenAI", "a"));
    CHECK(FINDS(bed, "ChatOpenAI", "AI"));
    CHECK(FINDS(bed, "ChatOpenAI", ""));
    CHECK(FINDS(bed, "", ""));
    CHECK(FINDS(bed, "aaaa", "aaa"));
    CHECK(FINDS(bed, "abcabd", "abd"));
    CHECK(!FINDS(bed, "abcabd", "abcd"));
    CHECK(!FINDS(bed, "abc", "abcd"));
    CHECK(!FINDS(bed, "xbcd bcde abd", "abcde")); /* some of its threes, but not in a row */
    CHECK(!FINDS(bed, "", "a"));
    CHECK(!FINDS(bed, "ChatOpenAI", "chat openai"));
}

EACH(a_run_without_a_name_matches_no_name)
{
    CHECK(!finds(bed, NULL, STR("")));
    CHECK(!finds(bed, NULL, STR("a")));
}

EACH(wildcards_and_quotes_are_ordinary_characters)
{
    CHECK(!FINDS(bed, "abc", "%"));
    CHECK(!FINDS(bed, "abc", "a_c"));
    CHECK(!FINDS(bed, "abc", "a%c"));
    CHECK(!FINDS(bed, "abc", "*"));
    CHECK(!FINDS(bed, "abc", "ab*"));
    CHECK(!FINDS(bed, "abc def", "abc OR def"));
    CHECK(!FINDS(bed, "abc", "\"abc\""));
    CHECK(FINDS(bed, "100%_\\\\x", "%_\\"));
    CHECK(FINDS(bed, "say \\\"hi\\\" NEAR", "\"hi\" near"));
    CHECK(FINDS(bed, "it's", "t's"));
    CHECK(FINDS(bed, "'; DROP TABLE run; --", "'; drop"));
    CHECK(FINDS(bed, "tab\\there", "b\th"));
}

EACH(names_are_compared_without_regard_to_case_in_any_script)
{
    CHECK(FINDS(bed, "ΟΔΥΣΣΕΥΣ", "οδυσσευσ"));
    CHECK(FINDS(bed, "Οδυσσεύς", "ΟΔΥΣΣΕΎΣ")); /* final sigma folds to sigma */
    CHECK(FINDS(bed, "Привет Мир", "ПРИВЕТ мир"));
    CHECK(FINDS(bed, "ÀÉÎÕÜ", "àéîõü"));
    CHECK(FINDS(bed, "\\u00c0x\\u00c9", "àXé")); /* escapes are decoded first */
    CHECK(FINDS(bed, "K", "K"));                 /* the Kelvin sign */
    CHECK(FINDS(bed, "ſtop", "STOP"));           /* the long s */
    CHECK(FINDS(bed, "ꮳꮃꭹ", "ᏣᎳᎩ"));       /* Cherokee folds to its capitals */
    CHECK(FINDS(bed, "𐐀x", "𐐨X"));               /* Deseret, four bytes */
    CHECK(FINDS(bed, "ᾈ", "ᾀ"));                 /* one code point for one: status S */
}

EACH(folding_is_simple_and_of_no_language)
{
    CHECK(FINDS(bed, "Straße", "STRAßE"));
    CHECK(FINDS(bed, "STRAẞE", "straße"));
    CHECK(!FINDS(bed, "Straße", "strasse"));
    CHECK(!FINDS(bed, "STRASSE", "straße"));
    CHECK(FINDS(bed, "ISTANBUL", "istanbul"));
    CHECK(!FINDS(bed, "ISTANBUL", "ıstanbul")); /* dotless i is another letter */
    CHECK(!FINDS(bed, "ıstanbul", "istanbul"));
    CHECK(FINDS(bed, "İstanbul", "İSTANBUL"));
    CHECK(!FINDS(bed, "İstanbul", "istanbul"));
    CHECK(!FINDS(bed, "ﬁn", "fin")); /* a ligature is one code point */
}

EACH(names_are_not_normalised)
{
    CHECK(FINDS(bed, "cafe\\u0301 noir", "CAFE\xcc\x81 noir"));
    CHECK(!FINDS(bed, "cafe\\u0301 noir", "caf\xc3\xa9 noir"));
    CHECK(FINDS(bed, "cafe\\u0301", "cafe"));
    CHECK(FINDS(bed, "👩‍💻 agent", "👩‍💻 AGENT"));
    CHECK(FINDS(bed, "👩‍💻 agent", "💻"));
    CHECK(FINDS(bed, "\\ud83d\\ude00 x", "😀"));
}

EACH(one_and_two_characters_are_found_as_well)
{
    CHECK(FINDS(bed, "検索エージェント", "検"));
    CHECK(FINDS(bed, "検索エージェント", "検索"));
    CHECK(FINDS(bed, "検索エージェント", "エージェント"));
    CHECK(!FINDS(bed, "検索エージェント", "検エ"));
    CHECK(FINDS(bed, "검색", "검색"));
    CHECK(FINDS(bed, "ab", "AB"));
    CHECK(!FINDS(bed, "ab", "ba"));
    CHECK(FINDS(bed, "😀", "😀"));
    CHECK(!FINDS(bed, "😀", "😁"));
}

EACH(nul_and_lone_surrogates_are_the_replacement_character)
{
    CHECK(FINDS(bed, "a\\u0000b",
                "A\xef\xbf\xbd"
                "B"));
    CHECK(FINDS(bed, "a\\u0000b", "A\0b"));
    CHECK(FINDS(bed, "x\\ud800y", "x\xef\xbf\xbdy"));
    CHECK(FINDS(bed, "x\\udc00", "\xef\xbf\xbd"));
    CHECK(!FINDS(bed, "ab", "a\0b"));
    CHECK(FINDS(bed, "\\u0000", "\0"));
}

EACH(a_long_name_is_found_from_its_start_to_its_end)
{
    enum { SIZE = 8192 };
    char name[SIZE + 1];
    struct make_random random = {1};
    for (int i = 0; i < SIZE; i++)
        name[i] = (char)('A' + make_random(&random) % 26);
    name[SIZE] = 0;
    CHECK(finds(bed, name, (struct str){name, SIZE}));
    CHECK(finds(bed, name, (struct str){name, 30}));
    CHECK(finds(bed, name, (struct str){name + SIZE - 30, 30}));
    CHECK(finds(bed, name, (struct str){name + SIZE - 1, 1}));
    char other[SIZE + 1];
    memcpy(other, name, sizeof other);
    other[SIZE / 2] = '!';
    CHECK(!finds(bed, name, (struct str){other, SIZE}));
}

EACH(trace_and_name_are_and_ed)
{
    struct make_run runs[] = {
        {.id = make_id(1), .trace = make_id(8), .name = "chat", .start_us = 1},
        {.id = make_id(2), .trace = make_id(9), .name = "chat", .start_us = 2},
        {.id = make_id(3), .trace = make_id(9), .name = "tool", .start_us = 3},
        {.id = make_id(4), .trace = make_id(9), .name = "Chatty", .start_us = 4},
        {.id = make_id(5), .trace = make_id(9), .start_us = 5},
    };
    add(bed, runs, 5);
    struct query query = by_trace(9);
    CHECK(page_is(bed, &query, false, 5, 4, 3, 2, 0));
    query.by_name = true;
    query.name = STR("CHAT");
    CHECK(page_is(bed, &query, false, 4, 2, 0));
    query.limit = 1;
    CHECK(page_is(bed, &query, true, 4, 0));
    query.after = true;
    query.cursor = (struct query_cursor){.start_us = 4, .id = make_id(4)};
    CHECK(page_is(bed, &query, false, 2, 0));
    query.name = STR("");
    query.limit = 50;
    query.after = false;
    CHECK(page_is(bed, &query, false, 4, 3, 2, 0));
    query.name = STR("none of them");
    CHECK(page_is(bed, &query, false, 0));
    query.trace = make_id(7);
    query.name = STR("");
    CHECK(page_is(bed, &query, false, 0));
}

EACH(what_was_committed_is_durable_when_asked)
{
    uint64_t sequence = 99;
    CHECK(calls_durable(&bed->calls, &sequence) == 0);
    CHECK(sequence == 0);
    for (uint64_t i = 1; i < 6; i++) {
        struct make_run run = {.id = make_id(i), .trace = make_id(i), .number = i};
        add(bed, &run, 1);
        CHECK(calls_durable(&bed->calls, &sequence) == 0);
        CHECK(sequence == bed->sequence && sequence == calls_mark(&bed->calls));
    }
    CHECK(calls_commit(&bed->calls, 1000) == 0); /* of nothing */
    CHECK(calls_durable(&bed->calls, &sequence) == 0);
    CHECK(sequence == 1000);
}

EACH(what_is_only_staged_is_not_durable)
{
    struct make_run runs[2] = {{.id = make_id(1), .trace = make_id(1)},
                               {.id = make_id(2), .trace = make_id(2)}};
    struct index_batch batch;
    uint64_t sequence = 0;
    add(bed, runs, 1);
    uint64_t committed = bed->sequence;
    CHECK(stage(bed, runs + 1, 1, &batch) == 0);
    CHECK(calls_durable(&bed->calls, &sequence) == 0); /* an open transaction is not in the way */
    CHECK(sequence == committed);
    CHECK(calls_rollback(&bed->calls) == 0);
    CHECK(calls_durable(&bed->calls, &sequence) == 0);
    CHECK(sequence == committed);
    CHECK(stage(bed, runs + 1, 1, &batch) == 0);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
    CHECK(calls_durable(&bed->calls, &sequence) == 0);
    CHECK(sequence == bed->sequence && sequence > committed);
}

/* One of many that are asked at once. */
struct asked {
    struct index_durable durable;
    size_t *ended;
};

static void have_asked(struct op *op)
{
    ++*op_owner(op, struct asked, durable.op)->ended;
}

EACH(everyone_who_asks_whether_it_is_durable_is_answered)
{
    enum { MANY = 300 };
    static struct asked asked[MANY];
    size_t ended = 0, good = 0;
    struct make_run run = {.id = make_id(1), .trace = make_id(1)};
    struct index *index = bed->calls.index;
    add(bed, &run, 1);
    for (size_t i = 0; i < MANY; i++) {
        asked[i] = (struct asked){.durable = {.op = {.loop = bed->calls.loop, .done = have_asked}},
                                  .ended = &ended};
        index->ops->durable(index, &asked[i].durable);
        CHECK(ended == 0);
    }
    for (uint64_t sequence; ended < MANY;)
        CHECK(calls_durable(&bed->calls, &sequence) != -1); /* turns the loop */
    for (size_t i = 0; i < MANY; i++) {
        const struct index_durable *durable = &asked[i].durable;
        CHECK(durable->op.err.code == ERR_OK || durable->op.err.code == ERR_BUSY);
        CHECK(durable->op.err.code || durable->sequence == bed->sequence);
        good += durable->op.err.code == ERR_OK;
    }
    CHECK(ended == MANY && good > 0);
}

EACH(many_names_are_searched_as_well_as_few)
{
    enum { COUNT = 600 };
    static struct make_run runs[COUNT];
    static char names[COUNT][32];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "step %03d of %s", i, i % 2 ? "Odd" : "even");
        runs[i] = (struct make_run){
            .id = make_id((uint64_t)i + 1), .trace = make_id(9), .name = names[i], .start_us = i};
    }
    for (int i = 0; i < COUNT; i += BATCH_MAX)
        add(bed, runs + i, COUNT - i < BATCH_MAX ? (size_t)(COUNT - i) : BATCH_MAX);
    struct query query = by_name("of odd");
    query.limit = 3;
    CHECK(page_is(bed, &query, true, 600, 598, 596, 0));
    query.name = STR("STEP 12");
    query.limit = 50;
    CHECK(page_is(bed, &query, false, 130, 129, 128, 127, 126, 125, 124, 123, 122, 121, 0));
    query.name = STR("p 123 o");
    CHECK(page_is(bed, &query, false, 124, 0));
    query.name = STR("of xdd");
    CHECK(page_is(bed, &query, false, 0));
    query.name = STR("99");
    query.limit = 2;
    CHECK(page_is(bed, &query, true, 600, 500, 0));
}

static void is_the_same_after_it_was_reopened(void (*start)(struct bed *bed))
{
    struct bed bed;
    struct make_run run = {.id = make_id(1), .trace = make_id(9), .name = "Chat", .start_us = 4};
    struct make_run other = {.id = make_id(1), .trace = make_id(9), .name = "x", .start_us = 4};
    struct uuid_source source = {0};
    struct make_run timed = {.id = uuid_v7(&source, 1700000000000000), .trace = make_id(8)};
    struct query name = by_name("hat"), trace = by_trace(9);
    struct index_batch batch;
    start(&bed);
    add(&bed, &run, 1);
    add(&bed, &timed, 1);
    CHECK(calls_commit(&bed.calls, 77) == 0);
    struct make_run lost = {.id = make_id(2), .trace = make_id(9), .name = "Chat", .start_us = 5};
    CHECK(stage(&bed, &lost, 1, &batch) == 0); /* staged only: it is gone */

    bed_reopen(&bed);
    CHECK(calls_mark(&bed.calls) == 77);
    CHECK(bed.calls.index->ops->runs(bed.calls.index) == 2);
    CHECK(there(&bed, make_id(1)) && !there(&bed, make_id(2)));
    CHECK(page_is(&bed, &name, false, 1, 0));
    CHECK(page_is(&bed, &trace, false, 1, 0));
    CHECK(stage(&bed, &run, 1, &batch) == 0 && batch.verdict == INDEX_DUPLICATE);
    CHECK(stage(&bed, &other, 1, &batch) == 0 && batch.verdict == INDEX_CONFLICT);
    CHECK(stage(&bed, &timed, 1, &batch) == 0 && batch.verdict == INDEX_DUPLICATE);
    CHECK(calls_commit(&bed.calls, 78) == 0);
    bed_stop(&bed);
}

TEST(the_sqlite_index_is_the_same_after_it_was_reopened)
{
    is_the_same_after_it_was_reopened(bed_sqlite);
}

TEST(the_postgres_index_is_the_same_after_it_was_reopened)
{
    if (postgres_bed_possible())
        is_the_same_after_it_was_reopened(bed_postgres);
    else
        test_skip(POSTGRES_BED_SKIP);
}

/* --- random ------------------------------------------------------------------------- */

enum { IDS = 4000, TRACES = 12, NAMES = 40 };

static const char *random_name(struct make_random *random, char *out, size_t size)
{
    static const char *const parts[] = {"Chat", "ß", "ΣΑΣ", "аб", "検", "i", "İ", "%", "ab", " "};
    uint64_t n = make_random(random) % NAMES;
    if (n == 0)
        return NULL;
    struct make_random of_name = {n};
    size_t len = 0;
    out[0] = 0;
    for (uint64_t i = 0; i < n % 7; i++)
        len += (size_t)snprintf(out + len, size - len, "%s", parts[make_random(&of_name) % 10]);
    return out;
}

static void random_batch(struct bed *beds, struct make_random *random)
{
    struct make_run runs[BATCH_MAX];
    char names[BATCH_MAX][64];
    size_t n = 1 + make_random(random) % (make_random(random) % 8 ? 4 : BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
        uint64_t id = make_random(random) % IDS;
        runs[i] = (struct make_run){.id = make_id(id), .trace = make_id(id % TRACES)};
        /* Mostly the content belongs to the id, so that duplicates are found. */
        struct make_random of_id = {id};
        runs[i].name = random_name(&of_id, names[i], sizeof names[i]);
        runs[i].start_us = (int64_t)(make_random(&of_id) % 300) - 50;
        runs[i].number = make_random(random) % 100 == 0;
    }
    struct index_batch batches[2];
    for (size_t b = 0; b < 2; b++)
        CHECK(stage(&beds[b], runs, n, &batches[b]) == 0);
    CHECK(batches[0].verdict == batches[1].verdict);
    CHECK(batches[0].added == batches[1].added);
    if (batches[0].verdict == INDEX_CONFLICT)
        CHECK(batches[0].conflict == batches[1].conflict);
}

static bool same_row(const struct index_row *a, const struct index_row *b)
{
    if (a->found != b->found || uuid_compare(a->id, b->id) != 0)
        return false;
    const struct holder *x = a->holders, *y = b->holders;
    return !a->found || (uuid_compare(a->trace, b->trace) == 0 && a->start_us == b->start_us &&
                         a->version == b->version && a->size == b->size && a->holder_count == 1 &&
                         b->holder_count == 1 && x->place.container == y->place.container &&
                         x->place.ordinal == y->place.ordinal);
}

static bool same_rows(const struct index_row *a, const struct index_row *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!same_row(&a[i], &b[i]))
            return false;
    return true;
}

static void random_search(struct bed *beds, struct make_random *random)
{
    static const char *const asked[] = {"",   "a",    "ab",  "abC", "ß",    "σα", "ς",
                                        "АБ", "検",   "i",   "İ",   "chat", "%",  "chatchat",
                                        " ",  "検ab", "ii%", "xyz", "ßΣ",   "бa"};
    const char *name = asked[make_random(random) % 20];
    uint64_t which = make_random(random) % 3, id = make_random(random) % IDS;
    struct make_random of_id = {id};
    (void)make_random(&of_id);
    const struct query query = {
        .by_trace = which != 0,
        .by_name = which != 1,
        .after = make_random(random) % 2,
        .trace = make_id(make_random(random) % (TRACES + 1)),
        .name = {name, strlen(name)},
        .cursor = {.start_us = (int64_t)(make_random(&of_id) % 300) - 50, .id = make_id(id)},
        .limit = (uint32_t)(1 + make_random(random) % (make_random(random) % 4 ? 20 : 1000)),
    };
    struct arena *arena = arena_new(1 << 16);
    struct index_search found[2];
    for (int b = 0; b < 2; b++)
        CHECK(calls_search(&beds[b].calls, &query, arena, &found[b]) == 0);
    CHECK(found[0].count == found[1].count && found[0].more == found[1].more);
    CHECK(found[0].count == found[1].count &&
          same_rows(found[0].rows, found[1].rows, found[0].count));
    arena_free(arena);
}

static void random_find(struct bed *beds, struct make_random *random)
{
    struct uuid ids[8];
    size_t count = 1 + make_random(random) % 8;
    for (size_t i = 0; i < count; i++)
        ids[i] = make_id(make_random(random) % (2 * IDS));
    struct arena *arena = arena_new(1 << 12);
    struct index_row *rows[2] = {NULL, NULL};
    for (int b = 0; b < 2; b++)
        CHECK(calls_find(&beds[b].calls, ids, count, arena, &rows[b]) == 0);
    CHECK(same_rows(rows[0], rows[1], count));
    arena_free(arena);
}

static void random_operations(void (*start)(struct bed *bed))
{
    struct bed beds[2];
    struct make_random random = {2026};
    bed_memory(&beds[0]);
    start(&beds[1]);
    for (int i = 0; i < 6000; i++) {
        uint64_t dice = make_random(&random) % 100;
        if (dice < 35)
            random_batch(beds, &random);
        else if (dice < 50)
            for (int b = 0; b < 2; b++)
                CHECK(calls_commit(&beds[b].calls, beds[b].sequence) == 0);
        else if (dice < 53)
            for (int b = 0; b < 2; b++)
                CHECK(calls_rollback(&beds[b].calls) == 0);
        else if (dice < 75)
            random_find(beds, &random);
        else
            random_search(beds, &random);
        CHECK(calls_mark(&beds[0].calls) == calls_mark(&beds[1].calls));
        CHECK(beds[0].calls.index->ops->runs(beds[0].calls.index) ==
              beds[1].calls.index->ops->runs(beds[1].calls.index));
        if (test_failures)
            break;
        if (i == 3000) { /* what is open is rolled back by the end of the process */
            for (int b = 0; b < 2; b++)
                CHECK(calls_rollback(&beds[b].calls) == 0);
            bed_reopen(&beds[1]);
        }
    }
    for (int b = 0; b < 2; b++)
        bed_stop(&beds[b]);
}

TEST(random_operations_have_the_same_outcome_as_in_memory)
{
    random_operations(bed_sqlite);
}

TEST(random_operations_have_the_same_outcome_as_in_memory_in_postgres)
{
    if (postgres_bed_possible())
        random_operations(bed_postgres);
    else
        test_skip(POSTGRES_BED_SKIP);
}
