/* saved.c - see saved.h. The note begins with a mark and the sizes of the pieces; the pieces follow. */
#include "cli/saved.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/common.h"
#include "cli/lookup.h"

static const char mark[8] = "rwkv7 1";

struct directory {
    char mark[8];
    uint64_t size[SAVED_PIECES];
};

int saved_possible(const char *path)
{
    if (access(path, F_OK) == 0) /* a file that will be replaced, or a device */
        return DONE;
    const char *const slash = strrchr(path, '/');
    char folder[PATH_ROOM];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash + 1 - path) : 1, slash ? path : ".");
    return access(folder, W_OK) == 0 ? DONE : complain(FAILED, "%s: cannot be written: %s", path, strerror(errno));
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
