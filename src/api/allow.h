/* allow.h - who may send a request: the key, and where a browser's page is from. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "http/http.h"

/* Is the key there, in x-api-key, as a Bearer token, or as the password of Basic? */
enum allowed { ALLOW_NONE /* nothing was sent that could be one */, ALLOW_OTHER, ALLOW_YES };
enum allowed allow_key(struct http_request *request, struct str key);

/* Could this write come from a page of another site in the user's browser? */
bool allow_origin(struct http_request *request);
