/* pack_test.c - what is built into a pack is found in it, whoever has its bytes. */
#include "store/pack.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/frame.h"
#include "lib/check.h"
#include "lib/make_pack.h"
#include "run/record.h"
#include "store/pack_build.h"
#include "store/pack_layout.h"
#include "store/pack_press.h"

static struct pack *open_whole(struct str file)
{
    struct pack *pack = NULL;
    uint64_t need = 1;
    struct err err = {0};
    CHECK(pack_open(file, file.len, &pack, &need, &err) == 0);
    CHECK(need == 0);
    if (!pack) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    const struct pack_section *runs = &pack->sections[PACK_RUNS];
    CHECK(pack_load(pack, PACK_RUNS, (struct str){file.at + runs->at, runs->stored}, &err) == 0);
    return pack;
}

static int load(struct pack *pack, struct str file, enum pack_section_type type, struct err *err)
{
    const struct pack_section *section = &pack->sections[type];
    return pack_load(pack, type, (struct str){file.at + section->at, section->stored}, err);
}

static void load_all(struct pack *pack, struct str file)
{
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
        CHECK(load(pack, file, (enum pack_section_type)type, NULL) == 0);
        CHECK(pack_loaded(pack, (enum pack_section_type)type));
    }
}

/* All of the stream, heap; NULL when a block is bad. */
static char *unpack(const struct pack *pack, struct str file)
{
    char *stream = malloc(pack->summary.stream_size + 1);
    struct frame_opener *opener = frame_opener_new();
    for (uint32_t i = 0; i < pack->block_count && stream; i++) {
        const struct pack_block *block = &pack->blocks[i];
        CHECK(block->at <= file.len && block->stored <= file.len - block->at);
        if (pack_unpack(pack, i, (struct str){file.at + block->at, block->stored}, opener,
                        stream + block->stream_at, block->size, NULL)) {
            free(stream);
            stream = NULL;
        }
    }
    frame_opener_free(opener);
    return stream;
}

/* One run by its ordinal. */
static int find_run(const struct pack *pack, const char *stream, uint32_t ordinal,
                    struct pack_item *item, struct run *run)
{
    uint32_t row;
    if (!pack_find(pack, ordinal, &row))
        return ERR_NOT_FOUND;
    struct pack_run found = pack_run(pack, row);
    int r = pack_read_item((struct str){stream + found.at, found.size}, item, NULL);
    if (!r && item->size != found.size)
        r = ERR_CORRUPT;
    return r ? r : record_decode(item->entry, item->spans, item->raw, run, NULL);
}

static bool same_item(const struct pack_item *item, const struct packed_run *want)
{
    return item->ordinal == want->ordinal && item->first == want->first &&
           item->count == want->count && item->sequence == want->sequence &&
           item->received_us == want->received_us;
}

/* Every run that went in comes out as it was. */
static void check_runs(const struct made_pack *made)
{
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    char *stream = unpack(pack, file);
    CHECK(stream && pack_count(pack, PACK_RUNS) == made->count);
    for (uint32_t i = 0; stream && i < made->count; i++) {
        struct pack_item item;
        struct run run;
        const struct packed_run *want = &made->runs[i];
        int r = find_run(pack, stream, want->ordinal, &item, &run);
        CHECK(r == 0);
        if (!r)
            CHECK(same_run(&run, &want->run) && same_item(&item, want));
    }
    free(stream);
    pack_free(pack);
}

