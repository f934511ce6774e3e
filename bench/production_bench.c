/* production_bench.c - nodes with a bucket, PostgreSQL and Redis, beside what those cost bare.
 *
 *     production_bench [post] [mix] [get] [search] [memory]
 *
 * Wants the servers that bench/with-servers starts.  Each group of rows has nodes,
 * a bucket and a database of its own; all groups when none is named.
 *
 * Nodes, client, servers and floor share the machine: node and floor are measured
 * in turns, in one run.  The floor of a POST is a bare PUT of as many bytes as the
 * node stored, and then a bare insert of as many rows; of a cold GET a bare query
 * and a bare GET of a range as long as the node's.  GETs and searches that are
 * asked one at a time share one processor with their client (load.h says why).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "load.h"
#include "table.h"

enum {
    MIX_CLIENTS = 8,
    MIX_CLIENTS_MAX = 32,
    MIX_RUNS = 100,
    HOT = 32,
    NAMES = 20000,
    NEEDLES = 40,
    TRACE_RUNS = 13,
    TAIL = 64 << 10 /* that a node reads of a pack it does not know */
};

struct bench {
    const char *rundlet;
    struct bare *bare;
    struct program bare_http;
};

static void start(const struct bench *bench, const struct bare_place *place, struct program *node)
{
    const char *const options[] = {"--objects", place->objects, "--index", place->index,
                                   "--cache",   place->cache,   NULL};
    program_serve_with(node, bench->rundlet, NULL, options);
}

static void start_one(struct bench *bench, struct program *node)
{
    struct bare_place place;
    bare_new_place(bench->bare, &place);
    start(bench, &place, node);
}

static void start_two(struct bench *bench, struct program nodes[2])
{
    struct bare_place place;
    bare_new_place(bench->bare, &place);
    start(bench, &place, &nodes[0]);
    start(bench, &place, &nodes[1]);
}

/* ---- where the time goes, as the node says ---- */

enum step { STEP_JUDGE, STEP_PUT, STEP_ROWS, STEP_GROUP, STEPS };

static const char *const step_metrics[STEPS] = {"index_stage_seconds_sum", "s3_put_seconds_sum",
                                                "index_commit_seconds_sum", "commit_seconds_sum"};

static void read_steps(const struct program *node, double seconds[STEPS])
{
    for (int s = 0; s < STEPS; s++)
        seconds[s] = program_metric(node, step_metrics[s]);
}

static double requests_to_s3(const struct program *node)
{
    return program_metric(node, "s3_requests_total{kind=\"put\"}") +
           program_metric(node, "s3_requests_total{kind=\"get\"}") +
           program_metric(node, "s3_requests_total{kind=\"list\"}") +
           program_metric(node, "s3_requests_total{kind=\"remove\"}");
}

/* ---- POST ---- */

struct post_row {
    const char *name;
    size_t runs, field_size; /* 0: a small run */
    size_t repeats;
};

static const struct post_row post_rows[] = {
    {"POST 1000 runs x 3 fields x 5 KB", 1000, 5000, 15},
    {"POST 50 x 3 x 100 KB", 50, 100000, 15},
    {"POST 1 small run (250 B)", 1, 0, 100},
    {"POST 10 small runs", 10, 0, 100},
    {"POST 100 small runs", 100, 0, 80},
    {"POST 1000 small runs", 1000, 0, 40},
    {"POST 10 000 small runs", 10000, 0, 9},
};

enum { POST_ROWS = sizeof post_rows / sizeof *post_rows };

struct post_steps {
    const char *name;
    struct figures put, insert; /* of the floor */
    double node_ms[STEPS], took_ms;
    double store_s[BARE_STORES];
    size_t size; /* stored */
};

