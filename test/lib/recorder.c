/* recorder.c - see recorder.h.
 *
 * Events are kept in order.  A file is a number that stands for the inode: a
 * name leads to it, and other names may.  Names are relative to the recorded
 * directory; a directory is known by the part before the last slash.
 *
 * A replay keeps for every file its durable bytes and the events since its last
 * sync, and for every directory its durable names and the events since its last
 * sync.  A crash state is the durable part with some of the rest applied.
 */
#include "lib/recorder.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, FILES_MAX = 4096, DIRS_MAX = 16, NAME_LEN = 200 };

struct event {
    enum recorder_kind kind;
    int file; /* or -1 */
    int dir;  /* or -1 */
    uint64_t at, size;
    unsigned char *bytes;
    char name[NAME_LEN], other[NAME_LEN];
};

/* A name and the file it leads to. */
struct entry {
    int dir, file;
    char name[NAME_LEN];
};

struct names {
    struct entry *entry;
    size_t count, cap;
};

struct content {
    unsigned char *bytes;
    uint64_t size, cap;
};

static struct {
    pthread_mutex_t lock;
    bool on, ignore_dirs;
    char root[PATH_MAX];
    size_t root_len;
    struct event *event;
    size_t count, cap;
    int files;
    char dirs[DIRS_MAX][NAME_LEN]; /* "" is the root */
    int dir_count;
    struct names now;      /* as they are while recording */
    struct names at_start; /* durable */
    struct content content_at_start[FILES_MAX];
} rec = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Noreturn static void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap ? 2 * *cap : 64;
    array = realloc(array, *cap * size);
    if (!array)
        die("no memory");
    return array;
}

/* ---- numbers (splitmix64) ---- */

uint64_t dice_next(struct dice *dice)
{
    dice->state += 0x9e3779b97f4a7c15u;
    uint64_t z = dice->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t dice_below(struct dice *dice, uint32_t n)
{
    return (uint32_t)((dice_next(dice) >> 32) * n >> 32);
}

/* ---- names ---- */

static struct entry *names_find(const struct names *names, int dir, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->entry[i].dir == dir && strcmp(names->entry[i].name, name) == 0)
            return &names->entry[i];
    return NULL;
}

static void names_put(struct names *names, int dir, const char *name, int file)
{
    struct entry *entry = names_find(names, dir, name);
    if (!entry) {
        names->entry = grown(names->entry, names->count, &names->cap, sizeof *names->entry);
        entry = &names->entry[names->count++];
        entry->dir = dir;
        snprintf(entry->name, sizeof entry->name, "%s", name);
    }
    entry->file = file;
}

static void names_remove(struct names *names, int dir, const char *name)
{
    struct entry *entry = names_find(names, dir, name);
    if (entry)
        *entry = names->entry[--names->count];
}

static void names_copy(struct names *to, const struct names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        names_put(to, from->entry[i].dir, from->entry[i].name, from->entry[i].file);
}

static void names_apply(struct names *names, const struct event *event)
{
    switch (event->kind) {
    case REC_NAME:
        names_put(names, event->dir, event->name, event->file);
        break;
    case REC_REMOVE:
        names_remove(names, event->dir, event->name);
        break;
    case REC_RENAME: {
        const struct entry *from = names_find(names, event->dir, event->name);
        if (!from)
            break;
        int file = from->file;
        names_remove(names, event->dir, event->name);
        names_put(names, event->dir, event->other, file);
        break;
    }
    case REC_WRITE:
    case REC_SIZE:
    case REC_GROW:
    case REC_SYNC:
    case REC_SYNC_DIR:
    case REC_MKDIR:
        break;
    }
}

static int dir_number(const char *name)
{
    for (int i = 0; i < rec.dir_count; i++)
        if (strcmp(rec.dirs[i], name) == 0)
            return i;
    if (rec.dir_count == DIRS_MAX)
        die("more than %d directories", DIRS_MAX);
    snprintf(rec.dirs[rec.dir_count], NAME_LEN, "%s", name);
    return rec.dir_count++;
}

