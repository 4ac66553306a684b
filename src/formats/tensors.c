/* tensors.c - see tensors.h. */
#include "formats/tensors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "formats/config.h"
#include "formats/folder.h"
#include "formats/ggml_blocks.h"
#include "formats/gguf.h"
#include "formats/little.h"
#include "formats/packed.h"
#include "formats/prefix.h"
#include "formats/pth.h"
#include "formats/safetensors.h"
#include "formats/shards.h"
#include "formats/snippet.h"

/* ---------------------------------------------------------------------------------------- types */

#define PACKED(NAME, name, ...) \
    [DT_TILES_##NAME] = {"packed " #name, 0}, [DT_COLUMNS_##NAME] = {"packed " #name " by column", 0},
static const struct {
    const char *name;
    unsigned bits;
} dtypes[DT_COUNT] = {
    [DT_BOOL] = {"BOOL", 8},
    [DT_U8] = {"U8", 8},
    [DT_I8] = {"I8", 8},
    [DT_F8_E5M2] = {"F8_E5M2", 8},
    [DT_F8_E4M3] = {"F8_E4M3", 8},
    [DT_F8_E8M0] = {"F8_E8M0", 8},
    [DT_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8},
    [DT_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8},
    [DT_F6_E2M3] = {"F6_E2M3", 6},
    [DT_F6_E3M2] = {"F6_E3M2", 6},
    [DT_F4] = {"F4", 4},
    [DT_I16] = {"I16", 16},
    [DT_U16] = {"U16", 16},
    [DT_F16] = {"F16", 16},
    [DT_BF16] = {"BF16", 16},
    [DT_I32] = {"I32", 32},
    [DT_U32] = {"U32", 32},
    [DT_F32] = {"F32", 32},
    [DT_I64] = {"I64", 64},
    [DT_U64] = {"U64", 64},
    [DT_F64] = {"F64", 64},
    [DT_C64] = {"C64", 64},
    [DT_Q4_0] = {"Q4_0", 8 * 18},
    [DT_Q4_1] = {"Q4_1", 8 * 20},
    [DT_Q5_0] = {"Q5_0", 8 * 22},
    [DT_Q5_1] = {"Q5_1", 8 * 24},
    [DT_Q8_0] = {"Q8_0", 8 * 34},
    [DT_IQ4_NL] = {"IQ4_NL", 8 * 18},
    [DT_Q2_K] = {"Q2_K", 8 * 84},
    [DT_Q3_K] = {"Q3_K", 8 * 110},
    [DT_Q4_K] = {"Q4_K", 8 * 144},
    [DT_Q5_K] = {"Q5_K", 8 * 176},
    [DT_Q6_K] = {"Q6_K", 8 * 210},
    [DT_IQ4_XS] = {"IQ4_XS", 8 * 136},
    INTEGER_TYPES(PACKED) /* "packed q8", "packed q8 by column", ... */
};
#undef PACKED

const char *dtype_name(enum dtype type)
{
    return dtypes[type].name;
}

unsigned dtype_bits(enum dtype type)
{
    return dtypes[type].bits;
}

unsigned dtype_block(enum dtype type)
{
    return type < DT_PLAIN ? 1 : type < DT_Q2_K ? 32 : type < DT_PACKED ? 256 : 0;
}

bool dtype_is_integer(enum dtype type)
{
    return type == DT_BOOL || type == DT_U8 || type == DT_I8 || type == DT_I16 || type == DT_U16 || type == DT_I32 ||
           type == DT_U32 || type == DT_I64 || type == DT_U64;
}

bool tensor_is_incidental(const struct tensor *t)
{
    return t->bytes == 0 || dtype_is_integer(t->type);
}

bool dtype_has_rows(enum dtype type)
{
    return type == DT_F32 || type == DT_F16 || type == DT_BF16 || type == DT_F64 ||
           (type >= DT_PLAIN && type < DT_PACKED);
}

static float narrow64(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return (float)x;
}

void tensor_row(const struct tensor *t, uint64_t row, float *out)
{
    const size_t n = (size_t)t->shape[t->rank - 1], block = dtype_block(t->type);
    assert(block > 0 && "packed matrices have no rows");
    const size_t blocks = n / block; /* NOLINT(clang-analyzer-core.DivideZero): asserted */
    const uint8_t *from = t->data + (size_t)row * blocks * (dtype_bits(t->type) / 8);
    if (t->type >= DT_PLAIN)
        ggml_blocks_floats(t->type, from, blocks, out);
    else if (t->type == DT_F32)
        memcpy(out, from, n * sizeof *out);
    else if (t->type == DT_F64)
        for (size_t i = 0; i < n; i++)
            out[i] = narrow64(little64(from + 8 * i));
    else
        for (size_t i = 0; i < n; i++)
            out[i] = (t->type == DT_F16 ? f16_to_f32 : bf16_to_f32)(little16(from + 2 * i));
}

/* ---------------------------------------------------------------------------------------- index */

static int compare_tensors(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

void tensors_sort(struct tensor *tensors, size_t count)
{
    qsort(tensors, count, sizeof *tensors, compare_tensors);
}

static enum rwkv7_status index_new(size_t files, struct tensor_index **out, struct rwkv7_error *err)
{
    struct tensor_index *index = mem_alloc(1, sizeof *index);
    if (index) {
        index->files = mem_alloc(files, sizeof *index->files);
        index->notes = mem_alloc(1, sizeof *index->notes);
        /* for each file: path, strings, copies; and index->path */
        index->owned = mem_alloc(3 * files + 1, sizeof *index->owned);
    }
    if (!index || !index->files || !index->notes || !index->owned) {
        tensors_close(index);
        return fail_memory(err, "the index of tensors");
    }
    *out = index;
    return RWKV7_OK;
}

void tensors_close(struct tensor_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; i < index->file_count; i++)
        file_map_close(&index->files[i]);
    for (size_t i = 0; i < index->owned_count; i++)
        mem_free(index->owned[i]);
    config_free(index);
    if (index->notes)
        notes_free(index->notes);
    mem_free(index->notes);
    mem_free(index->tensors);
    mem_free(index->metadata);
    mem_free(index->vocab);
    mem_free(index->files);
    mem_free(index->owned);
    mem_free(index);
}

const struct tensor *tensors_find(const struct tensor_index *index, const char *name)
{
    const struct tensor key = {.name = name};
    return index->count ? bsearch(&key, index->tensors, index->count, sizeof key, compare_tensors) : NULL;
}

const char *tensors_metadata(const struct tensor_index *index, const char *key)
{
    for (size_t i = 0; i < index->metadata_count; i++)
        if (strcmp(index->metadata[i].key, key) == 0)
            return index->metadata[i].value;
    return NULL;
}

const char *tensors_chat_template(const struct tensor_index *index)
{
    const char *const stated = tensors_metadata(index, CHAT_TEMPLATE_KEY);
    return stated ? stated : index->chat_template;
}

/*
 * Makes the index the owner of `string`. Returns false if `string` is NULL because memory ran out.
 */
static bool adopt(struct tensor_index *index, char *string)
{
    if (string)
        index->owned[index->owned_count++] = string;
    return string != NULL;
}

/*
 * File formats by magic number. safetensors has none, so it comes last and also gets unknown files;
 * its reader identifies them.
 */
static const struct format {
    const char *container, *magic;
    reader_fn *read;
} formats[] = {
    {"PyTorch", "PK\3\4", pth_read},
    {"GGUF", "GGUF", gguf_read},
    {"safetensors", "", safetensors_read},
};

static const struct format *find_format(const struct file_image *in)
{
    const struct format *f = formats;
    while (*f->magic && (in->size < strlen(f->magic) || memcmp(in->bytes, f->magic, strlen(f->magic)) != 0))
        f++;
    return f;
}

/* Reads an image into *out, sorted by name. The index owns its strings. */
static enum rwkv7_status read_image(struct tensor_index *index, const struct file_image *in, struct tensor_list *out)
{
    const struct format *format = find_format(in);
    enum rwkv7_status status = format->read(in, out);
    if (status != RWKV7_OK)
        return status;
    tensors_sort(out->tensors, out->count);
    for (size_t i = 1; i < out->count; i++) {
        if (strcmp(out->tensors[i - 1].name, out->tensors[i].name) == 0) {
            status = refuse_tensor(in, out->tensors[i].name, "duplicate name");
            tensor_list_free(out);
            return status;
        }
    }
    if ((status = packed_resolve(in, out)) != RWKV7_OK) {
        tensor_list_free(out);
        return status;
    }
    adopt(index, out->strings);
    adopt(index, out->copies);
    out->strings = out->copies = NULL;
    snprintf(index->container, sizeof index->container, "%s", format->container);
    return RWKV7_OK;
}

/*
 * Maps a file and reads it into *out. The index owns the mapping and `path`, which may be NULL if
 * memory ran out.
 */
static enum rwkv7_status read_file(struct tensor_index *index, char *path, struct tensor_list *out,
                                   struct rwkv7_error *err)
{
    struct file_map *file = &index->files[index->file_count];
    if (!adopt(index, path))
        return fail_memory(err, "a path");
    const enum rwkv7_status status = file_map_open(path, file, err);
    if (status != RWKV7_OK)
        return status;
    index->file_count++;
    const struct file_image in = {
        .bytes = file->data, .size = file->size, .file = path, .err = err, .notes = index->notes};
    return read_image(index, &in, out);
}

/* --------------------------------------------------------------------------------- single files */

static void take_tensors(struct tensor_index *index, struct tensor_list *image)
{
    index->tensors = image->tensors;
    index->count = image->count;
    index->metadata = image->metadata;
    index->metadata_count = image->metadata_count;
    index->vocab = image->vocab;
    index->vocab_size = image->vocab_size;
}

static enum rwkv7_status open_single(const char *path, struct tensor_index **out, struct rwkv7_error *err)
{
    struct tensor_index *index = NULL;
    struct tensor_list image;
    enum rwkv7_status status = index_new(1, &index, err);
    if (status == RWKV7_OK)
        status = read_file(index, mem_string(path, strlen(path)), &image, err);
    if (status != RWKV7_OK) {
        tensors_close(index);
        return status;
    }
    take_tensors(index, &image);
    *out = index;
    return RWKV7_OK;
}

enum rwkv7_status tensors_open_memory(const void *data, size_t size, const char *name, struct tensor_index **out,
                                      struct rwkv7_error *err)
{
    struct tensor_index *index = NULL;
    struct tensor_list image;
    *out = NULL;
    enum rwkv7_status status = index_new(1, &index, err);
    if (status != RWKV7_OK)
        return status;
    char *file = mem_string(name, strlen(name));
    const struct file_image in = {.bytes = data, .size = size, .file = file, .err = err, .notes = index->notes};
    status = adopt(index, file) ? read_image(index, &in, &image) : fail_memory(err, "a name");
    if (status != RWKV7_OK) {
        tensors_close(index);
        return status;
    }
    take_tensors(index, &image);
    snprintf(index->container, sizeof index->container, "memory");
    if ((status = prefix_strip(index, err)) != RWKV7_OK) {
        tensors_close(index);
        return status;
    }
    *out = index;
    return RWKV7_OK;
}

/* --------------------------------------------------------------------------------------- shards */

/*
 * Checks that a shard contains exactly the tensors that the weight_map assigns to it. Both lists
 * are sorted by name.
 */
static enum rwkv7_status check_shard(const char *path, const struct placed_tensor *placed, size_t placed_count,
                                     const struct tensor_list *shard, struct rwkv7_error *err)
{
    const struct snippet shown = snippet_path(path), file = snippet_text(placed->file, strlen(placed->file), 48);
    for (size_t i = 0; i < placed_count || i < shard->count; i++) {
        const int order = i == placed_count   ? 1
                          : i == shard->count ? -1
                                              : strcmp(placed[i].tensor, shard->tensors[i].name);
        if (order < 0)
            return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': expected in '%s', not found", shown.text,
                        snippet_name(placed[i].tensor).text, file.text);
        if (order > 0)
            return fail(err, RWKV7_ERR_MODEL, "%s: tensor '%s': found in '%s', but the weight_map says otherwise",
                        shown.text, snippet_name(shard->tensors[i].name).text, file.text);
    }
    return RWKV7_OK;
}

