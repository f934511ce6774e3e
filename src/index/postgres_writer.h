/* postgres_writer.h - what the files of postgres_write.h share: a writer, what it has staged,
 * and the one stage that is under way.
 *
 *   postgres_write.c    writers, their connections, rollback
 *   postgres_stage.c    a stage, from the call to the verdicts
 *   postgres_look_up.c  what the database has of what a ledger lacks
 *   postgres_put.c      what a ledger changes, as statements
 *   postgres_wait.c     among that, runs that wait for others
 *   postgres_commit.c   the transaction, and what became of it
 */
#pragma once

#include "index/postgres_aside.h"
#include "index/postgres_judge.h"
#include "index/postgres_ledger.h"
#include "index/postgres_write.h"

/* The connections of writers. */
enum pg_writer_statement {
    PG_ADD_CONTAINERS,
    PG_GET_ROWS,
    PG_GET_WAITING,
    PG_GET_BELOW,
    PG_GET_ITEMS,
    PG_GET_TITLES,
    PG_SHARE_LOCK,
    PG_TAKE_LOCK,
    PG_ADD_ROWS,
    PG_SET_ROWS,
    PG_LET_TITLES_GO,
    PG_SET_ITEMS,
    PG_ADD_ITEMS,
    PG_DROP_WAITING,
    PG_ADD_WAITING,
    PG_SEE_AWAITED,
    PG_SEE_WAITING,
    PG_COUNT_UP,
    PG_SET_MARK,
    PG_WRITER_STATEMENTS
};
extern const struct pg_statement pg_writer_statements[PG_WRITER_STATEMENTS];

/* Of a row's flags; stored. */
enum { PG_GUESSED = 1, PG_BY_DEFAULT = 2 };

/* What is asked for a ledger. */
struct pg_asked {
    struct pg_slot **slot;  /* in this order */
    struct pg_slot **below; /* all that wait for these, and for those, ... */
    struct pg_item **item;
    struct pg_title **title;
    size_t slot_count, below_count, item_count, title_count;
};

struct pg_writer {
    struct pg_write *write;
    unsigned number;
    struct pg_pool *pool;
    struct pg_call call;
    uint64_t session; /* in which what it stages was judged */
    bool failed;      /* what is staged cannot be committed */
    bool doubted;     /* a commit met rows of somebody else: ask for new ids too */

    struct pg_ledger ledger; /* what is staged */
    uint64_t *containers;    /* in which that lies, each once */
    size_t container_count, container_cap;

    struct index_commit *commit;
    uint64_t witness; /* in the rows of containers that only this commit makes */
    uint64_t added;   /* rows that it makes */
    bool commit_sent, commit_good, found_live, found_ours;
    bool stale;      /* the session is another one: nothing was sent */
    bool mark_moved; /* read it again */
    unsigned tries;
    struct err why; /* the answer to COMMIT did not come */
    int64_t find_out_until_us;
};

/* The one stage that is under way. */
struct pg_stage {
    struct index_stage *asked;
    struct pg_writer *writer;
    struct pg_entry *entries; /* of all batches, in order */
    uint32_t *unknown;        /* of each, from pg_aside_name() */
    int32_t *parts;           /* in which their rows lie, each once */
    size_t count, part_count;
    unsigned rounds; /* so often something was asked */
    struct pg_learn learn;
    struct pg_asked look_up;
    struct err corrupt; /* of an answer */
};

struct pg_write {
    struct pg_write_config config;
    struct loop *loop;
    struct pg_writer writers[PG_WRITERS];
    struct pg_aside *aside;
    uint64_t seed, witness;
    struct pg_stage stage;
    _Atomic uint64_t mark, runs;
    uint64_t lost_mark; /* or this, of a commit whose answer was lost */
};

const struct libpq *pg_write_libpq(const struct pg_write *w);
struct pg_writer *pg_writer_of(struct pg_write *w, unsigned number, struct loop *loop);

/* Ask in the writer's connection. */
void pg_writer_ask(struct pg_writer *writer, void (*send)(struct pg_call *, struct pg_conn *),
                   void (*answer)(struct pg_call *, unsigned, PGresult *),
                   void (*done)(struct pg_call *));
/* Is it still in the session in which it staged? */
bool pg_writer_same_session(const struct pg_writer *writer);
/* Has it something to commit? */
bool pg_writer_has_staged(const struct pg_writer *writer);
void pg_writer_forget(struct pg_writer *writer); /* what is staged */
void pg_stage_clear(struct pg_stage *stage);

/* Zeroed, for `count` and one more. */
void *pg_room(size_t count, size_t size);

/* --- postgres_look_up.c --- */

/* What the ledger lacks; false: nothing. */
bool pg_look_up_begin(struct pg_asked *asked, const struct pg_ledger *ledger);
void pg_look_up_send(const struct pg_asked *asked, struct pg_conn *conn);
/* The `nth` answer; ERR_CORRUPT. */
void pg_look_up_take(const struct pg_asked *asked, struct pg_ledger *ledger, unsigned nth,
                     const struct libpq *pq, const PGresult *result, struct err *err);
void pg_look_up_end(struct pg_asked *asked, bool good); /* good: what had no answer is not there */

/* --- postgres_put.c, postgres_wait.c --- */

/* What changes, each list in its order. */
struct pg_changes {
    struct pg_slot **added, **changed;
    struct pg_item **made, **said;
    size_t added_count, changed_count, made_count, said_count;
};

void pg_wait_lock(const struct pg_changes *changes, struct pg_conn *conn);
void pg_wait_send(const struct pg_changes *changes, struct pg_conn *conn);
void pg_wait_see(const struct pg_ledger *ledger, const struct pg_changes *changes,
                 struct pg_conn *conn);

/* All changes, in the order in which everybody makes them; how many rows are new.  With
 * `others`: other nodes write too. */
uint64_t pg_put(const struct pg_ledger *ledger, bool others, struct pg_conn *conn);
