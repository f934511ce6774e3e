/* config_test.c - settings from flags, variables, files and defaults. */
#include "config.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "lib/check.h"

enum { WORDS = 16 };

static struct err err;
static char directory[4096];

/* Each test has an empty working directory, so that it has a .env of its own. */
static void enter(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/config-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(directory) || chdir(directory) != 0)
        abort();
}

static void leave(void)
{
    (void)unlink(".env");
    (void)unlink("my.conf");
    (void)unlink("key");
    CHECK(chdir("/") == 0);
    CHECK(rmdir(directory) == 0);
}

static void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(content, file) < 0 || fclose(file) != 0)
        abort();
}

/* Words with blanks between into an array that ends with NULL. */
static int split(const char *words, char *copy, size_t size, char **array)
{
    int count = 0;
    char *rest = NULL;
    snprintf(copy, size, "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (count < WORDS - 1)
            array[count++] = word;
    array[count] = NULL;
    return count;
}

static const char *const others[] = {"--json", "--name=", NULL};

static struct config *load(const char *flags, const char *environment)
{
    char flag_copy[512], variable_copy[512];
    char *argv[WORDS + 1] = {(char[]){"rundlet"}}, *variables[WORDS];
    int argc = 1 + split(flags, flag_copy, sizeof flag_copy, argv + 1);
    split(environment, variable_copy, sizeof variable_copy, variables);

    struct config *config = NULL;
    err = (struct err){0};
    int r = config_load(argc, argv, variables, others, &config, &err);
    CHECK((r == 0) == (config != NULL));
    CHECK(r == (int)err.code);
    if (r)
        CHECK(err.text[0] != '\0');
    return config;
}

/* A start that is refused with a text that holds `part`. */
static bool refused(const char *flags, const char *environment, const char *part)
{
    struct config *config = load(flags, environment);
    bool is = !config && err.code == ERR_INVALID && strstr(err.text, part);
    if (!is)
        fprintf(stderr, "\"%s\" \"%s\": %s\n", flags, environment, config ? "taken" : err.text);
    config_free(config);
    return is;
}

TEST(the_defaults_are_those_of_the_table)
{
    enter();
    struct config *c = load("", "");

    CHECK(c != NULL);
    if (c) {
        CHECK(strcmp(c->listen.host, "127.0.0.1") == 0);
        CHECK(c->listen.port == 8000);
        CHECK(c->listen.loopback);
        CHECK(strcmp(c->data, "./rundlet-data") == 0);
        CHECK(c->api_key == NULL);
        CHECK(!c->insecure);
        CHECK(c->allowed_hosts.count == 0);
        CHECK(c->loops == 0);
        CHECK(c->body_max == 128 << 20);
        CHECK(c->wire_max == 64 << 20);
        CHECK(c->run_max == 64 << 20);
        CHECK(c->inflight_max == 160 << 20);
        CHECK(c->batch_runs_max == 10000);
        CHECK(c->name_max == 8192);
        CHECK(c->connections_max == 16000);
        CHECK(c->head_timeout_ms == 10000);
        CHECK(c->idle_timeout_ms == 75000);
        CHECK(c->cache_ttl_get_ms == 24 * 3600 * 1000);
        CHECK(c->cache_ttl_search_ms == 4 * 3600 * 1000);
        CHECK(strcmp(c->objects, "dir") == 0);
        CHECK(strcmp(c->index, "sqlite") == 0);
        CHECK(strcmp(c->cache, "local") == 0);
        CHECK(config_log_level(c) == LOG_INFO);
        CHECK(c->arg_count == 0);
        CHECK(c->notice == NULL);
    }
    config_free(c);
    config_free(NULL);
    leave();
}

TEST(a_flag_wins_over_the_environment_over_a_file_over_dotenv)
{
    enter();
    write_file(".env", "RUNDLET_LOOPS=1\nRUNDLET_READ_THREADS=1\nRUNDLET_INDEX_READERS=1\n"
                       "RUNDLET_BATCH_RUNS_MAX=1\n");
    write_file("my.conf", "loops = 2\nread_threads = 2\nindex_readers = 2\n");

    struct config *c = load("--config my.conf --loops 4", "RUNDLET_LOOPS=3 RUNDLET_READ_THREADS=3");
    CHECK(c && c->loops == 4);
    CHECK(c && c->read_threads == 3);
    CHECK(c && c->index_readers == 2);
    CHECK(c && c->batch_runs_max == 1);
    config_free(c);

    c = load("", "RUNDLET_CONFIG=my.conf");
    CHECK(c && c->loops == 2);
    config_free(c);
    leave();
}

TEST(a_flag_takes_its_value_behind_a_sign_or_a_blank)
{
    enter();
    struct config *c = load("--loops 3 --read-threads=7 --insecure --no-log-json", "");

    CHECK(c && c->loops == 3);
    CHECK(c && c->read_threads == 7);
    CHECK(c && c->insecure);
    CHECK(c && !c->log_json);
    config_free(c);
    CHECK(refused("--loops", "", "--loops takes a value, as in --loops=N"));
    CHECK(refused("--no-insecure=true", "", "no such setting"));
    leave();
}

TEST(what_is_no_setting_comes_back_in_order)
{
    enter();
    struct config *c = load("get --json 42 --loops 2 --name x --name=y - -- --loops", "");

    static const char *const want[] = {"get",      "--json", "42",     "--name=x",
                                       "--name=y", "-",      "--loops"};
    CHECK(c && c->arg_count == sizeof want / sizeof *want);
    for (size_t i = 0; c && i < c->arg_count && i < sizeof want / sizeof *want; i++)
        CHECK(strcmp(c->args[i], want[i]) == 0);
    CHECK(c && c->loops == 2);
    config_free(c);
    CHECK(refused("--name", "", "takes a value"));
    CHECK(refused("--json=1", "", "takes no value"));
    leave();
}

TEST(what_nobody_knows_is_refused_with_what_was_meant)
{
    enter();
    CHECK(
        refused("--body-maks 1MiB", "", "--body-maks: no such setting; did you mean --body-max?"));
    CHECK(refused("--body_max 1MiB", "", "did you mean --body-max?"));
    CHECK(refused("--LOOPS 1", "", "did you mean --loops?"));
    CHECK(refused("--zzzzzzzzzzzzzz", "", "--help lists them all"));
    CHECK(refused("-x", "", "-x: no such option"));
    CHECK(refused("--loops-file x", "", "no such setting"));
    CHECK(refused("", "RUNDLET_LISTN=1",
                  "RUNDLET_LISTN: no such setting; did you mean "
                  "RUNDLET_LISTEN?"));
    write_file("my.conf", "\n# listen\nlisen = 127.0.0.1:1\n");
    CHECK(refused("--config my.conf", "",
                  "my.conf:3: lisen: no such setting; did you mean "
                  "listen?"));
    leave();
}

TEST(variables_of_others_and_of_kubernetes_are_left_alone)
{
    enter();
    struct config *c = load("", "PATH=/bin RUNDLET=x RUNDLET_PORT=tcp://10.0.0.1:8000 "
                                "RUNDLET_PORT_8000_TCP=x RUNDLET_SERVICE_HOST=10.0.0.1 "
                                "RUNDLET_SERVICE_PORT_HTTP=1 LANGSMITH_API_KEY=x NOTHING");
    CHECK(c != NULL);
    config_free(c);
    leave();
}

TEST(an_empty_variable_counts_as_absent)
{
    enter();
    write_file(".env", "RUNDLET_LOOPS=\n");
    struct config *c = load("", "RUNDLET_LISTEN= RUNDLET_API_KEY= RUNDLET_LOOPS=");
    CHECK(c && c->listen.port == 8000);
    CHECK(c && !c->api_key);
    config_free(c);
    leave();
}

TEST(sizes_have_binary_units)
{
    static const struct {
        const char *flag;
        uint64_t bytes;
    } good[] = {
        {"--body-rate=0", 0},
        {"--body-rate=512", 512},
        {"--body-rate=3B", 3},
        {"--body-rate=2KiB", 2048},
        {"--body-rate=5MiB", 5 * 1048576},
        {"--body-rate=1GiB", 1073741824},
    };
    enter();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct config *c = load(good[i].flag, "");
        CHECK(c && c->body_rate == good[i].bytes);
        config_free(c);
    }
    CHECK(refused("--body-rate=2MB", "", "--body-rate: \"2MB\" is not a size"));
    CHECK(refused("--body-rate=-1", "", "not a size"));
    CHECK(refused("--body-rate=", "", "not a size"));
    CHECK(refused("--body-rate=1.5MiB", "", "not a size"));
    CHECK(refused("--body-rate=18446744073709551616", "", "not a size"));
    CHECK(refused("--body-rate=18446744073709551615KiB", "", "not a size"));
    CHECK(refused("--body-rate=2GiB", "", "is not from 0 to 1GiB"));
    CHECK(refused("--name-max=0", "", "is not from 1 to 64KiB"));
    leave();
}

