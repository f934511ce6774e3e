/* public.c - /public/{token}/...: a run that is shared, and its trace, without a key.
 *
 *   the token ⇢ the row of the run it stands for ⇢ the rows that are asked for, of the same
 *   trace ⇢ read and shown
 *
 * A page ends before PAGE_BYTES, and says where to go on.
 */
#include "api/body.h"
#include "api/call.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "run/render.h"
#include "wire/splice.h"

enum { PAGE_ROWS = 100, PAGE_BYTES = 16 << 20 };

/* What of other entities belongs to who shared it. */
#define SHOWN (SHOW_ALL & ~SHOW_OF_ENTITIES)

struct visit {
    struct uuid token, run; /* run: the one that is asked for */
    bool one;               /* by its id */
    bool list;              /* several; `bare`: as an array */
    bool bare;
    struct run_query query;
    struct index_row *rows;
    size_t count, most;
    struct query_cursor next;
    bool more;
    struct splice splice;
};

static void no_such(struct call *call)
{
    call_fail(call, 404, "Nothing is shared by this token");
}

/* --- the answer ------------------------------------------------------------------------- */

static void reply(struct call *call, struct splice *splice)
{
    struct http_field fields[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("Cache-Control"), STR("private, no-cache")},
    };
    call_splice(call, 200, fields, 2, splice);
}

static void show_run(struct call *call)
{
    struct visit *visit = call->own;
    visit->splice = (struct splice){.arena = call->arena};
    render_run(&visit->splice, &call->fetch.views[0], SHOWN);
    reply(call, &visit->splice);
}

static void show_runs(struct call *call)
{
    struct visit *visit = call->own;
    struct splice *splice = &visit->splice;
    *splice = (struct splice){.arena = call->arena};
    splice_add(splice, visit->bare ? STR("[") : STR("{\"runs\":["));
    for (size_t i = 0; i < call->fetch.count; i++) {
        if (i > 0)
            splice_add(splice, STR(","));
        render_run(splice, &call->fetch.views[i], SHOWN);
    }
    splice_add(splice, STR("]"));
    if (!visit->bare) {
        char cursor[QUERY_CURSOR_TEXT];
        struct text end = {0};
        query_cursor_write(&visit->next, cursor);
        text_add(&end, STR(",\"cursors\":{\"next\":"));
        if (visit->more)
            text_addf(&end, "\"%.*s\"", QUERY_CURSOR_TEXT, cursor);
        else
            text_add(&end, STR("null"));
        text_add(&end, STR(",\"prev\":null}}"));
        splice_add(splice, text_str(&end));
        text_free(&end);
    }
    reply(call, splice);
}

/* --- what is asked for -------------------------------------------------------------------- */

static void end_rows(struct call *call)
{
    struct visit *visit = call->own;
    const struct index_row *rows = visit->rows;
    size_t count = 0;
    uint64_t size = 0;
    for (; count < visit->count; count++) {
        size += rows[count].size;
        if (count > 0 && size > PAGE_BYTES)
            break;
    }
    visit->more = count < visit->count || !call->query.last;
    visit->next = call->query.query.cursor;
    if (count < visit->count)
        visit->next = (struct query_cursor){rows[count - 1].start_us, rows[count - 1].id};
    call_fetch(call, &(struct fetch){.rows = rows, .count = count, .fields = SHOWN}, show_runs);
}

/* A step of the query; the page is several of them, if need be. */
static void rows_found(struct call *call)
{
    struct visit *visit = call->own;
    size_t size = 0;
    for (size_t i = 0; i < call->query.count; i++) {
        visit->rows[visit->count++] = call->query.rows[i];
        size += sizeof *visit->rows + call->query.rows[i].facts.len;
    }
    if (!call_charge(call, size))
        return;
    struct err err;
    if (visit->bare && !call->query.last && serve_query_is_late(&call->query, &err))
        call_fail(call, 503, "%s", err.text); /* a list has no cursor to go on with */
    else if (call->query.last || call->query.late || visit->count == visit->most)
        end_rows(call);
    else
        call_query_on(call, (uint32_t)(visit->most - visit->count), rows_found);
}

