/* bucket_name.h - the numbers of containers in a bucket, and the names of their objects.
 *
 * Shape    number: microseconds since 1970 << 10 | random bits (a signed 64-bit number to the
 *          year 2255); the name is a pure function of it, so nobody has to be asked where
 *          a container is
 * Threads  pure
 * Sources  docs/design/production.md, Objects
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { BUCKET_NAME = 64, BUCKET_RANDOM = 10 /* bits */ };

/* Of a container whose first record has this sequence. */
uint64_t bucket_number(uint64_t sequence, uint32_t random);
uint64_t bucket_sequence(uint64_t number); /* and back */

/* What is wrong between us and the bucket (its keys, its name) is nothing that whoever
 * asks for runs did wrong. */
struct err bucket_error(struct err err);

/* "v1/20261126/05/0f/0123456789abcdef.pack" */
struct str bucket_name(uint64_t number, char room[BUCKET_NAME]);
bool bucket_named(struct str name, uint64_t *number); /* is it one of ours? */

/* What the names of that hour begin with: "v1/20261126/05/". */
struct str bucket_hour(uint64_t sequence, char room[BUCKET_NAME]);
