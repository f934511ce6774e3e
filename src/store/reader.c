/* reader.c - see reader.h.
 *
 * One lock covers the list of containers and what is kept of each: of a segment
 * its marks, of a pack its sections.  It is never held over a read.  A container
 * is pinned while it is read, so that its descriptor is not closed and used
 * again for another.  What was not asked for lately is let go; the last
 * segment's marks never, as the writer publishes into them.
 *
 * When a segment has become a pack, the pack takes its place in the list; who
 * is reading the segment goes on, and the last of them closes it.
 */
#include "store/reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/metric.h"
#include "run/run.h"
#include "store/pack_file.h"
#include "store/segment_read.h"

enum {
    FILES_OPEN = 256,     /* kept open */
    CLOSE_MAX = 4,        /* closed at once */
    MAPS_KEPT = 64 << 20, /* bytes of marks and sections kept */
    ALIGN = 8
};

/* A container we know of. */
struct known {
    uint64_t number;
    bool sealed;   /* it is a pack */
    bool replaced; /* it is not in the list any more: the last reader frees it */
    bool mended;   /* its sections are damaged, which was told: it is read as its blocks say */
    int64_t seal_from_us; /* of a segment: not to be sealed before */
    unsigned pins;        /* readers at work, and 1 for being the last */
    uint64_t used;        /* when it was last asked for, in pins */

    struct segment_file file; /* of a segment; file.fd < 0: not open */
    uint64_t end;             /* valid when scanned */
    struct segment_marks marks;
    bool scanned;

    struct pack_file pack; /* of a pack; pack.pack == NULL: not open */
};

/* What a thread reads packs with; as many as ever read at once. */
struct spare_scratch {
    struct spare_scratch *next;
    struct pack_scratch *scratch;
};

struct reader {
    const struct disk *disk;
    bool live;
    struct str segments, packs; /* directories */
    pthread_mutex_t lock;       /* over all that follows */
    struct known **known;       /* ascending by number */
    size_t count, cap;
    size_t open, maps;     /* files, bytes */
    uint64_t now;          /* pins so far */
    struct known *written; /* the one that grows, or NULL */
    struct spare_scratch *spare;
    char dirs[];
};

struct reader *reader_new(const struct disk *disk, struct str segments, struct str packs, bool live)
{
    struct reader *reader = calloc(1, sizeof *reader + segments.len + packs.len + 2);
    if (!reader)
        abort();
    reader->disk = disk;
    reader->live = live;
    memcpy(reader->dirs, segments.at, segments.len);
    if (packs.len > 0)
        memcpy(reader->dirs + segments.len, packs.at, packs.len);
    reader->segments = (struct str){reader->dirs, segments.len};
    reader->packs = (struct str){reader->dirs + segments.len, packs.len};
    pthread_mutex_init(&reader->lock, NULL);
    return reader;
}

static bool is_open(const struct known *known)
{
    return known->sealed ? known->pack.pack != NULL : known->file.fd >= 0;
}

static void forget_marks(struct reader *reader, struct known *known)
{
    reader->maps -= known->marks.cap * sizeof *known->marks.mark;
    free(known->marks.mark);
    known->marks = (struct segment_marks){0};
    known->scanned = false;
}

/* What is closed once the lock is free: closing a file that was removed may
 * take its time. */
struct closing {
    struct pack_file packs[CLOSE_MAX];
    int fds[CLOSE_MAX];
    size_t pack_count, fd_count;
};

/* A pack is closed with its sections. */
static void close_file(struct reader *reader, struct known *known, struct closing *closing)
{
    if (!is_open(known))
        return;
    if (known->sealed) {
        reader->maps -= pack_memory(known->pack.pack);
        closing->packs[closing->pack_count++] = known->pack;
        known->pack.pack = NULL;
    } else {
        closing->fds[closing->fd_count++] = known->file.fd;
        known->file.fd = -1;
    }
    reader->open--;
}

static void free_known(struct reader *reader, struct known *known, struct closing *closing)
{
    close_file(reader, known, closing);
    forget_marks(reader, known);
    free(known);
}

static void close_all(const struct reader *reader, struct closing *closing)
{
    for (size_t i = 0; i < closing->pack_count; i++)
        pack_file_close(&closing->packs[i]);
    for (size_t i = 0; i < closing->fd_count; i++)
        reader->disk->close(closing->fds[i]);
    closing->pack_count = closing->fd_count = 0;
}

