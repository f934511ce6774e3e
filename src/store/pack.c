/* pack.c - see pack.h.
 *
 * A section is kept as the rows that came out of its frame, checked once when
 * it is loaded and read from there; only of the blocks a table is made, since
 * where one begins is the sum of those before it.
 */
#include "store/pack.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/frame.h"
#include "run/record.h"
#include "store/pack_layout.h"
#include "store/segment.h"

/* Bytes of a stream: twice what the largest segment can hold. */
static const uint64_t STREAM_MAX = UINT64_C(1) << 34;

/* Bytes of an item: the largest run there can be, and what stands before it. */
static const uint32_t ITEM_MAX = (UINT32_C(1) << 31) + (1 << 20);

static const char head_magic[8] = {'R', 'U', 'N', 'D', 'L', 'P', 'A', 'K'};
static const char foot_magic[8] = {'R', 'U', 'N', 'D', 'L', 'E', 'N', 'D'};

static const char *section_name(enum pack_section_type type)
{
    static const char *const names[] = {"", "blocks", "runs", "records", "ids", "traces", "fences"};
    return names[type];
}

/* ---- head and foot ---- */

int pack_read_summary(const char *bytes, bool foot, struct pack_summary *result, struct err *err)
{
    const char *what = foot ? "foot" : "head";
    if (memcmp(bytes, foot ? foot_magic : head_magic, sizeof head_magic) != 0)
        return err_set(err, ERR_CORRUPT, "no %s of a pack", what);
    if (crc32c(0, bytes, AT_CRC) != get_u32(bytes + AT_CRC))
        return err_set(err, ERR_CORRUPT, "the %s has a wrong checksum", what);
    uint32_t version = get_u32(bytes + AT_VERSION);
    if (version < PACK_OLDEST || version > PACK_VERSION || get_u32(bytes + AT_SIZE) != PACK_FOOT)
        return err_set(err, ERR_UNAVAILABLE, "version %u needs a newer program",
                       get_u32(bytes + AT_VERSION));
    struct pack_summary s = {
        .number = get_u64(bytes + AT_NUMBER),
        .id = get_u64(bytes + AT_ID),
        .previous_sequence = get_u64(bytes + AT_PREVIOUS),
        .last_sequence = get_u64(bytes + AT_LAST),
        .stream_size = get_u64(bytes + AT_STREAM),
        .raw_size = get_u64(bytes + AT_RAW),
        .first_start_us = (int64_t)get_u64(bytes + AT_FIRST_START),
        .last_start_us = (int64_t)get_u64(bytes + AT_LAST_START),
        .created_us = (int64_t)get_u64(bytes + AT_CREATED),
        .runs = get_u32(bytes + AT_RUNS),
        .records = get_u32(bytes + AT_RECORDS),
    };
    if (s.runs > PACK_RUNS_MAX || s.records > s.runs || s.stream_size > STREAM_MAX)
        return err_set(err, ERR_CORRUPT, "the %s names an impossible number of runs", what);
    *result = s;
    return 0;
}

void pack_write_summary(char *bytes, bool foot, const struct pack_summary *s, uint64_t directory,
                        struct str entries)
{
    memset(bytes, 0, PACK_FOOT);
    memcpy(bytes, foot ? foot_magic : head_magic, sizeof head_magic);
    put_u32(bytes + AT_VERSION, PACK_VERSION);
    put_u32(bytes + AT_SIZE, PACK_FOOT);
    put_u64(bytes + AT_NUMBER, s->number);
    put_u64(bytes + AT_ID, s->id);
    put_u64(bytes + AT_PREVIOUS, s->previous_sequence);
    put_u64(bytes + AT_LAST, s->last_sequence);
    put_u64(bytes + AT_STREAM, s->stream_size);
    put_u64(bytes + AT_RAW, s->raw_size);
    put_u64(bytes + AT_FIRST_START, (uint64_t)s->first_start_us);
    put_u64(bytes + AT_LAST_START, (uint64_t)s->last_start_us);
    put_u64(bytes + AT_CREATED, (uint64_t)s->created_us);
    put_u32(bytes + AT_RUNS, s->runs);
    put_u32(bytes + AT_RECORDS, s->records);
    if (foot) {
        put_u64(bytes + AT_DIRECTORY, directory);
        put_u32(bytes + AT_DIRECTORY_SIZE, (uint32_t)entries.len);
        put_u32(bytes + AT_DIRECTORY_CRC, crc32c(0, entries.at, entries.len));
    }
    put_u32(bytes + AT_CRC, crc32c(0, bytes, AT_CRC));
}

