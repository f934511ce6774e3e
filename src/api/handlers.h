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
extern const struct http_handler query_stats; /* POST /runs/stats */
extern const struct http_handler tail_runs;   /* GET /runs/tail */
extern const struct http_handler get_histogram;                  /* GET /runs/histogram */
extern const struct http_handler get_skeleton;                   /* GET /traces/{id}/skeleton */
extern const struct http_handler get_root;                       /* GET / */
extern const struct http_handler get_page;                       /* GET /ui/... */
extern const struct http_handler get_run_link, get_project_link; /* GET /o/... */
extern const struct http_handler get_asset;                      /* GET /ui/assets/{file} */
extern const struct http_handler get_info;                       /* GET /info */
extern const struct http_handler get_tenant;  /* GET /settings, /workspaces/current */
extern const struct http_handler get_ok;      /* GET /ok, /info/health */
extern const struct http_handler get_health;  /* GET /health */
extern const struct http_handler get_ready;   /* GET /ready */
extern const struct http_handler get_metrics; /* GET /metrics */
extern const struct http_handler get_openapi; /* GET /openapi.json */
extern const struct http_handler get_docs;    /* GET /docs */

/* Projects: /sessions, /sessions/{id}, /sessions/resolutions. */
extern const struct http_handler post_project, list_projects, get_project, patch_project,
    delete_project, resolve_project;

/* Feedback: /feedback, /feedback/{id}; /feedback/tokens, and GET and POST of one of those. */
extern const struct http_handler post_feedback, list_feedback, get_feedback, patch_feedback,
    delete_feedback, post_tokens, list_tokens, get_token, use_token;

extern const struct http_handler get_download; /* GET /public/download */

/* DELETE /runs/{id}, DELETE /runs?trace_id=, POST /runs/delete */
extern const struct http_handler delete_run, delete_runs_of, delete_runs;

/* Datasets: /datasets, /datasets/{id}. */
extern const struct http_handler post_dataset, list_datasets, get_dataset, patch_dataset,
    delete_dataset;

/* Examples: /examples, /examples/bulk, /examples/{id}; in parts and by a list of ids below
 * /platform/datasets. */
extern const struct http_handler post_example, post_examples, list_examples, get_example,
    patch_example, patch_examples, delete_example, delete_examples, delete_examples_of,
    post_example_parts, patch_example_parts;

/* Shares: /runs/{id}/share, and what is shown of them below /public/{token}. */
extern const struct http_handler put_share, get_share, delete_share, get_public_run, get_public_one,
    get_public_runs, get_public_odd, query_public;

/* v2 of the LangSmith API: pages of runs (v2_runs.c), ... */
extern const struct http_handler v2_query_runs, v2_query_traces, v2_trace_runs, v2_thread_traces,
    v2_get_run, v2_shared_runs, v2_shared_run;
/* ... and the rest: POST /v2/threads/query, /v2/threads/stats, GET /v2/threads/{id}/stats,
 * /v2/runs/{id}/url. */
extern const struct http_handler v2_query_threads, v2_all_threads, v2_thread_stats, v2_run_url;
extern const struct http_handler v2_list_projects, v2_list_datasets; /* /v2/sessions, /datasets */
extern const struct http_handler v2_post_share, v2_delete_share;     /* /v2/runs/{id}/share */
