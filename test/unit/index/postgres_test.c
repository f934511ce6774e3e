/* postgres_test.c - what only a server elsewhere can do wrong, and only several
 * nodes can do to each other.  index_conform.c has the rest.
 *
 * Between a node and the server may be a wire: a proxy on a thread, which does
 * something when it sees a COMMIT pass.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metric.h"
#include "index/index.h"
#include "index/postgres_part.h"
#include "index/postgres_session.h"
#include "lib/check.h"
#include "lib/index_calls.h"
#include "lib/make_record.h"
#include "lib/postgres_bed.h"
#include "run/query.h"

#define NEEDS_SERVER()                                                                             \
    if (!postgres_bed_possible()) {                                                                \
        test_skip(POSTGRES_BED_SKIP);                                                              \
        return;                                                                                    \
    }

/* --- the wire ----------------------------------------------------------------------- */

enum wire_mode {
    WIRE_PASS,
    WIRE_CUT_BEFORE_COMMIT,   /* it does not reach the server */
    WIRE_CUT_AFTER_COMMIT,    /* its answer does not come back */
    WIRE_HOLD_THEN_COMMIT,    /* the client loses it; it reaches the server when asked after */
    WIRE_HOLD_THEN_FORGET,    /* likewise, but the server loses the client */
    WIRE_SILENT_AFTER_COMMIT, /* from then on nothing passes, and nothing is closed */
    WIRE_SILENT
};

enum { PAIRS = 32, CHUNK = 1 << 16 };

struct pair {
    int client, server; /* -1: closed */
    char held[CHUNK];   /* for the server */
    ssize_t held_len;
    bool await; /* the answer that will not come back */
};

struct wire {
    pthread_t thread;
    int listener;
    int stop[2]; /* a pipe */
    unsigned short port;
    struct sockaddr_in server;
    _Atomic int mode;
    atomic_int commits; /* seen */
    atomic_int accepted;
    struct pair pairs[PAIRS];
};

static bool holds(const char *bytes, ssize_t len, const char *text, size_t text_len)
{
    return len > 0 && memmem(bytes, (size_t)len, text, text_len) != NULL;
}
#define HOLDS(bytes, len, text) holds(bytes, len, text, sizeof(text) - 1)

static void hang_up(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void hang_up_both(struct pair *pair)
{
    hang_up(&pair->client);
    hang_up(&pair->server);
    pair->held_len = 0;
    pair->await = false;
}

static void pass(int fd, const char *bytes, ssize_t len)
{
    for (ssize_t sent = 0, n; sent < len; sent += n) {
        n = send(fd, bytes + sent, (size_t)(len - sent), MSG_NOSIGNAL);
        if (n <= 0)
            return;
    }
}

static void let_held_go(struct wire *wire, bool forward)
{
    for (int i = 0; i < PAIRS; i++) {
        struct pair *pair = &wire->pairs[i];
        if (pair->held_len == 0)
            continue;
        if (forward)
            pass(pair->server, pair->held, pair->held_len);
        else
            hang_up(&pair->server);
        pair->held_len = 0;
    }
}

static void commit_passes(struct wire *wire, struct pair *pair, const char *bytes, ssize_t len)
{
    int mode = atomic_load(&wire->mode);
    switch (mode) {
    case WIRE_CUT_BEFORE_COMMIT:
        hang_up_both(pair);
        break;
    case WIRE_CUT_AFTER_COMMIT:
        pair->await = true;
        pass(pair->server, bytes, len);
        break;
    case WIRE_HOLD_THEN_COMMIT:
    case WIRE_HOLD_THEN_FORGET: {
        /* What comes before is done by the server: its rows are there, undecided. */
        const char *commit = memmem(bytes, (size_t)len, "\0commit\0", 8);
        ssize_t before = commit ? commit - bytes - 5 : 0; /* the head of that message */
        pass(pair->server, bytes, before);
        memcpy(pair->held, bytes + before, (size_t)(len - before));
        pair->held_len = len - before;
        hang_up(&pair->client);
        break;
    }
    case WIRE_SILENT_AFTER_COMMIT:
        atomic_store(&wire->mode, WIRE_SILENT);
        break;
    default:
        pass(pair->server, bytes, len);
        break;
    }
    atomic_fetch_add(&wire->commits, 1);
}

static void from_client(struct wire *wire, struct pair *pair)
{
    static char bytes[CHUNK];
    ssize_t len = recv(pair->client, bytes, sizeof bytes, 0);
    if (len <= 0) {
        hang_up(&pair->client);
        if (pair->held_len == 0)
            hang_up(&pair->server);
        return;
    }
    if (atomic_load(&wire->mode) == WIRE_SILENT)
        return;
    if (HOLDS(bytes, len, "on conflict do nothing") &&
        HOLDS(bytes, len, "rundlet_containers")) { /* somebody asks what became of it */
        int mode = atomic_exchange(&wire->mode, WIRE_PASS);
        pass(pair->server, bytes, len);
        let_held_go(wire, mode == WIRE_HOLD_THEN_COMMIT);
        return;
    }
    if (HOLDS(bytes, len, "\0commit\0"))
        commit_passes(wire, pair, bytes, len);
    else
        pass(pair->server, bytes, len);
}

static void from_server(struct wire *wire, struct pair *pair)
{
    static char bytes[CHUNK];
    ssize_t len = recv(pair->server, bytes, sizeof bytes, 0);
    if (len <= 0 || pair->await)
        hang_up_both(pair);
    else if (pair->client >= 0 && atomic_load(&wire->mode) != WIRE_SILENT)
        pass(pair->client, bytes, len);
}

static void accept_pair(struct wire *wire)
{
    int client = accept(wire->listener, NULL, NULL);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    int i = 0;
    while (i < PAIRS && (wire->pairs[i].client >= 0 || wire->pairs[i].server >= 0))
        i++;
    if (client < 0 || server < 0 || i == PAIRS ||
        connect(server, (struct sockaddr *)&wire->server, sizeof wire->server) != 0)
        abort();
    wire->pairs[i] = (struct pair){.client = client, .server = server};
    atomic_fetch_add(&wire->accepted, 1);
}

static void *run_wire(void *context)
{
    struct wire *wire = context;
    for (;;) {
        struct pollfd fds[2 + 2 * PAIRS];
        fds[0] = (struct pollfd){.fd = wire->stop[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = wire->listener, .events = POLLIN};
        for (int i = 0; i < PAIRS; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = wire->pairs[i].client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = wire->pairs[i].server, .events = POLLIN};
        }
        if (poll(fds, 2 + 2 * PAIRS, -1) < 0)
            continue;
        if (fds[0].revents)
            return NULL;
        for (int i = 0; i < PAIRS; i++) {
            struct pair *pair = &wire->pairs[i];
            if (fds[2 + 2 * i].revents && pair->client >= 0)
                from_client(wire, pair);
            if (fds[3 + 2 * i].revents && pair->server >= 0 && pair->server == fds[3 + 2 * i].fd)
                from_server(wire, pair);
        }
        if (fds[1].revents)
            accept_pair(wire);
    }
}

/* Between whoever takes `url` and the server of the bed. */
static void wire_open(struct wire *wire, const struct postgres_bed *bed, char *url, size_t size)
{
    char user[128], host[64], name[128];
    int port = 5432;
    if (sscanf(bed->url, "%*[^:]://%127[^@]@%63[^:/]:%d/%127[^?]", user, host, &port, name) != 4)
        abort();
    *wire = (struct wire){.server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &wire->server.sin_addr) != 1)
        abort();
    for (int i = 0; i < PAIRS; i++)
        wire->pairs[i].client = wire->pairs[i].server = -1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    wire->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (pipe(wire->stop) != 0 || bind(wire->listener, (struct sockaddr *)&here, len) != 0 ||
        listen(wire->listener, 16) != 0 ||
        getsockname(wire->listener, (struct sockaddr *)&here, &len) != 0 ||
        pthread_create(&wire->thread, NULL, run_wire, wire) != 0)
        abort();
    snprintf(url, size, "postgres://%s@127.0.0.1:%d/%s?sslmode=disable", user, ntohs(here.sin_port),
             name);
}

