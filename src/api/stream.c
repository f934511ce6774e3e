/* stream.c - see stream.h. */
#include "api/stream.h"

#include <assert.h>

#include "base/buf.h"

enum { SLICE = 256 << 10 };

static void turned(struct op *op);

void stream_open(struct stream *stream, struct http_request *request, enum coding coding,
                 stream_done_fn *done)
{
    *stream = (struct stream){
        .request = request,
        .encoder = coding == CODING_IDENTITY ? NULL : encoder_new(coding),
        .done = done,
        .turn = {.loop = http_loop(request), .done = turned},
    };
}

void stream_close(struct stream *stream)
{
    assert(!stream->turning);
    encoder_free(stream->encoder);
    stream->encoder = NULL;
}

static void take_turn(struct stream *stream)
{
    stream->turning = true;
    op_finish(&stream->turn);
}

void stream_send(struct stream *stream, const struct str *parts, size_t count, bool last)
{
    assert(!stream->turning && count > 0);
    stream->parts = parts;
    stream->count = count;
    stream->part = stream->at = 0;
    stream->last = last;
    take_turn(stream);
}

static struct buf *encode(struct stream *stream, struct str slice, bool end)
{
    if (stream->encoder)
        return encoder_step(stream->encoder, slice, end);
    struct buf *copy = buf_new(slice.len);
    if (copy) {
        memcpy(copy->at, slice.at, slice.len);
        copy->len = slice.len;
    }
    return copy;
}

static void turned(struct op *op)
{
    struct stream *stream = op_owner(op, struct stream, turn);
    stream->turning = false;
    if (stream->part == stream->count) {
        stream->done(stream, true);
        return;
    }
    struct str part = stream->parts[stream->part];
    size_t len = part.len - stream->at < SLICE ? part.len - stream->at : SLICE;
    struct str slice = {part.at + stream->at, len};
    stream->at += len;
    if (stream->at == part.len) {
        stream->part++;
        stream->at = 0;
    }
    bool end = stream->last && stream->part == stream->count;
    struct buf *coded = encode(stream, slice, end);
    if (!coded) {
        stream->done(stream, false);
        return;
    }
    bool room = http_write(stream->request, (struct http_piece){coded, {coded->at, coded->len}});
    if (room || stream->part == stream->count)
        take_turn(stream);
}

void stream_drained(struct stream *stream)
{
    if (!stream->turning && stream->part < stream->count)
        take_turn(stream);
}

void stream_stop(struct stream *stream)
{
    stream->part = stream->count;
}
