/* backup_test.c - a copy is sound at every moment, whatever fails on the way. */
#include "store/backup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_record.h"
#include "lib/scratch.h"
#include "store/containers.h"
#include "store/seal.h"
#include "store/store.h"

enum { SMALL = 4096 /* bytes of a segment */ };

/* A data directory that is written. */
struct desk {
    char dir[SCRATCH_PATH], segments[SCRATCH_PATH + 16], packs[SCRATCH_PATH + 16];
    struct loop *loop;
    struct store *store;
    uint64_t next; /* number of the next run */
};

static struct scratch root;
static uint64_t told; /* how often damage was told */

static void damaged(void *context, struct str file, uint64_t offset, const char *why)
{
    (void)context;
    (void)file;
    (void)offset;
    CHECK(why[0] != '\0');
    told++;
}

static void name_desk(struct desk *d, const char *name)
{
    *d = (struct desk){0};
    snprintf(d->dir, sizeof d->dir, "%s", scratch_at(&root, name));
    snprintf(d->segments, sizeof d->segments, "%s/segments", d->dir);
    snprintf(d->packs, sizeof d->packs, "%s/packs", d->dir);
    CHECK(mkdir(d->dir, 0700) == 0);
}

static void open_desk(struct desk *d, const char *name, uint64_t next)
{
    struct err err = {0};
    name_desk(d, name);
    CHECK(mkdir(d->segments, 0700) == 0 && mkdir(d->packs, 0700) == 0);
    d->next = next;
    d->loop = hand_loop_open();
    const struct store_log_config config = {
        .dir = {d->segments, strlen(d->segments)},
        .packs = {d->packs, strlen(d->packs)},
        .disk = &bad_disk,
        .segment_size = SMALL,
    };
    if (store_log_open(&config, &d->store, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void close_desk(struct desk *d)
{
    store_close(d->store);
    d->store = NULL;
    if (d->loop)
        hand_loop_close(d->loop);
    d->loop = NULL;
}

struct waited {
    struct store_append append;
    bool done;
};

static void appended(struct op *op)
{
    op_owner(op, struct waited, append.op)->done = true;
}

/* `count` batches, about two of which fit into a segment. */
static void put(struct desk *d, int count)
{
    char name[1500];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < count; i++) {
        struct make_run spec = {.name = name, .start_us = 5, .number = ++d->next};
        spec.id = spec.trace = make_id(d->next);
        struct made_record *made = make_record(&spec, 1);
        made->record.received_us = (int64_t)d->next;
        struct store_record record = {.record = &made->record};
        struct err err = {0};
        CHECK(store_reserve(d->store, &record, 1, &err) == 0);
        struct waited w = {
            .append = {.op = {.loop = d->loop, .done = appended}, .records = &record, .count = 1}};
        store_append(d->store, &w.append);
        CHECK(hand_loop_until(d->loop, &w.done));
        CHECK(w.append.op.err.code == ERR_OK);
        made_free(made);
    }
}

/* The next segment becomes a pack, and its file goes. */
static void seal(struct desk *d)
{
    struct store_sealed sealed;
    struct err err = {0};
    CHECK(store_seal(d->store, NULL, NULL, &sealed, &err) == 0);
    CHECK(store_drop_left(d->store, &err) == 0);
}

static struct backup plan(const struct desk *from, const struct desk *to)
{
    told = 0;
    return (struct backup){
        .disk = &bad_disk,
        .from = {from->dir, strlen(from->dir)},
        .to = {to->dir, strlen(to->dir)},
        .damaged = damaged,
    };
}

static const char *file_of(const struct desk *d, uint64_t number, bool pack)
{
    static char path[SCRATCH_PATH + 64];
    char name[CONTAINER_NAME];
    struct str file = container_name(number, pack, name);
    snprintf(path, sizeof path, "%s/%.*s", pack ? d->packs : d->segments, STR_FMT(file));
    return path;
}

static void list(const struct desk *d, struct containers *result)
{
    struct err err = {0};
    *result = (struct containers){0};
    if (!scratch_exists(d->segments))
        return;
    CHECK(containers_list((struct str){d->segments, strlen(d->segments)},
                          (struct str){d->packs, strlen(d->packs)}, result, &err) == 0);
}

static bool same_file(const struct desk *a, const struct desk *b, uint64_t number, bool pack)
{
    size_t x, y;
    char *left = scratch_read(file_of(a, number, pack), &x);
    char *right = scratch_read(file_of(b, number, pack), &y);
    bool same = x == y && memcmp(left, right, x) == 0;
    free(left);
    free(right);
    return same;
}

/* Is every container of `to` one of `from`, or what that was before it was
 * sealed?  And how many are the first ones? */
static size_t check_prefix(const struct desk *from, const struct desk *to, bool gaps)
{
    struct containers source, copy;
    list(from, &source);
    list(to, &copy);
    size_t count = copy.count;
    CHECK(copy.count <= source.count);
    for (size_t i = 0; i < copy.count; i++) {
        const struct container *c = &copy.at[i];
        const struct container *s = containers_find(&source, c->number);
        CHECK(s != NULL);
        CHECK(gaps || c->number == source.at[i].number);
        if (s && c->pack)
            CHECK(s->pack && same_file(from, to, c->number, true));
        else if (s && s->segment)
            CHECK(same_file(from, to, c->number, false));
    }
    containers_free(&source);
    containers_free(&copy);
    return count;
}

static void check_equal(const struct desk *from, const struct desk *to)
{
    struct containers source, copy;
    list(from, &source);
    list(to, &copy);
    CHECK(source.count == copy.count);
    for (size_t i = 0; i < source.count && i < copy.count; i++)
        CHECK(source.at[i].number == copy.at[i].number && source.at[i].pack == copy.at[i].pack &&
              source.at[i].segment == copy.at[i].segment);
    containers_free(&source);
    containers_free(&copy);
    (void)check_prefix(from, to, false);
}

static bool has_tmp(const struct desk *d, uint64_t most)
{
    char path[PATH_MAX];
    for (uint64_t n = 0; n <= most; n++)
        if (seal_tmp_path((struct str){d->packs, strlen(d->packs)}, n, path, NULL) == 0 &&
            scratch_exists(path))
            return true;
    return false;
}

static void begin(void)
{
    root = scratch_new();
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
}

static void end(void)
{
    scratch_remove(&root);
    bad_disk_plan = (struct bad_disk_plan){0};
}

/* Five containers: packs 1 and 2, segments 3 to 5. */
static void fill(struct desk *d)
{
    open_desk(d, "from", 0);
    put(d, 9);
    seal(d);
    seal(d);
    close_desk(d);
}

TEST(a_copy_has_what_its_source_has)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);

    CHECK(backup_make(&backup, &err) == 0);
    CHECK(told == 0 && backup.damage == 0);
    CHECK(backup.of == 5 && backup.copied == 5 && backup.kept == 0);
    CHECK(backup.last_sequence == 9);
    CHECK(backup.bytes > 0);
    check_equal(&from, &to);
    end();
}