static void wire_close(struct wire *wire)
{
    CHECK(write(wire->stop[1], "x", 1) == 1);
    pthread_join(wire->thread, NULL);
    for (int i = 0; i < PAIRS; i++)
        hang_up_both(&wire->pairs[i]);
    close(wire->listener);
    close(wire->stop[0]);
    close(wire->stop[1]);
}

/* --- nodes -------------------------------------------------------------------------- */

struct node {
    bool new_ids; /* what is staged is said to have such */
    struct calls calls;
    uint64_t containers; /* its numbers are behind this one */
    uint64_t sequence;
};

enum { QUICK_MS = 400, SLOW_MS = 20000 };

static void node_open_as(struct node *node, const char *url, unsigned ms, const char *log)
{
    struct index *index = NULL;
    struct err err = {0};
    const struct index_postgres_config config = {
        .url = url,
        .readers = 2,
        .queue = 100,
        .deadline_ms = ms,
        .commit_ms = ms,
        .deployment = log ? log : "the bucket",
        .shared = !log,
    };
    *node = (struct node){0};
    static uint64_t nodes;
    node->containers = ((uint64_t)1 << 60) + (++nodes << 32);
    if (index_postgres_open(&config, &index, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    calls_open(&node->calls, index);
}

static void node_open(struct node *node, const char *url, unsigned ms)
{
    node_open_as(node, url, ms, NULL);
}

static void node_close(struct node *node)
{
    node->calls.index->ops->close(node->calls.index);
    calls_close(&node->calls);
}

/* A stage that may take a while; the node's loop is turned by hand. */
struct staging {
    struct index_stage stage;
    struct index_batch batch;
    struct made_record *made;
    bool done;
};

static void staged(struct op *op)
{
    op_owner(op, struct staging, stage.op)->done = true;
}

static void begin_stage(struct node *node, unsigned writer, struct staging *s,
                        const struct make_run *runs, size_t count)
{
    *s = (struct staging){.made = make_record(runs, count)};
    s->made->record.new_ids = node->new_ids;
    node->sequence++;
    s->batch = (struct index_batch){
        .record = &s->made->record,
        .first = {.container = node->containers + node->sequence},
        .sequence = node->sequence,
    };
    s->stage = (struct index_stage){.op = {.loop = node->calls.loop, .done = staged},
                                    .writer = writer,
                                    .batches = &s->batch,
                                    .count = 1};
    node->calls.index->ops->stage(node->calls.index, &s->stage);
}

static enum err_code end_stage(struct node *node, struct staging *s)
{
    while (!s->done)
        uv_run(loop_uv(node->calls.loop), UV_RUN_ONCE);
    made_free(s->made);
    s->made = NULL;
    node->calls.err = s->stage.op.err;
    return s->stage.op.err.code;
}

static enum err_code stage(struct node *node, const struct make_run *runs, size_t count,
                           struct staging *s)
{
    begin_stage(node, 0, s, runs, count);
    return end_stage(node, s);
}

static bool add(struct node *node, const struct make_run *runs, size_t count)
{
    struct staging s;
    return stage(node, runs, count, &s) == 0 && s.batch.verdict == INDEX_ADDED &&
           calls_commit(&node->calls, node->sequence) == 0;
}

static bool finds(struct node *node, struct uuid id)
{
    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    bool found = calls_find(&node->calls, &id, 1, arena, &rows) == 0 && rows[0].found;
    arena_free(arena);
    return found;
}

static struct make_run run_of(uint64_t n)
{
    return (struct make_run){.id = make_id(n), .trace = make_id(9), .name = "chat", .start_us = 5};
}

/* Until a connection was made again: between tries there is a pause, in which asking fails. */
static bool answers_again(struct node *node)
{
    struct make_run nothing = run_of(UINT64_MAX);
    struct staging s;
    int64_t until_us = clock_mono_us() + 10000000;
    bool reads = false, writes = false;
    while (!(reads && writes) && clock_mono_us() < until_us) {
        struct arena *arena = arena_new(1024);
        struct index_row *rows = NULL;
        reads = calls_find(&node->calls, &nothing.id, 1, arena, &rows) == 0;
        writes = stage(node, &nothing, 1, &s) == 0;
        CHECK(calls_rollback(&node->calls) == 0);
        arena_free(arena);
    }
    return reads && writes;
}

/* --- where rows go -------------------------------------------------------------------- */

static struct uuid id_at(int64_t day, unsigned low)
{
    struct uuid_source source = {0};
    struct uuid id = uuid_v7(&source, day * INT64_C(86400000000) + low);
    return id;
}

TEST(a_part_is_the_day_of_a_uuid_with_a_time_or_one_of_sixteen)
{
    struct make_random random = {3};
    CHECK(part_of(id_at(20000, 1)) == 20000);
    CHECK(part_of(id_at(18262, 0)) == 18262 && part_of(id_at(47846, 0)) == 47846);
    CHECK(part_of(id_at(18261, 0)) < 0 && part_of(id_at(47847, 0)) < 0);
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        int32_t part = part_of(make_uuid(&random));
        CHECK(part >= -16 && part <= -1);
        seen |= 1u << -part;
    }
    CHECK(seen == 0x1fffe);
    /* It is stored: these may never change. */
    CHECK(part_of((struct uuid){{0}}) == -9);
    CHECK(part_of((struct uuid){{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}}) ==
          -5);
}

TEST(ids_of_any_day_are_stored_in_a_bounded_number_of_partitions)
{
    NEEDS_SERVER();
    enum { COUNT = 600 };
    static struct make_run runs[COUNT];
    struct make_random random = {4};
    struct postgres_bed bed;
    struct node node;
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    for (unsigned i = 0; i < COUNT; i++)
        runs[i] = (struct make_run){
            .id = i % 10 ? id_at(18000 + (int64_t)(make_random(&random) % 32000), i)
                         : make_uuid(&random),
            .trace = make_id(9),
            .start_us = i,
        };
    CHECK(add(&node, runs, COUNT));
    uint64_t spans = postgres_bed_number(&bed, "select count(*) from rundlet_spans");
    CHECK(spans > 16 && spans <= 16 + 81 + 4);
    for (unsigned i = 0; i < COUNT; i++)
        CHECK(finds(&node, runs[i].id));
    CHECK(postgres_bed_number(&bed, "select count(*) from (select id from rundlet_runs"
                                    " group by id having count(*) > 1) twice") == 0);
    struct staging s;
    CHECK(stage(&node, runs, COUNT, &s) == 0 && s.batch.verdict == INDEX_DUPLICATE);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(spans == postgres_bed_number(&bed, "select count(*) from rundlet_spans"));
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_partition_that_went_is_made_again)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct make_run run = {.id = id_at(18300, 1), .trace = make_id(1)};
    struct make_run next = {.id = id_at(18301, 1), .trace = make_id(1)};
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1));
    postgres_bed_run(&bed, "drop table rundlet_runs_18262_18628;"
                           "delete from rundlet_spans where low = 18262");
    struct staging s;
    CHECK(stage(&node, &next, 1, &s) == 0);
    CHECK(calls_commit(&node.calls, 2) == ERR_CONFLICT); /* judge again: then it is covered */
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(add(&node, &next, 1));
    CHECK(finds(&node, next.id) && !finds(&node, run.id));
    node_close(&node);
    postgres_bed_drop(&bed);
}

