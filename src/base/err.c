/* err.c - see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words[ERR_CODES] = {
    [ERR_OK] = "ok",
    [ERR_INVALID] = "invalid",
    [ERR_DENIED] = "denied",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_CONFLICT] = "conflict",
    [ERR_TOO_BIG] = "too_big",
    [ERR_FULL] = "full",
    [ERR_BUSY] = "busy",
    [ERR_TIMEOUT] = "timeout",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_IO] = "io",
    [ERR_CORRUPT] = "corrupt",
};

const char *err_word(enum err_code code)
{
    return code < ERR_CODES ? words[code] : "unknown";
}

/* Put ": <more>" behind the `used` characters that a vsnprintf() made, cut to fit. */
static void append(struct err *err, int used, const char *more)
{
    size_t at = used < 0 ? 0 : (size_t)used;
    const char *const parts[] = {": ", more};
    for (int i = 0; i < 2 && at < sizeof err->text - 1; i++) {
        size_t len = strlen(parts[i]);
        size_t room = sizeof err->text - 1 - at;
        memcpy(err->text + at, parts[i], len < room ? len : room);
        at += len < room ? len : room;
        err->text[at] = '\0';
    }
}

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
        err->code = code;
        err->sys = 0;
    }
    return (int)code;
}

int err_sys(struct err *err, int sys, const char *format, ...)
{
    if (err) {
        char reason[64];
        va_list ap;
        va_start(ap, format);
        int used = vsnprintf(err->text, sizeof err->text, format, ap);
        va_end(ap);
        append(err, used, strerror_r(sys, reason, sizeof reason));
        err->code = ERR_IO;
        err->sys = sys;
    }
    return ERR_IO;
}

int err_wrap(struct err *err, const char *format, ...)
{
    if (!err)
        return ERR_IO;
    char inner[sizeof err->text];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, format);
    int used = vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    append(err, used, inner);
    return (int)err->code;
}
