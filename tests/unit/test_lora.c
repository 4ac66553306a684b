/*
 * test_lora.c - LoRA files: merged rows against sums in double precision, files that do not fit,
 * and conversion with an adapter against conversion of merged weights.
 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "formats/lora.h"
#include "pth_writer.h"
#include "test.h"

enum { OUT = 5, IN = 7, R = 3 };

static float key[OUT][IN], changed[OUT][IN], other[OUT][IN], vector[IN], vector_too[IN];
static float factor_a[R][IN], factor_b[OUT][R];
static float first_a[R][IN], first_b[OUT][R]; /* factors before training */
static char temporary[] = "/tmp/rwkv7-test-XXXXXX";

static void fill(float *numbers, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) { /* MMIX generator by Knuth; multiples of 1/128 in [-2, 2) */
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        numbers[i] = (float)((int)(seed >> 55) - 256) / 128;
    }
}

static struct tensor matrix(const char *name, const float *data, uint64_t rows, uint64_t cols)
{
    return (struct tensor){.name = name,
                           .type = DT_F32,
                           .rank = 2,
                           .shape = {rows, cols},
                           .data = (const uint8_t *)data,
                           .bytes = rows * cols * sizeof *data};
}

static struct tensor row_of(const char *name, const float *data)
{
    struct tensor t = matrix(name, data, 1, IN);
    t.rank = 3;
    t.shape[0] = t.shape[1] = 1;
    t.shape[2] = IN;
    return t;
}

/* The checkpoint, sorted by name like an index. */
static struct tensor base_tensors[5];
static const struct tensor_index base = {.tensors = base_tensors, .count = 5};

static void make_base(void)
{
    fill(key[0], OUT * IN, 1);
    fill(changed[0], OUT * IN, 2);
    fill(other[0], OUT * IN, 3);
    fill(vector, IN, 4);
    fill(vector_too, IN, 5);
    fill(factor_a[0], R * IN, 6);
    fill(factor_b[0], OUT * R, 7);
    fill(first_a[0], R * IN, 8);
    fill(first_b[0], OUT * R, 9);
    base_tensors[0] = matrix("blocks.0.att.key.weight", key[0], OUT, IN);
    base_tensors[1] = matrix("blocks.0.att.w1", key[0], OUT, IN);
    base_tensors[2] = row_of("blocks.0.att.x_r", vector);
    base_tensors[3] = matrix("emb.weight", other[0], OUT, IN);
    base_tensors[4] = matrix("head.weight", other[0], OUT, IN);
}

static enum rwkv7_status open_lora(const struct tensor *tensors, size_t count, double alpha, struct lora **out,
                                   struct rwkv7_error *err)
{
    if (!pth_write(temporary, tensors, count))
        exit(1);
    enum rwkv7_status status = lora_open(temporary, NULL, alpha, out, err);
    if (status == RWKV7_OK && (status = lora_check(*out, &base, err)) != RWKV7_OK) {
        lora_close(*out);
        *out = NULL;
    }
    return status;
}

static void check_refused(const struct tensor *tensors, size_t count, const char *message)
{
    struct lora *l = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(open_lora(tensors, count, 8, &l, &err) == RWKV7_ERR_MODEL && !l, "%s: accepted", message);
    CHECK_MSG(strstr(err.message, message), "got \"%s\", want \"%s\"", err.message, message);
    CHECK(strncmp(err.message, temporary, strlen(temporary)) == 0);
}

/* -------------------------------------------------------------------------------------- merging */

static void check_merged(const struct lora *l, const struct tensor *t, const float *from, double scale)
{
    struct lora_merge merge;
    float row[IN];
    const uint64_t rows = t->rank == 2 ? t->shape[0] : 1;
    CHECK(lora_begin(l, t, &merge, NULL) == RWKV7_OK);
    for (uint64_t i = 0; i < rows; i++) {
        lora_row(&merge, i, row);
        for (int j = 0; j < IN; j++) {
            double sum = 0;
            for (int k = 0; k < R; k++)
                sum += (double)factor_b[i][k] * (double)factor_a[k][j];
            const double expected = (double)from[i * IN + (uint64_t)j] + scale * sum;
            CHECK_MSG(scale == 0 ? (double)row[j] == expected : fabs((double)row[j] - expected) < 1e-5,
                      "%s [%d][%d]: got %g, want %g", t->name, (int)i, j, (double)row[j], expected);
        }
    }
    lora_end(&merge);
    lora_end(&merge);
}

