/* pack_file_test.c - runs come out of a pack's file in any order, with few calls. */
#include "store/pack_file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"
#include "store/pack_layout.h"

enum { NUMBER = 0xabc };

/* A pack in a directory of its own. */
struct shelf {
    struct scratch dir;
    char path[PACK_PATH];
    struct made_pack *made;
    struct pack_file file;
    struct pack_scratch *scratch;
};

static void put(struct shelf *s, struct made_pack *made)
{
    struct err err = {0};
    *s = (struct shelf){
        .dir = scratch_new(), .made = made, .scratch = pack_scratch_new(), .file = {.fd = -1}};
    bad_disk_plan = (struct bad_disk_plan){0};
    CHECK(pack_path(scratch_str(&s->dir), NUMBER, s->path, &err) == 0);
    scratch_write(s->path, made->file.at, made->file.len);
}

static int open_it(struct shelf *s, bool strict, struct err *err)
{
    return pack_file_open(&bad_disk, scratch_str(&s->dir), NUMBER, strict ? PACK_STRICT : PACK_MEND,
                          &s->file, err);
}

static void begin(struct shelf *s, struct made_pack *made)
{
    struct err err = {0};
    put(s, made);
    CHECK(open_it(s, true, &err) == 0);
    if (err.code) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void end(struct shelf *s)
{
    bad_disk_plan = (struct bad_disk_plan){0};
    if (s->file.fd >= 0)
        pack_file_close(&s->file);
    pack_scratch_free(s->scratch);
    made_pack_free(s->made);
    scratch_remove(&s->dir);
}

/* Read the runs of these rows of made->runs, all at once. */
static int read_rows(struct shelf *s, const uint32_t *rows, size_t count, struct err *err)
{
    struct pack_wanted *wanted = calloc(count + 1, sizeof *wanted);
    struct run *runs = calloc(count + 1, sizeof *runs);
    struct arena *arena = arena_new(1024);
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct pack_wanted){s->made->runs[rows[i]].ordinal, i};
    int r = pack_file_read(&s->file, s->scratch, wanted, count, arena, runs, &(bool){false}, err);
    for (size_t i = 0; i < count && !r; i++)
        CHECK(same_run(&runs[i], &s->made->runs[rows[i]].run));
    arena_free(arena);
    free(runs);
    free(wanted);
    return r;
}

/* `count` runs in traces of five, with names of up to `most` bytes, every 50th of `large`. */
static struct made_pack *make_many(size_t count, size_t most, size_t large)
{
    struct make_random random = {count + most};
    struct make_run *runs = calloc(count, sizeof *runs);
    struct make_batch *batches = calloc(count, sizeof *batches);
    char **names = calloc(count, sizeof(char *));
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = large && i % 50 == 7 ? large : make_random(&random) % most;
        names[i] = malloc(len + 1);
        make_noise(&random, names[i], len);
        runs[i] = (struct make_run){.id = make_id(i),
                                    .trace = make_id(1000000 + i % (1 + count / 5)),
                                    .name = names[i],
                                    .project = i % 3 ? "one" : "two",
                                    .start_us = (int64_t)i,
                                    .number = i};
    }
    for (size_t i = 0; i < count; i += batches[n++].count)
        batches[n] = (struct make_batch){.runs = runs + i,
                                         .count = i + 3 < count ? 3 : count - i,
                                         .first = (uint32_t)(i + 2 * n),
                                         .sequence = 1 + n};
    struct made_pack *made = make_pack(NUMBER, batches, n);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(batches);
    free(runs);
    return made;
}

TEST(each_run_is_read_alone)
{
    struct shelf s;
    begin(&s, make_many(200, 30000, 3 << 20));
    for (uint32_t i = 0; i < s.made->count; i++)
        CHECK(read_rows(&s, &i, 1, NULL) == 0);
    CHECK(read_rows(&s, NULL, 0, NULL) == 0);
    end(&s);
}

