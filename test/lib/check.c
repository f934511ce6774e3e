/* check.c - see check.h. */
#include "lib/check.h"

int test_failures;

static struct test *first, *last;
static const char *skip_reason;

void test_add(struct test *test)
{
    if (last)
        last->next = test;
    else
        first = test;
    last = test;
}

void test_skip(const char *reason)
{
    skip_reason = reason;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;

    /* A test that dies has the lines of those before it printed. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test *t = first; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        int before = test_failures;
        skip_reason = NULL;
        t->run();
        if (test_failures != before) {
            failed++;
            printf("FAIL %s\n", t->name);
        } else if (skip_reason) {
            skipped++;
            printf("SKIP %s: %s\n", t->name, skip_reason);
        } else {
            passed++;
            printf("ok   %s\n", t->name);
        }
    }
    printf("suite: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : passed + skipped ? 0 : 2;
}
