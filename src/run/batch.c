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

#include "base/buf.h"
#include "base/text.h"
#include "run/draft.h"
#include "run/facts.h"
#include "run/intake.h"
#include "run/project.h"
#include "wire/json_scan.h"

enum { SLACK = 4 << 10 /* between runs */ };

struct batch {
    struct batch_limits limits;
    int64_t received_us;
    struct uuid_source ids;
    bool ids_given; /* by the client, one at least */
    bool lines, started, a_value;
    enum batch_state state;

    struct intake in;
    size_t blank; /* bytes of white space in front */
    struct json_scan scan;
    struct draft draft; /* of the run under way; spans are absolute in the body */
    XXH3_state_t *hash;
    size_t items;        /* complete, good or bad */
    size_t first, after; /* of the first run and behind the last, in the body */

    size_t runs; /* good ones: entries so far */
    struct text entries, spans;
    struct text facts, fact_sizes; /* of all of them; a size_t for each */
    struct str *facts_list;        /* once they stay where they are */
    struct record record;

    struct batch_refusal refusal;
    struct batch_fault faults[BATCH_FAULTS_MAX];
};

struct batch *batch_new(bool lines, const struct batch_limits *limits, struct budget *budget,
                        struct spare *spare, int64_t received_us, size_t size_hint)
{
    assert(limits->body_max <= INT32_MAX);
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        abort();
    batch->limits = *limits;
    batch->received_us = received_us;
    batch->lines = lines;
    batch->hash = XXH3_createState();
    if (!batch->hash)
        abort();
    bool open = intake_open(&batch->in, limits->body_max, BATCH_COST, budget, spare, size_hint);
    batch->state = open ? BATCH_READING : BATCH_BUSY;
    return batch;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    intake_close(&batch->in);
    XXH3_freeState(batch->hash);
    text_free(&batch->entries);
    text_free(&batch->spans);
    text_free(&batch->facts);
    text_free(&batch->fact_sizes);
    free(batch->facts_list);
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

/* ---- one run's fields ---- */

static const char *body_of(const struct batch *batch)
{
    return batch->in.body->at;
}

static struct str bytes_of(const struct batch *batch, struct json_span span)
{
    return (struct str){body_of(batch) + span.at, span.len};
}

static bool is_given(const struct batch *batch, enum run_field field)
{
    return draft_given(&batch->draft, body_of(batch), field).at != NULL;
}

static bool was_sent(const struct batch *batch, enum run_field field)
{
    return draft_sent(&batch->draft, field);
}

static void check_uuid(struct batch *batch, enum run_field field, bool required, struct uuid *id)
{
    if (!is_given(batch, field)) {
        if (required)
            fault(batch, was_sent(batch, field) ? FAULT_UUID_TYPE : FAULT_MISSING, field);
        return;
    }
    if (batch->draft.type[field] != JSON_STRING)
        fault(batch, FAULT_UUID_TYPE, field);
    else if (!draft_uuid(&batch->draft, body_of(batch), field, id))
        fault(batch, FAULT_UUID_PARSING, field);
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

/* Of a name that were cut, others would be the same. */
static void check_project(struct batch *batch, enum run_field field)
{
    check_type(batch, field, JSON_STRING, FAULT_STRING_TYPE, true);
    if (batch->draft.type[field] == JSON_STRING &&
        !draft_fits(&batch->draft, body_of(batch), field, PROJECT_NAME_MAX))
        fault(batch, FAULT_STRING_TOO_LONG, field);
}

static bool check_time(struct batch *batch, enum run_field field, int64_t *us)
{
    if (!is_given(batch, field))
        return false;
    bool good = draft_time(&batch->draft, body_of(batch), field, us);
    if (!good)
        fault(batch, FAULT_DATETIME_PARSING, field);
    return good;
}

static enum run_type check_run_type(struct batch *batch)
{
    enum run_type type = RUN_CHAIN;
    if (is_given(batch, RUN_RUN_TYPE) && !draft_type(&batch->draft, body_of(batch), &type))
        fault(batch, FAULT_ENUM, RUN_RUN_TYPE);
    return type;
}

/* A native run's metadata is its extra.metadata: sent in one of the two places,
 * or in both with equal bytes.  Where it came only inside extra, the field's
 * span points there. */
static void join_metadata(struct batch *batch)
{
    struct draft *d = &batch->draft;
    struct json_span inner;
    enum json_type type;
    if (!draft_metadata(d, body_of(batch), &inner, &type))
        return;
    if (!was_sent(batch, RUN_METADATA)) {
        if (type == JSON_OBJECT)
            draft_add(d, RUN_METADATA, inner, type);
    } else if (str_eq(bytes_of(batch, inner), bytes_of(batch, d->value[RUN_METADATA]))) {
        d->value[RUN_METADATA] = inner; /* one thing, so it is shown once in extra */
    } else {
        fault(batch, FAULT_DUPLICATE_FIELD, RUN_METADATA);
    }
}

/* Here, on the loop it came by, and not on the one that commits for all. */
static bool take_facts(struct batch *batch, const struct run *run)
{
    size_t before = batch->facts.len;
    facts_of(run, &batch->facts);
    size_t size = batch->facts.len - before;
    text_add(&batch->fact_sizes, (struct str){(const char *)&size, sizeof size});
    return intake_take(&batch->in, size);
}

static const struct str *list_facts(struct batch *batch)
{
    size_t at = 0, size;
    batch->facts_list = calloc(batch->runs, sizeof *batch->facts_list);
    if (!batch->facts_list)
        abort();
    for (size_t i = 0; i < batch->runs; i++, at += size) {
        memcpy(&size, batch->fact_sizes.at + i * sizeof size, sizeof size);
        if (size > 0)
            batch->facts_list[i] = (struct str){batch->facts.at + at, size};
    }
    return batch->facts_list;
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
    bool has_id = is_given(batch, RUN_ID);
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
    check_project(batch, RUN_SESSION_NAME);
    check_uuid(batch, RUN_SESSION_ID, false, &ignored);
    check_uuid(batch, RUN_REFERENCE_EXAMPLE_ID, false, &ignored);
    check_project(batch, RUN_ADDRESS);
    join_metadata(batch);
    if (batch->refusal.fault_count > faults_before || batch->refusal.fault_count)
        return BATCH_READING;
    if (!draft_fits(d, body_of(batch), RUN_NAME, batch->limits.name_max))
        return too_big(batch, "A run's name is too long", batch->limits.name_max, "bytes");

    struct str error = draft_given(d, body_of(batch), RUN_ERROR_TEXT);
    run.status = error.len > 2 ? RUN_ERROR : run.end_us == RUN_RUNNING ? RUN_PENDING : RUN_SUCCESS;
    if (!has_id)
        run.id = uuid_v7(&batch->ids, batch->received_us);
    batch->ids_given |= has_id;
    draft_hash(d, body_of(batch), sent, batch->hash, run.hash);
    run.present = d->sent;

    char spans[RUN_FIELDS * RECORD_SPAN];
    size_t spans_len = draft_spans(d, object.at, spans);
    run.spans = spans;
    if (batch->runs == 0)
        batch->first = object.at;
    batch->after = object.at + object.len;
    if (!take_facts(batch, &run))
        return refuse(batch, BATCH_BUSY);
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
    enum run_field field = draft_key(bytes_of(batch, batch->scan.key), batch->scan.key_escaped);
    if (field != RUN_FIELDS)
        draft_add(&batch->draft, field, batch->scan.value, batch->scan.type);
}

static enum batch_state add_item(struct batch *batch)
{
    enum batch_state state = BATCH_READING;
    if (batch->items == batch->limits.runs_max)
        return too_big(batch, "The batch has too many runs", batch->limits.runs_max, "runs");
    if (!intake_take(&batch->in, BATCH_RUN_COST))
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
        .facts = list_facts(batch),
        .expect = RECORD_ANY,
        .table = text_str(&batch->entries),
        .body = {body_of(batch) + batch->first, batch->after - batch->first},
    };
    return batch->state = BATCH_READY;
}

/* The first byte that is not white space decides what the body is. */
static bool start(struct batch *batch)
{
    const char *at = body_of(batch);
    while (batch->blank < batch->in.body->len &&
           (at[batch->blank] == ' ' || at[batch->blank] == '\t' || at[batch->blank] == '\r' ||
            at[batch->blank] == '\n'))
        batch->blank++;
    if (batch->blank == batch->in.body->len)
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

static enum batch_state append(struct batch *batch, struct str piece)
{
    enum err_code code = intake_add(&batch->in, piece);
    if (code == ERR_TOO_BIG)
        return too_big(batch, "The body is too large", batch->limits.body_max, "bytes");
    return code ? refuse(batch, BATCH_BUSY) : BATCH_READING;
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
        return refuse(batch, batch->lines && batch->in.body->len ? BATCH_EMPTY : BATCH_NO_BODY);
    }
    while (batch->state == BATCH_READING) {
        switch (json_scan_next(&batch->scan, body_of(batch), batch->in.body->len, last)) {
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
                batch->in.body->len - batch->after > batch->limits.run_max + SLACK)
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
