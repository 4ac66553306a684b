/* state.h - the state that all requests of a server share. */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include <stdatomic.h>

#include "server/fields.h"
#include "server/metrics.h"
#include "server/server.h"

#define SERVER_NAME_ROOM 128

struct worker;
struct session_store;

struct server {
    const struct server_options *options;
    char name[SERVER_NAME_ROOM]; /* of the model */
    char fingerprint[40];        /* of the model and the math */
    const char *end_text;        /* stands for token 0; NULL: token 0 has a text of its own */
    int64_t started;             /* seconds since 1970 */
    struct worker *worker;
    struct session_store *store;       /* NULL: no sessions */
    atomic_uint_least64_t cache_bytes; /* of the states of prompts */
    struct metrics metrics;
    atomic_bool draining;      /* no new requests */
    atomic_uint_least64_t ids; /* state of the id generator */
};

#define ID_DIGITS 16
/* Writes a unique id: 16 hexadecimal digits. */
void server_new_id(struct server *s, char digits[ID_DIGITS + 1]);

/*
 * Returns the bytes of a token that clients see: those of the vocabulary, or end_text for token 0.
 */
const char *server_token_text(const struct server *s, uint32_t id, size_t *size);

enum encode_start {
    ENCODE_TEXT,     /* the text only */
    ENCODE_NAMED,    /* end_text at the start becomes token 0 */
    ENCODE_AFTER_END /* token 0, then the text */
};
/*
 * Tokenizes a text. *ids [*count] is allocated by mem_alloc and set only on success.
 * RWKV7_ERR_VOCAB: a byte has no token.
 */
enum rwkv7_status server_encode(const struct server *s, const char *text, size_t size, enum encode_start start,
                                uint32_t **ids, size_t *count, struct rwkv7_error *err);

/* Reads a list of token ids. *ids [*count] is allocated by mem_alloc; NULL after an error (*e). */
bool server_read_ids(const struct server *s, const cJSON *list, const char *param, uint32_t **ids, size_t *count,
                     struct api_error *e);

#endif
