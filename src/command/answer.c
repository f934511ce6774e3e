/* answer.c - see answer.h. */
#include "command/answer.h"

#include <string.h>
#include <strings.h>

void answer_start(struct answer *answer)
{
    answer->body.len = answer->line.len = 0;
    *answer = (struct answer){.body = answer->body, .line = answer->line};
}

void answer_free(struct answer *answer)
{
    text_free(&answer->body);
    text_free(&answer->line);
}

static enum answer_state bad(struct answer *answer, const char *what)
{
    answer->what = what;
    return ANSWER_BAD;
}

/* Take what belongs to the line; true when its end is here (without CR LF). */
static bool take_line(struct answer *answer, struct str *piece)
{
    const char *end = memchr(piece->at, '\n', piece->len);
    size_t len = end ? (size_t)(end - piece->at) : piece->len;
    if (answer->line.len <= ANSWER_LINE_MAX) /* longer is an error anyway */
        text_add(&answer->line, (struct str){piece->at, len});
    piece->at += len + (end != NULL);
    piece->len -= len + (end != NULL);
    if (end && answer->line.len && answer->line.at[answer->line.len - 1] == '\r')
        answer->line.len--;
    return end != NULL;
}

static bool read_number(struct str s, uint64_t *result)
{
    uint64_t n = 0;
    if (s.len == 0 || s.len > 18)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        n = 10 * n + (uint64_t)(s.at[i] - '0');
    }
    *result = n;
    return true;
}

/* "HTTP/1.1 201 Created" */
static bool read_status(struct answer *answer)
{
    struct str line = text_str(&answer->line);
    uint64_t status = 0;
    if (line.len < 12 || memcmp(line.at, "HTTP/1.", 7) != 0 || line.at[8] != ' ' ||
        (line.len > 12 && line.at[12] != ' ') ||
        !read_number((struct str){line.at + 9, 3}, &status) || status < 100)
        return false;
    answer->close = line.at[7] == '0';
    answer->status = (int)status;
    return true;
}

static bool named(struct str name, const char *wanted)
{
    return name.len == strlen(wanted) && strncasecmp(name.at, wanted, name.len) == 0;
}

/* One field of the head; false when it makes the answer unclear. */
static bool read_field(struct answer *answer)
{
    struct str line = text_str(&answer->line);
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon || colon == line.at)
        return false;
    struct str name = {line.at, (size_t)(colon - line.at)};
    struct str value = {colon + 1, line.len - name.len - 1};
    while (value.len && (value.at[0] == ' ' || value.at[0] == '\t'))
        value.at++, value.len--;
    while (value.len && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
        value.len--;
    if (named(name, "content-length")) {
        uint64_t len = 0;
        if (!read_number(value, &len) || (answer->sized && len != answer->left))
            return false;
        answer->sized = true;
        answer->left = len;
    } else if (named(name, "transfer-encoding")) {
        if (!named(value, "chunked") || answer->chunked)
            return false;
        answer->chunked = true;
    } else if (named(name, "connection")) {
        answer->close |= named(value, "close");
    } else if (named(name, "retry-after")) {
        if (!read_number(value, &answer->retry_after_s))
            answer->retry_after_s = 0;
    }
    return true;
}

/* The blank line behind the head: what follows? */
static enum answer_state head_ends(struct answer *answer)
{
    if (answer->status < 200) {
        if (answer->status == 101)
            return bad(answer, "it wants to speak another protocol");
        unsigned lines = answer->lines; /* they count on, so interim answers have an end */
        answer_start(answer);
        answer->lines = lines;
        return ANSWER_MORE;
    }
    if (answer->status == 204 || answer->status == 304) {
        answer->part = ANSWER_DONE;
    } else if (answer->chunked) {
        if (answer->sized)
            return bad(answer, "it says the length of its body in two ways");
        answer->part = ANSWER_SIZE;
    } else if (!answer->sized) {
        return bad(answer, "it does not say how long its body is");
    } else if (answer->left > ANSWER_BODY_MAX) {
        return bad(answer, "its body is too long");
    } else {
        answer->part = answer->left ? ANSWER_BYTES : ANSWER_DONE;
    }
    return ANSWER_MORE;
}

static bool ends_size(char c)
{
    return c == ';' || c == ' ' || c == '\t';
}

/* "1a2b;extension" */
static enum answer_state chunk_begins(struct answer *answer)
{
    struct str line = text_str(&answer->line);
    uint64_t size = 0;
    size_t digits = 0;
    while (digits < line.len && digits < 15) {
        static const char hex[] = "0123456789abcdefABCDEF";
        const char *found = memchr(hex, line.at[digits], sizeof hex - 1);
        if (!found)
            break;
        unsigned digit = (unsigned)(found - hex);
        size = size << 4 | (digit < 16 ? digit : digit - 6);
        digits++;
    }
    if (digits == 0 || (digits < line.len && !ends_size(line.at[digits])))
        return bad(answer, "a chunk has no size");
    if (size > ANSWER_BODY_MAX - answer->body.len)
        return bad(answer, "its body is too long");
    answer->left = size;
    answer->part = size ? ANSWER_BYTES : ANSWER_TRAILER;
    return ANSWER_MORE;
}

static enum answer_state line_ends(struct answer *answer)
{
    enum answer_state state = ANSWER_MORE;
    bool blank = answer->line.len == 0;
    if (answer->part != ANSWER_SIZE && answer->part != ANSWER_CHUNK_END &&
        ++answer->lines > ANSWER_LINES_MAX)
        return bad(answer, "its head is too long");
    switch (answer->part) {
    case ANSWER_STATUS:
        if (!read_status(answer))
            return bad(answer, "it is not HTTP");
        answer->part = ANSWER_HEAD;
        break;
    case ANSWER_HEAD:
        if (blank)
            state = head_ends(answer);
        else if (!read_field(answer))
            state = bad(answer, "a field of its head is broken");
        break;
    case ANSWER_SIZE:
        state = chunk_begins(answer);
        break;
    case ANSWER_CHUNK_END:
        if (!blank)
            return bad(answer, "a chunk is longer than it says");
        answer->part = ANSWER_SIZE;
        break;
    case ANSWER_TRAILER:
        if (blank)
            answer->part = ANSWER_DONE;
        break;
    case ANSWER_BYTES:
    case ANSWER_DONE:
        break;
    }
    answer->line.len = 0;
    return state;
}

enum answer_state answer_feed(struct answer *answer, struct str piece, bool ended)
{
    while (piece.len > 0 && answer->part != ANSWER_DONE) {
        if (answer->part == ANSWER_BYTES) {
            size_t len = piece.len < answer->left ? piece.len : (size_t)answer->left;
            text_add(&answer->body, (struct str){piece.at, len});
            piece.at += len;
            piece.len -= len;
            answer->left -= len;
            if (answer->left == 0)
                answer->part = answer->chunked ? ANSWER_CHUNK_END : ANSWER_DONE;
            continue;
        }
        bool whole = take_line(answer, &piece);
        if (answer->line.len > ANSWER_LINE_MAX)
            return bad(answer, "a line of its head is too long");
        if (whole && line_ends(answer) == ANSWER_BAD)
            return ANSWER_BAD;
    }
    if (answer->part == ANSWER_DONE) {
        answer->close |= piece.len > 0 || ended; /* nobody asked for more */
        return ANSWER_WHOLE;
    }
    return ended ? bad(answer, "it ends in the middle") : ANSWER_MORE;
}
