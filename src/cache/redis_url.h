/* redis_url.h - where Redis is, and who we are to it.
 *
 *     redis://[user:password@]host[:port][/database]
 *
 * User and password may be percent-encoded; the user may be empty.  An IPv6
 * address stands in brackets.
 *
 * Errors   ERR_INVALID, with a sentence that never holds any of the URL: it may
 *          be the password
 * Sources  RFC 3986; https://www.iana.org/assignments/uri-schemes/prov/redis
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "loop/resolve.h"

enum { REDIS_URL_NAME = 256, REDIS_URL_PASSWORD = 512, REDIS_URL_PORT = 6379 };

struct redis_url {
    char host[RESOLVE_HOST];
    int port;
    int database;
    char user[REDIS_URL_NAME]; /* empty: the default one */
    char password[REDIS_URL_PASSWORD];
    bool has_password;
};

int redis_url_parse(const char *text, struct redis_url *result, struct err *err);
