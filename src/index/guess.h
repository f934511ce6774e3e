/* guess.h - the trace of a run that does not say it.
 *
 * It is that of its parent, if that is there, else the parent; of a run without a parent, the
 * run.  The run whose id it then has is **awaited**: a run is **settled** when its trace was
 * said, or it awaits itself or a run that is settled.
 *
 *   settled      all that await a run move to its trace as soon as it is settled, and so do
 *                those that await them.  Each moves once for that
 *   before that  when a run comes that awaits another one, those that await it move to that
 *                one, so that what there is of a trace stands under one id; unless they are
 *                more than GUESS_MOVED: those stay.  So a chain that comes from below costs
 *                some moves for each run of it, however long it is
 *
 * A run that is moved, and one that those that awaited it leave, is another version.
 */
#pragma once

enum { GUESS_MOVED = 32 };
