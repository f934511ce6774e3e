/* object_s3.c - objects in a bucket of S3, or of what speaks like it; see object.h.
 *
 * put      PUT with If-None-Match: *, over 32 MiB in parts (s3_upload.h).  A
 *          412 is a conflict, unless a try of the same call may have got through
 *          unseen: then the size and the first bytes of what is there are
 *          compared with ours, and if they are equal it is ours.  Any other
 *          failure after such a try is ERR_TIMEOUT
 * get      a ranged GET.  What comes must be the range that was asked for; a
 *          server that sends the whole object instead is read up to its end
 * list     ListObjectsV2, as many pages as it takes; foreign names are skipped
 * again    see s3_exchange.h
 *
 * Each attached loop has a client (s3_client.h) of its own.  A loop has at most
 * `connections` + `queue` calls at once.
 *
 *     object_s3 ─ s3_upload ─ s3_exchange ─ s3_client ─ libcurl
 *                               s3_answer    s3_site
 *
 * A server that takes no notice of If-None-Match would have objects put over
 * others; AWS, Ceph, MinIO and R2 honour it.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "store/object.h"
#include "store/s3_upload.h"

enum {
    LOOPS_MAX = 128,
    WHOLE_MAX = 2 * S3_PART,    /* bytes that are put with one request */
    OVERLAP_MAX = 64 * 1048576, /* bytes read for nothing, of a server that knows no ranges */
    HEAD = 128,                 /* bytes that tell our object from another; a pack's head and id */
    LISTING_MAX = 8 * 1048576   /* bytes of a page of 1000 names */
};

/* S3 ends at 5 TiB; this keeps sums of two of them safe. */
#define OBJECT_MAX (UINT64_C(1) << 50)

struct s3 {
    struct objects objects;
    struct s3_site site;
    unsigned deadline_ms, connections;
    bool persistent;
    size_t calls_max; /* of each loop */
    struct side *sides[LOOPS_MAX];
};

struct side { /* of one loop */
    struct s3 *s3;
    struct s3_client *client;
    size_t calls;
};

/* A range on its way in. */
struct fetch {
    bool tail;
    uint64_t offset;
    size_t size;
    size_t wanted;   /* `size`, or less when it is a tail */
    struct buf *out; /* what has come of it */
    uint64_t total;  /* bytes of the object, when the server said it */
    bool has_total;
    uint64_t skip; /* bytes that come before the range */
    enum s3_verdict verdict;
};

struct call {
    struct s3_exchange x; /* first member */
    struct side *side;
    struct op *op;
    const char *what; /* "put" */
    struct str name;
    int64_t begin_us, deadline_us;
    struct text target;
    struct fetch fetch;     /* of a get, or a look */
    struct object_put *put; /* or */
    struct object_get *get; /* or */
    struct object_list *list;
    uint64_t size;           /* put: bytes in all */
    struct err met;          /* put: what made us look */
    struct text last, token; /* list: the last key seen; where to go on */
};

static struct s3 *s3_of(struct objects *objects)
{
    return (struct s3 *)objects; /* its first member */
}

static struct call *call_of(struct s3_exchange *x)
{
    return (struct call *)(void *)x;
}

/* ---- every call ---- */

static struct side *side_of(struct objects *objects, const struct op *op)
{
    struct side *side = s3_of(objects)->sides[loop_index(op->loop)];
    assert(side); /* the loop was attached */
    return side;
}

static struct call *begin(struct objects *objects, struct op *op, const char *what, struct str name)
{
    struct side *side = side_of(objects, op);
    op->err = (struct err){0};
    if (side->calls == side->s3->calls_max) {
        metric_add(METRIC_S3_REFUSED, 1);
        op_fail(op, ERR_BUSY, "too many calls wait for the bucket");
        return NULL;
    }
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        abort();
    side->calls++;
    metric_add(METRIC_S3_CALLS, 1);
    call->side = side;
    call->op = op;
    call->what = what;
    call->name = name;
    call->begin_us = clock_mono_us();
    call->deadline_us = call->begin_us + (int64_t)side->s3->deadline_ms * 1000;
    return call;
}

