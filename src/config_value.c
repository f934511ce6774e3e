/* config_value.c - from what was said for a setting to a member of struct config. */
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "config_table.h"

enum {
    SECRET_MAX = 4096, /* bytes of a file with a secret */
    LIST_MAX = 1000,   /* words of a list */
    VALUE_SHOWN = 40,  /* characters of a value in an error */
};

int config_read_file(struct arena *arena, const char *path, size_t max, const char **result,
                     struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return err_sys(err, errno, "open %.80s", path);

    int r = 0;
    char *at = arena_alloc(arena, max + 1);
    size_t len = fread(at, 1, max + 1, file);
    if (ferror(file)) {
        r = err_sys(err, errno, "read %.80s", path);
        goto out;
    }
    if (len > max) {
        r = err_set(err, ERR_INVALID, "%.80s is longer than %zu bytes", path, max);
        goto out;
    }
    if (memchr(at, '\0', len)) {
        r = err_set(err, ERR_INVALID, "%.80s is not text: it holds a zero byte", path);
        goto out;
    }
    at[len] = '\0';
    *result = at;

out:
    fclose(file);
    return r;
}

struct str config_trim(struct str s)
{
    while (s.len && isspace((unsigned char)s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && isspace((unsigned char)s.at[s.len - 1]))
        s.len--;
    return s;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", 1 << 30},
    {"TiB", UINT64_C(1) << 40},
    {NULL, 0},
};
static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static bool parse_number(const char *s, const struct unit *units, uint64_t *result)
{
    uint64_t n = 0;
    if (strcmp(s, "0") == 0) { /* nothing of any unit */
        *result = 0;
        return true;
    }
    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            return false;
    while (*s == ' ')
        s++;
    for (; units->name; units++)
        if (strcmp(s, units->name) == 0)
            return !__builtin_mul_overflow(n, units->factor, result);
    return false;
}

static const struct unit *units_of(enum kind kind)
{
    return kind == SIZE ? size_units : kind == DURATION ? time_units : no_units;
}

int setting_bad_value(const struct said *said, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%.80s: \"%.*s%s\" %s", said->where, VALUE_SHOWN, said->value,
                   strlen(said->value) > VALUE_SHOWN ? "..." : "", what);
}

static int set_number(struct config *config, const struct setting *setting, const struct said *said,
                      struct err *err)
{
    const char *like = setting->kind == SIZE       ? "is not a size; write it like 64MiB"
                       : setting->kind == DURATION ? "is not a duration; write it like 30s or 4h"
                                                   : "is not a whole number";
    const struct unit *units = units_of(setting->kind);
    uint64_t n, least, most;
    if (!parse_number(said->value, units, &n))
        return setting_bad_value(said, like, err);
    bool known =
        parse_number(setting->least, units, &least) && parse_number(setting->most, units, &most);
    assert(known);
    if (n < least || n > most) {
        char range[64];
        snprintf(range, sizeof range, "is not from %s to %s", setting->least, setting->most);
        return setting_bad_value(said, range, err);
    }

    void *member = (char *)config + setting->offset;
    if (setting->kind == COUNT)
        memcpy(member, &(unsigned){(unsigned)n}, sizeof(unsigned));
    else
        memcpy(member, &n, sizeof n);
    return 0;
}

static int set_bool(struct config *config, const struct setting *setting, const struct said *said,
                    struct err *err)
{
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool is = strcasecmp(said->value, yes[i]) == 0;
        if (!is && strcasecmp(said->value, no[i]) != 0)
            continue;
        memcpy((char *)config + setting->offset, &is, sizeof is);
        return 0;
    }
    return setting_bad_value(said, "is neither true nor false", err);
}

static void set_pointer(struct config *config, const struct setting *setting, const char *value)
{
    memcpy((char *)config + setting->offset, &value, sizeof value);
}

static int set_string(struct config *config, const struct setting *setting, const struct said *said,
                      struct err *err)
{
    size_t len = strlen(said->value);
    if (len < strtoul(setting->least, NULL, 10))
        return setting_bad_value(said, "is too short", err);
    if (len > strtoul(setting->most, NULL, 10))
        return setting_bad_value(said, "is too long", err);
    set_pointer(config, setting, config_copy(config->arena, said->value, len));
    return 0;
}

/* No message here may hold the value. */
static int set_secret(struct config *config, const struct setting *setting, const struct said *said,
                      struct err *err)
{
    struct str value = {said->value, strlen(said->value)};
    if (said->in_file) {
        int r = config_read_file(config->arena, said->value, SECRET_MAX, &value.at, err);
        if (r)
            return err_wrap(err, "%.60s", said->where);
        value = config_trim((struct str){value.at, strlen(value.at)});
        if (value.len == 0)
            return err_set(err, ERR_INVALID, "%.60s: %.80s is empty", said->where, said->value);
    }
    if (value.len == 0) {
        set_pointer(config, setting, NULL);
        return 0;
    }
    if (value.len < strtoul(setting->least, NULL, 10) ||
        value.len > strtoul(setting->most, NULL, 10))
        return err_set(err, ERR_INVALID, "%.80s: a secret has %s to %s characters, this has %zu",
                       said->where, setting->least, setting->most, value.len);
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] <= ' ' || value.at[i] > '~')
            return err_set(err, ERR_INVALID,
                           "%.80s: character %zu cannot stand in a header; use letters, digits "
                           "and ASCII signs, no blanks",
                           said->where, i + 1);
    set_pointer(config, setting, config_copy(config->arena, value.at, value.len));
    return 0;
}

