/*
 * test_weights.c - invalid models: tensors that are missing, unexpected, or of a wrong shape or type are
 * rejected by name; other architectures are recognized; a NaN in a vector is rejected, and one in a matrix
 * is reported with its layer; running out of memory leaks nothing.
 *
 * Every case is a good model of tests/golden with one thing changed, written as a safetensors image in memory.
 */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/rwkv7.h"
#include "base/mem.h"
#include "formats/tensors.h"
#include "rwkv7.h"
#include "test.h"

#define GOLDEN(name) TEST_DIR "/golden/data/" name ".safetensors"

static struct rwkv7_runtime *rt;

/* One change to the tensors of a file; fields that are NULL or 0 do nothing. */
struct change {
    const char *drop; /* omit this tensor */
    const char *rename_from, *rename_to;
    const char *extra;           /* add a float of this name */
    const char *reshape, *shape; /* this tensor gets another shape (same number of elements) */
    const char *retype, *type;   /* and this one another type (same width) */
    const char *poison;          /* the first number of this one becomes a NaN */
    int shift;                   /* bytes of padding before everything, as an extra U8 tensor that comes first */
};

struct image {
    char *bytes;
    size_t size;
};

static struct image write_image(const char *path, const struct change *c)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err;
    if (tensors_open(path, &index, &err) != RWKV7_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    size_t data = 0;
    for (size_t i = 0; i < index->count; i++)
        data += (size_t)index->tensors[i].bytes;
    char *header = calloc(index->count + 4, 400), *body = calloc(data + 64, 1);
    size_t h = 0, at = 0;
    h += (size_t)sprintf(header + h, "{");
    if (c->extra) {
        h += (size_t)sprintf(header + h, "\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},", c->extra);
        at = 4;
    }
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        const char *name = t->name, *type = dtype_name(t->type);
        char shape[100] = "";
        if (c->drop && strcmp(c->drop, name) == 0)
            continue;
        for (int a = 0; a < t->rank; a++)
            sprintf(shape + strlen(shape), "%s%llu", a ? "," : "", (unsigned long long)t->shape[a]);
        memcpy(body + at, t->data, (size_t)t->bytes);
        if (c->reshape && strcmp(c->reshape, name) == 0)
            strcpy(shape, c->shape);
        if (c->retype && strcmp(c->retype, name) == 0)
            type = c->type;
        if (c->poison && strcmp(c->poison, name) == 0)
            memset(body + at, 0xff, 4);
        if (c->rename_from && strcmp(c->rename_from, name) == 0)
            name = c->rename_to;
        h += (size_t)sprintf(header + h, "\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]},", name,
                             type, shape, at, at + (size_t)t->bytes);
        at += (size_t)t->bytes;
    }
    header[h - 1] = '}';
    /* The length of the header determines the alignment of the data. */
    while ((8 + h) % 64 != (size_t)c->shift)
        header[h++] = ' ';
    struct image image = {malloc(8 + h + at), 8 + h + at};
    const uint64_t length = h;
    memcpy(image.bytes, &length, 8);
    memcpy(image.bytes + 8, header, h);
    memcpy(image.bytes + 8 + h, body, at);
    free(header);
    free(body);
    tensors_close(index);
    return image;
}

static void refused(const char *path, struct change c, const char *fragment)
{
    struct image image = write_image(path, &c);
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    const enum rwkv7_status status =
        rwkv7_model_open_memory(rt, image.bytes, image.size, "test.st", NULL, &model, &err);
    CHECK_MSG(status == RWKV7_ERR_MODEL && !model, "%s: status %d", fragment, (int)status);
    CHECK_MSG(strstr(err.message, fragment) != NULL, "got \"%s\", want \"%s\"", err.message, fragment);
    CHECK(strncmp(err.message, "test.st: ", 9) == 0);
    free(image.bytes);
}