void reader_free(struct reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < reader->count; i++) {
        struct closing closing = {0};
        free_known(reader, reader->known[i], &closing);
        close_all(reader, &closing);
    }
    free(reader->known);
    for (struct spare_scratch *spare; (spare = reader->spare);) {
        reader->spare = spare->next;
        pack_scratch_free(spare->scratch);
        free(spare);
    }
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

static struct known *new_known(uint64_t number, bool sealed)
{
    struct known *known = calloc(1, sizeof *known);
    if (!known)
        abort();
    known->number = number;
    known->sealed = sealed;
    known->file.fd = -1;
    return known;
}

/* Room in the list for one more. */
static bool grow(struct reader *reader)
{
    if (reader->count < reader->cap)
        return true;
    size_t cap = reader->cap ? 2 * reader->cap : 64;
    struct known **more = realloc(reader->known, cap * sizeof(struct known *));
    if (more) {
        reader->known = more;
        reader->cap = cap;
    }
    return more != NULL;
}

static void rest(struct reader *reader)
{
    if (reader->written)
        reader->written->pins--;
    reader->written = NULL;
}

int reader_add(struct reader *reader, uint64_t number, bool sealed, const struct segment_file *open,
               struct segment_marks *marks, uint64_t end, struct err *err)
{
    struct known *known = new_known(number, sealed);
    int r = 0;
    pthread_mutex_lock(&reader->lock);
    assert(reader->count == 0 || reader->known[reader->count - 1]->number < number);
    if (!grow(reader)) {
        r = err_set(err, ERR_BUSY, "no memory for %zu containers", reader->count + 1);
        goto out;
    }
    if (open) {
        assert(!sealed);
        rest(reader);
        reader->written = known;
        known->pins = 1;
        known->file = *open;
        known->marks = *marks;
        *marks = (struct segment_marks){0};
        known->scanned = true;
        known->end = end;
        reader->open++;
        reader->maps += known->marks.cap * sizeof *known->marks.mark;
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
    struct segment_marks *marks = &reader->written->marks;
    if (marks->cap - marks->count < count) {
        size_t cap = marks->count + count + marks->count / 2;
        struct segment_mark *more = realloc(marks->mark, cap * sizeof *more);
        if (more) {
            reader->maps += (cap - marks->cap) * sizeof *more;
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
    struct known *last = reader->written;
    assert(last->marks.cap - last->marks.count >= count);
    memcpy(last->marks.mark + last->marks.count, marks, count * sizeof *marks);
    last->marks.count += count;
    last->end = end;
    pthread_mutex_unlock(&reader->lock);
}

void reader_rest(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    rest(reader);
    pthread_mutex_unlock(&reader->lock);
}

/* ---- containers ---- */

static size_t find(const struct reader *reader, uint64_t number)
{
    size_t low = 0, high = reader->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader->known[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_known(const struct reader *reader, size_t i, uint64_t number)
{
    return i < reader->count && reader->known[i]->number == number;
}

/* Put the pack in the place of its segment or of itself as it was, or, if that
 * was never known, where it belongs. */
static void put_pack(struct reader *reader, struct known *pack, struct closing *closing)
{
    size_t i = find(reader, pack->number);
    if (is_known(reader, i, pack->number)) {
        struct known *before = reader->known[i];
        assert(before != reader->written);
        reader->known[i] = pack;
        before->replaced = true;
        if (before->pins == 0)
            free_known(reader, before, closing);
    } else if (grow(reader)) {
        memmove(reader->known + i + 1, reader->known + i,
                (reader->count - i) * sizeof(struct known *));
        reader->known[i] = pack;
        reader->count++;
    } else {
        free(pack);
    }
}

void reader_seal(struct reader *reader, uint64_t number)
{
    struct closing closing = {0};
    struct known *pack = new_known(number, true);
    pthread_mutex_lock(&reader->lock);
    size_t i = find(reader, number);
    if (is_known(reader, i, number) && reader->known[i]->sealed)
        free(pack); /* another thread beside the writer has noticed it too */
    else
        put_pack(reader, pack, &closing);
    pthread_mutex_unlock(&reader->lock);
    close_all(reader, &closing);
}

uint64_t reader_next_segment(struct reader *reader, int64_t now_us)
{
    uint64_t number = 0;
    pthread_mutex_lock(&reader->lock);
    for (size_t i = 0; i < reader->count && number == 0; i++) {
        const struct known *known = reader->known[i];
        if (!known->sealed && known != reader->written && known->seal_from_us <= now_us)
            number = known->number;
    }
    pthread_mutex_unlock(&reader->lock);
    return number;
}

void reader_put_off(struct reader *reader, uint64_t number, int64_t until_us)
{
    pthread_mutex_lock(&reader->lock);
    size_t i = find(reader, number);
    assert(is_known(reader, i, number));
    reader->known[i]->seal_from_us = until_us;
    pthread_mutex_unlock(&reader->lock);
}

uint64_t reader_next(struct reader *reader, uint64_t after, bool *sealed)
{
    pthread_mutex_lock(&reader->lock);
    size_t i = find(reader, after + 1);
    bool found = i < reader->count;
    uint64_t number = found ? reader->known[i]->number : 0;
    *sealed = found && reader->known[i]->sealed;
    pthread_mutex_unlock(&reader->lock);
    return number;
}

/* Of what nobody reads, what was not used for longest. */
static struct known *oldest(const struct reader *reader, bool files)
{
    struct known *result = NULL;
    for (size_t i = 0; i < reader->count; i++) {
        struct known *k = reader->known[i];
        if (k->pins == 0 && (files || k->sealed ? is_open(k) : k->scanned) &&
            (!result || k->used < result->used))
            result = k;
    }
    return result;
}

/* Let go of some, until we are within bounds or enough for now. */
static void let_go(struct reader *reader, struct closing *closing)
{
    while ((reader->open > FILES_OPEN || reader->maps > MAPS_KEPT) &&
           closing->pack_count < CLOSE_MAX - 1 && closing->fd_count < CLOSE_MAX - 1) {
        bool files = reader->open > FILES_OPEN;
        struct known *known = oldest(reader, files);
        if (!known)
            return; /* all at work: one for each reading thread */
        if (files || known->sealed)
            close_file(reader, known, closing);
        else
            forget_marks(reader, known);
    }
}

static void unpin(struct reader *reader, struct known *known)
{
    struct closing closing = {0};
    pthread_mutex_lock(&reader->lock);
    known->pins--;
    if (known->replaced && known->pins == 0)
        free_known(reader, known, &closing);
    let_go(reader, &closing);
    pthread_mutex_unlock(&reader->lock);
    close_all(reader, &closing);
}

static struct known *pin(struct reader *reader, uint64_t number)
{
    pthread_mutex_lock(&reader->lock);
    size_t i = find(reader, number);
    struct known *known = is_known(reader, i, number) ? reader->known[i] : NULL;
    if (known) {
        known->pins++;
        known->used = ++reader->now;
    }
    pthread_mutex_unlock(&reader->lock);
    return known;
}

/* ---- segments ---- */

/* The pinned segment's file, opened if it is not. */
static int open_segment(struct reader *reader, struct known *known, struct segment_file *file,
                        struct err *err)
{
    pthread_mutex_lock(&reader->lock);
    *file = known->file;
    pthread_mutex_unlock(&reader->lock);
    if (file->fd >= 0)
        return 0;
    int r = segment_open(reader->disk, reader->segments, known->number, false, file, NULL, err);
    if (r)
        return r;
    pthread_mutex_lock(&reader->lock);
    if (known->file.fd < 0) {
        known->file = *file;
        reader->open++;
    } else { /* another thread was faster */
        reader->disk->close(file->fd);
        *file = known->file;
    }
    pthread_mutex_unlock(&reader->lock);
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
        reader->maps += marks.cap * sizeof *marks.mark;
        marks.mark = NULL;
    }
    pthread_mutex_unlock(&reader->lock);
    free(marks.mark);
    return r;
}

/* In which records do they lie?  All of `wanted` are in this file, ascending. */
static int locate(struct reader *reader, struct known *known, const struct segment_file *file,
                  struct segment_wanted *wanted, size_t count, bool *damaged, struct err *err)
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
        struct segment_wanted *w = &wanted[i];
        size_t low = 0, high = marks->count; /* the last mark that is not greater */
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (marks->mark[middle].first_ordinal <= w->ordinal)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == 0) {
            r = segment_no_run(w->ordinal, *damaged, err);
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

/* One run that is asked for. */
struct wanted {
    struct place place;
    size_t index; /* in the caller's list */
};

static int by_place(const void *a, const void *b)
{
    const struct place x = ((const struct wanted *)a)->place, y = ((const struct wanted *)b)->place;
    if (x.container != y.container)
        return x.container < y.container ? -1 : 1;
    return (x.ordinal > y.ordinal) - (x.ordinal < y.ordinal);
}

static int read_known(struct reader *reader, struct known *known, const struct segment_file *file,
                      struct segment_wanted *wanted, size_t count, struct arena *arena,
                      struct run *runs, struct err *err)
{
    bool damaged;
    int r = locate(reader, known, file, wanted, count, &damaged, err);
    return r ? r : segment_read(file, wanted, count, damaged, arena, runs, err);
}

static int read_segment(struct reader *reader, struct known *known, const struct wanted *wanted,
                        size_t count, struct arena *arena, struct run *runs, struct err *err)
{
    struct segment_file file;
    int r = open_segment(reader, known, &file, err);
    if (r)
        return r;
    struct segment_wanted *found = arena_make(arena, struct segment_wanted, count);
    for (size_t i = 0; i < count; i++)
        found[i] =
            (struct segment_wanted){.ordinal = wanted[i].place.ordinal, .index = wanted[i].index};
    r = read_known(reader, known, &file, found, count, arena, runs, err);
    if (r == ERR_NOT_FOUND && reader->live) {
        /* Perhaps it was written since we looked. */
        pthread_mutex_lock(&reader->lock);
        forget_marks(reader, known);
        pthread_mutex_unlock(&reader->lock);
        if (err)
            *err = (struct err){0};
        r = read_known(reader, known, &file, found, count, arena, runs, err);
    }
    return r ? err_wrap(err, "segment %016" PRIx64 ".seg", file.number) : 0;
}

/* ---- packs ---- */

/* The first time.  Only its way to the runs is kept. */
static void note_rebuilt(struct known *known, struct pack_file *file)
{
    if (!file->pack->rebuilt[0])
        return;
    pack_unload(file->pack, PACK_RECORDS);
    pack_unload(file->pack, PACK_IDS);
    pack_unload(file->pack, PACK_TRACES);
    if (known->mended)
        return;
    known->mended = true;
    metric_add(METRIC_STORE_CORRUPT, 1);
    char container[17]; /* as in the name of its file */
    snprintf(container, sizeof container, "%016" PRIx64, file->number);
    log_event(LOG_ERROR, "pack_damaged", LOG_C("container", container),
              LOG_C("reason", file->pack->rebuilt));
}

/* The pinned pack's file, opened if it is not. */
static int open_pack(struct reader *reader, struct known *known, struct err *err)
{
    pthread_mutex_lock(&reader->lock);
    bool open = is_open(known);
    enum pack_open how = known->mended ? PACK_REBUILD : PACK_MEND;
    pthread_mutex_unlock(&reader->lock);
    if (open)
        return 0;
    struct pack_file file;
    int r = pack_file_open(reader->disk, reader->packs, known->number, how, &file, err);
    if (r)
        return r;
    pthread_mutex_lock(&reader->lock);
    bool first = !is_open(known);
    if (first) {
        note_rebuilt(known, &file);
        known->pack = file;
        reader->open++;
        reader->maps += pack_memory(file.pack);
    }
    pthread_mutex_unlock(&reader->lock);
    if (!first) /* another thread was faster */
        pack_file_close(&file);
    return 0;
}

/* A section that others are using turned out to be damaged: from now on the
 * pack is read as its blocks say. */
static int mend_pack(struct reader *reader, uint64_t number, struct err *err)
{
    struct closing closing = {0};
    struct known *mended = new_known(number, true);
    int r = pack_file_open(reader->disk, reader->packs, number, PACK_REBUILD, &mended->pack, err);
    if (r) {
        free(mended);
        return r;
    }
    note_rebuilt(mended, &mended->pack);
    pthread_mutex_lock(&reader->lock);
    mended->used = ++reader->now;
    reader->open++;
    reader->maps += pack_memory(mended->pack.pack);
    put_pack(reader, mended, &closing);
    pthread_mutex_unlock(&reader->lock);
    close_all(reader, &closing);
    return 0;
}

static struct spare_scratch *take_scratch(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    struct spare_scratch *spare = reader->spare;
    if (spare)
        reader->spare = spare->next;
    pthread_mutex_unlock(&reader->lock);
    if (spare)
        return spare;
    spare = calloc(1, sizeof *spare);
    if (!spare)
        abort();
    spare->scratch = pack_scratch_new();
    return spare;
}

static void give_scratch(struct reader *reader, struct spare_scratch *spare)
{
    pthread_mutex_lock(&reader->lock);
    spare->next = reader->spare;
    reader->spare = spare;
    pthread_mutex_unlock(&reader->lock);
}

static int read_pack(struct reader *reader, struct known *known, const struct wanted *wanted,
                     size_t count, struct arena *arena, struct run *runs, bool *mend,
                     struct err *err)
{
    int r = open_pack(reader, known, err);
    if (r)
        return r;
    struct pack_wanted *found = arena_make(arena, struct pack_wanted, count);
    for (size_t i = 0; i < count; i++)
        found[i] = (struct pack_wanted){wanted[i].place.ordinal, wanted[i].index};
    struct spare_scratch *spare = take_scratch(reader);
    r = pack_file_read(&known->pack, spare->scratch, found, count, arena, runs, mend, err);
    give_scratch(reader, spare);
    return r;
}

/* ---- runs ---- */

/* A segment that is not there any more has become a pack: in this process a
 * moment ago, or beside a writer at any time, also one that was made since we
 * came.  The one that was written then is still open, and as good. */
static bool became_pack(struct reader *reader, uint64_t number)
{
    struct pack_summary summary;
    struct err bad = {0};
    pthread_mutex_lock(&reader->lock);
    size_t i = find(reader, number);
    bool sealed = is_known(reader, i, number) && reader->known[i]->sealed;
    bool written = reader->written && reader->written->number == number;
    pthread_mutex_unlock(&reader->lock);
    if (sealed || written || !reader->live)
        return sealed;
    int r = pack_file_summary(reader->disk, reader->packs, number, &summary, &bad);
    if (r && r != ERR_CORRUPT)
        return false;
    reader_seal(reader, number);
    return true;
}

/* What is asked for of one container.  `*again`: something was found out on the
 * way, and another try may fare better. */
static int read_container(struct reader *reader, const struct wanted *wanted, size_t count,
                          struct arena *arena, struct run *runs, bool *again, struct err *err)
{
    uint64_t number = wanted[0].place.container;
    struct known *known = pin(reader, number);
    if (!known) {
        *again = became_pack(reader, number);
        return err_set(err, ERR_NOT_FOUND, "no container %016" PRIx64, number);
    }
    bool sealed = known->sealed, mend = false; /* sealed never changes */
    int r = sealed ? read_pack(reader, known, wanted, count, arena, runs, &mend, err)
                   : read_segment(reader, known, wanted, count, arena, runs, err);
    unpin(reader, known);
    if (r == ERR_UNAVAILABLE) /* of a newer program: trying again is of no use to anybody */
        r = err->code = ERR_IO;
    if (mend)
        *again = mend_pack(reader, number, NULL) == 0;
    else if (r == ERR_NOT_FOUND && !sealed)
        *again = became_pack(reader, number);
    return r;
}

int reader_read(struct reader *reader, const struct place *places, size_t count,
                struct arena *arena, struct run *runs, struct err *err)
{
    struct wanted *wanted = arena_make(arena, struct wanted, count);
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct wanted){places[i], i};
    qsort(wanted, count, sizeof *wanted, by_place);
    for (size_t i = 0, next; i < count; i = next) {
        bool again = false;
        uint64_t number = wanted[i].place.container;
        for (next = i + 1; next < count && wanted[next].place.container == number;)
            next++;
        struct err bad = {0};
        int r = read_container(reader, wanted + i, next - i, arena, runs, &again, &bad);
        if (r && again)
            r = read_container(reader, wanted + i, next - i, arena, runs, &again, &bad);
        if (r) {
            if (err)
                *err = bad;
            return r;
        }
    }
    return 0;
}
