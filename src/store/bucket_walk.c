/* bucket_walk.c - see bucket_walk.h.
 *
 * An hour is listed whole, since names within it begin with a byte of no
 * meaning; then its packs are fetched one after the other, each whole.
 */
#include "store/bucket_walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "store/bucket_name.h"
#include "store/pack_walk.h"

enum { PAGE = 1000 };

/* Bytes of a pack: a batch is at most 2 GiB, and what stands around it is less than that. */
static const size_t PACK_MOST = (size_t)4 << 30;

struct visitor {
    store_visit_fn *visit;
    store_damaged_fn *damaged;
    void *context;
};

static void end_pack(struct bucket_walk *walk)
{
    pack_walk_end(walk->pack);
    walk->pack = NULL;
    walk->bytes = buf_unref(walk->bytes);
}

void bucket_walk_end(struct bucket_walk *walk)
{
    end_pack(walk);
    free(walk->numbers);
    text_free(&walk->after);
    *walk = (struct bucket_walk){.desk = walk->desk};
}

/* ---- which packs there are ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int add_number(struct bucket_walk *walk, uint64_t number, struct err *err)
{
    if (walk->count == walk->cap) {
        size_t cap = walk->cap ? 2 * walk->cap : 1024;
        uint64_t *more = realloc(walk->numbers, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for the names of %zu packs", cap);
        walk->numbers = more;
        walk->cap = cap;
    }
    walk->numbers[walk->count++] = number;
    return 0;
}

static void list_after(struct bucket_walk *walk, struct str name)
{
    walk->after.len = 0;
    text_add(&walk->after, name);
}

/* One page; `*hour` is that of the first name, and `*done` that another follows
 * or there is nothing more. */
static int list_page(struct bucket_walk *walk, char hour[BUCKET_NAME], size_t *hour_len, bool *done,
                     struct err *err)
{
    struct arena *arena = arena_new(64 << 10);
    struct str *names = NULL;
    size_t count = 0;
    int r = object_desk_list(walk->desk, STR("v1/"), text_str(&walk->after), PAGE, arena, &names,
                             &count, err);
    *done = !r && count < PAGE;
    for (size_t i = 0; i < count && !r; i++) {
        uint64_t number;
        if (!bucket_named(names[i], &number)) /* not ours: it is in nobody's way */
            continue;
        if (*hour_len == 0)
            *hour_len = bucket_hour(bucket_sequence(number), hour).len;
        if (names[i].len < *hour_len || memcmp(names[i].at, hour, *hour_len) != 0) {
            *done = true;
            break;
        }
        /* What begins before `from` may go on behind it. */
        if (bucket_sequence(number) + STORE_GROUP_RECORDS > walk->from)
            r = add_number(walk, number, err);
    }
    if (!r && count > 0)
        list_after(walk, names[count - 1]);
    arena_free(arena);
    return r;
}

/* The packs of the next hour that has any. */
static int list_hour(struct bucket_walk *walk, bool *none, struct err *err)
{
    bool done = false;
    size_t hour_len = 0;
    char hour[BUCKET_NAME];
    walk->count = walk->next = 0;
    while (!done) {
        int r = list_page(walk, hour, &hour_len, &done, err);
        if (r)
            return r;
    }
    *none = hour_len == 0;
    if (walk->count > 0)
        qsort(walk->numbers, walk->count, sizeof *walk->numbers, by_number);
    if (hour_len > 0) { /* behind every name of this hour: the bytes after it are hex digits */
        list_after(walk, (struct str){hour, hour_len});
        text_add_char(&walk->after, 'z');
    }
    return 0;
}

/* ---- one pack ---- */

static int tell(const struct visitor *v, uint64_t number, uint64_t at, const char *why, bool lost,
                struct err *err)
{
    char room[BUCKET_NAME];
    struct str name = bucket_name(number, room);
    if (!v->damaged)
        return lost ? err_set(err, ERR_CORRUPT, "%.*s: damaged at %" PRIu64 ": %s", STR_FMT(name),
                              at, why)
                    : 0;
    v->damaged(v->context, name, at, why, lost);
    return 0;
}

