/* api.h - the HTTP API: translation between requests and journeys, nothing else.
 *
 * Threads  handlers run on their connection's loop; struct api is read-only
 *          once the server listens, but for its atomics
 * Sources  docs/openapi.json
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "http/http.h"
#include "run/batch.h"
#include "serve/serve.h"

struct commit;

/* http_config.context of the server. */
struct api {
    struct serve serve;
    struct commit *commit;
    struct budget *budget; /* of bodies coming in */
    struct spare *spare;   /* likewise */
    struct batch_limits limits;
    struct str key; /* empty: everybody may */
    atomic_bool draining;
};

/* Which paths there are, who may, and what is said afterwards. */
void api_serve(struct http_config *config);
