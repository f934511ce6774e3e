/* record_test.c - runs go into a record and come out as they were, or not at all. */
#include "run/record.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "lib/check.h"

enum { TABLE = 2 * RECORD_ENTRY + 3 * RECORD_SPAN };

static const char first_raw[] = "{\"id\":1,\"name\":\"a\"}";
static const char second_raw[] = "{\"id\":2}";

/* Two runs with a comma between, as in the design page. */
struct two {
    char first_spans[16], second_spans[8];
    struct run run[2];
    char table[TABLE];
    char body[sizeof first_raw - 1 + 1 + sizeof second_raw - 1];
    struct record record;
};

static void make_two(struct two *t)
{
    *t = (struct two){0};
    put_u32(t->first_spans, 6);
    put_u32(t->first_spans + 4, 1);
    put_u32(t->first_spans + 8, 15);
    put_u32(t->first_spans + 12, 3);
    put_u32(t->second_spans, 6);
    put_u32(t->second_spans + 4, 1);
    t->run[0] = (struct run){
        .id = {{1, 2, 3}},
        .trace = {{4}},
        .parent = {{5}},
        .start_us = -1,
        .end_us = RUN_RUNNING,
        .type = RUN_TOOL,
        .status = RUN_PENDING,
        .hash = {UINT64_C(0x1122334455667788), UINT64_MAX},
        .present = 1u << RUN_ID | 1u << RUN_NAME,
        .spans = t->first_spans,
        .raw = {first_raw, sizeof first_raw - 1},
    };
    t->run[1] = (struct run){
        .id = {{9}},
        .type = RUN_PARSER,
        .status = RUN_ERROR,
        .present = 1u << RUN_ID,
        .spans = t->second_spans,
        .raw = {second_raw, sizeof second_raw - 1},
    };
    uint32_t second = (uint32_t)t->run[0].raw.len + 1;
    record_write_entry(t->table, &t->run[0], 224, 0);
    record_write_entry(t->table + RECORD_ENTRY, &t->run[1], 240, second);
    memcpy(t->table + 224, t->first_spans, 16);
    memcpy(t->table + 240, t->second_spans, 8);
    memcpy(t->body, first_raw, sizeof first_raw - 1);
    t->body[second - 1] = ',';
    memcpy(t->body + second, second_raw, sizeof second_raw - 1);
    t->record = (struct record){
        .count = 2, .table = {t->table, sizeof t->table}, .body = {t->body, sizeof t->body}};
}

static int same(const struct run *a, const struct run *b)
{
    return uuid_compare(a->id, b->id) == 0 && uuid_compare(a->trace, b->trace) == 0 &&
           uuid_compare(a->parent, b->parent) == 0 && a->start_us == b->start_us &&
           a->end_us == b->end_us && a->type == b->type && a->status == b->status &&
           a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] && a->present == b->present &&
           memcmp(a->spans, b->spans, 8u * (unsigned)__builtin_popcount(a->present)) == 0 &&
           str_eq(a->raw, b->raw);
}

TEST(runs_come_out_of_a_record_as_they_went_in)
{
    struct two t;
    make_two(&t);

    for (uint32_t i = 0; i < 2; i++) {
        struct run run;
        struct err err = {0};
        CHECK(record_run(&t.record, i, &run, &err) == 0);
        CHECK(same(&run, &t.run[i]));
    }
}

