/* s3_answer_fuzz.c - any bytes as an answer of S3, and as a Content-Range.
 *
 * The first byte says as what.  Nothing may come out that the contract does not
 * have: more keys than asked for, text longer than it came, words with blanks.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... && ./s3_answer_fuzz test/fuzz/seeds/s3_answer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/s3_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { LIMIT = 4 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_list(struct str input, struct arena *arena)
{
    struct s3_page page;
    struct err err = {0};
    size_t sum = 0;
    if (s3_answer_list(input, LIMIT, arena, &page, &err)) {
        require(err.code == ERR_UNAVAILABLE && err.text[0]);
        return;
    }
    require(page.count <= LIMIT);
    for (size_t i = 0; i < page.count; i++)
        sum += page.keys[i].len;
    require(sum + page.token.len < input.len);
}

static void check_error(struct str input)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    struct s3_error error;
    bool is_one = s3_answer_error(input, &error);
    require(is_one == (error.code[0] != '\0'));
    require(strspn(error.code, plain) == strlen(error.code));
    require(strspn(error.region, plain) == strlen(error.region));
}

static void check_upload(struct str input, struct arena *arena)
{
    struct str id;
    if (s3_answer_upload(input, arena, &id, NULL) == 0)
        require(id.len > 0 && id.len < input.len);
    require(!s3_answer_completed(input) || s3_answer_upload(input, arena, &id, NULL) != 0);
}

static void check_range(struct str input)
{
    struct s3_range range;
    if (!s3_answer_range(input, &range))
        return;
    require(range.first <= range.last);
    require(!range.has_bytes || !range.has_total || range.last < range.total);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len == 0)
        return 0;
    struct arena *arena = arena_new(1024);
    struct str input = {(const char *)bytes + 1, len - 1};
    switch (bytes[0]) {
    case 'l':
        check_list(input, arena);
        break;
    case 'e':
        check_error(input);
        break;
    case 'u':
        check_upload(input, arena);
        break;
    default:
        check_range(input);
        break;
    }
    arena_free(arena);
    return 0;
}
