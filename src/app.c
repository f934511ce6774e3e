/* app.c - see app.h. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends.h"
#include "base/buf.h"
#include "base/log.h"
#include "cache/cache.h"
#include "config.h"
#include "identity.h"
#include "index/index.h"
#include "ingest/commit.h"
#include "ingest/recover.h"
#include "loop/loop.h"
#include "loop/news.h"
#include "serve/follow.h"
#include "store/store.h"
#include "upkeep/upkeep.h"

enum { QUEUE_MAX = 4096 /* batches that may wait */ };

/* A directory's name must be as durable as what it will hold.  Also when it was
 * there: who made it may have been killed before the sync. */
int app_make_dir(const char *path, struct err *err)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_sys(err, errno, "make the directory %s", path);
    char parent[4200];
    snprintf(parent, sizeof parent, "%s/..", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) /* if it was made for us, what is above it may be none of our business */
        return made ? err_sys(err, errno, "open the directory above %s", path) : 0;
    int r = 0;
    if (fsync(fd) != 0 && (made || errno != EINVAL)) /* a read-only file system may say that */
        r = err_sys(err, errno, "sync the directory above %s", path);
    close(fd);
    return r;
}

static int path_of(const struct config *config, const char *name, char *room, size_t size,
                   struct err *err)
{
    int len = snprintf(room, size, "%s/%s", config->data, name);
    if (len < 0 || (size_t)len >= size)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    return 0;
}

/* Where the lock of a directory is. */
static int lock_path(const char *dir, char *room, size_t size, struct err *err)
{
    int len = snprintf(room, size, "%s/lock", dir);
    if (len < 0 || (size_t)len >= size)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    return 0;
}

static struct str holder_of(const char *dir, char *room, unsigned size)
{
    char path[4200];
    struct str none = {0};
    if (lock_path(dir, path, sizeof path, NULL))
        return none;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return none;
    ssize_t len = -1;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        len = read(fd, room, size);
    close(fd);
    while (len > 0 && room[len - 1] == '\n')
        len--;
    return len > 0 ? (struct str){room, (size_t)len} : none;
}

struct str app_holder(const struct config *config, char *room, unsigned size)
{
    return holder_of(config->data, room, size);
}

static int in_use(const char *dir, struct err *err)
{
    char holder[256];
    struct str who = holder_of(dir, holder, sizeof holder);
    return err_set(err, ERR_CONFLICT,
                   "%.80s is in use by another rundlet (%.*s): stop it, or choose another "
                   "directory",
                   dir, STR_FMT(who));
}

/* Write down who holds the lock. */
static int announce(int fd, const char *dir, const char *url, struct err *err)
{
    char line[256];
    int len = snprintf(line, sizeof line, "pid %ld%s%s\n", (long)getpid(), url[0] ? ", " : "", url);
    if (len < 0 || (size_t)len >= sizeof line)
        len = sizeof line - 1;
    if (ftruncate(fd, 0) != 0 || pwrite(fd, line, (size_t)len, 0) != len)
        return err_sys(err, errno, "write the lock file of %.80s", dir);
    return 0;
}

int app_lock(const char *dir, int *lock, struct err *err)
{
    char path[4200];
    if (app_make_dir(dir, err) || lock_path(dir, path, sizeof path, err))
        return (int)err->code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    int r = flock(fd, LOCK_EX | LOCK_NB) != 0 ? in_use(dir, err) : announce(fd, dir, "", err);
    if (r)
        close(fd);
    else
        *lock = fd;
    return r;
}

int app_lock_shared(const char *dir, int *lock, struct err *err)
{
    char path[4200];
    if (lock_path(dir, path, sizeof path, err))
        return ERR_INVALID;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        close(fd);
        return in_use(dir, err);
    }
    *lock = fd;
    return 0;
}

void app_unlock(int lock)
{
    if (lock >= 0)
        close(lock);
}

int app_announce(struct app *app, const char *url, struct err *err)
{
    if (app->lock_fd < 0)
        return 0; /* nothing is kept here */
    return announce(app->lock_fd, app->config->data, url, err);
}

static int open_loops(struct app *app, unsigned count, struct err *err)
{
    app->loops = calloc(count, sizeof *app->loops);
    if (!app->loops)
        abort();
    while (app->loop_count < count) {
        struct loop **loop = &app->loops[app->loop_count];
        if (loop_open(app->loop_count, "loop", loop, err))
            return (int)err->code;
        app->loop_count++;
        if (store_attach(app->store, *loop, err) ||
            app->index->ops->attach(app->index, *loop, err) ||
            app->cache->ops->attach(app->cache, *loop, err))
            return (int)err->code;
    }
    return 0;
}

static void recovered(struct op *op)
{
    loop_stop(op->loop);
}

/* The commit loop runs on this thread until the index has what the log has;
 * then it gets a thread of its own. */
