/* embed.h - a file taken into the program as it is, by its path from the root of the
 * repository: embed_NAME_start and embed_NAME_end.  Once for each name, outside of functions. */
#pragma once

#define EMBED(name, path)                                                                          \
    __asm__(".section .rodata\n"                                                                   \
            ".global embed_" #name "_start\n"                                                      \
            ".global embed_" #name "_end\n"                                                        \
            "embed_" #name "_start:\n"                                                             \
            ".incbin \"" path "\"\n"                                                               \
            "embed_" #name "_end:\n"                                                               \
            ".previous\n");                                                                        \
    extern const char embed_##name##_start[], embed_##name##_end[]
