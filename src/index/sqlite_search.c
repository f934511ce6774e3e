/* sqlite_search.c - a page of runs, newest first.
 *
 *   trace          scan the trace's keys
 *   trace + name   the same, each row's name tested
 *   name           which names match?  None: done.  Few: take the newest rows
 *                  of each and merge.  More: walk all rows from the newest,
 *                  testing names, in the hope that the page is soon full;
 *                  if not, know all matching names after all, and merge
 *   any name       walk all rows from the newest
 *
 * Which names match: those that hold every three code points in a row of what
 * is wanted (KEYS_GRAM), each then compared.  Shorter than three code points:
 * all distinct names, one after the other.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/fold.h"
#include "index/sqlite_db.h"
#include "index/sqlite_read.h"

enum {
    GRAMS_MAX = 8,    /* of a long wanted text, as many are looked up */
    GRAM_STEPS = 32,  /* keys stepped over before skipping */
    NAMES_MERGED = 8, /* so many names are merged at once, ... */
    NAMES_FEW = 64,   /* ... and so many if walking WALK_SHORT rows did not do */
    WALK_SHORT = 1024,
    WALK_FIRST = 32768,  /* rows walked before all of many matching names are sought */
    ROWS_PER_NAME = 128, /* walking so many rows costs as much as one name's keys */
    TESTED = 4096        /* names whose test is remembered */
};

/* A row that may be on the page. */
struct hit {
    unsigned char order[8 + 16]; /* start and id, as in a key */
    uint64_t row;
    const struct index_row *shown; /* NULL: it is still to be read */
};

/* The best hits so far: a heap with the oldest on top, of at most limit + 1. */
struct page {
    struct hit *hits;
    size_t count, cap;
};

struct search {
    struct reader *reader;
    const struct query *query;
    struct index_search *asked;
    struct str wanted; /* folded */
    struct page page;
    struct tested {
        uint64_t name;
        bool matches;
    } * tested;      /* by name modulo TESTED */
    uint64_t *names; /* that match */
    size_t name_count, name_cap;
};

/* --- the page ----------------------------------------------------------------- */

static bool older(const struct hit *a, const struct hit *b)
{
    return memcmp(a->order, b->order, sizeof a->order) < 0;
}

static bool page_full(const struct page *page)
{
    return page->count == page->cap;
}

/* Would this hit be on the page? */
static bool page_takes(const struct page *page, const struct hit *hit)
{
    return !page_full(page) || older(&page->hits[0], hit);
}

static void swap_hits(struct hit *a, struct hit *b)
{
    struct hit t = *a;
    *a = *b;
    *b = t;
}

static void page_add(struct page *page, const struct hit *hit)
{
    struct hit *hits = page->hits;
    if (!page_full(page)) {
        size_t i = page->count++;
        hits[i] = *hit;
        for (; i > 0 && older(&hits[i], &hits[(i - 1) / 2]); i = (i - 1) / 2)
            swap_hits(&hits[i], &hits[(i - 1) / 2]);
        return;
    }
    hits[0] = *hit;
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < page->count && older(&hits[left], &hits[least]))
            least = left;
        if (right < page->count && older(&hits[right], &hits[least]))
            least = right;
        if (least == i)
            return;
        swap_hits(&hits[i], &hits[least]);
        i = least;
    }
}

static int newest_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return memcmp(y->order, x->order, sizeof x->order);
}

/* --- names -------------------------------------------------------------------- */

/* Does the name match?  Read, compared and remembered. */
static int test_name(struct search *s, uint64_t name, bool *matches, struct err *err)
{
    struct tested *tested = &s->tested[name % TESTED];
    *matches = false;
    if (name == 0)
        return 0;
    if (tested->name != name) {
        sqlite3_stmt *statement = s->reader->name;
        bool row = false;
        (void)sqlite3_bind_int64(statement, 1, (int64_t)name); /* cannot fail */
        int r = db_step(statement, &row, "read a name", err);
        if (r)
            return r;
        struct str folded = {0};
        if (row)
            folded = (struct str){sqlite3_column_blob(statement, 0),
                                  (size_t)sqlite3_column_bytes(statement, 0)};
        *tested = (struct tested){name, row && fold_contains(folded, s->wanted)};
        if (row)
            (void)sqlite3_reset(statement); /* no step failed */
    }
    *matches = tested->matches;
    return 0;
}

