/* sqlite_scan.c - see sqlite_scan.h.
 *
 * A scan is a merge, downwards or upwards, of the runs of a view and the parts
 * of a transaction.  A part is not opened before its first key in that direction
 * is the next of all heads, so a scan by time touches only the parts that it
 * reaches.  A key that is both in memory and in a part comes once.
 */
#include "index/sqlite_scan.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "index/sqlite_db.h"

enum { CHECK_EVERY = 64 };

/* One sorted sequence.  Its head is the last of the `left` keys, upwards the first of
 * them; of a part that is closed, `bound`, at or behind which all its keys lie. */
struct keys_source {
    const unsigned char *keys;
    size_t left, count;      /* keys that were not given yet, of those at `keys` */
    const struct part *part; /* NULL: in memory */
    bool closed;             /* the part's block must be sought behind `bound` */
    unsigned char *buffer;   /* the block; PART_BLOCK bytes, made when needed */
    uint32_t position;       /* of the block in the part; upwards of the next one */
    bool inclusive;          /* `bound` is the part's last key itself, upwards its first */
    const unsigned char *bound;
};

int keys_reader_open(struct keys_reader *reader, sqlite3 *db, struct err *err)
{
    *reader = (struct keys_reader){.db = db, .parts.layout = -1};
    int r = db_prepare(db,
                       "SELECT f.block, b.keys FROM fence f JOIN block b ON b.block = f.block"
                       " WHERE f.part = ?1 AND f.first < ?2 ORDER BY f.first DESC LIMIT 1",
                       &reader->seek, err);
    if (!r)
        r = db_prepare(db, "SELECT keys FROM block WHERE block = ?1", &reader->block, err);
    if (!r)
        r = db_prepare(db,
                       "SELECT part, kind, level, blocks, keys, first, last FROM part"
                       " WHERE state = 1 ORDER BY kind, part DESC",
                       &reader->list, err);
    if (r)
        keys_reader_close(reader);
    return r;
}

void keys_reader_close(struct keys_reader *reader)
{
    sqlite3_finalize(reader->seek);
    sqlite3_finalize(reader->block);
    sqlite3_finalize(reader->list);
    free(reader->parts.at);
    *reader = (struct keys_reader){0};
}

static int damaged(struct err *err)
{
    (void)err_set(err, ERR_CORRUPT, "index: its keys are damaged; run `rundlet reindex`");
    return ERR_CORRUPT;
}

/* Take a row of `list`. */
static int take_part(sqlite3_stmt *row, struct part *part, struct err *err)
{
    int64_t kind = sqlite3_column_int64(row, 1);
    if (kind < 0 || kind >= KEYS_KINDS)
        return damaged(err);
    *part = (struct part){
        .part = sqlite3_column_int64(row, 0),
        .kind = (enum keys_kind)kind,
        .level = sqlite3_column_int(row, 2),
        .blocks = (uint32_t)sqlite3_column_int64(row, 3),
        .keys = (uint64_t)sqlite3_column_int64(row, 4),
    };
    size_t width = keys_width(part->kind);
    const void *first = sqlite3_column_blob(row, 5), *last = sqlite3_column_blob(row, 6);
    if (!first || !last || (size_t)sqlite3_column_bytes(row, 5) != width ||
        (size_t)sqlite3_column_bytes(row, 6) != width || part->blocks == 0)
        return damaged(err);
    memcpy(part->first, first, width);
    memcpy(part->last, last, width);
    return 0;
}

int keys_reader_load(struct keys_reader *reader, int64_t layout, struct err *err)
{
    struct part_list *parts = &reader->parts;
    if (parts->layout == layout)
        return 0;
    parts->layout = -1;
    parts->count = 0;
    bool row = false;
    int r;
    while (!(r = db_step(reader->list, &row, "list the parts", err)) && row) {
        if (parts->count == parts->cap) {
            parts->cap = parts->cap ? parts->cap * 2 : 64;
            parts->at = realloc(parts->at, parts->cap * sizeof *parts->at);
            if (!parts->at)
                abort();
        }
        r = take_part(reader->list, &parts->at[parts->count], err);
        if (r) {
            (void)sqlite3_reset(reader->list); /* no step failed */
            return r;
        }
        parts->count++;
    }
    if (r)
        return r;
    size_t i = 0;
    for (int k = 0; k <= KEYS_KINDS; k++) {
        while (i < parts->count && (int)parts->at[i].kind < k)
            i++;
        parts->begin[k] = i;
    }
    parts->layout = layout;
    return 0;
}

