/* json_scan.c - see json_scan.h.
 *
 * A state says what may stand at `at`.  A step looks at the bytes from there,
 * sets the next state and returns where it stopped; json_scan_next() walks
 * from step to step until an event, or until the bytes are used up.
 *
 * Happy path   almost all bytes of a run are text inside strings.  There,
 *     skip_plain() takes 16 bytes at a time and stops at the first that means
 *     something: a quote, a backslash, a control character, or a byte that is
 *     not ASCII.  Escapes and UTF-8 sequences that are here completely are
 *     passed over in one go.
 *
 * Pieces       what stops halfway - an escape, a sequence, a number, a word -
 *     is gone through byte by byte, with all that must be remembered in the
 *     scanner.  The short cuts above take only what is whole and valid; all
 *     else, faults too, goes the slow way.  So the slow way alone decides what
 *     is accepted, and how the document was cut cannot be seen in the answer.
 *
 * Invariants   a step that consumes nothing leaves another state or a fault,
 *     or has no bytes left; so the walk ends.
 *     Bytes before `at` are never read again: positions are noted when they
 *     are passed.
 *     The byte at fault is the first one that no valid document could have
 *     there.
 *     Of containers only the depth and one bit each are kept.
 */
#include "wire/json_scan.h"

#include <assert.h>
#include <string.h>

#if defined(__SSE2__) && !defined(JSON_SCAN_SCALAR)
#define JSON_SCAN_SSE2
#include <emmintrin.h>
#endif

#include "wire/utf8.h"

enum state {
    START,       /* a top-level value */
    VALUE,       /* a value */
    FIRST_VALUE, /* a value, or the end of the array just opened */
    FIRST_KEY,   /* a key, or the end of the object just opened */
    KEY,         /* a key */
    COLON,       /* the colon after a key */
    NEXT,        /* a comma, or the end of the container */
    STRING,      /* the inside of a string, or its end */
    ESCAPE,      /* what follows a backslash */
    HEX,         /* `escape_left` hexadecimal digits */
    UTF8,        /* `utf8_left` continuation bytes */
    NUMBER,      /* a number goes on after `number` */
    LITERAL,     /* a word goes on at `literal_at` */
    LINE_END,    /* white space with a newline in it */
    AFTER,       /* white space */

    /* From here on no byte is needed to go on. */
    COMPLETE, /* a field or an item ends here */
    FAULTED
};

/* What a string is. */
enum string { TEXT, INNER_KEY, FIELD_KEY };

/* What was the last byte of a number. */
enum number { MINUS, ZERO, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, EXPONENT_DIGIT };

enum { NOT_A_NUMBER = 3, INFINITE, MINUS_INFINITE }; /* of `literals`: lax */

static const char literals[][10] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};

void json_scan_start(struct json_scan *scan, enum json_shape shape)
{
    *scan = (struct json_scan){
        .shape = shape,
        .item_depth = shape == JSON_ARRAY ? 1 : 0,
        .state = START,
    };
}

void json_scan_start_lax(struct json_scan *scan, enum json_shape shape)
{
    json_scan_start(scan, shape);
    scan->lax = true;
}

static size_t fault(struct json_scan *scan, size_t at, const char *why)
{
    scan->state = FAULTED;
    scan->fault = why;
    return at;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static size_t skip_space(const unsigned char *bytes, size_t at, size_t len)
{
    while (at < len && is_space(bytes[at]))
        at++;
    return at;
}

/* A value is over: go on to what may follow it. */
static void value_ends(struct json_scan *scan)
{
    if (scan->depth < scan->item_depth)
        scan->state = AFTER;
    else if (scan->depth == scan->item_depth ||
             (scan->depth == scan->item_depth + 1 && scan->in_object))
        scan->state = COMPLETE;
    else
        scan->state = NEXT;
}

static enum json_event complete(struct json_scan *scan, size_t at)
{
    if (scan->depth > scan->item_depth) {
        scan->value = (struct json_span){scan->value_at, at - scan->value_at};
        scan->type = scan->value_type;
        scan->state = NEXT;
        return JSON_FIELD;
    }
    scan->value = (struct json_span){scan->item_at, at - scan->item_at};
    scan->type = scan->item_type;
    scan->state = scan->depth > 0 ? NEXT : scan->shape == JSON_LINES ? LINE_END : AFTER;
    return JSON_ITEM;
}

static size_t container_opens(struct json_scan *scan, size_t at, bool object)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return fault(scan, at, "nested too deep");
    uint64_t bit = UINT64_C(1) << scan->depth % 64;
    if (object)
        scan->objects[scan->depth / 64] |= bit;
    else
        scan->objects[scan->depth / 64] &= ~bit;
    scan->depth++;
    scan->in_object = object;
    scan->state = object ? FIRST_KEY : FIRST_VALUE;
    return at + 1;
}

