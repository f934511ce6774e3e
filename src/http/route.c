/* route.c - see route.h.
 *
 * Routes are few (tens), so a request walks them all; what is compared first,
 * the number of segments and their lengths, rules nearly all of them out.
 */
#include "http/route.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"

enum { SEGMENTS_MAX = 12 };

struct segments {
    struct str at[SEGMENTS_MAX];
    unsigned count;
};

struct pattern {
    const struct http_route *route;
    struct str method;
    struct segments path;
    unsigned literal; /* bit for each segment that is no {}, the first the highest */
};

struct routes {
    size_t count;
    struct pattern patterns[];
};

/* "/a/b" is two segments, "/" is none.  False: too many for any route. */
static bool split(struct str path, struct segments *out)
{
    out->count = 0;
    if (path.len == 0 || path.at[0] != '/')
        return false;
    if (path.len == 1)
        return true;
    size_t start = 1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.at[i] != '/')
            continue;
        if (out->count == SEGMENTS_MAX)
            return false;
        out->at[out->count++] = (struct str){path.at + start, i - start};
        start = i + 1;
    }
    return true;
}

static bool is_wild(struct str segment)
{
    return str_eq(segment, STR("{}"));
}

struct routes *routes_new(const struct http_route *list, size_t count)
{
    struct routes *routes = calloc(1, sizeof *routes + count * sizeof routes->patterns[0]);
    if (!routes)
        abort();
    routes->count = count;
    for (size_t i = 0; i < count; i++) {
        struct pattern *p = &routes->patterns[i];
        p->route = &list[i];
        p->method = (struct str){list[i].method, strlen(list[i].method)};
        bool good = split((struct str){list[i].path, strlen(list[i].path)}, &p->path);
        assert(good);
        (void)good;
        for (unsigned s = 0; s < p->path.count; s++)
            if (!is_wild(p->path.at[s]))
                p->literal |= 1u << (SEGMENTS_MAX - s);
    }
    return routes;
}

void routes_free(struct routes *routes)
{
    free(routes);
}

/* Does the segment mean "here" or "up", once decoded? */
static bool is_dots(struct str s)
{
    unsigned dots = 0;
    for (size_t i = 0; i < s.len; dots++) {
        bool encoded =
            s.len - i >= 3 && s.at[i] == '%' && s.at[i + 1] == '2' && (s.at[i + 2] | 0x20) == 'e';
        if (!encoded && s.at[i] != '.')
            return false;
        i += encoded ? 3 : 1;
    }
    return dots == 1 || dots == 2;
}

static bool matches(const struct segments *path, const struct pattern *p)
{
    if (path->count != p->path.count)
        return false;
    for (unsigned s = 0; s < path->count; s++) {
        struct str got = path->at[s];
        struct str want = p->path.at[s];
        if (p->literal & 1u << (SEGMENTS_MAX - s) ? !str_eq(got, want)
                                                  : got.len == 0 || is_dots(got))
            return false;
    }
    return true;
}

static void allow(struct route_match *match, struct str method)
{
    size_t used = strlen(match->allow);
    bool get = str_eq(method, STR("GET"));
    snprintf(match->allow + used, sizeof match->allow - used, "%s%.*s%s", used ? ", " : "",
             STR_FMT(method), get ? ", HEAD" : "");
}

struct str route_strip(struct str path, const struct str *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = prefixes[i].len;
        if (path.len < len || memcmp(path.at, prefixes[i].at, len) != 0)
            continue;
        if (path.len == len)
            return STR("/");
        if (path.at[len] == '/')
            return (struct str){path.at + len, path.len - len};
    }
    return path;
}

void route_find(const struct routes *routes, struct str method, struct str path,
                struct route_match *match)
{
    struct segments segments;
    unsigned best = 0;
    bool known = false;
    const struct pattern *found = NULL;
    match->handler = NULL;
    match->part_count = 0;
    match->allow[0] = '\0';
    if (!split(path, &segments))
        return;
    if (str_eq(method, STR("HEAD")))
        method = STR("GET");
    for (size_t i = 0; i < routes->count; i++) {
        const struct pattern *p = &routes->patterns[i];
        if ((known && p->literal < best) || !matches(&segments, p))
            continue;
        if (!known || p->literal > best) {
            best = p->literal;
            found = NULL;
            match->allow[0] = '\0';
        }
        known = true;
        if (str_eq(p->method, method))
            found = p;
        else if (!found)
            allow(match, p->method);
    }
    if (!found)
        return;
    match->allow[0] = '\0';
    match->handler = found->route->handler;
    for (unsigned s = 0; s < segments.count; s++)
        if (is_wild(found->path.at[s]) && match->part_count < ROUTE_PARTS)
            match->parts[match->part_count++] = segments.at[s];
}
