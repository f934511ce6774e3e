/* config_lent.c - see config_lent.h. */
#include "config_lent.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { CREDENTIALS_MAX = 64 << 10 };

static const char *const names[LENT_NAMES] = {
    "CACHE_TTL_GET",
    "CACHE_TTL_SEARCH",
    "DB_HOST",
    "DB_PORT",
    "DB_USER",
    "DB_PASSWORD",
    "DB_NAME",
    "S3_BUCKET_NAME",
    "S3_ENDPOINT_URL",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "S3_REGION",
    "REDIS_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "HOME",
};

void lent_say(struct lent *lent, enum source source, const char *name, size_t len,
              const char *value)
{
    for (size_t i = 0; i < LENT_NAMES; i++)
        if (lent->said[i].source <= source && strlen(names[i]) == len &&
            memcmp(names[i], name, len) == 0) {
            lent->said[i].source = source;
            lent->said[i].value = value;
        }
}

static const char *value_of(const struct lent *lent, enum lent_name name)
{
    return lent->said[name].value;
}

const char *lent_mention(const struct lent *lent, struct arena *arena)
{
    struct text line = {0};
    for (size_t i = 0; i < LENT_ORIGINALS; i++)
        if (lent->said[i].value)
            text_addf(&line, "%s%s", line.len ? ", " : "", names[i]);
    const char *notice = NULL;
    if (line.len) {
        text_addf(&line, ": set, but only read with --compat (RUNDLET_COMPAT=1)");
        notice = config_copy(arena, line.at, line.len);
    }
    text_free(&line);
    return notice;
}

/* ---- the original service ---- */

/* The strongest source of some variables, and the name of one that has it. */
static enum source source_of(const struct lent *lent, enum lent_name from, enum lent_name to,
                             const char **name)
{
    enum source source = STANDARD;
    for (enum lent_name i = from; i <= to; i++)
        if (lent->said[i].value && lent->said[i].source > source) {
            source = lent->said[i].source;
            *name = names[i];
        }
    return source;
}

/* `value` becomes what is said for a setting, unless ours says it as strongly. */
static void speak(struct said *said, enum source source, const char *value, const char *where)
{
    if (value && said->source < source)
        *said = (struct said){source, value, where, false};
}

/* What a URL may not hold as it is, as %XX. */
static void add_escaped(struct text *text, const char *value)
{
    for (; *value; value++)
        if (isalnum((unsigned char)*value) || strchr("-._~", *value))
            text_add_char(text, *value);
        else
            text_addf(text, "%%%02X", (unsigned)(unsigned char)*value);
}

static void add_part(struct text *text, const char *before, const char *value)
{
    if (value) {
        text_addf(text, "%s", before);
        add_escaped(text, value);
    }
}

static const char *finish(struct text *text, struct arena *arena)
{
    const char *copy = config_copy(arena, text->at, text->len);
    text_free(text);
    return copy;
}

/* What is missing of DB_* is what the original took for it. */
static const char *database(const struct lent *lent, struct arena *arena)
{
    const char *user = value_of(lent, LENT_DB_USER), *host = value_of(lent, LENT_DB_HOST);
    const char *name = value_of(lent, LENT_DB_NAME);
    struct text text = {0};
    add_part(&text, "postgres://", user ? user : "postgres");
    add_part(&text, ":", value_of(lent, LENT_DB_PASSWORD));
    add_part(&text, "@", host ? host : "localhost");
    add_part(&text, ":", value_of(lent, LENT_DB_PORT));
    add_part(&text, "/", name ? name : "postgres");
    return finish(&text, arena);
}

static const char *bucket(const struct lent *lent, struct arena *arena)
{
    const char *endpoint = value_of(lent, LENT_S3_ENDPOINT_URL);
    struct text text = {0};
    add_part(&text, "s3://", value_of(lent, LENT_S3_BUCKET_NAME));
    add_part(&text, "?endpoint=", endpoint);
    return finish(&text, arena);
}

static int obey_seconds(const struct lent *lent, enum lent_name name, struct arena *arena,
                        struct said *said, struct err *err)
{
    const char *value = value_of(lent, name);
    if (!value || said->source >= lent->said[name].source)
        return 0;
    *said = (struct said){lent->said[name].source, value, names[name], false};
    if (value[strspn(value, "0123456789")] != '\0')
        return setting_bad_value(said, "is not a number of seconds", err);
    struct text text = {0};
    text_addf(&text, "%ss", value);
    said->value = finish(&text, arena);
    return 0;
}

