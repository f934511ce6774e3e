/* direct_test.c - large groups go past the page cache, and nobody can tell.
 *
 * Where the scratch directory's file system has no direct writes the same
 * bytes take the other way, and the same must be true.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/make_record.h"
#include "lib/scratch.h"
#include "store/segment.h"
#include "store/store.h"

enum { RECORDS = 9, TARGET = 64 << 20 };

/* Small and large by turns, at block boundaries and around them, and one that
 * takes several pieces. */
static const size_t sizes[RECORDS] = {300,
                                      SEGMENT_DIRECT_MIN,
                                      10,
                                      SEGMENT_DIRECT_MIN + 4000,
                                      1 << 20,
                                      7,
                                      SEGMENT_DIRECT * 2 + 77,
                                      SEGMENT_DIRECT_MIN,
                                      5};

struct desk {
    struct scratch dir;
    int dir_fd;
    struct segment segment;
    struct made_record *made[RECORDS];
    uint64_t at[RECORDS + 1];
};

static void begin(struct desk *d)
{
    struct err err = {0};
    *d = (struct desk){.dir = scratch_new()};
    bad_disk_plan = (struct bad_disk_plan){0};
    d->dir_fd = open(d->dir.path, O_RDONLY | O_DIRECTORY);
    CHECK(segment_create(&bad_disk, scratch_str(&d->dir), d->dir_fd, 1, 0, &d->segment, &err) == 0);
    segment_direct(&d->segment, scratch_str(&d->dir));
    for (size_t i = 0; i < RECORDS; i++) {
        char *name = malloc(sizes[i] + 1);
        memset(name, 'a' + (int)i, sizes[i]);
        name[sizes[i]] = '\0';
        struct make_run run = {.id = make_id(i), .trace = make_id(i), .name = name, .number = i};
        d->made[i] = make_record(&run, 1);
        free(name);
    }
}

static int append(struct desk *d, size_t i, struct err *err)
{
    struct segment_mark mark;
    struct store_record item = {.record = &d->made[i]->record,
                                .first = {1, (uint32_t)d->segment.ordinal},
                                .sequence = d->segment.sequence + 1};
    d->at[i] = d->segment.end;
    int r = segment_append(&d->segment, &item, 1, TARGET, 0, &mark, err);
    d->at[i + 1] = d->segment.end;
    return r;
}

static void end(struct desk *d)
{
    segment_stop(&d->segment);
    close(d->segment.file.fd);
    close(d->dir_fd);
    for (size_t i = 0; i < RECORDS; i++)
        made_free(d->made[i]);
    scratch_remove(&d->dir);
    bad_disk_plan = (struct bad_disk_plan){0};
}

/* Recover from the file alone: the first `count` records, byte for byte. */
static void check_found(struct desk *d, size_t count)
{
    struct segment found;
    struct segment_marks marks = {0};
    struct err err = {0};
    CHECK(segment_recover(&d->segment.file, false, 0, &found, &marks, &err) == 0);
    CHECK(marks.count == count && found.end == d->at[count]);
    for (size_t i = 0; i < count; i++) {
        const struct record *want = &d->made[i]->record;
        size_t got = 0, skip = SEGMENT_RECORD + want->table.len;
        char *body = malloc(want->body.len);
        CHECK(disk_read(&disk_real, d->segment.file.fd, body, want->body.len, d->at[i] + skip, &got,
                        &err) == 0);
        CHECK(got == want->body.len && memcmp(body, want->body.at, got) == 0);
        free(body);
    }
    free(marks.mark);
}

TEST(small_and_large_groups_follow_each_other_whole)
{
    struct desk d;
    struct err err = {0};
    begin(&d);
    for (size_t i = 0; i < RECORDS; i++) {
        CHECK(append(&d, i, &err) == 0);
        check_found(&d, i + 1);
    }
    CHECK(segment_finish(&d.segment, &err) == 0);
    check_found(&d, RECORDS);
    end(&d);
}

TEST(short_and_interrupted_direct_writes_are_carried_on_or_given_up)
{
    static const size_t shorts[] = {SEGMENT_BLOCK, 3 * SEGMENT_BLOCK + 100, 1000};
    for (size_t k = 0; k < 3; k++) {
        struct desk d;
        struct err err = {0};
        begin(&d);
        bad_disk_plan.short_io = shorts[k];
        bad_disk_plan.interrupted = true;
        for (size_t i = 0; i < 5; i++)
            CHECK(append(&d, i, &err) == 0);
        bad_disk_plan = (struct bad_disk_plan){0};
        check_found(&d, 5);
        end(&d);
    }
}

/* Whichever write fails, there is the other way; when that fails too, nothing
 * has happened. */
TEST(a_failed_direct_write_takes_the_other_way)
{
    for (int always = 0; always < 2; always++) {
        struct desk d;
        struct err err = {0};
        begin(&d);
        CHECK(append(&d, 0, &err) == 0);
        bad_disk_plan = (struct bad_disk_plan){
            .call = BAD_PWRITEV, .fails_at = 1, .and_then_always = always, .sys = EINVAL};
        CHECK((append(&d, 1, &err) == 0) == !always || d.segment.direct_fd < 0);
        bad_disk_plan = (struct bad_disk_plan){0};
        if (always) {
            CHECK(d.segment.end == d.at[0 + 1]);
            CHECK(append(&d, 1, &err) == 0);
        }
        check_found(&d, 2);
        end(&d);
    }
}
