/*
 * fuzz_lora.c - any bytes as a LoRA file for a small checkpoint: either a complete message, or
 * merged rows. Runs under libFuzzer and, over the corpus, under replay.c.
 */
#include "fuzz.h"

#include "formats/lora.h"
#include "formats/tensors.h"

/* a.weight [3,2] F32, b.weight [2,4] F16, c [2] F32 */
static struct tensor_index *open_base(void)
{
    static const char header[] = "{\"a.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                                 "\"b.weight\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[24,40]},"
                                 "\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[40,48]}}";
    static uint8_t image[8 + sizeof header - 1 + 48];
    struct tensor_index *index = NULL;
    image[0] = (uint8_t)((sizeof header - 1) & 255);
    image[1] = (uint8_t)((sizeof header - 1) >> 8);
    memcpy(image + 8, header, sizeof header - 1);
    REQUIRE(tensors_open_memory(image, sizeof image, "base", &index, NULL) == RWKV7_OK);
    return index;
}

static void merge(const struct lora *lora, const struct tensor_index *base)
{
    for (size_t i = 0; i < base->count; i++) {
        const struct tensor *const t = &base->tensors[i];
        struct lora_merge m;
        float row[4];
        struct rwkv7_error err = {0};
        const enum rwkv7_status status = lora_begin(lora, t, &m, &err);
        REQUIRE(status == RWKV7_OK || (status == RWKV7_ERR_MEMORY && err.message[0]));
        const uint64_t rows = t->rank == 2 ? t->shape[0] : 1;
        for (uint64_t r = 0; status == RWKV7_OK && r < rows; r++)
            lora_row(&m, r, row);
        lora_end(&m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tensor_index *base;
    static const double alphas[] = {0, 16};
    const char *const path = fuzz_file("lora", data, size);
    if (!base)
        base = open_base();
    for (size_t i = 0; i < sizeof alphas / sizeof alphas[0]; i++) {
        struct lora *lora = NULL;
        struct rwkv7_error err = {0};
        enum rwkv7_status status = lora_open(path, NULL, alphas[i], &lora, &err);
        REQUIRE((status == RWKV7_OK) == (lora != NULL));
        if (status == RWKV7_OK && (status = lora_check(lora, base, &err)) == RWKV7_OK)
            merge(lora, base);
        if (status != RWKV7_OK)
            REQUIRE((status == RWKV7_ERR_MODEL || (status == RWKV7_ERR_USAGE && i == 0)) &&
                    strncmp(err.message, path, 10) == 0);
        lora_close(lora);
        if (status != RWKV7_ERR_USAGE)
            break; /* USAGE: the file has no alpha, so it is given */
    }
    return 0;
}
