/* multipart_transcript.h - what the multipart parser says of a body, as one text.
 *
 *     [name type length]bytes[/][name2 - -]...[/][end]
 *
 * However the body is cut, the text must be the same.  Each piece lies in memory
 * of its own, of exactly its size, which is gone when the next one comes: what
 * reads beyond it or keeps it is seen by the sanitizer.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wire/multipart.h"

/* Where a body is cut: after `first` bytes, and then each `step`. */
struct cuts {
    size_t first, step; /* step 0: from 0 to 7 bytes, by `seed` */
    uint64_t seed;
    bool late; /* that it was the last piece is said with an empty one after it */
};

struct transcript {
    struct text text;
    uint64_t fault_at;  /* SIZE_MAX: no fault */
    char fault[192];    /* "": no fault */
    const char *broken; /* a promise of the header that was not kept; NULL: none */
    bool ended;
    size_t parts;
};

static void transcript_free(struct transcript *t)
{
    text_free(&t->text);
}

static struct str transcript_str(const struct transcript *t)
{
    return t->text.len ? text_str(&t->text) : STR("");
}

static void promise(struct transcript *t, bool kept, const char *what)
{
    if (!kept && !t->broken)
        t->broken = what;
}

/* One part, as it was when it began. */
struct begun {
    bool open;
    struct str name, type; /* where they lay */
    uint64_t length, seen;
    size_t name_in_text;
};

static void note_part(struct transcript *t, const struct multipart *m, struct begun *part)
{
    promise(t, !part->open && !t->ended, "a part begins after the one before it ended");
    promise(t, m->name.at && m->name.len <= MULTIPART_NAME_MAX, "a part has a name");
    promise(t, m->type.len <= MULTIPART_TYPE_MAX, "a type is short");
    *part = (struct begun){true, m->name, m->type, m->length, 0, t->text.len + 1};
    t->parts++;
    text_add_char(&t->text, '[');
    text_add(&t->text, m->name);
    text_add_char(&t->text, ' ');
    text_add(&t->text, m->type.at ? m->type : STR("-"));
    if (m->has_length)
        text_addf(&t->text, " %" PRIu64, m->length);
    else
        text_add(&t->text, STR(" -"));
    if (m->encoded)
        text_add(&t->text, STR(" encoded"));
    text_add_char(&t->text, ']');
}

static void note_same(struct transcript *t, const struct multipart *m, const struct begun *part)
{
    promise(t, part->open, "bytes and ends are those of a part");
    promise(t, m->name.at == part->name.at && m->name.len == part->name.len, "a name stays");
    promise(t, m->type.at == part->type.at && m->type.len == part->type.len, "a type stays");
    promise(t, memcmp(t->text.at + part->name_in_text, m->name.at, m->name.len) == 0,
            "a name stays what it is");
}

/* Feed one piece; true when more may come. */
static bool transcript_feed(struct transcript *t, struct multipart *m, struct begun *part,
                            const struct str all, bool last, uint64_t fed)
{
    struct str piece = all;
    for (;;) {
        enum multipart_event event = multipart_next(m, &piece, last);
        promise(t, event == MULTIPART_FAULT || m->offset == fed + (all.len - piece.len),
                "the offset is what was consumed");
        switch (event) {
        case MULTIPART_MORE:
            promise(t, piece.len == 0, "a piece is consumed");
            promise(t, !last || t->ended, "the last piece brings the end or a fault");
            return true;
        case MULTIPART_PART:
            note_part(t, m, part);
            break;
        case MULTIPART_DATA:
            note_same(t, m, part);
            promise(t, m->data.len > 0, "there is a byte in each slice");
            part->seen += m->data.len;
            text_add(&t->text, m->data);
            break;
        case MULTIPART_PART_END:
            note_same(t, m, part);
            promise(t, !m->has_length || part->seen == m->length, "a part is as long as it says");
            part->open = false;
            text_add(&t->text, STR("[/]"));
            break;
        case MULTIPART_END:
            promise(t, !part->open && !t->ended, "there is one end, after the parts");
            t->ended = true;
            text_add(&t->text, STR("[end]"));
            break;
        case MULTIPART_FAULT:
            promise(t, !t->ended, "nothing is wrong after the end");
            t->fault_at = m->offset;
            memcpy(t->fault, m->fault.text, sizeof t->fault);
            promise(t, m->fault.code == ERR_INVALID && t->fault[0] != '\0', "a fault says why");
            for (const char *c = t->fault; *c; c++)
                promise(t, *c >= ' ' && *c < 0x7f, "a fault is ASCII");
            promise(t,
                    multipart_next(m, &piece, last) == MULTIPART_FAULT &&
                        m->offset == t->fault_at && strcmp(m->fault.text, t->fault) == 0,
                    "a fault stays");
            return false;
        }
    }
}

static struct transcript transcript_of(struct str boundary, enum multipart_lengths lengths,
                                       struct str body, struct cuts cuts)
{
    struct transcript t = {.fault_at = SIZE_MAX};
    struct begun part = {0};
    struct multipart m;
    multipart_start(&m, boundary, lengths);

    uint64_t dice = cuts.seed;
    size_t fed = 0;
    for (bool more = true, first = true, last = false; more && !last; first = false) {
        dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t len = first && cuts.first ? cuts.first : cuts.step ? cuts.step : dice >> 61;
        if (len > body.len - fed)
            len = body.len - fed;
        last = fed + len == body.len && (!cuts.late || len == 0);
        char *copy = malloc(len ? len : 1);
        if (!copy)
            abort();
        memcpy(copy, body.at + fed, len);
        more = transcript_feed(&t, &m, &part, (struct str){copy, len}, last, fed);
        free(copy);
        fed += len;
    }
    return t;
}

static bool transcript_equal(const struct transcript *a, const struct transcript *b)
{
    return str_eq(transcript_str(a), transcript_str(b)) && a->fault_at == b->fault_at &&
           strcmp(a->fault, b->fault) == 0 && a->ended == b->ended;
}
