/* facts_section.c - see facts_section.h. */
#include "run/facts_section.h"

#include <assert.h>

#include "base/text.h"

struct facts_writer facts_start(struct text *text)
{
    text_add_char(text, FACTS_VERSION);
    return (struct facts_writer){.text = text, .start = text->len - 1};
}

void facts_end(struct facts_writer *writer)
{
    if (writer->text->len == writer->start + 1)
        writer->text->len = writer->start;
}

void section_begin(struct facts_writer *writer, enum section_kind kind)
{
    char *head = text_room(writer->text, SECTION_HEAD);
    head[0] = (char)writer->field;
    head[1] = (char)kind;
    writer->head = writer->text->len;
    writer->text->len += SECTION_HEAD;
}

size_t section_size(const struct facts_writer *writer)
{
    return writer->text->len - writer->head - SECTION_HEAD;
}

void section_end(struct facts_writer *writer)
{
    assert(section_size(writer) <= UINT16_MAX);
    put_u16(writer->text->at + writer->head + 2, section_size(writer));
}

void section_drop(struct facts_writer *writer)
{
    writer->text->len = writer->head;
}
