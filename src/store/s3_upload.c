/* s3_upload.c - see s3_upload.h.
 *
 *   s3_upload_begin()   ask for an id
 *   begun()             send the first parts
 *   part_sent()         send the next; the last one that comes home goes on
 *   looked()            is the name free?  then complete
 *   completed()         all is there, or not
 *   abandon(), over()   throw away what was sent
 */
#include "store/s3_upload.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"

enum {
    AT_ONCE = 4,        /* parts on their way */
    PARTS_MAX = 10000,  /* as S3 has it */
    ABANDON_MS = 1000,  /* beyond the deadline, if need be */
    ANSWER_MAX = 65536, /* bytes of an answer */
};

struct part {
    struct s3_exchange x; /* first member */
    struct upload *upload;
    size_t number; /* from 0 */
    bool busy;
    struct text target;
};

struct upload {
    struct s3_exchange x; /* first member: all but the parts */
    struct s3_upload ask;
    struct part part[AT_ONCE];
    size_t count, begun, done; /* parts */
    uint64_t part_size;
    char (*etags)[S3_ETAG];
    struct text id; /* escaped, as it stands in a query; empty: none yet */
    struct text target;
    struct text document;
    struct iovec body; /* it */
    struct err err;    /* why it is abandoned */
    bool unknown;
};

static struct upload *upload_of(struct s3_exchange *x)
{
    return (struct upload *)(void *)x;
}

static void set_target(struct text *target, const struct upload *u, const char *query)
{
    target->len = 0;
    text_addf(target, "%s%s", u->ask.target, query);
    text_add(target, text_str(&u->id));
    text_add_char(target, '\0');
}

/* Make ready to send something other than a part. */
static void prepare(struct upload *u, enum s3_method method, enum s3_headers headers,
                    const char *query, s3_judge_fn *judge, void (*ended)(struct s3_exchange *))
{
    set_target(&u->target, u, query);
    struct text text = u->x.request.text; /* memory to use again */
    u->x = (struct s3_exchange){.request = {.method = method,
                                            .headers = headers,
                                            .counted = METRIC_S3_REQUESTS_PUT,
                                            .target = u->target.at,
                                            .text = text,
                                            .text_max = ANSWER_MAX},
                                .judge = judge,
                                .ended = ended,
                                .persistent = u->ask.persistent,
                                .deadline_ms = u->ask.deadline_ms,
                                .deadline_us = u->ask.deadline_us};
}

/* ---- the end ---- */

static void over(struct s3_exchange *x)
{
    struct upload *u = upload_of(x);
    struct s3_upload ask = u->ask;
    struct err err = u->err;
    bool unknown = u->unknown;
    for (size_t i = 0; i < AT_ONCE; i++) {
        text_free(&u->part[i].target);
        text_free(&u->part[i].x.request.text);
    }
    text_free(&u->x.request.text);
    text_free(&u->document);
    text_free(&u->target);
    text_free(&u->id);
    free(u->etags);
    free(u);
    ask.ended(ask.context, &err, unknown);
}

static void abandon(struct upload *u, const struct err *err, bool unknown)
{
    u->err = *err;
    u->unknown = unknown;
    prepare(u, S3_DELETE, S3_NO_BODY, "?uploadId=", s3_judge_status, over);
    u->x.slow = true;
    u->x.deadline_ms = ABANDON_MS;
    u->x.deadline_us = clock_mono_us() + (int64_t)ABANDON_MS * 1000;
    s3_exchange_begin(u->ask.client, &u->x);
}

/* ---- completing ---- */

/* The upload is gone: thrown away by somebody, or completed by a try before. */
static enum s3_verdict judge_completed(struct s3_exchange *x)
{
    enum s3_verdict verdict = s3_judge_document(x);
    if (verdict == S3_BAD && x->request.status == 404 && x->unknown)
        return s3_judged(x, S3_BAD, ERR_CONFLICT, "it was completed, or thrown away");
    if (verdict == S3_GOOD && !s3_answer_completed(text_str(&x->request.text))) {
        x->unknown = true;
        return s3_judged(x, S3_AGAIN, ERR_UNAVAILABLE, "its answer does not say that it is put");
    }
    return verdict;
}

static void completed(struct s3_exchange *x)
{
    struct upload *u = upload_of(x);
    struct err err = x->err;
    if (err.code)
        abandon(u, &err, x->unknown);
    else
        over(x);
}

static void add_escaped(struct text *document, const char *etag)
{
    for (; *etag; etag++)
        if (strchr("<>&\"'", *etag))
            text_addf(document, "&#%d;", *etag);
        else
            text_add_char(document, *etag);
}

