/* fail.c - see fail.h. */
#include "api/fail.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include "wire/json_string.h"

static const struct {
    const char *type, *message;
} fault_words[FAULT_KINDS] = {
    [FAULT_MISSING] = {"missing", "Field required"},
    [FAULT_UUID_PARSING] = {"uuid_parsing", "Input should be a valid UUID"},
    [FAULT_UUID_TYPE] = {"uuid_type", "UUID input should be a string"},
    [FAULT_STRING_TYPE] = {"string_type", "Input should be a valid string"},
    [FAULT_DICT_TYPE] = {"dict_type", "Input should be a valid dictionary"},
    [FAULT_DATETIME_PARSING] = {"datetime_parsing",
                                "Input should be an RFC 3339 time or whole milliseconds"},
    [FAULT_LIST_TYPE] = {"list_type", "Input should be a valid list"},
    [FAULT_ENUM] = {"enum", "Input should be 'tool', 'chain', 'llm', 'retriever', 'embedding', "
                            "'prompt' or 'parser'"},
    [FAULT_DUPLICATE_FIELD] = {"duplicate_field", "Field is given more than once"},
    [FAULT_STRING_TOO_LONG] = {"string_too_long", "String should have at most 8192 bytes"},
};

static int status_of(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return 400;
    case ERR_DENIED:
        return 401;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_TOO_BIG:
        return 413;
    case ERR_FULL:
        return 507;
    case ERR_BUSY:
        return 429;
    case ERR_TIMEOUT:
    case ERR_UNAVAILABLE:
    case ERR_IO:
        return 503;
    case ERR_CORRUPT:
    case ERR_OK:
    case ERR_CODES:
        break;
    }
    return 500;
}

void fail_err(struct http_request *request, const struct err *err)
{
    int status = status_of(err->code);
    if (err->code == ERR_BUSY)
        metric_add(METRIC_HTTP_REFUSED_BUSY, 1);
    if (status >= 500)
        log_event(LOG_ERROR, "request_failed", LOG_N("request_id", http_request_id(request)),
                  LOG_C("code", err_word(err->code)), LOG_C("reason", err->text));
    if (err->code == ERR_CORRUPT || err->code == ERR_IO) /* paths and offsets are the operator's */
        http_fail(request, status, "%s; the server's log says more under request_id %llu",
                  err->code == ERR_CORRUPT ? "What is stored of this failed its check or is missing"
                                           : "The disk failed",
                  (unsigned long long)http_request_id(request));
    else
        http_fail(request, status, "%s", err->text);
}

void fail_layers(struct http_request *request, const struct err *err)
{
    if (err->code == ERR_INVALID) {
        http_fail(request, 422, "%s", err->text);
        return;
    }
    if (err->code == ERR_TOO_BIG)
        metric_add(METRIC_HTTP_REFUSED_LIMIT, 1);
    if (err->code == ERR_FULL) /* SDKs try again after a 503, and know no 507 */
        http_fail(request, 503, "%s", err->text);
    else
        fail_err(request, err);
}

static void reply_422(struct http_request *request, struct text *body)
{
    struct http_field type = {STR("Content-Type"), STR("application/json")};
    struct buf *buf = text_to_buf(body);
    text_free(body);
    struct http_piece piece = {buf, {buf->at, buf->len}};
    http_reply(request, 422, &type, 1, &piece, 1);
}

/* One member of "detail", its loc open: the caller adds what follows "body". */
static void begin_fault(struct text *body, const char *type)
{
    text_add(body, body->len ? STR(",") : STR("{\"detail\":["));
    text_addf(body, "{\"type\":\"%s\",\"loc\":[", type);
}

static void end_fault(struct text *body, const char *message)
{
    text_add(body, STR("],\"msg\":"));
    json_string_write(body, (struct str){message, strlen(message)});
    text_add_char(body, '}');
}

void fail_value(struct http_request *request, const char *type, const char *place, const char *name,
                const char *message)
{
    struct text body = {0};
    begin_fault(&body, type);
    text_addf(&body, "\"%s\"", place);
    if (name)
        text_addf(&body, ",\"%s\"", name);
    end_fault(&body, message);
    text_add(&body, STR("]}"));
    reply_422(request, &body);
}

void fail_element(struct http_request *request, const char *type, size_t i, const char *message)
{
    struct text body = {0};
    begin_fault(&body, type);
    text_addf(&body, "\"body\",%zu", i);
    end_fault(&body, message);
    text_add(&body, STR("]}"));
    reply_422(request, &body);
}

void fail_run(struct http_request *request, const char *type, size_t i, const char *field,
              const char *message)
{
    struct text body = {0};
    begin_fault(&body, type);
    text_addf(&body, "\"body\",%zu,\"%s\"", i, field);
    end_fault(&body, message);
    text_add(&body, STR("]}"));
    reply_422(request, &body);
}

void fail_item(struct http_request *request, const char *type, const char *name, size_t i,
               const char *message)
{
    struct text body = {0};
    begin_fault(&body, type);
    text_addf(&body, "\"body\",\"%s\",%zu", name, i);
    end_fault(&body, message);
    text_add(&body, STR("]}"));
    reply_422(request, &body);
}

void fail_json(struct http_request *request, size_t offset, const char *what)
{
    struct text body = {0};
    text_addf(&body,
              "{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],"
              "\"msg\":\"JSON decode error\",\"ctx\":{\"error\":",
              offset);
    json_string_write(&body, (struct str){what, strlen(what)});
    text_add(&body, STR("}}]}"));
    reply_422(request, &body);
}

static void fail_faults(struct http_request *request, const struct batch_refusal *refusal)
{
    struct text body = {0};
    for (size_t i = 0; i < refusal->fault_count; i++) {
        const struct batch_fault *f = &refusal->faults[i];
        begin_fault(&body, fault_words[f->kind].type);
        text_addf(&body, "\"body\",%zu", f->index);
        if (f->field != RUN_FIELDS)
            text_addf(&body, ",\"%.*s\"", STR_FMT(run_field_name(f->field)));
        end_fault(&body, fault_words[f->kind].message);
    }
    text_add(&body, STR("]}"));
    reply_422(request, &body);
}

void fail_batch(struct http_request *request, enum batch_state state,
                const struct batch_refusal *refusal)
{
    switch (state) {
    case BATCH_NO_BODY:
        fail_value(request, "missing", "body", NULL, "Field required");
        return;
    case BATCH_NOT_JSON:
        fail_json(request, refusal->offset, refusal->what);
        return;
    case BATCH_NOT_A_LIST:
        fail_value(request, "list_type", "body", NULL, "Input should be a valid list");
        return;
    case BATCH_EMPTY:
        http_fail(request, 400, "No runs provided");
        return;
    case BATCH_FAULTY:
        fail_faults(request, refusal);
        return;
    case BATCH_TOO_BIG:
        metric_add(METRIC_HTTP_REFUSED_LIMIT, 1);
        http_fail(request, 413, "%s", refusal->what);
        return;
    case BATCH_BUSY:
        metric_add(METRIC_HTTP_REFUSED_BUSY, 1);
        http_fail(request, 429, "Too many bytes are in flight; try again in a moment");
        return;
    case BATCH_READING:
    case BATCH_AN_OBJECT:
    case BATCH_READY:
        break;
    }
    http_fail(request, 500, "a refusal without a reason");
}
