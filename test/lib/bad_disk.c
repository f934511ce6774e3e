/* bad_disk.c - see bad_disk.h. */
#include "lib/bad_disk.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct bad_disk_plan bad_disk_plan;

/* Count the call.  True: it fails, and errno says why. */
static bool fails(enum bad_call call)
{
    struct bad_disk_plan *p = &bad_disk_plan;
    int n = ++p->calls[call];
    bool now = p->fails_at > 0 && call == p->call &&
               (p->and_then_always ? n >= p->fails_at : n == p->fails_at);
    if (now || (p->failed && p->second == call)) {
        p->failed = true;
        errno = p->sys ? p->sys : EIO;
        return true;
    }
    if (p->interrupted && n % 2 && call != BAD_FDATASYNC && call != BAD_FSYNC && call < BAD_FSTAT) {
        errno = EINTR;
        return true;
    }
    return false;
}

static size_t shorter(size_t size)
{
    size_t most = bad_disk_plan.short_io;
    return most && size > most ? most : size;
}

static int bad_open(const char *path, int flags, mode_t mode)
{
    return fails(BAD_OPEN) ? -1 : disk_real.open(path, flags, mode);
}

static ssize_t bad_pread(int fd, void *bytes, size_t size, off_t at)
{
    return fails(BAD_PREAD) ? -1 : pread(fd, bytes, shorter(size), at);
}

static ssize_t bad_pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    if (fails(BAD_PWRITEV))
        return -1;
    if (bad_disk_plan.short_io == 0)
        return pwritev(fd, iov, count, at);
    return pwrite(fd, iov->iov_base, shorter(iov->iov_len), at);
}

static int bad_fdatasync(int fd)
{
    return fails(BAD_FDATASYNC) ? -1 : bad_disk_plan.no_sync ? 0 : fdatasync(fd);
}

static int bad_fsync(int fd)
{
    return fails(BAD_FSYNC) ? -1 : bad_disk_plan.no_sync ? 0 : fsync(fd);
}

static int bad_ftruncate(int fd, off_t size)
{
    return fails(BAD_FTRUNCATE) ? -1 : ftruncate(fd, size);
}

static int bad_fallocate(int fd, int mode, off_t at, off_t size)
{
    return fails(BAD_FALLOCATE) ? -1 : disk_real.fallocate(fd, mode, at, size);
}

static int bad_fstat(int fd, struct stat *result)
{
    return fails(BAD_FSTAT) ? -1 : fstat(fd, result);
}

static int bad_fstatvfs(int fd, struct statvfs *result)
{
    if (fails(BAD_FSTATVFS) || fstatvfs(fd, result) < 0)
        return -1;
    if (bad_disk_plan.limited) {
        result->f_frsize = 1;
        result->f_bavail = bad_disk_plan.free_bytes;
    }
    return 0;
}

static int bad_link(const char *from, const char *to)
{
    return fails(BAD_LINK) ? -1 : link(from, to);
}

static int bad_rename(const char *from, const char *to)
{
    return fails(BAD_RENAME) ? -1 : disk_real.rename(from, to);
}

static int bad_unlink(const char *path)
{
    return fails(BAD_UNLINK) ? -1 : unlink(path);
}

static int bad_mkdir(const char *path, mode_t mode)
{
    return fails(BAD_MKDIR) ? -1 : mkdir(path, mode);
}

const struct disk bad_disk = {
    .open = bad_open,
    .close = close,
    .pread = bad_pread,
    .pwritev = bad_pwritev,
    .fdatasync = bad_fdatasync,
    .fsync = bad_fsync,
    .ftruncate = bad_ftruncate,
    .fallocate = bad_fallocate,
    .fstat = bad_fstat,
    .fstatvfs = bad_fstatvfs,
    .link = bad_link,
    .rename = bad_rename,
    .unlink = bad_unlink,
    .mkdir = bad_mkdir,
};
