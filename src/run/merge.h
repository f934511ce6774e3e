/* merge.h - what the layers of a run say together.
 *
 * A run may come in layers, a post and patches, in any order, each any number of
 * times.  They are stored as they came and never changed; what changes is the row
 * of the run, which says who **holds** each field.  The greatest key holds it:
 *
 *     (layer, not empty, sequence, container, ordinal)      layer: patch > post, whole
 *
 * A maximum does not depend on the order of arrival, and a replay changes nothing.
 * A layer says something of a field when it has the field, and it is neither null
 * nor, of an error, "".  `{}` and `[]` are empty.  What is said once for all is the
 * other way round: of a dotted order the *first* post holds it, else the first patch;
 * id, trace and parent stay what they were first said to be.
 *
 * Metadata goes with extra, since it is a part of it: who holds extra as a post or a
 * patch holds both.  Project, name of the project and address are not held: the
 * project is the index's to say.
 *
 * Threads  pure
 * Sources  docs/design/langsmith.md, Merging
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"
#include "run/run.h"

struct text;

enum {
    MERGE_HOLDERS = 16,     /* most a run can have: more fields than that cannot be held apart */
    MERGE_HOLDER_BYTES = 41 /* of one as merge_write() writes it */
};

/* One of the stored layers that a run is made of. */
struct holder {
    struct place place;
    uint64_t sequence;
    uint64_t hash;   /* the low half: the same layer again is known by it */
    uint32_t size;   /* bytes of its raw */
    uint32_t fields; /* which it holds */
    uint32_t empty;  /* of those: {} or [] */
    enum run_kind kind;
};

struct merged {
    struct uuid id, trace, parent;
    int64_t start_us, end_us; /* RUN_RUNNING: nobody said that it ended */
    enum run_type type;
    enum run_status status;
    uint64_t version;      /* grows with every change, also by what has an older sequence */
    bool guessed;          /* nobody said the trace: it is the parent's, the parent, or the run */
    bool posted;           /* a post or a whole run is there */
    uint64_t post_hash[2]; /* the last of those; a whole run is compared with it */
    unsigned count;
    struct holder holder[MERGE_HOLDERS];
};

/* What of a run's fields say something, and which of those say `{}` or `[]`. */
uint32_t merge_says(const struct run *run, uint32_t *empty);

/* Is this very layer among those that hold something? */
bool merge_has(const struct merged *merged, const struct run *run);

/* Take a layer in (RUN_WHOLE, RUN_POST, RUN_PATCH).  `merged` all zero: it is the first.
 * Returns the fields it holds now, of which facts (run/facts.h) and what else was kept of
 * them come from it from now on; 0: it holds none, though the version may have grown. */
uint32_t merge_add(struct merged *merged, const struct run *run, struct place place,
                   uint64_t sequence);

/* Bytes of all holders. */
uint64_t merge_size(const struct holder *holders, unsigned count);

/* The holders as an index keeps them; and back (ERR_CORRUPT). */
void merge_write(const struct holder *holders, unsigned count, struct text *text);
int merge_read(struct str bytes, struct holder *holders, unsigned *count, struct err *err);
