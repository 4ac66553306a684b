/*
 * test_golden.c - the engine against the float64 oracle, and against itself.
 *
 * Against the oracle: logits of every token, the final state and the greedy continuation, within a
 * tolerance for float32. Against itself, bit for bit: token by token or in chunks of any size, any
 * number of threads, any CPU tier, both orientations of the low-rank factors, and cloned, saved and
 * loaded sessions.
 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/engine.h"
#include "golden.h"
#include "test.h"

/*
 * RWKV7_TEST_BRIEF=1 in the environment runs fewer combinations, for emulators, which are a hundred
 * times slower. It still covers every type and tier.
 */
static bool brief;

#define LOGITS_TOLERANCE 2e-4f
#define FAST_TOLERANCE 1e-3f /* for RWKV7_MATH_FAST, which keeps 16 bits of activations */
#define WKV_TOLERANCE 1e-4f
#define SHIFT_TOLERANCE 4e-5f

static struct rwkv7_runtime *runtime(int threads, const char *cpu, enum rwkv7_math math)
{
    struct rwkv7_error err;
    struct rwkv7_runtime *rt = NULL;
    const struct rwkv7_runtime_options opt = {.threads = threads, .cpu = cpu, .math = math};
    if (rwkv7_runtime_create(&opt, &rt, &err) != RWKV7_OK) {
        fprintf(stderr, "cannot create the runtime: %s\n", err.message);
        exit(1);
    }
    rt->alone_bytes = 0; /* makes all threads work on these small models */
    return rt;
}

static struct rwkv7_model *load_as(struct rwkv7_runtime *rt, const char *path, enum rwkv7_weights weights,
                                   enum rwkv7_sparse sparse)
{
    struct rwkv7_error err;
    struct rwkv7_model *model = NULL;
    const struct rwkv7_model_options opt = {.weights = weights, .sparse = sparse};
    if (rwkv7_model_open(rt, path, &opt, &model, &err) != RWKV7_OK) {
        fprintf(stderr, "cannot open the model: %s\n", err.message);
        exit(1);
    }
    return model;
}

static struct rwkv7_model *load(struct rwkv7_runtime *rt, const char *path)
{
    return load_as(rt, path, RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_AUTO);
}

static struct rwkv7_session *session(struct rwkv7_model *model)
{
    struct rwkv7_session *s = NULL;
    if (rwkv7_session_create(model, &s, NULL) != RWKV7_OK) {
        fprintf(stderr, "cannot create a session\n");
        exit(1);
    }
    return s;
}

static float largest_difference(const float *a, const float *b, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++) {
        const float d = fabsf(a[i] - b[i]);
        if (!(d <= largest))
            largest = d; /* keeps a NaN */
    }
    return largest;
}

/* Returns the largest difference, relative for numbers above 1. */
static float relative_difference(const float *a, const float *b, size_t n)
{
    float largest = 0;
    for (size_t i = 0; i < n; i++) {
        const float d = fabsf(a[i] - b[i]) / (fabsf(b[i]) > 1 ? fabsf(b[i]) : 1);
        if (!(d <= largest))
            largest = d;
    }
    return largest;
}

/* The complete contents of a session, for comparison. */
struct snapshot {
    size_t lc, matrix;
    float *att_prev, *wkv, *ffn_prev;
};

static struct snapshot snapshot(const struct rwkv7_session *s, const struct rwkv7_shape *shape)
{
    struct snapshot p;
    p.lc = (size_t)shape->layers * (size_t)shape->channels;
    p.matrix = p.lc * (shape->arch == RWKV7_ARCH_X040 ? 3 : (size_t)shape->head_size);
    p.att_prev = calloc(p.lc, sizeof(float));
    p.wkv = calloc(p.matrix, sizeof(float));
    p.ffn_prev = calloc(p.lc, sizeof(float));
    rwkv7_session_get_state(s, p.att_prev, p.wkv, p.ffn_prev);
    return p;
}

static void snapshot_free(struct snapshot *p)
{
    free(p->att_prev);
    free(p->wkv);
    free(p->ffn_prev);
}

static bool snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
    return memcmp(a->att_prev, b->att_prev, a->lc * sizeof(float)) == 0 &&
           memcmp(a->wkv, b->wkv, a->matrix * sizeof(float)) == 0 &&
           memcmp(a->ffn_prev, b->ffn_prev, a->lc * sizeof(float)) == 0;
}

static uint32_t argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return (uint32_t)best;
}

