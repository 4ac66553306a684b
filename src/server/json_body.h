/*
 * json_body.h - the JSON of a request, which nobody has checked.
 *
 * cJSON accepts much that is not JSON, truncates strings at U+0000 and keeps duplicate members. So
 * the whole text is checked against RFC 8259 first: valid UTF-8, no NUL in strings, limited depth
 * and number of values. Duplicate members are refused afterwards.
 */
#ifndef SERVER_JSON_BODY_H
#define SERVER_JSON_BODY_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "server/errors.h"

#define JSON_BODY_DEPTH 64
/* A value takes about 80 bytes in memory. As many as a prompt may have tokens, and some more. */
#define JSON_BODY_VALUES ((1u << 20) + (1u << 16))

/*
 * Parses one object; the caller frees it with cJSON_Delete. NULL: see *e (400, or 500 when out of
 * memory). `text` [size] needs no NUL.
 */
cJSON *json_body_parse(const char *text, size_t size, struct api_error *e);

#endif
