/*
 * test_gguf.c - GGUF files: the corpus with its expected messages, every block type, token lists,
 * models in llama.cpp's form against the same weights in safetensors, many tensors, and out of
 * memory.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "corpus.h"
#include "fingerprint.h"
#include "gguf_writer.h"
#include "golden/golden.h"
#include "test.h"

#define CORPUS TEST_DIR "/corpus/gguf/"

static char temporary[] = "/tmp/rwkv7-test-XXXXXX.gguf", other[] = "/tmp/rwkv7-test-XXXXXX.gguf";
static struct rwkv7_runtime *rt;

static void test_corpus(void)
{
    check_corpus(CORPUS, 60);
}

static struct tensor_index *open_file(const char *path)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(tensors_open(path, &index, &err) == RWKV7_OK, "%s: %s", path, err.message);
    if (!index)
        exit(1);
    return index;
}

static void test_metadata(void)
{
    static const char *const expected[][2] = {
        {"key 0", "255"},
        {"key 1", "-128"},
        {"key 2", "65535"},
        {"key 3", "-32768"},
        {"key 4", "4294967295"},
        {"key 5", "-2147483648"},
        {"key 6", "9.99999975e-06"},
        {"key 7", "true"},
        {"key 8", "é"},
        {"key 10", "18446744073709551615"},
        {"key 11", "-9223372036854775808"},
        {"key 12", "1.0000000000000001e-05"},
        {"array 0", "[2 numbers]"},
        {"array 8", "[2 strings]"},
        {"empty", "[0 strings]"},
        {"", ""},
    };
    struct tensor_index *index = open_file(CORPUS "ok_metadata.gguf");
    CHECK(index->metadata_count == 26 && index->count == 0 && !index->vocab);
    CHECK_STR(index->container, "GGUF");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const char *value = tensors_metadata(index, expected[i][0]);
        CHECK_STR(value ? value : "(none)", expected[i][1]);
    }
    CHECK(!tensors_metadata(index, "key 9"));
    tensors_close(index);
}

/* Axes are reversed; data are at the expected offsets. */
static void test_tensors(void)
{
    struct tensor_index *index = open_file(CORPUS "ok_four_axes.gguf");
    const struct tensor *t = tensors_find(index, "x");
    CHECK(t && t->rank == 4 && t->shape[0] == 6 && t->shape[1] == 1 && t->shape[2] == 1 && t->shape[3] == 4);
    CHECK(t && t->type == DT_F32 && t->bytes == 96 && (t->data - index->files[0].data) % 32 == 0);
    tensors_close(index);
    index = open_file(CORPUS "ok_alignment.gguf");
    const struct tensor *x = tensors_find(index, "x"), *y = tensors_find(index, "y");
    CHECK(x && y && *x->data == 'a' && *y->data == 'b' && y->data - x->data == 256);
    tensors_close(index);
}

/* Every block type against numbers computed in Python (make_gguf_corpus.py), bit for bit. */
static void test_blocks(void)
{
    struct tensor_index *index = open_file(CORPUS "ok_blocks.gguf");
    for (enum dtype type = DT_PLAIN; type < DT_PACKED; type++) {
        float row[512];
        char name[32];
        snprintf(name, sizeof name, "%s.floats", dtype_name(type));
        const struct tensor *t = tensors_find(index, dtype_name(type)), *floats = tensors_find(index, name);
        CHECK_MSG(t && t->type == type && t->shape[0] == 3 && t->shape[1] == 512 && floats, "%s", dtype_name(type));
        for (uint64_t i = 0; t && floats && i < 3; i++) {
            float expected[512];
            tensor_row(floats, i, expected);
            tensor_row(t, i, row);
            size_t wrong = 0;
            for (size_t k = 0; k < 512; k++)
                wrong += !(row[k] == expected[k]); /* -0 and +0 are equal */
            CHECK_MSG(wrong == 0, "%s, row %d: %zu numbers", dtype_name(type), (int)i, wrong);
        }
    }
    tensors_close(index);
}

