/*
 * json_value.h - a lossless tree of a JSON text: numbers keep their spelling, strings have a length
 * (they may contain NUL), and members keep their order.
 *
 * JSON Schema needs all three, so schemas are not parsed with cJSON: the bounds 9007199254740993
 * and 9007199254740992 differ, "\u0000" can be a value of an enum, and keys are generated in the
 * order of the schema. The parser accepts only RFC 8259: no duplicate keys, no lone surrogates,
 * valid UTF-8.
 */
#ifndef MATCHER_JSON_VALUE_H
#define MATCHER_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define JSON_VALUE_MAX_DEPTH 200
#define JSON_VALUE_MAX_COUNT (1u << 18) /* 30 MB */
#define JSON_POINTER_SIZE 200           /* bytes of a pointer in a message; else shortened */

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    uint32_t id;    /* index in the order of the text; 0: the outermost value */
    uint32_t count; /* members or elements */
    uint32_t base;  /* for schema_refs.c: index of the base URI */
    uint8_t role;   /* for schema_refs.c */
    struct json_value *parent, *first, *next;
    const char *key; /* in an object: decoded, [key_size] */
    size_t key_size;
    const char *text; /* JSON_STRING: decoded, JSON_NUMBER: as written; [size] */
    size_t size;
    struct json_value **sorted;      /* members by key, or NULL for small objects */
    const struct json_value *origin; /* of a made-up value: the one that messages name */
};

struct json_values;

/*
 * Parses one value, surrounded by white space. RWKV7_ERR_USAGE: "line 3, column 7: ...".
 * json_values_free frees everything.
 */
enum rwkv7_status json_values_read(const char *text, size_t size, struct json_values **out, struct rwkv7_error *err);
void json_values_free(struct json_values *t); /* NULL: does nothing */
struct json_value *json_values_root(const struct json_values *t);
size_t json_values_count(const struct json_values *t); /* all ids are below this */
struct json_value *json_values_at(const struct json_values *t, size_t id);

/* Returns the member with this key, or NULL; also NULL if `v` is not an object. */
struct json_value *json_member(const struct json_value *v, const char *key);
struct json_value *json_member_sized(const struct json_value *v, const char *key, size_t size);
struct json_value *json_element(const struct json_value *v, size_t index); /* NULL if there is none */

bool json_is_text(const struct json_value *v, const char *text); /* a string equal to `text` */

/* The JSON pointer of a value, "#/properties/a"; the whole text is "#". */
struct json_pointer {
    char text[JSON_POINTER_SIZE];
};
struct json_pointer json_pointer_of(const struct json_value *v);

#endif
