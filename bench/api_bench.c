/* api_bench.c - the server over the wire, beside what the bare steps cost.
 *
 *     api_bench [full] [memory] [post] [mix] [get] [search]
 *
 * Starts $RUNDLET (build/rundlet) on an empty directory and a free port for
 * each group of rows; all groups when none is named.  "full" measures the
 * mixes for 20 s instead of 6 and searches 1 000 000 names instead of 100 000.
 *
 * Client, server and floor share the machine, and so may others: server and
 * floor are measured in turns, in one run, and the ratio of their medians is
 * what counts.  A ratio above one is slower than the floor, in every row.  CPU
 * seconds are of all the repeats of a row.  GETs and searches that are asked one
 * at a time share one processor with their client (load.h says why).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "floor.h"
#include "load.h"
#include "table.h"

enum {
    HOT = 32, /* runs, and connections that ask for them */
    MIX_CLIENTS = 8,
    MIX_RUNS = 100,
    NAMES_A_POST = 10000,
    NEEDLES = 40,
    TRACE_RUNS = 13
};

struct bench {
    const char *rundlet;
    const char *dir;
    bool full;
    struct floor *floor;
    struct program bare;
};

/* ---- asking ---- */

static struct str whole(const struct load_request *request)
{
    return text_str(&request->bytes);
}

/* ---- POST ---- */

struct post_row {
    const char *name;
    const char *target;
    size_t runs, field_size; /* 0: a small run */
    size_t repeats;
};

static const struct post_row post_rows[] = {
    {"POST 1000 runs x 3 fields x 5 KB", "25", 1000, 5000, 21},
    {"POST 500 x 3 x 10 KB", "20", 500, 10000, 21},
    {"POST 50 x 3 x 100 KB", "20", 50, 100000, 21},
    {"POST 5 x 3 x 1000 KB", "20", 5, 1000000, 21},
    {"POST 1 small run (250 B)", "0.4", 1, 0, 500},
    {"POST 10 small runs", "0.5", 10, 0, 500},
    {"POST 100 small runs", "1.5", 100, 0, 200},
    {"POST 1000 small runs", "10", 1000, 0, 60},
    {"POST 10 000 small runs", "100", 10000, 0, 15},
};

enum { POST_ROWS = sizeof post_rows / sizeof *post_rows };

static void measure_post(struct bench *bench, const struct program *server,
                         const struct post_row *what, struct figures steps[FLOOR_STEPS])
{
    const struct run_shape shape = {.small = what->field_size == 0, .field_size = what->field_size};
    struct load_request request;
    struct client client;
    struct answer answer;
    struct row row;
    row_new(&row, what->name, "ms", what->target, 1.2);
    load_post(&request, &shape, what->runs);
    client_open(&client, server->port);
    for (int s = 0; s < FLOOR_STEPS; s++)
        figures_new(&steps[s], what->repeats);
    for (size_t i = 0; i <= what->repeats; i++) {
        double ms[FLOOR_STEPS] = {0}, sum = 0;
        load_renew(&request);
        floor_post(bench->floor, whole(&request), request.body_at, what->runs, false, ms);
        struct meter meter = meter_start(server);
        double took = ask_ms(&client, &request, &answer);
        expect(&answer, 201);
        if (i == 0)
            continue; /* the first one warms up both */
        meter_stop(&meter, &row);
        figures_add(&row.took, took);
        for (int s = 0; s < FLOOR_STEPS; s++) {
            figures_add(&steps[s], ms[s]);
            sum += ms[s];
        }
        figures_add(&row.floor, sum);
    }
    client_close(&client);
    load_free(&request);
    row_print(&row);
}

static void print_steps(const char *name, struct figures steps[FLOOR_STEPS])
{
    printf("%-46s", name);
    for (int s = 0; s < FLOOR_STEPS; s++) {
        printf(" %8.3f", figures_part(&steps[s], 0.5));
        figures_free(&steps[s]);
    }
    printf("\n");
}

