/*
 * gemm_blas.c - many-token products through OpenBLAS: panels of rows are widened to float32 and multiplied by sgemm. Its sums
 * have an order of their own, which depends on the library and the CPU, so this is used only where it was asked for. Each of
 * our threads makes its own calls for its own rows; OpenBLAS itself must not start threads.
 *
 * The library is opened at run time, by kernels_use_blas. Linked, it would be loaded by every start of the program, which makes
 * starting slower, starts a thread per core, and never ends where the limit on memory (ulimit -v) is small.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/fork_lock.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/sys.h"
#include "kernels/kernels.h"

/* Tried in this order. The dynamic linker searches its folders for names without a slash. */
static const char *const library_names[] = {
#if defined(__APPLE__)
    "libopenblas.0.dylib",
    "/opt/homebrew/opt/openblas/lib/libopenblas.0.dylib", /* Homebrew keeps it out of its common folder: Arm */
    "/usr/local/opt/openblas/lib/libopenblas.0.dylib",    /* and Intel */
#else
    "libopenblasp.so.0", /* Fedora: the one that several threads may call; libopenblas.so.0 there is for one */
    "libopenblas.so.0",
#endif
};

/* Address space that OpenBLAS takes: a buffer for each thread that calls it and one when it is opened, as built for desktops
 * and servers (up to 0.3.30), and its code and data. It retries for ever where it does not get a buffer. */
#define BUFFER_BYTES (((size_t)128 << 20) + 4096)
#define LIBRARY_BYTES ((size_t)64 << 20)

/* From cblas.h, which need not be installed: enum values and blasint are int in libraries of these names. */
#define CBLAS_ROW_MAJOR 101
#define CBLAS_NO_TRANS 111
#define CBLAS_TRANS 112
typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                      const float *b, int ldb, float beta, float *c, int ldc);
typedef void set_num_threads_fn(int threads); /* of OpenBLAS only; another BLAS may stand in for it */
typedef char *get_config_fn(void);

static _Atomic(sgemm_fn *) sgemm; /* set by kernels_use_blas, the same for all tables */

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
    sgemm_fn *const multiply = sgemm;
    for (int p = begin, rows; p < end; p += rows) {
        rows = end - p < most ? end - p : most;
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

/* Once it has the memory, it keeps it. */
bool kernels_blas_fits(int threads)
{
    static _Atomic(bool) fits;
    if (!fits)
        fits = sys_address_space((size_t)threads * BUFFER_BYTES);
    return fits;
}

/* The address of a function of the library into *function, a pointer to a function; false: it has none of that name. */
static bool find_function(void *library, const char *name, void *function)
{
    void *const address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

#define THREADS_VARIABLE "OPENBLAS_NUM_THREADS"

/* The first of the libraries that opens; `flags`: more of those of dlopen. */
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
 * OpenBLAS starts a thread for each core while it is loaded, unless a variable of the environment says otherwise. The environment
 * belongs to the program: the variable is set for as long as that takes, and not at all when the library is there already.
 */
static enum rwkv7_status load(void **library, const char **reason, struct rwkv7_error *err)
{
    *library = open_first(RTLD_NOLOAD, reason);
    if (*library)
        return RWKV7_OK;
    const char *const text = getenv(THREADS_VARIABLE);
    char *const before = text ? mem_string(text, strlen(text)) : NULL;
    if ((text && !before) || setenv(THREADS_VARIABLE, "1", 1) != 0) {
        mem_free(before);
        return fail_memory(err, "the environment of OpenBLAS");
    }
    *library = open_first(0, reason);
    if (before)
        setenv(THREADS_VARIABLE, before, 1);
    else
        unsetenv(THREADS_VARIABLE);
    mem_free(before);
    return RWKV7_OK;
}

/* Opened once it stays open: threads of a table may be in it. */
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
        return fail(err, RWKV7_ERR_USAGE,
                    "math blas needs OpenBLAS (package libopenblas0 on Debian and Ubuntu, openblas elsewhere): %s",
                    reason);
    if (!find_function(library, "cblas_sgemm", &multiply))
        return fail(err, RWKV7_ERR_USAGE, "cannot use OpenBLAS: it has no cblas_sgemm");
    if (find_function(library, "openblas_get_config", &get_config) && strstr(get_config(), "USE64BITINT"))
        return fail(err, RWKV7_ERR_USAGE, "cannot use OpenBLAS: it was built with integers of 64 bits");
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
