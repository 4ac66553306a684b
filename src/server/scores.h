/* scores.h - log probabilities of tokens, and their two forms in OpenAI's API. */
#ifndef SERVER_SCORES_H
#define SERVER_SCORES_H

#include "server/state.h"
#include "server/text.h"

struct score {
    double logprob;
    uint32_t id;
    bool known; /* false for the first token of a text: it has no probability */
};

/* The scores of tokens [count], and the `width` most probable tokens at each position. */
struct scores {
    struct score *at;
    struct rwkv7_logprob *top; /* [count][width], most probable first */
    size_t count, room, width;
    bool failed; /* out of memory */
};

void scores_add(struct scores *s, struct score score, const struct rwkv7_logprob *top, size_t top_count);
void scores_clear(struct scores *s); /* empties it; keeps the memory and the width */
void scores_free(struct scores *s);

/*
 * Adds the member "logprobs" of a completion: the scores of `prompt` (may be NULL), then those of
 * `text`. *offset: characters before the first token; updated.
 */
void scores_completion(const struct server *server, const struct scores *prompt, const struct scores *text,
                       size_t *offset, struct json_tree *t, cJSON *to);
/* The same for a chat. */
void scores_chat(const struct server *server, const struct scores *text, struct json_tree *t, cJSON *to);

/* Adds the member "piece": the text of a token, or its bytes if that is not valid UTF-8. */
void scores_add_piece(struct json_tree *t, cJSON *to, const char *text, size_t size);

#endif
