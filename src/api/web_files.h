/* web_files.h - the web page, as web/build.mjs has made it of web/src.
 *
 * The table is in build/web/files.c, which scripts/web writes.  It has no files where there
 * was no Node to make them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct web_file {
    struct str name; /* below /ui/assets; the page itself is index.html */
    struct str type;
    struct str bytes, gzip;
    struct str etag, gzip_etag;
    bool fixed; /* the name says the content: it never changes */
};

extern const struct web_file web_files[];
extern const size_t web_file_count;
