/* media.h - media types. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

/* Is `type` (a Content-Type header) that media type, whatever its parameters? */
bool media_is(struct str type, const char *media);
