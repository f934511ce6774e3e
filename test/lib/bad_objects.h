/* bad_objects.h - objects that fail, wait or lie at the call of your choice.
 *
 * They are lent: the calls go on to other objects, and closing them closes
 * nothing.  So one bucket can be opened by several stores, one after the other
 * or at once, each with a plan of its own.
 *
 * Threads  any; the plan is set while nothing is under way
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/object.h"

enum bad_object_call { BAD_PUT, BAD_GET, BAD_REMOVE, BAD_LIST, BAD_OBJECT_CALLS };

struct bad_objects_plan {
    enum bad_object_call call; /* which fails */
    int fails_at;              /* its n-th call, 1 is the first; 0: never */
    bool and_then_always;
    enum err_code says;
    bool done_all_the_same; /* of a put: only the answer is lost */
    bool overwrites;        /* a put is not create-only */
    bool holds;             /* GETs and puts wait for bad_objects_let_go() */
    size_t tail_max;        /* GETs of a tail bring no more bytes; 0: as many as are asked for */
    uint64_t pretends;      /* GETs of a tail say that the object has so many bytes; 0: as it is */

    /* Before the n-th call of any kind, from 1 on; NULL is fine. */
    void (*before)(void *context, enum bad_object_call call, int n);
    void *context;
};

struct bad_objects {
    struct objects objects;
    struct objects *inner; /* the caller's */
    struct bad_objects_plan plan;
    int calls[BAD_OBJECT_CALLS], all_calls; /* counted, also those that failed */
    size_t waiting;                         /* that are held */
    size_t waiting_bytes;                   /* that the GETs among them ask for */
    int closed;

    pthread_mutex_t lock;
    struct held_object *held; /* newest first */
};

void bad_objects_open(struct bad_objects *bad, struct objects *inner);
void bad_objects_free(struct bad_objects *bad); /* nothing is under way */

/* Set a new plan, and count from zero. */
void bad_objects_plan(struct bad_objects *bad, struct bad_objects_plan plan);

/* Let one of those that wait go on: the newest, or the oldest.  False: none waits. */
bool bad_objects_let_go(struct bad_objects *bad, bool newest);

/* For a test that has a loop of its own: do it, and wait. */
struct loop;
int objects_put(struct objects *objects, struct loop *loop, struct str name, struct str bytes);
int objects_remove(struct objects *objects, struct loop *loop, struct str name);
/* The whole of one; NULL: it is not there. */
struct buf *objects_get(struct objects *objects, struct loop *loop, struct str name);
/* How many names there are below `prefix`; the first, if there is one, goes into
 * `room`, of 201 bytes. */
size_t objects_list(struct objects *objects, struct loop *loop, struct str prefix, char *room);
