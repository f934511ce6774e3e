/* lane.c - see lane.h. */
#include "loop/lane.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "loop/op.h"

struct lane {
    struct lane_config config;
    pthread_mutex_t lock;
    pthread_cond_t work_or_stop;
    struct op *head, **tail; /* oldest first */
    size_t waiting;
    bool stop;
    unsigned running; /* threads started */
    pthread_t threads[];
};

/* Wait for work; take up to batch_max operations.  NULL when stopped and dry. */
static struct op *take(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    while (!lane->head && !lane->stop)
        pthread_cond_wait(&lane->work_or_stop, &lane->lock);

    struct op *chain = lane->head;
    struct op **end = &lane->head;
    size_t n = 0;
    while (*end && n < lane->config.batch_max) {
        end = &(*end)->next;
        n++;
    }
    struct op *rest = *end;
    if (n > 0)
        *end = NULL;
    lane->head = rest;
    if (!rest)
        lane->tail = &lane->head;
    lane->waiting -= n;
    pthread_mutex_unlock(&lane->lock);
    return chain;
}

static void *run(void *arg)
{
    struct lane *lane = arg;
    pthread_setname_np(pthread_self(), lane->config.name);
    for (struct op *chain; (chain = take(lane));)
        lane->config.work(lane->config.context, chain);
    return NULL;
}

int lane_open(const struct lane_config *config, struct lane **result, struct err *err)
{
    assert(config->threads > 0 && config->batch_max > 0 && config->work);
    assert(strlen(config->name) <= 15); /* or the kernel refuses it as a thread's name */
    struct lane *lane = calloc(1, sizeof *lane + config->threads * sizeof(pthread_t));
    if (!lane)
        abort();
    lane->config = *config;
    lane->tail = &lane->head;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->work_or_stop, NULL);

    while (lane->running < config->threads) {
        int r = pthread_create(&lane->threads[lane->running], NULL, run, lane);
        if (r != 0) {
            lane_close(lane);
            return err_sys(err, r, "start lane %s", config->name);
        }
        lane->running++;
    }
    *result = lane;
    return 0;
}

bool lane_submit(struct lane *lane, struct op *op)
{
    op->next = NULL;
    pthread_mutex_lock(&lane->lock);
    bool room = lane->waiting < lane->config.queue_max && !lane->stop;
    if (room) {
        *lane->tail = op;
        lane->tail = &op->next;
        lane->waiting++;
        pthread_cond_signal(&lane->work_or_stop);
    }
    pthread_mutex_unlock(&lane->lock);
    return room;
}

size_t lane_waiting(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    size_t waiting = lane->waiting;
    pthread_mutex_unlock(&lane->lock);
    return waiting;
}

void lane_close(struct lane *lane)
{
    if (!lane)
        return;
    pthread_mutex_lock(&lane->lock);
    lane->stop = true;
    pthread_cond_broadcast(&lane->work_or_stop);
    pthread_mutex_unlock(&lane->lock);
    for (unsigned i = 0; i < lane->running; i++)
        pthread_join(lane->threads[i], NULL);
    assert(!lane->head);
    pthread_cond_destroy(&lane->work_or_stop);
    pthread_mutex_destroy(&lane->lock);
    free(lane);
}
