/* config.h - what the operator decided.
 *
 * Each setting of config.def is a member here, whatever it came from.  A flag wins over
 * the environment, that over the file named by --config (or RUNDLET_CONFIG), that over
 * .env in the working directory, that over the default.  An empty variable counts as
 * absent.  What nobody knows is an error.
 *
 * Shape    sizes in bytes, durations in milliseconds (head_timeout_ms)
 * Threads  read-only once loaded
 * Memory   all that it points to is its own, until config_free()
 * Errors   ERR_INVALID with a sentence that says what to write instead; ERR_IO
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

struct text;

struct config_address {
    const char *host; /* a literal, v6 without brackets */
    uint16_t port;
    bool loopback;
};

struct config_list {
    const char *const *at;
    size_t count;
};

#define CONFIG_string(name) const char *name;
#define CONFIG_secret(name) const char *name; /* NULL when there is none */
#define CONFIG_word(name) const char *name;
#define CONFIG_place(name) const char *name;
#define CONFIG_bool(name) bool name;
#define CONFIG_count(name) unsigned name;
#define CONFIG_size(name) uint64_t name;
#define CONFIG_duration(name) uint64_t name##_ms;
#define CONFIG_address(name) struct config_address name;
#define CONFIG_list(name) struct config_list name;

/* The order is that of the help. */
struct config { /* NOLINT(clang-analyzer-optin.performance.Padding) */
#define SETTING(type, name, standard, least, most, meaning) CONFIG_##type(name)
#include "config.def"
#undef SETTING
    const char *const *args; /* what is no setting: the command and its arguments */
    size_t arg_count;
    bool help, version; /* asked for; the settings are then not checked */
    const char *notice; /* one line to log at start; NULL when there is nothing */
    struct arena *arena;
};

/* `environment` as main() has it, or NULL for the process's own.  `others`, or NULL, ends
 * with NULL and lists options that are not settings: "--json", or "--name=" for one that
 * takes a value.  They come back in `args` as "--json" and "--name=value". */
int config_load(int argc, char *const *argv, char *const *environment, const char *const *others,
                struct config **result, struct err *err);
void config_free(struct config *config); /* NULL is fine */

/* Of another deployment: what the file says, and AWS's variables; nothing else of
 * this process's surroundings. */
int config_load_file(const char *path, struct config **result, struct err *err);

/* Of a place: is it a URL, and not a word?  And as it may be shown: without user,
 * password and options. */
bool config_is_url(const char *place);
void config_show_place(const char *place, char *room, size_t size);

enum log_level config_log_level(const struct config *config);

void config_write_help(struct text *text); /* the flags, a line or two each */
void config_write_docs(struct text *text); /* Markdown */
