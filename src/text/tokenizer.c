/*
 * tokenizer.c - the tokenizer, for two kinds of vocabulary: World (this file) and byte-level BPE
 * (bpe.h). The first bytes of the vocabulary file select the kind. Both decode ids with a table.
 *
 * World encodes by greedy longest match, without regard to characters or words: at each position it
 * takes the longest token that is a prefix of the remaining text. It looks ahead at most as far as
 * the longest token, so the time is linear for every input.
 */
#include "text/tokenizer.h"
#include "base/mem.h"
#include "base/sys.h"
#include "text/bpe.h"
#include "text/tokenizer_json.h"
#include "text/trie.h"
#include "text/vocab.h"

/*
 * A model may have up to this many more rows than the vocabulary has ids: training programs round
 * the rows up to a multiple of up to 1024, and fine-tuning adds some. A larger difference means
 * that the vocabulary belongs to another model.
 */
#define PADDING 1024

struct rwkv7_tokenizer {
    struct vocab vocab;
    struct trie_cell *trie; /* for World; else NULL */
    struct bpe *bpe;        /* for byte-level BPE; else NULL */
    struct lazy *lazy;
};

/* Data built on first use, under a lock, because threads share the tokenizer as a constant. */
struct lazy {
    struct fork_lock lock; /* of the tree */
    struct vocab_tree tree;
    struct tokenizer_cache cache;
};

enum rwkv7_status rwkv7_tokenizer_open(const char *path, struct rwkv7_tokenizer **out, struct rwkv7_error *err)
{
    struct file_map map;
    *out = NULL;
    enum rwkv7_status status = file_map_open(path, &map, err);
    if (status != RWKV7_OK)
        return status;
    /*
     * Copied, because another process may change a mapped file during parsing. Files that are empty
     * or too large are not copied; the readers reject them.
     */
    char *const copy = map.size <= VOCAB_MAX_FILE ? mem_string((const char *)map.data, map.size) : NULL;
    status = copy || map.size > VOCAB_MAX_FILE
                 ? rwkv7_tokenizer_open_memory(copy ? copy : (const char *)map.data, map.size, path, out, err)
                 : fail_memory(err, "the vocabulary");
    mem_free(copy);
    file_map_close(&map);
    return status;
}

enum rwkv7_status rwkv7_tokenizer_open_memory(const char *text, size_t size, const char *name,
                                              struct rwkv7_tokenizer **out, struct rwkv7_error *err)
{
    *out = NULL;
    struct rwkv7_tokenizer *t = mem_alloc(1, sizeof *t);
    if (!t)
        return fail_memory(err, "the tokenizer");
    t->lazy = mem_alloc(1, sizeof *t->lazy);
    if (!t->lazy) {
        mem_free(t);
        return fail_memory(err, "the tokenizer");
    }
    fork_lock_init(&t->lazy->lock);
    fork_lock_init(&t->lazy->cache.lock);
    enum rwkv7_status status;
    if (tokenizer_json_is(text, size)) {
        struct bpe_rules rules;
        status = tokenizer_json_read(text, size, name, &t->vocab, &rules, err);
        if (status == RWKV7_OK)
            status = bpe_build(&t->vocab, &rules, name, &t->bpe, err);
    } else {
        status = vocab_read(text, size, name, &t->vocab, err);
        if (status == RWKV7_OK)
            status = trie_build(&t->vocab, name, &t->trie, err);
    }
    if (status != RWKV7_OK) {
        rwkv7_tokenizer_close(t);
        return status;
    }
    *out = t;
    return RWKV7_OK;
}

void rwkv7_tokenizer_close(struct rwkv7_tokenizer *t)
{
    if (!t)
        return;
    if (t->lazy->cache.free)
        t->lazy->cache.free(t->lazy->cache.data);
    vocab_tree_free(&t->lazy->tree);
    fork_lock_destroy(&t->lazy->cache.lock);
    fork_lock_destroy(&t->lazy->lock);
    mem_free(t->lazy);
    vocab_free(&t->vocab);
    mem_free(t->trie);
    bpe_free(t->bpe);
    mem_free(t);
}

enum rwkv7_status tokenizer_tree(const struct rwkv7_tokenizer *t, const struct vocab_tree **out,
                                 struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    fork_lock_take(&t->lazy->lock);
    if (!t->lazy->tree.nodes)
        status = vocab_tree_build(&t->vocab, &t->lazy->tree, err);
    fork_lock_give(&t->lazy->lock);
    *out = &t->lazy->tree;
    return status;
}

struct tokenizer_cache *tokenizer_cache(const struct rwkv7_tokenizer *t)
{
    return &t->lazy->cache;
}

uint32_t rwkv7_tokenizer_size(const struct rwkv7_tokenizer *t)
{
    return t->vocab.size;
}

size_t rwkv7_tokenizer_max_length(const struct rwkv7_tokenizer *t)
{
    return t->bpe ? BPE_HELD : t->vocab.longest;
}

bool rwkv7_tokenizer_has_end_of_text(const struct rwkv7_tokenizer *t)
{
    return t->vocab.start[1] == 0;
}

const uint8_t *rwkv7_tokenizer_bytes(const struct rwkv7_tokenizer *t, uint32_t id, size_t *length)
{
    const uint32_t *const start = t->vocab.start;
    if (id >= t->vocab.size) {
        *length = 0;
        return t->vocab.bytes;
    }
    *length = start[id + 1] - start[id];
    return t->vocab.bytes + start[id];
}

enum rwkv7_status rwkv7_tokenizer_encode(const struct rwkv7_tokenizer *t, const void *text, size_t size, bool final,
                                         uint32_t *ids, size_t room, size_t *count, size_t *covered,
                                         struct rwkv7_error *err)
{
    if (t->bpe)
        return bpe_encode(t->bpe, &t->vocab, text, size, final, ids, room, count, covered, err);

    enum rwkv7_status status = RWKV7_OK;
    const uint8_t *const first = text;
    const size_t enough = final ? 1 : t->vocab.longest; /* bytes that determine a token */
    size_t at = 0, n = 0;

    while (n < room && size - at >= enough) {
        const uint32_t token = trie_longest(t->trie, first + at, first + size);
        if (token == 0) {
            status = fail(err, RWKV7_ERR_VOCAB, "the vocabulary has no token for byte 0x%02x at offset %zu of the text",
                          first[at], at);
            break;
        }
        ids[n++] = token >> TRIE_LENGTH_BITS;
        at += token & TRIE_LENGTH_MASK;
    }
    *count = n;
    *covered = at;
    return status;
}

enum rwkv7_status rwkv7_tokenizer_check(const struct rwkv7_tokenizer *t, int model_vocab, struct rwkv7_error *err)
{
    const uint32_t size = t->vocab.size, padded = size + PADDING;
    if (model_vocab >= 0 && (uint32_t)model_vocab >= size && (uint32_t)model_vocab <= padded)
        return RWKV7_OK;
    return fail(err, RWKV7_ERR_VOCAB,
                "the vocabulary does not belong to this model: it has ids up to %u, the model %d rows", size - 1,
                model_vocab);
}
