/* render.c - see render.h. */
#include "run/render.h"

#include <assert.h>
#include <string.h>

#include "wire/json_string.h"
#include "wire/rfc3339.h"
#include "wire/splice.h"

static const struct str names[SHOWS] = {
    [SHOW_ID] = {"id", 2},
    [SHOW_TRACE_ID] = {"trace_id", 8},
    [SHOW_NAME] = {"name", 4},
    [SHOW_INPUTS] = {"inputs", 6},
    [SHOW_OUTPUTS] = {"outputs", 7},
    [SHOW_METADATA] = {"metadata", 8},
    [SHOW_RUN_TYPE] = {"run_type", 8},
    [SHOW_STATUS] = {"status", 6},
    [SHOW_START_TIME] = {"start_time", 10},
    [SHOW_END_TIME] = {"end_time", 8},
    [SHOW_ERROR] = {"error", 5},
    [SHOW_EXTRA] = {"extra", 5},
    [SHOW_EVENTS] = {"events", 6},
    [SHOW_TAGS] = {"tags", 4},
    [SHOW_SERIALIZED] = {"serialized", 10},
    [SHOW_PARENT_RUN_ID] = {"parent_run_id", 13},
    [SHOW_PARENT_RUN_IDS] = {"parent_run_ids", 14},
    [SHOW_DOTTED_ORDER] = {"dotted_order", 12},
    [SHOW_SESSION_NAME] = {"session_name", 12},
    [SHOW_SESSION_ID] = {"session_id", 10},
    [SHOW_REFERENCE_EXAMPLE_ID] = {"reference_example_id", 20},
};

enum show show_named(struct str name)
{
    for (unsigned f = 0; f < SHOWS; f++)
        if (str_eq(names[f], name))
            return (enum show)f;
    return SHOWS;
}

static void add_uuid(struct splice *splice, struct uuid id)
{
    char text[UUID_TEXT + 2];
    text[0] = text[UUID_TEXT + 1] = '"';
    uuid_write(id, text + 1);
    splice_add(splice, (struct str){text, sizeof text});
}

static void add_word(struct splice *splice, struct str word)
{
    splice_add(splice, STR("\""));
    splice_add(splice, word);
    splice_add(splice, STR("\""));
}

static void add_time(struct splice *splice, int64_t us)
{
    if (us == RUN_RUNNING) {
        splice_add(splice, STR("null"));
        return;
    }
    char text[RFC3339_SIZE];
    add_word(splice, rfc3339_write(us, text));
}

static void add_sent(struct splice *splice, const struct run *run, enum run_field field,
                     struct str otherwise)
{
    struct str json = run_field(run, field);
    splice_view(splice, json.at ? json : otherwise);
}

/* extra.metadata is the metadata: put it there when it was sent beside it. */
static void add_extra(struct splice *splice, const struct run *run)
{
    struct str extra = run_field(run, RUN_EXTRA), metadata = run_field(run, RUN_METADATA);
    bool inside =
        extra.at && metadata.at && metadata.at > extra.at && metadata.at < extra.at + extra.len;
    bool object = extra.at && extra.at[0] == '{';
    if (!metadata.at || inside) {
        splice_view(splice, extra.at ? extra : STR("null"));
        return;
    }
    splice_add(splice, STR("{\"metadata\":"));
    splice_view(splice, metadata);
    if (object) {
        struct str rest = {extra.at + 1, extra.len - 1}; /* "...}" */
        size_t blank = strspn(rest.at, " \t\r\n");
        if (rest.at[blank] != '}')
            splice_add(splice, STR(","));
        splice_view(splice, rest);
    } else {
        splice_add(splice, STR("}"));
    }
}

/* What LangSmith derives: <start>Z<id> for the top of a trace.  Below it the
 * client's own word is needed. */
static void add_dotted_order(struct splice *splice, const struct run *run)
{
    struct str sent = run_field(run, RUN_DOTTED_ORDER);
    if ((sent.at && sent.at[0] == '"') || !uuid_is_zero(run->parent)) {
        splice_view(splice, sent.at ? sent : STR("null"));
        return;
    }
    char time[RFC3339_SIZE], text[64], *p = text;
    struct str start = rfc3339_write(run->start_us, time);
    *p++ = '"';
    for (size_t i = 0; i < start.len; i++)
        if (!strchr("-:.", start.at[i]))
            *p++ = start.at[i];
    uuid_write(run->id, p);
    p += UUID_TEXT;
    *p++ = '"';
    splice_add(splice, (struct str){text, (size_t)(p - text)});
}