static void test_merge(void)
{
    const struct tensor tensors[] = {
        matrix("blocks.0.att.key.lora_A", factor_a[0], R, IN),
        matrix("blocks.0.att.key.lora_B", factor_b[0], OUT, R),
        matrix("blocks.0.att.w1.lora_A", factor_a[0], R, IN),
        matrix("blocks.0.att.w1.lora_B", factor_b[0], OUT, R),
        row_of("blocks.0.att.x_r", vector_too),
        matrix("head.weight", changed[0], OUT, IN),
    };
    struct lora *l = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(open_lora(tensors, 6, 16, &l, &err) == RWKV7_OK, "%s", err.message);
    if (!l)
        return;
    check_merged(l, &base_tensors[0], key[0], 16.0 / (int)R);
    check_merged(l, &base_tensors[1], key[0], 16.0 / (int)R);
    check_merged(l, &base_tensors[2], vector_too, 0);
    check_merged(l, &base_tensors[3], other[0], 0);
    check_merged(l, &base_tensors[4], changed[0], 0);
    lora_close(l);
    check_merged(NULL, &base_tensors[0], key[0], 0);
}

/* ---------------------------------------------------------------------------------------- alpha */

/* Writes the factors as safetensors; metadata: a member of the header, with a comma. */
static void write_factors(const char *path, const char *metadata)
{
    char header[512], length[8];
    const int n = snprintf(header, sizeof header,
                           "{%s\"blocks.0.att.key.lora_A\":{\"dtype\":\"F32\",\"shape\":[3,7],\"data_offsets\":[0,84]},"
                           "\"blocks.0.att.key.lora_B\":{\"dtype\":\"F32\",\"shape\":[5,3],\"data_offsets\":[84,144]}}",
                           metadata);
    for (int i = 0; i < 8; i++)
        length[i] = (char)((uint64_t)n >> 8 * i);
    FILE *f = fopen(path, "wb");
    if (!f)
        exit(1);
    fwrite(length, 1, 8, f);
    fwrite(header, 1, (size_t)n, f);
    fwrite(factor_a, 1, sizeof factor_a, f);
    fwrite(factor_b, 1, sizeof factor_b, f);
    fclose(f);
}

static void check_alpha(const char *metadata, double alpha, enum rwkv7_status status, const char *message)
{
    char path[sizeof temporary + 16];
    struct lora *l = NULL;
    struct rwkv7_error err = {0};
    snprintf(path, sizeof path, "%s.safetensors", temporary);
    write_factors(path, metadata);
    CHECK_MSG(lora_open(path, NULL, alpha, &l, &err) == status, "%s", err.message);
    if (message)
        CHECK_MSG(strstr(err.message, message), "got \"%s\", want \"%s\"", err.message, message);
    else if (l)
        check_merged(l, &base_tensors[0], key[0], 2);
    lora_close(l);
    remove(path);
}

