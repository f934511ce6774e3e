/* news.h - ids that one thread tells, and others on loops hear of soon.
 *
 * The last NEWS_KEPT of them are kept, numbered from 1 in the order in which they were told.
 * Who listens remembers the number up to which it knows, takes what came after it when it
 * has time, and so is never sent more than it can use; what was overtaken meanwhile is
 * counted.
 *
 *     news_listen(), after = news_last()
 *     news_wait(&ear, after)  done: something came after it, or it was hushed, or closed
 *     n = news_take(after)    ids, and the number up to which they are
 *     news_leave()
 *
 * Nobody listens: nothing is kept, and that costs one comparison.  For
 * NEWS_LINGER_MS after the last one left, it is, so that who comes back misses nothing.
 *
 * Threads  any; one lock, a leaf
 * Memory   1 MiB from the first listener on
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "loop/op.h"

enum { NEWS_KEPT = 1 << 16, NEWS_LINGER_MS = 60000 };

struct news;

struct news_ear {
    struct op op; /* in: `loop`, and `done` of news_wait() */

    /* Its own. */
    struct news_ear *next;
    uint64_t after;
    bool waiting;
};

struct news *news_new(unsigned ears_max);
void news_free(struct news *news); /* after the loops have ended; NULL is fine */

/* Which run of the program numbers are of. */
uint64_t news_epoch(const struct news *news);

/* Would it be kept?  Who has to gather ids first asks before. */
bool news_is_wanted(struct news *news);
void news_tell(struct news *news, const struct uuid *ids, size_t count);

/* False: there are `ears_max` already. */
bool news_listen(struct news *news, struct news_ear *ear);
void news_leave(struct news *news, struct news_ear *ear); /* which is not waiting */

uint64_t news_last(struct news *news); /* 0: none was told yet */

void news_wait(struct news *news, struct news_ear *ear, uint64_t after);
void news_hush(struct news *news, struct news_ear *ear); /* if it waits, it need not any more */

/* The next ids after number `*after`, which moves on; at most `max`.  `*lost`: so many behind
 * it are not kept any more. */
size_t news_take(struct news *news, uint64_t *after, struct uuid *ids, size_t max, uint64_t *lost);

/* There will be no more: nobody waits any more, now or later. */
void news_close(struct news *news);
bool news_closed(struct news *news);
