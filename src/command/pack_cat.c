/* pack_cat.c - rundlet pack cat: the runs of a pack, as they were sent.
 *
 * What is wanted is a list of items, ascending by where in the stream they lie.
 * Those that begin in one block are read together, so each block is read once,
 * and a damaged one costs the runs that lie in it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "command/as_sent.h"
#include "command/command.h"
#include "command/pack.h"
#include "store/containers.h"
#include "store/pack_file.h"

struct cat {
    const struct pack_asked *asked;
    struct pack_file file;
    struct pack_scratch *scratch;
    struct pack_run *wanted; /* heap */
    uint32_t count;
    struct uuid *ids; /* of the runs, ascending by ordinal; made when they are asked for */
    uint32_t id_count;
    bool ids_asked;
    struct as_sent to;
    uint64_t lost;
};

static bool read_id(const struct command_args *args, const char *option, struct uuid *id)
{
    const char *text = command_value(args, option);
    return text && uuid_parse((struct str){text, strlen(text)}, id);
}

bool pack_cat_fits(const struct command_args *args)
{
    struct uuid id;
    bool by_id = command_has(args, "--id="), by_trace = command_has(args, "--trace=");
    if (by_id && by_trace)
        talk("--id gives one run, --trace those of a trace: choose one");
    else if (by_id && !read_id(args, "--id=", &id))
        talk("--id %.60s is not the id of a run: an id is a UUID", command_value(args, "--id="));
    else if (by_trace && !read_id(args, "--trace=", &id))
        talk("--trace %.60s is not the id of a trace: an id is a UUID",
             command_value(args, "--trace="));
    else
        return true;
    return false;
}

/* ---- what is wanted ---- */