TEST(what_is_there_is_not_copied_again)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);
    CHECK(backup_make(&backup, &err) == 0);

    bad_disk_plan.calls[BAD_PWRITEV] = bad_disk_plan.calls[BAD_RENAME] = 0;
    backup = plan(&from, &to);
    CHECK(backup_make(&backup, &err) == 0);
    CHECK(backup.copied == 0 && backup.kept == 5 && backup.bytes == 0);
    CHECK(backup.last_sequence == 9);
    CHECK(bad_disk_plan.calls[BAD_PWRITEV] == 0 && bad_disk_plan.calls[BAD_RENAME] == 0);
    check_equal(&from, &to);
    end();
}

/* What is not on disk yet: bytes that were written, a name that was given. */
static bool bytes_pending, name_pending;

static ssize_t watch_pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    bytes_pending = true;
    return disk_real.pwritev(fd, iov, count, at);
}

static int watch_fsync(int fd)
{
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    if (S_ISDIR(st.st_mode))
        name_pending = false;
    else
        bytes_pending = false;
    return 0;
}

static int watch_rename(const char *from, const char *to)
{
    CHECK(!bytes_pending && !name_pending);
    name_pending = true;
    return disk_real.rename(from, to);
}

static int watch_unlink(const char *path)
{
    CHECK(!bytes_pending && !name_pending);
    return disk_real.unlink(path);
}

