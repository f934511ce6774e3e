/* request.c - what a handler may ask of a request; see http.h. */
#include "http/request.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"

struct http_request *request_new(struct str head, size_t fields, char **copy)
{
    struct http_request *r = calloc(1, sizeof *r + fields * sizeof r->fields[0] + head.len);
    if (!r)
        abort();
    *copy = (char *)&r->fields[fields];
    if (head.len)
        memcpy(*copy, head.at, head.len);
    r->started_us = clock_mono_us();
    r->head = (struct head){.method = STR(""), .path = STR(""), .query = STR(""), .host = STR("")};
    r->path = r->head.path;
    return r;
}

void request_free(struct http_request *request)
{
    if (!request)
        return;
    body_close(&request->body);
    arena_free(request->arena);
    free(request);
}

struct loop *http_loop(const struct http_request *request)
{
    return request->loop;
}

struct arena *http_arena(struct http_request *request)
{
    if (!request->arena)
        request->arena = arena_new(1024);
    return request->arena;
}

void *http_context(const struct http_request *request)
{
    return request->context;
}

void **http_slot(struct http_request *request)
{
    return &request->slot;
}

struct str http_method(const struct http_request *request)
{
    return request->head.method;
}

struct str http_path(const struct http_request *request)
{
    return request->path;
}

struct str http_query(const struct http_request *request)
{
    return request->head.query;
}

struct str http_part(const struct http_request *request, unsigned n)
{
    return n < request->match.part_count ? request->match.parts[n] : STR("");
}

uint64_t http_request_id(const struct http_request *request)
{
    return request->id;
}

uint64_t http_body_size(const struct http_request *request)
{
    return request->head.length;
}

struct str http_header(struct http_request *request, struct str lower_case_name)
{
    const struct head *head = &request->head;
    struct str result = {NULL, 0};
    size_t total = 0;
    unsigned found = 0;
    for (size_t i = 0; i < head->count; i++)
        if (str_eq(head->fields[i].name, lower_case_name)) {
            result = head->fields[i].value;
            total += result.len + 2;
            found++;
        }
    if (found < 2)
        return result;
    char *joined = arena_alloc(http_arena(request), total);
    size_t len = 0;
    for (size_t i = 0; i < head->count; i++)
        if (str_eq(head->fields[i].name, lower_case_name)) {
            struct str value = head->fields[i].value;
            memcpy(joined + len, ", ", len ? 2 : 0);
            len += len ? 2 : 0;
            memcpy(joined + len, value.at, value.len);
            len += value.len;
        }
    return (struct str){joined, len};
}

/* ";q=0.5" in thousandths; what is not a weight counts as "no". */
static int weight(struct str params)
{
    while (params.len > 0) {
        const char *semicolon = memchr(params.at, ';', params.len);
        size_t len = semicolon ? (size_t)(semicolon - params.at) : params.len;
        struct str p = head_trim((struct str){params.at, len});
        size_t step = semicolon ? len + 1 : len;
        params.at += step;
        params.len -= step;
        if (p.len < 2 || (p.at[0] | 0x20) != 'q' || p.at[1] != '=')
            continue;
        int value = 0;
        int unit = 1000;
        for (size_t i = 2; i < p.len; i++) {
            if (i == 3) {
                if (p.at[i] != '.')
                    return 0;
                continue;
            }
            if (p.at[i] < '0' || p.at[i] > '9' || i > 6)
                return 0;
            value += (p.at[i] - '0') * unit;
            unit /= 10;
        }
        return p.len == 2 || value > 1000 ? 0 : value;
    }
    return 1000;
}

enum coding http_accepts(struct http_request *request, unsigned offered)
{
    struct str list = http_header(request, STR("accept-encoding"));
    struct str member;
    int gzip = -1; /* not named */
    int zstd = -1;
    int identity = -1;
    int others = -1;
    while (head_list_next(&list, &member)) {
        const char *semicolon = member.len ? memchr(member.at, ';', member.len) : NULL;
        size_t len = semicolon ? (size_t)(semicolon - member.at) : member.len;
        struct str name = head_trim((struct str){member.at, len});
        int q = semicolon ? weight((struct str){semicolon + 1, member.len - len - 1}) : 1000;
        if (head_same(name, STR("gzip")) || head_same(name, STR("x-gzip")))
            gzip = q;
        else if (head_same(name, STR("zstd")))
            zstd = q;
        else if (head_same(name, STR("identity")))
            identity = q;
        else if (str_eq(name, STR("*")))
            others = q;
    }
    gzip = offered & 1u << CODING_GZIP ? gzip < 0 ? others : gzip : -1;
    zstd = offered & 1u << CODING_ZSTD ? zstd < 0 ? others : zstd : -1;
    int best = zstd >= gzip ? zstd : gzip;
    if (best <= 0 || identity > best)
        return CODING_IDENTITY;
    return zstd == best ? CODING_ZSTD : CODING_GZIP;
}

void http_limit_body(struct http_request *request, size_t max)
{
    if (max < request->body.limits.body_max)
        request->body.limits.body_max = max;
}

void http_hand_over(struct http_request *request, const struct http_handler *handler,
                    struct str piece, bool last)
{
    request->slot = NULL;
    request->handler = handler;
    handler->begin(request);
    if (!request->replied && !request->gone)
        handler->body(request, piece, last);
}

void http_pause(struct http_request *request)
{
    request->paused = true;
    if (request->conn)
        conn_resume(request->conn);
}

void http_resume(struct http_request *request)
{
    if (!request->paused)
        return;
    request->paused = false;
    if (request->conn)
        conn_resume(request->conn);
}
