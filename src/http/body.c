/* body.c - see body.h.
 *
 * The chunk decoder is a machine over single bytes, so where the input is cut
 * cannot matter.  It takes what RFC 9112 section 7.1 writes and nothing else:
 * 1 to 16 hexadecimal digits (64 bits cannot overflow), no white space before
 * `;` or CR, and CR LF where they belong.  Extensions and trailers are
 * checked, bounded and dropped.
 */
#include "http/body.h"

#include <assert.h>

#include "base/err.h"

enum step {
    SIZE,      /* first or further digit of a chunk's size */
    EXTENSION, /* after the `;` */
    SIZE_LF,   /* the LF after a size */
    DATA,      /* payload: the caller's */
    DATA_CR,   /* the CR after payload */
    DATA_LF,   /* and its LF */
    TRAILER,   /* the start of a trailer line, or of the empty line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF, /* the LF of the empty line */
    END
};

enum {
    DIGITS_MAX = 16,
    EXTENSION_MAX = 1024, /* of one chunk */
    TRAILERS_MAX = 16 << 10,
    RATIO_FREE = 32 << 20 /* this much may come out of however little */
};

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_text(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* One byte of framing; the next step, or -1. */
static int next_step(struct chunks *chunks, unsigned char c)
{
    switch ((enum step)chunks->state) {
    case SIZE: {
        int digit = hex_digit(c);
        if (digit >= 0) {
            if (chunks->digits++ == DIGITS_MAX)
                return -1;
            chunks->left = chunks->left << 4 | (unsigned)digit;
            return SIZE;
        }
        if (chunks->digits == 0)
            return -1;
        chunks->extra = 0;
        return c == ';' ? EXTENSION : c == '\r' ? SIZE_LF : -1;
    }
    case EXTENSION:
        if (c == '\r')
            return SIZE_LF;
        return is_text(c) && chunks->extra++ < EXTENSION_MAX ? EXTENSION : -1;
    case SIZE_LF:
        chunks->digits = 0;
        chunks->extra = 0;
        return c != '\n' ? -1 : chunks->left > 0 ? DATA : TRAILER;
    case DATA_CR:
        return c == '\r' ? DATA_LF : -1;
    case DATA_LF:
        return c == '\n' ? SIZE : -1;
    case TRAILER:
        if (c == '\r')
            return END_LF;
        return head_token_char((char)c) && chunks->extra++ < TRAILERS_MAX ? TRAILER_NAME : -1;
    case TRAILER_NAME:
        if (chunks->extra++ == TRAILERS_MAX)
            return -1;
        return c == ':' ? TRAILER_VALUE : head_token_char((char)c) ? TRAILER_NAME : -1;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return is_text(c) && chunks->extra++ < TRAILERS_MAX ? TRAILER_VALUE : -1;
    case TRAILER_LF:
        return c == '\n' ? TRAILER : -1;
    case END_LF:
        return c == '\n' ? END : -1;
    case DATA:
    case END:
        break;
    }
    return -1;
}

enum chunks_state chunks_scan(struct chunks *chunks, struct str *in)
{
    if (chunks->state == DATA && chunks->left == 0)
        chunks->state = DATA_CR;
    while (chunks->state != DATA && chunks->state != END) {
        if (in->len == 0)
            return CHUNKS_MORE;
        int step = next_step(chunks, (unsigned char)*in->at);
        if (step < 0)
            return CHUNKS_BAD;
        chunks->state = (unsigned char)step;
        in->at++;
        in->len--;
    }
    return chunks->state == DATA ? CHUNKS_DATA : CHUNKS_END;
}

void body_open(struct body *body, const struct head *head, const struct body_limits *limits)
{
    *body = (struct body){.limits = *limits,
                          .coding = head->coding,
                          .chunked = head->chunked,
                          .chunks = {.left = head->length}};
    body->ended = !head->chunked && head->length == 0;
}

void body_close(struct body *body)
{
    decoder_free(body->decoder);
    body->decoder = NULL;
}

bool body_fits(const struct body *body, struct refusal *why)
{
    uint64_t left = body->chunks.left;
    if (body->chunked && body->chunks.state != DATA)
        left = 0; /* the size is not complete */
    const struct body_limits *limits = &body->limits;
    if (body->wire > limits->wire_max || left > limits->wire_max - body->wire)
        return refused(why, 413, "The body is larger than the limit of %zu bytes as sent",
                       limits->wire_max);
    if (body->discard)
        return true;
    if (body->coding != CODING_IDENTITY)
        left = 0; /* what it unpacks to is not known */
    if (body->decoded > limits->body_max || left > limits->body_max - body->decoded)
        return refused(why, 413, "The body is larger than the limit of %zu bytes",
                       limits->body_max);
    if (body->decoded > RATIO_FREE && body->wire < body->decoded / limits->ratio_max)
        return refused(why, 413, "The body unpacks to more than %u times its size",
                       limits->ratio_max);
    return true;
}

/* Unpack from `payload`; false when that failed. */
static bool unpack(struct body *body, struct str *payload, char *room, size_t size,
                   struct str *piece, struct refusal *why)
{
    struct err err = {0};
    size_t made = 0;
    if (!body->decoder)
        body->decoder = decoder_new(body->coding);
    int r = decoder_step(body->decoder, payload, room, size, &made, &err);
    if (r)
        return refused(why,
                       r == ERR_TOO_BIG ? 413
                       : r == ERR_BUSY  ? 503
                                        : 400,
                       "The body cannot be unpacked: %s", err.text);
    body->inside = made == size;
    *piece = (struct str){room, made};
    return true;
}

/* Nothing of the body is left. */
static enum body_event at_end(struct body *body, struct refusal *why)
{
    struct err err = {0};
    body->ended = true;
    if (body->decoder && !body->discard && decoder_end(body->decoder, &err)) {
        refused(why, 400, "The body cannot be unpacked: %s", err.text);
        return BODY_FAILED;
    }
    return BODY_END;
}

enum body_event body_next(struct body *body, struct str *in, char *room, size_t size,
                          struct str *piece, struct refusal *why)
{
    assert(!body->ended);
    for (;;) {
        if (body->chunks.left == 0 || (body->chunked && body->chunks.state != DATA)) {
            if (!body->inside || body->discard) {
                if (!body->chunked)
                    return at_end(body, why);
                size_t before = in->len;
                enum chunks_state state = chunks_scan(&body->chunks, in);
                body->wire += before - in->len;
                if (state == CHUNKS_BAD) {
                    refused(why, 400, "The body is not valid in its chunked coding");
                    return BODY_FAILED;
                }
                if (!body_fits(body, why))
                    return BODY_FAILED;
                if (state == CHUNKS_END)
                    return at_end(body, why);
                if (state == CHUNKS_MORE)
                    return BODY_MORE;
            }
        } else if (!body_fits(body, why)) {
            return BODY_FAILED;
        }

        size_t len = body->chunks.left < in->len ? (size_t)body->chunks.left : in->len;
        bool packed = body->coding != CODING_IDENTITY && !body->discard;
        if (len == 0 && !(packed && body->inside))
            return BODY_MORE;
        struct str payload = {in->at, len};
        if (!packed) {
            *piece = payload;
            payload.len = 0;
        } else if (!unpack(body, &payload, room, size, piece, why)) {
            return BODY_FAILED;
        }
        size_t used = len - payload.len;
        if (used == 0 && packed && piece->len == 0 && !body->inside && len > 0) {
            refused(why, 400, "The body cannot be unpacked: it leads nowhere");
            return BODY_FAILED; /* a decoder that neither takes nor gives would spin */
        }
        if (used > 0)
            in->at += used;
        in->len -= used;
        body->chunks.left -= used;
        body->wire += used;
        if (body->discard) {
            piece->len = 0;
            continue;
        }
        body->decoded += piece->len;
        if (!body_fits(body, why))
            return BODY_FAILED;
        if (!packed && !body->chunked && body->chunks.left == 0) {
            body->ended = true;
            return BODY_LAST;
        }
        if (piece->len > 0)
            return BODY_PIECE;
    }
}
