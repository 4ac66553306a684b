/* json_line.h - a line that holds one JSON object, taken strictly: what cJSON passes over in silence is a mistake here. */
#ifndef CLI_JSON_LINE_H
#define CLI_JSON_LINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The object that is all of the line, which is UTF-8 and has no NUL in it, but line[length] is one. Numbers in the member `verbatim`, unless NULL, become raw
 * JSON, digit by digit as they stand: doubles would round them. why[0] is 0, or `why` [256] says what is wrong; then the result is
 * what was understood, perhaps NULL.
 */
cJSON *json_line_parse(const char *line, size_t length, const char *verbatim, char why[256]);
/* What `why` says when there was no memory, which is no mistake of the line. */
#define JSON_LINE_NO_MEMORY "out of memory for the line"
/* true: the object has several members of this name, and `why` [256] says so. */
bool json_line_twice(const cJSON *object, const char *name, char why[256]);

#endif
