/* gc_test.c - objects without rows, and rows without objects: the few are taken out,
 * the many never, whatever fails in between.
 *
 * The index is a list of containers that have rows, which changes when a test says so.
 */
#include "upkeep/gc.h"

#include <stdlib.h>

#include "index/index.h"
#include "lib/bad_objects.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "store/bucket_name.h"
#include "store/store.h"
#include "upkeep/lost.h"

enum { MOST = 3000, PAGE = 1000 };

static const int64_t HOUR_US = INT64_C(3600000000);
/* 2026-11-26T05:00:00Z */
static const int64_t SOME_HOUR_US = INT64_C(1795669200000000);

/* ---- an index ---- */

struct rows {
    struct index index;
    uint64_t has[MOST]; /* ascending */
    size_t count;
    size_t asked;    /* pages, of either list */
    size_t fails_at; /* which of them; 0: none */
    enum err_code says;
    size_t changes_at; /* at which they become those of another bucket; 0: never */
    size_t condemned, lost;
};

static struct rows *rows_of(struct index *index)
{
    return (struct rows *)index; /* its first member */
}

static bool has_row(const struct rows *rows, uint64_t number)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->has[i] == number)
            return true;
    return false;
}

static int attach(struct index *index, struct loop *loop, struct err *err)
{
    (void)index;
    (void)loop;
    (void)err;
    return 0;
}

/* False: it failed, as planned. */
static bool begin_page(struct rows *rows, struct op *op)
{
    if (++rows->asked == rows->changes_at)
        for (size_t i = 0; i < rows->count; i++)
            rows->has[i]++;
    if (rows->asked != rows->fails_at)
        return true;
    op_fail(op, rows->says, "as planned");
    return false;
}

static void known(struct index *index, struct index_known *k)
{
    struct rows *rows = rows_of(index);
    if (!begin_page(rows, &k->op))
        return;
    for (size_t i = 0; i < k->count; i++)
        k->known[i] = has_row(rows, k->containers[i]);
    op_finish(&k->op);
}

static void condemn(struct index *index, struct index_condemn *c)
{
    struct rows *rows = rows_of(index);
    c->live = has_row(rows, c->container);
    rows->condemned += !c->live;
    op_finish(&c->op);
}

static void containers(struct index *index, struct index_containers *c)
{
    struct rows *rows = rows_of(index);
    if (!begin_page(rows, &c->op))
        return;
    c->count = 0;
    for (size_t i = 0; i < rows->count && c->count < c->max; i++)
        if (rows->has[i] > c->after)
            c->numbers[c->count++] = rows->has[i];
    op_finish(&c->op);
}

static void lose(struct index *index, struct index_lose *l)
{
    rows_of(index)->lost++;
    l->runs = 1;
    op_finish(&l->op);
}

static const struct index_ops rows_ops = {.name = "rows",
                                          .attach = attach,
                                          .known = known,
                                          .condemn = condemn,
                                          .containers = containers,
                                          .lose = lose};

/* ---- a bucket ---- */

struct bench {
    struct loop *loop;
    struct objects *inner;
    struct bad_objects objects;
    struct store *store;
    struct rows rows;
};

