/* resolve_test.c - names and addresses, from a resolver that is slow. */
#include "loop/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdlib.h>
#include <uv.h>

#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"

static sem_t asked, may_answer;
static unsigned addresses; /* it has so many; 0: none */

/* Instead of the C library's. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    (void)host;
    (void)service;
    (void)hints;
    sem_post(&asked);
    while (sem_wait(&may_answer) != 0)
        ;
    *list = NULL;
    for (unsigned i = addresses; i-- > 0;) {
        struct {
            struct addrinfo info;
            struct sockaddr_in address;
        } *made = calloc(1, sizeof *made);
        if (!made)
            abort();
        made->address.sin_family = AF_INET;
        made->address.sin_addr.s_addr = htonl(0x0a000001 + i);
        made->info.ai_addr = (struct sockaddr *)&made->address;
        made->info.ai_addrlen = sizeof made->address;
        made->info.ai_next = *list;
        *list = &made->info;
    }
    return addresses ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *list)
{
    for (struct addrinfo *next; list; list = next) {
        next = list->ai_next;
        free(list);
    }
}

static bool done;

static void came(struct op *op)
{
    (void)op;
    done = true;
}

static struct resolve begin(struct loop *loop)
{
    done = false;
    return (struct resolve){.op = {.loop = loop, .done = came}, .host = "db.example"};
}

static void setup(unsigned count)
{
    sem_init(&asked, 0, 0);
    sem_init(&may_answer, 0, 0);
    addresses = count;
}

TEST(all_addresses_are_told_up_to_eight)
{
    static const unsigned counts[] = {1, 3, 20, 0};
    struct loop *loop = hand_loop_open();
    for (int i = 0; i < 4; i++) {
        setup(counts[i]);
        struct resolve r = begin(loop);
        resolve(&r);
        sem_post(&may_answer);
        while (!done)
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        CHECK(r.count == (counts[i] < RESOLVE_MAX ? counts[i] : RESOLVE_MAX));
        CHECK(r.op.err.code == (counts[i] ? ERR_OK : ERR_UNAVAILABLE));
        CHECK(counts[i] == 0 ? strstr(r.op.err.text, "db.example") != NULL
                             : strcmp(r.addresses[0], "10.0.0.1") == 0);
        CHECK(counts[i] < 3 || strcmp(r.addresses[2], "10.0.0.3") == 0);
        CHECK(!resolve_cancel(&r));
    }
    hand_loop_close(loop);
}

TEST(a_loop_that_ends_does_not_wait_for_a_look_up)
{
    struct loop *loop = hand_loop_open();
    setup(1);
    struct resolve *r = malloc(sizeof *r);
    if (!r)
        abort();
    *r = begin(loop);
    resolve(r);
    while (sem_wait(&asked) != 0)
        ;
    CHECK(resolve_cancel(r)); /* it is ours again */
    free(r);
    hand_loop_close(loop);
    sem_post(&may_answer);
    CHECK(!done);
}
