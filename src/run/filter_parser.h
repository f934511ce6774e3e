/* filter_parser.h - what the readers of a filter's operators share.
 *
 * A reader is called behind the "(" of its operator, and leaves the ")" at hand.
 *
 * Memory   in the arena of the lexer
 * Errors   ERR_INVALID with the column
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "run/filter.h"
#include "run/filter_lex.h"

struct filter_parser {
    struct filter_lex lex;
    size_t nodes;    /* made so far */
    size_t patterns; /* of those */
};

struct filter_call {
    const struct filter_word *word; /* the operator */
    size_t at;                      /* where it stands */
    int depth;
};

/* What may stand before a "(". */
struct filter_word {
    struct str name;
    int (*read)(struct filter_parser *p, const struct filter_call *call, struct filter **result);
    const char *takes;       /* for a message */
    enum filter_kind kind;   /* of those that are no comparisons */
    enum filter_operator op; /* of comparisons */
};

int filter_read_compare(struct filter_parser *p, const struct filter_call *call,
                        struct filter **result);
int filter_read_in(struct filter_parser *p, const struct filter_call *call, struct filter **result);
int filter_read_has(struct filter_parser *p, const struct filter_call *call,
                    struct filter **result);
int filter_read_exists(struct filter_parser *p, const struct filter_call *call,
                       struct filter **result);
int filter_read_search(struct filter_parser *p, const struct filter_call *call,
                       struct filter **result);

/* A node of no attribute, counted. */
int filter_make(struct filter_parser *p, enum filter_kind kind, struct filter **result);

/* Is that mark the token at hand? */
bool filter_at(const struct filter_parser *p, char mark);

/* Behind an argument: go past the comma before the next; or see that it was the last. */
int filter_take_comma(struct filter_parser *p, const struct filter_call *call);
int filter_check_end(const struct filter_parser *p, const struct filter_call *call);

/* "eq takes an attribute and a value". */
int filter_wrong_count(const struct filter_parser *p, const struct filter_call *call);
