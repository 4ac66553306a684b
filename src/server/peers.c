/* peers.c - see peers.h. */
#include "server/peers.h"

#include <sys/socket.h>

#include "base/mem.h"
#include "base/sys.h"

void peers_init(struct peers *p)
{
    pthread_mutex_init(&p->lock, NULL);
    p->first = NULL;
}

void peers_free(struct peers *p)
{
    pthread_mutex_destroy(&p->lock);
}

struct peer *peers_add(struct peers *p, int fd)
{
    struct peer *const peer = mem_alloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    peer->fd = fd;
    peer->deadline = sys_seconds() + PEER_SECONDS;
    pthread_mutex_lock(&p->lock);
    peer->next = p->first;
    if (p->first)
        p->first->before = peer;
    p->first = peer;
    pthread_mutex_unlock(&p->lock);
    return peer;
}

void peers_remove(struct peers *p, struct peer *peer)
{
    pthread_mutex_lock(&p->lock);
    if (peer->before)
        peer->before->next = peer->next;
    else
        p->first = peer->next;
    if (peer->next)
        peer->next->before = peer->before;
    pthread_mutex_unlock(&p->lock);
    mem_free(peer);
}

void peers_expect(struct peers *p, struct peer *peer, double seconds)
{
    if (!peer)
        return;
    pthread_mutex_lock(&p->lock);
    peer->deadline = seconds > 0 ? sys_seconds() + seconds : 0;
    pthread_mutex_unlock(&p->lock);
}

void peers_sweep(struct peers *p)
{
    const double now = sys_seconds();
    pthread_mutex_lock(&p->lock);
    for (struct peer *peer = p->first; peer; peer = peer->next)
        if (peer->deadline > 0 && peer->deadline < now) {
            shutdown(peer->fd, SHUT_RDWR);
            peer->deadline = 0;
        }
    pthread_mutex_unlock(&p->lock);
}
