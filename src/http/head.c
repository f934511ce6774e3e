/* head.c - see head.h.
 *
 * What two parsers may read differently lets an attacker hide one request in
 * another (request smuggling).  So whatever RFC 9112 leaves to a recipient's
 * mercy is refused here: bare CR or LF, folded lines, a space before the
 * colon, control bytes, lengths that are anything but digits, both framings at
 * once, codings other than `chunked`.  llhttp then reads the same bytes, and
 * if it disagrees about the framing, nobody is believed.
 */
#include "http/head.h"

#include <llhttp.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    METHOD_MAX = 32,
    REQUEST_LINE_REST = METHOD_MAX + 16, /* what a request line holds besides its URI */
    LENGTH_DIGITS = 19                   /* never overflows 64 bits */
};

bool refused(struct refusal *why, int status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(why->sentence, sizeof why->sentence, format, ap);
    va_end(ap);
    why->status = status;
    return false;
}

/* ---- the scan ---- */

/* A line just ended at `scan->at`.  Is it the last? */
static enum head_verdict line_ended(struct head_scan *scan, const struct head_limits *limits,
                                    struct refusal *why)
{
    size_t len = scan->at - 2 - scan->line;
    scan->line = scan->at;
    if (!scan->first) {
        if (len > 0) {
            scan->first = true;
        } else if (scan->start == 0) {
            /* Old clients end a body with one line end too many. */
            scan->start = scan->at;
        } else {
            refused(why, 400, "The request does not start with a request line");
            return HEAD_REFUSED;
        }
        return HEAD_MORE;
    }
    if (len == 0)
        return HEAD_COMPLETE;
    if (scan->count == limits->header_max) {
        refused(why, 431, "The request has more than %zu headers", limits->header_max);
        return HEAD_REFUSED;
    }
    scan->count++;
    return HEAD_MORE;
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

enum head_verdict head_scan(struct head_scan *scan, struct str bytes,
                            const struct head_limits *limits, struct refusal *why)
{
    size_t line_max = scan->first ? limits->line_max : limits->uri_max + REQUEST_LINE_REST;
    while (scan->at < bytes.len) {
        if (scan->at - scan->start >= limits->head_max) {
            refused(why, 431, "The head is larger than the limit of %zu bytes", limits->head_max);
            return HEAD_REFUSED;
        }
        if (scan->at - scan->line >= line_max + 2) {
            if (scan->first)
                refused(why, 431, "A header line is longer than the limit of %zu bytes", line_max);
            else
                refused(why, 414, "The URI is longer than the limit of %zu bytes", limits->uri_max);
            return HEAD_REFUSED;
        }
        unsigned char c = (unsigned char)bytes.at[scan->at++];
        if (scan->cr) {
            scan->cr = false;
            if (c != '\n') {
                refused(why, 400, "A CR in the head is not followed by LF");
                return HEAD_REFUSED;
            }
            enum head_verdict verdict = line_ended(scan, limits, why);
            if (verdict != HEAD_MORE)
                return verdict;
            line_max = scan->first ? limits->line_max : line_max;
        } else if (c == '\r') {
            scan->cr = true;
        } else if (is_control(c)) {
            refused(why, 400,
                    c == '\n' ? "A line of the head ends in LF without CR"
                              : "The head contains the control byte 0x%02x",
                    c);
            return HEAD_REFUSED;
        }
    }
    return HEAD_MORE;
}

/* ---- small things of the grammar ---- */

bool head_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c;
}

bool head_same(struct str a, struct str lower_case)
{
    if (a.len != lower_case.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower_case.at[i])
            return false;
    return true;
}

