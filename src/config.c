/* config.c - see config.h.
 *
 * Loading goes in three steps.  First every source writes down what it says for a setting
 * and where it says so (`struct said`), unless a stronger one has.  Then what was said is
 * parsed into the member.  Then the settings are looked at together.  So a bad value that
 * something stronger replaces does no harm, but a name that nobody knows is an error
 * wherever it stands.
 */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/text.h"
#include "config_lent.h"
#include "config_table.h"

enum {
    FILE_MAX = 1 << 20, /* bytes of a file of settings */
    NAME_SHOWN = 100,   /* of an unknown name and where it stands, in an error */
    FIRST_BLOCK = 16 << 10,
};

struct loading {
    struct config *config;
    struct arena *arena;
    struct said said[SETTINGS];
    struct lent lent;
    const char *file; /* --config; NULL when not given */
    bool alone;       /* only the file speaks for settings */
    const char **args;
    size_t arg_count;
};

static const char *join(struct arena *arena, const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *both = arena_alloc(arena, size);
    snprintf(both, size, "%s%s", a, b);
    return both;
}

/* Find a setting by its name or, for a secret or a place, by its name and "_file". */
static const struct setting *find_said(const char *name, size_t len, bool *in_file)
{
    static const char tail[] = "_file";
    const size_t tail_len = sizeof tail - 1;
    const struct setting *found = setting_find(name, len);
    *in_file = false;
    if (found || len <= tail_len || memcmp(name + len - tail_len, tail, tail_len) != 0)
        return found;
    *in_file = true;
    found = setting_find(name, len - tail_len);
    return found && (found->kind == SECRET || found->kind == PLACE) ? found : NULL;
}

/* Our spelling of a name somebody wrote in another: lower case, underscores. */
static const char *plain(struct arena *arena, const char *name, size_t len)
{
    char *at = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        at[i] = (char)tolower((unsigned char)name[i]);
        if (at[i] == '-')
            at[i] = '_';
    }
    return at;
}

static int unknown(enum source source, const char *where, const char *name, struct err *err)
{
    char room[SETTING_NAME_ROOM];
    const struct setting *meant = setting_nearest(name, strlen(name));
    if (meant)
        return err_set(err, ERR_INVALID, "%.*s: no such setting; did you mean %s?", NAME_SHOWN,
                       where, setting_spell(room, source, meant->name));
    return err_set(err, ERR_INVALID, "%.*s: no such setting; --help lists them all", NAME_SHOWN,
                   where);
}

static int say(struct loading *load, enum source source, const char *name, size_t len,
               const char *value, const char *where, struct err *err)
{
    bool in_file;
    const struct setting *setting = find_said(name, len, &in_file);
    if (!setting)
        return unknown(source, where, config_copy(load->arena, name, len), err);

    struct said *said = &load->said[setting - settings];
    if (said->source > source)
        return 0;
    if (said->source == source && said->in_file != in_file)
        return err_set(err, ERR_INVALID, "%s and %s are both set; keep one", said->where, where);
    *said = (struct said){source, value, where, in_file};
    return 0;
}

/* What Kubernetes puts into the environment of every container beside a service that is
 * called rundlet.  Nobody meant a setting by it. */
static bool from_kubernetes(const char *name)
{
    return strcmp(name, "port") == 0 || strncmp(name, "port_", 5) == 0 ||
           strcmp(name, "service_host") == 0 || strncmp(name, "service_port", 12) == 0;
}

/* One variable, of the environment or of .env. */
static int variable(struct loading *load, enum source source, const char *name, size_t len,
                    const char *value, const char *where, struct err *err)
{
    static const char prefix[] = "RUNDLET_";
    const size_t prefix_len = sizeof prefix - 1;
    if (value[0] == '\0')
        return 0;
    bool ours_not = len <= prefix_len || memcmp(name, prefix, prefix_len) != 0;
    if (load->alone && !ours_not)
        return 0;
    if (ours_not) {
        lent_say(&load->lent, source, name, len, value);
        return 0;
    }

    const char *ours = plain(load->arena, name + prefix_len, len - prefix_len);
    if (strcmp(ours, "config") == 0) {
        if (!load->file)
            load->file = value;
        return 0;
    }
    if (from_kubernetes(ours))
        return 0;
    return say(load, source, ours, strlen(ours), value, where, err);
}

