/* segment_test.c - what a segment keeps when calls fail, power goes, or bits flip.
 *
 * The sample is a segment of three groups: records 0 and 1; record 2; records
 * 3, 4 and 5.  After any accident, what is found must be the first so many
 * records of it, byte for byte, or a refusal that changes nothing.
 */
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/make_record.h"
#include "lib/scratch.h"
#include "store/store.h"

enum { RECORDS = 6, TARGET = 8192 };

static const char name[] = "0000000000000001.seg";
static const char long_name[] = "a name that fills a sector or two: "
                                "................................................................"
                                "................................................................"
                                "................................................................";

struct sample {
    struct scratch dir;
    int dir_fd;
    struct made_record *made[RECORDS];
    struct store_record item[RECORDS];
    uint64_t at[RECORDS + 1]; /* where each begins; the end */
    uint64_t group_at[RECORDS];
    struct segment segment;
};

static int append(struct sample *s, size_t from, size_t to, struct err *err)
{
    struct segment_mark marks[RECORDS];
    return segment_append(&s->segment, s->item + from, to - from, TARGET, 0, marks, err);
}

static void begin(struct sample *s)
{
    *s = (struct sample){.dir = scratch_new()};
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    s->dir_fd = open(s->dir.path, O_RDONLY | O_DIRECTORY);
    uint64_t n = 0, at = SEGMENT_HEAD, ordinal = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        struct make_run runs[2] = {0};
        size_t count = i == 0 || i == 4 ? 2 : 1;
        for (size_t k = 0; k < count; k++)
            runs[k] = (struct make_run){.id = make_id(n + k),
                                        .trace = make_id(n + k),
                                        .name = i >= 3 ? long_name : "short",
                                        .start_us = (int64_t)(n + k),
                                        .number = n + k};
        n += count;
        s->made[i] = make_record(runs, count);
        s->item[i] = (struct store_record){
            .record = &s->made[i]->record, .first = {1, (uint32_t)ordinal}, .sequence = 10 + i * 2};
        s->at[i] = at;
        s->group_at[i] = i < 2 ? s->at[0] : i < 3 ? s->at[2] : s->at[3];
        at += segment_record_size(&s->made[i]->record);
        ordinal += count + (i == 1 ? 5 : 0); /* a hole: something was refused */
    }
    s->at[RECORDS] = at;
    struct err err = {0};
    CHECK(segment_create(&bad_disk, scratch_str(&s->dir), s->dir_fd, 1, 9, &s->segment, &err) == 0);
}

/* With the first `count` records in it. */
static void begin_with(struct sample *s, size_t count)
{
    struct err err = {0};
    begin(s);
    CHECK(count < 1 || append(s, 0, 2, &err) == 0);
    CHECK(count < 3 || append(s, 2, 3, &err) == 0);
    CHECK(count < 4 || append(s, 3, 6, &err) == 0);
    CHECK(count < RECORDS || s->segment.end == s->at[RECORDS]);
}

static void end(struct sample *s)
{
    if (s->segment.file.fd >= 0)
        close(s->segment.file.fd);
    close(s->dir_fd);
    for (size_t i = 0; i < RECORDS; i++)
        made_free(s->made[i]);
    scratch_remove(&s->dir);
    bad_disk_plan = (struct bad_disk_plan){0};
}

static void close_segment(struct sample *s)
{
    close(s->segment.file.fd);
    s->segment.file.fd = -1;
}

static const char *path_of(const struct sample *s)
{
    return scratch_at(&s->dir, name);
}

