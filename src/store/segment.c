/* segment.c - see segment.h.
 *
 * Happy path   a group of records is written behind the last one with one
 *              pwritev (as many as IOV_MAX asks for) into space that is there
 *              already, and synced once; then, and only then, `end` moves.
 * Write fails  the file is cut back to `end`: as if nothing had happened.  If
 *              that fails too the segment says that it is broken, because a
 *              later group behind half of this one would look like damage.
 *              A large group goes past the page cache first, in whole blocks; if
 *              that fails, the same bytes go the usual way.
 * Sync fails   the process ends.  The kernel may have dropped the pages, and a
 *              second sync would then succeed and lie.
 * Power cut    any subset of the bytes of the one group that was not synced
 *              may be there.  So a bad record ends the log, and valid ones of
 *              the same group behind it go with it; but a valid record of a
 *              later group proves that the bad one had been synced: that is
 *              damage, and nothing is cut.
 *
 * Invariants   [0, end) is durable; every record in it is whole; sequences and
 *              ordinals grow; each record names the sequence before it and where
 *              its group begins, so what a cut left behind is not taken for new.
 *              Only the last file of a directory may end in anything but a
 *              whole record.
 */
#include "store/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/store.h"

enum {
    VERSION = 2, /* 1: all entries are whole runs; is read too */
    OLDEST = 1,
    ALIGN = 8,
    WINDOW = 256 << 10,

    /* The head of the file. */
    HEAD_VERSION = 8,
    HEAD_SIZE = 12,
    HEAD_NUMBER = 16,
    HEAD_ID = 24,
    HEAD_PREVIOUS = 32,
    HEAD_CREATED = 40,
    HEAD_ZERO = 48,
    HEAD_CRC = 60,

    /* The head of a record. */
    REC_VERSION = 4,
    REC_KIND = 6,
    REC_SIZE = 8,
    REC_SEQUENCE = 16,
    REC_PREVIOUS = 24,
    REC_GROUP = 32,
    REC_ID = 40,
    REC_FIRST = 48,
    REC_COUNT = 52,
    REC_RECEIVED = 56,
    REC_TABLE = 64,
    REC_BODY = 68,
    REC_TABLE_CRC = 72,
    REC_CRC = 76
};

static const char head_magic[8] = {'R', 'U', 'N', 'D', 'L', 'S', 'E', 'G'};

/* "\x01rec": the control character keeps it out of every JSON text. */
static const uint32_t record_magic = 0x63657201u;

/* ---- names and heads ---- */

int segment_path(struct str dir, uint64_t number, char *path, struct err *err)
{
    return numbered_path(dir, number, ".seg", path, err);
}

bool segment_named(const char *name, uint64_t *number)
{
    return numbered_name(name, ".seg", number);
}

static void write_head(char *head, const struct segment_file *file)
{
    memset(head, 0, SEGMENT_HEAD);
    memcpy(head, head_magic, sizeof head_magic);
    put_u32(head + HEAD_VERSION, VERSION);
    put_u32(head + HEAD_SIZE, SEGMENT_HEAD);
    put_u64(head + HEAD_NUMBER, file->number);
    put_u64(head + HEAD_ID, file->id);
    put_u64(head + HEAD_PREVIOUS, file->previous_sequence);
    put_u64(head + HEAD_CREATED, (uint64_t)clock_now_us());
    put_u32(head + HEAD_CRC, crc32c(0, head, HEAD_CRC));
}

static int file_size(const struct segment_file *file, uint64_t *size, struct err *err)
{
    struct stat st;
    if (file->disk->fstat(file->fd, &st) < 0)
        return err_sys(err, errno, "segment %016" PRIx64 ".seg: stat", file->number);
    *size = (uint64_t)st.st_size;
    return 0;
}

