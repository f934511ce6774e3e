/* store.c - see store.h.
 *
 * One file of the directory, the one with the greatest number, is written
 * (segment.h); all of them are read (reader.h).  A group whose records would
 * not fit is given places in the next file when they are reserved, and that
 * file is made when they are appended, so reserving touches no disk.
 *
 * Places are given again when an append fails or a batch is refused; sequences
 * never are, so two records with one sequence do not exist even for a moment.
 */
#include "store/store.h"

#include <assert.h>
#include <dirent.h>
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
#include "store/reader.h"
#include "store/segment.h"

struct store {
    struct store_config config;
    const struct disk *disk;
    int dir_fd;
    struct reader *reader;
    struct lane *lane; /* reads; NULL when there are no threads for it */
    atomic_uint_fast64_t segments, bytes, last_sequence;
    atomic_bool broken;

    /* Of the one writer. */
    struct segment last; /* the file that is written; file.number 0: none yet */
    uint64_t *older;     /* numbers of the others, ascending */
    size_t older_count, older_cap;
    uint64_t next_number; /* of the next file */
    uint64_t next_sequence;
    struct segment_mark marks[STORE_GROUP_RECORDS];

    /* Where the last walk was stopped by its visitor, so that a log that is
     * walked in portions is read once. */
    struct segment_walk stopped;
    uint64_t stopped_number; /* of its file; 0: nowhere */

    char dir[];
};

/* ---- opening ---- */

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int add_older(struct store *store, uint64_t number, struct err *err)
{
    if (store->older_count == store->older_cap) {
        size_t cap = store->older_cap ? 2 * store->older_cap : 64;
        uint64_t *more = realloc(store->older, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu segments", cap);
        store->older = more;
        store->older_cap = cap;
    }
    store->older[store->older_count++] = number;
    return 0;
}

/* The numbers of all files, ascending, in store->older. */
static int list(struct store *store, struct err *err)
{
    DIR *dir = opendir(store->dir);
    if (!dir)
        return err_sys(err, errno, "list %s", store->dir);
    int r = 0;
    while (!r) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                r = err_sys(err, errno, "list %s", store->dir);
            break;
        }
        uint64_t number;
        if (segment_named(entry->d_name, &number))
            r = add_older(store, number, err);
    }
    closedir(dir);
    if (!r && store->older_count > 0)
        qsort(store->older, store->older_count, sizeof *store->older, compare_numbers);
    return r;
}

static int remove_incomplete(struct store *store, uint64_t number, struct err *err)
{
    char path[SEGMENT_PATH];
    int r = segment_path(store->config.dir, number, path, err);
    if (!r && store->disk->unlink(path) < 0)
        r = err_sys(err, errno, "remove incomplete segment %016" PRIx64 ".seg", number);
    return r;
}

/* Take the file of the greatest number that was ever begun as the last, and
 * repair its end. */
static int recover(struct store *store, struct err *err)
{
    bool repair = !store->config.read_only;
    if (store->older_count > 0)
        store->next_number = store->older[store->older_count - 1] + 1;
    struct segment_file file;
    bool incomplete = true;
    int r = 0;
    while (store->older_count > 0 && incomplete) {
        uint64_t number = store->older[--store->older_count];
        r = segment_open(store->disk, store->config.dir, number, repair, &file, &incomplete, err);
        if (!r && incomplete && repair)
            r = remove_incomplete(store, number, err);
        if (r)
            return r;
    }
    if (!incomplete) {
        struct segment_marks marks = {0};
        r = segment_recover(&file, repair, store->config.durable_sequence, &store->last, &marks,
                            err);
        for (size_t i = 0; i < store->older_count && !r; i++)
            r = reader_add(store->reader, store->older[i], NULL, NULL, 0, err);
        if (!r)
            r = reader_add(store->reader, file.number, &file, &marks, store->last.end, err);
        if (r)
            store->disk->close(file.fd);
        free(marks.mark);
        if (r)
            return r;
    }
    store->next_sequence = store->last.sequence + 1;
    return 0;
}

/* Bytes in all files, for the metrics; one that cannot be asked counts nothing. */
static void count_bytes(struct store *store)
{
    atomic_store(&store->segments, store->older_count + (store->last.file.number != 0));
    atomic_store(&store->bytes, store->last.end);
    atomic_store(&store->last_sequence, store->last.sequence);
    for (size_t i = 0; i < store->older_count; i++) {
        char path[SEGMENT_PATH];
        struct stat st;
        if (!segment_path(store->config.dir, store->older[i], path, NULL) && stat(path, &st) == 0)
            atomic_fetch_add(&store->bytes, (uint64_t)st.st_size);
    }
}