/* Does the record at `at` hold the runs of `want`? */
static bool same_runs(const struct segment_file *file, uint64_t at, const struct record *want)
{
    struct segment_record head;
    char bytes[SEGMENT_RECORD];
    size_t got = 0;
    bool newer, same = true;
    if (disk_read(file->disk, file->fd, bytes, sizeof bytes, at, &got, NULL) ||
        got < sizeof bytes || segment_parse(bytes, file->id, &head, &newer))
        return false;
    char *all = NULL;
    struct record record;
    if (segment_load(file, at, &head, &all, &record, NULL))
        return false;
    same = record.count == want->count && record.received_us == want->received_us;
    for (uint32_t i = 0; same && i < want->count; i++) {
        struct run a, b;
        same = record_run(&record, i, &a, NULL) == 0 && record_run(want, i, &b, NULL) == 0 &&
               str_eq(a.raw, b.raw) && uuid_compare(a.id, b.id) == 0;
    }
    free(all);
    return same;
}

/* Open and recover as at a start.  How many records were found, all as they
 * were written; -1 for ERR_CORRUPT; -2 for an incomplete file; -3 for anything
 * that must not be. */
static int found_of(struct sample *s, bool repair, uint64_t durable, struct err *err)
{
    struct segment_file file;
    bool incomplete = false;
    int r = segment_open(&bad_disk, scratch_str(&s->dir), 1, repair, &file, &incomplete, err);
    if (r || incomplete)
        return r == ERR_CORRUPT ? -1 : incomplete ? -2 : -3;

    struct segment_marks marks = {0};
    struct segment segment;
    int count = -3;
    r = segment_recover(&file, repair, durable, &segment, &marks, err);
    if (r) {
        count = r == ERR_CORRUPT ? -1 : -3;
    } else if (marks.count <= RECORDS && segment.end == s->at[marks.count]) {
        count = (int)marks.count;
        uint64_t sequence = count ? s->item[count - 1].sequence : 9;
        if (segment.sequence != sequence ||
            (repair && lseek(file.fd, 0, SEEK_END) != (off_t)segment.end))
            count = -3;
        for (int i = 0; i < count; i++)
            if (marks.mark[i].at * 8ull != s->at[i] ||
                marks.mark[i].first_ordinal != s->item[i].first.ordinal ||
                !same_runs(&file, s->at[i], &s->made[i]->record))
                count = -3;
    }
    free(marks.mark);
    close(file.fd);
    return count;
}

static int found(struct sample *s, bool repair, struct err *err)
{
    return found_of(s, repair, 0, err);
}

TEST(a_name_is_a_number_in_hex)
{
    uint64_t number = 0;
    char path[SEGMENT_PATH];

    CHECK(segment_path(STR("d"), 0xabc, path, NULL) == 0);
    CHECK(strcmp(path, "d/0000000000000abc.seg") == 0);
    CHECK(segment_named("0000000000000abc.seg", &number) && number == 0xabc);
    CHECK(segment_named("ffffffffffffffff.seg", &number) && number == UINT64_MAX);
    CHECK(!segment_named("0000000000000000.seg", &number));
    CHECK(!segment_named("0000000000000ABC.seg", &number));
    CHECK(!segment_named("000000000000abc.seg", &number));
    CHECK(!segment_named("0000000000000abc.tmp", &number));
    CHECK(!segment_named("0000000000000abc.seg~", &number));
    CHECK(!segment_named("", &number));
}

TEST(what_was_appended_is_found_again)
{
    for (int count = 0; count <= RECORDS; count += count == 2 ? 1 : count == 3 ? 3 : 2) {
        struct sample s;
        struct err err = {0};
        begin_with(&s, (size_t)count);

        CHECK(found(&s, true, &err) == count);
        CHECK(found(&s, true, &err) == count);
        end(&s);
    }
}

TEST(a_group_is_one_write_and_one_sync)
{
    struct sample s;
    struct err err = {0};
    begin(&s);

    CHECK(append(&s, 0, 2, &err) == 0);
    CHECK(bad_disk_plan.calls[BAD_PWRITEV] == 2); /* the first is the head's */
    CHECK(bad_disk_plan.calls[BAD_FDATASYNC] == 1);
    CHECK(bad_disk_plan.calls[BAD_FALLOCATE] == 1);
    CHECK(append(&s, 2, 3, &err) == 0);
    CHECK(bad_disk_plan.calls[BAD_FALLOCATE] == 1);
    CHECK(lseek(s.segment.file.fd, 0, SEEK_END) == TARGET);
    CHECK(segment_finish(&s.segment, &err) == 0);
    CHECK(lseek(s.segment.file.fd, 0, SEEK_END) == (off_t)s.at[3]);
    end(&s);
}