static void print_step_titles(void)
{
    printf("\n%-46s %8s %8s %8s %8s %8s %8s\n", "the floor's steps, median ms", "receive", "scan",
           "crc32c", "write", "sync", "insert");
}

static void group_post(struct bench *bench)
{
    static struct figures steps[POST_ROWS][FLOOR_STEPS];
    struct program server;
    floor_empty(bench->floor);
    program_serve(&server, bench->rundlet);
    for (size_t i = 0; i < POST_ROWS; i++)
        measure_post(bench, &server, &post_rows[i], steps[i]);
    program_stop(&server);
    print_step_titles();
    for (size_t i = 0; i < POST_ROWS; i++)
        print_steps(post_rows[i].name, steps[i]);
    print_titles();
}

/* ---- many clients at once ---- */

/* The floor gathers: what all clients have sent is written, synced and inserted at once. */
static void mix_floor(struct bench *bench, const struct run_shape *shape, struct row *row,
                      struct figures steps[FLOOR_STEPS])
{
    struct load_request request;
    enum { ROUNDS = 15, RUNS = MIX_CLIENTS * MIX_RUNS };
    load_post(&request, shape, RUNS);
    floor_empty(bench->floor);
    for (int s = 0; s < FLOOR_STEPS; s++)
        figures_new(&steps[s], ROUNDS);
    for (int i = 0; i <= ROUNDS; i++) {
        double ms[FLOOR_STEPS] = {0}, sum = 0;
        load_renew(&request);
        floor_post(bench->floor, whole(&request), request.body_at, RUNS, shape->own_id, ms);
        for (int s = 0; s < FLOOR_STEPS; s++) {
            sum += ms[s];
            if (i > 0)
                figures_add(&steps[s], ms[s]);
        }
        if (i > 0)
            figures_add(&row->floor, RUNS / sum * 1e3);
    }
    load_free(&request);
}

static void measure_mix(struct bench *bench, const char *name, const struct run_shape *shape,
                        const char *target, struct figures steps[FLOOR_STEPS])
{
    struct program server;
    struct load_request requests[MIX_CLIENTS];
    struct load load = {.clients = MIX_CLIENTS,
                        .seconds = bench->full ? 20 : 6,
                        .window_s = 0.5,
                        .status = 201,
                        .requests = requests,
                        .renew = true};
    struct load_result result;
    struct row row;
    row_new(&row, name, "/s", target, 0);
    mix_floor(bench, shape, &row, steps);
    program_serve(&server, bench->rundlet);
    load.port = server.port;
    for (size_t i = 0; i < MIX_CLIENTS; i++)
        load_post(&requests[i], shape, MIX_RUNS);
    struct meter meter = meter_start(&server);
    load_run(&load, &result);
    meter_stop(&meter, &row);
    for (size_t i = 0; i < result.rate.count; i++)
        figures_add(&row.took, result.rate.at[i] * MIX_RUNS);
    row_print(&row);
    printf("%-46s %-5s %6zu", "  its answers: 50, 99, 100 % within", "ms", result.answers);
    print_number(figures_part(&result.took_ms, 0.5));
    print_number(figures_part(&result.took_ms, 0.99));
    print_number(figures_part(&result.took_ms, 1));
    printf(" %9s   peak RSS %.0f MB\n", "p99 30", program_memory_mb(&server, "VmHWM"));
    figures_free(&result.rate);
    figures_free(&result.took_ms);
    for (size_t i = 0; i < MIX_CLIENTS; i++)
        load_free(&requests[i]);
    program_stop(&server);
}

