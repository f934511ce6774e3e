/* object.c - which names an object may have. */
#include "store/object.h"

enum { NAME_MAX_BYTES = 200 };

bool object_name_valid(struct str name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    char before = '/';
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool known = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                     c == '/' || c == '-';
        /* A segment that begins with a dot could be "." or "..", or is hidden. */
        if (!known || (before == '/' && (c == '/' || c == '.')))
            return false;
        before = c;
    }
    return before != '/';
}

void object_take_tail(struct object_get *get, uint64_t total)
{
    get->total = total;
    if (get->size > total)
        get->size = (size_t)total;
    get->offset = total - get->size;
}
