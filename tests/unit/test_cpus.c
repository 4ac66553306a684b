/*
 * test_cpus.c - CPUs, limits of control groups and cache sizes, read from generated folders that
 * imitate other machines; and pools with more threads than CPUs.
 */
#define _GNU_SOURCE
#include "base/cpus.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/pool.h"
#include "test.h"
#if defined(__linux__)
#include <sched.h>
#endif

static char root[] = "/tmp/rwkv7-test-cpus-XXXXXX"; /* stands for / of the imitated machine */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type;
    return ftw->level > 0 ? remove(path) : 0;
}

/* Starts with an empty machine. */
static void clear(void)
{
    CHECK(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

/* Writes a file and creates its folders. */
static void put(const char *name, const char *text)
{
    char path[8192];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *at = path + sizeof root; (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    CHECK_MSG(f != NULL, "%s", path);
    if (f) {
        fputs(text, f);
        fclose(f);
    }
}

/* ------------------------------------------------------------------------------- control groups */

#if defined(__linux__)
#define CHECK_LIMIT(expected)                                                         \
    do {                                                                              \
        const int got_ = cgroup_millicpus(root);                                      \
        CHECK_MSG(got_ == (expected), "got %d millicpus, want %d", got_, (expected)); \
    } while (0)

#define MOUNT_V2 "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1 "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHERS \
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"

static void test_version_2(void)
{
    clear();
    CHECK_LIMIT(0); /* no files */
    put("/proc/self/mountinfo", OTHERS MOUNT_V2);
    CHECK_LIMIT(0);
    put("/proc/self/cgroup", "0::/a/b/c\n");
    CHECK_LIMIT(0);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    CHECK_LIMIT(0);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "300000 100000\n");
    CHECK_LIMIT(3000);
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "75000 50000\n"); /* in the parent of the group */
    CHECK_LIMIT(1500);
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n"); /* at the mount point, as in a container with a namespace */
    CHECK_LIMIT(500);
    put("/sys/fs/cgroup/a/b/d/cpu.max", "1000 100000\n"); /* in another group */
    put("/sys/fs/cpu.max", "1000 100000\n");              /* outside the mount point */
    put("/cpu.max", "1000 100000\n");
    CHECK_LIMIT(500);
    put("/proc/self/cgroup", "0::/\n");
    CHECK_LIMIT(500);
    put("/proc/self/cgroup", "0::/../x\n"); /* outside the namespace: the limit of the mount point still applies */
    CHECK_LIMIT(500);
}

static void test_version_1(void)
{
    clear();
    put("/proc/self/mountinfo", OTHERS MOUNT_V1);
    put("/proc/self/cgroup", "9:cpuset:/s\n4:cpuacct,cpu:/a/b\n0::/x\n");
    put("/sys/fs/cgroup/cpuset/s/cpu.cfs_quota_us", "1000\n"); /* not the controller "cpu" */
    put("/sys/fs/cgroup/cpuset/s/cpu.cfs_period_us", "100000\n");
    CHECK_LIMIT(0);
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    CHECK_LIMIT(0);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n");
    CHECK_LIMIT(0); /* no period */
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    CHECK_LIMIT(2500);

    /* Both versions at once: the smaller limit applies. */
    put("/proc/self/mountinfo", MOUNT_V1 "42 31 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/unified/x/cpu.max", "400000 100000");
    CHECK_LIMIT(2500);
    put("/sys/fs/cgroup/unified/x/cpu.max", "100000 100000");
    CHECK_LIMIT(1000);
}

/*
 * In a container without a namespace, paths are those of the host, and only the container's part is
 * mounted.
 */
static void test_containers(void)
{
    clear();
    put("/proc/self/mountinfo", "32 31 0:29 /docker/ab\\040c /sys/my\\040cgroup ro - cgroup cgroup rw,cpu\n");
    put("/proc/self/cgroup", "3:cpu:/docker/ab c/d\n");
    put("/sys/my cgroup/d/cpu.cfs_quota_us", "200000");
    put("/sys/my cgroup/d/cpu.cfs_period_us", "100000");
    CHECK_LIMIT(2000);
    put("/sys/my cgroup/cpu.cfs_quota_us", "120000");
    put("/sys/my cgroup/cpu.cfs_period_us", "100000");
    CHECK_LIMIT(1200);
    put("/proc/self/cgroup", "3:cpu:/docker/ab c\n");
    put("/sys/my cgroup/d/cpu.cfs_quota_us", "1000");
    CHECK_LIMIT(1200);
    put("/proc/self/cgroup", "3:cpu:/docker/ab cd/d\n"); /* only a prefix of the mounted path */
    CHECK_LIMIT(1200);
}

static void test_odd_limits(void)
{
    static const char *const none[] = {
        "",
        "\n",
        "max",
        "abc 100000",
        "-5 100000",
        "100000",
        "100000 0",
        "100000 -1",
        "0 100000",
        "100000 x",
        "99999999999999999999999 100000",
        "9000000000000000 1",
    };
    clear();
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/proc/self/cgroup", "0::/a");
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        put("/sys/fs/cgroup/a/cpu.max", none[i]);
        CHECK_LIMIT(0);
    }
    put("/sys/fs/cgroup/a/cpu.max", "1 1000000");
    CHECK_LIMIT(1); /* 0 would mean no limit */

    /* Malformed lines and lines that are too long. */
    char text[20000] =
        "garbage\n\n1 2 3\n - \n7 8 9 / /x rw - cgroup2\n5 1 0:3 / /overlay rw - overlay overlay rw,lowerdir=";
    memset(text + strlen(text), 'x', 9000);
    strcat(text, "\n" MOUNT_V2);
    put("/proc/self/mountinfo", text);
    put("/proc/self/cgroup", "garbage\n:\n::\n0:\n0::relative\n1:cpu\n0::/a");
    CHECK_LIMIT(1);
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "0::/", 4);
    put("/proc/self/cgroup", text);
    CHECK_LIMIT(0);
}

