/* bare.c - see bare.h. */
#include "bare.h"

#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "load.h"
#include "loop/loop.h"
#include "store/object.h"

enum {
    BODY_MAX = 64 << 20,
    AIMED_MAX = 256,
    IDS = 4096, /* of rows, to be found again */
    NAME = 64,
    DEADLINE_MS = 20000,
    PROCESSES_MAX = 8
};

/* As the wire has it: what is in the arrays of a statement. */
enum { OID_INT8 = 20, OID_INT4 = 23, OID_UUID = 2950 };

struct bare {
    const char *urls[BARE_STORES];
    struct loop *loop;
    struct objects *objects;
    char *body;
    unsigned serial, places;
    struct {
        char name[NAME];
        size_t read;
    } aimed[AIMED_MAX];
    size_t aimed_count, aimed_size, next_range, next_tail;
    PGconn *db;
    uint64_t rows;
    unsigned char ids[IDS][16], traces[IDS][16];
    redisContext *redis;
    pid_t pids[BARE_STORES][PROCESSES_MAX];
};

static double since_ms(double from)
{
    return (now_s() - from) * 1e3;
}

/* ---- opening ---- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (!value || !value[0])
        die("%s is not set: use bench/with-servers, or make bench-production", name);
    return value;
}

static void read_pids(struct bare *bare, enum bare_store store, const char *name)
{
    const char *at = getenv(name);
    for (size_t i = 0; at && *at && i < PROCESSES_MAX; i++) {
        char *end;
        bare->pids[store][i] = (pid_t)strtol(at, &end, 10);
        if (end == at)
            break;
        at = end;
    }
}

static struct objects *open_bucket(const char *endpoint, const char *bucket)
{
    struct objects *objects = NULL;
    struct err err = {0};
    const struct object_s3_config config = {
        .bucket = bucket,
        .prefix = "",
        .endpoint = endpoint,
        .path_style = true,
        .access_key = environment("RUNDLET_S3_ACCESS_KEY"),
        .secret_key = environment("RUNDLET_S3_SECRET_KEY"),
        .deadline_ms = DEADLINE_MS,
        .connections = 16,
        .queue = 64,
        .create = true,
    };
    if (object_s3_open(&config, &objects, &err))
        die("the bucket: %s", err.text);
    return objects;
}

static void run_sql(PGconn *db, const char *sql)
{
    PGresult *result = PQexec(db, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die("%s: %s", sql, PQerrorMessage(db));
    PQclear(result);
}

static void prepare(PGconn *db, const char *name, const char *sql)
{
    PGresult *result = PQprepare(db, name, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die("%s: %s", sql, PQerrorMessage(db));
    PQclear(result);
}

/* A database's name instead of the one that the URL ends in. */
static void database_url(const struct bare *bare, const char *name, char *room, size_t size)
{
    const char *url = bare->urls[BARE_POSTGRES], *end = strrchr(url, '/');
    if (!end)
        die("BENCH_POSTGRES is no URL");
    snprintf(room, size, "%.*s/%s", (int)(end - url), url, name);
}

static PGconn *connected(const char *url)
{
    PGconn *db = PQconnectdb(url);
    if (PQstatus(db) != CONNECTION_OK)
        die("PostgreSQL: %s", PQerrorMessage(db));
    return db;
}

static void create_database(const struct bare *bare, const char *name)
{
    char sql[128];
    PGconn *db = connected(bare->urls[BARE_POSTGRES]);
    snprintf(sql, sizeof sql, "create database %s template template0 encoding 'UTF8'", name);
    run_sql(db, sql);
    PQfinish(db);
}

static void open_database(struct bare *bare)
{
    char url[200], name[32];
    snprintf(name, sizeof name, "bare_%ld", (long)getpid());
    create_database(bare, name);
    database_url(bare, name, url, sizeof url);
    bare->db = connected(url);
    run_sql(bare->db, "create table run(id uuid primary key, trace uuid, start_us bigint,"
                      " name bigint, version bigint, container bigint, hash_low bigint,"
                      " hash_high bigint, ordinal integer, size integer);"
                      "create index on run(trace, start_us, id);"
                      "create index on run(start_us, id);"
                      "create table node(node bigint primary key, commits bigint);"
                      "insert into node values (1, 1), (2, 2);"
                      "create extension pg_trgm;"
                      "create table name(name bigint primary key, folded text collate \"C\");"
                      "create index on name using gin (folded gin_trgm_ops)"
                      " with (fastupdate = off);"
                      "set jit = off");
    prepare(bare->db, "insert",
            "insert into run select i, t, s, n, $7::bigint, $8::bigint, h, g, o, z"
            " from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[],"
            " $6::bigint[], $9::integer[], $10::integer[]) u(i, t, s, n, h, g, o, z)");
    prepare(bare->db, "find", "select * from run where id = $1::uuid");
    prepare(bare->db, "trace",
            "select * from run where trace = $1::uuid order by start_us desc, id desc limit 51");
    prepare(bare->db, "sum", "select sum(commits) from node where node <> $1::bigint");
    prepare(bare->db, "search", "select name from name where folded like $1::text limit 50");
}

