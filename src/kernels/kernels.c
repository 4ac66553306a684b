/*
 * kernels.c - builds the function table. It starts with the reference; then each tier that this
 * machine supports overrides the kernels that it computes faster.
 */
#include "kernels/kernels.h"

#include <string.h>

#include "kernels/cpu.h"
#include "kernels/quants.h"

/*
 * The tiers, from slowest to fastest. kernels_init skips those that the CPU lacks. Each replaces
 * some kernels of the ones before it.
 */
static const struct {
    const char *name;
    unsigned needs;
    void (*init)(struct kernels *k);
} tiers[] = {
    {"ref", 0, kernels_init_ref},
#if defined(__x86_64__)
    {"avx2", CPU_AVX2, kernels_init_avx2},
    {"avxvnni", CPU_AVXVNNI, kernels_init_avxvnni},
    {"avx512", CPU_AVX512, kernels_init_avx512},
    {"avx512vnni", CPU_AVX512VNNI, kernels_init_avx512vnni},
    {"amx", CPU_AMX, kernels_init_amx},
#elif defined(__aarch64__)
    {"neon", CPU_NEON, kernels_init_neon},
    {"dotprod", CPU_DOTPROD, kernels_init_dotprod},
    {"i8mm", CPU_I8MM, kernels_init_i8mm},
#endif
};
_Static_assert(GEMM_MAX_PANEL * 16 * (GEMM_SLAB + GEMM_SLAB_TOKENS) <= GEMM_PANEL_FLOATS,
               "the scratch memory suffices for slabs");
#define TIER_COUNT ((int)(sizeof tiers / sizeof tiers[0]))

static size_t padded_cols(int cols)
{
    return ((size_t)cols + 15) / 16 * 16;
}

int gemm_panel_rows(int cols, int floats)
{
    int rows = GEMM_MAX_PANEL;
    while (rows > 2 * GEMM_ROW_STEP && (size_t)rows * padded_cols(cols) > (size_t)floats)
        rows -= GEMM_ROW_STEP;
    return rows;
}

struct gemm_plan gemm_plan(const struct tuning *tuning, int cols, int lines)
{
    const int vectors = (int)(padded_cols(cols) / 16), block = tuning_gemm_block(tuning, lines, cols / 16);
    const int slab = block < GEMM_SLAB ? block : GEMM_SLAB;
    const int whole = gemm_panel_rows(cols, tuning->gemm_panel),
              divided = gemm_panel_rows(GEMM_SLAB * 16, tuning->gemm_panel / 3 * 2);
    if (whole >= GEMM_WHOLE_ROWS || whole >= divided || vectors <= slab)
        return (struct gemm_plan){.rows = whole, .slab = vectors, .block = block};
    return (struct gemm_plan){.rows = divided, .slab = slab, .tokens = GEMM_SLAB_TOKENS, .block = slab};
}

size_t gemm_scratch(int cols)
{
    const size_t rows = (size_t)gemm_panel_rows(cols, GEMM_PANEL_FLOATS);
    const size_t floats = rows * (padded_cols(cols) + GEMM_MAX_TOKENS * 16);
    return floats > GEMM_PANEL_FLOATS ? floats : GEMM_PANEL_FLOATS;
}

size_t quant_scratch(int cols)
{
    return QUANT_PANEL * (size_t)quant_cols(cols) + QUANT_REST;
}

const char *kernels_supported(int index)
{
    const unsigned features = cpu_features();
    for (int i = 0; i < TIER_COUNT; i++)
        if ((tiers[i].needs & ~features) == 0 && index-- == 0)
            return tiers[i].name;
    return NULL;
}

bool kernels_init(struct kernels *k, const char *cpu)
{
    const unsigned features = cpu_features();
    const bool widest = !cpu || !*cpu;
    bool found = widest;
    struct caches caches;
    caches_read(&caches);
    memset(k, 0, sizeof *k);
    tuning_derive(&k->tuning, &caches);
    for (int i = 0; i < TIER_COUNT; i++) {
        if (tiers[i].needs & ~features)
            continue;
        tiers[i].init(k);
        k->name = tiers[i].name;
        if (!widest && strcmp(cpu, tiers[i].name) == 0) {
            found = true;
            break;
        }
    }
    return found;
}

bool kernels_use_fast(struct kernels *k)
{
#if defined(__x86_64__)
    if (strcmp(k->name, "amx") == 0) {
        kernels_init_amx_bf16(k);
        return true;
    }
#else
    (void)k;
#endif
    return false;
}
