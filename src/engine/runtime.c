/* runtime.c - the runtime: a kernel table, a thread pool and the scratch memory of evaluations. */
#include <stdarg.h>
#include <string.h>

#include "base/c_numbers.h"
#include "base/cpus.h"
#include "base/float_env.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/sys.h"
#include "engine/engine.h"

/*
 * Starts the threads. An explicit number fails if it is not possible; the default number is halved
 * until the threads can be started.
 */
static enum rwkv7_status start_threads(int threads, struct pool **out, struct rwkv7_error *err)
{
    struct cpus cpus;
    cpus_read(&cpus);
    int count = threads != 0 ? threads : cpus_threads(&cpus);
    enum rwkv7_status status = pool_create(count, out, err);
    while (status == RWKV7_ERR_MEMORY && threads == 0 && count > 1)
        status = pool_create(count /= 2, out, err);
    return status;
}

void runtime_log(const struct rwkv7_runtime *rt, enum rwkv7_log_level level, const char *fmt, ...)
{
    struct rwkv7_error text; /* only its message is used, as a buffer */
    va_list args;
    if (!rt->log)
        return;
    va_start(args, fmt);
    vfail(&text, RWKV7_OK, fmt, args);
    va_end(args);
    rt->log(rt->log_arg, level, text.message);
}

static void log_started(const struct rwkv7_runtime *rt, int asked)
{
    struct cpus cpus;
    if (!rt->log)
        return;
    const int threads = pool_threads(rt->compute.pool);
    runtime_log(rt, RWKV7_LOG_INFO, "runtime: kernels %s, threads %d", rt->compute.kernels.name, threads);
    cpus_read(&cpus);
    if (asked == 0 && threads < cpus_threads(&cpus))
        runtime_log(rt, RWKV7_LOG_WARNING, "runtime: expected %d threads, could start only %d", cpus_threads(&cpus),
                    threads);
}

enum rwkv7_status rwkv7_runtime_create(const struct rwkv7_runtime_options *given, struct rwkv7_runtime **out,
                                       struct rwkv7_error *err)
{
    struct rwkv7_runtime_options opt;
    *out = NULL;
    enum rwkv7_status status = OPTIONS_READ(rwkv7_runtime_options, &opt, given, log_arg, err);
    if (status != RWKV7_OK)
        return status;
    if ((unsigned)opt.math > RWKV7_MATH_BLAS)
        return fail(err, RWKV7_ERR_USAGE, "runtime: unknown math %d", (int)opt.math);
    if (!c_numbers_work())
        return fail_memory(err, "the locale in which numbers are read");
    struct rwkv7_runtime *rt = mem_alloc(1, sizeof *rt);
    if (!rt)
        return fail_memory(err, "the runtime");
    fork_lock_init(&rt->turn);
    rt->math = opt.math;
    rt->log = opt.log;
    rt->log_arg = opt.log_arg;
    rt->alone_bytes = ALONE_BYTES;
    if (!kernels_init(&rt->compute.kernels, opt.cpu)) {
        status = fail(err, RWKV7_ERR_USAGE, "CPU tier '%s' is unknown or not supported on this machine; supported: %s",
                      opt.cpu, rwkv7_runtime_cpus());
        goto fail;
    }
    if (opt.math == RWKV7_MATH_FAST)
        kernels_use_fast(&rt->compute.kernels); /* if not available: exact */
    status = opt.math == RWKV7_MATH_BLAS ? kernels_use_blas(&rt->compute.kernels, err) : RWKV7_OK;
    if (status == RWKV7_OK)
        status = start_threads(opt.threads, &rt->compute.pool, err);
    if (status == RWKV7_OK)
        status = pool_create(1, &rt->alone, err);
    if (status != RWKV7_OK)
        goto fail;
    log_started(rt, opt.threads);
    *out = rt;
    return RWKV7_OK;
fail:
    rwkv7_runtime_close(rt);
    return status;
}

