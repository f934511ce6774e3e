/* http_bench.c - the floor under the API: what HTTP alone costs.
 *
 *     http_bench [loops] &       prints its port
 *     wrk -t1 -c64 -d5 http://127.0.0.1:<port>/small      200 bytes
 *     wrk -t1 -c64 -d5 http://127.0.0.1:<port>/large      30 KB
 *     curl --data-binary @file http://127.0.0.1:<port>/sink
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/http.h"
#include "loop/loop.h"

enum { LOOPS_MAX = 16, SMALL = 200, LARGE = 30000 };

struct answers {
    struct buf *small, *large;
};

static const struct http_field json = {{"Content-Type", 12}, {"application/json", 16}};

static void answer(struct http_request *request, struct buf *buf)
{
    struct http_piece piece = {buf_ref(buf), {buf->at, buf->len}};
    http_reply(request, 200, &json, 1, &piece, 1);
}

static void small(struct http_request *request)
{
    answer(request, ((struct answers *)http_context(request))->small);
}

static void large(struct http_request *request)
{
    answer(request, ((struct answers *)http_context(request))->large);
}

static void begin(struct http_request *request)
{
    (void)request;
}

static void sink(struct http_request *request, struct str piece, bool last)
{
    (void)piece;
    if (last)
        http_reply(request, 204, NULL, 0, NULL, 0);
}

static void gone(struct http_request *request)
{
    http_release(request);
}

static const struct http_handler get_small = {.begin = small, .gone = gone};
static const struct http_handler get_large = {.begin = large, .gone = gone};
static const struct http_handler post_sink = {.begin = begin, .body = sink, .gone = gone};

static const struct http_route routes[] = {
    {"GET", "/small", &get_small}, {"GET", "/large", &get_large}, {"POST", "/sink", &post_sink}};

static struct buf *filled(size_t size)
{
    struct buf *buf = buf_new(size);
    if (!buf)
        abort();
    memset(buf->at, 'x', size);
    buf->len = size;
    return buf;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
    struct loop *loops[LOOPS_MAX];
    struct answers answers = {filled(SMALL), filled(LARGE)};
    struct http_config config = {.routes = routes, .route_count = 3, .context = &answers};
    struct http_server *server = NULL;
    struct err err = {0};
    if (count < 1 || count > LOOPS_MAX)
        return 2;
    for (size_t i = 0; i < count; i++)
        if (loop_open((unsigned)i, "bench", &loops[i], &err))
            goto failed;
    if (http_open(&config, loops, count, STR("127.0.0.1"), 0, &server, &err))
        goto failed;
    printf("%u\n", http_port(server));
    fflush(stdout);
    for (size_t i = 1; i < count; i++)
        if (loop_start(loops[i], &err))
            goto failed;
    if (loop_run(loops[0], &err))
        goto failed;
    return 0;
failed:
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