static void test_tokens(void)
{
    static const char expected[] =
        "1 b'\\x00' 1\n2 b'\\'' 1\n3 b'\"' 1\n4 b'\\'\"' 2\n5 b'\\\\' 1\n6 b'\\n' 1\n7 b'a b' 3\n";
    struct tensor_index *index = open_file(CORPUS "ok_tokens.gguf");
    CHECK(index->vocab && index->vocab_size == sizeof expected - 1);
    CHECK_MSG(index->vocab && memcmp(index->vocab, expected, index->vocab_size) == 0, "%.*s", (int)index->vocab_size,
              index->vocab);
    tensors_close(index);

    struct rwkv7_tokenizer *t = NULL;
    struct rwkv7_error err = {0};
    uint32_t ids[8];
    size_t count = 0, covered;
    CHECK_MSG(rwkv7_tokenizer_open_model(CORPUS "ok_tokens.gguf", &t, &err) == RWKV7_OK && t, "%s", err.message);
    CHECK(t && rwkv7_tokenizer_encode(t, "a b'\"\n\\", 7, true, ids, 8, &count, &covered, NULL) == RWKV7_OK);
    CHECK(count == 4 && ids[0] == 7 && ids[1] == 4 && ids[2] == 6 && ids[3] == 5);
    CHECK(t && rwkv7_tokenizer_has_end_of_text(t));
    rwkv7_tokenizer_close(t);
    CHECK(rwkv7_tokenizer_open_model(CORPUS "ok_one.gguf", &t, &err) == RWKV7_OK && !t);

    /* A token that tries to forge a second line, and one with an invalid escape. */
    static const char *const bad[][2] = {{"<s>", "a' 1\n2 b'b"}, {"<s>", "\\q"}};
    for (size_t i = 0; i < 2; i++) {
        const struct gguf_value values[] = {{.key = "tokenizer.ggml.model", .string = "rwkv"},
                                            {.key = "tokenizer.ggml.tokens", .strings = bad[i], .count = 2}};
        CHECK(gguf_write(temporary, values, 2, NULL, 0));
        CHECK(rwkv7_tokenizer_open_model(temporary, &t, &err) == RWKV7_ERR_VOCAB && !t);
        CHECK_MSG(strstr(err.message, ".gguf, its tokens:1: "), "%s", err.message);
    }
}

/* --------------------------------------------------------------------------------------- models */

static struct rwkv7_model *open_model(const char *path, enum rwkv7_weights weights, enum rwkv7_sparse sparse)
{
    const struct rwkv7_model_options opt = {.weights = weights, .sparse = sparse};
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_model_open(rt, path, &opt, &model, &err) == RWKV7_OK, "%s", err.message);
    if (!model)
        exit(1);
    return model;
}

/* [count][V], evaluated together or singly. The caller frees it. */
static float *logits_of(struct rwkv7_model *model, const uint32_t *tokens, size_t count, bool single)
{
    const size_t vocab = (size_t)rwkv7_model_info(model)->shape.vocab;
    float *logits = malloc(count * vocab * sizeof *logits);
    struct rwkv7_session *s = NULL;
    if (!logits || rwkv7_session_create(model, &s, NULL) != RWKV7_OK)
        exit(1);
    for (size_t i = 0; single && i < count; i++)
        CHECK(rwkv7_session_eval(s, tokens + i, 1, RWKV7_LOGITS_LAST, logits + i * vocab, NULL) == RWKV7_OK);
    CHECK(single || rwkv7_session_eval(s, tokens, count, RWKV7_LOGITS_ALL, logits, NULL) == RWKV7_OK);
    rwkv7_session_close(s);
    return logits;
}

