/* multipart.c - see multipart.h.
 *
 * A state says what may come next.  A step looks at the front of the piece,
 * takes what it read off it, and sets the next state; multipart_next() walks
 * from step to step until an event, or until the piece is used up.
 *
 * Happy path   a part's headers are gathered in the parser up to the blank
 *     line and then read at once; its bytes are handed over where they lie, as
 *     many as the piece has; and then comes the delimiter, CRLF--boundary.
 *
 * No length    search() looks for the delimiter.  The end of a piece may be its
 *     beginning: those bytes are held back, as a count.  When it was something
 *     else they are handed over from `delimiter`, which has the same bytes.  A
 *     CR stands only at its front, so the byte that differs is the first place
 *     where another one can begin.
 *
 * Invariants   a step that takes nothing sets another state or makes an event;
 *     so the walk ends.
 *     `headers` holds bytes of the body that follow each other: a place in it
 *     tells the offset of a fault.
 *     Whether something is a fault never depends on where a piece ends.
 */
#include "wire/multipart.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "wire/utf8.h"

enum state {
    PREAMBLE,  /* a line end, or the first boundary */
    FIRST,     /* the first boundary goes on */
    AFTER,     /* what follows a boundary: a line end, or -- */
    AFTER_CR,  /* the LF of that line end */
    AFTER_END, /* the second dash of the closing boundary */
    HEADERS,   /* a part's headers, or their end */
    BYTES,     /* `left` bytes of a part */
    DELIMITER, /* the delimiter, or its rest; nothing else */
    SEARCH,    /* bytes of a part, or the delimiter, or its rest */
    EPILOGUE,  /* anything */
    FAULTED
};

enum { SHOWN_MAX = 80 };

/* Text from outside as it may stand in a message: short, and ASCII. */
static const char *shown(struct str text, char out[SHOWN_MAX + 1])
{
    size_t len = text.len < SHOWN_MAX ? text.len : SHOWN_MAX;
    for (size_t i = 0; i < len; i++) {
        out[i] = text.at[i];
        if (out[i] < ' ' || out[i] >= 0x7f)
            out[i] = '?';
    }
    out[len] = '\0';
    return out;
}

static bool is_word(struct str text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void drop(struct str *text, size_t len)
{
    assert(len <= text->len);
    text->at += len;
    text->len -= len;
}

static void skip_blanks(struct str *text)
{
    while (text->len > 0 && is_blank(text->at[0]))
        drop(text, 1);
}

/* Take `len` bytes off the front of `text`; the result is without the blanks around them. */
static struct str take_trimmed(struct str *text, size_t len)
{
    struct str word = {text->at, len};
    drop(text, len);
    skip_blanks(&word);
    while (word.len > 0 && is_blank(word.at[word.len - 1]))
        word.len--;
    return word;
}

/* Likewise what stands before the first of one or the other, or all of it. */
static struct str take_until(struct str *text, char one, char other)
{
    size_t len = 0;
    while (len < text->len && text->at[len] != one && text->at[len] != other)
        len++;
    return take_trimmed(text, len);
}

/* `; name=value` of a header. */
struct parameter {
    struct str name;  /* at == NULL: there is none left */
    struct str value; /* between the quotes, escapes as sent */
    bool quoted;
};

static bool is_escape(struct str text, size_t at)
{
    return text.at[at] == '\\' && text.len - at > 1 &&
           (text.at[at + 1] == '"' || text.at[at + 1] == '\\');
}

/* Take a value in quotes off the front of `rest`. */
static const char *take_quoted(struct str *rest, struct str *value)
{
    size_t end = 1;
    while (end < rest->len && rest->at[end] != '"')
        end += is_escape(*rest, end) ? 2 : 1;
    if (end >= rest->len)
        return "a quote that is not closed";
    *value = (struct str){rest->at + 1, end - 1};
    drop(rest, end + 1);
    skip_blanks(rest);
    if (rest->len > 0 && rest->at[0] != ';')
        return "something behind a closed quote";
    return NULL;
}

/* Take the next parameter off the front of `rest`, which is empty or begins
 * with a semicolon.  What has no equals sign is skipped.  NULL when good, else
 * what is wrong with the header, and `rest` is where. */
static const char *take_parameter(struct str *rest, struct parameter *result)
{
    *result = (struct parameter){.name = {NULL, 0}};
    while (rest->len > 0) {
        assert(rest->at[0] == ';');
        drop(rest, 1);
        struct str name = take_until(rest, '=', ';');
        if (rest->len == 0 || rest->at[0] == ';')
            continue;
        drop(rest, 1);
        skip_blanks(rest);

        result->name = name;
        result->quoted = rest->len > 0 && rest->at[0] == '"';
        if (result->quoted)
            return take_quoted(rest, &result->value);
        result->value = take_until(rest, ';', '"');
        return rest->len > 0 && rest->at[0] == '"' ? "a quote in the middle of a value" : NULL;
    }
    return NULL;
}

/* What RFC 2046 lets a boundary be made of. */
static bool is_boundary(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c != '\0' && strchr("'()+_,-./:=? ", c))))
            return false;
    }
    return s.at[s.len - 1] != ' ';
}

