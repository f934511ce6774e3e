/* index.h - the rows: which runs there are, and where their bytes lie.
 *
 * Derived from the log and rebuilt from it (ingest/recover.h), so an index
 * need not be durable on its own, only consistent: a row is visible exactly
 * when its commit is, with all rows of its batch.
 *
 * Shape    one row per run, which says which of its stored layers hold what
 *          (run/merge.h); and the entities (run/entity.h)
 * An index of one process (SQLite, memory) is behind the log after a crash and
 * catches up.  A shared one (PostgreSQL) is written by any number of nodes, each
 * commit whole and durable by itself; it is behind nothing.
 *
 * Threads  stage, commit, rollback, mark on the one commit loop, which an index of
 *          one process may block; the others from any attached loop, never blocking it
 * Memory   results live in the arena the caller passes
 * Errors   ERR_BUSY queue full, ERR_TIMEOUT deadline passed (of a commit: outcome
 *          unknown), ERR_UNAVAILABLE, ERR_FULL, ERR_IO, ERR_CORRUPT.  A failed
 *          fsync ends the process
 * Sources  docs/design/index-schema.md, docs/design/durability.md
 *
 * Back ends: index/sqlite.c (default), index/postgres.c, index/memory.c (the
 * reference).  All pass test/conform/index_conform.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/op.h"
#include "run/entity.h"
#include "run/merge.h"
#include "run/query.h"
#include "run/record.h"
#include "run/run.h"

struct arena;
struct index;
struct loop;

enum index_verdict {
    INDEX_ADDED,     /* at least one entry is news; what it changes is staged */
    INDEX_DUPLICATE, /* nothing is: every run, layer and attachment is there already, as it is */
    INDEX_CONFLICT   /* nothing was staged: a whole run is there, or earlier in this batch, with
                      * other bytes; or the name of an entity is taken, or it is not of the
                      * version that record.expect says, or a project or dataset of its id was
                      * removed */
};

struct index_batch {
    const struct record *record; /* in: borrowed until commit or rollback is done */
    struct place first;          /* in: of the record's first run */
    uint64_t sequence;           /* in: part of the layers' keys (run/merge.h) */
    enum index_verdict verdict;  /* out */
    uint32_t added;              /* out: entries that are news; the others were there already */
    uint32_t conflict;           /* out: INDEX_CONFLICT: which entry of the record */
};

/* Judge batches in order, each atomically, for the next commit of `writer`.  A
 * batch sees the rows of those this writer staged before it.  On an error nothing
 * that was staged may be committed: roll back.  A run that fails its check
 * (record_run) is an error too.
 *
 * One stage at a time in a process; several writers may have something staged.
 * What a shared index has staged is not in the database yet: a run that somebody
 * else commits before makes this writer's commit fail with ERR_CONFLICT; so does a
 * connection that was made anew, perhaps to another server. */
struct index_stage {
    struct op op;
    unsigned writer; /* in: below index->writers */
    struct index_batch *batches;
    size_t count;
};

/* Make what was staged visible, together with the mark.  On success every later
 * find and search sees it.  Also legal with nothing staged.  ERR_CONFLICT: judge
 * again; nothing was committed.  A shared index finds
 * out itself what became of a commit whose answer was lost; where it cannot, the
 * error is ERR_TIMEOUT, and the rows may be there or not. */
struct index_commit {
    struct op op;
    unsigned writer;
    uint64_t sequence; /* in: everything in the log up to here is in the index */
};

struct index_rollback {
    struct op op; /* cannot fail */
    unsigned writer;
};

struct index_mark {
    struct op op;
    uint64_t sequence; /* out: of the last commit; 0: empty */
};

/* See that what is committed would survive a power cut. */
struct index_durable {
    struct op op;
    uint64_t sequence; /* out: everything in the log up to here would be in the index */
};

/* How many commits other processes have made visible, in all: grows when one
 * does.  What was read before it grew may be old.  0 for an index of one process. */
struct index_follow {
    struct op op;
    uint64_t commits; /* out */
};

/* Which containers have rows that lead to them?  For an index of one process, which
 * takes in all there is, every one has. */
struct index_known {
    struct op op;
    const uint64_t *containers; /* in: borrowed until done */
    size_t count;
    bool *known;     /* out: `count`, the caller's room */
    bool *condemned; /* likewise: nothing ever will; NULL: that is not asked */
};

/* See that no commit can ever lead to this container, unless one did: then it is
 * `live`, and must stay. */
struct index_condemn {
    struct op op;
    uint64_t container;
    bool live; /* out */
};

/* The next containers that rows lead to, ascending.  An index of one process has no
 * list of them, and tells none. */
struct index_containers {
    struct op op;
    uint64_t after;    /* in: greater than this */
    uint64_t *numbers; /* out: the caller's room for `max` */
    size_t max, count;
};

/* Take out the rows that lead to a container which is gone for good, so that its runs
 * may be sent again.  All at once; likewise only of an index with such a list. */
struct index_lose {
    struct op op;
    uint64_t container;
    uint64_t runs; /* out: rows taken out */
};

/* What is known of a run.  One that was deleted, or whose project was, is not found. */
struct index_row {
    bool found;
    bool hidden; /* not found, since it was deleted */
    struct uuid id, trace, parent, project;
    struct str project_name; /* as text */
    int64_t start_us, end_us;
    enum run_type type;
    enum run_status status;
    uint64_t version;         /* grows with each change of the run */
    uint64_t project_version; /* of the project's entity, whose name is shown with the run */
    const struct holder *holders;
    unsigned holder_count;
    uint64_t size;    /* bytes of all holders */
    bool silent;      /* there is no feedback on it, and it is not shared; false: there may be */
    struct str facts; /* run/facts.h; at == NULL: not asked for, or none */
};

