/* table.c - see table.h. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void print_machine(const char *rundlet)
{
    char line[256], model[128] = "unknown";
    double load[3] = {0};
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "model name : %127[^\n]", model) == 1)
            break;
    if (file)
        fclose(file);
    if (getloadavg(load, 3) < 1)
        load[0] = 0;
    printf("%s; %s, %ld processors, load %.1f before\n", rundlet, model,
           sysconf(_SC_NPROCESSORS_ONLN), load[0]);
}

void row_new(struct row *row, const char *name, const char *unit, const char *target, double goal)
{
    *row = (struct row){.name = name, .unit = unit, .target = target, .goal = goal};
    figures_new(&row->took, 20000);
    figures_new(&row->floor, 20000);
}

void print_titles(void)
{
    printf("\n%-46s %-5s %6s %9s %9s %9s %9s %9s %6s %5s %8s %8s\n", "", "unit", "n", "median",
           "min", "max", "target", "floor", "ratio", "goal", "server s", "client s");
}

void print_number(double value)
{
    int digits = value < 10 ? 3 : value < 1000 ? 1 : 0;
    printf(" %9.*f", digits, value);
}

void row_print(struct row *row)
{
    double median = figures_part(&row->took, 0.5), floor = figures_part(&row->floor, 0.5);
    printf("%-46s %-5s %6zu", row->name, row->unit, row->took.count);
    print_number(median);
    print_number(figures_part(&row->took, 0));
    print_number(figures_part(&row->took, 1));
    printf(" %9s", row->target);
    if (floor > 0) {
        bool rate = row->unit[0] == '/';
        print_number(floor);
        printf(" %6.2f", rate ? floor / median : median / floor);
    } else {
        printf(" %9s %6s", "", "");
    }
    if (row->goal > 0)
        printf(" %5.1f", row->goal);
    else if (row->plus > 0)
        printf(" %+5.1f", row->plus);
    else
        printf(" %5s", "");
    printf(" %8.2f %8.2f\n", row->server_s, row->client_s);
    fflush(stdout);
    figures_free(&row->took);
    figures_free(&row->floor);
}

void print_value(const char *name, const char *unit, struct figures *figures, const char *target)
{
    printf("%-46s %-5s %6zu", name, unit, figures->count);
    print_number(figures_part(figures, 0.5));
    print_number(figures_part(figures, 0));
    print_number(figures_part(figures, 1));
    printf(" %9s\n", target);
    fflush(stdout);
    figures_free(figures);
}

void print_value_of(const char *name, const char *unit, double value, const char *target)
{
    struct figures figures;
    figures_new(&figures, 1);
    figures_add(&figures, value);
    print_value(name, unit, &figures, target);
}

struct meter meter_start(const struct program *program)
{
    return (struct meter){program, program_cpu_s(program), own_cpu_s()};
}

void meter_stop(const struct meter *meter, struct row *row)
{
    row->server_s += program_cpu_s(meter->program) - meter->server_s;
    row->client_s += own_cpu_s() - meter->client_s;
}

/* ---- asking ---- */

void expect(const struct answer *answer, int status)
{
    if (answer->status != status)
        die("status %d instead of %d", answer->status, status);
}

void post(struct client *client, struct load_request *request)
{
    struct answer answer;
    load_renew(request);
    client_ask(client, request, &answer);
    expect(&answer, 201);
}

double ask_ms(struct client *client, const struct load_request *request, struct answer *answer)
{
    double from = now_s();
    client_ask(client, request, answer);
    return (now_s() - from) * 1e3;
}

void post_and_aim(struct client *client, size_t runs, size_t field_size, struct load_request *gets)
{
    const struct run_shape shape = {.own_id = true, .field_size = field_size};
    struct load_request request;
    load_post(&request, &shape, runs);
    post(client, &request);
    for (size_t i = 0; i < runs; i++)
        load_get(&gets[i], "/runs/%.36s", load_id(&request, i));
    load_free(&request);
}

void check_bytes(const struct program *server)
{
    const struct run_shape shape = {.own_id = true, .field_size = 1000};
    struct load_request request, get;
    struct client client;
    struct answer answer;
    struct text body = {0};
    client_open(&client, server->port);
    load_post(&request, &shape, 1);
    post(&client, &request);
    load_get(&get, "/runs/%.36s", load_id(&request, 0));
    client_fetch(&client, &get, &answer, &body);
    expect(&answer, 200);
    struct str sent = text_str(&request.bytes);
    const char *dict = memchr(sent.at + request.body_at + 1, '{', sent.len - request.body_at - 1);
    for (int i = 0; i < 3; i++) {
        dict = memchr(dict + 1, '{', (size_t)(sent.at + sent.len - dict - 1));
        const char *end = memchr(dict, '}', (size_t)(sent.at + sent.len - dict));
        if (!memmem(body.at, body.len, dict, (size_t)(end - dict + 1)))
            die("a run does not come back as it was sent");
    }
    text_free(&body);
    load_free(&get);
    load_free(&request);
    client_close(&client);
}

void warn_of_hits(size_t hits, size_t expected, size_t asked)
{
    if (hits != expected)
        printf("  (%zu of the %zu above came from the cache)\n", hits, asked);
}

void expect_text(struct client *client, const struct load_request *get, const char *text)
{
    struct answer answer;
    struct text body = {0};
    client_fetch(client, get, &answer, &body);
    expect(&answer, 200);
    if (!memmem(body.at, body.len, text, strlen(text)))
        die("a search did not find what it should: no %s", text);
    text_free(&body);
}
