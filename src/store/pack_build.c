/* pack_build.c - see pack_build.h.
 *
 *   sort the runs ─ head ─ cut them into blocks, each packed and written as it
 *   fills ─ derive the sections ─ write them, those that readers need last ─
 *   directory ─ foot
 */
#include "store/pack_build.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/frame.h"
#include "base/text.h"
#include "run/record.h"
#include "store/pack_layout.h"
#include "store/pack_press.h"

enum { SMALL_BLOCK = PACK_BLOCK / 8, GOOD_BLOCK = PACK_BLOCK / 4 };

struct builder {
    const struct pack_build *build;
    struct pack_press *press;
    char *block; /* PACK_BLOCK bytes: the one that is being filled; NULL: none is begun */
    size_t filled;
    uint64_t at; /* in the file */
    struct pack_summary summary;
    struct pack_origin *origins;
    struct text rows[PACK_SECTIONS];
};

/* A run on its way to its place.  What decides most comparisons is here: the
 * inputs are too many to lie in the processor's cache. */
struct sorted {
    struct str project;
    uint64_t trace; /* its first bytes */
    struct pack_input *in;
};

static int compare_projects(struct str x, struct str y)
{
    if (x.at == y.at && x.len == y.len)
        return 0; /* the same, not only alike: mostly so */
    size_t shorter = x.len < y.len ? x.len : y.len;
    int r = shorter ? memcmp(x.at, y.at, shorter) : 0;
    return r ? r : (x.len > y.len) - (x.len < y.len);
}

