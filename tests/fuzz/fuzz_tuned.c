/*
 * fuzz_tuned.c - any bytes as a tuned state (safetensors, .pth, GGUF) of a small model, in each order: either a complete message, or a
 * state of which every number is there. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

#include "rwkv7.h"

enum { LAYERS = 2, CHANNELS = 4, N = 2, FLOATS = LAYERS * CHANNELS * (2 + N) };

static struct rwkv7_session *open_session(void)
{
    const struct rwkv7_runtime_options threads = {.threads = 1};
    const struct rwkv7_random_options options = {.type = RWKV7_F32};
    const struct rwkv7_shape shape = {.vocab = 8,
                                      .layers = LAYERS,
                                      .channels = CHANNELS,
                                      .heads = CHANNELS / N,
                                      .head_size = N,
                                      .ffn = 4,
                                      .rank_w = 1,
                                      .rank_a = 1,
                                      .rank_v = 1,
                                      .rank_g = 1};
    static struct rwkv7_runtime *rt;
    static struct rwkv7_model *model;
    struct rwkv7_session *session = NULL;
    REQUIRE(rwkv7_runtime_create(&threads, &rt, NULL) == RWKV7_OK);
    REQUIRE(rwkv7_model_random(rt, &shape, &options, &model, NULL) == RWKV7_OK);
    REQUIRE(rwkv7_session_create(model, &session, NULL) == RWKV7_OK);
    return session;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rwkv7_session *session;
    static const enum rwkv7_state_order orders[] = {RWKV7_STATE_AS_STATED, RWKV7_STATE_VALUE_KEY,
                                                    RWKV7_STATE_KEY_VALUE};
    const char *const path = fuzz_file("tuned", data, size);
    if (!session)
        session = open_session();
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        float state[FLOATS];
        struct rwkv7_error err = {0};
        const enum rwkv7_status status = rwkv7_session_load_tuned(session, path, orders[i], &err);
        if (status != RWKV7_OK) {
            REQUIRE(status == RWKV7_ERR_MODEL || status == RWKV7_ERR_STATE || (status == RWKV7_ERR_USAGE && i == 0));
            REQUIRE(strncmp(err.message, path, 10) == 0);
            continue;
        }
        rwkv7_session_get_state(session, state, state + LAYERS * CHANNELS, state + LAYERS * CHANNELS * (1 + N));
        for (int k = 0; k < LAYERS * CHANNELS; k++)
            REQUIRE(state[k] == 0 && state[LAYERS * CHANNELS * (1 + N) + k] == 0); /* shifts are not in such a file */
    }
    return 0;
}
