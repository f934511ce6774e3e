/* regex.c - see regex.h.
 *
 * PCRE2 can limit how often it goes back, but counts that anew for each place where a match
 * may begin.  So it is asked to call us before each item it tries (PCRE2_AUTO_CALLOUT), and
 * all of those are counted, with the way in the text from one to the next.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum {
    OPTIONS = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_CASELESS |
              PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT,
    POINT = 4,   /* bytes of a letter, at most */
    STRIDE = 16, /* bytes of the way in the text that are as much work as an item */
    CLASS = 32   /* bytes of an item that are as much work for each letter as a byte of the way */
};

struct regex {
    const pcre2_code *code;
    struct str pattern;
    size_t branches, behind; /* of all groups; letters that something looks back */
};

/* --- patterns --------------------------------------------------------------- */

struct room {
    struct arena *arena;
    size_t left;
};

static void *take(size_t size, void *data)
{
    struct room *room = data;
    if (size > room->left)
        return NULL;
    room->left -= size;
    return arena_alloc(room->arena, size);
}

static void leave(void *memory, void *data)
{
    (void)memory; /* the arena's */
    (void)data;
}

static size_t points_before(struct str text, size_t at)
{
    size_t count = 0;
    for (size_t i = 0; i < at && i < text.len; i++)
        count += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return count;
}

static int wrong(struct str pattern, int code, size_t at, struct err *err)
{
    PCRE2_UCHAR why[256];
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return err_set(err, ERR_INVALID, "the regular expression is too large");
    if (pcre2_get_error_message(code, why, sizeof why) < 0)
        why[0] = '\0';
    return err_set(err, ERR_INVALID, "the regular expression is wrong at its character %zu: %s",
                   points_before(pattern, at) + 1, (const char *)why);
}

/* Whether a text is all of one script is looked at without asking us. */
static bool has_script_run(struct str pattern)
{
    static const struct str words[] = {
        {"(*sr:", 5}, {"(*asr:", 6}, {"(*script_run:", 13}, {"(*atomic_script_run:", 20}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (pattern.len > 0 && memmem(pattern.at, pattern.len, words[i].at, words[i].len))
            return true;
    return false;
}

/* Ranges of a class are gone through letter by letter, for those that are equal in any case:
 * how many planes of Unicode they may be. */
static size_t planes_of(struct str pattern)
{
    enum { ALL = 17, FOUR_BYTES = 0xf0, THREE_BYTES = 0xe0 };
    size_t count = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        size_t to = i + 1;
        if (pattern.at[i] != '-')
            continue;
        while (to < pattern.len && (pattern.at[to] == ' ' || pattern.at[to] == '\t')) /* (?xx) */
            to++;
        unsigned char first = to < pattern.len ? (unsigned char)pattern.at[to] : 0;
        bool said = first == '\\' && to + 1 < pattern.len && memchr("xoNEQ", pattern.at[to + 1], 5);
        count += said || first >= FOUR_BYTES ? ALL : first >= THREE_BYTES;
    }
    return count;
}

static size_t branches_of(struct str pattern)
{
    size_t count = 1;
    for (size_t i = 0; i < pattern.len; i++)
        count += pattern.at[i] == '|';
    return count;
}

int regex_compile(struct str pattern, struct arena *arena, const struct regex **result,
                  struct err *err)
{
    if (pattern.len > REGEX_MAX)
        return err_set(err, ERR_INVALID, "a regular expression has at most %d bytes", REGEX_MAX);
    if (has_script_run(pattern))
        return err_set(err, ERR_INVALID, "a regular expression has no script runs here");
    if (planes_of(pattern) > REGEX_PLANES)
        return err_set(err, ERR_INVALID, "a regular expression has fewer wide ranges here");
    struct room *room = arena_make(arena, struct room, 1);
    *room = (struct room){arena, REGEX_SIZE};
    pcre2_general_context *memory = pcre2_general_context_create(take, leave, room);
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code;
    size_t at;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.at : ""), pattern.len,
                                         OPTIONS, &code, &at, context);
    if (!compiled)
        return wrong(pattern, code, at, err);
    struct regex *regex = arena_make(arena, struct regex, 1);
    uint32_t behind = 0;
    (void)pcre2_pattern_info(compiled, PCRE2_INFO_MAXLOOKBEHIND, &behind); /* cannot fail */
    *regex = (struct regex){compiled, arena_copy(arena, pattern), branches_of(pattern), behind};
    *result = regex;
    return 0;
}

