/* alone.c - see alone.h. */
#include "index/alone.h"

/* Nobody else writes it. */
void index_alone_follow(struct index *index, struct index_follow *follow)
{
    (void)index;
    follow->commits = 0;
    op_finish(&follow->op);
}

/* All that the log has is in it, or will be. */
void index_alone_known(struct index *index, struct index_known *known)
{
    (void)index;
    for (size_t i = 0; i < known->count; i++)
        known->known[i] = true;
    for (size_t i = 0; i < known->count && known->condemned; i++)
        known->condemned[i] = false;
    op_finish(&known->op);
}

void index_alone_condemn(struct index *index, struct index_condemn *condemn)
{
    (void)index;
    condemn->live = true;
    op_finish(&condemn->op);
}

void index_alone_containers(struct index *index, struct index_containers *containers)
{
    (void)index;
    containers->count = 0;
    op_finish(&containers->op);
}

void index_alone_lose(struct index *index, struct index_lose *lose)
{
    (void)index;
    lose->runs = 0;
    op_finish(&lose->op);
}
