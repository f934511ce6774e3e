/* search.c - rundlet search: the runs that match, newest first, a run a line.
 *
 * Pages are asked for one after the other; the runs of a page are read and
 * printed in steps, so that no page needs more memory than a step.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "command/command.h"
#include "command/local.h"
#include "command/talk.h"
#include "config.h"
#include "index/index.h"
#include "loop/loop.h"
#include "run/query.h"
#include "run/render.h"
#include "serve/fetch.h"
#include "wire/splice.h"
#include "wire/utf8.h"

enum { LIMIT_STANDARD = 50, STEP = 4 << 20 /* bytes of runs, unless one is larger */ };

struct search {
    struct app *app;
    struct out out;
    struct query query;
    bool all;
    uint32_t left; /* how many are still wanted, unless all are */
    bool more;     /* there are runs behind the last one printed */
};

static bool read_count(const char *text, uint32_t *result)
{
    size_t len = strlen(text);
    if (len == 0 || len > 9 || strspn(text, "0123456789") != len)
        return false;
    *result = (uint32_t)strtoul(text, NULL, 10);
    return *result > 0;
}

static bool read_args(const struct command_args *args, struct search *search)
{
    struct query *query = &search->query;
    const char *trace = command_value(args, "--trace=");
    const char *name = command_value(args, "--name=");
    const char *limit = command_value(args, "--limit=");
    const char *cursor = command_value(args, "--cursor=");
    search->all = command_has(args, "--all");
    search->left = LIMIT_STANDARD;
    if (!trace && !name) {
        talk("search for what? Give --trace ID or --name TEXT; `rundlet export` prints every run");
        return false;
    }
    if (trace) {
        query->by_trace = true;
        if (!uuid_parse((struct str){trace, strlen(trace)}, &query->trace)) {
            talk("--trace %.60s is not the id of a trace: an id is a UUID", trace);
            return false;
        }
    }
    if (name) {
        query->by_name = true;
        query->name = (struct str){name, strlen(name)};
        if (!utf8_valid(query->name)) {
            talk("--name is not UTF-8");
            return false;
        }
    }
    if (limit && search->all) {
        talk("--all prints every run that matches, --limit some: choose one");
        return false;
    }
    if (limit && !read_count(limit, &search->left)) {
        talk("--limit %.60s is not a number from 1 to 999999999", limit);
        return false;
    }
    if (cursor) {
        query->after = true;
        if (!query_cursor_parse((struct str){cursor, strlen(cursor)}, &query->cursor)) {
            talk("--cursor %.60s is not one that a search printed", cursor);
            return false;
        }
    }
    return true;
}

/* Read and print `count` runs. */
static int print_step(struct search *search, const struct index_row *rows, size_t count,
                      struct err *err)
{
    struct arena *arena = arena_new(64 << 10);
    struct fetch fetch = {
        .op = {.loop = local_loop(search->app), .done = loop_wake},
        .store = search->app->store,
        .rows = rows,
        .count = count,
        .fields = SHOW_ALL,
        .arena = arena,
    };
    fetch_runs(&fetch);
    int r = loop_wait(&fetch.op, err);
    for (size_t i = 0; i < count && !r; i++) {
        struct splice splice = {.arena = arena};
        render_run(&splice, &fetch.views[i], SHOW_ALL);
        out_splice_one_line(&search->out, &splice);
        out_add(&search->out, STR("\n"));
    }
    arena_free(arena);
    return r;
}

static int print_page(struct search *search, struct err *err)
{
    struct query *query = &search->query;
    struct arena *arena = arena_new(64 << 10);
    query->limit = QUERY_LIMIT_MAX;
    if (!search->all && search->left < query->limit)
        query->limit = search->left;
    struct index_search found = {
        .op = {.loop = local_loop(search->app), .done = loop_wake},
        .query = query,
        .facts = true,
        .arena = arena,
    };
    search->app->index->ops->search(search->app->index, &found);
    int r = loop_wait(&found.op, err);
    for (size_t at = 0; !r && at < found.count && !search->out.sys;) {
        uint64_t size = 0;
        size_t n = 0;
        while (at + n < found.count && (n == 0 || size + found.rows[at + n].size <= STEP))
            size += found.rows[at + n++].size;
        r = print_step(search, found.rows + at, n, err);
        at += n;
    }
    if (!r) {
        search->more = found.more && found.count > 0;
        search->left -= search->all ? 0 : (uint32_t)found.count;
        if (found.count > 0) {
            const struct index_row *last = &found.rows[found.count - 1];
            query->after = true;
            query->cursor = (struct query_cursor){last->start_us, last->id};
        }
    }
    arena_free(arena);
    return r;
}

int command_search(const struct config *config, const struct command_args *args)
{
    struct search search = {0};
    if (!read_args(args, &search))
        return COMMAND_USAGE;

    struct err err = {0};
    int r = local_open(config, APP_READ, &search.app, &err);
    do {
        if (!r)
            r = print_page(&search, &err);
    } while (!r && search.more && (search.all || search.left > 0) && !search.out.sys);
    app_close(search.app);
    int status = out_end(&search.out, r ? COMMAND_FAILED : COMMAND_OK);
    if (r) {
        talk("%s", err.text);
    } else if (search.more && status == COMMAND_OK) {
        char cursor[QUERY_CURSOR_TEXT];
        query_cursor_write(&search.query.cursor, cursor);
        talk("there are more: --cursor %.*s", QUERY_CURSOR_TEXT, cursor);
    }
    return status;
}
