/* assets.h - files that are part of the program. */
#pragma once

#include "base/str.h"

struct str asset_openapi(void); /* docs/openapi.json */
struct str asset_docs(void);    /* src/api/docs.html */
struct str asset_no_page(void); /* src/api/no_page.html: instead of the web page */
