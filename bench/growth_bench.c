/* growth_bench.c - the same questions at 10 000, a million and ten million runs.
 *
 *     growth_bench [server|client] [runs]     ids of the server's making; 10000000
 *
 * Small runs (about 250 bytes), each with a trace of its own and one of a
 * hundred names, go in over HTTP, 10 000 at a time from one client.  At each
 * level all is sealed first, then inserts, gets and searches are timed, one at
 * a time; "client" sends v4 ids of its own.  What is cold was never asked for
 * before.  Takes half a gigabyte of disk for each million runs, and removes it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

enum {
    FILL_RUNS = 10000, /* of a POST that fills */
    INSERTS = 400,     /* POSTs that are timed, */
    INSERT_RUNS = 100, /* each of so many */
    ASKED = 1000,      /* runs, and traces, at each level */
    NAMES = 100,
    PAGES = 3 * NAMES,
    LEVELS_MAX = 3,
    SAMPLE = ASKED * LEVELS_MAX,
    ID = 36,
    SEAL_WAIT_S = 300
};

enum what { FILL, INSERT, GET_COLD, GET_HOT, TRACE, NEWEST, NOTHING, WHATS };

static const char *const names[WHATS] = {
    [FILL] = "POST 10 000 runs, the last tenth", [INSERT] = "POST 100 runs",
    [GET_COLD] = "GET, any run, cold",           [GET_HOT] = "GET, the same again",
    [TRACE] = "search by trace, one run",        [NEWEST] = "search by name, the newest 50",
    [NOTHING] = "search by name, nothing found",
};

struct level {
    size_t runs;
    double p50[WHATS], p99[WHATS], rate[WHATS];
    double cpu_us[WHATS];                    /* of the server, an answer */
    double index_us[WHATS], store_us[WHATS]; /* one read of each */
    double index_b, pack_b, rss_mb, filled_s;
};

/* Any of all runs so far: each is as likely. */
struct sample {
    char id[SAMPLE][ID], trace[SAMPLE][ID];
};

struct bench {
    struct program server;
    struct client client;
    bool own_ids;
    size_t runs;                    /* in the server */
    double cpu_s, index_s, store_s; /* of the server, when something began to be timed */
    struct sample sample;
    struct text body;
};

static double ask_ms(struct bench *bench, const struct load_request *request, int status)
{
    struct answer answer;
    double from = now_s();
    client_ask(&bench->client, request, &answer);
    double took = (now_s() - from) * 1e3;
    if (answer.status != status)
        die("status %d instead of %d", answer.status, status);
    return took;
}

/* What is timed, from now on. */
static void begin(struct bench *bench, struct figures *took, size_t most)
{
    figures_new(took, most);
    bench->index_s = program_metric(&bench->server, "index_read_seconds_sum");
    bench->store_s = program_metric(&bench->server, "store_read_seconds_sum");
    bench->cpu_s = program_cpu_s(&bench->server);
}

static void end(struct bench *bench, struct level *level, enum what what, struct figures *took)
{
    double sum = 0, cpu_s = program_cpu_s(&bench->server) - bench->cpu_s;
    for (size_t i = 0; i < took->count; i++)
        sum += took->at[i];
    level->p50[what] = figures_part(took, 0.5);
    level->p99[what] = figures_part(took, 0.99);
    double index_s = program_metric(&bench->server, "index_read_seconds_sum") - bench->index_s;
    double store_s = program_metric(&bench->server, "store_read_seconds_sum") - bench->store_s;
    level->cpu_us[what] = cpu_s / (double)took->count * 1e6;
    level->index_us[what] = index_s / (double)took->count * 1e6;
    level->store_us[what] = store_s / (double)took->count * 1e6;
    level->rate[what] = sum > 0 ? (double)took->count / sum * 1e3 : 0;
    figures_free(took);
}

/* ---- in ---- */

/* Keep some of what was just sent; the answer to it is in the body. */
static void sample_runs(struct bench *bench, const struct load_request *request)
{
    static const char before[] = "\"run_ids\":[\"";
    const char *ids = memmem(bench->body.at, bench->body.len, before, sizeof before - 1);
    if (!ids)
        die("the answer has no ids");
    ids += sizeof before - 1;
    size_t holes = bench->own_ids ? 2 : 1; /* of a run: its id, its trace */
    for (size_t i = 0; i < FILL_RUNS; i++) {
        uint64_t n = bench->runs + i;
        uint64_t slot = n < SAMPLE ? n : random_u64() % n;
        if (slot >= SAMPLE)
            continue;
        const struct hole *trace = &request->holes[i * holes + holes - 1];
        memcpy(bench->sample.id[slot], ids + i * (ID + sizeof "\",\"" - 1), ID);
        memcpy(bench->sample.trace[slot], request->bytes.at + trace->at, ID);
    }
}

