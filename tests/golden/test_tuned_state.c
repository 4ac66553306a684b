/*
 * test_tuned_state.c - sessions that start from a tuned state: against the float64 oracle, with
 * the same bits from every file that contains the same state, and with files that must be refused.
 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "test.h"
#include "unit/pth_writer.h"

#define DATA TEST_DIR "/golden/data/f32_n16"
#define TOLERANCE 2e-4f

enum { T = 12, V = 300, L = 4, HNN = 3 * 16 * 16 };

static char temporary[] = "/tmp/rwkv7-test-XXXXXX";
static struct rwkv7_runtime *runtime;
static struct rwkv7_model *model;
static struct rwkv7_session *session;
static struct tensor_index *states; /* DATA.state.safetensors: [L] float32 tensors [H][N][N] */

static struct tensor_index *open_index(const char *path)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err;
    if (tensors_open(path, &index, &err) != RWKV7_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return index;
}

static void evaluate(float logits[T * V])
{
    struct tensor_index *expected = open_index(DATA ".state_expected.safetensors");
    const struct tensor *tokens = tensors_find(expected, "tokens");
    CHECK(rwkv7_session_eval(session, (const uint32_t *)(const void *)tokens->data, T, RWKV7_LOGITS_ALL, logits,
                             NULL) == RWKV7_OK);
    tensors_close(expected);
}

static void check_loads(const char *path, enum rwkv7_state_order order, float logits[T * V])
{
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_session_load_tuned(session, path, order, &err) == RWKV7_OK, "%s", err.message);
    evaluate(logits);
}

/* The file must be refused and the session unchanged. */
static void check_refused(const char *path, enum rwkv7_state_order order, enum rwkv7_status status, const char *message)
{
    static float before[L * HNN], after[L * HNN];
    struct rwkv7_error err = {0};
    rwkv7_session_get_state(session, NULL, before, NULL);
    CHECK(rwkv7_session_load_tuned(session, path, order, &err) == status);
    CHECK_MSG(err.status == status && strstr(err.message, message), "got \"%s\", want \"%s\"", err.message, message);
    rwkv7_session_get_state(session, NULL, after, NULL);
    CHECK(memcmp(before, after, sizeof before) == 0);
}

/* ------------------------------------------------------------------------------------- accepted */

static void test_oracle(void)
{
    static float logits[T * V], again[T * V], zero[T * V];
    struct tensor_index *expected = open_index(DATA ".state_expected.safetensors");
    const float *wanted = (const float *)(const void *)tensors_find(expected, "logits")->data;
    float worst = 0, moved = 0;
    evaluate(zero);
    check_loads(DATA ".state.safetensors", RWKV7_STATE_AS_STATED, logits);
    CHECK(rwkv7_session_tokens(session) == T);
    for (int i = 0; i < T * V; i++) {
        worst = fmaxf(worst, fabsf(logits[i] - wanted[i]));
        moved = fmaxf(moved, fabsf(zero[i] - wanted[i]));
    }
    CHECK_MSG(worst <= TOLERANCE, "error of the logits %g", (double)worst);
    CHECK_MSG(moved > 1, "the state changes the logits by %g only", (double)moved);
    /* Also into a session that is not empty */
    check_loads(DATA ".state.safetensors", RWKV7_STATE_VALUE_KEY, again);
    CHECK(memcmp(logits, again, sizeof logits) == 0);
    rwkv7_session_reset(session);
    evaluate(again);
    CHECK(memcmp(zero, again, sizeof zero) == 0);
    tensors_close(expected);
}

/*
 * float16 [key][value] of a converter, bfloat16 in a .pth, and a state inside a complete
 * checkpoint.
 */
