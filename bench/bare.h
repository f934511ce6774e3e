/* bare.h - a bucket, PostgreSQL and Redis by themselves: the floor of production.
 *
 * Objects are put and read by the S3 client of the server itself, on a loop of
 * this program; rows go into a table with the columns of an index's row and
 * indexes on id, trace and time, with one statement of arrays.  Every call waits
 * for its answer.
 *
 * Shape    as load.h: what goes wrong ends the program
 * Threads  the caller's
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bare;

enum bare_store { BARE_S3, BARE_POSTGRES, BARE_REDIS, BARE_STORES };

/* The servers are in the environment: BENCH_S3, BENCH_POSTGRES and BENCH_REDIS are
 * URLs, the same with _PIDS the processes, RUNDLET_S3_ACCESS_KEY and _SECRET_KEY
 * the keys (bench/with-servers sets them). */
struct bare *bare_open(void);
void bare_close(struct bare *bare);

/* Where a new deployment keeps what it has: nothing is there. */
struct bare_place {
    char objects[200], index[200], cache[200]; /* settings of a node */
};
void bare_new_place(struct bare *bare, struct bare_place *place);

/* ---- milliseconds ---- */

double bare_put(struct bare *bare, size_t size);
/* Objects of that size, put now, that bare_get() reads: each range once. */
void bare_aim(struct bare *bare, size_t object_size, size_t objects);
double bare_get(struct bare *bare, size_t size);  /* anywhere in one of them */
double bare_tail(struct bare *bare, size_t size); /* the end of the next */

double bare_insert(struct bare *bare, size_t rows);
double bare_find(struct bare *bare);       /* one of the rows, by its id */
double bare_find_trace(struct bare *bare); /* likewise */
double bare_sum(struct bare *bare);        /* of a table with a row for each node */
void bare_add_names(struct bare *bare, size_t count);
double bare_search_name(struct bare *bare, const char *part);

double bare_recall(struct bare *bare, size_t size); /* from Redis */

/* CPU seconds of all processes of a server, since it started. */
double bare_cpu_s(const struct bare *bare, enum bare_store store);