TEST(however_short_the_file_is_cut_a_prefix_of_its_records_is_found)
{
    struct sample s;
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);

    for (size_t len = 0; len <= s.at[RECORDS]; len++) {
        struct err err = {0};
        int whole = 0;
        while (whole < RECORDS && s.at[whole + 1] <= len)
            whole++;
        scratch_write(path_of(&s), bytes, len);
        CHECK(found(&s, false, &err) == (len < SEGMENT_HEAD ? -2 : whole));
        CHECK(found(&s, true, &err) == (len < SEGMENT_HEAD ? -2 : whole));
    }
    free(bytes);
    end(&s);
}

/* Bytes that no checksum covers, as nothing reads them: padding, and the comma
 * between two runs. */
static bool uncovered(const struct sample *s, size_t at)
{
    int i = 0;
    if (at < s->at[0])
        return false;
    while (s->at[i + 1] <= at)
        i++;
    const struct record *record = &s->made[i]->record;
    size_t body = at - s->at[i] - SEGMENT_RECORD - record->table.len;
    if (at < s->at[i] + SEGMENT_RECORD + record->table.len)
        return false;
    if (body >= record->body.len)
        return true;
    struct run run;
    for (uint32_t k = 0; k < record->count; k++)
        if (record_run(record, k, &run, NULL) == 0 && record->body.at + body >= run.raw.at &&
            record->body.at + body < run.raw.at + run.raw.len)
            return false;
    return true;
}

TEST(a_flipped_bit_is_a_shorter_log_or_a_refusal_and_never_wrong_bytes)
{
    struct sample s;
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    size = s.at[RECORDS];

    for (size_t bit = 0; bit < size * 8; bit++) {
        struct err err = {0};
        size_t at = bit / 8;
        bytes[at] ^= (char)(1 << bit % 8);
        scratch_write(path_of(&s), bytes, size);
        int want = -1; /* in the head, or a later group follows */
        if (uncovered(&s, at))
            want = RECORDS;
        else if (at >= s.at[3])
            want = at < s.at[4] ? 3 : at < s.at[5] ? 4 : 5;
        CHECK(found(&s, true, &err) == want);
        if (want == -1) {
            size_t left;
            char *after = scratch_read(path_of(&s), &left);
            CHECK(left == size && memcmp(after, bytes, size) == 0);
            CHECK(strstr(err.text, name) && strstr(err.text, " at "));
            free(after);
        }
        bytes[at] ^= (char)(1 << bit % 8);
    }
    free(bytes);
    end(&s);
}

/* What the index has had was durable once, also if nothing follows it. */
TEST(what_was_known_to_be_durable_is_never_cut)
{
    struct sample s;
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size, left;
    char *bytes = scratch_read(path_of(&s), &size);
    bytes[s.at[5] + SEGMENT_RECORD] ^= 1; /* in the table of the last record */
    scratch_write(path_of(&s), bytes, size);

    struct err err = {0};
    CHECK(found_of(&s, true, s.item[5].sequence, &err) == -1);
    CHECK(strstr(err.text, name) && strstr(err.text, "export"));
    char *after = scratch_read(path_of(&s), &left);
    CHECK(left == size && memcmp(after, bytes, size) == 0);
    CHECK(found_of(&s, true, s.item[4].sequence, &err) == 5);
    free(after);
    free(bytes);
    end(&s);
}

/* The last group reaches the disk in any subset of its sectors; the others hold
 * zeros, or what an earlier group that was cut off had written there. */
