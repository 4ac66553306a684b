/* mem.c - see mem.h. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_long fail_countdown = -1;

void mem_fail_after(long after)
{
    atomic_store(&fail_countdown, after);
}

bool mem_should_fail(void)
{
    return atomic_load_explicit(&fail_countdown, memory_order_relaxed) >= 0 &&
           atomic_fetch_sub(&fail_countdown, 1) == 0;
}

bool size_mul(size_t a, uint64_t b, size_t *out)
{
    if (b > SIZE_MAX || (b != 0 && a > SIZE_MAX / b))
        return false;
    *out = a * (size_t)b;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

void *mem_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX - MEM_ALIGN || mem_should_fail())
        return NULL;
    void *p;
    if (posix_memalign(&p, MEM_ALIGN, (bytes / MEM_ALIGN + 1) * MEM_ALIGN) != 0)
        return NULL;
    memset(p, 0, count * size);
    return p;
}

void *mem_grow(void *old, size_t old_count, size_t count, size_t size)
{
    void *p = mem_alloc(count, size);
    if (!p)
        return NULL;
    if (old)
        memcpy(p, old, (old_count < count ? old_count : count) * size);
    mem_free(old);
    return p;
}

void mem_free(void *p)
{
    free(p);
}

char *mem_string(const char *text, size_t n)
{
    size_t bytes;
    if (!size_add(n, 1, &bytes))
        return NULL;
    char *copy = mem_alloc(bytes, 1);
    if (copy && n > 0) /* `text` may be NULL if n is 0 */
        memcpy(copy, text, n);
    return copy;
}