static size_t container_closes(struct json_scan *scan, size_t at)
{
    scan->depth--;
    unsigned around = scan->depth - 1u;
    scan->in_object = scan->depth > 0 && (scan->objects[around / 64] >> around % 64 & 1) != 0;
    value_ends(scan);
    return at + 1;
}

/* The first byte of a value tells its type. */
static size_t value(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at == len)
        return at;

    unsigned depth = scan->depth;
    size_t stop = at + 1;
    enum json_type type;
    switch (bytes[at]) {
    case '"':
        type = JSON_STRING;
        scan->state = STRING;
        scan->string = TEXT;
        break;
    case '{':
        type = JSON_OBJECT;
        stop = container_opens(scan, at, true);
        break;
    case '[':
        type = JSON_LIST;
        stop = container_opens(scan, at, false);
        break;
    case 't':
    case 'f':
    case 'n':
        type = bytes[at] == 't' ? JSON_TRUE : bytes[at] == 'f' ? JSON_FALSE : JSON_NULL;
        scan->state = LITERAL;
        scan->literal = (uint8_t)(type - JSON_TRUE);
        scan->literal_at = 1;
        break;
    case 'N':
    case 'I':
        if (!scan->lax)
            return fault(scan, at, "a value was expected");
        type = JSON_NULL;
        scan->state = LITERAL;
        scan->literal = bytes[at] == 'N' ? NOT_A_NUMBER : INFINITE;
        scan->literal_at = 1;
        break;
    default:
        if (bytes[at] != '-' && !is_digit(bytes[at]))
            return fault(scan, at, "a value was expected");
        type = JSON_NUMBER;
        scan->state = NUMBER;
        scan->number = bytes[at] == '-' ? MINUS : bytes[at] == '0' ? ZERO : INTEGER;
        break;
    }

    if (depth == scan->item_depth) {
        scan->item_at = at;
        scan->item_type = type;
    } else if (depth == scan->item_depth + 1u) {
        scan->value_at = at;
        scan->value_type = type;
    }
    return stop;
}

static size_t start(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at == len)
        return at;
    if (at == 0 && bytes[at] == 0xef)
        return fault(scan, at, "a byte order mark, or other text, before the first value");
    if (scan->shape != JSON_ARRAY)
        return value(scan, bytes, at, len);
    if (bytes[at] != '[')
        return fault(scan, at, "an array was expected");
    return container_opens(scan, at, false);
}

static size_t first_value(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at < len && bytes[at] == ']')
        return container_closes(scan, at);
    return value(scan, bytes, at, len);
}

static size_t key(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at == len)
        return at;
    if (bytes[at] != '"')
        return fault(scan, at, "a key in quotes was expected");
    scan->state = STRING;
    scan->string = INNER_KEY;
    if (scan->depth == scan->item_depth + 1) {
        scan->string = FIELD_KEY;
        scan->key.at = at + 1;
        scan->key_escaped = false;
    }
    return at + 1;
}

static size_t first_key(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at < len && bytes[at] == '}')
        return container_closes(scan, at);
    return key(scan, bytes, at, len);
}

static size_t colon(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at == len)
        return at;
    if (bytes[at] != ':')
        return fault(scan, at, "a colon was expected");
    scan->state = VALUE;
    return at + 1;
}

static size_t next(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    if (at == len)
        return at;
    if (bytes[at] == ',') {
        scan->state = scan->in_object ? KEY : VALUE;
        return at + 1;
    }
    if (bytes[at] == (scan->in_object ? '}' : ']'))
        return container_closes(scan, at);
    return fault(scan, at,
                 scan->in_object ? "a comma or } was expected" : "a comma or ] was expected");
}

/* Past all that needs no look: ASCII without quotes, backslashes and control
 * characters. */
static inline size_t skip_plain(const unsigned char *bytes, size_t at, size_t len)
{
#ifdef JSON_SCAN_SSE2
    while (len - at >= 16) {
        const void *block = bytes + at;
        __m128i v = _mm_loadu_si128(block);
        __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
        __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
        /* Signed: bytes from 0x80 on are below zero. */
        __m128i other = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
        int stops = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));
        if (stops)
            return at + (size_t)__builtin_ctz((unsigned)stops);
        at += 16;
    }