static void tear(struct sample *s, const char *bytes, const char *under, size_t size)
{
    size_t first = s->at[3] / 512, last = (size - 1) / 512;
    CHECK(last - first < 12);
    char *torn = malloc(size);
    for (unsigned subset = 0; subset < 1u << (last - first + 1); subset++) {
        memcpy(torn, under, size);
        memcpy(torn, bytes, s->at[3]);
        for (size_t k = first; k <= last; k++) {
            size_t from = k * 512 < s->at[3] ? s->at[3] : k * 512;
            size_t to = (k + 1) * 512 < size ? (k + 1) * 512 : size;
            if (subset >> (k - first) & 1)
                memcpy(torn + from, bytes + from, to - from);
        }
        int whole = 3;
        while (whole < RECORDS && memcmp(torn + s->at[whole], bytes + s->at[whole],
                                         s->at[whole + 1] - s->at[whole]) == 0)
            whole++;
        struct err err = {0};
        scratch_write(path_of(s), torn, size);
        CHECK(found(s, true, &err) == whole);
    }
    free(torn);
}

TEST(a_torn_group_is_cut_behind_its_last_whole_record)
{
    struct sample s;
    begin_with(&s, RECORDS);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    size = (s.at[RECORDS] + 511) / 512 * 512;
    char *zeros = calloc(1, size);

    tear(&s, bytes, zeros, size);
    free(zeros);
    free(bytes);
    end(&s);
}

TEST(what_a_cut_left_behind_is_not_taken_for_a_record)
{
    struct sample s;
    struct err err = {0};
    begin_with(&s, 3);
    size_t size;

    /* The same group with other sequences, written and cut off. */
    struct segment before = s.segment;
    for (size_t i = 3; i < RECORDS; i++)
        s.item[i].sequence -= 1;
    CHECK(append(&s, 3, 6, &err) == 0);
    char *stale = scratch_read(path_of(&s), &size);
    for (size_t i = 3; i < RECORDS; i++)
        s.item[i].sequence += 1;
    uint64_t allocated = s.segment.allocated;
    s.segment = before;
    s.segment.allocated = allocated;
    CHECK(append(&s, 3, 6, &err) == 0);
    char *bytes = scratch_read(path_of(&s), &size);

    size = (s.at[RECORDS] + 511) / 512 * 512;
    char *mixed = malloc(size);
    memcpy(mixed, bytes, s.at[4]);
    memcpy(mixed + s.at[4], stale + s.at[4], size - s.at[4]);
    scratch_write(path_of(&s), mixed, size);
    CHECK(found(&s, true, &err) == 4);
    free(mixed);
    free(stale);
    free(bytes);
    end(&s);
}

TEST(after_a_repair_appending_goes_on)
{
    struct sample s;
    struct err err = {0};
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    bytes[s.at[3] + 90] ^= 1;
    scratch_write(path_of(&s), bytes, size);

    struct segment_file file;
    struct segment_marks marks = {0};
    CHECK(segment_open(&bad_disk, scratch_str(&s.dir), 1, true, &file, NULL, &err) == 0);
    CHECK(segment_recover(&file, true, 0, &s.segment, &marks, &err) == 0);
    CHECK(marks.count == 3);
    CHECK(append(&s, 3, 6, &err) == 0);
    CHECK(found(&s, true, &err) == RECORDS);
    free(marks.mark);
    free(bytes);
    end(&s);
}

TEST(a_creation_cut_short_is_incomplete_and_a_damaged_head_is_damage)
{
    struct sample s;
    struct err err = {0};
    begin(&s);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    CHECK(size == SEGMENT_HEAD);

    char ahead[4096] = {0};
    for (size_t len = 0; len < SEGMENT_HEAD; len++) {
        memset(ahead, 0, sizeof ahead);
        memcpy(ahead, bytes, len);
        /* Its last bytes may be zeros anyway: then it is whole. */
        bool whole = memcmp(ahead, bytes, SEGMENT_HEAD) == 0;
        scratch_write(path_of(&s), ahead, sizeof ahead);
        CHECK(found(&s, true, &err) == (whole ? 0 : -2));
        ahead[4095] = 1;
        scratch_write(path_of(&s), ahead, sizeof ahead);
        CHECK(whole || found(&s, true, &err) == -1);
    }
    free(bytes);
    end(&s);
}