/* Is it below the recorded directory?  Then its directory and name. */
static bool split(const char *path, int *dir, char name[NAME_LEN])
{
    if (!rec.on || strncmp(path, rec.root, rec.root_len) != 0 || path[rec.root_len] != '/')
        return false;
    const char *rest = path + rec.root_len + 1;
    const char *slash = strrchr(rest, '/');
    char parent[NAME_LEN] = "";
    if (slash)
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - rest), rest);
    snprintf(name, NAME_LEN, "%s", slash ? slash + 1 : rest);
    *dir = dir_number(parent);
    return true;
}

/* ---- noting ---- */

void recorder_lock(void)
{
    pthread_mutex_lock(&rec.lock);
}

void recorder_unlock(void)
{
    pthread_mutex_unlock(&rec.lock);
}

static struct event *note(enum recorder_kind kind, int file, int dir)
{
    rec.event = grown(rec.event, rec.count, &rec.cap, sizeof *rec.event);
    struct event *event = &rec.event[rec.count++];
    *event = (struct event){.kind = kind, .file = file, .dir = dir};
    return event;
}

void recorder_made(const char *path)
{
    int dir;
    char name[NAME_LEN];
    if (!split(path, &dir, name) || names_find(&rec.now, dir, name))
        return;
    if (rec.files == FILES_MAX)
        die("more than %d files", FILES_MAX);
    struct event *event = note(REC_NAME, rec.files++, dir);
    snprintf(event->name, NAME_LEN, "%s", name);
    names_apply(&rec.now, event);
}

void recorder_removed(const char *path)
{
    int dir;
    char name[NAME_LEN];
    if (!split(path, &dir, name) || !names_find(&rec.now, dir, name))
        return;
    struct event *event = note(REC_REMOVE, -1, dir);
    snprintf(event->name, NAME_LEN, "%s", name);
    names_apply(&rec.now, event);
}

void recorder_renamed(const char *from, const char *to)
{
    int dir, other_dir;
    char name[NAME_LEN], other[NAME_LEN];
    if (!split(from, &dir, name) || !split(to, &other_dir, other))
        return;
    if (dir != other_dir)
        die("a rename from one directory to another is not provided for");
    struct event *event = note(REC_RENAME, -1, dir);
    snprintf(event->name, NAME_LEN, "%s", name);
    snprintf(event->other, NAME_LEN, "%s", other);
    names_apply(&rec.now, event);
}

void recorder_linked(const char *from, const char *to)
{
    int dir;
    char name[NAME_LEN];
    int file = recorder_file(from);
    if (file < 0 || !split(to, &dir, name))
        return;
    struct event *event = note(REC_NAME, file, dir);
    snprintf(event->name, NAME_LEN, "%s", name);
    names_apply(&rec.now, event);
}

void recorder_mkdir(const char *path)
{
    int dir;
    char name[NAME_LEN];
    if (!split(path, &dir, name))
        return;
    struct event *event = note(REC_MKDIR, -1, dir);
    snprintf(event->name, NAME_LEN, "%s", path + rec.root_len + 1);
    (void)dir_number(event->name);
}

void recorder_synced_dir(const char *path)
{
    if (!rec.on || rec.ignore_dirs || strncmp(path, rec.root, rec.root_len) != 0)
        return;
    const char *rest = path + rec.root_len;
    while (*rest == '/')
        rest++;
    (void)note(REC_SYNC_DIR, -1, dir_number(rest));
}

void recorder_synced_dir_of(const char *path)
{
    int dir;
    char name[NAME_LEN];
    if (!rec.ignore_dirs && split(path, &dir, name))
        (void)note(REC_SYNC_DIR, -1, dir);
}

int recorder_file(const char *path)
{
    int dir;
    char name[NAME_LEN];
    if (!split(path, &dir, name))
        return -1;
    const struct entry *entry = names_find(&rec.now, dir, name);
    return entry ? entry->file : -1;
}

