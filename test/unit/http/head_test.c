/* head_test.c - what is a request, and what only looks like one. */
#include "http/head.h"

#include <stdlib.h>

#include "lib/check.h"

static const struct head_limits limits = {
    .head_max = 1024, .line_max = 200, .header_max = 8, .uri_max = 100};

struct verdict {
    int status; /* 0: served; -1: not complete */
    size_t len;
    struct head head;
    struct head_field fields[8];
    char *bytes; /* what `head` points into */
};

/* Feed `request` in pieces: the first of `cut` bytes, the others of `step`. */
static struct verdict judge(struct str request, size_t cut, size_t step)
{
    struct verdict v = {.status = -1};
    struct head_scan scan = {0};
    struct refusal why = {0};
    enum head_verdict verdict = HEAD_MORE;
    size_t have = cut < request.len ? cut : request.len;
    for (;;) {
        /* A buffer of its own size, so that reading beyond it is seen. */
        char *piece = malloc(have + 1);
        memcpy(piece, request.at, have);
        verdict = head_scan(&scan, (struct str){piece, have}, &limits, &why);
        free(piece);
        if (verdict != HEAD_MORE || have == request.len)
            break;
        have = request.len - have < step ? request.len : have + step;
    }
    v.len = scan.at;
    if (verdict == HEAD_REFUSED)
        v.status = why.status;
    if (verdict != HEAD_COMPLETE)
        return v;
    size_t len = scan.at - scan.start;
    v.bytes = malloc(len);
    memcpy(v.bytes, request.at + scan.start, len);
    CHECK(scan.count <= 8);
    bool good = head_parse(&v.head, v.bytes, len, v.fields, &limits, &why);
    v.status = good ? 0 : why.status;
    if (!good)
        CHECK(why.sentence[0] != '\0');
    return v;
}

/* Cut at every byte, and into single bytes: always the same. */
static int status_of(struct str request)
{
    struct verdict whole = judge(request, request.len, 1);
    bool same = true;
    for (size_t cut = 0; cut <= request.len; cut++) {
        struct verdict part = judge(request, cut, request.len);
        same &= part.status == whole.status && part.len == whole.len;
        free(part.bytes);
    }
    struct verdict bytes = judge(request, 1, 1);
    same &= bytes.status == whole.status && bytes.len == whole.len;
    free(bytes.bytes);
    free(whole.bytes);
    return same ? whole.status : -2;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

struct sample {
    const char *request;
    size_t len;
    int status;
};
#define SAMPLE(text, status)                                                                       \
    {                                                                                              \
        (text), sizeof(text) - 1, (status)                                                         \
    }

static void check_all(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int got = status_of((struct str){samples[i].request, samples[i].len});
        if (got != samples[i].status)
            fprintf(stderr, "%d, not %d: %s\n", got, samples[i].status, samples[i].request);
        CHECK(got == samples[i].status);
    }
}
#define CHECK_ALL(samples) check_all(samples, sizeof(samples) / sizeof *(samples))