/* --- several nodes ---------------------------------------------------------------------- */

TEST(who_commits_first_wins_and_the_other_judges_again)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node a, b;
    struct staging s;
    postgres_bed_new(&bed);
    node_open(&a, bed.url, SLOW_MS);
    node_open(&b, bed.url, SLOW_MS);
    for (uint64_t lap = 0; lap < 3; lap++) {
        struct make_run ours[] = {run_of(10 * lap + 1), run_of(10 * lap + 2), run_of(10 * lap + 3)};
        struct make_run theirs[] = {ours[2], ours[1], ours[0], run_of(10 * lap + 4)};
        theirs[1].number = lap == 2; /* with other bytes */
        CHECK(stage(&a, ours, 3, &s) == 0 && s.batch.added == 3);
        CHECK(stage(&b, theirs, 4, &s) == 0 && s.batch.added == 4); /* nothing is held */
        CHECK(lap == 1 ? calls_rollback(&a.calls) == 0 : calls_commit(&a.calls, 1) == 0);
        CHECK(calls_commit(&b.calls, 1) == (lap == 1 ? ERR_OK : ERR_CONFLICT));
        CHECK(finds(&a, theirs[3].id) == (lap == 1)); /* whole or not at all */
        CHECK(calls_rollback(&b.calls) == 0);
        CHECK(stage(&b, theirs, 4, &s) == 0);
        CHECK(s.batch.verdict == (lap == 0   ? INDEX_ADDED
                                  : lap == 1 ? INDEX_DUPLICATE
                                             : INDEX_CONFLICT));
        CHECK(s.batch.added == (lap == 0));
        CHECK(lap != 2 || s.batch.conflict == 1);
        CHECK(calls_commit(&b.calls, 1) == 0);
        CHECK(finds(&a, theirs[3].id) == (lap != 2) && finds(&b, ours[0].id) == true);
    }
    node_close(&a);
    node_close(&b);
    postgres_bed_drop(&bed);
}

TEST(ids_that_are_said_to_be_new_are_not_asked_for_and_yet_not_stored_twice)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run runs[] = {run_of(1), run_of(2)}, more[] = {run_of(3), run_of(2)};
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    node.new_ids = true;
    CHECK(add(&node, runs, 2));
    CHECK(stage(&node, more, 2, &s) == 0);
    CHECK(s.batch.verdict == INDEX_ADDED && s.batch.added == 2);
    CHECK(calls_commit(&node.calls, node.sequence) == ERR_CONFLICT);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(!finds(&node, more[0].id));
    /* Judged again, they are asked for. */
    CHECK(stage(&node, more, 2, &s) == 0 && s.batch.added == 1);
    CHECK(calls_commit(&node.calls, node.sequence) == 0);
    CHECK(finds(&node, more[0].id));
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(writers_of_one_node_keep_what_they_staged_apart)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s[4];
    struct make_run runs[] = {run_of(1), run_of(2), run_of(3), run_of(1)};
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(node.calls.index->writers == 4 && node.calls.index->shared);
    for (unsigned i = 0; i < 4; i++) {
        begin_stage(&node, i, &s[i], &runs[i], 1);
        CHECK(end_stage(&node, &s[i]) == 0 && s[i].batch.added == 1);
    }
    CHECK(!finds(&node, make_id(1)));
    CHECK(calls_commit(&node.calls, 1) == 0); /* writer 0 */
    CHECK(finds(&node, make_id(1)) && !finds(&node, make_id(2)));
    begin_stage(&node, 0, &s[0], &runs[3], 1);
    CHECK(end_stage(&node, &s[0]) == 0 && s[0].batch.verdict == INDEX_DUPLICATE);
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_commit_that_waits_too_long_is_given_up)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run run = run_of(1);
    postgres_bed_new(&bed);
    node_open(&node, bed.url, QUICK_MS);
    CHECK(stage(&node, &run, 1, &s) == 0);
    struct pg_server *server = NULL;
    struct pg_session *other = NULL;
    CHECK(pg_server_open(bed.url, &server, NULL) == 0);
    CHECK(pg_session_open(server, SLOW_MS, &other, NULL) == 0);
    CHECK(pg_session_run(other, "begin; lock table rundlet_runs", SLOW_MS, NULL) == 0);
    CHECK(calls_commit(&node.calls, 1) == ERR_UNAVAILABLE);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(pg_session_run(other, "rollback", SLOW_MS, NULL) == 0);
    pg_session_close(other);
    pg_server_close(server);
    CHECK(answers_again(&node));
    CHECK(stage(&node, &run, 1, &s) == 0 && s.batch.verdict == INDEX_ADDED);
    CHECK(calls_commit(&node.calls, 1) == 0 && finds(&node, make_id(1)));
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_node_hears_of_the_commits_of_others)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node a, b;
    struct make_run runs[] = {run_of(1), run_of(2), run_of(3)};
    uint64_t at_a = 0, at_b = 0, before = 0;
    postgres_bed_new(&bed);
    node_open(&a, bed.url, SLOW_MS);
    CHECK(add(&a, &runs[0], 1));
    CHECK(calls_follow(&a.calls, &at_a) == 0 && at_a == 0); /* its own do not count */
    node_open(&b, bed.url, SLOW_MS);
    CHECK(b.calls.index->ops->runs(b.calls.index) == 1);
    CHECK(calls_follow(&b.calls, &before) == 0);
    CHECK(add(&a, &runs[1], 1));
    CHECK(calls_follow(&b.calls, &at_b) == 0 && at_b == before + 1);
    CHECK(add(&b, &runs[2], 1));
    CHECK(calls_follow(&b.calls, &at_b) == 0 && at_b == before + 1);
    CHECK(calls_follow(&a.calls, &at_a) == 0 && at_a == 1);
    CHECK(a.calls.index->ops->runs(a.calls.index) == 3);
    CHECK(b.calls.index->ops->runs(b.calls.index) == 3);
    node_close(&b); /* what it did stays counted */
    CHECK(calls_follow(&a.calls, &at_a) == 0 && at_a == 1);
    CHECK(calls_mark(&a.calls) == 0);
    node_close(&a);
    postgres_bed_drop(&bed);
}

