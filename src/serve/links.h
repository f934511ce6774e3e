/* links.h - addresses of attachments, for whoever was given one: they ask for no key.
 *
 * An address names the run (or the example of a dataset) and the attachment, and carries a keyed hash of both that only
 * nodes of this deployment can make.  It is the same each time, so answers that hold it
 * may be cached; it ends with the run, and with the key.
 *
 * Threads  pure
 */
#pragma once

#include <stdbool.h>

#include "base/blake2s.h"
#include "base/str.h"
#include "base/uuid.h"

struct facts;
struct text;

enum { LINKS_SIGNATURE = 32 /* hex digits */ };

struct links {
    uint8_t key[BLAKE2S];
};

/* `secret`: that of the deployment; empty: everybody may read everything anyway. */
void links_open(struct links *links, struct str secret);

/* Whose attachment it is. */
enum links_of { LINKS_RUN, LINKS_EXAMPLE };

/* The address, without scheme and host: /public/download?run=ID&name=NAME&signature=...,
 * or example=ID. */
void links_write(const struct links *links, enum links_of of, struct uuid id, struct str name,
                 struct text *text);
bool links_check(const struct links *links, enum links_of of, struct uuid id, struct str name,
                 struct str signature);

/* `s3_urls` of a run: {"attachment.<name>": {"presigned_url", "mime_type", "s3_url"}, ...}. */
void links_show(const struct links *links, struct uuid run, const struct facts *facts,
                struct text *text);
