/*
 * test_variants.c - checkpoints that differ from the author's in names, shapes, types and the files beside
 * them: each must open and give the logits of the original, bit for bit, or be rejected with the reason.
 */
#include <math.h>

#include "base/mem.h"
#include "fingerprint.h"
#include "gguf_writer.h"
#include "pth_writer.h"
#include "same.h"

/* ------------------------------------------------------------------------------------------------------------ shapes */

/* Opens the file and checks that its first note contains `fragment`; NULL: that there is no note. */
static void check_note(const char *path, const char *original, const char *fragment)
{
    struct rwkv7_model *model = open_same(path, original);
    const char *note = model ? rwkv7_model_note(model, 0) : "(did not open)";
    CHECK_MSG(fragment ? note && strstr(note, fragment) : !note, "got \"%s\", want \"%s\"", note ? note : "nothing",
              fragment ? fragment : "nothing");
    CHECK(!model || !rwkv7_model_note(model, 1));
    rwkv7_model_close(model);
}

static void reshape(struct tensor *t, int rank, uint64_t a, uint64_t b, uint64_t c)
{
    t->rank = rank;
    t->shape[0] = a;
    t->shape[1] = b;
    t->shape[2] = c;
}

/* The same numbers with other axes: [heads, size] as in MLX, and axes of 1 added or removed. */
static void test_vector_shapes(void)
{
    for (int form = 0; form < 4; form++) {
        variant_open(&v, GOLDEN("f32_n32"));
        for (size_t i = 0; i < v.count; i++) {
            struct tensor *t = &v.tensors[i];
            if (t->bytes != 96 * 4)
                continue;
            if (form == 0)
                reshape(t, 2, 3, 32, 0);
            else if (form == 1 && strstr(t->name, "r_k"))
                reshape(t, 3, 3, 1, 32);
            else if (form == 1)
                reshape(t, 2, 96, 1, 0);
            else if (form == 2 && !strstr(t->name, "r_k"))
                reshape(t, 2, 2, 48, 0);
            else if (form == 3 && strstr(t->name, "r_k"))
                reshape(t, 3, 1, 3, 32);
        }
        variant_write(&v, file);
        check_note(file, GOLDEN("f32_n32"), NULL);
        variant_close(&v);
    }
    variant_open(&v, GOLDEN("bf16_fla_fused"));
    reshape(variant_find(&v, "model.layers.1.attn.x_x"), 3, 6, 2, 32);
    variant_write(&v, file);
    check_note(file, GOLDEN("bf16_fla_fused"), NULL);
    reshape(variant_find(&v, "model.layers.1.attn.x_x"), 3, 1, 6, 64);
    variant_write(&v, file);
    check_note(file, GOLDEN("bf16_fla_fused"), NULL);
    reshape(variant_find(&v, "model.layers.1.attn.x_x"), 3, 2, 6, 32);
    variant_write(&v, file);
    check_refused(file, "tensor 'model.layers.1.attn.x_x': expected shape [6,64], found [2,6,32]");
    variant_close(&v);
    /* Two heads: unlike axes of 1, axes of 2 cannot be ignored. */
    variant_open(&v, GOLDEN("bf16_fla"));
    for (size_t i = 0; i < v.count; i++)
        if (strstr(v.tensors[i].name, "r_k"))
            reshape(&v.tensors[i], 2, 2, 32, 0);
    reshape(variant_find(&v, "model.layers.1.attn.k_k"), 2, 32, 2, 0);
    variant_write(&v, file);
    check_refused(file, "tensor 'model.layers.1.attn.k_k': expected shape [64], found [32,2]");
    variant_close(&v);
}

static void flatten_r_k(void)
{
    for (size_t i = 0; i < v.count; i++)
        if (strstr(v.tensors[i].name, "att.r_k"))
            reshape(&v.tensors[i], 1, v.tensors[i].shape[0] * v.tensors[i].shape[1], 0, 0);
}

static void test_flat_r_k(void)
{
    variant_open(&v, GOLDEN("bf16_n64"));
    flatten_r_k();
    variant_write(&v, file);
    check_note(file, GOLDEN("bf16_n64"),
               "r_k is flat and the metadata do not tell the size of a head: it is taken to be 64");
    variant_close(&v);
    variant_open(&v, GOLDEN("f32_n32"));
    flatten_r_k();
    variant_write(&v, file);
    check_refused(file, "metadata 'rwkv7.wkv.head_size': expected a divisor of 96 channels, found nothing");
    v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv7.wkv.head_size", "32"};
    variant_write(&v, file);
    check_note(file, GOLDEN("f32_n32"), NULL);
    variant_close(&v);
}

