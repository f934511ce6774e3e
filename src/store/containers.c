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

static int list_dir(struct list *list, struct str path, bool packs, struct err *err)
{
    char name[PACK_PATH];
    int len = snprintf(name, sizeof name, "%.*s", STR_FMT(path));
    if (len < 0 || (size_t)len >= sizeof name)
        return err_set(err, ERR_INVALID, "the data directory's name is too long");
    DIR *dir = opendir(name);
    if (!dir && errno == ENOENT && packs)
        return 0;
    if (!dir) {
        int sys = errno;
        err_sys(err, sys, "list %.100s", name);
        if (sys != ENOENT)
            return ERR_IO;
        if (err)
            err->code = ERR_NOT_FOUND;
        return ERR_NOT_FOUND;
    }
    int r = 0;
    while (!r) {
        uint64_t number;
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                r = err_sys(err, errno, "list %.100s", name);
            break;
        }
        if (packs ? pack_named(entry->d_name, &number) : segment_named(entry->d_name, &number))
            r = add(list, (struct container){number, !packs, packs}, err);
    }
    closedir(dir);
    return r;
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
    int r = list_dir(&list, segments, false, err);
    if (!r)
        r = list_dir(&list, packs, true, err);
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
