/* encode.h - a finished answer in the coding it travels in.
 *
 * The first byte of the buffer is its `enum coding`; the body follows.  An
 * answer too small to gain stays as it is, whatever was asked for.
 */
#pragma once

#include <stdbool.h>

#include "base/codec.h"
#include "base/str.h"

struct buf;
struct splice;

enum { ENCODE_ABOVE = 1024 /* bytes; smaller answers are not worth it */ };

/* One reference; NULL when memory is short. */
struct buf *encode_answer(const struct splice *splice, enum coding coding);

/* Could it be an answer in that coding?  For one that was kept elsewhere. */
bool encoded_is(const struct buf *answer, enum coding coding);

enum coding encoded_coding(const struct buf *answer);
struct str encoded_body(const struct buf *answer);