/* ---- sections ---- */

static size_t row_size(enum pack_section_type type)
{
    static const size_t sizes[] = {1, ROW_BLOCK, ROW_RUN, ROW_RECORD, ROW_ID, ROW_TRACE, ROW_FENCE};
    return sizes[type];
}

static const char *row_at(const struct pack *pack, enum pack_section_type type, uint32_t row)
{
    return pack->sections[type].rows + row * row_size(type);
}

bool pack_loaded(const struct pack *pack, enum pack_section_type type)
{
    return pack->sections[type].rows != NULL;
}

uint32_t pack_count(const struct pack *pack, enum pack_section_type type)
{
    assert(pack_loaded(pack, type));
    return (uint32_t)(pack->sections[type].size / row_size(type));
}

static struct pack_run read_run(const char *at)
{
    return (struct pack_run){
        .ordinal = get_u32(at), .size = get_u32(at + 4), .at = get_u64(at + 8)};
}

struct pack_run pack_run(const struct pack *pack, uint32_t row)
{
    return read_run(row_at(pack, PACK_RUNS, row));
}

struct pack_record pack_record(const struct pack *pack, uint32_t row)
{
    const char *at = row_at(pack, PACK_RECORDS, row);
    return (struct pack_record){
        .sequence = get_u64(at),
        .received_us = (int64_t)get_u64(at + 8),
        .first = get_u32(at + 16),
        .count = get_u32(at + 20),
        .kind = (uint16_t)get_u32(at + 24),
    };
}

struct pack_trace pack_trace(const struct pack *pack, uint32_t row)
{
    const char *at = row_at(pack, PACK_TRACES, row);
    struct pack_trace result = {
        .at = get_u64(at + 16), .size = get_u64(at + 24), .runs = get_u32(at + 32)};
    memcpy(result.trace.byte, at, sizeof result.trace.byte);
    return result;
}

/* Ids and their rows are columns: all of one before all of the other. */
struct uuid pack_id(const struct pack *pack, uint32_t i, uint32_t *row)
{
    struct uuid id;
    const char *rows = pack->sections[PACK_IDS].rows;
    memcpy(id.byte, rows + (size_t)i * sizeof id.byte, sizeof id.byte);
    if (row)
        *row = get_u32(rows + pack_count(pack, PACK_IDS) * sizeof id.byte + (size_t)i * 4);
    return id;
}

static int check_blocks(struct pack *pack, struct err *err)
{
    uint32_t count = pack_count(pack, PACK_BLOCKS);
    uint64_t stream_at = 0, end = PACK_HEAD;
    free(pack->blocks);
    pack->blocks = calloc(count + 1, sizeof *pack->blocks);
    if (!pack->blocks)
        return err_set(err, ERR_BUSY, "no memory for %u blocks", count);
    for (uint32_t i = 0; i < count; i++) {
        const char *row = row_at(pack, PACK_BLOCKS, i);
        struct pack_block *block = &pack->blocks[i];
        *block = (struct pack_block){
            .at = get_u64(row),
            .stream_at = stream_at,
            .stored = get_u32(row + 8),
            .size = get_u32(row + 12),
            .crc = get_u32(row + 16),
        };
        if (block->stored == 0 || block->size == 0 || block->size > PACK_BLOCK_MAX ||
            block->stored > frame_bound(PACK_BLOCK_MAX) || block->at < end ||
            block->at > pack->size || block->stored > pack->size - block->at)
            return err_set(err, ERR_CORRUPT, "section blocks: an impossible block");
        end = block->at + block->stored;
        stream_at += block->size;
    }
    pack->block_count = count;
    if (stream_at != pack->summary.stream_size)
        return err_set(err, ERR_CORRUPT, "section blocks: they are not the whole stream");
    return 0;
}