TEST(plain_requests_are_served)
{
    static const struct sample samples[] = {
        SAMPLE(GET "\r\n", 0),
        SAMPLE("GET / HTTP/1.0\r\n\r\n", 0),
        SAMPLE("\r\n" GET "\r\n", 0),
        SAMPLE("GET /a/b?x=1&y=%20 HTTP/1.1\r\nhost:a:80\r\n\r\n", 0),
        SAMPLE("GET /?q={\"a\"}[]|^`<>\\ HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        SAMPLE("GET http://example.org/x HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        SAMPLE("GET HTTPS://[::1]:8000?x HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        SAMPLE("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        SAMPLE(GET "X-Empty:\r\nX-Tab:\t a\tb \t\r\nX-Utf: \xc3\xa9\r\n\r\n", 0),
        SAMPLE(GET "!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n", 0),
        SAMPLE(POST "Content-Length: 0\r\n\r\n", 0),
        SAMPLE(POST "Content-Length: 0005\r\n\r\n", 0),
        SAMPLE(POST "Content-Length: 9223372036854775807\r\n\r\n", 0),
        SAMPLE(POST "Transfer-Encoding: chunked\r\n\r\n", 0),
        SAMPLE(POST "transfer-encoding:\tChunked \r\n\r\n", 0),
        SAMPLE(POST "Content-Encoding: gzip\r\n\r\n", 0),
        SAMPLE(POST "Content-Encoding: ZSTD\r\n\r\n", 0),
        SAMPLE(POST "Content-Encoding: identity\r\n\r\n", 0),
        SAMPLE(POST "Expect: 100-Continue\r\n\r\n", 0),
        SAMPLE("POST / HTTP/1.0\r\nExpect: tea\r\n\r\n", 0),
        SAMPLE(GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 0),
        SAMPLE("GET / HTTP/1.1\r\nHost: my_host-1.example~\r\n\r\n", 0),
        SAMPLE("GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n", 0),
        SAMPLE("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
    };
    CHECK_ALL(samples);
}

TEST(wrong_request_lines_are_refused)
{
    static const struct sample samples[] = {
        SAMPLE("GET /\r\n\r\n", 400),
        SAMPLE("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        SAMPLE(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        SAMPLE("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET http://u:p@a/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET http://a:/\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE("\r\n\r\n" GET "\r\n", 400),
        SAMPLE("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        SAMPLE("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    };
    CHECK_ALL(samples);
}

TEST(wrong_bytes_and_line_ends_are_refused_at_once)
{
    static const struct sample samples[] = {
        SAMPLE("\x16\x03\x01\x02", 400), /* a TLS client */
        SAMPLE("GET / HTTP/1.1\nHost: a\n\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        SAMPLE("GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
        SAMPLE(GET "X-A:\rTransfer-Encoding: chunked\r\n\r\n", 400),
        SAMPLE(GET "\rX\r\n\r\n", 400),
        SAMPLE(GET "X: a\r\r\n\r\n", 400),
        SAMPLE(GET "X: a\0b\r\n\r\n", 400),
        SAMPLE(GET "X\0: a\r\n\r\n", 400),
        SAMPLE("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        SAMPLE(GET "X: a\x1b[31m\r\n\r\n", 400),
        SAMPLE(GET "X: a\x7f\r\n\r\n", 400),
        SAMPLE(GET "X: a\x0b\r\n\r\n", 400),
    };
    CHECK_ALL(samples);
}

TEST(wrong_headers_are_refused)
{
    static const struct sample samples[] = {
        SAMPLE(GET "X : a\r\n\r\n", 400),
        SAMPLE(GET "X\t: a\r\n\r\n", 400),
        SAMPLE(GET ": a\r\n\r\n", 400),
        SAMPLE(GET "X\r\n\r\n", 400),
        SAMPLE(GET "X: a\r\n b\r\n\r\n", 400),
        SAMPLE(GET "X: a\r\n\tb\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
        SAMPLE(GET "X Y: a\r\n\r\n", 400),
        SAMPLE(GET "X(: a\r\n\r\n", 400),
        SAMPLE(GET "X\xc3\xa9: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400),
        SAMPLE("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400),
        SAMPLE("GET http://b/ HTTP/1.1\r\n\r\n", 400),
    };
    CHECK_ALL(samples);
}

TEST(ambiguous_framing_is_refused)
{
    static const struct sample samples[] = {
        SAMPLE(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 5, 5\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: +5\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: -5\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 0x5\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 5 5\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 5a\r\n\r\n", 400),
        SAMPLE(POST "Content-Length:\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 1e3\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 18446744073709551616\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 18446744073709551621\r\n\r\n", 400),
        SAMPLE(POST "Content-Length: 00000000000000000005\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: gzip\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: identity\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: chunked;q=1\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: xchunked\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding:\r\n\r\n", 400),
        SAMPLE(POST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n",
               400),
        SAMPLE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    };
    CHECK_ALL(samples);
}

TEST(codings_and_expectations_that_are_not_known_are_named)
{
    static const struct sample samples[] = {
        SAMPLE(POST "Content-Encoding: br\r\n\r\n", 415),
        SAMPLE(POST "Content-Encoding: gzip, gzip\r\n\r\n", 415),
        SAMPLE(POST "Content-Encoding: gzip\r\nContent-Encoding: zstd\r\n\r\n", 415),
        SAMPLE(POST "Content-Encoding:\r\n\r\n", 415),
        SAMPLE(POST "Expect: 200-ok\r\n\r\n", 417),
    };
    CHECK_ALL(samples);
    struct verdict v = {0};
    struct refusal why = {0};
    char bytes[] = POST "Content-Encoding: br\r\n\r\n";
    CHECK(!head_parse(&v.head, bytes, sizeof bytes - 1, v.fields, &limits, &why));
    CHECK(strstr(why.sentence, "gzip") && strstr(why.sentence, "zstd"));
}

/* "GET /aaa... HTTP/1.1" and so on, with `n` bytes of filler. */
static int filled(const char *before, size_t n, const char *after)
{
    char *all = malloc(strlen(before) + n + strlen(after));
    size_t len = strlen(before);
    memcpy(all, before, len);
    memset(all + len, 'a', n);
    memcpy(all + len + n, after, strlen(after));
    int status = status_of((struct str){all, len + n + strlen(after)});
    free(all);
    return status;
}

TEST(every_size_has_a_limit)
{
    const char *rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(filled("GET /", 99, rest) == 0);
    CHECK(filled("GET /", 100, rest) == 414);
    CHECK(filled("GET /", 5000, "") == 414);
    CHECK(filled(GET "X: ", 197, "\r\n\r\n") == 0);
    CHECK(filled(GET "X: ", 198, "\r\n\r\n") == 431);
    CHECK(filled(GET "X: ", 5000, "") == 431);

    char many[2048] = GET;
    for (int i = 0; i < 7; i++)
        strcat(many, "X: 1\r\n");
    size_t len = strlen(many);
    strcat(many, "\r\n");
    CHECK(status_of((struct str){many, len + 2}) == 0);
    strcpy(many + len, "X: 1\r\n\r\n");
    CHECK(status_of((struct str){many, strlen(many)}) == 431);

    /* Six lines of 160 bytes and one that fills the head to the byte. */
    for (int over = 0; over < 2; over++) {
        char head[2048] = GET;
        for (int i = 0; i < 6; i++) {
            strcat(head, "X: ");
            size_t end = strlen(head);
            memset(head + end, 'a', 155);
            strcpy(head + end + 155, "\r\n");
        }
        size_t end = strlen(head);
        size_t fill = limits.head_max - end - strlen("X: \r\n\r\n") + (size_t)over;
        strcat(head, "X: ");
        memset(head + end + 3, 'a', fill);
        strcpy(head + end + 3 + fill, "\r\n\r\n");
        CHECK(status_of((struct str){head, strlen(head)}) == (over ? 431 : 0));
    }
}

static bool parsed(struct verdict *v, const char *request)
{
    *v = judge((struct str){request, strlen(request)}, strlen(request), 1);
    v->head.fields = v->fields; /* they moved with it */
    return v->status == 0;
}

TEST(a_head_says_what_was_sent)
{
    struct verdict v;
    CHECK(parsed(&v, "POST /a%2Fb/c?x=?y HTTP/1.1\r\nHost: Name:80\r\nX-Two:  b c \r\n"
                     "Content-Length: 17\r\nExpect: 100-continue\r\n\r\n"));
    CHECK(str_eq(v.head.method, STR("POST")));
    CHECK(str_eq(v.head.path, STR("/a%2Fb/c")));
    CHECK(str_eq(v.head.query, STR("x=?y")));
    CHECK(str_eq(v.head.host, STR("Name:80")));
    CHECK(v.head.count == 4);
    CHECK(str_eq(v.head.fields[1].name, STR("x-two")));
    CHECK(str_eq(v.head.fields[1].value, STR("b c")));
    CHECK(v.head.length == 17 && !v.head.chunked && v.head.expects && v.head.minor == 1);
    free(v.bytes);

    CHECK(parsed(&v, "GET http://other:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(str_eq(v.head.host, STR("other:81")));
    CHECK(str_eq(v.head.path, STR("/x")));
    free(v.bytes);
    CHECK(parsed(&v, "GET http://other?y HTTP/1.1\r\nHost: a\r\n\r\n"));
    CHECK(str_eq(v.head.path, STR("/")) && str_eq(v.head.query, STR("y")));
    free(v.bytes);
}

TEST(a_connection_is_kept_as_the_version_and_the_header_say)
{
    static const struct {
        const char *request;
        bool keep;
    } samples[] = {
        {GET "\r\n", true},
        {GET "Connection: close\r\n\r\n", false},
        {GET "Connection: x, CLOSE ,y\r\n\r\n", false},
        {GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {GET "Connection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct verdict v;
        CHECK(parsed(&v, samples[i].request));
        CHECK(v.head.keep_alive == samples[i].keep);
        free(v.bytes);
    }
}

TEST(a_host_is_compared_without_its_port_and_case)
{
    static const struct str names[] = {{"localhost", 9}, {"127.0.0.1", 9}, {"::1", 3}};
    CHECK(head_host_is(STR("localhost"), names, 3));
    CHECK(head_host_is(STR("LocalHost:8000"), names, 3));
    CHECK(head_host_is(STR("127.0.0.1:1"), names, 3));
    CHECK(head_host_is(STR("[::1]"), names, 3));
    CHECK(head_host_is(STR("[::1]:8000"), names, 3));
    CHECK(!head_host_is(STR("[::2]:8000"), names, 3));
    CHECK(!head_host_is(STR("localhost.evil.example"), names, 3));
    CHECK(!head_host_is(STR("evil.example:8000"), names, 3));
    CHECK(!head_host_is(STR(""), names, 3));
    CHECK(!head_host_is(STR("localhos"), names, 3));
}
