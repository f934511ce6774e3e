/* pack_rebuild.c - a pack whose sections are damaged; see pack.h.
 *
 * The file is searched for frames.  One that can be unpacked and holds items
 * from end to end, each with a sound entry, is a block; a section's frame is
 * none, since an entry's checksum would have to fit by chance.  An item that is
 * larger than a block takes the frames that follow.  What cannot be unpacked or
 * understood is passed over.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/frame.h"
#include "base/text.h"
#include "run/record.h"
#include "run/run.h"
#include "store/pack_layout.h"

enum { LONG_TRIES = 16 /* items over several blocks that turned out to be none */ };

struct search {
    struct str file;
    size_t at;
    struct frame_opener *opener;
    struct text stream;  /* of the block that is looked at; with a large item, all its blocks */
    struct text blocks;  /* rows of those; then of all that were found good */
    struct text origins; /* likewise, structs */
    struct pack_summary found;
    uint32_t said_runs; /* by head or foot */
    bool said;          /* one of them could be read */
    bool known;         /* the lower half of the pack's id is */
    int tries;          /* see LONG_TRIES */
};

/* Take the frame at `at`, when there is one of a block's size, behind the stream.
 * Its length; *good: it could be unpacked.  0: no frame begins there. */
static size_t take_frame(struct search *s, size_t at, bool *good)
{
    size_t size = 0;
    *good = false;
    struct str rest = {s->file.at + at, s->file.len - at};
    size_t length = frame_measure(rest, &size);
    if (length == 0 || size == 0 || size > PACK_BLOCK_MAX)
        return 0;
    struct str frame = {rest.at, length};
    if (frame_open(s->opener, frame, text_room(&s->stream, size), size, NULL))
        return length;
    *good = true;
    s->stream.len += size;
    char *row = text_room(&s->blocks, ROW_BLOCK);
    put_u64(row, at);
    put_u32(row + 8, (uint32_t)length);
    put_u32(row + 12, (uint32_t)size);
    put_u32(row + 16, crc32c(0, frame.at, frame.len));
    s->blocks.len += ROW_BLOCK;
    return length;
}

static void add_origin(struct search *s, const struct pack_item *item, uint64_t at)
{
    int64_t start_us = record_peek(item->entry).start_us;
    struct pack_origin origin = pack_origin(item, at);
    struct pack_summary *sum = &s->found;
    if (sum->runs == 0 || start_us < sum->first_start_us)
        sum->first_start_us = start_us;
    if (sum->runs == 0 || start_us > sum->last_start_us)
        sum->last_start_us = start_us;
    if (item->sequence > sum->last_sequence)
        sum->last_sequence = item->sequence;
    sum->runs++;
    sum->raw_size += item->raw.len;
    text_add(&s->origins, (struct str){(const char *)&origin, sizeof origin});
}

static struct str unread(const struct search *s, size_t used)
{
    return (struct str){s->stream.at + used, s->stream.len - used};
}

/* Of this pack, and not what another file left here?  When neither head nor
 * foot says which it is, the first item does. */
static bool is_ours(struct search *s, const struct pack_item *item)
{
    if (!s->known)
        s->found.id = item->pack;
    s->known = true;
    return item->pack == (uint32_t)s->found.id;
}

/* The item at `used`; one that is larger than its block takes the frames that
 * follow, which begin at *next. */
static bool take_item(struct search *s, size_t used, size_t *next, struct pack_item *item)
{
    if (pack_read_item(unread(s, used), item, NULL) ||
        !record_entry_sound(item->entry, item->spans) || !is_ours(s, item))
        return false;
    if (item->size <= s->stream.len - used)
        return true;
    if (used > 0 || s->tries == LONG_TRIES)
        return false;
    while (s->stream.len < item->size) {
        bool good;
        *next += take_frame(s, *next, &good);
        if (!good) {
            s->tries++;
            return false;
        }
    }
    return s->stream.len == item->size && !pack_read_item(unread(s, used), item, NULL);
}

/* Is a block at s->at?  Then its items are known now.  s->at goes behind it, or
 * behind whatever else is there. */
static void take_block(struct search *s)
{
    size_t blocks = s->blocks.len, origins = s->origins.len, used = 0;
    struct pack_summary before = s->found;
    s->stream.len = 0;
    bool good;
    size_t length = take_frame(s, s->at, &good), next = s->at + length;
    while (good && used < s->stream.len) {
        struct pack_item item;
        good = take_item(s, used, &next, &item) && s->found.runs < PACK_RUNS_MAX;
        if (good) {
            add_origin(s, &item, s->found.stream_size + used);
            used += item.size;
        }
    }
    if (good) {
        s->found.stream_size += used;
        s->at = next;
        return;
    }
    s->blocks.len = blocks;
    s->origins.len = origins;
    uint64_t id = s->found.id;
    s->found = before;
    s->found.id = id;
    s->at += length > 0 ? length : 1; /* in a frame there is no other */
}

/* The foot, else the head, says what no item does. */
static int read_names(struct search *s, struct err *err)
{
    struct pack_summary said;
    struct str file = s->file;
    int r = file.len < PACK_FOOT
                ? ERR_CORRUPT
                : pack_read_summary(file.at + file.len - PACK_FOOT, true, &said, err);
    if (r == ERR_CORRUPT && file.len >= PACK_HEAD)
        r = pack_read_summary(file.at, false, &said, err);
    if (r)
        return r == ERR_CORRUPT ? 0 : r; /* of a newer program: that is no damage */
    s->found.number = said.number;
    s->found.id = said.id;
    s->found.previous_sequence = said.previous_sequence;
    s->found.last_sequence = said.last_sequence;
    s->found.created_us = said.created_us;
    s->said_runs = said.runs;
    s->said = s->known = true;
    return 0;
}

static int make(struct search *s, const char *why, struct pack **result, struct err *err)
{
    struct pack *pack = calloc(1, sizeof *pack);
    if (!pack)
        return err_set(err, ERR_BUSY, "no memory for a pack");
    struct text rows[PACK_SECTIONS] = {{0}};
    pack_derive((const struct pack_origin *)(const void *)s->origins.at, s->found.runs, rows);
    rows[PACK_BLOCKS] = s->blocks;
    s->blocks = (struct text){0};
    pack->size = s->file.len;
    pack->summary = s->found;
    pack->summary.records = (uint32_t)(rows[PACK_RECORDS].len / ROW_RECORD);
    snprintf(pack->rebuilt, sizeof pack->rebuilt, "%s", why);
    pack->incomplete = !s->said || s->found.runs != s->said_runs;
    int r = 0;
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
        if (r)
            text_free(&rows[type]);
        else
            r = pack_take(pack, (enum pack_section_type)type, rows[type].at, rows[type].len, err);
    }
    if (r) {
        pack_free(pack);
        return r;
    }
    *result = pack;
    return 0;
}

int pack_rebuild(struct str file, const char *why, struct pack **result, struct err *err)
{
    struct search s = {.file = file, .opener = frame_opener_new()};
    int r = read_names(&s, err);
    if (!r) {
        for (s.at = file.len < PACK_HEAD ? file.len : PACK_HEAD; s.at < file.len;)
            take_block(&s);
        r = s.found.runs > 0
                ? make(&s, why, result, err)
                : err_set(err, ERR_CORRUPT, "%.80s; and no block of it can be read", why);
    }
    frame_opener_free(s.opener);
    text_free(&s.stream);
    text_free(&s.blocks);
    text_free(&s.origins);
    return r;
}
