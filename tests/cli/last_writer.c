/*
 * last_writer.c - preloaded into `rwkv7 batch -o FILE`: another program that writes a line to FILE and ends, at the last moment before
 * the file is locked.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

static int call(const char *name, int fd, int command, void *argument)
{
    int (*next)(int, int, ...);
    *(void **)&next = dlsym(RTLD_NEXT, name);
    if (command == F_SETLK && pwrite(fd, "of another\n", 11, 0) != 11)
        return -1;
    return next(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *const argument = va_arg(list, void *);
    va_end(list);
    return call("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *const argument = va_arg(list, void *);
    va_end(list);
    return call("fcntl64", fd, command, argument);
}
