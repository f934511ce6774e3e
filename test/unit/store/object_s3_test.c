/* object_s3_test.c - objects in a bucket whose server does everything wrong.
 *
 * What a good server does is in test/conform/object_conform.c.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "lib/canned.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "store/object.h"

#define ANSWER(status, length, headers, body)                                                      \
    "HTTP/1.1 " status "\r\nContent-Length: " length "\r\n" headers "\r\n" body
#define XML(body) "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" body
#define CLOSING(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define ERROR(status, code)                                                                        \
    CLOSING(status, XML("<Error><Code>" code "</Code><Message>no</Message></Error>"))
#define EMPTY(status) ANSWER(status, "0", "", "")
#define LISTING(body)                                                                              \
    CLOSING("200 OK", XML("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"   \
                          "<Name>bucket</Name>" body "</ListBucketResult>"))
#define NO_NAMES LISTING("<IsTruncated>false</IsTruncated>")
#define KEY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

/* The ten bytes 0123456789 as an object: its range 2-4. */
#define RANGE_2_4 ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-4/10\r\n", "234")

enum {
    PATIENT_MS = 9000,
    HASTY_MS = 2000, /* a silent try takes a quarter */
    SHORT_MS = 500   /* for what fails in any case */
};

struct bench {
    struct canned_server *server;
    struct loop *loop;
    struct objects *objects;
    struct err err; /* of the last call */
};

#define SCRIPT(b, ...)                                                                             \
    do {                                                                                           \
        static const struct canned script[] = {__VA_ARGS__};                                       \
        canned_script((b)->server, script, sizeof script / sizeof *script);                        \
    } while (0)

static struct object_s3_config config_of(const struct bench *b, unsigned deadline_ms)
{
    return (struct object_s3_config){.bucket = "bucket",
                                     .prefix = "p/",
                                     .endpoint = canned_endpoint(b->server),
                                     .path_style = true,
                                     .access_key = "the-access-key",
                                     .secret_key = "the-secret-key",
                                     .session_token = "the-session-token",
                                     .deadline_ms = deadline_ms,
                                     .connections = 4,
                                     .queue = 16};
}

static void open_objects(struct bench *b, const struct object_s3_config *config)
{
    SCRIPT(b, {"GET /bucket?list-type=2&max-keys=1&prefix=p%2F ", NO_NAMES, CANNED_CLOSE, 0, 0});
    if (object_s3_open(config, &b->objects, &b->err)) {
        fprintf(stderr, "%s\n", b->err.text);
        exit(1);
    }
    CHECK(b->objects->ops->attach(b->objects, b->loop, &b->err) == 0);
}

static void begin(struct bench *b, unsigned deadline_ms)
{
    *b = (struct bench){.server = canned_open(), .loop = hand_loop_open()};
    struct object_s3_config config = config_of(b, deadline_ms);
    open_objects(b, &config);
}

static void end(struct bench *b)
{
    b->objects->ops->close(b->objects);
    hand_loop_close(b->loop);
    canned_close(b->server);
}

struct call {
    union {
        struct object_put put;
        struct object_get get;
        struct object_remove remove;
        struct object_list list;
    };
    bool done;
};

/* Every operation is the first member of its struct, and that of the union. */
static void is_done(struct op *op)
{
    ((struct call *)(void *)op)->done = true;
}

static int wait_for(struct bench *b, struct call *call, struct op *op)
{
    CHECK(!call->done);
    CHECK(hand_loop_until(b->loop, &call->done));
    b->err = op->err;
    CHECK(op->err.code == ERR_OK || op->err.text[0]);
    CHECK(!strstr(op->err.text, "the-secret-key") && !strstr(op->err.text, "the-session-token"));
    return (int)op->err.code;
}

static void begin_put(struct bench *b, struct call *call, const struct iovec *part)
{
    *call = (struct call){.put = {.op = {.loop = b->loop, .done = is_done},
                                  .name = STR("x"),
                                  .parts = part,
                                  .part_count = 1}};
    b->objects->ops->put(b->objects, &call->put);
}

static int put(struct bench *b, const char *bytes)
{
    struct iovec part = {(void *)(uintptr_t)bytes, strlen(bytes)};
    struct call call;
    begin_put(b, &call, &part);
    return wait_for(b, &call, &call.put.op);
}

static int get_any(struct bench *b, bool tail, uint64_t offset, size_t size, const char *want)
{
    struct call call = {.get = {.op = {.loop = b->loop, .done = is_done},
                                .name = STR("x"),
                                .tail = tail,
                                .offset = offset,
                                .size = size}};
    b->objects->ops->get(b->objects, &call.get);
    int r = wait_for(b, &call, &call.get.op);
    if (r) {
        CHECK(!call.get.out);
        return r;
    }
    CHECK(call.get.out->len == call.get.size && call.get.size == strlen(want) &&
          memcmp(call.get.out->at, want, strlen(want)) == 0);
    CHECK(!tail || call.get.offset + call.get.size == call.get.total);
    buf_unref(call.get.out);
    return r;
}

/* Bytes 2 to 4 of the ten. */
static int get(struct bench *b)
{
    return get_any(b, false, 2, 3, "234");
}

static int remove_it(struct bench *b)
{
    struct call call = {.remove = {.op = {.loop = b->loop, .done = is_done}, .name = STR("x")}};
    b->objects->ops->remove(b->objects, &call.remove);
    return wait_for(b, &call, &call.remove.op);
}

static int list(struct bench *b, const char *after, size_t limit, const char *want)
{
    char text[256] = "";
    struct arena *arena = arena_new(1024);
    struct call call = {.list = {.op = {.loop = b->loop, .done = is_done},
                                 .prefix = STR("v1/"),
                                 .after = {after, strlen(after)},
                                 .limit = limit,
                                 .arena = arena}};
    b->objects->ops->list(b->objects, &call.list);
    int r = wait_for(b, &call, &call.list.op);
    for (size_t i = 0; r == 0 && i < call.list.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s ",
                 STR_FMT(call.list.names[i]));
    CHECK(r || strcmp(text, want) == 0);
    arena_free(arena);
    return r;
}

static size_t asked(struct bench *b)
{
    return canned_count(b->server);
}

static bool says(struct bench *b, size_t i, const char *part)
{
    return strstr(canned_head(b->server, i), part) != NULL;
}

/* ---- again ---- */

