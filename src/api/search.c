/* search.c - GET /runs/search: a page of runs by trace, by name, or both. */
#include "api/ask.h"
#include "api/handlers.h"
#include "api/page.h"

static void begun(struct http_request *request)
{
    struct form form;
    struct query query;
    uint64_t fields;
    bool strong;
    if (!ask_form(request, &form) || !ask_query(request, &form, &query) ||
        !ask_fields(request, &form, &fields) || !ask_strong(request, &form, &strong))
        return;
    struct page *page = page_new(request, fields);
    page_runs(page)->query = query;
    page_runs(page)->strong = strong;
    page_search(page);
}

const struct http_handler search = {.begin = begun, .drained = page_drained, .gone = page_gone};
