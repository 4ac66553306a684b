/*
 * http.h - the HTTP side of the server, on libmicrohttpd. Only assets.c, head.c and http.c call the
 * library.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "server/listen.h"
#include "server/state.h"

struct http;

const char *http_library_version(void); /* of libmicrohttpd: "0.9.75" */
/*
 * Starts a thread that serves the listener's connections. It closes the listener's descriptor when
 * it ends.
 */
enum rwkv7_status http_start(struct server *s, const struct listener *l, struct http **out, struct rwkv7_error *err);
/* Stops accepting connections. */
void http_quiesce(struct http *h);
/* Closes connections that are too slow to send a request. Call it at least once a second. */
void http_sweep(struct http *h);
size_t http_answers(struct http *h); /* requests whose answer is not completely sent */
/* Ends the thread and closes all connections. All jobs must be finished. */
void http_stop(struct http *h);

#endif