static void measure_post(struct bench *bench, const struct program *node,
                         const struct post_row *what, struct post_steps *steps)
{
    const struct run_shape shape = {.small = what->field_size == 0, .field_size = what->field_size};
    struct load_request request;
    struct client client;
    struct answer answer;
    struct row row;
    double before[STEPS], after[STEPS], sent;
    row_new(&row, what->name, "ms", "", 1.3);
    *steps = (struct post_steps){.name = what->name};
    figures_new(&steps->put, what->repeats);
    figures_new(&steps->insert, what->repeats);
    load_post(&request, &shape, what->runs);
    client_open(&client, node->port);
    for (int i = 0; i < 2; i++) { /* names and connections that are new */
        sent = program_metric(node, "s3_sent_bytes_total");
        post(&client, &request);
        steps->size = (size_t)(program_metric(node, "s3_sent_bytes_total") - sent);
        bare_put(bench->bare, steps->size);
        bare_insert(bench->bare, what->runs);
    }
    read_steps(node, before);
    for (size_t i = 0; i < what->repeats; i++) {
        double put = bare_put(bench->bare, steps->size);
        double insert = bare_insert(bench->bare, what->runs);
        double cpu[BARE_STORES];
        for (int s = 0; s < BARE_STORES; s++)
            cpu[s] = bare_cpu_s(bench->bare, (enum bare_store)s);
        load_renew(&request);
        struct meter meter = meter_start(node);
        double took = ask_ms(&client, &request, &answer);
        meter_stop(&meter, &row);
        expect(&answer, 201);
        for (int s = 0; s < BARE_STORES; s++)
            steps->store_s[s] += bare_cpu_s(bench->bare, (enum bare_store)s) - cpu[s];
        figures_add(&row.took, took);
        figures_add(&row.floor, put + insert);
        figures_add(&steps->put, put);
        figures_add(&steps->insert, insert);
        steps->took_ms += took / (double)what->repeats;
    }
    read_steps(node, after);
    for (int s = 0; s < STEPS; s++)
        steps->node_ms[s] = (after[s] - before[s]) * 1e3 / (double)what->repeats;
    client_close(&client);
    load_free(&request);
    row_print(&row);
}

/* Packing is what is left of a group; the rest is receiving, scanning, answering. */
static void print_steps(struct post_steps *steps)
{
    const double *ms = steps->node_ms;
    double packing = ms[STEP_GROUP] - ms[STEP_JUDGE] - ms[STEP_PUT] - ms[STEP_ROWS];
    printf("%-34s %9.2f %8.2f %8.2f | %8.2f %8.2f %8.2f %8.2f %8.2f | %6.2f %6.2f\n", steps->name,
           (double)steps->size / 1e6, figures_part(&steps->put, 0.5),
           figures_part(&steps->insert, 0.5), steps->took_ms - ms[STEP_GROUP], ms[STEP_JUDGE],
           packing, ms[STEP_PUT], ms[STEP_ROWS], steps->store_s[BARE_S3],
           steps->store_s[BARE_POSTGRES]);
    figures_free(&steps->put);
    figures_free(&steps->insert);
}

static void group_post(struct bench *bench)
{
    static struct post_steps steps[POST_ROWS];
    struct program node;
    start_one(bench, &node);
    for (size_t i = 0; i < POST_ROWS; i++)
        measure_post(bench, &node, &post_rows[i], &steps[i]);
    print_value_of("peak RSS, these POSTs", "MB", program_memory_mb(&node, "VmHWM"), "");
    program_stop(&node);
    printf("\n%-34s %9s %8s %8s | %8s %8s %8s %8s %8s | %6s %6s\n",
           "floor: median ms | node: mean ms", "stored MB", "PUT", "insert", "receive", "judge",
           "pack", "PUT", "commit", "S3 s", "PG s");
    for (size_t i = 0; i < POST_ROWS; i++)
        print_steps(&steps[i]);
    print_titles();
}

/* ---- many clients at once ---- */

/* All that the clients have sent is put, and then inserted. */
static void mix_floor(struct bench *bench, size_t clients, size_t size, struct row *row)
{
    enum { ROUNDS = 12 };
    for (int i = 0; i < ROUNDS; i++) {
        double ms = bare_put(bench->bare, size) + bare_insert(bench->bare, clients * MIX_RUNS);
        figures_add(&row->floor, (double)clients * MIX_RUNS / ms * 1e3);
    }
}

