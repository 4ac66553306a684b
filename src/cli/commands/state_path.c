/* state_path.c - see state_path.h. */
#include "cli/commands/state_path.h"

#include <sys/stat.h>

#include "cli/common.h"

int state_path_check(const char *path)
{
    struct rwkv7_output *out;
    struct rwkv7_error err;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) /* to open it would be to wait for its reader */
        return DONE;
    if (rwkv7_output_open(path, &out, &err) != RWKV7_OK)
        return report(&err);
    rwkv7_output_close(out);
    return DONE;
}
