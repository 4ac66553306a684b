/*
 * saved_state.c - see saved_state.h. The note of the state file:
 *
 *     "rwkv7 2\0"   8 bytes
 *     sizes         SAVED_PIECES numbers of 8 bytes, in the byte order of the machine
 *     the pieces, one behind the other
 */
#include "generate/saved_state.h"

#include <string.h>

#include "base/mem.h"
#include "base/status.h"

static const char mark[8] = "rwkv7 2";

struct directory {
    char mark[8];
    uint64_t size[SAVED_PIECES];
};

enum rwkv7_status saved_state_store(const struct saved_state *saved, const struct rwkv7_session *session,
                                    const char *path, struct rwkv7_bytes *image, struct rwkv7_error *err)
{
    struct directory directory;
    size_t size = sizeof directory;
    bool fits = true;

    memcpy(directory.mark, mark, sizeof mark);
    for (int i = 0; i < SAVED_PIECES; i++) {
        directory.size[i] = saved->piece[i].size;
        fits = fits && size_add(size, saved->piece[i].size, &size);
    }
    char *const data = fits ? mem_alloc(size, 1) : NULL, *to = data;
    if (!data)
        return fail(err, RWKV7_ERR_MEMORY, "%s: out of memory for a state file", path ? path : IN_MEMORY);
    memcpy(to, &directory, sizeof directory);
    to += sizeof directory;
    for (int i = 0; i < SAVED_PIECES; to += saved->piece[i++].size)
        if (saved->piece[i].size > 0)
            memcpy(to, saved->piece[i].data, saved->piece[i].size);
    const struct rwkv7_bytes note = {data, size};
    const enum rwkv7_status status =
        path ? rwkv7_session_save(session, path, &note, err) : rwkv7_session_save_memory(session, &note, image, err);
    mem_free(data);
    return status;
}

enum rwkv7_status saved_state_load(struct saved_state *saved, struct rwkv7_session *session, const char *path,
                                   const struct rwkv7_bytes *image, struct rwkv7_error *err)
{
    struct directory directory;

    *saved = (struct saved_state){0};
    const enum rwkv7_status status =
        path ? rwkv7_session_load(session, path, &saved->all, err)
             : rwkv7_session_load_memory(session, image->data, image->size, &saved->all, err);
    if (status != RWKV7_OK)
        return status;
    if (saved->all.size >= sizeof mark && memcmp(saved->all.data, mark, sizeof mark - 2) == 0 &&
        memcmp(saved->all.data, mark, sizeof mark) != 0) {
        saved_state_free(saved);
        return fail(err, RWKV7_ERR_STATE,
                    "%s: kept by another version of this program, which put other things beside the state",
                    path ? path : IN_MEMORY);
    }
    if (saved->all.size < sizeof directory || memcmp(saved->all.data, mark, sizeof mark) != 0)
        return RWKV7_OK;
    memcpy(&directory, saved->all.data, sizeof directory);
    char *from = (char *)saved->all.data + sizeof directory;
    size_t left = saved->all.size - sizeof directory;
    for (int i = 0; i < SAVED_PIECES; i++) {
        if (directory.size[i] > left) {
            saved_state_free(saved);
            return fail(err, RWKV7_ERR_STATE, "%s: the note of the state is not whole", path ? path : IN_MEMORY);
        }
        saved->piece[i] = (struct rwkv7_bytes){from, (size_t)directory.size[i]};
        from += directory.size[i];
        left -= (size_t)directory.size[i];
    }
    return RWKV7_OK;
}

void saved_state_free(struct saved_state *saved)
{
    rwkv7_bytes_clear(&saved->all);
    *saved = (struct saved_state){0};
}
