/* log_test.c - whatever is logged, it stays one line that reads as it was meant. */
#include "base/log.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/check.h"

/* The test's own clock: 2026-11-23T18:21:07.123456Z. */
int64_t clock_now_us(void)
{
    return 1795458067123456;
}

int64_t clock_mono_us(void)
{
    return 0;
}

static char out[65536]; /* what was written last, as a C string */
static size_t out_len;

/* Log with stderr led into a file, and read that. */
static void capture(enum log_level level, const char *event, const struct log_pair *pairs,
                    int count)
{
    char path[] = "/tmp/log_test.XXXXXX";
    int file = mkstemp(path);
    int saved = dup(STDERR_FILENO);
    unlink(path);
    dup2(file, STDERR_FILENO);
    log_pairs(level, event, pairs, count);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = pread(file, out, sizeof out - 1, 0);
    close(file);
    out_len = n < 0 ? 0 : (size_t)n;
    out[out_len] = '\0';
}

static const char *text_of(struct str value)
{
    struct log_pair pair = LOG_S("v", value);
    log_setup(LOG_INFO, false);
    capture(LOG_INFO, "e", &pair, 1);
    return out + strlen("2026-11-23T18:21:07.123456Z info e v=");
}

static const char *json_of(struct str value)
{
    struct log_pair pair = LOG_S("v", value);
    log_setup(LOG_INFO, true);
    capture(LOG_INFO, "e", &pair, 1);
    return strstr(out, "\"v\":");
}

/* A strict reader of the one shape that a line has: an object of strings,
 * integers and `true`, no raw control byte, no byte that is not UTF-8 (the
 * lengths of sequences are checked, which is what cutting could break). */
static bool valid_json_line(const char *p, size_t len)
{
    const char *end = p + len;
    if (len < 3 || end[-1] != '\n' || memchr(p, '\n', len - 1) || *p++ != '{')
        return false;
    end--;
    for (int member = 0;; member++) {
        for (int part = 0; part < 2; part++) {
            if (p < end && *p == '"') {
                for (p++; p < end && *p != '"';) {
                    unsigned char c = (unsigned char)*p;
                    size_t more = c < 0x80 ? 0 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 9;
                    if (c < 0x20 || c > 0xf4 || more == 9 || (size_t)(end - p) <= more)
                        return false;
                    for (size_t i = 1; i <= more; i++)
                        if (((unsigned char)p[i] & 0xc0) != 0x80)
                            return false;
                    p += 1 + more;
                    if (c != '\\')
                        continue;
                    if (*p == 'u') {
                        for (int i = 1; i <= 4; i++)
                            if (!strchr("0123456789abcdef", p[i]))
                                return false;
                        p += 5;
                    } else if (strchr("\"\\nrt", *p)) {
                        p++;
                    } else {
                        return false;
                    }
                }
                if (p++ >= end)
                    return false;
            } else if (part == 1 && end - p > 4 && strncmp(p, "true", 4) == 0) {
                p += 4;
            } else if (part == 1) {
                const char *start = p;
                p += *p == '-';
                while (p < end && *p >= '0' && *p <= '9')
                    p++;
                if (p == start)
                    return false;
            } else {
                return false;
            }
            if (part == 0 && *p++ != ':')
                return false;
        }
        if (*p == '}')
            return p + 1 == end && member >= 2;
        if (*p++ != ',')
            return false;
    }
}

TEST(a_line_is_time_level_event_and_pairs)
{
    struct log_pair pairs[] = {LOG_C("address", "127.0.0.1:8000"), LOG_N("count", -7),
                               LOG_S("name", STR("two words"))};
    log_setup(LOG_INFO, false);

    capture(LOG_INFO, "listening", pairs, 3);

    CHECK(strcmp(out, "2026-11-23T18:21:07.123456Z info listening address=127.0.0.1:8000 count=-7 "
                      "name=\"two words\"\n") == 0);
}