static void test_alpha(void)
{
    check_alpha("", 6, RWKV7_OK, NULL);
    check_alpha("", 0, RWKV7_ERR_USAGE, "the file does not state the alpha of its training; it must be given");
    check_alpha("", -1, RWKV7_ERR_USAGE, "expected a LoRA alpha above 0, found -1");
    check_alpha("", NAN, RWKV7_ERR_USAGE, "expected a LoRA alpha above 0, found nan");
    check_alpha("\"__metadata__\":{\"lora_alpha\":\"6\"},", 0, RWKV7_OK, NULL);
    check_alpha("\"__metadata__\":{\"lora_alpha\":\"9\"},", 6, RWKV7_OK, NULL); /* the caller's value has precedence */
    check_alpha("\"__metadata__\":{\"lora_alpha\":\"six\"},", 0, RWKV7_ERR_MODEL,
                "metadata 'lora_alpha': expected a number above 0, found 'six'");
    check_alpha("\"__metadata__\":{\"lora_alpha\":\"\"},", 0, RWKV7_ERR_MODEL, "found ''");
    check_alpha("\"__metadata__\":{\"lora_alpha\":\"0\"},", 0, RWKV7_ERR_MODEL, "found '0'");
    check_alpha("\"__metadata__\":{\"lora_alpha\":\"inf\"},", 0, RWKV7_ERR_MODEL, "found 'inf'");
}

/* ------------------------------------------------------------------------------- PEFT and PiSSA */

/* Compares every number of the first merged tensor with sums in double precision. */
static void check_sums(const struct lora *l, double scale, double first_scale)
{
    struct lora_merge merge;
    float row[IN];
    CHECK(lora_begin(l, &base_tensors[0], &merge, NULL) == RWKV7_OK);
    for (int i = 0; i < OUT; i++) {
        lora_row(&merge, (uint64_t)i, row);
        for (int j = 0; j < IN; j++) {
            double expected = (double)key[i][j];
            for (int k = 0; k < R; k++)
                expected += scale * (double)factor_b[i][k] * (double)factor_a[k][j] -
                            first_scale * (double)first_b[i][k] * (double)first_a[k][j];
            CHECK_MSG(fabs((double)row[j] - expected) < 1e-4, "[%d][%d]: got %g, want %g", i, j, (double)row[j],
                      expected);
        }
    }
    lora_end(&merge);
}

