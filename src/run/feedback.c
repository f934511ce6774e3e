/* feedback.c - see feedback.h. */
#include "run/feedback.h"

#include <math.h>

#include "base/arena.h"
#include "base/text.h"
#include "run/entity.h"
#include "run/filter.h"
#include "wire/json_object.h"
#include "wire/json_string.h"

enum { SOURCES = 8 };

struct label {
    struct str text;
    size_t count;
    struct label *next;
};

struct feedback_key {
    struct str name;
    size_t n, errors, scores;
    double mean, squares, min, max; /* squares: of the differences from the mean */
    struct label *values;
    size_t value_count;
    struct str comments[FEEDBACK_COMMENTS];
    size_t comment_count;
    struct str sources[SOURCES];
    size_t source_count;
    struct feedback_key *next;
};

static struct feedback_key *key_of(struct feedback_tally *tally, struct str name,
                                   struct arena *arena)
{
    for (struct feedback_key *key = tally->keys; key; key = key->next)
        if (str_eq(key->name, name))
            return key;
    if (tally->count == FEEDBACK_KEYS)
        return NULL;
    struct feedback_key *key = arena_make(arena, struct feedback_key, 1);
    key->name = arena_copy(arena, name);
    if (tally->last)
        tally->last->next = key;
    else
        tally->keys = key;
    tally->last = key;
    tally->count++;
    return key;
}

static void add_score(struct feedback_key *key, double score)
{
    double difference = score - key->mean;
    key->min = key->scores == 0 || score < key->min ? score : key->min;
    key->max = key->scores == 0 || score > key->max ? score : key->max;
    key->scores++;
    key->mean += difference / (double)key->scores;
    key->squares += difference * (score - key->mean);
}

static struct str cut(struct str text)
{
    if (text.len <= FEEDBACK_TEXT)
        return text;
    size_t len = FEEDBACK_TEXT;
    while (len > 0 && ((unsigned char)text.at[len] & 0xc0) == 0x80)
        len--;
    return (struct str){text.at, len};
}

static void add_value(struct feedback_key *key, struct str value, struct arena *arena)
{
    struct label **at = &key->values;
    for (; *at; at = &(*at)->next)
        if (str_eq((*at)->text, value)) {
            (*at)->count++;
            return;
        }
    if (key->value_count == FEEDBACK_VALUES)
        return;
    key->value_count++;
    *at = arena_make(arena, struct label, 1);
    **at = (struct label){.text = arena_copy(arena, value), .count = 1};
}

static void add_source(struct feedback_key *key, struct str source, struct arena *arena)
{
    for (size_t i = 0; i < key->source_count; i++)
        if (str_eq(key->sources[i], source))
            return;
    if (key->source_count < SOURCES)
        key->sources[key->source_count++] = arena_copy(arena, source);
}

/* A label that is no text is its JSON. */
static struct str value_of(const struct json_object *object, struct arena *arena)
{
    struct str text = json_object_text(object, STR("value"), arena);
    return text.at ? text : json_object_json(object, STR("value"));
}

static void read_object(struct feedback_key *key, struct str json, struct arena *arena)
{
    struct json_object object, source;
    struct json_scan scan;
    struct arena *own = arena_new(1024);
    if (json_object_read(json, own, &object, &scan) == JSON_OBJECT_READ) {
        struct str value = value_of(&object, own);
        struct str comment = json_object_text(&object, STR("comment"), own);
        const struct json_member *error = json_object_get(&object, STR("error"));
        key->errors += error && error->type == JSON_TRUE;
        if (value.at)
            add_value(key, cut(value), arena);
        if (comment.len > 0 && key->comment_count < FEEDBACK_COMMENTS)
            key->comments[key->comment_count++] = arena_copy(arena, cut(comment));
        struct str from = json_object_json(&object, STR("feedback_source"));
        if (from.at && json_object_read(from, own, &source, &scan) == JSON_OBJECT_READ) {
            struct str type = json_object_text(&source, STR("type"), own);
            if (type.len > 0)
                add_source(key, cut(type), arena);
        }
    }
    arena_free(own);
}

void feedback_add(struct feedback_tally *tally, const struct entity *feedback, struct arena *arena)
{
    struct feedback_key *key = key_of(tally, feedback->name, arena);
    struct filter_cell score;
    if (!key)
        return;
    key->n++;
    entity_score(feedback, &score);
    if (score.present && isfinite(score.value.decimal))
        add_score(key, score.value.decimal);
    read_object(key, feedback->json, arena);
}

/* --- as JSON ---------------------------------------------------------------- */

static void write_number(struct text *text, const char *name, bool is, double number)
{
    text_addf(text, ",\"%s\":", name);
    if (is && isfinite(number))
        text_addf(text, "%.15g", number);
    else
        text_add(text, STR("null"));
}

static void write_list(struct text *text, const char *name, const struct str *items, size_t count)
{
    text_addf(text, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add_char(text, ',');
        json_string_write(text, items[i]);
    }
    text_add_char(text, ']');
}

static void write_key(struct text *text, const struct feedback_key *key)
{
    bool any = key->scores > 0, spread = key->scores > 1;
    text_addf(text, "{\"n\":%zu", key->n);
    write_number(text, "avg", any, key->mean);
    write_number(text, "stdev", spread,
                 spread ? sqrt(key->squares / (double)(key->scores - 1)) : 0);
    write_number(text, "min", any, key->min);
    write_number(text, "max", any, key->max);
    text_addf(text, ",\"errors\":%zu,\"values\":{", key->errors);
    for (const struct label *label = key->values; label; label = label->next) {
        json_string_write(text, label->text);
        text_addf(text, ":%zu%s", label->count, label->next ? "," : "");
    }
    text_add_char(text, '}');
    write_list(text, "comments", key->comments, key->comment_count);
    write_list(text, "sources", key->sources, key->source_count);
    text_add(text, STR(",\"contains_thread_feedback\":false}"));
}

void feedback_write(const struct feedback_tally *tally, struct text *text)
{
    text_add_char(text, '{');
    for (const struct feedback_key *key = tally->keys; key; key = key->next) {
        json_string_write(text, key->name);
        text_add_char(text, ':');
        write_key(text, key);
        if (key->next)
            text_add_char(text, ',');
    }
    text_add_char(text, '}');
}
