/* facts_read.c - facts as they are kept, read; and as a filter asks for them. */
#include "base/arena.h"
#include "run/facts.h"
#include "run/facts_section.h"
#include "run/facts_usage.h"
#include "wire/json_scan.h"

struct reading {
    struct facts *facts;
    struct arena *arena;
    struct facts_attachment *attachments; /* room for as many as there are */
    bool no_usage;                        /* it is passed over */
    enum facts_rank rank;                 /* of the usage, so far */
    struct str usage;
};

/* --- bodies; false: corrupt ------------------------------------------------- */

static void read_text(struct facts *facts, const struct section *section)
{
    switch (section->field) {
    case RUN_NAME:
        facts->name = section->body;
        return;
    case RUN_INPUTS:
        facts->inputs_preview = section->body;
        return;
    case RUN_OUTPUTS:
        facts->outputs_preview = section->body;
        return;
    case RUN_ERROR_TEXT:
        facts->error = section->body;
        return;
    case RUN_DOTTED_ORDER:
        facts->dotted_order = section->body;
        return;
    default:
        return;
    }
}

static bool take(struct str *rest, size_t size, struct str *result)
{
    if (rest->len < size)
        return false;
    *result = (struct str){rest->at, size};
    rest->at += size;
    rest->len -= size;
    return true;
}

static bool take_pair(struct str *rest, struct filter_pair *pair)
{
    struct str head;
    if (!take(rest, PAIR_HEAD, &head))
        return false;
    size_t value = get_u16(head.at + 2);
    *pair = (struct filter_pair){.value.present = value != PAIR_NULL};
    return take(rest, get_u16(head.at), &pair->key) &&
           take(rest, value == PAIR_NULL ? 0 : value, &pair->value.value.text);
}

static bool read_pairs(struct reading *r, struct str body)
{
    struct filter_pair pair, *pairs;
    size_t count = 0;
    for (struct str rest = body; rest.len; count++)
        if (!take_pair(&rest, &pair))
            return false;
    pairs = arena_make(r->arena, struct filter_pair, count);
    for (size_t i = 0; i < count; i++)
        take_pair(&body, &pairs[i]);
    r->facts->metadata = pairs;
    r->facts->metadata_count = count;
    return true;
}

static bool take_tag(struct str *rest, struct str *tag)
{
    struct str head;
    return take(rest, TAG_HEAD, &head) && take(rest, get_u16(head.at), tag);
}

static bool read_tags(struct reading *r, struct str body)
{
    struct str tag, *tags;
    size_t count = 0;
    for (struct str rest = body; rest.len; count++)
        if (!take_tag(&rest, &tag))
            return false;
    tags = arena_make(r->arena, struct str, count);
    for (size_t i = 0; i < count; i++)
        take_tag(&body, &tags[i]);
    r->facts->tags = tags;
    r->facts->tag_count = count;
    return true;
}

/* What is in it is shown as it is, and gone through by what takes valid JSON only. */
static bool is_json(struct str json)
{
    struct json_scan scan;
    enum json_event event;
    json_scan_start(&scan, JSON_VALUE);
    do
        event = json_scan_next(&scan, json.at, json.len, true);
    while (event == JSON_FIELD || event == JSON_ITEM);
    return event == JSON_END;
}

static bool read_usage(struct reading *r, struct str body)
{
    struct str rank;
    if (!take(&body, 1, &rank) || !is_json(body))
        return false;
    /* One that a later program knows is behind all of ours. */
    if ((unsigned char)rank.at[0] < r->rank) {
        r->rank = (enum facts_rank)(unsigned char)rank.at[0];
        r->usage = body;
    }
    return true;
}

static bool read_time(struct facts *facts, struct str body)
{
    facts->has_first_token = body.len == sizeof facts->first_token_us;
    if (facts->has_first_token)
        facts->first_token_us = (int64_t)get_u64(body.at);
    return facts->has_first_token;
}

static bool read_uuid(struct facts *facts, struct str body)
{
    facts->has_reference_example = body.len == sizeof facts->reference_example.byte;
    if (facts->has_reference_example)
        memcpy(facts->reference_example.byte, body.at, body.len);
    return facts->has_reference_example;
}

static bool read_attachment(struct reading *r, struct str body)
{
    struct str head;
    struct facts_attachment *a = &r->attachments[r->facts->attachment_count];
    if (!take(&body, ATTACHMENT_HEAD, &head))
        return false;
    *a = (struct facts_attachment){
        .place = {get_u64(head.at), get_u32(head.at + 8)},
        .sequence = get_u64(head.at + 12),
        .hash = get_u64(head.at + 20),
        .size = get_u32(head.at + 28),
    };
    r->facts->attachment_count++;
    return take(&body, get_u16(head.at + 32), &a->name) &&
           take(&body, get_u16(head.at + 34), &a->type) && body.len == 0;
}