/* Is there nothing but zeros behind the head? */
static int is_blank(const struct segment_file *file, bool *blank, struct err *err)
{
    *blank = true;
    char *bytes = malloc(WINDOW);
    if (!bytes)
        return err_set(err, ERR_BUSY, "no memory");
    uint64_t at = SEGMENT_HEAD;
    size_t got = 0;
    int r;
    do {
        r = disk_read(file->disk, file->fd, bytes, WINDOW, at, &got, err);
        if (r)
            break;
        for (size_t i = 0; i < got; i++)
            if (bytes[i])
                *blank = false;
        at += got;
    } while (*blank && got == WINDOW);
    free(bytes);
    return r;
}

static int read_head(struct segment_file *file, bool *incomplete, struct err *err)
{
    char head[SEGMENT_HEAD];
    size_t got = 0;
    int r = disk_read(file->disk, file->fd, head, sizeof head, 0, &got, err);
    if (r)
        return r;
    bool whole = got == sizeof head && memcmp(head, head_magic, sizeof head_magic) == 0 &&
                 crc32c(0, head, HEAD_CRC) == get_u32(head + HEAD_CRC);
    if (!whole) {
        /* The head is synced before anything is written behind it. */
        bool blank = false;
        r = is_blank(file, &blank, err);
        if (r)
            return r;
        *incomplete = blank;
        return blank ? 0 : err_set(err, ERR_CORRUPT, "the head at 0 is damaged");
    }
    if (get_u32(head + HEAD_VERSION) < OLDEST || get_u32(head + HEAD_VERSION) > VERSION ||
        get_u32(head + HEAD_SIZE) != SEGMENT_HEAD)
        return err_set(err, ERR_CORRUPT, "version %u needs a newer program",
                       get_u32(head + HEAD_VERSION));
    if (get_u64(head + HEAD_NUMBER) != file->number)
        return err_set(err, ERR_CORRUPT, "it is number %016" PRIx64 " under another name",
                       get_u64(head + HEAD_NUMBER));
    file->id = get_u64(head + HEAD_ID);
    file->previous_sequence = get_u64(head + HEAD_PREVIOUS);
    return 0;
}

int segment_open(const struct disk *disk, struct str dir, uint64_t number, bool write,
                 struct segment_file *result, bool *incomplete, struct err *err)
{
    char path[SEGMENT_PATH];
    int r = segment_path(dir, number, path, err);
    if (r)
        return r;
    struct segment_file file = {.disk = disk, .number = number};
    file.fd = disk_open(disk, path, write ? O_RDWR : O_RDONLY);
    if (file.fd < 0) {
        int sys = errno;
        err_sys(err, sys, "open segment %016" PRIx64 ".seg", number);
        if (sys != ENOENT)
            return ERR_IO;
        if (err)
            err->code = ERR_NOT_FOUND;
        return ERR_NOT_FOUND;
    }

    bool cut_short = false;
    r = read_head(&file, &cut_short, err);
    if (!r && cut_short && !incomplete)
        r = err_set(err, ERR_CORRUPT, "the head at 0 is incomplete");
    if (incomplete)
        *incomplete = !r && cut_short;
    if (r || cut_short) {
        disk->close(file.fd);
        if (r)
            (void)err_wrap(err, "segment %016" PRIx64 ".seg", number);
        return r;
    }
    *result = file;
    return 0;
}

int segment_create(const struct disk *disk, struct str dir, int dir_fd, uint64_t number,
                   uint64_t previous_sequence, struct segment *result, struct err *err)
{
    char path[SEGMENT_PATH], head[SEGMENT_HEAD];
    int r = segment_path(dir, number, path, err);
    if (r)
        return r;
    struct segment_file file = {
        .disk = disk, .number = number, .previous_sequence = previous_sequence};
    if (getrandom(&file.id, sizeof file.id, 0) != sizeof file.id)
        return err_sys(err, errno, "random bytes for a segment");
    file.fd = disk_open(disk, path, O_RDWR | O_CREAT | O_EXCL);
    if (file.fd < 0)
        return disk_failed(err, errno, "create segment %016" PRIx64 ".seg", number);

    write_head(head, &file);
    struct iovec iov = {head, sizeof head};
    r = disk_write(disk, file.fd, &iov, 1, 0, err);
    if (r) {
        /* If it stays, opening finds it incomplete and removes it. */
        disk->close(file.fd);
        (void)disk->unlink(path);
        (void)err_wrap(err, "create segment %016" PRIx64 ".seg", number);
        return r;
    }
    if (disk->fsync(file.fd) < 0)
        fatal("sync segment %016" PRIx64 ".seg: %s", number, strerror(errno));
    if (disk->fsync(dir_fd) < 0)
        fatal("sync the directory of segment %016" PRIx64 ".seg: %s", number, strerror(errno));
    *result = (struct segment){.file = file,
                               .direct_fd = -1,
                               .end = SEGMENT_HEAD,
                               .allocated = SEGMENT_HEAD,
                               .sequence = previous_sequence};
    return 0;
}

