/* local.c - the cache in this process's memory.
 *
 * Sixteen shards, chosen by a seeded hash of the key; each has a lock, a table,
 * two queues and its sixteenth of the bytes.  The lock is a leaf: under it no
 * operation is finished and no value freed; they are moved to a list that is
 * worked off after unlocking.
 *
 * Eviction is S3-FIFO.  A new entry joins the queue `probation`, a tenth of the
 * bytes.  Reaching its end, it moves to `lasting` if it was hit more than once,
 * else it goes, and leaves its hash among the ghosts; whoever comes back while
 * a ghost joins `lasting` at once.  At the end of `lasting` an entry that was hit
 * goes round again, at the cost of one of its (at most three) hits.  A hit
 * changes one counter and moves nothing.
 *
 * An entry's `version` and `checked` only grow while it is there: a put of an older
 * version is not kept, one of the same version can only add to what is known of it.
 * So it does not matter in which order slow readers come to put and to confirm.
 *
 * Flights are known by (key, generation), and whoever puts or abandons that pair
 * ends the flight.  A put is the answer of all who wait.  When a leader abandons,
 * all who wait are told to make their answer themselves, at once and without a
 * flight: nobody waits a second time, and a row that is not there (never cached)
 * does not become a queue of look-ups one after another.
 *
 * Sources  docs/design/cache.md
 */
#define XXH_INLINE_ALL
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metric.h"
#include "cache/cache.h"

enum {
    SHARDS = 16, /* the top four bits of the hash */
    FLIGHT_CHAINS = 64,
    FLIGHTS_MAX = 4096,  /* of a shard; later misses lead nobody */
    HITS_MAX = 3,        /* what a hit counter counts to */
    BYTES_MIN = 1 << 18, /* below, the tables would be most of it */
    BLOCK = 16           /* what malloc adds to a block, roughly */
};

struct entry {
    struct entry *next; /* in its bucket; or among the dead */
    struct entry *newer, *older;
    struct buf *value;
    uint64_t hash, version, checked;
    int64_t expires_us; /* monotonic */
    size_t cost;        /* bytes, all told */
    unsigned short key_len;
    unsigned char hits;
    bool lasting; /* which queue it is in */
    char key[];
};

struct queue {
    struct entry *newest, *oldest;
    size_t bytes;
};

struct flight {
    struct flight *next;
    uint64_t hash, generation;
    struct op *waiting, **end; /* oldest first */
    size_t key_len;
    char key[];
};

struct shard {
    pthread_mutex_t lock;
    size_t capacity; /* bytes of entries */
    size_t entries;
    struct queue probation, lasting;
    struct entry **buckets;
    uint32_t *ghosts;    /* as many as buckets; some bits of the hash, or 0 */
    size_t bucket_count; /* a power of two */
    size_t flight_count;
    struct flight *flights[FLIGHT_CHAINS];
};

struct local {
    struct cache cache;
    uint64_t seed;
    struct shard shards[SHARDS];
};

static struct shard *shard_of(struct local *local, uint64_t hash)
{
    return &local->shards[hash >> 60];
}

static uint64_t hash_of(const struct local *local, struct str key)
{
    return XXH3_64bits_withSeed(key.at, key.len, local->seed);
}

/* --- queues and the table; all under the shard's lock --- */

static void enqueue(struct shard *shard, struct entry *entry, bool lasting)
{
    struct queue *queue = lasting ? &shard->lasting : &shard->probation;
    entry->lasting = lasting;
    entry->newer = NULL;
    entry->older = queue->newest;
    if (queue->newest)
        queue->newest->newer = entry;
    else
        queue->oldest = entry;
    queue->newest = entry;
    queue->bytes += entry->cost;
}

static void dequeue(struct shard *shard, struct entry *entry)
{
    struct queue *queue = entry->lasting ? &shard->lasting : &shard->probation;
    *(entry->newer ? &entry->newer->older : &queue->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &queue->oldest) = entry->newer;
    queue->bytes -= entry->cost;
}

static struct entry **bucket_of(struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (shard->bucket_count - 1)];
}

static struct entry *find(struct shard *shard, uint64_t hash, struct str key)
{
    for (struct entry *e = *bucket_of(shard, hash); e; e = e->next)
        if (e->hash == hash && str_eq((struct str){e->key, e->key_len}, key))
            return e;
    return NULL;
}

