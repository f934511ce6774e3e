/* s3_client.c - see s3_client.h.
 *
 * The library's multi interface is driven by the loop: it says which sockets to
 * watch and when to call it again, and is told what became of them.  Nothing
 * is started or ended from inside its callbacks, which it does not permit;
 * what has ended is collected after each call into it.
 *
 * Not left to the library's defaults: only HTTP/1.1 over http and https, no
 * redirects, and no proxy, whatever the environment says; names are looked up
 * on a thread of its own, which is not waited for when a request is given up.
 */
#include "store/s3_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/watch.h"

enum {
    UPLOAD_BUFFER = 256 * 1024, /* bytes that are read from the parts at once */
    DOWNLOAD_BUFFER = 256 * 1024,
    SMALL_BODY = 64 * 1024 /* the library's own sizes will do */
};

/* A handle of the library, for one request after the other. */
struct s3_slot {
    struct s3_client *client;
    CURL *easy;
    struct s3_request *request; /* NULL: free */
    struct s3_slot *next_free;
    char error[CURL_ERROR_SIZE];
};

struct socket {
    struct s3_client *client;
    curl_socket_t fd;
    struct watch *watch;
};

struct s3_client {
    const struct s3_site *site;
    const struct libcurl *curl;
    struct loop *loop;
    CURLM *multi;
    struct timer *timer;
    struct s3_slot *free_slots;
    struct s3_request *first, *last; /* those that wait for a connection */
    unsigned slot_count;
    struct s3_slot slots[];
};

/* ---- a request's body, and its answer ---- */

static void read_from(struct s3_request *request, uint64_t offset)
{
    uint64_t at = request->skip + offset;
    request->part = 0;
    while (request->part < request->part_count && at >= request->parts[request->part].iov_len)
        at -= request->parts[request->part++].iov_len;
    request->part_at = (size_t)at;
    request->left = request->size - offset;
}

static size_t give_body(char *out, size_t size, size_t count, void *context)
{
    struct s3_request *request = context;
    size_t room = size * count, given = 0;
    if (room > request->left)
        room = (size_t)request->left;
    while (given < room) {
        const struct iovec *part = &request->parts[request->part];
        size_t n = part->iov_len - request->part_at;
        if (n > room - given)
            n = room - given;
        if (n)
            memcpy(out + given, (const char *)part->iov_base + request->part_at, n);
        given += n;
        request->part_at += n;
        if (request->part_at == part->iov_len) {
            request->part++;
            request->part_at = 0;
        }
    }
    request->left -= given;
    request->moved_us = clock_mono_us();
    return given;
}

/* The library sends again what a dead connection did not take. */
static int seek_body(void *context, curl_off_t offset, int origin)
{
    struct s3_request *request = context;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > request->size)
        return CURL_SEEKFUNC_FAIL;
    read_from(request, (uint64_t)offset);
    return CURL_SEEKFUNC_OK;
}

/* A connection is there, and now the request goes out: from here on it may be
 * carried out. */
static int about_to_send(void *context, char *peer, char *own, int peer_port, int own_port)
{
    (void)peer;
    (void)own;
    (void)peer_port;
    (void)own_port;
    struct s3_request *request = context;
    request->sent++;
    request->moved_us = clock_mono_us();
    return CURL_PREREQFUNC_OK;
}