/* ---- appending ---- */

uint64_t segment_record_size(const struct record *record)
{
    uint64_t size = (uint64_t)SEGMENT_RECORD + record->table.len + record->body.len;
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static void write_record(char *at, const struct segment *segment, const struct segment_record *r)
{
    put_u32(at, record_magic);
    put_u32(at + REC_VERSION, VERSION | (uint32_t)SEGMENT_POST << 16); /* two fields of 2 bytes */
    put_u64(at + REC_SIZE, r->size);
    put_u64(at + REC_SEQUENCE, r->sequence);
    put_u64(at + REC_PREVIOUS, r->previous_sequence);
    put_u64(at + REC_GROUP, r->group_at);
    put_u64(at + REC_ID, segment->file.id);
    put_u32(at + REC_FIRST, (uint32_t)r->first_ordinal);
    put_u32(at + REC_COUNT, r->count);
    put_u64(at + REC_RECEIVED, (uint64_t)r->received_us);
    put_u32(at + REC_TABLE, r->table_len);
    put_u32(at + REC_BODY, r->body_len);
    put_u32(at + REC_TABLE_CRC, r->table_crc);
    put_u32(at + REC_CRC, crc32c(0, at, REC_CRC));
}

/* Back to the last durable record. */
static void cut(struct segment *segment)
{
    if (disk_truncate(segment->file.disk, segment->file.fd, segment->end) < 0)
        segment->broken = true;
    else
        segment->allocated = segment->end;
}

static int allocate(const struct segment *segment, uint64_t size)
{
    int r;
    do
        r = segment->file.disk->fallocate(segment->file.fd, 0, (off_t)segment->allocated,
                                          (off_t)size);
    while (r < 0 && errno == EINTR);
    return r < 0 ? errno : 0;
}

/* See that the file may grow to `end`; ahead to `target`, if there is that much. */
static int make_room(struct segment *segment, uint64_t end, uint64_t target, uint64_t reserve,
                     struct err *err)
{
    struct statvfs vfs;
    if (segment->file.disk->fstatvfs(segment->file.fd, &vfs) < 0)
        return err_sys(err, errno, "free space");
    uint64_t available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    uint64_t need = end > segment->allocated ? end - segment->allocated : 0;
    if (available < reserve || available - reserve < need)
        return err_set(err, ERR_FULL, "disk full: %" PRIu64 " bytes free, %" PRIu64 " in reserve",
                       available, reserve);
    if (need == 0 || segment->no_fallocate)
        return 0;

    uint64_t ahead = end > target ? need : target - segment->allocated;
    if (available - reserve < ahead)
        ahead = need;
    int sys = allocate(segment, ahead);
    if ((sys == ENOSPC || sys == EDQUOT) && ahead > need) {
        ahead = need;
        sys = allocate(segment, ahead);
    }
    if (sys == EOPNOTSUPP || sys == ENOSYS || sys == EINVAL) {
        segment->no_fallocate = true;
        return 0;
    }
    if (sys) {
        cut(segment); /* some file systems keep what they got before they failed */
        return disk_failed(err, sys, "allocate");
    }
    segment->allocated += ahead;
    return 0;
}

void segment_direct(struct segment *segment, struct str dir)
{
    char path[SEGMENT_PATH];
    segment->direct_fd = -1;
    segment->direct = NULL;
    if (segment_path(dir, segment->file.number, path, NULL) == 0)
        segment->direct_fd = disk_open(segment->file.disk, path, O_WRONLY | O_DIRECT);
}

void segment_stop(struct segment *segment)
{
    if (segment->direct_fd >= 0)
        segment->file.disk->close(segment->direct_fd);
    segment->direct_fd = -1;
    free(segment->direct);
    segment->direct = NULL;
}

/* One piece of a direct write; what a short write left is written again from
 * the block it ended in.  False: this way is closed, take the other. */
static bool write_piece(const struct segment *segment, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        struct iovec iov = {segment->direct + done, size - done};
        ssize_t n = segment->file.disk->pwritev(segment->direct_fd, &iov, 1, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < SEGMENT_BLOCK)
            return false;
        done += (size_t)n / SEGMENT_BLOCK * SEGMENT_BLOCK;
    }
    return true;
}

