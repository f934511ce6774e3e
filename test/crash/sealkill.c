/* sealkill.c - a process that dies at every call of sealing, one after the other.
 *
 *     sealkill          die before call 1, 2, 3 ... until all of it passes
 *     sealkill all      and die again before each call of the second life
 *
 * A life opens a log of several segments and a SQLite index, recovers, and then
 * does what the server does: commits a batch, lets the segment rest, seals all
 * segments and removes them in the order of upkeep/upkeep.c, and between two of
 * them commits another batch.  All of it over a disk that ends the process before
 * the n-th call that would change something, or in the middle of a write.  So
 * each state that a killed server can leave is met once.  (Without `all` the
 * second life is killed too, at one place, another each time.)  Then:
 *
 *   - every batch that was acknowledged is there, byte for byte; the one that was
 *     under way is there whole or not at all; the log can be walked
 *   - nothing is left of half a pack, the sealing is completed, no segment stays
 *   - out of the packs it is all there again, also with an index made from them
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/log.h"
#include "index/index.h"
#include "ingest/commit.h"
#include "ingest/recover.h"
#include "lib/recorder.h"
#include "lib/scratch.h"
#include "loop/loop.h"
#include "run/batch.h"
#include "store/pack_file.h"
#include "store/seal.h"
#include "store/segment.h"
#include "store/store.h"

enum {
    SEGMENT = 1400 << 10,
    BEFORE = 10,              /* batches that are there at first */
    BATCHES = BEFORE + 2 * 2, /* and two more in each of two lives */
    RUNS_MAX = 40,
    KILLED = 42, /* status of a process that was killed as planned */
    POINTS_MAX = 10000,
    CHILD_SECONDS = 120
};

/* ---- what is stored ---- */

static struct batch *batch[BATCHES];
static const struct record *record[BATCHES];
static struct budget budget = {.limit = (size_t)1 << 32};

/* Outlives a process that is killed. */
static struct shared {
    bool submitted[BATCHES], acknowledged[BATCHES];
} * shared;

/* Runs of mixed sizes, one larger than a block of a pack; traces span batches. */
static struct batch *make_batch(unsigned number)
{
    static const struct batch_limits limits = {
        .body_max = 64 << 20, .run_max = 64 << 20, .runs_max = 10000, .name_max = 8192};
    size_t room = (4 << 20) + 1024, len = 0;
    char *body = malloc(room);
    if (!body)
        abort();
    unsigned runs = number % 4 == 3 ? 1 : RUNS_MAX - number;
    for (unsigned i = 0; i < runs; i++) {
        size_t size = number == 3 ? 1200 << 10 : number % 4 == 3 ? 300 << 10 : (i * 977) % 20000;
        len += (size_t)snprintf(body + len, room - len,
                                "%c{\"id\":\"%08x-0000-4000-8000-%012x\",\"trace_id\":\"%08x-1111-"
                                "4000-8000-000000000000\",\"name\":\"n%u\",\"inputs\":{\"t\":\"",
                                i ? ',' : '[', number * 7919 + 1, i, (i * 31) % 11, i % 3);
        for (size_t k = 0; k < size; k++)
            body[len++] = "0123456789abcdef"[(k * k * 31 + k / 7 + i + number) >> (k % 3) & 15];
        len += (size_t)snprintf(body + len, room - len, "\"}}");
    }
    body[len++] = ']';
    struct batch *result = batch_new(false, &limits, &budget, NULL, 1790000000000000, len);
    if (batch_feed(result, (struct str){body, len}, true) != BATCH_READY) {
        fprintf(stderr, "the test made a body that is refused\n");
        abort();
    }
    free(body);
    return result;
}

/* ---- a disk on which the process dies ---- */

static int die_at; /* before this call; 0: never */
static int calls;

static void tick(void)
{
    if (++calls == die_at)
        _exit(KILLED);
}

static int k_open(const char *path, int flags, mode_t mode)
{
    if (flags & O_CREAT)
        tick();
    return disk_real.open(path, flags, mode);
}

static int k_close(int fd)
{
    return disk_real.close(fd);
}

