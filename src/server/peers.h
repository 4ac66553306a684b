/*
 * peers.h - the open connections, and until when each must have sent a whole request.
 * libmicrohttpd only knows a time without any byte, and a client that sends one byte now and then
 * would keep its connection for ever.
 */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include <pthread.h>

enum { PEER_SECONDS = 30, PEER_IDLE_SECONDS = 60 };

struct peer {
    int fd;
    double deadline; /* sys_seconds(); 0: none */
    struct peer *before, *next;
};

struct peers {
    pthread_mutex_t lock;
    struct peer *first;
};

void peers_init(struct peers *p);
void peers_free(struct peers *p);
/* NULL: out of memory. */
struct peer *peers_add(struct peers *p, int fd);
void peers_remove(struct peers *p, struct peer *peer);
/* The request must be complete in so many seconds; 0: it is. Accepts NULL. */
void peers_expect(struct peers *p, struct peer *peer, double seconds);
/* Shuts down the connections that are late; the HTTP thread then closes them. */
void peers_sweep(struct peers *p);

#endif
