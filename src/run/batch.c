/* batch.c - see batch.h.
 *
 * The body lies in one growing buffer, so offsets into it stay good while it
 * moves.  For each run the scanner reports its known fields; when the object
 * ends they are checked, hashed and written down as an entry with its spans.
 * Entries and spans grow apart and are put together at the end, which is when
 * the spans' place in the table is known.
 *
 * A fault in one run does not stop the reading: a client wants to see all of
 * them, and whether the body is JSON at all is judged first.
 */
#include "run/batch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/spare.h"
#include "base/text.h"
#include "wire/json_scan.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

enum { FIRST_SIZE = 4 << 10, WARM_FROM = 256 << 10 };

/* One run while its fields come in.  Spans are absolute in the body. */
struct draft {
    uint32_t sent;  /* bit f: the client sent it */
    uint32_t twice; /* bit f: more than once */
    struct json_span value[RUN_FIELDS];
    enum json_type type[RUN_FIELDS];
};

struct batch {
    struct batch_limits limits;
    struct budget *budget;
    struct spare *spare; /* where a large body comes from and goes, or NULL */
    size_t taken;        /* of the budget */
    size_t paid;         /* bytes of the body that are in it */
    int64_t received_us;
    struct uuid_source ids;
    bool ids_given; /* by the client, one at least */
    bool lines, started, a_value, asked;
    enum batch_state state;

    size_t hint; /* bytes that were promised; 0: unknown */
    struct buf *body;
    size_t blank; /* bytes of white space in front */
    struct json_scan scan;
    struct draft draft;
    XXH3_state_t *hash;
    size_t items;        /* complete, good or bad */
    size_t first, after; /* of the first run and behind the last, in the body */

    size_t runs; /* good ones: entries so far */
    struct text entries, spans;
    struct record record;

    struct batch_refusal refusal;
    struct batch_fault faults[BATCH_FAULTS_MAX];
};

static bool take(struct batch *batch, size_t size)
{
    if (!budget_take(batch->budget, size))
        return false;
    batch->taken += size;
    return true;
}

struct batch *batch_new(bool lines, const struct batch_limits *limits, struct budget *budget,
                        struct spare *spare, int64_t received_us, size_t size_hint)
{
    assert(limits->body_max <= INT32_MAX);
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        abort();
    batch->limits = *limits;
    batch->budget = budget;
    batch->received_us = received_us;
    batch->lines = lines;
    if (size_hint > limits->body_max)
        size_hint = limits->body_max;
    batch->hash = XXH3_createState();
    if (!batch->hash)
        abort();
    batch->spare = spare;
    batch->hint = size_hint;
    batch->body = buf_new(size_hint ? size_hint : FIRST_SIZE);
    batch->state = batch->body && take(batch, BATCH_COST) ? BATCH_READING : BATCH_BUSY;
    return batch;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    budget_give(batch->budget, batch->taken);
    if (batch->spare && batch->body)
        spare_give(batch->spare, batch->body);
    else
        buf_unref(batch->body);
    XXH3_freeState(batch->hash);
    text_free(&batch->entries);
    text_free(&batch->spans);
    free(batch);
}

size_t batch_count(const struct batch *batch)
{
    return batch->items;
}

const struct batch_refusal *batch_refusal(const struct batch *batch)
{
    return &batch->refusal;
}

const struct record *batch_record(const struct batch *batch)
{
    assert(batch->state == BATCH_READY);
    return &batch->record;
}

struct uuid batch_run_id(const struct batch *batch, size_t i)
{
    assert(batch->state == BATCH_READY && i < batch->runs);
    struct uuid id;
    memcpy(id.byte, batch->record.table.at + i * RECORD_ENTRY, sizeof id.byte);
    return id;
}

static enum batch_state refuse(struct batch *batch, enum batch_state state)
{
    return batch->state = state;
}

static enum batch_state too_big(struct batch *batch, const char *what, size_t limit,
                                const char *unit)
{
    snprintf(batch->refusal.what, sizeof batch->refusal.what, "%s: the limit is %zu %s", what,
             limit, unit);
    return refuse(batch, BATCH_TOO_BIG);
}

static void fault(struct batch *batch, enum fault_kind kind, enum run_field field)
{
    if (batch->refusal.fault_count < BATCH_FAULTS_MAX)
        batch->faults[batch->refusal.fault_count++] =
            (struct batch_fault){.kind = kind, .index = batch->items, .field = field};
    batch->refusal.faults = batch->faults;
}

