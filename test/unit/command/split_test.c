/* split_test.c - documents of runs, cut into portions. */
#include <stdlib.h>

#include "base/text.h"
#include "command/split.h"
#include "lib/check.h"

static const struct split_limits wide = {
    .items_max = 1000, .portion_max = 1 << 20, .item_max = 1 << 20};

struct result {
    enum split_event event; /* the last one: SPLIT_END or SPLIT_FAULT */
    struct split_fault fault;
    struct text items; /* each item and a bar */
    struct text sizes; /* of each portion: how many items, and a space */
    bool lines;
    uint64_t count;
};

static void take(struct result *result, const struct portion *portion)
{
    CHECK(portion->count > 0 && portion->first == result->count);
    CHECK(portion->item[0].at == 0);
    const struct json_span *last = &portion->item[portion->count - 1];
    CHECK(last->at + last->len == portion->bytes.len);
    for (size_t i = 0; i < portion->count; i++) {
        text_add(&result->items,
                 (struct str){portion->bytes.at + portion->item[i].at, portion->item[i].len});
        text_add_char(&result->items, '|');
    }
    text_addf(&result->sizes, "%zu ", portion->count);
    result->count += portion->count;
    result->lines = portion->lines;
}

/* Split a document that comes in pieces of `size` bytes. */
static struct result split_in_pieces(struct str document, size_t size,
                                     const struct split_limits *limits)
{
    struct result result = {.event = SPLIT_MORE};
    struct split *split = split_new(limits);
    for (bool last = false; result.event == SPLIT_MORE;) {
        struct str piece = {document.at, size < document.len ? size : document.len};
        /* A copy of its own, so that reading behind it is seen. */
        char *copy = malloc(piece.len + 1);
        if (!copy)
            abort();
        memcpy(copy, piece.at, piece.len);
        document.at += piece.len;
        document.len -= piece.len;
        split_feed(split, (struct str){copy, piece.len});
        free(copy);
        struct portion portion;
        while ((result.event = split_next(split, last, &portion)) == SPLIT_PORTION)
            take(&result, &portion);
        CHECK(!last || result.event != SPLIT_MORE);
        if (last)
            break;
        last = document.len == 0 && piece.len == 0;
    }
    result.fault = split_fault(split);
    split_free(split);
    return result;
}

static void result_free(struct result *result)
{
    text_free(&result->items);
    text_free(&result->sizes);
}

/* Whole and in pieces of every size: these items, then this end. */
static void check_items(struct str document, const struct split_limits *limits, const char *items,
                        enum split_event end)
{
    for (size_t size = 1; size <= document.len + 1; size++) {
        struct result result = split_in_pieces(document, size, limits);
        struct str wanted = {items, strlen(items)};
        CHECK(result.event == end);
        CHECK(str_eq(text_str(&result.items), wanted));
        result_free(&result);
    }
}

TEST(an_array_is_split_into_its_elements_byte_for_byte)
{
    check_items(STR(" [ {\"a\": 1e2} ,{\"b\":\"]},[\"},\n\t{}\r\n] \n"), &wide,
                "{\"a\": 1e2}|{\"b\":\"]},[\"}|{}|", SPLIT_END);
}

TEST(lines_are_split_into_their_values_byte_for_byte)
{
    check_items(STR("{\"a\":1}\n\n  {\"b\":\n [2]}\r\n{\"c\":\"\\n\"}"), &wide,
                "{\"a\":1}|{\"b\":\n [2]}|{\"c\":\"\\n\"}|", SPLIT_END);
}

TEST(documents_without_items_have_no_portions)
{
    check_items(STR("[]"), &wide, "", SPLIT_END);
    check_items(STR(" [ ] "), &wide, "", SPLIT_END);
    check_items(STR(""), &wide, "", SPLIT_END);
    check_items(STR(" \n\n "), &wide, "", SPLIT_END);
}

TEST(a_byte_order_mark_is_passed_over)
{
    check_items(STR("\xef\xbb\xbf[{}]"), &wide, "{}|", SPLIT_END);
    check_items(STR("\xef\xbb\xbf{}\n"), &wide, "{}|", SPLIT_END);
    check_items(STR("\xef\xbb"), &wide, "", SPLIT_FAULT);
}

/* The window is moved between any two items: what stands before the portion,
 * short items and those that are no objects must not matter. */
TEST(portions_of_one_item_are_the_same_items)
{
    const struct split_limits narrow = {.items_max = 1, .portion_max = 1, .item_max = 1 << 20};
    check_items(STR("[1,{\"a\":[1,2]},\"x\",[],null , 2 ,{}]"), &narrow,
                "1|{\"a\":[1,2]}|\"x\"|[]|null|2|{}|", SPLIT_END);
    check_items(STR("{}\n{\"a\":{}}\n7\n\"x\"\n{}\n"), &narrow, "{}|{\"a\":{}}|7|\"x\"|{}|",
                SPLIT_END);
}

