/*
 * small_model.h - a random model with a small vocabulary, for tests of src/generate. The vocabulary
 * has tokens with common prefixes, incomplete characters, an end of text (id 0), and fewer ids than
 * the model has rows.
 */
#ifndef SMALL_MODEL_H
#define SMALL_MODEL_H

#include <stdlib.h>

#include "rwkv7.h"
#include "test.h"

enum { VOCAB = 70, WITH_TEXT = 53 /* ids 1 to 52 have text, the others none */ };

/*
 * Guesses per evaluation (rwkv7_generator_options.speculate). Some tests are compiled a second time
 * with guesses, which must change nothing.
 */
#ifndef SPECULATE
#define SPECULATE 0
#endif

static struct rwkv7_runtime *rt;
static int small_model_threads = 1; /* threads of rt; set before open_small_model */
static struct rwkv7_model *model;
static struct rwkv7_tokenizer *tokenizer;

static const struct rwkv7_sampler_options sampling = {.temperature = 1.0f,
                                                      .top_p = 1.0f,
                                                      .presence_penalty = 0.3f,
                                                      .frequency_penalty = 0.2f,
                                                      .penalty_decay = 0.99f,
                                                      .seed = 7};

static void open_small_model(void)
{
    static const struct rwkv7_shape shape = {.vocab = VOCAB,
                                             .layers = 2,
                                             .channels = 64,
                                             .heads = 1,
                                             .head_size = 64,
                                             .ffn = 128,
                                             .rank_w = 8,
                                             .rank_a = 8,
                                             .rank_v = 8,
                                             .rank_g = 8};
    static const char *const others[] = {"' '", "'\\n'", "'ab'", "'abc'", "'bc'", "'the'", "'th'", "'e '", "'. '",
                                         "'U'", "'A'",   "':'",  "'S'",   "'('",  "')'",   "'<'",  "'/'"};
    const struct rwkv7_runtime_options machine = {.threads = small_model_threads};
    const struct rwkv7_random_options random = {.type = RWKV7_F32, .seed = 3};
    char text[4096];
    size_t used = 0;
    int id = 1;
    for (char c = 'a'; c <= 'z'; c++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d '%c' 1\n", id++, c);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d %s %d\n", id++, others[i],
                                 others[i][1] == '\\' ? 1 : (int)strlen(others[i]) - 2);
    /* parts of e with acute accent and of the euro sign, and the complete euro sign */
    static const char *const bytes[] = {"c3", "a9", "e2", "82", "ac"};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d b'\\x%s' 1\n", id++, bytes[i]);
    for (; id < WITH_TEXT; id++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d 'long%d' 5\n", id, id % 10);
    CHECK(rwkv7_runtime_create(&machine, &rt, NULL) == RWKV7_OK);
    CHECK(rwkv7_model_random(rt, &shape, &random, &model, NULL) == RWKV7_OK);
    struct rwkv7_error err = {.message = ""};
    CHECK_MSG(rwkv7_tokenizer_open_memory(text, used, "test", &tokenizer, &err) == RWKV7_OK, "%s", err.message);
}

static void close_small_model(void)
{
    rwkv7_tokenizer_close(tokenizer);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);
}

static struct rwkv7_session *new_session(void)
{
    struct rwkv7_session *s = NULL;
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    return s;
}

/* A growing text. */
struct text {
    char at[8192];
    size_t size;
};

static inline void add(struct text *t, const char *text, size_t length)
{
    CHECK(length < sizeof t->at - t->size);
    memcpy(t->at + t->size, text, length);
    t->size += length;
    t->at[t->size] = '\0';
}

#endif
