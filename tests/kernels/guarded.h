/*
 * guarded.h - arrays between unreadable pages, and the numbers to put in them.
 *
 * An array lies against the page behind it or the page before it, so that a read or write of one byte past that side is a crash.
 */
#ifndef GUARDED_H
#define GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUARDED_REGIONS = 20 };
#define GUARDED_BYTES ((size_t)2 << 20) /* of a region */

/* Makes the regions; false when there is no memory. */
bool guarded_open(void);
/*
 * `count` elements of `size` bytes at the start of a region, at its end, or at an odd place inside it, where nothing is aligned to more
 * than an element. Another call for the same region takes the memory again.
 */
enum place { AT_START, AT_END, ODD, PLACES };
void *guarded(int region, size_t count, size_t size, enum place place);

void random_seed(uint64_t seed);
uint64_t random_bits(void);
int random_below(int n);
/* Ordinary numbers in [-2, 2), or wild ones: any bit pattern, with the ends of every range much more often than by chance. */
void random_fill(float *x, size_t n, bool wild);

/* Equal bit for bit, where a NaN equals a NaN. */
bool same_floats(const float *a, const float *b, size_t n);

#endif
