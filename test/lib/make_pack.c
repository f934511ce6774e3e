/* make_pack.c - see make_pack.h. */
#include "lib/make_pack.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "run/record.h"
#include "store/segment.h"

static int append(void *context, struct str bytes, uint64_t made_of, struct err *err)
{
    (void)made_of;
    (void)err;
    text_add(context, bytes);
    return 0;
}

int make_pack_fetch(void *context, const struct pack_input *in, size_t from, char *room,
                    size_t size, struct err *err)
{
    (void)context;
    (void)err;
    memcpy(room, (const char *)(uintptr_t)in->raw_at + from, size);
    return 0;
}

static void add_batch(struct made_pack *made, const struct make_batch *batch)
{
    struct made_record *record = make_record(batch->runs, batch->count);
    made->made[made->batches++] = record;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct packed_run *packed = &made->runs[made->count++];
        *packed = (struct packed_run){.entry = record->record.table.at + (size_t)i * RECORD_ENTRY,
                                      .ordinal = batch->first + i,
                                      .first = batch->first,
                                      .count = (uint32_t)batch->count,
                                      .sequence = batch->sequence,
                                      .received_us = batch->received_us};
        int r = record_run(&record->record, i, &packed->run, NULL);
        assert(r == 0);
        (void)r;
        packed->project = run_field(&packed->run, RUN_SESSION_NAME);
    }
}

struct pack_input **make_pack_inputs(const struct made_pack *made)
{
    size_t count = (size_t)made->count + 1;
    struct pack_input **result = calloc(count, sizeof(struct pack_input *) + sizeof **result);
    assert(result);
    struct pack_input *inputs = (struct pack_input *)(void *)(result + count);
    for (uint32_t i = 0; i < made->count; i++) {
        const struct packed_run *packed = &made->runs[i];
        const struct run *run = &packed->run;
        result[i] = &inputs[i];
        inputs[i] = (struct pack_input){
            .entry = packed->entry,
            .spans = {run->spans, RECORD_SPAN * (size_t)__builtin_popcount(run->present)},
            .raw_len = (uint32_t)run->raw.len,
            .raw_at = (uintptr_t)run->raw.at,
            .project = packed->project,
            .id = run->id,
            .trace = run->trace,
            .start_us = run->start_us,
            .sequence = packed->sequence,
            .received_us = packed->received_us,
            .ordinal = packed->ordinal,
            .first = packed->first,
            .count = packed->count,
            .kind = SEGMENT_POST,
        };
    }
    return result;
}

struct made_pack *make_pack(uint64_t number, const struct make_batch *batches, size_t count)
{
    struct made_pack *made = calloc(1, sizeof *made);
    size_t runs = 0;
    for (size_t i = 0; i < count; i++)
        runs += batches[i].count;
    assert(made);
    made->runs = calloc(runs + 1, sizeof *made->runs);
    made->made = calloc(count + 1, sizeof(struct made_record *));
    assert(made->runs && made->made);
    for (size_t i = 0; i < count; i++)
        add_batch(made, &batches[i]);

    struct pack_input **inputs = make_pack_inputs(made);
    const struct pack_build build = {
        .inputs = inputs,
        .count = made->count,
        .number = number,
        .id = 42,
        .previous_sequence = count > 0 ? batches[0].sequence - 1 : 0,
        .last_sequence = count > 0 ? batches[count - 1].sequence : 0,
        .created_us = 1000,
        .level = 3,
        .fetch = make_pack_fetch,
        .write = append,
        .context = &made->file,
    };
    struct err err = {0};
    if (pack_build(&build, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    free(inputs);
    return made;
}

void made_pack_free(struct made_pack *made)
{
    if (!made)
        return;
    for (size_t i = 0; i < made->batches; i++)
        made_free(made->made[i]);
    free(made->made);
    free(made->runs);
    text_free(&made->file);
    free(made);
}

bool same_run(const struct run *a, const struct run *b)
{
    return uuid_compare(a->id, b->id) == 0 && uuid_compare(a->trace, b->trace) == 0 &&
           uuid_compare(a->parent, b->parent) == 0 && a->start_us == b->start_us &&
           a->end_us == b->end_us && a->type == b->type && a->status == b->status &&
           a->hash[0] == b->hash[0] && a->hash[1] == b->hash[1] && a->present == b->present &&
           memcmp(a->spans, b->spans, 8u * (unsigned)__builtin_popcount(a->present)) == 0 &&
           str_eq(a->raw, b->raw);
}

void make_noise(struct make_random *random, char *room, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 10 == 0)
            bits = make_random(random);
        room[i] = letters[bits & 63];
        bits >>= 6;
    }
    room[len] = '\0';
}
