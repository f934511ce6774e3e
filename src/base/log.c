/* log.c - see log.h.
 *
 * A line is built in a fixed buffer on the stack, which always keeps room for
 * its end.  What does not fit is cut at a unit (a byte, an escape, a code
 * point), so a cut line is still well formed.
 *
 * In values, everything that could make a terminal or a reader of lines see
 * something else than was sent is escaped: control characters (C0, DEL, C1),
 * line separators, and what reorders or hides text (bidirectional marks).
 * Bytes that are no UTF-8 are \xNN in text; JSON cannot say that, and gets
 * U+FFFD.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"

enum {
    LINE = 4096, /* PIPE_BUF: written whole or not at all */
    TAIL = 32,   /* kept free for the end of the line */
    VALUE = 1000 /* of one value, escaped */
};

struct line {
    bool json, cut;
    size_t len;
    char at[LINE];
};

static atomic_int setup_level = LOG_INFO;
static atomic_bool setup_json;

void log_setup(enum log_level level, bool json)
{
    atomic_store_explicit(&setup_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&setup_json, json, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&setup_level, memory_order_relaxed);
}

/* All of it or nothing; false once the line is full. */
static bool add(struct line *line, const char *bytes, size_t size)
{
    if (line->cut || size > sizeof line->at - TAIL - line->len) {
        line->cut = true;
        return false;
    }
    memcpy(line->at + line->len, bytes, size);
    line->len += size;
    return true;
}

static bool add_c(struct line *line, const char *s)
{
    return add(line, s, strlen(s));
}

/* For the end of the line: TAIL was kept for it. */
static void end(struct line *line, const char *s)
{
    size_t size = strlen(s);
    memcpy(line->at + line->len, s, size);
    line->len += size;
}

/* The code point at the front of `text` and its length; -1 and 1 when there is
 * none (RFC 3629: no surrogate, nothing overlong, nothing above U+10FFFF). */
static int32_t decode(struct str text, size_t *len)
{
    const unsigned char *p = (const unsigned char *)text.at;
    *len = 1;
    if (p[0] < 0x80)
        return p[0];
    size_t more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || text.len <= more)
        return -1;
    int32_t c = p[0] & (0x3f >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3f);
    }
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *len = more + 1;
    return c;
}

/* Would it be seen as something else than a character? */
static bool deceives(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0xfeff ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f);
}

/* One character of a quoted value; `len` is how many bytes of `text` it was. */
static bool add_escaped(struct line *line, struct str text, size_t *len)
{
    char escape[16];
    int32_t c = decode(text, len);
    if (c < 0) {
        if (line->json)
            return add_c(line, "\xef\xbf\xbd");
        snprintf(escape, sizeof escape, "\\x%02x", (unsigned)(unsigned char)text.at[0]);
        return add_c(line, escape);
    }
    if (c == '"' || c == '\\') {
        const char pair[] = {'\\', (char)c, '\0'};
        return add_c(line, pair);
    }
    if (c == '\n')
        return add_c(line, "\\n");
    if (c == '\r')
        return add_c(line, "\\r");
    if (c == '\t')
        return add_c(line, "\\t");
    if (deceives(c)) {
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        return add_c(line, escape);
    }
    return add(line, text.at, *len);
}

static bool plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              (c != '\0' && strchr("-._:/+@,%~*()[]?&;#$!", c))))
            return false;
    }
    return text.len > 0 && text.len <= VALUE;
}

static void add_text(struct line *line, struct str text)
{
    if (!line->json && plain(text)) {
        add(line, text.at, text.len);
        return;
    }
    if (!add_c(line, "\""))
        return;
    size_t start = line->len;
    while (text.len > 0 && line->len - start < VALUE) {
        size_t len;
        if (!add_escaped(line, text, &len))
            break;
        text.at += len;
        text.len -= len;
    }
    if (!add_c(line, text.len > 0 ? "...\"" : "\""))
        end(line, "\"");
}

/* " key=value" or ",\"key\":value": whole, or cut within the text, or nothing. */
static void add_pair(struct line *line, const struct log_pair *pair)
{
    size_t before = line->len;
    add_c(line, line->json ? ",\"" : " ");
    add_c(line, pair->key);
    add_c(line, line->json ? "\":" : "=");
    size_t value = line->len;
    if (pair->is_number) {
        char digits[24];
        snprintf(digits, sizeof digits, "%lld", pair->number);
        add_c(line, digits);
    } else {
        add_text(line, pair->text);
    }
    if (line->len == value)
        line->len = before;
}

static void add_head(struct line *line, const char *level, const char *event)
{
    int64_t now_us = clock_now_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char head[96];
    snprintf(head, sizeof head,
             line->json ? "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06dZ\",\"level\":\"%s\""
                        : "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ %s",
             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
             (int)(now_us % 1000000), level);
    add_c(line, head);
    add_c(line, line->json ? ",\"event\":\"" : " ");
    add_c(line, event);
    add_c(line, line->json ? "\"" : "");
}

void log_pairs(enum log_level level, const char *event, const struct log_pair *pairs, int count)
{
    static const char *const words[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    if (!log_enabled(level))
        return;

    struct line line;
    line.json = atomic_load_explicit(&setup_json, memory_order_relaxed);
    line.cut = false;
    line.len = 0;
    add_head(&line, words[level], event);
    for (int i = 0; i < count && !line.cut; i++)
        add_pair(&line, &pairs[i]);
    if (line.cut)
        end(&line, line.json ? ",\"cut\":true" : " cut=true");
    end(&line, line.json ? "}\n" : "\n");

    ssize_t n;
    do
        n = write(STDERR_FILENO, line.at, line.len);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)line.len)
        metric_add(METRIC_LOG_LINES_LOST, 1);
}

void fatal(const char *format, ...)
{
    char reason[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(reason, sizeof reason, format, ap);
    va_end(ap);
    log_event(LOG_ERROR, "fatal", LOG_C("reason", reason));
    _exit(70);
}
