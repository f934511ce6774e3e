/* redis.c - a second level in Redis, behind a cache of this process.
 *
 * get, put, abandon, confirm and sizes are the near cache's.  For recall and share
 * each loop has a client with one connection, made when the loop begins to turn,
 * and again when it is wanted:
 *
 *   want()      may Redis be asked?  Begins to connect when it may be tried again
 *   located()   its address is known: connect, and send AUTH, SELECT and PING
 *   ready()     the socket: write what waits; each reply is the oldest command's
 *   late()      the timer: recalls end as misses, a silent connection is given up
 *   lose()      what went wrong with the connection ends all that wait for it
 *
 * While there is no connection recalls are misses and shares are dropped, so a
 * recall waits for its own answer at most, and that for timeout_ms.
 *
 * Circuit.  Recalls without an answer in time and broken connections are
 * failures.  After FAILURES_MAX in a row the connection is closed and Redis is
 * left alone for a second, then two, up to thirty.  Then it is connected again,
 * and one command at a time goes there; the first that is answered in time ends
 * it all, a failure begins the next, longer pause.
 *
 * Trust.  Nothing that Redis says can do more than miss: values are checked
 * (redis_value.h); an array, of which hiredis would allocate as many elements as
 * it announces, ends the connection before that; so does a reply that grows over
 * the longest value (hiredis allocates what arrived, not what is announced), and
 * one that nobody asked for.  For that last one hiredis' own asynchronous layer
 * ends the process (an assert, also in Debian's build), so it is not used: its
 * connection and its parser are, and which reply is whose is kept here.
 *
 * Sources  docs/design/cache.md; https://redis.io/docs/reference/protocol-spec
 */
#include <arpa/inet.h>
#include <assert.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "cache/cache.h"
#include "cache/redis_url.h"
#include "cache/redis_value.h"
#include "loop/loop.h"
#include "loop/resolve.h"
#include "loop/watch.h"

#define PREFIX "rundlet:1:" /* before each key; another layout of values gets another */

enum {
    CLIENTS_MAX = 128,   /* loops there may be */
    COMMANDS_MAX = 4096, /* unanswered, on a connection */
    REPLY_MAX = REDIS_VALUE_HEAD + CACHE_VALUE_MAX + 64,
    ARGUMENTS_MAX = 5,
    ANSWER_MS = 1000, /* for any command, and for connecting; then the connection is dead */
    FAILURES_MAX = 5,
    PAUSE_MS = 100, /* before connecting again, while there were fewer */
    OPEN_MS = 1000, /* and from then on, */
    OPEN_MAX_MS = 30000
};

enum reply_kind { REPLY_VALUE, REPLY_NIL, REPLY_STATUS, REPLY_ERROR, REPLY_NUMBER };

/* What the parser made of one reply. */
struct reply {
    enum reply_kind kind;
    unsigned char head[REDIS_VALUE_HEAD];
    struct buf *value; /* of REPLY_VALUE: what follows the head; NULL: it cannot be one of ours */
    char word[24];     /* of REPLY_ERROR: the first, if it looks like a code */
};

enum command_kind { COMMAND_GREET, COMMAND_GET, COMMAND_SET };

struct command {
    struct command *next;
    enum command_kind kind;
    struct cache_recall *recall; /* NULL: nobody waits for it, or any more */
    size_t bytes;                /* counted as pending */
    int64_t sent_us;
};

struct lookup;

struct client {
    struct redis *redis;
    struct loop *loop;
    struct lookup *lookup; /* under way */
    redisContext *context; /* NULL: not connected, nor connecting */
    struct watch *watch;
    bool greeted; /* the greeting was answered: commands may be sent */
    struct command *oldest, **end;
    size_t commands, pending;
    struct reply reply;
    struct timer *timer;
    int64_t rings_us; /* when the timer does, at the latest; 0: it is not set */
    unsigned failures;
    unsigned open_ms;      /* how long the circuit will be open the next time */
    int64_t rest_until_us; /* before, nothing is connected */
};

