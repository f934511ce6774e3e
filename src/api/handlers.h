/* handlers.h - the handlers, one file each, that route.c puts on paths. */
#pragma once

#include "http/http.h"

extern const struct http_handler post_runs;   /* POST /runs */
extern const struct http_handler get_run;     /* GET /runs/{id}, and /inputs, /outputs, /metadata */
extern const struct http_handler search;      /* GET /runs/search */
extern const struct http_handler runs_batch;  /* POST /runs/batch: one of the next two */
extern const struct http_handler batch_get;   /* a list of ids */
extern const struct http_handler post_lists;  /* lists of posts and patches */
extern const struct http_handler post_run;    /* POST /runs of an object */
extern const struct http_handler patch_run;   /* PATCH /runs/{id} */
extern const struct http_handler post_parts;  /* POST /runs/multipart */
extern const struct http_handler query_runs;  /* POST /runs/query */
extern const struct http_handler get_root;    /* GET / */
extern const struct http_handler get_info;    /* GET /info */
extern const struct http_handler get_ok;      /* GET /ok, /info/health */
extern const struct http_handler get_health;  /* GET /health */
extern const struct http_handler get_ready;   /* GET /ready */
extern const struct http_handler get_metrics; /* GET /metrics */
extern const struct http_handler get_openapi; /* GET /openapi.json */
extern const struct http_handler get_docs;    /* GET /docs */

/* Projects: /sessions, /sessions/{id}, /sessions/resolutions. */
extern const struct http_handler post_project, list_projects, get_project, patch_project,
    delete_project, resolve_project;