static void read_head(const struct s3_slot *slot)
{
    const struct libcurl *curl = slot->client->curl;
    long status = 0;
    curl_off_t length = -1;
    (void)curl->curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl->curl_easy_getinfo(slot->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    slot->request->status = (int)status;
    slot->request->length = length;
}

static bool keep_text(struct s3_request *request, const char *bytes, size_t size)
{
    size_t room = request->text_max - request->text.len;
    text_add(&request->text, (struct str){bytes, size < room ? size : room});
    return size <= room;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct s3_slot *slot = context;
    struct s3_request *request = slot->request;
    size_t n = size * count;
    bool more;
    request->moved_us = clock_mono_us();
    if (request->status == 0)
        read_head(slot);
    if (request->take && request->status / 100 == 2) {
        more = request->take(request, bytes, n);
        request->taken += n;
    } else {
        more = keep_text(request, bytes, n);
    }
    if (more)
        return n;
    request->ended = true;
    return n == 0; /* anything but n ends it */
}

static bool has_name(struct str line, struct str name, struct str *value)
{
    if (line.len <= name.len || line.at[name.len] != ':' ||
        strncasecmp(line.at, name.at, name.len) != 0)
        return false;
    struct str v = {line.at + name.len + 1, line.len - name.len - 1};
    while (v.len && strchr(" \t\r\n", v.at[v.len - 1]))
        v.len--;
    while (v.len && (*v.at == ' ' || *v.at == '\t')) {
        v.at++;
        v.len--;
    }
    *value = v;
    return true;
}

/* One that does not fit is as good as none. */
static void keep_value(struct str value, char *out, size_t size)
{
    out[0] = '\0';
    if (value.len >= size || memchr(value.at, '\0', value.len))
        return;
    memcpy(out, value.at, value.len);
    out[value.len] = '\0';
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    struct s3_request *request = context;
    struct str line = {bytes, size * count}, value;
    request->moved_us = clock_mono_us();
    if (line.len >= 5 && memcmp(line.at, "HTTP/", 5) == 0) { /* one after "100 Continue", too */
        request->content_range[0] = request->etag[0] = request->region[0] = '\0';
    } else if (has_name(line, STR("Content-Range"), &value)) {
        keep_value(value, request->content_range, sizeof request->content_range);
    } else if (has_name(line, STR("ETag"), &value)) {
        keep_value(value, request->etag, sizeof request->etag);
    } else if (has_name(line, STR("x-amz-bucket-region"), &value)) {
        if (!s3_answer_word(value, request->region, sizeof request->region))
            request->region[0] = '\0';
    }
    return line.len;
}

/* ---- beginning and ending one ---- */

static void set_body(const struct libcurl *curl, CURL *easy, struct s3_request *request)
{
    (void)curl->curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    (void)curl->curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->size);
    (void)curl->curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    (void)curl->curl_easy_setopt(easy, CURLOPT_READDATA, request);
    (void)curl->curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
    (void)curl->curl_easy_setopt(easy, CURLOPT_SEEKDATA, request);
    /* Large bodies are announced ("Expect"), but nobody is waited for. */
    (void)curl->curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    if (request->size > SMALL_BODY)
        (void)curl->curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    read_from(request, 0);
}

static void set_method(const struct libcurl *curl, CURL *easy, struct s3_request *request)
{
    switch (request->method) {
    case S3_GET:
        (void)curl->curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)DOWNLOAD_BUFFER);
        break;
    case S3_HEAD:
        (void)curl->curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        break;
    case S3_DELETE:
        (void)curl->curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
        break;
    case S3_PUT:
        set_body(curl, easy, request);
        break;
    case S3_POST:
        set_body(curl, easy, request);
        (void)curl->curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "POST");
        break;
    }
    if (request->range[0])
        (void)curl->curl_easy_setopt(easy, CURLOPT_RANGE, request->range);
}

static void set_callbacks(const struct libcurl *curl, struct s3_slot *slot)
{
    CURL *easy = slot->easy;
    slot->error[0] = '\0';
    (void)curl->curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
    (void)curl->curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error);
    (void)curl->curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl->curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
    (void)curl->curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl->curl_easy_setopt(easy, CURLOPT_HEADERDATA, slot->request);
    (void)curl->curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, about_to_send);
    (void)curl->curl_easy_setopt(easy, CURLOPT_PREREQDATA, slot->request);
}

static void set_manners(const struct libcurl *curl, CURL *easy, long timeout_ms)
{
    (void)curl->curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl->curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl->curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl->curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl->curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl->curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl->curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl->curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    (void)curl->curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    (void)curl->curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)curl->curl_easy_setopt(easy, CURLOPT_USERAGENT, "rundlet");
}

