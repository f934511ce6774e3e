/* facts.c - what is taken out of a layer, see facts.h.
 *
 * Runs on the loop that takes in requests, for every layer: nothing is allocated but what
 * `text` needs, a field is gone through once, and of a payload only the beginning where
 * nothing is to be found in it.
 */
#include "run/facts.h"

#include "base/text.h"
#include "run/facts_section.h"
#include "run/facts_text.h"
#include "run/facts_usage.h"
#include "wire/json_string.h"
#include "wire/json_walk.h"
#include "wire/rfc3339.h"

/* --- sections ------------------------------------------------------------ */

static void end_unless_empty(struct facts_writer *w)
{
    if (section_size(w))
        section_end(w);
    else
        section_drop(w);
}

static void end_field(struct facts_writer *w)
{
    if (w->cut) {
        section_begin(w, SECTION_CUT);
        section_end(w);
    }
    w->cut = false;
}

static struct facts_out body_of(struct facts_writer *w, size_t most)
{
    return (struct facts_out){.text = w->text, .left = most, .whole = true};
}

/* --- JSON ------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The field, without white space around it, when it says something; else at == NULL. */
static struct str given(const struct run *run, enum run_field field)
{
    struct str json = run_field(run, field);
    while (json.len && is_space(json.at[0])) {
        json.at++;
        json.len--;
    }
    while (json.len && is_space(json.at[json.len - 1]))
        json.len--;
    return json.len && json.at[0] != 'n' ? json : (struct str){0};
}

static bool is_string(struct str json)
{
    return json.len >= 2 && json.at[0] == '"';
}

/* A string of at most `size` bytes before it is decoded into `room`. */
static bool short_text(struct str json, char *room, size_t size, struct str *text)
{
    if (!is_string(json) || json.len - 2 > size)
        return false;
    *text = (struct str){room, json_string_decode((struct str){json.at + 1, json.len - 2}, room)};
    return true;
}

/* --- fields that are texts -------------------------------------------------- */

static void take_preview(struct facts_writer *w, struct str json)
{
    if (!json.at)
        return;
    section_begin(w, SECTION_TEXT);
    struct facts_out out = body_of(w, FACTS_PREVIEW);
    facts_add_preview(&out, json);
    w->cut |= !out.whole;
    end_unless_empty(w);
}

static void take_text(struct facts_writer *w, struct str json)
{
    if (!is_string(json))
        return;
    section_begin(w, SECTION_TEXT);
    struct facts_out out = body_of(w, FACTS_SOURCE);
    facts_add_value(&out, json);
    /* A character that may stand for what cannot be text: who shows it needs what was sent. */
    static const char stand_in[] = "\xef\xbf\xbd";
    const char *text = w->text->at + w->text->len - section_size(w);
    w->cut |= !out.whole || memmem(text, section_size(w), stand_in, sizeof stand_in - 1);
    end_unless_empty(w);
}

/* --- usage ------------------------------------------------------------------ */

static void put_usage(struct facts_writer *w, const struct facts_found *found)
{
    w->cut |= found->cut < found->rank;
    if (found->rank == RANK_NONE)
        return;
    section_begin(w, SECTION_USAGE);
    text_add_char(w->text, (char)found->rank);
    text_add(w->text, found->json);
    section_end(w);
}

/* --- metadata --------------------------------------------------------------- */

/* The object whose members are the pairs; at == NULL: there is none. */
static struct str metadata_of(const struct run *run)
{
    struct str extra = given(run, RUN_EXTRA), beside = given(run, RUN_METADATA);
    struct str metadata = {0}, key;
    if (!extra.at || (run->kind == RUN_WHOLE && beside.at)) {
        metadata = beside;
    } else {
        struct json_walk walk = json_walk(extra);
        if (json_walk_object(&walk))
            while (json_walk_member(&walk, &key)) {
                struct str value = json_walk_value(&walk);
                if (json_key_is(key, STR("metadata")))
                    metadata = value;
            }
    }
    return metadata.at && metadata.at[0] == '{' ? metadata : (struct str){0};
}

static size_t pair_size(const char *pair)
{
    size_t value = get_u16(pair + 2);
    return PAIR_HEAD + get_u16(pair) + (value == PAIR_NULL ? 0 : value);
}

static struct str pair_key(const char *pair)
{
    return (struct str){pair + PAIR_HEAD, get_u16(pair)};
}