/* ------------------------------------------------------------------------------------------- what is there, and what not */

/* A checkpoint whose head is its embedding, with and without a tensor for the head. */
static void check_tied(const char *golden, const char *embedding, const char *head)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s/whole.safetensors", folder);
    variant_open(&v, golden);
    variant_find(&v, head)->data = variant_find(&v, embedding)->data;
    variant_write(&v, whole);
    variant_drop(&v, head);
    variant_write(&v, file);
    check_note(file, whole, "no head found; the embedding is used as head");

    struct rwkv7_model *a = open_model(file), *b = open_model(whole);
    const struct rwkv7_model_info *tied = rwkv7_model_info(a), *untied = rwkv7_model_info(b);
    const uint64_t numbers = (uint64_t)untied->shape.vocab * (uint64_t)untied->shape.channels;
    CHECK(tied->parameters + numbers == untied->parameters && tied->weight_bytes < untied->weight_bytes);
    /* An embedding is read by single rows, but completely if it is also the head. */
    const uint64_t row = variant_find(&v, embedding)->bytes / (uint64_t)untied->shape.vocab;
    CHECK(tied->step_bytes == tied->weight_bytes + tied->session_bytes);
    CHECK(untied->step_bytes ==
          untied->weight_bytes - row * (uint64_t)(untied->shape.vocab - 1) + untied->session_bytes);
    rwkv7_model_close(a);
    rwkv7_model_close(b);

    /* After quantization and conversion the head is a separate tensor. */
    const struct rwkv7_model_options q8 = {.weights = RWKV7_WEIGHTS_Q8};
    const struct rwkv7_convert_options to_q8 = {.type = "q8"};
    float logits[3][MOST] = {{0}};
    const char *converted = in_folder("converted.safetensors");
    CHECK(rwkv7_convert(rt, file, converted, &to_q8, NULL) == RWKV7_OK);
    CHECK(rwkv7_model_open(rt, file, &q8, &a, NULL) == RWKV7_OK &&
          rwkv7_model_open(rt, whole, &q8, &b, NULL) == RWKV7_OK);
    CHECK(rwkv7_model_info(a)->parameters == rwkv7_model_info(b)->parameters);
    evaluate(a, logits[0]);
    evaluate(b, logits[1]);
    rwkv7_model_close(a);
    rwkv7_model_close(b);
    evaluate(a = open_model(converted), logits[2]);
    rwkv7_model_close(a);
    CHECK(memcmp(logits[0], logits[1], sizeof *logits) == 0 && memcmp(logits[0], logits[2], sizeof *logits) == 0);
    unlink(converted);
    unlink(whole);
    variant_close(&v);
}

