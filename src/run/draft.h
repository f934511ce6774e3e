/* draft.h - one run, or a layer of one, while its fields come in.
 *
 * Where each known field lies in the body, and what it says.  A field that came and is
 * null was sent, but not given.
 *
 * Threads  pure
 * Memory   offsets into the body, which may grow and move meanwhile; whoever asks says
 *          where it is
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "run/record.h"
#include "run/run.h"
#include "wire/json_scan.h"

struct XXH3_state_s;

struct draft {
    uint32_t sent;  /* bit f: the client sent it */
    uint32_t twice; /* bit f: more than once; the last one counts */
    struct json_span value[RUN_FIELDS];
    enum json_type type[RUN_FIELDS];
};

/* Which field the scanner's key names; RUN_FIELDS: none that we know. */
enum run_field draft_key(struct str key, bool escaped);

void draft_add(struct draft *draft, enum run_field field, struct json_span value,
               enum json_type type);

static inline bool draft_sent(const struct draft *draft, enum run_field field)
{
    return draft->sent & UINT32_C(1) << field;
}

/* The field's bytes when it was sent and is not null; else at == NULL. */
struct str draft_given(const struct draft *draft, const char *body, enum run_field field);

/* What stands between the quotes of `json`, a string, decoded into `room`; false when it
 * is longer. */
bool draft_text(struct str json, char *room, size_t size, struct str *text);

/* What a field that is given says; false when it is no such thing. */
bool draft_uuid(const struct draft *draft, const char *body, enum run_field field, struct uuid *id);
bool draft_type(const struct draft *draft, const char *body, enum run_type *type);

/* A timestamp as text, or as a whole number of milliseconds. */
bool draft_time(const struct draft *draft, const char *body, enum run_field field, int64_t *us);

/* Has a field that is a string, or not given, at most `max` bytes, decoded? */
bool draft_fits(const struct draft *draft, const char *body, enum run_field field, size_t max);

/* Where "metadata" lies within extra; false when it is not there. */
bool draft_metadata(const struct draft *draft, const char *body, struct json_span *inner,
                    enum json_type *type);

/* XXH3-128 over the fields `which`, in the order of their numbers, each with its number
 * and length in front so that no two lists of fields agree. */
void draft_hash(const struct draft *draft, const char *body, uint32_t which,
                struct XXH3_state_s *state, uint64_t hash[2]);

/* Write the spans of the fields that were sent, from the byte of the body where the run
 * begins.  Returns how many bytes. */
size_t draft_spans(const struct draft *draft, size_t from, char out[RUN_FIELDS * RECORD_SPAN]);
