/* sqlite_keys.c - see sqlite_keys.h.  The half that is in memory. */
#include "index/sqlite_keys.h"

#include <assert.h>
#include <stdlib.h>

#include "index/hash.h"

enum { RADIX_MIN = 64, FILTER_PROBES = 6 };

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static bool is_sorted(const unsigned char *keys, size_t count, size_t width)
{
    for (size_t i = 1; i < count; i++)
        if (key_order(keys + (i - 1) * width, keys + i * width, width) >= 0)
            return false;
    return true;
}

/* A key's first bytes as a number, and where it is. */
struct entry {
    uint64_t prefix;
    const unsigned char *key;
};

static int entry_order(const void *a, const void *b, void *width)
{
    const struct entry *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return memcmp(x->key, y->key, *(const size_t *)width);
}

/* One pass of a radix sort, by the byte at `shift`.  False: all were equal in it. */
static bool radix_pass(const struct entry *in, struct entry *out, size_t count, int shift)
{
    size_t at[256] = {0};
    for (size_t i = 0; i < count; i++)
        at[in[i].prefix >> shift & 0xff]++;
    if (at[in[0].prefix >> shift & 0xff] == count)
        return false;
    size_t sum = 0;
    for (size_t b = 0; b < 256; b++) {
        size_t n = at[b];
        at[b] = sum;
        sum += n;
    }
    for (size_t i = 0; i < count; i++)
        out[at[in[i].prefix >> shift & 0xff]++] = in[i];
    return true;
}

/* By the first eight bytes with a radix sort, then what is equal in them. */
static struct entry *sort_entries(struct entry *entries, struct entry *spare, size_t count,
                                  size_t width)
{
    if (count < RADIX_MIN) {
        qsort_r(entries, count, sizeof *entries, entry_order, &width);
        return entries;
    }
    for (int shift = 0; shift < 64; shift += 8)
        if (radix_pass(entries, spare, count, shift)) {
            struct entry *t = entries;
            entries = spare;
            spare = t;
        }
    for (size_t i = 0, end; i < count; i = end) {
        bool sorted = true;
        for (end = i + 1; end < count && entries[end].prefix == entries[i].prefix; end++)
            sorted = sorted && memcmp(entries[end - 1].key, entries[end].key, width) <= 0;
        if (!sorted)
            qsort_r(entries + i, end - i, sizeof *entries, entry_order, &width);
    }
    return entries;
}

struct keys_run *keys_run_new(unsigned char *keys, size_t count, size_t width)
{
    struct keys_run *run = must(malloc(sizeof *run + count * width));
    atomic_init(&run->refs, 1);
    run->width = width;
    run->count = count;
    if (is_sorted(keys, count, width)) {
        if (count > 0)
            memcpy(run->at, keys, count * width);
        return run;
    }

    struct entry *entries = must(malloc(2 * count * sizeof *entries));
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){key_prefix(keys + i * width), keys + i * width};
    const struct entry *sorted = sort_entries(entries, entries + count, count, width);
    unsigned char *end = run->at;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && memcmp(end - width, sorted[i].key, width) == 0)
            continue;
        memcpy(end, sorted[i].key, width);
        end += width;
    }
    run->count = (size_t)(end - run->at) / width;
    free(entries);
    return run;
}

struct keys_run *keys_run_merge(const struct keys_run *a, const struct keys_run *b)
{
    size_t width = a->width;
    struct keys_run *run = must(malloc(sizeof *run + (a->count + b->count) * width));
    atomic_init(&run->refs, 1);
    run->width = width;
    const unsigned char *p = a->at, *p_end = p + a->count * width;
    const unsigned char *q = b->at, *q_end = q + b->count * width;
    unsigned char *end = run->at;
    while (p < p_end && q < q_end) {
        int order = key_order(p, q, width);
        memcpy(end, order <= 0 ? p : q, width);
        end += width;
        p += order <= 0 ? width : 0;
        q += order >= 0 ? width : 0;
    }
    memcpy(end, p, (size_t)(p_end - p));
    end += p_end - p;
    memcpy(end, q, (size_t)(q_end - q));
    end += q_end - q;
    run->count = (size_t)(end - run->at) / width;
    return run;
}

void keys_run_unref(struct keys_run *run)
{
    if (run && atomic_fetch_sub_explicit(&run->refs, 1, memory_order_acq_rel) == 1)
        free(run);
}

