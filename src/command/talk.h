/* talk.h - what a command says: data on stdout, talk on stderr.
 *
 * Data goes through `struct out`, which remembers the first failure, so that a
 * full disk or a reader that left ends the command instead of being missed.
 *
 * Threads  the main thread
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct splice;
struct text;

/* One line on stderr, "rundlet: " in front. */
void talk(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct out {
    int sys; /* errno of the first write that failed, or 0 */
};

void out_add(struct out *out, struct str s);
void out_splice(struct out *out, const struct splice *splice);

/* JSON on one line: its line breaks, which can only stand between tokens,
 * become spaces.  Bytes keep their number. */
void out_add_one_line(struct out *out, struct str json);
void out_splice_one_line(struct out *out, const struct splice *splice);

/* The text and a newline; the text is emptied. */
void out_text(struct out *out, struct text *text);

/* Write what is still in memory.  `status`, or COMMAND_FAILED when not all of
 * the data could be written: said in a line, unless the reader left. */
int out_end(struct out *out, int status);

/* A line that is written over and over, on a terminal only, a few times a second. */
struct progress {
    bool terminal, shown;
    int64_t next_us;
};
void progress_start(struct progress *progress);
void progress_show(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *progress); /* the line is gone; before any other talk */