static void read_chain(void *context, struct op *chain);

int store_open(const struct store_config *config, struct store **result, struct err *err)
{
    struct store *store = calloc(1, sizeof *store + config->dir.len + 1);
    if (!store)
        abort();
    memcpy(store->dir, config->dir.at, config->dir.len);
    store->config = *config;
    store->config.dir = (struct str){store->dir, config->dir.len};
    if (store->config.segment_size == 0)
        store->config.segment_size = STORE_SEGMENT_SIZE;
    store->disk = config->disk;
    store->next_number = 1;
    store->last.direct_fd = -1;
    store->reader = reader_new(config->disk, store->config.dir, config->read_only);

    int r = 0;
    store->dir_fd = disk_open(store->disk, store->dir, O_RDONLY | O_DIRECTORY);
    if (store->dir_fd < 0) {
        r = err_sys(err, errno, "open directory %s", store->dir);
        goto out;
    }
    r = list(store, err);
    if (!r)
        r = recover(store, err);
    /* The name of the last file is perhaps not durable yet, its records are. */
    if (!r && !config->read_only && store->disk->fsync(store->dir_fd) < 0)
        r = err_sys(err, errno, "sync directory %s", store->dir);
    if (r)
        goto out;
    count_bytes(store);
    if (!config->read_only && store->last.file.number != 0)
        segment_direct(&store->last, store->config.dir);
    if (config->read_threads > 0) {
        const struct lane_config lane = {
            .name = "store-read",
            .threads = config->read_threads,
            .queue_max = config->read_queue,
            .batch_max = 1,
            .work = read_chain,
            .context = store,
        };
        r = lane_open(&lane, &store->lane, err);
    }

out:
    if (r) {
        store_close(store);
        return err_wrap(err, "open store");
    }
    *result = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    lane_close(store->lane);
    segment_stop(&store->last);
    /* Everything that was promised is durable; this only gives space back. */
    if (store->last.allocated > store->last.end && !store->last.broken)
        (void)disk_truncate(store->disk, store->last.file.fd, store->last.end);
    reader_free(store->reader);
    if (store->dir_fd >= 0)
        store->disk->close(store->dir_fd);
    free(store->older);
    free(store);
}

/* ---- appending ---- */

uint64_t store_size(const struct record *record)
{
    return segment_record_size(record);
}

/* Must a group of `size` bytes and `runs` runs go into a new file? */
static bool must_roll(const struct store *store, uint64_t size, uint64_t runs)
{
    const struct segment *last = &store->last;
    if (last->file.number == 0)
        return true;
    if (last->end == SEGMENT_HEAD)
        return false; /* empty: there is no better one */
    return size > STORE_GROUP_MAX || last->end + size > store->config.segment_size ||
           last->ordinal + runs > UINT32_MAX;
}

int store_reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    assert(count > 0 && count <= STORE_GROUP_RECORDS && !store->config.read_only);
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
    if (store->last.broken)
        return err_set(err, ERR_IO, "segment %016" PRIx64 ".seg: broken by an earlier failure",
                       store->last.file.number);

    bool roll = must_roll(store, size, runs);
    uint64_t number = roll ? store->next_number : store->last.file.number;
    uint64_t ordinal = roll ? 0 : store->last.ordinal;
    for (size_t i = 0; i < count; i++) {
        records[i].first = (struct place){number, (uint32_t)ordinal};
        records[i].sequence = store->next_sequence++;
        ordinal += records[i].record->count;
    }
    return 0;
}

static int free_bytes(const struct store *store, uint64_t *result, struct err *err)
{
    struct statvfs vfs;
    if (store->disk->fstatvfs(store->dir_fd, &vfs) < 0)
        return err_sys(err, errno, "free space of %s", store->dir);
    *result = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}

