/* cache_conform.c - what cache.h promises, asked of every back end.
 *
 * A cache may forget, so a hit is demanded only of back ends that keep things;
 * of all of them: no stale answer, no operation that does not come home, no
 * reference lost.
 *
 * TEST_REDIS names a server for the one with a second level; nothing is
 * assumed of what is in it, and others may use it meanwhile.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/buf.h"
#include "cache/cache.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "loop/watch.h"

enum { MINUTE_MS = 60000, PATIENCE = 10000 };

struct backend {
    const char *name;
    int (*open)(struct cache **result, struct err *err);
    bool keeps;  /* what was just put is there */
    bool shares; /* it has a second level */
};

static int open_local(struct cache **result, struct err *err)
{
    return cache_local_open(4 << 20, result, err);
}

static const char *redis_url(void)
{
    const char *url = getenv("TEST_REDIS");
    return url && url[0] ? url : NULL;
}

/* Of this program alone. */
static uint64_t own_number(void)
{
    static uint64_t number;
    if (!number && getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        exit(1);
    return number;
}

static int open_redis(struct cache **result, struct err *err)
{
    char secret[32];
    struct cache *near = NULL;
    snprintf(secret, sizeof secret, "%" PRIx64, own_number());
    if (open_local(&near, err))
        return (int)err->code;
    int r = cache_redis_open(&(struct cache_redis_config){.url = redis_url(),
                                                          .near = near,
                                                          .secret = secret,
                                                          .timeout_ms = 5000,
                                                          .pending_max = 4 << 20},
                             result, err);
    if (r)
        near->ops->close(near);
    return r;
}

static const struct backend backends[] = {
    {"local", open_local, true, false},
    {"none", cache_none_open, false, false},
    {"redis", open_redis, true, true},
};

TEST(the_back_end_redis_has_a_server)
{
    if (!redis_url())
        test_skip("TEST_REDIS is not set");
}

/* The back end under test, a loop, and what is called with them. */
struct bench {
    const struct backend *backend;
    struct loop *loop;
    struct cache *cache;
};

struct asked {
    struct cache_get get;
    bool done;
};

static struct bench bench_open(const struct backend *backend)
{
    struct bench b = {.backend = backend, .loop = hand_loop_open()};
    struct err err = {0};
    if (backend->open(&b.cache, &err) || b.cache->ops->attach(b.cache, b.loop, &err)) {
        fprintf(stderr, "%s: %s\n", backend->name, err.text);
        exit(1);
    }
    CHECK(strcmp(b.cache->ops->name, backend->name) == 0);
    return b;
}

static void bench_close(struct bench *b)
{
    hand_loop_turn(b->loop);
    b->cache->ops->close(b->cache);
    hand_loop_close(b->loop);
}

static void got(struct op *op)
{
    op_owner(op, struct asked, get.op)->done = true;
}

static void ask(struct bench *b, struct asked *asked, struct str key, uint64_t version,
                uint64_t generation)
{
    *asked = (struct asked){.get = {.op = {.loop = b->loop, .done = got},
                                    .key = key,
                                    .version = version,
                                    .generation = generation}};
    b->cache->ops->get(b->cache, &asked->get);
    CHECK(!asked->done); /* never inside the call */
}

/* Ask, and wait for the answer: the version found, or -1 for a miss, whose
 * flight is given up at once. */
static long long look(struct bench *b, struct str key, uint64_t version, uint64_t generation,
                      bool *lead)
{
    struct asked asked;
    ask(b, &asked, key, version, generation);
    CHECK(hand_loop_until(b->loop, &asked.done));
    *lead = false;
    if (asked.get.op.err.code == ERR_OK) {
        CHECK(asked.get.value != NULL);
        buf_unref(asked.get.value);
        return (long long)asked.get.found;
    }
    CHECK(asked.get.op.err.code == ERR_NOT_FOUND);
    *lead = asked.get.lead;
    if (*lead)
        b->cache->ops->abandon(b->cache, b->loop, key, generation);
    return -1;
}

static struct buf *value_of(const char *s)
{
    struct buf *buf = buf_new(strlen(s));
    memcpy(buf->at, s, strlen(s));
    buf->len = strlen(s);
    return buf;
}

static void put(struct bench *b, struct str key, uint64_t version, uint64_t generation,
                struct buf *value)
{
    b->cache->ops->put(b->cache, b->loop, key, version, generation, value, MINUTE_MS);
}

static void each(void (*test)(struct bench *b))
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (backends[i].shares && !redis_url())
            continue;
        struct bench b = bench_open(&backends[i]);
        int before = test_failures;
        test(&b);
        bench_close(&b);
        if (test_failures != before)
            fprintf(stderr, "(with the back end %s)\n", backends[i].name);
    }
}

