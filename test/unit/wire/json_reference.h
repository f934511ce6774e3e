/* json_reference.h - the JSON scanner's answers by slow and simple means.
 *
 * events_expect() reads a whole document by recursive descent, one function a
 * rule of the grammar, and writes down the events the scanner must give.
 * events_collect() asks a scanner, and feeds it the document in pieces.  Both
 * lists must be equal, to the offset of the fault.
 *
 * Sources  RFC 8259, RFC 3629
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json_scan.h"

struct event {
    enum json_event kind;
    enum json_type type;    /* JSON_FIELD, JSON_ITEM */
    struct json_span value; /* JSON_FIELD, JSON_ITEM */
    struct json_span key;   /* JSON_FIELD */
    bool key_escaped;       /* JSON_FIELD */
    size_t offset;          /* of the scanner after the event */
};

/* The last event is JSON_END or JSON_FAULT.  A list is static, and used again
 * and again: nobody frees it. */
struct events {
    struct event *at;
    size_t count, cap;
};

static void events_add(struct events *events, struct event event)
{
    if (events->count == events->cap) {
        events->cap = events->cap ? events->cap * 2 : 64;
        events->at = realloc(events->at, events->cap * sizeof *events->at);
        if (!events->at)
            abort();
    }
    events->at[events->count++] = event;
}

static bool span_equal(struct json_span a, struct json_span b)
{
    return a.at == b.at && a.len == b.len;
}

static bool events_equal(const struct events *a, const struct events *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct event *x = &a->at[i], *y = &b->at[i];
        if (x->kind != y->kind || x->offset != y->offset)
            return false;
        if (x->kind == JSON_FIELD &&
            (!span_equal(x->key, y->key) || x->key_escaped != y->key_escaped))
            return false;
        if ((x->kind == JSON_FIELD || x->kind == JSON_ITEM) &&
            (!span_equal(x->value, y->value) || x->type != y->type))
            return false;
    }
    return true;
}

/* The reference. */

struct reference {
    const unsigned char *bytes;
    size_t len, at;
    int depth;
    struct events *events;
};

static bool here(const struct reference *r, unsigned char c)
{
    return r->at < r->len && r->bytes[r->at] == c;
}

static bool here_is_digit(const struct reference *r)
{
    return r->at < r->len && r->bytes[r->at] >= '0' && r->bytes[r->at] <= '9';
}

static bool take(struct reference *r, unsigned char c)
{
    if (!here(r, c))
        return false;
    r->at++;
    return true;
}

static void take_white(struct reference *r)
{
    while (take(r, ' ') || take(r, '\t') || take(r, '\r') || take(r, '\n'))
        ;
}

static bool ranges_meet(uint32_t low, uint32_t high, uint32_t from, uint32_t to)
{
    return low <= to && from <= high;
}

/* Can these `count` bytes begin the encoding, `size` long, of a code point?
 * Filling the bytes that are missing with the least and the most they can
 * carry gives the range of what they may still become. */
static bool utf8_can_become(const unsigned char *bytes, size_t count, size_t size)
{
    static const unsigned char lead_mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    static const unsigned char lead_mask[] = {0, 0, 0xe0, 0xf0, 0xf8};
    if ((bytes[0] & lead_mask[size]) != lead_mark[size])
        return false;
    uint32_t low = bytes[0] & (unsigned char)~lead_mask[size];
    uint32_t high = low;
    for (size_t i = 1; i < size; i++) {
        if (i < count && (bytes[i] & 0xc0) != 0x80)
            return false;
        low = low * 64 + (i < count ? bytes[i] & 0x3fu : 0);
        high = high * 64 + (i < count ? bytes[i] & 0x3fu : 0x3f);
    }
    if (size == 2)
        return ranges_meet(low, high, 0x80, 0x7ff);
    if (size == 3)
        return ranges_meet(low, high, 0x800, 0xd7ff) || ranges_meet(low, high, 0xe000, 0xffff);
    return ranges_meet(low, high, 0x10000, 0x10ffff);
}

static bool take_code_point(struct reference *r)
{
    const unsigned char *bytes = r->bytes + r->at;
    for (size_t count = 1; r->at < r->len; count++) {
        bool possible = false;
        for (size_t size = 2; size <= 4; size++)
            if (count <= size && utf8_can_become(bytes, count, size)) {
                possible = true;
                if (count == size) {
                    r->at++;
                    return true;
                }
            }
        if (!possible)
            return false;
        r->at++;
    }
    return false;
}

