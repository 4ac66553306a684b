/* http.h - the HTTP side of the server, on libmicrohttpd. Only http.c and peers.c know the library. */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "server/listen.h"
#include "server/state.h"

struct http;

/* Starts a thread that serves connections of the listener, whose descriptor it closes at the end. */
enum rwkv7_status http_start(struct server *s, const struct listener *l, struct http **out, struct rwkv7_error *err);
/* Accepts no more connections. */
void http_quiesce(struct http *h);
/* Closes connections that take too long to send a request. Call it about once a second. */
void http_sweep(struct http *h);
size_t http_answers(struct http *h); /* being sent: requests that have not ended */
/* Ends the thread and closes all connections. No job may be unfinished. */
void http_stop(struct http *h);

#endif
