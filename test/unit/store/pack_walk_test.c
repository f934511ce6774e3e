/* pack_walk_test.c - a pack gives its records back in the order in which they arrived. */
#include "store/pack_walk.h"

#include <stdlib.h>

#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"

enum { NUMBER = 9, BATCHES = 40, MOST = 5 };

struct shelf {
    struct scratch dir;
    struct made_pack *made;
    size_t count[BATCHES]; /* runs of each batch */
    int64_t received_us[BATCHES];
};

/* Batches of one to five runs, so large that there are some blocks; sequences
 * and ordinals have holes. */
static void begin(struct shelf *s, size_t most)
{
    static struct make_run runs[BATCHES][MOST];
    struct make_batch batches[BATCHES];
    struct make_random random = {most};
    uint32_t ordinal = 0;
    char *names[BATCHES * MOST];
    size_t n = 0;
    *s = (struct shelf){.dir = scratch_new()};
    bad_disk_plan = (struct bad_disk_plan){0};
    for (size_t b = 0; b < BATCHES; b++) {
        s->count[b] = 1 + b % MOST;
        for (size_t i = 0; i < s->count[b]; i++) {
            size_t len = make_random(&random) % most;
            names[n] = malloc(len + 1);
            make_noise(&random, names[n], len);
            runs[b][i] = (struct make_run){
                .id = make_id(n), .trace = make_id(500 + n % 17), .name = names[n], .number = n};
            n++;
        }
        s->received_us[b] = (int64_t)(make_random(&random) % 1000);
        batches[b] = (struct make_batch){.runs = runs[b],
                                         .count = s->count[b],
                                         .first = ordinal,
                                         .sequence = 5 + 2 * b,
                                         .received_us = s->received_us[b]};
        ordinal += (uint32_t)s->count[b] + (b % 4 == 3 ? 2 : 0);
    }
    s->made = make_pack(NUMBER, batches, BATCHES);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    scratch_write(scratch_at(&s->dir, "0000000000000009.pack"), s->made->file.at,
                  s->made->file.len);
}

static void end(struct shelf *s)
{
    bad_disk_plan = (struct bad_disk_plan){0};
    made_pack_free(s->made);
    scratch_remove(&s->dir);
}

static struct pack_walk *start(struct shelf *s)
{
    struct pack_file file;
    struct pack_walk *walk = NULL;
    struct err err = {0};
    CHECK(pack_file_open(&bad_disk, scratch_str(&s->dir), NUMBER, PACK_MEND, &file, &err) == 0);
    CHECK(pack_walk_start(&file, &walk, &err) == 0);
    if (!walk) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return walk;
}

/* The b-th batch, whose first run is made->runs[at]; how many of its runs are lost? */
static uint32_t check_record(const struct shelf *s, size_t b, size_t at,
                             const struct record *record, struct place first, uint64_t sequence)
{
    uint32_t lost = 0;
    CHECK(sequence == 5 + 2 * b && record->count == s->count[b]);
    CHECK(record->received_us == s->received_us[b]);
    CHECK(first.container == NUMBER && first.ordinal == s->made->runs[at].first);
    for (uint32_t i = 0; i < record->count && i < s->count[b]; i++) {
        struct run run;
        const struct run *want = &s->made->runs[at + i].run;
        CHECK(uuid_compare(record_id(record, i), want->id) == 0);
        int r = record_run(record, i, &run, NULL);
        CHECK(r == 0 || r == ERR_CORRUPT);
        if (r)
            lost++;
        else
            CHECK(same_run(&run, want));
    }
    return lost;
}

static size_t run_before(const struct shelf *s, size_t b)
{
    size_t at = 0;
    for (size_t i = 0; i < b; i++)
        at += s->count[i];
    return at;
}

TEST(records_come_back_as_they_arrived)
{
    static const size_t sizes[] = {30, 60000};
    for (size_t i = 0; i < 2; i++) {
        struct shelf s;
        struct record record;
        struct place first;
        uint64_t sequence = 0;
        begin(&s, sizes[i]);
        struct pack_walk *walk = start(&s);
        for (size_t b = 0; b < BATCHES; b++) {
            CHECK(pack_walk_next(walk, 0, &record, &first, &sequence));
            CHECK(check_record(&s, b, run_before(&s, b), &record, first, sequence) == 0);
        }
        CHECK(!pack_walk_next(walk, 0, &record, &first, &sequence));
        CHECK(!pack_walk_next(walk, 0, &record, &first, &sequence));
        CHECK(pack_walk_pack(walk)->summary.records == BATCHES);
        uint32_t from = 0;
        uint64_t at;
        const char *why;
        CHECK(!pack_walk_damage(walk, &from, &at, &why, &(bool){false}));
        pack_walk_end(walk);
        end(&s);
    }
}

