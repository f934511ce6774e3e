/* examples_parts.c - examples as the parts of a multipart body:
 * POST and PATCH /platform/datasets/{id}/examples.
 *
 *     <id>                             {"created_at", "metadata", "split", ...}
 *     <id>.inputs, <id>.outputs        JSON
 *     <id>.attachment.<name>           bytes, of the part's Content-Type
 *     <id>.attachments_operations      {"rename": {...}, "retain": [...]}
 *
 * Parts need not say their length: then they end where the boundary comes.
 */
#include "api/api.h"
#include "api/body.h"
#include "api/examples_store.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/clock.h"
#include "wire/multipart.h"

struct parts {
    struct examples examples; /* first: it is call->own */
    size_t cap;
    struct uuid dataset;
    bool update;
};

struct part {
    struct str name, type;
    struct text bytes;
};

/* --- one part --------------------------------------------------------------------------------- */

static struct example_item *item_of(struct call *call, struct parts *parts, struct uuid id)
{
    struct examples *examples = &parts->examples;
    for (size_t i = examples->count; i-- > 0;)
        if (uuid_compare(examples->items[i].id, id) == 0)
            return &examples->items[i];
    struct example_item *item = examples_add(examples, &parts->cap, call->arena);
    if (item)
        *item = (struct example_item){.id = id, .dataset = parts->dataset};
    return item;
}

/* False: there are too many of one example, and it was answered. */
static bool add_file(struct call *call, struct example_item *item, struct str name, struct str type,
                     struct str bytes)
{
    struct example_file *file = arena_make(call->arena, struct example_file, 1), **end;
    size_t count = 0;
    *file = (struct example_file){.name = arena_copy(call->arena, name),
                                  .type = arena_copy(call->arena, type),
                                  .data = bytes};
    for (end = &item->said.files; *end; end = &(*end)->next)
        count++;
    if (count == EXAMPLE_FILES_MAX) {
        call_fail(call, 422, "At most %d attachments can be sent with one example",
                  EXAMPLE_FILES_MAX);
        return false;
    }
    *end = file;
    return true;
}

/* False: it was answered. */
static bool take_object(struct call *call, struct example_item *item, struct str json,
                        struct str *field)
{
    struct body body;
    call->body = json;
    if (!call_json(call, &body))
        return false;
    if (field) {
        *field = json;
        return true;
    }
    (void)body_object(&body, "metadata");
    shape_check(&example_shape, &body);
    item->said.object = body.object;
    return call_good(call, &body);
}

static bool starts(struct str s, struct str with)
{
    return s.len >= with.len && memcmp(s.at, with.at, with.len) == 0;
}

static bool take_part(struct call *call, struct parts *parts, const struct part *part)
{
    struct uuid id;
    size_t id_len = part->name.len < UUID_TEXT ? part->name.len : UUID_TEXT;
    struct str rest = {part->name.at + id_len, part->name.len - id_len};
    struct str bytes = arena_copy(call->arena, text_str(&part->bytes));
    const struct str attachment = STR(".attachment.");
    if (!uuid_parse((struct str){part->name.at, id_len}, &id)) {
        call_fail(call, 422, "A part is called %.80s, which does not begin with an example's id",
                  arena_copy(call->arena, part->name).at);
        return false;
    }
    struct example_item *item = item_of(call, parts, id);
    if (!item) {
        call_fail(call, 422, "At most %d examples can be stored at once", EXAMPLES_MAX);
        return false;
    }
    if (rest.len == 0)
        return take_object(call, item, bytes, NULL);
    if (str_eq(rest, STR(".inputs")))
        return take_object(call, item, bytes, &item->said.inputs);
    if (str_eq(rest, STR(".outputs")))
        return take_object(call, item, bytes, &item->said.outputs);
    if (str_eq(rest, STR(".attachments_operations")))
        return take_object(call, item, bytes, &item->said.operations);
    if (starts(rest, attachment) && rest.len > attachment.len) {
        struct str name = {rest.at + attachment.len, rest.len - attachment.len};
        return add_file(call, item, name, part->type, bytes);
    }
    call_fail(call, 422, "Nobody knows what the part %.80s is",
              arena_copy(call->arena, part->name).at);
    return false;
}

/* --- the body --------------------------------------------------------------------------------- */

/* 0: go on; 1: the end; -1: answered. */
static int step(struct call *call, struct parts *parts, struct multipart *parser, struct str *piece,
                struct part *part)
{
    switch (multipart_next(parser, piece, true)) {
    case MULTIPART_PART:
        part->name = arena_copy(call->arena, parser->name);
        part->type = arena_copy(call->arena, parser->type.at ? parser->type : STR(""));
        part->bytes.len = 0;
        return 0;
    case MULTIPART_DATA:
        text_add(&part->bytes, parser->data);
        return 0;
    case MULTIPART_PART_END:
        return take_part(call, parts, part) ? 0 : -1;
    case MULTIPART_END:
        return 0;
    case MULTIPART_MORE:
        return 1;
    case MULTIPART_FAULT:
        break;
    }
    call_fail(call, 422, "%s (at byte %llu of the body)", parser->fault.text,
              (unsigned long long)parser->offset);
    return -1;
}

static bool read_parts(struct call *call, struct parts *parts)
{
    struct err err;
    struct str boundary, type = http_header(call->request, STR("content-type"));
    struct str piece = call->body;
    struct part part = {0};
    int end = 0;
    if (multipart_boundary(type.at ? type : STR(""), &boundary, &err)) {
        call_fail(call, 415, "%s", err.text);
        return false;
    }
    /* What was sent, and parts of it twice: in the arena, and while they are put together. */
    if (!call_charge(call, 2 * piece.len))
        return false;
    struct multipart *parser = arena_make(call->arena, struct multipart, 1);
    multipart_start(parser, boundary, MULTIPART_DELIMITED);
    while (end == 0)
        end = step(call, parts, parser, &piece, &part);
    text_free(&part.bytes);
    return end > 0;
}

static void stored(struct call *call)
{
    struct parts *parts = call->own;
    struct text text = {0};
    text_addf(&text, "{\"count\":%zu,\"example_ids\":[", parts->examples.count);
    for (size_t i = 0; i < parts->examples.count; i++) {
        char id[UUID_TEXT];
        uuid_write(parts->examples.items[i].id, id);
        text_addf(&text, "%s\"%.*s\"", i ? "," : "", UUID_TEXT, id);
    }
    text_add_char(&text, ']');
    shape_time(&text, "as_of", clock_now_us());
    text_add_char(&text, '}');
    call_reply(call, parts->update ? 200 : 201, &text);
}

static void store(struct call *call, bool update)
{
    struct parts *parts = arena_make(call->arena, struct parts, 1);
    if (!call_id(call, 0, &parts->dataset))
        return;
    parts->update = parts->examples.update = update;
    parts->examples.done = stored;
    if (read_parts(call, parts))
        examples_store(call, &parts->examples);
}

static void post(struct call *call)
{
    store(call, false);
}

static void patch(struct call *call)
{
    store(call, true);
}

CALL(post_example_parts, post, EXAMPLES_BODY)
CALL(patch_example_parts, patch, EXAMPLES_BODY)
