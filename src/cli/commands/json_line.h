/* json_line.h - parses a line with one JSON object; rejects invalid JSON that cJSON accepts. */
#ifndef CLI_JSON_LINE_H
#define CLI_JSON_LINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/json_tree.h"

/*
 * Parses line [length], followed by a NUL. It must be UTF-8 and contain one object and no NUL.
 * Numbers in the member `verbatim` (may be NULL) become raw JSON with their original digits, which
 * doubles would round. On success why[0] is 0. Otherwise `why` [256] is the error and the result is
 * what could be parsed, perhaps NULL. Free the result with cJSON_Delete.
 */
cJSON *json_line_parse(const char *line, size_t length, const char *verbatim, char why[256]);
/* The value of `why` if out of memory; the line itself may be valid. */
#define JSON_LINE_NO_MEMORY "out of memory for the line"
/* Returns whether the object has several members of this name; if so, `why` [256] is the error. */
bool json_line_duplicate(const cJSON *object, const char *name, char why[256]);

#endif
