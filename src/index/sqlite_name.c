/* sqlite_name.c - see sqlite_name.h. */
#include "index/sqlite_name.h"

#include "index/fold.h"
#include "index/hash.h"
#include "index/sqlite_db.h"
#include "index/sqlite_staged.h"

int names_open(struct names *names, struct keys_reader *reader, struct staged *staged,
               struct err *err)
{
    *names = (struct names){.reader = reader, .staged = staged};
    int r = db_prepare(reader->db, "INSERT INTO name VALUES (?1, ?2)", &names->add, err);
    if (!r)
        r = db_prepare(reader->db, "SELECT folded FROM name WHERE name = ?1", &names->get, err);
    return r;
}

void names_close(struct names *names)
{
    sqlite3_finalize(names->add);
    sqlite3_finalize(names->get);
    intern_clear(&names->numbers);
    *names = (struct names){0};
}

/* The keys of a name, of the kinds whose parts end before it: text, grams. */
static int stage_name(struct names *names, uint64_t number, uint64_t hash, struct str folded,
                      const uint64_t upto[KEYS_KINDS], struct err *err)
{
    int r = 0;
    if (number > upto[KEYS_TEXT]) {
        struct key text = {0};
        key_add_u64(&text, hash);
        key_add_number(&text, number);
        r = staged_add(names->staged, KEYS_TEXT, &text, err);
    }
    uint64_t gram = 0;
    size_t points = 0;
    for (size_t i = 0, size; !r && number > upto[KEYS_GRAM] && i < folded.len; i += size) {
        gram = keys_gram(gram, fold_point(folded.at + i, &size));
        if (++points < KEYS_GRAM_POINTS)
            continue;
        struct key key = {0};
        key_add_u64(&key, gram);
        key_add_number(&key, number);
        r = staged_add(names->staged, KEYS_GRAM, &key, err);
    }
    return r;
}

/* Is this the text of that name? */
static int name_is(struct names *names, uint64_t number, struct str folded, bool *same,
                   struct err *err)
{
    bool row = false;
    (void)sqlite3_bind_int64(names->get, 1, (int64_t)number); /* cannot fail */
    int r = db_step(names->get, &row, "read a name", err);
    if (r || !row)
        return r;
    struct str there = {sqlite3_column_blob(names->get, 0),
                        (size_t)sqlite3_column_bytes(names->get, 0)};
    *same = str_eq(there, folded);
    (void)sqlite3_reset(names->get); /* no step failed */
    return 0;
}

/* The number of a name that is stored; 0: it is not. */
static int look_up(struct names *names, const struct keys_view *view, uint64_t hash,
                   struct str folded, uint64_t *number, struct err *err)
{
    struct key below = {0};
    unsigned char key[KEYS_WIDTH_MAX];
    key_add_u64(&below, hash);
    key_fill(&below, KEYS_TEXT);
    for (bool found = true, same = false; !same;) {
        int r =
            keys_find(names->reader, view, KEYS_TEXT, &below, KEYS_TEXT_PREFIX, key, &found, err);
        if (!r && found)
            r = name_is(names, key_number(KEYS_TEXT, key), folded, &same, err);
        if (r || !found)
            return r;
        if (same)
            *number = key_number(KEYS_TEXT, key);
        memcpy(below.at, key, below.len);
    }
    return 0;
}

int names_number(struct names *names, const struct keys_view *view, struct str folded,
                 uint64_t *number, struct err *err)
{
    static const uint64_t all[KEYS_KINDS] = {0};
    uint64_t hash = hash_bytes(names->seed, folded.at, folded.len);
    *number = intern_get(&names->numbers, hash, folded);
    if (*number)
        return 0;
    int r = look_up(names, view, hash, folded, number, err);
    if (r)
        return r;
    if (!*number) {
        if (names->count == KEYS_NUMBER_MAX - 1)
            return err_set(err, ERR_FULL, "index: no number is left for a name");
        *number = ++names->count;
        (void)sqlite3_bind_int64(names->add, 1, (int64_t)*number); /* these binds cannot fail */
        (void)sqlite3_bind_blob64(names->add, 2, folded.len ? folded.at : "", folded.len,
                                  SQLITE_STATIC);
        r = db_run(names->add, "add a name", err);
        if (!r)
            r = stage_name(names, *number, hash, folded, all, err);
        if (r)
            return r;
    }
    intern_put(&names->numbers, hash, folded, *number);
    return 0;
}

int names_recover(struct names *names, const uint64_t upto[KEYS_KINDS], struct err *err)
{
    uint64_t from = upto[KEYS_TEXT] < upto[KEYS_GRAM] ? upto[KEYS_TEXT] : upto[KEYS_GRAM];
    sqlite3_stmt *s = NULL;
    int r = db_prepare(names->reader->db, "SELECT name, folded FROM name WHERE name > ?1", &s, err);
    if (!r)
        (void)sqlite3_bind_int64(s, 1, (int64_t)from); /* cannot fail */
    bool more = false;
    while (!r && !(r = db_step(s, &more, "read the newest names", err)) && more) {
        struct str folded = {sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)};
        r = stage_name(names, (uint64_t)sqlite3_column_int64(s, 0),
                       hash_bytes(names->seed, folded.at, folded.len), folded, upto, err);
    }
    sqlite3_finalize(s);
    return r;
}

void names_cut(struct names *names, uint64_t count)
{
    names->count = count;
    intern_clear(&names->numbers);
}