static bool same_logits(struct rwkv7_model *a, struct rwkv7_model *b, const uint32_t *tokens, size_t count, bool single)
{
    float *x = logits_of(a, tokens, count, false), *y = logits_of(b, tokens, count, single);
    const bool same = memcmp(x, y, count * (size_t)rwkv7_model_info(a)->shape.vocab * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

/* The golden models in llama.cpp's form give the same logits, bit for bit. */
static void test_golden_models(void)
{
    struct golden g;
    int models = 0;
    for (int i = 0; golden_open(i, &g); i++) {
        struct tensor_index *original = open_file(g.model);
        /* llama.cpp supports neither x070a nor RWKV-5 nor the extended rate. */
        if (tensors_find(original, "blocks.0.att.r_k") && !tensors_find(original, "blocks.0.ffn.s0") &&
            !tensors_metadata(original, "rwkv7.rate_scale")) {
            CHECK(gguf_write_model(temporary, original, NULL, 0));
            struct rwkv7_model *a = open_model(g.model, RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_AUTO),
                               *b = open_model(temporary, RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_AUTO);
            const struct rwkv7_model_info *info = rwkv7_model_info(b);
            CHECK_STR(info->container, "GGUF");
            CHECK_STR(info->naming, "llama.cpp");
            CHECK(info->copied_bytes == 0 && info->ignored_tensors == 3);
            CHECK(memcmp(&info->shape, &rwkv7_model_info(a)->shape, sizeof info->shape) == 0);
            CHECK_MSG(same_logits(a, b, g.tokens, (size_t)g.count, false), "%s", g.model);
            rwkv7_model_close(a);
            rwkv7_model_close(b);
            models++;
        }
        tensors_close(original);
        golden_close(&g);
    }
    CHECK(models >= 4);
}

/* ----------------------------------------------------------------------------- models in blocks */

enum { VOCAB = 61, LAYERS = 2, CHANNELS = 256, WIDE = 512, RANK = 32, COUNT = 20 };

static uint64_t random_bits(void)
{
    static uint64_t state = 5;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 27;
}

/* Random integers with scales that give numbers of a usual size. */
static void fill_blocks(enum dtype type, uint8_t *data, uint64_t bytes)
{
    const size_t size = dtype_bits(type) / 8;
    const bool two_scales = type == DT_Q4_K || type == DT_Q5_K || type == DT_Q2_K; /* each the product of two scales */
    const uint16_t scale = type == DT_Q8_0 || type == DT_IQ4_NL                                    ? 0x0c00
                           : two_scales || type == DT_Q6_K || type == DT_Q3_K || type == DT_IQ4_XS ? 0x0100
                                                                                                   : 0x1800;
    const size_t place = type == DT_Q6_K ? 208 : type == DT_Q3_K ? 108 : type == DT_Q2_K ? 80 : 0;
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(random_bits() >> 40);
    for (uint8_t *b = data; b < data + bytes; b += size) {
        uint8_t *d = b + place;
        d[0] = (uint8_t)scale;
        d[1] = (uint8_t)(scale >> 8);
        if (two_scales || type == DT_Q4_1 || type == DT_Q5_1) {
            d[2] = (uint8_t)scale;
            d[3] = (uint8_t)(scale >> 8);
        }
    }
}

/* Creates a matrix of random numbers in a type; `floats` receives the same numbers as float32. */
static void make_matrix(const char *name, enum dtype type, uint64_t rows, uint64_t cols, struct tensor *t,
                        struct tensor *floats)
{
    *t = (struct tensor){.name = name, .type = type, .rank = 2, .shape = {rows, cols}};
    t->bytes = rows * cols / dtype_block(type) * (dtype_bits(type) / 8);
    *floats = *t;
    floats->type = DT_F32;
    floats->bytes = 4 * rows * cols;
    t->data = malloc((size_t)t->bytes);
    floats->data = malloc((size_t)floats->bytes);
    if (!t->data || !floats->data)
        exit(1);
    if (dtype_block(type) > 1)
        fill_blocks(type, (uint8_t *)t->data, t->bytes);
    else
        for (uint64_t i = 0; i < rows * cols; i++)
            ((float *)(void *)t->data)[i] = (float)(int64_t)(random_bits() >> 40) * 0x1p-27f - 0x1p-4f;
    for (uint64_t i = 0; i < rows; i++)
        tensor_row(t, i, (float *)(void *)floats->data + i * cols);
}

struct models {
    char names[256][64];
    struct tensor blocks[256], floats[256]; /* the same numbers */
    size_t count;
};

static void add(struct models *m, int layer, const char *name, enum dtype type, uint64_t rows, uint64_t cols)
{
    char *full = m->names[m->count];
    if (layer < 0)
        snprintf(full, sizeof m->names[0], "%s", name);
    else
        snprintf(full, sizeof m->names[0], "blk.%d.%s", layer, name);
    make_matrix(full, type, rows, cols, &m->blocks[m->count], &m->floats[m->count]);
    if (rows == 1) {
        m->blocks[m->count].rank = m->floats[m->count].rank = 1;
        m->blocks[m->count].shape[0] = m->floats[m->count].shape[0] = cols;
    }
    m->count++;
}

/* type_of returns the type of the n-th matrix of a model. */
static void make_models(struct models *m, enum dtype (*type_of)(int n, uint64_t cols))
{
    static const char *const vectors[] = {"attn_norm.weight",         "attn_norm.bias",      "attn_norm_2.weight",
                                          "attn_norm_2.bias",         "time_mix_ln.weight",  "time_mix_ln.bias",
                                          "time_mix_w0.weight",       "time_mix_a0.weight",  "time_mix_v0.weight",
                                          "time_mix_k_k.weight",      "time_mix_k_a.weight", "time_mix_r_k.weight",
                                          "channel_mix_lerp_k.weight"};
    static const char *const squares[] = {"time_mix_receptance.weight", "time_mix_key.weight", "time_mix_value.weight",
                                          "time_mix_output.weight"};
    static const char *const outer[] = {"token_embd_norm.weight", "token_embd_norm.bias", "output_norm.weight",
                                        "output_norm.bias"};
    int n = 0;
    m->count = 0;
    add(m, -1, "token_embd.weight", type_of(n++, CHANNELS), VOCAB, CHANNELS);
    add(m, -1, "output.weight", type_of(n++, CHANNELS), VOCAB, CHANNELS);
    for (size_t i = 0; i < 4; i++)
        add(m, -1, outer[i], DT_F32, 1, CHANNELS);
    for (int layer = 0; layer < LAYERS; layer++) {
        for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
            add(m, layer, vectors[i], DT_F32, 1, CHANNELS);
        for (size_t i = 0; i < 4; i++)
            add(m, layer, squares[i], type_of(n++, CHANNELS), CHANNELS, CHANNELS);
        add(m, layer, "channel_mix_key.weight", type_of(n++, CHANNELS), WIDE, CHANNELS);
        add(m, layer, "channel_mix_value.weight", type_of(n++, WIDE), CHANNELS, WIDE);
        add(m, layer, "time_mix_lerp_fused.weight", DT_F32, 6, CHANNELS);
        for (const char *letter = "wavg"; *letter; letter++) {
            char name[32];
            snprintf(name, sizeof name, "time_mix_%c1.weight", *letter);
            add(m, layer, name, type_of(n++, CHANNELS), RANK, CHANNELS);
            snprintf(name, sizeof name, "time_mix_%c2.weight", *letter);
            add(m, layer, name, type_of(n++, RANK), CHANNELS, RANK);
        }
    }
    static const struct gguf_value values[] = {{.key = "general.architecture", .string = "rwkv7"},
                                               {.key = "rwkv7.wkv.head_size", .number = 64}};
    CHECK(gguf_write(temporary, values, 2, m->blocks, m->count));
    CHECK(gguf_write(other, values, 2, m->floats, m->count));
}

static void free_models(struct models *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free((void *)m->blocks[i].data);
        free((void *)m->floats[i].data);
    }
}

static enum dtype all_types(int n, uint64_t cols)
{
    const enum dtype type = (enum dtype)(DT_PLAIN + n % (DT_PACKED - DT_PLAIN));
    return cols % dtype_block(type) == 0 ? type : DT_Q8_0;
}

static enum dtype every_other(int n, uint64_t cols)
{
    return n % 2 ? all_types(n / 2, cols) : DT_F32;
}

static enum dtype every_other_but_first(int n, uint64_t cols)
{
    return n % 2 ? DT_F32 : all_types(n / 2, cols);
}

static void test_blocks_in_models(void)
{
    static struct models m;
    uint32_t tokens[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        tokens[i] = (uint32_t)(i * 7 % VOCAB);

    /* Quantizing blocks gives the same integers as quantizing the numbers in them. */
    make_models(&m, all_types);
    for (enum rwkv7_weights weights = RWKV7_WEIGHTS_Q8; weights < RWKV7_WEIGHTS_COUNT; weights++) {
        struct rwkv7_model *a = open_model(temporary, weights, RWKV7_SPARSE_AUTO),
                           *b = open_model(other, weights, RWKV7_SPARSE_AUTO);
        CHECK_MSG(same_logits(a, b, tokens, COUNT, false), "weights %d", (int)weights);
        CHECK(have_same_fingerprint(a, b));
        rwkv7_model_close(a);
        rwkv7_model_close(b);
    }

    /* As stored: the embedding in its blocks, everything else in 8 bits. */
    struct rwkv7_model *a = open_model(temporary, RWKV7_WEIGHTS_STORED, RWKV7_SPARSE_AUTO),
                       *b = open_model(temporary, RWKV7_WEIGHTS_Q8, RWKV7_SPARSE_OFF);
    const struct rwkv7_model_info *info = rwkv7_model_info(a);
    CHECK(info->type_parameters[RWKV7_GGML] == VOCAB * CHANNELS && info->type_parameters[RWKV7_Q4] == 0);
    CHECK(info->type_parameters[RWKV7_Q8] > 12 * CHANNELS * CHANNELS);
    CHECK(info->weight_bytes < 2 * info->parameters);
    CHECK(same_logits(a, b, tokens, COUNT, false));
    rwkv7_model_close(a);
    rwkv7_model_close(b);
    free_models(&m);

    /* Floats and integers in one model. */
    enum dtype (*const mixtures[])(int, uint64_t) = {every_other, every_other_but_first};
    for (size_t i = 0; i < 2; i++) {
        make_models(&m, mixtures[i]);
        for (enum rwkv7_sparse sparse = RWKV7_SPARSE_AUTO; sparse <= RWKV7_SPARSE_OFF; sparse++) {
            a = open_model(temporary, RWKV7_WEIGHTS_STORED, sparse);
            info = rwkv7_model_info(a);
            CHECK(info->type_parameters[RWKV7_Q8] > 0 && info->type_parameters[RWKV7_F32] > CHANNELS * CHANNELS);
            CHECK_MSG(same_logits(a, a, tokens, COUNT, true), "mixture %zu, sparse %d", i, (int)sparse);
            rwkv7_model_close(a);
        }
        free_models(&m);
    }
}

/* Required metadata of a model. */
static void test_refused_models(void)
{
    static const struct {
        struct gguf_value values[2];
        const char *expected;
    } cases[] = {
        {{{.key = "general.architecture", .string = "rwkv6"}, {.key = "rwkv7.wkv.head_size", .number = 64}},
         "tensor 'blk.0.time_mix_first.weight' is missing"},
        {{{.key = "rwkv7.wkv.head_size", .number = 48}, {.key = "x", .number = 1}},
         "metadata 'rwkv7.wkv.head_size': expected a divisor of 256 channels, found 48"},
        {{{.key = "rwkv7.wkv.head_size", .string = "-64"}, {.key = "x", .number = 1}}, "of 256 channels, found -64"},
        {{{.key = "x", .number = 1}, {.key = "y", .number = 1}}, "of 256 channels, found nothing"},
        {{{.key = "rwkv7.wkv.head_size", .number = 64}, {.key = "rwkv7.block_count", .number = 3}},
         "metadata 'rwkv7.block_count': found 3, expected 2 as in the tensors"},
        {{{.key = "rwkv7.wkv.head_size", .number = 64}, {.key = "rwkv7.attention.layer_norm_epsilon", .real = -1}},
         "metadata 'rwkv7.attention.layer_norm_epsilon': expected a number between 0 and 1, found -1"},
    };
    static struct models m;
    make_models(&m, all_types);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rwkv7_model *model = NULL;
        struct rwkv7_error err = {0};
        CHECK(gguf_write(temporary, cases[i].values, 2, m.blocks, m.count));
        CHECK(rwkv7_model_open(rt, temporary, NULL, &model, &err) == RWKV7_ERR_MODEL);
        CHECK_MSG(strstr(err.message, cases[i].expected), "%s", err.message);
    }
    free_models(&m);
}

/* --------------------------------------------------------------------------------------- limits */

static void test_many_tensors(void)
{
    enum { TENSORS = 100000 }; /* enough for quadratic time to be noticed */
    struct tensor *tensors = calloc(TENSORS, sizeof *tensors);
    char(*names)[16] = calloc(TENSORS, sizeof *names);
    if (!tensors || !names)
        exit(1);
    for (size_t i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof *names, "t%zu", i * 7919 % TENSORS); /* unsorted */
        tensors[i] = (struct tensor){.name = names[i],
                                     .type = DT_F16,
                                     .rank = 1,
                                     .shape = {1},
                                     .data = (const uint8_t *)names[i] + 2,
                                     .bytes = 2};
    }
    CHECK(gguf_write(temporary, NULL, 0, tensors, TENSORS));
    struct tensor_index *index = open_file(temporary);
    size_t right = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        const struct tensor *t = tensors_find(index, names[i]);
        right += t && t->bytes == 2 && memcmp(t->data, names[i] + 2, 2) == 0;
    }
    CHECK(right == TENSORS);
    tensors_close(index);
    free(tensors);
    free(names);
}

