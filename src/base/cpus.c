/* cpus.c - see cpus.h; limits of control groups are in cgroup.c. */
#if defined(__linux__)
#define _GNU_SOURCE /* pthread_getaffinity_np */
#endif
#include "base/cpus.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* ------------------------------------------------------------------------------------- CPU sets */

int cpu_set_count(const struct cpu_set *set)
{
    int count = 0;
    for (size_t i = 0; i < sizeof set->bits / sizeof set->bits[0]; i++)
        count += __builtin_popcountl(set->bits[i]);
    return count;
}

static void set_add(struct cpu_set *set, long cpu)
{
    if (cpu >= 0 && cpu < CPUS_MAX)
        set->bits[(size_t)cpu / CPU_SET_BITS] |= 1ul << (size_t)cpu % CPU_SET_BITS;
}

void cpu_set_add_list(struct cpu_set *set, const char *list)
{
    for (char *at = (char *)(uintptr_t)list; isdigit((unsigned char)*at); at++) {
        const long low = strtol(at, &at, 10);
        const long high = *at == '-' && isdigit((unsigned char)at[1]) ? strtol(at + 1, &at, 10) : low;
        for (long cpu = low; cpu <= high && cpu < CPUS_MAX; cpu++)
            set_add(set, cpu);
        if (*at != ',')
            return;
    }
}

/* Returns the number of CPUs in both sets. */
static int common_count(const struct cpu_set *a, const struct cpu_set *b)
{
    struct cpu_set both;
    for (size_t i = 0; i < sizeof both.bits / sizeof both.bits[0]; i++)
        both.bits[i] = a->bits[i] & b->bits[i];
    return cpu_set_count(&both);
}

bool cpus_add_allowed(struct cpu_set *set, pthread_t thread)
{
#if defined(__linux__)
    struct cpu_set allowed = {{0}};
    if (pthread_getaffinity_np(thread, sizeof allowed.bits, (cpu_set_t *)(void *)allowed.bits) != 0)
        return false;
    for (size_t i = 0; i < sizeof set->bits / sizeof set->bits[0]; i++)
        set->bits[i] |= allowed.bits[i];
    return true;
#else
    (void)set, (void)thread;
    return false;
#endif
}

/* ----------------------------------------------------------------------------------- CPU counts */

/*
 * Reads the first line of a CPU's file, such as "topology/thread_siblings_list"; returns false if
 * it does not exist.
 */
static bool read_cpu_file(const char *root, int cpu, const char *name, char *text, size_t room)
{
    char path[1024];
    if ((size_t)snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, name) >= sizeof path)
        return false;
    FILE *f = fopen(path, "r");
    const bool got = f && fgets(text, (int)room, f);
    if (f)
        fclose(f);
    return got;
}

void cpus_read_at(struct cpus *out, const char *root, const struct cpu_set *allowed)
{
    struct cpu_set counted = {{0}}; /* CPUs whose core has been counted */
    *out = (struct cpus){.logical = cpu_set_count(allowed), .millicpus = cgroup_millicpus(root)};
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        char list[1024];
        if (!cpu_set_has(allowed, cpu) || cpu_set_has(&counted, cpu))
            continue;
        out->cores++;
        if (read_cpu_file(root, cpu, "topology/thread_siblings_list", list, sizeof list)) /* "0,64" or "0-1" */
            cpu_set_add_list(&counted, list);
    }
    out->logical = out->logical > 0 ? out->logical : 1;
    out->cores = out->cores > 0 ? out->cores : 1;
}

#if defined(__APPLE__)
static size_t apple_number(const char *name)
{
    int64_t value = 0; /* little-endian: a smaller integer fills the low bytes */
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value > 0 ? (size_t)value : 0;
}
#endif

