/* run.c - see run.h.  The words of the domain, and a field's bytes. */
#include "run/run.h"

#include <assert.h>

#include "base/bytes.h"

static const struct str field_names[RUN_FIELDS] = {
    [RUN_ID] = {"id", 2},
    [RUN_TRACE_ID] = {"trace_id", 8},
    [RUN_NAME] = {"name", 4},
    [RUN_INPUTS] = {"inputs", 6},
    [RUN_OUTPUTS] = {"outputs", 7},
    [RUN_METADATA] = {"metadata", 8},
    [RUN_EXTRA] = {"extra", 5},
    [RUN_ERROR_TEXT] = {"error", 5},
    [RUN_EVENTS] = {"events", 6},
    [RUN_TAGS] = {"tags", 4},
    [RUN_SERIALIZED] = {"serialized", 10},
    [RUN_PARENT_RUN_ID] = {"parent_run_id", 13},
    [RUN_DOTTED_ORDER] = {"dotted_order", 12},
    [RUN_RUN_TYPE] = {"run_type", 8},
    [RUN_START_TIME] = {"start_time", 10},
    [RUN_END_TIME] = {"end_time", 8},
    [RUN_SESSION_NAME] = {"session_name", 12},
    [RUN_SESSION_ID] = {"session_id", 10},
    [RUN_REFERENCE_EXAMPLE_ID] = {"reference_example_id", 20},
    [RUN_ADDRESS] = {"address", 7},
};

static const struct str type_names[RUN_TYPES] = {
    [RUN_CHAIN] = {"chain", 5},         [RUN_LLM] = {"llm", 3},
    [RUN_TOOL] = {"tool", 4},           [RUN_RETRIEVER] = {"retriever", 9},
    [RUN_EMBEDDING] = {"embedding", 9}, [RUN_PROMPT] = {"prompt", 6},
    [RUN_PARSER] = {"parser", 6},
};

static const struct str status_names[] = {
    [RUN_PENDING] = {"pending", 7},
    [RUN_SUCCESS] = {"success", 7},
    [RUN_ERROR] = {"error", 5},
};

struct str run_field_name(enum run_field field)
{
    assert(field < RUN_FIELDS);
    return field_names[field];
}

enum run_field run_field_named(struct str name)
{
    for (unsigned f = 0; f < RUN_FIELDS; f++)
        if (str_eq(field_names[f], name))
            return (enum run_field)f;
    return RUN_FIELDS;
}

struct str run_type_name(enum run_type type)
{
    assert(type < RUN_TYPES);
    return type_names[type];
}

enum run_type run_type_named(struct str name)
{
    for (unsigned t = 0; t < RUN_TYPES; t++)
        if (str_eq(type_names[t], name))
            return (enum run_type)t;
    return RUN_TYPES;
}

struct str run_status_name(enum run_status status)
{
    assert(status <= RUN_ERROR);
    return status_names[status];
}

bool run_span(const struct run *run, enum run_field field, uint32_t *at, uint32_t *len)
{
    uint32_t bit = UINT32_C(1) << field;
    if (!(run->present & bit))
        return false;
    const char *span = run->spans + 8 * __builtin_popcount(run->present & (bit - 1));
    *at = get_u32(span);
    *len = get_u32(span + 4);
    return true;
}

struct str run_field(const struct run *run, enum run_field field)
{
    uint32_t at, len;
    if (!run_span(run, field, &at, &len))
        return (struct str){0};
    assert(at <= run->raw.len &&
           len <= run->raw.len - at); /* record_decode() checked stored ones */
    return (struct str){run->raw.at + at, len};
}
