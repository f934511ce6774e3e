/* target_there.c - see target.h: to a server, with POST /runs.
 *
 * A server that is busy is asked again after the time it names; nothing is
 * stored then, so asking again is safe.  A connection that breaks after the
 * request was sent is a failure, since what became of it is not known.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command/answer.h"
#include "command/client.h"
#include "command/split.h"
#include "command/target.h"
#include "config.h"
#include "wire/json_scan.h"
#include "wire/json_string.h"

enum { TRIES = 10, PAUSE_MAX_S = 30, TEXT_MAX = 200 };

struct there {
    struct target target;
    struct client *client;
    struct answer answer;
};

static struct str bytes_of(struct str json, struct json_span span)
{
    return (struct str){json.at + span.at, span.len};
}

/* The member of an object; at == NULL when there is none, or it is no object. */
static struct str member(struct str json, struct str name)
{
    struct json_scan scan;
    struct str found = {0};
    enum json_event event = JSON_MORE;
    json_scan_start(&scan, JSON_VALUE);
    while ((event = json_scan_next(&scan, json.at, json.len, true)) == JSON_FIELD ||
           event == JSON_ITEM)
        if (event == JSON_FIELD && json_string_is(bytes_of(json, scan.key), name))
            found = bytes_of(json, scan.value);
    return event == JSON_END ? found : (struct str){0};
}

/* What a JSON string says, short and on one line; other JSON as it is. */
static struct str words(struct str json, char room[TEXT_MAX])
{
    if (json.len < 2 || json.at[0] != '"')
        return (struct str){json.at, json.len < TEXT_MAX ? json.len : TEXT_MAX};
    struct str inside = {json.at + 1, json.len - 2};
    if (inside.len > TEXT_MAX)
        return (struct str){inside.at, TEXT_MAX};
    size_t len = json_string_decode(inside, room);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)room[i] < ' ' || room[i] == 0x7f)
            room[i] = ' ';
    return (struct str){room, len};
}

/* Fault's place: ["body", index, "field"]. */
static bool read_place(struct str loc, size_t *index, struct str *field)
{
    struct json_scan scan;
    bool has_index = false;
    size_t n = 0;
    if (loc.len == 0 || loc.at[0] != '[')
        return false;
    json_scan_start(&scan, JSON_ARRAY);
    for (enum json_event event = JSON_ITEM; event == JSON_ITEM || event == JSON_FIELD;) {
        event = json_scan_next(&scan, loc.at, loc.len, true);
        if (event != JSON_ITEM)
            continue;
        struct str item = bytes_of(loc, scan.value);
        if (n == 1 && scan.type == JSON_NUMBER && item.len < 10) {
            *index = (size_t)strtoul(item.at, NULL, 10); /* a comma or a bracket ends it */
            has_index = true;
        }
        if (n == 2 && scan.type == JSON_STRING)
            *field = (struct str){item.at + 1, item.len - 2};
        n++;
    }
    return has_index;
}

static void add_fault(struct str fault, const struct portion *portion, struct refusal *refusal)
{
    char room[TEXT_MAX];
    size_t index = 0;
    struct str field = {"", 0};
    bool placed = read_place(member(fault, STR("loc")), &index, &field);
    struct str message = member(fault, STR("msg"));
    struct str text = words(message.at ? message : fault, room);
    if (field.len > 40)
        field.len = 40;
    refusal_add(refusal, ERR_INVALID, !placed || index >= portion->count, index, "%.*s%s%.*s",
                STR_FMT(field), field.len ? ": " : "", STR_FMT(text));
}

/* {"detail": "..."} or {"detail": [fault, ...]} */
static void add_reasons(struct str body, enum err_code code, const struct portion *portion,
                        struct refusal *refusal)
{
    struct str detail = member(body, STR("detail"));
    if (!detail.at || detail.at[0] != '[') {
        char room[TEXT_MAX];
        struct str text = detail.at ? words(detail, room) : STR("the server does not say why");
        refusal_add(refusal, code, portion->count > 1, 0, "%.*s", STR_FMT(text));
        return;
    }
    struct json_scan scan;
    enum json_event event = JSON_MORE;
    json_scan_start(&scan, JSON_ARRAY);
    while ((event = json_scan_next(&scan, detail.at, detail.len, true)) == JSON_FIELD ||
           event == JSON_ITEM)
        if (event == JSON_ITEM)
            add_fault(bytes_of(detail, scan.value), portion, refusal);
    if (refusal->count == 0)
        refusal_add(refusal, code, true, 0, "the server does not say why");
}

static void pause_for(uint64_t seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    while (nanosleep(&left, &left) < 0 && errno == EINTR) {
    }
}

/* What an answer that is no 2xx means. */
static int judge(const struct answer *answer, const struct portion *portion,
                 struct refusal *refusal, struct err *err)
{
    char room[TEXT_MAX];
    struct str body = text_str(&answer->body), detail = {0};
    switch (answer->status) {
    case 400:
    case 422:
        add_reasons(body, ERR_INVALID, portion, refusal);
        return 0;
    case 409:
        add_reasons(body, ERR_CONFLICT, portion, refusal);
        return 0;
    case 413:
        add_reasons(body, ERR_TOO_BIG, portion, refusal);
        return 0;
    case 401:
    case 403:
        return err_set(err, ERR_DENIED,
                       "the server wants a key, or another one: --api-key-file FILE or "
                       "RUNDLET_API_KEY");
    default:
        detail = member(body, STR("detail"));
        struct str text = detail.at ? words(detail, room) : STR("no reason given");
        return err_set(err, answer->status == 507 ? ERR_FULL : ERR_UNAVAILABLE,
                       "the server answered %d: %.*s", answer->status, (int)text.len, text.at);
    }
}

static int send(struct target *target, const struct portion *portion, struct target_sent *sent,
                struct refusal *refusal, struct err *err)
{
    struct there *there = (struct there *)target;
    struct answer *answer = &there->answer;
    const struct str parts[] = {portion->lines ? STR("") : STR("["), portion->bytes,
                                portion->lines ? STR("") : STR("]")};
    sent->told = false;
    for (int try = 1;; try++) {
        int r = client_post(there->client, "/runs",
                            portion->lines ? "application/x-ndjson" : "application/json", parts, 3,
                            answer, err);
        if (r)
            return r;
        if (answer->status / 100 == 2)
            return 0;
        if ((answer->status != 429 && answer->status != 503) || try == TRIES)
            return judge(answer, portion, refusal, err);
        uint64_t seconds = answer->retry_after_s ? answer->retry_after_s : 1;
        pause_for(seconds < PAUSE_MAX_S ? seconds : PAUSE_MAX_S);
    }
}

static void close_there(struct target *target)
{
    struct there *there = (struct there *)target;
    client_close(there->client);
    answer_free(&there->answer);
    free(there);
}

static const struct target_ops there_ops = {.send = send, .close = close_there};

int target_there_open(const struct config *config, const char *url, struct target **result,
                      struct err *err)
{
    struct there *there = calloc(1, sizeof *there);
    if (!there)
        abort();
    there->target.ops = &there_ops;
    int r = client_open(url, config->api_key, &there->client, err);
    if (r) {
        close_there(&there->target);
        return r;
    }
    *result = &there->target;
    return 0;
}
