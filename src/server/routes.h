/* routes.h - the endpoints, by path and method. */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/handlers.h"

struct route {
    const char *path; /* without the prefix /v1, which is optional; "NAME/" takes a name after it */
    bool post;        /* else GET, and HEAD */
    bool public;      /* needs no key */
    handler *handle;
};

/*
 * Finds the endpoint of a path. *index: its number, for metrics. *name: what follows a path that
 * takes a name. NULL: unknown.
 */
const struct route *route_find(const char *path, unsigned *index, const char **name);
/* The path of endpoint `index`, as metrics call it; NULL: there is none. */
const char *route_path(unsigned index);

#endif
