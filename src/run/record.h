/* record.h - a batch in the form in which it is stored: runs, layers of runs, entities.
 *
 * The same bytes serve the commit of a new batch, the replay of the log and
 * the reading of one run, so that what is indexed after a crash is what was
 * indexed before it.
 *
 *     table   count entries of RECORD_ENTRY bytes, in input order; then the
 *             spans of all of them, 8 bytes each
 *     body    the runs' JSON objects as sent, and whatever stood between them
 *
 * Every entry has a checksum of itself with its spans, and one of its run's
 * bytes in the body; so one run can be read and trusted without the rest.
 *
 * Threads  pure
 * Errors   ERR_CORRUPT
 * Sources  docs/design/segment-format.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "run/run.h"

struct arena;

#define RECORD_ANY UINT64_MAX

enum {
    RECORD_ENTRY = 112, /* bytes of one entry */
    RECORD_SPAN = 8,
    RECORD_RUNS_MAX = 1 << 20
};

/* One run of a record whose runs lie apart. */
struct record_part {
    const char *entry; /* NULL: it is lost */
    struct str spans, raw;
    struct uuid id; /* of one that is lost, if that is known; else zero */
};

struct record {
    uint32_t count;
    int64_t received_us; /* one instant for the batch */
    struct str table;
    struct str body;
    bool fresh;   /* written by this process and never stored: its checksums hold */
    bool new_ids; /* this process made all ids, just now: nobody has a run of them */
    /* Of a fresh one: the facts (run/facts.h) of each run, taken out while it arrived; NULL:
     * whoever needs them does that. */
    const struct str *facts;
    /* Of a fresh one with a single entity: the version of it that was read, which must be
     * the one that is there; 0: none may be; RECORD_ANY: whatever is there. */
    uint64_t expect;
    /* `count` of them, in input order, where the runs lie apart (in a pack);
     * table and body are empty then.  NULL: they do not. */
    const struct record_part *parts;
};

/* What an entry says about where the rest of its run lies. */
struct record_entry {
    uint32_t spans_at, spans_len; /* in the table */
    uint32_t body_at, body_len;   /* in the body */
};

/* Write the entry of `run` at `entry` (RECORD_ENTRY bytes), with its
 * checksums; run->spans and run->raw are whole, `spans_at` and `body_at` say
 * where they go. */
void record_write_entry(char *entry, const struct run *run, uint32_t spans_at, uint32_t body_at);

/* The spans of a whole table begin `by` bytes further on than they were written
 * for; `spans` is where they were written to. */
void record_move_spans(char *entry, const char *spans, uint32_t by);

/* Read only where the rest lies.  ERR_CORRUPT when an offset is outside a
 * table of `table_len` or a body of `body_len` bytes. */
int record_locate(const char *entry, size_t table_len, size_t body_len, struct record_entry *result,
                  struct err *err);

/* What an entry says of its run: ids, times, type; nothing is verified, and
 * spans and bytes are not there. */
struct run record_peek(const char *entry);

/* Does the checksum of the entry fit it and its spans?  And what is the
 * checksum (CRC32C) of the run's bytes? */
bool record_entry_sound(const char *entry, struct str spans);
uint32_t record_raw_crc(const char *entry);

/* Put together a run from its entry, its spans and its bytes; both checksums
 * and every span are verified.  `spans` and `raw` become views of the run. */
int record_decode(const char *entry, struct str spans, struct str raw, struct run *result,
                  struct err *err);

/* The i-th run of a whole record, verified unless the record is fresh. */
int record_run(const struct record *record, uint32_t i, struct run *result, struct err *err);

/* The id of the i-th run as its entry has it, not verified; zero when it is lost. */
struct uuid record_id(const struct record *record, uint32_t i);

/* The run that the i-th entry is of, or says something of; zero: of none. */
struct uuid record_about(const struct record *record, uint32_t i);

/* Bytes of the runs with their entries and spans. */
uint64_t record_weight(const struct record *record);

/* Runs, decoded and so verified, as a record of their own, in the arena. */
struct record record_make(const struct run *runs, uint32_t count, int64_t received_us,
                          struct arena *arena);

/* The same record, in the arena; or `count` of its runs, all of them sound. */
struct record record_copy(const struct record *record, struct arena *arena);
struct record record_copy_some(const struct record *record, uint32_t from, uint32_t count,
                               struct arena *arena);
