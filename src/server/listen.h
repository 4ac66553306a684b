/* listen.h - the socket that the server listens on. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "rwkv7.h"

#define ADDRESS_ROOM 160

struct listener {
    int fd;
    char address[ADDRESS_ROOM]; /* "http://127.0.0.1:8080", or "unix:PATH" */
    const char *path;           /* of a UNIX socket, to be removed at the end; NULL: none */
};

/*
 * Opens and binds the socket. host: an address or a name, or the path of a UNIX socket if it ends
 * in ".sock". Only this user can connect to a UNIX socket; a stale one is replaced. port 0: any
 * free port. Fails with RWKV7_ERR_IO or RWKV7_ERR_USAGE.
 */
enum rwkv7_status listen_open(const char *host, int port, struct listener *l, struct rwkv7_error *err);
/* Removes the path. The descriptor stays open. */
void listen_remove(const struct listener *l);
void listen_close(int fd); /* Accepts -1. */

#endif
