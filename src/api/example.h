/* example.h - an example of a dataset as the API takes and shows it.
 *
 * Its files are entities of their own, so that a list of examples has not to read them; its
 * object says which: "attachments": {"<name>": {"mime_type", "file"}}.
 *
 * Sources  docs/langsmith.md
 */
#pragma once

#include "api/shape.h"
#include "run/entity.h"

struct links;

extern const struct shape example_shape;

struct example_file {
    struct str name, type;
    struct str data; /* its bytes */
    struct uuid id;
    struct example_file *next;
};

/* What is said of one that is made or changed. */
struct example_said {
    struct json_object object;
    struct str inputs, outputs; /* JSON, instead of what `object` says; at == NULL: that */
    struct example_file *files; /* over those of the same name */
    struct str operations;      /* JSON: which of the old files stay, by which names */
};

/* Append the object that is stored; `was`: or NULL. */
void example_write(struct text *text, struct uuid id, struct uuid dataset, int64_t made_us,
                   int64_t changed_us, const struct example_said *said,
                   const struct json_object *was, struct arena *arena);

/* Append the object that is shown; its files as addresses. */
void example_show(struct text *text, const struct entity *example, const struct links *links,
                  struct arena *arena);

/* Its file of that name; false: there is none. */
bool example_file(const struct entity *example, struct str name, struct arena *arena,
                  struct uuid *file);

/* What is stored of a file, bytes in base64; and back. */
void example_file_write(struct text *text, const struct example_file *file);
bool example_file_read(const struct entity *file, struct arena *arena, struct str *type,
                       struct str *bytes);

/* Is it in one of these splits of its dataset? */
bool example_in_split(const struct json_object *example, const struct str *splits, size_t count,
                      struct arena *arena);
