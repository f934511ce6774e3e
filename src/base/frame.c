/* frame.c - see frame.h. */
#include "base/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/bytes.h"

struct frame_packer {
    ZSTD_CCtx *context;
};

struct frame_opener {
    ZSTD_DCtx *context;
};

struct frame_packer *frame_packer_new(int level)
{
    struct frame_packer *packer = calloc(1, sizeof *packer);
    if (!packer || !(packer->context = ZSTD_createCCtx()))
        abort();
    ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(packer->context, ZSTD_c_checksumFlag, 1);
    return packer;
}

void frame_packer_free(struct frame_packer *packer)
{
    if (!packer)
        return;
    ZSTD_freeCCtx(packer->context);
    free(packer);
}

size_t frame_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

size_t frame_pack(struct frame_packer *packer, struct str in, char *room)
{
    size_t made = ZSTD_compress2(packer->context, room, frame_bound(in.len), in.at, in.len);
    if (ZSTD_isError(made))
        abort(); /* there is room: only memory can be short */
    return made;
}

struct frame_opener *frame_opener_new(void)
{
    struct frame_opener *opener = calloc(1, sizeof *opener);
    if (!opener || !(opener->context = ZSTD_createDCtx()))
        abort();
    return opener;
}

void frame_opener_free(struct frame_opener *opener)
{
    if (!opener)
        return;
    ZSTD_freeDCtx(opener->context);
    free(opener);
}

int frame_open(struct frame_opener *opener, struct str frame, char *room, size_t size,
               struct err *err)
{
    size_t whole = 0, got;
    if (frame_measure(frame, &whole) != frame.len || whole < size)
        return err_set(err, ERR_CORRUPT, "not a whole zstd frame of %zu bytes", size);
    if (size == whole) {
        got = ZSTD_decompressDCtx(opener->context, room, size, frame.at, frame.len);
    } else {
        ZSTD_outBuffer out = {room, size, 0};
        ZSTD_inBuffer in = {frame.at, frame.len, 0};
        ZSTD_DCtx_reset(opener->context, ZSTD_reset_session_only);
        do
            got = ZSTD_decompressStream(opener->context, &out, &in);
        while (!ZSTD_isError(got) && out.pos < size && in.pos < in.size);
        got = ZSTD_isError(got) ? got : out.pos;
    }
    if (ZSTD_isError(got))
        return err_set(err, ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(got));
    return got == size ? 0 : err_set(err, ERR_CORRUPT, "zstd: %zu bytes of %zu", got, size);
}

size_t frame_measure(struct str bytes, size_t *size)
{
    /* The library may know frames of before RFC 8878, which begin otherwise. */
    if (bytes.len < 4 || get_u32(bytes.at) != ZSTD_MAGICNUMBER)
        return 0;
    unsigned long long content = ZSTD_getFrameContentSize(bytes.at, bytes.len);
    if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR)
        return 0;
    size_t length = ZSTD_findFrameCompressedSize(bytes.at, bytes.len);
    if (ZSTD_isError(length))
        return 0;
    *size = (size_t)content;
    return length;
}