static void answered(struct op *op)
{
    loop_stop(op->loop);
}

/* Is it live? */
static bool condemn(struct node *node, uint64_t container)
{
    struct index_condemn c = {.op = {.loop = node->calls.loop, .done = answered},
                              .container = container};
    node->calls.index->ops->condemn(node->calls.index, &c);
    CHECK(loop_run(node->calls.loop, NULL) == 0);
    CHECK(c.op.err.code == 0);
    return c.live;
}

TEST(a_container_that_was_given_up_is_never_committed_and_a_live_one_stays)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run run = run_of(1), other = run_of(2);
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1));
    uint64_t live = node.containers + node.sequence;
    CHECK(condemn(&node, live) == true);
    CHECK(stage(&node, &other, 1, &s) == 0);
    uint64_t given_up = node.containers + node.sequence;
    CHECK(condemn(&node, given_up) == false);
    CHECK(calls_commit(&node.calls, 2) == ERR_CONFLICT);
    CHECK(calls_rollback(&node.calls) == 0 && !finds(&node, make_id(2)));
    CHECK(condemn(&node, given_up) == false && condemn(&node, live) == true);

    const uint64_t asked[] = {given_up, live, 17};
    bool known[3] = {true, false, true};
    struct index_known k = {.op = {.loop = node.calls.loop, .done = answered},
                            .containers = asked,
                            .count = 3,
                            .known = known};
    node.calls.index->ops->known(node.calls.index, &k);
    CHECK(loop_run(node.calls.loop, NULL) == 0 && k.op.err.code == 0);
    CHECK(!known[0] && known[1] && !known[2]);
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(what_a_node_asks_for_itself_is_no_read)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct make_run run = run_of(1);
    uint64_t others = 0;
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1));
    int64_t reads = metric_value(METRIC_INDEX_READS);
    int64_t times = metric_value(METRIC_INDEX_READ_SECONDS);
    int64_t depth = metric_value(METRIC_INDEX_QUEUE_DEPTH);
    for (int i = 0; i < 5; i++)
        CHECK(calls_follow(&node.calls, &others) == 0);
    CHECK(condemn(&node, node.containers + node.sequence) == true);
    CHECK(metric_value(METRIC_INDEX_READS) == reads);
    CHECK(metric_value(METRIC_INDEX_READ_SECONDS) == times);
    CHECK(finds(&node, make_id(1)));
    CHECK(metric_value(METRIC_INDEX_READS) == reads + 1);
    CHECK(metric_value(METRIC_INDEX_READ_SECONDS) == times + 1);
    CHECK(metric_value(METRIC_INDEX_QUEUE_DEPTH) == depth);
    node_close(&node);
    postgres_bed_drop(&bed);
}

/* --- commits whose answer is lost ---------------------------------------------------------- */

/* What a commit says in this mode, and whether the rows are there. */
static void lose(enum wire_mode mode, enum err_code says, bool there)
{
    struct postgres_bed bed;
    static struct wire wire;
    char url[512];
    struct node node, other;
    struct staging s;
    struct make_run first = run_of(1), second = run_of(2), third = run_of(3);
    postgres_bed_new(&bed);
    wire_open(&wire, &bed, url, sizeof url);
    node_open(&node, url, mode == WIRE_SILENT_AFTER_COMMIT ? QUICK_MS : SLOW_MS);
    node_open(&other, bed.url, SLOW_MS);
    CHECK(add(&node, &first, 1));
    CHECK(stage(&node, &second, 1, &s) == 0);

    atomic_store(&wire.mode, mode);
    int commits = atomic_load(&wire.commits);
    CHECK(calls_commit(&node.calls, 2) == (int)says);
    CHECK(atomic_load(&wire.commits) == commits + 1);
    atomic_store(&wire.mode, WIRE_PASS);
    if (says)
        CHECK(calls_rollback(&node.calls) == 0);
    if (mode != WIRE_SILENT_AFTER_COMMIT)
        CHECK(finds(&other, make_id(2)) == there);
    CHECK(node.calls.index->ops->runs(node.calls.index) == (there ? 2 : 1));

    /* And it goes on. */
    CHECK(answers_again(&node));
    CHECK(stage(&node, &second, 1, &s) == 0);
    CHECK(s.batch.verdict == (there ? INDEX_DUPLICATE : INDEX_ADDED));
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(add(&node, &third, 1));
    CHECK(finds(&other, make_id(3)));
    node_close(&node);
    node_close(&other);
    wire_close(&wire);
    postgres_bed_drop(&bed);
}

TEST(a_commit_that_did_not_arrive_is_known_not_to_be_there)
{
    NEEDS_SERVER();
    lose(WIRE_CUT_BEFORE_COMMIT, ERR_UNAVAILABLE, false);
}

TEST(a_commit_whose_answer_was_lost_is_known_to_be_there)
{
    NEEDS_SERVER();
    lose(WIRE_CUT_AFTER_COMMIT, ERR_OK, true);
}

TEST(a_commit_that_arrives_late_is_waited_for)
{
    NEEDS_SERVER();
    lose(WIRE_HOLD_THEN_COMMIT, ERR_OK, true);
}

TEST(a_transaction_that_ends_late_is_waited_for)
{
    NEEDS_SERVER();
    lose(WIRE_HOLD_THEN_FORGET, ERR_UNAVAILABLE, false);
}

TEST(a_commit_of_which_nothing_can_be_learned_is_a_timeout)
{
    NEEDS_SERVER();
    lose(WIRE_SILENT_AFTER_COMMIT, ERR_TIMEOUT, false);
}

/* A rebuild brings a container in parts: its row tells nothing of the second one. */
TEST(what_became_of_a_commit_is_not_read_from_a_container_that_was_there_before)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    static struct wire wire;
    char url[512];
    struct node node;
    struct staging s;
    struct make_run first = run_of(1), second = run_of(2);
    postgres_bed_new(&bed);
    wire_open(&wire, &bed, url, sizeof url);
    node_open(&node, url, SLOW_MS);
    CHECK(add(&node, &first, 1));
    node.containers--; /* the next record lies in the same one */
    CHECK(stage(&node, &second, 1, &s) == 0);
    atomic_store(&wire.mode, WIRE_CUT_BEFORE_COMMIT);
    CHECK(calls_commit(&node.calls, 2) == ERR_TIMEOUT);
    atomic_store(&wire.mode, WIRE_PASS);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(!finds(&node, make_id(2)));
    CHECK(stage(&node, &second, 1, &s) == 0 && s.batch.verdict == INDEX_ADDED);
    CHECK(calls_commit(&node.calls, 2) == 0 && finds(&node, make_id(2)));
    node_close(&node);
    wire_close(&wire);
    postgres_bed_drop(&bed);
}

