/*
 * cpus.h - the processors that this process may use: which of them, how much of their time, and the
 * sizes of their caches.
 *
 * On Linux the answers come from files in /proc and /sys. `root` is a path put before these names:
 * "" for this machine. Tests pass a folder that imitates another machine, and the set of allowed
 * CPUs.
 */
#ifndef BASE_CPUS_H
#define BASE_CPUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUS_MAX 8192 /* logical CPUs; the largest number that Linux can be configured for */
#define CPU_SET_BITS (8 * sizeof(unsigned long))

/* A set of logical CPUs (hardware threads); same layout as cpu_set_t. */
struct cpu_set {
    unsigned long bits[CPUS_MAX / CPU_SET_BITS];
};

static inline bool cpu_set_has(const struct cpu_set *set, int cpu)
{
    return cpu >= 0 && cpu < CPUS_MAX && (set->bits[(size_t)cpu / CPU_SET_BITS] >> (size_t)cpu % CPU_SET_BITS & 1);
}
int cpu_set_count(const struct cpu_set *set);
/* Adds the CPUs of a list such as "0-3,8,10-11". Parsing stops at the first syntax error. */
void cpu_set_add_list(struct cpu_set *set, const char *list);

/*
 * Adds the CPUs that a thread may run on (affinity, cpuset). Returns false if the system does not
 * report them.
 */
bool cpus_add_allowed(struct cpu_set *set, pthread_t thread);

struct cpus {
    int logical;   /* logical CPUs that this process may use, at least 1 */
    int cores;     /* physical cores that these belong to; Apple: performance cores */
    int millicpus; /* limit of the control groups in thousandths of a CPU; 0: no limit */
};
void cpus_read(struct cpus *out);
void cpus_read_at(struct cpus *out, const char *root, const struct cpu_set *allowed);

/*
 * Returns the default number of threads: the number of cores, or the CPU limit of the control
 * groups if it is smaller (rounded, at least 1).
 */
int cpus_threads(const struct cpus *cpus);
/* Returns how many threads can run concurrently without being throttled. */
int cpus_at_once(const struct cpus *cpus);

/*
 * Returns the smallest limit of all control groups that contain this process, of both versions, in
 * thousandths of a CPU; 0: no limit (cgroup.c).
 */
int cgroup_millicpus(const char *root);

struct memory_limit {
    uint64_t total, available; /* bytes */
};
/*
 * Applies the memory limits of the control groups that contain this process (cgroup.c). Reduces
 * `total` to the smallest limit and `available` to the smallest unused part of a limit. `root` as
 * above.
 */
void cgroup_limit_memory(const char *root, struct memory_limit *m);

/*
 * Cache sizes in bytes per core. The size of a shared cache is divided by the number of allowed
 * cores that share it. If cores differ, each size is the smallest of its level. l3 is 0 if there is
 * none.
 */
struct caches {
    size_t l1, l2, l3; /* l1: data cache */
};
void caches_read(struct caches *out);
void caches_read_at(struct caches *out, const char *root, const struct cpu_set *allowed);
/* Assumed if nothing can be read. */
#define CACHES_L1 ((size_t)32 << 10)
#define CACHES_L2 ((size_t)256 << 10)

#endif