static ssize_t k_pread(int fd, void *bytes, size_t size, off_t at)
{
    return disk_real.pread(fd, bytes, size, at);
}

static ssize_t k_pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    tick();
    if (calls + 1 == die_at) /* half of the first piece */
        (void)!pwrite(fd, iov->iov_base, iov->iov_len / 2, at);
    tick();
    return disk_real.pwritev(fd, iov, count, at);
}

/* The machine does not go down; what is not synced stays as well. */
static int k_sync(int fd)
{
    (void)fd;
    tick();
    return 0;
}

static int k_ftruncate(int fd, off_t size)
{
    tick();
    return disk_real.ftruncate(fd, size);
}

static int k_fallocate(int fd, int mode, off_t at, off_t size)
{
    tick();
    return disk_real.fallocate(fd, mode, at, size);
}

static int k_fstat(int fd, struct stat *result)
{
    return disk_real.fstat(fd, result);
}

static int k_fstatvfs(int fd, struct statvfs *result)
{
    return disk_real.fstatvfs(fd, result);
}

static int k_link(const char *from, const char *to)
{
    tick();
    return disk_real.link(from, to);
}

static int k_rename(const char *from, const char *to)
{
    tick();
    return disk_real.rename(from, to);
}

static int k_unlink(const char *path)
{
    tick();
    return disk_real.unlink(path);
}

static int k_mkdir(const char *path, mode_t mode)
{
    tick();
    return disk_real.mkdir(path, mode);
}

static const struct disk deadly_disk = {
    .open = k_open,
    .close = k_close,
    .pread = k_pread,
    .pwritev = k_pwritev,
    .fdatasync = k_sync,
    .fsync = k_sync,
    .ftruncate = k_ftruncate,
    .fallocate = k_fallocate,
    .fstat = k_fstat,
    .fstatvfs = k_fstatvfs,
    .link = k_link,
    .rename = k_rename,
    .unlink = k_unlink,
    .mkdir = k_mkdir,
};

/* ---- the engine, all on one thread ---- */

struct engine {
    char segments[PATH_MAX], packs[PATH_MAX], database[PATH_MAX];
    struct store *store;
    struct index *index;
    struct loop *loop;
    struct commit *commit;
    atomic_uint_fast64_t generation;
};

static void come_home(struct op *op)
{
    loop_stop(op->loop);
}

static int wait_home(struct engine *engine, const struct op *op, struct err *err)
{
    int r = loop_run(engine->loop, err);
    if (!r && op->err.code) {
        *err = op->err;
        r = (int)err->code;
    }
    return r;
}

/* Files of a directory whose names end so. */
static size_t count_files(const char *path, const char *ending)
{
    size_t count = 0, len = strlen(ending);
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        count += strlen(entry->d_name) > len &&
                 strcmp(entry->d_name + strlen(entry->d_name) - len, ending) == 0;
    if (dir)
        closedir(dir);
    return count;
}

static int engine_open(struct engine *engine, const char *dir, struct err *err)
{
    *engine = (struct engine){0};
    snprintf(engine->segments, PATH_MAX, "%s/segments", dir);
    snprintf(engine->packs, PATH_MAX, "%s/packs", dir);
    snprintf(engine->database, PATH_MAX, "%s/index.db", dir);
    int r = store_log_open(
        &(struct store_log_config){.dir = {engine->segments, strlen(engine->segments)},
                                   .packs = {engine->packs, strlen(engine->packs)},
                                   .disk = &deadly_disk,
                                   .segment_size = SEGMENT,
                                   .read_threads = 1,
                                   .read_queue = 64},
        &engine->store, err);
    if (!r && count_files(engine->packs, ".tmp") > 0)
        r = err_set(err, ERR_INVALID, "half a pack is left after the start");
    if (!r)
        r = index_sqlite_open(
            &(struct index_sqlite_config){.path = {engine->database, strlen(engine->database)},
                                          .readers = 1,
                                          .queue = 64,
                                          .deadline_ms = 60000,
                                          .cache_size = 1 << 20},
            &engine->index, err);
    if (!r)
        r = loop_open(0, "main", &engine->loop, err);
    if (!r)
        r = engine->index->ops->attach(engine->index, engine->loop, err);
    if (r)
        return r;
    struct recover recovery = {.op = {.loop = engine->loop, .done = come_home},
                               .index = engine->index,
                               .store = engine->store};
    recover(&recovery);
    r = wait_home(engine, &recovery.op, err);
    if (r)
        return err_wrap(err, "recover");
    engine->commit = commit_new(&(struct commit_config){.index = engine->index,
                                                        .store = engine->store,
                                                        .loop = engine->loop,
                                                        .queue_max = 16,
                                                        .generation = &engine->generation});
    return 0;
}

