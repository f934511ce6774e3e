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

/* Begins every zstd frame. */
static const uint32_t frame_magic = 0xFD2FB528u;

struct search {
    struct str file;
    size_t at;
    struct frame_opener *opener;
    struct text stream;  /* of the block that is looked at; with a large item, all its blocks */
    struct text blocks;  /* rows of those; then of all that were found good */
    struct text origins; /* likewise, structs */
    struct pack_summary found;
};

/* Take the frame at `at`, when there is one of a block's size, behind the stream. */
static size_t take_frame(struct search *s, size_t at)
{
    size_t size = 0;
    struct str rest = {s->file.at + at, s->file.len - at};
    if (rest.len < 4 || get_u32(rest.at) != frame_magic)
        return 0;
    size_t length = frame_measure(rest, &size);
    if (length == 0 || size == 0 || size > PACK_BLOCK)
        return 0;
    struct str frame = {rest.at, length};
    if (frame_open(s->opener, frame, text_room(&s->stream, size), size, NULL))
        return 0;
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
    struct run run = record_peek(item->entry);
    struct pack_origin origin = {
        .id = run.id,
        .trace = run.trace,
        .at = at,
        .sequence = item->sequence,
        .received_us = item->received_us,
        .size = item->size,
        .ordinal = item->ordinal,
        .first = item->first,
        .count = item->count,
        .kind = item->kind,
    };
    struct pack_summary *sum = &s->found;
    if (sum->runs == 0 || run.start_us < sum->first_start_us)
        sum->first_start_us = run.start_us;
    if (sum->runs == 0 || run.start_us > sum->last_start_us)
        sum->last_start_us = run.start_us;
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

/* Is a block at s->at?  Then s->at goes behind it, and its items are known. */
static bool take_block(struct search *s)
{
    size_t blocks = s->blocks.len, origins = s->origins.len, used = 0;
    struct pack_summary before = s->found;
    s->stream.len = 0;
    size_t length = take_frame(s, s->at), next = s->at + length;
    bool good = length > 0;
    while (good && used < s->stream.len) {
        struct pack_item item;
        good = !pack_read_item(unread(s, used), &item, NULL) &&
               record_entry_sound(item.entry, item.spans);
        while (good && used == 0 && item.size > s->stream.len) {
            length = take_frame(s, next);
            next += length;
            good = length > 0;
        }
        good = good && item.size <= s->stream.len - used;
        if (good && !pack_read_item(unread(s, used), &item, NULL)) { /* it may have moved */
            add_origin(s, &item, s->found.stream_size + used);
            used += item.size;
        }
    }
    if (good) {
        s->found.stream_size += used;
        s->at = next;
        return true;
    }
    s->blocks.len = blocks;
    s->origins.len = origins;
    s->found = before;
    return false;
}

/* The foot, else the head, says what no item does. */
static void read_names(struct search *s)
{
    struct pack_summary said;
    struct str file = s->file;
    if ((file.len < PACK_FOOT ||
         pack_read_summary(file.at + file.len - PACK_FOOT, true, &said, NULL)) &&
        (file.len < PACK_HEAD || pack_read_summary(file.at, false, &said, NULL)))
        return;
    s->found.number = said.number;
    s->found.id = said.id;
    s->found.previous_sequence = said.previous_sequence;
    s->found.last_sequence = said.last_sequence;
    s->found.created_us = said.created_us;
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
    read_names(&s);
    for (s.at = file.len < PACK_HEAD ? file.len : PACK_HEAD; s.at < file.len;)
        if (!take_block(&s))
            s.at++;
    int r = s.found.runs > 0
                ? make(&s, why, result, err)
                : err_set(err, ERR_CORRUPT, "%.80s; and no block of it can be read", why);
    frame_opener_free(s.opener);
    text_free(&s.stream);
    text_free(&s.blocks);
    text_free(&s.origins);
    return r;
}
