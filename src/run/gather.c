/* gather.c - see gather.h.
 *
 *   multipart    each part begins a layer or belongs to one.  Parts of a layer nearly always
 *                follow each other: when another one begins, the layer is judged.  One that
 *                was judged too soon, since another of its parts comes later, is judged again
 *                at the end.
 *   batch        the lists are found while they arrive, and gone through at the end.
 *   post, patch  one layer.
 */
#include "run/gather.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "run/layers.h"
#include "wire/json_scan.h"
#include "wire/multipart.h"

enum { SLACK = 4 << 10 /* around a single object */ };

/* What is being read. */
enum reading { READ_OBJECT, READ_FIELD, READ_BYTES, READ_LISTS };

struct list {
    struct json_span span;
    enum json_type type;
    bool there;
};

struct gather {
    enum gather_kind kind;
    enum gather_state state;
    struct err why;
    struct layers layers;

    /* What is being read: from `at` on, for the layer `current`. */
    enum reading reading;
    size_t at, end; /* `end` of a part: of what came of it */
    uint32_t current;
    enum run_field field; /* READ_FIELD */
    struct json_scan scan;
    size_t strange;

    struct list post, patch; /* GATHER_BATCH */

    struct multipart parser; /* GATHER_MULTIPART */
    size_t parts;
    size_t head_at; /* where the boundary and the headers of a part begin */
};

static void refuse(struct gather *g)
{
    assert(g->why.code);
    g->state = GATHER_REFUSED;
}

static void begin_layer(struct gather *g, enum run_kind kind, const struct uuid *id)
{
    if (layers_add(&g->layers, kind, id, GATHER_LAYER_COST, &g->why))
        refuse(g);
    else
        g->current = (uint32_t)g->layers.count - 1;
}

struct gather *gather_new(const struct gather_config *config)
{
    static const enum layers_place places[] = {[GATHER_MULTIPART] = PLACE_PART,
                                               [GATHER_BATCH] = PLACE_ELEMENT,
                                               [GATHER_POST] = PLACE_ONLY,
                                               [GATHER_PATCH] = PLACE_ONLY};
    struct gather *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    g->kind = config->kind;
    g->current = LAYERS_NONE;
    g->layers.place = places[config->kind];
    g->layers.strict = config->kind == GATHER_MULTIPART || config->kind == GATHER_BATCH;
    g->layers.received_us = config->received_us;
    g->reading = config->kind == GATHER_BATCH ? READ_LISTS : READ_OBJECT;
    if (config->kind == GATHER_MULTIPART)
        multipart_start(&g->parser, config->boundary, MULTIPART_REQUIRED);
    else
        json_scan_start_lax(&g->scan, JSON_VALUE);
    if (layers_open(&g->layers, config->limits, GATHER_COST, config->budget, config->spare,
                    config->size_hint, &g->why))
        refuse(g);
    else if (config->kind == GATHER_POST)
        begin_layer(g, RUN_POST, NULL);
    else if (config->kind == GATHER_PATCH)
        begin_layer(g, RUN_PATCH, &config->id);
    return g;
}

void gather_free(struct gather *gather)
{
    if (!gather)
        return;
    layers_close(&gather->layers);
    free(gather);
}

size_t gather_count(const struct gather *gather)
{
    return gather->layers.count;
}

size_t gather_strange(const struct gather *gather)
{
    return gather->strange;
}

const struct err *gather_refusal(const struct gather *gather)
{
    assert(gather->state == GATHER_REFUSED);
    return &gather->why;
}

const struct record *gather_record(const struct gather *gather)
{
    assert(gather->state == GATHER_READY);
    return &gather->layers.record;
}

static const char *body_of(const struct gather *g)
{
    return g->layers.in.body->at;
}

static struct layer *current(const struct gather *g)
{
    return g->current == LAYERS_NONE ? NULL : &g->layers.layer[g->current];
}

/* Another layer begins. */
static void leave_layer(struct gather *g)
{
    if (g->current != LAYERS_NONE && layers_judge(&g->layers, g->current, false, &g->why))
        refuse(g);
    g->current = LAYERS_NONE;
}

