/* seal_test.c - a segment becomes a pack that says the same, or nothing happens. */
#include "store/seal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "lib/bad_disk.h"
#include "lib/check.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"
#include "store/pack_file.h"
#include "store/pack_walk.h"
#include "store/segment.h"
#include "store/store.h"

enum { NUMBER = 6, PREVIOUS = 40, RECORDS = 30, MOST = 4 };

/* A finished segment, and a directory for its pack. */
struct desk {
    struct scratch dir;
    char segments[300], packs[300];
    int packs_fd;
    struct made_record *made[RECORDS];
    uint32_t first[RECORDS];
    size_t count;
    char *bytes; /* of the segment */
    size_t size;
};

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static const char *path_of(const struct desk *d, const char *suffix)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%016x.%s", suffix[0] == 's' ? d->segments : d->packs, NUMBER,
             suffix);
    return path;
}

static struct made_record *make_some(size_t i, size_t bytes)
{
    struct make_run runs[MOST];
    struct make_random random = {i};
    size_t count = 1 + i % MOST;
    char *names[MOST];
    for (size_t k = 0; k < count; k++) {
        names[k] = malloc(bytes + 1);
        make_noise(&random, names[k], bytes);
        runs[k] = (struct make_run){.id = make_id(10 * i + k),
                                    .trace = make_id(9000 + i % 5),
                                    .project = k % 2 ? "p" : NULL,
                                    .name = names[k],
                                    .start_us = (int64_t)(100 - i),
                                    .number = i};
    }
    struct made_record *made = make_record(runs, count);
    made->record.received_us = (int64_t)(5000 + i);
    for (size_t k = 0; k < count; k++)
        free(names[k]);
    return made;
}

