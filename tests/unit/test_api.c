/*
 * test_api.c - what the public header promises to programs built for another version: version
 * numbers, names, sizes of structs.
 */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "build_config.h"
#include "generator_steps.h"

/* The header, the library and CMake's project() agree. */
static void test_version(void)
{
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", RWKV7_VERSION_MAJOR, RWKV7_VERSION_MINOR, RWKV7_VERSION_PATCH);
    CHECK_STR(rwkv7_version(), text);
    CHECK_STR(BUILD_VERSION, text);
    CHECK(rwkv7_version_number() == RWKV7_VERSION_NUMBER);
    CHECK(RWKV7_VERSION_MINOR < 1000 && RWKV7_VERSION_PATCH < 1000);
}

/* Every status has a name of its own. */
static void test_status_names(void)
{
    for (int a = RWKV7_OK; a <= RWKV7_ERR_STOPPED; a++) {
        CHECK(strcmp(rwkv7_status_name((enum rwkv7_status)a), "unknown") != 0);
        for (int b = RWKV7_OK; b < a; b++)
            CHECK(strcmp(rwkv7_status_name((enum rwkv7_status)a), rwkv7_status_name((enum rwkv7_status)b)) != 0);
    }
    CHECK_STR(rwkv7_status_name((enum rwkv7_status)(RWKV7_ERR_STOPPED + 1)), "unknown");
    CHECK_STR(rwkv7_status_name((enum rwkv7_status) - 1), "unknown");
}

/* ---------------------------------------------------------------------------------------------------------- options */

/*
 * Members are added at the end of a struct, so no struct may end with padding, in which older
 * programs leave garbage.
 */
static void test_layouts(void)
{
#define ENDS_WITH(type, last) CHECK(SIZE_THROUGH(struct type, last) == sizeof(struct type))
    ENDS_WITH(rwkv7_runtime_options, log_arg);
    ENDS_WITH(rwkv7_model_options, progress_arg);
    ENDS_WITH(rwkv7_random_options, seed);
    ENDS_WITH(rwkv7_convert_options, note_arg);
    ENDS_WITH(rwkv7_sampler_options, bias_count);
    ENDS_WITH(rwkv7_generator_options, grammar);
    ENDS_WITH(rwkv7_grammar_options, mask_bytes);
    ENDS_WITH(rwkv7_model_info, chat_template);
    ENDS_WITH(rwkv7_tensor, bytes);
    ENDS_WITH(rwkv7_step, top_count);
    ENDS_WITH(rwkv7_generator_stats, accepted);
    /* These never change. */
    CHECK(sizeof(struct rwkv7_error) == 260 && sizeof(struct rwkv7_shape) == 80 && sizeof(struct rwkv7_bytes) == 16);
    CHECK(sizeof(struct rwkv7_feed) == 288 && sizeof(struct rwkv7_token_bias) == 8);
    CHECK(sizeof(struct rwkv7_logprob) == 16 && sizeof(struct rwkv7_fingerprint) == 16);
    CHECK(RWKV7_TYPES <= RWKV7_TYPES_ROOM);
}

/* Three versions of one struct of options; the library knows the third. */
struct first {
    size_t struct_size;
    int64_t a;
};
struct second {
    size_t struct_size;
    int64_t a, b;
};
struct third {
    size_t struct_size;
    int64_t a, b, c;
};
struct fourth {
    size_t struct_size;
    int64_t a, b, c, d;
};

static enum rwkv7_status read_third(struct third *out, const void *from, struct rwkv7_error *err)
{
    memset(out, 0xee, sizeof *out);
    return options_read(out, sizeof *out, sizeof(struct first), from, "struct third", err);
}

