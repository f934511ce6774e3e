/* multipart_test.c - bodies, whole and in pieces, and what the parser says of them. */
#include <stdio.h>

#include "lib/check.h"
#include "unit/wire/multipart_transcript.h"

#define EACH(item, list) (size_t item = 0; item < sizeof(list) / sizeof *(list); item++)

static const struct cuts whole = {SIZE_MAX, SIZE_MAX, 0, false};

static void show(const char *what, struct str text)
{
    fprintf(stderr, "  %s: ", what);
    for (size_t i = 0; i < text.len && i < 600; i++)
        fprintf(stderr, text.at[i] >= ' ' && text.at[i] < 0x7f ? "%c" : "\\x%02x",
                (unsigned char)text.at[i]);
    fprintf(stderr, "\n");
}

/* Is this what the parser says, with the body cut like that? */
static bool says(const struct transcript *expected, struct str boundary,
                 enum multipart_lengths lengths, struct str body, struct cuts cuts)
{
    struct transcript found = transcript_of(boundary, lengths, body, cuts);
    bool good = !found.broken && transcript_equal(expected, &found);
    if (!good) {
        fprintf(stderr, "  cut after %zu, each %zu, seed %" PRIu64 "%s\n", cuts.first, cuts.step,
                cuts.seed, cuts.late ? ", late" : "");
        show("body", body);
        show("expected", transcript_str(expected));
        show("found", transcript_str(&found));
        fprintf(stderr, "  found fault at %" PRIu64 ": %s\n  broken: %s\n", found.fault_at,
                found.fault, found.broken ? found.broken : "nothing");
    }
    transcript_free(&found);
    return good;
}

/* And with it cut in every way? */
static bool says_always(const struct transcript *expected, struct str boundary,
                        enum multipart_lengths lengths, struct str body)
{
    for (size_t size = 1; size <= 3; size++)
        for (int late = 0; late < 2; late++)
            if (!says(expected, boundary, lengths, body, (struct cuts){0, size, 0, late}))
                return false;
    for (size_t cut = 1; cut <= body.len; cut++)
        if (!says(expected, boundary, lengths, body, (struct cuts){cut, SIZE_MAX, 0, cut % 2}))
            return false;
    for (uint64_t seed = 1; seed <= 20; seed++)
        if (!says(expected, boundary, lengths, body, (struct cuts){0, 0, seed, seed % 2}))
            return false;
    return says(expected, boundary, lengths, body, whole);
}

/* A body of boundary B in two pieces of text, and what it should give.  With a
 * fault, the byte at fault is the first one of `rest`. */
struct body {
    enum multipart_lengths lengths;
    struct str text, rest;
    struct str events;
    const char *fault; /* NULL: none */
};

static bool gives(const struct body *b)
{
    static char joined[16 * 1024];
    if (b->text.len + b->rest.len > sizeof joined)
        abort();
    memcpy(joined, b->text.at, b->text.len);
    memcpy(joined + b->text.len, b->rest.at, b->rest.len);

    struct transcript expected = {.fault_at = b->fault ? b->text.len : SIZE_MAX,
                                  .ended = !b->fault};
    text_add(&expected.text, b->events);
    if (b->fault)
        snprintf(expected.fault, sizeof expected.fault, "%s", b->fault);
    bool good = says_always(&expected, STR("B"), b->lengths,
                            (struct str){joined, b->text.len + b->rest.len});
    transcript_free(&expected);
    return good;
}

/* Literals for the tables below. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define GOOD(body, events)                                                                         \
    {                                                                                              \
        MULTIPART_REQUIRED, BYTES(body), BYTES(""), BYTES(events), NULL                            \
    }
#define FREE(body, events)                                                                         \
    {                                                                                              \
        MULTIPART_DELIMITED, BYTES(body), BYTES(""), BYTES(events), NULL                           \
    }
#define FAULT(text, rest, events, sentence)                                                        \
    {                                                                                              \
        MULTIPART_REQUIRED, BYTES(text), BYTES(rest), BYTES(events), sentence                      \
    }
#define FREE_FAULT(text, rest, events, sentence)                                                   \
    {                                                                                              \
        MULTIPART_DELIMITED, BYTES(text), BYTES(rest), BYTES(events), sentence                     \
    }

#define NAME "Content-Disposition: form-data; name="
#define LENGTH "Content-Length: "
#define TYPE "Content-Type: "
#define CRLF "\r\n"
#define OPEN "--B" CRLF
#define NEXT CRLF "--B" CRLF
#define CLOSE CRLF "--B--" CRLF
#define X3 NAME "x" CRLF LENGTH "3" CRLF /* the headers of a part of three bytes */

static void each_gives(const struct body *bodies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool good = gives(&bodies[i]);
        CHECK(good);
    }
}
#define EACH_GIVES(bodies) each_gives(bodies, sizeof(bodies) / sizeof *(bodies))

