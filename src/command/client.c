/* client.c - see client.h. */
#include "command/client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "command/answer.h"

enum {
    CONNECT_MS = 10 * 1000,
    WAIT_MS = 60 * 1000,   /* for the next byte to be taken or to come */
    REST_US = 2000 * 1000, /* after which a connection is not used again */
    PARTS_MAX = 8,
    PIECE = 64 << 10
};

struct client {
    int fd; /* -1: not connected */
    int64_t used_us;
    char *host; /* a name or an address, without brackets */
    char port[6];
    char *authority; /* as the URL has it */
    char *prefix;    /* of every path; without a slash at its end */
    const char *key;
};

static char *copy(const char *at, size_t len)
{
    char *s = strndup(at, len);
    if (!s)
        abort();
    return s;
}

/* host, host:port, [v6] or [v6]:port */
static bool read_authority(struct client *client, const char *at, size_t len)
{
    const char *end = at + len, *host = at, *host_end, *port = NULL;
    if (len > 0 && at[0] == '[') {
        host++;
        host_end = memchr(at, ']', len);
        if (!host_end)
            return false;
        if (host_end + 1 < end) {
            if (host_end[1] != ':')
                return false;
            port = host_end + 2;
        }
    } else {
        host_end = memchr(at, ':', len);
        if (host_end)
            port = host_end + 1;
        else
            host_end = end;
    }
    if (host == host_end || len > 255 || memchr(at, '@', len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (at[i] <= ' ' || at[i] >= 0x7f)
            return false;
    snprintf(client->port, sizeof client->port, "80");
    if (port) {
        size_t port_len = (size_t)(end - port);
        if (port_len == 0 || port_len > 5 || strspn(port, "0123456789") < port_len)
            return false;
        memcpy(client->port, port, port_len);
        client->port[port_len] = '\0';
    }
    client->host = copy(host, (size_t)(host_end - host));
    client->authority = copy(at, len);
    return true;
}

static int read_url(struct client *client, const char *url, struct err *err)
{
    static const char scheme[] = "http://";
    if (strncasecmp(url, "https://", 8) == 0)
        return err_set(err, ERR_INVALID,
                       "%.80s: TLS is not spoken here; send to an http:// address, or run the "
                       "import on the server's machine",
                       url);
    if (strncasecmp(url, scheme, sizeof scheme - 1) != 0)
        return err_set(err, ERR_INVALID, "%.80s is not a URL like http://127.0.0.1:8000", url);
    const char *at = url + sizeof scheme - 1;
    size_t len = strcspn(at, "/?#");
    const char *path = at + len;
    size_t path_len = strlen(path);
    while (path_len && path[path_len - 1] == '/')
        path_len--;
    bool plain = true;
    for (size_t i = 0; i < path_len; i++)
        plain &= path[i] > ' ' && path[i] < 0x7f && path[i] != '?' && path[i] != '#';
    if (!plain || path_len > 1024 || !read_authority(client, at, len))
        return err_set(err, ERR_INVALID, "%.80s is not a URL like http://127.0.0.1:8000", url);
    client->prefix = copy(path, path_len);
    return 0;
}

int client_open(const char *url, const char *key, struct client **result, struct err *err)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        abort();
    client->fd = -1;
    client->key = key;
    int r = read_url(client, url, err);
    for (const char *c = key; c && *c && !r; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            r = err_set(err, ERR_INVALID,
                        "the key cannot stand in a header: it has a line break "
                        "or another control character");
    if (r) {
        client_close(client);
        return r;
    }
    *result = client;
    return 0;
}

static void disconnect(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    disconnect(client);
    free(client->host);
    free(client->authority);
    free(client->prefix);
    free(client);
}

/* Until one of `events` is so; what is, or 0 when the time is over. */
static short wait_for(int fd, short events, int64_t until_us)
{
    for (;;) {
        int64_t left_us = until_us - clock_mono_us();
        struct pollfd p = {.fd = fd, .events = events};
        int r = poll(&p, 1, left_us <= 0 ? 0 : (int)((left_us + 999) / 1000));
        if (r > 0)
            return p.revents;
        if (r == 0 || errno != EINTR)
            return 0;
    }
}

/* 0, or the errno why not. */
static int connect_to(const struct addrinfo *address, int *result)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int sys = connect(fd, address->ai_addr, address->ai_addrlen) < 0 ? errno : 0;
    if (sys == EINPROGRESS || sys == EINTR) {
        socklen_t len = sizeof sys;
        if (!wait_for(fd, POLLOUT, clock_mono_us() + CONNECT_MS * INT64_C(1000)))
            sys = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
            sys = errno;
    }
    if (sys) {
        close(fd);
        return sys;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only speed */
    *result = fd;
    return 0;
}

static int unavailable(struct err *err, int sys, const char *doing, const struct client *client)
{
    err_sys(err, sys, "%s %.100s", doing, client->authority);
    if (err)
        err->code = ERR_UNAVAILABLE;
    return ERR_UNAVAILABLE;
}

static int connect_client(struct client *client, struct err *err)
{
    if (client->fd >= 0 && clock_mono_us() - client->used_us < REST_US)
        return 0;
    disconnect(client);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    int r = getaddrinfo(client->host, client->port, &hints, &all);
    if (r != 0)
        return err_set(err, ERR_UNAVAILABLE, "find %.100s: %s", client->host, gai_strerror(r));
    int sys = EADDRNOTAVAIL;
    for (const struct addrinfo *a = all; a && client->fd < 0; a = a->ai_next)
        sys = connect_to(a, &client->fd);
    freeaddrinfo(all);
    if (client->fd >= 0)
        return 0;
    return unavailable(err, sys, "connect to", client);
}

/* Take from `iov` what was sent. */
static void advance(struct iovec **iov, size_t *count, size_t sent)
{
    while (*count && sent >= (*iov)->iov_len) {
        sent -= (*iov)->iov_len;
        ++*iov;
        --*count;
    }
    if (*count) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + sent;
        (*iov)->iov_len -= sent;
    }
}

/* Send what can be sent at once; false when the server takes no more. */
static bool send_some(int fd, struct iovec **iov, size_t *count)
{
    struct msghdr message = {.msg_iov = *iov, .msg_iovlen = *count};
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    advance(iov, count, (size_t)n);
    return true;
}

/* Send the request and read its answer, which may come before all was sent: a
 * server that refuses a body need not take the rest of it. */
static int exchange(struct client *client, struct iovec *iov, size_t count, struct answer *answer,
                    struct err *err)
{
    enum answer_state state = ANSWER_MORE;
    bool sending = true;
    char *piece = malloc(PIECE);
    if (!piece)
        abort();
    int r = 0;
    while (state == ANSWER_MORE && !r) {
        short events = sending && count ? POLLIN | POLLOUT : POLLIN;
        short ready = wait_for(client->fd, events, clock_mono_us() + WAIT_MS * INT64_C(1000));
        if (!ready) {
            r = err_set(err, ERR_TIMEOUT, "%.100s: no answer for %d seconds", client->authority,
                        WAIT_MS / 1000);
            break;
        }
        if (ready & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(client->fd, piece, PIECE, 0);
            if (n > 0)
                state = answer_feed(answer, (struct str){piece, (size_t)n}, false);
            else if (n == 0)
                state = answer_feed(answer, (struct str){piece, 0}, true);
            else if (errno != EAGAIN && errno != EINTR)
                r = unavailable(err, errno, "read from", client);
        }
        if (state == ANSWER_MORE && (ready & POLLOUT) && sending && count)
            sending = send_some(client->fd, &iov, &count);
    }
    free(piece);
    if (!r && state == ANSWER_BAD)
        r = err_set(err, ERR_UNAVAILABLE, "%.100s: the answer cannot be understood: %s",
                    client->authority, answer->what);
    if (r || answer->close || count)
        disconnect(client);
    client->used_us = clock_mono_us();
    return r;
}

int client_post(struct client *client, const char *path, const char *type, const struct str *parts,
                size_t count, struct answer *answer, struct err *err)
{
    struct iovec iov[PARTS_MAX + 1];
    size_t size = 0, used = 1;
    if (count > PARTS_MAX)
        return err_set(err, ERR_INVALID, "a request of %zu parts", count);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len == 0)
            continue;
        size += parts[i].len;
        /* The kernel's type is not const, but it only reads. */
        iov[used].iov_base = (void *)(uintptr_t)parts[i].at;
        iov[used++].iov_len = parts[i].len;
    }
    struct text head = {0};
    text_addf(&head,
              "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
              "Accept: application/json\r\n",
              client->prefix, path, client->authority, type, size);
    if (client->key)
        text_addf(&head, "x-api-key: %s\r\n", client->key);
    text_add(&head, STR("\r\n"));
    iov[0].iov_base = head.at;
    iov[0].iov_len = head.len;

    answer_start(answer);
    int r = connect_client(client, err);
    if (!r)
        r = exchange(client, iov, used, answer, err);
    text_free(&head);
    return r;
}