int keys_reader_check(struct keys_reader *reader, struct err *err)
{
    if (reader->deadline_us == 0 || ++reader->calls % CHECK_EVERY != 0 ||
        clock_mono_us() < reader->deadline_us)
        return 0;
    return err_set(err, ERR_TIMEOUT, "index: the deadline of a read passed");
}

/* The row of `statement` as keys; valid until it is reset. */
static int row_keys(sqlite3_stmt *statement, int column, size_t width, const unsigned char **keys,
                    size_t *count, struct err *err)
{
    assert(width > 0);
    const void *at = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    if (!at || size == 0 || size % width != 0 || size > PART_BLOCK)
        return damaged(err);
    *keys = at;
    *count = size / width;
    return 0;
}

/* Step `seek` to the block of `part` that has the greatest key below `below`.
 * The statement must be reset when *row. */
static int seek(struct keys_reader *reader, const struct part *part, const unsigned char *below,
                bool *row, struct err *err)
{
    int r = keys_reader_check(reader, err);
    if (r)
        return r;
    (void)sqlite3_bind_int64(reader->seek, 1, part->part); /* binds of static bytes cannot fail */
    (void)sqlite3_bind_blob(reader->seek, 2, below, (int)keys_width(part->kind), SQLITE_STATIC);
    return db_step(reader->seek, row, "look a key up", err);
}

static int find_in_part(struct keys_reader *reader, const struct part *part,
                        const struct key *below, size_t prefix, unsigned char *result, bool *found,
                        struct err *err)
{
    size_t width = keys_width(part->kind);
    bool row = false;
    int r = seek(reader, part, below->at, &row, err);
    if (r || !row)
        return r;
    const unsigned char *keys = NULL;
    size_t count = 0;
    r = row_keys(reader->seek, 1, width, &keys, &count, err);
    if (!r) {
        size_t n = keys_below_count(keys, count, width, below->at);
        const unsigned char *key = keys + (n ? n - 1 : 0) * width;
        if (n > 0 && memcmp(key, below->at, prefix) == 0 &&
            (!*found || memcmp(key, result, width) > 0)) {
            memcpy(result, key, width);
            *found = true;
        }
    }
    (void)sqlite3_reset(reader->seek); /* no step failed */
    return r;
}

static bool filter_says_no(const struct keys_view *view, const struct part *part,
                           const unsigned char *key)
{
    size_t prefix = keys_filter_prefix(part->kind);
    for (size_t i = 0; prefix && i < view->filter_count; i++)
        if (view->filters[i]->part == part->part)
            return !keys_filter_may_have(view->filters[i], key, prefix);
    return false;
}

int keys_find(struct keys_reader *reader, const struct keys_view *view, enum keys_kind kind,
              const struct key *below, size_t prefix, unsigned char *result, bool *found,
              struct err *err)
{
    size_t width = keys_width(kind);
    assert(below->len == width && prefix <= width);
    *found = false;
    for (size_t i = 0; i < view->kind[kind].count; i++) {
        const struct keys_run *run = view->kind[kind].runs[i];
        size_t n = keys_below_count(run->at, run->count, width, below->at);
        const unsigned char *key = run->at + (n ? n - 1 : 0) * width;
        if (n == 0 || memcmp(key, below->at, prefix) != 0 ||
            (*found && memcmp(key, result, width) <= 0))
            continue;
        memcpy(result, key, width);
        *found = true;
    }
    const struct part_list *parts = &reader->parts;
    for (size_t i = parts->begin[kind]; i < parts->begin[kind + 1]; i++) {
        const struct part *part = &parts->at[i];
        if (memcmp(part->first, below->at, width) >= 0 ||
            memcmp(part->first, below->at, prefix) > 0 ||
            memcmp(part->last, below->at, prefix) < 0 || filter_says_no(view, part, below->at))
            continue;
        int r = find_in_part(reader, part, below, prefix, result, found, err);
        if (r)
            return r;
    }
    return 0;
}

/* Is the key `a` given before `b`? */
static bool is_before(const struct keys_scan *scan, const unsigned char *a, const unsigned char *b)
{
    int order = key_order(a, b, scan->width);
    return scan->way == KEYS_UP ? order < 0 : order > 0;
}

