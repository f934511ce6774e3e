/* facts.h - what filters and answers need of a run without reading its payloads.
 *
 * Facts are taken out of a layer once, when it arrives or is replayed, and kept with the
 * row as bytes: a section for each field they come from.  A field's section goes with the
 * field: who holds it (run/merge.h) has its facts.
 *
 *     inputs, outputs   the first FACTS_PREVIEW bytes of their text; outputs: usage
 *     extra             the pairs of extra.metadata (of a whole run without it: of
 *                       metadata), and the thread; usage
 *     name, error, tags, dotted_order, reference_example_id    themselves
 *     events            the time of the first `new_token`
 *
 * Usage is looked for in the order of the contract (tokens may be at seven paths of
 * outputs, and one of metadata stands between them), so each has its rank and the least
 * counts.  Each of these has at most FACTS_SOURCE bytes, and there are at most FACTS_PAIRS
 * pairs, FACTS_SHORTENED of them with long values.  Of a preview, an error and a dotted
 * order the beginning is kept; of the others what does not fit is left out whole.  The
 * facts say of which fields something is cut.
 *
 * A preview is the JSON without white space, its strings decoded, quotes around them; of a
 * string its text.  Null, and an error that is "", have no facts.  Of the members of
 * metadata with one key the last counts.  A thread is no empty text.
 *
 * Threads  pure
 * Memory   texts are decoded: UTF-8, NUL and lone surrogates as U+FFFD
 * Sources  docs/design/langsmith.md, Facts
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"
#include "run/filter.h"
#include "run/run.h"

struct arena;
struct text;

enum {
    FACTS_SOURCE = 4096,
    FACTS_PAIRS = 64,
    FACTS_SHORTENED = 16, /* of these, with values that are long (filter_seen) */
    FACTS_PREVIEW = 160,
    FACTS_ATTACHMENTS = 64,      /* of a run: the first by their names; further ones are stored
                                  * and cannot be listed */
    FACTS_ATTACHMENT_TEXT = 512, /* bytes of a name, else it is not listed; of a type, else the
                                  * attachment has none */
    FACTS_MAX = 98304            /* bytes of the facts of a run, whatever was sent */
};

enum facts_number {
    FACTS_PROMPT_TOKENS,
    FACTS_COMPLETION_TOKENS,
    FACTS_TOTAL_TOKENS, /* their sum where it was not said */
    FACTS_PROMPT_COST,
    FACTS_COMPLETION_COST,
    FACTS_TOTAL_COST, /* likewise */
    FACTS_NUMBERS
};

/* Members of `usage`; where it has none of that name, of older names too. */
struct facts_usage {
    bool has[FACTS_NUMBERS];
    double value[FACTS_NUMBERS];    /* tokens are whole, and below 2^53 */
    struct str text[FACTS_NUMBERS]; /* a JSON number as sent, without quotes; at == NULL: a sum */
    /* JSON objects as sent, with numbers only (of costs also as texts); or at == NULL. */
    struct str prompt_token_details, completion_token_details;
    struct str prompt_cost_details, completion_cost_details;
};

struct facts_attachment {
    struct place place;
    uint64_t sequence;
    uint64_t hash; /* the low half of its entry's */
    uint32_t size; /* of its entry's raw */
    struct str name, type;
};

struct facts {
    struct str name;                                                         /* at == NULL: none */
    struct str inputs_preview, outputs_preview, error, dotted_order, thread; /* at == NULL: none */
    const struct str *tags;
    size_t tag_count;
    const struct filter_pair *metadata; /* values as filter.h says: Metadata */
    size_t metadata_count;
    bool has_first_token, has_reference_example;
    int64_t first_token_us;
    struct uuid reference_example;
    struct facts_usage usage;
    const struct facts_attachment *attachments;
    size_t attachment_count;
    uint32_t cut; /* bit f: of field f something was left out */
};

/* The facts of one layer, appended to `text`; nothing when there are none.  Its fields are
 * valid JSON. */
void facts_of(const struct run *run, struct text *text);

/* What a row's facts are after a layer took the fields `taken`: sections of those from
 * `fresh`, or none; all others from `old`.  Appended to `text`. */
void facts_merge(struct str old, uint32_t taken, struct str fresh, struct text *text);

/* The same after an attachment came: the later of one name stays.  In whatever order layers
 * and attachments come, the row's facts are the same bytes.  False: nothing is news, since
 * this very attachment is there, or a later one, or its name is none that can be listed
 * (empty, not UTF-8, or over FACTS_ATTACHMENT_TEXT); then nothing is appended. */
bool facts_attach(struct str old, const struct run *attachment, struct place place,
                  uint64_t sequence, struct text *text);

/* Read them.  Views of `bytes`, and of the arena.  Empty: no facts.  ERR_CORRUPT. */
int facts_read(struct str bytes, struct arena *arena, struct facts *result, struct err *err);
/* All but the usage, of which reading takes longest. */
int facts_read_labels(struct str bytes, struct arena *arena, struct facts *result, struct err *err);

/* What a filter asks of a run that is said by its facts: fills cells, tags, metadata of
 * the subject (not what the row itself says: id, name, times, ids of others).  Inputs and
 * outputs have their previews as the text to search. */
void facts_subject(const struct facts *facts, struct filter_subject *subject);
