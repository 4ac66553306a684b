/*
 * guard.h - who may use the server: API keys, the Host and the Origin of a request. Knows nothing
 * of HTTP but header values.
 */
#ifndef SERVER_GUARD_H
#define SERVER_GUARD_H

#include "server/server.h"

/*
 * Whether one of the keys was given, as "Authorization: Bearer KEY" or "X-Api-Key: KEY" (NULL:
 * no such header). Always true without keys. The time does not depend on how much of a key is
 * right.
 */
bool guard_key(const struct server_options *o, const char *authorization, const char *x_api_key);

/*
 * Whether a browser's page of this origin may use the server: pages of this machine, and those of
 * --cors. A page elsewhere could otherwise use the server in the name of its reader.
 */
bool guard_origin(const struct server_options *o, const char *origin);

/*
 * Whether the Host header names this server. Checked if it is bound to loopback only: another name
 * is that of a page elsewhere, whose DNS entry was changed to 127.0.0.1 (DNS rebinding).
 */
bool guard_host(const struct server_options *o, const char *host);

/*
 * Whether a header is well-formed: the name is one word, as RFC 9110 has it, and the value, which
 * may be NULL, has no control character but the tab.
 */
bool guard_header(const char *name, const char *value);

/* Whether the text is a safe X-Request-Id: 1 to 64 letters, digits and "-_.". */
bool guard_request_id(const char *text);

#endif
