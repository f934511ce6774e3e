/* pack_walk.c - see pack_walk.h. */
#include "store/pack_walk.h"

#include <stdlib.h>

#include "base/frame.h"
#include "base/text.h"

/* A block that could not be read. */
struct bad_block {
    uint32_t block;
    struct err why;
};

struct pack_walk {
    struct pack_file file;
    char *stream;
    struct bad_block *bad; /* ascending */
    uint32_t bad_count;
    struct uuid *ids;          /* of each row of the runs */
    uint32_t next;             /* row of the records */
    struct record_part *parts; /* of the last record that was given out */
};

static int add_bad(struct pack_walk *walk, uint32_t block, const struct err *why, struct err *err)
{
    struct bad_block *more = realloc(walk->bad, (walk->bad_count + 1) * sizeof *more);
    if (!more)
        return err_set(err, ERR_BUSY, "no memory for damage");
    walk->bad = more;
    walk->bad[walk->bad_count++] = (struct bad_block){block, *why};
    return 0;
}

/* Block by block, so that a damaged one costs only itself. */
static int unpack_all(struct pack_walk *walk, struct err *err)
{
    const struct pack *pack = walk->file.pack;
    struct pack_scratch *scratch = pack_scratch_new();
    int r = 0;
    for (uint32_t b = 0; b < pack->block_count && !r; b++) {
        const struct pack_block *block = &pack->blocks[b];
        struct err why = {0};
        int bad = pack_file_part(&walk->file, scratch, block->stream_at, block->size,
                                 walk->stream + block->stream_at, &why);
        if (bad == ERR_CORRUPT || bad == ERR_IO)
            r = add_bad(walk, b, &why, err);
        else if (bad) {
            r = bad;
            if (err)
                *err = why;
        }
    }
    pack_scratch_free(scratch);
    return r;
}

int pack_walk_start(struct pack_file *file, struct pack_walk **result, struct err *err)
{
    struct pack_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        abort();
    walk->file = *file;
    int r = pack_file_load(&walk->file, PACK_RUNS, err); /* if it is rebuilt, so are the others */
    if (!r)
        r = pack_file_load(&walk->file, PACK_RECORDS, err);
    if (!r)
        r = pack_file_load(&walk->file, PACK_IDS, err);
    const struct pack *pack = walk->file.pack;
    if (!r) {
        walk->stream = malloc(pack->summary.stream_size + 1);
        walk->ids = calloc((size_t)pack->summary.runs + 1, sizeof *walk->ids);
        if (!walk->stream || !walk->ids)
            r = err_set(err, ERR_BUSY, "no memory for a pack of %u runs", pack->summary.runs);
    }
    for (uint32_t i = 0; !r && i < pack_count(pack, PACK_IDS); i++) {
        uint32_t row;
        struct uuid id = pack_id(pack, i, &row);
        walk->ids[row] = id;
    }
    if (!r)
        r = unpack_all(walk, err);
    if (r) {
        pack_walk_end(walk);
        return r;
    }
    *result = walk;
    return 0;
}

void pack_walk_end(struct pack_walk *walk)
{
    if (!walk)
        return;
    pack_file_close(&walk->file);
    free(walk->stream);
    free(walk->bad);
    free(walk->ids);
    free(walk->parts);
    free(walk);
}

const struct pack *pack_walk_pack(const struct pack_walk *walk)
{
    return walk->file.pack;
}

bool pack_walk_damage(const struct pack_walk *walk, uint32_t *from, uint64_t *at, const char **why,
                      bool *lost)
{
    const struct pack *pack = walk->file.pack;
    uint32_t i = (*from)++;
    if (pack->rebuilt[0] && i-- == 0) {
        *at = pack->size - PACK_FOOT;
        *why = pack->rebuilt;
        *lost = pack->incomplete;
        return true;
    }
    if (i >= walk->bad_count)
        return false;
    *at = pack->blocks[walk->bad[i].block].at;
    *why = walk->bad[i].why.text;
    *lost = true;
    return true;
}

static bool is_bad(const struct pack_walk *walk, uint64_t at, uint64_t size)
{
    const struct pack *pack = walk->file.pack;
    uint32_t first = pack_block_at(pack, at), last = pack_block_at(pack, at + size - 1);
    uint32_t low = 0, high = walk->bad_count; /* the first bad one that is not before */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (walk->bad[middle].block < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low < walk->bad_count && walk->bad[low].block <= last;
}

/* The run of one ordinal; one that is lost has at most its id. */
static struct record_part part_of(const struct pack_walk *walk, uint32_t ordinal)
{
    struct record_part part = {0};
    struct pack_run run;
    struct pack_item item;
    uint32_t row;
    if (!pack_find(walk->file.pack, ordinal, &row))
        return part;
    run = pack_run(walk->file.pack, row);
    part.id = walk->ids[row];
    if (is_bad(walk, run.at, run.size) ||
        pack_read_item((struct str){walk->stream + run.at, run.size}, &item, NULL) ||
        item.ordinal != ordinal || item.size != run.size ||
        item.pack != (uint32_t)walk->file.pack->summary.id)
        return part;
    part.entry = item.entry;
    part.spans = item.spans;
    part.raw = item.raw;
    return part;
}

bool pack_walk_next(struct pack_walk *walk, uint64_t sequence, struct record *record,
                    struct place *first, uint64_t *record_sequence)
{
    const struct pack *pack = walk->file.pack;
    uint32_t count = pack_count(pack, PACK_RECORDS);
    while (walk->next < count && pack_record(pack, walk->next).sequence <= sequence)
        walk->next++;
    if (walk->next == count)
        return false;
    struct pack_record row = pack_record(pack, walk->next++);
    free(walk->parts);
    walk->parts = calloc(row.count, sizeof *walk->parts);
    if (!walk->parts)
        abort();
    for (uint32_t i = 0; i < row.count; i++)
        walk->parts[i] = part_of(walk, row.first + i);
    *record =
        (struct record){.count = row.count, .received_us = row.received_us, .parts = walk->parts};
    *first = (struct place){walk->file.number, row.first};
    *record_sequence = row.sequence;
    return true;
}
