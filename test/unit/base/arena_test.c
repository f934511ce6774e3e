/* arena_test.c - zeroed, aligned, all released at once. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>

#include "base/buf.h"
#include "lib/check.h"

TEST(memory_is_zeroed_aligned_and_apart)
{
    struct arena *arena = arena_new(64);
    unsigned char *at[200];

    for (size_t i = 0; i < 200; i++) {
        at[i] = arena_alloc(arena, i);
        CHECK((uintptr_t)at[i] % alignof(max_align_t) == 0);
        for (size_t k = 0; k < i; k++)
            CHECK(at[i][k] == 0);
        memset(at[i], (int)i, i);
    }

    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(at[i][k] == (unsigned char)i);
    arena_free(arena);
}

TEST(one_allocation_may_exceed_every_block)
{
    struct arena *arena = arena_new(16);

    char *large = arena_alloc(arena, 1 << 20);
    char *after = arena_alloc(arena, 8);
    memset(large, 1, 1 << 20);

    CHECK(after[0] == 0 && after[7] == 0);
    arena_free(arena);
}

TEST(a_copy_is_its_own_and_ended)
{
    struct arena *arena = arena_new(128);
    char source[] = "name";

    struct str copy = arena_copy(arena, (struct str){source, 4});
    struct str empty = arena_copy(arena, (struct str){NULL, 0});
    source[0] = 'X';

    CHECK(str_eq(copy, STR("name")));
    CHECK(copy.at[4] == '\0');
    CHECK(empty.len == 0 && empty.at[0] == '\0');
    arena_free(arena);
}

TEST(a_kept_buffer_lives_as_long_as_the_arena)
{
    struct arena *arena = arena_new(128);
    struct buf *buf = buf_new(4);

    arena_keep(arena, buf_ref(buf));
    CHECK(atomic_load(&buf->refs) == 2);
    arena_free(arena);

    CHECK(atomic_load(&buf->refs) == 1);
    buf_unref(buf);
}

TEST(no_arena_is_freed_without_harm)
{
    arena_free(NULL);
    CHECK(1);
}
