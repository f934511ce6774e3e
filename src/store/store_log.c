/* store_log.c - the log as files of one directory; see store.h.
 *
 * One segment, the container with the greatest number, is written (segment.h);
 * all containers are read (reader.h).  A group whose records would
 * not fit is given places in the next file when they are reserved, and that
 * file is made when they are appended, so reserving touches no disk.
 *
 * Places are given again when an append fails or a batch is refused; sequences
 * never are, so two records with one sequence do not exist even for a moment.
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metric.h"
#include "loop/lane.h"
#include "store/arrange.h"
#include "store/pack_file.h"
#include "store/reader.h"
#include "store/seal.h"
#include "store/segment.h"
#include "store/walk.h"

static const int64_t SEAL_RETRY_US = 600 * 1000000LL;

struct log {
    struct store store;
    struct store_log_config config;
    const struct disk *disk;
    int dir_fd, packs_fd;
    struct reader *reader;
    struct lane *lane; /* reads; NULL when there are no threads for it */
    atomic_uint_fast64_t segments, bytes, packs, pack_bytes, last_sequence;
    atomic_int_fast64_t
        appended_us; /* when the segment that is written was, last; 0: it is empty */
    atomic_bool broken;

    /* Of the one writer. */
    struct segment last;          /* the file that is written; file.number 0: none yet */
    struct walk_container *older; /* the other containers, ascending */
    size_t older_count, older_cap;
    uint64_t next_number; /* of the next file */
    uint64_t next_sequence;
    struct segment_mark marks[STORE_GROUP_RECORDS];

    bool reserved; /* places were given, and not used yet */
    struct walk_stop stopped;

    /* Of the one that seals. */
    struct left {
        uint64_t number, sequence; /* of its last record */
    } * left;                      /* segments whose packs are there; oldest first */
    size_t left_count, left_cap;

    char *packs_dir; /* behind it, each with a NUL */
    char dir[];
};

static struct log *log_of(struct store *store)
{
    return op_owner(store, struct log, store);
}

/* ---- opening ---- */

