/* sqlite_row.c - see sqlite_row.h. */
#include "index/sqlite_row.h"

#include <inttypes.h>
#include <stdlib.h>

#include "index/hash.h"
#include "index/sqlite_staged.h"
#include "run/facts.h"

/* Columns, in the order of ROW_COLUMNS. */
enum {
    AT_NUMBER,
    AT_SUPERSEDED,
    AT_ID,
    AT_TRACE,
    AT_PARENT,
    AT_START,
    AT_END,
    AT_PROJECT,
    AT_NAME,
    AT_TYPE,
    AT_STATUS,
    AT_FLAGS,
    AT_VERSION,
    AT_POST_HASH,
    AT_HOLDERS
};

enum { GUESSED = 1, POSTED = 2, BY_DEFAULT = 4 };

/* --- rows ------------------------------------------------------------------------- */

/* Null: all zero. */
static bool read_bytes(sqlite3_stmt *s, int column, void *out)
{
    int size = sqlite3_column_bytes(s, column);
    if (size == 16)
        memcpy(out, sqlite3_column_blob(s, column), 16);
    else
        memset(out, 0, 16);
    return size == 16 || size == 0;
}

int row_read(sqlite3_stmt *s, struct row *row, struct err *err)
{
    int flags = sqlite3_column_int(s, AT_FLAGS);
    int type = sqlite3_column_int(s, AT_TYPE), status = sqlite3_column_int(s, AT_STATUS);
    struct merged *run = &row->run;
    row->number = (uint64_t)sqlite3_column_int64(s, AT_NUMBER);
    row->superseded = (uint64_t)sqlite3_column_int64(s, AT_SUPERSEDED);
    row->project = (uint64_t)sqlite3_column_int64(s, AT_PROJECT);
    row->name = (uint64_t)sqlite3_column_int64(s, AT_NAME);
    row->by_default = flags & BY_DEFAULT;
    bool sound = read_bytes(s, AT_ID, run->id.byte) && read_bytes(s, AT_TRACE, run->trace.byte) &&
                 read_bytes(s, AT_PARENT, run->parent.byte) &&
                 read_bytes(s, AT_POST_HASH, run->post_hash) && type >= 0 && type < RUN_TYPES &&
                 status >= 0 && status <= RUN_ERROR;
    if (!sound || sqlite3_column_bytes(s, AT_ID) != 16)
        return err_set(err, ERR_CORRUPT, "index: row %" PRIu64 " is damaged; run `rundlet reindex`",
                       row->number);
    run->start_us = sqlite3_column_int64(s, AT_START);
    run->end_us = sqlite3_column_type(s, AT_END) == SQLITE_NULL ? RUN_RUNNING
                                                                : sqlite3_column_int64(s, AT_END);
    run->type = (enum run_type)type;
    run->status = (enum run_status)status;
    run->version = (uint64_t)sqlite3_column_int64(s, AT_VERSION);
    run->guessed = flags & GUESSED;
    run->posted = flags & POSTED;
    run->count = 0;
    struct str holders = {sqlite3_column_blob(s, AT_HOLDERS),
                          (size_t)sqlite3_column_bytes(s, AT_HOLDERS)};
    return holders.len ? merge_read(holders, run->holder, &run->count, err) : 0;
}

static void bind_bytes(sqlite3_stmt *s, int column, const void *bytes, bool null)
{
    if (null)
        (void)sqlite3_bind_null(s, column + 1);
    else
        (void)sqlite3_bind_blob(s, column + 1, bytes, 16, SQLITE_STATIC);
}

/* Binding numbers and static bytes cannot fail. */
void row_bind(sqlite3_stmt *s, const struct row *row, struct str holders)
{
    const struct merged *run = &row->run;
    int flags = (run->guessed ? GUESSED : 0) | (run->posted ? POSTED : 0) |
                (row->by_default ? BY_DEFAULT : 0);
    (void)sqlite3_bind_int64(s, AT_NUMBER + 1, (int64_t)row->number);
    (void)sqlite3_bind_int64(s, AT_SUPERSEDED + 1, (int64_t)row->superseded);
    bind_bytes(s, AT_ID, run->id.byte, false);
    bind_bytes(s, AT_TRACE, run->trace.byte, uuid_is_zero(run->trace));
    bind_bytes(s, AT_PARENT, run->parent.byte, uuid_is_zero(run->parent));
    (void)sqlite3_bind_int64(s, AT_START + 1, run->start_us);
    if (run->end_us == RUN_RUNNING)
        (void)sqlite3_bind_null(s, AT_END + 1);
    else
        (void)sqlite3_bind_int64(s, AT_END + 1, run->end_us);
    (void)sqlite3_bind_int64(s, AT_PROJECT + 1, (int64_t)row->project);
    (void)sqlite3_bind_int64(s, AT_NAME + 1, (int64_t)row->name);
    (void)sqlite3_bind_int(s, AT_TYPE + 1, (int)run->type);
    (void)sqlite3_bind_int(s, AT_STATUS + 1, (int)run->status);
    (void)sqlite3_bind_int(s, AT_FLAGS + 1, flags);
    (void)sqlite3_bind_int64(s, AT_VERSION + 1, (int64_t)run->version);
    bind_bytes(s, AT_POST_HASH, run->post_hash, !run->posted);
    (void)sqlite3_bind_blob64(s, AT_HOLDERS + 1, holders.len ? holders.at : "", holders.len,
                              SQLITE_STATIC);
}

/* --- attributes --------------------------------------------------------------------- */

