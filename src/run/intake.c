/* intake.c - see intake.h. */
#include "run/intake.h"

#include "base/budget.h"
#include "base/buf.h"
#include "base/spare.h"

enum { FIRST_SIZE = 4 << 10, WARM_FROM = 256 << 10 };

bool intake_open(struct intake *intake, size_t max, size_t cost, struct budget *budget,
                 struct spare *spare, size_t size_hint)
{
    if (size_hint > max)
        size_hint = max;
    *intake = (struct intake){
        .body = buf_new(size_hint ? size_hint : FIRST_SIZE),
        .max = max,
        .budget = budget,
        .spare = spare,
        .hint = size_hint,
    };
    return intake->body && intake_take(intake, cost);
}

void intake_close(struct intake *intake)
{
    budget_give(intake->budget, intake->taken);
    if (intake->spare && intake->body)
        spare_give(intake->spare, intake->body);
    else
        buf_unref(intake->body);
}

bool intake_take(struct intake *intake, size_t size)
{
    if (!budget_take(intake->budget, size))
        return false;
    intake->taken += size;
    return true;
}

/* Once so much has come that the rest may be believed in, go on in the spare
 * buffer.  Its memory is there already, so all of it counts. */
static void use_spare(struct intake *intake)
{
    struct spare *spare = intake->spare;
    intake->asked = true;
    struct buf *warm = spare ? spare_take(spare, intake->hint) : NULL;
    if (!warm)
        return;
    if (warm->cap < intake->body->len || !intake_take(intake, warm->cap - intake->paid)) {
        spare_give(spare, warm);
        return;
    }
    intake->paid = warm->cap;
    memcpy(warm->at, intake->body->at, intake->body->len);
    warm->len = intake->body->len;
    buf_unref(intake->body);
    intake->body = warm;
}

char *intake_room(struct intake *intake, size_t size)
{
    size_t end = intake->body->len + size;
    if (end > intake->paid) {
        if (!intake_take(intake, end - intake->paid))
            return NULL;
        intake->paid = end;
    }
    if (intake->body->cap < end) {
        size_t cap = intake->body->cap * 2;
        while (cap < end)
            cap *= 2;
        struct buf *grown = buf_grow(intake->body, cap);
        if (!grown)
            return NULL;
        intake->body = grown;
    }
    return intake->body->at + intake->body->len;
}

enum err_code intake_add(struct intake *intake, struct str piece)
{
    if (piece.len > intake->max - intake->body->len)
        return ERR_TOO_BIG;
    if (!intake->asked && intake->body->len >= WARM_FROM)
        use_spare(intake);
    char *room = intake_room(intake, piece.len);
    if (!room)
        return ERR_BUSY;
    if (piece.len)
        memcpy(room, piece.at, piece.len);
    intake->body->len += piece.len;
    return ERR_OK;
}
