/* bare_layer.h - a run, or a layer of one, from its fields.
 *
 *     struct bare_layer layer;
 *     bare_layer(&layer, RUN_PATCH, (struct str[RUN_FIELDS]){[RUN_OUTPUTS] = STR("{}")});
 *     ... layer.run ...
 *     layer_free(&layer);
 */
#pragma once

#include "base/text.h"
#include "run/run.h"

struct bare_layer {
    struct run run; /* all zero but kind, fields, bytes and a hash of those */
    struct text raw;
    char spans[RUN_FIELDS * 8];
};

/* A field whose bytes are at NULL is not sent. */
void bare_layer(struct bare_layer *layer, enum run_kind kind, const struct str fields[RUN_FIELDS]);
void layer_free(struct bare_layer *layer);
