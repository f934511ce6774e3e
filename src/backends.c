/* backends.c - see backends.h. */
#include "backends.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "base/arena.h"
#include "base/disk.h"
#include "cache/cache.h"
#include "config.h"
#include "index/index.h"
#include "loop/loop.h"
#include "store/object.h"
#include "store/store.h"
#include "wire/form.h"

enum {
    QUEUE_MAX = 4096, /* reads of each kind that may wait */
    GROUPS = 4,       /* on their way to a bucket at once */
    PENDING = 8 << 20 /* bytes on their way to Redis, of each loop */
};

bool backends_need_data(const struct config *config)
{
    return !config_is_url(config->objects) || !config_is_url(config->index);
}

bool backends_shared(const struct config *config)
{
    return config_is_url(config->objects) && config_is_url(config->index);
}

static int path_of(const struct config *config, const char *name, char *room, size_t size,
                   struct err *err)
{
    int len = snprintf(room, size, "%s/%s", config->data, name);
    if (len < 0 || (size_t)len >= size)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    return 0;
}

/* ---- the store ---- */

static int open_log(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    char segments[4200], packs[4200];
    if (path_of(config, "segments", segments, sizeof segments, err) ||
        path_of(config, "packs", packs, sizeof packs, err))
        return ERR_INVALID;
    if (app->use != APP_READ && (app_make_dir(segments, err) || app_make_dir(packs, err)))
        return ERR_IO;
    return store_log_open(
        &(struct store_log_config){
            .dir = {segments, strlen(segments)},
            .packs = {packs, strlen(packs)},
            .disk = &disk_real,
            .segment_size = config->segment_size,
            .reserve = config->disk_reserve,
            .read_threads = config->read_threads,
            .read_queue = QUEUE_MAX,
            .read_only = app->use == APP_READ,
            .durable_sequence = backends_index_mark(config),
        },
        &app->store, err);
}

/* s3://bucket/prefix?endpoint=...&region=...&style=path */
struct bucket_url {
    char *bucket, *prefix;
    struct str endpoint, region, style;
};

static const char *text_of(struct arena *arena, struct str s)
{
    return s.at ? arena_copy(arena, s).at : NULL;
}

static int parse_bucket(const char *url, struct arena *arena, struct bucket_url *result,
                        struct err *err)
{
    static const char *const known[] = {"endpoint", "region", "style"};
    struct str *const values[] = {&result->endpoint, &result->region, &result->style};
    const char *at = url + strlen("s3://");
    size_t path_len = strcspn(at, "?"), bucket_len = strcspn(at, "/?");
    struct form form = {0};
    const char *query = at + path_len + (at[path_len] == '?');
    if (bucket_len == 0)
        return err_set(err, ERR_INVALID, "objects: an s3:// URL begins with the bucket's name");
    int r = form_parse((struct str){query, strlen(query)}, arena, &form, err);
    for (size_t i = 0; i < form.count && !r; i++) {
        size_t k = 0;
        while (k < 3 && strcmp(known[k], arena_copy(arena, form.fields[i].name).at) != 0)
            k++;
        if (k == 3)
            r = err_set(err, ERR_INVALID,
                        "objects: the URL's %.40s is none of endpoint, region, style",
                        arena_copy(arena, form.fields[i].name).at);
        else
            *values[k] = form.fields[i].value;
    }
    if (!r && result->style.at && !str_eq(result->style, STR("path")) &&
        !str_eq(result->style, STR("virtual")))
        r = err_set(err, ERR_INVALID, "objects: the URL's style is path or virtual");
    if (r)
        return r;
    size_t prefix_len = path_len > bucket_len ? path_len - bucket_len - 1 : 0;
    result->bucket = arena_alloc(arena, bucket_len + 1);
    memcpy(result->bucket, at, bucket_len);
    result->prefix = arena_alloc(arena, prefix_len + 2);
    if (prefix_len > 0)
        memcpy(result->prefix, at + bucket_len + 1, prefix_len);
    if (prefix_len > 0 && result->prefix[prefix_len - 1] != '/')
        result->prefix[prefix_len] = '/';
    return 0;
}

static int open_objects(const struct config *config, enum app_use use, struct objects **result,
                        struct err *err)
{
    struct arena *arena = arena_new(4096);
    struct bucket_url url = {0};
    int r = parse_bucket(config->objects, arena, &url, err);
    if (!r) {
        const char *region = text_of(arena, url.region);
        struct object_s3_config s3 = {
            .bucket = url.bucket,
            .prefix = url.prefix,
            .endpoint = text_of(arena, url.endpoint),
            .region = region                 ? region
                      : config->s3_region[0] ? config->s3_region
                                             : NULL,
            .access_key = config->s3_access_key,
            .secret_key = config->s3_secret_key,
            .session_token = config->s3_session_token,
            .deadline_ms = (unsigned)config->s3_timeout_ms,
            .persistent = use != APP_WRITE,
            .connections = config->s3_connections,
            .queue = QUEUE_MAX,
            .create = use != APP_READ,
        };
        /* AWS itself wants the bucket in the host, others mostly in the path. */
        s3.path_style = url.style.at ? str_eq(url.style, STR("path")) : s3.endpoint != NULL;
        r = object_s3_open(&s3, result, err);
    }
    arena_free(arena);
    return r;
}

