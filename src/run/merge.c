/* merge.c - see merge.h. */
#include "run/merge.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

#define BIT(field) (UINT32_C(1) << (field))

/* What a layer can hold. */
static const uint32_t holdable = BIT(RUN_NAME) | BIT(RUN_INPUTS) | BIT(RUN_OUTPUTS) |
                                 BIT(RUN_METADATA) | BIT(RUN_EXTRA) | BIT(RUN_ERROR_TEXT) |
                                 BIT(RUN_EVENTS) | BIT(RUN_TAGS) | BIT(RUN_SERIALIZED) |
                                 BIT(RUN_DOTTED_ORDER) | BIT(RUN_RUN_TYPE) | BIT(RUN_START_TIME) |
                                 BIT(RUN_END_TIME) | BIT(RUN_REFERENCE_EXAMPLE_ID);

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* `{}` or `[]`, whatever white space is between. */
static bool is_empty(struct str json)
{
    if (json.len < 2 || (json.at[0] != '{' && json.at[0] != '['))
        return false;
    size_t at = 1;
    while (at + 1 < json.len && is_blank(json.at[at]))
        at++;
    return at + 1 == json.len;
}

static bool says_nothing(enum run_field field, struct str json)
{
    return json.len == 0 || json.at[0] == 'n' ||
           (field == RUN_ERROR_TEXT && str_eq(json, STR("\"\"")));
}

uint32_t merge_says(const struct run *run, uint32_t *empty)
{
    uint32_t says = 0;
    *empty = 0;
    for (uint32_t left = run->present & holdable; left; left &= left - 1) {
        enum run_field field = (enum run_field)__builtin_ctz(left);
        struct str json = run_field(run, field);
        if (says_nothing(field, json))
            continue;
        says |= BIT(field);
        if (is_empty(json))
            *empty |= BIT(field);
    }
    if (run->kind != RUN_WHOLE && says & BIT(RUN_EXTRA)) {
        says |= BIT(RUN_METADATA); /* also when extra has none: then the run has none */
        *empty = (*empty & ~BIT(RUN_METADATA)) | (*empty & BIT(RUN_EXTRA) ? BIT(RUN_METADATA) : 0);
    }
    /* A whole run that does not say when it ended has ended when it began. */
    if (run->kind == RUN_WHOLE && run->end_us != RUN_RUNNING)
        says |= BIT(RUN_END_TIME);
    return says;
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int age(const struct holder *a, const struct holder *b)
{
    int r = order(a->sequence, b->sequence);
    if (!r)
        r = order(a->place.container, b->place.container);
    return r ? r : order(a->place.ordinal, b->place.ordinal);
}

/* Does `a` hold the field rather than `b`?  Both say something of it. */
static bool holds(const struct holder *a, const struct holder *b, enum run_field field)
{
    bool patch_a = a->kind == RUN_PATCH, patch_b = b->kind == RUN_PATCH;
    if (field == RUN_DOTTED_ORDER)
        return patch_a != patch_b ? patch_b : age(a, b) < 0;
    if (patch_a != patch_b)
        return patch_a;
    bool empty_a = a->empty & BIT(field), empty_b = b->empty & BIT(field);
    if (empty_a != empty_b)
        return empty_b;
    return age(a, b) > 0;
}

bool merge_has(const struct merged *merged, const struct run *run)
{
    for (unsigned i = 0; i < merged->count; i++)
        if (merged->holder[i].hash == run->hash[0] && merged->holder[i].kind == run->kind &&
            merged->holder[i].size == run->raw.len)
            return true;
    return false;
}

/* Take from the holders what `fresh` holds now; those that are left with nothing go. */
static uint32_t take(struct merged *merged, struct holder *fresh)
{
    uint32_t taken = fresh->fields;
    for (unsigned i = 0; i < merged->count; i++)
        for (uint32_t both = merged->holder[i].fields & fresh->fields; both; both &= both - 1) {
            enum run_field field = (enum run_field)__builtin_ctz(both);
            if (holds(&merged->holder[i], fresh, field))
                taken &= ~BIT(field);
        }
    unsigned kept = 0;
    for (unsigned i = 0; i < merged->count; i++) {
        merged->holder[i].fields &= ~taken;
        merged->holder[i].empty &= ~taken;
        if (merged->holder[i].fields)
            merged->holder[kept++] = merged->holder[i];
    }
    merged->count = kept;
    fresh->fields = taken;
    fresh->empty &= taken;
    return taken;
}

static void take_values(struct merged *merged, const struct run *run, uint32_t taken)
{
    if (taken & BIT(RUN_RUN_TYPE))
        merged->type = run->type;
    if (taken & BIT(RUN_START_TIME))
        merged->start_us = run->start_us;
    if (taken & BIT(RUN_END_TIME))
        merged->end_us = run->end_us;
    if (merged->guessed || uuid_is_zero(merged->trace)) {
        merged->trace = uuid_is_zero(run->trace) ? merged->trace : run->trace;
        merged->guessed = uuid_is_zero(run->trace);
    }
    if (uuid_is_zero(merged->parent))
        merged->parent = run->parent;
}

static bool is_held(const struct merged *merged, enum run_field field)
{
    for (unsigned i = 0; i < merged->count; i++)
        if (merged->holder[i].fields & BIT(field))
            return true;
    return false;
}

uint32_t merge_add(struct merged *merged, const struct run *run, struct place place,
                   uint64_t sequence)
{
    assert(run->kind <= RUN_PATCH);
    bool first = merged->version == 0;
    struct holder fresh = {
        .place = place,
        .sequence = sequence,
        .hash = run->hash[0],
        .size = (uint32_t)run->raw.len,
        .kind = run->kind,
    };
    fresh.fields = merge_says(run, &fresh.empty);
    if (first) {
        *merged = (struct merged){
            .id = run->id, .start_us = run->start_us, .end_us = RUN_RUNNING, .type = run->type};
    }
    uint32_t taken = take(merged, &fresh);
    if (taken || merged->count == 0) { /* a run has one at least, to be found by */
        assert(merged->count < MERGE_HOLDERS);
        merged->holder[merged->count++] = fresh;
    }
    take_values(merged, run, taken);
    if (run->kind != RUN_PATCH) {
        merged->posted = true;
        memcpy(merged->post_hash, run->hash, sizeof merged->post_hash);
    }
    merged->status = is_held(merged, RUN_ERROR_TEXT) ? RUN_ERROR
                     : merged->end_us != RUN_RUNNING ? RUN_SUCCESS
                                                     : RUN_PENDING;
    merged->version = sequence > merged->version ? sequence : merged->version + 1;
    return taken;
}

uint64_t merge_size(const struct holder *holders, unsigned count)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += holders[i].size;
    return size;
}

