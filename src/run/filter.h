/* filter.h - which runs are meant: an expression of the filter language, checked.
 *
 *     and(eq(run_type, "chain"), or(neq(error, null), gt(latency, "5s")))
 *
 * filter_parse() does all that can be done without a run: attributes are known,
 * values have the type of their attribute, and what belongs to one entry of
 * metadata or feedback stands in one node.  filter_match() says what the tree means;
 * back ends narrow by it what is asked, never to less than that.
 *
 * Truth    A condition is true or false, never unknown; `not` turns that round.
 *          An attribute may be absent, and then only FILTER_IS_NULL, FILTER_NEQ
 *          and FILTER_NIN are true of it (x IS DISTINCT FROM v).
 *
 * Order    Texts by their bytes, uuids by theirs, instants and numbers as such.
 *          Text is equal when its bytes are; only a search looks past the case.
 *
 * Lists    Of an attribute with several elements, a condition is true if it is
 *          true of any element; FILTER_NEQ and FILTER_NIN if no element is equal
 *          to (one of) the values; FILTER_IS_NULL if no element is there.
 *
 * Entries  metadata_key and metadata_value are two halves of one entry, and so
 *          are feedback_key and feedback_score.  Conditions on halves that are
 *          direct arguments of one `and` are put together, in their order:
 *            - they are about the entry at hand, until an eq or in comes for a
 *              half for which that entry has an eq or in already: it begins the
 *              next entry (k=a v=1 k=b v=2 are two);
 *            - an entry with conditions on both halves is a FILTER_ENTRY: true if
 *              one entry of the run satisfies all of them, also neq and nin,
 *              which then are about that entry: and(neq(metadata_key, "a"),
 *              eq(metadata_value, "b")) finds a "b" under another key than "a";
 *            - so is one with a gt, gte, lt or lte beside another condition;
 *            - else each condition stands alone, as for any list.
 *          An `and` in an `and` puts its own arguments together first, and they
 *          are never mixed with those of the outer one.  Conditions inside `or`
 *          and `not` are not arguments of the `and` around those.
 *
 * Metadata Values are texts: a string its text, anything else its JSON without
 *          white space (true, 3, ["a"]).  JSON null is an entry without a value.
 *          Long ones are seen short (filter_seen), here and in runs: equal when
 *          they are equal, searched and in order by how they begin.
 *
 * has, exists  are written with the above: has(tags, "t") is eq(tags, "t");
 *          exists(metadata, "k") and has(metadata, "k") are and(eq(metadata_key,
 *          "k")); has(metadata, '{"k":"v","n":1}') is a FILTER_ENTRY of key and
 *          value for each member (the last, of members with one key), and-ed.
 *          has(metadata, '{}') is FILTER_ALL.
 *
 * Patterns matches("re") and matches(attribute, "re") look where search() does, for a match
 *          of a regular expression (base/regex.h); each attribute, element, key and value
 *          is a text of its own.
 *
 * Memory   the tree and all it holds live in the arena; the text may go
 * Threads  pure
 * Errors   ERR_INVALID: `filter, column 17: no attribute "foo"; there are ...`,
 *          columns are characters of the text, the first is 1
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

struct arena;
struct regex;
struct text;

enum {
    FILTER_TEXT_MAX = 65536,        /* bytes of the text */
    FILTER_DEPTH_MAX = 32,          /* calls in calls; a tree is at most two deeper */
    FILTER_NODES_MAX = 512,         /* calls, and nodes for members of has(metadata, ...) */
    FILTER_SEEN_MAX = 64,           /* bytes of a metadata value that is seen as it is */
    FILTER_PATTERNS_MAX = 8,        /* of one text: each is compiled */
    FILTER_VALUES_MAX = 1000,       /* elements of a list, members of has(metadata, ...) */
    FILTER_LATENCY_MAX = 1000000000 /* seconds, of either sign; more is refused */
};

/* What a value is, and the member of struct filter_value that holds it. */
enum filter_type {
    FILTER_UUID,     /* uuid */
    FILTER_TEXT,     /* text: UTF-8; a NUL that was escaped is U+FFFD */
    FILTER_WORD,     /* text: lower case; only equal or not */
    FILTER_INSTANT,  /* number: microseconds since 1970 UTC */
    FILTER_DURATION, /* number: microseconds */
    FILTER_INTEGER,  /* number */
    FILTER_DECIMAL,  /* decimal: finite */
    FILTER_BOOL,     /* truth; only equal or not */
    FILTER_JSON      /* none: only searched, or compared with null */
};

enum filter_attribute {
    FILTER_ID,
    FILTER_NAME,
    FILTER_RUN_TYPE, /* any word, also one that no run has */
    FILTER_STATUS,
    FILTER_ERROR,
    FILTER_START_TIME,
    FILTER_END_TIME,
    FILTER_LATENCY,
    FILTER_FIRST_TOKEN_TIME,
    FILTER_TOTAL_TOKENS,
    FILTER_PROMPT_TOKENS,
    FILTER_COMPLETION_TOKENS,
    FILTER_TOTAL_COST,
    FILTER_PROMPT_COST,
    FILTER_COMPLETION_COST,
    FILTER_TAGS, /* list; also written tag */
    FILTER_METADATA,
    FILTER_METADATA_KEY,   /* list */
    FILTER_METADATA_VALUE, /* list */
    FILTER_FEEDBACK_KEY,   /* list */
    FILTER_FEEDBACK_SCORE, /* list; an entry may have none */
    FILTER_INPUTS,
    FILTER_OUTPUTS,
    FILTER_IS_ROOT,
    FILTER_TRACE_ID,
    FILTER_PARENT_RUN_ID,
    FILTER_SESSION_ID,
    FILTER_THREAD_ID,
    FILTER_REFERENCE_EXAMPLE_ID,
    FILTER_EXECUTION_ORDER, /* 1 of a root, else absent */
    FILTER_DOTTED_ORDER,
    FILTER_CHILD_RUN_NAME, /* list: the names of the runs whose parent this is */
    FILTER_ATTRIBUTES
};

