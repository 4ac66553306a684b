/*
 * test_conventions.c - conventions that no file states: which file of a folder is the model, and
 * the epsilon inside heads, which depends on the naming scheme.
 */
#include "base/mem.h"
#include "formats/folder.h"
#include "same.h"
#include "weights/model.h"

/*
 * Of several kinds of checkpoints in a folder, the first kind in this list is chosen, if it has
 * only one file.
 */
static void test_folder_order(void)
{
    static const char *const names[] = {"model.safetensors",
                                        "model.safetensors.index.json",
                                        "b.safetensors.index.json",
                                        "b.safetensors",
                                        "pytorch_model.bin",
                                        "pytorch_model.bin.index.json",
                                        "b.pth",
                                        "b.gguf"};
    const size_t count = sizeof names / sizeof names[0];
    struct rwkv7_error err;
    char *path = NULL;
    for (size_t i = 0; i < count; i++) {
        FILE *f = fopen(in_folder(names[i]), "w");
        CHECK(f && fclose(f) == 0);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK_MSG(folder_checkpoint(folder, &path, &err) == RWKV7_OK, "%s", err.message);
        CHECK_STR(path ? path : "", in_folder(names[i]));
        mem_free(path);
        path = NULL;
        unlink(in_folder(names[i]));
    }
    CHECK(folder_checkpoint(folder, &path, &err) == RWKV7_ERR_MODEL && !path);
}

/* The message lists as many names as fit, then "...". */
static void test_many_in_folder(void)
{
    struct rwkv7_error err;
    char name[40];
    char *path = NULL;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "%02d%.*s.safetensors", i, i % 20, "abcdefghijklmnopqrstuvw");
        FILE *f = fopen(in_folder(name), "w");
        CHECK(f && fclose(f) == 0);
    }
    CHECK(folder_checkpoint(folder, &path, &err) == RWKV7_ERR_MODEL && !path);
    const size_t n = strlen(err.message);
    CHECK_MSG(
        strstr(err.message,
               "several checkpoints in this folder; give the path of one of them: 00.safetensors, 01a.safetensors"),
        "%s", err.message);
    CHECK_MSG(n > 200 && n < sizeof err.message && strcmp(err.message + n - 17, ".safetensors, ...") == 0, "%s",
              err.message);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "%02d%.*s.safetensors", i, i % 20, "abcdefghijklmnopqrstuvw");
        unlink(in_folder(name));
    }
}

/*
 * With fla's names, the epsilon inside heads is 1e-5 times the head size: for heads of 64 channels
 * the author's constant.
 */
static void test_fla_epsilon(void)
{
    for (uint64_t n = 16; n <= 64; n *= 2) {
        variant_open(&v, GOLDEN("bf16_fla"));
        for (size_t i = 0; i < v.count; i++)
            if (strstr(v.tensors[i].name, "r_k")) {
                v.tensors[i].shape[0] = 64 / n;
                v.tensors[i].shape[1] = n;
                CHECK(v.tensors[i].rank == 2);
            }
        variant_write(&v, file);
        struct rwkv7_model *model = NULL;
        struct rwkv7_error err = {0};
        CHECK_MSG(rwkv7_model_open(rt, file, NULL, &model, &err) == RWKV7_OK, "%s", err.message);
        if (model) {
            CHECK(rwkv7_model_info(model)->shape.head_size == (int)n);
            CHECK_MSG(model->head_eps == 1e-5f * (float)n && model->ln_eps == 1e-5f, "%g of %d",
                      (double)model->head_eps, (int)n);
        }
        rwkv7_model_close(model);
        variant_close(&v);
    }
    /* RWKV-6 has the author's constant for every head size. */
    struct rwkv7_model *model = NULL;
    CHECK(rwkv7_model_open(rt, GOLDEN("x060_f16_fla"), NULL, &model, NULL) == RWKV7_OK);
    CHECK(model && rwkv7_model_info(model)->shape.head_size == 16 && model->head_eps == 64e-5f);
    rwkv7_model_close(model);
}

int main(void)
{
    if (!same_begin())
        return 1;
    RUN(test_folder_order);
    RUN(test_many_in_folder);
    RUN(test_fla_epsilon);
    return same_end();
}