TEST(a_get_is_tried_again_after_what_passes)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"GET /bucket/p/x ", ERROR("503 Slow Down", "SlowDown"), CANNED_CLOSE, 0, 0},
           {"GET", NULL, CANNED_RESET, 0, 0},
           {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-4/10\r\n", "2"),
            CANNED_RESET, 0, 0},
           {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-4/10\r\n", "23"),
            CANNED_CLOSE, 0, 0},
           {"GET", ERROR("400 Bad Request", "RequestTimeout"), CANNED_CLOSE, 0, 0},
           {"GET", RANGE_2_4, CANNED_KEEP, 0, 0});

    CHECK(get(&b) == 0);
    CHECK(asked(&b) == 6);
    CHECK(says(&b, 5, "Range: bytes=2-4\r\n"));
    end(&b);

    static const char *const passing[] = {EMPTY("429 Too Many Requests"),
                                          EMPTY("500 Oh"),
                                          EMPTY("502 Oh"),
                                          EMPTY("503 Oh"),
                                          EMPTY("504 Oh"),
                                          EMPTY("520 Oh")};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        struct canned script[] = {{"GET", passing[i], CANNED_KEEP, 0, 0},
                                  {"GET", RANGE_2_4, CANNED_KEEP, 0, 0}};
        begin(&b, PATIENT_MS);
        canned_script(b.server, script, 2);
        CHECK(get(&b) == 0);
        CHECK(asked(&b) == 2);
        end(&b);
    }
}

TEST(a_silent_server_does_not_use_up_the_deadline)
{
    struct bench b;
    begin(&b, HASTY_MS);
    SCRIPT(&b, {"GET", NULL, CANNED_HANG, 0, 0},
           {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-4/10\r\n", "2"),
            CANNED_HANG, 0, 0},
           {"GET", RANGE_2_4, CANNED_KEEP, 0, 0});

    CHECK(get(&b) == 0);
    CHECK(asked(&b) == 3);
    end(&b);
}

TEST(what_will_not_pass_is_not_tried_again)
{
    static const struct {
        const char *answer;
        enum err_code code;
        const char *says;
    } cases[] = {
        {ERROR("400 Bad Request", "InvalidArgument"), ERR_UNAVAILABLE, "InvalidArgument"},
        {ERROR("403 Forbidden", "AccessDenied"), ERR_DENIED, "policy"},
        {ERROR("403 Forbidden", "InvalidAccessKeyId"), ERR_DENIED, "access key"},
        {ERROR("403 Forbidden", "SignatureDoesNotMatch"), ERR_DENIED, "secret key"},
        {ERROR("403 Forbidden", "RequestTimeTooSkewed"), ERR_DENIED, "clock"},
        {ERROR("403 Forbidden", "Whatever"), ERR_DENIED, "Whatever"},
        {ERROR("403 Forbidden", "QuotaExceeded"), ERR_FULL, "quota"},
        {EMPTY("403 Forbidden"), ERR_DENIED, "clock"},
        {ERROR("400 Bad Request", "ExpiredToken"), ERR_DENIED, "session token"},
        {ERROR("404 Not Found", "NoSuchKey"), ERR_NOT_FOUND, "no such object"},
        {EMPTY("404 Not Found"), ERR_NOT_FOUND, "no such object"},
        {ERROR("404 Not Found", "NoSuchBucket"), ERR_UNAVAILABLE, "bucket"},
        {CLOSING("404 Not Found", "<html>the proxy</html>"), ERR_UNAVAILABLE, "endpoint"},
        {ERROR("416 Range", "InvalidRange"), ERR_CORRUPT, "fewer"},
        {EMPTY("405 No"), ERR_UNAVAILABLE, "405"},
        {EMPTY("501 No"), ERR_UNAVAILABLE, "501"},
        {EMPTY("507 Full"), ERR_FULL, "full"},
        {ANSWER("301 Moved", "0", "x-amz-bucket-region: eu-west-1\r\nLocation: /other\r\n", ""),
         ERR_UNAVAILABLE, "eu-west-1"},
        {ANSWER("307 Temporary Redirect", "0", "Location: http://127.0.0.1:1/\r\n", ""),
         ERR_UNAVAILABLE, "endpoint"},
        {ANSWER("400 Bad", "0", "x-amz-bucket-region: us-east-1\r\n", ""), ERR_UNAVAILABLE,
         "refused with 400"},
        {ANSWER("400 Bad", "0", "x-amz-bucket-region: eu-west-1\r\n", ""), ERR_UNAVAILABLE,
         "eu-west-1"},
        {CLOSING("400 Bad", "<Error><Code>AuthorizationHeaderMalformed</Code>"
                            "<Region>eu-west-2</Region></Error>"),
         ERR_UNAVAILABLE, "eu-west-2"},
    };
    struct bench b;
    begin(&b, PATIENT_MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canned script[] = {{"GET", cases[i].answer, CANNED_CLOSE, 0, 0}};
        canned_script(b.server, script, 1);
        CHECK(get(&b) == (int)cases[i].code);
        CHECK(strstr(b.err.text, cases[i].says) != NULL);
        CHECK(asked(&b) == 1);
    }
    end(&b);
}

TEST(after_the_deadline_it_is_said_what_is_known)
{
    struct bench b;
    begin(&b, SHORT_MS);

    SCRIPT(&b, {"", ERROR("503 Slow Down", "SlowDown"), CANNED_CLOSE, 99, 0});
    CHECK(put(&b, "bytes") == ERR_UNAVAILABLE);
    CHECK(strstr(b.err.text, "SlowDown") != NULL);
    CHECK(asked(&b) > 2);
    SCRIPT(&b, {"", EMPTY("500 Oh"), CANNED_KEEP, 99, 0});
    CHECK(put(&b, "bytes") == ERR_TIMEOUT);
    CHECK(strstr(b.err.text, "unknown") != NULL);
    CHECK(remove_it(&b) == ERR_TIMEOUT);
    CHECK(get(&b) == ERR_UNAVAILABLE);
    CHECK(list(&b, "", 10, "") == ERR_UNAVAILABLE);
    SCRIPT(&b, {"", NULL, CANNED_HANG, 99, 0});
    CHECK(put(&b, "bytes") == ERR_TIMEOUT);
    CHECK(get(&b) == ERR_UNAVAILABLE);
    CHECK(strstr(b.err.text, "no success after") != NULL);
    end(&b);
}

TEST(nobody_there_means_surely_not_done)
{
    struct bench b;
    begin(&b, SHORT_MS);
    canned_close(b.server);

    CHECK(put(&b, "bytes") == ERR_UNAVAILABLE);
    CHECK(get(&b) == ERR_UNAVAILABLE);
    CHECK(remove_it(&b) == ERR_UNAVAILABLE);
    b.server = canned_open();
    end(&b);
}

