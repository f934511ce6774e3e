/* err_test.c - a code for the caller, one line for the person, always ended. */
#include "base/err.h"

#include <errno.h>

#include "lib/check.h"

TEST(setting_gives_the_code_and_the_text)
{
    struct err err = {.sys = 5};

    CHECK(err_set(&err, ERR_TOO_BIG, "batch of %d bytes", 7) == ERR_TOO_BIG);

    CHECK(err.code == ERR_TOO_BIG && err.sys == 0);
    CHECK(strcmp(err.text, "batch of 7 bytes") == 0);
}

TEST(a_failed_system_call_says_why)
{
    struct err err = {0};

    CHECK(err_sys(&err, ENOSPC, "write %s", "a") == ERR_IO);

    CHECK(err.code == ERR_IO && err.sys == ENOSPC);
    CHECK(strcmp(err.text, "write a: No space left on device") == 0);
}

TEST(wrapping_puts_context_in_front_and_keeps_code_and_errno)
{
    struct err err = {0};
    err_sys(&err, ENOENT, "open x");

    CHECK(err_wrap(&err, "segment %d", 7) == ERR_IO);

    CHECK(err.sys == ENOENT);
    CHECK(strcmp(err.text, "segment 7: open x: No such file or directory") == 0);
}

/* Wherever the end of the room falls, the text is a prefix of the whole. */
TEST(a_text_too_long_is_cut_and_ended)
{
    for (int len = 0; len < 400; len++) {
        char context[401], whole[1024];
        memset(context, 'c', sizeof context);
        context[len] = '\0';
        snprintf(whole, sizeof whole, "%s: inner", context);
        struct err err = {0};
        memset(err.text, 'x', sizeof err.text);
        err_set(&err, ERR_BUSY, "inner");

        CHECK(err_wrap(&err, "%s", context) == ERR_BUSY);

        size_t room = sizeof err.text - 1;
        CHECK(strlen(err.text) == (strlen(whole) < room ? strlen(whole) : room));
        CHECK(strncmp(err.text, whole, strlen(err.text)) == 0);
    }
}

TEST(no_err_is_needed_when_only_the_code_matters)
{
    CHECK(err_set(NULL, ERR_CONFLICT, "x") == ERR_CONFLICT);
    CHECK(err_sys(NULL, EIO, "x") == ERR_IO);
}

TEST(each_code_has_a_word_of_its_own)
{
    for (int a = 0; a < ERR_CODES; a++) {
        CHECK(err_word((enum err_code)a)[0] != '\0');
        for (int b = 0; b < a; b++)
            CHECK(strcmp(err_word((enum err_code)a), err_word((enum err_code)b)) != 0);
    }
    CHECK(strcmp(err_word(ERR_CODES), "unknown") == 0);
}
