/* intern.c - see intern.h. */
#include "index/intern.h"

#include <assert.h>
#include <stdlib.h>

enum { CAP_MIN = 256 };

/* Where the text is, or where it would go. */
static struct intern_entry *slot(const struct intern *intern, uint64_t hash, struct str text)
{
    size_t i = (size_t)hash & (intern->cap - 1);
    while (intern->at[i].number != 0 &&
           !(intern->at[i].hash == hash && str_eq(intern->at[i].text, text)))
        i = (i + 1) & (intern->cap - 1);
    return &intern->at[i];
}

uint64_t intern_get(const struct intern *intern, uint64_t hash, struct str text)
{
    return intern->cap ? slot(intern, hash, text)->number : 0;
}

/* Keep at least half of the table empty. */
static void grow(struct intern *intern)
{
    struct intern old = *intern;
    intern->cap = old.cap ? 2 * old.cap : CAP_MIN;
    intern->at = calloc(intern->cap, sizeof *intern->at);
    if (!intern->at)
        abort();
    for (size_t i = 0; i < old.cap; i++)
        if (old.at[i].number != 0)
            *slot(intern, old.at[i].hash, old.at[i].text) = old.at[i];
    free(old.at);
}

void intern_put(struct intern *intern, uint64_t hash, struct str text, uint64_t number)
{
    assert(number != 0);
    if (2 * intern->count >= intern->cap)
        grow(intern);
    struct intern_entry *entry = slot(intern, hash, text);
    assert(entry->number == 0);
    char *copy = malloc(text.len + 1);
    if (!copy)
        abort();
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    *entry = (struct intern_entry){hash, number, {copy, text.len}};
    intern->count++;
    intern->bytes += text.len;
}

void intern_clear(struct intern *intern)
{
    for (size_t i = 0; i < intern->cap; i++)
        free((void *)(uintptr_t)intern->at[i].text.at);
    free(intern->at);
    *intern = (struct intern){0};
}
