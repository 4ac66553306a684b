/* errors.h - errors, their HTTP status, and their form in each protocol. */
#ifndef SERVER_ERRORS_H
#define SERVER_ERRORS_H

#include "base/json_tree.h"
#include "rwkv7.h"

struct api_error {
    int status;       /* HTTP status; 0: no error */
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

enum error_form {
    ERRORS_OPENAI,    /* {"error":{"message","type","param","code"}} */
    ERRORS_ANTHROPIC, /* {"type":"error","error":{"type","message"},"request_id"} */
    ERRORS_OLLAMA     /* {"error":"message"} */
};

/*
 * Replaces the name of a field in the error by the name that the client used for it: protocols that
 * convert their requests rename fields.
 */
void error_rename(struct api_error *e, const char *from, const char *to);

/*
 * Returns the body of an error, to be freed with cJSON_free; NULL when out of memory. request_id:
 * NULL in the events of a stream.
 */
char *error_body(const struct api_error *e, enum error_form form, const char *request_id);
/* Adds the object "error" of OpenAI's form, but for its member "code", and returns it. */
cJSON *error_add(struct json_tree *t, cJSON *to, const struct api_error *e);

#endif
