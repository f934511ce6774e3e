/* skeleton.c - see skeleton.h. */
#include "run/skeleton.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "run/facts.h"
#include "run/run.h"
#include "run/view.h"
#include "wire/json_string.h"

enum {
    BLOCK = 4096, /* runs whose room is taken at once */
    BLOCKS = (SKELETON_RUNS + BLOCK - 1) / BLOCK,
    NAMES_STEP = 64 << 10, /* bytes of names likewise */
    CELL = 64              /* bytes of a cell, names and costs excepted: an id has 39 */
};

enum { NO_PARENT_THERE = 1, HAS_ATTACHMENTS = 2, MAY_HAVE_FEEDBACK = 4, WAS_A_CIRCLE = 8 };

struct node {
    struct uuid id, parent;
    int64_t start_us, duration_us, tokens, first_token_us; /* -1: none */
    double cost;                                           /* NAN: none */
    int32_t parent_at;                                     /* -1: none */
    uint32_t name;
    uint32_t walk; /* of closing: from which run it was come by; 0: it was not */
    uint8_t type, status, flags;
};

/* Numbers by hash; a slot has the number + 1. */
struct table {
    uint32_t *slots;
    size_t room; /* a power of two, twice as many as there are */
};

struct skeleton {
    struct arena *arena;
    struct budget *budget;
    struct node *blocks[BLOCKS];
    size_t count;
    struct table ids, names;
    struct str *name; /* by number; the first is "" */
    size_t name_count, name_room, name_bytes, name_charged;
    XXH128_hash_t hash;
    struct uuid trace, project;
    struct str project_name;
    bool truncated;
    bool begun; /* of writing: where it is */
    size_t name_at, row;
    unsigned column;
};

static struct node *node_at(const struct skeleton *s, size_t i)
{
    return &s->blocks[i / BLOCK][i % BLOCK];
}

static int charge(struct skeleton *s, size_t size, struct err *err)
{
    struct buf *buf = buf_new(0);
    if (!buf || !buf_charge(buf, s->budget, size)) {
        buf_unref(buf);
        return err_set(err, ERR_BUSY, "Too many answers are in memory; try again in a moment");
    }
    arena_keep(s->arena, buf);
    return 0;
}

/* --- runs and names by what they are --------------------------------------------------- */

static struct uuid id_at(const struct skeleton *s, size_t i)
{
    return node_at(s, i)->id;
}

static uint64_t hash_id(struct uuid id)
{
    return XXH3_64bits(id.byte, sizeof id.byte);
}

static uint64_t hash_name(struct str name)
{
    return XXH3_64bits(name.at, name.len);
}

/* The slot of this id: that of the run, or the empty one where it would be. */
static uint32_t *slot_of_id(const struct skeleton *s, struct uuid id)
{
    size_t at = hash_id(id) & (s->ids.room - 1);
    while (s->ids.slots[at] && uuid_compare(id_at(s, s->ids.slots[at] - 1), id) != 0)
        at = (at + 1) & (s->ids.room - 1);
    return &s->ids.slots[at];
}

static uint32_t *slot_of_name(const struct skeleton *s, struct str name)
{
    size_t at = hash_name(name) & (s->names.room - 1);
    while (s->names.slots[at] && !str_eq(s->name[s->names.slots[at] - 1], name))
        at = (at + 1) & (s->names.room - 1);
    return &s->names.slots[at];
}

static void grow_ids(struct skeleton *s)
{
    if (2 * (s->count + 1) <= s->ids.room)
        return;
    s->ids.room = s->ids.room ? 2 * s->ids.room : 256;
    s->ids.slots = arena_make(s->arena, uint32_t, s->ids.room);
    for (size_t i = 0; i < s->count; i++)
        *slot_of_id(s, id_at(s, i)) = (uint32_t)i + 1;
}

static void grow_names(struct skeleton *s)
{
    if (s->name_count < s->name_room)
        return;
    struct str *old = s->name;
    s->name_room = s->name_room ? 2 * s->name_room : 64;
    s->name = arena_make(s->arena, struct str, s->name_room);
    if (s->name_count)
        memcpy(s->name, old, s->name_count * sizeof *old);
    s->names.room = 2 * s->name_room;
    s->names.slots = arena_make(s->arena, uint32_t, s->names.room);
    for (size_t i = 0; i < s->name_count; i++)
        *slot_of_name(s, s->name[i]) = (uint32_t)i + 1;
}

/* To the last whole character. */
static struct str shortened(struct str name)
{
    if (name.len <= SKELETON_NAME)
        return name;
    name.len = SKELETON_NAME;
    while (name.len > 0 && ((unsigned char)name.at[name.len] & 0xc0) == 0x80)
        name.len--;
    return name;
}