struct redis {
    struct cache cache;
    struct cache *near;
    struct redis_url url;
    unsigned char secret[REDIS_VALUE_SECRET];
    int64_t timeout_us, answer_us;
    size_t pending_max;
    redisReplyObjectFunctions replies; /* how the parser makes a struct reply */
    struct client *clients[CLIENTS_MAX];
};

/* Outlives its client when the loop ends before the answer comes. */
struct lookup {
    struct resolve resolve;
    struct client *client;
};

static void located(struct op *op);
static void ready(void *context, bool readable, bool writable);
static void late(void *context);
static void send_command(struct client *client, const struct command *like, int count,
                         const struct str *arguments);

/* --- the end of a connection, and failures --- */

static void answer(struct command *command, enum metric what)
{
    struct cache_recall *recall = command->recall;
    command->recall = NULL;
    metric_add(what, 1);
    metric_time(METRIC_CACHE_RECALL_SECONDS, (uint64_t)(clock_mono_us() - command->sent_us));
    if (what == METRIC_CACHE_RECALLS_HIT) {
        recall->op.err.code = ERR_OK;
        op_finish(&recall->op);
    } else {
        op_fail(&recall->op, ERR_NOT_FOUND, "not in Redis, or not in time");
    }
}

static void forget(struct reply *reply)
{
    buf_unref(reply->value);
    *reply = (struct reply){0};
}

static struct command *take_oldest(struct client *client)
{
    struct command *command = client->oldest;
    client->oldest = command->next;
    if (!client->oldest)
        client->end = &client->oldest;
    client->commands--;
    client->pending -= command->bytes;
    return command;
}

static void disconnect(struct client *client)
{
    watch_free(client->watch);
    client->watch = NULL;
    if (client->context)
        redisFree(client->context);
    client->context = NULL;
    client->greeted = false;
    forget(&client->reply);
    while (client->oldest) {
        struct command *command = take_oldest(client);
        if (command->recall)
            answer(command, METRIC_CACHE_RECALLS_ERROR);
        free(command);
    }
}

/* The connection is no good, or there is none.  `why` is for the log. */
static void lose(struct client *client, const char *why)
{
    char reason[128]; /* it may live in the connection */
    snprintf(reason, sizeof reason, "%s", why);
    disconnect(client);
    unsigned pause_ms = PAUSE_MS;
    if (client->failures >= FAILURES_MAX) {
        pause_ms = client->open_ms;
        client->open_ms = 2 * pause_ms < OPEN_MAX_MS ? 2 * pause_ms : OPEN_MAX_MS;
        metric_add(METRIC_CACHE_CIRCUIT_OPENED, 1);
        log_event(LOG_WARN, "redis_left_alone", LOG_C("reason", reason),
                  LOG_N("failures", client->failures), LOG_N("pause_ms", pause_ms));
    }
    client->rest_until_us = clock_mono_us() + 1000 * (int64_t)pause_ms;
}

static void fail(struct client *client, const char *why)
{
    client->failures++;
    lose(client, why);
}

static void succeed(struct client *client)
{
    if (client->failures >= FAILURES_MAX)
        log_event(LOG_INFO, "redis_is_back", LOG_C("host", client->redis->url.host));
    client->failures = 0;
    client->open_ms = OPEN_MS;
}

/* --- connecting --- */

/* What hiredis' parser makes replies of: the client's one, so nothing is allocated
 * but a value, once all of it is there and it is no longer than allowed. */
