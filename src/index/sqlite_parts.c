/* sqlite_parts.c - see sqlite_parts.h.
 *
 * A part goes through three states.  BUILDING: its blocks are being written, in
 * one transaction or, by a merge, in many; no reader looks at it, and one that
 * is found at start was left by a crash and is dead.  LIVE.  DEAD: merged into
 * another; readers with older transactions still see its blocks, since SQLite
 * keeps them their snapshot, and they are cleared slice by slice.
 *
 * Block numbers are part << PART_SHIFT | position, so the blocks of one part
 * stand together, and a new part's are written at the end of their range.
 */
#include "index/sqlite_parts.h"

#include <assert.h>
#include <stdlib.h>

#include "index/sqlite_db.h"

enum {
    CLEAR_KEYS = 24,     /* a dead block is cleared for so many keys added */
    FENCES_PER_BLOCK = 8 /* deleting so many fences costs as much as one block */
};

/* A part that is being written. */
struct part_writer {
    struct parts *parts;
    struct part part;
    struct keys_filter *filter; /* NULL: none */
    unsigned char block[PART_BLOCK];
    size_t fill;
};

/* One part that is read upwards, block by block. */
struct merge_input {
    int64_t part;
    uint32_t next, blocks;
    unsigned char block[PART_BLOCK];
    size_t at, fill;
};

struct merge {
    struct part_writer out;
    struct merge_input in[PARTS_FAN];
    size_t count;
    uint64_t credit; /* keys it may merge now */
};

/* --- the list of parts -------------------------------------------------------- */

static void forget_filters(struct parts *parts)
{
    for (size_t i = 0; i < parts->filter_count; i++)
        keys_filter_unref(parts->filters[i]);
    parts->filter_count = 0;
}

static void forget_merge(struct merge **merge)
{
    if (*merge)
        keys_filter_unref((*merge)->out.filter);
    free(*merge);
    *merge = NULL;
}

static void add_dead(struct parts *parts, int64_t part)
{
    if (parts->dead_count == parts->dead_cap) {
        parts->dead_cap = parts->dead_cap ? parts->dead_cap * 2 : 32;
        parts->dead = realloc(parts->dead, parts->dead_cap * sizeof *parts->dead);
        if (!parts->dead)
            abort();
    }
    parts->dead[parts->dead_count++] = part;
}

static void add_filter(struct parts *parts, struct keys_filter *filter)
{
    if (parts->filter_count == parts->filter_cap) {
        parts->filter_cap = parts->filter_cap ? parts->filter_cap * 2 : 32;
        parts->filters = realloc(parts->filters, parts->filter_cap * sizeof(void *));
        if (!parts->filters)
            abort();
    }
    parts->filters[parts->filter_count++] = filter;
}

static bool is_live(const struct parts *parts, int64_t part)
{
    const struct part_list *list = &parts->reader->parts;
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i].part == part)
            return true;
    return false;
}

/* The list changed: readers must load it anew, and so must we. */
static int list_changed(struct parts *parts, struct err *err)
{
    parts->layout++;
    int r = keys_reader_load(parts->reader, parts->layout, err);
    size_t kept = 0;
    for (size_t i = 0; !r && i < parts->filter_count; i++) {
        if (is_live(parts, parts->filters[i]->part))
            parts->filters[kept++] = parts->filters[i];
        else
            keys_filter_unref(parts->filters[i]);
    }
    if (!r)
        parts->filter_count = kept;
    return r;
}

/* Every part that is stored: the dead ones, the number of the next, the filters. */
static int load_all(struct parts *parts, struct err *err)
{
    sqlite3_stmt *all = NULL;
    int r = db_prepare(parts->reader->db, "SELECT part, state, filter FROM part", &all, err);
    bool row = false;
    while (!r && !(r = db_step(all, &row, "list the parts", err)) && row) {
        int64_t part = sqlite3_column_int64(all, 0);
        if (part >= parts->next_part)
            parts->next_part = part + 1;
        if (sqlite3_column_int(all, 1) != PART_LIVE) {
            add_dead(parts, part);
            continue;
        }
        const void *bits = sqlite3_column_blob(all, 2);
        size_t size = (size_t)sqlite3_column_bytes(all, 2);
        if (!bits || size == 0 || size % KEYS_FILTER_LINE != 0)
            continue;
        struct keys_filter *filter = calloc(1, sizeof *filter + size);
        if (!filter)
            abort();
        *filter = (struct keys_filter){.part = part, .seed = parts->seed, .size = size};
        atomic_init(&filter->refs, 1);
        memcpy(filter->bits, bits, size);
        add_filter(parts, filter);
    }
    sqlite3_finalize(all);
    return r;
}

