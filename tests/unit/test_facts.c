/*
 * test_facts.c - properties of a model that its tensors do not show: config.json, the scale of the
 * in-context learning rate, and numbers in metadata, in every locale. Each is applied, or the model
 * is rejected with a message that names it.
 */
#include <float.h>
#include <locale.h>
#include <math.h>

#include "fingerprint.h"
#include "same.h"
#include "weights/model.h"

static void write_config(const char *text)
{
    FILE *f = fopen(in_folder("config.json"), "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void remove_config(void)
{
    unlink(in_folder("config.json"));
}

/* Copies a model into the folder. */
static void put_model(const char *original)
{
    variant_open(&v, original);
    variant_write(&v, file);
    variant_close(&v);
}

/* The usual configuration of each kind agrees with the tensors. */
static void test_usual(void)
{
    put_model(GOLDEN("bf16_fla"));
    write_config(
        "{\"model_type\": \"rwkv7\", \"hidden_size\": 64, \"num_hidden_layers\": 2, \"vocab_size\": 96, \"head_dim\": "
        "64,"
        "\"num_heads\": 32, \"hidden_act\": \"sqrelu\", \"norm_first\": true, \"norm_bias\": true, \"norm_eps\": 1e-05,"
        "\"intermediate_size\": null, \"attn\": null, \"tie_word_embeddings\": false, \"value_dim\": [64, 64]}");
    check_same(folder, GOLDEN("bf16_fla"));
    check_same(file, GOLDEN("bf16_fla"));
    write_config("{\"norm_eps\": 1.17549435082228750797e-38}"); /* FLT_MIN, the smallest accepted */
    struct rwkv7_model *model = open_model(folder);
    CHECK(model && model->ln_eps == FLT_MIN);
    rwkv7_model_close(model);
    put_model(GOLDEN("x060_bf16"));
    write_config("{\"model_type\": \"rwkv6\", \"hidden_size\": 64, \"head_size\": 32, \"head_size_divisor\": 8,"
                 "\"layer_norm_epsilon\": 1e-5, \"rescale_every\": 6, \"num_attention_heads\": 64}");
    check_same(folder, GOLDEN("x060_bf16"));
    put_model(GOLDEN("bf16_n64"));
    write_config("{\"model_type\": \"rwkv\", \"architecture_version\": \"rwkv7\", \"head_size\": 64, "
                 "\"layer_norm_epsilon\": 1e-05,"
                 "\"group_norm_epsilon\": 0.00064, \"embedding_layer_norm_fused\": false, \"context_length\": 4096}");
    check_same(folder, GOLDEN("bf16_n64"));
    remove_config();
}

/* Some editors put a byte order mark before a text. */
static void test_byte_order_mark(void)
{
    put_model(GOLDEN("bf16_fla"));
    write_config("\xef\xbb\xbf{\"norm_eps\": 1.17549435082228750797e-38}");
    struct rwkv7_model *model = open_model(folder);
    CHECK(model && model->ln_eps == FLT_MIN);
    rwkv7_model_close(model);
    write_config("\xef\xbb\xbf{\"norm_eps\": 1e-05,,}");
    check_refused(folder, "config.json: byte 22");
    write_config("\xef\xbb\xbf\xef\xbb\xbf{}");
    check_refused(folder, "config.json: byte 3: expected '{'");
    write_config("\xef\xbb");
    check_refused(folder, "config.json: byte 0: expected '{'");
    remove_config();
}

/* A flat r_k takes the head size of config.json, unless the file states one. */
static void test_flat_r_k(void)
{
    variant_open(&v, GOLDEN("f32_n32"));
    for (size_t i = 0; i < v.count; i++) {
        struct tensor *const t = &v.tensors[i];
        if (strstr(t->name, "att.r_k")) {
            t->shape[0] *= t->shape[1];
            t->rank = 1;
        }
    }
    variant_write(&v, file);
    check_refused(folder, "metadata 'rwkv7.wkv.head_size': expected a divisor of 96 channels, found nothing");
    static const char *const right[] = {"{\"head_dim\": 32}", "{\"head_size\": 32}"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        write_config(right[i]);
        check_same(folder, GOLDEN("f32_n32"));
        check_same(file, GOLDEN("f32_n32"));
    }
    write_config("{\"head_dim\": 36}");
    check_refused(folder, "config.json: the size of a head: expected a divisor of 96 channels, found 36");
    static const char *const useless[] = {"{\"head_dim\": 0}", "{\"head_dim\": 1e300}", "{\"head_dim\": \"32\"}"};
    for (size_t i = 0; i < sizeof useless / sizeof useless[0]; i++) {
        write_config(useless[i]);
        check_refused(folder, "expected a divisor of 96 channels, found nothing");
    }
    write_config("{\"head_dim\": 48}"); /* what the file itself says takes precedence, and must agree */
    v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv7.wkv.head_size", "32"};
    variant_write(&v, file);
    check_refused(folder, "'head_dim': expected 32 as in the tensors, found 48");
    variant_close(&v);
    remove_config();
}

static void test_refused(void)
{
    static const struct {
        const char *config, *fragment;
    } cases[] = {
        {"{\"model_type\": \"llama\"}", "config.json: 'model_type': expected \"rwkv7\", found \"llama\""},
        {"{\"model_type\": \"rwkv6\"}", "'model_type': expected \"rwkv7\", found \"rwkv6\""},
        {"{\"model_type\": 7}", "'model_type': expected \"rwkv7\", found 7"},
        {"{\"vocab_size\": 97}", "'vocab_size': expected 96 as in the tensors, found 97"},
        {"{\"head_dim\": 32}", "'head_dim': expected 64 as in the tensors, found 32"},
        {"{\"num_hidden_layers\": 3}", "'num_hidden_layers': expected 2 as in the tensors"},
        {"{\"intermediate_size\": \"x\"}", "'intermediate_size': expected 256 as in the tensors, found \"x\""},
        {"{\"norm_eps\": 0}", "'norm_eps': expected a number between 0 and 1, found 0"},
        {"{\"norm_eps\": 1e-300}", "'norm_eps': expected a number between 0 and 1, found 1e-300"},
        {"{\"norm_eps\": 1e-5, \"layer_norm_epsilon\": 0.1}",
         "'layer_norm_epsilon': expected the value of 'norm_eps', found 0.1"},
        {"{\"norm_eps\": \"1e-5\"}", "'norm_eps': expected a number between 0 and 1, found \"1e-5\""},
        {"{\"norm_bias\": false}", "'norm_bias': expected true (norms without a bias are not supported), found false"},
        {"{\"norm_first\": false}", "'norm_first': expected true because the embedding has a norm, found false"},
        {"{\"embedding_layer_norm_fused\": true}", "'embedding_layer_norm_fused': expected false"},
        {"{\"hidden_act\": \"relu\"}", "'hidden_act': expected \"sqrelu\", found \"relu\""},
        {"{\"tie_word_embeddings\": true}",
         "'tie_word_embeddings': expected false because head and embedding differ, found true"},
        {"{\"attn\": {\"layers\": [1]}}", "'attn': expected null (attention layers are not supported), found {"},
        {"{\"head_size_divisor\": 0}", "'head_size_divisor': expected a number from 1 to 128, found 0"},
        {"{\"norm_eps\": 1e-5", "config.json"},
    };
    put_model(GOLDEN("bf16_fla"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_config(cases[i].config);
        check_refused(folder, cases[i].fragment);
    }
    remove_config();
    CHECK(symlink("nothing", in_folder("config.json")) == 0);
    struct rwkv7_model *none = NULL;
    struct rwkv7_error err;
    CHECK(rwkv7_model_open(rt, folder, NULL, &none, &err) == RWKV7_ERR_IO && !none);
    CHECK_MSG(strstr(err.message, "config.json: No such file") != NULL, "%s", err.message);
    remove_config();
    put_model(GOLDEN("x060_bf16"));
    write_config("{\"layer_norm_epsilon\": 1e-6}");
    check_refused(folder, "'layer_norm_epsilon': expected 1e-05 (versions before RWKV-7), found 1e-06");
    remove_config();
}

/*
 * Tied head and embedding. Without a head, config.json must not state false; with an equal head, it
 * may state true.
 */
static void test_tied(void)
{
    variant_open(&v, GOLDEN("bf16_fla"));
    variant_find(&v, "lm_head.weight")->data = variant_find(&v, "model.embeddings.weight")->data;
    variant_write(&v, file);
    write_config("{\"tie_word_embeddings\": true}");
    rwkv7_model_close(open_model(folder));
    variant_drop(&v, "lm_head.weight");
    variant_write(&v, file);
    variant_close(&v);
    rwkv7_model_close(open_model(folder));
    write_config("{\"tie_word_embeddings\": false}");
    check_refused(folder, "'tie_word_embeddings': expected true because the checkpoint has no head, found false");
    remove_config();
}

/* The epsilons of a configuration equal those of metadata and are kept by a conversion. */
static void test_epsilons(void)
{
    static const struct {
        const char *config, *eps, *head_eps, *golden;
    } cases[] = {
        {"{\"norm_eps\": 2e-5}", "2e-5", "0.00128", GOLDEN("bf16_fla")}, /* fla: times N, here 64 */
        {"{\"layer_norm_epsilon\": 3e-5, \"group_norm_epsilon\": 1e-4}", "3e-5", "1e-4", GOLDEN("bf16_n64")},
        {"{\"head_size_divisor\": 4}", "1e-5", "0.00016", GOLDEN("x052_f32")},
    };
    const struct rwkv7_convert_options stored = {.type = NULL};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float got[MOST] = {0}, want[MOST] = {0}, usual[MOST] = {0};
        put_model(cases[i].golden);
        write_config(cases[i].config);
        struct rwkv7_model *a = open_model(folder), *b = open_model(cases[i].golden);
        evaluate(a, got);
        evaluate(b, usual);
        CHECK(!have_same_fingerprint(a, b) && memcmp(got, usual, sizeof got) != 0);
        rwkv7_model_close(b);
        const char *const converted = in_folder("converted.st");
        CHECK(rwkv7_convert(rt, folder, converted, &stored, NULL) == RWKV7_OK);
        b = open_model(converted);
        CHECK(have_same_fingerprint(a, b));
        rwkv7_model_close(b);
        rwkv7_model_close(a); /* its file is rewritten below */
        unlink(in_folder("converted.st"));

        variant_open(&v, cases[i].golden);
        v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv7.attention.layer_norm_epsilon", cases[i].eps};
        v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv7.head_epsilon", cases[i].head_eps};
        variant_write(&v, file);
        variant_close(&v);
        remove_config();
        b = open_model(file);
        evaluate(b, want);
        CHECK_MSG(memcmp(got, want, sizeof got) == 0, "%s", cases[i].config);
        rwkv7_model_close(b);
    }
}

/*
 * The rate scale given as an option and in the metadata gives the same model. A conversion keeps
 * it, and it is part of the fingerprint.
 */
static void test_rate_scale(void)
{
    float want[MOST] = {0}, got[MOST] = {0};
    const struct rwkv7_model_options two = {.rate_scale = 2}, one = {.rate_scale = 1}, bad = {.rate_scale = 2.5f};
    const struct rwkv7_convert_options opt = {.type = NULL, .rate_scale = 2};
    struct rwkv7_model *stated = open_model(GOLDEN("f32_rate2")), *plain = NULL, *given = NULL;
    struct rwkv7_error err = {0};
    evaluate(stated, want);
    CHECK(rwkv7_model_info(stated)->rate_scale == 2);
    CHECK(rwkv7_model_open(rt, GOLDEN("f32_rate2"), &one, &plain, NULL) == RWKV7_OK);
    CHECK(!have_same_fingerprint(stated, plain) && rwkv7_model_info(plain)->rate_scale == 1);
    evaluate(plain, got);
    CHECK(memcmp(got, want, sizeof got) != 0);

    variant_open(&v, GOLDEN("f32_rate2"));
    v.metadata_count = 0;
    variant_write(&v, file);
    CHECK(rwkv7_model_open(rt, file, &two, &given, NULL) == RWKV7_OK && have_same_fingerprint(given, stated));
    evaluate(given, got);
    CHECK(memcmp(got, want, sizeof got) == 0);
    rwkv7_model_close(given);
    CHECK(rwkv7_convert(rt, file, in_folder("converted.st"), &opt, NULL) == RWKV7_OK);
    given = open_model(in_folder("converted.st"));
    CHECK(have_same_fingerprint(given, stated));
    unlink(in_folder("converted.st"));
    rwkv7_model_close(given);

    v.metadata[v.metadata_count++] = (struct tensor_pair){"rwkv7.rate_scale", "3"};
    variant_write(&v, file);
    variant_close(&v);
    check_refused(file, "metadata 'rwkv7.rate_scale': expected a number above 0 and at most 2, found 3");
    CHECK(rwkv7_model_open(rt, file, &bad, &given, &err) == RWKV7_ERR_MODEL && !given);
    CHECK(rwkv7_model_open(rt, GOLDEN("f32_n16"), &bad, &given, &err) == RWKV7_ERR_USAGE &&
          strstr(err.message, "rate scale: expected above 0 and at most 2, found 2.5"));
    CHECK(rwkv7_model_open(rt, GOLDEN("x060_bf16"), &two, &given, &err) == RWKV7_ERR_USAGE &&
          strstr(err.message, "RWKV-6 has no in-context learning rate"));
    rwkv7_model_close(plain);
    rwkv7_model_close(stated);
}

/*
 * A program with a decimal comma. The test creates the locale, because few machines have one
 * installed.
 */
static void test_comma(void)
{
    char command[256], text[16];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s/comma' >/dev/null 2>&1", folder);
    const bool is_made = system(command) == 0 || access(in_folder("comma/LC_NUMERIC"), R_OK) == 0;
    setenv("LOCPATH", folder, 1);
    if (!is_made || !setlocale(LC_ALL, "comma")) {
        SKIP("numbers with a decimal comma: no locale can be made here (localedef, /usr/share/i18n)");
    } else {
        const struct rwkv7_convert_options opt = {.type = NULL, .rate_scale = 1.5f};
        const struct rwkv7_model_options given = {.rate_scale = 1.5f}, bad = {.rate_scale = 2.5f};
        struct rwkv7_model *a = NULL, *b = NULL;
        struct rwkv7_error err = {0};
        snprintf(text, sizeof text, "%.1f", 0.5);
        CHECK_STR(text, "0,5");
        put_model(GOLDEN("bf16_fla"));
        write_config("{\"norm_eps\": 2.5e-5}");
        CHECK(rwkv7_convert(rt, folder, in_folder("converted.st"), &opt, NULL) == RWKV7_OK);
        CHECK(rwkv7_model_open(rt, folder, &given, &a, NULL) == RWKV7_OK);
        b = open_model(in_folder("converted.st"));
        CHECK(have_same_fingerprint(a, b));
        rwkv7_model_close(b);
        CHECK(rwkv7_model_open(rt, GOLDEN("f32_n16"), &bad, &b, &err) == RWKV7_ERR_USAGE &&
              strstr(err.message, "found 2.5"));
        snprintf(text, sizeof text, "%.1f", 0.5); /* the program's own locale is unchanged */
        CHECK_STR(text, "0,5");
        setlocale(LC_ALL, "C");
        b = open_model(in_folder("converted.st"));
        CHECK(have_same_fingerprint(a, b));
        rwkv7_model_close(a);
        rwkv7_model_close(b);
        unlink(in_folder("converted.st"));
        remove_config();
    }
    snprintf(command, sizeof command, "rm -rf '%s/comma'", folder);
    CHECK(system(command) == 0);
}

/* Sets one number of a tensor to infinity, in a copy of the file; the message must name it. */
static void refuse_infinity(const char *path, const char *name, size_t at, bool is_scale)
{
    struct tensor_index *index = NULL;
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    char expected[160];
    CHECK(tensors_open(path, &index, NULL) == RWKV7_OK);
    const struct file_map *map = &index->files[0];
    const struct tensor *t = tensors_find(index, name);
    uint8_t *const image = malloc(map->size);
    CHECK(t && image);
    memcpy(image, map->data, map->size);
    const uint32_t wide = 0xff800000;
    const uint16_t narrow = t->type == DT_F16 ? 0x7c00 : 0x7f80;
    uint8_t *const to = image + (t->data - map->data) + at * (t->type == DT_F32 ? 4 : 2);
    if (t->type == DT_F32)
        memcpy(to, &wide, sizeof wide);
    else
        memcpy(to, &narrow, sizeof narrow);
    snprintf(expected, sizeof expected,
             is_scale ? "tensor '%s': expected finite scales, found a NaN or an infinity in row %zu"
                      : "tensor '%s': expected finite numbers, found a NaN or an infinity at index %zu",
             name, at);
    CHECK(rwkv7_model_open_memory(rt, image, map->size, "image", NULL, &model, &err) == RWKV7_ERR_MODEL && !model);
    CHECK_MSG(strstr(err.message, expected), "got \"%s\", want \"%s\"", err.message, expected);
    rwkv7_model_close(model);
    free(image);
    tensors_close(index);
}

/* tanh and sigmoid would turn infinite low-rank factors into ordinary numbers. */
static void test_infinite_factors(void)
{
    static const char *const ends[] = {"w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"};
    const struct rwkv7_convert_options q8 = {.type = "q8"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.1.att.%s", ends[i]);
        refuse_infinity(GOLDEN("f32_n16"), name, 17 * i, false);
        refuse_infinity(GOLDEN("bf16_n64"), name, 100, false);
        refuse_infinity(GOLDEN("bf16_n64_st"), name, 101, false);
        refuse_infinity(GOLDEN("f16_n128"), name, 3, false);
    }
    refuse_infinity(GOLDEN("bf16_fla"), "model.layers.1.attn.g_lora.lora.2.weight", 1023, false);
    refuse_infinity(GOLDEN("x060_bf16"), "blocks.1.att.time_maa_w2", 5 * 7 * 64 - 1, false); /* in its last part */
    refuse_infinity(GOLDEN("x060_bf16"), "blocks.0.att.time_decay_w1", 0, false);
    refuse_infinity(GOLDEN("f16_deep"), "blocks.2.ffn.s1", 5, false);
    CHECK(rwkv7_convert(rt, GOLDEN("bf16_n64"), file, &q8, NULL) == RWKV7_OK);
    refuse_infinity(file, "blocks.0.att.w1", 3, true);
}

static void count_note(void *arg, const char *text)
{
    *(int *)arg += strstr(text, "no head found") || strstr(text, "of type F64 are rounded");
}

/* A conversion reports all notes about its inputs. */
static void test_notes_of_conversion(void)
{
    int notes = 0;
    const struct rwkv7_convert_options opt = {.note = count_note, .note_arg = &notes};
    variant_open(&v, GOLDEN("f32_n32"));
    variant_drop(&v, "head.weight");
    for (int i = 0; i < 2; i++) {
        struct tensor *t = variant_find(&v, i ? "blocks.1.att.k_k" : "blocks.0.att.k_k");
        double *wide = variant_memory(&v, 2 * (size_t)t->bytes);
        for (size_t k = 0; k < t->bytes / sizeof(float); k++)
            wide[k] = (double)((const float *)(const void *)t->data)[k];
        t->type = DT_F64;
        t->data = (const uint8_t *)wide;
        t->bytes *= 2;
    }
    variant_write(&v, file);
    const char *const converted = in_folder("converted.safetensors");
    CHECK(rwkv7_convert(rt, file, converted, &opt, NULL) == RWKV7_OK && notes == 2);
    unlink(converted);
    variant_close(&v);
}

/* A tensor of layer 100000 is an error; it does not make the loader expect 100000 layers. */
static void test_too_many_layers(void)
{
    variant_open(&v, GOLDEN("f32_n32"));
    variant_add(&v, "blocks.100000.att.k_k", DT_F32, 96);
    variant_write(&v, file);
    check_refused(file, "expected at most 4096 layers, found more");
    variant_close(&v);
}

int main(void)
{
    if (!same_begin())
        return 1;
    RUN(test_usual);
    RUN(test_byte_order_mark);
    RUN(test_flat_r_k);
    RUN(test_refused);
    RUN(test_tied);
    RUN(test_epsilons);
    RUN(test_rate_scale);
    RUN(test_comma);
    RUN(test_infinite_factors);
    RUN(test_notes_of_conversion);
    RUN(test_too_many_layers);
    return same_end();
}
