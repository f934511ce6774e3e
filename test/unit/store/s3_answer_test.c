/* s3_answer_test.c - XML as S3 writes it, and what it is not. */
#include "base/arena.h"
#include "base/err.h"
#include "lib/check.h"
#include "store/s3_answer.h"

static struct str view(const char *s)
{
    return (struct str){s, strlen(s)};
}

/* The keys of a listing with '|' behind each, then '+' and the token; "!": none. */
static const char *listing(const char *xml)
{
    static char text[512];
    struct arena *arena = arena_new(1024);
    struct s3_page page;
    struct err err = {0};
    text[0] = '\0';
    if (s3_answer_list(view(xml), 3, arena, &page, &err)) {
        CHECK(err.code == ERR_UNAVAILABLE && err.text[0]);
        snprintf(text, sizeof text, "!");
    } else {
        for (size_t i = 0; i < page.count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s|",
                     STR_FMT(page.keys[i]));
        snprintf(text + strlen(text), sizeof text - strlen(text), "+%.*s", STR_FMT(page.token));
    }
    arena_free(arena);
    return text;
}

#define LIST(body) "<ListBucketResult>" body "</ListBucketResult>"
#define LAST "<IsTruncated>false</IsTruncated>"
#define KEY(key) "<Contents><Key>" key "</Key></Contents>"

TEST(a_listing_as_aws_writes_it)
{
    const char *xml =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Name>bucket</Name><Prefix/><NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J"
        "</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true"
        "</IsTruncated><Contents><Key>v1/a.pack</Key><LastModified>2026-10-12T17:50:30.000Z"
        "</LastModified><ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</"
        "Size>"
        "<StorageClass>STANDARD</StorageClass></Contents><Contents><Key>v1/b&amp;c</Key><Owner>"
        "<ID>7</ID></Owner></Contents><CommonPrefixes><Prefix>v1/</Prefix></CommonPrefixes>"
        "</ListBucketResult>\n";
    CHECK(strcmp(listing(xml), "v1/a.pack|v1/b&c|+1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J") == 0);
}

TEST(entities_stand_for_what_they_stand_for)
{
    CHECK(strcmp(listing(LIST(KEY("&lt;&gt;&amp;&quot;&apos;") LAST)), "<>&\"'|+") == 0);
    CHECK(strcmp(listing(LIST(KEY("&#65;&#x42;&#x6a;&#x4A;") LAST)), "ABjJ|+") == 0);
    CHECK(strcmp(listing(LIST(KEY("&#xe9;&#8364;&#x1F600;") LAST)),
                 "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|+") == 0);
    static const char *const wrong[] = {
        LIST(KEY("&") LAST),          LIST(KEY("&;") LAST),
        LIST(KEY("&amp") LAST),       LIST(KEY("&AMP;") LAST),
        LIST(KEY("&#;") LAST),        LIST(KEY("&#x;") LAST),
        LIST(KEY("&#0;") LAST),       LIST(KEY("&#xd800;") LAST),
        LIST(KEY("&#x110000;") LAST), LIST(KEY("&#4294967361;") LAST),
        LIST(KEY("&#6a;") LAST),      LIST(KEY("&#-1;") LAST)};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(strcmp(listing(wrong[i]), "!") == 0);
}