static void open_redis(struct bare *bare)
{
    char host[64];
    int port = 0;
    if (sscanf(bare->urls[BARE_REDIS], "redis://%63[^:]:%d", host, &port) != 2)
        die("BENCH_REDIS is not redis://host:port/0");
    bare->redis = redisConnect(host, port);
    if (!bare->redis || bare->redis->err)
        die("Redis: %s", bare->redis ? bare->redis->errstr : "no memory");
}

struct bare *bare_open(void)
{
    struct bare *bare = calloc(1, sizeof *bare);
    struct err err = {0};
    if (!bare || !(bare->body = malloc(BODY_MAX)))
        die("no memory");
    for (size_t i = 0; i + 8 <= BODY_MAX; i += 8) {
        uint64_t word = random_u64(); /* what does not compress, as packs */
        memcpy(bare->body + i, &word, sizeof word);
    }
    bare->urls[BARE_S3] = environment("BENCH_S3");
    bare->urls[BARE_POSTGRES] = environment("BENCH_POSTGRES");
    bare->urls[BARE_REDIS] = environment("BENCH_REDIS");
    read_pids(bare, BARE_S3, "BENCH_S3_PIDS");
    read_pids(bare, BARE_POSTGRES, "BENCH_POSTGRES_PIDS");
    read_pids(bare, BARE_REDIS, "BENCH_REDIS_PIDS");
    if (loop_open(0, "bare", &bare->loop, &err))
        die("%s", err.text);
    char bucket[32]; /* another run beside the same servers has others */
    snprintf(bucket, sizeof bucket, "bare-%ld", (long)getpid());
    bare->objects = open_bucket(bare->urls[BARE_S3], bucket);
    if (bare->objects->ops->attach(bare->objects, bare->loop, &err))
        die("the bucket: %s", err.text);
    open_database(bare);
    open_redis(bare);
    return bare;
}

void bare_close(struct bare *bare)
{
    if (!bare)
        return;
    redisFree(bare->redis);
    PQfinish(bare->db);
    bare->objects->ops->close(bare->objects);
    loop_close(bare->loop);
    free(bare->body);
    free(bare);
}

static void forget_values(struct bare *bare)
{
    redisReply *reply = redisCommand(bare->redis, "FLUSHALL");
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        die("Redis: FLUSHALL failed");
    freeReplyObject(reply);
}

void bare_new_place(struct bare *bare, struct bare_place *place)
{
    char name[32];
    snprintf(name, sizeof name, "node_%ld_%u", (long)getpid(), ++bare->places);
    create_database(bare, name);
    database_url(bare, name, place->index, sizeof place->index);
    snprintf(place->objects, sizeof place->objects, "s3://place-%ld-%u?endpoint=%s", (long)getpid(),
             bare->places, bare->urls[BARE_S3]);
    snprintf(place->cache, sizeof place->cache, "%s", bare->urls[BARE_REDIS]);
    forget_values(bare);
}

/* ---- the bucket ---- */

static void ended(struct op *op)
{
    loop_stop(op->loop);
}

static void wait_for(struct bare *bare, const struct op *op)
{
    struct err err = {0};
    if (loop_run(bare->loop, &err))
        die("%s", err.text);
    if (op->err.code)
        die("the bucket: %s", op->err.text);
}

static double put(struct bare *bare, const char *name, size_t size)
{
    if (size > BODY_MAX)
        die("an object of %zu bytes", size);
    struct iovec part = {bare->body, size};
    struct object_put ask = {.op = {.loop = bare->loop, .done = ended},
                             .name = {name, strlen(name)},
                             .parts = &part,
                             .part_count = 1};
    double from = now_s();
    bare->objects->ops->put(bare->objects, &ask);
    wait_for(bare, &ask.op);
    return since_ms(from);
}

