/* out_file.c - see out_file.h. */
#if defined(__linux__)
#define _GNU_SOURCE /* O_TMPFILE */
#endif
#include "base/out_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/inputs.h"
#include "base/mem.h"
#include "base/splitmix.h"
#include "base/sys.h"

/* Returns the descriptor that a path such as /dev/fd/3 names; -1 for any other path. */
static int descriptor_named(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const size_t n = strlen(folders[i]);
        if (strncmp(path, folders[i], n) == 0 && isdigit((unsigned char)path[n])) {
            char *end;
            const long fd = strtol(path + n, &end, 10);
            return *end == '\0' && fd <= INT_MAX ? (int)fd : -1;
        }
    }
    return -1;
}

/* Maximum bytes per write: some systems reject more than INT_MAX. */
#define WRITE_MOST ((size_t)1 << 30)
enum { HELD_ROOM = 1 << 16 }; /* size of the buffer in bytes */
enum { NAME_ROOM = 32 };      /* bytes for the name of a temporary file */

/*
 * Gives the temporary file an unused name: links the nameless file open as `fd`, or, if fd is -1,
 * creates a file. mkstemp is not used, because its files are private. To give them normal
 * permissions, the umask would be needed, which can be read only by changing it for all threads.
 */
static int name_temporary(struct out_file *out, int fd, mode_t mode)
{
    enum { ATTEMPTS = 100 };
    char *const slash = strrchr(out->temporary, '/'), *const name = slash ? slash + 1 : out->temporary;
    char link[32];
    struct timespec now;
    int got = -1;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t random = (uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 40;
    errno = EEXIST;
    for (int i = 0; i < ATTEMPTS && got < 0 && errno == EEXIST; i++) {
        snprintf(name, NAME_ROOM, "rwkv7-%08" PRIx32 ".tmp", (uint32_t)splitmix_next(&random));
        got = fd < 0 ? open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
                     : linkat(AT_FDCWD, link, AT_FDCWD, out->temporary, AT_SYMLINK_FOLLOW);
    }
    out->nameless = got < 0;
    return got;
}

/*
 * Creates the temporary file without a name if the system supports that, so that nothing is left if
 * the process is killed; otherwise with a name.
 */
static int create_temporary(struct out_file *out, mode_t mode)
{
    const char *const target = out->target ? out->target : out->path, *const slash = strrchr(target, '/');
    const size_t folder = slash ? (size_t)(slash - target) + 1 : 0;

    out->temporary = mem_alloc(folder + NAME_ROOM, 1);
    if (!out->temporary) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(out->temporary, target, folder);
    out->nameless = true;
#if defined(O_TMPFILE)
    out->temporary[folder] = '.';
    const int fd = path_exists("/proc/self/fd") ? open(out->temporary, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode) : -1;
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && !(st.st_mode & S_IWOTH))
        return fd;
    if (fd >= 0) /* on some file systems, older kernels ignore the umask for O_TMPFILE */
        close(fd);
#endif
    return name_temporary(out, -1, mode);
}

