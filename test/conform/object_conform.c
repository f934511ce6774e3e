/* object_conform.c - what every back end of store/object.h must do.
 *
 * One suite, run against each; then what only the directory can show: what its
 * failures and a crash leave behind; then what only a bucket has.
 *
 * The bucket is at $TEST_S3 ("http://127.0.0.1:9000"), and its keys are
 * rundletkey and rundletsecret.  Without it S3 is left out, and one test says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/scratch.h"
#include "store/object.h"

enum backend { DIR_BACKEND, MEM_BACKEND, S3_BACKEND, BACKENDS };

struct bench {
    struct scratch dir;
    struct loop *loop;
    struct objects *objects;
    char prefix[16]; /* in a bucket */
};

static const char *s3_endpoint(void)
{
    const char *endpoint = getenv("TEST_S3");
    return endpoint && endpoint[0] ? endpoint : NULL;
}

/* One bucket for a run of the suite; below `prefix`, one for each test. */
static int open_s3(const char *prefix, struct objects **result, struct err *err)
{
    static char bucket[64];
    if (!bucket[0])
        snprintf(bucket, sizeof bucket, "conform-%d-%lld", (int)getpid(),
                 (long long)clock_now_us());
    const struct object_s3_config config = {.bucket = bucket,
                                            .prefix = prefix,
                                            .endpoint = s3_endpoint(),
                                            .path_style = true,
                                            .access_key = "rundletkey",
                                            .secret_key = "rundletsecret",
                                            .deadline_ms = 8000,
                                            .connections = 4,
                                            .queue = 64,
                                            .create = true};
    return object_s3_open(&config, result, err);
}

static int open_backend(struct bench *b, enum backend backend, struct err *err)
{
    switch (backend) {
    case DIR_BACKEND:
        return object_dir_open(scratch_str(&b->dir), &bad_disk, &b->objects, err);
    case S3_BACKEND:
        return open_s3(b->prefix, &b->objects, err);
    case MEM_BACKEND:
    case BACKENDS:
        break;
    }
    return object_mem_open(&b->objects, err);
}

static void open_objects(struct bench *b, enum backend backend)
{
    struct err err = {0};
    int r = open_backend(b, backend, &err);
    CHECK(r == 0);
    if (r) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    CHECK(b->objects->ops->attach(b->objects, b->loop, &err) == 0);
}

static void begin(struct bench *b, enum backend backend)
{
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    *b = (struct bench){.dir = scratch_new(), .loop = hand_loop_open()};
    static unsigned tests;
    snprintf(b->prefix, sizeof b->prefix, "t%u/", ++tests);
    open_objects(b, backend);
}

static void end(struct bench *b)
{
    b->objects->ops->close(b->objects);
    hand_loop_close(b->loop);
    scratch_remove(&b->dir);
    bad_disk_plan = (struct bad_disk_plan){0};
}

struct putting {
    struct object_put put;
    bool done;
};

static void has_put(struct op *op)
{
    op_owner(op, struct putting, put.op)->done = true;
}

static int put_parts(struct bench *b, struct str name, const struct iovec *parts, size_t count)
{
    struct putting p = {.put = {.op = {.loop = b->loop, .done = has_put},
                                .name = name,
                                .parts = parts,
                                .part_count = count}};
    b->objects->ops->put(b->objects, &p.put);
    CHECK(!p.done); /* never inside the call */
    CHECK(hand_loop_until(b->loop, &p.done));
    CHECK(p.put.op.err.code == ERR_OK || p.put.op.err.text[0]);
    return (int)p.put.op.err.code;
}

static int put(struct bench *b, const char *name, const char *bytes)
{
    struct iovec part = {(void *)(uintptr_t)bytes, strlen(bytes)};
    return put_parts(b, (struct str){name, strlen(name)}, &part, 1);
}

struct getting {
    struct object_get get;
    bool done;
};

static void has_got(struct op *op)
{
    op_owner(op, struct getting, get.op)->done = true;
}

static int get(struct bench *b, const char *name, uint64_t offset, size_t size, struct buf **out)
{
    struct getting g = {.get = {.op = {.loop = b->loop, .done = has_got},
                                .name = {name, strlen(name)},
                                .offset = offset,
                                .size = size}};
    b->objects->ops->get(b->objects, &g.get);
    CHECK(!g.done);
    CHECK(hand_loop_until(b->loop, &g.done));
    *out = g.get.out;
    return (int)g.get.op.err.code;
}

