/* pack_fuzz.c - a hostile pack is opened, loaded, read, walked and made anew.
 *
 * The first byte says how the rest is used:
 *
 *   plain     it is the file, or what stands between a sound head and a foot
 *   sealed    the same, and checksums that are ours to make are made right
 *   changed   it says which bytes of a good pack become others
 *   rows      it says which bytes of a section's rows do, with all checksums right
 *
 * Promised: nothing is touched outside the bytes; and every run of the good pack
 * that is given out has its exact bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/frame.h"
#include "lib/make_pack.h"
#include "run/record.h"
#include "store/pack_file.h"
#include "store/pack_layout.h"
#include "store/pack_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum {
    PLAIN,
    SEALED,
    CHANGED,
    ROWS,
    MODES,
    LARGE = 128,           /* a bit of the first byte: the good pack is the one of three blocks */
    REBUILD = 64,          /* a bit of the first byte: make it anew as well */
    NUMBER = 5,            /* of the container */
    INPUT_MAX = 16 << 10,  /* bytes; more finds nothing more */
    STREAM_MAX = 8 << 20,  /* bytes of a stream that is read */
    ROWS_READ_MAX = 4000,  /* rows of a section that are looked at */
    SECTION_MAX = 16 << 20 /* bytes of one that is loaded */
};

/* ---- a disk with one file ---- */

static struct str file;

static int mem_open(const char *path, int flags, mode_t mode)
{
    (void)path;
    (void)flags;
    (void)mode;
    return 100;
}

static int mem_close(int fd)
{
    (void)fd;
    return 0;
}

static ssize_t mem_pread(int fd, void *bytes, size_t size, off_t at)
{
    (void)fd;
    assert(at >= 0);
    if ((size_t)at >= file.len)
        return 0;
    size_t left = file.len - (size_t)at;
    memcpy(bytes, file.at + at, size < left ? size : left);
    return (ssize_t)(size < left ? size : left);
}

static int mem_fstat(int fd, struct stat *result)
{
    (void)fd;
    *result = (struct stat){.st_size = (off_t)file.len, .st_mode = S_IFREG};
    return 0;
}

static const struct disk memory = {
    .open = mem_open, .close = mem_close, .pread = mem_pread, .fstat = mem_fstat};

/* ---- a good pack ---- */

static const struct made_pack *good_pack(bool large)
{
    enum { RUNS = 12 };
    static struct made_pack *packs[2];
    struct make_run runs[RUNS];
    if (packs[large])
        return packs[large];
    for (size_t i = 0; i < RUNS; i++) {
        /* Three blocks, of letters that pack well; or one. */
        size_t len = !large ? i * 3 : i == 3 ? 1900000 : i == 7 ? 300000 : i * 30;
        char *name = malloc(len + 1);
        memset(name, 'a' + (int)i, len);
        name[len] = '\0';
        runs[i] = (struct make_run){.id = make_id(i % 10),
                                    .trace = make_id(100 + i % 3),
                                    .name = name,
                                    .project = i % 4 ? "p" : NULL,
                                    .number = i};
    }
    const struct make_batch batches[] = {
        {runs, 3, 0, 1, 10}, {runs + 3, 1, 3, 2, 20}, {runs + 4, 8, 9, 7, 30}};
    packs[large] = make_pack(NUMBER, batches, 3);
    for (size_t i = 0; i < RUNS; i++)
        free((void *)(uintptr_t)runs[i].name);
    return packs[large];
}

/* Only what the good pack has may be said to be of it. */
static void check_run(const struct made_pack *good, uint32_t ordinal, const struct run *run)
{
    for (uint32_t i = 0; i < good->count; i++)
        if (good->runs[i].ordinal == ordinal) {
            assert(same_run(run, &good->runs[i].run));
            return;
        }
    abort(); /* a run that never was */
}

static uint64_t touch(struct str s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s.len; i += 97)
        sum += (unsigned char)s.at[i];
    return sum + (s.len ? (unsigned char)s.at[s.len - 1] : 0);
}

/* ---- what is done to it ---- */

