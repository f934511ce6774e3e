/* assets.c - see assets.h. */
#include "api/assets.h"

#include "api/embed.h"

#define ASSET(name, path)                                                                          \
    EMBED(name, path);                                                                             \
    struct str asset_##name(void)                                                                  \
    {                                                                                              \
        return (struct str){embed_##name##_start,                                                  \
                            (size_t)(embed_##name##_end - embed_##name##_start)};                  \
    }

ASSET(openapi, "docs/openapi.json")
ASSET(docs, "src/api/docs.html")
ASSET(no_page, "src/api/no_page.html")
