/* run.h - what a run is, wherever it travels.
 *
 * A run is what a client sent of it, kept as it was sent, and what we know of
 * that: its ids, its times, where each known field lies.  It comes whole, or in
 * layers.  Pure: no sockets, no files, no SQL.
 *
 * Memory   `raw` and `spans` are views; they live as long as what holds them
 * Sources  docs/design/segment-format.md, Entry
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

enum run_type {
    RUN_CHAIN,
    RUN_LLM,
    RUN_TOOL,
    RUN_RETRIEVER,
    RUN_EMBEDDING,
    RUN_PROMPT,
    RUN_PARSER,
    RUN_TYPES
};

enum run_status { RUN_PENDING, RUN_SUCCESS, RUN_ERROR };

/* The fields of a run that we know.  The numbers are stored: append only. */
enum run_field {
    RUN_ID,
    RUN_TRACE_ID,
    RUN_NAME,
    RUN_INPUTS,
    RUN_OUTPUTS,
    RUN_METADATA,
    RUN_EXTRA,
    RUN_ERROR_TEXT,
    RUN_EVENTS,
    RUN_TAGS,
    RUN_SERIALIZED,
    RUN_PARENT_RUN_ID,
    RUN_DOTTED_ORDER,
    RUN_RUN_TYPE,
    RUN_START_TIME,
    RUN_END_TIME,
    RUN_SESSION_NAME,
    RUN_SESSION_ID,
    RUN_REFERENCE_EXAMPLE_ID,
    RUN_ADDRESS,
    RUN_FIELDS
};

/* What an entry is.  The numbers are stored: append only. */
enum run_kind {
    RUN_WHOLE,      /* a run, sent at once */
    RUN_POST,       /* what was known of a run when it began, ... */
    RUN_PATCH,      /* ... and later: one of the layers that make a run (run/merge.h) */
    RUN_ATTACHMENT, /* bytes that belong to a run: RUN_NAME is its name, RUN_RUN_TYPE its media
                     * type, RUN_INPUTS the bytes, all three as they came */
    RUN_ENTITY,     /* no run: the JSON of a project, a feedback, ... (run/entity.h) */
    RUN_KINDS
};

/* end_us of a run that has not ended. */
#define RUN_RUNNING INT64_MIN

struct run {
    struct uuid id, trace;
    struct uuid parent;       /* all zero: top level */
    int64_t start_us, end_us; /* microseconds since 1970 UTC */
    enum run_type type;
    enum run_status status;
    enum run_kind kind;
    uint8_t entity;    /* of RUN_ENTITY: enum entity_kind; `type` and `status` say nothing then */
    uint64_t hash[2];  /* XXH3-128 of the known fields as sent: low, high */
    uint32_t present;  /* bit f: the client sent field f */
    const char *spans; /* 8 bytes for each present field: offset, length in `raw`; little endian */
    struct str
        raw; /* the object as sent; of a multipart body all from its first part to its last */
};

/* "inputs", ... and back; RUN_FIELDS for a name nobody knows. */
struct str run_field_name(enum run_field field);
enum run_field run_field_named(struct str name);

/* "chain", ... and back; RUN_TYPES for a word nobody knows. */
struct str run_type_name(enum run_type type);
enum run_type run_type_named(struct str name);
struct str run_status_name(enum run_status status);

/* A field's JSON as it was sent; at == NULL when the client sent none. */
struct str run_field(const struct run *run, enum run_field field);

/* Where it lies in `raw`, which need not be there; false when the client sent none. */
bool run_span(const struct run *run, enum run_field field, uint32_t *at, uint32_t *len);

/* Where an operation's bytes lie: stable for as long as they are kept. */
struct place {
    uint64_t container; /* 1, 2, ...: the number of a segment; 0: nowhere */
    uint32_t ordinal;   /* position in arrival order within the container */
};
