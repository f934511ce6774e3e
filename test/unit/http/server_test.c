/* server_test.c - the whole room over loopback sockets, against a client that
 * writes its bytes by hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/codec.h"
#include "base/text.h"
#include "http/http.h"
#include "lib/check.h"
#include "loop/loop.h"
#include "loop/op.h"

enum { LOOPS = 2, DEADLINE_MS = 20000, BIG = 64 << 20 };

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- the site under test ---- */

struct site {
    struct loop *loops[LOOPS];
    struct http_server *server;
    int events[2];                       /* a pipe: what happened, one byte each */
    _Atomic(struct http_request *) kept; /* GET /wait */
    atomic_uint ended;
    atomic_int last_status;
    atomic_ullong last_in, last_out;
    struct buf *big;
    atomic_bool stopped;
};

static void tell(struct site *site, char event)
{
    CHECK(write(site->events[1], &event, 1) == 1);
}

static struct site *site_of(struct http_request *request)
{
    return http_context(request);
}

static const struct http_field text_plain = {{"Content-Type", 12}, {"text/plain", 10}};

static void say(struct http_request *request, struct str words)
{
    struct http_piece piece = {NULL, words};
    http_reply(request, 200, &text_plain, 1, &piece, 1);
}

static void gone(struct http_request *request)
{
    tell(site_of(request), 'g');
    http_release(request);
}

/* Something of this request is still on its way when its client leaves. */
static void gone_later(struct http_request *request)
{
    atomic_store(&site_of(request)->kept, request);
    tell(site_of(request), 'l');
}

static void hello(struct http_request *request)
{
    say(request, STR("hello"));
}

/* What the request says, as this room reads it. */
static void mirror(struct http_request *request)
{
    struct text t = {0};
    struct str twice = http_header(request, STR("x-twice"));
    enum coding coding = http_accepts(request, 1 << CODING_GZIP | 1 << CODING_ZSTD);
    text_addf(&t, "%.*s %.*s ?%.*s {%.*s} (%.*s) %d %s", STR_FMT(http_method(request)),
              STR_FMT(http_path(request)), STR_FMT(http_query(request)),
              STR_FMT(http_part(request, 0)), (int)twice.len, twice.at ? twice.at : "", (int)coding,
              http_header(request, STR("x-none")).at ? "some" : "none");
    struct http_piece piece = {text_to_buf(&t), {NULL, 0}};
    piece.bytes = (struct str){piece.keep->at, piece.keep->len};
    text_free(&t);
    http_reply(request, 200, NULL, 0, &piece, 1);
}

static void big(struct http_request *request)
{
    struct buf *buf = site_of(request)->big;
    struct http_piece piece = {buf_ref(buf), {buf->at, buf->len}};
    http_reply(request, 200, NULL, 0, &piece, 1);
}

/* Many pieces in one reply: more than one writev takes. */
static void many(struct http_request *request)
{
    struct http_piece pieces[500];
    for (int i = 0; i < 500; i++)
        pieces[i] = (struct http_piece){NULL, i % 2 ? STR("0123456789") : STR("")};
    http_reply(request, 200, NULL, 0, pieces, 500);
}

static void quiet(struct http_request *request)
{
    http_reply(request, 204, NULL, 0, NULL, 0);
}

static void wait_begin(struct http_request *request)
{
    atomic_store(&site_of(request)->kept, request);
    tell(site_of(request), 'w');
}

/* A stream of BIG bytes in pieces of 10 000, as fast as the client reads. */
struct stream {
    size_t left;
};

static void pour(struct http_request *request)
{
    struct stream *s = *http_slot(request);
    struct buf *buf = site_of(request)->big;
    while (s->left > 0) {
        size_t n = s->left < 10000 ? s->left : 10000;
        s->left -= n;
        struct http_piece piece = {buf_ref(buf), {buf->at + s->left, n}};
        if (!http_write(request, piece) && s->left > 0)
            return;
    }
    http_finish(request);
}

static void stream(struct http_request *request)
{
    struct stream *s = arena_make(http_arena(request), struct stream, 1);
    s->left = http_query(request).len ? strtoul(http_query(request).at, NULL, 10) : BIG;
    *http_slot(request) = s;
    http_start(request, 200, &text_plain, 1);
    pour(request);
}

static void cut_short(struct http_request *request)
{
    http_start(request, 200, NULL, 0);
    http_write(request, (struct http_piece){NULL, STR("some")});
    http_cut(request);
}

/* Counts what comes and says how much it was. */
static void count_begin(struct http_request *request)
{
    *http_slot(request) = arena_make(http_arena(request), size_t, 1);
}

static void count_body(struct http_request *request, struct str piece, bool last)
{
    size_t *count = *http_slot(request);
    *count += piece.len;
    if (!last)
        return;
    char words[32];
    int len = snprintf(words, sizeof words, "%zu", *count);
    say(request, arena_copy(http_arena(request), (struct str){words, (size_t)len}));
}

/* The same, but it pauses before each piece, and goes on from the mailbox. */
struct later {
    struct op op;
    struct http_request *request;
    struct later *self;
    size_t count;
    bool gone, waiting;
};

static void go_on(struct op *op)
{
    struct later *later = op_owner(op, struct later, op);
    later->waiting = false;
    if (later->gone)
        http_release(later->request);
    else
        http_resume(later->request);
}

static void pause_for_a_while(struct http_request *request)
{
    struct later *later = *http_slot(request);
    http_pause(request);
    if (later->waiting)
        return;
    later->waiting = true;
    later->op = (struct op){.loop = http_loop(request), .done = go_on};
    op_finish(&later->op);
}