int multipart_boundary(struct str content_type, struct str *result, struct err *err)
{
    struct str rest = content_type;
    struct str boundary = {NULL, 0};
    if (rest.len == 0 || !is_word(take_until(&rest, ';', ';'), "multipart/form-data"))
        return err_set(err, ERR_INVALID, "the Content-Type is not multipart/form-data");
    for (;;) {
        struct parameter parameter;
        const char *wrong = take_parameter(&rest, &parameter);
        if (wrong)
            return err_set(err, ERR_INVALID, "the Content-Type has %s", wrong);
        if (!parameter.name.at)
            break;
        if (!is_word(parameter.name, "boundary"))
            continue;
        if (boundary.at && !str_eq(boundary, parameter.value))
            return err_set(err, ERR_INVALID, "the Content-Type has two boundaries");
        boundary = parameter.value;
    }

    if (!boundary.at)
        return err_set(err, ERR_INVALID, "the Content-Type has no boundary");
    if (boundary.len == 0)
        return err_set(err, ERR_INVALID, "the boundary in the Content-Type is empty");
    if (boundary.len > MULTIPART_BOUNDARY_MAX)
        return err_set(err, ERR_INVALID,
                       "the boundary in the Content-Type is %zu bytes long, the limit is %d",
                       boundary.len, MULTIPART_BOUNDARY_MAX);
    if (!is_boundary(boundary))
        return err_set(err, ERR_INVALID,
                       "the boundary in the Content-Type has a character that may not be there");
    *result = boundary;
    return 0;
}

void multipart_start(struct multipart *parser, struct str boundary, enum multipart_lengths lengths)
{
    assert(boundary.len > 0 && boundary.len <= MULTIPART_BOUNDARY_MAX && is_boundary(boundary));
    *parser = (struct multipart){
        .lengths = lengths,
        .state = PREAMBLE,
        .delimiter = "\r\n--",
        .delimiter_len = (uint8_t)(4 + boundary.len),
    };
    memcpy(parser->delimiter + 4, boundary.at, boundary.len);
}

__attribute__((format(printf, 3, 4))) static enum multipart_event
fault(struct multipart *parser, uint64_t offset, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(parser->fault.text, sizeof parser->fault.text, format, ap);
    va_end(ap);
    parser->fault.code = ERR_INVALID;
    parser->offset = offset;
    parser->state = FAULTED;
    return MULTIPART_FAULT;
}

/* Take `len` bytes off the front of the piece. */
static struct str take(struct multipart *parser, struct str *piece, size_t len)
{
    struct str taken = {piece->at, len};
    drop(piece, len);
    parser->offset += len;
    return taken;
}

/* Take what goes on with the delimiter.  True when it is complete. */
static bool match(struct multipart *parser, struct str *piece)
{
    while (piece->len > 0 && parser->matched < parser->delimiter_len &&
           piece->at[0] == parser->delimiter[parser->matched]) {
        (void)take(parser, piece, 1);
        parser->matched++;
    }
    return parser->matched == parser->delimiter_len;
}

