/* split.c - see split.h.
 *
 * A window holds what was fed and not given out.  When a portion was given out
 * the window moves on: what is behind the portion is put after a prefix,
 * "[{}" or "{}", and scanned as a document of its own, whose first item is
 * then one that nobody sent.  So the scanner stands exactly where it stood,
 * behind an item that is complete, and its offsets stay those of the window.
 *
 * An item that does not fit the portion is scanned again as the first of the
 * next one, and so is what is there of an item whose end has not come.
 */
#include "command/split.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum {
    FIRST_CAP = 64 << 10,
    PREFIX_MAX = 3,
    BOM = 3,
    SLACK = 1 << 20 /* bytes behind an item that may be white space, or the next one's begin */
};

static const char array_prefix[] = "[{}", lines_prefix[] = "{}";

struct split {
    struct split_limits limits;
    struct buf *window;
    uint64_t before;           /* bytes of the document in front of the window's own */
    size_t prefix;             /* bytes at the start of the window that are ours */
    bool started, lines, skip; /* skip: the next item is the prefix's */
    struct json_scan scan;

    struct json_span *item; /* of the portion, in the window; then in the portion */
    size_t count;
    uint64_t done; /* items given out */
    size_t given;  /* end in the window of what was given out; 0: nothing */
    const char *fault;
    size_t fault_at; /* in the window */
};

struct split *split_new(const struct split_limits *limits)
{
    assert(limits->items_max > 0);
    struct split *split = calloc(1, sizeof *split);
    if (!split)
        abort();
    split->limits = *limits;
    split->item = calloc(limits->items_max, sizeof *split->item);
    split->window = buf_new(FIRST_CAP);
    if (!split->item || !split->window)
        abort();
    return split;
}

void split_free(struct split *split)
{
    if (!split)
        return;
    buf_unref(split->window);
    free(split->item);
    free(split);
}

/* Begin behind what was given out. */
static void move_on(struct split *split)
{
    if (split->given == 0)
        return;
    struct buf *window = split->window;
    const char *prefix = split->lines ? lines_prefix : array_prefix;
    size_t prefix_len = strlen(prefix), rest = window->len - split->given;
    split->before += split->given - split->prefix;
    memmove(window->at + prefix_len, window->at + split->given, rest);
    memcpy(window->at, prefix, prefix_len);
    window->len = prefix_len + rest;
    split->prefix = prefix_len;
    split->given = 0;
    split->done += split->count;
    split->count = 0;
    split->skip = true;
    json_scan_start(&split->scan, split->lines ? JSON_LINES : JSON_ARRAY);
}

void split_feed(struct split *split, struct str piece)
{
    move_on(split);
    struct buf *window = split->window;
    size_t need = window->len + piece.len + PREFIX_MAX; /* moving on may make it longer */
    if (need > window->cap) {
        split->window = buf_grow(window, need > 2 * window->cap ? need : 2 * window->cap);
        if (!split->window)
            abort();
        window = split->window;
    }
    if (piece.len)
        memcpy(window->at + window->len, piece.at, piece.len);
    window->len += piece.len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Find the first byte that means something, and what it means. */
static enum split_event start(struct split *split, bool last)
{
    struct buf *window = split->window;
    size_t at = 0;
    size_t look = window->len < BOM ? window->len : BOM;
    if (split->before == 0 && look && memcmp(window->at, "\xef\xbb\xbf", look) == 0) {
        if (look < BOM && !last)
            return SPLIT_MORE;
        if (look == BOM)
            at = BOM; /* a byte order mark, as some editors leave it */
    }
    while (at < window->len && is_space(window->at[at]))
        at++;
    split->before += at;
    window->len -= at;
    memmove(window->at, window->at + at, window->len);
    if (window->len == 0)
        return last ? SPLIT_END : SPLIT_MORE;
    split->lines = window->at[0] == '{';
    if (!split->lines && window->at[0] != '[') {
        split->fault = "neither a JSON array of runs nor a run a line";
        return SPLIT_FAULT;
    }
    split->started = true;
    json_scan_start(&split->scan, split->lines ? JSON_LINES : JSON_ARRAY);
    return SPLIT_PORTION;
}

static size_t end_of(struct json_span span)
{
    return span.at + span.len;
}

/* The portion is full, or there is no more: give it out. */
static enum split_event give(struct split *split, struct portion *portion)
{
    size_t from = split->item[0].at;
    split->given = end_of(split->item[split->count - 1]);
    for (size_t i = 0; i < split->count; i++)
        split->item[i].at -= from;
    *portion = (struct portion){
        .bytes = {split->window->at + from, split->given - from},
        .lines = split->lines,
        .first = split->done,
        .item = split->item,
        .count = split->count,
    };
    return SPLIT_PORTION;
}

static enum split_event fault(struct split *split, size_t at, const char *what)
{
    split->fault = what;
    split->fault_at = at;
    return SPLIT_FAULT;
}

enum split_event split_next(struct split *split, bool last, struct portion *portion)
{
    move_on(split);
    if (split->fault)
        return SPLIT_FAULT;
    if (!split->started) {
        enum split_event event = start(split, last);
        if (event != SPLIT_PORTION)
            return event;
    }
    for (;;) {
        struct json_scan *scan = &split->scan;
        switch (json_scan_next(scan, split->window->at, split->window->len, last)) {
        case JSON_FIELD:
            break;
        case JSON_ITEM:
            if (split->skip) {
                split->skip = false;
                break;
            }
            if (split->count > 0 &&
                end_of(scan->value) - split->item[0].at > split->limits.portion_max)
                return give(split, portion);
            split->item[split->count++] = scan->value;
            if (split->count == split->limits.items_max)
                return give(split, portion);
            break;
        case JSON_MORE: {
            size_t from = split->count ? end_of(split->item[split->count - 1]) : split->prefix;
            if (split->window->len - from <= split->limits.item_max + SLACK)
                return SPLIT_MORE;
            return split->count ? give(split, portion)
                                : fault(split, from, "a run is larger than run_max allows");
        }
        case JSON_END:
            return split->count ? give(split, portion) : SPLIT_END;
        case JSON_FAULT:
            /* What is good comes first. */
            return split->count ? give(split, portion) : fault(split, scan->offset, scan->fault);
        }
    }
}

struct split_fault split_fault(const struct split *split)
{
    return (struct split_fault){
        .what = split->fault,
        .offset = split->before + split->fault_at - (split->fault_at ? split->prefix : 0),
        .item = split->done,
    };
}

struct portion portion_part(const struct portion *portion, size_t first, size_t count)
{
    assert(count > 0 && first + count <= portion->count);
    const struct json_span *item = portion->item + first;
    return (struct portion){
        .bytes = {portion->bytes.at + (item->at - portion->item->at),
                  end_of(item[count - 1]) - item->at},
        .lines = portion->lines,
        .first = portion->first + first,
        .item = item,
        .count = count,
    };
}