static bool has_prefix(const struct keys_scan *scan, const unsigned char *key)
{
    return memcmp(key, scan->from, scan->prefix) == 0;
}

static const unsigned char *head(const struct keys_scan *scan, const struct keys_source *source)
{
    if (source->closed)
        return source->bound;
    size_t i = scan->way == KEYS_UP ? source->count - source->left : source->left - 1;
    return source->keys + i * scan->width;
}

/* How many of these keys lie behind `bound`? */
static size_t behind(const struct keys_scan *scan, const unsigned char *keys, size_t count,
                     const unsigned char *bound)
{
    size_t below = keys_below_count(keys, count, scan->width, bound);
    if (scan->way == KEYS_DOWN)
        return below;
    bool is_there = below < count && key_order(keys + below * scan->width, bound, scan->width) == 0;
    return count - below - is_there;
}

static void add_part(struct keys_scan *scan, const struct part *part)
{
    const unsigned char *nearest = scan->way == KEYS_UP ? part->first : part->last;
    const unsigned char *furthest = scan->way == KEYS_UP ? part->last : part->first;
    if (!is_before(scan, scan->from, furthest) ||
        memcmp(part->first, scan->from, scan->prefix) > 0 ||
        memcmp(part->last, scan->from, scan->prefix) < 0)
        return;
    bool whole = is_before(scan, scan->from, nearest);
    scan->sources[scan->count++] = (struct keys_source){
        .part = part,
        .closed = true,
        .inclusive = whole,
        .bound = whole ? nearest : scan->from,
    };
}

int keys_scan_start(struct keys_scan *scan, struct keys_reader *reader,
                    const struct keys_view *view, enum keys_kind kind, enum keys_way way,
                    const struct key *from, size_t prefix, struct err *err)
{
    size_t width = keys_width(kind);
    const struct part_list *parts = &reader->parts;
    assert(from->len == width && prefix <= width);
    *scan = (struct keys_scan){
        .reader = reader, .kind = kind, .way = way, .width = width, .prefix = prefix};
    memcpy(scan->from, from->at, width);
    size_t most = view->kind[kind].count + parts->begin[kind + 1] - parts->begin[kind];
    scan->sources = calloc(most + 1, sizeof *scan->sources);
    if (!scan->sources)
        return err_set(err, ERR_BUSY, "index: no memory for a scan");

    for (size_t i = 0; i < view->kind[kind].count; i++) {
        const struct keys_run *run = view->kind[kind].runs[i];
        struct keys_source source = {.keys = run->at, .count = run->count};
        source.left = behind(scan, run->at, run->count, scan->from);
        if (source.left > 0 && has_prefix(scan, head(scan, &source)))
            scan->sources[scan->count++] = source;
    }
    for (size_t i = parts->begin[kind]; i < parts->begin[kind + 1]; i++)
        add_part(scan, &parts->at[i]);
    return 0;
}

/* Keep a copy of the block, since the statement serves all sources. */
static int keep_block(struct keys_scan *scan, struct keys_source *source, sqlite3_stmt *statement,
                      int column, struct err *err)
{
    const unsigned char *keys = NULL;
    size_t count = 0;
    int r = row_keys(statement, column, scan->width, &keys, &count, err);
    if (r)
        return r;
    if (!source->buffer)
        source->buffer = malloc(PART_BLOCK);
    if (!source->buffer)
        return err_set(err, ERR_BUSY, "index: no memory for a scan");
    memcpy(source->buffer, keys, count * scan->width);
    source->keys = source->buffer;
    source->left = source->count = count;
    return 0;
}

/* Open a closed part at the first key it has behind its bound. */
static int open_part(struct keys_scan *scan, struct keys_source *source, struct err *err)
{
    bool up = scan->way == KEYS_UP;
    source->closed = false;
    source->left = source->count = 0;
    /* By its number; going there finds a gap as damage. */
    source->position = up ? 0 : source->part->blocks;
    if (source->inclusive)
        return 0;
    bool row = false;
    int r = seek(scan->reader, source->part, source->bound, &row, err);
    if (r)
        return r;
    if (!row) { /* all its keys are at or above the bound */
        source->position = 0;
        return 0;
    }
    source->position =
        (uint32_t)(sqlite3_column_int64(scan->reader->seek, 0) & ((1 << PART_SHIFT) - 1)) + up;
    r = keep_block(scan, source, scan->reader->seek, 1, err);
    (void)sqlite3_reset(scan->reader->seek); /* no step failed */
    if (!r)
        source->left = behind(scan, source->keys, source->count, source->bound);
    return r;
}

