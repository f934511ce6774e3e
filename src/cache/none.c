/* none.c - no cache: every get is a miss that nobody else waits for. */
#include <stdlib.h>

#include "cache/cache.h"

static int attach(struct cache *cache, struct loop *loop, struct err *err)
{
    (void)cache;
    (void)loop;
    (void)err;
    return 0;
}

static void get(struct cache *cache, struct cache_get *get)
{
    (void)cache;
    get->lead = false;
    get->value = NULL;
    op_fail(&get->op, ERR_NOT_FOUND, "there is no cache");
}

static void put(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                uint64_t generation, struct buf *value, uint64_t ttl_ms)
{
    (void)cache;
    (void)loop;
    (void)key;
    (void)version;
    (void)generation;
    (void)value;
    (void)ttl_ms;
}

static void abandon(struct cache *cache, struct loop *loop, struct str key, uint64_t generation)
{
    (void)cache;
    (void)loop;
    (void)key;
    (void)generation;
}

static void confirm(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                    uint64_t generation)
{
    (void)cache;
    (void)loop;
    (void)key;
    (void)version;
    (void)generation;
}

static void recall(struct cache *cache, struct cache_recall *recall)
{
    (void)cache;
    op_fail(&recall->op, ERR_NOT_FOUND, "there is no second level");
}

static void share(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                  struct buf *value, uint64_t ttl_ms)
{
    (void)cache;
    (void)loop;
    (void)key;
    (void)version;
    (void)value;
    (void)ttl_ms;
}

static void sizes(struct cache *cache, uint64_t *entries, uint64_t *bytes)
{
    (void)cache;
    *entries = 0;
    *bytes = 0;
}

static void close_none(struct cache *cache)
{
    free(cache);
}

static const struct cache_ops ops = {
    .name = "none",
    .attach = attach,
    .get = get,
    .put = put,
    .abandon = abandon,
    .confirm = confirm,
    .recall = recall,
    .share = share,
    .sizes = sizes,
    .close = close_none,
};

int cache_none_open(struct cache **result, struct err *err)
{
    (void)err;
    struct cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        abort();
    cache->ops = &ops;
    *result = cache;
    return 0;
}