double bare_put(struct bare *bare, size_t size)
{
    char name[NAME];
    snprintf(name, sizeof name, "put/%02x/%08u", bare->serial & 0xff, bare->serial);
    bare->serial++;
    return put(bare, name, size);
}

void bare_aim(struct bare *bare, size_t object_size, size_t objects)
{
    if (objects > AIMED_MAX)
        die("too many objects");
    bare->aimed_size = object_size;
    bare->aimed_count = objects;
    bare->next_range = bare->next_tail = 0;
    for (size_t i = 0; i < objects; i++) {
        snprintf(bare->aimed[i].name, NAME, "get/%02x/%08u", bare->serial & 0xff, bare->serial);
        bare->serial++;
        bare->aimed[i].read = 0;
        put(bare, bare->aimed[i].name, object_size);
    }
}

static double get(struct bare *bare, const char *name, bool tail, size_t offset, size_t size)
{
    struct object_get ask = {.op = {.loop = bare->loop, .done = ended},
                             .name = {name, strlen(name)},
                             .tail = tail,
                             .offset = offset,
                             .size = size};
    double from = now_s();
    bare->objects->ops->get(bare->objects, &ask);
    wait_for(bare, &ask.op);
    double took = since_ms(from);
    buf_unref(ask.out);
    return took;
}

double bare_get(struct bare *bare, size_t size)
{
    size_t i = bare->next_range++ % bare->aimed_count;
    if (size > bare->aimed_size)
        size = bare->aimed_size;
    if (bare->aimed[i].read + size > bare->aimed_size)
        bare->aimed[i].read = 0;
    double took = get(bare, bare->aimed[i].name, false, bare->aimed[i].read, size);
    bare->aimed[i].read += size;
    return took;
}

double bare_tail(struct bare *bare, size_t size)
{
    size_t i = bare->next_tail++ % bare->aimed_count;
    return get(bare, bare->aimed[i].name, true, 0, size);
}

/* ---- rows ---- */

static void add_u32(struct text *text, uint32_t value)
{
    value = __builtin_bswap32(value);
    text_add(text, (struct str){(const char *)&value, sizeof value});
}

static void add_u64(struct text *text, uint64_t value)
{
    value = __builtin_bswap64(value);
    text_add(text, (struct str){(const char *)&value, sizeof value});
}

static void array_begin(struct text *text, uint32_t oid, size_t count)
{
    text->len = 0;
    add_u32(text, 1); /* dimension */
    add_u32(text, 0); /* no nulls */
    add_u32(text, oid);
    add_u32(text, (uint32_t)count);
    add_u32(text, 1); /* the first index */
}

static void add_uuid(struct text *text, uint64_t high, uint64_t low, unsigned char kept[16])
{
    uint64_t both[2] = {__builtin_bswap64(high), __builtin_bswap64(low)};
    memcpy(kept, both, 16);
    add_u32(text, 16);
    text_add(text, (struct str){(const char *)both, 16});
}

static void add_int8(struct text *text, uint64_t value)
{
    add_u32(text, 8);
    add_u64(text, value);
}

static void add_int4(struct text *text, size_t value)
{
    add_u32(text, 4);
    add_u32(text, (uint32_t)value);
}

enum {
    COLUMN_ID,
    TRACE,
    START,
    COLUMN_NAME,
    HASH_LOW,
    HASH_HIGH,
    VERSION,
    CONTAINER,
    ORDINAL,
    SIZE
};
enum { COLUMNS = SIZE + 1 };

static void make_rows(struct bare *bare, size_t rows, struct text columns[COLUMNS])
{
    static const uint32_t oids[COLUMNS] = {OID_UUID, OID_UUID, OID_INT8, OID_INT8, OID_INT8,
                                           OID_INT8, 0,        0,        OID_INT4, OID_INT4};
    for (int c = 0; c < COLUMNS; c++)
        if (oids[c])
            array_begin(&columns[c], oids[c], rows);
    add_u64(&columns[VERSION], bare->rows);
    add_u64(&columns[CONTAINER], bare->rows);
    int64_t now = clock_now_us();
    for (size_t i = 0; i < rows; i++) {
        size_t kept = bare->rows % IDS;
        uint64_t seven = (uint64_t)(now / 1000) << 16 | UINT64_C(0x7000) | (bare->rows & 0xfff);
        add_uuid(&columns[COLUMN_ID], seven, bare->rows, bare->ids[kept]);
        add_uuid(&columns[TRACE], random_u64(), random_u64(), bare->traces[kept]);
        add_int8(&columns[START], (uint64_t)now + i);
        add_int8(&columns[COLUMN_NAME], i % 100);
        add_int8(&columns[HASH_LOW], random_u64());
        add_int8(&columns[HASH_HIGH], random_u64());
        add_int4(&columns[ORDINAL], i);
        add_int4(&columns[SIZE], 15000);
        bare->rows++;
    }
}

