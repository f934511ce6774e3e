/* seal.c - see seal.h.
 *
 *   read_tables()  the segment's records: what runs there are
 *   write_pack()   the runs' bytes are read when their turn comes, checked,
 *                  packed, and written to N.tmp
 *   sync           the pack is durable, under a name that nobody looks for
 *   compare()      read it back from the disk, to the last byte
 *   rename, sync of the directory: it is N.pack
 */
#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "run/record.h"
#include "store/pack_build.h"
#include "store/pack_file.h"
#include "store/pack_layout.h"
#include "store/segment.h"

enum {
    NEAR = 4 << 10, /* bytes that are read to look at a few */
    PACED = 64,     /* runs that are compared between two looks whether to stop */
    AHEAD = 4       /* times the rate, at which is read ahead */
};

struct sealing {
    struct seal *seal;
    struct segment_file segment;
    struct arena *arena;        /* tables, projects */
    struct pack_input *inputs;  /* in the order of arrival */
    struct pack_input **sorted; /* in the order of the stream, once it is built */
    size_t count, cap;
    uint64_t id; /* of the pack */
    uint64_t raw_size, last_sequence;
    struct str project; /* of the run before: mostly the next one's too */

    char near[NEAR]; /* what was last looked at */
    uint64_t near_at;
    size_t near_len;

    size_t compared; /* runs, when it is read back */

    int fd;      /* of the file that is written */
    uint64_t at; /* its end */
};

int seal_tmp_path(struct str dir, uint64_t number, char *path, struct err *err)
{
    return numbered_path(dir, number, ".tmp", path, err);
}

bool seal_tmp_named(const char *name)
{
    uint64_t number;
    return numbered_name(name, ".tmp", &number);
}

static int pace(struct sealing *s, uint64_t bytes, struct err *err)
{
    const struct seal *seal = s->seal;
    if (!seal->pace || seal->pace(seal->context, bytes))
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "told to stop");
}

static int read_segment(struct sealing *s, char *room, size_t size, uint64_t at, struct err *err)
{
    size_t got = 0;
    int r = disk_read(s->segment.disk, s->segment.fd, room, size, at, &got, err);
    return r || got == size ? r : err_set(err, ERR_CORRUPT, "the file ends at %" PRIu64, at + got);
}

/* ---- tables ---- */

/* A few bytes; their neighbours are often wanted next. */
static int look(struct sealing *s, uint64_t at, size_t size, struct str *bytes, struct err *err)
{
    if (at < s->near_at || at - s->near_at > s->near_len ||
        s->near_len - (at - s->near_at) < size) {
        size_t got = 0;
        int r = disk_read(s->segment.disk, s->segment.fd, s->near, NEAR, at, &got, err);
        s->near_at = at;
        s->near_len = got;
        if (r || got < size)
            return r ? r : err_set(err, ERR_CORRUPT, "the file ends at %" PRIu64, at + got);
    }
    *bytes = (struct str){s->near + (at - s->near_at), size};
    return 0;
}

/* The project of a run, as it orders packs; of a long name the first bytes will do. */
static int find_project(struct sealing *s, const struct run *run, uint64_t raw_at, struct err *err)
{
    uint32_t at = 0, len = 0;
    if (!run_span(run, RUN_SESSION_NAME, &at, &len))
        (void)run_span(run, RUN_SESSION_ID, &at, &len); /* neither: no bytes */
    if (len > NEAR)
        len = NEAR;
    struct str bytes = {0};
    int r = len > 0 ? look(s, raw_at + at, len, &bytes, err) : 0;
    if (!r && !str_eq(bytes, s->project))
        s->project = arena_copy(s->arena, bytes);
    return r;
}

static int more_inputs(struct sealing *s, size_t count, struct err *err)
{
    if (s->cap - s->count >= count)
        return 0;
    size_t cap = s->count + count + s->count / 2;
    struct pack_input *more = cap > PACK_RUNS_MAX ? NULL : realloc(s->inputs, cap * sizeof *more);
    if (!more)
        return err_set(err, ERR_BUSY, "no memory for %zu runs", cap);
    s->inputs = more;
    s->cap = cap;
    return 0;
}

