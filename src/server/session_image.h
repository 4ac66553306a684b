/*
 * session_image.h - session texts as state files, the format of `rwkv7 run --state-out`
 * (docs/FORMATS.md). The program continues such a file with --state-in.
 *
 * A text that begins at the start of a document is also a saved conversation of `rwkv7 chat`:
 *
 *     {"tokens": [...], "unread": "...", "turns": [{"user", "begin", "unread"}, ...],
 *      "server": {"log": [...], "unread", "history", "gap",
 *                 "turns": [{"tokens", "unread", "history", "gap", "user"}, ...]}}
 *
 * "server" has what this server needs to continue and undo exactly; the program ignores it. The
 * states before turns are not saved.
 */
#ifndef SERVER_SESSION_IMAGE_H
#define SERVER_SESSION_IMAGE_H

#include "server/session_text.h"

struct session_context {
    const struct rwkv7_session *start; /* the first state of texts without a base */
    bool start_is_plain;               /* it is the start of a document, not a tuned state */
    const struct rwkv7_tokenizer *tokenizer;
    atomic_uint_least64_t *bytes; /* for snapshots */
};

enum rwkv7_status session_image_save(const struct session_text *t, const struct session_context *c,
                                     struct rwkv7_bytes *image, struct rwkv7_error *err);
/*
 * Loads an untrusted image. RWKV7_ERR_STATE: damaged, or of another model or vocabulary. On failure
 * *t is empty.
 */
enum rwkv7_status session_image_load(struct session_text *t, const struct session_context *c, const void *image,
                                     size_t size, struct rwkv7_error *err);
/* Loads a tuned state: a .pth or safetensors file. */
enum rwkv7_status session_image_load_tuned(struct session_text *t, const struct session_context *c, const void *file,
                                           size_t size, enum rwkv7_state_order order, struct rwkv7_error *err);
/* Returns whether the bytes begin as a state file. */
bool session_image_is_state(const void *image, size_t size);

#endif