static enum multipart_event blank(struct multipart *parser, struct str *piece)
{
    if (parser->blanks == MULTIPART_BLANKS_MAX)
        return fault(parser, parser->offset, "more than %d blanks beside a boundary",
                     MULTIPART_BLANKS_MAX);
    parser->blanks++;
    (void)take(parser, piece, 1);
    return MULTIPART_MORE;
}

static enum multipart_event preamble(struct multipart *parser, struct str *piece)
{
    if (piece->at[0] == '\r' || piece->at[0] == '\n')
        return blank(parser, piece);
    parser->state = FIRST;
    parser->matched = 2; /* the line end before it may be missing */
    return MULTIPART_MORE;
}

static void boundary_ends(struct multipart *parser)
{
    parser->state = AFTER;
    parser->blanks = 0;
}

static enum multipart_event first(struct multipart *parser, struct str *piece)
{
    if (match(parser, piece))
        boundary_ends(parser);
    else if (piece->len > 0)
        return fault(parser, parser->offset, "the body does not begin with its boundary");
    return MULTIPART_MORE;
}

static void headers_begin(struct multipart *parser)
{
    parser->state = HEADERS;
    parser->headers_at = parser->offset;
    parser->headers_len = 0;
    parser->line_at = 0;
}

static enum multipart_event not_after(struct multipart *parser)
{
    return fault(parser, parser->offset, "behind a boundary is neither a line end nor --");
}

static enum multipart_event after(struct multipart *parser, struct str *piece)
{
    char c = piece->at[0];
    if (is_blank(c))
        return blank(parser, piece);
    if (c != '\r' && c != '\n' && (c != '-' || parser->blanks > 0))
        return not_after(parser);
    (void)take(parser, piece, 1);
    if (c == '\n')
        headers_begin(parser);
    else
        parser->state = c == '-' ? AFTER_END : AFTER_CR;
    return MULTIPART_MORE;
}

static enum multipart_event after_cr(struct multipart *parser, struct str *piece)
{
    if (piece->at[0] != '\n')
        return not_after(parser);
    (void)take(parser, piece, 1);
    headers_begin(parser);
    return MULTIPART_MORE;
}

static enum multipart_event after_end(struct multipart *parser, struct str *piece)
{
    if (piece->at[0] != '-')
        return not_after(parser);
    (void)take(parser, piece, 1);
    parser->state = EPILOGUE;
    return MULTIPART_END;
}

/* One line of a part's headers. */
struct header {
    struct str name, value;
};

/* The offset of a byte of `headers`. */
static uint64_t offset_of(const struct multipart *parser, const char *at)
{
    assert(at >= parser->headers && at <= parser->headers + parser->headers_len);
    return parser->headers_at + (uint64_t)(at - parser->headers);
}

/* Take a line off the front of `rest`.  False: it is a fault, and was said. */
static bool take_header(struct multipart *parser, struct str *rest, struct header *result)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    assert(end);
    struct str line = {rest->at, (size_t)(end - rest->at)};
    drop(rest, line.len + 1);
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;

    assert(line.len > 0); /* a blank line ends the headers */
    if (is_blank(line.at[0])) {
        (void)fault(parser, offset_of(parser, line.at),
                    "a part has a header line that begins with a blank");
        return false;
    }
    result->name = take_until(&line, ':', ':');
    if (line.len == 0 || result->name.len == 0) {
        (void)fault(parser, offset_of(parser, result->name.at),
                    "a part has a header line without a name and a colon");
        return false;
    }
    drop(&line, 1);
    result->value = take_trimmed(&line, line.len);
    return true;
}

/* Take out the backslashes that escape, where the value lies. */
static struct str unescape(struct multipart *parser, struct str value)
{
    char *out = parser->headers + (value.at - parser->headers);
    struct str plain = {out, 0};
    for (size_t i = 0; i < value.len; i++) {
        if (is_escape(value, i))
            i++;
        out[plain.len++] = value.at[i];
    }
    return plain;
}

