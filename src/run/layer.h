/* layer.h - one layer of a run, an attachment or a feedback, while it comes in.
 *
 * Threads  pure
 * Errors   ERR_INVALID, ERR_TOO_BIG: a sentence that begins with the field
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "run/draft.h"
#include "run/run.h"

struct layer {
    enum run_kind kind;
    struct draft draft;  /* a field that is null is not in it; nor is one nobody keeps */
    size_t first, after; /* in the body: from its first byte to behind its last */
    size_t size;         /* bytes of those that are its own */
    size_t index;        /* in its list */
    size_t strange;      /* so many NaN and infinities are in it */
    bool has_id;         /* run.id was said outside of its object */
    bool scattered;      /* something else stands between its fields */
    bool judged;         /* `run` is complete but for spans and raw */
    size_t facts_at, facts_len;
    uint32_t next; /* for who keeps many: the next in the same slot, or none */
    struct run run;
};

struct layer_rules {
    bool strict; /* trace and dotted order must be there */
    size_t name_max;
    int64_t received_us;
};

static inline bool layer_must_be_copied(const struct layer *layer)
{
    return layer->scattered || layer->strange > 0;
}

/* A member of the object of a layer of that kind; of a run's inputs and such also a part. */
void layer_member(struct layer *layer, struct str key, bool escaped, struct json_span value,
                  enum json_type type);

/* The same field as a part: it wins, unless it is null. */
void layer_part(struct layer *layer, enum run_field field, struct json_span value,
                enum json_type type);

/* Another of its parts comes, after one of something else. */
void layer_reopen(struct layer *layer);

/* Everything came: is it good?  Fills `run`, but for its spans, raw and hash. */
int layer_check(struct layer *layer, const char *body, const struct layer_rules *rules,
                struct err *err);
