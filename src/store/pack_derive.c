/* pack_derive.c - the sections of a pack, made from its items; see pack_layout.h. */
#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/text.h"
#include "run/record.h"
#include "store/pack_layout.h"

struct pack_origin pack_origin(const struct pack_item *item, uint64_t at)
{
    struct run run = record_peek(item->entry);
    return (struct pack_origin){
        .id = run.id,
        .trace = run.trace,
        .at = at,
        .sequence = item->sequence,
        .received_us = item->received_us,
        .size = item->size,
        .ordinal = item->ordinal,
        .first = item->first,
        .count = item->count,
        .kind = item->kind,
    };
}

/* An origin, and its row in the runs.  What decides most comparisons is here:
 * the origins are too many to lie in the processor's cache. */
struct sorted {
    uint64_t key; /* the ordinal, or the first bytes of the id */
    const struct pack_origin *origin;
    uint32_t row;
};

static int by_ordinal(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static int by_id(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? 1 : -1;
    int r = uuid_compare(x->origin->id, y->origin->id);
    return r ? r : (x->row > y->row) - (x->row < y->row);
}

/* Where a row of `size` bytes goes. */
static char *row(struct text *rows, size_t size)
{
    char *at = text_room(rows, size);
    memset(at, 0, size);
    rows->len += size;
    return at;
}

static void derive_runs(struct sorted *sorted, uint32_t count, struct text *rows)
{
    for (uint32_t i = 0; i < count; i++)
        sorted[i].key = sorted[i].origin->ordinal;
    qsort(sorted, count, sizeof *sorted, by_ordinal);
    for (uint32_t i = 0; i < count; i++) {
        const struct pack_origin *o = sorted[i].origin;
        char *at = row(rows, ROW_RUN);
        put_u32(at, o->ordinal);
        put_u32(at + 4, o->size);
        put_u64(at + 8, o->at);
        sorted[i].row = i;
    }
}

static void derive_fences(const struct sorted *sorted, uint32_t count, struct text *rows)
{
    for (uint32_t i = 0; i < count; i += PAGE_ROWS)
        put_u32(row(rows, ROW_FENCE), sorted[i].origin->ordinal);
}

/* `sorted` by ordinal: the runs of a record follow each other. */
static void derive_records(const struct sorted *sorted, uint32_t count, struct text *rows)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pack_origin *o = sorted[i].origin;
        if (i > 0 && sorted[i - 1].origin->sequence == o->sequence)
            continue;
        char *at = row(rows, ROW_RECORD);
        put_u64(at, o->sequence);
        put_u64(at + 8, (uint64_t)o->received_us);
        put_u32(at + 16, o->first);
        put_u32(at + 20, o->count);
        put_u32(at + 24, o->kind);
    }
}

static void derive_ids(struct sorted *sorted, uint32_t count, struct text *rows)
{
    for (uint32_t i = 0; i < count; i++)
        sorted[i].key = uuid_prefix(sorted[i].origin->id);
    qsort(sorted, count, sizeof *sorted, by_id);
    for (uint32_t i = 0; i < count; i++)
        memcpy(row(rows, sizeof(struct uuid)), sorted[i].origin->id.byte, sizeof(struct uuid));
    for (uint32_t i = 0; i < count; i++)
        put_u32(row(rows, 4), sorted[i].row);
}

static int by_trace(const void *a, const void *b)
{
    const struct pack_trace *x = a, *y = b;
    int r = uuid_compare(x->trace, y->trace);
    return r ? r : (x->at > y->at) - (x->at < y->at);
}

static void derive_traces(const struct pack_origin *origins, uint32_t count, struct text *rows)
{
    struct pack_trace *traces = malloc((count + 1) * sizeof *traces);
    if (!traces)
        abort();
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct pack_origin *o = &origins[i];
        if (n == 0 || uuid_compare(traces[n - 1].trace, o->trace) != 0 ||
            traces[n - 1].at + traces[n - 1].size != o->at)
            traces[n++] = (struct pack_trace){.trace = o->trace, .at = o->at};
        traces[n - 1].size += o->size;
        traces[n - 1].runs++;
    }
    qsort(traces, n, sizeof *traces, by_trace);
    for (uint32_t i = 0; i < n; i++) {
        char *at = row(rows, ROW_TRACE);
        memcpy(at, traces[i].trace.byte, sizeof traces[i].trace.byte);
        put_u64(at + 16, traces[i].at);
        put_u64(at + 24, traces[i].size);
        put_u32(at + 32, traces[i].runs);
    }
    free(traces);
}

void pack_derive(const struct pack_origin *origins, uint32_t count, struct text rows[PACK_SECTIONS])
{
    struct sorted *sorted = calloc((size_t)count + 1, sizeof *sorted);
    if (!sorted)
        abort();
    for (uint32_t i = 0; i < count; i++)
        sorted[i].origin = &origins[i];
    derive_runs(sorted, count, &rows[PACK_RUNS]);
    derive_fences(sorted, count, &rows[PACK_FENCES]);
    derive_records(sorted, count, &rows[PACK_RECORDS]);
    derive_ids(sorted, count, &rows[PACK_IDS]);
    derive_traces(origins, count, &rows[PACK_TRACES]);
    free(sorted);
}
