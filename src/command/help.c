/* help.c - rundlet help, version and docs: what the tables say, as text. */
#include <stdio.h>
#include <string.h>

#include "base/metric.h"
#include "base/text.h"
#include "base/version.h"
#include "command/command.h"
#include "command/talk.h"
#include "config.h"

enum { COLUMN = 30 };

static void add_row(struct text *text, const char *left, const char *right)
{
    bool fits = strlen(left) < COLUMN - 2;
    text_addf(text, "  %-*s", fits ? COLUMN - 2 : 0, left);
    if (!fits) /* its line begins below it */
        text_addf(text, "\n%*s", COLUMN, "");
    text_addf(text, "%s\n", right);
}

static void add_command_line(struct text *text, const struct command *command)
{
    text_addf(text, "rundlet %s%s%s", command->name, command->usage[0] ? " " : "", command->usage);
}

static void option_text(const struct command_option *option, char *room, size_t size)
{
    snprintf(room, size, "%.*s%s%s", (int)strcspn(option->name, "="), option->name,
             option->value ? " " : "", option->value ? option->value : "");
}

static void add_all(struct text *text)
{
    text_add(text, STR("Rundlet keeps the runs of LLM programs, and finds them.\n\n"
                       "Usage: rundlet COMMAND [OPTION...]\n\nCommands:\n"));
    for (const struct command *c = commands; c->name; c++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", c->name, c->usage);
        if (!c->hidden)
            add_row(text, left, c->line);
    }
    text_add(text, STR("\n`rundlet COMMAND --help` explains one. A command ends with 0, or with 1 "
                       "when the answer is no,\n2 when the command line is wrong, 3 when it "
                       "failed.\n\nSettings, which every command understands:\n"));
    config_write_help(text);
}

static void add_one(struct text *text, const struct command *command)
{
    text_add(text, STR("Usage: "));
    add_command_line(text, command);
    text_addf(text, " [OPTION...]\n\n%s\n", command->line);
    if (command->more)
        text_addf(text, "\n%s\n", command->more);
    if (command->options[0].name)
        text_add(text, STR("\nOptions:\n"));
    for (const struct command_option *o = command->options; o->name; o++) {
        char left[64];
        option_text(o, left, sizeof left);
        add_row(text, left, o->meaning);
    }
    if (!command->bare)
        text_add(text, STR("\nSettings are options too, --data DIRECTORY first of all: `rundlet "
                           "--help` lists them.\n"));
}

static int print(struct text *text)
{
    struct out out = {0};
    out_add(&out, text_str(text));
    text_free(text);
    return out_end(&out, COMMAND_OK);
}

int command_help(const struct config *config, const struct command_args *args)
{
    (void)config;
    struct text text = {0};
    if (args->word_count == 0) {
        add_all(&text);
        return print(&text);
    }
    const struct command *command = command_find(args->words[0]);
    if (command) {
        add_one(&text, command);
        return print(&text);
    }
    const struct command *meant = command_nearest(args->words[0]);
    talk("there is no command %.60s; %s%s%s", args->words[0],
         meant ? "did you mean " : "`rundlet help` lists them", meant ? meant->name : "",
         meant ? "?" : "");
    return COMMAND_USAGE;
}

int command_version(const struct config *config, const struct command_args *args)
{
    (void)config;
    (void)args;
    struct text text = {0};
    text_add(&text, STR("rundlet " RUNDLET_VERSION "\n"));
    return print(&text);
}

static void add_command_docs(struct text *text, const struct command *command)
{
    text_add(text, STR("### `"));
    add_command_line(text, command);
    text_addf(text, "`\n\n%s\n", command->line);
    if (command->more)
        text_addf(text, "\n%s\n", command->more);
    if (command->options[0].name)
        text_add(text, STR("\n| Option | Meaning |\n|---|---|\n"));
    for (const struct command_option *o = command->options; o->name; o++) {
        char left[64];
        option_text(o, left, sizeof left);
        text_addf(text, "| `%s` | %s |\n", left, o->meaning);
    }
    text_add_char(text, '\n');
}

int command_docs(const struct config *config, const struct command_args *args)
{
    (void)config;
    (void)args;
    struct text text = {0};
    text_add(&text, STR("# Operations\n\nCommands, settings and metrics of Rundlet. This page is "
                        "made from the program's own tables by\n`make docs`; change it there.\n\n"
                        "## Commands\n\nstdout is data, stderr is talk. A command ends with 0, or "
                        "with 1 when the answer is no (not found,\ndamaged, refused), 2 when the "
                        "command line or a setting is wrong, 3 when it failed.\n\n"));
    for (const struct command *c = commands; c->name; c++)
        if (!c->hidden)
            add_command_docs(&text, c);
    text_add(&text, STR("## Settings\n\n"));
    config_write_docs(&text);
    text_add(&text, STR("\n## Metrics\n\n`GET /metrics` answers with these, as Prometheus reads "
                        "them.\n\n"));
    metric_write_docs(&text);
    return print(&text);
}
