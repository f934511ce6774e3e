/* store.c - see store.h: to each kind its own. */
#include "store/store.h"

#include "store/segment.h"

void store_close(struct store *store)
{
    if (store)
        store->ops->close(store);
}

int store_attach(struct store *store, struct loop *loop, struct err *err)
{
    return store->ops->attach(store, loop, err);
}

unsigned store_groups(const struct store *store)
{
    return store->groups;
}

bool store_has_orphans(const struct store *store)
{
    return store->orphans;
}

uint64_t store_size(const struct record *record)
{
    return segment_record_size(record);
}

int store_reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    return store->ops->reserve(store, records, count, err);
}

void store_forget(struct store *store)
{
    store->ops->forget(store);
}

void store_append(struct store *store, struct store_append *append)
{
    store->ops->append(store, append);
}

void store_read(struct store *store, struct store_read *read)
{
    store->ops->read(store, read);
}

void store_probe(struct store *store, struct store_probe *probe)
{
    store->ops->probe(store, probe);
}

int store_walk(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
               store_damaged_fn *damaged, void *context, struct err *err)
{
    return store->ops->walk(store, after_sequence, visit, damaged, context, err);
}

void store_walk_end(struct store *store)
{
    store->ops->walk_end(store);
}

void store_sizes(struct store *store, struct store_sizes *result)
{
    store->ops->sizes(store, result);
}