static void begin(struct bench *b)
{
    struct err err = {0};
    *b = (struct bench){.loop = hand_loop_open(), .rows.index.ops = &rows_ops};
    CHECK(object_mem_open(&b->inner, &err) == 0);
    CHECK(b->inner->ops->attach(b->inner, b->loop, &err) == 0);
    bad_objects_open(&b->objects, b->inner);
    if (store_bucket_open(&(struct store_bucket_config){.objects = &b->objects.objects,
                                                        .groups = 1,
                                                        .threads = 1,
                                                        .queue = 16,
                                                        .shelf_size = 1 << 20,
                                                        .loop_index = 1},
                          &b->store, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    bad_objects_plan(&b->objects, (struct bad_objects_plan){0}); /* count from here */
}

static void end(struct bench *b)
{
    store_close(b->store);
    bad_objects_free(&b->objects);
    b->inner->ops->close(b->inner);
    hand_loop_close(b->loop);
}

/* The i-th of those that are put a second after the other. */
static uint64_t number_of(size_t i)
{
    return bucket_number((uint64_t)(SOME_HOUR_US + (int64_t)i * 1000000), 0);
}

static void put_object(struct bench *b, size_t i)
{
    char name[BUCKET_NAME];
    CHECK(objects_put(b->inner, b->loop, bucket_name(number_of(i), name), STR("pack")) == 0);
}

static void add_row(struct bench *b, size_t i)
{
    b->rows.has[b->rows.count++] = number_of(i);
}

/* So many of either, of which the first have no row, or no object. */
static void fill(struct bench *b, size_t count, size_t without_row, size_t without_object)
{
    for (size_t i = 0; i < count; i++) {
        if (i >= without_object)
            put_object(b, i);
        if (i >= without_row)
            add_row(b, i);
    }
}

static int gone_through(struct bench *b, struct gc *gc_, struct err *err)
{
    gc_->store = b->store;
    gc_->index = &b->rows.index;
    gc_->loop = b->loop;
    gc_->before_us = SOME_HOUR_US + 10 * HOUR_US;
    *err = (struct err){0};
    return gc(gc_, err);
}

static int removed(const struct bench *b)
{
    return b->objects.calls[BAD_REMOVE];
}

/* ---- objects without rows ---- */

TEST(the_few_are_removed)
{
    struct bench b;
    struct err err;
    struct gc gc = {0};
    begin(&b);
    fill(&b, 2500, 3, 0);
    CHECK(gone_through(&b, &gc, &err) == 0);
    CHECK(gc.objects == 2500 && gc.orphans == 3 && gc.removed == 3 && removed(&b) == 3);
    CHECK(gone_through(&b, &gc, &err) == 0);
    CHECK(gc.objects == 2497 && gc.orphans == 0);
    end(&b);
}

/* The first page has all those without a row: who begins behind it sees none of them. */
TEST(a_sweep_that_failed_leaves_nothing_behind_for_the_next)
{
    struct bench b;
    struct err err;
    struct gc gc = {0};
    begin(&b);
    fill(&b, MOST, 1200, 0);
    b.rows.fails_at = 2;
    b.rows.says = ERR_UNAVAILABLE;
    CHECK(gone_through(&b, &gc, &err) == ERR_UNAVAILABLE && !gc.stopped);
    for (int i = 0; i < 2; i++) {
        CHECK(gone_through(&b, &gc, &err) == ERR_CONFLICT && gc.objects == MOST);
        CHECK(strstr(err.text, "1200 of 3000"));
    }
    CHECK(removed(&b) == 0 && b.rows.condemned == 0);
    end(&b);
}

/* The database is exchanged between the look and the removing. */
TEST(no_more_are_removed_than_were_counted)
{
    struct bench b;
    struct err err;
    struct gc gc = {0};
    begin(&b);
    fill(&b, 2000, 4, 0);
    b.rows.changes_at = 3; /* two pages were looked at */
    CHECK(gone_through(&b, &gc, &err) == ERR_CONFLICT);
    CHECK(strstr(err.text, "more objects have no row"));
    CHECK(gc.removed == 4 && removed(&b) == 4);
    end(&b);
}

struct patience {
    size_t asked, most;
};

static bool going(void *context)
{
    struct patience *p = context;
    return p->asked++ < p->most;
}

TEST(it_stops_between_two_pages)
{
    struct bench b;
    struct err err;
    struct patience p = {.most = 1};
    struct gc gc = {.going = going, .context = &p};
    begin(&b);
    fill(&b, 2500, 0, 0);
    CHECK(gone_through(&b, &gc, &err) == ERR_UNAVAILABLE && gc.stopped);
    CHECK(b.objects.calls[BAD_LIST] == 1 && gc.objects == PAGE);
    p = (struct patience){0};
    CHECK(gone_through(&b, &gc, &err) == ERR_UNAVAILABLE && gc.stopped);
    CHECK(b.objects.calls[BAD_LIST] == 1);
    end(&b);
}

TEST(it_stops_between_two_objects)
{
    struct bench b;
    struct err err;
    struct patience p = {.most = 1 + 2 + 1 + 1}; /* the look, a page, one object */
    struct gc gc = {.going = going, .context = &p};
    begin(&b);
    fill(&b, 20, 2, 0);
    CHECK(gone_through(&b, &gc, &err) == ERR_UNAVAILABLE && gc.stopped);
    CHECK(gc.removed == 1 && removed(&b) == 1);
    end(&b);
}

/* Six thousand that are younger, and lie behind: one page of names is enough. */
TEST(what_is_too_young_is_not_listed_to_its_end)
{
    struct bench b;
    struct store_listing listing = {.before_us = SOME_HOUR_US + 30 * 1000000};
    uint64_t numbers[PAGE];
    size_t count = 0, found = 0;
    begin(&b);
    for (size_t i = 0; i < 60; i++)
        put_object(&b, i);
    for (size_t i = 0; i < 6000; i++)
        put_object(&b, 3600 + i);
    while (!listing.done) {
        CHECK(store_list(b.store, &listing, numbers, PAGE, &count, NULL) == 0);
        found += count;
    }
    CHECK(found == 30 && b.objects.calls[BAD_LIST] == 1);
    /* Of an hour that began before, all names are looked at. */
    listing = (struct store_listing){.before_us = SOME_HOUR_US + HOUR_US + 1000000};
    found = 0;
    while (!listing.done) {
        CHECK(store_list(b.store, &listing, numbers, PAGE, &count, NULL) == 0);
        found += count;
    }
    CHECK(found == 61 && b.objects.calls[BAD_LIST] == 1 + 4);
    end(&b);
}

/* ---- rows without objects ---- */

static int lost_through(struct bench *b, struct lost *lost_, struct err *err)
{
    lost_->store = b->store;
    lost_->index = &b->rows.index;
    lost_->loop = b->loop;
    *err = (struct err){0};
    return lost(lost_, err);
}

TEST(rows_of_the_few_objects_that_are_gone_are_taken_out)
{
    struct bench b;
    struct err err;
    struct lost lost = {0};
    begin(&b);
    fill(&b, 2500, 0, 3);
    CHECK(lost_through(&b, &lost, &err) == 0);
    CHECK(lost.containers == 2500 && lost.gone == 3 && lost.runs == 3 && b.rows.lost == 3);
    end(&b);
}

/* Rows of another bucket come between the look and the taking out. */
TEST(no_more_rows_are_taken_out_than_objects_were_gone)
{
    struct bench b;
    struct err err;
    struct lost lost = {0};
    begin(&b);
    fill(&b, 100, 0, 2);
    b.rows.changes_at = 3; /* a page and the end of the list were looked at */
    CHECK(lost_through(&b, &lost, &err) == ERR_CONFLICT);
    CHECK(strstr(err.text, "more objects are gone"));
    CHECK(lost.runs == 2 && b.rows.lost == 2);
    end(&b);
}

TEST(looking_for_lost_objects_stops_when_told)
{
    struct bench b;
    struct err err;
    struct patience p = {.most = 1};
    struct lost lost = {.going = going, .context = &p};
    begin(&b);
    fill(&b, 2500, 0, 0);
    CHECK(lost_through(&b, &lost, &err) == ERR_UNAVAILABLE && lost.stopped);
    CHECK(lost.containers == PAGE);
    end(&b);
}
