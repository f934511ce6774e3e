/* blake2s.h - a keyed hash: who has not the key can neither make nor foresee one.
 *
 * For what must be told from a forgery.  (For what must only be told apart there is XXH3.)
 *
 * Threads  pure
 * Sources  RFC 7693
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum { BLAKE2S = 32 /* bytes of a hash, and of a key at most */ };

/* `key` may be empty: then it is a plain hash. */
void blake2s(struct str key, struct str message, uint8_t out[BLAKE2S]);
