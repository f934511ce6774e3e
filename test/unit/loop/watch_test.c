/* watch_test.c - another library's socket and a timer, on a loop. */
#include "loop/watch.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/check.h"
#include "lib/hand_loop.h"

struct seen {
    struct watch *watch;
    int fd, times;
    bool readable, ended;
    char bytes[8];
};

/* As libpq does it: read a little, and come again. */
static void ready(void *context, bool readable, bool writable)
{
    struct seen *seen = context;
    (void)writable;
    seen->times++;
    seen->readable = readable;
    ssize_t n = recv(seen->fd, seen->bytes, 1, MSG_DONTWAIT);
    seen->ended = n <= 0;
    watch_set(seen->watch, true, false);
}

static void passed(void *context)
{
    *(bool *)context = true;
}

TEST(a_socket_whose_peer_has_gone_is_told_of_until_it_was_read_to_its_end)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&here, len) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&here, &len) == 0);
    CHECK(connect(fd, (struct sockaddr *)&here, len) == 0);
    int peer = accept(listener, NULL, NULL);
    struct loop *loop = hand_loop_open();
    struct seen seen = {.fd = fd};

    seen.watch = watch_new(loop, fd, ready, &seen);
    watch_set(seen.watch, true, false);
    CHECK(send(peer, "abc", 3, MSG_NOSIGNAL) == 3);
    close(peer);
    CHECK(send(fd, "x", 1, MSG_NOSIGNAL) == 1); /* answered with a reset: an error of the socket */
    CHECK(hand_loop_until(loop, &seen.ended));

    CHECK(seen.readable && seen.times >= 1);
    watch_free(seen.watch);
    close(fd);
    close(listener);
    hand_loop_turn(loop);
    hand_loop_close(loop);
}

TEST(a_timer_passes_once_each_time_it_is_started)
{
    struct loop *loop = hand_loop_open();
    bool late = false;
    struct timer *timer = timer_new(loop, passed, &late);

    timer_start(timer, 1);
    CHECK(hand_loop_until(loop, &late));
    late = false;
    timer_start(timer, 1000000);
    timer_start(timer, 1);
    CHECK(hand_loop_until(loop, &late));
    late = false;
    timer_start(timer, 1);
    timer_stop(timer);
    hand_loop_turn(loop);
    CHECK(!late);
    timer_free(timer);
    hand_loop_close(loop);
}