static void group_mix(struct bench *bench)
{
    static const struct {
        const char *name, *target;
        struct run_shape shape;
    } mixes[] = {
        {"8 clients x 100 runs x 3 x 1 KB: server's ids", "100000", {.field_size = 1000}},
        {"  client's v4 ids", "", {.field_size = 1000, .own_id = true}},
        {"  all names different", "", {.field_size = 1000, .own_name = true}},
    };
    enum { MIXES = sizeof mixes / sizeof *mixes };
    static struct figures steps[MIXES][FLOOR_STEPS];
    for (size_t i = 0; i < MIXES; i++)
        measure_mix(bench, mixes[i].name, &mixes[i].shape, mixes[i].target, steps[i]);
    print_step_titles();
    for (size_t i = 0; i < MIXES; i++)
        print_steps(mixes[i].name, steps[i]);
    print_titles();
}

/* ---- GET ---- */

static void free_all(struct load_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        load_free(&requests[i]);
    free(requests);
}

/* The same run again and again, and as many bare bytes. */
static void measure_hot_one(struct bench *bench, const struct program *server, const char *name,
                            const struct load_request *get, const char *target)
{
    enum { ROUNDS = 10, EACH = 300 };
    struct client client, bare;
    struct load_request bytes;
    struct answer answer;
    struct row row;
    size_t hits = 0;
    row_new(&row, name, "ms", target, 1.3);
    client_open(&client, server->port);
    client_open(&bare, bench->bare.port);
    client_ask(&client, get, &answer);
    expect(&answer, 200);
    load_get(&bytes, "/bytes/%zu", answer.size);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++)
            figures_add(&row.floor, ask_ms(&bare, &bytes, &answer));
        struct meter meter = meter_start(server);
        for (int i = 0; i < EACH; i++) {
            figures_add(&row.took, ask_ms(&client, get, &answer));
            hits += answer.hit;
        }
        meter_stop(&meter, &row);
    }
    row_print(&row);
    warn_of_hits(hits, (size_t)ROUNDS * EACH, (size_t)ROUNDS * EACH);
    load_free(&bytes);
    client_close(&client);
    client_close(&bare);
}

/* A process that posts one small run after another: each commit makes the index be asked
 * before a run from the cache is given. */
static pid_t writer_start(const struct program *server)
{
    const struct run_shape shape = {.small = true};
    struct load_request request;
    struct client client;
    struct answer answer;
    pid_t pid = fork();
    if (pid < 0)
        die("cannot fork");
    if (pid > 0)
        return pid;
    load_post(&request, &shape, 1);
    client_open(&client, server->port);
    for (;;) {
        load_renew(&request);
        client_ask(&client, &request, &answer);
        if (answer.status != 201)
            _exit(1);
    }
}

static void writer_stop(pid_t pid)
{
    int status = 0;
    kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        die("the writer ended by itself");
}

static void measure_hot_many(struct bench *bench, const struct program *server, const char *name,
                             struct load_request gets[HOT], const char *target)
{
    enum { ROUNDS = 5 };
    struct load_request bytes[HOT];
    struct client client;
    struct answer answer;
    struct row row;
    size_t hits = 0, answers = 0;
    row_new(&row, name, "/s", target, 1.3);
    client_open(&client, server->port);
    for (size_t i = 0; i < HOT; i++) {
        client_ask(&client, &gets[i], &answer);
        expect(&answer, 200);
        load_get(&bytes[i], "/bytes/%zu", answer.size);
    }
    client_close(&client);
    for (int round = 0; round < ROUNDS; round++) {
        struct load load = {.port = bench->bare.port,
                            .clients = HOT,
                            .seconds = 0.6,
                            .window_s = 0.2,
                            .status = 200,
                            .requests = bytes};
        struct load_result result;
        load_run(&load, &result);
        for (size_t i = 0; i < result.rate.count; i++)
            figures_add(&row.floor, result.rate.at[i]);
        figures_free(&result.rate);
        figures_free(&result.took_ms);

        load.port = server->port;
        load.requests = gets;
        struct meter meter = meter_start(server);
        load_run(&load, &result);
        meter_stop(&meter, &row);
        for (size_t i = 0; i < result.rate.count; i++)
            figures_add(&row.took, result.rate.at[i]);
        hits += result.hits;
        answers += result.answers;
        figures_free(&result.rate);
        figures_free(&result.took_ms);
    }
    row_print(&row);
    warn_of_hits(hits, answers, answers);
    for (size_t i = 0; i < HOT; i++)
        load_free(&bytes[i]);
}