static int compare_bytes(struct str a, struct str b)
{
    int r = memcmp(a.at ? a.at : "", b.at ? b.at : "", a.len < b.len ? a.len : b.len);
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

/* The order that docs/design/pack-format.md asks for. */
static int compare_items(const struct run *a, uint32_t a_ordinal, const struct run *b,
                         uint32_t b_ordinal)
{
    int r = compare_bytes(run_field(a, RUN_SESSION_NAME), run_field(b, RUN_SESSION_NAME));
    if (!r)
        r = uuid_compare(a->trace, b->trace);
    if (!r)
        r = (a->start_us > b->start_us) - (a->start_us < b->start_us);
    if (!r)
        r = uuid_compare(a->id, b->id);
    return r ? r : (a_ordinal > b_ordinal) - (a_ordinal < b_ordinal);
}

/* The items follow each other in order; blocks begin with one, or within one
 * that is larger than a block. */
static void check_stream(const struct made_pack *made)
{
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    char *stream = unpack(pack, file);
    struct run before = {0};
    uint32_t before_ordinal = 0, next_block = 0, items = 0;
    uint64_t at = 0;
    while (stream && at < pack->summary.stream_size) {
        struct pack_item item = {0};
        struct run run;
        struct str rest = {stream + at, pack->summary.stream_size - at};
        CHECK(pack_read_item(rest, &item, NULL) == 0);
        CHECK(record_decode(item.entry, item.spans, item.raw, &run, NULL) == 0);
        if (items > 0)
            CHECK(compare_items(&before, before_ordinal, &run, item.ordinal) < 0);
        bool begins = next_block < pack->block_count && pack->blocks[next_block].stream_at == at;
        next_block += begins;
        if (item.size > PACK_BLOCK) {
            CHECK(begins);
            while (next_block < pack->block_count &&
                   pack->blocks[next_block].stream_at < at + item.size)
                next_block++;
            CHECK(next_block == pack->block_count ||
                  pack->blocks[next_block].stream_at == at + item.size);
        } else { /* within one block */
            CHECK(pack_block_at(pack, at) == pack_block_at(pack, at + item.size - 1));
        }
        before = run;
        before_ordinal = item.ordinal;
        items++;
        at += item.size ? item.size : UINT32_MAX;
    }
    CHECK(items == made->count && next_block == pack->block_count);
    free(stream);
    pack_free(pack);
}

/* What the other sections say, against what was put in. */
static void check_sections(const struct made_pack *made)
{
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    load_all(pack, file);
    uint32_t records = 0, first = 0;
    for (uint32_t i = 0; i < made->count; i++) {
        const struct packed_run *want = &made->runs[i];
        if (i > 0 && want->first == first)
            continue;
        first = want->first;
        struct pack_record record = pack_record(pack, records++);
        CHECK(record.sequence == want->sequence && record.first == want->first &&
              record.count == want->count && record.received_us == want->received_us &&
              record.kind == 1);
    }
    CHECK(pack_count(pack, PACK_RECORDS) == records && pack->summary.records == records);
    CHECK(pack_count(pack, PACK_IDS) == made->count);
    for (uint32_t i = 0; i < made->count; i++) {
        uint32_t row = 0, at = pack_first_id(pack, made->runs[i].run.id);
        bool met = false;
        for (; at < made->count && uuid_compare(pack_id(pack, at, &row), made->runs[i].run.id) == 0;
             at++)
            met = met || pack_run(pack, row).ordinal == made->runs[i].ordinal;
        CHECK(met);
    }
    uint64_t bytes = 0, runs = 0;
    for (uint32_t i = 0; i < pack_count(pack, PACK_TRACES); i++) {
        struct pack_trace trace = pack_trace(pack, i);
        bytes += trace.size;
        runs += trace.runs;
    }
    CHECK(bytes == pack->summary.stream_size && runs == made->count);
    pack_free(pack);
}

static void check_all(const struct made_pack *made)
{
    check_runs(made);
    check_stream(made);
    check_sections(made);
}

/* ---- building ---- */

static const char *const projects[] = {NULL, "a", "ab", "b", "a longer name of a project"};

/* `count` runs in batches of up to 7, holes between some of them. */
static struct made_pack *make_mixed(size_t count, size_t names, uint64_t seed)
{
    struct make_random random = {seed};
    struct make_run *runs = calloc(count + 1, sizeof *runs);
    struct make_batch *batches = calloc(count + 1, sizeof *batches);
    char **name = calloc(count + 1, sizeof(char *));
    size_t n = 0;
    uint32_t ordinal = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = names ? make_random(&random) % names : 3;
        name[i] = malloc(len + 1);
        make_noise(&random, name[i], len);
        runs[i] = (struct make_run){.id = make_id(make_random(&random) % (2 * count)),
                                    .trace = make_id(make_random(&random) % (1 + count / 5)),
                                    .name = name[i],
                                    .project = projects[make_random(&random) % 5],
                                    .start_us = (int64_t)(make_random(&random) % 20) - 10,
                                    .number = i};
    }
    for (size_t i = 0; i < count; n++) {
        size_t size = 1 + make_random(&random) % 7;
        size = size < count - i ? size : count - i;
        ordinal += n % 3 == 2 ? 5 : 0;
        batches[n] = (struct make_batch){.runs = runs + i,
                                         .count = size,
                                         .first = ordinal,
                                         .sequence = 10 + 3 * n,
                                         .received_us = (int64_t)(1000 + n)};
        ordinal += (uint32_t)size;
        i += size;
    }
    struct made_pack *made = make_pack(7, batches, n);
    for (size_t i = 0; i < count; i++)
        free(name[i]);
    free(name);
    free(runs);
    free(batches);
    return made;
}

TEST(every_run_comes_out_as_it_went_in)
{
    for (uint64_t seed = 1; seed < 12; seed++) {
        struct made_pack *made = make_mixed(1 + seed * seed * 3, seed * 700, seed);
        check_all(made);
        made_pack_free(made);
    }
}

TEST(a_hundred_thousand_tiny_runs_are_each_found)
{
    struct made_pack *made = make_mixed(100000, 0, 5);
    check_all(made);
    made_pack_free(made);
}

TEST(a_pack_of_no_runs_is_whole)
{
    struct made_pack *made = make_pack(3, NULL, 0);
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    load_all(pack, file);
    uint32_t row;
    CHECK(pack->block_count == 0 && pack->summary.stream_size == 0);
    CHECK(!pack_find(pack, 0, &row) && !pack_find(pack, UINT32_MAX, &row));
    CHECK(pack_first_id(pack, make_id(1)) == 0 && pack_first_trace(pack, make_id(1)) == 0);
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++)
        CHECK(pack_count(pack, (enum pack_section_type)type) == 0);
    pack_free(pack);
    made_pack_free(made);
}

TEST(a_pack_of_one_run_is_whole)
{
    const struct make_run run = {.id = make_id(1), .trace = make_id(2), .start_us = -5};
    const struct make_batch batch = {&run, 1, 4000000000u, UINT64_MAX, INT64_MIN};
    struct made_pack *made = make_pack(UINT64_MAX, &batch, 1);
    check_all(made);
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    const struct pack_summary *s = &pack->summary;
    CHECK(s->number == UINT64_MAX && s->id == 42 && s->previous_sequence == UINT64_MAX - 1 &&
          s->last_sequence == UINT64_MAX && s->created_us == 1000 && s->runs == 1 &&
          s->records == 1 && s->first_start_us == -5 && s->last_start_us == -5 &&
          s->raw_size == made->runs[0].run.raw.len);
    pack_free(pack);
    made_pack_free(made);
}