static char folder[] = "/tmp/rwkv7-peft-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[2][64];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_config(const char *text)
{
    FILE *f = fopen(in_folder("adapter_config.json"), "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        exit(1);
}

static void check_peft(const char *path, const char *init, double alpha, enum rwkv7_status status, const char *message,
                       double scale, double first_scale)
{
    struct lora *l = NULL;
    struct rwkv7_error err = {0};
    enum rwkv7_status got = lora_open(path, init, alpha, &l, &err);
    if (got == RWKV7_OK && (got = lora_check(l, &base, &err)) == RWKV7_OK)
        check_sums(l, scale, first_scale);
    CHECK_MSG(got == status, "status %d: %s", (int)got, err.message);
    CHECK_MSG(!message || strstr(err.message, message), "got \"%s\", want \"%s\"", err.message, message);
    if (l && strstr(path, ".bin")) { /* a file that is read cannot be overwritten */
        struct out_file out;
        CHECK(out_file_open(path, &out, NULL) == RWKV7_ERR_USAGE &&
              out_file_open(in_folder("adapter_config.json"), &out, NULL) == RWKV7_ERR_USAGE);
    }
    lora_close(l);
}

/* A PEFT folder: prefixes, names, and configuration. */
static void test_peft(void)
{
    static const char *const spellings[][2] = {
        {"base_model.model.blocks.0.att.key.lora_A.weight", "base_model.model.blocks.0.att.key.lora_B.weight"},
        {"base_model.model.model.blocks.0.att.key.lora_A.default.weight",
         "base_model.model.model.blocks.0.att.key.lora_B.default.weight"},
        {"model.blocks.0.att.key.lora_A", "model.blocks.0.att.key.lora_B"},
        {"blocks.0.att.key.lora_A.default", "blocks.0.att.key.lora_B.default"},
    };
    static const struct {
        const char *config, *message;
        enum rwkv7_status status;
        double scale;
    } cases[] = {
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":6,\"r\":3,\"init_lora_weights\":true}", NULL, RWKV7_OK, 2},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":6,\"use_rslora\":true,\"alpha_pattern\":{}}", NULL, RWKV7_OK,
         3.4641016151377544},
        {"{\"peft_type\":\"LORA\"}", "does not state the alpha", RWKV7_ERR_USAGE, 0},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":\"6\"}", "'lora_alpha': expected a number above 0", RWKV7_ERR_MODEL,
         0},
        {"{\"peft_type\":\"LOHA\",\"lora_alpha\":6}", "'peft_type': expected LORA, found LOHA", RWKV7_ERR_MODEL, 0},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":0}", "'lora_alpha': expected a number above 0", RWKV7_ERR_MODEL, 0},
        {"{\"lora_alpha\":6}", "'peft_type': expected LORA, found no string; other adapters are not supported",
         RWKV7_ERR_MODEL, 0},
        {"{\"peft_type\":\"LORA\",\"use_dora\":true}", "'use_dora': adapters with this option are not supported",
         RWKV7_ERR_MODEL, 0},
        {"{\"peft_type\":\"LORA\",\"fan_in_fan_out\":true}",
         "'fan_in_fan_out': adapters with this option are not supported", RWKV7_ERR_MODEL, 0},
        {"{\"peft_type\":\"LORA\",\"alpha_pattern\":{\"key\":4}}",
         "'alpha_pattern': a different alpha per module is not supported", RWKV7_ERR_MODEL, 0},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":6,\"init_lora_weights\":\"pissa_niter_4\"}",
         "'init_lora_weights': training changed the base weights first; the factors before training are needed",
         RWKV7_ERR_USAGE, 0},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":6,\"init_lora_weights\":\"loftq\"}",
         "'init_lora_weights': loftq adapters are not supported: they were trained on quantized weights",
         RWKV7_ERR_MODEL, 0},
        {"[]", "adapter_config.json", RWKV7_ERR_MODEL, 0},
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        const struct tensor t[] = {matrix(spellings[i][0], factor_a[0], R, IN),
                                   matrix(spellings[i][1], factor_b[0], OUT, R)};
        CHECK(pth_write(in_folder("adapter_model.bin"), t, 2));
        for (size_t k = 0; k < (i ? 1 : sizeof cases / sizeof cases[0]); k++) {
            write_config(cases[k].config);
            check_peft(folder, NULL, 0, cases[k].status, cases[k].message, cases[k].scale, 0);
            check_peft(in_folder("adapter_model.bin"), NULL, 0, cases[k].status, cases[k].message, cases[k].scale, 0);
        }
        write_config(cases[0].config);
        check_peft(folder, NULL, 9, RWKV7_OK, NULL, 3, 0); /* the caller's value has precedence */
        unlink(in_folder("adapter_config.json"));
        check_peft(folder, NULL, 0, RWKV7_ERR_USAGE, "does not state the alpha", 0, 0);
        check_peft(folder, NULL, 9, RWKV7_OK, NULL, 3, 0);
    }

    /* The name that PEFT uses today, alone and beside the older one; and neither. */
    write_config(cases[0].config);
    write_factors(in_folder("adapter_model.safetensors"), "");
    check_peft(folder, NULL, 0, RWKV7_OK, NULL, 2, 0);
    rename(in_folder("adapter_model.bin"), in_folder("other"));
    check_peft(folder, NULL, 0, RWKV7_OK, NULL, 2, 0);
    unlink(in_folder("adapter_model.safetensors"));
    check_peft(folder, NULL, 0, RWKV7_ERR_MODEL, "in this folder, found adapter_config.json, other", 0, 0);
    rename(in_folder("other"), in_folder("adapter_model.bin"));

    /* PEFT's PiSSA: the initial adapter in a second folder. */
    static const char pissa[] = "{\"peft_type\":\"LORA\",\"lora_alpha\":6,\"init_lora_weights\":\"pissa\"}";
    const struct tensor first[] = {matrix(spellings[0][0], first_a[0], R, IN),
                                   matrix(spellings[0][1], first_b[0], OUT, R)};
    write_config(pissa);
    CHECK(pth_write(in_folder("first.pth"), first, 2));
    check_peft(folder, in_folder("first.pth"), 0, RWKV7_OK, NULL, 2, 2);
    unlink(in_folder("first.pth"));
    unlink(in_folder("adapter_config.json"));
    unlink(in_folder("adapter_model.bin"));
}