/* Out of the table and its queue, and onto the list of the dead. */
static void kill_entry(struct shard *shard, struct entry *entry, struct entry **dead)
{
    struct entry **at = bucket_of(shard, entry->hash);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    dequeue(shard, entry);
    shard->entries--;
    entry->next = *dead;
    *dead = entry;
}

static uint32_t *ghost_of(struct shard *shard, uint64_t hash, uint32_t *mark)
{
    *mark = (uint32_t)(hash >> 28) | 1;
    return &shard->ghosts[hash & (shard->bucket_count - 1)];
}

static void make_room(struct shard *shard, struct entry **dead)
{
    while (shard->probation.bytes + shard->lasting.bytes > shard->capacity) {
        if (shard->probation.oldest &&
            (shard->probation.bytes > shard->capacity / 10 || !shard->lasting.oldest)) {
            struct entry *e = shard->probation.oldest;
            if (e->hits > 1) {
                dequeue(shard, e);
                e->hits = 0;
                enqueue(shard, e, true);
                continue;
            }
            uint32_t mark, *ghost = ghost_of(shard, e->hash, &mark);
            *ghost = mark;
            kill_entry(shard, e, dead);
        } else {
            struct entry *e = shard->lasting.oldest;
            if (e->hits > 0) {
                dequeue(shard, e);
                e->hits--;
                enqueue(shard, e, true);
                continue;
            }
            kill_entry(shard, e, dead);
        }
        metric_add(METRIC_CACHE_EVICTIONS, 1);
    }
}

/* Outside the lock: a value may be the last of its megabyte. */
static void bury(struct entry *dead)
{
    while (dead) {
        struct entry *next = dead->next;
        buf_unref(dead->value);
        free(dead);
        dead = next;
    }
}

/* --- flights; under the shard's lock --- */

/* Where the pointer to that flight is, or would be put. */
static struct flight **find_flight(struct shard *shard, uint64_t hash, struct str key,
                                   uint64_t generation)
{
    struct flight **at = &shard->flights[hash % FLIGHT_CHAINS];
    while (*at && !((*at)->hash == hash && (*at)->generation == generation &&
                    str_eq((struct str){(*at)->key, (*at)->key_len}, key)))
        at = &(*at)->next;
    return at;
}

/* True: it waits, and belongs to the flight from now on. */
static bool join_or_lead(struct shard *shard, uint64_t hash, struct cache_get *get)
{
    struct flight **at = find_flight(shard, hash, get->key, get->generation);
    if (*at) {
        get->op.next = NULL;
        *(*at)->end = &get->op;
        (*at)->end = &get->op.next;
        return true;
    }
    get->lead = shard->flight_count < FLIGHTS_MAX;
    if (get->lead) {
        struct flight *flight = malloc(sizeof *flight + get->key.len);
        if (!flight)
            abort();
        *flight =
            (struct flight){.hash = hash, .generation = get->generation, .key_len = get->key.len};
        flight->end = &flight->waiting;
        if (get->key.len)
            memcpy(flight->key, get->key.at, get->key.len);
        *at = flight;
        shard->flight_count++;
    }
    return false;
}

/* The flight, which is over, taken out; NULL when there is none. */
static struct flight *end_flight(struct shard *shard, uint64_t hash, struct str key,
                                 uint64_t generation)
{
    struct flight **at = find_flight(shard, hash, key, generation);
    struct flight *flight = *at;
    if (flight) {
        *at = flight->next;
        shard->flight_count--;
    }
    return flight;
}

/* Outside the lock: give all that waited `value`, or nothing when it is NULL. */
static void answer(struct flight *flight, struct buf *value, uint64_t version)
{
    struct op *waiting = flight ? flight->waiting : NULL;
    free(flight);
    while (waiting) {
        struct cache_get *get = op_owner(waiting, struct cache_get, op);
        waiting = waiting->next;
        if (value && get->version <= version) {
            get->value = buf_ref(value);
            get->found = version;
            get->checked = get->generation; /* which is the flight's */
            get->op.err.code = ERR_OK;
            op_finish(&get->op);
        } else {
            op_fail(&get->op, ERR_NOT_FOUND, "nobody made that answer");
        }
    }
}