/* Have a key at hand, from the next block if need be; false in *more: no key is left. */
static int refill(struct keys_scan *scan, struct keys_source *source, bool *more, struct err *err)
{
    bool up = scan->way == KEYS_UP;
    while (source->left == 0) {
        *more = false;
        if (!source->part || source->position == (up ? source->part->blocks : 0))
            return 0;
        int r = keys_reader_check(scan->reader, err);
        if (r)
            return r;
        sqlite3_stmt *block = scan->reader->block;
        uint32_t position = up ? source->position++ : --source->position;
        (void)sqlite3_bind_int64(block, 1, source->part->part << PART_SHIFT | position);
        bool row = false;
        r = db_step(block, &row, "read a block", err);
        if (r)
            return r;
        if (!row)
            return damaged(err);
        r = keep_block(scan, source, block, 0, err);
        (void)sqlite3_reset(block); /* no step failed */
        if (r)
            return r;
    }
    *more = has_prefix(scan, head(scan, source));
    return 0;
}

static void drop(struct keys_scan *scan, struct keys_source *source)
{
    free(source->buffer);
    *source = scan->sources[--scan->count];
}

/* Choose the source whose head is next, and remember the head after it. */
static int choose(struct keys_scan *scan, struct err *err)
{
    for (;;) {
        struct keys_source *best = NULL;
        const unsigned char *second = NULL;
        for (size_t i = 0; i < scan->count; i++) {
            struct keys_source *source = &scan->sources[i];
            const unsigned char *key = head(scan, source);
            if (!best || is_before(scan, key, head(scan, best))) {
                second = best ? head(scan, best) : NULL;
                best = source;
            } else if (!second || is_before(scan, key, second)) {
                second = key;
            }
        }
        scan->best = best;
        scan->second = NULL;
        if (!best)
            return 0;
        if (!best->closed) {
            if (second)
                scan->second = memcpy(scan->second_key, second, scan->width);
            return 0;
        }
        int r = open_part(scan, best, err);
        bool more = false;
        if (!r)
            r = refill(scan, best, &more, err);
        if (r)
            return r;
        if (!more)
            drop(scan, best);
    }
}

int keys_scan_next(struct keys_scan *scan, const unsigned char **key, struct err *err)
{
    for (;;) {
        struct keys_source *best = scan->best;
        if (best) {
            /* Its last key was given; does its next one come before all others? */
            best->left--;
            bool more = false;
            int r = refill(scan, best, &more, err);
            if (r)
                return r;
            if (!more) {
                drop(scan, best);
                best = NULL;
            } else if (scan->second && !is_before(scan, head(scan, best), scan->second)) {
                best = NULL;
            }
        }
        if (!best) {
            int r = choose(scan, err);
            if (r)
                return r;
            best = scan->best;
        }
        if (!best) {
            *key = NULL;
            return 0;
        }
        const unsigned char *at = head(scan, best);
        if (scan->given && memcmp(at, scan->key, scan->width) == 0)
            continue; /* in memory and in a part */
        memcpy(scan->key, at, scan->width);
        scan->given = true;
        *key = scan->key;
        return 0;
    }
}

void keys_scan_skip(struct keys_scan *scan, const struct key *below)
{
    assert(scan->way == KEYS_DOWN && below->len == scan->width && has_prefix(scan, below->at));
    memcpy(scan->from, below->at, scan->width);
    scan->best = NULL;
    for (size_t i = scan->count; i > 0; i--) {
        struct keys_source *source = &scan->sources[i - 1];
        if (source->closed) {
            if (memcmp(source->bound, scan->from, scan->width) >= 0) {
                source->bound = scan->from;
                source->inclusive = false;
            }
            continue;
        }
        source->left = keys_below_count(source->keys, source->left, scan->width, scan->from);
        if (source->left > 0 && has_prefix(scan, head(scan, source)))
            continue;
        if (source->part && source->left == 0 && source->position > 0) {
            source->closed = true;
            source->inclusive = false;
            source->bound = scan->from;
        } else {
            drop(scan, source);
        }
    }
}

void keys_scan_end(struct keys_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        free(scan->sources[i].buffer);
    free(scan->sources);
    *scan = (struct keys_scan){0};
}
