/* table.h - a row of figures beside its floor, and asking so that one comes of it.
 *
 * A row's ratio is of the medians; above one is slower than the floor, whether
 * the row has milliseconds or a rate.
 */
#pragma once

#include "load.h"

struct row {
    const char *name;
    const char *unit; /* "ms": less is better; "/s": more is */
    const char *target;
    double goal;         /* of the ratio to the floor; 0: none is set */
    double plus;         /* or: the floor and so much; 0: none is set */
    struct figures took; /* or rates */
    struct figures floor;
    double server_s, client_s; /* CPU, of all repeats */
};

void print_machine(const char *program);
void print_titles(void);
void row_new(struct row *row, const char *name, const char *unit, const char *target, double goal);
void row_print(struct row *row); /* and free it */
/* One value and its target, without a floor; and free it. */
void print_value(const char *name, const char *unit, struct figures *figures, const char *target);
void print_value_of(const char *name, const char *unit, double value, const char *target);
void print_number(double value);

/* CPU of a server and of this process, while something is measured. */
struct meter {
    const struct program *program;
    double server_s, client_s;
};
struct meter meter_start(const struct program *program);
void meter_stop(const struct meter *meter, struct row *row);

/* ---- asking; whatever is not as expected ends the program ---- */

void expect(const struct answer *answer, int status);
double ask_ms(struct client *client, const struct load_request *request, struct answer *answer);
void post(struct client *client, struct load_request *request); /* with new ids */
/* Post `runs` and make a request for each. */
void post_and_aim(struct client *client, size_t runs, size_t field_size, struct load_request *gets);
/* Do inputs, outputs and metadata come back as they were sent? */
void check_bytes(const struct program *server);
/* Does an answer hold this text? */
void expect_text(struct client *client, const struct load_request *get, const char *text);
/* Say so if not as many came from the cache as should. */
void warn_of_hits(size_t hits, size_t expected, size_t asked);