#else
    /* x - 1 has its top bit set for x = 0; ~x keeps that from being so for
     * x > 0x80.  A borrow can only come from a byte that is a stop itself. */
    const uint64_t each = UINT64_C(0x0101010101010101);
    while (len - at >= 8) {
        uint64_t v;
        memcpy(&v, bytes + at, 8);
        uint64_t quote = v ^ each * '"';
        uint64_t backslash = v ^ each * '\\';
        uint64_t stops = ((quote - each) & ~quote) | ((backslash - each) & ~backslash) |
                         ((v - each * 0x20) & ~v) | v;
        if (stops & each * 0x80)
            break;
        at += 8;
    }
#endif
    while (at < len && bytes[at] >= 0x20 && bytes[at] < 0x80 && bytes[at] != '"' &&
           bytes[at] != '\\')
        at++;
    return at;
}

static bool is_short_escape(unsigned char c)
{
    return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' ||
           c == 't';
}

/* The length of the escape at the start of `bytes`; 0 when it is broken or
 * does not end within `len`. */
static size_t whole_escape(const unsigned char *bytes, size_t len)
{
    if (len >= 2 && is_short_escape(bytes[1]))
        return 2;
    if (len >= 6 && bytes[1] == 'u' && is_hex(bytes[2]) && is_hex(bytes[3]) && is_hex(bytes[4]) &&
        is_hex(bytes[5]))
        return 6;
    return 0;
}

static size_t string(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    for (;;) {
        at = skip_plain(bytes, at, len);
        if (at == len)
            return at;

        unsigned char c = bytes[at];
        if (c == '"')
            break;
        if (c == '\\') {
            if (scan->string == FIELD_KEY)
                scan->key_escaped = true;
            size_t size = whole_escape(bytes + at, len - at);
            if (size == 0) {
                scan->state = ESCAPE;
                return at + 1;
            }
            at += size;
        } else if (c < 0x20) {
            return fault(scan, at, "a control character in a string");
        } else {
            size_t size = utf8_sequence(bytes + at, len - at);
            if (size == 0) {
                struct utf8_rest rest = utf8_rest(c);
                if (rest.count == 0)
                    return fault(scan, at, "not UTF-8");
                scan->state = UTF8;
                scan->utf8_left = rest.count;
                scan->utf8_low = rest.low;
                scan->utf8_high = rest.high;
                return at + 1;
            }
            at += size;
        }
    }

    if (scan->string == FIELD_KEY)
        scan->key.len = at - scan->key.at;
    if (scan->string == TEXT)
        value_ends(scan);
    else
        scan->state = COLON;
    return at + 1;
}

static size_t escape(struct json_scan *scan, const unsigned char *bytes, size_t at)
{
    if (bytes[at] == 'u') {
        scan->state = HEX;
        scan->escape_left = 4;
    } else if (is_short_escape(bytes[at])) {
        scan->state = STRING;
    } else {
        return fault(scan, at, "an unknown escape");
    }
    return at + 1;
}

static size_t hex(struct json_scan *scan, const unsigned char *bytes, size_t at)
{
    if (!is_hex(bytes[at]))
        return fault(scan, at, "a hexadecimal digit was expected");
    scan->escape_left--;
    if (scan->escape_left == 0)
        scan->state = STRING;
    return at + 1;
}

static size_t utf8(struct json_scan *scan, const unsigned char *bytes, size_t at)
{
    if (bytes[at] < scan->utf8_low || bytes[at] > scan->utf8_high)
        return fault(scan, at, "not UTF-8");
    scan->utf8_low = 0x80;
    scan->utf8_high = 0xbf;
    scan->utf8_left--;
    if (scan->utf8_left == 0)
        scan->state = STRING;
    return at + 1;
}

static bool number_may_end(enum number part)
{
    return part == ZERO || part == INTEGER || part == FRACTION || part == EXPONENT_DIGIT;
}

/* What began as a number is the word -Infinity. */
static size_t minus_infinite(struct json_scan *scan, size_t at)
{
    if (scan->depth == scan->item_depth)
        scan->item_type = JSON_NULL;
    else if (scan->depth == scan->item_depth + 1u)
        scan->value_type = JSON_NULL;
    scan->state = LITERAL;
    scan->literal = MINUS_INFINITE;
    scan->literal_at = 2;
    return at + 1;
}