TEST(a_log_replays_what_it_does_not_know_to_be_there)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    static struct wire wire;
    char url[512];
    struct node node;
    struct staging s;
    struct make_run first = run_of(1), second = run_of(2);
    postgres_bed_new(&bed);
    wire_open(&wire, &bed, url, sizeof url);
    node_open_as(&node, url, SLOW_MS, "a log");
    CHECK(add(&node, &first, 1));
    CHECK(stage(&node, &second, 1, &s) == 0);
    atomic_store(&wire.mode, WIRE_CUT_AFTER_COMMIT);
    CHECK(calls_commit(&node.calls, 2) == ERR_UNAVAILABLE);
    atomic_store(&wire.mode, WIRE_PASS);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(calls_mark(&node.calls) == 1); /* so the log gives it again */
    CHECK(stage(&node, &second, 1, &s) == 0 && s.batch.verdict == INDEX_DUPLICATE);
    CHECK(calls_commit(&node.calls, 2) == 0 && calls_mark(&node.calls) == 2);
    node_close(&node);
    node_open_as(&node, url, SLOW_MS, "a log");
    CHECK(calls_mark(&node.calls) == 2);
    node_close(&node);
    wire_close(&wire);
    postgres_bed_drop(&bed);
}

/* --- a server that goes ------------------------------------------------------------------- */

static void kill_backends(const struct postgres_bed *bed)
{
    /* The answer comes when they have gone, or ten seconds later. */
    CHECK(postgres_bed_number(bed,
                              "select count(case when pid <> pg_backend_pid()"
                              " then pg_terminate_backend(pid, 10000) end)"
                              " from pg_stat_activity where datname = current_database()") > 0);
}

TEST(killed_backends_are_replaced)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run runs[] = {run_of(1), run_of(2), run_of(3)};
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &runs[0], 1) && finds(&node, make_id(1)));
    CHECK(stage(&node, &runs[1], 1, &s) == 0);
    kill_backends(&bed);
    CHECK(calls_commit(&node.calls, 2) == ERR_UNAVAILABLE);
    CHECK(calls_rollback(&node.calls) == 0);
    /* The reader's socket says so at the latest when it is used. */
    CHECK(finds(&node, make_id(1)) || finds(&node, make_id(1)));
    CHECK(!finds(&node, make_id(2)));
    CHECK(add(&node, &runs[1], 1) && add(&node, &runs[2], 1));
    kill_backends(&bed);
    CHECK(calls_rollback(&node.calls) == 0);
    enum err_code first = stage(&node, &runs[2], 1, &s);
    CHECK(first == ERR_OK || first == ERR_UNAVAILABLE);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(stage(&node, &runs[2], 1, &s) == 0 && s.batch.verdict == INDEX_DUPLICATE);
    node_close(&node);
    postgres_bed_drop(&bed);
}

/* --- a server that took over without the last commits ------------------------------------- */

/* Writers are sent away, and notice it; `aside` and readers stay where they are. */
static void lose_writers(const struct postgres_bed *bed, struct node *node)
{
    CHECK(postgres_bed_number(bed,
                              "select count(pg_terminate_backend(pid, 10000))"
                              " from pg_stat_activity where datname = current_database()"
                              " and pid <> pg_backend_pid()"
                              " and (query = 'commit' or query like '%e.taken = sha256%')") > 0);
    for (int i = 0; i < 10; i++)
        uv_run(loop_uv(node->calls.loop), UV_RUN_NOWAIT);
}

static size_t named(struct node *node, const char *name)
{
    const struct query query = {.by_name = true, .name = {name, strlen(name)}, .limit = 5};
    struct arena *arena = arena_new(1024);
    struct index_search search;
    CHECK(calls_search(&node->calls, &query, arena, &search) == 0);
    arena_free(arena);
    return search.count;
}

TEST(names_are_learned_anew_when_another_server_took_over)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run runs[] = {run_of(1), run_of(2), run_of(3)};
    runs[2].name = "other";
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &runs[0], 1) && named(&node, "chat") == 1);
    CHECK(stage(&node, &runs[1], 1, &s) == 0);
    postgres_bed_run(&bed, "delete from rundlet_runs; delete from rundlet_names;"
                           "alter table rundlet_names alter id restart");
    lose_writers(&bed, &node);
    CHECK(calls_commit(&node.calls, node.sequence) == ERR_CONFLICT); /* judge again */
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(add(&node, &runs[2], 1)); /* has the number that the first one had */
    CHECK(add(&node, &runs[1], 1) && add(&node, &runs[0], 1));
    CHECK(named(&node, "chat") == 2 && named(&node, "other") == 1);
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_partition_is_made_anew_when_another_server_took_over)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct make_run run = {.id = id_at(18300, 1), .trace = make_id(1)};
    struct make_run next = {.id = id_at(18301, 1), .trace = make_id(1)};
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1));
    postgres_bed_run(&bed, "drop table rundlet_runs_18262_18628;"
                           "delete from rundlet_spans where low = 18262");
    lose_writers(&bed, &node);
    CHECK(add(&node, &next, 1));
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_log_is_replayed_into_a_server_that_is_behind)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run runs[] = {run_of(1), run_of(2), run_of(3)};
    postgres_bed_new(&bed);
    node_open_as(&node, bed.url, SLOW_MS, "a log");
    CHECK(add(&node, &runs[0], 1) && add(&node, &runs[1], 1));
    CHECK(calls_mark(&node.calls) == 2);
    postgres_bed_run(&bed, "delete from rundlet_runs where version = 2;"
                           "update rundlet_store set mark = 1");
    lose_writers(&bed, &node);
    CHECK(stage(&node, &runs[2], 1, &s) == 0);
    CHECK(calls_commit(&node.calls, 3) == ERR_UNAVAILABLE); /* else the second is never there */
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(postgres_bed_number(&bed, "select mark from rundlet_store") == 1);
    CHECK(calls_mark(&node.calls) == 1);
    node.sequence = 1;
    CHECK(add(&node, &runs[1], 1) && add(&node, &runs[2], 1));
    CHECK(finds(&node, make_id(2)) && finds(&node, make_id(3)));
    CHECK(calls_mark(&node.calls) == 3);
    CHECK(postgres_bed_number(&bed, "select mark from rundlet_store") == 3);
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_server_that_says_nothing_is_a_timeout_and_then_another_connection)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    static struct wire wire;
    char url[512];
    struct node node;
    struct staging s;
    struct make_run run = run_of(1), other = run_of(2);
    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    struct uuid id = make_id(1);
    postgres_bed_new(&bed);
    wire_open(&wire, &bed, url, sizeof url);
    node_open(&node, url, QUICK_MS);
    CHECK(add(&node, &run, 1) && finds(&node, id));
    atomic_store(&wire.mode, WIRE_SILENT);
    CHECK(calls_find(&node.calls, &id, 1, arena, &rows) == ERR_TIMEOUT);
    CHECK(stage(&node, &other, 1, &s) == ERR_TIMEOUT);
    CHECK(calls_rollback(&node.calls) == 0);
    /* Nor does it answer to a new connection. */
    CHECK(calls_find(&node.calls, &id, 1, arena, &rows) != 0);
    atomic_store(&wire.mode, WIRE_PASS);
    CHECK(answers_again(&node) && finds(&node, id));
    CHECK(add(&node, &other, 1) && finds(&node, make_id(2)));
    arena_free(arena);
    node_close(&node);
    wire_close(&wire);
    postgres_bed_drop(&bed);
}

struct asked {
    struct index_find find;
    size_t *ended;
};

static void have_found(struct op *op)
{
    ++*op_owner(op, struct asked, find.op)->ended;
}

