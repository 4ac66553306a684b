/* vocab.h - a vocabulary in the World format as data: the bytes of every token id. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include "base/status.h"

#define VOCAB_MAX_FILE (16u << 20) /* bytes; the World vocabulary has 1.1 million */
#define VOCAB_MAX_IDS (1u << 20)   /* all ids are below this */
#define VOCAB_MAX_TOKEN 1024u      /* bytes; limits how far ahead the tokenizer looks */

struct vocab {
    uint32_t size;   /* largest id + 1 */
    uint32_t tokens; /* number of ids that have an entry, at least 1 */
    uint32_t longest;
    uint32_t
        *start; /* [size + 1]: token i is bytes[start[i]] .. bytes[start[i + 1] - 1]; empty for ids without an entry */
    uint8_t *bytes; /* [start[size]] */
};

/*
 * Reads and validates `text`. Errors are RWKV7_ERR_VOCAB with a message "NAME:LINE: ...". Duplicate
 * tokens are not detected here but by trie_build.
 */
enum rwkv7_status vocab_read(const char *text, size_t size, const char *name, struct vocab *out,
                             struct rwkv7_error *err);
void vocab_free(struct vocab *v); /* harmless on a zeroed struct */

/* Returns the line that defines an id: each line defines one, in increasing order. */
uint32_t vocab_line(const struct vocab *v, uint32_t id);

#endif
