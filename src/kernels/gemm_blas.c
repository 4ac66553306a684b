/*
 * gemm_blas.c - many-token products through OpenBLAS: panels of rows are widened to float32 and multiplied by sgemm. Its sums
 * have an order of their own, which depends on the library and the CPU, so this is used only where it was asked for. Each of
 * our threads makes its own calls for its own rows; OpenBLAS itself must not start threads.
 */
#include <cblas.h>
#include <string.h>

#include "base/sys.h"
#include "kernels/kernels.h"

/* That OpenBLAS takes for each thread, as built for desktops and servers. */
#define BUFFER_BYTES (((size_t)128 << 20) + 4096)

static const struct kernels *widening(void)
{
    static _Thread_local struct kernels k;
    if (!k.name)
        kernels_init(&k, "ref"); /* within any tier that was asked for */
    return &k;
}

static void gemm_blas(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                      int end, const struct tuning *tuning, float *scratch)
{
    (void)
        tuning; /* OpenBLAS has its own; with fixed panels its results are the same on machines that differ in caches alone */
    const size_t element = w->type == MAT_F32 ? 4 : 2, row = (size_t)w->cols * element;
    const int most = w->type == MAT_F32 ? end - begin : gemm_panel_rows(w->cols, GEMM_PANEL_FLOATS);
    for (int p = begin, rows; p < end; p += rows) {
        rows = end - p < most ? end - p : most;
        const char *from = (const char *)w->data + (size_t)p * row;
        const float *panel = (const float *)(const void *)from;
        if (w->type != MAT_F32) {
            for (int r = 0; r < rows; r++)
                widening()->widen[w->type](scratch + (size_t)r * (size_t)w->cols, from + (size_t)r * row, w->cols);
            panel = scratch;
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, tokens, rows, w->cols, 1.0f, x, (int)ldx, panel, w->cols,
                    0.0f, y + p, (int)ldy);
    }
}

/* Once it has the memory, it keeps it. */
bool kernels_blas_fits(int threads)
{
    static _Atomic(bool) fits;
    if (!fits)
        fits = sys_address_space((size_t)threads * BUFFER_BYTES);
    return fits;
}

void kernels_use_blas(struct kernels *k)
{
#if defined(HAVE_OPENBLAS_SET_NUM_THREADS)
    openblas_set_num_threads(1);
#endif
    for (int type = 0; type < MAT_FLOATS; type++)
        k->gemm[type] = gemm_blas;
}
