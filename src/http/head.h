/* head.h - a request's head: where it ends, and what it says.
 *
 * Two steps.  head_scan() runs over the bytes as they arrive and finds the end
 * of the head; it judges single bytes, line ends and sizes, so a wrong head is
 * refused at its first wrong byte however it was cut.  head_parse() then takes
 * the complete head apart, and has llhttp judge it a second time.
 *
 * Pure: bytes in, meaning out.
 *
 * Sources  RFC 9110, RFC 9112
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/str.h"

struct head_limits {
    size_t head_max, line_max, header_max, uri_max; /* as in http_config */
};

/* Why a request is not served. */
struct refusal {
    int status;
    char sentence[160];
};

/* Fill `why`; always false, so that a check can end in `return refused(...)`. */
bool refused(struct refusal *why, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How far the scan of one head came.  All zeros to start. */
struct head_scan {
    size_t at;    /* bytes scanned */
    size_t start; /* where the head starts: after one empty line, which is forgiven */
    size_t line;  /* where the current line starts */
    size_t count; /* header lines that are complete */
    bool first;   /* the request line is complete */
    bool cr;      /* the last byte was a CR: LF must follow */
};

enum head_verdict { HEAD_MORE, HEAD_COMPLETE, HEAD_REFUSED };

/* `bytes` is the same head each time, only longer.  On HEAD_COMPLETE it lies
 * in [start, at) and has `count` header lines. */
enum head_verdict head_scan(struct head_scan *scan, struct str bytes,
                            const struct head_limits *limits, struct refusal *why);

struct head_field {
    struct str name; /* in lower case */
    struct str value;
};

struct head {
    struct str method, path, query; /* as sent; the query without its `?` */
    struct str host; /* of the target or the Host header, with its port; may be empty */
    struct head_field *fields;
    size_t count;
    unsigned minor;  /* HTTP/1.minor */
    bool keep_alive; /* the client wants the connection kept */
    bool chunked;    /* else a body has `length` bytes */
    bool expects;    /* 100-continue */
    uint64_t length;
    enum coding coding; /* of the body */
};

/* Parse a complete head in place (names become lower case); everything in
 * `head` points into `bytes` and `fields`, which has room for head_scan's
 * count.  False: refused; what was understood so far is in `head`. */
bool head_parse(struct head *head, char *bytes, size_t len, struct head_field *fields,
                const struct head_limits *limits, struct refusal *why);

/* Is the name in `host` (without its port) one of `names`? */
bool head_host_is(struct str host, const struct str *names, size_t count);

bool head_token_char(char c);                   /* may stand in a header's name */
bool head_same(struct str a, struct str lower); /* equal but for a's case? */
struct str head_trim(struct str s);             /* without spaces and tabs around it */

/* The next member of a comma-separated list, trimmed; false at the end. */
bool head_list_next(struct str *list, struct str *member);
