/* form.c - see form.h. */
#include "wire/form.h"

#include <assert.h>

#include "base/arena.h"
#include "wire/utf8.h"

enum { SHOWN_MAX = 40 };

/* Take what stands before the next `&` off the front of `query`. */
static struct str take_piece(struct str *query)
{
    const char *ampersand = query->len ? memchr(query->at, '&', query->len) : NULL;
    struct str piece = *query;
    if (!ampersand) {
        query->len = 0;
        return piece;
    }
    piece.len = (size_t)(ampersand - query->at);
    query->at = ampersand + 1;
    query->len -= piece.len + 1;
    return piece;
}

/* The name of a parameter as it may stand in a message: short, and ASCII. */
static const char *shown(struct str name, char out[SHOWN_MAX + 1])
{
    size_t len = name.len < SHOWN_MAX ? name.len : SHOWN_MAX;
    for (size_t i = 0; i < len; i++) {
        out[i] = name.at[i];
        if (out[i] <= ' ' || out[i] >= 0x7f)
            out[i] = '?';
    }
    out[len] = '\0';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* NULL when good, else what is wrong. */
static const char *decode(struct str raw, bool plus_is_space, struct arena *arena,
                          struct str *result)
{
    char *out = arena_alloc(arena, raw.len + 1); /* with a NUL at the end */
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.at[i];
        if (c == '%') {
            int high = raw.len - i > 2 ? hex_digit(raw.at[i + 1]) : -1;
            int low = raw.len - i > 2 ? hex_digit(raw.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return "has a broken % escape";
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[len++] = c;
    }
    if (!utf8_valid((struct str){out, len}))
        return "is not UTF-8";
    *result = (struct str){out, len};
    return NULL;
}

int form_parse(struct str query, struct arena *arena, struct form *result, struct err *err)
{
    size_t count = 0;
    for (struct str left = query; left.len > 0;)
        if (take_piece(&left).len > 0)
            count++;
    if (count > FORM_FIELDS_MAX)
        return err_set(err, ERR_INVALID, "%zu parameters in the query, the limit is %d", count,
                       FORM_FIELDS_MAX);

    struct form form = {.fields = arena_make(arena, struct form_field, count)};
    for (struct str left = query; left.len > 0;) {
        struct str piece = take_piece(&left);
        if (piece.len == 0)
            continue;
        struct str name = piece;
        struct str value = STR("");
        const char *equals = memchr(piece.at, '=', piece.len);
        if (equals) {
            name.len = (size_t)(equals - piece.at);
            value = (struct str){equals + 1, piece.len - name.len - 1};
        }

        assert(form.count < count);
        struct form_field *field = &form.fields[form.count++];
        char text[SHOWN_MAX + 1];
        const char *wrong = decode(name, true, arena, &field->name);
        if (wrong)
            return err_set(err, ERR_INVALID, "the name of query parameter '%s' %s",
                           shown(name, text), wrong);
        wrong = decode(value, true, arena, &field->value);
        if (wrong)
            return err_set(err, ERR_INVALID, "query parameter '%s' %s", shown(name, text), wrong);
    }
    *result = form;
    return 0;
}

struct str form_get(const struct form *form, struct str name)
{
    for (size_t i = 0; i < form->count; i++)
        if (str_eq(form->fields[i].name, name))
            return form->fields[i].value;
    return (struct str){NULL, 0};
}

bool form_decode_segment(struct str segment, struct arena *arena, struct str *result)
{
    struct str decoded;
    if (decode(segment, false, arena, &decoded) ||
        (decoded.len > 0 && memchr(decoded.at, '\0', decoded.len)))
        return false;
    *result = decoded;
    return true;
}
