/* variant.h - checkpoints of tests/golden changed in memory, and written as safetensors files, for tests of what opens and what does not. */
#ifndef VARIANT_H
#define VARIANT_H

#include <stdbool.h>

#include "formats/tensors.h"

enum { VARIANT_TENSORS = 256, VARIANT_NAME = 200 };

struct variant {
    struct tensor tensors[VARIANT_TENSORS]; /* [count], any order; change them as you like */
    char names[VARIANT_TENSORS][VARIANT_NAME];
    size_t count;
    struct tensor_pair metadata[8]; /* [metadata_count] */
    size_t metadata_count;
    struct tensor_index *index;  /* the original, which the data point into */
    void *made[VARIANT_TENSORS]; /* [made_count] data of tensors that were made */
    size_t made_count;
};

/* All of these end the test program when something fails. */
void variant_open(struct variant *v, const char *path);
void variant_close(struct variant *v);
struct tensor *variant_find(struct variant *v, const char *name);
void variant_drop(struct variant *v, const char *name);
void variant_rename(struct variant *v, struct tensor *t, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A tensor of zeroes; rank 1 unless changed. */
struct tensor *variant_add(struct variant *v, const char *name, enum dtype type, uint64_t count);
/* Memory that lives as long as the variant. */
void *variant_memory(struct variant *v, size_t size);
void variant_write(const struct variant *v, const char *path);
/* Only the tensors from `first` to before `end`. */
void variant_write_part(const struct variant *v, size_t first, size_t end, const char *path);

#endif