/*
 * Makes each allocation of an open fail in turn, until one succeeds. The sanitizer build finds
 * leaks.
 */
static void test_out_of_memory(void)
{
    static struct models m;
    make_models(&m, every_other);
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    long n = 0;
    for (; n < 500 && status == RWKV7_ERR_MEMORY; n++) {
        struct rwkv7_model *model = NULL;
        mem_fail_after(n);
        status = rwkv7_model_open(rt, temporary, NULL, &model, NULL);
        mem_fail_after(-1);
        CHECK((status == RWKV7_OK) == (model != NULL));
        rwkv7_model_close(model);
    }
    CHECK_MSG(status == RWKV7_OK && n > 20, "status %d, allocation %ld", (int)status, n);
    free_models(&m);
    status = RWKV7_ERR_MEMORY;
    for (n = 0; n < 100 && status == RWKV7_ERR_MEMORY; n++) {
        struct rwkv7_tokenizer *t = NULL;
        mem_fail_after(n);
        status = rwkv7_tokenizer_open_model(CORPUS "ok_tokens.gguf", &t, NULL);
        mem_fail_after(-1);
        CHECK((status == RWKV7_OK) == (t != NULL));
        rwkv7_tokenizer_close(t);
    }
    CHECK_MSG(status == RWKV7_OK && n > 10, "status %d, allocation %ld", (int)status, n);
}

int main(void)
{
    const struct rwkv7_runtime_options threads = {.threads = 2};
    const int fds[] = {mkstemps(temporary, 5), mkstemps(other, 5)};
    if (fds[0] < 0 || fds[1] < 0 || close(fds[0]) != 0 || close(fds[1]) != 0 ||
        rwkv7_runtime_create(&threads, &rt, NULL) != RWKV7_OK)
        return 1;
    RUN(test_corpus);
    RUN(test_metadata);
    RUN(test_tensors);
    RUN(test_blocks);
    RUN(test_tokens);
    RUN(test_golden_models);
    RUN(test_blocks_in_models);
    RUN(test_refused_models);
    RUN(test_many_tensors);
    RUN(test_out_of_memory);
    rwkv7_runtime_close(rt);
    remove(temporary);
    remove(other);
    return test_end();
}
