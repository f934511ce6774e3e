/* config_lent.h - variables that others named, and what they say for ours.
 *
 * Those of the original service, which count with --compat, and those of AWS,
 * which count for a bucket, where nothing of ours speaks.
 */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "config_table.h"

enum lent_name {
    LENT_CACHE_TTL_GET,
    LENT_CACHE_TTL_SEARCH,
    LENT_DB_HOST,
    LENT_DB_PORT,
    LENT_DB_USER,
    LENT_DB_PASSWORD,
    LENT_DB_NAME,
    LENT_S3_BUCKET_NAME,
    LENT_S3_ENDPOINT_URL,
    LENT_S3_ACCESS_KEY,
    LENT_S3_SECRET_KEY,
    LENT_S3_REGION,
    LENT_REDIS_URL,
    LENT_ORIGINALS, /* how many are the original service's */
    LENT_AWS_ACCESS_KEY_ID = LENT_ORIGINALS,
    LENT_AWS_SECRET_ACCESS_KEY,
    LENT_AWS_SESSION_TOKEN,
    LENT_AWS_REGION,
    LENT_AWS_DEFAULT_REGION,
    LENT_AWS_PROFILE,
    LENT_AWS_SHARED_CREDENTIALS_FILE,
    LENT_HOME,
    LENT_NAMES
};

/* What was said for each; a stronger source wins. */
struct lent {
    struct {
        enum source source;
        const char *value; /* NULL: nothing */
    } said[LENT_NAMES];
};

void lent_say(struct lent *lent, enum source source, const char *name, size_t len,
              const char *value);

/* The original's speak for a setting wherever no name of ours of the same source does. */
int lent_obey(const struct lent *lent, struct arena *arena, struct said said[SETTINGS],
              struct err *err);

/* A line that says which of them are set and not read; NULL when none is. */
const char *lent_mention(const struct lent *lent, struct arena *arena);

/* AWS's speak for the keys of a bucket when nobody else does: variables, then the
 * credentials file. */
void lent_aws(const struct lent *lent, struct arena *arena, struct said said[SETTINGS]);
