/* json_scan.h - find the fields of each item of a JSON document while it arrives.
 *
 * One pass, no tree, resumable at any byte.  Everything is validated: the
 * whole grammar of RFC 8259, UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF) and the depth.  The caller keeps the
 * document; the scanner answers with offsets into it, so the bytes may move
 * between calls (a growing buffer) but not change.
 *
 *     while ((event = json_scan_next(&scan, doc, len, last)) != JSON_MORE)
 *         switch (event) ...
 *
 * Shape    JSON_ARRAY  one top-level array; its elements are the items
 *          JSON_LINES  top-level values, separated by at least one newline
 *                      (NDJSON; blank lines are skipped); each is an item
 *          JSON_VALUE  exactly one top-level value: the item
 * Lax      what Python writes besides is taken too, NaN, Infinity and -Infinity, each
 *          as a null and counted; json_plain.h makes JSON of it
 * Threads  a scanner belongs to one thread
 * Memory   allocates nothing
 * Errors   JSON_FAULT with `fault` and `offset`; the scanner then stays there
 * Sources  RFC 8259, RFC 3629
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_MAX = 512 }; /* arrays and objects open at once, counted from the root */

enum json_shape { JSON_ARRAY, JSON_LINES, JSON_VALUE };

enum json_event {
    JSON_MORE,  /* all `len` bytes are consumed; call again when there are more */
    JSON_FIELD, /* a member of an item that is an object is complete: `key`, `value`, `type` */
    JSON_ITEM,  /* an item is complete: `value` and `type` are the item's own */
    JSON_END,   /* `last` was set and the document is complete and valid */
    JSON_FAULT  /* not JSON: see `fault` and `offset` */
};

enum json_type {
    JSON_OBJECT,
    JSON_LIST,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

/* Bytes [at, at + len) of the document. */
struct json_span {
    size_t at, len;
};

struct json_scan {
    /* Read after an event. */
    size_t offset;          /* the next byte to look at; of a fault, the byte at fault */
    struct json_span key;   /* JSON_FIELD: between the quotes, escapes as sent */
    bool key_escaped;       /* JSON_FIELD: the key holds a backslash */
    struct json_span value; /* JSON_FIELD, JSON_ITEM: the whole value, quotes included */
    enum json_type type;    /* JSON_FIELD, JSON_ITEM */
    const char *fault;      /* JSON_FAULT: a few words, "control character in a string" */
    size_t strange;         /* lax: so many of NaN, Infinity, -Infinity were passed */

    /* The scanner's own. */
    size_t item_at, value_at;
    enum json_type item_type, value_type;
    enum json_shape shape;
    uint16_t depth, item_depth;
    uint8_t state, string, escape_left, utf8_left, utf8_low, utf8_high;
    uint8_t number, literal, literal_at;
    bool in_object, lax;
    uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container opened at depth d is an object */
};

void json_scan_start(struct json_scan *scan, enum json_shape shape);
void json_scan_start_lax(struct json_scan *scan, enum json_shape shape);

/* Go on to the next event.  `document` is the whole document from its first
 * byte, of which `len` bytes are here; only bytes from scan->offset on are
 * read.  `last` says that no more will come. */
enum json_event json_scan_next(struct json_scan *scan, const char *document, size_t len, bool last);
