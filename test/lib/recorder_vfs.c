/* recorder_vfs.c - the door for SQLite's own files; see recorder.h.
 *
 * A shim over the default VFS.  What SQLite does without saying so is known
 * from its unix VFS: the first sync of a journal or WAL that it made also
 * syncs the directory.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/recorder.h"

struct file {
    sqlite3_file base;
    sqlite3_file *real;
    int number; /* recorder_file(), or -1 */
    const char *path;
    bool sync_dir;
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct file *)file)->real;
}

static int f_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int f_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    return real_of(file)->pMethods->xRead(real_of(file), bytes, size, at);
}

static int f_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    recorder_lock();
    int r = real_of(file)->pMethods->xWrite(real_of(file), bytes, size, at);
    if (r == SQLITE_OK)
        recorder_wrote(((struct file *)file)->number, (uint64_t)at, bytes, (size_t)size);
    recorder_unlock();
    return r;
}

static int f_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    recorder_lock();
    int r = real_of(file)->pMethods->xTruncate(real_of(file), size);
    if (r == SQLITE_OK)
        recorder_sized(((struct file *)file)->number, (uint64_t)size);
    recorder_unlock();
    return r;
}

/* The real sync would only cost time. */
static int f_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    struct file *f = (struct file *)file;
    recorder_lock();
    recorder_synced(f->number);
    if (f->sync_dir) {
        recorder_synced_dir_of(f->path);
        f->sync_dir = false;
    }
    recorder_unlock();
    return SQLITE_OK;
}

static int f_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int f_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int f_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int f_check_lock(sqlite3_file *file, int *result)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}

static int f_control(sqlite3_file *file, int what, void *arg)
{
    /* Growing ahead would change files behind our back; it is a hint only. */
    if (what == SQLITE_FCNTL_SIZE_HINT || what == SQLITE_FCNTL_CHUNK_SIZE)
        return SQLITE_OK;
    return real_of(file)->pMethods->xFileControl(real_of(file), what, arg);
}

static int f_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int f_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int f_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **result)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, result);
}

static int f_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int f_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static int f_fetch(sqlite3_file *file, sqlite3_int64 at, int size, void **result)
{
    return real_of(file)->pMethods->xFetch(real_of(file), at, size, result);
}

static int f_unfetch(sqlite3_file *file, sqlite3_int64 at, void *page)
{
    return real_of(file)->pMethods->xUnfetch(real_of(file), at, page);
}

static const sqlite3_io_methods methods = {
    .iVersion = 3,
    .xClose = f_close,
    .xRead = f_read,
    .xWrite = f_write,
    .xTruncate = f_truncate,
    .xSync = f_sync,
    .xFileSize = f_size,
    .xLock = f_lock,
    .xUnlock = f_unlock,
    .xCheckReservedLock = f_check_lock,
    .xFileControl = f_control,
    .xSectorSize = f_sector_size,
    .xDeviceCharacteristics = f_device,
    .xShmMap = f_shm_map,
    .xShmLock = f_shm_lock,
    .xShmBarrier = f_shm_barrier,
    .xShmUnmap = f_shm_unmap,
    .xFetch = f_fetch,
    .xUnfetch = f_unfetch,
};

static int v_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags,
                  int *out_flags)
{
    (void)vfs;
    struct file *f = (struct file *)file;
    *f = (struct file){.number = -1, .path = path};
    f->real = (sqlite3_file *)(void *)(f + 1);
    memset(f->real, 0, (size_t)real_vfs->szOsFile);
    bool kept = path && !(flags & (SQLITE_OPEN_DELETEONCLOSE | SQLITE_OPEN_TEMP_DB));

    recorder_lock();
    bool there = kept && recorder_file(path) >= 0;
    int r = real_vfs->xOpen(real_vfs, path, f->real, flags, out_flags);
    if (f->real->pMethods) {
        if (f->real->pMethods->iVersion < 3)
            abort(); /* a default VFS that has neither WAL nor mmap */
        f->base.pMethods = &methods;
    }
    if (r == SQLITE_OK && kept) {
        if (flags & SQLITE_OPEN_CREATE)
            recorder_made(path);
        f->number = recorder_file(path);
        f->sync_dir =
            !there && (flags & SQLITE_OPEN_CREATE) &&
            (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL));
    }
    recorder_unlock();
    return r;
}

static int v_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    recorder_lock();
    int r = real_vfs->xDelete(real_vfs, path, 0);
    if (r == SQLITE_OK) {
        recorder_removed(path);
        if (sync_dir)
            recorder_synced_dir_of(path);
    }
    recorder_unlock();
    return r;
}

static int v_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    (void)vfs;
    return real_vfs->xAccess(real_vfs, path, flags, result);
}

static int v_full_path(sqlite3_vfs *vfs, const char *path, int size, char *result)
{
    (void)vfs;
    return real_vfs->xFullPathname(real_vfs, path, size, result);
}

void recorder_vfs_install(void)
{
    if (sqlite3_initialize() != SQLITE_OK)
        abort();
    real_vfs = sqlite3_vfs_find(NULL);
    if (!real_vfs)
        abort();
    shim = *real_vfs; /* what needs no file takes no notice of whose it is */
    shim.zName = "recorder";
    shim.pNext = NULL;
    shim.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    shim.xOpen = v_open;
    shim.xDelete = v_delete;
    shim.xAccess = v_access;
    shim.xFullPathname = v_full_path;
    if (sqlite3_vfs_register(&shim, 1) != SQLITE_OK)
        abort();
}
