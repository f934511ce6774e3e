/* postgres_migrate.c - see postgres_migrate.h. */
#include "index/postgres_migrate.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"

enum {
    STEP_MS = 600000, /* of one migration, and of waiting for another node's */
    LINE = 256
};
#define LOCK_KEY UINT64_C(8247343707) /* of pg_advisory_lock */

/* The assembler takes the files in, by their paths from the root of the repository. */
#define MIGRATION(id, path)                                                                        \
    __asm__(".section .rodata\n"                                                                   \
            "migration_" #id "_up: .incbin \"" path ".up.sql\"\n.byte 0\n"                         \
            "migration_" #id "_down: .incbin \"" path ".down.sql\"\n.byte 0\n"                     \
            ".global migration_" #id "_up, migration_" #id "_down\n"                               \
            ".previous\n");                                                                        \
    extern const char migration_##id##_up[], migration_##id##_down[];

MIGRATION(1, "src/index/migrations/0001-runs")
MIGRATION(2, "src/index/migrations/0002-layers")

struct migration {
    const char *name, *up, *down;
    const char *then; /* what somebody has to do who has runs already; NULL: nothing */
};

/* Numbered from 1; append only, and never changed once released. */
static const struct migration migrations[] = {
    {"0001-runs", migration_1_up, migration_1_down, NULL},
    {"0002-layers", migration_2_up, migration_2_down,
     "the rows are to be made anew: of a log that happens when it is opened the next time; of a "
     "bucket run `rundlet reindex` now, until then its runs are not found"},
};

enum { NEWEST = sizeof migrations / sizeof *migrations };

static const char make_table[] = "create table if not exists rundlet_migrations (\n"
                                 "    number integer primary key,\n"
                                 "    name text not null,\n"
                                 "    checksum bigint not null,\n"
                                 "    applied_at timestamptz not null default now()\n"
                                 ");\n";

/* What the database has. */
struct schema {
    int count; /* 1..count are applied */
    int wrong; /* the first that is not ours; 0: none */
    index_say_fn *say;
    void *context;
};

static uint64_t checksum(const struct migration *m)
{
    return crc32c(0, m->up, strlen(m->up));
}

static void say(const struct schema *schema, const char *verb, const char *name)
{
    char line[LINE];
    snprintf(line, sizeof line, "%s %s", verb, name);
    if (schema->say)
        schema->say(schema->context, line);
}

static void take_count(void *context, const struct libpq *pq, PGresult *result)
{
    *(uint64_t *)context = pg_long(pq, result, 0, 0);
}

static void take_applied(void *context, const struct libpq *pq, PGresult *result)
{
    struct schema *schema = context;
    for (int row = 0; row < pq->PQntuples(result); row++) {
        int number = pg_int(pq, result, row, 0);
        bool ours = number == row + 1 && number <= NEWEST &&
                    pg_long(pq, result, row, 1) == checksum(&migrations[number - 1]);
        if (!ours && !schema->wrong)
            schema->wrong = number;
        schema->count = row + 1;
    }
}

static int read_schema(struct pg_session *session, unsigned timeout_ms, struct schema *schema,
                       struct err *err)
{
    uint64_t there = 0;
    schema->count = schema->wrong = 0;
    int r = pg_session_ask(session,
                           "select count(*) from pg_class"
                           " where oid = to_regclass('rundlet_migrations')",
                           NULL, take_count, &there, timeout_ms, err);
    if (!r && there)
        r = pg_session_ask(session,
                           "select number, checksum from rundlet_migrations order by number", NULL,
                           take_applied, schema, timeout_ms, err);
    if (r)
        return r;
    if (schema->count > NEWEST)
        return err_set(err, ERR_CONFLICT,
                       "the database has schema %d, this program knows %d: install a newer rundlet",
                       schema->count, NEWEST);
    if (schema->wrong)
        return err_set(err, ERR_CONFLICT,
                       "migration %d of the database is not the one this program has: install the "
                       "rundlet that made it, or use another database",
                       schema->wrong);
    return 0;
}

int pg_schema_check(struct pg_session *session, unsigned timeout_ms, struct err *err)
{
    struct schema schema = {0};
    int r = read_schema(session, timeout_ms, &schema, err);
    if (!r && schema.count < NEWEST)
        r = err_set(err, ERR_CONFLICT,
                    "the database has schema %d, this program needs %d: run `rundlet migrate up`",
                    schema.count, NEWEST);
    return r;
}

/* One step up or down, with its row, or nothing of it. */
static int step(struct pg_session *session, int number, bool up, struct err *err)
{
    const struct migration *m = &migrations[number - 1];
    struct pg_args args = {0};
    pg_add_int(&args, number);
    if (up) {
        pg_add_text(&args, (struct str){m->name, strlen(m->name)});
        pg_add_long(&args, checksum(m));
    }
    int r = pg_session_run(session, "begin", STEP_MS, err);
    if (!r)
        r = pg_session_run(session, up ? m->up : m->down, STEP_MS, err);
    if (!r)
        r = pg_session_ask(session,
                           up ? "insert into rundlet_migrations(number, name, checksum)"
                                " values ($1, $2, $3)"
                              : "delete from rundlet_migrations where number = $1",
                           &args, NULL, NULL, STEP_MS, err);
    if (!r)
        r = pg_session_run(session, "commit", STEP_MS, err);
    else
        (void)pg_session_run(session, "rollback", STEP_MS, NULL); /* the first error counts */
    pg_args_free(&args);
    return r ? err_wrap(err, "migration %s", m->name) : 0;
}

