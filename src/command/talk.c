/* talk.c - see talk.h. */
#include "command/talk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "command/command.h"
#include "wire/splice.h"

enum { PROGRESS_US = 200 * 1000, LINE_PIECE = 4096 };

void talk(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("rundlet: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void out_add(struct out *out, struct str s)
{
    if (out->sys || s.len == 0)
        return;
    errno = 0;
    if (fwrite(s.at, 1, s.len, stdout) != s.len)
        out->sys = errno ? errno : EIO;
}

void out_splice(struct out *out, const struct splice *splice)
{
    for (size_t i = 0; i < splice->count; i++)
        out_add(out, splice->parts[i]);
}

void out_add_one_line(struct out *out, struct str json)
{
    char piece[LINE_PIECE];
    while (json.len > 0 && !out->sys) {
        size_t len = json.len < sizeof piece ? json.len : sizeof piece;
        for (size_t i = 0; i < len; i++) {
            char c = json.at[i];
            if (c == '\n' || c == '\r')
                c = ' ';
            piece[i] = c;
        }
        out_add(out, (struct str){piece, len});
        json.at += len;
        json.len -= len;
    }
}

void out_splice_one_line(struct out *out, const struct splice *splice)
{
    for (size_t i = 0; i < splice->count; i++)
        out_add_one_line(out, splice->parts[i]);
}

void out_text(struct out *out, struct text *text)
{
    text_add_char(text, '\n');
    out_add(out, text_str(text));
    text_free(text);
}

int out_end(struct out *out, int status)
{
    errno = 0;
    if (fflush(stdout) != 0 && !out->sys)
        out->sys = errno ? errno : EIO;
    if (!out->sys)
        return status;
    if (out->sys != EPIPE) {
        struct err err;
        err_sys(&err, out->sys, "cannot write the output");
        talk("%s", err.text);
    }
    return COMMAND_FAILED;
}

void progress_start(struct progress *progress)
{
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO) == 1};
}

void progress_show(struct progress *progress, const char *format, ...)
{
    if (!progress->terminal)
        return;
    int64_t now_us = clock_mono_us();
    if (now_us < progress->next_us)
        return;
    progress->next_us = now_us + PROGRESS_US;
    progress->shown = true;
    va_list ap;
    va_start(ap, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, ap);
    fflush(stderr);
    va_end(ap);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
