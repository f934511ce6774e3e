/* redis_test.c - the second level, against a server that does as it is told.
 *
 * The server is a thread that speaks RESP on a port of its own.  The clock is the
 * test's and stands still unless it is moved, so nothing is late by accident.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "cache/cache.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "loop/resolve.h"
#include "loop/watch.h"

enum { MINUTE_MS = 60000, PENDING_MAX = 2 << 20, HEAD = 40, PATIENCE = 10000 };

/* --- the test's own clock, and its own names --- */

static _Atomic int64_t now_us = 1000000;

int64_t clock_now_us(void)
{
    return now_us;
}

int64_t clock_mono_us(void)
{
    return now_us;
}

static void pass_ms(int64_t ms)
{
    now_us += 1000 * ms;
}

static struct resolve *asked_for; /* the one under way */

void resolve(struct resolve *r)
{
    asked_for = r;
}

bool resolve_cancel(struct resolve *r)
{
    (void)r;
    return false; /* it comes home all the same */
}

/* --- a server --- */

enum { ENTRIES = 8, ARGUMENTS = 8, ROOM = 4 << 20 };

struct entry {
    char *key, *value;
    size_t key_len, value_len;
};

struct server {
    pthread_mutex_t lock; /* of everything below */
    int listener, bell[2];
    int connections, pings, gets, sets;
    char auth[128], database[16];
    const char *reply; /* to a GET; NULL: as Redis would */
    size_t reply_len;
    size_t filler;       /* this many bytes more */
    const char *welcome; /* to AUTH, SELECT and PING */
    bool cuts;           /* the connection, after a reply to a GET */
    bool hold;           /* replies, except to a greeting */
    char *held;
    size_t held_len;
    struct entry entries[ENTRIES];
    bool stop;
    pthread_t thread;
    int port;
};

static struct entry *entry_of(struct server *s, struct str key)
{
    for (int i = 0; i < ENTRIES; i++) {
        struct entry *e = &s->entries[i];
        if (e->key && str_eq((struct str){e->key, e->key_len}, key))
            return e;
    }
    return NULL;
}

static void erase(struct entry *e)
{
    free(e->key);
    free(e->value);
    *e = (struct entry){0};
}

static char *copy_of(struct str s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        exit(1);
    memcpy(copy, s.at, s.len);
    return copy;
}

static void set_entry(struct server *s, struct str key, struct str value)
{
    struct entry *e = entry_of(s, key);
    if (e)
        erase(e);
    for (int i = 0; i < ENTRIES; i++)
        if (!s->entries[i].key) {
            s->entries[i] = (struct entry){copy_of(key), copy_of(value), key.len, value.len};
            return;
        }
    exit(1);
}

static bool send_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* Now, or when it is let go. */
static bool say(struct server *s, int fd, const char *at, size_t len)
{
    if (!s->hold)
        return send_all(fd, at, len);
    s->held = realloc(s->held, s->held_len + len);
    if (!s->held)
        exit(1);
    memcpy(s->held + s->held_len, at, len);
    s->held_len += len;
    return true;
}

static bool say_text(struct server *s, int fd, const char *text)
{
    return say(s, fd, text, strlen(text));
}

static bool say_value(struct server *s, int fd, struct str key)
{
    const struct entry *e = entry_of(s, key);
    if (s->reply) {
        bool open = say(s, fd, s->reply, s->reply_len);
        char piece[4096];
        memset(piece, 'x', sizeof piece);
        for (size_t n = 0; open && n < s->filler; n += sizeof piece) {
            size_t left = s->filler - n;
            open = say(s, fd, piece, left < sizeof piece ? left : sizeof piece);
        }
        return open && !s->cuts;
    }
    if (!e)
        return say_text(s, fd, "$-1\r\n");
    char head[32];
    snprintf(head, sizeof head, "$%zu\r\n", e->value_len);
    return say_text(s, fd, head) && say(s, fd, e->value, e->value_len) && say_text(s, fd, "\r\n");
}