#define REFUSED(fragment, ...) refused(GOLDEN("f32_n32"), (struct change){__VA_ARGS__}, fragment)
#define REFUSED_FLA(fragment, ...) refused(GOLDEN("bf16_fla_fused"), (struct change){__VA_ARGS__}, fragment)

static void test_missing(void)
{
    REFUSED("tensor 'blocks.1.att.w2' is missing", .drop = "blocks.1.att.w2");
    REFUSED("tensor 'blocks.0.ln0.bias' is missing", .drop = "blocks.0.ln0.bias");
    REFUSED("tensor 'blocks.0.att.r_k' is missing", .drop = "blocks.0.att.r_k");
    REFUSED("tensor 'blocks.1.att.v1' is missing", .drop = "blocks.1.att.v1");
    REFUSED("none of 'emb.weight', 'model", .drop = "emb.weight");
    REFUSED("tensor 'blocks.2.ln1.weight' is missing", .extra = "blocks.2.ffn.x_k");
    REFUSED("tensor 'blocks.1.ffn.x_k' is missing", .rename_from = "blocks.1.ffn.x_k", .rename_to = "blocks.2.ffn.x_k");
    REFUSED_FLA("tensor 'model.layers.0.attn.x_r' is missing", .drop = "model.layers.0.attn.x_x");
    REFUSED_FLA("tensor 'model.layers.1.attn.v_lora.lora.2.bias' is missing",
                .drop = "model.layers.1.attn.v_lora.lora.2.bias");
}

static void test_extra(void)
{
    REFUSED("tensor 'blocks.0.att.nonsense' does not belong", .extra = "blocks.0.att.nonsense");
    REFUSED("tensor 'optimizer' does not belong", .extra = "optimizer");
    REFUSED_FLA("tensor 'model.layers.0.attn.x_r' does not belong", .extra = "model.layers.0.attn.x_r");
}

static void test_shapes(void)
{
    REFUSED("tensor 'blocks.1.ffn.key.weight': expected shape [203,96], found [96,203]",
            .reshape = "blocks.1.ffn.key.weight", .shape = "96,203");
    REFUSED("tensor 'blocks.0.att.output.weight': expected shape [96,96], found [9216]",
            .reshape = "blocks.0.att.output.weight", .shape = "9216");
    REFUSED("tensor 'blocks.1.att.x_k': expected shape [96], found [32,3]", .reshape = "blocks.1.att.x_k",
            .shape = "32,3");
    REFUSED("tensor 'blocks.1.att.r_k': expected shape [3,32], found [32,3]", .reshape = "blocks.1.att.r_k",
            .shape = "32,3");
    REFUSED("tensor 'blocks.1.att.g2': expected shape [11,96], found [96,11]", .reshape = "blocks.1.att.g2",
            .shape = "96,11");
    REFUSED("expected a product of 48 channels", .reshape = "emb.weight", .shape = "122,48");
    REFUSED("tensor 'emb.weight': expected 2 axes, found 1", .reshape = "emb.weight", .shape = "5856");
    REFUSED_FLA("tensor 'model.layers.1.attn.x_x': expected shape [6,64], found [64,6]",
                .reshape = "model.layers.1.attn.x_x", .shape = "64,6");
}

static void test_types(void)
{
    REFUSED("tensor 'blocks.0.att.key.weight': expected type F32, F16 or BF16, found I32",
            .retype = "blocks.0.att.key.weight", .type = "I32");
    REFUSED("tensor 'ln_out.weight': expected type F32, F16 or BF16, found U32", .retype = "ln_out.weight",
            .type = "U32");
}

static void test_other_families(void)
{
    REFUSED("tensor 'blocks.0.ffn.s1' is missing", .extra = "blocks.0.ffn.s_emb.weight");
    REFUSED("x070b", .extra = "blocks.0.qkv.qq.weight");
    REFUSED("between RWKV-6 and RWKV-7", .extra = "blocks.0.att.time_maa_x");
    REFUSED("does not belong to an RWKV-7", .extra = "blocks.0.att.time_mix_k");
    REFUSED("a transformer", .extra = "model.layers.0.self_attn.q_proj.weight");
    /* A complete model that also has a tensor of such a name is not an adapter. */
    REFUSED("tensor 'blocks.0.att.key.lora_A' does not belong", .extra = "blocks.0.att.key.lora_A");
}

