/* batch_get.c - POST /runs/batch: the runs of a list of ids, in its order.
 *
 * The SDKs send what they have to store to the same path, as an object; the first byte that
 * is not blank tells.
 */
#include <string.h>

#include "api/ask.h"
#include "api/fail.h"
#include "api/handlers.h"
#include "api/media.h"
#include "api/page.h"
#include "base/arena.h"
#include "base/uuid.h"
#include "wire/json_scan.h"

enum { IDS_MAX = 1000, BODY_MAX = 1 << 20 };

static void begun(struct http_request *request)
{
    struct str type = http_header(request, STR("content-type"));
    if (type.at && !media_is(type, "application/json")) {
        http_fail(request, 415, "Unknown Content-Type: send -H 'Content-Type: application/json'");
        return;
    }
    struct form form;
    uint64_t fields;
    if (!ask_form(request, &form) || !ask_fields(request, &form, &fields))
        return;
    http_limit_body(request, BODY_MAX);
    page_new(request, fields);
}

/* The ids of the body, in the request's arena; NULL: it was answered. */
static struct uuid *read_ids(struct http_request *request, struct str body, size_t *count)
{
    struct uuid *ids = arena_make(http_arena(request), struct uuid, IDS_MAX);
    struct json_scan scan;
    size_t blank = 0;
    while (blank < body.len && body.at[blank] && strchr(" \t\r\n", body.at[blank]))
        blank++;
    char first = '\0';
    if (blank < body.len)
        first = body.at[blank];
    if (blank == body.len) {
        fail_value(request, "missing", "body", NULL, "Field required");
        return NULL;
    }
    *count = 0;
    const char *fault = NULL;
    size_t which = 0;
    json_scan_start(&scan, first == '[' ? JSON_ARRAY : JSON_VALUE);
    for (;;) {
        switch (json_scan_next(&scan, body.at, body.len, true)) {
        case JSON_FIELD:
            break;
        case JSON_ITEM:
            if (*count < IDS_MAX && !fault) {
                struct str inside = {body.at + scan.value.at + 1, scan.value.len - 2};
                if (scan.type != JSON_STRING)
                    fault = "uuid_type";
                else if (!uuid_parse(inside, &ids[*count]))
                    fault = "uuid_parsing";
                which = *count;
            }
            ++*count;
            break;
        case JSON_MORE:
        case JSON_FAULT:
            fail_json(request, scan.offset, scan.fault ? scan.fault : "cut short");
            return NULL;
        case JSON_END:
            if (first != '[') {
                fail_value(request, "list_type", "body", NULL, "Input should be a valid list");
                return NULL;
            }
            if (*count > IDS_MAX) {
                http_fail(request, 400, "At most %d ids can be asked for at once; these are %zu",
                          IDS_MAX, *count);
                return NULL;
            }
            if (fault) {
                fail_element(request, fault, which, "Input should be a valid UUID");
                return NULL;
            }
            return ids;
        }
    }
}

static void body(struct http_request *request, struct str piece, bool last)
{
    struct page *page = *http_slot(request);
    if (!page_hear(page, piece)) {
        page_free(page);
        http_fail(request, 429, "Too many bytes are in flight; try again in a moment");
        return;
    }
    if (!last)
        return;
    size_t count = 0;
    struct uuid *ids = read_ids(request, page_question(page), &count);
    if (!ids) {
        page_free(page);
        return;
    }
    page_runs(page)->ids = ids;
    page_runs(page)->id_count = count;
    page_batch(page);
}

const struct http_handler batch_get = {
    .begin = begun, .body = body, .drained = page_drained, .gone = page_gone};

/* Nothing is known before the body is. */
static void either_begun(struct http_request *request)
{
    *http_slot(request) = NULL;
}

static void either_body(struct http_request *request, struct str piece, bool last)
{
    size_t blank = 0;
    while (blank < piece.len && piece.at[blank] && strchr(" \t\r\n", piece.at[blank]))
        blank++;
    bool object = blank < piece.len && piece.at[blank] == '{';
    if (blank < piece.len || last)
        http_hand_over(request, object ? &post_lists : &batch_get, piece, last);
}

static void either_gone(struct http_request *request)
{
    http_release(request);
}

const struct http_handler runs_batch = {
    .begin = either_begun, .body = either_body, .gone = either_gone};
