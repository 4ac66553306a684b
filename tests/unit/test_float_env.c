/*
 * test_float_env.c - a program may have changed its floating-point environment: the results are the
 * same, no exception is raised in the program, and its environment is restored.
 */
#include "base/float_env.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/rwkv7.h"
#include "engine/engine.h"
#include "rwkv7.h"
#include "test.h"

#define MODEL TEST_DIR "/../models/rwkv7-demo.safetensors"
#define FLA TEST_DIR "/golden/data/bf16_fla.safetensors" /* the epsilon of its heads is computed while loading */
enum { THREADS = 2, TOKENS = 20, DRAWS = 30 };

/* A floating-point environment of the calling program. */
struct host {
    const char *name;
    struct float_env env;
};

#if defined(__x86_64__)
static const struct host hosts[] = {
    {"downwards", {FLOAT_ENV_MXCSR | 0x2000, FLOAT_ENV_X87 | 0x400, 0}},
    {"upwards", {FLOAT_ENV_MXCSR | 0x4000, FLOAT_ENV_X87 | 0x800, 0}},
    {"towards zero", {FLOAT_ENV_MXCSR | 0x6000, FLOAT_ENV_X87 | 0xc00, 0}},
    {"denormal results flushed", {FLOAT_ENV_MXCSR | 0x8000, FLOAT_ENV_X87, 0}},
    {"denormal operands are zero", {FLOAT_ENV_MXCSR | 0x0040, FLOAT_ENV_X87, 0}},
    {"upwards, denormals flushed", {FLOAT_ENV_MXCSR | 0xc040, FLOAT_ENV_X87 | 0x800, 0}},
    {"all exceptions trap", {0, FLOAT_ENV_X87 & ~0x3fu, 0}},
    {"flags of both units", {FLOAT_ENV_MXCSR | 0x3f, FLOAT_ENV_X87, 0x3f}},
};
#elif defined(__aarch64__)
static const struct host hosts[] = {
    {"upwards", {1u << 22, 0}},
    {"downwards", {2u << 22, 0}},
    {"towards zero", {3u << 22, 0}},
    {"denormals flushed", {1u << 24, 0}},
    {"default NaN, alternative handling", {1u << 25 | 3, 0}},
    {"all exceptions trap", {0x9f00, 0}}, /* if the CPU supports traps */
};
#else
static struct host hosts[3];
#endif
enum { HOSTS = sizeof hosts / sizeof hosts[0] };

static const struct host *host; /* current environment; NULL: the default */

/*
 * Set the caller's environment before every library call, and check afterwards that it is
 * unchanged, including exception flags.
 */
static struct float_env outside;
static bool is_leaking;

static void enter_host(void)
{
    outside = float_env_get();
    if (host)
        float_env_set(&host->env);
}

static void leave_host(void)
{
    const struct float_env now = float_env_get();
    float_env_set(&outside);
#if defined(__x86_64__)
    is_leaking |= host && (now.mxcsr != host->env.mxcsr || now.x87 != host->env.x87 ||
                           ((now.x87_status ^ host->env.x87_status) & FLOAT_ENV_X87_FLAGS) != 0);
#elif defined(__aarch64__)
    /* Bits that this CPU does not implement read as zero. */
    is_leaking |= host && ((now.fpcr & ~host->env.fpcr) != 0 ||
                           (now.fpcr & (3u << 22)) != (host->env.fpcr & (3u << 22)) || now.fpsr != host->env.fpsr);
#endif
}

/* CALL(x) evaluates x, a library call, in the caller's environment. */
#define CALL(call)    \
    do {              \
        enter_host(); \
        call;         \
        leave_host(); \
    } while (0)
#define CALL_OK(call)                                              \
    do {                                                           \
        enum rwkv7_status got_;                                    \
        CALL(got_ = (call));                                       \
        CHECK_MSG(got_ == RWKV7_OK, "%s", host ? host->name : ""); \
    } while (0)

struct hash {
    uint64_t value;
};

static void add_bytes(struct hash *h, const void *data, size_t size)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++)
        h->value = (h->value ^ at[i]) * 0x100000001b3u;
}

