/*
 * test_pth.c - PyTorch checkpoints: the corpus with its expected messages, files too large to
 * commit (many tensors, gigabytes), the same logits as from safetensors, a real file, and out of
 * memory.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "corpus.h"
#include "golden/golden.h"
#include "pth_writer.h"
#include "test.h"

#define CORPUS TEST_DIR "/corpus/pth/"

static char temporary[] = "/tmp/rwkv7-test-XXXXXX";

static void test_corpus(void)
{
    check_corpus(CORPUS, 200);
}

static struct tensor_index *open_file(const char *path)
{
    struct tensor_index *index = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(tensors_open(path, &index, &err) == RWKV7_OK, "%s: %s", path, err.message);
    return index;
}

/*
 * The output of torch.save for OrderedDict(emb=bfloat16 [2][2], head=bfloat16 [2]), and views of
 * one storage.
 */
static void test_values(void)
{
    struct tensor_index *index = open_file(CORPUS "ok_torch.pth");
    if (index) {
        const struct tensor *t = tensors_find(index, "emb");
        CHECK(index->count == 2 && t);
        CHECK(t && t->type == DT_BF16 && t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 2);
        CHECK(t && t->bytes == 8 && memcmp(t->data, "\0\1\2\3\4\5\6\7", 8) == 0);
        CHECK(t && (t->data - index->files[0].data) % 64 == 0);
        t = tensors_find(index, "head");
        CHECK(t && t->rank == 1 && t->bytes == 4 && memcmp(t->data, "\x08\x09\x0a\x0b", 4) == 0);
        CHECK(index->metadata_count == 0);
        CHECK_STR(index->container, "PyTorch");
    }
    tensors_close(index);
    index = open_file(CORPUS "ok_views.pth");
    if (index) {
        const struct tensor *x = tensors_find(index, "x"), *y = tensors_find(index, "y"), *z = tensors_find(index, "z");
        CHECK(x && y && z && x->data == z->data && y->data == x->data + 8 && z->bytes == 16);
    }
    tensors_close(index);
}

