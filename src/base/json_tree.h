/*
 * json_tree.h - JSON through cJSON such that no failed allocation goes unnoticed.
 *
 * cJSON answers NULL or false where it finds no memory, for every single member. Who looks at none of these answers writes a text that
 * lacks members; so all JSON that this project writes is built through a json_tree, which remembers that something is missing and then
 * gives no text at all. Only the end has to be checked. NULL may be passed on as `to`: it stands for an object that could not be made.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct json_tree {
    cJSON *root;
    bool failed; /* something is missing */
};

/* The outermost object or array; returns it. json_tree_text or json_tree_free ends the tree. */
cJSON *json_tree_object(struct json_tree *t);
cJSON *json_tree_array(struct json_tree *t);

/* A member of the object `to`; with a name of NULL, another element of the array `to`. */
cJSON *json_add_object(struct json_tree *t, cJSON *to, const char *name);
cJSON *json_add_array(struct json_tree *t, cJSON *to, const char *name);
void json_add_string(struct json_tree *t, cJSON *to, const char *name, const char *text);
void json_add_number(struct json_tree *t, cJSON *to, const char *name, double x);
void json_add_micros(struct json_tree *t, cJSON *to, const char *name, double x);  /* rounded to 1e-6 */
void json_add_whole(struct json_tree *t, cJSON *to, const char *name, uint64_t x); /* exact, unlike a double */
void json_add_bool(struct json_tree *t, cJSON *to, const char *name, bool x);
/* Takes the item, even if it fails; NULL counts as a failed allocation. */
void json_add_item(struct json_tree *t, cJSON *to, const char *name, cJSON *item);
/* The tree `from` becomes a part of `t`, and is empty then. */
void json_add_tree(struct json_tree *t, cJSON *to, const char *name, struct json_tree *from);

/* The text, for cJSON_free, and the end of the tree; NULL when something is missing in it. */
char *json_tree_text(struct json_tree *t, bool indented);
void json_tree_free(struct json_tree *t);

/*
 * cJSON_ParseWithLengthOpts, which returns NULL for text that is no JSON and for want of memory alike. *no_memory: it was the latter.
 * This is known only in a program that has called json_watch_memory() before its first use of cJSON, since cJSON's allocator belongs to
 * the whole process: src/cli does, a library must not.
 */
cJSON *json_tree_parse(const char *text, size_t size, const char **end, bool *no_memory);
void json_watch_memory(void);

#endif
