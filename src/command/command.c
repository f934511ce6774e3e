/* command.c - see command.h. */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/version.h"
#include "command/nearest.h"
#include "command/talk.h"
#include "config.h"

/* "--limit" of "--limit=5" and of "--limit=". */
static size_t name_len(const char *option)
{
    return strcspn(option, "=");
}

static bool same_option(const char *a, const char *b)
{
    size_t len = name_len(a);
    return len == name_len(b) && memcmp(a, b, len) == 0;
}

bool command_has(const struct command_args *args, const char *option)
{
    for (size_t i = 0; i < args->option_count; i++)
        if (same_option(args->options[i], option))
            return true;
    return false;
}

const char *command_value(const struct command_args *args, const char *option)
{
    const char *value = NULL;
    for (size_t i = 0; i < args->option_count; i++)
        if (same_option(args->options[i], option))
            value = args->options[i] + name_len(args->options[i]) + 1;
    return value;
}

static bool takes(const struct command *command, const char *option)
{
    for (const struct command_option *o = command->options; o->name; o++)
        if (same_option(o->name, option))
            return true;
    return false;
}

/* An option that is neither a setting nor the command's: was one of its own meant? */
static bool suggest_option(const struct command *command, int argc, char **argv,
                           const char *complaint)
{
    for (int i = 1; i < argc; i++) {
        char written[NEAREST_MAX + 1], name[NEAREST_MAX + 1], meant[NEAREST_MAX + 1] = "";
        size_t len = name_len(argv[i]), best = SIZE_MAX;
        if (len > NEAREST_MAX || len < 3 || strncmp(complaint, argv[i], len) != 0 ||
            strncmp(complaint + len, ": no such", 9) != 0)
            continue;
        snprintf(written, sizeof written, "%.*s", (int)len, argv[i]);
        for (const struct command_option *o = command->options; o->name; o++) {
            snprintf(name, sizeof name, "%.*s", (int)name_len(o->name), o->name);
            if (nearest_is(written + 2, name + 2, &best))
                memcpy(meant, name, sizeof meant);
        }
        if (meant[0])
            talk("%s: no such option; did you mean %s?", written, meant);
        return meant[0] != '\0';
    }
    return false;
}

static int unknown_command(const char *name)
{
    const struct command *meant = command_nearest(name);
    if (meant)
        talk("there is no command %.60s; did you mean %s?", name, meant->name);
    else
        talk("there is no command %.60s; `rundlet help` lists them", name);
    return COMMAND_USAGE;
}

/* Words and options apart, both in order; `room` is for count pointers. */
static void sort_args(const char *const *args, size_t count, const char **room,
                      struct command_args *result)
{
    size_t words = 0, options = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(args[i], "--", 2) != 0)
            room[words++] = args[i];
    for (size_t i = 0; i < count; i++)
        if (strncmp(args[i], "--", 2) == 0)
            room[words + options++] = args[i];
    result->words = room;
    result->word_count = words;
    result->options = room + words;
    result->option_count = options;
}

static bool fits(const struct command *command, const struct command_args *args)
{
    for (size_t i = 0; i < args->option_count; i++)
        if (!takes(command, args->options[i])) {
            talk("%s has no option %.*s; `rundlet %s --help` lists what it has", command->name,
                 (int)name_len(args->options[i]), args->options[i], command->name);
            return false;
        }
    if (args->word_count >= command->least_words && args->word_count <= command->most_words)
        return true;
    if (args->word_count > command->most_words)
        talk("%s does not know what to do with %.60s; `rundlet %s --help` explains it",
             command->name, args->words[command->most_words], command->name);
    else
        talk("%s needs more words; usage: rundlet %s %s", command->name, command->name,
             command->usage);
    return false;
}

static int run(const struct config *config, const char *const *words, size_t count)
{
    const struct command *command = command_find(words[0]);
    if (!command)
        return unknown_command(words[0]);
    const char **room = calloc(count, sizeof *room);
    if (!room)
        abort();
    struct command_args args = {.command = command};
    sort_args(words + 1, count - 1, room, &args);
    int status = COMMAND_USAGE;
    if (fits(command, &args)) {
        if (config && !command->logs) {
            enum log_level level = config_log_level(config);
            log_setup(level == LOG_INFO ? LOG_WARN : level, config->log_json);
            metric_setup(RUNDLET_VERSION);
        }
        status = command->run(config, &args);
    }
    free(room);
    return status;
}

/* --help wherever it stands; values of options count as words then. */
static int help(const struct config *config)
{
    struct command_args args = {.command = command_find("help")};
    for (size_t i = 0; i < config->arg_count && args.word_count == 0; i++)
        if (command_find(config->args[i])) {
            args.words = &config->args[i];
            args.word_count = 1;
        }
    return command_help(NULL, &args);
}

static int load(const struct command *command, int argc, char **argv, struct config **result,
                struct err *err)
{
    const char *others[COMMAND_OPTIONS_MAX + 1] = {NULL};
    for (size_t i = 0; command && i < COMMAND_OPTIONS_MAX; i++)
        others[i] = command->options[i].name;
    return config_load(argc, argv, NULL, others, result, err);
}

/* The options depend on the command, and which word is the command on the
 * options: `--data serve get ID` is a get.  So the first word that can be the
 * command, and then is, decides; if none does, the first complaint counts. */
static int find_and_load(int argc, char **argv, struct config **result, struct err *err)
{
    const struct command *tried = NULL;
    for (int i = 1; i < argc; i++) {
        const struct command *command = command_find(argv[i]);
        struct config *config = NULL;
        struct err why = {0};
        if (!command)
            continue;
        int r = load(command, argc, argv, &config, &why);
        if (!r && (config->help || config->version ||
                   (config->arg_count && strcmp(config->args[0], command->name) == 0))) {
            *result = config;
            return 0;
        }
        if (r && !tried) {
            tried = command;
            *err = why;
        }
        if (!r)
            config_free(config);
    }
    if (!tried)
        return load(NULL, argc, argv, result, err);
    if (suggest_option(tried, argc, argv, err->text))
        err->text[0] = '\0';
    return ERR_INVALID;
}

int command_main(int argc, char **argv)
{
    const struct command *first = argc > 1 ? command_find(argv[1]) : NULL;
    bool help_asked = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
    if (first && first->bare && !help_asked)
        return run(NULL, (const char *const *)argv + 1, (size_t)argc - 1);

    struct config *config = NULL;
    struct err err = {0};
    if (find_and_load(argc, argv, &config, &err)) {
        if (err.text[0])
            talk("%s", err.text);
        return COMMAND_USAGE;
    }
    int status = COMMAND_USAGE;
    if (config->version)
        status = command_version(NULL, &(struct command_args){0});
    else if (config->help)
        status = help(config);
    else if (config->arg_count == 0)
        talk("what is to be done? `rundlet serve` serves, `rundlet help` lists all commands");
    else
        status = run(config, config->args, config->arg_count);
    config_free(config);
    return status;
}
