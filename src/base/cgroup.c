/*
 * cgroup.c - reads the CPU and memory limits that Linux control groups set for this process.
 *
 * A container or a systemd unit may be limited to 1.5 CPUs on a machine with 64. The limits are in
 * files of the group's folder:
 *
 *              version 2                                    version 1
 *     CPU      cpu.max: "quota period", in microseconds     cpu.cfs_quota_us, cpu.cfs_period_us
 *     memory   memory.max                                   memory.limit_in_bytes
 *
 * Groups are nested, and the limits of all of them apply. So every folder from the group of the
 * process up to the mount point is read. Two files give the paths of these folders:
 *
 *     /proc/self/cgroup      "0::/a/b" (version 2) or "3:cpu,cpuacct:/a/b" (version 1):
 *                            the group as a path in its hierarchy
 *     /proc/self/mountinfo   where a hierarchy is mounted, and which part of it:
 *                            "32 31 0:29 /a /sys/fs/cgroup/cpu ... - cgroup cgroup rw,cpu"
 *
 * Nothing here fails: what cannot be read or parsed is treated as no limit.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpus.h"

#if defined(__linux__)

enum { LINE = 4096, PATH = LINE + 1024 }; /* bytes */

/* Reads the next line, without its line feed. Skips lines that are too long. */
static bool read_line(FILE *f, char line[LINE])
{
    while (fgets(line, LINE, f)) {
        const size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\n') {
            line[n - 1] = '\0';
            return true;
        }
        if (n < LINE - 1)
            return n > 0; /* false at the end of the file */
        for (int c; (c = getc(f)) != EOF && c != '\n';)
            ;
    }
    return false;
}

