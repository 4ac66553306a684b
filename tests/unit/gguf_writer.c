/* gguf_writer.c - see gguf_writer.h. */
#include "gguf_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"

enum { ALIGNMENT = 32, TYPE_U32 = 4, TYPE_F32 = 6, TYPE_STRING = 8, TYPE_ARRAY = 9 };

static void put_u32(FILE *f, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        putc((int)(n >> 8 * i & 255), f);
}

static void put_u64(FILE *f, uint64_t n)
{
    put_u32(f, (uint32_t)n);
    put_u32(f, (uint32_t)(n >> 32));
}

static void put_string(FILE *f, const char *s)
{
    put_u64(f, strlen(s));
    fputs(s, f);
}

static void put_value(FILE *f, const struct gguf_value *v)
{
    uint32_t bits;
    memcpy(&bits, &v->real, sizeof bits);
    put_string(f, v->key);
    put_u32(f, v->string ? TYPE_STRING : v->strings ? TYPE_ARRAY : v->real != 0 ? TYPE_F32 : TYPE_U32);
    if (v->string) {
        put_string(f, v->string);
    } else if (v->strings) {
        put_u32(f, TYPE_STRING);
        put_u64(f, v->count);
        for (size_t i = 0; i < v->count; i++)
            put_string(f, v->strings[i]);
    } else {
        put_u32(f, v->real != 0 ? bits : v->number);
    }
}

static uint32_t type_number(enum dtype type)
{
    static const uint32_t numbers[DT_COUNT] = {
        [DT_F32] = 0,   [DT_F16] = 1,     [DT_BF16] = 30, [DT_Q4_0] = 2,    [DT_Q4_1] = 3,
        [DT_Q5_0] = 6,  [DT_Q5_1] = 7,    [DT_Q8_0] = 8,  [DT_IQ4_NL] = 20, [DT_Q2_K] = 10,
        [DT_Q3_K] = 11, [DT_IQ4_XS] = 23, [DT_Q4_K] = 12, [DT_Q5_K] = 13,   [DT_Q6_K] = 14,
    };
    return numbers[type];
}

static void put_padding(FILE *f)
{
    while (ftell(f) % ALIGNMENT != 0)
        putc(0, f);
}

