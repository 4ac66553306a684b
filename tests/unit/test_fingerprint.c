/*
 * test_fingerprint.c - fingerprints change with any number of any weight and with everything else
 * that affects results. They do not depend on file formats, on types that hold the same numbers, on
 * threads or on CPU tiers.
 */
#include "fingerprint.h"

#include "base/hash.h"
#include "base/sys.h"
#include "gguf_writer.h"
#include "pth_writer.h"
#include "same.h"

static const char *const models[] = {
    GOLDEN("f32_n16"),  GOLDEN("bf16_n64"),       GOLDEN("f16_n128"),  GOLDEN("bf16_fla"),
    GOLDEN("f16_deep"), GOLDEN("bf16_fla_fused"), GOLDEN("x040_f32"),  GOLDEN("x050_f32"),
    GOLDEN("x052_f32"), GOLDEN("x051_bf16"),      GOLDEN("x060_bf16"),
};
enum { MODELS = sizeof models / sizeof models[0] };

/* Values of xxh128sum, for inputs divided into pieces of any size. */
static void test_hash(void)
{
    static const struct {
        size_t size;
        struct hash_value value;
    } known[] = {
        {241, {0xd6afac6f8fa85b01u, 0xe75e577a31d24834u}},  {256, {0x9e6593bab96413dau, 0x5f3bd3b68315e024u}},
        {1024, {0xbb9f0c3761cdfd54u, 0x1ac8856c8b289d9au}}, {1025, {0x95edccc1adc4d895u, 0x15379a00bb4cec98u}},
        {5000, {0x06983d4ce0939f36u, 0xb66e1e66e1733cffu}},
    };
    uint8_t data[5000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof data; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (uint8_t)(x >> 24);
    }
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        for (size_t piece = 1; piece < 300; piece += piece < 70 ? 1 : 61) {
            struct hash h;
            hash_begin(&h);
            for (size_t at = 0; at < known[k].size; at += piece)
                hash_add(&h, data + at, known[k].size - at < piece ? known[k].size - at : piece);
            const struct hash_value value = hash_end(&h);
            CHECK_MSG(value.low == known[k].value.low && value.high == known[k].value.high, "%zu bytes by %zu",
                      known[k].size, piece);
        }
}

/* Layer 0 has no value gate, but a file may contain one. */
static bool is_unused(const char *name)
{
    return strstr(name, "blocks.0.att.v0") || strstr(name, "blocks.0.att.v1") || strstr(name, "blocks.0.att.v2") ||
           strstr(name, "layers.0.attn.v_lora");
}

/*
 * Changes one bit of one number in each tensor in turn: in matrices the last bit, in vectors one
 * that survives their transformation.
 */
static void check_each_number(const char *path, uint64_t seed)
{
    struct tensor_index *index = NULL;
    struct rwkv7_model *original = open_model(path);
    const struct rwkv7_fingerprint want = fingerprint_of(original);
    CHECK(tensors_open(path, &index, NULL) == RWKV7_OK);
    uint8_t *const image = malloc(index->files[0].size);
    CHECK(image);
    memcpy(image, index->files[0].data, index->files[0].size);
    for (size_t i = 0; i < index->count; i++) {
        const struct tensor *t = &index->tensors[i];
        const size_t element = t->type == DT_F32 ? 4 : 2, count = (size_t)t->bytes / element;
        const bool is_matrix = t->rank == 2 && t->shape[0] > 1 && t->shape[1] > 1 && !strstr(t->name, "time_decay");
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint8_t *const at =
            image + (t->data - index->files[0].data) + element * (size_t)(seed >> 33) % (count * element);
        struct rwkv7_model *model = NULL;
        at[element == 4 && !is_matrix] ^= is_matrix ? 1 : 16;
        if (rwkv7_model_open_memory(rt, image, index->files[0].size, "image", NULL, &model, NULL) == RWKV7_OK) {
            const struct rwkv7_fingerprint print = fingerprint_of(model);
            CHECK_MSG(is_same_print(&print, &want) == is_unused(t->name), "%s: %s", path, t->name);
        }
        CHECK(model);
        rwkv7_model_close(model);
        at[element == 4 && !is_matrix] ^= is_matrix ? 1 : 16;
    }
    free(image);
    tensors_close(index);
    rwkv7_model_close(original);
}

static void test_each_number(void)
{
    for (size_t i = 0; i < MODELS; i++)
        for (uint64_t round = 0; round < 3; round++)
            check_each_number(models[i], 3 * i + round);
}

static void test_machine(void)
{
    for (size_t i = 0; i < MODELS; i++) {
        struct rwkv7_model *want = open_model(models[i]);
        for (int threads = 1; threads < 4; threads++) {
            const struct rwkv7_runtime_options opt = {.threads = threads, .cpu = threads == 1 ? "ref" : NULL};
            struct rwkv7_runtime *other = NULL;
            struct rwkv7_model *model = NULL;
            CHECK(rwkv7_runtime_create(&opt, &other, NULL) == RWKV7_OK &&
                  rwkv7_model_open(other, models[i], NULL, &model, NULL) == RWKV7_OK);
            CHECK_MSG(have_same_fingerprint(model, want), "%s, %d threads", models[i], threads);
            rwkv7_model_close(model);
            rwkv7_runtime_close(other);
        }
        rwkv7_model_close(want);
    }
}

