/* segment_fuzz.c - a hostile segment file is opened, repaired, scanned and read.
 *
 * The first byte says which checksums are made right, so that the fuzzer gets
 * behind them; the rest is what follows the file's head.  Promised: nothing is
 * touched outside the file, a repaired file is sound, and a run that is given
 * out lies within its bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "run/record.h"
#include "store/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { FIX_HEADS = 1, FIX_ENTRIES = 2, LIVE = 4, ID = 42, MAGIC = 0x63657201 };

/* The only file of a disk in memory. */
static struct {
    char *bytes;
    size_t size;
} file;

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
    if ((size_t)at >= file.size)
        return 0;
    size_t left = file.size - (size_t)at;
    memcpy(bytes, file.bytes + at, size < left ? size : left);
    return (ssize_t)(size < left ? size : left);
}

static int mem_fsync(int fd)
{
    (void)fd;
    return 0;
}

static int mem_ftruncate(int fd, off_t size)
{
    (void)fd;
    assert(size >= 0 && (size_t)size <= file.size);
    file.size = (size_t)size;
    return 0;
}

static int mem_fstat(int fd, struct stat *result)
{
    (void)fd;
    *result = (struct stat){.st_size = (off_t)file.size, .st_mode = S_IFREG};
    return 0;
}

static const struct disk memory = {
    .open = mem_open,
    .close = mem_close,
    .pread = mem_pread,
    .fsync = mem_fsync,
    .ftruncate = mem_ftruncate,
    .fstat = mem_fstat,
};

static void write_head(char *head)
{
    memset(head, 0, SEGMENT_HEAD);
    memcpy(head, "RUNDLSEG", 8);
    put_u32(head + 8, 1);
    put_u32(head + 12, SEGMENT_HEAD);
    put_u64(head + 16, 1);
    put_u64(head + 24, ID);
    put_u32(head + 60, crc32c(0, head, 60));
}

/* `left` bytes from the record's head on. */
static void fix_record(char *head, size_t left, unsigned how)
{
    put_u64(head + 40, ID);
    size_t table_len = get_u32(head + 64), body_len = get_u32(head + 68);
    size_t count = get_u32(head + 52);
    left -= SEGMENT_RECORD;
    if (table_len <= left && body_len <= left - table_len) {
        char *table = head + SEGMENT_RECORD;
        for (size_t i = 0; how & FIX_ENTRIES && i < count && i < table_len / RECORD_ENTRY; i++) {
            char *entry = table + i * RECORD_ENTRY;
            struct record_entry e;
            if (record_locate(entry, table_len, body_len, &e, NULL))
                continue;
            put_u32(entry + 96, crc32c(0, table + table_len + e.body_at, e.body_len));
            put_u32(entry + 108, crc32c(crc32c(0, entry, 108), table + e.spans_at, e.spans_len));
        }
        put_u32(head + 72, crc32c(0, table, table_len));
    }
    put_u32(head + 76, crc32c(0, head, 76));
}

static uint64_t touch(struct str s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s.len; i++)
        sum += (unsigned char)s.at[i];
    return sum;
}

static void read_all(struct reader *reader, const struct segment_marks *marks)
{
    struct arena *arena = arena_new(1024);
    struct place places[256];
    size_t n = 0;
    for (size_t i = 0; i < marks->count; i++)
        for (uint32_t k = 0; k < 3 && n < 256; k++)
            places[n++] = (struct place){1, marks->mark[i].first_ordinal + k};
    for (size_t i = 0; i < n; i++) {
        struct run run;
        struct err err = {0};
        int r = reader_read(reader, &places[i], 1, arena, &run, &err);
        assert(r == 0 || r == ERR_CORRUPT || r == ERR_NOT_FOUND);
        assert(r == (int)err.code);
        if (r)
            continue;
        for (int f = 0; f < __builtin_popcount(run.present); f++) {
            size_t at = get_u32(run.spans + f * RECORD_SPAN);
            size_t len = get_u32(run.spans + f * RECORD_SPAN + 4);
            assert(at <= run.raw.len && len <= run.raw.len - at);
        }
        assert(touch(run.raw) <= UINT64_MAX);
    }
    struct run *runs = arena_make(arena, struct run, n);
    (void)reader_read(reader, places, n, arena, runs, NULL);
    arena_free(arena);
}

/* Like a file that is not the last: nothing of it was checked at the start. */
static void scan_and_read(bool live)
{
    struct segment_file f;
    struct segment_marks marks = {0};
    if (segment_open(&memory, STR("."), 1, false, &f, NULL, NULL))
        return;
    int r = segment_scan(&f, file.size, &marks, NULL);
    assert(r == 0);
    struct reader *reader = reader_new(&memory, STR("."), (struct str){0}, live);
    r = reader_add(reader, 1, false, NULL, NULL, 0, NULL);
    assert(r == 0);
    read_all(reader, &marks);
    reader_free(reader);
    free(marks.mark);
}

static void recover_twice(void)
{
    struct segment_file f;
    struct segment first, second;
    struct segment_marks marks = {0}, again = {0};
    if (segment_open(&memory, STR("."), 1, true, &f, NULL, NULL))
        return;
    int r = segment_recover(&f, true, 0, &first, &marks, NULL);
    assert(r == 0 || r == ERR_CORRUPT);
    if (r == 0) {
        assert(file.size == first.end);
        r = segment_recover(&f, true, 0, &second, &again, NULL);
        assert(r == 0 && second.end == first.end && again.count == marks.count);
        for (size_t i = 1; i < marks.count; i++)
            assert(marks.mark[i].at > marks.mark[i - 1].at &&
                   marks.mark[i].first_ordinal > marks.mark[i - 1].first_ordinal);
    }
    free(marks.mark);
    free(again.mark);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 1 || size > 1 << 20)
        return 0;
    unsigned how = input[0];
    file.size = SEGMENT_HEAD + size - 1;
    file.bytes = malloc(file.size);
    assert(file.bytes);
    write_head(file.bytes);
    if (size > 1)
        memcpy(file.bytes + SEGMENT_HEAD, input + 1, size - 1);
    for (size_t at = SEGMENT_HEAD; how & FIX_HEADS && file.size - at >= SEGMENT_RECORD; at += 8)
        if (get_u32(file.bytes + at) == MAGIC)
            fix_record(file.bytes + at, file.size - at, how);

    scan_and_read(how & LIVE);
    recover_twice();
    free(file.bytes);
    file.bytes = NULL;
    return 0;
}
