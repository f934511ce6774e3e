/* merge_test.c - what layers say together does not depend on how they came. */
#include "run/merge.h"

#include <stdlib.h>

#include "base/text.h"
#include "lib/check.h"
#include "lib/make_layer.h"

#define BIT(field) (UINT32_C(1) << (field))

enum { LAYERS = 6 };

static const struct uuid id = {{1}};

/* Layers decoded; at place (1, i). */
struct made {
    struct made_record *record;
    struct run run[LAYERS];
    size_t count;
};

static struct made make(const struct make_layer *layers, size_t count)
{
    struct made made = {.record = make_layers(layers, count), .count = count};
    for (uint32_t i = 0; i < count; i++)
        CHECK(record_run(&made.record->record, i, &made.run[i], NULL) == 0);
    return made;
}

/* Who holds the field; -1: nobody. */
static int holder_of(const struct merged *merged, enum run_field field)
{
    for (unsigned i = 0; i < merged->count; i++)
        if (merged->holder[i].fields & BIT(field))
            return (int)merged->holder[i].place.ordinal;
    return -1;
}

static struct merged merge_in_order(const struct made *made, const size_t *order, size_t count)
{
    struct merged merged = {0};
    for (size_t i = 0; i < count; i++)
        (void)merge_add(&merged, &made->run[order[i]], (struct place){1, (uint32_t)order[i]},
                        10 + order[i]);
    return merged;
}

TEST(a_patch_beats_a_post_whichever_came_first)
{
    const struct make_layer layers[] = {
        {.kind = RUN_POST,
         .id = id,
         .field =
             {[RUN_NAME] = "\"a\"", [RUN_INPUTS] = "{\"x\":1}", [RUN_OUTPUTS] = "{\"late\":0}"}},
        {.kind = RUN_PATCH, .id = id, .field = {[RUN_NAME] = "\"b\"", [RUN_OUTPUTS] = "{\"y\":1}"}},
    };
    struct made made = make(layers, 2);
    for (size_t first = 0; first < 2; first++) {
        const size_t order[] = {first, 1 - first};
        struct merged merged = merge_in_order(&made, order, 2);
        CHECK(holder_of(&merged, RUN_NAME) == 1 && holder_of(&merged, RUN_OUTPUTS) == 1);
        CHECK(holder_of(&merged, RUN_INPUTS) == 0 && merged.count == 2 && merged.posted);
    }
    made_free(made.record);
}

TEST(null_missing_and_an_empty_error_say_nothing)
{
    const struct make_layer layers[] = {
        {.kind = RUN_POST,
         .id = id,
         .field =
             {[RUN_INPUTS] = "{\"x\":1}", [RUN_TAGS] = "[\"t\"]", [RUN_ERROR_TEXT] = "\"bad\""}},
        {.kind = RUN_PATCH,
         .id = id,
         .field = {[RUN_INPUTS] = "null", [RUN_TAGS] = "null", [RUN_ERROR_TEXT] = "\"\""}},
    };
    struct made made = make(layers, 2);
    struct merged merged = merge_in_order(&made, (const size_t[]){0, 1}, 2);
    CHECK(holder_of(&merged, RUN_INPUTS) == 0 && holder_of(&merged, RUN_TAGS) == 0);
    CHECK(holder_of(&merged, RUN_ERROR_TEXT) == 0 && merged.status == RUN_ERROR);
    CHECK(merged.count == 1);
    made_free(made.record);
}

TEST(what_is_empty_takes_nothing_from_what_is_not_in_its_layer)
{
    const struct make_layer layers[] = {
        {.kind = RUN_POST, .id = id, .field = {[RUN_OUTPUTS] = "{\"x\":1}", [RUN_EVENTS] = "[ ]"}},
        {.kind = RUN_POST, .id = id, .field = {[RUN_OUTPUTS] = "{ \n}", [RUN_EVENTS] = "[1]"}},
        {.kind = RUN_PATCH, .id = id, .field = {[RUN_OUTPUTS] = "{}"}},
    };
    struct made made = make(layers, 3);
    struct merged merged = merge_in_order(&made, (const size_t[]){0, 1}, 2);
    CHECK(holder_of(&merged, RUN_OUTPUTS) == 0 && holder_of(&merged, RUN_EVENTS) == 1);
    merged = merge_in_order(&made, (const size_t[]){0, 1, 2}, 3); /* another layer may */
    CHECK(holder_of(&merged, RUN_OUTPUTS) == 2);
    made_free(made.record);
}

