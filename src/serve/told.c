/* told.c - see told.h. */
#include "serve/told.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ROOM = 2 * TOLD_KEPT };

struct entry {
    struct uuid id; /* all zero: empty */
    uint64_t version;
};

struct table {
    struct entry at[ROOM];
    size_t count;
};

struct told {
    struct table tables[2];
    unsigned now; /* which one is added to */
};

struct told *told_new(void)
{
    struct told *told = calloc(1, sizeof *told);
    if (!told)
        abort();
    return told;
}

void told_free(struct told *told)
{
    free(told);
}

/* Its entry, or the empty one where it would be. */
static struct entry *entry_of(struct table *table, struct uuid id)
{
    size_t i = XXH3_64bits(id.byte, sizeof id.byte) % ROOM;
    while (!uuid_is_zero(table->at[i].id) && uuid_compare(table->at[i].id, id) != 0)
        i = (i + 1) % ROOM;
    return &table->at[i];
}

void told_add(struct told *told, struct uuid id, uint64_t version)
{
    struct entry *entry = entry_of(&told->tables[told->now], id);
    if (uuid_is_zero(entry->id) && told->tables[told->now].count == TOLD_KEPT) {
        told->now = !told->now;
        memset(&told->tables[told->now], 0, sizeof told->tables[told->now]);
        entry = entry_of(&told->tables[told->now], id);
    }
    told->tables[told->now].count += uuid_is_zero(entry->id);
    entry->id = id;
    if (entry->version < version)
        entry->version = version;
}

bool told_has(struct told *told, struct uuid id, uint64_t version)
{
    const struct entry *now = entry_of(&told->tables[told->now], id);
    if (!uuid_is_zero(now->id) && now->version >= version)
        return true;
    const struct entry *before = entry_of(&told->tables[!told->now], id);
    if (uuid_is_zero(before->id) || before->version < version)
        return false;
    told_add(told, id, before->version);
    return true;
}