TEST(a_walk_begins_behind_any_sequence)
{
    struct shelf s;
    begin(&s, 30);
    for (uint64_t after = 0; after < 5 + 2 * BATCHES + 3; after++) {
        struct record record;
        struct place first;
        uint64_t sequence = 0;
        size_t b = after < 5 ? 0 : (size_t)(after - 5) / 2 + 1;
        struct pack_walk *walk = start(&s);
        CHECK(pack_walk_next(walk, after, &record, &first, &sequence) == (b < BATCHES));
        if (b < BATCHES)
            CHECK(check_record(&s, b, run_before(&s, b), &record, first, sequence) == 0);
        pack_walk_end(walk);
    }
    end(&s);
}

TEST(a_walk_goes_on_where_it_stopped)
{
    struct shelf s;
    struct record record;
    struct place first;
    uint64_t sequence = 0;
    begin(&s, 30);
    struct pack_walk *walk = start(&s);
    size_t b = 0;
    for (; pack_walk_next(walk, sequence, &record, &first, &sequence); b++)
        CHECK(check_record(&s, b, run_before(&s, b), &record, first, sequence) == 0);
    CHECK(b == BATCHES);
    pack_walk_end(walk);
    end(&s);
}

static void flip(const struct shelf *s, size_t at)
{
    size_t size;
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_at(&s->dir, "0000000000000009.pack"));
    char *bytes = scratch_read(path, &size);
    bytes[at] ^= 8;
    scratch_write(path, bytes, size);
    free(bytes);
}

TEST(a_damaged_block_costs_its_runs_and_they_are_named)
{
    struct shelf s;
    struct record record;
    struct place first;
    uint64_t sequence = 0;
    begin(&s, 120000);
    struct pack_walk *walk = start(&s);
    uint32_t blocks = pack_walk_pack(walk)->block_count, expected = 0, lost = 0;
    const struct pack_block block = pack_walk_pack(walk)->blocks[blocks / 2];
    for (uint32_t i = 0; i < s.made->count; i++) {
        struct pack_run run = pack_run(pack_walk_pack(walk), i);
        expected += run.at >= block.stream_at && run.at < block.stream_at + block.size;
    }
    pack_walk_end(walk);
    CHECK(blocks > 2 && expected > 0 && expected < s.made->count);
    flip(&s, block.at + block.stored / 2);

    walk = start(&s);
    for (size_t b = 0; b < BATCHES; b++) {
        CHECK(pack_walk_next(walk, 0, &record, &first, &sequence));
        lost += check_record(&s, b, run_before(&s, b), &record, first, sequence);
    }
    CHECK(lost == expected);
    uint32_t from = 0;
    uint64_t at = 0;
    const char *why = NULL;
    CHECK(pack_walk_damage(walk, &from, &at, &why, &(bool){false}) && at == block.at &&
          strstr(why, "checksum"));
    CHECK(!pack_walk_damage(walk, &from, &at, &why, &(bool){false}));
    pack_walk_end(walk);
    end(&s);
}

TEST(damaged_sections_are_told_and_cost_nothing)
{
    static const enum pack_section_type types[] = {PACK_BLOCKS, PACK_RUNS, PACK_RECORDS, PACK_IDS};
    for (size_t t = 0; t < 4; t++) {
        struct shelf s;
        struct record record;
        struct place first;
        uint64_t sequence = 0;
        begin(&s, 30);
        struct pack_walk *walk = start(&s);
        uint64_t section = pack_walk_pack(walk)->sections[types[t]].at;
        pack_walk_end(walk);
        flip(&s, section + 9);

        walk = start(&s);
        for (size_t b = 0; b < BATCHES; b++) {
            CHECK(pack_walk_next(walk, 0, &record, &first, &sequence));
            CHECK(check_record(&s, b, run_before(&s, b), &record, first, sequence) == 0);
        }
        uint32_t from = 0;
        uint64_t at = 0;
        const char *why = NULL;
        CHECK(pack_walk_damage(walk, &from, &at, &why, &(bool){false}) && strstr(why, "section"));
        CHECK(!pack_walk_damage(walk, &from, &at, &why, &(bool){false}));
        pack_walk_end(walk);
        end(&s);
    }
}

TEST(a_walk_that_cannot_begin_closes_the_file)
{
    struct shelf s;
    begin(&s, 3000);
    for (int at = 1, r = 1; at < 20; at++) {
        struct pack_file file;
        struct pack_walk *walk = NULL;
        struct err err = {0};
        CHECK(pack_file_open(&bad_disk, scratch_str(&s.dir), NUMBER, PACK_MEND, &file, NULL) == 0);
        bad_disk_plan = (struct bad_disk_plan){.call = BAD_PREAD, .fails_at = at};
        r = pack_walk_start(&file, &walk, &err);
        bool failed = bad_disk_plan.failed;
        CHECK(r == (int)err.code && (r == 0 || r == ERR_IO) && (failed || r == 0));
        CHECK((r == 0) == (walk != NULL));
        /* What cannot be read of the blocks is damage of those. */
        uint32_t from = 0;
        uint64_t where;
        const char *why;
        bool lost;
        if (walk)
            CHECK(pack_walk_damage(walk, &from, &where, &why, &lost) == failed);
        pack_walk_end(walk);
        bad_disk_plan = (struct bad_disk_plan){0};
    }
    end(&s);
}