static PGresult *execute(struct bare *bare, const char *name, int count, const char *const *values,
                         const int *lengths, const int *formats)
{
    PGresult *result = PQexecPrepared(bare->db, name, count, values, lengths, formats, 1);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        die("%s: %s", name, PQerrorMessage(bare->db));
    return result;
}

double bare_insert(struct bare *bare, size_t rows)
{
    static struct text columns[COLUMNS];
    const char *values[COLUMNS];
    int lengths[COLUMNS], formats[COLUMNS];
    for (int c = 0; c < COLUMNS; c++)
        columns[c].len = 0;
    make_rows(bare, rows, columns);
    for (int c = 0; c < COLUMNS; c++) {
        values[c] = columns[c].at;
        lengths[c] = (int)columns[c].len;
        formats[c] = 1;
    }
    double from = now_s();
    PQclear(execute(bare, "insert", COLUMNS, values, lengths, formats));
    return since_ms(from);
}

static double ask_one(struct bare *bare, const char *name, const void *value, size_t size)
{
    const char *values[1] = {value};
    const int lengths[1] = {(int)size}, formats[1] = {1};
    double from = now_s();
    PQclear(execute(bare, name, 1, values, lengths, formats));
    return since_ms(from);
}

/* One of the newest IDS rows. */
static size_t any_row(const struct bare *bare)
{
    if (bare->rows == 0)
        die("there are no rows");
    return random_u64() % (bare->rows < IDS ? bare->rows : IDS);
}

double bare_find(struct bare *bare)
{
    return ask_one(bare, "find", bare->ids[any_row(bare)], 16);
}

double bare_find_trace(struct bare *bare)
{
    return ask_one(bare, "trace", bare->traces[any_row(bare)], 16);
}

double bare_sum(struct bare *bare)
{
    const uint64_t node = 0;
    return ask_one(bare, "sum", &node, sizeof node);
}

void bare_add_names(struct bare *bare, size_t count)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "insert into name select n, 'call of ' || left(md5(n::text), 12)"
             " from generate_series(1, %zu) n; analyze name",
             count);
    run_sql(bare->db, sql);
}

double bare_search_name(struct bare *bare, const char *part)
{
    char like[64];
    snprintf(like, sizeof like, "%%%s%%", part);
    return ask_one(bare, "search", like, strlen(like));
}

/* ---- Redis ---- */

double bare_recall(struct bare *bare, size_t size)
{
    char key[NAME];
    snprintf(key, sizeof key, "bare:%u:%zu", bare->serial++ % 4, size);
    redisReply *set = redisCommand(bare->redis, "SET %s %b", key, bare->body, size);
    if (!set || set->type == REDIS_REPLY_ERROR)
        die("Redis: SET failed");
    freeReplyObject(set);
    double from = now_s();
    redisReply *reply = redisCommand(bare->redis, "GET %s", key);
    double took = since_ms(from);
    if (!reply || reply->type != REDIS_REPLY_STRING || reply->len != size)
        die("Redis: GET failed");
    freeReplyObject(reply);
    return took;
}

/* ---- what the servers use ---- */

/* All of a process, and of its children that are gone; 0: no such process. */
static double stat_cpu_s(pid_t pid)
{
    char path[64], line[1024];
    unsigned long ticks[4] = {0};
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file)
        fclose(file);
    line[len] = '\0';
    const char *at = strrchr(line, ')'); /* the name before may hold anything */
    if (!at || sscanf(at, ") %*c %*d %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu %lu %lu",
                      &ticks[0], &ticks[1], &ticks[2], &ticks[3]) != 4)
        return 0;
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double)ticks[i];
    return sum / (double)sysconf(_SC_CLK_TCK);
}

static double children_cpu_s(pid_t parent)
{
    char path[64];
    int child;
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)parent, (long)parent);
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &child) == 1)
        sum += stat_cpu_s(child);
    if (file)
        fclose(file);
    return sum;
}

double bare_cpu_s(const struct bare *bare, enum bare_store store)
{
    double sum = 0;
    for (size_t i = 0; i < PROCESSES_MAX && bare->pids[store][i]; i++)
        sum += stat_cpu_s(bare->pids[store][i]) + children_cpu_s(bare->pids[store][i]);
    return sum;
}
