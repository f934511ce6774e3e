/* as_sent.c - see as_sent.h. */
#include "command/as_sent.h"

#include <string.h>

#include "run/run.h"
#include "wire/rfc3339.h"

static void add(struct as_sent *to, struct str json)
{
    if (to->lines)
        out_add_one_line(&to->out, json);
    else
        out_add(&to->out, json);
}

static void add_time(struct as_sent *to, struct str name, int64_t us)
{
    char time[RFC3339_SIZE];
    add(to, STR("\""));
    add(to, name);
    add(to, STR("\":\""));
    add(to, rfc3339_write(us, time));
    add(to, STR("\","));
}

/* The members behind the opening brace; before them, with --times, the times
 * that were not sent. */
static void add_members(struct as_sent *to, const struct run *run, struct str members)
{
    if (to->times && !run_field(run, RUN_START_TIME).at)
        add_time(to, run_field_name(RUN_START_TIME), run->start_us);
    if (to->times && !run_field(run, RUN_END_TIME).at)
        add_time(to, run_field_name(RUN_END_TIME), run->end_us);
    add(to, members);
}

void as_sent_print(struct as_sent *to, const struct run *run)
{
    char text[] = "{\"id\":\"00000000-0000-0000-0000-000000000000\",";
    struct str id = run_field(run, RUN_ID), raw = run->raw;
    uuid_write(run->id, text + strlen("{\"id\":\""));
    if (!id.at) {
        add(to, (struct str){text, sizeof text - 1});
        add_members(to, run, (struct str){raw.at + 1, raw.len - 1});
    } else if (id.at[0] == '"') {
        add(to, STR("{"));
        add_members(to, run, (struct str){raw.at + 1, raw.len - 1});
    } else {
        size_t before = (size_t)(id.at - raw.at), quoted = UUID_TEXT + 2;
        add(to, STR("{"));
        add_members(to, run, (struct str){raw.at + 1, before - 1});
        add(to, (struct str){text + strlen("{\"id\":"), quoted});
        add(to, (struct str){id.at + id.len, raw.len - before - id.len});
    }
    out_add(&to->out, STR("\n"));
}