static void check_oracle(const struct golden *g, struct rwkv7_model *model, enum rwkv7_math math)
{
    const struct rwkv7_shape *shape = &rwkv7_model_info(model)->shape;
    const size_t vocab = (size_t)shape->vocab, count = (size_t)g->count;
    float *logits = calloc(count * vocab, sizeof *logits);
    struct rwkv7_session *s = session(model);
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_session_eval(s, g->tokens, count, RWKV7_LOGITS_ALL, logits, &err) == RWKV7_OK, "%s", err.message);

    const float off = largest_difference(logits, g->logits, count * vocab);
    CHECK_MSG(off <= (math == RWKV7_MATH_FAST ? FAST_TOLERANCE : LOGITS_TOLERANCE), "%s: error of the logits %g",
              g->model, (double)off);
    struct snapshot p = snapshot(s, shape);
    const float wkv = shape->arch == RWKV7_ARCH_X040 ? relative_difference(p.wkv, g->wkv, p.matrix)
                                                     : largest_difference(p.wkv, g->wkv, p.matrix);
    CHECK_MSG(wkv <= WKV_TOLERANCE, "%s: error of wkv %g", g->model, (double)wkv);
    CHECK_MSG(largest_difference(p.att_prev, g->att_prev, p.lc) <= SHIFT_TOLERANCE, "%s", g->model);
    CHECK_MSG(largest_difference(p.ffn_prev, g->ffn_prev, p.lc) <= SHIFT_TOLERANCE, "%s", g->model);
    snapshot_free(&p);

    const float *last = logits + (count - 1) * vocab;
    int same = 0;
    for (int i = 0; i < g->greedy_count; i++) {
        const uint32_t id = argmax(last, shape->vocab);
        same += id == g->greedy[i];
        rwkv7_session_eval(s, &id, 1, RWKV7_LOGITS_LAST, logits, NULL);
        last = logits;
    }
    CHECK_MSG(same == g->greedy_count, "%s: %d of %d greedy ids agree", g->model, same, g->greedy_count);
    if (math == RWKV7_MATH_EXACT)
        printf("     %s: logits within %.1e, wkv within %.1e of the oracle\n", strrchr(g->model, '/') + 1, (double)off,
               (double)wkv);
    rwkv7_session_close(s);
    free(logits);
}

static void test_oracle(void)
{
    struct rwkv7_runtime *rt = runtime(2, NULL, RWKV7_MATH_EXACT);
    struct golden g;
    for (int i = 0; golden_open(i, &g); i++) {
        struct rwkv7_model *model = load(rt, g.model);
        check_oracle(&g, model, RWKV7_MATH_EXACT);
        rwkv7_model_close(model);
        golden_close(&g);
    }
    rwkv7_runtime_close(rt);
}

/* OpenBLAS and AMX have their own order of additions, so they are compared within a tolerance. */
static void check_other_math(struct rwkv7_runtime *rt, enum rwkv7_math math)
{
    struct golden g;
    for (int i = 0; golden_open(i, &g); i++) {
        struct rwkv7_model *model = load(rt, g.model);
        check_oracle(&g, model, math);
        rwkv7_model_close(model);
        golden_close(&g);
    }
    rwkv7_runtime_close(rt);
}

static void test_oracle_fast(void)
{
    check_other_math(runtime(2, NULL, RWKV7_MATH_FAST), RWKV7_MATH_FAST);
}

static void test_oracle_blas(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2, .math = RWKV7_MATH_BLAS};
    struct rwkv7_runtime *rt;
    struct rwkv7_error err;
    const enum rwkv7_status status = rwkv7_runtime_create(&opt, &rt, &err);
    CHECK(status == RWKV7_OK || status == RWKV7_ERR_USAGE);
    if (status != RWKV7_OK) {
        printf("SKIP: %s\n", err.message);
        return;
    }
    rt->alone_bytes = 0;
    check_other_math(rt, RWKV7_MATH_BLAS);
}

/* Returns the logits of all tokens, evaluated in chunks of `chunk` tokens, and the final state. */
static float *run_chunks(struct rwkv7_model *model, const struct golden *g, int chunk, struct snapshot *end)
{
    const struct rwkv7_shape *shape = &rwkv7_model_info(model)->shape;
    const size_t vocab = (size_t)shape->vocab;
    float *logits = calloc((size_t)g->count * vocab, sizeof *logits);
    struct rwkv7_session *s = session(model);
    for (int at = 0; at < g->count; at += chunk) {
        const int n = g->count - at < chunk ? g->count - at : chunk;
        CHECK(rwkv7_session_eval(s, g->tokens + at, (size_t)n, RWKV7_LOGITS_ALL, logits + (size_t)at * vocab, NULL) ==
              RWKV7_OK);
    }
    CHECK(rwkv7_session_tokens(s) == (uint64_t)g->count);
    *end = snapshot(s, shape);
    rwkv7_session_close(s);
    return logits;
}