TEST(a_file_is_on_disk_before_it_has_its_name_and_that_before_another_goes)
{
    struct desk from, to;
    struct err err = {0};
    struct disk watch = disk_real;
    watch.pwritev = watch_pwritev;
    watch.fsync = watch_fsync;
    watch.rename = watch_rename;
    watch.unlink = watch_unlink;
    begin();
    open_desk(&from, "from", 0);
    put(&from, 9);
    name_desk(&to, "to");
    bytes_pending = name_pending = false;
    for (int i = 0; i < 3; i++) {
        struct backup backup = plan(&from, &to);
        backup.disk = &watch;
        CHECK(backup_make(&backup, &err) == 0);
        CHECK(told == 0 && !bytes_pending && !name_pending);
        CHECK(scratch_exists(file_of(&to, 1, false)) == (i == 0));
        seal(&from);
    }
    close_desk(&from);
    end();
}

TEST(short_and_interrupted_calls_are_carried_on)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    bad_disk_plan.short_io = 700;
    struct backup backup = plan(&from, &to);
    CHECK(backup_make(&backup, &err) == 0);
    CHECK(told == 0);
    bad_disk_plan.short_io = 0;
    check_equal(&from, &to);
    end();
}

/* What is there after a failure is sound, and the next one brings the rest. */
static void check_after(const struct desk *from, const struct desk *to, int r,
                        const struct backup *backup, enum bad_call call)
{
    bool gaps = backup->damage > 0; /* what could not be read was passed over */
    size_t there = check_prefix(from, to, gaps);
    CHECK(r || gaps || there == 5);
    CHECK(!has_tmp(to, 8) || call == BAD_UNLINK);

    struct err err = {0};
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    struct backup again = plan(from, to);
    CHECK(backup_make(&again, &err) == 0);
    CHECK(told == 0 && again.copied + again.kept == 5 && again.last_sequence == 9);
    CHECK(!has_tmp(to, 8));
    check_equal(from, to);
}

static const enum bad_call all_calls[] = {BAD_OPEN,  BAD_PREAD,  BAD_PWRITEV, BAD_FSYNC,
                                          BAD_FSTAT, BAD_RENAME, BAD_UNLINK,  BAD_MKDIR};

/* A directory for the n-th failure of one call. */
static void name_try(struct desk *to, enum bad_call call, int n)
{
    char name[32];
    snprintf(name, sizeof name, "to-%d-%d", (int)call, n);
    name_desk(to, name);
}

/* From here on: the n-th fails. */
static void fail(enum bad_call call, int n)
{
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true, .call = call, .fails_at = n};
}

/* Fail the n-th of each, to an empty directory. */
TEST(whichever_call_fails_the_copy_is_sound)
{
    struct desk from, to;
    begin();
    fill(&from);
    for (size_t c = 0; c < sizeof all_calls / sizeof *all_calls; c++) {
        bool failed = true;
        int n = 0;
        while (failed && ++n < 1000) {
            struct err err = {0};
            name_try(&to, all_calls[c], n);
            struct backup backup = plan(&from, &to);
            fail(all_calls[c], n);
            int r = backup_make(&backup, &err);
            failed = bad_disk_plan.failed;
            /* Only whether one is missing may be left unsaid: what is copied is all there. */
            bool silent = !r && told == 0 && failed;
            CHECK(!silent || all_calls[c] == BAD_OPEN || all_calls[c] == BAD_PREAD ||
                  all_calls[c] == BAD_FSTAT);
            if (silent)
                check_equal(&from, &to);
            CHECK(!r || err.text[0] != '\0');
            CHECK(r == 0 || r == ERR_IO);
            check_after(&from, &to, r, &backup, all_calls[c]);
        }
        CHECK(!failed);
        CHECK(n > 1 || all_calls[c] == BAD_UNLINK); /* all but that are called */
    }
    end();
}

