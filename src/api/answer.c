/* answer.c - see answer.h. */
#include "api/answer.h"

#include "base/buf.h"
#include "serve/encode.h"

static void add(struct answer_head *head, const char *name, struct str value)
{
    head->fields[head->count++] = (struct http_field){{name, strlen(name)}, value};
}

void answer_head(struct answer_head *head, bool hit, enum coding coding, struct str etag)
{
    head->count = 0;
    add(head, "Content-Type", STR("application/json"));
    add(head, "Cache-Control", STR("private, no-cache"));
    add(head, "Vary", STR("Accept-Encoding"));
    add(head, "X-Cache", hit ? STR("HIT") : STR("MISS"));
    if (coding != CODING_IDENTITY)
        add(head, "Content-Encoding", coding == CODING_ZSTD ? STR("zstd") : STR("gzip"));
    if (etag.at)
        add(head, "ETag", etag);
}

enum coding answer_coding(struct http_request *request)
{
    return http_accepts(request, 1u << CODING_GZIP | 1u << CODING_ZSTD);
}

void answer_whole(struct http_request *request, bool hit, struct str etag, struct buf *encoded)
{
    struct answer_head head;
    answer_head(&head, hit, encoded_coding(encoded), etag);
    struct http_piece piece = {encoded, encoded_body(encoded)};
    http_reply(request, 200, head.fields, head.count, &piece, 1);
}
