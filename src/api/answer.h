/* answer.h - sending what the journeys made: encoded, in parts, or a range of it. */
#pragma once

#include <stdbool.h>

#include "base/codec.h"
#include "base/str.h"
#include "http/http.h"

struct buf;

enum { ANSWER_FIELDS = 6 };

/* The head of an answer that holds runs. */
struct answer_head {
    struct http_field fields[ANSWER_FIELDS];
    size_t count;
};

/* Content-Type, Cache-Control, Vary; X-Cache; Content-Encoding unless identity;
 * ETag unless at == NULL. */
void answer_head(struct answer_head *head, bool hit, enum coding coding, struct str etag);

/* Codings this client may be given, the best one first to be tried. */
enum coding answer_coding(struct http_request *request);

/* Send an encoded buffer (serve/encode.h) whole; takes its reference. */
void answer_whole(struct http_request *request, bool hit, struct str etag, struct buf *encoded);
