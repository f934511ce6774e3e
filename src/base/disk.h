/* disk.h - the file calls whose failure we must survive, as a seam.
 *
 * Production passes &disk_real.  Tests pass one that fails, writes short or
 * forgets unsynced bytes at the call they choose (test/lib/bad_disk.h).
 * Every call follows the system call of that name: -1 and errno on failure.
 * What changes a file, a directory or what a sync has promised goes through
 * here; listing a directory does not.
 *
 * Threads  any
 * Errors   of the helpers: ERR_FULL when the disk or a quota is full, else ERR_IO
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

struct stat;
struct statvfs;

struct disk {
    int (*open)(const char *path, int flags, mode_t mode); /* also directories, to sync them */
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *bytes, size_t size, off_t at);
    ssize_t (*pwritev)(int fd, const struct iovec *iov, int iov_count, off_t at);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*fallocate)(int fd, int mode, off_t at, off_t size);
    int (*fstat)(int fd, struct stat *result);
    int (*fstatvfs)(int fd, struct statvfs *result);
    int (*link)(const char *from, const char *to);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
};

extern const struct disk disk_real;

/* Write every byte of `iov` at `at`; short and interrupted writes are carried
 * on.  The iovecs are consumed.  On failure any part may have been written. */
int disk_write(const struct disk *disk, int fd, struct iovec *iov, size_t count, uint64_t at,
               struct err *err);

/* Read until `size` bytes or the end of the file; `*got` says how many. */
int disk_read(const struct disk *disk, int fd, void *bytes, size_t size, uint64_t at, size_t *got,
              struct err *err);

/* The rest of these calls, when a signal interrupts them, are made again. */
int disk_open(const struct disk *disk, const char *path, int flags); /* mode 0640, close-on-exec */
int disk_truncate(const struct disk *disk, int fd, uint64_t size);

/* err_sys(), but a full disk or quota is ERR_FULL. */
int disk_failed(struct err *err, int sys, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