/* Finish the last file and begin the next one. */
static int roll(struct store *store, uint64_t number, struct err *err)
{
    uint64_t available = 0;
    int r = free_bytes(store, &available, err);
    if (r)
        return r;
    if (available < store->config.reserve)
        return err_set(err, ERR_FULL, "disk full: %" PRIu64 " bytes free, %" PRIu64 " in reserve",
                       available, store->config.reserve);
    if (store->last.file.number != 0) {
        r = segment_finish(&store->last, err);
        if (!r)
            r = add_older(store, store->last.file.number, err);
        if (r)
            return r;
    }

    struct segment next = {0};
    struct segment_marks none = {0};
    store->next_number = number + 1; /* a failed one may leave its name */
    r = segment_create(store->disk, store->config.dir, store->dir_fd, number, store->last.sequence,
                       &next, err);
    if (!r) {
        r = reader_add(store->reader, number, &next.file, &none, next.end, err);
        if (r) {
            char path[SEGMENT_PATH];
            store->disk->close(next.file.fd);
            if (!segment_path(store->config.dir, number, path, NULL))
                (void)store->disk->unlink(path); /* empty, so it may stay too */
        }
    }
    if (r) {
        if (store->last.file.number != 0)
            store->older_count--;
        return r;
    }
    segment_stop(&store->last);
    store->last = next;
    segment_direct(&store->last, store->config.dir);
    atomic_fetch_add(&store->segments, 1);
    atomic_fetch_add(&store->bytes, next.end);
    return 0;
}

