/* index_bed.c - see index_bed.h. */
#include "lib/index_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/check.h"

static int open_sqlite(struct bed *bed, struct index **result)
{
    char path[160];
    int len = snprintf(path, sizeof path, "%s/index.db", bed->dir);
    const struct index_sqlite_config config = {
        .path = {path, (size_t)len},
        .readers = 2,
        .queue = 100,
        .deadline_ms = 60000,
        .cache_size = 1 << 12, /* so little that keys go to the file after every few runs */
    };
    return index_sqlite_open(&config, result, &bed->calls.err);
}

static void make_dir(char *dir, size_t size)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, size, "%s/index_conform.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        abort();
}

void bed_memory(struct bed *bed)
{
    struct index *index = NULL;
    *bed = (struct bed){0};
    if (index_memory_open(&index, NULL))
        abort();
    calls_open(&bed->calls, index);
}

void bed_sqlite(struct bed *bed)
{
    struct index *index = NULL;
    *bed = (struct bed){0};
    make_dir(bed->dir, sizeof bed->dir);
    if (open_sqlite(bed, &index)) {
        fprintf(stderr, "%s\n", bed->calls.err.text);
        abort();
    }
    calls_open(&bed->calls, index);
}

static int open_postgres(struct bed *bed, struct index **result)
{
    const struct index_postgres_config config = {
        .url = bed->database.url,
        .readers = 2,
        .queue = 400,
        .deadline_ms = 60000,
        .commit_ms = 60000,
        .deployment = "the one log",
    };
    return index_postgres_open(&config, result, &bed->calls.err);
}

void bed_postgres(struct bed *bed)
{
    struct index *index = NULL;
    *bed = (struct bed){0};
    postgres_bed_new(&bed->database);
    if (open_postgres(bed, &index)) {
        fprintf(stderr, "%s\n", bed->calls.err.text);
        abort();
    }
    calls_open(&bed->calls, index);
}

void bed_stop(struct bed *bed)
{
    static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm"};
    bed->calls.index->ops->close(bed->calls.index);
    calls_close(&bed->calls);
    if (bed->database.name[0])
        postgres_bed_drop(&bed->database);
    for (size_t i = 0; bed->dir[0] && i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", bed->dir, names[i]);
        unlink(path);
    }
    if (bed->dir[0])
        CHECK(rmdir(bed->dir) == 0);
}

void bed_reopen(struct bed *bed)
{
    struct index *index = NULL;
    bed->calls.index->ops->close(bed->calls.index);
    CHECK((bed->dir[0] ? open_sqlite : open_postgres)(bed, &index) == 0);
    calls_use(&bed->calls, index);
}
