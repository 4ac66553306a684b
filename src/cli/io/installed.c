/* installed.c - see installed.h. */
#include "cli/io/installed.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder of this executable; false: unknown. */
static bool own_folder(char folder[PATH_ROOM])
{
    const ssize_t n = readlink("/proc/self/exe", folder, PATH_ROOM);
    if (n <= 0 || n >= PATH_ROOM)
        return false;
    folder[n] = '\0';
    char *const slash = strrchr(folder, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

/* Sets folder to "OWN/part", where OWN is the folder of this executable. */
static bool beside(const char *part, char folder[PATH_ROOM])
{
    char own[PATH_ROOM];
    if (!own_folder(own))
        return false;
    const int n = snprintf(folder, PATH_ROOM, "%s/%s", own, part);
    return n > 0 && n < PATH_ROOM;
}

bool installed_folder(size_t i, char folder[PATH_ROOM])
{
    if (i == 0 && beside(RWKV7_DATA_FROM_BIN, folder))
        return true;
    if (i <= 1) { /* also instead of the first one */
        snprintf(folder, PATH_ROOM, "%s", RWKV7_DATA_DIR);
        return true;
    }
    /* CMake puts this file into every build folder. */
    return i == 2 && beside("CMakeCache.txt", folder) && access(folder, F_OK) == 0 && beside("../scripts", folder);
}
