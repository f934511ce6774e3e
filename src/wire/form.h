/* form.h - the query string of a URL: names and values, percent-decoded.
 *
 * Both application/x-www-form-urlencoded (`+` is a space) and plain percent
 * escapes.  A broken escape, or text that is not UTF-8 after decoding, is an
 * error and never a guess.
 *
 * Memory   decoded into the caller's arena
 * Errors   ERR_INVALID with a sentence that names the parameter
 * Sources  WHATWG URL, application/x-www-form-urlencoded parsing
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct arena;

enum { FORM_FIELDS_MAX = 512 };

struct form_field {
    struct str name, value;
};

struct form {
    struct form_field *fields; /* in the order they came; empty pieces ("a&&b") are skipped */
    size_t count;
};

/* `query` is what follows the `?`; it may be empty. */
int form_parse(struct str query, struct arena *arena, struct form *result, struct err *err);

/* The first value of that name; at == NULL when there is none. */
struct str form_get(const struct form *form, struct str name);

/* Percent-decode one path segment (`+` stays `+`).  False on a broken escape,
 * or on a decoded NUL. */
bool form_decode_segment(struct str segment, struct arena *arena, struct str *result);
