/* route.h - which handler a method and a path lead to.
 *
 * Paths are compared segment by segment, as sent: an encoded slash is part of
 * its segment, and a segment that is empty or means "here" or "up" (`.`, `..`,
 * encoded or not) is matched by nothing.
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct http_handler;
struct http_route;
struct routes;

enum { ROUTE_PARTS = 6 /* {} in one path */, ROUTE_ALLOW = 128 };

struct route_match {
    const struct http_handler *handler; /* NULL: not found */
    struct str parts[ROUTE_PARTS];      /* what the {} matched */
    unsigned part_count;
    char allow[ROUTE_ALLOW]; /* methods of this path, when the method is the wrong one; else "" */
};

struct routes *routes_new(const struct http_route *list, size_t count); /* borrowed */
void routes_free(struct routes *routes);                                /* NULL is fine */

/* The path without the first of the prefixes that it begins with, as whole segments; "/" when
 * nothing else is there. */
struct str route_strip(struct str path, const struct str *prefixes, size_t count);

void route_find(const struct routes *routes, struct str method, struct str path,
                struct route_match *match);
