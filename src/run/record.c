/* record.c - see record.h.
 *
 * The offsets below are docs/design/segment-format.md, Entry.  Whoever adds a
 * type, a status or a flag raises the record's version, so that an older
 * program refuses the record instead of calling it damaged.
 */
#include "run/record.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "run/entity.h"

enum {
    AT_ID = 0,
    AT_TRACE = 16,
    AT_PARENT = 32,
    AT_HASH = 48,
    AT_START = 64,
    AT_END = 72,
    AT_BODY_AT = 80,
    AT_BODY_LEN = 84,
    AT_SPANS_AT = 88,
    AT_PRESENT = 92,
    AT_BODY_CRC = 96,
    AT_TYPE = 100,
    AT_STATUS = 101,
    AT_KIND = 102,
    AT_FLAGS = 103, /* to AT_CRC: zero */
    AT_CRC = 108
};

static uint32_t spans_len(uint32_t present)
{
    return (uint32_t)__builtin_popcount(present) * RECORD_SPAN;
}

void record_write_entry(char *entry, const struct run *run, uint32_t spans_at, uint32_t body_at)
{
    assert(run->raw.len <= UINT32_MAX);
    memcpy(entry + AT_ID, run->id.byte, 16);
    memcpy(entry + AT_TRACE, run->trace.byte, 16);
    memcpy(entry + AT_PARENT, run->parent.byte, 16);
    put_u64(entry + AT_HASH, run->hash[0]);
    put_u64(entry + AT_HASH + 8, run->hash[1]);
    put_u64(entry + AT_START, (uint64_t)run->start_us);
    put_u64(entry + AT_END, (uint64_t)run->end_us);
    put_u32(entry + AT_BODY_AT, body_at);
    put_u32(entry + AT_BODY_LEN, (uint32_t)run->raw.len);
    put_u32(entry + AT_SPANS_AT, spans_at);
    put_u32(entry + AT_PRESENT, run->present);
    put_u32(entry + AT_BODY_CRC, crc32c(0, run->raw.at, run->raw.len));
    bool entity = run->kind == RUN_ENTITY;
    entry[AT_TYPE] = (char)(entity ? run->entity : (unsigned)run->type);
    entry[AT_STATUS] = (char)(entity ? 0 : run->status);
    entry[AT_KIND] = (char)run->kind;
    memset(entry + AT_FLAGS, 0, AT_CRC - AT_FLAGS);

    uint32_t crc = crc32c(0, entry, AT_CRC);
    put_u32(entry + AT_CRC, crc32c(crc, run->spans, spans_len(run->present)));
}

void record_move_spans(char *entry, const char *spans, uint32_t by)
{
    uint32_t at = get_u32(entry + AT_SPANS_AT);
    assert(at <= UINT32_MAX - by);
    put_u32(entry + AT_SPANS_AT, at + by);
    uint32_t crc = crc32c(0, entry, AT_CRC);
    put_u32(entry + AT_CRC, crc32c(crc, spans + at, spans_len(get_u32(entry + AT_PRESENT))));
}

int record_locate(const char *entry, size_t table_len, size_t body_len, struct record_entry *result,
                  struct err *err)
{
    struct record_entry e = {
        .spans_at = get_u32(entry + AT_SPANS_AT),
        .spans_len = spans_len(get_u32(entry + AT_PRESENT)),
        .body_at = get_u32(entry + AT_BODY_AT),
        .body_len = get_u32(entry + AT_BODY_LEN),
    };
    if (e.spans_at > table_len || e.spans_len > table_len - e.spans_at)
        return err_set(err, ERR_CORRUPT, "entry: spans outside the table");
    if (e.body_at > body_len || e.body_len > body_len - e.body_at)
        return err_set(err, ERR_CORRUPT, "entry: run outside the body");
    *result = e;
    return 0;
}

struct run record_peek(const char *entry)
{
    struct run run = {
        .start_us = (int64_t)get_u64(entry + AT_START),
        .end_us = (int64_t)get_u64(entry + AT_END),
        .kind = (enum run_kind)(unsigned char)entry[AT_KIND],
        .hash = {get_u64(entry + AT_HASH), get_u64(entry + AT_HASH + 8)},
        .present = get_u32(entry + AT_PRESENT),
    };
    memcpy(run.id.byte, entry + AT_ID, 16);
    memcpy(run.trace.byte, entry + AT_TRACE, 16);
    memcpy(run.parent.byte, entry + AT_PARENT, 16);
    if (run.kind == RUN_ENTITY) {
        run.entity = (unsigned char)entry[AT_TYPE];
    } else {
        run.type = (enum run_type)(unsigned char)entry[AT_TYPE];
        run.status = (enum run_status)(unsigned char)entry[AT_STATUS];
    }
    return run;
}