static int add_older(struct log *log, uint64_t number, bool sealed, struct err *err)
{
    if (log->older_count == log->older_cap) {
        size_t cap = log->older_cap ? 2 * log->older_cap : 64;
        struct walk_container *more = realloc(log->older, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu containers", cap);
        log->older = more;
        log->older_cap = cap;
    }
    log->older[log->older_count++] = (struct walk_container){number, sealed};
    return 0;
}

static int add_left(struct log *log, uint64_t number, uint64_t sequence, struct err *err)
{
    if (log->left_count == log->left_cap) {
        size_t cap = log->left_cap ? 2 * log->left_cap : 8;
        struct left *more = realloc(log->left, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu segments", cap);
        log->left = more;
        log->left_cap = cap;
    }
    log->left[log->left_count++] = (struct left){number, sequence};
    return 0;
}

static int remove_segment(struct log *log, uint64_t number, struct err *err)
{
    char path[SEGMENT_PATH];
    int r = segment_path(log->config.dir, number, path, err);
    if (!r && log->disk->unlink(path) < 0)
        r = err_sys(err, errno, "remove incomplete segment %016" PRIx64 ".seg", number);
    return r;
}

/* Nothing is written at the moment: sequences go on behind the newest container. */
static int follow(struct log *log, const struct arrange *arrange, struct err *err)
{
    uint64_t sequence = 0, had = log->config.durable_sequence;
    const struct containers *list = &arrange->list;
    bool sure = true;
    int r = 0;
    if (list->count > 0)
        r = arrange_end(arrange, &list->at[list->count - 1], &sequence, &sure, err);
    /* What is damaged may have gone further, and the index may know. */
    log->last.sequence = !sure && sequence < had ? had : sequence;
    return r;
}

/* The segment of the greatest number that was ever begun is the one that is
 * written, unless it has become a pack, which beside a server may be just now.
 * One that had is not written again.  It goes off the list. */
static int take_last(struct log *log, struct arrange *arrange, struct segment_file *file,
                     bool *found, struct err *err)
{
    bool repair = !log->config.read_only;
    struct containers *list = &arrange->list;
    *found = false;
    while (list->count > 0 && !*found) {
        struct container *c = &list->at[list->count - 1];
        bool incomplete = false;
        if (c->pack || c->number <= arrange->newest_pack)
            return 0;
        int r = segment_open(log->disk, log->config.dir, c->number, repair, file, &incomplete, err);
        if (r == ERR_NOT_FOUND && !repair) {
            *c = (struct container){.number = c->number, .pack = true};
            return 0;
        }
        if (!r && incomplete && repair)
            r = remove_segment(log, c->number, err);
        if (r)
            return r;
        list->count--;
        *found = !incomplete;
    }
    return 0;
}

/* All containers but the one that is written. */
static int add_containers(struct log *log, const struct containers *list, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < list->count && !r; i++) {
        const struct container *c = &list->at[i];
        r = add_older(log, c->number, c->pack, err);
        if (!r)
            r = reader_add(log->reader, c->number, c->pack, NULL, NULL, 0, err);
        atomic_fetch_add(c->pack ? &log->packs : &log->segments, 1);
    }
    return r;
}

static int add_last(struct log *log, struct segment_file *file, struct err *err)
{
    struct segment_marks marks = {0};
    int r = segment_recover(file, !log->config.read_only, log->config.durable_sequence, &log->last,
                            &marks, err);
    if (!r)
        r = reader_add(log->reader, file->number, false, file, &marks, log->last.end, err);
    if (r)
        log->disk->close(file->fd);
    else
        atomic_fetch_add(&log->segments, 1);
    free(marks.mark);
    return r;
}

static int note_left(void *context, uint64_t number, uint64_t sequence, struct err *err)
{
    return add_left(context, number, sequence, err);
}

static int recover(struct log *log, struct err *err)
{
    struct segment_file file;
    bool found = false;
    struct arrange there = {
        .disk = log->disk,
        .segments = log->config.dir,
        .packs = log->config.packs,
        .read_only = log->config.read_only,
    };
    int r = arrange(&there, note_left, log, err);
    log->next_number = there.newest + 1;
    if (!r)
        r = take_last(log, &there, &file, &found, err);
    if (!r)
        r = add_containers(log, &there.list, err);
    if (!r && found)
        r = add_last(log, &file, err);
    else if (found)
        log->disk->close(file.fd);
    else if (!r)
        r = follow(log, &there, err);
    containers_free(&there.list);
    log->next_sequence = log->last.sequence + 1;
    return r;
}

/* Bytes in all files, for the metrics; one that cannot be asked counts nothing. */
static void count_bytes(struct log *log)
{
    atomic_store(&log->bytes, log->last.end);
    atomic_store(&log->last_sequence, log->last.sequence);
    for (size_t i = 0; i < log->older_count; i++) {
        char path[PACK_PATH];
        struct stat st;
        bool sealed = log->older[i].sealed;
        uint64_t number = log->older[i].number;
        int r = sealed ? pack_path(log->config.packs, number, path, NULL)
                       : segment_path(log->config.dir, number, path, NULL);
        if (!r && stat(path, &st) == 0)
            atomic_fetch_add(sealed ? &log->pack_bytes : &log->bytes, (uint64_t)st.st_size);
    }
}

static void read_chain(void *context, struct op *chain);
static void close_log(struct store *store);
static const struct store_ops log_ops;

int store_log_open(const struct store_log_config *config, struct store **result, struct err *err)
{
    struct log *log = calloc(1, sizeof *log + config->dir.len + config->packs.len + 2);
    if (!log)
        abort();
    log->packs_dir = log->dir + config->dir.len + 1;
    memcpy(log->dir, config->dir.at, config->dir.len);
    if (config->packs.len > 0)
        memcpy(log->packs_dir, config->packs.at, config->packs.len);
    log->config = *config;
    log->config.dir = (struct str){log->dir, config->dir.len};
    log->config.packs = (struct str){log->packs_dir, config->packs.len};
    if (log->config.segment_size == 0)
        log->config.segment_size = STORE_SEGMENT_SIZE;
    log->disk = config->disk;
    log->next_number = 1;
    log->last.direct_fd = -1;
    log->dir_fd = log->packs_fd = -1;
    log->reader = reader_new(config->disk, log->config.dir, log->config.packs, config->read_only);

    int r = 0;
    log->dir_fd = disk_open(log->disk, log->dir, O_RDONLY | O_DIRECTORY);
    if (log->dir_fd < 0) {
        r = err_sys(err, errno, "open directory %s", log->dir);
        goto out;
    }
    if (config->packs.len > 0)
        log->packs_fd = disk_open(log->disk, log->packs_dir, O_RDONLY | O_DIRECTORY);
    if (config->packs.len > 0 && log->packs_fd < 0 && !(config->read_only && errno == ENOENT)) {
        r = err_sys(err, errno, "open directory %s", log->packs_dir);
        goto out;
    }
    /* A pack that a killed process had just named must stay, or its segment. */
    if (log->packs_fd >= 0 && !config->read_only && log->disk->fsync(log->packs_fd) < 0) {
        r = err_sys(err, errno, "sync directory %s", log->packs_dir);
        goto out;
    }
    r = recover(log, err);
    /* The name of the last file is perhaps not durable yet, its records are. */
    if (!r && !config->read_only && log->disk->fsync(log->dir_fd) < 0)
        r = err_sys(err, errno, "sync directory %s", log->dir);
    if (r)
        goto out;
    count_bytes(log);
    if (log->last.end > SEGMENT_HEAD)
        atomic_store(&log->appended_us, clock_mono_us());
    if (!config->read_only && log->last.file.number != 0)
        segment_direct(&log->last, log->config.dir);
    if (config->read_threads > 0) {
        const struct lane_config lane = {
            .name = "store-read",
            .threads = config->read_threads,
            .queue_max = config->read_queue,
            .batch_max = 1,
            .work = read_chain,
            .context = log,
        };
        r = lane_open(&lane, &log->lane, err);
    }

out:
    if (r) {
        close_log(&log->store);
        return err_wrap(err, "open store");
    }
    log->store = (struct store){.ops = &log_ops, .groups = 1};
    *result = &log->store;
    return 0;
}

static void close_log(struct store *store)
{
    struct log *log = log_of(store);
    lane_close(log->lane);
    segment_stop(&log->last);
    /* Everything that was promised is durable; this only gives space back. */
    if (log->last.allocated > log->last.end && !log->last.broken)
        (void)disk_truncate(log->disk, log->last.file.fd, log->last.end);
    reader_free(log->reader);
    walk_stop_end(&log->stopped);
    if (log->dir_fd >= 0)
        log->disk->close(log->dir_fd);
    if (log->packs_fd >= 0)
        log->disk->close(log->packs_fd);
    free(log->left);
    free(log->older);
    free(log);
}

/* ---- appending ---- */

/* Must a group of `size` bytes and `runs` runs go into a new file? */
static bool must_roll(const struct log *log, uint64_t size, uint64_t runs)
{
    const struct segment *last = &log->last;
    if (last->file.number == 0)
        return true;
    if (last->end == SEGMENT_HEAD)
        return false; /* empty: there is no better one */
    return size > STORE_GROUP_MAX || last->end + size > log->config.segment_size ||
           last->ordinal + runs > SEGMENT_ORDINALS;
}

static int reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    struct log *log = log_of(store);
    assert(count > 0 && count <= STORE_GROUP_RECORDS && !log->config.read_only);
    uint64_t size = 0, runs = 0;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = records[i].record;
        if (record->table.len > UINT32_MAX || record->body.len > UINT32_MAX || record->count == 0 ||
            record->count > RECORD_RUNS_MAX)
            return err_set(err, ERR_TOO_BIG, "a batch of %" PRIu32 " runs and %zu bytes",
                           record->count, record->body.len);
        size += segment_record_size(record);
        runs += record->count;
    }
    assert(count == 1 || size <= STORE_GROUP_MAX);
    if (log->last.broken)
        return err_set(err, ERR_IO, "segment %016" PRIx64 ".seg: broken by an earlier failure",
                       log->last.file.number);

    bool roll = must_roll(log, size, runs);
    uint64_t number = roll ? log->next_number : log->last.file.number;
    uint64_t ordinal = roll ? 0 : log->last.ordinal;
    for (size_t i = 0; i < count; i++) {
        records[i].first = (struct place){number, (uint32_t)ordinal};
        records[i].sequence = log->next_sequence++;
        ordinal += records[i].record->count;
    }
    log->reserved = true;
    return 0;
}