/* U+0000 to U+001F, and U+007F to U+009F. */
static bool has_control(struct str utf8)
{
    for (size_t i = 0; i < utf8.len; i++) {
        unsigned char c = (unsigned char)utf8.at[i];
        if (c < 0x20 || c == 0x7f ||
            (c == 0xc2 && utf8.len - i > 1 && (unsigned char)utf8.at[i + 1] < 0xa0))
            return true;
    }
    return false;
}

static bool read_name(struct multipart *parser, const struct parameter *parameter)
{
    struct str name = parameter->value;
    uint64_t at = offset_of(parser, name.at);
    if (parser->name.at) {
        (void)fault(parser, at, "a part has two names");
        return false;
    }
    if (parameter->quoted)
        name = unescape(parser, name);
    if (name.len > MULTIPART_NAME_MAX)
        (void)fault(parser, at, "the name of a part is %zu bytes long, the limit is %d", name.len,
                    MULTIPART_NAME_MAX);
    else if (!utf8_valid(name))
        (void)fault(parser, at, "the name of a part is not UTF-8");
    else if (has_control(name))
        (void)fault(parser, at, "the name of a part has a control character in it");
    parser->name = name;
    return parser->state != FAULTED;
}

/* Take the next parameter off a header of the part.  False: it is a fault, and
 * was said. */
static bool take_part_parameter(struct multipart *parser, struct str *rest,
                                struct parameter *result)
{
    const char *wrong = take_parameter(rest, result);
    if (wrong)
        (void)fault(parser, offset_of(parser, rest->at), "a part has a header with %s", wrong);
    return !wrong;
}

static bool read_disposition(struct multipart *parser, struct str value)
{
    uint64_t at = offset_of(parser, value.at);
    if (parser->name.at) {
        (void)fault(parser, at, "a part has two Content-Disposition headers");
        return false;
    }
    if (!is_word(take_until(&value, ';', ';'), "form-data")) {
        (void)fault(parser, at, "the Content-Disposition of a part is not form-data");
        return false;
    }
    struct parameter parameter;
    do {
        if (!take_part_parameter(parser, &value, &parameter) ||
            (is_word(parameter.name, "name") && !read_name(parser, &parameter)))
            return false;
    } while (parameter.name.at);
    if (!parser->name.at)
        (void)fault(parser, at, "the Content-Disposition of a part has no name");
    return parser->name.at != NULL;
}

static bool read_length(struct multipart *parser, struct str digits)
{
    char name[SHOWN_MAX + 1];
    uint64_t at = offset_of(parser, digits.at);
    uint64_t length = 0;
    bool is_number = digits.len > 0, fits = true;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned)digits.at[i] - '0';
        is_number = is_number && digit <= 9;
        fits = fits && length <= (MULTIPART_LENGTH_MAX - digit) / 10;
        if (is_number && fits)
            length = length * 10 + digit;
    }

    if (!is_number)
        (void)fault(parser, at, "the length of part \"%s\" is not a number",
                    shown(parser->name, name));
    else if (!fits)
        (void)fault(parser, at, "the length of part \"%s\" is more than 2^63",
                    shown(parser->name, name));
    else if (parser->has_length && parser->length != length)
        (void)fault(parser, at, "part \"%s\" has two lengths, %" PRIu64 " and %" PRIu64,
                    shown(parser->name, name), parser->length, length);
    parser->has_length = true;
    parser->length = length;
    return parser->state != FAULTED;
}

static bool is_visible(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f)
            return false;
    return true;
}