static void test_options(void)
{
    struct third got;
    struct rwkv7_error err = {.message = ""};
    CHECK(read_third(&got, NULL, &err) == RWKV7_OK && got.struct_size == sizeof got && got.a == 0 && got.c == 0);
    /* Older programs: members that their struct lacks read as zero, whatever follows it in memory. */
    const struct fourth full = {.a = 1, .b = 2, .c = 3, .d = 4};
    struct fourth given = full;
    CHECK(read_third(&got, &given, &err) == RWKV7_OK && got.a == 1 && got.b == 0 && got.c == 0);
    given.struct_size = sizeof(struct first);
    CHECK(read_third(&got, &given, &err) == RWKV7_OK && got.a == 1 && got.b == 0 && got.c == 0);
    given.struct_size = sizeof(struct second);
    CHECK(read_third(&got, &given, &err) == RWKV7_OK && got.a == 1 && got.b == 2 && got.c == 0);
    given.struct_size = sizeof(struct third);
    CHECK(read_third(&got, &given, &err) == RWKV7_OK && got.a == 1 && got.b == 2 && got.c == 3);
    /* Newer programs: members that this library lacks must be zero. */
    given.struct_size = sizeof(struct fourth);
    CHECK(read_third(&got, &given, &err) == RWKV7_ERR_USAGE && strstr(err.message, "newer library"));
    given.d = 0;
    CHECK(read_third(&got, &given, &err) == RWKV7_OK && got.c == 3 && got.struct_size == sizeof got);
    given.struct_size = sizeof(struct first) - 1;
    CHECK(read_third(&got, &given, &err) == RWKV7_ERR_USAGE);
    given.struct_size = (size_t)-1; /* uninitialized */
    CHECK(read_third(&got, &given, &err) == RWKV7_ERR_USAGE);
}

/* Every function that takes options checks struct_size. */
static void test_every_options(void)
{
    static const struct rwkv7_shape shape = {.vocab = 8, .layers = 1, .channels = 64, .heads = 1, .head_size = 64};
    struct rwkv7_runtime *runtime = NULL;
    struct rwkv7_model *m = NULL;
    struct rwkv7_sampler *sampler = NULL;
    struct rwkv7_generator *g = NULL;
    struct rwkv7_session *const s = new_session();
    const struct rwkv7_runtime_options ro = {.struct_size = 8};
    const struct rwkv7_model_options mo = {.struct_size = 8};
    const struct rwkv7_random_options ao = {.struct_size = 8};
    const struct rwkv7_convert_options co = {.struct_size = 8};
    const struct rwkv7_sampler_options so = {.struct_size = 8};
    const struct rwkv7_generator_options go = {.struct_size = 8}, nested = {.sampling = &so};
    struct rwkv7_error err;
#define REFUSED(call) CHECK((call) == RWKV7_ERR_USAGE && strstr(err.message, "struct_size"))
    REFUSED(rwkv7_runtime_create(&ro, &runtime, &err));
    REFUSED(rwkv7_model_open(rt, "nowhere", &mo, &m, &err));
    REFUSED(rwkv7_model_open_memory(rt, "", 0, "nothing", &mo, &m, &err));
    REFUSED(rwkv7_model_random(rt, &shape, &ao, &m, &err));
    REFUSED(rwkv7_convert(rt, "nowhere", "neither", &co, &err));
    REFUSED(rwkv7_sampler_create(&so, 10, NULL, &sampler, &err));
    REFUSED(rwkv7_generator_create(s, tokenizer, &go, &g, &err));
    REFUSED(rwkv7_generator_create(s, tokenizer, &nested, &g, &err));
    CHECK(!runtime && !m && !sampler && !g);
    rwkv7_session_close(s);

    /* The library fills at most struct_size bytes of a struct in the caller's memory. */
    struct {
        struct rwkv7_model_info info;
        uint64_t behind;
    } room = {.info = {.struct_size = sizeof room}, .behind = 7};
    const struct rwkv7_shape *const known = &rwkv7_model_info(model)->shape;
    CHECK(rwkv7_model_random_info(rt, known, NULL, &room.info, &err) == RWKV7_OK);
    CHECK(room.behind == 7 && room.info.struct_size == sizeof room.info && room.info.shape.vocab == VOCAB);
    room.info.struct_size = 8;
    REFUSED(rwkv7_model_random_info(rt, known, NULL, &room.info, &err));

    struct rwkv7_shape later = rwkv7_model_info(model)->shape;
    CHECK(RWKV7_HAS(rwkv7_model_info(model), chat_template));
    later.reserved[6] = 1;
    CHECK(rwkv7_model_random(rt, &later, NULL, &m, &err) == RWKV7_ERR_USAGE && !m);
}

