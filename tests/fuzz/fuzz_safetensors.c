/*
 * fuzz_safetensors.c - any bytes as a safetensors image: either a complete message, or an index
 * that matches the image. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))

static void broken(const char *condition, int line)
{
    fprintf(stderr, "fuzz_safetensors.c:%d: does not hold: %s\n", line, condition);
    abort();
}

/*
 * Checks what every caller relies on: sorted names, sizes that match type and shape, tensors that
 * cover the data exactly.
 */
static void check_index(const struct tensor_index *index, const uint8_t *image, size_t size)
{
    uint64_t header = 0, total = 0;
    for (int i = 8; i-- > 0;)
        header = header << 8 | image[i];
    REQUIRE(header <= size - 8);
    const uint8_t *data = image + 8 + header, *end = image + size;
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        uint64_t bits = dtype_bits(t->type);
        REQUIRE(i == 0 || strcmp(index->tensors[i - 1].name, t->name) < 0);
        REQUIRE(tensors_find(index, t->name) == t);
        REQUIRE(t->rank >= 0 && t->rank <= TENSOR_MAX_RANK);
        for (int axis = 0; axis < t->rank; axis++)
            bits *= t->shape[axis];
        REQUIRE(bits == 8 * t->bytes);
        REQUIRE(t->data >= data && t->data <= end && t->bytes <= (uint64_t)(end - t->data));
        REQUIRE(strcmp(t->file, "fuzz") == 0);
        total += t->bytes;
    }
    REQUIRE(total == (uint64_t)(end - data));
    for (size_t i = 0; i < index->metadata_count; i++)
        REQUIRE(index->metadata[i].key && index->metadata[i].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    if (size >= 4 && (memcmp(data, "GGUF", 4) == 0 || memcmp(data, "PK\3\4", 4) == 0))
        return 0; /* would be read as something else */
    if (tensors_open_memory(data, size, "fuzz", &index, &err) == RWKV7_OK) {
        check_index(index, data, size);
    } else {
        REQUIRE(!index && err.status == RWKV7_ERR_MODEL);
        REQUIRE(strncmp(err.message, "fuzz: ", 6) == 0 && err.message[6]);
    }
    tensors_close(index);
    return 0;
}