/* Are the last `size` bytes of it the end of `all`, and is `all` as long as it? */
static bool ends(struct bench *b, const char *name, const char *all, size_t size)
{
    struct getting g = {.get = {.op = {.loop = b->loop, .done = has_got},
                                .name = {name, strlen(name)},
                                .tail = true,
                                .size = size}};
    b->objects->ops->get(b->objects, &g.get);
    CHECK(!g.done);
    CHECK(hand_loop_until(b->loop, &g.done));
    size_t total = strlen(all), want = size < total ? size : total;
    bool same = g.get.op.err.code == ERR_OK && g.get.total == total && g.get.size == want &&
                g.get.offset == total - want && g.get.out->len == want &&
                memcmp(g.get.out->at, all + total - want, want) == 0;
    buf_unref(g.get.out);
    return same;
}

/* Is exactly this in it? */
static bool holds(struct bench *b, const char *name, const char *bytes)
{
    return ends(b, name, bytes, strlen(bytes) + 1);
}

struct removing {
    struct object_remove remove;
    bool done;
};

static void has_removed(struct op *op)
{
    op_owner(op, struct removing, remove.op)->done = true;
}

static int take_away(struct bench *b, const char *name)
{
    struct removing r = {
        .remove = {.op = {.loop = b->loop, .done = has_removed}, .name = {name, strlen(name)}}};
    b->objects->ops->remove(b->objects, &r.remove);
    CHECK(!r.done);
    CHECK(hand_loop_until(b->loop, &r.done));
    return (int)r.remove.op.err.code;
}

struct listing {
    struct object_list list;
    bool done;
};

static void has_listed(struct op *op)
{
    op_owner(op, struct listing, list.op)->done = true;
}

/* All names, in pages of `limit`, each followed by a blank. */
static const char *list(struct bench *b, const char *prefix, const char *after, size_t limit)
{
    static char text[4096];
    struct arena *arena = arena_new(1024);
    struct str last = {after, strlen(after)};
    size_t count = limit;
    text[0] = '\0';
    while (count == limit) {
        struct listing l = {.list = {.op = {.loop = b->loop, .done = has_listed},
                                     .prefix = {prefix, strlen(prefix)},
                                     .after = last,
                                     .limit = limit,
                                     .arena = arena}};
        b->objects->ops->list(b->objects, &l.list);
        CHECK(!l.done);
        CHECK(hand_loop_until(b->loop, &l.done));
        CHECK(l.list.op.err.code == ERR_OK && l.list.count <= limit);
        count = l.list.op.err.code ? 0 : l.list.count;
        for (size_t i = 0; i < count; i++) {
            last = l.list.names[i];
            snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s ", STR_FMT(last));
        }
    }
    arena_free(arena);
    return text;
}

#define EVERY_BACKEND(body)                                                                        \
    for (int backend = 0; backend < BACKENDS; backend++) {                                         \
        if (backend == S3_BACKEND && !s3_endpoint())                                               \
            continue;                                                                              \
        struct bench b;                                                                            \
        begin(&b, (enum backend)backend);                                                          \
        body(&b);                                                                                  \
        end(&b);                                                                                   \
    }

static void parts_and_ranges(struct bench *b)
{
    struct iovec parts[200];
    char all[1000], *at = all;
    for (size_t i = 0; i < 200; i++) {
        size_t size = i % 10;
        memset(at, (int)('a' + i % 26), size);
        parts[i] = (struct iovec){at, size};
        at += size;
    }
    size_t size = (size_t)(at - all);
    CHECK(put_parts(b, STR("v1/x.pack"), parts, 200) == 0);
    CHECK(put_parts(b, STR("empty"), NULL, 0) == 0);

    static const size_t ranges[][2] = {{0, 900}, {0, 1}, {899, 1}, {450, 2}, {7, 600}};
    CHECK(size == 900);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        struct buf *out = NULL;
        CHECK(get(b, "v1/x.pack", ranges[i][0], ranges[i][1], &out) == 0);
        CHECK(out && out->len == ranges[i][1] &&
              memcmp(out->at, all + ranges[i][0], ranges[i][1]) == 0);
        buf_unref(out);
    }
    CHECK(holds(b, "empty", ""));
}

TEST(an_object_is_what_its_parts_were_and_any_range_of_it_can_be_had)
{
    EVERY_BACKEND(parts_and_ranges)
}

