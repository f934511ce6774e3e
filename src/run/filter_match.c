/* filter_match.c - what a filter means, one run at a time, see filter.h.
 *
 * The plain way: it is what back ends are compared with.
 */
#include <assert.h>

#include "base/regex.h"
#include "run/filter.h"
#include "run/filter_lex.h"

/* --- values ----------------------------------------------------------------- */

static int compare_texts(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.at, b.at, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(enum filter_type type, const struct filter_value *a,
                   const struct filter_value *b)
{
    assert(type != FILTER_JSON); /* it has no values */
    switch (type) {
    case FILTER_UUID:
        return uuid_compare(a->uuid, b->uuid);
    case FILTER_TEXT:
    case FILTER_WORD:
        return compare_texts(a->text, b->text);
    case FILTER_INSTANT:
    case FILTER_DURATION:
    case FILTER_INTEGER:
        return (a->number > b->number) - (a->number < b->number);
    case FILTER_DECIMAL:
        return (a->decimal > b->decimal) - (a->decimal < b->decimal);
    case FILTER_BOOL:
        return a->truth - b->truth;
    case FILTER_JSON:
        break;
    }
    return 0;
}

static bool is_among(const struct filter *test, const struct filter_value *value)
{
    enum filter_type type = filter_attribute_type(test->attribute);
    for (size_t i = 0; i < test->value_count; i++)
        if (compare(type, value, &test->values[i]) == 0)
            return true;
    return false;
}

static int order(const struct filter *test, const struct filter_value *value)
{
    return compare(filter_attribute_type(test->attribute), value, &test->values[0]);
}

/* One value, which may be absent. */
static bool match_cell(const struct filter *test, const struct filter_cell *cell)
{
    switch (test->op) {
    case FILTER_IS_NULL:
        return !cell->present;
    case FILTER_NOT_NULL:
        return cell->present;
    case FILTER_NEQ:
    case FILTER_NIN:
        return !cell->present || !is_among(test, &cell->value);
    case FILTER_EQ:
    case FILTER_IN:
        return cell->present && is_among(test, &cell->value);
    case FILTER_GT:
        return cell->present && order(test, &cell->value) > 0;
    case FILTER_GTE:
        return cell->present && order(test, &cell->value) >= 0;
    case FILTER_LT:
        return cell->present && order(test, &cell->value) < 0;
    case FILTER_LTE:
        return cell->present && order(test, &cell->value) <= 0;
    }
    return false;
}

/* --- lists ------------------------------------------------------------------ */

static struct filter_cell text_cell(struct str text)
{
    return (struct filter_cell){.present = true, .value.text = text};
}

static size_t element_count(const struct filter_subject *subject, enum filter_attribute list)
{
    if (list == FILTER_TAGS)
        return subject->tag_count;
    if (list == FILTER_CHILD_RUN_NAME)
        return subject->child_count;
    return filter_attribute_entry(list) == FILTER_METADATA_KEY ? subject->metadata_count
                                                               : subject->feedback_count;
}

static const struct filter_pair *pair_at(const struct filter_subject *subject,
                                         enum filter_attribute half, size_t i)
{
    return filter_attribute_entry(half) == FILTER_METADATA_KEY ? &subject->metadata[i]
                                                               : &subject->feedback[i];
}

static struct filter_cell half_cell(const struct filter_pair *pair, enum filter_attribute half)
{
    return half == filter_attribute_entry(half) ? text_cell(pair->key) : pair->value;
}

static struct filter_cell element(const struct filter_subject *subject, enum filter_attribute list,
                                  size_t i)
{
    if (list == FILTER_TAGS)
        return text_cell(subject->tags[i]);
    if (list == FILTER_CHILD_RUN_NAME)
        return text_cell(subject->child_names[i]);
    return half_cell(pair_at(subject, list, i), list);
}

/* What no element may be, for the list to be that. */
static bool is_of_none(enum filter_operator op, enum filter_operator *opposite)
{
    *opposite = op == FILTER_NEQ ? FILTER_EQ : op == FILTER_NIN ? FILTER_IN : FILTER_NOT_NULL;
    return op == FILTER_NEQ || op == FILTER_NIN || op == FILTER_IS_NULL;
}

static bool match_list(const struct filter *test, const struct filter_subject *subject)
{
    struct filter each = *test;
    enum filter_operator opposite;
    bool none = is_of_none(test->op, &opposite);
    if (none)
        each.op = opposite;
    for (size_t i = 0; i < element_count(subject, test->attribute); i++) {
        struct filter_cell cell = element(subject, test->attribute, i);
        if (match_cell(&each, &cell))
            return !none;
    }
    return none;
}

static bool match_entry(const struct filter *entry, const struct filter_subject *subject)
{
    for (size_t i = 0; i < element_count(subject, entry->attribute); i++) {
        const struct filter_pair *pair = pair_at(subject, entry->attribute, i);
        const struct filter *test = entry->first;
        for (; test; test = test->next) {
            struct filter_cell cell = half_cell(pair, test->attribute);
            if (!match_cell(test, &cell))
                break;
        }
        if (!test)
            return true;
    }
    return false;
}

static bool match_test(const struct filter *test, const struct filter_subject *subject)
{
    if (filter_attribute_is_list(test->attribute))
        return match_list(test, subject);
    struct filter_cell cell = subject->cells[test->attribute];
    if (test->attribute == FILTER_METADATA)
        cell.present = subject->metadata_count > 0;
    return match_cell(test, &cell);
}

/* --- search ----------------------------------------------------------------- */

/* A filter and a run, and what matching takes beside them. */
struct matching {
    const struct filter_subject *subject;
    struct regex_search *search;  /* NULL: no pattern was sought yet */
    const struct filter *unknown; /* the one that cannot be decided; then nothing else counts */
};

static bool find_pattern(struct matching *m, const struct filter *matches, struct str text)
{
    if (!m->search)
        m->search = regex_search_new();
    enum regex_found found = regex_search_in(m->search, matches->regex, text);
    if (found == REGEX_TOO_MUCH && !m->unknown)
        m->unknown = matches;
    return found == REGEX_FOUND;
}

static bool is_in(struct matching *m, const struct filter *sought, const struct filter_cell *cell)
{
    if (!cell->present)
        return false;
    if (sought->kind == FILTER_MATCHES)
        return find_pattern(m, sought, cell->value.text);
    return m->subject->contains(cell->value.text, sought->values[0].text);
}

static bool search_in(struct matching *m, const struct filter *sought,
                      enum filter_attribute attribute)
{
    static const enum filter_attribute halves[] = {FILTER_METADATA_KEY, FILTER_METADATA_VALUE};
    if (attribute == FILTER_METADATA)
        return search_in(m, sought, halves[0]) || search_in(m, sought, halves[1]);
    if (!filter_attribute_is_list(attribute))
        return is_in(m, sought, &m->subject->cells[attribute]);
    for (size_t i = 0; i < element_count(m->subject, attribute); i++) {
        struct filter_cell cell = element(m->subject, attribute, i);
        if (attribute == FILTER_METADATA_VALUE && cell.present)
            cell.value.text = filter_seen_text(cell.value.text);
        if (is_in(m, sought, &cell))
            return true;
    }
    return false;
}

static bool match_search(struct matching *m, const struct filter *sought)
{
    static const enum filter_attribute everywhere[] = {
        FILTER_NAME, FILTER_ERROR, FILTER_INPUTS, FILTER_OUTPUTS, FILTER_TAGS, FILTER_METADATA};
    if (sought->attribute != FILTER_ATTRIBUTES)
        return search_in(m, sought, sought->attribute);
    for (size_t i = 0; i < sizeof everywhere / sizeof everywhere[0]; i++)
        if (search_in(m, sought, everywhere[i]))
            return true;
    return false;
}

/* --- trees ------------------------------------------------------------------ */

static bool match(struct matching *m, const struct filter *filter);

/* Does any node inside come out as `truth`? */
static bool any(struct matching *m, const struct filter *filter, bool truth)
{
    for (const struct filter *f = filter->first; f && !m->unknown; f = f->next)
        if (match(m, f) == truth)
            return true;
    return false;
}

static bool match(struct matching *m, const struct filter *filter)
{
    switch (filter->kind) {
    case FILTER_ALL:
        return true;
    case FILTER_AND:
        return !any(m, filter, false);
    case FILTER_OR:
        return any(m, filter, true);
    case FILTER_NOT:
        return any(m, filter, false);
    case FILTER_TEST:
        return match_test(filter, m->subject);
    case FILTER_ENTRY:
        return match_entry(filter, m->subject);
    case FILTER_SEARCH:
    case FILTER_MATCHES:
        return match_search(m, filter);
    }
    return false;
}

int filter_match(const struct filter *filter, const struct filter_subject *subject, bool *is,
                 struct err *err)
{
    struct matching m = {.subject = subject};
    *is = match(&m, filter);
    regex_search_free(m.search);
    if (!m.unknown)
        return 0;
    char shown[FILTER_SHOWN_MAX + 1];
    *is = false;
    return err_set(err, ERR_INVALID,
                   "filter: the regular expression \"%s\" takes too much to look for in one of "
                   "the runs; repeat less in it, above all nothing that repeats itself",
                   filter_shown(m.unknown->values[0].text, shown));
}