static bool read_section(struct reading *r, const struct section *section)
{
    switch (section->kind) {
    case SECTION_CUT:
        if (section->field < RUN_FIELDS)
            r->facts->cut |= UINT32_C(1) << section->field;
        return true;
    case SECTION_TEXT:
        read_text(r->facts, section);
        return true;
    case SECTION_TAGS:
        return read_tags(r, section->body);
    case SECTION_PAIRS:
        return read_pairs(r, section->body);
    case SECTION_THREAD:
        r->facts->thread = section->body;
        return true;
    case SECTION_USAGE:
        return r->no_usage || read_usage(r, section->body);
    case SECTION_TIME:
        return read_time(r->facts, section->body);
    case SECTION_UUID:
        return read_uuid(r->facts, section->body);
    case SECTION_ATTACHMENT:
        return read_attachment(r, section->body);
    default:
        return true; /* of a later program */
    }
}

/* --- all of them ------------------------------------------------------------ */

static size_t count_attachments(struct str rest)
{
    struct section section;
    size_t count = 0;
    while (section_next(&rest, &section))
        count += section.kind == SECTION_ATTACHMENT;
    return count;
}

static int read_all(struct str bytes, struct reading *r, struct err *err)
{
    struct str rest;
    struct section section;
    if (!sections(bytes, &rest))
        return err_set(err, ERR_CORRUPT, "facts of version %u", (unsigned char)bytes.at[0]);
    size_t count = count_attachments(rest);
    if (count > FACTS_ATTACHMENTS)
        return err_set(err, ERR_CORRUPT, "facts with %zu attachments", count);
    r->attachments = arena_make(r->arena, struct facts_attachment, count);
    r->facts->attachments = r->attachments;
    while (section_next(&rest, &section))
        if (!read_section(r, &section))
            return err_set(err, ERR_CORRUPT, "facts: kind %u of field %u is damaged", section.kind,
                           section.field);
    return rest.len ? err_set(err, ERR_CORRUPT, "facts: the end is missing") : 0;
}

int facts_read(struct str bytes, struct arena *arena, struct facts *result, struct err *err)
{
    struct facts facts = {0};
    struct reading reading = {.facts = &facts, .arena = arena, .rank = RANK_NONE};
    int r = read_all(bytes, &reading, err);
    if (r)
        return r;
    if (reading.usage.at)
        facts_usage_read(reading.usage, arena, &facts.usage);
    *result = facts;
    return 0;
}

int facts_read_labels(struct str bytes, struct arena *arena, struct facts *result, struct err *err)
{
    *result = (struct facts){0};
    struct reading reading = {.facts = result, .arena = arena, .no_usage = true};
    return read_all(bytes, &reading, err);
}

/* --- for a filter ----------------------------------------------------------- */

static struct filter_cell text_cell(struct str text)
{
    return (struct filter_cell){.present = text.at != NULL, .value.text = text};
}

static struct filter_cell count_cell(const struct facts_usage *usage, enum facts_number n)
{
    return (struct filter_cell){.present = usage->has[n], .value.number = (int64_t)usage->value[n]};
}

static struct filter_cell cost_cell(const struct facts_usage *usage, enum facts_number n)
{
    return (struct filter_cell){.present = usage->has[n], .value.decimal = usage->value[n]};
}

void facts_subject(const struct facts *facts, struct filter_subject *subject)
{
    const struct facts_usage *usage = &facts->usage;
    struct filter_cell *cells = subject->cells;
    cells[FILTER_NAME] = text_cell(facts->name);
    cells[FILTER_ERROR] = text_cell(facts->error);
    cells[FILTER_INPUTS] = text_cell(facts->inputs_preview);
    cells[FILTER_OUTPUTS] = text_cell(facts->outputs_preview);
    cells[FILTER_THREAD_ID] = text_cell(facts->thread);
    cells[FILTER_DOTTED_ORDER] = text_cell(facts->dotted_order);
    cells[FILTER_PROMPT_TOKENS] = count_cell(usage, FACTS_PROMPT_TOKENS);
    cells[FILTER_COMPLETION_TOKENS] = count_cell(usage, FACTS_COMPLETION_TOKENS);
    cells[FILTER_TOTAL_TOKENS] = count_cell(usage, FACTS_TOTAL_TOKENS);
    cells[FILTER_PROMPT_COST] = cost_cell(usage, FACTS_PROMPT_COST);
    cells[FILTER_COMPLETION_COST] = cost_cell(usage, FACTS_COMPLETION_COST);
    cells[FILTER_TOTAL_COST] = cost_cell(usage, FACTS_TOTAL_COST);
    cells[FILTER_FIRST_TOKEN_TIME] = (struct filter_cell){.present = facts->has_first_token,
                                                          .value.number = facts->first_token_us};
    cells[FILTER_REFERENCE_EXAMPLE_ID] = (struct filter_cell){
        .present = facts->has_reference_example, .value.uuid = facts->reference_example};
    subject->tags = facts->tags;
    subject->tag_count = facts->tag_count;
    subject->metadata = facts->metadata;
    subject->metadata_count = facts->metadata_count;
}