static struct call *begin_named(struct objects *objects, struct op *op, const char *what,
                                struct str name)
{
    if (!object_name_valid(name)) {
        op->err = (struct err){0};
        op_fail(op, ERR_INVALID, "not an object's name");
        return NULL;
    }
    struct call *call = begin(objects, op, what, name);
    if (call) {
        text_addf(&call->target, "/%s%.*s", call->side->s3->site.prefix, STR_FMT(name));
        text_add_char(&call->target, '\0');
    }
    return call;
}

static void end(struct call *call, const struct err *err)
{
    struct op *op = call->op;
    enum err_code code = err->code;
    if (code) {
        op->err = *err;
        (void)err_wrap(&op->err, "%s %.*s", call->what, STR_FMT(call->name));
    }
    if (code && code != ERR_CONFLICT && code != ERR_NOT_FOUND)
        metric_add(METRIC_S3_FAILED, 1);
    uint64_t took_us = (uint64_t)(clock_mono_us() - call->begin_us);
    if (call->put)
        metric_time(METRIC_S3_PUT_SECONDS, took_us);
    else if (call->get)
        metric_time(METRIC_S3_GET_SECONDS, took_us);
    metric_add(METRIC_S3_CALLS, -1);
    call->side->calls--;
    buf_unref(call->fetch.out);
    text_free(&call->x.request.text);
    text_free(&call->target);
    text_free(&call->last);
    text_free(&call->token);
    free(call);
    op_finish(op);
}

/* Make the next exchange of a call ready; the caller adds what is special. */
static void prepare(struct call *call, enum s3_method method, enum s3_headers headers,
                    enum metric counted, s3_judge_fn *judge, void (*ended)(struct s3_exchange *))
{
    struct text text = call->x.request.text; /* memory to use again */
    call->x = (struct s3_exchange){.request = {.method = method,
                                               .headers = headers,
                                               .counted = counted,
                                               .target = call->target.at,
                                               .text = text},
                                   .judge = judge,
                                   .ended = ended,
                                   .persistent = call->side->s3->persistent,
                                   .deadline_ms = call->side->s3->deadline_ms,
                                   .deadline_us = call->deadline_us};
}

static void submit(struct call *call)
{
    s3_exchange_begin(call->side->client, &call->x);
}

/* The last step of most calls. */
static void ended(struct s3_exchange *x)
{
    struct err err = x->err;
    end(call_of(x), &err);
}

/* ---- ranges ---- */

/* A 206: is it what was asked for? */
static enum s3_verdict check_range(struct s3_exchange *x, struct fetch *f)
{
    const char *value = x->request.content_range;
    struct s3_range range;
    if (!s3_answer_range((struct str){value, strlen(value)}, &range) || !range.has_bytes)
        return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "206 without a range");
    f->total = range.total;
    f->has_total = range.has_total;
    uint64_t first = f->offset, count = f->size;
    if (f->tail) {
        if (!range.has_total)
            return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "206 without the size of the object");
        count = f->size < range.total ? f->size : range.total;
        first = range.total - count;
    }
    if (range.first == first && range.last - first == count - 1)
        return S3_GOOD;
    if (range.first == first && range.has_total && range.last == range.total - 1 &&
        range.last - first < count)
        return s3_judged(x, S3_BAD, ERR_CORRUPT, "it has only %" PRIu64 " bytes", range.total);
    return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "another range came than was asked for");
}

/* A 200: all of the object comes. */
static enum s3_verdict check_whole(struct s3_exchange *x, struct fetch *f)
{
    if (x->request.length < 0)
        return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "neither a range came nor the size of all");
    f->total = (uint64_t)x->request.length;
    f->has_total = true;
    uint64_t count = f->size, first = f->offset;
    if (f->tail) {
        count = f->size < f->total ? f->size : f->total;
        first = f->total - count;
    }
    if (first > f->total || count > f->total - first)
        return s3_judged(x, S3_BAD, ERR_CORRUPT, "it has only %" PRIu64 " bytes", f->total);
    if (first > OVERLAP_MAX)
        return s3_judged(x, S3_BAD, ERR_UNAVAILABLE,
                         "the server gives no ranges of objects (no 206): it cannot be used");
    f->skip = first;
    return S3_GOOD;
}

