/* s3_answer.c - see s3_answer.h.
 *
 * All that is wanted of an answer is in leaves: elements without elements in
 * them.  The reader gives them one after the other, with the names of the
 * elements around them; between elements there may only be blanks.
 */
#include "store/s3_answer.h"

#include "base/arena.h"
#include "base/err.h"

enum { DEPTH = 8 };

enum found { LEAF, END, BAD };

struct xml {
    const char *at, *end;
    struct str open[DEPTH]; /* the names of the elements around, outermost first */
    int depth;
    bool rooted;     /* the outermost element was met */
    bool childless;  /* the innermost has no element in it so far */
    bool at_leaf;    /* the innermost was handed out as a leaf */
    struct str text; /* of the leaf, entities and all */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool all_blank(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_blank(s.at[i]))
            return false;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

static bool take(struct xml *xml, struct str word)
{
    if ((size_t)(xml->end - xml->at) < word.len || memcmp(xml->at, word.at, word.len) != 0)
        return false;
    xml->at += word.len;
    return true;
}

static struct str take_name(struct xml *xml)
{
    struct str name = {xml->at, 0};
    while (xml->at < xml->end && is_name(*xml->at))
        xml->at++;
    name.len = (size_t)(xml->at - name.at);
    return name;
}

static void skip_blanks(struct xml *xml)
{
    while (xml->at < xml->end && is_blank(*xml->at))
        xml->at++;
}

/* What stands before the next tag, or all that is left. */
static struct str take_text(struct xml *xml)
{
    struct str text = {xml->at, (size_t)(xml->end - xml->at)};
    const char *tag = text.len ? memchr(text.at, '<', text.len) : NULL;
    if (tag)
        text.len = (size_t)(tag - text.at);
    xml->at += text.len;
    return text;
}

/* The rest of a tag behind its name; its attributes say nothing to us. */
static bool skip_attributes(struct xml *xml, bool *is_empty)
{
    for (;;) {
        skip_blanks(xml);
        if (take(xml, STR("/>"))) {
            *is_empty = true;
            return true;
        }
        if (take(xml, STR(">"))) {
            *is_empty = false;
            return true;
        }
        if (take_name(xml).len == 0 || !take(xml, STR("=")) || xml->at == xml->end)
            return false;
        char quote = *xml->at++;
        const char *close = quote == '"' || quote == '\''
                                ? memchr(xml->at, quote, (size_t)(xml->end - xml->at))
                                : NULL;
        if (!close)
            return false;
        xml->at = close + 1;
    }
}

static bool skip_declaration(struct xml *xml)
{
    const char *close = memchr(xml->at, '>', (size_t)(xml->end - xml->at));
    if (xml->rooted || !close || close[-1] != '?')
        return false;
    xml->at = close + 1;
    return true;
}

static bool open_element(struct xml *xml)
{
    struct str name = take_name(xml);
    if (name.len == 0 || xml->depth == DEPTH || (xml->depth == 0 && xml->rooted) ||
        !skip_attributes(xml, &xml->at_leaf))
        return false;
    xml->rooted = true;
    xml->childless = true;
    xml->open[xml->depth++] = name;
    xml->text = (struct str){xml->at, 0};
    return true;
}

static bool close_element(struct xml *xml)
{
    struct str name = take_name(xml);
    skip_blanks(xml);
    return xml->depth > 0 && str_eq(name, xml->open[xml->depth - 1]) && take(xml, STR(">"));
}

static void leave(struct xml *xml)
{
    xml->depth--;
    xml->childless = false;
    xml->at_leaf = false;
}

static enum found next_leaf(struct xml *xml)
{
    if (xml->at_leaf)
        leave(xml);
    for (;;) {
        struct str text = take_text(xml);
        if (xml->at == xml->end)
            return xml->rooted && xml->depth == 0 && all_blank(text) ? END : BAD;
        if (take(xml, STR("</"))) {
            if (!close_element(xml))
                return BAD;
            if (xml->childless) {
                xml->text = text;
                xml->at_leaf = true;
                return LEAF;
            }
            if (!all_blank(text))
                return BAD;
            leave(xml);
            continue;
        }
        if (!all_blank(text))
            return BAD;
        bool fine =
            take(xml, STR("<?")) ? skip_declaration(xml) : take(xml, STR("<")) && open_element(xml);
        if (!fine)
            return BAD;
        if (xml->at_leaf)
            return LEAF;
    }
}

/* Is it the leaf `path`, elements with '/' between? */
static bool is_at(const struct xml *xml, const char *path)
{
    for (int i = 0; i < xml->depth; i++) {
        size_t len = strcspn(path, "/");
        if (!str_eq(xml->open[i], (struct str){path, len}))
            return false;
        path += len;
        if ((*path == '\0') != (i == xml->depth - 1))
            return false;
        path += *path == '/';
    }
    return true;
}

/* ---- text ---- */

static size_t write_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[more] | c >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

static int digit_of(char c, uint32_t base)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "#38" or "#x26". */
static bool read_reference(struct str name, uint32_t *result)
{
    uint32_t base = name.len > 1 && name.at[1] == 'x' ? 16 : 10, c = 0;
    size_t i = base == 16 ? 2 : 1;
    if (i >= name.len)
        return false;
    for (; i < name.len; i++) {
        int digit = digit_of(name.at[i], base);
        if (digit < 0 || (c = c * base + (uint32_t)digit) > 0x10ffff)
            return false;
    }
    *result = c;
    return c != 0 && (c < 0xd800 || c > 0xdfff);
}

static bool read_entity(struct str name, uint32_t *result)
{
    static const struct {
        struct str name;
        char c;
    } known[] = {{{"amp", 3}, '&'},
                 {{"lt", 2}, '<'},
                 {{"gt", 2}, '>'},
                 {{"quot", 4}, '"'},
                 {{"apos", 4}, '\''}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq(name, known[i].name)) {
            *result = (uint32_t)known[i].c;
            return true;
        }
    return name.len > 0 && name.at[0] == '#' && read_reference(name, result);
}

/* What an entity stands for is never longer than it. */
static bool decode(struct str raw, struct arena *arena, struct str *result)
{
    char *out = arena_alloc(arena, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len;) {
        if (raw.at[i] != '&') {
            out[len++] = raw.at[i++];
            continue;
        }
        const char *name = raw.at + i + 1;
        const char *close = memchr(raw.at + i, ';', raw.len - i);
        uint32_t c;
        if (!close || !read_entity((struct str){name, (size_t)(close - name)}, &c))
            return false;
        len += write_utf8(c, out + len);
        i = (size_t)(close - raw.at) + 1;
    }
    *result = (struct str){out, len};
    return true;
}

/* ---- answers ---- */

/* An answer without a body is no text at all. */
static struct xml xml_of(struct str text)
{
    const char *at = text.at ? text.at : "";
    return (struct xml){.at = at, .end = at + text.len};
}

bool s3_answer_word(struct str text, char *result, size_t size)
{
    if (text.len == 0 || text.len >= size)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_name(text.at[i]) || text.at[i] == ':')
            return false;
    memcpy(result, text.at, text.len);
    result[text.len] = '\0';
    return true;
}

