/*
 * json_body.h - parses the JSON of a request, which is untrusted.
 *
 * cJSON accepts invalid JSON, truncates strings at U+0000 and keeps duplicate members. So the text
 * is first checked against RFC 8259; U+0000 in strings, deep nesting and too many values are
 * refused. Then cJSON parses it, and duplicate members are refused.
 */
#ifndef SERVER_JSON_BODY_H
#define SERVER_JSON_BODY_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "server/errors.h"

#define JSON_BODY_DEPTH 64
/*
 * Maximum number of values: the most tokens of a prompt, and some more. A value takes about 80
 * bytes of memory.
 */
#define JSON_BODY_VALUES ((1u << 20) + (1u << 16))

/*
 * Parses one object, to be freed with cJSON_Delete. `text` [size] need not end with a NUL. NULL:
 * see *e (400; 500 if out of memory).
 */
cJSON *json_body_parse(const char *text, size_t size, struct api_error *e);

#endif
