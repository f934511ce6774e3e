/* postgres_bed.h - a database of the test's own, on the server that
 * TEST_POSTGRES names (a superuser's URL), with the newest schema.
 *
 * The first one makes a template, which the others are copied from; it goes when
 * the program ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POSTGRES_BED_SKIP "TEST_POSTGRES is not set"

struct postgres_bed {
    char name[64];
    char url[512];
};

bool postgres_bed_possible(void);
void postgres_bed_new(struct postgres_bed *bed);   /* ends the test program when it cannot */
void postgres_bed_empty(struct postgres_bed *bed); /* the same without any schema */
void postgres_bed_drop(const struct postgres_bed *bed);

/* Statements as the superuser, in this database or (NULL) the one of the URL; one number
 * back, of the first row and column, which is a bigint.  End the test program when they fail. */
void postgres_bed_run(const struct postgres_bed *bed, const char *script);
uint64_t postgres_bed_number(const struct postgres_bed *bed, const char *sql);