static void test_same_bits(void)
{
    static float logits[T * V], others[T * V];
    static uint16_t narrow[L][HNN];
    struct tensor tensors[L];
    check_loads(DATA ".state.safetensors", RWKV7_STATE_VALUE_KEY, logits);
    check_loads(DATA ".state_st.safetensors", RWKV7_STATE_KEY_VALUE, others);
    CHECK(memcmp(logits, others, sizeof logits) == 0);
    check_loads(DATA ".state_st.safetensors", RWKV7_STATE_VALUE_KEY,
                others); /* with the wrong order of axes, it is another state */
    CHECK(memcmp(logits, others, sizeof logits) != 0);

    for (int i = 0; i < L; i++) {
        for (size_t k = 0; k < HNN; k++)
            memcpy(&narrow[i][k], states->tensors[i].data + 4 * k + 2, 2); /* bfloat16 */
        tensors[i] = states->tensors[i];
        tensors[i].type = DT_BF16;
        tensors[i].data = (const uint8_t *)narrow[i];
        tensors[i].bytes = sizeof narrow[i];
    }
    CHECK(pth_write(temporary, tensors, L));
    check_loads(temporary, RWKV7_STATE_VALUE_KEY, others);
    CHECK(memcmp(logits, others, sizeof logits) == 0);

    struct tensor_index *weights = open_index(DATA ".safetensors");
    struct tensor *all = calloc(weights->count + L, sizeof *all);
    if (!all)
        exit(1);
    memcpy(all, tensors, sizeof tensors);
    memcpy(all + L, weights->tensors, weights->count * sizeof *all);
    CHECK(pth_write(temporary, all, weights->count + L));
    check_loads(temporary, RWKV7_STATE_VALUE_KEY, others);
    CHECK(memcmp(logits, others, sizeof logits) == 0);

    struct rwkv7_model *whole = NULL;
    struct rwkv7_session *s = NULL;
    CHECK(rwkv7_model_open(runtime, temporary, NULL, &whole, NULL) == RWKV7_OK);
    CHECK(!rwkv7_model_info(model)->tuned_state && whole && rwkv7_model_info(whole)->tuned_state);
    CHECK(whole && rwkv7_model_info(whole)->ignored_tensors == L);
    if (whole && rwkv7_session_create(whole, &s, NULL) == RWKV7_OK) { /* starts with zeroes by default */
        const uint32_t token = 7;
        rwkv7_session_reset(session);
        CHECK(rwkv7_session_eval(s, &token, 1, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_eval(session, &token, 1, RWKV7_LOGITS_LAST, others, NULL) == RWKV7_OK);
        CHECK(memcmp(logits, others, V * sizeof *logits) == 0);
    }
    rwkv7_session_close(s);
    rwkv7_model_close(whole);
    free(all);
    tensors_close(weights);
}

/* -------------------------------------------------------------------------------------- refused */

static void test_refused(void)
{
    struct tensor tensors[L + 1];
    memcpy(tensors, states->tensors, L * sizeof *tensors);
    check_refused("missing.pth", RWKV7_STATE_VALUE_KEY, RWKV7_ERR_IO, "missing.pth");
    check_refused(DATA ".state_st.safetensors", RWKV7_STATE_AS_STATED, RWKV7_ERR_USAGE,
                  "does not state the layout of its matrices: value-key, as trained, or key-value");
    check_refused(DATA ".safetensors", RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE,
                  "expected 'blocks.<i>.att.time_state' for each of 4 layers, found 0 of them");
    check_refused(DATA ".state_expected.safetensors", RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE,
                  "tensor 'att_x_prev' does not belong to a tuned state");

    CHECK(pth_write(temporary, tensors, L - 1));
    check_refused(temporary, RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE, "for each of 4 layers, found 3 of them");
    tensors[L] = tensors[0];
    tensors[L].name = "blocks.4.att.time_state";
    CHECK(pth_write(temporary, tensors, L + 1));
    check_refused(temporary, RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE,
                  "tensor 'blocks.4.att.time_state', but this model has 4");
    tensors[L].name = "blocks.04.att.time_state";
    CHECK(pth_write(temporary, tensors, L + 1));
    check_refused(temporary, RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE, "'blocks.04.att.time_state' does not belong");
    tensors[2].shape[0] = 6;
    tensors[2].shape[1] = 8;
    CHECK(pth_write(temporary, tensors, L));
    check_refused(temporary, RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE,
                  "tensor 'blocks.2.att.time_state': expected shape [3,16,16], found [6,8,16]");
    tensors[2] = states->tensors[2];
    tensors[2].type = DT_U8;
    tensors[2].bytes = HNN;
    CHECK(pth_write(temporary, tensors, L));
    check_refused(temporary, RWKV7_STATE_VALUE_KEY, RWKV7_ERR_STATE,
                  "tensor 'blocks.2.att.time_state': expected type F32, F16 or BF16, found U8");
}

static void test_out_of_memory(void)
{
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    long n = 0;
    for (; n < 100 && status == RWKV7_ERR_MEMORY; n++) {
        mem_fail_after(n);
        status = rwkv7_session_load_tuned(session, DATA ".state.safetensors", RWKV7_STATE_AS_STATED, NULL);
        mem_fail_after(-1);
    }
    CHECK_MSG(status == RWKV7_OK && n > 5, "status %d, allocation %ld", (int)status, n);
}

int main(void)
{
    const struct rwkv7_runtime_options threads = {.threads = 1};
    const int fd = mkstemp(temporary);
    if (fd < 0 || close(fd) != 0 || rwkv7_runtime_create(&threads, &runtime, NULL) != RWKV7_OK ||
        rwkv7_model_open(runtime, DATA ".safetensors", NULL, &model, NULL) != RWKV7_OK ||
        rwkv7_session_create(model, &session, NULL) != RWKV7_OK)
        return 1;
    states = open_index(DATA ".state.safetensors");
    RUN(test_oracle);
    RUN(test_same_bits);
    RUN(test_refused);
    RUN(test_out_of_memory);
    tensors_close(states);
    rwkv7_session_close(session);
    rwkv7_model_close(model);
    rwkv7_runtime_close(runtime);
    remove(temporary);
    return test_end();
}
