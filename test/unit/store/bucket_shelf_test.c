/* bucket_shelf_test.c - what is kept of packs: bounded, and never gone while in hand. */
#include "store/bucket_shelf.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/check.h"
#include "lib/make_pack.h"
#include "store/pack.h"

enum { ROOM_FOR_ALL = 1 << 20 };

/* A pack of one run, with its runs loaded. */
static struct pack *new_pack(uint64_t number)
{
    struct make_run run = {.id = make_id(number), .trace = make_id(1), .number = number};
    struct make_batch batch = {.runs = &run, .count = 1, .sequence = number};
    struct made_pack *made = make_pack(number, &batch, 1);
    struct pack *pack = NULL;
    uint64_t need = 0;
    CHECK(pack_open(text_str(&made->file), made->file.len, &pack, &need, NULL) == 0);
    CHECK(need == 0 && pack_loaded(pack, PACK_RUNS));
    made_pack_free(made);
    return pack;
}

static size_t cost(void)
{
    struct pack *pack = new_pack(1);
    size_t size = pack_memory(pack);
    pack_free(pack);
    return size;
}

static void add(struct shelf *shelf, uint64_t number)
{
    shelf_give_back(shelf, shelf_add(shelf, number, new_pack(number)));
}

static bool has(struct shelf *shelf, uint64_t number)
{
    struct shelved *s = shelf_find(shelf, number);
    bool right = s && shelved_pack(s)->summary.number == number;
    CHECK(!s || right);
    shelf_give_back(shelf, s);
    return right;
}

TEST(what_was_put_there_is_found)
{
    struct shelf *shelf = shelf_new(ROOM_FOR_ALL);
    CHECK(!shelf_find(shelf, 5));

    add(shelf, 5);
    add(shelf, 5 + (UINT64_C(1) << 40));

    CHECK(has(shelf, 5) && has(shelf, 5 + (UINT64_C(1) << 40)) && !has(shelf, 6));
    shelf_free(shelf);
}

TEST(what_was_not_used_longest_goes_first)
{
    /* Room for three; each costs a little more than its pack. */
    struct shelf *shelf = shelf_new(3 * cost() + cost() / 2);
    add(shelf, 1);
    add(shelf, 2);
    add(shelf, 3);
    CHECK(has(shelf, 1)); /* now 2 is the oldest */

    add(shelf, 4);

    CHECK(!has(shelf, 2));
    CHECK(has(shelf, 1) && has(shelf, 3) && has(shelf, 4));
    add(shelf, 5);
    CHECK(!has(shelf, 1));
    shelf_free(shelf);
}

TEST(one_that_is_larger_than_the_shelf_is_there_until_the_next)
{
    struct shelf *shelf = shelf_new(1);
    add(shelf, 1);
    CHECK(has(shelf, 1));
    add(shelf, 2);
    CHECK(!has(shelf, 1) && has(shelf, 2));
    shelf_free(shelf);
}

TEST(what_is_in_hand_stays_when_it_leaves_the_shelf)
{
    struct shelf *shelf = shelf_new(1);
    struct shelved *first = shelf_add(shelf, 1, new_pack(1));
    struct shelved *again = shelf_find(shelf, 1);
    CHECK(again == first);

    add(shelf, 2);
    CHECK(!shelf_find(shelf, 1));
    CHECK(shelved_pack(first)->summary.number == 1);
    CHECK(pack_run(shelved_pack(first), 0).ordinal == 0);

    /* Meanwhile another of that number comes: two lives apart. */
    struct shelved *other = shelf_add(shelf, 1, new_pack(1));
    CHECK(other != first);
    shelf_give_back(shelf, first);
    CHECK(shelved_pack(again)->summary.number == 1);
    shelf_give_back(shelf, again);
    CHECK(has(shelf, 1));
    shelf_give_back(shelf, other);
    shelf_free(shelf);
}

TEST(who_comes_second_gets_what_is_there)
{
    struct shelf *shelf = shelf_new(ROOM_FOR_ALL);
    struct pack *pack = new_pack(1);
    struct shelved *first = shelf_add(shelf, 1, pack);
    struct shelved *second = shelf_add(shelf, 1, new_pack(1));

    CHECK(first == second && shelved_pack(second) == pack);
    shelf_give_back(shelf, first);
    shelf_give_back(shelf, second);
    CHECK(has(shelf, 1));
    shelf_free(shelf);
}

TEST(nothing_in_hand_is_nothing_to_give_back)
{
    struct shelf *shelf = shelf_new(ROOM_FOR_ALL);
    shelf_give_back(shelf, NULL);
    shelf_free(shelf);
    shelf_free(NULL);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 400, NUMBERS = 8 };

struct crowd {
    struct shelf *shelf;
    atomic_uint_fast64_t wrong, next;
};

static void *use(void *context)
{
    struct crowd *crowd = context;
    struct make_random random = {atomic_fetch_add(&crowd->next, 1)};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t number = make_random(&random) % NUMBERS + 1;
        struct shelved *s = shelf_find(crowd->shelf, number);
        if (!s)
            s = shelf_add(crowd->shelf, number, new_pack(number));
        uint32_t row = 7;
        if (shelved_pack(s)->summary.number != number || !pack_find(shelved_pack(s), 0, &row) ||
            row != 0)
            atomic_fetch_add(&crowd->wrong, 1);
        shelf_give_back(crowd->shelf, s);
    }
    return NULL;
}

/* Room for two of eight, so that what others read is dropped all the time. */
TEST(threads_share_a_shelf_that_is_too_small)
{
    struct crowd crowd = {.shelf = shelf_new(2 * cost() + cost() / 2)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use, &crowd) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    CHECK(atomic_load(&crowd.wrong) == 0);
    shelf_free(crowd.shelf);
}
