/* canned.h - an HTTP server that says what a test tells it to.
 *
 * On a port of its own, on 127.0.0.1.  Each request takes the first line of the
 * script whose `match` is in its request line and that is not used up; one that
 * no line fits is answered 555.  All requests are kept, to be looked at.
 *
 * Threads  its own answers; calls from the test's
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

enum canned_then {
    CANNED_KEEP,  /* the connection */
    CANNED_CLOSE, /* it, in order */
    CANNED_RESET, /* it, without a word */
    CANNED_HANG   /* keep it, and say nothing more on it */
};

struct canned {
    const char *match;
    const char *answer; /* all of its bytes; NULL: none */
    enum canned_then then;
    unsigned times; /* 0: once */
    size_t filler;  /* so many bytes behind the answer */
};

struct canned_server;

struct canned_server *canned_open(void); /* ends the test program when it cannot */
void canned_close(struct canned_server *server);
const char *canned_endpoint(const struct canned_server *server); /* "http://127.0.0.1:PORT" */

/* A new script; what was asked so far is forgotten.  `script` is borrowed. */
void canned_script(struct canned_server *server, const struct canned *script, size_t count);

/* The requests since: how many, their heads, and their bodies.  Valid until the
 * next script. */
size_t canned_count(struct canned_server *server);
const char *canned_head(struct canned_server *server, size_t i);
struct str canned_body(struct canned_server *server, size_t i);

/* The first whose head holds `part`, from `i` on; -1 when there is none. */
int canned_find(struct canned_server *server, size_t i, const char *part);
