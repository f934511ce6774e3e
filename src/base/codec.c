/* codec.c - see codec.h.
 *
 * Both libraries stop at the end of a member (gzip) or frame (zstd).  Whether
 * the stream may end there, or another one begins, is decided here: `between`
 * is true at such a border, and `frames` counts what was completed.
 *
 * libzstd as packaged also decodes the formats of before 1.0, with decoders
 * nobody looks at any more.  Hostile input must not reach them, so the magic
 * number of every frame is checked before the library sees it.
 */
#define ZLIB_CONST 1 /* zlib.h: input is const */

#include "base/codec.h"

#include <assert.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/buf.h"

enum { WINDOW_LOG = 27, GZIP_WINDOW = 15 + 16 /* 16: a gzip wrapper and no other */ };

struct decoder {
    enum coding coding;
    z_stream gzip;
    ZSTD_DCtx *zstd;
    uint64_t frames;    /* complete ones, empty ones included */
    bool between;       /* nothing of the next frame was seen */
    unsigned char seen; /* bytes of this frame's magic number that were checked */
    bool skippable;     /* zstd: a frame whose content is to be ignored */
};

struct decoder *decoder_new(enum coding coding)
{
    assert(coding == CODING_GZIP || coding == CODING_ZSTD);
    struct decoder *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->coding = coding;
    d->between = true;
    if (coding == CODING_GZIP) {
        if (inflateInit2(&d->gzip, GZIP_WINDOW) != Z_OK)
            abort();
    } else {
        d->zstd = ZSTD_createDCtx();
        if (!d->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, WINDOW_LOG)))
            abort();
    }
    return d;
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->coding == CODING_GZIP)
        inflateEnd(&decoder->gzip);
    else
        ZSTD_freeDCtx(decoder->zstd);
    free(decoder);
}

/* One call of inflate(); `in` is not empty unless output is still inside. */
static int inflate_some(struct decoder *d, struct str *in, char *room, size_t size, size_t *made,
                        struct err *err)
{
    if (d->between && in->len > 0) {
        if (d->frames > 0 && inflateReset(&d->gzip) != Z_OK)
            return err_set(err, ERR_INVALID, "gzip: cannot start another member");
        d->between = false;
    }
    if (d->between)
        return 0;
    uInt give = in->len > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)in->len;
    uInt take = size > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)size;
    d->gzip.next_in = (const Bytef *)in->at;
    d->gzip.avail_in = give;
    d->gzip.next_out = (Bytef *)room;
    d->gzip.avail_out = take;
    int r = inflate(&d->gzip, Z_NO_FLUSH);
    size_t used = give - d->gzip.avail_in;
    in->at += used;
    in->len -= used;
    *made = take - d->gzip.avail_out;
    switch (r) {
    case Z_STREAM_END:
        d->between = true;
        d->frames++;
        return 0;
    case Z_OK:
    case Z_BUF_ERROR: /* no progress was possible: input is wanted */
        return 0;
    case Z_MEM_ERROR:
        return err_set(err, ERR_BUSY, "gzip: no memory");
    default:
        return err_set(err, ERR_INVALID, "gzip: %s", d->gzip.msg ? d->gzip.msg : "corrupt data");
    }
}

/* Check the bytes of the magic number as they come. */
static int check_magic(struct decoder *d, struct str in, struct err *err)
{
    static const unsigned char frame[4] = {0x28, 0xb5, 0x2f, 0xfd};
    static const unsigned char skip[4] = {0x50, 0x2a, 0x4d, 0x18};
    for (size_t i = 0; i < in.len && d->seen < 4; i++) {
        unsigned char byte = (unsigned char)in.at[i];
        if (d->seen == 0)
            d->skippable = (byte & 0xf0) == skip[0];
        unsigned char expected = d->skippable ? skip[d->seen] : frame[d->seen];
        if (d->seen == 0 && d->skippable)
            expected = byte; /* the low half may be anything */
        if (byte != expected)
            return err_set(err, ERR_INVALID, "zstd: %s",
                           d->frames ? "trailing bytes that are no frame" : "not a zstd frame");
        d->seen++;
    }
    return 0;
}

