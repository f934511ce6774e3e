/* facts_fuzz.c - any bytes as facts, and any JSON as the fields of layers.
 *
 * A line of the input is a field, its first byte says which, if the rest is JSON; an empty
 * line begins another layer.  What is taken out of them must be readable and bounded, and
 * merging must keep what it should.  All of the input is read as facts, too: it is refused,
 * or what is read of it lies in it.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... && ./facts_fuzz test/fuzz/seeds/facts
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "lib/bare_layer.h"
#include "run/facts.h"
#include "run/filter_value.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

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

/* Every byte of it can be looked at. */
static size_t touch(struct str view)
{
    size_t sum = 0;
    for (size_t i = 0; i < view.len; i++)
        sum += (unsigned char)view.at[i];
    return sum;
}

/* True of whatever could be read. */
static void check_facts(const struct facts *facts)
{
    const struct facts_usage *usage = &facts->usage;
    struct filter_subject subject = {0};
    touch(facts->inputs_preview);
    touch(facts->outputs_preview);
    touch(facts->error);
    touch(facts->dotted_order);
    touch(facts->thread);
    for (size_t i = 0; i < facts->tag_count; i++)
        touch(facts->tags[i]);
    for (size_t i = 0; i < facts->metadata_count; i++) {
        touch(facts->metadata[i].key);
        touch(facts->metadata[i].value.value.text);
    }
    require(facts->attachment_count <= FACTS_ATTACHMENTS);
    for (size_t i = 0; i < facts->attachment_count; i++) {
        touch(facts->attachments[i].name);
        touch(facts->attachments[i].type);
    }
    for (int n = 0; n < FACTS_NUMBERS; n++) {
        require(!usage->has[n] || isfinite(usage->value[n]));
        require(!usage->text[n].at || (usage->has[n] && is_json(usage->text[n])));
        if (usage->has[n] && n <= FACTS_TOTAL_TOKENS)
            require(usage->value[n] >= 0 && usage->value[n] == trunc(usage->value[n]));
    }
    require(!usage->prompt_token_details.at || is_json(usage->prompt_token_details));
    require(!usage->completion_token_details.at || is_json(usage->completion_token_details));
    require(!usage->prompt_cost_details.at || is_json(usage->prompt_cost_details));
    require(!usage->completion_cost_details.at || is_json(usage->completion_cost_details));
    facts_subject(facts, &subject);
    require(subject.cells[FILTER_ERROR].present == (facts->error.at != NULL));
}

/* And of what we wrote ourselves. */
static void check_written(const struct facts *facts)
{
    require(facts->inputs_preview.len <= FACTS_PREVIEW);
    require(facts->outputs_preview.len <= FACTS_PREVIEW);
    require(utf8_valid(facts->inputs_preview) && utf8_valid(facts->outputs_preview));
    require(facts->error.len <= FACTS_SOURCE && utf8_valid(facts->error));
    require(facts->dotted_order.len <= FACTS_SOURCE && utf8_valid(facts->dotted_order));
    require(facts->thread.len <= FACTS_SOURCE && utf8_valid(facts->thread));
    require(facts->metadata_count <= FACTS_PAIRS);
    for (size_t i = 0; i < facts->metadata_count; i++) {
        require(utf8_valid(facts->metadata[i].key));
        require(utf8_valid(facts->metadata[i].value.value.text));
        require(!memchr(facts->metadata[i].key.at, '\0', facts->metadata[i].key.len));
    }
    for (size_t i = 0; i < facts->tag_count; i++)
        require(utf8_valid(facts->tags[i]));
}

/* What has(metadata, ...) asks with is what is there. */
static void check_metadata(struct str json, const struct facts *facts, struct arena *arena)
{
    struct filter_pair *pairs;
    size_t count;
    if (facts->cut || !filter_value_members(json, arena, &pairs, &count))
        return;
    require(count == facts->metadata_count);
    for (size_t i = 0; i < count; i++) {
        size_t j = 0;
        while (j < count && !str_eq(facts->metadata[j].key, pairs[i].key))
            j++;
        require(j < count);
        require(facts->metadata[j].value.present == pairs[i].value.present);
        require(!pairs[i].value.present ||
                str_eq(facts->metadata[j].value.value.text, pairs[i].value.value.text));
    }
}

/* Taking some fields and then the others is taking all; and none changes nothing. */
static void check_merge(struct str row, struct str fresh, uint32_t taken)
{
    struct text all = {0}, some = {0}, both = {0}, same = {0};
    /* Metadata and extra are taken together. */
    taken &= ~(1u << RUN_METADATA);
    taken |= taken >> RUN_EXTRA & 1 ? 1u << RUN_METADATA : 0;
    facts_merge(row, UINT32_MAX, fresh, &all);
    facts_merge(row, taken, fresh, &some);
    facts_merge(text_str(&some), ~taken, fresh, &both);
    facts_merge(row, 0, fresh, &same);
    require(str_eq(text_str(&all), text_str(&both)));
    require(str_eq(text_str(&same), row));
    text_free(&all);
    text_free(&some);
    text_free(&both);
    text_free(&same);
}

