/* containers.c - see containers.h.
 *
 * Segments are listed first: one that becomes a pack meanwhile is then found
 * twice, and never not at all.
 */
#include "store/containers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/pack_file.h"
#include "store/seal.h"
#include "store/segment.h"

struct list {
    struct container *at;
    size_t count, cap;
};

static int add(struct list *list, struct container container, struct err *err)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        struct container *more = realloc(list->at, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu containers", cap);
        list->at = more;
        list->cap = cap;
    }
    list->at[list->count++] = container;
    return 0;
}

/* Is told of every name in a directory. */
typedef int name_fn(void *context, const char *name, struct err *err);

static int each_name(struct str path, name_fn *each, void *context, struct err *err)
{
    char dir_name[PACK_PATH];
    int len = snprintf(dir_name, sizeof dir_name, "%.*s", STR_FMT(path));
    if (len < 0 || (size_t)len >= sizeof dir_name)
        return err_set(err, ERR_INVALID, "the data directory's name is too long");
    DIR *dir = opendir(dir_name);
    if (!dir) {
        int sys = errno;
        err_sys(err, sys, "list %.100s", dir_name);
        if (sys != ENOENT)
            return ERR_IO;
        if (err)
            err->code = ERR_NOT_FOUND;
        return ERR_NOT_FOUND;
    }
    int r = 0;
    while (!r) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                r = err_sys(err, errno, "list %.100s", dir_name);
            break;
        }
        r = each(context, entry->d_name, err);
    }
    closedir(dir);
    return r;
}

static int add_segment(void *context, const char *name, struct err *err)
{
    uint64_t number;
    return segment_named(name, &number)
               ? add(context, (struct container){.number = number, .segment = true}, err)
               : 0;
}

static int add_pack(void *context, const char *name, struct err *err)
{
    uint64_t number;
    return pack_named(name, &number)
               ? add(context, (struct container){.number = number, .pack = true}, err)
               : 0;
}

static int by_number(const void *a, const void *b)
{
    const struct container *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

int containers_list(struct str segments, struct str packs, struct containers *result,
                    struct err *err)
{
    struct list list = {0};
    int r = each_name(segments, add_segment, &list, err);
    if (!r && packs.len > 0) {
        struct err none = {0};
        r = each_name(packs, add_pack, &list, &none);
        if (r && r != ERR_NOT_FOUND && err)
            *err = none;
        r = r == ERR_NOT_FOUND ? 0 : r;
    }
    if (r) {
        free(list.at);
        return r;
    }
    if (list.count > 0)
        qsort(list.at, list.count, sizeof *list.at, by_number);
    size_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (kept > 0 && list.at[kept - 1].number == list.at[i].number)
            list.at[kept - 1].segment = list.at[kept - 1].pack = true;
        else
            list.at[kept++] = list.at[i];
    }
    *result = (struct containers){list.at, kept};
    return 0;
}

struct clean {
    const struct disk *disk;
    struct str dir;
};

static int clean(void *context, const char *name, struct err *err)
{
    const struct clean *clean = context;
    char path[PACK_PATH + 256];
    if (!seal_tmp_named(name))
        return 0;
    snprintf(path, sizeof path, "%.*s/%s", STR_FMT(clean->dir), name);
    return clean->disk->unlink(path) < 0 ? err_sys(err, errno, "remove %.120s", path) : 0;
}

int containers_clean(const struct disk *disk, struct str packs, struct err *err)
{
    struct clean context = {disk, packs};
    return each_name(packs, clean, &context, err);
}

void containers_free(struct containers *containers)
{
    free(containers->at);
    *containers = (struct containers){0};
}

const struct container *containers_find(const struct containers *containers, uint64_t number)
{
    size_t low = 0, high = containers->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (containers->at[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < containers->count && containers->at[low].number == number;
    return found ? &containers->at[low] : NULL;
}

struct str container_name(uint64_t number, bool pack, char room[CONTAINER_NAME])
{
    int len = snprintf(room, CONTAINER_NAME, "%016" PRIx64 "%s", number, pack ? ".pack" : ".seg");
    return (struct str){room, (size_t)len};
}

const char *container_why(const char *error)
{
    static const char *const ends[] = {".pack: ", ".seg: "};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *end = strstr(error, ends[i]);
        if (end)
            return end + strlen(ends[i]);
    }
    return error;
}
