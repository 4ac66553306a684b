/*
 * fuzz_shards.c - any bytes as a folder with an index of shards: either a complete message, or an
 * index in which every tensor is in one of the files. Runs under libFuzzer and, over the corpus,
 * under replay.c.
 *
 * The input is a length of two bytes, little-endian, and a.safetensors; the same for b.safetensors;
 * the rest is model.safetensors.index.json.
 */
#include "fuzz.h"

#include "formats/tensors.h"

static void check_index(const struct tensor_index *index)
{
    static volatile uint8_t sink;
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *const t = &index->tensors[i];
        REQUIRE(i == 0 || strcmp(index->tensors[i - 1].name, t->name) < 0);
        REQUIRE(tensors_find(index, t->name) == t);
        REQUIRE(strncmp(t->file, fuzz_folder(), strlen(fuzz_folder())) == 0);
        for (uint64_t k = 0; k < t->bytes; k++)
            sink = t->data[k];
    }
    (void)sink;
}

/* Takes the next piece of the input. */
static size_t take(const uint8_t **data, size_t *size, const uint8_t **piece)
{
    if (*size < 2)
        return 0;
    size_t n = (size_t)((*data)[0] | (*data)[1] << 8);
    *data += 2;
    *size -= 2;
    n = n < *size ? n : *size;
    *piece = *data;
    *data += n;
    *size -= n;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.safetensors", "b.safetensors"};
    struct tensor_index *index = NULL;
    struct rwkv7_error err = {0};
    const uint8_t *piece = data;
    for (int i = 0; i < 2; i++) {
        const size_t n = take(&data, &size, &piece);
        fuzz_file(names[i], piece, n);
    }
    fuzz_file("model.safetensors.index.json", data, size);
    const enum rwkv7_status status = tensors_open(fuzz_folder(), &index, &err);
    if (status == RWKV7_OK)
        check_index(index);
    else
        REQUIRE(!index && (status == RWKV7_ERR_MODEL || status == RWKV7_ERR_IO) && err.message[0]);
    tensors_close(index);
    return 0;
}
