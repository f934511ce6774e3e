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
#include "base/text.h"
#include "store/pack_layout.h"

enum {
    GAP = 64 << 10,    /* unwanted bytes between blocks that are cheaper read than skipped */
    STRETCH = 4 << 20, /* most bytes of one call */
    PIECE = 4 << 10,   /* of a file that may be readable only in parts */
};

struct pack_scratch {
    struct frame_opener *opener;
    struct text block;  /* room for one, unpacked */
    struct text stored; /* for what was read of the file */
    char page[PACK_PAGE];

    /* What is in `block`: who reads a trace step by step finds it again. */
    uint64_t pack, at; /* id of the pack, and where in it the block begins */
    size_t unpacked;   /* bytes from its beginning on; 0: nothing */
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
    return numbered_path(dir, number, ".pack", path, err);
}

bool pack_named(const char *name, uint64_t *number)
{
    return numbered_name(name, ".pack", number);
}

/* Say which pack it was; the code is kept also where nobody wants the text. */
static int about(int r, uint64_t number, struct err *err)
{
    if (r)
        (void)err_wrap(err, "pack %016" PRIx64 ".pack", number);
    return r;
}

/* ---- opening ---- */

/* A read that goes over what is held finds nothing: then its caller reads less. */
static int read_held(const struct pack_file *file, char *bytes, size_t size, uint64_t at,
                     struct err *err)
{
    for (size_t i = 0; i < file->held_count; i++) {
        const struct pack_held *held = &file->held[i];
        if (at >= held->at && at - held->at <= held->bytes.len &&
            size <= held->bytes.len - (at - held->at)) {
            if (size > 0)
                memcpy(bytes, held->bytes.at + (at - held->at), size);
            return 0;
        }
    }
    return err_set(err, ERR_CORRUPT, "the bytes at %" PRIu64 " are not there", at);
}

/* What cannot be read of the medium is damaged, like what reads wrong. */
static int read_all(const struct pack_file *file, char *bytes, size_t size, uint64_t at,
                    struct err *err)
{
    if (file->held)
        return read_held(file, bytes, size, at, err);
    size_t got = 0;
    struct err bad = {0};
    int r = disk_read(file->disk, file->fd, bytes, size, at, &got, &bad);
    if (!r && got < size)
        r = err_set(&bad, ERR_CORRUPT, "the file ends at %" PRIu64, at + got);
    if (r == ERR_IO && bad.sys == EIO)
        r = bad.code = ERR_CORRUPT;
    if (r && err)
        *err = bad;
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
        r = read_all(file, tail, length, size - length, err);
        if (!r)
            r = pack_open((struct str){tail, length}, size, &file->pack, &need, err);
        free(tail);
        assert(need == 0 || need > length);
        length = need;
    } while (!r && need > 0);
    return r;
}

/* All of it; zeros where it cannot be read. */
static int read_pieces_of(const struct pack_file *file, char *bytes, size_t size, struct err *err)
{
    int r = 0;
    for (size_t at = 0; at < size && !r; at += PIECE) {
        size_t n = size - at < PIECE ? size - at : PIECE;
        r = read_all(file, bytes + at, n, at, err);
        if (r == ERR_CORRUPT) {
            memset(bytes + at, 0, n);
            r = 0;
        }
    }
    return r;
}

static int rebuild_file(const struct pack_file *file, const char *why, struct pack **result,
                        struct err *err)
{
    struct stat st;
    if (file->disk->fstat(file->fd, &st) < 0)
        return err_sys(err, errno, "stat");
    size_t size = (size_t)st.st_size;
    char *bytes = malloc(size + 1);
    if (!bytes)
        return err_set(err, ERR_BUSY, "no memory for a pack of %zu bytes", size);
    int r = read_pieces_of(file, bytes, size, err);
    if (!r)
        r = pack_rebuild((struct str){bytes, size}, why, result, err);
    free(bytes);
    return r;
}