static int by_place_in_stream(const void *a, const void *b)
{
    const struct sorted *s = a, *t = b;
    int r = compare_projects(s->project, t->project);
    if (r || s->trace != t->trace)
        return r ? r : s->trace > t->trace ? 1 : -1;
    const struct pack_input *x = s->in, *y = t->in;
    r = uuid_compare(x->trace, y->trace);
    if (!r)
        r = (x->start_us > y->start_us) - (x->start_us < y->start_us);
    if (!r)
        r = uuid_compare(x->id, y->id);
    return r ? r : (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static int sort_inputs(const struct pack_build *build, struct err *err)
{
    uint32_t count = build->count;
    struct sorted *sorted = malloc(((size_t)count + 1) * sizeof *sorted);
    if (!sorted)
        return err_set(err, ERR_BUSY, "no memory to sort %u runs", count);
    for (uint32_t i = 0; i < count; i++) {
        struct pack_input *in = build->inputs[i];
        sorted[i] = (struct sorted){in->project, uuid_prefix(in->trace), in};
    }
    qsort(sorted, count, sizeof *sorted, by_place_in_stream);
    for (uint32_t i = 0; i < count; i++)
        build->inputs[i] = sorted[i].in;
    free(sorted);
    return 0;
}

static int emit(struct builder *b, struct str bytes, uint64_t made_of, struct err *err)
{
    b->at += bytes.len;
    return b->build->write(b->build->context, bytes, made_of, err);
}

/* ---- blocks ---- */

static int add_block(void *context, struct str frame, uint32_t crc, size_t filled, struct err *err)
{
    struct builder *b = context;
    char *row = text_room(&b->rows[PACK_BLOCKS], ROW_BLOCK);
    put_u64(row, b->at);
    put_u32(row + 8, (uint32_t)frame.len);
    put_u32(row + 12, (uint32_t)filled);
    put_u32(row + 16, crc);
    b->rows[PACK_BLOCKS].len += ROW_BLOCK;
    return emit(b, frame, filled, err);
}

static void end_block(struct builder *b)
{
    if (b->filled > 0)
        pack_press_end(b->press, b->filled);
    b->filled = 0;
    b->block = NULL;
}

/* Where the next bytes go, at most `size` of them; a full block is ended. */
static int take_room(struct builder *b, size_t *size, char **room, struct err *err)
{
    if (b->filled == PACK_BLOCK)
        end_block(b);
    int r = b->block ? 0 : pack_press_block(b->press, &b->block, err);
    if (r)
        return r;
    size_t left = PACK_BLOCK - b->filled;
    *size = *size < left ? *size : left;
    *room = b->block + b->filled;
    b->filled += *size;
    return 0;
}

static int add_bytes(struct builder *b, struct str bytes, struct err *err)
{
    int r = 0;
    for (size_t done = 0, size; done < bytes.len && !r; done += size) {
        char *room = NULL;
        size = bytes.len - done;
        r = take_room(b, &size, &room, err);
        if (!r)
            memcpy(room, bytes.at + done, size);
    }
    return r;
}

static int add_raw(struct builder *b, const struct pack_input *in, struct err *err)
{
    uint32_t crc = 0;
    int r = 0;
    for (size_t done = 0, size; done < in->raw_len && !r; done += size) {
        char *room = NULL;
        size = in->raw_len - done;
        r = take_room(b, &size, &room, err);
        if (!r)
            r = b->build->fetch(b->build->context, in, done, room, size, err);
        if (!r)
            crc = crc32c(crc, room, size);
    }
    if (!r && crc != record_raw_crc(in->entry))
        r = err_set(err, ERR_CORRUPT, "run %u: wrong checksum", in->ordinal);
    return r;
}

uint64_t pack_item_size(const struct pack_input *in)
{
    return (uint64_t)PACK_ITEM + RECORD_ENTRY + in->spans.len + in->raw_len;
}

void pack_write_item(char *head, uint64_t pack_id, const struct pack_input *in)
{
    memset(head, 0, PACK_ITEM);
    put_u32(head + ITEM_SIZE, (uint32_t)pack_item_size(in));
    put_u32(head + ITEM_ORDINAL, in->ordinal);
    put_u64(head + ITEM_SEQUENCE, in->sequence);
    put_u64(head + ITEM_RECEIVED, (uint64_t)in->received_us);
    put_u32(head + ITEM_FIRST, in->first);
    put_u32(head + ITEM_COUNT, in->count);
    put_u32(head + ITEM_KIND, in->kind);
    put_u32(head + ITEM_PACK, (uint32_t)pack_id);
}

static int add_item(struct builder *b, const struct pack_input *in, struct pack_origin *origin,
                    struct err *err)
{
    uint64_t size = pack_item_size(in);
    assert(size <= UINT32_MAX);
    if (size > PACK_BLOCK - b->filled)
        end_block(b);
    char head[PACK_ITEM];
    pack_write_item(head, b->build->id, in);
    *origin = (struct pack_origin){
        .id = in->id,
        .trace = in->trace,
        .at = b->summary.stream_size,
        .sequence = in->sequence,
        .received_us = in->received_us,
        .size = (uint32_t)size,
        .ordinal = in->ordinal,
        .first = in->first,
        .count = in->count,
        .kind = in->kind,
    };
    int r = add_bytes(b, (struct str){head, sizeof head}, err);
    if (!r)
        r = add_bytes(b, (struct str){in->entry, RECORD_ENTRY}, err);
    if (!r)
        r = add_bytes(b, in->spans, err);
    if (!r)
        r = add_raw(b, in, err);
    if (size > PACK_BLOCK)
        end_block(b);
    b->summary.stream_size += size;
    return r;
}

static bool begins_trace(const struct pack_build *build, uint32_t i)
{
    return i == 0 || uuid_compare(build->inputs[i - 1]->trace, build->inputs[i]->trace) != 0;
}

/* Between traces: does the next one begin a block?  One that would be cut by
 * the end of this one does: what it repeats is then in the same block, and one
 * read brings it; only blocks that are hardly begun are not left so small.  And
 * it does when this one is large enough: traces have little in common, and who
 * reads a run unpacks what is before it. */
static void make_room(struct builder *b, uint32_t i)
{
    uint64_t size = 0, room = PACK_BLOCK - b->filled;
    if (b->filled < SMALL_BLOCK)
        return;
    if (b->filled >= GOOD_BLOCK) {
        end_block(b);
        return;
    }
    do
        size += pack_item_size(b->build->inputs[i]);
    while (size <= room && ++i < b->build->count && !begins_trace(b->build, i));
    if (size > room)
        end_block(b);
}

/* ---- the rest of the file ---- */

static void add_entry(struct builder *b, enum pack_section_type type, size_t stored, uint32_t crc,
                      struct text *directory)
{
    char *entry = text_room(directory, DIR_ENTRY);
    memset(entry, 0, DIR_ENTRY);
    put_u32(entry + DIR_TYPE, type);
    put_u64(entry + DIR_AT, b->at);
    put_u64(entry + DIR_STORED, stored);
    put_u64(entry + DIR_SIZE, b->rows[type].len);
    put_u32(entry + DIR_CRC, crc);
    directory->len += DIR_ENTRY;
}

static int add_section(struct builder *b, enum pack_section_type type, struct text *directory,
                       struct err *err)
{
    struct str rows = text_str(&b->rows[type]);
    char *room = malloc(frame_bound(rows.len));
    if (!room)
        return err_set(err, ERR_BUSY, "no memory for a section");
    struct str frame = {room, frame_pack(pack_press_packer(b->press), rows, room)};
    add_entry(b, type, frame.len, crc32c(0, frame.at, frame.len), directory);
    int r = emit(b, frame, 0, err);
    free(room);
    return r;
}

static int add_pages(struct builder *b, struct text *directory, struct err *err)
{
    struct str rows = text_str(&b->rows[PACK_RUNS]);
    size_t most = (size_t)PAGE_ROWS * ROW_RUN;
    add_entry(b, PACK_RUNS, (rows.len + most - 1) / most * PACK_PAGE, 0, directory);
    int r = 0;
    for (size_t at = 0; at < rows.len && !r; at += most) {
        char page[PACK_PAGE] = {0};
        memcpy(page, rows.at + at, rows.len - at < most ? rows.len - at : most);
        put_u32(page + PAGE_CRC, crc32c(0, page, PAGE_CRC));
        r = emit(b, (struct str){page, sizeof page}, 0, err);
    }
    return r;
}

static int add_end(struct builder *b, struct err *err)
{
    static const enum pack_section_type order[] = {PACK_TRACES, PACK_IDS,    PACK_RECORDS,
                                                   PACK_RUNS,   PACK_FENCES, PACK_BLOCKS};
    struct text directory = {0};
    int r = 0;
    for (size_t i = 0; i < sizeof order / sizeof *order && !r; i++)
        r = order[i] == PACK_RUNS ? add_pages(b, &directory, err)
                                  : add_section(b, order[i], &directory, err);
    char foot[PACK_FOOT];
    pack_write_summary(foot, true, &b->summary, b->at, text_str(&directory));
    if (!r)
        r = emit(b, text_str(&directory), 0, err);
    if (!r)
        r = emit(b, (struct str){foot, sizeof foot}, 0, err);
    text_free(&directory);
    return r;
}

/* Everything that is known before the first block is. */
static void sum_up(struct builder *b)
{
    const struct pack_build *build = b->build;
    struct pack_summary *s = &b->summary;
    *s = (struct pack_summary){
        .number = build->number,
        .id = build->id,
        .previous_sequence = build->previous_sequence,
        .last_sequence = build->last_sequence,
        .created_us = build->created_us,
        .runs = build->count,
    };
    for (uint32_t i = 0; i < build->count; i++) {
        const struct pack_input *in = build->inputs[i];
        s->stream_size += pack_item_size(in);
        s->raw_size += in->raw_len;
        s->records += in->ordinal == in->first;
        if (i == 0 || in->start_us < s->first_start_us)
            s->first_start_us = in->start_us;
        if (i == 0 || in->start_us > s->last_start_us)
            s->last_start_us = in->start_us;
    }
}

int pack_build(const struct pack_build *build, struct err *err)
{
    assert(build->count <= PACK_RUNS_MAX);
    struct builder b = {
        .build = build,
        .press = build->press ? build->press : pack_press_new(build->level, 0),
        .origins = calloc((size_t)build->count + 1, sizeof *b.origins),
    };
    int r = 0;
    pack_press_start(b.press, add_block, &b);
    if (!b.origins) {
        r = err_set(err, ERR_BUSY, "no memory for a pack of %u runs", build->count);
        goto out;
    }
    r = sort_inputs(build, err);
    if (r)
        goto out;
    sum_up(&b);
    char head[PACK_HEAD];
    pack_write_summary(head, false, &b.summary, 0, (struct str){0});
    r = emit(&b, (struct str){head, sizeof head}, 0, err);
    b.summary.stream_size = 0; /* counted again, as it is made */
    for (uint32_t i = 0; i < build->count && !r; i++) {
        if (begins_trace(build, i))
            make_room(&b, i);
        r = add_item(&b, build->inputs[i], &b.origins[i], err);
    }
    end_block(&b);
    if (!r)
        r = pack_press_finish(b.press, err);
    if (!r) {
        pack_derive(b.origins, build->count, b.rows);
        r = add_end(&b, err);
    }

out:
    for (int type = 0; type < PACK_SECTIONS; type++)
        text_free(&b.rows[type]);
    free(b.origins);
    pack_press_stop(b.press);
    if (!build->press)
        pack_press_free(b.press);
    return r;
}
