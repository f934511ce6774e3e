/* postgres_terms.c - see postgres_terms.h. */
#include "index/postgres_terms.h"

#include "base/arena.h"
#include "index/fold.h"
#include "run/facts.h"
#include "run/filter.h"

/* What a term is of.  The numbers are stored: append only. */
enum term {
    TERM_TAG = 2,
    TERM_PAIR = 4, /* key and value of metadata, but for long ones (filter_seen_whole) */
    TERM_THREAD,
    TERM_EXAMPLE
};

/* FNV-1a; the length keeps key and value apart. */
static uint64_t add(uint64_t hash, const void *at, size_t len)
{
    static const uint64_t prime = UINT64_C(0x100000001b3);
    const unsigned char *byte = at;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * prime;
    for (uint64_t rest = len; rest; rest >>= 8)
        hash = (hash ^ (rest & 0xff)) * prime;
    return hash;
}

static uint64_t start(enum term what)
{
    unsigned char byte = (unsigned char)what;
    return add(UINT64_C(0xcbf29ce484222325), &byte, 1);
}

static uint64_t text_term(enum term what, struct str text)
{
    return add(start(what), text.at, text.len);
}

static uint64_t pair_term(struct str key, struct str value)
{
    return add(text_term(TERM_PAIR, key), value.at, value.len);
}

static uint64_t example_term(struct uuid id)
{
    return add(start(TERM_EXAMPLE), id.byte, sizeof id.byte);
}

/* --- of a run ---------------------------------------------------------------------- */

size_t pg_terms_of(const struct filter_subject *facts, struct arena *arena, uint64_t **result)
{
    size_t count = 0, most = 2 + facts->metadata_count + facts->tag_count;
    uint64_t *terms = *result = arena_make(arena, uint64_t, most);
    const struct filter_cell *thread = &facts->cells[FILTER_THREAD_ID];
    if (thread->present)
        terms[count++] = text_term(TERM_THREAD, thread->value.text);
    const struct filter_cell *example = &facts->cells[FILTER_REFERENCE_EXAMPLE_ID];
    if (example->present)
        terms[count++] = example_term(example->value.uuid);
    for (size_t i = 0; i < facts->metadata_count; i++) {
        const struct filter_pair *pair = &facts->metadata[i];
        if (pair->value.present && filter_seen_whole(pair->value.value.text))
            terms[count++] = pair_term(pair->key, pair->value.value.text);
    }
    for (size_t i = 0; i < facts->tag_count; i++)
        terms[count++] = text_term(TERM_TAG, facts->tags[i]);
    return count;
}

/* --- of a query ---------------------------------------------------------------------- */

static void ask_for(struct pg_narrow *n, uint64_t term)
{
    if (n->all_count < PG_TERMS_ASKED)
        n->all[n->all_count++] = term;
}

/* Equal to this one value? */
static bool is_equal(const struct filter *test)
{
    return (test->op == FILTER_EQ || test->op == FILTER_IN) && test->value_count == 1;
}

static const struct uuid *uuids_of(const struct filter *test, struct arena *arena)
{
    struct uuid *ids = arena_make(arena, struct uuid, test->value_count);
    for (size_t i = 0; i < test->value_count; i++)
        ids[i] = test->values[i].uuid;
    return ids;
}

static void narrow_time(struct run_query *q, const struct filter *test)
{
    if (test->value_count != 1)
        return;
    int64_t time = test->values[0].number;
    bool least = test->op == FILTER_GT || test->op == FILTER_GTE || is_equal(test);
    bool most = test->op == FILTER_LT || test->op == FILTER_LTE || is_equal(test);
    if (least && time > q->start_min_us)
        q->start_min_us = time;
    if (most && time < q->start_max_us)
        q->start_max_us = time;
}

static void narrow_ids(struct run_query *q, const struct filter *test, struct arena *arena)
{
    if ((test->op != FILTER_EQ && test->op != FILTER_IN) || test->value_count == 0)
        return;
    if (test->attribute == FILTER_ID && q->id_count == 0) {
        q->ids = uuids_of(test, arena);
        q->id_count = test->value_count;
    } else if (test->attribute == FILTER_SESSION_ID && q->project_count == 0) {
        q->projects = uuids_of(test, arena);
        q->project_count = test->value_count;
    } else if (test->attribute == FILTER_TRACE_ID && test->value_count == 1 && !q->by_trace) {
        q->by_trace = true;
        q->trace = test->values[0].uuid;
    } else if (test->attribute == FILTER_PARENT_RUN_ID && test->value_count == 1 && !q->by_parent) {
        q->by_parent = true;
        q->parent = test->values[0].uuid;
    }
}

