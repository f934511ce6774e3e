/* source.c - see source.h. */
#include "command/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec.h"

enum { PIECE = 256 << 10, MAGIC = 4 };

struct source {
    int fd;
    bool owned;              /* the descriptor: to be closed */
    bool ended;              /* nothing more comes from it */
    struct decoder *decoder; /* NULL: the bytes are taken as they are */
    struct str rest;         /* read, and not given out or decoded yet */
    char piece[PIECE];
};

/* Read behind what is in `piece`. */
static int fill(struct source *source, size_t at, size_t *got, struct err *err)
{
    ssize_t n = 0;
    do {
        n = read(source->fd, source->piece + at, sizeof source->piece - at);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno, "read");
    source->ended = n == 0;
    *got = (size_t)n;
    return 0;
}

/* The first bytes decide; a pipe may give them one by one. */
static int look(struct source *source, struct err *err)
{
    static const char gzip[] = "\x1f\x8b", zstd[] = "\x28\xb5\x2f\xfd";
    size_t len = 0, got = 0;
    while (len < MAGIC && !source->ended) {
        int r = fill(source, len, &got, err);
        if (r)
            return r;
        len += got;
    }
    source->rest = (struct str){source->piece, len};
    if (len >= 2 && memcmp(source->piece, gzip, 2) == 0)
        source->decoder = decoder_new(CODING_GZIP);
    else if (len >= MAGIC && memcmp(source->piece, zstd, MAGIC) == 0)
        source->decoder = decoder_new(CODING_ZSTD);
    return 0;
}

int source_open(const char *path, struct source **result, struct err *err)
{
    struct source *source = calloc(1, sizeof *source);
    if (!source)
        abort();
    int r = 0;
    source->owned = strcmp(path, "-") != 0;
    source->fd = source->owned ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (source->fd < 0) {
        int sys = errno;
        r = err_sys(err, sys, "open %.100s", path);
        if (err && sys == ENOENT)
            r = (int)(err->code = ERR_NOT_FOUND);
    } else {
        r = look(source, err);
    }
    if (r) {
        source_close(source);
        return r;
    }
    *result = source;
    return 0;
}

void source_close(struct source *source)
{
    if (!source)
        return;
    decoder_free(source->decoder);
    if (source->owned && source->fd >= 0)
        close(source->fd);
    free(source);
}

int source_read(struct source *source, char *room, size_t size, size_t *got, struct err *err)
{
    *got = 0;
    for (;;) {
        if (source->rest.len == 0 && !source->ended) {
            size_t len = 0;
            int r = fill(source, 0, &len, err);
            if (r)
                return r;
            source->rest = (struct str){source->piece, len};
        }
        if (!source->decoder) {
            *got = source->rest.len < size ? source->rest.len : size;
            if (*got)
                memcpy(room, source->rest.at, *got);
            source->rest.at += *got;
            source->rest.len -= *got;
            return 0;
        }
        int r = decoder_step(source->decoder, &source->rest, room, size, got, err);
        if (r || *got)
            return r;
        if (source->ended && source->rest.len == 0)
            return decoder_end(source->decoder, err);
    }
}
