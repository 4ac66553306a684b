/*
 * head.h - checks the framing of a request: heads that libmicrohttpd accepts, but a proxy might
 * read in another way (request smuggling). Refused are two Content-Length or Host headers,
 * Content-Length with Transfer-Encoding, encodings other than chunked, names such as
 * "Content-Length ", control characters in values, and headers of several lines. Lines that end
 * with a bare newline are accepted, because current proxies do not send them.
 */
#ifndef SERVER_HEAD_H
#define SERVER_HEAD_H

#include <microhttpd.h>

#include "server/errors.h"

/*
 * The first line of a request in memory: method, URI and version, as the library passes them.
 * uri_size: before its escapes are decoded.
 */
struct first_line {
    const char *method, *uri, *version;
    size_t uri_size;
};

/*
 * Returns false and sets *e if the head is refused. *has_body: a body may follow; set in any case.
 */
bool head_check(struct MHD_Connection *c, const struct first_line *line, bool *has_body, struct api_error *e);

#endif