static void check_memory(uint64_t total, uint64_t available)
{
    struct memory_limit m = {8000, 7000};
    cgroup_limit_memory(root, &m);
    CHECK_MSG(m.total == total && m.available == available, "got %llu, %llu, want %llu, %llu",
              (unsigned long long)m.total, (unsigned long long)m.available, (unsigned long long)total,
              (unsigned long long)available);
}

/* The limit of every group around the process applies, each with the use of all groups in it. */
static void test_memory(void)
{
    clear();
    check_memory(8000, 7000); /* no control groups */
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/c/memory.current", "100\n");
    check_memory(8000, 7000);
    put("/sys/fs/cgroup/a/b/memory.max", "5000\n"); /* without its use */
    check_memory(5000, 5000);
    put("/sys/fs/cgroup/a/memory.max", "6000\n"); /* larger, but with less left */
    put("/sys/fs/cgroup/a/memory.current", "4000\n");
    check_memory(5000, 2000);
    put("/sys/fs/cgroup/a/memory.stat", "anon 7\ninactive_file 1500\nactive_file 9\n"); /* can be reclaimed */
    check_memory(5000, 3500);
    put("/sys/fs/cgroup/a/memory.stat", "inactive_file 4500\n");
    check_memory(5000, 5000);
    put("/sys/fs/cgroup/a/b/c/memory.max", "50\n"); /* less than is used */
    check_memory(50, 0);

    clear();
    put("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" MOUNT_V1
                                "36 35 0:33 / /sys/fs/cgroup/memory rw - cgroup memory rw,memory\n");
    put("/proc/self/cgroup", "4:memory:/x/y\n1:cpu:/z\n0::/\n");
    put("/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    put("/sys/fs/cgroup/memory/x/y/memory.usage_in_bytes", "300\n");
    check_memory(8000, 7000);
    put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "4000\n");
    put("/sys/fs/cgroup/memory/x/memory.usage_in_bytes", "1000\n");
    put("/sys/fs/cgroup/memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 600\n");
    check_memory(4000, 3600);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/z/memory.limit_in_bytes", "10\n"); /* another controller */
    check_memory(4000, 3600);
}
#endif

/* ----------------------------------------------------------------------------------------- CPUs */

static struct cpu_set set_of(const char *list)
{
    struct cpu_set set = {{0}};
    cpu_set_add_list(&set, list);
    return set;
}

static int count_of(const char *list)
{
    const struct cpu_set set = set_of(list);
    return cpu_set_count(&set);
}

static void test_lists(void)
{
    const struct cpu_set set = set_of("0-3,8,70-71\n");
    CHECK(cpu_set_count(&set) == 7 && cpu_set_has(&set, 0) && cpu_set_has(&set, 3) && !cpu_set_has(&set, 4));
    CHECK(cpu_set_has(&set, 8) && cpu_set_has(&set, 71) && !cpu_set_has(&set, -1) && !cpu_set_has(&set, CPUS_MAX));
    CHECK(count_of("") == 0 && count_of("x") == 0 && count_of("5-2") == 0 && count_of("3,") == 1 &&
          count_of("3-") == 1);
    CHECK(count_of("0-99999999999999999999") == CPUS_MAX && count_of("9999999") == 0 && count_of("1,,2") == 1);
}

