/* s3_exchange.c - see s3_exchange.h. */
#include "store/s3_exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "loop/watch.h"

enum {
    PAUSE_FIRST_MS = 50,
    PAUSE_MAX_MS = 1000,
    ODD_TRIES = 3,
    SILENCE_MIN_MS = 100,
    /* How long tries in vain are made: a part of the deadline, and no more than 5 s.
     * Clients of ours give up after 10 s; a bucket that comes back later finds them
     * asking again. */
    VAIN_PART = 3,
    VAIN_MAX_MS = 5000,
    VAIN_TRIES = 2, /* at least: one may have met a dead connection */
    MIB = 1024 * 1024,
    ON_THE_WAY = 4 * MIB, /* bytes that the kernel may hold of what was sent */
    ERROR_MAX = 64 * 1024 /* bytes kept of an answer that says why not */
};

static void send_now(struct s3_exchange *x);
static void time_passed(void *context);

static bool changes(const struct s3_exchange *x)
{
    return x->request.method != S3_GET && x->request.method != S3_HEAD;
}

/* How long nothing may move.  What the kernel took but has not sent yet moves
 * unseen; 4 MiB/s are assumed for it. */
static uint64_t silence_ms(const struct s3_exchange *x)
{
    uint64_t base = x->deadline_ms / (x->slow ? 2 : 4);
    if (base < SILENCE_MIN_MS)
        base = SILENCE_MIN_MS;
    uint64_t unseen = x->request.size < ON_THE_WAY ? x->request.size : ON_THE_WAY;
    return base + unseen * 1000 / (4 * MIB);
}

static int64_t left_ms(const struct s3_exchange *x)
{
    int64_t left = (x->deadline_us - clock_mono_us()) / 1000;
    return left > 0 ? left : 0;
}

/* Until nothing will have moved for too long, or the deadline. */
static int64_t left_of_try_ms(const struct s3_exchange *x)
{
    int64_t left = left_ms(x);
    int64_t still_ms = (clock_mono_us() - x->request.moved_us) / 1000;
    int64_t silence = (int64_t)silence_ms(x) - still_ms;
    return x->request.waits || left < silence ? left : silence;
}

/* While it waits, look as often: it may have begun meanwhile. */
static void watch_over(struct s3_exchange *x)
{
    int64_t ms = left_of_try_ms(x), silence = (int64_t)silence_ms(x);
    if (ms > silence)
        ms = silence;
    timer_start(x->timer, ms > 0 ? (uint64_t)ms : 0);
}

static void end(struct s3_exchange *x)
{
    timer_free(x->timer);
    x->timer = NULL;
    x->ended(x);
}

/* No more tries: put what happened around why the last one failed. */
static void give_up(struct s3_exchange *x)
{
    bool done_for_all_we_know = x->unknown && changes(x);
    err_wrap(&x->err, "%s after %u tries", done_for_all_we_know ? "outcome unknown" : "no success",
             x->tries);
    x->err.code = done_for_all_we_know ? ERR_TIMEOUT : ERR_UNAVAILABLE;
    end(x);
}

/* Half of the pause is certain, half is random: enough to part those who
 * failed together. */
static uint64_t pause_ms(const struct s3_exchange *x)
{
    unsigned doublings = x->tries - 1 < 8 ? x->tries - 1 : 8;
    uint64_t most = (uint64_t)PAUSE_FIRST_MS << doublings;
    if (most > PAUSE_MAX_MS)
        most = PAUSE_MAX_MS;
    /* The clock's microseconds, mixed: nothing hangs on how random it is. */
    uint64_t mixed = ((uint64_t)clock_mono_us() ^ (uintptr_t)x) * 0x9e3779b97f4a7c15u >> 32;
    return most / 2 + mixed % (most / 2 + 1);
}

/* Did the try, before it broke, bring on what is to be transferred?  What the kernel
 * may hold of a body has not gone anywhere yet. */
static bool has_moved(const struct s3_exchange *x)
{
    const struct s3_request *request = &x->request;
    return request->taken > 0 ||
           (request->status == 0 && request->size - request->left > ON_THE_WAY);
}

static bool is_hopeless(struct s3_exchange *x, uint64_t pause)
{
    if (has_moved(x))
        x->vain = 0;
    else if (x->vain++ == 0)
        x->vain_us = x->request.turn_us;
    uint64_t most = x->deadline_ms / VAIN_PART < VAIN_MAX_MS ? x->deadline_ms / VAIN_PART
                                                             : (uint64_t)VAIN_MAX_MS;
    uint64_t spent = (uint64_t)(clock_mono_us() - x->vain_us) / 1000;
    return !x->persistent && x->vain >= VAIN_TRIES && spent + pause > most;
}