static bool read_type(struct multipart *parser, struct str value)
{
    char name[SHOWN_MAX + 1];
    uint64_t at = offset_of(parser, value.at);
    if (parser->type.at) {
        (void)fault(parser, at, "part \"%s\" has two Content-Type headers",
                    shown(parser->name, name));
        return false;
    }
    parser->type = take_until(&value, ';', ';');
    if (parser->type.len > MULTIPART_TYPE_MAX) {
        (void)fault(parser, at,
                    "the Content-Type of part \"%s\" is %zu bytes long, the limit is %d",
                    shown(parser->name, name), parser->type.len, MULTIPART_TYPE_MAX);
        return false;
    }
    /* It may be sent on as a header one day. */
    if (!is_visible(parser->type)) {
        (void)fault(parser, at,
                    "the Content-Type of part \"%s\" has a character that may not be there",
                    shown(parser->name, name));
        return false;
    }
    struct parameter parameter;
    do {
        if (!take_part_parameter(parser, &value, &parameter) ||
            (is_word(parameter.name, "length") && !read_length(parser, parameter.value)))
            return false;
    } while (parameter.name.at);
    return true;
}

/* The name first, wherever it stands: other faults name the part. */
static bool read_headers(struct multipart *parser)
{
    const struct str lines = {parser->headers, parser->line_at};
    struct header header;
    for (struct str rest = lines; rest.len > 0;)
        if (!take_header(parser, &rest, &header) || (is_word(header.name, "content-disposition") &&
                                                     !read_disposition(parser, header.value)))
            return false;
    if (!parser->name.at) {
        (void)fault(parser, parser->offset, "a part has no Content-Disposition");
        return false;
    }

    for (struct str rest = lines; rest.len > 0;) {
        if (!take_header(parser, &rest, &header))
            return false;
        if (is_word(header.name, "content-type") && !read_type(parser, header.value))
            return false;
        if (is_word(header.name, "content-length") && !read_length(parser, header.value))
            return false;
        if (is_word(header.name, "content-encoding"))
            parser->encoded = true;
    }
    return true;
}

static enum multipart_event part_begins(struct multipart *parser)
{
    parser->name = parser->type = (struct str){NULL, 0};
    parser->length = 0;
    parser->has_length = parser->encoded = false;
    if (!read_headers(parser))
        return MULTIPART_FAULT;

    char name[SHOWN_MAX + 1];
    if (!parser->has_length && parser->lengths == MULTIPART_REQUIRED)
        return fault(parser, parser->offset,
                     "part \"%s\" has no length: neither a Content-Length nor a length in its "
                     "Content-Type",
                     shown(parser->name, name));
    parser->left = parser->length;
    parser->matched = 0;
    parser->state = !parser->has_length ? SEARCH : parser->left > 0 ? BYTES : DELIMITER;
    return MULTIPART_PART;
}

static enum multipart_event headers(struct multipart *parser, struct str *piece)
{
    const char *newline = memchr(piece->at, '\n', piece->len);
    size_t len = newline ? (size_t)(newline - piece->at) + 1 : piece->len;
    if (len > MULTIPART_HEADERS_MAX - (size_t)parser->headers_len)
        return fault(parser, parser->headers_at + MULTIPART_HEADERS_MAX,
                     "the headers of a part are longer than %d bytes", MULTIPART_HEADERS_MAX);
    memcpy(parser->headers + parser->headers_len, piece->at, len);
    parser->headers_len = (uint16_t)(parser->headers_len + len);
    (void)take(parser, piece, len);
    if (!newline)
        return MULTIPART_MORE;

    size_t line_len = (size_t)parser->headers_len - parser->line_at;
    if (line_len == 1 || (line_len == 2 && parser->headers[parser->line_at] == '\r'))
        return part_begins(parser);
    parser->line_at = parser->headers_len;
    return MULTIPART_MORE;
}

static enum multipart_event bytes(struct multipart *parser, struct str *piece)
{
    assert(parser->left > 0);
    parser->data =
        take(parser, piece, parser->left < piece->len ? (size_t)parser->left : piece->len);
    parser->left -= parser->data.len;
    if (parser->left == 0)
        parser->state = DELIMITER;
    return MULTIPART_DATA;
}

static enum multipart_event part_ends(struct multipart *parser)
{
    boundary_ends(parser);
    return MULTIPART_PART_END;
}