static struct str bytes_of(const struct batch *batch, struct json_span span)
{
    return (struct str){batch->body->at + span.at, span.len};
}

/* ---- one run's fields ---- */

/* The field's bytes when it was sent and is not null; else at == NULL. */
static struct str given(const struct batch *batch, enum run_field field)
{
    const struct draft *d = &batch->draft;
    if (!(d->sent & UINT32_C(1) << field) || d->type[field] == JSON_NULL)
        return (struct str){0};
    return bytes_of(batch, d->value[field]);
}

static bool was_sent(const struct batch *batch, enum run_field field)
{
    return batch->draft.sent & UINT32_C(1) << field;
}

/* What stands between the quotes, decoded into `room`; false when it is longer. */
static bool short_text(struct str json, char *room, size_t size, struct str *text)
{
    struct str inside = {json.at + 1, json.len - 2};
    if (inside.len > size)
        return false;
    *text = (struct str){room, json_string_decode(inside, room)};
    return true;
}

static bool check_uuid(struct batch *batch, enum run_field field, bool required, struct uuid *id)
{
    struct str json = given(batch, field);
    if (!json.at) {
        if (!required)
            return true;
        fault(batch, was_sent(batch, field) ? FAULT_UUID_TYPE : FAULT_MISSING, field);
        return false;
    }
    if (batch->draft.type[field] != JSON_STRING) {
        fault(batch, FAULT_UUID_TYPE, field);
        return false;
    }
    char room[6 * 64]; /* every letter may have come as \u0061 */
    struct str text;
    if (!short_text(json, room, sizeof room, &text) || !uuid_parse(text, id)) {
        fault(batch, FAULT_UUID_PARSING, field);
        return false;
    }
    return true;
}

static void check_type(struct batch *batch, enum run_field field, enum json_type type,
                       enum fault_kind kind, bool null_is_fine)
{
    if (!was_sent(batch, field))
        return;
    enum json_type is = batch->draft.type[field];
    if (is != type && !(null_is_fine && is == JSON_NULL))
        fault(batch, kind, field);
}

static bool number_us(struct str json, int64_t *us)
{
    bool negative = json.at[0] == '-';
    int64_t ms = 0;
    for (size_t i = negative; i < json.len; i++) {
        if (json.at[i] < '0' || json.at[i] > '9' || ms > INT64_MAX / 20000)
            return false;
        ms = ms * 10 + (json.at[i] - '0');
    }
    const int64_t year_10000_ms = INT64_C(253402300800000), year_1_ms = INT64_C(-62135596800000);
    ms = negative ? -ms : ms;
    *us = ms * 1000;
    return ms >= year_1_ms && ms < year_10000_ms;
}

/* A timestamp as text, or as a whole number of milliseconds. */
static bool check_time(struct batch *batch, enum run_field field, int64_t *us)
{
    struct str json = given(batch, field);
    if (!json.at)
        return false;
    char room[6 * 40];
    struct str text;
    bool good = batch->draft.type[field] == JSON_NUMBER
                    ? number_us(json, us)
                    : batch->draft.type[field] == JSON_STRING &&
                          short_text(json, room, sizeof room, &text) && rfc3339_parse(text, us);
    if (!good)
        fault(batch, FAULT_DATETIME_PARSING, field);
    return good;
}

static enum run_type check_run_type(struct batch *batch)
{
    struct str json = given(batch, RUN_RUN_TYPE);
    if (!json.at)
        return RUN_CHAIN;
    char room[6 * 16];
    struct str word;
    if (batch->draft.type[RUN_RUN_TYPE] == JSON_STRING &&
        short_text(json, room, sizeof room, &word)) {
        enum run_type type = run_type_named(word);
        if (type != RUN_TYPES)
            return type;
    }
    fault(batch, FAULT_ENUM, RUN_RUN_TYPE);
    return RUN_CHAIN;
}

/* A native run's metadata is its extra.metadata: sent in one of the two places,
 * or in both with equal bytes.  Where it came only inside extra, the field's
 * span points there. */
