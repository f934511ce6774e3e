/* draft.c - see draft.h. */
#include "run/draft.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

enum run_field draft_key(struct str key, bool escaped)
{
    if (!escaped)
        return run_field_named(key);
    for (unsigned f = 0; f < RUN_FIELDS; f++)
        if (json_string_is(key, run_field_name((enum run_field)f)))
            return (enum run_field)f;
    return RUN_FIELDS;
}

void draft_add(struct draft *draft, enum run_field field, struct json_span value,
               enum json_type type)
{
    uint32_t bit = UINT32_C(1) << field;
    draft->twice |= draft->sent & bit;
    draft->sent |= bit;
    draft->value[field] = value;
    draft->type[field] = type;
}

static struct str bytes_of(const struct draft *draft, const char *body, enum run_field field)
{
    return (struct str){body + draft->value[field].at, draft->value[field].len};
}

struct str draft_given(const struct draft *draft, const char *body, enum run_field field)
{
    if (!draft_sent(draft, field) || draft->type[field] == JSON_NULL)
        return (struct str){0};
    return bytes_of(draft, body, field);
}

bool draft_text(struct str json, char *room, size_t size, struct str *text)
{
    struct str inside = {json.at + 1, json.len - 2};
    if (inside.len > size)
        return false;
    *text = (struct str){room, json_string_decode(inside, room)};
    return true;
}

bool draft_uuid(const struct draft *draft, const char *body, enum run_field field, struct uuid *id)
{
    char room[6 * 64]; /* every letter may have come as \u0061 */
    struct str text;
    return draft->type[field] == JSON_STRING &&
           draft_text(bytes_of(draft, body, field), room, sizeof room, &text) &&
           uuid_parse(text, id);
}

bool draft_type(const struct draft *draft, const char *body, enum run_type *type)
{
    char room[6 * 16];
    struct str word;
    if (draft->type[RUN_RUN_TYPE] != JSON_STRING ||
        !draft_text(bytes_of(draft, body, RUN_RUN_TYPE), room, sizeof room, &word))
        return false;
    enum run_type named = run_type_named(word);
    if (named == RUN_TYPES)
        return false;
    *type = named;
    return true;
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

bool draft_time(const struct draft *draft, const char *body, enum run_field field, int64_t *us)
{
    struct str json = bytes_of(draft, body, field);
    char room[6 * 40];
    struct str text;
    if (draft->type[field] == JSON_NUMBER)
        return number_us(json, us);
    return draft->type[field] == JSON_STRING && draft_text(json, room, sizeof room, &text) &&
           rfc3339_parse(text, us);
}

bool draft_fits(const struct draft *draft, const char *body, enum run_field field, size_t max)
{
    struct str json = draft_given(draft, body, field);
    if (json.len <= max + 2)
        return true;
    struct str inside = {json.at + 1, json.len - 2};
    if (inside.len > 6 * max)
        return false;
    char *room = malloc(inside.len);
    if (!room)
        abort();
    size_t len = json_string_decode(inside, room);
    free(room);
    return len <= max;
}

bool draft_metadata(const struct draft *draft, const char *body, struct json_span *inner,
                    enum json_type *type)
{
    struct str extra = draft_given(draft, body, RUN_EXTRA);
    bool found = false;
    if (!extra.at || draft->type[RUN_EXTRA] != JSON_OBJECT)
        return false;
    struct json_scan scan;
    enum json_event event;
    json_scan_start(&scan, JSON_VALUE);
    while ((event = json_scan_next(&scan, extra.at, extra.len, true)) != JSON_END) {
        assert(event == JSON_FIELD || event == JSON_ITEM); /* it is part of a valid document */
        struct str key = {extra.at + scan.key.at, scan.key.len};
        if (event == JSON_FIELD && json_string_is(key, STR("metadata"))) {
            *inner = (struct json_span){draft->value[RUN_EXTRA].at + scan.value.at, scan.value.len};
            *type = scan.type;
            found = true;
        }
    }
    return found;
}

void draft_hash(const struct draft *draft, const char *body, uint32_t which,
                struct XXH3_state_s *state, uint64_t hash[2])
{
    XXH3_128bits_reset(state);
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        if (!(which & UINT32_C(1) << f))
            continue;
        struct str json = bytes_of(draft, body, (enum run_field)f);
        char head[8];
        put_u32(head, f);
        put_u32(head + 4, (uint32_t)json.len);
        XXH3_128bits_update(state, head, sizeof head);
        XXH3_128bits_update(state, json.at, json.len);
    }
    XXH128_hash_t digest = XXH3_128bits_digest(state);
    hash[0] = digest.low64;
    hash[1] = digest.high64;
}

size_t draft_spans(const struct draft *draft, size_t from, char out[RUN_FIELDS * RECORD_SPAN])
{
    size_t len = 0;
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        if (!draft_sent(draft, (enum run_field)f))
            continue;
        put_u32(out + len, (uint32_t)(draft->value[f].at - from));
        put_u32(out + len + 4, (uint32_t)draft->value[f].len);
        len += RECORD_SPAN;
    }
    return len;
}