/* RWKV-PEFT's PiSSA, as its own merge computes it: W - B0 A0 + B A. */
static void test_pissa(void)
{
    const struct tensor trained[] = {matrix("blocks.0.att.key.lora_A", factor_a[0], R, IN),
                                     matrix("blocks.0.att.key.lora_B", factor_b[0], OUT, R)};
    struct tensor first[] = {matrix("blocks.0.att.key.init_lora_A", first_a[0], R, IN),
                             matrix("blocks.0.att.key.init_lora_B", first_b[0], OUT, R),
                             matrix("blocks.0.att.w1.init_lora_A", first_a[0], R, IN),
                             matrix("blocks.0.att.w1.init_lora_B", first_b[0], OUT, R)};
    const struct tensor both[] = {trained[0], trained[1], first[0], first[1]};
    const char *const path = in_folder("rwkv-0.pth");
    char init[64];
    snprintf(init, sizeof init, "%s", in_folder("init_pissa.pth"));
    CHECK(pth_write(path, trained, 2) && pth_write(init, first, 2));
    check_peft(path, init, 0, RWKV7_OK, NULL, 1, 1);
    check_peft(path, init, 16, RWKV7_ERR_USAGE, "PiSSA adapters of RWKV-PEFT have a fixed scale; remove the alpha", 0,
               0);
    CHECK(pth_write(init, first, 4));
    check_peft(path, init, 0, RWKV7_ERR_MODEL,
               "tensor 'blocks.0.att.w1.init_lora_A': the other factor (.lora_A or .lora_B) is missing", 0, 0);
    CHECK(pth_write(init, first, 1));
    check_peft(path, init, 0, RWKV7_ERR_MODEL,
               "tensor 'blocks.0.att.key.lora_A': the other factor (.lora_A or .lora_B) is missing", 0, 0);
    CHECK(pth_write(init, first + 2, 2));
    check_peft(path, init, 0, RWKV7_ERR_MODEL,
               "tensor 'blocks.0.att.key.lora_A': the factors before training are missing", 0, 0);
    first[1] = matrix("blocks.0.att.key.init_lora_B", first_b[0], R, OUT);
    CHECK(pth_write(init, first, 2));
    check_peft(path, init, 0, RWKV7_ERR_MODEL, "'blocks.0.att.key.init_lora_B': expected shape [5,3], found [3,5]", 0,
               0);
    CHECK(pth_write(init, base_tensors, 1));
    check_peft(path, init, 0, RWKV7_ERR_MODEL,
               "expected factors before training, found no tensor whose name ends in .init_lora_A or .lora_A", 0, 0);
    CHECK(pth_write(path, both, 4)); /* both in one file */
    check_peft(path, NULL, 0, RWKV7_OK, NULL, 1, 1);
    unlink(path);
    unlink(init);
}

/* An adapter that changes only the head. */
static void test_head_alone(void)
{
    const struct tensor t[] = {matrix("base_model.model.head.lora_A.weight", factor_a[0], R, IN),
                               matrix("base_model.model.head.lora_B.weight", factor_b[0], OUT, R)};
    struct lora *l = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(open_lora(t, 2, 6, &l, &err) == RWKV7_OK, "%s", err.message);
    if (l)
        check_merged(l, &base_tensors[4], other[0], 2);
    lora_close(l);
}

/* Counters beside the factors are skipped with a note. */
static void test_skipped(void)
{
    static const uint8_t step[8];
    struct tensor t[] = {matrix("module.blocks.0.att.key.lora_A", factor_a[0], R, IN),
                         matrix("module.blocks.0.att.key.lora_B", factor_b[0], OUT, R),
                         {.name = "global_step", .type = DT_U8, .rank = 1, .shape = {8}, .data = step, .bytes = 8}};
    struct lora *l = NULL;
    CHECK(open_lora(t, 3, 6, &l, NULL) == RWKV7_OK);
    CHECK(l && lora_notes(l)->count == 1 && strstr(lora_notes(l)->lines[0], "skipped 1 empty or integer tensor"));
    lora_close(l);
}

