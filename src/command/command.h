/* command.h - what can be asked of the program on the command line.
 *
 * A command is a row: its name, its words and options, its help, its function.
 * Help, the check of options and "did you mean" come from the table.  Options
 * that are settings (config.def) belong to every command and are not in it.
 *
 * Manners  stdout is data, one JSON object a line unless a command says else;
 *          stderr is talk; a line of talk starts with "rundlet: "
 * Threads  the main thread
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct config;

/* What the program ends with. */
enum command_exit {
    COMMAND_OK = 0,
    COMMAND_NO = 1,    /* it was done, and the answer is no: not found, damaged, refused */
    COMMAND_USAGE = 2, /* the command line or a setting is wrong; nothing was done */
    COMMAND_FAILED = 3 /* it could not be done, or not to the end; stderr says why */
};

/* What stands behind the command's name, settings taken out. */
struct command_args {
    const struct command *command;
    const char *const *words; /* what is no option, in order */
    size_t word_count;
    const char *const *options; /* "--all" or "--limit=5", in order */
    size_t option_count;
};

struct command_option {
    const char *name;  /* "--all", or "--limit=" for one that takes a value */
    const char *value; /* what help calls the value: "N"; NULL when there is none */
    const char *meaning;
};

enum { COMMAND_OPTIONS_MAX = 8 };

struct command {
    const char *name;
    const char *usage; /* the words it takes, as help shows them: "ID" */
    const char *line;  /* what it does, in a line */
    const char *more;  /* the rest of its help, or NULL */
    struct command_option options[COMMAND_OPTIONS_MAX + 1]; /* up to the first without a name */
    size_t least_words, most_words;
    bool hidden; /* from the list of commands */
    bool bare;   /* it needs no settings: `config` is NULL */
    bool logs;   /* it sets up log and metrics itself; the others log warnings only */
    int (*run)(const struct config *config, const struct command_args *args);
};

int command_main(int argc, char **argv);

extern const struct command commands[]; /* ends with a row without a name */

/* The row of that name, or NULL; and the one somebody may have meant, or NULL. */
const struct command *command_find(const char *name);
const struct command *command_nearest(const char *name);

bool command_has(const struct command_args *args, const char *option); /* "--all" */
/* "--limit=": the last value given, or NULL. */
const char *command_value(const struct command_args *args, const char *option);

int command_serve(const struct config *config, const struct command_args *args);
int command_get(const struct config *config, const struct command_args *args);
int command_search(const struct config *config, const struct command_args *args);
int command_import(const struct config *config, const struct command_args *args);
int command_export(const struct config *config, const struct command_args *args);
int command_verify(const struct config *config, const struct command_args *args);
int command_reindex(const struct config *config, const struct command_args *args);
int command_pack(const struct config *config, const struct command_args *args);
int command_gc(const struct config *config, const struct command_args *args);
int command_migrate(const struct config *config, const struct command_args *args);
int command_move(const struct config *config, const struct command_args *args);
int command_backup(const struct config *config, const struct command_args *args);
int command_restore(const struct config *config, const struct command_args *args);
int command_version(const struct config *config, const struct command_args *args);
int command_help(const struct config *config, const struct command_args *args);
int command_docs(const struct config *config, const struct command_args *args);