/* Data at every alignment gives the same logits; only what is not aligned to its element is copied. */
static void test_alignment(void)
{
    static const char *const files[] = {GOLDEN("f32_n32"), GOLDEN("bf16_n64_st")};
    for (int f = 0; f < 2; f++) {
        float want[257], got[257];
        for (int shift = 0; shift < 5; shift++) {
            const struct change c = {.shift = shift};
            struct image image = write_image(files[f], &c);
            /* malloc aligns to 16, so the data starts `shift` bytes after an aligned address. */
            struct rwkv7_model *model = NULL;
            struct rwkv7_session *s = NULL;
            const uint32_t tokens[] = {1, 2, 3};
            CHECK(rwkv7_model_open_memory(rt, image.bytes, image.size, "test.st", NULL, &model, NULL) == RWKV7_OK);
            CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
            const struct rwkv7_model_info *info = rwkv7_model_info(model);
            CHECK(rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_LAST, shift == 0 ? want : got, NULL) == RWKV7_OK);
            if (shift > 0)
                CHECK(memcmp(got, want, (size_t)info->shape.vocab * sizeof(float)) == 0);
            const bool aligned = shift % (f == 0 ? 4 : 2) == 0;
            CHECK_MSG(aligned == (info->copied_bytes < info->weight_bytes / 2),
                      "file %d, shift %d: %llu of %llu copied", f, shift, (unsigned long long)info->copied_bytes,
                      (unsigned long long)info->weight_bytes);
            rwkv7_session_close(s);
            rwkv7_model_close(model);
            free(image.bytes);
        }
    }
}

static void test_nan(void)
{
    static const struct {
        const char *tensor, *fragment;
    } cases[] = {
        {"blocks.1.ffn.value.weight", "layer 1 gave a NaN or an infinity at token "},
        {"blocks.0.att.output.weight", "layer 0 gave a NaN or an infinity at token "},
        {"head.weight", "the logits hold a NaN or an infinity at token "},
    };
    REFUSED("tensor 'blocks.1.att.w0': expected finite numbers, found a NaN or an infinity at index 0",
            .poison = "blocks.1.att.w0");
    REFUSED("tensor 'ln_out.bias': expected finite numbers", .poison = "ln_out.bias");
    REFUSED_FLA("tensor 'model.layers.1.attn.x_x': expected finite numbers", .poison = "model.layers.1.attn.x_x");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct change c = {.poison = cases[i].tensor};
        struct image image = write_image(GOLDEN("f32_n32"), &c);
        struct rwkv7_model *model = NULL;
        struct rwkv7_session *s = NULL;
        struct rwkv7_error err;
        float logits[3 * 61];
        const uint32_t tokens[] = {1, 2, 3};
        CHECK(rwkv7_model_open_memory(rt, image.bytes, image.size, "test.st", NULL, &model, &err) == RWKV7_OK);
        CHECK(rwkv7_session_create(model, &s, &err) == RWKV7_OK);
        for (size_t count = 1; count <= 3; count += 2) {
            rwkv7_session_reset(s);
            CHECK(rwkv7_session_eval(s, tokens, count, RWKV7_LOGITS_ALL, logits, &err) == RWKV7_ERR_NUMERIC);
            CHECK_MSG(strstr(err.message, cases[i].fragment) != NULL, "%s", err.message);
        }
        rwkv7_session_close(s);
        rwkv7_model_close(model);
        free(image.bytes);
    }
}

