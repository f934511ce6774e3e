/* canned.c - see canned.h. */
#include "lib/canned.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 32, REQUESTS = 256, HEAD = 8192, LINES = 64 };

struct request {
    char head[HEAD];
    char *body;
    size_t size;
};

struct connection {
    int fd; /* -1: none */
    bool hangs;
    char *bytes;
    size_t len, cap;
};

struct canned_server {
    int listener, stop;
    char endpoint[64];
    pthread_t thread;
    struct connection connection[CONNECTIONS]; /* the thread's */
    pthread_mutex_t lock;                      /* over what follows */
    const struct canned *script;
    size_t lines;
    unsigned used[LINES];
    struct request request[REQUESTS];
    size_t count;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void hang_up(struct connection *c)
{
    close(c->fd);
    free(c->bytes);
    *c = (struct connection){.fd = -1};
}

static void reset(struct connection *c)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(c);
}

static bool say(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool fill(int fd, size_t len)
{
    char bytes[4096];
    memset(bytes, 'x', sizeof bytes);
    while (len > 0) {
        size_t n = len < sizeof bytes ? len : sizeof bytes;
        if (!say(fd, bytes, n))
            return false;
        len -= n;
    }
    return true;
}

/* Keep the request, and find the line that answers it. */
static struct canned take(struct canned_server *server, const char *head, size_t head_len,
                          const char *body, size_t size)
{
    static const struct canned unknown = {
        .answer = "HTTP/1.1 555 Not in the script\r\nContent-Length: 0\r\n\r\n"};
    pthread_mutex_lock(&server->lock);
    if (server->count == REQUESTS || head_len >= HEAD)
        die("a test's request");
    struct request *r = &server->request[server->count++];
    memcpy(r->head, head, head_len);
    r->head[head_len] = '\0';
    r->body = malloc(size + 1);
    memcpy(r->body, body, size);
    r->size = size;

    char line[HEAD];
    size_t len = strcspn(r->head, "\r");
    memcpy(line, r->head, len);
    line[len] = '\0';
    struct canned found = unknown;
    for (size_t i = 0; i < server->lines; i++) {
        const struct canned *c = &server->script[i];
        if (server->used[i] < (c->times ? c->times : 1) && strstr(line, c->match)) {
            server->used[i]++;
            found = *c;
            break;
        }
    }
    if (found.answer == unknown.answer)
        fprintf(stderr, "not in the script: %s\n", line);
    pthread_mutex_unlock(&server->lock);
    return found;
}

/* Answer the request at the start of what came, if it is all there. */
static bool answer(struct canned_server *server, struct connection *c)
{
    const char *end = memmem(c->bytes, c->len, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t)(end - c->bytes) + 4, size = 0;
    const char *length = memmem(c->bytes, head, "Content-Length: ", 16);
    if (length)
        size = strtoul(length + 16, NULL, 10);
    if (c->len - head < size)
        return false;
    struct canned line = take(server, c->bytes, head, c->bytes + head, size);
    c->len -= head + size;
    memmove(c->bytes, c->bytes + head + size, c->len);

    bool open = say(c->fd, line.answer ? line.answer : "", line.answer ? strlen(line.answer) : 0) &&
                fill(c->fd, line.filler);
    c->hangs = line.then == CANNED_HANG;
    if (line.then == CANNED_RESET)
        reset(c);
    else if (line.then == CANNED_CLOSE || !open)
        hang_up(c);
    return c->fd >= 0 && !c->hangs;
}

static void read_some(struct canned_server *server, struct connection *c)
{
    if (c->cap - c->len < 65536) {
        c->cap = c->cap ? 2 * c->cap : 131072;
        c->bytes = realloc(c->bytes, c->cap);
    }
    ssize_t n = recv(c->fd, c->bytes + c->len, c->cap - c->len, 0);
    if (n <= 0) {
        hang_up(c);
        return;
    }
    c->len += c->hangs ? 0 : (size_t)n;
    while (!c->hangs && c->fd >= 0 && c->len > 0 && answer(server, c))
        ;
}

static void accept_one(struct canned_server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (size_t i = 0; fd >= 0 && i < CONNECTIONS; i++)
        if (server->connection[i].fd < 0) {
            server->connection[i].fd = fd;
            return;
        }
    die("a test's connection");
}

static void *serve(void *context)
{
    struct canned_server *server = context;
    for (;;) {
        struct pollfd polled[CONNECTIONS + 2];
        for (size_t i = 0; i < CONNECTIONS; i++)
            polled[i] = (struct pollfd){.fd = server->connection[i].fd, .events = POLLIN};
        polled[CONNECTIONS] = (struct pollfd){.fd = server->listener, .events = POLLIN};
        polled[CONNECTIONS + 1] = (struct pollfd){.fd = server->stop, .events = POLLIN};
        if (poll(polled, CONNECTIONS + 2, -1) < 0)
            die("poll");
        if (polled[CONNECTIONS + 1].revents)
            return NULL;
        for (size_t i = 0; i < CONNECTIONS; i++)
            if (polled[i].fd >= 0 && polled[i].revents)
                read_some(server, &server->connection[i]);
        if (polled[CONNECTIONS].revents)
            accept_one(server);
    }
}

struct canned_server *canned_open(void)
{
    struct canned_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server->stop = eventfd(0, EFD_CLOEXEC);
    if (server->listener < 0 || server->stop < 0 ||
        bind(server->listener, (struct sockaddr *)&address, len) < 0 ||
        listen(server->listener, CONNECTIONS) < 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &len) < 0)
        die("a test's server");
    snprintf(server->endpoint, sizeof server->endpoint, "http://127.0.0.1:%u",
             ntohs(address.sin_port));
    for (size_t i = 0; i < CONNECTIONS; i++)
        server->connection[i].fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    if (pthread_create(&server->thread, NULL, serve, server) != 0)
        die("a test's thread");
    return server;
}

static void forget(struct canned_server *server)
{
    for (size_t i = 0; i < server->count; i++)
        free(server->request[i].body);
    server->count = 0;
}

void canned_close(struct canned_server *server)
{
    if (eventfd_write(server->stop, 1) < 0)
        die("a test's server");
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (server->connection[i].fd >= 0)
            hang_up(&server->connection[i]);
    forget(server);
    close(server->listener);
    close(server->stop);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

const char *canned_endpoint(const struct canned_server *server)
{
    return server->endpoint;
}

void canned_script(struct canned_server *server, const struct canned *script, size_t count)
{
    pthread_mutex_lock(&server->lock);
    if (count > LINES)
        die("a test's script");
    forget(server);
    server->script = script;
    server->lines = count;
    memset(server->used, 0, sizeof server->used);
    pthread_mutex_unlock(&server->lock);
}

size_t canned_count(struct canned_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

const char *canned_head(struct canned_server *server, size_t i)
{
    return i < canned_count(server) ? server->request[i].head : "";
}

struct str canned_body(struct canned_server *server, size_t i)
{
    return i < canned_count(server) ? (struct str){server->request[i].body, server->request[i].size}
                                    : (struct str){0};
}

int canned_find(struct canned_server *server, size_t i, const char *part)
{
    for (; i < canned_count(server); i++)
        if (strstr(server->request[i].head, part))
            return (int)i;
    return -1;
}