TEST(durations_need_a_unit)
{
    static const struct {
        const char *flag;
        uint64_t ms;
    } good[] = {
        {"--idle-timeout=250ms", 250},   {"--idle-timeout=7s", 7000},
        {"--idle-timeout=2m", 120000},   {"--idle-timeout=3h", 3 * 3600000},
        {"--idle-timeout=1d", 86400000},
    };
    enter();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct config *c = load(good[i].flag, "");
        CHECK(c && c->idle_timeout_ms == good[i].ms);
        config_free(c);
    }
    CHECK(refused("--idle-timeout=10", "", "is not a duration; write it like 30s"));
    CHECK(refused("--idle-timeout=99ms", "", "is not from 100ms to 1d"));
    CHECK(refused("--idle-timeout=2d", "", "is not from 100ms to 1d"));
    leave();
}

TEST(counts_booleans_and_words_are_checked)
{
    enter();
    CHECK(refused("--loops=65", "", "is not from 0 to 64"));
    CHECK(refused("--loops=4x", "", "is not a whole number"));
    CHECK(refused("--loops=4294967296", "", "is not from 0 to 64"));
    CHECK(refused("--insecure=maybe", "", "is neither true nor false"));
    CHECK(refused("--log-level=loud", "", "is not one of: error warn info debug"));
    CHECK(refused("--log-level=warn\tinfo", "", "is not one of"));
    CHECK(refused("--data=", "", "is too short"));

    struct config *c = load("--log-level=debug --insecure=YES --log-json=on", "RUNDLET_COMPAT=1");
    CHECK(c && config_log_level(c) == LOG_DEBUG);
    CHECK(c && c->insecure && c->log_json && c->compat);
    config_free(c);
    leave();
}

