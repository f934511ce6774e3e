/* local.c - see local.h. */
#include "command/local.h"

#include <unistd.h>

#include "config.h"
#include "loop/loop.h"

int local_open(const struct config *config, enum app_use use, struct app **result, struct err *err)
{
    if (use == APP_READ && access(config->data, F_OK) != 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no directory %.100s: name the one that holds the runs with --data",
                       config->data);
    return app_open(config, use, 1, result, err);
}

struct loop *local_loop(const struct app *app)
{
    return app->loops[0];
}

void local_done(struct op *op)
{
    loop_stop(op->loop);
}

int local_wait(struct op *op, struct err *err)
{
    int r = loop_run(op->loop, err);
    if (!r && op->err.code) {
        *err = op->err;
        r = (int)op->err.code;
    }
    return r;
}