static void add_name(struct search *s, uint64_t name)
{
    if (s->name_count == s->name_cap) {
        s->name_cap = s->name_cap ? 2 * s->name_cap : 256;
        s->names = realloc(s->names, s->name_cap * sizeof *s->names);
        if (!s->names)
            abort();
    }
    s->names[s->name_count++] = name;
}

/* Different grams of the wanted text, spread over its length. */
static size_t choose_grams(struct str wanted, uint64_t grams[GRAMS_MAX])
{
    size_t points = fold_points(wanted), all = points - KEYS_GRAM_POINTS + 1;
    size_t stride = (all + GRAMS_MAX - 1) / GRAMS_MAX, count = 0;
    uint64_t gram = 0;
    size_t n = 0;
    for (size_t i = 0, size; i < wanted.len; i += size, n++) {
        gram = keys_gram(gram, fold_point(wanted.at + i, &size));
        if (n + 1 < KEYS_GRAM_POINTS || (n + 1 - KEYS_GRAM_POINTS) % stride != 0)
            continue;
        bool known = false;
        for (size_t g = 0; g < count; g++)
            known = known || grams[g] == gram;
        if (!known && count < GRAMS_MAX)
            grams[count++] = gram;
    }
    return count;
}

static struct key gram_key(uint64_t gram, uint64_t name)
{
    struct key key = {0};
    key_add_u64(&key, gram);
    key_add_number(&key, name);
    return key;
}

/* The names of one gram, downwards. */
struct gram_scan {
    struct keys_scan keys;
    uint64_t gram;
    uint64_t name; /* the present one; 0: at the end */
};

static int next_name(struct gram_scan *scan, struct err *err)
{
    const unsigned char *key;
    int r = keys_scan_next(&scan->keys, &key, err);
    if (!r)
        scan->name = key ? key_number(KEYS_GRAM, key) : 0;
    return r;
}

/* Go down to `name` or the first one below it. */
static int down_to(struct gram_scan *scan, uint64_t name, struct err *err)
{
    int r = 0;
    for (int i = 0; !r && scan->name > name && i < GRAM_STEPS; i++)
        r = next_name(scan, err);
    if (!r && scan->name > name) {
        struct key below = gram_key(scan->gram, name + 1);
        keys_scan_skip(&scan->keys, &below);
        r = next_name(scan, err);
    }
    return r;
}

/* The next name, downwards, that all the scans have; 0 at the end. */
static int common_name(struct gram_scan *scans, size_t count, uint64_t *name, struct err *err)
{
    size_t agreed = 0;
    for (size_t i = 0; agreed < count; i = (i + 1) % count) {
        int r = down_to(&scans[i], *name, err);
        if (r)
            return r;
        if (scans[i].name == 0) {
            *name = 0;
            return 0;
        }
        agreed = scans[i].name == *name ? agreed + 1 : 1;
        *name = scans[i].name;
    }
    return 0;
}

/* Collect matching names by their grams, until there are more than `most`. */
static int names_by_gram(struct search *s, size_t most, struct err *err)
{
    uint64_t grams[GRAMS_MAX];
    size_t count = choose_grams(s->wanted, grams);
    struct gram_scan scans[GRAMS_MAX] = {0};
    int r = 0;
    for (size_t i = 0; !r && i < count; i++) {
        struct key below = gram_key(grams[i], KEYS_NUMBER_MAX);
        scans[i].gram = grams[i];
        scans[i].name = KEYS_NUMBER_MAX;
        r = keys_scan_start(&scans[i].keys, &s->reader->keys, s->reader->view, KEYS_GRAM, KEYS_DOWN,
                            &below, KEYS_GRAM_PREFIX, err);
    }
    for (uint64_t name = KEYS_NUMBER_MAX - 1; !r && s->name_count <= most; name--) {
        bool matches = false;
        r = common_name(scans, count, &name, err);
        if (r || name == 0)
            break;
        r = test_name(s, name, &matches, err);
        if (!r && matches)
            add_name(s, name);
    }
    for (size_t i = 0; i < count; i++)
        keys_scan_end(&scans[i].keys);
    return r;
}