static unsigned milliseconds_of(int (*call)(struct bench *), struct bench *b, int want)
{
    int64_t began_us = clock_mono_us();
    CHECK(call(b) == want);
    return (unsigned)((clock_mono_us() - began_us) / 1000);
}

static int put_bytes(struct bench *b)
{
    return put(b, "bytes");
}

TEST(where_nothing_moves_the_deadline_is_not_waited_for)
{
    static const struct canned nothing[] = {
        {"", EMPTY("503 Oh"), CANNED_KEEP, 999, 0},
        {"", NULL, CANNED_RESET, 999, 0},
        {"", NULL, CANNED_HANG, 999, 0}, /* two tries of a quarter */
    };
    struct bench b;
    begin(&b, HASTY_MS);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        canned_script(b.server, &nothing[i], 1);
        CHECK(milliseconds_of(get, &b, ERR_UNAVAILABLE) < HASTY_MS * 3 / 4);
        CHECK(asked(&b) >= 2);
        CHECK(milliseconds_of(put_bytes, &b, ERR_TIMEOUT) < HASTY_MS * 3 / 4);
    }
    canned_close(b.server);
    CHECK(milliseconds_of(get, &b, ERR_UNAVAILABLE) < HASTY_MS * 3 / 4);
    b.server = canned_open();
    end(&b);
}

TEST(where_something_moves_the_deadline_is_waited_for)
{
    struct bench b;
    begin(&b, HASTY_MS);
    SCRIPT(&b, {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-4/10\r\n", "2"),
                CANNED_RESET, 999, 0});
    CHECK(milliseconds_of(get, &b, ERR_UNAVAILABLE) >= HASTY_MS / 2);
    end(&b);
}

TEST(who_is_persistent_tries_up_to_the_deadline)
{
    struct bench b = {.server = canned_open(), .loop = hand_loop_open()};
    struct object_s3_config config = config_of(&b, HASTY_MS);
    config.persistent = true;
    open_objects(&b, &config);
    SCRIPT(&b, {"", EMPTY("503 Oh"), CANNED_KEEP, 999, 0});
    CHECK(milliseconds_of(get, &b, ERR_UNAVAILABLE) >= HASTY_MS / 2);
    end(&b);
}

TEST(a_large_body_that_says_why_is_cut_off)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"GET", ANSWER("500 Oh", "900000000", "", ""), CANNED_CLOSE, 0, 32 << 20},
           {"GET", CLOSING("503 Oh", ""), CANNED_CLOSE, 0, 32 << 20},
           {"GET", RANGE_2_4, CANNED_KEEP, 0, 0});
    int64_t before = metric_value(METRIC_S3_RECEIVED_BYTES);

    CHECK(get(&b) == 0);
    CHECK(asked(&b) == 3);
    CHECK(metric_value(METRIC_S3_RECEIVED_BYTES) - before < 2 << 20);
    end(&b);
}

/* ---- put ---- */

TEST(a_put_is_create_only_and_signed)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"PUT /bucket/p/x ", EMPTY("200 OK"), CANNED_KEEP, 0, 0},
           {"PUT", "HTTP/1.1 100 Continue\r\n\r\n" EMPTY("200 OK"), CANNED_KEEP, 0, 0});

    CHECK(put(&b, "some bytes") == 0);
    CHECK(put(&b, "") == 0);
    CHECK(asked(&b) == 2);
    for (size_t i = 0; i < 2; i++) {
        CHECK(says(&b, i, "\r\nIf-None-Match: *\r\n"));
        CHECK(says(&b, i, "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"));
        CHECK(says(&b, i, "\r\nx-amz-security-token: the-session-token\r\n"));
        CHECK(says(&b, i,
                   "/us-east-1/s3/aws4_request, SignedHeaders=host;if-none-match;"
                   "x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature="));
        CHECK(!says(&b, i, "the-secret-key"));
    }
    CHECK(str_eq(canned_body(b.server, 0), STR("some bytes")));
    CHECK(canned_body(b.server, 1).len == 0);
    end(&b);
}

TEST(a_412_is_a_conflict)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"PUT", ERROR("412 Precondition Failed", "PreconditionFailed"), CANNED_CLOSE, 0, 0});
    CHECK(put(&b, "bytes") == ERR_CONFLICT);
    CHECK(asked(&b) == 1);

    /* Nor is it ours after tries that were surely not carried out. */
    SCRIPT(&b, {"PUT", ERROR("503 Slow Down", "SlowDown"), CANNED_CLOSE, 0, 0},
           {"PUT", EMPTY("429 Too Many"), CANNED_KEEP, 0, 0},
           {"PUT", ERROR("409 Conflict", "ConditionalRequestConflict"), CANNED_CLOSE, 0, 0},
           {"PUT", ERROR("412 Precondition Failed", "PreconditionFailed"), CANNED_CLOSE, 0, 0});
    CHECK(put(&b, "bytes") == ERR_CONFLICT);
    CHECK(asked(&b) == 4);
    end(&b);
}