static int by_at(const void *a, const void *b)
{
    const struct pack_run *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static void want_id(struct cat *cat, struct uuid id)
{
    const struct pack *pack = cat->file.pack;
    uint32_t row;
    for (uint32_t i = pack_first_id(pack, id); i < pack_count(pack, PACK_IDS); i++) {
        if (uuid_compare(pack_id(pack, i, &row), id) != 0)
            break;
        cat->wanted[cat->count++] = pack_run(pack, row);
    }
}

static void want_stretch(struct cat *cat, const struct pack_trace *trace)
{
    const struct pack *pack = cat->file.pack;
    for (uint32_t row = 0; row < pack_count(pack, PACK_RUNS); row++) {
        struct pack_run run = pack_run(pack, row);
        if (run.at >= trace->at && run.at - trace->at < trace->size &&
            cat->count < pack->summary.runs)
            cat->wanted[cat->count++] = run;
    }
}

static void want_trace(struct cat *cat, struct uuid id)
{
    const struct pack *pack = cat->file.pack;
    for (uint32_t i = pack_first_trace(pack, id); i < pack_count(pack, PACK_TRACES); i++) {
        struct pack_trace trace = pack_trace(pack, i);
        if (uuid_compare(trace.trace, id) != 0)
            break;
        want_stretch(cat, &trace);
    }
}

static int choose(struct cat *cat, struct err *err)
{
    struct uuid id;
    const struct command_args *args = cat->asked->args;
    bool by_id = read_id(args, "--id=", &id), by_trace = !by_id && read_id(args, "--trace=", &id);
    int r = pack_file_load(&cat->file, PACK_RUNS, err);
    if (!r && by_id)
        r = pack_file_load(&cat->file, PACK_IDS, err);
    if (!r && by_trace)
        r = pack_file_load(&cat->file, PACK_TRACES, err);
    if (r)
        return r;
    const struct pack *pack = cat->file.pack; /* loading may have made it anew */
    cat->wanted = calloc((size_t)pack->summary.runs + 1, sizeof *cat->wanted);
    if (!cat->wanted)
        return err_set(err, ERR_BUSY, "no memory for a pack of %" PRIu32 " runs",
                       pack->summary.runs);
    if (by_id)
        want_id(cat, id);
    else if (by_trace)
        want_trace(cat, id);
    else
        while (cat->count < pack_count(pack, PACK_RUNS)) {
            cat->wanted[cat->count] = pack_run(pack, cat->count);
            cat->count++;
        }
    qsort(cat->wanted, cat->count, sizeof *cat->wanted, by_at);
    return 0;
}

/* ---- what is lost ---- */

/* From the ids, of a pack opened once more: if they are damaged too, `file`
 * would be made anew, and nothing would lie where it did. */
static void load_ids(struct cat *cat)
{
    struct pack_file file;
    cat->ids_asked = true;
    if (pack_file_open(&disk_real, cat->asked->packs, cat->asked->number, PACK_STRICT, &file, NULL))
        return;
    if (pack_file_load(&file, PACK_IDS, NULL) == 0 && !file.pack->rebuilt[0]) {
        cat->id_count = pack_count(file.pack, PACK_IDS);
        cat->ids = calloc((size_t)cat->id_count + 1, sizeof *cat->ids);
        for (uint32_t i = 0; cat->ids && i < cat->id_count; i++) {
            uint32_t row;
            struct uuid id = pack_id(file.pack, i, &row);
            cat->ids[row] = id;
        }
    }
    pack_file_close(&file);
}

static void leave_out(struct cat *cat, uint32_t ordinal, const char *why)
{
    char id[UUID_TEXT];
    uint32_t row;
    if (!cat->ids_asked)
        load_ids(cat);
    cat->lost++;
    bool named = cat->ids && pack_find(cat->file.pack, ordinal, &row) && row < cat->id_count;
    if (named)
        uuid_write(cat->ids[row], id);
    talk("%s: run %" PRIu32 "%s%.*s: %s; left out", cat->asked->name, ordinal, named ? ", " : "",
         named ? UUID_TEXT : 0, id, container_why(why));
}

/* Of a pack that had to be made anew. */
static void count_missing(struct cat *cat)
{
    struct pack_summary said;
    const struct pack *pack = cat->file.pack;
    if (!pack->incomplete)
        return;
    cat->lost++;
    bool known =
        pack_file_summary(&disk_real, cat->asked->packs, cat->asked->number, &said, NULL) == 0 &&
        said.runs > pack->summary.runs;
    talk("%s: damaged: %s", cat->asked->name, pack->rebuilt);
    if (known)
        talk("%s: %" PRIu32 " of %" PRIu32 " runs lay in damaged blocks; left out",
             cat->asked->name, said.runs - pack->summary.runs, said.runs);
    else
        talk("%s: nothing says how many runs there were; some may be left out", cat->asked->name);
}

/* ---- printing ---- */

static void print(struct cat *cat, const struct pack_run *wanted, const char *bytes)
{
    struct pack_item item;
    struct run run;
    struct err bad = {0};
    int r = pack_read_item((struct str){bytes, wanted->size}, &item, &bad);
    if (!r && (item.size != wanted->size || item.ordinal != wanted->ordinal ||
               item.pack != (uint32_t)cat->file.pack->summary.id))
        r = err_set(&bad, ERR_CORRUPT, "another item");
    if (!r)
        r = record_decode(item.entry, item.spans, item.raw, &run, &bad);
    if (r)
        leave_out(cat, wanted->ordinal, bad.text);
    else
        as_sent_entry(&cat->to, &run);
}

/* Those of `wanted` that begin in the block of the first. */
static int print_some(struct cat *cat, const struct pack_run *wanted, uint32_t count,
                      struct err *err)
{
    struct err bad = {0};
    uint64_t at = wanted[0].at, end = at;
    for (uint32_t i = 0; i < count; i++) /* in a forged pack they may lie one in another */
        end = wanted[i].at + wanted[i].size > end ? wanted[i].at + wanted[i].size : end;
    char *room = malloc((size_t)(end - at) + 1);
    if (!room)
        return err_set(err, ERR_BUSY, "no memory for %" PRIu64 " bytes", end - at);
    int r = pack_file_part(&cat->file, cat->scratch, at, (size_t)(end - at), room, &bad);
    for (uint32_t i = 0; i < count && (!r || r == ERR_CORRUPT); i++)
        if (r)
            leave_out(cat, wanted[i].ordinal, bad.text);
        else
            print(cat, &wanted[i], room + (wanted[i].at - at));
    free(room);
    if (r && r != ERR_CORRUPT)
        *err = bad;
    return r == ERR_CORRUPT ? 0 : r;
}

static int print_all(struct cat *cat, struct err *err)
{
    const struct pack *pack = cat->file.pack;
    int r = 0;
    for (uint32_t i = 0, n; i < cat->count && !r && !cat->to.out.sys; i += n) {
        uint32_t block = pack_block_at(pack, cat->wanted[i].at);
        n = 1;
        while (i + n < cat->count && pack_block_at(pack, cat->wanted[i + n].at) == block)
            n++;
        r = print_some(cat, cat->wanted + i, n, err);
    }
    return r;
}

int pack_cat(const struct pack_asked *asked)
{
    struct err err = {0};
    struct cat cat = {.asked = asked};
    int r = pack_file_open(&disk_real, asked->packs, asked->number, PACK_MEND, &cat.file, &err);
    if (r) {
        talk("%s", err.text);
        return r == ERR_CORRUPT ? COMMAND_NO : COMMAND_FAILED;
    }
    cat.scratch = pack_scratch_new();
    r = choose(&cat, &err);
    if (!r) {
        count_missing(&cat);
        r = print_all(&cat, &err);
    }
    if (!r && cat.count == 0 && asked->args->option_count > 0)
        talk("%s has no such run; the other containers were not looked at", asked->name);
    if (r)
        talk("%s", err.text);
    bool nothing = cat.count == 0 && asked->args->option_count > 0;
    pack_scratch_free(cat.scratch);
    pack_file_close(&cat.file);
    free(cat.wanted);
    free(cat.ids);
    return out_end(&cat.to.out, r ? COMMAND_FAILED : cat.lost || nothing ? COMMAND_NO : COMMAND_OK);
}