/* False: hang up. */
static bool obey(struct server *s, int fd, const struct str *a, size_t count)
{
    if (str_eq(a[0], STR("GET"))) {
        s->gets++;
        return say_value(s, fd, a[1]);
    }
    if (str_eq(a[0], STR("SET"))) {
        s->sets++;
        set_entry(s, a[1], a[2]);
        return say_text(s, fd, "+OK\r\n");
    }
    if (str_eq(a[0], STR("AUTH")))
        snprintf(s->auth, sizeof s->auth, count == 3 ? "%.*s %.*s" : "%.*s", STR_FMT(a[1]),
                 count == 3 ? (int)a[2].len : 0, count == 3 ? a[2].at : "");
    else if (str_eq(a[0], STR("SELECT")))
        snprintf(s->database, sizeof s->database, "%.*s", STR_FMT(a[1]));
    else if (str_eq(a[0], STR("PING")))
        s->pings++;
    return send_all(fd, s->welcome, strlen(s->welcome));
}

/* One whole command at the front; 0: not yet. */
static size_t read_command(const char *at, size_t len, struct str *arguments, size_t *count)
{
    const char *p = at, *end = at + len;
    unsigned long left = 0;
    for (*count = 0;;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        if (!line)
            return 0;
        unsigned long n = strtoul(p + 1, NULL, 10);
        p = line + 1;
        if (left == 0) {
            left = n;
            continue;
        }
        if ((size_t)(end - p) < n + 2)
            return 0;
        arguments[(*count)++] = (struct str){p, n};
        p += n + 2;
        if (--left == 0)
            return (size_t)(p - at);
    }
}

static void converse(struct server *s, int fd)
{
    char *room = malloc(ROOM);
    size_t len = 0;
    if (!room)
        exit(1);
    for (bool open = true; open;) {
        struct pollfd polled[] = {{fd, POLLIN, 0}, {s->bell[0], POLLIN, 0}};
        poll(polled, 2, -1);
        pthread_mutex_lock(&s->lock);
        open = !s->stop;
        if (polled[1].revents) {
            char ring;
            if (read(s->bell[0], &ring, 1) != 1)
                open = false;
            if (!s->hold && s->held_len) {
                open = open && send_all(fd, s->held, s->held_len);
                s->held_len = 0;
            }
        }
        ssize_t n = open && polled[0].revents ? read(fd, room + len, ROOM - len) : -1;
        if (polled[0].revents && n <= 0)
            open = false;
        if (n > 0)
            len += (size_t)n;
        struct str arguments[ARGUMENTS];
        size_t count, used;
        while (open && (used = read_command(room, len, arguments, &count)) > 0) {
            open = obey(s, fd, arguments, count);
            memmove(room, room + used, len - used);
            len -= used;
        }
        pthread_mutex_unlock(&s->lock);
    }
    free(room);
    close(fd);
}

static void *serve(void *context)
{
    struct server *s = context;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        pthread_mutex_lock(&s->lock);
        bool stop = s->stop || fd < 0;
        s->connections += !stop;
        s->held_len = 0;
        pthread_mutex_unlock(&s->lock);
        if (stop) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        int on = 1; /* a reply goes out in pieces */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        converse(s, fd);
    }
}

static void server_start(struct server *s)
{
    *s = (struct server){.welcome = "+OK\r\n", .lock = PTHREAD_MUTEX_INITIALIZER};
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (s->listener < 0 || pipe(s->bell) != 0 ||
        bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(s->listener, 16) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &size) != 0 ||
        pthread_create(&s->thread, NULL, serve, s) != 0) {
        perror("the test's server");
        exit(1);
    }
    s->port = ntohs(address.sin_port);
}

static void server_ring(struct server *s)
{
    if (write(s->bell[1], "", 1) != 1)
        exit(1);
}

static void server_stop(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_mutex_unlock(&s->lock);
    server_ring(s);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    close(s->bell[0]);
    close(s->bell[1]);
    for (int i = 0; i < ENTRIES; i++)
        erase(&s->entries[i]);
    free(s->held);
    pthread_mutex_destroy(&s->lock);
}