static void complete(struct upload *u)
{
    text_add(&u->document, STR("<CompleteMultipartUpload>"));
    for (size_t i = 0; i < u->count; i++) {
        text_addf(&u->document, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
        add_escaped(&u->document, u->etags[i]);
        text_add(&u->document, STR("</ETag></Part>"));
    }
    text_add(&u->document, STR("</CompleteMultipartUpload>"));
    prepare(u, S3_POST, S3_CREATE, "?uploadId=", judge_completed, completed);
    u->body = (struct iovec){u->document.at, u->document.len};
    u->x.request.parts = &u->body;
    u->x.request.part_count = 1;
    u->x.request.size = u->document.len;
    u->x.slow = true;
    s3_exchange_begin(u->ask.client, &u->x);
}

static void looked(struct s3_exchange *x)
{
    struct upload *u = upload_of(x);
    struct err err = x->err;
    if (err.code == ERR_NOT_FOUND) {
        complete(u);
        return;
    }
    if (!err.code)
        (void)err_set(&err, ERR_CONFLICT, "it exists");
    abandon(u, &err, false);
}

static void look(struct upload *u)
{
    struct text id = u->id;
    u->id = (struct text){0}; /* it is the object that is asked for */
    prepare(u, S3_HEAD, S3_NO_BODY, "", s3_judge_status, looked);
    u->id = id;
    s3_exchange_begin(u->ask.client, &u->x);
}

/* ---- parts ---- */

static void send_part(struct part *part);

static enum s3_verdict judge_part(struct s3_exchange *x)
{
    enum s3_verdict verdict = s3_judge_document(x);
    if (verdict == S3_GOOD && !x->request.etag[0])
        return s3_judged(x, S3_ODD, ERR_UNAVAILABLE, "its answer to a part has no ETag");
    return verdict;
}

static void part_failed(struct upload *u, struct part *failed)
{
    struct err err = failed->x.err;
    for (size_t i = 0; i < AT_ONCE; i++)
        if (u->part[i].busy)
            s3_exchange_cancel(&u->part[i].x);
    (void)err_wrap(&err, "part %zu of %zu", failed->number + 1, u->count);
    if (err.code == ERR_TIMEOUT || err.code == ERR_NOT_FOUND)
        err.code = ERR_UNAVAILABLE; /* a part alone is nothing yet */
    abandon(u, &err, false);
}

static void part_sent(struct s3_exchange *x)
{
    struct part *part = (struct part *)(void *)x;
    struct upload *u = part->upload;
    part->busy = false;
    if (x->err.code) {
        part_failed(u, part);
        return;
    }
    memcpy(u->etags[part->number], x->request.etag, S3_ETAG);
    u->done++;
    if (u->begun < u->count)
        send_part(part);
    else if (u->done == u->count)
        look(u);
}

static void send_part(struct part *part)
{
    struct upload *u = part->upload;
    struct text text = part->x.request.text;
    char query[48];
    part->number = u->begun++;
    part->busy = true;
    (void)snprintf(query, sizeof query, "?partNumber=%zu&uploadId=", part->number + 1);
    set_target(&part->target, u, query);
    uint64_t skip = part->number * u->part_size, left = u->ask.size - skip;
    part->x = (struct s3_exchange){.request = {.method = S3_PUT,
                                               .headers = S3_BODY,
                                               .counted = METRIC_S3_REQUESTS_PUT,
                                               .target = part->target.at,
                                               .parts = u->ask.parts,
                                               .part_count = u->ask.part_count,
                                               .skip = skip,
                                               .size = left < u->part_size ? left : u->part_size,
                                               .text = text},
                                   .judge = judge_part,
                                   .ended = part_sent,
                                   .persistent = u->ask.persistent,
                                   .deadline_ms = u->ask.deadline_ms,
                                   .deadline_us = u->ask.deadline_us};
    s3_exchange_begin(u->ask.client, &part->x);
}

/* ---- the beginning ---- */

static enum s3_verdict judge_begun(struct s3_exchange *x)
{
    struct upload *u = upload_of(x);
    enum s3_verdict verdict = s3_judge_document(x);
    if (verdict != S3_GOOD)
        return verdict;
    struct arena *arena = arena_new(1024);
    struct str id;
    if (s3_answer_upload(text_str(&x->request.text), arena, &id, &x->err))
        verdict = S3_ODD;
    else
        s3_site_escape(&u->id, id);
    arena_free(arena);
    return verdict;
}

static void begun(struct s3_exchange *x)
{
    struct upload *u = upload_of(x);
    if (x->err.code) {
        u->err = x->err;
        if (u->err.code == ERR_TIMEOUT)
            u->err.code = ERR_UNAVAILABLE; /* one that was begun is nothing yet */
        over(x);
        return;
    }
    for (size_t i = 0; i < AT_ONCE && u->begun < u->count; i++) {
        u->part[i].upload = u;
        send_part(&u->part[i]);
    }
}

void s3_upload_begin(const struct s3_upload *ask)
{
    struct upload *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    u->ask = *ask;
    u->part_size = ask->size / PARTS_MAX + 1 > S3_PART ? ask->size / PARTS_MAX + 1 : S3_PART;
    u->count = (size_t)((ask->size + u->part_size - 1) / u->part_size);
    u->etags = calloc(u->count, sizeof *u->etags);
    if (!u->etags)
        abort();
    prepare(u, S3_POST, S3_NO_BODY, "?uploads=", judge_begun, begun);
    s3_exchange_begin(ask->client, &u->x);
}
