/* pack_damage_test.c - of a damaged pack comes the right run or an error, and
 * whatever does not lie in the damage comes.
 *
 * Every byte of a small pack with several blocks is changed, one at a time, and
 * the file is cut at every length.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "lib/check.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"
#include "store/pack_file.h"
#include "store/pack_layout.h"
#include "store/pack_walk.h"

/* Where a sanitizer makes everything slow, only some of the bytes are changed:
 * others each time it is built with another one. */
#if defined __SANITIZE_THREAD__
enum { EVERY = 23 };
#elif defined __SANITIZE_ADDRESS__
enum { EVERY = 5 };
#else
enum { EVERY = 1 };
#endif

enum { NUMBER = 77, BATCHES = 4, RUNS = 9 };

/* What a byte of the file belongs to. */
enum region { HEAD, BLOCK, SECTION, DIRECTORY, FOOT };

struct bench {
    struct scratch dir;
    char path[PACK_PATH];
    struct made_pack *made;
    struct pack *pack;            /* of the file as it was */
    uint32_t block_of[RUNS];      /* where each of made->runs begins */
    uint32_t last_block_of[RUNS]; /* and ends */
};

/* Names of one letter, so that large blocks are small in the file; `sizes` of
 * the runs of three traces, each too large to be in one block with another. */
static void begin(struct bench *b, const size_t sizes[RUNS])
{
    static const uint8_t traces[RUNS] = {3, 1, 2, 2, 1, 3, 1, 3, 2};
    struct make_run runs[RUNS];
    struct err err = {0};
    for (size_t i = 0; i < RUNS; i++) {
        char *name = malloc(sizes[i] + 1);
        memset(name, 'a' + (int)i, sizes[i]);
        name[sizes[i]] = '\0';
        runs[i] = (struct make_run){.id = make_id(i),
                                    .trace = {{traces[i]}},
                                    .name = name,
                                    .start_us = (int64_t)i,
                                    .number = i};
    }
    const struct make_batch batches[BATCHES] = {{runs, 2, 0, 3, 30},
                                                {runs + 2, 1, 2, 5, 50},
                                                {runs + 3, 4, 5, 6, 60},
                                                {runs + 7, 2, 9, 8, 80}};
    *b = (struct bench){.dir = scratch_new(), .made = make_pack(NUMBER, batches, BATCHES)};
    for (size_t i = 0; i < RUNS; i++)
        free((void *)(uintptr_t)runs[i].name);
    CHECK(pack_path(scratch_str(&b->dir), NUMBER, b->path, &err) == 0);
    scratch_write(b->path, b->made->file.at, b->made->file.len);
    uint64_t need;
    CHECK(pack_open(text_str(&b->made->file), b->made->file.len, &b->pack, &need, &err) == 0);
    if (!b->pack)
        exit(1);
    const struct pack_section *rows = &b->pack->sections[PACK_RUNS];
    CHECK(pack_load(b->pack, PACK_RUNS, (struct str){b->made->file.at + rows->at, rows->stored},
                    &err) == 0);
    for (uint32_t i = 0; i < RUNS; i++) {
        uint32_t row = 0;
        CHECK(pack_find(b->pack, b->made->runs[i].ordinal, &row));
        struct pack_run run = pack_run(b->pack, row);
        b->block_of[i] = pack_block_at(b->pack, run.at);
        b->last_block_of[i] = pack_block_at(b->pack, run.at + run.size - 1);
    }
}

static void end(struct bench *b)
{
    pack_free(b->pack);
    made_pack_free(b->made);
    scratch_remove(&b->dir);
}

static enum region region_of(const struct bench *b, size_t at, uint32_t *block, int *section)
{
    size_t len = b->made->file.len;
    *block = UINT32_MAX;
    *section = 0;
    if (at < PACK_HEAD)
        return HEAD;
    if (at >= len - PACK_FOOT)
        return FOOT;
    for (uint32_t i = 0; i < b->pack->block_count; i++)
        if (at >= b->pack->blocks[i].at && at - b->pack->blocks[i].at < b->pack->blocks[i].stored) {
            *block = i;
            return BLOCK;
        }
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++)
        if (at >= b->pack->sections[type].at &&
            at - b->pack->sections[type].at < b->pack->sections[type].stored) {
            *section = type;
            return SECTION;
        }
    return DIRECTORY;
}

/* Read each run alone: bit i says that the i-th one came, as it should be.  With a
 * scratch that does not remember the file as it was before. */