/* A pack of runs whose items have exactly these sizes, each of a trace of its own. */
static struct made_pack *make_sized(const size_t *sizes, size_t count)
{
    enum { MOST_RUNS = 16 };
    struct make_run runs[MOST_RUNS];
    char *names[MOST_RUNS];
    struct make_random random = {9};
    for (size_t i = 0; i < count; i++) {
        names[i] = calloc(1, sizes[i]);
        runs[i] = (struct make_run){.id = make_id(i),
                                    .trace = {{(uint8_t)(i + 1)}},
                                    .name = names[i],
                                    .start_us = (int64_t)i};
        const struct make_batch alone = {&runs[i], 1, 0, 1, 0};
        struct made_pack *empty = make_pack(1, &alone, 1);
        struct pack_input **in = make_pack_inputs(empty);
        make_noise(&random, names[i], sizes[i] - pack_item_size(in[0]));
        free(in);
        made_pack_free(empty);
    }
    const struct make_batch batch = {runs, count, 0, 1, 0};
    struct made_pack *made = make_pack(1, &batch, 1);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    return made;
}

static uint32_t blocks_of(const struct made_pack *made)
{
    struct pack *pack = open_whole(text_str(&made->file));
    uint32_t count = pack->block_count;
    pack_free(pack);
    return count;
}

