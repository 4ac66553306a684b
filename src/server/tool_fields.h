/* tool_fields.h - the fields of a chat request that declare tools. */
#ifndef SERVER_TOOL_FIELDS_H
#define SERVER_TOOL_FIELDS_H

#include "generate/tools.h"
#include "server/fields.h"

/* Reads tools, tool_choice and parallel_tool_calls. The caller frees *out, after a failure too. */
bool tool_fields_read(const struct fields *f, struct tools *out);
/* For requests that are no chats: fails if there are tools. */
bool tool_fields_refuse(const struct fields *f);
/*
 * Appends the calls of an earlier answer: the list "tool_calls" of its message, which is called
 * `param` in errors.
 */
bool tool_fields_add_calls(const cJSON *calls, const char *param, struct text *to, struct api_error *e);

#endif
