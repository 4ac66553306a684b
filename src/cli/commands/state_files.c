/* state_files.c - see state_files.h. */
#include "cli/commands/state_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/io/messages.h"

int state_path_check(const char *path)
{
    struct rwkv7_output *out;
    struct rwkv7_error err;
    struct stat st;
    if (strcmp(path, "-") == 0)
        return complain(MISUSED, "cannot save a state to '-': use /dev/stdout, or ./- for a file of that name");
    if (stat(path, &st) == 0 && S_ISFIFO(st.st_mode)) /* opening it would block */
        return DONE;
    if (rwkv7_output_open(path, &out, &err) != RWKV7_OK)
        return report(&err);
    rwkv7_output_close(out);
    return DONE;
}

enum file_kind { FILE_UNKNOWN, FILE_SAVED, FILE_TUNED, FILE_WEIGHTS, FILE_TEXT };

static bool contains(const char *data, size_t size, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = data; size >= n && (at = memchr(at, *word, size - n + 1 - (size_t)(at - data))); at++)
        if (memcmp(at, word, n) == 0)
            return true;
    return false;
}

/*
 * Guesses the kind of a file from its start, where safetensors and GGUF, usually also .pth, name
 * tensors.
 */
static enum file_kind guess_kind(const char *path)
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
        return FILE_SAVED;
    if ((is_safetensors || is_zip) && contains(data, size, "time_state"))
        return FILE_TUNED;
    if (is_safetensors || is_zip || memcmp(data, "GGUF", 4) == 0)
        return FILE_WEIGHTS;
    return memchr(data, '\0', size) ? FILE_UNKNOWN : FILE_TEXT;
}

int state_report(const struct rwkv7_error *err, const char *path, bool tuned)
{
    const enum file_kind kind =
        err->status == RWKV7_ERR_STATE || err->status == RWKV7_ERR_MODEL ? guess_kind(path) : FILE_UNKNOWN;
    if (tuned && kind == FILE_SAVED)
        return complain(REJECTED, "%s: expected a tuned state, found a saved state; use --state-in", path);
    if (!tuned && kind == FILE_TUNED)
        return complain(REJECTED, "%s: expected a saved state, found a tuned state; use --state", path);
    if (!tuned && kind == FILE_WEIGHTS)
        return complain(REJECTED, "%s: expected a saved state, found weights; use -m for a model", path);
    if (kind == FILE_TEXT)
        return complain(REJECTED, "%s: expected a %s, found text", path, tuned ? "tuned state" : "saved state");
    return report(err);
}
