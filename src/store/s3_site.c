/* s3_site.c - see s3_site.h.
 *
 * What libcurl 7.88 signs is what S3 expects if x-amz-content-sha256 is always
 * sent by us, queries are sorted and have a '=' for each name, and no header is
 * suppressed (it would be signed all the same).
 *
 * Bodies are sent as UNSIGNED-PAYLOAD: over https TLS protects them, and
 * everywhere packs have checksums of their own.  A digest would cost half a
 * second of a core for each gigabyte, on the loop.
 */
#include "store/s3_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/library.h"
#include "base/text.h"
#include "store/object.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum { CURL_OLDEST = 0x075800 }; /* 7.88: what the rules above were tried with */

/* ---- libcurl ---- */

static int begin_curl(struct s3_site *site, struct err *err)
{
#define NAME(name) #name,
    static const char *const names[] = {LIBCURL_FUNCTIONS(NAME)};
#undef NAME
    struct libcurl *curl = &site->curl;
    int r =
        library_load("libcurl.so.4", "libcurl4", names, sizeof names / sizeof *names, curl, err);
    if (r)
        return r;
    const curl_version_info_data *version = curl->curl_version_info(CURLVERSION_NOW);
    if (version->version_num < CURL_OLDEST)
        return err_set(err, ERR_UNAVAILABLE, "libcurl is %.20s: 7.88 or newer is needed",
                       version->version);
    if (curl->curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_UNAVAILABLE, "libcurl does not start");
    site->begun = true;
    return 0;
}

/* ---- settings ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Only letters, digits, and `others`. */
static bool holds_only(const char *s, const char *others)
{
    for (; *s; s++)
        if (!is_letter(*s) && !(*s >= '0' && *s <= '9') && !strchr(others, *s))
            return false;
    return true;
}

static bool bucket_valid(const char *bucket)
{
    size_t len = strlen(bucket);
    if (len < 3 || len > 63 || strstr(bucket, ".."))
        return false;
    for (const char *s = bucket; *s; s++)
        if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') && !strchr("-.", *s))
            return false;
    return !strchr("-.", bucket[0]) && !strchr("-.", bucket[len - 1]);
}

/* No segment empty or hidden: such a path would not come through as it is. */
static bool prefix_valid(const char *prefix)
{
    size_t len = strlen(prefix);
    return len == 0 || (len <= 200 && holds_only(prefix, "._-/") && prefix[len - 1] == '/' &&
                        !strchr("./", prefix[0]) && !strstr(prefix, "//") && !strstr(prefix, "/."));
}

/* A value of a header; the library would send a second line as another header. */
static bool printable(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~')
            return false;
    return true;
}

struct endpoint {
    struct str scheme; /* with "://" */
    struct str host;   /* and port, and a path if there is one; no '/' at the end */
};

static bool read_endpoint(const char *text, struct endpoint *result)
{
    const char *host = strstr(text, "://");
    if (!host || (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0))
        return false;
    host += 3;
    size_t len = strlen(host);
    while (len > 0 && host[len - 1] == '/')
        len--;
    *result = (struct endpoint){{text, (size_t)(host - text)}, {host, len}};
    return len > 0 && len <= 255 && host[0] != '/' && holds_only(host, "._-/:[]");
}

/* 127.0.0.1, [::1]: a bucket's name cannot stand in front of it. */
static bool is_address(struct str host)
{
    if (host.at[0] == '[')
        return true;
    for (size_t i = 0; i < host.len && host.at[i] != ':' && host.at[i] != '/'; i++)
        if (host.at[i] != '.' && !(host.at[i] >= '0' && host.at[i] <= '9'))
            return false;
    return true;
}

static int check(const struct object_s3_config *config, struct err *err)
{
    if (!config->bucket || !bucket_valid(config->bucket))
        return err_set(err, ERR_INVALID,
                       "the bucket's name must be 3 to 63 of a-z, 0-9, '-' and '.'");
    if (config->prefix && !prefix_valid(config->prefix))
        return err_set(err, ERR_INVALID,
                       "the prefix must be like \"a/b/\", of letters, digits, "
                       "'.', '_' and '-'");
    if (config->region &&
        (!config->region[0] || strlen(config->region) >= 48 || !holds_only(config->region, "-_.")))
        return err_set(err, ERR_INVALID, "the region must be like \"eu-central-1\"");
    if (!config->access_key != !config->secret_key)
        return err_set(err, ERR_INVALID, "an access key needs its secret key, and the other way");
    if (config->session_token && !config->access_key)
        return err_set(err, ERR_INVALID, "a session token needs the keys that came with it");
    const char *const secret[] = {config->access_key, config->secret_key, config->session_token};
    for (int i = 0; i < 3; i++)
        if (secret[i] && (!secret[i][0] || !printable(secret[i])))
            return err_set(err, ERR_INVALID, "a key or the session token is empty or has blanks");
    if (config->deadline_ms == 0 || config->connections == 0)
        return err_set(err, ERR_INVALID, "the deadline and the connections must be at least 1");
    return 0;
}