/* Write the group past the page cache: the processor copies it once, into
 * memory that is warm, and the kernel need not find pages for it.  Direct writes
 * are whole blocks.  The first block holds the end of what is durable already:
 * it is written again as it is (a buffered write would do the same when its
 * page goes out).  Behind the end of the group the last block is zeros, as the
 * file is there.  False when it cannot be done so; then nothing was promised. */
static bool write_direct(struct segment *segment, const struct iovec *iov, size_t count,
                         uint64_t end)
{
    if (segment->direct_fd < 0 || end - segment->end < SEGMENT_DIRECT_MIN)
        return false;
    if (!segment->direct &&
        posix_memalign((void **)&segment->direct, SEGMENT_BLOCK, SEGMENT_DIRECT) != 0) {
        segment->direct = NULL;
        return false;
    }
    uint64_t at = segment->end / SEGMENT_BLOCK * SEGMENT_BLOCK;
    size_t have = (size_t)(segment->end - at), got = 0;
    if (have > 0 &&
        (disk_read(segment->file.disk, segment->file.fd, segment->direct, have, at, &got, NULL) ||
         got < have))
        return false;
    for (size_t i = 0, skip = 0; i < count;) {
        size_t n = iov[i].iov_len - skip, room = SEGMENT_DIRECT - have;
        n = n < room ? n : room;
        if (n > 0)
            memcpy(segment->direct + have, (const char *)iov[i].iov_base + skip, n);
        have += n;
        skip += n;
        if (skip == iov[i].iov_len) {
            skip = 0;
            i++;
        }
        if (have < SEGMENT_DIRECT && i < count)
            continue;
        size_t size = (have + SEGMENT_BLOCK - 1) / SEGMENT_BLOCK * SEGMENT_BLOCK;
        memset(segment->direct + have, 0, size - have);
        if (!write_piece(segment, size, at)) {
            segment->file.disk->close(segment->direct_fd);
            segment->direct_fd = -1;
            return false;
        }
        at += size;
        have = 0;
    }
    if (at > segment->allocated)
        segment->allocated = at;
    return true;
}

