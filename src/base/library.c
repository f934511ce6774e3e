/* library.c - see library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

int library_load(const char *file, const char *package, const char *const *names, size_t count,
                 void *functions, struct err *err)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return err_set(err, ERR_UNAVAILABLE, "%s is needed and not there: install %s (%.100s)",
                       file, package, dlerror());
    for (size_t i = 0; i < count; i++) {
        void *found = dlsym(library, names[i]);
        if (!found)
            return err_set(err, ERR_UNAVAILABLE, "%s is too old, it has no %s: install a newer %s",
                           file, names[i], package);
        /* A pointer to a function has the size of one to an object (POSIX, dlsym). */
        memcpy((char *)functions + i * sizeof found, &found, sizeof found);
    }
    return 0;
}
