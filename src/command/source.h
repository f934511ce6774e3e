/* source.h - the bytes of a file or of stdin, decompressed when they are gzip or zstd.
 *
 * What it is, the first bytes tell.
 *
 * Errors   ERR_NOT_FOUND, ERR_IO; ERR_INVALID the compressed data is broken
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

struct source;

int source_open(const char *path, struct source **result, struct err *err); /* "-": stdin */
void source_close(struct source *source);                                   /* NULL is fine */

/* Up to `size` bytes; none at the end. */
int source_read(struct source *source, char *room, size_t size, size_t *got, struct err *err);
