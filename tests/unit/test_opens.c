/*
 * test_opens.c - the table of docs/MODELS.md, cell by cell. A model of each version, in each of
 * its forms, opens and gives the logits of the original, bit for bit. Versions without a form have
 * no names in it. The page contains the same table.
 *
 * test_golden checks the originals in tests/golden.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "gguf_writer.h"
#include "pth_writer.h"
#include "same.h"

enum form { PTH, SAFETENSORS, ST, OLDER, FLA, GGUF, FORMS };
static const int naming_of[FORMS] = {NAMING_BLINKDL, NAMING_BLINKDL, NAMING_BLINKDL,
                                     NAMING_HF,      NAMING_FLA,     NAMING_GGUF};

static const struct {
    const struct arch *arch;
    const char *golden;
    bool opens[FORMS];
} rows[] = {
    {&arch_x070,
     GOLDEN("bf16_n64"),
     {[PTH] = true, [SAFETENSORS] = true, [ST] = true, [OLDER] = true, [FLA] = true, [GGUF] = true}},
    {&arch_x070a, GOLDEN("f16_deep"), {[PTH] = true, [SAFETENSORS] = true, [ST] = true}},
    {&arch_x060,
     GOLDEN("x060_bf16"),
     {[PTH] = true, [SAFETENSORS] = true, [ST] = true, [OLDER] = true, [FLA] = true, [GGUF] = true}},
    {&arch_x052, GOLDEN("x052_f32"), {[PTH] = true, [SAFETENSORS] = true, [ST] = true, [OLDER] = true}},
    {&arch_x051, GOLDEN("x051_bf16"), {[PTH] = true, [SAFETENSORS] = true, [ST] = true}},
    {&arch_x050, GOLDEN("x050_f32"), {[PTH] = true, [SAFETENSORS] = true}},
    {&arch_x040, GOLDEN("x040_f32"), {[PTH] = true, [SAFETENSORS] = true, [ST] = true, [OLDER] = true}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/*
 * Whether it is a low-rank factor, whose last two axes are exchanged in some forms; those of
 * DeepEmbed are the same in all.
 */
static bool is_factor(const char *blinkdl)
{
    static const char *const ends[] = {"att.w1", "att.w2", "att.a1", "att.a2", "att.v1",   "att.v2",
                                       "att.g1", "att.g2", "maa_w1", "maa_w2", "decay_w1", "decay_w2"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends_with(blinkdl, ends[i]))
            return true;
    return false;
}

static void exchange_axes(struct tensor *t)
{
    const size_t rows_count = (size_t)t->shape[t->rank - 2], cols = (size_t)t->shape[t->rank - 1];
    const size_t element = dtype_bits(t->type) / 8, parts = (size_t)t->bytes / element / (rows_count * cols);
    uint8_t *to = variant_memory(&v, (size_t)t->bytes);
    for (size_t part = 0; part < parts; part++)
        for (size_t r = 0; r < rows_count; r++)
            for (size_t c = 0; c < cols; c++)
                memcpy(to + (part * rows_count * cols + c * rows_count + r) * element,
                       t->data + (part * rows_count * cols + r * cols + c) * element, element);
    t->data = to;
    t->shape[t->rank - 2] = cols;
    t->shape[t->rank - 1] = rows_count;
}

/*
 * Returns alternative `number` of the names "a|b#2/5|c" of a weight, without the part after '#';
 * false if there are fewer.
 */
static bool name_at(const char *names, int number, char *out, size_t room)
{
    for (; number > 0; number--) {
        names = strchr(names, '|');
        if (!names)
            return false;
        names++;
    }
    snprintf(out, room, "%.*s", (int)strcspn(names, "|#"), names);
    return true;
}

/* Renames the tensors to another naming scheme. Tensors without a name in it are dropped. */
static void respell(const struct weight_table *table, const struct rwkv7_shape *shape, enum naming to)
{
    static struct tensor found[VARIANT_TENSORS];
    static char names[VARIANT_TENSORS][VARIANT_NAME];
    struct weight w = WEIGHT_BEFORE_FIRST;
    size_t count = 0;
    while (weight_next(table, shape, &w)) {
        const char *const *const all[] = {&w.spec->blinkdl, &w.spec->fla, &w.spec->hf, &w.spec->gguf};
        const char *spelled = *all[to];
        char blinkdl[100], other[100], full[VARIANT_NAME];
        for (int i = 0; name_at(w.spec->blinkdl, i, blinkdl, sizeof blinkdl); i++)
            for (size_t t = 0; t < v.count; t++) {
                if (w.layer < 0)
                    snprintf(full, sizeof full, "%s", blinkdl);
                else
                    snprintf(full, sizeof full, "blocks.%d.%s", w.layer, blinkdl);
                if (strcmp(v.tensors[t].name, full) != 0)
                    continue;
                /* Prefers a spelling that is a whole tensor to one that is a part of a tensor (`#`). */
                while (strcspn(spelled, "#") < strcspn(spelled, "|") && strchr(spelled, '|'))
                    spelled = strchr(spelled, '|') + 1;
                name_at(spelled, 0, other, sizeof other);
                if (w.layer < 0)
                    snprintf(names[count], VARIANT_NAME, "%s", other);
                else
                    snprintf(names[count], VARIANT_NAME, "%s%d.%s", table->layer_prefix[to], w.layer, other);
                bool known = false; /* a part of a tensor that was already added */
                for (size_t k = 0; k < count; k++)
                    known = known || strcmp(names[k], names[count]) == 0;
                found[count] = v.tensors[t];
                if ((to == NAMING_FLA || to == NAMING_GGUF) && is_factor(full))
                    exchange_axes(&found[count]);
                count += !known;
            }
    }
    v.count = count;
    for (size_t i = 0; i < count; i++) {
        v.tensors[i] = found[i];
        variant_rename(&v, &v.tensors[i], "%s", names[i]);
    }
}

