/* bucket_shelf.c - see bucket_shelf.h. */
#include "store/bucket_shelf.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "store/pack.h"

enum { CHAINS = 4096 };

struct shelved {
    uint64_t number;
    struct pack *pack;
    size_t cost;
    unsigned hands;                /* that hold it; the shelf is not one */
    bool gone;                     /* not on the shelf any more */
    struct shelved *next;          /* of its chain */
    struct shelved *newer, *older; /* by use */
};

struct shelf {
    pthread_mutex_t lock;
    size_t capacity, bytes;
    struct shelved *newest, *oldest;
    struct shelved *chains[CHAINS];
};

struct shelf *shelf_new(size_t bytes)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);
    if (!shelf)
        abort();
    shelf->capacity = bytes;
    pthread_mutex_init(&shelf->lock, NULL);
    return shelf;
}

static struct shelved **chain_of(struct shelf *shelf, uint64_t number)
{
    /* The low bits are random, those above them time. */
    return &shelf->chains[(number ^ number >> 24) % CHAINS];
}

static void unlink_use(struct shelf *shelf, struct shelved *s)
{
    *(s->newer ? &s->newer->older : &shelf->newest) = s->older;
    *(s->older ? &s->older->newer : &shelf->oldest) = s->newer;
}

static void link_use(struct shelf *shelf, struct shelved *s)
{
    s->newer = NULL;
    s->older = shelf->newest;
    *(s->older ? &s->older->newer : &shelf->oldest) = s;
    shelf->newest = s;
}

/* `s` and those behind it; not under the lock, since large ones take a while. */
static void destroy(struct shelved *s)
{
    while (s) {
        struct shelved *next = s->next;
        pack_free(s->pack);
        free(s);
        s = next;
    }
}

/* Off the shelf.  If no hand holds it, it is in front of `*dead` now; else it is
 * freed with the last. */
static void drop(struct shelf *shelf, struct shelved *s, struct shelved **dead)
{
    struct shelved **at = chain_of(shelf, s->number);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    unlink_use(shelf, s);
    shelf->bytes -= s->cost;
    s->gone = true;
    s->next = NULL;
    if (s->hands == 0) {
        s->next = *dead;
        *dead = s;
    }
}

void shelf_free(struct shelf *shelf)
{
    if (!shelf)
        return;
    struct shelved *dead = NULL;
    while (shelf->oldest) {
        assert(shelf->oldest->hands == 0);
        drop(shelf, shelf->oldest, &dead);
    }
    destroy(dead);
    pthread_mutex_destroy(&shelf->lock);
    free(shelf);
}

static struct shelved *find(struct shelf *shelf, uint64_t number)
{
    struct shelved *s = *chain_of(shelf, number);
    while (s && s->number != number)
        s = s->next;
    if (s) {
        s->hands++;
        unlink_use(shelf, s);
        link_use(shelf, s);
    }
    return s;
}

struct shelved *shelf_find(struct shelf *shelf, uint64_t number)
{
    pthread_mutex_lock(&shelf->lock);
    struct shelved *s = find(shelf, number);
    pthread_mutex_unlock(&shelf->lock);
    return s;
}

struct shelved *shelf_add(struct shelf *shelf, uint64_t number, struct pack *pack)
{
    assert(pack_loaded(pack, PACK_RUNS));
    struct shelved *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        abort();
    *fresh = (struct shelved){
        .number = number, .pack = pack, .cost = sizeof *fresh + pack_memory(pack), .hands = 1};
    struct shelved *dead = NULL;
    pthread_mutex_lock(&shelf->lock);
    struct shelved *s = find(shelf, number);
    if (!s) {
        struct shelved **chain = chain_of(shelf, number);
        fresh->next = *chain;
        *chain = fresh;
        link_use(shelf, fresh);
        shelf->bytes += fresh->cost;
        while (shelf->bytes > shelf->capacity && shelf->oldest != fresh)
            drop(shelf, shelf->oldest, &dead);
    }
    pthread_mutex_unlock(&shelf->lock);
    destroy(s ? fresh : dead);
    return s ? s : fresh;
}

void shelf_give_back(struct shelf *shelf, struct shelved *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&shelf->lock);
    bool last = --s->hands == 0 && s->gone;
    pthread_mutex_unlock(&shelf->lock);
    if (last)
        destroy(s);
}

struct pack *shelved_pack(const struct shelved *s)
{
    return s->pack;
}
