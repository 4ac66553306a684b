/*
 * session_store.h - the named states and sessions of a server. Both are session texts; a session is
 * one that requests append to.
 *
 * Texts are kept in memory up to a limit. Beyond it, the least recently used ones lose their states
 * for undo, then they are saved in a folder, as ID.state, or dropped if there is none. The name of
 * a dropped text is remembered, so that a client learns of it instead of talking to a new session.
 * A file is removed only when its text is deleted by a request.
 *
 * A stored answer is a text that never changes: requests continue from it, and it stays as it is.
 * Answers are kept in memory only. While the limit is exceeded, the least recently used answer is
 * dropped and forgotten if answers take more than half of the limit; else a session is put away.
 *
 * Any thread may call these functions. They wait while a text is saved or loaded, also by another
 * thread, except for session_store_count and session_store_bytes, which never wait.
 */
#ifndef SERVER_SESSION_STORE_H
#define SERVER_SESSION_STORE_H

#include "server/errors.h"
#include "server/server.h"
#include "server/session_image.h"

enum { SESSION_ID = 64 }; /* maximum length of a name */

struct session_store;

/* RWKV7_ERR_USAGE: the limit is too small for the model. RWKV7_ERR_IO: the folder is unusable. */
enum rwkv7_status session_store_open(const struct server_options *o, struct session_store **out,
                                     struct rwkv7_error *err);
/* Saves what has changed, if there is a folder. No text may be taken. */
void session_store_close(struct session_store *s);
const struct session_context *session_store_context(const struct session_store *s);
size_t session_store_count(const struct session_store *s);   /* texts in memory */
uint64_t session_store_bytes(const struct session_store *s); /* their bytes */

/* Returns whether the name is valid: 1 to 64 of A-Z a-z 0-9 . _ -, but neither "." nor "..". */
bool session_id_is_valid(const char *id);

/*
 * Copies a text into *out. Statuses of errors: 400 invalid name, or damaged file; 404 not found or
 * dropped.
 */
bool session_store_get(struct session_store *s, const char *id, struct session_text *out, struct api_error *e);
/*
 * The same, and takes it until it is returned: 409 if it is taken. create: a text that does not
 * exist is created, empty. *created: whether it was; may be NULL.
 */
bool session_store_take(struct session_store *s, const char *id, bool create, struct session_text *out, bool *created,
                        struct api_error *e);
/* Returns a taken text. *text: what it is now, taken over; NULL: unchanged, or gone if new. */
void session_store_return(struct session_store *s, const char *id, struct session_text *text);
/*
 * Stores a text, which is taken over, also on failure. must_be_new: 400 if the name exists. 409:
 * the old text is taken.
 */
bool session_store_put(struct session_store *s, const char *id, bool must_be_new, struct session_text *text,
                       struct api_error *e);
bool session_store_delete(struct session_store *s, const char *id, struct api_error *e);

/*
 * Hashes of the system prompt and of the tools that a conversation has read last; 0: none. A request
 * that continues an answer repeats them as a rule, and they are not read again.
 */
struct session_intro {
    uint64_t system, tools;
};

/* Stores a copy of the text as an answer, under a new name. It cannot be undone. */
bool session_store_put_answer(struct session_store *s, const char *id, const struct session_text *text,
                              const struct session_intro *intro, struct api_error *e);
/* As session_store_get and session_store_delete, for answers only; 404: there is no such answer. */
bool session_store_get_answer(struct session_store *s, const char *id, struct session_text *out,
                              struct session_intro *intro, struct api_error *e);
bool session_store_delete_answer(struct session_store *s, const char *id, struct api_error *e);

struct session_info {
    const char *id;
    uint64_t tokens, turns; /* of a text in memory */
    uint64_t bytes;         /* of the file, if on_disk */
    bool busy;
    bool on_disk; /* not in memory: tokens and turns are unknown */
};
/* Calls `show` for every text, in no order. */
void session_store_list(struct session_store *s, void (*show)(void *arg, const struct session_info *info), void *arg);

#endif