static void test_arguments(void)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s = NULL;
    struct rwkv7_error err;
    float logits[61];
    const uint32_t bad = 61;
    CHECK(rwkv7_model_open(rt, GOLDEN("f32_n32"), NULL, &model, &err) == RWKV7_OK);
    CHECK(rwkv7_session_create(model, &s, &err) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s, &bad, 1, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_ERR_USAGE);
    CHECK_STR(err.message, "token id 61 at position 0 is not below the vocabulary size 61");
    CHECK(rwkv7_session_eval(s, NULL, 0, RWKV7_LOGITS_LAST, logits, &err) == RWKV7_ERR_USAGE);
    CHECK(rwkv7_session_eval(s, NULL, 0, RWKV7_LOGITS_NONE, NULL, &err) == RWKV7_OK);
    rwkv7_session_close(s);
    rwkv7_model_close(model);

    struct rwkv7_runtime *none = NULL;
    const struct rwkv7_runtime_options opt = {.cpu = "pentium"};
    CHECK(rwkv7_runtime_create(&opt, &none, &err) == RWKV7_ERR_USAGE && !none);
    CHECK(strstr(err.message, "'pentium'") != NULL && strstr(err.message, "ref") != NULL);
    double rate = 0;
    CHECK(rwkv7_runtime_bandwidth(rt, 16 << 20, &rate, &err) == RWKV7_OK && rate > 0);
    CHECK(rwkv7_runtime_bandwidth(rt, 0, &rate, &err) == RWKV7_ERR_USAGE);
}

/* Every allocation fails once. Nothing may leak (checked by a sanitizer), and a retry succeeds. */
static void test_out_of_memory(void)
{
    static const uint32_t tokens[] = {1, 2, 3};
    bool done = false;
    for (long at = 0; at < 2000 && !done; at++) {
        struct rwkv7_model *model = NULL;
        struct rwkv7_session *s = NULL;
        enum rwkv7_status status;
        float logits[257];
        mem_fail_after(at);
        status = rwkv7_model_open(rt, GOLDEN("bf16_n64"), NULL, &model, NULL);
        if (status == RWKV7_OK)
            status = rwkv7_session_create(model, &s, NULL);
        if (status == RWKV7_OK)
            status = rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_NONE, NULL, NULL);
        if (status == RWKV7_OK)
            status = rwkv7_session_eval(s, tokens, 1, RWKV7_LOGITS_LAST, logits, NULL);
        mem_fail_after(-1);
        CHECK_MSG(status == RWKV7_OK || status == RWKV7_ERR_MEMORY, "allocation %ld: status %d", at, (int)status);
        done = status == RWKV7_OK;
        rwkv7_session_close(s);
        rwkv7_model_close(model);
    }
    CHECK(done);
}