static void again_later(struct s3_exchange *x)
{
    uint64_t ms = pause_ms(x);
    if (x->tries == 1 && x->failed_first)
        x->failed_first(x);
    if (is_hopeless(x, ms) || ms >= (uint64_t)left_ms(x)) {
        give_up(x);
        return;
    }
    metric_add(METRIC_S3_RETRIES, 1);
    x->pausing = true;
    timer_start(x->timer, ms);
}

static void act_on(struct s3_exchange *x, enum s3_verdict verdict)
{
    switch (verdict) {
    case S3_GOOD:
        x->err = (struct err){0};
        end(x);
        break;
    case S3_AGAIN:
        again_later(x);
        break;
    case S3_ODD:
        if (++x->odd < ODD_TRIES)
            again_later(x);
        else
            end(x);
        break;
    case S3_BAD:
        end(x);
        break;
    }
}

static void answered(struct s3_request *request)
{
    struct s3_exchange *x = (struct s3_exchange *)(void *)request; /* its first member */
    timer_stop(x->timer);
    if (request->status == 0) {
        x->unknown |= request->sent > 0;
        act_on(x, s3_judged(x, S3_AGAIN, ERR_UNAVAILABLE, "%s", request->reason));
        return;
    }
    x->unknown |= request->sent > 1; /* what became of the first is not known */
    x->error = (struct s3_error){0};
    if (request->status / 100 != 2)
        (void)s3_answer_error(text_str(&request->text), &x->error);
    act_on(x, x->judge(x));
}

static void give_up_try(struct s3_exchange *x)
{
    const char *why = x->request.waits  ? "no connection to it was free"
                      : left_ms(x) == 0 ? "the deadline passed"
                                        : "it was silent for too long";
    x->unknown |= x->request.sent > 0;
    s3_client_cancel(x->client, &x->request);
    (void)s3_judged(x, S3_AGAIN, ERR_UNAVAILABLE, "%s", why);
    again_later(x);
}

static void time_passed(void *context)
{
    struct s3_exchange *x = context;
    if (x->pausing) {
        x->pausing = false;
        send_now(x);
    } else if (left_of_try_ms(x) <= 0) {
        give_up_try(x);
    } else {
        watch_over(x);
    }
}

static void send_now(struct s3_exchange *x)
{
    x->tries++;
    x->request.done = answered;
    x->request.deadline_us = x->deadline_us;
    uint64_t patience = 2 * silence_ms(x) + (x->request.size + x->expected) * 1000 / MIB;
    x->request.patience_ms = patience < UINT32_MAX ? (unsigned)patience : UINT32_MAX;
    s3_client_send(x->client, &x->request);
    watch_over(x);
}

void s3_exchange_begin(struct s3_client *client, struct s3_exchange *x)
{
    assert(x->judge && x->ended && x->expected < UINT64_MAX / 2000);
    x->client = client;
    x->timer = timer_new(s3_client_loop(client), time_passed, x);
    x->tries = x->odd = x->vain = 0;
    x->pausing = false;
    x->err = (struct err){0};
    if (x->request.text_max == 0)
        x->request.text_max = ERROR_MAX;
    send_now(x);
}

void s3_exchange_cancel(struct s3_exchange *x)
{
    if (!x->pausing)
        s3_client_cancel(x->client, &x->request);
    timer_free(x->timer);
    x->timer = NULL;
}

/* ---- judging ---- */

enum s3_verdict s3_judged(struct s3_exchange *x, enum s3_verdict verdict, enum err_code code,
                          const char *format, ...)
{
    char text[sizeof x->err.text];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    (void)err_set(&x->err, code, "%s", text);
    return verdict;
}

static bool says(const struct s3_exchange *x, const char *code)
{
    return strcmp(x->error.code, code) == 0;
}

