/*
 * prompt_cache.h - a folder of states after prompt prefixes, so that a known prefix is not
 * evaluated again.
 *
 * An entry is a state file. Its name is a hash of the model, the math option and the token ids, and
 * their number. The file also contains the ids, so a hash collision is noticed. There are no locks:
 * entries appear completely (by rename), entries of one name have equal contents, and an entry
 * removed by another process counts as absent.
 */
#ifndef GENERATE_PROMPT_CACHE_H
#define GENERATE_PROMPT_CACHE_H

#include "generate/reading.h"

struct prompt_cache {
    /* Set by the caller: */
    const char *folder;
    uint64_t limit;       /* bytes of all entries */
    enum rwkv7_math math; /* of the runtime; states depend on it */
    /*
     * Called with one line if an entry is broken or cannot be stored; neither is an error. May be
     * NULL.
     */
    void (*warn)(void *arg, const char *message);
    void *warn_arg;

    uint64_t start; /* set by prompt_cache_open: the hash of model and math, without tokens */
};

/*
 * Prepares the cache for a model and creates the folder if needed. Fails with RWKV7_ERR_IO if the
 * folder cannot be used, belongs to another user, or is writable by others: its states are trusted.
 */
enum rwkv7_status prompt_cache_open(struct prompt_cache *c, const struct rwkv7_model *model, struct rwkv7_error *err);

/*
 * Loads the longest known prefix of ids[count], possibly all of them, into a session at the start
 * of a document. Returns its length, 0 if there is none. Removes a broken entry with a warning.
 * Entries contain no logits: for those after the last token, pass count - 1 and evaluate that
 * token.
 */
size_t prompt_cache_find(const struct prompt_cache *c, struct rwkv7_session *s, const uint32_t *ids, size_t count);

/*
 * Stores the state of a session that has evaluated exactly ids[count] from the start of a document.
 * A failure gives a warning only.
 */
void prompt_cache_keep(const struct prompt_cache *c, const struct rwkv7_session *s, const uint32_t *ids, size_t count);

/* Removes the least recently used entries until the rest is within the limit. */
void prompt_cache_trim(const struct prompt_cache *c);

/*
 * Plans at which token counts of a prompt to store the state, in ascending order, between `found`
 * and `count`: at the marks (ends of parts that other prompts may share), near the end (where
 * prompts start to differ), and at doubling distances before the end. Returns the number of
 * entries, at most `room`.
 */
size_t prompt_cache_plan(size_t found, size_t count, const size_t *marks, size_t mark_count, size_t *plan, size_t room);

enum { PROMPT_CACHE_GAP = 64 }; /* minimum tokens between entries: fewer are cheaper to evaluate again */
/*
 * Adds a position to the plan [*n] in order, unless the plan is full or the position is too close to
 * another one or to `found`.
 */
void prompt_cache_consider(size_t place, size_t found, size_t *plan, size_t *n, size_t room);

/*
 * Evaluates a prompt with an open cache: loads the longest known prefix, evaluates the rest and
 * stores the planned states. The session must be at the start of a document. *cached: length of the
 * known prefix. logits, `how` and the result are as for reading_eval.
 */
enum rwkv7_status prompt_cache_read(const struct prompt_cache *c, struct reading *how, struct rwkv7_session *s,
                                    const uint32_t *ids, size_t count, const size_t *marks, size_t mark_count,
                                    float *logits, size_t *cached, struct rwkv7_error *err);

#endif
