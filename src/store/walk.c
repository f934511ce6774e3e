/* walk.c - see walk.h.
 *
 * A container is a segment, or the pack that it has become: the segment is
 * tried first, since it may become a pack between two looks, and never the
 * other way round.
 */
#include "store/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/pack_walk.h"

struct journey {
    const struct walk_log *log;
    struct walk_stop *stop;
    uint64_t after;
    store_visit_fn *visit;
    store_damaged_fn *damaged;
    void *context;
    uint64_t number, sequence; /* of the container before, and of its last record; 0: not known */
    bool packed;               /* it was a pack */
};

void walk_stop_end(struct walk_stop *stop)
{
    pack_walk_end(stop->pack);
    *stop = (struct walk_stop){0};
}

static struct str name_of(uint64_t number, bool packed, char room[PACK_NAME + 1])
{
    int len = snprintf(room, PACK_NAME + 1, "%016" PRIx64 "%s", number, packed ? ".pack" : ".seg");
    return (struct str){room, (size_t)len};
}

/* Something is wrong here: tell and go on, or give up. */
static int tell(const struct journey *j, uint64_t number, bool packed, uint64_t at, const char *why,
                struct err *err)
{
    char room[PACK_NAME + 1];
    struct str name = name_of(number, packed, room);
    if (!j->damaged)
        return err_set(err, ERR_CORRUPT, "%s %.*s: damaged at %" PRIu64 ": %s",
                       packed ? "pack" : "segment", STR_FMT(name), at, why);
    j->damaged(j->context, name, at, why);
    return 0;
}

/* Containers that follow each other are linked, so a lost end is noticed. */
static int check_link(const struct journey *j, uint64_t number, uint64_t previous_sequence,
                      struct err *err)
{
    if (j->number + 1 != number || j->sequence == 0 || j->sequence == previous_sequence)
        return 0;
    return tell(j, j->number, j->packed, 0, "records are missing at the end", err);
}

/* ---- segments ---- */

static int visit_record(struct journey *j, struct segment_walk *walk,
                        const struct segment_record *head, struct err *err)
{
    char *bytes = NULL;
    struct record record;
    struct err bad = {0};
    int r = segment_load(walk->file, walk->at, head, &bytes, &record, &bad);
    if (r == ERR_CORRUPT)
        return tell(j, walk->file->number, false, walk->at, bad.text, err);
    if (r) {
        if (err)
            *err = bad;
        return r;
    }
    struct place first = {walk->file->number, (uint32_t)head->first_ordinal};
    r = j->visit(j->context, &record, first, head->sequence, err);
    free(bytes);
    return r;
}

static void resume(struct journey *j, struct segment_walk *walk)
{
    struct walk_stop *stop = j->stop;
    if (stop->number == walk->file->number && !stop->pack && stop->sequence == j->after) {
        walk->at = stop->segment.at;
        walk->sequence = stop->segment.sequence;
        walk->group_at = stop->segment.group_at;
        walk->ordinal = stop->segment.ordinal;
    }
    walk_stop_end(stop);
}

static void stop_here(struct journey *j, const struct segment_walk *walk)
{
    *j->stop = (struct walk_stop){
        .number = walk->file->number, .segment = *walk, .sequence = walk->sequence};
    j->stop->segment.file = NULL;
    j->stop->segment.window = NULL;
}

/* `open_end`: another process is writing, so a bad record is where we stop. */
static int walk_segment(struct journey *j, const struct segment_file *file, uint64_t end,
                        bool open_end, struct err *err)
{
    int r = check_link(j, file->number, file->previous_sequence, err);
    if (r)
        return r;
    struct segment_walk walk;
    bool sound = true;
    r = segment_walk_start(&walk, file, end, err);
    resume(j, &walk);
    while (!r) {
        struct segment_record record;
        const char *why = NULL;
        r = segment_walk_look(&walk, &record, &why, err);
        if (r || (why && (why[0] == '\0' || open_end)))
            break;
        if (why) {
            sound = false;
            r = tell(j, file->number, false, walk.at, why, err);
            if (!r)
                r = segment_walk_skip(&walk, err);
            continue;
        }
        if (record.sequence > j->after)
            r = visit_record(j, &walk, &record, err);
        segment_walk_pass(&walk, &record);
        if (r && sound)
            stop_here(j, &walk);
    }
    j->number = file->number;
    j->sequence = sound ? walk.sequence : 0;
    j->packed = false;
    segment_walk_end(&walk);
    return r;
}

/* ---- packs ---- */

