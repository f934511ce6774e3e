/* redis_url_test.c - what the URL of Redis may be, and what is said about others. */
#include "cache/redis_url.h"
#include "lib/check.h"

static struct redis_url parse(const char *text)
{
    struct redis_url url = {0};
    struct err err = {0};
    if (redis_url_parse(text, &url, &err)) {
        fprintf(stderr, "%s: %s\n", text, err.text);
        test_failures++;
    }
    return url;
}

TEST(a_host_is_enough)
{
    struct redis_url url = parse("redis://cache.internal");
    CHECK(strcmp(url.host, "cache.internal") == 0);
    CHECK(url.port == 6379 && url.database == 0);
    CHECK(!url.has_password && url.user[0] == '\0');
    CHECK(parse("redis://h/").database == 0);
}

TEST(all_parts_are_taken)
{
    struct redis_url url = parse("redis://me:secret@10.0.0.7:7000/15");
    CHECK(strcmp(url.host, "10.0.0.7") == 0);
    CHECK(url.port == 7000 && url.database == 15);
    CHECK(strcmp(url.user, "me") == 0 && strcmp(url.password, "secret") == 0);
    CHECK(url.has_password);

    url = parse("redis://:only@[fe80::1]:1");
    CHECK(strcmp(url.host, "fe80::1") == 0 && url.port == 1);
    CHECK(url.user[0] == '\0' && strcmp(url.password, "only") == 0);
}

TEST(user_and_password_are_decoded)
{
    struct redis_url url = parse("redis://a%3ab:%2F%40%25@h");
    CHECK(strcmp(url.user, "a:b") == 0);
    CHECK(strcmp(url.password, "/@%") == 0);
    url = parse("redis://:with/slash:and@sign@h:2/3");
    CHECK(strcmp(url.password, "with/slash:and@sign") == 0);
    CHECK(strcmp(url.host, "h") == 0 && url.port == 2 && url.database == 3);
}

TEST(anything_else_is_refused_with_a_sentence_without_the_password)
{
    static const char *const bad[] = {
        "",
        "redis:",
        "http://host",
        "redis://",
        "redis://:6379",
        "redis://hunter2@host",
        "redis://u:hunter2@",
        "redis://u:hunter2%@host",
        "redis://u:hunter2%4@host",
        "redis://u:hunter2%zz@host",
        "redis://u:hunter2%00@host",
        "redis://u:hunter2@host:",
        "redis://u:hunter2@host:0",
        "redis://u:hunter2@host:65536",
        "redis://u:hunter2@host:63 79",
        "redis://u:hunter2@host:99999999999999999999",
        "redis://u:hunter2@host/one",
        "redis://u:hunter2@host/1/2",
        "redis://u:hunter2@host/-1",
        "redis://u:hunter2@host/99999999999",
        "redis://u:hunter2@host?x=1",
        "redis://u:hunter2@ho st",
        "redis://u:hunter2@[::1",
        "redis://u:hunter2@[]",
        "redis://u:hunter2@[::1]x",
        "rediss://u:hunter2@host",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct redis_url url = {.port = 1};
        struct err err = {0};
        CHECK(redis_url_parse(bad[i], &url, &err) == ERR_INVALID);
        CHECK(err.text[0] != '\0' && !strstr(err.text, "hunter2"));
        CHECK(url.port == 1);
    }
}

TEST(parts_that_are_too_long_are_refused)
{
    char text[2048];
    struct redis_url url;
    snprintf(text, sizeof text, "redis://%0300d", 0);
    CHECK(redis_url_parse(text, &url, NULL) == ERR_INVALID);
    snprintf(text, sizeof text, "redis://u:%0600d@h", 0);
    CHECK(redis_url_parse(text, &url, NULL) == ERR_INVALID);
}

TEST(tls_is_refused_with_what_to_do_instead)
{
    struct redis_url url;
    struct err err = {0};
    CHECK(redis_url_parse("rediss://host", &url, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "TLS") && strstr(err.text, "tunnel"));
}
