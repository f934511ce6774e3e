/* scan_bench.c - how fast the JSON scanner goes, beside a copy of the same bytes.
 *
 * "runs" is a body of 1000 runs as SDKs send them: prose, code with escapes,
 * some text that is not ASCII, numbers, nesting, with and without spaces.
 * "long strings" is one array of runs with 64 KiB of plain text each.  Each
 * number is the best of several rounds.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "wire/json_scan.h"

enum { RUNS = 1000, LONG_RUNS = 512, LONG_STRING = 64 * 1024, PIECE = 64 * 1024, ROUNDS = 9 };

static uint64_t seed = 7;

static unsigned below(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void add(struct text *body, const char *s)
{
    text_add(body, (struct str){s, strlen(s)});
}

static void add_sentence(struct text *body, bool ascii)
{
    static const char *const words[] = {
        "the",   "of",     "and",   "to",       "answer", "question", "a",        "in",
        "model", "report", "is",    "customer", "that",   "document", "retrieve", "for",
        "it",    "as",     "order", "was",      "system", "context",  "with",     "be",
        "by",    "token",  "on",    "not",      "list",   "between",  "section",  "which",
    };
    static const char *const foreign[][2] = {
        {"caf\xc3\xa9", "caf\\u00e9"},
        {"\xe6\x9d\xb1\xe4\xba\xac", "\\u6771\\u4eac"},
        {"\xf0\x9f\x98\x80", "\\ud83d\\ude00"},
        {"\xe2\x80\x94", "\\u2014"},
    };
    unsigned count = 6 + below(13);
    for (unsigned i = 0; i < count; i++) {
        if (i)
            text_add_char(body, ' ');
        const char *word = words[below(sizeof words / sizeof *words)];
        unsigned kind = below(100);
        if (kind < 1)
            add(body, foreign[below(4)][ascii]);
        else if (kind < 3)
            text_addf(body, "\\\"%s\\\"", word);
        else if (kind < 5)
            text_addf(body, "%u", below(100000));
        else
            add(body, word);
    }
    add(body, ". ");
}

static void add_prose(struct text *body, unsigned sentences, bool ascii)
{
    for (unsigned i = 0; i < sentences; i++)
        add_sentence(body, ascii);
    if (below(4) == 0) {
        add(body, "\\n\\n```python\\n");
        for (unsigned i = 3 + below(10); i > 0; i--)
            text_addf(body, "    value_%u = look_up(\\\"%u\\\", %u)\\n", below(99), below(99),
                      below(999));
        add(body, "```\\n");
    }
}

static void add_messages(struct text *body, const char *comma, const char *colon, bool ascii)
{
    for (unsigned i = 0, count = 2 + below(8); i < count; i++) {
        text_addf(body, "%s{\"role\"%s\"%s\"%s\"content\"%s\"", i ? comma : "", colon,
                  i % 2 ? "assistant" : "user", comma, colon);
        add_prose(body, 2 + below(10), ascii);
        add(body, "\"}");
    }
}

static void add_run(struct text *body, unsigned number)
{
    bool spaced = number % 2;
    bool ascii = number % 5 != 0;
    const char *comma = spaced ? ", " : ",";
    const char *colon = spaced ? ": " : ":";
    text_addf(body, "{\"id\"%s\"%08x-0000-4000-8000-%012x\"%s", colon, number, number, comma);
    text_addf(body, "\"trace_id\"%s\"%08x-0000-4000-8000-%012x\"%s", colon, number / 8, number,
              comma);
    text_addf(body, "\"name\"%s\"ChatModel\"%s\"run_type\"%s\"llm\"%s", colon, comma, colon, comma);
    text_addf(body, "\"start_time\"%s\"2026-03-04T05:06:07.%06u+00:00\"%s\"error\"%snull%s", colon,
              below(1000000), comma, colon, comma);
    text_addf(body, "\"inputs\"%s{\"messages\"%s[[", colon, colon);
    add_messages(body, comma, colon, ascii);
    text_addf(body, "]]}%s\"outputs\"%s{\"generations\"%s[[{\"text\"%s\"", comma, colon, colon,
              colon);
    add_prose(body, 4 + below(12), ascii);
    text_addf(body, "\"%s\"score\"%s0.%06u}]]%s\"usage\"%s{\"prompt_tokens\"%s%u%s\"total\"%s%u}}",
              comma, colon, below(1000000), comma, colon, colon, below(9000), comma, colon,
              below(9000));
    text_addf(body, "%s\"extra\"%s{\"metadata\"%s{\"session_id\"%s\"%012x\"%s\"turn\"%s%u%s", comma,
              colon, colon, colon, below(1u << 30), comma, colon, below(20), comma);
    text_addf(body, "\"temperature\"%s0.7%s\"stream\"%sfalse}}}", colon, comma, colon);
}

static struct text body_of_runs(void)
{
    struct text body = {0};
    text_add_char(&body, '[');
    for (unsigned i = 0; i < RUNS; i++) {
        if (i)
            text_add_char(&body, ',');
        add_run(&body, i);
    }
    text_add_char(&body, ']');
    return body;
}

static struct text body_of_long_strings(void)
{
    struct text body = {0};
    text_add_char(&body, '[');
    for (unsigned i = 0; i < LONG_RUNS; i++) {
        text_addf(&body, "%s{\"inputs\":{\"text\":\"", i ? "," : "");
        memset(text_room(&body, LONG_STRING), 'a' + (int)(i % 26), LONG_STRING);
        body.len += LONG_STRING;
        add(&body, "\"}}");
    }
    text_add_char(&body, ']');
    return body;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t count_items(const struct text *body, size_t piece)
{
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);
    size_t items = 0;
    size_t len = piece < body->len ? piece : body->len;
    for (;;) {
        enum json_event event = json_scan_next(&scan, body->at, len, len == body->len);
        if (event == JSON_MORE)
            len = body->len - len < piece ? body->len : len + piece;
        if (event == JSON_ITEM)
            items++;
        if (event == JSON_END)
            return items;
        assert(event != JSON_FAULT);
    }
}

static double scan_seconds(const struct text *body, size_t piece, size_t items)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double from = now();
        size_t found = count_items(body, piece);
        double took = now() - from;
        assert(found == items);
        if (took < best)
            best = took;
    }
    return best;
}

static double copy_seconds(const struct text *body, char *to)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double from = now();
        memcpy(to, body->at, body->len);
        /* The copy must really happen. */
        __asm__ volatile("" : : "r"(to) : "memory");
        double took = now() - from;
        if (took < best)
            best = took;
    }
    return best;
}

static void measure(const char *name, struct text body, size_t items)
{
    char *to = malloc(body.len);
    if (!to)
        abort();
    memset(to, 1, body.len);
    double gigabytes = (double)body.len / 1e9;
    printf("%-14s %7.1f %9.2f %9.2f %9.2f\n", name, (double)body.len / 1e6,
           gigabytes / scan_seconds(&body, body.len, items),
           gigabytes / scan_seconds(&body, PIECE, items), gigabytes / copy_seconds(&body, to));
    free(to);
    text_free(&body);
}

int main(void)
{
    printf("%-14s %7s %9s %9s %9s\n", "GB/s", "MB", "whole", "64 KiB", "memcpy");
    measure("runs", body_of_runs(), RUNS);
    measure("long strings", body_of_long_strings(), LONG_RUNS);
    return 0;
}