static struct str view(const char *s)
{
    return (struct str){s, strlen(s)};
}

static char *finish(struct text *text)
{
    text_add_char(text, '\0');
    return text->at;
}

static char *copy(const char *s)
{
    struct text text = {0};
    text_add(&text, view(s));
    return finish(&text);
}

static int find_base(struct s3_site *site, const struct object_s3_config *config, struct err *err)
{
    struct text aws = {0};
    text_addf(&aws, "https://s3.%s.amazonaws.com%s", site->region,
              strncmp(site->region, "cn-", 3) == 0 ? ".cn" : "");
    const char *given = config->endpoint ? config->endpoint : finish(&aws);
    struct endpoint endpoint;
    int r = 0;
    if (!read_endpoint(given, &endpoint))
        r = err_set(err, ERR_INVALID, "the endpoint must be like \"https://host:port\"");
    else if (!config->path_style && is_address(endpoint.host))
        r = err_set(err, ERR_INVALID, "an endpoint that is an address needs path style");
    else if (!config->path_style && given[4] == 's' && strchr(config->bucket, '.'))
        r = err_set(err, ERR_INVALID,
                    "a bucket with a '.' in its name needs path style, since "
                    "certificates do not cover it");
    if (!r) {
        struct text base = {0};
        text_add(&base, endpoint.scheme);
        if (!config->path_style)
            text_addf(&base, "%s.", config->bucket);
        text_add(&base, endpoint.host);
        if (config->path_style)
            text_addf(&base, "/%s", config->bucket);
        site->base = finish(&base);
        site->root = config->path_style ? "" : "/";
    }
    text_free(&aws);
    return r;
}

/* ---- headers ---- */

static void add_header(struct s3_site *site, enum s3_headers list, const char *line)
{
    struct curl_slist *longer = site->curl.curl_slist_append(site->headers[list], line);
    if (!longer)
        abort();
    site->headers[list] = longer;
}

static void make_headers(struct s3_site *site, const char *session_token)
{
    add_header(site, S3_NO_BODY, "x-amz-content-sha256: " EMPTY_SHA256);
    add_header(site, S3_BODY, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
    add_header(site, S3_CREATE, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
    add_header(site, S3_CREATE, "If-None-Match: *");
    if (!session_token)
        return;
    struct text line = {0};
    text_addf(&line, "x-amz-security-token: %s", session_token);
    (void)finish(&line);
    for (int i = 0; i < S3_HEADER_LISTS; i++)
        add_header(site, (enum s3_headers)i, line.at);
    explicit_bzero(line.at, line.len);
    text_free(&line);
}

/* ---- life ---- */

int s3_site_open(struct s3_site *site, const struct object_s3_config *config, struct err *err)
{
    *site = (struct s3_site){0};
    int r = check(config, err);
    if (r)
        return r;
    site->region = copy(config->region ? config->region : "us-east-1");
    site->prefix = copy(config->prefix ? config->prefix : "");
    if (config->access_key) {
        struct text signing = {0};
        text_addf(&signing, "aws:amz:%s:s3", site->region);
        site->signing = finish(&signing);
        site->access_key = copy(config->access_key);
        site->secret_key = copy(config->secret_key);
    }
    r = find_base(site, config, err);
    if (!r)
        r = begin_curl(site, err);
    if (!r)
        make_headers(site, config->session_token);
    else
        s3_site_close(site);
    return r;
}

static void forget(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void s3_site_close(struct s3_site *site)
{
    for (int i = 0; i < S3_HEADER_LISTS; i++)
        if (site->headers[i])
            site->curl.curl_slist_free_all(site->headers[i]);
    if (site->begun)
        site->curl.curl_global_cleanup();
    forget(site->access_key);
    forget(site->secret_key);
    free(site->signing);
    free(site->region);
    free(site->prefix);
    free(site->base);
    *site = (struct s3_site){0};
}

void s3_site_escape(struct text *query, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (is_letter(c) || (c >= '0' && c <= '9') || (c && strchr("-._~", c)))
            text_add_char(query, c);
        else
            text_addf(query, "%%%02X", (unsigned)(unsigned char)c);
    }
}
