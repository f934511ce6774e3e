/* migrate.c - rundlet migrate: the schema of PostgreSQL, step by step. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "command/command.h"
#include "command/talk.h"
#include "config.h"
#include "index/index.h"

static void say(void *context, const char *line)
{
    struct text text = {0};
    text_addf(&text, "%s", line);
    out_text(context, &text);
}

/* The step to go down to; false: it is no number. */
static bool step_of(const char *word, int *step)
{
    char *end = NULL;
    long value = strtol(word, &end, 10);
    if (end == word || *end || value < 0 || value > INT_MAX)
        return false;
    *step = (int)value;
    return true;
}

int command_migrate(const struct config *config, const struct command_args *args)
{
    const char *word = args->words[0];
    struct err err = {0};
    struct out out = {0};
    int step = -1, r = 0;
    bool down = strcmp(word, "down") == 0;
    if (strcmp(word, "sql") == 0 && args->word_count == 1) {
        index_postgres_sql(say, &out);
        return out_end(&out, COMMAND_OK);
    }
    if (!config_is_url(config->index)) {
        talk("there is nothing to migrate: the index is %s, and brought up to date by itself",
             config->index);
        return COMMAND_USAGE;
    }
    if (down != (args->word_count == 2) || (down && !step_of(args->words[1], &step))) {
        talk("it is: migrate up | down N | status | sql");
        return COMMAND_USAGE;
    }
    if (down && step == 0 && !command_has(args, "--yes")) {
        talk("that drops every row; the runs stay, and `rundlet reindex` makes the rows again from "
             "them: say it with --yes, when no node is running");
        return COMMAND_USAGE;
    }
    if (down || strcmp(word, "up") == 0) {
        r = index_postgres_migrate(config->index, step, say, &out, &err);
    } else if (strcmp(word, "status") == 0) {
        r = index_postgres_status(config->index, say, &out, &err);
    } else {
        talk("there is no `migrate %.40s`: it is up, down N, status or sql", word);
        return COMMAND_USAGE;
    }
    if (r)
        talk("%s", err.text);
    return out_end(&out, r ? COMMAND_FAILED : COMMAND_OK);
}