static void outside(struct bench *b)
{
    struct buf *out = NULL;
    CHECK(put(b, "a", "12345") == 0);
    CHECK(get(b, "a", 0, 6, &out) == ERR_CORRUPT);
    CHECK(get(b, "a", 5, 1, &out) == ERR_CORRUPT);
    CHECK(get(b, "a", 6, 1, &out) == ERR_CORRUPT);
    CHECK(get(b, "a", UINT64_MAX, 2, &out) == ERR_CORRUPT);
    CHECK(get(b, "a", 2, SIZE_MAX, &out) == ERR_CORRUPT);
    CHECK(get(b, "b", 0, 1, &out) == ERR_NOT_FOUND);
    CHECK(get(b, "a/b", 0, 1, &out) == ERR_NOT_FOUND);
    CHECK(!out);
}

TEST(a_range_beyond_the_end_is_corrupt_and_another_name_not_found)
{
    EVERY_BACKEND(outside)
}

static void tails(struct bench *b)
{
    CHECK(put(b, "v1/t.pack", "0123456789") == 0);
    CHECK(put(b, "empty", "") == 0);

    for (size_t size = 1; size <= 12; size++)
        CHECK(ends(b, "v1/t.pack", "0123456789", size));
    CHECK(ends(b, "v1/t.pack", "0123456789", 65536));
    CHECK(ends(b, "empty", "", 1));
    CHECK(ends(b, "empty", "", 65536));
    CHECK(!ends(b, "nothing", "", 1));
}

TEST(the_tail_of_an_object_is_its_last_bytes_or_all_of_a_smaller_one)
{
    EVERY_BACKEND(tails)
}

static void once(struct bench *b)
{
    CHECK(put(b, "n/1", "first") == 0);
    CHECK(put(b, "n/1", "second") == ERR_CONFLICT);
    CHECK(put(b, "n/1", "first") == ERR_CONFLICT);
    CHECK(holds(b, "n/1", "first"));
    CHECK(take_away(b, "n/1") == 0);
    CHECK(put(b, "n/1", "second") == 0);
    CHECK(holds(b, "n/1", "second"));
}

TEST(a_name_is_put_once)
{
    EVERY_BACKEND(once)
}

static void removal(struct bench *b)
{
    struct buf *out = NULL;
    CHECK(put(b, "d/a", "1") == 0);
    CHECK(put(b, "d/b", "2") == 0);
    CHECK(take_away(b, "d/a") == 0);
    CHECK(take_away(b, "d/a") == 0);
    CHECK(take_away(b, "never") == 0);
    CHECK(take_away(b, "never/was") == 0);
    CHECK(take_away(b, "d") == 0);
    CHECK(get(b, "d/a", 0, 1, &out) == ERR_NOT_FOUND);
    CHECK(holds(b, "d/b", "2"));
}

TEST(removing_takes_one_away_and_what_is_not_there_is_no_error)
{
    EVERY_BACKEND(removal)
}

static void ordered(struct bench *b)
{
    static const char *const names[] = {"b",     "a/x",   "a-b", "a0", "a.c",
                                        "a/b/c", "a/b.d", "c/z", "ab"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(put(b, names[i], "") == 0);

    const char *all = "a-b a.c a/b.d a/b/c a/x a0 ab b c/z ";
    CHECK(strcmp(list(b, "", "", 1000), all) == 0);
    CHECK(strcmp(list(b, "", "", 1), all) == 0);
    CHECK(strcmp(list(b, "", "", 2), all) == 0);
    CHECK(strcmp(list(b, "a/", "", 1), "a/b.d a/b/c a/x ") == 0);
    CHECK(strcmp(list(b, "a/b", "a/b.d", 5), "a/b/c ") == 0);
    CHECK(strcmp(list(b, "a", "a/x", 5), "a0 ab ") == 0);
    CHECK(strcmp(list(b, "", "c", 5), "c/z ") == 0);
    CHECK(strcmp(list(b, "d", "", 5), "") == 0);
    CHECK(strcmp(list(b, "", "zzz", 5), "") == 0);
    CHECK(strcmp(list(b, "c/z", "", 5), "c/z ") == 0);
    CHECK(strcmp(list(b, "c/z", "c/z", 5), "") == 0);
}

TEST(a_list_is_in_order_however_it_is_cut_into_pages)
{
    EVERY_BACKEND(ordered)
}

static void bad_names(struct bench *b)
{
    static const char *const names[] = {"",     "/a",       "a/",    "a//b", ".", "..",
                                        "../a", "a/..",     "a/./b", ".tmp", "A", "a b",
                                        "a\n",  "\xc3\xa4", "a\\b",  "a%2f", "~", "a:b"};
    struct buf *out = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(put(b, names[i], "x") == ERR_INVALID);
        CHECK(get(b, names[i], 0, 1, &out) == ERR_INVALID);
        CHECK(take_away(b, names[i]) == ERR_INVALID);
    }
    CHECK(strcmp(list(b, "", "", 10), "") == 0);
}

