/* pack_bench.c - what sealing makes of traces, beside what zstd alone would.
 *
 *     pack_bench [agent=MEGABYTES] [rag=MEGABYTES]     400 and 200; 0: not that one
 *
 * A corpus (bench/corpus.py) goes in over HTTP.  Its segments are sealed twice:
 * in this process, without a rate limit, against the clock and beside bare zstd
 * on the same sorted bytes; then by the server, from which every run is read
 * again and compared with what was sent.  A run that does not come back byte
 * for byte ends the program.
 *
 * The limit of a read is one block: read with one call and unpacked as far as
 * the run, in this process, and bare HTTP with as many bytes from memory, in
 * turns with the server.  Of a whole trace it is the same with all of its part of
 * the pack.  Rates are of CPU time, in bytes of the runs' objects.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "corpus.h"
#include "load.h"
#include "store/pack_file.h"
#include "store/seal.h"

enum {
    POST_BYTES = 4 << 20,
    PACKS_MAX = 256,
    GETS = 2000,
    GETS_FROM_DISK = 300,
    TRACES = 20,
    TRACE_LEAST = 80, /* runs of what is called a trace of a hundred */
    TRACE_MOST = 125,
    SEAL_WAIT_S = 300
};

/* A run in a pack. */
struct where {
    unsigned pack;
    uint64_t at;
    size_t size;
};

struct bench {
    const char *rundlet;
    const char *dir;
    const char *kind;
    struct corpus corpus;
    struct program server, bare;
    char data[256]; /* the server's directory */
    struct pack_file packs[PACKS_MAX];
    unsigned pack_count;
    struct pack_scratch *scratch;
    struct where *where; /* of each run of the corpus */
    char *room;          /* for what is read of a pack */
    size_t room_size;
    uint64_t bare_stored; /* what bare zstd made of the blocks */
};

/* ---- the table ---- */

static void print_titles(const char *what)
{
    printf("\n%-50s %-6s %6s %9s %9s %9s %9s %6s\n", what, "unit", "n", "reached", "p99", "target",
           "limit", "ratio");
}

static void print_number(double value)
{
    if (value < 0)
        printf(" %9s", "");
    else
        printf(" %9.*f", value < 10 ? 3 : value < 1000 ? 1 : 0, value);
}

/* `more` is better, or less is; of the two the ratio is that of the worse to
 * the better.  Below 0: there is none. */
static void print_row(const char *name, const char *unit, size_t n, double reached, double p99,
                      const char *target, double limit, bool more)
{
    printf("%-50s %-6s %6zu", name, unit, n);
    print_number(reached);
    print_number(p99);
    printf(" %9s", target);
    print_number(limit);
    if (limit > 0)
        printf(" %6.2f", more ? limit / reached : reached / limit);
    printf("\n");
    fflush(stdout);
}

static void print_figures(const char *name, struct figures *took, struct figures *limit,
                          const char *target)
{
    print_row(name, "ms", took->count, figures_part(took, 0.5), figures_part(took, 0.99), target,
              figures_part(limit, 0.5), false);
    figures_free(took);
    figures_free(limit);
}

static void or_die(int r, const struct err *err)
{
    if (r)
        die("%s", err->text);
}

/* ---- in over HTTP ---- */

static void post_corpus(struct bench *bench)
{
    const struct corpus *corpus = &bench->corpus;
    struct client client;
    double took = 0;
    size_t posts = 0;
    client_open(&client, bench->server.port);
    for (size_t first = 0, end; first < corpus->count; first = end) {
        struct load_request request;
        struct answer answer;
        const char *begin = corpus->runs[first].object.at, *to = begin;
        for (end = first; end < corpus->count; end++) {
            const struct str object = corpus->runs[end].object;
            if (end > first && object.at + object.len - begin > POST_BYTES)
                break;
            to = object.at + object.len;
        }
        load_body(&request, "application/x-ndjson", (struct str){begin, (size_t)(to - begin)});
        double from = now_s();
        client_ask(&client, &request, &answer);
        took += now_s() - from;
        if (answer.status != 201)
            die("status %d instead of 201", answer.status);
        load_free(&request);
        posts++;
    }
    client_close(&client);
    print_row("in over HTTP, 4 MiB a POST, one at a time", "MB/s", posts,
              (double)corpus->raw / took / 1e6, -1, "", -1, true);
}