static int environment_say(struct loading *load, char *const *environment, struct err *err)
{
    for (; environment && *environment; environment++) {
        const char *name = *environment;
        const char *equals = strchr(name, '=');
        if (!equals)
            continue;
        size_t len = (size_t)(equals - name);
        int r = variable(load, ENVIRONMENT, name, len, equals + 1,
                         config_copy(load->arena, name, len), err);
        if (r)
            return r;
    }
    return 0;
}

/* A value: in quotes up to the closing one, else up to a comment.  False when a quote is
 * not closed or something follows it. */
static bool unquote(struct str *s)
{
    if (s->len == 0)
        return true;
    char quote = s->at[0];
    if (quote != '"' && quote != '\'') {
        for (size_t i = 0; i < s->len; i++)
            if (s->at[i] == '#' && (i == 0 || isspace((unsigned char)s->at[i - 1]))) {
                *s = config_trim((struct str){s->at, i});
                break;
            }
        return true;
    }
    const char *end = memchr(s->at + 1, quote, s->len - 1);
    if (!end)
        return false;
    struct str rest = config_trim((struct str){end + 1, s->len - (size_t)(end + 1 - s->at)});
    *s = (struct str){s->at + 1, (size_t)(end - s->at) - 1};
    return rest.len == 0 || rest.at[0] == '#';
}

static int line_say(struct loading *load, enum source source, const char *path, size_t number,
                    struct str line, struct err *err)
{
    static const char export[] = "export ";
    line = config_trim(line);
    if (line.len == 0 || line.at[0] == '#')
        return 0;
    if (source == DOTENV && line.len > sizeof export - 1 &&
        memcmp(line.at, export, sizeof export - 1) == 0)
        line =
            config_trim((struct str){line.at + sizeof export - 1, line.len - (sizeof export - 1)});

    const char *equals = memchr(line.at, '=', line.len);
    struct str name = config_trim((struct str){line.at, equals ? (size_t)(equals - line.at) : 0});
    if (name.len == 0) {
        if (source == DOTENV)
            return 0; /* the file is not ours alone */
        return err_set(err, ERR_INVALID, "%.80s:%zu: not a line like \"name = value\"", path,
                       number);
    }

    struct text where = {0};
    text_addf(&where, "%.80s:%zu: %.*s", path, number, STR_FMT(name));
    const char *where_copy = config_copy(load->arena, where.at, where.len);
    text_free(&where);

    struct str value =
        config_trim((struct str){equals + 1, line.len - (size_t)(equals + 1 - line.at)});
    bool closed = unquote(&value);
    if (!closed && source != DOTENV)
        return err_set(err, ERR_INVALID, "%.120s: a quote that does not end the line", where_copy);
    const char *value_copy = config_copy(load->arena, value.at, value.len);

    if (source == DOTENV)
        return variable(load, source, name.at, name.len, value_copy, where_copy, err);
    return say(load, source, name.at, name.len, value_copy, where_copy, err);
}

static int file_say(struct loading *load, enum source source, const char *path, struct err *err)
{
    const char *at;
    int r = config_read_file(load->arena, path, FILE_MAX, &at, err);
    if (r)
        return r;
    for (size_t number = 1; *at; number++) {
        size_t len = strcspn(at, "\n");
        r = line_say(load, source, path, number, (struct str){at, len}, err);
        if (r)
            return r;
        at += len + (at[len] == '\n');
    }
    return 0;
}