static void join_metadata(struct batch *batch)
{
    struct draft *d = &batch->draft;
    struct str extra = given(batch, RUN_EXTRA);
    if (!extra.at || d->type[RUN_EXTRA] != JSON_OBJECT)
        return;
    struct json_scan scan;
    struct json_span inner = {0};
    enum json_type type = JSON_NULL;
    enum json_event event;
    json_scan_start(&scan, JSON_VALUE);
    while ((event = json_scan_next(&scan, extra.at, extra.len, true)) != JSON_END) {
        assert(event == JSON_FIELD || event == JSON_ITEM); /* it is part of a valid document */
        if (event == JSON_FIELD &&
            json_string_is((struct str){extra.at + scan.key.at, scan.key.len}, STR("metadata"))) {
            inner = scan.value;
            type = scan.type;
        }
    }
    if (inner.len == 0)
        return;
    inner.at += d->value[RUN_EXTRA].at;
    if (was_sent(batch, RUN_METADATA)) {
        if (str_eq(bytes_of(batch, inner), bytes_of(batch, d->value[RUN_METADATA])))
            d->value[RUN_METADATA] = inner; /* one thing, so it is shown once in extra */
        else
            fault(batch, FAULT_DUPLICATE_FIELD, RUN_METADATA);
    } else if (type == JSON_OBJECT) {
        d->value[RUN_METADATA] = inner;
        d->type[RUN_METADATA] = type;
        d->sent |= UINT32_C(1) << RUN_METADATA;
    }
}

/* XXH3-128 over the fields the client sent, in the order of their numbers, each
 * with its number and length in front so that no two lists of fields agree. */
static void hash_fields(const struct batch *batch, uint32_t sent, uint64_t hash[2])
{
    XXH3_128bits_reset(batch->hash);
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        if (!(sent & UINT32_C(1) << f))
            continue;
        struct str json = bytes_of(batch, batch->draft.value[f]);
        char head[8];
        put_u32(head, f);
        put_u32(head + 4, (uint32_t)json.len);
        XXH3_128bits_update(batch->hash, head, sizeof head);
        XXH3_128bits_update(batch->hash, json.at, json.len);
    }
    XXH128_hash_t digest = XXH3_128bits_digest(batch->hash);
    hash[0] = digest.low64;
    hash[1] = digest.high64;
}

static bool name_fits(const struct batch *batch)
{
    struct str json = given(batch, RUN_NAME);
    if (json.len <= batch->limits.name_max + 2)
        return true;
    struct str inside = {json.at + 1, json.len - 2};
    if (inside.len > 6 * batch->limits.name_max)
        return false;
    char *room = malloc(inside.len);
    if (!room)
        abort();
    size_t len = json_string_decode(inside, room);
    free(room);
    return len <= batch->limits.name_max;
}

/* The object is complete: check it, and write it down. */
static enum batch_state add_run(struct batch *batch, struct json_span object)
{
    struct draft *d = &batch->draft;
    size_t faults_before = batch->refusal.fault_count;
    if (object.len > batch->limits.run_max)
        return too_big(batch, "A run is too large", batch->limits.run_max, "bytes");

    uint32_t sent = d->sent; /* what the client sent, before we add to it */
    struct run run = {.end_us = RUN_RUNNING, .raw = bytes_of(batch, object)};
    struct uuid ignored;
    bool has_id = given(batch, RUN_ID).at != NULL;
    for (unsigned f = 0; f < RUN_FIELDS; f++)
        if (d->twice & UINT32_C(1) << f)
            fault(batch, FAULT_DUPLICATE_FIELD, (enum run_field)f);
    check_uuid(batch, RUN_ID, false, &run.id);
    check_uuid(batch, RUN_TRACE_ID, true, &run.trace);
    if (!was_sent(batch, RUN_NAME))
        fault(batch, FAULT_MISSING, RUN_NAME);
    check_type(batch, RUN_NAME, JSON_STRING, FAULT_STRING_TYPE, false);
    check_type(batch, RUN_INPUTS, JSON_OBJECT, FAULT_DICT_TYPE, false);
    check_type(batch, RUN_OUTPUTS, JSON_OBJECT, FAULT_DICT_TYPE, false);
    check_type(batch, RUN_METADATA, JSON_OBJECT, FAULT_DICT_TYPE, false);
    check_type(batch, RUN_EXTRA, JSON_OBJECT, FAULT_DICT_TYPE, true);
    check_type(batch, RUN_ERROR_TEXT, JSON_STRING, FAULT_STRING_TYPE, true);
    check_type(batch, RUN_EVENTS, JSON_LIST, FAULT_LIST_TYPE, true);
    check_type(batch, RUN_TAGS, JSON_LIST, FAULT_LIST_TYPE, true);
    check_type(batch, RUN_SERIALIZED, JSON_OBJECT, FAULT_DICT_TYPE, true);
    check_uuid(batch, RUN_PARENT_RUN_ID, false, &run.parent);
    check_type(batch, RUN_DOTTED_ORDER, JSON_STRING, FAULT_STRING_TYPE, true);
    run.type = check_run_type(batch);
    run.start_us = batch->received_us;
    check_time(batch, RUN_START_TIME, &run.start_us);
    if (!check_time(batch, RUN_END_TIME, &run.end_us) && !was_sent(batch, RUN_END_TIME))
        run.end_us = run.start_us;
    check_type(batch, RUN_SESSION_NAME, JSON_STRING, FAULT_STRING_TYPE, true);
    check_uuid(batch, RUN_SESSION_ID, false, &ignored);
    check_uuid(batch, RUN_REFERENCE_EXAMPLE_ID, false, &ignored);
    check_type(batch, RUN_ADDRESS, JSON_STRING, FAULT_STRING_TYPE, true);
    join_metadata(batch);
    if (batch->refusal.fault_count > faults_before || batch->refusal.fault_count)
        return BATCH_READING;
    if (!name_fits(batch))
        return too_big(batch, "A run's name is too long", batch->limits.name_max, "bytes");