static int add_run(struct sealing *s, const struct segment_record *head, const char *table,
                   uint64_t body_at, uint32_t i, struct err *err)
{
    const char *entry = table + (size_t)i * RECORD_ENTRY;
    struct record_entry where;
    int r = record_locate(entry, head->table_len, head->body_len, &where, err);
    if (r)
        return r;
    struct run run = record_peek(entry);
    struct pack_input *in = &s->inputs[s->count];
    *in = (struct pack_input){
        .entry = entry,
        .spans = {table + where.spans_at, where.spans_len},
        .raw_len = where.body_len,
        .raw_at = body_at + where.body_at,
        .id = run.id,
        .trace = run.trace,
        .start_us = run.start_us,
        .sequence = head->sequence,
        .received_us = head->received_us,
        .ordinal = (uint32_t)head->first_ordinal + i,
        .first = (uint32_t)head->first_ordinal,
        .count = head->count,
        .kind = SEGMENT_POST,
    };
    if (!record_entry_sound(entry, in->spans))
        return err_set(err, ERR_CORRUPT, "entry: wrong checksum");
    run.spans = in->spans.at;
    r = find_project(s, &run, in->raw_at, err);
    in->project = s->project;
    s->count += r == 0;
    s->raw_size += where.body_len;
    return r;
}

static int add_record(struct sealing *s, const struct segment_record *head, uint64_t at,
                      struct err *err)
{
    char *table = arena_alloc(s->arena, head->table_len);
    int r = segment_read_table(&s->segment, at, head, table, err);
    if (!r)
        r = more_inputs(s, head->count, err);
    for (uint32_t i = 0; i < head->count && !r; i++)
        r = add_run(s, head, table, at + SEGMENT_RECORD + head->table_len, i, err);
    return r;
}

/* All of it will be read, in an order that the kernel cannot guess; asked for
 * here, in order, it comes at a fraction of the cost.  Not all at once, or who
 * writes would have to wait for it. */
static int read_ahead(struct sealing *s, const struct segment_record *head, uint64_t at,
                      struct err *err)
{
    (void)posix_fadvise(s->segment.fd, (off_t)at, (off_t)head->size, POSIX_FADV_WILLNEED);
    return pace(s, head->size / AHEAD, err);
}

static int read_tables(struct sealing *s, struct err *err)
{
    struct segment_walk walk;
    struct stat st;
    if (s->segment.disk->fstat(s->segment.fd, &st) < 0)
        return err_sys(err, errno, "stat");
    int r = segment_walk_start(&walk, &s->segment, (uint64_t)st.st_size, err);
    s->last_sequence = s->segment.previous_sequence;
    while (!r) {
        struct segment_record head;
        const char *why = NULL;
        r = segment_walk_look(&walk, &head, &why, err);
        if (r || (why && why[0] == '\0'))
            break;
        r = why ? err_set(err, ERR_CORRUPT, "%s", why) : add_record(s, &head, walk.at, err);
        if (!r)
            r = read_ahead(s, &head, walk.at, err);
        if (r) {
            (void)err_wrap(err, "at %" PRIu64, walk.at);
            break;
        }
        s->last_sequence = head.sequence;
        segment_walk_pass(&walk, &head);
    }
    segment_walk_end(&walk);
    if (!r && s->seal->end_sequence && s->last_sequence != s->seal->end_sequence)
        r = err_set(err, ERR_CORRUPT, "records are missing at its end");
    return r;
}

/* ---- writing ---- */

static int fetch(void *context, const struct pack_input *in, size_t from, char *room, size_t size,
                 struct err *err)
{
    return read_segment(context, room, size, in->raw_at + from, err);
}

/* Sealing makes room, so it may use what others have to leave, but not the last
 * of it. */
static int check_room(const struct sealing *s, size_t size, struct err *err)
{
    struct statvfs vfs;
    if (s->seal->disk->fstatvfs(s->fd, &vfs) < 0)
        return err_sys(err, errno, "free space");
    uint64_t available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return available >= s->seal->keep_free && available - s->seal->keep_free >= size
               ? 0
               : err_set(err, ERR_FULL, "disk full: %" PRIu64 " bytes free", available);
}

static int write_bytes(void *context, struct str bytes, uint64_t made_of, struct err *err)
{
    struct sealing *s = context;
    struct iovec iov = {(void *)(uintptr_t)bytes.at, bytes.len};
    int r = check_room(s, bytes.len, err);
    if (!r)
        r = disk_write(s->seal->disk, s->fd, &iov, 1, s->at, err);
    if (r)
        return r;
    /* Begin to write it now: the sync at the end then has little left to do, and
     * does not hold up those of the log.  Only a wish. */
    (void)sync_file_range(s->fd, (off_t)s->at, (off_t)bytes.len, SYNC_FILE_RANGE_WRITE);
    s->at += bytes.len;
    return pace(s, made_of, err);
}

