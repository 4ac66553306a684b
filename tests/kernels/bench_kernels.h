/* bench_kernels.h - measures instead of checking: what `test_kernels --bench` does. */
#ifndef BENCH_KERNELS_H
#define BENCH_KERNELS_H

/* Prints GB/s and Gop/s of every slot (or the one named) on every tier; products run on `threads` threads. Exit code. */
int bench_kernels(const char *slot, int threads);

#endif
