/* libcurl.h - the calls of libcurl that talk to S3 needs, loaded at run time.
 *
 * The program does not link it: a node that keeps everything itself starts
 * without.  Private to the S3 back end; nothing else may name its symbols.
 */
#pragma once

/* Its checks of arguments refer to the functions by name. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#define LIBCURL_FUNCTIONS(X)                                                                       \
    X(curl_global_init)                                                                            \
    X(curl_global_cleanup)                                                                         \
    X(curl_version_info)                                                                           \
    X(curl_easy_init)                                                                              \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_reset)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_strerror)                                                                          \
    X(curl_multi_init)                                                                             \
    X(curl_multi_cleanup)                                                                          \
    X(curl_multi_setopt)                                                                           \
    X(curl_multi_add_handle)                                                                       \
    X(curl_multi_remove_handle)                                                                    \
    X(curl_multi_assign)                                                                           \
    X(curl_multi_socket_action)                                                                    \
    X(curl_multi_info_read)                                                                        \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)

struct libcurl {
#define MEMBER(name) __typeof__ (&(name))(name);
    LIBCURL_FUNCTIONS(MEMBER)
#undef MEMBER
};
