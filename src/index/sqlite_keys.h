/* sqlite_keys.h - sorted sets of fixed-width keys: how rows are found.
 *
 * An index over random keys dirties a leaf page for every row.  So the keys of
 * the newest rows wait in memory, as sorted runs; when there are many they are
 * written as one sorted part of full blocks (sqlite_parts.h), and parts are
 * merged in turn.  Every write is then in key order, whatever the keys.
 *
 * Shape    a key is compared by memcmp; numbers in it are big endian.  The
 *          number of the row, or of the name, comes last and makes it unique
 * Threads  runs and views are immutable and counted: any thread may read one
 *          it holds.  Making them is the writer's
 * Sources  docs/design/index-schema.md, Keys
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/uuid.h"

/* The numbers are stored: append only. */
enum keys_kind {
    KEYS_ID,        /* id | row: which run has this id */
    KEYS_TRACE,     /* trace, start, id | row: the runs of a trace, by time */
    KEYS_START,     /* start, id, name | row: all runs, by time */
    KEYS_NAME,      /* name, start, id | row: the runs of a name, by time */
    KEYS_TEXT,      /* hash of a folded name | name: which number a name has */
    KEYS_GRAM,      /* three code points | name: the names that hold them */
    KEYS_PROJECT,   /* project, start, id, sort | row: the runs of a project, by time */
    KEYS_ATTRIBUTE, /* hash of an attribute, start, id | row: the runs that have it, by time */
    KEYS_KINDS
};

enum {
    KEYS_NUMBER = 5, /* bytes of a row's or a name's number */
    KEYS_ID_PREFIX = 16,
    KEYS_TEXT_PREFIX = 8,
    KEYS_GRAM_PREFIX = 8,
    KEYS_ATTRIBUTE_PREFIX = 8,
    KEYS_SORT = 1,        /* bytes of a run's sort: see key_sort() */
    KEYS_GRAM_POINTS = 3, /* code points of a gram, of 21 bits each */
    KEYS_WIDTH_MAX = 16 + 8 + 16 + KEYS_NUMBER,
    KEYS_RUNS_MAX = 32 /* each is at least twice as long as the next */
};

#define KEYS_NUMBER_MAX ((UINT64_C(1) << (8 * KEYS_NUMBER)) - 1)

static inline size_t keys_width(enum keys_kind kind)
{
    static const uint8_t width[KEYS_KINDS] = {
        [KEYS_ID] = KEYS_ID_PREFIX + KEYS_NUMBER,
        [KEYS_TRACE] = 16 + 8 + 16 + KEYS_NUMBER,
        [KEYS_START] = 8 + 16 + KEYS_NUMBER + KEYS_NUMBER,
        [KEYS_NAME] = KEYS_NUMBER + 8 + 16 + KEYS_NUMBER,
        [KEYS_TEXT] = KEYS_TEXT_PREFIX + KEYS_NUMBER,
        [KEYS_GRAM] = KEYS_GRAM_PREFIX + KEYS_NUMBER,
        [KEYS_PROJECT] = KEYS_NUMBER + 8 + 16 + KEYS_SORT + KEYS_NUMBER,
        [KEYS_ATTRIBUTE] = KEYS_ATTRIBUTE_PREFIX + 8 + 16 + KEYS_NUMBER,
    };
    return width[kind];
}

/* A key under construction. */
struct key {
    unsigned char at[KEYS_WIDTH_MAX];
    size_t len;
};

static inline void key_add_u64(struct key *key, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        key->at[key->len++] = (unsigned char)(v >> shift);
}

static inline void key_add_number(struct key *key, uint64_t v)
{
    for (int shift = 8 * (KEYS_NUMBER - 1); shift >= 0; shift -= 8)
        key->at[key->len++] = (unsigned char)(v >> shift);
}

static inline void key_add_id(struct key *key, struct uuid id)
{
    memcpy(key->at + key->len, id.byte, sizeof id.byte);
    key->len += sizeof id.byte;
}

/* Times before 1970 sort below those after. */
static inline void key_add_time(struct key *key, int64_t us)
{
    key_add_u64(key, (uint64_t)us ^ UINT64_C(1) << 63);
}

