/* facts_text.c - see facts_text.h. */
#include "run/facts_text.h"

#include "base/text.h"
#include "wire/json_string.h"
#include "wire/json_walk.h"

static void add(struct facts_out *out, struct str plain)
{
    size_t len = plain.len;
    if (!out->whole)
        return;
    if (len > out->left) {
        out->whole = false;
        len = out->left;
        while (len > 0 && (plain.at[len] & 0xc0) == 0x80)
            len--;
    }
    text_add(out->text, (struct str){plain.at, len});
    out->left -= len;
}

/* Bytes of the escape at the start of `raw`; of two that are one character, both. */
static size_t escape_size(struct str raw)
{
    if (raw.at[1] != 'u')
        return 2;
    bool high = (raw.at[2] | 0x20) == 'd' && strchr("89abAB", raw.at[3]);
    return high && raw.len >= 12 && raw.at[6] == '\\' && raw.at[7] == 'u' ? 12 : 6;
}

static void add_escape(struct facts_out *out, struct str escape)
{
    char decoded[12];
    size_t len = json_string_decode(escape, decoded);
    if (len == 1 && decoded[0] == '\0')
        add(out, STR("\xef\xbf\xbd")); /* U+FFFD */
    else
        add(out, (struct str){decoded, len});
}

void facts_add_string(struct facts_out *out, struct str inside)
{
    while (inside.len > 0 && out->whole) {
        size_t size;
        if (inside.at[0] == '\\') {
            size = escape_size(inside);
            add_escape(out, (struct str){inside.at, size});
        } else {
            size = inside.len <= out->left ? inside.len : out->left + 1;
            const char *slash = memchr(inside.at, '\\', size);
            size = slash ? (size_t)(slash - inside.at) : size;
            add(out, (struct str){inside.at, size});
        }
        inside.at += size;
        inside.len -= size;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* What is neither white space nor a string. */
static size_t bare_size(struct str json, size_t most)
{
    size_t size = 0;
    while (size < json.len && size <= most && json.at[size] != '"' && !is_space(json.at[size]))
        size++;
    return size;
}

/* A string in a value.  Its end is looked for no further than may matter: no more than
 * six bytes are one byte of text.  Returns how many of `json` it took. */
static size_t add_quoted(struct facts_out *out, struct str json, bool decode)
{
    enum { LONGEST_ESCAPE = 6, SLACK = 16 };
    size_t window = out->left * LONGEST_ESCAPE + SLACK;
    if (window > json.len)
        window = json.len;
    const char *limit = json.at + window;
    const char *quote = json_string_end(json.at + 1, limit);
    size_t size = (size_t)(quote - json.at) + (quote < limit);
    if (decode && memchr(json.at, '\\', size)) {
        add(out, STR("\""));
        facts_add_string(out, (struct str){json.at + 1, (size_t)(quote - json.at) - 1});
        add(out, STR("\""));
    } else {
        add(out, (struct str){json.at, size});
    }
    return size;
}

static void add_json(struct facts_out *out, struct str json, bool decode)
{
    if (json.len >= 2 && json.at[0] == '"') {
        facts_add_string(out, (struct str){json.at + 1, json.len - 2});
        return;
    }
    while (json.len > 0 && out->whole) {
        size_t size = 1;
        if (json.at[0] == '"') {
            size = add_quoted(out, json, decode);
        } else if (!is_space(json.at[0])) {
            size = bare_size(json, out->left);
            add(out, (struct str){json.at, size});
        }
        json.at += size;
        json.len -= size;
    }
}

void facts_add_value(struct facts_out *out, struct str json)
{
    add_json(out, json, false);
}

void facts_add_preview(struct facts_out *out, struct str json)
{
    add_json(out, json, true);
}