static void put_and_look(struct bench *b)
{
    struct buf *value = value_of("answer");
    struct asked asked;
    bool lead;
    CHECK(look(b, STR("key"), CACHE_ANY, 1, &lead) == -1);
    CHECK(lead == b->backend->keeps);

    put(b, STR("key"), 7, 1, value);

    ask(b, &asked, STR("key"), CACHE_ANY, 1);
    CHECK(hand_loop_until(b->loop, &asked.done));
    CHECK((asked.get.op.err.code == ERR_OK) == b->backend->keeps);
    if (asked.get.op.err.code == ERR_OK) {
        CHECK(asked.get.found == 7);
        CHECK(asked.get.value == value); /* shared, not copied */
        buf_unref(asked.get.value);
    }
    CHECK(look(b, STR("other"), CACHE_ANY, 1, &lead) == -1);
    CHECK(look(b, STR(""), CACHE_ANY, 1, &lead) == -1);
    buf_unref(value);
}
TEST(what_was_put_is_found_under_its_key_only)
{
    each(put_and_look);
}

static void references(struct bench *b)
{
    struct buf *value = value_of("answer");
    put(b, STR("key"), 1, 1, value);
    put(b, STR("key"), 2, 1, value);
    put(b, STR("key"), 1, 1, value);
    b->cache->ops->confirm(b->cache, b->loop, STR("key"), 2, 3);
    CHECK(atomic_load(&value->refs) == (b->backend->keeps ? 2 : 1));
    b->cache->ops->close(b->cache);
    CHECK(atomic_load(&value->refs) == 1);
    buf_unref(value);
    struct err err = {0};
    CHECK(b->backend->open(&b->cache, &err) == 0);
}
TEST(no_reference_is_lost_or_kept_too_long)
{
    each(references);
}

static void versions(struct bench *b)
{
    struct buf *value = value_of("x");
    bool lead;
    put(b, STR("search"), 5, 5, value);

    long long kept = b->backend->keeps ? 5 : -1;
    CHECK(look(b, STR("search"), 5, 5, &lead) == kept);
    CHECK(look(b, STR("search"), 4, 4, &lead) == kept); /* newer will do */
    CHECK(look(b, STR("search"), 6, 6, &lead) == -1);
    CHECK(lead == b->backend->keeps);
    put(b, STR("search"), 6, 6, value);
    put(b, STR("search"), 5, 5, value); /* a slower one, with an older answer */
    CHECK(look(b, STR("search"), 6, 6, &lead) == (b->backend->keeps ? 6 : -1));
    buf_unref(value);
}
TEST(an_answer_older_than_asked_for_is_a_miss)
{
    each(versions);
}

/* What is there, and what is known of it: "version at generation", "none" for a miss. */
static const char *known(struct bench *b, struct str key, char out[48])
{
    struct asked asked;
    ask(b, &asked, key, CACHE_ANY, 1);
    CHECK(hand_loop_until(b->loop, &asked.done));
    snprintf(out, 48, "none");
    if (asked.get.op.err.code == ERR_OK) {
        snprintf(out, 48, "%" PRIu64 " at %" PRIu64, asked.get.found, asked.get.checked);
        buf_unref(asked.get.value);
    } else if (asked.get.lead) {
        b->cache->ops->abandon(b->cache, b->loop, key, 1);
    }
    return out;
}