/* Some of these are a 403, some a 400. */
static const char *advice_on(const struct s3_exchange *x)
{
    static const struct {
        const char *code, *advice;
    } known[] = {
        {"InvalidAccessKeyId", "the access key is not known there: check it"},
        {"SignatureDoesNotMatch", "the secret key does not fit the access key, or the region is "
                                  "not the bucket's: check them"},
        {"RequestTimeTooSkewed", "the clock of this machine is wrong: set it"},
        {"ExpiredToken", "the session token has expired: get a new one"},
        {"InvalidToken", "the session token is not valid: check it"},
        {"AccessDenied", "the access key may not do this: check the bucket's policy"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (says(x, known[i].code))
            return known[i].advice;
    return "check the keys, the bucket's policy, and the clock of this machine";
}

static bool is_denied(const struct s3_exchange *x)
{
    int status = x->request.status;
    return status == 401 || status == 403 ||
           (status == 400 && (says(x, "ExpiredToken") || says(x, "InvalidToken")));
}

static enum s3_verdict judge_denied(struct s3_exchange *x)
{
    if (says(x, "QuotaExceeded"))
        return s3_judged(x, S3_BAD, ERR_FULL, "the bucket's quota is used up");
    if (!s3_client_site(x->client)->access_key)
        return s3_judged(x, S3_BAD, ERR_DENIED,
                         "%d %s: no access key is set: set s3_access_key and s3_secret_key, or "
                         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                         x->request.status, x->error.code);
    return s3_judged(x, S3_BAD, ERR_DENIED, "%d %s: %s", x->request.status, x->error.code,
                     advice_on(x));
}

/* A proxy has 404s too: that an object is gone is believed only of S3. */
static enum s3_verdict judge_missing(struct s3_exchange *x)
{
    if (says(x, "NoSuchBucket"))
        return s3_judged(x, S3_BAD, ERR_UNAVAILABLE, "there is no such bucket: create it");
    if (says(x, "NoSuchUpload"))
        return s3_judged(x, S3_BAD, ERR_UNAVAILABLE, "the upload is not there any more");
    if (says(x, "NoSuchKey") || x->request.text.len == 0)
        return s3_judged(x, S3_BAD, ERR_NOT_FOUND, "no such object");
    return s3_judged(x, S3_BAD, ERR_UNAVAILABLE, "404 %s: check the endpoint", x->error.code);
}

/* Which other region the bucket is in, if that is said; else "". */
static const char *other_region(const struct s3_exchange *x)
{
    const char *region = x->request.region[0] ? x->request.region : x->error.region;
    return strcmp(region, s3_client_site(x->client)->region) == 0 ? "" : region;
}

static enum s3_verdict judge_elsewhere(struct s3_exchange *x)
{
    const char *region = other_region(x);
    if (!region[0])
        return s3_judged(x, S3_BAD, ERR_UNAVAILABLE,
                         "it is elsewhere (%d %s): check the endpoint and the region",
                         x->request.status, x->error.code);
    return s3_judged(x, S3_BAD, ERR_UNAVAILABLE, "the bucket is in region %s: set the region",
                     region);
}

static bool is_passing(const struct s3_exchange *x)
{
    int status = x->request.status;
    return status == 409 || status == 429 || (status >= 500 && status != 501) ||
           says(x, "RequestTimeout") || says(x, "IncompleteBody") || says(x, "SlowDown");
}

/* These say that nothing was done. */
static bool was_refused(const struct s3_exchange *x)
{
    return x->request.status < 500 || says(x, "SlowDown");
}

enum s3_verdict s3_judge_status(struct s3_exchange *x)
{
    int status = x->request.status;
    if (status / 100 == 2)
        return S3_GOOD;
    if (status / 100 == 3 || (status == 400 && other_region(x)[0]))
        return judge_elsewhere(x);
    if (is_denied(x))
        return judge_denied(x);
    if (status == 507)
        return s3_judged(x, S3_BAD, ERR_FULL, "507 %s: the storage is full", x->error.code);
    if (is_passing(x)) {
        x->unknown |= !was_refused(x);
        return s3_judged(x, S3_AGAIN, ERR_UNAVAILABLE, "%d %s", status, x->error.code);
    }
    switch (status) {
    case 404:
        return judge_missing(x);
    case 412:
        return s3_judged(x, S3_BAD, ERR_CONFLICT, "it exists");
    case 416:
        return s3_judged(x, S3_BAD, ERR_CORRUPT, "it has fewer bytes");
    default:
        return s3_judged(x, S3_BAD, ERR_UNAVAILABLE, "refused with %d %s", status, x->error.code);
    }
}

enum s3_verdict s3_judge_document(struct s3_exchange *x)
{
    struct str text = text_str(&x->request.text);
    if (x->request.status / 100 != 2)
        return s3_judge_status(x);
    if (x->request.ended)
        return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "its answer is too long");
    if (s3_answer_error(text, &x->error)) {
        x->unknown = true;
        return s3_judged(x, S3_AGAIN, ERR_UNAVAILABLE, "%d with %s inside", x->request.status,
                         x->error.code);
    }
    return S3_GOOD;
}
