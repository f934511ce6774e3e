/* corpus.c - see corpus.h. */
#include "corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "wire/json_scan.h"

static void make(const char *path, const char *kind, unsigned megabytes)
{
    char size[16];
    snprintf(size, sizeof size, "%u", megabytes);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        execlp("python3", "python3", "bench/corpus.py", path, size, kind, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die("bench/corpus.py did not make %s; it is run from the root of the repository", path);
}

static struct str map(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        die("%s: %s", path, strerror(errno));
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED)
        die("map %s: %s", path, strerror(errno));
    close(fd);
    return (struct str){at, (size_t)st.st_size};
}

static struct uuid id_of(struct str value)
{
    struct uuid id;
    if (value.len < 2 || !uuid_parse((struct str){value.at + 1, value.len - 2}, &id))
        die("%.*s is not an id", STR_FMT(value));
    return id;
}

/* The next run of a document; false when there are no more. */
static bool next_run(struct json_scan *scan, struct str document, struct corpus_run *run)
{
    *run = (struct corpus_run){0};
    for (;;) {
        enum json_event event = json_scan_next(scan, document.at, document.len, true);
        struct str key = {document.at + scan->key.at, scan->key.len};
        struct str value = {document.at + scan->value.at, scan->value.len};
        if (event == JSON_ITEM) {
            run->object = value;
            return true;
        }
        if (event != JSON_FIELD) {
            if (event != JSON_END)
                die("not JSON: %s", scan->fault ? scan->fault : "it ends too early");
            return false;
        }
        if (str_eq(key, STR("id")))
            run->id = id_of(value);
        else if (str_eq(key, STR("trace_id")))
            run->trace = id_of(value);
        else if (str_eq(key, STR("inputs")))
            run->inputs = value;
        else if (str_eq(key, STR("outputs")))
            run->outputs = value;
    }
}

/* Where the run with that id is, or would be. */
static uint32_t *slot(const struct corpus *corpus, struct uuid id)
{
    uint64_t bits;
    memcpy(&bits, id.byte + 8, sizeof bits);
    size_t i = (size_t)(bits * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (corpus->slots - 1);
    while (corpus->slot[i] && uuid_compare(corpus->runs[corpus->slot[i] - 1].id, id) != 0)
        i = (i + 1) & (corpus->slots - 1);
    return &corpus->slot[i];
}

static void read_runs(struct corpus *corpus)
{
    struct json_scan scan;
    struct corpus_run run;
    size_t cap = 0;
    json_scan_start(&scan, JSON_LINES);
    while (next_run(&scan, corpus->bytes, &run)) {
        if (corpus->count == cap) {
            cap = cap ? 2 * cap : 4096;
            corpus->runs = realloc(corpus->runs, cap * sizeof run);
            if (!corpus->runs)
                die("no memory");
        }
        corpus->runs[corpus->count++] = run;
        corpus->raw += run.object.len;
    }
    for (corpus->slots = 64; corpus->slots < 2 * corpus->count;)
        corpus->slots *= 2;
    corpus->slot = calloc(corpus->slots, sizeof *corpus->slot);
    if (!corpus->slot)
        die("no memory");
    for (size_t i = 0; i < corpus->count; i++)
        *slot(corpus, corpus->runs[i].id) = (uint32_t)i + 1;
}

void corpus_open(struct corpus *corpus, const char *kind, unsigned megabytes)
{
    char path[128];
    *corpus = (struct corpus){0};
    (void)mkdir("build", 0755);
    (void)mkdir("build/corpus", 0755); /* if they cannot be made, the file cannot */
    snprintf(path, sizeof path, "build/corpus/%s-%u.ndjson", kind, megabytes);
    if (access(path, R_OK) != 0)
        make(path, kind, megabytes);
    corpus->bytes = map(path);
    read_runs(corpus);
}

void corpus_close(struct corpus *corpus)
{
    munmap((void *)(uintptr_t)corpus->bytes.at, corpus->bytes.len);
    free(corpus->runs);
    free(corpus->slot);
    *corpus = (struct corpus){0};
}

const struct corpus_run *corpus_find(const struct corpus *corpus, struct uuid id)
{
    uint32_t found = *slot(corpus, id);
    if (!found)
        die("a run came back that was not sent");
    return &corpus->runs[found - 1];
}

static void check(const struct corpus *corpus, const struct corpus_run *got)
{
    const struct corpus_run *sent = corpus_find(corpus, got->id);
    if (!str_eq(sent->inputs, got->inputs) || !str_eq(sent->outputs, got->outputs) ||
        uuid_compare(sent->trace, got->trace) != 0) {
        char id[UUID_TEXT];
        uuid_write(got->id, id);
        die("run %.*s does not come back as it was sent", UUID_TEXT, id);
    }
}

void corpus_check(const struct corpus *corpus, struct uuid id, struct str answer)
{
    struct json_scan scan;
    struct corpus_run got;
    json_scan_start(&scan, JSON_VALUE);
    if (!next_run(&scan, answer, &got) || uuid_compare(got.id, id) != 0)
        die("another run came back than was asked for");
    check(corpus, &got);
}

size_t corpus_check_page(const struct corpus *corpus, struct str answer)
{
    struct json_scan scan;
    struct corpus_run got;
    struct str runs = {0};
    json_scan_start(&scan, JSON_VALUE);
    while (!runs.at) {
        if (json_scan_next(&scan, answer.at, answer.len, true) != JSON_FIELD)
            die("there is no page in the answer");
        if (str_eq((struct str){answer.at + scan.key.at, scan.key.len}, STR("runs")))
            runs = (struct str){answer.at + scan.value.at, scan.value.len};
    }
    size_t count = 0;
    json_scan_start(&scan, JSON_ARRAY);
    for (; next_run(&scan, runs, &got); count++)
        check(corpus, &got);
    return count;
}