static int count_of(struct server *s, const int *counter)
{
    pthread_mutex_lock(&s->lock);
    int n = *counter;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void reply_with(struct server *s, const char *bytes, size_t len)
{
    pthread_mutex_lock(&s->lock);
    s->reply = bytes;
    s->reply_len = len;
    pthread_mutex_unlock(&s->lock);
}

static void hold(struct server *s, bool on)
{
    pthread_mutex_lock(&s->lock);
    s->hold = on;
    pthread_mutex_unlock(&s->lock);
    server_ring(s);
}

/* --- the cache in front of it --- */

struct bench {
    struct server server;
    struct loop *loop;
    struct cache *cache;
    struct timer *timer;
    bool rung;
};

static struct cache *open_redis(const char *url, const char *secret)
{
    struct cache *near = NULL, *cache = NULL;
    struct err err = {0};
    if (cache_local_open(1 << 20, &near, &err) ||
        cache_redis_open(&(struct cache_redis_config){.url = url,
                                                      .near = near,
                                                      .secret = secret,
                                                      .timeout_ms = 10,
                                                      .pending_max = PENDING_MAX},
                         &cache, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return cache;
}

static void ring(void *context)
{
    ((struct bench *)context)->rung = true;
}

/* `who` goes before the host, `what` behind the port. */
static void bench_open(struct bench *b, const char *who, const char *what)
{
    char url[256];
    server_start(&b->server);
    b->loop = hand_loop_open();
    b->timer = timer_new(b->loop, ring, b);
    snprintf(url, sizeof url, "redis://%s127.0.0.1:%d%s", who, b->server.port, what);
    b->cache = open_redis(url, "the secret");
    CHECK(b->cache->ops->attach(b->cache, b->loop, NULL) == 0);
}

static void bench_close(struct bench *b)
{
    b->cache->ops->close(b->cache);
    timer_free(b->timer);
    hand_loop_close(b->loop);
    server_stop(&b->server);
}

static void breathe(struct bench *b)
{
    b->rung = false;
    timer_start(b->timer, 1);
    CHECK(hand_loop_until(b->loop, &b->rung));
}

struct asked {
    struct cache_recall recall;
    bool done;
};

static void recalled(struct op *op)
{
    op_owner(op, struct asked, recall.op)->done = true;
}

static void ask(struct bench *b, struct asked *asked, struct str key, uint64_t version)
{
    *asked = (struct asked){
        .recall = {.op = {.loop = b->loop, .done = recalled}, .key = key, .version = version}};
    b->cache->ops->recall(b->cache, &asked->recall);
    CHECK(!asked->done);
}

/* The value, whose reference is the caller's, or NULL. */
static struct buf *result_of(struct bench *b, struct asked *asked)
{
    CHECK(hand_loop_until(b->loop, &asked->done));
    if (asked->recall.op.err.code == ERR_OK) {
        CHECK(asked->recall.value != NULL);
        return asked->recall.value;
    }
    CHECK(asked->recall.op.err.code == ERR_NOT_FOUND);
    return NULL;
}

static struct buf *look(struct bench *b, struct str key, uint64_t version)
{
    struct asked asked;
    ask(b, &asked, key, version);
    return result_of(b, &asked);
}

static bool there(struct bench *b, struct str key, uint64_t version)
{
    struct buf *value = look(b, key, version);
    buf_unref(value);
    return value != NULL;
}

/* Wait until a counter of the server is that far, asking for something all the while. */
static void ask_until(struct bench *b, const int *counter, int count)
{
    int left = PATIENCE;
    while (count_of(&b->server, counter) < count && --left > 0) {
        there(b, STR("warm"), 1);
        breathe(b);
    }
    CHECK(left > 0);
}

static void warm(struct bench *b)
{
    ask_until(b, &b->server.gets, count_of(&b->server, &b->server.gets) + 1);
}

static struct buf *value_of(size_t size, char fill)
{
    struct buf *value = buf_new(size);
    if (!value)
        exit(1);
    memset(value->at, fill, size);
    value->len = size;
    return value;
}

static void share(struct bench *b, struct str key, uint64_t version, size_t size, char fill)
{
    struct buf *value = value_of(size, fill);
    b->cache->ops->share(b->cache, b->loop, key, version, value, MINUTE_MS);
    CHECK(atomic_load(&value->refs) == 1);
    buf_unref(value);
}

/* The recall times out: it was sent, and then time passed. */
static void miss_by_time(struct bench *b)
{
    struct asked asked;
    int64_t before = metric_value(METRIC_CACHE_RECALLS_TIMEOUT);
    ask(b, &asked, STR("late"), 1);
    pass_ms(11);
    CHECK(result_of(b, &asked) == NULL);
    CHECK(metric_value(METRIC_CACHE_RECALLS_TIMEOUT) == before + 1);
}

/* --- what is kept --- */

TEST(what_was_shared_is_recalled_for_its_key_and_version_only)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("run\0\r\n$1"), 7, 5000, 'v');
    struct buf *value = look(&b, STR("run\0\r\n$1"), 7);

    CHECK(value && value->len == 5000 && value->at[0] == 'v' && value->at[4999] == 'v');
    CHECK(!there(&b, STR("run\0\r\n$1"), 6));
    CHECK(!there(&b, STR("run\0\r\n$1"), 8));
    CHECK(!there(&b, STR("run"), 7));
    CHECK(there(&b, STR("run\0\r\n$1"), 7));
    buf_unref(value);
    CHECK(entry_of(&b.server, STR("rundlet:1:run\0\r\n$1")) != NULL);
    bench_close(&b);
}

TEST(values_from_none_to_the_longest_come_back)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    static const size_t sizes[] = {0, 1, 200, 16384, CACHE_VALUE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        share(&b, STR("k"), i, sizes[i], 'v');
        struct buf *value = look(&b, STR("k"), i);
        CHECK(value && value->len == sizes[i]);
        buf_unref(value);
    }
    bench_close(&b);
}