/* --- the contract --- */

static int attach(struct cache *cache, struct loop *loop, struct err *err)
{
    (void)cache;
    (void)loop;
    (void)err;
    return 0;
}

static void get(struct cache *cache, struct cache_get *get)
{
    struct local *local = (struct local *)(void *)cache;
    get->lead = false;
    get->value = NULL;
    if (get->key.len > CACHE_KEY_MAX) {
        op_fail(&get->op, ERR_NOT_FOUND, "a key of %zu bytes is never kept", get->key.len);
        return;
    }
    uint64_t hash = hash_of(local, get->key);
    struct shard *shard = shard_of(local, hash);
    int64_t now_us = clock_mono_us();
    struct entry *dead = NULL;
    bool waits = false;

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(shard, hash, get->key);
    if (entry && entry->expires_us <= now_us) {
        kill_entry(shard, entry, &dead);
        entry = NULL;
    }
    if (entry && entry->version >= get->version) {
        if (entry->hits < HITS_MAX)
            entry->hits++;
        get->value = buf_ref(entry->value);
        get->found = entry->version;
        get->checked = entry->checked;
    } else {
        waits = join_or_lead(shard, hash, get);
    }
    /* One that waits may be finished by another thread once this is unlocked. */
    pthread_mutex_unlock(&shard->lock);

    bury(dead);
    if (waits) {
        metric_add(METRIC_CACHE_FLIGHTS_JOINED, 1);
    } else if (get->value) {
        get->op.err.code = ERR_OK;
        op_finish(&get->op);
    } else {
        op_fail(&get->op, ERR_NOT_FOUND, "not in the cache");
    }
}

static bool is_older(const struct entry *fresh, const struct entry *old)
{
    if (fresh->version != old->version)
        return fresh->version < old->version;
    return fresh->checked < old->checked;
}

/* Into the table; or, if the key is there, into its entry (the old value leaves
 * with `fresh`), unless that is newer.  True: `fresh` was not used up. */
static bool keep(struct shard *shard, struct entry *fresh, int64_t now_us)
{
    struct entry *old = find(shard, fresh->hash, (struct str){fresh->key, fresh->key_len});
    if (old) {
        if (is_older(fresh, old) && old->expires_us > now_us) {
            metric_add(METRIC_CACHE_STALE_PUTS, fresh->version < old->version);
            return true;
        }
        struct queue *queue = old->lasting ? &shard->lasting : &shard->probation;
        struct buf *value = old->value;
        queue->bytes = queue->bytes - old->cost + fresh->cost;
        old->cost = fresh->cost;
        old->value = fresh->value;
        old->version = fresh->version;
        old->checked = fresh->checked;
        old->expires_us = fresh->expires_us;
        fresh->value = value;
        return true;
    }
    uint32_t mark, *ghost = ghost_of(shard, fresh->hash, &mark);
    bool came_back = *ghost == mark;
    if (came_back)
        *ghost = 0;
    struct entry **bucket = bucket_of(shard, fresh->hash);
    fresh->next = *bucket;
    *bucket = fresh;
    shard->entries++;
    enqueue(shard, fresh, came_back);
    return false;
}

static void put(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                uint64_t generation, struct buf *value, uint64_t ttl_ms)
{
    (void)loop;
    struct local *local = (struct local *)(void *)cache;
    if (key.len > CACHE_KEY_MAX)
        return;
    uint64_t hash = hash_of(local, key);
    struct shard *shard = shard_of(local, hash);
    int64_t now_us = clock_mono_us();
    struct entry *fresh = NULL, *dead = NULL;

    size_t cost = sizeof *fresh + key.len + sizeof *value + value->cap + 2 * (size_t)BLOCK;
    if (value->len <= CACHE_VALUE_MAX && cost <= shard->capacity && ttl_ms > 0) {
        fresh = malloc(sizeof *fresh + key.len);
        if (!fresh)
            abort();
        uint64_t ttl_most = (uint64_t)(INT64_MAX - now_us) / 1000;
        *fresh = (struct entry){
            .value = buf_ref(value),
            .hash = hash,
            .version = version,
            .checked = generation,
            .expires_us = now_us + 1000 * (int64_t)(ttl_ms < ttl_most ? ttl_ms : ttl_most),
            .cost = cost,
            .key_len = (unsigned short)key.len,
        };
        if (key.len)
            memcpy(fresh->key, key.at, key.len);
    }

    pthread_mutex_lock(&shard->lock);
    if (fresh && keep(shard, fresh, now_us)) {
        fresh->next = dead;
        dead = fresh;
    }
    make_room(shard, &dead);
    struct flight *flight = end_flight(shard, hash, key, generation);
    pthread_mutex_unlock(&shard->lock);

    bury(dead);
    answer(flight, value, version);
}