/* Of two pairs with one key the last is meant: take out the one before, if there is one. */
static bool drop_earlier(struct facts_writer *w, size_t last)
{
    char *at = w->text->at + w->head + SECTION_HEAD, *newest = w->text->at + last;
    for (size_t size; at < newest; at += size) {
        size = pair_size(at);
        if (!str_eq(pair_key(at), pair_key(newest)))
            continue;
        memmove(at, at + size, (size_t)(w->text->at + w->text->len - (at + size)));
        w->text->len -= size;
        return true;
    }
    return false;
}

struct pairs {
    size_t count, shortened;
    uint64_t keys; /* a bit for each key that is there, which others may share */
};

/* The text of a value that need not be decoded, and fits; else at == NULL. */
static struct str plain_text(struct str value)
{
    if (!is_string(value) || value.len - 2 > FACTS_SOURCE || memchr(value.at, '\\', value.len))
        return (struct str){0};
    return (struct str){value.at + 1, value.len - 2};
}

/* A value, as filters see it. */
static void add_seen(struct facts_writer *w, struct facts_out *out, struct pairs *pairs,
                     struct str value)
{
    char room[FILTER_SEEN_MAX];
    size_t at = w->text->len;
    struct str plain = plain_text(value), whole = plain;
    if (!plain.at) {
        facts_add_value(out, value);
        whole = (struct str){w->text->at + at, w->text->len - at};
    }
    struct str seen = filter_seen(whole, room);
    if (seen.at != whole.at) {
        w->cut = true; /* who shows it needs what was sent */
        pairs->shortened++;
    } else if (!plain.at) {
        return;
    }
    w->text->len = at;
    text_add(w->text, seen);
}

static bool put_pair(struct facts_writer *w, struct pairs *pairs, struct str key, struct str value)
{
    size_t pair = w->text->len;
    bool null = value.at[0] == 'n';
    text_room(w->text, PAIR_HEAD);
    w->text->len += PAIR_HEAD;
    struct facts_out out = body_of(w, FACTS_SOURCE);
    facts_add_string(&out, key);
    size_t at = w->text->len;
    out.left = FACTS_SOURCE;
    if (!null)
        add_seen(w, &out, pairs, value);
    put_u16(w->text->at + pair, at - pair - PAIR_HEAD);
    put_u16(w->text->at + pair + 2, null ? PAIR_NULL : w->text->len - at);
    return out.whole && section_size(w) <= FACTS_SOURCE && pairs->shortened <= FACTS_SHORTENED;
}

static uint64_t key_bit(struct str key)
{
    unsigned char last = key.len ? (unsigned char)key.at[key.len - 1] : 0;
    return UINT64_C(1) << ((7 * key.len + last) & 63);
}

static void add_pair(struct facts_writer *w, struct pairs *pairs, struct str key, struct str value)
{
    size_t pair = w->text->len, shortened = pairs->shortened;
    if (pairs->count < FACTS_PAIRS && put_pair(w, pairs, key, value)) {
        uint64_t bit = key_bit(pair_key(w->text->at + pair));
        pairs->count += !(pairs->keys & bit) || !drop_earlier(w, pair);
        pairs->keys |= bit;
    } else {
        w->text->len = pair;
        w->cut = true;
        pairs->shortened = shortened;
    }
}

/* A value that may be the thread's id; the least `rank` is it. */
struct thread {
    unsigned rank;
    struct str json;
};

static void offer_thread(struct thread *thread, struct str key, struct str value)
{
    static const struct str names[] = {
        {"thread_id", 9}, {"session_id", 10}, {"conversation_id", 15}};
    for (unsigned i = 0; i < sizeof names / sizeof names[0] && i <= thread->rank; i++)
        if (json_key_is(key, names[i]) && value.at[0] != 'n' && !str_eq(value, STR("\"\"")))
            *thread = (struct thread){i, value};
}

static void put_thread(struct facts_writer *w, struct str json)
{
    if (!json.at)
        return;
    section_begin(w, SECTION_THREAD);
    struct facts_out out = body_of(w, FACTS_SOURCE);
    facts_add_value(&out, json);
    w->cut |= !out.whole;
    if (out.whole)
        section_end(w);
    else
        section_drop(w);
}

static void take_metadata(struct facts_writer *w, struct str metadata)
{
    struct facts_found usage = {.rank = RANK_NONE, .cut = RANK_NONE};
    struct thread thread = {.rank = UINT32_MAX};
    struct pairs pairs = {0};
    struct json_walk walk = json_walk(metadata);
    struct str key;
    if (!metadata.at || !json_walk_object(&walk))
        return;
    section_begin(w, SECTION_PAIRS);
    while (json_walk_member(&walk, &key)) {
        struct json_walk before = walk;
        struct str value = json_walk_value(&walk);
        if (json_key_is(key, STR("usage_metadata")))
            facts_usage_offer(&usage, RANK_METADATA, &before);
        offer_thread(&thread, key, value);
        add_pair(w, &pairs, key, value);
    }
    end_unless_empty(w);
    put_thread(w, thread.json);
    put_usage(w, &usage);
}

