/* load.c - see load.h.
 *
 * Bodies of answers are dropped inside the kernel (MSG_TRUNC): client and
 * server share the processors, and copying what nobody looks at would be taken
 * from the server's time.  What is in the answers is checked by client_fetch(),
 * apart from the clock.
 */
#include "load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "http/http.h"
#include "loop/loop.h"

enum {
    PROGRAMS_MAX = 8,
    CLIENTS_MAX = 256,
    START_S = 20,
    STOP_S = 30,
    WAIT_S = 30, /* for an answer */
    BARE_SIZE = 4 << 20
};

static struct {
    char dir[200];
    pid_t owner;
    pid_t running[PROGRAMS_MAX];
    unsigned serial;
    uint64_t random;
} bench = {.random = 7};

void die(const char *format, ...)
{
    va_list ap;
    fflush(stdout);
    fputs("bench: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static void *must(void *memory)
{
    if (!memory)
        die("no memory");
    return memory;
}

double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double own_cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* splitmix64 */
uint64_t random_u64(void)
{
    uint64_t z = bench.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* best effort */
}

static void clean_up(void)
{
    if (getpid() != bench.owner)
        return;
    for (size_t i = 0; i < PROGRAMS_MAX; i++)
        if (bench.running[i] > 0) {
            kill(bench.running[i], SIGKILL);
            waitpid(bench.running[i], NULL, 0);
        }
    if (bench.dir[0])
        remove_tree(bench.dir);
}

static void interrupted(int signal)
{
    (void)signal;
    exit(130); /* not async-signal-safe, but files of gigabytes must not stay */
}

const char *scratch_open(void)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || !parent[0]) {
        parent = "build";
        (void)mkdir(parent, 0755);
    }
    snprintf(bench.dir, sizeof bench.dir, "%.150s/bench-XXXXXX", parent);
    if (!mkdtemp(bench.dir))
        die("cannot make %s: %s", bench.dir, strerror(errno));
    bench.owner = getpid();
    atexit(clean_up);
    signal(SIGINT, interrupted);
    signal(SIGTERM, interrupted);
    signal(SIGPIPE, SIG_IGN);
    return bench.dir;
}

/* ---- figures ---- */

void figures_new(struct figures *figures, size_t cap)
{
    *figures = (struct figures){.at = must(calloc(cap, sizeof *figures->at)), .cap = cap};
    memset(figures->at, 0, cap * sizeof *figures->at); /* touch the pages now */
}