/* What the first try was answered with, when it may have been carried out. */
static const struct canned unknown_outcomes[] = {
    {"PUT", EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
    {"PUT", EMPTY("503 Oh"), CANNED_KEEP, 0, 0},
    {"PUT", NULL, CANNED_RESET, 0, 0},
    {"PUT", NULL, CANNED_HANG, 0, 0},
    {"PUT", "HTTP/1.1 200", CANNED_CLOSE, 0, 0},
    {"PUT", ERROR("200 OK", "InternalError"), CANNED_CLOSE, 0, 0},
};

static const struct canned exists = {"PUT", ERROR("412 Precondition Failed", "PreconditionFailed"),
                                     CANNED_CLOSE, 0, 0};

TEST(a_412_after_an_own_try_that_got_through_is_success)
{
    struct bench b;
    begin(&b, HASTY_MS);
    for (size_t i = 0; i < sizeof unknown_outcomes / sizeof *unknown_outcomes; i++) {
        struct canned script[] = {
            unknown_outcomes[i],
            exists,
            {"GET /bucket/p/x ",
             ANSWER("206 Partial Content", "5", "Content-Range: bytes 0-4/5\r\n", "bytes"),
             CANNED_KEEP, 0, 0}};
        canned_script(b.server, script, 3);
        CHECK(put(&b, "bytes") == 0);
        CHECK(asked(&b) == 3);
        CHECK(says(&b, 2, "\r\nRange: bytes=0-4\r\n"));
    }
    end(&b);
}

TEST(a_412_after_an_unknown_try_is_a_conflict_if_the_object_is_not_ours)
{
    static const struct {
        const char *answer;
        enum err_code code;
    } cases[] = {
        {ANSWER("206 Partial Content", "5", "Content-Range: bytes 0-4/5\r\n", "bytez"),
         ERR_CONFLICT},
        {ANSWER("206 Partial Content", "5", "Content-Range: bytes 0-4/6\r\n", "bytes"),
         ERR_CONFLICT},
        {ANSWER("206 Partial Content", "4", "Content-Range: bytes 0-3/4\r\n", "byte"),
         ERR_CONFLICT},
        {ERROR("416 Range", "InvalidRange"), ERR_CONFLICT},
        {ERROR("404 Not Found", "NoSuchKey"), ERR_UNAVAILABLE},
        {ERROR("403 Forbidden", "AccessDenied"), ERR_TIMEOUT},
    };
    struct bench b;
    begin(&b, PATIENT_MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct canned script[] = {
            unknown_outcomes[0], exists, {"GET", cases[i].answer, CANNED_CLOSE, 0, 0}};
        canned_script(b.server, script, 3);
        CHECK(put(&b, "bytes") == (int)cases[i].code);
    }
    end(&b);
}

TEST(a_refusal_does_not_make_an_unknown_outcome_known)
{
    static const char *const refusals[] = {ERROR("403 Forbidden", "AccessDenied"),
                                           CLOSING("507 Full", ""), CLOSING("400 Bad Request", ""),
                                           ERROR("404 Not Found", "NoSuchBucket")};
    struct bench b;
    begin(&b, PATIENT_MS);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct canned script[] = {{"PUT", NULL, CANNED_RESET, 0, 0},
                                  {"PUT", refusals[i], CANNED_CLOSE, 0, 0}};
        canned_script(b.server, script, 2);
        CHECK(put(&b, "bytes") == ERR_TIMEOUT);
        CHECK(asked(&b) == 2);
        CHECK(i > 0 || strstr(b.err.text, "AccessDenied"));

        /* But one that was surely not carried out leaves nothing unknown. */
        script[0] = (struct canned){"PUT", ERROR("503 Slow Down", "SlowDown"), CANNED_CLOSE, 0, 0};
        canned_script(b.server, script, 2);
        int r = put(&b, "bytes");
        CHECK(r && r != ERR_TIMEOUT);
    }
    end(&b);
}

TEST(only_the_first_bytes_are_compared_and_of_an_empty_object_the_size)
{
    char bytes[1001] = "";
    struct bench b;
    memset(bytes, 'b', 1000);
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"PUT", EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
           {"PUT", EMPTY("412 No"), CANNED_KEEP, 0, 0},
           {"GET",
            ANSWER("206 Partial Content", "128", "Content-Range: bytes 0-127/1000\r\n",
                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
            CANNED_KEEP, 0, 0});
    CHECK(put(&b, bytes) == 0);
    CHECK(says(&b, 2, "\r\nRange: bytes=0-127\r\n"));

    SCRIPT(
        &b, {"PUT", EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
        {"PUT", EMPTY("412 No"), CANNED_KEEP, 0, 0},
        {"GET", ANSWER("416 Range", "0", "Content-Range: bytes */0\r\n", ""), CANNED_KEEP, 0, 0});
    CHECK(put(&b, "") == 0);
    SCRIPT(&b, {"PUT", EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
           {"PUT", EMPTY("412 No"), CANNED_KEEP, 0, 0},
           {"GET", ANSWER("206 Partial Content", "1", "Content-Range: bytes 6-6/7\r\n", "x"),
            CANNED_KEEP, 0, 0});
    CHECK(put(&b, "") == ERR_CONFLICT);
    end(&b);
}

/* libcurl sends again by itself what a kept connection swallowed. */
TEST(a_kept_connection_that_died_counts_as_a_try)
{
    static const struct {
        const char *bytes, *there;
    } cases[] = {
        {"bytes", ANSWER("206 Partial Content", "5", "Content-Range: bytes 0-4/5\r\n", "bytes")},
        {"", ANSWER("416 Range", "0", "Content-Range: bytes */0\r\n", "")},
    };
    struct bench b;
    begin(&b, PATIENT_MS);
    for (size_t i = 0; i < 2; i++) {
        struct canned script[] = {{"GET", RANGE_2_4, CANNED_KEEP, 0, 0},
                                  {"PUT", NULL, CANNED_CLOSE, 0, 0},
                                  {"PUT", EMPTY("412 No"), CANNED_KEEP, 0, 0},
                                  {"GET", cases[i].there, CANNED_KEEP, 0, 0}};
        canned_script(b.server, script, 4);
        int64_t before = metric_value(METRIC_S3_RETRIES);
        CHECK(get(&b) == 0);
        CHECK(put(&b, cases[i].bytes) == 0);
        CHECK(asked(&b) == 4);
        CHECK(metric_value(METRIC_S3_RETRIES) == before);
    }
    end(&b);
}

/* ---- get ---- */

TEST(the_wanted_part_of_a_whole_object_is_taken)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"GET", ANSWER("200 OK", "10", "", "0123456789"), CANNED_KEEP, 99, 0});
    CHECK(get(&b) == 0);
    CHECK(get_any(&b, false, 0, 10, "0123456789") == 0);
    CHECK(get_any(&b, true, 0, 4, "6789") == 0);
    CHECK(get_any(&b, true, 0, 40, "0123456789") == 0);
    CHECK(get_any(&b, false, 8, 3, "") == ERR_CORRUPT);
    CHECK(get_any(&b, false, 11, 1, "") == ERR_CORRUPT);

    /* But not if it is far in, or nobody says how long it is. */
    SCRIPT(&b, {"GET", ANSWER("200 OK", "90000000000", "", ""), CANNED_CLOSE, 0, 4096});
    CHECK(get_any(&b, false, 1000000000, 3, "") == ERR_UNAVAILABLE);
    CHECK(strstr(b.err.text, "ranges") != NULL);
    SCRIPT(&b, {"GET", CLOSING("200 OK", "0123456789"), CANNED_CLOSE, 3, 0});
    CHECK(get(&b) == ERR_UNAVAILABLE);
    CHECK(asked(&b) == 3);
    end(&b);
}

TEST(a_long_whole_object_is_not_read_to_its_end)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b,
           {"GET", ANSWER("200 OK", "90000000000", "", "0123456789"), CANNED_CLOSE, 0, 32 << 20});
    int64_t before = metric_value(METRIC_S3_RECEIVED_BYTES);

    CHECK(get(&b) == 0);
    CHECK(metric_value(METRIC_S3_RECEIVED_BYTES) - before < 2 << 20);
    end(&b);
}