static bool inside(const struct pack *pack, uint64_t at, uint64_t size)
{
    return at <= pack->summary.stream_size && size <= pack->summary.stream_size - at;
}

static bool runs_are_good(const struct pack *pack)
{
    uint32_t count = pack_count(pack, PACK_RUNS);
    for (uint32_t i = 0; i < count; i++) {
        struct pack_run run = pack_run(pack, i);
        if (run.size < PACK_ITEM + RECORD_ENTRY || !inside(pack, run.at, run.size) ||
            (i > 0 && run.ordinal <= pack_run(pack, i - 1).ordinal))
            return false;
    }
    return count == pack->summary.runs;
}

/* A record may lack runs only in a pack that was rebuilt. */
static bool records_are_good(const struct pack *pack)
{
    uint32_t count = pack_count(pack, PACK_RECORDS);
    uint64_t runs = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pack_record record = pack_record(pack, i);
        if (record.count == 0 || record.count > RECORD_RUNS_MAX ||
            record.first > UINT32_MAX - record.count)
            return false;
        runs += record.count;
        if (i == 0)
            continue;
        struct pack_record before = pack_record(pack, i - 1);
        if (record.sequence <= before.sequence || record.first < before.first + before.count)
            return false;
    }
    return count == pack->summary.records && (pack->rebuilt[0] || runs == pack->summary.runs);
}

static bool ids_are_good(const struct pack *pack)
{
    uint32_t count = pack_count(pack, PACK_IDS), row;
    for (uint32_t i = 0; i < count; i++) {
        struct uuid id = pack_id(pack, i, &row);
        if (row >= count || (i > 0 && uuid_compare(pack_id(pack, i - 1, NULL), id) > 0))
            return false;
    }
    return count == pack->summary.runs;
}

static bool traces_are_good(const struct pack *pack)
{
    uint32_t count = pack_count(pack, PACK_TRACES);
    for (uint32_t i = 0; i < count; i++) {
        struct pack_trace trace = pack_trace(pack, i);
        if (!inside(pack, trace.at, trace.size) ||
            (i > 0 && uuid_compare(pack_trace(pack, i - 1).trace, trace.trace) > 0))
            return false;
    }
    return true;
}

static uint32_t pages_of(const struct pack *pack)
{
    return (pack->summary.runs + PAGE_ROWS - 1) / PAGE_ROWS;
}

static bool fences_are_good(const struct pack *pack)
{
    uint32_t count = pack_count(pack, PACK_FENCES);
    for (uint32_t i = 1; i < count; i++)
        if (get_u32(row_at(pack, PACK_FENCES, i)) <= get_u32(row_at(pack, PACK_FENCES, i - 1)))
            return false;
    return count == pages_of(pack);
}

int pack_take(struct pack *pack, enum pack_section_type type, char *rows, uint64_t size,
              struct err *err)
{
    struct pack_section *section = &pack->sections[type];
    free(section->rows);
    section->rows = rows;
    section->size = size;
    bool good = size % row_size(type) == 0;
    if (good && type == PACK_BLOCKS)
        return check_blocks(pack, err);
    if (good && type == PACK_RUNS)
        good = runs_are_good(pack);
    else if (good && type == PACK_RECORDS)
        good = records_are_good(pack);
    else if (good && type == PACK_IDS)
        good = ids_are_good(pack);
    else if (good && type == PACK_TRACES)
        good = traces_are_good(pack);
    else if (good && type == PACK_FENCES)
        good = fences_are_good(pack);
    if (good)
        return 0;
    free(section->rows);
    section->rows = NULL;
    return err_set(err, ERR_CORRUPT, "section %s: it makes no sense", section_name(type));
}

static bool page_is_sound(const char *page)
{
    return crc32c(0, page, PAGE_CRC) == get_u32(page + PAGE_CRC);
}

/* The pages' rows, one behind the other. */
static int open_pages(const struct pack *pack, struct str stored, char *rows, struct err *err)
{
    for (uint32_t i = 0, left = pack->summary.runs; i < pages_of(pack); i++) {
        const char *page = stored.at + (size_t)i * PACK_PAGE;
        uint32_t count = left < PAGE_ROWS ? left : PAGE_ROWS;
        if (!page_is_sound(page))
            return err_set(err, ERR_CORRUPT, "page %u: wrong checksum", i);
        memcpy(rows + (size_t)i * PAGE_ROWS * ROW_RUN, page, (size_t)count * ROW_RUN);
        left -= count;
    }
    return 0;
}