/* Reads the files of the weight_map into shards[map->files]. */
static enum rwkv7_status read_shards(struct tensor_index *index, const char *path, const struct shard_map *map,
                                     struct tensor_list *shards, struct rwkv7_error *err)
{
    const char *slash = strrchr(path, '/');
    const size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
    size_t begin = 0;

    for (size_t i = 0; i < map->files; i++) {
        const struct placed_tensor *placed = &map->tensors[begin];
        size_t end = begin + 1;
        while (end < map->count && strcmp(map->tensors[end].file, placed->file) == 0)
            end++;
        enum rwkv7_status status = read_file(index, folder_join(path, folder, placed->file), &shards[i], err);
        if (status == RWKV7_OK)
            status = check_shard(path, placed, end - begin, &shards[i], err);
        if (status != RWKV7_OK)
            return status;
        begin = end;
    }
    return RWKV7_OK;
}

/*
 * Merges the shards into one index. No tensor can occur twice: the weight_map has unique names and
 * check_shard has compared the shards with it. Every shard repeats the metadata of the checkpoint,
 * so those of the first shard are used.
 */
static enum rwkv7_status merge_shards(struct tensor_index *index, const struct shard_map *map,
                                      struct tensor_list *shards, struct rwkv7_error *err)
{
    index->tensors = mem_alloc(map->count, sizeof *index->tensors);
    if (!index->tensors)
        return fail_memory(err, "the index of tensors");
    for (size_t i = 0; i < map->files; i++) {
        memcpy(index->tensors + index->count, shards[i].tensors, shards[i].count * sizeof *index->tensors);
        index->count += shards[i].count;
    }
    tensors_sort(index->tensors, index->count);
    index->metadata = shards[0].metadata;
    index->metadata_count = shards[0].metadata_count;
    shards[0].metadata = NULL;
    const size_t n = strlen(index->container);
    snprintf(index->container + n, sizeof index->container - n, ", %zu shard%s", map->files,
             map->files == 1 ? "" : "s");
    return RWKV7_OK;
}

