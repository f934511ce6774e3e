/* load.h - what measuring a server over the wire needs: the program under test,
 * requests whose ids change, clients, figures.
 *
 * Shape    a measuring program is one thread; whatever goes wrong ends it with
 *          a sentence on stderr, its programs are stopped and its files removed
 * Memory   requests and figures are made before the clock runs; nothing is
 *          allocated while it does
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/str.h"
#include "base/text.h"

_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

double now_s(void);        /* since some point in the past */
double own_cpu_s(void);    /* of this process, all threads */
uint64_t random_u64(void); /* the same row of numbers in every run */

/* A fresh directory for all files, below $TMPDIR or build/; removed at exit. */
const char *scratch_open(void);

/* ---- figures ---- */

struct figures {
    double *at;
    size_t count, cap; /* what is beyond `cap` is dropped */
};

void figures_new(struct figures *figures, size_t cap);
void figures_add(struct figures *figures, double value);
double figures_part(struct figures *figures, double part); /* 0 least, 0.5 median, 1 most; sorts */
void figures_free(struct figures *figures);

/* ---- programs ---- */

struct program {
    pid_t pid;
    unsigned port;
    clockid_t cpu;
    char dir[256];
    bool keeps_dir; /* program_stop() leaves it: for another to go on with */
};

/* Run "<rundlet> serve" on an empty directory and a free port, until it listens. */
void program_serve(struct program *program, const char *rundlet);
/* The same on `dir` (NULL: an empty one), with further options, the last NULL. */
void program_serve_with(struct program *program, const char *rundlet, const char *dir,
                        const char *const *options);
/* A child of this process that answers GET /bytes/{n} with n bytes from memory:
 * what HTTP alone costs. */
void program_bare_http(struct program *program);
double program_cpu_s(const struct program *program);
double program_memory_mb(const struct program *program, const char *field); /* "VmRSS", "VmHWM" */
/* Keep it, and the calling thread, on one processor: a client and a server that
 * take turns go round in 20 us there and in up to 80 across two, as the kernel
 * happens to place them; that says nothing of the server.  False: anywhere again. */
void program_beside_us(const struct program *program, bool beside);
/* What /metrics says under that name, labels included, less "rundlet_". */
double program_metric(const struct program *program, const char *name);
void program_stop(struct program *program); /* as SIGTERM does; its directory is removed */

/* ---- requests ---- */

/* Bytes to send, some of which are written anew each time: ids, and letters
 * that make a name unlike all others. */
struct load_request {
    struct text bytes;
    size_t body_at;
    struct hole {
        size_t at;
        enum hole_kind { HOLE_ID, HOLE_WORD } kind;
    } * holes;
    size_t hole_count, hole_cap;
};

enum { HOLE_WORD_SIZE = 12 };

/* What a run of a body is made of. */
struct run_shape {
    bool own_id;       /* the client sends a v4 id; else the server makes one */
    bool own_name;     /* unlike all others; else one of a hundred */
    bool small;        /* about 250 bytes in all */
    size_t field_size; /* else each of inputs, outputs, metadata is about that long */
    const char *name;  /* NULL: as `own_name` says */
    const char *trace; /* NULL: each run has one of its own */
};

void load_post(struct load_request *request, const struct run_shape *shape, size_t runs);
void load_get(struct load_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A body as it is, without holes. */
void load_body(struct load_request *request, const char *type, struct str body);
void load_renew(struct load_request *request);
/* The id that run `n` was last sent with; 36 letters.  Only with own_id. */
const char *load_id(const struct load_request *request, size_t n);
size_t load_body_size(const struct load_request *request);
void load_free(struct load_request *request);

/* ---- clients ---- */

struct answer {
    int status;
    bool hit;     /* X-Cache: HIT */
    bool chunked; /* it came in chunks: only client_fetch() takes those */
    size_t size;  /* of the body */
};

/* One connection, one request at a time, waiting. */
struct client {
    int fd;
    char head[4096];
};

void client_open(struct client *client, unsigned port);
void client_ask(struct client *client, const struct load_request *request, struct answer *answer);
/* The same, and keep the body in `body`. */
void client_fetch(struct client *client, const struct load_request *request, struct answer *answer,
                  struct text *body);
void client_close(struct client *client);

/* Many connections, each with one request under way, for a while. */
struct load {
    unsigned port;
    unsigned also; /* every other client asks here; 0: none does */
    size_t clients;
    double seconds, window_s;
    size_t answers_max;            /* end earlier, with so many; 0: do not */
    int status;                    /* every answer must have it */
    struct load_request *requests; /* one for each client */
    bool renew;                    /* between two sendings */
};

struct load_result {
    struct figures rate;    /* out: answers a second, of each whole window */
    struct figures took_ms; /* out: of each answer */
    size_t answers, hits;
    size_t body_size; /* of the last answer */
};

void load_run(const struct load *load, struct load_result *result);
