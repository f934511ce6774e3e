/* scratch.c - see scratch.h. */
#include "lib/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what, const char *path)
{
    fprintf(stderr, "scratch: %s %s: ", what, path);
    perror(NULL);
    exit(1);
}

struct scratch scratch_new(void)
{
    struct scratch dir;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir.path, sizeof dir.path, "%s/rundlet-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir.path))
        die("make", dir.path);
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_remove(const struct scratch *dir)
{
    if (nftw(dir->path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die("remove", dir->path);
}

struct str scratch_str(const struct scratch *dir)
{
    return (struct str){dir->path, strlen(dir->path)};
}

const char *scratch_at(const struct scratch *dir, const char *name)
{
    static char path[2 * SCRATCH_PATH];
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    return path;
}

char *scratch_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st) < 0)
        die("open", path);
    *size = (size_t)st.st_size;
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size)
        die("read", path);
    fclose(file);
    return bytes;
}

void scratch_write(const char *path, const void *bytes, size_t size)
{
    /* Not O_TRUNC: some file systems write out a file at once that was emptied. */
    int fd = open(path, O_WRONLY | O_CREAT, 0640);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || ftruncate(fd, (off_t)size) < 0 ||
        close(fd) < 0)
        die("write", path);
}

bool scratch_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