static void slow_begin(struct http_request *request)
{
    struct later *later = arena_make(http_arena(request), struct later, 1);
    later->request = request;
    *http_slot(request) = later;
    pause_for_a_while(request);
}

static void slow_body(struct http_request *request, struct str piece, bool last)
{
    struct later *later = *http_slot(request);
    later->count += piece.len;
    if (!last) {
        pause_for_a_while(request);
        return;
    }
    char words[32];
    int len = snprintf(words, sizeof words, "%zu", later->count);
    say(request, arena_copy(http_arena(request), (struct str){words, (size_t)len}));
}

static void slow_gone(struct http_request *request)
{
    struct later *later = *http_slot(request);
    tell(site_of(request), 'g');
    later->gone = true;
    if (!later->waiting)
        http_release(request);
}

static void too_big(struct http_request *request)
{
    http_fail(request, 413, "more than %d \"bytes\"", 7);
}

static void limited(struct http_request *request)
{
    count_begin(request);
    http_limit_body(request, 10);
}

/* Replies before the end of its body, but reads it. */
static void eager(struct http_request *request, struct str piece, bool last)
{
    (void)last;
    if (piece.len)
        say(request, STR("enough"));
}

static void stuck(struct http_request *request)
{
    http_pause(request);
}

static void nothing(struct http_request *request)
{
    (void)request;
}

static void mute(struct http_request *request, struct str piece, bool last)
{
    (void)request;
    (void)piece;
    (void)last;
}

static const struct http_handler hello_h = {.begin = hello, .gone = gone};
static const struct http_handler mirror_h = {.begin = mirror, .gone = gone};
static const struct http_handler big_h = {.begin = big, .gone = gone};
static const struct http_handler many_h = {.begin = many, .gone = gone};
static const struct http_handler quiet_h = {.begin = quiet, .gone = gone};
static const struct http_handler wait_h = {.begin = wait_begin, .body = mute, .gone = gone};
static const struct http_handler hold_h = {.begin = wait_begin, .gone = gone_later};
static const struct http_handler stream_h = {.begin = stream, .drained = pour, .gone = gone};
static const struct http_handler cut_h = {.begin = cut_short, .gone = gone};
static const struct http_handler count_h = {.begin = count_begin, .body = count_body, .gone = gone};
static const struct http_handler slow_h = {
    .begin = slow_begin, .body = slow_body, .gone = slow_gone};
static const struct http_handler big_body_h = {.begin = too_big, .body = mute, .gone = gone};
static const struct http_handler limited_h = {.begin = limited, .body = count_body, .gone = gone};
static const struct http_handler stuck_h = {.begin = stuck, .body = mute, .gone = gone};
static const struct http_handler eager_h = {.begin = nothing, .body = eager, .gone = gone};

static const struct http_route routes[] = {
    {"GET", "/hello", &hello_h},      {"GET", "/mirror/{}", &mirror_h},
    {"GET", "/big", &big_h},          {"GET", "/many", &many_h},
    {"GET", "/quiet", &quiet_h},      {"GET", "/wait", &wait_h},
    {"POST", "/wait", &wait_h},       {"GET", "/stream", &stream_h},
    {"GET", "/cut", &cut_h},          {"POST", "/count", &count_h},
    {"POST", "/slow", &slow_h},       {"POST", "/big", &big_body_h},
    {"POST", "/limited", &limited_h}, {"POST", "/eager", &eager_h},
    {"POST", "/stuck", &stuck_h},     {"GET", "/hold", &hold_h},
};

static bool before(struct http_request *request)
{
    if (!http_header(request, STR("x-deny")).at)
        return true;
    http_fail(request, 401, "Not for you");
    return false;
}

static void ended(void *context, const struct http_outcome *outcome)
{
    struct site *site = context;
    atomic_store(&site->last_status, outcome->status);
    atomic_store(&site->last_in, outcome->bytes_in);
    atomic_store(&site->last_out, outcome->bytes_out);
    atomic_fetch_add(&site->ended, 1);
    tell(site, 'e');
}

static struct site *site_open(struct http_config config)
{
    struct site *site = calloc(1, sizeof *site);
    struct err err = {0};
    config.routes = routes;
    config.route_count = sizeof routes / sizeof *routes;
    config.context = site;
    config.before = before;
    config.ended = ended;
    CHECK(pipe(site->events) == 0);
    site->big = buf_new(BIG);
    memset(site->big->at, 'b', BIG);
    site->big->len = BIG;
    for (unsigned i = 0; i < LOOPS; i++)
        CHECK(loop_open(i, "http-test", &site->loops[i], &err) == 0);
    CHECK(http_open(&config, site->loops, LOOPS, STR("127.0.0.1"), 0, &site->server, &err) == 0);
    for (unsigned i = 0; i < LOOPS; i++)
        CHECK(loop_start(site->loops[i], &err) == 0);
    return site;
}

static void stopped(void *context)
{
    struct site *site = context;
    atomic_store(&site->stopped, true);
    tell(site, 's');
}

/* Wait for that event; others are skipped. */
static bool happened(struct site *site, char event)
{
    struct pollfd p = {.fd = site->events[0], .events = POLLIN};
    char got = 0;
    while (got != event)
        if (poll(&p, 1, DEADLINE_MS) != 1 || read(site->events[0], &got, 1) != 1)
            return false;
    return true;
}

static void site_close(struct site *site)
{
    if (!atomic_load(&site->stopped)) {
        http_stop(site->server, 1000, stopped, site);
        CHECK(happened(site, 's'));
    }
    for (unsigned i = 0; i < LOOPS; i++)
        loop_stop(site->loops[i]);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_join(site->loops[i]);
    http_close(site->server);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_close(site->loops[i]);
    buf_unref(site->big);
    close(site->events[0]);
    close(site->events[1]);
    free(site);
}

