/* sealing_bench.c - what requests notice of sealing.
 *
 *     sealing_bench [rounds [seconds]]     3 rounds, the mix for 4 seconds
 *
 * In turns, each time on an empty server: nothing is sealed and all goes into
 * one large segment; nothing is sealed, segments of the usual size; sealing at
 * the default rate.  Under each, 8 clients post 100 runs at a time as fast as
 * they are answered: the mix.  It leaves hardly a processor to the sealing, and
 * brings more than is sealed meanwhile.  So that goes on, at its rate, while one
 * client posts as much every few milliseconds, and then gets runs one by one;
 * those came last and are still in a segment, in every turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "load.h"

enum {
    MIX_CLIENTS = 8,
    MIX_RUNS = 100,
    READ_POSTS = 20, /* of MIX_RUNS each, to be read */
    PACED_S = 3,
    PACED_MS = 5,
    READ_S = 2,
    GETS_MAX = 200000,
    POSTS_MAX = 200000
};

struct mode {
    const char *name;
    const char *options[9];
    struct figures rate, post_ms, paced_ms, get_ms;
    struct figures sealed_mix, sealed_after; /* MB/s */
};

/* A byte a second: the first block is made, and nothing more. */
static struct mode modes[] = {
    {.name = "off, one segment",
     .options = {"--cache", "none", "--seal-idle", "365d", "--seal-rate", "1", "--segment-size",
                 "2047MiB", NULL}},
    {.name = "off, segments of 64 MiB",
     .options = {"--cache", "none", "--seal-idle", "365d", "--seal-rate", "1", NULL}},
    {.name = "on, default rate", .options = {"--cache", "none", "--seal-idle", "365d", NULL}},
};

enum { MODES = sizeof modes / sizeof *modes, ON = MODES - 1 };

static void measure_mix(const struct program *server, struct mode *mode, double seconds)
{
    const struct run_shape shape = {.field_size = 1000};
    struct load_request requests[MIX_CLIENTS];
    struct load load = {.port = server->port,
                        .clients = MIX_CLIENTS,
                        .seconds = seconds,
                        .window_s = 0.5,
                        .status = 201,
                        .requests = requests,
                        .renew = true};
    struct load_result result;
    for (size_t i = 0; i < MIX_CLIENTS; i++)
        load_post(&requests[i], &shape, MIX_RUNS);
    load_run(&load, &result);
    for (size_t i = 0; i < result.rate.count; i++)
        figures_add(&mode->rate, result.rate.at[i] * MIX_RUNS);
    for (size_t i = 0; i < result.took_ms.count; i++)
        figures_add(&mode->post_ms, result.took_ms.at[i]);
    figures_free(&result.rate);
    figures_free(&result.took_ms);
    for (size_t i = 0; i < MIX_CLIENTS; i++)
        load_free(&requests[i]);
}

static void post(struct client *client, struct load_request *request)
{
    struct answer answer;
    client_ask(client, request, &answer);
    if (answer.status != 201)
        die("status %d instead of 201", answer.status);
}

static void measure_paced(const struct program *server, struct mode *mode)
{
    const struct run_shape shape = {.field_size = 1000};
    struct load_request request;
    struct client client;
    client_open(&client, server->port);
    load_post(&request, &shape, MIX_RUNS);
    double began = now_s();
    for (double due = began; due - began < PACED_S; due += PACED_MS * 1e-3) {
        load_renew(&request);
        double wait = due - now_s();
        if (wait > 0)
            nanosleep(&(struct timespec){0, (long)(wait * 1e9)}, NULL);
        double from = now_s();
        post(&client, &request);
        figures_add(&mode->paced_ms, (now_s() - from) * 1e3);
    }
    load_free(&request);
    client_close(&client);
}