/*
 * Compares every combination with one reference run (widest tier, best number of threads, token by
 * token, ffn.value row-major). The bits must be equal.
 */
static void check_same_bits(const struct golden *g, enum rwkv7_weights weights, enum rwkv7_sparse sparse)
{
    static const int chunks[] = {1, 2, 3, 5, 8, 13, 31, 64};
    static const int threads[] = {1, 2, 3, 5};
    const bool few = brief || strstr(g->model, "/older/"); /* others are tested in full */
    char tiers[128];
    struct snapshot want_end, end;
    struct rwkv7_runtime *rt = runtime(1, NULL, RWKV7_MATH_EXACT);
    struct rwkv7_model *model = load_as(rt, g->model, weights, RWKV7_SPARSE_OFF);
    const size_t bytes = (size_t)g->count * (size_t)rwkv7_model_info(model)->shape.vocab * sizeof(float);
    float *want = run_chunks(model, g, 1, &want_end);
    rwkv7_model_close(model);
    rwkv7_runtime_close(rt);

    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        if (few && threads[t] != 3)
            continue;
        /* One number of threads gets every chunk size; the others get a sample. */
        const size_t stride = few ? 6 : threads[t] == 2 ? 1 : 3;
        rt = runtime(threads[t], NULL, RWKV7_MATH_EXACT);
        model = load_as(rt, g->model, weights, sparse);
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c += stride) {
            float *got = run_chunks(model, g, chunks[c], &end);
            CHECK_MSG(memcmp(got, want, bytes) == 0, "%s, weights %d: chunks of %d, %d threads", g->model, weights,
                      chunks[c], threads[t]);
            CHECK_MSG(snapshot_equal(&end, &want_end), "%s, weights %d: state, chunks of %d", g->model, weights,
                      chunks[c]);
            snapshot_free(&end);
            free(got);
        }
        rwkv7_model_close(model);
        rwkv7_runtime_close(rt);
    }
    snprintf(tiers, sizeof tiers, "%s", rwkv7_runtime_cpus());
    for (char *tier = strtok(tiers, " "); tier; tier = strtok(NULL, " ")) {
        rt = runtime(2, tier, RWKV7_MATH_EXACT);
        model = load_as(rt, g->model, weights, sparse);
        for (int c = brief ? 64 : 1; c <= 64; c += 63) {
            float *got = run_chunks(model, g, c, &end);
            CHECK_MSG(memcmp(got, want, bytes) == 0, "%s, weights %d: tier %s, chunks of %d", g->model, weights, tier,
                      c);
            CHECK_MSG(snapshot_equal(&end, &want_end), "%s, weights %d: state, tier %s", g->model, weights, tier);
            snapshot_free(&end);
            free(got);
        }
        rwkv7_model_close(model);
        rwkv7_runtime_close(rt);
    }
    snapshot_free(&want_end);
    free(want);
}

static void test_same_bits(void)
{
    struct golden g;
    for (int i = 0; golden_open(i, &g); i++) {
        const bool is_older =
            strstr(g.model, "/x052_f32") || strstr(g.model, "/x060_bf16") || strstr(g.model, "/x040_f32");
        if (i < 3 || is_older || !brief) /* covers f32, bf16 and f16 */
            check_same_bits(&g, RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_OFF);
        if ((i < 3 || is_older) && !brief)
            check_same_bits(&g, RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_ON);
        /* Covers two head sizes; after quantization the file's type does not matter */
        if (i < 2 || is_older)
            for (enum rwkv7_sparse sparse = RWKV7_SPARSE_ON; sparse <= RWKV7_SPARSE_OFF; sparse++) {
                for (enum rwkv7_weights w = RWKV7_WEIGHTS_STORED + 1; w < RWKV7_WEIGHTS_COUNT; w++)
                    if (!brief || (w != RWKV7_WEIGHTS_Q8) == (sparse == RWKV7_SPARSE_OFF))
                        check_same_bits(&g, w, sparse);
            }
        golden_close(&g);
    }
}