TEST(a_bad_name_is_refused_by_every_call){EVERY_BACKEND(bad_names)}

TEST(a_name_has_at_most_200_bytes)
{
    char name[201];
    memset(name, 'a', sizeof name);
    CHECK(object_name_valid((struct str){name, 200}));
    CHECK(!object_name_valid((struct str){name, 201}));
    CHECK(!object_name_valid((struct str){"a\0b", 3}));
    CHECK(object_name_valid(STR("v1/20260101/07/0f/a_b-c.pack")));
    CHECK(object_name_valid(STR("a..b/c.")));
}

/* ---- the directory ---- */

static size_t left_in_tmp(const struct bench *b)
{
    size_t n = 0;
    for (int i = 1; i < 50; i++) {
        char name[32];
        snprintf(name, sizeof name, ".tmp/%d", i);
        n += scratch_exists(scratch_at(&b->dir, name));
    }
    return n;
}

TEST(a_failed_put_is_not_there_and_can_be_repeated)
{
    static const enum bad_call calls[] = {BAD_OPEN, BAD_PWRITEV, BAD_MKDIR, BAD_LINK};
    static const int errors[] = {EIO, ENOSPC};
    for (size_t c = 0; c < 4; c++)
        for (size_t e = 0; e < 2; e++) {
            bool failed = true;
            for (int n = 1; failed; n++) {
                struct bench b;
                struct buf *out = NULL;
                begin(&b, DIR_BACKEND);

                bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                                       .call = calls[c],
                                                       .fails_at = n,
                                                       .sys = errors[e],
                                                       .short_io = 3};
                int r = put(&b, "x/y/z", "0123456789");
                failed = bad_disk_plan.failed;
                bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
                CHECK(failed ? r == ERR_IO || r == ERR_FULL : r == 0);
                if (failed && calls[c] != BAD_OPEN)
                    CHECK(r == (e ? ERR_FULL : ERR_IO));
                if (failed) {
                    CHECK(get(&b, "x/y/z", 0, 1, &out) == ERR_NOT_FOUND);
                    CHECK(put(&b, "x/y/z", "0123456789") == 0);
                } else {
                    CHECK(n > 1);
                }
                CHECK(holds(&b, "x/y/z", "0123456789"));
                CHECK(left_in_tmp(&b) == 0);
                end(&b);
            }
        }
}

TEST(a_failed_read_is_an_error_and_no_bytes)
{
    struct bench b;
    struct buf *out = NULL;
    begin(&b, DIR_BACKEND);
    CHECK(put(&b, "a", "0123456789") == 0);

    static const enum bad_call calls[] = {BAD_OPEN, BAD_PREAD, BAD_FSTAT};
    for (size_t c = 0; c < 3; c++) {
        bad_disk_plan = (struct bad_disk_plan){.call = calls[c], .fails_at = 1};
        CHECK(get(&b, "a", 0, 10, &out) == ERR_IO);
        CHECK(!out);
    }
    bad_disk_plan = (struct bad_disk_plan){.short_io = 1, .interrupted = true};
    CHECK(holds(&b, "a", "0123456789"));
    end(&b);
}

TEST(what_a_crash_left_half_written_is_removed_at_the_next_open)
{
    struct bench b;
    begin(&b, DIR_BACKEND);
    CHECK(put(&b, "a", "1") == 0);
    b.objects->ops->close(b.objects);
    scratch_write(scratch_at(&b.dir, ".tmp/7"), "half", 4);

    open_objects(&b, DIR_BACKEND);
    CHECK(left_in_tmp(&b) == 0);
    CHECK(holds(&b, "a", "1"));
    CHECK(strcmp(list(&b, "", "", 10), "a ") == 0);
    end(&b);
}

TEST(an_object_is_synced_before_it_has_its_name_and_its_name_before_it_is_done)
{
    struct bench b;
    begin(&b, DIR_BACKEND);

    CHECK(put(&b, "a", "1") == 0);
    CHECK(bad_disk_plan.calls[BAD_FSYNC] == 2);
    CHECK(put(&b, "d/e/a", "1") == 0);
    CHECK(bad_disk_plan.calls[BAD_FSYNC] == 2 + 2 + 2);
    end(&b);
}