/* Has the pack nothing that is asked for?  Then its damage is nobody's matter. */
static bool is_behind(const struct bucket_walk *walk)
{
    const struct pack_summary *sum = &pack_walk_pack(walk->pack)->summary;
    return sum->number != 0 && sum->last_sequence <= walk->from; /* 0: nobody knows */
}

/* `walk->pack` stays NULL when it is to be passed over. */
static int open_pack(struct bucket_walk *walk, const struct visitor *v, uint64_t number,
                     struct err *err)
{
    char room[BUCKET_NAME];
    struct pack_file file;
    struct err bad = {0};
    int r = object_desk_get(walk->desk, bucket_name(number, room), PACK_MOST, &walk->bytes, &bad);
    if (r == ERR_NOT_FOUND) /* removed since it was listed: nothing led to it */
        return 0;
    if (!r) {
        walk->held = (struct pack_held){0, {walk->bytes->at, walk->bytes->len}};
        r = pack_file_hold(number, &walk->held, 1, walk->bytes->len, PACK_MEND, &file, &bad);
    }
    if (!r)
        r = pack_walk_start(&file, &walk->pack, &bad);
    if (!r && is_behind(walk)) {
        end_pack(walk);
        return 0;
    }
    if (r == ERR_CORRUPT || (r == ERR_UNAVAILABLE && v->damaged && walk->bytes)) {
        end_pack(walk);
        return tell(v, number, 0, bad.text, true, err);
    }
    if (r) {
        end_pack(walk);
        *err = bad;
        return r;
    }
    uint64_t at;
    const char *why;
    bool lost;
    for (uint32_t i = 0; !r && pack_walk_damage(walk->pack, &i, &at, &why, &lost);)
        if (v->damaged || pack_walk_pack(walk->pack)->incomplete)
            r = tell(v, number, at, why, lost, err);
    return r;
}

/* Who is not told of damage must not take what is left for all there was. */
static int check_whole(const struct visitor *v, uint64_t number, const struct record *record,
                       struct err *err)
{
    for (uint32_t i = 0; !v->damaged && i < record->count; i++)
        if (!record->parts[i].entry)
            return tell(v, number, 0, "a run is lost in a damaged block", true, err);
    return 0;
}

static int visit_records(struct bucket_walk *walk, const struct visitor *v, uint64_t number,
                         struct err *err)
{
    struct record record;
    struct place first;
    uint64_t sequence = 0;
    while (pack_walk_next(walk->pack, walk->from, &record, &first, &sequence)) {
        int r = check_whole(v, number, &record, err);
        if (!r) {
            walk->reached = sequence;
            if (sequence > walk->highest)
                walk->highest = sequence;
            r = v->visit(v->context, &record, first, sequence, err);
        }
        if (r)
            return r;
    }
    return 0;
}

/* ---- all of them ---- */

static int walk_on(struct bucket_walk *walk, const struct visitor *v, struct err *err)
{
    bool none = false;
    int r = 0;
    while (!r && !none) {
        while (!r && walk->next < walk->count) {
            uint64_t number = walk->numbers[walk->next];
            if (!walk->pack)
                r = open_pack(walk, v, number, err);
            if (!r && walk->pack)
                r = visit_records(walk, v, number, err);
            if (!r) {
                end_pack(walk);
                walk->next++;
            }
        }
        if (!r)
            r = list_hour(walk, &none, err);
    }
    return r;
}

int bucket_walk(struct bucket_walk *walk, uint64_t after, store_visit_fn *visit,
                store_damaged_fn *damaged, void *context, uint64_t *highest, struct err *err)
{
    const struct visitor v = {visit, damaged, context};
    if (!walk->under_way || walk->reached != after) {
        char room[BUCKET_NAME];
        bucket_walk_end(walk);
        walk->under_way = true;
        walk->from = walk->reached = after;
        if (after > STORE_GROUP_RECORDS) /* numbers grow with the sequences of their records */
            list_after(walk, bucket_hour(after - STORE_GROUP_RECORDS, room));
    }
    int r = walk_on(walk, &v, err);
    *highest = walk->highest;
    if (r >= 0) /* at the end, or it failed: nothing to go on from */
        bucket_walk_end(walk);
    return r;
}
