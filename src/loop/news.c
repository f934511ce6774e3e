/* news.c - see news.h. */
#include "loop/news.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct news {
    atomic_int_fast64_t until_us; /* what is told is kept until then; INT64_MAX: somebody listens */
    uint64_t epoch;
    pthread_mutex_t lock;
    struct uuid *kept; /* number n is at n % NEWS_KEPT; NULL: nobody listened yet */
    uint64_t first, last;
    struct news_ear *ears; /* those that listen */
    unsigned count, max;
    bool closed;
};

struct news *news_new(unsigned ears_max)
{
    struct news *news = calloc(1, sizeof *news);
    if (!news)
        abort();
    struct uuid id = uuid_v4();
    memcpy(&news->epoch, id.byte, sizeof news->epoch);
    news->first = 1;
    news->max = ears_max;
    pthread_mutex_init(&news->lock, NULL);
    return news;
}

void news_free(struct news *news)
{
    if (!news)
        return;
    pthread_mutex_destroy(&news->lock);
    free(news->kept);
    free(news);
}

uint64_t news_epoch(const struct news *news)
{
    return news->epoch;
}

bool news_is_wanted(struct news *news)
{
    int64_t until_us = atomic_load(&news->until_us);
    return until_us > 0 && clock_mono_us() < until_us;
}

/* --- telling ------------------------------------------------------------------------- */

/* Is there what it waits for? */
static bool is_due(const struct news *news, const struct news_ear *ear)
{
    return news->closed || ear->after < news->last;
}

/* Nothing is called while the lock is held, and who is awake may leave at once: so one after
 * the other. */
static void wake(struct news *news)
{
    for (;;) {
        struct news_ear *ear = news->ears;
        while (ear && !(ear->waiting && is_due(news, ear)))
            ear = ear->next;
        if (ear)
            ear->waiting = false;
        pthread_mutex_unlock(&news->lock);
        if (!ear)
            return;
        op_finish(&ear->op);
        pthread_mutex_lock(&news->lock);
    }
}

void news_tell(struct news *news, const struct uuid *ids, size_t count)
{
    if (count == 0 || !news_is_wanted(news))
        return;
    pthread_mutex_lock(&news->lock);
    for (size_t i = 0; i < count; i++)
        news->kept[++news->last % NEWS_KEPT] = ids[i];
    if (news->last - news->first >= NEWS_KEPT)
        news->first = news->last - NEWS_KEPT + 1;
    wake(news);
}

void news_close(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    news->closed = true;
    wake(news);
}

/* --- listening ----------------------------------------------------------------------- */

/* What was not kept meanwhile leaves a gap, which one number stands for. */
static void begin_anew(struct news *news)
{
    if (!news->kept)
        news->kept = malloc(NEWS_KEPT * sizeof *news->kept);
    if (!news->kept)
        abort();
    news->last++;
    news->first = news->last + 1;
}

bool news_listen(struct news *news, struct news_ear *ear)
{
    pthread_mutex_lock(&news->lock);
    bool room = news->count < news->max;
    if (room) {
        if (!news_is_wanted(news))
            begin_anew(news);
        atomic_store(&news->until_us, INT64_MAX);
        ear->waiting = false;
        ear->next = news->ears;
        news->ears = ear;
        news->count++;
    }
    pthread_mutex_unlock(&news->lock);
    return room;
}

void news_leave(struct news *news, struct news_ear *ear)
{
    assert(!ear->waiting);
    pthread_mutex_lock(&news->lock);
    struct news_ear **at = &news->ears;
    while (*at != ear)
        at = &(*at)->next;
    *at = ear->next;
    if (--news->count == 0)
        atomic_store(&news->until_us, clock_mono_us() + NEWS_LINGER_MS * INT64_C(1000));
    pthread_mutex_unlock(&news->lock);
}

uint64_t news_last(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    uint64_t last = news->last;
    pthread_mutex_unlock(&news->lock);
    return last;
}

void news_wait(struct news *news, struct news_ear *ear, uint64_t after)
{
    pthread_mutex_lock(&news->lock);
    ear->after = after;
    bool come = is_due(news, ear);
    ear->waiting = !come;
    pthread_mutex_unlock(&news->lock);
    if (come)
        op_finish(&ear->op);
}

void news_hush(struct news *news, struct news_ear *ear)
{
    pthread_mutex_lock(&news->lock);
    bool waited = ear->waiting;
    ear->waiting = false;
    pthread_mutex_unlock(&news->lock);
    if (waited)
        op_finish(&ear->op);
}

size_t news_take(struct news *news, uint64_t *after, struct uuid *ids, size_t max, uint64_t *lost)
{
    pthread_mutex_lock(&news->lock);
    *lost = *after + 1 < news->first ? news->first - 1 - *after : 0;
    *after += *lost;
    size_t count = 0;
    while (count < max && *after < news->last)
        ids[count++] = news->kept[++*after % NEWS_KEPT];
    pthread_mutex_unlock(&news->lock);
    return count;
}

bool news_closed(struct news *news)
{
    pthread_mutex_lock(&news->lock);
    bool closed = news->closed;
    pthread_mutex_unlock(&news->lock);
    return closed;
}
