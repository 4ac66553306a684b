/*
 * fuzz_gguf.c - any bytes as a GGUF file: either a complete message, or an index whose tensors are
 * contiguous in the image and have the size of their types and shapes, whose rows can be read, and
 * whose tokens are a vocabulary or rejected. Runs under libFuzzer and, over the corpus, under
 * replay.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/tensors.h"
#include "rwkv7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : broken(#condition, __LINE__))

static void broken(const char *condition, int line)
{
    fprintf(stderr, "fuzz_gguf.c:%d: does not hold: %s\n", line, condition);
    abort();
}

static void read_rows(const struct tensor *t)
{
    const uint64_t last = t->rank ? t->shape[t->rank - 1] : 1;
    if (t->rank == 0 || t->bytes == 0 || !dtype_has_rows(t->type))
        return;
    float *row = malloc(last * sizeof *row);
    if (!row)
        abort();
    tensor_row(t, 0, row);
    tensor_row(t, t->bytes * 8 / dtype_bits(t->type) * dtype_block(t->type) / last - 1, row);
    free(row);
}

static void check_index(const struct tensor_index *index, const uint8_t *image, size_t size)
{
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        uint64_t elements = 1;
        REQUIRE(i == 0 || strcmp(index->tensors[i - 1].name, t->name) < 0);
        REQUIRE(tensors_find(index, t->name) == t);
        REQUIRE(t->rank >= 0 && t->rank <= TENSOR_MAX_RANK);
        for (int axis = 0; axis < t->rank; axis++)
            elements *= t->shape[axis];
        REQUIRE(elements % dtype_block(t->type) == 0);
        REQUIRE(elements / dtype_block(t->type) * (dtype_bits(t->type) / 8) == t->bytes);
        REQUIRE(t->data >= image && t->data <= image + size && t->bytes <= (uint64_t)(image + size - t->data));
        REQUIRE(strcmp(t->file, "fuzz") == 0);
        read_rows(t);
    }
    for (size_t i = 0; i < index->metadata_count; i++)
        REQUIRE(index->metadata[i].key && index->metadata[i].value);
    if (index->vocab) {
        struct rwkv7_tokenizer *t = NULL;
        const enum rwkv7_status status = rwkv7_tokenizer_open_memory(index->vocab, index->vocab_size, "fuzz", &t, NULL);
        REQUIRE(status == RWKV7_OK ? t != NULL : status == RWKV7_ERR_VOCAB && !t);
        rwkv7_tokenizer_close(t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    if (size < 4 || memcmp(data, "GGUF", 4) != 0)
        return 0; /* would not be read as GGUF */
    if (tensors_open_memory(data, size, "fuzz", &index, &err) == RWKV7_OK) {
        check_index(index, data, size);
    } else {
        REQUIRE(!index && err.status == RWKV7_ERR_MODEL);
        REQUIRE(strncmp(err.message, "fuzz: ", 6) == 0 && err.message[6]);
    }
    tensors_close(index);
    return 0;
}
