/* example.c - see example.h. */
#include "api/example.h"

#include "base/arena.h"
#include "base/text.h"
#include "serve/links.h"
#include "wire/base64.h"
#include "wire/json_string.h"

static const struct shape_member members[] = {
    {"inputs", "{}", SHAPE_OBJECT},
    {"outputs", "null", SHAPE_OBJECT},
    {"source_run_id", "null", SHAPE_ID},
};

const struct shape example_shape = {members, sizeof members / sizeof *members};

static struct json_object object_of(struct str json, struct arena *arena)
{
    struct json_object object = {0};
    struct json_scan scan;
    if (!json.at || json_object_read(json, arena, &object, &scan) != JSON_OBJECT_READ)
        return (struct json_object){0};
    return object;
}

/* --- metadata, of which the splits are a part ------------------------------------------------ */

/* {"dataset_split": [...], ...}: what is said, and its splits, else those it had. */
static void write_metadata(struct text *text, const struct json_object *said,
                           const struct json_object *was, struct arena *arena)
{
    struct str json = json_object_json(said, STR("metadata"));
    struct str split = json_object_json(said, STR("split"));
    struct json_object old = object_of(was ? json_object_json(was, STR("metadata")) : json, arena);
    struct json_object metadata = json.at ? object_of(json, arena) : old;
    struct str inside = json_object_json(&metadata, STR("dataset_split"));
    struct str before = json_object_json(&old, STR("dataset_split"));
    shape_json(text, "metadata", STR("{"));
    if (split.at && split.at[0] == '"') {
        shape_json(text, "dataset_split", STR("["));
        text_add(text, split);
        text_add_char(text, ']');
    } else {
        shape_json(text, "dataset_split",
                   split.at    ? split
                   : inside.at ? inside
                   : before.at ? before
                               : STR("[\"base\"]"));
    }
    for (size_t i = 0; i < metadata.count; i++)
        if (!json_string_is(metadata.members[i].key, STR("dataset_split"))) {
            text_add(text, STR(",\""));
            text_add(text, metadata.members[i].key);
            text_add(text, STR("\":"));
            text_add(text, metadata.members[i].value);
        }
    text_add_char(text, '}');
}

bool example_in_split(const struct json_object *example, const struct str *splits, size_t count,
                      struct arena *arena)
{
    struct json_object metadata = object_of(json_object_json(example, STR("metadata")), arena);
    const struct json_member *member = json_object_get(&metadata, STR("dataset_split"));
    size_t have = 1;
    if (member && member->type == JSON_LIST)
        member = json_list_read(member->value, arena, &have);
    for (size_t i = 0; member && i < have; i++) {
        if (member[i].type != JSON_STRING)
            continue;
        struct str name = json_member_text(&member[i], arena);
        for (size_t k = 0; k < count; k++)
            if (str_eq(splits[k], name))
                return true;
    }
    return false;
}

/* --- files ------------------------------------------------------------------------------------- */

static const struct example_file *file_named(const struct example_file *files, struct str name)
{
    while (files && !str_eq(files->name, name))
        files = files->next;
    return files;
}

/* Which files that were there stay, and under which names. */
struct staying {
    struct json_object rename;
    const struct json_member *retain;
    size_t retain_count;
};

static struct staying staying_of(struct str operations, struct arena *arena)
{
    struct json_object object = object_of(operations, arena);
    struct staying staying = {.rename = object_of(json_object_json(&object, STR("rename")), arena)};
    struct str retain = json_object_json(&object, STR("retain"));
    if (retain.at && retain.at[0] == '[')
        staying.retain = json_list_read(retain, arena, &staying.retain_count);
    return staying;
}

/* What a file that was there is called now; at == NULL: it goes. */
static struct str new_name(const struct staying *staying, struct str name, struct arena *arena)
{
    struct str renamed = json_object_text(&staying->rename, name, arena);
    if (renamed.at)
        return renamed;
    for (size_t i = 0; i < staying->retain_count; i++) {
        const struct json_member *kept = &staying->retain[i];
        if (kept->type == JSON_STRING &&
            json_string_is((struct str){kept->value.at + 1, kept->value.len - 2}, name))
            return name;
    }
    return (struct str){0};
}

static void write_name(struct text *text, struct str name)
{
    if (text->at[text->len - 1] != '{')
        text_add_char(text, ',');
    json_string_write(text, name);
    text_add_char(text, ':');
}

static struct str key_text(const struct json_member *member, struct arena *arena)
{
    char *out = arena_alloc(arena, member->key.len + 1);
    return (struct str){out, json_string_decode(member->key, out)};
}

