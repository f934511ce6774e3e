/* sqlite_read.h - finding, searching and asking, on one connection.
 *
 * Threads  a reader belongs to one thread at a time
 * Errors   as sqlite_db.h, and ERR_TIMEOUT at the deadline
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "index/index.h"
#include "index/sqlite_row.h"
#include "index/sqlite_scan.h"

/* A project of rows, remembered. */
struct reader_project {
    uint64_t number; /* 0: empty */
    struct uuid id;
    uint64_t version;
    bool removed;
    struct str name; /* from malloc */
};

enum { READER_PROJECTS = 256 };

/* Rows of a table in the order of their numbers, from any one on. */
struct reader_steps {
    sqlite3_stmt *from;
    uint64_t next; /* it stands before this one; 0: nowhere */
};

struct reader {
    sqlite3 *db;
    struct keys_reader keys;
    struct reader_steps row, facts;
    sqlite3_stmt *begin, *end, *meta, *name, *names, *project, *has, *feedback, *said,
        *feedback_runs, *entity_number;
    sqlite3_stmt *entity, *entity_by_id, *entities_by_name, *entities_by_parent, *entities_by_time;
    const struct keys_view *view;                    /* during a read */
    uint64_t seed;                                   /* of the hashes in keys */
    int64_t catalog;                                 /* of which the following is; -1: of none */
    bool any_gone;                                   /* something was deleted */
    struct reader_project projects[READER_PROJECTS]; /* by number modulo that */
    struct reader *next;                             /* belongs to the pool */
};

int reader_open(const char *path, uint64_t seed, struct reader **result, struct err *err);
void reader_close(struct reader *reader); /* NULL is fine */

/* Between these two runs are read as of one commit: that of `view`, which must have been
 * taken before; entities as of that or a later one.  `deadline_us` is monotonic. */
int reader_begin(struct reader *reader, const struct keys_view *view, int64_t deadline_us,
                 struct err *err);
void reader_end(struct reader *reader);

int reader_find(struct reader *reader, struct index_find *find, struct err *err);
int reader_search(struct reader *reader, struct index_search *search, struct err *err);
int reader_query(struct reader *reader, struct index_query *asked, struct err *err);
int reader_entities(struct reader *reader, struct index_entities *asked, struct err *err);

/* --- for those ------------------------------------------------------------------- */

/* A row by its number; false in *shown: it was replaced, or the run is hidden. */
int reader_row(struct reader *reader, uint64_t number, struct row *row, bool *shown,
               struct err *err);

/* The row of a run, hidden or not; false in *found: there is none. */
int reader_row_of(struct reader *reader, struct uuid id, struct row *row, bool *found,
                  struct err *err);
int reader_is_shown(struct reader *reader, const struct row *row, bool *shown, struct err *err);

/* As it is answered, but for facts; a view of the row, and of the project until the next one
 * is read. */
int reader_outline(struct reader *reader, const struct row *row, struct index_row *result,
                   struct err *err);
int reader_facts(struct reader *reader, uint64_t number, struct arena *arena, struct str *facts,
                 struct err *err);
/* The same with what it points to, and with facts if asked, in the arena. */
int reader_show(struct reader *reader, const struct row *row, bool facts, struct arena *arena,
                struct index_row *result, struct err *err);
/* Only what the row itself says, with nothing to point to. */
int reader_show_bare(struct reader *reader, const struct row *row, struct index_row *result,
                     struct err *err);

/* Is such an entity there? */
int reader_has_entity(struct reader *reader, enum entity_kind kind, struct uuid id, bool *there,
                      struct err *err);

/* The project of this number, until the next call. */
int reader_project(struct reader *reader, uint64_t number, const struct reader_project **result,
                   struct err *err);
/* The number of a project; 0: there is none. */
int reader_project_number(struct reader *reader, struct uuid id, uint64_t *number, struct err *err);