static struct cpus read_cpus(const char *allowed)
{
    const struct cpu_set set = set_of(allowed);
    struct cpus cpus;
    cpus_read_at(&cpus, root, &set);
    return cpus;
}

static void test_cores(void)
{
    struct cpus cpus;
    clear();
    cpus = read_cpus("0-3"); /* without topology every CPU counts as a core */
    CHECK(cpus.logical == 4 && cpus.cores == 4 && cpus.millicpus == 0);
    cpus = read_cpus("");
    CHECK(cpus.logical == 1 && cpus.cores == 1);
    for (int cpu = 0; cpu < 8; cpu++) { /* four cores with two threads each */
        char name[128], list[32];
        snprintf(name, sizeof name, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        snprintf(list, sizeof list, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        put(name, list);
    }
    cpus = read_cpus("0-7");
    CHECK(cpus.logical == 8 && cpus.cores == 4 && cpus_threads(&cpus) == 4 && cpus_at_once(&cpus) == 8);
    cpus = read_cpus("4-7");
    CHECK(cpus.logical == 4 && cpus.cores == 4);
    cpus = read_cpus("1,2,5");
    CHECK(cpus.logical == 3 && cpus.cores == 2);
#if defined(__linux__)
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/proc/self/cgroup", "0::/a");
    put("/sys/fs/cgroup/a/cpu.max", "240000 100000");
    cpus = read_cpus("0-7");
    CHECK(cpus.millicpus == 2400 && cpus_threads(&cpus) == 2 && cpus_at_once(&cpus) == 2);
#endif
}

static void test_thread_numbers(void)
{
    static const struct {
        int logical, cores, millicpus, threads, at_once;
    } cases[] = {
        {8, 4, 0, 4, 8},    {8, 4, 20000, 4, 8}, {8, 4, 4000, 4, 4}, {8, 4, 3500, 4, 3}, {8, 4, 3499, 3, 3},
        {8, 4, 1500, 2, 1}, {8, 4, 1400, 1, 1},  {8, 4, 100, 1, 1},  {1, 1, 5000, 1, 1}, {8, 4, 6500, 4, 6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct cpus cpus = {cases[i].logical, cases[i].cores, cases[i].millicpus};
        CHECK_MSG(cpus_threads(&cpus) == cases[i].threads, "case %zu: %d", i, cpus_threads(&cpus));
        CHECK_MSG(cpus_at_once(&cpus) == cases[i].at_once, "case %zu: %d", i, cpus_at_once(&cpus));
    }
    struct cpus here;
    cpus_read(&here);
    CHECK(here.cores >= 1 && here.logical >= here.cores && cpus_threads(&here) >= 1);
}

/* --------------------------------------------------------------------------------------- caches */

/* Writes one cache of CPU `cpu`. */
static void put_cache(int cpu, int index, int level, const char *type, const char *size, const char *shared)
{
    static const char *const names[] = {"level", "type", "size", "shared_cpu_list"};
    char number[16];
    snprintf(number, sizeof number, "%d\n", level);
    const char *const texts[] = {number, type, size, shared};
    for (int i = 0; i < 4; i++) {
        char name[128];
        snprintf(name, sizeof name, "/sys/devices/system/cpu/cpu%d/cache/index%d/%s", cpu, index, names[i]);
        if (texts[i])
            put(name, texts[i]);
    }
}

static void check_caches(const char *allowed, size_t l1, size_t l2, size_t l3)
{
    const struct cpu_set set = set_of(allowed);
    struct caches got;
    caches_read_at(&got, root, &set);
    CHECK_MSG(got.l1 >> 10 == l1 && got.l2 >> 10 == l2 && got.l3 >> 10 == l3, "got %zu, %zu, %zu bytes", got.l1, got.l2,
              got.l3);
}

static void test_caches(void)
{
    clear();
    check_caches("0-3", 32, 256, 0); /* defaults */
    check_caches("", 32, 256, 0);
    for (int cpu = 0; cpu < 8; cpu++) { /* four cores with two threads each */
        char own[32];
        snprintf(own, sizeof own, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        put_cache(cpu, 0, 1, "Data\n", "48K\n", own);
        put_cache(cpu, 1, 1, "Instruction\n", "8K\n", own);
        put_cache(cpu, 2, 2, "Unified\n", "2048K\n", own);
        put_cache(cpu, 3, 3, "Unified\n", "32M\n", "0-7\n");
    }
    check_caches("0-7", 48, 2048, 8 << 10); /* the two threads of a core do not divide its caches */
    check_caches("0-3", 48, 2048, 8 << 10);
    check_caches("0,1", 48, 2048, 16 << 10); /* two cores share the third level */
    check_caches("2", 48, 2048, 32 << 10);

    /* Adds four small cores that share a second-level cache, as in Intel's hybrid CPUs. */
    for (int cpu = 8; cpu < 12; cpu++) {
        char own[32];
        snprintf(own, sizeof own, "%d\n", cpu);
        put_cache(cpu, 0, 1, "Data\n", "32768\n", own);
        put_cache(cpu, 1, 2, "Unified\n", "4M\n", "8-11\n");
        put_cache(cpu, 2, 3, "Unified\n", "32M\n", "0-11\n");
    }
    check_caches("0-11", 32, 1024,
                 (32 << 10) /
                     12); /* the smallest share: of CPU 8, whose cores have one thread each, so 12 share the cache */
    check_caches("4-7", 48, 2048, 8 << 10);
    check_caches("8-9", 32, 2048, 16 << 10);

    static const char *const odd[] = {"", "\n", "0K", "abc", "-4K", "99999999999999999999G", "2K", "1G"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        clear();
        put_cache(0, 0, 1, "Data", odd[i], "0");
        put_cache(0, 1, 2, "Unified", odd[i], NULL); /* without a list of sharing CPUs */
        check_caches("0", 32, i + 1 == sizeof odd / sizeof odd[0] ? 1 << 20 : 256, 0);
    }
    clear();
    put_cache(0, 0, 1, NULL, "64K", "0");
    put_cache(0, 1, 7, "Data", "64K", "0");
    put_cache(0, 2, 2, "Unified", "1M", "5-6");
    check_caches("0", 32, 1024, 0);

    struct caches here;
    caches_read(&here);
    CHECK(here.l1 >= 4096 && here.l2 >= here.l1);
}

/* -------------------------------------------------------------------------------------- threads */

#if defined(__linux__)
static void keep_one_cpu(void *arg, struct pool *pool, int rank)
{
    (void)pool, (void)rank;
    sched_setaffinity(0, sizeof(cpu_set_t), arg);
}

static void count_ranks(void *arg, struct pool *pool, int rank)
{
    pool_barrier(pool);
    __atomic_fetch_add((int *)arg, rank + 1, __ATOMIC_RELAXED);
    pool_barrier(pool);
}

/* Runs enough jobs for a pool to check its CPUs again. */
static void run_jobs(struct pool *pool)
{
    for (int i = 0; i < 100; i++) {
        int sum = 0;
        pool_run(pool, count_ranks, &sum);
        CHECK(sum == pool_threads(pool) * (pool_threads(pool) + 1) / 2);
    }
}

static void test_crowded_pool(void)
{
    cpu_set_t before, one;
    struct pool *pool = NULL, *alone = NULL;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);

    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK(pool_create(2, &pool, NULL) == RWKV7_OK && pool_create(1, &alone, NULL) == RWKV7_OK);
    CHECK(pool_is_crowded(pool) && !pool_is_crowded(alone));
    run_jobs(pool);
    run_jobs(alone);
    CHECK(pool_is_crowded(pool) && !pool_is_crowded(alone));
    pool_destroy(pool);
    pool_destroy(alone);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);

    struct cpus cpus;
    cpus_read(&cpus);
    if (cpus_at_once(&cpus) < 2) {
        SKIP("threads that lose a CPU: there is only one");
        return;
    }
    CHECK(pool_create(2, &pool, NULL) == RWKV7_OK);
    run_jobs(pool);
    CHECK(!pool_is_crowded(pool));
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0); /* only this thread; the helper keeps the other CPUs */
    run_jobs(pool);
    CHECK(!pool_is_crowded(pool));
    pool_destroy(pool);

    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
    CHECK(pool_create(2, &pool, NULL) == RWKV7_OK);
    run_jobs(pool);
    CHECK(!pool_is_crowded(pool));
    pool_run(pool, keep_one_cpu, &one); /* every thread, as with taskset -a */
    run_jobs(pool);
    CHECK(pool_is_crowded(pool));
    pool_run(pool, keep_one_cpu, &before);
    run_jobs(pool);
    CHECK(!pool_is_crowded(pool));
    pool_destroy(pool);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
}
#endif

int main(void)
{
    if (!mkdtemp(root))
        return 1;
#if defined(__linux__)
    RUN(test_version_2);
    RUN(test_version_1);
    RUN(test_containers);
    RUN(test_odd_limits);
    RUN(test_memory);
#else
    SKIP("control groups: only Linux has them");
#endif
    RUN(test_lists);
    RUN(test_cores);
    RUN(test_thread_numbers);
    RUN(test_caches);
#if defined(__linux__)
    RUN(test_crowded_pool);
#endif
    clear();
    rmdir(root);
    return test_end();
}
