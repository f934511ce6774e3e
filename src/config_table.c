/* config_table.c - see config_table.h. */
#include "config_table.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

enum { NAME_COMPARED = 64 }; /* longest name that is compared with ours */

#define KIND_string STRING
#define KIND_secret SECRET
#define KIND_word WORD
#define KIND_place PLACE
#define KIND_bool BOOL
#define KIND_count COUNT
#define KIND_size SIZE
#define KIND_duration DURATION
#define KIND_address ADDRESS
#define KIND_list LIST
#define AT_string(name) offsetof(struct config, name)
#define AT_secret(name) offsetof(struct config, name)
#define AT_word(name) offsetof(struct config, name)
#define AT_place(name) offsetof(struct config, name)
#define AT_bool(name) offsetof(struct config, name)
#define AT_count(name) offsetof(struct config, name)
#define AT_size(name) offsetof(struct config, name)
#define AT_duration(name) offsetof(struct config, name##_ms)
#define AT_address(name) offsetof(struct config, name)
#define AT_list(name) offsetof(struct config, name)

const struct setting settings[SETTINGS] = {
#define SETTING(type, name, standard, least, most, meaning)                                        \
    {#name, KIND_##type, standard, least, most, meaning, AT_##type(name)},
#include "config.def"
#undef SETTING
};

static const struct {
    const char *value, *takes;
} kinds[] = {
    [STRING] = {"TEXT", "text"},
    [SECRET] = {"TEXT", "secret"},
    [WORD] = {"WORD", "word"},
    [PLACE] = {"WORD|URL", "word or URL"},
    [BOOL] = {"", "true or false"},
    [COUNT] = {"N", "number"},
    [SIZE] = {"SIZE", "size"},
    [DURATION] = {"TIME", "duration"},
    [ADDRESS] = {"HOST:PORT", "address"},
    [LIST] = {"A,B", "list"},
};

const char *kind_takes(enum kind kind)
{
    return kinds[kind].takes;
}

const char *kind_placeholder(enum kind kind)
{
    return kinds[kind].value;
}

const struct setting *setting_find(const char *name, size_t len)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strlen(settings[i].name) == len && memcmp(settings[i].name, name, len) == 0)
            return &settings[i];
    return NULL;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many characters to change, add or drop: Levenshtein's distance, a row at a time. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[NAME_COMPARED + 1];
    assert(b_len <= NAME_COMPARED);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least_of(changed, least_of(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

const struct setting *setting_nearest(const char *name, size_t len)
{
    const struct setting *best = NULL;
    size_t best_distance = len / 3 + 1;
    if (len > NAME_COMPARED)
        return NULL;
    for (size_t i = 0; i < SETTINGS; i++) {
        size_t d = distance(name, len, settings[i].name, strlen(settings[i].name));
        if (d <= best_distance && (!best || d < best_distance)) {
            best = &settings[i];
            best_distance = d;
        }
    }
    return best;
}

const char *setting_spell(char room[SETTING_NAME_ROOM], enum source source, const char *name)
{
    char *at = room;
    if (source == FLAG)
        at = stpcpy(at, "--");
    else if (source != FILE_NAMED)
        at = stpcpy(at, "RUNDLET_");
    for (; *name && at < room + SETTING_NAME_ROOM - 1; name++, at++) {
        *at = *name;
        if (source == FLAG && *name == '_')
            *at = '-';
        else if (source != FLAG && source != FILE_NAMED)
            *at = (char)toupper((unsigned char)*name);
    }
    *at = '\0';
    return room;
}