/* ---- JSON ---- */

static void take_member(struct gather *g)
{
    struct str key = {body_of(g) + g->at + g->scan.key.at, g->scan.key.len};
    struct json_span value = {g->at + g->scan.value.at, g->scan.value.len};
    struct list list = {value, g->scan.type, true};
    if (g->reading == READ_OBJECT)
        layer_member(current(g), key, g->scan.key_escaped, value, g->scan.type);
    else if (g->reading == READ_LISTS && str_eq(key, STR("post")))
        g->post = list;
    else if (g->reading == READ_LISTS && str_eq(key, STR("patch")))
        g->patch = list;
}

/* Say where the value under way is, in front of what is wrong with it. */
static void refuse_value(struct gather *g)
{
    if (g->reading == READ_FIELD)
        err_wrap(&g->why, "%.*s", STR_FMT(run_field_name(g->field)));
    if (g->current != LAYERS_NONE)
        layers_at(&g->layers, g->current, &g->why);
    refuse(g);
}

/* The value is complete. */
static void take_value(struct gather *g)
{
    struct json_span value = {g->at + g->scan.value.at, g->scan.value.len};
    if (g->reading == READ_FIELD) {
        layer_part(current(g), g->field, value, g->scan.type);
    } else if (g->scan.type != JSON_OBJECT) {
        err_set(&g->why, ERR_INVALID, "should be an object");
        refuse_value(g);
        return;
    }
    if (g->current != LAYERS_NONE &&
        layers_cover(&g->layers, g->current, value.at, value.at + value.len, &g->why))
        refuse(g);
}

/* Scan the document that begins at g->at, of which bytes up to `end` are here. */
static void scan(struct gather *g, size_t end, bool last)
{
    while (g->state == GATHER_READING) {
        switch (json_scan_next(&g->scan, body_of(g) + g->at, end - g->at, last)) {
        case JSON_FIELD:
            take_member(g);
            break;
        case JSON_ITEM:
            take_value(g);
            break;
        case JSON_MORE:
            return;
        case JSON_FAULT:
            err_set(&g->why, ERR_INVALID, "not JSON at byte %zu: %s", g->scan.offset,
                    g->scan.fault);
            refuse_value(g);
            return;
        case JSON_END:
            g->strange += g->scan.strange;
            if (g->current != LAYERS_NONE)
                current(g)->strange += g->scan.strange;
            return;
        }
    }
}

/* ---- parts ---- */

static void bad_part(struct gather *g, const char *what)
{
    struct str name = g->parser.name;
    err_set(&g->why, ERR_INVALID, "part \"%.*s\": %s", (int)(name.len < 80 ? name.len : 80),
            name.at, what);
    refuse(g);
}

/* Take what stands before the next dot, or all there is, off the front of `name`. */
static struct str take_word(struct str *name)
{
    const char *dot = name->len ? memchr(name->at, '.', name->len) : NULL;
    struct str word = {name->at, dot ? (size_t)(dot - name->at) : name->len};
    name->at += word.len + (dot ? 1 : 0);
    name->len -= word.len + (dot ? 1 : 0);
    return word;
}

static bool is_part_field(enum run_field field)
{
    return field == RUN_INPUTS || field == RUN_OUTPUTS || field == RUN_EVENTS ||
           field == RUN_EXTRA || field == RUN_ERROR_TEXT || field == RUN_SERIALIZED;
}

/* A field of a layer that began earlier. */
static void begin_field(struct gather *g, enum run_kind kind, struct uuid id, struct str name)
{
    g->field = run_field_named(name);
    if (!is_part_field(g->field)) {
        bad_part(g, "its field should be inputs, outputs, events, extra, error or serialized");
        return;
    }
    uint32_t i = layers_find(&g->layers, kind, id);
    if (i == LAYERS_NONE) {
        bad_part(g, "the part of the run itself should come before its fields");
        return;
    }
    if (i != g->current) {
        leave_layer(g);
        g->current = i;
        layer_reopen(&g->layers.layer[i]);
    }
    g->reading = READ_FIELD;
}

