/*
 * guarded.h - arrays between unreadable pages, and the numbers to put in them.
 *
 * An array lies against the page behind it or the page before it, so that a read or write of one byte past that side is a crash,
 * whatever alignment that gives beyond that of an element.
 */
#ifndef GUARDED_H
#define GUARDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUARDED_REGIONS = 20 };
#define GUARDED_BYTES ((size_t)5 << 20) /* of a region */

/* Makes the regions; false when there is no memory. */
bool guarded_open(void);
/* The last (at_end) or first `bytes` bytes of a region. Another call for the same region takes the memory again. */
void *guarded(int region, size_t bytes, bool at_end);

void random_seed(uint64_t seed);
uint64_t random_bits(void);
int random_below(int n);
/* Ordinary numbers in [-2, 2), or wild ones: any bit pattern, with the ends of every range much more often than by chance. */
void random_fill(float *x, size_t n, bool wild);

/* Equal bit for bit, where a NaN equals a NaN. */
bool same_floats(const float *a, const float *b, size_t n);

#endif