/* Whether a list such as "rw,cpu,cpuacct" contains an item. */
static bool has_item(const char *list, const char *item)
{
    const size_t n = strlen(item);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, item, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

/*
 * Reads one or two numbers from the first line of a file; out[1] is 0 if there is only one. Returns
 * false if the line does not start with a number ("max").
 */
static bool read_numbers(const char *folder, const char *name, long long out[2])
{
    char path[PATH + 64], text[128], *rest;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    const bool got = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    if (!got)
        return false;
    out[0] = strtoll(text, &rest, 10);
    out[1] = strtoll(rest, NULL, 10);
    return rest != text;
}

/* Returns the limit of one folder in thousandths of a CPU; 0 if there is none. */
static int folder_limit(const char *folder, bool unified)
{
    long long quota[2], period[2];
    if (unified) {
        if (!read_numbers(folder, "cpu.max", quota))
            return 0;
        period[0] = quota[1];
    } else if (!read_numbers(folder, "cpu.cfs_quota_us", quota) || !read_numbers(folder, "cpu.cfs_period_us", period)) {
        return 0;
    }
    if (quota[0] <= 0 || period[0] <= 0 || quota[0] > INT64_MAX / 1000)
        return 0;
    const long long millicpus = quota[0] * 1000 / period[0];
    return millicpus > INT32_MAX ? 0 : millicpus < 1 ? 1 : (int)millicpus;
}

static int smaller_limit(int a, int b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Returns the number after `key` in memory.stat; 0 if there is none. */
static uint64_t read_stat(const char *folder, const char *key)
{
    char path[PATH + 64], line[128];
    const size_t n = strlen(key);
    long long number = 0;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *f = fopen(path, "r");
    while (f && number == 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            number = strtoll(line + n, NULL, 10);
    if (f)
        fclose(f);
    return number > 0 ? (uint64_t)number : 0;
}

/*
 * Reduces *m to the limits of one folder. The kernel counts cached file pages as used memory. They
 * can be reclaimed, so they are subtracted.
 */
static void folder_memory(const char *folder, bool unified, struct memory_limit *m)
{
    long long limit[2], used[2];
    if (!read_numbers(folder, unified ? "memory.max" : "memory.limit_in_bytes", limit) || limit[0] < 0)
        return;
    const uint64_t most = (uint64_t)limit[0],
                   cached = read_stat(folder, unified ? "inactive_file" : "total_inactive_file");
    if (!read_numbers(folder, unified ? "memory.current" : "memory.usage_in_bytes", used) || used[0] < 0)
        used[0] = 0;
    const uint64_t taken = (uint64_t)used[0] > cached ? (uint64_t)used[0] - cached : 0;
    const uint64_t left = most > taken ? most - taken : 0;
    m->total = most < m->total ? most : m->total;
    m->available = left < m->available ? left : m->available;
}

/* Finds the group of this process in the hierarchy; returns false if there is none. */
static bool find_group(const char *root, bool unified, const char *controller, char group[LINE])
{
    char path[PATH];
    bool found = false;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    while (f && !found && read_line(f, group)) {
        char *const controllers = strchr(group, ':'), *const name = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!name || name[1] != '/')
            continue;
        *name = '\0';
        found = unified ? strcmp(group, "0:") == 0 : has_item(controllers + 1, controller);
        if (found)
            memmove(group, name + 1, strlen(name + 1) + 1);
    }
    if (f)
        fclose(f);
    return found;
}

/* Decodes \040 and other octal escapes, which mountinfo uses for white space and backslashes. */
static void decode_octal(char *text)
{
    char *to = text;
    for (const char *at = text; *at; to++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' &&
            at[3] <= '7') {
            *to = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 4;
        } else {
            *to = *at++;
        }
    }
    *to = '\0';
}

/*
 * Parses a line of mountinfo: *part is the folder of the hierarchy that is mounted, *point the
 * mount point. Returns false for other hierarchies.
 */
static bool parse_mount(char *line, bool unified, const char *controller, char **part, char **point)
{
    char *fields[5], *at = line, *rest = strstr(line, " - ");
    if (!rest)
        return false;
    *rest = '\0';
    for (int i = 0; i < 5; i++) {
        fields[i] = at;
        if (!(at = strchr(at, ' ')) && i < 4)
            return false;
        if (at)
            *at++ = '\0';
    }
    char *const type = rest + 3, *const source = strchr(type, ' '),
                *const options = source ? strchr(source + 1, ' ') : NULL;
    if (!options)
        return false;
    *source = '\0';
    *part = fields[3];
    *point = fields[4];
    decode_octal(*part);
    decode_octal(*point);
    return unified ? strcmp(type, "cgroup2") == 0 : strcmp(type, "cgroup") == 0 && has_item(options + 1, controller);
}

/*
 * Returns the path of a group relative to the mount point of `part`. Returns "" if the group is
 * outside `part`: then the limit of the mount point applies.
 */
static const char *group_below(const char *group, const char *part)
{
    const size_t n = strcmp(part, "/") == 0 ? 0 : strlen(part);
    if (strncmp(group, part, n) != 0 || group[n] != '/' || strstr(group, "/../"))
        return "";
    return group + n;
}

/*
 * Calls `visit` for the group's folder in one hierarchy and for its parent folders up to the mount
 * point.
 */
static void visit_groups(const char *root, bool unified, const char *controller,
                         void visit(const char *folder, bool unified, void *arg), void *arg)
{
    char group[LINE], line[LINE], folder[PATH];
    if (!find_group(root, unified, controller, group))
        return;
    snprintf(folder, sizeof folder, "%s/proc/self/mountinfo", root);
    FILE *f = fopen(folder, "r");
    while (f && read_line(f, line)) {
        char *part, *point;
        if (!parse_mount(line, unified, controller, &part, &point))
            continue;
        const size_t top = strlen(root) + strlen(point);
        if ((size_t)snprintf(folder, sizeof folder, "%s%s%s", root, point, group_below(group, part)) >= sizeof folder)
            continue;
        visit(folder, unified, arg);
        while (strlen(folder) > top) {
            *strrchr(folder, '/') = '\0';
            visit(folder, unified, arg);
        }
    }
    if (f)
        fclose(f);
}

static void visit_cpus(const char *folder, bool unified, void *arg)
{
    int *const limit = arg;
    *limit = smaller_limit(*limit, folder_limit(folder, unified));
}

static void visit_memory(const char *folder, bool unified, void *arg)
{
    folder_memory(folder, unified, arg);
}

int cgroup_millicpus(const char *root)
{
    int limit = 0;
    visit_groups(root, true, "cpu", visit_cpus, &limit);
    visit_groups(root, false, "cpu", visit_cpus, &limit);
    return limit;
}

void cgroup_limit_memory(const char *root, struct memory_limit *m)
{
    visit_groups(root, true, "memory", visit_memory, m);
    visit_groups(root, false, "memory", visit_memory, m);
}

#else

int cgroup_millicpus(const char *root)
{
    (void)root;
    return 0;
}

void cgroup_limit_memory(const char *root, struct memory_limit *m)
{
    (void)root;
    (void)m;
}

#endif