static void run_found(struct call *call)
{
    struct visit *visit = call->own;
    const struct index_row *row = &call->find.rows[0];
    if (!row->found || uuid_compare(row->trace, visit->query.trace) != 0)
        no_such(call);
    else
        call_fetch(call, &(struct fetch){.rows = row, .count = 1, .fields = SHOWN}, show_run);
}

static void shared_found(struct call *call)
{
    struct visit *visit = call->own;
    const struct index_row *shared = &call->find.rows[0];
    if (!shared->found) {
        no_such(call);
        return;
    }
    visit->query.by_trace = true;
    visit->query.trace = shared->trace;
    if (visit->list) {
        visit->most = visit->query.limit;
        visit->rows = arena_make(call->arena, struct index_row, visit->most);
        call_query(call, &visit->query, rows_found);
    } else if (visit->one)
        call_find(call, &visit->run, 1, run_found);
    else
        run_found(call);
}

static void token_found(struct call *call)
{
    if (call->entities.count == 0)
        no_such(call);
    else
        call_find(call, &call->entities.entities[0].parent, 1, shared_found);
}

static void look_for_token(struct call *call)
{
    struct visit *visit = call->own;
    call_entities(call,
                  &(struct index_entities){
                      .kind = ENTITY_SHARE, .ids = &visit->token, .id_count = 1, .limit = 1},
                  token_found);
}

static struct visit *begin(struct call *call)
{
    struct visit *visit = arena_make(call->arena, struct visit, 1);
    call->own = visit;
    visit->query.start_min_us = INT64_MIN;
    visit->query.start_max_us = INT64_MAX;
    visit->query.limit = PAGE_ROWS;
    return call_id(call, 0, &visit->token) ? visit : NULL;
}

static void get_run_of(struct call *call)
{
    if (begin(call))
        look_for_token(call);
}

CALL(get_public_run, get_run_of, 0)

static void get_one_of(struct call *call)
{
    struct visit *visit = begin(call);
    if (!visit || !call_id(call, 1, &visit->run))
        return;
    visit->one = true;
    look_for_token(call);
}

CALL(get_public_one, get_one_of, 0)

static void get_runs_of(struct call *call)
{
    struct visit *visit = begin(call);
    if (!visit || !call_ask_ids(call, "id", &visit->query.ids, &visit->query.id_count))
        return;
    visit->list = visit->bare = true;
    visit->query.limit = QUERY_LIMIT_MAX;
    look_for_token(call);
}

CALL(get_public_runs, get_runs_of, 0)

/* LangSmith's JavaScript client leaves out the `?` of /public/{token}/runs?share_token=...;
 * and /public/{token}/r is what its links say. */
static void get_odd(struct call *call)
{
    static const char runs[] = "runs";
    const size_t len = sizeof runs - 1;
    struct str rest = http_part(call->request, 1);
    struct err err;
    if (str_eq(rest, STR("r"))) {
        get_run_of(call);
    } else if (rest.len < len || memcmp(rest.at, runs, len) != 0) {
        call_fail(call, 404, "Not Found");
    } else if (form_parse((struct str){rest.at + len, rest.len - len}, call->arena, &call->form,
                          &err)) {
        call_fail(call, 400, "%s", err.text);
    } else {
        get_runs_of(call);
    }
}

CALL(get_public_odd, get_odd, 0)

static void query_of(struct call *call)
{
    struct visit *visit = begin(call);
    struct body body;
    if (!visit)
        return;
    visit->list = true;
    if (call->body.len > 0) {
        if (!call_json(call, &body))
            return;
        visit->query.ids = body_ids(&body, "id", &visit->query.id_count);
        if (visit->query.id_count > CALL_IDS)
            body_fault(&body, "id", "too_long", "List should have at most 1000 items");
        struct str cursor = body_text(&body, "cursor");
        visit->query.after = cursor.len > 0;
        if (visit->query.after && !query_cursor_parse(cursor, &visit->query.cursor))
            body_fault(&body, "cursor", "value_error",
                       "Input should be a cursor of an earlier answer");
        if (!call_good(call, &body))
            return;
    }
    look_for_token(call);
}

CALL(query_public, query_of, CALL_BODY)