void figures_add(struct figures *figures, double value)
{
    if (figures->count < figures->cap)
        figures->at[figures->count++] = value;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double figures_part(struct figures *figures, double part)
{
    if (figures->count == 0)
        return 0;
    qsort(figures->at, figures->count, sizeof *figures->at, by_size);
    return figures->at[(size_t)(part * (double)(figures->count - 1))];
}

void figures_free(struct figures *figures)
{
    free(figures->at);
    *figures = (struct figures){0};
}

/* ---- programs ---- */

static void started(struct program *program, pid_t pid)
{
    program->pid = pid;
    for (size_t i = 0; i < PROGRAMS_MAX; i++)
        if (bench.running[i] == 0) {
            bench.running[i] = pid;
            break;
        }
    if (clock_getcpuclockid(pid, &program->cpu) != 0)
        die("no CPU clock of process %ld", (long)pid);
}

/* The port is in what the server says to people. */
static unsigned port_said(const char *path)
{
    static const char before[] = " is at http://127.0.0.1:";
    char text[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    const char *at = strstr(text, before);
    return at ? (unsigned)strtoul(at + sizeof before - 1, NULL, 10) : 0;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

void program_serve(struct program *program, const char *rundlet)
{
    static const char *const none[] = {NULL};
    program_serve_with(program, rundlet, NULL, none);
}

void program_serve_with(struct program *program, const char *rundlet, const char *dir,
                        const char *const *options)
{
    enum { WORDS = 32, OWN = 6 };
    char log[300], own[sizeof program->dir];
    *program = (struct program){0};
    snprintf(own, sizeof own, "%.200s/data-%u", bench.dir, ++bench.serial);
    snprintf(program->dir, sizeof program->dir, "%s", dir ? dir : own);
    snprintf(log, sizeof log, "%s.log", own);
    const char *words[WORDS] = {rundlet,    "serve",       "--data", program->dir,
                                "--listen", "127.0.0.1:0", NULL};
    for (size_t i = 0; options[i]; i++) {
        if (OWN + i + 1 >= WORDS)
            die("too many options");
        words[OWN + i] = options[i];
    }
    pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
            _exit(127);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_DFL);
        execv(rundlet, (char *const *)(uintptr_t)words);
        _exit(127);
    }
    started(program, pid);
    double end = now_s() + START_S;
    while ((program->port = port_said(log)) == 0) {
        if (waitpid(pid, NULL, WNOHANG) == pid || now_s() > end)
            die("%s did not start; see what it says: %s serve", rundlet, rundlet);
        sleep_ms(5);
    }
}

static void bare_begin(struct http_request *request)
{
    struct buf *all = http_context(request);
    struct str part = http_part(request, 0);
    size_t size = 0;
    for (size_t i = 0; i < part.len && part.at[i] >= '0' && part.at[i] <= '9'; i++)
        size = size * 10 + (size_t)(part.at[i] - '0');
    size = size > all->len ? all->len : size;
    struct http_field type = {STR("Content-Type"), STR("application/json")};
    struct http_piece piece = {buf_ref(all), {all->at, size}};
    http_reply(request, 200, &type, 1, &piece, 1);
}

static void bare_gone(struct http_request *request)
{
    http_release(request);
}

/* As many loops as the server has. */
static void bare_http(int port_fd)
{
    static const struct http_handler get = {.begin = bare_begin, .gone = bare_gone};
    static const struct http_route route = {"GET", "/bytes/{}", &get};
    struct loop *loops[8];
    struct http_server *server = NULL;
    struct err err = {0};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores < 1 ? 1 : cores > 8 ? 8 : (size_t)cores;
    struct buf *all = buf_new(BARE_SIZE);
    if (!all)
        abort();
    memset(all->at, 'x', BARE_SIZE);
    all->len = BARE_SIZE;
    struct http_config config = {.routes = &route, .route_count = 1, .context = all};
    for (size_t i = 0; i < count; i++)
        if (loop_open((unsigned)i, "bare", &loops[i], &err))
            die("%s", err.text);
    if (http_open(&config, loops, count, STR("127.0.0.1"), 0, &server, &err))
        die("%s", err.text);
    unsigned port = http_port(server);
    if (write(port_fd, &port, sizeof port) != sizeof port)
        die("pipe: %s", strerror(errno));
    for (size_t i = 1; i < count; i++)
        if (loop_start(loops[i], &err))
            die("%s", err.text);
    if (loop_run(loops[0], &err))
        die("%s", err.text);
}

void program_bare_http(struct program *program)
{
    int fds[2];
    *program = (struct program){0};
    if (pipe(fds) != 0)
        die("pipe: %s", strerror(errno));
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGTERM, SIG_DFL);
        close(fds[0]);
        bare_http(fds[1]);
        _exit(1);
    }
    close(fds[1]);
    started(program, pid);
    if (read(fds[0], &program->port, sizeof program->port) != sizeof program->port)
        die("the bare HTTP server did not start");
    close(fds[0]);
}

double program_cpu_s(const struct program *program)
{
    struct timespec t = {0};
    clock_gettime(program->cpu, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double program_memory_mb(const struct program *program, const char *field)
{
    char path[64], line[256];
    double kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)program->pid);
    FILE *file = fopen(path, "re");
    size_t len = strlen(field);
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, len) == 0 && line[len] == ':')
            kilobytes = strtod(line + len + 1, NULL);
    if (file)
        fclose(file);
    return kilobytes * 1024 / 1e6;
}

/* Best effort: a thread may have ended since it was listed. */
static void allow(pid_t thread, int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (processor < 0 || processor == i)
            CPU_SET(i, &set);
    (void)sched_setaffinity(thread, sizeof set, &set);
}

