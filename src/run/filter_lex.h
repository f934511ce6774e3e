/* filter_lex.h - the words and marks of a filter's text, one after the other.
 *
 * Memory   what a token says lives in the arena
 * Errors   ERR_INVALID with the column
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct arena;

enum filter_token_kind {
    FILTER_TOKEN_END,
    FILTER_TOKEN_NAME,   /* `text` as it stands */
    FILTER_TOKEN_STRING, /* `text` without quotes and escapes */
    FILTER_TOKEN_NUMBER, /* `text` as it stands: a JSON number */
    FILTER_TOKEN_MARK    /* `text` is one of ( ) [ ] , */
};

struct filter_token {
    enum filter_token_kind kind;
    size_t at; /* where it begins, in bytes */
    struct str text;
};

struct filter_lex {
    struct str source; /* UTF-8 */
    size_t at;         /* behind the token */
    struct arena *arena;
    struct err *err;
    struct filter_token token; /* the one at hand */
};

/* Go to the first token; to the next. */
int filter_lex_start(struct filter_lex *lex, struct str source, struct arena *arena,
                     struct err *err);
int filter_lex_next(struct filter_lex *lex);

bool filter_token_is(const struct filter_token *token, char mark);
bool filter_token_is_word(const struct filter_token *token, struct str word); /* in any case */

/* ERR_INVALID with the column of the byte `at`. */
int filter_lex_wrong(const struct filter_lex *lex, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "expected ..., found ..." at the token at hand. */
int filter_lex_expected(const struct filter_lex *lex, const char *what);

/* How many bytes at the start of `text` are a JSON number. */
size_t filter_number_size(struct str text);

/* Text from outside as it may stand in a message: short, and ASCII. */
enum { FILTER_SHOWN_MAX = 40 };
const char *filter_shown(struct str text, char out[FILTER_SHOWN_MAX + 1]);

/* Decode what stands between the quotes of a valid JSON string; NUL, which PostgreSQL
 * does not take, becomes U+FFFD. */
struct str filter_decode(struct str raw, struct arena *arena);