/* The head of a 2xx is here: make room for what is wanted.  Once for each try. */
static enum s3_verdict open_range(struct s3_exchange *x, struct fetch *f)
{
    f->out = buf_unref(f->out);
    f->skip = 0;
    enum s3_verdict verdict;
    if (x->request.status == 206)
        verdict = check_range(x, f);
    else if (x->request.status == 200)
        verdict = check_whole(x, f);
    else
        verdict = s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "%d to a GET", x->request.status);
    if (verdict != S3_GOOD)
        return verdict;
    f->wanted = f->tail && f->size > f->total ? (size_t)f->total : f->size;
    f->out = buf_new(f->wanted);
    return f->out ? S3_GOOD : s3_judged(x, S3_BAD, ERR_BUSY, "no memory for %zu bytes", f->wanted);
}

static bool take_range(struct s3_request *request, const char *bytes, size_t size)
{
    struct s3_exchange *x = (struct s3_exchange *)(void *)request; /* its first member */
    struct fetch *f = &call_of(x)->fetch;
    if (request->taken == 0)
        f->verdict = open_range(x, f);
    if (f->verdict != S3_GOOD)
        return false;
    size_t skipped = size < f->skip ? size : (size_t)f->skip;
    f->skip -= skipped;
    bytes += skipped;
    size -= skipped;
    size_t room = f->wanted - f->out->len;
    size_t n = size < room ? size : room;
    if (n)
        memcpy(f->out->at + f->out->len, bytes, n);
    f->out->len += n;
    return n == size; /* else more came than is wanted */
}

/* There is no tail of an object without bytes, says S3; we say it is "". */
static enum s3_verdict judge_no_tail(struct s3_exchange *x, struct fetch *f)
{
    const char *value = x->request.content_range;
    struct s3_range range;
    if (s3_answer_range((struct str){value, strlen(value)}, &range) && range.has_total &&
        range.total > 0)
        return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "416 to the tail of what is not empty");
    f->out = buf_unref(f->out); /* of a try before */
    f->out = buf_new(0);
    f->total = f->wanted = 0;
    f->has_total = true;
    return f->out ? S3_GOOD : s3_judged(x, S3_BAD, ERR_BUSY, "no memory");
}

static enum s3_verdict judge_range(struct s3_exchange *x)
{
    struct fetch *f = &call_of(x)->fetch;
    if (x->request.status == 416 && f->tail)
        return judge_no_tail(x, f);
    if (x->request.status / 100 != 2)
        return s3_judge_status(x);
    if (x->request.taken == 0)
        f->verdict = open_range(x, f);
    if (f->verdict != S3_GOOD)
        return f->verdict;
    if (f->out->len < f->wanted)
        return s3_judged(x, S3_ODD, ERR_CORRUPT, "only %zu of %zu bytes came", f->out->len,
                         f->wanted);
    if (x->request.ended && x->request.status == 206)
        return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "more bytes came than the range has");
    return S3_GOOD;
}

static void send_range(struct call *call, enum metric counted, void (*then)(struct s3_exchange *))
{
    const struct fetch *f = &call->fetch;
    prepare(call, S3_GET, S3_NO_BODY, counted, judge_range, then);
    struct s3_request *request = &call->x.request;
    if (f->tail)
        (void)snprintf(request->range, sizeof request->range, "-%zu", f->size);
    else
        (void)snprintf(request->range, sizeof request->range, "%" PRIu64 "-%" PRIu64, f->offset,
                       f->offset + f->size - 1);
    request->take = take_range;
    call->x.expected = f->size;
    submit(call);
}