void cpus_read(struct cpus *out)
{
    struct cpu_set allowed = {{0}};
    if (cpus_add_allowed(&allowed, pthread_self())) {
        cpus_read_at(out, "", &allowed);
        return;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    *out = (struct cpus){.logical = online > 0 ? (int)online : 1};
    out->cores = out->logical;
#if defined(__APPLE__)
    /*
     * Counts only performance cores where the machine has two kinds, because each barrier would
     * wait for the slow cores.
     */
    const size_t fast = apple_number("hw.perflevel0.physicalcpu"), all = apple_number("hw.physicalcpu");
    if (fast > 0 || all > 0)
        out->cores = (int)(fast > 0 ? fast : all);
#endif
}

int cpus_threads(const struct cpus *cpus)
{
    const int granted = (cpus->millicpus + 500) / 1000;
    if (cpus->millicpus == 0 || granted >= cpus->cores)
        return cpus->cores;
    return granted > 0 ? granted : 1;
}

int cpus_at_once(const struct cpus *cpus)
{
    const int granted = cpus->millicpus / 1000;
    if (cpus->millicpus == 0 || granted >= cpus->logical)
        return cpus->logical;
    return granted > 0 ? granted : 1;
}

/* ---------------------------------------------------------------------------------- cache sizes */

/* Sizes by level, 0 if unknown. [1] is the data cache. */
typedef size_t cache_sizes[4];

/* Keeps the smaller size of each level. */
static void keep_smaller(cache_sizes sizes, const cache_sizes other)
{
    for (int level = 1; level <= 3; level++)
        if (other[level] > 0 && (sizes[level] == 0 || other[level] < sizes[level]))
            sizes[level] = other[level];
}

/* Parses "48K", "2M" or "32768". */
static size_t parse_size(const char *text)
{
    char *end;
    const unsigned long long number = strtoull(text, &end, 10);
    const int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return isdigit((unsigned char)*text) && number <= (1ull << 40) >> shift ? (size_t)(number << shift) : 0;
}

/*
 * Reads the caches of one CPU. Of a shared cache, the share of one core is counted. *l1_index
 * is the number of the first-level cache's folder; -1 if there is none.
 */
static void read_cpu_caches(const char *root, int cpu, const struct cpu_set *allowed, cache_sizes sizes, int *l1_index)
{
    int threads = 1; /* allowed hardware threads of this core */
    *l1_index = -1;
    for (int index = 0; index < 16; index++) {
        struct cpu_set shared = {{0}};
        char name[64], text[4096];
        snprintf(name, sizeof name, "cache/index%d/level", index);
        if (!read_cpu_file(root, cpu, name, text, sizeof text))
            break;
        const long level = strtol(text, NULL, 10);
        snprintf(name, sizeof name, "cache/index%d/type", index);
        if (level < 1 || level > 3 || !read_cpu_file(root, cpu, name, text, sizeof text) || *text == 'I')
            continue;
        snprintf(name, sizeof name, "cache/index%d/size", index);
        if (!read_cpu_file(root, cpu, name, text, sizeof text))
            continue;
        const size_t size = parse_size(text);
        snprintf(name, sizeof name, "cache/index%d/shared_cpu_list", index);
        if (read_cpu_file(root, cpu, name, text, sizeof text))
            cpu_set_add_list(&shared, text);
        int users = common_count(&shared, allowed);
        if (level == 1) {
            *l1_index = index;
            threads = users > 0 ? users : 1;
        }
        users = (users + threads - 1) / threads;
        sizes[level] = level == 1 || users < 1 ? size : size / (size_t)users;
    }
}

/*
 * Keeps the smallest sizes over all allowed CPUs. A CPU whose first-level cache is as large as the
 * previous CPU's is assumed to be of the same kind, and its other caches are not read.
 */
static void read_system_caches(const char *root, const struct cpu_set *allowed, cache_sizes sizes)
{
    cache_sizes last = {0};
    int l1_index = -1;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        char name[64], text[64];
        if (!cpu_set_has(allowed, cpu))
            continue;
        snprintf(name, sizeof name, "cache/index%d/size", l1_index);
        if (l1_index >= 0 && read_cpu_file(root, cpu, name, text, sizeof text) && parse_size(text) == last[1])
            continue;
        memset(last, 0, sizeof last);
        read_cpu_caches(root, cpu, allowed, last, &l1_index);
        keep_smaller(sizes, last);
    }
}

#if defined(__x86_64__)
/*
 * Reads the caches of the current core with CPUID leaf 4 (AMD: 0x8000001d), one cache per subleaf.
 * Used if the files of the system do not contain the sizes.
 */
static void ask_cpu(cache_sizes sizes)
{
    static const unsigned leaves[] = {4, 0x8000001d};
    for (size_t l = 0; l < 2 && sizes[1] == 0; l++) {
        unsigned threads = 1;
        for (unsigned part = 0; part < 16; part++) {
            unsigned eax, ebx, ecx, edx;
            if (!__get_cpuid_count(leaves[l], part, &eax, &ebx, &ecx, &edx) || (eax & 31) == 0)
                break;
            const unsigned level = eax >> 5 & 7, users = (eax >> 14 & 0xfff) + 1;
            if ((eax & 31) == 2 || level < 1 || level > 3) /* instruction cache */
                continue;
            if (level == 1)
                threads = users;
            const size_t ways = (ebx >> 22) + 1, parts = (ebx >> 12 & 0x3ff) + 1, line = (ebx & 0xfff) + 1;
            const size_t size = ways * parts * line * ((size_t)ecx + 1);
            sizes[level] = level == 1 ? size : size / ((users + threads - 1) / threads);
        }
    }
}
#elif defined(__APPLE__)
static void ask_cpu(cache_sizes sizes)
{
    static const char *const levels[] = {"hw.perflevel0.", "hw.perflevel1.", "hw."};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0] && (i < 2 || sizes[1] == 0); i++) {
        static const char *const names[] = {"l1dcachesize", "l2cachesize", "l3cachesize", "cpusperl2"};
        size_t found[4];
        for (size_t n = 0; n < 4; n++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s", levels[i], names[n]);
            found[n] = apple_number(name);
        }
        keep_smaller(sizes, (const cache_sizes){0, found[0], found[3] > 0 ? found[1] / found[3] : found[1], found[2]});
    }
}
#else
static void ask_cpu(cache_sizes sizes)
{
    (void)sizes;
}
#endif

/* Stores the plausible sizes in `out` and assumes default sizes for the others. */
static void finish(struct caches *out, const cache_sizes sizes)
{
    out->l1 = sizes[1] >= (size_t)4 << 10 && sizes[1] <= (size_t)4 << 20 ? sizes[1] : CACHES_L1;
    out->l2 = sizes[2] >= out->l1 ? sizes[2] : CACHES_L2;
    out->l3 = sizes[3];
}

void caches_read_at(struct caches *out, const char *root, const struct cpu_set *allowed)
{
    cache_sizes sizes = {0};
    read_system_caches(root, allowed, sizes);
    finish(out, sizes);
}

void caches_read(struct caches *out)
{
    struct cpu_set allowed = {{0}};
    cache_sizes sizes = {0};
    if (cpus_add_allowed(&allowed, pthread_self()))
        read_system_caches("", &allowed, sizes);
    if (sizes[1] == 0)
        ask_cpu(sizes);
    finish(out, sizes);
}