static int open_pack(struct journey *j, uint64_t number, struct pack_walk **result, struct err *err)
{
    struct pack_file file;
    struct pack_walk *walk = NULL;
    struct err bad = {0};
    int r = pack_file_open(j->log->disk, j->log->packs, number, false, &file, &bad);
    if (!r)
        r = pack_walk_start(&file, &walk, &bad);
    if (r == ERR_CORRUPT)
        return tell(j, number, true, 0, bad.text, err);
    if (r) {
        if (err)
            *err = bad;
        return r;
    }
    uint64_t at;
    const char *why;
    for (uint32_t i = 0; !r && pack_walk_damage(walk, &i, &at, &why);)
        r = tell(j, number, true, at, why, err);
    const struct pack_summary *sum = &pack_walk_pack(walk)->summary;
    if (!r && sum->number == number) /* else neither head nor foot could say what was before */
        r = check_link(j, number, sum->previous_sequence, err);
    if (r) {
        pack_walk_end(walk);
        return r;
    }
    *result = walk;
    return 0;
}

static int walk_pack(struct journey *j, uint64_t number, struct err *err)
{
    struct pack_walk *walk = NULL;
    struct record record;
    struct place first;
    uint64_t sequence = 0;
    int r = 0;
    if (j->stop->number == number && j->stop->pack && j->stop->sequence == j->after) {
        walk = j->stop->pack;
        j->stop->pack = NULL;
    }
    walk_stop_end(j->stop);
    if (!walk)
        r = open_pack(j, number, &walk, err);
    j->number = number;
    j->sequence =
        walk && !pack_walk_pack(walk)->rebuilt[0] ? pack_walk_pack(walk)->summary.last_sequence : 0;
    j->packed = true;
    if (!walk)
        return r;
    while (!r && pack_walk_next(walk, j->after, &record, &first, &sequence))
        r = j->visit(j->context, &record, first, sequence, err);
    if (r)
        *j->stop = (struct walk_stop){.number = number, .pack = walk, .sequence = sequence};
    else
        pack_walk_end(walk);
    return r;
}

/* ---- the log ---- */

/* A container that is not written. */
static int walk_container(struct journey *j, uint64_t number, struct err *err)
{
    const struct walk_log *log = j->log;
    struct segment_file file;
    bool incomplete = false;
    struct err bad = {0};
    int r = segment_open(log->disk, log->segments, number, false, &file, &incomplete, &bad);
    if (incomplete)
        return 0; /* left by a failed creation; nothing was ever in it */
    if (r == ERR_NOT_FOUND)
        return walk_pack(j, number, err);
    if (r == ERR_CORRUPT)
        return tell(j, number, false, 0, bad.text, err);
    if (r) {
        if (err)
            *err = bad;
        return r;
    }
    struct stat st;
    if (log->disk->fstat(file.fd, &st) < 0)
        r = err_sys(err, errno, "segment %016" PRIx64 ".seg: stat", number);
    else
        r = walk_segment(j, &file, (uint64_t)st.st_size, false, err);
    log->disk->close(file.fd);
    return r;
}

/* The sequence before a container; false when it cannot say. */
static bool sequence_before(const struct walk_log *log, uint64_t number, uint64_t *sequence)
{
    struct segment_file file;
    struct pack_summary summary;
    bool incomplete = false;
    int r = segment_open(log->disk, log->segments, number, false, &file, &incomplete, NULL);
    if (!r && !incomplete) {
        *sequence = file.previous_sequence;
        log->disk->close(file.fd);
        return true;
    }
    if (r != ERR_NOT_FOUND || pack_file_summary(log->disk, log->packs, number, &summary, NULL))
        return false;
    *sequence = summary.previous_sequence;
    return true;
}

/* Of log->numbers, the first that can have a record after `sequence`. */
static size_t first_after(const struct walk_log *log, uint64_t sequence)
{
    if (sequence == 0)
        return 0;
    size_t i = log->count;
    uint64_t before = log->last ? log->last->file.previous_sequence : UINT64_MAX;
    while (i > 0 && before > sequence) {
        i--;
        (void)sequence_before(log, log->numbers[i], &before); /* else the one before it does */
    }
    return i;
}

int walk(const struct walk_log *log, struct walk_stop *stop, uint64_t after_sequence,
         store_visit_fn *visit, store_damaged_fn *damaged, void *context, struct err *err)
{
    struct journey j = {.log = log,
                        .stop = stop,
                        .after = after_sequence,
                        .visit = visit,
                        .damaged = damaged,
                        .context = context};
    int r = 0;
    for (size_t i = first_after(log, after_sequence); i < log->count && !r; i++)
        r = walk_container(&j, log->numbers[i], err);
    if (!r && log->last)
        r = walk_segment(&j, &log->last->file, log->last->end, log->live, err);
    return r;
}