TEST(blocks_end_where_runs_end)
{
    static const struct {
        size_t sizes[5];
        size_t count;
        uint32_t blocks;
    } cases[] = {
        {{PACK_BLOCK}, 1, 1},
        {{PACK_BLOCK - 1}, 1, 1},
        {{PACK_BLOCK + 1}, 1, 2},
        {{PACK_BLOCK - 1, 1000}, 2, 2},
        {{PACK_BLOCK, PACK_BLOCK}, 2, 2},
        {{1000, PACK_BLOCK - 1000}, 2, 1},
        {{1000, PACK_BLOCK - 999}, 2, 2},
        {{PACK_BLOCK - 1000, 1000, 1000}, 3, 2},
        {{1000, PACK_BLOCK + 1, 1000}, 3, 4},
        {{2 * PACK_BLOCK, 1000}, 2, 3},
        {{2 * PACK_BLOCK - 1, 2 * PACK_BLOCK + 1}, 2, 5},
        {{1000, (5 << 20) + 12345, 1000, 9 << 20, 1000}, 5, 1 + 3 + 1 + 5 + 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made_pack *made = make_sized(cases[i].sizes, cases[i].count);
        struct pack_input **in = make_pack_inputs(made);
        for (size_t k = 0; k < cases[i].count; k++)
            CHECK(pack_item_size(in[k]) == cases[i].sizes[k]);
        CHECK(blocks_of(made) == cases[i].blocks);
        check_all(made);
        free(in);
        made_pack_free(made);
    }
}

TEST(a_trace_that_fits_into_a_block_lies_in_one)
{
    enum { RUNS = 60, BYTES = 100000 };
    static struct make_run runs[RUNS];
    struct make_random random = {4};
    for (size_t i = 0; i < RUNS; i++) {
        char *name = malloc(BYTES + 1);
        make_noise(&random, name, BYTES);
        runs[i] =
            (struct make_run){.id = make_id(i), .trace = make_id(i / 6), .name = name, .number = i};
    }
    const struct make_batch batch = {runs, RUNS, 0, 1, 0};
    struct made_pack *made = make_pack(1, &batch, 1);
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    load_all(pack, file);
    CHECK(pack_count(pack, PACK_TRACES) == RUNS / 6 && pack->block_count >= 3);
    for (uint32_t i = 0; i < pack_count(pack, PACK_TRACES); i++) {
        struct pack_trace trace = pack_trace(pack, i);
        CHECK(trace.runs == 6);
        CHECK(pack_block_at(pack, trace.at) == pack_block_at(pack, trace.at + trace.size - 1));
    }
    pack_free(pack);
    made_pack_free(made);
    for (size_t i = 0; i < RUNS; i++)
        free((void *)(uintptr_t)runs[i].name);
}

TEST(equal_ids_are_all_found)
{
    struct make_run runs[5] = {0};
    for (size_t i = 0; i < 5; i++)
        runs[i] = (struct make_run){
            .id = make_id(i == 1 || i == 3 ? 100 : i), .trace = make_id(50 + i), .number = i};
    const struct make_batch batches[] = {{runs, 2, 0, 1, 0}, {runs + 2, 3, 9, 2, 0}};
    struct made_pack *made = make_pack(1, batches, 2);
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    load_all(pack, file);
    uint32_t at = pack_first_id(pack, make_id(100)), row[2];
    CHECK(uuid_compare(pack_id(pack, at, &row[0]), make_id(100)) == 0);
    CHECK(uuid_compare(pack_id(pack, at + 1, &row[1]), make_id(100)) == 0);
    CHECK(pack_run(pack, row[0]).ordinal == 1 && pack_run(pack, row[1]).ordinal == 10);
    CHECK(at == 0 || uuid_compare(pack_id(pack, at - 1, NULL), make_id(100)) < 0);
    struct uuid none = make_id(77);
    at = pack_first_id(pack, none);
    CHECK(at == 5 || uuid_compare(pack_id(pack, at, NULL), none) > 0);
    CHECK(at == 0 || uuid_compare(pack_id(pack, at - 1, NULL), none) < 0);
    check_all(made);
    pack_free(pack);
    made_pack_free(made);
}

TEST(a_trace_in_two_projects_has_two_stretches)
{
    struct make_run runs[6] = {0};
    for (size_t i = 0; i < 6; i++)
        runs[i] = (struct make_run){.id = make_id(i),
                                    .trace = make_id(90 + i / 4),
                                    .project = i % 2 ? "one" : "two",
                                    .number = i};
    const struct make_batch batch = {runs, 6, 0, 1, 0};
    struct made_pack *made = make_pack(1, &batch, 1);
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    load_all(pack, file);
    char *stream = unpack(pack, file);
    uint32_t at = pack_first_trace(pack, make_id(90));
    CHECK(pack_count(pack, PACK_TRACES) == 4);
    for (uint32_t i = at; stream && i < at + 2; i++) {
        struct pack_trace trace = pack_trace(pack, i);
        uint64_t used = 0;
        CHECK(uuid_compare(trace.trace, make_id(90)) == 0 && trace.runs == 2);
        for (uint32_t k = 0; k < trace.runs; k++) {
            struct pack_item item = {0};
            CHECK(pack_read_item((struct str){stream + trace.at + used, trace.size - used}, &item,
                                 NULL) == 0);
            CHECK(uuid_compare(record_peek(item.entry).trace, make_id(90)) == 0);
            used += item.size;
        }
        CHECK(used == trace.size);
    }
    CHECK(pack_trace(pack, at).at < pack_trace(pack, at + 1).at);
    free(stream);
    pack_free(pack);
    made_pack_free(made);
}

static int never(void *context, struct str bytes, uint64_t made_of, struct err *err)
{
    (void)bytes;
    (void)made_of;
    int *left = context;
    return --*left < 0 ? err_set(err, ERR_FULL, "no more") : 0;
}

TEST(building_ends_with_the_error_of_whoever_writes)
{
    struct made_pack *made = make_mixed(30, 100, 1);
    int most = 0;
    for (int left = 0; left < 100; left++) {
        int counter = left;
        struct err err = {0};
        struct pack_input **inputs = make_pack_inputs(made);
        const struct pack_build build = {.inputs = inputs,
                                         .count = made->count,
                                         .number = 1,
                                         .level = 1,
                                         .fetch = make_pack_fetch,
                                         .write = never,
                                         .context = &counter};
        int r = pack_build(&build, &err);
        CHECK(r == (counter < 0 ? ERR_FULL : 0));
        CHECK(r == 0 || strcmp(err.text, "no more") == 0);
        if (r)
            most = left;
        free(inputs);
    }
    CHECK(most > 5);
    made_pack_free(made);
}

static int fetch_wrong(void *context, const struct pack_input *in, size_t from, char *room,
                       size_t size, struct err *err)
{
    const uint32_t *wrong = context;
    (void)make_pack_fetch(NULL, in, from, room, size, err);
    if (in->ordinal == *wrong)
        room[size - 1] ^= 1;
    return 0;
}

static int ignore(void *context, struct str bytes, uint64_t made_of, struct err *err)
{
    (void)context;
    (void)bytes;
    (void)made_of;
    (void)err;
    return 0;
}

TEST(a_run_whose_bytes_are_wrong_does_not_get_into_a_pack)
{
    struct made_pack *made = make_mixed(9, 100, 1);
    for (uint32_t i = 0; i < made->count; i++) {
        struct err err = {0};
        struct pack_input **inputs = make_pack_inputs(made);
        uint32_t wrong = inputs[i]->ordinal;
        const struct pack_build build = {.inputs = inputs,
                                         .count = made->count,
                                         .number = 1,
                                         .level = 1,
                                         .fetch = fetch_wrong,
                                         .write = ignore,
                                         .context = &wrong};
        CHECK(pack_build(&build, &err) == ERR_CORRUPT);
        CHECK(err.text[0] != '\0');
        free(inputs);
    }
    made_pack_free(made);
}

/* ---- opening ---- */

TEST(a_tail_that_is_too_short_says_how_long_it_must_be)
{
    struct made_pack *made = make_mixed(40, 200, 3);
    struct str file = text_str(&made->file);
    bool needed = false;
    for (size_t len = PACK_FOOT; len <= file.len; len++) {
        uint64_t need = len;
        int tries = 0;
        do {
            size_t size = need;
            char *tail = malloc(size); /* of just this size, so that a byte before it is seen */
            memcpy(tail, file.at + file.len - size, size);
            struct pack *pack = NULL;
            struct err err = {0};
            CHECK(pack_open((struct str){tail, size}, file.len, &pack, &need, &err) == 0);
            CHECK((need == 0) == (pack != NULL));
            CHECK(need == 0 || (need > size && need <= file.len));
            if (pack)
                CHECK(pack->block_count > 0 && pack_count(pack, PACK_FENCES) == 1);
            needed = needed || need > 0;
            pack_free(pack);
            free(tail);
        } while (need > 0 && ++tries < 3);
        CHECK(tries < 3);
    }
    CHECK(needed);
    struct pack *pack = NULL;
    uint64_t need;
    CHECK(pack_open((struct str){file.at + file.len - 127, 127}, file.len, &pack, &need, NULL) ==
          ERR_CORRUPT);
    CHECK(pack_open(file, file.len - 1, &pack, &need, NULL) == ERR_CORRUPT);
    made_pack_free(made);
}

TEST(head_and_foot_say_the_same)
{
    struct made_pack *made = make_mixed(20, 10, 6);
    struct str file = text_str(&made->file);
    struct pack_summary head, foot;
    CHECK(pack_read_summary(file.at, false, &head, NULL) == 0);
    CHECK(pack_read_summary(file.at + file.len - PACK_FOOT, true, &foot, NULL) == 0);
    CHECK(head.number == foot.number && head.id == foot.id &&
          head.previous_sequence == foot.previous_sequence &&
          head.last_sequence == foot.last_sequence && head.stream_size == foot.stream_size &&
          head.raw_size == foot.raw_size && head.first_start_us == foot.first_start_us &&
          head.last_start_us == foot.last_start_us && head.created_us == foot.created_us &&
          head.runs == foot.runs && head.records == foot.records);
    CHECK(pack_read_summary(file.at, true, &head, NULL) == ERR_CORRUPT);
    CHECK(pack_read_summary(file.at + file.len - PACK_FOOT, false, &foot, NULL) == ERR_CORRUPT);
    made_pack_free(made);
}

/* ---- hostile ones ---- */

/* A file to change: its directory and foot can be made right again. */
struct forged {
    char *at;
    size_t len, directory, entries;
};

static struct forged forge(const struct made_pack *made)
{
    struct forged f = {.at = malloc(made->file.len), .len = made->file.len};
    memcpy(f.at, made->file.at, f.len);
    f.directory = get_u64(f.at + f.len - PACK_FOOT + AT_DIRECTORY);
    f.entries = (f.len - PACK_FOOT - f.directory) / DIR_ENTRY;
    return f;
}

static char *entry_of(const struct forged *f, enum pack_section_type type)
{
    char *entry = f->at + f->directory;
    while (get_u32(entry + DIR_TYPE) != type)
        entry += DIR_ENTRY;
    return entry;
}

static struct str seal(struct forged *f)
{
    char *foot = f->at + f->len - PACK_FOOT;
    put_u32(foot + AT_DIRECTORY_CRC, crc32c(0, f->at + f->directory, f->entries * DIR_ENTRY));
    put_u32(foot + AT_CRC, crc32c(0, foot, AT_CRC));
    return (struct str){f->at, f->len};
}

/* Put `bytes` in front of the directory; returns where. */
static size_t insert(struct forged *f, struct str bytes)
{
    size_t at = f->directory;
    char *more = malloc(f->len + bytes.len);
    memcpy(more, f->at, at);
    memcpy(more + at, bytes.at, bytes.len);
    memcpy(more + at + bytes.len, f->at + at, f->len - at);
    free(f->at);
    f->at = more;
    f->len += bytes.len;
    f->directory += bytes.len;
    put_u64(f->at + f->len - PACK_FOOT + AT_DIRECTORY, f->directory);
    return at;
}

/* What a section is stored as; heap. */
static struct str stored_form(enum pack_section_type type, const char *rows, size_t len)
{
    if (type != PACK_RUNS) {
        struct frame_packer *packer = frame_packer_new(1);
        char *room = malloc(frame_bound(len));
        struct str frame = {room, frame_pack(packer, (struct str){rows, len}, room)};
        frame_packer_free(packer);
        return frame;
    }
    size_t most = (size_t)PAGE_ROWS * ROW_RUN, pages = (len + most - 1) / most;
    char *room = calloc(pages + 1, PACK_PAGE);
    for (size_t i = 0; i < pages; i++) {
        size_t left = len - i * most;
        char *page = room + i * PACK_PAGE;
        memcpy(page, rows + i * most, left < most ? left : most);
        put_u32(page + PAGE_CRC, crc32c(0, page, PAGE_CRC));
    }
    return (struct str){room, pages * PACK_PAGE};
}

/* Other rows instead of a section's. */
static void replace(struct forged *f, enum pack_section_type type, const char *rows, size_t len)
{
    struct str stored = stored_form(type, rows, len);
    size_t at = insert(f, stored);
    char *entry = entry_of(f, type);
    put_u64(entry + DIR_AT, at);
    put_u64(entry + DIR_STORED, stored.len);
    put_u64(entry + DIR_SIZE, len);
    put_u32(entry + DIR_CRC, type == PACK_RUNS ? 0 : crc32c(0, stored.at, stored.len));
    free((void *)(uintptr_t)stored.at);
}

/* Open it, load everything, read every run that can be had: what comes is right. */
static int try_all(const struct made_pack *made, struct str file)
{
    struct pack *pack = NULL;
    uint64_t need;
    struct err err = {0};
    int r = pack_open(file, file.len, &pack, &need, &err);
    CHECK(r == (int)err.code);
    CHECK(r == 0 || r == ERR_CORRUPT || r == ERR_UNAVAILABLE);
    if (r)
        return r;
    for (int type = PACK_RUNS; type < PACK_SECTIONS && !r; type++)
        r = load(pack, file, (enum pack_section_type)type, &err);
    char *stream = unpack(pack, file);
    for (uint32_t i = 0; i < made->count && stream && pack_loaded(pack, PACK_RUNS); i++) {
        struct pack_item item;
        struct run run;
        int bad = find_run(pack, stream, made->runs[i].ordinal, &item, &run);
        CHECK(bad || same_run(&run, &made->runs[i].run) || item.ordinal != made->runs[i].ordinal);
        r = bad ? bad : r;
    }
    if (!stream)
        r = ERR_CORRUPT;
    free(stream);
    pack_free(pack);
    return r;
}

TEST(a_section_of_an_unknown_type_is_passed_over)
{
    static const uint32_t types[] = {PACK_SECTIONS, 64, 127, 128, UINT32_MAX};
    struct made_pack *made = make_mixed(25, 50, 2);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct forged f = forge(made);
        size_t at = insert(&f, STR("what only a newer program knows"));
        char entry[DIR_ENTRY] = {0};
        put_u32(entry + DIR_TYPE, types[i]);
        put_u64(entry + DIR_AT, at);
        put_u64(entry + DIR_STORED, 31);
        put_u64(entry + DIR_SIZE, UINT64_MAX); /* means what it likes */
        size_t directory = f.directory;
        insert(&f, (struct str){entry, DIR_ENTRY});
        f.directory = directory;
        f.entries++;
        char *foot = f.at + f.len - PACK_FOOT;
        put_u64(foot + AT_DIRECTORY, directory);
        put_u32(foot + AT_DIRECTORY_SIZE, (uint32_t)(f.entries * DIR_ENTRY));
        CHECK(try_all(made, seal(&f)) == 0);
        free(f.at);
    }
    made_pack_free(made);
}

