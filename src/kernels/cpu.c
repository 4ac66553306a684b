#include "kernels/cpu.h"

#if defined(__AVX__)
#error "compiled with the flags of an instruction set: this file runs before anything is known of the CPU"
#endif

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>

/* The register files that the operating system saves (XCR0); 0 when it does not say. */
static uint32_t saved_state(uint32_t leaf1_ecx)
{
    const uint32_t osxsave = 1u << 27;
    uint32_t low = 0, high = 0;
    if (leaf1_ecx & osxsave)
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

unsigned cpu_features(void)
{
    const uint32_t fma = 1u << 12, avx = 1u << 28, f16c = 1u << 29;            /* leaf 1, ecx */
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30; /* leaf 7, ebx */
    const uint32_t vl = 1u << 31;
    const uint32_t ymm = 0x06, zmm = 0xe6; /* XCR0 */
    uint32_t eax, ebx, ecx, edx, ecx1;
    unsigned features = 0;

    if (!__get_cpuid(1, &eax, &ebx, &ecx1, &edx) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    const uint32_t saved = saved_state(ecx1);
    if ((ecx1 & (fma | avx | f16c)) == (fma | avx | f16c) && (ebx & avx2) && (saved & ymm) == ymm)
        features |= CPU_AVX2;
    if ((features & CPU_AVX2) && (ebx & (f | dq | bw | vl)) == (f | dq | bw | vl) && (saved & zmm) == zmm)
        features |= CPU_AVX512;
    return features;
}

#elif defined(__aarch64__)

unsigned cpu_features(void)
{
    return CPU_NEON;
}

#else

unsigned cpu_features(void)
{
    return 0;
}

#endif