/* One call of ZSTD_decompressStream(). */
static int unzstd_some(struct decoder *d, struct str *in, char *room, size_t size, size_t *made,
                       struct err *err)
{
    if (in->len > 0) {
        d->between = false;
        if (d->seen < 4 && check_magic(d, *in, err))
            return ERR_INVALID;
    }
    if (d->between)
        return 0;
    ZSTD_inBuffer source = {in->at, in->len, 0};
    ZSTD_outBuffer target = {room, size, 0};
    size_t r = ZSTD_decompressStream(d->zstd, &target, &source);
    in->at += source.pos;
    in->len -= source.pos;
    *made = target.pos;
    if (!ZSTD_isError(r)) {
        if (r == 0) {
            d->between = true;
            d->seen = 0;
            d->frames++;
        }
        return 0;
    }
    ZSTD_ErrorCode code = ZSTD_getErrorCode(r);
    if (code == ZSTD_error_frameParameter_windowTooLarge)
        return err_set(err, ERR_TOO_BIG, "zstd: the window is larger than 2^%d bytes", WINDOW_LOG);
    if (code == ZSTD_error_memory_allocation)
        return err_set(err, ERR_BUSY, "zstd: no memory");
    return err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorString(code));
}

int decoder_step(struct decoder *decoder, struct str *in, char *room, size_t size, size_t *made,
                 struct err *err)
{
    assert(size > 0);
    if (in->len == 0)
        *in = STR(""); /* never NULL */
    size_t total = 0;
    size_t before = 0;
    size_t some = 0;
    int r = 0;
    *made = 0;
    do {
        before = in->len;
        some = 0;
        r = decoder->coding == CODING_GZIP
                ? inflate_some(decoder, in, room + total, size - total, &some, err)
                : unzstd_some(decoder, in, room + total, size - total, &some, err);
        if (r)
            return r;
        total += some;
    } while (total < size && (some > 0 || in->len < before));
    *made = total;
    return 0;
}

int decoder_end(const struct decoder *decoder, struct err *err)
{
    if (decoder->between && decoder->frames > 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s: the data is cut short",
                   decoder->coding == CODING_GZIP ? "gzip" : "zstd");
}

enum {
    SAMPLE = 16 << 10,  /* bytes looked at, ... */
    SAMPLED = 64 << 10, /* of a piece of at least so many */
    FLAT = 56           /* as if so many letters were in it, all as often */
};

struct encoder {
    enum coding coding;
    z_stream gzip;
    int strategy;
    ZSTD_CCtx *zstd;
    bool started;
};

struct encoder *encoder_new(enum coding coding)
{
    assert(coding == CODING_GZIP || coding == CODING_ZSTD);
    struct encoder *e = calloc(1, sizeof *e);
    if (!e)
        abort();
    e->coding = coding;
    if (coding == CODING_GZIP) {
        if (deflateInit2(&e->gzip, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            abort();
        e->strategy = Z_DEFAULT_STRATEGY;
    } else {
        e->zstd = ZSTD_createCCtx();
        if (!e->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, 1)) ||
            ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_checksumFlag, 1)))
            abort();
    }
    return e;
}

void encoder_free(struct encoder *encoder)
{
    if (!encoder)
        return;
    if (encoder->coding == CODING_GZIP)
        deflateEnd(&encoder->gzip);
    else
        ZSTD_freeCCtx(encoder->zstd);
    free(encoder);
}

/* A copy of `buf` with another capacity; takes over the reference. */
static struct buf *resized(struct buf *buf, size_t cap)
{
    struct buf *result = buf_new(cap);
    if (result) {
        memcpy(result->at, buf->at, buf->len);
        result->len = buf->len;
    }
    buf_unref(buf);
    return result;
}