TEST(many_runs_are_read_at_once_in_any_order_and_more_than_once)
{
    struct shelf s;
    struct make_random random = {3};
    begin(&s, make_many(300, 40000, (5 << 20) + 99));
    CHECK(s.file.pack->block_count > 10);
    for (int round = 0; round < 40; round++) {
        uint32_t rows[64];
        size_t count = 1 + make_random(&random) % 64;
        /* Some rounds ask around one place, so that blocks are shared. */
        uint64_t among = round % 2 ? s.made->count : 9;
        for (size_t i = 0; i < count; i++)
            rows[i] = (uint32_t)(make_random(&random) % among);
        CHECK(read_rows(&s, rows, count, NULL) == 0);
    }
    uint32_t *all = calloc(2u * s.made->count, sizeof *all);
    for (uint32_t i = 0; i < 2 * s.made->count; i++)
        all[i] = (2 * s.made->count - 1 - i) / 2; /* each twice, last first */
    CHECK(read_rows(&s, all, 2 * s.made->count, NULL) == 0);
    free(all);
    end(&s);
}

TEST(blocks_that_are_neighbours_are_read_with_one_call)
{
    struct shelf s;
    begin(&s, make_many(120, 50000, 0));
    const struct pack *pack = s.file.pack;
    uint32_t all[120];
    for (uint32_t i = 0; i < 120; i++)
        all[i] = i;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < pack->block_count; i++)
        bytes += pack->blocks[i].stored;
    CHECK(pack->block_count > 1 && bytes < 4 << 20);

    bad_disk_plan = (struct bad_disk_plan){0};
    CHECK(read_rows(&s, all, 120, NULL) == 0);
    CHECK(bad_disk_plan.calls[BAD_PREAD] == 1);
    for (uint32_t i = 0; i < 120; i++) {
        bad_disk_plan = (struct bad_disk_plan){0};
        CHECK(read_rows(&s, &i, 1, NULL) == 0);
        CHECK(bad_disk_plan.calls[BAD_PREAD] <= 1); /* none: it was the last block read */
    }
    end(&s);
}

TEST(blocks_that_lie_apart_are_not_read_together)
{
    struct shelf s;
    begin(&s, make_many(300, 40000, 0));
    CHECK(pack_file_load(&s.file, PACK_RUNS, NULL) == 0);
    const struct pack *pack = s.file.pack;
    CHECK(pack->block_count > 2);
    uint32_t ends[2] = {0, 0};
    for (uint32_t i = 0; i < s.made->count; i++) {
        uint32_t row = 0;
        CHECK(pack_find(pack, s.made->runs[i].ordinal, &row));
        uint32_t block = pack_block_at(pack, pack_run(pack, row).at);
        if (block == 0)
            ends[0] = i;
        if (block == pack->block_count - 1)
            ends[1] = i;
    }

    bad_disk_plan = (struct bad_disk_plan){0};
    CHECK(read_rows(&s, ends, 2, NULL) == 0);
    CHECK(bad_disk_plan.calls[BAD_PREAD] == 2);
    end(&s);
}

TEST(any_part_of_the_stream_can_be_had)
{
    struct shelf s;
    struct make_random random = {8};
    begin(&s, make_many(100, 40000, 5 << 20));
    uint64_t size = s.file.pack->summary.stream_size;
    char *stream = malloc(size);
    CHECK(pack_file_part(&s.file, s.scratch, 0, size, stream, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        uint64_t at = make_random(&random) % (size + 1);
        size_t most = i % 2 ? size - at : (size - at < 5000 ? size - at : 5000);
        size_t len = make_random(&random) % (most + 1);
        char *room = malloc(len + 1);
        room[len] = 'x';
        CHECK(pack_file_part(&s.file, s.scratch, at, len, room, NULL) == 0);
        CHECK(memcmp(room, stream + at, len) == 0 && room[len] == 'x');
        free(room);
    }
    /* And it is the runs that were put in. */
    CHECK(pack_file_load(&s.file, PACK_RUNS, NULL) == 0);
    for (uint32_t i = 0; i < s.made->count; i++) {
        struct pack_item item;
        uint32_t row = 0;
        CHECK(pack_find(s.file.pack, s.made->runs[i].ordinal, &row));
        struct pack_run run = pack_run(s.file.pack, row);
        CHECK(pack_read_item((struct str){stream + run.at, run.size}, &item, NULL) == 0);
        CHECK(str_eq(item.raw, s.made->runs[i].run.raw));
    }
    free(stream);
    end(&s);
}

TEST(an_ordinal_that_was_never_given_is_not_found)
{
    struct shelf s;
    struct run run;
    struct arena *arena = arena_new(256);
    begin(&s, make_many(20, 100, 0));
    static const uint32_t none[] = {3, 4, 8, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct pack_wanted wanted = {none[i], 0};
        struct err err = {0};
        CHECK(pack_file_read(&s.file, s.scratch, &wanted, 1, arena, &run, &(bool){false}, &err) ==
              ERR_NOT_FOUND);
        CHECK(strstr(err.text, "0000000000000abc.pack"));
    }
    arena_free(arena);
    end(&s);
}

TEST(every_section_can_be_loaded_from_the_file)
{
    struct shelf s;
    begin(&s, make_many(20, 100, 0));
    CHECK(!pack_loaded(s.file.pack, PACK_IDS));
    for (int round = 0; round < 2; round++)
        for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++)
            CHECK(pack_file_load(&s.file, (enum pack_section_type)type, NULL) == 0);
    CHECK(pack_count(s.file.pack, PACK_IDS) == 20);
    CHECK(pack_memory(s.file.pack) > 20 * (16 + 20));
    end(&s);
}

