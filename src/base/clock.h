/* clock.h - the two clocks, in microseconds.
 *
 * The wall clock dates things and may jump; the monotonic clock measures and
 * times out.  Nothing else in the program asks for the time of day, so a test
 * can bring its own clock.  Any thread.
 */
#pragma once

#include <stdint.h>

int64_t clock_now_us(void);  /* since 1970-01-01T00:00:00Z */
int64_t clock_mono_us(void); /* since some point in the past; never goes back */
