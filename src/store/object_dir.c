/* object_dir.c - objects as files below a directory; see object.h.
 *
 * put      the bytes go to a new file in .tmp, are synced, then linked under
 *          their name, which fails if the name is taken, then the directory is
 *          synced.  A failure before the link leaves nothing.  A failed sync
 *          ends the process: what is durable then, only a restart can tell
 * crash    leaves a file in .tmp, which the next open removes
 * names    '/' in a name makes directories, made when needed and never
 *          removed; so an object "a" and an object "a/b" exclude each other
 * waiting  one lane for each kind of call: the kind says what the operations
 *          in its queue are
 *
 * One process at a time uses a directory.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/disk.h"
#include "base/log.h"
#include "loop/lane.h"
#include "store/object.h"

enum {
    PATH = 4096,
    NAME = 200,      /* as object_name_valid() has it */
    DEPTH = NAME / 2 /* so many directories can be in a name */
};

struct dir {
    struct objects objects;
    const struct disk *disk;
    struct lane *puts, *gets, *removes, *lists;
    atomic_uint_fast64_t next_tmp; /* names of files in .tmp */
    struct str root;
    char root_text[];
};

static struct dir *dir_of(struct objects *objects)
{
    return (struct dir *)objects; /* its first member */
}

static void path_of(const struct dir *dir, struct str name, char path[PATH])
{
    int n = snprintf(path, PATH, "%.*s/%.*s", STR_FMT(dir->root), STR_FMT(name));
    assert(n > 0 && n < PATH); /* the root's length was checked at open */
}

static int attach(struct objects *objects, struct loop *loop, struct err *err)
{
    (void)objects;
    (void)loop;
    (void)err;
    return 0;
}

/* Every call begins here: a good name, and a place in the queue. */
static void submit(struct lane *lane, struct op *op, struct str name)
{
    op->err = (struct err){0};
    if (!object_name_valid(name))
        op_fail(op, ERR_INVALID, "not an object's name");
    else if (!lane_submit(lane, op))
        op_fail(op, ERR_BUSY, "too many object calls are waiting");
}

/* ---- put ---- */

/* Open the directory that `path` lies in. */
static int open_parent(const struct dir *dir, const char *path, int *result, struct err *err)
{
    char parent[PATH];
    const char *slash = strrchr(path, '/');
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    *result = disk_open(dir->disk, parent, O_RDONLY | O_DIRECTORY);
    if (*result >= 0)
        return 0;
    return errno == ENOTDIR ? err_set(err, ERR_CONFLICT, "a part of its name is an object")
                            : err_sys(err, errno, "open directory %s", parent);
}

static void sync_and_close(const struct dir *dir, int fd)
{
    if (dir->disk->fsync(fd) < 0)
        fatal("sync a directory of objects: %s", strerror(errno));
    dir->disk->close(fd);
}

/* Make the directories of `path` below the root, durably.  One that exists may
 * have been made by a process that was killed before it could sync. */