/* What nobody knows stands between the blocks and the directory. */
TEST(a_file_with_a_long_end_is_opened)
{
    struct shelf s;
    put(&s, make_many(20, 1000, 0));
    static char junk[3 * PACK_TAIL];
    struct str file = text_str(&s.made->file);
    char foot[PACK_FOOT];
    memcpy(foot, file.at + file.len - PACK_FOOT, PACK_FOOT);
    uint64_t directory = get_u64(foot + AT_DIRECTORY);
    put_u64(foot + AT_DIRECTORY, directory + sizeof junk);
    put_u32(foot + AT_CRC, crc32c(0, foot, AT_CRC));
    struct text longer = {0};
    text_add(&longer, (struct str){file.at, directory});
    text_add(&longer, (struct str){junk, sizeof junk});
    text_add(&longer, (struct str){file.at + directory, file.len - PACK_FOOT - directory});
    text_add(&longer, (struct str){foot, PACK_FOOT});
    scratch_write(s.path, longer.at, longer.len);
    text_free(&longer);
    CHECK(open_it(&s, true, NULL) == 0);
    for (uint32_t i = 0; i < 20; i++)
        CHECK(read_rows(&s, &i, 1, NULL) == 0);
    end(&s);
}

TEST(short_and_interrupted_reads_are_carried_on)
{
    struct shelf s;
    put(&s, make_many(60, 20000, 3 << 20));
    bad_disk_plan = (struct bad_disk_plan){.short_io = 7777, .interrupted = true};
    CHECK(open_it(&s, true, NULL) == 0);
    uint32_t rows[60];
    for (uint32_t i = 0; i < 60; i++)
        rows[i] = 59 - i;
    CHECK(read_rows(&s, rows, 60, NULL) == 0);
    CHECK(pack_file_load(&s.file, PACK_TRACES, NULL) == 0);
    end(&s);
}

static int next_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* Whichever call fails: an error, and the next try is as good as ever.  What the
 * medium does not give is damage: it may be mended, or be an error of that. */
TEST(a_failed_call_is_an_error_and_leaves_nothing_open)
{
    static const enum bad_call calls[] = {BAD_OPEN, BAD_FSTAT, BAD_PREAD};
    struct shelf s;
    uint32_t row = 5;
    put(&s, make_many(20, 2000, 0));
    int before = next_fd();
    for (size_t c = 0; c < 3; c++)
        for (int at = 1, failed = 1; failed; at++) {
            struct err err = {0};
            bad_disk_plan = (struct bad_disk_plan){.call = calls[c], .fails_at = at};
            int r = open_it(&s, false, &err);
            if (!r)
                r = read_rows(&s, &row, 1, &err);
            failed = bad_disk_plan.failed;
            if (calls[c] == BAD_PREAD)
                CHECK(r == (!failed || s.file.pack->rebuilt[0] ? 0 : ERR_CORRUPT));
            else
                CHECK(r == (failed ? ERR_IO : 0));
            CHECK(!r || strstr(err.text, "0000000000000abc.pack"));
            if (s.file.fd >= 0)
                pack_file_close(&s.file);
            CHECK(at < 10);
        }
    CHECK(next_fd() == before);
    end(&s);
}

