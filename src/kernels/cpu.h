/* cpu.h - what this CPU can do, and whether the operating system lets it. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

enum {
    CPU_AVX2 = 1 << 0,   /* AVX2, FMA, F16C, and the upper halves of the registers are saved */
    CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL, and all of the 512-bit state is saved */
    CPU_NEON = 1 << 2,   /* Advanced SIMD with fused multiply-add: every aarch64 */
};

unsigned cpu_features(void);

#endif