TEST(what_is_no_listing_is_refused)
{
    CHECK(strcmp(listing(LIST(LAST)), "+") == 0);
    CHECK(strcmp(listing(LIST(LAST "<Key>a</Key>" KEY("b"))), "b|+") == 0);
    CHECK(strcmp(listing(" <ListBucketResult  a='>'  b=\"'\" > " LAST " </ListBucketResult > "),
                 "+") == 0);
    static const char *const wrong[] = {
        "",
        " ",
        "false",
        LIST(""),
        LIST("<IsTruncated/>"),
        LIST("<IsTruncated>true</IsTruncated>"),
        LIST(LAST LAST),
        LIST(LAST KEY("a") KEY("b") KEY("c") KEY("d")),
        "<Other>" LAST "</Other>",
        "<ListBucketResult>" LAST,
        "<ListBucketResult>" LAST "</Listbucketresult>",
        LIST(LAST) "<a/>",
        LIST(LAST) "text",
        "text" LIST(LAST),
        LIST(LAST "text"),
        LIST("text" LAST),
        LIST(LAST "<!-- -->"),
        LIST(LAST "<Key><![CDATA[a]]></Key>"),
        "<!DOCTYPE a [<!ENTITY b \"c\">]>" LIST(LAST),
        LIST(LAST "<?php?>"),
        LIST(LAST "<a b></a>"),
        LIST(LAST "<a b=c></a>"),
        LIST(LAST "<a b=\"c></a>"),
        LIST(LAST "<a"),
        LIST(LAST "<>"),
        LIST(LAST "< a></a>"),
        LIST(LAST "</a>"),
        LIST(LAST "<a><b><c><d><e><f><g><h></h></g></f></e></d></c></b></a>"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(strcmp(listing(wrong[i]), "!") == 0);
}

TEST(every_cut_of_a_listing_is_refused)
{
    const char *xml = "<?xml version=\"1.0\"?>" LIST(KEY("a&amp;b") LAST "<Prefix/>");
    CHECK(strcmp(listing(xml), "a&b|+") == 0);
    struct arena *arena = arena_new(1024);
    struct s3_page page;
    for (size_t len = 0; len < strlen(xml); len++)
        CHECK(s3_answer_list((struct str){xml, len}, 3, arena, &page, NULL) == ERR_UNAVAILABLE);
    arena_free(arena);
}

static bool error_is(const char *xml, const char *code, const char *region)
{
    struct s3_error error;
    bool is_one = s3_answer_error(view(xml), &error);
    return is_one == (code[0] != '\0') && strcmp(error.code, code) == 0 &&
           strcmp(error.region, region) == 0;
}

TEST(an_error_is_its_code)
{
    CHECK(error_is("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchKey</Code>"
                   "<BucketName>b</BucketName><RequestId>tx0</RequestId><HostId>x</HostId></Error>",
                   "NoSuchKey", ""));
    CHECK(error_is("<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>"
                   "</Error>",
                   "AuthorizationHeaderMalformed", "eu-west-1"));
    CHECK(error_is("<Error><Code>SlowDown</Code><Message>it is cut he", "SlowDown", ""));
    CHECK(error_is("<Error><Code>SlowDow", "", ""));
    CHECK(error_is("<Error><Code>two words</Code></Error>", "", ""));
    CHECK(error_is("<Error><Code></Code></Error>", "", ""));
    CHECK(error_is("<Error/>", "", ""));
    CHECK(error_is("<Result><Error><Code>a</Code></Error></Result>", "", ""));
    CHECK(error_is("<html><body>Bad Gateway<br></body></html>", "", ""));
    CHECK(error_is("", "", ""));
}

TEST(an_upload_is_its_id_and_completed_when_that_is_said)
{
    struct arena *arena = arena_new(1024);
    struct str id = {0};
    CHECK(s3_answer_upload(STR("<InitiateMultipartUploadResult><Bucket>b</Bucket>"
                               "<UploadId>2~a&amp;b</UploadId></InitiateMultipartUploadResult>"),
                           arena, &id, NULL) == 0);
    CHECK(str_eq(id, STR("2~a&b")));
    CHECK(s3_answer_upload(STR("<InitiateMultipartUploadResult><UploadId/>"
                               "</InitiateMultipartUploadResult>"),
                           arena, &id, NULL) == ERR_UNAVAILABLE);
    CHECK(s3_answer_upload(STR("<UploadId>a</UploadId>"), arena, &id, NULL) == ERR_UNAVAILABLE);
    CHECK(s3_answer_upload(STR(""), arena, &id, NULL) == ERR_UNAVAILABLE);

    CHECK(s3_answer_completed(STR("  <CompleteMultipartUploadResult><ETag>a</ETag>"
                                  "</CompleteMultipartUploadResult>")));
    CHECK(!s3_answer_completed(STR("<CompleteMultipartUploadResult><ETag>a</ETag>")));
    CHECK(!s3_answer_completed(STR("<Error><Code>InternalError</Code></Error>")));
    CHECK(!s3_answer_completed(STR("   ")));
    arena_free(arena);
}

TEST(a_content_range_is_read_strictly)
{
    struct s3_range r;
    CHECK(s3_answer_range(STR("bytes 2-4/10"), &r));
    CHECK(r.has_bytes && r.has_total && r.first == 2 && r.last == 4 && r.total == 10);
    CHECK(s3_answer_range(STR("bytes 0-0/1"), &r) && r.last == 0 && r.total == 1);
    CHECK(s3_answer_range(STR("bytes 2-4/*"), &r) && r.has_bytes && !r.has_total);
    CHECK(s3_answer_range(STR("bytes */0"), &r) && !r.has_bytes && r.has_total && r.total == 0);
    CHECK(s3_answer_range(STR("bytes 0-18446744073709551613/18446744073709551615"), &r));
    CHECK(r.last == UINT64_MAX - 2 && r.total == UINT64_MAX);
    static const char *const wrong[] = {"",
                                        "bytes",
                                        "bytes ",
                                        "bytes 2",
                                        "bytes 2-",
                                        "bytes 2-4",
                                        "bytes 2-4/",
                                        "bytes 2-4/4",
                                        "bytes 4-2/10",
                                        "bytes -4/10",
                                        "bytes 2-4/10 ",
                                        "bytes 2-4/10,",
                                        "bytes +2-4/10",
                                        "bytes  2-4/10",
                                        "Bytes 2-4/10",
                                        "items 2-4/10",
                                        "bytes 2-4/0x10",
                                        "bytes 0-4/18446744073709551616",
                                        "bytes 18446744073709551618-4/10"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(!s3_answer_range(view(wrong[i]), &r));
}
