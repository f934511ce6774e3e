/* reindex.c - rundlet reindex: the index anew, from the log.
 *
 * The index's files are removed while the lock is held, so no server can have
 * them open.  Whoever opens the directory as its writer then builds them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"

static int in_use(const struct config *config, struct err *err)
{
    char room[256];
    struct str holder = app_holder(config, room, sizeof room);
    return err_set(err, ERR_CONFLICT, "%.80s is in use by another rundlet (%.*s): stop it first",
                   config->data, STR_FMT(holder));
}

/* The database first: the others mean nothing without it. */
static int remove_index(int dir, struct err *err)
{
    static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm",
                                        "index.db-journal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (unlinkat(dir, names[i], 0) != 0 && errno != ENOENT)
            return err_sys(err, errno, "remove %s", names[i]);
    return 0;
}

static int remove_under_lock(const struct config *config, struct err *err)
{
    int lock = -1, r = 0;
    int dir = open(config->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, errno, "open the data directory %.100s", config->data);
    if (faccessat(dir, "segments", F_OK, 0) != 0) {
        r = err_set(err, ERR_NOT_FOUND,
                    "%.100s has no segments to build an index from: is it "
                    "the data directory?",
                    config->data);
        goto out;
    }
    lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        r = err_sys(err, errno, "open %.100s/lock", config->data);
    else if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        r = in_use(config, err);
    else
        r = remove_index(dir, err);

out:
    if (lock >= 0)
        close(lock);
    close(dir);
    return r;
}

int command_reindex(const struct config *config, const struct command_args *args)
{
    (void)args;
    struct err err = {0};
    struct app *app = NULL;
    struct progress progress;
    struct out out = {0};
    progress_start(&progress);
    int r = remove_under_lock(config, &err);
    progress_show(&progress, "building the index of %s", config->data);
    if (!r)
        r = local_open(config, APP_WRITE, &app, &err);
    progress_end(&progress);
    if (r) {
        talk("%s", err.text);
        return COMMAND_FAILED;
    }
    struct text text = {0};
    text_addf(&text, "{\"runs\":%" PRIu64 "}", app->recovered_runs);
    out_text(&out, &text);
    app_close(app);
    return out_end(&out, COMMAND_OK);
}