/* Nobody reads the head of a part again: name and type are written there, right in front
 * of the bytes.  They came in it, so there is room. */
static void begin_attachment(struct gather *g, struct str name)
{
    struct str type = g->parser.type;
    struct layer *layer = current(g);
    assert(g->at - g->head_at >= name.len + type.len);
    size_t at = g->at - name.len - type.len;
    char *room = g->layers.in.body->at + at;
    memcpy(room, name.at, name.len);
    draft_add(&layer->draft, RUN_NAME, (struct json_span){at, name.len}, JSON_STRING);
    if (type.at) {
        struct json_span span = {at + name.len, type.len};
        memcpy(room + name.len, type.at, type.len);
        draft_add(&layer->draft, RUN_RUN_TYPE, span, JSON_STRING);
    }
    g->reading = READ_BYTES;
}

/* What every part must be; false: refused. */
static bool check_part(struct gather *g)
{
    const struct multipart *p = &g->parser;
    if (g->parts++ == GATHER_PARTS_MAX)
        err_set(&g->why, ERR_TOO_BIG, "too many parts: the limit is %d of one request",
                GATHER_PARTS_MAX);
    else if (p->length > g->layers.limits.run_max)
        err_set(&g->why, ERR_TOO_BIG, "part \"%.*s\" is too large: the limit is %zu bytes",
                (int)(p->name.len < 80 ? p->name.len : 80), p->name.at, g->layers.limits.run_max);
    else if (p->encoded)
        bad_part(g, "a part cannot have a Content-Encoding; the whole body can");
    if (g->why.code)
        refuse(g);
    return g->state == GATHER_READING;
}

static enum run_kind kind_named(struct str word)
{
    return str_eq(word, STR("post"))         ? RUN_POST
           : str_eq(word, STR("patch"))      ? RUN_PATCH
           : str_eq(word, STR("attachment")) ? RUN_ATTACHMENT
           : str_eq(word, STR("feedback"))   ? RUN_ENTITY
                                             : RUN_KINDS;
}

/* The headers of a part are complete: what is it? */
static void begin_part(struct gather *g)
{
    struct str rest = g->parser.name;
    enum run_kind kind = kind_named(take_word(&rest));
    struct uuid id;
    bool has_id = uuid_parse(take_word(&rest), &id);
    bool is_run = kind == RUN_POST || kind == RUN_PATCH;
    g->at = g->end = g->parser.offset;
    if (!check_part(g))
        return;
    if (kind == RUN_KINDS) {
        bad_part(g, "its name should begin with post., patch., attachment. or feedback.");
    } else if (!has_id) {
        bad_part(g, "its name should have a UUID behind the first dot");
    } else if (kind == RUN_ATTACHMENT && rest.len == 0) {
        bad_part(g, "an attachment has a name: attachment.<run id>.<name>");
    } else if (kind == RUN_ENTITY && rest.len > 0) {
        bad_part(g, "a feedback has no fields of its own: feedback.<id>");
    } else {
        json_scan_start_lax(&g->scan, JSON_VALUE);
        if (is_run && rest.len > 0) {
            begin_field(g, kind, id, rest);
            return;
        }
        g->reading = READ_OBJECT;
        leave_layer(g);
        if (g->state == GATHER_READING)
            begin_layer(g, kind, &id);
        if (g->state == GATHER_READING && kind == RUN_ATTACHMENT)
            begin_attachment(g, rest);
    }
}

static void end_part(struct gather *g)
{
    g->head_at = g->parser.offset;
    if (g->reading != READ_BYTES) {
        scan(g, g->end, true);
        return;
    }
    assert(g->current != LAYERS_NONE);
    struct draft *draft = &g->layers.layer[g->current].draft;
    draft_add(draft, RUN_INPUTS, (struct json_span){g->at, g->end - g->at}, JSON_STRING);
    if (layers_cover(&g->layers, g->current, draft->value[RUN_NAME].at, g->end, &g->why))
        refuse(g);
}

/* ---- lists ---- */

