/*
 * test_convert.c - conversion to one safetensors file: the numbers of every type, the same integer
 * bytes as quantization during loading, inputs that are rejected, and no files left after a
 * failure.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/rwkv7.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/sys.h"
#include "fingerprint.h"
#include "formats/packed.h"
#include "gguf_writer.h"
#include "pth_writer.h"
#include "test.h"
#include "weights/model.h"

#define MODELS TEST_DIR "/golden/data/"

static struct rwkv7_runtime *rt;
static char folder[] = "/tmp/rwkv7-convert-XXXXXX", result[64];

static bool left_over(void)
{
    return rmdir(folder) != 0 || mkdir(folder, 0700) != 0;
}

static enum rwkv7_status convert(const char *from, enum rwkv7_type type, struct rwkv7_error *err)
{
    const struct rwkv7_convert_options opt = {.type = type == RWKV7_TYPES ? NULL : rwkv7_type_name(type)};
    return rwkv7_convert(rt, from, result, &opt, err);
}

static struct rwkv7_model *open_model(const char *path, enum rwkv7_weights weights)
{
    struct rwkv7_error err = {0};
    struct rwkv7_model *model = NULL;
    const struct rwkv7_model_options opt = {.weights = weights};
    const enum rwkv7_status status = rwkv7_model_open(rt, path, &opt, &model, &err);
    CHECK_MSG(status == RWKV7_OK, "%s: %s", path, err.message);
    if (!model)
        exit(1);
    return model;
}

/* --- numbers --- */

static void test_halves(void)
{
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float f = f16_to_f32((uint16_t)bits), b = bf16_to_f32((uint16_t)bits);
        wrong += isnan(f) ? !isnan(f16_to_f32(f32_to_f16(f))) : f32_to_f16(f) != bits;
        wrong += isnan(b) ? !isnan(bf16_to_f32(f32_to_bf16(b))) : f32_to_bf16(b) != bits;
        /*
         * A tie between two numbers goes to the even one; slightly more or less goes to the nearer
         * one.
         */
        const float f_next = f16_to_f32((uint16_t)(bits + 1)), b_next = bf16_to_f32((uint16_t)(bits + 1));
        if ((bits & 0x7fff) < 0x7bff) {
            const float middle = 0.5f * (f + f_next);
            wrong += f32_to_f16(middle) != bits + (bits & 1);
            wrong += f32_to_f16(nextafterf(middle, f)) != bits || f32_to_f16(nextafterf(middle, f_next)) != bits + 1;
        }
        if ((bits & 0x7fff) < 0x7f7f && (bits & 0x7fff) > 0x80) {
            const float middle = (float)(0.5 * ((double)b + (double)b_next));
            wrong += f32_to_bf16(middle) != bits + (bits & 1);
            wrong += f32_to_bf16(nextafterf(middle, b)) != bits || f32_to_bf16(nextafterf(middle, b_next)) != bits + 1;
        }
    }
    CHECK(wrong == 0);
    CHECK(f32_to_f16(65519.0f) == 0x7bff && f32_to_f16(65520.0f) == 0x7c00 && f32_to_f16(-1e30f) == 0xfc00);
}

static float number(const struct mat *m, int i)
{
    const uint16_t half = m->type == MAT_F32 ? 0 : ((const uint16_t *)m->data)[i];
    return m->type == MAT_F32 ? ((const float *)m->data)[i] : (m->type == MAT_F16 ? f16_to_f32 : bf16_to_f32)(half);
}

