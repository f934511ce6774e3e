/* s3_site.h - a bucket, and what is the same for every request to it.
 *
 * Threads  read-only once it is open
 * Errors   ERR_INVALID a setting is wrong, and which; ERR_UNAVAILABLE libcurl
 *          is not there
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "store/libcurl.h"

struct err;
struct object_s3_config;
struct text;

/* Lists of headers; all of them are signed. */
enum s3_headers { S3_NO_BODY, S3_BODY, S3_CREATE /* If-None-Match: * */, S3_HEADER_LISTS };

struct s3_site {
    struct libcurl curl;
    bool begun;       /* libcurl was */
    char *base;       /* "https://host/bucket", "https://bucket.host": then comes a target */
    const char *root; /* the target of the bucket itself */
    char *prefix;     /* in front of every name */
    char *region;
    char *signing;                 /* what libcurl is told about signing; NULL: anonymous */
    char *access_key, *secret_key; /* NULL: anonymous */
    struct curl_slist *headers[S3_HEADER_LISTS];
};

int s3_site_open(struct s3_site *site, const struct object_s3_config *config, struct err *err);
void s3_site_close(struct s3_site *site); /* half-opened, or zeroed, is fine */

/* Write `s` so that it is itself in a query. */
void s3_site_escape(struct text *query, struct str s);
