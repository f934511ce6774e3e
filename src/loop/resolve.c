/* resolve.c - see resolve.h.
 *
 * getaddrinfo() may take as long as all servers of resolv.conf may, and cannot be
 * taken back.  So each look-up has a thread of its own that nobody waits for: one
 * that was cancelled comes back to find that, and goes.
 */
#include "loop/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct resolve_request {
    struct resolve *asked; /* NULL: cancelled */
    char host[RESOLVE_HOST];
};

/* Of `asked` and `request`, which point to each other. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void take(struct resolve *r, const struct addrinfo *list)
{
    for (; list && r->count < RESOLVE_MAX; list = list->ai_next)
        if (getnameinfo(list->ai_addr, list->ai_addrlen, r->addresses[r->count], RESOLVE_ADDRESS,
                        NULL, 0, NI_NUMERICHOST) == 0)
            r->count++;
}

static void *look_up(void *context)
{
    struct resolve_request *request = context;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(request->host, NULL, &hints, &list);
    pthread_mutex_lock(&lock);
    struct resolve *r = request->asked;
    if (r) {
        take(r, status ? NULL : list);
        if (r->count == 0)
            err_set(&r->op.err, ERR_UNAVAILABLE, "look up %.100s: %s", r->host,
                    status ? gai_strerror(status) : "it has no address");
        r->request = NULL;
        op_finish(&r->home);
    }
    pthread_mutex_unlock(&lock);
    if (!status)
        freeaddrinfo(list);
    free(request);
    return NULL;
}

/* On the loop.  The thread may be about to ring its bell: before that, it may not end. */
static void came_home(struct op *op)
{
    struct resolve *r = op_owner(op, struct resolve, home);
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    r->op.done(&r->op);
}

void resolve(struct resolve *r)
{
    struct resolve_request *request = calloc(1, sizeof *request);
    if (!request)
        abort();
    r->home = (struct op){.loop = r->op.loop, .done = came_home};
    r->count = 0;
    r->request = request;
    request->asked = r;
    memcpy(request->host, r->host, sizeof request->host);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &detached, look_up, request);
    pthread_attr_destroy(&detached);
    if (failed) {
        free(request);
        r->request = NULL;
        op_fail(&r->op, ERR_UNAVAILABLE, "look up %.100s: %s", r->host, strerror(failed));
    }
}

bool resolve_cancel(struct resolve *r)
{
    pthread_mutex_lock(&lock);
    bool under_way = r->request != NULL;
    if (under_way)
        r->request->asked = NULL;
    r->request = NULL;
    pthread_mutex_unlock(&lock);
    return under_way;
}