static void test_tied_head(void)
{
    check_tied(GOLDEN("f32_n32"), "emb.weight", "head.weight");
    check_tied(GOLDEN("bf16_fla"), "model.embeddings.weight", "lm_head.weight");
    check_tied(GOLDEN("x052_f32"), "emb.weight", "head.weight");

    /* GGUF without output.weight. */
    char whole[64];
    snprintf(whole, sizeof whole, "%s/whole.gguf", folder);
    variant_open(&v, GOLDEN("bf16_n64"));
    variant_find(&v, "head.weight")->data = variant_find(&v, "emb.weight")->data;
    variant_write(&v, file);
    variant_close(&v);
    struct tensor_index *index = NULL;
    CHECK(tensors_open(file, &index, NULL) == RWKV7_OK && gguf_write_model(whole, index, NULL, 0));
    tensors_close(index);
    const struct gguf_value values[] = {{.key = "general.architecture", .string = "rwkv7"},
                                        {.key = "rwkv7.wkv.head_size", .number = 64}};
    variant_open(&v, whole);
    variant_drop(&v, "output.weight");
    CHECK(gguf_write(in_folder("m.gguf"), values, 2, v.tensors, v.count));
    check_note(in_folder("m.gguf"), whole, "no head found; the embedding is used as head");
    variant_close(&v);
    unlink(in_folder("m.gguf"));
    unlink(whole);

    /* The same with quantized GGUF blocks: a separate head is quantized from them. */
    const struct gguf_value small[] = {{.key = "general.architecture", .string = "rwkv7"},
                                       {.key = "rwkv7.wkv.head_size", .number = 16}};
    variant_open(&v, TEST_DIR "/corpus/gguf/ok_model.gguf");
    struct tensor *head = variant_find(&v, "output.weight");
    const struct tensor *embedding = variant_find(&v, "token_embd.weight");
    head->type = embedding->type;
    head->data = embedding->data;
    head->bytes = embedding->bytes;
    CHECK(gguf_write(whole, small, 2, v.tensors, v.count));
    variant_drop(&v, "output.weight");
    CHECK(gguf_write(in_folder("m.gguf"), small, 2, v.tensors, v.count));
    check_note(in_folder("m.gguf"), whole, "no head found; the embedding is used as head");
    variant_close(&v);
    unlink(in_folder("m.gguf"));
    unlink(whole);

    /* A file of `convert` is complete, or damaged. */
    const struct rwkv7_convert_options stored = {0};
    CHECK(rwkv7_convert(rt, GOLDEN("f32_n32"), in_folder("own.st"), &stored, NULL) == RWKV7_OK);
    variant_open(&v, in_folder("own.st"));
    variant_drop(&v, "head.weight");
    v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv7.layout", "1"};
    variant_write(&v, file);
    check_refused(file, "tensor 'head.weight' is missing");
    variant_close(&v);
    unlink(in_folder("own.st"));
}

/* ln0 folded into the embedding: the same numbers, except for rounding. */
static void test_folded_ln0(void)
{
    enum { VOCAB = 61, CHANNELS = 96 };
    float got[MOST] = {0}, want[MOST] = {0}, worst = 0;
    variant_open(&v, GOLDEN("f32_n32"));
    const float *weight = (const float *)(const void *)variant_find(&v, "blocks.0.ln0.weight")->data,
                *bias = (const float *)(const void *)variant_find(&v, "blocks.0.ln0.bias")->data;
    struct tensor *emb = variant_find(&v, "emb.weight");
    const float *from = (const float *)(const void *)emb->data;
    float *to = variant_memory(&v, (size_t)emb->bytes);
    CHECK(emb->bytes == VOCAB * CHANNELS * sizeof *to);
    for (size_t row = 0; row < VOCAB; row++) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < CHANNELS; i++)
            mean += (double)from[row * CHANNELS + i] / (double)CHANNELS;
        for (size_t i = 0; i < CHANNELS; i++)
            square += pow((double)from[row * CHANNELS + i] - mean, 2) / (double)CHANNELS;
        for (size_t i = 0; i < CHANNELS; i++)
            to[row * CHANNELS + i] =
                (float)(((double)from[row * CHANNELS + i] - mean) / sqrt(square + 1e-5) * (double)weight[i] +
                        (double)bias[i]);
    }
    emb->data = (const uint8_t *)to;
    variant_drop(&v, "blocks.0.ln0.weight");
    variant_write(&v, file);
    check_refused(file, "tensor 'blocks.0.ln0.weight' is missing");
    variant_drop(&v, "blocks.0.ln0.bias");
    variant_write(&v, file);
    struct rwkv7_model *a = open_model(file), *b = open_model(GOLDEN("f32_n32"));
    evaluate(a, got);
    evaluate(b, want);
    for (int i = 0; i < VOCAB; i++)
        worst = fmaxf(worst, fabsf(got[i] - want[i]));
    CHECK_MSG(worst < 1e-4f && want[1] != 0, "off by %g", (double)worst);
    const char *note = a ? rwkv7_model_note(a, 0) : NULL;
    CHECK(note && strstr(note, "no ln0 found; the embedding is assumed to be normalized"));
    rwkv7_model_close(a);
    rwkv7_model_close(b);
    variant_close(&v);
}

