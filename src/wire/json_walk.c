/* json_walk.c - see json_walk.h.
 *
 * In a valid document all that is needed to find the end of a value is which brackets
 * are open, by number: a quote that is no part of an escape ends a string, and no
 * bracket outside of strings is ever the wrong one.
 *
 * Invariant   `at` never passes `end`, and each step but the last goes on.
 */
#include "wire/json_walk.h"

#include "wire/json_string.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

struct json_walk json_walk(struct str json)
{
    const char *end = json.len ? json.at + json.len : json.at;
    return (struct json_walk){skip_space(json.at, end), end};
}

static bool open(struct json_walk *walk, char bracket)
{
    if (walk->at == walk->end || *walk->at != bracket)
        return false;
    walk->at++;
    return true;
}

bool json_walk_object(struct json_walk *walk)
{
    return open(walk, '{');
}

bool json_walk_list(struct json_walk *walk)
{
    return open(walk, '[');
}

/* To what comes next in a container; false: it ends. */
static bool next(struct json_walk *walk, char bracket)
{
    while (walk->at < walk->end && (is_space(*walk->at) || *walk->at == ','))
        walk->at++;
    if (walk->at == walk->end)
        return false;
    if (*walk->at != bracket)
        return true;
    walk->at++;
    return false;
}

bool json_walk_member(struct json_walk *walk, struct str *key)
{
    if (!next(walk, '}'))
        return false;
    const char *inside = walk->at + 1;
    const char *quote = json_string_end(inside, walk->end);
    *key = (struct str){inside, (size_t)(quote - inside)};
    walk->at = quote;
    if (walk->at < walk->end)
        walk->at = skip_space(walk->at + 1, walk->end);
    if (walk->at < walk->end)
        walk->at = skip_space(walk->at + 1, walk->end); /* the colon */
    return walk->at < walk->end;
}

bool json_walk_element(struct json_walk *walk)
{
    return next(walk, ']');
}

const char *json_string_end(const char *at, const char *end)
{
    for (const char *from = at; from < end;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (!quote)
            break;
        const char *slash = quote;
        while (slash > at && slash[-1] == '\\')
            slash--;
        if ((quote - slash) % 2 == 0)
            return quote;
        from = quote + 1;
    }
    return end;
}

/* Brackets and quotes; all else between them is passed over. */
static const bool counts[256] = {['"'] = 1, ['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1};

static const char *container_end(const char *at, const char *end)
{
    size_t depth = 0;
    for (; at < end; at++) {
        while (at < end && !counts[(unsigned char)*at])
            at++;
        if (at == end)
            break;
        if (*at == '"') {
            at = json_string_end(at + 1, end);
            if (at == end)
                break;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (--depth == 0) {
            return at + 1;
        }
    }
    return end;
}

/* Of a number or a word. */
static const char *scalar_end(const char *at, const char *end)
{
    do
        at++;
    while (at < end && *at != ',' && *at != '}' && *at != ']' && !is_space(*at));
    return at;
}

struct str json_walk_value(struct json_walk *walk)
{
    const char *at = walk->at;
    if (at == walk->end)
        return (struct str){at, 0};
    if (*at == '{' || *at == '[') {
        walk->at = container_end(at, walk->end);
    } else if (*at == '"') {
        walk->at = json_string_end(at + 1, walk->end);
        walk->at += walk->at < walk->end;
    } else {
        walk->at = scalar_end(at, walk->end);
    }
    return (struct str){at, (size_t)(walk->at - at)};
}

bool json_key_is(struct str key, struct str name)
{
    if (str_eq(key, name))
        return true;
    return key.len > name.len && memchr(key.at, '\\', key.len) && json_string_is(key, name);
}