static int open_section(const struct pack_section *section, struct str stored, char *rows,
                        struct err *err)
{
    if (crc32c(0, stored.at, stored.len) != section->crc)
        return err_set(err, ERR_CORRUPT, "wrong checksum");
    size_t whole = 0;
    if (frame_measure(stored, &whole) != stored.len || whole != section->size)
        return err_set(err, ERR_CORRUPT, "not the frame it should be");
    struct frame_opener *opener = frame_opener_new();
    int r = frame_open(opener, stored, rows, section->size, err);
    frame_opener_free(opener);
    return r;
}

int pack_load(struct pack *pack, enum pack_section_type type, struct str stored, struct err *err)
{
    struct pack_section *section = &pack->sections[type];
    if (section->rows)
        return 0;
    if (section->stored == 0 && (type != PACK_RUNS || pack->summary.runs > 0))
        return err_set(err, ERR_CORRUPT, "section %s: there is none", section_name(type));
    assert(stored.len == section->stored);
    char *rows = malloc(section->size + 1);
    if (!rows)
        return err_set(err, ERR_BUSY, "no memory for section %s", section_name(type));
    int r = type == PACK_RUNS ? open_pages(pack, stored, rows, err)
                              : open_section(section, stored, rows, err);
    if (r) {
        free(rows);
        (void)err_wrap(err, "section %s", section_name(type));
        return r;
    }
    return pack_take(pack, type, rows, section->size, err);
}

void pack_unload(struct pack *pack, enum pack_section_type type)
{
    free(pack->sections[type].rows);
    pack->sections[type].rows = NULL;
}

/* ---- opening ---- */

/* How large may it be, by what else is known?  Before memory is asked for. */
static bool is_plausible(const struct pack *pack, enum pack_section_type type,
                         const struct pack_section *section)
{
    uint64_t runs = pack->summary.runs, most[PACK_SECTIONS] = {0};
    most[PACK_BLOCKS] = pack->size * ROW_BLOCK; /* each has a byte at least */
    most[PACK_RUNS] = runs * ROW_RUN;
    most[PACK_RECORDS] = (uint64_t)pack->summary.records * ROW_RECORD;
    most[PACK_IDS] = runs * ROW_ID;
    most[PACK_TRACES] = runs * ROW_TRACE;
    most[PACK_FENCES] = (uint64_t)pages_of(pack) * ROW_FENCE;
    return section->size <= most[type] &&
           (type != PACK_RUNS || (section->stored == (uint64_t)pages_of(pack) * PACK_PAGE &&
                                  section->size == most[PACK_RUNS]));
}

static int read_directory(struct pack *pack, struct str entries, uint64_t directory,
                          struct err *err)
{
    for (size_t i = 0; i + DIR_ENTRY <= entries.len; i += DIR_ENTRY) {
        const char *entry = entries.at + i;
        uint32_t type = get_u32(entry + DIR_TYPE);
        if (type == 0 || type >= PACK_SECTIONS)
            continue; /* of a newer program, and not needed */
        struct pack_section section = {
            .at = get_u64(entry + DIR_AT),
            .stored = get_u64(entry + DIR_STORED),
            .size = get_u64(entry + DIR_SIZE),
            .crc = get_u32(entry + DIR_CRC),
        };
        if (section.at < PACK_HEAD || section.at > directory ||
            section.stored > directory - section.at || pack->sections[type].stored != 0 ||
            !is_plausible(pack, (enum pack_section_type)type, &section))
            return err_set(err, ERR_CORRUPT, "section %s: outside of the file", section_name(type));
        pack->sections[type] = section;
    }
    return 0;
}

/* To find the way to a run. */
static const enum pack_section_type needed[] = {PACK_BLOCKS, PACK_FENCES};

static uint64_t first_needed(const struct pack *pack, uint64_t directory)
{
    uint64_t at = directory;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (pack->sections[needed[i]].stored && pack->sections[needed[i]].at < at)
            at = pack->sections[needed[i]].at;
    return at;
}

