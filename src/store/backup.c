/* backup.c - see backup.h.
 *
 *   check_same()      nothing in `to` may be of another log
 *   copy_container()  each, oldest first: a pack, or what is not sealed yet
 *     write_copy()    to packs/N.tmp, synced, read back
 *     give_name()     and only then does it count
 *
 * A segment is copied up to the end of its last whole record, which is looked
 * for before: behind it another process may be writing, and half of a group
 * with a whole one behind it would look like damage.  A segment that is not
 * there any more has become a pack.  N.seg goes when N.pack is durable.
 *
 * What `to` has is never replaced by something damaged, or by less.
 */
#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "store/containers.h"
#include "store/pack_file.h"
#include "store/seal.h"
#include "store/segment.h"
#include "store/walk.h"

enum { PIECE = 1 << 20 /* bytes that are read at once */ };

/* One of the two directories. */
struct side {
    char segments_path[PACK_PATH], packs_path[PACK_PATH];
    struct str segments, packs;
    struct containers list;
};

struct journey {
    struct backup *backup;
    const struct disk *disk;
    struct side from, to;
    int segments_fd, packs_fd; /* of `to`, to sync names */
    char *piece, *other;       /* PIECE bytes each */
    uint64_t ended;            /* sequence of the last record of the container before */
    bool ended_known;
};

/* A file that is open, and how many of its bytes count. */
struct part {
    int fd;
    uint64_t size;
};

/* What a container begins with, in either form. */
struct beginning {
    uint64_t previous, sequence; /* of the record before it, and of its first */
    int64_t received_us;
    bool known;
};

static void tell(struct journey *j, uint64_t number, bool pack, uint64_t at, const char *why)
{
    char room[CONTAINER_NAME];
    j->backup->damage++;
    j->backup->damaged(j->backup->context, container_name(number, pack, room), at,
                       container_why(why));
}

static void reach(struct journey *j, uint64_t sequence)
{
    if (sequence > j->backup->last_sequence)
        j->backup->last_sequence = sequence;
}

/* A medium that cannot be read is damage, and costs only what lies there. */
static int source_failed(int r, struct err *err)
{
    if (r != ERR_IO || err->sys != EIO)
        return r;
    err->code = ERR_CORRUPT;
    return ERR_CORRUPT;
}

/* ERR_NOT_FOUND: there is none. */
static int open_part(const struct disk *disk, const char *path, struct part *result,
                     struct err *err)
{
    struct part part = {.fd = disk_open(disk, path, O_RDONLY)};
    struct stat st;
    if (part.fd < 0) {
        int sys = errno;
        err_sys(err, sys, "open %.120s", path);
        if (sys != ENOENT)
            return ERR_IO;
        err->code = ERR_NOT_FOUND;
        return ERR_NOT_FOUND;
    }
    if (disk->fstat(part.fd, &st) < 0) {
        int r = err_sys(err, errno, "stat %.120s", path);
        disk->close(part.fd);
        return r;
    }
    part.size = (uint64_t)st.st_size;
    *result = part;
    return 0;
}

static int read_part(struct journey *j, int fd, char *room, size_t size, uint64_t at,
                     struct err *err)
{
    size_t got = 0;
    int r = disk_read(j->disk, fd, room, size, at, &got, err);
    return r || got == size ? r : err_set(err, ERR_CORRUPT, "the file ends at %" PRIu64, at + got);
}

/* Are bytes [at, at + size) the same in both? */
static int compare(struct journey *j, int from, int to, uint64_t at, uint64_t size, bool *same,
                   struct err *err)
{
    *same = true;
    for (uint64_t end = at + size; at < end && *same;) {
        size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
        int r = source_failed(read_part(j, from, j->piece, n, at, err), err);
        if (!r)
            r = read_part(j, to, j->other, n, at, err);
        if (r)
            return r;
        *same = memcmp(j->piece, j->other, n) == 0;
        at += n;
    }
    return 0;
}

/* ---- the two sides ---- */

static int name_side(struct side *side, struct str dir, struct err *err)
{
    int s = snprintf(side->segments_path, PACK_PATH, "%.*s/segments", STR_FMT(dir));
    int p = snprintf(side->packs_path, PACK_PATH, "%.*s/packs", STR_FMT(dir));
    if (s < 0 || p < 0 || s >= PACK_PATH || p >= PACK_PATH)
        return err_set(err, ERR_INVALID, "the name of a directory is too long");
    side->segments = (struct str){side->segments_path, (size_t)s};
    side->packs = (struct str){side->packs_path, (size_t)p};
    return 0;
}

