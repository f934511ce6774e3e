/* facts_section.h - the form of facts as bytes.
 *
 *     FACTS_VERSION, then sections, by their fields
 *     section: field u8, kind u8, size of the rest u16, the rest
 *
 * A program that meets a field or a kind it does not know passes over it, and keeps it
 * with its field.  So a kind of section never changes what it is: a new one is added.
 * Numbers are little endian.
 *
 * Sources  docs/design/langsmith.md, Facts
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/str.h"

enum {
    FACTS_VERSION = 1,
    SECTION_HEAD = 4,
    SECTION_OF_RUN = 63, /* in place of a field: of none, but of the run */
    PAIR_HEAD = 4,       /* size of the key u16, of the value u16 or PAIR_NULL */
    PAIR_NULL = UINT16_MAX,
    TAG_HEAD = 2,        /* size u16 */
    ATTACHMENT_HEAD = 36 /* container u64, ordinal u32, sequence u64, hash u64, size u32, of the
                          * name u16, of the type u16; then the name, the type */
};

/* The numbers are stored: append only. */
enum section_kind {
    SECTION_CUT = 1,   /* nothing: something of the field was left out */
    SECTION_TEXT,      /* inputs, outputs: the preview; name, error, dotted_order */
    SECTION_TAGS,      /* each with its TAG_HEAD */
    SECTION_PAIRS,     /* each with its PAIR_HEAD */
    SECTION_THREAD,    /* text */
    SECTION_USAGE,     /* rank u8 (facts_usage.h), JSON */
    SECTION_TIME,      /* u64: microseconds since 1970 UTC */
    SECTION_UUID,      /* 16 bytes */
    SECTION_ATTACHMENT /* one, in the order of the names */
};

struct text;

struct section {
    unsigned field, kind;
    struct str body, whole;
};

static inline uint16_t get_u16(const char *at)
{
    return (uint16_t)((unsigned char)at[0] | (unsigned char)at[1] << 8);
}

static inline void put_u16(char *at, size_t v)
{
    at[0] = (char)(v & 0xff);
    at[1] = (char)(v >> 8 & 0xff);
}

/* The sections of `bytes`; false: they are of a version that we do not know. */
static inline bool sections(struct str bytes, struct str *rest)
{
    *rest = (struct str){0};
    if (bytes.len == 0)
        return true;
    if (bytes.at[0] != FACTS_VERSION)
        return false;
    *rest = (struct str){bytes.at + 1, bytes.len - 1};
    return true;
}

/* Take one off the front; false: there is none, or no whole one. */
static inline bool section_next(struct str *rest, struct section *section)
{
    if (rest->len < SECTION_HEAD)
        return false;
    size_t size = get_u16(rest->at + 2);
    if (size > rest->len - SECTION_HEAD)
        return false;
    *section = (struct section){
        .field = (unsigned char)rest->at[0],
        .kind = (unsigned char)rest->at[1],
        .body = {rest->at + SECTION_HEAD, size},
        .whole = {rest->at, SECTION_HEAD + size},
    };
    rest->at += section->whole.len;
    rest->len -= section->whole.len;
    return true;
}

/* --- writing ---------------------------------------------------------------- */

struct facts_writer {
    struct text *text;
    size_t start; /* of the facts */
    size_t head;  /* of the section at hand */
    unsigned field;
    bool cut; /* something of the field was left out */
};

/* Facts, appended to `text`; at the end those without a section are none. */
struct facts_writer facts_start(struct text *text);
void facts_end(struct facts_writer *writer);

/* A section of the field; its body is appended to the text. */
void section_begin(struct facts_writer *writer, enum section_kind kind);
size_t section_size(const struct facts_writer *writer); /* of the body, so far */
void section_end(struct facts_writer *writer);
void section_drop(struct facts_writer *writer);