bool record_entry_sound(const char *entry, struct str spans)
{
    return crc32c(crc32c(0, entry, AT_CRC), spans.at, spans.len) == get_u32(entry + AT_CRC);
}

uint32_t record_raw_crc(const char *entry)
{
    return get_u32(entry + AT_BODY_CRC);
}

static int check_sums(const char *entry, struct str spans, struct str raw, struct err *err)
{
    if (!record_entry_sound(entry, spans))
        return err_set(err, ERR_CORRUPT, "entry: wrong checksum");
    if (crc32c(0, raw.at, raw.len) != record_raw_crc(entry))
        return err_set(err, ERR_CORRUPT, "run: wrong checksum");
    return 0;
}

static int decode(const char *entry, struct str spans, struct str raw, bool fresh,
                  struct run *result, struct err *err)
{
    uint32_t present = get_u32(entry + AT_PRESENT);
    if (spans.len != spans_len(present) || raw.len != get_u32(entry + AT_BODY_LEN))
        return err_set(err, ERR_CORRUPT, "entry: not the lengths it names");
    int r = fresh ? 0 : check_sums(entry, spans, raw, err);
    if (r)
        return r;

    unsigned type = (unsigned char)entry[AT_TYPE], status = (unsigned char)entry[AT_STATUS];
    unsigned kind = (unsigned char)entry[AT_KIND];
    unsigned types = kind == RUN_ENTITY ? ENTITY_KINDS : RUN_TYPES;
    if (kind >= RUN_KINDS || type >= types || status > RUN_ERROR)
        return err_set(err, ERR_CORRUPT, "entry: kind %u, type %u, status %u", kind, type, status);
    for (int i = AT_FLAGS; i < AT_CRC; i++)
        if (entry[i])
            return err_set(err, ERR_CORRUPT, "entry: unknown flags");
    for (size_t i = 0; i < spans.len; i += RECORD_SPAN) {
        uint32_t at = get_u32(spans.at + i), len = get_u32(spans.at + i + 4);
        if (at > raw.len || len > raw.len - at)
            return err_set(err, ERR_CORRUPT, "entry: a field outside its run");
    }

    *result = record_peek(entry);
    result->spans = spans.at;
    result->raw = raw;
    return 0;
}

int record_decode(const char *entry, struct str spans, struct str raw, struct run *result,
                  struct err *err)
{
    return decode(entry, spans, raw, false, result, err);
}

int record_run(const struct record *record, uint32_t i, struct run *result, struct err *err)
{
    assert(i < record->count);
    if (record->parts) {
        const struct record_part *part = &record->parts[i];
        return part->entry ? decode(part->entry, part->spans, part->raw, false, result, err)
                           : err_set(err, ERR_CORRUPT, "lost with the block that held it");
    }
    if (record->table.len / RECORD_ENTRY < record->count)
        return err_set(err, ERR_CORRUPT, "table: shorter than its %u entries", record->count);
    const char *entry = record->table.at + (size_t)i * RECORD_ENTRY;
    struct record_entry e;
    int r = record_locate(entry, record->table.len, record->body.len, &e, err);
    if (r)
        return r;
    return decode(entry, (struct str){record->table.at + e.spans_at, e.spans_len},
                  (struct str){record->body.at + e.body_at, e.body_len}, record->fresh, result,
                  err);
}

static const char *entry_of(const struct record *record, uint32_t i)
{
    if (record->parts)
        return record->parts[i].entry;
    return record->table.len / RECORD_ENTRY > i ? record->table.at + (size_t)i * RECORD_ENTRY
                                                : NULL;
}

struct uuid record_id(const struct record *record, uint32_t i)
{
    struct uuid id = {0};
    const char *entry = entry_of(record, i);
    if (entry)
        memcpy(id.byte, entry + AT_ID, sizeof id.byte);
    else if (record->parts)
        id = record->parts[i].id;
    return id;
}