static enum rwkv7_status open_shards(const char *path, struct tensor_index **out, struct rwkv7_error *err)
{
    struct tensor_index *index = NULL;
    struct tensor_list *shards = NULL;
    struct shard_map map;
    enum rwkv7_status status = shard_map_open(path, &map, err);
    if (status != RWKV7_OK)
        return status;
    shards = mem_alloc(map.files, sizeof *shards);
    if (!shards) {
        status = fail_memory(err, "the shards");
        goto done;
    }
    if ((status = index_new(map.files + 1, &index, err)) != RWKV7_OK ||
        (status = read_shards(index, path, &map, shards, err)) != RWKV7_OK ||
        (status = merge_shards(index, &map, shards, err)) != RWKV7_OK)
        goto done;
    index->files[index->file_count++] =
        map.file; /* the weight_map is an input file too: an output must not overwrite it */
    map.file = (struct file_map){0};
    *out = index;
    index = NULL;
done:
    for (size_t i = 0; shards && i < map.files; i++)
        tensor_list_free(&shards[i]);
    mem_free(shards);
    shard_map_close(&map);
    tensors_close(index);
    return status;
}

/* ------------------------------------------------------------------------------------- any path */

enum rwkv7_status tensors_open(const char *path, struct tensor_index **out, struct rwkv7_error *err)
{
    char *file = NULL;
    enum rwkv7_status status = RWKV7_OK;
    *out = NULL;
    if (path_is_folder(path))
        status = folder_checkpoint(path, &file, err);
    else if (!(file = mem_string(path, strlen(path))))
        status = fail_memory(err, "a path");
    if (status == RWKV7_OK)
        status = path_ends_with(file, ".index.json") ? open_shards(file, out, err) : open_single(file, out, err);
    if (status == RWKV7_OK)
        status = prefix_strip(*out, err);
    if (status == RWKV7_OK)
        status = config_read(*out, file, path_is_folder(path), err);
    if (status != RWKV7_OK) {
        tensors_close(*out);
        *out = NULL;
        mem_free(file);
        return status;
    }
    adopt(*out, file);
    (*out)->path = file;
    return RWKV7_OK;
}