size_t keys_below_count(const unsigned char *keys, size_t count, size_t width,
                        const unsigned char *key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key_order(keys + middle * width, key, width) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t keys_filter_prefix(enum keys_kind kind)
{
    return kind == KEYS_ID ? KEYS_ID_PREFIX : kind == KEYS_TEXT ? KEYS_TEXT_PREFIX : 0;
}

struct keys_filter *keys_filter_new(size_t keys, int64_t part, uint64_t seed)
{
    size_t lines = keys / (8 * KEYS_FILTER_LINE / KEYS_FILTER_BITS) + 1;
    struct keys_filter *filter = calloc(1, sizeof *filter + lines * KEYS_FILTER_LINE);
    if (!filter)
        return NULL;
    atomic_init(&filter->refs, 1);
    filter->part = part;
    filter->seed = seed;
    filter->size = lines * KEYS_FILTER_LINE;
    return filter;
}

/* The line of a key, and FILTER_PROBES bits in it, nine bits of `*bits` each. */
static size_t filter_line(const struct keys_filter *filter, const unsigned char *prefix, size_t len,
                          uint64_t *bits)
{
    uint64_t h = hash_bytes(filter->seed, prefix, len);
    *bits = hash_mix(h, UINT64_C(0xd6e8feb86659fd93));
    size_t lines = filter->size / KEYS_FILTER_LINE;
    return (size_t)((hash_wide)h * lines >> 64) * KEYS_FILTER_LINE;
}

void keys_filter_add(struct keys_filter *filter, const unsigned char *prefix, size_t len)
{
    uint64_t bits;
    unsigned char *line = filter->bits + filter_line(filter, prefix, len, &bits);
    for (int i = 0; i < FILTER_PROBES; i++, bits >>= 9)
        line[bits >> 3 & 0x3f] |= (unsigned char)(1u << (bits & 7));
}

bool keys_filter_may_have(const struct keys_filter *filter, const unsigned char *prefix, size_t len)
{
    uint64_t bits;
    const unsigned char *line = filter->bits + filter_line(filter, prefix, len, &bits);
    for (int i = 0; i < FILTER_PROBES; i++, bits >>= 9)
        if (!(line[bits >> 3 & 0x3f] & 1u << (bits & 7)))
            return false;
    return true;
}

void keys_filter_unref(struct keys_filter *filter)
{
    if (filter && atomic_fetch_sub_explicit(&filter->refs, 1, memory_order_acq_rel) == 1)
        free(filter);
}

/* Add a run behind the others, and merge from the end until each is at least
 * twice as long as the next: so a key is copied a logarithm of times. */
static void view_add(struct keys_view *view, enum keys_kind kind, struct keys_run *run)
{
    struct keys_run **runs = view->kind[kind].runs;
    size_t n = view->kind[kind].count;
    while (n > 0 && runs[n - 1]->count < 2 * run->count) {
        struct keys_run *merged = keys_run_merge(runs[n - 1], run);
        keys_run_unref(runs[--n]);
        keys_run_unref(run);
        run = merged;
    }
    assert(n < KEYS_RUNS_MAX);
    runs[n] = run;
    view->kind[kind].count = n + 1;
}

struct keys_view *keys_view_new(const struct keys_view *old, uint64_t rows,
                                const bool flushed[KEYS_KINDS], struct keys_run *added[KEYS_KINDS],
                                struct keys_filter **filters, size_t filter_count)
{
    struct keys_view *view = must(calloc(1, sizeof *view + filter_count * sizeof(void *)));
    atomic_init(&view->refs, 1);
    view->rows = rows;
    for (int k = 0; k < KEYS_KINDS; k++) {
        for (size_t i = 0; old && !flushed[k] && i < old->kind[k].count; i++) {
            struct keys_run *run = old->kind[k].runs[i];
            atomic_fetch_add_explicit(&run->refs, 1, memory_order_relaxed);
            view->kind[k].runs[view->kind[k].count++] = run;
        }
        if (added[k])
            view_add(view, (enum keys_kind)k, added[k]);
    }
    for (size_t i = 0; i < filter_count; i++) {
        atomic_fetch_add_explicit(&filters[i]->refs, 1, memory_order_relaxed);
        view->filters[i] = filters[i];
    }
    view->filter_count = filter_count;
    return view;
}

struct keys_view *keys_view_ref(struct keys_view *view)
{
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    return view;
}

void keys_view_unref(struct keys_view *view)
{
    if (!view || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int k = 0; k < KEYS_KINDS; k++)
        for (size_t i = 0; i < view->kind[k].count; i++)
            keys_run_unref(view->kind[k].runs[i]);
    for (size_t i = 0; i < view->filter_count; i++)
        keys_filter_unref(view->filters[i]);
    free(view);
}

size_t keys_view_count(const struct keys_view *view, enum keys_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < view->kind[kind].count; i++)
        count += view->kind[kind].runs[i]->count;
    return count;
}