/* ---- sealing in this process, and bare zstd ---- */

/* CPU seconds and bytes, over all segments. */
struct bare {
    int level;
    size_t cut; /* 0: the pack's blocks */
    uint64_t stored;
    double pack_s, open_s;
};

static void bare_frames(struct bare *bare, const struct pack *pack, const char *stream)
{
    const uint64_t size = pack->summary.stream_size;
    const size_t most = bare->cut ? bare->cut : PACK_BLOCK;
    ZSTD_CCtx *in = ZSTD_createCCtx();
    ZSTD_DCtx *out = ZSTD_createDCtx();
    char *frame = malloc(ZSTD_compressBound(most)), *back = malloc(most);
    if (!in || !out || !frame || !back)
        die("no memory");
    memset(frame, 1, ZSTD_compressBound(most));
    memset(back, 1, most);
    ZSTD_CCtx_setParameter(in, ZSTD_c_compressionLevel, bare->level);
    ZSTD_CCtx_setParameter(in, ZSTD_c_checksumFlag, 1);
    uint32_t block = 0;
    for (uint64_t at = 0, len; at < size; at += len) {
        len = bare->cut ? bare->cut : pack->blocks[block++].size;
        len = len < size - at ? len : size - at;
        double from = own_cpu_s();
        size_t made = ZSTD_compress2(in, frame, ZSTD_compressBound(most), stream + at, (size_t)len);
        double then = own_cpu_s();
        size_t got = ZSTD_isError(made) ? made : ZSTD_decompressDCtx(out, back, most, frame, made);
        bare->open_s += own_cpu_s() - then;
        bare->pack_s += then - from;
        if (ZSTD_isError(got) || got != len)
            die("zstd: %s", ZSTD_getErrorName(got));
        bare->stored += made;
    }
    free(frame);
    free(back);
    ZSTD_freeCCtx(in);
    ZSTD_freeDCtx(out);
}

static void bare_zstd(struct bench *bench, struct str packs, uint64_t number, struct bare *bare,
                      size_t count)
{
    struct pack_file file;
    struct err err = {0};
    or_die(pack_file_open(&disk_real, packs, number, PACK_STRICT, &file, &err), &err);
    size_t size = (size_t)file.pack->summary.stream_size;
    char *stream = malloc(size + 1);
    if (!stream)
        die("no memory");
    or_die(pack_file_part(&file, bench->scratch, 0, size, stream, &err), &err);
    for (size_t i = 0; i < count; i++)
        bare_frames(&bare[i], file.pack, stream);
    free(stream);
    pack_file_close(&file);
}