static void take_advice(void *context, const struct libpq *pq, PGresult *result)
{
    const struct schema *schema = context;
    struct str advice = pg_text(pq, result, 0, 0);
    char line[LINE];
    snprintf(line, sizeof line, "%.*s", STR_FMT(advice));
    if (advice.len > 0 && schema->say)
        schema->say(schema->context, line);
}

/* Of a database that nobody has used yet there is nothing to say. */
static int say_then(struct pg_session *session, const struct schema *schema,
                    const struct migration *m, struct err *err)
{
    uint64_t used = 0;
    if (!m->then || !schema->say)
        return 0;
    int r = pg_session_ask(session, "select count(*) from rundlet_store", NULL, take_count, &used,
                           STEP_MS, err);
    if (!r && used)
        schema->say(schema->context, m->then);
    return r;
}

static int migrate_locked(struct pg_session *session, int down_to, struct schema *schema,
                          struct err *err)
{
    /* Another node may have done it while we waited for the lock. */
    int to = down_to < 0 ? NEWEST : down_to;
    int r = down_to < 0 ? pg_session_run(session, make_table, STEP_MS, err) : 0;
    if (!r)
        r = read_schema(session, STEP_MS, schema, err);
    if (!r && down_to > schema->count)
        r = err_set(
            err, ERR_INVALID,
            "the database has schema %d, which is not above %d: there is nothing to go down "
            "from",
            schema->count, down_to);
    if (!r && schema->count == to)
        say(schema, "nothing to do:", to == NEWEST ? "the schema is the newest" : "it is there");
    while (!r && schema->count < to) {
        const struct migration *next = &migrations[schema->count];
        r = step(session, ++schema->count, true, err);
        if (!r) {
            say(schema, "applied", next->name);
            r = say_then(session, schema, next, err);
        }
    }
    while (!r && schema->count > to) {
        r = step(session, schema->count, false, err);
        if (!r)
            say(schema, "removed", migrations[--schema->count].name);
    }
    if (!r && schema->count == NEWEST)
        r = pg_session_ask(session, "select rundlet_trigrams()", NULL, take_advice, schema, STEP_MS,
                           err);
    return r;
}

int pg_schema_migrate(struct pg_session *session, int to, index_say_fn *say_fn, void *context,
                      struct err *err)
{
    struct schema schema = {.say = say_fn, .context = context};
    if (to > NEWEST)
        return err_set(err, ERR_INVALID, "there are %d migrations, and no number %d", NEWEST, to);
    struct pg_args key = {0};
    pg_add_long(&key, LOCK_KEY);
    int r = pg_session_ask(session, "select pg_advisory_lock($1)", &key, NULL, NULL, STEP_MS, err);
    if (!r) {
        r = migrate_locked(session, to, &schema, err);
        /* If this fails the session has ended, and the lock with it. */
        (void)pg_session_ask(session, "select pg_advisory_unlock($1)", &key, NULL, NULL, STEP_MS,
                             NULL);
    }
    pg_args_free(&key);
    return r;
}

static void say_applied(void *context, const struct libpq *pq, PGresult *result)
{
    const struct schema *schema = context;
    for (int row = 0; row < pq->PQntuples(result); row++) {
        char line[LINE];
        struct str name = pg_text(pq, result, row, 0), at = pg_text(pq, result, row, 1);
        snprintf(line, sizeof line, "%.*s applied %.*s", STR_FMT(name), STR_FMT(at));
        schema->say(schema->context, line);
    }
}

static void take_trigrams(void *context, const struct libpq *pq, PGresult *result)
{
    const struct schema *schema = context;
    if (pg_long(pq, result, 0, 0) == 0)
        schema->say(schema->context,
                    "names are searched without an index: run \"create extension pg_trgm\" in this "
                    "database as its owner, then `rundlet migrate up`");
}

int pg_schema_status(struct pg_session *session, index_say_fn *say_fn, void *context,
                     struct err *err)
{
    struct schema schema = {.say = say_fn, .context = context};
    int r = read_schema(session, STEP_MS, &schema, err);
    if (!r && schema.count > 0)
        r = pg_session_ask(session,
                           "select name, to_char(applied_at at time zone 'UTC',"
                           " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                           " from rundlet_migrations order by number",
                           NULL, say_applied, &schema, STEP_MS, err);
    for (int i = schema.count; !r && i < NEWEST; i++)
        say(&schema, migrations[i].name, "not applied");
    if (!r && schema.count == NEWEST)
        r = pg_session_ask(session,
                           "select count(*) from pg_class"
                           " where oid = to_regclass('rundlet_names_by_trigram')",
                           NULL, take_trigrams, &schema, STEP_MS, err);
    return r;
}

static void say_lines(const char *text, index_say_fn *say_fn, void *context)
{
    char line[LINE];
    while (*text) {
        size_t len = strcspn(text, "\n");
        assert(len < sizeof line); /* they are our own */
        memcpy(line, text, len);
        line[len] = 0;
        say_fn(context, line);
        text += len + (text[len] == '\n');
    }
}

void pg_schema_sql(index_say_fn *say_fn, void *context)
{
    char line[LINE];
    say_lines(make_table, say_fn, context);
    for (int i = 0; i < NEWEST; i++) {
        say_lines(migrations[i].up, say_fn, context);
        say_fn(context, "insert into rundlet_migrations(number, name, checksum) values");
        snprintf(line, sizeof line, "    (%d, '%s', %" PRIu64 ");", i + 1, migrations[i].name,
                 checksum(&migrations[i]));
        say_fn(context, line);
    }
    say_fn(context, "select rundlet_trigrams();");
}