/* All that is in memory of it must lead nowhere else. */
static void look_at(const struct pack *pack)
{
    uint32_t row = 0;
    assert(pack_memory(pack) > 0);
    for (uint32_t i = 0;
         pack_loaded(pack, PACK_RUNS) && i < pack_count(pack, PACK_RUNS) && i < ROWS_READ_MAX;
         i++) {
        struct pack_run run = pack_run(pack, i);
        assert(run.at < pack->summary.stream_size &&
               run.size <= pack->summary.stream_size - run.at);
        assert(pack_find(pack, run.ordinal, &row) && row == i);
        assert(pack_block_at(pack, run.at) < pack->block_count);
    }
    if (pack_loaded(pack, PACK_RECORDS))
        for (uint32_t i = 0; i < pack_count(pack, PACK_RECORDS) && i < ROWS_READ_MAX; i++)
            assert(pack_record(pack, i).count > 0);
    if (pack_loaded(pack, PACK_IDS))
        for (uint32_t i = 0; i < pack_count(pack, PACK_IDS) && i < ROWS_READ_MAX; i++) {
            struct uuid id = pack_id(pack, i, &row);
            assert(row < pack->summary.runs && pack_first_id(pack, id) <= i);
        }
    if (pack_loaded(pack, PACK_TRACES))
        for (uint32_t i = 0; i < pack_count(pack, PACK_TRACES) && i < ROWS_READ_MAX; i++) {
            struct pack_trace trace = pack_trace(pack, i);
            assert(trace.size <= pack->summary.stream_size);
            assert(pack_first_trace(pack, trace.trace) <= i);
        }
}

static void unpack_blocks(const struct pack *pack)
{
    struct frame_opener *opener = frame_opener_new();
    for (uint32_t i = 0; i < pack->block_count && i < 8; i++) {
        const struct pack_block *b = &pack->blocks[i];
        char *room = malloc(b->size);
        struct pack_item item;
        struct str stored = {file.at + b->at, b->stored};
        for (size_t size = b->size; size > 0; size = size > 200 ? size / 9 : 0)
            if (!pack_unpack(pack, i, stored, opener, room, size, NULL) &&
                !pack_read_item((struct str){room, size}, &item, NULL))
                assert(item.spans.at + item.spans.len <= room + size);
        free(room);
    }
    frame_opener_free(opener);
}

static void read_runs(const struct pack_file *opened, const struct made_pack *good)
{
    static struct pack_scratch *scratch; /* one for all: it is large */
    if (!scratch)
        scratch = pack_scratch_new();
    uint64_t total = 0;
    struct pack_wanted wanted[64];
    struct run runs[64];
    struct arena *arena = arena_new(1024);
    uint32_t n = 0, count = good && good->count < 64 ? good->count : 64;
    bool mend;
    for (uint32_t i = 0; i < count && total <= STREAM_MAX; i++) {
        struct pack_wanted one = {good ? good->runs[i].ordinal : i, 0};
        struct err err = {0};
        int r = pack_file_read(opened, scratch, &one, 1, arena, &runs[0], &mend, &err);
        assert(r == (int)err.code && (r == 0 || r == ERR_CORRUPT || r == ERR_NOT_FOUND));
        if (r)
            continue;
        wanted[n] = (struct pack_wanted){one.ordinal, n};
        n++;
        total += runs[0].raw.len;
        if (good)
            check_run(good, one.ordinal, &runs[0]);
        assert(touch(runs[0].raw) <= UINT64_MAX);
    }
    if (!pack_file_read(opened, scratch, wanted, n, arena, runs, &mend, NULL) && good)
        for (uint32_t i = 0; i < n; i++)
            check_run(good, wanted[i].ordinal, &runs[wanted[i].index]);
    arena_free(arena);
}

/* Takes the file over. */
static void walk(struct pack_file *opened, const struct made_pack *good)
{
    struct pack_walk *walk = NULL;
    struct record record;
    struct place first;
    uint64_t sequence = 0, at;
    const char *why;
    bool lost;
    if (pack_walk_start(opened, &walk, NULL))
        return;
    for (uint32_t from = 0; pack_walk_damage(walk, &from, &at, &why, &lost);)
        assert(why[0] != '\0');
    for (int n = 0; n < 64 && pack_walk_next(walk, sequence, &record, &first, &sequence); n++)
        for (uint32_t i = 0; i < record.count && i < 64; i++) {
            struct run run;
            (void)record_id(&record, i);
            if (!record_run(&record, i, &run, NULL) && good)
                check_run(good, first.ordinal + i, &run);
        }
    pack_walk_end(walk);
}