void rwkv7_runtime_close(struct rwkv7_runtime *rt)
{
    if (!rt)
        return;
    pool_destroy(rt->compute.pool);
    pool_destroy(rt->alone);
    sys_pages_free(rt->scratch, rt->scratch_size);
    fork_lock_destroy(&rt->turn);
    mem_free(rt);
}

size_t scratch_bytes(const struct rwkv7_model *model)
{
    const size_t step = step_scratch(model), prefill = prefill_scratch(model);
    return step > prefill ? step : prefill;
}

enum rwkv7_status scratch_reserve(struct rwkv7_runtime *rt, const struct rwkv7_model *model, struct rwkv7_error *err)
{
    const size_t size = scratch_bytes(model);
    enum rwkv7_status status = RWKV7_OK;
    fork_lock_take(&rt->turn);
    if (size > rt->scratch_size) {
        void *larger = sys_pages_alloc(size);
        if (larger) {
            void *const before = rt->scratch;
            const size_t size_before = rt->scratch_size;
            rt->scratch = larger; /* before the old memory is freed: a thread may fork */
            rt->scratch_size = size;
            sys_pages_free(before, size_before);
        } else {
            status = fail_memory(err, "the scratch memory of evaluations");
        }
    }
    fork_lock_give(&rt->turn);
    return status;
}

int rwkv7_runtime_threads(const struct rwkv7_runtime *rt)
{
    return pool_threads(rt->compute.pool);
}

const char *rwkv7_runtime_cpu(const struct rwkv7_runtime *rt)
{
    return rt->compute.kernels.name;
}

const char *rwkv7_runtime_cpus(void)
{
    static _Thread_local char list[128];
    list[0] = '\0';
    for (int i = 0; kernels_supported(i); i++) {
        if (strlen(list) + strlen(kernels_supported(i)) + 2 > sizeof list)
            break;
        if (i > 0)
            strcat(list, " ");
        strcat(list, kernels_supported(i));
    }
    return list;
}

uint64_t rwkv7_memory_peak(void)
{
    return sys_peak_memory();
}

/* ------------------------------------------------------------------------------- read bandwidth */

struct probe {
    const struct kernels *kernels;
    uint8_t *data;
    size_t size;
    bool fill; /* true: write the memory, so that every page is allocated */
    _Atomic(uint64_t) sum;
};

static void probe_worker(void *arg, struct pool *pool, int rank)
{
    struct probe *p = arg;
    const size_t page = 4096, share = p->size / (size_t)pool_threads(pool) / page * page;
    uint8_t *from = p->data + (size_t)rank * share;
    if (p->fill)
        memset(from, rank + 1, share);
    else
        p->sum += p->kernels->read_memory(from, share);
}

enum rwkv7_status rwkv7_runtime_bandwidth(struct rwkv7_runtime *rt, size_t bytes, double *bytes_per_second,
                                          struct rwkv7_error *err)
{
    DEFAULT_FLOAT_ENV;
    const size_t page = 4096, unit = page * (size_t)pool_threads(rt->compute.pool);
    struct probe p = {.kernels = &rt->compute.kernels, .size = bytes / unit * unit, .fill = true};
    *bytes_per_second = 0;
    if (p.size == 0)
        return fail(err, RWKV7_ERR_USAGE, "bandwidth probe: %zu bytes are less than a page for each of %d threads",
                    bytes, pool_threads(rt->compute.pool));
    p.data = sys_pages_alloc(p.size);
    if (!p.data)
        return fail_memory(err, "the bandwidth probe");
    pool_run(rt->compute.pool, probe_worker, &p);
    p.fill = false;
    const double begin = sys_seconds();
    pool_run(rt->compute.pool, probe_worker, &p);
    const double seconds = sys_seconds() - begin;
    sys_pages_free(p.data, p.size);
    *bytes_per_second = (double)p.size / (seconds > 0 ? seconds : 1e-9);
    return RWKV7_OK;
}
