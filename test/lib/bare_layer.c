/* bare_layer.c - see bare_layer.h. */
#include "lib/bare_layer.h"

#include "base/bytes.h"

void bare_layer(struct bare_layer *layer, enum run_kind kind, const struct str fields[RUN_FIELDS])
{
    char *span = layer->spans;
    layer->raw = (struct text){0};
    layer->run = (struct run){.kind = kind, .end_us = RUN_RUNNING};
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        if (!fields[f].at)
            continue;
        text_add_char(&layer->raw, '|');
        put_u32(span, (uint32_t)layer->raw.len);
        put_u32(span + 4, (uint32_t)fields[f].len);
        span += 8;
        text_add(&layer->raw, fields[f]);
        layer->run.present |= UINT32_C(1) << f;
    }
    layer->run.raw = text_str(&layer->raw);
    layer->run.spans = layer->spans;
    for (size_t i = 0; i < layer->raw.len; i++)
        layer->run.hash[0] = layer->run.hash[0] * 31 + (unsigned char)layer->raw.at[i];
}

void layer_free(struct bare_layer *layer)
{
    text_free(&layer->raw);
}