static bool too_large(const struct pack *pack)
{
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++)
        if (pack->sections[type].size > SECTION_MAX)
            return true;
    return pack->summary.stream_size > STREAM_MAX;
}

/* By its end alone, as of an object in a bucket. */
static void open_by_tail(size_t length)
{
    for (int tries = 0; length <= file.len; tries++) {
        struct pack *pack = NULL;
        uint64_t need = 0;
        struct err err = {0};
        char *tail = malloc(length + 1);
        memcpy(tail, file.at + file.len - length, length);
        int r = pack_open((struct str){tail, length}, file.len, &pack, &need, &err);
        free(tail);
        assert(r == (int)err.code && (r == 0 || r == ERR_CORRUPT || r == ERR_UNAVAILABLE));
        assert((r || need) ? !pack : pack != NULL);
        assert(need == 0 || (need > length && need <= file.len && tries < 2));
        if (pack && !too_large(pack)) {
            look_at(pack);
            for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
                const struct pack_section *s = &pack->sections[type];
                (void)pack_load(pack, (enum pack_section_type)type,
                                (struct str){file.at + s->at, s->stored}, NULL);
            }
            look_at(pack);
            unpack_blocks(pack);
        }
        pack_free(pack);
        if (!need)
            return;
        length = need;
    }
}

static void make_anew(const struct made_pack *good)
{
    struct pack *pack = NULL;
    if (pack_rebuild(file, "fuzz", &pack, NULL))
        return;
    assert(pack->rebuilt[0]);
    if (!too_large(pack)) {
        look_at(pack);
        struct pack_file opened = {.disk = &memory, .fd = 100, .number = NUMBER, .pack = pack};
        read_runs(&opened, good);
    }
    pack_free(pack);
}

static void do_all(const struct made_pack *good, bool anew)
{
    struct pack_file opened;
    struct pack_summary summary;
    open_by_tail(file.len < PACK_FOOT ? file.len : PACK_FOOT);
    open_by_tail(file.len);
    (void)pack_file_summary(&memory, STR("."), NUMBER, &summary, NULL);
    if (!pack_file_open(&memory, STR("."), NUMBER, anew ? PACK_MEND : PACK_STRICT, &opened, NULL)) {
        if (too_large(opened.pack)) {
            pack_file_close(&opened);
        } else {
            read_runs(&opened, good);
            walk(&opened, good);
        }
    }
    if (anew)
        make_anew(good);
}

/* ---- forging ---- */

static void sign(char *bytes, const char *magic)
{
    memcpy(bytes, magic, 8);
    put_u32(bytes + AT_VERSION, PACK_VERSION);
    put_u32(bytes + AT_SIZE, PACK_FOOT);
    put_u64(bytes + AT_NUMBER, NUMBER);
    put_u32(bytes + AT_CRC, crc32c(0, bytes, AT_CRC));
}

static void sign_pages(char *pages, uint64_t size)
{
    for (uint64_t at = 0; at + PACK_PAGE <= size; at += PACK_PAGE)
        put_u32(pages + at + PAGE_CRC, crc32c(0, pages + at, PAGE_CRC));
}

