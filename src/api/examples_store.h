/* examples_store.h - several examples made or changed at once, all or none.
 *
 *   examples_store()  what do their source runs say? (examples_source.h) ⇢ are their datasets
 *                     there? ⇢ which of them are there already? ⇢ stored
 *
 * Changes of one example at the same moment by several requests are not told apart: the
 * last one holds.
 */
#pragma once

#include "api/call.h"
#include "api/example.h"

enum {
    EXAMPLES_MAX = 10000,
    EXAMPLES_BODY = 64 << 20,
    EXAMPLE_SIZE = 4 << 20,
    EXAMPLE_FILES_MAX = 1000, /* of one example, in one body */
    EXAMPLE_OPERATIONS_MAX = 256 << 10
};

struct example_item {
    struct uuid id, dataset; /* zero: none was said */
    struct example_said said;
    struct entity entity; /* out */

    /* The journey's own. */
    struct uuid source; /* the run that says what it is, if it is */
    bool sourced;
};

struct examples {
    struct example_item *items; /* in: in the request's arena */
    size_t count;
    bool update;     /* in: they must be there */
    call_step *done; /* in: `entity` of each is filled then */

    /* The journey's own. */
    struct uuid *ids;
    call_step *next;
};

/* `examples` becomes call->own.  What does not fit is answered. */
void examples_store(struct call *call, struct examples *examples);

/* Room for one more; NULL: there are too many. */
struct example_item *examples_add(struct examples *examples, size_t *cap, struct arena *arena);