static void set_address(const struct s3_site *site, CURL *easy, const struct s3_request *request)
{
    struct text url = {0};
    text_addf(&url, "%s%s", site->base, request->target);
    text_add_char(&url, '\0');
    (void)site->curl.curl_easy_setopt(easy, CURLOPT_URL, url.at);
    text_free(&url);
    (void)site->curl.curl_easy_setopt(easy, CURLOPT_HTTPHEADER, site->headers[request->headers]);
    if (site->signing) {
        (void)site->curl.curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, site->signing);
        (void)site->curl.curl_easy_setopt(easy, CURLOPT_USERNAME, site->access_key);
        (void)site->curl.curl_easy_setopt(easy, CURLOPT_PASSWORD, site->secret_key);
    }
}

static long timeout_of(const struct s3_request *request)
{
    int64_t left_ms = (request->deadline_us - clock_mono_us()) / 1000;
    if (left_ms > request->patience_ms)
        left_ms = request->patience_ms;
    return left_ms > 0 ? (long)left_ms : 1;
}

static void begin(struct s3_client *client, struct s3_request *request)
{
    struct s3_slot *slot = client->free_slots;
    client->free_slots = slot->next_free;
    slot->request = request;
    request->slot = slot;
    request->waits = false;
    request->turn_us = request->moved_us = clock_mono_us();
    metric_add(request->counted, 1);
    set_callbacks(client->curl, slot);
    set_manners(client->curl, slot->easy, timeout_of(request));
    set_address(client->site, slot->easy, request);
    set_method(client->curl, slot->easy, request);
    CURLMcode r = client->curl->curl_multi_add_handle(client->multi, slot->easy);
    if (r != CURLM_OK)
        abort(); /* the handle is free and the library has memory: only a bug is left */
}

static void begin_waiting(struct s3_client *client)
{
    while (client->first && client->free_slots) {
        struct s3_request *request = client->first;
        client->first = request->next;
        if (!client->first)
            client->last = NULL;
        begin(client, request);
    }
}

