/* media.c - see media.h. */
#include "api/media.h"

#include <string.h>
#include <strings.h>

bool media_is(struct str type, const char *media)
{
    size_t len = strlen(media);
    if (type.len < len || strncasecmp(type.at, media, len) != 0)
        return false;
    size_t i = len;
    while (i < type.len && (type.at[i] == ' ' || type.at[i] == '\t'))
        i++;
    return i == type.len || type.at[i] == ';';
}