TEST(an_answer_to_something_else_is_never_taken)
{
    static const struct {
        const char *answer;
        enum err_code code;
    } odd[] = {
        {ANSWER("206 Partial Content", "3", "Content-Range: bytes 3-5/10\r\n", "345"),
         ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-3/10\r\n", "234"),
         ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "4", "Content-Range: bytes 2-5/10\r\n", "2345"),
         ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "3", "Content-Range: bytes 2-4/4\r\n", "234"),
         ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "3", "Content-Range: bytes */10\r\n", "234"),
         ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "3", "Content-Range: 2-4/10\r\n", "234"), ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "3", "", "234"), ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "4", "Content-Range: bytes 2-4/10\r\n", "2345"),
         ERR_UNAVAILABLE},
        {ANSWER("206 Partial Content", "2", "Content-Range: bytes 2-4/10\r\n", "23"), ERR_CORRUPT},
        {ANSWER("206 Partial Content", "0", "Content-Range: bytes 2-4/10\r\n", ""), ERR_CORRUPT},
        {EMPTY("204 No Content"), ERR_UNAVAILABLE},
    };
    struct bench b;
    begin(&b, PATIENT_MS);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct canned script[] = {{"GET", odd[i].answer, CANNED_KEEP, 3, 0}};
        canned_script(b.server, script, 1);
        CHECK(get(&b) == (int)odd[i].code);
        CHECK(asked(&b) == 3);

        struct canned once[] = {{"GET", odd[i].answer, CANNED_KEEP, 0, 0},
                                {"GET", RANGE_2_4, CANNED_KEEP, 0, 0}};
        canned_script(b.server, once, 2);
        CHECK(get(&b) == 0);
    }
    end(&b);
}

TEST(a_range_that_the_object_ends_in_is_corrupt)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"GET", ANSWER("206 Partial Content", "2", "Content-Range: bytes 2-3/4\r\n", "23"),
                CANNED_KEEP, 0, 0});
    CHECK(get(&b) == ERR_CORRUPT);
    CHECK(strstr(b.err.text, "4 bytes") != NULL);
    CHECK(asked(&b) == 1);
    end(&b);
}

TEST(a_tail_is_where_the_server_says_it_is)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b,
           {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 7-9/10\r\n", "789"),
            CANNED_KEEP, 0, 0},
           {"GET", ANSWER("206 Partial Content", "2", "Content-Range: bytes 0-1/2\r\n", "01"),
            CANNED_KEEP, 0, 0},
           {"GET", ERROR("416 Range", "InvalidRange"), CANNED_CLOSE, 0, 0});
    CHECK(get_any(&b, true, 0, 3, "789") == 0);
    CHECK(says(&b, 0, "\r\nRange: bytes=-3\r\n"));
    CHECK(get_any(&b, true, 0, 3, "01") == 0);
    CHECK(get_any(&b, true, 0, 3, "") == 0);

    SCRIPT(
        &b,
        {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 6-8/10\r\n", "678"),
         CANNED_KEEP, 3, 0},
        {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 7-9/*\r\n", "789"),
         CANNED_KEEP, 3, 0},
        {"GET", ANSWER("416 Range", "0", "Content-Range: bytes */10\r\n", ""), CANNED_KEEP, 3, 0});
    for (int i = 0; i < 3; i++)
        CHECK(get_any(&b, true, 0, 3, "") == ERR_UNAVAILABLE);
    CHECK(asked(&b) == 9);
    end(&b);
}

/* ---- remove, list ---- */

/* The first try brought bytes, the second says that there are none. */
TEST(a_tail_that_is_gone_when_tried_again_leaves_nothing_behind)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(
        &b,
        {"GET", ANSWER("206 Partial Content", "3", "Content-Range: bytes 7-9/10\r\n", "7"),
         CANNED_CLOSE, 0, 0},
        {"GET", ANSWER("416 Range", "0", "Content-Range: bytes */0\r\n", ""), CANNED_CLOSE, 0, 0});
    CHECK(get_any(&b, true, 0, 3, "") == 0);
    CHECK(asked(&b) == 2);
    end(&b);
}

TEST(removing_what_is_not_there_succeeds)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"DELETE /bucket/p/x ", EMPTY("204 No Content"), CANNED_KEEP, 0, 0},
           {"DELETE", ERROR("404 Not Found", "NoSuchKey"), CANNED_CLOSE, 0, 0},
           {"DELETE", EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
           {"DELETE", EMPTY("204 No Content"), CANNED_KEEP, 0, 0},
           {"DELETE", ERROR("404 Not Found", "NoSuchBucket"), CANNED_CLOSE, 0, 0});
    CHECK(remove_it(&b) == 0);
    CHECK(remove_it(&b) == 0);
    CHECK(remove_it(&b) == 0);
    CHECK(remove_it(&b) == ERR_UNAVAILABLE);
    CHECK(asked(&b) == 5);
    end(&b);
}

TEST(a_list_goes_on_over_foreign_names_until_it_is_full)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b,
           {"GET /bucket?list-type=2&max-keys=3&prefix=p%2Fv1%2F&start-after=p%2Fv1%2Fa ",
            LISTING("<IsTruncated>true</IsTruncated><NextContinuationToken>t/&amp;=1"
                    "</NextContinuationToken>" KEY("p/v1/B&amp;&#x42;") KEY("p/v1/b")),
            CANNED_CLOSE, 0, 0},
           {"GET /bucket?continuation-token=t%2F%26%3D1&list-type=2&max-keys=2&prefix=p%2Fv1%2F ",
            LISTING(KEY("p/v1/b%20c") "<IsTruncated>true</IsTruncated>"
                                      "<NextContinuationToken>2</NextContinuationToken>"),
            CANNED_CLOSE, 0, 0},
           {"GET /bucket?continuation-token=2&list-type=2&max-keys=2&prefix=p%2Fv1%2F ",
            LISTING("<IsTruncated>true</IsTruncated><NextContinuationToken>3"
                    "</NextContinuationToken>" KEY("p/v1/c") KEY("p/v1/d")),
            CANNED_CLOSE, 0, 0});
    CHECK(list(&b, "v1/a", 3, "v1/b v1/c v1/d ") == 0);
    CHECK(asked(&b) == 3);

    SCRIPT(&b, {"GET /bucket?list-type=2&max-keys=2&prefix=p%2Fv1%2F ",
                LISTING("<IsTruncated>false</IsTruncated>" KEY("p/v1/c")), CANNED_CLOSE, 0, 0});
    CHECK(list(&b, "", 2, "v1/c ") == 0);
    end(&b);
}

