/* client.h - one connection to a server, for requests one after the other.
 *
 * Blocking, and never for ever: each wait for the other side has a deadline.
 * A connection is kept between requests, but not used again after a rest, so
 * that a request never meets one that the server is just closing.
 *
 * Threads  one at a time
 * Errors   ERR_INVALID the URL or the key cannot be used; ERR_UNAVAILABLE
 *          nobody answers there, or not in HTTP; ERR_TIMEOUT, and
 *          ERR_UNAVAILABLE too once the request was sent: outcome unknown
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct answer;
struct client;

/* "http://host:8000/path"; `key` NULL: none.  Connects with the first request. */
int client_open(const char *url, const char *key, struct client **result, struct err *err);
void client_close(struct client *client); /* NULL is fine */

/* POST the parts, one behind the other, to `path` (behind the URL's own), and
 * read the answer, whatever its status. */
int client_post(struct client *client, const char *path, const char *type, const struct str *parts,
                size_t count, struct answer *answer, struct err *err);