static int rebuild_held(const struct pack_file *file, const char *why, struct pack **result,
                        struct err *err)
{
    if (file->held_count != 1 || file->held->at != 0)
        return err_set(err, ERR_CORRUPT, "%.120s; and not all of it is here", why);
    return pack_rebuild(file->held->bytes, why, result, err);
}

static int rebuild(struct pack_file *file, const char *why, struct err *err)
{
    struct pack *pack = NULL;
    int r = file->held ? rebuild_held(file, why, &pack, err) : rebuild_file(file, why, &pack, err);
    if (r)
        return r;
    pack_free(file->pack);
    file->pack = pack;
    return 0;
}

static int open_pack(struct pack_file *file, uint64_t size, enum pack_open how, struct err *err)
{
    struct err bad = {0};
    err_set(&bad, ERR_CORRUPT, "a page of the runs is damaged");
    int r = how == PACK_REBUILD ? ERR_CORRUPT : pack_file_take(file, size, &bad);
    if (r == ERR_CORRUPT && how != PACK_STRICT)
        r = rebuild(file, bad.text, err);
    else if (r && err)
        *err = bad;
    if (r)
        return r;
    uint64_t number = file->pack->summary.number; /* 0: a pack that was rebuilt does not know */
    return number == file->number || (number == 0 && file->pack->rebuilt[0])
               ? 0
               : err_set(err, ERR_CORRUPT, "it is number %016" PRIx64 " under another name",
                         number);
}

int pack_file_open(const struct disk *disk, struct str dir, uint64_t number, enum pack_open how,
                   struct pack_file *result, struct err *err)
{
    struct pack_file file = {.disk = disk, .number = number};
    uint64_t size;
    int r = open_file(disk, dir, number, &file.fd, &size, err);
    if (!r) {
        r = open_pack(&file, size, how, err);
        if (r)
            pack_file_close(&file);
    }
    if (!r)
        *result = file;
    return about(r, number, err);
}

int pack_file_hold(uint64_t number, const struct pack_held *held, size_t count, uint64_t size,
                   enum pack_open how, struct pack_file *result, struct err *err)
{
    struct pack_file file = {.number = number, .fd = -1, .held = held, .held_count = count};
    int r = open_pack(&file, size, how, err);
    if (r)
        pack_file_close(&file);
    else
        *result = file;
    return about(r, number, err);
}

void pack_file_close(struct pack_file *file)
{
    if (!file->held)
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
    if (r)
        return about(r, number, err);
    const struct pack_file file = {.disk = disk, .fd = fd};
    r = read_all(&file, bytes, sizeof bytes, 0, err);
    if (!r)
        r = pack_read_summary(bytes, false, result, err);
    if (r == ERR_CORRUPT && size >= PACK_HEAD + PACK_FOOT) {
        r = read_all(&file, bytes, sizeof bytes, size - PACK_FOOT, err);
        if (!r)
            r = pack_read_summary(bytes, true, result, err);
    }
    disk->close(fd);
    if (!r && result->number != number)
        r = err_set(err, ERR_CORRUPT, "it is number %016" PRIx64 " under another name",
                    result->number);
    return about(r, number, err);
}

static int load_section(struct pack_file *file, enum pack_section_type type, struct err *err)
{
    const struct pack_section *section = &file->pack->sections[type];
    char *stored = malloc(section->stored + 1);
    if (!stored)
        return err_set(err, ERR_BUSY, "no memory for a section");
    int r = read_all(file, stored, section->stored, section->at, err);
    if (!r)
        r = pack_load(file->pack, type, (struct str){stored, section->stored}, err);
    free(stored);
    return r;
}

static bool same_summary(const struct pack_summary *a, const struct pack_summary *b)
{
    return a->number == b->number && a->id == b->id &&
           a->previous_sequence == b->previous_sequence && a->last_sequence == b->last_sequence &&
           a->stream_size == b->stream_size && a->raw_size == b->raw_size &&
           a->first_start_us == b->first_start_us && a->last_start_us == b->last_start_us &&
           a->created_us == b->created_us && a->runs == b->runs && a->records == b->records;
}

