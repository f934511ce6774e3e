/* libpq.h - the functions of PostgreSQL's client library, loaded when needed.
 *
 * The program does not link it (base/library.h): `pq->PQclear(result)`.
 */
#pragma once

#include <libpq-fe.h>

/* clang-format off */
#define LIBPQ_FUNCTIONS(X)                                                                         \
    X(PQconninfoParse) X(PQconninfoFree) X(PQfreemem)                                              \
    X(PQconnectStartParams) X(PQconnectPoll) X(PQfinish) X(PQstatus) X(PQsocket)                   \
    X(PQerrorMessage) X(PQserverVersion) X(PQparameterStatus)                                      \
    X(PQsetNoticeReceiver) X(PQsetnonblocking)                                                     \
    X(PQenterPipelineMode) X(PQexitPipelineMode) X(PQpipelineSync) X(PQflush)                      \
    X(PQsendQuery) X(PQsendQueryParams) X(PQsendPrepare) X(PQsendQueryPrepared)                    \
    X(PQconsumeInput) X(PQisBusy) X(PQgetResult) X(PQresultStatus) X(PQresultErrorField)           \
    X(PQntuples) X(PQgetisnull) X(PQgetlength) X(PQgetvalue) X(PQcmdStatus) X(PQcmdTuples)         \
    X(PQclear)
/* clang-format on */

#define LIBPQ_POINTER(name) __typeof__(&(name)) name; /* NOLINT(bugprone-macro-parentheses) */
struct libpq {
    LIBPQ_FUNCTIONS(LIBPQ_POINTER)
};
#undef LIBPQ_POINTER