TEST(a_listing_that_makes_no_sense_is_an_error)
{
    static const char *const odd[] = {
        CLOSING("200 OK", ""),
        CLOSING("200 OK", "<html>a proxy</html>"),
        CLOSING("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated>"),
        LISTING(""),
        LISTING("<IsTruncated>perhaps</IsTruncated>"),
        LISTING("<IsTruncated>true</IsTruncated>"),
        LISTING("<IsTruncated>false</IsTruncated>" KEY("p/v1/&nbsp;")),
        LISTING("<IsTruncated>false</IsTruncated>" KEY("p/v1/b") KEY("p/v1/a")),
        LISTING("<IsTruncated>false</IsTruncated>" KEY("p/v1/b") KEY("p/v1/b")),
        LISTING("<IsTruncated>false</IsTruncated>" KEY("q/v1/b")),
        LISTING("<IsTruncated>false</IsTruncated>" KEY("p/v1/a") KEY("p/v1/b") KEY("p/v1/c")),
    };
    struct bench b;
    begin(&b, PATIENT_MS);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct canned script[] = {
            {"GET", odd[i], CANNED_CLOSE, 0, 0},
            {"GET", LISTING("<IsTruncated>false</IsTruncated>" KEY("p/v1/c")), CANNED_CLOSE, 0, 0},
            {"GET", odd[i], CANNED_CLOSE, 3, 0}};
        canned_script(b.server, script, 3);
        CHECK(list(&b, "", 2, "v1/c ") == 0);
        CHECK(list(&b, "", 2, "") == ERR_UNAVAILABLE);
        CHECK(asked(&b) == 5);
    }
    SCRIPT(&b, {"GET", CLOSING("200 OK", "<ListBucketResult>"), CANNED_CLOSE, 0, 32 << 20},
           {"GET", ERROR("200 OK", "InternalError"), CANNED_CLOSE, 0, 0},
           {"GET", NO_NAMES, CANNED_CLOSE, 0, 0});
    CHECK(list(&b, "", 2, "") == 0);
    CHECK(asked(&b) == 3);
    end(&b);
}

/* ---- in parts ---- */

enum { LARGE = 33 * 1048576 + 5 }; /* three parts */

static struct iovec large; /* made once, kept until the end */

static void need_large(void)
{
    if (large.iov_base)
        return;
    char *bytes = malloc(LARGE);
    for (size_t i = 0; bytes && i < LARGE; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    large = (struct iovec){bytes, LARGE};
}

static int put_large(struct bench *b)
{
    struct call call;
    need_large();
    begin_put(b, &call, &large);
    return wait_for(b, &call, &call.put.op);
}

#define BEGUN                                                                                      \
    {                                                                                              \
        "POST /bucket/p/x?uploads= ",                                                              \
            CLOSING("200 OK", XML("<InitiateMultipartUploadResult><UploadId>an+id/1</UploadId>"    \
                                  "</InitiateMultipartUploadResult>")),                            \
            CANNED_CLOSE, 0, 0                                                                     \
    }
#define PART(number)                                                                               \
    {                                                                                              \
        "PUT /bucket/p/x?partNumber=" number "&uploadId=an%2Bid%2F1 ",                             \
            ANSWER("200 OK", "0", "ETag: \"tag" number "\"\r\n", ""), CANNED_KEEP, 0, 0            \
    }
#define PARTS PART("1"), PART("2"), PART("3")
#define FREE_NAME                                                                                  \
    {                                                                                              \
        "HEAD /bucket/p/x ", EMPTY("404 Not Found"), CANNED_KEEP, 0, 0                             \
    }
#define COMPLETE "POST /bucket/p/x?uploadId=an%2Bid%2F1 "
#define COMPLETED                                                                                  \
    {                                                                                              \
        COMPLETE,                                                                                  \
            CLOSING("200 OK", "  " XML("<CompleteMultipartUploadResult><ETag>t</ETag>"             \
                                       "</CompleteMultipartUploadResult>")),                       \
            CANNED_CLOSE, 0, 0                                                                     \
    }
#define ABANDONED                                                                                  \
    {                                                                                              \
        "DELETE /bucket/p/x?uploadId=an%2Bid%2F1 ", EMPTY("204 No Content"), CANNED_KEEP, 9, 0     \
    }

TEST(a_large_object_goes_in_parts)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, BEGUN, PARTS, FREE_NAME, COMPLETED);

    CHECK(put_large(&b) == 0);
    CHECK(asked(&b) == 6);
    size_t at = 0;
    static const char *const parts[] = {"partNumber=1&", "partNumber=2&", "partNumber=3&"};
    for (size_t i = 0; i < 3; i++) {
        int found = canned_find(b.server, 0, parts[i]);
        CHECK(found > 0 && found < 4);
        struct str body = canned_body(b.server, (size_t)found);
        CHECK(body.len <= LARGE - at &&
              memcmp(body.at, (char *)large.iov_base + at, body.len) == 0);
        at += body.len;
    }
    CHECK(at == LARGE);
    CHECK(says(&b, 4, "HEAD ") && says(&b, 5, "If-None-Match: *"));
    CHECK(str_eq(canned_body(b.server, 5),
                 STR("<CompleteMultipartUpload>"
                     "<Part><PartNumber>1</PartNumber><ETag>&#34;tag1&#34;</ETag></Part>"
                     "<Part><PartNumber>2</PartNumber><ETag>&#34;tag2&#34;</ETag></Part>"
                     "<Part><PartNumber>3</PartNumber><ETag>&#34;tag3&#34;</ETag></Part>"
                     "</CompleteMultipartUpload>")));
    end(&b);
}

TEST(a_part_is_tried_again_and_one_that_fails_ends_the_upload)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, BEGUN, {"partNumber=2", EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
           {"partNumber=1", NULL, CANNED_RESET, 0, 0},
           {"partNumber=3", EMPTY("200 Without an ETag"), CANNED_KEEP, 0, 0}, PARTS, FREE_NAME,
           COMPLETED);
    CHECK(put_large(&b) == 0);
    CHECK(asked(&b) == 9);

    SCRIPT(&b, BEGUN, {"partNumber=2", ERROR("403 No", "AccessDenied"), CANNED_CLOSE, 0, 0}, PARTS,
           ABANDONED);
    CHECK(put_large(&b) == ERR_DENIED);
    CHECK(strstr(b.err.text, "part 2 of 3") != NULL);
    CHECK(canned_find(b.server, 0, "DELETE ") > 0);
    CHECK(canned_find(b.server, 0, COMPLETE) < 0);

    /* The others are not waited for. */
    SCRIPT(&b, BEGUN, {"partNumber=1", NULL, CANNED_HANG, 0, 0},
           {"partNumber=2", ERROR("403 No", "AccessDenied"), CANNED_CLOSE, 0, 0}, PARTS, ABANDONED);
    CHECK(put_large(&b) == ERR_DENIED);
    end(&b);
}

