/* recorder.h - every change of the files below a directory, written down while it
 * happens, and the states in which a power cut may leave them.
 *
 * Two doors lead into it: `recorder_disk` for code that writes through struct
 * disk, and a SQLite VFS for SQLite's own files.  Both do the real thing and
 * note it.  Afterwards a replay goes through what was noted up to any event,
 * and makes directories as they may be found after a cut there:
 *
 *   - what was written to a file before its last sync is there
 *   - of what was written after it, anything may be there: every write and
 *     every change of size, none, the first few, or any 512 bytes of any of them
 *   - names made, moved and removed before their directory's last sync are as
 *     they were left; of the later ones a first part has happened
 *
 * The shared memory of SQLite's WAL is not recorded: it does not outlive the
 * machine.
 *
 * Threads  recording from any; the rest on one, with nothing under way
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"

/* A seeded source of numbers. */
struct dice {
    uint64_t state;
};
uint64_t dice_next(struct dice *dice);
uint32_t dice_below(struct dice *dice, uint32_t n);

extern const struct disk recorder_disk;

/* Make the recording VFS SQLite's default; once. */
void recorder_vfs_install(void);

/* Forget what was recorded; take the files below `dir` (absolute) as durable
 * as they are, and record from here on. */
void recorder_start(const char *dir);
void recorder_stop(void); /* from here on calls pass through unrecorded */

size_t recorder_now(void); /* how many events there are so far */

/* What happened, for a summary. */
struct recorder_counts {
    size_t writes, syncs, sizes, names, renames, bytes;
};
struct recorder_counts recorder_counts(void);

/* Is the event a sync?  Just before and after them the cuts are of most interest. */
bool recorder_is_sync(size_t event);
bool recorder_is_name(size_t event); /* a name came, went or changed */
bool recorder_is_gone(size_t event); /* a name went, perhaps for another */

/* While on, nothing is noted of directories that are synced: the process died
 * before it came to that. */
void recorder_ignore_dirs(bool on);

struct replay;
struct replay *replay_new(void); /* of what was recorded until recorder_stop() */
void replay_free(struct replay *replay);
void replay_to(struct replay *replay, size_t event); /* not backwards */

/* Make one of the states that a cut here may leave, in the empty directory
 * `into`; the words say how what was not synced was treated. */
const char *replay_crash(const struct replay *replay, struct dice *dice, const char *into);

/* ---- for the two doors ---- */
enum recorder_kind {
    REC_WRITE,
    REC_SIZE,
    REC_GROW,
    REC_SYNC,
    REC_NAME,
    REC_REMOVE,
    REC_RENAME,
    REC_SYNC_DIR,
    REC_MKDIR
};

void recorder_lock(void);
void recorder_unlock(void);

/* Under the lock, after the real thing succeeded.  Nothing is noted of paths
 * that are not below the directory, or while stopped. */
void recorder_made(const char *path); /* it was opened to be made; if it was not there it is now */
void recorder_removed(const char *path);
void recorder_renamed(const char *from, const char *to);
void recorder_linked(const char *from, const char *to);
void recorder_mkdir(const char *path);
void recorder_synced_dir(const char *path);
void recorder_synced_dir_of(const char *path); /* the directory that the file is in */
int recorder_file(const char *path);           /* its number, or -1 */
void recorder_wrote(int file, uint64_t at, const void *bytes, size_t size);
void recorder_sized(int file, uint64_t size);
void recorder_grew(int file, uint64_t size); /* to at least this */
void recorder_synced(int file);
