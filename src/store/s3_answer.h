/* s3_answer.h - what S3 answers, read strictly: its XML, and Content-Range.
 *
 * Of XML only what S3 writes: elements, text with entities, no comments, no
 * CDATA, no DOCTYPE, eight levels.  Anything else is refused, not guessed.
 *
 * Threads  pure functions
 * Memory   results live in the arena the caller passes
 * Errors   ERR_UNAVAILABLE it is not such an answer
 * Sources  docs.aws.amazon.com/AmazonS3/latest/API, RFC 9110 14.4
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena;
struct err;

enum { S3_CODE = 64, S3_REGION = 48 };

struct s3_error {
    char code[S3_CODE];     /* "SlowDown"; only letters, digits, '.', '_', '-' */
    char region[S3_REGION]; /* where the bucket is, when it says; likewise */
};

/* Is it an <Error> with a code?  One that was cut after the code will do. */
bool s3_answer_error(struct str text, struct s3_error *result);

struct s3_page {
    struct str *keys; /* as the server has them, in its order */
    size_t count;
    struct str token; /* to ask for what follows; empty on the last page */
};
int s3_answer_list(struct str text, size_t limit, struct arena *arena, struct s3_page *result,
                   struct err *err);

/* The id of a multipart upload that was begun. */
int s3_answer_upload(struct str text, struct arena *arena, struct str *id, struct err *err);

/* Does it say that a multipart upload was completed? */
bool s3_answer_completed(struct str text);

struct s3_range {   /* a Content-Range */
    bool has_bytes; /* else only the total was said */
    bool has_total;
    uint64_t first, last, total;
};
bool s3_answer_range(struct str value, struct s3_range *result);

/* Does `text` hold only letters, digits, '.', '_', '-', and does it fit?  Then
 * copy it: what a server says about itself may go into a sentence. */
bool s3_answer_word(struct str text, char *result, size_t size);
