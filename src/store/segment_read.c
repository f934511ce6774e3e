/* segment_read.c - see segment_read.h.
 *
 * Runs are read in at most four rounds, each of as few calls as joining
 * neighbours allows: the front of every record (which for a small record is
 * all of it), then what lies outside of that: entries, spans, bodies.
 */
#include "store/segment_read.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/metric.h"
#include "run/record.h"
#include "run/run.h"
#include "store/store.h"

enum {
    FRONT = STORE_READ_COST / 2, /* read of a record before we know what is in it */
    GAP = STORE_READ_COST /
          2, /* unwanted bytes between two pieces that are cheaper read than skipped */
    JOINED_FRONTS = 4 << 20, /* most bytes of one call, unless one piece is larger */
    JOINED_BODIES = 16 << 20 /* likewise */
};

/* Bytes of the file that are wanted in memory, and who wants to know where. */
struct piece {
    uint64_t at;
    size_t size;
    const char **to;
};

static int by_at(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Read all pieces, neighbours together. */
static int read_pieces(const struct segment_file *file, struct piece *pieces, size_t count,
                       uint64_t most, struct arena *arena, struct err *err)
{
    qsort(pieces, count, sizeof *pieces, by_at);
    for (size_t i = 0, next; i < count; i = next) {
        uint64_t from = pieces[i].at, to = from + pieces[i].size;
        for (next = i + 1; next < count; next++) {
            uint64_t end = pieces[next].at + pieces[next].size;
            if (pieces[next].at > to + GAP || (end > to && end - from > most))
                break;
            if (end > to)
                to = end;
        }
        struct buf *buf = buf_new(to - from);
        if (!buf)
            return err_set(err, ERR_BUSY, "no memory to read %" PRIu64 " bytes", to - from);
        arena_keep(arena, buf);
        int r = disk_read(file->disk, file->fd, buf->at, to - from, from, &buf->len, err);
        if (r)
            return r;
        metric_add(METRIC_STORE_READ_BYTES, (int64_t)buf->len);
        if (buf->len < to - from)
            return err_set(err, ERR_CORRUPT, "the file ends at %" PRIu64, from + buf->len);
        for (size_t k = i; k < next; k++)
            *pieces[k].to = buf->at + (pieces[k].at - from);
    }
    return 0;
}

/* A part of the record: from its front, or to be read. */
static void want(const struct segment_wanted *w, uint64_t offset, size_t size, const char **to,
                 struct piece *pieces, size_t *count)
{
    if (offset <= w->front_len && size <= w->front_len - offset)
        *to = w->front + offset;
    else
        pieces[(*count)++] = (struct piece){w->at + offset, size, to};
}

/* Where a record is damaged, nobody can tell what is missing. */
int segment_no_run(uint32_t ordinal, bool damaged, struct err *err)
{
    return err_set(err, damaged ? ERR_CORRUPT : ERR_NOT_FOUND, "no run %" PRIu32 "%s", ordinal,
                   damaged ? " among damaged records" : "");
}

/* Read the front of each record once. */
static int read_fronts(const struct segment_file *file, struct segment_wanted *wanted, size_t count,
                       struct piece *pieces, struct arena *arena, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        wanted[i].front_len = wanted[i].extent < FRONT ? (size_t)wanted[i].extent : FRONT;
        if (i == 0 || wanted[i].at != wanted[i - 1].at)
            pieces[n++] = (struct piece){wanted[i].at, wanted[i].front_len, &wanted[i].front};
    }
    int r = read_pieces(file, pieces, n, JOINED_FRONTS, arena, err);
    if (r)
        return r;
    for (size_t i = 1; i < count; i++)
        if (wanted[i].at == wanted[i - 1].at)
            wanted[i].front = wanted[i - 1].front;
    return 0;
}

static int open_record(const struct segment_file *file, struct segment_wanted *w,
                       struct segment_record *record, bool damaged, struct err *err)
{
    bool newer;
    const char *why = w->front_len < SEGMENT_RECORD
                          ? "no record"
                          : segment_parse(w->front, file->id, record, &newer);
    if (why)
        return err_set(err, ERR_CORRUPT, "at %" PRIu64 ": %s", w->at, why);
    if (record->size > w->extent || record->first_ordinal != w->first)
        return err_set(err, ERR_CORRUPT, "at %" PRIu64 ": another record", w->at);
    if (w->ordinal - w->first >= record->count)
        return segment_no_run(w->ordinal, damaged, err);
    w->table_at = SEGMENT_RECORD;
    w->body_at = SEGMENT_RECORD + (uint64_t)record->table_len;
    return 0;
}

int segment_read(const struct segment_file *file, struct segment_wanted *wanted, size_t count,
                 bool damaged, struct arena *arena, struct run *runs, struct err *err)
{
    struct piece *pieces = arena_make(arena, struct piece, count);
    struct segment_record *records = arena_make(arena, struct segment_record, count);
    int r = read_fronts(file, wanted, count, pieces, arena, err);
    if (r)
        return r;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct segment_wanted *w = &wanted[i];
        r = open_record(file, w, &records[i], damaged, err);
        if (r)
            return r;
        uint64_t entry = (uint64_t)(w->ordinal - w->first) * RECORD_ENTRY;
        want(w, w->table_at + entry, RECORD_ENTRY, &w->entry, pieces, &n);
    }
    r = read_pieces(file, pieces, n, JOINED_FRONTS, arena, err);
    if (r)
        return r;

    n = 0;
    for (size_t i = 0; i < count; i++) {
        struct segment_wanted *w = &wanted[i];
        r = record_locate(w->entry, records[i].table_len, records[i].body_len, &w->where, err);
        if (r)
            return err_wrap(err, "at %" PRIu64, w->at);
        want(w, w->table_at + w->where.spans_at, w->where.spans_len, &w->spans, pieces, &n);
    }
    r = read_pieces(file, pieces, n, JOINED_FRONTS, arena, err);
    if (r)
        return r;

    n = 0;
    for (size_t i = 0; i < count; i++) {
        struct segment_wanted *w = &wanted[i];
        want(w, w->body_at + w->where.body_at, w->where.body_len, &w->raw, pieces, &n);
    }
    r = read_pieces(file, pieces, n, JOINED_BODIES, arena, err);
    if (r)
        return r;

    for (size_t i = 0; i < count; i++) {
        const struct segment_wanted *w = &wanted[i];
        r = record_decode(w->entry, (struct str){w->spans, w->where.spans_len},
                          (struct str){w->raw, w->where.body_len}, &runs[w->index], err);
        if (r)
            return err_wrap(err, "at %" PRIu64, w->at);
    }
    return 0;
}