static void test_floats(void)
{
    static const char *const files[] = {MODELS "f32_n32.safetensors", MODELS "bf16_n64.safetensors",
                                        MODELS "bf16_fla_fused.safetensors"};
    for (size_t f = 0; f < 3; f++) {
        struct rwkv7_model *from = open_model(files[f], RWKV7_WEIGHTS_STORED);
        for (enum rwkv7_type type = RWKV7_F32; type <= RWKV7_BF16; type++) {
            CHECK(convert(files[f], type, NULL) == RWKV7_OK);
            struct rwkv7_model *to = open_model(result, RWKV7_WEIGHTS_STORED);
            const struct mat *pairs[][2] = {{&from->outer.head, &to->outer.head},
                                            {&from->outer.emb, &to->outer.emb},
                                            {&rwkv7_layers(from)[1].ffn_value, &rwkv7_layers(to)[1].ffn_value},
                                            {&rwkv7_layers(from)[1].v1, &rwkv7_layers(to)[1].v1},
                                            {&rwkv7_layers(from)[0].w2, &rwkv7_layers(to)[0].w2}};
            int wrong = 0;
            for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
                CHECK(pairs[p][1]->type == (enum mat_type)type && pairs[p][1]->rows == pairs[p][0]->rows);
                for (int i = 0; i < pairs[p][0]->rows * pairs[p][0]->cols; i++) {
                    const float x = number(pairs[p][0], i);
                    const float want = type == RWKV7_F32   ? x
                                       : type == RWKV7_F16 ? f16_to_f32(f32_to_f16(x))
                                                           : bf16_to_f32(f32_to_bf16(x));
                    wrong += number(pairs[p][1], i) != want;
                }
            }
            const size_t vector = (size_t)from->shape.channels * sizeof(float);
            wrong += memcmp(rwkv7_layers(from)[1].x_g, rwkv7_layers(to)[1].x_g, vector) != 0;
            wrong += memcmp(rwkv7_layers(from)[1].r_k, rwkv7_layers(to)[1].r_k, vector) != 0;
            CHECK(wrong == 0 && to->info.copied_bytes == 0);
            rwkv7_model_close(to);
        }
        rwkv7_model_close(from);
    }
    unlink(result);
}

/*
 * Quantization during loading and conversion give the same bytes; the latter are used from the
 * file.
 */