void program_beside_us(const struct program *program, bool beside)
{
    char path[64];
    int processor = beside ? sched_getcpu() : -1;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)program->pid);
    DIR *dir = opendir(path);
    if (!dir)
        die("%s: %s", path, strerror(errno));
    for (struct dirent *thread; (thread = readdir(dir)) != NULL;)
        if (thread->d_name[0] != '.')
            allow((pid_t)strtol(thread->d_name, NULL, 10), processor);
    closedir(dir);
    allow(0, processor);
}

void program_stop(struct program *program)
{
    kill(program->pid, SIGTERM);
    double end = now_s() + STOP_S;
    while (waitpid(program->pid, NULL, WNOHANG) == 0) {
        if (now_s() > end)
            kill(program->pid, SIGKILL);
        sleep_ms(5);
    }
    for (size_t i = 0; i < PROGRAMS_MAX; i++)
        if (bench.running[i] == program->pid)
            bench.running[i] = 0;
    if (program->dir[0] && !program->keeps_dir)
        remove_tree(program->dir);
    *program = (struct program){0};
}

double program_metric(const struct program *program, const char *name)
{
    struct client client;
    struct load_request get;
    struct answer answer;
    struct text body = {0};
    char line[128];
    client_open(&client, program->port);
    load_get(&get, "/metrics");
    client_fetch(&client, &get, &answer, &body);
    client_close(&client);
    text_add_char(&body, '\0');
    int len = snprintf(line, sizeof line, "\nrundlet_%s ", name);
    const char *at = strstr(body.at, line);
    if (!at)
        die("there is no metric %s", name);
    double value = strtod(at + len, NULL);
    text_free(&body);
    load_free(&get);
    return value;
}

/* ---- requests ---- */

static void add_hole(struct load_request *request, enum hole_kind kind)
{
    if (request->hole_count == request->hole_cap) {
        request->hole_cap = request->hole_cap ? 2 * request->hole_cap : 64;
        request->holes = must(realloc(request->holes, request->hole_cap * sizeof *request->holes));
    }
    request->holes[request->hole_count++] = (struct hole){request->bytes.len, kind};
    if (kind == HOLE_ID)
        text_add(&request->bytes, STR("00000000-0000-4000-8000-000000000000"));
    else
        text_add(&request->bytes, STR("abcdefghijkl"));
}

/* A dict of strings of 100 characters, spaced as Python's json does. */
static void add_field(struct text *text, const char *name, size_t size)
{
    text_addf(text, ", \"%s\": {", name);
    for (size_t i = 0; i < size / 100; i++) {
        text_addf(text, "%s\"key_%zu\": \"", i ? ", " : "", i);
        char *at = text_room(text, 100);
        for (int c = 0; c < 100; c++)
            at[c] = "abcdefghijklmnopqrstuvwxyz      "[random_u64() & 31];
        text->len += 100;
        text_add_char(text, '"');
    }
    text_add_char(text, '}');
}

static void add_run(struct load_request *request, const struct run_shape *shape, size_t n)
{
    struct text *text = &request->bytes;
    text_add_char(text, '{');
    if (shape->own_id) {
        text_add(text, STR("\"id\": \""));
        add_hole(request, HOLE_ID);
        text_add(text, STR("\", "));
    }
    text_add(text, STR("\"trace_id\": \""));
    if (shape->trace)
        text_addf(text, "%s", shape->trace);
    else
        add_hole(request, HOLE_ID);
    text_add(text, STR("\", \"name\": \""));
    if (shape->name) {
        text_addf(text, "%s", shape->name);
    } else if (shape->own_name) {
        text_add(text, STR("call of "));
        add_hole(request, HOLE_WORD);
    } else {
        text_addf(text, "Chat model %zu", n % 100);
    }
    text_add_char(text, '"');
    if (shape->small) {
        text_addf(text, ", \"inputs\": {\"question\": \"What is %zu times %zu, and why?\"}", n, n);
        text_addf(text, ", \"outputs\": {\"answer\": \"It is %zu, as a table will tell.\"}", n * n);
        text_add(text, STR(", \"metadata\": {\"step\": 1}"));
    } else {
        add_field(text, "inputs", shape->field_size);
        add_field(text, "outputs", shape->field_size);
        add_field(text, "metadata", shape->field_size);
    }
    text_add_char(text, '}');
}