/* Run `done` on the loop of the request that GET /wait keeps. */
static void answer_late(struct op *op)
{
    struct later *later = op_owner(op, struct later, op);
    say(later->request, STR("at last"));
    free(later);
}

static void release_wait(struct site *site)
{
    struct later *later = calloc(1, sizeof *later);
    later->request = atomic_exchange(&site->kept, NULL);
    later->op = (struct op){.loop = http_loop(later->request), .done = answer_late};
    op_finish(&later->op);
}

static void let_go(struct op *op)
{
    struct later *later = op_owner(op, struct later, op);
    http_release(later->request);
    free(later);
}

/* ---- a client ---- */

struct client {
    int fd;
    struct text in; /* read and not used yet */
};

struct reply {
    int status;
    struct text head, body;
    bool complete;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct client dial(const struct site *site)
{
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)http_port(site->server))};
    int on = 1;
    CHECK(connect(c.fd, (struct sockaddr *)&address, sizeof address) == 0);
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return c;
}

static void hang_up(struct client *c)
{
    close(c->fd);
    text_free(&c->in);
}

/* False when the server does not take it all. */
static bool send_all(struct client *c, struct str bytes)
{
    while (bytes.len > 0) {
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        if (poll(&p, 1, DEADLINE_MS) != 1)
            return false;
        ssize_t n = send(c->fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0)
            return false;
        bytes.at += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

static void sends(struct client *c, const char *words)
{
    CHECK(send_all(c, (struct str){words, strlen(words)}));
}

/* Read some more: bytes, 0 at the end, -1 on error or when time is up. */
static ssize_t read_some(struct client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, DEADLINE_MS) != 1)
        return -1;
    ssize_t n = recv(c->fd, text_room(&c->in, 65536), 65536, 0);
    if (n > 0)
        c->in.len += (size_t)n;
    return n;
}

static void use(struct text *text, size_t n)
{
    memmove(text->at, text->at + n, text->len - n);
    text->len -= n;
}

/* Exactly `n` bytes moved to `out`; false when they do not come. */
static bool move(struct client *c, size_t n, struct text *out)
{
    while (c->in.len < n)
        if (read_some(c) <= 0)
            return false;
    text_add(out, (struct str){c->in.at, n});
    use(&c->in, n);
    return true;
}

static bool move_line(struct client *c, struct text *out)
{
    for (;;) {
        char *end = c->in.len ? memmem(c->in.at, c->in.len, "\r\n", 2) : NULL;
        if (end)
            return move(c, (size_t)(end - c->in.at) + 2, out);
        if (read_some(c) <= 0)
            return false;
    }
}

static const char *field(const struct reply *reply, const char *name)
{
    const char *at = strcasestr(reply->head.at, name);
    return at ? at + strlen(name) : NULL;
}

static bool move_chunks(struct client *c, struct text *out)
{
    for (;;) {
        struct text line = {0};
        bool good = move_line(c, &line);
        size_t size = 0;
        if (good) {
            text_add_char(&line, '\0');
            size = strtoul(line.at, NULL, 16);
        }
        text_free(&line);
        if (!good || !move(c, size, out))
            return false;
        struct text crlf = {0};
        good = move(c, 2, &crlf) && memcmp(crlf.at, "\r\n", 2) == 0;
        text_free(&crlf);
        if (!good || size == 0)
            return good;
    }
}

static struct reply read_reply(struct client *c, bool head_only)
{
    struct reply r = {0};
    do {
        if (!move_line(c, &r.head))
            return r;
    } while (r.head.len < 4 || memcmp(r.head.at + r.head.len - 4, "\r\n\r\n", 4) != 0);
    text_add_char(&r.head, '\0');
    r.status = atoi(r.head.at + 9);
    const char *length = field(&r, "\r\nContent-Length: ");
    if (head_only || r.status == 204 || r.status == 304 || r.status < 200)
        r.complete = true;
    else if (field(&r, "\r\nTransfer-Encoding: chunked\r\n"))
        r.complete = move_chunks(c, &r.body);
    else if (length)
        r.complete = move(c, strtoul(length, NULL, 10), &r.body);
    else {
        ssize_t n;
        while ((n = read_some(c)) > 0)
            ;
        r.complete = n == 0;
        text_add(&r.body, text_str(&c->in));
        c->in.len = 0;
    }
    return r;
}

static void reply_free(struct reply *r)
{
    text_free(&r->head);
    text_free(&r->body);
}

/* The next reply has this status and this body (NULL: any). */
static bool gets(struct client *c, int status, const char *body)
{
    struct reply r = read_reply(c, false);
    bool good = r.complete && r.status == status &&
                (!body || str_eq(text_str(&r.body), (struct str){body, strlen(body)}));
    if (!good)
        fprintf(stderr, "got %d '%.*s'\n", r.status, (int)(r.body.len < 200 ? r.body.len : 200),
                r.body.len ? r.body.at : "");
    reply_free(&r);
    return good;
}

/* Nothing more comes, and the end is an orderly one. */
static bool ends(struct client *c)
{
    return c->in.len == 0 && read_some(c) == 0;
}

#define HOST "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static const struct http_config usual = {0};

/* ---- memory; first, while the heap is fresh ---- */

static long resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