static int make_parents(const struct dir *dir, const char *path, struct err *err)
{
    char parent[PATH];
    for (const char *slash = strchr(path + dir->root.len + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        memcpy(parent, path, (size_t)(slash - path));
        parent[slash - path] = '\0';
        if (dir->disk->mkdir(parent, 0750) < 0 && errno != EEXIST && errno != ENOTDIR)
            return disk_failed(err, errno, "make directory");
        int fd;
        int r = open_parent(dir, parent, &fd, err);
        if (r)
            return r;
        sync_and_close(dir, fd);
    }
    return 0;
}

static int write_parts(const struct disk *disk, int fd, const struct object_put *p, struct err *err)
{
    uint64_t at = 0;
    struct iovec iov[64]; /* disk_write() consumes them, and the caller's are not ours */
    for (size_t i = 0; i < p->part_count;) {
        size_t n = 0;
        uint64_t size = 0;
        for (; n < sizeof iov / sizeof *iov && i < p->part_count; n++, i++) {
            iov[n] = p->parts[i];
            size += iov[n].iov_len;
        }
        int r = disk_write(disk, fd, iov, n, at, err);
        if (r)
            return r;
        at += size;
    }
    return 0;
}

static int put_object(struct dir *dir, const struct object_put *p, struct err *err)
{
    const struct disk *disk = dir->disk;
    char path[PATH], tmp[PATH], name[32];
    int n =
        snprintf(name, sizeof name, ".tmp/%" PRIu64, (uint64_t)atomic_fetch_add(&dir->next_tmp, 1));
    path_of(dir, (struct str){name, (size_t)n}, tmp);
    path_of(dir, p->name, path);

    int fd = disk_open(disk, tmp, O_WRONLY | O_CREAT | O_EXCL);
    if (fd < 0)
        return disk_failed(err, errno, "create a temporary file");
    int r = write_parts(disk, fd, p, err);
    if (!r && disk->fsync(fd) < 0)
        fatal("sync an object: %s", strerror(errno));
    disk->close(fd);
    if (!r)
        r = make_parents(dir, path, err);
    int parent = -1;
    if (!r)
        r = open_parent(dir, path, &parent, err);
    if (!r && disk->link(tmp, path) < 0) {
        r = errno == EEXIST ? err_set(err, ERR_CONFLICT, "it exists")
                            : disk_failed(err, errno, "give it its name");
        disk->close(parent);
    } else if (!r) {
        sync_and_close(dir, parent);
    }
    (void)disk->unlink(tmp); /* if it stays, the next open removes it */
    return r;
}

static void put_chain(void *context, struct op *chain)
{
    while (chain) {
        struct object_put *p = op_owner(chain, struct object_put, op);
        chain = chain->next;
        if (put_object(context, p, &p->op.err))
            err_wrap(&p->op.err, "put %.*s", STR_FMT(p->name));
        op_finish(&p->op);
    }
}

static void put(struct objects *objects, struct object_put *p)
{
    submit(dir_of(objects)->puts, &p->op, p->name);
}

/* ---- get ---- */

static int get_object(struct dir *dir, struct object_get *g, struct err *err)
{
    char path[PATH];
    path_of(dir, g->name, path);
    int fd = disk_open(dir->disk, path, O_RDONLY);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return err_set(err, ERR_NOT_FOUND, "no such object");
        return err_sys(err, errno, "open");
    }
    struct stat st;
    struct buf *out = NULL;
    int r = 0;
    if (dir->disk->fstat(fd, &st) < 0)
        r = err_sys(err, errno, "stat");
    else if (!S_ISREG(st.st_mode))
        r = err_set(err, ERR_NOT_FOUND, "no such object");
    else if (g->tail)
        object_take_tail(g, (uint64_t)st.st_size);
    if (!r && (g->offset > (uint64_t)st.st_size || g->size > (uint64_t)st.st_size - g->offset))
        r = err_set(err, ERR_CORRUPT, "only %lld bytes", (long long)st.st_size);
    if (!r && !(out = buf_new(g->size)))
        r = err_set(err, ERR_BUSY, "no memory for %zu bytes", g->size);
    if (!r)
        r = disk_read(dir->disk, fd, out->at, g->size, g->offset, &out->len, err);
    if (!r && out->len < g->size)
        r = err_set(err, ERR_CORRUPT, "only %zu bytes at %" PRIu64, out->len, g->offset);
    dir->disk->close(fd);
    if (r) {
        buf_unref(out);
        return r;
    }
    g->out = out;
    return 0;
}

static void get_chain(void *context, struct op *chain)
{
    while (chain) {
        struct object_get *g = op_owner(chain, struct object_get, op);
        chain = chain->next;
        if (get_object(context, g, &g->op.err))
            err_wrap(&g->op.err, "get %.*s", STR_FMT(g->name));
        op_finish(&g->op);
    }
}