/* Values beside the tensors are skipped with a note, and a nested dictionary is found. */
static void test_notes(void)
{
    static const struct {
        const char *file, *note; /* note: after the path; NULL: none */
        size_t tensors;
    } cases[] = {
        {"ok_one.pth", NULL, 1},
        {"ok_torch.pth", NULL, 2},
        {"more_number.pth", "skipped: 'lr' (a number), 'step' (a number), 'best' (None), 'done' (a boolean)", 1},
        {"more_list.pth", "skipped: 'losses' (a list), 'one' (a list), 'pair' (a tuple)", 1},
        {"more_model.pth", "the weights are in 'model'; skipped: 'step' (a number)", 2},
        {"more_model_and_optimizer.pth",
         "the weights are in 'model'; skipped: 'optimizer' (a dictionary), 'step' (a number)", 2},
        {"more_deep.pth", "the weights are in 'model'; skipped: 'rng' (an object (numpy.core.multiarray._reconstruct))",
         2},
        {"more_average.pth", "the weights are in 'model'; skipped: 'ema' (a dictionary)", 2},
        {"more_counter.pth", "skipped: 'n' (an object (collections.Counter))", 1},
        {"more_tensor_outside.pth", "the weights are in 'model'; skipped: 'step' (a tensor)", 2},
        {"more_number_as_key.pth", "skipped: under a number (None)", 1},
        {"more_escape.pth", "skipped: '?[31m?' (None)", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[512], want[1024] = "";
        snprintf(path, sizeof path, "%s%s", CORPUS, cases[i].file);
        struct tensor_index *index = open_file(path);
        if (!index)
            continue;
        const char *const note = index->notes->count > 0 ? strchr(index->notes->lines[0], ':') : NULL;
        CHECK_MSG(index->count == cases[i].tensors, "%s: %zu tensors", path, index->count);
        CHECK_MSG(index->notes->count == (cases[i].note ? 1 : 0), "%s: %zu notes", path, index->notes->count);
        if (cases[i].note)
            snprintf(want, sizeof want, ": %s", cases[i].note);
        CHECK_STR(note ? note : "", want);
        tensors_close(index);
    }
    struct tensor_index *index = open_file(CORPUS "more_many.pth");
    CHECK(index && index->notes->count == 1 && strlen(index->notes->lines[0]) < 256 &&
          strstr(index->notes->lines[0], " more"));
    tensors_close(index);
    index = open_file(CORPUS "more_lightning.pth");
    CHECK(index && index->count == 1 && tensors_find(index, "model.x"));
    CHECK(index && index->notes->count == 1 &&
          strstr(index->notes->lines[0], "the weights are in 'state_dict'; skipped: 'epoch'"));
    tensors_close(index);
}

/* Views that are not row-major are copied to row-major order. */
static void test_strides(void)
{
    static const struct {
        const char *file;
        size_t count;
        float want[12];
    } cases[] = {
        {"more_transposed.pth", 4, {1, 3, 2, 4}},
        {"more_every_second.pth", 2, {2, 4}},
        {"more_three_axes.pth", 12, {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}},
        {"more_column.pth", 3, {2, 6, 10}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s%s", CORPUS, cases[i].file);
        struct tensor_index *index = open_file(path);
        const struct tensor *const t = index ? tensors_find(index, "x") : NULL;
        CHECK_MSG(t && t->bytes == cases[i].count * sizeof(float), "%s", path);
        CHECK_MSG(t && memcmp(t->data, cases[i].want, (size_t)t->bytes) == 0, "%s", path);
        tensors_close(index);
    }
    struct tensor_index *index = open_file(CORPUS "more_every_type_transposed.pth");
    const struct tensor *const byte = index ? tensors_find(index, "Byte") : NULL,
                               *const half = index ? tensors_find(index, "Half") : NULL,
                               *const wide = index ? tensors_find(index, "Double") : NULL;
    CHECK(byte && memcmp(byte->data, "\0\2\4\1\3\5", 6) == 0);
    CHECK(half && memcmp(half->data, "\0\1\4\5\10\11\2\3\6\7\12\13", 12) == 0);
    CHECK(wide && wide->bytes == 48 && wide->data[8] == 16 && wide->data[24] == 8 && wide->data[47] == 47);
    tensors_close(index);
}

/* The golden models as .pth: the same tensors and logits, bit for bit. */
static void test_golden_models(void)
{
    struct rwkv7_runtime *rt = NULL;
    const struct rwkv7_runtime_options threads = {.threads = 1};
    struct golden g;
    CHECK(rwkv7_runtime_create(&threads, &rt, NULL) == RWKV7_OK);
    for (int i = 0; rt && golden_open(i, &g); i++) {
        if (strstr(g.model, ".gguf")) { /* some of its information is only in its metadata */
            golden_close(&g);
            continue;
        }
        struct tensor_index *original = open_file(g.model);
        const char *const paths[] = {g.model, temporary};
        float *logits[2] = {NULL, NULL};
        struct rwkv7_model_options opt = {0}; /* options for facts that a .pth does not contain */
        size_t size = 0;
        CHECK(original && pth_write(temporary, original->tensors, original->count));
        for (int k = 0; k < 2; k++) {
            struct rwkv7_model *model = NULL;
            struct rwkv7_session *s = NULL;
            struct rwkv7_error err = {0};
            CHECK_MSG(rwkv7_model_open(rt, paths[k], &opt, &model, &err) == RWKV7_OK, "%s", err.message);
            if (!model || rwkv7_session_create(model, &s, NULL) != RWKV7_OK)
                exit(1);
            opt.rate_scale = rwkv7_model_info(model)->shape.rank_a > 0 ? rwkv7_model_info(model)->rate_scale : 0;
            const bool is_pth = k == 1 || strstr(g.model, ".pth");
            CHECK_STR(rwkv7_model_info(model)->container, is_pth ? "PyTorch" : "safetensors");
            size = (size_t)g.count * (size_t)rwkv7_model_info(model)->shape.vocab * sizeof **logits;
            logits[k] = malloc(size);
            CHECK(rwkv7_session_eval(s, g.tokens, (size_t)g.count, RWKV7_LOGITS_ALL, logits[k], NULL) == RWKV7_OK);
            rwkv7_session_close(s);
            rwkv7_model_close(model);
        }
        CHECK_MSG(memcmp(logits[0], logits[1], size) == 0, "%s", g.model);
        free(logits[0]);
        free(logits[1]);
        tensors_close(original);
        golden_close(&g);
    }
    rwkv7_runtime_close(rt);
}

static void test_many_tensors(void)
{
    enum { COUNT = 10000 };
    struct tensor *tensors = calloc(COUNT, sizeof *tensors);
    char(*names)[16] = calloc(COUNT, sizeof *names);
    uint8_t *data = malloc(COUNT);
    if (!tensors || !names || !data)
        exit(1);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof *names, "t%zu", i * 7919 % COUNT); /* unsorted */
        data[i] = (uint8_t)i;
        tensors[i] =
            (struct tensor){.name = names[i], .type = DT_U8, .rank = 1, .shape = {1}, .data = &data[i], .bytes = 1};
    }
    CHECK(pth_write(temporary, tensors, COUNT));
    struct tensor_index *index = open_file(temporary);
    size_t right = 0;
    for (size_t i = 0; index && i < COUNT; i++) {
        const struct tensor *t = tensors_find(index, names[i]);
        right += t && t->bytes == 1 && *t->data == data[i];
    }
    CHECK(right == COUNT);
    tensors_close(index);
    free(tensors);
    free(names);
    free(data);
}

