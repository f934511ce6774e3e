/* disk.c - see disk.h. */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* open() is variadic, so it has no pointer of the right type. */
static int real_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

const struct disk disk_real = {
    .open = real_open,
    .close = close,
    .pread = pread,
    .pwritev = pwritev,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .fstat = fstat,
    .fstatvfs = fstatvfs,
    .link = link,
    .rename = rename,
    .unlink = unlink,
    .mkdir = mkdir,
};

int disk_failed(struct err *err, int sys, const char *format, ...)
{
    char what[128];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    err_sys(err, sys, "%s", what);
    if (sys != ENOSPC && sys != EDQUOT)
        return ERR_IO;
    if (err)
        err->code = ERR_FULL;
    return ERR_FULL;
}

int disk_write(const struct disk *disk, int fd, struct iovec *iov, size_t count, uint64_t at,
               struct err *err)
{
    while (count > 0) {
        if (iov->iov_len == 0) {
            iov++;
            count--;
            continue;
        }
        int chunk = count < IOV_MAX ? (int)count : IOV_MAX;
        ssize_t n = disk->pwritev(fd, iov, chunk, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        /* Nothing written and no reason given: a full device may say so. */
        if (n <= 0)
            return disk_failed(err, n < 0 ? errno : ENOSPC, "write at %llu",
                               (unsigned long long)at);
        at += (uint64_t)n;
        size_t left = (size_t)n;
        while (count > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return 0;
}

int disk_read(const struct disk *disk, int fd, void *bytes, size_t size, uint64_t at, size_t *got,
              struct err *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = disk->pread(fd, (char *)bytes + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read at %" PRIu64, at + done);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return 0;
}

int disk_open(const struct disk *disk, const char *path, int flags)
{
    int fd;
    do
        fd = disk->open(path, flags | O_CLOEXEC, 0640);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int disk_truncate(const struct disk *disk, int fd, uint64_t size)
{
    int r;
    do
        r = disk->ftruncate(fd, (off_t)size);
    while (r < 0 && errno == EINTR);
    return r;
}
