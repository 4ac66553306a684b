/* listen.c - see listen.h. */
#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/status.h"
#include "server/guard.h"

enum {
    BACKLOG = 128,
    SEND_BYTES = 256 << 10, /* of the system's memory for each connection; Linux may take megabytes otherwise */
};

static int new_socket(int family)
{
    const int fd = socket(family, SOCK_STREAM, 0), bytes = SEND_BYTES;
    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes); /* connections inherit it */
    }
    return fd;
}

/* --------------------------------------------------------------------------------- UNIX sockets */

/* Returns whether the socket at this path belongs to no running server. */
static bool is_stale(const struct sockaddr_un *name)
{
    struct stat st;
    if (lstat(name->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    const int fd = new_socket(AF_UNIX);
    const bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

static enum rwkv7_status open_unix(const char *path, struct listener *l, struct rwkv7_error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path)
        return fail(err, RWKV7_ERR_USAGE, "%s: the path of a UNIX socket has at most %zu bytes", path,
                    sizeof name.sun_path - 1);
    strcpy(name.sun_path, path);
    if (is_stale(&name))
        unlink(path);
    l->fd = new_socket(AF_UNIX);
    const mode_t mask = umask(0177);
    const bool bound = l->fd >= 0 && bind(l->fd, (struct sockaddr *)&name, sizeof name) == 0;
    umask(mask);
    if (!bound)
        return fail_errno(err, "cannot listen on %s", path);
    l->path = path;
    snprintf(l->address, sizeof l->address, "unix:%s", path);
    return RWKV7_OK;
}

/* ------------------------------------------------------------------------------------------ TCP */

/* Formats the bound address with the actual port. */
static void print_address(struct listener *l)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    char host[80] = "", port[16] = "";
    if (getsockname(l->fd, (struct sockaddr *)&name, &size) == 0)
        getnameinfo((struct sockaddr *)&name, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    const bool six = strchr(host, ':') != NULL;
    snprintf(l->address, sizeof l->address, "http://%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
}

static enum rwkv7_status open_tcp(const char *host, int port, struct listener *l, struct rwkv7_error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    const int failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0)
        return fail(err, RWKV7_ERR_IO, "cannot listen on %s: %s", host, gai_strerror(failure));
    l->fd = new_socket(found->ai_family);
    const int on = 1;
    bool bound = l->fd >= 0;
    if (bound) {
        setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        bound = bind(l->fd, found->ai_addr, found->ai_addrlen) == 0;
    }
    const int reason = errno;
    freeaddrinfo(found);
    errno = reason;
    if (!bound)
        return fail_errno(err, "cannot listen on %s, port %d", host, port);
    print_address(l);
    return RWKV7_OK;
}

enum rwkv7_status listen_open(const char *host, int port, struct listener *l, struct rwkv7_error *err)
{
    *l = (struct listener){.fd = -1};
    enum rwkv7_status status = guard_is_socket(host) ? open_unix(host, l, err) : open_tcp(host, port, l, err);
    if (status == RWKV7_OK && listen(l->fd, BACKLOG) != 0)
        status = fail_errno(err, "cannot listen on %s", l->address);
    if (status != RWKV7_OK) {
        listen_remove(l);
        listen_close(l->fd);
    }
    return status;
}

void listen_remove(const struct listener *l)
{
    if (l->path)
        unlink(l->path);
}

void listen_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
