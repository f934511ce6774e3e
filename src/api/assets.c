/* assets.c - see assets.h.  The assembler takes the files in as they are, by
 * their paths from the root of the repository. */
#include "api/assets.h"

#define ASSET(name, path)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            ".global asset_" #name "_start\n"                                                      \
            ".global asset_" #name "_end\n"                                                        \
            "asset_" #name "_start:\n"                                                             \
            ".incbin \"" path "\"\n"                                                               \
            "asset_" #name "_end:\n"                                                               \
            ".previous\n");                                                                        \
    extern const char asset_##name##_start[], asset_##name##_end[];                                \
    struct str asset_##name(void)                                                                  \
    {                                                                                              \
        return (struct str){asset_##name##_start,                                                  \
                            (size_t)(asset_##name##_end - asset_##name##_start)};                  \
    }

ASSET(openapi, "docs/openapi.json")
ASSET(docs, "src/api/docs.html")