TEST(what_may_not_be_kept_is_not_sent)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    static const char long_key[CACHE_KEY_MAX + 1];
    struct buf *value = value_of(3, 'v');
    share(&b, STR("k"), 1, CACHE_VALUE_MAX + 1, 'v');
    share(&b, (struct str){long_key, sizeof long_key}, 1, 3, 'v');
    b.cache->ops->share(b.cache, b.loop, STR("k"), 1, value, 0);
    CHECK(!there(&b, (struct str){long_key, sizeof long_key}, 1));
    CHECK(!there(&b, STR("k"), 1));
    CHECK(count_of(&b.server, &b.server.sets) == 0);
    buf_unref(value);
    bench_close(&b);
}

/* --- what is not believed --- */

TEST(a_value_with_any_byte_changed_is_a_miss)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("k"), 1, 10, 'v');
    CHECK(there(&b, STR("k"), 1));
    int taken = 0;
    for (int i = 0; i < HEAD + 10; i++) {
        char *at = &entry_of(&b.server, STR("rundlet:1:k"))->value[i];
        pthread_mutex_lock(&b.server.lock);
        *at = (char)(*at ^ 0x10);
        pthread_mutex_unlock(&b.server.lock);
        taken += there(&b, STR("k"), 1);
        pthread_mutex_lock(&b.server.lock);
        *at = (char)(*at ^ 0x10);
        pthread_mutex_unlock(&b.server.lock);
    }
    CHECK(taken == 0);
    CHECK(there(&b, STR("k"), 1));
    bench_close(&b);
}

TEST(a_value_cut_short_or_drawn_out_is_a_miss)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("k"), 1, 10, 'v');
    CHECK(there(&b, STR("k"), 1));
    size_t *len = &entry_of(&b.server, STR("rundlet:1:k"))->value_len;
    for (size_t n = 0; n <= HEAD + 11; n++) {
        pthread_mutex_lock(&b.server.lock);
        *len = n;
        pthread_mutex_unlock(&b.server.lock);
        CHECK(there(&b, STR("k"), 1) == (n == HEAD + 10));
    }
    bench_close(&b);
}

TEST(another_keys_value_is_a_miss)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("k"), 1, 10, 'v');
    CHECK(there(&b, STR("k"), 1));
    pthread_mutex_lock(&b.server.lock);
    const struct entry *e = entry_of(&b.server, STR("rundlet:1:k"));
    set_entry(&b.server, STR("rundlet:1:m"), (struct str){e->value, e->value_len});
    pthread_mutex_unlock(&b.server.lock);
    int64_t bad = metric_value(METRIC_CACHE_RECALLS_BAD);
    CHECK(!there(&b, STR("m"), 1));
    CHECK(metric_value(METRIC_CACHE_RECALLS_BAD) == bad + 1);
    bench_close(&b);
}

TEST(a_value_made_with_another_secret_is_a_miss)
{
    struct bench b;
    char url[64];
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("k"), 1, 10, 'v');
    CHECK(there(&b, STR("k"), 1));

    b.cache->ops->close(b.cache);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", b.server.port);
    b.cache = open_redis(url, "the other");
    CHECK(b.cache->ops->attach(b.cache, b.loop, NULL) == 0);
    warm(&b);
    CHECK(!there(&b, STR("k"), 1));

    b.cache->ops->close(b.cache);
    b.cache = open_redis(url, "the secret");
    CHECK(b.cache->ops->attach(b.cache, b.loop, NULL) == 0);
    warm(&b);
    CHECK(there(&b, STR("k"), 1));
    bench_close(&b);
}

