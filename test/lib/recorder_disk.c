/* recorder_disk.c - the door for code that writes through struct disk; see recorder.h. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/recorder.h"

enum { FDS = 1024 };

/* What a descriptor is open on. */
static struct {
    int file; /* recorder_file(), or -1 */
    char *dir;
} open_on[FDS];

static int rec_open(const char *path, int flags, mode_t mode)
{
    recorder_lock();
    int fd = disk_real.open(path, flags, mode);
    if (fd >= 0) {
        if (fd >= FDS)
            abort();
        if (flags & O_CREAT)
            recorder_made(path);
        open_on[fd].file = recorder_file(path);
        open_on[fd].dir = flags & O_DIRECTORY ? strdup(path) : NULL;
        if (flags & O_TRUNC)
            recorder_sized(open_on[fd].file, 0);
    }
    recorder_unlock();
    return fd;
}

static int rec_close(int fd)
{
    recorder_lock();
    int r = disk_real.close(fd);
    free(open_on[fd].dir);
    open_on[fd].dir = NULL;
    open_on[fd].file = -1;
    recorder_unlock();
    return r;
}

static ssize_t rec_pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    recorder_lock();
    ssize_t n = disk_real.pwritev(fd, iov, count, at);
    uint64_t left = n > 0 ? (uint64_t)n : 0, to = (uint64_t)at;
    /* One event for all of it: it was one call. */
    unsigned char *all = malloc(left + 1);
    if (!all)
        abort();
    uint64_t have = 0;
    for (int i = 0; i < count && have < left; i++) {
        uint64_t piece = iov[i].iov_len < left - have ? iov[i].iov_len : left - have;
        memcpy(all + have, iov[i].iov_base, piece);
        have += piece;
    }
    recorder_wrote(open_on[fd].file, to, all, have);
    free(all);
    recorder_unlock();
    return n;
}

static int synced(int fd, int r)
{
    if (r == 0) {
        if (open_on[fd].dir)
            recorder_synced_dir(open_on[fd].dir);
        else
            recorder_synced(open_on[fd].file);
    }
    recorder_unlock();
    return r;
}

/* The real sync would only cost time: the machine does not go down. */
static int rec_sync(int fd)
{
    recorder_lock();
    return synced(fd, fcntl(fd, F_GETFD) < 0 ? -1 : 0);
}

static int rec_ftruncate(int fd, off_t size)
{
    recorder_lock();
    int r = disk_real.ftruncate(fd, size);
    if (r == 0)
        recorder_sized(open_on[fd].file, (uint64_t)size);
    recorder_unlock();
    return r;
}

static int rec_fallocate(int fd, int mode, off_t at, off_t size)
{
    recorder_lock();
    int r = disk_real.fallocate(fd, mode, at, size);
    if (r == 0 && mode == 0)
        recorder_grew(open_on[fd].file, (uint64_t)at + (uint64_t)size);
    else if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE))
        abort(); /* a mode that is not provided for */
    recorder_unlock();
    return r;
}

static int rec_link(const char *from, const char *to)
{
    recorder_lock();
    int r = disk_real.link(from, to);
    if (r == 0)
        recorder_linked(from, to);
    recorder_unlock();
    return r;
}

static int rec_rename(const char *from, const char *to)
{
    recorder_lock();
    int r = disk_real.rename(from, to);
    if (r == 0)
        recorder_renamed(from, to);
    recorder_unlock();
    return r;
}

static int rec_unlink(const char *path)
{
    recorder_lock();
    int r = disk_real.unlink(path);
    if (r == 0)
        recorder_removed(path);
    recorder_unlock();
    return r;
}

static int rec_mkdir(const char *path, mode_t mode)
{
    recorder_lock();
    int r = disk_real.mkdir(path, mode);
    if (r == 0)
        recorder_mkdir(path);
    recorder_unlock();
    return r;
}

static ssize_t rec_pread(int fd, void *bytes, size_t size, off_t at)
{
    return disk_real.pread(fd, bytes, size, at);
}

static int rec_fstat(int fd, struct stat *result)
{
    return disk_real.fstat(fd, result);
}

static int rec_fstatvfs(int fd, struct statvfs *result)
{
    return disk_real.fstatvfs(fd, result);
}

const struct disk recorder_disk = {
    .open = rec_open,
    .close = rec_close,
    .pread = rec_pread,
    .pwritev = rec_pwritev,
    .fdatasync = rec_sync,
    .fsync = rec_sync,
    .ftruncate = rec_ftruncate,
    .fallocate = rec_fallocate,
    .fstat = rec_fstat,
    .fstatvfs = rec_fstatvfs,
    .link = rec_link,
    .rename = rec_rename,
    .unlink = rec_unlink,
    .mkdir = rec_mkdir,
};