static unsigned read_each(const struct bench *b, const struct pack_file *file)
{
    unsigned good = 0;
    struct pack_scratch *scratch = pack_scratch_new();
    for (uint32_t i = 0; i < RUNS; i++) {
        struct arena *arena = arena_new(1024);
        struct run run;
        struct err err = {0};
        struct pack_wanted wanted = {b->made->runs[i].ordinal, 0};
        int r = pack_file_read(file, scratch, &wanted, 1, arena, &run, &(bool){false}, &err);
        CHECK(r == 0 || r == ERR_CORRUPT);
        if (r)
            CHECK(strstr(err.text, "000000000000004d.pack"));
        else
            CHECK(same_run(&run, &b->made->runs[i].run));
        good |= (unsigned)(r == 0) << i;
        arena_free(arena);
    }
    pack_scratch_free(scratch);
    return good;
}

/* The same out of a walk; `told` counts the damage.  A run that is lost has its
 * id, unless the sections are lost as well. */
static unsigned walk_all(const struct bench *b, uint32_t *told, bool *rebuilt)
{
    struct pack_file file;
    struct pack_walk *walk = NULL;
    struct record record;
    struct place first;
    uint64_t sequence = 0, at = 0;
    const char *why = NULL;
    unsigned good = 0;
    *told = 0;
    *rebuilt = false;
    if (pack_file_open(&disk_real, scratch_str(&b->dir), NUMBER, PACK_MEND, &file, NULL))
        return 0;
    CHECK(pack_walk_start(&file, &walk, NULL) == 0);
    if (!walk)
        return 0;
    *rebuilt = pack_walk_pack(walk)->rebuilt[0] != '\0';
    for (uint32_t from = 0; pack_walk_damage(walk, &from, &at, &why, &(bool){false}); ++*told)
        CHECK(at < b->made->file.len && why[0] != '\0');
    while (pack_walk_next(walk, sequence, &record, &first, &sequence))
        for (uint32_t i = 0; i < RUNS; i++) {
            const struct packed_run *want = &b->made->runs[i];
            if (want->sequence != sequence)
                continue;
            struct run run;
            uint32_t k = want->ordinal - want->first;
            CHECK(first.container == NUMBER && first.ordinal == want->first);
            CHECK(record.count == want->count && record.received_us == want->received_us);
            if (record.count != want->count || record_run(&record, k, &run, NULL)) {
                struct uuid id = record_id(&record, k);
                CHECK(uuid_compare(id, want->run.id) == 0 || (*rebuilt && uuid_is_zero(id)));
                continue;
            }
            CHECK(same_run(&run, &want->run));
            good |= 1u << i;
        }
    pack_walk_end(walk);
    return good;
}

static const unsigned all_of_them = (1u << RUNS) - 1;

/* The runs that do not lie in a block. */
static unsigned without(const struct bench *b, uint32_t block)
{
    unsigned runs = 0;
    for (uint32_t i = 0; i < RUNS; i++)
        runs |= (unsigned)(b->block_of[i] > block || b->last_block_of[i] < block) << i;
    return runs;
}

static void set_byte(const struct bench *b, size_t at, char value)
{
    int fd = open(b->path, O_WRONLY | O_CLOEXEC);
    CHECK(pwrite(fd, &value, 1, (off_t)at) == 1);
    close(fd);
}

/* One byte is another now. */
static void look_at_flip(const struct bench *b, size_t at)
{
    uint32_t block, told;
    int section;
    bool rebuilt;
    struct pack_file file;
    enum region region = region_of(b, at, &block, &section);
    unsigned expected = region == BLOCK ? without(b, block) : all_of_them;
    bool needed = region == DIRECTORY || region == FOOT || section == PACK_BLOCKS ||
                  section == PACK_FENCES || section == PACK_RUNS; /* to open it */

    int r = pack_file_open(&disk_real, scratch_str(&b->dir), NUMBER, PACK_STRICT, &file, NULL);
    CHECK(r == (needed ? ERR_CORRUPT : 0));
    if (!r)
        pack_file_close(&file);
    CHECK(pack_file_open(&disk_real, scratch_str(&b->dir), NUMBER, PACK_MEND, &file, NULL) == 0);
    CHECK((file.pack->rebuilt[0] != '\0') == needed);
    CHECK(read_each(b, &file) == expected);
    pack_file_close(&file);

    CHECK(walk_all(b, &told, &rebuilt) == expected);
    bool walked = section == PACK_RECORDS || section == PACK_IDS;
    CHECK(rebuilt == (needed || walked));
    CHECK(told == (region == BLOCK || needed || walked));
}

/* Three blocks in a few thousand bytes and a page; the large run of each trace is
 * its last, so that the others are had without unpacking it. */
static const size_t small[RUNS] = {3, 40, 50, 10, 20, 0, 300000, 300000, 1800000};

/* The middle one is larger than a block. */
static const size_t large[RUNS] = {3, 40, 50, 10, 20, 0, 300000, 300000, 4700000};

