/* bucket_owner.c - see bucket_owner.h.
 *
 *     rundlet bucket 1
 *     id 0123456789abcdef0123456789abcdef
 *     writer -
 */
#include "store/bucket_owner.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "store/object_desk.h"

enum { OWNER_MAX = 1024 /* bytes of an object that may be ours */ };

static const struct str name = {"v1/owner", 8};
static const struct str first_line = {"rundlet bucket 1\nid ", 20};

static int no_random(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "no random bytes for the id of the bucket");
}

static int make(struct str writer, char *room, size_t size, struct str *result, struct err *err)
{
    unsigned char random[BUCKET_ID / 2];
    char hex[BUCKET_ID + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return no_random(err);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(hex + 2 * i, 3, "%02x", random[i]);
    assert(writer.len <= BUCKET_ID);
    int len = snprintf(room, size, "%.*s%s\nwriter %.*s\n", STR_FMT(first_line), hex,
                       STR_FMT(writer.len ? writer : STR("-")));
    *result = (struct str){room, (size_t)len};
    return 0;
}

static bool is_id(const char *at)
{
    for (int i = 0; i < BUCKET_ID; i++)
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
            return false;
    return true;
}

/* What is there is ours if it says the same writer. */
static int check(struct str there, struct str writer, char id[BUCKET_ID + 1], struct err *err)
{
    size_t at = first_line.len + BUCKET_ID;
    char line[64];
    int len =
        snprintf(line, sizeof line, "\nwriter %.*s\n", STR_FMT(writer.len ? writer : STR("-")));
    if (there.len < at || memcmp(there.at, first_line.at, first_line.len) != 0 ||
        !is_id(there.at + first_line.len))
        return err_set(err, ERR_CONFLICT,
                       "the object %.*s in the bucket is not of this program: choose another "
                       "bucket or a prefix in it",
                       STR_FMT(name));
    if (!str_eq((struct str){there.at + at, there.len - at}, (struct str){line, (size_t)len}))
        return err_set(err, ERR_CONFLICT,
                       writer.len ? "the bucket belongs to nodes that share an index, or to "
                                    "another data directory: use the index they use, or another "
                                    "prefix"
                                  : "the bucket belongs to a node with an index of its own: move "
                                    "its runs with `rundlet move`, or use another prefix");
    memcpy(id, there.at + first_line.len, BUCKET_ID);
    id[BUCKET_ID] = '\0';
    return 0;
}

static int read_owner(struct object_desk *desk, struct str writer, char id[BUCKET_ID + 1],
                      struct err *err)
{
    struct buf *there = NULL;
    int r = object_desk_get(desk, name, OWNER_MAX, &there, err);
    if (!r || r == ERR_CORRUPT) /* one that is too large is not ours either */
        r = check(r ? STR("") : (struct str){there->at, there->len}, writer, id, err);
    buf_unref(there);
    return r;
}

int bucket_find(struct object_desk *desk, struct str writer, char id[BUCKET_ID + 1],
                struct err *err)
{
    int r = read_owner(desk, writer, id, err);
    return r == ERR_NOT_FOUND
               ? err_set(err, ERR_NOT_FOUND, "the bucket holds no runs of this program")
               : r;
}

/* Never the same bytes twice: a put that finds its own bytes there takes them for what
 * a try of its own has done, and is a success. */
static int claim(struct object_desk *desk, struct str writer, struct err *err)
{
    char room[OBJECT_DESK_PUT];
    struct str bytes;
    int r = make(writer, room, sizeof room, &bytes, err);
    return r ? r : object_desk_put(desk, name, bytes, err);
}

int bucket_own(struct object_desk *desk, struct str writer, char id[BUCKET_ID + 1], struct err *err)
{
    int r = claim(desk, writer, err);
    if (!r) {
        r = claim(desk, writer, err);
        if (!r)
            return err_set(err, ERR_INVALID,
                           "the store ignores `If-None-Match: *`, so one node could overwrite "
                           "what another wrote: use one that honours it");
    }
    if (r != ERR_CONFLICT)
        return r;
    r = read_owner(desk, writer, id, err);
    if (!r && err)
        *err = (struct err){0}; /* that it is there already is no failure */
    return r;
}
