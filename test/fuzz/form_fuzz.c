/* form_fuzz.c - any bytes as a query string, and as a path segment.
 *
 * What was decoded must be UTF-8, and must come out the same when it is
 * escaped again, every byte of it, and parsed once more.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... && ./form_fuzz test/fuzz/seeds/form
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "wire/form.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void add_escaped(struct text *text, struct str plain)
{
    for (size_t i = 0; i < plain.len; i++)
        text_addf(text, "%%%02X", (unsigned)(unsigned char)plain.at[i]);
}

static void check_form(const struct form *form, struct arena *arena)
{
    struct text text = {0};
    require(form->count <= FORM_FIELDS_MAX);
    for (size_t i = 0; i < form->count; i++) {
        const struct form_field *field = &form->fields[i];
        require(utf8_valid(field->name) && utf8_valid(field->value));
        require(form_get(form, field->name).at != NULL);
        add_escaped(&text, field->name);
        text_add_char(&text, '=');
        add_escaped(&text, field->value);
        text_add_char(&text, '&');
    }

    struct form again;
    require(form_parse(text_str(&text), arena, &again, NULL) == 0);
    require(again.count == form->count);
    for (size_t i = 0; i < form->count; i++) {
        require(str_eq(again.fields[i].name, form->fields[i].name));
        require(str_eq(again.fields[i].value, form->fields[i].value));
    }
    text_free(&text);
}

static void check_segment(struct str decoded, struct arena *arena)
{
    struct text text = {0};
    struct str again;
    require(utf8_valid(decoded));
    require(decoded.len == 0 || !memchr(decoded.at, '\0', decoded.len));
    add_escaped(&text, decoded);
    require(form_decode_segment(text_str(&text), arena, &again));
    require(str_eq(again, decoded));
    text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena *arena = arena_new(1024);
    struct str input = {(const char *)bytes, len};
    struct str decoded;
    struct form form;
    struct err err = {0};

    if (form_parse(input, arena, &form, &err) == 0)
        check_form(&form, arena);
    else
        require(err.code == ERR_INVALID && err.text[0] != '\0');
    if (form_decode_segment(input, arena, &decoded))
        check_segment(decoded, arena);

    arena_free(arena);
    return 0;
}