static void read_list(struct gather *g, enum run_kind kind, const struct list *list)
{
    const char *name = kind == RUN_POST ? "post" : "patch";
    size_t index = 0, seen = 0;
    if (!list->there || list->type == JSON_NULL || g->state != GATHER_READING)
        return;
    if (list->type != JSON_LIST) {
        err_set(&g->why, ERR_INVALID, "%s: should be a list", name);
        refuse(g);
        return;
    }
    g->reading = READ_OBJECT;
    g->at = list->span.at;
    json_scan_start_lax(&g->scan, JSON_ARRAY);
    while (g->state == GATHER_READING) {
        enum json_event event = json_scan_next(&g->scan, body_of(g) + g->at, list->span.len, true);
        if (event == JSON_END)
            return;
        assert(event == JSON_FIELD || event == JSON_ITEM); /* it is part of a valid document */
        if (g->current == LAYERS_NONE)
            begin_layer(g, kind, NULL);
        struct layer *layer = current(g);
        if (!layer)
            return;
        layer->index = index;
        if (event == JSON_FIELD) {
            take_member(g);
            continue;
        }
        layer->strange = g->scan.strange - seen;
        seen = g->scan.strange;
        index++;
        take_value(g);
        if (g->state == GATHER_READING)
            leave_layer(g);
    }
}

static void read_lists(struct gather *g)
{
    if (!g->post.there && !g->patch.there) {
        err_set(&g->why, ERR_INVALID,
                "should have lists of runs: {\"post\":[...],\"patch\":[...]}, or one of the two");
        refuse(g);
        return;
    }
    read_list(g, RUN_POST, &g->post);
    read_list(g, RUN_PATCH, &g->patch);
}

/* ---- the body ---- */

static void finish(struct gather *g)
{
    if (g->kind == GATHER_BATCH)
        read_lists(g);
    if (g->state != GATHER_READING)
        return;
    if (layers_finish(&g->layers, &g->why))
        refuse(g);
    else
        g->state = GATHER_READY;
}

static void feed_parts(struct gather *g, struct str piece, bool last)
{
    while (g->state == GATHER_READING) {
        switch (multipart_next(&g->parser, &piece, last)) {
        case MULTIPART_PART:
            begin_part(g);
            break;
        case MULTIPART_DATA:
            g->end = g->parser.offset;
            if (g->reading != READ_BYTES)
                scan(g, g->end, false);
            break;
        case MULTIPART_PART_END:
            end_part(g);
            break;
        case MULTIPART_END:
            break;
        case MULTIPART_FAULT:
            err_set(&g->why, ERR_INVALID, "at byte %" PRIu64 " of the body: %s", g->parser.offset,
                    g->parser.fault.text);
            refuse(g);
            break;
        case MULTIPART_MORE:
            if (last)
                finish(g);
            return;
        }
    }
}

static void feed_object(struct gather *g, bool last)
{
    size_t end = g->layers.in.body->len;
    if (last && end == 0) {
        err_set(&g->why, ERR_INVALID, "the body is empty");
        refuse(g);
        return;
    }
    if (g->current != LAYERS_NONE && end > g->layers.limits.run_max + SLACK) {
        err_set(&g->why, ERR_TOO_BIG, "the run is too large: the limit is %zu bytes",
                g->layers.limits.run_max);
        refuse(g);
        return;
    }
    scan(g, end, last);
    if (last && g->state == GATHER_READING)
        finish(g);
}

enum gather_state gather_feed(struct gather *gather, struct str piece, bool last)
{
    if (gather->state != GATHER_READING)
        return gather->state;
    enum err_code code = intake_add(&gather->layers.in, piece);
    if (code == ERR_TOO_BIG) {
        err_set(&gather->why, ERR_TOO_BIG, "the body is too large: the limit is %zu bytes",
                gather->layers.limits.body_max);
        refuse(gather);
    } else if (code) {
        layers_busy(&gather->why);
        refuse(gather);
    } else if (gather->kind == GATHER_MULTIPART) {
        feed_parts(gather, piece, last);
    } else {
        feed_object(gather, last);
    }
    return gather->state;
}