/*
 * The form of the converters of web-rwkv and ai00: maa is called mix, the bonus first, and 5.1 has
 * N copies per head.
 */
static void make_st(const struct rwkv7_shape *shape)
{
    for (size_t i = 0; i < v.count; i++) {
        struct tensor *t = &v.tensors[i];
        char *at;
        if (is_factor(t->name))
            exchange_axes(t);
        const size_t element = dtype_bits(t->type) / 8, n = (size_t)shape->head_size;
        if (t->bytes == (uint64_t)shape->heads * element &&
            (ends_with(t->name, "att.time_decay") || ends_with(t->name, "att.time_faaaa"))) {
            uint8_t *to = variant_memory(&v, (size_t)t->bytes * n);
            for (size_t k = 0; k < (size_t)shape->heads * n; k++)
                memcpy(to + k * element, t->data + k / n * element, element);
            t->data = to;
            t->bytes *= n;
            t->rank = 2;
            t->shape[0] = (uint64_t)shape->heads;
            t->shape[1] = n;
        }
        if ((at = strstr(v.names[i], "time_maa")))
            memcpy(at, "time_mix", 8);
        if ((at = strstr(v.names[i], "time_faaaa")))
            memcpy(at, "time_first", 10);
    }
}

/* Writes the golden model of a row in a form; returns the path. */
static const char *write_form(size_t row, enum form form, const struct rwkv7_shape *shape)
{
    static const struct gguf_value rwkv6[] = {{.key = "general.architecture", .string = "rwkv6"}};
    static char path[128];
    snprintf(path, sizeof path, "%s",
             in_folder(form == PTH    ? "model.pth"
                       : form == ST   ? "model.st"
                       : form == GGUF ? "model.gguf"
                                      : "model.safetensors"));
    const struct arch *arch = rows[row].arch;
    variant_open(&v, rows[row].golden);
    if (form == ST)
        make_st(shape);
    if (form == GGUF && arch == &arch_x070) {
        CHECK(gguf_write_model(path, v.index, NULL, 0));
    } else {
        if (form >= OLDER)
            respell(arch->weights, shape, (enum naming)naming_of[form]);
        if (form == PTH)
            CHECK(pth_write(path, v.tensors, v.count));
        else if (form == GGUF)
            CHECK(gguf_write(path, rwkv6, 1, v.tensors, v.count));
        else
            variant_write(&v, path);
    }
    variant_close(&v);
    return path;
}

/* fla's RWKV-6 orders its branches differently, so it has its own golden model. */
static bool has_own_golden(size_t row, enum form form)
{
    return form == FLA && rows[row].arch == &arch_x060;
}

static void test_cells(void)
{
    static const char *const containers[FORMS] = {"PyTorch",     "safetensors", "safetensors",
                                                  "safetensors", "safetensors", "GGUF"};
    for (size_t row = 0; row < ROWS; row++) {
        struct rwkv7_model *original = open_model(rows[row].golden);
        const struct rwkv7_shape shape = rwkv7_model_info(original)->shape;
        CHECK_STR(rwkv7_model_info(original)->version, rows[row].arch->version);
        rwkv7_model_close(original);
        for (enum form form = PTH; form < FORMS; form++) {
            const bool has_names = rows[row].arch->weights->layer_prefix[naming_of[form]] != NULL;
            CHECK_MSG(form < OLDER || has_names == rows[row].opens[form], "%s, form %d", rows[row].golden, (int)form);
            if (!rows[row].opens[form])
                continue;
            const bool own = has_own_golden(row, form);
            const char *path = own ? GOLDEN("x060_f16_fla") : write_form(row, form, &shape);
            struct rwkv7_model *model = own ? open_model(path) : open_same(path, rows[row].golden);
            CHECK_STR(rwkv7_model_info(model)->container, containers[form]);
            CHECK(rwkv7_model_info(model)->shape.arch == (form == ST && rows[row].arch == &arch_x051
                                                              ? RWKV7_ARCH_X052 /* .st files make it a 5.2 */
                                                              : rows[row].arch->id));
            rwkv7_model_close(model);
            if (!own)
                unlink(path);
        }
    }
}

/* Compares the rows with docs/MODELS.md. */
static void test_page(void)
{
    static char text[1 << 17];
    FILE *f = fopen(TEST_DIR "/../docs/MODELS.md", "r");
    text[f ? fread(text, 1, sizeof text - 1, f) : 0] = '\0';
    if (f)
        fclose(f);
    for (size_t row = 0; row < ROWS; row++) {
        char line[200];
        size_t n = (size_t)snprintf(line, sizeof line, "\n| %s |", rows[row].arch->weights->model);
        for (enum form form = PTH; form < FORMS; form++)
            n += (size_t)snprintf(line + n, sizeof line - n, rows[row].opens[form] ? " yes |" : " - |");
        CHECK_MSG(strstr(text, line), "docs/MODELS.md lacks:%s", line);
    }
    for (int i = 0; arch_at(i); i++) {
        bool known = false;
        for (size_t row = 0; row < ROWS; row++)
            known = known || rows[row].arch == arch_at(i);
        CHECK_MSG(known, "%s has no row", arch_at(i)->version);
    }
}

int main(void)
{
    if (!same_begin())
        return 1;
    RUN(test_cells);
    RUN(test_page);
    return same_end();
}