TEST(an_upload_that_hangs_is_given_up_at_the_deadline)
{
    struct bench b;
    begin(&b, HASTY_MS);
    SCRIPT(&b, BEGUN, {"partNumber=2", NULL, CANNED_HANG, 99, 0}, PARTS, ABANDONED);
    CHECK(put_large(&b) == ERR_UNAVAILABLE);
    CHECK(canned_find(b.server, 0, "DELETE ") > 0);

    SCRIPT(&b, {"uploads=", NULL, CANNED_HANG, 99, 0});
    CHECK(put_large(&b) == ERR_UNAVAILABLE);
    end(&b);
}

TEST(a_large_object_is_not_put_over_another)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, BEGUN, PARTS, {"HEAD", ANSWER("200 OK", "7", "", ""), CANNED_KEEP, 0, 0}, ABANDONED);
    CHECK(put_large(&b) == ERR_CONFLICT);
    CHECK(asked(&b) == 6);

    SCRIPT(&b, BEGUN, PARTS, FREE_NAME, {COMPLETE, EMPTY("412 No"), CANNED_KEEP, 0, 0}, ABANDONED);
    CHECK(put_large(&b) == ERR_CONFLICT);
    CHECK(asked(&b) == 7);
    end(&b);
}

TEST(completing_is_not_believed_before_it_is_said)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, BEGUN, PARTS, FREE_NAME,
           {COMPLETE, ERROR("200 OK", "InternalError"), CANNED_CLOSE, 0, 0},
           {COMPLETE, CLOSING("200 OK", "   "), CANNED_CLOSE, 0, 0},
           {COMPLETE, ERROR("409 Conflict", "ConditionalRequestConflict"), CANNED_CLOSE, 0, 0},
           COMPLETED);
    CHECK(put_large(&b) == 0);
    CHECK(asked(&b) == 9);

    SCRIPT(&b, BEGUN, PARTS, FREE_NAME,
           {COMPLETE, ERROR("404 Not Found", "NoSuchUpload"), CANNED_CLOSE, 0, 0}, ABANDONED);
    CHECK(put_large(&b) == ERR_UNAVAILABLE);
    end(&b);
}

TEST(an_upload_that_was_completed_unseen_is_success)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    char head[400];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 206 Partial Content\r\nContent-Length: 128\r\n"
                     "Content-Range: bytes 0-127/%d\r\n\r\n",
                     LARGE);
    /* The script is text, so these bytes must not hold a NUL. */
    need_large();
    char *first = large.iov_base;
    for (size_t i = 0; i < 128; i++)
        first[i] = first[i] ? first[i] : 'x';
    memcpy(head + n, first, 128);
    head[n + 128] = '\0';

    static const char *const seconds[] = {ERROR("404 Not Found", "NoSuchUpload"), EMPTY("412 No")};
    for (size_t i = 0; i < 2; i++) {
        struct canned script[] = {BEGUN,
                                  PARTS,
                                  FREE_NAME,
                                  {COMPLETE, EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
                                  {COMPLETE, seconds[i], CANNED_CLOSE, 0, 0},
                                  ABANDONED,
                                  {"GET /bucket/p/x ", head, CANNED_KEEP, 0, 0}};
        canned_script(b.server, script, sizeof script / sizeof *script);
        CHECK(put_large(&b) == 0);
        CHECK(asked(&b) == 9);
    }
    end(&b);
}

TEST(an_upload_that_may_be_completed_is_unknown_whatever_is_said_then)
{
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, BEGUN, PARTS, FREE_NAME, {COMPLETE, EMPTY("500 Oh"), CANNED_KEEP, 0, 0},
           {COMPLETE, ERROR("403 Forbidden", "AccessDenied"), CANNED_CLOSE, 0, 0}, ABANDONED);
    CHECK(put_large(&b) == ERR_TIMEOUT);
    CHECK(strstr(b.err.text, "AccessDenied"));
    end(&b);
}

/* ---- bounds ---- */

TEST(more_calls_than_may_wait_are_refused)
{
    struct bench b = {.server = canned_open(), .loop = hand_loop_open()};
    struct object_s3_config config = config_of(&b, HASTY_MS);
    config.connections = 1;
    config.queue = 1;
    open_objects(&b, &config);
    SCRIPT(&b, {"PUT", NULL, CANNED_HANG, 99, 0});
    struct iovec part = {(void *)(uintptr_t) "bytes", 5};
    struct call first, second, third;

    begin_put(&b, &first, &part);
    begin_put(&b, &second, &part);
    begin_put(&b, &third, &part);
    CHECK(wait_for(&b, &third, &third.put.op) == ERR_BUSY);
    CHECK(!first.done && !second.done);
    CHECK(wait_for(&b, &first, &first.put.op) == ERR_TIMEOUT);
    CHECK(hand_loop_until(b.loop, &second.done));
    CHECK(second.put.op.err.code == ERR_TIMEOUT || second.put.op.err.code == ERR_UNAVAILABLE);

    SCRIPT(&b, {"PUT", EMPTY("200 OK"), CANNED_KEEP, 0, 0});
    CHECK(put(&b, "bytes") == 0);
    end(&b);
}

TEST(many_calls_share_few_connections)
{
    enum { CALLS = 20 };
    struct bench b;
    begin(&b, PATIENT_MS);
    SCRIPT(&b, {"PUT", EMPTY("200 OK"), CANNED_KEEP, CALLS, 0});
    struct iovec part = {(void *)(uintptr_t) "bytes", 5};
    struct call calls[CALLS];

    for (size_t i = 0; i < CALLS; i++)
        begin_put(&b, &calls[i], &part);
    for (size_t i = 0; i < CALLS; i++) {
        CHECK(hand_loop_until(b.loop, &calls[i].done));
        CHECK(calls[i].put.op.err.code == ERR_OK);
    }
    CHECK(asked(&b) == CALLS);
    CHECK(metric_value(METRIC_S3_CALLS) == 0);
    end(&b);
}

