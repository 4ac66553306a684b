/*
 * guarded.h - arrays next to guard pages, and random numbers to fill them.
 *
 * An array touches the guard page after it or the one before it, so that an access one byte past
 * that side crashes.
 */
#ifndef GUARDED_H
#define GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUARDED_REGIONS = 20 };
#define GUARDED_BYTES ((size_t)2 << 20) /* bytes of a region */

/* Allocates the regions; false if memory is short. */
bool guarded_open(void);
/*
 * Returns `count` elements of `size` bytes at the start of a region, at its end, or at an odd
 * offset that is aligned to one element only. The next call for the same region reuses its memory.
 */
enum place { AT_START, AT_END, ODD, PLACES };
void *guarded(int region, size_t count, size_t size, enum place place);

void random_seed(uint64_t seed);
uint64_t random_bits(void);
int random_below(int n);
/*
 * Fills x with random numbers: in [-2, 2), or, if wild, of any bit pattern, with the ends of the
 * range much more frequent than by chance.
 */
void random_fill(float *x, size_t n, bool wild);

/* Compares bit by bit; all NaNs are equal. */
bool same_floats(const float *a, const float *b, size_t n);

#endif
