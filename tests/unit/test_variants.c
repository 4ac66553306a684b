/*
 * test_variants.c - checkpoints as people have them, which differ from the author's in names, shapes, types and what lies beside the
 * weights: each must open and give the logits of the original, bit for bit, or be refused with the reason.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pth_writer.h"
#include "rwkv7.h"
#include "test.h"
#include "variant.h"

#define GOLDEN(name) TEST_DIR "/golden/data/" name ".safetensors"

enum { TOKENS = 7, MOST = 400 };
static const uint32_t tokens[TOKENS] = {1, 2, 3, 15, 0, 16, 4};

static struct rwkv7_runtime *rt;
static struct variant v;
static char folder[] = "/tmp/rwkv7-variants-XXXXXX", file[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct rwkv7_model *open_model(const char *path)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    const enum rwkv7_status status = rwkv7_model_open(rt, path, NULL, &model, &err);
    CHECK_MSG(status == RWKV7_OK, "%s", err.message);
    return model;
}

static void evaluate(struct rwkv7_model *model, float *logits)
{
    struct rwkv7_session *s = NULL;
    if (!model)
        return;
    if ((size_t)rwkv7_model_info(model)->shape.vocab > MOST || rwkv7_session_create(model, &s, NULL) != RWKV7_OK ||
        rwkv7_session_eval(s, tokens, TOKENS, RWKV7_LOGITS_LAST, logits, NULL) != RWKV7_OK)
        CHECK(!"evaluated");
    rwkv7_session_close(s);
}

/* Opens both and compares the logits. The model of `path`, to be closed; NULL: it did not open. */
static struct rwkv7_model *open_same(const char *path, const char *original)
{
    float got[MOST] = {0}, want[MOST] = {0};
    struct rwkv7_model *a = open_model(path), *b = open_model(original);
    evaluate(a, got);
    evaluate(b, want);
    CHECK_MSG(memcmp(got, want, sizeof got) == 0 && want[1] != 0, "%s: other logits", path);
    rwkv7_model_close(b);
    return a;
}

static void check_same(const char *path, const char *original)
{
    rwkv7_model_close(open_same(path, original));
}

static void check_refused(const char *path, const char *fragment)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_model_open(rt, path, NULL, &model, &err) == RWKV7_ERR_MODEL && !model);
    CHECK_MSG(strstr(err.message, fragment), "got \"%s\", want \"%s\"", err.message, fragment);
    rwkv7_model_close(model);
}

/* ---------------------------------------------------------------------------------------------------------- prefixes */

static void add_prefix(const char *prefix)
{
    for (size_t i = 0; i < v.count; i++)
        variant_rename(&v, &v.tensors[i], "%s%s", prefix, v.tensors[i].name);
}

static void test_prefixes(void)
{
    static const char *const prefixes[] = {"_orig_mod.",     "module.",          "_forward_module.",
                                           "model.",         "rwkv.model.",      "module._orig_mod.model.",
                                           "some.words.12.", "_orig_mod.module."};
    static const char *const models[] = {GOLDEN("f32_n32"),  GOLDEN("bf16_fla"), GOLDEN("bf16_fla_fused"),
                                         GOLDEN("f16_deep"), GOLDEN("x052_f32"), GOLDEN("bf16_n64_st")};
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
            /* Wrappers of single modules may be inside of names, so they are not a part of the prefix. */
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

/* The official folders since August 2026: "model." before the author's names, but for the head. */
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

/* torch.compile, FSDP and activation checkpointing of each block by itself. */
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
    check_refused(file, "two tensors are called 'blocks.0.ln1.weight', but for what wrappers put before it");
    variant_close(&v);
}

/* Two models in one file, and one beside which other tensors lie, are not guessed about. */
static void test_other_prefixes(void)
{
    variant_open(&v, GOLDEN("f32_n32"));
    add_prefix("model.");
    variant_add(&v, "ema.blocks.0.ln1.weight", DT_F32, 96);
    variant_write(&v, file);
    check_refused(file, "neither 'emb.weight' nor");
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
    const struct rwkv7_runtime_options opt = {.threads = 2};
    if (!mkdtemp(folder) || rwkv7_runtime_create(&opt, &rt, NULL) != RWKV7_OK)
        return 1;
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    RUN(test_prefixes);
    RUN(test_native_transformers);
    RUN(test_wrapped_blocks);
    RUN(test_other_prefixes);
    RUN(test_prefixed_state);
    unlink(file);
    CHECK(rmdir(folder) == 0);
    rwkv7_runtime_close(rt);
    return test_end();
}
