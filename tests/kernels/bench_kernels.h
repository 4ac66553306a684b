/* bench_kernels.h - the benchmark of `test_kernels --bench`. */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

/*
 * Prints GB/s and Gop/s of every kernel (or the one named `slot`) on every tier, with `threads`
 * threads for products. The slot "prefetch" prints the speed of gemv for several prefetch distances
 * instead. Returns the exit code.
 */
int bench_kernels(const char *slot, int threads);

#endif