static void *make_string(const redisReadTask *task, char *bytes, size_t len)
{
    struct reply *reply = task->privdata;
    if (task->type == REDIS_REPLY_STRING) {
        reply->kind = REPLY_VALUE;
        if (len < REDIS_VALUE_HEAD || len > REDIS_VALUE_HEAD + CACHE_VALUE_MAX)
            return reply;
        size_t rest = len - REDIS_VALUE_HEAD;
        memcpy(reply->head, bytes, REDIS_VALUE_HEAD);
        reply->value = buf_new(rest);
        if (reply->value) {
            memcpy(reply->value->at, bytes + REDIS_VALUE_HEAD, rest);
            reply->value->len = rest;
        }
    } else if (task->type == REDIS_REPLY_ERROR) {
        /* The rest of the text may repeat what we sent, the password for one. */
        size_t n = 0;
        reply->kind = REPLY_ERROR;
        while (n < len && n + 1 < sizeof reply->word && bytes[n] >= 'A' && bytes[n] <= 'Z')
            n++;
        memcpy(reply->word, bytes, n);
        reply->word[n] = '\0';
    } else {
        reply->kind = REPLY_STATUS;
    }
    return reply;
}

static void *make_array(const redisReadTask *task, int elements)
{
    (void)task;
    (void)elements;
    return NULL; /* no command of ours is answered so; ends the connection */
}

static void *make_number(const redisReadTask *task, long long number)
{
    (void)number;
    ((struct reply *)task->privdata)->kind = REPLY_NUMBER;
    return task->privdata;
}

static void *make_nil(const redisReadTask *task)
{
    ((struct reply *)task->privdata)->kind = REPLY_NIL;
    return task->privdata;
}

static void free_reply(void *reply)
{
    forget(reply);
}

static void greet(struct client *client)
{
    const struct redis_url *url = &client->redis->url;
    const struct command greeting = {.kind = COMMAND_GREET};
    if (url->has_password) {
        struct str arguments[3] = {STR("AUTH")};
        int count = 1;
        if (url->user[0])
            arguments[count++] = (struct str){url->user, strlen(url->user)};
        arguments[count++] = (struct str){url->password, strlen(url->password)};
        send_command(client, &greeting, count, arguments);
    }
    if (url->database > 0) {
        char database[16];
        int len = snprintf(database, sizeof database, "%d", url->database);
        struct str arguments[] = {STR("SELECT"), {database, (size_t)len}};
        send_command(client, &greeting, 2, arguments);
    }
    struct str ping = STR("PING");
    send_command(client, &greeting, 1, &ping);
}

static void connect_to(struct client *client, const char *address)
{
    client->context = redisConnectNonBlock(address, client->redis->url.port);
    if (!client->context)
        abort();
    if (client->context->err) {
        fail(client, client->context->errstr);
        return;
    }
    client->context->reader->fn = &client->redis->replies;
    client->context->reader->privdata = &client->reply;
    client->watch = watch_new(client->loop, client->context->fd, ready, client);
    greet(client);
}

static void locate(struct client *client)
{
    const char *host = client->redis->url.host;
    unsigned char binary[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1) {
        connect_to(client, host);
        return;
    }
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        abort();
    lookup->client = client;
    lookup->resolve.op = (struct op){.loop = client->loop, .done = located};
    snprintf(lookup->resolve.host, sizeof lookup->resolve.host, "%s", host);
    client->lookup = lookup;
    resolve(&lookup->resolve);
}

static void located(struct op *op)
{
    struct lookup *lookup = op_owner(op, struct lookup, resolve.op);
    struct client *client = lookup->client;
    if (client) {
        client->lookup = NULL;
        if (op->err.code)
            fail(client, op->err.text);
        else
            connect_to(client, lookup->resolve.addresses[client->failures % lookup->resolve.count]);
    }
    free(lookup);
}

static bool want(struct client *client)
{
    if (!client)
        return false;
    if (!client->context && !client->lookup && clock_mono_us() >= client->rest_until_us)
        locate(client);
    /* While the circuit is not closed again one at a time. */
    size_t most = client->failures >= FAILURES_MAX ? 1 : COMMANDS_MAX;
    return client->greeted && client->commands < most;
}

/* --- commands and replies --- */