bool s3_answer_error(struct str text, struct s3_error *result)
{
    struct xml xml = xml_of(text);
    *result = (struct s3_error){0};
    while (next_leaf(&xml) == LEAF) {
        if (is_at(&xml, "Error/Code"))
            (void)s3_answer_word(xml.text, result->code, sizeof result->code);
        else if (is_at(&xml, "Error/Region"))
            (void)s3_answer_word(xml.text, result->region, sizeof result->region);
    }
    return result->code[0] != '\0';
}

int s3_answer_list(struct str text, size_t limit, struct arena *arena, struct s3_page *result,
                   struct err *err)
{
    struct xml xml = xml_of(text);
    struct s3_page page = {.keys = arena_make(arena, struct str, limit)};
    bool rooted = false, said = false, more = false;
    enum found found;
    while ((found = next_leaf(&xml)) == LEAF) {
        rooted = str_eq(xml.open[0], STR("ListBucketResult"));
        bool fine = true;
        if (is_at(&xml, "ListBucketResult/Contents/Key"))
            fine = page.count < limit && decode(xml.text, arena, &page.keys[page.count++]);
        else if (is_at(&xml, "ListBucketResult/NextContinuationToken"))
            fine = decode(xml.text, arena, &page.token);
        else if (is_at(&xml, "ListBucketResult/IsTruncated")) {
            more = str_eq(xml.text, STR("true"));
            fine = !said && (more || str_eq(xml.text, STR("false")));
            said = true;
        }
        if (!fine)
            break;
    }
    if (found != END || !rooted || !said || (more && page.token.len == 0))
        return err_set(err, ERR_UNAVAILABLE, "its listing cannot be understood");
    if (!more)
        page.token.len = 0;
    *result = page;
    return 0;
}

int s3_answer_upload(struct str text, struct arena *arena, struct str *id, struct err *err)
{
    struct xml xml = xml_of(text);
    struct str given = {0};
    enum found found;
    while ((found = next_leaf(&xml)) == LEAF)
        if (is_at(&xml, "InitiateMultipartUploadResult/UploadId") &&
            !decode(xml.text, arena, &given))
            break;
    if (found != END || given.len == 0)
        return err_set(err, ERR_UNAVAILABLE, "its answer has no id of an upload");
    *id = given;
    return 0;
}

bool s3_answer_completed(struct str text)
{
    struct xml xml = xml_of(text);
    bool completed = false;
    enum found found;
    while ((found = next_leaf(&xml)) == LEAF)
        completed = str_eq(xml.open[0], STR("CompleteMultipartUploadResult"));
    return found == END && completed;
}

/* ---- Content-Range ---- */

static bool take_number(struct str *s, uint64_t *result)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < s->len && is_digit(s->at[i]); i++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(s->at[i] - '0'), &n))
            return false;
    if (i == 0)
        return false;
    *s = (struct str){s->at + i, s->len - i};
    *result = n;
    return true;
}

static bool take_word(struct str *s, struct str word)
{
    if (s->len < word.len || memcmp(s->at, word.at, word.len) != 0)
        return false;
    *s = (struct str){s->at + word.len, s->len - word.len};
    return true;
}

bool s3_answer_range(struct str value, struct s3_range *result)
{
    struct s3_range range = {.has_bytes = true, .has_total = true};
    if (!take_word(&value, STR("bytes ")))
        return false;
    if (take_word(&value, STR("*")))
        range.has_bytes = false;
    else if (!take_number(&value, &range.first) || !take_word(&value, STR("-")) ||
             !take_number(&value, &range.last))
        return false;
    if (!take_word(&value, STR("/")))
        return false;
    if (take_word(&value, STR("*")))
        range.has_total = false;
    else if (!take_number(&value, &range.total))
        return false;
    if (value.len || range.first > range.last ||
        (range.has_bytes && range.has_total && range.last >= range.total))
        return false;
    *result = range;
    return true;
}
