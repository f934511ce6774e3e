/* local_test.c - the cache in memory: bounds, time, and many loops at once. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"

enum { LIMIT = 4 << 20, MINUTE_MS = 60000 };

/* The test's own clock. */
static _Atomic int64_t now_us = 1000000;

int64_t clock_now_us(void)
{
    return now_us;
}

int64_t clock_mono_us(void)
{
    return now_us;
}

static struct cache *open_local(size_t bytes)
{
    struct cache *cache = NULL;
    struct err err = {0};
    if (cache_local_open(bytes, &cache, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return cache;
}

struct asked {
    struct cache_get get;
    bool done;
};

static void got(struct op *op)
{
    op_owner(op, struct asked, get.op)->done = true;
}

/* A value of that size, or NULL; a miss is given up.  The caller drops it. */
static struct buf *look(struct cache *cache, struct loop *loop, struct str key)
{
    struct asked asked = {.get = {.op = {.loop = loop, .done = got}, .key = key}};
    cache->ops->get(cache, &asked.get);
    CHECK(hand_loop_until(loop, &asked.done));
    if (asked.get.lead)
        cache->ops->abandon(cache, loop, key, 0);
    return asked.get.op.err.code == ERR_OK ? asked.get.value : NULL;
}

static bool there(struct cache *cache, struct loop *loop, struct str key)
{
    struct buf *value = look(cache, loop, key);
    buf_unref(value);
    return value != NULL;
}

static struct buf *value_of(size_t size, char fill)
{
    struct buf *buf = buf_new(size);
    if (!buf)
        exit(1);
    memset(buf->at, fill, size);
    buf->len = size;
    return buf;
}

static void put(struct cache *cache, struct str key, size_t size, char fill, uint64_t ttl_ms)
{
    struct buf *value = value_of(size, fill);
    cache->ops->put(cache, NULL, key, 1, 0, value, ttl_ms);
    buf_unref(value);
}

static struct str key_of(char out[32], uint32_t number)
{
    int len = snprintf(out, 32, "key %u", number);
    return (struct str){out, (size_t)len};
}

TEST(a_cache_too_small_for_its_tables_is_refused)
{
    struct cache *cache = NULL;
    struct err err = {0};

    CHECK(cache_local_open(1000, &cache, &err) == ERR_INVALID);
    CHECK(cache == NULL && err.text[0] != '\0');
    cache = open_local(1 << 18);
    cache->ops->close(cache);
}

TEST(an_entry_is_gone_when_its_time_is_over)
{
    struct cache *cache = open_local(LIMIT);
    struct loop *loop = hand_loop_open();
    uint64_t entries, bytes;
    put(cache, STR("a"), 10, 'a', 1000);
    put(cache, STR("forever"), 10, 'f', UINT64_MAX);
    put(cache, STR("never"), 10, 'n', 0);
    CHECK(!there(cache, loop, STR("never")));

    now_us += 999999;
    CHECK(there(cache, loop, STR("a")));
    now_us += 1;
    CHECK(!there(cache, loop, STR("a")));
    CHECK(there(cache, loop, STR("forever")));
    cache->ops->sizes(cache, &entries, &bytes);
    CHECK(entries == 1);

    put(cache, STR("a"), 10, 'a', 1000); /* and its time begins anew */
    now_us += 900000;
    put(cache, STR("a"), 10, 'a', 1000);
    now_us += 900000;
    CHECK(there(cache, loop, STR("a")));

    cache->ops->close(cache);
    hand_loop_close(loop);
}

TEST(an_expired_entry_does_not_keep_out_an_older_version)
{
    struct cache *cache = open_local(LIMIT);
    struct loop *loop = hand_loop_open();
    struct buf *value = value_of(1, 'x');
    cache->ops->put(cache, loop, STR("a"), 9, 0, value, 1000);
    now_us += 2000000;

    cache->ops->put(cache, loop, STR("a"), 8, 0, value, 1000);

    CHECK(there(cache, loop, STR("a")));
    buf_unref(value);
    cache->ops->close(cache);
    hand_loop_close(loop);
}

TEST(a_million_random_puts_stay_within_the_bytes_and_tell_the_truth)
{
    struct cache *cache = open_local(LIMIT);
    struct loop *loop = hand_loop_open();
    uint64_t entries = 0, bytes = 0, most = 0;
    char text[32];
    uint32_t x = 1;
    int wrong = 0, over = 0, hits = 0;
    struct buf *large = value_of(CACHE_VALUE_MAX, 'L');

    for (int i = 0; i < 1000000; i++) {
        x = x * 1664525u + 1013904223u;
        uint32_t number = (x >> 8) % (x & 128 ? 500 : 50000);
        struct str key = key_of(text, number);
        size_t size = (x >> 20) % 3000;
        if (i % 20011 == 0)
            cache->ops->put(cache, loop, key, 1, 0, large, MINUTE_MS);
        else if (i % 16 == 5)
            cache->ops->confirm(cache, loop, key, 1, 1);
        else
            put(cache, key, size, (char)(number % 64), MINUTE_MS);
        if (i % 16 != 0)
            continue;
        cache->ops->sizes(cache, &entries, &bytes);
        over += bytes > LIMIT || entries * 64 > bytes;
        most = bytes > most ? bytes : most;
        struct buf *value = look(cache, loop, key);
        hits += value != NULL;
        for (size_t k = 0; value && k < value->len; k += 97)
            wrong += value->at[k] != (char)(number % 64) && value->at[k] != 'L';
        buf_unref(value);
    }

    CHECK(over == 0);
    CHECK(wrong == 0);
    CHECK(most > LIMIT / 2); /* it was full, so the bound was felt */
    CHECK(hits > 10000);
    buf_unref(large);
    cache->ops->close(cache);
    hand_loop_close(loop);
}

TEST(replacing_a_value_changes_the_bytes_by_the_difference)
{
    struct cache *cache = open_local(LIMIT);
    uint64_t entries, small, large, again;
    put(cache, STR("a"), 100, 's', MINUTE_MS);
    cache->ops->sizes(cache, &entries, &small);

    put(cache, STR("a"), 5100, 'l', MINUTE_MS);
    cache->ops->sizes(cache, &entries, &large);
    put(cache, STR("a"), 100, 's', MINUTE_MS);
    cache->ops->sizes(cache, &entries, &again);

    CHECK(entries == 1);
    CHECK(large == small + 5000);
    CHECK(again == small);
    cache->ops->close(cache);
}

TEST(a_value_that_would_fill_more_than_a_shard_is_not_kept)
{
    struct cache *cache = open_local(1 << 20);
    struct loop *loop = hand_loop_open();
    put(cache, STR("small"), 100, 's', MINUTE_MS);

    put(cache, STR("large"), 1 << 20, 'l', MINUTE_MS);
    put(cache, STR("share"), 1 << 16, 'l', MINUTE_MS);

    CHECK(there(cache, loop, STR("small")));
    CHECK(!there(cache, loop, STR("large")));
    CHECK(!there(cache, loop, STR("share")));
    cache->ops->close(cache);
    hand_loop_close(loop);
}

TEST(what_is_read_often_survives_a_scan_of_everything_else)
{
    enum { HOT = 100, SCAN = 100000 };
    struct cache *cache = open_local(LIMIT);
    struct loop *loop = hand_loop_open();
    char text[32];
    int left = 0;
    for (uint32_t i = 0; i < HOT; i++) {
        put(cache, key_of(text, i), 1000, 'h', MINUTE_MS);
        CHECK(there(cache, loop, key_of(text, i)));
        CHECK(there(cache, loop, key_of(text, i)));
    }

    for (uint32_t i = 0; i < SCAN; i++)
        put(cache, key_of(text, 1000 + i), 1000, 's', MINUTE_MS);

    for (uint32_t i = 0; i < HOT; i++)
        left += there(cache, loop, key_of(text, i));
    CHECK(left == HOT);
    cache->ops->close(cache);
    hand_loop_close(loop);
}

/* --- several loops --- */

enum { LOOPS = 4 };

/* Each of LOOPS loops asks for each key several times at once. */
struct crowd {
    struct cache *cache;
    struct loop *loops[LOOPS];
    atomic_int leads[400], left[LOOPS], hits, alone;
    struct buf *value;
};

struct guest {
    struct cache_get get;
    struct op later; /* the answer is made, some turns after the miss */
    struct crowd *crowd;
    uint32_t number;
    int turns;
    char key[32];
};

static void leave(struct guest *guest)
{
    struct loop *loop = guest->get.op.loop;
    if (atomic_fetch_sub(&guest->crowd->left[loop_index(loop)], 1) == 1)
        loop_stop(loop);
}

/* Every third key has no answer, and is abandoned. */
static void make(struct op *op)
{
    struct guest *guest = op_owner(op, struct guest, later);
    struct cache *cache = guest->crowd->cache;
    if (--guest->turns > 0) {
        op_finish(&guest->later);
        return;
    }
    if (guest->number % 3 == 0)
        cache->ops->abandon(cache, op->loop, guest->get.key, 1);
    else
        cache->ops->put(cache, op->loop, guest->get.key, 1, 1, guest->crowd->value, MINUTE_MS);
    leave(guest);
}

static void answered(struct op *op)
{
    struct guest *guest = op_owner(op, struct guest, get.op);
    if (op->err.code == ERR_OK) {
        atomic_fetch_add(&guest->crowd->hits, 1);
        buf_unref(guest->get.value);
    } else if (guest->get.lead) {
        atomic_fetch_add(&guest->crowd->leads[guest->number], 1);
        op_finish(&guest->later);
        return;
    } else {
        atomic_fetch_add(&guest->crowd->alone, 1);
    }
    leave(guest);
}

static void ask(struct op *op)
{
    struct guest *guest = op_owner(op, struct guest, later);
    op->done = make;
    guest->crowd->cache->ops->get(guest->crowd->cache, &guest->get);
}

TEST(one_leads_and_all_are_answered_from_whatever_loop_they_ask)
{
    enum { KEYS = 400, EACH = 6, GUESTS = KEYS * EACH };
    static struct guest guests[LOOPS][GUESTS];
    static struct crowd crowd;
    struct err err = {0};
    crowd.cache = open_local(LIMIT);
    crowd.value = value_of(100, 'v');
    for (unsigned l = 0; l < LOOPS; l++) {
        CHECK(loop_open(l, "crowd", &crowd.loops[l], &err) == 0);
        CHECK(crowd.cache->ops->attach(crowd.cache, crowd.loops[l], &err) == 0);
        crowd.left[l] = GUESTS;
        for (uint32_t i = 0; i < GUESTS; i++) {
            struct guest *guest = &guests[l][i];
            *guest = (struct guest){.crowd = &crowd, .number = i / EACH, .turns = 5};
            guest->later = (struct op){.loop = crowd.loops[l], .done = ask};
            guest->get = (struct cache_get){.op = {.loop = crowd.loops[l], .done = answered},
                                            .key = key_of(guest->key, i / EACH),
                                            .generation = 1};
            op_finish(&guest->later);
        }
    }

    for (int l = 0; l < LOOPS; l++)
        CHECK(loop_start(crowd.loops[l], &err) == 0);
    for (int l = 0; l < LOOPS; l++)
        loop_join(crowd.loops[l]);

    int leads = 0;
    for (int i = 0; i < KEYS; i++) {
        CHECK(i % 3 == 0 ? crowd.leads[i] >= 1 : crowd.leads[i] == 1);
        leads += crowd.leads[i];
    }
    CHECK(crowd.hits + crowd.alone + leads == LOOPS * GUESTS);
    CHECK(crowd.hits == LOOPS * EACH * (KEYS - (KEYS + 2) / 3) - (KEYS - (KEYS + 2) / 3));
    crowd.cache->ops->close(crowd.cache);
    CHECK(atomic_load(&crowd.value->refs) == 1);
    buf_unref(crowd.value);
    for (int l = 0; l < LOOPS; l++)
        loop_close(crowd.loops[l]);
}

/* A small world: rows with versions, a writer now and then, readers that look and
 * make answers slowly.  By the rule of serve/get.h nobody may be given an answer
 * older than the last change that was acknowledged before he asked. */
enum { ROWS = 20000, READERS = 32, STEPS = 1500 };

struct world {
    struct cache *cache;
    struct loop *loops[LOOPS];
    atomic_uint_fast64_t row[ROWS], acknowledged[ROWS], generation;
    pthread_mutex_t commit; /* one change at a time, as in life */
    uint64_t sequence;
    atomic_int left[LOOPS], stale, hits, confirmed, changes;
};

struct reader {
    struct cache_get get;
    struct op step;
    struct world *world;
    uint32_t random, row;
    int steps, turns;
    uint64_t at_least, version;
    char key[32];
};

static void take_step(struct op *op);

static void next_step(struct reader *reader)
{
    reader->step.done = take_step;
    op_finish(&reader->step);
}

static void change(struct reader *reader)
{
    struct world *world = reader->world;
    pthread_mutex_lock(&world->commit);
    uint64_t sequence = ++world->sequence;
    atomic_store(&world->row[reader->row], sequence);
    atomic_fetch_add(&world->generation, 1);
    atomic_store(&world->acknowledged[reader->row], sequence);
    pthread_mutex_unlock(&world->commit);
    atomic_fetch_add(&world->changes, 1);
}

/* The version of the answer that he got. */
static void be_given(struct reader *reader, uint64_t version)
{
    if (version < reader->at_least)
        atomic_fetch_add(&reader->world->stale, 1);
    buf_unref(reader->get.value);
    next_step(reader);
}

/* The row was looked at some turns ago; only now is the answer made, or what is there
 * confirmed. */
static void made(struct op *op)
{
    struct reader *reader = op_owner(op, struct reader, step);
    struct cache *cache = reader->world->cache;
    const struct cache_get *get = &reader->get;
    if (--reader->turns > 0) {
        op_finish(&reader->step);
        return;
    }
    if (get->value && get->found == reader->version) {
        cache->ops->confirm(cache, op->loop, get->key, reader->version, get->generation);
        atomic_fetch_add(&reader->world->confirmed, 1);
        be_given(reader, reader->version);
        return;
    }
    struct buf *value = value_of(8, 'v');
    cache->ops->put(cache, op->loop, get->key, reader->version, get->generation, value, MINUTE_MS);
    buf_unref(value);
    be_given(reader, reader->version);
}

static void asked_for_row(struct op *op)
{
    struct reader *reader = op_owner(op, struct reader, get.op);
    if (op->err.code == ERR_OK && reader->get.checked >= reader->get.generation) {
        atomic_fetch_add(&reader->world->hits, 1);
        be_given(reader, reader->get.found);
        return;
    }
    reader->version = atomic_load(&reader->world->row[reader->row]);
    reader->turns = 1 + (int)(reader->random >> 24) % 8;
    reader->step.done = made;
    op_finish(&reader->step);
}

static void take_step(struct op *op)
{
    struct reader *reader = op_owner(op, struct reader, step);
    struct world *world = reader->world;
    if (reader->steps-- == 0) {
        if (atomic_fetch_sub(&world->left[loop_index(op->loop)], 1) == 1)
            loop_stop(op->loop);
        return;
    }
    reader->random = reader->random * 1664525u + 1013904223u;
    reader->row = (reader->random >> 8) % (reader->random & (1u << 30) ? 40 : ROWS);
    if ((reader->random >> 23) % 64 == 0) {
        change(reader);
        next_step(reader);
        return;
    }
    reader->at_least = atomic_load(&world->acknowledged[reader->row]);
    reader->get = (struct cache_get){.op = {.loop = op->loop, .done = asked_for_row},
                                     .key = key_of(reader->key, reader->row),
                                     .version = CACHE_ANY,
                                     .generation = atomic_load(&world->generation)};
    world->cache->ops->get(world->cache, &reader->get);
}

TEST(no_reader_on_any_loop_is_given_what_had_changed_before_he_asked)
{
    static struct reader readers[LOOPS][READERS];
    static struct world world = {.commit = PTHREAD_MUTEX_INITIALIZER};
    struct err err = {0};
    world.cache = open_local(1 << 20);
    for (unsigned l = 0; l < LOOPS; l++) {
        CHECK(loop_open(l, "world", &world.loops[l], &err) == 0);
        world.left[l] = READERS;
        for (uint32_t i = 0; i < READERS; i++) {
            readers[l][i] = (struct reader){.step = {.loop = world.loops[l], .done = take_step},
                                            .world = &world,
                                            .random = l * 1000 + i,
                                            .steps = STEPS};
            op_finish(&readers[l][i].step);
        }
    }

    for (int l = 0; l < LOOPS; l++)
        CHECK(loop_start(world.loops[l], &err) == 0);
    for (int l = 0; l < LOOPS; l++)
        loop_join(world.loops[l]);

    CHECK(world.stale == 0);
    CHECK(world.hits > 1000);
    CHECK(world.confirmed > 1000);
    CHECK(world.changes > 1000);
    world.cache->ops->close(world.cache);
    for (int l = 0; l < LOOPS; l++)
        loop_close(world.loops[l]);
}
