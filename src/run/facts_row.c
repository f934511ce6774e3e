/* facts_row.c - the facts of a row, put together from those of its layers, see facts.h.
 *
 * Sections stand in the order of their fields, and attachments in that of their names; so
 * the bytes do not depend on the order in which layers came.
 */
#include "base/text.h"
#include "run/facts.h"
#include "run/facts_section.h"
#include "wire/utf8.h"

/* --- layers ------------------------------------------------------------------ */

/* Metadata and extra are one source: who holds either has the facts of it. */
static bool is_taken(unsigned field, uint32_t taken)
{
    if (field == RUN_EXTRA)
        return taken >> RUN_EXTRA & 1 || taken >> RUN_METADATA & 1;
    return field < 32 && taken >> field & 1;
}

/* To the next section of a field that is taken, or of one that is not; false: none. */
static bool next_of(struct str *rest, uint32_t taken, bool wanted, struct section *section)
{
    while (section_next(rest, section))
        if (is_taken(section->field, taken) == wanted)
            return true;
    return false;
}

void facts_merge(struct str old, uint32_t taken, struct str fresh, struct text *text)
{
    struct facts_writer w = facts_start(text);
    struct section ours = {0}, theirs = {0};
    struct str old_rest, fresh_rest;
    sections(old, &old_rest);
    sections(fresh, &fresh_rest);
    bool keep = next_of(&old_rest, taken, false, &ours);
    bool take = next_of(&fresh_rest, taken, true, &theirs);
    while (keep || take) {
        if (keep && (!take || ours.field <= theirs.field)) {
            text_add(text, ours.whole);
            keep = next_of(&old_rest, taken, false, &ours);
        } else {
            text_add(text, theirs.whole);
            take = next_of(&fresh_rest, taken, true, &theirs);
        }
    }
    facts_end(&w);
}

/* --- attachments ------------------------------------------------------------ */

/* The attachments of a row while they are written again with one more. */
struct list {
    struct facts_writer writer;
    size_t count;
};

static void put_attachment(struct list *list, const struct run *run, struct place place,
                           uint64_t sequence)
{
    struct facts_writer *w = &list->writer;
    struct str name = run_field(run, RUN_NAME), type = run_field(run, RUN_RUN_TYPE);
    if (list->count == FACTS_ATTACHMENTS)
        return;
    if (type.len > FACTS_ATTACHMENT_TEXT || !utf8_valid(type))
        type.len = 0;
    w->field = SECTION_OF_RUN;
    section_begin(w, SECTION_ATTACHMENT);
    char *head = text_room(w->text, ATTACHMENT_HEAD);
    put_u64(head, place.container);
    put_u32(head + 8, place.ordinal);
    put_u64(head + 12, sequence);
    put_u64(head + 20, run->hash[0]);
    put_u32(head + 28, (uint32_t)run->raw.len);
    put_u16(head + 32, name.len);
    put_u16(head + 34, type.len);
    w->text->len += ATTACHMENT_HEAD;
    text_add(w->text, name);
    text_add(w->text, type);
    section_end(w);
    list->count++;
}

static bool is_attachment(const struct section *section)
{
    return section->kind == SECTION_ATTACHMENT && section->body.len >= ATTACHMENT_HEAD &&
           get_u16(section->body.at + 32) <= section->body.len - ATTACHMENT_HEAD;
}

static void copy(struct list *list, const struct section *section)
{
    if (is_attachment(section) && list->count++ >= FACTS_ATTACHMENTS)
        return;
    text_add(list->writer.text, section->whole);
}

/* The name of the attachment in `section` against another. */
static int compare_name(const struct section *section, struct str name)
{
    struct str its = {section->body.at + ATTACHMENT_HEAD, get_u16(section->body.at + 32)};
    size_t len = name.len < its.len ? name.len : its.len;
    int order = len ? memcmp(its.at, name.at, len) : 0;
    return order ? order : (its.len > name.len) - (its.len < name.len);
}

static bool goes_before(const struct section *section, struct str name)
{
    return section->field <= SECTION_OF_RUN &&
           (!is_attachment(section) || compare_name(section, name) < 0);
}

/* Is it this very attachment, whenever it came? */
static bool is_the_same(const struct section *section, const struct run *attachment)
{
    return get_u64(section->body.at + 20) == attachment->hash[0] &&
           get_u32(section->body.at + 28) == attachment->raw.len;
}

/* Did the one in `section` come later than one of this place and sequence, or is it it? */
static bool is_later(const struct section *section, struct place place, uint64_t sequence)
{
    uint64_t container = get_u64(section->body.at), its = get_u64(section->body.at + 12);
    if (its != sequence)
        return its > sequence;
    if (container != place.container)
        return container > place.container;
    return get_u32(section->body.at + 8) >= place.ordinal;
}

bool facts_attach(struct str old, const struct run *attachment, struct place place,
                  uint64_t sequence, struct text *text)
{
    struct str name = run_field(attachment, RUN_NAME), rest;
    size_t before = text->len;
    bool listed = name.len > 0 && name.len <= FACTS_ATTACHMENT_TEXT && utf8_valid(name);
    struct section section = {0};
    struct list list = {.writer = facts_start(text)};
    sections(old, &rest);
    bool more = section_next(&rest, &section);
    for (; listed && more && goes_before(&section, name); more = section_next(&rest, &section))
        copy(&list, &section);
    bool same = listed && more && is_attachment(&section) && compare_name(&section, name) == 0;
    if (!listed ||
        (same && (is_the_same(&section, attachment) || is_later(&section, place, sequence)))) {
        text->len = before;
        return false;
    }
    put_attachment(&list, attachment, place, sequence);
    if (same)
        more = section_next(&rest, &section);
    for (; more; more = section_next(&rest, &section))
        copy(&list, &section);
    facts_end(&list.writer);
    return true;
}
