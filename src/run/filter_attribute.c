/* filter_attribute.c - the words of the filter language: attributes and operators. */
#include <assert.h>

#include "run/filter.h"

struct attribute {
    struct str name;
    enum filter_type type;
    bool list;
};

#define WORD(name, type, list)                                                                     \
    {                                                                                              \
        {(name), sizeof(name) - 1}, (type), (list)                                                 \
    }

/* clang-format off */
static const struct attribute attributes[FILTER_ATTRIBUTES] = {
    [FILTER_ID]                   = WORD("id",                   FILTER_UUID,     false),
    [FILTER_NAME]                 = WORD("name",                 FILTER_TEXT,     false),
    [FILTER_RUN_TYPE]             = WORD("run_type",             FILTER_WORD,     false),
    [FILTER_STATUS]               = WORD("status",               FILTER_WORD,     false),
    [FILTER_ERROR]                = WORD("error",                FILTER_TEXT,     false),
    [FILTER_START_TIME]           = WORD("start_time",           FILTER_INSTANT,  false),
    [FILTER_END_TIME]             = WORD("end_time",             FILTER_INSTANT,  false),
    [FILTER_LATENCY]              = WORD("latency",              FILTER_DURATION, false),
    [FILTER_FIRST_TOKEN_TIME]     = WORD("first_token_time",     FILTER_INSTANT,  false),
    [FILTER_TOTAL_TOKENS]         = WORD("total_tokens",         FILTER_INTEGER,  false),
    [FILTER_PROMPT_TOKENS]        = WORD("prompt_tokens",        FILTER_INTEGER,  false),
    [FILTER_COMPLETION_TOKENS]    = WORD("completion_tokens",    FILTER_INTEGER,  false),
    [FILTER_TOTAL_COST]           = WORD("total_cost",           FILTER_DECIMAL,  false),
    [FILTER_PROMPT_COST]          = WORD("prompt_cost",          FILTER_DECIMAL,  false),
    [FILTER_COMPLETION_COST]      = WORD("completion_cost",      FILTER_DECIMAL,  false),
    [FILTER_TAGS]                 = WORD("tags",                 FILTER_TEXT,     true),
    [FILTER_METADATA]             = WORD("metadata",             FILTER_JSON,     false),
    [FILTER_METADATA_KEY]         = WORD("metadata_key",         FILTER_TEXT,     true),
    [FILTER_METADATA_VALUE]       = WORD("metadata_value",       FILTER_TEXT,     true),
    [FILTER_FEEDBACK_KEY]         = WORD("feedback_key",         FILTER_TEXT,     true),
    [FILTER_FEEDBACK_SCORE]       = WORD("feedback_score",       FILTER_DECIMAL,  true),
    [FILTER_INPUTS]               = WORD("inputs",               FILTER_JSON,     false),
    [FILTER_OUTPUTS]              = WORD("outputs",              FILTER_JSON,     false),
    [FILTER_IS_ROOT]              = WORD("is_root",              FILTER_BOOL,     false),
    [FILTER_TRACE_ID]             = WORD("trace_id",             FILTER_UUID,     false),
    [FILTER_PARENT_RUN_ID]        = WORD("parent_run_id",        FILTER_UUID,     false),
    [FILTER_SESSION_ID]           = WORD("session_id",           FILTER_UUID,     false),
    [FILTER_THREAD_ID]            = WORD("thread_id",            FILTER_TEXT,     false),
    [FILTER_REFERENCE_EXAMPLE_ID] = WORD("reference_example_id", FILTER_UUID,     false),
    [FILTER_EXECUTION_ORDER]      = WORD("execution_order",      FILTER_INTEGER,  false),
    [FILTER_DOTTED_ORDER]         = WORD("dotted_order",         FILTER_TEXT,     false),
    [FILTER_CHILD_RUN_NAME]       = WORD("child_run_name",       FILTER_TEXT,     true),
};
/* clang-format on */

struct str filter_attribute_name(enum filter_attribute attribute)
{
    assert(attribute < FILTER_ATTRIBUTES);
    return attributes[attribute].name;
}

enum filter_attribute filter_attribute_named(struct str name)
{
    if (str_eq(name, STR("tag")))
        return FILTER_TAGS;
    for (int i = 0; i < FILTER_ATTRIBUTES; i++)
        if (str_eq(name, attributes[i].name))
            return (enum filter_attribute)i;
    return FILTER_ATTRIBUTES;
}

enum filter_type filter_attribute_type(enum filter_attribute attribute)
{
    assert(attribute < FILTER_ATTRIBUTES);
    return attributes[attribute].type;
}

bool filter_attribute_is_list(enum filter_attribute attribute)
{
    assert(attribute < FILTER_ATTRIBUTES);
    return attributes[attribute].list;
}

enum filter_attribute filter_attribute_entry(enum filter_attribute attribute)
{
    if (attribute == FILTER_METADATA_KEY || attribute == FILTER_METADATA_VALUE)
        return FILTER_METADATA_KEY;
    if (attribute == FILTER_FEEDBACK_KEY || attribute == FILTER_FEEDBACK_SCORE)
        return FILTER_FEEDBACK_KEY;
    return FILTER_ATTRIBUTES;
}

struct str filter_operator_name(enum filter_operator op)
{
    static const struct str names[] = {
        [FILTER_EQ] = {"eq", 2},        [FILTER_NEQ] = {"neq", 3}, [FILTER_GT] = {"gt", 2},
        [FILTER_GTE] = {"gte", 3},      [FILTER_LT] = {"lt", 2},   [FILTER_LTE] = {"lte", 3},
        [FILTER_IN] = {"in", 2},        [FILTER_NIN] = {"nin", 3}, [FILTER_IS_NULL] = {"eq", 2},
        [FILTER_NOT_NULL] = {"neq", 3},
    };
    assert(op < sizeof names / sizeof names[0]);
    return names[op];
}
