/* serve.h - what every way out needs.
 *
 * Threads  read-only after start; shared by all loops
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "serve/links.h"

struct budget;
struct cache;
struct follow;
struct index;
struct news;
struct store;

struct serve {
    struct index *index;
    struct store *store;
    struct cache *cache;
    struct budget *budget; /* bytes of answers in memory */
    const atomic_uint_fast64_t *generation;
    struct news *news;     /* what is committed here */
    struct follow *follow; /* of what other nodes commit; NULL: there are none */
    uint64_t run_ttl_ms, search_ttl_ms;
    unsigned query_ms;   /* that a query may take (serve/query.h), ... */
    uint32_t query_look; /* ... in steps that look at so many rows */
    struct links links;  /* of attachments */
};

static inline uint64_t serve_generation(const struct serve *serve)
{
    return atomic_load_explicit(serve->generation, memory_order_acquire);
}