TEST(reads_that_find_no_room_are_refused_and_the_others_answered)
{
    NEEDS_SERVER();
    enum { MANY = 300 };
    static struct asked asked[MANY];
    struct postgres_bed bed;
    struct node node;
    struct make_run run = run_of(1);
    struct uuid id = make_id(1);
    struct arena *arena = arena_new(1 << 16);
    size_t ended = 0, good = 0, refused = 0;
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1));
    for (int i = 0; i < MANY; i++) {
        asked[i] = (struct asked){
            .find = {.op = {.loop = node.calls.loop, .done = have_found},
                     .ids = &id,
                     .count = 1,
                     .arena = arena},
            .ended = &ended,
        };
        node.calls.index->ops->find(node.calls.index, &asked[i].find);
    }
    while (ended < MANY)
        uv_run(loop_uv(node.calls.loop), UV_RUN_ONCE);
    for (int i = 0; i < MANY; i++) {
        good += asked[i].find.op.err.code == ERR_OK && asked[i].find.rows[0].found;
        refused += asked[i].find.op.err.code == ERR_BUSY;
    }
    CHECK(good == 100 && refused == MANY - 100);
    arena_free(arena);
    node_close(&node);
    postgres_bed_drop(&bed);
}

/* --- opening and the schema ------------------------------------------------------------------- */

static int try_open(const char *url, const char *log, bool migrate, struct err *err)
{
    struct index *index = NULL;
    *err = (struct err){0};
    int r = index_postgres_open(
        &(struct index_postgres_config){
            .url = url,
            .readers = 1,
            .queue = 1,
            .deadline_ms = SLOW_MS,
            .commit_ms = SLOW_MS,
            .deployment = log ? log : "the bucket",
            .shared = !log,
            .migrate = migrate,
        },
        &index, err);
    if (!r)
        index->ops->close(index);
    return r;
}

TEST(a_server_that_is_not_there_is_said_without_the_password)
{
    struct err err;
    CHECK(try_open("postgres://me:secretword@127.0.0.1:1/x", NULL, false, &err) == ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "127.0.0.1") && !strstr(err.text, "secretword"));
    CHECK(try_open("postgres://me:secretword@no-such-host.invalid/x", NULL, false, &err) ==
          ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "no-such-host.invalid") && !strstr(err.text, "secretword"));
    CHECK(try_open("secretword", NULL, false, &err) == ERR_INVALID);
    CHECK(!strstr(err.text, "secretword"));
    CHECK(try_open("postgres://me:a@secretword@127.0.0.1/x", NULL, false, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "%40") && !strstr(err.text, "secretword"));
    CHECK(try_open("postgres://me:secretword@", NULL, false, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "host") && !strstr(err.text, "secretword"));
    CHECK(try_open("postgres://me:secretword@127.0.0.1:1,127.0.0.1:2/x", NULL, false, &err) ==
          ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "index: ") == err.text); /* the setting, and both */
    CHECK(strstr(err.text, "port 1 ") && strstr(err.text, "port 2 "));
    CHECK(try_open("postgres://me:secretword@127.0.0.1:1/x?sslmod=disable", NULL, false, &err) ==
          ERR_INVALID);
    CHECK(strstr(err.text, "sslmod") && !strstr(err.text, "secretword"));
    CHECK(try_open("postgres://me:a?secretword=b@127.0.0.1:1/x", NULL, false, &err) != 0);
    CHECK(!strstr(err.text, "secretword"));
}

/* Takes connections, and says nothing. */
static int silent_host(unsigned short *port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&here, len) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&here, &len) != 0)
        abort();
    *port = ntohs(here.sin_port);
    return fd;
}

static int try_session(const char *url, unsigned ms, struct err *err)
{
    struct pg_server *server = NULL;
    struct pg_session *session = NULL;
    *err = (struct err){0};
    CHECK(pg_server_open(url, &server, err) == 0);
    int r = pg_session_open(server, ms, &session, err);
    pg_session_close(session);
    pg_server_close(server);
    return r;
}

TEST(the_second_host_is_tried_when_the_first_says_nothing)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    char url[600], user[128], rest[400];
    struct err err;
    unsigned short port;
    int fd = silent_host(&port);
    postgres_bed_new(&bed);
    CHECK(sscanf(bed.url, "%*[^:]://%127[^@]@%399s", user, rest) == 2);
    snprintf(url, sizeof url, "postgres://%s@127.0.0.1:%d,%s", user, port, rest);
    CHECK(try_session(url, 1000, &err) == 0);
    postgres_bed_drop(&bed);
    close(fd);
}

TEST(a_host_that_says_nothing_is_named_and_given_up_when_the_url_says_so)
{
    NEEDS_SERVER(); /* and libpq */
    char url[100], name[40];
    struct err err;
    unsigned short port;
    int fd = silent_host(&port);
    snprintf(url, sizeof url, "postgres://me:secretword@127.0.0.1:%d/x?connect_timeout=1", port);
    snprintf(name, sizeof name, "no connection to 127.0.0.1:%d within 1000 ms", port);
    CHECK(try_session(url, SLOW_MS, &err) == ERR_UNAVAILABLE);
    CHECK(strstr(err.text, name) && !strstr(err.text, "secretword"));
    snprintf(url, sizeof url, "postgres://127.0.0.1:1,127.0.0.1:%d/x", port);
    snprintf(name, sizeof name, "no connection to 127.0.0.1:%d within", port);
    CHECK(try_session(url, QUICK_MS, &err) == ERR_UNAVAILABLE);
    CHECK(strstr(err.text, name) && strstr(err.text, "port 1 "));
    close(fd);
}

/* --- calls -------------------------------------------------------------------------------- */

struct two_calls {
    struct pg_call first, second;
    struct pg_pool *pool;
};

static void send_one(struct pg_call *call, struct pg_conn *conn)
{
    static const struct pg_statement one = {NULL, "select 1"};
    (void)call;
    pg_send(conn, &one, NULL);
}

static void second_done(struct pg_call *call)
{
    struct two_calls *two = op_owner(call, struct two_calls, second);
    CHECK(pg_pool_session(two->pool) == 2);
    two->pool = NULL;
}

static void first_done(struct pg_call *call)
{
    struct two_calls *two = op_owner(call, struct two_calls, first);
    CHECK(pg_pool_session(two->pool) == 1);
    pg_pool_drop(two->pool);
    CHECK(pg_pool_session(two->pool) == 0);
    CHECK(pg_pool_ask(two->pool, &two->second));
}

TEST(what_is_asked_after_a_connection_was_given_up_goes_to_the_next)
{
    NEEDS_SERVER();
    static const struct pg_role role = {.settings = "select set_config('lock_timeout', $1, false)"};
    struct postgres_bed bed;
    struct pg_server *server = NULL;
    struct loop *loop = NULL;
    postgres_bed_new(&bed);
    CHECK(pg_server_open(bed.url, &server, NULL) == 0 && loop_open(0, "test", &loop, NULL) == 0);
    struct pg_pool *pool = pg_pool_new(&(struct pg_pool_config){.server = server,
                                                                .loop = loop,
                                                                .role = &role,
                                                                .connections = 1,
                                                                .queue = 2,
                                                                .connect_ms = SLOW_MS});
    int64_t deadline_us = clock_mono_us() + SLOW_MS * INT64_C(1000);
    struct two_calls two = {
        .first = {.send = send_one, .done = first_done, .deadline_us = deadline_us},
        .second = {.send = send_one, .done = second_done, .deadline_us = deadline_us},
        .pool = pool,
    };
    CHECK(pg_pool_ask(pool, &two.first));
    while (two.pool)
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    CHECK(two.first.err.code == 0 && two.second.err.code == 0);
    pg_pool_free(pool);
    loop_close(loop);
    pg_server_close(server);
    postgres_bed_drop(&bed);
}

