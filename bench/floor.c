/* floor.c - see floor.h. */
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "load.h"
#include "wire/json_scan.h"

enum {
    FILE_SIZE = 64 << 20,
    PIECE = 256 << 10,
    NAMES_AT_ONCE = 10000,
    MARK = 8,
    ROWS_IN_WAL = 20000 /* before they are moved into the database */
};

struct floor {
    char path[300];
    int file;
    size_t file_end;      /* where the next batch goes; from the start again when it is full */
    int sender, receiver; /* two ends of a connection */
    pthread_t taker;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *insert, *insert_name, *insert_gram, *search;
    uint64_t rows, rows_in_wal;
    char *room; /* what floor_read() reads into */
    uint32_t sum;
};

static void receive_exactly(int fd, char *at, size_t size)
{
    while (size > 0) {
        ssize_t n = recv(fd, at, size, 0);
        if (n == 0)
            pthread_exit(NULL);
        if (n < 0)
            die("floor: recv: %s", strerror(errno));
        at += n;
        size -= (size_t)n;
    }
}

/* A length, that many bytes; one byte back. */
static void *take(void *context)
{
    struct floor *floor = context;
    char *room = malloc(FILE_SIZE);
    if (!room)
        die("no memory");
    memset(room, 1, FILE_SIZE);
    pthread_cleanup_push(free, room);
    for (;;) {
        uint64_t size;
        receive_exactly(floor->receiver, (char *)&size, sizeof size);
        receive_exactly(floor->receiver, room, size);
        if (send(floor->receiver, "!", 1, MSG_NOSIGNAL) != 1)
            break;
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void connect_ends(struct floor *floor)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    floor->sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || floor->sender < 0 || bind(listener, (struct sockaddr *)&at, len) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &len) != 0 ||
        connect(floor->sender, (struct sockaddr *)&at, sizeof at) != 0)
        die("floor: connect: %s", strerror(errno));
    floor->receiver = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (floor->receiver < 0)
        die("floor: accept: %s", strerror(errno));
    setsockopt(floor->sender, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(floor->receiver, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
    if (pthread_create(&floor->taker, NULL, take, floor) != 0)
        die("floor: no thread");
}

/* Its blocks are written and its pages in memory before the clock runs: a page
 * that the machine gives out for the first time costs more than filling it. */
static void prepare_file(struct floor *floor)
{
    floor->file = open(floor->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (floor->file < 0 || fallocate(floor->file, 0, 0, FILE_SIZE) != 0 ||
        pwrite(floor->file, floor->room, FILE_SIZE, 0) != FILE_SIZE || fsync(floor->file) != 0)
        die("floor: %s: %s", floor->path, strerror(errno));
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        die("floor: %s: %s", sql, why);
}

static sqlite3_stmt *prepared(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        die("floor: %s: %s", sql, sqlite3_errmsg(db));
    return s;
}

struct floor *floor_open(const char *dir)
{
    struct floor *floor = calloc(1, sizeof *floor);
    char path[300];
    if (!floor || !(floor->room = malloc(FILE_SIZE)))
        die("no memory");
    memset(floor->room, 1, FILE_SIZE);
    snprintf(floor->path, sizeof floor->path, "%s/floor.log", dir);
    snprintf(path, sizeof path, "%s/floor.db", dir);
    prepare_file(floor);
    connect_ends(floor);
    if (sqlite3_open(path, &floor->db) != SQLITE_OK)
        die("floor: %s: %s", path, sqlite3_errmsg(floor->db));
    run_sql(floor->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                       "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=0;"
                       "CREATE TABLE run(row INTEGER PRIMARY KEY, id BLOB, trace BLOB, start INT,"
                       " name INT);"
                       "CREATE UNIQUE INDEX run_id ON run(id);"
                       "CREATE INDEX run_trace ON run(trace, start);"
                       "CREATE INDEX run_start ON run(start, id);"
                       "CREATE TABLE name(name INTEGER PRIMARY KEY, folded TEXT);"
                       "CREATE VIRTUAL TABLE gram USING fts5(folded, content='name',"
                       " content_rowid='name', tokenize='trigram case_sensitive 1')");
    floor->begin = prepared(floor->db, "BEGIN IMMEDIATE");
    floor->commit = prepared(floor->db, "COMMIT");
    floor->insert = prepared(floor->db, "INSERT INTO run VALUES (NULL, ?1, ?2, ?3, ?4)");
    floor->insert_name = prepared(floor->db, "INSERT INTO name VALUES (?1, ?2)");
    floor->insert_gram = prepared(floor->db, "INSERT INTO gram(rowid, folded) VALUES (?1, ?2)");
    floor->search = prepared(floor->db, "SELECT rowid FROM gram WHERE gram MATCH ?1 LIMIT 50");
    return floor;
}

void floor_close(struct floor *floor)
{
    if (!floor)
        return;
    shutdown(floor->sender, SHUT_RDWR);
    pthread_join(floor->taker, NULL);
    close(floor->sender);
    close(floor->receiver);
    sqlite3_stmt *statements[] = {floor->begin,       floor->commit,      floor->insert,
                                  floor->insert_name, floor->insert_gram, floor->search};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    sqlite3_close(floor->db);
    close(floor->file);
    free(floor->room);
    free(floor);
}

/* ---- a batch ---- */

static void send_exactly(int fd, const char *at, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0)
            die("floor: send: %s", strerror(errno));
        at += n;
        size -= (size_t)n;
    }
}