/* The directory is taken to be where the foot says; of each section, the checksum. */
static void make_right(char *bytes, size_t len)
{
    if (len < PACK_HEAD + PACK_FOOT)
        return;
    char *foot = bytes + len - PACK_FOOT;
    uint64_t directory = len - PACK_FOOT - get_u32(foot + AT_DIRECTORY_SIZE) % 7 * DIR_ENTRY;
    if (directory < PACK_HEAD || directory > len - PACK_FOOT)
        directory = len - PACK_FOOT;
    put_u64(foot + AT_DIRECTORY, directory);
    put_u32(foot + AT_DIRECTORY_SIZE, (uint32_t)(len - PACK_FOOT - directory));
    for (size_t at = directory; at + DIR_ENTRY <= len - PACK_FOOT; at += DIR_ENTRY) {
        uint64_t begin = get_u64(bytes + at + DIR_AT), stored = get_u64(bytes + at + DIR_STORED);
        bool inside = begin <= len && stored <= len - begin;
        if (inside && get_u32(bytes + at + DIR_TYPE) == PACK_RUNS)
            sign_pages(bytes + begin, stored);
        else if (inside)
            put_u32(bytes + at + DIR_CRC, crc32c(0, bytes + begin, stored));
    }
    put_u32(foot + AT_DIRECTORY_CRC, crc32c(0, bytes + directory, len - PACK_FOOT - directory));
    sign(bytes, "RUNDLPAK");
    sign(foot, "RUNDLEND");
}

/* Triples: where (two bytes), and what to change there. */
static void change(char *bytes, size_t len, const uint8_t *input, size_t size)
{
    for (size_t i = 0; len > 0 && i + 3 <= size; i += 3)
        bytes[(size_t)(input[i] | input[i + 1] << 8) % len] ^= (char)input[i + 2];
}

/* The good pack, with other rows in one section, and everything sound about it. */
static char *with_rows(const struct made_pack *good, const uint8_t *input, size_t size, size_t *len)
{
    const struct text *was = &good->file;
    char *foot = was->at + was->len - PACK_FOOT;
    uint64_t directory = get_u64(foot + AT_DIRECTORY);
    size_t entries = (was->len - PACK_FOOT - directory) / DIR_ENTRY;
    size_t which = size > 0 ? input[0] % entries : 0;
    const char *entry = was->at + directory + which * DIR_ENTRY;
    size_t rows_len = get_u64(entry + DIR_SIZE);
    if (get_u32(entry + DIR_TYPE) == PACK_RUNS) { /* its pages are changed where they are */
        char *all = malloc(was->len);
        memcpy(all, was->at, was->len);
        if (size > 1)
            change(all + get_u64(entry + DIR_AT), get_u64(entry + DIR_STORED), input + 1, size - 1);
        make_right(all, was->len);
        *len = was->len;
        return all;
    }
    char *rows = malloc(rows_len + 1);
    struct frame_opener *opener = frame_opener_new();
    int r = frame_open(opener,
                       (struct str){was->at + get_u64(entry + DIR_AT), get_u64(entry + DIR_STORED)},
                       rows, rows_len, NULL);
    assert(r == 0);
    frame_opener_free(opener);
    if (size > 1)
        change(rows, rows_len, input + 1, size - 1);

    struct frame_packer *packer = frame_packer_new(1);
    char *bytes = malloc(was->len + frame_bound(rows_len));
    memcpy(bytes, was->at, directory);
    size_t stored = frame_pack(packer, (struct str){rows, rows_len}, bytes + directory);
    char *moved = bytes + directory + stored;
    memcpy(moved, was->at + directory, was->len - directory);
    put_u64(moved + which * DIR_ENTRY + DIR_AT, directory);
    put_u64(moved + which * DIR_ENTRY + DIR_STORED, stored);
    *len = was->len + stored;
    make_right(bytes, *len);
    frame_packer_free(packer);
    free(rows);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > INPUT_MAX)
        return 0;
    const struct made_pack *good = good_pack(input[0] & LARGE);
    unsigned mode = input[0] % REBUILD % MODES;
    bool anew = input[0] & REBUILD;
    char *bytes;
    size_t len;
    input++;
    size--;
    if (mode == ROWS) {
        bytes = with_rows(good, input, size, &len);
    } else {
        len = mode == CHANGED ? good->file.len : size;
        bytes = malloc(len + 1);
        memcpy(bytes, mode == CHANGED ? good->file.at : (const char *)input, len);
        if (mode == CHANGED)
            change(bytes, len, input, size);
        if (mode == SEALED)
            make_right(bytes, len);
    }
    file = (struct str){bytes, len};
    do_all(mode == CHANGED || mode == ROWS ? good : NULL, anew);
    free(bytes);
    file = (struct str){0};
    return 0;
}