/* What a batch of the mix is when it is stored. */
static size_t stored_size(const struct program *node, struct load_request *request)
{
    struct client client;
    client_open(&client, node->port);
    post(&client, request);
    double sent = program_metric(node, "s3_sent_bytes_total");
    post(&client, request);
    sent = program_metric(node, "s3_sent_bytes_total") - sent;
    client_close(&client);
    return (size_t)sent;
}

static double sum_of(const struct program *nodes, size_t count, const char *metric)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += metric ? program_metric(&nodes[i], metric) : requests_to_s3(&nodes[i]);
    return sum;
}

static void measure_mix(struct bench *bench, const char *name, const char *target,
                        const struct run_shape *shape, size_t clients, size_t count)
{
    struct program nodes[2];
    struct load_request requests[MIX_CLIENTS_MAX];
    struct load load = {.clients = clients,
                        .seconds = 6,
                        .window_s = 0.5,
                        .status = 201,
                        .requests = requests,
                        .renew = true};
    struct load_result result;
    struct row row;
    double cpu[BARE_STORES], rss = 0;
    row_new(&row, name, "/s", target, 0);
    if (count == 2)
        start_two(bench, nodes);
    else
        start_one(bench, &nodes[0]);
    for (size_t i = 0; i < clients; i++)
        load_post(&requests[i], shape, MIX_RUNS);
    size_t size = clients * stored_size(&nodes[0], &requests[0]);
    mix_floor(bench, clients, size, &row);
    load.port = nodes[0].port;
    load.also = count == 2 ? nodes[1].port : 0;
    double asked = sum_of(nodes, count, NULL);
    double groups = sum_of(nodes, count, "commit_groups_total");
    for (int s = 0; s < BARE_STORES; s++)
        cpu[s] = bare_cpu_s(bench->bare, (enum bare_store)s);
    struct meter meters[2];
    for (size_t i = 0; i < count; i++)
        meters[i] = meter_start(&nodes[i]);
    load_run(&load, &result);
    for (size_t i = 0; i < count; i++)
        meter_stop(&meters[i], &row);
    row.client_s /= (double)count; /* it is counted with each */
    for (int s = 0; s < BARE_STORES; s++)
        cpu[s] = bare_cpu_s(bench->bare, (enum bare_store)s) - cpu[s];
    mix_floor(bench, clients, size, &row);
    double runs = (double)result.answers * MIX_RUNS;
    asked = (sum_of(nodes, count, NULL) - asked) * 1000 / runs;
    groups = sum_of(nodes, count, "commit_groups_total") - groups;
    for (size_t i = 0; i < count; i++)
        rss += program_memory_mb(&nodes[i], "VmHWM") / (double)count;
    for (size_t i = 0; i < result.rate.count; i++)
        figures_add(&row.took, result.rate.at[i] * MIX_RUNS);
    row_print(&row);
    printf("%-46s %-5s %6zu", "  its answers: 50, 99, 100 % within", "ms", result.answers);
    print_number(figures_part(&result.took_ms, 0.5));
    print_number(figures_part(&result.took_ms, 0.99));
    print_number(figures_part(&result.took_ms, 1));
    printf(
        "\n  %.2f requests to S3 for 1000 runs, %.0f runs a group; peak RSS %.0f MB each; CPU: S3"
        " %.1f s, PostgreSQL %.1f s\n",
        asked, runs / groups, rss, cpu[BARE_S3], cpu[BARE_POSTGRES]);
    figures_free(&result.rate);
    figures_free(&result.took_ms);
    for (size_t i = 0; i < clients; i++)
        load_free(&requests[i]);
    for (size_t i = 0; i < count; i++)
        program_stop(&nodes[i]);
}

static void group_mix(struct bench *bench)
{
    const struct run_shape servers = {.field_size = 1000},
                           clients = {.field_size = 1000, .own_id = true};
    measure_mix(bench, "8 clients x 100 runs x 3 x 1 KB, one node", "40000", &servers, MIX_CLIENTS,
                1);
    measure_mix(bench, "8 clients x 100 runs x 3 x 1 KB, two nodes", "40000", &servers, MIX_CLIENTS,
                2);
    measure_mix(bench, "  client's v4 ids, one node", "", &clients, MIX_CLIENTS, 1);
    measure_mix(bench, "32 clients x 100 runs x 3 x 1 KB, one node", "40000", &servers,
                MIX_CLIENTS_MAX, 1);
}