/* Each run once; the floor is bare HTTP and reading as many bytes from a file. */
static void measure_cold(struct bench *bench, const struct program *server, const char *name,
                         size_t runs, size_t field_size, const char *target)
{
    struct load_request *gets = calloc(runs, sizeof *gets), bytes;
    struct client client, bare;
    struct answer answer;
    struct row row;
    size_t hits = 0;
    if (!gets)
        die("no memory");
    row_new(&row, name, "ms", target, 0);
    client_open(&client, server->port);
    client_open(&bare, bench->bare.port);
    post_and_aim(&client, runs, field_size, gets);
    client_ask(&client, &gets[0], &answer);
    expect(&answer, 200);
    load_get(&bytes, "/bytes/%zu", answer.size);
    for (size_t i = 1; i < runs; i++) {
        size_t size = answer.size;
        figures_add(&row.floor, floor_read(bench->floor, size) + ask_ms(&bare, &bytes, &answer));
        struct meter meter = meter_start(server);
        figures_add(&row.took, ask_ms(&client, &gets[i], &answer));
        meter_stop(&meter, &row);
        expect(&answer, 200);
        hits += answer.hit;
    }
    row_print(&row);
    warn_of_hits(hits, 0, runs - 1);
    load_free(&bytes);
    client_close(&client);
    client_close(&bare);
    free_all(gets, runs);
}

/* For what is asked one at a time. */
static void beside_us(const struct bench *bench, const struct program *server, bool beside)
{
    program_beside_us(server, beside);
    program_beside_us(&bench->bare, beside);
}

static void group_get(struct bench *bench)
{
    struct load_request *small = calloc(HOT, sizeof *small), *large = calloc(HOT, sizeof *large);
    struct program server;
    struct client client;
    if (!small || !large)
        die("no memory");
    program_serve(&server, bench->rundlet);
    check_bytes(&server);
    client_open(&client, server.port);
    post_and_aim(&client, HOT, 10000, small);
    post_and_aim(&client, HOT, 100000, large);
    client_close(&client);
    beside_us(bench, &server, true);
    measure_hot_one(bench, &server, "GET hot, 3 x 10 KB, one at a time", &small[0], "0.08");
    measure_hot_one(bench, &server, "GET hot, 3 x 100 KB, one at a time", &large[0], "");
    measure_cold(bench, &server, "GET cold, 3 x 10 KB, from a segment", 400, 10000, "0.2");
    measure_cold(bench, &server, "GET cold, 3 x 100 KB, from a segment", 120, 100000, "0.6");
    beside_us(bench, &server, false);
    measure_hot_many(bench, &server, "GET hot, 3 x 10 KB, 32 connections", small, "60000");
    measure_hot_many(bench, &server, "GET hot, 3 x 100 KB, 32 connections", large, "8000");
    pid_t writer = writer_start(&server);
    double commits = program_metric(&server, "commit_groups_total"), began_s = now_s();
    measure_hot_many(bench, &server, "  3 x 10 KB, beside one that writes", small, "");
    printf("  commits a second meanwhile: %.0f\n",
           (program_metric(&server, "commit_groups_total") - commits) / (now_s() - began_s));
    writer_stop(writer);
    free_all(small, HOT);
    free_all(large, HOT);
    program_stop(&server);
}

/* ---- search ---- */

/* One repeat; `size` is the answer's. */
static void search_once(struct row *row, const struct program *server, struct client *client,
                        const struct load_request *get, size_t *size)
{
    struct answer answer;
    struct meter meter = meter_start(server);
    figures_add(&row->took, ask_ms(client, get, &answer));
    meter_stop(&meter, row);
    expect(&answer, 200);
    *size = answer.size;
}