static int make_dir(struct journey *j, const char *path, int *fd, struct err *err)
{
    if (j->disk->mkdir(path, 0700) < 0 && errno != EEXIST)
        return disk_failed(err, errno, "make the directory %.100s", path);
    *fd = disk_open(j->disk, path, O_RDONLY | O_DIRECTORY);
    return *fd < 0 ? err_sys(err, errno, "open the directory %.100s", path) : 0;
}

static int sync_dir(struct journey *j, int fd, const char *path, struct err *err)
{
    return j->disk->fsync(fd) < 0 ? disk_failed(err, errno, "sync the directory %.100s", path) : 0;
}

/* Both directories of `to`, durable in it. */
static int make_dirs(struct journey *j, struct err *err)
{
    char path[PACK_PATH];
    snprintf(path, sizeof path, "%.*s", STR_FMT(j->backup->to));
    int r = make_dir(j, j->to.segments_path, &j->segments_fd, err);
    if (!r)
        r = make_dir(j, j->to.packs_path, &j->packs_fd, err);
    if (r)
        return r;
    int fd = disk_open(j->disk, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return err_sys(err, errno, "open the directory %.100s", path);
    r = sync_dir(j, fd, path, err);
    j->disk->close(fd);
    return r;
}

/* ---- is it a backup of this one? ---- */

static int differs(uint64_t number, const char *how, struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "container %016" PRIx64 " there %s: it is the copy of another data directory",
                   number, how);
}

/* The first and the last bytes of two packs: random ids and checksums are in them. */
static int same_ends(struct journey *j, const struct part *from, const struct part *to, bool *same,
                     struct err *err)
{
    *same = from->size == to->size && from->size >= PACK_HEAD + PACK_FOOT;
    int r = 0;
    if (*same)
        r = compare(j, from->fd, to->fd, 0, PACK_HEAD, same, err);
    if (!r && *same)
        r = compare(j, from->fd, to->fd, from->size - PACK_FOOT, PACK_FOOT, same, err);
    return r;
}

static bool same_runs(const struct pack_summary *a, const struct pack_summary *b)
{
    return a->previous_sequence == b->previous_sequence && a->last_sequence == b->last_sequence &&
           a->runs == b->runs && a->records == b->records && a->raw_size == b->raw_size &&
           a->stream_size == b->stream_size && a->first_start_us == b->first_start_us &&
           a->last_start_us == b->last_start_us;
}

/* Only a difference that is sure counts: what is damaged may be the same. */
static int check_packs(struct journey *j, uint64_t number, struct err *err)
{
    struct pack_summary from, to;
    int r = pack_file_summary(j->disk, j->from.packs, number, &from, err);
    if (!r)
        r = pack_file_summary(j->disk, j->to.packs, number, &to, err);
    if (!r && !same_runs(&from, &to))
        return differs(number, "has other runs than here", err);
    return source_failed(r, err) == ERR_CORRUPT || r == ERR_NOT_FOUND ? 0 : r;
}

static int check_segments(struct journey *j, uint64_t number, struct err *err)
{
    struct segment_file from, to;
    bool incomplete = false;
    int r = segment_open(j->disk, j->from.segments, number, false, &from, &incomplete, err);
    if (!r && incomplete)
        return 0;
    if (!r) {
        j->disk->close(from.fd);
        r = segment_open(j->disk, j->to.segments, number, false, &to, &incomplete, err);
    }
    if (!r && !incomplete) {
        j->disk->close(to.fd);
        if (from.id != to.id)
            return differs(number, "has other runs than here", err);
    }
    return source_failed(r, err) == ERR_CORRUPT || r == ERR_NOT_FOUND ? 0 : r;
}

static int begin_of_segment(struct journey *j, const struct side *side, uint64_t number,
                            struct beginning *result, struct err *err)
{
    struct segment_file file;
    struct segment_walk walk;
    struct segment_record head;
    bool incomplete = false;
    const char *why = "";
    int r = segment_open(j->disk, side->segments, number, false, &file, &incomplete, err);
    if (r || incomplete)
        return r;
    r = segment_walk_start(&walk, &file, UINT64_MAX, err);
    if (!r)
        r = segment_walk_look(&walk, &head, &why, err);
    segment_walk_end(&walk);
    j->disk->close(file.fd);
    if (!r && !why)
        *result = (struct beginning){file.previous_sequence, head.sequence, head.received_us, true};
    return r;
}

