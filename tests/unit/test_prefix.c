/*
 * test_prefix.c - tensor names with prefixes, as added by wrappers and in the author's safetensors
 * folders. Models and tuned states open as without prefixes; ambiguous files are rejected.
 */
#include "base/sys.h"
#include "pth_writer.h"
#include "same.h"

#define OLDER(name) SHARED_DIR "/vectors/older/" name ".safetensors"

static void test_prefixes(void)
{
    static const char *const prefixes[] = {"_orig_mod.",     "module.",          "_forward_module.",
                                           "model.",         "rwkv.model.",      "module._orig_mod.model.",
                                           "some.words.12.", "_orig_mod.module."};
    static const char *const models[] = {GOLDEN("f32_n32"),
                                         GOLDEN("bf16_fla"),
                                         GOLDEN("bf16_fla_fused"),
                                         GOLDEN("f16_deep"),
                                         GOLDEN("x052_f32"),
                                         GOLDEN("bf16_n64_st"),
                                         OLDER("v52_c_L2_D128_H2_V140_bf16_hf"),
                                         OLDER("v4_c_L2_D96_V131_bf16_hf"),
                                         OLDER("v6_d_L2_D128_H2_V120_bf16_hf"),
                                         OLDER("v6_e_L2_D128_H2_V120_bf16_fla")};
    const size_t count = sizeof models / sizeof models[0] - (path_exists(models[6]) ? 0 : 4);
    if (count == 6)
        SKIP("%s and three more: not on this machine", models[6]);
    for (size_t m = 0; m < count; m++)
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
            /*
             * Wrappers of single modules may occur inside a name, so they are not a part of the
             * prefix.
             */
            const bool has_wrapper = strstr(prefixes[i], "_orig_mod.") != NULL;
            variant_open(&v, models[m]);
            add_prefix(prefixes[i]);
            variant_write(&v, file);
            struct rwkv7_model *model = open_same(file, models[m]);
            CHECK(!model || has_wrapper || strcmp(rwkv7_model_info(model)->prefix, prefixes[i]) == 0);
            rwkv7_model_close(model);
            if (m == 0) {
                CHECK(pth_write(in_folder("m.pth"), v.tensors, v.count));
                check_same(in_folder("m.pth"), models[m]);
                unlink(in_folder("m.pth"));
            }
            variant_close(&v);
        }
}

/* The official folders since August 2026: "model." before the author's names, except the head. */
static void test_native_transformers(void)
{
    static const char *const prefixes[] = {"model.", "module.model.", "module._orig_mod.model."},
                             *const heads[] = {"", "module.", "module._orig_mod."};
    for (size_t i = 0; i < 3; i++) {
        variant_open(&v, GOLDEN("f32_n32"));
        add_prefix(prefixes[i]);
        for (size_t t = 0; t < v.count; t++)
            if (strstr(v.tensors[t].name, "head.weight"))
                variant_rename(&v, &v.tensors[t], "%shead.weight", heads[i]);
        variant_write(&v, file);
        struct rwkv7_model *model = open_same(file, GOLDEN("f32_n32"));
        CHECK(model && strcmp(rwkv7_model_info(model)->prefix, i == 0 ? "model." : "module.model.") == 0);
        rwkv7_model_close(model);
        variant_close(&v);
    }
    struct rwkv7_model *plain = open_model(GOLDEN("f32_n32"));
    CHECK(plain && strcmp(rwkv7_model_info(plain)->prefix, "") == 0);
    rwkv7_model_close(plain);
}

/* torch.compile, FSDP and activation checkpointing applied to each block. */
static void test_wrapped_blocks(void)
{
    variant_open(&v, GOLDEN("f32_n32"));
    for (size_t i = 0; i < v.count; i++) {
        const char *name = v.tensors[i].name;
        if (strncmp(name, "blocks.0.", 9) == 0)
            variant_rename(&v, &v.tensors[i], "blocks.0._orig_mod.%s", name + 9);
        else if (strncmp(name, "blocks.1.att.", 13) == 0)
            variant_rename(&v, &v.tensors[i], "blocks.1._fsdp_wrapped_module._checkpoint_wrapped_module.att.%s",
                           name + 13);
    }
    variant_write(&v, file);
    check_same(file, GOLDEN("f32_n32"));
    variant_add(&v, "blocks.0.ln1.weight", DT_F32, 96);
    variant_write(&v, file);
    check_refused(file, "duplicate tensor 'blocks.0.ln1.weight' after removal of the wrapper names");
    variant_close(&v);
}

/* A name that consists only of wrappers, so long that only linear time passes, becomes empty. */
static void test_long_name(void)
{
    enum { WORDS = 2000000, WORD = 10 };
    const char header[] = ":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}";
    const size_t json = 1 + 1 + (size_t)WORDS * WORD + 1 + 1 + strlen(header), size = 8 + json + 4;
    char *image = calloc(size, 1), *at = image + 8;
    struct rwkv7_error err = {0};
    struct tensor_index *index = NULL;
    if (!image)
        exit(1);
    for (int i = 0; i < 8; i++)
        image[i] = (char)(json >> 8 * i);
    at += sprintf(at, "{\"");
    for (int i = 0; i < WORDS; i++, at += WORD)
        memcpy(at, "_orig_mod.", WORD);
    sprintf(at, "x\"%s", header);
    CHECK_MSG(tensors_open_memory(image, size, "m", &index, &err) == RWKV7_OK, "%s", err.message);
    CHECK(index && index->count == 1 && strcmp(index->tensors[0].name, "x") == 0);
    tensors_close(index);
    free(image);
}

/* Two models in one file, and other tensors beside a model, are not guessed about. */
static void test_other_prefixes(void)
{
    variant_open(&v, GOLDEN("f32_n32"));
    add_prefix("model.");
    variant_add(&v, "ema.blocks.0.ln1.weight", DT_F32, 96);
    variant_write(&v, file);
    check_refused(file, "none of 'emb.weight',");
    variant_drop(&v, "ema.blocks.0.ln1.weight");
    variant_add(&v, "ema.emb.weight", DT_F32, 96);
    variant_write(&v, file);
    check_refused(file, "tensor 'ema.emb.weight' does not belong");
    variant_close(&v);
}

static void test_prefixed_state(void)
{
    static float plain[4 * 3 * 16 * 16], prefixed[4 * 3 * 16 * 16];
    struct rwkv7_session *s = NULL;
    struct rwkv7_error err = {0};
    struct rwkv7_model *model = open_model(GOLDEN("f32_n16"));
    CHECK(model && rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_load_tuned(s, GOLDEN("f32_n16.state"), RWKV7_STATE_VALUE_KEY, NULL) == RWKV7_OK);
    rwkv7_session_get_state(s, NULL, plain, NULL);
    variant_open(&v, GOLDEN("f32_n16.state"));
    add_prefix("module.model.");
    variant_write(&v, file);
    rwkv7_session_reset(s);
    CHECK_MSG(rwkv7_session_load_tuned(s, file, RWKV7_STATE_VALUE_KEY, &err) == RWKV7_OK, "%s", err.message);
    rwkv7_session_get_state(s, NULL, prefixed, NULL);
    CHECK(memcmp(plain, prefixed, sizeof plain) == 0 && plain[0] != 0);
    variant_close(&v);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
}

int main(void)
{
    if (!same_begin())
        return 1;
    RUN(test_prefixes);
    RUN(test_native_transformers);
    RUN(test_wrapped_blocks);
    RUN(test_long_name);
    RUN(test_other_prefixes);
    RUN(test_prefixed_state);
    return same_end();
}