static void get(struct objects *objects, struct object_get *g)
{
    submit(dir_of(objects)->gets, &g->op, g->name);
}

/* ---- remove ---- */

static int remove_object(struct dir *dir, struct str name, struct err *err)
{
    char path[PATH];
    path_of(dir, name, path);
    int parent, r = 0;
    if (open_parent(dir, path, &parent, NULL))
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, errno, "open directory");
    if (dir->disk->unlink(path) < 0 && errno != ENOENT && errno != EISDIR)
        r = err_sys(err, errno, "remove");
    sync_and_close(dir, parent);
    return r;
}

static void remove_chain(void *context, struct op *chain)
{
    while (chain) {
        struct object_remove *r = op_owner(chain, struct object_remove, op);
        chain = chain->next;
        if (remove_object(context, r->name, &r->op.err))
            err_wrap(&r->op.err, "remove %.*s", STR_FMT(r->name));
        op_finish(&r->op);
    }
}

static void remove_soon(struct objects *objects, struct object_remove *r)
{
    submit(dir_of(objects)->removes, &r->op, r->name);
}

/* ---- list ---- */

static int compare(struct str a, struct str b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int r = least ? memcmp(a.at, b.at, least) : 0;
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    return compare(*(const struct str *)a, *(const struct str *)b);
}

/* Can something that begins with `start` be on the page? */
static bool may_hold(struct str start, const struct object_list *l)
{
    size_t n = start.len < l->prefix.len ? start.len : l->prefix.len;
    if (n && memcmp(start.at, l->prefix.at, n) != 0)
        return false;
    n = start.len < l->after.len ? start.len : l->after.len;
    return !n || memcmp(start.at, l->after.at, n) >= 0;
}

/* The entries of one directory; a '/' behind those that are directories makes
 * the order of the entries that of the whole names. */
static int read_dir(const char *path, struct str above, struct arena *arena, struct str **entries,
                    size_t *count, struct err *err)
{
    DIR *open = opendir(path);
    if (!open)
        return err_sys(err, errno, "list %s", path);
    int r = 0;
    size_t n = 0, cap = 0;
    struct str *list = NULL; /* heap */
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(open);
        if (!entry) {
            if (errno)
                r = err_sys(err, errno, "list %s", path);
            break;
        }
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || above.len + len > NAME)
            continue;
        char name[NAME + 1 + 1];
        memcpy(name, above.at, above.len);
        memcpy(name + above.len, entry->d_name, len);
        bool is_dir = entry->d_type == DT_DIR;
        if (entry->d_type == DT_UNKNOWN) {
            struct stat st;
            is_dir = fstatat(dirfd(open), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
        }
        if (is_dir)
            name[above.len + len++] = '/';
        if (n == cap) {
            cap = cap ? 2 * cap : 64;
            struct str *more = realloc(list, cap * sizeof *more);
            if (!more)
                abort();
            list = more;
        }
        list[n++] = arena_copy(arena, (struct str){name, above.len + len});
    }
    closedir(open);
    if (n > 0)
        qsort(list, n, sizeof *list, by_name);
    *entries = list;
    *count = n;
    return r;
}

/* What lies below `above` ("" or "dir/"), until the page is full. */
static int list_below(const struct dir *dir, struct str above, int depth, struct object_list *l,
                      struct err *err)
{
    if (depth > DEPTH)
        return 0; /* no name of ours is so deep */
    char path[PATH];
    path_of(dir, above, path);
    struct arena *arena = arena_new(4096);
    struct str *entries = NULL;
    size_t count = 0;
    int r = read_dir(path, above, arena, &entries, &count, err);
    for (size_t i = 0; i < count && !r && l->count < l->limit; i++) {
        struct str name = entries[i];
        if (!may_hold(name, l))
            continue;
        if (name.at[name.len - 1] == '/')
            r = list_below(dir, name, depth + 1, l, err);
        else if (name.len >= l->prefix.len && compare(name, l->after) > 0 &&
                 object_name_valid(name))
            l->names[l->count++] = arena_copy(l->arena, name);
    }
    free(entries);
    arena_free(arena);
    return r;
}