TEST(a_directory_that_leads_outside_is_refused)
{
    struct made_pack *made = make_mixed(25, 50, 2);
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++)
        for (int field = DIR_AT; field <= DIR_CRC; field += 8) {
            struct forged first = forge(made);
            uint64_t was = get_u64(entry_of(&first, (enum pack_section_type)type) + field);
            const uint64_t bad[] = {0,
                                    1,
                                    PACK_HEAD - 1,
                                    was - 1,
                                    was + 1,
                                    was / 2,
                                    was * 2 + 1,
                                    first.directory,
                                    first.directory + 1,
                                    first.len - 1,
                                    first.len,
                                    UINT64_C(1) << 31,
                                    UINT64_C(1) << 32,
                                    UINT64_C(1) << 63,
                                    UINT64_MAX - was,
                                    UINT64_MAX - was + 1,
                                    UINT64_MAX};
            free(first.at);
            for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct forged f = forge(made);
                char *entry = entry_of(&f, (enum pack_section_type)type);
                if (field == DIR_CRC)
                    put_u32(entry + field, (uint32_t)bad[i]);
                else
                    put_u64(entry + field, bad[i]);
                bool checked = field != DIR_CRC || type != PACK_RUNS; /* its pages have their own */
                if (checked && memcmp(f.at, made->file.at, f.len) != 0)
                    CHECK(try_all(made, seal(&f)) == ERR_CORRUPT);
                free(f.at);
            }
        }
    made_pack_free(made);
}