static void forget(struct store *store)
{
    struct log *log = log_of(store);
    log->reserved = false;
}

static int free_bytes(const struct log *log, uint64_t *result, struct err *err)
{
    struct statvfs vfs;
    if (log->disk->fstatvfs(log->dir_fd, &vfs) < 0)
        return err_sys(err, errno, "free space of %s", log->dir);
    *result = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}

/* Finish the last file and begin the next one. */
static int roll(struct log *log, uint64_t number, struct err *err)
{
    uint64_t available = 0;
    int r = free_bytes(log, &available, err);
    if (r)
        return r;
    if (available < log->config.reserve)
        return err_set(err, ERR_FULL, "disk full: %" PRIu64 " bytes free, %" PRIu64 " in reserve",
                       available, log->config.reserve);
    if (log->last.file.number != 0) {
        r = segment_finish(&log->last, err);
        if (!r)
            r = add_older(log, log->last.file.number, false, err);
        if (r)
            return r;
    }

    struct segment next = {0};
    struct segment_marks none = {0};
    log->next_number = number + 1; /* a failed one may leave its name */
    r = segment_create(log->disk, log->config.dir, log->dir_fd, number, log->last.sequence, &next,
                       err);
    if (!r) {
        r = reader_add(log->reader, number, false, &next.file, &none, next.end, err);
        if (r) {
            char path[SEGMENT_PATH];
            log->disk->close(next.file.fd);
            if (!segment_path(log->config.dir, number, path, NULL))
                (void)log->disk->unlink(path); /* empty, so it may stay too */
        }
    }
    if (r) {
        if (log->last.file.number != 0)
            log->older_count--;
        return r;
    }
    segment_stop(&log->last);
    log->last = next;
    segment_direct(&log->last, log->config.dir);
    atomic_fetch_add(&log->segments, 1);
    atomic_fetch_add(&log->bytes, next.end);
    return 0;
}