/* What a failed append must leave: everything as it was, and the next works. */
static void check_untouched(struct sample *s, int r, const struct err *err)
{
    CHECK(r != 0 && err->text[0] != '\0');
    CHECK(s->segment.end == s->at[2] && s->segment.sequence == s->item[1].sequence);
    CHECK(!s->segment.broken);
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    CHECK(lseek(s->segment.file.fd, 0, SEEK_END) == (off_t)s->segment.allocated);
    struct err none = {0};
    CHECK(found(s, false, &none) == 2);
    CHECK(append(s, 2, 3, &none) == 0);
    CHECK(append(s, 3, 6, &none) == 0);
    CHECK(found(s, true, &none) == RECORDS);
}

TEST(a_failed_write_leaves_the_segment_as_it_was)
{
    static const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS};
    for (size_t e = 0; e < 4; e++) {
        bool failed = true;
        for (int call = 1; failed; call += 7) {
            struct sample s;
            struct err err = {0};
            begin_with(&s, 2);

            bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                                   .short_io = 16,
                                                   .call = BAD_PWRITEV,
                                                   .fails_at = call,
                                                   .sys = errors[e]};
            int r = append(&s, 2, 3, &err);
            failed = bad_disk_plan.failed;
            if (failed) {
                CHECK(r == (e == 1 || e == 2 ? ERR_FULL : ERR_IO));
                check_untouched(&s, r, &err);
            } else {
                CHECK(r == 0 && call > 20); /* all of them have had their turn */
            }
            end(&s);
        }
    }
}

TEST(a_segment_that_cannot_be_cut_takes_no_more_appends)
{
    struct sample s;
    struct err err = {0};
    begin_with(&s, 2);

    bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                           .short_io = 16,
                                           .call = BAD_PWRITEV,
                                           .fails_at = 5,
                                           .second = BAD_FTRUNCATE};
    CHECK(append(&s, 2, 3, &err) == ERR_IO);
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    CHECK(append(&s, 2, 3, &err) == ERR_IO);
    CHECK(strstr(err.text, "broken"));
    CHECK(segment_finish(&s.segment, &err) == ERR_IO);
    CHECK(bad_disk_plan.calls[BAD_PWRITEV] == 0);
    CHECK(found(&s, true, &err) == 2);
    end(&s);
}

TEST(without_space_for_the_step_ahead_the_group_alone_will_do)
{
    struct sample s;
    struct err err = {0};
    begin(&s);

    bad_disk_plan = (struct bad_disk_plan){
        .no_sync = true, .call = BAD_FALLOCATE, .fails_at = 1, .sys = ENOSPC};
    CHECK(append(&s, 0, 2, &err) == 0);
    CHECK(lseek(s.segment.file.fd, 0, SEEK_END) == (off_t)s.at[2]);
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true, .limited = true};
    bad_disk_plan.free_bytes = s.at[3] - s.at[2];
    CHECK(append(&s, 2, 3, &err) == 0);
    CHECK(lseek(s.segment.file.fd, 0, SEEK_END) == (off_t)s.at[3]);
    CHECK(append(&s, 3, 6, &err) == ERR_FULL);
    bad_disk_plan.limited = false;
    CHECK(append(&s, 3, 6, &err) == 0);
    CHECK(found(&s, true, &err) == RECORDS);
    end(&s);
}