void recorder_wrote(int file, uint64_t at, const void *bytes, size_t size)
{
    if (!rec.on || file < 0 || size == 0)
        return;
    struct event *event = note(REC_WRITE, file, -1);
    event->at = at;
    event->size = size;
    event->bytes = malloc(size);
    if (!event->bytes)
        die("no memory");
    memcpy(event->bytes, bytes, size);
}

void recorder_sized(int file, uint64_t size)
{
    if (rec.on && file >= 0)
        note(REC_SIZE, file, -1)->size = size;
}

void recorder_grew(int file, uint64_t size)
{
    if (rec.on && file >= 0)
        note(REC_GROW, file, -1)->size = size;
}

void recorder_synced(int file)
{
    if (rec.on && file >= 0)
        (void)note(REC_SYNC, file, -1);
}

/* ---- starting, stopping ---- */

static void load(const char *path, struct content *content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        die("cannot read %s", path);
    content->size = content->cap = (uint64_t)st.st_size;
    content->bytes = malloc(content->size + 1);
    if (!content->bytes || pread(fd, content->bytes, content->size, 0) != (ssize_t)content->size)
        die("cannot read %s", path);
    close(fd);
}

static void take_in(const char *relative)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s%s%s", rec.root, *relative ? "/" : "", relative);
    int number = dir_number(relative);
    DIR *dir = opendir(path);
    if (!dir)
        die("cannot list %s", path);
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        char child[PATH_MAX], full[3 * PATH_MAX];
        snprintf(child, sizeof child, "%s%s%s", relative, *relative ? "/" : "", entry->d_name);
        snprintf(full, sizeof full, "%s/%s", rec.root, child);
        struct stat st;
        if (stat(full, &st) < 0)
            die("cannot look at %s", full);
        if (S_ISDIR(st.st_mode)) {
            take_in(child);
        } else {
            load(full, &rec.content_at_start[rec.files]);
            names_put(&rec.now, number, entry->d_name, rec.files++);
        }
    }
    closedir(dir);
}

void recorder_start(const char *dir)
{
    for (size_t i = 0; i < rec.count; i++)
        free(rec.event[i].bytes);
    for (int i = 0; i < FILES_MAX; i++) {
        free(rec.content_at_start[i].bytes);
        rec.content_at_start[i] = (struct content){0};
    }
    rec.count = 0;
    rec.files = rec.dir_count = 0;
    rec.now.count = rec.at_start.count = 0;
    snprintf(rec.root, sizeof rec.root, "%s", dir);
    rec.root_len = strlen(rec.root);
    take_in("");
    names_copy(&rec.at_start, &rec.now);
    rec.on = true;
}

void recorder_stop(void)
{
    recorder_lock();
    rec.on = false;
    recorder_unlock();
}

size_t recorder_now(void)
{
    recorder_lock();
    size_t result = rec.count;
    recorder_unlock();
    return result;
}

struct recorder_counts recorder_counts(void)
{
    struct recorder_counts result = {0};
    for (size_t i = 0; i < rec.count; i++)
        switch (rec.event[i].kind) {
        case REC_WRITE:
            result.writes++;
            result.bytes += rec.event[i].size;
            break;
        case REC_SIZE:
        case REC_GROW:
            result.sizes++;
            break;
        case REC_SYNC:
        case REC_SYNC_DIR:
            result.syncs++;
            break;
        case REC_RENAME:
            result.renames++;
            result.names++;
            break;
        case REC_NAME:
        case REC_REMOVE:
        case REC_MKDIR:
            result.names++;
        }
    return result;
}

bool recorder_is_sync(size_t event)
{
    return event < rec.count &&
           (rec.event[event].kind == REC_SYNC || rec.event[event].kind == REC_SYNC_DIR);
}

bool recorder_is_name(size_t event)
{
    return event < rec.count &&
           (rec.event[event].kind == REC_NAME || rec.event[event].kind == REC_REMOVE ||
            rec.event[event].kind == REC_RENAME);
}

