/* errors.h - errors in the form of OpenAI's API, and their HTTP status. */
#ifndef SERVER_ERRORS_H
#define SERVER_ERRORS_H

#include "rwkv7.h"

struct api_error {
    int status;       /* HTTP status; 0: no error */
    const char *type; /* "invalid_request_error", ... */
    const char *code; /* "queue_full", ...; NULL: none */
    char param[64];   /* the invalid field; empty: none */
    char message[256];
};

/*
 * Set the error unless one is set already, and return false. error_request: status 400; param: the
 * field, or NULL.
 */
bool error_request(struct api_error *e, const char *param, const char *fmt, ...) RWKV7_PRINTF(3, 4);
bool error_other(struct api_error *e, int status, const char *code, const char *fmt, ...) RWKV7_PRINTF(4, 5);
/* An error of the library: 400 for a wrong argument, else 500. */
bool error_library(struct api_error *e, const struct rwkv7_error *err);

/*
 * Returns the body of an error, to be freed with cJSON_free; NULL when out of memory.
 */
char *error_body(const struct api_error *e);
/* The same for an event in a running stream; `code` is the status. */
char *error_event(const struct api_error *e);

#endif
