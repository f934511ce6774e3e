/* reader.h - runs found again by their places, in segments and in packs.
 *
 * Knows every container, opens it when it is asked for, keeps the last few
 * open, and remembers where in them things are.  Neighbours are read with one
 * call.
 *
 * Threads  reader_add(), reader_expect(), reader_publish(), reader_rest() by the
 *          one writer; reader_seal() by upkeep; the rest any.  Everything may block
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

/* `live`: another process may be appending, and sealing. */
struct reader *reader_new(const struct disk *disk, struct str segments, struct str packs,
                          bool live);
void reader_free(struct reader *reader); /* closes every file; NULL is fine */

/* A further container, of a greater number.  Of the segment that is written the
 * reader takes over `open` (not closed while it is the one) and `marks`, and
 * the one before is it no longer; NULL: opened and scanned when it is asked for. */
int reader_add(struct reader *reader, uint64_t number, bool sealed, const struct segment_file *open,
               struct segment_marks *marks, uint64_t end, struct err *err);
void reader_rest(struct reader *reader); /* no segment is written any more */

/* The segment has become a pack: from now on that is read.  Also of a container
 * that was not known yet. */
void reader_seal(struct reader *reader, uint64_t number);

/* The first segment that is not written any more and not put off; 0: none. */
uint64_t reader_next_segment(struct reader *reader, int64_t now_us);

/* It is not to be sealed before that. */
void reader_put_off(struct reader *reader, uint64_t number, int64_t until_us);

/* The first container of a greater number; 0: none. */
uint64_t reader_next(struct reader *reader, uint64_t after, bool *sealed);

/* Make room for `count` marks of the segment that is written, so that publishing cannot fail. */
int reader_expect(struct reader *reader, size_t count, struct err *err);

/* These records of it are durable: show them. */
void reader_publish(struct reader *reader, const struct segment_mark *marks, size_t count,
                    uint64_t end);

/* Fill runs[i] with the run at places[i], verified.  Its views are kept by
 * `arena`, also on failure. */
int reader_read(struct reader *reader, const struct place *places, size_t count,
                struct arena *arena, struct run *runs, struct err *err);
