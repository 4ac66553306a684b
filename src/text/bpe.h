/*
 * bpe.h - byte-level BPE: the tables of a merge list, and the encoding of one word.
 *
 * A word starts as single-byte tokens, one per byte. As long as any neighbours can be merged, the
 * pair of the lowest rank (of equals, the leftmost) becomes one token. No merge crosses a token
 * boundary of the result. So a text can be split there: the part after the boundary has the same
 * ids when it is encoded alone.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/vocab.h"

#define BPE_MAX_SPACES 64u /* longest run of spaces that is one token */

struct bpe_merge {
    uint32_t left, right, merged; /* ids */
};

struct bpe_special {
    char text[32];
    uint32_t length, id;
};

/* The contents of a tokenizer.json besides the bytes of its tokens. */
struct bpe_rules {
    struct bpe_merge *merges; /* [merge_count], by rank */
    uint32_t merge_count;
    uint32_t byte_id[256]; /* the token of each byte; VOCAB_MAX_IDS for bytes that never occur in UTF-8 */
    uint32_t space_id[BPE_MAX_SPACES + 1]; /* the token of a run of 2 .. most_spaces spaces */
    uint32_t most_spaces;                  /* 0: runs of spaces are ordinary text */
    struct bpe_special special[4];         /* tokens recognised in the input; they have no text in the output */
    uint32_t special_count;
};

struct bpe_pair {
    uint64_t key; /* (left << 32 | right) + 1; 0: empty */
    uint32_t rank;
};

struct bpe {
    struct bpe_rules rules;
    struct bpe_pair *pairs; /* [pair_mask + 1]: hash table of all merges */
    uint32_t pair_mask;
    uint32_t *words; /* [word_mask + 1]: hash table of tokens that merges make of their bytes: id + 1, or 0 */
    uint32_t word_mask;
};

/* One token of an encoded word, and the offset of its end. */
struct bpe_token {
    uint32_t id, end;
};

/* Scratch memory for words of up to `size` bytes. */
struct bpe_scratch {
    struct bpe_node *nodes; /* [size] */
    uint64_t *heap;         /* [2 * size] */
    struct bpe_token *out;  /* [size]: the result */
    uint32_t size;
};

/*
 * Builds the tables. Takes ownership of the contents of `rules`, on failure too. `name` appears in
 * messages.
 */
enum rwkv7_status bpe_build(const struct vocab *v, struct bpe_rules *rules, const char *name, struct bpe **out,
                            struct rwkv7_error *err);
void bpe_free(struct bpe *b);
void bpe_rules_free(struct bpe_rules *r);

bool bpe_scratch_open(struct bpe_scratch *s, uint32_t size);
void bpe_scratch_close(struct bpe_scratch *s);

/* Encodes a word of 1 to s->size bytes into s->out; returns the number of tokens. */
uint32_t bpe_word(const struct bpe *b, const struct vocab *v, const uint8_t *word, uint32_t size,
                  struct bpe_scratch *s);

/*
 * Encodes a text as specified for rwkv7_tokenizer_encode (bpe_encode.c). If `final` is false, fewer
 * than BPE_HELD bytes at the end of the text stay unencoded, however long its words are.
 */
#define BPE_HELD (32u << 10)
enum rwkv7_status bpe_encode(const struct bpe *b, const struct vocab *v, const uint8_t *text, size_t size, bool final,
                             uint32_t *ids, size_t room, size_t *count, size_t *covered, struct rwkv7_error *err);

#endif