TEST(metadata_goes_with_extra)
{
    const struct make_layer layers[] = {
        {.kind = RUN_POST,
         .id = id,
         .field = {[RUN_EXTRA] = "{\"metadata\":{\"a\":1}}", [RUN_METADATA] = "{\"a\":1}"}},
        {.kind = RUN_PATCH, .id = id, .field = {[RUN_EXTRA] = "{\"runtime\":{}}"}},
    };
    struct made made = make(layers, 2);
    struct merged merged = merge_in_order(&made, (const size_t[]){0, 1}, 2);
    CHECK(holder_of(&merged, RUN_EXTRA) == 1 && holder_of(&merged, RUN_METADATA) == 1);
    CHECK(merged.count == 1);
    made_free(made.record);
}

TEST(times_and_status_are_those_of_who_holds_them)
{
    const struct make_layer layers[] = {
        {.kind = RUN_POST, .id = id, .start_us = 7, .field = {[RUN_START_TIME] = "7"}},
        {.kind = RUN_PATCH,
         .id = id,
         .start_us = 99,
         .end_us = 12,
         .field = {[RUN_END_TIME] = "12"}},
        {.kind = RUN_PATCH, .id = id, .start_us = 5, .field = {[RUN_START_TIME] = "5"}},
    };
    struct made made = make(layers, 3);
    struct merged merged = merge_in_order(&made, (const size_t[]){0}, 1);
    CHECK(merged.start_us == 7 && merged.end_us == RUN_RUNNING && merged.status == RUN_PENDING);
    merged = merge_in_order(&made, (const size_t[]){1, 0}, 2);
    CHECK(merged.start_us == 7 && merged.end_us == 12 && merged.status == RUN_SUCCESS);
    merged = merge_in_order(&made, (const size_t[]){2, 1, 0}, 3);
    CHECK(merged.start_us == 5 && merged.end_us == 12);
    made_free(made.record);
}

TEST(the_first_post_says_the_dotted_order_for_good)
{
    const struct make_layer layers[] = {
        {.kind = RUN_PATCH, .id = id, .field = {[RUN_DOTTED_ORDER] = "\"p1\""}},
        {.kind = RUN_PATCH, .id = id, .field = {[RUN_DOTTED_ORDER] = "\"p2\""}},
        {.kind = RUN_POST, .id = id, .field = {[RUN_DOTTED_ORDER] = "\"a\""}},
        {.kind = RUN_POST, .id = id, .field = {[RUN_DOTTED_ORDER] = "\"b\""}},
    };
    struct made made = make(layers, 4);
    struct merged merged = merge_in_order(&made, (const size_t[]){0, 1}, 2);
    CHECK(holder_of(&merged, RUN_DOTTED_ORDER) == 0);
    merged = merge_in_order(&made, (const size_t[]){0, 1, 2, 3}, 4);
    CHECK(holder_of(&merged, RUN_DOTTED_ORDER) == 2);
    merged = merge_in_order(&made, (const size_t[]){3, 2, 1, 0}, 4);
    CHECK(holder_of(&merged, RUN_DOTTED_ORDER) == 2);
    made_free(made.record);
}

TEST(a_layer_that_says_nothing_is_a_run_all_the_same)
{
    const struct make_layer layers[] = {
        {.kind = RUN_PATCH, .id = id, .start_us = 3},
        {.kind = RUN_POST, .id = id, .field = {[RUN_NAME] = "\"n\""}},
    };
    struct made made = make(layers, 2);
    struct merged merged = merge_in_order(&made, (const size_t[]){0}, 1);
    CHECK(merged.count == 1 && merged.holder[0].fields == 0 && merged.start_us == 3);
    merged = merge_in_order(&made, (const size_t[]){0, 1}, 2);
    CHECK(merged.count == 1 && holder_of(&merged, RUN_NAME) == 1);
    made_free(made.record);
}

/* --- in any order ------------------------------------------------------------- */