TEST(a_section_that_is_missing_or_there_twice_is_refused)
{
    struct made_pack *made = make_mixed(25, 50, 2);
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
        struct forged f = forge(made);
        put_u32(entry_of(&f, (enum pack_section_type)type) + DIR_TYPE, 99);
        CHECK(try_all(made, seal(&f)) == ERR_CORRUPT);
        free(f.at);
        f = forge(made);
        int other = type == PACK_BLOCKS ? PACK_RUNS : PACK_BLOCKS;
        put_u32(entry_of(&f, (enum pack_section_type)type) + DIR_TYPE, (uint32_t)other);
        CHECK(try_all(made, seal(&f)) == ERR_CORRUPT);
        free(f.at);
    }
    made_pack_free(made);
}

TEST(a_foot_that_cannot_be_is_refused)
{
    static const struct {
        int field, bytes;
        uint64_t value;
    } bad[] = {
        {AT_RUNS, 4, PACK_RUNS_MAX + 1},
        {AT_RUNS, 4, UINT32_MAX},
        {AT_RUNS, 4, 0},
        {AT_RECORDS, 4, 26}, /* more than runs */
        {AT_RECORDS, 4, 0},
        {AT_STREAM, 8, 0},
        {AT_STREAM, 8, UINT64_MAX},
        {AT_STREAM, 8, 1},
        {AT_DIRECTORY, 8, 0},
        {AT_DIRECTORY, 8, PACK_HEAD},
        {AT_DIRECTORY, 8, UINT64_MAX},
        {AT_DIRECTORY, 8, UINT64_MAX - PACK_FOOT},
        {AT_DIRECTORY_SIZE, 4, 0},
        {AT_DIRECTORY_SIZE, 4, UINT32_MAX},
        {AT_DIRECTORY_SIZE, 4, DIR_ENTRY},
        {AT_VERSION, 4, 0},
        {AT_VERSION, 4, 3},
        {AT_SIZE, 4, 127},
    };
    struct made_pack *made = make_mixed(25, 50, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct forged f = forge(made);
        char *foot = f.at + f.len - PACK_FOOT;
        if (bad[i].bytes == 8)
            put_u64(foot + bad[i].field, bad[i].value);
        else
            put_u32(foot + bad[i].field, (uint32_t)bad[i].value);
        bool newer = bad[i].field == AT_VERSION || bad[i].field == AT_SIZE;
        CHECK(try_all(made, seal(&f)) == (newer ? ERR_UNAVAILABLE : ERR_CORRUPT));
        free(f.at);
    }
    made_pack_free(made);
}

/* The rows of a section as they are, heap. */
static char *rows_of(const struct made_pack *made, enum pack_section_type type, size_t *len)
{
    struct str file = text_str(&made->file);
    struct pack *pack = open_whole(file);
    CHECK(load(pack, file, type, NULL) == 0);
    *len = pack->sections[type].size;
    char *rows = malloc(*len + 64);
    memset(rows, 0, *len + 64);
    memcpy(rows, pack->sections[type].rows, *len);
    pack_free(pack);
    return rows;
}

/* With some bytes of a section changed, and every checksum right. */
static int with(const struct made_pack *made, enum pack_section_type type, size_t at, int bytes,
                uint64_t value)
{
    size_t len;
    char *rows = rows_of(made, type, &len);
    if (bytes == 8)
        put_u64(rows + at, value);
    else if (bytes == 4)
        put_u32(rows + at, (uint32_t)value);
    struct forged f = forge(made);
    replace(&f, type, rows, bytes ? len : value);
    int r = try_all(made, seal(&f));
    free(f.at);
    free(rows);
    return r;
}

