/* bucket_build.c - see bucket_build.h. */
#include "store/bucket_build.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/spare.h"
#include "run/record.h"
#include "store/pack_build.h"
#include "store/segment.h"
#include "store/store.h"

enum { PROJECT_MAX = 4096, FIRST_ROOM = 64 << 10 };

/* Where the i-th run of a record is. */
static int part_of(const struct record *record, uint32_t i, struct record_part *part,
                   struct err *err)
{
    if (record->parts) {
        *part = record->parts[i];
        return part->entry ? 0 : err_set(err, ERR_CORRUPT, "a run of the batch is lost");
    }
    const char *entry = record->table.at + (size_t)i * RECORD_ENTRY;
    struct record_entry where;
    int r = record_locate(entry, record->table.len, record->body.len, &where, err);
    if (!r)
        *part = (struct record_part){
            .entry = entry,
            .spans = {record->table.at + where.spans_at, where.spans_len},
            .raw = {record->body.at + where.body_at, where.body_len},
        };
    return r;
}

/* The project of a run, as it orders packs. */
static struct str project_of(const struct record_part *part, const struct run *run)
{
    uint32_t at = 0, len = 0;
    if (!run_span(run, RUN_SESSION_NAME, &at, &len))
        (void)run_span(run, RUN_SESSION_ID, &at, &len);
    if (at > part->raw.len || len > part->raw.len - at)
        return (struct str){0}; /* damaged: pack_build() says so */
    return (struct str){part->raw.at + at, len < PROJECT_MAX ? len : PROJECT_MAX};
}

static int add_record(const struct store_record *from, struct pack_input *inputs, struct err *err)
{
    const struct record *record = from->record;
    for (uint32_t i = 0; i < record->count; i++) {
        struct record_part part;
        int r = part_of(record, i, &part, err);
        if (r)
            return r;
        struct run run = record_peek(part.entry);
        run.spans = part.spans.at;
        inputs[i] = (struct pack_input){
            .entry = part.entry,
            .spans = part.spans,
            .raw_len = (uint32_t)part.raw.len,
            .raw_at = (uint64_t)(uintptr_t)part.raw.at,
            .project = project_of(&part, &run),
            .id = run.id,
            .trace = run.trace,
            .start_us = run.start_us,
            .sequence = from->sequence,
            .received_us = record->received_us,
            .ordinal = from->first.ordinal + i,
            .first = from->first.ordinal,
            .count = record->count,
            .kind = SEGMENT_POST,
        };
    }
    return 0;
}

static int fetch(void *context, const struct pack_input *in, size_t from, char *room, size_t size,
                 struct err *err)
{
    (void)context;
    (void)err;
    memcpy(room, (const char *)(uintptr_t)in->raw_at + from, size);
    return 0;
}

static int write_to_buf(void *context, struct str bytes, uint64_t made_of, struct err *err)
{
    (void)made_of;
    struct buf **buf = context;
    if ((*buf)->cap - (*buf)->len < bytes.len) {
        struct buf *more = buf_grow(*buf, 2 * (*buf)->cap + bytes.len);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for a pack of %zu bytes",
                           (*buf)->len + bytes.len);
        *buf = more;
    }
    memcpy((*buf)->at + (*buf)->len, bytes.at, bytes.len);
    (*buf)->len += bytes.len;
    return 0;
}

int bucket_build(uint64_t number, const struct store_record *records, size_t count,
                 uint64_t previous_sequence, struct pack_press *press, struct spare *spare,
                 struct buf **result, struct err *err)
{
    size_t runs = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        runs += records[i].record->count;
        size += records[i].record->body.len;
    }
    /* What hardly compresses fits; memory that stays untouched costs nothing. */
    size_t room = size - size / 3 + FIRST_ROOM;
    struct buf *buf = spare_take(spare, room);
    if (!buf)
        buf = buf_new(room);
    struct pack_input *inputs = malloc((runs + 1) * sizeof *inputs);
    struct pack_input **list = malloc((runs + 1) * sizeof(struct pack_input *));
    uint64_t id = 0;
    int r = 0;
    if (!buf || !inputs || !list)
        r = err_set(err, ERR_BUSY, "no memory for a pack of %zu runs", runs);
    else if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        r = err_set(err, ERR_UNAVAILABLE, "no random bytes for a pack");
    size_t filled = 0;
    for (size_t i = 0; i < count && !r; i++) {
        assert(records[i].first.container == number);
        r = add_record(&records[i], inputs + filled, err);
        filled += records[i].record->count;
    }
    for (size_t i = 0; i < runs && !r; i++)
        list[i] = &inputs[i];
    if (!r) {
        const struct pack_build build = {
            .inputs = list,
            .count = (uint32_t)runs,
            .number = number,
            .id = id,
            .previous_sequence = previous_sequence,
            .last_sequence = records[count - 1].sequence,
            .created_us = clock_now_us(),
            .level = BUCKET_LEVEL,
            .press = press,
            .fetch = fetch,
            .write = write_to_buf,
            .context = &buf,
        };
        r = pack_build(&build, err);
    }
    free(list);
    free(inputs);
    if (r)
        buf_unref(buf);
    else
        *result = buf;
    return r;
}
