/* postgres_bed.c - see postgres_bed.h. */
#include "lib/postgres_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "index/index.h"
#include "index/postgres_session.h"

enum { PATIENCE_MS = 60000 };

static char template_name[64];
static unsigned made;

static void or_die(int failed, const char *what, const struct err *err)
{
    if (!failed)
        return;
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static const char *base_url(void)
{
    return getenv("TEST_POSTGRES");
}

bool postgres_bed_possible(void)
{
    return base_url() && base_url()[0];
}

/* The URL with another database in it. */
static void url_of(const char *name, char *url, size_t size)
{
    const char *base = base_url(), *host = strstr(base, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    const char *rest = path ? strchr(path, '?') : NULL;
    int len = path ? (int)(path - base) : (int)strlen(base);
    snprintf(url, size, "%.*s/%s%s", len, base, name, rest ? rest : "");
}

static void take_number(void *context, const struct libpq *pq, PGresult *result)
{
    *(uint64_t *)context = pg_long(pq, result, 0, 0);
}

static uint64_t ask(const char *url, const char *script, const char *sql)
{
    struct pg_server *server = NULL;
    struct pg_session *session = NULL;
    struct err err = {0};
    uint64_t number = 0;
    or_die(pg_server_open(url, &server, &err), "the test's PostgreSQL", &err);
    or_die(pg_session_open(server, PATIENCE_MS, &session, &err), "the test's PostgreSQL", &err);
    if (script)
        or_die(pg_session_run(session, script, PATIENCE_MS, &err), script, &err);
    if (sql)
        or_die(pg_session_ask(session, sql, NULL, take_number, &number, PATIENCE_MS, &err), sql,
               &err);
    pg_session_close(session);
    pg_server_close(server);
    return number;
}

void postgres_bed_run(const struct postgres_bed *bed, const char *script)
{
    ask(bed ? bed->url : base_url(), script, NULL);
}

uint64_t postgres_bed_number(const struct postgres_bed *bed, const char *sql)
{
    return ask(bed ? bed->url : base_url(), NULL, sql);
}

static void create(const char *name, const char *options)
{
    char sql[256];
    snprintf(sql, sizeof sql, "create database %s %s", name, options);
    ask(base_url(), sql, NULL);
}

static void drop(const char *name)
{
    char sql[256];
    snprintf(sql, sizeof sql, "drop database if exists %s with (force)", name);
    ask(base_url(), sql, NULL);
}

static void drop_template(void)
{
    drop(template_name);
}

static void make_template(void)
{
    char url[512];
    struct err err = {0};
    snprintf(template_name, sizeof template_name, "rundlet_test_%ld", (long)getpid());
    drop(template_name);
    create(template_name, "encoding 'UTF8' template template0");
    url_of(template_name, url, sizeof url);
    atexit(drop_template);
    or_die(index_postgres_migrate(url, -1, NULL, NULL, &err), "migrate", &err);
}

static void name_it(struct postgres_bed *bed)
{
    snprintf(bed->name, sizeof bed->name, "rundlet_test_%ld_%u", (long)getpid(), ++made);
    url_of(bed->name, bed->url, sizeof bed->url);
    drop(bed->name);
}

void postgres_bed_new(struct postgres_bed *bed)
{
    char options[128];
    if (!template_name[0])
        make_template();
    name_it(bed);
    snprintf(options, sizeof options, "template %s", template_name);
    create(bed->name, options);
}

void postgres_bed_empty(struct postgres_bed *bed)
{
    name_it(bed);
    create(bed->name, "encoding 'UTF8' template template0");
}

void postgres_bed_drop(const struct postgres_bed *bed)
{
    drop(bed->name);
}
