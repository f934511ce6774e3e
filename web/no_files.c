/* no_files.c - instead of build/web/files.c where there is no Node to make it. */
#include "api/web_files.h"

const struct web_file web_files[1] = {0};
const size_t web_file_count = 0;
