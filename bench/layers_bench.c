/* layers_bench.c - captured traffic of the LangSmith SDKs, sent again and again.
 *
 *     layers_bench DIR [passes [clients]]     20 passes by 8 clients
 *
 * DIR holds bodies of POST /runs/multipart as the SDKs sent them, packed with zstd
 * (*_runs_multipart.body).  Before each pass the last four digits of every id in them are
 * written anew, so that all runs are new and belong together as before, and they are packed
 * again; only the sending is timed.  Clients share the bodies, so post and patch of a run
 * travel on different connections.  Then the project they are in is asked for: 240 passes are
 * a million runs.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/frame.h"
#include "load.h"
#include "table.h"

enum { CLIENTS_MAX = 64, NAME_MAX_LEN = 512, ID = 36, DIGITS = 4 };

struct body {
    char *name;
    struct text plain;
    struct load_request request; /* of this pass */
};

struct bodies {
    struct body *at;
    size_t count, cap;
    size_t runs; /* of one pass */
};

struct pass {
    struct bodies *bodies;
    unsigned port;
    atomic_size_t next;
};

struct sender {
    struct pass *pass;
    struct figures took_ms;
};

/* ---- bodies ---- */

static struct text read_file(const char *path)
{
    struct text text = {0};
    FILE *file = fopen(path, "rb");
    size_t n = 0;
    if (!file)
        die("%s cannot be read", path);
    do {
        n = fread(text_room(&text, 1 << 16), 1, 1 << 16, file);
        text.len += n;
    } while (n > 0);
    fclose(file);
    return text;
}

static struct text unpack(const struct text *packed, const char *path)
{
    struct text plain = {0};
    struct decoder *decoder = decoder_new(CODING_ZSTD);
    struct str in = text_str(packed);
    struct err err = {0};
    size_t made = 0;
    do {
        if (decoder_step(decoder, &in, text_room(&plain, 1 << 16), 1 << 16, &made, &err))
            die("%s: %s", path, err.text);
        plain.len += made;
    } while (in.len > 0 || made > 0);
    decoder_free(decoder);
    return plain;
}

static size_t count_posts(struct str body)
{
    static const char part[] = "name=\"post.";
    size_t count = 0;
    for (const char *at = body.at, *end = body.at + body.len, *found;
         (found = memmem(at, (size_t)(end - at), part, sizeof part - 1)); at = found + 1) {
        const char *quote = memchr(found + sizeof part - 1, '"', 64);
        count += quote && quote - found == (long)(sizeof part - 1 + ID);
    }
    return count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct body *)a)->name, ((const struct body *)b)->name);
}

static void add_body(struct bodies *bodies, const char *dir, const char *name)
{
    char path[2 * NAME_MAX_LEN];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct text packed = read_file(path);
    if (bodies->count == bodies->cap) {
        bodies->cap = bodies->cap ? 2 * bodies->cap : 64;
        bodies->at = realloc(bodies->at, bodies->cap * sizeof *bodies->at);
        if (!bodies->at)
            abort();
    }
    struct body *body = &bodies->at[bodies->count++];
    *body = (struct body){.name = strdup(name), .plain = unpack(&packed, path)};
    bodies->runs += count_posts(text_str(&body->plain));
    text_free(&packed);
}

static void read_bodies(struct bodies *bodies, const char *path)
{
    static const char end[] = "_runs_multipart.body";
    DIR *dir = opendir(path);
    if (!dir)
        die("%s is no directory", path);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        size_t len = strlen(entry->d_name);
        if (len > sizeof end - 1 && strcmp(entry->d_name + len - (sizeof end - 1), end) == 0)
            add_body(bodies, path, entry->d_name);
    }
    closedir(dir);
    if (bodies->count == 0)
        die("%s has no *%s", path, end);
    qsort(bodies->at, bodies->count, sizeof *bodies->at, by_name);
}

/* ---- a pass ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_id(const char *at)
{
    for (int i = 0; i < ID; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? at[i] != '-' : !is_hex(at[i]))
            return false;
    return true;
}

static void renew_ids(struct text *plain, unsigned pass)
{
    char digits[DIGITS + 1];
    snprintf(digits, sizeof digits, "%04x", pass & 0xffff);
    for (size_t i = 0; i + ID <= plain->len; i++)
        if (plain->at[i + 8] == '-' && is_id(plain->at + i)) {
            memcpy(plain->at + i + ID - DIGITS, digits, DIGITS);
            i += ID - 1;
        }
}

static void pack_again(struct body *body, struct frame_packer *packer)
{
    struct str plain = text_str(&body->plain);
    const char *line = memchr(plain.at, '\r', plain.len);
    char *room = malloc(frame_bound(plain.len));
    if (!line || !room)
        die("%s does not begin with a boundary", body->name);
    size_t size = frame_pack(packer, plain, room);
    load_free(&body->request);
    body->request = (struct load_request){0};
    text_addf(&body->request.bytes,
              "POST /runs/multipart HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: zstd\r\n"
              "Content-Type: multipart/form-data; boundary=%.*s\r\nContent-Length: %zu\r\n\r\n",
              (int)(line - plain.at - 2), plain.at + 2, size);
    body->request.body_at = body->request.bytes.len;
    text_add(&body->request.bytes, (struct str){room, size});
    free(room);
}

static void *send_bodies(void *context)
{
    struct sender *sender = context;
    struct pass *pass = sender->pass;
    struct client client;
    client_open(&client, pass->port);
    for (size_t i; (i = atomic_fetch_add(&pass->next, 1)) < pass->bodies->count;) {
        struct answer answer;
        double before = now_s();
        client_ask(&client, &pass->bodies->at[i].request, &answer);
        figures_add(&sender->took_ms, 1000 * (now_s() - before));
        expect(&answer, 202);
    }
    client_close(&client);
    return NULL;
}

/* Seconds. */
static double run_pass(struct bodies *bodies, unsigned port, size_t clients, struct sender *senders)
{
    struct pass pass = {.bodies = bodies, .port = port};
    pthread_t threads[CLIENTS_MAX];
    double before = now_s();
    for (size_t i = 0; i < clients; i++) {
        senders[i].pass = &pass;
        if (pthread_create(&threads[i], NULL, send_bodies, &senders[i]))
            die("no thread");
    }
    for (size_t i = 0; i < clients; i++)
        pthread_join(threads[i], NULL);
    return now_s() - before;
}

