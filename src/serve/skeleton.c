/* skeleton.c - see skeleton.h.
 *
 *   serve_skeleton()  ask for rows ⇢ got(), ask for the next, add these meanwhile, and again
 */
#include "serve/skeleton.h"

#include "base/arena.h"
#include "run/view.h"
#include "serve/fetch.h"
#include "serve/serve.h"

static void got(struct op *op);

static void ask(struct serve_skeleton *skeleton)
{
    size_t left = SKELETON_RUNS - skeleton->seen;
    skeleton->rows.query.limit = left < QUERY_LIMIT_MAX ? (uint32_t)left : QUERY_LIMIT_MAX;
    skeleton->page = arena_new(64 << 10);
    skeleton->rows.arena = skeleton->page;
    serve_query(&skeleton->rows);
}

void serve_skeleton(struct serve_skeleton *skeleton)
{
    skeleton->skeleton = skeleton_new(skeleton->arena, skeleton->serve->budget);
    skeleton->rows = (struct serve_query){
        .op = {.loop = skeleton->op.loop, .done = got},
        .serve = skeleton->serve,
        .left = skeleton->left,
        .query = {.by_trace = true,
                  .trace = skeleton->trace,
                  .start_min_us = INT64_MIN,
                  .start_max_us = INT64_MAX,
                  .oldest_first = true},
    };
    ask(skeleton);
}

/* `err`: of the last page; one of an earlier page came first. */
static void end(struct serve_skeleton *skeleton, const struct err *err)
{
    skeleton->op.err = skeleton->failed.code ? skeleton->failed : *err;
    if (!skeleton->op.err.code && skeleton->seen == 0)
        err_set(&skeleton->op.err, ERR_NOT_FOUND, "No run has this trace");
    if (!skeleton->op.err.code) {
        uint64_t hash[2];
        skeleton_close(skeleton->skeleton, !skeleton->rows.last);
        skeleton_hash(skeleton->skeleton, hash);
        hash[1] ^= (uint64_t)skeleton->coding;
        etag_write(hash, skeleton->etag);
        skeleton->not_modified =
            etag_is_known(skeleton->none_match, (struct str){skeleton->etag, ETAG});
    }
    op_finish(&skeleton->op);
}

static int add_rows(struct serve_skeleton *skeleton, const struct index_row *rows, size_t count,
                    struct arena *scratch, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct view view;
        if (fetch_row(&rows[i], scratch, &view, err) ||
            skeleton_add(skeleton->skeleton, &view, rows[i].project_version, rows[i].silent, err))
            return (int)err->code;
    }
    return 0;
}

static void got(struct op *op)
{
    struct serve_skeleton *skeleton = op_owner(op, struct serve_skeleton, rows.op);
    const struct index_row *rows = skeleton->rows.rows;
    struct arena *page = skeleton->page;
    struct err err = op->err;
    size_t count = err.code ? 0 : skeleton->rows.count;
    skeleton->seen += count;
    bool more = !err.code && !skeleton->failed.code && !skeleton->rows.last &&
                skeleton->seen < SKELETON_RUNS && !serve_query_is_late(&skeleton->rows, &err);
    if (more)
        ask(skeleton);
    if (!err.code && !skeleton->failed.code)
        (void)add_rows(skeleton, rows, count, page, &skeleton->failed);
    arena_free(page);
    if (!more)
        end(skeleton, &err);
}