TEST(a_full_disk_refuses_and_works_again_when_it_is_not)
{
    static const int errors[] = {ENOSPC, EDQUOT};
    for (size_t e = 0; e < 2; e++) {
        struct sample s;
        struct err err = {0};
        begin_with(&s, 2);
        CHECK(segment_finish(&s.segment, &err) == 0);

        bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                               .call = BAD_FALLOCATE,
                                               .fails_at = 1,
                                               .and_then_always = true,
                                               .sys = errors[e]};
        int r = append(&s, 2, 3, &err);
        CHECK(r == ERR_FULL);
        CHECK(bad_disk_plan.calls[BAD_PWRITEV] == 0);
        check_untouched(&s, r, &err);
        end(&s);
    }
}

TEST(the_reserve_stays_free)
{
    struct sample s;
    struct segment_mark marks[2];
    struct err err = {0};
    begin(&s);

    bad_disk_plan = (struct bad_disk_plan){.no_sync = true, .limited = true};
    uint64_t need = s.at[2] - s.at[0];
    bad_disk_plan.free_bytes = 1000 + need - 1;
    CHECK(segment_append(&s.segment, s.item, 2, TARGET, 1000, marks, &err) == ERR_FULL);
    CHECK(strstr(err.text, "reserve"));
    CHECK(bad_disk_plan.calls[BAD_FALLOCATE] == 0);
    bad_disk_plan.free_bytes++;
    CHECK(segment_append(&s.segment, s.item, 2, TARGET, 1000, marks, &err) == 0);
    CHECK(s.segment.allocated == s.at[2]);
    end(&s);
}

TEST(a_file_system_without_fallocate_will_do)
{
    static const int errors[] = {EOPNOTSUPP, ENOSYS, EINVAL};
    for (size_t e = 0; e < 3; e++) {
        struct sample s;
        struct err err = {0};
        begin(&s);

        bad_disk_plan = (struct bad_disk_plan){.no_sync = true,
                                               .call = BAD_FALLOCATE,
                                               .fails_at = 1,
                                               .and_then_always = true,
                                               .sys = errors[e]};
        CHECK(append(&s, 0, 2, &err) == 0);
        CHECK(append(&s, 2, 3, &err) == 0);
        CHECK(append(&s, 3, 6, &err) == 0);
        CHECK(bad_disk_plan.calls[BAD_FALLOCATE] == 1);
        CHECK(found(&s, true, &err) == RECORDS);
        end(&s);
    }
}

TEST(interrupted_and_short_calls_are_carried_on)
{
    struct sample s;
    struct err err = {0};
    begin(&s);

    bad_disk_plan = (struct bad_disk_plan){.no_sync = true, .short_io = 7, .interrupted = true};
    CHECK(append(&s, 0, 2, &err) == 0);
    CHECK(append(&s, 2, 3, &err) == 0);
    CHECK(append(&s, 3, 6, &err) == 0);
    CHECK(segment_finish(&s.segment, &err) == 0);
    CHECK(found(&s, true, &err) == RECORDS);
    end(&s);
}

/* A failed sync ends the process: 70 is what fatal() exits with. */
static int exit_status_of_failing(enum bad_call call, int at)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct sample s;
        struct err err = {0};
        int silent = open("/dev/null", O_WRONLY);
        dup2(silent, 2);
        begin(&s); /* counts its own syncs, which are one of the file and one of the directory */
        if (call == BAD_FSYNC) {
            close_segment(&s);
            unlink(path_of(&s));
            bad_disk_plan = (struct bad_disk_plan){.call = call, .fails_at = at};
            (void)segment_create(&bad_disk, scratch_str(&s.dir), s.dir_fd, 1, 9, &s.segment, &err);
        } else {
            bad_disk_plan = (struct bad_disk_plan){.call = call, .fails_at = at};
            (void)append(&s, 0, 2, &err);
            (void)segment_finish(&s.segment, &err);
        }
        end(&s);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_failed_sync_ends_the_process)
{
    CHECK(exit_status_of_failing(BAD_FDATASYNC, 1) == 70);
    CHECK(exit_status_of_failing(BAD_FDATASYNC, 2) == 70);
    CHECK(exit_status_of_failing(BAD_FDATASYNC, 3) == 0);
    CHECK(exit_status_of_failing(BAD_FSYNC, 1) == 70);
    CHECK(exit_status_of_failing(BAD_FSYNC, 2) == 70);
    CHECK(exit_status_of_failing(BAD_FSYNC, 3) == 0);
}