uint64_t row_attribute(uint64_t seed, enum row_attribute attribute, uint64_t project,
                       struct str key, struct str value)
{
    uint64_t h = hash_mix(seed ^ (uint64_t)attribute, project + UINT64_C(0xbf58476d1ce4e5b9));
    h = hash_bytes(h, key.at, key.len);
    return hash_bytes(h, value.at, value.len);
}

uint64_t row_attribute_uuid(uint64_t seed, enum row_attribute attribute, struct uuid id)
{
    struct str bytes = {(const char *)id.byte, sizeof id.byte};
    return row_attribute(seed, attribute, 0, bytes, (struct str){0});
}

static void add(struct row_attributes *attributes, uint64_t hash)
{
    if (attributes->count == attributes->cap) {
        attributes->cap = attributes->cap ? 2 * attributes->cap : 64;
        attributes->at = realloc(attributes->at, attributes->cap * sizeof *attributes->at);
        if (!attributes->at)
            abort();
    }
    /* Few and in no order: insertion keeps them sorted, and each once. */
    size_t i = attributes->count;
    while (i > 0 && attributes->at[i - 1] > hash)
        i--;
    if (i > 0 && attributes->at[i - 1] == hash)
        return;
    memmove(attributes->at + i + 1, attributes->at + i,
            (attributes->count - i) * sizeof *attributes->at);
    attributes->at[i] = hash;
    attributes->count++;
}

/* Long values are told apart well enough without: a key for each would be most of the keys. */
static bool has_key(const struct filter_cell *value)
{
    return value->present && filter_seen_whole(value->value.text);
}

static void add_facts(const struct row *row, const struct facts *facts, uint64_t seed,
                      struct row_attributes *result)
{
    struct str none = {0};
    for (size_t i = 0; i < facts->metadata_count; i++)
        if (has_key(&facts->metadata[i].value))
            add(result, row_attribute(seed, ATTRIBUTE_METADATA, row->project,
                                      facts->metadata[i].key, facts->metadata[i].value.value.text));
    for (size_t i = 0; i < facts->tag_count; i++)
        add(result, row_attribute(seed, ATTRIBUTE_TAG, row->project, facts->tags[i], none));
    if (facts->thread.at)
        add(result, row_attribute(seed, ATTRIBUTE_THREAD, row->project, facts->thread, none));
    if (facts->has_reference_example)
        add(result, row_attribute_uuid(seed, ATTRIBUTE_EXAMPLE, facts->reference_example));
}

int row_attributes(const struct row *row, struct str facts, uint64_t seed, struct arena *scratch,
                   struct row_attributes *result, struct err *err)
{
    result->count = 0;
    if (row->run.count == 0)
        return 0;
    if (!uuid_is_zero(row->run.parent))
        add(result, row_attribute_uuid(seed, ATTRIBUTE_PARENT, row->run.parent));
    if (facts.len == 0)
        return 0;
    struct facts read;
    int r = facts_read_labels(facts, scratch, &read, err);
    if (!r)
        add_facts(row, &read, seed, result);
    return r;
}

void row_attributes_free(struct row_attributes *attributes)
{
    free(attributes->at);
    *attributes = (struct row_attributes){0};
}

/* --- keys --------------------------------------------------------------------------- */

/* Of a prefix, the time and the id; the row's number follows. */
static void add_place(struct key *key, const struct row *row)
{
    key_add_time(key, row->run.start_us);
    key_add_id(key, row->run.id);
}

static int stage_attributes(struct staged *staged, const struct row *row,
                            const struct row_attributes *attributes, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < attributes->count; i++) {
        struct key key = {0};
        key_add_u64(&key, attributes->at[i]);
        add_place(&key, row);
        key_add_number(&key, row->number);
        r = staged_add(staged, KEYS_ATTRIBUTE, &key, err);
    }
    return r;
}

int row_stage(struct staged *staged, const struct row *row, const struct row_attributes *attributes,
              const uint64_t upto[KEYS_KINDS], struct err *err)
{
    struct key id = {0}, trace = {0}, start = {0}, name = {0}, project = {0};
    key_add_id(&id, row->run.id);
    key_add_number(&id, row->number);
    int r = row->number > upto[KEYS_ID] ? staged_add(staged, KEYS_ID, &id, err) : 0;
    if (r || row->run.count == 0)
        return r;

    key_add_id(&trace, row->run.trace);
    add_place(&trace, row);
    key_add_number(&trace, row->number);

    add_place(&start, row);
    key_add_number(&start, row->name);
    key_add_number(&start, row->number);

    key_add_number(&name, row->name);
    add_place(&name, row);
    key_add_number(&name, row->number);

    key_add_number(&project, row->project);
    add_place(&project, row);
    project.at[project.len++] = key_sort(uuid_is_zero(row->run.parent), row->run.type);
    key_add_number(&project, row->number);

    if (row->number > upto[KEYS_TRACE])
        r = staged_add(staged, KEYS_TRACE, &trace, err);
    if (!r && row->number > upto[KEYS_START])
        r = staged_add(staged, KEYS_START, &start, err);
    if (!r && row->number > upto[KEYS_NAME] && row->name != 0)
        r = staged_add(staged, KEYS_NAME, &name, err);
    if (!r && row->number > upto[KEYS_PROJECT])
        r = staged_add(staged, KEYS_PROJECT, &project, err);
    if (!r && row->number > upto[KEYS_ATTRIBUTE])
        r = stage_attributes(staged, row, attributes, err);
    return r;
}