static bool is_known(struct bench *b, struct str key, const char *as)
{
    char text[48];
    known(b, key, text);
    if (strcmp(text, b->backend->keeps ? as : "none") == 0)
        return true;
    fprintf(stderr, "%s, not %s\n", text, as);
    return false;
}

static void confirm(struct bench *b, struct str key, uint64_t version, uint64_t generation)
{
    b->cache->ops->confirm(b->cache, b->loop, key, version, generation);
}

static void confirms(struct bench *b)
{
    struct buf *value = value_of("x");
    put(b, STR("run"), 5, 3, value);
    CHECK(is_known(b, STR("run"), "5 at 3"));
    confirm(b, STR("run"), 5, 7);
    CHECK(is_known(b, STR("run"), "5 at 7"));
    confirm(b, STR("run"), 5, 6); /* one who was slower */
    CHECK(is_known(b, STR("run"), "5 at 7"));
    confirm(b, STR("run"), 4, 8); /* another version than is there now */
    confirm(b, STR("run"), 6, 8);
    CHECK(is_known(b, STR("run"), "5 at 7"));
    confirm(b, STR("never there"), 1, 8);
    CHECK(is_known(b, STR("never there"), "none"));
    buf_unref(value);
}
TEST(a_version_is_confirmed_for_a_later_generation_and_no_other_version)
{
    each(confirms);
}

/* Readers that were slow, in every order. */
static void late_puts(struct bench *b)
{
    static const struct {
        uint64_t version, generation;
        const char *then;
    } steps[] = {
        {5, 3, "5 at 3"}, {5, 2, "5 at 3"}, /* the same run, looked at before */
        {5, 4, "5 at 4"}, {4, 9, "5 at 4"}, /* an older run makes no newer one count */
        {6, 2, "6 at 2"},                   /* a newer one, known for an older generation alone */
        {5, 9, "6 at 2"}, {6, 9, "6 at 9"},
    };
    struct buf *value = value_of("x");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        put(b, STR("run"), steps[i].version, steps[i].generation, value);
        CHECK(is_known(b, STR("run"), steps[i].then));
    }
    confirm(b, STR("run"), 5, 10); /* who looked before the newer put */
    CHECK(is_known(b, STR("run"), "6 at 9"));
    buf_unref(value);
}
TEST(a_late_put_makes_nothing_older_and_nothing_count_that_it_did_not_see)
{
    each(late_puts);
}

static void waited(struct bench *b)
{
    struct asked first, second;
    struct buf *value = value_of("x");
    ask(b, &first, STR("run"), CACHE_ANY, 3);
    ask(b, &second, STR("run"), CACHE_ANY, 3);
    put(b, STR("run"), 8, 3, value);
    CHECK(hand_loop_until(b->loop, &second.done));
    CHECK((second.get.op.err.code == ERR_OK) == b->backend->keeps);
    if (second.get.op.err.code == ERR_OK) {
        CHECK(second.get.found == 8 && second.get.checked == 3);
        buf_unref(second.get.value);
    }
    CHECK(hand_loop_until(b->loop, &first.done));
    buf_unref(value);
}
TEST(what_one_waited_for_is_checked_at_the_generation_of_the_flight)
{
    each(waited);
}