static void list_chain(void *context, struct op *chain)
{
    while (chain) {
        struct object_list *l = op_owner(chain, struct object_list, op);
        chain = chain->next;
        l->names = arena_make(l->arena, struct str, l->limit);
        l->count = 0;
        (void)list_below(context, STR(""), 0, l, &l->op.err); /* the error travels in op.err */
        op_finish(&l->op);
    }
}

static void list(struct objects *objects, struct object_list *l)
{
    assert(l->limit >= 1 && l->limit <= 1000);
    l->op.err = (struct err){0};
    if (!lane_submit(dir_of(objects)->lists, &l->op))
        op_fail(&l->op, ERR_BUSY, "too many object calls are waiting");
}

/* ---- life ---- */

static void close_dir(struct objects *objects)
{
    struct dir *dir = dir_of(objects);
    lane_close(dir->puts);
    lane_close(dir->gets);
    lane_close(dir->removes);
    lane_close(dir->lists);
    free(dir);
}

/* Make .tmp, or remove what a crash left in it. */
static int clean_tmp(const struct dir *dir, struct err *err)
{
    char path[PATH];
    path_of(dir, STR(".tmp"), path);
    if (dir->disk->mkdir(path, 0750) == 0)
        return 0;
    if (errno != EEXIST)
        return disk_failed(err, errno, "make directory %s", path);

    struct arena *arena = arena_new(4096);
    struct str *entries = NULL;
    size_t count = 0;
    int r = read_dir(path, STR(".tmp/"), arena, &entries, &count, err);
    for (size_t i = 0; i < count && !r; i++) {
        path_of(dir, entries[i], path);
        if (dir->disk->unlink(path) < 0)
            r = err_sys(err, errno, "remove %s", path);
    }
    free(entries);
    arena_free(arena);
    return r;
}

static const struct objects_ops dir_ops = {
    .name = "dir",
    .attach = attach,
    .put = put,
    .get = get,
    .remove = remove_soon,
    .list = list,
    .close = close_dir,
};

static int open_lane(struct dir *dir, const char *name, unsigned threads, lane_work_fn *work,
                     struct lane **result, struct err *err)
{
    const struct lane_config config = {.name = name,
                                       .threads = threads,
                                       .queue_max = 4096,
                                       .batch_max = 1,
                                       .work = work,
                                       .context = dir};
    return lane_open(&config, result, err);
}

int object_dir_open(struct str root, const struct disk *disk, struct objects **result,
                    struct err *err)
{
    if (root.len == 0 || root.len > PATH - NAME - 8)
        return err_set(err, ERR_INVALID, "the object directory's name has %zu bytes", root.len);
    struct dir *dir = calloc(1, sizeof *dir + root.len + 1);
    if (!dir)
        abort();
    memcpy(dir->root_text, root.at, root.len);
    dir->root = (struct str){dir->root_text, root.len};
    dir->objects.ops = &dir_ops;
    dir->disk = disk;
    atomic_init(&dir->next_tmp, 1);

    int r = clean_tmp(dir, err);
    if (!r)
        r = open_lane(dir, "object-put", 1, put_chain, &dir->puts, err);
    if (!r)
        r = open_lane(dir, "object-get", 2, get_chain, &dir->gets, err);
    if (!r)
        r = open_lane(dir, "object-remove", 1, remove_chain, &dir->removes, err);
    if (!r)
        r = open_lane(dir, "object-list", 1, list_chain, &dir->lists, err);
    if (r) {
        close_dir(&dir->objects);
        return err_wrap(err, "open objects in %.*s", STR_FMT(root));
    }
    *result = &dir->objects;
    return 0;
}