/* Collect matching names by comparing all, until there are more than `most`. */
static int names_by_scan(struct search *s, size_t most, struct err *err)
{
    sqlite3_stmt *statement = s->reader->names;
    bool row = false;
    int r = 0;
    while (!(r = db_step(statement, &row, "read the names", err)) && row) {
        struct str folded = {sqlite3_column_blob(statement, 1),
                             (size_t)sqlite3_column_bytes(statement, 1)};
        if (fold_contains(folded, s->wanted))
            add_name(s, (uint64_t)sqlite3_column_int64(statement, 0));
        if (s->name_count > most)
            break;
    }
    if (!r && row)
        (void)sqlite3_reset(statement); /* no step failed */
    return r;
}

static int collect_names(struct search *s, size_t most, struct err *err)
{
    s->name_count = 0;
    return fold_points(s->wanted) >= KEYS_GRAM_POINTS ? names_by_gram(s, most, err)
                                                      : names_by_scan(s, most, err);
}

/* --- rows --------------------------------------------------------------------- */

/* Above every key, or at the cursor: keys below come after it in the order. */
static void add_cursor(struct key *key, enum keys_kind kind, const struct query *query)
{
    if (!query->after) {
        key_fill(key, kind);
        return;
    }
    key_add_time(key, query->cursor.start_us);
    key_add_id(key, query->cursor.id);
    memset(key->at + key->len, 0, keys_width(kind) - key->len);
    key->len = keys_width(kind);
}

/* The hit at `key`; start and id begin at `at`. */
static struct hit hit_at(enum keys_kind kind, const unsigned char *key, size_t at)
{
    struct hit hit = {.row = key_number(kind, key)};
    memcpy(hit.order, key + at, sizeof hit.order);
    return hit;
}

/* Add it to the page if its run is shown, and its name matches when that is asked.  What is
 * read is kept if it stays there, since others that come are behind it. */
static int add_if_shown(struct search *s, struct hit hit, bool by_name, bool stays, struct err *err)
{
    struct row row;
    bool shown = false, matches = true;
    int r = reader_row(s->reader, hit.row, &row, &shown, err);
    if (!r && shown && by_name)
        r = test_name(s, row.name, &matches, err);
    if (r || !shown || !matches)
        return r;
    if (stays) {
        struct index_row *kept = arena_make(s->asked->arena, struct index_row, 1);
        r = reader_show(s->reader, &row, s->asked->facts, s->asked->arena, kept, err);
        hit.shown = kept;
    }
    page_add(&s->page, &hit);
    return r;
}

/* A hit of the page, as it is answered. */
static int show_hit(struct search *s, const struct hit *hit, struct index_row *result,
                    struct err *err)
{
    struct row row;
    bool shown;
    if (hit->shown) {
        *result = *hit->shown;
        return 0;
    }
    int r = reader_row(s->reader, hit->row, &row, &shown, err);
    return r ? r : reader_show(s->reader, &row, s->asked->facts, s->asked->arena, result, err);
}

static int search_trace(struct search *s, struct err *err)
{
    struct key below = {0};
    key_add_id(&below, s->query->trace);
    add_cursor(&below, KEYS_TRACE, s->query);
    struct keys_scan scan;
    int r = keys_scan_start(&scan, &s->reader->keys, s->reader->view, KEYS_TRACE, KEYS_DOWN, &below,
                            16, err);
    const unsigned char *key = NULL;
    while (!r && !page_full(&s->page) && !(r = keys_scan_next(&scan, &key, err)) && key) {
        const struct hit hit = hit_at(KEYS_TRACE, key, 16);
        r = add_if_shown(s, hit, s->query->by_name, true, err);
    }
    keys_scan_end(&scan);
    return r;
}