/*
 * Quantization loses precision within limits. The measure is the root mean square error of the
 * logits relative to the logits. With 8 bits it is at most 0.06. Each bit less doubles the error of
 * a weight, but multiplies that of the logits by at most 2^0.8, since the head and the low-rank
 * factors keep 8 bits. test_quantize.c pins the integers to the bit.
 */
static void test_quantized(void)
{
    struct rwkv7_runtime *rt = runtime(2, NULL, RWKV7_MATH_EXACT);
    struct golden g;
    for (int i = 0; golden_open(i, &g); i++) {
        for (enum rwkv7_weights weights = RWKV7_WEIGHTS_Q8; weights < RWKV7_WEIGHTS_COUNT; weights++) {
            const float allowed = 0.06f * powf(2, 0.8f * (float)(8 - weight_types[weights_type(weights)].bits));
            struct rwkv7_model *model = load_as(rt, g.model, weights, RWKV7_SPARSE_AUTO);
            const size_t n = (size_t)g.count * (size_t)rwkv7_model_info(model)->shape.vocab;
            struct snapshot end;
            float *logits = run_chunks(model, &g, 64, &end), off = 0, all = 0;
            for (size_t j = 0; j < n; j++) {
                off += (logits[j] - g.logits[j]) * (logits[j] - g.logits[j]);
                all += g.logits[j] * g.logits[j];
            }
            const float error = sqrtf(off / all);
            const struct rwkv7_shape *shape = &rwkv7_model_info(model)->shape;
            /* Errors accumulate over layers, and older versions have sharper gates. */
            const float slack = shape->layers > 4 ? 2.5f : shape->arch != RWKV7_ARCH_X070 ? 1.5f : 1.0f;
            CHECK_MSG(error <= slack * allowed, "%s: error %g", g.model, (double)error);
            CHECK(error > 0); /* proves that the model was quantized */
            printf("     %s, %s: relative error of the logits %.3f\n", strrchr(g.model, '/') + 1,
                   rwkv7_type_name((enum rwkv7_type)weights_type(weights)), (double)error);
            snapshot_free(&end);
            free(logits);
            rwkv7_model_close(model);
        }
        golden_close(&g);
    }
    rwkv7_runtime_close(rt);
}

/* The same weights with transposed low-rank factors give the same bits. */
static void test_orientation(void)
{
    struct rwkv7_runtime *rt = runtime(2, NULL, RWKV7_MATH_EXACT);
    struct golden g;
    CHECK(golden_open(1, &g));
    struct rwkv7_model *pth = load(rt, g.model), *st = load(rt, TEST_DIR "/golden/data/bf16_n64_st.safetensors");
    CHECK_STR(rwkv7_model_info(pth)->naming, "BlinkDL (.pth orientation)");
    CHECK_STR(rwkv7_model_info(st)->naming, "BlinkDL (.st orientation)");
    CHECK(rwkv7_model_info(st)->copied_bytes < rwkv7_model_info(pth)->copied_bytes);
    struct snapshot a, b;
    float *from_pth = run_chunks(pth, &g, 64, &a), *from_st = run_chunks(st, &g, 64, &b);
    CHECK(memcmp(from_pth, from_st, (size_t)g.count * 257 * sizeof(float)) == 0);
    CHECK(snapshot_equal(&a, &b));
    snapshot_free(&a);
    snapshot_free(&b);
    free(from_pth);
    free(from_st);
    rwkv7_model_close(pth);
    rwkv7_model_close(st);
    golden_close(&g);
    rwkv7_runtime_close(rt);
}

