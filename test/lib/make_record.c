/* make_record.c - see make_record.h. */
#include "lib/make_record.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/text.h"

/* One run's object, and where its fields lie in it. */
struct object {
    size_t at, len;
    uint32_t present;
    char spans[RUN_FIELDS * RECORD_SPAN];
};

static void add_field(struct text *body, struct object *object, enum run_field field,
                      const char *value, size_t len)
{
    struct str name = run_field_name(field);
    text_addf(body, "%s\"%.*s\":", object->present ? "," : "", STR_FMT(name));
    char *span = object->spans + RECORD_SPAN * __builtin_popcount(object->present);
    put_u32(span, (uint32_t)(body->len - object->at));
    put_u32(span + 4, (uint32_t)len);
    object->present |= UINT32_C(1) << field;
    text_add(body, (struct str){value, len});
}

static void add_quoted(struct text *body, struct object *object, enum run_field field,
                       const char *inside)
{
    struct text quoted = {0};
    text_addf(&quoted, "\"%s\"", inside);
    add_field(body, object, field, quoted.at, quoted.len);
    text_free(&quoted);
}

/* Fields in the order of their numbers, as their spans must be. */
static void add_object(struct text *body, struct object *object, const struct make_run *run)
{
    char id[UUID_TEXT + 1] = "", trace[UUID_TEXT + 1] = "", inputs[48];
    uuid_write(run->id, id);
    uuid_write(run->trace, trace);
    int len = snprintf(inputs, sizeof inputs, "{\"number\":%llu}", (unsigned long long)run->number);

    object->at = body->len;
    text_add_char(body, '{');
    add_quoted(body, object, RUN_ID, id);
    add_quoted(body, object, RUN_TRACE_ID, trace);
    if (run->name)
        add_quoted(body, object, RUN_NAME, run->name);
    add_field(body, object, RUN_INPUTS, inputs, (size_t)len);
    if (run->project)
        add_quoted(body, object, RUN_SESSION_NAME, run->project);
    text_add_char(body, '}');
    object->len = body->len - object->at;
}

static uint64_t hash(const char *at, size_t len, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)at[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 31;
}

struct made_record *make_record(const struct make_run *runs, size_t count)
{
    struct made_record *made = calloc(1, sizeof *made);
    struct object *objects = calloc(count + 1, sizeof *objects);
    struct text body = {0};
    assert(made && objects && count <= RECORD_RUNS_MAX);

    size_t spans = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add_char(&body, ',');
        add_object(&body, &objects[i], &runs[i]);
        spans += RECORD_SPAN * (size_t)__builtin_popcount(objects[i].present);
    }

    size_t table = count * RECORD_ENTRY + spans;
    made->bytes = malloc(table + body.len + 1);
    assert(made->bytes);
    char *at = made->bytes + table;
    if (body.len > 0)
        memcpy(at, body.at, body.len);
    size_t spans_at = count * RECORD_ENTRY;
    for (size_t i = 0; i < count; i++) {
        const struct object *object = &objects[i];
        struct str raw = {at + object->at, object->len};
        struct run run = {
            .id = runs[i].id,
            .trace = runs[i].trace,
            .start_us = runs[i].start_us,
            .end_us = runs[i].end_us ? runs[i].end_us : runs[i].start_us,
            .type = RUN_LLM,
            .status = RUN_SUCCESS,
            .hash = {hash(raw.at, raw.len, 1), hash(raw.at, raw.len, 2)},
            .present = object->present,
            .spans = object->spans,
            .raw = raw,
        };
        record_write_entry(made->bytes + i * RECORD_ENTRY, &run, (uint32_t)spans_at,
                           (uint32_t)object->at);
        size_t len = RECORD_SPAN * (size_t)__builtin_popcount(object->present);
        memcpy(made->bytes + spans_at, object->spans, len);
        spans_at += len;
    }
    made->record = (struct record){
        .count = (uint32_t)count,
        .table = {made->bytes, table},
        .body = {at, body.len},
    };
    text_free(&body);
    free(objects);
    return made;
}

void made_free(struct made_record *made)
{
    if (!made)
        return;
    free(made->bytes);
    free(made);
}

uint64_t make_random(struct make_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct uuid make_uuid(struct make_random *random)
{
    struct uuid id;
    put_u64(id.byte, make_random(random));
    put_u64(id.byte + 8, make_random(random));
    id.byte[6] = (uint8_t)((id.byte[6] & 0x0f) | 0x40);
    id.byte[8] = (uint8_t)((id.byte[8] & 0x3f) | 0x80);
    return id;
}

struct uuid make_id(uint64_t n)
{
    struct make_random random = {n * 2 + 1};
    return make_uuid(&random);
}