/* ---- asking ---- */

enum { ASKED = 100 };

/* The id of the project of the newest runs. */
static void find_project(struct client *client, char id[ID + 1])
{
    static const char member[] = "\"id\":\"";
    struct load_request get;
    struct answer answer;
    struct text body = {0};
    load_get(&get, "/sessions?limit=1");
    client_fetch(client, &get, &answer, &body);
    expect(&answer, 200);
    const char *at = memmem(body.at, body.len, member, sizeof member - 1);
    if (!at)
        die("there is no project");
    snprintf(id, ID + 1, "%s", at + sizeof member - 1);
    text_free(&body);
    load_free(&get);
}

static void ask(struct client *client, const char *name, const char *project, const char *more)
{
    struct load_request request = {0};
    struct text body = {0};
    struct figures took;
    struct answer answer;
    figures_new(&took, ASKED);
    text_addf(&body, "{\"session\":[\"%s\"],\"limit\":50%s}", project, more);
    text_addf(&request.bytes,
              "POST /runs/query HTTP/1.1\r\nHost: 127.0.0.1\r\n"
              "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s",
              body.len, STR_FMT(text_str(&body)));
    for (int i = 0; i < ASKED; i++) {
        double before = now_s();
        struct text page = {0};
        client_fetch(client, &request, &answer, &page);
        figures_add(&took, 1000 * (now_s() - before));
        expect(&answer, 200);
        text_free(&page);
    }
    printf("%-44s %8.2f ms   p99 %.2f, %zu bytes\n", name, figures_part(&took, 0.5),
           figures_part(&took, 0.99), answer.size);
    figures_free(&took);
    text_free(&body);
    load_free(&request);
}

static void ask_all(unsigned port)
{
    char project[ID + 1];
    struct client client;
    client_open(&client, port);
    find_project(&client, project);
    ask(&client, "newest 50, without payloads", project, ",\"select\":[\"name\",\"total_tokens\"]");
    ask(&client, "newest 50, all fields", project, "");
    ask(&client, "a thread, without payloads", project,
        ",\"filter\":\"eq(thread_id, \\\"th-77\\\")\",\"select\":[\"name\"]");
    ask(&client, "a pair of metadata, without payloads", project,
        ",\"filter\":\"and(eq(metadata_key, \\\"user_id\\\"), eq(metadata_value, "
        "\\\"u-1\\\"))\",\"select\":[\"name\"]");
    ask(&client, "a pair that nobody has", project,
        ",\"filter\":\"has(metadata, '{\\\"user_id\\\":\\\"nobody\\\"}')\"");
    client_close(&client);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage: layers_bench DIR [passes [clients]]");
    unsigned passes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20;
    size_t clients = argc > 3 ? strtoul(argv[3], NULL, 10) : 8;
    const char *rundlet = getenv("RUNDLET");
    if (clients < 1 || clients > CLIENTS_MAX || passes < 1)
        die("from 1 to %d clients, one pass at least", CLIENTS_MAX);
    struct bodies bodies = {0};
    struct sender senders[CLIENTS_MAX] = {0};
    struct program server;
    struct figures rates, all;
    read_bodies(&bodies, argv[1]);
    (void)scratch_open();
    program_serve(&server, rundlet ? rundlet : "build/rundlet");
    print_machine(rundlet ? rundlet : "build/rundlet");
    figures_new(&rates, passes);
    figures_new(&all, passes * bodies.count);
    for (size_t i = 0; i < clients; i++)
        figures_new(&senders[i].took_ms, passes * bodies.count);
    struct frame_packer *packer = frame_packer_new(1);
    double cpu_s = 0;
    for (unsigned pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < bodies.count; i++) {
            renew_ids(&bodies.at[i].plain, pass);
            pack_again(&bodies.at[i], packer);
        }
        double before = program_cpu_s(&server);
        double took_s = run_pass(&bodies, server.port, clients, senders);
        cpu_s += program_cpu_s(&server) - before;
        figures_add(&rates, (double)bodies.runs / took_s);
    }
    for (size_t i = 0; i < clients; i++)
        for (size_t k = 0; k < senders[i].took_ms.count; k++)
            figures_add(&all, senders[i].took_ms.at[k]);
    printf("%zu requests, %zu runs a pass, %u passes, %zu clients\n", bodies.count, bodies.runs,
           passes, clients);
    printf("%-28s %10.0f   least %.0f, most %.0f\n", "runs/s, median of passes",
           figures_part(&rates, 0.5), figures_part(&rates, 0), figures_part(&rates, 1));
    printf("%-28s %10.1f\n", "server CPU, us a run",
           1e6 * cpu_s / ((double)bodies.runs * (double)passes));
    printf("%-28s %10.1f   p50 %.1f\n", "p99, ms", figures_part(&all, 0.99),
           figures_part(&all, 0.5));
    ask_all(server.port);
    frame_packer_free(packer);
    program_stop(&server);
    return 0;
}