/* A storage of 5 GiB, which is a hole in the file, followed by another. */
static void test_beyond_4_gib(void)
{
    const uint64_t wide = (uint64_t)5 << 30;
    struct rlimit limit;
    if (sizeof(size_t) < 8 || (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < wide + (1 << 20))) {
        SKIP("a file of 5 GiB: not allowed here");
        return;
    }
    const struct tensor tensors[] = {
        {.name = "emb.weight", .type = DT_BF16, .rank = 2, .shape = {wide / 8192, 4096}, .bytes = wide},
        {.name = "head.weight",
         .type = DT_F32,
         .rank = 1,
         .shape = {3},
         .data = (const uint8_t *)"abcdefghijkl",
         .bytes = 12},
    };
    if (!pth_write(temporary, tensors, 2)) {
        SKIP("a file of 5 GiB: /tmp has no room for it");
        return;
    }
    struct tensor_index *index = open_file(temporary);
    if (index) {
        const struct tensor *emb = tensors_find(index, "emb.weight"), *head = tensors_find(index, "head.weight");
        CHECK(emb && emb->bytes == wide && emb->shape[0] == wide / 8192 && emb->data[wide - 1] == 0);
        CHECK(head && head->bytes == 12 && memcmp(head->data, "abcdefghijkl", 12) == 0);
        CHECK(emb && head && head->data > emb->data + wide);
    }
    tensors_close(index);
    CHECK(truncate(temporary, 0) == 0);
}

/* Written by the author of RWKV, with an RWKV-8 experiment beside two layers of RWKV-7. */
static void test_real_file(void)
{
    static const char path[] = SHARED_DIR "/vectors/reverse/260123_reverse_L2_only_rwkv7.pth";
    static const struct {
        const char *name;
        int rank;
        uint64_t shape[3];
    } expected[] = {
        {"e.weight", 2, {12, 32}},         {"o.bias", 1, {12}},          {"rwkv1.w1", 2, {32, 8}},
        {"rwkv2.w2", 2, {8, 32}},          {"rwkv2.r_k", 2, {2, 16}},    {"rosa1.rosa_qkv.emb", 3, {1, 1, 32}},
        {"ffn2.key.weight", 2, {128, 32}}, {"rwkv1.x_r", 3, {1, 1, 32}},
    };
    if (access(path, R_OK) != 0) {
        SKIP("%s: not on this machine", path);
        return;
    }
    struct tensor_index *index = open_file(path);
    if (!index)
        return;
    CHECK_MSG(index->count == 99, "%zu", index->count);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct tensor *t = tensors_find(index, expected[i].name);
        CHECK_MSG(t && t->type == DT_F32 && t->rank == expected[i].rank, "%s", expected[i].name);
        CHECK_MSG(t && memcmp(t->shape, expected[i].shape, sizeof expected[i].shape) == 0, "%s", expected[i].name);
    }
    tensors_close(index);
}

/*
 * Makes each allocation of an open fail in turn, until one succeeds. The sanitizer build finds
 * leaks.
 */
static void test_out_of_memory(void)
{
    static const char *const files[] = {CORPUS "ok_torch.pth", CORPUS "more_three_axes.pth", CORPUS "more_deep.pth"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        enum rwkv7_status status = RWKV7_ERR_MEMORY;
        long n = 0;
        for (; n < 100 && status == RWKV7_ERR_MEMORY; n++) {
            struct tensor_index *index;
            mem_fail_after(n);
            status = tensors_open(files[i], &index, NULL);
            mem_fail_after(-1);
            CHECK((status == RWKV7_OK) == (index != NULL));
            tensors_close(index);
        }
        CHECK_MSG(status == RWKV7_OK && n > 10, "status %d, allocation %ld", (int)status, n);
    }
}

int main(void)
{
    const int fd = mkstemp(temporary);
    if (fd < 0 || close(fd) != 0)
        return 1;
    RUN(test_corpus);
    RUN(test_values);
    RUN(test_notes);
    RUN(test_strides);
    RUN(test_golden_models);
    RUN(test_many_tensors);
    RUN(test_beyond_4_gib);
    RUN(test_real_file);
    RUN(test_out_of_memory);
    remove(temporary);
    return test_end();
}
