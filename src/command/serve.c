/* serve.c - rundlet serve: open everything, listen, and end in good order.
 *
 * The main thread does nothing but wait for signals.  SIGTERM and SIGINT drain:
 * no new connection, no new write; what is under way is answered; then the
 * loops end and everything is closed.  A second one ends at once: every batch
 * that was acknowledged is safe, so nothing is lost by it.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "app.h"
#include "backends.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "base/version.h"
#include "command/command.h"
#include "config.h"
#include "http/http.h"
#include "loop/loop.h"
#include "loop/news.h"

enum { LOOPS_MAX = 8, HOSTS_MAX = 64 };

static unsigned loops_of(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->loops)
        return config->loops;
    return cores < 1 ? 1 : cores > LOOPS_MAX ? LOOPS_MAX : (unsigned)cores;
}

/* Ten thousand connections need as many descriptors. */
static void raise_descriptors(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t want = (rlim_t)config->connections_max + 1024;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
        log_event(LOG_WARN, "few_descriptors", LOG_N("limit", limit.rlim_cur),
                  LOG_N("wanted", want));
}

/* On loopback only the names of this machine are served, so that no page in a
 * browser can reach us by a name of its own (DNS rebinding). */
static size_t hosts_of(const struct config *config, struct str hosts[HOSTS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < config->allowed_hosts.count && n < HOSTS_MAX - 4; i++) {
        const char *name = config->allowed_hosts.at[i];
        hosts[n++] = (struct str){name, strlen(name)};
    }
    if (n == 0 && !config->listen.loopback)
        return 0;
    hosts[n++] = STR("localhost");
    hosts[n++] = STR("127.0.0.1");
    hosts[n++] = STR("[::1]");
    hosts[n++] = (struct str){config->listen.host, strlen(config->listen.host)};
    return n;
}

static void url_of(const struct config *config, unsigned port, char *room, size_t size)
{
    const char *host = config->listen.host;
    bool v6 = strchr(host, ':') != NULL;
    bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    snprintf(room, size, "http://%s%s%s:%u", v6 && !any ? "[" : "", any ? "127.0.0.1" : host,
             v6 && !any ? "]" : "", port);
}

/* For a person: where it is, and a line to copy. */
static void greet(const char *url, bool key)
{
    fprintf(stderr,
            "\nRundlet " RUNDLET_VERSION " is at %s\n\n"
            "  curl %s/runs -H 'Content-Type: application/json'%s \\\n"
            "    -d '[{\"trace_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\","
            "\"name\":\"hello\",\"inputs\":{\"q\":\"life?\"},\"outputs\":{\"a\":42}}]'\n"
            "  curl '%s/runs/search?name=hello'%s\n\n",
            url, url, key ? " -H \"x-api-key: $KEY\"" : "", url,
            key ? " -H \"x-api-key: $KEY\"" : "");
}

struct server {
    struct app *app;
    struct api api;
    struct http_server *http;
};

static void drained(void *context)
{
    struct server *server = context;
    for (unsigned i = 0; i < server->app->loop_count; i++)
        loop_stop(server->app->loops[i]);
    kill(getpid(), SIGUSR2); /* tell the main thread, which waits for signals */
}

/* Until the server has drained, or a second signal says not to wait. */
static void wait_for_end(struct server *server, const struct config *config,
                         const sigset_t *signals)
{
    bool stopping = false;
    for (;;) {
        int signal = 0;
        if (sigwait(signals, &signal) != 0)
            continue;
        if (signal == SIGUSR2 && stopping)
            return;
        if (signal != SIGTERM && signal != SIGINT)
            continue;
        if (stopping)
            fatal("told twice to stop: ending without waiting for requests under way");
        stopping = true;
        log_event(LOG_INFO, "stopping", LOG_N("signal", signal));
        atomic_store(&server->api.draining, true);
        news_close(server->app->news); /* who follows would not end by itself */
        http_stop(server->http, (unsigned)config->drain_timeout_ms, drained, server);
    }
}

