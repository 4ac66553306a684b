/* json_tree.c - see json_tree.h. */
#include "base/json_tree.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static cJSON *begin(struct json_tree *t, cJSON *root)
{
    *t = (struct json_tree){root, root == NULL};
    return root;
}

cJSON *json_tree_object(struct json_tree *t)
{
    return begin(t, cJSON_CreateObject());
}

cJSON *json_tree_array(struct json_tree *t)
{
    return begin(t, cJSON_CreateArray());
}

/*
 * Adds an item and returns it. If the item could not be created (NULL) or added, marks the tree as
 * failed and returns NULL.
 */
static cJSON *add(struct json_tree *t, cJSON *to, const char *name, cJSON *item)
{
    if (item && to && (name ? cJSON_AddItemToObject(to, name, item) : cJSON_AddItemToArray(to, item)))
        return item;
    cJSON_Delete(item);
    t->failed = true;
    return NULL;
}

cJSON *json_add_object(struct json_tree *t, cJSON *to, const char *name)
{
    return add(t, to, name, cJSON_CreateObject());
}

cJSON *json_add_array(struct json_tree *t, cJSON *to, const char *name)
{
    return add(t, to, name, cJSON_CreateArray());
}

void json_add_string(struct json_tree *t, cJSON *to, const char *name, const char *text)
{
    add(t, to, name, cJSON_CreateString(text));
}

void json_add_number(struct json_tree *t, cJSON *to, const char *name, double x)
{
    add(t, to, name, cJSON_CreateNumber(x));
}

void json_add_micros(struct json_tree *t, cJSON *to, const char *name, double x)
{
    json_add_number(t, to, name, floor(x * 1e6 + 0.5) / 1e6);
}

void json_add_whole(struct json_tree *t, cJSON *to, const char *name, uint64_t x)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, x);
    add(t, to, name, cJSON_CreateRaw(digits));
}

void json_add_bool(struct json_tree *t, cJSON *to, const char *name, bool x)
{
    add(t, to, name, cJSON_CreateBool(x));
}

void json_add_item(struct json_tree *t, cJSON *to, const char *name, cJSON *item)
{
    add(t, to, name, item);
}

void json_add_tree(struct json_tree *t, cJSON *to, const char *name, struct json_tree *from)
{
    t->failed = t->failed || from->failed;
    add(t, to, name, from->root);
    *from = (struct json_tree){0};
}

char *json_tree_text(struct json_tree *t, bool indented)
{
    char *const text = t->failed ? NULL : indented ? cJSON_Print(t->root) : cJSON_PrintUnformatted(t->root);
    json_tree_free(t);
    return text;
}

void json_tree_free(struct json_tree *t)
{
    cJSON_Delete(t->root);
    *t = (struct json_tree){0};
}

/* -------------------------------------------------------------------------------------- parsing */

static atomic_bool lacked_memory;

static void *watched_malloc(size_t size)
{
    void *const p = malloc(size);
    if (!p)
        atomic_store(&lacked_memory, true);
    return p;
}

void json_watch_memory(void)
{
    cJSON_Hooks hooks = {.malloc_fn = watched_malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

cJSON *json_tree_parse(const char *text, size_t size, const char **end, bool *no_memory)
{
    atomic_store(&lacked_memory, false);
    cJSON *const tree = cJSON_ParseWithLengthOpts(text, size, end, false);
    *no_memory = !tree && atomic_load(&lacked_memory);
    return tree;
}
