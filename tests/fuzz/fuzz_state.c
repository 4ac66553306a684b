/*
 * fuzz_state.c - any bytes as a saved state of a small model: either a complete message and an
 * unchanged session, or a state with its note that is saved again as the same bytes. Hardly any
 * input has a valid checksum, so each input is also tried with a corrected checksum and
 * fingerprint. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

enum { LAYERS = 1, CHANNELS = 4, N = 2, HEADER = 56, FINGERPRINT = 32, FLOATS = LAYERS * CHANNELS * (2 + N) };

static struct rwkv7_session *session;
static uint8_t fingerprint[16];

/* As state_file.c defines it. */
static uint64_t checksum(const uint8_t *data, size_t size)
{
    uint64_t low = 1, high = 0;
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t word;
        memcpy(&word, data + i, sizeof word);
        low += word;
        high += low;
    }
    return high * 0x9e3779b97f4a7c15u ^ low;
}

static void open_session(void)
{
    enum { SIZE = HEADER + FLOATS * sizeof(float) + 8 };
    struct rwkv7_bytes own;
    session = fuzz_session(LAYERS, CHANNELS, N);
    REQUIRE(rwkv7_session_save_memory(session, NULL, &own, NULL) == RWKV7_OK && own.size == SIZE);
    const uint8_t *const bytes = own.data;
    memcpy(fingerprint, bytes + FINGERPRINT, sizeof fingerprint);
    const uint64_t sum = checksum(bytes, SIZE - sizeof sum);
    REQUIRE(memcmp(bytes + SIZE - sizeof sum, &sum, sizeof sum) == 0);
    rwkv7_bytes_clear(&own);
}

static void get_state(float *to)
{
    rwkv7_session_get_state(session, to, to + LAYERS * CHANNELS, to + LAYERS * CHANNELS * (1 + N));
}

static void check_saved(const uint8_t *data, size_t size, const struct rwkv7_bytes *note)
{
    struct rwkv7_bytes again;
    REQUIRE(rwkv7_session_save_memory(session, note, &again, NULL) == RWKV7_OK && again.size == size);
    /* The padding after the note is not checked when loading, so it and the checksum may differ. */
    REQUIRE(memcmp(again.data, data, HEADER + FLOATS * sizeof(float) + note->size) == 0);
    rwkv7_bytes_clear(&again);
}

static void load(const uint8_t *data, size_t size)
{
    float before[FLOATS], after[FLOATS];
    struct rwkv7_bytes note;
    struct rwkv7_error err = {0};
    get_state(before);
    if (rwkv7_session_load_memory(session, data, size, &note, &err) == RWKV7_OK) {
        REQUIRE(note.data && note.size <= size);
        check_saved(data, size, &note);
        rwkv7_bytes_clear(&note);
        return;
    }
    get_state(after);
    REQUIRE(!note.data && memcmp(before, after, sizeof before) == 0);
    REQUIRE(err.status == RWKV7_ERR_STATE && strncmp(err.message, "a state in memory", 17) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!session)
        open_session();
    load(data, size);
    if (size < HEADER + 8)
        return 0;
    uint8_t *const right = malloc(size);
    REQUIRE(right);
    memcpy(right, data, size);
    memcpy(right + FINGERPRINT, fingerprint, sizeof fingerprint);
    const uint64_t sum = checksum(right, size - sizeof sum);
    memcpy(right + size - sizeof sum, &sum, sizeof sum);
    load(right, size);
    free(right);
    return 0;
}