static void test_incidental(void)
{
    variant_open(&v, GOLDEN("f32_n32"));
    variant_add(&v, "global_step", DT_I64, 1);
    variant_write(&v, file);
    check_note(file, GOLDEN("f32_n32"), "skipped 1 empty or integer tensor: 'global_step'");
    variant_find(&v, "global_step")->rank = 0;
    variant_add(&v, "blocks.0.att.mask", DT_BOOL, 5);
    variant_add(&v, "buffer", DT_F32, 0);
    variant_write(&v, file);
    check_note(file, GOLDEN("f32_n32"), "skipped 3 empty or integer tensors, the first is 'blocks.0.att.mask'");
    struct rwkv7_model *model = open_model(file);
    CHECK(model && rwkv7_model_info(model)->ignored_tensors == 3 + 3); /* and layer 0's value gate */
    rwkv7_model_close(model);
    variant_add(&v, "ema", DT_F32, 1);
    variant_write(&v, file);
    check_refused(file, "tensor 'ema' does not belong");
    variant_close(&v);

    /* Beside a tuned state. */
    struct rwkv7_session *s = NULL;
    struct rwkv7_error err = {0};
    model = open_model(GOLDEN("f32_n16"));
    variant_open(&v, GOLDEN("f32_n16.state"));
    variant_add(&v, "step", DT_I64, 1);
    variant_write(&v, file);
    CHECK(model && rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK_MSG(rwkv7_session_load_tuned(s, file, RWKV7_STATE_VALUE_KEY, &err) == RWKV7_OK, "%s", err.message);
    variant_close(&v);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
}

/* Vectors of float64 that hold float32 numbers. */
static void test_float64(void)
{
    static const char *const models[] = {GOLDEN("f32_n32"), GOLDEN("x052_f32")};
    for (size_t m = 0; m < 2; m++) {
        variant_open(&v, models[m]);
        int made = 0;
        for (size_t i = 0; i < v.count; i++) {
            struct tensor *t = &v.tensors[i];
            if (t->bytes != (uint64_t)t->shape[t->rank - 1] * 4 || t->rank == 2)
                continue;
            double *wide = variant_memory(&v, (size_t)t->bytes * 2);
            for (size_t k = 0; k < t->bytes / 4; k++)
                wide[k] = (double)((const float *)(const void *)t->data)[k];
            t->data = (const uint8_t *)wide;
            t->type = DT_F64;
            t->bytes *= 2;
            made += strcmp(t->name, "blocks.0.att.v0") != 0; /* which is not used */
        }
        char note[64];
        snprintf(note, sizeof note, "%d vectors of type F64 are rounded to F32", made);
        variant_write(&v, file);
        check_note(file, models[m], note);
        const struct rwkv7_convert_options stored = {0};
        const char *converted = in_folder("converted.safetensors");
        CHECK(made > 10 && rwkv7_convert(rt, file, converted, &stored, NULL) == RWKV7_OK);
        check_same(converted, models[m]);
        unlink(converted);

        /* Too large for a float32. */
        struct tensor *t = variant_find(&v, "ln_out.weight");
        double *huge = variant_memory(&v, (size_t)t->bytes);
        huge[3] = 1e300;
        t->data = (const uint8_t *)huge;
        variant_write(&v, file);
        check_refused(file, "tensor 'ln_out.weight': expected finite numbers, found a NaN or an infinity at index 3");
        variant_close(&v);
    }
    variant_open(&v, GOLDEN("f32_n32"));
    struct tensor *t = variant_find(&v, "head.weight");
    t->type = DT_F64;
    t->bytes *= 2;
    t->data = variant_memory(&v, (size_t)t->bytes);
    variant_write(&v, file);
    check_refused(file, "tensor 'head.weight': expected type F32, F16 or BF16, found F64");
    variant_close(&v);
}

/* Lets each allocation of an open with many notes fail in turn. Leaks are found by the sanitizer build. */
static void test_out_of_memory(void)
{
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    long n = 0;
    variant_open(&v, GOLDEN("bf16_n64"));
    add_prefix("module.");
    flatten_r_k();
    variant_drop(&v, "module.head.weight");
    variant_drop(&v, "module.blocks.0.ln0.weight");
    variant_drop(&v, "module.blocks.0.ln0.bias");
    variant_add(&v, "step", DT_I64, 1);
    struct tensor *t = variant_find(&v, "module.ln_out.bias");
    t->type = DT_F64;
    t->bytes = 128 * 8;
    t->data = variant_memory(&v, 128 * 8);
    variant_write(&v, file);
    for (; n < 500 && status == RWKV7_ERR_MEMORY; n++) {
        struct rwkv7_model *model = NULL;
        mem_fail_after(n);
        status = rwkv7_model_open(rt, file, NULL, &model, NULL);
        mem_fail_after(-1);
        CHECK((status == RWKV7_OK) == (model != NULL));
        size_t notes = 0;
        while (model && rwkv7_model_note(model, notes))
            notes++;
        CHECK(!model || notes == 5);
        rwkv7_model_close(model);
    }
    CHECK_MSG(status == RWKV7_OK && n > 20, "status %d, allocation %ld", (int)status, n);
    variant_close(&v);
}

/* ------------------------------------------------------------------------------------------------------------- folders */

static void test_torch_folders(void)
{
    char first[64], second[64], index[64];
    variant_open(&v, GOLDEN("bf16_fla"));
    unlink(file);
    snprintf(first, sizeof first, "%s/pytorch_model.bin", folder);
    CHECK(pth_write(first, v.tensors, v.count));
    struct rwkv7_model *model = open_same(folder, GOLDEN("bf16_fla"));
    CHECK(model && strcmp(rwkv7_model_info(model)->container, "PyTorch") == 0);
    rwkv7_model_close(model);
    /* Files that training leaves in the folder are ignored. */
    CHECK(pth_write(in_folder("rng_state.pth"), v.tensors, 1));
    check_same(folder, GOLDEN("bf16_fla"));
    unlink(in_folder("rng_state.pth"));
    unlink(first);

    snprintf(index, sizeof index, "%s/pytorch_model.bin.index.json", folder);
    snprintf(first, sizeof first, "%s/pytorch_model-00001-of-00002.bin", folder);
    snprintf(second, sizeof second, "%s/pytorch_model-00002-of-00002.bin", folder);
    CHECK(pth_write(first, v.tensors, 20) && pth_write(second, v.tensors + 20, v.count - 20));
    FILE *f = fopen(index, "w");
    for (size_t i = 0; f && i < v.count; i++)
        fprintf(f, "%s\"%s\":\"%s\"", i ? "," : "{\"weight_map\":{", v.tensors[i].name,
                strrchr(i < 20 ? first : second, '/') + 1);
    CHECK(f && fputs("}}", f) >= 0 && fclose(f) == 0);
    model = open_same(folder, GOLDEN("bf16_fla"));
    CHECK(model && strcmp(rwkv7_model_info(model)->container, "PyTorch, 2 shards") == 0);
    rwkv7_model_close(model);
    unlink(index);
    unlink(first);
    unlink(second);
    variant_close(&v);
}

/* ------------------------------------------------------------------------------------------------- files of other programs */

static void test_named(void)
{
    variant_open(&v, GOLDEN("bf16_fla"));
    struct tensor *t = variant_find(&v, "model.layers.0.attn.r_proj.weight");
    t->type = DT_U32;
    t->shape[1] /= 8;
    t->bytes = t->shape[0] * t->shape[1] * 4;
    variant_add(&v, "model.layers.0.attn.r_proj.scales", DT_BF16, 64);
    variant_add(&v, "model.layers.0.attn.r_proj.biases", DT_BF16, 64);
    variant_write(&v, file);
    check_refused(file, "quantized to 4 bits by MLX, which is not supported; use the original checkpoint");
    variant_close(&v);

    static const char *const others[][2] = {{"model.layers.0.attn.r_proj.qweight", "by GPTQ or AWQ"},
                                            {"model.layers.0.attn.r_proj.weight.absmax", "by bitsandbytes"},
                                            {"model.layers.0.attn.r_proj.SCB", "by bitsandbytes"}};
    for (size_t i = 0; i < 3; i++) {
        variant_open(&v, GOLDEN("bf16_fla"));
        variant_add(&v, others[i][0], DT_I32, 4);
        variant_write(&v, file);
        check_refused(file, others[i][1]);
        variant_close(&v);
    }

    /* An adapter has only LoRA factors; another kind of model may contain tensors of such names. */
    const struct tensor *from;
    variant_open(&v, GOLDEN("f32_n32"));
    from = variant_find(&v, "blocks.0.att.w1");
    v.tensors[0] = v.tensors[1] = *from;
    v.tensors[2] = *variant_find(&v, "blocks.0.att.x_r");
    variant_rename(&v, &v.tensors[0], "blocks.0.att.key.lora_A");
    variant_rename(&v, &v.tensors[1], "blocks.0.att.key.lora_B");
    variant_rename(&v, &v.tensors[2], "blocks.0.att.x_r");
    v.count = 3;
    variant_write(&v, file);
    check_refused(file, "this is a LoRA adapter, not a complete model; merge it with `rwkv7 convert --lora`");
    v.tensors[3] = *from;
    variant_rename(&v, &v.tensors[3], "encoder.weight");
    v.count = 4;
    variant_write(&v, file);
    check_refused(file, "not an RWKV model: none of");
    variant_close(&v);
}

/* Unsupported variants of RWKV, each recognized by the tensors that it adds to its base model. */
static void test_unsupported(void)
{
    static const struct {
        const char *base, *names[2], *what;
    } cases[] = {
        {GOLDEN("f32_n32"), {"blocks.0.ffn.enn.weight"}, "an RWKV-8 experiment (rc00), which"},
        {GOLDEN("f32_n32"), {"blocks.0.ffn.enn.weight", "blocks.0.qkv.kk.weight"}, "attention (rc00-hybrid), which"},
        {GOLDEN("f32_n32"), {"blocks.0.qkv.kkup.weight"}, "an RWKV-8 experiment with attention (rc00-hybrid), which"},
        {GOLDEN("f32_n32"), {"rosa_emb.weight"}, "an RWKV-8 experiment with ROSA (\"rosa\" tensors), which"},
        {GOLDEN("f16_deep"), {"blocks.0.qkv.qq.weight"}, "an RWKV-7 x070b checkpoint (DeepEmbed attention), which"},
        {GOLDEN("x060_bf16"), {"blocks.0.att.gate_w1"}, "an RWKV-6 experiment (x060a), which"},
        {GOLDEN("x060_bf16"), {"blocks.0.att.time_maa_rkvw_w1"}, "an RWKV-6 experiment (x060b or x060c), which"},
        {GOLDEN("f32_n32"), {"blocks.0.att.time_maa_x"}, "an experiment between RWKV-6 and RWKV-7, which"},
        {GOLDEN("x040_f32"), {"blocks.0.tiny_q.weight"}, "an experiment with RWKV-4 (\"tiny\" attention), which"},
        {GOLDEN("x040_f32"), {"head_q.weight"}, "an experiment with RWKV-4 (\"head_q\", \"head_k\"), which"},
        {GOLDEN("x040_f32"), {"pos_emb_x"}, "an experiment with RWKV-4 (\"pos_emb\"), which"},
        {GOLDEN("x040_f32"), {"blocks.0.ffnPre.key.weight"}, "an experiment with RWKV-4 (\"ffnPre\"), which"},
        {GOLDEN("bf16_fla"), {"model.layers.1.attn.q_proj.weight"}, "a hybrid of RWKV and attention, which"},
        {GOLDEN("x060_f16_fla"), {"model.layers.1.attn.q_proj.weight"}, "a hybrid of RWKV and attention, which"},
        {NULL,
         {"model.layers.0.self_attn.time_maa_x", "model.layers.0.self_attn.q_proj.bias"},
         "QRWKV6, a Qwen model with the RWKV-6 time mix, which"},
        {NULL,
         {"model.layers.0.self_attn.time_mixer.w0", "model.layers.0.mlp.gate_proj.weight"},
         "ARWKV, a Qwen model with the RWKV-7 time mix, which"},
        {NULL,
         {"rwkv.blocks.0.att.r_k", "moba.blocks.0.att.query.weight"},
         "RWKV-X, RWKV-7 with layers of sparse attention, which"},
        {NULL, {"model.layers.0.self_attn.q_proj.weight"}, "a transformer, not RWKV, which"},
        {NULL, {"model.layers.0.mlp.gate_proj.weight"}, "a transformer variant, not RWKV, which"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        variant_open(&v, cases[i].base ? cases[i].base : GOLDEN("f32_n32"));
        if (!cases[i].base) {
            v.count = 1;
            variant_rename(&v, &v.tensors[0], "model.embed_tokens.weight");
        }
        for (size_t k = 0; k < 2 && cases[i].names[k]; k++)
            variant_add(&v, cases[i].names[k], DT_F32, 4);
        variant_write(&v, file);
        check_refused(file, cases[i].what);
        variant_close(&v);
    }

    /* Architectures named in the metadata of GGUF files. */
    static const char *const said[][3] = {
        {GOLDEN("x060_bf16"), "rwkv6qwen2", "QRWKV6, a Qwen model with the RWKV-6 time mix, which is not supported"},
        {GOLDEN("f32_n32"), "arwkv7", "ARWKV, a Qwen model with the RWKV-7 time mix, which is not supported"},
        {GOLDEN("f32_n32"), "qwen2", "architecture 'qwen2' is not supported"},
        {GOLDEN("x060_bf16"), "rwkv7", "'general.architecture': found rwkv7, but the tensors are those of RWKV-6"},
        {GOLDEN("f32_n32"), "rwkv6", "tensor 'blocks.0.att.time_faaaa' is missing"},
    };
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        variant_open(&v, said[i][0]);
        v.metadata[0] = (struct tensor_pair){"general.architecture", said[i][1]};
        v.metadata_count = 1;
        variant_write(&v, file);
        check_refused(file, said[i][2]);
        variant_close(&v);
    }
}

/*
 * llama.cpp stores O and Vf of layer i of RWKV-6 divided by 2^(i / n). The same weights with another n
 * are another model, with other logits and states.
 */
static void test_rescaled(void)
{
    static const char *const every[] = {NULL, "0", "2", "1", "4097", "-1", "x"};
    enum { VALID = 4 };
    float logits[VALID][MOST] = {{0}};
    struct rwkv7_fingerprint prints[VALID];
    for (size_t i = 0; i < sizeof every / sizeof every[0]; i++) {
        variant_open(&v, GOLDEN("x060_bf16"));
        if (every[i])
            v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv6.rescale_every_n_layers", every[i]};
        variant_write(&v, file);
        variant_close(&v);
        if (i >= VALID) {
            check_refused(file, "metadata 'rwkv6.rescale_every_n_layers': expected a number of layers");
            continue;
        }
        struct rwkv7_model *model = open_model(file);
        evaluate(model, logits[i]);
        prints[i] = fingerprint_of(model);
        rwkv7_model_close(model);
    }
    /* In a model of two layers, n changes a layer only if it is 1: the second one. */
    CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) == 0 && memcmp(logits[0], logits[2], sizeof logits[0]) == 0);
    CHECK(memcmp(logits[0], logits[3], sizeof logits[0]) != 0);
    CHECK(is_same_print(&prints[0], &prints[1]) && !is_same_print(&prints[0], &prints[3]));
}

