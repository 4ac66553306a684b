/*
 * gemm_blas.c - GEMM through OpenBLAS (--math blas): panels of rows are widened to float32 and
 * multiplied by sgemm. Its order of additions depends on the library and the CPU, so it is used
 * only on request. Each thread of the pool makes its own calls for its own rows; OpenBLAS itself
 * must not start threads.
 *
 * kernels_use_blas loads the library at run time. A program linked with it would load it and start
 * a thread per core at every start, and would hang if the limit on the address space (ulimit -v) is
 * too low.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/fork_lock.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "kernels/kernels.h"

/* Tried in this order. The dynamic linker searches its directories for names without a slash. */
static const char *const library_names[] = {
#if defined(__APPLE__)
    "libopenblas.0.dylib",
    /* Homebrew, on Arm and on Intel. */
    "/opt/homebrew/opt/openblas/lib/libopenblas.0.dylib",
    "/usr/local/opt/openblas/lib/libopenblas.0.dylib",
#else
    "libopenblasp.so.0", /* Fedora: the thread-safe build */
    "libopenblas.so.0",
#endif
};

/*
 * Address space that OpenBLAS needs: its code and data, one buffer when it is loaded, and one
 * buffer per calling thread. The buffer size is that of builds for desktops and servers, up to
 * 0.3.30. If OpenBLAS cannot allocate a buffer, it retries forever.
 */
#define BUFFER_BYTES (((size_t)128 << 20) + 4096)
#define LIBRARY_BYTES ((size_t)64 << 20)

/*
 * Copied from cblas.h, which may not be installed. In libraries of these names, enums and blasint
 * are int.
 */
#define CBLAS_ROW_MAJOR 101
#define CBLAS_NO_TRANS 111
#define CBLAS_TRANS 112
typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);
/* OpenBLAS only; another BLAS may be installed under its name. */
typedef void set_num_threads_fn(int threads);
typedef char *get_config_fn(void);

static _Atomic(sgemm_fn *) sgemm; /* set by kernels_use_blas; shared by all tables */

static const struct kernels *widening(void)
{
    static _Thread_local struct kernels k;
    if (!k.name)
        kernels_init(&k, "ref"); /* any tier will do, as widening is exact */
    return &k;
}

static void gemm_blas(float *y, size_t ldy, const struct mat *w, const float *x, size_t ldx, int tokens, int begin,
                      int end, const struct tuning *tuning, float *scratch)
{
    (void)tuning; /* unused: panels of a fixed size, so that results do not depend on cache sizes */
    const size_t element = w->type == MAT_F32 ? 4 : 2, row = (size_t)w->cols * element;
    const int max_rows = w->type == MAT_F32 ? end - begin : gemm_panel_rows(w->cols, GEMM_PANEL_FLOATS);
    sgemm_fn *const multiply = sgemm;
    for (int p = begin, rows; p < end; p += rows) {
        rows = end - p < max_rows ? end - p : max_rows;
        const char *from = (const char *)w->data + (size_t)p * row;
        const float *panel = (const float *)(const void *)from;
        if (w->type != MAT_F32) {
            for (int r = 0; r < rows; r++)
                widening()->widen[w->type](scratch + (size_t)r * (size_t)w->cols, from + (size_t)r * row, w->cols);
            panel = scratch;
        }
        multiply(CBLAS_ROW_MAJOR, CBLAS_NO_TRANS, CBLAS_TRANS, tokens, rows, w->cols, 1.0f, x, (int)ldx, panel, w->cols,
                 0.0f, y + p, (int)ldy);
    }
}

/* Only the answer true is cached: OpenBLAS keeps the buffers that it has allocated. */
bool kernels_blas_fits(int threads)
{
    static _Atomic(bool) fits;
    if (!fits)
        fits = sys_address_space((size_t)threads * BUFFER_BYTES);
    return fits;
}

/*
 * Stores the address of a function of the library in *function, a pointer to a function pointer.
 * Returns false if the library has no such function.
 */
static bool find_function(void *library, const char *name, void *function)
{
    void *const address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

#define THREADS_VARIABLE "OPENBLAS_NUM_THREADS"

/* Opens the first available library. flags: additional flags for dlopen. */
static void *open_first(int flags, const char **reason)
{
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof library_names / sizeof *library_names; i++) {
        library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL | flags);
        if (!library)
            *reason = dlerror();
    }
    return library;
}

/*
 * Loads the library. OpenBLAS starts a thread per core while it is loaded, unless
 * OPENBLAS_NUM_THREADS says otherwise. The environment belongs to the calling program, so the
 * variable is set only during the load, and not at all if the library is already loaded.
 */
static enum rwkv7_status load(void **library, const char **reason, struct rwkv7_error *err)
{
    *library = open_first(RTLD_NOLOAD, reason);
    if (*library)
        return RWKV7_OK;
    const char *const text = getenv(THREADS_VARIABLE);
    char *const saved = text ? mem_string(text, strlen(text)) : NULL;
    if ((text && !saved) || setenv(THREADS_VARIABLE, "1", 1) != 0) {
        mem_free(saved);
        return fail_memory(err, "the environment of OpenBLAS");
    }
    *library = open_first(0, reason);
    if (saved)
        setenv(THREADS_VARIABLE, saved, 1);
    else
        unsetenv(THREADS_VARIABLE);
    mem_free(saved);
    return RWKV7_OK;
}

/*
 * Loads OpenBLAS and looks up its functions. It is never unloaded, because threads may be running
 * in it.
 */
static enum rwkv7_status open_library(struct rwkv7_error *err)
{
    void *library = NULL;
    const char *reason = NULL;
    sgemm_fn *multiply;
    set_num_threads_fn *set_num_threads;
    get_config_fn *get_config;
    if (!sys_address_space(LIBRARY_BYTES + BUFFER_BYTES))
        return fail_memory(err, "OpenBLAS: the address space of this process is limited");
    const enum rwkv7_status status = load(&library, &reason, err);
    if (status != RWKV7_OK)
        return status;
    if (!library)
        return fail(
            err, RWKV7_ERR_USAGE,
            "cannot load OpenBLAS for math blas: %s (package libopenblas0 on Debian and Ubuntu, openblas elsewhere)",
            reason);
    if (!find_function(library, "cblas_sgemm", &multiply))
        return fail(err, RWKV7_ERR_USAGE, "cannot use OpenBLAS: the library has no function cblas_sgemm");
    if (find_function(library, "openblas_get_config", &get_config) && strstr(get_config(), "USE64BITINT"))
        return fail(err, RWKV7_ERR_USAGE, "cannot use OpenBLAS: built with 64-bit integers, expected 32-bit");
    if (find_function(library, "openblas_set_num_threads", &set_num_threads))
        set_num_threads(1);
    sgemm = multiply;
    return RWKV7_OK;
}

enum rwkv7_status kernels_use_blas(struct kernels *k, struct rwkv7_error *err)
{
    static struct fork_lock opening = FORK_LOCK_INIT;
    fork_lock_take(&opening);
    const enum rwkv7_status status = sgemm ? RWKV7_OK : open_library(err);
    fork_lock_give(&opening);
    for (int type = 0; status == RWKV7_OK && type < MAT_FLOATS; type++) {
        k->gemm[type] = gemm_blas;
        k->few_tokens[type] = FEW_TOKENS;
    }
    return status;
}