int pack_file_head(const struct pack_file *file, struct err *err)
{
    char bytes[PACK_HEAD];
    struct pack_summary head;
    int r = read_all(file, bytes, sizeof bytes, 0, err);
    if (!r)
        r = pack_read_summary(bytes, false, &head, err);
    if (!r && !file->pack->rebuilt[0] && !same_summary(&head, &file->pack->summary))
        r = err_set(err, ERR_CORRUPT, "the head is not of this pack");
    return about(r, file->number, err);
}

int pack_file_load(struct pack_file *file, enum pack_section_type type, struct err *err)
{
    if (pack_loaded(file->pack, type))
        return 0;
    struct err bad = {0};
    int r = load_section(file, type, &bad);
    if (r == ERR_CORRUPT)
        r = rebuild(file, bad.text, err);
    else if (r && err)
        *err = bad;
    return about(r, file->number, err);
}

/* ---- reading ---- */

struct pack_scratch *pack_scratch_new(void)
{
    struct pack_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        abort();
    scratch->opener = frame_opener_new();
    return scratch;
}

void pack_scratch_free(struct pack_scratch *scratch)
{
    if (!scratch)
        return;
    frame_opener_free(scratch->opener);
    text_free(&scratch->block);
    text_free(&scratch->stored);
    free(scratch);
}

static uint64_t end_of(const struct pack_block *block)
{
    return block->stream_at + block->size;
}

/* How much of a block, from its beginning on, do the pieces want? */
static size_t wanted_of(const struct pack_block *block, const struct piece *pieces, size_t count)
{
    uint64_t last = block->stream_at;
    for (size_t i = 0; i < count && pieces[i].at < end_of(block); i++) {
        uint64_t end = pieces[i].at + pieces[i].size;
        last = end > last ? end : last;
    }
    last = last < end_of(block) ? last : end_of(block);
    return (size_t)(last - block->stream_at);
}

/* Give every piece what it wants of a block, of which `size` bytes are at `bytes`. */
static void copy_out(const struct pack_block *block, const char *bytes, size_t size,
                     const struct piece *pieces, size_t count)
{
    uint64_t last = block->stream_at + size;
    for (size_t i = 0; i < count && pieces[i].at < last; i++) {
        const struct piece *p = &pieces[i];
        uint64_t from = p->at > block->stream_at ? p->at : block->stream_at;
        uint64_t to = p->at + p->size < last ? p->at + p->size : last;
        if (from < to)
            memcpy(p->to + (from - p->at), bytes + (from - block->stream_at), to - from);
    }
}

/* Is all of the block wanted, and by one piece only? */
static bool is_whole(const struct pack_block *block, const struct piece *pieces, size_t count)
{
    return pieces[0].at <= block->stream_at && pieces[0].at + pieces[0].size >= end_of(block) &&
           (count == 1 || pieces[1].at >= end_of(block));
}

/* What the pieces want of a block, given its stored bytes. */
static int take_block(const struct pack *pack, uint32_t number, struct str stored,
                      struct pack_scratch *scratch, const struct piece *pieces, size_t count,
                      struct err *err)
{
    const struct pack_block *block = &pack->blocks[number];
    if (is_whole(block, pieces, count))
        return pack_unpack(pack, number, stored, scratch->opener,
                           pieces[0].to + (block->stream_at - pieces[0].at), block->size, err);
    size_t size = wanted_of(block, pieces, count);
    char *room = text_room(&scratch->block, block->size);
    scratch->unpacked = 0;
    int r = pack_unpack(pack, number, stored, scratch->opener, room, size, err);
    if (r)
        return r;
    scratch->pack = pack->summary.id;
    scratch->at = block->at;
    scratch->unpacked = size;
    copy_out(block, room, size, pieces, count);
    return 0;
}