static void measure_sealing(struct bench *bench)
{
    char segments[300], packs[300], path[PACK_PATH];
    struct figures rates;
    struct bare bare[] = {{.level = SEAL_LEVEL}, {.level = 1, .cut = 1 << 20}};
    uint64_t raw = 0;
    double cpu_s = 0, wall_s = 0;
    figures_new(&rates, PACKS_MAX);
    snprintf(segments, sizeof segments, "%s/segments", bench->data);
    snprintf(packs, sizeof packs, "%s/sealed-%s", bench->dir, bench->kind);
    if (mkdir(packs, 0755) != 0)
        die("%s: %s", packs, strerror(errno));
    int fd = open(packs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct seal seal = {.disk = &disk_real,
                        .segments = {segments, strlen(segments)},
                        .packs = {packs, strlen(packs)},
                        .packs_fd = fd};
    for (uint64_t number = 1; number < PACKS_MAX; number++) {
        struct err err = {0};
        snprintf(path, sizeof path, "%s/%016" PRIx64 ".seg", segments, number);
        if (access(path, R_OK) != 0)
            break;
        seal.number = number;
        double cpu = own_cpu_s(), wall = now_s();
        or_die(seal_segment(&seal, &err), &err);
        double took_s = own_cpu_s() - cpu;
        wall_s += now_s() - wall;
        cpu_s += took_s;
        raw += seal.raw_size;
        figures_add(&rates, (double)seal.raw_size / took_s / 1e6);
        bare_zstd(bench, seal.packs, number, bare, sizeof bare / sizeof *bare);
        snprintf(path, sizeof path, "%s/%016" PRIx64 ".pack", packs, number);
        (void)unlink(path);
    }
    close(fd);
    if (raw != bench->corpus.raw)
        die("%" PRIu64 " bytes are in the segments, %" PRIu64 " were sent", raw, bench->corpus.raw);
    double rate = (double)raw / cpu_s / 1e6, mb = (double)raw / 1e6;
    double limit = mb / (bare[0].pack_s + bare[0].open_s);
    print_row("seal, a second of CPU; limit: zstd both ways", "MB/s", rates.count, rate, -1, "600",
              limit, true);
    print_row("  the median segment", "MB/s", rates.count, figures_part(&rates, 0.5), -1, "", -1,
              true);
    print_row("  by the clock, no rate limit", "MB/s", rates.count, mb / wall_s, -1, "", -1, true);
    print_row("  bare zstd, same blocks and level, in", "MB/s", rates.count, mb / bare[0].pack_s,
              -1, "", -1, true);
    print_row("  bare zstd, out", "MB/s", rates.count, mb / bare[0].open_s, -1, "", -1, true);
    print_row("  bare zstd, same blocks and level, ratio", "x", rates.count,
              (double)raw / (double)bare[0].stored, -1, "", -1, true);
    print_row("  bare zstd-1, blocks of 1 MiB, in", "MB/s", rates.count, mb / bare[1].pack_s, -1,
              "", -1, true);
    print_row("  bare zstd-1, blocks of 1 MiB, ratio", "x", rates.count,
              (double)raw / (double)bare[1].stored, -1, "", -1, true);
    bench->bare_stored = bare[0].stored;
    figures_free(&rates);
}

/* ---- sealed by the server ---- */

static void serve_sealed(struct bench *bench)
{
    static const char *const options[] = {"--cache",     "none",  "--seal-rate", "0",
                                          "--seal-idle", "100ms", NULL};
    program_serve_with(&bench->server, bench->rundlet, bench->data, options);
    double began = now_s();
    while (program_metric(&bench->server, "segments") > 0) {
        if (now_s() - began > SEAL_WAIT_S)
            die("not sealed after %d s", SEAL_WAIT_S);
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    print_row("  by the server, no rate limit, by the clock", "MB/s", 1,
              (double)bench->corpus.raw / (now_s() - began) / 1e6, -1, "", -1, true);
}

static void open_packs(struct bench *bench)
{
    char dir[300];
    snprintf(dir, sizeof dir, "%s/packs", bench->data);
    for (bench->pack_count = 0; bench->pack_count < PACKS_MAX; bench->pack_count++) {
        struct err err = {0};
        struct pack_file *file = &bench->packs[bench->pack_count];
        int r = pack_file_open(&disk_real, (struct str){dir, strlen(dir)}, bench->pack_count + 1,
                               PACK_STRICT, file, &err);
        if (r == ERR_NOT_FOUND)
            break;
        or_die(r, &err);
        or_die(pack_file_load(file, PACK_RUNS, &err), &err);
        or_die(pack_file_load(file, PACK_IDS, &err), &err);
        or_die(pack_file_load(file, PACK_TRACES, &err), &err);
    }
}

static void find_runs(struct bench *bench)
{
    const struct corpus *corpus = &bench->corpus;
    bench->where = calloc(corpus->count, sizeof *bench->where);
    if (!bench->where)
        die("no memory");
    size_t found = 0;
    for (unsigned p = 0; p < bench->pack_count; p++) {
        const struct pack *pack = bench->packs[p].pack;
        for (uint32_t i = 0; i < pack_count(pack, PACK_IDS); i++, found++) {
            uint32_t row;
            const struct corpus_run *sent = corpus_find(corpus, pack_id(pack, i, &row));
            struct pack_run run = pack_run(pack, row);
            bench->where[sent - corpus->runs] = (struct where){p, run.at, run.size};
        }
    }
    if (found != corpus->count)
        die("%zu runs are in the packs, %zu were sent", found, corpus->count);
}

static void print_stored(struct bench *bench, const char *target)
{
    static const char *const names[PACK_SECTIONS] = {
        [PACK_BLOCKS] = "blocks", [PACK_RUNS] = "runs",     [PACK_RECORDS] = "records",
        [PACK_IDS] = "ids",       [PACK_TRACES] = "traces", [PACK_FENCES] = "fences",
    };
    uint64_t stored = 0, raw = 0, sections[PACK_SECTIONS] = {0}, all = 0, blocks = 0;
    for (unsigned p = 0; p < bench->pack_count; p++) {
        const struct pack *pack = bench->packs[p].pack;
        stored += pack->size;
        raw += pack->summary.raw_size;
        blocks += pack->block_count;
        for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
            sections[type] += pack->sections[type].stored;
            all += pack->sections[type].stored;
        }
    }
    double runs = (double)bench->corpus.count, limit = (double)bench->bare_stored;
    print_row("raw bytes for a stored one; limit: bare zstd", "x", bench->pack_count,
              (double)raw / (double)stored, -1, target, (double)raw / limit, true);
    print_row("  blocks, raw bytes of each", "MB", blocks, (double)raw / (double)blocks / 1e6, -1,
              "", -1, true);
    print_row("sections of packs, a run", "B", bench->pack_count, (double)all / runs, -1, "", -1,
              false);
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
        char name[64];
        snprintf(name, sizeof name, "  %s", names[type]);
        print_row(name, "B", bench->pack_count, (double)sections[type] / runs, -1, "", -1, false);
    }
}