/* ------------------------------------------------------------------------------- rejected files */

static void test_refused(void)
{
    struct tensor t[3] = {matrix("blocks.0.att.key.lora_A", factor_a[0], R, IN),
                          matrix("blocks.0.att.key.lora_B", factor_b[0], OUT, R)};
    struct lora *l = NULL;
    struct rwkv7_error err = {0};
    CHECK(lora_open("missing.pth", NULL, 1, &l, &err) == RWKV7_ERR_IO && !l);
    lora_close(NULL);

    check_refused(base_tensors, 5, "not a LoRA file: found no tensor whose name ends in .lora_A");
    check_refused(t, 1, "tensor 'blocks.0.att.key.lora_A': the other factor (.lora_A or .lora_B) is missing");
    t[0].name = "blocks.0.att.value.lora_A";
    t[1].name = "blocks.0.att.value.lora_B";
    check_refused(t, 2, "tensor 'blocks.0.att.value.lora_A': the checkpoint has no tensor of this name");
    t[0].name = "blocks.0.att.x_r.lora_A";
    t[1].name = "blocks.0.att.x_r.lora_B";
    check_refused(t, 2, "tensor 'blocks.0.att.x_r.lora_A': the checkpoint's tensor of this name is not a matrix");
    t[0] = matrix("blocks.0.att.key.lora_A", factor_a[0], IN, R);
    t[1] = matrix("blocks.0.att.key.lora_B", factor_b[0], OUT, R);
    check_refused(t, 2, "tensor 'blocks.0.att.key.lora_A': expected shape [7,7], found [7,3]");
    t[0] = matrix("blocks.0.att.key.lora_A", factor_a[0], R - 1, IN);
    check_refused(t, 2, "tensor 'blocks.0.att.key.lora_B': expected shape [5,2], found [5,3]");
    t[0] = matrix("blocks.0.att.key.lora_A", factor_a[0], 0, IN);
    check_refused(t, 2, "tensor 'blocks.0.att.key.lora_A': expected shape [1,7], found [0,7]");
    t[0] = matrix("blocks.0.att.key.lora_A", factor_a[0], R, IN);

    t[2] = matrix("blocks.0.att.key.weight", key[0], OUT, IN);
    check_refused(
        t, 3, "tensor 'blocks.0.att.key.lora_A': the file contains both a factor and a replacement of the same tensor");
    t[2] = matrix("blocks.0.att.nothing", key[0], OUT, IN);
    check_refused(t, 3, "tensor 'blocks.0.att.nothing': the checkpoint has no tensor of this name");
    t[2] = matrix("blocks.0.att.key.bone", key[0], OUT, IN);
    check_refused(t, 3, "tensor 'blocks.0.att.key.bone': Bone (DiSHA) adapters are not supported");
    t[2] = matrix("blocks.0.att.key.lora_magnitude_vector", key[0], OUT, 1);
    check_refused(t, 3, "tensor 'blocks.0.att.key.lora_magnitude_vector': DoRA adapters are not supported");
    t[2] = matrix("blocks.0.att.key.lora_A.weight", factor_a[0], R, IN);
    check_refused(t, 3,
                  "tensor 'blocks.0.att.key.lora_A.weight': duplicate of "
                  "'blocks.0.att.key.lora_A'");
    t[2] = matrix("blocks.0.att.key.weight.lora_B", factor_b[0], OUT, R);
    check_refused(t, 3,
                  "tensor 'blocks.0.att.key.weight.lora_B': duplicate of "
                  "'blocks.0.att.key.lora_B'");
    t[2] = matrix("emb.weight", key[0], IN, OUT);
    check_refused(t, 3, "tensor 'emb.weight': expected shape [5,7], found [7,5]");
    t[2] = row_of("emb.weight", vector);
    check_refused(t, 3, "tensor 'emb.weight': expected shape [5,7], found [1,1,7]");
    t[2] = matrix("emb.weight", key[0], OUT, IN);
    t[2].type = DT_U8;
    t[2].bytes = OUT * IN;
    check_refused(t, 3, "tensor 'emb.weight': expected type F32, F16 or BF16");
    t[2].type = DT_F32;
    t[2].bytes = sizeof key;
    base_tensors[3].type = DT_PACKED;
    check_refused(t, 3, "tensor 'emb.weight': the checkpoint's tensor is already quantized; convert from the original");
    base_tensors[3].type = DT_F32;
}

