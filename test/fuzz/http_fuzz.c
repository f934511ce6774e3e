/* http_fuzz.c - heads and bodies, whole and in pieces: always the same.
 *
 * The first byte of the input says where the rest is cut.  The rest is read as
 * one connection would read it: heads, each with its body, until one is
 * refused or more input would be needed.  What came out, and how it ended,
 * must not depend on the cuts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/body.h"
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { FIELDS = 20, ROOM = 512 };

static const struct head_limits head_limits = {
    .head_max = 2048, .line_max = 512, .header_max = FIELDS, .uri_max = 256};
static const struct body_limits body_limits = {
    .wire_max = 1 << 20, .body_max = 1 << 18, .ratio_max = 200};

struct trace { /* what came out, as a hash and a few counts */
    uint64_t hash;
    size_t requests, bytes;
    int status; /* of the refusal that ended it, or 0 */
};

static void note(struct trace *trace, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        trace->hash = (trace->hash ^ (unsigned char)bytes.at[i]) * 1099511628211u;
    trace->bytes += bytes.len;
}

static void note_head(struct trace *trace, const struct head *head)
{
    note(trace, head->method);
    note(trace, head->path);
    note(trace, head->query);
    note(trace, head->host);
    for (size_t i = 0; i < head->count; i++) {
        note(trace, head->fields[i].name);
        note(trace, head->fields[i].value);
    }
    char flags[64];
    int len =
        snprintf(flags, sizeof flags, "%u%d%d%d%llu%d", head->minor, head->keep_alive,
                 head->chunked, head->expects, (unsigned long long)head->length, (int)head->coding);
    note(trace, (struct str){flags, (size_t)len});
}

struct reader {
    struct head_scan scan;
    struct body body;
    bool in_body;
    struct trace trace;
};

/* Use as much of `in` as possible; false when the connection would be closed. */
static bool take(struct reader *r, struct str *in)
{
    struct refusal why = {0};
    if (!r->in_body) {
        enum head_verdict verdict = head_scan(&r->scan, *in, &head_limits, &why);
        if (verdict == HEAD_MORE)
            return false;
        if (verdict == HEAD_REFUSED) {
            r->trace.status = why.status;
            return false;
        }
        size_t len = r->scan.at - r->scan.start;
        char *copy = malloc(len);
        struct head_field fields[FIELDS];
        struct head head;
        if (!copy)
            abort();
        memcpy(copy, in->at + r->scan.start, len);
        bool good = head_parse(&head, copy, len, fields, &head_limits, &why);
        if (good) {
            note_head(&r->trace, &head);
            body_open(&r->body, &head, &body_limits);
            good = body_fits(&r->body, &why);
        }
        free(copy);
        in->at += r->scan.at;
        in->len -= r->scan.at;
        r->scan = (struct head_scan){0};
        r->trace.requests++;
        r->in_body = good && !r->body.ended;
        r->trace.status = good ? 0 : why.status;
        return good;
    }
    char room[ROOM];
    struct str piece = STR("");
    enum body_event event = body_next(&r->body, in, room, sizeof room, &piece, &why);
    if (event == BODY_FAILED) {
        /* What a decoder gave before it failed depends on the cut. */
        r->trace = (struct trace){.status = why.status, .requests = r->trace.requests};
        return false;
    }
    if (event == BODY_PIECE || event == BODY_LAST)
        note(&r->trace, piece);
    if (event == BODY_LAST || event == BODY_END) {
        body_close(&r->body);
        r->in_body = false;
    }
    return event != BODY_MORE;
}

static struct trace run(struct str bytes, unsigned step)
{
    struct reader r = {.trace = {.hash = 14695981039346656037u}};
    size_t used = 0;
    size_t end = step ? 0 : bytes.len;
    for (;;) {
        /* Of its own size, so that a read beyond it is seen. */
        char *piece = malloc(end - used + 1);
        struct str in = {piece, end - used};
        if (!piece)
            abort();
        memcpy(piece, bytes.at + used, in.len);
        while (take(&r, &in))
            ;
        used = end - in.len;
        free(piece);
        if (r.trace.status || end == bytes.len)
            break;
        end = bytes.len - end < step ? bytes.len : end + step;
        step = step * 5 % 61 + 1;
    }
    if (r.in_body)
        body_close(&r.body);
    return r.trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0)
        return 0;
    struct str bytes = {(const char *)input + 1, size - 1};
    struct trace whole = run(bytes, 0);
    struct trace cut = run(bytes, input[0] % 60 + 1u);
    if (whole.hash != cut.hash || whole.requests != cut.requests || whole.bytes != cut.bytes ||
        whole.status != cut.status)
        abort();
    return 0;
}