static int begin_of_pack(struct journey *j, const struct side *side, uint64_t number,
                         struct beginning *result, struct err *err)
{
    struct pack_file file;
    int r = pack_file_open(j->disk, side->packs, number, PACK_STRICT, &file, err);
    if (r)
        return r;
    r = pack_file_load(&file, PACK_RECORDS, err);
    if (!r && pack_count(file.pack, PACK_RECORDS) > 0) {
        struct pack_record first = pack_record(file.pack, 0);
        *result = (struct beginning){file.pack->summary.previous_sequence, first.sequence,
                                     first.received_us, true};
    }
    pack_file_close(&file);
    return r;
}

/* One is a segment and the other a pack. */
static int check_begin(struct journey *j, uint64_t number, bool packed, struct err *err)
{
    struct beginning pack = {0}, segment = {0};
    int r = begin_of_segment(j, packed ? &j->to : &j->from, number, &segment, err);
    if (!r)
        r = begin_of_pack(j, packed ? &j->from : &j->to, number, &pack, err);
    if (!r && pack.known && segment.known &&
        (pack.previous != segment.previous || pack.sequence != segment.sequence ||
         pack.received_us != segment.received_us))
        return differs(number, "has other runs than here", err);
    return source_failed(r, err) == ERR_CORRUPT || r == ERR_NOT_FOUND ? 0 : r;
}

static int check_same(struct journey *j, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < j->to.list.count && !r; i++) {
        const struct container *to = &j->to.list.at[i];
        const struct container *from = containers_find(&j->from.list, to->number);
        struct err why = {0};
        if (!from)
            r = err_set(&why, ERR_CONFLICT,
                        "container %016" PRIx64 " is there and not here: it is the copy of another "
                        "data directory, or this one has lost it (`rundlet verify` tells)",
                        to->number);
        else if (to->pack && from->pack)
            r = check_packs(j, to->number, &why);
        else if (to->segment && from->segment)
            r = check_segments(j, to->number, &why);
        else
            r = check_begin(j, to->number, from->pack, &why);
        if (r && err)
            *err = why;
    }
    return r;
}

/* ---- a copy ---- */

static int copy_bytes(struct journey *j, const struct part *from, int to, uint32_t *crc,
                      struct err *err)
{
    for (uint64_t at = 0; at < from->size;) {
        size_t n = from->size - at < PIECE ? (size_t)(from->size - at) : PIECE;
        int r = source_failed(read_part(j, from->fd, j->piece, n, at, err), err);
        if (r)
            return r;
        struct iovec iov = {j->piece, n};
        *crc = crc32c(*crc, j->piece, n);
        r = disk_write(j->disk, to, &iov, 1, at, err);
        if (r)
            return r;
        at += n;
        j->backup->bytes += n;
        if (j->backup->progress)
            j->backup->progress(j->backup->context, j->backup);
    }
    return 0;
}

/* What is in memory is what we wrote; the disk is asked what it has. */
static int read_back(struct journey *j, int fd, uint64_t size, uint32_t expected, struct err *err)
{
    uint32_t crc = 0;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        int r = read_part(j, fd, j->piece, n, at, err);
        if (r)
            return r;
        crc = crc32c(crc, j->piece, n);
        at += n;
    }
    return crc == expected ? 0 : err_set(err, ERR_IO, "what was written reads differently");
}

