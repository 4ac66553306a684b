/* bench_machine.c - CPU, memory, limits and load of this machine. See bench_sizes.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/cpus.h"
#include "base/plain.h"
#include "base/sys.h"
#include "cli/commands/bench_sizes.h"
#include "cli/io/terminal.h"

/*
 * Copies the rest of the first line that starts with `key`, without the separators; false: no such
 * line.
 */
static bool read_field(const char *path, const char *key, char *out, size_t room)
{
    char line[512];
    bool found = false;
    FILE *const f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *const from = line + strlen(key) + strspn(line + strlen(key), " \t:");
        snprintf(out, room, "%.*s", (int)strcspn(from, "\n"), from);
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

/* Returns the number at the start of the field; 0: there is none. */
static double read_number(const char *path, const char *key)
{
    char text[64];
    return read_field(path, key, text, sizeof text) ? strtod(text, NULL) : 0;
}

static void read_memory(struct machine *m)
{
    const uint64_t physical = sys_physical_memory();
    const double available = 1024 * read_number("/proc/meminfo", "MemAvailable");
    struct memory_limit memory = {physical, available > 0 ? (uint64_t)available : physical};
    cgroup_limit_memory("", &memory);
    m->memory = (double)memory.total;
    m->available = (double)memory.available;
}

void machine_read(struct machine *m)
{
    struct cpus cpus;
    struct caches caches;
    struct utsname system;
    const time_t now = time(NULL);
    struct tm day;

    memset(m, 0, sizeof *m);
    if (!read_field("/proc/cpuinfo", "model name", m->cpu, sizeof m->cpu))
        snprintf(m->cpu, sizeof m->cpu, "%.60s CPU", uname(&system) == 0 ? system.machine : "unknown");
    rwkv7_text_plain(m->cpu);
    if (!localtime_r(&now, &day) || strftime(m->date, sizeof m->date, "%Y-%m-%d", &day) == 0)
        m->date[0] = '\0';
    cpus_read(&cpus);
    caches_read(&caches);
    m->cores = cpus.cores;
    m->limit = cpus.millicpus / 1000.0;
    m->cache = (double)cpus.cores * (double)(caches.l2 + caches.l3);
    read_memory(m);
}

struct cpu_time cpu_time_now(void)
{
    struct cpu_time t = {.at = seconds(), .total = -1};
    struct timespec own;
    char text[256];
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own) == 0)
        t.own = (double)own.tv_sec + 1e-9 * (double)own.tv_nsec;
    if (!read_field("/proc/stat", "cpu ", text, sizeof text))
        return t;
    /* user nice system idle iowait irq softirq steal, in ticks */
    double ticks[8] = {0};
    char *at = text;
    for (int i = 0; i < 8; i++)
        ticks[i] = strtod(at, &at);
    const double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    t.total = tick * (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]);
    t.taken = tick * ticks[7];
    return t;
}

double cpu_time_others(const struct cpu_time *begin, const struct cpu_time *end)
{
    const double passed = end->at - begin->at;
    if (begin->total < 0 || end->total < 0 || passed <= 0)
        return -1;
    const double others = end->total - begin->total - (end->own - begin->own) + end->taken - begin->taken;
    return others > 0 ? others / passed : 0;
}
