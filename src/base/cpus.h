/*
 * cpus.h - the processors that this process may use: which of them, how much of their time, and the sizes of their caches.
 *
 * On Linux the answers are in files below /proc and /sys. `root` is a path put before these names: "" for this machine; tests pass a
 * folder in which they made up another, and the CPUs that a process may use there.
 */
#ifndef BASE_CPUS_H
#define BASE_CPUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define CPUS_MOST 8192 /* logical CPUs: the most that Linux can be built for */
#define CPU_SET_BITS (8 * sizeof(unsigned long))

/* A set of logical CPUs (hardware threads); laid out like cpu_set_t. */
struct cpu_set {
    unsigned long bits[CPUS_MOST / CPU_SET_BITS];
};

static inline bool cpu_set_has(const struct cpu_set *set, int cpu)
{
    return cpu >= 0 && cpu < CPUS_MOST && (set->bits[(size_t)cpu / CPU_SET_BITS] >> (size_t)cpu % CPU_SET_BITS & 1);
}
int cpu_set_count(const struct cpu_set *set);
/* Adds the CPUs of a list such as "0-3,8,10-11"; stops at what is no such list. */
void cpu_set_add_list(struct cpu_set *set, const char *list);

/* Adds the CPUs that a thread may run on (affinity, cpuset); false when the system does not say. */
bool cpus_add_allowed(struct cpu_set *set, pthread_t thread);

struct cpus {
    int logical;   /* that this process may use, at least 1 */
    int cores;     /* the physical cores they belong to; Apple: the performance cores */
    int millicpus; /* time granted by control groups, 1500: one and a half CPUs; 0: no limit */
};
void cpus_read(struct cpus *out);
void cpus_read_at(struct cpus *out, const char *root, const struct cpu_set *allowed);

/* The number of threads to start where the user names none: the cores, or the limit of the control groups to the nearest number. */
int cpus_threads(const struct cpus *cpus);
/* How many threads can run at the same time for as long as they like. */
int cpus_at_once(const struct cpus *cpus);

/*
 * The smallest limit of the control groups that this process is in, those around them included, both versions, in thousandths of a
 * CPU; 0: no limit (cgroup.c).
 */
int cgroup_millicpus(const char *root);

/*
 * Bytes of cache that one core has for itself: a cache that is shared is divided by the cores that share it and that this process may
 * use. Where cores differ, the smallest of each level. l3 is 0 when there is none.
 */
struct caches {
    size_t l1, l2, l3; /* l1: data */
};
void caches_read(struct caches *out);
void caches_read_at(struct caches *out, const char *root, const struct cpu_set *allowed);
/* What is assumed when nothing can be read. */
#define CACHES_L1 ((size_t)32 << 10)
#define CACHES_L2 ((size_t)256 << 10)

#endif
