/* facts_usage.c - see facts_usage.h.
 *
 * The search is one walk over outputs, and none where the word does not occur in it,
 * which is so for most runs.  Only what is short enough to be kept is gone through again.
 */
#include "run/facts_usage.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "run/filter_lex.h"
#include "wire/json_walk.h"

/* --- what a usage says ------------------------------------------------------ */

enum details {
    PROMPT_TOKEN_DETAILS,
    COMPLETION_TOKEN_DETAILS,
    PROMPT_COST_DETAILS,
    COMPLETION_COST_DETAILS,
    NUMBER /* none of those: a number */
};

/* Names, the newer before the older. */
static const struct name {
    struct str name;
    enum facts_number number;
    enum details details;
} names[] = {
    {{"input_tokens", 12}, FACTS_PROMPT_TOKENS, NUMBER},
    {{"output_tokens", 13}, FACTS_COMPLETION_TOKENS, NUMBER},
    {{"total_tokens", 12}, FACTS_TOTAL_TOKENS, NUMBER},
    {{"input_cost", 10}, FACTS_PROMPT_COST, NUMBER},
    {{"output_cost", 11}, FACTS_COMPLETION_COST, NUMBER},
    {{"total_cost", 10}, FACTS_TOTAL_COST, NUMBER},
    {{"prompt_tokens", 13}, FACTS_PROMPT_TOKENS, NUMBER},
    {{"completion_tokens", 17}, FACTS_COMPLETION_TOKENS, NUMBER},
    {{"prompt_cost", 11}, FACTS_PROMPT_COST, NUMBER},
    {{"completion_cost", 15}, FACTS_COMPLETION_COST, NUMBER},
    {{"promptTokens", 12}, FACTS_PROMPT_TOKENS, NUMBER},
    {{"completionTokens", 16}, FACTS_COMPLETION_TOKENS, NUMBER},
    {{"totalTokens", 11}, FACTS_TOTAL_TOKENS, NUMBER},
    {{"input_token_details", 19}, FACTS_NUMBERS, PROMPT_TOKEN_DETAILS},
    {{"output_token_details", 20}, FACTS_NUMBERS, COMPLETION_TOKEN_DETAILS},
    {{"input_cost_details", 18}, FACTS_NUMBERS, PROMPT_COST_DETAILS},
    {{"output_cost_details", 19}, FACTS_NUMBERS, COMPLETION_COST_DETAILS},
    {{"prompt_token_details", 20}, FACTS_NUMBERS, PROMPT_TOKEN_DETAILS},
    {{"completion_token_details", 24}, FACTS_NUMBERS, COMPLETION_TOKEN_DETAILS},
    {{"prompt_cost_details", 19}, FACTS_NUMBERS, PROMPT_COST_DETAILS},
    {{"completion_cost_details", 23}, FACTS_NUMBERS, COMPLETION_COST_DETAILS},
    {{"prompt_tokens_details", 21}, FACTS_NUMBERS, PROMPT_TOKEN_DETAILS},
    {{"completion_tokens_details", 25}, FACTS_NUMBERS, COMPLETION_TOKEN_DETAILS},
};

enum { NAMES = sizeof names / sizeof names[0] };

static size_t name_of(struct str key)
{
    size_t i = 0;
    while (i < NAMES && !json_key_is(key, names[i].name))
        i++;
    return i;
}

static bool is_cost(enum facts_number number)
{
    return number == FACTS_PROMPT_COST || number == FACTS_COMPLETION_COST ||
           number == FACTS_TOTAL_COST;
}

/* Of a number, and where strings may be numbers of one: the digits; else at == NULL. */
static struct str digits(struct str json, bool strings)
{
    if (strings && json.len >= 2 && json.at[0] == '"')
        json = (struct str){json.at + 1, json.len - 2};
    if (json.len == 0 || filter_number_size(json) != json.len)
        return (struct str){0};
    return json;
}

static const double exact = 9007199254740992.0; /* whole numbers below this are doubles */

/* What fits into a double, and of tokens is a count. */
static bool read_number(struct str text, bool cost, struct arena *arena, double *result)
{
    double value = strtod(arena_copy(arena, text).at, NULL);
    *result = value;
    return isfinite(value) && (cost || (value >= 0 && value < exact && value == trunc(value)));
}

/* Clients read details as numbers by name and refuse the whole run over any other. */
static bool are_details(struct str json, bool cost, struct arena *arena)
{
    struct json_walk walk = json_walk(json);
    struct str key;
    double value;
    if (!json_walk_object(&walk))
        return false;
    while (json_walk_member(&walk, &key)) {
        struct str text = digits(json_walk_value(&walk), cost);
        if (!text.at || !read_number(text, cost, arena, &value))
            return false;
    }
    return true;
}

static void read_member(const struct name *name, struct str json, struct arena *arena,
                        struct facts_usage *usage)
{
    struct str *details[] = {
        [PROMPT_TOKEN_DETAILS] = &usage->prompt_token_details,
        [COMPLETION_TOKEN_DETAILS] = &usage->completion_token_details,
        [PROMPT_COST_DETAILS] = &usage->prompt_cost_details,
        [COMPLETION_COST_DETAILS] = &usage->completion_cost_details,
    };
    if (name->details != NUMBER) {
        bool costs =
            name->details == PROMPT_COST_DETAILS || name->details == COMPLETION_COST_DETAILS;
        if (are_details(json, costs, arena))
            *details[name->details] = json;
        return;
    }
    bool cost = is_cost(name->number);
    struct str text = digits(json, cost);
    double value;
    if (text.at && read_number(text, cost, arena, &value)) {
        usage->has[name->number] = true;
        usage->value[name->number] = value;
        usage->text[name->number] = text;
    }
}

