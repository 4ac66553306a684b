/*
 * saved_state.c - see saved_state.h. The note of the state file:
 *
 *     "rwkv7 3\0"   8 bytes
 *     sizes         SAVED_PIECES numbers of 8 bytes, in the byte order of the machine
 *     the pieces, one after the other
 *
 * "rwkv7 2" is the same without SAVED_VOCABULARY, and is still accepted.
 */
#include "generate/saved_state.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/status.h"

static const char mark[8] = "rwkv7 3", older[8] = "rwkv7 2";

struct directory {
    char mark[8];
    uint64_t size[SAVED_PIECES];
};

/* Returns a hash of the texts of all tokens. */
static struct hash_value fingerprint_of(const struct rwkv7_tokenizer *tokenizer)
{
    struct hash hash;
    hash_begin(&hash);
    for (uint32_t id = 0; id < rwkv7_tokenizer_size(tokenizer); id++) {
        size_t length;
        const uint8_t *const text = rwkv7_tokenizer_bytes(tokenizer, id, &length);
        const uint64_t size = length;
        hash_add(&hash, &size, sizeof size);
        if (length > 0)
            hash_add(&hash, text, length);
    }
    return hash_end(&hash);
}

enum rwkv7_status saved_state_store(const struct saved_state *saved, const struct rwkv7_session *session,
                                    const struct rwkv7_tokenizer *tokenizer, const char *path,
                                    struct rwkv7_bytes *image, struct rwkv7_error *err)
{
    struct directory directory;
    struct hash_value vocabulary = fingerprint_of(tokenizer);
    struct saved_state all = *saved;
    size_t size = sizeof directory;
    bool fits = true;

    all.piece[SAVED_VOCABULARY] = (struct rwkv7_bytes){&vocabulary, sizeof vocabulary};
    memcpy(directory.mark, mark, sizeof mark);
    for (int i = 0; i < SAVED_PIECES; i++) {
        directory.size[i] = all.piece[i].size;
        fits = fits && size_add(size, all.piece[i].size, &size);
    }
    char *const data = fits ? mem_alloc(size, 1) : NULL, *to = data;
    if (!data)
        return fail(err, RWKV7_ERR_MEMORY, "%s: out of memory for a state file", path ? path : IN_MEMORY);
    memcpy(to, &directory, sizeof directory);
    to += sizeof directory;
    for (int i = 0; i < SAVED_PIECES; to += all.piece[i++].size)
        if (all.piece[i].size > 0)
            memcpy(to, all.piece[i].data, all.piece[i].size);
    const struct rwkv7_bytes note = {data, size};
    const enum rwkv7_status status =
        path ? rwkv7_session_save(session, path, &note, err) : rwkv7_session_save_memory(session, &note, image, err);
    mem_free(data);
    return status;
}

/* Finds the pieces in the loaded note. */
static enum rwkv7_status find_pieces(struct saved_state *saved, const char *path, struct rwkv7_error *err)
{
    struct directory directory = {.mark = ""};
    const bool is_older = saved->all.size >= sizeof older && memcmp(saved->all.data, older, sizeof older) == 0;
    const size_t beginning = sizeof directory - (is_older ? sizeof directory.size[SAVED_VOCABULARY] : 0);
    if (saved->all.size >= sizeof mark && memcmp(saved->all.data, mark, sizeof mark - 2) == 0 &&
        memcmp(saved->all.data, mark, sizeof mark) != 0 && !is_older)
        return fail(err, RWKV7_ERR_STATE, "%s: saved by another version of this program, with an incompatible note",
                    path);
    if (saved->all.size < beginning || (memcmp(saved->all.data, mark, sizeof mark) != 0 && !is_older))
        return RWKV7_OK;
    memcpy(&directory, saved->all.data, beginning);
    char *from = (char *)saved->all.data + beginning;
    size_t left = saved->all.size - beginning;
    for (int i = 0; i < SAVED_PIECES; i++) {
        if (directory.size[i] > left)
            return fail(err, RWKV7_ERR_STATE, "%s: the note of the state is truncated", path);
        saved->piece[i] = (struct rwkv7_bytes){from, (size_t)directory.size[i]};
        from += directory.size[i];
        left -= (size_t)directory.size[i];
    }
    return RWKV7_OK;
}

static enum rwkv7_status check_vocabulary(const struct rwkv7_bytes *saved, const struct rwkv7_tokenizer *tokenizer,
                                          const char *path, struct rwkv7_error *err)
{
    if (saved->size == 0) /* an older file does not contain it */
        return RWKV7_OK;
    const struct hash_value vocabulary = fingerprint_of(tokenizer);
    if (saved->size == sizeof vocabulary && memcmp(saved->data, &vocabulary, sizeof vocabulary) == 0)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_STATE, "%s: the state was saved with another vocabulary, whose ids have other texts",
                path);
}

enum rwkv7_status saved_state_load(struct saved_state *saved, struct rwkv7_session *session,
                                   const struct rwkv7_tokenizer *tokenizer, const char *path,
                                   const struct rwkv7_bytes *image, struct rwkv7_error *err)
{
    const char *const name = path ? path : IN_MEMORY;
    *saved = (struct saved_state){0};
    enum rwkv7_status status = path ? rwkv7_session_load(session, path, &saved->all, err)
                                    : rwkv7_session_load_memory(session, image->data, image->size, &saved->all, err);
    if (status == RWKV7_OK)
        status = find_pieces(saved, name, err);
    if (status == RWKV7_OK)
        status = check_vocabulary(&saved->piece[SAVED_VOCABULARY], tokenizer, name, err);
    if (status != RWKV7_OK)
        saved_state_free(saved);
    return status;
}

void saved_state_free(struct saved_state *saved)
{
    rwkv7_bytes_clear(&saved->all);
    *saved = (struct saved_state){0};
}

uint32_t saved_state_token(const struct saved_state *saved, size_t i)
{
    uint32_t id;
    memcpy(&id, (const char *)saved->piece[SAVED_PENDING].data + i * sizeof id, sizeof id);
    return id;
}

bool saved_state_is_consistent(const struct saved_state *saved, const struct rwkv7_tokenizer *tokenizer)
{
    const size_t size = saved->piece[SAVED_PENDING].size;
    size_t bytes = 0, length;
    for (size_t i = 0; i < size / sizeof(uint32_t); i++) {
        rwkv7_tokenizer_bytes(tokenizer, saved_state_token(saved, i), &length);
        bytes += length;
    }
    return size == 0 ||
           (size % sizeof(uint32_t) == 0 && bytes == saved->piece[SAVED_SHOWN].size + saved->piece[SAVED_HELD].size);
}