TEST(an_idle_connection_is_small)
{
    enum { COUNT = 1000 };
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_max < 2 * COUNT + 100) {
        test_skip("too few descriptors allowed");
        return;
    }
    struct rlimit more = {.rlim_cur = 2 * COUNT + 100, .rlim_max = limit.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &more) == 0);
    struct site *site = site_open(usual);
    struct client *c = calloc(COUNT, sizeof *c);
    c[0] = dial(site);
    sends(&c[0], GET("/hello"));
    CHECK(gets(&c[0], 200, "hello"));
    text_free(&c[0].in);
    long at_first = resident();
    for (int i = 1; i < COUNT; i++) {
        c[i] = dial(site);
        sends(&c[i], "POST /count HTTP/1.1\r\n" HOST "Content-Length: 1\r\n");
        sends(&c[i], "\r\n");
        sends(&c[i], "x");
        CHECK(gets(&c[i], 200, "1"));
        text_free(&c[i].in);
    }
    long each = (resident() - at_first) / (COUNT - 1);
    printf("     %ld bytes for each idle connection\n", each);
    if (!SANITIZED)
        CHECK(each <= 8192);
    for (int i = 0; i < COUNT; i++)
        hang_up(&c[i]);
    free(c);
    site_close(site);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* ---- requests and replies ---- */

TEST(a_connection_serves_one_request_after_the_other)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    for (int i = 0; i < 10; i++) {
        sends(&c, GET("/hello"));
        CHECK(gets(&c, 200, "hello"));
    }
    CHECK(happened(site, 'e'));
    hang_up(&c);
    site_close(site);
}

TEST(a_request_cut_at_every_byte_is_served_the_same)
{
    static const char request[] =
        "POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n";
    struct site *site = site_open(usual);
    struct client c = dial(site);
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        CHECK(send_all(&c, (struct str){request, cut}));
        CHECK(send_all(&c, (struct str){request + cut, sizeof request - 1 - cut}));
        CHECK(gets(&c, 200, "5"));
    }
    for (size_t i = 0; i < sizeof request - 1; i++)
        CHECK(send_all(&c, (struct str){request + i, 1}));
    CHECK(gets(&c, 200, "5"));
    hang_up(&c);
    site_close(site);
}

TEST(pipelined_requests_are_answered_in_order)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    struct text t = {0};
    for (int i = 0; i < 1000; i++) {
        text_addf(&t, "GET /mirror/%d HTTP/1.1\r\n" HOST "\r\n", i);
        if (i % 3 == 0)
            text_addf(&t, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
    }
    CHECK(send_all(&c, text_str(&t)));
    for (int i = 0; i < 1000; i++) {
        char words[100];
        snprintf(words, sizeof words, "GET /mirror/%d ? {%d} () 0 none", i, i);
        CHECK(gets(&c, 200, words));
        if (i % 3 == 0)
            CHECK(gets(&c, 200, "3"));
    }
    text_free(&t);
    hang_up(&c);
    site_close(site);
}

TEST(what_is_pipelined_behind_a_slow_request_waits_its_turn)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/wait"));
    CHECK(happened(site, 'w'));
    struct text t = {0};
    for (int i = 0; i < 5000; i++)
        text_add(&t, STR(GET("/hello")));
    /* More than is held for a client: the rest waits in the kernel. */
    CHECK(send_all(&c, text_str(&t)));
    release_wait(site);
    CHECK(gets(&c, 200, "at last"));
    for (int i = 0; i < 5000; i++)
        CHECK(gets(&c, 200, "hello"));
    text_free(&t);
    hang_up(&c);
    site_close(site);
}

TEST(the_request_is_what_the_client_said)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, "GET /mirror/a%2Fb?x=1&y HTTP/1.1\r\n" HOST "X-Twice: 1\r\nx-twice: 2 \r\n\r\n");
    CHECK(gets(&c, 200, "GET /mirror/a%2Fb ?x=1&y {a%2Fb} (1, 2) 0 none"));
    sends(&c, "GET http://localhost/mirror/x HTTP/1.1\r\n" HOST "\r\n");
    CHECK(gets(&c, 200, "GET /mirror/x ? {x} () 0 none"));
    hang_up(&c);
    site_close(site);
}

TEST(the_best_coding_is_chosen_by_weight_and_zstd_wins_ties)
{
    static const struct {
        const char *accept;
        int coding;
    } samples[] = {
        {"gzip", CODING_GZIP},
        {"gzip, deflate, br, zstd", CODING_ZSTD},
        {"gzip, deflate, br", CODING_GZIP},
        {"zstd;q=0.5, gzip;q=0.8", CODING_GZIP},
        {"zstd;q=0, gzip;q=0.001", CODING_GZIP},
        {"*", CODING_ZSTD},
        {"*;q=0", CODING_IDENTITY},
        {"gzip;q=0, *", CODING_ZSTD},
        {"identity, gzip;q=0.5", CODING_IDENTITY},
        {"gzip;q=1.0,identity;q=0.5", CODING_GZIP},
        {"gzip;q=2", CODING_IDENTITY},
        {"gzip;q=x", CODING_IDENTITY},
        {"GZIP ; Q=1", CODING_GZIP},
        {"", CODING_IDENTITY},
        {"br", CODING_IDENTITY},
    };
    struct site *site = site_open(usual);
    struct client c = dial(site);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct text t = {0};
        char words[100];
        text_addf(&t, "GET /mirror/x HTTP/1.1\r\n" HOST "Accept-Encoding: %s\r\n\r\n",
                  samples[i].accept);
        CHECK(send_all(&c, text_str(&t)));
        snprintf(words, sizeof words, "GET /mirror/x ? {x} () %d none", samples[i].coding);
        CHECK(gets(&c, 200, words));
        text_free(&t);
    }
    hang_up(&c);
    site_close(site);
}