/* The same size from memory. */
static double bare_ms(struct client *bare, size_t size)
{
    struct load_request bytes;
    struct answer answer;
    load_get(&bytes, "/bytes/%zu", size);
    double ms = ask_ms(bare, &bytes, &answer);
    load_free(&bytes);
    return ms;
}

static void fill_names(struct client *client, size_t names)
{
    const struct run_shape shape = {.small = true, .own_name = true};
    struct load_request request;
    load_post(&request, &shape, NAMES_A_POST);
    for (size_t i = 0; i < names; i += NAMES_A_POST)
        post(client, &request);
    load_free(&request);
}

/* Parts of which each three letters are in the names, and all of them in none. */
static void measure_nothing_found(struct bench *bench, const struct program *server,
                                  struct client *client, struct client *bare)
{
    enum { REPEATS = 300 };
    struct row row;
    row_new(&row,
            bench->full ? "search by name, nothing found, 1 M names"
                        : "search by name, nothing found, 100 k names",
            "ms", "1", 0);
    for (int i = 0; i < REPEATS; i++) {
        char part[16];
        struct load_request get;
        size_t size;
        snprintf(part, sizeof part, "%012llx",
                 (unsigned long long)(random_u64() & UINT64_C(0xffffffffffff)));
        load_get(&get, "/runs/search?name=%s", part);
        double floor = floor_search_name(bench->floor, part);
        search_once(&row, server, client, &get, &size);
        figures_add(&row.floor, floor + bare_ms(bare, size));
        load_free(&get);
    }
    row_print(&row);
}

static void measure_needles(struct bench *bench, const struct program *server,
                            struct client *client, struct client *bare)
{
    struct row row;
    struct load_request get;
    char part[32];
    row_new(&row, "search by name, cold, 3 hits x 150 KB", "ms", "2", 0);
    for (int i = 0; i < NEEDLES; i++) {
        struct run_shape shape = {.field_size = 50000, .name = part};
        struct load_request request;
        snprintf(part, sizeof part, "Needle %04d of many", i);
        load_post(&request, &shape, 3);
        post(client, &request);
        load_free(&request);
    }
    for (int i = 0; i < NEEDLES; i++) {
        size_t size;
        snprintf(part, sizeof part, "needle %04d", i);
        load_get(&get, "/runs/search?name=needle%%20%04d", i);
        double floor = floor_search_name(bench->floor, part);
        search_once(&row, server, client, &get, &size);
        figures_add(&row.floor, floor + bare_ms(bare, size));
        if (i == 0)
            expect_text(client, &get, "\"count\":3,");
        load_free(&get);
    }
    row_print(&row);
}

static void measure_trace(const struct program *server, struct client *client, struct client *bare)
{
    enum { REPEATS = 1000 };
    static const char trace[] = "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b";
    const struct run_shape shape = {.field_size = 1000, .trace = trace};
    struct load_request request, get;
    struct row row;
    size_t size;
    row_new(&row, "search by trace, hot, 13 runs x 3 x 1 KB", "ms", "0.3", 0);
    load_post(&request, &shape, TRACE_RUNS);
    post(client, &request);
    load_get(&get, "/runs/search?trace_id=%s", trace);
    expect_text(client, &get, "\"count\":13,");
    for (int i = 0; i < REPEATS; i++) {
        search_once(&row, server, client, &get, &size);
        figures_add(&row.floor, bare_ms(bare, size));
    }
    row_print(&row);
    load_free(&request);
    load_free(&get);
}

static void group_search(struct bench *bench)
{
    size_t names = bench->full ? 1000000 : 100000;
    struct program server;
    struct client client, bare;
    program_serve(&server, bench->rundlet);
    client_open(&client, server.port);
    client_open(&bare, bench->bare.port);
    fill_names(&client, names);
    floor_add_names(bench->floor, names);
    beside_us(bench, &server, true);
    measure_nothing_found(bench, &server, &client, &bare);
    measure_needles(bench, &server, &client, &bare);
    measure_trace(&server, &client, &bare);
    beside_us(bench, &server, false);
    client_close(&client);
    client_close(&bare);
    program_stop(&server);
}