struct row {
    struct text bytes;
    uint64_t layers;
};

static void read_written(const struct row *row, struct arena *arena)
{
    struct facts facts;
    require(row->bytes.len <= FACTS_MAX);
    require(facts_read(text_str(&row->bytes), arena, &facts, NULL) == 0);
    check_facts(&facts);
    check_written(&facts);
}

static void add_layer(struct row *row, enum run_kind kind, const struct str fields[RUN_FIELDS])
{
    struct bare_layer layer, attachment;
    struct text fresh = {0}, next = {0};
    struct facts facts;
    struct arena *arena = arena_new(1024);
    uint32_t taken = (uint32_t)(row->layers * 2654435761u);
    struct str said[RUN_FIELDS];

    /* The name of an attachment is any bytes, that of a run is JSON. */
    memcpy(said, fields, sizeof said);
    if (said[RUN_NAME].at && !is_json(said[RUN_NAME]))
        said[RUN_NAME] = (struct str){0};
    bare_layer(&attachment, RUN_ATTACHMENT, fields);
    bare_layer(&layer, kind, said);
    facts_of(&layer.run, &fresh);
    require(facts_read(text_str(&fresh), arena, &facts, NULL) == 0);
    check_facts(&facts);
    check_written(&facts);
    if (kind == RUN_WHOLE && fields[RUN_METADATA].at)
        check_metadata(fields[RUN_METADATA], &facts, arena);

    check_merge(text_str(&row->bytes), text_str(&fresh), taken);
    if (fields[RUN_NAME].at) {
        if (!facts_attach(text_str(&row->bytes), &attachment.run, (struct place){1, 1}, row->layers,
                          &next))
            text_add(&next, text_str(&row->bytes));
    } else {
        facts_merge(text_str(&row->bytes), layer.run.present, text_str(&fresh), &next);
    }
    text_free(&row->bytes);
    row->bytes = next;
    row->layers++;
    read_written(row, arena);
    layer_free(&layer);
    layer_free(&attachment);
    text_free(&fresh);
    arena_free(arena);
}

static void as_layers(struct str input)
{
    struct str fields[RUN_FIELDS] = {0};
    struct row row = {0};
    while (input.len > 0) {
        const char *newline = memchr(input.at, '\n', input.len);
        size_t size = newline ? (size_t)(newline - input.at) : input.len;
        struct str rest = {input.at + 1, size ? size - 1 : 0};
        unsigned field = (unsigned char)input.at[0] % RUN_FIELDS;
        if (size == 0) {
            add_layer(&row, (enum run_kind)(row.layers % 3), fields);
            memset(fields, 0, sizeof fields);
        } else if (field == RUN_NAME || is_json(rest)) {
            fields[field] = rest;
        }
        input.at += size + (newline != NULL);
        input.len -= size + (newline != NULL);
    }
    add_layer(&row, (enum run_kind)(row.layers % 3), fields);
    text_free(&row.bytes);
}

/* Bytes nobody of us wrote: in memory of their own, so that a step outside is seen. */
static void as_facts(struct str input)
{
    char *copy = malloc(input.len ? input.len : 1);
    require(copy != NULL);
    if (input.len)
        memcpy(copy, input.at, input.len);
    struct str bytes = {copy, input.len};
    struct arena *arena = arena_new(1024);
    struct text merged = {0}, attached = {0};
    struct facts facts;
    struct bare_layer layer;
    struct err err = {0};

    int r = facts_read(bytes, arena, &facts, &err);
    require(r == 0 || r == ERR_CORRUPT);
    if (r == 0)
        check_facts(&facts);
    facts_merge(bytes, 0x55555555, bytes, &merged);
    bare_layer(&layer, RUN_ATTACHMENT, (struct str[RUN_FIELDS]){[RUN_NAME] = {"m", 1}});
    bool news = facts_attach(bytes, &layer.run, (struct place){1, 1}, 7, &attached);
    if (r == 0) {
        require(facts_read(text_str(&merged), arena, &facts, NULL) == 0);
        require(facts_read(text_str(&attached), arena, &facts, NULL) == 0);
        require(!news || facts.attachment_count > 0);
    }
    layer_free(&layer);
    text_free(&merged);
    text_free(&attached);
    arena_free(arena);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str input = {(const char *)bytes, len};
    as_facts(input);
    as_layers(input);
    return 0;
}