static int number_of_name(struct skeleton *s, struct str name, uint32_t *number, struct err *err)
{
    name = shortened(name);
    uint32_t *slot = slot_of_name(s, name);
    *number = *slot ? *slot - 1 : 0;
    if (*slot || s->name_bytes + name.len > SKELETON_NAMES)
        return 0;
    /* The text, and its places in two tables that doubled. */
    s->name_bytes += name.len;
    size_t size = s->name_bytes + s->name_count * 8 * sizeof *s->name;
    if (size > s->name_charged) {
        if (charge(s, NAMES_STEP, err))
            return (int)err->code;
        s->name_charged += NAMES_STEP;
    }
    *number = (uint32_t)s->name_count;
    s->name[s->name_count++] = arena_copy(s->arena, name);
    *slot = *number + 1;
    grow_names(s);
    return 0;
}

/* --- adding ---------------------------------------------------------------------------- */

struct skeleton *skeleton_new(struct arena *arena, struct budget *budget)
{
    struct skeleton *s = arena_make(arena, struct skeleton, 1);
    s->arena = arena;
    s->budget = budget;
    s->hash.low64 = SKELETON_VERSION;
    grow_ids(s);
    grow_names(s);
    s->name[s->name_count++] = STR("");
    *slot_of_name(s, STR("")) = 1;
    return s;
}

static int64_t number_of(const struct facts_usage *usage, enum facts_number number)
{
    return usage->has[number] ? (int64_t)usage->value[number] : -1;
}

static void fill_from_facts(struct node *node, const struct facts *facts, int64_t start_us)
{
    node->tokens = node->first_token_us = -1;
    node->cost = (double)NAN;
    if (!facts)
        return;
    node->tokens = number_of(&facts->usage, FACTS_TOTAL_TOKENS);
    if (facts->usage.has[FACTS_TOTAL_COST] && isfinite(facts->usage.value[FACTS_TOTAL_COST]))
        node->cost = facts->usage.value[FACTS_TOTAL_COST];
    if (facts->has_first_token)
        node->first_token_us =
            facts->first_token_us > start_us ? facts->first_token_us - start_us : 0;
    if (facts->attachment_count > 0)
        node->flags |= HAS_ATTACHMENTS;
}

static void fill(struct node *node, const struct view *run, bool silent)
{
    static const uint8_t status[] = {
        [RUN_SUCCESS] = 0,
        [RUN_ERROR] = 1,
        [RUN_PENDING] = 2,
    };
    *node = (struct node){
        .id = run->id,
        .parent = run->parent,
        .start_us = run->start_us,
        .duration_us = -1,
        .type = (uint8_t)run->type,
        .status = status[run->status],
        .flags = silent ? 0 : MAY_HAVE_FEEDBACK,
    };
    if (run->end_us != RUN_RUNNING)
        node->duration_us = run->end_us > run->start_us ? run->end_us - run->start_us : 0;
    fill_from_facts(node, run->facts, run->start_us);
}

/* What a change of the run changes. */
static void add_to_hash(struct skeleton *s, const struct view *run, uint64_t project_version)
{
    struct {
        XXH128_hash_t before;
        struct uuid id;
        uint64_t version, project_version;
    } of = {s->hash, run->id, run->version, project_version};
    s->hash = XXH3_128bits(&of, sizeof of);
}

/* Room for one more, charged with its places in a table that doubled. */
static int make_room(struct skeleton *s, struct err *err)
{
    if (s->count % BLOCK == 0) {
        if (charge(s, BLOCK * (sizeof(struct node) + 8 * sizeof *s->ids.slots), err))
            return (int)err->code;
        s->blocks[s->count / BLOCK] = arena_make(s->arena, struct node, BLOCK);
    }
    grow_ids(s);
    return 0;
}

int skeleton_add(struct skeleton *s, const struct view *run, uint64_t project_version, bool silent,
                 struct err *err)
{
    assert(s->count < SKELETON_RUNS);
    if (*slot_of_id(s, run->id))
        return 0;
    if (make_room(s, err))
        return (int)err->code;
    if (s->count == 0) {
        s->trace = run->trace;
        s->project = run->project;
        s->project_name = arena_copy(s->arena, run->project_name);
    }
    struct node *node = node_at(s, s->count);
    fill(node, run, silent);
    if (run->facts && run->facts->name.at && number_of_name(s, run->facts->name, &node->name, err))
        return (int)err->code;
    add_to_hash(s, run, project_version);
    *slot_of_id(s, run->id) = (uint32_t)++s->count;
    return 0;
}

size_t skeleton_count(const struct skeleton *s)
{
    return s->count;
}

/* --- closing ---------------------------------------------------------------------------- */

/* From run `i` upwards, as far as nobody came yet.  Who comes to where this very walk was
 * has gone round: the circle is cut there. */
static void cut_circle(struct skeleton *s, size_t i)
{
    uint32_t walk = (uint32_t)i + 1;
    struct node *node = node_at(s, i);
    while (node->walk == 0) {
        node->walk = walk;
        if (node->parent_at < 0)
            return;
        struct node *parent = node_at(s, (size_t)node->parent_at);
        if (parent->walk == walk) {
            node->parent_at = -1;
            node->flags |= WAS_A_CIRCLE;
            return;
        }
        node = parent;
    }
}