/* Written out by hand from docs/design/segment-format.md. */
TEST(an_entry_is_laid_out_as_the_design_page_says)
{
    struct two t;
    make_two(&t);

    const char *e = t.table;
    CHECK(memcmp(e, "\1\2\3\0", 4) == 0 && e[16] == 4 && e[32] == 5);
    CHECK(memcmp(e + 48, "\x88\x77\x66\x55\x44\x33\x22\x11\xff\xff\xff\xff\xff\xff\xff\xff", 16) ==
          0);
    CHECK(memcmp(e + 64, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) == 0);
    CHECK(memcmp(e + 72, "\0\0\0\0\0\0\0\x80", 8) == 0);
    CHECK(memcmp(e + 80, "\0\0\0\0\x13\0\0\0\xe0\0\0\0\x05\0\0\0", 16) == 0);
    CHECK(get_u32(e + 96) == crc32c(0, first_raw, sizeof first_raw - 1));
    CHECK(e[100] == RUN_TOOL && e[101] == RUN_PENDING);
    CHECK(memcmp(e + 102, "\0\0\0\0\0\0", 6) == 0);
    CHECK(get_u32(e + 108) == crc32c(crc32c(0, e, 108), t.first_spans, 16));
}

TEST(no_flipped_bit_of_an_entry_its_spans_or_its_run_goes_unseen)
{
    struct two t;
    make_two(&t);

    /* What belongs to the first run: its entry, its spans, its bytes. */
    struct {
        char *at;
        size_t len;
    } parts[] = {{t.table, RECORD_ENTRY}, {t.table + 224, 16}, {t.body, sizeof first_raw - 1}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        for (size_t bit = 0; bit < parts[p].len * 8; bit++) {
            struct run run;
            struct err err = {0};
            parts[p].at[bit / 8] ^= (char)(1 << bit % 8);
            CHECK(record_run(&t.record, 0, &run, &err) == ERR_CORRUPT);
            CHECK(err.text[0] != '\0');
            CHECK(record_run(&t.record, 1, &run, &err) == 0);
            parts[p].at[bit / 8] ^= (char)(1 << bit % 8);
        }
}

/* The checksum is right, the contents are not: from a hostile disk. */
static int run_with(struct two *t, size_t at, uint32_t value)
{
    struct run run;
    char *e = t->table;
    put_u32(e + at, value);
    uint32_t present = get_u32(e + 92);
    size_t spans = 8u * (unsigned)__builtin_popcount(present);
    uint32_t spans_at = get_u32(e + 88);
    uint32_t crc = crc32c(0, e, 108);
    if (spans_at <= sizeof t->table && spans <= sizeof t->table - spans_at)
        crc = crc32c(crc, e + spans_at, spans);
    put_u32(e + 108, crc);
    return record_run(&t->record, 0, &run, NULL);
}

TEST(offsets_that_lead_outside_are_refused_whatever_the_checksum_says)
{
    static const uint32_t bad[] = {29,         30,         248,        249,
                                   0x7fffffff, 0x80000000, 0xfffffff8, UINT32_MAX};
    static const size_t fields[] = {80, 84, 88};
    struct two t;

    for (size_t f = 0; f < 3; f++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            make_two(&t);
            CHECK(run_with(&t, fields[f], bad[i]) == ERR_CORRUPT);
        }
    make_two(&t);
    CHECK(run_with(&t, 92, UINT32_MAX) == ERR_CORRUPT); /* more spans than there are */
    make_two(&t);
    CHECK(run_with(&t, 100, RUN_TYPES) == ERR_CORRUPT);
    make_two(&t);
    CHECK(run_with(&t, 100, (RUN_ERROR + 1) << 8) == ERR_CORRUPT);
    make_two(&t);
    CHECK(run_with(&t, 104, 1) == ERR_CORRUPT);
}

TEST(a_span_that_leads_outside_its_run_is_refused)
{
    static const uint32_t bad[][2] = {{20, 0}, {19, 1}, {0, 20}, {UINT32_MAX, 2}, {2, UINT32_MAX}};
    struct two t;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_two(&t);
        put_u32(t.table + 224, bad[i][0]);
        put_u32(t.table + 228, bad[i][1]);
        CHECK(run_with(&t, 104, 0) == ERR_CORRUPT);
    }
    make_two(&t);
    put_u32(t.table + 224, 19);
    put_u32(t.table + 228, 0);
    CHECK(run_with(&t, 104, 0) == 0);
}