static int append(struct log *log, const struct store_record *records, size_t count,
                  struct err *err)
{
    if (records[0].first.container != log->last.file.number) {
        assert(records[0].first.container > log->last.file.number);
        int r = roll(log, records[0].first.container, err);
        if (r)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        assert(records[i].first.container == log->last.file.number);

    int r = reader_expect(log->reader, count, err);
    if (r)
        return r;
    uint64_t before = log->last.end;
    r = segment_append(&log->last, records, count, log->config.segment_size, log->config.reserve,
                       log->marks, err);
    if (r)
        return r;
    reader_publish(log->reader, log->marks, count, log->last.end);
    atomic_fetch_add(&log->bytes, log->last.end - before);
    atomic_store(&log->last_sequence, log->last.sequence);
    atomic_store(&log->appended_us, clock_mono_us());
    return 0;
}

static void append_soon(struct store *store, struct store_append *a)
{
    struct log *log = log_of(store);
    a->op.err = (struct err){0};
    if (a->count > 0 && append(log, a->records, a->count, &a->op.err) == 0)
        a->op.err = (struct err){0}; /* the error travels in op.err, and only one that is one */
    log->reserved = false;
    atomic_store(&log->broken, log->last.broken);
    op_finish(&a->op);
}

/* ---- reading ---- */

static void read_chain(void *context, struct op *chain)
{
    struct log *log = context;
    while (chain) {
        struct store_read *read = op_owner(chain, struct store_read, op);
        chain = chain->next;
        int64_t began_us = clock_mono_us();
        metric_add(METRIC_STORE_QUEUE_DEPTH, -1);
        read->op.err = (struct err){0};
        read->runs = arena_make(read->arena, struct run, read->count);
        (void)reader_read(log->reader, read->places, read->count, read->arena, read->runs,
                          &read->op.err); /* likewise */
        if (read->op.err.code == ERR_CORRUPT)
            metric_add(METRIC_STORE_CORRUPT, 1);
        metric_add(METRIC_STORE_READS, 1);
        metric_time(METRIC_STORE_READ_SECONDS, (uint64_t)(clock_mono_us() - began_us));
        op_finish(&read->op);
    }
}

static void read_soon(struct store *store, struct store_read *read)
{
    struct log *log = log_of(store);
    metric_add(METRIC_STORE_QUEUE_DEPTH, 1);
    if (log->lane && lane_submit(log->lane, &read->op))
        return;
    metric_add(METRIC_STORE_QUEUE_DEPTH, -1);
    metric_add(METRIC_STORE_READS_REFUSED, 1);
    op_fail(&read->op, ERR_BUSY, "too many reads are waiting");
}

/* What cannot be read of it is an error where it is read. */
static void probe_log(struct store *store, struct store_probe *probe)
{
    (void)store;
    op_finish(&probe->op);
}

/* ---- walking ---- */

static struct walk_log walk_of(const struct log *log)
{
    return (struct walk_log){
        .disk = log->disk,
        .segments = log->config.dir,
        .packs = log->config.packs,
        .containers = log->older,
        .count = log->older_count,
        .last = log->last.file.number ? &log->last : NULL,
        .live = log->config.read_only,
    };
}

static void end_walk(struct store *store)
{
    struct log *log = log_of(store);
    walk_stop_end(&log->stopped);
}

static int walk_records(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
                        store_damaged_fn *damaged, void *context, struct err *err)
{
    struct log *log = log_of(store);
    const struct walk_log where = walk_of(log);
    return walk(&where, &log->stopped, after_sequence, visit, damaged, context, err);
}

/* ---- sealing ---- */

void store_rest(struct store *store, struct store_rest *rest)
{
    struct log *log = log_of(store);
    rest->op.err = (struct err){0};
    struct segment *last = &log->last;
    int r = 0;
    if (log->reserved || last->broken)
        r = err_set(&rest->op.err, ERR_BUSY, "the segment is being written");
    else if (last->file.number == 0 || last->end == SEGMENT_HEAD)
        r = err_set(&rest->op.err, ERR_NOT_FOUND, "nothing is in the segment");
    else if (atomic_load(&log->appended_us) > rest->before_us)
        r = err_set(&rest->op.err, ERR_BUSY, "the segment was written since");
    if (!r)
        r = segment_finish(last, &rest->op.err);
    if (!r)
        r = add_older(log, last->file.number, false, &rest->op.err);
    if (!r) {
        reader_rest(log->reader);
        segment_stop(last);
        *last = (struct segment){.sequence = last->sequence, .direct_fd = -1};
        atomic_store(&log->appended_us, 0);
    }
    op_finish(&rest->op);
}

static void count_sealed(struct log *log, uint64_t number, uint64_t pack_size)
{
    struct stat st;
    char path[SEGMENT_PATH];
    if (!segment_path(log->config.dir, number, path, NULL) && stat(path, &st) == 0)
        atomic_fetch_sub(&log->bytes, (uint64_t)st.st_size);
    atomic_fetch_sub(&log->segments, 1);
    atomic_fetch_add(&log->packs, 1);
    atomic_fetch_add(&log->pack_bytes, pack_size);
}

/* Where does a segment end, by what came after it?  The next container says;
 * when there is none, nothing was appended since.  0: nobody knows. */
static uint64_t end_by_next(struct log *log, uint64_t number)
{
    uint64_t newest = atomic_load(&log->last_sequence), sequence = 0; /* in this order */
    bool sealed;
    struct walk_container next = {.number = reader_next(log->reader, number, &sealed)};
    const struct walk_log where = {
        .disk = log->disk, .segments = log->config.dir, .packs = log->config.packs};
    next.sealed = sealed;
    if (next.number == 0)
        return newest;
    return walk_sequence_before(&where, next, &sequence) ? sequence : 0;
}

int store_seal(struct store *store, store_pace_fn *pace, void *context, struct store_sealed *result,
               struct err *err)
{
    struct log *log = log_of(store);
    assert(log->packs_fd >= 0 && !log->config.read_only);
    uint64_t number = reader_next_segment(log->reader, clock_mono_us());
    if (number == 0)
        return err_set(err, ERR_NOT_FOUND, "no segment is to be sealed");
    struct seal seal = {
        .disk = log->disk,
        .segments = log->config.dir,
        .packs = log->config.packs,
        .packs_fd = log->packs_fd,
        .number = number,
        .end_sequence = end_by_next(log, number),
        .keep_free = log->config.reserve / 2,
        .pace = pace,
        .context = context,
    };
    int r = seal_segment(&seal, err);
    if (r == ERR_NOT_FOUND) { /* it is known, and not there */
        r = ERR_CORRUPT;
        if (err)
            err->code = ERR_CORRUPT;
    }
    if (r == ERR_CORRUPT)
        reader_put_off(log->reader, number, INT64_MAX);
    else if (r == ERR_IO)
        reader_put_off(log->reader, number, clock_mono_us() + SEAL_RETRY_US);
    if (!r)
        r = add_left(log, number, seal.last_sequence, err);
    if (r)
        return r;
    reader_seal(log->reader, number);
    count_sealed(log, number, seal.pack_size);
    *result = (struct store_sealed){number, seal.raw_size, seal.pack_size};
    return 0;
}

uint64_t store_left(struct store *store)
{
    const struct log *log = log_of(store);
    return log->left_count > 0 ? log->left[0].sequence : 0;
}

int store_drop_left(struct store *store, struct err *err)
{
    struct log *log = log_of(store);
    assert(log->left_count > 0);
    char path[SEGMENT_PATH];
    uint64_t number = log->left[0].number;
    int r = segment_path(log->config.dir, number, path, err);
    if (!r && log->disk->unlink(path) < 0 && errno != ENOENT)
        r = err_sys(err, errno, "remove segment %016" PRIx64 ".seg", number);
    if (r)
        return r;
    log->left_count--;
    memmove(log->left, log->left + 1, log->left_count * sizeof *log->left);
    return 0;
}

static void sizes(struct store *store, struct store_sizes *result)
{
    const struct log *log = log_of(store);
    uint64_t available = 0;
    (void)free_bytes(log, &available, NULL); /* unknown is none */
    *result = (struct store_sizes){
        .segments = atomic_load(&log->segments),
        .bytes = atomic_load(&log->bytes),
        .packs = atomic_load(&log->packs),
        .pack_bytes = atomic_load(&log->pack_bytes),
        .appended_us = atomic_load(&log->appended_us),
        .last_sequence = atomic_load(&log->last_sequence),
        .broken = atomic_load(&log->broken),
        .free_bytes = available > log->config.reserve ? available - log->config.reserve : 0,
    };
}

static int attach(struct store *store, struct loop *loop, struct err *err)
{
    (void)store;
    (void)loop;
    (void)err;
    return 0;
}

static const struct store_ops log_ops = {
    .name = "log",
    .attach = attach,
    .reserve = reserve,
    .append = append_soon,
    .forget = forget,
    .read = read_soon,
    .probe = probe_log,
    .walk = walk_records,
    .walk_end = end_walk,
    .sizes = sizes,
    .close = close_log,
};