/* ---- GET ---- */

static void beside_us(const struct bench *bench, struct program *nodes, size_t count, bool beside)
{
    for (size_t i = 0; i < count; i++)
        program_beside_us(&nodes[i], beside);
    program_beside_us(&bench->bare_http, beside);
}

static struct load_request *new_requests(size_t count)
{
    struct load_request *requests = calloc(count, sizeof *requests);
    if (!requests)
        die("no memory");
    return requests;
}

static void free_requests(struct load_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        load_free(&requests[i]);
    free(requests);
}

/* Bytes that a node gets from the bucket for one of these, of which none is near. */
static size_t range_of(const struct program *node, struct client *client,
                       const struct load_request *gets, size_t count)
{
    struct answer answer;
    double before = program_metric(node, "s3_received_bytes_total");
    for (size_t i = 0; i < count; i++) {
        client_ask(client, &gets[i], &answer);
        expect(&answer, 200);
    }
    return (size_t)((program_metric(node, "s3_received_bytes_total") - before) / (double)count);
}

enum { FIRST = 4 }; /* requests that are for finding out what the node reads */

/* Each run once, from the bucket; `tail`: of a pack that the node has not seen. */
static void measure_cold(struct bench *bench, const struct program *node, const char *name,
                         const struct load_request *gets, size_t count, bool tail)
{
    struct client client;
    struct answer answer;
    struct row row;
    size_t hits = 0;
    row_new(&row, name, "ms", "", 0);
    row.plus = 0.3;
    client_open(&client, node->port);
    size_t range = range_of(node, &client, gets, FIRST);
    if (tail)
        range = range > TAIL ? range - TAIL : 1;
    double asked = requests_to_s3(node);
    for (size_t i = FIRST; i < count; i++) {
        double floor = bare_find(bench->bare) + bare_get(bench->bare, range);
        if (tail)
            floor += bare_tail(bench->bare, TAIL);
        figures_add(&row.floor, floor);
        struct meter meter = meter_start(node);
        figures_add(&row.took, ask_ms(&client, &gets[i], &answer));
        meter_stop(&meter, &row);
        expect(&answer, 200);
        hits += answer.hit;
    }
    asked = (requests_to_s3(node) - asked) / (double)(count - FIRST);
    row_print(&row);
    warn_of_hits(hits, 0, count - FIRST);
    printf("  %.2f requests to S3 each; a range of %zu KB\n", asked, range / 1000);
    client_close(&client);
}

/* What the other node has shared: its row, then Redis. */
static void measure_recall(struct bench *bench, const struct program *node, const char *name,
                           const struct load_request *gets, size_t count)
{
    struct client client;
    struct answer answer;
    struct row row;
    struct figures query;
    size_t hits = 0;
    row_new(&row, name, "ms", "", 1.2);
    figures_new(&query, count);
    client_open(&client, node->port);
    client_ask(&client, &gets[0], &answer);
    double recalled = program_metric(node, "cache_recalls_total{result=\"hit\"}");
    for (size_t i = 1; i < count; i++) {
        double find = bare_find(bench->bare);
        figures_add(&query, find);
        figures_add(&row.floor, find + bare_recall(bench->bare, answer.size));
        struct meter meter = meter_start(node);
        figures_add(&row.took, ask_ms(&client, &gets[i], &answer));
        meter_stop(&meter, &row);
        expect(&answer, 200);
        hits += answer.hit;
    }
    recalled = program_metric(node, "cache_recalls_total{result=\"hit\"}") - recalled;
    double took = figures_part(&row.took, 0.5), floor = figures_part(&row.floor, 0.5),
           find = figures_part(&query, 0.5);
    row_print(&row);
    warn_of_hits(hits, count - 1, count - 1);
    printf(
        "  %.0f of %zu from Redis; the floor's query is %.3f ms, its Redis GET %.3f: %.2f x the GET"
        " alone\n",
        recalled, count - 1, find, floor - find, took / (floor - find));
    figures_free(&query);
    client_close(&client);
}