TEST(a_table_shorter_than_its_entries_is_refused)
{
    struct two t;
    struct run run;
    make_two(&t);

    t.record.table.len = 2 * RECORD_ENTRY - 1;
    CHECK(record_run(&t.record, 0, &run, NULL) == ERR_CORRUPT);
    t.record.table.len = 2 * RECORD_ENTRY + 23;
    CHECK(record_run(&t.record, 0, &run, NULL) == 0);
    CHECK(record_run(&t.record, 1, &run, NULL) == ERR_CORRUPT);
}

TEST(decoding_wants_exactly_the_lengths_the_entry_names)
{
    struct two t;
    struct run run;
    make_two(&t);

    struct str spans = {t.table + 224, 16}, raw = t.run[0].raw;
    CHECK(record_decode(t.table, spans, raw, &run, NULL) == 0);
    spans.len = 8;
    CHECK(record_decode(t.table, spans, raw, &run, NULL) == ERR_CORRUPT);
    spans.len = 16;
    raw.len--;
    CHECK(record_decode(t.table, spans, raw, &run, NULL) == ERR_CORRUPT);
}

/* The same two runs, each by itself, as a pack gives them. */
static void make_parts(struct two *t, struct record_part parts[2], struct record *record)
{
    make_two(t);
    parts[0] = (struct record_part){
        .entry = t->table, .spans = {t->table + 224, 16}, .raw = t->run[0].raw};
    parts[1] = (struct record_part){
        .entry = t->table + RECORD_ENTRY, .spans = {t->table + 240, 8}, .raw = t->run[1].raw};
    *record = (struct record){.count = 2, .received_us = 77, .parts = parts};
}

TEST(runs_that_lie_apart_come_out_as_they_went_in)
{
    struct two t;
    struct record_part parts[2];
    struct record record;
    make_parts(&t, parts, &record);

    for (uint32_t i = 0; i < 2; i++) {
        struct run run;
        struct err err = {0};
        CHECK(record_run(&record, i, &run, &err) == 0);
        CHECK(same(&run, &t.run[i]));
        CHECK(uuid_compare(record_id(&record, i), t.run[i].id) == 0);
    }
}

TEST(runs_that_lie_apart_are_verified_even_when_fresh)
{
    struct two t;
    struct record_part parts[2];
    struct record record;
    struct run run;
    make_parts(&t, parts, &record);
    record.fresh = true;
    char changed[sizeof first_raw - 1];
    memcpy(changed, first_raw, sizeof changed);
    changed[3] ^= 1;
    parts[0].raw.at = changed;

    CHECK(record_run(&record, 0, &run, NULL) == ERR_CORRUPT);
    CHECK(record_run(&record, 1, &run, NULL) == 0);
}

TEST(a_lost_run_is_an_error_and_has_its_id_if_that_is_known)
{
    struct two t;
    struct record_part parts[2];
    struct record record;
    struct run run;
    struct err err = {0};
    make_parts(&t, parts, &record);
    parts[0] = (struct record_part){.id = {{8, 8}}};

    CHECK(record_run(&record, 0, &run, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "lost"));
    CHECK(uuid_compare(record_id(&record, 0), parts[0].id) == 0);
    CHECK(record_run(&record, 1, &run, &err) == 0);
    parts[0].id = (struct uuid){0};
    CHECK(uuid_is_zero(record_id(&record, 0)));
}

TEST(an_id_is_told_without_looking_at_the_rest)
{
    struct two t;
    make_two(&t);
    memset(t.body, 0, sizeof t.body);
    t.table[100] = 99;

    CHECK(uuid_compare(record_id(&t.record, 0), t.run[0].id) == 0);
    CHECK(uuid_compare(record_id(&t.record, 1), t.run[1].id) == 0);
    t.record.table.len = 2 * RECORD_ENTRY - 1;
    CHECK(uuid_is_zero(record_id(&t.record, 1)));
}