int segment_append(struct segment *segment, const struct store_record *records, size_t count,
                   uint64_t target, uint64_t reserve, struct segment_mark *marks, struct err *err)
{
    assert(count > 0 && count <= STORE_GROUP_RECORDS);
    if (segment->broken)
        return err_set(err, ERR_IO, "segment %016" PRIx64 ".seg: broken by an earlier failure",
                       segment->file.number);

    static const char zeros[ALIGN];
    int r = 0;
    uint64_t end = segment->end, sequence = segment->sequence, ordinal = segment->ordinal;
    char *heads = malloc(count * SEGMENT_RECORD);
    struct iovec *iov = malloc(4 * count * sizeof *iov);
    if (!heads || !iov) {
        r = err_set(err, ERR_BUSY, "no memory for a group of %zu", count);
        goto out;
    }

    size_t parts = 0;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = records[i].record;
        assert(records[i].sequence > sequence && records[i].first.ordinal >= ordinal);
        assert(record->count > 0 && record->count <= RECORD_RUNS_MAX);
        assert(record->table.len <= UINT32_MAX && record->body.len <= UINT32_MAX);
        assert(end / ALIGN <= UINT32_MAX);
        const struct segment_record head = {
            .size = segment_record_size(record),
            .sequence = records[i].sequence,
            .previous_sequence = sequence,
            .group_at = segment->end,
            .first_ordinal = records[i].first.ordinal,
            .count = record->count,
            .table_len = (uint32_t)record->table.len,
            .body_len = (uint32_t)record->body.len,
            .table_crc = crc32c(0, record->table.at, record->table.len),
            .received_us = record->received_us,
        };
        char *at = heads + i * SEGMENT_RECORD;
        write_record(at, segment, &head);
        size_t used = SEGMENT_RECORD + record->table.len + record->body.len;
        iov[parts++] = (struct iovec){at, SEGMENT_RECORD};
        iov[parts++] = (struct iovec){(void *)(uintptr_t)record->table.at, record->table.len};
        iov[parts++] = (struct iovec){(void *)(uintptr_t)record->body.at, record->body.len};
        iov[parts++] = (struct iovec){(void *)(uintptr_t)zeros, (size_t)head.size - used};
        marks[i] = (struct segment_mark){records[i].first.ordinal, (uint32_t)(end / ALIGN)};
        end += head.size;
        sequence = head.sequence;
        ordinal = head.first_ordinal + head.count;
    }

    r = make_room(segment, end, target, reserve, err);
    if (r)
        goto out;
    if (!write_direct(segment, iov, parts, end))
        r = disk_write(segment->file.disk, segment->file.fd, iov, parts, segment->end, err);
    if (r) {
        cut(segment);
        goto out;
    }
    int64_t began_us = clock_mono_us();
    if (segment->file.disk->fdatasync(segment->file.fd) < 0)
        fatal("sync segment %016" PRIx64 ".seg: %s", segment->file.number, strerror(errno));
    metric_time(METRIC_FSYNC_SECONDS, (uint64_t)(clock_mono_us() - began_us));
    metric_add(METRIC_LOG_BYTES, (int64_t)(end - segment->end));

    segment->end = end;
    segment->sequence = sequence;
    segment->ordinal = ordinal;
    if (segment->allocated < end)
        segment->allocated = end;

out:
    free(iov);
    free(heads);
    if (r)
        (void)err_wrap(err, "segment %016" PRIx64 ".seg", segment->file.number);
    return r;
}

int segment_finish(struct segment *segment, struct err *err)
{
    if (segment->broken)
        return err_set(err, ERR_IO, "segment %016" PRIx64 ".seg: broken by an earlier failure",
                       segment->file.number);
    if (disk_truncate(segment->file.disk, segment->file.fd, segment->end) < 0)
        return err_sys(err, errno, "segment %016" PRIx64 ".seg: finish", segment->file.number);
    segment->allocated = segment->end;
    if (segment->file.disk->fdatasync(segment->file.fd) < 0)
        fatal("sync segment %016" PRIx64 ".seg: %s", segment->file.number, strerror(errno));
    return 0;
}

/* ---- walking ---- */