/* Does `word` stand in a list of them with blanks between? */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, word, n) == 0)
            return true;
        at += n;
    }
    return false;
}

static int set_word(struct config *config, const struct setting *setting, const struct said *said,
                    struct err *err)
{
    if (!has_word(setting->least, said->value)) {
        char words[64];
        snprintf(words, sizeof words, "is not one of: %s", setting->least);
        return setting_bad_value(said, words, err);
    }
    set_pointer(config, setting, config_copy(config->arena, said->value, strlen(said->value)));
    return 0;
}

/* A URL may hold a password, so none is repeated. */
static int set_place(struct config *config, const struct setting *setting, const struct said *said,
                     struct err *err)
{
    const char *value = said->value;
    if (said->in_file) {
        int r = config_read_file(config->arena, said->value, SECRET_MAX, &value, err);
        if (r)
            return err_wrap(err, "%.60s", said->where);
        struct str s = config_trim((struct str){value, strlen(value)});
        value = config_copy(config->arena, s.at, s.len);
    }
    const char *sign = strstr(value, "://");
    char scheme[16] = "";
    if (sign && (size_t)(sign - value) + 4 <= sizeof scheme)
        memcpy(scheme, value, (size_t)(sign - value) + 3);
    if (!has_word(sign ? setting->most : setting->least, sign ? scheme : value)) {
        char words[96];
        snprintf(words, sizeof words, "is not one of: %s %s...", setting->least, setting->most);
        if (sign || said->in_file)
            return err_set(err, ERR_INVALID, "%.80s: this URL %s", said->where, words);
        return setting_bad_value(said, words, err);
    }
    for (const char *at = value; *at; at++)
        if (*at <= ' ' || *at > '~')
            return err_set(err, ERR_INVALID,
                           "%.80s: character %zu cannot stand in a URL; write it as %%XX",
                           said->where, (size_t)(at - value) + 1);
    set_pointer(config, setting, config_copy(config->arena, value, strlen(value)));
    return 0;
}

static int set_address(struct config *config, const struct setting *setting,
                       const struct said *said, struct err *err)
{
    static const char like[] = "is no address; write it like 127.0.0.1:8000 or [::1]:8000";
    const char *colon = strrchr(said->value, ':');
    uint64_t port;
    char host[INET6_ADDRSTRLEN];
    size_t len = colon ? (size_t)(colon - said->value) : 0;
    if (len == 0 || !parse_number(colon + 1, no_units, &port) || port > UINT16_MAX)
        return setting_bad_value(said, like, err);
    bool v6 = len > 2 && said->value[0] == '[' && colon[-1] == ']';
    const char *from = said->value + v6;
    len -= v6 ? 2 : 0;
    if (len >= sizeof host)
        return setting_bad_value(said, like, err);
    memcpy(host, from, len);
    host[len] = '\0';
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", sizeof "127.0.0.1");

    struct in_addr in4;
    struct in6_addr in6;
    bool loopback;
    if (!v6 && inet_pton(AF_INET, host, &in4) == 1)
        loopback = ntohl(in4.s_addr) >> 24 == 127;
    else if (v6 && inet_pton(AF_INET6, host, &in6) == 1)
        loopback = IN6_IS_ADDR_LOOPBACK(&in6);
    else
        return setting_bad_value(said, like, err);

    struct config_address address = {config_copy(config->arena, host, strlen(host)), (uint16_t)port,
                                     loopback};
    memcpy((char *)config + setting->offset, &address, sizeof address);
    return 0;
}

static int set_list(struct config *config, const struct setting *setting, const struct said *said,
                    struct err *err)
{
    size_t most = 1;
    for (const char *at = said->value; *at; at++)
        most += *at == ',';
    if (most > LIST_MAX)
        return setting_bad_value(said, "has too many words", err);

    const char **words = arena_make(config->arena, const char *, most);
    size_t count = 0;
    for (const char *at = said->value; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        struct str word = config_trim((struct str){at, len});
        if (word.len)
            words[count++] = config_copy(config->arena, word.at, word.len);
        at += len;
    }
    struct config_list list = {words, count};
    memcpy((char *)config + setting->offset, &list, sizeof list);
    return 0;
}

int setting_set(const struct setting *setting, const struct said *said, struct config *config,
                struct err *err)
{
    switch (setting->kind) {
    case STRING:
        return set_string(config, setting, said, err);
    case SECRET:
        return set_secret(config, setting, said, err);
    case WORD:
        return set_word(config, setting, said, err);
    case PLACE:
        return set_place(config, setting, said, err);
    case BOOL:
        return set_bool(config, setting, said, err);
    case COUNT:
    case SIZE:
    case DURATION:
        return set_number(config, setting, said, err);
    case ADDRESS:
        return set_address(config, setting, said, err);
    case LIST:
        return set_list(config, setting, said, err);
    }
    abort();
}