static bool take_escape(struct reference *r, bool *escaped)
{
    *escaped = true;
    if (r->at == r->len)
        return false;
    if (take(r, 'u')) {
        for (int i = 0; i < 4; i++) {
            if (r->at == r->len || r->bytes[r->at] == 0 ||
                !strchr("0123456789abcdefABCDEF", r->bytes[r->at]))
                return false;
            r->at++;
        }
        return true;
    }
    if (r->bytes[r->at] == 0 || !strchr("\"\\/bfnrt", r->bytes[r->at]))
        return false;
    r->at++;
    return true;
}

static bool take_string(struct reference *r, struct json_span *inside, bool *escaped)
{
    *escaped = false;
    if (!take(r, '"'))
        return false;
    size_t from = r->at;
    while (!here(r, '"')) {
        if (r->at == r->len || r->bytes[r->at] < 0x20)
            return false;
        if (take(r, '\\')) {
            if (!take_escape(r, escaped))
                return false;
        } else if (r->bytes[r->at] < 0x80) {
            r->at++;
        } else if (!take_code_point(r)) {
            return false;
        }
    }
    *inside = (struct json_span){from, r->at - from};
    return take(r, '"');
}

static bool take_digits(struct reference *r)
{
    if (!here_is_digit(r))
        return false;
    while (here_is_digit(r))
        r->at++;
    return true;
}

static bool take_number(struct reference *r)
{
    (void)take(r, '-');
    if (take(r, '0')) {
        if (here_is_digit(r))
            return false;
    } else if (!take_digits(r)) {
        return false;
    }
    if (take(r, '.') && !take_digits(r))
        return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+'))
            (void)take(r, '-');
        if (!take_digits(r))
            return false;
    }
    return true;
}

static bool take_word(struct reference *r, const char *word)
{
    for (; *word; word++)
        if (!take(r, (unsigned char)*word))
            return false;
    return true;
}

static bool take_value(struct reference *r, int level, enum json_type *type);

/* `level` is 0 for an item, 1 for what is directly inside one, and so on; -1
 * for the array around the items. */
static bool take_list(struct reference *r, int level)
{
    if (r->depth == JSON_DEPTH_MAX || !take(r, '['))
        return false;
    r->depth++;
    take_white(r);
    if (!here(r, ']'))
        for (;;) {
            take_white(r);
            size_t from = r->at;
            enum json_type type;
            if (!take_value(r, level + 1, &type))
                return false;
            if (level == -1)
                events_add(r->events, (struct event){.kind = JSON_ITEM,
                                                     .type = type,
                                                     .value = {from, r->at - from},
                                                     .offset = r->at});
            take_white(r);
            if (!take(r, ','))
                break;
        }
    r->depth--;
    return take(r, ']');
}

static bool take_object(struct reference *r, int level)
{
    if (r->depth == JSON_DEPTH_MAX || !take(r, '{'))
        return false;
    r->depth++;
    take_white(r);
    if (!here(r, '}'))
        for (;;) {
            struct event field = {.kind = JSON_FIELD};
            take_white(r);
            if (!take_string(r, &field.key, &field.key_escaped))
                return false;
            take_white(r);
            if (!take(r, ':'))
                return false;
            take_white(r);
            size_t from = r->at;
            if (!take_value(r, level + 1, &field.type))
                return false;
            field.value = (struct json_span){from, r->at - from};
            field.offset = r->at;
            if (level == 0)
                events_add(r->events, field);
            take_white(r);
            if (!take(r, ','))
                break;
        }
    r->depth--;
    return take(r, '}');
}

static bool take_value(struct reference *r, int level, enum json_type *type)
{
    struct json_span inside;
    bool escaped;
    *type = here(r, '{')   ? JSON_OBJECT
            : here(r, '[') ? JSON_LIST
            : here(r, '"') ? JSON_STRING
            : here(r, 't') ? JSON_TRUE
            : here(r, 'f') ? JSON_FALSE
            : here(r, 'n') ? JSON_NULL
                           : JSON_NUMBER;
    switch (*type) {
    case JSON_OBJECT:
        return take_object(r, level);
    case JSON_LIST:
        return take_list(r, level);
    case JSON_STRING:
        return take_string(r, &inside, &escaped);
    case JSON_NUMBER:
        return take_number(r);
    case JSON_TRUE:
        return take_word(r, "true");
    case JSON_FALSE:
        return take_word(r, "false");
    case JSON_NULL:
        return take_word(r, "null");
    }
    return false;
}