static void measure_hot(struct bench *bench, const struct program *node, const char *name,
                        const struct load_request *get)
{
    enum { ROUNDS = 5, EACH = 200 };
    struct client client, bare;
    struct load_request bytes;
    struct answer answer;
    struct row row;
    size_t hits = 0;
    row_new(&row, name, "ms", "", 1.3);
    client_open(&client, node->port);
    client_open(&bare, bench->bare_http.port);
    client_ask(&client, get, &answer);
    expect(&answer, 200);
    load_get(&bytes, "/bytes/%zu", answer.size);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++)
            figures_add(&row.floor, ask_ms(&bare, &bytes, &answer));
        struct meter meter = meter_start(node);
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

/* One run of each of many packs. */
static void post_packs(const struct program *node, size_t packs, size_t runs, size_t field_size,
                       struct load_request *gets)
{
    struct load_request *all = new_requests(runs);
    struct client client;
    client_open(&client, node->port);
    for (size_t i = 0; i < packs; i++) {
        post_and_aim(&client, runs, field_size, all);
        gets[i] = all[runs / 2];
        all[runs / 2] = (struct load_request){0};
        for (size_t r = 0; r < runs; r++)
            load_free(&all[r]);
    }
    client_close(&client);
    free(all);
}

/* One pack of `runs`: cold on the node that wrote it, recalled by the other, hot. */
static void measure_gets(struct bench *bench, struct program nodes[2], size_t field_size,
                         size_t runs, const char *const names[4])
{
    enum { PACKS = 44 };
    struct load_request *gets = new_requests(runs), *apart = new_requests(PACKS);
    struct client client;
    client_open(&client, nodes[0].port);
    double sent = program_metric(&nodes[0], "s3_sent_bytes_total");
    post_and_aim(&client, runs, field_size, gets);
    sent = program_metric(&nodes[0], "s3_sent_bytes_total") - sent;
    client_close(&client);
    beside_us(bench, nodes, 2, true);
    bare_aim(bench->bare, (size_t)sent, 1);
    measure_cold(bench, &nodes[0], names[0], gets, runs, false);
    measure_recall(bench, &nodes[1], names[2], gets, runs);
    measure_hot(bench, &nodes[0], names[3], &gets[0]);
    beside_us(bench, nodes, 2, false);
    size_t each = 600000 / field_size / 3;
    post_packs(&nodes[0], PACKS, each, field_size, apart);
    beside_us(bench, nodes, 2, true);
    bare_aim(bench->bare, (size_t)sent / runs * each, PACKS);
    measure_cold(bench, &nodes[1], names[1], apart, PACKS, true);
    beside_us(bench, nodes, 2, false);
    free_requests(gets, runs);
    free_requests(apart, PACKS);
}

static void group_get(struct bench *bench)
{
    static const char *const small[4] = {
        "GET cold, 3 x 10 KB, its pack on the shelf", "GET cold, 3 x 10 KB, an unknown pack",
        "GET from Redis, 3 x 10 KB", "GET hot, 3 x 10 KB, in the node"};
    static const char *const large[4] = {
        "GET cold, 3 x 100 KB, its pack on the shelf", "GET cold, 3 x 100 KB, an unknown pack",
        "GET from Redis, 3 x 100 KB", "GET hot, 3 x 100 KB, in the node"};
    struct program nodes[2];
    start_two(bench, nodes);
    check_bytes(&nodes[0]);
    if (bare_insert(bench->bare, 10000) < 0)
        die("no rows");
    measure_gets(bench, nodes, 10000, 200, small);
    measure_gets(bench, nodes, 100000, 80, large);
    program_stop(&nodes[0]);
    program_stop(&nodes[1]);
}

/* ---- search ---- */

static void search_once(struct row *row, const struct program *node, struct client *client,
                        const struct load_request *get, size_t *size)
{
    struct answer answer;
    struct meter meter = meter_start(node);
    figures_add(&row->took, ask_ms(client, get, &answer));
    meter_stop(&meter, row);
    expect(&answer, 200);
    *size = answer.size;
}

static double bare_http_ms(struct client *bare, size_t size)
{
    struct load_request bytes;
    struct answer answer;
    load_get(&bytes, "/bytes/%zu", size);
    double ms = ask_ms(bare, &bytes, &answer);
    load_free(&bytes);
    return ms;
}