TEST(a_file_that_is_not_there_is_not_found)
{
    struct scratch dir = scratch_new();
    struct pack_file file;
    struct pack_summary summary;
    struct err err = {0};
    CHECK(pack_file_open(&disk_real, scratch_str(&dir), 5, PACK_MEND, &file, &err) ==
          ERR_NOT_FOUND);
    CHECK(err.code == ERR_NOT_FOUND && strstr(err.text, "0000000000000005.pack"));
    CHECK(pack_file_summary(&disk_real, scratch_str(&dir), 5, &summary, &err) == ERR_NOT_FOUND);
    scratch_remove(&dir);
}

TEST(what_is_no_pack_is_refused_however_it_is_opened)
{
    static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 1000, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int strict = 0; strict < 2; strict++) {
            struct scratch dir = scratch_new();
            struct pack_file file;
            struct pack_summary summary;
            struct err err = {0};
            char *zeros = calloc(1, sizes[i] + 1);
            scratch_write(scratch_at(&dir, "0000000000000005.pack"), zeros, sizes[i]);
            CHECK(pack_file_open(&disk_real, scratch_str(&dir), 5, strict ? PACK_STRICT : PACK_MEND,
                                 &file, &err) == ERR_CORRUPT);
            CHECK(err.code == ERR_CORRUPT && strstr(err.text, "0000000000000005.pack"));
            CHECK(pack_file_summary(&disk_real, scratch_str(&dir), 5, &summary, &err) ==
                  ERR_CORRUPT);
            free(zeros);
            scratch_remove(&dir);
        }
}

