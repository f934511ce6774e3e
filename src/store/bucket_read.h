/* bucket_read.h - runs of packs in a bucket, by place.
 *
 * Threads  bucket_read() from any loop that the objects are attached to
 * Errors   ERR_NOT_FOUND no such run in that pack; ERR_CORRUPT, also an object
 *          that is not there; ERR_BUSY; those of the objects
 * Sources  docs/design/production.md, Reading
 */
#pragma once

#include <stddef.h>

enum { BUCKET_READ_HELD = 128 << 20 };

struct bucket_reader;
struct lane;
struct objects;
struct op;
struct shelf;
struct store_read;

/* `held_max`: bytes that all reads together hold of objects, before one of several
 * that are under way is refused. */
struct bucket_reader *bucket_reader_new(struct objects *objects, struct shelf *shelf,
                                        size_t held_max);
void bucket_reader_free(struct bucket_reader *reader); /* nothing is under way; NULL is fine */

/* The work of a lane, for bucket_read(): unpacking.  Its context is the reader. */
void bucket_reader_work(void *context, struct op *chain);
void bucket_reader_use(struct bucket_reader *reader, struct lane *lane); /* before any read */

void bucket_read(struct bucket_reader *reader, struct store_read *read);
