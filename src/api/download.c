/* download.c - GET /public/download: the bytes of an attachment, for whoever has its
 * address (serve/links.h).
 *
 * What it is was said by who sent it, so a browser is told to run nothing of it.
 */
#include <stdio.h>

#include "api/api.h"
#include "api/call.h"
#include "api/example.h"
#include "api/handlers.h"
#include "api/range.h"
#include "base/arena.h"
#include "run/facts.h"

struct download {
    struct uuid id;   /* of the run, or of the example */
    struct uuid file; /* of the example's */
    struct str name;
    const struct facts_attachment *found;
};

static void no_such(struct call *call)
{
    call_fail(call, 404, "Attachment not found");
}

/* A media type, as it may stand in a header. */
static struct str media_type(struct call *call, struct str type)
{
    for (size_t i = 0; i < type.len; i++)
        if (type.at[i] < ' ' || type.at[i] > '~')
            return STR("application/octet-stream");
    return type.len ? arena_copy(call->arena, type) : STR("application/octet-stream");
}

static void reply(struct call *call, struct str bytes, struct str type)
{
    struct str header = http_header(call->request, STR("range"));
    size_t from = 0, len = bytes.len;
    enum range_kind kind = header.at ? range_parse(header, bytes.len, &from, &len) : RANGE_NONE;
    struct http_field fields[7] = {
        {STR("Content-Type"), media_type(call, type)},
        {STR("X-Content-Type-Options"), STR("nosniff")},
        {STR("Content-Security-Policy"), STR("sandbox; default-src 'none'")},
        {STR("Cache-Control"), STR("private, max-age=300")},
        {STR("Accept-Ranges"), STR("bytes")},
    };
    char *room = arena_alloc(call->arena, 80);
    if (kind == RANGE_OUTSIDE) {
        call_fail(call, 416, "The range is outside of the attachment");
        return;
    }
    snprintf(room, 80, "bytes %zu-%zu/%zu", from, from + len - 1, bytes.len);
    if (kind == RANGE_PART)
        fields[5] = (struct http_field){STR("Content-Range"), {room, strlen(room)}};
    call_bytes(call, kind == RANGE_PART ? 206 : 200, fields, kind == RANGE_PART ? 6 : 5,
               (struct str){bytes.at + from, len});
}

static void read_it(struct call *call)
{
    struct download *download = call->own;
    const struct run *run = &call->read.runs[0];
    if (run->kind != RUN_ATTACHMENT || uuid_compare(run->id, download->id) != 0)
        call_fail(call, 500, "Another thing is where the index says: run `rundlet verify`");
    else
        reply(call, run_field(run, RUN_INPUTS), run_field(run, RUN_RUN_TYPE));
}

static void run_found(struct call *call)
{
    struct download *download = call->own;
    const struct index_row *row = &call->find.rows[0];
    struct facts facts = {0};
    if (!row->found || !row->facts.at || facts_read(row->facts, call->arena, &facts, NULL)) {
        no_such(call);
        return;
    }
    for (size_t i = 0; i < facts.attachment_count; i++)
        if (str_eq(facts.attachments[i].name, download->name))
            download->found = &facts.attachments[i];
    if (!download->found)
        no_such(call);
    else if (call_charge(call, download->found->size + (size_t)STORE_READ_COST))
        call_read(call, &download->found->place, read_it);
}

static void file_found(struct call *call)
{
    struct str type, bytes;
    if (call->entities.count > 0 &&
        example_file_read(call->entities.entities, call->arena, &type, &bytes))
        reply(call, bytes, type);
    else
        no_such(call);
}

static void example_found(struct call *call)
{
    struct download *download = call->own;
    if (call->entities.count > 0 &&
        example_file(call->entities.entities, download->name, call->arena, &download->file))
        call_entities(call,
                      &(struct index_entities){
                          .kind = ENTITY_FILE, .ids = &download->file, .id_count = 1, .limit = 1},
                      file_found);
    else
        no_such(call);
}

static void get(struct call *call)
{
    struct download *download = arena_make(call->arena, struct download, 1);
    bool by_run, by_example = false;
    call->own = download;
    if (!call_ask_id(call, "run", &download->id, &by_run) ||
        (!by_run && !call_ask_id(call, "example", &download->id, &by_example)))
        return;
    download->name = call_ask(call, "name");
    if (!(by_run || by_example) ||
        !links_check(&call->api->serve.links, by_run ? LINKS_RUN : LINKS_EXAMPLE, download->id,
                     download->name, call_ask(call, "signature")))
        call_fail(call, 403, "This is no address that this server gave");
    else if (by_run)
        call_find(call, &download->id, 1, run_found);
    else
        call_entities(call,
                      &(struct index_entities){
                          .kind = ENTITY_EXAMPLE, .ids = &download->id, .id_count = 1, .limit = 1},
                      example_found);
}

CALL(get_download, get, 0)
