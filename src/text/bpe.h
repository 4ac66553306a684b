/*
 * bpe.h - byte-level BPE: the tables of a merge list, and one word to ids.
 *
 * The bytes of a word are single-byte tokens. Of all neighbours that a merge exists for, those of the lowest rank become one
 * token (the leftmost of equals), until there are none. No merge crosses the border of two tokens of the result, so what
 * follows such a border has the same ids when it stands alone: a text can be cut there.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include "text/vocab.h"

#define BPE_MAX_SPACES 64u /* the longest run of spaces that may be one token */

struct bpe_merge {
    uint32_t left, right, merged; /* ids */
};

struct bpe_special {
    char text[32];
    uint32_t length, id;
};

/* What a tokenizer.json says beside the bytes of its tokens. */
struct bpe_rules {
    struct bpe_merge *merges; /* [merge_count], by rank */
    uint32_t merge_count;
    uint32_t byte_id[256];                 /* the token of a byte; VOCAB_MAX_IDS for bytes that UTF-8 never has */
    uint32_t space_id[BPE_MAX_SPACES + 1]; /* the token of a run of 2 .. most_spaces spaces */
    uint32_t most_spaces;                  /* 0: runs of spaces are not special */
    struct bpe_special special[4];         /* tokens that are recognised in the text and have none of their own */
    uint32_t special_count;
};

struct bpe_pair {
    uint64_t key; /* left << 32 | right, plus 1; 0: empty */
    uint32_t rank;
};

struct bpe {
    struct bpe_rules rules;
    struct bpe_pair *pairs; /* [pair_mask + 1]: a hash table of all merges */
    uint32_t pair_mask;
    uint32_t *
        words; /* [word_mask + 1]: a hash table of the tokens that a word of the same bytes becomes; id + 1, 0: empty */
    uint32_t word_mask;
};

/* One token of a word, and where it ends. */
struct bpe_token {
    uint32_t id, end;
};

/* Room for words of any length up to `size`. */
struct bpe_scratch {
    struct bpe_node *nodes; /* [size] */
    uint64_t *heap;         /* [2 * size] */
    struct bpe_token *out;  /* [size] the result */
    uint32_t size;
};

/* Takes the rules over, also when it fails. */
enum rwkv7_status bpe_build(const struct vocab *v, struct bpe_rules *rules, const char *name, struct bpe **out,
                            struct rwkv7_error *err);
void bpe_free(struct bpe *b);
void bpe_rules_free(struct bpe_rules *r);

bool bpe_scratch_open(struct bpe_scratch *s, uint32_t size);
void bpe_scratch_close(struct bpe_scratch *s);

/* The tokens of a word of 1 to s->size bytes, in s->out; returns how many. */
uint32_t bpe_word(const struct bpe *b, const struct vocab *v, const uint8_t *word, uint32_t size,
                  struct bpe_scratch *s);

/*
 * The whole encoding, as rwkv7_tokenizer_encode promises it (bpe_encode.c). With `final` false fewer than BPE_HELD bytes of the text
 * stay uncovered, however long its words are.
 */
#define BPE_HELD (32u << 10)
enum rwkv7_status bpe_encode(const struct bpe *b, const struct vocab *v, const uint8_t *text, size_t size, bool final,
                             uint32_t *ids, size_t room, size_t *count, size_t *covered, struct rwkv7_error *err);

#endif
