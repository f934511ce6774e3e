/* hand_loop.h - a loop turned by the test itself, until what it waits for is so.
 *
 * The test's thread is the loop's: `done` runs inside hand_loop_until(), and
 * nowhere else.  A test that waits too long fails instead of hanging.
 */
#pragma once

#include <stdbool.h>

struct loop;

struct loop *hand_loop_open(void);       /* ends the test program when it cannot */
void hand_loop_close(struct loop *loop); /* delivers what has come home, first */

/* Turn until *flag; false when it is not so after ten seconds. */
bool hand_loop_until(struct loop *loop, const bool *flag);

/* Deliver what has come home, without waiting for more. */
void hand_loop_turn(struct loop *loop);