/* Is `name` (of `len`, dashes included) one of the options that are not settings? */
static bool is_other(const char *const *others, const char *name, size_t len, bool *takes_value)
{
    for (; others && *others; others++) {
        size_t other_len = strlen(*others);
        *takes_value = other_len && (*others)[other_len - 1] == '=';
        if (other_len - *takes_value == len && memcmp(*others, name, len) == 0)
            return true;
    }
    return false;
}

/* One argument that starts with a dash; `*i` moves on when the next is its value. */
static int flag_say(struct loading *load, int argc, char *const *argv, int *i,
                    const char *const *others, struct err *err)
{
    const char *arg = argv[*i];
    size_t len = strcspn(arg, "=");
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;
    const char *where = config_copy(load->arena, arg, len);
    const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;

    bool takes_value;
    if (is_other(others, arg, len, &takes_value)) {
        if (takes_value && !value) {
            if (!next)
                return err_set(err, ERR_INVALID, "%.60s takes a value", where);
            load->args[load->arg_count++] = join(load->arena, join(load->arena, where, "="), next);
            ++*i;
            return 0;
        }
        if (!takes_value && value)
            return err_set(err, ERR_INVALID, "%.60s takes no value", where);
        load->args[load->arg_count++] = arg;
        return 0;
    }
    if (arg[1] != '-' || len <= 2)
        return err_set(err, ERR_INVALID, "%.60s: no such option; --help lists them all", where);

    bool config = len == strlen("--config") && strcmp(where, "--config") == 0;
    bool negated = false, in_file = false;
    const char *name = plain(load->arena, arg + 2, len - 2);
    const struct setting *setting = find_said(name, strlen(name), &in_file);
    if (!setting && strncmp(name, "no_", 3) == 0) {
        const struct setting *positive = setting_find(name + 3, strlen(name + 3));
        if (positive && positive->kind == BOOL && !value) {
            setting = positive;
            negated = true;
        }
    }
    /* One spelling each: what plain() had to mend is not a flag. */
    char room[SETTING_NAME_ROOM];
    if (!config && (!setting || strcspn(arg + 2, "=_ABCDEFGHIJKLMNOPQRSTUVWXYZ") + 2 != len))
        return unknown(FLAG, where, name, err);

    if (setting && setting->kind == BOOL && !value) {
        value = negated ? "false" : "true";
    } else if (!value) {
        if (!next)
            return err_set(err, ERR_INVALID, "%.60s takes a value, as in %s=%s", where,
                           config ? "--config" : setting_spell(room, FLAG, setting->name),
                           config || in_file ? "FILE" : kind_placeholder(setting->kind));
        value = next;
        ++*i;
    }
    if (config) {
        load->file = value;
        return 0;
    }
    if (negated)
        name = setting->name;
    return say(load, FLAG, name, strlen(name), value, where, err);
}

