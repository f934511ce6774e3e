/* as_sent.h - runs on stdout as they were sent, for who reads the log itself.
 *
 * Threads  the main thread
 */
#pragma once

#include <stdbool.h>

#include "command/talk.h"

struct arena;
struct run;
struct view;

struct as_sent {
    struct out out;
    bool lines; /* each on one line, whatever was sent */
    bool times; /* put in the times that were filled in */
};

/* The object as sent, and a newline; with the id in front when none was sent, or
 * in the place of a null. */
void as_sent_print(struct as_sent *to, const struct run *run);

/* A run that came in layers, put together, as it could have been sent at once. */
void as_sent_together(struct as_sent *to, const struct view *run, struct arena *arena);

/* Any entry as it lies there: {"op":"patch","id":...,"fields":{...}}, of an attachment
 * its name, type and size, of an entity its kind and object. */
void as_sent_entry(struct as_sent *to, const struct run *run);