TEST(a_long_value_is_cut_in_the_message)
{
    enter();
    CHECK(refused("--loops=0123456789012345678901234567890123456789xyz", "",
                  "\"0123456789012345678901234567890123456789...\""));
    leave();
}

TEST(addresses_are_literals_with_a_port)
{
    enter();
    struct config *c = load("--listen=[::1]:0", "");
    CHECK(c && strcmp(c->listen.host, "::1") == 0 && c->listen.port == 0 && c->listen.loopback);
    config_free(c);

    c = load("--listen=localhost:65535", "");
    CHECK(c && strcmp(c->listen.host, "127.0.0.1") == 0 && c->listen.port == 65535);
    config_free(c);

    c = load("--listen=127.9.9.9:80", "");
    CHECK(c && c->listen.loopback);
    config_free(c);

    CHECK(refused("--listen=8000", "", "write it like 127.0.0.1:8000"));
    CHECK(refused("--listen=:8000", "", "is no address"));
    CHECK(refused("--listen=127.0.0.1:65536", "", "is no address"));
    CHECK(refused("--listen=127.0.0.1:", "", "is no address"));
    CHECK(refused("--listen=::1:80", "", "is no address"));
    CHECK(refused("--listen=[127.0.0.1]:80", "", "is no address"));
    CHECK(refused("--listen=[]:80", "", "is no address"));
    CHECK(refused("--listen=example.org:80", "", "is no address"));
    leave();
}

TEST(beyond_loopback_a_key_is_needed)
{
    enter();
    CHECK(refused("--listen=0.0.0.0:8000", "", "--api-key-file"));
    CHECK(refused("--listen=[::]:8000", "", "--insecure"));
    CHECK(refused("--listen=10.0.0.1:8000", "", "listening on 10.0.0.1 would let anyone"));

    struct config *c = load("--listen=0.0.0.0:8000 --insecure", "");
    CHECK(c && !c->listen.loopback);
    config_free(c);
    c = load("--listen=0.0.0.0:8000", "RUNDLET_API_KEY=correct-horse");
    CHECK(c && c->api_key && strcmp(c->api_key, "correct-horse") == 0);
    config_free(c);
    leave();
}

