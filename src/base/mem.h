/*
 * mem.h - memory allocation with checked sizes. Sizes that come from files are multiplied and added
 * only with these functions.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_ALIGN 64 /* bytes: a cache line, and an AVX-512 register */

/* *out = a * b; returns false on overflow. b may be a 64-bit number from a file. */
bool size_mul(size_t a, uint64_t b, size_t *out);
/* *out = a + b; returns false on overflow. */
bool size_add(size_t a, size_t b, size_t *out);

/*
 * Allocates count * size zeroed bytes, aligned to MEM_ALIGN. Returns NULL when out of memory or on
 * overflow; never NULL for 0 bytes.
 */
void *mem_alloc(size_t count, size_t size);
/*
 * Resizes memory of mem_alloc from old_count to count elements; new elements are zero. On NULL,
 * `old` is unchanged.
 */
void *mem_grow(void *old, size_t old_count, size_t count, size_t size);
void mem_free(void *p);
/* Copies n bytes and appends a NUL; NULL when out of memory. */
char *mem_string(const char *text, size_t n);

/*
 * For tests: makes one allocation fail, after `after` successful ones. Negative: none (the
 * default).
 */
void mem_fail_after(long after);
/* For other allocators: whether the current allocation is the one that must fail. */
bool mem_should_fail(void);

#endif