TEST(a_portion_ends_before_it_has_too_many_items)
{
    const struct split_limits three = {.items_max = 3, .portion_max = 100, .item_max = 100};
    struct result result = split_in_pieces(STR("[{},{},{},{},{},{},{}]"), 5, &three);
    CHECK(result.event == SPLIT_END);
    CHECK(str_eq(text_str(&result.sizes), STR("3 3 1 ")));
    result_free(&result);
}

TEST(a_portion_ends_before_it_has_too_many_bytes_unless_it_is_one_item)
{
    const struct split_limits five = {.items_max = 100, .portion_max = 5, .item_max = 100};
    for (size_t size = 1; size < 40; size++) {
        struct result result = split_in_pieces(STR("[{},{},{},{\"abc\":1234},{},{}]"), size, &five);
        CHECK(result.event == SPLIT_END);
        CHECK(str_eq(text_str(&result.sizes), STR("2 1 1 2 ")));
        result_free(&result);
    }
}

TEST(what_is_no_array_and_no_object_is_a_fault_at_its_first_byte)
{
    check_items(STR("  nope"), &wide, "", SPLIT_FAULT);
    check_items(STR("\"text\""), &wide, "", SPLIT_FAULT);
    struct result result = split_in_pieces(STR("  nope"), 3, &wide);
    CHECK(result.fault.offset == 2 && result.fault.item == 0);
    result_free(&result);
}

TEST(what_is_good_comes_before_the_fault_behind_it)
{
    check_items(STR("[{\"a\":1},{\"b\":2},{\"c\":x}]"), &wide, "{\"a\":1}|{\"b\":2}|", SPLIT_FAULT);
    check_items(STR("[{\"a\":1},{\"b\":2}"), &wide, "{\"a\":1}|{\"b\":2}|", SPLIT_FAULT);
    check_items(STR("[{\"a\":1}] x"), &wide, "{\"a\":1}|", SPLIT_FAULT);
    check_items(STR("{\"a\":1}\n{\"b\""), &wide, "{\"a\":1}|", SPLIT_FAULT);
    check_items(STR("{\"a\":1}e5\n{}"), &wide, "{\"a\":1}|", SPLIT_FAULT);
}

TEST(a_fault_says_its_byte_and_run_however_the_window_moved)
{
    const struct split_limits limits[] = {wide,
                                          {.items_max = 1, .portion_max = 1, .item_max = 100}};
    for (size_t i = 0; i < 2; i++)
        for (size_t size = 1; size < 30; size++) {
            struct result result =
                split_in_pieces(STR(" [{\"a\":1},{\"b\":2},{\"c\":x}]"), size, &limits[i]);
            CHECK(result.event == SPLIT_FAULT);
            CHECK(result.fault.item == 2);
            CHECK(result.fault.offset == 23);
            result_free(&result);
        }
}

TEST(an_item_that_does_not_end_is_a_fault_and_not_memory)
{
    const struct split_limits small = {.items_max = 10, .portion_max = 100, .item_max = 1000};
    struct split *split = split_new(&small);
    struct portion portion;
    char *piece = malloc(100000);
    if (!piece)
        abort();
    memset(piece, 'x', 100000);
    memcpy(piece, "[{},{\"a\":\"", 10);
    enum split_event event = SPLIT_MORE;
    size_t portions = 0, fed = 0;

    while (event == SPLIT_MORE && fed < 100 * 100000) {
        split_feed(split, (struct str){piece, 100000});
        fed += 100000;
        while ((event = split_next(split, false, &portion)) == SPLIT_PORTION)
            portions++;
        memset(piece, 'x', 10);
    }

    CHECK(event == SPLIT_FAULT);
    CHECK(portions == 1);
    CHECK(split_fault(split).item == 1);
    CHECK(fed < 30 * 100000);
    split_free(split);
    free(piece);
}

TEST(a_part_of_a_portion_is_a_portion)
{
    struct split *split = split_new(&wide);
    struct portion portion;
    split_feed(split, STR("[{\"a\":1}, {\"b\":2} ,{\"c\":3},{}]"));
    CHECK(split_next(split, true, &portion) == SPLIT_PORTION);

    struct portion part = portion_part(&portion, 1, 2);
    CHECK(str_eq(part.bytes, STR("{\"b\":2} ,{\"c\":3}")));
    CHECK(part.first == 1 && part.count == 2 && !part.lines);
    part = portion_part(&part, 1, 1);
    CHECK(str_eq(part.bytes, STR("{\"c\":3}")));
    CHECK(part.first == 2);
    split_free(split);
}
