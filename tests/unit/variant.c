/* variant.c - see variant.h. */
#include "variant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/safetensors_write.h"

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "variant: %s: %s\n", what, why);
    exit(1);
}

void variant_open(struct variant *v, const char *path)
{
    struct rwkv7_error err = {0};
    memset(v, 0, sizeof *v);
    if (tensors_open(path, &v->index, &err) != RWKV7_OK)
        give_up(path, err.message);
    for (size_t i = 0; i < v->index->count; i++) {
        v->tensors[i] = v->index->tensors[i];
        variant_rename(v, &v->tensors[i], "%s", v->index->tensors[i].name);
    }
    v->count = v->index->count;
}

void variant_close(struct variant *v)
{
    tensors_close(v->index);
    for (size_t i = 0; i < v->made_count; i++)
        free(v->made[i]);
}

struct tensor *variant_find(struct variant *v, const char *name)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->tensors[i].name, name) == 0)
            return &v->tensors[i];
    give_up(name, "no such tensor");
    return NULL;
}

void variant_drop(struct variant *v, const char *name)
{
    const size_t at = (size_t)(variant_find(v, name) - v->tensors);
    v->count--;
    for (size_t i = at; i < v->count; i++) {
        v->tensors[i] = v->tensors[i + 1];
        memcpy(v->names[i], v->names[i + 1], VARIANT_NAME);
        v->tensors[i].name = v->names[i];
    }
}

void variant_rename(struct variant *v, struct tensor *t, const char *fmt, ...)
{
    char name[VARIANT_NAME]; /* copied first, because the old name may be an argument */
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    t->name = memcpy(v->names[t - v->tensors], name, sizeof name);
}

void *variant_memory(struct variant *v, size_t size)
{
    void *p = calloc(size ? size : 1, 1);
    if (!p || v->made_count == VARIANT_TENSORS)
        give_up("memory", "there is none");
    v->made[v->made_count++] = p;
    return p;
}

struct tensor *variant_add(struct variant *v, const char *name, enum dtype type, uint64_t count)
{
    struct tensor *t = &v->tensors[v->count++];
    *t = (struct tensor){.type = type, .rank = 1, .shape = {count}, .bytes = count * dtype_bits(type) / 8};
    t->data = variant_memory(v, (size_t)t->bytes);
    variant_rename(v, t, "%s", name);
    return t;
}

void variant_write_part(const struct variant *v, size_t first, size_t end, const char *path)
{
    struct out_file out;
    struct rwkv7_error err = {0};
    if (out_file_open(path, &out, &err) != RWKV7_OK ||
        safetensors_write_header(&out, v->tensors + first, end - first, v->metadata, v->metadata_count, &err) !=
            RWKV7_OK)
        give_up(path, err.message);
    for (size_t i = first; i < end; i++)
        if (out_file_write(&out, v->tensors[i].data, (size_t)v->tensors[i].bytes, &err) != RWKV7_OK)
            give_up(path, err.message);
    if (out_file_commit(&out, &err) != RWKV7_OK)
        give_up(path, err.message);
}

void variant_write(const struct variant *v, const char *path)
{
    variant_write_part(v, 0, v->count, path);
}
