/* layers.h - the layers, attachments and feedback of one request, until they are a record.
 *
 * The body that their fields lie in is here as well: what must be copied (layer.h,
 * layer_must_be_copied()) is copied behind it.
 *
 * Threads  one at a time
 * Memory   counted against the budget of `in`
 * Errors   ERR_INVALID, ERR_TOO_BIG, ERR_BUSY: a sentence with the place, "part post.<id>: ..."
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "run/batch.h"
#include "run/intake.h"
#include "run/layer.h"
#include "run/record.h"

struct XXH3_state_s;

/* How a place is named. */
enum layers_place { PLACE_ONLY /* not at all */, PLACE_PART, PLACE_ELEMENT };

struct layers {
    struct batch_limits limits;
    enum layers_place place;
    int64_t received_us;
    bool strict; /* a post must say trace and dotted order */
    struct intake in;

    struct layer *layer;
    size_t count;
    struct record record; /* after layers_finish() */

    /* Its own. */
    size_t cap;
    uint32_t *slots;   /* by kind and id: the last such layer */
    size_t slot_count; /* a power of two */
    struct uuid_source ids;
    bool made_id; /* of the only run: it came with none */
    struct XXH3_state_s *hash;
    struct text facts, entries, spans;
    struct str *facts_list; /* of each layer */
};

#define LAYERS_NONE UINT32_MAX

int layers_open(struct layers *layers, const struct batch_limits *limits, size_t cost,
                struct budget *budget, struct spare *spare, size_t size_hint, struct err *err);
void layers_close(struct layers *layers);

/* A new one, the last; `id` may be NULL: its object says it. */
int layers_add(struct layers *layers, enum run_kind kind, const struct uuid *id, size_t cost,
               struct err *err);

/* The last one of that kind and id that was added with it, or LAYERS_NONE. */
uint32_t layers_find(const struct layers *layers, enum run_kind kind, struct uuid id);

/* Bytes [at, end) of the body belong to it too. */
int layers_cover(struct layers *layers, uint32_t i, size_t at, size_t end, struct err *err);

/* All of the i-th came, as far as we know: check it, and take its facts out.  Without
 * `at_end` not if it must be copied, since there the body still grows. */
int layers_judge(struct layers *layers, uint32_t i, bool at_end, struct err *err);

/* Everything came: the record.  Without any it is all zero. */
int layers_finish(struct layers *layers, struct err *err);

/* Put the place in front of an error of the i-th. */
int layers_at(const struct layers *layers, uint32_t i, struct err *err);
int layers_busy(struct err *err);