static bool take_item(struct reference *r)
{
    size_t from = r->at;
    enum json_type type;
    if (!take_value(r, 0, &type))
        return false;
    events_add(r->events, (struct event){.kind = JSON_ITEM,
                                         .type = type,
                                         .value = {from, r->at - from},
                                         .offset = r->at});
    return true;
}

static bool take_lines(struct reference *r)
{
    for (;;) {
        take_white(r);
        if (r->at == r->len)
            return true;
        if (!take_item(r))
            return false;
        while (take(r, ' ') || take(r, '\t') || take(r, '\r'))
            ;
        if (r->at < r->len && !take(r, '\n'))
            return false;
    }
}

static bool take_document(struct reference *r, enum json_shape shape)
{
    if (shape == JSON_LINES)
        return take_lines(r);
    take_white(r);
    if (shape == JSON_ARRAY ? !take_list(r, -1) : !take_item(r))
        return false;
    take_white(r);
    return r->at == r->len;
}

static void events_expect(struct events *events, enum json_shape shape, const char *document,
                          size_t len)
{
    struct reference r = {
        .bytes = (const unsigned char *)document,
        .len = len,
        .events = events,
    };
    events->count = 0;
    bool good = take_document(&r, shape);
    events_add(events, (struct event){.kind = good ? JSON_END : JSON_FAULT, .offset = r.at});
}

/* The scanner. */

typedef void scan_start_fn(struct json_scan *scan, enum json_shape shape);
typedef enum json_event scan_next_fn(struct json_scan *scan, const char *document, size_t len,
                                     bool last);

struct scanner {
    const char *name;
    scan_start_fn *start;
    scan_next_fn *next;
};

/* How a document is cut: at `first`, then every `step` bytes; a step of 0 is
 * a random one, from `seed`. */
struct cuts {
    size_t first, step;
    uint64_t seed;
};

static uint32_t cuts_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

/* A new block with exactly `len` bytes: what the scanner may not read is
 * either not there, or wrong. */
static char *piece_new(const char *document, size_t from, size_t len)
{
    char *piece = malloc(len ? len : 1);
    if (!piece)
        abort();
    memset(piece, '"', from);
    if (len > from)
        memcpy(piece + from, document + from, len - from);
    return piece;
}

/* False when the scanner broke its contract in a way that events do not show. */
static bool events_collect(struct events *events, const struct scanner *scanner,
                           enum json_shape shape, const char *document, size_t len,
                           struct cuts cuts)
{
    struct json_scan scan;
    bool good = true;
    size_t have = cuts.first < len ? cuts.first : len;
    bool last = have == len;
    char *piece = piece_new(document, 0, have);

    events->count = 0;
    scanner->start(&scan, shape);
    for (;;) {
        size_t before = scan.offset;
        struct event event = {.kind = scanner->next(&scan, piece, have, last)};
        event.offset = scan.offset;
        if (scan.offset < before || scan.offset > have)
            good = false;
        if (event.kind == JSON_MORE) {
            if (last || scan.offset != have) {
                good = false;
                break;
            }
            size_t step = cuts.step ? cuts.step : cuts_random(&cuts.seed) % 9;
            /* Sometimes it is only known later that there is no more. */
            last = have == len;
            have = len - have < step ? len : have + step;
            last = last || (have == len && cuts_random(&cuts.seed) % 2);
            free(piece);
            piece = piece_new(document, scan.offset, have);
            continue;
        }
        if (event.kind == JSON_FIELD) {
            event.key = scan.key;
            event.key_escaped = scan.key_escaped;
        }
        if (event.kind == JSON_FIELD || event.kind == JSON_ITEM) {
            event.type = scan.type;
            event.value = scan.value;
        }
        events_add(events, event);
        if (event.kind == JSON_FAULT)
            good = good && scan.fault != NULL && scan.fault[0] != '\0';
        if (event.kind == JSON_END || event.kind == JSON_FAULT) {
            /* There it stays. */
            good = good && scanner->next(&scan, piece, have, last) == event.kind &&
                   scan.offset == event.offset;
            break;
        }
    }
    free(piece);
    return good;
}
