/* postgres_server.h - who is asked: what the URL says, for connections.
 *
 * The functions are in postgres_conn.h.
 *
 * Threads  only read once it is open
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/postgres_conn.h"

enum { PG_HOSTS_MAX = 8, PG_OPTIONS_MAX = 64 };

struct pg_server {
    struct libpq pq;
    PQconninfoOption *options;
    const char *keys[PG_OPTIONS_MAX], *values[PG_OPTIONS_MAX]; /* all but hosts and their ports */
    size_t count;
    int64_t connect_timeout_us; /* for each address; 0: not said */
    char *lists;                /* holds the next three */
    const char *hosts[PG_HOSTS_MAX], *addresses[PG_HOSTS_MAX],
        *ports[PG_HOSTS_MAX]; /* "": not said */
    size_t host_count;
};

/* Is the host a name that somebody has to be asked for? */
bool pg_server_has_name(const struct pg_server *server, size_t host);
