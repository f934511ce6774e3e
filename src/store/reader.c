/* reader.c - see reader.h.
 *
 * One lock covers the list of files and the marks; it is never held over a
 * read.  A file is pinned while it is read, so that its descriptor is not
 * closed and used again for another.  Files and marks that were not asked for
 * lately are let go; the last file's never, as the writer publishes into them.
 *
 * Runs of one file are read in at most four rounds, each of as few calls as
 * joining neighbours allows: the front of every record (which for a small
 * record is all of it), then what lies outside of that: entries, spans, bodies.
 */
#include "store/reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/metric.h"
#include "run/record.h"
#include "run/run.h"
#include "store/store.h"

enum {
    FILES_OPEN = 64,             /* kept open */
    MARKS_KEPT = 64 << 20,       /* bytes of marks kept */
    FRONT = STORE_READ_COST / 2, /* read of a record before we know what is in it */
    GAP = STORE_READ_COST /
          2, /* unwanted bytes between two pieces that are cheaper read than skipped */
    JOINED_FRONTS = 4 << 20,  /* most bytes of one call, unless one piece is larger */
    JOINED_BODIES = 16 << 20, /* likewise */
    ALIGN = 8
};

/* A file we know of. */
struct known {
    uint64_t number;
    struct segment_file file; /* file.fd < 0: not open */
    unsigned pins;            /* readers at work, and 1 for being the last */
    uint64_t used;            /* when it was last asked for, in pins */
    uint64_t end;             /* valid when scanned */
    struct segment_marks marks;
    bool scanned;
};

struct reader {
    const struct disk *disk;
    bool live;
    pthread_mutex_t lock; /* over all that follows */
    struct known **known; /* ascending by number */
    size_t count, cap;
    size_t open, marks; /* files, bytes */
    uint64_t now;       /* pins so far */
    struct str dir;
    char dir_text[];
};

struct reader *reader_new(const struct disk *disk, struct str dir, bool live)
{
    struct reader *reader = calloc(1, sizeof *reader + dir.len + 1);
    if (!reader)
        abort();
    reader->disk = disk;
    reader->live = live;
    memcpy(reader->dir_text, dir.at, dir.len);
    reader->dir = (struct str){reader->dir_text, dir.len};
    pthread_mutex_init(&reader->lock, NULL);
    return reader;
}

static void close_file(struct reader *reader, struct known *known)
{
    if (known->file.fd < 0)
        return;
    reader->disk->close(known->file.fd);
    known->file.fd = -1;
    reader->open--;
}

static void forget_marks(struct reader *reader, struct known *known)
{
    reader->marks -= known->marks.cap * sizeof *known->marks.mark;
    free(known->marks.mark);
    known->marks = (struct segment_marks){0};
    known->scanned = false;
}

void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < reader->count; i++) {
        close_file(reader, reader->known[i]);
        forget_marks(reader, reader->known[i]);
        free(reader->known[i]);
    }
    free(reader->known);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

int reader_add(struct reader *reader, uint64_t number, const struct segment_file *open,
               struct segment_marks *marks, uint64_t end, struct err *err)
{
    struct known *known = calloc(1, sizeof *known);
    if (!known)
        return err_set(err, ERR_BUSY, "no memory for a segment");
    known->number = number;
    known->file.fd = -1;
    known->pins = 1;

    int r = 0;
    pthread_mutex_lock(&reader->lock);
    assert(reader->count == 0 || reader->known[reader->count - 1]->number < number);
    if (reader->count == reader->cap) {
        size_t cap = reader->cap ? 2 * reader->cap : 64;
        struct known **more = realloc(reader->known, cap * sizeof(struct known *));
        if (!more) {
            r = err_set(err, ERR_BUSY, "no memory for %zu segments", cap);
            goto out;
        }
        reader->known = more;
        reader->cap = cap;
    }
    if (reader->count > 0)
        reader->known[reader->count - 1]->pins--;
    if (open) {
        known->file = *open;
        known->marks = *marks;
        *marks = (struct segment_marks){0};
        known->scanned = true;
        known->end = end;
        reader->open++;
        reader->marks += known->marks.cap * sizeof *known->marks.mark;
    }
    reader->known[reader->count++] = known;
    known = NULL;

out:
    pthread_mutex_unlock(&reader->lock);
    free(known);
    return r;
}

int reader_expect(struct reader *reader, size_t count, struct err *err)
{
    int r = 0;
    pthread_mutex_lock(&reader->lock);
    struct segment_marks *marks = &reader->known[reader->count - 1]->marks;
    if (marks->cap - marks->count < count) {
        size_t cap = marks->count + count + marks->count / 2;
        struct segment_mark *more = realloc(marks->mark, cap * sizeof *more);
        if (more) {
            reader->marks += (cap - marks->cap) * sizeof *more;
            marks->mark = more;
            marks->cap = cap;
        } else {
            r = err_set(err, ERR_BUSY, "no memory for %zu records", cap);
        }
    }
    pthread_mutex_unlock(&reader->lock);
    return r;
}

