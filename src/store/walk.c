/* walk.c - see walk.h. */
#include "store/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/containers.h"
#include "store/pack_walk.h"

struct journey {
    const struct walk_log *log;
    struct walk_stop *stop;
    uint64_t after;
    store_visit_fn *visit;
    store_damaged_fn *damaged;
    void *context;
    uint64_t number;   /* of the container before; 0: there was none */
    uint64_t sequence; /* of its last record, if that is known */
    bool known;
    bool packed; /* it was a pack */
};

void walk_stop_end(struct walk_stop *stop)
{
    pack_walk_end(stop->pack);
    *stop = (struct walk_stop){0};
}

/* Something is wrong here: tell and go on, or give up if runs are lost. */
static int tell(const struct journey *j, uint64_t number, bool packed, uint64_t at, const char *why,
                bool lost, struct err *err)
{
    char room[CONTAINER_NAME];
    struct str name = container_name(number, packed, room);
    if (!j->damaged && !lost)
        return 0;
    if (!j->damaged)
        return err_set(err, ERR_CORRUPT, "%s %.*s: damaged at %" PRIu64 ": %s",
                       packed ? "pack" : "segment", STR_FMT(name), at, why);
    j->damaged(j->context, name, at, why, lost);
    return 0;
}

/* Each container names the last sequence before it, so a container that is gone
 * is noticed, and a lost end.  What a walk from the beginning meets first has
 * none before it. */
static int check_link(const struct journey *j, uint64_t number, bool packed,
                      uint64_t previous_sequence, struct err *err)
{
    if (!j->known || j->sequence == previous_sequence)
        return 0;
    return j->number
               ? tell(j, j->number, j->packed, 0, "records are missing behind its end", true, err)
               : tell(j, number, packed, 0, "records are missing before it", true, err);
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
        return tell(j, walk->file->number, false, walk->at, bad.text, true, err);
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
    int r = check_link(j, file->number, false, file->previous_sequence, err);
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
            r = tell(j, file->number, false, walk.at, why, true, err);
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
    j->sequence = walk.sequence;
    j->known = sound;
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
    int r = pack_file_open(j->log->disk, j->log->packs, number, PACK_MEND, &file, &bad);
    if (!r)
        r = pack_walk_start(&file, &walk, &bad);
    /* One of a newer program is passed over by who wants to be told; its runs are
     * missing to others. */
    if (r == ERR_CORRUPT || (r == ERR_UNAVAILABLE && j->damaged))
        return tell(j, number, true, 0, container_why(bad.text), true, err);
    if (r) {
        if (err)
            *err = bad;
        return r;
    }
    uint64_t at;
    const char *why;
    bool lost;
    for (uint32_t i = 0; !r && pack_walk_damage(walk, &i, &at, &why, &lost);)
        if (j->damaged || pack_walk_pack(walk)->incomplete) /* else it costs who needs the runs */
            r = tell(j, number, true, at, container_why(why), lost, err);
    const struct pack *pack = pack_walk_pack(walk);
    if (!r && pack->summary.number != 0) /* else it does not know what was before it */
        r = check_link(j, number, true, pack->summary.previous_sequence, err);
    if (r) {
        pack_walk_end(walk);
        return r;
    }
    *result = walk;
    return 0;
}

/* Has the pack nothing that is asked for?  Then it need not be unpacked. */
static bool is_before(struct journey *j, uint64_t number)
{
    struct pack_summary summary;
    if (j->after == 0 || pack_file_summary(j->log->disk, j->log->packs, number, &summary, NULL) ||
        summary.last_sequence > j->after)
        return false;
    j->number = number;
    j->packed = j->known = true;
    j->sequence = summary.last_sequence;
    return true;
}

/* Who is not told of damage must not take what is left for all there was. */
static int check_whole(const struct journey *j, uint64_t number, const struct record *record,
                       struct place first, struct err *err)
{
    for (uint32_t i = 0; !j->damaged && i < record->count; i++)
        if (!record->parts[i].entry)
            return err_set(err, ERR_CORRUPT,
                           "pack %016" PRIx64 ".pack: run %" PRIu32 " is lost in a damaged block",
                           number, first.ordinal + i);
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
    if (!walk && is_before(j, number))
        return 0;
    if (!walk)
        r = open_pack(j, number, &walk, err);
    j->number = number;
    j->packed = true;
    j->known = walk && pack_walk_pack(walk)->summary.number != 0; /* it knows of itself */
    if (!walk)
        return r;
    j->sequence = pack_walk_pack(walk)->summary.last_sequence;
    while (!r && pack_walk_next(walk, j->after, &record, &first, &sequence)) {
        r = check_whole(j, number, &record, first, err);
        if (!r)
            r = j->visit(j->context, &record, first, sequence, err);
    }
    if (r)
        *j->stop = (struct walk_stop){.number = number, .pack = walk, .sequence = sequence};
    else
        pack_walk_end(walk);
    return r;
}

/* ---- the log ---- */

/* One that is not written.  What was a segment is looked for as one first: it
 * may become a pack between two looks, and never the other way round. */
static int walk_container(struct journey *j, struct walk_container container, struct err *err)
{
    const struct walk_log *log = j->log;
    uint64_t number = container.number;
    struct segment_file file;
    bool incomplete = false;
    struct err bad = {0};
    if (container.sealed)
        return walk_pack(j, number, err);
    int r = segment_open(log->disk, log->segments, number, false, &file, &incomplete, &bad);
    if (incomplete)
        return 0; /* left by a failed creation; nothing was ever in it */
    if (r == ERR_NOT_FOUND)
        return walk_pack(j, number, err);
    if (r == ERR_CORRUPT) {
        j->known = false;
        return tell(j, number, false, 0, bad.text, true, err);
    }
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

bool walk_sequence_before(const struct walk_log *log, struct walk_container container,
                          uint64_t *sequence)
{
    struct segment_file file;
    struct pack_summary summary;
    bool incomplete = false;
    int r = container.sealed ? ERR_NOT_FOUND
                             : segment_open(log->disk, log->segments, container.number, false,
                                            &file, &incomplete, NULL);
    if (!r && !incomplete) {
        *sequence = file.previous_sequence;
        log->disk->close(file.fd);
        return true;
    }
    if (r != ERR_NOT_FOUND ||
        pack_file_summary(log->disk, log->packs, container.number, &summary, NULL))
        return false;
    *sequence = summary.previous_sequence;
    return true;
}

/* Of log->containers, the first that can have a record after `sequence`. */
static size_t first_after(const struct walk_log *log, uint64_t sequence)
{
    if (sequence == 0)
        return 0;
    size_t i = log->count;
    uint64_t before = log->last ? log->last->file.previous_sequence : UINT64_MAX;
    while (i > 0 && before > sequence) {
        i--; /* one that cannot say is passed: the one before it does */
        (void)walk_sequence_before(log, log->containers[i], &before);
    }
    return i;
}

int walk(const struct walk_log *log, struct walk_stop *stop, uint64_t after_sequence,
         store_visit_fn *visit, store_damaged_fn *damaged, void *context, struct err *err)
{
    size_t first = first_after(log, after_sequence);
    struct journey j = {.log = log,
                        .stop = stop,
                        .after = after_sequence,
                        .visit = visit,
                        .damaged = damaged,
                        .context = context,
                        .known = first == 0};
    int r = 0;
    for (size_t i = first; i < log->count && !r; i++)
        r = walk_container(&j, log->containers[i], err);
    if (!r && log->last)
        r = walk_segment(&j, &log->last->file, log->last->end, log->live, err);
    return r;
}