/* See that the timer rings at the first deadline there is. */
static void set_timer(struct client *client)
{
    const struct redis *redis = client->redis;
    const struct command *c = client->oldest;
    if (!c)
        return;
    int64_t first_us = c->sent_us + redis->answer_us;
    while (c && !c->recall)
        c = c->next;
    if (c && c->sent_us + redis->timeout_us < first_us)
        first_us = c->sent_us + redis->timeout_us;
    if (client->rings_us && client->rings_us <= first_us)
        return;
    client->rings_us = first_us;
    int64_t left_us = first_us - clock_mono_us();
    timer_start(client->timer, left_us > 0 ? (uint64_t)(left_us + 999) / 1000 : 0);
}

static void flush(struct client *client)
{
    int done = 0;
    if (redisBufferWrite(client->context, &done) != REDIS_OK)
        fail(client, client->context->errstr);
    else
        watch_set(client->watch, true, !done);
}

/* May lose the connection. */
static void send_command(struct client *client, const struct command *like, int count,
                         const struct str *arguments)
{
    const char *at[ARGUMENTS_MAX];
    size_t len[ARGUMENTS_MAX];
    assert(count <= ARGUMENTS_MAX);
    for (int i = 0; i < count; i++) {
        at[i] = arguments[i].at;
        len[i] = arguments[i].len;
    }
    if (redisAppendCommandArgv(client->context, count, at, len) != REDIS_OK)
        abort();
    struct command *command = malloc(sizeof *command);
    if (!command)
        abort();
    *command = *like;
    command->next = NULL;
    command->sent_us = clock_mono_us();
    *client->end = command;
    client->end = &command->next;
    client->commands++;
    client->pending += command->bytes;
    set_timer(client);
    if (client->greeted)
        flush(client); /* at once: a turn of the loop less to wait */
    else
        watch_set(client->watch, true, true); /* once it is connected */
}

static void take_value(struct client *client, struct command *command)
{
    struct reply *reply = &client->reply;
    struct cache_recall *recall = command->recall;
    enum metric what = METRIC_CACHE_RECALLS_BAD;
    if (reply->kind == REPLY_NIL)
        what = METRIC_CACHE_RECALLS_MISS;
    else if (reply->kind == REPLY_ERROR)
        what = METRIC_CACHE_RECALLS_ERROR;
    if (reply->kind == REPLY_VALUE && reply->value) {
        struct str bytes = {reply->value->at, reply->value->len};
        switch (redis_value_check(client->redis->secret, recall->key, recall->version, bytes,
                                  reply->head)) {
        case REDIS_VALUE_GOOD:
            recall->value = reply->value;
            reply->value = NULL;
            what = METRIC_CACHE_RECALLS_HIT;
            break;
        case REDIS_VALUE_OTHER:
            what = METRIC_CACHE_RECALLS_MISS;
            break;
        case REDIS_VALUE_BAD:
            break;
        }
    }
    answer(command, what);
}

/* The reply is of the oldest command.  False: the connection is lost. */
static bool take_reply(struct client *client)
{
    struct reply *reply = &client->reply;
    if (!client->oldest) {
        fail(client, "it answers what nobody asked");
        return false;
    }
    if (client->oldest->kind == COMMAND_GREET && reply->kind != REPLY_STATUS) {
        char why[64];
        snprintf(why, sizeof why, "it does not welcome us: %s",
                 reply->word[0] ? reply->word : "no status");
        fail(client, why);
        return false;
    }
    struct command *command = take_oldest(client);
    bool in_time = clock_mono_us() - command->sent_us < client->redis->timeout_us;
    if (command->kind == COMMAND_GREET)
        client->greeted = !client->oldest;
    else if (in_time)
        succeed(client);
    if (command->recall)
        take_value(client, command);
    free(command);
    forget(reply);
    return true;
}

