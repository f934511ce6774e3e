/* fixture_test.c - what earlier versions wrote is read, by place, by id and by walk.
 *
 * Expectations come from test/fixtures, where they lie beside the files.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "lib/check.h"
#include "lib/scratch.h"
#include "store/pack_file.h"
#include "store/pack_walk.h"
#include "store/reader.h"
#include "store/seal.h"
#include "store/store.h"

#define V1 "test/fixtures/pack-v1"

enum { RUNS = 12, RECORDS = 4, NUMBER = 1 };

/* A run as it was sent. */
struct expected {
    uint32_t ordinal, first, count;
    uint64_t sequence;
    struct uuid id, trace;
    char *raw;
    size_t len;
};

static struct expected expected[RUNS];

static void load(void)
{
    FILE *list = fopen(V1 "/runs.txt", "re");
    if (!list) {
        fprintf(stderr, "run this from the root of the repository\n");
        exit(1);
    }
    for (size_t i = 0; i < RUNS; i++) {
        struct expected *e = &expected[i];
        char id[UUID_TEXT + 1], trace[UUID_TEXT + 1], path[64];
        int n = fscanf(list, "%" SCNu32 " %" SCNu64 " %" SCNu32 " %" SCNu32 " %36s %36s",
                       &e->ordinal, &e->sequence, &e->first, &e->count, id, trace);
        CHECK(n == 6 && e->ordinal == i);
        CHECK(uuid_parse((struct str){id, UUID_TEXT}, &e->id) &&
              uuid_parse((struct str){trace, UUID_TEXT}, &e->trace));
        snprintf(path, sizeof path, V1 "/runs/%02zu.json", i);
        free(e->raw);
        e->raw = scratch_read(path, &e->len);
    }
    fclose(list);
}

static bool is_expected(const struct run *run, uint32_t ordinal)
{
    const struct expected *e = &expected[ordinal];
    return str_eq(run->raw, (struct str){e->raw, e->len}) && uuid_compare(run->id, e->id) == 0 &&
           uuid_compare(run->trace, e->trace) == 0;
}

static const struct str segments = {V1 "/segments", sizeof V1 "/segments" - 1};
static const struct str packs = {V1 "/packs", sizeof V1 "/packs" - 1};

TEST(runs_of_version_1_are_read_by_place)
{
    load();
    for (int sealed = 0; sealed < 2; sealed++) {
        struct reader *reader =
            reader_new(&disk_real, sealed ? STR("/nonexistent") : segments, packs, false);
        struct arena *arena = arena_new(4096);
        struct place places[RUNS];
        struct run runs[RUNS];
        struct err err = {0};
        CHECK(reader_add(reader, NUMBER, sealed, NULL, NULL, 0, &err) == 0);
        for (uint32_t i = 0; i < RUNS; i++) {
            struct run run;
            places[i] = (struct place){NUMBER, RUNS - 1 - i};
            CHECK(reader_read(reader, &places[i], 1, arena, &run, &err) == 0);
            CHECK(err.code == 0 && is_expected(&run, RUNS - 1 - i));
        }
        CHECK(reader_read(reader, places, RUNS, arena, runs, &err) == 0);
        for (uint32_t i = 0; i < RUNS && !err.code; i++)
            CHECK(is_expected(&runs[i], RUNS - 1 - i));
        arena_free(arena);
        reader_free(reader);
    }
}

TEST(runs_of_version_1_are_read_by_id_and_by_trace)
{
    struct pack_file file;
    struct err err = {0};
    load();
    CHECK(pack_file_open(&disk_real, packs, NUMBER, PACK_STRICT, &file, &err) == 0);
    CHECK(pack_file_load(&file, PACK_RUNS, &err) == 0);
    if (err.code)
        return;
    CHECK(pack_file_load(&file, PACK_IDS, &err) == 0);
    CHECK(pack_file_load(&file, PACK_TRACES, &err) == 0);
    struct pack_scratch *scratch = pack_scratch_new();
    struct arena *arena = arena_new(4096);
    uint32_t in_traces = 0;
    for (uint32_t i = 0; i < RUNS; i++) {
        uint32_t row = 0, at = pack_first_id(file.pack, expected[i].id);
        struct run run;
        CHECK(at < RUNS && uuid_compare(pack_id(file.pack, at, &row), expected[i].id) == 0);
        struct pack_wanted wanted = {pack_run(file.pack, row).ordinal, 0};
        CHECK(wanted.ordinal == i);
        CHECK(pack_file_read(&file, scratch, &wanted, 1, arena, &run, &(bool){false}, &err) == 0);
        CHECK(err.code == 0 && is_expected(&run, i));
    }
    for (uint32_t t = 0; t < pack_count(file.pack, PACK_TRACES); t++) {
        struct pack_trace trace = pack_trace(file.pack, t);
        char *items = malloc(trace.size);
        CHECK(pack_file_part(&file, scratch, trace.at, trace.size, items, &err) == 0);
        uint64_t used = 0;
        for (uint32_t k = 0; k < trace.runs && !err.code; k++, in_traces++) {
            struct pack_item item = {0};
            struct run run = {0};
            struct str rest = {items + used, trace.size - used};
            CHECK(pack_read_item(rest, &item, &err) == 0);
            CHECK(!err.code && record_decode(item.entry, item.spans, item.raw, &run, &err) == 0);
            CHECK(!err.code && is_expected(&run, item.ordinal) &&
                  uuid_compare(run.trace, trace.trace) == 0);
            used += item.size;
        }
        CHECK(used == trace.size);
        free(items);
    }
    CHECK(in_traces == RUNS);
    arena_free(arena);
    pack_scratch_free(scratch);
    pack_file_close(&file);
}