int pack_open(struct str tail, uint64_t size, struct pack **result, uint64_t *need, struct err *err)
{
    *need = 0;
    if (size < PACK_HEAD + PACK_FOOT || tail.len < PACK_FOOT || tail.len > size)
        return err_set(err, ERR_CORRUPT, "too short for a pack");
    const char *foot = tail.at + tail.len - PACK_FOOT;
    struct pack *pack = calloc(1, sizeof *pack);
    if (!pack)
        return err_set(err, ERR_BUSY, "no memory for a pack");
    pack->size = size;
    int r = pack_read_summary(foot, true, &pack->summary, err);
    if (r)
        goto out;

    uint64_t directory = get_u64(foot + AT_DIRECTORY);
    uint32_t length = get_u32(foot + AT_DIRECTORY_SIZE);
    if (directory < PACK_HEAD || directory > size - PACK_FOOT ||
        length != size - PACK_FOOT - directory || length % DIR_ENTRY != 0) {
        r = err_set(err, ERR_CORRUPT, "the foot names a directory outside of the file");
        goto out;
    }
    uint64_t begins = size - tail.len;
    if (directory < begins) {
        *need = size - directory;
        goto out;
    }
    struct str entries = {tail.at + (directory - begins), length};
    if (crc32c(0, entries.at, entries.len) != get_u32(foot + AT_DIRECTORY_CRC))
        r = err_set(err, ERR_CORRUPT, "the directory has a wrong checksum");
    if (!r)
        r = read_directory(pack, entries, directory, err);
    if (r)
        goto out;
    uint64_t first = first_needed(pack, directory);
    if (first < begins) {
        *need = size - first;
        goto out;
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed && !r; i++) {
        const struct pack_section *section = &pack->sections[needed[i]];
        struct str stored = {tail.at, 0};
        if (section->stored)
            stored = (struct str){tail.at + (section->at - begins), (size_t)section->stored};
        r = pack_load(pack, needed[i], stored, err);
    }
    const struct pack_section *runs = &pack->sections[PACK_RUNS];
    if (!r && runs->stored > 0 && runs->at >= begins)
        r = pack_load(pack, PACK_RUNS,
                      (struct str){tail.at + (runs->at - begins), (size_t)runs->stored}, err);

out:
    if (r || *need) {
        pack_free(pack);
        return r;
    }
    *result = pack;
    return 0;
}

void pack_free(struct pack *pack)
{
    if (!pack)
        return;
    for (int type = 0; type < PACK_SECTIONS; type++)
        free(pack->sections[type].rows);
    free(pack->blocks);
    free(pack);
}

size_t pack_memory(const struct pack *pack)
{
    size_t size = sizeof *pack + pack->block_count * sizeof *pack->blocks;
    for (int type = 0; type < PACK_SECTIONS; type++)
        if (pack->sections[type].rows)
            size += pack->sections[type].size;
    return size;
}

/* ---- finding ---- */

bool pack_find(const struct pack *pack, uint32_t ordinal, uint32_t *row)
{
    uint32_t low = 0, high = pack_count(pack, PACK_RUNS);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (pack_run(pack, middle).ordinal < ordinal)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == pack_count(pack, PACK_RUNS) || pack_run(pack, low).ordinal != ordinal)
        return false;
    *row = low;
    return true;
}

bool pack_page_at(const struct pack *pack, uint32_t ordinal, uint64_t *at)
{
    uint32_t low = 0, high = pack_count(pack, PACK_FENCES); /* the last that is not greater */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (get_u32(row_at(pack, PACK_FENCES, middle)) <= ordinal)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || pack->sections[PACK_RUNS].stored == 0)
        return false;
    *at = pack->sections[PACK_RUNS].at + (uint64_t)(low - 1) * PACK_PAGE;
    return true;
}

