/* identity.c - see identity.h. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int write_new(const char *dir, const char *path, const char *id, struct err *err)
{
    char tmp[4200];
    int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof tmp)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;
    if (fd < 0 || dir_fd < 0 || write(fd, id, IDENTITY) != IDENTITY || fsync(fd) != 0 ||
        rename(tmp, path) != 0 || fsync(dir_fd) != 0)
        r = err_sys(err, errno, "write %.100s", path);
    if (fd >= 0)
        close(fd);
    if (dir_fd >= 0)
        close(dir_fd);
    return r;
}

static int make_id(char id[IDENTITY + 1], struct err *err)
{
    unsigned char random[IDENTITY / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_set(err, ERR_UNAVAILABLE, "no random bytes for an id");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(id + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int identity_read(const char *dir, bool make, char id[IDENTITY + 1], struct err *err)
{
    char path[4200];
    id[0] = '\0';
    int len = snprintf(path, sizeof path, "%s/id", dir);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return err_sys(err, errno, "open %.100s", path);
    if (fd < 0) {
        int r = make ? make_id(id, err) : 0;
        return r || !make ? r : write_new(dir, path, id, err);
    }
    ssize_t got = read(fd, id, IDENTITY);
    close(fd);
    id[IDENTITY] = '\0';
    if (got != IDENTITY || strspn(id, "0123456789abcdef") != IDENTITY)
        return err_set(err, ERR_CORRUPT, "%.100s is not what was written there", path);
    return 0;
}
