/* pack_press.c - see pack_press.h.
 *
 * The slots are a ring: given < claimed < filled count blocks, and a slot is a
 * block's number modulo their count.  Whoever has nothing better to do claims the
 * oldest block that nobody has: a helper, or the builder when the ring is full or
 * no block is to follow.
 */
#include "store/pack_press.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/frame.h"
#include "store/pack.h"

enum { SLOTS_MAX = PACK_HELPERS_MAX + 2 };

struct slot {
    char *block, *frame;
    size_t filled, packed;
    uint32_t crc;
    bool done;
};

struct pack_press {
    int level;
    unsigned helpers, slot_count;
    struct frame_packer *packer; /* the builder's */
    pack_give_fn *give;
    void *context;
    pthread_t threads[PACK_HELPERS_MAX];

    pthread_mutex_t lock; /* over what follows, but not what is in a claimed block */
    pthread_cond_t work, done;
    bool stop;
    uint64_t filled, claimed, given;
    struct slot slots[SLOTS_MAX];
};

static struct slot *slot_of(struct pack_press *press, uint64_t number)
{
    return &press->slots[number % press->slot_count];
}

/* Pack the oldest that nobody has; the lock is let go meanwhile. */
static void pack_one(struct pack_press *press, struct frame_packer *packer)
{
    struct slot *slot = slot_of(press, press->claimed++);
    pthread_mutex_unlock(&press->lock);
    slot->packed = frame_pack(packer, (struct str){slot->block, slot->filled}, slot->frame);
    slot->crc = crc32c(0, slot->frame, slot->packed);
    pthread_mutex_lock(&press->lock);
    slot->done = true;
}

static void *help(void *context)
{
    struct pack_press *press = context;
    struct frame_packer *packer = frame_packer_new(press->level);
    pthread_setname_np(pthread_self(), "pack-help");
    pthread_mutex_lock(&press->lock);
    while (!press->stop) {
        if (press->claimed == press->filled) {
            pthread_cond_wait(&press->work, &press->lock);
            continue;
        }
        pack_one(press, packer);
        pthread_cond_signal(&press->done);
    }
    pthread_mutex_unlock(&press->lock);
    frame_packer_free(packer);
    return NULL;
}

static void make_slot(struct slot *slot)
{
    slot->block = malloc(PACK_BLOCK);
    slot->frame = malloc(frame_bound(PACK_BLOCK));
    if (!slot->block || !slot->frame)
        abort();
}

struct pack_press *pack_press_new(int level, unsigned helpers)
{
    struct pack_press *press = calloc(1, sizeof *press);
    if (!press)
        abort();
    press->level = level;
    press->packer = frame_packer_new(level);
    pthread_mutex_init(&press->lock, NULL);
    pthread_cond_init(&press->work, NULL);
    pthread_cond_init(&press->done, NULL);
    assert(helpers <= PACK_HELPERS_MAX);
    while (press->helpers < helpers &&
           pthread_create(&press->threads[press->helpers], NULL, help, press) == 0)
        press->helpers++;
    press->slot_count = press->helpers ? press->helpers + 2 : 1;
    for (unsigned i = 0; i < press->slot_count; i++)
        make_slot(&press->slots[i]);
    return press;
}

void pack_press_free(struct pack_press *press)
{
    if (!press)
        return;
    pthread_mutex_lock(&press->lock);
    press->stop = true;
    pthread_cond_broadcast(&press->work);
    pthread_mutex_unlock(&press->lock);
    for (unsigned i = 0; i < press->helpers; i++)
        pthread_join(press->threads[i], NULL);
    for (unsigned i = 0; i < press->slot_count; i++) {
        free(press->slots[i].block);
        free(press->slots[i].frame);
    }
    frame_packer_free(press->packer);
    pthread_cond_destroy(&press->done);
    pthread_cond_destroy(&press->work);
    pthread_mutex_destroy(&press->lock);
    free(press);
}

void pack_press_start(struct pack_press *press, pack_give_fn *give, void *context)
{
    press->give = give;
    press->context = context;
    assert(press->filled == press->given);
}

/* Give the oldest; the builder packs as long as there is anything to pack. */
static int give_oldest(struct pack_press *press, struct err *err)
{
    pthread_mutex_lock(&press->lock);
    struct slot *slot = slot_of(press, press->given);
    while (!slot->done)
        if (press->claimed < press->filled)
            pack_one(press, press->packer);
        else
            pthread_cond_wait(&press->done, &press->lock);
    pthread_mutex_unlock(&press->lock);
    return press->give(press->context, (struct str){slot->frame, slot->packed}, slot->crc,
                       slot->filled, err);
}

static void forget_oldest(struct pack_press *press)
{
    pthread_mutex_lock(&press->lock);
    slot_of(press, press->given++)->done = false;
    pthread_mutex_unlock(&press->lock);
}

int pack_press_block(struct pack_press *press, char **block, struct err *err)
{
    int r = 0;
    if (press->helpers && press->filled > press->given) {
        pthread_mutex_lock(&press->lock);
        if (press->claimed < press->filled)
            pthread_cond_signal(&press->work);
        pthread_mutex_unlock(&press->lock);
    }
    while (!r && press->filled - press->given == press->slot_count) {
        r = give_oldest(press, err);
        if (!r)
            forget_oldest(press);
    }
    *block = slot_of(press, press->filled)->block;
    return r;
}

void pack_press_end(struct pack_press *press, size_t filled)
{
    pthread_mutex_lock(&press->lock);
    slot_of(press, press->filled)->filled = filled;
    press->filled++;
    pthread_mutex_unlock(&press->lock);
}

int pack_press_finish(struct pack_press *press, struct err *err)
{
    int r = 0;
    while (!r && press->filled > press->given) {
        r = give_oldest(press, err);
        if (!r)
            forget_oldest(press);
    }
    return r;
}

static int drop(void *context, struct str frame, uint32_t crc, size_t size, struct err *err)
{
    (void)context;
    (void)frame;
    (void)crc;
    (void)size;
    (void)err;
    return 0;
}

void pack_press_stop(struct pack_press *press)
{
    press->give = drop;
    (void)pack_press_finish(press, NULL);
}

struct frame_packer *pack_press_packer(struct pack_press *press)
{
    return press->packer;
}