/* An entry that is too old is no answer, and who asks for a newer one leads or waits. */
static void outdated(struct bench *b)
{
    struct asked first, second;
    struct buf *old = value_of("old"), *fresh = value_of("fresh");
    put(b, STR("run"), 5, 1, old);
    ask(b, &first, STR("run"), 6, 2);
    ask(b, &second, STR("run"), 6, 2);
    CHECK(hand_loop_until(b->loop, &first.done));
    CHECK(first.get.op.err.code == ERR_NOT_FOUND && first.get.lead == b->backend->keeps);
    put(b, STR("run"), 6, 2, fresh);
    CHECK(hand_loop_until(b->loop, &second.done));
    CHECK((second.get.op.err.code == ERR_OK) == b->backend->keeps);
    if (second.get.op.err.code == ERR_OK) {
        CHECK(second.get.value == fresh);
        buf_unref(second.get.value);
    }
    CHECK(atomic_load(&old->refs) == 1);
    buf_unref(old);
    buf_unref(fresh);
}
TEST(a_changed_run_is_made_once_for_all_who_ask)
{
    each(outdated);
}

static void large(struct bench *b)
{
    struct buf *value = buf_new(CACHE_VALUE_MAX + 1);
    memset(value->at, 'x', CACHE_VALUE_MAX + 1);
    value->len = CACHE_VALUE_MAX + 1;
    struct asked first, second;
    bool lead;
    ask(b, &first, STR("big"), CACHE_ANY, 1);
    ask(b, &second, STR("big"), CACHE_ANY, 1);
    CHECK(hand_loop_until(b->loop, &first.done));
    put(b, STR("big"), 1, 1, value);
    CHECK(hand_loop_until(b->loop, &second.done));
    if (second.get.op.err.code == ERR_OK)
        buf_unref(second.get.value);
    CHECK(atomic_load(&value->refs) == 1);
    CHECK(look(b, STR("big"), CACHE_ANY, 1, &lead) == -1);
    CHECK(lead == b->backend->keeps); /* the flight has ended */
    buf_unref(value);
}
TEST(a_value_over_the_limit_is_not_kept_and_ends_the_flight)
{
    each(large);
}

static void long_key(struct bench *b)
{
    static char bytes[CACHE_KEY_MAX + 1];
    memset(bytes, 'k', sizeof bytes);
    struct str longest = {bytes, CACHE_KEY_MAX}, longer = {bytes, CACHE_KEY_MAX + 1};
    struct buf *value = value_of("x");
    bool lead;
    put(b, longest, 1, 1, value);
    CHECK(look(b, longest, 1, 1, &lead) == (b->backend->keeps ? 1 : -1));
    put(b, longer, 1, 1, value);
    CHECK(look(b, longer, 1, 1, &lead) == -1);
    CHECK(!lead);
    b->cache->ops->abandon(b->cache, b->loop, longer, 1);
    b->cache->ops->confirm(b->cache, b->loop, longer, 1, 2);
    buf_unref(value);
}
TEST(a_key_over_the_limit_is_a_miss_that_nobody_leads)
{
    each(long_key);
}

/* Five ask; the first makes the answer (or each does, where nothing is kept). */
static void flight(struct bench *b)
{
    struct asked asked[5];
    struct buf *value = value_of("made once");
    for (int i = 0; i < 5; i++)
        ask(b, &asked[i], STR("cold"), CACHE_ANY, 3);
    CHECK(hand_loop_until(b->loop, &asked[0].done));
    hand_loop_turn(b->loop);
    CHECK(asked[0].get.op.err.code == ERR_NOT_FOUND);
    CHECK(asked[0].get.lead == b->backend->keeps);
    for (int i = 1; i < 5; i++)
        CHECK(asked[i].done == !b->backend->keeps);

    put(b, STR("cold"), 4, 3, value);

    for (int i = 1; i < 5; i++) {
        CHECK(hand_loop_until(b->loop, &asked[i].done));
        CHECK((asked[i].get.op.err.code == ERR_OK) == b->backend->keeps);
        CHECK(!asked[i].get.lead);
        if (asked[i].get.op.err.code == ERR_OK) {
            CHECK(asked[i].get.value == value && asked[i].get.found == 4);
            buf_unref(asked[i].get.value);
        }
    }
    buf_unref(value);
}
TEST(a_cold_answer_is_made_once_for_all_who_ask)
{
    each(flight);
}