static void engine_close(struct engine *engine)
{
    commit_free(engine->commit);
    engine->index->ops->close(engine->index);
    store_close(engine->store);
    loop_close(engine->loop);
}

static int commit_batch(struct engine *engine, unsigned number, struct err *err)
{
    struct commit_batch one = {.op = {.loop = engine->loop, .done = come_home},
                               .record = record[number]};
    shared->submitted[number] = true;
    commit_submit(engine->commit, &one);
    int r = wait_home(engine, &one.op, err);
    if (!r && one.verdict != INDEX_ADDED)
        r = err_set(err, ERR_CONFLICT, "batch %u got verdict %d", number, (int)one.verdict);
    shared->acknowledged[number] = r == 0;
    return r ? err_wrap(err, "commit batch %u", number) : 0;
}

/* As upkeep does it: remove what is left, seal one, and again. */
static int drop_left(struct engine *engine, struct err *err)
{
    if (!store_left(engine->store))
        return 0;
    struct index_durable durable = {.op = {.loop = engine->loop, .done = come_home}};
    engine->index->ops->durable(engine->index, &durable);
    int r = wait_home(engine, &durable.op, err);
    while (!r && store_left(engine->store) && store_left(engine->store) <= durable.sequence)
        r = store_drop_left(engine->store, err);
    if (!r && store_left(engine->store))
        r = err_set(err, ERR_UNAVAILABLE, "the index is behind");
    return r;
}

static int rest(struct engine *engine, struct err *err)
{
    struct store_rest rest = {.op = {.loop = engine->loop, .done = come_home},
                              .before_us = INT64_MAX};
    store_rest(engine->store, &rest);
    int r = wait_home(engine, &rest.op, err);
    return r == ERR_NOT_FOUND ? 0 : r;
}

/* With `more`, that batch is committed after the first one is sealed. */
static int seal_all(struct engine *engine, int more, struct err *err)
{
    struct store_sealed sealed;
    int r = rest(engine, err);
    while (!r) {
        r = drop_left(engine, err);
        if (!r)
            r = store_seal(engine->store, NULL, NULL, &sealed, err);
        if (!r && more >= 0)
            r = commit_batch(engine, (unsigned)more, err);
        more = -1;
    }
    return r == ERR_NOT_FOUND ? drop_left(engine, err) : r;
}

/* ---- lives ---- */

static int make_base(const char *dir, struct err *err)
{
    struct engine engine;
    int r = engine_open(&engine, dir, err);
    for (unsigned i = 0; i < BEFORE && !r; i++)
        r = commit_batch(&engine, i, err);
    if (r)
        return r;
    size_t segments = count_files(engine.segments, ".seg");
    if (segments < 3)
        r = err_set(err, ERR_INVALID, "only %zu segments", segments);
    engine_close(&engine);
    return r;
}

static int live(const char *dir, unsigned number, struct err *err)
{
    struct engine engine;
    unsigned next = BEFORE + 2 * number;
    int r = engine_open(&engine, dir, err);
    if (!r)
        r = commit_batch(&engine, next, err);
    if (!r)
        r = seal_all(&engine, (int)next + 1, err);
    if (!r)
        r = rest(&engine, err);
    if (!r)
        r = seal_all(&engine, -1, err);
    if (!r)
        engine_close(&engine);
    return r;
}