/* A state in the middle of a text continues in the same way after every kind of copy. */
static void test_sessions(void)
{
    struct rwkv7_runtime *rt = runtime(2, NULL, RWKV7_MATH_EXACT);
    struct golden g;
    CHECK(golden_open(0, &g));
    struct rwkv7_model *model = load(rt, g.model);
    const struct rwkv7_shape *shape = &rwkv7_model_info(model)->shape;
    struct rwkv7_session *s = session(model), *clone = NULL, *loaded = session(model), *set = session(model);
    struct rwkv7_error err = {0};
    char path[] = "/tmp/rwkv7-test-state-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);

    uint64_t n;
    CHECK(rwkv7_session_eval(s, g.tokens, 40, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    struct snapshot at40 = snapshot(s, shape);
    const float *middle = golden_tensor(&g, "wkv.after_40", &n);
    CHECK(n == at40.matrix && largest_difference(at40.wkv, middle, at40.matrix) <= WKV_TOLERANCE);

    CHECK(rwkv7_session_clone(s, &clone, NULL) == RWKV7_OK);
    CHECK_MSG(rwkv7_session_save(s, path, NULL, &err) == RWKV7_OK, "%s", err.message);
    CHECK_MSG(rwkv7_session_load(loaded, path, NULL, &err) == RWKV7_OK, "%s", err.message);
    rwkv7_session_set_state(set, at40.att_prev, at40.wkv, at40.ffn_prev);
    CHECK(rwkv7_session_tokens(clone) == 40 && rwkv7_session_tokens(loaded) == 40);

    float want[64], got[64];
    CHECK(shape->vocab <= 64);
    const size_t bytes = (size_t)shape->vocab * sizeof(float);
    CHECK(rwkv7_session_eval(s, g.tokens + 40, 24, RWKV7_LOGITS_LAST, want, NULL) == RWKV7_OK);
    CHECK(largest_difference(want, g.logits + 63 * shape->vocab, (size_t)shape->vocab) <= LOGITS_TOLERANCE);
    struct rwkv7_session *const others[] = {clone, loaded, set};
    for (int i = 0; i < 3; i++) {
        CHECK(rwkv7_session_eval(others[i], g.tokens + 40, 24, RWKV7_LOGITS_LAST, got, NULL) == RWKV7_OK);
        CHECK(memcmp(got, want, bytes) == 0);
    }
    rwkv7_session_reset(s);
    CHECK(rwkv7_session_tokens(s) == 0);
    CHECK(rwkv7_session_eval(s, g.tokens, 64, RWKV7_LOGITS_LAST, got, NULL) == RWKV7_OK);
    CHECK(memcmp(got, want, bytes) == 0);

    unlink(path);
    snapshot_free(&at40);
    rwkv7_session_close(s);
    rwkv7_session_close(clone);
    rwkv7_session_close(loaded);
    rwkv7_session_close(set);
    rwkv7_model_close(model);
    golden_close(&g);
    rwkv7_runtime_close(rt);
}

/*
 * A trained model: saturated decays, sharp gates, and a task with a known answer. It comes from
 * another project, so it is not in this repository.
 */
static void test_trained(void)
{
    static const char folder[] = SHARED_DIR "/vectors/reverse";
    char path[512];
    struct rwkv7_error err;
    struct tensor_index *expected = NULL;
    snprintf(path, sizeof path, "%s/reverse_expected.safetensors", folder);
    if (access(path, R_OK) != 0) {
        SKIP("%s: not on this machine", path);
        return;
    }
    struct rwkv7_runtime *rt = runtime(2, NULL, RWKV7_MATH_EXACT);
    CHECK(tensors_open(path, &expected, &err) == RWKV7_OK);
    snprintf(path, sizeof path, "%s/reverse_rwkv7_L4_D32.safetensors", folder);
    struct rwkv7_model *model = load(rt, path);
    static const char *const names[][2] = {{"seq0.tokens", "seq0.logits"},
                                           {"seq1.tokens", "seq1.logits"},
                                           {"seq2.tokens", "seq2.logits"},
                                           {"seq3.tokens", "seq3.logits"}};
    for (int i = 0; i < 4; i++) {
        const struct tensor *tokens = tensors_find(expected, names[i][0]),
                            *logits = tensors_find(expected, names[i][1]);
        CHECK(tokens && logits);
        if (!tokens || !logits)
            break;
        const size_t count = (size_t)tokens->shape[0];
        float *got = calloc(count * 12, sizeof *got);
        struct rwkv7_session *s = session(model);
        CHECK(rwkv7_session_eval(s, (const uint32_t *)(const void *)tokens->data, count, RWKV7_LOGITS_ALL, got, NULL) ==
              RWKV7_OK);
        const float off = largest_difference(got, (const float *)(const void *)logits->data, count * 12);
        CHECK_MSG(off <= 5e-3f, "line %d: error of the logits %g", i, (double)off);
        rwkv7_session_close(s);
        free(got);
    }
    rwkv7_model_close(model);
    tensors_close(expected);
    rwkv7_runtime_close(rt);
}

int main(void)
{
    brief = getenv("RWKV7_TEST_BRIEF") != NULL;
    if (brief)
        SKIP("brief: the same bits from three models only, 3 threads, chunks of 1, 31 and 64, columns with q8 alone");
    RUN(test_oracle);
    RUN(test_oracle_fast);
    RUN(test_oracle_blas);
    RUN(test_same_bits);
    RUN(test_quantized);
    RUN(test_orientation);
    RUN(test_sessions);
    RUN(test_trained);
    return test_end();
}
