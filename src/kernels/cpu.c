/* cpu.c - see cpu.h. */
#include "kernels/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>

#include "base/sys.h"

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
    const uint32_t avx512vnni = 1u << 11;                    /* leaf 7, ecx */
    const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25;     /* leaf 7, edx: bf16, tiles, int8 */
    const uint32_t avxvnni = 1u << 4, bf16 = 1u << 5;        /* leaf 7.1, eax */
    const uint32_t ymm = 0x06, zmm = 0xe6, tiles = 3u << 17; /* XCR0 */
    uint32_t eax, ebx, ecx, edx, ecx1, parts, eax71 = 0, rest[3];
    unsigned features = 0;

    if (!__get_cpuid(1, &eax, &ebx, &ecx1, &edx) || !__get_cpuid_count(7, 0, &parts, &ebx, &ecx, &edx))
        return 0;
    if (parts >= 1)
        __get_cpuid_count(7, 1, &eax71, &rest[0], &rest[1], &rest[2]);
    const uint32_t saved = saved_state(ecx1);
    if ((ecx1 & (fma | avx | f16c)) == (fma | avx | f16c) && (ebx & avx2) && (saved & ymm) == ymm)
        features |= CPU_AVX2;
    if ((features & CPU_AVX2) && (eax71 & avxvnni))
        features |= CPU_AVXVNNI;
    if ((features & CPU_AVX2) && (ebx & (f | dq | bw | vl)) == (f | dq | bw | vl) && (saved & zmm) == zmm)
        features |= CPU_AVX512;
    if ((features & CPU_AVX512) && (ecx & avx512vnni))
        features |= CPU_AVX512VNNI;
    if ((features & CPU_AVX512) && (edx & amx) == amx && (eax71 & bf16) && (saved & tiles) == tiles &&
        sys_allow_tiles())
        features |= CPU_AMX;
    return features;
}

#elif defined(__aarch64__)

/* No instruction that any program may use says what the CPU can do; the operating system does. */
#if defined(__linux__)
#include <sys/auxv.h>

static unsigned products_of_bytes(void)
{
    const unsigned long asimddp = 1ul << 20; /* AT_HWCAP */
    const unsigned long i8mm = 1ul << 13;    /* AT_HWCAP2 */
    return (getauxval(AT_HWCAP) & asimddp ? CPU_DOTPROD : 0u) | (getauxval(AT_HWCAP2) & i8mm ? CPU_I8MM : 0u);
}

#elif defined(__APPLE__)
#include <sys/sysctl.h>

static int is_set(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}

static unsigned products_of_bytes(void)
{
    return (is_set("hw.optional.arm.FEAT_DotProd") ? CPU_DOTPROD : 0u) |
           (is_set("hw.optional.arm.FEAT_I8MM") ? CPU_I8MM : 0u);
}

#else

static unsigned products_of_bytes(void)
{
    return 0;
}

#endif

unsigned cpu_features(void)
{
    const unsigned products = products_of_bytes();
    return CPU_NEON | (products & CPU_DOTPROD ? products : 0u);
}

#else

unsigned cpu_features(void)
{
    return 0;
}

#endif
