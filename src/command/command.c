/* command.c - see command.h. */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/version.h"
#include "command/talk.h"
#include "config.h"

enum { MEANT_MAX = 24 /* longest name that is compared with what was written */ };

const struct command commands[] = {
    {
        .name = "serve",
        .usage = "",
        .line = "Take in runs and answer over HTTP, until SIGTERM.",
        .more = "The settings say where it listens and what it holds; `rundlet --help` lists them.",
        .logs = true,
        .run = command_serve,
    },
    {
        .name = "get",
        .usage = "ID",
        .line = "Print a run, or one of its fields.",
        .more = "Reads the data directory, also beside a running server. A field is printed byte "
                "for byte as\nit was sent, without a newline. Ends with 1 when there is no such "
                "run.",
        .options =
            {
                {"--field=", "NAME", "Only this: inputs, outputs or metadata, exactly as sent."},
                {"--fields=", "A,B", "Only these fields of the run, and its id."},
            },
        .least_words = 1,
        .most_words = 1,
        .run = command_get,
    },
    {
        .name = "search",
        .usage = "",
        .line = "Print the runs that match, newest first, a run a line.",
        .more = "Reads the data directory, also beside a running server. When there are more runs "
                "than were\nprinted, stderr says with which --cursor to go on.",
        .options =
            {
                {"--trace=", "ID", "Runs of this trace."},
                {"--name=", "TEXT", "Runs whose name contains this, in upper or lower case."},
                {"--limit=", "N", "How many at most. [50]"},
                {"--all", NULL, "All of them."},
                {"--cursor=", "TEXT", "Go on where an earlier search ended."},
            },
        .run = command_search,
    },
    {
        .name = "import",
        .usage = "FILE...",
        .line = "Store the runs of files: a JSON array, or a run a line.",
        .more =
            "A file may be gzip or zstd; `-` is stdin. When a server holds the data directory the "
            "runs are\nsent to it, else they are stored directly; --url sends them to any server, "
            "with the key of the\nsetting api_key. Runs are stored in batches, in order. A run "
            "that is there already with the same\nbytes is left as it is, so an import that was "
            "interrupted is simply run again - except for runs\nwithout an id: they are given one "
            "when they are stored, and stored again each time.\n\nThe sums are printed as one JSON "
            "object; stderr says which runs were\nrefused, counted from 0 in each file. Ends with "
            "1 "
            "when there are any.",
        .options =
            {
                {"--url=", "URL", "Send to the server that is there, as in http://10.0.0.5:8000."},
                {"--continue", NULL, "Leave out runs that are refused, and go on."},
            },
        .least_words = 1,
        .most_words = 1000000,
        .run = command_import,
    },
    {
        .name = "export",
        .usage = "",
        .line = "Print every stored run as it was sent, oldest first, a run a line.",
        .more =
            "Reads the data directory, also beside a running server. What is printed is what the "
            "client sent;\nif it sent no id, the id is put in front, so that what is exported can "
            "be imported. What the\nserver filled in, such as a start_time that was not sent, is "
            "not printed. Back in the directory\nit came from, a run that was sent without an id "
            "counts as another run with the same id.\n\nBytes are kept, so a run that was sent "
            "over several lines is printed over several lines, which\n`rundlet import` and jq read "
            "as well. With --lines each run is on one line, its line breaks\nbetween tokens "
            "being spaces.\n\nEnds with 1 when damaged runs had to be left out.",
        .options =
            {
                {"--trace=", "ID", "Runs of this trace."},
                {"--since=", "TIME",
                 "Runs that started then or later: 2026-11-23, or with a time."},
                {"--until=", "TIME", "Runs that started before."},
                {"--lines", NULL, "Each run on one line, whatever was sent."},
            },
        .run = command_export,
    },
    {
        .name = "verify",
        .usage = "",
        .line = "Check every stored byte against its checksum.",
        .more = "Reads the data directory, also beside a running server. Damage is printed a JSON "
                "object a line,\nthen the sums. Ends with 1 when there is any.",
        .options =
            {
                {"--index", NULL, "Also that the index finds every run where it lies."},
            },
        .run = command_verify,
    },
    {
        .name = "reindex",
        .usage = "",
        .line = "Build the index anew from the stored runs.",
        .more = "No server may be running on the data directory.",
        .run = command_reindex,
    },
    {
        .name = "version",
        .usage = "",
        .line = "Print which Rundlet this is.",
        .bare = true,
        .run = command_version,
    },
    {
        .name = "help",
        .usage = "[COMMAND]",
        .line = "Explain a command.",
        .most_words = 1,
        .bare = true,
        .run = command_help,
    },
    {
        .name = "docs",
        .usage = "",
        .line = "Print the page of commands, settings and metrics.",
        .hidden = true,
        .bare = true,
        .run = command_docs,
    },
    {.name = NULL},
};

const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* How many letters must be changed, put in or left out to make one the other. */
static size_t distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t row[MEANT_MAX + 1];
    if (a_len > MEANT_MAX || b_len > MEANT_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

static bool nearer(const char *written, const char *name, size_t *best)
{
    size_t d = distance(written, name);
    if (d > strlen(name) / 3 + 1 || d >= *best)
        return false;
    *best = d;
    return true;
}

const struct command *command_nearest(const char *name)
{
    const struct command *found = NULL;
    size_t best = SIZE_MAX;
    for (const struct command *c = commands; c->name; c++)
        if (!c->hidden && nearer(name, c->name, &best))
            found = c;
    return found;
}

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
        char written[MEANT_MAX + 1], name[MEANT_MAX + 1], meant[MEANT_MAX + 1] = "";
        size_t len = name_len(argv[i]), best = SIZE_MAX;
        if (len > MEANT_MAX || len < 3 || strncmp(complaint, argv[i], len) != 0 ||
            strncmp(complaint + len, ": no such", 9) != 0)
            continue;
        snprintf(written, sizeof written, "%.*s", (int)len, argv[i]);
        for (const struct command_option *o = command->options; o->name; o++) {
            snprintf(name, sizeof name, "%.*s", (int)name_len(o->name), o->name);
            if (nearer(written + 2, name + 2, &best))
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
    return (int)err->code;
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
