/* target.h - where imported runs go, a portion at a time.
 *
 * A portion is stored whole or refused whole, as a batch of POST /runs.
 *
 * Back ends: target_here.c  the data directory itself, as its only writer
 *            target_there.c a server, over HTTP
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct config;
struct portion;
struct target;

enum { REFUSAL_SHOWN = 10, REFUSAL_TEXT = 160 };

/* Why a portion was refused; nothing of it is stored. */
struct refusal {
    enum err_code code; /* ERR_OK: it was not; ERR_INVALID, ERR_CONFLICT, ERR_TOO_BIG */
    size_t count;       /* how many reasons are here; at least one */
    bool more;          /* there are others */
    struct {
        bool whole;   /* it is about the portion, else about a run: */
        size_t index; /* which of the portion */
        char text[REFUSAL_TEXT];
    } at[REFUSAL_SHOWN];
};

struct target_sent {
    bool told;      /* it is known how many were there already */
    uint64_t there; /* those */
};

struct target_ops {
    /* 0: stored, or refused for the reasons in `refusal`; else it is not known
     * what became of the portion, and it makes no sense to go on. */
    int (*send)(struct target *target, const struct portion *portion, struct target_sent *sent,
                struct refusal *refusal, struct err *err);
    void (*close)(struct target *target);
};

/* First member of every back end's own struct. */
struct target {
    const struct target_ops *ops;
};

int target_here_open(const struct config *config, struct target **result, struct err *err);
int target_there_open(const struct config *config, const char *url, struct target **result,
                      struct err *err);

/* One reason more; those that do not fit only set `more`. */
void refusal_add(struct refusal *refusal, enum err_code code, bool whole, size_t index,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
