/* resolve.c - see resolve.h. */
#include "loop/resolve.h"

#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

#include "loop/loop.h"

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct resolve *r = request->data;
    int named = status;
    if (!named)
        named = getnameinfo(list->ai_addr, list->ai_addrlen, r->address, sizeof r->address, NULL, 0,
                            NI_NUMERICHOST);
    if (named)
        err_set(&r->op.err, ERR_UNAVAILABLE, "look up %.100s: %s", r->host,
                status ? uv_strerror(status) : gai_strerror(named));
    uv_freeaddrinfo(list);
    free(request);
    op_finish(&r->op);
}

void resolve(struct resolve *r)
{
    uv_getaddrinfo_t *request = calloc(1, sizeof *request);
    if (!request)
        abort();
    request->data = r;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int status = uv_getaddrinfo(loop_uv(r->op.loop), request, looked_up, r->host, NULL, &hints);
    if (status < 0) {
        free(request);
        op_fail(&r->op, ERR_UNAVAILABLE, "look up %.100s: %s", r->host, uv_strerror(status));
    }
}