static double file_size(const char *dir, const char *name)
{
    struct stat st;
    char path[300];
    snprintf(path, sizeof path, "%.250s/%s", dir, name);
    return stat(path, &st) == 0 ? (double)st.st_size : 0;
}

static void print_index(const struct bench *bench)
{
    double runs = (double)bench->corpus.count;
    double db = file_size(bench->data, "index.db"), wal = file_size(bench->data, "index.db-wal");
    print_row("index, a run: index.db", "B", bench->corpus.count, db / runs, -1, "", -1, false);
    print_row("  its write-ahead log", "B", bench->corpus.count, wal / runs, -1, "", -1, false);
}

/* ---- out again ---- */

static void get_of(struct load_request *get, struct uuid id)
{
    char text[UUID_TEXT];
    uuid_write(id, text);
    load_get(get, "/runs/%.*s", UUID_TEXT, text);
}

static void check_all(struct bench *bench)
{
    const struct corpus *corpus = &bench->corpus;
    struct client client;
    struct text body = {0};
    client_open(&client, bench->server.port);
    for (size_t i = 0; i < corpus->count; i++) {
        struct load_request get;
        struct answer answer;
        get_of(&get, corpus->runs[i].id);
        client_fetch(&client, &get, &answer, &body);
        if (answer.status != 200)
            die("status %d instead of 200", answer.status);
        corpus_check(corpus, corpus->runs[i].id, text_str(&body));
        load_free(&get);
    }
    client_close(&client);
    text_free(&body);
    print_row("back byte for byte, by id", "runs", corpus->count, (double)corpus->count, -1, "all",
              -1, true);
}

static double read_here(struct bench *bench, struct where where)
{
    struct err err = {0};
    if (where.size > bench->room_size) {
        bench->room_size = 2 * where.size;
        bench->room = realloc(bench->room, bench->room_size);
        if (!bench->room)
            die("no memory");
        memset(bench->room, 0, bench->room_size);
    }
    double from = now_s();
    or_die(pack_file_part(&bench->packs[where.pack], bench->scratch, where.at, where.size,
                          bench->room, &err),
           &err);
    return (now_s() - from) * 1e3;
}

