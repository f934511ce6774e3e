/* check.h - the whole test harness.
 *
 * A test is a function named by TEST(); CHECK() reports and carries on, so one
 * run shows every broken line.  A test that does not apply here calls
 * test_skip() with the reason and returns.  main() runs them all in the order
 * they are written, or those whose name contains the first argument, and ends
 * with the line that scripts/runtests adds up:
 *
 *     suite: 12 passed, 0 failed, 1 skipped
 *
 * A program with a main of its own (test/crash) prints that line itself.
 */
#pragma once

#include <stdio.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

extern int test_failures;

void test_add(struct test *test);
void test_skip(const char *reason); /* of the running test; lives as long as the test */

#define TEST(id)                                                                                   \
    static void id(void);                                                                          \
    __attribute__((constructor)) static void id##_register(void)                                   \
    {                                                                                              \
        static struct test self = {#id, id, NULL};                                                 \
        test_add(&self);                                                                           \
    }                                                                                              \
    static void id(void)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)