/* GGUF keys begin with the name of the architecture that the file states. */
static void test_metadata_of_architecture(void)
{
    static const char *const wrong[][3] = {
        {"rwkv6.attention.layer_norm_epsilon", "-1", "expected a number between 0 and 1, found -1"},
        {"rwkv6.block_count", "9", "found 9, expected 2 as in the tensors"}};
    float logits[2][MOST] = {{0}};
    variant_open(&v, GOLDEN("x060_bf16"));
    v.metadata[0] = (struct tensor_pair){"general.architecture", "rwkv6"};
    v.metadata_count = 2;
    for (size_t i = 0; i < 2; i++) {
        v.metadata[1] = (struct tensor_pair){wrong[i][0], wrong[i][1]};
        variant_write(&v, file);
        check_refused(file, wrong[i][2]);
    }
    for (size_t i = 0; i < 2; i++) {
        v.metadata[1] = (struct tensor_pair){wrong[0][0], i == 0 ? "1e-5" : "0.1"};
        variant_write(&v, file);
        struct rwkv7_model *model = open_model(file);
        evaluate(model, logits[i]);
        rwkv7_model_close(model);
    }
    CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) != 0);

    /* A converted file lacks the GGUF key but keeps the number. */
    const struct rwkv7_convert_options stored = {0};
    const char *converted = in_folder("converted.safetensors");
    CHECK(rwkv7_convert(rt, file, converted, &stored, NULL) == RWKV7_OK);
    check_same(converted, file);
    unlink(converted);
    variant_close(&v);
}

int main(void)
{
    if (!same_begin())
        return 1;
    RUN(test_vector_shapes);
    RUN(test_flat_r_k);
    RUN(test_tied_head);
    RUN(test_folded_ln0);
    RUN(test_incidental);
    RUN(test_float64);
    RUN(test_out_of_memory);
    RUN(test_torch_folders);
    RUN(test_named);
    RUN(test_unsupported);
    RUN(test_rescaled);
    RUN(test_metadata_of_architecture);
    return same_end();
}