TEST(a_secret_comes_from_a_file_too)
{
    enter();
    write_file("key", "\n correct-horse-battery \n");

    struct config *c = load("--api-key-file key", "");
    CHECK(c && c->api_key && strcmp(c->api_key, "correct-horse-battery") == 0);
    config_free(c);
    c = load("", "RUNDLET_API_KEY_FILE=key");
    CHECK(c && c->api_key && strcmp(c->api_key, "correct-horse-battery") == 0);
    config_free(c);
    c = load("--api-key-file key", "RUNDLET_API_KEY=another-one");
    CHECK(c && c->api_key && strcmp(c->api_key, "correct-horse-battery") == 0);
    config_free(c);
    write_file("my.conf", "api_key_file = key\n");
    c = load("--config my.conf", "");
    CHECK(c && c->api_key && strcmp(c->api_key, "correct-horse-battery") == 0);
    config_free(c);

    CHECK(refused("--api-key-file key --api-key another-one", "", "keep one"));
    write_file("key", "\n");
    CHECK(refused("--api-key-file key", "", "key is empty"));
    CHECK(load("--api-key-file nothing", "") == NULL && err.code == ERR_IO);
    CHECK(strstr(err.text, "nothing") != NULL);
    leave();
}

TEST(a_secret_stands_in_no_message)
{
    static const char *const flags[] = {
        "--api-key=hunter2",
        "--api-key=hunter2\x01hunter2",
        "--api_key=hunter2hunter2",
        "--api-kex=hunter2hunter2",
        "--listen=0.0.0.0 --api-key=hunter2hunter2",
        "--index=mysql://me:hunter2@db/runs",
        "--cache=memcached://:hunter2@cache",
        "--objects=gs://hunter2",
    };
    enter();
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        CHECK(refused(flags[i], "", ""));
        CHECK(strstr(err.text, "hunter") == NULL);
    }
    write_file("my.conf", "api_key = \"hunter2hunter2\n");
    CHECK(refused("--config my.conf", "", "my.conf:1: api_key: a quote"));
    CHECK(strstr(err.text, "hunter") == NULL);
    leave();
}

TEST(a_place_is_a_word_or_a_url_of_a_scheme_it_knows)
{
    enter();
    struct config *c = load("--cache none --objects s3://b/p?endpoint=http://h:1 --index "
                            "postgresql://me:pw@db/runs",
                            "");
    CHECK(c && strcmp(c->cache, "none") == 0 && !config_is_url(c->cache));
    CHECK(c && strcmp(c->objects, "s3://b/p?endpoint=http://h:1") == 0);
    CHECK(c && config_is_url(c->index));
    char shown[64] = "";
    if (c)
        config_show_place(c->index, shown, sizeof shown);
    CHECK(strcmp(shown, "postgresql://db/runs") == 0);
    if (c)
        config_show_place(c->objects, shown, sizeof shown);
    CHECK(strcmp(shown, "s3://b/p") == 0);
    config_show_place("redis://:a@b@c:1/0", shown, sizeof shown);
    CHECK(strcmp(shown, "redis://c:1/0") == 0);
    config_show_place("local", shown, sizeof shown);
    CHECK(strcmp(shown, "local") == 0);
    config_free(c);

    write_file("key", "  postgres://a:secret@h/d\n");
    c = load("--index-file key", "");
    CHECK(c && strcmp(c->index, "postgres://a:secret@h/d") == 0);
    config_free(c);
    CHECK(refused("--objects gs://bucket", "", "--objects: this URL is not one of: dir s3://..."));
    CHECK(refused("--index mysql", "",
                  "--index: \"mysql\" is not one of: sqlite memory postgres://"));
    CHECK(refused("", "RUNDLET_CACHE=http://c", "RUNDLET_CACHE: this URL is not one of"));
    CHECK(refused("", "RUNDLET_INDEX=postgres://a:b\tc@h/d", "cannot stand in a URL"));
    CHECK(refused("--s3-access-key k", "", "only one of s3_access_key and s3_secret_key"));
    leave();
}

