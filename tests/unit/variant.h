/*
 * variant.h - changes the checkpoints of tests/golden in memory and writes them as safetensors
 * files, to test which variants open.
 */
#ifndef VARIANT_H
#define VARIANT_H

#include <stdbool.h>

#include "formats/tensors.h"

enum { VARIANT_TENSORS = 256, VARIANT_NAME = 200 };

struct variant {
    struct tensor tensors[VARIANT_TENSORS]; /* [count], in any order; tests may change them */
    char names[VARIANT_TENSORS][VARIANT_NAME];
    size_t count;
    struct tensor_pair metadata[8]; /* [metadata_count] */
    size_t metadata_count;
    struct tensor_index *index;  /* the original, which the data point into */
    void *made[VARIANT_TENSORS]; /* [made_count]: memory of added tensors */
    size_t made_count;
};

/* On failure all of these functions end the test program. */
void variant_open(struct variant *v, const char *path);
void variant_close(struct variant *v);
struct tensor *variant_find(struct variant *v, const char *name);
void variant_drop(struct variant *v, const char *name);
void variant_rename(struct variant *v, struct tensor *t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Adds a tensor of zeros; rank 1 unless changed. */
struct tensor *variant_add(struct variant *v, const char *name, enum dtype type, uint64_t count);
/* Returns memory that is freed with the variant. */
void *variant_memory(struct variant *v, size_t size);
void variant_write(const struct variant *v, const char *path);
/* Writes only the tensors first .. end - 1. */
void variant_write_part(const struct variant *v, size_t first, size_t end, const char *path);

#endif
