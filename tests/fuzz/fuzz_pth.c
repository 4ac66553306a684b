/*
 * fuzz_pth.c - any bytes as a PyTorch checkpoint: either a complete message, or an index whose
 * tensors are in the image or, if not row-major there, in copies, and have the size of their types
 * and shapes. Runs under libFuzzer and, over the corpus, under replay.c.
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
    fprintf(stderr, "fuzz_pth.c:%d: does not hold: %s\n", line, condition);
    abort();
}

/* Reads all bytes, so that a sanitizer checks them. */
static void read_bytes(const struct tensor *t)
{
    static volatile uint8_t sink;
    for (uint64_t i = 0; i < t->bytes; i++)
        sink = t->data[i];
    (void)sink;
}

static void check_index(const struct tensor_index *index, const uint8_t *image, size_t size)
{
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        uint64_t bytes = dtype_bits(t->type) / 8;
        REQUIRE(i == 0 || strcmp(index->tensors[i - 1].name, t->name) < 0);
        REQUIRE(tensors_find(index, t->name) == t);
        REQUIRE(t->rank >= 0 && t->rank <= TENSOR_MAX_RANK);
        for (int axis = 0; axis < t->rank; axis++)
            bytes *= t->shape[axis];
        REQUIRE(bytes == t->bytes);
        if (t->data >= image && t->data <= image + size)
            REQUIRE(t->bytes <= (uint64_t)(image + size - t->data));
        else
            REQUIRE(t->bytes <= size);
        read_bytes(t);
        REQUIRE(strcmp(t->file, "fuzz") == 0);
    }
    REQUIRE(index->metadata_count == 0);
    REQUIRE(index->notes->count <= 1 &&
            (index->notes->count == 0 || strncmp(index->notes->lines[0], "fuzz: ", 6) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tensor_index *index;
    struct rwkv7_error err = {0};
    if (size < 4 || memcmp(data, "PK\3\4", 4) != 0)
        return 0; /* would not be read as a ZIP archive */
    if (tensors_open_memory(data, size, "fuzz", &index, &err) == RWKV7_OK) {
        check_index(index, data, size);
    } else {
        REQUIRE(!index && err.status == RWKV7_ERR_MODEL);
        REQUIRE(strncmp(err.message, "fuzz: ", 6) == 0 && err.message[6]);
    }
    tensors_close(index);
    return 0;
}
