/* view.c - see view.h. */
#include "run/view.h"

void view_fill(struct view *view, const struct holder *holders, const struct run *runs,
               unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (uint32_t left = holders[i].fields & runs[i].present; left; left &= left - 1) {
            enum run_field field = (enum run_field)__builtin_ctz(left);
            view->field[field] = run_field(&runs[i], field);
        }
}