TEST(no_changed_byte_gives_wrong_bytes_or_loses_more_than_its_block)
{
    struct bench b;
    begin(&b, small);
    CHECK(b.pack->block_count == 3 && b.made->file.len < 8000);
    for (size_t at = 0; at < b.made->file.len && !test_failures; at += EVERY) {
        char was = b.made->file.at[at];
        set_byte(&b, at, (char)(was ^ 1 << at % 8));
        look_at_flip(&b, at);
        set_byte(&b, at, was);
        if (test_failures)
            fprintf(stderr, "at %zu\n", at);
    }
    end(&b);
}

TEST(the_same_is_true_beside_a_run_larger_than_a_block)
{
    struct bench b;
    begin(&b, large);
    CHECK(b.pack->block_count == 6);
    for (size_t at = 5; at < b.made->file.len && !test_failures; at += 37 * EVERY) {
        char was = b.made->file.at[at];
        set_byte(&b, at, (char)~was);
        look_at_flip(&b, at);
        set_byte(&b, at, was);
        if (test_failures)
            fprintf(stderr, "at %zu\n", at);
    }
    end(&b);
}

/* Everything that blocks before the cut hold comes; nothing else, and nothing wrong. */
static void cut_everywhere(const size_t sizes[RUNS], size_t step)
{
    struct bench b;
    begin(&b, sizes);
    const struct pack_block *last = &b.pack->blocks[b.pack->block_count - 1];
    for (size_t len = b.made->file.len - 1; len > 0 && !test_failures;
         len = len > step ? len - step : 0) {
        struct pack_file file;
        struct err err = {0};
        uint32_t told;
        bool rebuilt;
        CHECK(truncate(b.path, (off_t)len) == 0);
        unsigned expected = 0;
        for (uint32_t i = 0; i < RUNS; i++) {
            const struct pack_block *block = &b.pack->blocks[b.last_block_of[i]];
            expected |= (unsigned)(block->at + block->stored <= len) << i;
        }
        CHECK(len < last->at + last->stored || expected == all_of_them);
        CHECK(pack_file_open(&disk_real, scratch_str(&b.dir), NUMBER, PACK_STRICT, &file, &err) ==
              ERR_CORRUPT);
        int r = pack_file_open(&disk_real, scratch_str(&b.dir), NUMBER, PACK_MEND, &file, &err);
        CHECK(r == (expected ? 0 : ERR_CORRUPT));
        if (!r) {
            CHECK(read_each(&b, &file) == expected);
            CHECK(file.pack->summary.last_sequence == 8); /* the head says so */
            pack_file_close(&file);
        }
        CHECK(walk_all(&b, &told, &rebuilt) == expected);
        CHECK(told == (expected != 0) && rebuilt == (expected != 0));
        if (test_failures)
            fprintf(stderr, "cut at %zu\n", len);
    }
    end(&b);
}

TEST(a_file_cut_anywhere_gives_what_is_left_of_it)
{
    cut_everywhere(small, EVERY);
}

TEST(the_same_is_true_of_a_cut_within_a_run_larger_than_a_block)
{
    cut_everywhere(large, 41 * EVERY);
}

/* Damage in two places: the sections, and a block. */
TEST(a_damaged_block_costs_only_its_runs_when_the_sections_are_lost_too)
{
    for (uint32_t block = 0; block < 6; block++) {
        struct bench b;
        struct pack_file file;
        begin(&b, large);
        size_t at = b.pack->blocks[block].at + b.pack->blocks[block].stored / 2;
        size_t foot = b.made->file.len - 7;
        set_byte(&b, at, (char)~b.made->file.at[at]);
        set_byte(&b, foot, (char)~b.made->file.at[foot]);
        CHECK(pack_file_open(&disk_real, scratch_str(&b.dir), NUMBER, PACK_MEND, &file, NULL) == 0);
        CHECK(read_each(&b, &file) == without(&b, block));
        CHECK(file.pack->summary.previous_sequence == 2 && file.pack->summary.last_sequence == 8);
        pack_file_close(&file);
        end(&b);
    }
}

TEST(without_head_and_foot_nothing_is_lost_but_what_only_they_say)
{
    struct bench b;
    struct pack_file file;
    begin(&b, small);
    size_t foot = b.made->file.len - 7;
    set_byte(&b, 20, (char)~b.made->file.at[20]);
    set_byte(&b, foot, (char)~b.made->file.at[foot]);
    CHECK(pack_file_open(&disk_real, scratch_str(&b.dir), NUMBER, PACK_MEND, &file, NULL) == 0);
    CHECK(read_each(&b, &file) == all_of_them);
    CHECK(file.pack->summary.last_sequence == 8 && file.pack->summary.runs == RUNS &&
          file.pack->summary.records == BATCHES);
    pack_file_close(&file);
    end(&b);
}
