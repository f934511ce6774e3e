/* pack_file.c - see pack_file.h.
 *
 * Whatever is read is a list of pieces of the stream, ascending.  The blocks
 * they lie in are read in stretches - one call each, over small gaps - and
 * unpacked one by one, only as far as somebody wants them: a block that is
 * wanted whole goes straight to where it is wanted, of others the wanted bytes
 * are copied out of the scratch.
 */
#include "store/pack_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/frame.h"
#include "base/metric.h"

enum {
    GAP = 64 << 10,    /* unwanted bytes between blocks that are cheaper read than skipped */
    STRETCH = 4 << 20, /* most bytes of one call */
};

struct pack_scratch {
    struct frame_opener *opener;
    char *block;  /* PACK_BLOCK bytes */
    char *stored; /* STRETCH bytes; the system gives only what is touched */
};

/* Bytes of the stream that are wanted at `to`. */
struct piece {
    uint64_t at;
    size_t size;
    char *to;
};

/* ---- names ---- */

int pack_path(struct str dir, uint64_t number, char *path, struct err *err)
{
    int n = snprintf(path, PACK_PATH, "%.*s/%016" PRIx64 ".pack", STR_FMT(dir), number);
    if (n < 0 || n >= PACK_PATH)
        return err_set(err, ERR_INVALID, "the data directory's name is too long");
    return 0;
}