/* 16-bit floats, and the same numbers as float32. */
static void test_types(void)
{
    const struct rwkv7_convert_options opt = {.type = "f32"};
    for (size_t i = 0; i < MODELS; i++) {
        CHECK(rwkv7_convert(rt, models[i], file, &opt, NULL) == RWKV7_OK);
        struct rwkv7_model *a = open_model(models[i]), *b = open_model(file);
        CHECK_MSG(have_same_fingerprint(a, b), "%s as f32", models[i]);
        rwkv7_model_close(a);
        rwkv7_model_close(b);
    }
    unlink(file);
}

/* The same weights in other file formats. */
static void test_containers(void)
{
    struct tensor_index *index = NULL;
    struct rwkv7_model *want = open_model(GOLDEN("bf16_n64")), *found;
    const struct rwkv7_convert_options stored = {.type = NULL};
    CHECK(tensors_open(GOLDEN("bf16_n64"), &index, NULL) == RWKV7_OK);
    for (int k = 0; index && k < 3; k++) {
        CHECK(k == 0   ? pth_write(file, index->tensors, index->count)
              : k == 1 ? gguf_write_model(file, index, NULL, 0)
                       : rwkv7_convert(rt, GOLDEN("bf16_n64"), file, &stored, NULL) == RWKV7_OK);
        found = open_model(file);
        CHECK_MSG(have_same_fingerprint(found, want), "container %d", k);
        rwkv7_model_close(found);
        unlink(file);
    }
    tensors_close(index);
    found = open_model(GOLDEN("bf16_n64_st")); /* the other orientation of the factors */
    CHECK(have_same_fingerprint(found, want));
    rwkv7_model_close(found);
    rwkv7_model_close(want);
}

/* Epsilons affect results. */
static void test_facts(void)
{
    static const char *const keys[] = {"rwkv7.attention.layer_norm_epsilon", "rwkv7.head_epsilon"};
    struct rwkv7_model *original = open_model(GOLDEN("bf16_n64"));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        variant_open(&v, GOLDEN("bf16_n64"));
        v.metadata[v.metadata_count++] = (struct tensor_pair){keys[i], "2e-5"};
        variant_write(&v, file);
        variant_close(&v);
        struct rwkv7_model *model = open_model(file);
        CHECK_MSG(!have_same_fingerprint(model, original), "%s", keys[i]);
        rwkv7_model_close(model);
    }
    rwkv7_model_close(original);
    unlink(file);
}

/*
 * A state can be loaded only by its own model, and not at all if it was saved before fingerprints
 * were complete.
 */
static void test_states(void)
{
    static const uint8_t version_2[4] = {2, 0, 0, 0};
    char state[128];
    struct rwkv7_session *s = NULL;
    struct rwkv7_error err;
    snprintf(state, sizeof state, "%s", in_folder("state"));
    struct rwkv7_model *a = open_model(GOLDEN("bf16_n64"));
    CHECK(rwkv7_session_create(a, &s, NULL) == RWKV7_OK && rwkv7_session_save(s, state, NULL, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_load(s, state, NULL, NULL) == RWKV7_OK);

    /* Changes one number in the middle of a matrix, which sampling would miss. */
    variant_open(&v, GOLDEN("bf16_n64"));
    struct tensor *t = variant_find(&v, "blocks.1.att.key.weight");
    uint8_t *const changed = variant_memory(&v, (size_t)t->bytes);
    memcpy(changed, t->data, (size_t)t->bytes);
    changed[t->bytes / 2 + 70] ^= 1;
    t->data = changed;
    variant_write(&v, file);
    variant_close(&v);
    struct rwkv7_model *b = open_model(file);
    struct rwkv7_session *other = NULL;
    CHECK(rwkv7_session_create(b, &other, NULL) == RWKV7_OK);
    CHECK(rwkv7_session_load(other, state, NULL, &err) == RWKV7_ERR_STATE &&
          strstr(err.message, "a state of other weights"));

    FILE *f = fopen(state, "r+b");
    CHECK(f && fseek(f, 8, SEEK_SET) == 0 && fwrite(version_2, 1, 4, f) == 4 && fclose(f) == 0);
    CHECK(rwkv7_session_load(s, state, NULL, &err) == RWKV7_ERR_STATE);
    CHECK_MSG(strstr(err.message, "state file version 2, expected 3: its weights are not identified"), "%s",
              err.message);
    rwkv7_session_close(other);
    rwkv7_session_close(s);
    rwkv7_model_close(b);
    rwkv7_model_close(a);
    unlink(state);
    unlink(file);
}

int main(void)
{
    if (!same_begin())
        return 1;
    RUN(test_hash);
    RUN(test_each_number);
    RUN(test_machine);
    RUN(test_types);
    RUN(test_containers);
    RUN(test_facts);
    RUN(test_states);
    return same_end();
}
