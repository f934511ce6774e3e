/* make_layer.h - records of layers, attachments and entities for tests.
 *
 *     struct make_layer layers[] = {{.kind = RUN_POST, .id = id, .trace = trace,
 *                                    .field[RUN_NAME] = "\"chat\""}};
 *     struct made_record *made = make_layers(layers, 1);
 */
#pragma once

#include "lib/make_record.h"
#include "run/entity.h"
#include "run/run.h"

struct make_layer {
    enum run_kind kind;
    enum entity_kind entity;       /* of RUN_ENTITY */
    struct uuid id, trace, parent; /* all zero: not said */
    int64_t start_us;              /* said if field[RUN_START_TIME] is */
    int64_t end_us;                /* likewise; 0: not ended */
    enum run_type type;
    const char *field[RUN_FIELDS]; /* JSON; of an attachment name, type and bytes; NULL: none */
    const char *json;              /* of an entity: all of it, but for a name; NULL: removed */
};

struct made_record *make_layers(const struct make_layer *layers, size_t count);