/* A child puts while the n-th sync fails: 70 is what fatal() exits with. */
static int exit_status_of_sync_failing(int at)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct bench b;
        dup2(open("/dev/null", O_WRONLY), 2);
        begin(&b, DIR_BACKEND);
        bad_disk_plan = (struct bad_disk_plan){.call = BAD_FSYNC, .fails_at = at};
        int r = put(&b, "d/a", "1");
        end(&b);
        _exit(r ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_failed_sync_of_an_object_ends_the_process)
{
    for (int at = 1; at <= 3; at++)
        CHECK(exit_status_of_sync_failing(at) == 70);
    CHECK(exit_status_of_sync_failing(4) == 0);
}

TEST(an_object_cannot_lie_below_another)
{
    struct bench b;
    begin(&b, DIR_BACKEND);
    CHECK(put(&b, "a", "1") == 0);
    CHECK(put(&b, "b/c", "1") == 0);

    CHECK(put(&b, "a/b", "2") == ERR_CONFLICT);
    CHECK(put(&b, "a/b/c", "2") == ERR_CONFLICT);
    CHECK(put(&b, "b", "2") == ERR_CONFLICT);
    CHECK(holds(&b, "a", "1"));
    end(&b);
}

/* ---- the bucket ---- */

static void fill(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
}

/* Over 32 MiB is put in parts, whatever the pieces that it comes in. */
static void large(struct bench *b)
{
    size_t size = 41 * 1048576 + 17, at = 0, count = 0;
    char *bytes = malloc(size);
    struct iovec parts[64];
    fill(bytes, size);
    for (; at < size; at += parts[count++].iov_len) {
        size_t n = count * 131072 + 1;
        parts[count] = (struct iovec){bytes + at, n < size - at ? n : size - at};
    }

    CHECK(put_parts(b, STR("large"), parts, count) == 0);
    CHECK(put_parts(b, STR("large"), parts, count) == ERR_CONFLICT);
    struct buf *out = NULL;
    CHECK(get(b, "large", 0, size, &out) == 0);
    CHECK(out && out->len == size && memcmp(out->at, bytes, size) == 0);
    buf_unref(out);
    CHECK(get(b, "large", 0, size + 1, &out) == ERR_CORRUPT);
    free(bytes);
}

/* 'X' is no letter of our names, so these are the names of somebody else. */
static void foreign(struct bench *b)
{
    struct bench other = {.loop = b->loop};
    snprintf(other.prefix, sizeof other.prefix, "%sX/", b->prefix);
    b->objects->ops->close(b->objects);
    open_objects(&other, S3_BACKEND);
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(put(&other, names[i], "") == 0);
    CHECK(strcmp(list(&other, "", "", 2), "a b c d e ") == 0);
    other.objects->ops->close(other.objects);
    open_objects(b, S3_BACKEND);

    CHECK(put(b, "m", "") == 0);
    CHECK(put(b, "n", "") == 0);
    CHECK(strcmp(list(b, "", "", 1), "large m n ") == 0);
    CHECK(strcmp(list(b, "", "", 2), "large m n ") == 0);
    CHECK(strcmp(list(b, "", "", 1000), "large m n ") == 0);
}

static void wrong_settings(void)
{
    struct object_s3_config config = {.bucket = "there-is-no-such-bucket",
                                      .endpoint = s3_endpoint(),
                                      .path_style = true,
                                      .access_key = "rundletkey",
                                      .secret_key = "not-the-secret",
                                      .deadline_ms = 8000,
                                      .connections = 1};
    struct objects *objects = NULL;
    struct err err = {0};
    CHECK(object_s3_open(&config, &objects, &err) == ERR_DENIED);
    CHECK(strstr(err.text, "secret key") && !strstr(err.text, config.secret_key));

    config.secret_key = "rundletsecret";
    CHECK(object_s3_open(&config, &objects, &err) == ERR_NOT_FOUND);
    CHECK(strstr(err.text, "create it"));
    CHECK(!objects);
}

TEST(a_bucket_takes_large_objects_skips_foreign_names_and_says_what_is_wrong)
{
    if (!s3_endpoint()) {
        test_skip("TEST_S3 is not set");
        return;
    }
    struct bench b;
    begin(&b, S3_BACKEND);
    large(&b);
    foreign(&b);
    end(&b);
    wrong_settings();
}