static void abandon(struct cache *cache, struct loop *loop, struct str key, uint64_t generation)
{
    (void)loop;
    struct local *local = (struct local *)(void *)cache;
    if (key.len > CACHE_KEY_MAX)
        return;
    uint64_t hash = hash_of(local, key);
    struct shard *shard = shard_of(local, hash);

    pthread_mutex_lock(&shard->lock);
    struct flight *flight = end_flight(shard, hash, key, generation);
    pthread_mutex_unlock(&shard->lock);
    answer(flight, NULL, 0);
}

static void confirm(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                    uint64_t generation)
{
    (void)loop;
    struct local *local = (struct local *)(void *)cache;
    if (key.len > CACHE_KEY_MAX)
        return;
    uint64_t hash = hash_of(local, key);
    struct shard *shard = shard_of(local, hash);

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = find(shard, hash, key);
    if (entry && entry->version == version && entry->checked < generation)
        entry->checked = generation;
    pthread_mutex_unlock(&shard->lock);
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
    struct local *local = (struct local *)(void *)cache;
    *entries = *bytes = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &local->shards[i];
        pthread_mutex_lock(&shard->lock);
        *entries += shard->entries;
        *bytes += shard->probation.bytes + shard->lasting.bytes;
        pthread_mutex_unlock(&shard->lock);
    }
}

static void close_local(struct cache *cache)
{
    struct local *local = (struct local *)(void *)cache;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &local->shards[i];
        struct entry *dead = NULL;
        while (shard->probation.oldest)
            kill_entry(shard, shard->probation.oldest, &dead);
        while (shard->lasting.oldest)
            kill_entry(shard, shard->lasting.oldest, &dead);
        bury(dead);
        for (int k = 0; k < FLIGHT_CHAINS; k++)
            for (struct flight *f = shard->flights[k], *next; f; f = next) {
                assert(!f->waiting); /* its loop has ended with an operation under way */
                next = f->next;
                free(f);
            }
        free(shard->buckets);
        free(shard->ghosts);
        pthread_mutex_destroy(&shard->lock);
    }
    free(local);
}

static const struct cache_ops ops = {
    .name = "local",
    .attach = attach,
    .get = get,
    .put = put,
    .abandon = abandon,
    .confirm = confirm,
    .recall = recall,
    .share = share,
    .sizes = sizes,
    .close = close_local,
};

int cache_local_open(size_t bytes, struct cache **result, struct err *err)
{
    if (bytes < BYTES_MIN)
        return err_set(err, ERR_INVALID, "a cache of %zu bytes: at least %d are needed", bytes,
                       (int)BYTES_MIN);
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return err_set(err, ERR_UNAVAILABLE, "no random bytes for the cache");

    struct local *local = calloc(1, sizeof *local);
    if (!local)
        abort();
    local->cache.ops = &ops;
    local->seed = seed;
    /* A bucket for each kilobyte: at the 1-4 KB of a run, chains of one or less. */
    size_t share = bytes / SHARDS;
    size_t buckets = 16;
    while (buckets < share / 1024 && buckets < 1 << 24)
        buckets *= 2;
    size_t fixed = sizeof(struct shard) + buckets * (sizeof(struct entry *) + sizeof(uint32_t));
    assert(fixed < share);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &local->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->capacity = share - fixed;
        shard->bucket_count = buckets;
        shard->buckets = calloc(buckets, sizeof(struct entry *));
        shard->ghosts = calloc(buckets, sizeof(uint32_t));
        if (!shard->buckets || !shard->ghosts)
            abort();
    }
    *result = &local->cache;
    return 0;
}