struct uuid record_about(const struct record *record, uint32_t i)
{
    struct uuid none = {0};
    const char *entry = entry_of(record, i);
    if (!entry)
        return none;
    struct run run = record_peek(entry);
    if (run.kind != RUN_ENTITY)
        return run.id;
    return run.entity == ENTITY_FEEDBACK || run.entity == ENTITY_SHARE ? run.parent : none;
}

uint64_t record_weight(const struct record *record)
{
    uint64_t weight = record->table.len + record->body.len;
    for (uint32_t i = 0; record->parts && i < record->count; i++)
        weight += RECORD_ENTRY + record->parts[i].spans.len + record->parts[i].raw.len;
    return weight;
}

static struct record_part part_of(const struct record *record, uint32_t i)
{
    if (record->parts)
        return record->parts[i];
    struct record_entry e;
    const char *entry = record->table.at + (size_t)i * RECORD_ENTRY;
    int r = record_locate(entry, record->table.len, record->body.len, &e, NULL);
    assert(r == 0); /* it is sound */
    (void)r;
    return (struct record_part){.entry = entry,
                                .spans = {record->table.at + e.spans_at, e.spans_len},
                                .raw = {record->body.at + e.body_at, e.body_len}};
}

struct record record_copy_some(const struct record *record, uint32_t from, uint32_t count,
                               struct arena *arena)
{
    assert(from <= record->count && count <= record->count - from);
    struct record_part *parts = arena_make(arena, struct record_part, count);
    for (uint32_t i = 0; i < count; i++)
        parts[i] = part_of(record, from + i);
    const struct record some = {
        .count = count, .received_us = record->received_us, .expect = RECORD_ANY, .parts = parts};
    return record_copy(&some, arena);
}

static struct str copy(struct buf *buf, struct str s)
{
    char *to = buf->at + buf->len;
    if (s.len > 0)
        memcpy(to, s.at, s.len);
    buf->len += s.len;
    return (struct str){to, s.len};
}

struct record record_copy(const struct record *record, struct arena *arena)
{
    struct record result = *record;
    result.facts = NULL;
    struct buf *buf = buf_new(record_weight(record));
    if (!buf)
        abort();
    arena_keep(arena, buf);
    result.table = copy(buf, record->table);
    result.body = copy(buf, record->body);
    if (!record->parts)
        return result;

    struct record_part *parts = arena_make(arena, struct record_part, record->count);
    for (uint32_t i = 0; i < record->count; i++) {
        const struct record_part *from = &record->parts[i];
        parts[i] = *from;
        if (!from->entry)
            continue;
        parts[i].entry = copy(buf, (struct str){from->entry, RECORD_ENTRY}).at;
        parts[i].spans = copy(buf, from->spans);
        parts[i].raw = copy(buf, from->raw);
    }
    result.parts = parts;
    return result;
}

struct record record_make(const struct run *runs, uint32_t count, int64_t received_us,
                          struct arena *arena)
{
    size_t spans = 0, raw = 0;
    for (uint32_t i = 0; i < count; i++) {
        spans += (size_t)__builtin_popcount(runs[i].present) * RECORD_SPAN;
        raw += runs[i].raw.len;
    }
    size_t table_len = (size_t)count * RECORD_ENTRY + spans;
    assert(table_len <= UINT32_MAX && raw <= UINT32_MAX);
    struct buf *buf = buf_new(table_len + raw);
    if (!buf)
        abort();
    arena_keep(arena, buf);
    buf->len = table_len + raw;
    size_t spans_at = (size_t)count * RECORD_ENTRY, raw_at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct run *run = &runs[i];
        size_t len = (size_t)__builtin_popcount(run->present) * RECORD_SPAN;
        record_write_entry(buf->at + (size_t)i * RECORD_ENTRY, run, (uint32_t)spans_at,
                           (uint32_t)raw_at);
        if (len > 0)
            memcpy(buf->at + spans_at, run->spans, len);
        if (run->raw.len > 0)
            memcpy(buf->at + table_len + raw_at, run->raw.at, run->raw.len);
        spans_at += len;
        raw_at += run->raw.len;
    }
    return (struct record){.count = count,
                           .received_us = received_us,
                           .table = {buf->at, table_len},
                           .body = {buf->at + table_len, raw},
                           .expect = RECORD_ANY,
                           .fresh = true};
}
