/* make_layer.h - a run, or a layer of one, from its fields.
 *
 *     struct made_layer layer;
 *     make_layer(&layer, RUN_PATCH, (struct str[RUN_FIELDS]){[RUN_OUTPUTS] = STR("{}")});
 *     ... layer.run ...
 *     layer_free(&layer);
 */
#pragma once

#include "base/text.h"
#include "run/run.h"

struct made_layer {
    struct run run; /* all zero but kind, fields and bytes */
    struct text raw;
    char spans[RUN_FIELDS * 8];
};

/* A field whose bytes are at NULL is not sent. */
void make_layer(struct made_layer *layer, enum run_kind kind, const struct str fields[RUN_FIELDS]);
void layer_free(struct made_layer *layer);