static void add_up(struct facts_usage *usage, enum facts_number total, enum facts_number prompt,
                   enum facts_number completion)
{
    double value = usage->value[prompt] + usage->value[completion];
    if (usage->has[total] || !(usage->has[prompt] || usage->has[completion]))
        return;
    usage->has[total] = isfinite(value) && (is_cost(total) || value < exact);
    usage->value[total] = usage->has[total] ? value : 0;
}

void facts_usage_read(struct str json, struct arena *arena, struct facts_usage *result)
{
    /* Of each name the last value, as JSON readers have it. */
    struct str values[NAMES] = {0};
    struct json_walk walk = json_walk(json);
    struct str key;
    if (json_walk_object(&walk))
        while (json_walk_member(&walk, &key)) {
            size_t i = name_of(key);
            struct str value = json_walk_value(&walk);
            if (i < NAMES)
                values[i] = value;
        }
    struct facts_usage usage = {0};
    for (size_t i = NAMES; i-- > 0;)
        if (values[i].at)
            read_member(&names[i], values[i], arena, &usage);
    add_up(&usage, FACTS_TOTAL_TOKENS, FACTS_PROMPT_TOKENS, FACTS_COMPLETION_TOKENS);
    add_up(&usage, FACTS_TOTAL_COST, FACTS_PROMPT_COST, FACTS_COMPLETION_COST);
    *result = usage;
}

/* --- where it is ------------------------------------------------------------ */

/* Is there a number of ours, as far as can be told without reading it? */
static bool is_usage(struct str json)
{
    struct json_walk walk = json_walk(json);
    struct str key;
    if (!json_walk_object(&walk))
        return false;
    while (json_walk_member(&walk, &key)) {
        size_t i = name_of(key);
        struct str value = json_walk_value(&walk);
        if (i < NAMES && names[i].details == NUMBER && digits(value, is_cost(names[i].number)).at)
            return true;
    }
    return false;
}

void facts_usage_offer(struct facts_found *found, enum facts_rank rank, struct json_walk *walk)
{
    struct str json = json_walk_value(walk);
    if (rank >= found->rank || json.len == 0 || json.at[0] != '{')
        return;
    if (json.len > FACTS_SOURCE) {
        found->cut = rank < found->cut ? rank : found->cut;
    } else if (is_usage(json)) {
        found->rank = rank;
        found->json = json;
    }
}

/* What is at the end of a path of `count` names from the value the walk is before. */
static void find_at(struct facts_found *found, enum facts_rank rank, const struct str *path,
                    size_t count, struct json_walk *walk)
{
    struct str key;
    if (count == 0) {
        facts_usage_offer(found, rank, walk);
    } else if (!json_walk_object(walk)) {
        json_walk_value(walk);
    } else {
        while (json_walk_member(walk, &key))
            if (json_key_is(key, path[0]))
                find_at(found, rank, path + 1, count - 1, walk);
            else
                json_walk_value(walk);
    }
}

static void find_in_generations(struct facts_found *found, struct json_walk *walk)
{
    static const struct str path[] = {{"message", 7}, {"kwargs", 6}, {"usage_metadata", 14}};
    if (!json_walk_list(walk)) {
        json_walk_value(walk);
        return;
    }
    while (json_walk_element(walk)) {
        if (!json_walk_list(walk)) {
            json_walk_value(walk);
            continue;
        }
        while (json_walk_element(walk))
            find_at(found, RANK_GENERATION, path, sizeof path / sizeof path[0], walk);
    }
}

/* An object in outputs. */
static void find_in_output(struct facts_found *found, struct str name, struct json_walk *walk)
{
    static const struct str usage_metadata = {"usage_metadata", 14};
    bool call = json_key_is(name, STR("llm_output")) || json_key_is(name, STR("llmOutput"));
    struct str key;
    while (json_walk_member(walk, &key))
        if (json_key_is(key, usage_metadata))
            facts_usage_offer(found, RANK_OUTPUT, walk);
        else if (json_key_is(key, STR("kwargs")))
            find_at(found, RANK_LANGCHAIN, &usage_metadata, 1, walk);
        else if (call &&
                 (json_key_is(key, STR("token_usage")) || json_key_is(key, STR("tokenUsage"))))
            facts_usage_offer(found, RANK_LANGCHAIN_CALL, walk);
        else
            json_walk_value(walk);
}

/* Is "sage" in it, as in all the names of usage, and hardly ever elsewhere?  There are few g:
 * going from one to the next is several times as fast as memmem(). */
static bool may_have_usage(struct str json)
{
    const char *end = json.at + json.len;
    for (const char *g = json.at; (g = memchr(g, 'g', (size_t)(end - g))); g++)
        if (g - json.at >= 2 && end - g >= 2 && memcmp(g - 2, "sage", 4) == 0)
            return true;
    return false;
}

struct facts_found facts_usage_find(struct str outputs)
{
    struct facts_found found = {.rank = RANK_NONE, .cut = RANK_NONE};
    struct json_walk walk = json_walk(outputs);
    struct str key;
    if (outputs.len == 0 || !may_have_usage(outputs) || !json_walk_object(&walk))
        return found;
    while (found.rank != RANK_OUTPUTS && json_walk_member(&walk, &key))
        if (json_key_is(key, STR("usage_metadata")))
            facts_usage_offer(&found, RANK_OUTPUTS, &walk);
        else if (json_key_is(key, STR("usage")))
            facts_usage_offer(&found, RANK_OPENAI, &walk);
        else if (json_key_is(key, STR("generations")))
            find_in_generations(&found, &walk);
        else if (json_walk_object(&walk))
            find_in_output(&found, key, &walk);
        else
            json_walk_value(&walk);
    return found;
}
