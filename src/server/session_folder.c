/* session_folder.c - see session_folder.h. */
#include "server/session_folder.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"

enum rwkv7_status session_folder_open(const char *folder, struct rwkv7_error *err)
{
    struct stat st;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail_errno(err, "cannot create %s for states", folder);
    if (stat(folder, &st) != 0)
        return fail_errno(err, "cannot use %s for states", folder);
    if (!S_ISDIR(st.st_mode))
        return fail(err, RWKV7_ERR_IO, "cannot use %s for states: it is not a folder", folder);
    if (access(folder, R_OK | W_OK | X_OK) != 0)
        return fail_errno(err, "cannot use %s for states", folder);
    if (st.st_uid != geteuid())
        return fail(err, RWKV7_ERR_IO, "cannot use %s for states: it belongs to another user", folder);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return fail(err, RWKV7_ERR_IO, "cannot use %s for states: other users may write to it; use chmod go-w", folder);
    return RWKV7_OK;
}