/* Evaluates tokens singly and together, and samples a continuation. */
static void use_model(struct hash *h, struct rwkv7_model *model)
{
    const struct rwkv7_shape *shape = &rwkv7_model_info(model)->shape;
    const size_t vocab = (size_t)shape->vocab, floats = state_floats(model);
    struct rwkv7_session *s = NULL, *other = NULL;
    struct rwkv7_batch *batch = NULL;
    struct rwkv7_sampler *sampler = NULL;
    float *logits = calloc(2 * vocab, sizeof *logits);
    uint32_t tokens[TOKENS], id;
    struct rwkv7_fingerprint fingerprint;
    for (uint32_t i = 0; i < TOKENS; i++)
        tokens[i] = i * 37 % (uint32_t)vocab;

    CALL_OK(rwkv7_model_fingerprint(model, &fingerprint, NULL));
    add_bytes(h, &fingerprint, sizeof fingerprint);
    CALL_OK(rwkv7_session_create(model, &s, NULL));
    CALL_OK(rwkv7_session_create(model, &other, NULL));
    for (int i = 0; i < 3; i++) {
        CALL_OK(rwkv7_session_eval(s, tokens + i, 1, RWKV7_LOGITS_LAST, logits, NULL));
        add_bytes(h, logits, vocab * sizeof *logits);
    }
    CALL_OK(rwkv7_session_eval(s, tokens, TOKENS, RWKV7_LOGITS_LAST, logits, NULL));
    add_bytes(h, logits, vocab * sizeof *logits);
    add_bytes(h, s->state, floats * sizeof *s->state);

    struct rwkv7_feed feeds[] = {{s, tokens, 3, true, false, {0}}, {other, tokens, 1, true, false, {0}}};
    CALL_OK(rwkv7_batch_create(model, &batch, NULL));
    CALL_OK(rwkv7_batch_eval(batch, feeds, 2, logits, NULL));
    add_bytes(h, logits, 2 * vocab * sizeof *logits);
    add_bytes(h, other->state, floats * sizeof *other->state);

    static const struct rwkv7_sampler_options options[] = {
        {.temperature = 0.9f,
         .top_p = 0.8f,
         .presence_penalty = 0.3f,
         .frequency_penalty = 0.2f,
         .penalty_decay = 0.99f},
        {.temperature = 1.7f, .top_p = 1.0f, .top_k = 50, .min_p = 0.01f, .penalty_decay = 0.5f},
        {.temperature = RWKV7_ZERO, .top_p = 1.0f, .frequency_penalty = 0.7f, .penalty_decay = 0.9f},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        CALL_OK(rwkv7_sampler_create(&options[i], (int)vocab, NULL, &sampler, NULL));
        for (int draw = 0; draw < DRAWS && sampler; draw++) {
            CALL_OK(rwkv7_sampler_next(sampler, logits, &id, NULL));
            add_bytes(h, &id, sizeof id);
        }
        struct rwkv7_bytes note = {0};
        CALL_OK(rwkv7_sampler_save_memory(sampler, &note, NULL)); /* the decayed counts */
        add_bytes(h, note.data, note.size);
        CALL_OK(rwkv7_sampler_load_memory(sampler, note.data, note.size, NULL));
        memset((char *)note.data + note.size - sizeof(float), -1, sizeof(float)); /* a count that is NaN */
        enum rwkv7_status status;
        CALL(status = rwkv7_sampler_load_memory(sampler, note.data, note.size, NULL));
        CHECK(status == RWKV7_ERR_STATE);
        rwkv7_bytes_clear(&note);
        rwkv7_sampler_close(sampler);
    }
    double density;
    CALL(density = rwkv7_session_density(s));
    add_bytes(h, &density, sizeof density);

    /* NaN weights are detected without a trap, too. */
    const float *const weight = model->outer.ln_out_weight;
    float *const none = calloc((size_t)shape->channels, sizeof *none);
    none[0] = NAN;
    model->outer.ln_out_weight = none;
    for (size_t count = 1; count <= 2; count++) {
        enum rwkv7_status status;
        CALL(status = rwkv7_session_eval(s, tokens, count, RWKV7_LOGITS_LAST, logits, NULL));
        CHECK(status == RWKV7_ERR_NUMERIC);
    }
    CALL_OK(rwkv7_batch_eval(batch, feeds, 2, logits, NULL));
    CHECK(feeds[0].err.status == RWKV7_ERR_NUMERIC && feeds[1].err.status == RWKV7_ERR_NUMERIC);
    model->outer.ln_out_weight = weight;
    free(none);
    free(logits);
    rwkv7_batch_close(batch);
    rwkv7_session_close(other);
    rwkv7_session_close(s);
}

