/*
 * peers.h - the open connections and their deadlines for sending a complete request. libmicrohttpd
 * only has a timeout between bytes, so a client that sends a byte now and then could keep its
 * connection for ever (slowloris).
 */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include <pthread.h>

#define PEER_SECONDS 30
#define PEER_IDLE_SECONDS 60

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
/* Sets the deadline of a peer to `seconds` from now; 0: the request is complete. Accepts NULL. */
void peers_expect(struct peers *p, struct peer *peer, double seconds);
/* Shuts down the sockets of connections past their deadline; the HTTP thread then closes them. */
void peers_sweep(struct peers *p);

#endif