bool gguf_write(const char *path, const struct gguf_value *values, size_t value_count, const struct tensor *tensors,
                size_t count)
{
    FILE *f = fopen(path, "wb");
    uint64_t at = 0;
    if (!f)
        return false;
    fputs("GGUF", f);
    put_u32(f, 3);
    put_u64(f, count);
    put_u64(f, value_count);
    for (size_t i = 0; i < value_count; i++)
        put_value(f, &values[i]);
    for (size_t i = 0; i < count; i++) {
        put_string(f, tensors[i].name);
        put_u32(f, (uint32_t)tensors[i].rank);
        for (int axis = tensors[i].rank; axis-- > 0;)
            put_u64(f, tensors[i].shape[axis]);
        put_u32(f, type_number(tensors[i].type));
        put_u64(f, at);
        at += (tensors[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    put_padding(f);
    for (size_t i = 0; i < count; i++) {
        fwrite(tensors[i].data, 1, (size_t)tensors[i].bytes, f);
        put_padding(f);
    }
    const bool fine = !ferror(f);
    return fclose(f) == 0 && fine;
}

/* --------------------------------------------------------------------------------------- models */

static void *allocate(size_t size)
{
    void *p = calloc(size, 1);
    if (!p)
        exit(1);
    return p;
}

static struct tensor new_tensor(const char *name, enum dtype type, int rank, const uint64_t *shape)
{
    struct tensor t = {.type = type, .rank = rank, .bytes = dtype_bits(type) / 8};
    char *copy = allocate(strlen(name) + 1);
    t.name = strcpy(copy, name);
    for (int i = 0; i < rank; i++) {
        t.shape[i] = shape[i];
        t.bytes *= shape[i];
    }
    t.data = allocate((size_t)t.bytes);
    return t;
}

/* Returns a vector as float32, without axes of size 1. */
static struct tensor vector_of(const char *name, const struct tensor *from)
{
    struct tensor flat = *from;
    flat.rank = 1;
    flat.shape[0] = from->bytes / (dtype_bits(from->type) / 8);
    struct tensor t = new_tensor(name, DT_F32, 1, flat.shape);
    tensor_row(&flat, 0, (float *)(void *)t.data);
    return t;
}

static struct tensor turned(const char *name, const struct tensor *from)
{
    const uint64_t shape[] = {from->shape[1], from->shape[0]};
    const size_t e = dtype_bits(from->type) / 8;
    struct tensor t = new_tensor(name, from->type, 2, shape);
    for (size_t r = 0; r < shape[0]; r++)
        for (size_t c = 0; c < shape[1]; c++)
            memcpy((uint8_t *)t.data + (r * shape[1] + c) * e, from->data + (c * shape[0] + r) * e, e);
    return t;
}

static struct tensor copied(const char *name, const struct tensor *from)
{
    struct tensor t = new_tensor(name, from->type, from->rank, from->shape);
    memcpy((uint8_t *)t.data, from->data, (size_t)from->bytes);
    return t;
}

static const struct tensor *find(const struct tensor_index *model, const char *name)
{
    const struct tensor *t = tensors_find(model, name);
    if (!t) {
        fprintf(stderr, "gguf_writer: no tensor '%s'\n", name);
        exit(1);
    }
    return t;
}

/* x_r x_w x_k x_v x_a x_g as [6][1][1][C]. */
static struct tensor fused_shifts(const char *name, const struct tensor_index *model, int layer)
{
    char part[64];
    struct tensor t = {0};
    for (int i = 0; i < 6; i++) {
        snprintf(part, sizeof part, "blocks.%d.att.x_%c", layer, "rwkvag"[i]);
        const struct tensor v = vector_of(part, find(model, part));
        const uint64_t shape[] = {6, 1, 1, v.shape[0]};
        if (i == 0)
            t = new_tensor(name, DT_F32, 4, shape);
        memcpy((uint8_t *)t.data + (size_t)i * v.bytes, v.data, (size_t)v.bytes);
        free((void *)v.name);
        free((void *)v.data);
    }
    return t;
}

static struct tensor converted(const struct weight_spec *spec, const char *name, const struct tensor *from)
{
    return spec->kind == WEIGHT_VECTOR   ? vector_of(name, from)
           : spec->kind == WEIGHT_FACTOR ? turned(name, from)
                                         : copied(name, from);
}

bool gguf_write_model(const char *path, const struct tensor_index *model, const char *const *tokens, size_t token_count)
{
    struct recognized as;
    if (arch_recognize(model, path, &as, NULL) != RWKV7_OK)
        return false;
    const struct weight_table *table = as.weights;
    const struct rwkv7_shape s = as.shape;
    struct tensor *tensors = allocate((table->outer_count + (size_t)s.layers * table->layer_count) * sizeof *tensors);
    size_t count = 0;
    for (int layer = -1; layer < s.layers; layer++)
        for (size_t i = 0; i < (layer < 0 ? table->outer_count : table->layer_count); i++) {
            const struct weight_spec *spec = (layer < 0 ? table->outer : table->layers) + i;
            char from[NAME_ROOM], to[NAME_ROOM];
            weight_name(from, table, NAMING_BLINKDL, spec, layer);
            weight_name(to, table, NAMING_GGUF, spec, layer);
            const bool shift = strncmp(spec->blinkdl, "att.x_", 6) == 0;
            if (layer == 0 &&
                spec->place == NOT_FIRST) /* llama.cpp's converter stores those of the rate under another name */
                from[strlen(from) - 2] = 'a';
            if (!shift)
                tensors[count++] = converted(spec, to, find(model, from));
            else if (strcmp(spec->blinkdl, "att.x_r") == 0)
                tensors[count++] = fused_shifts(to, model, layer);
        }
    const struct gguf_value values[] = {
        {.key = "general.architecture", .string = "rwkv7"},
        {.key = "rwkv7.block_count", .number = (uint32_t)s.layers},
        {.key = "rwkv7.attention.layer_norm_epsilon", .real = LN_EPS},
        {.key = "rwkv7.wkv.head_size", .number = (uint32_t)s.head_size},
        {.key = "tokenizer.ggml.model", .string = "rwkv"},
        {.key = "tokenizer.ggml.tokens", .strings = tokens, .count = token_count},
    };
    const bool fine = gguf_write(path, values, tokens ? 6 : 5, tensors, count);
    for (size_t i = 0; i < count; i++) {
        free((void *)tensors[i].name);
        free((void *)tensors[i].data);
    }
    free(tensors);
    return fine;
}