static void fill_names(struct client *client)
{
    enum { EACH = 10000 };
    const struct run_shape shape = {.small = true, .own_name = true};
    struct load_request request;
    load_post(&request, &shape, EACH);
    for (size_t i = 0; i < NAMES; i += EACH)
        post(client, &request);
    load_free(&request);
}

static void measure_nothing_found(struct bench *bench, const struct program *node,
                                  struct client *client, struct client *bare)
{
    enum { REPEATS = 150 };
    struct row row;
    row_new(&row, "search by name, nothing found, 20 k names", "ms", "", 0);
    for (int i = 0; i < REPEATS; i++) {
        char part[16];
        struct load_request get;
        size_t size;
        snprintf(part, sizeof part, "%012llx",
                 (unsigned long long)(random_u64() & UINT64_C(0xffffffffffff)));
        load_get(&get, "/runs/search?name=%s", part);
        double floor = bare_search_name(bench->bare, part);
        search_once(&row, node, client, &get, &size);
        figures_add(&row.floor, floor + bare_http_ms(bare, size));
        load_free(&get);
    }
    row_print(&row);
}

static void measure_needles(struct bench *bench, const struct program *node, struct client *client,
                            struct client *bare)
{
    struct row row;
    struct load_request get;
    char part[32];
    size_t range = 0;
    row_new(&row, "search by name, cold, 3 hits x 150 KB", "ms", "", 0);
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
        load_get(&get, "/runs/search?name=needle%%20%04d", i);
        if (i == 0) {
            double before = program_metric(node, "s3_received_bytes_total");
            expect_text(client, &get, "\"count\":3,");
            range = (size_t)(program_metric(node, "s3_received_bytes_total") - before);
            bare_aim(bench->bare, range, NEEDLES);
            load_free(&get);
            continue;
        }
        snprintf(part, sizeof part, "needle %04d", i);
        double floor = bare_search_name(bench->bare, part) + bare_get(bench->bare, range);
        search_once(&row, node, client, &get, &size);
        figures_add(&row.floor, floor + bare_http_ms(bare, size));
        load_free(&get);
    }
    row_print(&row);
}

static void measure_trace(struct bench *bench, const struct program *node, struct client *client,
                          struct client *bare)
{
    enum { REPEATS = 500 };
    static const char trace[] = "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b";
    const struct run_shape shape = {.field_size = 1000, .trace = trace};
    struct load_request request, get, strong;
    struct row row;
    size_t size;
    load_post(&request, &shape, TRACE_RUNS);
    post(client, &request);
    load_get(&get, "/runs/search?trace_id=%s", trace);
    load_get(&strong, "/runs/search?trace_id=%s&consistency=strong", trace);
    expect_text(client, &get, "\"count\":13,");
    row_new(&row, "search by trace, hot, 13 runs x 3 x 1 KB", "ms", "", 0);
    for (int i = 0; i < REPEATS; i++) {
        search_once(&row, node, client, &get, &size);
        figures_add(&row.floor, bare_http_ms(bare, size));
    }
    row_print(&row);
    row_new(&row, "  the same with consistency=strong", "ms", "", 0);
    for (int i = 0; i < REPEATS; i++) {
        double floor = bare_sum(bench->bare);
        search_once(&row, node, client, &strong, &size);
        figures_add(&row.floor, floor + bare_http_ms(bare, size));
    }
    row_print(&row);
    load_free(&request);
    load_free(&get);
    load_free(&strong);
}

