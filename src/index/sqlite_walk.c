/* sqlite_walk.c - see sqlite_walk.h. */
#include "index/sqlite_walk.h"

#include <assert.h>

#include "index/sqlite_read.h"

static struct key first_key(const struct walk_range *range, enum keys_way way,
                            struct walk_from from)
{
    struct key key = {0};
    memcpy(key.at, range->prefix, range->len);
    key.len = range->len;
    key_add_time(&key, from.start_us);
    /* Of the instant itself all are behind it, of one run none. */
    bool high = (way == KEYS_DOWN) == (from.id == NULL);
    if (from.id)
        key_add_id(&key, *from.id);
    if (high) {
        key_fill(&key, range->kind);
    } else {
        memset(key.at + key.len, 0, keys_width(range->kind) - key.len);
        key.len = keys_width(range->kind);
    }
    return key;
}

/* Have the next key of a scan at hand. */
static int advance(struct walk *walk, size_t i, struct err *err)
{
    const unsigned char *key = NULL;
    int r = keys_scan_next(&walk->scans[i], &key, err);
    walk->ended[i] = !key;
    if (!r && key)
        memcpy(walk->heads[i], key, walk->scans[i].width);
    return r;
}

int walk_start(struct walk *walk, struct reader *reader, const struct walk_range *ranges,
               size_t count, enum keys_way way, struct walk_from from, struct err *err)
{
    assert(count <= WALK_RANGES);
    walk->way = way;
    walk->count = 0;
    int r = 0;
    for (size_t i = 0; !r && i < count; i++) {
        struct key key = first_key(&ranges[i], way, from);
        walk->lens[i] = ranges[i].len;
        walk->count = i + 1;
        r = keys_scan_start(&walk->scans[i], &reader->keys, reader->view, ranges[i].kind, way, &key,
                            ranges[i].len, err);
        if (!r)
            r = advance(walk, i, err);
    }
    return r;
}

static struct walk_step step_of(const struct keys_scan *scan, size_t len, const unsigned char *key)
{
    struct walk_step step = {.row = key_number(scan->kind, key), .sort = -1};
    step.at.start_us = (int64_t)(key_prefix(key + len) ^ UINT64_C(1) << 63);
    memcpy(step.at.id.byte, key + len + 8, sizeof step.at.id.byte);
    if (scan->kind == KEYS_PROJECT)
        step.sort = key[len + WALK_ORDER];
    return step;
}

int walk_next(struct walk *walk, struct walk_step *step, bool *more, struct err *err)
{
    size_t best = walk->count;
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->ended[i])
            continue;
        if (best == walk->count) {
            best = i;
            continue;
        }
        int order = memcmp(walk->heads[i] + walk->lens[i], walk->heads[best] + walk->lens[best],
                           WALK_ORDER);
        if (walk->way == KEYS_UP ? order < 0 : order > 0)
            best = i;
    }
    *more = best < walk->count;
    if (!*more)
        return 0;
    *step = step_of(&walk->scans[best], walk->lens[best], walk->heads[best]);
    return advance(walk, best, err);
}

void walk_end(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++)
        keys_scan_end(&walk->scans[i]);
    walk->count = 0;
}
