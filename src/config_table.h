/* config_table.h - the settings as a table, for the files that make up config.
 *
 * config.c        what each source says
 * config_value.c  from what was said to a member of struct config
 * config_help.c   --help and docs
 * config_table.c  the table, and finding one's way in it
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "config.h"

enum kind { STRING, SECRET, WORD, PLACE, BOOL, COUNT, SIZE, DURATION, ADDRESS, LIST };

struct setting {
    const char *name;
    enum kind kind;
    const char *standard, *least, *most, *meaning;
    size_t offset; /* of the member in struct config */
};

enum {
#define SETTING(type, name, standard, least, most, meaning) SETTING_##name,
#include "config.def"
#undef SETTING
    SETTINGS /* how many there are */
};

extern const struct setting settings[SETTINGS];

/* Sources, the weakest first. */
enum source { STANDARD, DOTENV, FILE_NAMED, ENVIRONMENT, FLAG };

/* What a source says for a setting. */
struct said {
    enum source source;
    const char *value;
    const char *where; /* "--body-max", "RUNDLET_BODY_MAX", "my.conf:3: body_max" */
    bool in_file;      /* the value names a file that holds it */
};

const struct setting *setting_find(const char *name, size_t len);
const struct setting *setting_nearest(const char *name, size_t len); /* or NULL */

/* A name as that source spells it: "--body-max", "RUNDLET_BODY_MAX", "body_max". */
enum { SETTING_NAME_ROOM = 64 };
const char *setting_spell(char room[SETTING_NAME_ROOM], enum source source, const char *name);

const char *kind_takes(enum kind kind);       /* "size", for a page */
const char *kind_placeholder(enum kind kind); /* "SIZE", for a line of help */

/* Parse, check the range, and set the member. */
int setting_set(const struct setting *setting, const struct said *said, struct config *config,
                struct err *err);

/* Complain of a value, which is shown, cut if long. */
int setting_bad_value(const struct said *said, const char *what, struct err *err);

/* The whole of a text file of at most `max` bytes, NUL-terminated, in the arena. */
int config_read_file(struct arena *arena, const char *path, size_t max, const char **result,
                     struct err *err);

static inline const char *config_copy(struct arena *arena, const char *at, size_t len)
{
    return arena_copy(arena, (struct str){at, len}).at;
}

struct str config_trim(struct str s); /* without white space around it */