TEST(rows_of_a_section_that_make_no_sense_are_refused)
{
    static const struct {
        enum pack_section_type type;
        size_t at;
        int bytes; /* 0: the section has other length */
        uint64_t value;
    } bad[] = {
        {PACK_BLOCKS, 0, 8, UINT64_MAX},
        {PACK_BLOCKS, 0, 8, UINT64_MAX - 100},
        {PACK_BLOCKS, 0, 8, 0},
        {PACK_BLOCKS, 0, 8, PACK_HEAD + 1},
        {PACK_BLOCKS, 8, 4, 0},
        {PACK_BLOCKS, 8, 4, UINT32_MAX},
        {PACK_BLOCKS, 8, 4, 1},
        {PACK_BLOCKS, 12, 4, 0},
        {PACK_BLOCKS, 12, 4, PACK_BLOCK + 1},
        {PACK_BLOCKS, 12, 4, UINT32_MAX},
        {PACK_BLOCKS, 12, 4, 1},
        {PACK_BLOCKS, 16, 4, 0},
        {PACK_BLOCKS, 0, 0, 0},
        {PACK_BLOCKS, 0, 0, 19},
        {PACK_BLOCKS, 0, 0, 21},
        {PACK_BLOCKS, 0, 0, 40},
        {PACK_RUNS, 0, 4, UINT32_MAX},
        {PACK_RUNS, 4, 4, 0},
        {PACK_RUNS, 4, 4, PACK_ITEM + 111},
        {PACK_RUNS, 4, 4, UINT32_MAX},
        {PACK_RUNS, 8, 8, UINT64_MAX},
        {PACK_RUNS, 8, 8, UINT64_MAX - 200},
        {PACK_RUNS, 8, 8, 1},
        {PACK_RUNS, 0, 0, 0},
        {PACK_RUNS, 0, 0, 15},
        {PACK_RUNS, 0, 0, 16},
        {PACK_RECORDS, 0, 8, UINT64_MAX},
        {PACK_RECORDS, 16, 4, UINT32_MAX},
        {PACK_RECORDS, 20, 4, 0},
        {PACK_RECORDS, 20, 4, UINT32_MAX},
        {PACK_RECORDS, 20, 4, RECORD_RUNS_MAX + 1},
        {PACK_RECORDS, 0, 0, 0},
        {PACK_RECORDS, 0, 0, 27},
        {PACK_RECORDS, 0, 0, 28},
        {PACK_IDS, 0, 8, UINT64_MAX},
        {PACK_IDS, 25 * 16, 4, 25},
        {PACK_IDS, 25 * 16, 4, UINT32_MAX},
        {PACK_IDS, 0, 0, 0},
        {PACK_IDS, 0, 0, 19},
        {PACK_IDS, 0, 0, 20},
        {PACK_TRACES, 0, 8, UINT64_MAX},
        {PACK_TRACES, 16, 8, UINT64_MAX},
        {PACK_TRACES, 24, 8, UINT64_MAX},
        {PACK_TRACES, 24, 8, UINT64_C(1) << 62},
        {PACK_TRACES, 0, 0, 35},
    };
    struct made_pack *made = make_mixed(25, 50, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int r = with(made, bad[i].type, bad[i].at, bad[i].bytes, bad[i].value);
        CHECK(r == ERR_CORRUPT);
        if (r != ERR_CORRUPT)
            fprintf(stderr, "case %zu: %d\n", i, r);
    }
    made_pack_free(made);
}

/* Any bytes in the place of a number: refused, or what is read is right. */
TEST(no_row_of_any_section_leads_to_wrong_bytes)
{
    struct made_pack *made = make_mixed(12, 50, 8);
    struct make_random random = {77};
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
        size_t len;
        char *rows = rows_of(made, (enum pack_section_type)type, &len);
        for (size_t at = 0; at + 4 <= len; at += 4)
            for (int i = 0; i < 4; i++) {
                uint32_t was = get_u32(rows + at);
                uint32_t value = i == 0   ? was + 1
                                 : i == 1 ? was - 1
                                 : i == 2 ? was ^ 0x80000000u
                                          : (uint32_t)make_random(&random);
                int r = with(made, (enum pack_section_type)type, at, 4, value);
                CHECK(r == 0 || r == ERR_CORRUPT || r == ERR_NOT_FOUND);
            }
        free(rows);
    }
    made_pack_free(made);
}

/* ---- items ---- */

TEST(an_item_that_makes_no_sense_is_refused)
{
    const struct make_run run = {.id = make_id(1), .trace = make_id(2)};
    const struct make_batch batch = {&run, 1, 5, 1, 0};
    struct made_pack *made = make_pack(1, &batch, 1);
    struct pack *pack = open_whole(text_str(&made->file));
    char *stream = unpack(pack, text_str(&made->file));
    size_t size = pack->summary.stream_size;
    struct pack_item item;
    static const struct {
        int at;
        uint32_t value;
    } bad[] = {
        {ITEM_SIZE, 0},
        {ITEM_SIZE, PACK_ITEM + RECORD_ENTRY - 1},
        {ITEM_SIZE, UINT32_MAX},
        {ITEM_ORDINAL, 4},           /* before the record's first */
        {ITEM_ORDINAL, 6},           /* behind its last */
        {ITEM_FIRST, 6},             /* likewise */
        {ITEM_FIRST, UINT32_MAX},    /* likewise */
        {ITEM_COUNT, 0},             /* none */
        {ITEM_COUNT, UINT32_MAX},    /* more than a record may have */
        {ITEM_KIND, 2},              /* of a newer program */
        {ITEM_KIND, 1 | 1 << 16},    /* unknown flags */
        {PACK_ITEM + 84, 0},         /* the entry's length of the run */
        {PACK_ITEM + 84, UINT32_MAX} /* likewise */
    };
    CHECK(pack_read_item((struct str){stream, size}, &item, NULL) == 0);
    CHECK(item.raw.len == made->runs[0].run.raw.len && item.size == size);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *copy = malloc(size);
        struct err err = {0};
        memcpy(copy, stream, size);
        put_u32(copy + bad[i].at, bad[i].value);
        CHECK(pack_read_item((struct str){copy, size}, &item, &err) == ERR_CORRUPT);
        CHECK(err.text[0] != '\0');
        free(copy);
    }
    free(stream);
    pack_free(pack);
    made_pack_free(made);
}