/* Each trace once: the rows, one range of its pack. */
static void measure_trace_cold(struct bench *bench, const struct program *node,
                               struct client *client, struct client *bare)
{
    enum { TRACES = 40 };
    struct row row;
    size_t range = 0;
    row_new(&row, "search by trace, cold, 13 runs x 3 x 1 KB", "ms", "", 0);
    for (int i = 0; i < TRACES; i++) {
        char trace[40];
        struct load_request request, get;
        size_t size;
        snprintf(trace, sizeof trace, "0190a1b2-c3d4-4e5f-8a6b-%012x", (unsigned)i);
        const struct run_shape shape = {.field_size = 1000, .trace = trace};
        load_post(&request, &shape, TRACE_RUNS);
        post(client, &request);
        load_get(&get, "/runs/search?trace_id=%s", trace);
        if (i == 0) {
            double before = program_metric(node, "s3_received_bytes_total");
            expect_text(client, &get, "\"count\":13,");
            range = (size_t)(program_metric(node, "s3_received_bytes_total") - before);
            bare_aim(bench->bare, range, TRACES);
        } else {
            double floor = bare_find_trace(bench->bare) + bare_get(bench->bare, range);
            search_once(&row, node, client, &get, &size);
            figures_add(&row.floor, floor + bare_http_ms(bare, size));
        }
        load_free(&request);
        load_free(&get);
    }
    row_print(&row);
}

static void group_search(struct bench *bench)
{
    struct program node;
    struct client client, bare;
    start_one(bench, &node);
    client_open(&client, node.port);
    client_open(&bare, bench->bare_http.port);
    fill_names(&client);
    bare_add_names(bench->bare, NAMES);
    bare_insert(bench->bare, 10000);
    beside_us(bench, &node, 1, true);
    measure_nothing_found(bench, &node, &client, &bare);
    measure_needles(bench, &node, &client, &bare);
    measure_trace_cold(bench, &node, &client, &bare);
    measure_trace(bench, &node, &client, &bare);
    beside_us(bench, &node, 1, false);
    client_close(&client);
    client_close(&bare);
    program_stop(&node);
}

/* ---- requests, memory and rest ---- */

/* How many requests to S3 cost as many runs, sent so many at a time by one client? */
static void measure_requests(const struct program *node, size_t runs, size_t each, const char *name)
{
    const struct run_shape shape = {.small = true};
    struct load_request request;
    struct client client;
    load_post(&request, &shape, each);
    client_open(&client, node->port);
    double before = requests_to_s3(node);
    for (size_t i = 0; i < runs; i += each)
        post(&client, &request);
    double asked = requests_to_s3(node) - before;
    print_value_of(name, "", asked * 1000 / (double)runs, "");
    client_close(&client);
    load_free(&request);
}

static void group_memory(struct bench *bench)
{
    enum { REST_S = 3, RUNS = 1000 };
    const struct run_shape shape = {.field_size = 5000};
    struct load_request request;
    struct program node;
    struct client client;
    start_one(bench, &node);
    sleep(1);
    double before = program_cpu_s(&node), database = bare_cpu_s(bench->bare, BARE_POSTGRES);
    sleep(REST_S);
    print_value_of("at rest: CPU", "ms/s", (program_cpu_s(&node) - before) / REST_S * 1e3, "");
    print_value_of("at rest: CPU of PostgreSQL", "ms/s",
                   (bare_cpu_s(bench->bare, BARE_POSTGRES) - database) / REST_S * 1e3, "");
    print_value_of("at rest: RSS", "MB", program_memory_mb(&node, "VmRSS"), "");
    measure_requests(&node, 100, 1, "requests to S3 for 1000 runs, 1 at a time");
    measure_requests(&node, 2000, 100, "requests to S3 for 1000 runs, 100 at a time");
    load_post(&request, &shape, RUNS);
    client_open(&client, node.port);
    post(&client, &request);
    print_value_of("peak RSS, one POST of 17 MB", "MB", program_memory_mb(&node, "VmHWM"), "");
    client_close(&client);
    load_free(&request);
    program_stop(&node);
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
        bool known = false;
        for (size_t g = 0; g < GROUPS; g++)
            if (strcmp(argv[a], groups[g].name) == 0)
                known = any = wanted[g] = true;
        if (!known)
            die("what is \"%s\"? usage: production_bench [memory] [post] [mix] [get] [search]",
                argv[a]);
    }

    (void)scratch_open();
    program_bare_http(&bench.bare_http);
    bench.bare = bare_open();
    print_machine(bench.rundlet);
    print_titles();
    for (size_t g = 0; g < GROUPS; g++)
        if (!any || wanted[g])
            groups[g].measure(&bench);
    bare_close(bench.bare);
    program_stop(&bench.bare_http);
    return 0;
}