/* Every run of the record, byte for byte; or none, if that is legal. */
static int compare(struct engine *engine, unsigned number, uint32_t *there, struct err *err)
{
    const struct record *want = record[number];
    struct arena *arena = arena_new(4096);
    struct uuid ids[RUNS_MAX];
    struct place places[RUNS_MAX];
    struct run run[RUNS_MAX];
    assert(want->count <= RUNS_MAX);
    int r = 0;
    for (uint32_t i = 0; i < want->count && !r; i++) {
        r = record_run(want, i, &run[i], err);
        ids[i] = run[i].id;
    }
    struct index_find find = {.op = {.loop = engine->loop, .done = come_home},
                              .ids = ids,
                              .count = want->count,
                              .arena = arena};
    if (!r) {
        engine->index->ops->find(engine->index, &find);
        r = wait_home(engine, &find.op, err);
    }
    *there = 0;
    for (uint32_t i = 0; i < want->count && !r; i++)
        if (find.rows[i].found)
            places[(*there)++] = find.rows[i].holders[0].place; /* it came whole */
    if (!r && *there > 0 && *there < want->count)
        r = err_set(err, ERR_CORRUPT, "%u of %u runs are there", *there, want->count);
    struct store_read read = {.op = {.loop = engine->loop, .done = come_home},
                              .places = places,
                              .count = *there,
                              .arena = arena};
    if (!r && *there > 0) {
        store_read(engine->store, &read);
        r = wait_home(engine, &read.op, err);
    }
    for (uint32_t i = 0; i < *there && !r; i++)
        if (!str_eq(run[i].raw, read.runs[i].raw))
            r = err_set(err, ERR_CORRUPT, "run %u came back with other bytes", i);
    arena_free(arena);
    return r ? err_wrap(err, "batch %u", number) : 0;
}

static int count_record(void *context, const struct record *one, struct place first,
                        uint64_t sequence, struct err *err)
{
    (void)first;
    (void)sequence;
    struct run run;
    int r = 0;
    for (uint32_t i = 0; i < one->count && !r; i++)
        r = record_run(one, i, &run, err);
    ++*(size_t *)context;
    return r;
}

static int compare_all(struct engine *engine, const char *when, struct err *err)
{
    size_t whole = 0, records = 0;
    int r = 0;
    for (unsigned i = 0; i < BATCHES && !r; i++) {
        uint32_t there = 0;
        r = compare(engine, i, &there, err);
        if (!r && there == 0 && shared->acknowledged[i])
            r = err_set(err, ERR_CORRUPT, "batch %u was acknowledged and is gone", i);
        if (!r && there > 0 && !shared->submitted[i])
            r = err_set(err, ERR_CORRUPT, "batch %u is there, and was never sent", i);
        whole += there > 0;
    }
    if (!r)
        r = store_walk(engine->store, 0, count_record, NULL, &records, err);
    if (!r && records != whole)
        r = err_set(err, ERR_CORRUPT, "the log has %zu records, %zu batches are there", records,
                    whole);
    return r ? err_wrap(err, "%s", when) : 0;
}

/* An empty segment waits to be written; any other should be sealed by now. */
static size_t count_left(const struct engine *engine)
{
    size_t count = count_files(engine->packs, ".tmp");
    DIR *dir = opendir(engine->segments);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char path[PATH_MAX + 300];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", engine->segments, entry->d_name);
        count += stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > SEGMENT_HEAD;
    }
    if (dir)
        closedir(dir);
    return count;
}

static int check(const char *dir, struct err *err)
{
    struct engine engine;
    int r = engine_open(&engine, dir, err);
    if (!r)
        r = compare_all(&engine, "after the start", err);
    if (!r)
        r = seal_all(&engine, -1, err);
    if (!r)
        r = compare_all(&engine, "sealed", err);
    size_t left = count_left(&engine);
    if (!r && left > 0)
        r = err_set(err, ERR_INVALID, "%zu segments and halves are left", left);
    if (r)
        return r;
    engine_close(&engine);
    char path[PATH_MAX + 8];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", engine.database,
                 (const char *[]){"", "-wal", "-shm"}[i]);
        if (unlink(path) < 0 && errno != ENOENT)
            return err_sys(err, errno, "remove %s", path);
    }
    r = engine_open(&engine, dir, err);
    if (!r)
        r = compare_all(&engine, "with an index made from the packs", err);
    if (!r)
        engine_close(&engine);
    return r;
}