bool recorder_is_gone(size_t event)
{
    return event < rec.count &&
           (rec.event[event].kind == REC_REMOVE || rec.event[event].kind == REC_RENAME);
}

void recorder_ignore_dirs(bool on)
{
    recorder_lock();
    rec.ignore_dirs = on;
    recorder_unlock();
}

/* ---- replaying ---- */

/* Events that may be lost, by their positions. */
struct pending {
    size_t *event;
    size_t count, cap;
};

struct replay {
    size_t at;
    struct names names;
    struct content file[FILES_MAX];
    struct pending of_file[FILES_MAX];
    struct pending of_dir[DIRS_MAX];
};

static void pending_add(struct pending *pending, size_t event)
{
    pending->event = grown(pending->event, pending->count, &pending->cap, sizeof *pending->event);
    pending->event[pending->count++] = event;
}

static void content_resize(struct content *content, uint64_t size)
{
    if (size > content->cap) {
        uint64_t cap = size + size / 2 + 4096;
        content->bytes = realloc(content->bytes, cap);
        if (!content->bytes)
            die("no memory");
        content->cap = cap;
    }
    if (size > content->size)
        memset(content->bytes + content->size, 0, size - content->size);
    content->size = size;
}

static void content_write(struct content *content, uint64_t at, const unsigned char *bytes,
                          uint64_t size)
{
    if (at + size > content->size)
        content_resize(content, at + size);
    memcpy(content->bytes + at, bytes, size);
}

static void content_apply(struct content *content, const struct event *event)
{
    if (event->kind == REC_WRITE)
        content_write(content, event->at, event->bytes, event->size);
    else if (event->kind == REC_SIZE || event->size > content->size)
        content_resize(content, event->size);
}

struct replay *replay_new(void)
{
    struct replay *replay = calloc(1, sizeof *replay);
    if (!replay)
        die("no memory");
    names_copy(&replay->names, &rec.at_start);
    for (int i = 0; i < rec.files; i++)
        if (rec.content_at_start[i].size > 0)
            content_write(&replay->file[i], 0, rec.content_at_start[i].bytes,
                          rec.content_at_start[i].size);
    return replay;
}

void replay_free(struct replay *replay)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(replay->file[i].bytes);
        free(replay->of_file[i].event);
    }
    for (int i = 0; i < DIRS_MAX; i++)
        free(replay->of_dir[i].event);
    free(replay->names.entry);
    free(replay);
}

void replay_to(struct replay *replay, size_t event)
{
    for (; replay->at < event && replay->at < rec.count; replay->at++) {
        const struct event *e = &rec.event[replay->at];
        switch (e->kind) {
        case REC_WRITE:
        case REC_SIZE:
        case REC_GROW:
            pending_add(&replay->of_file[e->file], replay->at);
            break;
        case REC_SYNC: {
            struct pending *pending = &replay->of_file[e->file];
            for (size_t i = 0; i < pending->count; i++)
                content_apply(&replay->file[e->file], &rec.event[pending->event[i]]);
            pending->count = 0;
            break;
        }
        case REC_NAME:
        case REC_REMOVE:
        case REC_RENAME:
            pending_add(&replay->of_dir[e->dir], replay->at);
            break;
        case REC_SYNC_DIR: {
            struct pending *pending = &replay->of_dir[e->dir];
            for (size_t i = 0; i < pending->count; i++)
                names_apply(&replay->names, &rec.event[pending->event[i]]);
            pending->count = 0;
            break;
        }
        case REC_MKDIR: /* taken as durable: only an empty directory could be missing */
            break;
        }
    }
}

/* What becomes of writes that were not synced. */
enum fate { FATE_NONE, FATE_ALL, FATE_FIRST, FATE_EVENTS, FATE_SECTORS, FATES };
static const char *const fate_words[FATES + 1] = {
    [FATE_NONE] = "nothing unsynced kept",
    [FATE_ALL] = "everything unsynced kept",
    [FATE_FIRST] = "the first unsynced events kept, the next one torn",
    [FATE_EVENTS] = "unsynced events kept at random",
    [FATE_SECTORS] = "unsynced sectors kept at random",
    [FATES] = "each file in another way",
};