int parts_reload(struct parts *parts, int64_t layout, struct err *err)
{
    for (int k = 0; k < KEYS_KINDS; k++)
        for (int level = 0; level < PARTS_LEVELS; level++)
            forget_merge(&parts->merges[k][level]);
    forget_filters(parts);
    parts->dead_count = 0;
    parts->layout = layout;
    parts->reader->parts.layout = -1;
    int r = keys_reader_load(parts->reader, layout, err);
    return r ? r : load_all(parts, err);
}

int parts_open(struct parts *parts, struct keys_reader *reader, uint64_t seed, size_t flush,
               int64_t layout, struct err *err)
{
    *parts = (struct parts){.reader = reader, .seed = seed, .flush = flush, .next_part = 1};
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&parts->begin, "INSERT INTO part(part, kind, state) VALUES (?1, ?2, 0)"},
        {&parts->finish, "UPDATE part SET state = 1, level = ?2, blocks = ?3, keys = ?4,"
                         " first = ?5, last = ?6, filter = ?7 WHERE part = ?1"},
        {&parts->kill, "UPDATE part SET state = 2, filter = NULL WHERE part = ?1"},
        {&parts->forget, "DELETE FROM part WHERE part = ?1"},
        {&parts->add_block, "INSERT INTO block VALUES (?1, ?2)"},
        {&parts->add_fence, "INSERT INTO fence VALUES (?1, ?2, ?3)"},
        {&parts->clear_blocks, "DELETE FROM block WHERE block IN"
                               " (SELECT block FROM block WHERE block >= ?1 AND block < ?2"
                               "  LIMIT ?3)"},
        {&parts->clear_fences, "DELETE FROM fence WHERE part = ?1 AND first IN"
                               " (SELECT first FROM fence WHERE part = ?1 LIMIT ?2)"},
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        int r = db_prepare(reader->db, statements[i].sql, statements[i].statement, err);
        if (r)
            return r;
    }
    return parts_reload(parts, layout, err);
}

void parts_close(struct parts *parts)
{
    for (int k = 0; k < KEYS_KINDS; k++)
        for (int level = 0; level < PARTS_LEVELS; level++)
            forget_merge(&parts->merges[k][level]);
    forget_filters(parts);
    sqlite3_finalize(parts->begin);
    sqlite3_finalize(parts->finish);
    sqlite3_finalize(parts->kill);
    sqlite3_finalize(parts->forget);
    sqlite3_finalize(parts->add_block);
    sqlite3_finalize(parts->add_fence);
    sqlite3_finalize(parts->clear_blocks);
    sqlite3_finalize(parts->clear_fences);
    free(parts->filters);
    free(parts->dead);
    *parts = (struct parts){0};
}

/* --- writing one -------------------------------------------------------------- */

static int begin(struct parts *parts, struct part_writer *out, enum keys_kind kind, int level,
                 uint64_t keys, struct err *err)
{
    out->parts = parts;
    out->part = (struct part){.part = parts->next_part++, .kind = kind, .level = level};
    out->filter = NULL;
    out->fill = 0;
    if (keys_filter_prefix(kind) && keys <= PARTS_FILTERED)
        out->filter = keys_filter_new((size_t)keys, out->part.part, parts->seed);
    (void)sqlite3_bind_int64(parts->begin, 1, out->part.part); /* these binds cannot fail */
    (void)sqlite3_bind_int(parts->begin, 2, (int)kind);
    return db_run(parts->begin, "begin a part", err);
}

static int write_block(struct part_writer *out, struct err *err)
{
    struct parts *parts = out->parts;
    assert(out->part.blocks < 1 << PART_SHIFT);
    int64_t block = out->part.part << PART_SHIFT | out->part.blocks;
    (void)sqlite3_bind_int64(parts->add_block, 1, block); /* these binds cannot fail */
    (void)sqlite3_bind_blob(parts->add_block, 2, out->block, (int)out->fill, SQLITE_STATIC);
    int r = db_run(parts->add_block, "write a block", err);
    if (r)
        return r;
    (void)sqlite3_bind_int64(parts->add_fence, 1, out->part.part);
    (void)sqlite3_bind_blob(parts->add_fence, 2, out->block, (int)keys_width(out->part.kind),
                            SQLITE_STATIC);
    (void)sqlite3_bind_int64(parts->add_fence, 3, block);
    r = db_run(parts->add_fence, "write a block", err);
    out->part.blocks++;
    out->fill = 0;
    return r;
}

