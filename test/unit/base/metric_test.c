/* metric_test.c - what was counted is what is shown, in the format's words. */
#include "base/metric.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/text.h"
#include "lib/check.h"

/* All of /metrics as a C string; the caller frees it. */
static char *scrape(void)
{
    struct text text = {0};
    metric_write(&text);
    text_add_char(&text, '\0');
    return text.at;
}

static bool shows(const char *line)
{
    char *all = scrape();
    char *at = strstr(all, line);
    bool whole = at && (at == all || at[-1] == '\n') && at[strlen(line)] == '\n';
    free(all);
    return whole;
}

TEST(a_counter_shows_its_sum_with_its_label)
{
    int64_t before = metric_value(METRIC_BATCHES_CONFLICT);
    char line[100];

    metric_add(METRIC_BATCHES_CONFLICT, 2);
    metric_add(METRIC_BATCHES_CONFLICT, 3);

    CHECK(metric_value(METRIC_BATCHES_CONFLICT) == before + 5);
    snprintf(line, sizeof line, "rundlet_batches_total{result=\"conflict\"} %d", (int)before + 5);
    CHECK(shows(line));
}

TEST(a_gauge_can_be_set_or_added_to)
{
    metric_set(METRIC_SEGMENTS, 7);
    metric_set(METRIC_SEGMENTS, 3);
    metric_add(METRIC_HTTP_CONNECTIONS, 5);
    metric_add(METRIC_HTTP_CONNECTIONS, -4);

    CHECK(shows("rundlet_segments 3"));
    CHECK(shows("rundlet_http_connections 1"));
}

TEST(a_time_falls_into_the_buckets_from_its_length_up)
{
    metric_time(METRIC_FSYNC_SECONDS, 0);
    metric_time(METRIC_FSYNC_SECONDS, 50);
    metric_time(METRIC_FSYNC_SECONDS, 51);
    metric_time(METRIC_FSYNC_SECONDS, 10000000);
    metric_time(METRIC_FSYNC_SECONDS, 10000001);

    CHECK(metric_value(METRIC_FSYNC_SECONDS) == 5);
    CHECK(shows("# TYPE rundlet_fsync_seconds histogram"));
    CHECK(shows("rundlet_fsync_seconds_bucket{le=\"0.00005\"} 2"));
    CHECK(shows("rundlet_fsync_seconds_bucket{le=\"0.0001\"} 3"));
    CHECK(shows("rundlet_fsync_seconds_bucket{le=\"5\"} 3"));
    CHECK(shows("rundlet_fsync_seconds_bucket{le=\"10\"} 4"));
    CHECK(shows("rundlet_fsync_seconds_bucket{le=\"+Inf\"} 5"));
    CHECK(shows("rundlet_fsync_seconds_sum 20.000102"));
    CHECK(shows("rundlet_fsync_seconds_count 5"));
}

static void *count_many(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        metric_add(METRIC_REPLAYS, 1);
        metric_time(METRIC_COMMIT_SECONDS, (uint64_t)i);
    }
    return arg;
}

TEST(nothing_is_lost_between_more_threads_than_stripes)
{
    enum { THREADS = 12 };
    pthread_t thread[THREADS];
    int64_t before = metric_value(METRIC_REPLAYS);

    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread[i], NULL, count_many, NULL) == 0);
    free(scrape());
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);

    CHECK(metric_value(METRIC_REPLAYS) == before + THREADS * 10000);
    CHECK(metric_value(METRIC_COMMIT_SECONDS) == THREADS * 10000);
}

TEST(a_status_counts_in_its_class)
{
    CHECK(metric_of_status(100) == METRIC_HTTP_REQUESTS_1XX);
    CHECK(metric_of_status(204) == METRIC_HTTP_REQUESTS_2XX);
    CHECK(metric_of_status(304) == METRIC_HTTP_REQUESTS_3XX);
    CHECK(metric_of_status(499) == METRIC_HTTP_REQUESTS_4XX);
    CHECK(metric_of_status(503) == METRIC_HTTP_REQUESTS_5XX);
    CHECK(metric_of_status(0) == METRIC_HTTP_REQUESTS_5XX);
    CHECK(metric_of_status(-700) == METRIC_HTTP_REQUESTS_5XX);
    CHECK(metric_of_status(600) == METRIC_HTTP_REQUESTS_5XX);
}

TEST(the_process_tells_its_version_and_its_memory)
{
    metric_setup("9.8.7");

    CHECK(shows("rundlet_build_info{version=\"9.8.7\"} 1"));
    CHECK(metric_value(METRIC_PROCESS_RESIDENT_BYTES) > 100000);
    CHECK(metric_value(METRIC_UPTIME_SECONDS) >= 0);
}

/* A family told twice, or a name without help, breaks the scrape of all. */
TEST(each_name_is_introduced_once_and_ends_as_its_kind_demands)
{
    char *all = scrape();
    char seen[200][80];
    int count = 0;
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        char name[80], word[20];
        if (sscanf(line, "# HELP %79s %19s", name, word) == 2)
            continue;
        if (sscanf(line, "# TYPE %79s %19s", name, word) != 2)
            continue;
        for (int i = 0; i < count; i++)
            CHECK(strcmp(seen[i], name) != 0);
        strcpy(seen[count++], name);
        CHECK(strncmp(name, "rundlet_", 8) == 0);
        size_t len = strlen(name);
        CHECK((strcmp(word, "counter") == 0) == (strcmp(name + len - 6, "_total") == 0));
        CHECK(strcmp(word, "histogram") != 0 || strcmp(name + len - 8, "_seconds") == 0);
    }
    CHECK(count > 40);
    free(all);
}

TEST(each_name_has_a_row_with_words_in_the_docs)
{
    struct text text = {0};
    metric_write_docs(&text);
    text_add_char(&text, '\0');

    CHECK(strstr(text.at, "| `rundlet_batches_total` | counter | `result=\"stored\"` "
                          "`result=\"duplicate\"` `result=\"conflict\"` `result=\"refused\"` |"));
    CHECK(strstr(text.at, "| `rundlet_fsync_seconds` | histogram |"));
    CHECK(!strstr(text.at, "|  |\n"));
    text_free(&text);
}
