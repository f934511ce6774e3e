/* sqlite_writer.h - the one writer of the database: judge, take in, commit.
 *
 * Threads  the commit loop's, but for writer_view() and writer_runs(): any
 * Errors   as sqlite_db.h.  After an error nothing can be committed before
 *          writer_rollback()
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "index/index.h"

struct keys_view;
struct writer;

/* Open the file, and bring the newest keys back into memory.  With `read_only`
 * only the view can be had. */
int writer_open(const char *path, size_t cache_size, bool read_only, struct writer **result,
                struct err *err);
void writer_close(struct writer *writer); /* NULL is fine */

/* Judge one batch and take it in; the transaction is begun if need be. */
int writer_stage(struct writer *writer, struct index_batch *batch, struct err *err);

/* On failure the transaction is rolled back. */
int writer_commit(struct writer *writer, uint64_t sequence, struct err *err);
void writer_rollback(struct writer *writer);

uint64_t writer_mark(const struct writer *writer);
uint64_t writer_seed(const struct writer *writer); /* of the hashes in keys; any thread */
void writer_durable(struct writer *writer, struct index_durable *durable); /* any thread */

/* What is in memory as of the last commit; the caller's reference. */
struct keys_view *writer_view(struct writer *writer);
uint64_t writer_runs(const struct writer *writer);