TEST(a_line_of_json_says_the_same)
{
    struct log_pair pairs[] = {LOG_C("address", "[::1]:8000"), LOG_N("count", INT64_MIN)};
    log_setup(LOG_DEBUG, true);

    capture(LOG_DEBUG, "listening", pairs, 2);

    CHECK(strcmp(out,
                 "{\"time\":\"2026-11-23T18:21:07.123456Z\",\"level\":\"debug\",\"event\":"
                 "\"listening\",\"address\":\"[::1]:8000\",\"count\":-9223372036854775808}\n") ==
          0);
    CHECK(valid_json_line(out, out_len));
}

TEST(an_event_needs_no_pairs)
{
    log_setup(LOG_INFO, false);
    capture(LOG_WARN, "stopped", NULL, 0);
    CHECK(strcmp(out, "2026-11-23T18:21:07.123456Z warn stopped\n") == 0);
    log_setup(LOG_INFO, true);
    capture(LOG_ERROR, "stopped", NULL, 0);
    CHECK(valid_json_line(out, out_len));
}

TEST(levels_above_the_chosen_one_are_silent)
{
    log_setup(LOG_WARN, false);
    CHECK(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN));
    CHECK(!log_enabled(LOG_INFO) && !log_enabled(LOG_DEBUG));
    capture(LOG_INFO, "e", NULL, 0);
    CHECK(out_len == 0);
}

TEST(an_empty_value_is_seen_to_be_empty)
{
    CHECK(strcmp(text_of((struct str){NULL, 0}), "\"\"\n") == 0);
    CHECK(strcmp(json_of((struct str){NULL, 0}), "\"v\":\"\"}\n") == 0);
}

TEST(a_value_cannot_begin_a_line_or_a_pair)
{
    CHECK(strcmp(text_of(STR("a\r\n2026 error hacked=1")), "\"a\\r\\n2026 error hacked=1\"\n") ==
          0);
    CHECK(strcmp(text_of(STR("a b=c")), "\"a b=c\"\n") == 0);
    CHECK(strcmp(text_of(STR("a=b")), "\"a=b\"\n") == 0);
    CHECK(strcmp(text_of(STR("a\" x=\"b\\")), "\"a\\\" x=\\\"b\\\\\"\n") == 0);
    CHECK(strcmp(json_of(STR("a\",\"level\":\"x\n")),
                 "\"v\":\"a\\\",\\\"level\\\":\\\"x\\n\"}\n") == 0);
}

TEST(a_value_cannot_speak_to_the_terminal)
{
    CHECK(strcmp(text_of(STR("\x1b[2J\x07\x7f")), "\"\\u001b[2J\\u0007\\u007f\"\n") == 0);
    CHECK(strcmp(text_of((struct str){"a\0b", 3}), "\"a\\u0000b\"\n") == 0);
    CHECK(strcmp(text_of(STR("\xc2\x9b"
                             "2J")),
                 "\"\\u009b2J\"\n") == 0);                             /* C1: CSI */
    CHECK(strcmp(text_of(STR("\xe2\x80\xae")), "\"\\u202e\"\n") == 0); /* right to left */
    CHECK(strcmp(text_of(STR("\xe2\x80\xa8")), "\"\\u2028\"\n") == 0); /* line separator */
    CHECK(strcmp(json_of(STR("\x1b\xc2\x9b")), "\"v\":\"\\u001b\\u009b\"}\n") == 0);
}

TEST(letters_of_any_script_stay_as_they_are)
{
    CHECK(strcmp(text_of(STR("caf\xc3\xa9 \xe6\x9d\xb1 \xf0\x9f\x98\x80")),
                 "\"caf\xc3\xa9 \xe6\x9d\xb1 \xf0\x9f\x98\x80\"\n") == 0);
}

