/*
 * json.h - strict JSON: the whole text is checked here, byte by byte, before cJSON makes a tree of it.
 *
 * cJSON takes much that is not JSON (trailing garbage, 01, raw control characters, broken UTF-8), cuts strings at
 * \u0000 and keeps duplicate keys. So it is given only text that has passed RFC 8259, and what it returns has been
 * checked for duplicates. Nesting and the number of values are bounded before the tree is built.
 */
#ifndef FORMATS_JSON_H
#define FORMATS_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define JSON_MAX_DEPTH 32u
/* A node of cJSON takes about 100 bytes, so this is 200 MB at the worst; a tensor of two axes takes 8 values. */
#define JSON_MAX_VALUES (2u << 20)

struct json_text {
    const char *file; /* for messages */
    const uint8_t *bytes;
    size_t size;
    size_t offset; /* of bytes[0] in the file, for messages */
    bool integers; /* numbers must be integers 0 .. 2^53 in plain digits: no sign, fraction, exponent, leading zero */
};

/*
 * The tree of a text that is one object; to be freed with cJSON_Delete. White space may stand around it. Strings hold
 * no NUL, keys are unique within their object. RWKV7_ERR_MODEL names the file, the byte and the entry of the outer
 * object.
 */
enum rwkv7_status json_parse(const struct json_text *text, cJSON **out, struct rwkv7_error *err);

/* The value of a number in a text with `integers`. */
uint64_t json_integer(const cJSON *number);

/* "a string", "an array", ...: what a value is, for messages. */
const char *json_kind(const cJSON *value);

#endif
