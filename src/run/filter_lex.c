/* filter_lex.c - see filter_lex.h. */
#include "run/filter_lex.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "run/filter.h"
#include "wire/json_string.h"
#include "wire/utf8.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The byte at `at`; NUL, which no token begins with or goes on with, behind the last. */
static char byte(const struct filter_lex *lex, size_t at)
{
    if (at >= lex->source.len)
        return '\0';
    return lex->source.at[at];
}

static struct str piece(const struct filter_lex *lex, size_t from, size_t to)
{
    return (struct str){lex->source.at + from, to - from};
}

/* --- messages --------------------------------------------------------------- */

/* A character is what is no continuation byte. */
static size_t column(struct str source, size_t at)
{
    size_t column = 1;
    for (size_t i = 0; i < at && i < source.len; i++)
        column += ((unsigned char)source.at[i] & 0xc0) != 0x80;
    return column;
}

int filter_lex_wrong(const struct filter_lex *lex, size_t at, const char *format, ...)
{
    char text[sizeof lex->err->text];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return err_set(lex->err, ERR_INVALID, "filter, column %zu: %s", column(lex->source, at), text);
}

int filter_lex_expected(const struct filter_lex *lex, const char *what)
{
    const struct filter_token *token = &lex->token;
    char shown[FILTER_SHOWN_MAX + 1];
    switch (token->kind) {
    case FILTER_TOKEN_END:
        return filter_lex_wrong(lex, token->at, "expected %s, found the end", what);
    case FILTER_TOKEN_STRING:
        return filter_lex_wrong(lex, token->at, "expected %s, found a text in quotes", what);
    case FILTER_TOKEN_NAME:
    case FILTER_TOKEN_NUMBER:
    case FILTER_TOKEN_MARK:
        break;
    }
    return filter_lex_wrong(lex, token->at, "expected %s, found %s", what,
                            filter_shown(token->text, shown));
}

const char *filter_shown(struct str text, char out[FILTER_SHOWN_MAX + 1])
{
    size_t len = text.len < FILTER_SHOWN_MAX ? text.len : FILTER_SHOWN_MAX;
    for (size_t i = 0; i < len; i++) {
        out[i] = text.at[i];
        if (out[i] < ' ' || out[i] > '~')
            out[i] = '?';
    }
    out[len] = '\0';
    return out;
}

/* --- strings ---------------------------------------------------------------- */

struct str filter_decode(struct str raw, struct arena *arena)
{
    static const struct str replacement = {"\xef\xbf\xbd", 3};
    char *plain = arena_alloc(arena, raw.len + 1);
    size_t len = json_string_decode(raw, plain);
    size_t nuls = 0;
    for (size_t i = 0; i < len; i++)
        nuls += plain[i] == '\0';
    if (nuls == 0)
        return (struct str){plain, len};

    char *out = arena_alloc(arena, len + nuls * replacement.len);
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (plain[i] == '\0') {
            memcpy(out + at, replacement.at, replacement.len);
            at += replacement.len;
        } else {
            out[at++] = plain[i];
        }
    }
    return (struct str){out, at};
}

/* How long the escape at `at` is; 0 when there is none of that kind. */
static size_t escape_size(const struct filter_lex *lex, size_t at)
{
    char c = byte(lex, at + 1);
    if (c != 'u')
        return c != '\0' && strchr("\"'\\/bfnrt", c) ? 2 : 0;
    for (size_t i = 2; i < 6; i++)
        if (!is_hex(byte(lex, at + i)))
            return 0;
    return 6;
}

/* Where the quote is that ends the text which begins with one at `at`; 0 when it does not end. */
static size_t string_end(const struct filter_lex *lex, size_t at)
{
    char quote = byte(lex, at++);
    while (at < lex->source.len && byte(lex, at) != quote)
        at += byte(lex, at) == '\\' ? 2 : 1;
    return at < lex->source.len ? at : 0;
}

