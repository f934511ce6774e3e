/* sqlite_staged.c - see sqlite_staged.h. */
#include "index/sqlite_staged.h"

#include <assert.h>
#include <stdlib.h>

#include "index/sqlite_parts.h"

/* Staged keys that are too many to wait become a part.  The rest of this
 * transaction's keys come with the commit. */
static int spill(struct staged *staged, enum keys_kind kind, struct err *err)
{
    struct keys_run *run = staged_take(staged, kind);
    int r = parts_write(staged->parts, kind, &run, 1, err);
    keys_run_unref(run);
    staged->kind[kind].spilled = true;
    return r;
}

int staged_add(struct staged *staged, enum keys_kind kind, const struct key *key, struct err *err)
{
    struct staged_keys *keys = &staged->kind[kind];
    size_t width = keys_width(kind);
    assert(key->len == width);
    if (keys->count == keys->cap) {
        keys->cap = keys->cap ? 2 * keys->cap : 1024;
        keys->at = realloc(keys->at, keys->cap * width);
        if (!keys->at)
            abort();
    }
    memcpy(keys->at + keys->count * width, key->at, width);
    keys->count++;
    keys->added++;
    return staged->spills && keys->count * width >= PARTS_SPILL * staged->parts->flush
               ? spill(staged, kind, err)
               : 0;
}

struct keys_run *staged_take(struct staged *staged, enum keys_kind kind)
{
    struct staged_keys *keys = &staged->kind[kind];
    if (keys->count == 0)
        return NULL;
    struct keys_run *run = keys_run_new(keys->at, keys->count, keys_width(kind));
    keys->count = 0;
    return run;
}

void staged_forget(struct staged *staged)
{
    for (int k = 0; k < KEYS_KINDS; k++) {
        struct staged_keys *keys = &staged->kind[k];
        keys->count = 0;
        keys->added = 0;
        keys->spilled = false;
    }
}

void staged_free(struct staged *staged)
{
    for (int k = 0; k < KEYS_KINDS; k++)
        free(staged->kind[k].at);
    *staged = (struct staged){0};
}
