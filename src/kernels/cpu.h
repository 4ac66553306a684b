/* cpu.h - what this CPU can do, and whether the operating system lets it. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include <stdint.h>

enum {
    CPU_AVX2 = 1 << 0,       /* AVX2, FMA, F16C, and the upper halves of the registers are saved */
    CPU_AVXVNNI = 1 << 1,    /* with AVX-VNNI: products of bytes, four at once */
    CPU_AVX512 = 1 << 2,     /* F, BW, DQ, VL, and all of the 512-bit state is saved */
    CPU_AVX512VNNI = 1 << 3, /* with AVX512_VNNI: the same, in 512 bits */
    CPU_AMX = 1 << 4,        /* AMX of int8 and bf16, AVX512_BF16; and the system lets us have the tiles */
    CPU_NEON = 1 << 5,       /* Advanced SIMD with fused multiply-add: every aarch64 */
    CPU_DOTPROD = 1 << 6,    /* dot products of bytes */
    CPU_I8MM = 1 << 7,       /* and products of small matrices of bytes */
};

unsigned cpu_features(void);

#if defined(__x86_64__)
/* What the instruction CPUID says, register by leaf, and the register files that the operating system saves (XCR0). */
struct cpu_words {
    uint32_t ecx1, ebx7, ecx7, edx7, eax71, saved;
};
/* The features that follow; the permission to use tiles is another matter. */
unsigned cpu_features_of(const struct cpu_words *w);
#endif

#endif
