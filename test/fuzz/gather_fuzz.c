/* gather_fuzz.c - any bytes as what an SDK sends.
 *
 * The first byte says which kind of body the rest is, and how it is cut.  Whole and cut, it
 * must come to the same record or the same refusal; what is taken must be sound: checksums,
 * fields that are JSON, facts that are those of the run; and the budget gets all of it back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/text.h"
#include "run/facts.h"
#include "run/gather.h"
#include "wire/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static const struct batch_limits limits = {
    .body_max = 1 << 20, .run_max = 1 << 12, .runs_max = 20, .name_max = 64};

static struct gather *feed(struct budget *budget, enum gather_kind kind, const uint8_t *bytes,
                           size_t len, size_t step, enum gather_state *state)
{
    struct gather_config config = {.kind = kind,
                                   .boundary = STR("B"),
                                   .limits = &limits,
                                   .budget = budget,
                                   .received_us = 1700000000000000};
    memset(config.id.byte, 7, sizeof config.id.byte);
    struct gather *gather = gather_new(&config);
    *state = GATHER_READING;
    for (size_t at = 0; at < len && *state == GATHER_READING; at += step) {
        /* A block of its own, so that what reads beyond it or keeps it is seen. */
        size_t n = len - at < step ? len - at : step;
        char *piece = malloc(n);
        memcpy(piece, bytes + at, n);
        *state = gather_feed(gather, (struct str){piece, n}, false);
        free(piece);
    }
    if (*state == GATHER_READING)
        *state = gather_feed(gather, (struct str){0}, true);
    require(*state == GATHER_READY || *state == GATHER_REFUSED);
    return gather;
}

static bool is_json(struct str text)
{
    struct json_scan scan;
    json_scan_start(&scan, JSON_VALUE);
    for (;;) {
        enum json_event event = json_scan_next(&scan, text.at, text.len, true);
        if (event == JSON_END || event == JSON_FAULT)
            return event == JSON_END;
    }
}

static void check_run(const struct run *run, struct str facts)
{
    struct text again = {0};
    bool layer = run->kind == RUN_POST || run->kind == RUN_PATCH;
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        struct str field = run_field(run, (enum run_field)f);
        if (field.at && run->kind != RUN_ATTACHMENT)
            require(is_json(field) && !str_eq(field, STR("null")));
    }
    if (run->kind == RUN_ENTITY)
        require(is_json(run->raw));
    if (run->kind == RUN_ATTACHMENT)
        require(run_field(run, RUN_NAME).len > 0 && run_field(run, RUN_INPUTS).at != NULL);
    if (layer)
        facts_of(run, &again);
    require(str_eq(text_str(&again), facts));
    text_free(&again);
}

static void check_record(const struct record *fresh)
{
    struct record record = *fresh;
    record.fresh = false;
    for (uint32_t i = 0; i < record.count; i++) {
        struct run run;
        require(record_run(&record, i, &run, NULL) == 0);
        check_run(&run, record.facts[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct budget budget = {.limit = SIZE_MAX / 2};
    enum gather_state state, cut_state;
    if (len == 0)
        return 0;
    enum gather_kind kind = (enum gather_kind)(bytes[0] & 3);
    size_t step = 1 + (bytes[0] >> 2);
    bytes++;
    len--;
    struct gather *whole = feed(&budget, kind, bytes, len, len ? len : 1, &state);
    struct gather *cut = feed(&budget, kind, bytes, len, step, &cut_state);
    require(state == cut_state);
    if (state == GATHER_READY) {
        const struct record *a = gather_record(whole), *b = gather_record(cut);
        require(a->count == b->count && a->count == gather_count(whole));
        if (!a->new_ids)
            require(str_eq(a->table, b->table));
        require(str_eq(a->body, b->body));
        check_record(a);
    } else {
        require(gather_refusal(whole)->code == gather_refusal(cut)->code);
        if (gather_refusal(whole)->code == ERR_INVALID)
            require(strcmp(gather_refusal(whole)->text, gather_refusal(cut)->text) == 0);
    }
    gather_free(whole);
    gather_free(cut);
    require(atomic_load(&budget.used) == 0);
    return 0;
}