static void abandoned(struct bench *b)
{
    struct asked asked[4];
    bool lead;
    for (int i = 0; i < 4; i++)
        ask(b, &asked[i], STR("gone"), CACHE_ANY, 3);
    CHECK(hand_loop_until(b->loop, &asked[0].done));

    b->cache->ops->abandon(b->cache, b->loop, STR("gone"), 3);

    for (int i = 1; i < 4; i++) {
        CHECK(hand_loop_until(b->loop, &asked[i].done));
        CHECK(asked[i].get.op.err.code == ERR_NOT_FOUND);
        CHECK(!asked[i].get.lead);
    }
    CHECK(look(b, STR("gone"), CACHE_ANY, 3, &lead) == -1);
    CHECK(lead == b->backend->keeps);                          /* a new flight */
    b->cache->ops->abandon(b->cache, b->loop, STR("gone"), 3); /* once more does no harm */
}
TEST(when_the_leader_abandons_nobody_waits_any_longer)
{
    each(abandoned);
}

static void generations(struct bench *b)
{
    if (!b->backend->keeps)
        return;
    struct asked old, later, same;
    struct buf *value = value_of("x");
    ask(b, &old, STR("s"), 1, 1);
    ask(b, &later, STR("s"), 2, 2); /* something was committed in between */
    ask(b, &same, STR("s"), 2, 2);
    CHECK(hand_loop_until(b->loop, &old.done));
    CHECK(hand_loop_until(b->loop, &later.done));
    CHECK(old.get.lead && later.get.lead);
    CHECK(!same.done);

    put(b, STR("s"), 1, 1, value);
    hand_loop_turn(b->loop);
    CHECK(!same.done);
    put(b, STR("s"), 2, 2, value);

    CHECK(hand_loop_until(b->loop, &same.done));
    CHECK(same.get.op.err.code == ERR_OK && same.get.found == 2);
    if (same.get.op.err.code == ERR_OK)
        buf_unref(same.get.value);
    buf_unref(value);
}
TEST(a_flight_is_joined_by_its_own_generation_only)
{
    each(generations);
}

static void too_old(struct bench *b)
{
    struct asked first, second;
    struct buf *value = value_of("x");
    ask(b, &first, STR("s"), 5, 5);
    ask(b, &second, STR("s"), 5, 5);
    put(b, STR("s"), 4, 5, value);
    CHECK(hand_loop_until(b->loop, &second.done));
    CHECK(second.get.op.err.code == ERR_NOT_FOUND && !second.get.lead);
    buf_unref(value);
}
TEST(one_who_waited_is_not_given_an_older_version_than_asked_for)
{
    each(too_old);
}

static void sizes(struct bench *b)
{
    struct buf *value = value_of("0123456789");
    uint64_t entries = 99, bytes = 99;
    b->cache->ops->sizes(b->cache, &entries, &bytes);
    CHECK(entries == 0 && bytes == 0);
    put(b, STR("a"), 1, 1, value);
    put(b, STR("b"), 1, 1, value);
    put(b, STR("a"), 2, 1, value);
    b->cache->ops->sizes(b->cache, &entries, &bytes);
    CHECK(entries == (b->backend->keeps ? 2 : 0));
    CHECK(b->backend->keeps ? bytes > 22 : bytes == 0);
    buf_unref(value);
}
TEST(sizes_are_those_of_what_is_kept)
{
    each(sizes);
}

/* --- the second level --- */

struct recalled {
    struct cache_recall recall;
    bool done;
};

static void recall_done(struct op *op)
{
    op_owner(op, struct recalled, recall.op)->done = true;
}

/* The value, whose reference is the caller's, or NULL. */
static struct buf *recall(struct bench *b, struct str key, uint64_t version)
{
    struct recalled r = {
        .recall = {.op = {.loop = b->loop, .done = recall_done}, .key = key, .version = version}};
    b->cache->ops->recall(b->cache, &r.recall);
    CHECK(!r.done);
    CHECK(hand_loop_until(b->loop, &r.done));
    if (r.recall.op.err.code == ERR_OK)
        return r.recall.value;
    CHECK(r.recall.op.err.code == ERR_NOT_FOUND);
    return NULL;
}

