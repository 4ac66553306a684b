/* guarded.c - memory between guard pages, and random numbers; see guarded.h. */
#define _GNU_SOURCE /* for MAP_ANON on Linux and macOS */
#define _DARWIN_C_SOURCE
#include "guarded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t *regions[GUARDED_REGIONS]; /* each between two guard pages */
static uint64_t random_state;

bool guarded_open(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < GUARDED_REGIONS; i++) {
        uint8_t *p = mmap(NULL, GUARDED_BYTES + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
        if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) != 0 ||
            mprotect(p + page + GUARDED_BYTES, page, PROT_NONE) != 0)
            return false;
        regions[i] = p + page;
    }
    return true;
}

void *guarded(int region, size_t count, size_t size, enum place place)
{
    const size_t bytes = count * size, odd = (1 + 2 * (size_t)random_below(8)) * size;
    if (bytes + odd > GUARDED_BYTES) {
        fprintf(stderr, "guarded: array of %zu bytes is larger than a region\n", bytes);
        exit(1);
    }
    return regions[region] + (place == AT_END ? GUARDED_BYTES - bytes : place == ODD ? odd : 0);
}

void random_seed(uint64_t seed)
{
    random_state = seed;
}

/* The generator splitmix64. */
uint64_t random_bits(void)
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

int random_below(int n)
{
    return (int)(random_bits() % (uint64_t)n);
}

static float wild_float(void)
{
    static const float special[] = {0.0f,     -0.0f,     1e-45f, -1e-40f, 1.17549435e-38f, 3.4e38f, -3.4e38f,
                                    INFINITY, -INFINITY, NAN,    1.0f,    -1.0f,           88.8f,   -103.9f,
                                    0.625f,   -0.625f,   1e10f,  -1e-10f};
    if (random_below(3) == 0)
        return special[random_below((int)(sizeof special / sizeof special[0]))];
    const uint32_t bits = (uint32_t)random_bits();
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void random_fill(float *x, size_t n, bool wild)
{
    for (size_t i = 0; i < n; i++)
        x[i] = wild ? wild_float() : (float)((double)(random_bits() >> 40) * 0x1p-22 - 2.0);
}

bool same_floats(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}