/* `count` records, runs of about `bytes`; a hole in the ordinals behind every third. */
static void begin(struct desk *d, size_t count, size_t bytes)
{
    struct segment segment;
    struct segment_mark mark;
    struct err err = {0};
    uint32_t ordinal = 0;
    *d = (struct desk){.dir = scratch_new(), .count = count};
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    snprintf(d->segments, sizeof d->segments, "%s/segments", d->dir.path);
    snprintf(d->packs, sizeof d->packs, "%s/packs", d->dir.path);
    CHECK(mkdir(d->segments, 0700) == 0 && mkdir(d->packs, 0700) == 0);
    d->packs_fd = open(d->packs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int dir_fd = open(d->segments, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(segment_create(&bad_disk, str_of(d->segments), dir_fd, NUMBER, PREVIOUS, &segment,
                         &err) == 0);
    for (size_t i = 0; i < count; i++) {
        d->made[i] = make_some(i, i % 7 == 6 ? 10 * bytes : bytes);
        d->first[i] = ordinal;
        const struct store_record record = {
            .record = &d->made[i]->record, .first = {NUMBER, ordinal}, .sequence = 100 + i};
        CHECK(segment_append(&segment, &record, 1, 64 << 20, 0, &mark, &err) == 0);
        ordinal += d->made[i]->record.count + (i % 3 == 2 ? 4 : 0);
    }
    CHECK(segment_finish(&segment, &err) == 0);
    close(segment.file.fd);
    close(dir_fd);
    d->bytes = scratch_read(path_of(d, "seg"), &d->size);
}

static void end(struct desk *d)
{
    bad_disk_plan = (struct bad_disk_plan){0};
    close(d->packs_fd);
    for (size_t i = 0; i < d->count; i++)
        made_free(d->made[i]);
    free(d->bytes);
    scratch_remove(&d->dir);
}

static struct seal seal_of(struct desk *d)
{
    return (struct seal){.disk = &bad_disk,
                         .segments = str_of(d->segments),
                         .packs = str_of(d->packs),
                         .packs_fd = d->packs_fd,
                         .number = NUMBER};
}

static size_t files_in(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* The segment is what it was. */
static void check_untouched(const struct desk *d)
{
    size_t size;
    char *bytes = scratch_read(path_of(d, "seg"), &size);
    CHECK(size == d->size && memcmp(bytes, d->bytes, size) == 0);
    free(bytes);
    CHECK(files_in(d->segments) == 1);
}

/* The pack has every record, as the segment has it. */
static void check_pack(const struct desk *d)
{
    struct pack_file file;
    struct pack_walk *walk = NULL;
    struct err err = {0};
    CHECK(files_in(d->packs) == 1 && scratch_exists(path_of(d, "pack")));
    CHECK(pack_file_open(&disk_real, str_of(d->packs), NUMBER, PACK_STRICT, &file, &err) == 0);
    if (err.code)
        return;
    struct pack_scratch *scratch = pack_scratch_new();
    for (size_t i = 0; i < d->count; i++)
        for (uint32_t k = 0; k < d->made[i]->record.count; k++) {
            struct arena *arena = arena_new(1024);
            struct run run, want;
            struct pack_wanted wanted = {d->first[i] + k, 0};
            CHECK(record_run(&d->made[i]->record, k, &want, NULL) == 0);
            CHECK(pack_file_read(&file, scratch, &wanted, 1, arena, &run, &(bool){false}, &err) ==
                  0);
            CHECK(!err.code && same_run(&run, &want));
            arena_free(arena);
        }
    pack_scratch_free(scratch);
    const struct pack_summary sum = file.pack->summary;
    CHECK(sum.number == NUMBER && sum.previous_sequence == PREVIOUS && sum.records == d->count &&
          sum.last_sequence == (d->count ? 99 + d->count : PREVIOUS) && sum.created_us > 0);

    CHECK(pack_walk_start(&file, &walk, &err) == 0);
    for (size_t i = 0; i < d->count && walk; i++) {
        struct record record;
        struct place first;
        uint64_t sequence = 0;
        CHECK(pack_walk_next(walk, 0, &record, &first, &sequence));
        CHECK(sequence == 100 + i && first.ordinal == d->first[i]);
        CHECK(record.count == d->made[i]->record.count &&
              record.received_us == d->made[i]->record.received_us);
    }
    pack_walk_end(walk);
}

TEST(a_sealed_segment_is_equal_run_by_run)
{
    static const struct {
        size_t records, bytes;
    } cases[] = {{0, 0}, {1, 0}, {1, 500000}, {RECORDS, 100}, {12, 70000}, {7, 300000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct desk d;
        struct err err = {0};
        begin(&d, cases[i].records, cases[i].bytes);
        struct seal seal = seal_of(&d);
        CHECK(seal_segment(&seal, &err) == 0);
        check_pack(&d);
        check_untouched(&d);
        struct stat st;
        CHECK(stat(path_of(&d, "pack"), &st) == 0 && seal.pack_size == (uint64_t)st.st_size);
        CHECK(seal.last_sequence == (d.count ? 99 + d.count : PREVIOUS));
        uint64_t raw = 0;
        for (size_t b = 0; b < d.count; b++)
            raw += d.made[b]->record.body.len - (d.made[b]->record.count - 1); /* no commas */
        CHECK(seal.raw_size == raw);
        end(&d);
    }
}

TEST(short_and_interrupted_calls_are_carried_on)
{
    struct desk d;
    struct err err = {0};
    begin(&d, RECORDS, 3000);
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true, .short_io = 1000, .interrupted = true};
    struct seal seal = seal_of(&d);
    CHECK(seal_segment(&seal, &err) == 0);
    check_pack(&d);
    check_untouched(&d);
    end(&d);
}

TEST(a_segment_can_be_sealed_again)
{
    struct desk d;
    begin(&d, RECORDS, 100);
    scratch_write(path_of(&d, "tmp"), "left by a killed one, and longer than nothing", 45);
    for (int i = 0; i < 2; i++) {
        struct seal seal = seal_of(&d);
        CHECK(seal_segment(&seal, NULL) == 0);
        check_pack(&d);
    }
    end(&d);
}

/* Syncs apart, which end the process. */
static const enum bad_call failing[] = {BAD_OPEN, BAD_PREAD, BAD_PWRITEV, BAD_FSTAT, BAD_RENAME};

TEST(whichever_call_fails_nothing_is_left_behind)
{
    static const int reasons[] = {EIO, ENOSPC};
    struct desk d;
    begin(&d, 9, 40000);
    for (size_t c = 0; c < sizeof failing / sizeof *failing; c++)
        for (size_t e = 0; e < (failing[c] == BAD_PREAD ? 1 : 2); e++)
            for (int at = 1, r = 1; r; at++) {
                struct err err = {0};
                struct seal seal = seal_of(&d);
                bad_disk_plan = (struct bad_disk_plan){
                    .no_sync = true, .call = failing[c], .fails_at = at, .sys = reasons[e]};
                r = seal_segment(&seal, &err);
                CHECK(r == (int)err.code && (r != 0) == bad_disk_plan.failed);
                if (r) {
                    bool full = reasons[e] != EIO && failing[c] != BAD_PREAD &&
                                failing[c] != BAD_FSTAT && !(failing[c] == BAD_OPEN && at == 1);
                    CHECK(r == (full ? ERR_FULL : ERR_IO));
                    CHECK(err.text[0] != '\0' && files_in(d.packs) == 0);
                } else {
                    check_pack(&d);
                    CHECK(at > 1);
                    unlink(path_of(&d, "pack"));
                }
                CHECK(at < 200);
            }
    check_untouched(&d);
    end(&d);
}

TEST(a_pack_without_its_name_may_be_left_when_it_cannot_be_removed)
{
    struct desk d;
    struct err err = {0};
    begin(&d, RECORDS, 1000);
    bad_disk_plan = (struct bad_disk_plan){
        .no_sync = true, .call = BAD_RENAME, .fails_at = 1, .second = BAD_UNLINK};
    struct seal seal = seal_of(&d);
    CHECK(seal_segment(&seal, &err) == ERR_IO);
    CHECK(scratch_exists(path_of(&d, "tmp")) && !scratch_exists(path_of(&d, "pack")));
    bad_disk_plan = (struct bad_disk_plan){.no_sync = true};
    seal = seal_of(&d);
    CHECK(seal_segment(&seal, &err) == 0);
    check_pack(&d);
    end(&d);
}

TEST(no_file_is_left_open)
{
    struct desk d;
    begin(&d, 5, 1000);
    int before = dup(0);
    close(before);
    for (size_t c = 0; c < sizeof failing / sizeof *failing; c++)
        for (int at = 1; at < 6; at++) {
            struct seal seal = seal_of(&d);
            bad_disk_plan =
                (struct bad_disk_plan){.no_sync = true, .call = failing[c], .fails_at = at};
            (void)seal_segment(&seal, NULL);
            int after = dup(0);
            close(after);
            CHECK(after == before);
        }
    end(&d);
}

/* In a child; the status it ends with. */
static int seal_in_child(struct desk *d, int sync)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
        struct seal seal = seal_of(d);
        bad_disk_plan =
            (struct bad_disk_plan){.no_sync = true, .call = BAD_FSYNC, .fails_at = sync};
        _exit(seal_segment(&seal, NULL) ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_failed_sync_ends_the_process)
{
    struct desk d;
    begin(&d, RECORDS, 1000);
    CHECK(seal_in_child(&d, 1) == 70);
    CHECK(!scratch_exists(path_of(&d, "pack"))); /* its bytes may not be on the disk */
    CHECK(seal_in_child(&d, 2) == 70);
    CHECK(scratch_exists(path_of(&d, "pack"))); /* its name may not be */
    CHECK(seal_in_child(&d, 3) == 0);
    check_untouched(&d);
    check_pack(&d);
    end(&d);
}

struct pacing {
    int calls, stop_at;
    uint64_t bytes;
};

static bool pace(void *context, uint64_t bytes)
{
    struct pacing *p = context;
    p->bytes += bytes;
    return ++p->calls != p->stop_at;
}

TEST(sealing_stops_as_soon_as_it_is_told_to)
{
    struct desk d;
    int calls = INT_MAX;
    begin(&d, 12, 50000);
    for (int stop_at = 1; stop_at <= calls; stop_at++) {
        struct pacing p = {.stop_at = stop_at};
        struct err err = {0};
        struct seal seal = seal_of(&d);
        seal.pace = pace;
        seal.context = &p;
        int r = seal_segment(&seal, &err);
        if (r == 0) {
            calls = p.calls;
            break;
        }
        CHECK(r == ERR_UNAVAILABLE && err.code == ERR_UNAVAILABLE);
        CHECK(p.calls == stop_at); /* not asked again */
        CHECK(files_in(d.packs) == 0);
    }
    CHECK(calls > 5 && calls < 100);
    check_untouched(&d);
    check_pack(&d);
    end(&d);
}

TEST(the_pace_is_told_of_what_is_fetched_and_of_every_byte_packed)
{
    struct desk d;
    struct pacing p = {0};
    begin(&d, RECORDS, 70000);
    struct seal seal = seal_of(&d);
    seal.pace = pace;
    seal.context = &p;
    CHECK(seal_segment(&seal, NULL) == 0);
    struct pack_file file;
    CHECK(pack_file_open(&disk_real, str_of(d.packs), NUMBER, PACK_STRICT, &file, NULL) == 0);
    uint64_t packed = file.pack->summary.stream_size;
    CHECK(packed > seal.raw_size);
    uint64_t fetched = p.bytes - packed;
    CHECK(p.bytes > packed && fetched <= d.size / 4 && fetched > d.size / 4 - 2 * RECORDS - 64);
    pack_file_close(&file);
    end(&d);
}

TEST(a_damaged_segment_stays_as_it_is)
{
    struct desk d;
    begin(&d, 8, 300);
    size_t step = 1;
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
    step = 7;
#endif
    size_t unseen = 0;
    for (size_t at = 0; at < d.size; at += step) {
        struct err err = {0};
        struct seal seal = seal_of(&d);
        d.bytes[at] ^= (char)(1 << at % 8);
        scratch_write(path_of(&d, "seg"), d.bytes, d.size);
        int r = seal_segment(&seal, &err);
        CHECK(r == 0 || r == ERR_CORRUPT);
        if (r) {
            CHECK(strstr(err.text, "0000000000000006.seg"));
            CHECK(files_in(d.packs) == 0);
        } else { /* a comma between two runs, or what fills up a record */
            unseen++;
            check_pack(&d);
            unlink(path_of(&d, "pack"));
        }
        check_untouched(&d);
        d.bytes[at] ^= (char)(1 << at % 8);
    }
    CHECK(unseen < 100);
    end(&d);
}

TEST(a_segment_that_is_cut_short_is_not_sealed_with_less)
{
    struct desk d;
    begin(&d, 4, 50);
    for (size_t size = SEGMENT_HEAD; size < d.size; size += 1 + size % 5) {
        struct err err = {0};
        struct seal seal = seal_of(&d);
        scratch_write(path_of(&d, "seg"), d.bytes, size);
        int r = seal_segment(&seal, &err);
        CHECK(r == 0 || r == ERR_CORRUPT);
        /* Only at the end of a record it cannot be told: what follows it says so. */
        if (r == 0)
            CHECK(seal.last_sequence < 103);
        else
            CHECK(files_in(d.packs) == 0);
        unlink(path_of(&d, "pack"));
    }
    end(&d);
}

TEST(a_segment_that_is_not_there_is_not_found)
{
    struct desk d;
    struct err err = {0};
    begin(&d, 1, 10);
    struct seal seal = seal_of(&d);
    seal.number = 7;
    CHECK(seal_segment(&seal, &err) == ERR_NOT_FOUND);
    CHECK(files_in(d.packs) == 0);
    end(&d);
}

/* What is written is not always what can be read. */
static int lie_at;

static ssize_t lying_pread(int fd, void *bytes, size_t size, off_t at)
{
    ssize_t n = pread(fd, bytes, size, at);
    if (n > 0 && fcntl(fd, F_GETFL) & O_RDWR && lie_at >= at && lie_at < at + n)
        ((char *)bytes)[lie_at - at] ^= 64;
    return n;
}

TEST(a_pack_that_reads_back_differently_is_not_kept)
{
    struct desk d;
    begin(&d, 8, 300);
    struct disk liar = bad_disk;
    liar.pread = lying_pread;
    struct seal seal = seal_of(&d);
    seal.disk = &liar;
    lie_at = -1;
    CHECK(seal_segment(&seal, NULL) == 0);
    uint64_t size = seal.pack_size;
    unlink(path_of(&d, "pack"));
    for (lie_at = PACK_HEAD; lie_at < (int)size; lie_at += 13) {
        struct err err = {0};
        seal = seal_of(&d);
        seal.disk = &liar;
        CHECK(seal_segment(&seal, &err) != 0);
        CHECK(files_in(d.packs) == 0);
    }
    check_untouched(&d);
    end(&d);
}

TEST(the_name_of_what_is_not_finished_is_known)
{
    char path[PACK_PATH];
    CHECK(seal_tmp_path(STR("/d"), 255, path, NULL) == 0);
    CHECK(strcmp(path, "/d/00000000000000ff.tmp") == 0);
    CHECK(seal_tmp_named("00000000000000ff.tmp"));
    static const char *const bad[] = {
        "00000000000000FF.tmp",  "0000000000000ff.tmp",   "",
        "00000000000000ff.pack", "00000000000000ff.tmpx", "x0000000000000ff.tmp"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!seal_tmp_named(bad[i]));
}