static void take_text(void *context, const struct libpq *pq, PGresult *result)
{
    struct str text = pg_text(pq, result, 0, 0);
    snprintf(context, 32, "%.*s", STR_FMT(text));
}

TEST(a_session_asks_for_keepalives_and_refuses_what_is_too_big)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct pg_server *server = NULL;
    struct pg_session *session = NULL;
    struct err err = {0};
    char said[32] = "";
    /* As if there were so many bytes: they are not looked at. */
    const struct pg_args args = {.count = 1, .len = {(size_t)INT32_MAX + 1}};
    postgres_bed_new(&bed);
    CHECK(pg_server_open(bed.url, &server, NULL) == 0);
    CHECK(pg_session_open(server, SLOW_MS, &session, NULL) == 0);
    CHECK(pg_session_ask(session, "select current_setting('tcp_keepalives_idle')", NULL, take_text,
                         said, SLOW_MS, NULL) == 0);
    CHECK(strcmp(said, "10") == 0);
    CHECK(pg_session_ask(session, "select $1::text", &args, NULL, NULL, SLOW_MS, &err) ==
          ERR_UNAVAILABLE);
    CHECK(strstr(err.text, "2 GiB"));
    CHECK(pg_session_ask(session, "select 1", NULL, NULL, NULL, SLOW_MS, &err) == 0);
    pg_session_close(session);
    pg_server_close(server);
    postgres_bed_drop(&bed);
}

/* --- a schema, and a server, that is not the one that is needed ----------------------------- */

TEST(a_schema_that_is_gone_is_said_and_is_no_broken_disk)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run run = run_of(1), other = run_of(2);
    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    postgres_bed_new(&bed);
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1) && finds(&node, make_id(1)));
    postgres_bed_run(&bed, "drop table rundlet_runs");
    CHECK(calls_find(&node.calls, &run.id, 1, arena, &rows) == ERR_UNAVAILABLE);
    CHECK(strstr(node.calls.err.text, "rundlet migrate up"));
    CHECK(stage(&node, &other, 1, &s) == ERR_UNAVAILABLE);
    CHECK(strstr(node.calls.err.text, "rundlet migrate up"));
    arena_free(arena);
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(a_server_that_became_read_only_is_left)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct staging s;
    struct make_run run = run_of(1), other = run_of(2);
    static struct wire wire;
    char url[512];
    postgres_bed_new(&bed);
    wire_open(&wire, &bed, url, sizeof url);
    node_open(&node, url, SLOW_MS);
    CHECK(add(&node, &run, 1) && finds(&node, make_id(1)));
    postgres_bed_run(&bed, "create function refuse() returns trigger language plpgsql as $$ begin"
                           " raise 'read only' using errcode = '25006'; end $$;"
                           "create trigger refuse before insert on rundlet_runs"
                           " for each row execute function refuse()");
    CHECK(stage(&node, &other, 1, &s) == 0);
    int before = atomic_load(&wire.accepted);
    CHECK(calls_commit(&node.calls, 2) == ERR_UNAVAILABLE);
    CHECK(calls_rollback(&node.calls) == 0);
    CHECK(answers_again(&node));
    CHECK(atomic_load(&wire.accepted) > before);
    postgres_bed_run(&bed, "drop trigger refuse on rundlet_runs");
    CHECK(answers_again(&node) && add(&node, &other, 1));
    node_close(&node);
    wire_close(&wire);
    postgres_bed_drop(&bed);
}

TEST(the_second_host_is_tried_when_the_first_is_not_there)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    char url[600], user[128], rest[400];
    struct err err;
    postgres_bed_new(&bed);
    CHECK(sscanf(bed.url, "%*[^:]://%127[^@]@%399s", user, rest) == 2);
    snprintf(url, sizeof url, "postgres://%s@127.0.0.1:1,no-such-host.invalid:2,%s", user, rest);
    CHECK(try_open(url, NULL, false, &err) == 0);
    postgres_bed_drop(&bed);
}

TEST(a_database_belongs_to_one_log_or_to_a_bucket)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct err err;
    postgres_bed_new(&bed);
    CHECK(try_open(bed.url, "log 1", false, &err) == 0);
    CHECK(try_open(bed.url, "log 1", false, &err) == 0);
    CHECK(try_open(bed.url, "log 2", false, &err) == ERR_CONFLICT &&
          strstr(err.text, "another data directory"));
    CHECK(try_open(bed.url, NULL, false, &err) == ERR_CONFLICT && strstr(err.text, "bucket"));
    postgres_bed_drop(&bed);
    postgres_bed_new(&bed);
    CHECK(try_open(bed.url, NULL, false, &err) == 0);
    CHECK(try_open(bed.url, NULL, false, &err) == 0);
    CHECK(try_open(bed.url, "log 1", false, &err) == ERR_CONFLICT && strstr(err.text, "bucket"));
    postgres_bed_drop(&bed);
}

struct lines {
    char text[1 << 14];
    size_t len;
};

static void keep_line(void *context, const char *line)
{
    struct lines *lines = context;
    int len = snprintf(lines->text + lines->len, sizeof lines->text - lines->len, "%s\n", line);
    lines->len += (size_t)len;
    CHECK(lines->len < sizeof lines->text);
}

TEST(the_schema_goes_up_and_down)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct err err = {0};
    static struct lines lines;
    lines.len = 0;
    postgres_bed_empty(&bed);
    CHECK(index_postgres_status(bed.url, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "0001-runs not applied"));
    CHECK(try_open(bed.url, NULL, false, &err) == ERR_CONFLICT && strstr(err.text, "migrate up"));
    CHECK(index_postgres_migrate(bed.url, -1, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "\napplied 0001-runs\napplied 0002-layers"));
    CHECK(index_postgres_migrate(bed.url, -1, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "nothing to do"));
    CHECK(try_open(bed.url, NULL, false, &err) == 0);
    CHECK(index_postgres_status(bed.url, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "0001-runs applied 2"));
    CHECK(!strstr(lines.text, "without an index"));
    postgres_bed_run(&bed, "drop index rundlet_names_by_trigram");
    CHECK(index_postgres_status(bed.url, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "without an index"));
    CHECK(index_postgres_migrate(bed.url, 0, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "removed 0001-runs"));
    CHECK(postgres_bed_number(&bed, "select count(*) from pg_class c join pg_namespace n on"
                                    " n.oid = relnamespace where nspname = 'public'"
                                    " and relname like 'rundlet%'"
                                    " and relname not like 'rundlet_migrations%'") == 0);
    CHECK(try_open(bed.url, NULL, true, &err) == 0); /* by itself */
    CHECK(index_postgres_migrate(bed.url, 99, keep_line, &lines, &err) == ERR_INVALID);
    CHECK(index_postgres_migrate(bed.url, 0, keep_line, &lines, &err) == 0);
    CHECK(index_postgres_migrate(bed.url, 1, keep_line, &lines, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "schema 0"));
    CHECK(index_postgres_migrate(bed.url, -1, keep_line, &lines, &err) == 0);
    CHECK(index_postgres_migrate(bed.url, 2, keep_line, &lines, &err) == 0); /* it is there */

    postgres_bed_run(&bed, "update rundlet_migrations set checksum = 1");
    CHECK(try_open(bed.url, NULL, true, &err) == ERR_CONFLICT && strstr(err.text, "migration 1"));
    postgres_bed_run(&bed, "insert into rundlet_migrations values (99, 'later', 1)");
    CHECK(try_open(bed.url, NULL, true, &err) == ERR_CONFLICT && strstr(err.text, "newer"));
    postgres_bed_drop(&bed);
}