static int write_pack(struct sealing *s, const char *path, struct err *err)
{
    const struct seal *seal = s->seal;
    s->sorted = calloc(s->count + 1, sizeof *s->sorted);
    if (!s->sorted)
        return err_set(err, ERR_BUSY, "no memory for %zu runs", s->count);
    for (size_t i = 0; i < s->count; i++)
        s->sorted[i] = &s->inputs[i];
    if (getrandom(&s->id, sizeof s->id, 0) != sizeof s->id)
        return err_sys(err, errno, "random bytes for a pack");
    struct pack_build build = {
        .inputs = s->sorted,
        .count = (uint32_t)s->count,
        .number = seal->number,
        .id = s->id,
        .previous_sequence = s->segment.previous_sequence,
        .last_sequence = s->last_sequence,
        .created_us = clock_now_us(),
        .level = SEAL_LEVEL,
        .fetch = fetch,
        .write = write_bytes,
        .context = s,
    };
    s->fd = disk_open(seal->disk, path, O_RDWR | O_CREAT | O_TRUNC);
    if (s->fd < 0)
        return disk_failed(err, errno, "create a pack");
    int r = pack_build(&build, err);
    if (!r && seal->disk->fsync(s->fd) < 0)
        fatal("sync pack %016" PRIx64 ": %s", seal->number, strerror(errno));
    return r;
}

/* ---- reading back ---- */

/* Every entry and span must be the segment's; the run's bytes fit a checksum
 * that is older than both files.  Then, that all the rest of the file is what
 * the items make it. */
static bool is_same(const struct sealing *s, const struct pack_input *in,
                    const struct pack_item *item)
{
    char head[PACK_ITEM];
    pack_write_item(head, s->id, in);
    return memcmp(item->entry - PACK_ITEM, head, PACK_ITEM) == 0 &&
           memcmp(item->entry, in->entry, RECORD_ENTRY) == 0 && str_eq(item->spans, in->spans);
}

/* The next item of the stream is the next of the sorted inputs. */
static int compare_item(void *context, const struct pack_item *item, struct err *err)
{
    struct sealing *s = context;
    if (s->compared == s->count || !is_same(s, s->sorted[s->compared], item))
        return err_set(err, ERR_IO, "run %" PRIu32 " is not what it was", item->ordinal);
    s->compared++;
    return s->compared % PACED == 0 ? pace(s, 0, err) : 0;
}

static int compare(struct sealing *s, struct err *err)
{
    const struct seal *seal = s->seal;
    /* What is in memory is what we wrote; the disk is asked what it has. */
    (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
    struct pack_file file = {.disk = seal->disk, .fd = s->fd, .number = seal->number};
    int r = pack_file_take(&file, s->at, err);
    if (!r)
        r = pack_file_check(&file, compare_item, s, err);
    if (!r && (s->compared != s->count || file.pack->summary.last_sequence != s->last_sequence ||
               file.pack->summary.previous_sequence != s->segment.previous_sequence))
        r = err_set(err, ERR_IO, "it is not what was written");
    pack_free(file.pack);
    if (r == ERR_CORRUPT) /* of the pack: the segment is sound */
        r = err_set(err, ERR_IO, "the pack that was just written is damaged");
    return r;
}

/* ---- all of it ---- */

static int make_pack(struct sealing *s, const char *tmp, const char *path, struct err *err)
{
    const struct seal *seal = s->seal;
    int r = read_tables(s, err);
    if (!r)
        r = write_pack(s, tmp, err);
    if (!r)
        r = compare(s, err);
    if (!r && seal->disk->rename(tmp, path) < 0)
        r = disk_failed(err, errno, "rename the pack");
    if (!r && seal->disk->fsync(seal->packs_fd) < 0)
        fatal("sync the directory of pack %016" PRIx64 ": %s", seal->number, strerror(errno));
    if (s->fd >= 0) {
        seal->disk->close(s->fd);
        if (r)
            (void)seal->disk->unlink(tmp); /* if it stays, the next start removes it */
    }
    if (r)
        (void)err_wrap(err, "segment %016" PRIx64 ".seg", seal->number);
    return r;
}

int seal_segment(struct seal *seal, struct err *err)
{
    char tmp[PACK_PATH], path[PACK_PATH];
    struct sealing *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->seal = seal;
    s->fd = -1;
    int r = seal_tmp_path(seal->packs, seal->number, tmp, err);
    if (!r)
        r = pack_path(seal->packs, seal->number, path, err);
    if (!r)
        r = segment_open(seal->disk, seal->segments, seal->number, false, &s->segment, NULL, err);
    if (!r) {
        s->arena = arena_new(1 << 20);
        r = make_pack(s, tmp, path, err);
        seal->disk->close(s->segment.fd);
        arena_free(s->arena);
    }
    seal->pack_size = s->at;
    seal->raw_size = s->raw_size;
    seal->last_sequence = s->last_sequence;
    free(s->sorted);
    free(s->inputs);
    free(s);
    return r;
}
