/* multipart.h - the parts of a multipart/form-data body while it arrives.
 *
 * One pass, resumable at any byte: how the body was cut into pieces changes no
 * event, only into how many slices a part's bytes come.
 *
 *     while ((event = multipart_next(&parser, &piece, last)) != MULTIPART_MORE)
 *         switch (event) ...                  (on MULTIPART_FAULT, stop)
 *
 * A part says its length, in a Content-Length of its own or as `; length=N` in
 * its Content-Type, and is read by it; so its bytes may hold the boundary.
 * Read are names and values with or without quotes, headers in any order and
 * case, their lines ending in LF alone, and parameters nobody knows.  In quotes
 * \" and \\ are escapes; another backslash is one, as browsers and SDKs send it.
 * Refused are folded headers, a second name, Content-Disposition or Content-Type
 * of a part, and two lengths that differ.
 *
 * Shape    blank lines, the boundary, parts, the closing boundary; what comes
 *          after that is ignored
 * Threads  a parser belongs to one thread
 * Memory   allocates nothing; what an event hands over points into the piece or
 *          into the parser, which therefore must not move
 * Errors   MULTIPART_FAULT with `fault` and `offset`; the parser then stays there
 * Sources  RFC 7578, RFC 2046 section 5.1, RFC 2045 section 5.1; bodies that the
 *          LangSmith SDKs 0.12.0 (JavaScript) and 0.11.1 (Python) sent
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    MULTIPART_BOUNDARY_MAX = 70,  /* RFC 2046 */
    MULTIPART_HEADERS_MAX = 2048, /* of one part, with its line ends and the blank line */
    MULTIPART_NAME_MAX = 512,     /* of one part, without escapes */
    MULTIPART_TYPE_MAX = 256,     /* of one part, without parameters */
    MULTIPART_BLANKS_MAX = 64     /* before the first boundary, or behind one in its line */
};

#define MULTIPART_LENGTH_MAX (UINT64_C(1) << 63) /* of one part */

/* What a part is that does not say its length. */
enum multipart_lengths {
    MULTIPART_REQUIRED, /* a fault */
    MULTIPART_DELIMITED /* it ends where CRLF and the boundary come */
};

enum multipart_event {
    MULTIPART_MORE,     /* the piece is consumed; with `last`, the end was seen before */
    MULTIPART_PART,     /* the headers of a part are complete: `name` and what follows it */
    MULTIPART_DATA,     /* the next bytes of that part, at least one: `data` */
    MULTIPART_PART_END, /* that part is complete */
    MULTIPART_END,      /* the closing boundary, once */
    MULTIPART_FAULT     /* see `fault` and `offset` */
};

struct multipart {
    /* Read after an event. */
    uint64_t offset;  /* bytes of the body consumed; of a fault, the byte at fault */
    struct str name;  /* PART to PART_END: UTF-8 without control characters; may be empty */
    struct str type;  /* PART to PART_END: visible ASCII, may be empty; at == NULL: not sent */
    uint64_t length;  /* PART to PART_END: when `has_length` */
    bool has_length;  /* PART to PART_END */
    bool encoded;     /* PART to PART_END: the part has a Content-Encoding */
    struct str data;  /* DATA: valid until the next call, and as long as the piece */
    struct err fault; /* FAULT: ERR_INVALID and a sentence in ASCII */

    /* The parser's own. */
    enum multipart_lengths lengths;
    uint8_t state, blanks;
    uint8_t matched, delimiter_len;             /* of `delimiter`, the bytes that were seen */
    uint16_t headers_len, line_at;              /* `headers`: filled; where the last line begins */
    uint64_t headers_at;                        /* offset of headers[0] */
    uint64_t left;                              /* bytes of the part that did not come yet */
    char delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
    char headers[MULTIPART_HEADERS_MAX];
};

/* The boundary in the value of a request's Content-Type, as a view into it.
 * ERR_INVALID when it is not multipart/form-data, or has no good boundary. */
int multipart_boundary(struct str content_type, struct str *result, struct err *err);

/* `boundary` came from multipart_boundary(); it is copied. */
void multipart_start(struct multipart *parser, struct str boundary, enum multipart_lengths lengths);

/* Go on to the next event, and take what was read off the front of `piece`.
 * `last` says that nothing comes after this piece, which may be empty. */
enum multipart_event multipart_next(struct multipart *parser, struct str *piece, bool last);