/* Images and such in base64: all letters are as frequent, and nothing comes again. */
static bool is_flat(struct str in)
{
    uint32_t counts[256] = {0};
    const unsigned char *from = (const unsigned char *)in.at + (in.len - SAMPLE) / 2;
    uint64_t squares = 0;
    for (size_t i = 0; i < SAMPLE; i++)
        counts[from[i]]++;
    for (size_t i = 0; i < 256; i++)
        squares += (uint64_t)counts[i] * counts[i];
    return squares * FLAT < (uint64_t)SAMPLE * SAMPLE;
}

/* To look for what comes again takes gzip four times as long as all the rest: where nothing
 * does, as far as can be seen, it does not look. */
static void choose_strategy(struct encoder *e, struct str in, struct buf *out)
{
    if (e->coding != CODING_GZIP || in.len < SAMPLED)
        return;
    int strategy = is_flat(in) ? Z_HUFFMAN_ONLY : Z_DEFAULT_STRATEGY;
    if (strategy == e->strategy)
        return;
    e->gzip.next_in = (const Bytef *)in.at;
    e->gzip.avail_in = 0;
    e->gzip.next_out = (Bytef *)out->at;
    e->gzip.avail_out = out->cap > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)out->cap;
    uInt room = e->gzip.avail_out;
    if (deflateParams(&e->gzip, 1, strategy) == Z_OK)
        e->strategy = strategy; /* else there was no room, and it is as it was */
    out->len = room - e->gzip.avail_out;
}

/* Fill what is left of `out`; true when all of `in` was taken and, with
 * `last`, the stream is finished. */
static bool deflate_some(struct encoder *e, struct str *in, bool last, struct buf *out)
{
    size_t room = out->cap - out->len;
    uInt give = in->len > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)in->len;
    uInt take = room > UINT_MAX / 2 ? UINT_MAX / 2 : (uInt)room;
    bool final = last && give == in->len;
    e->gzip.next_in = (const Bytef *)in->at;
    e->gzip.avail_in = give;
    e->gzip.next_out = (Bytef *)out->at + out->len;
    e->gzip.avail_out = take;
    int r = deflate(&e->gzip, final ? Z_FINISH : Z_NO_FLUSH);
    assert(r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR);
    in->at += give - e->gzip.avail_in;
    in->len -= give - e->gzip.avail_in;
    out->len += take - e->gzip.avail_out;
    return last ? r == Z_STREAM_END : in->len == 0;
}

/* The same; `failed` when the library has no memory, its only cause here. */
static bool zstd_some(struct encoder *e, struct str *in, bool last, struct buf *out, bool *failed)
{
    if (!e->started && last) /* the whole is known: a small answer gets a small window */
        ZSTD_CCtx_setPledgedSrcSize(e->zstd, in->len);
    e->started = true;
    ZSTD_inBuffer source = {in->at, in->len, 0};
    ZSTD_outBuffer target = {out->at, out->cap, out->len};
    size_t r = ZSTD_compressStream2(e->zstd, &target, &source, last ? ZSTD_e_end : ZSTD_e_continue);
    *failed = ZSTD_isError(r);
    in->at += source.pos;
    in->len -= source.pos;
    out->len = target.pos;
    return last ? r == 0 : in->len == 0;
}

struct buf *encoder_step(struct encoder *encoder, struct str in, bool last)
{
    assert(in.len <= SIZE_MAX / 4);
    if (in.len == 0)
        in = STR(""); /* never NULL */
    struct buf *out = buf_new(in.len / 2 + 512);
    bool failed = false;
    if (out)
        choose_strategy(encoder, in, out);
    while (out) {
        bool done = encoder->coding == CODING_GZIP ? deflate_some(encoder, &in, last, out)
                                                   : zstd_some(encoder, &in, last, out, &failed);
        if (failed)
            return buf_unref(out);
        if (done)
            break;
        if (out->len == out->cap)
            out = resized(out, out->cap * 2);
    }
    /* What comes out may be cached for a day: do not keep room it does not use. */
    if (out && out->cap - out->len > out->len / 4 + 512)
        out = resized(out, out->len);
    return out;
}