static size_t number(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    enum number part = (enum number)scan->number;
    for (; at < len; at++) {
        unsigned char c = bytes[at];
        if (is_digit(c)) {
            if (part == ZERO)
                return fault(scan, at, "a number with a zero in front");
            if (part == MINUS)
                part = c == '0' ? ZERO : INTEGER;
            else if (part == POINT)
                part = FRACTION;
            else if (part == EXPONENT || part == EXPONENT_SIGN)
                part = EXPONENT_DIGIT;
        } else if (c == '.' && (part == ZERO || part == INTEGER)) {
            part = POINT;
        } else if ((c == 'e' || c == 'E') &&
                   (part == ZERO || part == INTEGER || part == FRACTION)) {
            part = EXPONENT;
        } else if ((c == '+' || c == '-') && part == EXPONENT) {
            part = EXPONENT_SIGN;
        } else if (number_may_end(part)) {
            value_ends(scan);
            return at;
        } else if (scan->lax && part == MINUS && c == 'I') {
            return minus_infinite(scan, at);
        } else {
            return fault(scan, at, "a digit was expected");
        }
    }
    scan->number = (uint8_t)part;
    return at;
}

static size_t literal(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    const char *word = literals[scan->literal];
    for (; at < len && word[scan->literal_at]; at++, scan->literal_at++)
        if (bytes[at] != (unsigned char)word[scan->literal_at])
            return fault(scan, at, "a value was expected");
    if (!word[scan->literal_at]) {
        scan->strange += scan->literal >= NOT_A_NUMBER;
        value_ends(scan);
    }
    return at;
}

static size_t line_end(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    for (; at < len && is_space(bytes[at]); at++)
        if (bytes[at] == '\n') {
            scan->state = START;
            return at + 1;
        }
    return at < len ? fault(scan, at, "a newline was expected") : at;
}

static size_t after(struct json_scan *scan, const unsigned char *bytes, size_t at, size_t len)
{
    at = skip_space(bytes, at, len);
    return at < len ? fault(scan, at, "something after the end") : at;
}

/* No more bytes will come. */
static enum json_event finish(struct json_scan *scan, size_t at)
{
    if (scan->state == AFTER || scan->state == LINE_END ||
        (scan->state == START && scan->shape == JSON_LINES))
        return JSON_END;
    /* Only its surroundings tell where a number ends. */
    if (scan->state == NUMBER && number_may_end((enum number)scan->number)) {
        value_ends(scan);
        if (scan->state == COMPLETE)
            return complete(scan, at);
    }
    (void)fault(scan, at, "cut short");
    return JSON_FAULT;
}

enum json_event json_scan_next(struct json_scan *scan, const char *document, size_t len, bool last)
{
    assert(scan->offset <= len);
    const unsigned char *bytes = (const unsigned char *)document;
    size_t at = scan->offset;
    while (at < len || scan->state >= COMPLETE) {
        switch ((enum state)scan->state) {
        case START:
            at = start(scan, bytes, at, len);
            break;
        case VALUE:
            at = value(scan, bytes, at, len);
            break;
        case FIRST_VALUE:
            at = first_value(scan, bytes, at, len);
            break;
        case FIRST_KEY:
            at = first_key(scan, bytes, at, len);
            break;
        case KEY:
            at = key(scan, bytes, at, len);
            break;
        case COLON:
            at = colon(scan, bytes, at, len);
            break;
        case NEXT:
            at = next(scan, bytes, at, len);
            break;
        case STRING:
            at = string(scan, bytes, at, len);
            break;
        case ESCAPE:
            at = escape(scan, bytes, at);
            break;
        case HEX:
            at = hex(scan, bytes, at);
            break;
        case UTF8:
            at = utf8(scan, bytes, at);
            break;
        case NUMBER:
            at = number(scan, bytes, at, len);
            break;
        case LITERAL:
            at = literal(scan, bytes, at, len);
            break;
        case LINE_END:
            at = line_end(scan, bytes, at, len);
            break;
        case AFTER:
            at = after(scan, bytes, at, len);
            break;
        case COMPLETE:
            scan->offset = at;
            return complete(scan, at);
        case FAULTED:
            scan->offset = at;
            return JSON_FAULT;
        }
    }
    scan->offset = at;
    return last ? finish(scan, at) : JSON_MORE;
}