int pack_find_in_page(const struct pack *pack, const char *page, uint32_t ordinal, bool *found,
                      struct pack_run *result, struct err *err)
{
    *found = false;
    if (!page_is_sound(page))
        return err_set(err, ERR_CORRUPT, "section runs: a page with a wrong checksum");
    for (int i = 0; i < PAGE_ROWS; i++) {
        struct pack_run run = read_run(page + (size_t)i * ROW_RUN);
        if (run.size == 0 || run.ordinal > ordinal)
            return 0;
        if (run.ordinal < ordinal)
            continue;
        if (run.size < PACK_ITEM + RECORD_ENTRY || !inside(pack, run.at, run.size))
            return err_set(err, ERR_CORRUPT, "section runs: it makes no sense");
        *found = true;
        *result = run;
        return 0;
    }
    return 0;
}

uint32_t pack_first_id(const struct pack *pack, struct uuid id)
{
    uint32_t low = 0, high = pack_count(pack, PACK_IDS);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (uuid_compare(pack_id(pack, middle, NULL), id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t pack_first_trace(const struct pack *pack, struct uuid trace)
{
    uint32_t low = 0, high = pack_count(pack, PACK_TRACES);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (uuid_compare(pack_trace(pack, middle).trace, trace) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t pack_block_at(const struct pack *pack, uint64_t stream_at)
{
    assert(stream_at < pack->summary.stream_size);
    uint32_t low = 0, high = pack->block_count; /* the last one that begins there or before */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (pack->blocks[middle].stream_at <= stream_at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- blocks and items ---- */

int pack_unpack(const struct pack *pack, uint32_t block, struct str stored,
                struct frame_opener *opener, char *room, size_t size, struct err *err)
{
    const struct pack_block *b = &pack->blocks[block];
    assert(block < pack->block_count && stored.len == b->stored && size <= b->size);
    if (crc32c(0, stored.at, stored.len) != b->crc)
        return err_set(err, ERR_CORRUPT, "block %u at %" PRIu64 ": wrong checksum", block, b->at);
    size_t whole = 0;
    if (frame_measure(stored, &whole) != stored.len || whole != b->size)
        return err_set(err, ERR_CORRUPT, "block %u at %" PRIu64 ": not the frame it should be",
                       block, b->at);
    int r = frame_open(opener, stored, room, size, err);
    if (r)
        (void)err_wrap(err, "block %u at %" PRIu64, block, b->at);
    return r;
}

int pack_read_item(struct str bytes, struct pack_item *result, struct err *err)
{
    if (bytes.len < PACK_ITEM + RECORD_ENTRY)
        return err_set(err, ERR_CORRUPT, "an item cut short");
    const char *at = bytes.at;
    struct pack_item item = {
        .size = get_u32(at + ITEM_SIZE),
        .ordinal = get_u32(at + ITEM_ORDINAL),
        .sequence = get_u64(at + ITEM_SEQUENCE),
        .received_us = (int64_t)get_u64(at + ITEM_RECEIVED),
        .first = get_u32(at + ITEM_FIRST),
        .count = get_u32(at + ITEM_COUNT),
        .kind = (uint16_t)get_u32(at + ITEM_KIND),
        .pack = get_u32(at + ITEM_PACK),
        .entry = at + PACK_ITEM,
    };
    if (item.size < PACK_ITEM + RECORD_ENTRY || item.size > ITEM_MAX || item.count == 0 ||
        item.count > RECORD_RUNS_MAX || item.first > item.ordinal ||
        item.ordinal - item.first >= item.count || item.kind != SEGMENT_POST)
        return err_set(err, ERR_CORRUPT, "an item that makes no sense");
    if (at[ITEM_ZERO] || at[ITEM_ZERO + 1])
        return err_set(err, ERR_CORRUPT, "an item with unknown flags");
    size_t rest = item.size - PACK_ITEM - RECORD_ENTRY;
    struct record_entry where;
    int r = record_locate(item.entry, SIZE_MAX, SIZE_MAX, &where, err);
    if (r)
        return r;
    if (where.spans_len > bytes.len - PACK_ITEM - RECORD_ENTRY || where.spans_len > rest ||
        where.body_len != rest - where.spans_len)
        return err_set(err, ERR_CORRUPT, "an item whose lengths disagree");
    item.spans = (struct str){at + PACK_ITEM + RECORD_ENTRY, where.spans_len};
    item.raw = (struct str){item.spans.at + item.spans.len, where.body_len};
    *result = item;
    return 0;
}
