/* cpu.c - CPU feature detection: CPUID on x86-64, the operating system on aarch64. */
#include "kernels/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>

#include "base/sys.h"

/*
 * Returns XCR0, the register files that the operating system saves; 0 if it has not enabled XGETBV.
 */
static uint32_t saved_state(uint32_t leaf1_ecx)
{
    const uint32_t osxsave = 1u << 27;
    uint32_t low = 0, high = 0;
    if (leaf1_ecx & osxsave)
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

unsigned cpu_features_of(const struct cpu_words *w)
{
    const uint32_t fma = 1u << 12, avx = 1u << 28, f16c = 1u << 29;            /* leaf 1, ecx */
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30; /* leaf 7, ebx */
    const uint32_t vl = 1u << 31;
    const uint32_t avx512vnni = 1u << 11;                    /* leaf 7, ecx */
    const uint32_t amx = 1u << 22 | 1u << 24 | 1u << 25;     /* leaf 7, edx: bf16, tiles, int8 */
    const uint32_t avxvnni = 1u << 4, bf16 = 1u << 5;        /* leaf 7.1, eax */
    const uint32_t ymm = 0x06, zmm = 0xe6, tiles = 3u << 17; /* XCR0 */
    unsigned features = 0;

    if ((w->ecx1 & (fma | avx | f16c)) == (fma | avx | f16c) && (w->ebx7 & avx2) && (w->saved & ymm) == ymm)
        features |= CPU_AVX2;
    if ((features & CPU_AVX2) && (w->eax71 & avxvnni))
        features |= CPU_AVXVNNI;
    if ((features & CPU_AVX2) && (w->ebx7 & (f | dq | bw | vl)) == (f | dq | bw | vl) && (w->saved & zmm) == zmm)
        features |= CPU_AVX512;
    if ((features & CPU_AVX512) && (w->ecx7 & avx512vnni))
        features |= CPU_AVX512VNNI;
    if ((features & CPU_AVX512) && (w->edx7 & amx) == amx && (w->eax71 & bf16) && (w->saved & tiles) == tiles)
        features |= CPU_AMX;
    return features;
}

unsigned cpu_features(void)
{
    uint32_t eax, ebx, edx, max_subleaf, unused[3];
    struct cpu_words w = {0};
    if (!__get_cpuid(1, &eax, &ebx, &w.ecx1, &edx) || !__get_cpuid_count(7, 0, &max_subleaf, &w.ebx7, &w.ecx7, &w.edx7))
        return 0;
    if (max_subleaf >= 1)
        __get_cpuid_count(7, 1, &w.eax71, &unused[0], &unused[1], &unused[2]);
    w.saved = saved_state(w.ecx1);
    const unsigned features = cpu_features_of(&w);
    return (features & CPU_AMX) && !sys_allow_tiles() ? features & ~(unsigned)CPU_AMX : features;
}

#elif defined(__aarch64__)

/*
 * On aarch64, programs cannot read the CPU's feature registers on every system, so the operating
 * system is asked.
 */
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