TEST(parts_as_the_javascript_sdk_writes_them)
{
    static const struct body bodies[] = {
        GOOD(OPEN NAME "\"post.01a2\"" CRLF TYPE "application/json; length=7" CRLF CRLF
                       "{\"a\":1}" NEXT NAME "\"attachment.01a2.pic\"" CRLF TYPE
                       "image/png; length=8" CRLF CRLF "\x89PNG\0\1\2\3" CLOSE,
             "[post.01a2 application/json 7]{\"a\":1}[/]"
             "[attachment.01a2.pic image/png 8]\x89PNG\0\1\2\3[/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(parts_as_the_python_sdk_writes_them)
{
    static const struct body bodies[] = {
        GOOD(OPEN NAME "\"post.01a2\"" CRLF TYPE "application/json" CRLF LENGTH "7" CRLF CRLF
                       "{\"a\":1}" NEXT NAME "\"attachment.01a2.doc\"" CRLF TYPE
                       "text/plain; length=15" CRLF CRLF "file attachment" CLOSE,
             "[post.01a2 application/json 7]{\"a\":1}[/]"
             "[attachment.01a2.doc text/plain 15]file attachment[/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(a_body_may_have_no_parts_and_things_around_it)
{
    static const struct body bodies[] = {
        GOOD("--B--", "[end]"),
        GOOD("--B--" CRLF, "[end]"),
        GOOD(CRLF CRLF "\n--B--", "[end]"),
        GOOD("--B--tail\0\r\n--B\r\nnothing of this is read", "[end]"),
        GOOD("--B-- \t" CRLF "--B--" CRLF "--B--", "[end]"),
        GOOD(CRLF OPEN X3 CRLF "abc" CLOSE "epilogue", "[x - 3]abc[/][end]"),
        GOOD(OPEN X3 CRLF "abc" CRLF "--B--", "[x - 3]abc[/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(lines_may_end_in_lf_and_have_blanks_in_them)
{
    static const struct body bodies[] = {
        GOOD("--B\n" NAME "x\n" LENGTH "3\n\nabc" CRLF "--B\n" NAME "y\n" LENGTH "0\r\n\n" CLOSE,
             "[x - 3]abc[/][y - 0][/][end]"),
        GOOD("--B \t " CRLF X3 CRLF "abc" CRLF "--B\t\n" X3 CRLF "def" CLOSE,
             "[x - 3]abc[/][x - 3]def[/][end]"),
        GOOD(OPEN "Content-Disposition \t:\t form-data \t; name\t = \t x \t" CRLF
                  "Content-Length:3 " CRLF CRLF "abc" CLOSE,
             "[x - 3]abc[/][end]"),
        GOOD(OPEN "Content-Disposition:form-data;name=\"x\" \t;a=b" CRLF
                  "Content-Type:a/b \t;length= \"3\"\t" CRLF CRLF "abc" CLOSE,
             "[x a/b 3]abc[/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(headers_come_in_any_order_and_case_with_others_between)
{
    static const struct body bodies[] = {
        GOOD(OPEN "CONTENT-LENGTH: 3" CRLF "x-Other: a:b;c=\"" CRLF "content-TYPE: Text/Plain" CRLF
                  "Content-Transfer-Encoding: binary" CRLF
                  "content-disposition: Form-Data; NAME=x" CRLF CRLF "abc" CLOSE,
             "[x Text/Plain 3]abc[/][end]"),
        GOOD(OPEN TYPE "a/b; LENGTH=3; charset=utf-8" CRLF X3 CRLF "abc" CLOSE,
             "[x a/b 3]abc[/][end]"),
        GOOD(OPEN X3 "content-encoding: gzip" CRLF CRLF "abc" NEXT X3 CRLF "def" CLOSE,
             "[x - 3 encoded]abc[/][x - 3]def[/][end]"),
        GOOD(OPEN X3 TYPE "a/b" CRLF CRLF "abc" NEXT X3 TYPE CRLF CRLF "def" NEXT X3 CRLF
                          "ghi" CLOSE,
             "[x a/b 3]abc[/][x  3]def[/][x - 3]ghi[/][end]"),
        GOOD(OPEN NAME "x" CRLF TYPE "; length=3" CRLF CRLF "abc" CLOSE, "[x  3]abc[/][end]"),
        GOOD(OPEN NAME "x" CRLF TYPE "a/b;; charset ; \"; ; xlength=4;length=3;" CRLF CRLF
                       "abc" CLOSE,
             "[x a/b 3]abc[/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(a_name_may_be_in_quotes_and_hold_anything_that_is_text)
{
    static const struct body bodies[] = {
        GOOD(OPEN NAME "\"notes txt; name=no\"" CRLF LENGTH "0" CRLF CRLF CLOSE,
             "[notes txt; name=no - 0][/][end]"),
        GOOD(OPEN NAME "\"say \\\"hi\\\" \\\\ \\n C:\\temp\"; filename=\"name=\\\"f\"" CRLF LENGTH
                       "0" CRLF CRLF CLOSE,
             "[say \"hi\" \\ \\n C:\\temp - 0][/][end]"),
        GOOD(OPEN "Content-Disposition: form-data; filename=\"a;name=b\"; name=c" CRLF LENGTH
                  "0" CRLF CRLF CLOSE,
             "[c - 0][/][end]"),
        GOOD(OPEN NAME "a b\\\\c=d ; x" CRLF LENGTH "0" CRLF CRLF CLOSE,
             "[a b\\\\c=d - 0][/][end]"),
        GOOD(OPEN NAME "\"\"" CRLF LENGTH "0" CRLF CRLF NEXT NAME CRLF LENGTH "0" CRLF CRLF CLOSE,
             "[ - 0][/][ - 0][/][end]"),
        GOOD(OPEN NAME
             "\"\xd0\xbf\xd1\x80\xd0\xb8 \xf0\x9f\x98\x80 \xc2\xa0\xe2\x80\x83\"" CRLF LENGTH
             "0" CRLF CRLF CLOSE,
             "[\xd0\xbf\xd1\x80\xd0\xb8 \xf0\x9f\x98\x80 \xc2\xa0\xe2\x80\x83 - 0][/][end]"),
        GOOD(OPEN NAME "\xc3\xa9" CRLF LENGTH "0" CRLF CRLF CLOSE, "[\xc3\xa9 - 0][/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(what_is_read_by_length_may_hold_the_boundary)
{
    static const struct body bodies[] = {
        GOOD(OPEN NAME "x" CRLF LENGTH "21" CRLF CRLF CRLF "--B--" CRLF "--B" CRLF
                       "--B\r\n--" NEXT X3 CRLF "--B" CLOSE,
             "[x - 21]\r\n--B--\r\n--B\r\n--B\r\n--[/][x - 3]--B[/][end]"),
        GOOD(OPEN NAME "x" CRLF LENGTH "5" CRLF CRLF CRLF "--B" CLOSE, "[x - 5]\r\n--B[/][end]"),
        GOOD(OPEN X3 CRLF "\r\n\r" CLOSE, "[x - 3]\r\n\r[/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(a_length_may_be_said_more_than_once)
{
    static const struct body bodies[] = {
        GOOD(OPEN X3 TYPE "a/b; length=3" CRLF CRLF "abc" CLOSE, "[x a/b 3]abc[/][end]"),
        GOOD(OPEN X3 TYPE "a/b; length=\"03\"; length=3" CRLF LENGTH "3" CRLF CRLF "abc" CLOSE,
             "[x a/b 3]abc[/][end]"),
        FAULT(OPEN X3 TYPE "a/b; length=", "4" CRLF CRLF "abc" CLOSE, "",
              "part \"x\" has two lengths, 3 and 4"),
        FAULT(OPEN TYPE "a/b; length=4; length=", "3" CRLF NAME "x" CRLF CRLF "abc" CLOSE, "",
              "part \"x\" has two lengths, 4 and 3"),
        FAULT(OPEN TYPE "a/b; length=\"3\"" CRLF LENGTH, "0" CRLF NAME "x" CRLF CRLF "abc" CLOSE,
              "", "part \"x\" has two lengths, 3 and 0"),
        FAULT(OPEN X3 LENGTH, "5" CRLF CRLF "abc" CLOSE, "", "part \"x\" has two lengths, 3 and 5"),
    };
    EACH_GIVES(bodies);
}

TEST(a_length_that_is_none_is_a_fault)
{
    static const struct body bodies[] = {
        FAULT(OPEN NAME "x" CRLF LENGTH, CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "+3" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "-3" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "3 3" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "0x3" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "3\0" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "3:" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF TYPE "a/b; length=\"", "\"" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF TYPE "a/b; length=", "9999999999999999999999a" CRLF CRLF CLOSE, "",
              "the length of part \"x\" is not a number"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "9223372036854775809" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is more than 2^63"),
        FAULT(OPEN NAME "x" CRLF LENGTH, "18446744073709551619" CRLF CRLF "abc" CLOSE, "",
              "the length of part \"x\" is more than 2^63"),
        FAULT(OPEN NAME "x" CRLF TYPE "a/b; length=", "92233720368547758080" CRLF CRLF CLOSE, "",
              "the length of part \"x\" is more than 2^63"),
        FAULT(OPEN NAME "x" CRLF LENGTH "9223372036854775808" CRLF CRLF "abc" CLOSE, "",
              "[x - 9223372036854775808]abc\r\n--B--\r\n",
              "the body ends in the middle of part \"x\", of whose bytes 9223372036854775796 are "
              "missing"),
    };
    EACH_GIVES(bodies);
}

TEST(a_length_that_does_not_lead_to_a_boundary_is_a_fault)
{
    static const struct body bodies[] = {
        FAULT(OPEN X3 CRLF "abc", "d" CLOSE, "[x - 3]abc",
              "no boundary follows the 3 bytes that part \"x\" should have"),
        FAULT(OPEN X3 CRLF "ab\r", "\n--B--" CRLF, "[x - 3]ab\r",
              "no boundary follows the 3 bytes that part \"x\" should have"),
        FAULT(OPEN X3 CRLF "abc", "\n--B--" CRLF, "[x - 3]abc",
              "no boundary follows the 3 bytes that part \"x\" should have"),
        FAULT(OPEN X3 CRLF "abc\r\n-", "B--" CRLF, "[x - 3]abc",
              "no boundary follows the 3 bytes that part \"x\" should have"),
        FAULT(OPEN X3 CRLF "abc\r\n--", "b--" CRLF, "[x - 3]abc",
              "no boundary follows the 3 bytes that part \"x\" should have"),
        FAULT(OPEN X3 CRLF "abc\r", "\r\n--B--" CRLF, "[x - 3]abc",
              "no boundary follows the 3 bytes that part \"x\" should have"),
        FAULT(OPEN NAME "x" CRLF LENGTH "0" CRLF CRLF, "--B--" CRLF, "[x - 0]",
              "no boundary follows the 0 bytes that part \"x\" should have"),
        FREE_FAULT(OPEN X3 CRLF "abc", "d" CLOSE, "[x - 3]abc",
                   "no boundary follows the 3 bytes that part \"x\" should have"),
    };
    EACH_GIVES(bodies);
}

TEST(a_part_without_a_length_is_a_fault_or_ends_at_the_boundary)
{
    static const struct body bodies[] = {
        FAULT(OPEN NAME "\"a b\"" CRLF TYPE "a/b; len=3" CRLF CRLF, "abc" CLOSE, "",
              "part \"a b\" has no length: neither a Content-Length nor a length in its "
              "Content-Type"),
        FREE(OPEN NAME "x" CRLF TYPE "a/b" CRLF CRLF "{\"a\":1}" NEXT NAME "y" CRLF TYPE
                       "text/plain; length=7" CRLF CRLF "\r\n--B\r\n" NEXT NAME "z" CRLF CRLF CLOSE,
             "[x a/b -]{\"a\":1}[/][y text/plain 7]\r\n--B\r\n[/][z - -][/][end]"),
    };
    EACH_GIVES(bodies);
}

TEST(the_boundary_is_found_behind_what_looks_like_it)
{
    static const struct body bodies[] = {
        FREE(OPEN NAME "x" CRLF CRLF "\r" CLOSE, "[x - -]\r[/][end]"),
        FREE(OPEN NAME "x" CRLF CRLF "\r\r\r\r" CLOSE, "[x - -]\r\r\r\r[/][end]"),
        FREE(OPEN NAME "x" CRLF CRLF "\r\n\r\n" CLOSE, "[x - -]\r\n\r\n[/][end]"),
        FREE(OPEN NAME "x" CRLF CRLF "\r\n-\r\n--\r\n--" CLOSE, "[x - -]\r\n-\r\n--\r\n--[/][end]"),
        FREE(OPEN NAME "x" CRLF CRLF "\r\n--b\r\n--\rB\n--B--B\n--B\r--B" CLOSE,
             "[x - -]\r\n--b\r\n--\rB\n--B--B\n--B\r--B[/][end]"),
        FREE(OPEN NAME "x" CRLF CRLF "--B--" CLOSE, "[x - -]--B--[/][end]"),
        FREE_FAULT(OPEN NAME "x" CRLF CRLF "abc\r\n--B", "oundary" CLOSE, "[x - -]abc[/]",
                   "behind a boundary is neither a line end nor --"),
    };
    EACH_GIVES(bodies);

    /* A longer one, begun and broken off at each of its bytes. */
    static const char delimiter[] = "\r\n--boundary";
    for (size_t len = 1; len < sizeof delimiter - 1; len++)
        for (size_t again = 0; again <= len; again++) {
            char body[256];
            char events[256];
            int size = snprintf(body, sizeof body,
                                "--boundary\r\n" NAME "x\r\n\r\n1%.*s%.*s2%.*s%s--", (int)len,
                                delimiter, (int)again, delimiter, (int)len, delimiter, delimiter);
            snprintf(events, sizeof events, "[x - -]1%.*s%.*s2%.*s[/][end]", (int)len, delimiter,
                     (int)again, delimiter, (int)len, delimiter);
            struct transcript expected = {.fault_at = SIZE_MAX, .ended = true};
            text_add(&expected.text, (struct str){events, strlen(events)});
            CHECK(says_always(&expected, STR("boundary"), MULTIPART_DELIMITED,
                              (struct str){body, (size_t)size}));
            transcript_free(&expected);
        }
}

/* What memmem() finds is what the parser finds. */
TEST(bytes_without_a_length_end_where_a_search_of_the_whole_says)
{
    static const char head[] = "--B-\r\n" NAME "x\r\n\r\n";
    static const char delimiter[] = "\r\n--B-";
    static const char alphabet[] = "\r\r\n--B-x";
    uint64_t dice = 1;
    for (int round = 0; round < 3000; round++) {
        char body[256];
        size_t len = sizeof head - 1;
        memcpy(body, head, len);
        size_t end = len + (size_t)round % 120;
        while (len < end) {
            dice = dice * UINT64_C(6364136223846793005) + 1;
            size_t copied = dice >> 33 & 7;
            if (dice >> 62 == 0) {
                memcpy(body + len, delimiter, copied < 6 ? copied : 5);
                len += copied < 6 ? copied : 5;
            } else {
                body[len++] = alphabet[dice >> 40 & 7];
            }
        }
        memcpy(body + len, "\r\n--B---", 8);
        len += 8;

        const char *content = body + sizeof head - 1;
        const char *found = memmem(content, len - sizeof head + 1, delimiter, 6);
        struct transcript t = transcript_of(STR("B-"), MULTIPART_DELIMITED, (struct str){body, len},
                                            (struct cuts){0, 0, dice, false});
        struct text expected = {0};
        text_addf(&expected, "[x - -]%.*s[/]", (int)(found - content), content);
        CHECK(!t.broken);
        CHECK(found && t.text.len >= expected.len &&
              memcmp(t.text.at, expected.at, expected.len) == 0);
        text_free(&expected);
        transcript_free(&t);
    }
}

TEST(a_body_that_does_not_begin_with_its_boundary_is_a_fault)
{
    static const struct body bodies[] = {
        FAULT("", "B--", "", "the body does not begin with its boundary"),
        FAULT("", "preamble" CRLF "--B--", "", "the body does not begin with its boundary"),
        FAULT(CRLF, " --B--", "", "the body does not begin with its boundary"),
        FAULT("--", "A--", "", "the body does not begin with its boundary"),
        FAULT("-", CRLF "--B--", "", "the body does not begin with its boundary"),
        FAULT("--B", "B--", "", "behind a boundary is neither a line end nor --"),
        FAULT("--B-", CRLF "--B--", "", "behind a boundary is neither a line end nor --"),
        FAULT("--B ", "--" CRLF, "", "behind a boundary is neither a line end nor --"),
        FAULT("--B\r", "\r\n" X3 CRLF "abc" CLOSE, "",
              "behind a boundary is neither a line end nor --"),
        FAULT("--B ", "x" CRLF, "", "behind a boundary is neither a line end nor --"),
    };
    EACH_GIVES(bodies);
}

TEST(headers_that_are_none_are_a_fault)
{
    static const struct body bodies[] = {
        FAULT(OPEN CRLF, "abc" CLOSE, "", "a part has no Content-Disposition"),
        FAULT(OPEN LENGTH "3" CRLF CRLF, "abc" CLOSE, "", "a part has no Content-Disposition"),
        FAULT(OPEN X3, "no colon" CRLF CRLF "abc" CLOSE, "",
              "a part has a header line without a name and a colon"),
        FAULT(OPEN X3, ": no name" CRLF CRLF "abc" CLOSE, "",
              "a part has a header line without a name and a colon"),
        FAULT(OPEN X3, "\r" CRLF CRLF "abc" CLOSE, "",
              "a part has a header line without a name and a colon"),
        FAULT(OPEN X3, " folded: line" CRLF CRLF "abc" CLOSE, "",
              "a part has a header line that begins with a blank"),
        FAULT(OPEN, "\t" CRLF X3 CRLF "abc" CLOSE, "",
              "a part has a header line that begins with a blank"),
        FAULT(OPEN X3 "Content-Disposition: ", "form-data; name=x" CRLF CRLF "abc" CLOSE, "",
              "a part has two Content-Disposition headers"),
        FAULT(OPEN X3 TYPE "a/b" CRLF TYPE, "a/b" CRLF CRLF "abc" CLOSE, "",
              "part \"x\" has two Content-Type headers"),
        FAULT(OPEN "Content-Disposition: ", "attachment; name=x" CRLF CRLF "abc" CLOSE, "",
              "the Content-Disposition of a part is not form-data"),
        FAULT(OPEN "Content-Disposition: ", CRLF CRLF "abc" CLOSE, "",
              "the Content-Disposition of a part is not form-data"),
        FAULT(OPEN "Content-Disposition: ", "form-data; filename=x; xname=y" CRLF CRLF CLOSE, "",
              "the Content-Disposition of a part has no name"),
        FAULT(OPEN "Content-Disposition: ", "form-data" CRLF LENGTH "3" CRLF CRLF "abc" CLOSE, "",
              "the Content-Disposition of a part has no name"),
        FAULT(OPEN X3 CRLF "abc" NEXT CRLF, "abc" CLOSE, "[x - 3]abc[/]",
              "a part has no Content-Disposition"),
    };
    EACH_GIVES(bodies);
}

TEST(a_name_that_is_no_text_is_a_fault)
{
    static const struct body bodies[] = {
        FAULT(OPEN NAME "x; name=", "x" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "a part has two names"),
        FAULT(OPEN NAME, "\"x" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "a part has a header with a quote that is not closed"),
        FAULT(OPEN NAME, "\"x\\\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "a part has a header with a quote that is not closed"),
        FAULT(OPEN NAME "\"say \"", "hi\"\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "a part has a header with something behind a closed quote"),
        FAULT(OPEN NAME "sa", "\"y\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "a part has a header with a quote in the middle of a value"),
        FAULT(OPEN X3 TYPE "a/b; charset=", "\"" CRLF CRLF "abc" CLOSE, "",
              "a part has a header with a quote that is not closed"),
        FAULT(OPEN NAME "\"", "\xff\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part is not UTF-8"),
        FAULT(OPEN NAME, "a\xc3" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part is not UTF-8"),
        FAULT(OPEN NAME, "a\xed\xa0\x80" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part is not UTF-8"),
        FAULT(OPEN NAME "\"", "a\0\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN NAME, "a\0b" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN NAME "\"", "a\tb\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN NAME "\"", "a\rb\"" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN NAME, "\x1f" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN NAME, "\x7f" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN NAME, "a\xc2\x9f" CRLF LENGTH "0" CRLF CRLF CLOSE, "",
              "the name of a part has a control character in it"),
        FAULT(OPEN X3 TYPE, "a b" CRLF CRLF "abc" CLOSE, "",
              "the Content-Type of part \"x\" has a character that may not be there"),
        FAULT(OPEN X3 TYPE, "a/\xc3\xa9" CRLF CRLF "abc" CLOSE, "",
              "the Content-Type of part \"x\" has a character that may not be there"),
        FAULT(OPEN X3 TYPE, "a/b\0" CRLF CRLF "abc" CLOSE, "",
              "the Content-Type of part \"x\" has a character that may not be there"),
        FAULT(OPEN X3 TYPE, "a/b\rX-Y: z" CRLF CRLF "abc" CLOSE, "",
              "the Content-Type of part \"x\" has a character that may not be there"),
        FAULT(OPEN X3 TYPE, "a/\x7f" CRLF CRLF "abc" CLOSE, "",
              "the Content-Type of part \"x\" has a character that may not be there"),
    };
    EACH_GIVES(bodies);
}

#define EIGHTY "12345678901234567890123456789012345678901234567890123456789012345678901234567890"

TEST(a_name_stands_in_a_sentence_short_and_in_ascii)
{
    static const struct body bodies[] = {
        FAULT(OPEN NAME "\xc3\xa9y" CRLF LENGTH, "z" CRLF CRLF CLOSE, "",
              "the length of part \"??y\" is not a number"),
        FAULT(OPEN NAME EIGHTY CRLF LENGTH, "z" CRLF CRLF CLOSE, "",
              "the length of part \"" EIGHTY "\" is not a number"),
        FAULT(OPEN NAME EIGHTY "1" CRLF LENGTH, "z" CRLF CRLF CLOSE, "",
              "the length of part \"" EIGHTY "\" is not a number"),
        FAULT(OPEN NAME EIGHTY CRLF CRLF, CLOSE, "",
              "part \"" EIGHTY "\" has no length: neither a Content-Length nor a length in its "
              "Content-Type"),
    };
    EACH_GIVES(bodies);
}

/* A body with `count` times `c` between `before` and `after`. */
static bool limit_gives(const char *before, char c, size_t count, const char *after,
                        const char *events, size_t fault_at, const char *fault)
{
    static char text[16 * 1024];
    size_t len = strlen(before);
    memcpy(text, before, len);
    memset(text + len, c, count);
    len += count;
    memcpy(text + len, after, strlen(after));
    len += strlen(after);

    struct body body = {MULTIPART_REQUIRED, {text, len}, STR(""), {events, strlen(events)}, fault};
    if (fault) {
        body.text.len = fault_at;
        body.rest = (struct str){text + fault_at, len - fault_at};
    }
    return gives(&body);
}

TEST(headers_are_as_long_as_the_limit_and_no_longer)
{
    static const char before[] = OPEN X3 "a:";
    size_t room = MULTIPART_HEADERS_MAX - (sizeof before - 1 - strlen(OPEN)) - 2 - 2;
    size_t at = strlen(OPEN) + MULTIPART_HEADERS_MAX;
    static const char sentence[] = "the headers of a part are longer than 2048 bytes";

    CHECK(limit_gives(before, 'z', room, CRLF CRLF "abc" CLOSE, "[x - 3]abc[/][end]", 0, NULL));
    CHECK(limit_gives(before, 'z', room + 1, CRLF CRLF "abc" CLOSE, "", at, sentence));
    CHECK(limit_gives(before, 'z', room + 4, CRLF CRLF "abc" CLOSE, "", at, sentence));
    CHECK(limit_gives(before, 'z', 4 * MULTIPART_HEADERS_MAX, "", "", at, sentence));
    CHECK(limit_gives(OPEN, '\r', MULTIPART_HEADERS_MAX + 1, "", "", at, sentence));
    CHECK(limit_gives(OPEN, 'z', MULTIPART_HEADERS_MAX, "", "", at,
                      "the body ends in the middle of a part's headers"));
}

TEST(a_name_is_as_long_as_the_limit_and_no_longer)
{
    char events[MULTIPART_NAME_MAX + 32] = "[";
    memset(events + 1, 'n', MULTIPART_NAME_MAX);
    snprintf(events + 1 + MULTIPART_NAME_MAX, 31, " - 0][/][end]");
    static const char tail[] = "\"" CRLF LENGTH "0" CRLF CRLF CLOSE;

    CHECK(limit_gives(OPEN NAME "\"", 'n', MULTIPART_NAME_MAX, tail, events, 0, NULL));
    CHECK(limit_gives(OPEN NAME "\"", 'n', MULTIPART_NAME_MAX + 1, tail, "", strlen(OPEN NAME "\""),
                      "the name of a part is 513 bytes long, the limit is 512"));
    /* Two backslashes are one. */
    memset(events + 1, '\\', MULTIPART_NAME_MAX);
    CHECK(limit_gives(OPEN NAME "\"", '\\', 2 * MULTIPART_NAME_MAX, tail, events, 0, NULL));
}

TEST(a_content_type_is_as_long_as_the_limit_and_no_longer)
{
    char events[MULTIPART_TYPE_MAX + 32] = "[x ";
    memset(events + 3, 't', MULTIPART_TYPE_MAX);
    snprintf(events + 3 + MULTIPART_TYPE_MAX, 28, " 3]abc[/][end]");
    static const char tail[] = "; length=3" CRLF CRLF "abc" CLOSE;

    CHECK(limit_gives(OPEN NAME "x" CRLF TYPE, 't', MULTIPART_TYPE_MAX, tail, events, 0, NULL));
    CHECK(limit_gives(OPEN NAME "x" CRLF TYPE, 't', MULTIPART_TYPE_MAX + 1, tail, "",
                      strlen(OPEN NAME "x" CRLF TYPE),
                      "the Content-Type of part \"x\" is 257 bytes long, the limit is 256"));
}

TEST(blanks_beside_a_boundary_are_as_many_as_the_limit_and_no_more)
{
    static const char sentence[] = "more than 64 blanks beside a boundary";
    CHECK(limit_gives("", '\n', 64, OPEN X3 CRLF "abc" CLOSE, "[x - 3]abc[/][end]", 0, NULL));
    CHECK(limit_gives("", '\n', 65, "--B--", "", 64, sentence));
    CHECK(
        limit_gives(CRLF "--B", ' ', 64, CRLF X3 CRLF "abc" CLOSE, "[x - 3]abc[/][end]", 0, NULL));
    CHECK(limit_gives("--B", '\t', 65, CRLF, "", 67, sentence));
}

TEST(a_body_that_ends_early_is_a_fault_that_says_where)
{
    static const struct body bodies[] = {
        FAULT("", "", "", "the body has no boundary in it"),
        FAULT(CRLF, "", "", "the body has no boundary in it"),
        FAULT("-", "", "", "the body ends in the middle of its first boundary"),
        FAULT("--", "", "", "the body ends in the middle of its first boundary"),
        FAULT("--B", "", "", "the body ends in the middle of a line with a boundary"),
        FAULT("--B-", "", "", "the body ends in the middle of a line with a boundary"),
        FAULT("--B\r", "", "", "the body ends in the middle of a line with a boundary"),
        FAULT(OPEN, "", "", "the body ends in the middle of a part's headers"),
        FAULT(OPEN X3 "\r", "", "", "the body ends in the middle of a part's headers"),
        FAULT(OPEN X3 CRLF, "", "[x - 3]",
              "the body ends in the middle of part \"x\", of whose bytes 3 are missing"),
        FAULT(OPEN X3 CRLF "ab", "", "[x - 3]ab",
              "the body ends in the middle of part \"x\", of whose bytes 1 are missing"),
        FAULT(OPEN X3 CRLF "abc", "", "[x - 3]abc",
              "the body ends in the middle of the boundary after part \"x\""),
        FAULT(OPEN X3 CRLF "abc\r\n--", "", "[x - 3]abc",
              "the body ends in the middle of the boundary after part \"x\""),
        FAULT(OPEN X3 CRLF "abc\r\n--B", "", "[x - 3]abc[/]",
              "the body ends in the middle of a line with a boundary"),
        FREE_FAULT(OPEN NAME "x" CRLF CRLF, "", "[x - -]",
                   "the body ends in the middle of part \"x\""),
        FREE_FAULT(OPEN NAME "x" CRLF CRLF "abc\r\n-", "", "[x - -]abc",
                   "the body ends in the middle of part \"x\""),
    };
    EACH_GIVES(bodies);
}

/* Bodies that the SDKs sent, on disk. */

struct sent {
    const char *file, *boundary;
    enum multipart_lengths lengths;
    size_t parts;
    const char *first, *last; /* how their transcripts begin and end */
};

static const struct sent sent[] = {
    {"js_post.body", "----LangSmithFormBoundary7xnukcmnjap", MULTIPART_REQUIRED, 7,
     "[post.01a20937-9045-7000-8000-00e90e682e86 application/json 324]{\"session_name\":",
     "[attachment.01a20937-9045-7000-8000-00e90e682e86.notes txt text/plain 5]hello[/][end]"},
    {"python_post.body", "610eb9de0fd44116ad505b4b28faeef2", MULTIPART_REQUIRED, 7,
     "[post.01a20938-cd4f-71e5-83d7-946d4e67a152 application/json 356]{\"id\":\"01a20938-",
     "[attachment.01a20938-cd4f-71e5-83d7-946d4e67a152.doc text/plain 15]file attachment[/][end]"},
    {"python_examples.body", "028fe4f373eb452aa4316ddfdc81dff5", MULTIPART_DELIMITED, 4,
     "[4380c33c-317a-407b-809e-80f4c43afd3a application/json -]{\"created_at\":",
     "[4380c33c-317a-407b-809e-80f4c43afd3a.attachment.f text/plain 2]hi[/][end]"},
};

static struct str read_body(const char *name)
{
    static char body[8 * 1024];
    const char *root = getenv("TEST_DATA");
    char path[4096];
    snprintf(path, sizeof path, "%s/multipart/%s", root ? root : "test/data", name);
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    if (!file)
        return STR("");
    struct str found = {body, fread(body, 1, sizeof body, file)};
    fclose(file);
    return found;
}

TEST(what_the_sdks_sent_is_read_whole_and_in_pieces)
{
    for
        EACH(i, sent)
        {
            struct str body = read_body(sent[i].file);
            struct str boundary = {sent[i].boundary, strlen(sent[i].boundary)};
            struct transcript t = transcript_of(boundary, sent[i].lengths, body, whole);
            size_t first = strlen(sent[i].first), last = strlen(sent[i].last);

            CHECK(!t.broken && t.ended && t.parts == sent[i].parts);
            CHECK(t.text.len > first + last && memcmp(t.text.at, sent[i].first, first) == 0 &&
                  memcmp(t.text.at + t.text.len - last, sent[i].last, last) == 0);
            CHECK(says_always(&t, boundary, sent[i].lengths, body));
            transcript_free(&t);
        }
}

TEST(what_the_sdks_sent_is_a_fault_when_it_is_cut_off_anywhere)
{
    for
        EACH(i, sent)
        {
            struct str body = read_body(sent[i].file);
            struct str boundary = {sent[i].boundary, strlen(sent[i].boundary)};
            struct transcript all = transcript_of(boundary, sent[i].lengths, body, whole);
            /* All but the line end after the closing boundary is needed. */
            for (size_t len = 0; len + 2 < body.len; len++) {
                struct transcript t =
                    transcript_of(boundary, sent[i].lengths, (struct str){body.at, len}, whole);
                CHECK(!t.broken && !t.ended && t.fault_at == len);
                CHECK(strncmp(t.fault, "the body ", 9) == 0);
                CHECK(t.text.len <= all.text.len &&
                      (t.text.len == 0 || memcmp(t.text.at, all.text.at, t.text.len) == 0));
                transcript_free(&t);
            }
            transcript_free(&all);
        }
}

/* Bodies put together from what bodies are made of: whatever they mean, the
 * cuts do not change it. */
TEST(random_bodies_mean_the_same_however_they_are_cut)
{
    static const struct str bits[] = {
        BYTES("--B"),
        BYTES("--B"),
        BYTES("\r\n--B"),
        BYTES("\r\n--B\r\n"),
        BYTES("\r\n"),
        BYTES("\r\n"),
        BYTES("\r"),
        BYTES("\n"),
        BYTES("--"),
        BYTES("-"),
        BYTES("B"),
        BYTES("abc"),
        BYTES(NAME "x"),
        BYTES(NAME "\"\\\""),
        BYTES(LENGTH "3"),
        BYTES(LENGTH),
        BYTES("\"y\""),
        BYTES(";"),
        BYTES(TYPE "a/b"),
        BYTES("; length=3"),
        BYTES("; name="),
        BYTES("\r\n\r\n"),
        BYTES(" "),
        BYTES("\0"),
        BYTES(OPEN X3 CRLF "abc"),
        BYTES(X3 "\n"),
        BYTES("\xc3"),
        BYTES("0"),
        BYTES(CLOSE),
        BYTES("abc\r\n--B\r\n"),
    };
    uint64_t dice = 7;
    size_t ended = 0;
    for (int round = 0; round < 4000; round++) {
        static char body[4096];
        size_t len = 0;
        enum multipart_lengths lengths = round % 2 ? MULTIPART_REQUIRED : MULTIPART_DELIMITED;
        memcpy(body, OPEN X3, strlen(OPEN X3));
        len = round % 8 ? strlen(OPEN X3) : 0;
        if (round % 4 == 1) { /* go on in a part without a length */
            memcpy(body, OPEN NAME "x\n\n", strlen(OPEN NAME "x\n\n"));
            len = strlen(OPEN NAME "x\n\n");
            lengths = MULTIPART_DELIMITED;
        }
        for (int i = 0; i < round % 24; i++) {
            dice = dice * UINT64_C(6364136223846793005) + 1;
            struct str bit = bits[(dice >> 33) % (sizeof bits / sizeof *bits)];
            memcpy(body + len, bit.at, bit.len);
            len += bit.len;
        }
        if (round % 3) {
            memcpy(body + len, CLOSE, strlen(CLOSE));
            len += strlen(CLOSE);
        }

        struct str text = {body, len};
        struct transcript t = transcript_of(STR("B"), lengths, text, whole);
        CHECK(!t.broken);
        ended += t.ended;
        for (uint64_t cut = 0; cut < 4; cut++) {
            bool good = says(&t, STR("B"), lengths, text, (struct cuts){0, cut, dice, cut % 2});
            CHECK(good);
        }
        transcript_free(&t);
    }
    CHECK(ended > 400); /* not all is noise */
}

/* The boundary of a Content-Type. */

static bool boundary_is(struct str content_type, struct str expected)
{
    struct str found = {NULL, 0};
    struct err err = {0};
    bool good = multipart_boundary(content_type, &found, &err) == 0 && str_eq(found, expected) &&
                err.code == ERR_OK;
    /* A view, not a copy. */
    return good && found.at >= content_type.at &&
           found.at + found.len <= content_type.at + content_type.len;
}

static bool boundary_refused(struct str content_type, const char *sentence)
{
    struct str found = {NULL, 0};
    struct err err = {0};
    return multipart_boundary(content_type, &found, &err) == ERR_INVALID && found.at == NULL &&
           err.code == ERR_INVALID && strcmp(err.text, sentence) == 0;
}

#define SEVENTY "1234567890123456789012345678901234567890123456789012345678901234567890"

TEST(the_boundary_is_taken_out_of_a_content_type)
{
    CHECK(boundary_is(STR("multipart/form-data; boundary=----LangSmithFormBoundaryv3h2bxop57"),
                      STR("----LangSmithFormBoundaryv3h2bxop57")));
    CHECK(boundary_is(STR("multipart/form-data; boundary=610eb9de0fd44116ad505b4b28faeef2"),
                      STR("610eb9de0fd44116ad505b4b28faeef2")));
    CHECK(boundary_is(STR("Multipart/Form-DATA;BOUNDARY=aB"), STR("aB")));
    CHECK(boundary_is(STR(" multipart/form-data ;\tboundary = aB "), STR("aB")));
    CHECK(boundary_is(STR("multipart/form-data; boundary=\"a b:c?\""), STR("a b:c?")));
    CHECK(boundary_is(STR("multipart/form-data; boundary= \"aB\" ;x=y"), STR("aB")));
    CHECK(boundary_is(STR("multipart/form-data; charset=utf-8; boundary=aB; boundary=\"aB\""),
                      STR("aB")));
    CHECK(boundary_is(STR("multipart/form-data; x=\";boundary=no\\\"\"; xboundary=no;; boundary=B"),
                      STR("B")));
    CHECK(
        boundary_is(STR("multipart/form-data; boundary='()+_,-./:=?0aZ"), STR("'()+_,-./:=?0aZ")));
    CHECK(boundary_is(STR("multipart/form-data; boundary=" SEVENTY), STR(SEVENTY)));
    CHECK(multipart_boundary(STR("text/plain"), NULL, NULL) == ERR_INVALID);
}

TEST(a_content_type_without_a_good_boundary_is_refused)
{
    static const char other[] = "the Content-Type is not multipart/form-data";
    static const char none[] = "the Content-Type has no boundary";
    static const char empty[] = "the boundary in the Content-Type is empty";
    static const char odd[] =
        "the boundary in the Content-Type has a character that may not be there";

    CHECK(boundary_refused((struct str){NULL, 0}, other));
    CHECK(boundary_refused(STR(""), other));
    CHECK(boundary_refused(STR("application/json; boundary=B"), other));
    CHECK(boundary_refused(STR("multipart/mixed; boundary=B"), other));
    CHECK(boundary_refused(STR("multipart/form-data2; boundary=B"), other));
    CHECK(boundary_refused(STR("; boundary=B"), other));
    CHECK(boundary_refused(STR("multipart/form-data\0; boundary=B"), other));
    CHECK(boundary_refused(STR("multipart/form-data"), none));
    CHECK(boundary_refused(STR("multipart/form-data;"), none));
    CHECK(boundary_refused(STR("multipart/form-data; boundary"), none));
    CHECK(boundary_refused(STR("multipart/form-data; boundary*=B"), none));
    CHECK(boundary_refused(STR("multipart/form-data; x=\"boundary=B\""), none));
    CHECK(boundary_refused(STR("multipart/form-data; boundary="), empty));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=\"\""), empty));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=; charset=x"), empty));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=a; boundary=b"),
                           "the Content-Type has two boundaries"));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=" SEVENTY "1"),
                           "the boundary in the Content-Type is 71 bytes long, the limit is 70"));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=a_\xc3\xa9"), odd));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=a*b"), odd));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=a\0b"), odd));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=\"a\\\\\""), odd));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=\"a\rb\""), odd));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=\"a \""), odd));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=\"a"),
                           "the Content-Type has a quote that is not closed"));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=\"a\"b"),
                           "the Content-Type has something behind a closed quote"));
    CHECK(boundary_refused(STR("multipart/form-data; boundary=a\"b\""),
                           "the Content-Type has a quote in the middle of a value"));
}

TEST(a_boundary_of_any_length_delimits)
{
    for (int len = 1; len <= MULTIPART_BOUNDARY_MAX; len++) {
        char body[512];
        int size =
            snprintf(body, sizeof body, "--%.*s\r\n" NAME "x\r\n\r\nabc\r\n--%.*s\r\n\r\n--%.*s--",
                     len, SEVENTY, len - 1, SEVENTY, len, SEVENTY);
        struct text events = {0};
        text_addf(&events, "[x - -]abc\r\n--%.*s\r\n[/][end]", len - 1, SEVENTY);
        struct transcript expected = {.text = events, .fault_at = SIZE_MAX, .ended = true};
        CHECK(says_always(&expected, (struct str){SEVENTY, (size_t)len}, MULTIPART_DELIMITED,
                          (struct str){body, (size_t)size}));
        transcript_free(&expected);
    }
}