/* How far a walk is, and the times at which its records came. */
struct walked {
    uint32_t ordinal;
    size_t records;
    int64_t received_us[RECORDS];
};

static int visit(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    struct walked *w = context;
    (void)err;
    CHECK(w->ordinal < RUNS && w->records < RECORDS);
    if (w->ordinal >= RUNS || w->records >= RECORDS)
        return -1;
    CHECK(first.container == NUMBER && first.ordinal == w->ordinal);
    CHECK(sequence == expected[w->ordinal].sequence && record->count == expected[w->ordinal].count);
    w->received_us[w->records++] = record->received_us;
    for (uint32_t i = 0; i < record->count && w->ordinal < RUNS; i++, w->ordinal++) {
        struct run run;
        CHECK(record_run(record, i, &run, NULL) == 0 && is_expected(&run, w->ordinal));
    }
    return 0;
}

TEST(a_container_of_version_1_is_walked)
{
    struct scratch empty = scratch_new();
    struct walked walked[3] = {{0}, {0}, {0}};
    const struct store_log_config configs[] = {
        {.dir = segments, .disk = &disk_real, .read_only = true},
        {.dir = scratch_str(&empty), .packs = packs, .disk = &disk_real, .read_only = true},
        {.dir = segments, .packs = packs, .disk = &disk_real, .read_only = true}};
    load();
    for (size_t i = 0; i < 3; i++) {
        struct store *store = NULL;
        struct err err = {0};
        CHECK(store_log_open(&configs[i], &store, &err) == 0);
        if (!store)
            continue;
        struct store_sizes size;
        store_sizes(store, &size);
        CHECK(size.last_sequence == RECORDS);
        CHECK(store_walk(store, 0, visit, NULL, &walked[i], &err) == 0);
        CHECK(walked[i].ordinal == RUNS && walked[i].records == RECORDS);
        CHECK(memcmp(walked[i].received_us, walked[0].received_us, sizeof walked[0].received_us) ==
              0);
        store_close(store);
    }
    scratch_remove(&empty);
}

TEST(a_segment_of_version_1_can_be_sealed)
{
    struct scratch dir = scratch_new();
    struct err err = {0};
    struct seal seal = {.disk = &disk_real,
                        .segments = segments,
                        .packs = scratch_str(&dir),
                        .packs_fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                        .number = NUMBER};
    load();
    CHECK(seal_segment(&seal, &err) == 0);
    struct pack_file file;
    struct pack_walk *walk = NULL;
    CHECK(pack_file_open(&disk_real, scratch_str(&dir), NUMBER, PACK_STRICT, &file, &err) == 0);
    CHECK(!err.code && pack_walk_start(&file, &walk, &err) == 0);
    struct walked walked = {0};
    struct record record;
    struct place first;
    for (uint64_t sequence = 0; walk && pack_walk_next(walk, sequence, &record, &first, &sequence);)
        CHECK(visit(&walked, &record, first, sequence, &err) == 0);
    CHECK(walked.ordinal == RUNS);
    pack_walk_end(walk);
    close(seal.packs_fd);
    scratch_remove(&dir);
}

TEST(a_pack_of_version_1_is_made_anew_from_its_blocks)
{
    size_t size;
    struct pack *pack = NULL;
    struct pack_file file;
    CHECK(pack_file_open(&disk_real, packs, NUMBER, PACK_STRICT, &file, NULL) == 0);
    CHECK(pack_file_load(&file, PACK_RECORDS, NULL) == 0);
    char *bytes = scratch_read(V1 "/packs/0000000000000001.pack", &size);
    load();
    CHECK(pack_rebuild((struct str){bytes, size}, "test", &pack, NULL) == 0);
    if (pack) {
        CHECK(pack->summary.runs == RUNS && pack->summary.records == RECORDS &&
              pack->summary.number == NUMBER && pack->summary.last_sequence == RECORDS);
        for (uint32_t i = 0; i < RUNS; i++)
            CHECK(pack_run(pack, i).ordinal == i);
        for (uint32_t i = 0; i < RECORDS; i++) {
            struct pack_record anew = pack_record(pack, i), was = pack_record(file.pack, i);
            CHECK(anew.sequence == was.sequence && anew.received_us == was.received_us &&
                  anew.first == was.first && anew.count == was.count && anew.kind == was.kind);
        }
    }
    pack_file_close(&file);
    pack_free(pack);
    free(bytes);
}
