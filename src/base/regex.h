/* regex.h - patterns, and whether there is a match of one in a text.
 *
 * Both are UTF-8; of a text that is not, a match is sought in the parts that are.  A match
 * may begin anywhere.  Letters are equal without regard to case unless the pattern says
 * (?-i).  \w, \d, \s and \b know all of Unicode, a `.` is anything but a newline, ^ and $
 * are the two ends of the text.
 *
 * Cost     Matching is trying, so what is tried is counted, by item of the pattern and by the
 *          way in the text, and has an end: a search has REGEX_WORK for all its texts, mostly
 *          some 10 ms, with a pattern made for it up to two seconds; and REGEX_ROOM for memory
 * Memory   a pattern lives in the arena, with at most REGEX_SIZE
 * Threads  a pattern is only read: any number at once.  A search is one thread's
 * Errors   ERR_INVALID what is wrong with the pattern, and where
 * Sources  docs/decisions/0030
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct arena;
struct regex;
struct regex_search;

enum {
    REGEX_MAX = 1000,        /* bytes of a pattern */
    REGEX_PLANES = 68,       /* of Unicode in ranges of classes: four times all of it */
    REGEX_SIZE = 256 << 10,  /* of what is made of it */
    REGEX_ROOM = 4096 << 10, /* of what a search remembers of its way */
    REGEX_WORK = 250000
};

int regex_compile(struct str pattern, struct arena *arena, const struct regex **result,
                  struct err *err);

enum regex_found {
    REGEX_NOT_FOUND,
    REGEX_FOUND,
    REGEX_TOO_MUCH /* it would take more than there is, and is not known; ever after too */
};

struct regex_search *regex_search_new(void);
void regex_search_free(struct regex_search *search); /* NULL is fine */

enum regex_found regex_search_in(struct regex_search *search, const struct regex *regex,
                                 struct str text);
