/* etag.c - see etag.h. */
#include "serve/etag.h"

#include <stdio.h>

void etag_write(const uint64_t hash[2], char out[ETAG])
{
    char text[ETAG + 1];
    snprintf(text, sizeof text, "\"%016llx%016llx\"", (unsigned long long)hash[1],
             (unsigned long long)hash[0]);
    memcpy(out, text, ETAG);
}

bool etag_is_known(struct str none_match, struct str etag)
{
    if (!none_match.at)
        return false;
    if (str_eq(none_match, STR("*")))
        return true;
    return memmem(none_match.at, none_match.len, etag.at, etag.len) != NULL;
}