/* A durable copy at `tmp`.  ERR_CORRUPT: `from` cannot be read; nothing is left. */
static int write_copy(struct journey *j, const struct part *from, const char *tmp, int *result,
                      struct err *err)
{
    uint32_t crc = 0;
    uint64_t before = j->backup->bytes;
    int fd = disk_open(j->disk, tmp, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return disk_failed(err, errno, "create %.120s", tmp);
    int r = copy_bytes(j, from, fd, &crc, err);
    if (!r && j->disk->fsync(fd) < 0)
        r = disk_failed(err, errno, "sync");
    if (!r && (r = read_back(j, fd, from->size, crc, err)) == ERR_CORRUPT)
        r = err->code = ERR_IO; /* ours, not theirs */
    if (r) {
        j->backup->bytes = before;
        j->disk->close(fd);
        (void)j->disk->unlink(tmp); /* if it stays, the next one removes it */
        return err_wrap(err, "copy to %.100s", tmp);
    }
    *result = fd;
    return 0;
}

static int give_name(struct journey *j, const char *tmp, const char *path, bool pack,
                     struct err *err)
{
    if (j->disk->rename(tmp, path) < 0) {
        int r = disk_failed(err, errno, "rename to %.100s", path);
        (void)j->disk->unlink(tmp);
        return r;
    }
    return sync_dir(j, pack ? j->packs_fd : j->segments_fd,
                    pack ? j->to.packs_path : j->to.segments_path, err);
}

/* ---- a segment ---- */

static int here_already(struct journey *j, const struct part *from, const char *path, bool damaged,
                        bool *there, bool *longer, struct err *err)
{
    struct part to;
    bool same = false;
    int r = open_part(j->disk, path, &to, err);
    *there = *longer = false;
    if (r)
        return r == ERR_NOT_FOUND ? 0 : r;
    *longer = to.size > from->size;
    if (to.size == from->size && !damaged)
        r = compare(j, from->fd, to.fd, 0, from->size, &same, err);
    j->disk->close(to.fd);
    *there = damaged || *longer || same;
    return r;
}

static int copy_records(struct journey *j, const struct segment_file *file, uint64_t size,
                        uint64_t sequence, bool damaged, struct err *err)
{
    char path[PACK_PATH], tmp[PACK_PATH];
    const struct container *known = containers_find(&j->to.list, file->number);
    struct part from = {file->fd, size};
    bool there = false, longer = false;
    struct pack_summary pack;
    if (known && known->pack) /* of the same records, or more */
        there = pack_file_summary(j->disk, j->to.packs, file->number, &pack, NULL) == 0 &&
                pack.last_sequence >= sequence;
    int fd = -1, r = segment_path(j->to.segments, file->number, path, err);
    if (!r)
        r = seal_tmp_path(j->to.packs, file->number, tmp, err);
    if (!r && !there)
        r = here_already(j, &from, path, damaged, &there, &longer, err);
    if (!r && longer && !damaged)
        tell(j, file->number, false, size,
             "records are missing at the end; the copy has more, and keeps it");
    if (!r && there)
        j->backup->kept++;
    if (r || there)
        return r;
    r = write_copy(j, &from, tmp, &fd, err);
    if (r)
        return r;
    j->disk->close(fd);
    r = give_name(j, tmp, path, false, err);
    if (!r)
        j->backup->copied++;
    return r;
}

/* Not to be copied: what `to` has of it stays. */
static void leave_out(struct journey *j, uint64_t number, bool pack, uint64_t at, const char *why)
{
    tell(j, number, pack, at, why);
    if (containers_find(&j->to.list, number))
        j->backup->kept++;
}

/* `last`: it may be written just now. */
static int copy_open_segment(struct journey *j, const struct segment_file *file, bool last,
                             struct err *err)
{
    struct segment end = {0};
    struct segment_marks marks = {0};
    struct stat st;
    if (j->disk->fstat(file->fd, &st) < 0)
        return err_sys(err, errno, "stat %016" PRIx64 ".seg", file->number);
    int r = source_failed(segment_recover(file, false, 0, &end, &marks, err), err);
    free(marks.mark);
    if (r)
        return r;
    uint64_t size = last ? end.end : (uint64_t)st.st_size;
    if (size <= SEGMENT_HEAD)
        return 0; /* nothing is in it yet */
    bool damaged = marks.damaged || size > end.end;
    if (damaged)
        tell(j, file->number, false, end.end, "there are damaged records");
    r = copy_records(j, file, size, end.sequence, damaged, err);
    if (!r)
        reach(j, end.sequence);
    j->ended = end.sequence;
    j->ended_known = !r && !damaged;
    return r;
}

static int copy_segment(struct journey *j, uint64_t number, bool last, bool *there, struct err *err)
{
    struct segment_file file;
    struct err why = {0};
    bool incomplete = false;
    int r = segment_open(j->disk, j->from.segments, number, false, &file, &incomplete, &why);
    *there = r != ERR_NOT_FOUND;
    if (!*there || incomplete)
        return 0;
    r = source_failed(r, &why);
    if (!r) {
        r = copy_open_segment(j, &file, last, &why);
        j->disk->close(file.fd);
    }
    if (r == ERR_CORRUPT) {
        leave_out(j, number, false, 0, why.text);
        return 0;
    }
    if (r)
        *err = why;
    return r;
}

/* ---- a pack ---- */

/* ERR_CORRUPT: the copy is as damaged as what it is of. */
static int check_copy(struct journey *j, uint64_t number, const struct part *copy, struct err *err)
{
    struct pack_file file = {.disk = j->disk, .fd = copy->fd, .number = number};
    int r = pack_file_take(&file, copy->size, err);
    if (r)
        return r;
    if (file.pack->summary.number != number)
        r = err_set(err, ERR_CORRUPT, "it is number %016" PRIx64 " under another name",
                    file.pack->summary.number);
    if (!r)
        r = pack_file_head(&file, err);
    if (!r)
        r = pack_file_check(&file, NULL, NULL, err);
    if (!r)
        reach(j, file.pack->summary.last_sequence);
    pack_free(file.pack);
    return r;
}

/* The pack is durable: its segment is not needed. */
static int drop_segment(struct journey *j, uint64_t number, struct err *err)
{
    char path[SEGMENT_PATH];
    const struct container *known = containers_find(&j->to.list, number);
    if (!known || !known->segment)
        return 0;
    int r = segment_path(j->to.segments, number, path, err);
    if (!r && j->disk->unlink(path) < 0 && errno != ENOENT)
        r = err_sys(err, errno, "remove %.120s", path);
    return r;
}

/* How far the pack goes that `to` has now, if it has one and that says so. */
static int reach_pack(struct journey *j, uint64_t number, struct err *err)
{
    struct pack_summary summary;
    int r = pack_file_summary(j->disk, j->to.packs, number, &summary, err);
    if (!r)
        reach(j, summary.last_sequence);
    return r == ERR_CORRUPT || r == ERR_NOT_FOUND ? 0 : r;
}

/* It is damaged, and no segment has the same.  Better than nothing, if runs can
 * be had of it; but not better than what is there. */
static int take_damaged(struct journey *j, uint64_t number, const char *tmp, const char *path,
                        const char *why, struct err *err)
{
    struct pack_file file;
    struct err none = {0};
    int r = pack_file_open(j->disk, j->from.packs, number, PACK_MEND, &file, &none);
    bool opens = r == 0;
    if (opens)
        pack_file_close(&file);
    if (!opens || containers_find(&j->to.list, number)) {
        leave_out(j, number, true, 0, why);
        r = j->disk->unlink(tmp) < 0 ? err_sys(err, errno, "remove %.120s", tmp) : 0;
        return r ? r : reach_pack(j, number, err);
    }
    tell(j, number, true, 0, why);
    r = give_name(j, tmp, path, true, err);
    if (r)
        return r;
    j->backup->copied++;
    return reach_pack(j, number, err);
}

static int copy_new_pack(struct journey *j, uint64_t number, const struct part *from,
                         const char *path, struct err *err)
{
    char tmp[PACK_PATH];
    struct err why = {0};
    bool segment = false;
    struct part copy = {-1, from->size};
    int r = seal_tmp_path(j->to.packs, number, tmp, err);
    if (!r)
        r = write_copy(j, from, tmp, &copy.fd, err);
    if (r)
        return r;
    r = check_copy(j, number, &copy, &why);
    j->disk->close(copy.fd);
    if (r == ERR_CORRUPT) { /* if the segment is still there, it is as good */
        r = copy_segment(j, number, false, &segment, err);
        if (!r && !segment)
            return take_damaged(j, number, tmp, path, why.text, err);
        if (!r)
            tell(j, number, true, 0, why.text);
    } else if (r) {
        *err = why;
    } else {
        r = give_name(j, tmp, path, true, err);
        if (!r)
            j->backup->copied++;
        return r ? r : drop_segment(j, number, err);
    }
    (void)j->disk->unlink(tmp);
    return r;
}

static int copy_pack(struct journey *j, uint64_t number, bool *there, struct err *err)
{
    char from_path[PACK_PATH], path[PACK_PATH];
    struct part from, to;
    struct err why = {0};
    bool same = false;
    int r = pack_path(j->from.packs, number, from_path, err);
    if (!r)
        r = pack_path(j->to.packs, number, path, err);
    if (r)
        return r;
    r = open_part(j->disk, from_path, &from, &why);
    *there = r != ERR_NOT_FOUND;
    if (!*there)
        return 0;
    r = source_failed(r, &why);
    if (!r) {
        r = open_part(j->disk, path, &to, &why);
        if (!r) {
            r = same_ends(j, &from, &to, &same, &why);
            j->disk->close(to.fd);
        } else if (r == ERR_NOT_FOUND) {
            r = 0;
        }
        if (!r && !same)
            r = copy_new_pack(j, number, &from, path, &why);
        j->disk->close(from.fd);
    }
    if (!r && same) {
        j->backup->kept++;
        r = reach_pack(j, number, &why);
        if (!r)
            r = drop_segment(j, number, &why);
    }
    if (r == ERR_CORRUPT || r == ERR_UNAVAILABLE) { /* or of a newer program */
        leave_out(j, number, true, 0, why.text);
        return 0;
    }
    if (r)
        *err = why;
    return r;
}

/* ---- all of it ---- */

/* Each container names the sequence before it, so one that is gone is noticed. */
static void check_before(struct journey *j, const struct container *container)
{
    const struct walk_log log = {
        .disk = j->disk, .segments = j->from.segments, .packs = j->from.packs};
    const struct walk_container it = {container->number, container->pack};
    uint64_t before;
    if (j->ended_known && walk_sequence_before(&log, it, &before) && before != j->ended)
        tell(j, container->number, container->pack, 0, "records are missing before it");
    j->ended_known = false;
}

static void note_end(struct journey *j, uint64_t number)
{
    struct pack_summary summary;
    j->ended_known = pack_file_summary(j->disk, j->from.packs, number, &summary, NULL) == 0;
    j->ended = j->ended_known ? summary.last_sequence : 0;
}

/* A segment becomes a pack between two looks, and never the other way round;
 * but a pack is removed when it is damaged and its segment is there. */
static int copy_container(struct journey *j, const struct container *container, bool last,
                          struct err *err)
{
    uint64_t number = container->number;
    bool there = false;
    check_before(j, container);
    int r = copy_pack(j, number, &there, err);
    if (there)
        note_end(j, number);
    if (!r && !there)
        r = copy_segment(j, number, last, &there, err);
    if (!r && !there)
        r = copy_pack(j, number, &there, err);
    if (!r && !there)
        tell(j, number, false, 0, "it is not there any more");
    return r;
}

static int copy_all(struct journey *j, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < j->from.list.count && !r; i++)
        r = copy_container(j, &j->from.list.at[i], i + 1 == j->from.list.count, err);
    if (!r)
        r = sync_dir(j, j->packs_fd, j->to.packs_path, err);
    if (!r)
        r = sync_dir(j, j->segments_fd, j->to.segments_path, err);
    return r;
}

