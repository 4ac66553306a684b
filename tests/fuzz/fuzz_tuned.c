/*
 * fuzz_tuned.c - any bytes as a tuned state (safetensors, .pth, GGUF) of a small model, in either
 * orientation: either a complete message, or a complete state. Runs under libFuzzer and, over the
 * corpus, under replay.c.
 */
#include "fuzz.h"

enum { LAYERS = 2, CHANNELS = 4, N = 2, FLOATS = LAYERS * CHANNELS * (2 + N) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rwkv7_session *session;
    static const enum rwkv7_state_order orders[] = {RWKV7_STATE_AS_STATED, RWKV7_STATE_VALUE_KEY,
                                                    RWKV7_STATE_KEY_VALUE};
    const char *const path = fuzz_file("tuned", data, size);
    if (!session)
        session = fuzz_session(LAYERS, CHANNELS, N);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        float state[FLOATS];
        struct rwkv7_error err = {0};
        const enum rwkv7_status status = rwkv7_session_load_tuned(session, path, orders[i], &err);
        if (status != RWKV7_OK) {
            REQUIRE(status == RWKV7_ERR_MODEL || status == RWKV7_ERR_STATE || (status == RWKV7_ERR_USAGE && i == 0));
            REQUIRE(strncmp(err.message, path, 10) == 0);
            if (status == RWKV7_ERR_MODEL)
                break; /* not a file of tensors: no orientation changes that */
            continue;
        }
        rwkv7_session_get_state(session, state, state + LAYERS * CHANNELS, state + LAYERS * CHANNELS * (1 + N));
        for (int k = 0; k < LAYERS * CHANNELS; k++)
            REQUIRE(state[k] == 0 &&
                    state[LAYERS * CHANNELS * (1 + N) + k] == 0); /* such a file contains no token shifts */
    }
    return 0;
}