/* --- searches --------------------------------------------------------------- */

struct regex_search {
    pcre2_match_context *context;
    pcre2_match_data *data;
    size_t left; /* of REGEX_WORK */

    /* Of the text at hand. */
    const struct regex *regex;
    size_t len, at, item; /* where the last item began, and its length */
};

static bool begins(struct str text, struct str prefix)
{
    return text.len >= prefix.len && memcmp(text.at, prefix.at, prefix.len) == 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A reference compares as much as the group that it is to has, again and again if it may. */
static size_t referred(const pcre2_callout_block *item, struct str said, size_t end)
{
    size_t most = 0;
    if (strchr("*+?}", said.at[said.len - 1]))
        return end;
    for (uint32_t i = 1; i < item->capture_top; i++) {
        const PCRE2_SIZE *group = &item->offset_vector[2 * i];
        if (group[0] != PCRE2_UNSET && group[1] > group[0] && group[1] - group[0] > most)
            most = group[1] - group[0];
    }
    return least(most + item->capture_top, end);
}

/* The largest number of times that the item says, with whatever stands before it. */
static size_t times(struct str said, size_t most)
{
    size_t result = 0;
    for (size_t i = 0; i < said.len; i++) {
        size_t number = 0;
        if (said.at[i] != '{')
            continue;
        for (i++; i < said.len && said.at[i] >= '0' && said.at[i] <= '9'; i++)
            number = least(10 * number + (size_t)(said.at[i] - '0'), most);
        result = number > result ? number : result;
        i--;
    }
    return result;
}

/* How far may the item run and then fail, so that nothing is seen of its way?  What looks
 * behind first goes back, in each of its branches; what has to be there so many times, as far. */
static size_t hidden_way(const struct regex_search *search, const pcre2_callout_block *item)
{
    size_t at = item->current_position, end = search->len - at;
    struct str said = {search->regex->pattern.at + item->pattern_position, item->next_item_length};
    bool escape = said.len >= 2 && said.at[0] == '\\';
    if (begins(said, STR("(?<")) || begins(said, STR("(*")))
        return least(at, search->regex->behind) * search->regex->branches;
    if (begins(said, STR("(?P")) || (escape && memchr("0123456789gk", said.at[1], 12)))
        return referred(item, said, end);
    return least(POINT * times(said, end), end);
}

/* What a letter takes, in bytes of the way: a class is gone through for each. */
static size_t dear(size_t item)
{
    return 1 + item / CLASS;
}

/* Before each item. */
static int count(pcre2_callout_block *item, void *data)
{
    struct regex_search *search = data;
    size_t at = item->current_position;
    size_t way = at > search->at ? at - search->at : search->at - at;
    size_t work =
        1 + (way * dear(search->item) + hidden_way(search, item) * dear(item->next_item_length)) /
                STRIDE;
    if (work > search->left)
        return PCRE2_ERROR_CALLOUT;
    search->left -= work;
    search->at = at;
    search->item = item->next_item_length;
    return 0;
}

struct regex_search *regex_search_new(void)
{
    struct regex_search *search = calloc(1, sizeof *search);
    if (!search)
        abort();
    *search = (struct regex_search){.context = pcre2_match_context_create(NULL),
                                    .data = pcre2_match_data_create(1, NULL),
                                    .left = REGEX_WORK};
    if (!search->context || !search->data)
        abort();
    pcre2_set_callout(search->context, count, search);
    pcre2_set_match_limit(search->context, REGEX_WORK);
    pcre2_set_heap_limit(search->context, REGEX_ROOM >> 10);
    return search;
}

void regex_search_free(struct regex_search *search)
{
    if (!search)
        return;
    pcre2_match_data_free(search->data);
    pcre2_match_context_free(search->context);
    free(search);
}

enum regex_found regex_search_in(struct regex_search *search, const struct regex *regex,
                                 struct str text)
{
    if (search->left == 0)
        return REGEX_TOO_MUCH;
    search->regex = regex;
    search->len = text.len;
    search->at = search->item = 0;
    int found = pcre2_match(regex->code, (PCRE2_SPTR)(text.len ? text.at : ""), text.len, 0, 0,
                            search->data, search->context);
    if (found >= 0)
        return REGEX_FOUND;
    if (found == PCRE2_ERROR_NOMATCH)
        return REGEX_NOT_FOUND;
    search->left = 0;
    return REGEX_TOO_MUCH;
}
