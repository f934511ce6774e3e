/* facts.c - see facts.h. */
#include "run/facts.h"

#include "base/text.h"

void facts_of(const struct run *run, struct text *text)
{
    (void)run;
    (void)text;
}

void facts_merge(struct str old, uint32_t taken, struct str fresh, struct text *text)
{
    (void)taken;
    (void)fresh;
    text_add(text, old);
}

bool facts_attach(struct str old, const struct run *attachment, struct place place,
                  uint64_t sequence, struct text *text)
{
    (void)attachment;
    (void)place;
    (void)sequence;
    text_add(text, old);
    return false;
}

int facts_read(struct str bytes, struct arena *arena, struct facts *result, struct err *err)
{
    (void)bytes;
    (void)arena;
    (void)err;
    *result = (struct facts){0};
    return 0;
}

void facts_subject(const struct facts *facts, struct filter_subject *subject)
{
    (void)facts;
    (void)subject;
}
