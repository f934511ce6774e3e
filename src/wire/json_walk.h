/* json_walk.h - find one's way in a JSON document that is known to be valid.
 *
 * For a look into bytes that json_scan took: nothing is checked again, and what is of no
 * interest is passed over at the speed of a search for its end.  One pass, however deep
 * the way leads.
 *
 *     struct json_walk walk = json_walk(json);
 *     struct str key;
 *     if (json_walk_object(&walk))
 *         while (json_walk_member(&walk, &key))
 *             if (json_key_is(key, STR("usage")) && json_walk_object(&walk))
 *                 ... all of its members, to the end
 *             else
 *                 json_walk_value(&walk);
 *
 * json_walk_member() and json_walk_element() stop before a value.  Then either it is
 * taken whole, or it is gone into, until there are no more in it.
 *
 * Threads  pure
 * Memory   views of the document; allocates nothing
 * Errors   none.  Of bytes that are no JSON what comes out means nothing, but every walk
 *          ends and nothing outside of them is read
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct json_walk {
    const char *at, *end;
};

/* At the first byte of the value, behind white space. */
struct json_walk json_walk(struct str json);

/* Go into the value, if it is one of those; else it is still to be taken. */
bool json_walk_object(struct json_walk *walk);
bool json_walk_list(struct json_walk *walk);

/* To the next value of the object, or list, that was gone into; false: there is none, and
 * the walk is behind it. */
bool json_walk_member(struct json_walk *walk, struct str *key);
bool json_walk_element(struct json_walk *walk);

/* Past the value, whose bytes are returned. */
struct str json_walk_value(struct json_walk *walk);

/* What stands between quotes, whose inside begins at `at`: its end, where the quote is. */
const char *json_string_end(const char *at, const char *end);

/* Is `key`, as it stands between its quotes, that name? */
bool json_key_is(struct str key, struct str name);
