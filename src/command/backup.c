/* backup.c - rundlet backup and rundlet restore: see store/backup.h.
 *
 * A backup is a data directory, and is locked like one: two backups to it at
 * once, or one to a directory that a server uses, are refused by that.
 */
#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"

static void damaged(void *context, struct str file, uint64_t offset, const char *why)
{
    struct progress *progress = context;
    progress_end(progress);
    talk("%.*s: damaged at %" PRIu64 ": %s", STR_FMT(file), offset, why);
}

static void show(void *context, const struct backup *backup)
{
    progress_show(context, "%" PRIu64 " of %" PRIu64 " containers, %" PRIu64 " MB copied",
                  backup->copied + backup->kept, backup->of, backup->bytes / 1000000);
}

/* `from` and `to` are there, and locked where they have to be. */
static int copy(const char *from, const char *to, struct progress *progress, struct backup *backup,
                struct err *err)
{
    *backup = (struct backup){
        .disk = &disk_real,
        .from = {from, strlen(from)},
        .to = {to, strlen(to)},
        .damaged = damaged,
        .progress = show,
        .context = progress,
    };
    return backup_make(backup, err);
}

static bool has_segments(const char *dir)
{
    struct text path = {0};
    text_addf(&path, "%s/segments", dir);
    text_add_char(&path, '\0');
    bool there = access(path.at, F_OK) == 0 || errno != ENOENT;
    text_free(&path);
    return there;
}

/* Refused is an answer; the rest are failures. */
static int status_of(int r)
{
    return r == ERR_CONFLICT || r == ERR_INVALID ? COMMAND_NO : COMMAND_FAILED;
}

/* Is nothing there, or nothing but what we may have put there before we were
 * killed?  A new file system has a lost+found. */
static bool is_ours(const char *name, bool lock)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0 ||
           (lock && strcmp(name, "lock") == 0);
}

static int is_empty(const char *path, bool lock, bool *empty, struct err *err)
{
    DIR *dir = opendir(path);
    *empty = true;
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(err, errno, "list %.100s", path);
    for (const struct dirent *entry; *empty && (entry = readdir(dir));)
        *empty = is_ours(entry->d_name, lock);
    closedir(dir);
    return 0;
}

/* ---- backup ---- */

/* Where a directory is or would be; the caller's. */
static char *real_path(const char *path)
{
    char *found = realpath(path, NULL);
    if (found || errno != ENOENT)
        return found;
    char *above = strdup(path), *name = strdup(path);
    if (!above || !name)
        abort();
    char *parent = realpath(dirname(above), NULL);
    struct text text = {0};
    text_addf(&text, "%s/%s", parent ? parent : "", basename(name));
    text_add_char(&text, '\0');
    bool known = parent != NULL;
    free(above);
    free(name);
    free(parent);
    if (known)
        return text.at;
    text_free(&text);
    return NULL;
}

static int check_apart(const char *data, const char *dest, struct err *err)
{
    if (!has_segments(data))
        return err_set(err, ERR_NOT_FOUND,
                       "%.100s holds no runs: name the directory that does with --data", data);
    bool empty = true;
    int r = has_segments(dest) ? 0 : is_empty(dest, true, &empty, err);
    if (r || !empty)
        return r ? r
                 : err_set(err, ERR_CONFLICT,
                           "%.100s is not empty, and no backup: name a directory of its own", dest);
    char *from = real_path(data), *to = real_path(dest);
    if (!from || !to)
        r = err_sys(err, errno, "%.100s", from ? dest : data);
    else if (strcmp(from, to) == 0)
        r = err_set(err, ERR_INVALID, "%.100s is the data directory itself: name another one",
                    dest);
    else if (strncmp(from, to, strlen(from)) == 0 && to[strlen(from)] == '/')
        r = err_set(err, ERR_INVALID,
                    "%.80s is inside of the data directory: name one that is not lost with it",
                    dest);
    free(from);
    free(to);
    return r;
}

int command_backup(const struct config *config, const struct command_args *args)
{
    const char *dest = args->words[0];
    struct err err = {0};
    struct progress progress;
    struct backup backup = {0};
    struct out out = {0};
    struct text text = {0};
    int lock = -1, r = local_only(config, "backup", &err);
    if (!r)
        r = check_apart(config->data, dest, &err);
    progress_start(&progress);
    if (!r)
        r = app_lock(dest, &lock, &err);
    if (!r) {
        r = copy(config->data, dest, &progress, &backup, &err);
        if (r)
            err_wrap(&err, "backup to %.60s", dest);
    }
    progress_end(&progress);
    app_unlock(lock);
    if (r) {
        talk("%s", err.text);
        return status_of(r);
    }
    text_addf(&text,
              "{\"containers\":%" PRIu64 ",\"copied\":%" PRIu64 ",\"kept\":%" PRIu64
              ",\"bytes\":%" PRIu64 ",\"last_sequence\":%" PRIu64 "}",
              backup.copied + backup.kept, backup.copied, backup.kept, backup.bytes,
              backup.last_sequence);
    out_text(&out, &text);
    return out_end(&out, backup.damage ? COMMAND_NO : COMMAND_OK);
}

/* ---- restore ---- */

static int copy_back(const char *from, const char *data, struct progress *progress,
                     struct backup *backup, struct err *err)
{
    int from_lock = -1, lock = -1;
    if (!has_segments(from))
        return err_set(err, ERR_NOT_FOUND,
                       "%.100s holds no runs: name a backup or a data directory", from);
    bool empty = true;
    int r = app_lock_shared(from, &from_lock, err);
    if (!r)
        r = is_empty(data, false, &empty, err);
    if (!r && !empty)
        r = err_set(err, ERR_CONFLICT,
                    "%.80s is not empty, and nothing is overwritten: name with --data a directory "
                    "that is, or that does not exist",
                    data);
    if (!r)
        r = app_lock(data, &lock, err);
    if (!r)
        r = app_mark_partial(data, true, err);
    if (!r) {
        r = copy(from, data, progress, backup, err);
        if (!r)
            r = app_mark_partial(data, false, err);
        if (r)
            err_wrap(err, "remove %.60s before you try again", data);
    }
    app_unlock(lock);
    app_unlock(from_lock);
    return r;
}

int command_restore(const struct config *config, const struct command_args *args)
{
    struct err err = {0};
    struct progress progress;
    struct backup backup = {0};
    struct app *app = NULL;
    struct out out = {0};
    struct text text = {0};
    progress_start(&progress);
    int r = local_only(config, "restore", &err);
    if (!r)
        r = copy_back(args->words[0], config->data, &progress, &backup, &err);
    if (!r) {
        progress_show(&progress, "building the index of %s", config->data);
        r = local_open(config, APP_REBUILD, &app, &err);
        if (r)
            err_wrap(&err, "all is copied, but has no index");
    }
    progress_end(&progress);
    if (r) {
        talk("%s", err.text);
        return app || backup.copied ? COMMAND_FAILED : status_of(r);
    }
    text_addf(&text, "{\"runs\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"containers\":%" PRIu64 "}",
              app->recovered_runs, app->lost_runs, backup.copied);
    out_text(&out, &text);
    bool damaged = backup.damage || app->damaged;
    if (damaged)
        talk("what is damaged is not in the index; `rundlet verify` names it");
    app_close(app);
    return out_end(&out, damaged ? COMMAND_NO : COMMAND_OK);
}
