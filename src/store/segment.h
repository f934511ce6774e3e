/* segment.h - one file of the log: its format, and appending, walking, repairing.
 *
 * Shape    a head, then records, each a batch; integers little endian, records
 *          at multiples of 8 bytes; see docs/design/segment-format.md
 * Threads  a `struct segment` and a `struct segment_walk` belong to one thread;
 *          a `struct segment_file` may be read by any number while it is open
 * Errors   ERR_FULL, ERR_IO nothing was kept; ERR_CORRUPT with file and offset;
 *          ERR_BUSY no memory.  A failed sync ends the process
 * Sources  docs/design/segment-format.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"
#include "run/record.h"
#include "store/numbered.h"

struct store_record;

enum {
    SEGMENT_HEAD = 64,          /* bytes */
    SEGMENT_RECORD = 80,        /* bytes of a record before its table */
    SEGMENT_POST = 1,           /* the kind of every record so far */
    SEGMENT_ORDINALS = 1 << 16, /* a segment that has so many runs is full: what sealing needs
                                 * for each has to be bounded */
    SEGMENT_PATH = NUMBERED_PATH,

    /* A group of at least this is written past the page cache, in pieces of at
     * most that, at multiples of SEGMENT_BLOCK. */
    SEGMENT_DIRECT_MIN = 256 << 10,
    SEGMENT_DIRECT = 4 << 20,
    SEGMENT_BLOCK = 4096
};

/* Where each record begins, ascending in both. */
struct segment_mark {
    uint32_t first_ordinal;
    uint32_t at; /* in the file, in units of 8 bytes */
};

struct segment_marks {
    struct segment_mark *mark; /* heap */
    size_t count, cap;
    bool damaged; /* bad records were skipped */
};

/* A file that is open, its head read. */
struct segment_file {
    const struct disk *disk;
    int fd;
    uint64_t number;            /* of the container; also its name */
    uint64_t id;                /* random: a record of another file is not taken for one of this */
    uint64_t previous_sequence; /* of the last record before this file; 0: there was none */
};

/* The head of a record. */
struct segment_record {
    uint64_t size; /* of the whole record, a multiple of 8 */
    uint64_t sequence, previous_sequence;
    uint64_t group_at; /* where the first record that was synced with it begins */
    uint64_t first_ordinal;
    uint32_t count;
    uint32_t table_len, body_len, table_crc;
    int64_t received_us;
};

/* The file that is written. */
struct segment {
    struct segment_file file;
    uint64_t end;       /* of the last durable record */
    uint64_t allocated; /* bytes of the file; beyond `end` zeros */
    uint64_t sequence;  /* of the last record, also if that is in an earlier file */
    uint64_t ordinal;   /* the first one free */
    bool broken;        /* a half-written group could not be cut off: no more appends */
    bool no_fallocate;  /* the file system has none */
    int direct_fd;      /* the same file, past the page cache; -1: not to be had */
    char *direct;       /* SEGMENT_DIRECT bytes, aligned, of direct writes; NULL until the first */
};

/* "<dir>/<number>.seg"; `path` has room for SEGMENT_PATH.  And is a name of that form? */
int segment_path(struct str dir, uint64_t number, char *path, struct err *err);
bool segment_named(const char *name, uint64_t *number);

/* Open the file `number` of `dir` and read its head.  `incomplete`: creation
 * was cut short and nothing was ever in it, so it is not an error; the file is
 * closed again.  NULL: then it is one. */
int segment_open(const struct disk *disk, struct str dir, uint64_t number, bool write,
                 struct segment_file *result, bool *incomplete, struct err *err);

/* A new file, durable with its name.  `dir_fd` is the directory's. */
int segment_create(const struct disk *disk, struct str dir, int dir_fd, uint64_t number,
                   uint64_t previous_sequence, struct segment *result, struct err *err);

/* Find the end of the last file, verifying everything before it.  With
 * `repair` what is behind the end is cut off and the result is durable;
 * without, another process may be writing, and damage is skipped.
 * Records up to `durable_sequence` are known to have been synced.  `marks` are the caller's to free,
 * also on failure. */
int segment_recover(const struct segment_file *file, bool repair, uint64_t durable_sequence,
                    struct segment *result, struct segment_marks *marks, struct err *err);

/* One group: all durable or none there.  Keeps `reserve` bytes of the file
 * system free and asks for space in steps that reach to `target`.  `marks` gets
 * `count` of them. */
int segment_append(struct segment *segment, const struct store_record *records, size_t count,
                   uint64_t target, uint64_t reserve, struct segment_mark *marks, struct err *err);
uint64_t segment_record_size(const struct record *record);

/* Let large groups go past the page cache, where the file system has that;
 * segment_stop() closes what it opened. */
void segment_direct(struct segment *segment, struct str dir);
void segment_stop(struct segment *segment);

/* No more appends: give back what was allocated ahead, durably. */
int segment_finish(struct segment *segment, struct err *err);

/* Read a record's head.  NULL when it is one of the segment `id`, else what is
 * wrong with it; `*newer`: only that this program is too old for it. */
const char *segment_parse(const char *bytes, uint64_t id, struct segment_record *result,
                          bool *newer);

/* From record to record. */
struct segment_walk {
    const struct segment_file *file;
    uint64_t at, end;  /* here; and no record goes beyond */
    uint64_t sequence; /* of the record before */
    uint64_t group_at; /* likewise */
    uint64_t ordinal;  /* the first one free */
    bool lost;         /* something was skipped, so the next one need not be linked to the last */
    bool newer;        /* the bad record was written by a newer program */
    char *window;      /* what was last read of the file */
    uint64_t window_at;
    size_t window_len;
};

int segment_walk_start(struct segment_walk *walk, const struct segment_file *file, uint64_t end,
                       struct err *err);
void segment_walk_end(struct segment_walk *walk);

/* The head of the record at walk->at.  `*why` is NULL when it is good, "" at
 * the end, else what is wrong. */
int segment_walk_look(struct segment_walk *walk, struct segment_record *record, const char **why,
                      struct err *err);
void segment_walk_pass(struct segment_walk *walk, const struct segment_record *record);
/* Go on to the next place that holds a good head; the end if there is none. */
int segment_walk_skip(struct segment_walk *walk, struct err *err);

/* The table of the record that begins at `at`, verified, into `room` of
 * record->table_len bytes. */
int segment_read_table(const struct segment_file *file, uint64_t at,
                       const struct segment_record *record, char *room, struct err *err);

/* The whole record that begins at `at`, its table verified: `*bytes` (heap,
 * the caller's) holds what `result` is a view of. */
int segment_load(const struct segment_file *file, uint64_t at, const struct segment_record *record,
                 char **bytes, struct record *result, struct err *err);

/* The marks of a file that is not written any more.  Bad records have none. */
int segment_scan(const struct segment_file *file, uint64_t end, struct segment_marks *marks,
                 struct err *err);
int segment_marks_add(struct segment_marks *marks, struct segment_mark mark, struct err *err);