/* Walk all rows from the newest until the page is full, or `most` were seen. */
static int walk(struct search *s, uint64_t most, bool *done, struct err *err)
{
    struct key below = {0};
    add_cursor(&below, KEYS_START, s->query);
    struct keys_scan scan;
    int r = keys_scan_start(&scan, &s->reader->keys, s->reader->view, KEYS_START, KEYS_DOWN, &below,
                            0, err);
    const unsigned char *key = NULL;
    s->page.count = 0;
    *done = false;
    for (uint64_t seen = 0; !r && seen < most && !*done; seen++) {
        r = keys_scan_next(&scan, &key, err);
        if (r)
            break;
        if (!key) {
            *done = true;
            break;
        }
        const struct hit hit = hit_at(KEYS_START, key, 0);
        bool matches = false;
        r = test_name(s, key_read_number(key + sizeof hit.order), &matches, err);
        if (!r && matches)
            r = add_if_shown(s, hit, false, true, err);
        *done = page_full(&s->page);
    }
    keys_scan_end(&scan);
    return r;
}

/* The newest rows of every name in the list. */
static int merge_names(struct search *s, struct err *err)
{
    int r = 0;
    s->page.count = 0;
    for (size_t i = 0; !r && i < s->name_count; i++) {
        struct key below = {0};
        key_add_number(&below, s->names[i]);
        add_cursor(&below, KEYS_NAME, s->query);
        struct keys_scan scan;
        r = keys_scan_start(&scan, &s->reader->keys, s->reader->view, KEYS_NAME, KEYS_DOWN, &below,
                            KEYS_NUMBER, err);
        const unsigned char *key = NULL;
        while (!r && !(r = keys_scan_next(&scan, &key, err)) && key) {
            const struct hit hit = hit_at(KEYS_NAME, key, KEYS_NUMBER);
            if (!page_takes(&s->page, &hit))
                break;
            r = add_if_shown(s, hit, false, false, err);
        }
        keys_scan_end(&scan);
    }
    return r;
}

static int search_name(struct search *s, struct err *err)
{
    bool done = false;
    if (s->wanted.len == 0)
        return walk(s, UINT64_MAX, &done, err);
    int r = collect_names(s, NAMES_FEW, err);
    if (r)
        return r;
    bool few = s->name_count <= NAMES_FEW;
    if (s->name_count > NAMES_MERGED)
        r = walk(s, few ? WALK_SHORT : WALK_FIRST, &done, err);
    if (r || done)
        return r;
    if (few)
        return merge_names(s, err);
    size_t most = (size_t)(s->reader->view->rows / ROWS_PER_NAME);
    r = collect_names(s, most, err);
    if (!r && s->name_count <= most)
        return merge_names(s, err);
    return r ? r : walk(s, UINT64_MAX, &done, err);
}

int reader_search(struct reader *reader, struct index_search *search, struct err *err)
{
    const struct query *query = search->query;
    struct search s = {
        .reader = reader, .query = query, .asked = search, .page.cap = (size_t)query->limit + 1};
    s.page.hits = arena_make(search->arena, struct hit, s.page.cap);
    if (query->by_name) {
        char *folded = arena_alloc(search->arena, FOLD_GROWTH * query->name.len + 1);
        s.wanted = (struct str){folded, fold(query->name, folded)};
        s.tested = arena_make(search->arena, struct tested, TESTED);
    }
    int r = query->by_trace  ? search_trace(&s, err)
            : query->by_name ? search_name(&s, err)
                             : err_set(err, ERR_INVALID, "index: a search for nothing");
    free(s.names);
    if (r)
        return r;

    qsort(s.page.hits, s.page.count, sizeof *s.page.hits, newest_first);
    bool more = s.page.count > query->limit;
    size_t count = more ? query->limit : s.page.count;
    struct index_row *rows = arena_make(search->arena, struct index_row, count);
    for (size_t i = 0; !r && i < count; i++)
        r = show_hit(&s, &s.page.hits[i], &rows[i], err);
    if (r)
        return r;
    search->rows = rows;
    search->count = count;
    search->more = more;
    return 0;
}
