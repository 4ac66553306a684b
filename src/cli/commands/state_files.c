/* state_files.c - see state_files.h. */
#include "cli/commands/state_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/common.h"

int state_path_check(const char *path)
{
    struct rwkv7_output *out;
    struct rwkv7_error err;
    struct stat st;
    if (strcmp(path, "-") == 0)
        return complain(MISUSED, "a state is kept in a file, and - names none: expected /dev/stdout, or ./- for a file "
                                 "of that name");
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) /* to open it would be to wait for its reader */
        return DONE;
    if (rwkv7_output_open(path, &out, &err) != RWKV7_OK)
        return report(&err);
    rwkv7_output_close(out);
    return DONE;
}

enum file_kind { FILE_UNKNOWN, FILE_KEPT, FILE_TUNED, FILE_WEIGHTS, FILE_TEXT };

static bool holds(const char *data, size_t size, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = data; size >= n && (at = memchr(at, *word, size - n + 1 - (size_t)(at - data))); at++)
        if (memcmp(at, word, n) == 0)
            return true;
    return false;
}

/* What a file looks like from its beginning. The names of tensors stand there in safetensors and GGUF, and mostly in .pth. */
static enum file_kind look_at(const char *path)
{
    char data[1 << 15];
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, data, sizeof data) : -1;
    if (fd >= 0)
        close(fd);
    if (got <= 8)
        return FILE_UNKNOWN;
    const size_t size = (size_t)got;
    const bool is_safetensors = data[8] == '{' && data[7] == '\0', is_zip = memcmp(data, "PK\003\004", 4) == 0;
    if (memcmp(data, "RWKV7ST", 8) == 0)
        return FILE_KEPT;
    if ((is_safetensors || is_zip) && holds(data, size, "time_state"))
        return FILE_TUNED;
    if (is_safetensors || is_zip || memcmp(data, "GGUF", 4) == 0)
        return FILE_WEIGHTS;
    return memchr(data, '\0', size) ? FILE_UNKNOWN : FILE_TEXT;
}

int state_report(const struct rwkv7_error *err, const char *path, bool tuned)
{
    const enum file_kind kind =
        err->status == RWKV7_ERR_STATE || err->status == RWKV7_ERR_MODEL ? look_at(path) : FILE_UNKNOWN;
    if (tuned && kind == FILE_KEPT)
        return complain(REJECTED,
                        "%s: expected a tuned state, found one that this program has kept: --state-in takes it", path);
    if (!tuned && kind == FILE_TUNED)
        return complain(REJECTED,
                        "%s: expected a state that this program has kept, found a tuned one: --state takes it", path);
    if (!tuned && kind == FILE_WEIGHTS)
        return complain(REJECTED, "%s: expected a state that this program has kept, found weights: -m takes a model",
                        path);
    if (kind == FILE_TEXT)
        return complain(REJECTED, "%s: expected a %s, found text", path,
                        tuned ? "tuned state" : "state that this program has kept");
    return report(err);
}