/* An unknown enum value, such as one of a later version, is refused and never used as an index. */
static void test_enums(void)
{
    static const char path[] = TEST_DIR "/golden/data/bf16_n64.safetensors";
    const struct rwkv7_shape *const shape = &rwkv7_model_info(model)->shape;
    struct rwkv7_session *const s = new_session();
    for (int i = 0; i < 2; i++) {
        const int odd = i == 0 ? 99 : -1;
        struct rwkv7_runtime *runtime = NULL;
        struct rwkv7_model *m = NULL;
        struct rwkv7_generator *g = NULL;
        struct rwkv7_error err = {.message = ""};
        const struct rwkv7_runtime_options ro = {.math = (enum rwkv7_math)odd, .threads = 1};
        const struct rwkv7_model_options wo = {.weights = (enum rwkv7_weights)odd};
        const struct rwkv7_model_options so = {.sparse = (enum rwkv7_sparse)odd};
        const struct rwkv7_random_options to = {.type = (enum rwkv7_type)odd};
        const struct rwkv7_random_options po = {.sparse = (enum rwkv7_sparse)odd};
        const struct rwkv7_generator_options go = {.bos = (enum rwkv7_bos)odd};
        CHECK(rwkv7_runtime_create(&ro, &runtime, &err) == RWKV7_ERR_USAGE && !runtime);
        CHECK(rwkv7_model_open(rt, path, &wo, &m, &err) == RWKV7_ERR_USAGE && !m);
        CHECK(rwkv7_model_open(rt, path, &so, &m, &err) == RWKV7_ERR_USAGE && !m);
        CHECK(rwkv7_model_random(rt, shape, &to, &m, &err) == RWKV7_ERR_USAGE && !m);
        CHECK(rwkv7_model_random(rt, shape, &po, &m, &err) == RWKV7_ERR_USAGE && !m);
        CHECK(rwkv7_generator_create(s, tokenizer, &go, &g, &err) == RWKV7_ERR_USAGE && !g);
        CHECK(rwkv7_session_load_tuned(s, path, (enum rwkv7_state_order)odd, &err) == RWKV7_ERR_USAGE);
    }
    rwkv7_session_close(s);
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* A session saved to memory equals the file, and can be loaded. Damaged bytes are rejected and change nothing. */
static void test_session_memory(void)
{
    static const uint32_t ids[] = {1, 2, 3, 40, 5};
    char note_text[] = "a note";
    const struct rwkv7_bytes note = {note_text, sizeof note_text};
    struct rwkv7_bytes image, back;
    struct rwkv7_session *const a = new_session(), *const b = new_session(), *const zero = new_session();
    CHECK(rwkv7_session_eval(a, ids, 5, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_save_memory(a, &note, &image, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_load_memory(b, image.data, image.size, &back, NULL) == RWKV7_OK && same_state(a, b));
    CHECK(back.size == note.size && memcmp(back.data, note.data, note.size) == 0);
    rwkv7_bytes_clear(&back);
    CHECK(!back.data && back.size == 0);
    rwkv7_session_reset(b);
    for (size_t i = 0; i < image.size; i += 97) {
        char *const byte = (char *)image.data + i;
        *byte ^= 1;
        CHECK(rwkv7_session_load_memory(b, image.data, image.size, NULL, NULL) == RWKV7_ERR_STATE);
        *byte ^= 1;
        CHECK(rwkv7_session_load_memory(b, image.data, i, NULL, NULL) == RWKV7_ERR_STATE);
    }
    CHECK(same_state(b, zero));
    rwkv7_bytes_clear(&image);
    rwkv7_session_close(a);
    rwkv7_session_close(b);
    rwkv7_session_close(zero);
}

/* A generator that is saved to memory and loaded again continues the same text. */
static void test_generator_memory(void)
{
    static struct text whole, parts;
    const struct rwkv7_generator_options opt = {.sampling = &sampling, .ignore_end = true, .max_tokens = 40};
    struct rwkv7_bytes image;
    struct rwkv7_error err = {.message = ""};
    text_with(&opt, &whole, 40);
    struct rwkv7_session *const a = new_session(), *const b = new_session();
    struct rwkv7_generator *const first = new_generator(a, &opt), *const second = new_generator(b, &opt);
    feed(first, prompt);
    write_all(first, &parts, 15);
    CHECK_MSG(rwkv7_generator_save_memory(first, &image, &err) == RWKV7_OK, "%s", err.message);
    CHECK(rwkv7_generator_load_memory(second, image.data, image.size - 1, &err) == RWKV7_ERR_STATE);
    CHECK(strstr(err.message, "in memory") != NULL);
    CHECK_MSG(rwkv7_generator_load_memory(second, image.data, image.size, &err) == RWKV7_OK, "%s", err.message);
    rwkv7_bytes_clear(&image);
    write_all(second, &parts, 25);
    CHECK(whole.size == parts.size && memcmp(whole.at, parts.at, whole.size) == 0);
    rwkv7_generator_close(first);
    rwkv7_generator_close(second);
    rwkv7_session_close(a);
    rwkv7_session_close(b);
}

/* -------------------------------------------------------------------------------------------------- cancelling, log */

static bool count_down(void *arg, uint64_t done, uint64_t total)
{
    int *const left = arg;
    CHECK(done <= total);
    return (*left)-- > 0;
}

static void test_cancel_eval(void)
{
    enum { COUNT = 3 * RWKV7_CHUNK + 5 };
    static uint32_t ids[COUNT];
    static float logits[VOCAB];
    struct rwkv7_session *const s = new_session(), *const want = new_session();
    struct rwkv7_error err;
    int left = 2;
    for (size_t i = 0; i < COUNT; i++)
        ids[i] = (uint32_t)(1 + i % 40);
    rwkv7_session_set_progress(s, count_down, &left);
    CHECK(rwkv7_session_eval(s, ids, COUNT, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_ERR_STOPPED);
    CHECK(rwkv7_session_tokens(s) == 2 * RWKV7_CHUNK);
    rwkv7_session_set_progress(s, NULL, NULL);
    CHECK(rwkv7_session_eval(s, ids + 2 * RWKV7_CHUNK, COUNT - 2 * RWKV7_CHUNK, RWKV7_LOGITS_LAST, logits, &err) ==
          RWKV7_OK);
    CHECK(rwkv7_session_eval(want, ids, COUNT, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_OK && same_state(s, want));
    rwkv7_session_close(s);
    rwkv7_session_close(want);
}

/* The progress callback can cancel every way of loading; nothing is returned then. */
static void test_cancel_open(void)
{
    const struct {
        const char *file;
        enum rwkv7_weights weights;
        enum rwkv7_sparse sparse;
    } ways[] = {
        {"bf16_n64.safetensors", RWKV7_WEIGHTS_Q8, RWKV7_SPARSE_AUTO},
        {"bf16_n64.safetensors", RWKV7_WEIGHTS_Q4, RWKV7_SPARSE_OFF},
        {"bf16_n64.safetensors", RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_ON},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char path[1000];
        int calls = 1000;
        struct rwkv7_model_options opt = RWKV7_OPTIONS(opt);
        struct rwkv7_model *m = NULL;
        struct rwkv7_error err = {.message = ""};
        snprintf(path, sizeof path, TEST_DIR "/golden/data/%s", ways[i].file);
        opt.weights = ways[i].weights;
        opt.sparse = ways[i].sparse;
        opt.progress = count_down;
        opt.progress_arg = &calls;
        CHECK_MSG(rwkv7_model_open(rt, path, &opt, &m, &err) == RWKV7_OK, "%s", err.message);
        CHECK(calls < 1000);
        rwkv7_model_close(m);
        calls = 0;
        CHECK(rwkv7_model_open(rt, path, &opt, &m, &err) == RWKV7_ERR_STOPPED && !m);
    }
}

struct log {
    int lines[2]; /* of each level */
    char last[256];
};

static void write_log(void *arg, enum rwkv7_log_level level, const char *text)
{
    struct log *const log = arg;
    log->lines[level]++;
    CHECK(!strchr(text, '\n') && text[0]);
    snprintf(log->last, sizeof log->last, "%s", text);
}

static void test_log(void)
{
    struct log log = {0};
    const struct rwkv7_runtime_options opt = {
        .struct_size = sizeof opt, .threads = 1, .cpu = "ref", .log = write_log, .log_arg = &log};
    struct rwkv7_runtime *runtime = NULL;
    struct rwkv7_model *m = NULL;
    CHECK(rwkv7_runtime_create(&opt, &runtime, NULL) == RWKV7_OK);
    CHECK_STR(log.last, "runtime: kernels ref, threads 1");
    CHECK(rwkv7_model_open(runtime, TEST_DIR "/golden/data/bf16_n64.safetensors", NULL, &m, NULL) == RWKV7_OK);
    CHECK(log.lines[RWKV7_LOG_INFO] == 2 && log.lines[RWKV7_LOG_WARNING] == 0 && strstr(log.last, "RWKV-7"));
    rwkv7_model_close(m);
    rwkv7_runtime_close(runtime);
}

int main(void)
{
    open_small_model();
    RUN(test_version);
    RUN(test_status_names);
    RUN(test_layouts);
    RUN(test_options);
    RUN(test_every_options);
    RUN(test_enums);
    RUN(test_session_memory);
    RUN(test_generator_memory);
    RUN(test_cancel_eval);
    RUN(test_cancel_open);
    RUN(test_log);
    close_small_model();
    return test_end();
}
