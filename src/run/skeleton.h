/* skeleton.h - a whole trace without its payloads, as columns: what a picture of it needs.
 *
 *     skeleton_add()    for each run, in the order of start and id
 *     skeleton_close()  who is whose parent
 *     skeleton_write()  the answer, a part at a time
 *
 * Parents  make trees: where those of a run lead back to it, that is cut, and said
 * Threads  pure
 * Memory   in the arena; what is there for each run is charged to the budget for as long
 *          as the arena lives
 * Errors   ERR_BUSY when the budget is used up
 * Sources  docs/design/web.md, Skeleton
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena;
struct budget;
struct skeleton;
struct text;
struct view;

enum {
    SKELETON_RUNS = 250000,   /* more are left out, and it is said */
    SKELETON_NAME = 256,      /* bytes of a name; of a longer one the beginning */
    SKELETON_NAMES = 4 << 20, /* bytes of all different ones; further ones are "" */
    SKELETON_VERSION = 1      /* part of the tag: whoever changes what is written changes it */
};

struct skeleton *skeleton_new(struct arena *arena, struct budget *budget);

/* `silent`: there is no feedback on the run.  One that is there already is passed over. */
int skeleton_add(struct skeleton *skeleton, const struct view *run, uint64_t project_version,
                 bool silent, struct err *err);
size_t skeleton_count(const struct skeleton *skeleton);

void skeleton_close(struct skeleton *skeleton, bool truncated);

/* Another one whenever what is written is. */
void skeleton_hash(const struct skeleton *skeleton, uint64_t hash[2]);

/* Append some `size` bytes, or what is left; false: that was the end. */
bool skeleton_write(struct skeleton *skeleton, size_t size, struct text *text);