TEST(peeking_at_an_entry_says_all_but_the_bytes)
{
    struct two t;
    make_two(&t);

    for (int i = 0; i < 2; i++) {
        struct run seen = record_peek(t.table + i * RECORD_ENTRY);
        CHECK(!seen.spans && !seen.raw.at && seen.raw.len == 0);
        seen.spans = t.run[i].spans;
        seen.raw = t.run[i].raw;
        CHECK(same(&seen, &t.run[i]));
    }
}

TEST(an_entry_is_sound_with_its_own_spans_only)
{
    struct two t;
    make_two(&t);

    CHECK(record_entry_sound(t.table, (struct str){t.first_spans, 16}));
    CHECK(!record_entry_sound(t.table, (struct str){t.first_spans, 8}));
    CHECK(!record_entry_sound(t.table + RECORD_ENTRY, (struct str){t.first_spans, 16}));
    CHECK(record_raw_crc(t.table) == crc32c(0, first_raw, sizeof first_raw - 1));
}

TEST(a_record_weighs_what_its_runs_do_wherever_they_lie)
{
    struct two t;
    struct record_part parts[2];
    struct record record;
    make_parts(&t, parts, &record);

    CHECK(record_weight(&t.record) == sizeof t.table + sizeof t.body);
    CHECK(record_weight(&record) == sizeof t.table + sizeof t.body - 1); /* no comma */
}

TEST(a_copy_of_a_record_outlives_it)
{
    for (int apart = 0; apart < 2; apart++) {
        struct two *t = malloc(sizeof *t), want;
        struct record_part *parts = malloc(2 * sizeof *parts);
        struct record record;
        struct arena *arena = arena_new(256);
        make_two(&want);
        make_parts(t, parts, &record);
        char *raw = malloc(sizeof first_raw - 1);
        memcpy(raw, first_raw, sizeof first_raw - 1);
        parts[0].raw.at = raw;
        if (!apart)
            record = t->record;

        struct record copy = record_copy(&record, arena);
        memset(t, 'x', sizeof *t);
        memset(parts, 'x', 2 * sizeof *parts);
        memset(raw, 'x', sizeof first_raw - 1);
        free(t);
        free(parts);
        free(raw);
        CHECK(copy.count == 2 && copy.received_us == (apart ? 77 : 0));
        for (uint32_t i = 0; i < 2; i++) {
            struct run run;
            CHECK(record_run(&copy, i, &run, NULL) == 0);
            CHECK(same(&run, &want.run[i]));
        }
        arena_free(arena);
    }
}

TEST(a_copy_keeps_what_is_known_of_a_lost_run)
{
    struct two t;
    struct record_part parts[2];
    struct record record;
    struct run run;
    struct arena *arena = arena_new(256);
    make_parts(&t, parts, &record);
    parts[1] = (struct record_part){.id = {{6}}};

    struct record copy = record_copy(&record, arena);
    CHECK(record_run(&copy, 0, &run, NULL) == 0);
    CHECK(record_run(&copy, 1, &run, NULL) == ERR_CORRUPT);
    CHECK(uuid_compare(record_id(&copy, 1), parts[1].id) == 0);
    arena_free(arena);
}

TEST(spans_that_move_keep_their_entry_sound)
{
    struct two t;
    struct run run;
    make_two(&t);

    char table[TABLE + 8] = {0}; /* a gap of 8 before the spans */
    memcpy(table, t.table, 2 * RECORD_ENTRY);
    memcpy(table + 2 * RECORD_ENTRY + 8, t.table + 2 * RECORD_ENTRY, TABLE - 2 * RECORD_ENTRY);
    for (int i = 0; i < 2; i++)
        record_move_spans(table + i * RECORD_ENTRY, table + 8, 8);
    t.record.table = (struct str){table, sizeof table};
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(record_run(&t.record, i, &run, NULL) == 0);
        CHECK(same(&run, &t.run[i]));
    }
}
