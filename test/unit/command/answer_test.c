/* answer_test.c - what HTTP servers answer, and what they should not. */
#include <stdlib.h>

#include "command/answer.h"
#include "lib/check.h"

/* Fed in pieces of `size`; the server closes behind the last when `ended`. */
static enum answer_state feed(struct answer *answer, struct str bytes, size_t size, bool ended)
{
    enum answer_state state = ANSWER_MORE;
    while (bytes.len > 0 && state == ANSWER_MORE) {
        size_t len = size < bytes.len ? size : bytes.len;
        char *copy = malloc(len);
        if (!copy)
            abort();
        memcpy(copy, bytes.at, len);
        state = answer_feed(answer, (struct str){copy, len}, false);
        free(copy);
        bytes.at += len;
        bytes.len -= len;
    }
    return state == ANSWER_MORE && ended ? answer_feed(answer, STR(""), true) : state;
}

static void check_whole(struct str bytes, int status, const char *body)
{
    for (size_t size = 1; size <= bytes.len; size++) {
        struct answer answer = {0};
        answer_start(&answer);
        CHECK(feed(&answer, bytes, size, false) == ANSWER_WHOLE);
        CHECK(answer.status == status);
        CHECK(str_eq(text_str(&answer.body), (struct str){body, strlen(body)}));
        answer_free(&answer);
    }
}

static void check_bad(struct str bytes)
{
    for (size_t size = 1; size <= bytes.len; size++) {
        struct answer answer = {0};
        answer_start(&answer);
        CHECK(feed(&answer, bytes, size, true) == ANSWER_BAD);
        CHECK(answer.what != NULL);
        answer_free(&answer);
    }
}

TEST(a_body_with_a_length_is_read_however_it_is_cut)
{
    check_whole(STR("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
                    "content-length:  11 \r\n\r\nhello world"),
                201, "hello world");
    check_whole(STR("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), 200, "");
    check_whole(STR("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), 200, "ok");
    check_whole(STR("HTTP/1.1 204 No Content\r\n\r\n"), 204, "");
}

TEST(a_body_in_chunks_is_read_however_it_is_cut)
{
    check_whole(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5;x=1\r\nhello\r\n00C\r\n wide\r\nworld\r\n0\r\nTrailer: x\r\n\r\n"),
                200, "hello wide\r\nworld");
}

TEST(interim_answers_are_passed_over)
{
    check_whole(STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                    "HTTP/1.1 422 Unprocessable\r\nContent-Length: 2\r\n\r\n{}"),
                422, "{}");
}

TEST(it_is_seen_whether_the_connection_goes_on)
{
    const struct {
        struct str head;
        bool close;
    } cases[] = {
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), false},
        {STR("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"), false},
        {STR("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx"), true},
        {STR("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), true},
        {STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy"), true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct answer answer = {0};
        answer_start(&answer);
        CHECK(answer_feed(&answer, cases[i].head, false) == ANSWER_WHOLE);
        CHECK(answer.close == cases[i].close);
        answer_free(&answer);
    }
}

TEST(the_time_to_wait_is_read)
{
    struct answer answer = {0};
    answer_start(&answer);
    CHECK(answer_feed(&answer,
                      STR("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"),
                      false) == ANSWER_WHOLE);
    CHECK(answer.retry_after_s == 7);

    answer_start(&answer);
    CHECK(answer_feed(&answer,
                      STR("HTTP/1.1 429 Slow\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n"
                          "Content-Length: 0\r\n\r\n"),
                      false) == ANSWER_WHOLE);
    CHECK(answer.retry_after_s == 0);
    answer_free(&answer);
}

TEST(an_answer_that_is_unclear_or_cut_short_is_refused)
{
    check_bad(STR("SSH-2.0-OpenSSH_9.2\r\n"));
    check_bad(STR("HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"));
    check_bad(STR("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\n\r\nuntil the end"));
    check_bad(STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour"));
    check_bad(STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"));
    check_bad(STR("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n"
                  "\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"));
    check_bad(STR("HTTP/1.1 101 Switching\r\n\r\n"));
    check_bad(STR("HTTP/1.1 200 OK\r\nContent-Le"));
}

TEST(a_head_without_end_is_refused)
{
    struct answer answer = {0};
    enum answer_state state = ANSWER_MORE;
    answer_start(&answer);
    for (int i = 0; i < 1000 && state == ANSWER_MORE; i++)
        state = answer_feed(&answer, STR("HTTP/1.1 100 Continue\r\n\r\n"), false);
    CHECK(state == ANSWER_BAD);

    answer_start(&answer);
    state = answer_feed(&answer, STR("HTTP/1.1 200 OK\r\nX: "), false);
    for (int i = 0; i < 10000 && state == ANSWER_MORE; i++)
        state = answer_feed(&answer, STR("xxxxxxxxxx"), false);
    CHECK(state == ANSWER_BAD);
    answer_free(&answer);
}

TEST(an_answer_can_follow_an_answer)
{
    struct answer answer = {0};
    for (int i = 0; i < 3; i++) {
        answer_start(&answer);
        CHECK(answer_feed(&answer, STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), false) ==
              ANSWER_WHOLE);
        CHECK(str_eq(text_str(&answer.body), STR("abc")));
    }
    answer_free(&answer);
}
