/*
 * hook.c - a preloaded library (LD_PRELOAD) that makes one call of a program fail, or kills the
 * program there. faults.py uses it.
 *
 *   RWKV7_FAULT=KIND:N:HOW      the N-th call of the kind, counted from 1
 *   RWKV7_FAULT_COUNTS=FILE     shared mapping, uint32 [KINDS + 1]: the number of calls of each kind, then 1 once the fault
 *                               has happened. The file survives a killed process.
 *
 *   KIND    see `kinds`; "none": no fault, counts all kinds
 *   HOW     a number: the call fails with this errno; +number: all later calls fail, too; "short": reads or writes half of the
 *           bytes; "kill": SIGKILL instead of the call; "tear": SIGKILL after half of the bytes are written
 *
 * Allocation functions are replaced by name, so those of all libraries count (cJSON, libedit, stdio, threads). System calls cannot be
 * replaced by name, since stdio calls them inside libc. A seccomp filter traps them, and the SIGSYS handler makes them from one
 * instruction that the filter allows. Only calls of the requested kind are trapped. Linux and glibc on x86-64 and aarch64.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))

/* In the order of KINDS in faults.py. */
enum kind { ALLOC, THREAD, READ, WRITE, OPEN, SYNC, RENAME, LINK, MAP, TRUNCATE, STATUS, KINDS };
static const char *const kinds[KINDS] = {"alloc",  "thread", "read", "write",    "open",  "sync",
                                         "rename", "link",   "map",  "truncate", "status"};

static const struct {
    int number;
    enum kind kind;
} calls[] = {
    {SYS_read, READ},        {SYS_pread64, READ},       {SYS_readv, READ},      {SYS_write, WRITE},
    {SYS_pwrite64, WRITE},   {SYS_writev, WRITE},       {SYS_openat, OPEN},     {SYS_fsync, SYNC},
    {SYS_fdatasync, SYNC},   {SYS_renameat2, RENAME},   {SYS_renameat, RENAME}, {SYS_linkat, LINK},
    {SYS_mmap, MAP},         {SYS_ftruncate, TRUNCATE}, {SYS_fstat, STATUS},    {SYS_newfstatat, STATUS},
    {SYS_statx, STATUS},     {SYS_getdents64, STATUS},  {SYS_lseek, STATUS},    {SYS_mkdirat, STATUS},
    {SYS_faccessat, STATUS}, {SYS_readlinkat, STATUS},  {SYS_fcntl, STATUS},
#if defined(__x86_64__)
    {SYS_open, OPEN},        {SYS_creat, OPEN},         {SYS_rename, RENAME},   {SYS_link, LINK},
    {SYS_stat, STATUS},      {SYS_lstat, STATUS},       {SYS_mkdir, STATUS},    {SYS_access, STATUS},
    {SYS_readlink, STATUS},
#endif
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static uint32_t unmapped[KINDS + 1];
static uint32_t *counts = unmapped; /* [KINDS + 1] */
static enum kind wanted = KINDS;
static uint32_t wanted_at;
static int error; /* 0: see `how` */
static enum { FAIL, SHORT, KILL, TEAR } how;
static bool all_that_follow;

/* Counts a call; returns whether it is the one that must fail. */
static bool is_due(enum kind kind)
{
    const uint32_t n = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_RELAXED);
    if (kind != wanted || (all_that_follow ? n < wanted_at : n != wanted_at))
        return false;
    counts[KINDS] = 1;
    return true;
}

/* ------------------------------------------------------------------------------------------------------ system calls */

/* Makes a system call from the one instruction that the filter allows. The filter compares the address after it. */
HIDDEN long fault_call(long number, long a, long b, long c, long d, long e, long f);
HIDDEN extern const char fault_call_passes[];
#if defined(__x86_64__)
__asm__(".text\n.globl fault_call, fault_call_passes\n.hidden fault_call, fault_call_passes\n"
        "fault_call:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tmov %rdx, %rsi\n\tmov %rcx, %rdx\n\tmov %r8, %r10\n"
        "\tmov %r9, %r8\n\tmov 8(%rsp), %r9\n\tsyscall\nfault_call_passes:\n\tret\n");
