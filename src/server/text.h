/* text.h - JSON strings that may contain U+0000, which cJSON cannot hold; white space. */
#ifndef SERVER_TEXT_H
#define SERVER_TEXT_H

#include "base/json_tree.h"
#include "base/text.h"

/* Appends a JSON string with its quotes. The bytes must be valid UTF-8 and may contain U+0000. */
void text_add_json(struct text *t, const char *bytes, size_t size);
/* Adds a string member or element; unlike json_add_string, it may contain U+0000. */
void json_add_text(struct json_tree *t, cJSON *to, const char *name, const char *bytes, size_t size);
/* Adds a log probability with nine significant digits, as everywhere in the program. */
void json_add_logprob(struct json_tree *t, cJSON *to, const char *name, double x);

bool text_is_space(char c);
/* Leaves out the white space at both ends. */
void text_trim(const char **text, size_t *size);

#endif
