/* reply.c - answers: their heads, whole or in parts; see http.h. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "http/request.h"
#include "wire/json_string.h"

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 416:
        return "Range Not Satisfiable";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 507:
        return "Insufficient Storage";
    default:
        return "Status";
    }
}

static struct str date_line(struct date *date)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t second = clock_now_us() / 1000000;
    if (second != date->second) {
        time_t t = (time_t)second;
        struct tm tm;
        if (gmtime_r(&t, &tm))
            snprintf(date->text, sizeof date->text, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                     days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12],
                     (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                     (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
        date->second = second;
    }
    return (struct str){date->text, 29};
}

/* A header.  Were a line end ever to get into a value, it would let a client
 * write headers or a whole second answer, so none gets through. */
static void add_field(struct text *head, struct str name, struct str value)
{
    text_add(head, name);
    text_add(head, STR(": "));
    size_t start = head->len;
    text_add(head, value);
    for (size_t i = start; i < head->len; i++)
        if (head->at[i] == '\r' || head->at[i] == '\n' || head->at[i] == '\0')
            head->at[i] = '?';
    text_add(head, STR("\r\n"));
}

/* Status line to empty line, in the connection's scratch text. */
static struct text *compose(struct http_request *r, int status, const struct http_field *fields,
                            size_t count, bool streamed, uint64_t length)
{
    assert(!r->replied && !r->started && status >= 200 && status <= 599);
    r->status = status;
    r->keep = r->head.keep_alive && conn_keeps(r->conn);
    r->bare = str_eq(r->head.method, STR("HEAD")) || status == 204 || status == 304;
    r->chunked = streamed && r->head.minor > 0;
    if (streamed && r->head.minor == 0 && !r->bare)
        r->keep = false; /* its end is the connection's */

    struct text *head = conn_scratch(r->conn);
    const char *phrase = reason(status);
    text_add(head, STR("HTTP/1.1 "));
    text_add_char(head, (char)('0' + status / 100));
    text_add_char(head, (char)('0' + status / 10 % 10));
    text_add_char(head, (char)('0' + status % 10));
    text_add_char(head, ' ');
    text_add(head, (struct str){phrase, strlen(phrase)});
    text_add(head, STR("\r\nDate: "));
    text_add(head, date_line(conn_date(r->conn)));
    text_add(head, STR("\r\nX-Content-Type-Options: nosniff\r\n"));
    for (size_t i = 0; i < count; i++)
        add_field(head, fields[i].name, fields[i].value);
    if (status != 204 && status != 304) {
        if (r->chunked) {
            text_add(head, STR("Transfer-Encoding: chunked\r\n"));
        } else if (!streamed) {
            char digits[20];
            size_t at = sizeof digits;
            do
                digits[--at] = (char)('0' + length % 10);
            while (length /= 10);
            text_add(head, STR("Content-Length: "));
            text_add(head, (struct str){digits + at, sizeof digits - at});
            text_add(head, STR("\r\n"));
        }
    }
    if (!r->keep)
        text_add(head, STR("Connection: close\r\n"));
    else if (r->head.minor == 0)
        text_add(head, STR("Connection: keep-alive\r\n"));
    text_add(head, STR("\r\n"));
    return head;
}

static void drop(const struct http_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_unref(pieces[i].keep);
}

static void reply(struct http_request *r, int status, const struct http_field *fields,
                  size_t field_count, const struct http_piece *pieces, size_t piece_count)
{
    uint64_t length = 0;
    for (size_t i = 0; i < piece_count; i++)
        length += pieces[i].bytes.len;
    struct text *head = compose(r, status, fields, field_count, false, length);
    if (r->bare) {
        drop(pieces, piece_count);
        piece_count = 0;
    }
    conn_send(r->conn, text_str(head), pieces, piece_count, false);
    conn_replied(r->conn);
}

void http_reply(struct http_request *request, int status, const struct http_field *fields,
                size_t field_count, const struct http_piece *pieces, size_t piece_count)
{
    if (request->gone)
        drop(pieces, piece_count);
    else
        reply(request, status, fields, field_count, pieces, piece_count);
}

void reply_refusal(struct http_request *request, int status, const char *sentence,
                   const struct http_field *fields, size_t field_count)
{
    struct text body = {0};
    struct http_field all[4] = {{STR("Content-Type"), STR("application/json")}};
    size_t count = 1;
    if (status == 429 || status == 503)
        all[count++] = (struct http_field){STR("Retry-After"), STR("1")};
    if (status == 401)
        all[count++] = (struct http_field){STR("WWW-Authenticate"), STR("Bearer")};
    assert(field_count <= 2);
    for (size_t i = 0; i < field_count; i++)
        all[count++] = fields[i];
    text_add(&body, STR("{\"detail\":"));
    json_string_write(&body, (struct str){sentence, strlen(sentence)});
    text_add_char(&body, '}');
    struct http_piece piece = {.keep = text_to_buf(&body)};
    piece.bytes = (struct str){piece.keep->at, piece.keep->len};
    text_free(&body);
    reply(request, status, all, count, &piece, 1);
}

void http_fail(struct http_request *request, int status, const char *format, ...)
{
    if (request->gone)
        return;
    char sentence[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(sentence, sizeof sentence, format, ap);
    va_end(ap);
    reply_refusal(request, status, sentence, NULL, 0);
}

void http_start(struct http_request *request, int status, const struct http_field *fields,
                size_t field_count)
{
    if (request->gone)
        return;
    struct text *head = compose(request, status, fields, field_count, true, 0);
    request->started = true;
    conn_send(request->conn, text_str(head), NULL, 0, true);
}

bool http_write(struct http_request *request, struct http_piece piece)
{
    if (request->gone || request->bare || piece.bytes.len == 0) {
        buf_unref(piece.keep);
        return !request->gone && !conn_full(request->conn);
    }
    assert(request->started && !request->replied);
    char lead[32];
    int len = 0;
    if (request->chunked)
        len =
            snprintf(lead, sizeof lead, "%s%zx\r\n", request->open ? "\r\n" : "", piece.bytes.len);
    request->open = true;
    conn_send(request->conn, (struct str){lead, (size_t)len}, &piece, 1, true);
    request->blocked = conn_full(request->conn);
    return !request->blocked;
}

void http_finish(struct http_request *request)
{
    if (request->gone)
        return;
    assert(request->started && !request->replied);
    struct str end = request->open ? STR("\r\n0\r\n\r\n") : STR("0\r\n\r\n");
    if (!request->chunked || request->bare)
        end = STR("");
    conn_send(request->conn, end, NULL, 0, false);
    conn_replied(request->conn);
}

void http_cut(struct http_request *request)
{
    if (request->gone)
        return;
    assert(!request->replied);
    conn_cut(request->conn);
}