static int listen_and_serve(struct server *server, const struct config *config,
                            const sigset_t *signals, struct err *err)
{
    struct str hosts[HOSTS_MAX];
    struct http_config http = {
        .context = &server->api,
        .hosts = hosts,
        .host_count = hosts_of(config, hosts),
        .wire_max = config->wire_max,
        .body_max = config->body_max,
        .head_max = 64 << 10,
        .line_max = 16 << 10,
        .header_max = 100,
        .uri_max = 8 << 10,
        .ratio_max = 200,
        .head_ms = (unsigned)config->head_timeout_ms,
        .idle_ms = (unsigned)config->idle_timeout_ms,
        .stall_ms = (unsigned)config->stall_timeout_ms,
        .body_grace_ms = (unsigned)config->body_grace_ms,
        .body_rate = (unsigned)config->body_rate,
        .connections_max = config->connections_max,
    };
    struct app *app = server->app;
    char url[128];
    api_serve(&http);
    struct str host = {config->listen.host, strlen(config->listen.host)};
    if (http_open(&http, app->loops, app->loop_count, host, config->listen.port, &server->http,
                  err))
        return (int)err->code;
    for (unsigned i = 0; i < app->loop_count; i++)
        if (loop_start(app->loops[i], err))
            fatal("%s", err->text);

    url_of(config, http_port(server->http), url, sizeof url);
    if (app_announce(app, url, err))
        log_event(LOG_WARN, "lock_file", LOG_C("reason", err->text));
    if (!config->log_json)
        greet(url, server->api.key.len > 0);
    char address[128];
    snprintf(address, sizeof address, strchr(config->listen.host, ':') ? "[%s]:%u" : "%s:%u",
             config->listen.host, http_port(server->http));
    char objects[256], index[256], cache[256];
    config_show_place(config->objects, objects, sizeof objects);
    config_show_place(config->index, index, sizeof index);
    config_show_place(config->cache, cache, sizeof cache);
    log_event(LOG_INFO, "listening", LOG_C("address", address),
              LOG_C("data", backends_need_data(config) ? config->data : ""),
              LOG_C("objects", objects), LOG_C("index", index), LOG_C("cache", cache),
              LOG_N("loops", app->loop_count));
    wait_for_end(server, config, signals);
    for (unsigned i = 0; i < app->loop_count; i++)
        loop_join(app->loops[i]);
    return 0;
}

int command_serve(const struct config *config, const struct command_args *args)
{
    (void)args;
    struct err err = {0};
    struct server server = {0};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread is there: all inherit it */
    signal(SIGPIPE, SIG_IGN);

    /* What is large goes back to the system when it is freed, whatever came before. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* NOLINT(concurrency-mt-unsafe): no thread is there yet */
    mallopt(M_TRIM_THRESHOLD, 4 << 20); /* NOLINT(concurrency-mt-unsafe): likewise */
    log_setup(config_log_level(config), config->log_json);
    metric_setup(RUNDLET_VERSION);
    if (config->notice)
        log_event(LOG_WARN, "notice", LOG_C("text", config->notice));
    raise_descriptors(config);
    if (app_open(config, APP_WRITE, loops_of(config), &server.app, &err) ||
        app_keep_up(server.app, &err))
        goto fail;
    server.api = (struct api){
        .serve = server.app->serve,
        .commit = server.app->commit,
        .budget = &server.app->budget,
        .spare = &server.app->spare,
        .limits =
            {
                .body_max = config->body_max,
                .run_max = config->run_max,
                .runs_max = config->batch_runs_max,
                .name_max = config->name_max,
            },
        .key = config->api_key ? (struct str){config->api_key, strlen(config->api_key)}
                               : (struct str){0},
    };
    if (listen_and_serve(&server, config, &signals, &err))
        goto fail;
    http_close(server.http);
    app_close(server.app);
    log_event(LOG_INFO, "stopped", LOG_C("data", backends_need_data(config) ? config->data : ""));
    return COMMAND_OK;

fail:
    log_event(LOG_ERROR, "start_failed", LOG_C("reason", err.text));
    http_close(server.http);
    app_close(server.app);
    return COMMAND_FAILED;
}
