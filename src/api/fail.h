/* fail.h - what went wrong, as the API says it.
 *
 * The one place that turns error codes into HTTP, and faults of a batch into
 * the list that clients of the original service know how to read.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "http/http.h"
#include "run/batch.h"

/* An error of a journey. */
void fail_err(struct http_request *request, const struct err *err);

/* The same as the LangSmith SDKs know to read it. */
void fail_layers(struct http_request *request, const struct err *err);

/* A batch that was refused. */
void fail_batch(struct http_request *request, enum batch_state state,
                const struct batch_refusal *refusal);

/* 422 with one fault: loc [place, name]. */
void fail_value(struct http_request *request, const char *type, const char *place, const char *name,
                const char *message);

/* 422 for the i-th element of a body that is a list. */
void fail_element(struct http_request *request, const char *type, size_t i, const char *message);

/* 422 for a field of the i-th run. */
void fail_run(struct http_request *request, const char *type, size_t i, const char *field,
              const char *message);

/* 422 for the i-th item of a list that is a member of the body. */
void fail_item(struct http_request *request, const char *type, const char *name, size_t i,
               const char *message);

/* 422 for a body that is not JSON. */
void fail_json(struct http_request *request, size_t offset, const char *what);