int backup_make(struct backup *backup, struct err *err)
{
    struct err why = {0};
    struct journey *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    *j = (struct journey){.backup = backup,
                          .disk = backup->disk,
                          .segments_fd = -1,
                          .packs_fd = -1,
                          .ended_known = true};
    backup->of = backup->copied = backup->kept = 0;
    backup->bytes = backup->last_sequence = backup->damage = 0;
    j->piece = malloc(PIECE);
    j->other = malloc(PIECE);
    int r = j->piece && j->other ? 0 : err_set(&why, ERR_BUSY, "no memory to copy with");
    if (!r)
        r = name_side(&j->from, backup->from, &why);
    if (!r)
        r = name_side(&j->to, backup->to, &why);
    if (!r)
        r = containers_list(j->from.segments, j->from.packs, &j->from.list, &why);
    if (!r)
        r = make_dirs(j, &why);
    if (!r)
        r = containers_list(j->to.segments, j->to.packs, &j->to.list, &why);
    backup->of = j->from.list.count;
    if (!r)
        r = check_same(j, &why);
    if (!r)
        r = containers_clean(j->disk, j->to.packs, &why);
    if (!r)
        r = copy_all(j, &why);
    if (j->segments_fd >= 0)
        j->disk->close(j->segments_fd);
    if (j->packs_fd >= 0)
        j->disk->close(j->packs_fd);
    containers_free(&j->from.list);
    containers_free(&j->to.list);
    free(j->piece);
    free(j->other);
    free(j);
    if (r && err)
        *err = why;
    return r;
}
