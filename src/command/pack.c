/* pack.c - rundlet pack ls, info and cat: the containers, one by one.
 *
 * The files are looked at as they lie there; neither the index nor the other
 * containers are opened, so what is damaged elsewhere does not matter.
 */
#include "command/pack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/disk.h"
#include "base/text.h"
#include "command/command.h"
#include "command/local.h"
#include "command/nearest.h"
#include "command/talk.h"
#include "config.h"
#include "store/containers.h"
#include "store/pack_file.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

struct look {
    const struct config *config;
    const struct command_args *args;
    struct text segments, packs; /* the directories */
    struct containers list;
    struct out out;
    bool damaged;
};

static void add_time(struct text *text, const char *name, bool known, int64_t us)
{
    char time[RFC3339_SIZE];
    text_addf(text, ",\"%s\":", name);
    if (known)
        text_addf(text, "\"%s\"", rfc3339_write(us, time).at);
    else
        text_add(text, STR("null"));
}

static void add_string(struct text *text, const char *name, const char *value)
{
    text_addf(text, ",\"%s\":", name);
    json_string_write(text, (struct str){value, strlen(value)});
}

static void add_file(struct text *text, uint64_t number, bool pack)
{
    char room[CONTAINER_NAME];
    struct str name = container_name(number, pack, room);
    text_addf(text, "{\"container\":\"%016" PRIx64 "\",\"file\":\"%.*s\",\"sealed\":%s", number,
              STR_FMT(name), pack ? "true" : "false");
}

static void add_summary(struct text *text, const struct pack_summary *s, uint64_t file_bytes)
{
    text_addf(text,
              ",\"runs\":%" PRIu32 ",\"records\":%" PRIu32 ",\"run_bytes\":%" PRIu64
              ",\"file_bytes\":%" PRIu64 ",\"ratio\":%.1f",
              s->runs, s->records, s->raw_size, file_bytes,
              file_bytes > 0 ? (double)s->raw_size / (double)file_bytes : 0.0);
    add_time(text, "first_start", s->runs > 0, s->first_start_us);
    add_time(text, "last_start", s->runs > 0, s->last_start_us);
    add_time(text, "created", true, s->created_us);
}

/* ---- ls ---- */

/* False: the file is not there any more. */
static bool file_size(struct look *look, uint64_t number, bool pack, uint64_t *size)
{
    char room[CONTAINER_NAME];
    struct stat st;
    struct str name = container_name(number, pack, room);
    struct text path = {0};
    text_addf(&path, "%.*s/%.*s", STR_FMT(text_str(pack ? &look->packs : &look->segments)),
              STR_FMT(name));
    text_add_char(&path, '\0');
    bool there = stat(path.at, &st) == 0;
    *size = there ? (uint64_t)st.st_size : 0;
    text_free(&path);
    return there;
}

static void list_one(struct look *look, const struct container *container)
{
    struct text text = {0};
    struct pack_summary summary;
    struct err err = {0};
    uint64_t size;
    bool pack = container->pack || !file_size(look, container->number, false, &size);
    if (pack && !file_size(look, container->number, true, &size))
        return;
    bool known = pack && pack_file_summary(&disk_real, text_str(&look->packs), container->number,
                                           &summary, &err) == 0;
    add_file(&text, container->number, pack);
    if (known)
        add_summary(&text, &summary, size);
    else
        text_addf(&text, ",\"file_bytes\":%" PRIu64, size);
    if (err.code == ERR_UNAVAILABLE) {
        add_string(&text, "newer", err.text);
    } else if (err.code) {
        add_string(&text, "damage", err.text);
        look->damaged = true;
    }
    text_add_char(&text, '}');
    out_text(&look->out, &text);
}

static int list_all(struct look *look)
{
    for (size_t i = 0; i < look->list.count; i++)
        list_one(look, &look->list.at[i]);
    return look->damaged ? COMMAND_NO : COMMAND_OK;
}

/* ---- info ---- */

static void add_sections(struct text *text, const struct pack_section *sections)
{
    static const char *const names[] = {"", "blocks", "runs", "records", "ids", "traces", "fences"};
    const char *comma = "";
    text_add(text, STR(",\"sections\":["));
    for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++) {
        if (sections[type].stored == 0)
            continue;
        text_addf(text,
                  "%s{\"section\":\"%s\",\"at\":%" PRIu64 ",\"file_bytes\":%" PRIu64
                  ",\"bytes\":%" PRIu64 "}",
                  comma, names[type], sections[type].at, sections[type].stored,
                  sections[type].size);
        comma = ",";
    }
    text_add_char(text, ']');
}

static void add_blocks(struct text *text, const struct pack *pack)
{
    uint64_t stored = 0;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < pack->block_count; i++) {
        stored += pack->blocks[i].stored;
        if (pack->blocks[i].size > largest)
            largest = pack->blocks[i].size;
    }
    text_addf(text,
              ",\"blocks\":{\"count\":%" PRIu32 ",\"file_bytes\":%" PRIu64 ",\"bytes\":%" PRIu64
              ",\"largest\":%" PRIu32 "}",
              pack->block_count, stored, pack->summary.stream_size, largest);
}