/* Is it the top of its trace, and of which type?  So that this can be tested without the row. */
static inline unsigned char key_sort(bool top, unsigned type)
{
    return (unsigned char)(type << 1 | top);
}

/* Fill up to the full width: nothing with this prefix is above. */
static inline void key_fill(struct key *key, enum keys_kind kind)
{
    memset(key->at + key->len, 0xff, keys_width(kind) - key->len);
    key->len = keys_width(kind);
}

static inline uint64_t key_read_number(const unsigned char *at)
{
    uint64_t v = 0;
    for (int i = 0; i < KEYS_NUMBER; i++)
        v = v << 8 | at[i];
    return v;
}

/* The number at the end of a key. */
static inline uint64_t key_number(enum keys_kind kind, const unsigned char *key)
{
    return key_read_number(key + keys_width(kind) - KEYS_NUMBER);
}

/* The gram that ends with this code point; `before` is the one that ended before it. */
static inline uint64_t keys_gram(uint64_t before, uint32_t point)
{
    return (before << 21 | point) & ((UINT64_C(1) << 21 * KEYS_GRAM_POINTS) - 1);
}

/* The first eight bytes as a number; every key is longer than that. */
static inline uint64_t key_prefix(const unsigned char *key)
{
    return __builtin_bswap64(get_u64(key));
}

/* As memcmp; most pairs differ within their first eight bytes. */
static inline int key_order(const unsigned char *a, const unsigned char *b, size_t width)
{
    uint64_t x = key_prefix(a), y = key_prefix(b);
    if (x != y)
        return x < y ? -1 : 1;
    return memcmp(a + 8, b + 8, width - 8);
}

/* Sorted, distinct keys in memory. */
struct keys_run {
    atomic_uint refs;
    size_t width, count;
    unsigned char at[];
};

/* From `count` keys in any order, which are sorted in place.  Never NULL. */
struct keys_run *keys_run_new(unsigned char *keys, size_t count, size_t width);
struct keys_run *keys_run_merge(const struct keys_run *a, const struct keys_run *b);
void keys_run_unref(struct keys_run *run); /* NULL is fine */

/* How many of the run's keys are below `key`. */
size_t keys_below_count(const unsigned char *keys, size_t count, size_t width,
                        const unsigned char *key);

/* Which keys a part may hold: a Bloom filter whose probes share a cache line. */
struct keys_filter {
    atomic_uint refs;
    int64_t part;
    uint64_t seed; /* secret, so that nobody can choose keys that pass */
    size_t size;   /* bytes, whole lines */
    unsigned char bits[];
};

enum { KEYS_FILTER_LINE = 64, KEYS_FILTER_BITS = 10 /* of each key */ };

struct keys_filter *keys_filter_new(size_t keys, int64_t part, uint64_t seed); /* NULL: no memory */
size_t keys_filter_prefix(enum keys_kind kind); /* bytes it looks at; 0: the kind has none */
void keys_filter_add(struct keys_filter *filter, const unsigned char *prefix, size_t len);
bool keys_filter_may_have(const struct keys_filter *filter, const unsigned char *prefix,
                          size_t len);
void keys_filter_unref(struct keys_filter *filter); /* NULL is fine */

/* What is in memory at one commit.  Rule for a reader, so that it sees whole
 * commits: take the view first, begin the transaction after it, and take no
 * notice of rows above view->rows.  What a view no longer holds was in a part
 * before the view was published; what it holds may be in a part as well. */
struct keys_view {
    atomic_uint refs;
    uint64_t rows; /* the last row of the commit */
    struct {
        struct keys_run *runs[KEYS_RUNS_MAX]; /* longest first */
        size_t count;
    } kind[KEYS_KINDS];
    size_t filter_count;
    struct keys_filter *filters[];
};

/* The view after a commit: as `old`, without the kinds that were `flushed`,
 * with `added` (NULL: none; taken over).  Filters get a reference each. */
struct keys_view *keys_view_new(const struct keys_view *old, uint64_t rows,
                                const bool flushed[KEYS_KINDS], struct keys_run *added[KEYS_KINDS],
                                struct keys_filter **filters, size_t filter_count);
struct keys_view *keys_view_ref(struct keys_view *view);
void keys_view_unref(struct keys_view *view); /* NULL is fine */
size_t keys_view_count(const struct keys_view *view, enum keys_kind kind);