/* ---- opening ---- */

static int open_only(struct bench *b, const struct object_s3_config *config)
{
    struct objects *objects = NULL;
    b->err = (struct err){0};
    int r = object_s3_open(config, &objects, &b->err);
    CHECK((r == 0) == (objects != NULL));
    CHECK(!strstr(b->err.text, "the-secret-key") && !strstr(b->err.text, "the-session-token"));
    if (objects)
        objects->ops->close(objects);
    return r;
}

TEST(a_bucket_is_made_if_that_is_wished)
{
    struct bench b = {.server = canned_open()};
    struct object_s3_config config = config_of(&b, PATIENT_MS);
    SCRIPT(&b, {"GET /bucket?", ERROR("404 Not Found", "NoSuchBucket"), CANNED_CLOSE, 2, 0},
           {"PUT /bucket ", EMPTY("200 OK"), CANNED_KEEP, 0, 0});
    CHECK(open_only(&b, &config) == ERR_NOT_FOUND);
    CHECK(strstr(b.err.text, "bucket bucket: ") && strstr(b.err.text, "create it"));
    config.create = true;
    config.region = "eu-central-1";
    CHECK(open_only(&b, &config) == 0);
    CHECK(asked(&b) == 3);
    struct str body = canned_body(b.server, 2);
    CHECK(memmem(body.at, body.len, "<LocationConstraint>eu-central-1<", 33) != NULL);
    CHECK(says(&b, 2, "/eu-central-1/s3/aws4_request"));

    SCRIPT(&b, {"GET /bucket?", ERROR("404 Not Found", "NoSuchBucket"), CANNED_CLOSE, 3, 0},
           {"PUT /bucket ", ERROR("409 Conflict", "BucketAlreadyExists"), CANNED_CLOSE, 0, 0},
           {"PUT /bucket ", ERROR("409 Conflict", "BucketAlreadyOwnedByYou"), CANNED_CLOSE, 0, 0},
           {"PUT /bucket ", ERROR("403 No", "AccessDenied"), CANNED_CLOSE, 0, 0});
    CHECK(open_only(&b, &config) == ERR_DENIED);
    CHECK(strstr(b.err.text, "another name") != NULL);
    CHECK(open_only(&b, &config) == 0);
    CHECK(open_only(&b, &config) == ERR_DENIED);
    canned_close(b.server);
}

TEST(a_bucket_that_cannot_be_reached_is_unavailable)
{
    struct bench b = {.server = canned_open()};
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "%s", canned_endpoint(b.server));
    struct object_s3_config config = config_of(&b, 300);
    SCRIPT(&b, {"GET", NULL, CANNED_HANG, 99, 0});
    CHECK(open_only(&b, &config) == ERR_UNAVAILABLE);
    canned_close(b.server);

    config.endpoint = endpoint;
    int64_t before = clock_mono_us();
    CHECK(open_only(&b, &config) == ERR_UNAVAILABLE);
    CHECK(clock_mono_us() - before < 5000000);
}

TEST(without_keys_nothing_is_signed)
{
    struct bench b = {.server = canned_open()};
    struct object_s3_config config = config_of(&b, PATIENT_MS);
    config.access_key = config.secret_key = config.session_token = NULL;
    SCRIPT(&b, {"GET", NO_NAMES, CANNED_CLOSE, 0, 0});
    CHECK(open_only(&b, &config) == 0);
    CHECK(!says(&b, 0, "Authorization:"));

    SCRIPT(&b, {"GET", ERROR("403 Forbidden", "AccessDenied"), CANNED_CLOSE, 0, 0});
    CHECK(open_only(&b, &config) == ERR_DENIED);
    CHECK(strstr(b.err.text, "no access key is set") && strstr(b.err.text, "s3_access_key"));
    canned_close(b.server);
}

/* Whatever is below "localhost" is this machine, libcurl has it. */
TEST(the_bucket_may_be_a_part_of_the_host)
{
    struct bench b = {.server = canned_open()};
    char endpoint[64], host[96];
    const char *port = strrchr(canned_endpoint(b.server), ':');
    snprintf(endpoint, sizeof endpoint, "http://localhost%s/", port);
    snprintf(host, sizeof host, "\r\nHost: bucket.localhost%s\r\n", port);
    struct object_s3_config config = config_of(&b, PATIENT_MS);
    config.endpoint = endpoint;
    config.path_style = false;
    SCRIPT(&b, {"GET /?list-type=2&max-keys=1&prefix=p%2F ", NO_NAMES, CANNED_CLOSE, 0, 0});
    CHECK(open_only(&b, &config) == 0);
    CHECK(says(&b, 0, host));
    canned_close(b.server);
}

TEST(a_wrong_setting_is_named)
{
    struct bench b = {.server = canned_open()};
    const struct object_s3_config good = config_of(&b, PATIENT_MS);
    struct object_s3_config bad;
#define REFUSED(member, value, word)                                                               \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.member = (value);                                                                      \
        CHECK(open_only(&b, &bad) == ERR_INVALID);                                                 \
        CHECK(strstr(b.err.text, word) != NULL);                                                   \
    } while (0)
    REFUSED(bucket, NULL, "bucket");
    REFUSED(bucket, "ab", "bucket");
    REFUSED(bucket, "Bucket", "bucket");
    REFUSED(bucket, "a/../b", "bucket");
    REFUSED(bucket, "-bucket", "bucket");
    REFUSED(prefix, "a", "prefix");
    REFUSED(prefix, "/a/", "prefix");
    REFUSED(prefix, "a//b/", "prefix");
    REFUSED(prefix, "a/../b/", "prefix");
    REFUSED(prefix, "a?b/", "prefix");
    REFUSED(endpoint, "127.0.0.1:9000", "endpoint");
    REFUSED(endpoint, "ftp://127.0.0.1", "endpoint");
    REFUSED(endpoint, "http://", "endpoint");
    REFUSED(endpoint, "http://user:password@host", "endpoint");
    REFUSED(endpoint, "http://host?x", "endpoint");
    REFUSED(path_style, false, "path style");
    REFUSED(region, "", "region");
    REFUSED(region, "a:b", "region");
    REFUSED(access_key, NULL, "access key");
    REFUSED(secret_key, NULL, "access key");
    REFUSED(secret_key, "", "key");
    REFUSED(session_token, "two\r\nlines", "token");
    REFUSED(deadline_ms, 0, "deadline");
    REFUSED(connections, 0, "connections");
    CHECK(asked(&b) == 0);
    canned_close(b.server);
}
