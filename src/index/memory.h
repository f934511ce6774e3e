/* memory.h - the two halves of index/memory.c: what is written, and what is read of it.
 *
 * Threads  the lock is held for a whole scan; what is visible changes in a commit alone
 * Memory   what a row or an entity points to is never changed or freed before close
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "index/index.h"
#include "run/entity.h"
#include "run/merge.h"

struct arena;

struct row {
    struct merged run;
    struct uuid project;
    bool by_default; /* nobody named the project */
    bool named;
    struct str name; /* folded */
    struct str facts;
    size_t before; /* 1 + position of the row before it in its chain; 0: none */
};

struct thing {
    struct entity entity;
    bool removed;
};

/* In order of arrival, and in chains by id, the newest first. */
struct rows {
    struct row *at;
    size_t *chain; /* 1 + position of the first; as many as there is room for rows */
    size_t count, cap;
};

struct things {
    struct thing *at;
    size_t count, cap;
};

struct memory {
    struct index index;
    atomic_flag lock;
    struct rows visible, staged;
    struct things there, news;
    struct arena *kept; /* what rows and things point to */
    bool guesses;       /* there was a run that did not say its trace */
    uint64_t mark;
};

/* The newest of this id; NULL: there is none. */
struct row *memory_rows_find(const struct rows *rows, struct uuid id);
struct thing *memory_things_find(const struct things *things, enum entity_kind kind,
                                 struct uuid id);

static inline struct memory *memory_of(struct index *index)
{
    return (struct memory *)(void *)index;
}

void memory_lock(struct memory *memory);
void memory_unlock(struct memory *memory);

/* memory_read.c: of struct index_ops. */
void memory_find(struct index *index, struct index_find *find);
void memory_search(struct index *index, struct index_search *search);
void memory_query(struct index *index, struct index_query *asked);
void memory_entities(struct index *index, struct index_entities *asked);