/* Keys come in ascending order. */
static int add_key(struct part_writer *out, const unsigned char *key, struct err *err)
{
    size_t width = keys_width(out->part.kind);
    if (out->fill > 0 && memcmp(out->block + out->fill - width, key, width) == 0)
        return 0; /* from two parts that overlap */
    if (out->fill + width > PART_BLOCK) {
        int r = write_block(out, err);
        if (r)
            return r;
    }
    if (out->part.keys++ == 0)
        memcpy(out->part.first, key, width);
    memcpy(out->block + out->fill, key, width);
    out->fill += width;
    if (out->filter)
        keys_filter_add(out->filter, key, keys_filter_prefix(out->part.kind));
    return 0;
}

/* Write the last block and make the part live. */
static int finish(struct part_writer *out, struct err *err)
{
    struct parts *parts = out->parts;
    size_t width = keys_width(out->part.kind);
    assert(out->part.keys > 0 && out->fill >= width);
    memcpy(out->part.last, out->block + out->fill - width, width);
    int r = write_block(out, err);
    if (r)
        return r;

    sqlite3_stmt *s = parts->finish;
    (void)sqlite3_bind_int64(s, 1, out->part.part); /* these binds cannot fail */
    (void)sqlite3_bind_int(s, 2, out->part.level);
    (void)sqlite3_bind_int64(s, 3, out->part.blocks);
    (void)sqlite3_bind_int64(s, 4, (int64_t)out->part.keys);
    (void)sqlite3_bind_blob(s, 5, out->part.first, (int)width, SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 6, out->part.last, (int)width, SQLITE_STATIC);
    if (out->filter)
        (void)sqlite3_bind_blob(s, 7, out->filter->bits, (int)out->filter->size, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, 7);
    r = db_run(s, "finish a part", err);
    if (!r && out->filter) {
        add_filter(parts, out->filter);
        out->filter = NULL;
    }
    return r;
}

int parts_write(struct parts *parts, enum keys_kind kind, struct keys_run *const *runs,
                size_t count, struct err *err)
{
    size_t width = keys_width(kind), at[KEYS_RUNS_MAX + 1] = {0}, keys = 0;
    assert(count <= KEYS_RUNS_MAX + 1);
    for (size_t i = 0; i < count; i++)
        keys += runs[i]->count;
    struct part_writer *out = malloc(sizeof *out);
    if (!out)
        return err_set(err, ERR_BUSY, "index: no memory for a part");
    int r = begin(parts, out, kind, 0, keys, err);
    while (!r) {
        const unsigned char *least = NULL;
        size_t from = 0;
        for (size_t i = 0; i < count; i++) {
            const unsigned char *key = runs[i]->at + at[i] * width;
            if (at[i] < runs[i]->count && (!least || key_order(key, least, width) < 0)) {
                least = key;
                from = i;
            }
        }
        if (!least)
            break;
        at[from]++;
        r = add_key(out, least, err);
    }
    if (!r)
        r = finish(out, err);
    if (!r)
        r = list_changed(parts, err);
    keys_filter_unref(out->filter);
    free(out);
    return r;
}

/* --- merging ------------------------------------------------------------------ */

/* Have keys at hand, or be at the end: at == fill. */
static int fill_input(struct parts *parts, struct merge_input *in, size_t width, struct err *err)
{
    if (in->at < in->fill || in->next == in->blocks)
        return 0;
    sqlite3_stmt *s = parts->reader->block;
    (void)sqlite3_bind_int64(s, 1, in->part << PART_SHIFT | in->next); /* cannot fail */
    bool row = false;
    int r = db_step(s, &row, "read a block", err);
    if (r)
        return r;
    const void *keys = row ? sqlite3_column_blob(s, 0) : NULL;
    size_t size = row ? (size_t)sqlite3_column_bytes(s, 0) : 0;
    if (keys && size > 0 && size <= PART_BLOCK && size % width == 0) {
        memcpy(in->block, keys, size);
        in->at = 0;
        in->fill = size;
        in->next++;
    } else {
        r = err_set(err, ERR_CORRUPT, "index: its keys are damaged; run `rundlet reindex`");
    }
    (void)sqlite3_reset(s); /* no step failed */
    return r;
}

/* When a level has enough parts, begin to merge the oldest of them. */
static int start_merge(struct parts *parts, enum keys_kind kind, int level, struct err *err)
{
    const struct part_list *list = &parts->reader->parts;
    const struct part *oldest[PARTS_FAN];
    size_t count = 0;
    for (size_t i = list->begin[kind + 1]; i > list->begin[kind] && count < PARTS_FAN; i--)
        if (list->at[i - 1].level == level)
            oldest[count++] = &list->at[i - 1];
    if (count < PARTS_FAN)
        return 0;

    struct merge *merge = calloc(1, sizeof *merge);
    if (!merge)
        return err_set(err, ERR_BUSY, "index: no memory for a merge");
    uint64_t keys = 0;
    for (size_t i = 0; i < count; i++) {
        merge->in[i].part = oldest[i]->part;
        merge->in[i].blocks = oldest[i]->blocks;
        keys += oldest[i]->keys;
    }
    merge->count = count;
    parts->merges[kind][level] = merge;
    int r = begin(parts, &merge->out, kind, level + 1, keys, err);
    return r;
}