/* The ancestors, root first: all but the last segment of the dotted order. */
static void add_parents(struct splice *splice, const struct run *run)
{
    struct str order = run_field(run, RUN_DOTTED_ORDER);
    bool any = false;
    splice_add(splice, STR("["));
    for (size_t at = 1; order.at && at < order.len;) {
        const char *dot = memchr(order.at + at, '.', order.len - at);
        if (!dot)
            break;
        size_t end = (size_t)(dot - order.at);
        struct uuid id;
        if (end - at < UUID_TEXT || !uuid_parse((struct str){dot - UUID_TEXT, UUID_TEXT}, &id))
            break;
        if (any)
            splice_add(splice, STR(","));
        add_uuid(splice, id);
        any = true;
        at = end + 1;
    }
    if (!any && !uuid_is_zero(run->parent))
        add_uuid(splice, run->parent);
    splice_add(splice, STR("]"));
}

struct str render_field(const struct run *run, enum show field)
{
    assert(field == SHOW_INPUTS || field == SHOW_OUTPUTS || field == SHOW_METADATA);
    struct str json = run_field(run, field == SHOW_INPUTS    ? RUN_INPUTS
                                     : field == SHOW_OUTPUTS ? RUN_OUTPUTS
                                                             : RUN_METADATA);
    return json.at ? json : STR("{}");
}

static void add_value(struct splice *splice, const struct run *run, enum show field)
{
    switch (field) {
    case SHOW_ID:
        add_uuid(splice, run->id);
        return;
    case SHOW_TRACE_ID:
        add_uuid(splice, run->trace);
        return;
    case SHOW_NAME:
        add_sent(splice, run, RUN_NAME, STR("\"\""));
        return;
    case SHOW_INPUTS:
    case SHOW_OUTPUTS:
    case SHOW_METADATA:
        splice_view(splice, render_field(run, field));
        return;
    case SHOW_RUN_TYPE:
        add_word(splice, run_type_name(run->type));
        return;
    case SHOW_STATUS:
        add_word(splice, run_status_name(run->status));
        return;
    case SHOW_START_TIME:
        add_time(splice, run->start_us);
        return;
    case SHOW_END_TIME:
        add_time(splice, run->end_us);
        return;
    case SHOW_ERROR:
        add_sent(splice, run, RUN_ERROR_TEXT, STR("null"));
        return;
    case SHOW_EXTRA:
        add_extra(splice, run);
        return;
    case SHOW_EVENTS:
        add_sent(splice, run, RUN_EVENTS, STR("null"));
        return;
    case SHOW_TAGS:
        add_sent(splice, run, RUN_TAGS, STR("null"));
        return;
    case SHOW_SERIALIZED:
        add_sent(splice, run, RUN_SERIALIZED, STR("null"));
        return;
    case SHOW_PARENT_RUN_ID:
        if (uuid_is_zero(run->parent))
            splice_add(splice, STR("null"));
        else
            add_uuid(splice, run->parent);
        return;
    case SHOW_PARENT_RUN_IDS:
        add_parents(splice, run);
        return;
    case SHOW_DOTTED_ORDER:
        add_dotted_order(splice, run);
        return;
    case SHOW_SESSION_NAME: {
        struct str json = run_field(run, RUN_SESSION_NAME);
        splice_view(splice, json.at && json.at[0] == '"' ? json : STR("\"default\""));
        return;
    }
    case SHOW_SESSION_ID:
        add_sent(splice, run, RUN_SESSION_ID, STR("null"));
        return;
    case SHOW_REFERENCE_EXAMPLE_ID:
        add_sent(splice, run, RUN_REFERENCE_EXAMPLE_ID, STR("null"));
        return;
    case SHOWS:
        break;
    }
    assert(field < SHOWS);
}

void render_run(struct splice *splice, const struct run *run, uint32_t fields)
{
    char before = '{';
    for (unsigned f = 0; f < SHOWS; f++) {
        if (!(fields & UINT32_C(1) << f))
            continue;
        splice_add(splice, (struct str){&before, 1});
        before = ',';
        add_word(splice, names[f]);
        splice_add(splice, STR(":"));
        add_value(splice, run, (enum show)f);
    }
    splice_add(splice, STR("}"));
}