/* The same out of the scratch, when it is there. */
static bool find_block(const struct pack *pack, uint32_t number, const struct pack_scratch *scratch,
                       const struct piece *pieces, size_t count)
{
    const struct pack_block *block = &pack->blocks[number];
    size_t size = wanted_of(block, pieces, count);
    if (scratch->pack != pack->summary.id || scratch->at != block->at || scratch->unpacked < size)
        return false;
    copy_out(block, scratch->block.at, size, pieces, count);
    return true;
}

/* Of the blocks behind `b` that are wanted, how far is one call to read? */
static uint32_t end_of_stretch(const struct pack *pack, uint32_t b, const struct piece *pieces,
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

static int read_blocks(const struct pack_file *file, struct pack_scratch *scratch, uint32_t first,
                       uint32_t last, struct err *err)
{
    const struct pack_block *begin = &file->pack->blocks[first], *end = &file->pack->blocks[last];
    size_t size = (size_t)(end->at + end->stored - begin->at);
    char *room = text_room(&scratch->stored, size);
    int r = read_all(file, room, size, begin->at, err);
    if (!r)
        metric_add(METRIC_STORE_READ_BYTES, (int64_t)size);
    return r;
}

/* Stored bytes of blocks that were read together. */
struct stretch {
    uint32_t end; /* the first block that is not in it; 0: nothing is */
    uint64_t at;  /* in the file */
};

/* Have block `b` in the scratch, with those behind it that are wanted too. */
static int read_stretch(const struct pack_file *file, struct pack_scratch *scratch, uint32_t b,
                        const struct piece *pieces, size_t count, struct stretch *stretch,
                        struct err *err)
{
    if (b < stretch->end)
        return 0;
    uint32_t last = end_of_stretch(file->pack, b, pieces, count);
    int r = read_blocks(file, scratch, b, last, err);
    if (r && last > b) { /* what cannot be read is perhaps not wanted */
        last = b;
        r = read_blocks(file, scratch, b, last, err);
    }
    *stretch = (struct stretch){r ? 0 : last + 1, file->pack->blocks[b].at};
    return r;
}

/* `pieces` ascend by where they begin, none is empty, all are inside the stream. */
static int read_pieces(const struct pack_file *file, struct pack_scratch *scratch,
                       const struct piece *pieces, size_t count, struct err *err)
{
    const struct pack *pack = file->pack;
    struct stretch stretch = {0};
    uint32_t b = 0;
    while (count > 0) {
        uint32_t begins = pack_block_at(pack, pieces[0].at);
        b = begins > b ? begins : b;
        const struct pack_block *block = &pack->blocks[b];
        if (!find_block(pack, b, scratch, pieces, count)) {
            int r = read_stretch(file, scratch, b, pieces, count, &stretch, err);
            if (r)
                return r;
            struct str stored = {scratch->stored.at + (block->at - stretch.at), block->stored};
            r = take_block(pack, b, stored, scratch, pieces, count, err);
            if (r)
                return r;
        }
        while (count > 0 && pieces[0].at + pieces[0].size <= end_of(block)) {
            pieces++; /* it is whole */
            count--;
        }
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
    return about(r, file->number, err);
}

static int no_run(const struct pack_file *file, uint32_t ordinal, struct err *err)
{
    bool lost = file->pack->incomplete;
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

static int decode(const struct pack *pack, const struct found *found, struct run *result,
                  struct err *err)
{
    struct pack_item item;
    int r = pack_read_item((struct str){found->piece.to, found->piece.size}, &item, err);
    if (!r && (item.size != found->piece.size || item.ordinal != found->wanted->ordinal ||
               item.pack != (uint32_t)pack->summary.id))
        r = err_set(err, ERR_CORRUPT, "another item");
    if (!r)
        r = record_decode(item.entry, item.spans, item.raw, result, err);
    if (r)
        (void)err_wrap(err, "run %" PRIu32, found->wanted->ordinal);
    return r;
}

/* Where in the stream is the run of this ordinal?  Pages are read as they are
 * needed: `*page_at` is the one in the scratch. */
static int find_run(const struct pack_file *file, struct pack_scratch *scratch, uint32_t ordinal,
                    uint64_t *page_at, struct pack_run *result, bool *mend, struct err *err)
{
    const struct pack *pack = file->pack;
    uint32_t row;
    uint64_t at;
    bool found = false;
    int r = 0;
    if (pack_loaded(pack, PACK_RUNS)) {
        found = pack_find(pack, ordinal, &row);
        if (found)
            *result = pack_run(pack, row);
    } else if (pack_page_at(pack, ordinal, &at)) {
        if (at != *page_at)
            r = read_all(file, scratch->page, PACK_PAGE, at, err);
        *page_at = at;
        if (!r)
            r = pack_find_in_page(pack, scratch->page, ordinal, &found, result, err);
        *mend = r == ERR_CORRUPT;
    }
    return r || found ? r : no_run(file, ordinal, err);
}

static int read_runs(const struct pack_file *file, struct pack_scratch *scratch,
                     struct pack_wanted *wanted, size_t count, struct arena *arena,
                     struct run *runs, bool *mend, struct err *err)
{
    qsort(wanted, count, sizeof *wanted, by_ordinal);
    struct found *found = arena_make(arena, struct found, count);
    struct piece *pieces = arena_make(arena, struct piece, count);
    uint64_t total = 0, page_at = 0;
    for (size_t i = 0; i < count; i++) {
        struct pack_run run = {0};
        int r = find_run(file, scratch, wanted[i].ordinal, &page_at, &run, mend, err);
        if (r)
            return r;
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
        r = decode(file->pack, &found[i], &runs[found[i].wanted->index], err);
    return r;
}

static int by_range(const void *a, const void *b)
{
    const struct pack_range *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* The stored bytes of the blocks that a run lies in. */
static struct pack_range range_of(const struct pack *pack, const struct pack_run *run)
{
    const struct pack_block *first = &pack->blocks[pack_block_at(pack, run->at)];
    const struct pack_block *last = &pack->blocks[pack_block_at(pack, run->at + run->size - 1)];
    return (struct pack_range){first->at, (size_t)(last->at + last->stored - first->at)};
}

int pack_file_plan(const struct pack_file *file, struct pack_wanted *wanted, size_t count,
                   size_t gap, size_t most, struct arena *arena, struct pack_range **ranges,
                   size_t *range_count, struct err *err)
{
    struct pack_range *list = arena_make(arena, struct pack_range, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t row;
        if (!pack_find(file->pack, wanted[i].ordinal, &row))
            return about(no_run(file, wanted[i].ordinal, err), file->number, err);
        struct pack_run run = pack_run(file->pack, row);
        list[i] = range_of(file->pack, &run);
    }
    qsort(list, count, sizeof *list, by_range);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct pack_range *last = n > 0 ? &list[n - 1] : NULL;
        uint64_t end = list[i].at + list[i].size, last_end = last ? last->at + last->size : 0;
        if (last && end <= last_end)
            continue;
        bool overlaps = last && list[i].at < last_end;
        bool near = last && (overlaps || list[i].at - last_end <= gap);
        if (overlaps || (near && end - last->at <= most))
            last->size = (size_t)(end - last->at);
        else
            list[n++] = list[i];
    }
    *ranges = list;
    *range_count = n;
    return 0;
}

int pack_file_read(const struct pack_file *file, struct pack_scratch *scratch,
                   struct pack_wanted *wanted, size_t count, struct arena *arena, struct run *runs,
                   bool *mend, struct err *err)
{
    *mend = false;
    return about(read_runs(file, scratch, wanted, count, arena, runs, mend, err), file->number,
                 err);
}

/* ---- checking ---- */

struct check {
    const struct pack_file *file;
    pack_each_fn *each;
    void *context;
    struct text origins; /* structs, of all items so far */
};

/* Every item of one stretch of the stream, which ends with an item. */
static int check_items(struct check *check, struct str items, uint64_t at, struct err *err)
{
    const struct pack *pack = check->file->pack;
    int r = 0;
    for (size_t used = 0; used < items.len && !r;) {
        struct pack_item item;
        struct run run;
        r = pack_read_item((struct str){items.at + used, items.len - used}, &item, err);
        if (!r && (item.size > items.len - used || item.pack != (uint32_t)pack->summary.id))
            r = err_set(err, ERR_CORRUPT, "another item");
        if (!r)
            r = record_decode(item.entry, item.spans, item.raw, &run, err);
        if (!r && check->each)
            r = check->each(check->context, &item, err);
        if (r)
            break;
        struct pack_origin origin = pack_origin(&item, at + used);
        text_add(&check->origins, (struct str){(const char *)&origin, sizeof origin});
        used += item.size;
    }
    return r;
}

/* The sections must be what the items make them. */
static int check_sections(struct pack_file *file, const struct text *origins, struct err *err)
{
    struct text rows[PACK_SECTIONS] = {{0}};
    const struct pack *pack = file->pack;
    size_t count = origins->len / sizeof(struct pack_origin);
    int r = count == pack->summary.runs
                ? 0
                : err_set(err, ERR_CORRUPT, "%zu runs of %" PRIu32, count, pack->summary.runs);
    if (!r)
        pack_derive((const struct pack_origin *)(const void *)origins->at, (uint32_t)count, rows);
    for (int type = PACK_RUNS; type < PACK_SECTIONS && !r; type++) {
        const struct pack_section *section = &pack->sections[type];
        if (!pack_loaded(pack, (enum pack_section_type)type))
            r = load_section(file, (enum pack_section_type)type, err);
        if (!r && !str_eq((struct str){section->rows, section->size}, text_str(&rows[type])))
            r = err_set(err, ERR_CORRUPT, "a section is not what the runs make it");
    }
    for (int type = 0; type < PACK_SECTIONS; type++)
        text_free(&rows[type]);
    return r;
}

/* An item that is larger than its block goes on in the next ones. */
static int check_stream(struct check *check, struct err *err)
{
    const struct pack_file *file = check->file;
    const struct pack *pack = file->pack;
    struct pack_scratch *scratch = pack_scratch_new();
    struct text items = {0};
    uint64_t at = 0;
    int r = 0;
    while (at < pack->summary.stream_size && !r) {
        const struct pack_block *block = &pack->blocks[pack_block_at(pack, at)];
        struct pack_item first;
        uint64_t size = end_of(block) - at;
        items.len = 0;
        r = pack_file_part(file, scratch, at, (size_t)size, text_room(&items, size), err);
        items.len = size;
        if (!r)
            r = pack_read_item(text_str(&items), &first, err);
        if (!r && first.size > size) {
            if (first.size > pack->summary.stream_size - at)
                r = err_set(err, ERR_CORRUPT, "an item goes on behind the end");
            else
                r = pack_file_part(file, scratch, at + size, (size_t)(first.size - size),
                                   text_room(&items, first.size - size), err);
            items.len = size = first.size;
        }
        if (!r)
            r = check_items(check, text_str(&items), at, err);
        at += size;
    }
    text_free(&items);
    pack_scratch_free(scratch);
    return r;
}

int pack_file_check(struct pack_file *file, pack_each_fn *each, void *context, struct err *err)
{
    struct check check = {.file = file, .each = each, .context = context};
    int r = check_stream(&check, err);
    if (!r)
        r = check_sections(file, &check.origins, err);
    text_free(&check.origins);
    return about(r, file->number, err);
}