/* ---- processes ---- */

enum life { LIFE_BASE, LIFE_FIRST, LIFE_SECOND, LIFE_CHECK };

/* True: it died as planned; `*good` is false when it ended with an error. */
static bool spawn(const char *dir, enum life life, int at, bool *good)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct err err = {0};
        alarm(CHILD_SECONDS);
        die_at = at;
        int r = life == LIFE_BASE    ? make_base(dir, &err)
                : life == LIFE_CHECK ? check(dir, &err)
                                     : live(dir, life - LIFE_FIRST, &err);
        if (r)
            printf("  %s\n", err.text);
        fflush(NULL);
        _exit(r != 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        exit(2);
    if (WIFSIGNALED(status))
        printf("  it died of signal %d\n", WTERMSIG(status));
    bool killed = WIFEXITED(status) && WEXITSTATUS(status) == KILLED;
    *good = killed || status == 0;
    return killed;
}

static void copy_dir(const char *from, const char *to)
{
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
    if (system(command) != 0)
        exit(2);
}

/* Killed before call `first`, and in the next life before call `second`.  False:
 * neither was reached. */
static bool try(const char *base, const char *dir, int first, int second,
                const struct shared *before, int *failed)
{
    bool good = false, killed = false, again = false;
    copy_dir(base, dir);
    *shared = *before;
    killed = spawn(dir, LIFE_FIRST, first, &good);
    if (good && second > 0)
        again = spawn(dir, LIFE_SECOND, second, &good);
    if (good)
        (void)spawn(dir, LIFE_CHECK, 0, &good);
    if (!good) {
        printf("FAIL killed before call %d, then before call %d\n", first, second);
        ++*failed;
    }
    return killed || again;
}

int main(int argc, char **argv)
{
    bool all = argc > 1 && strcmp(argv[1], "all") == 0;
    if (argc > 1 && !all) {
        fprintf(stderr, "usage: sealkill [all]\n");
        return 2;
    }
    struct scratch home = scratch_new();
    char base[PATH_MAX], dir[PATH_MAX], within[PATH_MAX + 16];
    snprintf(base, sizeof base, "%s/base", home.path);
    snprintf(dir, sizeof dir, "%s/data", home.path);
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_setup(LOG_ERROR, false);
    recorder_vfs_install(); /* whose syncs cost nothing */
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || mkdir(base, 0700) < 0)
        return 2;
    for (int i = 0; i < 2; i++) {
        snprintf(within, sizeof within, "%s/%s", base, i ? "packs" : "segments");
        if (mkdir(within, 0700) < 0)
            return 2;
    }
    for (unsigned i = 0; i < BATCHES; i++) {
        batch[i] = make_batch(i);
        record[i] = batch_record(batch[i]);
    }

    int failed = 0, passed = 0, points = 0;
    bool good = false;
    (void)spawn(base, LIFE_BASE, 0, &good);
    failed += !good;
    const struct shared before = *shared;
    /* How many calls a whole life has: then all is sealed and checked too. */
    while (good && points < POINTS_MAX && try(base, dir, ++points, 0, &before, &failed))
        passed++;
    printf("a life has %d calls at which it can die\n", points - 1);
    for (int n = 1; good && n < points; n++)
        for (int m = all ? 1 : 1 + (n * 7) % points; m < points; m += all ? 1 : points) {
            (void)try(base, dir, n, m, &before, &failed);
            passed++;
        }
    passed -= failed;
    if (failed == 0)
        scratch_remove(&home);
    for (unsigned i = 0; i < BATCHES; i++)
        batch_free(batch[i]);
    if (points < 40) {
        printf("FAIL that is too few\n");
        failed++;
    }
    printf("suite: %d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}