#define ARGUMENT(context, i) ((context)->uc_mcontext.gregs[arguments[i]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
static const int arguments[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
__asm__(
    ".text\n.globl fault_call, fault_call_passes\n.hidden fault_call, fault_call_passes\n"
    "fault_call:\n\tmov x8, x0\n\tmov x0, x1\n\tmov x1, x2\n\tmov x2, x3\n\tmov x3, x4\n\tmov x4, x5\n\tmov x5, x6\n"
    "\tsvc #0\nfault_call_passes:\n\tret\n");
#define ARGUMENT(context, i) ((context)->uc_mcontext.regs[i])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static enum kind kind_of(int number)
{
    for (int i = 0; i < CALLS; i++)
        if (calls[i].number == number)
            return calls[i].kind;
    return KINDS;
}

static void on_call(int signal_number, siginfo_t *info, void *state)
{
    (void)signal_number;
    ucontext_t *const context = state;
    const int number = info->si_syscall;
    const enum kind kind = kind_of(number);
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = (long)ARGUMENT(context, i);
    const bool spared = kind == WRITE && a[0] == STDERR_FILENO; /* faults.py reads it */
    const bool due = !spared && is_due(kind), moves = kind == READ || kind == WRITE;
    if (due && how == FAIL) {
        RESULT(context) = -error;
        return;
    }
    if (due && moves && (how == SHORT || how == TEAR) && a[2] > 1)
        a[2] = number == SYS_readv || number == SYS_writev ? 1 : a[2] / 2; /* bytes, or buffers */
    if (due && how == TEAR)
        fault_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (due && how != SHORT)
        fault_call(SYS_kill, getpid(), SIGKILL, 0, 0, 0, 0);
    RESULT(context) = fault_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Traps all calls of the kind; of every kind for KINDS. */
static void trap(enum kind kind)
{
    enum { HEAD = 9 };
    const uint64_t passes = (uint64_t)(uintptr_t)fault_call_passes;
    struct sock_filter filter[HEAD + 2 * CALLS + 1] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)passes, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(passes >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    unsigned short n = HEAD;
    for (int i = 0; i < CALLS; i++) {
        if (kind != KINDS && calls[i].kind != kind)
            continue;
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    const struct sock_fprog program = {n, filter};
    if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77); /* faults.py skips the test: not possible on this system */
}

/* Never blocks SIGSYS, because a trapped call would kill a thread that has blocked it. */
EXPORT int pthread_sigmask(int what, const sigset_t *set, sigset_t *before)
{
    static int (*next)(int, const sigset_t *, sigset_t *);
    sigset_t changed;
    if (!next)
        next = (int (*)(int, const sigset_t *, sigset_t *))(uintptr_t)dlsym(RTLD_NEXT, "pthread_sigmask");
    if (set && what != SIG_UNBLOCK) {
        changed = *set;
        sigdelset(&changed, SIGSYS);
        set = &changed;
    }
    return next(what, set, before);
}

/* ------------------------------------------------------------------------------------------- memory and other functions */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* Whether this allocation must fail. */
static bool lacks_memory(void)
{
    if (!is_due(ALLOC))
        return false;
    if (how == KILL)
        kill(getpid(), SIGKILL);
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    return lacks_memory() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return lacks_memory() ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size)
{
    return (!p || size > 0) && lacks_memory() ? NULL : __libc_realloc(p, size);
}

EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, count * size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    return lacks_memory() ? NULL : __libc_memalign(alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *const p = memalign(alignment, size);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!next)
        next = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))(uintptr_t)dlsym(
            RTLD_NEXT, "pthread_create");
    return is_due(THREAD) ? EAGAIN : next(thread, attributes, start, arg);
}

/* ----------------------------------------------------------------------------------------------------------- beginning */

static void share_counts(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void *const p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof unmapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        _exit(77);
    close(fd);
    counts = p;
}

__attribute__((constructor)) static void begin(void)
{
    const char *const fault = getenv("RWKV7_FAULT"), *const path = getenv("RWKV7_FAULT_COUNTS");
    char kind[16], manner[16];
    unsigned at;
    if (!fault || !path || sscanf(fault, "%15[a-z]:%u:%15s", kind, &at, manner) != 3)
        return;
    share_counts(path);
    how = strcmp(manner, "short") == 0  ? SHORT
          : strcmp(manner, "kill") == 0 ? KILL
          : strcmp(manner, "tear") == 0 ? TEAR
                                        : FAIL;
    all_that_follow = manner[0] == '+';
    error = atoi(manner);
    memset(counts, 0, sizeof unmapped);
    wanted_at = at;
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kind, kinds[i]) == 0)
            wanted = (enum kind)i;
    if (wanted == KINDS || wanted > THREAD)
        trap(wanted);
}