    struct str error = given(batch, RUN_ERROR_TEXT);
    run.status = error.len > 2 ? RUN_ERROR : run.end_us == RUN_RUNNING ? RUN_PENDING : RUN_SUCCESS;
    if (!has_id)
        run.id = uuid_v7(&batch->ids, batch->received_us);
    batch->ids_given |= has_id;
    hash_fields(batch, sent, run.hash);
    run.present = d->sent;

    char spans[RUN_FIELDS * RECORD_SPAN];
    size_t spans_len = 0;
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        if (!(d->sent & UINT32_C(1) << f))
            continue;
        put_u32(spans + spans_len, (uint32_t)(d->value[f].at - object.at));
        put_u32(spans + spans_len + 4, (uint32_t)d->value[f].len);
        spans_len += RECORD_SPAN;
    }
    run.spans = spans;
    if (batch->runs == 0)
        batch->first = object.at;
    batch->after = object.at + object.len;
    char *entry = text_room(&batch->entries, RECORD_ENTRY);
    record_write_entry(entry, &run, (uint32_t)batch->spans.len,
                       (uint32_t)(object.at - batch->first));
    batch->entries.len += RECORD_ENTRY;
    text_add(&batch->spans, (struct str){spans, spans_len});
    batch->runs++;
    return BATCH_READING;
}

static void add_field(struct batch *batch)
{
    struct draft *d = &batch->draft;
    struct str key = bytes_of(batch, batch->scan.key);
    enum run_field field = RUN_FIELDS;
    if (batch->scan.key_escaped) {
        for (unsigned f = 0; f < RUN_FIELDS && field == RUN_FIELDS; f++)
            if (json_string_is(key, run_field_name((enum run_field)f)))
                field = (enum run_field)f;
    } else {
        field = run_field_named(key);
    }
    if (field == RUN_FIELDS)
        return;
    uint32_t bit = UINT32_C(1) << field;
    d->twice |= d->sent & bit;
    d->sent |= bit;
    d->value[field] = batch->scan.value;
    d->type[field] = batch->scan.type;
}

static enum batch_state add_item(struct batch *batch)
{
    enum batch_state state = BATCH_READING;
    if (batch->items == batch->limits.runs_max)
        return too_big(batch, "The batch has too many runs", batch->limits.runs_max, "runs");
    if (!take(batch, BATCH_RUN_COST))
        return refuse(batch, BATCH_BUSY);
    if (batch->scan.type == JSON_OBJECT)
        state = add_run(batch, batch->scan.value);
    else
        fault(batch, FAULT_DICT_TYPE, RUN_FIELDS);
    batch->items++;
    batch->draft.sent = batch->draft.twice = 0;
    return state;
}

/* ---- the body ---- */

static enum batch_state not_json(struct batch *batch)
{
    snprintf(batch->refusal.what, sizeof batch->refusal.what, "%s", batch->scan.fault);
    batch->refusal.offset = batch->scan.offset;
    return refuse(batch, BATCH_NOT_JSON);
}

static enum batch_state finish(struct batch *batch)
{
    if (batch->a_value)
        return refuse(batch, BATCH_NOT_A_LIST);
    if (batch->refusal.fault_count)
        return refuse(batch, BATCH_FAULTY);
    if (batch->runs == 0)
        return refuse(batch, BATCH_EMPTY);

