/* feedback_test.c - what was said of runs, counted. */
#include "run/feedback.h"

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/entity.h"

static void say(struct feedback_tally *tally, struct arena *arena, const char *key,
                const char *json)
{
    struct entity feedback = {
        .kind = ENTITY_FEEDBACK,
        .name = {key, strlen(key)},
        .json = {json, strlen(json)},
    };
    feedback_add(tally, &feedback, arena);
}

static bool shows(const struct feedback_tally *tally, const char *want)
{
    struct text text = {0};
    feedback_write(tally, &text);
    bool is = str_eq(text_str(&text), (struct str){want, strlen(want)});
    if (!is)
        fprintf(stderr, "%.*s\n", STR_FMT(text_str(&text)));
    text_free(&text);
    return is;
}

#define REST ",\"contains_thread_feedback\":false}"

TEST(of_nothing_there_is_an_empty_object)
{
    CHECK(shows(&(struct feedback_tally){0}, "{}"));
}

TEST(scores_have_a_mean_and_a_spread)
{
    struct arena *arena = arena_new(256);
    struct feedback_tally tally = {0};

    say(&tally, arena, "k", "{\"score\":1}");
    say(&tally, arena, "k", "{\"score\":3,\"comment\":\"so \\\"so\\\"\"}");
    say(&tally, arena, "other", "{\"score\":true,\"feedback_source\":{\"type\":\"api\"}}");

    CHECK(shows(&tally, "{\"k\":{\"n\":2,\"avg\":2,\"stdev\":1.4142135623731,\"min\":1,\"max\":3,"
                        "\"errors\":0,\"values\":{},\"comments\":[\"so \\\"so\\\"\"],"
                        "\"sources\":[]" REST ",\"other\":{\"n\":1,\"avg\":1,\"stdev\":null,"
                        "\"min\":1,\"max\":1,\"errors\":0,\"values\":{},\"comments\":[],"
                        "\"sources\":[\"api\"]" REST "}"));
    arena_free(arena);
}

TEST(values_are_counted_by_their_text)
{
    struct arena *arena = arena_new(256);
    struct feedback_tally tally = {0};

    say(&tally, arena, "k", "{\"score\":null,\"value\":\"up\"}");
    say(&tally, arena, "k", "{\"value\":\"down\",\"error\":true}");
    say(&tally, arena, "k", "{\"value\":\"up\"}");
    say(&tally, arena, "k", "{\"value\":{\"a\":1}}");
    say(&tally, arena, "k", "no JSON");

    CHECK(shows(&tally, "{\"k\":{\"n\":5,\"avg\":null,\"stdev\":null,\"min\":null,\"max\":null,"
                        "\"errors\":1,\"values\":{\"up\":2,\"down\":1,\"{\\\"a\\\":1}\":1},"
                        "\"comments\":[],\"sources\":[]" REST "}"));
    arena_free(arena);
}

TEST(what_is_too_much_is_counted_and_no_more)
{
    struct arena *arena = arena_new(256);
    struct feedback_tally tally = {0};
    char key[16], json[FEEDBACK_TEXT + 64];

    for (int i = 0; i < FEEDBACK_KEYS + 10; i++) {
        snprintf(key, sizeof key, "%d", i);
        say(&tally, arena, key, "{}");
    }
    for (int i = 0; i < 100; i++) {
        snprintf(json, sizeof json, "{\"value\":\"%d\",\"comment\":\"%0*d\"}", i, FEEDBACK_TEXT + 9,
                 i);
        say(&tally, arena, "0", json);
    }

    struct text text = {0};
    feedback_write(&tally, &text);
    CHECK(tally.count == FEEDBACK_KEYS);
    CHECK(memmem(text.at, text.len, "{\"0\":{\"n\":101,", 14) == text.at);
    CHECK(text.len < FEEDBACK_COMMENTS * (FEEDBACK_TEXT + 4) + FEEDBACK_KEYS * 200);
    text_free(&text);
    arena_free(arena);
}