TEST(a_failed_creation_leaves_no_file)
{
    static const enum bad_call calls[] = {BAD_OPEN, BAD_PWRITEV};
    for (size_t i = 0; i < 2; i++) {
        struct sample s;
        struct segment other;
        struct err err = {0};
        begin(&s);

        bad_disk_plan = (struct bad_disk_plan){.call = calls[i], .fails_at = 1, .sys = ENOSPC};
        CHECK(segment_create(&bad_disk, scratch_str(&s.dir), s.dir_fd, 2, 9, &other, &err) ==
              ERR_FULL);
        CHECK(!scratch_exists(scratch_at(&s.dir, "0000000000000002.seg")));
        end(&s);
    }
}

TEST(recovery_that_cannot_read_or_write_says_so_and_cuts_nothing)
{
    static const enum bad_call calls[] = {BAD_OPEN, BAD_PREAD, BAD_FSTAT, BAD_FTRUNCATE, BAD_FSYNC};
    struct sample s;
    begin_with(&s, RECORDS);

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        bool failed = true;
        for (int n = 1; failed; n++) {
            struct err err = {0};
            struct segment_file file;
            struct segment segment;
            struct segment_marks marks = {0};
            CHECK(disk_truncate(&disk_real, s.segment.file.fd, TARGET) == 0);
            bad_disk_plan =
                (struct bad_disk_plan){.no_sync = true, .call = calls[i], .fails_at = n};
            int r = segment_open(&bad_disk, scratch_str(&s.dir), 1, true, &file, NULL, &err);
            if (!r) {
                r = segment_recover(&file, true, 0, &segment, &marks, &err);
                close(file.fd);
            }
            failed = bad_disk_plan.failed;
            CHECK(failed ? r == ERR_IO : r == 0);
            CHECK(failed || n > 1);
            free(marks.mark);
        }
    }
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    struct err err = {0};
    CHECK(found(&s, true, &err) == RECORDS);
    end(&s);
}

TEST(beside_a_writer_nothing_is_changed_and_what_is_whole_is_found)
{
    struct sample s;
    struct err err = {0};
    begin_with(&s, 3);

    CHECK(found(&s, false, &err) == 3);
    CHECK(bad_disk_plan.calls[BAD_FTRUNCATE] == 0);
    CHECK(lseek(s.segment.file.fd, 0, SEEK_END) == TARGET);
    CHECK(append(&s, 3, 6, &err) == 0);
    CHECK(found(&s, false, &err) == RECORDS);
    end(&s);
}

/* Put `value` into the head of record 3, with a checksum that fits. */
static void forge(char *bytes, const struct sample *s, size_t at, uint64_t value, size_t size)
{
    char *head = bytes + s->at[3];
    if (size == 8)
        put_u64(head + at, value);
    else
        put_u32(head + at, (uint32_t)value);
    put_u32(head + 76, crc32c(0, head, 76));
}