static void fill(struct bench *bench, struct level *level)
{
    const struct run_shape shape = {.small = true, .own_id = bench->own_ids};
    struct load_request request;
    struct figures took;
    double began = now_s(), tenth = (double)level->runs * 0.9;
    load_post(&request, &shape, FILL_RUNS);
    begin(bench, &took, level->runs / FILL_RUNS + 1);
    while (bench->runs < level->runs) {
        struct answer answer;
        if (took.count == 0)
            bench->cpu_s = program_cpu_s(&bench->server);
        load_renew(&request);
        double from = now_s();
        client_fetch(&bench->client, &request, &answer, &bench->body);
        if ((double)(bench->runs + FILL_RUNS) > tenth)
            figures_add(&took, (now_s() - from) * 1e3);
        if (answer.status != 201)
            die("status %d instead of 201", answer.status);
        sample_runs(bench, &request);
        bench->runs += FILL_RUNS;
    }
    level->filled_s = now_s() - began;
    end(bench, level, FILL, &took);
    load_free(&request);
}

/* The server closes connections that rest for so long. */
static void wait_until_sealed(struct bench *bench)
{
    client_close(&bench->client);
    double began = now_s();
    while (program_metric(&bench->server, "segments") > 0) {
        if (now_s() - began > SEAL_WAIT_S)
            die("not sealed after %d s", SEAL_WAIT_S);
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    client_open(&bench->client, bench->server.port);
}

static void measure_inserts(struct bench *bench, struct level *level)
{
    const struct run_shape shape = {.small = true, .own_id = bench->own_ids};
    struct load_request request;
    struct figures took;
    load_post(&request, &shape, INSERT_RUNS);
    begin(bench, &took, INSERTS);
    for (size_t i = 0; i < INSERTS; i++) {
        load_renew(&request);
        figures_add(&took, ask_ms(bench, &request, 201));
    }
    bench->runs += (size_t)INSERTS * INSERT_RUNS;
    end(bench, level, INSERT, &took);
    load_free(&request);
}

/* ---- out ---- */

/* Each of the level's runs. */
static void measure_gets(struct bench *bench, struct level *level, enum what what, size_t first)
{
    struct figures took;
    begin(bench, &took, ASKED);
    for (size_t i = 0; i < ASKED; i++) {
        struct load_request get;
        load_get(&get, "/runs/%.*s", ID, bench->sample.id[first + i]);
        figures_add(&took, ask_ms(bench, &get, 200));
        load_free(&get);
    }
    end(bench, level, what, &took);
}

static void measure_searches(struct bench *bench, struct level *level, size_t first)
{
    struct load_request get;
    struct figures took;
    struct answer answer;
    begin(bench, &took, ASKED);
    for (size_t i = 0; i < ASKED; i++) {
        load_get(&get, "/runs/search?trace_id=%.*s", ID, bench->sample.trace[first + i]);
        figures_add(&took, ask_ms(bench, &get, 200));
        if (i == 0) {
            client_fetch(&bench->client, &get, &answer, &bench->body);
            if (!memmem(bench->body.at, bench->body.len, "\"count\":1,", 10))
                die("a trace was not found");
        }
        load_free(&get);
    }
    end(bench, level, TRACE, &took);

    begin(bench, &took, PAGES);
    for (size_t i = 0; i < PAGES; i++) {
        load_get(&get, "/runs/search?name=Chat%%20model%%20%zu&limit=%zu", i % NAMES,
                 50 - i / NAMES);
        figures_add(&took, ask_ms(bench, &get, 200));
        load_free(&get);
    }
    end(bench, level, NEWEST, &took);

    begin(bench, &took, PAGES);
    for (size_t i = 0; i < PAGES; i++) {
        load_get(&get, "/runs/search?name=model%%20%016llx", (unsigned long long)random_u64());
        figures_add(&took, ask_ms(bench, &get, 200));
        load_free(&get);
    }
    end(bench, level, NOTHING, &took);
}

/* ---- all of it ---- */

static double file_size(const char *dir, const char *name)
{
    struct stat st;
    char path[300];
    snprintf(path, sizeof path, "%.250s/%s", dir, name);
    return stat(path, &st) == 0 ? (double)st.st_size : 0;
}

static void measure_level(struct bench *bench, struct level *level, size_t number)
{
    double began = now_s();
    client_open(&bench->client, bench->server.port);
    fill(bench, level);
    wait_until_sealed(bench);
    measure_inserts(bench, level);
    wait_until_sealed(bench);
    program_beside_us(&bench->server, true);
    measure_gets(bench, level, GET_COLD, number * ASKED);
    measure_gets(bench, level, GET_HOT, number * ASKED);
    measure_searches(bench, level, number * ASKED);
    program_beside_us(&bench->server, false);
    client_close(&bench->client);
    level->index_b =
        (file_size(bench->server.dir, "index.db") + file_size(bench->server.dir, "index.db-wal")) /
        (double)bench->runs;
    level->pack_b = program_metric(&bench->server, "pack_size_bytes") / (double)bench->runs;
    level->rss_mb = program_memory_mb(&bench->server, "VmRSS");
    printf("%zu runs: filled in %.1f s, all in %.1f s\n", level->runs, level->filled_s,
           now_s() - began);
    fflush(stdout);
}

static void print_line(const char *name, const double *values, size_t count, bool more)
{
    printf("%-34s", name);
    for (size_t l = 0; l < LEVELS_MAX; l++)
        if (l < count)
            printf(" %10.*f", values[l] < 10 ? 3 : values[l] < 1000 ? 1 : 0, values[l]);
        else
            printf(" %10s", "");
    double first = values[0], last = values[count - 1];
    printf(" %6.2f\n", more ? first / last : last / first);
}

static void print_table(const struct level *levels, size_t count)
{
    char name[64];
    double values[LEVELS_MAX];
    printf("\n%-34s", "");
    for (size_t l = 0; l < LEVELS_MAX; l++)
        if (l < count)
            printf(" %10zu", levels[l].runs);
        else
            printf(" %10s", "");
    printf(" %6s  (target 1.5)\n", "worse");
    for (int what = 0; what < WHATS; what++) {
        for (size_t l = 0; l < count; l++)
            values[l] = levels[l].p50[what];
        snprintf(name, sizeof name, "%s, ms", names[what]);
        print_line(name, values, count, false);
        for (size_t l = 0; l < count; l++)
            values[l] = levels[l].p99[what];
        print_line("  p99", values, count, false);
        for (size_t l = 0; l < count; l++)
            values[l] = levels[l].cpu_us[what];
        print_line("  CPU of the server, us", values, count, false);
        for (size_t l = 0; l < count; l++)
            values[l] = levels[l].index_us[what];
        if (what > INSERT && what != GET_HOT)
            print_line("  reading the index, mean us", values, count, false);
        for (size_t l = 0; l < count; l++)
            values[l] = levels[l].store_us[what];
        if (what > INSERT && what < NOTHING && what != GET_HOT)
            print_line("  reading the store, mean us", values, count, false);
        if (what > INSERT)
            continue;
        for (size_t l = 0; l < count; l++)
            values[l] = levels[l].rate[what] * (what == FILL ? FILL_RUNS : INSERT_RUNS);
        print_line("  runs a second", values, count, true);
    }
    for (size_t l = 0; l < count; l++)
        values[l] = levels[l].index_b;
    print_line("index, bytes a run", values, count, false);
    for (size_t l = 0; l < count; l++)
        values[l] = levels[l].pack_b;
    print_line("packs, bytes a run", values, count, false);
    for (size_t l = 0; l < count; l++)
        values[l] = levels[l].rss_mb;
    print_line("RSS, MB", values, count, false);
}

int main(int argc, char **argv)
{
    static const char *const options[] = {"--seal-rate", "0", "--seal-idle", "500ms", NULL};
    static const size_t steps[LEVELS_MAX] = {10000, 1000000, 10000000};
    static struct bench bench;
    struct level levels[LEVELS_MAX] = {0};
    size_t most = steps[LEVELS_MAX - 1], count = 0;
    const char *rundlet = getenv("RUNDLET");
    if (!rundlet || !rundlet[0])
        rundlet = "build/rundlet";
    for (int a = 1; a < argc; a++)
        if (strcmp(argv[a], "client") == 0)
            bench.own_ids = true;
        else if (strcmp(argv[a], "server") != 0 && (most = strtoul(argv[a], NULL, 10)) < FILL_RUNS)
            die("what is \"%s\"? usage: growth_bench [server|client] [runs]", argv[a]);
    scratch_open();
    program_serve_with(&bench.server, rundlet, NULL, options);
    for (; count < LEVELS_MAX && (count == 0 || steps[count - 1] < most); count++) {
        levels[count].runs = steps[count] < most ? steps[count] : most;
        measure_level(&bench, &levels[count], count);
    }
    print_table(levels, count);
    program_stop(&bench.server);
    text_free(&bench.body);
    return 0;
}