static const char *const values[] = {NULL, "null", "{}", "[]", "{\"a\":1}", "[2]", "\"\"", "\"t\""};

static struct make_layer random_layer(struct make_random *random)
{
    struct make_layer layer = {.kind = make_random(random) % 2 ? RUN_POST : RUN_PATCH, .id = id};
    for (unsigned f = RUN_NAME; f < RUN_FIELDS; f++)
        if (f != RUN_METADATA && f != RUN_PARENT_RUN_ID)
            layer.field[f] = values[make_random(random) % 8];
    return layer;
}

static bool same(const struct merged *a, const struct merged *b)
{
    for (unsigned f = 0; f < RUN_FIELDS; f++)
        if (holder_of(a, (enum run_field)f) != holder_of(b, (enum run_field)f))
            return false;
    return a->count == b->count && a->status == b->status && a->posted == b->posted;
}

/* Keys do not change when layers come in another order, only when each comes. */
TEST(the_order_of_arrival_does_not_matter)
{
    struct make_random random = {7};
    for (int round = 0; round < 3000; round++) {
        struct make_layer layers[LAYERS];
        size_t order[2 * LAYERS], count = 1 + make_random(&random) % LAYERS, n = 0;
        for (size_t i = 0; i < count; i++) {
            layers[i] = random_layer(&random);
            order[n++] = i;
        }
        struct made made = make(layers, count);
        struct merged straight = merge_in_order(&made, order, count);
        for (size_t i = count; i-- > 1;) {
            size_t k = make_random(&random) % (i + 1), swap = order[i];
            order[i] = order[k];
            order[k] = swap;
        }
        for (size_t i = 0; i < count; i++) /* and some come again */
            if (make_random(&random) % 3 == 0)
                order[n++] = order[i];
        struct merged mixed = merge_in_order(&made, order, n);
        CHECK(same(&straight, &mixed));
        made_free(made.record);
        if (test_failures)
            return;
    }
}

TEST(the_version_grows_with_every_layer)
{
    struct make_random random = {9};
    struct make_layer layers[LAYERS];
    for (size_t i = 0; i < LAYERS; i++)
        layers[i] = random_layer(&random);
    struct made made = make(layers, LAYERS);
    struct merged merged = {0};
    uint64_t before = 0;
    for (uint32_t i = 0; i < LAYERS; i++) { /* also when they come late */
        (void)merge_add(&merged, &made.run[i], (struct place){1, i}, 100 - 9 * i);
        CHECK(merged.version > before);
        before = merged.version;
    }
    made_free(made.record);
}

/* --- as bytes --------------------------------------------------------------------- */

TEST(holders_are_read_as_they_were_written)
{
    struct make_random random = {11};
    struct make_layer layers[LAYERS];
    for (size_t i = 0; i < LAYERS; i++)
        layers[i] = random_layer(&random);
    struct made made = make(layers, LAYERS);
    struct merged merged = merge_in_order(&made, (const size_t[]){0, 1, 2, 3, 4, 5}, LAYERS);
    struct text bytes = {0};
    struct holder back[MERGE_HOLDERS];
    unsigned count = 0;
    merge_write(merged.holder, merged.count, &bytes);
    CHECK(merge_read(text_str(&bytes), back, &count, NULL) == 0 && count == merged.count);
    for (unsigned i = 0; i < count; i++) {
        const struct holder *a = &merged.holder[i], *b = &back[i];
        CHECK(a->place.container == b->place.container && a->place.ordinal == b->place.ordinal);
        CHECK(a->sequence == b->sequence && a->hash == b->hash && a->size == b->size);
        CHECK(a->fields == b->fields && a->empty == b->empty && a->kind == b->kind);
    }
    for (size_t len = 0; len < bytes.len; len++)
        if (len == 0 || len % MERGE_HOLDER_BYTES)
            CHECK(merge_read((struct str){bytes.at, len}, back, &count, NULL) == ERR_CORRUPT);
    bytes.at[MERGE_HOLDER_BYTES - 1] = RUN_ATTACHMENT;
    CHECK(merge_read(text_str(&bytes), back, &count, NULL) == ERR_CORRUPT);
    text_free(&bytes);
    made_free(made.record);
}
