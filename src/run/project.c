/* project.c - see project.h. */
#include "run/project.h"

#include <string.h>

#include "base/text.h"
#include "run/run.h"
#include "wire/json_string.h"

/* The text of a field that is a JSON string, appended; false when it is none, or empty. */
static bool add_text_of(const struct run *run, enum run_field field, struct text *text,
                        struct str *added)
{
    struct str json = run_field(run, field);
    if (json.len < 3 || json.at[0] != '"')
        return false;
    size_t before = text->len;
    char *room = text_room(text, json.len);
    size_t len = json_string_decode((struct str){json.at + 1, json.len - 2}, room);
    text->len += len;
    *added = (struct str){text->at + before, len};
    return len > 0;
}

/* <agent>/<environment> in the place of the address. */
static bool shorten(struct str address, struct text *text)
{
    static const char head[] = "lrn:agents/", middle[] = "/environments/";
    size_t start = (size_t)(address.at - text->at);
    if (address.len <= sizeof head - 1 || memcmp(address.at, head, sizeof head - 1) != 0)
        return false;
    const char *agent = address.at + sizeof head - 1, *end = address.at + address.len;
    const char *cut = memmem(agent, (size_t)(end - agent), middle, sizeof middle - 1);
    if (!cut || cut == agent || cut + sizeof middle - 1 == end)
        return false;
    size_t agent_len = (size_t)(cut - agent);
    const char *environment = cut + sizeof middle - 1;
    size_t environment_len = (size_t)(end - environment);
    if (memchr(agent, '/', agent_len) || memchr(environment, '/', environment_len))
        return false;
    memmove(text->at + start, agent, agent_len);
    text->at[start + agent_len] = '/';
    memmove(text->at + start + agent_len + 1, environment, environment_len);
    text->len = start + agent_len + 1 + environment_len;
    return true;
}

enum project_said project_said(const struct run *run, struct text *name, struct uuid *id)
{
    size_t before = name->len;
    struct str text;
    if (add_text_of(run, RUN_SESSION_ID, name, &text) && uuid_parse(text, id)) {
        name->len = before;
        return PROJECT_BY_ID;
    }
    name->len = before;
    if (add_text_of(run, RUN_SESSION_NAME, name, &text)) {
        if (!str_eq(text, STR("default")))
            return PROJECT_BY_NAME;
        name->len = before;
        return PROJECT_UNSAID;
    }
    name->len = before;
    if (add_text_of(run, RUN_ADDRESS, name, &text) && shorten(text, name))
        return PROJECT_BY_NAME;
    name->len = before;
    return PROJECT_UNSAID;
}

bool project_is_by_id(const struct run *run, struct uuid *id)
{
    struct text text = {0};
    if (run->kind > RUN_PATCH || !(run->present & UINT32_C(1) << RUN_SESSION_ID))
        return false;
    bool is = project_said(run, &text, id) == PROJECT_BY_ID;
    text_free(&text);
    return is;
}