static int finish_merge(struct parts *parts, struct merge *merge, struct err *err)
{
    int r = finish(&merge->out, err);
    for (size_t i = 0; !r && i < merge->count; i++) {
        (void)sqlite3_bind_int64(parts->kill, 1, merge->in[i].part); /* cannot fail */
        r = db_run(parts->kill, "retire a part", err);
        add_dead(parts, merge->in[i].part);
    }
    return r ? r : list_changed(parts, err);
}

/* The input with the least key; NULL when all are at their end. */
static struct merge_input *least_input(struct merge *merge, size_t width)
{
    struct merge_input *least = NULL;
    for (size_t i = 0; i < merge->count; i++) {
        struct merge_input *in = &merge->in[i];
        if (in->at < in->fill &&
            (!least || key_order(in->block + in->at, least->block + least->at, width) < 0))
            least = in;
    }
    return least;
}

/* Merge as many keys as there is credit for. */
static int step_merge(struct parts *parts, struct merge *merge, bool *done, struct err *err)
{
    size_t width = keys_width(merge->out.part.kind);
    int r = 0;
    for (size_t i = 0; !r && i < merge->count; i++)
        r = fill_input(parts, &merge->in[i], width, err);
    for (; !r && merge->credit > 0; merge->credit--) {
        struct merge_input *in = least_input(merge, width);
        if (!in) {
            *done = true;
            return finish_merge(parts, merge, err);
        }
        r = add_key(&merge->out, in->block + in->at, err);
        in->at += width;
        if (!r)
            r = fill_input(parts, in, width, err);
    }
    return r;
}

/* --- a slice of all of it ----------------------------------------------------- */

/* Delete rows of one dead part; *changed says how many there were. */
static int clear(struct parts *parts, sqlite3_stmt *statement, int64_t *changed, struct err *err)
{
    int r = db_run(statement, "clear a part", err);
    *changed = sqlite3_changes64(parts->reader->db);
    return r;
}

/* Clear the blocks of dead parts, then their fences, then forget them. */
static int clear_dead(struct parts *parts, uint64_t keys, struct err *err)
{
    int64_t credit = (int64_t)(keys / CLEAR_KEYS) + 1, changed = 0;
    while (parts->dead_count > 0 && credit > 0) {
        int64_t dead = parts->dead[parts->dead_count - 1];
        sqlite3_stmt *s = parts->clear_blocks; /* binding numbers cannot fail */
        (void)sqlite3_bind_int64(s, 1, dead << PART_SHIFT);
        (void)sqlite3_bind_int64(s, 2, (dead + 1) << PART_SHIFT);
        (void)sqlite3_bind_int64(s, 3, credit);
        int r = clear(parts, s, &changed, err);
        if (r)
            return r;
        credit -= changed;
        if (credit <= 0)
            break;
        (void)sqlite3_bind_int64(parts->clear_fences, 1, dead);
        (void)sqlite3_bind_int64(parts->clear_fences, 2, FENCES_PER_BLOCK * credit);
        r = clear(parts, parts->clear_fences, &changed, err);
        if (r)
            return r;
        credit -= changed / FENCES_PER_BLOCK + 1;
        if (credit < 0)
            break;
        (void)sqlite3_bind_int64(parts->forget, 1, dead);
        r = clear(parts, parts->forget, &changed, err);
        if (r)
            return r;
        parts->dead_count--;
    }
    return 0;
}

int parts_tend(struct parts *parts, const uint64_t added[KEYS_KINDS], struct err *err)
{
    uint64_t keys = 0;
    for (int k = 0; k < KEYS_KINDS; k++) {
        keys += added[k];
        for (int level = 0; added[k] > 0 && level < PARTS_LEVELS - 1; level++) {
            struct merge **merge = &parts->merges[k][level];
            int r = *merge ? 0 : start_merge(parts, (enum keys_kind)k, level, err);
            if (r)
                return r;
            if (!*merge)
                continue;
            bool done = false;
            (*merge)->credit += added[k] + added[k] / 2; /* done in two thirds of the time it has */
            r = step_merge(parts, *merge, &done, err);
            if (r)
                return r;
            if (done)
                forget_merge(merge);
        }
    }
    return parts->dead_count > 0 && keys > 0 ? clear_dead(parts, keys, err) : 0;
}
