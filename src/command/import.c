/* import.c - rundlet import: the runs of files, in portions, into a target.
 *
 * A portion that is refused stops the import, unless it is to go on: then it
 * is sent again in halves until only the runs that are refused by themselves
 * are left out.  One that is only too big is always halved.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "base/str.h"
#include "base/text.h"
#include "command/command.h"
#include "command/source.h"
#include "command/split.h"
#include "command/talk.h"
#include "command/target.h"
#include "config.h"

enum { PORTION_RUNS = 1000, PORTION_SIZE = 8 << 20, PIECE = 256 << 10 };

struct import {
    const struct config *config;
    struct target *target;
    const char *file;
    bool go_on;
    bool stopped; /* by a refusal */
    uint64_t runs, stored, there, refused, bytes;
    bool told; /* all targets said how many were there already */
    struct progress progress;
};

static void refused(struct import *import, const struct portion *portion,
                    const struct refusal *refusal)
{
    uint64_t first = portion->first, last = first + portion->count - 1;
    progress_end(&import->progress);
    for (size_t i = 0; i < refusal->count; i++) {
        const char *text = refusal->at[i].text;
        if (refusal->at[i].whole && portion->count > 1)
            talk("%s: runs %" PRIu64 " to %" PRIu64 ": %s", import->file, first, last, text);
        else
            talk("%s: run %" PRIu64 ": %s", import->file, first + refusal->at[i].index, text);
    }
    if (refusal->more)
        talk("%s: and more like this in runs %" PRIu64 " to %" PRIu64, import->file, first, last);
    import->refused += portion->count;
    if (import->go_on)
        return;
    import->stopped = true;
    if (portion->count > 1)
        talk("%s: nothing of runs %" PRIu64 " to %" PRIu64 " was stored, what is before them was; "
             "--continue leaves out only what is refused",
             import->file, first, last);
}

/* As deep as a portion can be halved. */
static int send(struct import *import, const struct portion *portion, struct err *err)
{
    struct refusal refusal = {.code = ERR_OK};
    struct target_sent sent = {0};
    int r = import->target->ops->send(import->target, portion, &sent, &refusal, err);
    if (r)
        return r;
    if (refusal.code == ERR_OK) {
        import->there += sent.there;
        import->stored += portion->count - sent.there;
        import->told = sent.told;
        return 0;
    }
    if (portion->count == 1 || (!import->go_on && refusal.code != ERR_TOO_BIG)) {
        refused(import, portion, &refusal);
        return 0;
    }
    size_t half = portion->count / 2;
    struct portion part = portion_part(portion, 0, half);
    r = send(import, &part, err);
    part = portion_part(portion, half, portion->count - half);
    return r || import->stopped ? r : send(import, &part, err);
}

static int import_from(struct import *import, struct source *source, struct split *split,
                       char *piece, struct err *err)
{
    for (size_t got = 1; got > 0 && !import->stopped;) {
        int r = source_read(source, piece, PIECE, &got, err);
        if (r)
            return r;
        import->bytes += got;
        split_feed(split, (struct str){piece, got});
        enum split_event event = SPLIT_MORE;
        struct portion portion;
        while (!import->stopped &&
               (event = split_next(split, got == 0, &portion)) == SPLIT_PORTION) {
            import->runs += portion.count;
            r = send(import, &portion, err);
            if (r)
                return err_wrap(err, "runs %" PRIu64 " to %" PRIu64, portion.first,
                                portion.first + portion.count - 1);
            progress_show(&import->progress, "%s: %" PRIu64 " runs, %" PRIu64 " MB", import->file,
                          import->runs, import->bytes / 1000000);
        }
        if (event == SPLIT_FAULT) {
            struct split_fault fault = split_fault(split);
            return err_set(err, ERR_INVALID, "run %" PRIu64 ": %s, at byte %" PRIu64, fault.item,
                           fault.what, fault.offset);
        }
    }
    return 0;
}

static int import_file(struct import *import, const char *file, struct err *err)
{
    const struct config *config = import->config;
    const struct split_limits limits = {
        .items_max = config->batch_runs_max < PORTION_RUNS ? config->batch_runs_max : PORTION_RUNS,
        .portion_max = config->body_max < PORTION_SIZE ? config->body_max - 2 : PORTION_SIZE,
        .item_max = config->run_max,
    };
    struct source *source = NULL;
    struct split *split = split_new(&limits);
    char *piece = malloc(PIECE);
    if (!piece)
        abort();
    import->file = strcmp(file, "-") == 0 ? "stdin" : file;
    int r = source_open(file, &source, err);
    if (!r && import_from(import, source, split, piece, err))
        r = err_wrap(err, "%.60s", import->file);
    free(piece);
    split_free(split);
    source_close(source);
    return r;
}

static int open_target(struct import *import, const char *url, struct err *err)
{
    char room[256], found[256];
    if (url)
        return target_there_open(import->config, url, &import->target, err);
    struct str holder = app_holder(import->config, room, sizeof room);
    if (holder.len == 0)
        return target_here_open(import->config, &import->target, err);
    const char *at = memmem(holder.at, holder.len, "http://", 7);
    if (!at)
        return err_set(err, ERR_UNAVAILABLE,
                       "%.80s is in use by another rundlet (%.*s), which does not serve: wait for "
                       "it to end",
                       import->config->data, STR_FMT(holder));
    snprintf(found, sizeof found, "%.*s", (int)(holder.at + holder.len - at), at);
    return target_there_open(import->config, found, &import->target, err);
}

static int print_sums(const struct import *import, int status)
{
    struct out out = {0};
    struct text text = {0};
    text_addf(&text, "{\"runs\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicate\":", import->runs,
              import->stored);
    if (import->told)
        text_addf(&text, "%" PRIu64, import->there);
    else
        text_add(&text, STR("null"));
    text_addf(&text, ",\"refused\":%" PRIu64 "}", import->refused);
    out_text(&out, &text);
    return out_end(&out, status);
}

int command_import(const struct config *config, const struct command_args *args)
{
    struct import import = {
        .config = config, .go_on = command_has(args, "--continue"), .told = true};
    struct err err = {0};
    progress_start(&import.progress);
    int r = open_target(&import, command_value(args, "--url="), &err);
    if (r) {
        talk("%s", err.text);
        return r == ERR_INVALID ? COMMAND_USAGE : COMMAND_FAILED;
    }
    for (size_t i = 0; i < args->word_count && !r && !import.stopped; i++)
        r = import_file(&import, args->words[i], &err);
    progress_end(&import.progress);
    if (r)
        talk("%s", err.text);
    import.target->ops->close(import.target);
    return print_sums(&import, r ? COMMAND_FAILED : import.refused ? COMMAND_NO : COMMAND_OK);
}