/* ---- get ---- */

static void got(struct s3_exchange *x)
{
    struct call *call = call_of(x);
    struct object_get *get = call->get;
    struct err err = x->err;
    if (!err.code) {
        if (get->tail)
            object_take_tail(get, call->fetch.total);
        assert(call->fetch.out->len == get->size);
        get->out = call->fetch.out;
        call->fetch.out = NULL;
    }
    end(call, &err);
}

static void get(struct objects *objects, struct object_get *get)
{
    assert(get->size >= 1);
    struct call *call = begin_named(objects, &get->op, "get", get->name);
    if (!call)
        return;
    /* No object is so large; and the sums that follow are safe. */
    if (get->size > OBJECT_MAX || (!get->tail && get->offset > OBJECT_MAX)) {
        struct err err = {0};
        (void)err_set(&err, ERR_CORRUPT, "it has fewer bytes");
        end(call, &err);
        return;
    }
    call->get = get;
    call->fetch = (struct fetch){.tail = get->tail, .offset = get->offset, .size = get->size};
    send_range(call, METRIC_S3_REQUESTS_GET, got);
}

/* ---- put ---- */

/* The first bytes of the object, of ours. */
static size_t copy_head(const struct object_put *put, char head[HEAD])
{
    size_t len = 0;
    for (size_t i = 0; i < put->part_count && len < HEAD; i++) {
        size_t n = put->parts[i].iov_len < HEAD - len ? put->parts[i].iov_len : HEAD - len;
        if (n)
            memcpy(head + len, put->parts[i].iov_base, n);
        len += n;
    }
    return len;
}

static bool is_ours(const struct call *call)
{
    const struct fetch *f = &call->fetch;
    char head[HEAD];
    size_t len = copy_head(call->put, head);
    if (!f->has_total || f->total != call->size)
        return false;
    return len == 0 || (f->out->len == len && memcmp(f->out->at, head, len) == 0);
}

static void looked(struct s3_exchange *x)
{
    struct call *call = call_of(x);
    struct err err = x->err;
    if (!err.code && !is_ours(call))
        (void)err_set(&err, ERR_CONFLICT, "it exists");
    else if (err.code == ERR_CORRUPT)
        (void)err_set(&err, ERR_CONFLICT, "it exists, and is shorter");
    else if (err.code == ERR_NOT_FOUND)
        (void)err_set(&err, ERR_UNAVAILABLE, "it existed, and was removed meanwhile");
    else if (err.code) {
        (void)err_wrap(&err, "it exists, and it is unknown if it is ours");
        err.code = ERR_TIMEOUT;
    }
    end(call, &err);
}

/* It exists, and it may be ours: look. */
static void look(struct call *call)
{
    size_t size = call->size < HEAD ? (size_t)call->size : HEAD;
    /* An object without bytes has no first ones; its tail shows that as well. */
    call->fetch = (struct fetch){.tail = size == 0, .size = size ? size : 1};
    send_range(call, METRIC_S3_REQUESTS_PUT, looked);
}

/* `unknown`: a try may have got through.  Then no later refusal, however plain, says
 * that the object is not there. */
static void put_ended(struct call *call, const struct err *err, bool unknown)
{
    if (err->code == ERR_CONFLICT && unknown) {
        look(call);
        return;
    }
    struct err said = *err;
    if (said.code && unknown && said.code != ERR_TIMEOUT) {
        (void)err_wrap(&said, "outcome unknown, and then");
        said.code = ERR_TIMEOUT;
    }
    end(call, &said);
}

static void has_put(struct s3_exchange *x)
{
    struct err err = x->err;
    put_ended(call_of(x), &err, x->unknown);
}

static void has_uploaded(void *context, const struct err *err, bool unknown)
{
    put_ended(context, err, unknown);
}

static void put_whole(struct call *call)
{
    prepare(call, S3_PUT, S3_CREATE, METRIC_S3_REQUESTS_PUT, s3_judge_document, has_put);
    call->x.request.parts = call->put->parts;
    call->x.request.part_count = call->put->part_count;
    call->x.request.size = call->size;
    submit(call);
}