static int take_string(struct filter_lex *lex)
{
    size_t start = lex->token.at + 1;
    size_t end = string_end(lex, lex->token.at);
    if (end == 0)
        return filter_lex_wrong(lex, lex->token.at, "a text in quotes does not end");

    char *raw = arena_alloc(lex->arena, end - start + 1);
    size_t len = 0;
    for (size_t at = start; at < end;) {
        size_t size = 1;
        if (byte(lex, at) == '\0')
            return filter_lex_wrong(lex, at, "a NUL in a text");
        if (byte(lex, at) == '\\') {
            size = escape_size(lex, at);
            if (size == 0)
                return filter_lex_wrong(lex, at,
                                        "no such escape; there are "
                                        "\\\" \\' \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
            /* The one escape that JSON does not have. */
            if (byte(lex, at + 1) == '\'') {
                at++;
                size = 1;
            }
        }
        memcpy(raw + len, lex->source.at + at, size);
        len += size;
        at += size;
    }
    lex->token.kind = FILTER_TOKEN_STRING;
    lex->token.text = filter_decode((struct str){raw, len}, lex->arena);
    lex->at = end + 1;
    return 0;
}

/* --- the rest --------------------------------------------------------------- */

static size_t skip_digits(const struct filter_lex *lex, size_t at)
{
    while (is_digit(byte(lex, at)))
        at++;
    return at;
}

/* Behind the JSON number at `at`; 0 when there is none. */
static size_t number_end(const struct filter_lex *lex, size_t at)
{
    if (byte(lex, at) == '-')
        at++;
    size_t end = byte(lex, at) == '0' ? at + 1 : skip_digits(lex, at);
    if (end == at)
        return 0;
    at = end;
    if (byte(lex, at) == '.') {
        end = skip_digits(lex, at + 1);
        if (end == at + 1)
            return 0;
        at = end;
    }
    if (byte(lex, at) == 'e' || byte(lex, at) == 'E') {
        at++;
        if (byte(lex, at) == '+' || byte(lex, at) == '-')
            at++;
        end = skip_digits(lex, at);
        if (end == at)
            return 0;
        at = end;
    }
    return at;
}

size_t filter_number_size(struct str text)
{
    const struct filter_lex lex = {.source = text};
    return number_end(&lex, 0);
}

static int take_number(struct filter_lex *lex)
{
    size_t end = number_end(lex, lex->token.at);
    char after = byte(lex, end);
    if (end == 0 || is_letter(after) || is_digit(after) || after == '.')
        return filter_lex_wrong(lex, lex->token.at,
                                "no number as JSON has them; anything else stands in quotes");
    lex->token.kind = FILTER_TOKEN_NUMBER;
    lex->token.text = piece(lex, lex->token.at, end);
    lex->at = end;
    return 0;
}

static void take_name(struct filter_lex *lex)
{
    size_t end = lex->token.at;
    while (is_letter(byte(lex, end)) || is_digit(byte(lex, end)) || byte(lex, end) == '.')
        end++;
    lex->token.kind = FILTER_TOKEN_NAME;
    lex->token.text = piece(lex, lex->token.at, end);
    lex->at = end;
}

int filter_lex_next(struct filter_lex *lex)
{
    while (byte(lex, lex->at) == ' ' || (byte(lex, lex->at) >= '\t' && byte(lex, lex->at) <= '\r'))
        lex->at++;
    lex->token = (struct filter_token){.kind = FILTER_TOKEN_END, .at = lex->at};
    if (lex->at == lex->source.len)
        return 0;

    char c = byte(lex, lex->at);
    if (c == '"' || c == '\'')
        return take_string(lex);
    if (is_digit(c) || c == '-')
        return take_number(lex);
    if (is_letter(c)) {
        take_name(lex);
        return 0;
    }
    if (c != '\0' && strchr("()[],", c)) {
        lex->token.kind = FILTER_TOKEN_MARK;
        lex->token.text = piece(lex, lex->at, lex->at + 1);
        lex->at++;
        return 0;
    }
    if (c > ' ' && c <= '~')
        return filter_lex_wrong(lex, lex->at, "unexpected %c", c);
    return filter_lex_wrong(lex, lex->at, "unexpected character");
}

int filter_lex_start(struct filter_lex *lex, struct str source, struct arena *arena,
                     struct err *err)
{
    *lex = (struct filter_lex){.source = source, .arena = arena, .err = err};
    if (source.len > FILTER_TEXT_MAX)
        return err_set(err, ERR_INVALID, "filter: %zu bytes, the limit is %d", source.len,
                       FILTER_TEXT_MAX);
    if (!utf8_valid(source))
        return err_set(err, ERR_INVALID, "filter: not UTF-8");
    return filter_lex_next(lex);
}

bool filter_token_is(const struct filter_token *token, char mark)
{
    return token->kind == FILTER_TOKEN_MARK && token->text.at[0] == mark;
}

bool filter_token_is_word(const struct filter_token *token, struct str word)
{
    return token->kind == FILTER_TOKEN_NAME && token->text.len == word.len &&
           strncasecmp(token->text.at, word.at, word.len) == 0;
}
