/* assets.h - files that are part of the program. */
#pragma once

#include "base/str.h"

struct str asset_openapi(void); /* docs/openapi.json */
struct str asset_docs(void);    /* src/api/docs.html */