/* Likewise, to one that has segments which are packs by now. */
TEST(whichever_call_fails_the_second_copy_is_sound)
{
    struct desk from, before, to;
    struct err err = {0};
    begin();
    open_desk(&from, "from", 0);
    put(&from, 5);
    seal(&from);
    name_desk(&before, "before");
    struct backup backup = plan(&from, &before);
    CHECK(backup_make(&backup, &err) == 0 && backup.copied == 3);
    put(&from, 4);
    seal(&from);
    close_desk(&from);
    for (size_t c = 0; c < sizeof all_calls / sizeof *all_calls; c++) {
        bool failed = true;
        int n = 0;
        while (failed && ++n < 1000) {
            name_try(&to, all_calls[c], n);
            backup = plan(&before, &to);
            CHECK(backup_make(&backup, &err) == 0);

            backup = plan(&from, &to);
            fail(all_calls[c], n);
            (void)backup_make(&backup, &err);
            failed = bad_disk_plan.failed;
            struct containers copy;
            list(&to, &copy);
            CHECK(copy.count >= 3); /* nothing is lost */
            containers_free(&copy);
            bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
            backup = plan(&from, &to);
            CHECK(backup_make(&backup, &err) == 0);
            CHECK(told == 0 && backup.last_sequence == 9);
            check_equal(&from, &to);
            CHECK(!has_tmp(&to, 8));
        }
        CHECK(!failed && n > 1);
    }
    end();
}

TEST(a_full_disk_says_so)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);
    fail(BAD_PWRITEV, 3);
    bad_disk_plan.and_then_always = true;
    bad_disk_plan.sys = ENOSPC;

    CHECK(backup_make(&backup, &err) == ERR_FULL);
    CHECK(err.code == ERR_FULL && strstr(err.text, "No space") != NULL);
    CHECK(told == 0);
    CHECK(check_prefix(&from, &to, false) == 2);
    check_after(&from, &to, ERR_FULL, &backup, BAD_PWRITEV);
    end();
}

TEST(what_a_killed_one_left_is_removed)
{
    struct desk from, to;
    struct err err = {0};
    char tmp[PATH_MAX];
    begin();
    fill(&from);
    name_desk(&to, "to");
    CHECK(mkdir(to.packs, 0700) == 0);
    CHECK(seal_tmp_path((struct str){to.packs, strlen(to.packs)}, 7, tmp, &err) == 0);
    scratch_write(tmp, "half", 4);
    struct backup backup = plan(&from, &to);

    CHECK(backup_make(&backup, &err) == 0);
    CHECK(!scratch_exists(tmp));
    check_equal(&from, &to);
    end();
}

/* Just before the segment of container 2 is opened, it becomes a pack; so do
 * the others. */
static struct desk *sealing;

static int seal_and_open(const char *path, int flags, mode_t mode)
{
    struct store_sealed sealed;
    struct desk *d = sealing;
    if (d && strcmp(path, file_of(d, 2, false)) == 0) {
        sealing = NULL;
        while (store_seal(d->store, NULL, NULL, &sealed, NULL) == 0)
            CHECK(store_drop_left(d->store, NULL) == 0);
    }
    return disk_real.open(path, flags, mode);
}

TEST(a_segment_that_vanishes_has_become_a_pack)
{
    struct desk from, to;
    struct err err = {0};
    struct disk disk = disk_real;
    disk.open = seal_and_open;
    begin();
    open_desk(&from, "from", 0);
    put(&from, 9);
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);
    backup.disk = &disk;
    sealing = &from;

    CHECK(backup_make(&backup, &err) == 0);
    close_desk(&from);
    CHECK(sealing == NULL);
    CHECK(told == 0 && backup.copied == 5 && backup.last_sequence == 9);
    struct containers copy;
    list(&to, &copy);
    CHECK(copy.count == 5);
    for (size_t i = 0; i < copy.count; i++)
        CHECK(copy.at[i].pack == (i > 0 && i < 4)); /* the last one is written */
    containers_free(&copy);
    end();
}

TEST(records_behind_the_last_whole_one_are_not_copied)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    size_t size;
    const char *path = file_of(&from, 5, false);
    char *bytes = scratch_read(path, &size);
    char *torn = calloc(1, size + 10000);
    memcpy(torn, bytes, size);
    memcpy(torn + size, bytes + 64, 300); /* half of a record */
    scratch_write(path, torn, size + 10000);
    struct backup backup = plan(&from, &to);

    CHECK(backup_make(&backup, &err) == 0);
    CHECK(told == 0);
    size_t copied;
    char *copy = scratch_read(file_of(&to, 5, false), &copied);
    CHECK(copied == size && memcmp(copy, bytes, size) == 0);
    free(copy);
    free(torn);
    free(bytes);
    end();
}