static void test_integers(void)
{
    static const char *const files[] = {MODELS "f32_n32.safetensors", MODELS "bf16_n64.safetensors",
                                        MODELS "f16_n128.safetensors"};
    for (size_t f = 0; f < 3; f++)
        for (enum rwkv7_weights w = RWKV7_WEIGHTS_Q8; w < RWKV7_WEIGHTS_COUNT; w++) {
            CHECK(convert(files[f], (enum rwkv7_type)weights_type(w), NULL) == RWKV7_OK);
            struct rwkv7_model *made = open_model(files[f], w), *found = open_model(result, RWKV7_WEIGHTS_STORED);
            int wrong = 0;
            struct weight at = WEIGHT_BEFORE_FIRST;
            while (weight_next(made->weights, &made->shape, &at)) {
                const struct mat *a = weight_mat(made, &at), *b = weight_mat(found, &at);
                if (at.layer < 0 || kind_is_vector(at.spec->kind) || !a->data)
                    continue;
                wrong += a->type != b->type || a->by_column != b->by_column || mat_bytes(a) != mat_bytes(b) ||
                         (uintptr_t)b->data % 64 != 0 || memcmp(a->data, b->data, mat_bytes(a)) != 0;
            }
            const struct mat *a = &made->outer.head, *b = &found->outer.head;
            CHECK(wrong == 0 && a->type == b->type && memcmp(a->data, b->data, mat_bytes(a)) == 0);
            /*
             * Data after a matrix whose size is no multiple of 64 must be copied (docs/FORMATS.md).
             */
            const bool aligned = mat_bytes(&rwkv7_layers(made)[0].ffn_value) % 64 == 0;
            CHECK(found->outer.emb.type < MAT_FLOATS && (found->info.copied_bytes == 0) == aligned);
            CHECK(have_same_fingerprint(made, found));
            rwkv7_model_close(made);
            rwkv7_model_close(found);
        }
    /* A quantized file may be copied but not converted to another type. */
    struct rwkv7_error err;
    char other[80], already[80];
    snprintf(other, sizeof other, "%s/other", folder);
    snprintf(already, sizeof already, "already quantized to %s", rwkv7_type_name((enum rwkv7_type)(MAT_TYPES - 1)));
    const struct rwkv7_convert_options same = {.type = NULL}, q8 = {.type = "q8"};
    CHECK(rwkv7_convert(rt, result, other, &same, NULL) == RWKV7_OK);
    struct file_map first, second;
    CHECK(file_map_open(result, &first, NULL) == RWKV7_OK && file_map_open(other, &second, NULL) == RWKV7_OK);
    CHECK(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    file_map_close(&first);
    file_map_close(&second);
    unlink(other);
    CHECK(rwkv7_convert(rt, result, other, &q8, &err) == RWKV7_ERR_USAGE && strstr(err.message, "already quantized"));
    struct rwkv7_model *model;
    const struct rwkv7_model_options opt = {.weights = RWKV7_WEIGHTS_Q8};
    CHECK(rwkv7_model_open(rt, result, &opt, &model, &err) == RWKV7_ERR_USAGE && strstr(err.message, already));
    unlink(result);
    CHECK(!left_over());
}

/* The same weights from other file formats give the same file except for its metadata. */
static void test_containers(void)
{
    static const char source[] = MODELS "bf16_n64.safetensors";
    struct tensor_index *index = NULL;
    char other[80];
    snprintf(other, sizeof other, "%s/other", folder);
    CHECK(tensors_open(source, &index, NULL) == RWKV7_OK);
    for (enum rwkv7_type type = RWKV7_BF16; index && type < RWKV7_GGML; type++) {
        CHECK(convert(source, type, NULL) == RWKV7_OK);
        struct rwkv7_model *want = open_model(result, RWKV7_WEIGHTS_STORED);
        CHECK(convert(source, type, NULL) == RWKV7_ERR_USAGE); /* the file of an open model is not overwritten */
        unlink(result);
        for (int k = 0; k < 2; k++) {
            CHECK(k == 0 ? pth_write(other, index->tensors, index->count) : gguf_write_model(other, index, NULL, 0));
            CHECK(convert(other, type, NULL) == RWKV7_OK);
            struct rwkv7_model *found = open_model(result, RWKV7_WEIGHTS_STORED);
            const struct mat *a = &rwkv7_layers(want)[1].ffn_value, *b = &rwkv7_layers(found)[1].ffn_value;
            CHECK(found->info.copied_bytes == 0 && have_same_fingerprint(found, want));
            CHECK(mat_bytes(a) == mat_bytes(b) && memcmp(a->data, b->data, mat_bytes(a)) == 0);
            rwkv7_model_close(found);
        }
        rwkv7_model_close(want);
    }
    tensors_close(index);
    unlink(other);
    unlink(result);
    CHECK(!left_over());
}

/* The epsilon inside heads, which fla derives from the head size, is stored with the weights. */
static void test_epsilon(void)
{
    struct rwkv7_model *model;
    CHECK(convert(MODELS "bf16_fla.safetensors", RWKV7_TYPES, NULL) == RWKV7_OK);
    model = open_model(result, RWKV7_WEIGHTS_STORED);
    CHECK(model->head_eps == HEAD_EPS && model->ln_eps == LN_EPS);
    rwkv7_model_close(model);
    unlink(result);
}

/* --- damaged files --- */

static char *image; /* of a converted file, with room for changes */
static size_t image_size;

static void load_image(void)
{
    struct file_map file;
    CHECK(file_map_open(result, &file, NULL) == RWKV7_OK);
    image = malloc(file.size);
    if (!image || !file.data)
        exit(1);
    memcpy(image, file.data, file.size);
    image_size = file.size;
    file_map_close(&file);
}

/*
 * Opens the image with `old` replaced by `new` in its header; padding compensates the difference in
 * length.
 */
static void refused(const char *old, const char *new, const char *fragment)
{
    load_image();
    uint64_t header;
    memcpy(&header, image, sizeof header);
    char *at = NULL, *const end = image + 8 + header;
    const size_t n = strlen(old), m = strlen(new);
    for (char *p = image + 8; p + n <= end && !at; p++)
        if (memcmp(p, old, n) == 0)
            at = p;
    CHECK_MSG(at, "no '%s' in the header", old);
    if (at) {
        if (m > n) {
            for (size_t i = 0; i < m - n; i++)
                CHECK(end[-1 - (long)i] == ' ');
            memmove(at + m, at + n, (size_t)(end - at) - m);
        } else {
            memmove(at + m, at + n, (size_t)(end - at) - n);
            memset(end - (n - m), ' ', n - m);
        }
        memcpy(at, new, m);
        struct rwkv7_error err = {0};
        struct rwkv7_model *model = NULL;
        const enum rwkv7_status status = rwkv7_model_open_memory(rt, image, image_size, "image", NULL, &model, &err);
        CHECK_MSG(status == RWKV7_ERR_MODEL && strstr(err.message, fragment), "'%s': %s", new, err.message);
        rwkv7_model_close(model);
    }
    free(image);
}

static void test_damage(void)
{
    CHECK(convert(MODELS "bf16_n64.safetensors", RWKV7_Q4, NULL) == RWKV7_OK);
    refused("\"rwkv7.layout\":\"1\"", "\"rwkv7.layout\":\"2\"", "(rwkv7.layout), found '2'");
    refused("\"rwkv7.layout\":\"1\"", "\"rwkv7.layouts\":\"\"", "expected 2 axes");
    refused("q4 128 128", "q0 128 128", "expected packing metadata");
    refused("q4 128 128", "q4 0128 128", "expected packing metadata");
    refused("q4 128 128", "q4 128  128", "expected packing metadata");
    refused("q4 128 128", "q4 0 128", "expected packing metadata");
    refused("q4 128 128", "q4 -128 128", "expected packing metadata");
    refused("q4 128 128", "q8 128 128", "bytes of packed q8 for shape [128,128]");
    refused("q4 128 128", "q4 128 127", "expected shape [128,128], found [128,127]");
    refused("\"packed.blocks.0.att.key.weight\":\"q4 ", "\"packed.blocks.0.att.kay.weight\":\"q4 ",
            "the tensor does not exist");
    refused("\"packed.blocks.0.att.key.weight\":\"q4 ", "\"packed.blocks.0.att.x_k\":\"q4 ", "expected packed bytes");
    refused("q4_columns 128 200", "q4 128 200", "bytes of packed q4 for shape [128,200]");
    refused("\"packed.blocks.0.att.key.weight\":\"q4 ", "\"backed.blocks.0.att.key.weight\":\"q4 ", "found U8");
    unlink(result);
    CHECK(!left_over());
}

/*
 * A sub-block scale that would overflow 8 bits on some tiers is rejected, in tiles and in columns,
 * when opened and when converted.
 */
static void test_scales(void)
{
    static const struct {
        const char *name; /* of the tensor */
        int row, column;
        int8_t scale;
        const char *message;
    } cases[] = {
        {"blocks.0.att.key.weight", 0, 0, 16, "expected sub-block scales from -15 to 15, found 16 in row 0, column 0"},
        {"blocks.1.att.value.weight", 100, 64, -16, "found -16 in row 100, column 64"},
        {"blocks.1.ffn.value.weight", 77, 192, 127, "found 127 in row 77, column 192"},
        {"blocks.0.ffn.value.weight", 127, 0, -128, "found -128 in row 127, column 0"},
        {"blocks.0.ffn.key.weight", 199, 96, 15, NULL},
        {"blocks.0.ffn.key.weight", 199, 96, -15, NULL},
    };
    char other[80];
    snprintf(other, sizeof other, "%s/other", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tensor_index *index = NULL;
        struct rwkv7_model *model = NULL;
        struct rwkv7_error err = {0};
        CHECK(convert(MODELS "bf16_n64.safetensors", RWKV7_Q4, NULL) == RWKV7_OK);
        CHECK(tensors_open(result, &index, NULL) == RWKV7_OK);
        const struct tensor *t = tensors_find(index, cases[i].name);
        struct mat m = {.rows = (int)t->shape[0], .cols = (int)t->shape[1], .data = t->data};
        CHECK(weight_form(t->type, &m));
        const size_t group = (size_t)cases[i].column / QUANT_GROUP, row = (size_t)cases[i].row;
        const uint8_t *at = m.by_column
                                ? quant_columns(&m).s + group * quant_padded_rows(m.rows) + row
                                : quant_tile(&m, cases[i].row / QUANT_ROWS).s + group * QUANT_ROWS + row % QUANT_ROWS;
        FILE *file = fopen(result, "r+b");
        CHECK(file && fseek(file, at - (const uint8_t *)index->files[0].data, SEEK_SET) == 0 &&
              fputc(cases[i].scale & 0xff, file) != EOF && fclose(file) == 0);
        tensors_close(index);

        const enum rwkv7_status want = cases[i].message ? RWKV7_ERR_MODEL : RWKV7_OK;
        CHECK(rwkv7_model_open(rt, result, NULL, &model, &err) == want);
        CHECK_MSG(!cases[i].message || (strstr(err.message, cases[i].message) && strstr(err.message, cases[i].name)),
                  "case %zu: %s", i, err.message);
        rwkv7_model_close(model);
        const struct rwkv7_convert_options same = {.type = NULL};
        CHECK(rwkv7_convert(rt, result, other, &same, &err) == want);
        unlink(other);
    }
    unlink(result);
    CHECK(!left_over());
}

/* --- invalid conversions --- */

static void expect_failure(const char *from, enum rwkv7_type type, enum rwkv7_status status, const char *fragment)
{
    struct rwkv7_error err = {0};
    const enum rwkv7_status got = convert(from, type, &err);
    CHECK_MSG(got == status && strstr(err.message, fragment), "%s", err.message);
    CHECK(!left_over());
}

static void test_refusals(void)
{
    char bad[80];
    struct file_map file;
    expect_failure(MODELS "missing", RWKV7_Q8, RWKV7_ERR_IO, "missing");
    expect_failure(MODELS "f32_n32.expected.safetensors", RWKV7_Q8, RWKV7_ERR_MODEL, "not an RWKV model");
    expect_failure(MODELS "f32_n32.safetensors", RWKV7_GGML, RWKV7_ERR_USAGE, "found 'ggml'");

    /* Replaces its last numbers. */
    CHECK(file_map_open(MODELS "f32_n32.safetensors", &file, NULL) == RWKV7_OK);
    float *numbers = malloc(file.size);
    if (!numbers)
        exit(1);
    for (int k = 0; k < 2; k++) {
        const float worst = k == 0 ? NAN : 1e5f;
        memcpy(numbers, file.data, file.size);
        memcpy((char *)numbers + file.size - sizeof worst, &worst, sizeof worst);
        char outside[] = "/tmp/rwkv7-numbers-XXXXXX";
        const int fd = mkstemp(outside);
        CHECK(fd >= 0 && write(fd, numbers, file.size) == (ssize_t)file.size && close(fd) == 0);
        if (k == 0)
            expect_failure(outside, RWKV7_Q8, RWKV7_ERR_MODEL, "found a NaN");
        expect_failure(outside, RWKV7_F16, RWKV7_ERR_MODEL, "the limit of f16");
        unlink(outside);
    }
    free(numbers);
    file_map_close(&file);

    const struct rwkv7_convert_options vocab = {.type = "q8", .vocab = "1 'a' 1\n999 'b' 1\n", .vocab_size = 18};
    struct rwkv7_error err;
    CHECK(rwkv7_convert(rt, MODELS "f32_n32.safetensors", result, &vocab, &err) == RWKV7_ERR_VOCAB);
    snprintf(bad, sizeof bad, "%s/none/x", folder);
    const struct rwkv7_convert_options q8 = {.type = "q8"};
    CHECK(rwkv7_convert(rt, MODELS "f32_n32.safetensors", bad, &q8, &err) == RWKV7_ERR_IO);
    CHECK(!left_over());
}

static bool stop_at(void *arg, uint64_t done, uint64_t total)
{
    CHECK(done > 0 && done <= total);
    return --*(int *)arg > 0;
}

static void test_stop(void)
{
    for (int calls = 1; calls < 60; calls += 19) {
        int left = calls;
        struct rwkv7_error err;
        const struct rwkv7_convert_options opt = {.type = "q8", .progress = stop_at, .progress_arg = &left};
        CHECK(rwkv7_convert(rt, MODELS "f32_n32.safetensors", result, &opt, &err) == RWKV7_ERR_STOPPED);
        CHECK(left == 0 && !left_over());
    }
}

static void test_out_of_memory(void)
{
    struct rwkv7_error err;
    enum rwkv7_status status;
    long after = 0;
    do {
        mem_fail_after(after);
        status = convert(MODELS "f32_n32.safetensors", RWKV7_Q4, &err);
        mem_fail_after(-1);
        if (status != RWKV7_OK)
            CHECK_MSG((status == RWKV7_ERR_MEMORY || strstr(err.message, "memory")) && !left_over(),
                      "allocation %ld: %s", after, err.message);
        after++;
    } while (status != RWKV7_OK && after < 1000);
    CHECK(status == RWKV7_OK && after > 10);
    unlink(result);
}

static void test_vocabulary(void)
{
    struct rwkv7_tokenizer *tokenizer = NULL;
    size_t length;
    const struct rwkv7_convert_options opt = {.type = "q8", .vocab = "1 'a' 1\n60 'bc' 2\n", .vocab_size = 18};
    CHECK(rwkv7_convert(rt, MODELS "f32_n32.safetensors", result, &opt, NULL) == RWKV7_OK);
    CHECK(rwkv7_tokenizer_open_model(result, &tokenizer, NULL) == RWKV7_OK && tokenizer);
    CHECK(tokenizer && memcmp(rwkv7_tokenizer_bytes(tokenizer, 60, &length), "bc", 2) == 0 && length == 2);
    rwkv7_tokenizer_close(tokenizer);
    rwkv7_model_close(open_model(result, RWKV7_WEIGHTS_STORED));
    unlink(result);
}

int main(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2};
    if (rwkv7_runtime_create(&opt, &rt, NULL) != RWKV7_OK || !mkdtemp(folder))
        return 1;
    snprintf(result, sizeof result, "%s/result", folder);
    RUN(test_halves);
    RUN(test_floats);
    RUN(test_integers);
    RUN(test_containers);
    RUN(test_epsilon);
    RUN(test_damage);
    RUN(test_scales);
    RUN(test_refusals);
    RUN(test_stop);
    RUN(test_out_of_memory);
    RUN(test_vocabulary);
    rmdir(folder);
    rwkv7_runtime_close(rt);
    return test_end();
}
