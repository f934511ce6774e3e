/* alone.h - what an index of one process answers when it is asked of others.
 *
 * Nobody else writes it, and all that is stored is in it or will be.  Each answers at
 * once.
 *
 * Threads  any attached loop
 */
#pragma once

#include "index/index.h"

void index_alone_follow(struct index *index, struct index_follow *follow);
void index_alone_known(struct index *index, struct index_known *known);
void index_alone_condemn(struct index *index, struct index_condemn *condemn);
void index_alone_containers(struct index *index, struct index_containers *containers);
void index_alone_lose(struct index *index, struct index_lose *lose);
