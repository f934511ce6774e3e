/* target_here.c - see target.h: straight into the data directory. */
#include <stdlib.h>

#include "base/clock.h"
#include "command/local.h"
#include "command/split.h"
#include "command/target.h"
#include "config.h"
#include "ingest/commit.h"
#include "loop/loop.h"
#include "run/batch.h"

struct here {
    struct target target;
    const struct config *config;
    struct app *app;
};

static const char *const fault_words[FAULT_KINDS] = {
    [FAULT_MISSING] = "is missing",
    [FAULT_UUID_PARSING] = "is not a UUID",
    [FAULT_UUID_TYPE] = "must be a string that holds a UUID",
    [FAULT_STRING_TYPE] = "must be a string",
    [FAULT_DICT_TYPE] = "must be an object",
    [FAULT_DATETIME_PARSING] = "is not a time like 2026-11-23T16:22:43Z",
    [FAULT_LIST_TYPE] = "must be an array",
    [FAULT_ENUM] = "is not one of the values it may have",
    [FAULT_DUPLICATE_FIELD] = "is there twice",
    [FAULT_STRING_TOO_LONG] = "has more than 8192 bytes",
};

static void add_faults(const struct batch_refusal *why, struct refusal *refusal)
{
    for (size_t i = 0; i < why->fault_count; i++) {
        const struct batch_fault *fault = &why->faults[i];
        bool itself = fault->field == RUN_FIELDS;
        struct str name = itself ? STR("it") : run_field_name(fault->field);
        refusal_add(refusal, ERR_INVALID, false, fault->index, "%.*s %s", STR_FMT(name),
                    fault_words[fault->kind]);
    }
}

/* The portion did not become a batch. */
static int judge(const struct batch *batch, enum batch_state state, const struct portion *portion,
                 struct refusal *refusal, struct err *err)
{
    const struct batch_refusal *why = batch_refusal(batch);
    switch (state) {
    case BATCH_FAULTY:
        add_faults(why, refusal);
        return 0;
    case BATCH_TOO_BIG:
        refusal_add(refusal, ERR_TOO_BIG, true, 0, "%s", why->what);
        return 0;
    case BATCH_NOT_JSON:
        refusal_add(refusal, ERR_INVALID, true, 0, "it is not JSON: %s", why->what);
        return 0;
    case BATCH_BUSY:
        return err_set(err, ERR_BUSY, "a batch of %zu bytes needs more memory than inflight_max",
                       portion->bytes.len);
    case BATCH_READING:
    case BATCH_READY:
    case BATCH_NO_BODY:
    case BATCH_NOT_A_LIST:
    case BATCH_AN_OBJECT:
    case BATCH_EMPTY:
        break;
    }
    return err_set(err, ERR_INVALID, "a portion that is no batch");
}

static int store(struct here *here, const struct batch *batch, struct target_sent *sent,
                 struct refusal *refusal, struct err *err)
{
    struct commit_batch commit = {
        .op = {.loop = local_loop(here->app), .done = loop_wake},
        .record = batch_record(batch),
    };
    commit_submit(here->app->commit, &commit);
    int r = loop_wait(&commit.op, err);
    if (r)
        return r;
    if (commit.verdict == INDEX_CONFLICT && commit.gone) {
        refusal_add(refusal, ERR_INVALID, false, commit.conflict,
                    "session_id is that of a project that was deleted");
        return 0;
    }
    if (commit.verdict == INDEX_CONFLICT) {
        char id[UUID_TEXT];
        uuid_write(batch_run_id(batch, commit.conflict), id);
        refusal_add(refusal, ERR_CONFLICT, false, commit.conflict,
                    "a run with the id %.*s is there already, with different content", UUID_TEXT,
                    id);
        return 0;
    }
    sent->told = true;
    sent->there = batch_count(batch) - (commit.verdict == INDEX_ADDED ? commit.added : 0);
    return 0;
}

static int send(struct target *target, const struct portion *portion, struct target_sent *sent,
                struct refusal *refusal, struct err *err)
{
    struct here *here = (struct here *)target;
    const struct config *config = here->config;
    const struct batch_limits limits = {
        .body_max = config->body_max,
        .run_max = config->run_max,
        .runs_max = config->batch_runs_max,
        .name_max = config->name_max,
    };
    struct batch *batch = batch_new(portion->lines, &limits, &here->app->budget, &here->app->spare,
                                    clock_now_us(), portion->bytes.len + 2);
    enum batch_state state = BATCH_READING;
    if (!portion->lines)
        batch_feed(batch, STR("["), false);
    state = batch_feed(batch, portion->bytes, portion->lines);
    if (!portion->lines)
        state = batch_feed(batch, STR("]"), true);
    int r = state == BATCH_READY ? store(here, batch, sent, refusal, err)
                                 : judge(batch, state, portion, refusal, err);
    batch_free(batch);
    return r;
}

static void close_here(struct target *target)
{
    struct here *here = (struct here *)target;
    app_close(here->app);
    free(here);
}

static const struct target_ops here_ops = {.send = send, .close = close_here};

int target_here_open(const struct config *config, struct target **result, struct err *err)
{
    struct here *here = calloc(1, sizeof *here);
    if (!here)
        abort();
    here->target.ops = &here_ops;
    here->config = config;
    int r = local_open(config, APP_WRITE, &here->app, err);
    if (r) {
        close_here(&here->target);
        return r;
    }
    *result = &here->target;
    return 0;
}