TEST(replies_of_other_kinds_are_misses_and_the_connection_stays)
{
    static const char *const texts[] = {
        "$-1\r\n",
        "*-1\r\n",
        "$0\r\n\r\n",
        "$3\r\nabc\r\n",
        "+OK\r\n",
        "+\r\n",
        ":5\r\n",
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-READONLY You can't write against a read only replica.\r\n",
        "-MOVED 3999 127.0.0.1:6381\r\n",
        "-\r\n",
    };
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        reply_with(&b.server, texts[i], strlen(texts[i]));
        CHECK(!there(&b, STR("k"), 1));
    }
    reply_with(&b.server, NULL, 0);
    share(&b, STR("k"), 1, 10, 'v');
    CHECK(there(&b, STR("k"), 1));
    CHECK(count_of(&b.server, &b.server.connections) == 1);
    bench_close(&b);
}

/* Bytes after which nothing on that connection can be believed any more. */
TEST(replies_that_redis_would_not_give_end_the_connection)
{
    static const char *const texts[] = {
        "*1\r\n$1\r\na\r\n",
        "*0\r\n",
        "*2147483647\r\n",
        "*99999999999999999999\r\n",
        "hello\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "$-2\r\n",
        "$99999999999999999999\r\n",
        "$x\r\n",
        ":x\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "$-1\r\n$-1\r\n", /* one more than asked for */
    };
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        reply_with(&b.server, texts[i], strlen(texts[i]));
        CHECK(!there(&b, STR("k"), 1));
        reply_with(&b.server, NULL, 0);
        pass_ms(101);
        ask_until(&b, &b.server.connections, (int)i + 2);
        warm(&b); /* one success, so no circuit opens */
    }
    bench_close(&b);
}

TEST(a_connection_that_breaks_in_a_reply_is_a_miss)
{
    static const char text[] = "$100\r\nabc";
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    b.server.cuts = true;
    reply_with(&b.server, text, strlen(text));
    CHECK(!there(&b, STR("k"), 1));

    pthread_mutex_lock(&b.server.lock);
    b.server.cuts = false;
    b.server.reply = NULL;
    pthread_mutex_unlock(&b.server.lock);
    CHECK(!there(&b, STR("k"), 1)); /* not before the pause is over */
    pass_ms(101);
    warm(&b);
    CHECK(count_of(&b.server, &b.server.connections) == 2);
    bench_close(&b);
}

TEST(a_reply_longer_than_any_value_is_not_taken_in)
{
    static const char text[] = "$4294967296\r\n";
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    pthread_mutex_lock(&b.server.lock);
    b.server.filler = (size_t)64 << 20;
    pthread_mutex_unlock(&b.server.lock);
    reply_with(&b.server, text, strlen(text));
    CHECK(!there(&b, STR("k"), 1)); /* else it would wait for four gigabytes */
    reply_with(&b.server, NULL, 0);
    pass_ms(101);
    warm(&b);
    CHECK(count_of(&b.server, &b.server.connections) == 2);
    bench_close(&b);
}

/* --- time --- */

TEST(a_reply_after_the_deadline_is_nobodys)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("late"), 1, 5, 'l');
    share(&b, STR("next"), 1, 5, 'n');
    CHECK(there(&b, STR("next"), 1));
    hold(&b.server, true);
    miss_by_time(&b);
    hold(&b.server, false);

    struct buf *value = look(&b, STR("next"), 1);
    CHECK(value && value->at[0] == 'n');
    buf_unref(value);
    CHECK(count_of(&b.server, &b.server.connections) == 1);
    bench_close(&b);
}

TEST(a_recall_has_until_its_deadline)
{
    struct bench b;
    struct asked asked;
    bench_open(&b, "", "");
    warm(&b);
    share(&b, STR("k"), 1, 5, 'l');
    hold(&b.server, true);
    ask(&b, &asked, STR("k"), 1);
    pass_ms(9);
    for (int i = 0; i < 20; i++)
        breathe(&b);
    CHECK(!asked.done);
    hold(&b.server, false);
    struct buf *value = result_of(&b, &asked);
    CHECK(value != NULL);
    buf_unref(value);
    bench_close(&b);
}

