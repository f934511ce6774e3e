/* target.c - see target.h. */
#include "command/target.h"

#include <stdarg.h>
#include <stdio.h>

void refusal_add(struct refusal *refusal, enum err_code code, bool whole, size_t index,
                 const char *format, ...)
{
    refusal->code = code;
    if (refusal->count == REFUSAL_SHOWN) {
        refusal->more = true;
        return;
    }
    va_list ap;
    va_start(ap, format);
    vsnprintf(refusal->at[refusal->count].text, REFUSAL_TEXT, format, ap);
    va_end(ap);
    refusal->at[refusal->count].whole = whole;
    refusal->at[refusal->count++].index = index;
}
