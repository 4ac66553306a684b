/* tuning.c - derives tuning constants from cache sizes; tuning.h explains each. */
#include "kernels/tuning.h"

enum {
    SCAN_STEP = 48,              /* tokens; a multiple of 3, 4, 6 and 16 */
    SCAN_FLOATS = 4 * (64 + 16), /* per token: four products of a head, rounded up to tiles */
    PART_LEAST = 64 << 10,       /* bytes */
    PART_MOST = 128 << 10,       /* bytes */
    BLOCK_LEAST = 8,             /* vectors of 16 columns */
    BLOCK_MOST = 64,             /* vectors of 16 columns: a 4 KB page of each token */
    PANEL_LEAST = 16 * 1024,     /* floats: 16 rows (the smallest panel) of 1024 columns */
};

static size_t clamp(size_t n, size_t low, size_t high)
{
    return n < low ? low : n > high ? high : n;
}

void tuning_derive(struct tuning *out, const struct caches *caches)
{
    out->l1 = caches->l1;
    out->last_cache = caches->l3 > caches->l2 ? caches->l3 : caches->l2;
    out->near = PREFETCH_NEAR;
    out->far = PREFETCH_FAR;
    out->gemm_panel = (int)clamp(caches->l2 / 8 * 3 / sizeof(float), PANEL_LEAST, GEMM_PANEL_FLOATS);
    out->part_floats = (int)(clamp(caches->l2 / 16, PART_LEAST, PART_MOST) / sizeof(float));
    out->scan_tokens =
        (int)clamp(caches->l2 / 8 / (SCAN_FLOATS * sizeof(float)) / SCAN_STEP * SCAN_STEP, SCAN_STEP, 2 * SCAN_STEP);
}

int tuning_gemm_block(const struct tuning *tuning, int lines, int total)
{
    const size_t fits = tuning->l1 / (64 * (size_t)lines);
    const int limit = (int)clamp(fits - fits / 8, BLOCK_LEAST, BLOCK_MOST);
    if ((size_t)total <= fits || total <= limit)
        return total;
    const int blocks = (total + limit - 1) / limit;
    return (total + blocks - 1) / blocks;
}