/* Makes each allocation fail in turn, until all succeed. The sanitizer build finds leaks. */
static void test_out_of_memory(void)
{
    const struct tensor t[] = {matrix("blocks.0.att.key.lora_A", factor_a[0], R, IN),
                               matrix("blocks.0.att.key.lora_B", factor_b[0], OUT, R)};
    enum rwkv7_status status = RWKV7_ERR_MEMORY;
    long n = 0;
    CHECK(pth_write(temporary, t, 2));
    for (; n < 100 && status == RWKV7_ERR_MEMORY; n++) {
        struct lora_merge merge = {0};
        struct lora *l = NULL;
        mem_fail_after(n);
        if ((status = lora_open(temporary, NULL, 8, &l, NULL)) == RWKV7_OK &&
            (status = lora_check(l, &base, NULL)) == RWKV7_OK)
            status = lora_begin(l, &base_tensors[0], &merge, NULL);
        mem_fail_after(-1);
        CHECK((status == RWKV7_OK) == (merge.a != NULL));
        lora_end(&merge);
        lora_close(l);
    }
    CHECK_MSG(status == RWKV7_OK && n > 10, "status %d, allocation %ld", (int)status, n);
}

/* ----------------------------------------------------------------------------------- converting */

static struct rwkv7_runtime *runtime;

