/* corpus.h - the traces that bench/corpus.py makes: what goes in, and whether
 * that is what comes out.
 *
 * Shape    a file of runs, one a line, is mapped; the runs are views of it
 * Errors   end the program, like those of load.h
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

struct corpus_run {
    struct uuid id, trace;
    struct str object; /* as sent */
    struct str inputs, outputs;
};

struct corpus {
    struct str bytes;        /* of the file */
    struct corpus_run *runs; /* in the order of the file */
    size_t count;
    uint64_t raw;   /* bytes of all objects */
    uint32_t *slot; /* runs by id: number + 1; 0: free */
    size_t slots;
};

/* `megabytes` of "agent" or "rag"; made under build/ when they are not there. */
void corpus_open(struct corpus *corpus, const char *kind, unsigned megabytes);
void corpus_close(struct corpus *corpus);

/* The run with that id. */
const struct corpus_run *corpus_find(const struct corpus *corpus, struct uuid id);

/* Is `answer` that run, its inputs and outputs byte for byte as they were sent?
 * Of a page of runs: are all?  Returns how many there are. */
void corpus_check(const struct corpus *corpus, struct uuid id, struct str answer);
size_t corpus_check_page(const struct corpus *corpus, struct str answer);
