/* postgres_value.c - values as PostgreSQL sends and takes them: binary, big endian.
 *
 * An array is: dimensions, has nulls, type, count, lower bound; then for each
 * element its length (-1: null) and its bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "index/postgres_conn.h"

static void put(struct text *text, uint64_t value, size_t size)
{
    char *at = text_room(text, size);
    for (size_t i = 0; i < size; i++)
        at[i] = (char)(value >> 8 * (size - 1 - i));
    text->len += size;
}

static void begin(struct pg_args *args)
{
    assert(args->count < PG_ARGS);
    args->at[args->count] = args->bytes.len;
}

static void end(struct pg_args *args)
{
    args->len[args->count] = args->bytes.len - args->at[args->count];
    args->count++;
}

void pg_add_int(struct pg_args *args, int32_t value)
{
    begin(args);
    put(&args->bytes, (uint32_t)value, 4);
    end(args);
}

void pg_add_long(struct pg_args *args, uint64_t value)
{
    begin(args);
    put(&args->bytes, value, 8);
    end(args);
}

void pg_add_uuid(struct pg_args *args, struct uuid id)
{
    begin(args);
    text_add(&args->bytes, (struct str){(const char *)id.byte, sizeof id.byte});
    end(args);
}

void pg_add_text(struct pg_args *args, struct str text)
{
    begin(args);
    args->null[args->count] = !text.at;
    if (text.len > 0)
        text_add(&args->bytes, text);
    end(args);
}

void pg_add_null(struct pg_args *args)
{
    pg_add_text(args, (struct str){0});
}

void pg_begin_array(struct pg_args *args, enum pg_type type, size_t count)
{
    begin(args);
    put(&args->bytes, count > 0, 4);
    put(&args->bytes, 1, 4);
    put(&args->bytes, type, 4);
    if (count > 0) {
        put(&args->bytes, count, 4);
        put(&args->bytes, 1, 4);
    }
}

void pg_put_int(struct pg_args *args, int32_t value)
{
    put(&args->bytes, 4, 4);
    put(&args->bytes, (uint32_t)value, 4);
}

void pg_put_long(struct pg_args *args, uint64_t value)
{
    put(&args->bytes, 8, 4);
    put(&args->bytes, value, 8);
}

void pg_put_bytes(struct pg_args *args, struct str bytes)
{
    put(&args->bytes, bytes.len, 4);
    if (bytes.len > 0)
        text_add(&args->bytes, bytes);
}

void pg_put_uuid(struct pg_args *args, struct uuid id)
{
    if (uuid_is_zero(id))
        pg_put_null(args);
    else
        pg_put_bytes(args, (struct str){(const char *)id.byte, sizeof id.byte});
}

void pg_put_null(struct pg_args *args)
{
    put(&args->bytes, UINT32_MAX, 4);
}

void pg_end_array(struct pg_args *args)
{
    end(args);
}

void pg_args_free(struct pg_args *args)
{
    text_free(&args->bytes);
    *args = (struct pg_args){0};
}

static uint64_t number(const struct libpq *pq, const PGresult *result, int row, int column,
                       int size)
{
    uint64_t value = 0;
    if (pq->PQgetisnull(result, row, column) || pq->PQgetlength(result, row, column) != size)
        return 0;
    const unsigned char *at = (const unsigned char *)pq->PQgetvalue(result, row, column);
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

int32_t pg_int(const struct libpq *pq, const PGresult *result, int row, int column)
{
    return (int32_t)number(pq, result, row, column, 4);
}

uint64_t pg_long(const struct libpq *pq, const PGresult *result, int row, int column)
{
    return number(pq, result, row, column, 8);
}

struct uuid pg_uuid(const struct libpq *pq, const PGresult *result, int row, int column)
{
    struct uuid id = {0};
    if (!pq->PQgetisnull(result, row, column) &&
        pq->PQgetlength(result, row, column) == sizeof id.byte)
        memcpy(id.byte, pq->PQgetvalue(result, row, column), sizeof id.byte);
    return id;
}

struct str pg_text(const struct libpq *pq, const PGresult *result, int row, int column)
{
    if (pq->PQgetisnull(result, row, column))
        return (struct str){0};
    return (struct str){pq->PQgetvalue(result, row, column),
                        (size_t)pq->PQgetlength(result, row, column)};
}

bool pg_null(const struct libpq *pq, const PGresult *result, int row, int column)
{
    return pq->PQgetisnull(result, row, column) != 0;
}

uint64_t pg_changed(const struct libpq *pq, PGresult *result)
{
    return strtoull(pq->PQcmdTuples(result), NULL, 10);
}
