/*
 * fields.h - reads members of a request. If a member is absent or null, *out is unchanged. The
 * first invalid member sets *error; later calls then do nothing.
 */
#ifndef SERVER_FIELDS_H
#define SERVER_FIELDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/errors.h"

struct fields {
    const cJSON *object;
    struct api_error *error;
};

/* Returns the member; NULL: absent or null. */
const cJSON *field_of(const struct fields *f, const char *name);
void field_number(const struct fields *f, const char *name, double least, double most, double *out);
void field_whole(const struct fields *f, const char *name, int64_t least, int64_t most, int64_t *out);
void field_bool(const struct fields *f, const char *name, bool *out);
/* *out points into the object. */
void field_string(const struct fields *f, const char *name, const char **out);
/* Reads an integer within [least, most]. Returns false for any other value. */
bool json_whole(const cJSON *value, int64_t least, int64_t most, int64_t *out);

#endif