enum filter_operator {
    FILTER_EQ,
    FILTER_NEQ,
    FILTER_GT,
    FILTER_GTE,
    FILTER_LT,
    FILTER_LTE,
    FILTER_IN,
    FILTER_NIN,
    FILTER_IS_NULL, /* eq(x, null) */
    FILTER_NOT_NULL /* neq(x, null) */
};

enum filter_kind {
    FILTER_ALL,    /* every run */
    FILTER_AND,    /* all of two or more; never directly in another FILTER_AND */
    FILTER_OR,     /* any of two or more; never directly in another FILTER_OR */
    FILTER_NOT,    /* of one */
    FILTER_TEST,   /* `attribute` `op` `values` */
    FILTER_ENTRY,  /* one entry of metadata or feedback satisfies all of two or more
                   * FILTER_TEST on its halves; there each half is one value, not a list */
    FILTER_SEARCH, /* values[0].text is in `attribute`; FILTER_ATTRIBUTES: in any of name, error,
                    * inputs, outputs, tags, metadata.  Metadata: in a key or in a value. */
    FILTER_MATCHES /* the same of a match of `regex`, which is values[0].text */
};

struct filter_value {
    union {
        struct uuid uuid;
        struct str text;
        int64_t number;
        double decimal;
        bool truth;
    };
};

struct filter {
    enum filter_kind kind;
    enum filter_attribute attribute; /* FILTER_ENTRY: FILTER_METADATA_KEY or FILTER_FEEDBACK_KEY */
    enum filter_operator op;
    const struct filter_value *values; /* of the attribute's type */
    size_t value_count;                /* 0 with null; any, also 0, with IN and NIN; else 1 */
    const struct regex *regex;
    struct filter *first; /* of the nodes inside this one */
    struct filter *next;  /* beside this one */
    bool loose;           /* the parser's own */
};

int filter_parse(struct str text, struct arena *arena, const struct filter **result,
                 struct err *err);

/* Both of them, either of which may be NULL (then it is the other one); or any text. */
const struct filter *filter_both(const struct filter *a, const struct filter *b,
                                 struct arena *arena);
const struct filter *filter_search(struct str text, struct arena *arena);

/* The runs of a thread; at == NULL: of any. */
const struct filter *filter_thread(struct str thread, struct arena *arena);

/* A value of metadata as filters see it: itself, or where it is long, written to `room`,
 * its beginning, an ellipsis and a hash of all of it.  What is seen is seen as itself. */
struct str filter_seen(struct str value, char room[FILTER_SEEN_MAX]);

/* Is it a value itself?  False also of the rare one that only looks like a long one. */
bool filter_seen_whole(struct str seen);

/* What of the value itself is in it. */
struct str filter_seen_text(struct str seen);

/* Does it search in texts, for words or for matches? */
bool filter_searches(const struct filter *filter);

/* The tree as text, in one way whatever it was parsed from; that text parses to
 * the same tree, unless it is over a limit. */
void filter_write(const struct filter *filter, struct text *text);

/* "start_time", ... and back; FILTER_ATTRIBUTES for a name nobody knows. */
struct str filter_attribute_name(enum filter_attribute attribute);
enum filter_attribute filter_attribute_named(struct str name);
enum filter_type filter_attribute_type(enum filter_attribute attribute); /* of an element */
bool filter_attribute_is_list(enum filter_attribute attribute);

/* The half that stands for its entry: FILTER_METADATA_KEY of both halves of metadata,
 * FILTER_FEEDBACK_KEY of those of feedback, FILTER_ATTRIBUTES of anything else. */
enum filter_attribute filter_attribute_entry(enum filter_attribute attribute);

/* "eq", ... ; of the two about null "eq" and "neq". */
struct str filter_operator_name(enum filter_operator op);

/* --- the meaning ------------------------------------------------------------ */

struct filter_cell {
    bool present;
    struct filter_value value;
};

struct filter_pair {
    struct str key;
    struct filter_cell value; /* metadata: text; feedback: decimal */
};

/* What is known of one run.  All zero: nothing is. */
struct filter_subject {
    struct filter_cell cells[FILTER_ATTRIBUTES]; /* those that are no lists, metadata excepted;
                                                  * of inputs and outputs the text to search */
    const struct str *tags, *child_names;
    size_t tag_count, child_count;
    const struct filter_pair *metadata, *feedback;
    size_t metadata_count, feedback_count;
    bool (*contains)(struct str text, struct str sought); /* without regard to case */
};

/* Is it true of the run?  ERR_INVALID: it has a pattern for which that cannot be said, since
 * looking for a match takes too much.  The same filter and subject always have the same
 * answer; what comes behind a false condition of an `and`, or a true one of an `or`, is not
 * looked at. */
int filter_match(const struct filter *filter, const struct filter_subject *subject, bool *is,
                 struct err *err);
