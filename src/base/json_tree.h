/*
 * json_tree.h - builds JSON with cJSON so that no failed allocation goes unnoticed.
 *
 * Each cJSON call returns NULL or false when out of memory. Code that ignores these results writes
 * JSON with missing members. So all JSON of this project is built with a json_tree, which records
 * any failure and then returns no text. Callers check only the final text. NULL may be passed as
 * `to`: it stands for an object that could not be created.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct json_tree {
    cJSON *root;
    bool failed; /* an allocation has failed */
};

/* Creates the outermost object or array. json_tree_text or json_tree_free ends the tree. */
cJSON *json_tree_object(struct json_tree *t);
cJSON *json_tree_array(struct json_tree *t);

/* Adds a member to the object `to`, or, if `name` is NULL, an element to the array `to`. */
cJSON *json_add_object(struct json_tree *t, cJSON *to, const char *name);
cJSON *json_add_array(struct json_tree *t, cJSON *to, const char *name);
void json_add_string(struct json_tree *t, cJSON *to, const char *name, const char *text);
void json_add_number(struct json_tree *t, cJSON *to, const char *name, double x);
void json_add_micros(struct json_tree *t, cJSON *to, const char *name, double x);  /* rounded to 1e-6 */
void json_add_whole(struct json_tree *t, cJSON *to, const char *name, uint64_t x); /* exact, unlike a double */
void json_add_bool(struct json_tree *t, cJSON *to, const char *name, bool x);
/* Adds an item and takes ownership of it, on failure too. NULL counts as a failed allocation. */
void json_add_item(struct json_tree *t, cJSON *to, const char *name, cJSON *item);
/* Adds the tree `from` to `t`; `from` is empty afterwards. */
void json_add_tree(struct json_tree *t, cJSON *to, const char *name, struct json_tree *from);

/*
 * Ends the tree and returns its text, to be freed with cJSON_free; NULL if any allocation failed.
 */
char *json_tree_text(struct json_tree *t, bool indented);
void json_tree_free(struct json_tree *t);

/*
 * Calls cJSON_ParseWithLengthOpts, which returns NULL both for invalid JSON and when out of memory.
 * *no_memory tells which. This works only if the program called json_watch_memory() before its
 * first use of cJSON. json_watch_memory changes cJSON's allocator for the whole process, so src/cli
 * calls it and the library must not.
 */
cJSON *json_tree_parse(const char *text, size_t size, const char **end, bool *no_memory);
void json_watch_memory(void);

#endif