static int open_bucket(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    struct objects *objects = NULL;
    int r = open_objects(config, app->use, &objects, err);
    if (r)
        return r;
    bool shared = backends_shared(config);
    /* A directory that has no id yet, as who only reads may name, follows no bucket. */
    struct str follower = app->id[0] ? (struct str){app->id, strlen(app->id)} : STR("nobody");
    return store_bucket_open(
        &(struct store_bucket_config){
            .objects = objects,
            .groups = shared ? GROUPS : 1,
            .threads = config->read_threads,
            .queue = QUEUE_MAX,
            .shelf_size = config->shelf_size,
            .last_sequence = shared ? 0 : backends_index_mark(config),
            .loop_index = app->loop_max + 2,
            .writer = shared ? (struct str){0} : follower,
            .read_only = app->use == APP_READ,
        },
        &app->store, err);
}

int backends_open_store(struct app *app, struct err *err)
{
    return config_is_url(app->config->objects) ? open_bucket(app, err) : open_log(app, err);
}

/* ---- the index ---- */

static void marked(struct op *op)
{
    loop_stop(op->loop);
}

uint64_t backends_index_mark(const struct config *config)
{
    char path[4200];
    struct index *index = NULL;
    struct loop *loop = NULL;
    struct index_mark mark = {.op = {.done = marked}};
    if (strcmp(config->index, "memory") == 0 ||
        path_of(config, "index.db", path, sizeof path, NULL) || access(path, F_OK) != 0)
        return 0;
    struct index_sqlite_config old = {
        .path = {path, strlen(path)},
        .readers = 1,
        .queue = 1,
        .deadline_ms = 1000,
        .cache_size = 1 << 20,
        .read_only = true,
    };
    if (index_sqlite_open(&old, &index, NULL) == 0 && loop_open(0, "mark", &loop, NULL) == 0 &&
        index->ops->attach(index, loop, NULL) == 0) {
        mark.op.loop = loop;
        index->ops->mark(index, &mark);
        if (loop_run(loop, NULL) || mark.op.err.code)
            mark.sequence = 0;
    }
    if (index)
        index->ops->close(index);
    loop_close(loop);
    return mark.sequence;
}

/* The database first: the others mean nothing without it. */
static int remove_index(const struct config *config, struct err *err)
{
    static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm",
                                        "index.db-journal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4200];
        if (path_of(config, names[i], path, sizeof path, err))
            return ERR_INVALID;
        if (unlink(path) != 0 && errno != ENOENT)
            return err_sys(err, errno, "remove %s", names[i]);
    }
    return 0;
}

static int open_sqlite(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    char path[4200];
    if (path_of(config, "index.db", path, sizeof path, err))
        return ERR_INVALID;
    /* Only now that the log could be opened. */
    if (app->use == APP_REBUILD && remove_index(config, err))
        return (int)err->code;
    return index_sqlite_open(
        &(struct index_sqlite_config){
            .path = {path, strlen(path)},
            .readers = config->index_readers,
            .queue = QUEUE_MAX,
            .deadline_ms = (unsigned)config->read_timeout_ms,
            .cache_size = config->index_cache,
            .read_only = app->use == APP_READ,
        },
        &app->index, err);
}

/* Of the bucket that nodes share, or of the directory of the one. */
static const char *deployment_of(const struct app *app)
{
    return backends_shared(app->config) ? store_bucket_id(app->store) : app->id;
}

static int open_postgres(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    bool shared = backends_shared(config);
    return index_postgres_open(
        &(struct index_postgres_config){
            .url = config->index,
            .readers = config->index_readers,
            .queue = QUEUE_MAX,
            .deadline_ms = (unsigned)config->read_timeout_ms,
            .commit_ms = (unsigned)config->commit_timeout_ms,
            .deployment = deployment_of(app),
            .shared = shared,
            .migrate = app->use != APP_READ,
        },
        &app->index, err);
}

int backends_open_index(struct app *app, struct err *err)
{
    if (strcmp(app->config->index, "memory") == 0)
        return index_memory_open(&app->index, err);
    return config_is_url(app->config->index) ? open_postgres(app, err) : open_sqlite(app, err);
}

/* ---- the cache ---- */

static int open_near(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    if (app->use == APP_READ || strcmp(config->cache, "none") == 0 || config->cache_size == 0)
        return cache_none_open(&app->cache, err);
    return cache_local_open(config->cache_size, &app->cache, err);
}

int backends_open_cache(struct app *app, struct err *err)
{
    const struct config *config = app->config;
    int r = open_near(app, err);
    if (r || app->use == APP_READ || !config_is_url(config->cache))
        return r;
    struct cache *near = app->cache;
    app->cache = NULL;
    r = cache_redis_open(
        &(struct cache_redis_config){
            .url = config->cache,
            .near = near,
            .secret = config->cache_secret ? config->cache_secret : deployment_of(app),
            .timeout_ms = (unsigned)config->cache_timeout_ms,
            .pending_max = PENDING,
        },
        &app->cache, err);
    if (r)
        app->cache = near;
    return r;
}