static void release(struct s3_slot *slot)
{
    struct s3_client *client = slot->client;
    const struct libcurl *curl = client->curl;
    curl_off_t up = 0, down = 0;
    (void)curl->curl_easy_getinfo(slot->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    (void)curl->curl_easy_getinfo(slot->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    metric_add(METRIC_S3_SENT_BYTES, up);
    metric_add(METRIC_S3_RECEIVED_BYTES, down);
    (void)curl->curl_multi_remove_handle(client->multi, slot->easy);
    curl->curl_easy_reset(slot->easy);
    slot->request->slot = NULL;
    slot->request = NULL;
    slot->next_free = client->free_slots;
    client->free_slots = slot;
}

/* A sentence of the library's, without control characters. */
static void say(struct s3_request *request, const char *why)
{
    size_t i = 0;
    for (; why[i] && i < sizeof request->reason - 1; i++)
        request->reason[i] = (char)(why[i] >= ' ' && why[i] <= '~' ? why[i] : '?');
    request->reason[i] = '\0';
}

static void finish(struct s3_slot *slot, CURLcode result)
{
    struct s3_request *request = slot->request;
    if (result == CURLE_OK || (result == CURLE_WRITE_ERROR && request->ended)) {
        read_head(slot);
    } else {
        request->status = 0;
        say(request, slot->error[0] ? slot->error : slot->client->curl->curl_easy_strerror(result));
    }
    release(slot);
    request->done(request);
}

static void collect(struct s3_client *client)
{
    const struct libcurl *curl = client->curl;
    const CURLMsg *message;
    int left;
    while ((message = curl->curl_multi_info_read(client->multi, &left))) {
        char *slot = NULL;
        CURLcode result = message->data.result; /* gone with the handle */
        (void)curl->curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        finish((struct s3_slot *)(void *)slot, result);
    }
    begin_waiting(client);
}

/* ---- the library on the loop ---- */

static void act(struct s3_client *client, curl_socket_t fd, int events)
{
    int running;
    (void)client->curl->curl_multi_socket_action(client->multi, fd, events, &running);
    collect(client);
}

/* The socket may be forgotten within: read it first. */
static void socket_ready(void *context, bool readable, bool writable)
{
    const struct socket *socket = context;
    act(socket->client, socket->fd,
        (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

static void time_passed(void *context)
{
    act(context, CURL_SOCKET_TIMEOUT, 0);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    (void)easy;
    struct s3_client *client = context;
    struct socket *socket = known;
    if (what == CURL_POLL_REMOVE) { /* comes before the library closes it */
        if (socket) {
            watch_free(socket->watch);
            free(socket);
        }
        return 0;
    }
    if (!socket) {
        socket = calloc(1, sizeof *socket);
        if (!socket)
            abort();
        *socket = (struct socket){.client = client, .fd = fd};
        socket->watch = watch_new(client->loop, fd, socket_ready, socket);
        (void)client->curl->curl_multi_assign(client->multi, fd, socket);
    }
    watch_set(socket->watch, what & CURL_POLL_IN, what & CURL_POLL_OUT);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *context)
{
    (void)multi;
    const struct s3_client *client = context;
    if (ms < 0)
        timer_stop(client->timer);
    else
        timer_start(client->timer, (uint64_t)ms);
    return 0;
}

/* ---- the door ---- */

static bool make_slots(struct s3_client *client, unsigned connections)
{
    for (unsigned i = 0; i < connections; i++) {
        struct s3_slot *slot = &client->slots[i];
        *slot = (struct s3_slot){.client = client,
                                 .easy = client->curl->curl_easy_init(),
                                 .next_free = client->free_slots};
        if (!slot->easy)
            return false;
        client->slot_count++;
        client->free_slots = slot;
    }
    return true;
}

struct s3_client *s3_client_open(const struct s3_site *site, struct loop *loop,
                                 unsigned connections)
{
    const struct libcurl *curl = &site->curl;
    struct s3_client *client = calloc(1, sizeof *client + connections * sizeof client->slots[0]);
    if (!client)
        abort();
    client->site = site;
    client->curl = curl;
    client->loop = loop;
    client->timer = timer_new(loop, time_passed, client);
    client->multi = curl->curl_multi_init();
    if (!client->multi || !make_slots(client, connections)) {
        s3_client_close(client);
        return NULL;
    }
    (void)curl->curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    (void)curl->curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    (void)curl->curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)curl->curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    (void)curl->curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)connections);
    return client;
}

void s3_client_close(struct s3_client *client)
{
    if (!client)
        return;
    for (unsigned i = 0; i < client->slot_count; i++) {
        if (client->slots[i].request)
            release(&client->slots[i]);
        client->curl->curl_easy_cleanup(client->slots[i].easy);
    }
    if (client->multi)
        (void)client->curl->curl_multi_cleanup(client->multi);
    timer_free(client->timer);
    free(client);
}

void s3_client_send(struct s3_client *client, struct s3_request *request)
{
    request->status = 0;
    request->reason[0] = request->content_range[0] = request->etag[0] = request->region[0] = '\0';
    request->sent = 0;
    request->taken = 0;
    request->left = request->size;
    request->turn_us = clock_mono_us();
    request->ended = false;
    request->text.len = 0;
    request->waits = true;
    request->next = NULL;
    if (client->last)
        client->last->next = request;
    else
        client->first = request;
    client->last = request;
    begin_waiting(client);
}

static void unlink_waiting(struct s3_client *client, struct s3_request *request)
{
    struct s3_request *before = NULL;
    struct s3_request **at = &client->first;
    while (*at != request) {
        before = *at;
        at = &before->next;
    }
    *at = request->next;
    if (client->last == request)
        client->last = before;
}

void s3_client_cancel(struct s3_client *client, struct s3_request *request)
{
    if (request->waits) {
        unlink_waiting(client, request);
        request->waits = false;
        return;
    }
    assert(request->slot);
    release(request->slot);
    begin_waiting(client);
}

const struct s3_site *s3_client_site(const struct s3_client *client)
{
    return client->site;
}

struct loop *s3_client_loop(const struct s3_client *client)
{
    return client->loop;
}
