/* pack.h - a sealed segment: its format, and finding a way through it.
 *
 * Pure: bytes in, meaning out.  Whoever has the bytes - of a file, of an
 * object in a bucket - reads the ranges that are named here and hands them in.
 *
 * Shape    blocks of at most PACK_BLOCK bytes, one behind the other the stream;
 *          in the stream items, each a run with what its record said of it;
 *          sections that say where things are, derived from the blocks
 * Threads  a pack may be read by any number once the sections that are asked
 *          for were loaded; loading is for one
 * Errors   ERR_CORRUPT bytes that fail their check or make no sense,
 *          ERR_UNAVAILABLE a newer program is needed, ERR_BUSY no memory
 * Sources  docs/design/pack-format.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

struct frame_opener;

enum {
    PACK_HEAD = 128,           /* bytes at the beginning */
    PACK_FOOT = 128,           /* likewise at the end */
    PACK_TAIL = 64 << 10,      /* so much of the end is worth reading at once */
    PACK_BLOCK = 2 << 20,      /* most bytes of a block that we write, unpacked */
    PACK_BLOCK_MAX = 16 << 20, /* of one that we read */
    PACK_PAGE = 4096,          /* bytes of a page of the runs */
    PACK_ITEM = 40,            /* bytes of an item before its entry */
    PACK_RUNS_MAX = 1 << 26
};

/* What the file says of itself, in front and at the end. */
struct pack_summary {
    uint64_t number;            /* of the container */
    uint64_t id;                /* random */
    uint64_t previous_sequence; /* of the last record before this container; 0: none */
    uint64_t last_sequence;
    uint64_t stream_size; /* bytes of all items */
    uint64_t raw_size;    /* bytes of the runs' objects */
    int64_t first_start_us, last_start_us;
    int64_t created_us;
    uint32_t runs, records;
};

/* The numbers are stored: append only. */
enum pack_section_type {
    PACK_BLOCKS = 1,
    PACK_RUNS,
    PACK_RECORDS,
    PACK_IDS,
    PACK_TRACES,
    PACK_FENCES,
    PACK_SECTIONS /* one more than the last we know */
};

struct pack_section {
    uint64_t at, stored; /* where it lies in the file; stored 0: there is none */
    uint64_t size;       /* bytes unpacked */
    uint32_t crc;        /* of the stored bytes */
    char *rows;          /* unpacked, heap; NULL: not loaded */
};

struct pack_block {
    uint64_t at;        /* in the file */
    uint64_t stream_at; /* in the stream */
    uint32_t stored, size;
    uint32_t crc; /* of the stored bytes */
};

struct pack {
    struct pack_summary summary;
    uint64_t size; /* of the file */
    struct pack_block *blocks;
    uint32_t block_count;
    struct pack_section sections[PACK_SECTIONS];
    char rebuilt[96]; /* why the sections were made anew from the blocks; empty: they are sound */
    bool incomplete;  /* then runs may be missing */
};

/* A row of each section. */
struct pack_run {
    uint64_t at; /* in the stream */
    uint32_t ordinal, size;
};
struct pack_record {
    uint64_t sequence;
    int64_t received_us;
    uint32_t first, count; /* ordinals of its runs */
    uint16_t kind;
};
struct pack_trace {
    struct uuid trace;
    uint64_t at, size; /* in the stream */
    uint32_t runs;
};

/* Open a pack by the last bytes of its `size`.  When `tail` is too short for
 * what must be known, `*need` says how many there have to be, and nothing is
 * opened; else it is 0.  If the runs are in it as well, they are loaded. */
int pack_open(struct str tail, uint64_t size, struct pack **result, uint64_t *need,
              struct err *err);
void pack_free(struct pack *pack); /* NULL is fine */
size_t pack_memory(const struct pack *pack);

/* Only what the first or last 128 bytes say. */
int pack_read_summary(const char *bytes, bool foot, struct pack_summary *result, struct err *err);

/* Make the sections anew from the blocks, given all of the file.  `why` is
 * kept.  ERR_CORRUPT: there is not one good block. */
int pack_rebuild(struct str file, const char *why, struct pack **result, struct err *err);

/* The other sections, given their stored bytes; blocks and fences are there from
 * the beginning.  Loading again what is loaded does nothing. */
bool pack_loaded(const struct pack *pack, enum pack_section_type type);
int pack_load(struct pack *pack, enum pack_section_type type, struct str stored, struct err *err);

void pack_unload(struct pack *pack, enum pack_section_type type); /* while nobody else uses it */

uint32_t pack_count(const struct pack *pack, enum pack_section_type type); /* of a loaded one */
struct pack_run pack_run(const struct pack *pack, uint32_t row);
struct pack_record pack_record(const struct pack *pack, uint32_t row);
struct pack_trace pack_trace(const struct pack *pack, uint32_t row);
struct uuid pack_id(const struct pack *pack, uint32_t i, uint32_t *row); /* the i-th smallest */

/* Its row in the loaded runs.  False: there is no such run here - or it was
 * lost, if the pack is incomplete. */
bool pack_find(const struct pack *pack, uint32_t ordinal, uint32_t *row);

/* Without the runs loaded: where in the file is the page that would have it?
 * And, given that page, `*found`. */
bool pack_page_at(const struct pack *pack, uint32_t ordinal, uint64_t *at);
int pack_find_in_page(const struct pack *pack, const char *page, uint32_t ordinal, bool *found,
                      struct pack_run *result, struct err *err);

/* The first of equal ids or traces, or where it would be. */
uint32_t pack_first_id(const struct pack *pack, struct uuid id);
uint32_t pack_first_trace(const struct pack *pack, struct uuid trace);

/* The block that the byte `stream_at` lies in. */
uint32_t pack_block_at(const struct pack *pack, uint64_t stream_at);

/* The first `size` bytes of a block, given its stored bytes, which are verified. */
int pack_unpack(const struct pack *pack, uint32_t block, struct str stored,
                struct frame_opener *opener, char *room, size_t size, struct err *err);

/* An item, as far as its bytes are there. */
struct pack_item {
    uint32_t size; /* of all of it */
    uint32_t ordinal;
    uint64_t sequence;
    int64_t received_us;
    uint32_t first, count;
    uint16_t kind;
    uint32_t pack;         /* the lower half of its pack's id */
    const char *entry;     /* views of the bytes */
    struct str spans, raw; /* likewise; of its length even where the bytes end before */
};

/* ERR_CORRUPT also when not even the entry is there.  The checksums of entry
 * and run are for record_decode(). */
int pack_read_item(struct str bytes, struct pack_item *result, struct err *err);