const char *segment_parse(const char *bytes, uint64_t id, struct segment_record *result,
                          bool *newer)
{
    *newer = false;
    if (get_u32(bytes) != record_magic)
        return "no record";
    if (crc32c(0, bytes, REC_CRC) != get_u32(bytes + REC_CRC))
        return "a record's head with a wrong checksum";
    if (get_u64(bytes + REC_ID) != id)
        return "a record of another segment";
    uint32_t version = get_u32(bytes + REC_VERSION) & 0xffff;
    if (version < OLDEST || version > VERSION ||
        get_u32(bytes + REC_VERSION) >> 16 != (uint32_t)SEGMENT_POST) {
        *newer = true;
        return "a record that needs a newer program";
    }

    struct segment_record r = {
        .size = get_u64(bytes + REC_SIZE),
        .sequence = get_u64(bytes + REC_SEQUENCE),
        .previous_sequence = get_u64(bytes + REC_PREVIOUS),
        .group_at = get_u64(bytes + REC_GROUP),
        .first_ordinal = get_u32(bytes + REC_FIRST),
        .count = get_u32(bytes + REC_COUNT),
        .table_len = get_u32(bytes + REC_TABLE),
        .body_len = get_u32(bytes + REC_BODY),
        .table_crc = get_u32(bytes + REC_TABLE_CRC),
        .received_us = (int64_t)get_u64(bytes + REC_RECEIVED),
    };
    uint64_t used = (uint64_t)SEGMENT_RECORD + r.table_len + r.body_len;
    if (r.size != (used + ALIGN - 1) / ALIGN * ALIGN)
        return "a record whose lengths disagree";
    if (r.count == 0 || r.count > RECORD_RUNS_MAX || r.table_len / RECORD_ENTRY < r.count ||
        r.first_ordinal + r.count > UINT32_MAX)
        return "a record of an impossible number of runs";
    if (r.sequence <= r.previous_sequence)
        return "a record out of sequence";
    *result = r;
    return NULL;
}

int segment_walk_start(struct segment_walk *walk, const struct segment_file *file, uint64_t end,
                       struct err *err)
{
    *walk = (struct segment_walk){
        .file = file,
        .at = SEGMENT_HEAD,
        .end = end,
        .sequence = file->previous_sequence,
        .window = malloc(WINDOW),
    };
    return walk->window ? 0 : err_set(err, ERR_BUSY, "no memory");
}

void segment_walk_end(struct segment_walk *walk)
{
    free(walk->window);
    walk->window = NULL;
}

/* `size` bytes at `at`; NULL when the file ends before. */
static int peek(struct segment_walk *walk, uint64_t at, size_t size, const char **bytes,
                struct err *err)
{
    assert(size <= WINDOW);
    if (at < walk->window_at || at - walk->window_at > walk->window_len ||
        walk->window_len - (at - walk->window_at) < size) {
        uint64_t left = walk->end > at ? walk->end - at : 0;
        walk->window_at = at;
        walk->window_len = 0;
        int r = disk_read(walk->file->disk, walk->file->fd, walk->window,
                          left < WINDOW ? (size_t)left : WINDOW, at, &walk->window_len, err);
        if (r) {
            (void)err_wrap(err, "segment %016" PRIx64 ".seg", walk->file->number);
            return r;
        }
    }
    size_t skip = (size_t)(at - walk->window_at);
    *bytes = walk->window_len - skip < size ? NULL : walk->window + skip;
    return 0;
}

int segment_walk_look(struct segment_walk *walk, struct segment_record *record, const char **why,
                      struct err *err)
{
    walk->newer = false;
    if (walk->at >= walk->end) {
        *why = "";
        return 0;
    }
    const char *bytes = NULL;
    int r = peek(walk, walk->at, SEGMENT_RECORD, &bytes, err);
    if (r)
        return r;
    if (!bytes) {
        *why = "a record cut short";
        return 0;
    }
    struct segment_record got = {0};
    *why = segment_parse(bytes, walk->file->id, &got, &walk->newer);
    if (*why)
        return 0;
    if (got.size > walk->end - walk->at)
        *why = "a record cut short";
    else if (got.sequence <= walk->sequence || got.first_ordinal < walk->ordinal ||
             (!walk->lost && got.previous_sequence != walk->sequence))
        *why = "a record out of sequence";
    else if (got.group_at > walk->at ||
             (!walk->lost && got.group_at != walk->at && got.group_at != walk->group_at))
        *why = "a record of another group";
    else
        *record = got;
    return 0;
}

void segment_walk_pass(struct segment_walk *walk, const struct segment_record *record)
{
    walk->at += record->size;
    walk->sequence = record->sequence;
    walk->group_at = record->group_at;
    walk->ordinal = record->first_ordinal + record->count;
    walk->lost = false;
}