TEST(bytes_that_are_no_utf8_are_shown_as_what_they_are)
{
    CHECK(strcmp(text_of(STR("\xff")), "\"\\xff\"\n") == 0);
    CHECK(strcmp(text_of(STR("\xc0\xaf")), "\"\\xc0\\xaf\"\n") == 0);          /* overlong */
    CHECK(strcmp(text_of(STR("\xe0\x80\xaf")), "\"\\xe0\\x80\\xaf\"\n") == 0); /* overlong */
    CHECK(strcmp(text_of(STR("\xed\xa0\x80")), "\"\\xed\\xa0\\x80\"\n") == 0); /* surrogate */
    CHECK(strcmp(text_of(STR("\xf4\x90\x80\x80")), "\"\\xf4\\x90\\x80\\x80\"\n") == 0);
    CHECK(strcmp(text_of(STR("\xe6\x9d")), "\"\\xe6\\x9d\"\n") == 0); /* cut short */
    CHECK(strcmp(json_of(STR("a\xff")), "\"v\":\"a\xef\xbf\xbd\"}\n") == 0);
}

static void logs_well(const struct log_pair *pairs, int count)
{
    log_setup(LOG_INFO, false);
    capture(LOG_INFO, "e", pairs, count);
    int bad = out_len == 0 || out_len > 4096 || out[out_len - 1] != '\n';
    for (size_t i = 0; i + 1 < out_len; i++)
        bad += (unsigned char)out[i] < 0x20 || out[i] == 0x7f;
    CHECK(bad == 0);

    log_setup(LOG_INFO, true);
    capture(LOG_INFO, "e", pairs, count);
    CHECK(out_len <= 4096);
    CHECK(valid_json_line(out, out_len));
}

TEST(any_bytes_give_one_clean_line)
{
    char value[300];
    uint32_t x = 12345;
    for (int round = 0; round < 1000; round++) {
        size_t len = (size_t)(x >> 8) % sizeof value;
        for (size_t i = 0; i < len; i++) {
            x = x * 1664525u + 1013904223u;
            value[i] = (char)(x >> 24);
        }
        x += 77;
        struct log_pair pairs[] = {LOG_S("a", ((struct str){value, len / 2})),
                                   LOG_S("b", ((struct str){value + len / 2, len - len / 2}))};
        logs_well(pairs, 2);
    }
}

/* Move the end of the line over every kind of thing that can be there. */
TEST(a_line_too_long_is_cut_and_still_well_formed)
{
    static char filler[1000];
    memset(filler, 'f', sizeof filler);
    for (size_t len = 0; len < 1000; len += 1) {
        struct log_pair pairs[] = {LOG_S("a", ((struct str){filler, 1000})),
                                   LOG_S("b", ((struct str){filler, 1000})),
                                   LOG_S("c", ((struct str){filler, 1000})),
                                   LOG_S("d", ((struct str){filler, len})),
                                   LOG_N("number", 1234567890),
                                   LOG_S("e", STR("\xf0\x9f\x98\x80\x1b\" \xff")),
                                   LOG_S("f", STR("\xf0\x9f\x98\x80\x1b\""))};
        logs_well(pairs, 7);
    }
    struct log_pair many[60];
    for (int i = 0; i < 60; i++)
        many[i] = LOG_S("key", ((struct str){filler, 90}));
    logs_well(many, 60);
    CHECK(strstr(out, ",\"cut\":true}\n"));
}

TEST(a_long_value_does_not_hide_the_next)
{
    static char filler[5000];
    memset(filler, ' ', sizeof filler);
    struct log_pair pairs[] = {LOG_S("a", ((struct str){filler, 5000})), LOG_N("b", 1)};
    log_setup(LOG_INFO, false);

    capture(LOG_INFO, "e", pairs, 2);

    CHECK(strstr(out, "...\" b=1\n"));
    logs_well(pairs, 2);
}

TEST(fatal_says_why_and_ends_with_status_70)
{
    int end[2];
    CHECK(pipe(end) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(end[1], STDERR_FILENO);
        log_setup(LOG_ERROR, false);
        fatal("sync segment %d: %s", 7, "I/O\nerror");
    }
    close(end[1]);
    ssize_t n = read(end[0], out, sizeof out - 1);
    out[n < 0 ? 0 : n] = '\0';
    close(end[0]);
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);

    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 70);
    CHECK(strcmp(out, "2026-11-23T18:21:07.123456Z error fatal "
                      "reason=\"sync segment 7: I/O\\nerror\"\n") == 0);
}