/* Some sectors of a write: the first `sectors` of it, or with `dice` any. */
static void write_torn(struct content *content, const struct event *event, struct dice *dice,
                       uint64_t sectors)
{
    uint64_t done = 0;
    for (uint64_t i = 0; done < event->size; i++) {
        uint64_t piece = SECTOR - (event->at + done) % SECTOR;
        if (piece > event->size - done)
            piece = event->size - done;
        if (dice ? dice_below(dice, 2) : i < sectors)
            content_write(content, event->at + done, event->bytes + done, piece);
        done += piece;
    }
}

static void suffer(struct content *content, const struct pending *pending, enum fate fate,
                   size_t first_lost, struct dice *dice)
{
    for (size_t i = 0; i < pending->count; i++) {
        const struct event *event = &rec.event[pending->event[i]];
        bool is_write = event->kind == REC_WRITE;
        switch (fate) {
        case FATE_NONE:
        case FATES:
            break;
        case FATE_ALL:
            content_apply(content, event);
            break;
        case FATE_FIRST:
            if (pending->event[i] < first_lost)
                content_apply(content, event);
            else if (pending->event[i] == first_lost && is_write)
                write_torn(content, event, NULL,
                           dice_below(dice, (uint32_t)(event->size / SECTOR + 2)));
            break;
        case FATE_EVENTS:
        case FATE_SECTORS:
            if (is_write && fate == FATE_SECTORS)
                write_torn(content, event, dice, 0);
            else if (dice_below(dice, 2))
                content_apply(content, event);
            break;
        }
    }
}

static void save(const char *path, const struct content *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        die("cannot make %s", path);
    uint64_t done = 0;
    while (done < content->size) {
        ssize_t n = write(fd, content->bytes + done, content->size - done);
        if (n <= 0)
            die("cannot write %s", path);
        done += (uint64_t)n;
    }
    close(fd);
}

const char *replay_crash(const struct replay *replay, struct dice *dice, const char *into)
{
    /* The names: in each directory a first part of what was not synced. */
    struct names names = {0};
    names_copy(&names, &replay->names);
    for (int dir = 0; dir < rec.dir_count; dir++) {
        const struct pending *pending = &replay->of_dir[dir];
        size_t kept = dice_below(dice, (uint32_t)pending->count + 1);
        for (size_t i = 0; i < kept; i++)
            names_apply(&names, &rec.event[pending->event[i]]);
        if (!*rec.dirs[dir])
            continue;
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", into, rec.dirs[dir]);
        if (mkdir(path, 0750) < 0)
            die("cannot make %s", path);
    }

    enum fate fate = dice_below(dice, FATES + 1);
    size_t oldest = replay->at;
    for (int i = 0; i < rec.files; i++)
        if (replay->of_file[i].count > 0 && replay->of_file[i].event[0] < oldest)
            oldest = replay->of_file[i].event[0];
    size_t first_lost = oldest + dice_below(dice, (uint32_t)(replay->at - oldest) + 1);

    for (size_t i = 0; i < names.count; i++) {
        const struct entry *entry = &names.entry[i];
        const struct content *durable = &replay->file[entry->file];
        struct content content = {0};
        if (durable->size > 0)
            content_write(&content, 0, durable->bytes, durable->size);
        suffer(&content, &replay->of_file[entry->file],
               fate == FATES ? (enum fate)dice_below(dice, FATES) : fate, first_lost, dice);
        char path[3 * PATH_MAX];
        const char *dir = rec.dirs[entry->dir];
        snprintf(path, sizeof path, "%s/%s%s%s", into, dir, *dir ? "/" : "", entry->name);
        save(path, &content);
        free(content.bytes);
    }
    free(names.entry);
    return fate_words[fate];
}
