/* get.h - one run by id, or one field of it.
 *
 * Never stale: what is in the cache is answered if it was made or confirmed at the
 * generation that was read before, and what is known of other nodes is fresh.  Else the
 * index is asked for the row; if that is of the same version, the entry is confirmed.
 *
 * Threads  begun and done on op.loop
 * Memory   everything that is an answer lives in `arena` or is a reference
 * Errors   ERR_NOT_FOUND, ERR_BUSY no memory in the budget, and those of the
 *          index and the store
 * Sources  docs/openapi.json; docs/design/cache.md
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/str.h"
#include "base/uuid.h"
#include "cache/cache.h"
#include "index/index.h"
#include "loop/op.h"
#include "run/render.h"
#include "serve/etag.h"
#include "serve/fetch.h"
#include "serve/remarks.h"
#include "serve/serve.h"
#include "wire/splice.h"

struct serve_get {
    struct op op;
    const struct serve *serve;
    struct uuid id;
    uint64_t fields;       /* in: which to show */
    enum show only;        /* in: SHOWS: the run; else this field's bytes alone */
    enum coding coding;    /* in: what the client takes best */
    bool strong;           /* in: other nodes are not taken at what is known of them */
    struct str none_match; /* in: of If-None-Match; at == NULL: none */
    struct arena *arena;   /* in: lives until the answer was sent */

    char etag[ETAG];      /* out */
    bool not_modified;    /* out: nothing else is filled then */
    bool hit;             /* out: no payload was read for it: it came from a cache */
    struct buf *whole;    /* out: encoded (serve/encode.h), one reference, the caller's; or NULL: */
    struct splice splice; /* out: the answer in parts, not encoded, over CACHE_VALUE_MAX */

    /* The journey's own. */
    bool followed; /* the generation counts what other nodes acknowledged */
    bool held;     /* `cached` has a value, which is ours */
    bool near;     /* that is the answer */
    struct cache_get cached;
    struct index_find find;
    struct cache_recall recall;
    struct fetch fetch;
    struct remarks remarks;
    char key[40];
};

void serve_get(struct serve_get *get);
