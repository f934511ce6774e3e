/* web_links.c - addresses of LangSmith's own page, which clients of its API make of the ids we
 * give them: they lead to ours.
 *
 *     /o/{tenant}/projects/p/{project}/r/{run}?trace_id={trace}
 *     /o/{tenant}/projects/p/{project}
 *
 * Nothing is looked up, so nothing is told to who has no key.
 */
#include <stdio.h>

#include "api/handlers.h"
#include "base/uuid.h"
#include "wire/form.h"

static void lead_to(struct http_request *request, struct str address)
{
    struct http_field fields[] = {{STR("Location"), address},
                                  {STR("Cache-Control"), STR("no-store")}};
    http_reply(request, 302, fields, sizeof fields / sizeof fields[0], NULL, 0);
}

/* Of a run whose trace is not said it is its own. */
static struct uuid trace_of(struct http_request *request, struct uuid run)
{
    struct form form = {0};
    struct uuid trace;
    if (form_parse(http_query(request), http_arena(request), &form, NULL) ||
        !uuid_parse(form_get(&form, STR("trace_id")), &trace))
        return run;
    return trace;
}

static void run_link(struct http_request *request)
{
    struct uuid run;
    char of_run[UUID_TEXT], of_trace[UUID_TEXT], address[128];
    if (!uuid_parse(http_part(request, 2), &run)) {
        http_fail(request, 404, "The address of a run ends in its id");
        return;
    }
    uuid_write(run, of_run);
    uuid_write(trace_of(request, run), of_trace);
    int len = snprintf(address, sizeof address, "/ui/traces/%.*s?run=%.*s", UUID_TEXT, of_trace,
                       UUID_TEXT, of_run);
    lead_to(request, (struct str){address, (size_t)len});
}

static void project_link(struct http_request *request)
{
    lead_to(request, STR("/ui/projects"));
}

static void released(struct http_request *request)
{
    http_release(request);
}

const struct http_handler get_run_link = {.begin = run_link, .gone = released};
const struct http_handler get_project_link = {.begin = project_link, .gone = released};
