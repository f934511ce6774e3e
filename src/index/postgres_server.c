/* postgres_server.c - see postgres_server.h. */
#include "index/postgres_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/library.h"

enum { OPTION_NAME = 32 };

/* Cut a list at its commas, in place. */
static size_t split(char *list, const char **items)
{
    size_t count = 0;
    for (char *at = list; at && count < PG_HOSTS_MAX; count++) {
        items[count] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = 0;
    }
    return count;
}

static const char *option(const struct pg_server *server, const char *key)
{
    for (const PQconninfoOption *o = server->options; o->keyword; o++)
        if (strcmp(o->keyword, key) == 0)
            return o->val && o->val[0] ? o->val : NULL;
    return NULL;
}

static void set_default(struct pg_server *server, const char *key, const char *value)
{
    if (!option(server, key) && server->count < PG_OPTIONS_MAX) {
        server->keys[server->count] = key;
        server->values[server->count++] = value;
    }
}

static int read_hosts(struct pg_server *server, struct err *err)
{
    const char *host = option(server, "host"), *address = option(server, "hostaddr");
    const char *port = option(server, "port");
    if (!host && !address)
        return err_set(err, ERR_INVALID,
                       "the PostgreSQL URL names no host: postgres://user:password@host/name, or "
                       "postgres:///name?host=/directory/of/its/socket");
    size_t size =
        (host ? strlen(host) : 0) + (address ? strlen(address) : 0) + (port ? strlen(port) : 0) + 3;
    char *at = server->lists = calloc(1, size);
    if (!at)
        abort();
    const char *const given[] = {host, address, port};
    const char **const lists[] = {server->hosts, server->addresses, server->ports};
    size_t counts[3] = {0};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < PG_HOSTS_MAX; k++)
            lists[i][k] = "";
        if (!given[i])
            continue;
        memcpy(at, given[i], strlen(given[i]) + 1);
        counts[i] = split(at, lists[i]);
        at += strlen(given[i]) + 1;
    }
    server->host_count = host ? counts[0] : counts[1];
    if ((host && address && counts[0] != counts[1]) ||
        (counts[2] > 1 && counts[2] != server->host_count))
        return err_set(err, ERR_INVALID,
                       "the PostgreSQL URL has not as many hosts as addresses or ports");
    for (size_t k = 1; counts[2] == 1 && k < server->host_count; k++)
        server->ports[k] = server->ports[0];
    return 0;
}

/* Of what libpq says only the name of an option is told, and only if it cannot be a piece
 * of a password with a `?` in it. */
static bool unknown_option(const char *url, const char *why, char *name)
{
    static const char before[] = "invalid URI query parameter: \"";
    const char *query = strchr(url, '?'), *at = strstr(why, before);
    if (!query || strchr(query, '@') || !at)
        return false;
    at += sizeof before - 1;
    size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
    if (len == 0 || len >= OPTION_NAME || at[len] != '"')
        return false;
    memcpy(name, at, len);
    name[len] = 0;
    return true;
}

static int read_url(struct pg_server *server, const char *url, struct err *err)
{
    char *why = NULL;
    char unknown[OPTION_NAME];
    server->options = server->pq.PQconninfoParse(url, &why);
    bool named = why && unknown_option(url, why, unknown);
    if (why)
        server->pq.PQfreemem(why); /* it may hold the password */
    if (!server->options && named)
        return err_set(err, ERR_INVALID, "the PostgreSQL URL has an option that there is not: %s",
                       unknown);
    if (!server->options)
        return err_set(err, ERR_INVALID,
                       "the PostgreSQL URL cannot be read: it should be "
                       "postgres://user:password@host:port/name");
    static const char *const ours[] = {"host", "hostaddr", "port", "client_encoding"};
    for (const PQconninfoOption *o = server->options; o->keyword; o++) {
        bool skip = !o->val || !o->val[0];
        /* What stands behind an `@` of the password is taken for these, and may be told. */
        bool told = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "dbname") == 0;
        if (!skip && told && strchr(o->val, '@'))
            return err_set(err, ERR_INVALID,
                           "the PostgreSQL URL has one @ too many: in a user's name or a password "
                           "write it as %%40, and / as %%2F");
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            skip = skip || strcmp(o->keyword, ours[i]) == 0;
        if (skip)
            continue;
        assert(server->count < PG_OPTIONS_MAX - 8);
        server->keys[server->count] = o->keyword;
        server->values[server->count++] = o->val;
    }
    const char *timeout =
        option(server, "connect_timeout"); /* in seconds; libpq's own is for those who block */
    long seconds = timeout ? strtol(timeout, NULL, 10) : 0;
    if (seconds > 0 && seconds < INT32_MAX)
        server->connect_timeout_us = seconds * INT64_C(1000000);
    set_default(server, "gssencmode", "disable"); /* asking for it may block */
    set_default(server, "target_session_attrs", "read-write");
    set_default(server, "fallback_application_name", "rundlet");
    server->keys[server->count] = "client_encoding";
    server->values[server->count++] = "UTF8";
    return read_hosts(server, err);
}

int pg_server_open(const char *url, struct pg_server **result, struct err *err)
{
#define NAME(function) #function,
    static const char *const names[] = {LIBPQ_FUNCTIONS(NAME)};
#undef NAME
    struct pg_server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    int r =
        library_load("libpq.so.5", "libpq5", names, sizeof names / sizeof *names, &server->pq, err);
    if (!r)
        r = read_url(server, url, err);
    if (r) {
        pg_server_close(server);
        return r;
    }
    *result = server;
    return 0;
}

void pg_server_close(struct pg_server *server)
{
    if (!server)
        return;
    if (server->options)
        server->pq.PQconninfoFree(server->options);
    free(server->lists);
    free(server);
}

const struct libpq *pg_server_libpq(const struct pg_server *server)
{
    return &server->pq;
}

static bool is_literal(const char *host)
{
    struct in6_addr room;
    return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1;
}

bool pg_server_has_name(const struct pg_server *server, size_t i)
{
    const char *host = server->hosts[i];
    return !server->addresses[i][0] && host[0] != '/' && host[0] != '@' && !is_literal(host);
}
