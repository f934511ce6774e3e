/* err.h - why something failed, in a form both a caller and a person can use.
 *
 * A function that can fail returns 0 on success, or a non-zero err_code and
 * fills the `struct err` it was given.  The code tells the caller what to do;
 * the text tells the operator what happened.  Library rooms never log an error
 * they return: whoever handles it logs it, once.
 */
#pragma once

enum err_code {
    ERR_OK = 0,
    ERR_INVALID,     /* the input is wrong; repeating it will not help         */
    ERR_DENIED,      /* the caller may not do this                             */
    ERR_NOT_FOUND,   /* nothing has that name                                  */
    ERR_CONFLICT,    /* it exists already, and differs                         */
    ERR_TOO_BIG,     /* over a configured limit                                */
    ERR_FULL,        /* the disk is full, or down to its reserve               */
    ERR_BUSY,        /* a queue is full; the client may retry later            */
    ERR_TIMEOUT,     /* a deadline passed; the outcome is unknown              */
    ERR_UNAVAILABLE, /* a back end cannot be reached                           */
    ERR_IO,          /* a system call failed; see `sys`                        */
    ERR_CORRUPT,     /* stored bytes fail their check                          */
    ERR_CODES        /* how many there are                                     */
};

struct err {
    enum err_code code;
    int sys;        /* errno of the failed call, or 0 */
    char text[512]; /* one line, no newline, outermost context first */
};

/* Record a failure and return its code, so that a caller can write
 *     return err_set(err, ERR_TOO_BIG, "batch of %zu bytes", n);
 * `err` may be NULL when only the code matters. */
int err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: code ERR_IO, text ends in strerror(sys). */
int err_sys(struct err *err, int sys, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put context in front of an error on its way up: "open segment 7: <text>". */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "not_found", "too_big", ... - the stable word used in logs and metrics. */
const char *err_word(enum err_code code);