enum {
    AT_CONTAINER = 0,
    AT_ORDINAL = 8,
    AT_SEQUENCE = 12,
    AT_HASH = 20,
    AT_SIZE = 28,
    AT_FIELDS = 32,
    AT_EMPTY = 36,
    AT_KIND = 40
};

void merge_write(const struct holder *holders, unsigned count, struct text *text)
{
    char *to = text_room(text, (size_t)count * MERGE_HOLDER_BYTES);
    for (unsigned i = 0; i < count; i++, to += MERGE_HOLDER_BYTES) {
        const struct holder *h = &holders[i];
        put_u64(to + AT_CONTAINER, h->place.container);
        put_u32(to + AT_ORDINAL, h->place.ordinal);
        put_u64(to + AT_SEQUENCE, h->sequence);
        put_u64(to + AT_HASH, h->hash);
        put_u32(to + AT_SIZE, h->size);
        put_u32(to + AT_FIELDS, h->fields);
        put_u32(to + AT_EMPTY, h->empty);
        to[AT_KIND] = (char)h->kind;
    }
    text->len += (size_t)count * MERGE_HOLDER_BYTES;
}

int merge_read(struct str bytes, struct holder *holders, unsigned *count, struct err *err)
{
    size_t n = bytes.len / MERGE_HOLDER_BYTES;
    if (n == 0 || n > MERGE_HOLDERS || bytes.len % MERGE_HOLDER_BYTES)
        return err_set(err, ERR_CORRUPT, "index: a row of %zu bytes of holders", bytes.len);
    const char *from = bytes.at;
    for (size_t i = 0; i < n; i++, from += MERGE_HOLDER_BYTES) {
        unsigned kind = (unsigned char)from[AT_KIND];
        if (kind > RUN_PATCH)
            return err_set(err, ERR_CORRUPT, "index: a holder of kind %u", kind);
        holders[i] = (struct holder){
            .place = {get_u64(from + AT_CONTAINER), get_u32(from + AT_ORDINAL)},
            .sequence = get_u64(from + AT_SEQUENCE),
            .hash = get_u64(from + AT_HASH),
            .size = get_u32(from + AT_SIZE),
            .fields = get_u32(from + AT_FIELDS),
            .empty = get_u32(from + AT_EMPTY),
            .kind = (enum run_kind)kind,
        };
    }
    *count = (unsigned)n;
    return 0;
}
