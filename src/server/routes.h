/* routes.h - the endpoints, by path and method. */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/handlers.h"

struct route {
    const char *path; /* without the optional prefix /v1; if it ends in "/", a name follows, except for "/" */
    bool post;        /* else GET and HEAD; see route_methods for others */
    bool public;      /* needs no key */
    handler *handle;
};

/*
 * Returns the endpoint of a path, NULL if unknown. *index: its index, for metrics. *name: the name
 * that follows the path, if it takes one.
 */
const struct route *route_find(const char *path, unsigned *index, const char **name);
/* Returns the form of errors for a path, also for an unknown one: that of its protocol. */
enum error_form route_errors(const char *path);
/* Returns the methods of an endpoint, as in an Allow header. name: as from route_find. */
const char *route_methods(const struct route *r, const char *name);
bool route_allows(const struct route *r, const char *name, const char *method);
/* Returns whether a request of this method reads sessions and states, but changes nothing. */
bool route_reads_states(const struct route *r, const char *method);
/* Returns whether its handler reads neither a body nor a file. */
bool route_is_quick(const struct route *r);
/* Returns the path of endpoint `index`, as shown in metrics; NULL: no such endpoint. */
const char *route_path(unsigned index);

#endif
