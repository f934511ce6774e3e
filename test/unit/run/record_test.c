/* record_test.c - runs go into a record and come out as they were, or not at all. */
#include "run/record.h"

#include <stdlib.h>

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