TEST(keys_of_a_bucket_come_from_awss_places_where_ours_are_silent)
{
    enter();
    struct config *c = load("--objects s3://b", "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=s "
                                                "AWS_SESSION_TOKEN=t AWS_REGION=eu-west-1");
    CHECK(c && c->s3_access_key && strcmp(c->s3_access_key, "a") == 0);
    CHECK(c && c->s3_secret_key && strcmp(c->s3_secret_key, "s") == 0);
    CHECK(c && c->s3_session_token && strcmp(c->s3_session_token, "t") == 0);
    CHECK(c && strcmp(c->s3_region, "eu-west-1") == 0);
    config_free(c);

    c = load("--objects s3://b --s3-access-key x --s3-secret-key y",
             "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=s AWS_SESSION_TOKEN=t");
    CHECK(c && c->s3_access_key && strcmp(c->s3_access_key, "x") == 0);
    CHECK(c && !c->s3_session_token); /* it is the other pair's */
    config_free(c);

    c = load("", "AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=s");
    CHECK(c && !c->s3_access_key); /* there is no bucket */
    config_free(c);

    write_file("key", "[other]\naws_access_key_id = o\naws_secret_access_key = p\n"
                      "[default]\n# mine\naws_access_key_id=d\naws_secret_access_key = e \n");
    c = load("--objects s3://b", "AWS_SHARED_CREDENTIALS_FILE=key");
    CHECK(c && c->s3_access_key && strcmp(c->s3_access_key, "d") == 0);
    CHECK(c && c->s3_secret_key && strcmp(c->s3_secret_key, "e") == 0);
    config_free(c);
    c = load("--objects s3://b", "AWS_SHARED_CREDENTIALS_FILE=key AWS_PROFILE=other");
    CHECK(c && c->s3_access_key && strcmp(c->s3_access_key, "o") == 0);
    config_free(c);
    c = load("--objects s3://b", "AWS_SHARED_CREDENTIALS_FILE=nowhere");
    CHECK(c && !c->s3_access_key);
    config_free(c);
    leave();
}

TEST(another_deployments_file_speaks_alone)
{
    enter();
    struct config *c = NULL;
    write_file(".env", "RUNDLET_DATA=/elsewhere\n");
    write_file("my.conf", "objects = s3://b\ncache = none\n");
    CHECK(config_load_file("my.conf", &c, &err) == 0);
    CHECK(c && strcmp(c->data, "./rundlet-data") == 0 && strcmp(c->cache, "none") == 0);
    config_free(c);
    write_file("my.conf", "objekts = s3://b\n");
    CHECK(config_load_file("my.conf", &c, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "did you mean objects?"));
    leave();
}

TEST(the_originals_variables_are_mentioned_without_compat)
{
    enter();
    struct config *c = load("", "REDIS_URL=redis://:hunter2@x CACHE_TTL_GET=60 DB_HOST=");

    CHECK(c && c->cache_ttl_get_ms == 24 * 3600 * 1000);
    CHECK(c && c->notice && strstr(c->notice, "CACHE_TTL_GET, REDIS_URL: set"));
    CHECK(c && c->notice && strstr(c->notice, "--compat") && !strstr(c->notice, "hunter"));
    CHECK(c && c->notice && !strstr(c->notice, "DB_HOST"));
    config_free(c);
    leave();
}

TEST(with_compat_the_originals_variables_count)
{
    enter();
    struct config *c = load("--compat", "CACHE_TTL_GET=60 CACHE_TTL_SEARCH=5");
    CHECK(c && c->cache_ttl_get_ms == 60000);
    CHECK(c && c->cache_ttl_search_ms == 5000);
    CHECK(c && c->notice == NULL);
    config_free(c);

    c = load("--compat", "CACHE_TTL_GET=60 RUNDLET_CACHE_TTL_GET=2s");
    CHECK(c && c->cache_ttl_get_ms == 2000);
    config_free(c);

    write_file(".env", "RUNDLET_COMPAT=1\nCACHE_TTL_GET=9\nCACHE_TTL_SEARCH=9\n");
    c = load("", "CACHE_TTL_GET=60");
    CHECK(c && c->cache_ttl_get_ms == 60000);
    CHECK(c && c->cache_ttl_search_ms == 9000);
    config_free(c);

    CHECK(refused("--compat", "CACHE_TTL_GET=1h",
                  "CACHE_TTL_GET: \"1h\" is not a number of "
                  "seconds"));
    c = load("--compat", "DB_HOST=db DB_PORT=6543 DB_USER=me DB_PASSWORD=p@ss/w DB_NAME=runs "
                         "S3_BUCKET_NAME=b S3_ENDPOINT_URL=http://minio:9000 S3_ACCESS_KEY=k "
                         "S3_SECRET_KEY=s S3_REGION=eu REDIS_URL=redis://c:6379/0");
    CHECK(c && strcmp(c->index, "postgres://me:p%40ss%2Fw@db:6543/runs") == 0);
    CHECK(c && strcmp(c->objects, "s3://b?endpoint=http%3A%2F%2Fminio%3A9000") == 0);
    CHECK(c && c->s3_access_key && strcmp(c->s3_access_key, "k") == 0);
    CHECK(c && strcmp(c->s3_region, "eu") == 0);
    CHECK(c && strcmp(c->cache, "redis://c:6379/0") == 0);
    config_free(c);
    c = load("--compat --index sqlite", "DB_NAME=runs");
    CHECK(c && strcmp(c->index, "sqlite") == 0);
    config_free(c);
    c = load("--compat", "DB_NAME=runs");
    CHECK(c && strcmp(c->index, "postgres://postgres@localhost/runs") == 0);
    config_free(c);
    CHECK(refused("--compat", "S3_REGION=eu", "S3_REGION is set, but no S3_BUCKET_NAME"));
    leave();
}

