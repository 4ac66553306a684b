/*
 * test_cpu.c - feature detection from CPUID registers. A missing feature, or a register file that
 * the operating system does not save, must disable the tiers that need it and no others. The
 * registers are made up, so the test runs on any x86-64 CPU.
 */
#include "kernels/cpu.h"
#include "test.h"

#if defined(__x86_64__)

enum {
    ALL = CPU_AVX2 | CPU_AVXVNNI | CPU_AVX512 | CPU_AVX512VNNI | CPU_AMX,
    WIDE = CPU_AVX512 | CPU_AVX512VNNI | CPU_AMX
};

/* Exactly the bits that the detection reads. */
static const struct cpu_words full = {.ecx1 = 1u << 12 | 1u << 28 | 1u << 29,
                                      .ebx7 = 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31,
                                      .ecx7 = 1u << 11,
                                      .edx7 = 1u << 22 | 1u << 24 | 1u << 25,
                                      .eax71 = 1u << 4 | 1u << 5,
                                      .saved = 0x06 | 0xe0 | 3u << 17};

static void test_parts(void)
{
    /* Register, bit, and the features that need it. */
    static const struct {
        int word, bit;
        unsigned lost;
    } parts[] = {
        {0, 12, ALL},        {0, 28, ALL},     {0, 29, ALL},     {1, 5, ALL},
        {1, 16, WIDE},       {1, 17, WIDE},    {1, 30, WIDE},    {1, 31, WIDE},
        {3, 22, CPU_AMX},    {3, 24, CPU_AMX}, {3, 25, CPU_AMX}, {2, 11, CPU_AVX512VNNI},
        {4, 4, CPU_AVXVNNI}, {4, 5, CPU_AMX},
    };
    CHECK(cpu_features_of(&full) == ALL);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct cpu_words w = full;
        uint32_t *const words[] = {&w.ecx1, &w.ebx7, &w.ecx7, &w.edx7, &w.eax71};
        CHECK(*words[parts[i].word] >> parts[i].bit & 1);
        *words[parts[i].word] ^= 1u << parts[i].bit;
        CHECK_MSG(cpu_features_of(&w) == (ALL & ~parts[i].lost), "word %d without bit %d: %#x", parts[i].word,
                  parts[i].bit, cpu_features_of(&w));
    }
}

/* XCR0: bit 1 SSE, 2 AVX, 5 to 7 AVX-512, 17 and 18 AMX tiles. */
static void test_saved(void)
{
    static const struct {
        int bit;
        unsigned lost;
    } parts[] = {{1, ALL}, {2, ALL}, {5, WIDE}, {6, WIDE}, {7, WIDE}, {17, CPU_AMX}, {18, CPU_AMX}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct cpu_words w = full;
        w.saved &= ~(1u << parts[i].bit);
        CHECK_MSG(cpu_features_of(&w) == (ALL & ~parts[i].lost), "without bit %d of XCR0: %#x", parts[i].bit,
                  cpu_features_of(&w));
    }
    struct cpu_words w = full;
    w.saved = 0;
    CHECK(cpu_features_of(&w) == 0);
    CHECK(cpu_features_of(&(struct cpu_words){0}) == 0);
}

/* On this machine, each feature implies those that it builds on. */
static void test_here(void)
{
    const unsigned f = cpu_features();
    CHECK((f & ~(unsigned)ALL) == 0);
    CHECK((f & CPU_AVX2) || f == 0);
    CHECK((f & CPU_AVX512) || !(f & WIDE));
}

int main(void)
{
    RUN(test_parts);
    RUN(test_saved);
    RUN(test_here);
    return test_end();
}

#else

int main(void)
{
    SKIP("CPUID: only x86-64 has it");
    CHECK(cpu_features() == cpu_features());
    return test_end();
}

#endif