static enum multipart_event delimiter(struct multipart *parser, struct str *piece)
{
    char name[SHOWN_MAX + 1];
    if (match(parser, piece))
        return part_ends(parser);
    if (piece->len > 0)
        return fault(parser, parser->offset,
                     "no boundary follows the %" PRIu64 " bytes that part \"%s\" should have",
                     parser->length, shown(parser->name, name));
    return MULTIPART_MORE;
}

/* Where in the piece the delimiter is or may begin; else its length. */
static size_t find_delimiter(const struct multipart *parser, struct str piece)
{
    for (size_t at = 0; at < piece.len; at++) {
        const char *cr = memchr(piece.at + at, '\r', piece.len - at);
        if (!cr)
            break;
        at = (size_t)(cr - piece.at);
        size_t here = piece.len - at;
        if (memcmp(cr, parser->delimiter,
                   here < parser->delimiter_len ? here : parser->delimiter_len) == 0)
            return at;
    }
    return piece.len;
}

static enum multipart_event search(struct multipart *parser, struct str *piece)
{
    if (parser->matched == 0) {
        size_t len = find_delimiter(parser, *piece);
        if (len > 0) {
            parser->data = take(parser, piece, len);
            return MULTIPART_DATA;
        }
    }
    if (match(parser, piece))
        return part_ends(parser);
    if (piece->len == 0)
        return MULTIPART_MORE;
    parser->data = (struct str){parser->delimiter, parser->matched};
    parser->matched = 0;
    return MULTIPART_DATA;
}

/* Nothing more will come. */
static enum multipart_event cut_short(struct multipart *parser)
{
    char name[SHOWN_MAX + 1];
    switch ((enum state)parser->state) {
    case PREAMBLE:
        return fault(parser, parser->offset, "the body has no boundary in it");
    case FIRST:
        return fault(parser, parser->offset, "the body ends in the middle of its first boundary");
    case AFTER:
    case AFTER_CR:
    case AFTER_END:
        return fault(parser, parser->offset,
                     "the body ends in the middle of a line with a boundary");
    case HEADERS:
        return fault(parser, parser->offset, "the body ends in the middle of a part's headers");
    case BYTES:
        return fault(parser, parser->offset,
                     "the body ends in the middle of part \"%s\", of whose bytes %" PRIu64
                     " are missing",
                     shown(parser->name, name), parser->left);
    case DELIMITER:
        return fault(parser, parser->offset,
                     "the body ends in the middle of the boundary after part \"%s\"",
                     shown(parser->name, name));
    case SEARCH:
        return fault(parser, parser->offset, "the body ends in the middle of part \"%s\"",
                     shown(parser->name, name));
    case EPILOGUE:
        return MULTIPART_MORE;
    case FAULTED:
        break;
    }
    return MULTIPART_FAULT;
}

enum multipart_event multipart_next(struct multipart *parser, struct str *piece, bool last)
{
    while (piece->len > 0) {
        enum multipart_event event = MULTIPART_FAULT;
        switch ((enum state)parser->state) {
        case PREAMBLE:
            event = preamble(parser, piece);
            break;
        case FIRST:
            event = first(parser, piece);
            break;
        case AFTER:
            event = after(parser, piece);
            break;
        case AFTER_CR:
            event = after_cr(parser, piece);
            break;
        case AFTER_END:
            event = after_end(parser, piece);
            break;
        case HEADERS:
            event = headers(parser, piece);
            break;
        case BYTES:
            event = bytes(parser, piece);
            break;
        case DELIMITER:
            event = delimiter(parser, piece);
            break;
        case SEARCH:
            event = search(parser, piece);
            break;
        case EPILOGUE:
            (void)take(parser, piece, piece->len);
            event = MULTIPART_MORE;
            break;
        case FAULTED:
            break;
        }
        if (event != MULTIPART_MORE)
            return event;
    }
    if (parser->state == FAULTED)
        return MULTIPART_FAULT;
    return last ? cut_short(parser) : MULTIPART_MORE;
}
