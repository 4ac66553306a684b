/* state_path.c - see state_path.h. */
#include "cli/state_path.h"

#include <sys/stat.h>

int state_path_check(const char *path, const struct args *args, const struct engine *e)
{
    const char *const used[] = {rwkv7_model_info(e->model)->path, e->vocab_name, args->state};
    struct rwkv7_output *out;
    struct rwkv7_error err;
    struct stat st;
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        if (used[i] && same_file(used[i], path))
            return complain(MISUSED, "%s: it is in use, and a state would replace it", path);
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) /* to open it would be to wait for its reader */
        return DONE;
    if (rwkv7_output_open(path, &out, &err) != RWKV7_OK)
        return report(&err);
    rwkv7_output_close(out);
    return DONE;
}
