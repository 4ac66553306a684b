/*
 * fuzz_sampler.c - any options, biases and logits: either an error with a message, or tokens that
 * exist, are not banned, and are the same after saving and restoring the sampler. NaN and +infinity
 * in the logits are rejected. Input: the options as floats and integers, then logits. Runs under
 * libFuzzer and, over the corpus, under replay.c.
 */
#include <math.h>

#include "fuzz.h"

enum { DRAWS = 4, MOST = 300 };

struct input {
    const uint8_t *at;
    size_t left;
};

static void take(struct input *in, void *to, size_t size)
{
    memset(to, 0, size);
    const size_t n = size < in->left ? size : in->left;
    if (n > 0)
        memcpy(to, in->at, n);
    in->at += n;
    in->left -= n;
}

/* Half of the values are plain fractions; otherwise nearly all options would be rejected. */
static float take_float(struct input *in, float most)
{
    uint8_t kind;
    uint16_t part;
    float x;
    take(in, &kind, 1);
    if (kind & 1) {
        take(in, &x, sizeof x);
        return x;
    }
    take(in, &part, sizeof part);
    return most * (float)part / 65535.0f;
}

static bool is_drawable(const float *logits, int vocab)
{
    float best = -INFINITY;
    for (int i = 0; i < vocab; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return false;
        best = fmaxf(best, logits[i]);
    }
    return best > -INFINITY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float logits[MOST];
    struct input in = {data, size};
    struct rwkv7_sampler_options opt = {0};
    struct rwkv7_token_bias biases[4];
    struct rwkv7_sampler *s = NULL, *again = NULL;
    struct rwkv7_error err = {.message = ""};
    struct rwkv7_bytes note = {0};
    uint8_t bias_count, k;
    opt.temperature = take_float(&in, 2);
    opt.top_p = take_float(&in, 1);
    opt.min_p = take_float(&in, 1);
    opt.presence_penalty = take_float(&in, 2);
    opt.frequency_penalty = take_float(&in, 2);
    opt.penalty_decay = take_float(&in, 1);
    take(&in, &k, 1);
    opt.top_k = k - 8;
    opt.top_k = opt.top_k < 0 && k > 0 ? 0 : opt.top_k;
    take(&in, &opt.seed, sizeof opt.seed);
    take(&in, &bias_count, 1);
    opt.bias_count = bias_count % 5;
    for (size_t i = 0; i < opt.bias_count; i++) {
        take(&in, &k, 1);
        biases[i].id = k;
        biases[i].bias = k & 1 ? -INFINITY : take_float(&in, 4);
    }
    opt.biases = biases;
    int vocab = (int)(in.left / sizeof *logits);
    vocab = vocab > MOST ? MOST : vocab;
    take(&in, logits, (size_t)vocab * sizeof *logits);

    if (rwkv7_sampler_create(&opt, vocab, NULL, &s, &err) != RWKV7_OK) {
        REQUIRE(!s && err.status == RWKV7_ERR_USAGE && err.message[0]);
        return 0;
    }
    REQUIRE(rwkv7_sampler_create(&opt, vocab, NULL, &again, NULL) == RWKV7_OK);
    for (int draw = 0; draw < DRAWS; draw++) {
        uint32_t id = 0, same = 0;
        const enum rwkv7_status status = rwkv7_sampler_next(s, logits, &id, &err);
        if (status == RWKV7_OK) {
            REQUIRE(id < (uint32_t)vocab && logits[id] > -INFINITY);
            for (size_t i = 0; i < opt.bias_count; i++)
                REQUIRE(biases[i].id != id || biases[i].bias > -INFINITY);
        } else {
            REQUIRE(status == RWKV7_ERR_NUMERIC && err.message[0]);
            REQUIRE(!is_drawable(logits, vocab) || opt.bias_count > 0 || opt.presence_penalty != 0 ||
                    opt.frequency_penalty != 0);
        }
        /* The second sampler, which may have drawn other tokens, takes the state of the first. */
        REQUIRE(rwkv7_sampler_next(again, logits, &same, NULL) == status && same == id);
        REQUIRE(rwkv7_sampler_save_memory(s, &note, NULL) == RWKV7_OK);
        REQUIRE(rwkv7_sampler_load_memory(again, note.data, note.size, NULL) == RWKV7_OK);
        rwkv7_bytes_clear(&note);
    }
    /* Any bytes as a saved state: rejected, or the sampler can draw. */
    note = (struct rwkv7_bytes){malloc(size + 1), size};
    REQUIRE(note.data);
    if (size > 0)
        memcpy(note.data, data, size);
    uint32_t id = 0;
    if (rwkv7_sampler_load_memory(again, note.data, note.size, &err) == RWKV7_OK)
        REQUIRE(rwkv7_sampler_next(again, logits, &id, NULL) != RWKV7_OK || id < (uint32_t)vocab);
    else
        REQUIRE(err.message[0]);
    free(note.data);
    rwkv7_sampler_close(again);
    rwkv7_sampler_close(s);
    return 0;
}