/* ---- memory and rest ---- */

static void measure_rest(struct bench *bench)
{
    enum { REST_S = 3 };
    struct figures cpu, rss;
    struct program server;
    figures_new(&cpu, 1);
    figures_new(&rss, 1);
    program_serve(&server, bench->rundlet);
    sleep(1);
    double before = program_cpu_s(&server);
    sleep(REST_S);
    figures_add(&cpu, (program_cpu_s(&server) - before) / REST_S * 1e3);
    figures_add(&rss, program_memory_mb(&server, "VmRSS"));
    print_value("at rest: CPU", "ms/s", &cpu, "");
    print_value("at rest: RSS", "MB", &rss, "");
    program_stop(&server);
}

static void group_memory(struct bench *bench)
{
    enum { ROUNDS = 3, RUNS = 1000, PASSES = 3 };
    struct load_request *gets = calloc(RUNS, sizeof *gets);
    struct figures posted, peak, settled;
    if (!gets)
        die("no memory");
    measure_rest(bench);
    figures_new(&posted, ROUNDS);
    figures_new(&peak, ROUNDS);
    figures_new(&settled, ROUNDS);
    for (int round = 0; round < ROUNDS; round++) {
        struct program server;
        struct client client;
        struct answer answer;
        program_serve(&server, bench->rundlet);
        client_open(&client, server.port);
        post_and_aim(&client, RUNS, 5000, gets);
        figures_add(&posted, program_memory_mb(&server, "VmHWM"));
        for (int i = 0; i < RUNS * PASSES; i++) {
            client_ask(&client, &gets[i % RUNS], &answer);
            expect(&answer, 200);
        }
        figures_add(&peak, program_memory_mb(&server, "VmHWM"));
        figures_add(&settled, program_memory_mb(&server, "VmRSS"));
        client_close(&client);
        program_stop(&server);
        for (int i = 0; i < RUNS; i++)
            load_free(&gets[i]);
    }
    free(gets);
    print_value("peak RSS, one POST of 17 MB", "MB", &posted, "48");
    print_value("peak RSS, after 3000 GETs of its runs", "MB", &peak, "");
    print_value("RSS, after 3000 GETs of its runs", "MB", &settled, "");
}

/* ---- all of it ---- */

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*measure)(struct bench *bench);
    } groups[] = {{"memory", group_memory},
                  {"post", group_post},
                  {"mix", group_mix},
                  {"get", group_get},
                  {"search", group_search}};
    enum { GROUPS = sizeof groups / sizeof *groups };
    bool wanted[GROUPS] = {false}, any = false;
    struct bench bench = {.rundlet = getenv("RUNDLET")};
    if (!bench.rundlet || !bench.rundlet[0])
        bench.rundlet = "build/rundlet";
    for (int a = 1; a < argc; a++) {
        bool known = strcmp(argv[a], "full") == 0;
        bench.full = bench.full || known;
        for (size_t g = 0; g < GROUPS; g++)
            if (strcmp(argv[a], groups[g].name) == 0)
                known = any = wanted[g] = true;
        if (!known)
            die("what is \"%s\"? usage: api_bench [full] [memory] [post] [mix] [get] [search]",
                argv[a]);
    }

    bench.dir = scratch_open();
    program_bare_http(&bench.bare);
    bench.floor = floor_open(bench.dir);
    print_machine(bench.rundlet);
    print_titles();
    for (size_t g = 0; g < GROUPS; g++)
        if (!any || wanted[g])
            groups[g].measure(&bench);
    floor_close(bench.floor);
    program_stop(&bench.bare);
    return 0;
}
