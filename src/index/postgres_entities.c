/* postgres_entities.c - entities, newest first; see postgres_question.h. */
#include <stdlib.h>

#include "base/arena.h"
#include "index/fold.h"
#include "index/postgres_question.h"

/* Of an example: is its dataset there?  Of what is about a run: is that run hidden? */
#define NO_ORPHAN                                                                                  \
    "case when e.kind = 5 then"                                                                    \
    " (select d.id from rundlet_entities d"                                                        \
    "  where d.kind = 4 and d.id = e.parent and not d.removed) is not null"                        \
    " when e.kind in (1, 2, 3) then not coalesce((select"                                          \
    "  not exists (select from rundlet_entities p"                                                 \
    "   where p.kind = 0 and p.id = r.project and not p.removed)"                                  \
    "  or exists (select from rundlet_entities g"                                                  \
    "   where g.kind = 6 and g.id = r.id and not g.removed)"                                       \
    "  or exists (select from rundlet_entities g"                                                  \
    "   where g.kind = 7 and g.id = r.trace and not g.removed)"                                    \
    "  from rundlet_runs r where r.part = e.part and r.id = e.parent"                              \
    "  and r.project is not null), false)"                                                         \
    " else true end"

/* $1 the kind, $2 ids, $3 parents, $4 a name, $5 a part of it folded, $6 limit, $7 and $8 the
 * cursor, $9 bytes of a page, $10 without objects. */
#define NEWEST " order by made_us desc, id desc "
#define ASKED(condition)                                                                           \
    "select e.* from rundlet_entities e where e.kind = $1 and " condition " and not e.removed"     \
    " and ($2::uuid[] is null or e.id = any($2)) and ($3::uuid[] is null or e.parent = any($3))"   \
    " and ($4::bytea is null or e.name = $4)"                                                      \
    " and ($5::text is null or strpos(e.folded, $5) > 0)"                                          \
    " and (e.made_us, e.id) < ($7::int8, $8::uuid) and " NO_ORPHAN NEWEST "limit $6::int8 + 1"

/* One more than the limit, so that `found` tells whether there is one; then as many of them as
 * the bytes allow. */
#define PAGE(from)                                                                                 \
    "select kind, id, parent, made_us, version, name, case when $10::int4 = 0 then json end, "     \
    "found"                                                                                        \
    " from (select e.*, count(*) over () as found, row_number() over newest as nth,"               \
    "  sum(coalesce(octet_length(name), 0) + case when $10::int4 <> 0 then 0"                      \
    "      else octet_length(json) end) over newest as upto"                                       \
    "  from (" from ") e window newest as (" NEWEST ")) page"                                      \
    " where nth = 1 or nth <= $6 and upto <= $9::int8" NEWEST

enum { BY_ID, BY_PARENT, BY_NAME, BY_AGE, STATEMENTS };
_Static_assert((int)STATEMENTS == (int)PG_ENTITY_STATEMENTS, "all are prepared");

/* The newest of each parent are merged: all of each would be sorted for every page. */
const struct pg_statement pg_entity_statements[STATEMENTS] = {
    [BY_ID] = {"entities_by_id", PAGE(ASKED("e.id = any($2)"))},
    [BY_PARENT] =
        {"entities_by_parent",
         PAGE("select e.* from (select distinct unnest($3::uuid[]) as id) p cross join lateral "
              "(" ASKED(
                  "e.parent = p.id") ") e"
                                     " order by e.made_us desc, e.id desc limit $6::int8 + 1")},
    [BY_NAME] = {"entities_by_name", PAGE(ASKED("sha256(e.name) = sha256($4)"))},
    [BY_AGE] = {"entities_by_age", PAGE(ASKED("true"))},
};

/* In the arena of what was asked. */
struct question {
    struct pg_question q;
    struct index_entities *asked;
};

static struct index_entities *asked_of(struct pg_call *call)
{
    return op_owner(pg_question_of(call), struct question, q)->asked;
}

static void add_ids(struct pg_args *args, const struct uuid *ids, size_t count)
{
    if (!ids) {
        pg_add_null(args);
        return;
    }
    pg_begin_array(args, PG_UUID, count);
    for (size_t i = 0; i < count; i++)
        pg_put_bytes(args, (struct str){(const char *)ids[i].byte, sizeof ids[i].byte});
    pg_end_array(args);
}

static void add_folded(struct pg_args *args, struct str name, struct arena *arena)
{
    if (!name.at) {
        pg_add_null(args);
        return;
    }
    char *folded = arena_alloc(arena, FOLD_GROWTH * name.len + 1);
    pg_add_text(args, (struct str){folded, fold(name, folded)});
}

static void send_entities(struct pg_call *call, struct pg_conn *conn)
{
    const struct index_entities *asked = asked_of(call);
    struct pg_args args = {0};
    struct uuid last; /* no time is so great, so nothing is lost */
    memset(last.byte, 0xff, sizeof last.byte);
    pg_add_int(&args, (int32_t)asked->kind);
    add_ids(&args, asked->ids, asked->id_count);
    add_ids(&args, asked->parents, asked->parent_count);
    pg_add_text(&args, asked->name);
    add_folded(&args, asked->name_contains, asked->arena);
    pg_add_long(&args, asked->limit);
    pg_add_long(&args, (uint64_t)(asked->after ? asked->cursor.made_us : INT64_MAX));
    pg_add_uuid(&args, asked->after ? asked->cursor.id : last);
    pg_add_long(&args, asked->bytes ? asked->bytes : INT64_MAX);
    pg_add_int(&args, asked->bare);
    int how = asked->ids ? BY_ID : asked->parents ? BY_PARENT : asked->name.at ? BY_NAME : BY_AGE;
    pg_send(conn, &pg_entity_statements[how], &args);
    pg_args_free(&args);
}

static void take_entities(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct index_entities *asked = asked_of(call);
    const struct libpq *pq = pg_question_of(call)->read->pq;
    int count = pq->PQntuples(result);
    (void)nth;
    asked->count = (size_t)count;
    asked->entities = arena_make(asked->arena, struct entity, (size_t)count + 1);
    for (int row = 0; row < count; row++) {
        struct str name = pg_text(pq, result, row, 5), json = pg_text(pq, result, row, 6);
        asked->entities[row] = (struct entity){
            .kind = (enum entity_kind)pg_int(pq, result, row, 0),
            .id = pg_uuid(pq, result, row, 1),
            .parent = pg_uuid(pq, result, row, 2),
            .made_us = (int64_t)pg_long(pq, result, row, 3),
            .version = pg_long(pq, result, row, 4),
            .name = name.at ? arena_copy(asked->arena, name) : name,
            .json = json.len ? arena_copy(asked->arena, json) : (struct str){0},
        };
        asked->cursor =
            (struct entity_cursor){asked->entities[row].made_us, asked->entities[row].id};
        asked->more = pg_long(pq, result, row, 7) > (uint64_t)count;
    }
}

void pg_read_entities(struct pg_read *read, struct index_entities *asked)
{
    struct question *q = arena_make(asked->arena, struct question, 1);
    q->asked = asked;
    q->q.call =
        (struct pg_call){.send = send_entities, .answer = take_entities, .done = pg_question_done};
    asked->entities = NULL;
    asked->count = 0;
    asked->more = false;
    pg_question_begin(&q->q, read, &asked->op);
}
