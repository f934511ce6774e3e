/* redis_url.c - see redis_url.h. */
#include "cache/redis_url.h"

#include <string.h>

#include "base/str.h"

#define FORM "write redis://[user:password@]host[:port][/database]"

enum { DATABASES_MAX = 1 << 20 };

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded and terminated; false: bad escapes, a NUL, or too long. */
static bool decode(struct str from, char *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < from.len; i++) {
        char c = from.at[i];
        if (c == '%') {
            int high = i + 2 < from.len ? hex(from.at[i + 1]) : -1;
            int low = i + 2 < from.len ? hex(from.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0' || n + 1 >= size)
            return false;
        to[n++] = c;
    }
    to[n] = '\0';
    return true;
}

/* All of it is a number of at most `most`. */
static bool number(struct str s, int most, int *result)
{
    int n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        n = 10 * n + (s.at[i] - '0');
        if (n > most)
            return false;
    }
    *result = n;
    return s.len > 0;
}

static struct str until(struct str *rest, const char *end)
{
    struct str part = {rest->at, (size_t)(end - rest->at)};
    rest->at = end;
    rest->len -= part.len;
    return part;
}

static void skip(struct str *rest, size_t n)
{
    rest->at += n;
    rest->len -= n;
}

static int read_user(struct str who, struct redis_url *url, struct err *err)
{
    const char *colon = memchr(who.at, ':', who.len);
    if (!colon)
        return err_set(err, ERR_INVALID, "the URL of Redis has a user and no password: " FORM);
    struct str user = until(&who, colon);
    skip(&who, 1);
    if (!decode(user, url->user, sizeof url->user) ||
        !decode(who, url->password, sizeof url->password))
        return err_set(err, ERR_INVALID,
                       "user or password in the URL of Redis cannot be decoded: write other "
                       "characters than letters and digits as %%XX");
    url->has_password = true;
    return 0;
}

/* Letters, digits, '.', '-' and '_'; in brackets an address with colons. */
static int read_host(struct str *rest, struct redis_url *url, struct err *err)
{
    bool bracket = rest->len > 0 && rest->at[0] == '[';
    if (bracket)
        skip(rest, 1);
    size_t n = 0;
    while (n < rest->len) {
        char c = rest->at[n];
        bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!word && !strchr(bracket ? ":." : ".-_", c))
            break;
        n++;
    }
    if (n == 0 || n >= sizeof url->host)
        return err_set(err, ERR_INVALID, "the URL of Redis has no host, or too long a one: " FORM);
    memcpy(url->host, rest->at, n);
    url->host[n] = '\0';
    skip(rest, n);
    if (bracket && (rest->len == 0 || rest->at[0] != ']'))
        return err_set(err, ERR_INVALID, "the host in the URL of Redis has no closing ]");
    if (bracket)
        skip(rest, 1);
    return 0;
}

static int read_place(struct str rest, struct redis_url *url, struct err *err)
{
    if (read_host(&rest, url, err))
        return ERR_INVALID;
    if (rest.len > 0 && rest.at[0] == ':') {
        skip(&rest, 1);
        const char *slash = memchr(rest.at, '/', rest.len);
        struct str port = until(&rest, slash ? slash : rest.at + rest.len);
        if (!number(port, 65535, &url->port) || url->port == 0)
            return err_set(err, ERR_INVALID,
                           "the port in the URL of Redis is no number of 1 to "
                           "65535: " FORM);
    }
    if (rest.len > 0 && rest.at[0] != '/')
        return err_set(err, ERR_INVALID, "the URL of Redis goes on behind its host: " FORM);
    if (rest.len > 0)
        skip(&rest, 1);
    if (rest.len > 0 && !number(rest, DATABASES_MAX, &url->database))
        return err_set(err, ERR_INVALID, "the database in the URL of Redis is no number: " FORM);
    return 0;
}

int redis_url_parse(const char *text, struct redis_url *result, struct err *err)
{
    struct redis_url url = {.port = REDIS_URL_PORT};
    struct str rest = {text, strlen(text)};
    if (strncmp(text, "rediss://", 9) == 0)
        return err_set(err, ERR_INVALID,
                       "rediss:// needs TLS, which the Redis client of this build does not have: "
                       "use redis:// in a private network, or by way of a tunnel such as stunnel");
    if (strncmp(text, "redis://", 8) != 0)
        return err_set(err, ERR_INVALID, "that is no URL of Redis: " FORM);
    skip(&rest, 8);
    /* The last one: a password may have been written with an @ in it. */
    const char *at = memrchr(rest.at, '@', rest.len);
    if (at) {
        struct str who = until(&rest, at);
        skip(&rest, 1);
        if (read_user(who, &url, err))
            return ERR_INVALID;
    }
    if (read_place(rest, &url, err))
        return ERR_INVALID;
    *result = url;
    return 0;
}