void reader_publish(struct reader *reader, const struct segment_mark *marks, size_t count,
                    uint64_t end)
{
    pthread_mutex_lock(&reader->lock);
    struct known *last = reader->known[reader->count - 1];
    assert(last->marks.cap - last->marks.count >= count);
    memcpy(last->marks.mark + last->marks.count, marks, count * sizeof *marks);
    last->marks.count += count;
    last->end = end;
    pthread_mutex_unlock(&reader->lock);
}

/* ---- files ---- */

static struct known *find(const struct reader *reader, uint64_t number)
{
    size_t low = 0, high = reader->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader->known[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < reader->count && reader->known[low]->number == number ? reader->known[low] : NULL;
}

/* Let go of what has not been used for longest, until we are within bounds. */
static void let_go(struct reader *reader)
{
    while (reader->open > FILES_OPEN || reader->marks > MARKS_KEPT) {
        bool files = reader->open > FILES_OPEN;
        struct known *oldest = NULL;
        for (size_t i = 0; i < reader->count; i++) {
            struct known *k = reader->known[i];
            if (k->pins == 0 && (files ? k->file.fd >= 0 : k->scanned) &&
                (!oldest || k->used < oldest->used))
                oldest = k;
        }
        if (!oldest)
            return; /* all at work: one for each reading thread */
        if (files)
            close_file(reader, oldest);
        else
            forget_marks(reader, oldest);
    }
}

static void unpin(struct reader *reader, struct known *known)
{
    pthread_mutex_lock(&reader->lock);
    known->pins--;
    let_go(reader);
    pthread_mutex_unlock(&reader->lock);
}

static int pin(struct reader *reader, uint64_t number, struct known **result,
               struct segment_file *file, struct err *err)
{
    pthread_mutex_lock(&reader->lock);
    struct known *known = find(reader, number);
    if (known) {
        known->pins++;
        known->used = ++reader->now;
        *file = known->file;
    }
    pthread_mutex_unlock(&reader->lock);
    if (!known)
        return err_set(err, ERR_NOT_FOUND, "no segment %016" PRIx64, number);

    if (file->fd < 0) {
        int r = segment_open(reader->disk, reader->dir, number, false, file, NULL, err);
        if (r) {
            unpin(reader, known);
            return r;
        }
        pthread_mutex_lock(&reader->lock);
        if (known->file.fd < 0) {
            known->file = *file;
            reader->open++;
        } else { /* another thread was faster */
            reader->disk->close(file->fd);
            *file = known->file;
        }
        pthread_mutex_unlock(&reader->lock);
    }
    *result = known;
    return 0;
}

static int scan(struct reader *reader, struct known *known, const struct segment_file *file,
                struct err *err)
{
    struct stat st;
    if (reader->disk->fstat(file->fd, &st) < 0)
        return err_sys(err, errno, "segment %016" PRIx64 ".seg: stat", file->number);
    struct segment_marks marks = {0};
    uint64_t end = (uint64_t)st.st_size;
    int r = segment_scan(file, end, &marks, err);

    pthread_mutex_lock(&reader->lock);
    if (!r && !known->scanned) {
        known->marks = marks;
        known->end = end;
        known->scanned = true;
        reader->marks += marks.cap * sizeof *marks.mark;
        marks.mark = NULL;
    }
    pthread_mutex_unlock(&reader->lock);
    free(marks.mark);
    return r;
}

/* ---- runs ---- */

/* One run that is asked for, and what has been found of it so far. */
struct wanted {
    uint64_t number;
    uint32_t ordinal;
    size_t index; /* in the caller's list */

    uint64_t at;     /* of its record */
    uint64_t extent; /* the record is not longer than this */
    uint32_t first;  /* ordinal of the record's first run */