int segment_walk_skip(struct segment_walk *walk, struct err *err)
{
    walk->lost = true;
    for (walk->at += ALIGN; walk->at < walk->end; walk->at += ALIGN) {
        const char *bytes = NULL;
        int r = peek(walk, walk->at, sizeof record_magic, &bytes, err);
        if (r)
            return r;
        if (!bytes)
            break;
        if (get_u32(bytes) != record_magic)
            continue;
        struct segment_record record;
        const char *why = NULL;
        r = segment_walk_look(walk, &record, &why, err);
        if (r || !why)
            return r;
    }
    walk->at = walk->end;
    return 0;
}

static int check_table(const struct segment_record *record, const char *table, struct err *err)
{
    return crc32c(0, table, record->table_len) == record->table_crc
               ? 0
               : err_set(err, ERR_CORRUPT, "a table with a wrong checksum");
}

static int read_whole(const struct segment_file *file, char *room, uint64_t size, uint64_t at,
                      struct err *err)
{
    size_t got = 0;
    int r = disk_read(file->disk, file->fd, room, size, at, &got, err);
    return r || got == size ? r : err_set(err, ERR_CORRUPT, "a record cut short");
}

int segment_read_table(const struct segment_file *file, uint64_t at,
                       const struct segment_record *record, char *room, struct err *err)
{
    int r = read_whole(file, room, record->table_len, at + SEGMENT_RECORD, err);
    return r ? r : check_table(record, room, err);
}

int segment_load(const struct segment_file *file, uint64_t at, const struct segment_record *record,
                 char **bytes, struct record *result, struct err *err)
{
    char *all = malloc(record->size);
    if (!all)
        return err_set(err, ERR_BUSY, "no memory for a record of %" PRIu64 " bytes", record->size);
    int r = read_whole(file, all, record->size, at, err);
    if (!r)
        r = check_table(record, all + SEGMENT_RECORD, err);
    if (r) {
        free(all);
        return r;
    }
    *bytes = all;
    *result = (struct record){
        .count = record->count,
        .received_us = record->received_us,
        .table = {all + SEGMENT_RECORD, record->table_len},
        .body = {all + SEGMENT_RECORD + record->table_len, record->body_len},
    };
    return 0;
}

