/* project.c - see project.h. */
#include "run/project.h"

#include "base/text.h"
#include "wire/json_string.h"

/* A field that is a string and not "", decoded into `room`. */
static bool text_of(const struct run *run, enum run_field field, struct text *room,
                    struct str *text)
{
    struct str json = run_field(run, field);
    if (json.len <= 2 || json.at[0] != '"')
        return false;
    room->len = 0;
    char *at = text_room(room, json.len);
    room->len = json_string_decode((struct str){json.at + 1, json.len - 2}, at);
    *text = text_str(room);
    return true;
}

static bool take(struct str *s, struct str word)
{
    if (s->len < word.len || memcmp(s->at, word.at, word.len) != 0)
        return false;
    s->at += word.len;
    s->len -= word.len;
    return true;
}

/* "lrn:agents/a/environments/e" as "a/e", in place. */
static bool name_of_address(struct str address, struct text *room, struct str *name)
{
    if (!take(&address, STR("lrn:agents/")))
        return false;
    struct str middle = STR("/environments/");
    const char *at = memmem(address.at, address.len, middle.at, middle.len);
    if (!at || at == address.at)
        return false;
    size_t agent = (size_t)(at - address.at);
    struct str environment = {at + middle.len, address.len - agent - middle.len};
    if (environment.len == 0 || memchr(environment.at, '/', environment.len) ||
        memchr(address.at, '/', agent))
        return false;
    memmove(room->at, address.at, agent);
    room->at[agent] = '/';
    memmove(room->at + agent + 1, environment.at, environment.len);
    room->len = agent + 1 + environment.len;
    *name = text_str(room);
    return true;
}

struct run_project run_project_name(const struct run *run, struct text *room)
{
    struct run_project none = {.by = RUN_PROJECT_NONE};
    struct str text;
    struct uuid id;
    if (text_of(run, RUN_SESSION_ID, room, &text) && uuid_parse(text, &id))
        return (struct run_project){.by = RUN_PROJECT_ID, .id = id};
    if (text_of(run, RUN_SESSION_NAME, room, &text))
        return (struct run_project){.by = RUN_PROJECT_NAME, .name = text};
    if (text_of(run, RUN_ADDRESS, room, &text) && name_of_address(text, room, &text))
        return (struct run_project){.by = RUN_PROJECT_ADDRESS, .name = text};
    return none;
}
