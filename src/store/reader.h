/* reader.h - runs found again by their places.
 *
 * Knows every segment file, opens them when they are asked for, keeps the last
 * few open, and remembers where their records begin.  Neighbours are read with
 * one call.
 *
 * Threads  reader_add() and reader_publish() by the one writer; the rest any.
 *          Everything may block
 * Errors   ERR_NOT_FOUND no such place, ERR_CORRUPT with file and offset,
 *          ERR_BUSY no memory, ERR_IO
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"
#include "store/segment.h"

struct arena;
struct place;
struct reader;
struct run;

/* `live`: another process may be appending to the last file. */
struct reader *reader_new(const struct disk *disk, struct str dir, bool live);
void reader_free(struct reader *reader); /* closes every file; NULL is fine */

/* A further file, of a greater number.  Of the last one the reader takes over
 * `open` (not closed before reader_free() or before it is no longer the last)
 * and `marks`; both NULL: opened and scanned when it is asked for. */
int reader_add(struct reader *reader, uint64_t number, const struct segment_file *open,
               struct segment_marks *marks, uint64_t end, struct err *err);

/* Make room for `count` marks of the last file, so that publishing cannot fail. */
int reader_expect(struct reader *reader, size_t count, struct err *err);

/* These records of the last file are durable: show them. */
void reader_publish(struct reader *reader, const struct segment_mark *marks, size_t count,
                    uint64_t end);

/* Fill runs[i] with the run at places[i], verified.  Its views are kept by
 * `arena`, also on failure. */
int reader_read(struct reader *reader, const struct place *places, size_t count,
                struct arena *arena, struct run *runs, struct err *err);