static int flags_say(struct loading *load, int argc, char *const *argv, const char *const *others,
                     struct err *err)
{
    /* Asking for help has to work whatever else is wrong. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            load->config->help = true;
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0)
            load->config->version = true;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                load->args[load->arg_count++] = argv[i];
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            load->args[load->arg_count++] = argv[i];
            continue;
        }
        if (load->config->help || load->config->version)
            continue;
        int r = flag_say(load, argc, argv, &i, others, err);
        if (r)
            return r;
    }
    return 0;
}

static int check_together(const struct config *config, struct err *err)
{
    if (config->body_max > config->inflight_max)
        return err_set(err, ERR_INVALID,
                       "body_max is over inflight_max, so the largest body could never come in; "
                       "raise inflight_max or lower body_max");
    if (config->run_max > config->body_max)
        return err_set(err, ERR_INVALID,
                       "run_max is over body_max, so the largest run could never come in; "
                       "raise body_max or lower run_max");
    if (!config->s3_access_key != !config->s3_secret_key)
        return err_set(err, ERR_INVALID,
                       "only one of s3_access_key and s3_secret_key is set: "
                       "a bucket is opened with both, or with none");
    if (!config->listen.loopback && !config->api_key && !config->insecure)
        return err_set(err, ERR_INVALID,
                       "listening on %s would let anyone who reaches it read and write: set a "
                       "key (--api-key-file FILE or RUNDLET_API_KEY), or say --insecure",
                       config->listen.host);
    return 0;
}

/* Strongest first, since only --config tells which file to read. */
static int collect(struct loading *load, int argc, char *const *argv, char *const *environment,
                   const char *const *others, struct err *err)
{
    for (size_t i = 0; i < SETTINGS; i++)
        load->said[i] = (struct said){STANDARD, settings[i].standard, settings[i].name, false};

    int r = flags_say(load, argc, argv, others, err);
    if (r || load->config->help || load->config->version)
        return r;
    r = environment_say(load, environment, err);
    if (r)
        return r;
    if (!load->alone && access(".env", F_OK) == 0) {
        r = file_say(load, DOTENV, ".env", err);
        if (r)
            return r;
    }
    return load->file ? file_say(load, FILE_NAMED, load->file, err) : 0;
}

static int settle(struct loading *load, struct err *err)
{
    int r = setting_set(&settings[SETTING_compat], &load->said[SETTING_compat], load->config, err);
    if (r)
        return r;
    if (load->config->compat)
        r = lent_obey(&load->lent, load->arena, load->said, err);
    else
        load->config->notice = lent_mention(&load->lent, load->arena);
    lent_aws(&load->lent, load->arena, load->said);
    for (size_t i = 0; i < SETTINGS && !r; i++)
        r = setting_set(&settings[i], &load->said[i], load->config, err);
    return r ? r : check_together(load->config, err);
}

static int load_config(int argc, char *const *argv, char *const *environment,
                       const char *const *others, bool alone, struct config **result,
                       struct err *err)
{
    struct arena *arena = arena_new(FIRST_BLOCK);
    struct config *config = arena_make(arena, struct config, 1);
    size_t most_args = argc > 0 ? (size_t)argc : 1;
    struct loading load = {.config = config,
                           .arena = arena,
                           .args = arena_make(arena, const char *, most_args),
                           .alone = alone};
    config->arena = arena;

    int r = collect(&load, argc, argv, environment ? environment : environ, others, err);
    if (!r && !config->help && !config->version)
        r = settle(&load, err);
    if (r) {
        config_free(config);
        return r;
    }
    for (size_t i = 0; i < load.arg_count; i++)
        load.args[i] = config_copy(arena, load.args[i], strlen(load.args[i]));
    config->args = load.args;
    config->arg_count = load.arg_count;
    *result = config;
    return 0;
}

int config_load(int argc, char *const *argv, char *const *environment, const char *const *others,
                struct config **result, struct err *err)
{
    return load_config(argc, argv, environment, others, false, result, err);
}

int config_load_file(const char *path, struct config **result, struct err *err)
{
    char name[] = "rundlet", option[] = "--config";
    char *copy = strdup(path);
    if (!copy)
        abort();
    char *const argv[] = {name, option, copy, NULL};
    int r = load_config(3, argv, NULL, NULL, true, result, err);
    free(copy);
    return r;
}

bool config_is_url(const char *place)
{
    return strstr(place, "://") != NULL;
}

void config_show_place(const char *place, char *room, size_t size)
{
    const char *sign = strstr(place, "://");
    if (!sign) {
        snprintf(room, size, "%s", place);
        return;
    }
    const char *host = sign + 3;
    size_t len = strcspn(host, "?");
    for (size_t i = 0; i < len; i++)
        if (host[i] == '@') { /* a password may hold one as it is: the last one counts */
            host += i + 1;
            len -= i + 1;
            i = (size_t)-1;
        }
    snprintf(room, size, "%.*s%.*s", (int)(sign + 3 - place), place, (int)len, host);
}

void config_free(struct config *config)
{
    if (config)
        arena_free(config->arena);
}

enum log_level config_log_level(const struct config *config)
{
    static const char *const words[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(config->log_level, words[i]) == 0)
            return (enum log_level)i;
    abort();
}