    /* The spans follow the entries; now it is known where that is. */
    const char *spans = batch->spans.at;
    for (size_t i = 0; i < batch->runs; i++) {
        char *entry = batch->entries.at + i * RECORD_ENTRY;
        record_move_spans(entry, spans, (uint32_t)batch->entries.len);
    }
    text_add(&batch->entries, text_str(&batch->spans));
    text_free(&batch->spans);
    batch->record = (struct record){
        .count = (uint32_t)batch->runs,
        .received_us = batch->received_us,
        .fresh = true,
        .new_ids = !batch->ids_given,
        .table = text_str(&batch->entries),
        .body = {batch->body->at + batch->first, batch->after - batch->first},
    };
    return batch->state = BATCH_READY;
}

/* The first byte that is not white space decides what the body is. */
static bool start(struct batch *batch)
{
    const char *at = batch->body->at;
    while (batch->blank < batch->body->len &&
           (at[batch->blank] == ' ' || at[batch->blank] == '\t' || at[batch->blank] == '\r' ||
            at[batch->blank] == '\n'))
        batch->blank++;
    if (batch->blank == batch->body->len)
        return false;
    char first = at[batch->blank];
    batch->started = true;
    batch->a_value = !batch->lines && first != '[';
    json_scan_start(&batch->scan, batch->lines     ? JSON_LINES
                                  : batch->a_value ? JSON_VALUE
                                                   : JSON_ARRAY);
    if (batch->a_value && first == '{')
        refuse(batch, BATCH_AN_OBJECT);
    return true;
}

/* Once so much has come that the rest may be believed in, go on in the spare
 * buffer.  Its memory is there already, so all of it counts. */
static void use_spare(struct batch *batch)
{
    struct spare *spare = batch->spare;
    batch->asked = true;
    struct buf *warm = spare ? spare_take(spare, batch->hint) : NULL;
    if (!warm)
        return;
    if (warm->cap < batch->body->len || !take(batch, warm->cap - batch->paid)) {
        spare_give(spare, warm);
        return;
    }
    batch->paid = warm->cap;
    memcpy(warm->at, batch->body->at, batch->body->len);
    warm->len = batch->body->len;
    buf_unref(batch->body);
    batch->body = warm;
}

static enum batch_state append(struct batch *batch, struct str piece)
{
    if (piece.len > batch->limits.body_max - batch->body->len)
        return too_big(batch, "The body is too large", batch->limits.body_max, "bytes");
    if (!batch->asked && batch->body->len >= WARM_FROM)
        use_spare(batch);
    size_t end = batch->body->len + piece.len;
    if (end > batch->paid) {
        if (!take(batch, end - batch->paid))
            return refuse(batch, BATCH_BUSY);
        batch->paid = end;
    }
    if (batch->body->cap - batch->body->len < piece.len) {
        size_t cap = batch->body->cap * 2;
        while (cap - batch->body->len < piece.len)
            cap *= 2;
        struct buf *grown = buf_grow(batch->body, cap);
        if (!grown)
            return refuse(batch, BATCH_BUSY);
        batch->body = grown;
    }
    memcpy(batch->body->at + batch->body->len, piece.at, piece.len);
    batch->body->len += piece.len;
    return BATCH_READING;
}

enum batch_state batch_feed(struct batch *batch, struct str piece, bool last)
{
    if (batch->state != BATCH_READING)
        return batch->state;
    if (piece.len && append(batch, piece) != BATCH_READING)
        return batch->state;
    if (!batch->started && !start(batch)) {
        if (!last)
            return BATCH_READING;
        return refuse(batch, batch->lines && batch->body->len ? BATCH_EMPTY : BATCH_NO_BODY);
    }
    while (batch->state == BATCH_READING) {
        switch (json_scan_next(&batch->scan, batch->body->at, batch->body->len, last)) {
        case JSON_FIELD:
            if (!batch->a_value)
                add_field(batch);
            break;
        case JSON_ITEM:
            if (!batch->a_value)
                add_item(batch);
            break;
        case JSON_MORE:
            /* The run under way has no end yet; do not wait for it for ever. */
            if (batch->scan.depth > 1 && !batch->a_value && batch->refusal.fault_count == 0 &&
                batch->body->len - batch->after > batch->limits.run_max + FIRST_SIZE)
                too_big(batch, "A run is too large", batch->limits.run_max, "bytes");
            return batch->state;
        case JSON_END:
            return finish(batch);
        case JSON_FAULT:
            return not_json(batch);
        }
    }
    return batch->state;
}