void load_body(struct load_request *request, const char *type, struct str body)
{
    *request = (struct load_request){0};
    text_addf(&request->bytes,
              "POST /runs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
              "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
              type, body.len);
    request->body_at = request->bytes.len;
    text_add(&request->bytes, body);
}

void load_post(struct load_request *request, const struct run_shape *shape, size_t runs)
{
    enum { LENGTH_DIGITS = 10 };
    *request = (struct load_request){0};
    text_add(&request->bytes, STR("POST /runs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                  "Content-Type: application/json\r\nContent-Length: "));
    size_t length_at = request->bytes.len;
    text_add(&request->bytes, STR("0000000000\r\n\r\n"));
    request->body_at = request->bytes.len;
    text_add_char(&request->bytes, '[');
    for (size_t i = 0; i < runs; i++) {
        if (i)
            text_add(&request->bytes, STR(", "));
        add_run(request, shape, i);
    }
    text_add_char(&request->bytes, ']');
    char length[LENGTH_DIGITS + 1];
    snprintf(length, sizeof length, "%010u", (unsigned)load_body_size(request));
    memcpy(request->bytes.at + length_at, length, LENGTH_DIGITS);
    load_renew(request);
}

void load_get(struct load_request *request, const char *format, ...)
{
    char path[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(path, sizeof path, format, ap);
    va_end(ap);
    *request = (struct load_request){0};
    text_addf(&request->bytes, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);
    request->body_at = request->bytes.len;
}

static void write_hex(char *at, uint64_t bits, int digits)
{
    for (int i = 0; i < digits; i++, bits >>= 4)
        at[i] = "0123456789abcdef"[bits & 15];
}

static void write_id(char *at)
{
    uint64_t a = random_u64(), b = random_u64();
    write_hex(at, a, 8);
    write_hex(at + 9, a >> 32, 4);
    write_hex(at + 15, a >> 48, 3);
    write_hex(at + 20, b, 3);
    write_hex(at + 24, b >> 12, 12);
}

void load_renew(struct load_request *request)
{
    for (size_t i = 0; i < request->hole_count; i++) {
        char *at = request->bytes.at + request->holes[i].at;
        if (request->holes[i].kind == HOLE_ID)
            write_id(at);
        else
            write_hex(at, random_u64(), HOLE_WORD_SIZE);
    }
}

const char *load_id(const struct load_request *request, size_t n)
{
    for (size_t i = 0; i < request->hole_count; i++) {
        const char *at = request->bytes.at + request->holes[i].at;
        if (memcmp(at - 7, "\"id\": \"", 7) == 0 && n-- == 0)
            return at;
    }
    die("the request has no such id");
}

size_t load_body_size(const struct load_request *request)
{
    return request->bytes.len - request->body_at;
}

void load_free(struct load_request *request)
{
    text_free(&request->bytes);
    free(request->holes);
    *request = (struct load_request){0};
}

/* ---- answers ---- */

/* The head ends before `at`: what does it say? */
static void read_head(const char *head, size_t len, struct answer *answer)
{
    *answer = (struct answer){0};
    if (len < 12 || memcmp(head, "HTTP/1.1 ", 9) != 0)
        die("the answer is not HTTP");
    answer->status = atoi(head + 9);
    bool sized = false;
    for (const char *line = head; line < head + len;) {
        const char *end = memchr(line, '\n', (size_t)(head + len - line));
        if (!end)
            break;
        if (strncasecmp(line, "content-length:", 15) == 0) {
            answer->size = strtoul(line + 15, NULL, 10);
            sized = true;
        }
        if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
            answer->chunked = true;
        if (strncasecmp(line, "x-cache: hit", 12) == 0)
            answer->hit = true;
        line = end + 1;
    }
    if (!sized && !answer->chunked)
        die("the answer has no length:\n%.*s", (int)len, head);
}

/* Bytes up to the body, when all of the head is in `head`; else 0. */
static size_t head_size(const char *head, size_t len)
{
    const char *end = memmem(head, len, "\r\n\r\n", 4);
    return end ? (size_t)(end + 4 - head) : 0;
}

static int connected(unsigned port, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    struct timeval wait = {.tv_sec = WAIT_S};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (flags && fcntl(fd, F_SETFL, flags) != 0)
        die("fcntl: %s", strerror(errno));
    return fd;
}

/* ---- one client, waiting ---- */

void client_open(struct client *client, unsigned port)
{
    client->fd = connected(port, 0);
}

static void send_all(int fd, const struct text *bytes)
{
    for (size_t sent = 0; sent < bytes->len;) {
        ssize_t n = send(fd, bytes->at + sent, bytes->len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EPIPE)
            return; /* the answer says why */
        if (n < 0)
            die("send: %s", strerror(errno));
        sent += (size_t)n;
    }
}

/* Read the head; `got` counts the bytes of the body that came with it. */
static const char *receive_head(struct client *client, struct answer *answer, size_t *got)
{
    size_t len = 0, head = 0;
    while (head == 0) {
        if (len == sizeof client->head)
            die("the answer's head is too long");
        ssize_t n = recv(client->fd, client->head + len, sizeof client->head - len, 0);
        if (n <= 0)
            die("no answer: %s", n == 0 ? "the connection was closed" : strerror(errno));
        len += (size_t)n;
        head = head_size(client->head, len);
    }
    read_head(client->head, head, answer);
    *got = len - head;
    return client->head + head;
}

void client_ask(struct client *client, const struct load_request *request, struct answer *answer)
{
    size_t got = 0;
    send_all(client->fd, &request->bytes);
    receive_head(client, answer, &got);
    if (answer->chunked)
        die("the answer comes in chunks");
    while (got < answer->size) {
        ssize_t n = recv(client->fd, NULL, answer->size - got, MSG_TRUNC);
        if (n <= 0)
            die("the answer was cut short");
        got += (size_t)n;
    }
}

/* At least one byte more. */
static void receive_more(struct client *client, struct text *body)
{
    enum { PIECE = 256 << 10 };
    ssize_t n = recv(client->fd, text_room(body, PIECE), PIECE, 0);
    if (n <= 0)
        die("the answer was cut short");
    body->len += (size_t)n;
}

/* What is in `body` and is still to come are chunks: put what is in them together. */
static void receive_chunks(struct client *client, struct answer *answer, struct text *body)
{
    size_t at = 0, size = 1;
    while (size > 0) {
        const char *line;
        while (!(line = memmem(body->at + at, body->len - at, "\r\n", 2)))
            receive_more(client, body);
        size = strtoul(body->at + at, NULL, 16);
        at = (size_t)(line + 2 - body->at);
        while (body->len - at < size + 2)
            receive_more(client, body);
        memmove(body->at + answer->size, body->at + at, size);
        answer->size += size;
        at += size + 2;
    }
    body->len = answer->size;
}

void client_fetch(struct client *client, const struct load_request *request, struct answer *answer,
                  struct text *body)
{
    size_t got = 0;
    send_all(client->fd, &request->bytes);
    const char *first = receive_head(client, answer, &got);
    body->len = 0;
    if (answer->chunked) {
        text_add(body, (struct str){first, got});
        receive_chunks(client, answer, body);
        return;
    }
    text_room(body, answer->size + 1);
    text_add(body, (struct str){first, got});
    while (body->len < answer->size) {
        ssize_t n = recv(client->fd, body->at + body->len, answer->size - body->len, 0);
        if (n <= 0)
            die("the answer was cut short");
        body->len += (size_t)n;
    }
}

void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

/* ---- many clients ---- */

struct sender {
    int fd;
    struct load_request *request;
    size_t sent;
    size_t head_len; /* bytes of the head so far */
    size_t left;     /* bytes of the body to come; only once `answer` is known */
    bool reading_body, over;
    double began;
    struct answer answer;
    char head[1024];
};

static void sender_send(struct sender *sender)
{
    const struct text *bytes = &sender->request->bytes;
    while (sender->sent < bytes->len) {
        ssize_t n =
            send(sender->fd, bytes->at + sender->sent, bytes->len - sender->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("send: %s", strerror(errno));
        sender->sent += (size_t)n;
    }
}

static void sender_begin(struct sender *sender, bool renew)
{
    if (renew)
        load_renew(sender->request);
    sender->sent = sender->head_len = 0;
    sender->reading_body = false;
    sender->began = now_s();
    sender_send(sender);
}

/* Take what came; true when the answer is complete. */
static bool sender_receive(struct sender *sender)
{
    while (!sender->reading_body) {
        if (sender->head_len == sizeof sender->head)
            die("the answer's head is too long");
        ssize_t n = recv(sender->fd, sender->head + sender->head_len,
                         sizeof sender->head - sender->head_len, 0);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            die("no answer: %s", n == 0 ? "the connection was closed" : strerror(errno));
        sender->head_len += (size_t)n;
        size_t head = head_size(sender->head, sender->head_len);
        if (head == 0)
            continue;
        read_head(sender->head, head, &sender->answer);
        if (sender->answer.chunked)
            die("the answer comes in chunks");
        sender->reading_body = true;
        sender->left = sender->answer.size - (sender->head_len - head);
    }
    while (sender->left > 0) {
        ssize_t n = recv(sender->fd, NULL, sender->left, MSG_TRUNC);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            die("the answer was cut short");
        sender->left -= (size_t)n;
    }
    return true;
}

void load_run(const struct load *load, struct load_result *result)
{
    static struct sender senders[CLIENTS_MAX];
    struct epoll_event events[CLIENTS_MAX];
    if (load->clients > CLIENTS_MAX)
        die("too many clients");
    *result = (struct load_result){0};
    figures_new(&result->rate, (size_t)(load->seconds / load->window_s) + 2);
    figures_new(&result->took_ms, (size_t)(load->seconds * 200e3));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < load->clients; i++) {
        unsigned port = load->also && i % 2 ? load->also : load->port;
        senders[i] =
            (struct sender){.fd = connected(port, O_NONBLOCK), .request = &load->requests[i]};
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data.ptr = &senders[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, senders[i].fd, &event) != 0)
            die("epoll: %s", strerror(errno));
    }

    double start = now_s(), window = start, now = start;
    size_t in_window = 0, under_way = load->clients;
    for (size_t i = 0; i < load->clients; i++)
        sender_begin(&senders[i], load->renew);
    while (under_way > 0) {
        int n = epoll_wait(epoll, events, CLIENTS_MAX, WAIT_S * 1000);
        if (n <= 0 && errno != EINTR)
            die("no answer for %d s", WAIT_S);
        for (int i = 0; i < n; i++) {
            struct sender *sender = events[i].data.ptr;
            if (sender->sent < sender->request->bytes.len)
                sender_send(sender);
            if (sender->over || !(events[i].events & ~(uint32_t)EPOLLOUT) ||
                !sender_receive(sender))
                continue;
            now = now_s();
            if (sender->answer.status != load->status)
                die("status %d instead of %d", sender->answer.status, load->status);
            figures_add(&result->took_ms, (now - sender->began) * 1e3);
            result->answers++;
            result->hits += sender->answer.hit;
            result->body_size = sender->answer.size;
            in_window++;
            if (now - window >= load->window_s) {
                figures_add(&result->rate, (double)in_window / (now - window));
                window = now;
                in_window = 0;
            }
            sender->over =
                now - start >= load->seconds ||
                (load->answers_max > 0 && result->answers + under_way > load->answers_max);
            if (sender->over)
                under_way--;
            else
                sender_begin(sender, load->renew);
        }
    }
    for (size_t i = 0; i < load->clients; i++)
        close(senders[i].fd);
    close(epoll);
}