static void put_in_parts(struct call *call)
{
    const struct s3_upload upload = {.client = call->side->client,
                                     .target = call->target.at,
                                     .parts = call->put->parts,
                                     .part_count = call->put->part_count,
                                     .size = call->size,
                                     .persistent = call->side->s3->persistent,
                                     .deadline_ms = call->side->s3->deadline_ms,
                                     .deadline_us = call->deadline_us,
                                     .context = call,
                                     .ended = has_uploaded};
    s3_upload_begin(&upload);
}

static void put(struct objects *objects, struct object_put *put)
{
    struct call *call = begin_named(objects, &put->op, "put", put->name);
    if (!call)
        return;
    call->put = put;
    for (size_t i = 0; i < put->part_count; i++)
        call->size += put->parts[i].iov_len;
    if (call->size > WHOLE_MAX)
        put_in_parts(call);
    else
        put_whole(call);
}

/* ---- remove ---- */

static enum s3_verdict judge_removed(struct s3_exchange *x)
{
    enum s3_verdict verdict = s3_judge_status(x);
    return verdict == S3_BAD && x->err.code == ERR_NOT_FOUND ? S3_GOOD : verdict;
}

static void remove_object(struct objects *objects, struct object_remove *remove)
{
    struct call *call = begin_named(objects, &remove->op, "remove", remove->name);
    if (!call)
        return;
    prepare(call, S3_DELETE, S3_NO_BODY, METRIC_S3_REQUESTS_REMOVE, judge_removed, ended);
    submit(call);
}

/* ---- list ---- */