static void read_replies(struct client *client)
{
    redisContext *context = client->context;
    redisReader *reader = context->reader;
    if (redisBufferRead(context) != REDIS_OK) {
        fail(client, context->errstr);
        return;
    }
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            fail(client, "its reply is none that Redis would give");
            return;
        }
        if (!reply)
            break;
        if (!take_reply(client))
            return;
    }
    if (reader->len - reader->pos > REPLY_MAX)
        fail(client, "its reply is longer than any value of ours");
}

static void ready(void *context, bool readable, bool writable)
{
    struct client *client = context;
    if (writable)
        flush(client);
    if (readable && client->context)
        read_replies(client);
}

static void late(void *context)
{
    struct client *client = context;
    const struct redis *redis = client->redis;
    int64_t now_us = clock_mono_us();
    bool timed_out = false;
    client->rings_us = 0;
    (void)want(client); /* as at the start: before there is somebody who would miss */
    for (struct command *c = client->oldest; c; c = c->next)
        if (c->recall && now_us - c->sent_us >= redis->timeout_us) {
            answer(c, METRIC_CACHE_RECALLS_TIMEOUT);
            client->failures++;
            timed_out = true;
        }
    if (client->oldest && now_us - client->oldest->sent_us >= redis->answer_us)
        fail(client, client->greeted ? "a command is not answered" : "it cannot be connected to");
    else if (timed_out && client->failures >= FAILURES_MAX)
        lose(client, "it is too slow");
    set_timer(client);
}

/* --- the contract --- */

static struct redis *redis_of(struct cache *cache)
{
    return (struct redis *)(void *)cache;
}

/* NULL: the loop is not attached. */
static struct client *client_of(struct redis *redis, struct loop *loop)
{
    unsigned index = loop ? loop_index(loop) : CLIENTS_MAX;
    return index < CLIENTS_MAX ? redis->clients[index] : NULL;
}

static int attach(struct cache *cache, struct loop *loop, struct err *err)
{
    struct redis *redis = redis_of(cache);
    unsigned index = loop_index(loop);
    if (index >= CLIENTS_MAX)
        return err_set(err, ERR_INVALID, "Redis is used from at most %d loops", CLIENTS_MAX);
    assert(!redis->clients[index]);
    if (redis->near->ops->attach(redis->near, loop, err))
        return (int)err->code;
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        abort();
    client->redis = redis;
    client->loop = loop;
    client->end = &client->oldest;
    client->timer = timer_new(loop, late, client);
    client->open_ms = OPEN_MS;
    client->rings_us = clock_mono_us();
    timer_start(client->timer, 0);
    redis->clients[index] = client;
    return 0;
}

static void get(struct cache *cache, struct cache_get *get)
{
    struct cache *near = redis_of(cache)->near;
    near->ops->get(near, get);
}

static void put(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                uint64_t generation, struct buf *value, uint64_t ttl_ms)
{
    struct cache *near = redis_of(cache)->near;
    near->ops->put(near, loop, key, version, generation, value, ttl_ms);
}

static void abandon(struct cache *cache, struct loop *loop, struct str key, uint64_t generation)
{
    struct cache *near = redis_of(cache)->near;
    near->ops->abandon(near, loop, key, generation);
}

static void confirm(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                    uint64_t generation)
{
    struct cache *near = redis_of(cache)->near;
    near->ops->confirm(near, loop, key, version, generation);
}

struct name {
    char at[sizeof PREFIX - 1 + CACHE_KEY_MAX];
};

static struct str name_of(struct str key, struct name *name)
{
    memcpy(name->at, PREFIX, sizeof PREFIX - 1);
    if (key.len)
        memcpy(name->at + sizeof PREFIX - 1, key.at, key.len);
    return (struct str){name->at, sizeof PREFIX - 1 + key.len};
}

