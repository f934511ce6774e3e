/* postgres_aside.h - what the writers learn aside of their transactions: which
 * numbers names have, and for which days there are partitions.
 *
 * Both are added when they are missing, in a connection of its own, where each
 * statement commits by itself.  What was learned is remembered.
 *
 * One stage asks at a time: begin, the name of each run, learn, the numbers of
 * those that were unknown, end.
 *
 * Threads  the commit loop
 * Memory   the names remembered have a limit, seen to by pg_aside_begin(); those
 *          that a stage brings are kept until its end
 * Errors   ERR_UNAVAILABLE also when the connection was made anew in between: it
 *          may be to another server, where names have other numbers;
 *          ERR_CORRUPT a name was added and is not there; those of postgres_conn.h
 * Sources  docs/design/index-postgres.md, Writing
 */
#pragma once

#include "base/err.h"
#include "index/postgres_conn.h"

struct run;
struct pg_aside;

struct pg_aside_config {
    const struct pg_server *server;
    struct loop *loop;
    const char *settings; /* of the connection, as in struct pg_role; not copied */
    unsigned timeout_ms, connect_ms;
};

/* Connects to nobody. */
struct pg_aside *pg_aside_new(const struct pg_aside_config *config);
void pg_aside_free(struct pg_aside *aside); /* nothing is asked any more; NULL is fine */

/* The server may be another one: nothing is known, and the connection is made anew. */
void pg_aside_forget(struct pg_aside *aside);
void pg_aside_forget_parts(struct pg_aside *aside); /* a partition went */

void pg_aside_begin(struct pg_aside *aside);
void pg_aside_end(struct pg_aside *aside); /* also without a begin */

/* The number of the run's name; 0 when it has none, or one that is not known.
 * `unknown` is then what pg_aside_number() wants, else 0. */
uint64_t pg_aside_name(struct pg_aside *aside, const struct run *run, uint32_t *unknown);

struct pg_learn {
    /* In. */
    const int32_t *parts; /* in which rows will lie: ascending, each once; the caller's */
    size_t part_count;
    void (*done)(struct pg_learn *learn);

    /* Out. */
    struct err err;
};

/* Give numbers to the unknown names, and partitions to the parts.  When nothing has to
 * be asked, `done` runs inside of it. */
void pg_aside_learn(struct pg_aside *aside, struct pg_learn *learn);
uint64_t pg_aside_number(const struct pg_aside *aside, uint32_t unknown); /* after it went well */
