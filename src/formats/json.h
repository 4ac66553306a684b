/*
 * json.h - strict JSON: the whole text is validated here before cJSON parses it.
 *
 * cJSON accepts much that is not JSON (trailing garbage, 01, raw control characters, invalid
 * UTF-8), truncates strings at \u0000 and keeps duplicate keys. So cJSON is called only for text
 * that conforms to RFC 8259 and has no \u0000, and its result is checked for duplicate keys. The
 * nesting depth and the number of values are limited before cJSON allocates memory.
 */
#ifndef FORMATS_JSON_H
#define FORMATS_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define JSON_MAX_DEPTH 32u
/*
 * Limits the memory to 200 MB: a cJSON node takes about 100 bytes. A tensor with two axes needs 8
 * values.
 */
#define JSON_MAX_VALUES (2u << 20)

struct json_text {
    const char *file; /* for messages */
    const uint8_t *bytes;
    size_t size;
    size_t offset; /* file offset of bytes[0], for messages */
    bool integers; /* only integers 0 .. 2^53 are allowed: no sign, fraction, exponent or leading zero */
};

/*
 * Parses a text that is one object, optionally surrounded by white space. A byte order mark at
 * the start of a file is skipped. The caller frees *out with cJSON_Delete. Strings contain no NUL,
 * and keys are unique within their object.
 * RWKV7_ERR_MODEL names the file, the byte offset and the entry of the outer object.
 */
enum rwkv7_status json_parse(const struct json_text *text, cJSON **out, struct rwkv7_error *err);

/* Returns the value of a number. Only for a text parsed with `integers`. */
uint64_t json_integer(const cJSON *number);

/* Returns the kind of a value for messages: "a string", "an array", ... */
const char *json_kind(const cJSON *value);

#endif
