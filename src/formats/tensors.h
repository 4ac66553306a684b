/*
 * tensors.h - an index of named tensors over mapped bytes. What every file format is turned into; knows nothing of
 * RWKV.
 */
#ifndef FORMATS_TENSORS_H
#define FORMATS_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/integer_types.h"
#include "base/notes.h"
#include "base/status.h"
#include "base/sys.h"
#include "formats/snippet.h"

#define DT_INTEGERS(NAME, ...) \
    DT_TILES_##NAME = DT_PACKED + 2 * INTEGER_##NAME, DT_COLUMNS_##NAME = DT_PACKED + 2 * INTEGER_##NAME + 1,
enum dtype {
    DT_BOOL,
    DT_U8,
    DT_I8,
    DT_F8_E5M2,
    DT_F8_E4M3,
    DT_F8_E8M0,
    DT_F8_E4M3FNUZ,
    DT_F8_E5M2FNUZ,
    DT_F6_E2M3,
    DT_F6_E3M2,
    DT_F4,
    DT_I16,
    DT_U16,
    DT_F16,
    DT_BF16,
    DT_I32,
    DT_U32,
    DT_F32,
    DT_I64,
    DT_U64,
    DT_F64,
    DT_C64,
    DT_PLAIN, /* the types from here on come in blocks: those of ggml (ggml_blocks.h) */
    DT_Q4_0 = DT_PLAIN,
    DT_Q4_1,
    DT_Q5_0,
    DT_Q5_1,
    DT_Q8_0,
    DT_IQ4_NL,
    DT_Q2_K, /* the types from here on are in blocks of 256, those before of 32 */
    DT_Q3_K,
    DT_Q4_K,
    DT_Q5_K,
    DT_Q6_K,
    DT_IQ4_XS,
    DT_PACKED, /* and from here on, whole matrices of integers in the layouts of this program (packed.h): of each type two */
    INTEGER_TYPES(DT_INTEGERS) /* DT_TILES_Q8 = DT_PACKED, DT_COLUMNS_Q8, ... */
    DT_COUNT = DT_PACKED + 2 * INTEGER_TYPE_COUNT
};
#undef DT_INTEGERS
const char *dtype_name(enum dtype type); /* as spelled in safetensors: "BF16", or by ggml: "Q4_K" */
unsigned dtype_block(enum dtype type);   /* elements in a block, 1 below DT_PLAIN; rows are whole blocks; 0: packed */
unsigned dtype_bits(enum dtype type);    /* bits per block; 0: packed */

#define TENSOR_MAX_RANK 8

struct tensor {
    const char *name; /* owned by the index */
    enum dtype type;
    int rank;                        /* 0 for a scalar */
    uint64_t shape[TENSOR_MAX_RANK]; /* outermost first */
    const uint8_t *data;             /* little-endian, row-major, any alignment; a row is the last axis. In the mapping
                                        of the file, or a copy that the index owns */
    uint64_t bytes;
    const char *file; /* path of the file that holds it, owned by the index */
};

struct tensor_pair {
    const char *key, *value;
};

struct tensor_index {
    struct tensor *tensors; /* [count], sorted by name (strcmp) */
    size_t count;
    struct tensor_pair *metadata; /* [metadata_count], in file order; of shards, those of the first */
    size_t metadata_count;
    char *vocab; /* [vocab_size] the vocabulary in the file, as text in the World format; NULL: there is none */
    size_t vocab_size;
    struct file_map *files; /* [file_count]; the mappings that `data` points into, and the index of the shards */
    size_t file_count;
    char **owned; /* [owned_count]; strings that names, paths and metadata point into, and copies of tensors */
    size_t owned_count;
    struct notes *notes;  /* on what was read, and how; also by those who only read the index */
    struct cJSON *config; /* the config.json beside it (config.h); NULL: there is none */
    char *config_path;
    char *chat_template; /* of a file beside it; NULL: there is none. GGUF files have theirs in the metadata */
    const char *path; /* the file that was opened: the only one, or the index of the shards; NULL: an image in memory */
    struct snippet prefix; /* what preceded all names in the file, "model."; "": nothing */
    char container[48];    /* "safetensors", "safetensors, 4 shards", "PyTorch", "GGUF", "memory" */
};

/*
 * Opens a checkpoint, whatever it is: a safetensors file, a *.safetensors.index.json, a PyTorch .pth, a GGUF file, a
 * folder with one of them. What it is not able to read is recognised and said so (RWKV7_ERR_MODEL): a Git-LFS pointer, ...
 */
enum rwkv7_status tensors_open(const char *path, struct tensor_index **out, struct rwkv7_error *err);
/* The image of a single file in memory, which must outlive the index. */
enum rwkv7_status tensors_open_memory(const void *data, size_t size, const char *name, struct tensor_index **out,
                                      struct rwkv7_error *err);
void tensors_close(struct tensor_index *index);

/* By name, as tensors_find needs them. */
void tensors_sort(struct tensor *tensors, size_t count);
/* Binary search; NULL when there is none of that name. */
const struct tensor *tensors_find(const struct tensor_index *index, const char *name);
#define CHAT_TEMPLATE_KEY "tokenizer.chat_template"
/* The template for conversations that the checkpoint states; NULL: none. */
const char *tensors_chat_template(const struct tensor_index *index);
/* The value of the metadata of that key; NULL when there is none. */
const char *tensors_metadata(const struct tensor_index *index, const char *key);

bool dtype_is_integer(enum dtype type); /* or BOOL: no packed or ggml type */
/* Whether it holds no numbers that a model could compute with: integers, or nothing. Counters and empty buffers are so. */
bool tensor_is_incidental(const struct tensor *t);
/* Whether tensor_row takes the type: F32, F16, BF16, F64, and all that come in blocks of ggml. */
bool dtype_has_rows(enum dtype type);
/*
 * Row `row` of a tensor with at least one axis, counted over all other axes, as float32. out [the last axis]; exact, but for F64, which is
 * rounded to the nearest.
 */
void tensor_row(const struct tensor *t, uint64_t row, float *out);

#endif