static void narrow_words(struct run_query *q, const struct filter *test)
{
    if (!is_equal(test))
        return;
    if (test->attribute == FILTER_IS_ROOT) {
        if (q->root == QUERY_EITHER)
            q->root = test->values[0].truth ? QUERY_YES : QUERY_NO;
    } else if (test->attribute == FILTER_RUN_TYPE) {
        enum run_type type = run_type_named(test->values[0].text);
        if (type < RUN_TYPES && !q->by_type) {
            q->by_type = true;
            q->type = type;
        }
    } else if (q->error == QUERY_EITHER) { /* the status */
        bool error = str_eq(test->values[0].text, run_status_name(RUN_ERROR));
        q->error = error ? QUERY_YES : QUERY_NO;
    }
}

/* Names that are equal are so when folded, too.  But one that is long may be all that facts have
 * of a longer one, which is not folded alike. */
static void narrow_name(struct pg_narrow *n, struct str name, struct arena *arena)
{
    enum { LAST_POINT = 4 }; /* bytes that a cut may take with it, at most one less */
    if (n->name.at || name.len == 0 || name.len > FACTS_SOURCE - LAST_POINT)
        return;
    char *folded = arena_alloc(arena, FOLD_GROWTH * name.len);
    n->name = (struct str){folded, fold(name, folded)};
}

static void narrow_term(struct pg_narrow *n, const struct filter *test, struct arena *arena)
{
    if (!is_equal(test))
        return;
    if (test->attribute == FILTER_NAME)
        narrow_name(n, test->values[0].text, arena);
    else if (test->attribute == FILTER_REFERENCE_EXAMPLE_ID)
        ask_for(n, example_term(test->values[0].uuid));
    else
        ask_for(n, text_term(test->attribute == FILTER_TAGS ? TERM_TAG : TERM_THREAD,
                             test->values[0].text));
}

static void narrow_test(struct pg_narrow *n, const struct filter *test, struct arena *arena)
{
    static const uint64_t words = UINT64_C(1) << FILTER_IS_ROOT | UINT64_C(1) << FILTER_RUN_TYPE |
                                  UINT64_C(1) << FILTER_STATUS;
    static const uint64_t terms = UINT64_C(1) << FILTER_NAME | UINT64_C(1) << FILTER_TAGS |
                                  UINT64_C(1) << FILTER_THREAD_ID |
                                  UINT64_C(1) << FILTER_REFERENCE_EXAMPLE_ID;
    uint64_t attribute = UINT64_C(1) << test->attribute;
    if (test->attribute == FILTER_START_TIME)
        narrow_time(&n->query, test);
    else if (attribute & words)
        narrow_words(&n->query, test);
    else if (attribute & terms)
        narrow_term(n, test, arena);
    else
        narrow_ids(&n->query, test, arena);
}

/* One entry of metadata satisfies all of them. */
static void narrow_entry(struct pg_narrow *n, const struct filter *entry)
{
    const struct filter *key = NULL, *value = NULL;
    if (entry->attribute != FILTER_METADATA_KEY)
        return;
    for (const struct filter *test = entry->first; test; test = test->next) {
        if (is_equal(test) && test->attribute == FILTER_METADATA_KEY)
            key = test;
        else if (is_equal(test) && test->attribute == FILTER_METADATA_VALUE)
            value = test;
    }
    if (key && value && filter_seen_whole(value->values[0].text))
        ask_for(n, pair_term(key->values[0].text, value->values[0].text));
}

static void narrow_filter(struct pg_narrow *n, const struct filter *filter, struct arena *arena)
{
    if (filter->kind == FILTER_TEST) {
        narrow_test(n, filter, arena);
    } else if (filter->kind == FILTER_ENTRY) {
        narrow_entry(n, filter);
    } else if (filter->kind == FILTER_AND) {
        for (const struct filter *f = filter->first; f; f = f->next)
            if (f->kind != FILTER_AND)
                narrow_filter(n, f, arena);
    }
}

void pg_narrow(const struct run_query *query, struct arena *arena, struct pg_narrow *narrow)
{
    *narrow = (struct pg_narrow){.query = *query};
    if (query->filter)
        narrow_filter(narrow, query->filter, arena);
    if (query->example_count == 1) {
        ask_for(narrow, example_term(query->examples[0]));
    } else if (query->example_count > 1) {
        uint64_t *any = arena_make(arena, uint64_t, query->example_count);
        for (size_t i = 0; i < query->example_count; i++)
            any[i] = example_term(query->examples[i]);
        narrow->any = any;
        narrow->any_count = query->example_count;
    }
}