    const char *front; /* the record's first bytes */
    size_t front_len;
    uint64_t table_at, body_at; /* in the record */
    const char *entry, *spans, *raw;
    struct record_entry where;
};

static int by_place(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

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
static void want(const struct wanted *w, uint64_t offset, size_t size, const char **to,
                 struct piece *pieces, size_t *count)
{
    if (offset <= w->front_len && size <= w->front_len - offset)
        *to = w->front + offset;
    else
        pieces[(*count)++] = (struct piece){w->at + offset, size, to};
}

/* Where a record is damaged, nobody can tell what is missing. */
static int no_run(const struct wanted *w, bool damaged, struct err *err)
{
    return err_set(err, damaged ? ERR_CORRUPT : ERR_NOT_FOUND, "no run %" PRIu32 "%s", w->ordinal,
                   damaged ? " among damaged records" : "");
}

/* In which records do they lie?  All of `wanted` are in this file, ascending. */
static int locate(struct reader *reader, struct known *known, const struct segment_file *file,
                  struct wanted *wanted, size_t count, bool *damaged, struct err *err)
{
    pthread_mutex_lock(&reader->lock);
    while (!known->scanned) {
        pthread_mutex_unlock(&reader->lock);
        int r = scan(reader, known, file, err);
        if (r)
            return r;
        pthread_mutex_lock(&reader->lock);
    }

    int r = 0;
    const struct segment_marks *marks = &known->marks;
    *damaged = marks->damaged && !reader->live; /* beside a writer: only unfinished */
    for (size_t i = 0; i < count && !r; i++) {
        struct wanted *w = &wanted[i];
        size_t low = 0, high = marks->count; /* the last mark that is not greater */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (marks->mark[middle].first_ordinal <= w->ordinal)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == 0) {
            r = no_run(w, *damaged, err);
            break;
        }
        uint64_t end = low < marks->count ? (uint64_t)marks->mark[low].at * ALIGN : known->end;
        w->first = marks->mark[low - 1].first_ordinal;
        w->at = (uint64_t)marks->mark[low - 1].at * ALIGN;
        w->extent = end - w->at;
    }
    pthread_mutex_unlock(&reader->lock);
    return r;
}

/* Read the front of each record once. */
static int read_fronts(const struct segment_file *file, struct wanted *wanted, size_t count,
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

static int open_record(const struct segment_file *file, struct wanted *w,
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
        return no_run(w, damaged, err);
    w->table_at = SEGMENT_RECORD;
    w->body_at = SEGMENT_RECORD + (uint64_t)record->table_len;
    return 0;
}

static int read_known(struct reader *reader, struct known *known, const struct segment_file *file,
                      struct wanted *wanted, size_t count, struct arena *arena, struct run *runs,
                      struct err *err)
{
    bool damaged;
    int r = locate(reader, known, file, wanted, count, &damaged, err);
    if (r)
        return r;
    struct piece *pieces = arena_make(arena, struct piece, count);
    struct segment_record *records = arena_make(arena, struct segment_record, count);

    r = read_fronts(file, wanted, count, pieces, arena, err);
    if (r)
        return r;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct wanted *w = &wanted[i];
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
        struct wanted *w = &wanted[i];
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
        struct wanted *w = &wanted[i];
        want(w, w->body_at + w->where.body_at, w->where.body_len, &w->raw, pieces, &n);
    }
    r = read_pieces(file, pieces, n, JOINED_BODIES, arena, err);
    if (r)
        return r;

    for (size_t i = 0; i < count; i++) {
        const struct wanted *w = &wanted[i];
        r = record_decode(w->entry, (struct str){w->spans, w->where.spans_len},
                          (struct str){w->raw, w->where.body_len}, &runs[w->index], err);
        if (r)
            return err_wrap(err, "at %" PRIu64, w->at);
    }
    return 0;
}

/* What is asked for of one file. */
static int read_file(struct reader *reader, struct wanted *wanted, size_t count,
                     struct arena *arena, struct run *runs, struct err *err)
{
    struct known *known = NULL;
    struct segment_file file;
    int r = pin(reader, wanted[0].number, &known, &file, err);
    if (r)
        return r;
    r = read_known(reader, known, &file, wanted, count, arena, runs, err);
    if (r == ERR_NOT_FOUND && reader->live) {
        /* Perhaps it was written since we looked. */
        pthread_mutex_lock(&reader->lock);
        forget_marks(reader, known);
        pthread_mutex_unlock(&reader->lock);
        if (err)
            *err = (struct err){0};
        r = read_known(reader, known, &file, wanted, count, arena, runs, err);
    }
    unpin(reader, known);
    return r ? err_wrap(err, "segment %016" PRIx64 ".seg", file.number) : 0;
}

int reader_read(struct reader *reader, const struct place *places, size_t count,
                struct arena *arena, struct run *runs, struct err *err)
{
    struct wanted *wanted = arena_make(arena, struct wanted, count);
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct wanted){
            .number = places[i].container, .ordinal = places[i].ordinal, .index = i};
    qsort(wanted, count, sizeof *wanted, by_place);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && wanted[next].number == wanted[i].number;)
            next++;
        int r = read_file(reader, wanted + i, next - i, arena, runs, err);
        if (r)
            return r;
    }
    return 0;
}
