/*
 * guard.h - decides who may use the server, by API key, Host and Origin. Works on header values,
 * without an HTTP library.
 */
#ifndef SERVER_GUARD_H
#define SERVER_GUARD_H

#include "server/server.h"

/*
 * Returns whether a valid key was given, as "Authorization: Bearer KEY" or "X-Api-Key: KEY" (NULL:
 * no such header). Always true if the server has no keys. The time does not reveal how much of a
 * key matches.
 */
bool guard_key(const struct server_options *o, const char *authorization, const char *x_api_key);

/*
 * Returns whether a web page of this origin may use the server: pages of this machine, the origins
 * of --cors, and the page that this server sent, whose origin is the Host header (NULL: none).
 * Otherwise any web page could use the server through the browser of its visitor.
 *
 * A Host that is a name proves nothing: with DNS rebinding, a foreign page has this address, too.
 * It counts only if the server has keys, which a foreign page does not know; else it must be an IP
 * address.
 */
bool guard_origin(const struct server_options *o, const char *origin, const char *host);

bool guard_is_socket(const char *host);   /* the path of a UNIX socket: it ends in ".sock" */
bool guard_is_loopback(const char *host); /* an address that only this computer can reach */

/*
 * Returns whether the Host header names this server. Checked only if the server is bound to
 * loopback: there, another name means DNS rebinding, a foreign page whose DNS entry was changed to
 * 127.0.0.1.
 */
bool guard_host(const struct server_options *o, const char *host);

/*
 * Returns whether a GET request without an Origin may read sessions and states. Browsers send no Origin
 * if the page comes from the same address, which is so with DNS rebinding, too. So without keys, the
 * Host must be an IP address or the name that the server was started with.
 */
bool guard_reading(const struct server_options *o, const char *host);

/*
 * Returns whether a header is well-formed: the name is a token (RFC 9110), and the value (may be
 * NULL) contains no control characters except tabs.
 */
bool guard_header(const char *name, const char *value);

/* Returns whether the text is a safe X-Request-Id: 1 to 64 letters, digits and "-_.". */
bool guard_request_id(const char *text);

#endif