static int compare(struct str a, struct str b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int r = least ? memcmp(a.at, b.at, least) : 0;
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static bool starts_with(struct str s, struct str start)
{
    return s.len >= start.len && str_eq((struct str){s.at, start.len}, start);
}

/* What the bucket has in front of our names is not told. */
static struct str own_prefix(const struct call *call)
{
    const char *prefix = call->side->s3->site.prefix;
    return (struct str){prefix, strlen(prefix)};
}

static void set_text(struct text *text, struct str s)
{
    text->len = 0;
    text_add(text, s);
}

/* Take the names of a page; those that are not of our alphabet are not ours. */
static int take_page(struct call *call, const struct s3_page *page, struct err *err)
{
    struct object_list *list = call->list;
    struct str own = own_prefix(call), last = text_str(&call->last);
    for (size_t i = 0; i < page->count; i++) {
        struct str key = page->keys[i];
        if ((last.len && compare(key, last) <= 0) || !starts_with(key, own))
            return err_set(err, ERR_UNAVAILABLE,
                           "its listing has what was not asked for, or is "
                           "not in order");
        struct str name = {key.at + own.len, key.len - own.len};
        if (object_name_valid(name) && starts_with(name, list->prefix) &&
            compare(name, list->after) > 0)
            list->names[list->count++] = arena_copy(list->arena, name);
        last = key;
    }
    if (page->count)
        set_text(&call->last, last);
    set_text(&call->token, page->token);
    return 0;
}

static enum s3_verdict judge_page(struct s3_exchange *x)
{
    struct call *call = call_of(x);
    enum s3_verdict verdict = s3_judge_document(x);
    if (verdict != S3_GOOD)
        return verdict;
    struct arena *arena = arena_new(16384);
    size_t before = call->list->count;
    struct s3_page page;
    int r = s3_answer_list(text_str(&x->request.text), call->list->limit - before, arena, &page,
                           &x->err);
    if (!r)
        r = take_page(call, &page, &x->err);
    arena_free(arena);
    if (r)
        call->list->count = before;
    return r ? S3_ODD : S3_GOOD;
}

static void send_page(struct call *call);

static void listed(struct s3_exchange *x)
{
    struct call *call = call_of(x);
    struct err err = x->err;
    if (!err.code && call->token.len && call->list->count < call->list->limit)
        send_page(call);
    else
        end(call, &err);
}

static void add_query(struct text *target, const char *name, struct str a, struct str b)
{
    text_addf(target, "%s", name);
    s3_site_escape(target, a);
    s3_site_escape(target, b);
}

/* The names of a query are sorted, or the signature is not right. */
static void send_page(struct call *call)
{
    const struct object_list *list = call->list;
    struct text *target = &call->target;
    struct str own = own_prefix(call);
    set_text(target, (struct str){call->side->s3->site.root, strlen(call->side->s3->site.root)});
    text_add_char(target, '?');
    if (call->token.len) {
        add_query(target, "continuation-token=", text_str(&call->token), STR(""));
        text_add_char(target, '&');
    }
    text_addf(target, "list-type=2&max-keys=%zu", list->limit - list->count);
    if (own.len + list->prefix.len)
        add_query(target, "&prefix=", own, list->prefix);
    if (list->after.len && !call->token.len)
        add_query(target, "&start-after=", own, list->after);
    text_add_char(target, '\0');
    prepare(call, S3_GET, S3_NO_BODY, METRIC_S3_REQUESTS_LIST, judge_page, listed);
    call->x.request.text_max = LISTING_MAX;
    submit(call);
}

static void list(struct objects *objects, struct object_list *list)
{
    assert(list->limit >= 1 && list->limit <= 1000);
    struct call *call = begin(objects, &list->op, "list", list->prefix);
    if (!call)
        return;
    call->list = list;
    list->names = arena_make(list->arena, struct str, list->limit);
    list->count = 0;
    send_page(call);
}

/* ---- is the bucket there? ---- */

struct asking {           /* one exchange on a loop of its own */
    struct s3_exchange x; /* first member */
    struct loop *loop;
};

static void heard(struct s3_exchange *x)
{
    loop_stop(((struct asking *)(void *)x)->loop);
}

/* Who waits for the start should not have to guess why nothing is said. */
static void not_reached(struct s3_exchange *x)
{
    log_event(LOG_WARN, "bucket_not_reached", LOG_C("endpoint", s3_client_site(x->client)->base),
              LOG_C("reason", x->err.text));
}

static int ask(struct s3 *s3, struct s3_exchange *question, struct err *err)
{
    struct asking asking = {.x = *question};
    int r = loop_open(0, "s3-open", &asking.loop, err);
    if (r)
        return r;
    struct s3_client *client = s3_client_open(&s3->site, asking.loop, 1);
    if (!client) {
        loop_close(asking.loop);
        return err_set(err, ERR_BUSY, "no memory for a connection");
    }
    asking.x.ended = heard;
    asking.x.failed_first = not_reached;
    asking.x.persistent = true; /* it may be starting, too */
    asking.x.deadline_ms = s3->deadline_ms;
    s3_exchange_begin(client, &asking.x);
    r = loop_run(asking.loop, err);
    if (!r && asking.x.err.code) {
        *err = asking.x.err;
        r = (int)err->code;
    }
    s3_client_close(client);
    loop_close(asking.loop);
    text_free(&asking.x.request.text);
    return r;
}

static enum s3_verdict judge_bucket(struct s3_exchange *x)
{
    enum s3_verdict verdict = s3_judge_document(x);
    if (verdict == S3_BAD && x->request.status == 404)
        return s3_judged(x, S3_BAD, ERR_NOT_FOUND, "there is no such bucket: create it");
    return verdict;
}

/* The shortest listing: asks for no more rights than a HEAD, and says why not. */
static int find_bucket(struct s3 *s3, int64_t deadline_us, struct err *err)
{
    struct text target = {0};
    text_addf(&target, "%s?list-type=2&max-keys=1", s3->site.root);
    if (s3->site.prefix[0]) {
        text_addf(&target, "&prefix=");
        s3_site_escape(&target, (struct str){s3->site.prefix, strlen(s3->site.prefix)});
    }
    text_add_char(&target, '\0');
    struct s3_exchange question = {.request = {.method = S3_GET,
                                               .headers = S3_NO_BODY,
                                               .counted = METRIC_S3_REQUESTS_LIST,
                                               .target = target.at},
                                   .judge = judge_bucket,
                                   .deadline_us = deadline_us};
    int r = ask(s3, &question, err);
    text_free(&target);
    return r;
}

static enum s3_verdict judge_created(struct s3_exchange *x)
{
    if (strcmp(x->error.code, "BucketAlreadyOwnedByYou") == 0)
        return S3_GOOD;
    if (strcmp(x->error.code, "BucketAlreadyExists") == 0)
        return s3_judged(x, S3_BAD, ERR_DENIED,
                         "the bucket belongs to somebody else: choose "
                         "another name");
    return s3_judge_document(x);
}

static int create_bucket(struct s3 *s3, const char *bucket, int64_t deadline_us, struct err *err)
{
    struct text body = {0};
    if (strcmp(s3->site.region, "us-east-1") != 0)
        text_addf(&body,
                  "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint>"
                  "</CreateBucketConfiguration>",
                  s3->site.region);
    const struct iovec part = {body.at, body.len};
    struct s3_exchange question = {.request = {.method = S3_PUT,
                                               .headers = S3_BODY,
                                               .counted = METRIC_S3_REQUESTS_PUT,
                                               .target = s3->site.root,
                                               .parts = &part,
                                               .part_count = 1,
                                               .size = body.len},
                                   .judge = judge_created,
                                   .deadline_us = deadline_us};
    int r = ask(s3, &question, err);
    text_free(&body);
    if (r)
        return err_wrap(err, "create it");
    /* A name that was mistyped makes a bucket, too. */
    log_event(LOG_WARN, "bucket_created", LOG_C("bucket", bucket));
    return 0;
}

/* ---- life ---- */

static int attach(struct objects *objects, struct loop *loop, struct err *err)
{
    struct s3 *s3 = s3_of(objects);
    unsigned index = loop_index(loop);
    assert(index < LOOPS_MAX && !s3->sides[index]);
    struct side *side = calloc(1, sizeof *side);
    if (!side)
        abort();
    side->s3 = s3;
    side->client = s3_client_open(&s3->site, loop, s3->connections);
    if (!side->client) {
        free(side);
        return err_set(err, ERR_BUSY, "no memory for %u connections to the bucket",
                       s3->connections);
    }
    s3->sides[index] = side;
    return 0;
}

static void close_s3(struct objects *objects)
{
    struct s3 *s3 = s3_of(objects);
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        if (!s3->sides[i])
            continue;
        s3_client_close(s3->sides[i]->client);
        free(s3->sides[i]);
    }
    s3_site_close(&s3->site);
    free(s3);
}

static const struct objects_ops s3_ops = {
    .name = "s3",
    .attach = attach,
    .put = put,
    .get = get,
    .remove = remove_object,
    .list = list,
    .close = close_s3,
};

int object_s3_open(const struct object_s3_config *config, struct objects **result, struct err *err)
{
    struct s3 *s3 = calloc(1, sizeof *s3);
    if (!s3)
        abort();
    s3->objects.ops = &s3_ops;
    s3->deadline_ms = config->deadline_ms;
    s3->persistent = config->persistent;
    s3->connections = config->connections;
    s3->calls_max = config->connections + config->queue;
    int64_t deadline_us = clock_mono_us() + (int64_t)config->deadline_ms * 1000;
    struct err why = {0};
    int r = s3_site_open(&s3->site, config, &why);
    if (!r)
        r = find_bucket(s3, deadline_us, &why);
    if (r == ERR_NOT_FOUND && config->create)
        r = create_bucket(s3, config->bucket, deadline_us, &why);
    if (r) {
        close_s3(&s3->objects);
        return err_set(err, (enum err_code)r, "bucket %.63s: %s",
                       config->bucket ? config->bucket : "", why.text);
    }
    *result = &s3->objects;
    return 0;
}