TEST(head_gets_the_length_and_no_body)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    static const char *const paths[] = {"/hello", "/big", "/many", "/stream", "/nothing"};
    for (size_t i = 0; i < 5; i++) {
        struct text t = {0};
        text_addf(&t, "HEAD %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        CHECK(send_all(&c, text_str(&t)));
        struct reply r = read_reply(&c, true);
        CHECK(r.status == (i < 4 ? 200 : 404));
        if (i == 0)
            CHECK(field(&r, "\r\nContent-Length: 5\r\n"));
        reply_free(&r);
        text_free(&t);
    }
    sends(&c, GET("/hello"));
    CHECK(gets(&c, 200, "hello"));
    hang_up(&c);
    site_close(site);
}

TEST(a_reply_has_a_date_and_names_no_server)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/quiet"));
    struct reply r = read_reply(&c, false);
    const char *date = field(&r, "\r\nDate: ");
    struct tm tm = {0};
    CHECK(r.status == 204);
    CHECK(date && strptime(date, "%a, %d %b %Y %H:%M:%S GMT\r\n", &tm));
    time_t t = timegm(&tm);
    CHECK(llabs((long long)t - (long long)time(NULL)) <= 2);
    CHECK(!field(&r, "\r\nServer:"));
    CHECK(!field(&r, "\r\nContent-Length:"));
    CHECK(!field(&r, "\r\nConnection:"));
    reply_free(&r);
    hang_up(&c);
    site_close(site);
}

TEST(many_pieces_and_large_ones_arrive_whole)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/many") GET("/big") GET("/hello"));
    struct reply r = read_reply(&c, false);
    CHECK(r.complete && r.body.len == 2500);
    reply_free(&r);
    r = read_reply(&c, false);
    CHECK(r.complete && r.body.len == BIG);
    CHECK(r.complete && memcmp(r.body.at, site->big->at, BIG) == 0);
    reply_free(&r);
    CHECK(gets(&c, 200, "hello"));
    hang_up(&c);
    site_close(site);
}

TEST(a_streamed_reply_is_chunked_and_complete)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/stream?1") GET("/stream?25000") GET("/stream") GET("/hello"));
    CHECK(gets(&c, 200, "b"));
    struct reply r = read_reply(&c, false);
    CHECK(r.complete && r.body.len == 25000);
    reply_free(&r);
    r = read_reply(&c, false);
    CHECK(r.complete && r.body.len == BIG);
    reply_free(&r);
    CHECK(gets(&c, 200, "hello"));
    hang_up(&c);
    site_close(site);
}

TEST(http_1_0_is_kept_only_when_asked_and_streams_to_the_end)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct reply r = read_reply(&c, false);
    CHECK(r.status == 200 && field(&r, "\r\nConnection: keep-alive\r\n"));
    reply_free(&r);
    sends(&c, "GET /hello HTTP/1.0\r\n\r\n");
    CHECK(gets(&c, 200, "hello"));
    CHECK(ends(&c));
    hang_up(&c);
    c = dial(site);
    sends(&c, "GET /stream?30000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    r = read_reply(&c, false);
    CHECK(r.complete && r.body.len == 30000 && field(&r, "\r\nConnection: close\r\n"));
    CHECK(!field(&r, "chunked"));
    reply_free(&r);
    hang_up(&c);
    site_close(site);
}

TEST(connection_close_is_honoured)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    struct reply r = read_reply(&c, false);
    CHECK(r.complete && field(&r, "\r\nConnection: close\r\n"));
    reply_free(&r);
    CHECK(ends(&c));
    hang_up(&c);
    site_close(site);
}

TEST(a_cut_reply_is_noticed)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/cut"));
    struct reply r = read_reply(&c, false);
    CHECK(!r.complete);
    reply_free(&r);
    hang_up(&c);
    site_close(site);
}

/* ---- bodies ---- */

/* False when the server stopped reading before the end. */
static bool post(struct client *c, const char *path, const char *more, struct str body)
{
    struct text t = {0};
    text_addf(&t, "POST %s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n", path, more,
              body.len);
    bool good = send_all(c, text_str(&t)) && send_all(c, body);
    text_free(&t);
    return good;
}

TEST(bodies_arrive_whole_whether_read_at_once_or_with_pauses)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    static const char *const paths[] = {"/count", "/slow"};
    for (size_t i = 0; i < 2; i++) {
        CHECK(post(&c, paths[i], "", STR("")));
        CHECK(gets(&c, 200, "0"));
        CHECK(post(&c, paths[i], "", STR("abc")));
        CHECK(gets(&c, 200, "3"));
        CHECK(post(&c, paths[i], "", (struct str){site->big->at, 3000000}));
        CHECK(gets(&c, 200, "3000000"));
        sends(&c, "POST ");
        sends(&c, paths[i]);
        sends(&c, " HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100000\r\n");
        CHECK(send_all(&c, (struct str){site->big->at, 1 << 20}));
        sends(&c, "\r\n0\r\n\r\n");
        CHECK(gets(&c, 200, "1048576"));
    }
    hang_up(&c);
    site_close(site);
}