static void rung(void *context)
{
    *(bool *)context = true;
}

/* It may be connecting still, so more than once; false: it did not get there. */
static bool share(struct bench *b, struct str key, uint64_t version, struct buf *value)
{
    bool there = false;
    for (int left = PATIENCE; !there && left > 0; left--) {
        bool later = false;
        struct timer *timer = timer_new(b->loop, rung, &later);
        b->cache->ops->share(b->cache, b->loop, key, version, value, MINUTE_MS);
        struct buf *found = recall(b, key, version);
        there = found != NULL;
        buf_unref(found);
        timer_start(timer, 1);
        CHECK(there || hand_loop_until(b->loop, &later));
        timer_free(timer);
        if (!b->backend->shares)
            break;
    }
    return there;
}

struct own_key {
    char at[48];
};

static struct str own_key(struct own_key *room, const char *name)
{
    int len = snprintf(room->at, sizeof room->at, "%s%c%" PRIx64, name, 0, own_number());
    return (struct str){room->at, (size_t)len};
}

static void shared(struct bench *b)
{
    struct own_key one, two;
    struct str key = own_key(&one, "key"), other = own_key(&two, "other");
    struct buf *value = value_of("answer");
    bool lead;
    CHECK(recall(b, key, 7) == NULL);
    CHECK(share(b, key, 7, value) == b->backend->shares);
    CHECK(atomic_load(&value->refs) == 1);

    struct buf *found = recall(b, key, 7);
    CHECK(!found == !b->backend->shares);
    CHECK(!found || (found->len == 6 && memcmp(found->at, "answer", 6) == 0));
    buf_unref(found);
    CHECK(recall(b, key, 6) == NULL);
    CHECK(recall(b, key, 8) == NULL);
    CHECK(recall(b, other, 7) == NULL);
    CHECK(look(b, key, CACHE_ANY, 1, &lead) == -1); /* near is near */

    struct bench node = bench_open(b->backend); /* another one */
    CHECK(share(&node, other, 1, value) == b->backend->shares);
    found = recall(&node, key, 7);
    CHECK(!found == !b->backend->shares);
    buf_unref(found);
    CHECK(share(&node, key, 8, value) == b->backend->shares); /* the run has changed */
    CHECK(recall(b, key, 7) == NULL);
    found = recall(b, key, 8);
    CHECK(!found == !b->backend->shares);
    buf_unref(found);
    bench_close(&node);
    buf_unref(value);
}
TEST(what_one_node_shares_all_recall_for_its_version_only)
{
    each(shared);
}

static void share_bounds(struct bench *b)
{
    static char bytes[CACHE_KEY_MAX + 1];
    struct own_key room;
    struct str key = own_key(&room, "bounds"), longer = {bytes, sizeof bytes};
    struct buf *big = buf_new(CACHE_VALUE_MAX + 1), *value = value_of("x");
    big->len = CACHE_VALUE_MAX;
    memset(big->at, 'x', CACHE_VALUE_MAX + 1);
    CHECK(share(b, key, 1, big) == b->backend->shares);
    big->len++;
    b->cache->ops->share(b->cache, b->loop, key, 2, big, MINUTE_MS);
    CHECK(recall(b, key, 2) == NULL);
    b->cache->ops->share(b->cache, b->loop, longer, 1, value, MINUTE_MS);
    CHECK(recall(b, longer, 1) == NULL);
    b->cache->ops->share(b->cache, b->loop, key, 3, value, 0);
    CHECK(recall(b, key, 3) == NULL);
    b->cache->ops->share(b->cache, b->loop, key, 4, value, UINT64_MAX);
    buf_unref(recall(b, key, 4)); /* kept or not, it comes home */
    buf_unref(value);
    buf_unref(big);
}
TEST(what_is_too_long_is_not_shared)
{
    each(share_bounds);
}