struct index_find {
    struct op op;
    const struct uuid *ids; /* in: borrowed until done */
    size_t count;
    bool facts; /* in: are those wanted? */
    struct arena *arena;
    struct index_row *rows; /* out: `count`, in the order asked, `found` or not */
};

/* A page, newest first.  `name` matches as docs/design/index-schema.md says:
 * both sides simple-case-folded, then a plain substring. */
struct index_search {
    struct op op;
    const struct query *query; /* in: borrowed until done */
    bool facts;                /* in: are those wanted? */
    struct arena *arena;
    struct index_row *rows; /* out: at most query->limit */
    size_t count;
    bool more; /* out: there are rows after the last */
};

enum { INDEX_LOOK = 16384 /* a fair share of a query: some 10 ms to 100 ms */ };

/* A step of what a run_query asks: a page of it, with facts unless it is bare.  It ends when it is full, or
 * when the query had its share, so that others have their turn: then with fewer rows, or
 * with none.  `next` is where to go on; it is always further than where the step began. */
struct index_query {
    struct op op;
    const struct run_query *query; /* in: borrowed until done */
    uint32_t look;                 /* in: the share: rows to look at, about; 1 at least */
    struct arena *arena;
    struct index_row *rows; /* out: at most query->limit */
    size_t count;
    bool more;                /* out: there may be others */
    struct query_cursor next; /* out: of them */
};

/* Entities of a kind, newest first (made_us, then id, both descending).  Of runs that were
 * deleted, and of projects and datasets that were, the entities are not there either. */
struct index_entities {
    struct op op;
    enum entity_kind kind;
    /* In: which; conditions are and-ed. */
    const struct uuid *ids, *parents; /* NULL: any */
    size_t id_count, parent_count;
    struct str name, name_contains; /* the whole name; a part of it in any case; at == NULL: any */
    uint32_t limit, offset;
    struct arena *arena;
    struct entity *entities; /* out */
    size_t count;
};

struct index_ops {
    const char *name; /* "sqlite", "postgres", "memory" */
    int (*attach)(struct index *index, struct loop *loop, struct err *err);
    void (*stage)(struct index *index, struct index_stage *stage);
    void (*commit)(struct index *index, struct index_commit *commit);
    void (*rollback)(struct index *index, struct index_rollback *rollback);
    void (*mark)(struct index *index, struct index_mark *mark);
    void (*durable)(struct index *index, struct index_durable *durable);
    void (*find)(struct index *index, struct index_find *find);
    void (*search)(struct index *index, struct index_search *search);
    void (*query)(struct index *index, struct index_query *query);
    void (*entities)(struct index *index, struct index_entities *entities);
    void (*follow)(struct index *index, struct index_follow *follow);
    void (*known)(struct index *index, struct index_known *known);
    void (*condemn)(struct index *index, struct index_condemn *condemn);
    void (*containers)(struct index *index, struct index_containers *containers);
    void (*lose)(struct index *index, struct index_lose *lose);
    uint64_t (*runs)(struct index *index); /* rows, roughly; any thread; for metrics */
    void (*close)(struct index *index);    /* after the loops have ended */
};

/* First member of every back end's own struct. */
struct index {
    const struct index_ops *ops;
    unsigned writers; /* transactions that may be open at once: 1 for an index of one process */
    bool shared;      /* other processes write it too */
};

struct index_sqlite_config {
    struct str path;      /* the database file; created; emptied when of another schema */
    unsigned readers;     /* threads with a connection each */
    size_t queue;         /* reads waiting before ERR_BUSY */
    unsigned deadline_ms; /* per read, in the queue and in SQLite */
    size_t cache_size;    /* bytes of page cache of the writer */
    bool read_only;       /* for the command line */
};
int index_sqlite_open(const struct index_sqlite_config *config, struct index **result,
                      struct err *err);
int index_memory_open(struct index **result, struct err *err);

struct index_postgres_config {
    const char *url;        /* postgres://user:password@host:port/name?options, as libpq takes it */
    unsigned readers;       /* connections of each loop, at most */
    size_t queue;           /* reads waiting on a loop before ERR_BUSY */
    unsigned deadline_ms;   /* per read, in the queue and in the server */
    unsigned commit_ms;     /* likewise for each step of a commit */
    const char *deployment; /* the id of the log or bucket; a database is one deployment's */
    bool shared;            /* a bucket: any number of nodes; else one log, with a mark */
    bool migrate; /* bring the schema up to date at open; else one that is not is refused */
};
/* Blocks until the database answered or deadline_ms passed. */
int index_postgres_open(const struct index_postgres_config *config, struct index **result,
                        struct err *err);

/* The schema, step by step.  `to` < 0: up to the newest; else down to this one.  `say` gets a line for each step. */
typedef void index_say_fn(void *context, const char *line);
int index_postgres_migrate(const char *url, int to, index_say_fn *say, void *context,
                           struct err *err);
int index_postgres_status(const char *url, index_say_fn *say, void *context, struct err *err);
void index_postgres_sql(index_say_fn *say,
                        void *context); /* all there is, to read or run by hand */
