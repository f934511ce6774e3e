/* arrange.c - see arrange.h. */
#include "store/arrange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/pack_file.h"
#include "store/segment.h"

/* The sequence of the last record that is whole; 0: none is, or it is not there. */
static int end_of_segment(const struct arrange *a, uint64_t number, uint64_t *sequence,
                          struct err *err)
{
    struct segment_file file;
    struct segment_walk walk;
    struct segment_record record;
    struct stat st;
    bool incomplete = false;
    const char *why = NULL;
    *sequence = 0;
    int r = segment_open(a->disk, a->segments, number, false, &file, &incomplete, err);
    if (r || incomplete) /* beside a server it may be gone by now */
        return r == ERR_CORRUPT || r == ERR_NOT_FOUND ? 0 : r;
    if (a->disk->fstat(file.fd, &st) < 0)
        r = err_sys(err, errno, "segment %016" PRIx64 ".seg: stat", number);
    else
        r = segment_walk_start(&walk, &file, (uint64_t)st.st_size, err);
    if (!r) {
        while (!(r = segment_walk_look(&walk, &record, &why, err)) && !why)
            segment_walk_pass(&walk, &record);
        *sequence = walk.sequence;
        segment_walk_end(&walk);
    }
    a->disk->close(file.fd);
    return r;
}

/* How far does a pack go?  0: nothing of it can be read. */
static int end_of_pack(const struct arrange *a, uint64_t number, uint64_t *sequence, bool *sure,
                       struct err *err)
{
    struct pack_summary summary = {0};
    struct pack_file pack;
    int r = pack_file_summary(a->disk, a->packs, number, &summary, err);
    *sure = r == 0;
    if (r == ERR_CORRUPT) {
        r = pack_file_open(a->disk, a->packs, number, PACK_MEND, &pack, err);
        if (!r) {
            summary = pack.pack->summary;
            pack_file_close(&pack);
        }
    }
    *sequence = r ? 0 : summary.last_sequence;
    return r == ERR_CORRUPT ? 0 : r;
}

/* Both a segment and its pack are there when a sealing, or a backup of it, was
 * cut short.  The pack was whole when it got its name; if it still is to the
 * last byte, and has all that the segment has, it is the one.  A damaged one
 * gives way only to a segment that goes as far. */
static int choose(const struct arrange *a, uint64_t number, bool *pack_is_it, uint64_t *left,
                  struct err *err)
{
    struct pack_file pack;
    uint64_t segment_ends = 0, pack_ends = 0;
    char path[PACK_PATH];
    bool whole = false, sure;
    int r = pack_file_open(a->disk, a->packs, number, PACK_STRICT, &pack, err);
    if (!r) {
        r = pack_file_check(&pack, NULL, NULL, err);
        whole = r == 0;
        pack_file_close(&pack);
    }
    if (r && r != ERR_CORRUPT)
        return r;
    r = end_of_segment(a, number, &segment_ends, err);
    if (!r)
        r = end_of_pack(a, number, &pack_ends, &sure, err);
    if (r)
        return r;
    *pack_is_it = whole ? pack_ends >= segment_ends : pack_ends > segment_ends;
    *left = *pack_is_it && whole ? pack_ends : 0;
    if (*pack_is_it || a->read_only)
        return 0;
    r = pack_path(a->packs, number, path, err);
    if (!r && a->disk->unlink(path) < 0)
        r = err_sys(err, errno, "remove damaged pack %016" PRIx64 ".pack", number);
    return r;
}

int arrange_end(const struct arrange *arrange, const struct container *container,
                uint64_t *sequence, bool *sure, struct err *err)
{
    *sure = false; /* of a segment that was not finished nobody knows */
    return container->pack ? end_of_pack(arrange, container->number, sequence, sure, err)
                           : end_of_segment(arrange, container->number, sequence, err);
}

int arrange(struct arrange *arrange, arrange_left_fn *left, void *context, struct err *err)
{
    int r = 0;
    if (!arrange->read_only && arrange->packs.len > 0)
        r = containers_clean(arrange->disk, arrange->packs, err);
    if (!r)
        r = containers_list(arrange->segments, arrange->packs, &arrange->list, err);
    arrange->newest = arrange->newest_pack = 0;
    for (size_t i = 0; !r && i < arrange->list.count; i++) {
        struct container *c = &arrange->list.at[i];
        uint64_t sequence = 0;
        arrange->newest = c->number;
        if (c->pack)
            arrange->newest_pack = c->number;
        if (!c->pack || !c->segment)
            continue;
        r = choose(arrange, c->number, &c->pack, &sequence, err);
        c->segment = !c->pack;
        if (!r && sequence)
            r = left(context, c->number, sequence, err);
    }
    return r;
}