static int inform(const struct pack_asked *asked)
{
    struct pack_file file;
    struct pack_section sections[PACK_SECTIONS];
    struct err err = {0}, head = {0};
    struct text text = {0};
    struct out out = {0};
    int r = pack_file_open(&disk_real, asked->packs, asked->number, PACK_MEND, &file, &err);
    if (r) {
        talk("%s", err.text);
        return r == ERR_CORRUPT ? COMMAND_NO : COMMAND_FAILED;
    }
    memcpy(sections, file.pack->sections, sizeof sections);
    r = pack_file_head(&file, &head);
    if (r == ERR_CORRUPT)
        r = 0;
    else if (r)
        err = head;
    for (int type = PACK_RUNS; type < PACK_SECTIONS && !r; type++)
        r = pack_file_load(&file, (enum pack_section_type)type, &err);
    if (r) {
        talk("%s", err.text);
        pack_file_close(&file);
        return COMMAND_FAILED;
    }
    const struct pack *pack = file.pack;
    add_file(&text, asked->number, true);
    add_summary(&text, &pack->summary, pack->size);
    text_addf(&text, ",\"previous_sequence\":%" PRIu64 ",\"last_sequence\":%" PRIu64,
              pack->summary.previous_sequence, pack->summary.last_sequence);
    add_blocks(&text, pack);
    add_sections(&text, sections);
    text_addf(&text, ",\"rebuilt\":%s", pack->rebuilt[0] ? "true" : "false");
    if (pack->rebuilt[0])
        add_string(&text, "why", pack->rebuilt);
    if (head.code)
        add_string(&text, "damage", head.text);
    text_add_char(&text, '}');
    out_text(&out, &text);
    bool damaged = pack->rebuilt[0] || head.code;
    pack_file_close(&file);
    return out_end(&out, damaged ? COMMAND_NO : COMMAND_OK);
}

/* ---- which one ---- */

/* As `pack ls` prints it (16 hex digits), the name of a file, 0x and hex
 * digits, hex digits with a letter among them, or a decimal number. */
static bool read_number(const char *text, uint64_t *number)
{
    size_t len = strlen(text);
    const char *suffix = strchr(text, '.');
    if (suffix && (strcmp(suffix, ".pack") == 0 || strcmp(suffix, ".seg") == 0))
        len = (size_t)(suffix - text);
    bool hex = len == 16 || suffix;
    if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        hex = true;
        text += 2;
        len -= 2;
    }
    const char *digits = "0123456789abcdefABCDEF";
    if (len == 0 || len > (hex ? 16 : 19) || strspn(text, digits) < len)
        return false;
    hex = hex || strspn(text, "0123456789") < len;
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        size_t digit = (size_t)(strchr(digits, text[i]) - digits);
        if (n > UINT64_MAX >> 4 && hex)
            return false;
        n = n * (hex ? 16 : 10) + (digit < 16 ? digit : digit - 6);
    }
    *number = n;
    return true;
}

static int look_at(struct look *look, int (*what)(const struct pack_asked *))
{
    const char *word = look->args->words[1];
    struct pack_asked asked = {.args = look->args, .packs = text_str(&look->packs)};
    char room[CONTAINER_NAME];
    if (!read_number(word, &asked.number)) {
        talk("%.60s is no container: give its number, or the name of its file, as `rundlet pack "
             "ls` prints them",
             word);
        return COMMAND_USAGE;
    }
    const struct container *found = containers_find(&look->list, asked.number);
    if (!found)
        talk("there is no container %.60s in %.100s: `rundlet pack ls` lists those there are", word,
             look->config->data);
    else if (!found->pack)
        talk("container %016" PRIx64 " is not sealed yet: `rundlet export` prints its runs too",
             asked.number);
    if (!found || !found->pack)
        return COMMAND_NO;
    asked.name = container_name(asked.number, true, room).at;
    return what(&asked);
}

/* ---- the words ---- */

enum word { WORD_LS, WORD_INFO, WORD_CAT, WORDS };

static const char *const words[] = {"ls", "info", "cat"};

static bool read_args(const struct command_args *args, enum word *result)
{
    size_t best = SIZE_MAX;
    const char *meant = NULL;
    for (int w = 0; w < WORDS; w++) {
        *result = (enum word)w;
        if (strcmp(args->words[0], words[w]) == 0)
            break;
        if (nearest_is(args->words[0], words[w], &best))
            meant = words[w];
        if (w + 1 < WORDS)
            continue;
        talk("pack has no %.60s: %s%s", args->words[0],
             meant ? "did you mean pack " : "it is pack ls, pack info N or pack cat N",
             meant ? meant : "");
        return false;
    }
    size_t count = *result == WORD_LS ? 1 : 2;
    if (args->word_count < count)
        talk("pack %s needs the number of a container; `rundlet pack ls` lists them",
             words[*result]);
    else if (args->word_count > count)
        talk("pack %s does not know what to do with %.60s", words[*result], args->words[count]);
    else if (*result != WORD_CAT && args->option_count > 0)
        talk("only pack cat has options");
    else
        return *result != WORD_CAT || pack_cat_fits(args);
    return false;
}

int command_pack(const struct config *config, const struct command_args *args)
{
    enum word word;
    if (!read_args(args, &word))
        return COMMAND_USAGE;
    struct err err = {0};
    struct look look = {.config = config, .args = args};
    text_addf(&look.segments, "%s/segments", config->data);
    text_addf(&look.packs, "%s/packs", config->data);
    int status = COMMAND_FAILED;
    int r = local_only(config, "pack", &err);
    if (!r)
        r = containers_list(text_str(&look.segments), text_str(&look.packs), &look.list, &err);
    if (r == ERR_NOT_FOUND)
        talk("%.100s holds no runs: name the directory that does with --data", config->data);
    else if (r)
        talk("%s", err.text);
    else if (word == WORD_LS)
        status = out_end(&look.out, list_all(&look));
    else
        status = look_at(&look, word == WORD_INFO ? inform : pack_cat);
    containers_free(&look.list);
    text_free(&look.segments);
    text_free(&look.packs);
    return status;
}