static void evaluate(const char *path, enum rwkv7_weights weights, float logits[300])
{
    static const uint32_t tokens[] = {1, 7, 42, 299, 0, 7};
    const struct rwkv7_model_options options = {.weights = weights};
    struct rwkv7_model *model = NULL;
    struct rwkv7_session *s = NULL;
    struct rwkv7_error err = {0};
    CHECK_MSG(rwkv7_model_open(runtime, path, &options, &model, &err) == RWKV7_OK, "%s", err.message);
    CHECK(model && rwkv7_session_create(model, &s, NULL) == RWKV7_OK);
    CHECK(s && rwkv7_session_eval(s, tokens, 6, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK);
    rwkv7_session_close(s);
    rwkv7_model_close(model);
}

/*
 * With rank 1 there is one sum per number, so merging during conversion gives the bits of merging
 * before.
 */
static void test_convert(void)
{
    static const char model[] = TEST_DIR "/golden/data/f32_n16.safetensors";
    static const char *const changed_names[] = {"blocks.0.att.key", "blocks.2.att.w1", "blocks.3.ffn.value"};
    static const char *const replaced_names[] = {"blocks.1.att.x_r", "head.weight"};
    static float a[3][256], b[3][256], replaced[2][300 * 48], logits[2][300], original[300];
    struct rwkv7_convert_options options = {.type = NULL, .lora = temporary, .lora_alpha = 0.5};
    struct tensor_index *index = NULL;
    struct tensor merged[160], lora[8];
    char names[6][64], target[sizeof temporary + 16];
    float *copies[3] = {NULL, NULL, NULL};
    struct rwkv7_error err = {0};
    const struct rwkv7_runtime_options two = {.threads = 2};
    snprintf(target, sizeof target, "%s.converted", temporary);
    if (rwkv7_runtime_create(&two, &runtime, NULL) != RWKV7_OK || tensors_open(model, &index, NULL) != RWKV7_OK ||
        index->count > sizeof merged / sizeof *merged)
        exit(1);
    memcpy(merged, index->tensors, index->count * sizeof *merged);
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof *names, "%s.lora_A", changed_names[i]);
        snprintf(names[3 + i], sizeof *names, "%s.lora_B", changed_names[i]);
        snprintf(target, sizeof target, "%s.weight", changed_names[i]);
        const struct tensor *t = tensors_find(index, target);
        t = t ? t : tensors_find(index, changed_names[i]);
        if (!t || t->shape[0] > 256 || t->shape[1] > 256)
            exit(1);
        fill(a[i], 256, (uint64_t)(10 + i));
        fill(b[i], 256, (uint64_t)(20 + i));
        lora[i] = matrix(names[i], a[i], 1, t->shape[1]);
        lora[3 + i] = matrix(names[3 + i], b[i], t->shape[0], 1);
        copies[i] = malloc((size_t)t->bytes);
        if (!copies[i])
            exit(1);
        memcpy(copies[i], t->data, (size_t)t->bytes);
        for (uint64_t k = 0; k < t->shape[0] * t->shape[1]; k++)
            copies[i][k] += b[i][k / t->shape[1]] * (a[i][k % t->shape[1]] * 0.5f);
        merged[t - index->tensors].data = (const uint8_t *)copies[i];
    }
    for (int i = 0; i < 2; i++) {
        const struct tensor *t = tensors_find(index, replaced_names[i]);
        if (!t || t->bytes > sizeof *replaced)
            exit(1);
        fill(replaced[i], (size_t)t->bytes / 4, (uint64_t)(30 + i));
        lora[6 + i] = *t;
        lora[6 + i].data = merged[t - index->tensors].data = (const uint8_t *)replaced[i];
    }

    snprintf(target, sizeof target, "%s.converted", temporary);
    for (int type = RWKV7_WEIGHTS_STORED; type < RWKV7_WEIGHTS_COUNT; type++) {
        const enum rwkv7_weights weights = (enum rwkv7_weights)type;
        options.type = weights == RWKV7_WEIGHTS_STORED
                           ? NULL
                           : rwkv7_type_name((enum rwkv7_type)((int)RWKV7_Q8 + type - RWKV7_WEIGHTS_Q8));
        CHECK(pth_write(temporary, merged, index->count));
        evaluate(temporary, weights, logits[0]);
        CHECK(pth_write(temporary, lora, 8));
        CHECK_MSG(rwkv7_convert(runtime, model, target, &options, &err) == RWKV7_OK, "%s", err.message);
        evaluate(target, RWKV7_WEIGHTS_STORED, logits[1]);
        evaluate(model, weights, original);
        CHECK(memcmp(logits[0], logits[1], sizeof *logits) == 0);
        CHECK(memcmp(logits[0], original, sizeof original) != 0);
    }
    CHECK(rwkv7_convert(runtime, model, temporary, &options, &err) == RWKV7_ERR_USAGE);
    CHECK(strstr(err.message, "refusing to overwrite an input file"));
    lora[0].shape[1]--;
    lora[0].bytes -= 4;
    CHECK(pth_write(temporary, lora, 8));
    CHECK(rwkv7_convert(runtime, model, target, &options, &err) == RWKV7_ERR_MODEL);
    CHECK_MSG(strstr(err.message, "tensor 'blocks.0.att.key.lora_A': expected shape [1,48], found [1,47]"), "%s",
              err.message);
    remove(target);
    for (int i = 0; i < 3; i++)
        free(copies[i]);
    tensors_close(index);
    rwkv7_runtime_close(runtime);
}

int main(void)
{
    const int fd = mkstemp(temporary);
    if (fd < 0 || close(fd) != 0)
        return 1;
    if (!mkdtemp(folder))
        return 1;
    make_base();
    RUN(test_merge);
    RUN(test_alpha);
    RUN(test_peft);
    RUN(test_pissa);
    RUN(test_head_alone);
    RUN(test_skipped);
    RUN(test_refused);
    RUN(test_out_of_memory);
    RUN(test_convert);
    remove(temporary);
    CHECK(rmdir(folder) == 0);
    return test_end();
}
