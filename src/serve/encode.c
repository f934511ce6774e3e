/* encode.c - see encode.h. */
#include "serve/encode.h"

#include "base/buf.h"
#include "wire/splice.h"

static struct buf *plain(const struct splice *splice)
{
    struct buf *answer = buf_new(1 + splice->size);
    if (!answer)
        return NULL;
    answer->at[answer->len++] = CODING_IDENTITY;
    for (size_t i = 0; i < splice->count; i++) {
        memcpy(answer->at + answer->len, splice->parts[i].at, splice->parts[i].len);
        answer->len += splice->parts[i].len;
    }
    return answer;
}

struct buf *encode_answer(const struct splice *splice, enum coding coding)
{
    struct buf *answer = plain(splice);
    if (!answer || coding == CODING_IDENTITY || splice->size <= ENCODE_ABOVE)
        return answer;
    struct encoder *encoder = encoder_new(coding);
    struct buf *coded = encoder_step(encoder, encoded_body(answer), true);
    encoder_free(encoder);
    struct buf *result = coded && coded->len < splice->size ? buf_new(1 + coded->len) : NULL;
    if (result) {
        result->at[0] = (char)coding;
        memcpy(result->at + 1, coded->at, coded->len);
        result->len = 1 + coded->len;
        buf_unref(answer);
        answer = result;
    }
    buf_unref(coded);
    return answer;
}

bool encoded_is(const struct buf *answer, enum coding coding)
{
    return answer->len > 0 && (answer->at[0] == (char)coding || answer->at[0] == CODING_IDENTITY);
}

enum coding encoded_coding(const struct buf *answer)
{
    return (enum coding)answer->at[0];
}

struct str encoded_body(const struct buf *answer)
{
    return (struct str){answer->at + 1, answer->len - 1};
}
