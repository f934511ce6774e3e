/* encode.c - see encode.h. */
#include "serve/encode.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "wire/splice.h"

enum { HEAD = 9 };

static void begin(struct buf *answer, enum coding coding, uint64_t mark)
{
    answer->at[0] = (char)coding;
    put_u64(answer->at + 1, mark);
    answer->len = HEAD;
}

static struct buf *plain(const struct splice *splice, uint64_t mark)
{
    struct buf *answer = buf_new(HEAD + splice->size);
    if (!answer)
        return NULL;
    begin(answer, CODING_IDENTITY, mark);
    for (size_t i = 0; i < splice->count; i++) {
        memcpy(answer->at + answer->len, splice->parts[i].at, splice->parts[i].len);
        answer->len += splice->parts[i].len;
    }
    return answer;
}

struct buf *encode_answer(const struct splice *splice, enum coding coding, uint64_t mark)
{
    struct buf *answer = plain(splice, mark);
    if (!answer || coding == CODING_IDENTITY || splice->size <= ENCODE_ABOVE)
        return answer;
    struct encoder *encoder = encoder_new(coding);
    struct buf *coded = encoder_step(encoder, encoded_body(answer), true);
    encoder_free(encoder);
    struct buf *result = coded && coded->len < splice->size ? buf_new(HEAD + coded->len) : NULL;
    if (result) {
        begin(result, coding, mark);
        memcpy(result->at + HEAD, coded->at, coded->len);
        result->len += coded->len;
        buf_unref(answer);
        answer = result;
    }
    buf_unref(coded);
    return answer;
}

bool encoded_is(const struct buf *answer, enum coding coding, uint64_t mark)
{
    return answer->len >= HEAD &&
           (answer->at[0] == (char)coding || answer->at[0] == CODING_IDENTITY) &&
           encoded_mark(answer) == mark;
}

enum coding encoded_coding(const struct buf *answer)
{
    return (enum coding)answer->at[0];
}

uint64_t encoded_mark(const struct buf *answer)
{
    return get_u64(answer->at + 1);
}

struct str encoded_body(const struct buf *answer)
{
    return (struct str){answer->at + HEAD, answer->len - HEAD};
}