static void test_random_model(void)
{
    const struct rwkv7_shape shape = {.vocab = 100,
                                      .layers = 2,
                                      .channels = 64,
                                      .heads = 2,
                                      .head_size = 32,
                                      .ffn = 150,
                                      .rank_w = 8,
                                      .rank_a = 8,
                                      .rank_v = 8,
                                      .rank_g = 16};
    struct rwkv7_model *a = NULL, *b = NULL;
    struct rwkv7_runtime *one = NULL;
    const struct rwkv7_runtime_options opt = {.threads = 1};
    struct rwkv7_session *s = NULL;
    const uint32_t tokens[] = {5, 6, 7, 8};
    CHECK(rwkv7_runtime_create(&opt, &one, NULL) == RWKV7_OK);
    for (int type = 0; type < RWKV7_GGML; type++) {
        float x[100], y[100];
        const struct rwkv7_random_options random = {.type = (enum rwkv7_type)type, .seed = 7};
        CHECK(rwkv7_model_random(rt, &shape, &random, &a, NULL) == RWKV7_OK);
        CHECK(rwkv7_model_random(one, &shape, &random, &b, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_create(a, &s, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_eval(s, tokens, 4, RWKV7_LOGITS_LAST, x, NULL) == RWKV7_OK);
        rwkv7_session_close(s);
        CHECK(rwkv7_session_create(b, &s, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_eval(s, tokens, 4, RWKV7_LOGITS_LAST, y, NULL) == RWKV7_OK);
        rwkv7_session_close(s);
        CHECK(memcmp(x, y, sizeof x) == 0);
        float low = x[0], high = x[0];
        for (int i = 0; i < 100; i++) {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
        CHECK(high - low > 0.5f && high < 100 && low > -100);
        for (int i = 0; i < shape.channels; i++) { /* the range for this name */
            const float number = rwkv7_layers(a)[1].k_a[i];
            CHECK(number >= 0.6f && number <= 1.3f);
        }
        rwkv7_model_close(a);
        rwkv7_model_close(b);
    }
    struct rwkv7_error err;
    struct rwkv7_shape wrong = shape;
    const struct rwkv7_random_options plain = {.type = RWKV7_F32, .seed = 7};
    static const float densities[] = {-0.5f, 1.5f, NAN};
    for (size_t i = 0; i < sizeof densities / sizeof densities[0]; i++) {
        const struct rwkv7_random_options dense = {.type = RWKV7_F32, .ffn_density = densities[i]};
        CHECK(rwkv7_model_random(rt, &shape, &dense, &a, &err) == RWKV7_ERR_USAGE && !a);
        CHECK_MSG(strstr(err.message, "density: expected 0 to 1") != NULL, "%s", err.message);
    }
    wrong.heads = 3;
    CHECK(rwkv7_model_random(rt, &wrong, &plain, &a, &err) == RWKV7_ERR_USAGE);
    const struct {
        size_t field;
        int value;
    } wrongs[] = {{offsetof(struct rwkv7_shape, layers), 0},    {offsetof(struct rwkv7_shape, layers), INT_MAX},
                  {offsetof(struct rwkv7_shape, vocab), 0},     {offsetof(struct rwkv7_shape, vocab), INT_MAX},
                  {offsetof(struct rwkv7_shape, ffn), INT_MAX}, {offsetof(struct rwkv7_shape, rank_w), INT_MAX},
                  {offsetof(struct rwkv7_shape, rank_v), -1},   {offsetof(struct rwkv7_shape, rank_v), INT_MAX},
                  {offsetof(struct rwkv7_shape, deep), -1},     {offsetof(struct rwkv7_shape, deep), 1 << 16}};
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        wrong = shape;
        memcpy((char *)&wrong + wrongs[i].field, &wrongs[i].value, sizeof wrongs[i].value);
        CHECK_MSG(rwkv7_model_random(rt, &wrong, &plain, &a, &err) == RWKV7_ERR_USAGE && !a, "shape %zu", i);
    }
    wrong = shape;
    wrong.vocab = wrong.ffn = 1 << 24;
    wrong.heads = 1 << 18;
    wrong.head_size = 64;
    wrong.channels = 1 << 24;
    CHECK(rwkv7_model_random(rt, &wrong, &plain, &a, &err) == RWKV7_ERR_MEMORY && !a);
    CHECK_MSG(strstr(err.message, "this machine has") != NULL, "%s", err.message);
    rwkv7_runtime_close(one);
}

/* Returns the number of parameters of a published checkpoint of this shape. */
static uint64_t parameters(const struct rwkv7_shape *shape)
{
    const struct weight_table *table = arch_of_shape(shape)->weights;
    struct weight w = WEIGHT_BEFORE_FIRST;
    uint64_t count = 0;
    while (weight_next(table, shape, &w))
        if (strcmp(w.spec->blinkdl, "att.time_first") != 0 || w.spec->place != IF_PRESENT)
            count += (uint64_t)shape_axis(shape, w.spec->rows) * (uint64_t)shape_axis(shape, w.spec->cols);
    return count;
}

/* The published shapes have as many parameters as the published files. */
static void test_published_shapes(void)
{
    static const struct {
        const char *name;
        uint64_t parameters;
    } files[] = {
        {"0.1b", 191034624},        {"0.4b", 450767872},        {"1.5b", 1527404544},       {"2.9b", 2947735040},
        {"7.2b", 7199141888},       {"rwkv6-1.6b", 1599873024}, {"rwkv6-3b", 3099863040},   {"rwkv6-7b", 7635746816},
        {"rwkv6-14b", 14069088256}, {"rwkv5-0.4b", 461721600},  {"rwkv5-1.5b", 1577754624}, {"rwkv5-3b", 3062999040},
        {"rwkv5-7b", 7518044160},   {"rwkv5-0.1b", 192780576},  {"rwkv4-169m", 169342464},  {"rwkv4-430m", 430397440},
        {"rwkv4-1b5", 1515106304},  {"rwkv4-3b", 2984627200},   {"rwkv4-7b", 7392649216},   {"rwkv4-14b", 14148597760},
    };
    struct rwkv7_shape shape;
    size_t count = 0;
    for (; rwkv7_shape_name(count); count++) {
        const char *const name = rwkv7_shape_name(count);
        CHECK(count < sizeof files / sizeof files[0] && strcmp(name, files[count].name) == 0);
        CHECK_MSG(rwkv7_shape_named(name, &shape) && arch_of_shape(&shape) &&
                      parameters(&shape) == files[count].parameters,
                  "%s: %llu parameters", name, (unsigned long long)parameters(&shape));
    }
    CHECK(count == sizeof files / sizeof files[0]);
    CHECK(!rwkv7_shape_named("3b", &shape));
    CHECK(rwkv7_shape_named("7.2B", &shape) && shape.channels == 4096);
    CHECK(rwkv7_shape_named("RWKV6-1.6B", &shape) && shape.arch == RWKV7_ARCH_X060);
}

/* rwkv7_model_random_info predicts what the created model reports: every version, type and matrix layout. */
static void test_random_info(void)
{
    static const char *const names[] = {"0.1b", "rwkv6-1.6b", "rwkv5-0.4b", "rwkv5-0.1b", "rwkv4-169m"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int variant = 0; variant < 3 * RWKV7_GGML; variant++) {
            const struct rwkv7_random_options options = {.type = (enum rwkv7_type)(variant / 3),
                                                         .ffn_density = variant % 3 == 1 ? 0.2f : 0,
                                                         .sparse =
                                                             variant % 3 == 2 ? RWKV7_SPARSE_ON : RWKV7_SPARSE_AUTO,
                                                         .seed = 1};
            struct rwkv7_shape shape;
            struct rwkv7_model_info before = RWKV7_OPTIONS(before);
            struct rwkv7_model *model = NULL;
            struct rwkv7_error err = {0};
            CHECK(rwkv7_shape_named(names[i], &shape));
            shape.layers = 2;
            shape.vocab = 100;
            shape.channels = shape.heads > 0 ? 2 * shape.head_size : 128;
            shape.heads = shape.heads > 0 ? 2 : 0;
            shape.ffn = 200;
            CHECK_MSG(rwkv7_model_random_info(rt, &shape, &options, &before, &err) == RWKV7_OK, "%s: %s", names[i],
                      err.message);
            CHECK(rwkv7_model_random(rt, &shape, &options, &model, &err) == RWKV7_OK);
            if (!model)
                return;
            const struct rwkv7_model_info *after = rwkv7_model_info(model);
            CHECK(before.path == NULL && before.weight_bytes > 0);
            CHECK_MSG(before.parameters == after->parameters && before.tensors == after->tensors &&
                          before.weight_bytes == after->weight_bytes && before.step_bytes == after->step_bytes &&
                          before.skipped_bytes == after->skipped_bytes && before.work_bytes == after->work_bytes &&
                          before.session_bytes == after->session_bytes,
                      "%s, variant %d", names[i], variant);
            for (int type = 0; type < RWKV7_TYPES; type++)
                CHECK(before.type_parameters[type] == after->type_parameters[type]);
            rwkv7_model_close(model);
        }
    }
    struct rwkv7_model_info info = RWKV7_OPTIONS(info);
    struct rwkv7_error err = {0};
    CHECK(rwkv7_model_random_info(rt, &(struct rwkv7_shape){0}, &(struct rwkv7_random_options){0}, &info, &err) ==
          RWKV7_ERR_USAGE);
    /* This needs no memory, so the model may be larger than any machine. */
    struct rwkv7_shape large;
    CHECK(rwkv7_shape_named("rwkv6-14b", &large));
    large.layers = MAX_LAYERS;
    CHECK_MSG(rwkv7_model_random_info(rt, &large, &(struct rwkv7_random_options){.type = RWKV7_BF16}, &info, &err) ==
                  RWKV7_OK,
              "%s", err.message);
    CHECK(info.weight_bytes > UINT64_C(1000000000000));
}

/* The smallest published shape of each version runs, with matrices of integers and without. */
static void test_random_versions(void)
{
    static const char *const names[] = {"rwkv4-169m", "rwkv5-0.1b", "rwkv5-0.4b", "rwkv6-1.6b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct rwkv7_random_options options = {.type = RWKV7_Q4, .ffn_density = 0.5f, .seed = 1};
        const uint32_t tokens[] = {1, 2, 3};
        struct rwkv7_shape shape;
        struct rwkv7_model *model = NULL;
        struct rwkv7_session *s = NULL;
        struct rwkv7_error err = {0};
        CHECK(rwkv7_shape_named(names[i], &shape));
        shape.layers = 2; /* small, so that the test is fast */
        shape.vocab = 100;
        const size_t fields[] = {offsetof(struct rwkv7_shape, heads),  offsetof(struct rwkv7_shape, head_size),
                                 offsetof(struct rwkv7_shape, rank_w), offsetof(struct rwkv7_shape, rank_a),
                                 offsetof(struct rwkv7_shape, rank_v), offsetof(struct rwkv7_shape, rank_g),
                                 offsetof(struct rwkv7_shape, rank_m), offsetof(struct rwkv7_shape, deep)};
        /* Each size is 0 although the version needs it, or set although the version lacks it. */
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
            struct rwkv7_shape wrong = shape;
            int *const field = (int *)(void *)((char *)&wrong + fields[f]);
            *field = *field == 0;
            CHECK_MSG(rwkv7_model_random(rt, &wrong, &options, &model, NULL) == RWKV7_ERR_USAGE, "%s, %zu", names[i],
                      f);
        }
        CHECK_MSG(rwkv7_model_random(rt, &shape, &options, &model, &err) == RWKV7_OK, "%s: %s", names[i], err.message);
        float logits[100], one[100];
        CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
        CHECK(rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK);
        rwkv7_session_reset(s);
        for (size_t t = 0; t < 3; t++)
            CHECK(rwkv7_session_eval(s, tokens + t, 1, RWKV7_LOGITS_LAST, one, NULL) == RWKV7_OK);
        CHECK(memcmp(logits, one, sizeof one) == 0);
        rwkv7_session_close(s);
        rwkv7_model_close(model);
    }
}

/* A state belongs to its model. Truncated, damaged and other files are rejected with the reason. */
static void refuse_state(struct rwkv7_session *s, const char *path, const void *bytes, size_t n, const char *fragment)
{
    struct rwkv7_error err = {0};
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    CHECK(rwkv7_session_load(s, path, NULL, &err) == RWKV7_ERR_STATE);
    CHECK_MSG(strstr(err.message, fragment) != NULL, "got \"%s\", want \"%s\"", err.message, fragment);
}

static void test_state_files(void)
{
    char path[] = "/tmp/rwkv7-test-state-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    struct rwkv7_model *model = NULL, *other = NULL;
    struct rwkv7_session *s = NULL, *foreign = NULL;
    struct rwkv7_error err;
    const uint32_t tokens[] = {1, 2, 3};
    CHECK(rwkv7_model_open(rt, GOLDEN("bf16_fla"), NULL, &model, NULL) == RWKV7_OK);
    CHECK(rwkv7_model_open(rt, GOLDEN("bf16_fla_fused"), NULL, &other, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_create(other, &foreign, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_save(s, path, NULL, &err) == RWKV7_OK);

    CHECK(rwkv7_session_load(foreign, path, NULL, &err) == RWKV7_ERR_STATE);
    CHECK_MSG(strstr(err.message, "other weights") != NULL, "%s", err.message);

    static unsigned char bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        fclose(f);
    CHECK(n == 56 + 2 * 64 * (2 + 64) * 4 + 8);
    refuse_state(s, path, bytes, 0, "not an rwkv7 state file");
    refuse_state(s, path, "RWKV7", 5, "not an rwkv7 state file");
    refuse_state(s, path, bytes, n - 1, "damaged");
    bytes[5000] ^= 1;
    refuse_state(s, path, bytes, n, "damaged");
    bytes[5000] ^= 1;
    bytes[8] = 9;
    refuse_state(s, path, bytes, n, "version 9, expected 3");
    bytes[8] = 3;
    bytes[12] = 77;
    refuse_state(s, path, bytes, n, "77 layers");
    bytes[12] = 2;
    memset(bytes + 48, 0xff, 8); /* the size of the note */
    refuse_state(s, path, bytes, n, "expected a note of at most 268435456 bytes");
    memset(bytes + 48, 0, 8);
    f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    CHECK(rwkv7_session_load(s, path, NULL, &err) == RWKV7_OK && rwkv7_session_tokens(s) == 3);
    CHECK(rwkv7_session_save(s, "/no/such/folder/state", NULL, &err) == RWKV7_ERR_IO);

    /* A changed bit anywhere is detected, and a rejected state changes nothing. */
    for (size_t at = 0; at < n; at += 61) {
        bytes[at] ^= (unsigned char)(1u << at % 8);
        rwkv7_session_reset(s);
        refuse_state(s, path, bytes, n, path);
        CHECK(rwkv7_session_tokens(s) == 0);
        bytes[at] ^= (unsigned char)(1u << at % 8);
    }
    CHECK(rwkv7_session_eval(s, tokens, 3, RWKV7_LOGITS_NONE, NULL, NULL) == RWKV7_OK);

    /* A note of any size is restored unchanged. */
    for (size_t size = 0; size < 20; size++) {
        struct rwkv7_bytes note = {(char *)(uintptr_t) "nineteen characters", size}, back;
        CHECK(rwkv7_session_save(s, path, &note, &err) == RWKV7_OK);
        rwkv7_session_reset(s);
        CHECK_MSG(rwkv7_session_load(s, path, &back, &err) == RWKV7_OK, "%s", err.message);
        CHECK(rwkv7_session_tokens(s) == 3 && back.size == size && memcmp(back.data, note.data, size) == 0);
        rwkv7_bytes_clear(&back);
        CHECK(back.size == 0 && !back.data);
    }

    unlink(path);
    rwkv7_session_close(s);
    rwkv7_session_close(foreign);
    rwkv7_model_close(model);
    rwkv7_model_close(other);
}

int main(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2};
    if (rwkv7_runtime_create(&opt, &rt, NULL) != RWKV7_OK)
        return 1;
    RUN(test_missing);
    RUN(test_extra);
    RUN(test_shapes);
    RUN(test_types);
    RUN(test_other_families);
    RUN(test_alignment);
    RUN(test_nan);
    RUN(test_arguments);
    RUN(test_out_of_memory);
    RUN(test_random_model);
    RUN(test_published_shapes);
    RUN(test_random_versions);
    RUN(test_random_info);
    RUN(test_state_files);
    rwkv7_runtime_close(rt);
    return test_end();
}