TEST(hostile_lengths_lead_nowhere)
{
    static const struct {
        size_t at, size;
    } fields[] = {{8, 8}, {16, 8}, {24, 8}, {32, 8}, {48, 4}, {52, 4}, {64, 4}, {68, 4}, {72, 4}};
    static const uint64_t values[] = {0,
                                      1,
                                      7,
                                      80,
                                      191,
                                      0x7fffffff,
                                      0x80000000,
                                      0xfffffff8,
                                      UINT32_MAX,
                                      UINT64_C(1) << 32,
                                      UINT64_MAX / 2,
                                      UINT64_MAX - 7,
                                      UINT64_MAX};
    struct sample s;
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    size = s.at[RECORDS];
    char *forged = malloc(size);

    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            struct err err = {0};
            /* These would be good numbers, only not the ones that were written. */
            uint64_t value = fields[f].size == 4 ? (uint32_t)values[v] : values[v];
            if ((fields[f].at == 16 && value > s.item[2].sequence) ||
                (fields[f].at == 48 && value >= s.item[3].first.ordinal && value < UINT32_MAX) ||
                (fields[f].at == 52 && value == 1))
                continue;
            memcpy(forged, bytes, size);
            forge(forged, &s, fields[f].at, value, fields[f].size);
            scratch_write(path_of(&s), forged, size);
            CHECK(found(&s, true, &err) == 3);
        }
    /* Lengths that agree with each other, and with no file. */
    memcpy(forged, bytes, size);
    forge(forged, &s, 64, 0xfffffff0, 4);
    forge(forged, &s, 68, 0xfffffff0, 4);
    forge(forged, &s, 8, 80 + 2 * UINT64_C(0xfffffff0), 8);
    scratch_write(path_of(&s), forged, size);
    struct err err = {0};
    CHECK(found(&s, true, &err) == 3);
    free(forged);
    free(bytes);
    end(&s);
}

TEST(what_a_newer_program_wrote_is_refused_and_not_cut)
{
    struct sample s;
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    size = s.at[RECORDS];

    static const uint32_t versions[] = {3 | 1u << 16, 2 | 3u << 16};
    for (size_t i = 0; i < 2; i++) {
        struct err err = {0};
        forge(bytes, &s, 4, versions[i], 4);
        scratch_write(path_of(&s), bytes, size);
        CHECK(found(&s, true, &err) == -1);
        CHECK(strstr(err.text, "newer"));
    }
    struct err err = {0};
    forge(bytes, &s, 4, 1 | 1u << 16, 4);
    put_u32(bytes + 8, 3);
    put_u32(bytes + 60, crc32c(0, bytes, 60));
    scratch_write(path_of(&s), bytes, size);
    CHECK(found(&s, true, &err) == -1);
    CHECK(strstr(err.text, "newer"));
    free(bytes);
    end(&s);
}

TEST(a_segment_under_another_name_is_refused)
{
    struct sample s;
    struct segment_file file;
    struct err err = {0};
    char from[512];
    begin_with(&s, RECORDS);

    snprintf(from, sizeof from, "%s", path_of(&s));
    CHECK(rename(from, scratch_at(&s.dir, "0000000000000002.seg")) == 0);
    CHECK(segment_open(&bad_disk, scratch_str(&s.dir), 2, false, &file, NULL, &err) == ERR_CORRUPT);
    CHECK(segment_open(&bad_disk, scratch_str(&s.dir), 1, false, &file, NULL, &err) ==
          ERR_NOT_FOUND);
    end(&s);
}

TEST(a_scan_skips_what_is_damaged_and_goes_on)
{
    struct sample s;
    begin_with(&s, RECORDS);
    close_segment(&s);
    size_t size;
    char *bytes = scratch_read(path_of(&s), &size);
    size = s.at[RECORDS];

    for (int i = 0; i < RECORDS; i++) {
        struct segment_file file;
        struct segment_marks marks = {0};
        struct err err = {0};
        bytes[s.at[i] + 9] ^= 1;
        scratch_write(path_of(&s), bytes, size);
        CHECK(segment_open(&bad_disk, scratch_str(&s.dir), 1, false, &file, NULL, &err) == 0);
        CHECK(segment_scan(&file, size, &marks, &err) == 0);
        CHECK(marks.damaged && marks.count == RECORDS - 1);
        for (int k = 0; k < RECORDS - 1; k++)
            CHECK(marks.mark[k].at * 8ull == s.at[k < i ? k : k + 1]);
        close(file.fd);
        free(marks.mark);
        bytes[s.at[i] + 9] ^= 1;
    }
    free(bytes);
    end(&s);
}
