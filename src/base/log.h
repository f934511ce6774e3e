/* log.h - one line per event, for people and for machines.
 *
 *     2026-11-23T18:21:07.123456Z info listening address=127.0.0.1:8000
 *     {"time":"2026-11-23T18:21:07.123456Z","level":"info","event":"listening",...}
 *
 * `event` and the keys are fixed words of ours.  Values may come from anyone:
 * they are quoted when they need it and never hold a raw control byte.  Never a
 * payload, a key or a password.  The levels: error = a person must act; warn =
 * we coped; info = life cycle; debug = each request.
 *
 * Shape    a line is at most 4096 bytes (what a pipe takes whole); a value is
 *          cut after about 1000, a line that was cut ends in cut=true
 * Threads  any.  A line is written whole, with one write(2), to stderr
 * Memory   none is allocated
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Once, at start.  `json`: one JSON object a line instead. */
void log_setup(enum log_level level, bool json);
bool log_enabled(enum log_level level);

struct log_pair {
    const char *key;
    bool is_number;
    struct str text; /* when it is no number */
    long long number;
};
#define LOG_S(k, s) ((struct log_pair){.key = (k), .text = (s)})
#define LOG_C(k, c) ((struct log_pair){.key = (k), .text = {(c), __builtin_strlen(c)}})
#define LOG_N(k, n) ((struct log_pair){.key = (k), .is_number = true, .number = (long long)(n)})

/* `pairs` may be NULL when count is 0; log_event() takes one pair or more. */
void log_pairs(enum log_level level, const char *event, const struct log_pair *pairs, int count);
#define log_event(level, event, ...)                                                               \
    log_pairs((level), (event), (struct log_pair[]){__VA_ARGS__},                                  \
              (int)(sizeof((struct log_pair[]){__VA_ARGS__}) / sizeof(struct log_pair)))

/* Say why, and end the process at once (exit status 70), running no handler:
 * for a state in which every further write could make things worse. */
_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