/* Nothing of the packs is in memory any more. */
static void forget_packs(const struct bench *bench)
{
    for (unsigned p = 0; p < bench->pack_count; p++)
        (void)posix_fadvise(bench->packs[p].fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* `size` bytes from memory; kept in `body` unless that is NULL. */
static double bare_ms(struct client *bare, size_t size, struct text *body)
{
    enum { AT_ONCE = 4 << 20 };
    double took = 0;
    for (size_t part; size > 0; size -= part) {
        struct load_request bytes;
        struct answer answer;
        part = size < AT_ONCE ? size : AT_ONCE;
        load_get(&bytes, "/bytes/%zu", part);
        double from = now_s();
        if (body)
            client_fetch(bare, &bytes, &answer, body);
        else
            client_ask(bare, &bytes, &answer);
        took += (now_s() - from) * 1e3;
        load_free(&bytes);
    }
    return took;
}

static void measure_gets(struct bench *bench, const char *name, const char *target, size_t count,
                         bool from_disk)
{
    const struct corpus *corpus = &bench->corpus;
    struct client client, bare;
    struct figures took, limit, block;
    figures_new(&took, count);
    figures_new(&limit, count);
    figures_new(&block, count);
    program_beside_us(&bench->server, true);
    program_beside_us(&bench->bare, true);
    client_open(&client, bench->server.port);
    client_open(&bare, bench->bare.port);
    for (size_t i = 0; i < count; i++) {
        struct load_request get;
        struct answer answer;
        size_t n = random_u64() % corpus->count, other = random_u64() % corpus->count;
        get_of(&get, corpus->runs[n].id);
        if (from_disk)
            forget_packs(bench);
        double from = now_s();
        client_ask(&client, &get, &answer);
        figures_add(&took, (now_s() - from) * 1e3);
        if (answer.status != 200 || answer.hit)
            die("status %d, hit %d", answer.status, answer.hit);
        if (from_disk)
            forget_packs(bench);
        double here = read_here(bench, bench->where[from_disk ? n : other]);
        figures_add(&block, here);
        figures_add(&limit, here + bare_ms(&bare, answer.size, NULL));
        load_free(&get);
    }
    client_close(&client);
    client_close(&bare);
    program_beside_us(&bench->server, false);
    program_beside_us(&bench->bare, false);
    print_figures(name, &took, &limit, target);
    print_row("  one block read and unpacked, alone", "ms", count, figures_part(&block, 0.5),
              figures_part(&block, 0.99), "", -1, false);
    figures_free(&block);
}

/* ---- whole traces ---- */

struct trace {
    struct uuid id;
    size_t runs;
};

static int by_trace(const void *a, const void *b)
{
    return uuid_compare(((const struct trace *)a)->id, ((const struct trace *)b)->id);
}

/* At most TRACES of about a hundred runs; of a corpus without, of any size. */
static size_t pick_traces(const struct corpus *corpus, struct trace picked[TRACES])
{
    struct trace *all = calloc(corpus->count, sizeof *all);
    size_t count = 0, n = 0;
    if (!all)
        die("no memory");
    for (size_t i = 0; i < corpus->count; i++)
        all[i] = (struct trace){corpus->runs[i].trace, 1};
    qsort(all, corpus->count, sizeof *all, by_trace);
    for (size_t i = 0; i < corpus->count; i++)
        if (count > 0 && uuid_compare(all[count - 1].id, all[i].id) == 0)
            all[count - 1].runs++;
        else
            all[count++] = all[i];
    for (size_t i = 0; i < count && n < TRACES; i++)
        if (all[i].runs >= TRACE_LEAST && all[i].runs <= TRACE_MOST)
            picked[n++] = all[i];
    for (size_t i = 0; i < count && n == 0 && i < TRACES; i++)
        picked[i] = all[random_u64() % count];
    if (n == 0)
        n = count < TRACES ? count : TRACES;
    free(all);
    return n;
}

/* Its part of each pack, read and unpacked in this process. */
static double read_trace_here(struct bench *bench, struct uuid trace)
{
    double ms = 0;
    for (unsigned p = 0; p < bench->pack_count; p++) {
        const struct pack *pack = bench->packs[p].pack;
        uint32_t i = pack_first_trace(pack, trace);
        for (; i < pack_count(pack, PACK_TRACES); i++) {
            struct pack_trace row = pack_trace(pack, i);
            if (uuid_compare(row.trace, trace) != 0)
                break;
            ms += read_here(bench, (struct where){p, row.at, (size_t)row.size});
        }
    }
    return ms;
}

static void measure_traces(struct bench *bench)
{
    struct trace traces[TRACES];
    struct client client, bare;
    struct text body = {0}, bytes = {0};
    struct figures took, limit, reads, read_bytes, sizes;
    size_t count = pick_traces(&bench->corpus, traces), runs = 0;
    figures_new(&took, count);
    figures_new(&limit, count);
    figures_new(&reads, count);
    figures_new(&read_bytes, count);
    figures_new(&sizes, count);
    client_open(&client, bench->server.port);
    client_open(&bare, bench->bare.port);
    for (size_t i = 0; i < count; i++) {
        struct load_request get;
        struct answer answer;
        char id[UUID_TEXT];
        uuid_write(traces[i].id, id);
        load_get(&get, "/runs/search?trace_id=%.*s&limit=1000", UUID_TEXT, id);
        double reads_before = program_metric(&bench->server, "store_reads_total");
        double bytes_before = program_metric(&bench->server, "store_read_bytes_total");
        double from = now_s();
        client_fetch(&client, &get, &answer, &body);
        figures_add(&took, (now_s() - from) * 1e3);
        figures_add(&reads, program_metric(&bench->server, "store_reads_total") - reads_before);
        figures_add(&read_bytes,
                    (program_metric(&bench->server, "store_read_bytes_total") - bytes_before) /
                        1e3);
        figures_add(&sizes, (double)answer.size / 1e6);
        figures_add(&limit,
                    read_trace_here(bench, traces[i].id) + bare_ms(&bare, answer.size, &bytes));
        if (corpus_check_page(&bench->corpus, text_str(&body)) != traces[i].runs)
            die("a trace of %zu runs does not come back whole", traces[i].runs);
        runs += traces[i].runs;
        load_free(&get);
    }
    client_close(&client);
    client_close(&bare);
    text_free(&body);
    text_free(&bytes);
    char name[64];
    snprintf(name, sizeof name, "whole trace, %zu runs, by search", count ? runs / count : 0);
    print_figures(name, &took, &limit, "");
    print_row("  bytes of the answer", "MB", count, figures_part(&sizes, 0.5), -1, "", -1, false);
    print_row("  reads of the store", "", count, figures_part(&reads, 0.5), figures_part(&reads, 1),
              "1-2", -1, false);
    print_row("  bytes read from packs", "KB", count, figures_part(&read_bytes, 0.5),
              figures_part(&read_bytes, 1), "", -1, false);
    figures_free(&reads);
    figures_free(&read_bytes);
    figures_free(&sizes);
}

/* ---- all of it ---- */

static void measure_corpus(struct bench *bench, unsigned megabytes, const char *target)
{
    /* Segments are to be there for both sealings: this one would take days. */
    static const char *const unsealed[] = {"--seal-rate", "1", "--seal-idle", "365d", NULL};
    char title[64];
    corpus_open(&bench->corpus, bench->kind, megabytes);
    snprintf(title, sizeof title, "%s, %.0f MB, %zu runs", bench->kind,
             (double)bench->corpus.raw / 1e6, bench->corpus.count);
    print_titles(title);
    program_serve_with(&bench->server, bench->rundlet, NULL, unsealed);
    snprintf(bench->data, sizeof bench->data, "%s", bench->server.dir);
    post_corpus(bench);
    bench->server.keeps_dir = true;
    program_stop(&bench->server);

    measure_sealing(bench);
    serve_sealed(bench);
    open_packs(bench);
    find_runs(bench);
    print_stored(bench, target);
    print_index(bench);
    check_all(bench);
    measure_gets(bench, "GET cold, of the packs, page cache warm", "0.3", GETS, false);
    measure_gets(bench, "GET cold, of the packs, from the disk", "", GETS_FROM_DISK, true);
    measure_traces(bench);

    for (unsigned p = 0; p < bench->pack_count; p++)
        pack_file_close(&bench->packs[p]);
    program_stop(&bench->server);
    free(bench->where);
    corpus_close(&bench->corpus);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    unsigned agent = 400, rag = 200;
    for (int a = 1; a < argc; a++)
        if (sscanf(argv[a], "agent=%u", &agent) != 1 && sscanf(argv[a], "rag=%u", &rag) != 1)
            die("what is \"%s\"? usage: pack_bench [agent=MEGABYTES] [rag=MEGABYTES]", argv[a]);
    bench.rundlet = getenv("RUNDLET");
    if (!bench.rundlet || !bench.rundlet[0])
        bench.rundlet = "build/rundlet";
    bench.dir = scratch_open();
    bench.scratch = pack_scratch_new();
    program_bare_http(&bench.bare);
    if (agent > 0) {
        bench.kind = "agent";
        measure_corpus(&bench, agent, "15");
    }
    if (rag > 0) {
        bench.kind = "rag";
        measure_corpus(&bench, rag, "7");
    }
    program_stop(&bench.bare);
    pack_scratch_free(bench.scratch);
    free(bench.room);
    return 0;
}
