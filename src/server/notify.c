/* notify.c - see notify.h. */
#include "server/notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_send(const char *lines)
{
    const char *const path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const size_t length = path ? strlen(path) : 0;
    if (length == 0)
        return true;
    if ((*path != '/' && *path != '@') || length >= sizeof name.sun_path)
        return false;
    memcpy(name.sun_path, path, length);
    if (*path == '@') /* an abstract name of Linux */
        name.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return false;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    const ssize_t sent = sendto(fd, lines, strlen(lines), 0, (struct sockaddr *)&name, size);
    close(fd);
    return sent == (ssize_t)strlen(lines);
}
