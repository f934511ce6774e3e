/* ask.h - what a request asks for: ids, fields, pages.
 *
 * Each answers the request itself when what was asked for makes no sense, and
 * returns false.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "http/http.h"
#include "run/query.h"
#include "wire/form.h"

/* The query string. */
bool ask_form(struct http_request *request, struct form *form);

/* The run id in the path. */
bool ask_id(struct http_request *request, struct uuid *id);

/* fields=a,b: bits of enum show; id is always among them; all when absent. */
bool ask_fields(struct http_request *request, const struct form *form, uint64_t *fields);

/* trace_id, name, limit, cursor. */
/* consistency=strong: nothing that any node acknowledged before may be missed. */
bool ask_strong(struct http_request *request, const struct form *form, bool *strong);
bool ask_query(struct http_request *request, const struct form *form, struct query *query);
