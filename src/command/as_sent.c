/* as_sent.c - see as_sent.h. */
#include "command/as_sent.h"

#include <string.h>

#include "base/text.h"
#include "run/entity.h"
#include "run/render.h"
#include "run/run.h"
#include "run/view.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"
#include "wire/splice.h"

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

/* All that a client can say of a run. */
static const uint64_t sayable =
    SHOW(SHOW_ID) | SHOW(SHOW_TRACE_ID) | SHOW(SHOW_NAME) | SHOW(SHOW_INPUTS) | SHOW(SHOW_OUTPUTS) |
    SHOW(SHOW_RUN_TYPE) | SHOW(SHOW_START_TIME) | SHOW(SHOW_END_TIME) | SHOW(SHOW_ERROR) |
    SHOW(SHOW_EXTRA) | SHOW(SHOW_EVENTS) | SHOW(SHOW_TAGS) | SHOW(SHOW_SERIALIZED) |
    SHOW(SHOW_PARENT_RUN_ID) | SHOW(SHOW_DOTTED_ORDER) | SHOW(SHOW_SESSION_NAME) |
    SHOW(SHOW_REFERENCE_EXAMPLE_ID);

void as_sent_together(struct as_sent *to, const struct view *run, struct arena *arena)
{
    struct splice splice = {.arena = arena};
    uint64_t fields = sayable;
    if (!run->field[RUN_OUTPUTS].at) /* a native run's may not be null */
        fields &= ~SHOW(SHOW_OUTPUTS);
    render_run(&splice, run, fields);
    if (to->lines)
        out_splice_one_line(&to->out, &splice);
    else
        out_splice(&to->out, &splice);
    out_add(&to->out, STR("\n"));
}

static void add_id(struct text *text, const struct run *run)
{
    char id[UUID_TEXT];
    uuid_write(run->id, id);
    text_addf(text, ",\"id\":\"%.*s\"", UUID_TEXT, id);
}

static void add_attachment(struct as_sent *to, const struct run *run, struct text *head)
{
    text_add(head, STR(",\"name\":"));
    json_string_write(head, run_field(run, RUN_NAME));
    text_add(head, STR(",\"type\":"));
    json_string_write(head, run_field(run, RUN_RUN_TYPE));
    text_addf(head, ",\"size\":%zu}\n", run_field(run, RUN_INPUTS).len);
    out_add(&to->out, text_str(head));
}

static void add_fields(struct as_sent *to, const struct run *run, struct text *head)
{
    const char *before = "";
    text_add(head, STR(",\"fields\":{"));
    out_add(&to->out, text_str(head));
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        struct str json = run_field(run, (enum run_field)f);
        if (!json.at)
            continue;
        head->len = 0;
        text_addf(head, "%s\"%.*s\":", before, STR_FMT(run_field_name((enum run_field)f)));
        out_add(&to->out, text_str(head));
        add(to, json);
        before = ",";
    }
    out_add(&to->out, STR("}}\n"));
}

void as_sent_entry(struct as_sent *to, const struct run *run)
{
    static const char *const ops[RUN_KINDS] = {"whole", "post", "patch", "attachment", "entity"};
    struct text head = {0};
    if (run->kind == RUN_WHOLE) {
        as_sent_print(to, run);
        return;
    }
    text_addf(&head, "{\"op\":\"%s\"", ops[run->kind]);
    add_id(&head, run);
    if (run->kind == RUN_ATTACHMENT) {
        add_attachment(to, run, &head);
    } else if (run->kind == RUN_ENTITY) {
        text_addf(&head,
                  ",\"kind\":\"%s\",\"object\":", entity_kind_name((enum entity_kind)run->entity));
        out_add(&to->out, text_str(&head));
        add(to, run->raw.len ? run->raw : STR("null"));
        out_add(&to->out, STR("}\n"));
    } else {
        add_fields(to, run, &head);
    }
    text_free(&head);
}