static void hand_over(struct floor *floor, struct str request)
{
    uint64_t size = request.len;
    char head[MARK + 1500], back;
    size_t with = request.len < sizeof head - MARK ? request.len : sizeof head - MARK;
    memcpy(head, &size, MARK);
    memcpy(head + MARK, request.at, with);
    send_exactly(floor->sender, head, MARK + with);
    send_exactly(floor->sender, request.at + with, request.len - with);
    if (recv(floor->sender, &back, 1, 0) != 1)
        die("floor: recv: %s", strerror(errno));
}

/* As it comes: a piece more each time. */
static void scan(struct str body)
{
    struct json_scan scan;
    enum json_event event;
    size_t len = body.len < PIECE ? body.len : PIECE;
    json_scan_start(&scan, JSON_ARRAY);
    while ((event = json_scan_next(&scan, body.at, len, len == body.len)) != JSON_END) {
        if (event == JSON_FAULT)
            die("floor: %s at %zu", scan.fault, scan.offset);
        if (event == JSON_MORE)
            len = body.len - len < PIECE ? body.len : len + PIECE;
    }
}

static void write_out(struct floor *floor, struct str body)
{
    for (size_t at = 0; at < body.len;) {
        ssize_t n = pwrite(floor->file, body.at + at, body.len - at, (off_t)(floor->file_end + at));
        if (n <= 0)
            die("floor: write: %s", strerror(errno));
        at += (size_t)n;
    }
    floor->file_end += body.len;
}

static void step(sqlite3 *db, sqlite3_stmt *statement)
{
    int r = sqlite3_step(statement);
    if (r != SQLITE_DONE && r != SQLITE_ROW)
        die("floor: %s", sqlite3_errmsg(db));
    sqlite3_reset(statement);
}

/* Apart from the clock: a server does it on another thread. */
static void checkpoint(struct floor *floor)
{
    run_sql(floor->db, "PRAGMA wal_checkpoint(TRUNCATE)");
    floor->rows_in_wal = 0;
}

void floor_empty(struct floor *floor)
{
    run_sql(floor->db, "DELETE FROM run");
    checkpoint(floor);
}

static void insert_rows(struct floor *floor, size_t runs, bool random_ids)
{
    step(floor->db, floor->begin);
    for (size_t i = 0; i < runs; i++) {
        uint64_t id[2] = {random_u64(), random_u64()}, trace[2] = {random_u64(), random_u64()};
        floor->rows++;
        if (!random_ids)
            id[0] = __builtin_bswap64(floor->rows);
        sqlite3_bind_blob(floor->insert, 1, id, sizeof id, SQLITE_STATIC);
        sqlite3_bind_blob(floor->insert, 2, trace, sizeof trace, SQLITE_STATIC);
        sqlite3_bind_int64(floor->insert, 3, clock_now_us());
        sqlite3_bind_int64(floor->insert, 4, (int64_t)(i % 100));
        step(floor->db, floor->insert);
    }
    step(floor->db, floor->commit);
}

/* The milliseconds since `*from`, which becomes now. */
static double lap(double *from)
{
    double before = *from;
    *from = now_s();
    return (*from - before) * 1e3;
}

void floor_post(struct floor *floor, struct str request, size_t body_at, size_t runs,
                bool random_ids, double ms[FLOOR_STEPS])
{
    struct str body = {request.at + body_at, request.len - body_at};
    if (floor->file_end + body.len > FILE_SIZE)
        floor->file_end = 0;
    double at = now_s();
    hand_over(floor, request);
    ms[FLOOR_RECEIVE] += lap(&at);
    scan(body);
    ms[FLOOR_SCAN] += lap(&at);
    floor->sum ^= crc32c(0, body.at, body.len);
    ms[FLOOR_SUM] += lap(&at);
    write_out(floor, body);
    ms[FLOOR_WRITE] += lap(&at);
    if (fdatasync(floor->file) != 0)
        die("floor: sync: %s", strerror(errno));
    ms[FLOOR_SYNC] += lap(&at);
    insert_rows(floor, runs, random_ids);
    ms[FLOOR_INSERT] += lap(&at);
    floor->rows_in_wal += runs;
    if (floor->rows_in_wal > ROWS_IN_WAL)
        checkpoint(floor);
}

/* ---- reading ---- */

void floor_add_names(struct floor *floor, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        if (i % NAMES_AT_ONCE == 0)
            step(floor->db, floor->begin);
        snprintf(name, sizeof name, "call of %012llx",
                 (unsigned long long)(random_u64() & UINT64_C(0xffffffffffff)));
        sqlite3_stmt *both[2] = {floor->insert_name, floor->insert_gram};
        for (int s = 0; s < 2; s++) {
            sqlite3_bind_int64(both[s], 1, (int64_t)i + 1);
            sqlite3_bind_text(both[s], 2, name, -1, SQLITE_STATIC);
            step(floor->db, both[s]);
        }
        if (i % NAMES_AT_ONCE == NAMES_AT_ONCE - 1 || i + 1 == count)
            step(floor->db, floor->commit);
    }
}

double floor_search_name(struct floor *floor, const char *part)
{
    char phrase[100];
    double at = now_s();
    snprintf(phrase, sizeof phrase, "\"%s\"", part);
    sqlite3_bind_text(floor->search, 1, phrase, -1, SQLITE_STATIC);
    while (sqlite3_step(floor->search) == SQLITE_ROW)
        continue;
    if (sqlite3_reset(floor->search) != SQLITE_OK)
        die("floor: search: %s", sqlite3_errmsg(floor->db));
    return lap(&at);
}

double floor_read(struct floor *floor, size_t size)
{
    double at = now_s();
    if (pread(floor->file, floor->room, size, 0) != (ssize_t)size)
        die("floor: read: %s", strerror(errno));
    return lap(&at);
}
