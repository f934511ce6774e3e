/* watch.h - another library's socket, and a timer, on a loop.
 *
 * For libraries that speak to servers by themselves (libpq, libcurl, hiredis)
 * and want to be told when their socket is ready or time has passed.
 *
 * Threads  all calls on the loop's thread, or before it runs and after it ended
 * Memory   freed handles are gone when the loop next turned; no call of theirs
 *          comes any more
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct timer;
struct watch;

/* The socket can be read, written, or both; an error of it counts as both. */
typedef void watch_ready_fn(void *context, bool readable, bool writable);

/* `fd` stays the caller's; it must not be closed before watch_free(), and may be
 * right after.  Who may not own the number (another library closes it) watches a
 * dup() of it. */
struct watch *watch_new(struct loop *loop, int fd, watch_ready_fn *ready, void *context);
void watch_set(struct watch *watch, bool read, bool write); /* neither: rest */
void watch_free(struct watch *watch);                       /* NULL is fine */

typedef void timer_fn(void *context);
struct timer *timer_new(struct loop *loop, timer_fn *fn, void *context);
void timer_start(struct timer *timer, uint64_t ms); /* once; again: anew from now */
void timer_stop(struct timer *timer);
void timer_free(struct timer *timer); /* NULL is fine */
