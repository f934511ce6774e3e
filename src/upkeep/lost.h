/* lost.h - rows that lead to objects which are gone.
 *
 * Nothing that this program does makes any: an object is put before its rows, and only
 * those without rows are removed.  A lifecycle rule of the bucket can, or a hand.  Such
 * runs cannot be read; sent again they are taken for duplicates until their rows are
 * taken out.
 *
 * Threads  one, which blocks; on a loop of its own that the index is attached to
 * Errors   ERR_CONFLICT more than a quarter of the objects is gone: is this the bucket?
 *          Nothing is taken out; or more than a moment before: then nothing more;
 *          those of the store and the index
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct index;
struct loop;
struct store;

struct lost {
    struct store *store; /* a bucket */
    struct index *index; /* one that nodes share */
    struct loop *loop;
    bool look_only;                                   /* take nothing out */
    void (*found)(void *context, uint64_t container); /* one that has rows and no object */
    /* Asked before each page of containers and each that is gone: go on?  NULL: yes. */
    bool (*going)(void *context);
    void *context;

    uint64_t containers, gone, runs; /* out: looked at, without an object; rows taken out */
    bool stopped;                    /* out: it is `going` that said no (ERR_UNAVAILABLE) */
};

int lost(struct lost *lost, struct err *err);