TEST(a_pack_under_the_name_of_another_is_refused)
{
    struct scratch dir = scratch_new();
    struct made_pack *made = make_many(9, 100, 0);
    struct pack_file file;
    struct err err = {0};
    scratch_write(scratch_at(&dir, "0000000000000005.pack"), made->file.at, made->file.len);
    CHECK(pack_file_open(&disk_real, scratch_str(&dir), 5, PACK_MEND, &file, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000abc"));
    made_pack_free(made);
    scratch_remove(&dir);
}

static void flip(const struct shelf *s, size_t at)
{
    size_t size;
    char *bytes = scratch_read(s->path, &size);
    bytes[at] ^= 2;
    scratch_write(s->path, bytes, size);
    free(bytes);
}

TEST(the_summary_is_in_the_head_and_in_the_foot)
{
    struct shelf s;
    struct pack_summary summary = {0};
    put(&s, make_many(20, 100, 0));
    size_t foot = s.made->file.len - PACK_FOOT;
    for (int broken = 0; broken < 4; broken++) {
        struct err err = {0};
        scratch_write(s.path, s.made->file.at, s.made->file.len);
        if (broken & 1)
            flip(&s, 40);
        if (broken & 2)
            flip(&s, foot + 40);
        int r = pack_file_summary(&bad_disk, scratch_str(&s.dir), NUMBER, &summary, &err);
        CHECK(r == (broken == 3 ? ERR_CORRUPT : 0));
        CHECK(summary.number == NUMBER && summary.runs == 20 && summary.last_sequence == 7);
    }
    end(&s);
}

/* Ordinals begin later than that. */
static int read_missing(struct shelf *s, struct err *err)
{
    struct arena *arena = arena_new(256);
    struct run run;
    struct pack_wanted wanted = {3, 0};
    int r = pack_file_read(&s->file, s->scratch, &wanted, 1, arena, &run, &(bool){false}, err);
    arena_free(arena);
    return r;
}

TEST(damaged_sections_are_made_anew_unless_they_must_not)
{
    struct shelf s;
    struct err err = {0};
    put(&s, make_many(20, 1000, 0));
    flip(&s, s.made->file.len - PACK_FOOT + 3);
    CHECK(open_it(&s, true, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "0000000000000abc.pack"));
    CHECK(open_it(&s, false, &err) == 0);
    CHECK(s.file.pack->rebuilt[0] != '\0');
    for (uint32_t i = 0; i < 20; i++)
        CHECK(read_rows(&s, &i, 1, NULL) == 0);

    /* The head says that all are there, so what is not there never was. */
    CHECK(!s.file.pack->incomplete && read_missing(&s, &err) == ERR_NOT_FOUND);
    end(&s);

    /* Without it, what is not there may have been lost. */
    put(&s, make_many(20, 1000, 0));
    flip(&s, 3);
    flip(&s, s.made->file.len - PACK_FOOT + 3);
    CHECK(open_it(&s, false, &err) == 0);
    CHECK(s.file.pack->incomplete && read_missing(&s, &err) == ERR_CORRUPT);
    end(&s);
}

/* Of so many runs that no reader holds all rows. */
TEST(a_page_of_the_runs_is_read_when_it_is_needed_and_asks_to_be_mended)
{
    enum { MANY = 8000 };
    struct shelf s;
    struct err err = {0};
    struct arena *arena = arena_new(256);
    struct run run;
    struct pack_wanted wanted = {0, 0};
    bool mend = true;
    begin(&s, make_many(MANY, 1, 0));
    CHECK(!pack_loaded(s.file.pack, PACK_RUNS));
    uint32_t some[] = {0, MANY - 1, 255, 254, 256, MANY / 2, 256};
    CHECK(read_rows(&s, some, 7, NULL) == 0);
    wanted.ordinal = s.made->runs[300].ordinal;
    bad_disk_plan = (struct bad_disk_plan){0};
    CHECK(pack_file_read(&s.file, s.scratch, &wanted, 1, arena, &run, &mend, &err) == 0 && !mend);
    CHECK(bad_disk_plan.calls[BAD_PREAD] <= 2); /* the page, and the block */
    wanted.ordinal = s.made->runs[MANY - 1].ordinal + 1;
    CHECK(pack_file_read(&s.file, s.scratch, &wanted, 1, arena, &run, &mend, &err) ==
              ERR_NOT_FOUND &&
          !mend);

    flip(&s, s.file.pack->sections[PACK_RUNS].at + PACK_PAGE + 99);
    wanted.ordinal = s.made->runs[300].ordinal;
    CHECK(pack_file_read(&s.file, s.scratch, &wanted, 1, arena, &run, &mend, &err) == ERR_CORRUPT &&
          mend);
    CHECK(read_rows(&s, some, 1, NULL) == 0); /* of the page before */
    pack_file_close(&s.file);
    CHECK(pack_file_open(&bad_disk, scratch_str(&s.dir), NUMBER, PACK_REBUILD, &s.file, &err) == 0);
    CHECK(!s.file.pack->incomplete && read_rows(&s, some, 7, NULL) == 0);
    CHECK(pack_file_read(&s.file, s.scratch, &wanted, 1, arena, &run, &mend, &err) == 0);
    arena_free(arena);
    end(&s);
}

TEST(a_section_that_turns_out_damaged_is_made_anew_when_it_is_loaded)
{
    for (int type = PACK_RECORDS; type < PACK_FENCES; type++) {
        struct shelf s;
        begin(&s, make_many(20, 1000, 0));
        flip(&s, s.file.pack->sections[type].at + 5);
        CHECK(pack_file_load(&s.file, (enum pack_section_type)type, NULL) == 0);
        CHECK(s.file.pack->rebuilt[0] != '\0');
        CHECK(pack_count(s.file.pack, PACK_IDS) == 20);
        for (uint32_t i = 0; i < 20; i++)
            CHECK(read_rows(&s, &i, 1, NULL) == 0);
        end(&s);
    }
}

TEST(a_name_is_sixteen_hex_digits)
{
    uint64_t number = 0;
    char path[PACK_PATH], long_dir[PACK_PATH];
    CHECK(pack_named("00000000000000ff.pack", &number) && number == 255);
    CHECK(pack_named("ffffffffffffffff.pack", &number) && number == UINT64_MAX);
    static const char *const bad[] = {"0000000000000000.pack",  "00000000000000FF.pack",
                                      "00000000000000ff.pac",   "00000000000000ff.packs",
                                      "00000000000000ff.tmp",   "0000000000000ff.pack",
                                      "000000000000000ff.pack", "",
                                      "0x000000000000ff.pack"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!pack_named(bad[i], &number));
    CHECK(pack_path(STR("/d"), 255, path, NULL) == 0);
    CHECK(strcmp(path, "/d/00000000000000ff.pack") == 0);
    memset(long_dir, 'x', sizeof long_dir);
    CHECK(pack_path((struct str){long_dir, sizeof long_dir - 22}, 1, path, NULL) == ERR_INVALID);
    CHECK(pack_path((struct str){long_dir, sizeof long_dir - 23}, 1, path, NULL) == 0);
}
