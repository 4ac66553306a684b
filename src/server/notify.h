/* notify.h - tells the service manager about the server, in the protocol of systemd's sd_notify(3). */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include <stdbool.h>

/*
 * Sends lines such as "READY=1" to the socket in $NOTIFY_SOCKET. Does nothing if it is not set.
 * False: the message could not be sent.
 */
bool notify_send(const char *lines);

#endif
