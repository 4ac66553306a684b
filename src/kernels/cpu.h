/* cpu.h - detects instruction sets that both the CPU and the operating system support. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include <stdint.h>

enum {
    CPU_AVX2 = 1 << 0,       /* AVX2, FMA, F16C; the OS saves ymm registers */
    CPU_AVXVNNI = 1 << 1,    /* AVX2 and AVX-VNNI: dot products of 4 bytes, 256 bits */
    CPU_AVX512 = 1 << 2,     /* AVX-512 F, BW, DQ, VL; the OS saves zmm registers */
    CPU_AVX512VNNI = 1 << 3, /* AVX512 and AVX512_VNNI: dot products of 4 bytes, 512 bits */
    CPU_AMX = 1 << 4,        /* AMX with int8 and bf16, AVX512_BF16; the OS grants the tiles */
    CPU_NEON = 1 << 5,       /* Advanced SIMD with fused multiply-add: every aarch64 */
    CPU_DOTPROD = 1 << 6,    /* dot products of bytes */
    CPU_I8MM = 1 << 7,       /* dot products and products of small byte matrices */
};

unsigned cpu_features(void);

#if defined(__x86_64__)
/* Registers of CPUID by leaf, and the register files that the operating system saves (XCR0). */
struct cpu_words {
    uint32_t ecx1, ebx7, ecx7, edx7, eax71, saved;
};
/*
 * Decodes the features from these registers. Does not check the permission to use AMX tiles, which
 * Linux grants per process.
 */
unsigned cpu_features_of(const struct cpu_words *w);
#endif

#endif