void skeleton_close(struct skeleton *s, bool truncated)
{
    s->truncated = truncated;
    s->hash.high64 ^= truncated;
    for (size_t i = 0; i < s->count; i++) {
        struct node *node = node_at(s, i);
        node->parent_at = -1;
        if (uuid_is_zero(node->parent))
            continue;
        uint32_t slot = *slot_of_id(s, node->parent);
        if (slot)
            node->parent_at = (int32_t)slot - 1;
        else
            node->flags |= NO_PARENT_THERE;
    }
    for (size_t i = 0; i < s->count; i++)
        cut_circle(s, i);
}

void skeleton_hash(const struct skeleton *s, uint64_t hash[2])
{
    hash[0] = s->hash.low64;
    hash[1] = s->hash.high64;
}

/* --- writing ---------------------------------------------------------------------------- */

/* Most of the answer is numbers; printf() would be most of its time. */
static char *add_number(char *at, int64_t number)
{
    char digits[20];
    size_t n = 0;
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    if (number < 0)
        *at++ = '-';
    do
        digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

typedef char *cell_fn(const struct skeleton *s, const struct node *node, char *at);

static char *cell_id(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    *at++ = '"';
    uuid_write(node->id, at);
    at[UUID_TEXT] = '"';
    return at + UUID_TEXT + 1;
}

static char *cell_parent(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->parent_at);
}

static char *cell_name(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->name);
}

static char *cell_type(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->type);
}

static char *cell_start(const struct skeleton *s, const struct node *node, char *at)
{
    return add_number(at, node->start_us - node_at(s, 0)->start_us);
}

static char *cell_duration(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->duration_us);
}

static char *cell_status(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->status);
}

static char *cell_tokens(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->tokens);
}

static char *cell_cost(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    int len =
        isnan(node->cost) ? snprintf(at, CELL, "null") : snprintf(at, CELL, "%.15g", node->cost);
    return at + len;
}

static char *cell_first_token(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->first_token_us);
}

static char *cell_flags(const struct skeleton *s, const struct node *node, char *at)
{
    (void)s;
    return add_number(at, node->flags);
}

static const struct {
    const char *name;
    cell_fn *cell;
} columns[] = {
    {"id", cell_id},
    {"parent", cell_parent},
    {"name", cell_name},
    {"type", cell_type},
    {"start", cell_start},
    {"duration", cell_duration},
    {"status", cell_status},
    {"tokens", cell_tokens},
    {"cost", cell_cost},
    {"flags", cell_flags},
    {"first_token", cell_first_token},
};

enum { COLUMNS = sizeof columns / sizeof *columns };

static void add_id(struct text *text, struct uuid id)
{
    char plain[UUID_TEXT];
    uuid_write(id, plain);
    text_addf(text, "\"%.*s\"", UUID_TEXT, plain);
}

static void write_head(struct skeleton *s, struct text *text)
{
    s->begun = true;
    text_add(text, STR("{\"trace_id\":"));
    add_id(text, s->trace);
    text_addf(text,
              ",\"count\":%zu,\"start_us\":%lld,\"truncated\":%s,\"project\":{\"id\":", s->count,
              (long long)node_at(s, 0)->start_us, s->truncated ? "true" : "false");
    add_id(text, s->project);
    text_add(text, STR(",\"name\":"));
    json_string_write(text, s->project_name);
    text_add(text, STR("},\"types\":["));
    for (unsigned i = 0; i < RUN_TYPES; i++)
        text_addf(text, "%s\"%.*s\"", i > 0 ? "," : "", STR_FMT(run_type_name(i)));
    text_add(text, STR("],\"names\":["));
}

static void write_names(struct skeleton *s, size_t size, struct text *text)
{
    while (s->name_at < s->name_count && text->len < size) {
        if (s->name_at > 0)
            text_add_char(text, ',');
        json_string_write(text, s->name[s->name_at++]);
    }
    if (s->name_at == s->name_count)
        text_add_char(text, ']');
}

/* Cells of the column, until it or the room ends. */
static void write_cells(struct skeleton *s, size_t size, struct text *text)
{
    cell_fn *cell = columns[s->column].cell;
    if (s->row == 0)
        text_addf(text, ",\"%s\":[", columns[s->column].name);
    do {
        char *begin = text_room(text, CELL), *at = begin;
        if (s->row > 0)
            *at++ = ',';
        at = cell(s, node_at(s, s->row), at);
        text->len += (size_t)(at - begin);
    } while (++s->row < s->count && text->len < size);
    if (s->row < s->count)
        return;
    text_add_char(text, ']');
    s->row = 0;
    s->column++;
}

bool skeleton_write(struct skeleton *s, size_t size, struct text *text)
{
    assert(s->count > 0);
    if (!s->begun)
        write_head(s, text);
    if (s->name_at < s->name_count)
        write_names(s, size, text);
    if (s->name_at < s->name_count)
        return true;
    while (s->column < COLUMNS && text->len < size)
        write_cells(s, size, text);
    if (s->column < COLUMNS)
        return true;
    text_add_char(text, '}');
    return false;
}
