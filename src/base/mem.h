/*
 * mem.h - memory with checked sizes. Sizes that come from files are multiplied and added here or not at all.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_ALIGN 64 /* bytes: one cache line, one AVX-512 register */

/* *out = a * b; false on overflow. b may be a number of a file, of 64 bits where size_t has 32. */
bool size_mul(size_t a, uint64_t b, size_t *out);
/* *out = a + b; false on overflow. */
bool size_add(size_t a, size_t b, size_t *out);

/* count * size bytes of zeroes, aligned to MEM_ALIGN; NULL when out of memory or on overflow. Never NULL for 0 bytes. */
void *mem_alloc(size_t count, size_t size);
/* Memory of mem_alloc, grown or shrunk from old_count to count elements; new elements are zero. NULL: `old` still stands. */
void *mem_grow(void *old, size_t old_count, size_t count, size_t size);
void mem_free(void *p);
/* A copy of n bytes plus a NUL behind them. */
char *mem_string(const char *text, size_t n);

/* Tests only: the allocation after the next `after` ones fails, once. Negative: never (the default). */
void mem_fail_after(long after);
/* For other kinds of memory: whether the allocation at hand is the one that fails. */
bool mem_should_fail(void);

#endif