TEST(another_directorys_copy_is_refused_and_not_changed)
{
    struct desk from, other, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);
    CHECK(backup_make(&backup, &err) == 0);
    open_desk(&other, "other", 1000);

    /* It has none of these; then they are other segments; then other packs, or
     * one is a pack and the other is not. */
    for (int i = 0; i < 4; i++) {
        backup = plan(&other, &to);
        CHECK(backup_make(&backup, &err) == ERR_CONFLICT);
        CHECK(strstr(err.text, "another data directory") != NULL);
        CHECK(backup.copied == 0);
        check_equal(&from, &to);
        if (i == 0)
            put(&other, 9);
        else if (i < 3)
            seal(&other);
    }
    close_desk(&other);
    end();
}

static void flip(const char *path, long at)
{
    size_t size;
    char *bytes = scratch_read(path, &size);
    bytes[at < 0 ? (long)size + at : at] ^= 0x20;
    scratch_write(path, bytes, size);
    free(bytes);
}

/* Wherever it is: told, and not to the place of what is good. */
TEST(damage_never_takes_the_place_of_what_is_good)
{
    static const struct {
        uint64_t number;
        bool pack;
        long at;
    } places[] = {{1, true, 20},  {1, true, 140}, {2, true, -100}, {2, true, -150},
                  {3, false, 30}, {3, false, 70}, {3, false, 400}, {4, false, -40}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct desk from, to, empty;
        struct err err = {0};
        begin();
        fill(&from);
        name_desk(&to, "to");
        name_desk(&empty, "empty");
        struct backup backup = plan(&from, &to);
        CHECK(backup_make(&backup, &err) == 0);
        size_t size;
        char *good = scratch_read(file_of(&to, places[i].number, places[i].pack), &size);
        flip(file_of(&from, places[i].number, places[i].pack), places[i].at);

        backup = plan(&from, &to);
        CHECK(backup_make(&backup, &err) == 0);
        /* Of a pack that is there only the ends are looked at. */
        bool unseen = places[i].at == 140 || places[i].at == -150;
        CHECK(told == (unseen ? 0u : 1u));
        CHECK(backup.kept == 5 && backup.copied == 0);
        size_t after;
        char *now = scratch_read(file_of(&to, places[i].number, places[i].pack), &after);
        CHECK(after == size && memcmp(now, good, size) == 0);

        /* Where nothing is, it is told, and copied if anything can be had of it. */
        backup = plan(&from, &empty);
        CHECK(backup_make(&backup, &err) == 0);
        CHECK(told == 1);
        CHECK(backup.copied ==
              (places[i].at == 30 ? 4u : 5u)); /* of a segment without a head, nothing */
        (void)check_prefix(&from, &empty, true);
        CHECK(!has_tmp(&empty, 8) && !has_tmp(&to, 8));
        free(good);
        free(now);
        end();
    }
}

TEST(a_copy_that_has_more_keeps_it)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    fill(&from);
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);
    CHECK(backup_make(&backup, &err) == 0);
    CHECK(truncate(file_of(&from, 5, false), 64) == 0); /* its only record is lost */
    size_t size, after;
    char *good = scratch_read(file_of(&to, 5, false), &size);

    CHECK(truncate(file_of(&from, 4, false), 64 + 1700) == 0);
    backup = plan(&from, &to);
    CHECK(backup_make(&backup, &err) == 0);
    CHECK(told >= 1);
    char *now = scratch_read(file_of(&to, 5, false), &after);
    CHECK(after == size && memcmp(now, good, size) == 0);
    free(good);
    free(now);
    end();
}

TEST(what_is_no_data_directory_is_not_copied)
{
    struct desk from, to;
    struct err err = {0};
    begin();
    name_desk(&from, "from");
    name_desk(&to, "to");
    struct backup backup = plan(&from, &to);

    CHECK(backup_make(&backup, &err) == ERR_NOT_FOUND);
    CHECK(!scratch_exists(to.segments) && !scratch_exists(to.packs));
    end();
}