int lent_obey(const struct lent *lent, struct arena *arena, struct said said[SETTINGS],
              struct err *err)
{
    const char *name = NULL;
    enum source source = source_of(lent, LENT_DB_HOST, LENT_DB_NAME, &name);
    if (source > STANDARD)
        speak(&said[SETTING_index], source, database(lent, arena), name);
    source = source_of(lent, LENT_S3_BUCKET_NAME, LENT_S3_REGION, &name);
    if (source > STANDARD && !value_of(lent, LENT_S3_BUCKET_NAME))
        return err_set(err, ERR_INVALID, "%s is set, but no S3_BUCKET_NAME: set that too", name);
    if (source > STANDARD)
        speak(&said[SETTING_objects], source, bucket(lent, arena), name);
    static const struct {
        enum lent_name name;
        int setting;
    } plain[] = {
        {LENT_S3_ACCESS_KEY, SETTING_s3_access_key},
        {LENT_S3_SECRET_KEY, SETTING_s3_secret_key},
        {LENT_S3_REGION, SETTING_s3_region},
        {LENT_REDIS_URL, SETTING_cache},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        speak(&said[plain[i].setting], lent->said[plain[i].name].source,
              value_of(lent, plain[i].name), names[plain[i].name]);
    int r = obey_seconds(lent, LENT_CACHE_TTL_GET, arena, &said[SETTING_cache_ttl_get], err);
    if (!r)
        r = obey_seconds(lent, LENT_CACHE_TTL_SEARCH, arena, &said[SETTING_cache_ttl_search], err);
    return r;
}

/* ---- AWS ---- */

struct credentials {
    const char *access_key, *secret_key, *session_token;
};

static void take_line(struct arena *arena, struct str line, struct credentials *found)
{
    const char *equals = memchr(line.at, '=', line.len);
    if (!equals)
        return;
    struct str key = config_trim((struct str){line.at, (size_t)(equals - line.at)});
    struct str value =
        config_trim((struct str){equals + 1, line.len - (size_t)(equals + 1 - line.at)});
    const char *copy = config_copy(arena, value.at, value.len);
    if (str_eq(key, STR("aws_access_key_id")))
        found->access_key = copy;
    else if (str_eq(key, STR("aws_secret_access_key")))
        found->secret_key = copy;
    else if (str_eq(key, STR("aws_session_token")))
        found->session_token = copy;
}

/* The lines of one [profile]. */
static void read_profile(struct arena *arena, const char *at, const char *profile,
                         struct credentials *found)
{
    bool inside = false;
    while (*at) {
        size_t len = strcspn(at, "\n");
        struct str line = config_trim((struct str){at, len});
        if (line.len > 1 && line.at[0] == '[') {
            struct str name = config_trim((struct str){line.at + 1, line.len - 2});
            inside = name.len == strlen(profile) && memcmp(name.at, profile, name.len) == 0;
        } else if (inside && line.len > 0 && line.at[0] != '#') {
            take_line(arena, line, found);
        }
        at += len + (at[len] == '\n');
    }
}

/* What cannot be read says nothing. */
static void read_credentials(const struct lent *lent, struct arena *arena,
                             struct credentials *found)
{
    const char *path = value_of(lent, LENT_AWS_SHARED_CREDENTIALS_FILE);
    const char *home = value_of(lent, LENT_HOME), *profile = value_of(lent, LENT_AWS_PROFILE);
    const char *at = NULL;
    struct text text = {0};
    if (!path && home) {
        text_addf(&text, "%s/.aws/credentials", home);
        path = finish(&text, arena);
    }
    if (path && config_read_file(arena, path, CREDENTIALS_MAX, &at, NULL) == 0)
        read_profile(arena, at, profile ? profile : "default", found);
}

void lent_aws(const struct lent *lent, struct arena *arena, struct said said[SETTINGS])
{
    if (said[SETTING_objects].source == STANDARD)
        return;
    const char *region = value_of(lent, LENT_AWS_REGION);
    speak(&said[SETTING_s3_region], DOTENV,
          region ? region : value_of(lent, LENT_AWS_DEFAULT_REGION), "AWS_REGION");
    if (said[SETTING_s3_access_key].source > STANDARD ||
        said[SETTING_s3_secret_key].source > STANDARD)
        return; /* never half of one pair and half of another */
    struct credentials found = {
        .access_key = value_of(lent, LENT_AWS_ACCESS_KEY_ID),
        .secret_key = value_of(lent, LENT_AWS_SECRET_ACCESS_KEY),
        .session_token = value_of(lent, LENT_AWS_SESSION_TOKEN),
    };
    const char *where = names[LENT_AWS_ACCESS_KEY_ID];
    if (!found.access_key || !found.secret_key) {
        found = (struct credentials){0};
        read_credentials(lent, arena, &found);
        where = "the AWS credentials file";
    }
    if (found.access_key && found.secret_key) {
        speak(&said[SETTING_s3_access_key], DOTENV, found.access_key, where);
        speak(&said[SETTING_s3_secret_key], DOTENV, found.secret_key, where);
        speak(&said[SETTING_s3_session_token], DOTENV, found.session_token, where);
    }
}