/* Rows of whole runs do not say which layers they are made of. */
TEST(rows_from_before_there_were_layers_go_and_are_replayed)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct err err = {0};
    struct node node;
    static struct lines lines;
    lines.len = 0;
    postgres_bed_empty(&bed);
    CHECK(index_postgres_migrate(bed.url, -1, keep_line, &lines, &err) == 0);
    CHECK(!strstr(lines.text, "reindex")); /* nothing was there */
    CHECK(index_postgres_migrate(bed.url, 1, keep_line, &lines, &err) == 0);
    postgres_bed_run(&bed, "insert into rundlet_runs select gen_random_uuid(), gen_random_uuid(),"
                           " 1, null, 1, 1, 2, 3, 0, 10, -1 from generate_series(1, 5);"
                           "insert into rundlet_containers values (1, 7, true);"
                           "insert into rundlet_nodes values (7, 0, 3, 5);"
                           "insert into rundlet_store values (true, 'the log', false, 41)");
    CHECK(index_postgres_migrate(bed.url, -1, keep_line, &lines, &err) == 0);
    CHECK(strstr(lines.text, "applied 0002-layers\nthe rows are to be made anew"));
    CHECK(postgres_bed_number(&bed, "select count(*) from rundlet_runs") == 0);
    CHECK(postgres_bed_number(&bed, "select commits from rundlet_nodes") == 4); /* news */
    /* Nothing is taken for garbage. */
    CHECK(postgres_bed_number(&bed, "select count(*) from rundlet_containers where live") == 1);
    node_open_as(&node, bed.url, SLOW_MS, "the log");
    CHECK(calls_mark(&node.calls) == 0);
    CHECK(node.calls.index->ops->runs(node.calls.index) == 0);
    struct make_run run = run_of(1);
    CHECK(add(&node, &run, 1) && finds(&node, run.id));
    node_close(&node);
    postgres_bed_drop(&bed);
}

TEST(the_sql_that_is_printed_makes_the_schema_by_hand)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct err err;
    static struct lines lines;
    lines.len = 0;
    postgres_bed_empty(&bed);
    index_postgres_sql(keep_line, &lines);
    postgres_bed_run(&bed, lines.text);
    CHECK(try_open(bed.url, NULL, false, &err) == 0);
    postgres_bed_drop(&bed);
}

TEST(a_database_that_is_not_utf8_is_refused)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct err err;
    char sql[400];
    postgres_bed_empty(&bed);
    postgres_bed_drop(&bed);
    snprintf(sql, sizeof sql,
             "create database %s encoding 'SQL_ASCII' locale 'C' template template0", bed.name);
    postgres_bed_run(NULL, sql);
    CHECK(try_open(bed.url, NULL, true, &err) != 0);
    CHECK(strstr(err.text, "SQL_ASCII") && strstr(err.text, "encoding 'UTF8'"));
    postgres_bed_drop(&bed);
}

/* Whoever may not make the extension gets the schema without it. */
TEST(names_are_found_without_the_trigram_index)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node node;
    struct make_run run = run_of(1);
    const struct query query = {.by_name = true, .name = STR("HAT"), .limit = 5};
    struct arena *arena = arena_new(1024);
    struct index_search search;
    postgres_bed_new(&bed);
    postgres_bed_run(&bed, "drop extension pg_trgm cascade");
    node_open(&node, bed.url, SLOW_MS);
    CHECK(add(&node, &run, 1));
    CHECK(calls_search(&node.calls, &query, arena, &search) == 0 && search.count == 1);
    arena_free(arena);
    node_close(&node);
    postgres_bed_drop(&bed);
}

/* --- searches that one way does not answer ------------------------------------------------------ */

enum { GROUP = 1000 };

/* `count` runs, each with a name of its own that holds `word`. */
static void add_named(struct node *nodes, const char *word, uint64_t from, unsigned count)
{
    static struct make_run runs[GROUP];
    static char names[GROUP][48];
    for (unsigned done = 0; done < count; done += GROUP) {
        unsigned n = count - done < GROUP ? count - done : GROUP;
        for (unsigned i = 0; i < n; i++) {
            uint64_t number = from + done + i;
            snprintf(names[i], sizeof names[i], "%s %llu", word, (unsigned long long)number);
            runs[i] = (struct make_run){.id = make_id(number),
                                        .trace = make_id(number % 7),
                                        .name = names[i],
                                        .start_us = (int64_t)number};
        }
        for (int k = 0; k < 2; k++)
            CHECK(add(&nodes[k], runs, n));
    }
}

static void same_page(struct node *nodes, const char *name, bool after, int64_t start_us)
{
    const struct query query = {
        .by_name = true,
        .name = {name, strlen(name)},
        .after = after,
        .cursor = {.start_us = start_us},
        .limit = 20,
    };
    struct arena *arena = arena_new(1 << 16);
    struct index_search found[2];
    for (int k = 0; k < 2; k++)
        CHECK(calls_search(&nodes[k].calls, &query, arena, &found[k]) == 0);
    CHECK(found[0].count == found[1].count && found[0].more == found[1].more);
    for (size_t i = 0; i < found[0].count && i < found[1].count; i++)
        CHECK(uuid_compare(found[0].rows[i].id, found[1].rows[i].id) == 0);
    arena_free(arena);
}

TEST(every_way_to_search_by_name_finds_what_memory_finds)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node nodes[2];
    struct index *memory = NULL;
    postgres_bed_new(&bed);
    node_open(&nodes[0], bed.url, SLOW_MS);
    CHECK(index_memory_open(&memory, NULL) == 0);
    nodes[1] = (struct node){0};
    calls_open(&nodes[1].calls, memory);
    add_named(nodes, "ancient", 1, 4200);    /* more names than are merged */
    add_named(nodes, "Old%", 10000, 100);    /* more than few */
    add_named(nodes, "rare_", 20000, 10);    /* few */
    add_named(nodes, "newest", 30000, 2100); /* more than one walk tests */
    static const char *const asked[] = {"ancient", "old%", "rare_", "newest", "NEW",  "an",
                                        "0",       "e",    "%",     "_",      "none", "zz"};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        same_page(nodes, asked[i], false, 0);
        same_page(nodes, asked[i], true, 10050);
        same_page(nodes, asked[i], true, 5);
    }
    node_close(&nodes[0]);
    node_close(&nodes[1]);
    postgres_bed_drop(&bed);
}
