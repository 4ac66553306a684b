/*
 * tensors.h - an index of named tensors in mapped files, the common result of all file formats. It
 * knows nothing about RWKV.
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
    DT_PLAIN, /* from here on: block types of ggml (ggml_blocks.h) */
    DT_Q4_0 = DT_PLAIN,
    DT_Q4_1,
    DT_Q5_0,
    DT_Q5_1,
    DT_Q8_0,
    DT_IQ4_NL,
    DT_Q2_K, /* from here on: blocks of 256 elements; before: of 32 */
    DT_Q3_K,
    DT_Q4_K,
    DT_Q5_K,
    DT_Q6_K,
    DT_IQ4_XS,
    DT_PACKED, /* from here on: packed matrices of this program, two layouts for each integer type (packed.h) */
    INTEGER_TYPES(DT_INTEGERS) /* DT_TILES_Q8 = DT_PACKED, DT_COLUMNS_Q8, ... */
    DT_COUNT = DT_PACKED + 2 * INTEGER_TYPE_COUNT
};
#undef DT_INTEGERS
const char *dtype_name(enum dtype type); /* as spelled in safetensors ("BF16") or ggml ("Q4_K") */
unsigned
dtype_block(enum dtype type); /* elements per block: 1 below DT_PLAIN, 0 for packed types; rows are whole blocks */
unsigned dtype_bits(enum dtype type); /* bits per block; 0 for packed types */

#define TENSOR_MAX_RANK 8

struct tensor {
    const char *name; /* owned by the index */
    enum dtype type;
    int rank;                        /* 0 for a scalar */
    uint64_t shape[TENSOR_MAX_RANK]; /* outermost first */
    /*
     * Little-endian, row-major, any alignment; a row is the last axis. In the mapped file, or in a
     * copy owned by the index.
     */
    const uint8_t *data;
    uint64_t bytes;
    const char *file; /* path of the file that contains it, owned by the index */
};

struct tensor_pair {
    const char *key, *value;
};

struct tensor_index {
    struct tensor *tensors; /* [count], sorted by name (strcmp) */
    size_t count;
    struct tensor_pair *metadata; /* [metadata_count], in file order; that of the first shard */
    size_t metadata_count;
    char *vocab; /* [vocab_size] the vocabulary in the file, text in the World format; NULL if there is none */
    size_t vocab_size;
    struct file_map *files; /* [file_count]; the mappings that `data` points into, and the shard index */
    size_t file_count;
    char **owned; /* [owned_count]; memory of names, paths, metadata and copies of tensors */
    size_t owned_count;
    struct notes *notes;  /* notes on what was read; users of a const index may add some */
    struct cJSON *config; /* config.json in the same folder (config.h); NULL if there is none */
    char *config_path;
    char *chat_template; /* from a file in the same folder; NULL if there is none. GGUF files have it in the metadata */
    const char *path;    /* the file that was opened, a checkpoint or a shard index; NULL for an image in memory */
    struct snippet prefix; /* removed from the names, for example "model."; "" if nothing was */
    char container[48];    /* "safetensors", "safetensors, 4 shards", "PyTorch", "GGUF", "memory" */
};

/*
 * Opens a checkpoint: a safetensors file, a *.safetensors.index.json, a PyTorch .pth, a GGUF file,
 * or a folder with one of them. Other files are identified in the message if possible
 * (RWKV7_ERR_MODEL), for example Git LFS pointers. The caller frees *out with tensors_close.
 */
enum rwkv7_status tensors_open(const char *path, struct tensor_index **out, struct rwkv7_error *err);
/*
 * Opens the image of a single file in memory, which must outlive the index. `name` appears in
 * messages.
 */
enum rwkv7_status tensors_open_memory(const void *data, size_t size, const char *name, struct tensor_index **out,
                                      struct rwkv7_error *err);
void tensors_close(struct tensor_index *index);

/* Sorts by name, as tensors_find requires. */
void tensors_sort(struct tensor *tensors, size_t count);
/* Finds a tensor by binary search; NULL if there is none of that name. */
const struct tensor *tensors_find(const struct tensor_index *index, const char *name);
#define CHAT_TEMPLATE_KEY "tokenizer.chat_template"
/* Returns the chat template of the checkpoint; NULL if there is none. */
const char *tensors_chat_template(const struct tensor_index *index);
/* Returns the metadata value of `key`; NULL if there is none. */
const char *tensors_metadata(const struct tensor_index *index, const char *key);

bool dtype_is_integer(enum dtype type); /* true for BOOL, too; false for packed and ggml types */
/*
 * Whether the tensor is empty or holds integers, so that it cannot be a weight. Training programs
 * store such tensors as counters and empty buffers.
 */
bool tensor_is_incidental(const struct tensor *t);
/* Whether tensor_row supports the type: F32, F16, BF16, F64, and the block types of ggml. */
bool dtype_has_rows(enum dtype type);
/*
 * Converts row `row` to float32; out [the last axis]. Rows are counted over all other axes; the
 * tensor has at least one axis. The result is exact, except that F64 is rounded to nearest.
 */
void tensor_row(const struct tensor *t, uint64_t row, float *out);

#endif