TEST(settings_that_contradict_each_other_are_refused)
{
    enter();
    CHECK(refused("--body-max=200MiB", "", "raise inflight_max or lower body_max"));
    CHECK(refused("--body-max=32MiB", "", "raise body_max or lower run_max"));

    struct config *c = load("--body-max=32MiB --run-max=32MiB --inflight-max=32MiB", "");
    CHECK(c != NULL);
    config_free(c);
    leave();
}

TEST(a_bad_value_that_something_stronger_replaces_does_no_harm)
{
    enter();
    struct config *c = load("--loops=2", "RUNDLET_LOOPS=many");
    CHECK(c && c->loops == 2);
    config_free(c);
    leave();
}

TEST(files_have_comments_blanks_and_quotes)
{
    enter();
    write_file("my.conf", "# a comment\n\n  data =  \"/a b #c\" # and why\r\n"
                          "loops=3 # three\nallowed_hosts = a.example, b.example,,\n"
                          "api_key = 'correct#horse'");
    struct config *c = load("--config=my.conf", "");
    CHECK(c && strcmp(c->data, "/a b #c") == 0);
    CHECK(c && c->loops == 3);
    CHECK(c && c->allowed_hosts.count == 2);
    CHECK(c && c->allowed_hosts.count == 2 && strcmp(c->allowed_hosts.at[1], "b.example") == 0);
    CHECK(c && c->api_key && strcmp(c->api_key, "correct#horse") == 0);
    config_free(c);

    write_file("my.conf", "loops = 1\nhello\n");
    CHECK(refused("--config my.conf", "", "my.conf:2: not a line like"));
    write_file("my.conf", "data = 'x' y\n");
    CHECK(refused("--config my.conf", "", "my.conf:1: data: a quote"));
    CHECK(load("--config nothing.conf", "") == NULL && err.code == ERR_IO);
    CHECK(load("--config .", "") == NULL && err.code == ERR_IO);
    leave();
}

TEST(dotenv_may_hold_lines_for_other_programs)
{
    enter();
    write_file(".env", "OTHER=1\nexport RUNDLET_LOOPS=5\nnot a line\nOPEN=\"\n=\n");
    struct config *c = load("", "");
    CHECK(c && c->loops == 5);
    config_free(c);

    write_file(".env", "RUNDLET_LOOP=5\n");
    CHECK(refused("", "", ".env:1: RUNDLET_LOOP: no such setting; did you mean RUNDLET_LOOPS?"));
    leave();
}

TEST(help_is_given_whatever_else_is_wrong)
{
    enter();
    write_file(".env", "RUNDLET_NONSENSE=1\n");
    struct config *c = load("serve --nonsense --help", "RUNDLET_LOOPS=many");
    CHECK(c && c->help && !c->version);
    config_free(c);
    c = load("-V", "");
    CHECK(c && c->version);
    config_free(c);
    leave();
}

/* The text has every setting, and no line of it is wider than a terminal. */
TEST(help_and_docs_name_every_setting)
{
    static const char *const names[] = {
#define SETTING(type, name, standard, least, most, meaning) #name,
#include "config.def"
#undef SETTING
    };
    struct text help = {0}, docs = {0};
    config_write_help(&help);
    config_write_docs(&docs);
    text_add_char(&help, '\0');
    text_add_char(&docs, '\0');

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char flag[80] = "  --", row[80];
        for (size_t j = 0; names[i][j]; j++)
            flag[4 + j] = names[i][j] == '_' ? '-' : names[i][j];
        snprintf(row, sizeof row, "\n| `%s` | ", names[i]);
        CHECK(strstr(help.at, flag) != NULL);
        CHECK(strstr(docs.at, row) != NULL);
    }
    CHECK(strstr(help.at, "--api-key-file FILE") != NULL);
    for (const char *at = help.at; *at; at += strcspn(at, "\n") + 1)
        CHECK(strcspn(at, "\n") <= 100);
    text_free(&help);
    text_free(&docs);
}
