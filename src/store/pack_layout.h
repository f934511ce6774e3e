/* pack_layout.h - where the fields of a pack lie; for who writes one, opens one
 * or makes its sections anew.
 *
 * Sources  docs/design/pack-format.md
 */
#pragma once

#include "base/text.h"
#include "store/pack.h"

struct pack_input;

enum {
    PACK_VERSION = 2, /* 1: all items are whole runs; is read too */
    PACK_OLDEST = 1,

    /* Head and foot. */
    AT_VERSION = 8,
    AT_SIZE = 12,
    AT_NUMBER = 16,
    AT_ID = 24,
    AT_PREVIOUS = 32,
    AT_LAST = 40,
    AT_STREAM = 48,
    AT_RAW = 56,
    AT_FIRST_START = 64,
    AT_LAST_START = 72,
    AT_CREATED = 80,
    AT_RUNS = 88,
    AT_RECORDS = 92,
    AT_DIRECTORY = 96,
    AT_DIRECTORY_SIZE = 104,
    AT_DIRECTORY_CRC = 108,
    AT_END = 112, /* zeros to the checksum */
    AT_CRC = 124,

    /* The directory. */
    DIR_ENTRY = 40,
    DIR_TYPE = 0,
    DIR_AT = 8,
    DIR_STORED = 16,
    DIR_SIZE = 24,
    DIR_CRC = 32,

    /* Rows of sections. */
    ROW_BLOCK = 20,
    ROW_RUN = 16,
    ROW_RECORD = 28,
    ROW_ID = 16 + 4,
    ROW_TRACE = 36,
    ROW_FENCE = 4,
    PAGE_ROWS = 255,
    PAGE_CRC = PACK_PAGE - 4,

    /* An item. */
    ITEM_SIZE = 0,
    ITEM_ORDINAL = 4,
    ITEM_SEQUENCE = 8,
    ITEM_RECEIVED = 16,
    ITEM_FIRST = 24,
    ITEM_COUNT = 28,
    ITEM_KIND = 32,
    ITEM_ZERO = 34,
    ITEM_PACK = 36
};

/* What the sections are made from: one for each item, in the order of the stream. */
struct pack_origin {
    struct uuid id, trace;
    uint64_t at, sequence;
    int64_t received_us;
    uint32_t size, ordinal, first, count;
    uint16_t kind;
};

struct pack_origin pack_origin(const struct pack_item *item, uint64_t at);

/* The rows of every section but the blocks', appended to `rows[type]`.  `origins`
 * is in the order of the stream. */
void pack_derive(const struct pack_origin *origins, uint32_t count,
                 struct text rows[PACK_SECTIONS]);

/* The PACK_ITEM bytes in front of an item of the pack with that id. */
void pack_write_item(char *head, uint64_t pack_id, const struct pack_input *in);

/* Write a head or foot; the directory, of a foot, begins at `directory`. */
void pack_write_summary(char *bytes, bool foot, const struct pack_summary *summary,
                        uint64_t directory, struct str entries);

/* Take over unpacked rows that were made here; PACK_BLOCKS first. */
int pack_take(struct pack *pack, enum pack_section_type type, char *rows, uint64_t size,
              struct err *err);
