/* facts_usage.h - where clients say how many tokens a call took and what it cost.
 *
 * There are many places; the first in this order that is an object with a number we know
 * counts, whichever field it is in.
 *
 * Sources  docs/design/langsmith.md, Facts
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "run/facts.h"

struct arena;
struct json_walk;

/* The numbers are stored, and the least counts. */
enum facts_rank {
    RANK_OUTPUTS,        /* outputs.usage_metadata */
    RANK_OUTPUT,         /* outputs.<k>.usage_metadata */
    RANK_LANGCHAIN,      /* outputs.<k>.kwargs.usage_metadata */
    RANK_GENERATION,     /* outputs.generations[..][..].message.kwargs.usage_metadata */
    RANK_METADATA,       /* extra.metadata.usage_metadata */
    RANK_LANGCHAIN_CALL, /* outputs.llm_output.token_usage, outputs.llmOutput.tokenUsage */
    RANK_OPENAI,         /* outputs.usage */
    RANK_NONE
};

struct facts_found {
    enum facts_rank rank;
    struct str json;     /* the object as sent, at most FACTS_SOURCE bytes */
    enum facts_rank cut; /* of the best that was longer; RANK_NONE: none was */
};

/* Look at the value the walk is before, and take it if it is better than what was found.
 * The walk is past it then. */
void facts_usage_offer(struct facts_found *found, enum facts_rank rank, struct json_walk *walk);

/* The best of `outputs`; RANK_NONE: none. */
struct facts_found facts_usage_find(struct str outputs);

/* What a usage that was found says. */
void facts_usage_read(struct str json, struct arena *arena, struct facts_usage *result);