int segment_marks_add(struct segment_marks *marks, struct segment_mark mark, struct err *err)
{
    if (marks->count == marks->cap) {
        size_t cap = marks->cap ? 2 * marks->cap : 64;
        struct segment_mark *more = realloc(marks->mark, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu records", cap);
        marks->mark = more;
        marks->cap = cap;
    }
    marks->mark[marks->count++] = mark;
    return 0;
}

static int mark_here(const struct segment_walk *walk, const struct segment_record *record,
                     struct segment_marks *marks, struct err *err)
{
    if (walk->at / ALIGN > UINT32_MAX)
        return err_set(err, ERR_CORRUPT, "segment %016" PRIx64 ".seg: longer than it may be",
                       walk->file->number);
    return segment_marks_add(
        marks, (struct segment_mark){(uint32_t)record->first_ordinal, (uint32_t)(walk->at / ALIGN)},
        err);
}

int segment_scan(const struct segment_file *file, uint64_t end, struct segment_marks *marks,
                 struct err *err)
{
    struct segment_walk walk;
    int r = segment_walk_start(&walk, file, end, err);
    while (!r) {
        struct segment_record record;
        const char *why = NULL;
        r = segment_walk_look(&walk, &record, &why, err);
        if (r || (why && why[0] == '\0'))
            break;
        if (why) {
            marks->damaged = true;
            r = segment_walk_skip(&walk, err);
            continue;
        }
        r = mark_here(&walk, &record, marks, err);
        segment_walk_pass(&walk, &record);
    }
    segment_walk_end(&walk);
    return r;
}

/* ---- repairing ---- */

/* Is every run of the record at `at` what was written?  If not, `bad` says why. */
static int check_whole(const struct segment_file *file, uint64_t at,
                       const struct segment_record *head, struct err *bad, struct err *err)
{
    char *bytes = NULL;
    struct record record;
    *bad = (struct err){0};
    int r = segment_load(file, at, head, &bytes, &record, bad);
    for (uint32_t i = 0; !r && i < record.count; i++) {
        struct run run;
        r = record_run(&record, i, &run, bad);
    }
    free(bytes);
    if (!r || r == ERR_CORRUPT)
        return 0;
    if (err)
        *err = *bad;
    return r;
}

/* Behind the bad record at walk->at, is there one of a group that was begun
 * after the bad record's group had been synced? */
static int look_behind(struct segment_walk *walk, bool *later, struct err *err)
{
    *later = false;
    for (uint64_t at = walk->at; at < walk->end && !*later; at += ALIGN) {
        const char *bytes = NULL;
        int r = peek(walk, at, sizeof record_magic, &bytes, err);
        if (!r && bytes && get_u32(bytes) != record_magic)
            continue;
        if (!r)
            r = peek(walk, at, SEGMENT_RECORD, &bytes, err);
        if (r || !bytes)
            return r;
        struct segment_record record = {0};
        bool newer;
        const char *bad = segment_parse(bytes, walk->file->id, &record, &newer);
        *later = newer || (!bad && record.group_at > walk->at && record.group_at <= at);
    }
    return 0;
}

int segment_recover(const struct segment_file *file, bool repair, uint64_t durable_sequence,
                    struct segment *result, struct segment_marks *marks, struct err *err)
{
    uint64_t size = 0, again_at = 0;
    struct segment_walk walk;
    int r = file_size(file, &size, err);
    if (r)
        return r;
    r = segment_walk_start(&walk, file, size, err);
    if (r)
        return r;

    for (;;) {
        struct segment_record record;
        const char *why = NULL;
        struct err bad = {0};
        r = segment_walk_look(&walk, &record, &why, err);
        if (r || (why && why[0] == '\0'))
            goto out;
        if (!why) {
            r = check_whole(file, walk.at, &record, &bad, err);
            if (r)
                goto out;
            if (bad.code == ERR_OK) {
                r = mark_here(&walk, &record, marks, err);
                if (r)
                    goto out;
                segment_walk_pass(&walk, &record);
                continue;
            }
            why = bad.text;
        }

        bool damage = walk.newer || walk.sequence < durable_sequence;
        if (!damage) {
            r = look_behind(&walk, &damage, err);
            if (r)
                goto out;
        }
        if (!damage)
            break;
        /* Beside a writer, both may have been written since the look at the first. */
        walk.window_len = 0;
        if (!repair && again_at != walk.at) {
            again_at = walk.at;
            continue;
        }
        if (repair) {
            r = err_set(err, ERR_CORRUPT,
                        "segment %016" PRIx64 ".seg: damaged at %" PRIu64 ": %s. Nothing was "
                        "changed; `rundlet export` prints what is sound",
                        file->number, walk.at, why);
            goto out;
        }
        /* Only readers come here: what is good they may have, and the rest is
         * for whoever walks it to tell. */
        marks->damaged = true;
        r = segment_walk_skip(&walk, err);
        if (r)
            goto out;
    }

out:
    segment_walk_end(&walk);
    if (r)
        return r;
    /* Also when nothing is cut: what a killed process wrote is perhaps not synced. */
    if (repair && size > walk.at && disk_truncate(file->disk, file->fd, walk.at) < 0)
        return err_sys(err, errno, "segment %016" PRIx64 ".seg: cut", file->number);
    if (repair && file->disk->fsync(file->fd) < 0)
        return err_sys(err, errno, "segment %016" PRIx64 ".seg: sync", file->number);
    *result = (struct segment){
        .file = *file,
        .end = walk.at,
        .allocated = walk.at,
        .sequence = walk.sequence,
        .ordinal = walk.ordinal,
        .direct_fd = -1,
    };
    return 0;
}