struct str head_trim(struct str s)
{
    while (s.len > 0 && (*s.at == ' ' || *s.at == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* What stands before the first `c`; `rest` is what stands after it.  Without a
 * `c` all of it, and rest->at is NULL. */
static struct str before(struct str s, char c, struct str *rest)
{
    const char *found = s.len ? memchr(s.at, c, s.len) : NULL;
    *rest = (struct str){NULL, 0};
    if (!found)
        return s;
    size_t len = (size_t)(found - s.at);
    *rest = (struct str){found + 1, s.len - len - 1};
    return (struct str){s.at, len};
}

bool head_list_next(struct str *list, struct str *member)
{
    if (!list->at)
        return false;
    *member = head_trim(before(*list, ',', list));
    return true;
}

/* ---- the request line ---- */

/* A name or an address, perhaps with a port. */
static bool host_valid(struct str host)
{
    size_t i = 0;
    if (host.len > 0 && host.at[0] == '[') {
        for (i = 1; i < host.len && host.at[i] != ']'; i++)
            if (!strchr("0123456789abcdefABCDEF:.", host.at[i]))
                return false;
        if (i == host.len || i == 1)
            return false;
        i++;
    } else {
        while (i < host.len && host.at[i] != ':') {
            char c = host.at[i++];
            if (!(c == '-' || c == '.' || c == '_' || c == '~' || (c >= '0' && c <= '9') ||
                  (lower(c) >= 'a' && lower(c) <= 'z')))
                return false;
        }
        if (i == 0)
            return false;
    }
    if (i == host.len)
        return true;
    if (host.at[i++] != ':' || host.len - i > 5)
        return false;
    for (; i < host.len; i++)
        if (host.at[i] < '0' || host.at[i] > '9')
            return false;
    return true;
}

/* "/path?query", or "http://host/path?query" as proxies send it. */
static bool parse_target(struct head *head, struct str target, bool *absolute, struct refusal *why)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return refused(why, 400, "The URI contains the byte 0x%02x, which must be encoded", c);
    }
    *absolute = false;
    for (size_t n = 7; n <= 8; n++) {
        struct str scheme = n == 7 ? STR("http://") : STR("https://");
        if (target.len < n || !head_same((struct str){target.at, n}, scheme))
            continue;
        *absolute = true;
        target.at += n;
        target.len -= n;
        size_t len = 0;
        while (len < target.len && target.at[len] != '/' && target.at[len] != '?')
            len++;
        head->host = (struct str){target.at, len};
        if (!host_valid(head->host))
            return refused(why, 400, "The URI names no valid host");
        target.at += len;
        target.len -= len;
        break;
    }
    struct str query;
    head->path = before(target, '?', &query);
    if (query.at)
        head->query = query;
    if (*absolute && head->path.len == 0)
        head->path = STR("/");
    bool star = str_eq(head->path, STR("*")) && str_eq(head->method, STR("OPTIONS"));
    if (!star && (head->path.len == 0 || head->path.at[0] != '/'))
        return refused(why, 400, "The URI is neither a path nor a URL");
    return true;
}

static bool parse_request_line(struct head *head, struct str line, bool *absolute,
                               const struct head_limits *limits, struct refusal *why)
{
    struct str target;
    struct str version;
    struct str method = before(line, ' ', &target);
    target = target.at ? before(target, ' ', &version) : target;
    if (!target.at || !version.at || method.len == 0 || method.len > METHOD_MAX || target.len == 0)
        return refused(why, 400, "The request line is not 'METHOD URI HTTP/1.1'");
    for (size_t i = 0; i < method.len; i++)
        if (!head_token_char(method.at[i]))
            return refused(why, 400, "The request line is not 'METHOD URI HTTP/1.1'");
    head->method = method;
    if (str_eq(version, STR("HTTP/1.1")))
        head->minor = 1;
    else if (str_eq(version, STR("HTTP/1.0")))
        head->minor = 0;
    else
        return refused(why, 400, "Only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (target.len > limits->uri_max)
        return refused(why, 414, "The URI is longer than the limit of %zu bytes", limits->uri_max);
    return parse_target(head, target, absolute, why);
}

/* ---- the headers ---- */

/* Headers that were seen; each of these may come once. */
struct seen {
    bool host, length, transfer, coding, expect;
};

static bool parse_length(struct head *head, struct str value, struct refusal *why)
{
    bool good = value.len > 0 && value.len <= LENGTH_DIGITS;
    uint64_t length = 0;
    for (size_t i = 0; good && i < value.len; i++) {
        good = value.at[i] >= '0' && value.at[i] <= '9';
        length = length * 10 + (unsigned char)(value.at[i] - '0');
    }
    head->length = good ? length : 0;
    return good || refused(why, 400, "Content-Length must be one number, digits only");
}

static bool parse_coding(struct head *head, struct str value, struct refusal *why)
{
    if (head_same(value, STR("identity")))
        head->coding = CODING_IDENTITY;
    else if (head_same(value, STR("gzip")) || head_same(value, STR("x-gzip")))
        head->coding = CODING_GZIP;
    else if (head_same(value, STR("zstd")))
        head->coding = CODING_ZSTD;
    else
        return refused(why, 415,
                       "This Content-Encoding is not known; send 'Content-Encoding: gzip' or "
                       "'Content-Encoding: zstd', one of them, or none");
    return true;
}

/* `connection` may come several times: what any of them says counts. */
static void parse_connection(struct str value, bool *keep, bool *close)
{
    struct str member;
    while (head_list_next(&value, &member)) {
        *keep |= head_same(member, STR("keep-alive"));
        *close |= head_same(member, STR("close"));
    }
}

static bool once(bool *flag, const char *name, struct refusal *why)
{
    if (*flag)
        return refused(why, 400, "%s comes more than once", name);
    return *flag = true;
}

/* The few headers that decide how the request is read. */
static bool parse_known(struct head *head, const struct head_field *field, struct seen *seen,
                        bool absolute, struct refusal *why)
{
    struct str value = field->value;
    switch (field->name.len) {
    case 4:
        if (!str_eq(field->name, STR("host")))
            return true;
        if (!once(&seen->host, "Host", why))
            return false;
        if (!host_valid(value))
            return refused(why, 400, "Host is not a name or an address");
        if (!absolute)
            head->host = value;
        return true;
    case 6:
        if (!str_eq(field->name, STR("expect")) || head->minor == 0)
            return true;
        if (!once(&seen->expect, "Expect", why))
            return false;
        if (!head_same(value, STR("100-continue")))
            return refused(why, 417, "The only expectation that can be met is 100-continue");
        return head->expects = true;
    case 14:
        if (!str_eq(field->name, STR("content-length")))
            return true;
        return once(&seen->length, "Content-Length", why) && parse_length(head, value, why);
    case 16:
        if (!str_eq(field->name, STR("content-encoding")))
            return true;
        if (seen->coding)
            return parse_coding(head, STR("several"), why);
        seen->coding = true;
        return parse_coding(head, value, why);
    case 17:
        if (!str_eq(field->name, STR("transfer-encoding")))
            return true;
        if (!once(&seen->transfer, "Transfer-Encoding", why))
            return false;
        if (head->minor == 0)
            return refused(why, 400, "HTTP/1.0 has no Transfer-Encoding");
        if (!head_same(value, STR("chunked")))
            return refused(why, 400, "Transfer-Encoding must be exactly 'chunked'");
        return head->chunked = true;
    default:
        return true;
    }
}

static bool parse_field(struct head_field *field, char *line, size_t len, struct refusal *why)
{
    if (len > 0 && (line[0] == ' ' || line[0] == '\t'))
        return refused(why, 400, "A header line is folded");
    size_t i = 0;
    for (; i < len && line[i] != ':'; i++) {
        if (!head_token_char(line[i]))
            return refused(why, 400, "A header's name contains the byte 0x%02x",
                           (unsigned char)line[i]);
        line[i] = lower(line[i]);
    }
    if (i == 0 || i == len)
        return refused(why, 400, "A header line is not 'Name: value'");
    field->name = (struct str){line, i};
    field->value = head_trim((struct str){line + i + 1, len - i - 1});
    return true;
}

/* ---- the second judge ---- */

struct judgement {
    const struct head *head;
    bool has_length, agreed;
};

static int headers_complete(llhttp_t *parser)
{
    struct judgement *j = parser->data;
    bool chunked = parser->flags & F_CHUNKED;
    bool has_length = parser->flags & F_CONTENT_LENGTH;
    j->agreed = parser->http_major == 1 && parser->http_minor == j->head->minor &&
                chunked == j->head->chunked && has_length == j->has_length &&
                (!has_length || parser->content_length == j->head->length);
    return HPE_PAUSED; /* the body is read here (body.c) */
}

static bool judge_again(const struct head *head, bool has_length, struct str bytes,
                        struct refusal *why)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    struct judgement j = {.head = head, .has_length = has_length};
    llhttp_settings_init(&settings);
    settings.on_headers_complete = headers_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &j;
    llhttp_errno_t r = llhttp_execute(&parser, bytes.at, bytes.len);
    if (r == HPE_INVALID_METHOD)
        return refused(why, 501, "The method %.*s is not known", STR_FMT(head->method));
    if (r != HPE_PAUSED || !j.agreed)
        return refused(why, 400, "The head is not valid HTTP/1.1");
    return true;
}

bool head_parse(struct head *head, char *bytes, size_t len, struct head_field *fields,
                const struct head_limits *limits, struct refusal *why)
{
    struct seen seen = {0};
    bool absolute = false;
    bool keep = false;
    bool close = false;
    bool first = true;
    char *end = bytes + len;
    *head = (struct head){.method = STR(""), .path = STR(""), .query = STR(""), .host = STR("")};
    head->fields = fields;
    for (char *line = bytes; line < end;) {
        char *cr = memchr(line, '\r', (size_t)(end - line));
        size_t n = cr ? (size_t)(cr - line) : 0; /* head_scan saw to it that there is one */
        if (first && !parse_request_line(head, (struct str){line, n}, &absolute, limits, why))
            return false;
        if (!first && n > 0) {
            struct head_field *field = &fields[head->count];
            if (!parse_field(field, line, n, why) ||
                !parse_known(head, field, &seen, absolute, why))
                return false;
            if (str_eq(field->name, STR("connection")))
                parse_connection(field->value, &keep, &close);
            head->count++;
        }
        first = false;
        line += n + 2;
    }
    if (!seen.host && head->minor > 0)
        return refused(why, 400, "The Host header is missing");
    if (head->chunked && seen.length)
        return refused(why, 400, "Content-Length and Transfer-Encoding exclude each other");
    head->keep_alive = head->minor > 0 ? !close : keep && !close;
    return judge_again(head, seen.length, (struct str){bytes, len}, why);
}

bool head_host_is(struct str host, const struct str *names, size_t count)
{
    /* The port: what follows the last colon, unless that is within [::1]. */
    size_t len = host.len;
    while (len > 0 && host.at[len - 1] != ':' && host.at[len - 1] != ']')
        len--;
    struct str name = host;
    if (len > 0 && host.at[len - 1] == ':')
        name.len = len - 1;
    for (size_t i = 0; i < count; i++) {
        struct str wanted = names[i];
        if (name.len != wanted.len) /* "::1" serves "[::1]" */
            if (name.len != wanted.len + 2 || name.at[0] != '[')
                continue;
        struct str inner = name;
        if (name.len == wanted.len + 2)
            inner = (struct str){name.at + 1, wanted.len};
        size_t same = 0;
        while (same < wanted.len && lower(inner.at[same]) == lower(wanted.at[same]))
            same++;
        if (same == wanted.len)
            return true;
    }
    return false;
}