static void measure_gets(const struct program *server, struct mode *mode)
{
    enum { RUNS = READ_POSTS * MIX_RUNS };
    static struct load_request gets[RUNS];
    const struct run_shape shape = {.field_size = 1000, .own_id = true};
    struct load_request request;
    struct client client;
    struct answer answer;
    client_open(&client, server->port);
    load_post(&request, &shape, MIX_RUNS);
    for (size_t p = 0; p < READ_POSTS; p++) {
        load_renew(&request);
        post(&client, &request);
        for (size_t i = 0; i < MIX_RUNS; i++)
            load_get(&gets[p * MIX_RUNS + i], "/runs/%.36s", load_id(&request, i));
    }
    load_free(&request);
    for (double began = now_s(), from = began, now; from - began < READ_S; from = now) {
        client_ask(&client, &gets[random_u64() % RUNS], &answer);
        now = now_s();
        if (answer.status != 200)
            die("status %d instead of 200", answer.status);
        figures_add(&mode->get_ms, (now - from) * 1e3);
    }
    client_close(&client);
    for (size_t i = 0; i < RUNS; i++)
        load_free(&gets[i]);
}

/* One mode, on an empty server. */
static void measure(const char *rundlet, struct mode *mode, double seconds)
{
    struct program server;
    program_serve_with(&server, rundlet, NULL, mode->options);
    double began = now_s();
    measure_mix(&server, mode, seconds);
    double sealed = program_metric(&server, "sealed_bytes_total"), then = now_s();
    figures_add(&mode->sealed_mix, sealed / (then - began) / 1e6);
    measure_paced(&server, mode);
    measure_gets(&server, mode);
    figures_add(&mode->sealed_after,
                (program_metric(&server, "sealed_bytes_total") - sealed) / (now_s() - then) / 1e6);
    if (mode == &modes[ON] && program_metric(&server, "segments") < 2)
        printf("(all was sealed before the reading ended: let the mix go on for longer)\n");
    program_stop(&server);
}

static void print_mode(struct mode *mode)
{
    struct figures *const times[] = {&mode->post_ms, &mode->paced_ms, &mode->get_ms};
    printf("%-24s %8.0f", mode->name, figures_part(&mode->rate, 0.5));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        printf("   %7.3f %7.3f %7.3f", figures_part(times[i], 0.5), figures_part(times[i], 0.99),
               figures_part(times[i], 1));
    printf("   %7.0f %7.0f\n", figures_part(&mode->sealed_mix, 0.5),
           figures_part(&mode->sealed_after, 0.5));
}

static void print_ratio(const char *name, struct mode *on, struct mode *off)
{
    struct figures *const of_on[] = {&on->post_ms, &on->paced_ms, &on->get_ms};
    struct figures *const of_off[] = {&off->post_ms, &off->paced_ms, &off->get_ms};
    printf("%-24s %8.2f", name, figures_part(&off->rate, 0.5) / figures_part(&on->rate, 0.5));
    for (size_t i = 0; i < sizeof of_on / sizeof *of_on; i++)
        printf("   %7.2f %7.2f %7s", figures_part(of_on[i], 0.5) / figures_part(of_off[i], 0.5),
               figures_part(of_on[i], 0.99) / figures_part(of_off[i], 0.99), "");
    printf("\n");
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    double seconds = argc > 2 ? atof(argv[2]) : 4;
    const char *rundlet = getenv("RUNDLET");
    if (!rundlet || !rundlet[0])
        rundlet = "build/rundlet";
    if (argc > 3 || rounds < 1 || seconds <= 0)
        die("usage: sealing_bench [rounds [seconds]]");
    scratch_open();
    for (size_t m = 0; m < MODES; m++) {
        figures_new(&modes[m].post_ms, POSTS_MAX);
        figures_new(&modes[m].get_ms, GETS_MAX);
        figures_new(&modes[m].rate, 10000);
        figures_new(&modes[m].paced_ms, POSTS_MAX);
        figures_new(&modes[m].sealed_mix, 1000);
        figures_new(&modes[m].sealed_after, 1000);
    }
    for (int round = 0; round < rounds; round++)
        for (size_t m = 0; m < MODES; m++)
            measure(rundlet, &modes[m], seconds);
    printf("\nmilliseconds: p50, p99, most; target of the ratios of p99: 1.5\n");
    printf("%-24s %8s   %-23s   %-23s   %-23s   %s\n", "sealing", "runs/s", "POST, the mix",
           "POST, one every 5 ms", "GET, one at a time", "sealed MB/s: mix, then");
    for (size_t m = 0; m < MODES; m++)
        print_mode(&modes[m]);
    print_ratio("on / off, one segment", &modes[ON], &modes[0]);
    print_ratio("on / off, of 64 MiB", &modes[ON], &modes[1]);
    return 0;
}