static int open_commit(struct app *app, struct err *err)
{
    if (loop_open(app->loop_count, "commit", &app->commit_loop, err) ||
        store_attach(app->store, app->commit_loop, err) ||
        app->cache->ops->attach(app->cache, app->commit_loop, err) ||
        app->index->ops->attach(app->index, app->commit_loop, err))
        return (int)err->code;
    unsigned writers = app->index->writers, groups = store_groups(app->store);
    struct recover r = {
        .op = {.loop = app->commit_loop, .done = recovered},
        .index = app->index,
        .store = app->store,
        .salvage = app->use == APP_REBUILD,
    };
    /* A shared index is behind nothing; only who makes it anew walks the bucket. */
    bool follows = !app->index->shared || app->use == APP_REBUILD;
    if (follows)
        recover(&r);
    if (follows && loop_run(app->commit_loop, err))
        return (int)err->code;
    if (r.op.err.code) {
        *err = r.op.err;
        return err_wrap(err, "bring the index up to the log");
    }
    app->recovered_runs = r.runs;
    app->refused_runs = r.refused;
    app->lost_runs = r.lost;
    app->damaged = r.damaged || r.lost > 0;
    if (r.records)
        log_event(LOG_INFO, "recovered", LOG_N("records", r.records), LOG_N("runs", r.runs));
    app->commit = commit_new(&(struct commit_config){
        .index = app->index,
        .store = app->store,
        .loop = app->commit_loop,
        .queue_max = QUEUE_MAX,
        .groups = writers < groups ? writers : groups,
        .gather = app->config->gather,
        .flush_ms = (unsigned)app->config->flush_ms,
        .generation = &app->generation,
        .news = app->news,
    });
    if (loop_start(app->commit_loop, err))
        return (int)err->code;
    app->started = true;
    return 0;
}

static int sync_path(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open %.100s", path);
    int r = fsync(fd) == 0 ? 0 : err_sys(err, errno, "sync %.100s", path);
    close(fd);
    return r;
}

int app_mark_partial(const char *dir, bool partial, struct err *err)
{
    char path[4200];
    int len = snprintf(path, sizeof path, "%s/partial", dir);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    if (!partial && unlink(path) != 0)
        return err_sys(err, errno, "remove %.100s", path);
    int fd = partial ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (partial && fd < 0)
        return err_sys(err, errno, "make %.100s", path);
    if (partial)
        close(fd);
    return sync_path(dir, err);
}

static int check_whole(const struct config *config, struct err *err)
{
    char path[4200];
    if (path_of(config, "partial", path, sizeof path, err))
        return ERR_INVALID;
    return access(path, F_OK) != 0
               ? 0
               : err_set(err, ERR_CONFLICT,
                         "a restore to %.80s was cut short, and only a part is there: remove it, "
                         "and restore again",
                         config->data);
}

int app_open(const struct config *config, enum app_use use, unsigned loop_count,
             struct app **result, struct err *err)
{
    struct app *app = calloc(1, sizeof *app);
    if (!app)
        abort();
    app->config = config;
    app->use = use;
    app->lock_fd = -1;
    app->budget.limit = config->inflight_max;
    app->answers.limit = config->answers_max;
    atomic_init(&app->generation, 1);
    app->news = news_new(config->tails_max);
    app->loop_max = loop_count;
    bool kept_here = backends_need_data(config);
    if (kept_here && use != APP_READ &&
        (app_lock(config->data, &app->lock_fd, err) || check_whole(config, err)))
        goto fail;
    if (kept_here && identity_read(config->data, use != APP_READ, app->id, err))
        goto fail;
    if (backends_open_store(app, err) || backends_open_index(app, err) ||
        backends_open_cache(app, err) || open_loops(app, loop_count, err))
        goto fail;
    if (use != APP_READ && open_commit(app, err))
        goto fail;
    app->serve = (struct serve){
        .index = app->index,
        .store = app->store,
        .cache = app->cache,
        .budget = &app->answers,
        .generation = &app->generation,
        .news = app->news,
        .run_ttl_ms = config->cache_ttl_get_ms,
        .search_ttl_ms = config->cache_ttl_search_ms,
        .query_ms = (unsigned)config->query_timeout_ms,
        .query_look = config->query_rows,
    };
    links_open(&app->serve.links, config->api_key
                                      ? (struct str){config->api_key, strlen(config->api_key)}
                                      : (struct str){0});
    if (app->index->shared && loop_count > 0 && use == APP_WRITE)
        app->serve.follow = follow_start(app->index, app->loops[0], &app->generation);
    *result = app;
    return 0;

fail:
    app_close(app);
    return (int)err->code;
}

int app_keep_up(struct app *app, struct err *err)
{
    bool bucket = config_is_url(app->config->objects);
    if (bucket && !app->index->shared)
        return 0; /* there is nothing to seal, and nothing without a row */
    return upkeep_start(
        &(struct upkeep_config){
            .store = app->store,
            .index = app->index,
            .writer = app->commit_loop,
            .loop_index = app->loop_count + 1,
            .bucket = bucket,
            .gc_grace_ms = app->config->gc_grace_ms,
            .idle_ms = (uint64_t)app->config->seal_idle_ms,
            .bytes_per_sec = app->config->seal_rate,
        },
        &app->upkeep, err);
}

void app_close(struct app *app)
{
    if (!app)
        return;
    upkeep_stop(app->upkeep);
    follow_free(app->serve.follow);
    if (app->started) {
        commit_end(app->commit);
        loop_join(app->commit_loop);
    }
    commit_free(app->commit);
    if (app->index)
        app->index->ops->close(app->index);
    store_close(app->store);
    if (app->cache)
        app->cache->ops->close(app->cache);
    /* Now nothing of theirs is on a loop any more. */
    upkeep_free(app->upkeep);
    loop_close(app->commit_loop);
    for (unsigned i = 0; i < app->loop_count; i++)
        loop_close(app->loops[i]);
    free(app->loops);
    news_free(app->news);
    buf_unref(app->spare.buf);
    app_unlock(app->lock_fd);
    free(app);
}
