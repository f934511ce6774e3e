/* config_help.c - the table of settings as --help and as a page of docs. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config_table.h"

enum {
    HELP_COLUMN = 30, /* where the meaning starts */
    HELP_WIDTH = 100,
};

/* Words in lines that start at HELP_COLUMN; the first line is there already. */
static void add_folded(struct text *text, const char *words)
{
    size_t column = HELP_COLUMN;
    while (*words) {
        size_t len = strcspn(words, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
            text_addf(text, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            text_add_char(text, ' ');
            column++;
        }
        text_add(text, (struct str){words, len});
        column += len;
        words += len + (words[len] == ' ');
    }
}

static void add_help(struct text *text, const char *flag, const char *value, const char *meaning)
{
    char head[2 * SETTING_NAME_ROOM];
    int len = snprintf(head, sizeof head, "  %s%s%s", flag, value[0] ? " " : "", value);
    text_addf(text, "%-*s", HELP_COLUMN, head);
    if (len >= HELP_COLUMN)
        text_addf(text, "\n%*s", HELP_COLUMN, "");
    add_folded(text, meaning);
    text_add_char(text, '\n');
}

void config_write_help(struct text *text)
{
    char flag[SETTING_NAME_ROOM];
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        struct text meaning = {0};
        text_addf(&meaning, "%s", s->meaning);
        if (s->kind == WORD)
            text_addf(&meaning, " One of: %s.", s->least);
        if (s->kind == PLACE)
            text_addf(&meaning, " One of: %s %s...", s->least, s->most);
        if (s->standard[0] && s->kind != BOOL)
            text_addf(&meaning, " [%s]", s->standard);
        text_add_char(&meaning, '\0');
        add_help(text, setting_spell(flag, FLAG, s->name), kind_placeholder(s->kind), meaning.at);
        text_free(&meaning);
        if (s->kind == SECRET || s->kind == PLACE) {
            char file_flag[SETTING_NAME_ROOM + 8];
            snprintf(file_flag, sizeof file_flag, "%s-file", flag);
            add_help(text, file_flag, "FILE",
                     "The same, read from a file; it then shows in no list of "
                     "processes.");
        }
    }
    add_help(text, "--config", "FILE", "Settings from a file of lines \"name = value\".");
    text_addf(text, "\nEach is also a variable (RUNDLET_BODY_MAX), a line of .env in the working "
                    "directory, and a\nline of the --config file (body_max = 64MiB). A flag wins "
                    "over the environment, that over the\nfile, that over .env.\n");
}

void config_write_docs(struct text *text)
{
    text_addf(text, "A setting has one name, spelt `--body-max` as a flag, `RUNDLET_BODY_MAX` in "
                    "the environment and in\n`.env`, and `body_max` in the file that `--config` "
                    "names. A flag wins over the environment, that over\nthe file, that over "
                    "`.env`, that over the default. An empty variable counts as absent; a name\n"
                    "that is no setting stops the start. A secret can also be read from a file "
                    "(`--api-key-file`,\n`RUNDLET_API_KEY_FILE`).\n\n"
                    "| Setting | Takes | Default | Range | Meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];
        text_addf(text, "| `%s` | %s | ", s->name, kind_takes(s->kind));
        if (s->standard[0])
            text_addf(text, "`%s` | ", s->standard);
        else
            text_addf(text, "none | ");
        if (s->kind == WORD)
            text_addf(text, "%s | ", s->least);
        else if (s->kind == PLACE)
            text_addf(text, "%s %s... | ", s->least, s->most);
        else if (s->kind == STRING || s->kind == SECRET)
            text_addf(text, "%s to %s characters | ", s->least, s->most);
        else if (s->least[0])
            text_addf(text, "%s to %s | ", s->least, s->most);
        else
            text_addf(text, "| ");
        text_addf(text, "%s |\n", s->meaning);
    }
}