static void add_file(struct hash *h, const char *path)
{
    unsigned char buffer[4096];
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    for (size_t n; f && (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        add_bytes(h, buffer, n);
    if (f)
        fclose(f);
}

/*
 * Calls everything that computes with floats. late: threads are created before the environment is
 * changed.
 */
static uint64_t use_library(const struct host *changed, bool late)
{
    static const struct rwkv7_shape small = {.vocab = 200,
                                             .layers = 2,
                                             .channels = 64,
                                             .heads = 2,
                                             .head_size = 32,
                                             .ffn = 256,
                                             .rank_w = 16,
                                             .rank_a = 16,
                                             .rank_v = 16,
                                             .rank_g = 16};
    struct hash h = {0xcbf29ce484222325u};
    struct rwkv7_runtime *rt = NULL;
    struct rwkv7_model *model = NULL;
    char path[] = "/tmp/rwkv7-test-float-env-XXXXXX";

    host = late ? NULL : changed;
    CALL_OK(rwkv7_runtime_create(&(struct rwkv7_runtime_options){.threads = THREADS}, &rt, NULL));
    host = changed;
    rt->alone_bytes = 0; /* makes all threads work, although the models are small */
    for (enum rwkv7_weights weights = RWKV7_WEIGHTS_STORED; weights < RWKV7_WEIGHTS_COUNT; weights++) {
        const struct rwkv7_model_options options = {.weights = weights, .sparse = RWKV7_SPARSE_ON};
        CALL_OK(rwkv7_model_open(rt, MODEL, &options, &model, NULL));
        use_model(&h, model);
        rwkv7_model_close(model);
    }
    CALL_OK(rwkv7_model_open(rt, FLA, NULL, &model, NULL));
    use_model(&h, model);
    rwkv7_model_close(model);
    struct file_map map;
    CHECK(file_map_open(FLA, &map, NULL) == RWKV7_OK);
    CALL_OK(rwkv7_model_open_memory(rt, map.data, map.size, "memory", NULL, &model, NULL));
    use_model(&h, model);
    rwkv7_model_close(model);
    file_map_close(&map);
    const struct rwkv7_random_options random = {.type = RWKV7_F32, .seed = 1};
    CALL_OK(rwkv7_model_random(rt, &small, &random, &model, NULL));
    for (int i = 0; i < small.layers; i++) /* values so small that states contain denormals */
        for (int j = 0; j < small.channels * small.channels; j++)
            ((float *)(uintptr_t)rwkv7_layers(model)[i].value.data)[j] *= 0x1p-126f;
    use_model(&h, model);
    rwkv7_model_close(model);

    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    static const enum rwkv7_type types[] = {RWKV7_F16, RWKV7_Q4};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        CALL_OK(
            rwkv7_convert(rt, MODEL, path, &(struct rwkv7_convert_options){.type = rwkv7_type_name(types[i])}, NULL));
        add_file(&h, path);
        CALL_OK(rwkv7_convert(rt, FLA, path, &(struct rwkv7_convert_options){.type = rwkv7_type_name(types[i])}, NULL));
        add_file(&h, path);
    }
    struct rwkv7_checkpoint *checkpoint = NULL;
    CALL_OK(rwkv7_checkpoint_open(MODEL, &checkpoint, NULL));
    rwkv7_checkpoint_close(checkpoint);
    double rate;
    CALL_OK(rwkv7_runtime_bandwidth(rt, 1 << 20, &rate, NULL));
    rwkv7_runtime_close(rt);
    unlink(path);
    return h.value;
}

static void test_environments(void)
{
    const uint64_t expected = use_library(NULL, false);
    CHECK(use_library(NULL, true) == expected);
    for (int i = 0; i < HOSTS; i++)
        for (int late = 0; late < 2; late++) {
            is_leaking = false;
            CHECK_MSG(use_library(&hosts[i], late) == expected, "%s%s", hosts[i].name, late ? ", late" : "");
            CHECK_MSG(!is_leaking, "%s: the environment was not restored", hosts[i].name);
        }
}

struct seen {
    struct float_env env[3];
};

static void look(void *arg, struct pool *pool, int rank)
{
    struct float_env *const env = &((struct seen *)arg)->env[rank];
    (void)pool;
    *env = float_env_get();
#if defined(__x86_64__)
    env->x87_status = 0; /* flags may remain where nothing reads them */
#endif
}

/* A pool by itself: threads inherit the environment of their creator. */
static void test_pool(void)
{
    struct seen expected, seen;
    struct pool *pool = NULL;
    for (int i = 0; i < HOSTS; i++) {
        memset(&expected, 0, sizeof expected); /* padding too */
        memset(&seen, 0, sizeof seen);
        for (int rank = 0; rank < 3; rank++) {
            float_env_set_default();
            look(&expected, NULL, rank);
        }
        host = &hosts[i];
        is_leaking = false;
        CALL_OK(pool_create(3, &pool, NULL));
        CALL(pool_run(pool, look, &seen));
        CHECK_MSG(memcmp(&seen, &expected, sizeof seen) == 0 && !is_leaking, "%s", host->name);
        pool_destroy(pool);
    }
}

/* System libraries may compute with long double, whose flags are not in the same register. */
static void test_flags(void)
{
    feclearexcept(FE_ALL_EXCEPT);
    volatile long double zero = 0;
    volatile double small = 0;
    {
        DEFAULT_FLOAT_ENV;
        zero = 1 / zero;
        small = 1 / small;
        CHECK(fetestexcept(FE_DIVBYZERO) != 0);
    }
    CHECK(fetestexcept(FE_ALL_EXCEPT) == 0);
    feraiseexcept(FE_INVALID);
    {
        DEFAULT_FLOAT_ENV;
        feclearexcept(FE_ALL_EXCEPT);
    }
    CHECK(fetestexcept(FE_ALL_EXCEPT) == FE_INVALID);
    feclearexcept(FE_ALL_EXCEPT);
}

int main(void)
{
#if !defined(__x86_64__) && !defined(__aarch64__)
    static const int modes[] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    for (int i = 0; i < HOSTS; i++) {
        fesetround(modes[i]);
        hosts[i] = (struct host){"rounding", float_env_get()};
    }
    fesetround(FE_TONEAREST);
#endif
    RUN(test_flags);
    RUN(test_pool);
    RUN(test_environments);
    return test_end();
}
