/* filter_fuzz.c - any bytes as a filter.
 *
 * What is taken must be the same tree when it is written and parsed again, unless
 * that is over a limit; and must be true or false of a run.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... && ./filter_fuzz test/fuzz/seeds/filter
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "lib/filter_same.h"
#include "run/filter.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool contains(struct str text, struct str sought)
{
    return sought.len == 0 || memmem(text.at, text.len, sought.at, sought.len) != NULL;
}

static bool is_test_of_entry(const struct filter *test, enum filter_attribute entry)
{
    return test->kind == FILTER_TEST && filter_attribute_entry(test->attribute) == entry;
}

/* What the header says of each kind. */
static void check_node(const struct filter *node, int depth)
{
    size_t count = 0;
    require(depth <= FILTER_DEPTH_MAX + 2 && !node->loose);
    for (const struct filter *f = node->first; f; f = f->next, count++) {
        require(f->kind != node->kind || node->kind == FILTER_NOT);
        require(node->kind != FILTER_ENTRY || is_test_of_entry(f, node->attribute));
        check_node(f, depth + 1);
    }
    switch (node->kind) {
    case FILTER_ALL:
        require(count == 0);
        return;
    case FILTER_AND:
    case FILTER_OR:
    case FILTER_ENTRY:
        require(count >= 2);
        return;
    case FILTER_NOT:
        require(count == 1);
        return;
    case FILTER_TEST:
        require(count == 0 && node->attribute < FILTER_ATTRIBUTES);
        if (node->op == FILTER_IS_NULL || node->op == FILTER_NOT_NULL)
            require(node->value_count == 0);
        else if (node->op == FILTER_IN || node->op == FILTER_NIN)
            require(node->value_count <= FILTER_VALUES_MAX);
        else
            require(node->value_count == 1);
        if (filter_attribute_type(node->attribute) == FILTER_TEXT)
            for (size_t i = 0; i < node->value_count; i++)
                require(utf8_valid(node->values[i].text));
        return;
    case FILTER_SEARCH:
    case FILTER_MATCHES:
        require((node->regex != NULL) == (node->kind == FILTER_MATCHES));
        require(count == 0 && node->value_count == 1 && utf8_valid(node->values[0].text));
        return;
    }
    abort();
}

static void check_filter(const struct filter *filter, struct arena *arena)
{
    static const struct str tags[] = {{"a", 1}, {"", 0}};
    static const struct filter_pair pairs[] = {
        {{"a", 1}, {.present = true, .value.text = {"1", 1}}},
        {{"b", 1}, {.present = false}},
    };
    static const struct filter_pair scores[] = {
        {{"a", 1}, {.present = true, .value.decimal = 0.5}},
        {{"b", 1}, {.present = false}},
    };
    const struct filter_subject subject = {
        .cells[FILTER_NAME] = {.present = true, .value.text = {"a", 1}},
        .cells[FILTER_LATENCY] = {.present = true, .value.number = 1},
        .tags = tags,
        .tag_count = 2,
        .metadata = pairs,
        .metadata_count = 2,
        .feedback = scores,
        .feedback_count = 2,
        .contains = contains,
    };
    struct text text = {0};
    const struct filter *again = NULL;
    struct err err = {0};

    check_node(filter, 1);
    filter_write(filter, &text);
    if (filter_parse(text_str(&text), arena, &again, &err) == 0) {
        require(filter_same(filter, again));
        bool is, still;
        int r = filter_match(filter, &subject, &is, &err);
        require(r == 0 || err.code == ERR_INVALID);
        require(filter_match(again, &subject, &still, NULL) == r && still == is);
    } else {
        require(strstr(err.text, "more than") || strstr(err.text, "the limit is"));
    }
    text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena *arena = arena_new(1024);
    const struct filter *filter = NULL;
    struct err err = {0};

    if (filter_parse((struct str){(const char *)bytes, len}, arena, &filter, &err) == 0) {
        check_filter(filter, arena);
    } else {
        require(err.code == ERR_INVALID && strncmp(err.text, "filter", 6) == 0);
        require(strlen(err.text) < sizeof err.text - 1 && !filter);
        for (const char *c = err.text; *c; c++)
            require(*c >= ' ' && *c <= '~');
    }
    arena_free(arena);
    return 0;
}