static int append(struct store *store, const struct store_record *records, size_t count,
                  struct err *err)
{
    if (records[0].first.container != store->last.file.number) {
        assert(records[0].first.container > store->last.file.number);
        int r = roll(store, records[0].first.container, err);
        if (r)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        assert(records[i].first.container == store->last.file.number);

    int r = reader_expect(store->reader, count, err);
    if (r)
        return r;
    uint64_t before = store->last.end;
    r = segment_append(&store->last, records, count, store->config.segment_size,
                       store->config.reserve, store->marks, err);
    if (r)
        return r;
    reader_publish(store->reader, store->marks, count, store->last.end);
    atomic_fetch_add(&store->bytes, store->last.end - before);
    atomic_store(&store->last_sequence, store->last.sequence);
    return 0;
}

void store_append(struct store *store, struct store_append *a)
{
    a->op.err = (struct err){0};
    if (a->count > 0 && append(store, a->records, a->count, &a->op.err) == 0)
        a->op.err = (struct err){0}; /* the error travels in op.err, and only one that is one */
    atomic_store(&store->broken, store->last.broken);
    op_finish(&a->op);
}

/* ---- reading ---- */

static void read_chain(void *context, struct op *chain)
{
    struct store *store = context;
    while (chain) {
        struct store_read *read = op_owner(chain, struct store_read, op);
        chain = chain->next;
        int64_t began_us = clock_mono_us();
        metric_add(METRIC_STORE_QUEUE_DEPTH, -1);
        read->op.err = (struct err){0};
        read->runs = arena_make(read->arena, struct run, read->count);
        (void)reader_read(store->reader, read->places, read->count, read->arena, read->runs,
                          &read->op.err); /* likewise */
        if (read->op.err.code == ERR_CORRUPT)
            metric_add(METRIC_STORE_CORRUPT, 1);
        metric_add(METRIC_STORE_READS, 1);
        metric_time(METRIC_STORE_READ_SECONDS, (uint64_t)(clock_mono_us() - began_us));
        op_finish(&read->op);
    }
}

void store_read(struct store *store, struct store_read *read)
{
    metric_add(METRIC_STORE_QUEUE_DEPTH, 1);
    if (store->lane && lane_submit(store->lane, &read->op))
        return;
    metric_add(METRIC_STORE_QUEUE_DEPTH, -1);
    metric_add(METRIC_STORE_READS_REFUSED, 1);
    op_fail(&read->op, ERR_BUSY, "too many reads are waiting");
}

/* ---- walking ---- */

struct journey {
    struct store *store;
    uint64_t after;
    store_visit_fn *visit;
    store_damaged_fn *damaged;
    void *context;
    uint64_t number, sequence; /* of the file before, and of its last record; 0: not known */
};

/* Something is wrong here: tell and go on, or give up. */
static int tell(const struct journey *j, uint64_t number, uint64_t at, const char *why,
                struct err *err)
{
    if (!j->damaged)
        return err_set(err, ERR_CORRUPT, "segment %016" PRIx64 ".seg: damaged at %" PRIu64 ": %s",
                       number, at, why);
    char name[SEGMENT_NAME + 1];
    snprintf(name, sizeof name, "%016" PRIx64 ".seg", number);
    j->damaged(j->context, (struct str){name, SEGMENT_NAME}, at, why);
    return 0;
}

static int visit_record(struct journey *j, struct segment_walk *walk,
                        const struct segment_record *head, struct err *err)
{
    char *bytes = NULL;
    struct record record;
    struct err bad = {0};
    int r = segment_load(walk->file, walk->at, head, &bytes, &record, &bad);
    if (r == ERR_CORRUPT)
        return tell(j, walk->file->number, walk->at, bad.text, err);
    if (r) {
        if (err)
            *err = bad;
        return r;
    }
    struct place first = {walk->file->number, (uint32_t)head->first_ordinal};
    r = j->visit(j->context, &record, first, head->sequence, err);
    free(bytes);
    return r;
}

/* `open_end`: another process is writing, so a bad record is where we stop. */
static int walk_file(struct journey *j, const struct segment_file *file, uint64_t end,
                     bool open_end, struct err *err)
{
    /* Files that follow each other are linked, so a lost end is noticed. */
    if (j->number + 1 == file->number && j->sequence != 0 &&
        j->sequence != file->previous_sequence) {
        int r = tell(j, j->number, 0, "records are missing at the end", err);
        if (r)
            return r;
    }

    struct store *store = j->store;
    struct segment_walk walk;
    bool sound = true;
    int r = segment_walk_start(&walk, file, end, err);
    if (store->stopped_number == file->number && store->stopped.sequence == j->after) {
        walk.at = store->stopped.at;
        walk.sequence = store->stopped.sequence;
        walk.group_at = store->stopped.group_at;
        walk.ordinal = store->stopped.ordinal;
    }
    store->stopped_number = 0;
    while (!r) {
        struct segment_record record;
        const char *why = NULL;
        r = segment_walk_look(&walk, &record, &why, err);
        if (r || (why && (why[0] == '\0' || open_end)))
            break;
        if (why) {
            sound = false;
            r = tell(j, file->number, walk.at, why, err);
            if (!r)
                r = segment_walk_skip(&walk, err);
            continue;
        }
        if (record.sequence > j->after)
            r = visit_record(j, &walk, &record, err);
        segment_walk_pass(&walk, &record);
        if (r && sound) {
            store->stopped = walk;
            store->stopped.file = NULL; /* only the position is kept */
            store->stopped.window = NULL;
            store->stopped_number = file->number;
        }
    }
    j->number = file->number;
    j->sequence = sound ? walk.sequence : 0;
    segment_walk_end(&walk);
    return r;
}

/* One that is not the last. */
static int walk_older(struct journey *j, uint64_t number, struct err *err)
{
    const struct store *store = j->store;
    struct segment_file file;
    bool incomplete = false;
    struct err bad = {0};
    int r = segment_open(store->disk, store->config.dir, number, false, &file, &incomplete, &bad);
    if (incomplete)
        return 0; /* left by a failed creation; nothing was ever in it */
    if (r == ERR_CORRUPT)
        return tell(j, number, 0, bad.text, err);
    if (r) {
        if (err)
            *err = bad;
        return r;
    }
    struct stat st;
    if (store->disk->fstat(file.fd, &st) < 0)
        r = err_sys(err, errno, "segment %016" PRIx64 ".seg: stat", number);
    else
        r = walk_file(j, &file, (uint64_t)st.st_size, false, err);
    store->disk->close(file.fd);
    return r;
}

/* Of store->older, the first that can have a record after `sequence`. */
static size_t first_after(const struct store *store, uint64_t sequence)
{
    if (sequence == 0)
        return 0;
    size_t i = store->older_count;
    uint64_t before = store->last.file.previous_sequence;
    while (i > 0 && before > sequence) {
        struct segment_file file;
        bool incomplete = false;
        i--;
        int r = segment_open(store->disk, store->config.dir, store->older[i], false, &file,
                             &incomplete, NULL);
        if (r || incomplete)
            continue; /* it says nothing; the one before it does */
        before = file.previous_sequence;
        store->disk->close(file.fd);
    }
    return i;
}

int store_walk(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
               store_damaged_fn *damaged, void *context, struct err *err)
{
    struct journey j = {.store = store,
                        .after = after_sequence,
                        .visit = visit,
                        .damaged = damaged,
                        .context = context};
    int r = 0;
    for (size_t i = first_after(store, after_sequence); i < store->older_count && !r; i++)
        r = walk_older(&j, store->older[i], err);
    if (!r && store->last.file.number != 0)
        r = walk_file(&j, &store->last.file, store->last.end, store->config.read_only, err);
    return r;
}

void store_sizes(const struct store *store, struct store_size *result)
{
    uint64_t available = 0;
    (void)free_bytes(store, &available, NULL); /* unknown is none */
    *result = (struct store_size){
        .segments = atomic_load(&store->segments),
        .bytes = atomic_load(&store->bytes),
        .last_sequence = atomic_load(&store->last_sequence),
        .broken = atomic_load(&store->broken),
        .free_bytes = available > store->config.reserve ? available - store->config.reserve : 0,
    };
}