/* Five in a row: a second's pause; once more after it: two. */
TEST(a_server_that_hangs_is_left_alone_longer_each_time)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    hold(&b.server, true);
    int64_t opened = metric_value(METRIC_CACHE_CIRCUIT_OPENED);
    for (int i = 0; i < 4; i++)
        miss_by_time(&b);
    CHECK(metric_value(METRIC_CACHE_CIRCUIT_OPENED) == opened);
    miss_by_time(&b);
    CHECK(metric_value(METRIC_CACHE_CIRCUIT_OPENED) == opened + 1);

    int64_t skipped = metric_value(METRIC_CACHE_RECALLS_SKIPPED);
    int64_t dropped = metric_value(METRIC_CACHE_SHARES_DROPPED);
    int asked = count_of(&b.server, &b.server.gets);
    pass_ms(990);
    CHECK(!there(&b, STR("k"), 1));
    share(&b, STR("k"), 1, 5, 'v');
    CHECK(metric_value(METRIC_CACHE_RECALLS_SKIPPED) == skipped + 1);
    CHECK(metric_value(METRIC_CACHE_SHARES_DROPPED) == dropped + 1);

    pass_ms(11);
    CHECK(!there(&b, STR("k"), 1)); /* begins to connect */
    ask_until(&b, &b.server.pings, 2);
    CHECK(count_of(&b.server, &b.server.gets) == asked);
    struct asked probe, other;
    for (int left = PATIENCE; left > 0; left--) {
        ask(&b, &probe, STR("probe"), 1);
        hand_loop_turn(b.loop);
        hand_loop_turn(b.loop);
        if (!probe.done)
            break;
        breathe(&b);
    }
    CHECK(!probe.done); /* it went out */
    ask(&b, &other, STR("other"), 1);
    CHECK(result_of(&b, &other) == NULL); /* but no second one beside it */
    pass_ms(11);
    CHECK(result_of(&b, &probe) == NULL);
    CHECK(metric_value(METRIC_CACHE_CIRCUIT_OPENED) == opened + 2);

    pass_ms(1900);
    for (int i = 0; i < 10; i++) {
        CHECK(!there(&b, STR("k"), 1));
        breathe(&b);
    }
    CHECK(count_of(&b.server, &b.server.connections) == 2);
    pass_ms(101);
    hold(&b.server, false);
    warm(&b); /* it answers in time: all is well again */
    CHECK(count_of(&b.server, &b.server.connections) == 3);
    struct asked both[2];
    share(&b, STR("k"), 1, 5, 'v');
    ask(&b, &both[0], STR("k"), 1);
    ask(&b, &both[1], STR("k"), 1);
    for (int i = 0; i < 2; i++) {
        struct buf *value = result_of(&b, &both[i]);
        CHECK(value != NULL);
        buf_unref(value);
    }

    hold(&b.server, true);
    for (int i = 0; i < 5; i++)
        miss_by_time(&b);
    pass_ms(1001); /* a second again, not four */
    hold(&b.server, false);
    warm(&b);
    CHECK(count_of(&b.server, &b.server.connections) == 4);
    bench_close(&b);
}

TEST(a_pause_is_half_a_minute_at_most)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    hold(&b.server, true);
    for (int i = 0; i < 5; i++)
        miss_by_time(&b);
    for (int i = 0; i < 8; i++) { /* 1, 2, 4, 8, 16, 30, 30, 30 seconds */
        int64_t opened = metric_value(METRIC_CACHE_CIRCUIT_OPENED);
        pass_ms(30001);
        int left = PATIENCE;
        while (metric_value(METRIC_CACHE_CIRCUIT_OPENED) == opened && --left > 0) {
            struct asked asked;
            ask(&b, &asked, STR("k"), 1);
            breathe(&b);
            if (!asked.done)
                pass_ms(11);
            CHECK(result_of(&b, &asked) == NULL);
        }
        CHECK(left > 0);
    }
    CHECK(count_of(&b.server, &b.server.connections) == 9);
    bench_close(&b);
}