bool pack_named(const char *name, uint64_t *number)
{
    if (strlen(name) != PACK_NAME || strcmp(name + 16, ".pack") != 0)
        return false;
    uint64_t n = 0;
    for (int i = 0; i < 16; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            n = n << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *number = n;
    return n > 0;
}

/* ---- opening ---- */

static int read_all(const struct disk *disk, int fd, char *bytes, size_t size, uint64_t at,
                    struct err *err)
{
    size_t got = 0;
    int r = disk_read(disk, fd, bytes, size, at, &got, err);
    if (!r && got < size)
        r = err_set(err, ERR_CORRUPT, "the file ends at %" PRIu64, at + got);
    return r;
}

static int open_file(const struct disk *disk, struct str dir, uint64_t number, int *fd,
                     uint64_t *size, struct err *err)
{
    char path[PACK_PATH];
    int r = pack_path(dir, number, path, err);
    if (r)
        return r;
    *fd = disk_open(disk, path, O_RDONLY);
    if (*fd < 0) {
        int sys = errno;
        err_sys(err, sys, "open");
        if (sys != ENOENT)
            return ERR_IO;
        if (err)
            err->code = ERR_NOT_FOUND;
        return ERR_NOT_FOUND;
    }
    struct stat st;
    if (disk->fstat(*fd, &st) < 0) {
        r = err_sys(err, errno, "stat");
        disk->close(*fd);
        return r;
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

int pack_file_take(struct pack_file *file, uint64_t size, struct err *err)
{
    uint64_t length = size < PACK_TAIL ? size : PACK_TAIL, need = 0;
    int r;
    do {
        char *tail = malloc(length + 1);
        if (!tail)
            return err_set(err, ERR_BUSY, "no memory for the end of a pack");
        r = read_all(file->disk, file->fd, tail, length, size - length, err);
        if (!r)
            r = pack_open((struct str){tail, length}, size, &file->pack, &need, err);
        free(tail);
        assert(need == 0 || need > length);
        length = need;
    } while (!r && need > 0);
    return r;
}

/* `err` says why it must be, and may come to say why it cannot. */
static int rebuild(struct pack_file *file, struct err *err)
{
    struct stat st;
    const struct err why = *err;
    if (file->disk->fstat(file->fd, &st) < 0)
        return err_sys(err, errno, "stat");
    size_t size = (size_t)st.st_size;
    char *bytes = malloc(size + 1);
    if (!bytes)
        return err_set(err, ERR_BUSY, "no memory for a pack of %zu bytes", size);
    struct pack *pack = NULL;
    int r = read_all(file->disk, file->fd, bytes, size, 0, err);
    if (!r)
        r = pack_rebuild((struct str){bytes, size}, why.text, &pack, err);
    free(bytes);
    if (r)
        return r;
    pack_free(file->pack);
    file->pack = pack;
    return 0;
}

int pack_file_open(const struct disk *disk, struct str dir, uint64_t number, bool strict,
                   struct pack_file *result, struct err *err)
{
    struct pack_file file = {.disk = disk, .number = number};
    uint64_t size;
    int r = open_file(disk, dir, number, &file.fd, &size, err);
    if (r) {
        err_wrap(err, "pack %016" PRIx64 ".pack", number);
        return r;
    }
    struct err why = {0};
    r = pack_file_take(&file, size, &why);
    if (r == ERR_CORRUPT && !strict)
        r = rebuild(&file, &why);
    if (!r && file.pack->summary.number != number && !file.pack->rebuilt[0])
        r = err_set(&why, ERR_CORRUPT, "it is number %016" PRIx64 " under another name",
                    file.pack->summary.number);
    if (r) {
        pack_file_close(&file);
        if (err)
            *err = why;
        err_wrap(err, "pack %016" PRIx64 ".pack", number);
        return r;
    }
    *result = file;
    return 0;
}

void pack_file_close(struct pack_file *file)
{
    file->disk->close(file->fd);
    pack_free(file->pack);
    file->fd = -1;
    file->pack = NULL;
}

int pack_file_summary(const struct disk *disk, struct str dir, uint64_t number,
                      struct pack_summary *result, struct err *err)
{
    int fd;
    uint64_t size;
    char bytes[PACK_HEAD];
    int r = open_file(disk, dir, number, &fd, &size, err);
    if (r) {
        err_wrap(err, "pack %016" PRIx64 ".pack", number);
        return r;
    }
    r = read_all(disk, fd, bytes, sizeof bytes, 0, err);
    if (!r)
        r = pack_read_summary(bytes, false, result, err);
    if (r == ERR_CORRUPT && size >= PACK_HEAD + PACK_FOOT) {
        r = read_all(disk, fd, bytes, sizeof bytes, size - PACK_FOOT, err);
        if (!r)
            r = pack_read_summary(bytes, true, result, err);
    }
    disk->close(fd);
    if (r)
        err_wrap(err, "pack %016" PRIx64 ".pack", number);
    return r;
}

int pack_file_load(struct pack_file *file, enum pack_section_type type, struct err *err)
{
    const struct pack_section *section = &file->pack->sections[type];
    if (pack_loaded(file->pack, type))
        return 0;
    struct err why = {0};
    char *stored = malloc(section->stored + 1);
    if (!stored)
        return err_set(err, ERR_BUSY, "no memory for a section");
    int r = read_all(file->disk, file->fd, stored, section->stored, section->at, &why);
    if (!r)
        r = pack_load(file->pack, type, (struct str){stored, section->stored}, &why);
    free(stored);
    if (r == ERR_CORRUPT)
        r = rebuild(file, &why);
    if (r && err)
        *err = why;
    if (r)
        err_wrap(err, "pack %016" PRIx64 ".pack", file->number);
    return r;
}

/* ---- reading ---- */

struct pack_scratch *pack_scratch_new(void)
{
    struct pack_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch || !(scratch->block = malloc(PACK_BLOCK)) || !(scratch->stored = malloc(STRETCH)))
        abort();
    scratch->opener = frame_opener_new();
    return scratch;
}

void pack_scratch_free(struct pack_scratch *scratch)
{
    if (!scratch)
        return;
    frame_opener_free(scratch->opener);
    free(scratch->block);
    free(scratch->stored);
    free(scratch);
}

static uint64_t end_of(const struct pack_block *block)
{
    return block->stream_at + block->size;
}

/* Give every piece what it wants of one block.  The first of `pieces` is the
 * first that ends behind the block's beginning. */
static int take_block(const struct pack *pack, uint32_t number, struct str stored,
                      struct pack_scratch *scratch, const struct piece *pieces, size_t count,
                      struct err *err)
{
    const struct pack_block *block = &pack->blocks[number];
    const struct piece *p = pieces;
    if (count == 1 || pieces[1].at >= end_of(block)) {
        if (p->at <= block->stream_at && p->at + p->size >= end_of(block))
            return pack_unpack(pack, number, stored, scratch->opener,
                               p->to + (block->stream_at - p->at), block->size, err);
    }
    uint64_t last = block->stream_at;
    for (size_t i = 0; i < count && pieces[i].at < end_of(block); i++) {
        uint64_t end = pieces[i].at + pieces[i].size;
        last = end > last ? end : last;
    }
    last = last < end_of(block) ? last : end_of(block);
    int r = pack_unpack(pack, number, stored, scratch->opener, scratch->block,
                        (size_t)(last - block->stream_at), err);
    for (size_t i = 0; !r && i < count && pieces[i].at < last; i++) {
        p = &pieces[i];
        uint64_t from = p->at > block->stream_at ? p->at : block->stream_at;
        uint64_t to = p->at + p->size < last ? p->at + p->size : last;
        if (from < to)
            memcpy(p->to + (from - p->at), scratch->block + (from - block->stream_at), to - from);
    }
    return r;
}

/* Of the blocks behind `b` that are wanted, how far is one call to read? */
static uint32_t stretch(const struct pack *pack, uint32_t b, const struct piece *pieces,
                        size_t count)
{
    uint32_t last = b;
    uint64_t begin = pack->blocks[b].at;
    for (size_t i = 0; i < count; i++) {
        uint32_t first = pack_block_at(pack, pieces[i].at);
        uint32_t end = pack_block_at(pack, pieces[i].at + pieces[i].size - 1);
        for (uint32_t k = first > last ? first : last + 1; k <= end; k++) {
            const struct pack_block *before = &pack->blocks[last], *block = &pack->blocks[k];
            uint64_t gap_from = before->at + before->stored;
            if (block->at < gap_from || block->at - gap_from > GAP ||
                block->at + block->stored - begin > STRETCH)
                return last;
            last = k;
        }
    }
    return last;
}

/* `pieces` ascend by where they begin, none is empty, all are inside the stream. */
static int read_pieces(const struct pack_file *file, struct pack_scratch *scratch,
                       const struct piece *pieces, size_t count, struct err *err)
{
    const struct pack *pack = file->pack;
    uint32_t b = 0, read_to = 0; /* read_to: the first block that is not in the scratch */
    uint64_t read_at = 0;
    size_t first = 0; /* the first piece that is not whole yet */
    while (first < count) {
        uint32_t begins = pack_block_at(pack, pieces[first].at);
        b = begins > b ? begins : b;
        const struct pack_block *block = &pack->blocks[b];
        if (b >= read_to) {
            uint32_t last = stretch(pack, b, pieces + first, count - first);
            size_t size = (size_t)(pack->blocks[last].at + pack->blocks[last].stored - block->at);
            read_at = block->at;
            read_to = last + 1;
            int r = read_all(file->disk, file->fd, scratch->stored, size, read_at, err);
            if (r)
                return r;
            metric_add(METRIC_STORE_READ_BYTES, (int64_t)size);
        }
        struct str stored = {scratch->stored + (block->at - read_at), block->stored};
        int r = take_block(pack, b, stored, scratch, pieces + first, count - first, err);
        if (r)
            return r;
        while (first < count && pieces[first].at + pieces[first].size <= end_of(block))
            first++;
        b++;
    }
    return 0;
}

int pack_file_part(const struct pack_file *file, struct pack_scratch *scratch, uint64_t at,
                   size_t size, char *room, struct err *err)
{
    const struct pack_summary *sum = &file->pack->summary;
    assert(at <= sum->stream_size && size <= sum->stream_size - at);
    struct piece piece = {at, size, room};
    int r = size > 0 ? read_pieces(file, scratch, &piece, 1, err) : 0;
    if (r)
        err_wrap(err, "pack %016" PRIx64 ".pack", file->number);
    return r;
}

static int no_run(const struct pack_file *file, uint32_t ordinal, struct err *err)
{
    bool lost = file->pack->rebuilt[0] != '\0';
    return err_set(err, lost ? ERR_CORRUPT : ERR_NOT_FOUND, "no run %" PRIu32 "%s", ordinal,
                   lost ? " in the blocks of a damaged pack that can be read" : "");
}

static int by_ordinal(const void *a, const void *b)
{
    const struct pack_wanted *x = a, *y = b;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* A run of the stream, and where its bytes go. */
struct found {
    struct piece piece;
    const struct pack_wanted *wanted;
};

static int by_at(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return (x->piece.at > y->piece.at) - (x->piece.at < y->piece.at);
}

static int decode(const struct found *found, struct run *result, struct err *err)
{
    struct pack_item item;
    int r = pack_read_item((struct str){found->piece.to, found->piece.size}, &item, err);
    if (!r && (item.size != found->piece.size || item.ordinal != found->wanted->ordinal))
        r = err_set(err, ERR_CORRUPT, "another item");
    if (!r)
        r = record_decode(item.entry, item.spans, item.raw, result, err);
    if (r)
        err_wrap(err, "run %" PRIu32, found->wanted->ordinal);
    return r;
}

static int read_runs(const struct pack_file *file, struct pack_scratch *scratch,
                     struct pack_wanted *wanted, size_t count, struct arena *arena,
                     struct run *runs, struct err *err)
{
    qsort(wanted, count, sizeof *wanted, by_ordinal);
    struct found *found = arena_make(arena, struct found, count);
    struct piece *pieces = arena_make(arena, struct piece, count);
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t row;
        if (!pack_find(file->pack, wanted[i].ordinal, &row))
            return no_run(file, wanted[i].ordinal, err);
        struct pack_run run = pack_run(file->pack, row);
        found[i] = (struct found){{run.at, run.size, NULL}, &wanted[i]};
        total += run.size;
    }
    struct buf *buf = buf_new(total);
    if (!buf)
        return err_set(err, ERR_BUSY, "no memory to read %" PRIu64 " bytes", total);
    arena_keep(arena, buf);
    qsort(found, count, sizeof *found, by_at);
    for (size_t i = 0; i < count; i++) {
        found[i].piece.to = buf->at + buf->len;
        buf->len += found[i].piece.size;
        pieces[i] = found[i].piece;
    }
    int r = read_pieces(file, scratch, pieces, count, err);
    for (size_t i = 0; i < count && !r; i++)
        r = decode(&found[i], &runs[found[i].wanted->index], err);
    return r;
}

int pack_file_read(const struct pack_file *file, struct pack_scratch *scratch,
                   struct pack_wanted *wanted, size_t count, struct arena *arena, struct run *runs,
                   struct err *err)
{
    int r = read_runs(file, scratch, wanted, count, arena, runs, err);
    if (r)
        err_wrap(err, "pack %016" PRIx64 ".pack", file->number);
    return r;
}
