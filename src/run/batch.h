/* batch.h - many runs on their way in: read while they arrive, judged as one.
 *
 * Feed the body piece by piece.  Each run is checked as it completes and
 * becomes an entry of a record (record.h); nothing is parsed into a tree and
 * no byte of a run is written anew.  At the end the batch is a record ready to
 * be stored, or it is refused as a whole with every reason.
 *
 * Threads  one at a time
 * Memory   the body and the entries, counted against `budget` as they arrive
 * Sources  the native API, POST /runs (docs/openapi.json)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "run/record.h"
#include "run/run.h"

struct batch;
struct budget;
struct spare;

struct batch_limits {
    size_t body_max; /* bytes, decoded; at most 2^31 */
    size_t run_max;  /* bytes of one run's object */
    size_t runs_max;
    size_t name_max; /* bytes of a name, decoded */
};

enum batch_state {
    BATCH_READING,    /* feed more */
    BATCH_READY,      /* whole and good: see batch_record() */
    BATCH_NO_BODY,    /* not one byte came, or only white space */
    BATCH_NOT_JSON,   /* see batch_refusal.offset and .what */
    BATCH_NOT_A_LIST, /* valid JSON, but neither array nor object */
    BATCH_AN_OBJECT,  /* the first byte is `{` and the body is not NDJSON */
    BATCH_EMPTY,      /* no runs */
    BATCH_FAULTY,     /* see batch_refusal.faults */
    BATCH_TOO_BIG,    /* see batch_refusal.what: which limit, and how much it is */
    BATCH_BUSY        /* the budget is used up */
};

/* In the order of the words in fault_words (api/fail.c). */
enum fault_kind {
    FAULT_MISSING,
    FAULT_UUID_PARSING,
    FAULT_UUID_TYPE,
    FAULT_STRING_TYPE,
    FAULT_DICT_TYPE,
    FAULT_DATETIME_PARSING,
    FAULT_LIST_TYPE,
    FAULT_ENUM,
    FAULT_DUPLICATE_FIELD,
    FAULT_STRING_TOO_LONG, /* of PROJECT_NAME_MAX */
    FAULT_KINDS
};

enum {
    BATCH_FAULTS_MAX = 100,
    BATCH_COST = 16 << 10, /* of the budget, for a batch besides its bytes */
    BATCH_RUN_COST = 512   /* likewise for each run */
};

struct batch_fault {
    enum fault_kind kind;
    size_t index;         /* which run of the batch */
    enum run_field field; /* RUN_FIELDS: the run itself */
};

struct batch_refusal {
    char what[96]; /* BATCH_NOT_JSON, BATCH_TOO_BIG: a few words */
    size_t offset; /* BATCH_NOT_JSON: byte of the body */
    const struct batch_fault *faults;
    size_t fault_count;
};

/* `lines`: the body is NDJSON.  `size_hint` may be 0.  `spare` may be NULL. */
struct batch *batch_new(bool lines, const struct batch_limits *limits, struct budget *budget,
                        struct spare *spare, int64_t received_us, size_t size_hint);
void batch_free(struct batch *batch); /* gives back to the budget; NULL is fine */

/* Anything but BATCH_READING is final. */
enum batch_state batch_feed(struct batch *batch, struct str piece, bool last);

/* How many runs were seen so far, good or bad. */
size_t batch_count(const struct batch *batch);

const struct batch_refusal *batch_refusal(const struct batch *batch);
const struct record *batch_record(const struct batch *batch);  /* BATCH_READY; until batch_free() */
struct uuid batch_run_id(const struct batch *batch, size_t i); /* BATCH_READY */