TEST(where_nobody_listens_is_not_tried_all_the_time)
{
    struct bench b;
    bench_open(&b, "", "");
    b.cache->ops->close(b.cache);
    int nobody = socket(AF_INET, SOCK_STREAM, 0); /* bound, so nobody else listens there */
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(bind(nobody, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(nobody, (struct sockaddr *)&address, &size) == 0);
    char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", ntohs(address.sin_port));
    b.cache = open_redis(url, "s");
    CHECK(b.cache->ops->attach(b.cache, b.loop, NULL) == 0);

    int64_t opened = metric_value(METRIC_CACHE_CIRCUIT_OPENED);
    int pauses = 0;
    while (metric_value(METRIC_CACHE_CIRCUIT_OPENED) == opened && pauses < 100) {
        for (int i = 0; i < 5; i++) {
            CHECK(!there(&b, STR("k"), 1));
            breathe(&b);
        }
        pass_ms(101);
        pauses++;
    }
    CHECK(pauses >= 5 && pauses < 100);
    close(nobody);
    bench_close(&b);
}

TEST(a_connection_that_is_silent_for_a_second_is_given_up)
{
    struct bench b;
    struct asked asked;
    bench_open(&b, "", "");
    warm(&b);
    hold(&b.server, true);
    share(&b, STR("k"), 1, 5, 'v');
    pass_ms(1001);
    int64_t errors = metric_value(METRIC_CACHE_RECALLS_ERROR);
    ask(&b, &asked, STR("k"), 1); /* its own time has not come */
    CHECK(result_of(&b, &asked) == NULL);
    CHECK(metric_value(METRIC_CACHE_RECALLS_ERROR) == errors + 1);
    pass_ms(101);
    ask_until(&b, &b.server.connections, 2);
    bench_close(&b);
}

/* --- bounds --- */

TEST(no_more_than_pending_max_is_on_its_way)
{
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    int64_t sent = metric_value(METRIC_CACHE_SHARES_SENT);
    int64_t dropped = metric_value(METRIC_CACHE_SHARES_DROPPED);
    hold(&b.server, true);
    for (int i = 0; i < 5; i++)
        share(&b, STR("k"), 1, PENDING_MAX * 2 / 5, 'v');
    CHECK(metric_value(METRIC_CACHE_SHARES_SENT) == sent + 2);
    CHECK(metric_value(METRIC_CACHE_SHARES_DROPPED) == dropped + 3);

    hold(&b.server, false);
    CHECK(there(&b, STR("k"), 1)); /* behind the others, which are answered then */
    share(&b, STR("k"), 2, PENDING_MAX * 2 / 5, 'v');
    CHECK(metric_value(METRIC_CACHE_SHARES_SENT) == sent + 3);
    CHECK(there(&b, STR("k"), 2));
    bench_close(&b);
}

TEST(no_more_than_some_thousand_commands_are_on_their_way)
{
    enum { MANY = 4096 };
    struct bench b;
    bench_open(&b, "", "");
    warm(&b);
    hold(&b.server, true);
    struct asked *asked = calloc(MANY, sizeof *asked);
    for (int i = 0; i < MANY; i++)
        ask(&b, &asked[i], STR("k"), 1);
    hand_loop_turn(b.loop);
    CHECK(!asked[0].done && !asked[MANY - 1].done);

    int64_t skipped = metric_value(METRIC_CACHE_RECALLS_SKIPPED);
    CHECK(!there(&b, STR("k"), 1));
    share(&b, STR("k"), 1, 5, 'v');
    CHECK(metric_value(METRIC_CACHE_RECALLS_SKIPPED) == skipped + 1);

    hold(&b.server, false);
    for (int i = 0; i < MANY; i++)
        CHECK(result_of(&b, &asked[i]) == NULL);
    free(asked);
    share(&b, STR("k"), 1, 5, 'v');
    CHECK(there(&b, STR("k"), 1));
    CHECK(count_of(&b.server, &b.server.sets) == 1);
    CHECK(count_of(&b.server, &b.server.connections) == 1);
    bench_close(&b);
}

TEST(a_loop_is_connected_before_anyone_asks)
{
    struct bench b;
    bench_open(&b, "", "");
    for (int left = PATIENCE; left > 0 && count_of(&b.server, &b.server.pings) == 0; left--)
        breathe(&b);
    CHECK(count_of(&b.server, &b.server.pings) == 1);
    bench_close(&b);
}

/* --- who we are, and where it is --- */

TEST(user_password_and_database_are_told_first)
{
    static const struct {
        const char *who, *what, *auth, *database;
    } cases[] = {
        {"", "", "", ""},
        {":p%40ss@", "", "p@ss", ""},
        {"me:p%20w@", "/3", "me p w", "3"},
        {"", "/7", "", "7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        bench_open(&b, cases[i].who, cases[i].what);
        warm(&b);
        CHECK(strcmp(b.server.auth, cases[i].auth) == 0);
        CHECK(strcmp(b.server.database, cases[i].database) == 0);
        CHECK(b.server.pings == 1);
        bench_close(&b);
    }
}

TEST(a_server_that_does_not_welcome_us_is_not_used)
{
    static const char *const welcomes[] = {
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-ERR max number of clients reached\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*1\r\n+OK\r\n",
    };
    for (size_t i = 0; i < sizeof welcomes / sizeof *welcomes; i++) {
        struct bench b;
        bench_open(&b, ":pw@", "/1");
        b.server.welcome = welcomes[i];
        int64_t opened = metric_value(METRIC_CACHE_CIRCUIT_OPENED);
        int left = PATIENCE;
        while (metric_value(METRIC_CACHE_CIRCUIT_OPENED) == opened && --left > 0) {
            CHECK(!there(&b, STR("k"), 1));
            breathe(&b);
            pass_ms(10);
        }
        CHECK(left > 0);
        CHECK(count_of(&b.server, &b.server.gets) == 0);
        bench_close(&b);
    }
}

TEST(a_name_is_looked_up_without_waiting)
{
    struct bench b;
    char url[64];
    bench_open(&b, "", "");
    b.cache->ops->close(b.cache);
    snprintf(url, sizeof url, "redis://cache.example:%d", b.server.port);
    b.cache = open_redis(url, "s");
    CHECK(b.cache->ops->attach(b.cache, b.loop, NULL) == 0);

    asked_for = NULL;
    CHECK(!there(&b, STR("k"), 1));
    CHECK(asked_for && strcmp(asked_for->host, "cache.example") == 0);
    struct resolve *first = asked_for;
    asked_for = NULL;
    CHECK(!there(&b, STR("k"), 1) && !asked_for); /* one look-up at a time */
    op_fail(&first->op, ERR_UNAVAILABLE, "no such name");
    hand_loop_turn(b.loop);
    CHECK(!there(&b, STR("k"), 1) && !asked_for);
    pass_ms(101);
    CHECK(!there(&b, STR("k"), 1) && asked_for);
    snprintf(asked_for->addresses[0], sizeof asked_for->addresses[0], "127.0.0.1");
    asked_for->count = 1;
    op_finish(&asked_for->op);
    warm(&b);
    bench_close(&b);
}

TEST(closing_does_not_wait_for_a_look_up)
{
    struct loop *loop = hand_loop_open();
    struct cache *cache = open_redis("redis://cache.example", "s");
    CHECK(cache->ops->attach(cache, loop, NULL) == 0);
    asked_for = NULL;
    struct buf *value = value_of(3, 'v');
    cache->ops->share(cache, loop, STR("k"), 1, value, MINUTE_MS);
    buf_unref(value);
    CHECK(asked_for != NULL);
    cache->ops->close(cache);
    op_fail(&asked_for->op, ERR_UNAVAILABLE, "no such name");
    hand_loop_close(loop);
}

TEST(a_loop_that_is_not_attached_has_no_second_level)
{
    struct bench b;
    bench_open(&b, "", "");
    struct cache *cache = open_redis("redis://127.0.0.1:1", "s");
    struct asked asked = {.recall = {.op = {.loop = b.loop, .done = recalled}, .key = STR("k")}};
    struct buf *value = value_of(3, 'v');
    cache->ops->share(cache, b.loop, STR("k"), 1, value, MINUTE_MS);
    cache->ops->share(cache, NULL, STR("k"), 1, value, MINUTE_MS);
    cache->ops->recall(cache, &asked.recall);
    CHECK(result_of(&b, &asked) == NULL);
    buf_unref(value);
    cache->ops->close(cache);
    bench_close(&b);
}

TEST(a_url_it_does_not_take_leaves_the_near_cache_to_the_caller)
{
    struct cache *near = NULL, *cache = NULL;
    struct err err = {0};
    CHECK(cache_none_open(&near, NULL) == 0);
    CHECK(cache_redis_open(&(struct cache_redis_config){.url = "rediss://u:hunter2@h",
                                                        .near = near,
                                                        .secret = "s",
                                                        .timeout_ms = 10,
                                                        .pending_max = 1},
                           &cache, &err) == ERR_INVALID);
    CHECK(cache == NULL && err.text[0] && !strstr(err.text, "hunter2"));
    near->ops->close(near);
}
