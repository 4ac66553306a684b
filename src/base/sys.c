/* sys.c - see sys.h. */
#if defined(__linux__)
#define _GNU_SOURCE /* madvise, syscall */
#endif
#include "base/sys.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "base/inputs.h"
#include "base/mem.h"

double sys_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---------------------------------------------------------------------------------------- files */

static const char *file_kind(mode_t mode)
{
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
           : S_ISSOCK(mode) ? "a socket"
                            : "a file of another kind";
}

static enum rwkv7_status map_file(const char *path, bool input, struct file_map *out, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    struct stat st;

    *out = (struct file_map){0};
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "%s", path);
    if (fstat(fd, &st) != 0) {
        status = fail_errno(err, "%s", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        status = fail(err, RWKV7_ERR_IO, "%s: expected a regular file, found %s", path, file_kind(st.st_mode));
        goto done;
    }
    if (input && (status = input_map(&st, path, &out->input, err)) != RWKV7_OK)
        goto done;
    if (st.st_size == 0)
        goto done;
    if ((uintmax_t)st.st_size > PTRDIFF_MAX) {
        status = fail(err, RWKV7_ERR_IO, "%s: the file has %ju bytes, more than this program can address", path,
                      (uintmax_t)st.st_size);
        goto done;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        status = fail_errno(err, "%s: cannot map the file", path);
        goto done;
    }
    out->data = p;
    out->size = (size_t)st.st_size;
done:
    close(fd);
    if (status != RWKV7_OK)
        file_map_close(out);
    return status;
}

enum rwkv7_status file_map_open(const char *path, struct file_map *out, struct rwkv7_error *err)
{
    return map_file(path, true, out, err);
}

enum rwkv7_status file_map_open_replaceable(const char *path, struct file_map *out, struct rwkv7_error *err)
{
    return map_file(path, false, out, err);
}

void file_map_close(struct file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    input_unmapped(map->input);
    *map = (struct file_map){0};
}

void file_map_release(const void *data, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)data + size) / page * page;
    if (begin < end)
        posix_madvise((void *)begin, end - begin, POSIX_MADV_DONTNEED);
#if defined(__linux__)
    /*
     * glibc ignores POSIX_MADV_DONTNEED, because on Linux it would discard writes. This memory is
     * read-only, so madvise is called directly.
     */
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
#endif
}

/* Gives advice for all pages that overlap [data, data + size). */
static void advise(const void *data, size_t size, int advice)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data / page * page;
    posix_madvise((void *)begin, size + ((uintptr_t)data - begin), advice);
}

void file_map_wanted(const void *data, size_t size)
{
    advise(data, size, POSIX_MADV_WILLNEED);
}

void file_map_sparse(const void *data, size_t size)
{
    advise(data, size, POSIX_MADV_RANDOM);
}

bool path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool path_is_named(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* -------------------------------------------------------------------------------------- machine */

uint64_t sys_physical_memory(void)
{
#if defined(__APPLE__)
    uint64_t bytes = 0;
    size_t size = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
#else
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
#endif
}

uint64_t sys_peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (uint64_t)usage.ru_maxrss; /* bytes */
#else
    return (uint64_t)usage.ru_maxrss * 1024; /* KiB */
#endif
}

bool sys_allow_tiles(void)
{
#if defined(__linux__) && defined(__x86_64__)
    const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM and XFEATURE_XTILEDATA, since Linux 5.16 */
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return false;
#endif
}

bool sys_lock(const void *data, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)data / page * page;
    return size == 0 || mlock((void *)begin, (uintptr_t)data + size - begin) == 0;
}

bool sys_address_space(size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    return p != MAP_FAILED && munmap(p, size) == 0;
}

void *sys_pages_alloc(size_t size)
{
    void *p = mem_should_fail() ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#if defined(MADV_HUGEPAGE)
    madvise(p, size, MADV_HUGEPAGE); /* advice: fewer page faults during the first writes */
#endif
    return p;
}

void sys_pages_free(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}