/* --- events, tags, the example ---------------------------------------------- */

/* Is the event the walk is before a token, and when was it? */
static bool token_time(struct json_walk *walk, int64_t *us)
{
    struct str key, time = {0}, text;
    char room[6 * 40]; /* every letter may have come as \u0061 */
    bool token = false;
    if (!json_walk_object(walk)) {
        json_walk_value(walk);
        return false;
    }
    while (json_walk_member(walk, &key)) {
        struct str value = json_walk_value(walk);
        if (json_key_is(key, STR("name")))
            token = str_eq(value, STR("\"new_token\""));
        else if (json_key_is(key, STR("time")))
            time = value;
    }
    if (!token || !time.at)
        return false;
    return short_text(time, room, sizeof room, &text) ? rfc3339_parse(text, us)
                                                      : rfc3339_parse_ms(time, us);
}

static void take_first_token(struct facts_writer *w, struct str events)
{
    static const struct str word = {"\"new_token\"", 11};
    struct json_walk walk = json_walk(events);
    int64_t us;
    if (!events.at || !memmem(events.at, events.len, word.at, word.len) || !json_walk_list(&walk))
        return;
    while (json_walk_element(&walk))
        if (token_time(&walk, &us)) {
            section_begin(w, SECTION_TIME);
            put_u64(text_room(w->text, sizeof us), (uint64_t)us);
            w->text->len += sizeof us;
            section_end(w);
            return;
        }
}

static bool add_tag(struct facts_writer *w, struct str json)
{
    size_t tag = w->text->len, used = section_size(w);
    if (FACTS_SOURCE - used < TAG_HEAD)
        return false;
    text_room(w->text, TAG_HEAD);
    w->text->len += TAG_HEAD;
    struct facts_out out = body_of(w, FACTS_SOURCE - used - TAG_HEAD);
    facts_add_value(&out, json);
    if (out.whole)
        put_u16(w->text->at + tag, w->text->len - tag - TAG_HEAD);
    else
        w->text->len = tag;
    return out.whole;
}

static void take_tags(struct facts_writer *w, struct str tags)
{
    struct json_walk walk = json_walk(tags);
    if (!tags.at || !json_walk_list(&walk))
        return;
    section_begin(w, SECTION_TAGS);
    while (!w->cut && json_walk_element(&walk)) {
        struct str value = json_walk_value(&walk);
        w->cut = is_string(value) && !add_tag(w, value);
    }
    end_unless_empty(w);
}

static void take_uuid(struct facts_writer *w, struct str json)
{
    char room[6 * 64];
    struct str text;
    struct uuid id;
    if (!short_text(json, room, sizeof room, &text) || !uuid_parse(text, &id))
        return;
    section_begin(w, SECTION_UUID);
    memcpy(text_room(w->text, sizeof id.byte), id.byte, sizeof id.byte);
    w->text->len += sizeof id.byte;
    section_end(w);
}

/* --- a layer ---------------------------------------------------------------- */

static void take_field(struct facts_writer *w, const struct run *run, enum run_field field)
{
    struct str json = given(run, field);
    struct facts_found usage;
    w->field = field;
    switch ((int)field) {
    case RUN_INPUTS:
        take_preview(w, json);
        break;
    case RUN_OUTPUTS:
        take_preview(w, json);
        usage = facts_usage_find(json);
        put_usage(w, &usage);
        break;
    case RUN_EXTRA:
        take_metadata(w, metadata_of(run));
        break;
    case RUN_EVENTS:
        take_first_token(w, json);
        break;
    case RUN_TAGS:
        take_tags(w, json);
        break;
    case RUN_REFERENCE_EXAMPLE_ID:
        take_uuid(w, json);
        break;
    default:
        take_text(w, json);
        break;
    }
    end_field(w);
}

void facts_of(const struct run *run, struct text *text)
{
    /* Ascending. */
    static const enum run_field sources[] = {RUN_NAME,  RUN_INPUTS,       RUN_OUTPUTS,
                                             RUN_EXTRA, RUN_ERROR_TEXT,   RUN_EVENTS,
                                             RUN_TAGS,  RUN_DOTTED_ORDER, RUN_REFERENCE_EXAMPLE_ID};
    if (run->kind != RUN_WHOLE && run->kind != RUN_POST && run->kind != RUN_PATCH)
        return;
    struct facts_writer w = facts_start(text);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        take_field(&w, run, sources[i]);
    facts_end(&w);
}