TEST(a_paused_body_stays_with_its_sender)
{
    struct site *site = site_open((struct http_config){.head_ms = 400});
    struct client c = dial(site);
    struct pollfd p = {.fd = c.fd, .events = POLLOUT};
    size_t sent = 0;
    sends(&c, "POST /stuck HTTP/1.1\r\n" HOST "Content-Length: 60000000\r\n\r\n");
    while (sent < 60000000 && poll(&p, 1, 300) == 1) {
        ssize_t n = send(c.fd, site->big->at, 1 << 16, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            continue;
        CHECK(n > 0);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    CHECK(sent < 40000000); /* what the kernel's buffers hold */
    http_stop(site->server, 100, stopped, site);
    CHECK(happened(site, 'g')); /* only now: a client that is not read is not missed either */
    CHECK(happened(site, 's'));
    hang_up(&c);
    site_close(site);
}

TEST(packed_bodies_are_unpacked_and_bombs_are_stopped)
{
    struct site *site = site_open((struct http_config){.body_max = 32 << 20});
    for (enum coding coding = CODING_GZIP; coding <= CODING_ZSTD; coding++)
        for (int i = 0; i < 2; i++) {
            const char *path = i ? "/slow" : "/count";
            const char *header =
                coding == CODING_GZIP ? "Content-Encoding: gzip\r\n" : "Content-Encoding: zstd\r\n";
            /* 10 MB that do not pack so well that it would be a bomb. */
            struct text t = {0};
            unsigned seed = 7;
            while (t.len < 10000000) {
                seed = seed * 1103515245 + 12345;
                text_addf(&t, "%u ", seed);
            }
            t.len = 10000000;
            struct encoder *encoder = encoder_new(coding);
            struct buf *good = encoder_step(encoder, text_str(&t), true);
            encoder_free(encoder);
            encoder = encoder_new(coding);
            struct buf *bomb = encoder_step(encoder, (struct str){site->big->at, 48 << 20}, true);
            encoder_free(encoder);

            struct client c = dial(site);
            CHECK(post(&c, path, header, (struct str){good->at, good->len}));
            CHECK(gets(&c, 200, "10000000"));
            CHECK(post(&c, path, header, STR("")));
            CHECK(gets(&c, 200, "0"));
            CHECK(post(&c, path, header, (struct str){bomb->at, bomb->len}));
            CHECK(gets(&c, 413, NULL));
            CHECK(ends(&c));
            CHECK(happened(site, 'g'));
            hang_up(&c);

            c = dial(site);
            CHECK(post(&c, path, header, (struct str){good->at, good->len - 1}));
            CHECK(gets(&c, 400, NULL));
            CHECK(happened(site, 'g'));
            hang_up(&c);

            c = dial(site);
            good->at[good->len / 2] = (char)(good->at[good->len / 2] ^ 0x55);
            good->at[good->len - 2] = (char)(good->at[good->len - 2] ^ 0x55);
            CHECK(post(&c, path, header, (struct str){good->at, good->len}));
            CHECK(gets(&c, 400, NULL));
            CHECK(happened(site, 'g'));
            hang_up(&c);
            buf_unref(good);
            buf_unref(bomb);
            text_free(&t);
        }
    site_close(site);
}

TEST(continue_is_said_only_when_the_body_is_wanted)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    static const char *const paths[] = {"/count", "/slow"};
    for (size_t i = 0; i < 2; i++) {
        sends(&c, "POST ");
        sends(&c, paths[i]);
        sends(&c, " HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        struct reply r = read_reply(&c, false);
        CHECK(r.status == 100);
        reply_free(&r);
        sends(&c, "abc");
        CHECK(gets(&c, 200, "3"));
    }
    sends(&c, "POST /big HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    struct reply r = read_reply(&c, false);
    /* Will the body come?  Only closing is safe. */
    CHECK(r.status == 413 && field(&r, "\r\nConnection: close\r\n"));
    CHECK(str_eq(text_str(&r.body), STR("{\"detail\":\"more than 7 \\\"bytes\\\"\"}")));
    reply_free(&r);
    CHECK(ends(&c));
    hang_up(&c);
    c = dial(site);
    sends(&c, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: magic\r\n\r\n");
    CHECK(gets(&c, 417, NULL));
    hang_up(&c);
    site_close(site);
}

/* The client sends all before it reads, as many do. */
TEST(an_early_refusal_can_be_read_by_a_client_that_sends_on)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    CHECK(post(&c, "/big", "", (struct str){site->big->at, 20 << 20}));
    struct reply r = read_reply(&c, false);
    CHECK(r.complete && r.status == 413 && field(&r, "\r\nConnection: close\r\n"));
    reply_free(&r);
    CHECK(ends(&c));
    hang_up(&c);

    struct text t = {0};
    c = dial(site);
    text_addf(&t, "POST /count HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", 100 << 20);
    CHECK(send_all(&c, text_str(&t)));
    CHECK(gets(&c, 413, NULL));
    CHECK(ends(&c));
    hang_up(&c);

    c = dial(site);
    CHECK(post(&c, "/limited", "", (struct str){site->big->at, 1 << 20}));
    CHECK(gets(&c, 413, "{\"detail\":\"The body is larger than the limit of 10 bytes\"}"));
    hang_up(&c);

    c = dial(site);
    CHECK(post(&c, "/eager", "", (struct str){site->big->at, 20 << 20}));
    CHECK(gets(&c, 200, "enough"));
    CHECK(ends(&c));
    hang_up(&c);
    text_free(&t);
    site_close(site);
}

TEST(a_small_unread_body_costs_the_client_no_connection)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    for (int i = 0; i < 3; i++) {
        CHECK(post(&c, "/nothing", "", STR("abcdef")));
        CHECK(gets(&c, 404, "{\"detail\":\"Not Found\"}"));
        CHECK(post(&c, "/count", "X-Deny: 1\r\n", (struct str){site->big->at, 50000}));
        CHECK(gets(&c, 401, "{\"detail\":\"Not for you\"}"));
        CHECK(post(&c, "/big", "", STR("abcdef")));
        CHECK(gets(&c, 413, NULL));
        sends(&c, "GET /hello HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
        CHECK(gets(&c, 200, "hello"));
    }
    hang_up(&c);
    site_close(site);
}

/* ---- refusals ---- */

TEST(unknown_paths_and_methods_are_told)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/nothing") GET("//hello") GET("/hello/"));
    for (int i = 0; i < 3; i++)
        CHECK(gets(&c, 404, "{\"detail\":\"Not Found\"}"));
    sends(&c, "DELETE /wait HTTP/1.1\r\n" HOST "\r\n");
    struct reply r = read_reply(&c, false);
    CHECK(r.status == 405 && field(&r, "\r\nAllow: GET, HEAD, POST\r\n"));
    reply_free(&r);
    sends(&c, GET("/hello"));
    CHECK(gets(&c, 200, "hello"));
    hang_up(&c);
    site_close(site);
}

TEST(what_breaks_the_protocol_is_answered_and_the_connection_closed)
{
    static const struct {
        const char *request;
        int status;
    } samples[] = {
        {"GET /hello HTTP/1.1\r\n\r\n", 400},
        {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
        {"\x16\x03\x01\x02\x05", 400},
        {"POST /count HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello", 400},
        {"POST /count HTTP/1.1\r\n" HOST "Content-Encoding: br\r\n\r\n", 415},
        {"BREW /hello HTTP/1.1\r\n" HOST "\r\n", 501},
    };
    struct site *site = site_open(usual);
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct client c = dial(site);
        sends(&c, samples[i].request);
        /* What follows must not be served. */
        send_all(&c, STR(GET("/hello")));
        struct reply r = read_reply(&c, false);
        CHECK(r.complete && r.status == samples[i].status);
        CHECK(field(&r, "\r\nConnection: close\r\n"));
        CHECK(r.body.len > 13 && memcmp(r.body.at, "{\"detail\":\"", 11) == 0);
        reply_free(&r);
        CHECK(ends(&c));
        hang_up(&c);
    }
    site_close(site);
}

TEST(only_listed_hosts_are_served)
{
    struct str hosts[] = {STR("localhost"), STR("127.0.0.1")};
    struct site *site = site_open((struct http_config){.hosts = hosts, .host_count = 2});
    struct client c = dial(site);
    sends(&c, "GET /hello HTTP/1.1\r\nHost: LOCALHOST:99\r\n\r\n");
    CHECK(gets(&c, 200, "hello"));
    sends(&c, "GET http://evil.example/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(gets(&c, 421, NULL));
    hang_up(&c);
    c = dial(site);
    sends(&c, "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    CHECK(gets(&c, 421, NULL));
    hang_up(&c);
    site_close(site);
}

TEST(an_outcome_says_what_was_answered)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    CHECK(post(&c, "/count", "", STR("abcdef")));
    CHECK(gets(&c, 200, "6"));
    CHECK(happened(site, 'e'));
    CHECK(atomic_load(&site->last_status) == 200);
    CHECK(atomic_load(&site->last_in) ==
          strlen("POST /count HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabcdef"));
    CHECK(atomic_load(&site->last_out) > 50);
    sends(&c, "nonsense\r\n\r\n");
    CHECK(gets(&c, 400, NULL));
    CHECK(happened(site, 'e'));
    CHECK(atomic_load(&site->last_status) == 400);
    hang_up(&c);
    site_close(site);
}

/* ---- clients that leave or dawdle ---- */

TEST(a_handler_is_told_when_its_client_leaves)
{
    struct site *site = site_open(usual);
    struct client c = dial(site);
    sends(&c, GET("/wait"));
    CHECK(happened(site, 'w'));
    hang_up(&c);
    CHECK(happened(site, 'g'));
    CHECK(atomic_load(&site->last_status) == 0);

    c = dial(site);
    sends(&c, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    sends(&c, "d");
    hang_up(&c);
    CHECK(happened(site, 'g'));

    c = dial(site);
    sends(&c, GET("/stream"));
    CHECK(read_some(&c) > 0);
    hang_up(&c);
    CHECK(happened(site, 'g'));
    site_close(site);
}

TEST(a_slow_head_times_out)
{
    struct site *site = site_open((struct http_config){.head_ms = 200, .idle_ms = 60000});
    struct client c = dial(site);
    sends(&c, "GET /hello HTTP/1.1\r\nHost: ");
    CHECK(gets(&c, 408, NULL));
    CHECK(ends(&c));
    hang_up(&c);
    site_close(site);
}

TEST(an_idle_connection_is_closed)
{
    struct site *site = site_open((struct http_config){.idle_ms = 600});
    struct client c = dial(site);
    CHECK(ends(&c));
    hang_up(&c);
    c = dial(site);
    sends(&c, GET("/hello") "\r\n");
    CHECK(gets(&c, 200, "hello"));
    CHECK(ends(&c));
    hang_up(&c);
    site_close(site);
}

TEST(a_body_that_does_not_come_times_out)
{
    struct site *site = site_open((struct http_config){.body_grace_ms = 200});
    struct client c = dial(site);
    sends(&c, "POST /count HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nabc");
    CHECK(gets(&c, 408, NULL));
    CHECK(happened(site, 'g'));
    hang_up(&c);
    site_close(site);
}

TEST(a_reader_that_stalls_is_closed)
{
    struct site *site = site_open((struct http_config){.stall_ms = 300});
    int small = 4096;
    struct client c = dial(site);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sends(&c, GET("/stream"));
    CHECK(happened(site, 'g'));
    ssize_t n;
    while ((n = read_some(&c)) > 0)
        ;
    CHECK(n < 0 && errno == ECONNRESET);
    hang_up(&c);

    c = dial(site);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sends(&c, GET("/big"));
    while (atomic_load(&site->ended) < 2)
        CHECK(happened(site, 'e'));
    while ((n = read_some(&c)) > 0)
        ;
    CHECK(n < 0 && errno == ECONNRESET);
    hang_up(&c);
    site_close(site);
}

TEST(a_slow_reader_that_reads_on_gets_it_all)
{
    struct site *site = site_open((struct http_config){.stall_ms = 800});
    struct client c = dial(site);
    sends(&c, GET("/stream"));
    /* Reads a little, waits for less than the limit, and so on, at first. */
    for (int i = 0; i < 10; i++) {
        CHECK(read_some(&c) > 0);
        poll(NULL, 0, 100);
    }
    struct reply r = read_reply(&c, false);
    CHECK(r.complete && r.body.len == BIG);
    reply_free(&r);
    hang_up(&c);
    site_close(site);
}

/* ---- the server as a whole ---- */

TEST(stopping_lets_requests_finish_and_closes_what_is_idle)
{
    struct site *site = site_open(usual);
    struct client idle = dial(site);
    struct client busy = dial(site);
    sends(&idle, GET("/hello"));
    CHECK(gets(&idle, 200, "hello"));
    sends(&busy, GET("/wait"));
    CHECK(happened(site, 'w'));
    http_stop(site->server, 20000, stopped, site);
    CHECK(ends(&idle));
    CHECK(!atomic_load(&site->stopped));
    release_wait(site);
    struct reply r = read_reply(&busy, false);
    CHECK(r.complete && r.status == 200 && field(&r, "\r\nConnection: close\r\n"));
    reply_free(&r);
    CHECK(ends(&busy));
    CHECK(happened(site, 's'));
    hang_up(&idle);
    hang_up(&busy);
    site_close(site);
}

TEST(stopping_does_not_wait_longer_than_its_grace)
{
    struct site *site = site_open((struct http_config){.head_ms = 100});
    struct client c = dial(site);
    sends(&c, GET("/wait"));
    CHECK(happened(site, 'w'));
    http_stop(site->server, 100, stopped, site);
    CHECK(happened(site, 's'));
    CHECK(read_some(&c) <= 0);
    hang_up(&c);
    site_close(site);
}

TEST(stopping_waits_for_what_is_on_its_way_though_its_client_is_gone)
{
    struct site *site = site_open(usual);
    struct client c = dial(site), idle[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        idle[i] = dial(site);
        sends(&idle[i], GET("/hello"));
        CHECK(gets(&idle[i], 200, "hello"));
    }
    sends(&c, GET("/hold"));
    CHECK(happened(site, 'w'));
    hang_up(&c);
    CHECK(happened(site, 'l'));

    http_stop(site->server, 0, stopped, site);
    struct http_request *request = atomic_load(&site->kept);
    struct later *later = calloc(1, sizeof *later);
    later->request = request;
    later->op = (struct op){.loop = http_loop(request), .done = let_go};
    for (int i = 0; i < LOOPS; i++) {
        CHECK(ends(&idle[i])); /* by now that loop knows that it is to stop */
        hang_up(&idle[i]);
    }
    CHECK(!atomic_load(&site->stopped));
    op_finish(&later->op);
    CHECK(happened(site, 's'));
    site_close(site);
}

TEST(a_server_that_never_ran_can_be_closed)
{
    struct loop *loop = NULL;
    struct http_server *server = NULL;
    struct http_config config = {.routes = routes, .route_count = 1};
    struct err err = {0};
    CHECK(loop_open(0, "test", &loop, &err) == 0);
    CHECK(http_open(&config, &loop, 1, STR("example.org"), 0, &server, &err) == ERR_INVALID);
    CHECK(http_open(&config, &loop, 1, STR("::1"), 70000, &server, &err) == ERR_INVALID);
    CHECK(http_open(&config, &loop, 1, STR("127.0.0.1"), 0, &server, &err) == 0);
    unsigned port = http_port(server);
    struct http_server *other = NULL;
    CHECK(http_open(&config, &loop, 1, STR("127.0.0.1"), port, &other, &err) == ERR_IO);
    CHECK(err.sys == EADDRINUSE);
    http_close(server);
    loop_close(loop);
}

TEST(connections_over_the_maximum_wait_for_room)
{
    struct site *site = site_open((struct http_config){.connections_max = 3});
    struct client c[6];
    for (int i = 0; i < 6; i++) {
        c[i] = dial(site);
        sends(&c[i], GET("/hello"));
    }
    for (int i = 0; i < 6; i++) {
        if (i < 3)
            CHECK(gets(&c[i], 200, "hello"));
        else {
            hang_up(&c[i - 3]);
            CHECK(gets(&c[i], 200, "hello"));
        }
    }
    for (int i = 3; i < 6; i++)
        hang_up(&c[i]);
    site_close(site);
}

static long cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000 + u.ru_stime.tv_sec * 1000 +
           u.ru_stime.tv_usec / 1000;
}

TEST(a_server_out_of_descriptors_rests_and_recovers)
{
    struct site *site = site_open((struct http_config){.head_ms = 400});
    struct rlimit old;
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)http_port(site->server))};
    int next = dup(0);
    close(next);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(connect(c.fd, (struct sockaddr *)&address, sizeof address) == 0);
    sends(&c, GET("/hello"));
    struct pollfd p = {.fd = c.fd, .events = POLLIN};
    long before_ms = cpu_ms();
    int64_t start = now_ms();
    CHECK(poll(&p, 1, 500) == 0);
    CHECK(cpu_ms() - before_ms < (now_ms() - start) / 2);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(gets(&c, 200, "hello"));
    hang_up(&c);
    site_close(site);
}