static void write_files(struct text *text, const struct example_said *said,
                        const struct json_object *was, struct arena *arena)
{
    struct json_object old =
        object_of(was ? json_object_json(was, STR("attachments")) : (struct str){0}, arena);
    const struct staying staying = staying_of(said->operations, arena);
    shape_json(text, "attachments", STR("{"));
    for (size_t i = 0; i < old.count; i++) {
        struct str name = key_text(&old.members[i], arena);
        if (said->operations.at)
            name = new_name(&staying, name, arena);
        if (!name.at || file_named(said->files, name))
            continue;
        write_name(text, name);
        text_add(text, old.members[i].value);
    }
    for (const struct example_file *file = said->files; file; file = file->next) {
        if (file_named(file->next, file->name))
            continue; /* the last of a name */
        write_name(text, file->name);
        text_add_char(text, '{');
        shape_text(text, "mime_type", file->type);
        shape_id(text, "file", file->id);
        text_add_char(text, '}');
    }
    text_add_char(text, '}');
}

bool example_file(const struct entity *example, struct str name, struct arena *arena,
                  struct uuid *file)
{
    struct json_object object = shape_object(example, arena);
    struct json_object files = object_of(json_object_json(&object, STR("attachments")), arena);
    struct json_object found = object_of(json_object_json(&files, name), arena);
    return json_object_id(&found, STR("file"), file);
}

void example_file_write(struct text *text, const struct example_file *file)
{
    text_add_char(text, '{');
    shape_id(text, "id", file->id);
    shape_text(text, "name", file->name);
    shape_text(text, "mime_type", file->type);
    text_add(text, STR(",\"data\":\""));
    base64_write(text, file->data);
    text_add(text, STR("\"}"));
}

bool example_file_read(const struct entity *file, struct arena *arena, struct str *type,
                       struct str *bytes)
{
    struct json_object object = shape_object(file, arena);
    struct str data = json_object_text(&object, STR("data"), arena);
    char *room = arena_alloc(arena, data.len + 1);
    *type = json_object_text(&object, STR("mime_type"), arena);
    bytes->at = room;
    return data.at && base64_read(data, room, &bytes->len);
}

/* --- the whole object ----------------------------------------------------------------------------- */

void example_write(struct text *text, struct uuid id, struct uuid dataset, int64_t made_us,
                   int64_t changed_us, const struct example_said *said,
                   const struct json_object *was, struct arena *arena)
{
    text_add_char(text, '{');
    shape_id(text, "id", id);
    shape_id(text, "dataset_id", dataset);
    shape_time(text, "created_at", made_us);
    shape_time(text, "modified_at", changed_us);
    struct json_member *list = arena_make(arena, struct json_member, said->object.count + 3);
    struct json_object all = {.members = list, .count = said->object.count};
    if (all.count > 0)
        memcpy(list, said->object.members, all.count * sizeof *list);
    if (said->inputs.at)
        list[all.count++] = (struct json_member){STR("inputs"), said->inputs, JSON_OBJECT};
    if (said->outputs.at)
        list[all.count++] = (struct json_member){STR("outputs"), said->outputs, JSON_OBJECT};
    shape_write(&example_shape, &all, false, was, text);
    write_metadata(text, &said->object, was, arena);
    write_files(text, said, was, arena);
    text_add_char(text, '}');
}

/* {"attachment.<name>": {"presigned_url", "mime_type"}, ...}, or null. */
static void show_files(struct text *text, const struct entity *example,
                       const struct json_object *object, const struct links *links,
                       struct arena *arena)
{
    struct json_object files = object_of(json_object_json(object, STR("attachments")), arena);
    if (files.count == 0) {
        shape_json(text, "attachment_urls", STR("null"));
        return;
    }
    shape_json(text, "attachment_urls", STR("{"));
    for (size_t i = 0; i < files.count; i++) {
        struct str name = key_text(&files.members[i], arena);
        struct json_object file = object_of(files.members[i].value, arena);
        struct text word = {0};
        text_add(&word, STR("attachment."));
        text_add(&word, name);
        write_name(text, text_str(&word));
        word.len = 0;
        links_write(links, LINKS_EXAMPLE, example->id, name, &word);
        text_add_char(text, '{');
        shape_text(text, "presigned_url", text_str(&word));
        shape_text(text, "mime_type", json_object_text(&file, STR("mime_type"), arena));
        text_add_char(text, '}');
        text_free(&word);
    }
    text_add_char(text, '}');
}

void example_show(struct text *text, const struct entity *example, const struct links *links,
                  struct arena *arena)
{
    struct json_object was = shape_object(example, arena);
    const struct example_said nothing = {0};
    int64_t changed_us = example->made_us;
    (void)json_object_time(&was, STR("modified_at"), &changed_us);
    text_add_char(text, '{');
    shape_id(text, "id", example->id);
    shape_id(text, "dataset_id", example->parent);
    shape_time(text, "created_at", example->made_us);
    shape_time(text, "modified_at", changed_us);
    shape_write(&example_shape, NULL, false, &was, text);
    write_metadata(text, &nothing.object, &was, arena);
    show_files(text, example, &was, links, arena);
    text_add_char(text, '}');
}