static void recall(struct cache *cache, struct cache_recall *recall)
{
    struct client *client = client_of(redis_of(cache), recall->op.loop);
    recall->value = NULL;
    if (recall->key.len > CACHE_KEY_MAX || !want(client)) {
        metric_add(METRIC_CACHE_RECALLS_SKIPPED, 1);
        op_fail(&recall->op, ERR_NOT_FOUND, "Redis is not asked now");
        return;
    }
    struct name name;
    struct str arguments[] = {STR("GET"), name_of(recall->key, &name)};
    send_command(client, &(struct command){.kind = COMMAND_GET, .recall = recall}, 2, arguments);
}

static void share(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                  struct buf *value, uint64_t ttl_ms)
{
    struct redis *redis = redis_of(cache);
    struct client *client = client_of(redis, loop);
    if (value->len > CACHE_VALUE_MAX || key.len > CACHE_KEY_MAX || ttl_ms == 0)
        return;
    size_t size = REDIS_VALUE_HEAD + value->len;
    if (!want(client) || size > redis->pending_max - client->pending) {
        metric_add(METRIC_CACHE_SHARES_DROPPED, 1);
        return;
    }
    unsigned char *whole = malloc(size);
    if (!whole)
        abort();
    redis_value_head(redis->secret, key, version, (struct str){value->at, value->len}, whole);
    memcpy(whole + REDIS_VALUE_HEAD, value->at, value->len);
    char ttl[24];
    int ttl_len = snprintf(ttl, sizeof ttl, "%" PRIu64, ttl_ms);
    struct name name;
    struct str arguments[] = {
        STR("SET"), name_of(key, &name), {(char *)whole, size}, STR("PX"), {ttl, (size_t)ttl_len}};
    send_command(client, &(struct command){.kind = COMMAND_SET, .bytes = size}, 5, arguments);
    free(whole);
    metric_add(METRIC_CACHE_SHARES_SENT, 1);
}

static void sizes(struct cache *cache, uint64_t *entries, uint64_t *bytes)
{
    struct cache *near = redis_of(cache)->near;
    near->ops->sizes(near, entries, bytes);
}

static void close_redis(struct cache *cache)
{
    struct redis *redis = redis_of(cache);
    for (int i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = redis->clients[i];
        if (!client)
            continue;
        for (struct command *c = client->oldest; c; c = c->next)
            c->recall = NULL; /* its loop has ended: nobody is there to be told */
        disconnect(client);
        timer_free(client->timer);
        if (client->lookup && resolve_cancel(&client->lookup->resolve))
            free(client->lookup);
        else if (client->lookup)
            client->lookup->client = NULL;
        free(client);
    }
    redis->near->ops->close(redis->near);
    free(redis);
}

static const struct cache_ops ops = {
    .name = "redis",
    .attach = attach,
    .get = get,
    .put = put,
    .abandon = abandon,
    .confirm = confirm,
    .recall = recall,
    .share = share,
    .sizes = sizes,
    .close = close_redis,
};

int cache_redis_open(const struct cache_redis_config *config, struct cache **result,
                     struct err *err)
{
    struct redis_url url;
    assert(config->near && config->secret && config->timeout_ms > 0);
    if (redis_url_parse(config->url, &url, err))
        return ERR_INVALID;
    struct redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        abort();
    redis->cache.ops = &ops;
    redis->near = config->near;
    redis->url = url;
    redis_value_secret(config->secret, redis->secret);
    redis->timeout_us = 1000 * (int64_t)config->timeout_ms;
    redis->answer_us = redis->timeout_us > 1000 * (int64_t)ANSWER_MS ? redis->timeout_us
                                                                     : 1000 * (int64_t)ANSWER_MS;
    redis->pending_max = config->pending_max;
    redis->replies = (redisReplyObjectFunctions){
        .createString = make_string,
        .createArray = make_array,
        .createInteger = make_number,
        .createNil = make_nil,
        .freeObject = free_reply,
    };
    /* hiredis writes to a connection that may be closed already. */
    (void)signal(SIGPIPE, SIG_IGN);
    *result = &redis->cache;
    return 0;
}
