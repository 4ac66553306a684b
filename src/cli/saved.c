/* saved.c - see saved.h. The note begins with a mark and the sizes of the pieces; the pieces follow. */
#include "cli/saved.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char mark[8] = "rwkv7 1";

struct directory {
    char mark[8];
    uint64_t size[SAVED_PIECES];
};

int saved_possible(const char *path, const struct args *args, const struct engine *e)
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

int saved_store(const struct saved *saved, const struct rwkv7_session *session, const char *path)
{
    struct directory directory;
    struct rwkv7_note note = {NULL, sizeof directory};
    struct rwkv7_error err;

    memcpy(directory.mark, mark, sizeof mark);
    for (int i = 0; i < SAVED_PIECES; i++) {
        directory.size[i] = saved->piece[i].size;
        note.size += saved->piece[i].size;
    }
    char *const data = malloc(note.size), *to = data;
    if (!data)
        return complain(FAILED, "%s: out of memory for a state file", path);
    memcpy(to, &directory, sizeof directory);
    to += sizeof directory;
    for (int i = 0; i < SAVED_PIECES; to += saved->piece[i++].size)
        if (saved->piece[i].size > 0)
            memcpy(to, saved->piece[i].data, saved->piece[i].size);
    note.data = data;
    const enum rwkv7_status status = rwkv7_session_save(session, path, &note, &err);
    free(data);
    return status == RWKV7_OK ? DONE : report(&err);
}

int saved_load(struct saved *saved, struct rwkv7_session *session, const char *path)
{
    struct directory directory;
    struct rwkv7_error err;

    *saved = (struct saved){0};
    if (rwkv7_session_load(session, path, &saved->all, &err) != RWKV7_OK)
        return report(&err);
    if (saved->all.size < sizeof directory || memcmp(saved->all.data, mark, sizeof mark) != 0)
        return DONE;
    memcpy(&directory, saved->all.data, sizeof directory);
    char *from = (char *)saved->all.data + sizeof directory;
    size_t left = saved->all.size - sizeof directory;
    for (int i = 0; i < SAVED_PIECES; i++) {
        if (directory.size[i] > left) {
            saved_free(saved);
            return complain(REJECTED, "%s: the note of the state is not whole", path);
        }
        saved->piece[i] = (struct rwkv7_note){from, (size_t)directory.size[i]};
        from += directory.size[i];
        left -= (size_t)directory.size[i];
    }
    return DONE;
}

void saved_free(struct saved *saved)
{
    rwkv7_note_clear(&saved->all);
    *saved = (struct saved){0};
}
