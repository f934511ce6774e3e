/* allow.c - see allow.h. */
#include "api/allow.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "wire/base64.h"

/* In a time that tells nothing of how much of it is right. */
static bool same_secret(struct str given, struct str secret)
{
    unsigned char differ = given.len != secret.len;
    for (size_t i = 0; i < given.len; i++)
        differ |= (unsigned char)(given.at[i] ^ secret.at[i % secret.len]);
    return differ == 0;
}

static bool starts(struct str s, const char *word, size_t len)
{
    return s.len >= len && strncasecmp(s.at, word, len) == 0;
}

/* What follows the colon of Basic credentials; at == NULL: they are none. */
static struct str password(struct http_request *request, struct str coded)
{
    char *plain = arena_alloc(http_arena(request), coded.len + 1);
    size_t len;
    if (!base64_read(coded, plain, &len))
        return (struct str){0};
    const char *colon = memchr(plain, ':', len);
    return colon ? (struct str){colon + 1, len - (size_t)(colon + 1 - plain)} : (struct str){0};
}

static enum allowed verdict(struct str given, struct str key)
{
    return same_secret(given, key) ? ALLOW_YES : given.len > 0 ? ALLOW_OTHER : ALLOW_NONE;
}

enum allowed allow_key(struct http_request *request, struct str key)
{
    struct str given = http_header(request, STR("x-api-key"));
    enum allowed alone = verdict(given, key);
    struct str header = http_header(request, STR("authorization"));
    const size_t bearer = sizeof "Bearer " - 1, basic = sizeof "Basic " - 1;
    if (alone == ALLOW_YES || !header.at)
        return alone;
    if (starts(header, "Bearer ", bearer))
        given = (struct str){header.at + bearer, header.len - bearer};
    else if (starts(header, "Basic ", basic))
        given = password(request, (struct str){header.at + basic, header.len - basic});
    else
        return alone;
    enum allowed authorized = verdict(given, key);
    return authorized > alone ? authorized : alone;
}

/* The host of "scheme://host:port". */
static struct str origin_host(struct str origin)
{
    const char *slashes = memmem(origin.at, origin.len, "://", 3);
    if (!slashes)
        return (struct str){0};
    const char *host = slashes + 3;
    return (struct str){host, (size_t)(origin.at + origin.len - host)};
}

bool allow_origin(struct http_request *request)
{
    struct str site = http_header(request, STR("sec-fetch-site"));
    if (site.at && !str_eq(site, STR("same-origin")) && !str_eq(site, STR("none")))
        return false;
    struct str origin = http_header(request, STR("origin"));
    if (!origin.at)
        return true;
    struct str host = http_header(request, STR("host")), from = origin_host(origin);
    return from.at && host.at && from.len == host.len &&
           strncasecmp(from.at, host.at, host.len) == 0;
}