TEST(an_item_is_understood_as_far_as_its_bytes_are_there)
{
    const struct make_run run = {.id = make_id(1), .trace = make_id(2), .name = "name"};
    const struct make_batch batch = {&run, 1, 5, 1, 0};
    struct made_pack *made = make_pack(1, &batch, 1);
    struct pack *pack = open_whole(text_str(&made->file));
    char *stream = unpack(pack, text_str(&made->file));
    size_t size = pack->summary.stream_size, spans = 8 * 4;
    for (size_t len = 0; len <= size; len++) {
        char *part = malloc(len + 1);
        struct pack_item item = {0};
        memcpy(part, stream, len);
        int r = pack_read_item((struct str){part, len}, &item, NULL);
        CHECK(r == (len < PACK_ITEM + RECORD_ENTRY + spans ? ERR_CORRUPT : 0));
        if (!r)
            CHECK(item.raw.len == made->runs[0].run.raw.len && item.spans.len == spans &&
                  item.size == size);
        free(part);
    }
    free(stream);
    pack_free(pack);
    made_pack_free(made);
}

/* ---- without sections ---- */

TEST(a_pack_made_anew_from_its_blocks_is_the_same)
{
    static const size_t sizes[] = {1000,   (5 << 20) + 12345, 1000, PACK_BLOCK + 1,
                                   300000, PACK_BLOCK};
    struct made_pack *packs[] = {make_mixed(200, 3000, 2), make_sized(sizes, 6)};
    for (size_t p = 0; p < 2; p++) {
        struct str file = text_str(&packs[p]->file);
        struct pack *pack = open_whole(file), *anew = NULL;
        struct err err = {0};
        load_all(pack, file);
        CHECK(pack_rebuild(file, "a reason", &anew, &err) == 0);
        if (!anew)
            continue;
        CHECK(strcmp(anew->rebuilt, "a reason") == 0 && pack->rebuilt[0] == '\0');
        for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
            CHECK(pack_loaded(anew, (enum pack_section_type)type));
            CHECK(anew->sections[type].size == pack->sections[type].size);
            CHECK(memcmp(anew->sections[type].rows, pack->sections[type].rows,
                         pack->sections[type].size) == 0);
        }
        CHECK(memcmp(&anew->summary, &pack->summary, sizeof pack->summary) == 0);
        pack_free(anew);
        pack_free(pack);
    }
    made_pack_free(packs[0]);
    made_pack_free(packs[1]);
}

TEST(what_holds_no_block_cannot_be_made_anew)
{
    struct pack *pack = NULL;
    struct err err = {0};
    char zeros[1000] = {0};
    struct made_pack *none = make_pack(1, NULL, 0);
    CHECK(pack_rebuild((struct str){0}, "why", &pack, &err) == ERR_CORRUPT);
    CHECK(pack_rebuild((struct str){zeros, sizeof zeros}, "why", &pack, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "why"));
    CHECK(pack_rebuild(text_str(&none->file), "why", &pack, &err) == ERR_CORRUPT);
    made_pack_free(none);
}

static int append_to(void *context, struct str bytes, uint64_t made_of, struct err *err)
{
    (void)made_of;
    (void)err;
    text_add(context, bytes);
    return 0;
}

/* With a press of `helpers`, as often as `times`; each time something fails in between. */
static void check_press(const struct made_pack *made, unsigned helpers, int times)
{
    struct pack_press *press = pack_press_new(3, helpers);
    for (int i = 0; i < times; i++) {
        struct text file = {0};
        int left = i;
        struct pack_input **inputs = make_pack_inputs(made);
        struct pack_build build = {.inputs = inputs,
                                   .count = made->count,
                                   .number = 1,
                                   .id = 42,
                                   .level = 3,
                                   .press = press,
                                   .fetch = make_pack_fetch,
                                   .write = never,
                                   .context = &left};
        CHECK(pack_build(&build, NULL) == ERR_FULL);
        build.write = append_to;
        build.context = &file;
        CHECK(pack_build(&build, NULL) == 0);
        struct text alone = {0};
        build.press = NULL;
        build.context = &alone;
        CHECK(pack_build(&build, NULL) == 0);
        CHECK(str_eq(text_str(&file), text_str(&alone)));
        text_free(&file);
        text_free(&alone);
        free(inputs);
    }
    pack_press_free(press);
}

TEST(a_pack_is_the_same_however_many_threads_make_it)
{
    static const size_t sizes[] = {1000, (5 << 20) + 12345, 1000, PACK_BLOCK + 1, 300000, 1000};
    struct made_pack *packs[] = {make_mixed(600, 6000, 2), make_sized(sizes, 6),
                                 make_mixed(3, 100, 1)};
    for (size_t p = 0; p < 3; p++) {
        for (unsigned helpers = 0; helpers <= PACK_HELPERS_MAX; helpers++)
            check_press(packs[p], helpers, 2);
        made_pack_free(packs[p]);
    }
}