/* Opens a temporary file that will replace the regular file out->path, after symbolic links. */
static int open_to_replace(struct out_file *out, mode_t mode)
{
    out->target = realpath(out->path, NULL);
    if (!out->target || access(out->target, W_OK) != 0)
        return -1;
    const int fd = create_temporary(out, S_IRUSR | S_IWUSR);
    if (fd >= 0 && fchmod(fd, mode) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/*
 * Rejects a file that this process reads, or that standard output goes to. Missing or unreadable
 * files are left to open_any.
 */
static enum rwkv7_status refuse_input(const char *path, struct rwkv7_error *err)
{
    const int named = descriptor_named(path);
    struct stat st;
    if ((named >= 0 ? fstat(named, &st) : stat(path, &st)) != 0)
        return RWKV7_OK;
    const enum rwkv7_status status = input_refuse(&st, path, err);
    return status == RWKV7_OK && named < 0 ? input_refuse_output(&st, path, err) : status;
}

/*
 * mode: permissions of a new file, limited by the umask. keep: mask of the permissions that are
 * taken over from a replaced file.
 */
static int open_any(struct out_file *out, mode_t mode, mode_t keep)
{
    const int named = descriptor_named(out->path);
    struct stat st;
    if (named >= 0)
        return fcntl(named, F_DUPFD_CLOEXEC, 0);
    if (stat(out->path, &st) == 0)
        return S_ISREG(st.st_mode) ? open_to_replace(out, st.st_mode & keep)
                                   : open(out->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    /* Reject a dangling link: its target could not be created under a temporary name first. */
    if (errno != ENOENT || lstat(out->path, &st) == 0 || out->path[0] == '\0')
        return -1;
    return create_temporary(out, mode);
}

static enum rwkv7_status cannot_write(const struct out_file *out, struct rwkv7_error *err)
{
    return fail_errno(err, "%s: cannot be written", out->path);
}

static enum rwkv7_status open_with(const char *path, mode_t mode, mode_t keep, struct out_file *out,
                                   struct rwkv7_error *err)
{
    *out = (struct out_file){0};
    enum rwkv7_status status = refuse_input(path, err);
    if (status != RWKV7_OK)
        return status;
    out->path = mem_string(path, strlen(path));
    if (!out->path)
        return fail_memory(err, "a file name");
    const int fd = open_any(out, mode, keep);
    if (fd < 0) {
        status = cannot_write(out, err);
        out_file_abort(out);
        return status;
    }
    out->fd = fd;
    out->held = mem_alloc(HELD_ROOM, 1);
    if (out->held)
        return RWKV7_OK;
    close(fd);
    out_file_abort(out);
    return fail_memory(err, "the buffer of a file");
}

enum rwkv7_status out_file_open(const char *path, struct out_file *out, struct rwkv7_error *err)
{
    return open_with(path, 0666, S_IRWXU | S_IRWXG | S_IRWXO, out, err);
}

enum rwkv7_status out_file_open_private(const char *path, struct out_file *out, struct rwkv7_error *err)
{
    return open_with(path, S_IRUSR | S_IWUSR, S_IRWXU, out, err);
}

/* Waits until the file accepts more: standard output may be a non-blocking pipe. */
static bool wait_writable(int fd)
{
    struct pollfd file = {.fd = fd, .events = POLLOUT};
    return poll(&file, 1, -1) > 0;
}

/*
 * Writes all data. stdio is not used because it loses data if a signal interrupts a write.
 * Interrupted writes to a regular file are continued.
 */
static bool write_all(const struct out_file *out, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(out->fd, data, size < WRITE_MOST ? size : WRITE_MOST);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!wait_writable(out->fd))
                return false;
        } else if (n < 0 && !(errno == EINTR && out->temporary)) {
            return false;
        }
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Writes the buffer. */
static bool drain(struct out_file *out)
{
    const size_t size = out->held_size;
    out->held_size = 0;
    return write_all(out, out->held, size);
}

enum rwkv7_status out_file_write(struct out_file *out, const void *data, size_t size, struct rwkv7_error *err)
{
    if (size <= HELD_ROOM - out->held_size) {
        memcpy(out->held + out->held_size, data, size);
        out->held_size += size;
        return RWKV7_OK;
    }
    return drain(out) && write_all(out, data, size) ? RWKV7_OK : cannot_write(out, err);
}

/*
 * Syncs the folder, so that the new name survives a power failure. A folder that cannot be opened,
 * or a file system that cannot sync folders, is not an error: the file is complete and has its
 * name.
 */
static enum rwkv7_status sync_folder(const struct out_file *out, struct rwkv7_error *err)
{
    char *const folder = out->temporary; /* its name is no longer needed; only the folder is */
    char *const slash = strrchr(folder, '/');
    strcpy(slash ? slash + 1 : folder, ".");
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return RWKV7_OK;
    const bool failed = fsync(fd) != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT);
    const enum rwkv7_status status = failed ? fail_errno(err, "%s: its folder cannot be synced", out->path) : RWKV7_OK;
    close(fd);
    return status;
}

enum rwkv7_status out_file_commit(struct out_file *out, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;

    if (!drain(out) || (out->temporary && fsync(out->fd) != 0) ||
        (out->nameless && name_temporary(out, out->fd, 0) < 0))
        status = cannot_write(out, err);
    if (close(out->fd) != 0 && status == RWKV7_OK)
        status = cannot_write(out, err);
    mem_free(out->held);
    out->held = NULL;
    if (status == RWKV7_OK && out->temporary && rename(out->temporary, out->target ? out->target : out->path) != 0)
        status = fail_errno(err, "%s: cannot be renamed from its temporary name", out->path);
    if (status == RWKV7_OK && out->temporary) {
        status = sync_folder(out, err);
        mem_free(out->temporary);
        out->temporary = NULL;
    }
    out_file_abort(out);
    return status;
}

void out_file_abort(struct out_file *out)
{
    if (out->held)
        close(out->fd);
    mem_free(out->held);
    if (out->temporary && !out->nameless)
        unlink(out->temporary);
    mem_free(out->temporary);
    mem_free(out->path);
    free(out->target); /* allocated by realpath */
    *out = (struct out_file){0};
}

/* ----------------------------------------------------------------------------- public interface */

struct rwkv7_output {
    struct out_file file;
};

enum rwkv7_status rwkv7_output_open(const char *path, struct rwkv7_output **out, struct rwkv7_error *err)
{
    enum rwkv7_status status;
    *out = NULL;
    struct rwkv7_output *const o = mem_alloc(1, sizeof *o);
    if (!o)
        return fail_memory(err, "a file");
    status = out_file_open(path, &o->file, err);
    if (status == RWKV7_OK)
        *out = o;
    else
        mem_free(o);
    return status;
}

enum rwkv7_status rwkv7_output_write(struct rwkv7_output *o, const void *data, size_t size, struct rwkv7_error *err)
{
    return out_file_write(&o->file, data, size, err);
}

enum rwkv7_status rwkv7_output_commit(struct rwkv7_output *o, struct rwkv7_error *err)
{
    return out_file_commit(&o->file, err);
}

void rwkv7_output_close(struct rwkv7_output *o)
{
    if (o)
        out_file_abort(&o->file);
    mem_free(o);
}
